#!/bin/sh
# software.sh - Debian's programs, the same files run by the host's processor and in a guest, and what they print compared
# byte by byte: openssl, python3, gcc and libm, coreutils, perl, awk, bc, 7z, stress-ng with its verification.
#
# Runs in the build folder:
#
#     tests/system/software.sh                what `make check` has: less of each, under the default engine
#     tests/system/software.sh --all          all of it, under each engine, with each processor model, amd64 and i386
#     tests/system/software.sh --all -a i386 -e jit -c v3 "python gcc"
#                                             some of that: architectures, engines, models, programs
#     tests/system/software.sh --all -a i386 -k 686
#                                             Debian's kernel without PAE
#
# The programs are tests/system/software/*.sh; the trees they run in are what tests/system/make-software-disk makes. Running
# them on the host takes root, or a sudo that doesn't ask. OXBOW in the environment replaces ./oxbow, CACHE replaces cache/.
# What differs stays in tests/system/software.out/.
set -u
oxbow=${OXBOW:-./oxbow}
cache=${CACHE:-cache}
here=$(cd "$(dirname "$0")" && pwd)
FULL=
architectures=amd64
engines=auto
models="v3 qemu64"
kernel=
programs="sums digests ciphers bc awk perl python archives gcc stress-cpu stress-vector stress-system"
limit=600
timeout=1200
while [ $# -gt 0 ]; do
    case $1 in
    --all)
        FULL=1
        architectures="amd64 i386"
        engines="jit interp"
        programs="sums digests ciphers publickey speed bc awk perl python archives bench7z gcc stress-cpu stress-vector
            stress-system"
        limit=3000
        timeout=7200
        ;;
    -a) architectures=$2 && shift ;;
    -e) engines=$2 && shift ;;
    -c) models=$2 && shift ;;
    -k) kernel=-$2 && shift ;;
    *) programs=$1 ;;
    esac
    shift
done

skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

. "$(dirname "$0")/tap.sh"

if grep -q '^OXBOW_FLAGS = .*-DOXBOW_SANITIZED' Makefile 2>/dev/null; then
    skip_all "with sanitizers it takes too long"
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
        skip_all "needs root, or sudo without a password, to chroot"
    fi
    as_root="sudo -n"
fi
usable=
for architecture in $architectures; do
    if [ -r "$cache/software-$architecture/disk.img" ]; then
        usable="$usable $architecture"
    elif [ -n "$FULL" ]; then
        skip "programs for $architecture" "tests/system/make-software-disk makes their disk"
    fi
done
[ -n "$usable" ] || skip_all "no disk of programs in $cache; ./setup check makes it, or says why it can't"
# shellcheck disable=SC2086 # a command, or nothing
$as_root unshare --mount --net --pid --fork --kill-child true 2>/dev/null || skip_all "this host lets nobody mount and chroot"

results=$PWD/tests/system/software.out
$as_root rm -rf "$results"
work=$(mktemp -d)
trap '$as_root rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# $1: where; $2: architecture, $3: level of the processor
settings() {
    cat >"$1/settings" <<END
FULL=$FULL
ARCHITECTURE=$2
LEVEL=$3
LIMIT=$limit
PROGRAMS="$programs"
END
}

# What libm and others take from the host's processor, so that it answers as a processor of the level would: for functions
# whose last bit depends on whether there is FMA.
tunables() {
    case $1 in
    v3) echo glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512CD,-AVX512DQ ;;
    *) echo glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512CD,-AVX512DQ,-AVX2,-AVX,-FMA,-FMA4,-SSE4_1,-SSE4_2 ;;
    esac
}

# $1: architecture, $2: folder that is /work, $3: level; runs a shell script of it on the host
native() {
    # shellcheck disable=SC2086,SC2016
    timeout $((limit * 2)) $as_root unshare --mount --net --pid --fork --kill-child sh -ec '
        mount --make-rprivate /
        mount --bind "$2" "$1/work"
        mount -t proc proc "$1/proc"
        mount -t sysfs sysfs "$1/sys"
        mount -t tmpfs tmpfs "$1/dev/shm"
        exec chroot "$1" env -i GLIBC_TUNABLES="$3" sh "$4"' sh \
        "$cache/software-$1/root" "$2" "$(tunables "$3")" "/work/software/$4" </dev/null
}

