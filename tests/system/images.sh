#!/bin/sh
# images.sh - disk images that can't be used, that somebody else uses, and that the host has no room for. Runs in the build
# folder: tests/system/images.sh; OXBOW in the environment replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
guests=tests/guest/boot
work=$(mktemp -d)
as_user=
pid=
trap '[ -z "$pid" ] || kill $pid 2>/dev/null; chmod -R u+w "$work"; rm -rf "$work"' EXIT
status=

. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# stdout: /' "$work/out" | head -n 40
    sed 's/^/# stderr: /' "$work/err" | head -n 20
}

# Runs Oxbow with these arguments to its end; $status, $work/out and $work/err are what came of it.
run() {
    # shellcheck disable=SC2086 # a command, or nothing
    timeout 100 $as_user "$oxbow" --display none --serial stdio --exit-device --timeout 90 "$@" </dev/null \
        >"$work/out" 2>"$work/err"
    status=$?
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

# What can't be a disk. None of it is changed or made.
: >"$work/empty"
head -c 1000 /dev/zero >"$work/odd"
mkdir "$work/folder"
mkfifo "$work/pipe"
for option in --disk --cdrom --floppy; do
    refuses "$option $work/missing: no such file" "$option: missing" "$option" "$work/missing"
    refuses "$option $work/empty: is empty" "$option: empty" "$option" "$work/empty"
    refuses "$option $work/odd: its size of 1000 bytes is not a multiple of 512" "$option: not a multiple of 512" \
        "$option" "$work/odd"
    refuses "$option $work/folder: is a directory" "$option: a folder" "$option" "$work/folder"
    refuses "$option $work/pipe: is neither a file nor a block device" "$option: a pipe" "$option" "$work/pipe"
    refuses "$option /dev/null: is neither a file nor a block device" "$option: a device" "$option" /dev/null
    refuses "$option $work/odd/x: .*not a directory" "$option: beneath a file" "$option" "$work/odd/x"
done
[ ! -e "$work/missing" ] && [ ! -s "$work/empty" ] && [ "$(wc -c <"$work/odd")" = 1000 ]
report $? "none was made or changed"
refuses "missing,readnly: no such file; what may stand behind the comma" "an addition that doesn't exist" \
    --disk "$work/missing,readnly"
refuses "missing: no such file" "an image that is missing" "$work/missing"
refuses "empty: is empty" "an image that is empty" "$work/empty"
refuses "folder: is a directory" "an image that is a folder" "$work/folder"

# What the user has no right to.
cp "$guests/fill.img" "$work/disk"
truncate -s 1M "$work/disk"
chmod 755 "$work"
chmod 000 "$work/disk"
if [ "$(id -u)" = 0 ]; then
    command -v setpriv >/dev/null && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$oxbow" &&
        as_user='setpriv --reuid=65534 --regid=65534 --clear-groups'
fi
if [ "$(id -u)" = 0 ] && [ -z "$as_user" ]; then
    skip "images without permission" "root has all permissions"
else
    refuses "$work/disk: no permission" "a disk that can't be read" --disk "$work/disk"
    chmod 444 "$work/disk"
    refuses "$work/disk: no permission to write it; add ,readonly or ,snapshot" "a disk that can't be written" \
        --disk "$work/disk"
    run --disk "$work/disk,readonly"
    [ "$status" = 33 ] && grep -q '^FULL 64' "$work/out"
    report $? "with ,readonly it can be used, and not written"
    run --disk "$work/disk,snapshot"
    [ "$status" = 33 ] && grep -q '^COMPLETE' "$work/out"
    report $? "with ,snapshot it can be used"
fi
as_user=
chmod 644 "$work/disk"
cp "$work/disk" "$work/before"

# A ROM that writes to the debug port, and sleeps.
{
    head -c 65520 /dev/zero
    printf '\260\122\346\351\364\353\375' # mov $'R', %al; out %al, $0xE9; hlt; jmp back to it
    head -c 9 /dev/zero
} >"$work/rom"

# What another Oxbow uses. $1: how the first one has the disk
hold() {
    "$oxbow" --display none --serial none --debugcon "file:$work/debug" --bios "$work/rom" --timeout 90 \
        --disk "$work/disk$1" </dev/null >"$work/out" 2>"$work/err" &
    pid=$!
    until [ -s "$work/debug" ] || ! kill -0 $pid 2>/dev/null; do
        sleep 0.1
    done
}

let_go() {
    kill $pid
    wait $pid
    pid=
    rm -f "$work/debug"
}

hold ''
refuses "$work/disk: another machine or program uses it" "a second writer" --disk "$work/disk"
refuses "$work/disk: another machine or program writes to it" "a reader beside a writer" \
    --disk "$work/disk,readonly"
refuses "$work/disk: another machine or program writes to it" "a snapshot beside a writer" \
    --disk "$work/disk,snapshot"
refuses "$work/disk: another machine or program uses it" "the same disk as IMAGE" "$work/disk"
kill -0 $pid
report $? "the first one goes on"
let_go
hold ',readonly'
refuses "$work/disk: another machine or program uses it" "a writer beside a reader" --disk "$work/disk"
run --disk "$work/disk,readonly"
[ "$status" = 33 ]
report $? "a second reader"
run --disk "$work/disk,snapshot"
[ "$status" = 33 ] && grep -q '^COMPLETE' "$work/out"
report $? "a snapshot beside a reader"
let_go
refuses "$work/disk: another machine or program uses it" "the same disk twice in one machine" \
    --disk "$work/disk" --disk "$work/disk"
cmp -s "$work/disk" "$work/before"
report $? "nothing was written all the while"
run --disk "$work/disk"
[ "$status" = 33 ] && grep -q '^COMPLETE' "$work/out" && ! cmp -s "$work/disk" "$work/before"
report $? "now it can be written"

# A host without room: a file system of 256 KiB, where one may be mounted. $1: the disk, $2: name
fills() {
    rm -rf "$work/small"
    mkdir "$work/small"
    cp "$guests/fill.img" "$work/image"
    truncate -s 1M "$work/image"
    unshare -rm sh -c "mount -t tmpfs -o size=256k tmpfs '$work/small' && cp --sparse=always '$work/image' '$work/small' &&
        TMPDIR='$work/small' exec '$oxbow' --display none --serial stdio --exit-device --timeout 90 --disk '$1'" \
        </dev/null >"$work/out" 2>"$work/err"
    status=$?
    [ $status = 33 ] && grep -q '^FULL ' "$work/out"
    report $? "$2: the guest sees an error, and goes on reading"
    [ "$(wc -l <"$work/err")" = 1 ] && grep -q "image: writing .* failed: No space left on device" "$work/err"
    report $? "$2: a line in the log says so"
}

# The same, but the machine stops, somebody makes room, and it goes on. $1: image's format
stops() {
    rm -rf "$work/small"
    mkdir "$work/small"
    cp "$guests/fill.img" "$work/image"
    truncate -s 1M "$work/image"
    [ "$1" = raw ] || { "$oxbow" image convert "$work/image" "$work/image.q" && mv "$work/image.q" "$work/image"; }
    cat >"$work/script" <<EOF
mount -t tmpfs -o size=512k tmpfs '$work/small' && cp --sparse=always '$work/image' '$work/small' || exit 1
'$oxbow' --display none --serial stdio --exit-device --timeout 90 --on-io-error enospc --control unix:'$work/socket' \\
    --disk '$work/small/image' </dev/null &
tries=0
until '$oxbow' ctl '$work/socket' info status 2>/dev/null | grep -q paused; do
    tries=\$((tries + 1))
    [ \$tries -lt 600 ] || exit 1
    sleep 0.1
done
grep -c 'the machine stops' '$work/err' >'$work/stops'
mount -o remount,size=8m '$work/small' && '$oxbow' ctl '$work/socket' cont >&2
wait \$!
status=\$?
cp '$work/small/image' '$work/filled'
exit \$status
EOF
    unshare -rm sh "$work/script" >"$work/out" 2>"$work/err"
    status=$?
    [ $status = 33 ] && grep -q '^COMPLETE' "$work/out" && ! grep -q '^FULL ' "$work/out" && [ "$(cat "$work/stops")" = 1 ]
    report $? "a full host disk stops the machine, and with room it goes on as if nothing had been: $1"
    [ "$1" = raw ] || "$oxbow" image check "$work/filled" >"$work/out" 2>"$work/err"
    report $? "the image is whole: $1"
}
mkdir "$work/small"
if unshare -rm mount -t tmpfs -o size=256k tmpfs "$work/small" 2>/dev/null; then
    fills "$work/small/image" "a full host disk"
    fills "$work/image,snapshot" "no room for a snapshot"
    stops raw
    stops qcow2
else
    skip "a full host disk" "no file system may be mounted here"
fi

# Files may be no longer than 65 MiB, which the screen's memory needs; the disk is longer.
cp "$guests/fill.img" "$work/image"
truncate -s 72M "$work/image"
cp --sparse=always "$work/image" "$work/long"
run_limited() {
    (
        ulimit -f $((65 * 2048)) # blocks of 512 bytes
        run --accel interp -m 16M "$@"
        echo "$status" >"$work/status"
    )
    status=$(cat "$work/status")
}
run_limited --disk "$work/long"
[ "$status" = 33 ] && grep -q '^FULL ' "$work/out" && [ "$(wc -l <"$work/err")" = 1 ] &&
    grep -q "long: writing .* failed: File too large" "$work/err"
report $? "a limit on file sizes: the guest sees an error, and a line in the log says so"
run_limited --disk "$work/image,snapshot"
[ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q "no temporary file .*: File too large" "$work/err"
report $? "a limit on file sizes: refused, a snapshot that can't become as large as the disk"

echo "1..$number"
