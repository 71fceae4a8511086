"""The plan of a run: what exactly will be executed, decided before anything is created, fetched or started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dioptra_cli.errors import Level, ParameterError, Problem, ProjectError, in_file_order
from dioptra_cli.execution.command import Refusal, RefusedValuesError, render_command
from dioptra_cli.mlproject import checks
from dioptra_cli.mlproject.model import EntryPoint, Project
from dioptra_cli.mlproject.selection import Selected
from dioptra_cli.mlproject.template import Template, parse_template
from dioptra_cli.parameters.resolve import Given, Value, resolve
from dioptra_cli.parameters.secrets import MASK, Masker, shown


@dataclass(frozen=True)
class Plan:
    """What will be executed.

    Attributes:
        project: The project; its directory is where the command runs.
        entry_point: What was asked for.
        values: The value of every parameter, declared ones first.
        command: The text for `bash -c`. While values are still remote it holds their URIs.
        warnings: What the user should know, though it stops nothing.
    """

    project: Project
    entry_point: EntryPoint
    values: tuple[Value, ...]
    command: str
    warnings: tuple[Problem, ...] = ()

    @property
    def remote(self) -> tuple[str, ...]:
        """The URIs that have to be downloaded first."""
        return tuple(value.text for value in self.values if value.remote)

    def with_downloads(self, copies: Mapping[str, str]) -> Plan:
        """Return the plan with local copies in place of URIs.

        Args:
            copies: The local path of each URI of `remote`.

        Raises:
            ParameterError: A local path cannot be quoted where the command uses it.
        """
        values = tuple(v.downloaded(copies[v.text]) if v.remote else v for v in self.values)
        command, problems = _render(self.entry_point, parse_template(self.entry_point.command or ""), values)
        if problems:
            raise ParameterError(problems)
        return replace(self, values=values, command=command)

    def masked(self, masker: Masker) -> Plan:
        """Return the plan as it may be stored and printed: without secrets, and for nothing else of use."""
        values = tuple(_masked(value, masker) for value in self.values)
        if all(is_same.text == value.text for is_same, value in zip(values, self.values, strict=True)):
            return replace(self, values=values, command=masker(self.command))
        command, refused = _render(self.entry_point, parse_template(self.entry_point.command or ""), values)
        # Asterisks cannot stand everywhere: not in `$((...))`.
        return replace(self, values=values, command=masker(self.command if refused else command))


def masker_of(
    project: Project | None, values: Mapping[str, Given], *environments: Mapping[str, str]
) -> Masker:
    """Return what must not be seen of a run.

    Args:
        project: Its MLproject file is recorded, with the defaults of all entry points. None if it is not known yet.
        values: What is given for parameters.
        environments: Variables that the command gets.
    """
    return Masker(
        *environments,
        {name: given.text for name, given in values.items()},
        *(
            {name: parameter.default or "" for name, parameter in entry_point.parameters.items()}
            for entry_point in (project.entry_points.values() if project else ())
        ),
    )


def make_plan(
    project: Project,
    selected: Selected,
    given: Mapping[str, Given],
    *,
    caller_directory: str,
    found: Iterable[Problem] = (),
    malformed: Iterable[Problem] = (),
) -> Plan:
    """Decide what to execute, and check all of it.

    Args:
        project: The project.
        selected: The entry point.
        given: The values that the caller gave.
        caller_directory: Absolute; where relative values given by the caller belong.
        found: What reading the file has already shown.
        malformed: What is wrong with the options that gave the values; reported with the rest.

    Raises:
        ProjectError: The entry point itself is faulty. Parameter problems are reported along with it.
        ParameterError: Values are missing, or not what their types say, or cannot be quoted.
    """
    entry_point = selected.entry_point
    # A bare script needs no MLproject file.
    found = (p for p in found if not (selected.script and p.name == "no-mlproject-file"))
    of_command = checks.check_entry_point(entry_point)
    errors_of_command = [p for p in of_command if p.level is Level.ERROR]  # which no comment can make work
    warnings_of_command = project.ignores.apply(p for p in of_command if p.level is not Level.ERROR)
    faults = [p for p in found if p.entry_point in (None, entry_point.name)]
    faults = in_file_order([*faults, *errors_of_command, *warnings_of_command])
    resolution = resolve(
        entry_point,
        given,
        caller_directory=caller_directory,
        project_directory=project.directory,
        script=selected.script,
    )
    errors = [p for p in faults if p.level is Level.ERROR]
    refused = [*malformed, *(p for p in resolution.problems if p.level is Level.ERROR)]
    command = ""
    if not errors and entry_point.command is not None:
        command, unquotable = _render(entry_point, parse_template(entry_point.command), resolution.values)
        refused += unquotable
    warnings = [p for p in (*faults, *resolution.problems) if p.level is Level.WARNING]
    if errors:
        raise ProjectError([*errors, *refused, *warnings])
    if refused:
        raise ParameterError([*refused, *warnings])
    return Plan(project, entry_point, resolution.values, command, tuple(warnings))


def _masked(value: Value, masker: Masker) -> Value:
    given = shown(value.name, value.given)
    text = given if given == MASK else shown(value.name, value.text)
    return value._replace(given=masker(given), text=masker(text))


def _render(
    entry_point: EntryPoint, template: Template, values: Iterable[Value]
) -> tuple[str, list[Problem]]:
    """Return the command for `bash -c`, or what cannot be quoted where the command uses it."""
    declared = {value.name: value.text for value in values if value.declared}
    # A value that is missing or wrong has been reported; the others can still be looked at.
    absent = {p.name: "0" for p in template.placeholders if p.name not in declared}
    extra = [(value.name, value.text) for value in values if not value.declared]
    try:
        return render_command(template, absent | declared, extra), []
    except RefusedValuesError as error:
        return "", [_problem(entry_point, refusal) for refusal in error.refusals]


def _problem(entry_point: EntryPoint, refusal: Refusal) -> Problem:
    location = entry_point.locate(refusal.offset) if refusal.offset is not None else entry_point.location
    named = f"parameter '{refusal.parameter}': {refusal.value!r}: " if refusal.parameter is not None else ""
    return Problem(
        "unquotable-value",
        f"{named}{refusal.reason}",
        location,
        hint=refusal.hint,
        entry_point=entry_point.name,
    )