# $1: architecture. What is the same for all: files to work on.
prepare() {
    mkdir -p "$work/$1/base/tmp" "$work/$1/base/out"
    cp -r "$here/software" "$work/$1/base/"
    settings "$work/$1/base" "$1" v3
    native "$1" "$work/$1/base" v3 prepare >"$work/$1/prepare" 2>&1
}

# $1: architecture, $2: level; the host's answers
answer() {
    cp -r "$work/$1/base" "$work/$1/$2"
    settings "$work/$1/$2" "$1" "$2"
    native "$1" "$work/$1/$2" "$2" run >"$work/$1/$2/log" 2>&1
}

# $1: architecture, $2: level, $3: engine
guest() {
    folder=$cache/software-$1
    disks=$work/$1
    rm -rf "$disks/guest"
    cp -r "$disks/base" "$disks/guest"
    settings "$disks/guest" "$1" "$2"
    rm -rf "$disks/result" "$disks/result.img"
    mkdir "$disks/result"
    tar -C "$disks/guest" -c . >"$disks/programs.img"
    truncate -s 64M "$disks/result.img"
    timeout $((timeout + 20)) "$oxbow" --headless --no-reboot --stats --timeout $timeout -m 1G --accel "$3" --cpu "$2" \
        --kernel "$folder/vmlinuz$kernel" --initrd "$folder/initrd$kernel.gz" --disk "$folder/disk.img,snapshot" \
        --disk "$disks/programs.img,readonly" --disk "$disks/result.img" \
        --append "console=ttyS0 quiet oops=panic panic=-1" </dev/null >"$disks/result/console" 2>&1
    status=$?
    tar -x -C "$disks/result" -f "$disks/result.img" >"$disks/result/tar" 2>&1
    [ $status = 0 ] && grep -q '^software: ends' "$disks/result/console"
}

# $1: architecture, $2: level, $3: engine. Each program's output, the host's and the guest's.
compare() {
    name="$1$kernel, $2, $3"
    guest "$1" "$2" "$3"
    ran=$?
    report $ran "$name: the guest runs"
    if [ $ran != 0 ]; then
        echo "# exit status $status"
        tail -n 40 "$work/$1/result/console" | sed 's/^/# /'
    fi
    keep=$results/$1$kernel-$2-$3
    for program in $programs; do
        if cmp -s "$work/$1/$2/out/$program" "$work/$1/result/out/$program"; then
            report 0 "$name: $program"
        else
            report 1 "$name: $program"
            mkdir -p "$keep"
            cp "$work/$1/$2/out/$program" "$keep/$program.host"
            cp "$work/$1/result/out/$program" "$keep/$program.guest" 2>/dev/null
            diff "$work/$1/$2/out/$program" "$work/$1/result/out/$program" 2>&1 | head -n 20 | cut -c 1-200 | sed 's/^/# /'
        fi
    done
    complaints=$(grep -aE 'BUG|WARNING|Oops|Call Trace|soft lockup|rcu.*stall|I/O error' \
        "$work/$1/result/out/dmesg" 2>/dev/null)
    [ $ran = 0 ] && [ -z "$complaints" ]
    report $? "$name: no complaint from the kernel"
    [ -z "$complaints" ] || echo "$complaints" | head -n 20 | sed 's/^/# /'
    grep -aE '^(software:|stats:)' "$work/$1/result/console" | sed 's/^/# /'
}

for architecture in $usable; do
    if ! prepare "$architecture"; then
        report 1 "$architecture: the host prepares"
        tail -n 20 "$work/$architecture/prepare" | sed 's/^/# /'
        continue
    fi
    for model in $models; do
        answer "$architecture" "$model"
        for program in $programs; do
            if [ "$(tail -n 1 "$work/$architecture/$model/out/$program")" != "exit status 0" ]; then
                report 1 "$architecture, $model: $program on the host"
                tail -n 5 "$work/$architecture/$model/out/$program" | sed 's/^/# /'
            fi
        done
        for engine in $engines; do
            compare "$architecture" "$model" "$engine"
        done
    done
done
echo "1..$number"
