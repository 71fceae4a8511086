"""`dioptra completion`: the scripts that make a shell complete calls of dioptra.

Each asks `dioptra _complete` (see `complete`) at every Tab, so that it need not be made anew for a new version.
"""

from __future__ import annotations

import click


@click.command(name="completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    r"""Print the script that sets up completion in a shell: entry points, parameters, values.

    \b
    bash: eval "$(dioptra completion bash)"       in ~/.bashrc
    zsh:  eval "$(dioptra completion zsh)"        in ~/.zshrc, after compinit
    fish: dioptra completion fish | source        in ~/.config/fish/config.fish
    """
    click.echo({"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell], nl=False)


# The program is asked that stands on the line, which may be the one of another environment; where that is an alias or
# the like, the one on the PATH.

_BASH = r"""# Completion of dioptra for bash. In ~/.bashrc: eval "$(dioptra completion bash)"
_dioptra() {
    local program=${1/#\~\//$HOME/} reply first=1
    type -P -- "$program" >/dev/null || program=dioptra
    COMPREPLY=()
    while IFS= read -r reply; do
        if [[ $first ]]; then
            first=
            [[ $reply ]] && compopt -o "$reply" 2>/dev/null
        else
            COMPREPLY+=("$reply")
        fi
    done < <("$program" _complete bash -- "${COMP_LINE:0:COMP_POINT}" "${COMP_LINE:COMP_POINT}" "$2" \
        </dev/null 2>/dev/null)
}
complete -o nosort -F _dioptra dioptra 2>/dev/null || complete -F _dioptra dioptra
"""

_ZSH = r"""#compdef dioptra
# Completion of dioptra for zsh. In ~/.zshrc, after compinit: eval "$(dioptra completion zsh)"
_dioptra() {
    local program=${words[1]/#\~\//$HOME/} line value
    local -a typed finished open
    whence -p -- "$program" >/dev/null || program=dioptra
    typed=("${(@Q)words}")
    typed[CURRENT]=${(Q)PREFIX}
    # What the shell expands must stay as it is typed: zsh would quote it.
    [[ $PREFIX == [~$]*/* ]] && compset -P '*/'
    for line in "${(@f)$("$program" _complete zsh -- $((CURRENT - 1)) "${typed[@]}" </dev/null 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value=${line[2,-1]%%$'\t'*}
        value=${${${value#"${(Q)IPREFIX}"}//\\/\\\\}//:/\\:}
        [[ -n ${line#*$'\t'} ]] && value+=":${line#*$'\t'}"
        if [[ $line == +* ]]; then open+=("$value"); else finished+=("$value"); fi
    done
    _describe -V dioptra finished -- open -S ''
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _dioptra "$@"
else
    compdef _dioptra dioptra
fi
"""

_FISH = r"""# Completion of dioptra for fish. In ~/.config/fish/config.fish: dioptra completion fish | source
function __dioptra
    set -l before (commandline -opc)
    set -l program (string replace -r '^~/' "$HOME/" -- $before[1])
    type -fq -- $program; or set program dioptra
    set -l typed (commandline -ct)
    $program _complete fish -- (count $before) $before "$typed" </dev/null 2>/dev/null | string sub -s 2
end
complete -c dioptra -f -k -a '(__dioptra)'
"""
