#!/bin/sh
# test_command.sh - `oxbow test`: what passes, what fails and why, and how that is told. Runs in the build folder:
# tests/system/test_command.sh; OXBOW in the environment replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
guests=tests/system
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# stdout: /' "$work/out" | head -n 40
    sed 's/^/# stderr: /' "$work/err" | head -n 10
}

# Runs `oxbow test` with these arguments; $status, $work/out and $work/err are what came of it.
run() {
    timeout 100 "$oxbow" test "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
}

# $1: exit status, $2: extended pattern of a line on stdout, $3: name; then arguments
gives() {
    want=$1 pattern=$2 name=$3
    shift 3
    run "$@"
    [ "$status" = "$want" ] && grep -qE -- "$pattern" "$work/out"
    report $? "$name"
}

# $1: pattern of the one line on stderr, $2: name; then arguments. Exit status 2.
refuses() {
    pattern=$1 name=$2
    shift 2
    run "$@"
    [ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "^oxbow test: .*$pattern" "$work/err" &&
        [ ! -s "$work/out" ]
    report $? "refused: $name"
}

gives 0 '^Usage: oxbow test' "--help" --help
gives 0 '^pass  .*hello.elf \(.* s\): the guest powered off$' "powering off passes" "$guests/hello.elf"
gives 1 'hello.elf .*: the guest powered off without printing what is expected' "... but not without what is expected" \
    --expect 'good bye' "$guests/hello.elf"
gives 0 'hello.elf .*: it printed "hello"$' "an expected line passes" --expect '^h.l+o$' "$guests/hello.elf"
gives 1 '^FAIL  .*hello.elf .*: it printed "hello"$' "a line can fail" --fail 'hel+o' "$guests/hello.elf"
gives 0 'echo.elf .*: it printed "ready"$' "an expected line ends a guest that goes on" --expect ready --timeout 50 "$guests/echo.elf"
gives 1 'the exit device got 0x10, which is not 0' "the exit device fails" "$guests/exit.elf"
gives 0 'the exit device got 0x10$' "the exit device passes" --exit-success 0x10 "$guests/exit.elf"
gives 0 'the exit device got 0x10$' "what it got first counts" --exit-success 0x10 "$guests/twice.elf"
gives 1 'the exit device got 0x10, which is not 0' "... and not what it got then" "$guests/twice.elf"
gives 1 'crash.elf .*: triple fault$' "a triple fault fails" "$guests/crash.elf"
grep -q '^    | .*#UD' "$work/out"
report $? "... with its report"
gives 1 'reset.elf .*: the guest reset the machine' "a reset fails" "$guests/reset.elf"
grep -q '^    | start' "$work/out"
report $? "... with what the guest printed"
gives 1 'hang.elf .*: still running after 0.5 s' "taking too long fails" --timeout 0.5 "$guests/hang.elf"
gives 1 'wait.elf .*: still running after 0.5 s' "... asleep too" --timeout 0.5 "$guests/wait.elf"
printf 'neither kernel nor disk' >"$work/junk"
gives 1 'junk .*: .' "what is no image fails" "$work/junk"

gives 1 '^2 passed, 1 failed, 0 skipped in ' "several at a time" --jobs 3 "$guests/hello.elf" "$guests/crash.elf" "$guests/hello.elf"
gives 0 '^4 passed, 0 failed, 0 skipped in ' "each engine, each several times" --accel interp,auto --repeat 2 "$guests/hello.elf"
grep -q 'hello.elf (interp, run 2)' "$work/out"
report $? "... and they are told apart"
gives 0 '^pass' "options for the machines" "$guests/hello.elf" -- --memory 16M
gives 1 'not ok 2 - .*crash.elf' "TAP" --tap --jobs 1 "$guests/hello.elf" "$guests/crash.elf"
head -n 1 "$work/out" | grep -qx '1\.\.2' && ! grep -vE '^(1\.\.|ok |not ok |#)' "$work/out"
report $? "... and nothing else"
gives 1 '^2 passed, 2 failed' "logs" --logs "$work" --repeat 2 --accel interp "$guests/hello.elf" "$guests/crash.elf"
[ "$(cat "$work/hello.elf.interp.serial" "$work/hello.elf.interp.2.serial")" = "hello
hello" ] && grep -q '^The cause: invalid opcode' "$work/crash.elf.interp.errors" && [ ! -s "$work/crash.elf.interp.serial" ]
report $? "... have all that was printed"
run --logs "$work/none" "$guests/hello.elf"
[ "$status" = 5 ] && grep -q 'cannot write to .*/none' "$work/err"
report $? "a folder that isn't there is named"
gives 1 '^1 passed, 1 failed' "JUnit" --junit "$work/junit.xml" "$guests/hello.elf" "$guests/crash.elf"
grep -q '<testsuite name="oxbow" tests="2" failures="1"' "$work/junit.xml" &&
    grep -q '<failure message="triple fault"/>' "$work/junit.xml" && grep -q '<system-out>hello' "$work/junit.xml"
report $? "... has what there is to say"
if command -v python3 >/dev/null; then
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$work/junit.xml" 2>"$work/err"
    report $? "... and is XML"
else
    skip "... and is XML" "there is no python3"
fi

# Interrupted: what runs is ended, what did not run is counted.
: >"$work/out" # what is there of the test before must not be taken for this one's
"$oxbow" test --jobs 1 "$guests/hello.elf" "$guests/hang.elf" "$guests/hello.elf" >"$work/out" 2>"$work/err" &
pid=$!
tries=0
until grep -q '^pass' "$work/out" || [ $tries = 600 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -TERM $pid
wait $pid
status=$?
[ "$status" = 143 ] && grep -q '^1 passed, 0 failed, 0 skipped, 2 not run' "$work/out"
report $? "a signal ends it with a summary"

refuses 'nothing to run' "no image"
refuses 'No such file' "an image that is not there" "$work/none"
refuses 'no such option' "an unknown option" --frobnicate "$guests/hello.elf"
refuses 'needs a value' "an option without its value" "$guests/hello.elf" --junit
refuses 'not a number' "no jobs" --jobs 0 "$guests/hello.elf"
refuses 'not a time' "a time before it began" --timeout -1 "$guests/hello.elf"
refuses 'no engine "ox"' "an unknown engine" --accel interp,ox "$guests/hello.elf"
refuses 'not a regular expression' "an open bracket" --expect '[a' "$guests/hello.elf"
refuses 'not a size' "a machine's bad option" "$guests/hello.elf" -- --memory much
refuses 'is no option' "an image behind --" "$guests/hello.elf" -- "$guests/hello.elf"
run --junit "$work/none/junit.xml" "$guests/hello.elf"
[ "$status" = 5 ] && grep -q 'cannot write' "$work/err"
report $? "results that can't be written are an error"

echo "1..$number"
