#!/bin/sh
# qcow2.sh - qcow2 images that Oxbow and QEMU's tools change in turns are whole and have the same contents for both; what
# can't be used is refused in a line; a process that is killed at random moments loses nothing that was durable. Runs in
# the build folder: tests/system/qcow2.sh; OXBOW in the environment replaces ./oxbow, ROUNDS the number of kills (20).
set -u
oxbow=${OXBOW:-./oxbow}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

. "$(dirname "$0")/tap.sh"

details() {
    sed 's/^/# /' "$work/log" | head -n 20
}

if ! command -v qemu-img >/dev/null || ! command -v qemu-io >/dev/null; then
    echo "1..0 # SKIP qemu-img and qemu-io are missing (package qemu-utils)"
    exit 0
fi

image=$work/image.qcow2
raw=$work/model.raw

# $1: seed; from then on `random` draws: $drawn is below its $1.
seed() {
    random=$1
}
random() {
    random=$(((random * 1103515245 + 12345) % 2147483648))
    drawn=$((random / 8 % $1))
}

# Does qemu-img find it whole, and like the raw file?
whole() {
    qemu-img check -q "$image" && "$oxbow" image check "$image" && qemu-img compare "$image" "$raw"
}

# $1 seed, $2 options; a new image with nothing, a backing file, or compressed clusters
make_image() {
    size=$((2097152 + $1 * 7919 % 4000 * 512))
    rm -f "$image" "$raw" "$work/base.raw"
    case $(($1 % 3)) in
    0)
        truncate -s $size "$raw"
        qemu-img create -q -f qcow2 -o "$2" "$image" $size
        ;;
    1)
        head -c $((size / 1024 * 512)) /dev/urandom >"$work/base.raw"
        cp "$work/base.raw" "$raw"
        truncate -s $size "$raw"
        qemu-img create -q -f qcow2 -o "$2" -b base.raw -F raw "$image" $size
        ;;
    2)
        seq 1 $((size / 16)) | head -c $((size / 1024 * 512)) >"$raw"
        truncate -s $size "$raw"
        case $2 in
        *refcount_bits=1*) qemu-img convert -O qcow2 -o "$2" "$raw" "$image" ;;
        *) qemu-img convert -c -O qcow2 -o "$2" "$raw" "$image" ;;
        esac
        ;;
    esac
}

# The same writes by QEMU to both. $1: seed
qemu_writes() {
    seed "$1"
    for byte in 1 2 3 4; do
        random $((size / 512 - 300))
        at=$((drawn * 512))
        random 250
        for file in "qcow2 $image" "raw $raw"; do
            # shellcheck disable=SC2086 # a format and a path without blanks
            set -- $file
            qemu-io -f "$1" -c "write -q -P $byte $at $((drawn * 512 + 512))" "$2" || return 1
        done
    done
}

# $1 seed, $2 options
in_turns() {
    make_image "$1" "$2" || return 1
    for turn in 1 2 3; do
        threads=1
        [ $turn = 3 ] && threads=4
        tests/system/image_work "$image" "$raw" $(($1 * 10 + turn)) 100 $threads && whole || return 1
        case $turn$2 in
        *refcount_bits=1*) ;;
        1*) qemu-img snapshot -c "before turn 2" "$image" || return 1 ;;
        esac
        qemu_writes $(($1 * 100 + turn)) && whole || return 1
    done
}

first=0
for options in cluster_size=64k cluster_size=4k cluster_size=512 compat=0.10 cluster_size=2M refcount_bits=1 \
    refcount_bits=64,cluster_size=1k compression_type=zstd lazy_refcounts=on; do
    first=$((first + 1))
    bad=0
    for start in $first $((first + 10)); do
        in_turns "$start" "$options" >"$work/log" 2>&1 || bad=1
    done
    report $bad "changed by Oxbow and QEMU in turns: $options"
done

