#!/bin/sh
# share.sh - folders of the host in a guest: a folder with busybox and Debian's kernel boots as root file system, and
# works in itself and in shared folders as programs do (share_torture.c); what it made is on the host as the guest says.
# Once with the host's owners, once with mapped ones.
#
# Runs in the build folder. OXBOW in the environment replaces ./oxbow, CACHE what `./setup check` put into cache/.
here=$(cd "$(dirname "$0")" && pwd)
oxbow=${OXBOW:-./oxbow}
cache=${CACHE:-cache}
work=${TMPDIR:-/var/tmp}/oxbow-share.$$ # of a kind that has extended attributes
log=tests/system/share.out
. "$here/tap.sh"

details() {
    sed 's/^/# /' "$log" | tail -n 40
}

if [ ! -e "$cache/root/stamp" ]; then
    echo "1..0 # SKIP no kernel with 9P in $cache; ./setup check fetches it"
    exit 0
fi
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/root" "$work/data/inside" "$work/fixed" tests/system
if ! ${CC:-cc} -D_GNU_SOURCE -std=gnu11 -O1 -static -o "$work/torture" "$here/share_torture.c" 2>"$log"; then
    echo "1..0 # SKIP no static C library to build a guest's program with"
    exit 0
fi

# The guest's tree; its init is the test.
cp -r "$cache/root/bin" "$cache/root/boot" "$cache/root/lib" "$work/root/"
for folder in proc sys dev etc sbin work mnt fixed tmp; do
    mkdir -p "$work/root/$folder"
done
for name in sh mount umount ls cat poweroff find sort stat md5sum xargs chmod mkdir touch rm ln readlink sync mknod; do
    ln -s busybox "$work/root/bin/$name"
done
cp "$work/torture" "$work/root/bin/torture"
cat >"$work/root/sbin/init" <<'END'
#!/bin/sh
# Describes what is in a folder, of the files that the host user can see as they are.
describe() {
    (cd "$1" && find . -type f ! -name mode -print0 | sort -z | xargs -0 md5sum &&
        find . ! -type l -print0 | sort -z | xargs -0 stat -c '%n %F %a %h') 2>&1
}
PATH=/bin
export PATH
exec >/results 2>&1
options=trans=virtio,version=9p2000.L,msize=512000
echo "== root"
torture /work
echo "== share"
mount -t 9p -o $options,cache=mmap data /mnt || echo "not ok mounted"
torture /mnt/inside
echo "== refused"
cat /mnt/inside/../../secret /mnt/out/secret /mnt/absolute 2>/dev/null && echo "not ok a way out"
mount -t 9p -o $options nothing /tmp 2>/dev/null && echo "not ok a tag that isn't there"
echo "ok nothing leads out"
echo "== readonly"
mount -t 9p -o $options fixed /fixed || echo "not ok mounted"
[ "$(cat /fixed/file)" = fixed ] && echo "ok read" || echo "not ok read"
for command in "touch /fixed/new" "rm /fixed/file" "mkdir /fixed/folder" "chmod 600 /fixed/file" "ln -s a /fixed/link"; do
    $command 2>/dev/null && echo "not ok $command" || echo "ok refused: $command"
done
echo changed 2>/dev/null >/fixed/file && echo "not ok written" || echo "ok refused: writing"
umount /mnt
echo "== end"
describe /work >/described
sync
poweroff -f
END
chmod 755 "$work/root/sbin/init" "$work/root/bin/busybox" "$work/root/bin/torture"
echo secret >"$work/secret"
echo fixed >"$work/fixed/file"
ln -s .. "$work/data/out"
ln -s "$work/secret" "$work/data/absolute"

# What the program says on the host itself.
control() {
    mkdir "$work/control"
    "$work/torture" "$work/control" >"$log" 2>&1
    report $? "the same program is content on the host"
    rm -rf "$work/control"
}

# $1: WHOSE
run() {
    rm -rf "$work/root/work" "$work/data/inside" "$work/root/results" "$work/root/described"
    mkdir "$work/root/work" "$work/data/inside"
    timeout 280 "$oxbow" --headless --root "$work/root,owners=$1" --share "data=$work/data,owners=$1" \
        --share "fixed=$work/fixed,readonly" --append "quiet panic=-1" --no-reboot --net none --timeout 250 \
        >"$log" 2>&1 </dev/null
    report $? "owners=$1: a folder boots and powers off"
    cat "$work/root/results" >>"$log" 2>/dev/null
    for part in root share refused readonly; do
        sed -n "/^== $part\$/,/^== /p" "$work/root/results" >"$work/part" 2>/dev/null
        grep -q '^ok' "$work/part" && ! grep -q '^not ok' "$work/part"
        report $? "owners=$1: $part: $(grep -c '^ok' "$work/part") things as on any file system"
    done
    grep -q '^done: 0 failed' "$work/root/results" 2>/dev/null && [ "$(grep -c '^done: 0' "$work/root/results")" = 2 ]
    report $? "owners=$1: the programs ran to their end"
}

# What the host sees is what the guest saw; modes may differ where they are mapped.
compare() {
    (cd "$work/root/work" && box="$work/root/bin/busybox" && find . -type f ! -name mode -print0 | $box sort -z |
        xargs -0 "$box" md5sum && find . ! -type l -print0 | $box sort -z | xargs -0 "$box" stat -c '%n %F %a %h') \
        >"$work/seen" 2>&1
    diff "$work/root/described" "$work/seen" >"$log" 2>&1
    [ $? = 0 ] && [ -s "$work/seen" ]
    report $? "the host sees what the guest described"
}

control
run host
if [ "$(id -u)" = 0 ]; then
    compare
else
    skip "the host sees what the guest described" "needs root, whose files have the guest's owners"
fi
run mapped
[ "$(cat "$work/secret")" = secret ] && [ "$(cat "$work/fixed/file")" = fixed ] && [ "$(ls "$work/fixed")" = file ]
report $? "nothing else was touched"

# What is refused, in a line each.
refused() { # $1: what the line begins with; then options
    line=$1
    shift
    "$oxbow" --headless "$@" >"$log" 2>&1 </dev/null
    [ $? = 2 ] && [ "$(wc -l <"$log")" = 1 ] && grep -qF "oxbow: $line" "$log"
    report $? "refused: $(printf '%s' "$*" | sed "s|$work|FOLDER|g")"
}
refused "--share $work/none: no such folder" --share "x=$work/none" --kernel "$cache/vmlinuz"
refused "--share $work/secret: is not a folder" --share "x=$work/secret" --kernel "$cache/vmlinuz"
refused "--root $work/data: there is no kernel in its boot folder" --root "$work/data"
refused "--share: \"$work\" begins with no tag" --share "$work"
refused "--share: the tag x is there twice" --share "x=$work" --share "x=$work"
refused "--share: there is no \"owners=nobody\"" --share "x=$work,owners=nobody"
refused "--modules is for --root" --modules "$work" --kernel "$cache/vmlinuz"
refused "--boot is for a BIOS" --boot c --root "$work/root"
echo "1..$number"
