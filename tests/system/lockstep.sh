#!/bin/sh
# lockstep.sh - translated code beside the interpreter, block by block (--check): guest programs, and some seconds of a
# booting kernel. Runs in the build folder: tests/system/lockstep.sh; OXBOW, KERNEL and INITRD in the environment replace
# ./oxbow and what `./setup check` put into cache/.
set -u
oxbow=${OXBOW:-./oxbow}
kernel=${KERNEL:-cache/vmlinuz}
initrd=${INITRD:-cache/initrd.gz}
if ! "$oxbow" --version | grep -q '^engine jit  *yes'; then
    echo "1..0 # SKIP no translator on this host"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# /' "$work/err" | head -n 100
}

# Runs Oxbow with these arguments to its end.
run() {
    timeout 200 "$oxbow" --accel jit --headless "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
}

# $1: exit status, $2: blocks that must have been compared, $3: name
ends() {
    blocks=$(sed -n 's/^check: \([0-9]*\) blocks compared.*/\1/p' "$work/err")
    [ $status = "$1" ] && [ "${blocks:-0}" -ge "$2" ]
    report $? "$3 (${blocks:-0} blocks compared)"
}

for guest in exceptions long paging smc; do
    run --check --exit-device --timeout 150 --kernel tests/guest/$guest.elf
    ends 1 5000 "tests/guest/$guest.elf"
done

if [ -r "$kernel" ] && [ -r "$initrd" ]; then
    run --check=20 -m 256M --kernel "$kernel" --initrd "$initrd" --append console=ttyS0 --timeout 20
    ends 4 10000 "a kernel boots for 20 seconds"
else
    skip "a kernel boots for 20 seconds" "no $kernel and $initrd; ./setup check fetches them"
fi

run --accel interp --check --kernel tests/guest/long.elf
[ $status = 2 ] && grep -q '^oxbow: --check: ' "$work/err"
report $? "the interpreter alone has nothing to compare"
echo "1..$number"
