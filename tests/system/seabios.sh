#!/bin/sh
# seabios.sh - Debian's SeaBIOS on this board: it gets to its boot attempt, starts boot sectors from a disk and a floppy
# disk, and what can't be a BIOS or a drive is refused. Runs in the build folder: tests/system/seabios.sh; OXBOW in the
# environment replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
guests=tests/system
firmware=$(sed -n 's/^#define OXBOW_FIRMWARE_DIR "\(.*\)"/\1/p' config.h)
if [ ! -r "$firmware/bios-256k.bin" ] || [ ! -r "$firmware/vgabios-stdvga.bin" ]; then
    echo "1..0 # SKIP no SeaBIOS in $firmware"
    exit 0
fi
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill $pid 2>/dev/null; rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# stderr: /' "$work/err" | head -n 20
    sed 's/^/# debug port: /' "$work/debug" | tail -n 60
}

# Runs Oxbow with these arguments to its end.
run() {
    : >"$work/debug"
    timeout 200 "$oxbow" --serial none --debugcon "file:$work/debug" --timeout 150 "$@" </dev/null \
        >"$work/out" 2>"$work/err"
    status=$?
}

# $1: a pattern that ends the run when it appears at the debug port; then arguments
run_until() {
    pattern=$1
    shift
    : >"$work/debug"
    "$oxbow" --serial none --debugcon "file:$work/debug" --timeout 150 "$@" </dev/null >"$work/out" 2>"$work/err" &
    pid=$!
    until grep -q -- "$pattern" "$work/debug" || ! kill -0 $pid 2>/dev/null; do
        sleep 0.1
    done
    kill $pid 2>/dev/null
    wait $pid
    status=$?
    pid=
}

# $1: pattern at the debug port, $2: name
says() {
    grep -q -- "$1" "$work/debug"
    report $? "$2"
}

# $1: pattern of the one line on stderr, $2: name; then arguments. Exit status 2.
refuses() {
    pattern=$1 name=$2
    shift 2
    run "$@"
    [ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "^oxbow: .*$pattern" "$work/err"
    report $? "refused: $name"
}

# Nothing to boot from.
run_until 'No bootable device' --boot c --screenshot "$work/screen.png"
says '^SeaBIOS' "SeaBIOS starts"
says '^Running on QEMU (i440fx)' "it knows the board"
says '^QEMU fw_cfg DMA interface supported' "and the firmware configuration device"
says 'addr 0x0000000000000000 len 0x0000000020000000 \[RAM\]' "and the memory"
says '^Found 1 cpu(s) max supported 1 cpu(s)' "and the processor"
says '^PIIX3/PIIX4 init: elcr=00 0c' "it sets interrupt routing up"
says '^kvmclock: stable tsc' "it takes the clock of KVM's guests"
says '(via xsdt)' "it places the ACPI tables"
says '^Copying SMBIOS' "and the SMBIOS tables"
says '^set VGA mode 3' "the video BIOS runs"
says '^PS2 keyboard initialized' "the keyboard answers"
says '^DVD/CD' "the CD-ROM drive answers"
says '^No bootable device' "it finds nothing to boot"
[ "$status" = 143 ] && [ "$(head -c 4 "$work/screen.png" | tail -c 3)" = PNG ]
report $? "--screenshot writes a PNG file"
run_until '^Using pmtimer, ioport 0x608' --boot c --cpu qemu64,-kvmclock
says '^Using pmtimer, ioport 0x608' "without that clock, it finds the timer"

# $1: a name; then arguments: runs the boot sector.
boots() {
    name=$1
    shift
    run --exit-device "$@"
    [ "$status" = 33 ]
    report $? "$name: the boot sector runs to its end"
    says '^sector: second sector' "$name: it reads"
    says '^sector: back from reset' "$name: it comes back from a reset of the CPU"
}
cp "$guests/sector.img" "$work/sector.img"
cp "$guests/sector.img" "$work/floppy.img"
truncate -s 1440K "$work/floppy.img"
boots "disk" "$work/sector.img"
boots "floppy" "$work/floppy.img"
boots "second choice" --disk "$work/sector.img,snapshot" --boot dc
says '^Booting from DVD/CD' "second choice: the first was tried"
truncate -s 1M "$work/zeros.img"
boots "--boot a" --disk "$work/zeros.img" --floppy "$work/floppy.img,readonly" --boot a
boots "4 GiB of memory" --disk "$work/sector.img" -m 4G
boots "2 MiB of memory" --disk "$work/sector.img" -m 2M
run_until 'Press .* for boot menu\|Press ESC' --disk "$work/sector.img" --boot-menu
says 'Press ESC' "--boot-menu offers it"

# A ROM of one's own: jumps from the reset vector to its start, where it ends the run.
{
    printf '\272\364\000\260\041\356\364' # mov $0xF4, %dx; mov $0x21, %al; out %al, (%dx); hlt
    head -c 65513 /dev/zero
    printf '\352\000\000\000\360' # ljmp $0xF000, $0
    head -c 11 /dev/zero
} >"$work/rom"
run --bios "$work/rom" --exit-device
[ "$status" = 67 ]
report $? "--bios takes a ROM of one's own"

# Refused.
head -c 1000 /dev/zero >"$work/small"
head -c 100001 /dev/zero >"$work/odd"
head -c 20000000 /dev/zero >"$work/large"
{ printf 'QFI\373\000\000\000\003'; head -c 65536 /dev/zero; } >"$work/qcow2"
refuses 'missing' "a BIOS that isn't there" --bios "$work/missing"
refuses 'too few' "a BIOS that is too small" --bios "$work/small"
refuses 'too many' "a BIOS that is too large" --bios "$work/large"
refuses 'whole blocks' "a BIOS that is cut off" --bios "$work/odd"
refuses 'leave one out' "a BIOS for a kernel" --bios "$work/rom" --kernel "$guests/hello.elf"
refuses '"x"' "a boot order with a drive that doesn't exist" --boot cx
refuses 'twice' "a boot order with a drive twice" --boot cdc
refuses 'missing' "a disk that isn't there" --disk "$work/missing"
refuses 'qcow2: has clusters of 2^0 bytes' "a disk that is broken" --disk "$work/qcow2"
refuses 'qcow2: has clusters of 2^0 bytes' "an image that is broken" "$work/qcow2"
refuses 'room for 4 IDE disks' "five IDE disks" --disk a --disk b --disk c --disk d --disk e
refuses 'room for 3 IDE disks' "four disks and a disc" --disk a --disk b --disk c --disk d --cdrom e
refuses 'room for 2' "three floppy disks" --floppy a --floppy b --floppy c

echo "1..$number"
