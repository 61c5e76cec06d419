#!/bin/sh
# kvm.sh - the machine under KVM: how runs end, guest programs, an instruction that not every KVM knows, SeaBIOS's menu,
# a kernel's boot, interrupt controllers and engines that change. Runs in the build folder:
# tests/system/kvm.sh; OXBOW in the environment replaces ./oxbow. Every run is bounded.
set -u
oxbow=$(realpath "${OXBOW:-./oxbow}")
source=${srcdir:-..}
"$oxbow" accel >/dev/null || exit 99
if ! "$oxbow" --version | grep -q '^engine kvm  *yes'; then
    echo "1..0 # SKIP $("$oxbow" accel | sed -n '/^kvm/,/^[^ ]/s/^ *not here: //p')"
    exit 0
fi
native=no
"$oxbow" accel | grep -q '^ *kernel code runs natively' && native=yes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexec "%s" --accel kvm "$@"\n' "$oxbow" >"$work/oxbow"
chmod +x "$work/oxbow"
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# /' "$work/out" "$work/err" | head -n 60
}

# $1: seconds at most; then arguments
run() {
    limit=$1
    shift
    timeout $((limit + 20)) "$work/oxbow" --headless --timeout "$limit" "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
}

# $1: exit status, $2: what is in the output, $3: name
ends() {
    [ $status = "$1" ] && { [ -z "$2" ] || grep -q -- "$2" "$work/out"; }
    report $? "$3"
}

# What auto takes is what the probe says of kernel code.
auto=$("$oxbow" accel | sed -n 's/^auto .* which is //p')
status=0
"$oxbow" accel >"$work/out" 2>"$work/err"
[ "$auto" = "$([ $native = yes ] && echo kvm || echo jit)" ] || [ "$auto" = interp ]
report $? "auto takes KVM where kernel code runs natively"

run 20 --stats --kvm-code all tests/system/hello.elf
ends 0 hello "a guest prints and powers off"
grep -q '^stats: kvm: .* port' "$work/err"
report $? "--stats counts exits by reason"
if [ $native = no ]; then
    [ "$(grep -c 'runs only user code well' "$work/err")" = 1 ]
    report $? "one warning where KVM is slow"
fi
run 20 --exit-device tests/system/exit.elf
ends 33 '' "the exit device ends the run"
run 20 --no-reboot tests/system/reset.elf
ends 6 start "a reset ends the run"
run 20 tests/system/crash.elf
ends 3 '' "a triple fault ends the run"
run 1 tests/system/hang.elf
ends 4 '' "a guest that runs in a circle is stopped"
run 1 tests/system/wait.elf
ends 4 '' "a guest that halts for good is stopped"

# What KVM lacks, the guest's processor lacks from the beginning, unless it was asked for: then KVM can't go on with it.
lacks() {
    "$oxbow" accel | grep -q "it lacks these features.* $1\\( \\|\$\\)"
}
if lacks pcid; then
    run 20 --log info tests/system/hello.elf
    grep -q "^oxbow: the guest's processor is without what the engine kvm lacks here:.* pcid" "$work/err"
    report $? "the default processor is without what KVM lacks"
else
    skip "the default processor is without what KVM lacks" "KVM lacks nothing of it here"
fi
if lacks xsave; then
    run 60 --accel jit --cpu max --exit-device --switch-at time=0.5:kvm --kernel tests/guest/torture.elf --append seconds=1
    [ $status = 1 ] && grep -q ' 0 failed' "$work/out" &&
        grep -q "can't be switched: the guest uses what KVM lacks here: .*xsave.*--cpu .*-xsave" "$work/err"
    report $? "KVM doesn't take over what it can't run, and says why"
else
    skip "KVM doesn't take over what it can't run, and says why" "KVM lacks nothing here"
fi

run 60 --exit-device --stats --kvm-code all --kernel tests/guest/cmpxchg16b.elf
ends 1 ' 0 failed' "LOCK CMPXCHG16B in long mode gives the right answers"
if [ $native = no ]; then
    grep -q "^stats: kvm: not KVM's.* 0f c7 /1 [0-9]" "$work/err"
    report $? "--stats says which instruction the software CPU executed"
fi
run 100 --exit-device --kernel tests/guest/smc.elf
ends 1 ' 0 failed' "tests/guest/smc"
for guest in exceptions general integer irq long modes paging ports string v86; do
    run 300 --exit-device --kernel tests/guest/$guest.elf
    ends 1 ' 0 failed' "tests/guest/$guest"
done

# Interrupts of the APIC's timer at CPL 3, with a switch every few milliseconds: each model of interrupt controllers gives
# its state to the others.
run 60 --exit-device --stats --kvm-code user --append seconds=2 --kernel tests/guest/torture.elf
ends 1 ' 0 failed' "torture with --kvm-code user"
if [ $native = no ]; then
    grep -q '^stats: kvm: user code only: left for [1-9][0-9]* events' "$work/err"
    report $? "KVM gives user code back at events"
else
    grep -q -- '--kvm-code user: kernel code runs natively here' "$work/err"
    report $? "--kvm-code user is for hosts where KVM emulates kernel code"
fi
for chips in off split full; do
    run 60 --exit-device --kvm-code all --kvm-irqchip $chips --switch-at every=0.003:interp,jit,kvm --append seconds=2 \
        --kernel tests/guest/torture.elf
    ends 1 ' 0 failed' "torture with --kvm-irqchip $chips"
done

all_passed() {
    grep -q '^1\.\.' "$work/out" && ! grep -q '^not ok' "$work/out"
}

# $1: a test program, $2: name
under_kvm() {
    OXBOW=$work/oxbow timeout 400 "$1" >"$work/out" 2>"$work/err"
    status=$?
    all_passed
    report $? "$2"
}

under_kvm tests/system/boot_menu "SeaBIOS shows its boot menu and boots from what is chosen"
under_kvm tests/system/linux_boot "Debian's kernel boots to a shell"
echo "1..$number"
