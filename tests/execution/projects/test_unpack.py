"""Archives that nobody means well with, and good ones of every kind: built for real, unpacked for real."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra_cli.errors import ProjectError
from dioptra_cli.execution.projects.archive import unpacked
from dioptra_cli.execution.projects.entries import Limits

MLPROJECT = "entry_points:\n  main:\n    command: echo\n"
SMALL = Limits(entries=40, size=1 << 20, ratio=20, unsuspicious=1 << 18, depth=10)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = "", text: str = "x"
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    data = text.encode() if kind == tarfile.REGTYPE else b""
    info.size = len(data)
    return info, data


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zipped(*entries: tuple[str, str, int], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of names, contents and Unix modes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, text, mode in entries:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
            archive.writestr(info, text)
    return buffer.getvalue()


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    assert len(old) == len(new)
    return data.replace(old, new)


def with_flag(data: bytes, offset_local: int, offset_central: int, form: str, value: int) -> bytes:
    """Return a zip archive with a field of its first entry changed in both of its headers."""
    changed = bytearray(data)
    struct.pack_into(form, changed, data.index(b"PK\3\4") + offset_local, value)
    struct.pack_into(form, changed, data.index(b"PK\1\2") + offset_central, value)
    return bytes(changed)


def huge_pax_header() -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    return info.tobuf(tarfile.GNU_FORMAT)


LINK, HARD, DIRECTORY = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
FILE_MODE, LINK_MODE = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777

HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "absolute": ("x.tar", lambda: tar(member("/etc/evil")), "absolute name"),
    "drive": ("x.tar", lambda: tar(member("C:evil")), "absolute name"),
    "up": ("x.tar", lambda: tar(member("a/../../evil")), "leads outside"),
    "link up": ("x.tar", lambda: tar(member("a", LINK, "../evil")), "outside of the archive"),
    "link absolute": ("x.tar", lambda: tar(member("a", LINK, "/etc/passwd")), "outside of the archive"),
    "link by way of a link": (
        "x.tar",
        lambda: tar(
            member("d/e", DIRECTORY), member("d/e/up", LINK, "../.."), member("out", LINK, "d/e/up/..")
        ),
        "outside of the archive",
    ),
    "link by way of what is not there": ("x.tar", lambda: tar(member("a", LINK, "no/../../evil")), "outside"),
    "links in a circle": (
        "x.tar",
        lambda: tar(member("a", LINK, "b"), member("b", LINK, "a")),
        "symbolic links",
    ),
    "through a link": ("x.tar", lambda: tar(member("a", LINK, "."), member("a/evil")), "needs a directory"),
    "in the place of a link": ("x.tar", lambda: tar(member("a", LINK, "b"), member("a")), "'a' twice"),
    "twice": ("x.tar", lambda: tar(member("a"), member("./a")), "'a' twice"),
    "case": (
        "x.tar",
        lambda: tar(member("MLproject"), member("mlproject")),
        "both 'MLproject' and 'mlproject'",
    ),
    "hard link outside": ("x.tar", lambda: tar(member("a", HARD, "/etc/passwd")), "absolute name"),
    "hard link up": ("x.tar", lambda: tar(member("a", HARD, "../evil")), "leads outside"),
    "hard link to a link": (
        "x.tar",
        lambda: tar(member("a", LINK, "."), member("b", HARD, "a")),
        "which is no file before it",
    ),
    "character device": ("x.tar", lambda: tar(member("a", tarfile.CHRTYPE)), "character device"),
    "block device": ("x.tar", lambda: tar(member("a", tarfile.BLKTYPE)), "block device"),
    "fifo": ("x.tar", lambda: tar(member("a", tarfile.FIFOTYPE)), "named pipe"),
    "sparse": ("x.tar", lambda: tar(member("a", tarfile.GNUTYPE_SPARSE)), "sparse file"),
    "NUL": (
        "x.tar",
        lambda: patched(
            tar(member("é" + "n" * 120)), "é".encode() + b"n" * 120, b"n" * 60 + b"\0" + b"n" * 61
        ),
        "NUL",
    ),
    "long part": ("x.tar", lambda: tar(member("n" * 256)), "too long"),
    "long name": ("x.tar", lambda: tar(member("/".join(["n" * 250] * 17)[1:])), "too long"),
    "deep": ("x.tar", lambda: tar(member("d/" * 11 + "x")), "more than 10 directories"),
    "many": ("x.tar", lambda: tar(*(member(f"f{n}") for n in range(41))), "more than 40 files"),
    "many not named": (
        "x.tar",
        lambda: tar(*(member(f"{n}/a/b/c/d/e/x") for n in range(8))),
        "more than 40 files",
    ),
    "pax header": ("x.tar", huge_pax_header, "a header of"),
    "bomb": ("x.tgz", lambda: gzip.compress(tar(member("a", text="0" * 500_000))), "MiB unpacked"),
    "bomb bz2": ("x.tar.bz2", lambda: bz2.compress(tar(member("a", text="0" * 500_000))), "MiB unpacked"),
    "bomb xz": ("x.tar.xz", lambda: lzma.compress(tar(member("a", text="0" * 500_000))), "MiB unpacked"),
    "bomb behind the end": (
        "x.tgz",
        lambda: gzip.compress(tar(member("a")) + bytes(500_000)),
        "MiB unpacked",
    ),
    "large": ("x.tar", lambda: tar(member("a", text="0" * (1 << 21))), "1 MiB unpacked"),
    "cut off": ("x.tar", lambda: tar(member("a"), member("b"))[:1024], "ends too early"),
    "cut off in a file": ("x.tar", lambda: tar(member("a", text="y" * 900))[:1000], "ends too early"),
    "cut off gz": ("x.tgz", lambda: gzip.compress(tar(member("a")))[:-9], "ends too early"),
    "cut off xz": ("x.tar.xz", lambda: lzma.compress(tar(member("a")))[:-20], "ends too early"),
    "wrong checksum of gz": ("x.tgz", lambda: gzip.compress(tar(member("a")))[:-8] + bytes(8), "broken"),
    "header in the middle": (
        "x.tar",
        lambda: patched(tar(member("a"), member("bbbb")), b"bbbb", b"cccc"),
        "checksum",
    ),
    "no tar": ("x.tar", lambda: b"hello" * 300, "no tar archive"),
    "empty": ("x.tar", lambda: b"", "ends too early"),
    "zip that is none": ("x.zip", lambda: tar(member("a")), "no zip archive"),
    "zip empty": ("x.zip", lambda: b"", "no zip archive"),
    "zip cut off": ("x.zip", lambda: zipped(("a", "x" * 99, FILE_MODE))[:-30], "no zip archive"),
    "zip absolute": ("x.zip", lambda: zipped(("/evil", "x", FILE_MODE)), "absolute name"),
    "zip up": ("x.zip", lambda: zipped(("../evil", "x", FILE_MODE)), "leads outside"),
    "zip up as on Windows": ("x.zip", lambda: zipped(("..\\evil", "x", FILE_MODE)), "leads outside"),
    "zip drive": ("x.zip", lambda: zipped(("C:\\evil", "x", FILE_MODE)), "absolute name"),
    "zip NUL": ("x.zip", lambda: patched(zipped(("abc", "x", FILE_MODE)), b"abc", b"a\0c"), "NUL"),
    "zip link": ("x.zip", lambda: zipped(("a", "../evil", LINK_MODE)), "outside of the archive"),
    "zip long link": ("x.zip", lambda: zipped(("a", "n" * 5000, LINK_MODE)), "5000 bytes"),
    "zip device": ("x.zip", lambda: zipped(("a", "", stat.S_IFCHR | 0o666)), "device"),
    "zip twice": (
        "x.zip",
        lambda: patched(zipped(("a", "", LINK_MODE), ("b", "", FILE_MODE)), b"b", b"a"),
        "twice",
    ),
    "zip encrypted": ("x.zip", lambda: with_flag(zipped(("a", "x", FILE_MODE)), 6, 8, "<H", 1), "encrypted"),
    "zip bzip2": ("x.zip", lambda: zipped(("a", "x", FILE_MODE), method=zipfile.ZIP_BZIP2), "only deflate"),
    "zip bomb": ("x.zip", lambda: zipped(("a", "0" * 500_000, FILE_MODE)), "MiB unpacked"),
    "zip longer than it says": (
        "x.zip",
        lambda: with_flag(zipped(("a", "0" * 500_000, FILE_MODE)), 22, 24, "<I", 10),
        "broken",
    ),
    "zip shorter than it says": (
        "x.zip",
        lambda: with_flag(zipped(("a", "xyz", FILE_MODE)), 22, 24, "<I", 500),
        "not as long",
    ),
    "zip wrong checksum": (
        "x.zip",
        lambda: with_flag(zipped(("a", "x", FILE_MODE)), 14, 16, "<I", 7),
        "broken",
    ),
    "zip method": (
        "x.zip",
        lambda: with_flag(zipped(("a", "x", FILE_MODE)), 8, 10, "<H", 77),
        "only deflate",
    ),
    "zip many": (
        "x.zip",
        lambda: zipped(*((f"f{n}", "", FILE_MODE) for n in range(41))),
        "more than 40 files",
    ),
}


def kept(directory: Path) -> list[Path]:
    """Return what lies below a directory, but for the files that processes lock."""
    return [path for path in directory.rglob("*") if not path.is_dir() and ".locks" not in path.parts]


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path: Path, case: str) -> None:
    name, make, reason = HOSTILE[case]
    place = tmp_path / "in" / "here"
    place.mkdir(parents=True)
    archive = place / name
    archive.write_bytes(make())
    with pytest.raises(ProjectError) as caught:
        unpacked(str(archive), str(archive), cache=str(place / "cache"), note=print, limits=SMALL)
    (problem,) = caught.value.problems
    assert problem.name == "refused-archive"
    assert reason in problem.message
    assert str(archive) in problem.message
    assert kept(tmp_path) == [archive]
    assert not list((place / "cache" / ".incomplete").iterdir())
    assert not (place / "cache" / "archives").exists()


def test_mutations_of_good_archives_are_read_or_refused(tmp_path: Path) -> None:
    """No change of a byte makes anything but a refusal, or files within the cache."""
    good = {"x.tar": tar(member("d/a"), member("l", LINK, "d/a")), "x.zip": zipped(("d/a", "xyz", FILE_MODE))}
    for name, data in good.items():
        for at in range(0, min(len(data), 1700), 11):
            archive = tmp_path / name
            archive.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
            try:
                unpacked(str(archive), str(archive), cache=str(tmp_path / "cache"), note=print, limits=SMALL)
            except ProjectError:
                continue
    assert {path.name for path in tmp_path.iterdir()} == {"x.tar", "x.zip", "cache"}


GOOD: dict[str, Callable[[list[tuple[tarfile.TarInfo, bytes]]], bytes]] = {
    "zip": lambda members: zipped(*((i.name, d.decode(), FILE_MODE | i.mode) for i, d in members)),
    "tar": lambda members: tar(*members),
    "tar.gz": lambda members: gzip.compress(tar(*members)),
    "tgz": lambda members: (
        gzip.compress(tar(*members)[:700]) + gzip.compress(tar(*members)[700:]) + bytes(20)
    ),
    "tar.bz2": lambda members: bz2.compress(tar(*members, form=tarfile.GNU_FORMAT)),
    "tar.xz": lambda members: lzma.compress(tar(*members, form=tarfile.USTAR_FORMAT)),
}


@pytest.mark.parametrize("suffix", GOOD)
def test_good_archives_are_unpacked_once(tmp_path: Path, suffix: str) -> None:
    script = member("project/" + "long/" * 25 + "train ü.sh", text="#!" + "x" * 300_000)
    script[0].mode = 0o4755
    members = [
        member("project/MLproject", text=MLPROJECT),
        script,
        member("project/.git/config", text="evil"),
    ]
    archive = tmp_path / f"x.{suffix}"
    archive.write_bytes(GOOD[suffix](members))
    top, found = unpacked(str(archive), str(archive), cache=str(tmp_path / "cache"), note=print)
    assert Path(top).name == "project"
    assert (Path(top) / "MLproject").read_text() == MLPROJECT
    file = Path(top) / ("long/" * 25 + "train ü.sh")
    assert file.stat().st_size == 300_002
    assert stat.S_IMODE(file.stat().st_mode) & 0o7111 == 0o111
    assert not stat.S_IMODE((Path(top) / "MLproject").stat().st_mode) & 0o111
    assert not (Path(top) / ".git").exists()
    assert found.sha256 == subprocess.check_output(["sha256sum", archive], text=True).split()[0]
    (Path(top) / "written").touch()
    copy = tmp_path / f"copy.{suffix}"
    copy.write_bytes(archive.read_bytes())
    again, _ = unpacked(str(archive), str(archive), cache=str(tmp_path / "cache"), note=print)
    assert again == top
    assert (Path(again) / "written").exists()


def test_what_the_system_packs_with_its_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "data" / "deep").mkdir(parents=True)
    (source / "MLproject").write_text(MLPROJECT)
    (source / "data" / "a").write_text("a")
    (source / "data" / "deep" / "up").symlink_to("../a")
    (source / "latest").symlink_to("data/deep")
    (source / "later").symlink_to("outputs/model")
    os.link(source / "data" / "a", source / "same")
    archive = tmp_path / "x.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", source, "."], check=True)
    top = Path(unpacked(str(archive), str(archive), cache=str(tmp_path / "cache"), note=print)[0])
    assert (top / "latest" / "up").read_text() == (top / "same").read_text() == "a"
    assert (top / "later").readlink() == Path("outputs/model")
    assert (top / "same").samefile(top / "data" / "a")
