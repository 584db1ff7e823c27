# Completion of schedrs for fish. Either of
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