# Each command of ours gives what qemu-img takes for the same.
rm -f "$work"/*.qcow2 "$work"/*.raw
{
    seq 1 300000 >"$raw" && truncate -s 8M "$raw" && "$oxbow" image convert "$raw" "$image" && whole
} >"$work/log" 2>&1
report $? "convert: raw to qcow2"
[ "$(stat -c %b "$image")" -lt $((3 * 2048)) ]
report $? "convert: zeroes take no space"
"$oxbow" image convert --format raw "$image" "$work/back.raw" >"$work/log" 2>&1 && cmp "$raw" "$work/back.raw"
report $? "convert: qcow2 to raw"
qemu-img convert -c -O qcow2 "$raw" "$work/packed.qcow2" &&
    "$oxbow" image convert "$work/packed.qcow2" "$work/un.qcow2" >"$work/log" 2>&1 &&
    qemu-img compare -q "$work/un.qcow2" "$raw"
report $? "convert: of compressed clusters"
{
    "$oxbow" image create --backing image.qcow2 "$work/top.qcow2" && qemu-img check -q "$work/top.qcow2" &&
        cp "$raw" "$work/top.raw" && tests/system/image_work "$work/top.qcow2" "$work/top.raw" 5 200 &&
        qemu-img compare "$work/top.qcow2" "$work/top.raw" && whole
} >"$work/log" 2>&1
report $? "create: an overlay, whose base stays as it is"
{
    "$oxbow" image commit "$work/top.qcow2" && cp "$work/top.raw" "$raw" && whole &&
        qemu-img check -q "$work/top.qcow2" && qemu-img compare "$work/top.qcow2" "$raw"
} >"$work/log" 2>&1
report $? "commit: the base has all, the overlay nothing"
{
    for to in 20M 1G 40T +1G; do
        "$oxbow" image resize "$image" $to && qemu-img check -q "$image" || break
    done && ! "$oxbow" image resize "$image" 4M 2>"$work/err" && grep -q 'would be lost' "$work/err" &&
        "$oxbow" image resize --shrink "$image" 4M && truncate -s 4M "$raw" && whole &&
        "$oxbow" image resize "$image" 8M && truncate -s 8M "$raw" && whole
} >"$work/log" 2>&1
report $? "resize: longer, much longer, shorter"
{
    qemu-img snapshot -c one "$image" && "$oxbow" image info --json "$image" >"$work/json" &&
        grep -q '"name":"one"' "$work/json" && grep -q '"virtual-size":8388608' "$work/json" && "$oxbow" image info "$image" | grep -q '^snapshots .*"one"'
} >"$work/log" 2>&1
report $? "info: size and snapshots, for people and programs"

rm -f "$work/full.qcow2"
head -c 1M /dev/urandom >"$work/full.raw"
"$oxbow" image convert "$work/full.raw" "$work/full.qcow2" >"$work/log" 2>&1 &&
    "$oxbow" image check "$work/full.qcow2" >>"$work/log" 2>&1 &&
    grep -q '^0 errors, 0 leaked clusters, 21 of 21 clusters in use$' "$work/log"
report $? "check: counts clusters"

# Locks are understood on both sides: readers are together, a writer is alone. $1: the mode that QEMU's tool opens it in
beside() {
    mkfifo "$work/fifo"
    qemu-io $1 -f raw "$work/full.raw" <"$work/fifo" >"$work/io" 2>&1 &
    pid=$!
    exec 3>"$work/fifo"
    rm "$work/fifo"
    echo 'read 0 512' >&3
    tries=0
    until grep -q 'read 512' "$work/io" || [ $tries = 200 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    "$oxbow" image info --format raw "$work/full.raw" >"$work/log" 2>&1
    status=$?
    exec 3>&-
    wait $pid
    return $status
}
beside -r
report $? "locks: a reader beside a reader of QEMU's"
! beside "" && grep -q 'another machine or program writes to it' "$work/log"
report $? "locks: no reader beside a writer of QEMU's"

# A cluster that nobody points at is found, and given back.
truncate -s +65536 "$image"
printf '\0\1' | dd of="$image" bs=1 seek=$((131072 + 2 * ($(stat -c %s "$image") / 65536 - 1))) conv=notrunc status=none
"$oxbow" image check "$image" >"$work/log" 2>&1
[ $? = 1 ] && "$oxbow" image check --repair "$image" >>"$work/log" 2>&1 && qemu-img check -q "$image"
report $? "check: leaks are found and repaired"

# What is refused. $1: pattern, $2: name, then options behind the path
refuses() {
    pattern=$1 name=$2
    shift 2
    timeout 60 "$oxbow" --headless --disk "$image$*" </dev/null >"$work/log" 2>&1
    status=$?
    [ $status = 2 ] && [ "$(wc -l <"$work/log")" = 1 ] && grep -q -- "$pattern" "$work/log"
    report $? "refused: $name"
}
# $1 offset, $2 bytes for printf
patch() {
    # shellcheck disable=SC2059 # escapes
    printf "$2" | dd of="$image" bs=1 seek="$1" conv=notrunc status=none
}
fresh() {
    rm -f "$image"
    qemu-img create -q -f qcow2 "$@" "$image" 8M
    qemu-io -f qcow2 -c 'write -q -P 3 0 300k' "$image"
}
fresh -o cluster_size=64k
patch 4 '\0\0\0\11' && refuses "version 9" "a version that is not known"
fresh && patch 20 '\0\0\0\40' && refuses "clusters of 2^32" "clusters that can't be"
fresh && patch 32 '\0\0\0\1' && refuses "encrypted" "an encrypted image"
fresh && patch 79 '\4' && refuses "external data file" "data in another file"
fresh && patch 79 '\20' && refuses "subclusters" "extended L2 entries"
fresh && patch 72 '\100' && refuses "isn't known here: feature bit 62" "a feature that is not known"
fresh && patch 79 '\2' && refuses "marked corrupt" "an image that is marked corrupt"
"$oxbow" image check --repair "$image" >"$work/log" 2>&1
qemu-img check -q "$image" && qemu-io -f qcow2 -c 'write -q 0 64k' "$image" >>"$work/log" 2>&1
report $? "check: the mark is taken off when nothing is wrong"
fresh && patch 40 '\0\0\0\100' && refuses "L1 table at 0x4000030000 lies outside the file" "tables outside the file"
fresh && patch 47 '\7' && refuses "L1 table lies at 0x30007, which is misaligned" "a misaligned table"
fresh && patch 27 '\1' && refuses "too few for a disk" "a disk too long for its tables"
l2=$((4 * 65536))
fresh && patch $l2 '\200\0\0\100\0\0\0\0' && refuses "data at 0x4000000000 lies outside the file" "data outside the file"
fresh && patch $l2 '\200\0\0\0\0\0\2\0' && refuses "data at 0x200 is misaligned" "misaligned data"
fresh && patch $l2 '\200\0\0\0\0\3\0\0' && refuses "data at 0x30000 is a L1 table" "data in a table"
fresh && patch $l2 '\200\0\0\0\0\0\0\0\200\0\0\0\0\1\0\0' && refuses "is a refcount table" "data in the refcounts"
fresh && patch 196608 '\200\0\0\0\0\2\0\0' && refuses "is a refcount block" "an L2 table that is a refcount block"
mkdir "$work/elsewhere" && truncate -s 8M "$work/elsewhere/base" "$work/base"
qemu-img create -q -f qcow2 -b elsewhere/base -F raw "$image" 8M
refuses "backing file \"elsewhere/base\" lies outside its folder; add ,backing=yes" "a backing file elsewhere"
qemu-img create -q -f qcow2 -u -F raw -b "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"base\"}}" \
    "$image" 8M
refuses "isn't opened without being named" "a backing file that is no file"
refuses "isn't opened without being named" "the same, whatever is confirmed" ,backing=yes
qemu-img create -q -f qcow2 -b "$work/base" -F raw "$image" 8M && qemu-img rebase -u -b image.qcow2 -F qcow2 "$image"
refuses "its own backing file" "an image behind itself"
qemu-img create -q -f qcow2 -u -b missing -F raw "$image" 8M
refuses "missing: no such file" "a backing file that is missing"

# Killed again and again. Clusters that nobody points at may be left, which the next opening gives back; nothing else.
rounds=${ROUNDS:-20}
kills() {
    rm -f "$image" "$work/journal"
    qemu-img create -q -f qcow2 -o "$1" "$image" 16M || return 1
    round=0
    while [ $round -lt "$rounds" ]; do
        round=$((round + 1))
        mkfifo "$work/fifo"
        tests/system/kill_disk write "$image" "$work/journal" $((round + $2)) >"$work/fifo" 2>"$work/log" &
        pid=$!
        read -r line <"$work/fifo"
        rm "$work/fifo"
        [ "$line" = writing ] || return 1
        random 400
        sleep "$(printf '0.%03d' "$drawn")"
        kill -9 $pid
        wait $pid 2>/dev/null
        qemu-img check "$image" >>"$work/log" 2>&1
        status=$?
        [ $status = 0 ] || { [ $status = 3 ] && leaky=$((leaky + 1)); } || return 1
        tests/system/kill_disk check "$image" "$work/journal" >>"$work/log" 2>&1 &&
            qemu-img check "$image" >>"$work/log" 2>&1 || return 1
    done
}
seed "${SEED:-1}"
leaky=0
kills cluster_size=64k 1000
report $? "killed $rounds times: what was flushed is there, the image is whole"
kills cluster_size=4k 2000
report $? "killed $rounds times with small clusters"
echo "# $leaky of $((2 * rounds)) kills left clusters that the next opening gave back"

echo "1..$number"
