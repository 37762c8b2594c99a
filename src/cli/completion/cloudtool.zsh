#compdef cloudtool
_cloudtool() {
    local -a found
    found=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    if (( $#found )); then
        compadd -- $found
    else
        _files
    fi
}
compdef _cloudtool cloudtool
