"""What may be extracted from an archive of a stranger, and what may not."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from dioptra_builtins.artifacts import utils
from dioptra_builtins.artifacts.exceptions import UnsafeArchiveError
from dioptra_builtins.artifacts.utils import (
    extract_tarfile,
    extract_tarfile_in_unique_subdir,
    make_directories,
)

Entry = tuple[str, bytes, dict[str, Any]]

FILE, LINK, SYMLINK, DIRECTORY = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE


def packed(
    path: Path, *entries: tuple[str, Any] | tuple[str, Any, dict[str, Any]], mode: str = "w:gz"
) -> Path:
    """Write an archive of (name, content or the target of a link, attributes)."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # the mode is a plain string
        for name, content, *rest in entries:
            member = tarfile.TarInfo(name)
            for attribute, value in (rest[0] if rest else {}).items():
                setattr(member, attribute, value)
            if member.type in {LINK, SYMLINK}:
                member.linkname = content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def tree(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("write", "read"), [("w:gz", "r:gz"), ("w:bz2", "r:bz2"), ("w:xz", "r:xz"), ("w", "r:"), ("w:gz", "r:*")]
)
def test_an_honest_archive_is_extracted(write: str, read: str, tmp_path: Path) -> None:
    entries = (("data", b"", {"type": DIRECTORY}), ("data/a/1.txt", b"one"), ("./data/2.txt", b"two"))
    archive = packed(tmp_path / "data.tar", *entries, mode=write)
    extract_tarfile(filepath=archive, tarball_read_mode=read, output_dir=tmp_path / "out" / "here")
    assert tree(tmp_path / "out" / "here") == {"data/a/1.txt": "one", "data/2.txt": "two"}


def test_the_current_directory_is_where_it_goes_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "data.tar.gz", ("1.txt", b"one"))
    monkeypatch.chdir(tmp_path)
    extract_tarfile(filepath=str(archive))
    assert (tmp_path / "1.txt").read_text() == "one"
    one, other = (extract_tarfile_in_unique_subdir(filepath=archive) for _ in range(2))
    assert one != other
    assert one.parent == tmp_path
    assert tree(one) == tree(other) == {"1.txt": "one"}


def test_links_inside_are_kept(tmp_path: Path) -> None:
    archive = packed(
        tmp_path / "links.tar.gz",
        ("set/a/latest", "../b/1.txt", {"type": SYMLINK}),  # before what it leads to
        ("set/b/1.txt", b"one"),
        ("set/b/again", "set/b/1.txt", {"type": LINK}),
        ("set/here", ".", {"type": SYMLINK}),
    )
    extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    out = tmp_path / "out" / "set"
    assert (out / "a" / "latest").read_text() == "one"
    assert (out / "a" / "latest").is_symlink()
    assert (out / "b" / "again").samefile(out / "b" / "1.txt")
    assert (out / "here").resolve() == out.resolve()


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", b"")],
        [("a/../../evil", b"")],
        [("/evil", b"")],
        [("link", "/etc", {"type": SYMLINK})],
        [("link", "..", {"type": SYMLINK})],
        [("a/b/link", "../../../x", {"type": SYMLINK})],
        [("x", ".", {"type": SYMLINK}), ("y", "x/..", {"type": SYMLINK})],
        [("link", "/etc/passwd", {"type": LINK})],
        [("link", "../passwd", {"type": LINK})],
        [("link", "not/in/the/archive", {"type": LINK})],
        [("symlink", "file", {"type": SYMLINK}), ("link", "symlink", {"type": LINK})],
        [("device", b"", {"type": tarfile.CHRTYPE})],
        [("disk", b"", {"type": tarfile.BLKTYPE})],
        [("pipe", b"", {"type": tarfile.FIFOTYPE})],
    ],
)
def test_what_would_leave_the_directory_is_refused_and_nothing_is_written(
    entries: list[Any], tmp_path: Path
) -> None:
    archive = packed(tmp_path / "evil.tar.gz", ("honest", b"x"), *entries)
    with pytest.raises(UnsafeArchiveError):
        extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".cache") == ["evil.tar.gz"]


@pytest.mark.parametrize("target", ["{outside}", "inside"])
def test_nothing_is_written_through_a_link_of_the_archive(target: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    linked = target.format(outside=tmp_path / "outside")
    archive = packed(tmp_path / "a.tar.gz", ("d", linked, {"type": SYMLINK}), ("d/evil", b"x"))
    with pytest.raises((UnsafeArchiveError, OSError)):
        extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "out" / "inside").exists()


