#!/bin/sh
# crash_report.sh - crash reports: their cause, code and stack with names, the core file, and --stop-on. Runs in the build folder:
# tests/system/crash_report.sh; OXBOW in the environment replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
guests=tests/system
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# /' "$work/err" | head -n 70
}

# Runs a kernel: $1, and then options; $status and $work/err are what came of it.
run() {
    kernel=$1
    shift
    timeout 100 "$oxbow" --headless --timeout 90 --memory 64M --kernel "$kernel" "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
}

# $1: extended pattern of a line of the report, $2: name
says() {
    [ "$status" = 3 ] && grep -qE -- "$1" "$work/err"
    report $? "$2"
}

engines=$("$oxbow" accel | awk '$1 == "interp" || $1 == "jit" { print $1 }')

run "$guests/crash.elf" --crash-report "$work/report"
says '^The cause: invalid opcode \(#UD\) at 000000000010[0-9a-f]{4} <start\+0x[0-9a-f]+ at .*small\.S:[0-9]+>\.$' \
    "the cause is named with function and line"
says '^Its handler did not run: the IDT ends before vector 6 ' "why its handler did not run is named"
says '^    0000000000100[0-9a-f]{3}  0f 0b +ud2$' "the code is shown"
says '^    .* jmp .*<halt>$' "... with names of what it refers to"
says '^The stack at 0000000000[0-9a-f]{6}:$' "the stack is shown"
cmp -s "$work/report" "$work/err"
report $? "--crash-report has the same"
if command -v gdb >/dev/null; then
    gdb -batch -nx -ex 'p/x $eax' "$guests/crash.elf" "$work/report.core" >"$work/gdb" 2>&1
    grep -qE 'start \(\) at .*small\.S' "$work/gdb" && grep -q '= 0x12345678$' "$work/gdb"
    report $? "gdb opens the core file of a 32-bit kernel: registers, memory, lines"
else
    skip "gdb opens the core file of a 32-bit kernel: registers, memory, lines" "there is no gdb"
fi

for engine in $engines; do
    run tests/guest/paging.elf --accel "$engine" --stop-on exception:#PF --crash-report "$work/report"
    says '^The run was stopped: the guest raised #PF with error code [0-9a-f]{4}, which was not delivered\.$' \
        "$engine: --stop-on an exception"
    says '64-bit mode|64-bit code' "... in 64-bit code"
    rip=$(sed -n 's/^  rip \([0-9a-f]*\) .*/\1/p' "$work/err")
    code=$(sed -n "/^The code at/,\$s/^    $rip  \(\([0-9a-f][0-9a-f] \)*\).*/\1/p" "$work/err" | head -n 1)
    if command -v gdb >/dev/null; then
        gdb -batch -nx -ex 'x/2xb $pc' -ex 'info registers rip' -c "$work/report.core" >"$work/gdb" 2>&1
        bytes=$(sed -n 's/^.*0x\([0-9a-f][0-9a-f]\)[[:space:]]*0x\([0-9a-f][0-9a-f]\)$/\1 \2/p' "$work/gdb")
        [ -n "$bytes" ] && case "$code" in "$bytes"*) true ;; *) false ;; esac
        report $? "... whose core file gdb reads by its page tables"
    else
        skip "... whose core file gdb reads by its page tables" "there is no gdb"
    fi
done

for engine in $engines; do
    for option in "--stop-on nonsense" "--crash-report $work/report"; do
        # shellcheck disable=SC2086 # an option and its value
        run "$guests/lost.elf" --accel "$engine" $option
        says '^The run was stopped: the guest was to execute code at 00000000e0000000, where there is no memory\.$' \
            "$engine: ${option%% *}: code where there is no memory"
    done
    says '^The last branches, the latest last:$' "$engine: the last branches are shown"
    sed -n '/^The last branches/,$p' "$work/err" | tail -n 2 >"$work/last"
    grep -qE '^  ret +0010:[0-9a-f]{8} <print\+0x[0-9a-f]+> to 0010:[0-9a-f]{8} <start\+0xf>$' "$work/last" &&
        grep -qE '^  call +0010:[0-9a-f]{8} <start\+0x14> to 0010:e0000000$' "$work/last"
    report $? "... up to the call there"
    run "$guests/lost.elf" --accel "$engine" --history=0 --stop-on nonsense
    says '^The last exceptions, interrupts, far transfers and system calls' "$engine: --history=0: not the branches"
done
run "$guests/hello.elf" --stop-on nonsense
[ "$status" = 0 ] && grep -q hello "$work/out"
report $? "a guest that does nothing of the kind runs to its end"
run "$guests/crash.elf" --history=70000
[ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q 'give 0 to 65536' "$work/err"
report $? "refused: a history that is too long"

for engine in $engines; do
    run "$guests/asks.elf" --accel "$engine" --log info
    [ "$status" = 0 ] && grep -q 'asks for its debugger, at port 8a00' "$work/err" &&
        grep -qE 'memory that it watches \(200000, 4 bytes\) was written at 200000, before rip 10[0-9a-f]+$' "$work/err"
    report $? "$engine: a guest asks for its debugger through Bochs's ports"
done

run "$guests/panic.elf" --stop-on panic
says '^The run was stopped: the guest printed "\[    1\.5\] Panic: no grass"\.$' "--stop-on a panic"
says '^  rip ' "... with the registers"
run "$guests/hello.elf" --stop-on panic,exception:13
[ "$status" = 0 ] && grep -q hello "$work/out"
report $? "a guest that doesn't panic runs to its end"
run "$guests/crash.elf" --crash-report "$work/none/report"
[ "$status" = 3 ] && grep -q 'cannot write .*/none/report:' "$work/err" && grep -q '^The cause' "$work/err"
report $? "a report that can't be written is named, and still printed"
run "$guests/hello.elf" --stop-on grass
[ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q 'choose from panic' "$work/err"
report $? "refused: a cause that there isn't"
run "$guests/hello.elf" --stop-on exception:#XX
[ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ]
report $? "refused: an exception that there isn't"

echo "1..$number"
