# shellcheck shell=bash
_cloudtool() {
    # One candidate a line; without any, bash offers files.
    mapfile -t COMPREPLY < <("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _cloudtool cloudtool
