//! The scripts that connect a shell's completion with `schedrs __complete`.
//!
//! What that answers begins with a line that says whether the shell is to complete the names of
//! files itself (`:files`) or to show the lines that follow (`:words`).

/// For bash, which cuts words at `=` and `:` and so hands over the whole line.
pub(crate) const BASH: &str = r#"# Completion of schedrs for bash. Either of
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
"#;

/// For zsh.
pub(crate) const ZSH: &str = r#"#compdef schedrs
# Completion of schedrs for zsh. Either of
#   schedrs completions zsh > ~/.zfunc/_schedrs    # with `fpath+=~/.zfunc` before `compinit`
#   eval "$(schedrs completions zsh)"              # in ~/.zshrc, after `compinit`
_schedrs() {
    local -a lines typed
    typed=("${(@Q)words[1,CURRENT]}")
    lines=("${(@f)$("$typed[1]" __complete zsh -- "$typed[@]" 2>/dev/null)}")
    if [[ $lines[1] == :files ]]; then
        _files
    elif (( $#lines > 1 )); then
        shift lines
        _describe schedrs lines
    fi
}
if [[ $funcstack[1] == _schedrs ]]; then
    _schedrs "$@"
else
    compdef _schedrs schedrs
fi
"#;

/// For fish.
pub(crate) const FISH: &str = r#"# Completion of schedrs for fish. Either of
#   schedrs completions fish > ~/.config/fish/completions/schedrs.fish
#   schedrs completions fish | source             # in ~/.config/fish/config.fish
function __schedrs_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l lines ($typed[1] __complete fish -- $typed 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $lines[2..-1]
    end
end
complete -c schedrs -f -a '(__schedrs_complete)'
"#;
