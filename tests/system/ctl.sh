#!/bin/sh
# ctl.sh - oxbow ctl, --monitor and Ctrl-A C as people and scripts use them. Runs in the build folder: tests/system/ctl.sh;
# OXBOW in the environment replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
guests=tests/system
work=$(mktemp -d)
machine=
trap 'if [ -n "$machine" ]; then kill "$machine" 2>/dev/null; fi; rm -rf "$work"' EXIT
. "$(dirname "$0")/tap.sh"

details() {
    echo "# exit status $status"
    sed 's/^/# stdout: /' "$work/out" | head -n 20
    sed 's/^/# stderr: /' "$work/err" | head -n 20
}

# Waits up to 60 s until the command succeeds.
until_true() {
    tries=600
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# Starts a guest with these arguments and waits until it says that it is ready.
start() {
    timeout 300 "$oxbow" "$@" --control "unix:$work/socket" --timeout 250 </dev/null >"$work/console" 2>"$work/log" &
    machine=$!
    until_true grep -q ready "$work/console"
}

# $1: exit status, $2: pattern on stdout or stderr, $3: name; then ctl's arguments
gives() {
    want=$1 pattern=$2 name=$3
    shift 3
    timeout 60 "$oxbow" ctl "$work/socket" "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
    [ "$status" = "$want" ] && { [ -z "$pattern" ] || cat "$work/out" "$work/err" | grep -q -- "$pattern"; }
    report $? "$name"
}

status=0
: >"$work/out"
: >"$work/err"
gives 5 'No such file' "there is no machine" info status

start "$guests/echo.elf" --headless --symbols "$guests/echo.elf"
report $? "a guest with a control socket"
gives 0 'running' "a command of the monitor" info status
gives 0 'running' "the same in one word" 'info status'
gives 0 '"running": true' "a command of QMP's" query-status
gives 0 '' "stop" stop
gives 0 'paused' "it stands still" info status
gives 0 '^> 0000000000100' "step" step 5
gives 0 '1 break 10001b <next>' "break at a symbol" break next
gives 0 '' "cont" cont
until_true sh -c "timeout 60 '$oxbow' ctl '$work/socket' info status </dev/null | grep -q running" 
report $? "it goes on"
gives 0 '' "delete" delete
gives 0 '10000c <start>' "names of addresses" info symbol start
gives 0 'mov esp, ' "instructions" x/i start
gives 1 'there is no command "frob"' "a command that doesn't exist" frob
gives 1 'has no argument "colour"' "an argument that doesn't exist" query-status colour=red
gives 2 'NAME=VALUE' "an argument that isn't one" query-status red
gives 1 'the machine has no screen' "a screen that isn't there" screendump "$work/screen.png"
gives 1 'there is no drive "x"' "a drive that isn't there" eject x
gives 0 'ide1-cd0: no medium' "drives" info block
head -c 102400 /dev/zero >"$work/a disc.iso"
gives 0 '' "a disc is put in" change ide1-cd0 "$work/a disc.iso"
gives 0 'ide1-cd0: .*a disc.iso, raw, 10' "it is there" info block
gives 0 '"ro": true' "and QMP says so" query-block
gives 0 '' "by QMP it is taken out" eject id=ide1-cd0
gives 0 'ide1-cd0: no medium' "and is gone" info block
head -c 2048 /dev/zero >"$work/b.iso"
gives 0 '' "an image gets a name" blockdev-add driver=raw node-name=second read-only=true "filename=$work/b.iso"
gives 1 'is taken' "... which is then taken" blockdev-add driver=file node-name=second filename=x
gives 1 'there is no driver "nbd"' "images are files" blockdev-add driver=nbd node-name=x filename=x
gives 1 'the tray of ide1-cd0 is closed' "nothing goes into a closed tray" blockdev-insert-medium id=ide1-cd0 node-name=second
gives 0 '' "it is opened" blockdev-open-tray id=ide1-cd0
gives 0 '"tray_open": true' "... as QMP says" query-block
gives 1 'no image of that name' "an image without a name" blockdev-insert-medium id=ide1-cd0 node-name=first
gives 0 '' "the image is put in" blockdev-insert-medium id=ide1-cd0 node-name=second
gives 1 'there is a medium in ide1-cd0 already' "only one" blockdev-insert-medium id=ide1-cd0 node-name=second
gives 0 '' "the tray is closed" blockdev-close-tray id=ide1-cd0
gives 0 'ide1-cd0: .*b.iso, raw, 2048 bytes' "the disc is in" info block
gives 1 'the tray of ide1-cd0 is closed' "and stays" blockdev-remove-medium id=ide1-cd0
gives 0 '' "open again" blockdev-open-tray id=ide1-cd0
gives 0 '' "it is taken out" blockdev-remove-medium id=ide1-cd0
gives 0 'ide1-cd0: no medium' "it is gone" info block
gives 1 'there is no drive "ide0-hd0"' "a disk has no tray" blockdev-open-tray id=ide0-hd0
gives 0 '' "by QMP another is put in" blockdev-change-medium id=ide1-cd0 "filename=$work/a disc.iso"
gives 0 '' "memory is saved" pmemsave val=0x100000 size=12 "filename=$work/memory"
printf '\002\260\255\033\000\000\000\000\376\117\122\344' >"$work/header"
cmp -s "$work/memory" "$work/header"
report $? "as it is"
gives 0 '' "another engine goes on" 'accel interp'
gives 0 '^\* interp' "and says so" info engine

printf 'info status\nfrob\np 1+1\n' | timeout 60 "$oxbow" ctl "$work/socket" >"$work/out" 2>"$work/err"
status=$?
[ "$status" = 1 ] && grep -q running "$work/out" && grep -q '0x2 2' "$work/out" && grep -q frob "$work/err"
report $? "lines from a file"
gives 0 '' "quit" quit
wait "$machine"
status=$?
machine=
[ "$status" = 0 ]
report $? "the run ends with status 0"

# A monitor of its own.
printf 'info status\np first\nquit\n' |
    timeout 60 "$oxbow" "$guests/hang.elf" --display none --serial none --monitor stdio --timeout 50 >"$work/out" 2>"$work/err"
status=$?
[ "$status" = 0 ] && grep -q '^(oxbow) The machine is running' "$work/out" && grep -q 'is no number' "$work/out"
report $? "--monitor stdio"

# What can't be used.
refuses() {
    pattern=$1 name=$2
    shift 2
    timeout 60 "$oxbow" "$@" </dev/null >"$work/out" 2>"$work/err"
    status=$?
    [ "$status" = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "^oxbow: .*$pattern" "$work/err"
    report $? "refused: $name"
}
refuses '--control tcp:1: not of the form unix:PATH' "a control socket elsewhere" --control tcp:1 "$guests/hang.elf"
refuses '--control unix:/no/such/x: No such file' "a control socket nowhere" --control unix:/no/such/x "$guests/hang.elf"
refuses '--monitor teletype' "a monitor nowhere" --monitor teletype "$guests/hang.elf"
refuses '--monitor stdio.*already' "the terminal for two" --monitor stdio --serial stdio "$guests/hang.elf"
refuses '--symbols /no/such: No such file' "symbols that aren't there" --symbols /no/such "$guests/hang.elf"
refuses 'nor is it an ELF file' "symbols that are none" --symbols "$work/header" "$guests/hang.elf"
refuses 'needs the PATH' "ctl without a path" ctl
echo "1..$number"
