"""`dioptra validate` as its user sees it: forms of output, selection, repairs, many files, standard input."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEFECTIVE = """\
entry_points:
  train:
    paramters: {epochs: float}
    command: echo {epochs}
"""
GOOD = "entry_points:\n  main:\n    command: echo good\n"
WARNED = "entry_points:\n  main: {command: echo x, typo: 1}\n"
MENDABLE = """\
# The project.
entry_points:
  main:
    parameters:
      lr: {type: float, default:0.1}  # learning rate
      epochs:   {type: float, defulat: 3}
    command: echo {lr} {epochs}
"""
MENDED = MENDABLE.replace("default:0.1", "default: 0.1").replace("defulat", "default")


def test_text_shows_the_place_the_line_and_carets(dioptra: Any, project: Any) -> None:
    called = dioptra("validate", str(project(DEFECTIVE)), env={"NO_COLOR": "1"})
    assert called.code == 1
    file = f"{project(DEFECTIVE)}/MLproject"
    assert called.out.splitlines() == [
        f"{file}:3:5: warning DIO210 unknown key 'paramters' in the entry point 'train'",
        "    3 |     paramters: {epochs: float}",
        "      |     ^^^^^^^^^",
        "      = did you mean 'parameters'?",
        f"{file}:4:19: error DIO401 no parameter is named 'epochs'",
        "    4 |     command: echo {epochs}",
        "      |                   ^^^^^^^^",
        "      = declare it, or double the braces to keep them: {{epochs}}",
    ]
    assert called.err == "1 error, 1 warning in 1 project; --fix mends 1 of them\n"


def test_json_has_one_object_for_each_problem(dioptra: Any, project: Any) -> None:
    directory = project(DEFECTIVE)
    first, second = dioptra("validate", str(directory), "--format", "json").json
    assert first == {
        "file": f"{directory}/MLproject",
        "line": 3,
        "column": 5,
        "end_column": 14,
        "level": "warning",
        "code": "DIO210",
        "name": "unknown-key",
        "message": "unknown key 'paramters' in the entry point 'train'",
        "hint": "did you mean 'parameters'?",
        "entry_point": "train",
        "fixable": True,
    }
    assert (second["code"], second["line"], second["column"]) == ("DIO401", 4, 19)
    assert dioptra("validate", str(project(GOOD, name="good")), "--format", "json").json == []


def test_sarif_names_the_rules_and_the_regions(dioptra: Any, project: Any) -> None:
    project(DEFECTIVE, name="a b")
    (run,) = dioptra("validate", "a b", "--format", "sarif").json["runs"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert [result["ruleId"] for result in run["results"]] == ["DIO210", "DIO401"]
    assert {result["ruleId"] for result in run["results"]} <= rules
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b/MLproject"}
    assert place["region"] == {"startLine": 3, "startColumn": 5, "endColumn": 14}
    (clean,) = dioptra("validate", str(project(GOOD, name="good")), "--format", "sarif").json["runs"]
    assert clean["results"] == []


def test_github_gets_workflow_commands(dioptra: Any, project: Any) -> None:
    project(DEFECTIVE, name="a,b")
    first = dioptra("validate", "a,b", "--format", "github").out.splitlines()[0]
    assert first == (
        "::warning file=a%2Cb/MLproject,line=3,col=5,endColumn=14,title=DIO210 unknown-key::"
        "unknown key 'paramters' in the entry point 'train' (did you mean 'parameters'?)"
    )


def test_exit_codes(dioptra: Any, project: Any, tmp_path: Path) -> None:
    good, bad = project(GOOD, name="good"), project(DEFECTIVE, name="bad")
    warned = project(WARNED, name="warned")
    assert dioptra("validate", cwd=good).code == 0
    assert dioptra("validate", "MLproject", cwd=good).code == 0
    assert dioptra("validate", str(good), str(bad / "MLproject")).code == 1
    assert dioptra("validate", str(warned)).code == 0
    assert dioptra("validate", "--strict", str(warned)).code == 1
    missing = dioptra("validate", str(tmp_path / "none"), str(bad))
    assert missing.code == 2
    assert "no project directory or file" in missing.out
    assert "DIO401" in missing.out
    assert dioptra("validate", "--select", "DIO9").code == 2


def test_a_folder_stands_for_the_files_below_it(dioptra: Any, project: Any, tmp_path: Path) -> None:
    project(DEFECTIVE, name="all/a")
    project(WARNED, name="all/b/c")
    project(DEFECTIVE, name="all/.hidden")
    project(DEFECTIVE, name="all/venv", pyvenv__cfg="")
    (tmp_path / "all" / "one.MLproject").write_text(WARNED)
    called = dioptra("validate", "all", "--format", "github")
    files = {line.split("file=")[1].split(",")[0] for line in called.out.splitlines()}
    assert files == {"all/a/MLproject", "all/b/c/MLproject", "all/one.MLproject"}
    project(GOOD, name="all")  # now it is a project itself
    assert dioptra("validate", "all").out == ""
    (tmp_path / "empty").mkdir()
    assert "DIO002" in dioptra("validate", "empty").out


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ([], ["DIO210", "DIO401"]),
        (["--select", "DIO4"], ["DIO401"]),
        (["--select", "unknown-key"], ["DIO210"]),
        (["--select", "DIO210,DIO4"], ["DIO210", "DIO401"]),
        (["--ignore", "DIO2", "--ignore", "undeclared-placeholder"], []),
        (["--select", "DIO", "--ignore", "DIO401"], ["DIO210"]),
    ],
    ids=" ".join,
)
def test_checks_can_be_chosen(dioptra: Any, project: Any, options: list[str], codes: list[str]) -> None:
    called = dioptra("validate", str(project(DEFECTIVE)), "--format", "json", *options)
    assert [problem["code"] for problem in called.json] == codes
    assert called.code == ("DIO401" in codes)


def test_what_mlflow_refuses_is_reported_whatever_is_chosen(dioptra: Any, project: Any) -> None:
    directory = project("entry_points:  # dioptra: ignore[DIO202]\n  - main\n# dioptra: ignore-file[DIO2]\n")
    called = dioptra("validate", str(directory), "--ignore", "DIO202", "--select", "DIO4")
    assert called.code == 1
    assert "DIO202" in called.out


def test_explain(dioptra: Any) -> None:
    by_code, by_name = (
        dioptra("validate", "--explain", "DIO108"),
        dioptra("validate", "--explain", "duplicate-key"),
    )
    assert by_code.out == by_name.out
    assert by_code.out.startswith("DIO108 duplicate-key (warning): a key that is written twice\n")
    assert "entry_points:" in by_code.out
    listed = dioptra("validate", "--explain", "all").out
    assert "DIO108  warning  duplicate-key" in listed
    wrong = dioptra("validate", "--explain", "DIO10x")
    assert wrong.code == 2
    assert "`dioptra validate --explain all` lists them" in wrong.err
    assert "did you mean 'duplicate-key'?" in dioptra("validate", "--explain", "duplicate-keys").err


def test_fix_mends_and_keeps_the_rest(dioptra: Any, project: Any) -> None:
    file = project(MENDABLE) / "MLproject"
    os.chmod(file, 0o640)
    shown = dioptra("validate", "--diff", cwd=file.parent)
    assert shown.code == 1
    assert file.read_text() == MENDABLE
    assert "\n-      epochs:   {type: float, defulat: 3}\n" in shown.out
    assert "\n+      epochs:   {type: float, default: 3}\n" in shown.out
    called = dioptra("validate", "--fix", cwd=file.parent)
    assert (called.code, called.out) == (0, "")
    assert called.err == "dioptra: mended 2 problems in 1 file\nno problems in 1 project\n"
    assert file.read_text() == MENDED
    assert file.stat().st_mode & 0o777 == 0o640
    assert dioptra("validate", "--diff", cwd=file.parent).code == 0


def test_a_diff_can_be_applied(dioptra: Any, project: Any) -> None:
    directory = project(MENDABLE)
    difference = dioptra("validate", "--diff", cwd=directory).out
    patch = subprocess.run(
        ["git", "apply", "-"], cwd=directory, input=difference, text=True, capture_output=True, check=False
    )
    assert patch.returncode == 0, patch.stderr
    assert (directory / "MLproject").read_text() == MENDED


def test_fix_of_a_file_that_cannot_be_written(dioptra: Any, project: Any) -> None:
    directory = project(MENDABLE)
    (directory / "MLproject").rename(directory / "real")
    (directory / "MLproject").symlink_to("real")
    assert dioptra("validate", "--fix", cwd=directory).code == 0
    assert (directory / "MLproject").is_symlink()
    assert (directory / "real").read_text() == MENDED


def test_standard_input(dioptra: Any, project: Any) -> None:
    called = dioptra("validate", "-", stdin=DEFECTIVE)
    assert called.code == 1
    assert called.out.startswith("MLproject:3:5: warning DIO210")
    named = dioptra("validate", "-", "--stdin-filename", "sub/MLproject", stdin=DEFECTIVE)
    assert named.out.startswith("sub/MLproject:3:5: warning DIO210")
    mended = dioptra("validate", "--fix", "-", stdin=MENDABLE)
    assert (mended.code, mended.out) == (0, MENDED)
    unmendable = dioptra("validate", "--fix", "-", stdin=GOOD.replace("good", "{x}"))
    assert unmendable.out == GOOD.replace("good", "{x}")
    assert "DIO401" in unmendable.err
    assert dioptra("validate", "--stdin-filename", "x").code == 2


def test_what_cannot_be_mended_still_fails(dioptra: Any, tmp_path: Path) -> None:
    piped = dioptra("validate", "--fix", "-", stdin="entry_points:\n  main:\n    command: echo {x}\n")
    assert (piped.code, piped.err.splitlines()[-1]) == (1, "1 error in 1 project")
    shown = dioptra("validate", "--diff", "none")
    assert (shown.code, "no project directory or file 'none'" in shown.err) == (2, True)
    assert dioptra("validate", "--fix", "--format", "json", "-", stdin=GOOD).code == 2
    assert dioptra("validate", "--select", "").code == 2


def test_each_file_counts_once(dioptra: Any, project: Any, tmp_path: Path) -> None:
    project(WARNED, name="a")
    (tmp_path / "link").symlink_to("a")
    called = dioptra("validate", "a", "a/MLproject", "./a/../a", "link")
    assert called.err == "1 warning in 1 project\n"


def test_what_is_no_regular_file_is_not_read(dioptra: Any, tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "MLproject")
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "MLproject").symlink_to("/dev/zero")
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "MLproject").write_text("# comment\n" * 500_000)
    called = dioptra("validate", "pipe", "device", "large", "--fix", "--format", "github")
    assert called.code == 1
    assert called.out.count("it is no regular file") == 2
    assert "the file is larger than 4 MB" in called.out
    assert "no regular file" in dioptra("list-entry-points", "pipe").err


def test_files_cannot_play_with_the_terminal(dioptra: Any, project: Any) -> None:
    text = """\
