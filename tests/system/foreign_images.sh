#!/bin/sh
# foreign_images.sh - images of other programs' formats, made by qemu-img: they read as what they were made from, and what
# is wrong with them is said in a line. Runs in the build folder: tests/system/foreign_images.sh; OXBOW in the environment
# replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

. "$(dirname "$0")/tap.sh"

details() {
    sed 's/^/# /' "$work/err" 2>/dev/null | head -n 20
}

if ! command -v qemu-img >/dev/null; then
    echo "1..0 # SKIP no qemu-img to make images with; the package qemu-utils has it"
    exit 0
fi

# A disk with data here and there, in the last sector, too, whose size no format's blocks divide: $1 name, $2 MiB.
make_disk() {
    truncate -s "$(($2 * 1048576 + 1536))" "$1"
    for at in 0 1 5 37 $(($2 - 1)); do
        head -c 700000 /dev/urandom | dd of="$1" bs=65536 seek=$((at * 16)) conv=notrunc status=none
    done
    printf 'the end' | dd of="$1" bs=1 seek=$(($2 * 1048576 + 1536 - 7)) conv=notrunc status=none
    head -c 512 /dev/urandom | dd of="$1" bs=512 seek=9999 conv=notrunc status=none
}

# $1: name, $2: the file, $3: options for Oxbow, $4: what qemu-img calls the format; what qemu-img reads from it is what we read.
same() {
    rm -f "$work/ours"
    # shellcheck disable=SC2086 # options, or none
    timeout 60 qemu-img convert -O raw -f "$4" "$2" "$work/theirs" 2>"$work/err" &&
        timeout 60 "$oxbow" image convert --format raw $3 "$2" "$work/ours" >"$work/out" 2>>"$work/err" &&
        cmp "$work/ours" "$work/theirs" 2>>"$work/err"
    report $? "$1: reads as what was written"
}

# $1: pattern of the one line, $2: name, $3: the file
refuses() {
    timeout 20 "$oxbow" --headless --timeout 5 --disk "$3,readonly" >"$work/out" 2>"$work/err" </dev/null
    [ $? = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "^oxbow: .*$1" "$work/err"
    report $? "refused: $2"
}

# Bytes of printf's, put into a copy of $1 at $2: $3. The copy is $work/bad.
poke() {
    cp "$1" "$work/bad"
    # shellcheck disable=SC2059 # that is what it is for
    printf "$3" | dd of="$work/bad" bs=1 seek="$2" conv=notrunc status=none
}

make_disk "$work/disk" 70
for how in vmdk:subformat=monolithicSparse vmdk:subformat=streamOptimized vmdk:subformat=monolithicFlat \
    vmdk:subformat=twoGbMaxExtentSparse vmdk:subformat=twoGbMaxExtentFlat vdi: vdi:static=on vpc:subformat=dynamic \
    vhdx:subformat=dynamic vhdx:subformat=fixed vhdx:block_size=1M; do
    format=${how%%:*} options=${how#*:}
    name=$format-$(printf %s "$options" | tr -c 'a-zA-Z0-9' -)
    timeout 100 qemu-img convert -f raw -O "$format" ${options:+-o "$options"} "$work/disk" "$work/$name" 2>"$work/err" ||
        details
    same "$format $options" "$work/$name" "" "$format"
done
timeout 100 qemu-img convert -f raw -O vpc -o subformat=fixed "$work/disk" "$work/fixed" 2>"$work/err"
same "vpc subformat=fixed" "$work/fixed" "--from vhd" vpc

# As disks: read-only, or beneath a snapshot.
refuses "is only read here; add ,snapshot" "writing to a VDI image" "$work/vdi-,readonly=no"
timeout 60 "$oxbow" image info "$work/vhdx-subformat-dynamic" 2>"$work/err" | grep -qi vhdx
report $? "image info names the format"

# What is wrong with them.
sparse=$work/vmdk-subformat-monolithicSparse
poke "$sparse" 56 '\377\377\377\377\377\377\377\177'
refuses "grain directory is outside the file" "VMDK: a directory outside the file" "$work/bad"
poke "$sparse" 20 '\003'
refuses "sizes that can't be" "VMDK: odd grains" "$work/bad"
poke "$sparse" 12 '\377\377\377\377\377\377\377\377'
refuses "sizes that can't be" "VMDK: a disk without end" "$work/bad"
sed 's/"[^"]*flat[^"]*"/"..\/disk"/' "$work/vmdk-subformat-monolithicFlat" >"$work/bad"
refuses "isn't a file of its own folder; it is not opened" "VMDK: an extent elsewhere" "$work/bad"
ln -s disk "$work/link"
sed 's/"[^"]*flat[^"]*"/"link"/' "$work/vmdk-subformat-monolithicFlat" >"$work/bad"
refuses "is not a plain file" "VMDK: an extent that is a link" "$work/bad"
sed 's/parentCID=ffffffff/parentCID=12345678/' "$work/vmdk-subformat-monolithicFlat" >"$work/bad"
refuses "has a parent" "VMDK: a parent" "$work/bad"
poke "$work/vdi-" 76 '\004'
refuses "differencing" "VDI: differencing" "$work/bad"
map=$(od -An -tu4 -j340 -N4 "$work/vdi-" | tr -d ' ')
poke "$work/vdi-" "$map" '\001\000\000\000\001\000\000\000'
refuses "two of its blocks are in one place" "VDI: blocks over one another" "$work/bad"
poke "$work/vdi-" "$map" '\376\377\377\177'
refuses "leads outside the file" "VDI: a block outside the file" "$work/bad"
poke "$work/vdi-" 344 '\000\000\000\000'
refuses "overlaps its header or data" "VDI: data over the map" "$work/bad"
vhd=$work/vpc-subformat-dynamic
table=1536 # qemu-img puts it behind the two headers
poke "$vhd" "$table" '\000\000\000\001'
refuses "leads outside the file or into its own headers" "VHD: a block over the headers" "$work/bad"
poke "$vhd" "$table" '\177\377\377\377'
refuses "leads outside the file or into its own headers" "VHD: a block outside the file" "$work/bad"
poke "$vhd" 520 'xxxx'
refuses "header is missing or damaged" "VHD: a checksum that is wrong" "$work/bad"
vhdx=$work/vhdx-subformat-dynamic
poke "$vhdx" 65536 'xxxx'
printf xxxx | dd of="$work/bad" bs=1 seek=131072 conv=notrunc status=none
refuses "both of its headers are damaged" "VHDX: no header" "$work/bad"
poke "$vhdx" 196616 '\000\000\377\377'
printf xxxx | dd of="$work/bad" bs=1 seek=262144 conv=notrunc status=none
refuses "both of its region tables are damaged" "VHDX: no regions" "$work/bad"
for image in "$sparse" "$work/vdi-" "$vhd" "$vhdx"; do
    head -c 300000 "$image" >"$work/bad"
    timeout 20 "$oxbow" image convert --format raw "$work/bad" "$work/ours" >"$work/out" 2>"$work/err"
    [ $? != 0 ] && [ "$(wc -l <"$work/err")" = 1 ]
    report $? "cut short: an error in a line ($(basename "$image"))"
done
echo "1..$number"
