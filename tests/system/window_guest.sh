#!/bin/sh
# window_guest.sh - a guest in Oxbow's own window, on a desktop of its own (Xvfb): xdotool clicks and types, and the guest,
# a program in a boot sector that reads its keys from the BIOS, ends at the right one. Runs in the build folder:
# tests/system/window_guest.sh
set -u
oxbow=${OXBOW:-./oxbow}
guest=tests/guest/boot/keys.img
number=0

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

"$oxbow" --display sdl --timeout 1 2>&1 </dev/null | grep -q 'no SDL2 window' && skip_all "this build has no window"
for tool in Xvfb xdotool; do
    command -v $tool >/dev/null || skip_all "$tool is missing; install xvfb and xdotool"
done
[ -e "$guest" ] || skip_all "$guest is missing"

work=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
: >"$work/report"

# $1: 0 for passed, $2: name
report() {
    number=$((number + 1))
    if [ "$1" = 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        sed 's/^/# /' "$work/report" "$work/err" | tail -n 20
    fi
}

# Runs a command until it succeeds, for 60 seconds at most.
wait_for() {
    tries=300
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

asks_for_keys() {
    grep -q 'int 16h 00: it is this one' "$work/report"
}

mkfifo "$work/display"
Xvfb -displayfd 5 -screen 0 1280x900x24 -nolisten tcp >"$work/xvfb.log" 2>&1 5>"$work/display" &
pids=$!
read -r screen <"$work/display"
DISPLAY=:$screen
export DISPLAY
unset WAYLAND_DISPLAY SDL_VIDEODRIVER

"$oxbow" --disk "$guest",snapshot --display sdl --serial "file:$work/report" --exit-device \
    --screenshot "$work/screen.png" </dev/null >"$work/out" 2>"$work/err" &
pid=$!
pids="$pids $pid"

wait_for xdotool search --name '^Oxbow - '
report $? "the window opens"
window=$(xdotool search --name '^Oxbow - ' | head -n 1)
xdotool windowfocus "$window"
wait_for asks_for_keys
report $? "the guest asks for keys"
xdotool mousemove --window "$window" 300 200 click 1
xdotool key a shift+b 5 F1 Up Return
xdotool key q
wait "$pid"
status=$?
pids=${pids% *}
[ $status = 33 ]
report $? "the key q reaches the guest, which ends the run"
[ -s "$work/screen.png" ]
report $? "a picture of its screen is left"
echo "1..$number"
