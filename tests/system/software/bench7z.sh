# 7z's benchmark unpacks what it packed and checks the sums; its hashes and ciphers check their answers.
# $1...: options
bench() {
    7z b -mmt1 "$@" >/work/tmp/7z 2>&1
    echo "$* $? $(grep -ciE 'error|incorrect' /work/tmp/7z)"
}
bench -md18 1
[ -z "$FULL" ] || {
    bench -md22 1
    for method in CRC32 CRC64 XXH64 SHA1 SHA256 AES256CBC BCJ; do
        bench -md18 -mtime=0 -mm=$method 1
    done
}
