function __cloudtool
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    # An empty word is no word at all to fish.
    set -q current[1]; or set current ''
    set -l found ($words[1] complete -- $words[2..] $current 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path $current
    end
end
complete --command cloudtool --no-files --arguments '(__cloudtool)'