entry_points:
  main:
    description: "\\e]0;title\\a \\u202Eturned"
    parameters:
      "p\\e]0;x\\a": {type: "s\\e[31mx", description: "\\u009b31m"}
    command: echo
"""
    directory = str(project(text))
    for arguments in (["validate"], ["list-entry-points"], ["list-entry-points", "-e", "main"], ["run"]):
        called = dioptra(*arguments, directory, env={"FORCE_COLOR": "1"})
        printed = re.sub(r"\x1b\[[0-9;]*m", "", called.out + called.err)
        assert not set(printed) & set("\x1b\a\u202e\u009b"), arguments
        assert "\\x1b]0;" in printed, arguments


def test_a_full_disk_ends_in_a_sentence(project: Any) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dioptra_cli", "validate", str(project(DEFECTIVE))],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, "Traceback" in done.stderr) == (125, False)
    assert "the output cannot be written: No space left on device" in done.stderr


def test_a_long_line_is_cut_around_its_place_on_a_terminal_only(dioptra: Any, project: Any) -> None:
    text = f"entry_points:\n  main:\n    command: echo {'long ' * 30} {{x}} {'long ' * 30}end\n"
    piped = dioptra("validate", str(project(text)), "--select", "DIO401").out.splitlines()
    assert piped[1].endswith("long end")
    assert piped[2].index("^") == piped[1].index("{x}")


def test_the_output_takes_no_memory_for_the_files_behind(dioptra: Any, project: Any, tmp_path: Path) -> None:
    names = [f"many/{number}" for number in range(1500)]
    for name in names:
        project(DEFECTIVE, name=name)

    def peak(count: int, form: str) -> int:
        code = (
            "import resource, sys; from dioptra_cli.cli.boundary import run_command_line\n"
            "code = run_command_line(sys.argv[1:])\n"
            "used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
            "print(max(used), file=sys.stderr)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "validate", "--format", form, *names[:count]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.count("DIO401") >= count
        return int(done.stderr.splitlines()[-1])

    for form in ("text", "sarif"):
        assert peak(1500, form) < peak(150, form) + 4096, form


def test_nothing_is_imported_for_what_is_not_asked(project: Any) -> None:
    late = [
        "difflib",
        "subprocess",
        "dioptra_cli.validation.explanations",
        "dioptra_cli.mlproject.yaml_errors",
    ]
    code = (
        "import sys; from dioptra_cli.cli.boundary import run_command_line\n"
        f"run_command_line(['validate', {str(project(GOOD))!r}])\n"
        f"print(sorted(set({late!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
