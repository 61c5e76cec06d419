#!/bin/sh
# coverage.sh - --coverage: which lines and blocks of a kernel are said to have run. Runs in the build folder:
# tests/system/coverage.sh; OXBOW in the environment replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
guest=tests/system/echo.elf
source=$(cd "$(dirname "$0")" && pwd)/small.S
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    sed 's/^/# stderr: /' "$work/err" | head -n 10
    sed 's/^/# /' "$work/info" | head -n 60
}

# Runs the guest, which sends "q" back and then ends: $1 is the file, and then options.
run() {
    file=$1
    shift
    printf 'xyq' | timeout 60 "$oxbow" --headless --timeout 50 --kernel "$guest" --coverage "$file" "$@" >"$work/out" 2>"$work/err"
    status=$?
}

# $1: text of the first line that is meant, $2: 1 or 0, whether it ran
line_is() {
    line=$(grep -nF -- "$1" "$source" | head -n 1 | cut -d: -f1)
    grep -qx "DA:$line,$2" "$work/info"
}

: >"$work/info"
for engine in $("$oxbow" accel | awk '$1 == "interp" || $1 == "jit" { print $1 }'); do
    run "$work/info" --accel "$engine"
    [ "$status" = 0 ] && grep -q '^SF:.*tests/system/small.S$' "$work/info" && [ "$(tail -n 1 "$work/info")" = end_of_record ]
    report $? "$engine: a report of the source"
    line_is 'cmpb $'"'q'"', %bl' 1
    report $? "$engine: a line that ran"
    line_is 'jmp print' 1 && line_is 'jmp halt' 0
    report $? "$engine: a line that didn't"
    hit=$(grep -c '^DA:[0-9]*,1$' "$work/info")
    found=$(grep -c '^DA:' "$work/info")
    grep -qx "LF:$found" "$work/info" && grep -qx "LH:$hit" "$work/info"
    report $? "$engine: the sums are right"
    cp "$work/info" "$work/info.$engine"
done
if [ -f "$work/info.jit" ]; then
    cmp -s "$work/info.jit" "$work/info.interp"
    report $? "both engines say the same"
fi

run "$work/all.drcov"
blocks=$(sed -n 's/^BB Table: \([0-9]*\) bbs$/\1/p' "$work/all.drcov" 2>/dev/null)
[ "${blocks:-0}" -gt 3 ] && [ "$(tail -c $((8 * blocks)) "$work/all.drcov" | wc -c)" = $((8 * blocks)) ] &&
    [ "$(sed '/^BB Table/q' "$work/all.drcov" | wc -c)" = $(($(wc -c <"$work/all.drcov") - 8 * blocks)) ]
report $? "drcov: the table is as long as it says"

# $1: pattern of the one line on stderr, $2: name. Exit status 2.
refused() {
    [ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "^oxbow: .*$1" "$work/err"
    report $? "refused: $2"
}
run "$work/none/info"
refused 'cannot write' "a file that can't be"
run "$work/info" --symbols "$source"
refused 'no ELF file' "an image that is none"
timeout 60 "$oxbow" --headless --coverage "$work/info" >"$work/out" 2>"$work/err" </dev/null
status=$?
refused 'not known whose code' "no kernel"
if command -v strip >/dev/null; then
    strip -o "$work/bare.elf" "$guest"
    guest=$work/bare.elf
    run "$work/info"
    refused 'no debug information' "a kernel without debug information"
fi

echo "1..$number"