def test_nothing_is_written_through_a_link_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path / "outside")
    (tmp_path / "out" / "here").symlink_to(".")
    for entry in (
        ("d/evil", b"x"),
        ("d/sub", b"", {"type": DIRECTORY}),
        ("here/up", "..", {"type": SYMLINK}),
    ):
        archive = packed(tmp_path / "a.tar.gz", entry)
        with pytest.raises(UnsafeArchiveError, match="through a link"):
            extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([("sub/evil", b"x")], "sub/evil"),  # a link out
        ([("directory", b"x")], "directory"),
        ([("directory", "sub", {"type": SYMLINK})], "directory"),
        ([(".", b"x")], "."),
        ([("file", b"", {"type": DIRECTORY})], "file"),
        ([("file/a/b", b"x")], "file/a/b"),
        ([("here/file/a", b"x")], "here/file/a"),
        ([("a", b"x"), ("a/b", b"x")], "a/b"),
        ([("a/b", b"x"), ("a", b"x")], "a/b"),
        ([("a/b", b"x"), ("here/a", b"x")], "a/b"),
        ([("here", b"x"), ("here/b", b"x")], "here/b"),
        ([("a", "file", {"type": SYMLINK}), ("a", b"", {"type": DIRECTORY})], "a"),
        ([("a", b"x"), ("a", "a", {"type": LINK})], "a"),
    ],
)
def test_what_cannot_be_written_is_found_before_anything_is(
    entries: list[Any], named: str, tmp_path: Path
) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    (out / "directory").mkdir(parents=True)
    outside.mkdir()
    (out / "file").write_text("kept")
    (out / "sub").symlink_to(outside)
    (out / "here").symlink_to(".")
    archive = packed(tmp_path / "a.tar.gz", ("file.txt", b"x"), ("new/honest", b"x"), *entries)
    with pytest.raises(UnsafeArchiveError, match=f"'{named}'"):
        extract_tarfile(filepath=archive, output_dir=out)
    assert sorted(path.name for path in out.iterdir()) == ["directory", "file", "here", "sub"]
    assert (out / "file").read_text() == "kept"
    assert list(outside.iterdir()) == []


def test_a_file_for_the_directory_itself_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", (".", b"x"))
    with pytest.raises(UnsafeArchiveError, match=r"'\.'"):
        extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_may_be_extracted_again(tmp_path: Path) -> None:
    archive = packed(
        tmp_path / "a.tar.gz",
        ("set", b"", {"type": DIRECTORY}),
        ("set/1.txt", b"first"),
        ("set/1.txt", b"one"),
        ("set/again", "set/1.txt", {"type": LINK}),
        ("latest", "set", {"type": SYMLINK}),
    )
    for _ in range(2):
        extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    assert (tmp_path / "out" / "latest" / "again").read_text() == "one"


def test_what_was_there_is_replaced_not_written_into(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("precious")
    os.link(tmp_path / "precious", out / "hard")
    (out / "soft").symlink_to(tmp_path / "precious")
    archive = packed(tmp_path / "a.tar.gz", ("hard", b"new"), ("soft", b"new"))
    extract_tarfile(filepath=archive, output_dir=out)
    assert tree(out) == {"hard": "new", "soft": "new"}
    assert (tmp_path / "precious").read_text() == "precious"


def test_permissions_beyond_the_executable_bit_are_not_taken_over(tmp_path: Path) -> None:
    archive = packed(
        tmp_path / "a.tar.gz",
        ("tool", b"x", {"mode": 0o6777, "uid": 0}),
        ("data", b"x", {"mode": 0}),
        ("shut", b"", {"type": DIRECTORY, "mode": 0}),
        ("shut/file", b"x"),
    )
    umask = os.umask(0o022)
    try:
        extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "out" / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "out" / "data").stat().st_mode) == 0o644
    assert (tmp_path / "out" / "shut" / "file").read_text() == "x"


def test_a_bomb_is_refused_before_it_is_decompressed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("zeros")
        member.size = utils.MAX_EXTRACTED_BYTES + 1
        archive.fileobj.write(member.tobuf())
    with pytest.raises(UnsafeArchiveError, match="more than 68719476736 bytes; if it is to be trusted"):
        extract_tarfile(filepath=tmp_path / "bomb.tar.gz", output_dir=tmp_path / "out")


def test_the_limit_counts_all_files_and_may_be_raised(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", ("one", b"x" * 600), ("two", b"x" * 600))
    with pytest.raises(UnsafeArchiveError, match="more than 1000 bytes"):
        extract_tarfile(filepath=archive, output_dir=tmp_path / "out", max_bytes=1000)
    extract_tarfile(filepath=archive, output_dir=tmp_path / "out", max_bytes=1200)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "a.tar.gz", *[(str(number), b"") for number in range(4)])
    monkeypatch.setattr(utils, "MAX_MEMBERS", 3)
    with pytest.raises(UnsafeArchiveError, match="more than 3 members"):
        extract_tarfile(filepath=archive, output_dir=tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "header.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("header")
        member.type, member.size = kind, 2**32
        archive.fileobj.write(member.tobuf())
    with pytest.raises(UnsafeArchiveError, match="a header of 4294967296 bytes"):
        extract_tarfile(filepath=tmp_path / "header.tar.gz", output_dir=tmp_path / "out")


def test_a_long_name_is_fine(tmp_path: Path) -> None:
    name = "/".join(["directory" * 10] * 4)
    archive = packed(tmp_path / "a.tar.gz", (name, b"x"))
    extract_tarfile(filepath=archive, output_dir=tmp_path / "out")
    assert tree(tmp_path / "out") == {name: "x"}


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("negative")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512
    unsigned = sum(header[:148]) + 8 * 32 + sum(header[156:512])
    header[148:156] = f"{unsigned:06o}\0 ".encode()
    (tmp_path / "a.tar").write_bytes(bytes(header) + b"\0" * 1024)
    with pytest.raises((UnsafeArchiveError, tarfile.ReadError)):
        extract_tarfile(filepath=tmp_path / "a.tar", tarball_read_mode="r:", output_dir=tmp_path / "out")


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_text("plain text")
    with pytest.raises(tarfile.ReadError):
        extract_tarfile(filepath=tmp_path / "a.tar.gz", output_dir=tmp_path / "out")


def test_directories_are_made_once_and_for_all(tmp_path: Path) -> None:
    make_directories(dirs=[tmp_path / "a" / "b", str(tmp_path / "a" / "b")])
    assert (tmp_path / "a" / "b").is_dir()
