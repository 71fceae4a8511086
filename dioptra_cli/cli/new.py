"""`dioptra new`: writes entry points and projects that run at once."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

import click

from dioptra_cli.cli import completion, output
from dioptra_cli.cli.options import project_argument
from dioptra_cli.errors import Level, Problem, ProjectError, UsageError, did_you_mean
from dioptra_cli.mlproject import checks, loader
from dioptra_cli.mlproject.model import EXTRA_TYPES, STANDARD_TYPES, EntryPoint, Project
from dioptra_cli.mlproject.selection import require_declared
from dioptra_cli.parameters.resolve import check_declarations
from dioptra_cli.scaffold import commands, declare, edit, files, names, script
from dioptra_cli.scaffold import project as new_project


@click.group(name="new")
def command() -> None:
    """Write an entry point or a whole project to start from."""


@command.command(name="project", short_help="Write a whole project.")
@click.argument("directory", type=click.Path())
@click.option("--name", metavar="NAME", help="What the project is called. [default: the directory's name]")
def project_command(directory: str, name: str | None) -> None:
    """Write a project into DIRECTORY, which must be new or empty.

    It has two entry points, task plugins of its own, and a README; it runs as it is.
    """
    held = _held(directory)
    if held:
        more = f" and {len(held) - 5} more" if len(held) > 5 else ""
        raise UsageError(
            Problem(
                "not-empty",
                f"'{directory}' is not empty: it holds {', '.join(held[:5])}{more}",
                hint="name a new directory; 'dioptra new entry-point' adds to a project",
            )
        )
    if name is None:
        name = os.path.basename(os.path.abspath(directory)) or "project"
    elif not name.strip():
        raise UsageError(Problem("malformed-option", f"--name {name!r} is empty", hint="leave it out"))
    texts = new_project.render(name)
    files.write({os.path.join(directory, path): text for path, text in texts.items()})
    output.note(f"wrote the project '{name}' into {directory}: {', '.join(texts)}")
    output.note(f"to run it: dioptra run {_argument(directory)} -e train")


def _held(directory: str) -> list[str]:
    """Return what a directory holds; nothing if there is none. A fresh git repository counts as empty."""
    try:
        return sorted(name for name in os.listdir(directory) if name != ".git")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(
            Problem("unreadable-directory", f"'{directory}' cannot be used: {error.strerror}")
        ) from error


@command.command(name="entry-point", short_help="Write the script of an entry point.")
@click.argument("name", shell_complete=completion.entry_points)
@project_argument
@click.option(
    "-P",
    "--parameter",
    "declarations",
    metavar="NAME[:TYPE][=DEFAULT]",
    multiple=True,
    help="Declare a new entry point with this parameter; repeatable.",
)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    help="Where to write the script; - for standard output. "
    "[default: the script that the command runs, or src/NAME.py]",
)
@click.option("--force", is_flag=True, help="Overwrite a script that is there.")
def entry_point_command(
    name: str, project: str, declarations: tuple[str, ...], target: str | None, force: bool
) -> None:
    """Write the script of the entry point NAME from the parameters that PROJECT declares for it.

    With -P, such as -P data_dir:path -P epochs:float=30, the entry point is new, and is added to the MLproject
    file too.
    """
    loaded, problems = loader.require(project)
    if loaded.file is None:
        raise ProjectError(
            Problem(
                "no-mlproject-file",
                f"there is no MLproject file in '{project}'",
                hint="'dioptra new project DIRECTORY' writes one",
            )
        )
    if declarations:
        _add(loaded, name, declarations, project, target, force)
        return
    try:
        entry_point = require_declared(loaded, name)
    except UsageError as error:
        (problem,) = error.problems
        hint = f"{problem.hint}; -P name:type=default declares a new one"
        raise UsageError(replace(problem, hint=hint)) from error
    wrong = _errors_of(loaded, entry_point, problems)
    if wrong:
        raise ProjectError(wrong)
    usage = commands.read(entry_point.command or "")
    text = script.render(entry_point)
    if target == "-":
        click.echo(text, nl=False)
        return
    path = target or _default_path(loaded, name, usage, force)
    files.write({path: text}, overwrite=[path] if force else ())
    output.note(f"wrote {_shown(path)}")
    if usage.script is None or not _same(os.path.join(loaded.directory, usage.script), path):
        file = shlex.quote(_from_project(loaded, path))
        output.warning(f"the command of '{name}' does not run it: write 'python {file} …' there")
    elif usage.others:
        output.warning(
            f"the command of '{name}' passes {', '.join(usage.others)} too, which no parameter stands for: "
            "add click options for them"
        )
    _say_next(project, entry_point)


def _add(
    project: Project,
    name: str,
    declarations: Sequence[str],
    target: str,
    output_file: str | None,
    force: bool,
) -> None:
    """Write the script of a new entry point, and declare it in the MLproject file."""
    if name in project.entry_points:
        raise UsageError(
            Problem(
                "entry-point-exists",
                f"'{project.name}' declares the entry point '{name}' already",
                project.entry_points[name].location,
                hint="leave out -P to write its script from the parameters that it declares",
            )
        )
    if not name.strip():
        raise UsageError(Problem("malformed-option", f"the name {name!r} is empty"))
    path = output_file if output_file not in (None, "-") else None
    path = path or os.path.join(project.directory, "src", f"{names.file_stem(name)}.py")
    new = declare.entry_point(name, _declarations(declarations), _from_project(project, path))
    wrong = _errors_of(project._replace(entry_points={name: new}), new)
    if wrong:
        raise UsageError(replace(problem, location=None) for problem in wrong)
    text, lines = script.render(new), declare.as_yaml(new)
    if output_file == "-":
        click.echo(text, nl=False)
        output.note(f"to declare it, add to the entry_points of {project.file}:\n{lines.rstrip()}")
        return
    edited = edit.added(project, new)
    overwrite = [path] if force else []
    if edited is None or project.file is None:
        files.write({path: text}, overwrite)
        output.note(f"wrote {_shown(path)}")
        output.warning(f"{project.file} is not of a form that can be edited safely; add to it by hand:")
        click.echo(lines if project.entry_points else f"entry_points:\n{lines}", nl=False)
    else:
        files.write({path: text, project.file: edited}, [*overwrite, project.file])
        output.note(f"wrote {_shown(path)}, and declared '{name}' in {project.file}")
    _say_next(target, new)


def _declarations(texts: Sequence[str]) -> list[declare.Declaration]:
    """Read the values of -P.

    Raises:
        UsageError: Some are malformed or repeated, or name an unknown type.
    """
    found: dict[str, declare.Declaration] = {}
    problems = []
    types = (*STANDARD_TYPES, *EXTRA_TYPES)
    for text in texts:
        left, equals, default = text.partition("=")
        name, colon, declared = left.rpartition(":") if ":" in left else (left, "", "string")
        if not name or (colon and not declared):
            problems.append(
                Problem("malformed-option", f"-P {text!r} is not of the form NAME[:TYPE][=DEFAULT]")
            )
        elif declared not in types:
            hint = did_you_mean(declared, types) or f"the types are {', '.join(types)}"
            problems.append(Problem("unknown-type", f"-P {text!r}: there is no type '{declared}'", hint=hint))
        elif name in found:
            problems.append(
                Problem("repeated-option", f"-P gives '{name}' twice", hint="give each name once")
            )
        else:
            found[name] = declare.Declaration(name, declared, default if equals else None)
    if problems:
        raise UsageError(problems)
    return list(found.values())


def _errors_of(project: Project, entry_point: EntryPoint, noticed: Iterable[Problem] = ()) -> list[Problem]:
    """Return what keeps an entry point from running: problems of its command, its parameters, its defaults."""
    found = [*noticed, *checks.check_entry_point(entry_point), *check_declarations(project)]
    return [p for p in found if p.level is Level.ERROR and p.entry_point == entry_point.name]


def _default_path(project: Project, name: str, usage: commands.Usage, force: bool) -> str:
    """Return where the script belongs: the file that the command runs, if it is free, or one of the entry point's."""
    if usage.script is not None:
        path = os.path.normpath(os.path.join(project.directory, usage.script))
        inside = os.path.commonpath([project.directory, path]) == project.directory
        if inside and (force or not os.path.lexists(path)):
            return path
    return os.path.join(project.directory, "src", f"{names.file_stem(name)}.py")


def _from_project(project: Project, path: str) -> str:
    """Return how a command of the project names a file: relative to the project, if it is inside."""
    path = os.path.realpath(path)
    directory = os.path.realpath(project.directory)
    return os.path.relpath(path, directory) if os.path.commonpath([directory, path]) == directory else path


def _same(left: str, right: str) -> bool:
    return os.path.realpath(left) == os.path.realpath(right)


def _shown(path: str) -> str:
    """Return a path as the user would write it here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _argument(path: str) -> str:
    """Return a path as it is written in a command: quoted, and no option."""
    return shlex.quote(os.path.join(".", path) if path.startswith("-") else path)


def _say_next(project: str, entry_point: EntryPoint) -> None:
    words = ["dioptra", "run", _argument(project), "-e", shlex.quote(entry_point.name)]
    for parameter in entry_point.parameters.values():
        if parameter.required:
            words += ["-P", f"{shlex.quote(parameter.name)}=…"]
    output.note(f"to run it: {' '.join(words)}")
