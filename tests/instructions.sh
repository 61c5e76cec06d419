#!/bin/sh
# instructions.sh - whether the table of instructions in docs/conformance.md is what opcodes.def and cpu_models.def say.
# Run by `make check`; alone: tests/instructions.sh [SOURCE-FOLDER [BUILD-FOLDER]]. `make instructions` writes it anew:
# tests/instructions.sh --write [SOURCE-FOLDER [BUILD-FOLDER]]
set -u
write=
if [ "${1:-}" = --write ]; then
    write=yes
    shift
fi
document=${1:-${srcdir:-.}}/docs/conformance.md
program=${2:-${top_builddir:-.}}/tests/instructions/table
table=$(mktemp) || exit 99
trap 'rm -f "$table" "$table.new"' EXIT

"$program" >"$table" || exit 99
# Everything between the two marks is replaced by the table.
awk -v table="$table" '
    /^<!-- instructions: end/ { inside = 0 }
    !inside { print }
    /^<!-- instructions: begin/ {
        inside = 1
        while ((getline line < table) > 0)
            print line
    }' "$document" >"$table.new"

if [ -n "$write" ]; then
    cmp -s "$table.new" "$document" || cat "$table.new" >"$document"
    exit
fi
if ! grep -q '^<!-- instructions: begin' "$document" || ! grep -q '^<!-- instructions: end' "$document"; then
    echo "not ok 1 - docs/conformance.md has the marks of its table of instructions"
elif difference=$(diff -u "$document" "$table.new"); then
    echo "ok 1 - docs/conformance.md has the instructions that there are"
else
    echo "not ok 1 - docs/conformance.md has the instructions that there are"
    echo "# it is out of date: make instructions"
    echo "$difference" | sed 's/^/# /' | cut -c 1-200 | head -n 30
fi
echo "1..1"
