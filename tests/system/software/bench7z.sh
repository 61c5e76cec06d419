# 7z's benchmark unpacks what it packed and checks the sums; its hashes and ciphers check their answers.
# $1...: options
bench() {
    7z b -mmt1 "$@" >/work/tmp/7z 2>&1
    echo "$* $? $(grep -ciE 'error|incorrect' /work/tmp/7z)"
}
bench -md18 1
[ -z "$FULL" ] || {
    bench -md22 1
    bench -mtime=0 '-mm=*' 1
}
