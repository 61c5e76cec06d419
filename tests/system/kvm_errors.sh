#!/bin/sh
# kvm_errors.sh - what Oxbow says and does when KVM fails: ioctls by name, exits that nobody knows, missing capabilities. The
# failures come from tests/system/kvm_shim.c, which is built here and preloaded. Runs in the build folder:
# tests/system/kvm_errors.sh; OXBOW in the environment replaces ./oxbow. Every run is bounded.
set -u
oxbow=$(realpath "${OXBOW:-./oxbow}")
source=${srcdir:-..}
if ! "$oxbow" --version | grep -q '^engine kvm  *yes'; then
    echo "1..0 # SKIP $("$oxbow" accel | sed -n '/^kvm/,/^[^ ]/s/^ *not here: //p')"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ldd "$oxbow" | grep -qE 'lib(a|ub|t)san'; then
    echo "1..0 # SKIP a sanitizer wants to be loaded before anything else"
    exit 0
fi
if ! ${CC:-cc} -shared -fPIC -O1 -o "$work/shim.so" "$source/tests/system/kvm_shim.c" 2>"$work/err"; then
    echo "1..0 # SKIP the shim can't be built: $(head -n 1 "$work/err")"
    exit 0
fi
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# /' "$work/err" | head -n 20
}

# $1: NAME=VALUE for the shim; then arguments
run() {
    shim=$1
    shift
    env "$shim" LD_PRELOAD="$work/shim.so" timeout 30 "$oxbow" --accel kvm --kvm-code all --headless --exit-device --timeout 20 \
        "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
}

# $1: exit status, $2: what it says, $3: name
says() {
    [ $status = "$1" ] && grep -q -- "$2" "$work/err"
    report $? "$3"
}

guest="--kernel tests/guest/cmpxchg16b.elf"
for request in KVM_SET_CPUID2 KVM_X86_SET_MSR_FILTER KVM_RUN KVM_GET_XSAVE KVM_SET_USER_MEMORY_REGION; do
    run SHIM_FAIL=$request $guest
    says 5 "$request.*: Input/output error" "$request fails"
done
for request in KVM_SET_LAPIC KVM_GET_LAPIC; do
    run SHIM_FAIL=$request --kvm-irqchip split $guest
    says 5 "$request: Input/output error" "$request fails"
done
for request in KVM_CREATE_IRQCHIP KVM_SET_IRQCHIP KVM_SET_GSI_ROUTING; do
    run SHIM_FAIL=$request --kvm-irqchip full $guest
    says 5 "$request.*: Input/output error" "$request fails"
done

run SHIM_FAIL=KVM_SET_REGS $guest
says 1 "KVM_SET_REGS: Input/output error: the software CPU runs the guest while it is so" "a state that KVM refuses"

run SHIM_EXIT=60 $guest
says 5 "an exit of a kind that Oxbow doesn't know, reason (0x3c)" "an exit that nobody knows"
grep -q '^ *rip' "$work/err" && grep -q '^ *cr3' "$work/err"
report $? "the registers are printed"
run SHIM_EXIT=9 $guest
says 5 "the processor can't enter the guest" "an entry that fails"

run SHIM_LACKS=KVM_CAP_SREGS2 $guest
says 5 "this kernel's KVM has no KVM_CAP_SREGS2, which came with Linux 5.14; use --accel jit" "what can't be done without is missing"
run SHIM_LACKS=KVM_CAP_SPLIT_IRQCHIP --kvm-irqchip split $guest
says 1 "--kvm-irqchip split: this kernel's KVM has no KVM_CAP_SPLIT_IRQCHIP .*the interrupt controllers are Oxbow's" \
    "KVM_CAP_SPLIT_IRQCHIP is missing"
grep -q ' 0 failed' "$work/out"
report $? "the guest runs without it"
run SHIM_LACKS=KVM_CAP_SIGNAL_MSI --kvm-irqchip full $guest
says 1 "--kvm-irqchip full: .*no KVM_CAP_SIGNAL_MSI" "KVM_CAP_SIGNAL_MSI is missing"
echo "1..$number"
