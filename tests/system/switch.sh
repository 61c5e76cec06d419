#!/bin/sh
# switch.sh - engines take turns under a running guest (--switch-at): each condition at its place, guest programs that must
# not notice, and tests/guest/torture.c with a switch every few milliseconds, its clock held against the host's. Runs in the
# build folder: tests/system/switch.sh; OXBOW and SECONDS_OF_TORTURE in the environment replace ./oxbow and 8, which is twice
# that with KVM.
set -u
oxbow=${OXBOW:-./oxbow}
seconds=${SECONDS_OF_TORTURE:-8}
if ! "$oxbow" --version | grep -q '^engine jit  *yes'; then
    echo "1..0 # SKIP no translator on this host"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=

. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    grep -hvE '^PASS' "$work/out" "$work/err" | sed 's/^/# /' | head -n 40
}

# Runs Oxbow with these arguments to its end.
run() {
    timeout 280 "$oxbow" --headless --exit-device --stats "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
}

# $1: engine, $2: turns. Whether it had as many.
turns() {
    grep -q "^stats: $1: $2 turns" "$work/err"
}

# $1: how many switches there must have been at least
switched() {
    count=$(sed -n 's/^stats: \([0-9]*\) switches of the engine.*/\1/p' "$work/err")
    [ "${count:-0}" -ge "$1" ]
}

# The address of a symbol in a guest program.
address() {
    nm "$1" | awk -v name="$2" '$3 == name { print "0x" $1 }'
}

# --- Conditions. The guest integer makes 27 checks, each from test_begin() to test_end()

integer=tests/guest/integer.elf
run --accel interp --switch-at time=0.02:jit --kernel $integer
[ $status = 1 ] && turns interp 1 && turns jit 1
report $? "a time comes"
run --accel jit --switch-at serial='PASS RC':interp --kernel $integer
[ $status = 1 ] && turns jit 1 && turns interp 1
report $? "a text comes on the serial port"
run --accel jit --switch-at serial='ROL
PASS':interp --kernel $integer
[ $status = 1 ] && ! switched 1
report $? "a text never spans lines"
run --accel jit --switch-at port=0xe9=0x50:interp --switch-at port=0xe9=10:jit --kernel $integer
[ $status = 1 ] && switched 20
report $? "the guest writes to a port, to and fro"
run --accel jit --switch-at port=0xea:interp --kernel $integer
[ $status = 1 ] && ! switched 1
report $? "another port is another matter"
run --accel jit --switch-at addr="$(address $integer test_end)":interp --switch-at addr="$(address $integer test_begin)":jit --kernel $integer
[ $status = 1 ] && [ "$(sed -n 's/^stats: \([0-9]*\) switches.*/\1/p' "$work/err")" = 53 ]
report $? "an address is reached: 27 times one, 26 times the other in between"
run --accel interp --switch-at addr="$(address $integer guest_main)":jit --kernel $integer
[ $status = 1 ] && turns interp 1 && turns jit 1 && [ "$(sed -n 's/^stats: interp: .* s, \([0-9]*\) instr.*/\1/p' "$work/err")" -lt 100000 ]
report $? "the instruction at the address is the other engine's"
run --accel jit --switch-at addr=101830:interp --switch-at addr=0x101830:jit --kernel $integer
[ $status = 2 ] && grep -q '^oxbow: --switch-at: address 0x101830 is there twice' "$work/err"
report $? "an address can't wait for two engines"
run --accel interp --check=20 --switch-at addr="$(address $integer guest_main)":jit --switch-at time=5:interp --kernel $integer
[ $status = 1 ] && grep -q '^check: [1-9][0-9]* blocks compared' "$work/err"
report $? "--check compares while the translator has its turn"
run --accel interp --check --switch-at time=1:interp --kernel $integer
[ $status = 2 ] && grep -q '^oxbow: --check: ' "$work/err"
report $? "--check where no engine translates"
run --accel jit --jit-dump all,"$work/dump" --switch-at every=0.001:jit,interp --kernel tests/guest/smc.elf
[ $status = 1 ] && switched 10 && [ "$(grep -c '^Block at' "$work/dump")" = "$(sed -n 's/^stats: jit: \([0-9]*\) blocks of.*/\1/p' "$work/err")" ]
report $? "--jit-dump of a translator that comes and goes"

# --- Guests that must not notice

for guest in exceptions general integer irq long modes paging smc string; do
    run --accel interp --switch-at every=0.0001:interp,jit --kernel tests/guest/$guest.elf
    [ $status = 1 ] && grep -q 'RESULT [1-9][0-9]* passed, 0 failed' "$work/out"
    report $? "tests/guest/$guest.elf, $(sed -n 's/^stats: \([0-9]*\) switches.*/\1/p' "$work/err") switches"
done

# --- Torture

# $1: first engine, $2: all of them. Lines get the host's time in front as they come.
torture() {
    timeout 600 "$oxbow" --headless --exit-device --stats --cpu "$3" --accel "$1" --switch-at "every=0.003:$2" \
        --append "seconds=$seconds" --kernel tests/guest/torture.elf </dev/null 2>"$work/err" |
        while read -r line; do echo "$(date +%s%N) $line"; done >"$work/out"
    status=
    grep -q ' RESULT [1-9][0-9]* passed, 0 failed' "$work/out" && switched $((seconds * 20))
    report $? "torture under $2, $(sed -n 's/^stats: \([0-9]*\) switches.*/\1/p' "$work/err") switches"
    # A hundredth, and what the lines may have waited to be read.
    awk '{ sub(/\r$/, "") }
         $2 == "BEGIN" { begin = $1 } $2 == "END" { took = ($1 - begin) / 1e6 } $2 == "ELAPSED" { guest = $3 + 0 }
         END { print "# guest " guest " ms, host " int(took) " ms"
               exit !(guest && took - guest < guest / 100 + 200 && guest - took < guest / 100 + 200) }' "$work/out"
    report $? "its clock is the host's, within 1%"
}
torture interp interp,jit max
if "$oxbow" --version | grep -q '^engine kvm  *yes'; then
    torture kvm interp,jit,kvm qemu64
else
    skip "torture under interp,jit,kvm" "no KVM on this host"
    skip "its clock is the host's, within 1%" "no KVM on this host"
fi
echo "1..$number"
