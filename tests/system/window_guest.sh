#!/bin/sh
# window_guest.sh - guests in Oxbow's own window, on a desktop of its own (Xvfb), programs in boot sectors. One draws
# pictures: what is on the desktop is compared with golden ones, in windows of several sizes. xdotool clicks and types at
# the other, which reads its keys from the BIOS and ends at the right one. Runs in the build folder:
# tests/system/window_guest.sh. OXBOW replaces ./oxbow; with KEEP=FOLDER pictures of the windows are left there.
set -u
oxbow=${OXBOW:-./oxbow}
video=tests/guest/boot/video.img
keys=tests/guest/boot/keys.img
compare=tests/system/png_compare
golden=${srcdir:-..}/tests/golden
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

"$oxbow" --display sdl --timeout 1 2>&1 </dev/null | grep -q 'no SDL2 window' && skip_all "this build has no window"
for tool in Xvfb xdotool; do
    command -v $tool >/dev/null || skip_all "$tool is missing; install xvfb and xdotool"
done
for file in "$video" "$keys" "$compare"; do
    [ -e "$file" ] || skip_all "$file is missing; make check makes it"
done

work=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
: >"$work/report"

. "$(dirname "$0")/tap.sh"

details() {
    sed 's/^/# /' "$work/report" "$work/err" "$work/difference" 2>/dev/null | tail -n 20
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

# The desktop. What it shows is in a file, $work/Xvfb_screen0.
mkfifo "$work/display"
Xvfb -displayfd 5 -screen 0 1600x1000x24 -fbdir "$work" -nolisten tcp >"$work/xvfb.log" 2>&1 5>"$work/display" &
pids=$!
read -r screen <"$work/display"
DISPLAY=:$screen
export DISPLAY
unset WAYLAND_DISPLAY SDL_VIDEODRIVER

# What is written to 6 is what the guest gets from COM1.
mkfifo "$work/answers"
exec 6<>"$work/answers"

# Starts Oxbow with these arguments as $pid, and finds $window.
start() {
    "$oxbow" --display sdl --exit-device --serial stdio "$@" >"$work/report" 2>"$work/err" <&6 6<&- &
    pid=$!
    pids="$pids $pid"
    wait_for xdotool search --name '^Oxbow - ' || return 1
    window=$(xdotool search --name '^Oxbow - ' | head -n 1)
    xdotool windowmove "$window" 0 0 windowfocus "$window" mousemove 1599 999
}

# Waits for its end, with exit status $1.
ends() {
    wait "$pid"
    status=$?
    pids=${pids% *}
    [ $status = "$1" ]
}

# --- Pictures

size_is() {
    xdotool getwindowgeometry "$window" | grep -q "Geometry: $1\$"
}

# Is the part of the window $2 (X,Y,WxH) as the golden picture $1? Further arguments are png_compare's.
shows_now() {
    picture=$1 part=$2
    shift 2
    eval "$(xdotool getwindowgeometry --shell "$window")" # X and Y
    left=${part%%,*} rest=${part#*,}
    part=$((X + left)),$((Y + ${rest%%,*})),${rest#*,}
    "$compare" "$@" -c "$part" "$golden/$picture.png" "$work/Xvfb_screen0" >"$work/difference" 2>&1
}

# $1: name, then as above
check_picture() {
    name=$1
    shift
    wait_for shows_now "$@"
    report $? "$name"
    [ -z "${KEEP:-}" ] || "$compare" -w -c "$part" "$KEEP/window-$number.png" "$work/Xvfb_screen0"
}

comes_to() {
    wait_for grep -q "^SHOW $1" "$work/report"
    report $? "the guest comes to its picture $1"
}

start --disk "$video",snapshot
report $? "the window opens"
comes_to text
wait_for size_is 720x400
report $? "it is as large as the guest's picture"
check_picture "text, pixel by pixel" bios-text 0,0,720x400
xdotool windowsize "$window" 1000 700
wait_for size_is 1000x700
check_picture "in a larger window, smoothly" window-text-smooth 0,0,1000x700 -t 40
xdotool key ctrl+alt+s windowsize "$window" 1440 800
wait_for size_is 1440x800
check_picture "scaled by two, when by whole numbers" bios-text 0,0,1440x800
printf x >&6
comes_to mode13
check_picture "mode 13h in the middle of a window that the user has sized" window-mode13 0,0,1440x800
check_picture "every pixel of it four" bios-mode13 80,0,1280x800
xdotool key ctrl+alt+u
wait_for size_is 640x400
report $? "Ctrl-Alt-U makes the window as large as the guest's picture"
check_picture "mode 13h, pixel by pixel" bios-mode13 0,0,640x400
printf x >&6
comes_to vbe
wait_for size_is 640x480
report $? "the window follows the guest's mode"
check_picture "a VBE mode, pixel by pixel" bios-vbe 0,0,640x480
printf x >&6
comes_to vbe-moved
check_picture "moved by 100 lines" bios-vbe-moved 0,0,640x480
printf x >&6
ends 33
report $? "the guest passes"

# --- Keys

asks_for_keys() {
    grep -q 'int 16h 00: it is this one' "$work/report"
}

start --disk "$keys",snapshot --screenshot "$work/screen.png"
report $? "the window opens"
wait_for asks_for_keys
report $? "the guest asks for keys"
xdotool mousemove --window "$window" 300 200 click 1
xdotool key a shift+b 5 F1 Up Return
xdotool key q
ends 33
report $? "the key q reaches the guest, which ends the run"
[ -s "$work/screen.png" ]
report $? "a picture of its screen is left"
echo "1..$number"
