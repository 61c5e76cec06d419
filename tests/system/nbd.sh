#!/bin/sh
# nbd.sh - images on an NBD server (nbdkit), over a socket in the file system and over loopback: read, written, and kept
# although the server is killed and started again. Runs in the build folder: tests/system/nbd.sh; OXBOW in the environment
# replaces ./oxbow.
set -u
oxbow=${OXBOW:-./oxbow}
worker=tests/system/image_work
work=$(mktemp -d)
server=
# shellcheck disable=SC2064 # $server is looked at then
trap '[ -z "$server" ] || kill $server 2>/dev/null; rm -rf "$work"' EXIT

. "$(dirname "$0")/tap.sh"

details() {
    sed 's/^/# /' "$work/err" "$work/server" 2>/dev/null | head -n 30
}

if ! command -v nbdkit >/dev/null; then
    echo "1..0 # SKIP no NBD server; the package nbdkit has one"
    exit 0
fi
if ! ldd "$oxbow" | grep -q libnbd; then
    echo "1..0 # SKIP built without libnbd"
    exit 0
fi

# Waits, at most 10 s, until $1... succeeds.
await() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || return 1
        sleep 0.1
    done
}

# Starts it: $@ are nbdkit's arguments. It listens when its file with its number is there.
serve() {
    rm -f "$work/socket" "$work/pid"
    nbdkit -f -P "$work/pid" "$@" 2>>"$work/server" &
    server=$!
    await test -s "$work/pid"
}

stop_server() {
    kill -9 "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    server=
}

url="nbd+unix:///?socket=$work/socket"
truncate -s 48M "$work/disk"
cp "$work/disk" "$work/twin"

# A server that isn't there, and one that lets nobody write.
timeout 20 "$oxbow" --headless --timeout 5 --disk "$url" >"$work/out" 2>"$work/err" </dev/null
[ $? = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q "^oxbow: --disk nbd+unix:.*No such file" "$work/err"
report $? "refused in a line: no server"
serve -r -U "$work/socket" file "$work/disk"
timeout 20 "$oxbow" --headless --timeout 5 --disk "$url" >"$work/out" 2>"$work/err" </dev/null
[ $? = 2 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q "lets nobody write; add ,readonly" "$work/err"
report $? "refused in a line: read-only there"
stop_server

# Random work by four threads, the same on a raw file.
serve -U "$work/socket" file "$work/disk"
timeout 60 "$worker" "$url" "$work/twin" 1 300 4 2>"$work/err"
report $? "random work reads as on a raw image"
stop_server
cmp "$work/disk" "$work/twin" 2>"$work/err"
report $? "the server's file is the same"

# The server goes and comes back meanwhile: requests wait, nothing is lost.
serve -U "$work/socket" file "$work/disk"
timeout 100 "$worker" "$url" "$work/twin" 2 4000 4 2>"$work/err" &
working=$!
rounds=0
while [ $rounds -lt 5 ] && kill -0 $working 2>/dev/null; do
    before=$(stat -c %Y.%y "$work/disk")
    await sh -c "[ '$before' != \"\$(stat -c %Y.%y '$work/disk')\" ]"
    stop_server
    serve -U "$work/socket" file "$work/disk"
    rounds=$((rounds + 1))
done
wait $working
report $? "the server is killed $rounds times: the work goes on"
[ $rounds -gt 0 ]
report $? "it was killed during the work"
stop_server
cmp "$work/disk" "$work/twin" 2>"$work/err"
report $? "the server's file is the same after that"

# Over loopback, at a port that is free.
port=$((20000 + $$ % 20000))
tries=0
until serve -i 127.0.0.1 -p $port file "$work/disk" || [ $tries = 5 ]; do
    port=$((port + 17))
    tries=$((tries + 1))
done
timeout 30 "$oxbow" image convert --format raw "nbd://127.0.0.1:$port/" "$work/copy" >"$work/out" 2>"$work/err" &&
    cmp "$work/copy" "$work/disk" 2>>"$work/err"
report $? "read over loopback"
timeout 20 "$oxbow" image info "nbd://127.0.0.1:$port/" 2>"$work/err" | grep -q '48 MiB'
report $? "its size"
stop_server
echo "1..$number"
