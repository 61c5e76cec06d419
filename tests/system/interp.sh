#!/bin/sh
# interp.sh - the system tests that boot something soon, once more under the interpreter: the others run under the engine
# that `auto` takes. Runs in the build folder: tests/system/interp.sh; OXBOW in the environment replaces ./oxbow.
set -u
oxbow=$(realpath "${OXBOW:-./oxbow}")
source=${srcdir:-..}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexec "%s" --accel interp "$@"\n' "$oxbow" >"$work/oxbow"
chmod +x "$work/oxbow"

for test in tests/system/linux_boot tests/system/bios_calls tests/system/boot_menu "$source/tests/system/seabios.sh"; do
    echo "TEST $(basename "$test")"
    OXBOW=$work/oxbow "$test" 2>&1
done | awk '
    function say(line) { print line; fflush() }
    /^TEST / { test = $2 ": "; next }
    /^(not )?ok / { count++; sub(/ok [0-9]+ (- )?/, "ok " count " - " test); say($0); next }
    /^1\.\./ { next }
    { say("# " $0) }
    END { say("1.." count) }'
