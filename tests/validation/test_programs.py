"""What the machine says about commands: missing scripts, and what bash cannot read."""

from __future__ import annotations

from pathlib import Path

import pytest

from dioptra_cli.errors import Problem
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.shell import read_command
from dioptra_cli.mlproject.usage import script_calls
from dioptra_cli.validation.programs import check_programs


def check(directory: Path, command: str, environment: str = "") -> list[Problem]:
    """Check an entry point with the parameter `x`; its command is a literal block from line 5, column 7 on."""
    lines = command.replace("\n", "\n      ")
    text = (
        f"{environment}entry_points:\n  main:\n    parameters: {{x: string}}\n    command: |\n      {lines}\n"
    )
    (directory / "MLproject").write_text(text)
    project = loader.load(str(directory)).project
    assert project is not None
    entry_point = project.entry_points["main"]
    assert entry_point.command is not None
    _, reading = read_command(entry_point.command)
    return list(check_programs(project, entry_point, reading, script_calls(reading)))


def place(problem: Problem) -> tuple[int | None, int | None]:
    assert problem.location is not None
    assert problem.entry_point == "main"
    return problem.location.line, problem.location.column


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with some scripts."""
    for name in (
        "src/train.py",
        "src/deep/eval.py",
        "run.sh",
        "main.py",
        ".venv/lib/ignored.py",
        "lib/py/seen.py",
        "package/__init__.py",
        "package/module.py",
        "package/sub/__init__.py",
        "package2/__main__.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "lib/pyvenv.cfg").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "column", "hint"),
    [
        ("python train.py {x}", 14, "did you mean 'src/train.py'?"),
        ("python src/trian.py", 14, "did you mean 'src/train.py'?"),
        ("python -u src/Train.py", 17, "did you mean 'src/train.py'?"),
        ("bash rum.sh", 12, "did you mean 'run.sh'?"),
        ("./scripts/run.sh {x}", 7, "did you mean 'run.sh'?"),
        ("python 'src/eval.py'", 14, "did you mean 'src/deep/eval.py'?"),
        ("python ignored.py", 14, "a script's path starts"),
        ("python seen.py", 14, "a script's path starts"),
        ("python {{x}}.py", 14, None),
        ("python /no/such/script.py", 14, "a path below the project's directory"),
        ("python /app/train.py", 14, "did you mean 'src/train.py'?"),
        ("python -m src.trian", 17, "did you mean 'src.train'?"),
        ("python -m package.other", 17, "there is no 'other.py' in 'package'"),
        ("python -m package.sub", 17, "name a module in it"),
        ("python -m src/train", 17, "write 'src.train'"),
        ("python -m src.train.py", 17, "write 'src.train'"),
        ("python src {x}", 14, "did you mean 'src/train.py'?"),
        ("./run.sh {x}", 7, "write 'bash ./run.sh'"),
        ("time src/train.py", 12, "write 'python src/train.py'"),
        ("cd scr && python train.py && python x.py", 10, "did you mean 'src'?"),
        ("cd src && python trian.py", 24, "did you mean 'train.py'?"),
        ("cd src; cd ..; python main.py\npython train.py", 14, "did you mean 'src/train.py'?"),
        ("cd /no/such; python x.py", 10, "a path below"),
        ("export A=1; pip install -r r.txt && python main.py && python x.py {x}", 68, None),
        ("python src/train.py | python x.py", 36, None),
        ("python x.py; python x.py", 14, None),
    ],
)
def test_a_missing_script_is_reported(project: Path, command: str, column: int, hint: str | None) -> None:
    (problem,) = check(project, command)
    assert problem.name == "missing-script"
    assert place(problem) == (6 if "\n" in command else 5, column)
    if hint is not None:
        assert (problem.hint or "").startswith(hint)


@pytest.mark.parametrize(
    "command",
    [
        "python src/train.py {x} && bash run.sh",
        "python -m x.y",
        "python -c 'import x'",
        "python src/{x}.py",
        "python $SRC/x.py",
        "python src/*.py",
        "python src\\x.py",
        "python package2",
        "x.py",
        "cd src && python train.py",
        "cd src || exit 1; python x.py",
        "cd scr && true || python x.py",
        "cd $DIR && python x.py",
        "true | cd src && python x.py",
        "cd src & python main.py",
        "(cd src; python x.py)",
        "mkdir out && cd out && ls",
        "python main.py && cd out && ls",
        "python -m src.run.this",
        "python -m src.other",
        "python -m package.module",
        "chmod +x run.sh && ./run.sh",
        "test -f x.py && python x.py || true",
        "python main.py --out x.py && python x.py",
        "python -m jupyter nbconvert --to script x.ipynb && python x.py",
        "if {x}; then python x.py; fi",
        "git clone u && python u/x.py",
        "wget u/x.py; python x.py",
        "echo 'print(1)' > x.py; python x.py",
        "cat <<EOF >x.py\nEOF\npython x.py",
        "test -f x.py || python x.py",
        "python $(which x.py)",
        "torchrun --unheard-of x.py",
    ],
)
def test_what_may_exist_is_not_reported(project: Path, command: str) -> None:
    assert check(project, command) == []


def test_a_file_of_the_image_is_not_reported(project: Path) -> None:
    command = "python /opt/x.py"
    assert len(check(project, command)) == 1
    assert check(project, command, "docker_env:\n  image: i\n") == []
    assert check(project, "cd /opt/app && python x.py", "docker_env:\n  image: i\n") == []


@pytest.mark.parametrize(
    ("command", "where", "message"),
    [
        ("echo it's {x}", (5, 14), "a single quote is not closed"),
        ('echo {x}\necho "a', (6, 12), "a double quote is not closed"),
        ("echo 'a'\necho {x} `date", (6, 16), "a backtick is not closed"),
        ("echo a )", (5, 14), "did not expect ')' here"),
        ("echo {x}\necho {{}}; fi", (6, 18), "did not expect 'fi' here"),
        ("&& echo {x}", (5, 7), "did not expect '&&' here"),
        ("echo {x} &&", (5, 16), "nothing follows '&&'"),
        ("echo a; ; echo {x}", (5, 15), "did not expect ';' here"),
        ("if true; then\n  echo {x}", (5, 7), "this 'if' lacks its 'fi'"),
        ("for i in 1 2\ndo\n  echo {x}", (6, 7), "this 'do' lacks its 'done'"),
        ("if true; then fi", (5, 21), "did not expect 'fi' here"),
        ("echo $(date", (5, 13), "a '(' is not closed"),
        ("echo %(x)s", (5, 12), "'%(x)s', not the placeholder '{x}'"),
        ("echo <x>", (5, 12), "'<x>', not the placeholder '{x}'"),
        ("echo " + "$(" * 3000, (5, 7), "nested too deeply"),
    ],
)
def test_what_bash_cannot_read_is_reported(
    tmp_path: Path, command: str, where: tuple[int, int], message: str
) -> None:
    (problem,) = check(tmp_path, command)
    assert problem.name == "shell-syntax"
    assert message in problem.message
    assert place(problem) == where


@pytest.mark.parametrize(
    "command",
    [
        "if true; then echo {x}; fi; for i in 1; do (echo {x}); done",
        "f() {{ echo {x}; }}; f",
        "coproc cat {x}",
        "set -o posix; echo",
        "cat <<EOF\nno end",
        "-v; echo {x}",
        "echo \"$(case a in b) echo ')';; esac)\"",
    ],
)
def test_what_bash_can_read_is_not_reported(tmp_path: Path, command: str) -> None:
    assert check(tmp_path, command) == []


def test_bash_is_asked_only_where_the_reader_is_not_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def capture(argv: list[str], **_: object) -> None:  # as where there is no bash
        asked.append(argv[-1])

    monkeypatch.setattr("dioptra_cli.execution.process.commands.capture", capture)
    assert check(tmp_path, "A=1 echo {x} 'a' \"$B\" | cat >f && echo b") == []
    assert asked == []
    assert check(tmp_path, "echo {x}; fi") == []
    assert asked == ["echo x; fi\n"]
