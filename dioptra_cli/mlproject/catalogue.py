"""The checks: the one owner of their codes, names and levels.

Each check has a code that never changes meaning (`DIO108`), a name that messages and comments may use as well
(`duplicate-key`), and a level. Why each exists, with examples, is told by `dioptra_cli.validation.explanations`;
this table is read by every command and stays light.
"""

from __future__ import annotations

from typing import NamedTuple

from dioptra_cli.errors import Level, did_you_mean

_E, _W, _N = Level.ERROR, Level.WARNING, Level.NOTE


class Check(NamedTuple):
    """One thing that `validate` looks for.

    Attributes:
        code: `DIO` and three digits: the hundreds are the group.
        name: The same in words; `Problem.name` of what it finds.
        level: How bad it is.
        summary: What it finds, as a title.
    """

    code: str
    name: str
    level: Level
    summary: str


GROUPS = {
    "DIO0": "Files",
    "DIO1": "YAML",
    "DIO2": "Structure",
    "DIO3": "Parameters",
    "DIO4": "Commands",
    "DIO5": "Scripts",
}
"""The groups of checks by the beginning of their codes."""

CHECKS = (
    Check("DIO001", "no-such-project", _E, "no such file or directory"),
    Check("DIO002", "no-mlproject-file", _E, "a directory without an MLproject file"),
    Check("DIO003", "not-a-project", _E, "a script in place of a project"),
    Check("DIO004", "unreadable-file", _E, "a file that cannot be read"),
    Check("DIO005", "not-utf-8", _E, "a file that is not UTF-8"),
    Check("DIO006", "unknown-check", _W, "an ignore comment that names no check"),
    Check("DIO101", "invalid-yaml", _E, "invalid YAML"),
    Check("DIO102", "tab-character", _E, "a tab where YAML allows spaces only"),
    Check("DIO103", "template-syntax", _E, "the syntax of a template language in place of YAML"),
    Check("DIO104", "bad-indentation", _E, "lines that are not indented alike"),
    Check("DIO105", "unquoted-text", _E, "a text that YAML takes for its own syntax"),
    Check("DIO106", "several-documents", _E, "more than one YAML document"),
    Check("DIO107", "empty-file", _E, "an empty file"),
    Check("DIO108", "duplicate-key", _W, "a key that is written twice"),
    Check("DIO109", "value-too-large", _E, "a value that grows without bounds"),
    Check("DIO110", "nested-too-deeply", _E, "YAML that is nested too deeply"),
    Check("DIO111", "impossible-value", _E, "a value that YAML cannot read, such as the 30th of February"),
    Check("DIO112", "unknown-tag", _E, "a YAML tag that is not allowed"),
    Check("DIO113", "key-is-not-text", _W, "a name that YAML does not read as text"),
    Check("DIO114", "broken-key", _E, "a key without its colon, its space or its comma"),
    Check("DIO115", "non-breaking-space", _W, "a line that is indented with non-breaking spaces"),
    Check("DIO201", "not-a-mapping", _E, "a file that is no mapping"),
    Check("DIO202", "entry-points-not-a-mapping", _E, "'entry_points' that is no mapping"),
    Check("DIO203", "entry-point-not-a-mapping", _E, "an entry point that is no mapping"),
    Check("DIO204", "parameters-not-a-mapping", _E, "'parameters' that is no mapping"),
    Check("DIO205", "parameter-not-a-type", _E, "a parameter that is neither a type nor a mapping"),
    Check("DIO206", "command-not-text", _E, "a command that is no text"),
    Check("DIO207", "missing-command", _E, "an entry point without a command"),
    Check("DIO208", "empty-command", _W, "an empty command"),
    Check("DIO209", "no-entry-points", _W, "a file without entry points"),
    Check("DIO210", "unknown-key", _W, "a key that means nothing"),
    Check("DIO211", "nested-entry-point", _W, "an entry point inside of another one"),
    Check("DIO212", "misplaced-command", _E, "a command, or parameters, directly under 'entry_points'"),
    Check("DIO213", "description-not-text", _W, "a description or a name that is not text"),
    Check("DIO214", "choices-not-a-list", _W, "'choices' that is no list of values"),
    Check("DIO215", "lost-key", _W, "a key that is lost to a missing space or colon"),
    Check("DIO220", "several-environments", _E, "more than one environment"),
    Check("DIO221", "environment-not-a-file", _E, "an environment that is no file name"),
    Check("DIO222", "no-environment-file", _E, "an environment file that does not exist"),
    Check("DIO223", "docker-not-a-mapping", _E, "'docker_env' that is no mapping"),
    Check("DIO224", "docker-without-image", _E, "'docker_env' without an image"),
    Check("DIO225", "docker-settings", _E, "'volumes' or 'environment' of 'docker_env' of the wrong kind"),
    Check("DIO226", "databricks-settings", _E, "a 'databricks_spark_job' that cannot be"),
    Check("DIO227", "needs-databricks", _W, "a project that runs on Databricks only"),
    Check("DIO228", "docker-variable", _W, "a variable of 'docker_env' that is no name and no pair"),
    Check("DIO301", "unknown-type", _W, "a type that does not exist"),
    Check("DIO302", "non-portable-type", _N, "a type that only some tools know"),
    Check("DIO303", "lost-type", _W, "a type that is lost to a missing space or colon"),
    Check("DIO304", "lost-default", _W, "a default that is lost to a missing space, colon or key"),
    Check("DIO305", "wrong-default", _E, "a default that its type refuses"),
    Check("DIO306", "default-not-a-choice", _E, "a default that is not among the choices"),
    Check("DIO307", "yaml-changes-value", _W, "a value that YAML changes"),
    Check("DIO308", "compound-default", _W, "a list or a mapping as a default"),
    Check("DIO309", "unused-parameter", _W, "a parameter that the command does not use"),
    Check("DIO310", "parameter-name", _E, "a parameter name that cannot be recorded"),
    Check("DIO311", "unusable-parameter-name", _W, "a parameter name that no placeholder or option can hold"),
    Check("DIO312", "yaml-rewrites-value", _N, "a value that YAML writes in another form"),
    Check("DIO313", "wrong-choice", _W, "a choice that its type refuses"),
    Check("DIO314", "none-default", _W, "None as the default of a number or a boolean"),
    Check("DIO401", "undeclared-placeholder", _E, "a placeholder without a parameter"),
    Check("DIO402", "shell-variable-in-braces", _E, "a shell variable in single braces"),
    Check("DIO403", "placeholder-attribute", _E, "a placeholder that asks for an attribute"),
    Check("DIO404", "placeholder-index", _E, "a placeholder that asks for an index"),
    Check("DIO405", "placeholder-conversion", _E, "a placeholder with a conversion"),
    Check("DIO406", "placeholder-format-spec", _E, "a placeholder with a format specification"),
    Check("DIO407", "empty-placeholder", _E, "a placeholder without a name"),
    Check("DIO408", "unbalanced-brace", _E, "a brace without its counterpart"),
    Check("DIO409", "nul-character", _E, "a NUL character in a command"),
    Check("DIO411", "placeholder-after-backslash", _E, "a placeholder behind a backslash"),
    Check("DIO412", "placeholder-after-dollar", _E, "a placeholder behind a dollar sign"),
    Check("DIO413", "placeholder-after-tilde", _E, "a placeholder behind a tilde"),
    Check("DIO414", "placeholder-as-descriptor", _E, "a placeholder behind '>&'"),
    Check("DIO415", "placeholder-as-format", _E, "a placeholder as the format of printf"),
    Check("DIO416", "placeholder-as-name", _E, "a placeholder as the name of a variable"),
    Check("DIO417", "placeholder-as-delimiter", _E, "a placeholder as the end of a here-document"),
    Check("DIO418", "placeholder-evaluated", _E, "a placeholder that the shell evaluates"),
    Check("DIO419", "placeholder-in-arithmetic", _E, "a placeholder that does not stand alone in arithmetic"),
    Check("DIO420", "placeholder-in-braces", _E, "a placeholder in a brace expansion"),
    Check("DIO421", "placeholder-in-expansion", _E, "a placeholder in an expansion"),
    Check("DIO422", "placeholder-split", _E, "a placeholder that the shell splits"),
    Check("DIO423", "unclear-shell-syntax", _E, "placeholders in shell syntax that cannot be followed"),
    Check("DIO431", "shell-syntax", _E, "a command that is no valid shell command"),
    Check("DIO432", "option-on-its-own-line", _W, "options that run as a command of their own"),
    Check("DIO433", "escaped-blank", _W, "a backslash before a space"),
    Check("DIO434", "trailing-backslash", _W, "a backslash at the end of a command"),
    Check("DIO435", "commented-out-options", _W, "a comment that takes the rest of the command with it"),
    Check("DIO436", "windows-path", _W, "a path with backslashes"),
    Check("DIO437", "quoted-placeholder", _N, "a quoted placeholder, which other tools quote twice"),
    Check("DIO438", "placeholder-in-code", _W, "a placeholder in the code of another interpreter"),
    Check("DIO439", "missing-script", _W, "a script that does not exist, or cannot be run"),
    Check("DIO440", "typographic-character", _W, "a typographic quote or dash in a command"),
    Check("DIO501", "missing-option", _W, "a required option that the command does not pass"),
    Check("DIO502", "unknown-option", _W, "an option that the script does not know"),
    Check("DIO503", "looser-type", _N, "a parameter whose type allows what the script's option refuses"),
    Check("DIO504", "refused-default", _W, "a default that the script's option refuses"),
    Check("DIO505", "value-for-flag", _W, "a value for an option that takes none"),
    Check("DIO506", "unexpected-argument", _W, "an argument that the script does not take"),
    Check("DIO507", "missing-argument", _W, "a required argument that the command does not pass"),
    Check("DIO508", "repeated-option", _W, "an option that is passed twice and counts once"),
    Check("DIO509", "refused-value", _W, "a value in the command that the script refuses"),
    Check("DIO510", "missing-value", _W, "an option without its value"),
    Check("DIO511", "unknown-subcommand", _W, "a subcommand that the script does not have"),
    Check("DIO512", "bool-of-text", _W, "an option that takes every text for true"),
)
"""Every check, in the order of the codes."""

BY_NAME = {check.name: check for check in CHECKS}
BY_CODE = {check.code: check for check in CHECKS}


def level_of(name: str) -> Level:
    """Return the level of a check; what is no check of the catalogue is an error."""
    check = BY_NAME.get(name)
    return check.level if check else Level.ERROR


def code_of(name: str) -> str:
    """Return the code of a check, or the name where it is none of the catalogue."""
    check = BY_NAME.get(name)
    return check.code if check else name


def hint_for(selector: str) -> str:
    """Return what to do about a selector that means no check."""
    return did_you_mean(selector, BY_NAME) or "`dioptra validate --explain all` lists them"


def matching(selector: str) -> frozenset[str]:
    """Return the names of the checks that `selector` means: a code, the beginning of one (`DIO4`), or a name."""
    upper, lower = selector.upper(), selector.lower()
    return frozenset(
        check.name
        for check in CHECKS
        if lower == check.name or (upper.startswith("DIO") and check.code.startswith(upper))
    )
