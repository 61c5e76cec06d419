# All ciphers that openssl enc has, and back.
cd /work/data || exit 1
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
# $1: the cipher, then -K and -iv of its sizes
cipher() {
    for file in r65 m100000 ${FULL:+empty one r63 r64 r1000}; do
        openssl enc -provider default -provider legacy -e "$@" -in $file -out /work/tmp/e 2>/dev/null || {
            echo "$1 not possible"
            return
        }
        openssl enc -provider default -provider legacy -d "$@" -in /work/tmp/e -out /work/tmp/d 2>/dev/null
        printf '%s %s %s %s\n' "$1" $file "$(sha256sum </work/tmp/e)" "$(cmp /work/tmp/d $file && echo same)"
    done
}
names="-aes-128-cbc -aes-256-ctr -aes-192-ecb -camellia-256-cbc -des-ede3-cbc -aria-128-cfb8"
[ -z "$FULL" ] || names=$(openssl enc -list | tail -n +2)
for name in $names; do
    case $name in
    *wrap*) continue ;;
    esac
    cipher "$name" -nosalt -pass pass:oxbow -md sha256
done
cipher -chacha20 -K $key -iv ff000000ffffffff0102030405060708
