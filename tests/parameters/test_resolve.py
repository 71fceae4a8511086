"""How given values, defaults and types come together."""

from __future__ import annotations

from pathlib import Path

from dioptra_cli.errors import Level, Location
from dioptra_cli.mlproject.model import EntryPoint, Parameter
from dioptra_cli.parameters.resolve import Given, Origin, Resolution, resolve

PLACE = Location("MLproject", 3, 7)


def parameter(name: str, type_name: str = "string", default: str | None = None, **more: object) -> Parameter:
    return Parameter(name, type_name, default, PLACE, PLACE, **more)  # type: ignore[arg-type] # test data


def entry_point(*parameters: Parameter) -> EntryPoint:
    return EntryPoint("main", {p.name: p for p in parameters}, "x", PLACE, lambda _: PLACE)


def run(
    entry: EntryPoint,
    caller: Path | str = "/c",
    project: Path | str = "/p",
    script: bool = False,
    **given: str,
) -> Resolution:
    return resolve(
        entry,
        {name: Given(text) for name, text in given.items()},
        caller_directory=str(caller),
        project_directory=str(project),
        script=script,
    )


def test_a_given_value_wins_over_a_default_and_an_empty_default_is_one() -> None:
    resolution = run(entry_point(parameter("a", default="1"), parameter("b", default="")), a="2")
    assert [(v.name, v.text, v.origin) for v in resolution.values] == [
        ("a", "2", Origin.COMMAND_LINE),
        ("b", "", Origin.DEFAULT),
    ]
    assert not resolution.problems


def test_an_empty_given_value_is_a_value() -> None:
    assert run(entry_point(parameter("a", default="1")), a="").values[0].text == ""


def test_relative_paths_belong_to_whoever_wrote_them(tmp_path: Path) -> None:
    caller, project = tmp_path / "caller dir", tmp_path / "pro'ject"
    for directory in (caller, project):
        directory.mkdir()
        (directory / "d.csv").touch()
    entry = entry_point(parameter("given", "path", "d.csv"), parameter("default", "path", "d.csv"))
    values = run(entry, caller, project, given="d.csv").values
    assert [v.text for v in values] == [str(caller / "d.csv"), str(project / "d.csv")]
    assert [v.given for v in values] == ["d.csv", "d.csv"]


def test_a_default_path_that_does_not_exist_can_be_replaced(tmp_path: Path) -> None:
    problems = run(
        entry_point(parameter("data", "path", "/none"), parameter("x", "path")), x="/none"
    ).problems
    assert [p.hint for p in problems] == ["give one with -P data=…", None]
    (problem,) = run(entry_point(parameter("data", "path", "none")), project=tmp_path).problems
    assert problem.hint == f"looked for {tmp_path / 'none'}; give one with -P data=…"


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    entry = entry_point(
        parameter("missing", "float"),
        parameter("epochs", "float"),
        parameter("bad_default", "int", "x"),
        parameter("data", "path"),
        parameter("choice", "string", choices=("adam", "sgd")),
    )
    resolution = run(entry, tmp_path, tmp_path, epochs="abc", data="none", choice="adm")
    errors = [str(p) for p in resolution.problems if p.level is Level.ERROR]
    assert len(errors) == 5
    assert "'missing' (type float) needs a value" in errors[0]
    assert "'epochs' (type float): 'abc' is not a float" in errors[1]
    assert errors[2].startswith("MLproject:3:7: default of parameter 'bad_default' (type int): 'x'")
    assert "'none' does not exist" in errors[3]
    assert "'adm' is not one of its choices (did you mean 'adam'?)" in errors[4]


def test_an_undeclared_parameter_is_a_string_with_a_warning() -> None:
    resolution = run(entry_point(parameter("alpha", default="1")), aplha="x")
    value = resolution.values[-1]
    assert (value.name, value.type, value.declared) == ("aplha", "string", False)
    (warning,) = resolution.problems
    assert warning.level is Level.WARNING
    assert warning.hint == "did you mean 'alpha'?"


def test_a_missing_parameter_names_the_misspelled_one() -> None:
    resolution = run(entry_point(parameter("alpha")), aplha="x")
    assert "'aplha' is close to it" in str(resolution.problems[0])


def test_the_parameters_of_a_script_are_not_warned_about() -> None:
    assert not run(entry_point(), script=True, anything="x").problems


def test_a_name_that_cannot_be_recorded_is_an_error() -> None:
    resolution = resolve(
        entry_point(), {"$(touch x)": Given("1")}, caller_directory="/", project_directory="/"
    )
    assert [p.name for p in resolution.problems] == ["parameter-name"]


def test_choices_compare_as_their_type() -> None:
    entry = entry_point(parameter("rate", "float", choices=("0.1", "1")))
    assert not run(entry, rate="1.0").problems
    assert run(entry, rate="2").problems


def test_a_remote_path_stays_a_uri_until_it_is_downloaded() -> None:
    (value,) = run(entry_point(parameter("data", "path")), data="s3://b/k.csv").values
    assert value.remote
    local = value.downloaded("/cache/k.csv")
    assert (local.text, local.given, local.remote) == ("/cache/k.csv", "s3://b/k.csv", False)
