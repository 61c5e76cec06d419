# tap.sh - results in TAP for the shell tests, which read this file. A script may have a function details() that prints,
# as comments, what a failure's log should show.
number=0

# $1: 0 for passed, $2: name
report() {
    number=$((number + 1))
    if [ "$1" = 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        details
    fi
}

# $1: name, $2: why
skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

details() {
    :
}
