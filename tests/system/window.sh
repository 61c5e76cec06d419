#!/bin/sh
# window.sh - the window on a desktop of its own (Xvfb), with xdotool at keyboard and mouse. Runs in the build folder:
# tests/system/window.sh. WINDOW_DEMO replaces tests/system/window_demo, WINDOW_MANAGER the window manager; with
# KEEP=FOLDER pictures of what was on the screen are left there.
set -u
demo=${WINDOW_DEMO:-tests/system/window_demo}
case $demo in /*) ;; *) demo=$PWD/$demo ;; esac
. "$(dirname "$0")/tap.sh"

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

[ -x "$demo" ] || skip_all "this build has no window: SDL2 is missing"
for tool in Xvfb xdotool; do
    command -v $tool >/dev/null || skip_all "$tool is missing; install xvfb and xdotool"
done

work=$(mktemp -d)
pids= window=none mark=0
trap 'kill $pids 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 99

details() {
    tail -n +$((mark + 1)) out | head -n 40 | sed 's/^/# says: /'
    sed 's/^/# stderr: /' err | head -n 20
}

# Runs a command until it succeeds, for 20 seconds at most.
wait_for() {
    tries=200
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

# --- the program and what it says

set_mark() {
    mark=$(wc -l <out)
}

# Does a line since the mark match $1?
says_now() {
    tail -n +$((mark + 1)) out | grep -q -- "$1"
}

says() {
    wait_for says_now "$1"
}

# Since the mark exactly the lines of $1 were said, then F12 was pressed (by this).
said() {
    xdotool key F12
    says '^key 45 up' || return 1
    tail -n +$((mark + 1)) out | sed '/^key 45 down/,$d' >said
    printf '%s' "$1" | diff - said >difference
}

start() {
    : >err
    set_mark
    "$demo" "$@" <&3 >>out 2>err 3<&- &
    pid=$!
    pids="$pids $pid"
    says '^ready' || return 1
    wait_for xdotool search --name '^demo - ' || return 1
    window=$(xdotool search --name '^demo - ')
    xdotool windowfocus "$window"
    xdotool mousemove --window "$window" 30 30
    # Until the keyboard is the window's
    wait_for type_f11
}

type_f11() {
    xdotool key F11
    sleep 0.1
    says_now '^key 44 up'
}

# Ends the program and frees it.
stop() {
    kill "$pid"
    wait "$pid" 2>/dev/null
}

close_button() {
    echo close >&4
}

size_is() {
    xdotool getwindowgeometry "$window" | grep -q "Geometry: $1\$"
}

name_is() {
    xdotool getwindowname "$window" | grep -q -- "$1"
}

# --- what is on the screen

have_pictures() {
    command -v import >/dev/null && command -v convert >/dev/null && command -v compare >/dev/null
}

# Takes a picture of the window.
picture() {
    import -window "$window" "$1.png"
    [ -z "${KEEP:-}" ] || cp "$1.png" "$KEEP/"
}

# $1: picture, $2 and $3: place, $4: colour as 6 hex digits
pixel_is() {
    convert "$1.png" -depth 8 -crop "1x1+$2+$3" +repage txt:- | grep -qi "#$4"
}

# Is there anything but black?
pixel_differs() {
    import -window "$window" now.png && ! pixel_is now "$1" "$2" 000000
}

# Is that the colour in the window, now or soon? x y colour
shows_now() {
    import -window "$window" now.png && pixel_is now "$1" "$2" "$3"
}

shows() {
    wait_for shows_now "$@"
}

# $1: name, then a command that needs pictures
check_picture() {
    name=$1
    shift
    if have_pictures; then
        "$@"
        report $? "$name"
    else
        skip "$name" "ImageMagick is missing"
    fi
}

# --- the desktop

mkfifo close display
exec 3<>close 4>close
: >out

Xvfb -displayfd 5 -screen 0 1600x1000x24 -nolisten tcp >xvfb.log 2>&1 5>display &
pids=$!
read -r screen <display
DISPLAY=:$screen
export DISPLAY
unset WAYLAND_DISPLAY SDL_VIDEODRIVER

start --clipboard 'Hello, world'
report $? "the window opens"
wait_for name_is '^demo - running, interp, 123 MIPS$'
report $? "the title"
size_is 720x400
report $? "as large as the guest's picture"
check_picture "the picture's corners" eval 'shows 0 399 FF0000 && shows 719 399 FFFFFF && shows 400 380 0000FF'

# --- keys

set_mark
xdotool key a z 1 0 Return Escape BackSpace Tab space minus F1 F4 Insert Home Prior Delete End Next Right Left Down Up
said "$(for key in 04 1d 1e 27 28 29 2a 2b 2c 2d 3a 3d 49 4a 4b 4c 4d 4e 4f 50 51 52; do
    printf 'key %s down\nkey %s up\n' $key $key
done)
"
report $? "keys by their place"

set_mark
# By keycode: xdotool presses the left ones along with the right ones' names.
xdotool key Control_L Shift_L Alt_L Super_L 105 62 108 134 Num_Lock KP_Divide KP_Enter
said "$(for key in e0 e1 e2 e3 e4 e5 e6 e7 53 54 58; do printf 'key %s down\nkey %s up\n' $key $key; done)
"
report $? "modifiers and the keypad"

set_mark
xdotool keydown k
sleep 1
xdotool keyup k
said 'key 0e down
key 0e up
'
report $? "the host's repeats are not passed on"

if command -v setxkbmap >/dev/null && setxkbmap de; then
    set_mark
    # Keycode 29 is the key right of T, whatever is on it; its letter is Z here.
    xdotool key 29 52
    said 'key 1c down
key 1c up
key 1d down
key 1d up
'
    report $? "a German keyboard's keys go by their place"
    setxkbmap fr
    set_mark
    # The key that is Q in the US has an A here; shortcuts go by letter.
    xdotool keydown 37 keydown 64 key 38 keyup 64 keyup 37
    says '^command power button'
    report $? "on a French keyboard a shortcut goes by its letter"
    setxkbmap ru
    set_mark
    xdotool keydown 37 keydown 64 key 40 keyup 64 keyup 37
    says '^command swap CD'
    report $? "on a Russian keyboard by its place"
    setxkbmap us
    wait_for type_f11
else
    skip "keyboards of other countries" "setxkbmap is missing; install x11-xkb-utils"
fi

# --- shortcuts

# $1: letter, $2: what is said, $3: name. The guest sees Ctrl and Alt come and go.
shortcut() {
    set_mark
    xdotool key "ctrl+alt+$1"
    said "key e0 down
key e2 down
key e0 up
key e2 up
$2"
    report $? "$3"
}

shortcut r 'command reset
' "Ctrl-Alt-R resets"
shortcut q 'command power button
' "Ctrl-Alt-Q presses the power button"
shortcut d 'command swap CD
' "Ctrl-Alt-D changes the CD"
shortcut v 'type Hello, world
' "Ctrl-Alt-V types the clipboard"
shortcut e 'key e0 down
key e2 down
key 4c down
key 4c up
key e0 up
key e2 up
' "Ctrl-Alt-E presses Ctrl-Alt-Delete"
shortcut p 'command pause
' "Ctrl-Alt-P pauses"
wait_for name_is ' - paused, interp$'
report $? "the title says so"
check_picture "and the screen" eval 'wait_for pixel_differs 523 15; picture paused; pixel_differs 523 15'
shortcut p 'command pause
' "Ctrl-Alt-P goes on"
wait_for name_is ' - running'
report $? "the title says so"

set_mark
xdotool key ctrl+alt+End
said 'key e0 down
key e2 down
key 4d down
key e0 up
key e2 up
key 4d up
'
report $? "other keys with Ctrl-Alt are the guest's"

set_mark
xdotool keydown ctrl keydown alt key h
sleep 0.3
xdotool key Delete keyup alt keyup ctrl
said 'key e0 down
key e2 down
key e0 up
key e2 up
'
report $? "Ctrl-Alt-H lists the shortcuts, a key ends that"

set_mark
xdotool keydown ctrl keydown alt key r key Delete keyup alt keyup ctrl
said 'key e0 down
key e2 down
key e0 up
key e2 up
command reset
key e0 down
key e2 down
key 4c down
key 4c up
key e2 up
key e0 up
'
report $? "modifiers still held after a shortcut are held for the guest's next key"

xdotool key ctrl+alt+h
check_picture "the list is on the screen" eval 'wait_for pixel_differs 70 200; picture list; pixel_differs 70 200'
xdotool key ctrl+alt+h

# --- screenshots

count_is() {
    [ "$(find . -name 'oxbow-*.png' -size +0 | wc -l)" = "$1" ]
}
xdotool key ctrl+alt+c
wait_for count_is 1
xdotool key ctrl+alt+c
wait_for count_is 2
report $? "Ctrl-Alt-C writes a file, and another"
shot=$(find . -name 'oxbow-*.png' | head -n 1)
[ "$(od -An -tu1 -j16 -N8 "$shot" | tr -s ' ')" = " 0 0 2 208 0 0 1 144" ]
report $? "a PNG of the guest's size"
same_picture() {
    import -window "$window" now.png && compare -metric AE "$shot" now.png null: 2>/dev/null
}
check_picture "of what the window shows" wait_for same_picture

# --- pointer

set_mark
xdotool mousemove_relative 20 20 click 4
said ''
report $? "without a grab a mouse stays where it is"

set_mark
xdotool click 1
wait_for name_is 'Ctrl-Alt-G releases the mouse$'
report $? "a click grabs the mouse"
said ''
report $? "and is not the guest's"
set_mark
xdotool mousemove_relative 10 5
says '^pointer 10 5 wheel 0 buttons 0'
report $? "motion"
set_mark
xdotool mousemove_relative -- -7 -3
says '^pointer -7 -3 wheel 0 buttons 0'
report $? "the other way"
set_mark
xdotool mousedown 1 mousedown 3 mouseup 1 mouseup 3 click 2 click 8 click 9
said "$(for held in 1 3 2 0 4 0 8 0 10 0; do echo "pointer 0 0 wheel 0 buttons $held"; done)
"
report $? "five buttons"
set_mark
xdotool click 4
says '^pointer 0 0 wheel 1 buttons 0'
report $? "the wheel, away from the user"
set_mark
xdotool click 5
says '^pointer 0 0 wheel -1 buttons 0'
report $? "and towards"

xdotool windowmove "$window" 0 0 windowsize "$window" 1440 800
wait_for size_is 1440x800
sleep 0.3
set_mark
xdotool mousemove_relative 5 0
says '^pointer 2 0'
xdotool mousemove_relative 5 0
says '^pointer 3 0'
report $? "motion in a picture twice as large"
set_mark
xdotool mousedown 3 key ctrl+alt+g
says '^pointer 0 0 wheel 0 buttons 0'
report $? "Ctrl-Alt-G releases the buttons"
wait_for name_is 'MIPS$'
report $? "and the mouse"
xdotool mouseup 3
set_mark
xdotool mousemove_relative 20 20
said ''
report $? "which then is the desktop's"

# --- sizes

set_mark
xdotool key F5
said 'key 3e down
key 3e up
'
size_is 1440x800
report $? "a size that the user gave stays when the guest's changes"
# 800x600 smoothly in 1440x800 is 1066x800 at 187; by whole numbers 800x600 at 320,100.
check_picture "smooth scaling" eval 'shows 186 799 000000 && shows 188 799 FF0000 && picture smooth'
xdotool key ctrl+alt+s
check_picture "scaling by whole numbers" eval 'shows 319 699 000000 && shows 320 699 FF0000 && shows 320 700 000000 &&
    picture integer'
xdotool key ctrl+alt+u
wait_for size_is 800x600
report $? "Ctrl-Alt-U gives the guest's size"
xdotool key F5
wait_for size_is 640x400
report $? "which then follows the guest's; a small one is enlarged"
check_picture "that in sharp pixels" eval 'shows 0 399 FF0000 && shows 0 320 FF0000 && shows 0 319 000000'
xdotool key F8
wait_for size_is 74x422
report $? "a picture of odd shape"
xdotool key ctrl+alt+h
sleep 0.3
xdotool key ctrl+alt+h key F5
wait_for size_is 720x400
report $? "and back, with a list that had little room"
xdotool key F6
check_picture "a screen that is off is black" shows 0 399 000000
xdotool key F6
check_picture "and on again" shows 0 399 FF0000
xdotool key F7
check_picture "a part of the picture that moves" shows 360 220 FFFF00
check_picture "leaves nothing behind" shows 360 220 000000
xdotool key F7

# --- focus

"$demo" --name other --bare </dev/null >other 2>&1 3<&- &
pids="$pids $!"
wait_for xdotool search --name '^other - '
sleep 0.5
xdotool windowfocus "$window"
wait_for type_f11
set_mark
xdotool keydown shift keydown a
says '^key 04 down'
xdotool windowfocus "$(xdotool search --name '^other - ')"
says '^key e1 up' && says_now '^key 04 up'
report $? "who loses the keyboard holds no keys"
wait_for grep -q . other
xdotool keyup a keyup shift key b key ctrl+alt+r
wait_for grep -q '^key 15 up' other
report $? "the other window has it, and what isn't offered is the guest's"
kill $!
xdotool windowfocus "$window"
wait_for type_f11

# --- closing

# The first Enter may come before the question.
confirm() {
    xdotool key Return
    sleep 0.1
    says_now '^command switch off'
}

set_mark
close_button
says '^command power button'
report $? "closing presses the power button"
close_button
check_picture "closing again asks" eval 'wait_for pixel_differs 94 200; picture question; pixel_differs 94 200'
set_mark
xdotool key x Escape
said ''
report $? "and the guest doesn't hear the answer"
set_mark
close_button
says '^command power button'
close_button
wait_for confirm && wait "$pid"
report $? "Enter switches off"

start --deaf && close_button && close_button
says '^command switch off' && wait "$pid"
report $? "closing twice, when the guest doesn't listen"

start --bare && close_button && close_button
says '^command switch off' && ! says_now '^command power' && wait "$pid"
report $? "closing twice, without a power button"

start
kill -TERM "$pid"
wait "$pid"
[ $? = 143 ]
report $? "signals are the program's"

# --- an absolute pointer

start --absolute
set_mark
xdotool mousemove --window "$window" 0 0
says '^pointer at 0 0 wheel 0 buttons 0'
report $? "an absolute pointer's corner"
set_mark
xdotool mousemove --window "$window" 719 399 click 3
says '^pointer at 32767 32767 wheel 0 buttons 2' && says '^pointer at 32767 32767 wheel 0 buttons 0'
report $? "the other, and a click that doesn't grab"
xdotool windowsize "$window" 720 800
wait_for size_is 720x800
sleep 0.3
set_mark
xdotool mousemove --window "$window" 360 100
says '^pointer at 16406 0 '
report $? "beside the picture it is at its edge"
set_mark
xdotool key ctrl+alt+g
wait_for name_is 'Ctrl-Alt-G releases the mouse$'
xdotool mousemove_relative 10 5
says '^pointer 10 5 wheel 0 buttons 0'
report $? "grabbed it moves relatively"
stop

# --- with a window manager

manager=${WINDOW_MANAGER:-$(command -v openbox)}
if [ -n "$manager" ]; then
    "$manager" >manager.log 2>&1 3<&- &
    pids="$pids $!"
    sleep 1
    start && xdotool key ctrl+alt+f
    wait_for size_is 1600x1000
    report $? "Ctrl-Alt-F: full screen"
    check_picture "the picture in it" eval 'shows 0 900 FF0000 && picture full'
    xdotool key F5
    xdotool key ctrl+alt+f
    wait_for size_is 800x600
    report $? "back, the guest's size having changed"
    set_mark
    xdotool key alt+F4
    says '^command power button'
    report $? "the close button"
    stop
    start --full-screen
    wait_for size_is 1600x1000
    report $? "full screen from the start"
    stop
else
    skip "full screen" "there is no window manager; install openbox"
fi

! grep -q lock out
report $? "the display and the sinks are called with the machine lock, callbacks without"

# --- no desktop

(unset DISPLAY; exec "$demo") </dev/null >none 2>err
[ $? = 1 ] && grep -q '^window_demo: there is no desktop.*--display text or --headless' err && [ "$(wc -l <err)" = 1 ]
report $? "without a desktop a sentence says so"
DISPLAY=:29999 "$demo" </dev/null >none 2>err
[ $? = 1 ] && grep -q '^window_demo: .*cannot be reached' err
report $? "with one that isn't there too"
echo "1..$number"
