#!/bin/sh
# layering.sh - checks the rules of the tree: who may include what, no include circles, headers that compile alone,
# and no mutable static state in the library. Run by `make check`; alone: tests/layering.sh [SOURCE-FOLDER [BUILD-FOLDER]]
set -u
build=$(cd "${2:-${top_builddir:-.}}" && pwd)
cd "${1:-${srcdir:-.}}" || exit 99
CC=${CC:-cc}
number=0

# $1: what is tested, $2: findings, none of which is good
report() {
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        echo "$2" | sed 's/^/# /'
    fi
}

# $1 folder, $2 pattern of "headers" allowed, $3 pattern of <headers> allowed: prints what else its files include.
others() {
    find "$1" -name '*.[chS]' -o -name '*.def' | LC_ALL=C sort | while read -r file; do
        sed -n 's/^ *# *include *\(["<][^">]*[">]\).*/\1/p' "$file" | grep -vE "^(\"($2)\"|<($3)>)\$" | sed "s|^|$file: |"
    done
}

c_library='(assert|ctype|errno|fenv|float|inttypes|limits|math|setjmp|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|time)\.h'
threads='pthread\.h|sched\.h'

report "core includes the C library only" \
    "$(others core 'core/[^"]*' "$c_library|$threads|getopt\.h|sys/uio\.h")"
report "cpu includes core" \
    "$(others cpu '(core|cpu)/[^"]*' "$c_library|$threads|[a-z]*intrin\.h")"
report "devices include core" \
    "$(others devices '(core|devices)/[^"]*' "$c_library|$threads|sys/uio\.h")"
report "bios includes core" \
    "$(others bios '(core|bios)/[^"]*|demo\.h' "$c_library")"
report "host includes core and the OS" \
    "$(others host '(core|host)/[^"]*|config\.h' '.*' | grep -v '<SDL')"
report "gui includes core and the OS" \
    "$(others gui '(core|gui)/[^"]*|config\.h' '.*')"
report "accel includes core and cpu's public headers" \
    "$(others accel '(core|accel)/[^"]*|cpu/(cpu|state)\.h|config\.h' "$c_library|$threads|(linux/kvm|sys/[a-z]+|asm/prctl|unistd|fcntl|signal)\.h")"
report "only kvm*.c knows <linux/kvm.h>" \
    "$(grep -rlE --include='*.[ch]' '# *include *<linux/kvm' core cpu accel devices bios gui host machine debug oxbow.c | grep -vE 'accel/kvm[^/]*$')"
report "debug includes core, cpu's public headers and the machine" \
    "$(others debug '(core|debug)/[^"]*|cpu/(cpu|paging|state)\.h|machine/machine\.h|config\.h' '.*')"
report "nobody includes oxbow.c's or tests' files" \
    "$(grep -rnE '# *include *"(oxbow\.c|tests/)' core cpu accel devices bios gui host machine debug oxbow.c)"

headers=$(find core cpu accel devices bios gui host machine debug -name '*.h' | LC_ALL=C sort)

report "no include circles" "$(for file in $headers; do
    sed -n 's/^ *# *include *"\(.*\)".*/\1/p' "$file" | sed "s|^|$file |"
done | tsort 2>&1 >/dev/null)"

# Headers that need SDL are looked at where it is installed.
sdl=$(pkg-config --cflags sdl2 2>/dev/null || echo none)

report "every header compiles alone" "$(for file in $headers; do
    [ "$sdl" != none ] || ! grep -q '<SDL' "$file" || continue
    # shellcheck disable=SC2086 # switches
    $CC ${sdl#none} -std=gnu11 -Wall -Wextra -Wno-unused-function -Werror -I. -I"$build" -fsyntax-only -x c "$file" 2>&1 | grep -vE 'pragma once' | head -n 3
done)"

library=$build/liboxbow.a
if [ ! -f "$library" ]; then
    number=$((number + 1))
    echo "ok $number - no mutable static state # SKIP there is no $library"
elif objdump -t "$library" | grep -qE '__(asan|tsan|ubsan|gcov)_'; then
    number=$((number + 1))
    echo "ok $number - no mutable static state # SKIP the library has a sanitizer's or coverage data"
else
    # Constant tables with pointers in them are in .data.rel.ro; anything else writable must not be there. The
    # exceptions are the terminal and the code memories: a process has but one of each, and signal handlers must find them.
    report "no mutable static state" "$(objdump -t "$library" | awk '
        /file format/ { file = $1 }
        file == "char_terminal.o:" && $NF == "terminal" { next }
        file == "host_fault.o:" && $NF == "host_fault" { next }
        / O \.(data|bss|tdata|tbss)/ && !/ \.data\.rel\.ro/ { print file " " $NF }
        / O \*COM\*/ { print file " " $NF }')"
fi
echo "1..$number"
