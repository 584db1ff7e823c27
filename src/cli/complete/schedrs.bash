# Completion of schedrs for bash. Either of
#   schedrs completions bash > ~/.local/share/bash-completion/completions/schedrs
#   eval "$(schedrs completions bash)"      # in ~/.bashrc
_schedrs() {
    local lines
    COMPREPLY=()
    mapfile -t lines < <("$1" __complete bash --breaks "$COMP_WORDBREAKS" \
        -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [[ ${lines[0]} == :words ]]; then
        # Where nothing fits, the names of files do not either.
        compopt +o default +o bashdefault
        COMPREPLY=("${lines[@]:1}")
    fi
}
complete -o default -o bashdefault -F _schedrs schedrs
