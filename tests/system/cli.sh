#!/bin/sh
# cli.sh - what the command line answers: options, bad input, and how a run ends. Runs in the build folder:
# tests/system/cli.sh; OXBOW in the environment replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
guests=tests/system
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# stdout: /' "$work/out" | head -n 20
    sed 's/^/# stderr: /' "$work/err" | head -n 40
}

# Runs Oxbow with these arguments; $status, $work/out and $work/err are what came of it.
run() {
    timeout 100 "$oxbow" "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
}

# $1: exit status, $2: pattern on stdout, $3: name; then arguments
gives() {
    want=$1 pattern=$2 name=$3
    shift 3
    run "$@"
    [ "$status" = "$want" ] && { [ -z "$pattern" ] || grep -q -- "$pattern" "$work/out"; }
    report $? "$name"
}

# $1: pattern of the one line on stderr, $2: name; then arguments. Exit status 2.
refuses() {
    pattern=$1 name=$2
    shift 2
    run "$@"
    [ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "^oxbow: .*$pattern" "$work/err" &&
        [ ! -s "$work/out" ]
    report $? "refused: $name"
}

# Questions.
gives 0 '^Usage: oxbow' "--help" --help
gives 0 '^Oxbow [0-9]' "--version" --version
gives 0 '^interp ' "--accel help" --accel help
gives 0 '.' "--cpu help" --cpu help
gives 0 '^\.SH OPTIONS' "--help-man" --help-man
if [ -e /dev/full ]; then
    "$oxbow" --help >/dev/full 2>"$work/err"
    status=$?
    : >"$work/out"
    [ "$status" = 5 ] && grep -q 'standard output' "$work/err"
    report $? "--help into a full disk is an error"
fi

# A window where there is no desktop.
unset DISPLAY WAYLAND_DISPLAY SDL_VIDEODRIVER
run --display sdl
[ "$status" = 5 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q '^oxbow: --display sdl: ' "$work/err"
report $? "--display sdl without a desktop says so, with status 5"

# Usage.
refuses 'did you mean --kernel' "an option with a slip" --kernal x
refuses 'oxbow --help lists' "an option that doesn't exist" --frobnicate
refuses 'needs a value' "an option without its value" --kernel
refuses '"a" and "b"' "two images" a b
refuses '0 is too little' "no memory" -m 0
refuses 'is not a size' "memory that isn't a size" -m many
refuses 'at most' "memory beyond all bounds" -m 9999T
refuses 'one processor' "two processors" -c 2
refuses 'is not a time' "a timeout that isn't a time" --timeout soon
refuses 'level "loud"' "a log level that doesn't exist" --log loud
refuses 'teletype' "a serial port that leads nowhere" --serial teletype
refuses 'no/such' "a serial file that can't be made" --serial "file:$work/no/such/file"
refuses 'nonsense' "a CPU model that doesn't exist" --cpu nonsense
refuses 'append' "a command line without a kernel" --append quiet
refuses 'initrd' "an initrd without a kernel" --initrd "$guests/hello.elf"
refuses 'debugcon stdio.*already' "the terminal for two ports" --serial stdio --debugcon stdio
if "$oxbow" --version | grep -q '^engine kvm  *yes'; then
    number=$((number + 1))
    echo "ok $number - --accel kvm answers with what to do # SKIP it serves here"
else
    run --accel kvm
    [ "$status" = 5 ] && grep -qi '^oxbow: .*kvm' "$work/err"
    report $? "--accel kvm answers with what to do"
fi

# Files.
: >"$work/empty"
mkdir "$work/folder"
head -c 100000 /dev/zero >"$work/zeros"
head -c 150 "$guests/hello.elf" >"$work/short.elf"
head -c 40 "$guests/hello.elf" >"$work/shorter.elf"
printf 'some text\n' >"$work/text"
# An MBR, an ISO 9660 volume, qcow2: what shows their kind.
{ head -c 510 /dev/zero; printf '\125\252'; head -c 65024 /dev/zero; } >"$work/disk"
{ head -c 32768 /dev/zero; printf '\001CD001\001'; head -c 65536 /dev/zero; } >"$work/disc"
{ printf 'QFI\373\000\000\000\003'; head -c 65536 /dev/zero; } >"$work/qcow2"
{ printf '\037\213\010\000'; head -c 100 /dev/zero; } >"$work/gzip"
# A bzImage header that promises more than there is.
{
    head -c 497 /dev/zero; printf '\004\000\000\377\377\000\000\000\000\000\000\000\000\125\252'
    printf '\353\146HdrS\017\002'; head -c 2000 /dev/zero
} >"$work/bzimage"
refuses 'missing' "a kernel that isn't there" --kernel "$work/missing"
refuses 'missing' "an image that isn't there" "$work/missing"
refuses 'empty' "an empty kernel" --kernel "$work/empty"
refuses 'folder' "a folder as kernel" --kernel "$work/folder"
refuses 'zeros' "a kernel of zeros" --kernel "$work/zeros"
refuses 'text' "a text as kernel" --kernel "$work/text"
refuses 'short.elf' "a truncated ELF" --kernel "$work/short.elf"
refuses 'shorter.elf' "an ELF of a header only" --kernel "$work/shorter.elf"
refuses 'bzimage' "a truncated Linux kernel" --kernel "$work/bzimage"
refuses 'gzip' "a compressed file" --kernel "$work/gzip"
refuses 'disk.*not a kernel' "a disk image as kernel" --kernel "$work/disk"
refuses 'ISO.*not a kernel' "a CD image as kernel" --kernel "$work/disc"
refuses 'qcow2.*not a kernel' "a qcow2 image as kernel" --kernel "$work/qcow2"
refuses 'missing' "an initrd that isn't there" --kernel "$guests/hello.elf" --initrd "$work/missing"
head -c 8000000 /dev/zero >"$work/big"
refuses 'big' "an initrd that doesn't fit" --kernel "$guests/hello.elf" --initrd "$work/big" -m 4M
if [ "$(id -u)" != 0 ]; then
    : >"$work/secret"
    chmod 000 "$work/secret"
    refuses 'secret' "a kernel that can't be read" --kernel "$work/secret"
fi

# Machine files.
cat >"$work/good.ini" <<END
; a machine
[machine]
kernel = $guests/hello.elf
memory = 64M
serial = file:$work/serial
no-reboot = yes
END
run --machine "$work/good.ini"
[ "$status" = 0 ] && grep -q hello "$work/serial"
report $? "a machine file"
printf 'kernal = x\n' >"$work/slip.ini"
printf '[machine]\nmemory = lots\n' >"$work/lots.ini"
printf '[network]\nx = 1\n' >"$work/section.ini"
printf 'what is this\n' >"$work/nonsense.ini"
refuses 'slip.ini, line 1: .*did you mean "kernel"' "a machine file with a slip" --machine "$work/slip.ini"
refuses 'lots.ini, line 2: .*not a size' "a machine file with a bad value" --machine "$work/lots.ini"
refuses 'section.ini, line 2: .*section \[network\]' "a machine file's strange section" --machine "$work/section.ini"
refuses 'nonsense.ini, line 1' "a machine file that isn't one" --machine "$work/nonsense.ini"
refuses 'missing' "a machine file that isn't there" --machine "$work/missing"
refuses 'folder' "a folder as machine file" --machine "$work/folder"

# How runs end.
gives 0 '^hello' "power-off" --kernel "$guests/hello.elf"
gives 0 '^hello' "an image without --kernel" "$guests/hello.elf"
gives 33 '' "the exit device: 0x10 gives 33" --kernel "$guests/exit.elf" --exit-device
gives 6 '^start' "reset under --no-reboot" --kernel "$guests/reset.elf" --no-reboot
gives 4 '' "a loop under --timeout" --kernel "$guests/hang.elf" --timeout 0.3
gives 4 '' "a halt under --timeout" --kernel "$guests/wait.elf" --timeout 0.3
gives 4 'start' "resets under --timeout" --kernel "$guests/reset.elf" --timeout 2
[ "$(grep -c start "$work/out")" -gt 1 ]
report $? "a reset boots the kernel again"
gives 4 '' "without the exit device, its port does nothing" --kernel "$guests/exit.elf" --timeout 0.3
gives 3 '' "a triple fault" --kernel "$guests/crash.elf"
grep -q ' 1\. #UD' "$work/err"
report $? "the crash report has the original exception first"
grep -qi 'ud2' "$work/err"
report $? "the crash report has the instruction"
grep -qi 'rax 0000000012345678' "$work/err"
report $? "the crash report has the registers"
grep -q 'protected mode' "$work/err"
report $? "the crash report has the mode"
run --kernel "$guests/hello.elf" --serial none --debugcon "file:$work/debug"
[ "$status" = 0 ] && grep -q hello "$work/debug" && [ ! -s "$work/out" ]
report $? "the debug port goes to a file"
run --kernel "$guests/hello.elf" --stats
[ "$status" = 0 ] && grep -q 'instructions.*MIPS' "$work/err"
report $? "--stats"

# The demo guest.
run --timeout 90
[ "$status" = 0 ] && [ "$(wc -l <"$work/out")" -gt 10 ]
report $? "the demo guest runs and powers off"

# Its last screen. A PNG file has its width and height as bytes 16 to 23; a black picture packs into 1000 bytes.
picture_is() {
    [ "$(od -An -tx1 -j16 -N8 "$1" | tr -d ' \n')" = "$2" ] && [ "$(wc -c <"$1")" -gt 4000 ]
}
run --screenshot "$work/demo.png" --display none --timeout 90
[ "$status" = 0 ] && picture_is "$work/demo.png" 000002d000000190
report $? "the demo guest writes on a screen of 720 by 400, too"
grep -q 'VGA controller' "$work/out" && grep -q 'Powering off' "$work/out"
report $? "and still on the serial port"
run --kernel "$guests/hello.elf" --screenshot "$work/empty.png" --display none
[ "$status" = 0 ] && ! picture_is "$work/empty.png" 000002d000000190 && [ -s "$work/empty.png" ]
report $? "a kernel that shows nothing leaves the screen black"

# QEMU's command lines, and what it would have ended with.
run qemu -kernel "$guests/exit.elf" -device isa-debug-exit,iobase=0xf4,iosize=0x04 -nographic -m 64
[ "$status" = 33 ]
report $? "qemu: -device isa-debug-exit gives (V << 1) | 1"
gives 0 '^hello$' "qemu: -serial stdio" qemu -kernel "$guests/hello.elf" -display none -serial stdio -name hello
gives 0 '^start$' "qemu: a reset under -no-reboot ends with 0" qemu -kernel "$guests/reset.elf" -nographic -no-reboot
run qemu -kernel "$guests/hello.elf" -display none -serial file:"$work/log" -smp 2
[ "$status" = 0 ] && grep -q hello "$work/log" && grep -qx 'oxbow qemu: -smp 2: .*' "$work/err"
report $? "qemu: what makes no difference is a note"
gives 0 '^Usage: oxbow qemu' "qemu --help" qemu --help
run qemu -kernel "$guests/none.elf" -nographic
[ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ]
report $? "qemu: a kernel that is not there"
run qemu -incoming tcp:0:4444
[ "$status" = 2 ] && grep -qx 'oxbow qemu: -incoming: .*' "$work/err"
report $? "qemu: what is not here"
gives 0 '^interp ' "accel lists the engines" accel
gives 0 'oxbow accel' "accel --help" accel --help
run accel fast
[ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ]
report $? "accel takes no arguments"

# A terminal's worth of a pty and of a socket.
"$oxbow" --kernel "$guests/echo.elf" --serial "unix:$work/socket" </dev/null >"$work/out" 2>"$work/err" &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -S "$work/socket" ] && break
    sleep 0.1
done
[ -S "$work/socket" ]
report $? "--serial unix: makes a socket"
kill $pid 2>/dev/null
wait $pid
status=$?
[ $status = 143 ]
report $? "SIGTERM ends it with 143"

echo "1..$number"
