#!/bin/sh
# gdb.sh - real GDB works on guests through --gdb: in 64-, 32- and 16-bit code, under each engine, by a Unix socket and by
# TCP. Runs in the build folder: tests/system/gdb.sh; OXBOW, GDB and ENGINES in the environment replace ./oxbow, gdb and
# the engines that serve here.
set -u
oxbow=${OXBOW:-./oxbow}
gdb=${GDB:-gdb}
if ! command -v "$gdb" >/dev/null; then
    echo "1..0 # SKIP no gdb"
    exit 0
fi
work=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null; rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    tail -n 60 "$work/gdb" "$work/err" | sed 's/^/# /'
}

# Starts a guest ($1) with these arguments, held at its first instruction, and waits for the socket.
start() {
    kernel=$1
    shift
    rm -f "$work/socket"
    timeout 120 "$oxbow" --headless --serial none --gdb "unix:$work/socket" --kernel "$kernel" "$@" \
        </dev/null >"$work/out" 2>"$work/err" &
    machine=$!
    tries=0
    until [ -S "$work/socket" ] || ! kill -0 $machine 2>/dev/null || [ $tries = 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

# Ends the machine, which goes on when GDB has left.
finish() {
    kill $machine 2>/dev/null
    ended
}

# How the machine ended by itself, or by GDB's last command.
ended() {
    wait $machine
    status=$?
    machine=
}

# Runs GDB on a kernel ($1, none if it is empty) with commands from standard input; what it said is in $work/gdb.
debug() {
    { echo "set pagination off"; echo "set confirm off"; echo "set width 0"; echo "target remote $work/socket"; cat; } >"$work/commands"
    timeout 100 "$gdb" -nx -batch -x "$work/commands" $1 >"$work/gdb" 2>&1 </dev/null
}

# Whether what GDB said has lines that match these patterns, in this order, maybe with others between.
said() {
    for pattern; do
        echo "$pattern"
    done >"$work/patterns"
    awk 'NR == FNR { want[++n] = $0; next } $0 ~ want[k + 1] && k < n { k++ }
        END { if (k < n) { print "not there: " want[k + 1] >"/dev/stderr"; exit 1 } }' "$work/patterns" "$work/gdb" 2>>"$work/err"
}

# The whole list on the 64-bit subject. $1: engine
all_modes() {
    start tests/guest/subject/subject.elf --wait-gdb --accel "$1"
    debug tests/guest/subject/subject.elf <<'END'
printf "first %lx\n", $pc
hbreak in32
break work
break in16
continue
bt
finish
continue
printf "ip %lx base %lx pe %lx pg %lx\n", $ip, $cs_base, $cr0 & 1, $cr0 >> 31
monitor where
stepi
printf "after %lx\n", $pc
continue
printf "ip %lx base %lx cs %lx pe %lx\n", $ip, $cs_base, $cs, $cr0 & 1
monitor where
stepi
stepi
printf "count %d bx %d\n", *(short *)&count16, $bx
monitor disas 0x7022 1
jump *0x701a
printf "again %d\n", *(short *)&count16
delete
tbreak work
continue
step
step
info locals
next
up
print turn
END
    said '^first 10' 'Breakpoint 2, work \(n=1\)' '#1 .* main \(\)' 'Value returned .* = 10' 'Breakpoint 1, in32' \
        '^ip 1000[0-9a-f]+ base 0 pe 1 pg 0' 'protected mode, 32-bit code, ring 0, paging off' '> .*inc \[0x' '^after 1000' \
        'Breakpoint 3, in16' '^ip ..? base 7000 cs 700 pe 0' 'real mode, 16-bit code' '> .* inc \[0x' '^count 1 bx 1' \
        'mov eax, cr0' 'Breakpoint 3, in16' '^again 1' 'breakpoint 4, work \(n=2\)' 'inner \(n=2\)' 'result = 0' 'main \(\)' '= 2$'
    report $? "$1: breakpoints and steps in 64-, 32- and 16-bit code"
    finish

    start tests/guest/subject/subject.elf --wait-gdb --accel "$1"
    debug tests/guest/subject/subject.elf <<'END'
watch watched
continue
continue
delete
rwatch read_only
continue
delete
awatch points[1].x
continue
delete
watch *(int *)&count32
continue
monitor where
delete
monitor break-on phys-write 0x7034 4
continue
monitor where
monitor break-off all
watch turn if turn == 30
continue
print watched
END
    said 'New value = 10' 'main \(\)' 'New value = 13' 'Hardware read watchpoint' 'Value = 7' '#?.*work' \
        'Hardware access' 'Value = 3' 'weigh' 'New value = ' 'protected mode, 32-bit' 'stops at: phys-write 0x7034' \
        'physical memory watched' 'real mode, 16-bit' 'New value = 30' '= 94$'
    report $? "$1: data written, read, and either, by linear and physical address"
    finish

    start tests/guest/subject/subject.elf --wait-gdb --accel "$1"
    debug tests/guest/subject/subject.elf <<'END'
monitor break-on #UD
continue
x/i $pc
monitor break-off #UD
monitor break-on cr3
continue
monitor break-off cr3
monitor break-on magic
continue
monitor break-off all
monitor break-on port 0xe0
continue
monitor break-off all
monitor break-on mode
continue
continue
monitor break-off all
monitor break-on exception 6
continue
set $pc = $pc + 2
monitor break-off all
tbreak main.c:27
continue
print turn - troubles
monitor break-on nonsense
monitor break-off magic
END
    said '#UD; not delivered yet' 'SIGILL' 'trouble \(\)' '=> .*ud2' 'CR3 loaded: 0x10' 'reload_cr3' 'xchg bx,bx' 'magic \(\)' \
        'port 0xe0 written' 'out8' 'mode switch: CR0 0x11, EFER 0x100' 'in32 \(\)' 'mode switch: CR0 0x10' '#UD' \
        'breakpoint' '= 2$' 'no such event' 'was not set'
    report $? "$1: exceptions, CR3, ports, mode switches, xchg bx,bx"
    finish

    start tests/guest/subject/subject.elf --wait-gdb --accel "$1"
    debug tests/guest/subject/subject.elf <<'END'
break weigh
continue
next
next
print $xmm0.v2_double[0] > 0
print $st7 = 1.5
print $st7
set $xmm9.v4_int32[2] = 12345678
print $xmm9.v4_int32
set $ymm3.v8_int32[7] = 99
print $ymm3.v8_int32[7]
print $mxcsr
set $rax = 0x123456789abcdef0
print/x $rax
set $eflags |= 1
print $eflags
print $cr4
print $efer
set $fs_base = 0x5000
print/x $fs_base
set var points[2].y = 4711
print points[2]
monitor phys 0x7000 16
monitor phys on
x/xb 0x7000
monitor phys off
monitor translate 0x101000
monitor msrs
monitor msr LSTAR 0x4000
monitor msr LSTAR
info threads
info mem
monitor arch
delete
break work if n == 100
continue
print n
print/x *(long *)0xffffffff80000000
END
    said 'Breakpoint 1, weigh' '= 1$' '= 1.5' '= 1.5' '12345678' '= 99' '\[ IM DM ZM OM UM PM \]' '0x123456789abcdef0' '= \[.*CF' \
        'PAE OSFXSR' 'LME LMA' '= 0x5000' 'y = 4711' \
        '^0000000000007000 ' 'addresses of memory are physical' '0x7000.*0x' 'is at physical 0x101000' 'c0000080 EFER  *0x0000000000000500' \
        'c0000082 0x0000000000004000' '\* 1 .*CPU#0 running, ring 0, 64-bit' 'GDB was told: x86-64' 'Breakpoint 2, work' '= 100' 'Cannot access memory at address 0xffffffff80000000'
    report $? "$1: registers and memory of all kinds, read and written; conditions"
    finish
}

# A 32-bit kernel is described as one. $1: engine
bits32() {
    start tests/guest/subject/subject32.elf --wait-gdb --accel "$1"
    debug tests/guest/subject/subject32.elf <<'END'
show architecture
break work
continue
bt
finish
watch *(int *)&count32
continue
x/i $pc
printf "pc %lx\n", $pc
kill
END
    said 'currently "i386"' 'work \(n=1\)' '#1 .*main' 'Value returned .* = 10' 'New value = 1' 'ret' '^pc 1000'
    report $? "$1: a 32-bit kernel"
    ended
    [ $status = 0 ]
    report $? "$1: killed, the machine ends"
}

# A client goes, another comes; the guest runs meanwhile. $1: engine
again() {
    start tests/guest/subject/subject.elf --accel "$1"
    debug tests/guest/subject/subject.elf <<'END'
break in32
continue
print turn > 0
print/d turn
detach
END
    said 'Breakpoint 1, in32' '= 1$' 'detached'
    report $? "$1: GDB comes to a running machine, and leaves"
    before=$(sed -n 's/^\$2 = //p' "$work/gdb")
    debug tests/guest/subject/subject.elf <<'END'
set $before = turn
tbreak work
continue
print turn > $before
print/d turn
disconnect
END
    said 'work' '= 1$'
    [ $? = 0 ] && [ "$(sed -n 's/^\$2 = //p' "$work/gdb")" -gt "${before:-999999999}" ]
    report $? "$1: another finds that the guest has gone on"
    # Ctrl-C is SIGINT to GDB while it waits. One that comes before GDB waits only ends GDB: another try.
    for try in 1 2 3 4; do
        rm -f "$work/now"
        { echo "target remote $work/socket"; echo "shell touch $work/now"; echo "continue"; echo "print turn > 0"; echo "kill"; } \
            >"$work/commands"
        timeout 60 "$gdb" -nx -batch -ex "set pagination off" -ex "set confirm off" -x "$work/commands" \
            tests/guest/subject/subject.elf >"$work/gdb" 2>&1 </dev/null &
        client=$!
        tries=0
        until [ -e "$work/now" ] || [ $tries = 100 ]; do
            tries=$((tries + 1))
            sleep 0.1
        done
        sleep 0.$((try * 2))
        kill -INT $client 2>/dev/null
        wait $client
        grep -q SIGINT "$work/gdb" && break
    done
    said 'SIGINT' '= 1$'
    report $? "$1: Ctrl-C stops it"
    ended
}

for engine in ${ENGINES:-interp jit}; do
    "$oxbow" --version | grep -q "^engine $engine  *yes" || continue
    all_modes "$engine"
    bits32 "$engine"
    again "$engine"
done

# A triple fault waits for GDB to look at it.
start tests/system/crash.elf --wait-gdb
debug "" <<'END'
continue
monitor where
continue
END
ended
said 'shut down: a triple fault' 'SIGABRT' 'protected mode, 32-bit' 'exited with code 03'
report $? "a triple fault stops, and then ends the run"
[ $status = 3 ]
report $? "with its own exit status"

# By TCP; a port that is free is asked for.
timeout 60 "$oxbow" --headless --serial none --gdb 0 --wait-gdb --kernel tests/guest/subject/subject.elf </dev/null >"$work/out" 2>"$work/err" &
machine=$!
tries=0
until port=$(sed -n 's/.*listening at port \([0-9]*\).*/\1/p' "$work/err") && [ -n "$port" ] || [ $tries = 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
timeout 50 "$gdb" -nx -batch -ex "target remote 127.0.0.1:$port" -ex "break work" -ex "continue" -ex "kill" \
    tests/guest/subject/subject.elf >"$work/gdb" 2>&1 </dev/null
ended
said 'work \(n=1\)' 'killed'
report $? "by TCP"

mode=$(start tests/guest/subject/subject.elf --wait-gdb; stat -c %a "$work/socket"; kill $machine; wait $machine 2>/dev/null)
[ "$mode" = 600 ]
report $? "the socket is its user's alone"

"$oxbow" --headless --wait-gdb </dev/null >"$work/gdb" 2>"$work/err"
[ $? = 2 ] && grep -q '^oxbow: --wait-gdb ' "$work/err"
report $? "--wait-gdb without --gdb is refused"
"$oxbow" --headless --gdb 127.0.0.1:99999 </dev/null >"$work/gdb" 2>"$work/err"
[ $? = 2 ] && grep -q '^oxbow: --gdb 127.0.0.1:99999: is not ' "$work/err"
report $? "so is a port that can't be"
echo "1..$number"
