# openssl speed: what it computes must work; how fast is the host's affair.
# $1: what to measure, $2...: options
speed() {
    name=$1
    shift
    openssl speed -elapsed -seconds 1 "$@" "$name" >/work/tmp/speed 2>&1
    echo "$name $? $(grep -v ^compiler: /work/tmp/speed | grep -ciE 'error|fail')"
}
for name in aes-128-gcm sha256 ${FULL:+md5 sha1 sha512 sha3-256 blake2b512 aes-128-cbc aes-256-ocb aes-256-xts \
    chacha20-poly1305 camellia-128-cbc aria-128-ctr}; do
    speed "$name" -bytes 1024 -evp
done
for name in ecdsap256 ${FULL:+rsa2048 dsa2048 ecdsap384 ecdhp256 ecdhx25519 ed25519 ed448 ffdh2048}; do
    speed "$name"
done
