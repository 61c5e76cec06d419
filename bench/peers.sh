# peers.sh - what bench/run and bench/login share: the engines and where they are, and how a run is timed. Read by them
# when $here (bench/) and $top are set; they set $out, where all goes, $limit in seconds, and $engine, $results, $output.
#
# From the environment: OXBOW and QEMU, commands; BOCHS, a program; CC compiles.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2317 # shared: what is set here is used there, and the other way round
LC_ALL=C
export LC_ALL
tab=$(printf '\t')

say() {
    printf 'bench: %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 2
}

words() {
    printf '%s' "$1" | tr ',\n' '  '
}

joined() {
    printf '%s' "$*" | tr ' ' ','
}

has_word() {
    case " $2 " in
    *" $1 "*) return 0 ;;
    esac
    return 1
}

is_number() {
    case $1 in
    '' | *[!0-9]* | 0*) return 1 ;;
    esac
}

# ---- The engines. miss_X says on stdout why there is no X.

oxbow=${OXBOW:-$top/oxbow}
qemu=${QEMU:-qemu-system-x86_64}
bochs=${BOCHS:-bochs}

miss_oxbow() {
    command -v "${oxbow%% *}" >/dev/null || echo "${oxbow%% *} isn't there; ./setup builds it, or set OXBOW"
}

miss_qemu() {
    command -v "${qemu%% *}" >/dev/null ||
        echo "${qemu%% *} isn't installed (package qemu-system-x86), or set QEMU"
}

miss_bochs() {
    if ! command -v "$bochs" >/dev/null; then
        echo "$bochs isn't installed (package bochs); BOCHS= may name one built with --enable-all-optimizations"
    elif [ -z "$(bochs_display)" ]; then
        echo "it has no display plugin that works without a screen (nogui or rfb)"
    fi
}

# A display that needs no screen, if it has one. Where Bochs is made of plugins, as Debian's is, it may not.
bochs_display() {
    if ! "$bochs" --help 2>&1 | grep -q LTDL; then
        echo nogui
        return
    fi
    for display in nogui rfb; do
        for folder in ${LTDL_LIBRARY_PATH:-/usr/lib/*/bochs/plugins /usr/lib/bochs/plugins}; do
            if [ -e "$folder/libbx_${display}_gui.so" ]; then
                echo $display
                return
            fi
        done
    done
}

# $1: lines about what it boots
write_bochsrc() {
    cat <<END
config_interface: textconfig
memory: guest=512, host=512
cpu: count=1, ips=250000000, reset_on_triple_fault=0
clock: sync=none
$1
com1: enabled=1, mode=file, dev=$out/com1
speaker: enabled=0
panic: action=fatal
error: action=ignore
info: action=ignore
log: $out/bochs-messages.log
END
    case $(bochs_display) in
    rfb) echo 'display_library: rfb, options="timeout=0"' ;;
    *) echo "display_library: nogui" ;;
    esac
    # Its own BIOS is what it looks for; Debian may have installed SeaBIOS in its place.
    if [ "$bochs" = bochs ] && [ ! -e /usr/share/bochs/BIOS-bochs-latest ] &&
        [ -e /usr/share/seabios/bios.bin ]; then
        echo "romimage: file=/usr/share/seabios/bios.bin, address=0xfffe0000"
        echo "vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin"
    fi
}

# $1: lines about what it boots; then options of stamp
stamp_bochs() {
    rm -f "$out/com1"
    mkfifo "$out/com1"
    write_bochsrc "$1" >"$out/bochsrc"
    shift
    # With its debugger built in, it waits to be told to go.
    if "$bochs" --help 2>&1 | grep -q -e '^ *-rc '; then
        echo continue >"$out/bochs-commands"
        stamp "$@" -f "$out/com1" -- "$bochs" -q -f "$out/bochsrc" -rc "$out/bochs-commands"
    else
        stamp "$@" -f "$out/com1" -- "$bochs" -q -f "$out/bochsrc"
    fi
    rm -f "$out/com1"
}

engine_version() {
    case $1 in
    native) uname -sr ;;
    oxbow | interp | jit) ${oxbow%% *} --version 2>/dev/null | head -n 1 ;;
    qemu) ${qemu%% *} --version 2>/dev/null | head -n 1 ;;
    bochs) "$bochs" --help 2>&1 | sed -n 's/^ *\(Bochs x86 Emulator .*\)/\1/p' | head -n 1 ;;
    esac
}

# Those of $1 that can be had, as probe_X says, in $available.
find_engines() {
    available=
    for engine in $1; do
        why=$("probe_$engine")
        if [ -n "$why" ]; then
            say "$engine is left out: $why"
        else
            available="${available:+$available }$engine"
        fi
    done
}

# ---- Timing

compile_stamp() {
    mkdir -p "$out" || fail "cannot make $out"
    ${CC:-cc} -std=gnu11 -O2 -o "$out/stamp" "$here/stamp.c" || fail "cannot compile stamp.c; install gcc"
}

# Runs $engine with stamp's options and a command.
stamp() {
    "$out/stamp" -t "$limit" -l "$out/$engine.log" -e "$out/$engine.err" "$@" >"$out/$engine.marks" || :
}

how_it_ended() {
    sed -n 's/.*@@exit //p' "$out/$engine.marks" | sed 's/^\([0-9]\)/exit status \1/'
}

# Oxbow as OXBOW says, or with one engine of its own.
is_oxbow() {
    has_word "$1" "oxbow interp jit"
}

# Instructions and busy seconds from the --stats of Oxbow, which is $engine.
read_stats() {
    sed -n 's/^stats: \([0-9]*\) instructions, \([0-9.]*\) s busy.*/\1\t\2/p' "$out/$engine.err" | tail -n 1
}

# The same as a line of the results, for the repetition $1.
add_stats() {
    read_stats | sed "s/^/machine$tab$engine$tab$1$tab/" >>"$results"
}

# The first lines of the results.
write_head() {
    printf '# date\t%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    printf '# host\t%s, %s processors\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)"
    for engine in $available; do
        printf '# %s\t%s\n' "$engine" "$(engine_version "$engine")"
    done
}

# $1: the repetition, $2: the row, $3: why there is no figure for it
failed() {
    printf 'time\t%s\t%s\t%s\t%s\t-\t-\t-\t-\n' "$engine" "$1" "$2" "$3" >>"$results"
    say "$engine: $2: $3; see $out/$engine-$2.log"
    cp "$out/$engine.log" "$out/$engine-$2.log" 2>/dev/null || :
    cat "$out/$engine.err" >>"$out/$engine-$2.log" 2>/dev/null || :
}
