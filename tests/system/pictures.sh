#!/bin/sh
# pictures.sh - png_compare, which the judgement of all screens rests on, says what is the same and what isn't. Runs in the
# build folder: tests/system/pictures.sh
set -u
compare=tests/system/png_compare
golden=${srcdir:-..}/tests/golden
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

# $1: exit status, $2: pattern of what it prints, $3: name; then arguments
gives() {
    want=$1 pattern=$2 name=$3
    shift 3
    "$compare" "$@" >"$work/out" 2>&1
    status=$?
    number=$((number + 1))
    if [ $status = "$want" ] && { [ -z "$pattern" ] && [ ! -s "$work/out" ] || grep -q -- "$pattern" "$work/out"; } then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        echo "# exit status $status"
        sed 's/^/# /' "$work/out"
    fi
}

for file in "$golden"/*.png; do
    gives 0 '' "${file##*/} is as itself" "$file" "$file"
done
# The one is the other moved by 100 lines.
vbe=$golden/bios-vbe.png moved=$golden/bios-vbe-moved.png
gives 1 'pixels differ, within 0,0,640x480$' "different pictures" "$vbe" "$moved"
gives 1 'within 0,100,640x380$' "an area is ignored" -i 0,0,640x100 "$vbe" "$moved"
gives 1 'within 300,200,40x10$' "areas around are ignored" -i 0,0,640x200 -i 0,210,640x270 -i 0,200,300x10 \
    -i 340,200,300x10 "$vbe" "$moved"
gives 0 '' "all is ignored" -i 0,0,640x480 "$vbe" "$moved"
gives 0 '' "any difference is tolerated" -t 255 "$vbe" "$moved"
gives 1 'pixels differ' "hardly any is" -t 254 "$vbe" "$moved"
gives 1 'is 720 x 400 pixels, the golden one 640 x 480' "another size" "$vbe" "$golden/boot-menu.png"
gives 0 '' "a golden picture of half the size is made" -w -s 2 "$work/half.png" "$vbe"
gives 0 '' "it is as the whole" -t 26 "$work/half.png" "$vbe"
gives 1 'within 0,0,320x240$' "and not as another" -t 26 "$work/half.png" "$moved"
gives 1 'is 320 x 240' "the whole is not as the half" -t 26 "$vbe" "$work/half.png"
gives 0 '' "a part of it" -w -c 0,100,640x380 "$work/part.png" "$vbe"
gives 0 '' "is as that part" -c 0,100,640x380 "$work/part.png" "$vbe"
gives 1 'pixels differ' "and not as another" -c 0,90,640x380 "$work/part.png" "$vbe"
gives 2 'have no part 1,0,640x480' "a part that is not there" -c 1,0,640x480 "$vbe" "$vbe"
# An X window dump of two pixels, red and blue: header, name, one colour, pixels.
{
    printf '\0\0\0\144\0\0\0\7\0\0\0\2\0\0\0\30\0\0\0\2\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\40\0\0\0\0\0\0\0\40\0\0\0\40\0\0\0\10'
    head -c 24 /dev/zero
    printf '\0\0\0\1' # colours
    head -c 32 /dev/zero # the rest of the header, and a colour
    printf '\0\0\377\0\377\0\0\0'
} >"$work/dump"
gives 0 '' "a golden picture is made from a dump" -w "$work/dump.png" "$work/dump"
gives 0 '' "it is as the dump" "$work/dump.png" "$work/dump"
gives 0 '' "and from its second pixel" -w -c 1,0,1x1 "$work/blue.png" "$work/dump"
gives 0 '' "which is as it is" -c 1,0,1x1 "$work/blue.png" "$work/dump"
gives 1 'within 0,0,1x1$' "its parts differ" -c 0,0,1x1 "$work/blue.png" "$work/dump"
gives 2 "can't be divided" "a size that can't be divided" -w -s 7 "$work/seventh.png" "$vbe"
gives 2 'missing' "a file that isn't there" "$vbe" "$work/missing"
gives 2 '.' "a file that isn't a PNG" "$vbe" "$0"
gives 2 'usage' "areas that are none" -i 1,2 "$vbe" "$vbe"
echo "1..$number"
