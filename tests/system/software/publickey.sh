# Signatures, key agreement, what the host encrypted, and TLS with itself.
cd /work/data || exit 1
for digest in md5 sha1 sha256 sha512 sha3-384; do
    openssl dgst -$digest -sign rsa.pem mixed | sha256sum
done
openssl dgst -sha512 -verify rsa.pub -sigopt rsa_padding_mode:pss -signature rsa-pss.sig mixed
for curve in prime256v1 secp384r1 secp521r1 secp256k1 brainpoolP256r1; do
    echo $curve
    openssl dgst -sha256 -verify $curve.pub -signature $curve.sig mixed
    openssl dgst -sha256 -verify $curve.pub -signature $curve.sig numbers
    openssl pkeyutl -derive -inkey $curve.pem -peerkey $curve.pub | sha256sum
    openssl dgst -sha384 -sign $curve.pem -out /work/tmp/sig mixed
    openssl dgst -sha384 -verify $curve.pub -signature /work/tmp/sig mixed
    openssl ecparam -name $curve -genkey -noout | openssl pkey -check -noout
done 2>&1
for kind in ed25519 ed448; do
    openssl pkeyutl -sign -rawin -inkey $kind.pem -in m100000 | sha256sum
done
for kind in x25519 x448; do
    openssl pkeyutl -derive -inkey $kind.pem -peerkey $kind-2.pub | sha256sum
done
for cipher in aes-128-gcm aes-256-gcm aes-256-cbc des3; do
    openssl cms -decrypt -binary -inform DER -inkey rsa.pem -recip rsa.crt -in cms.$cipher | sha256sum
    openssl cms -encrypt -binary -outform DER -$cipher -recip rsa.crt -in m100000 |
        openssl cms -decrypt -binary -inform DER -inkey rsa.pem -recip rsa.crt | cmp - m100000 && echo $cipher and back
done
openssl genrsa 2048 2>/dev/null | openssl pkey -check -noout
# TLS, each with a server of its own
port=4433
# $1 certificate, $2 key, $3...: what the client asks for
tls() {
    certificate=$1 key=$2
    shift 2
    port=$((port + 1))
    openssl s_server -accept 127.0.0.1:$port -cert "$certificate" -key "$key" -cipher ALL:@SECLEVEL=0 -quiet -naccept 1 -WWW \
        >/dev/null 2>&1 &
    server=$!
    i=0
    until [ $i = 600 ] || grep -q "$(printf ':%04X 00000000:0000 0A' $port)" /proc/net/tcp; do
        sleep 0.1
        i=$((i + 1))
    done
    printf 'GET /m100000 HTTP/1.0\r\n\r\n' |
        openssl s_client -connect 127.0.0.1:$port -quiet -ign_eof "$@" 2>/dev/null >/work/tmp/got
    { kill $server; wait $server; } 2>/dev/null
    echo "TLS $* $(tail -c 100000 /work/tmp/got | cmp - m100000 && echo same)"
}
for pair in rsa.crt:rsa.pem ec.crt:prime256v1.pem; do
    for suite in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
        tls ${pair%:*} ${pair#*:} -tls1_3 -ciphersuites $suite
    done
done
for suite in AES128-SHA256 AES256-GCM-SHA384 AES128-CCM DHE-RSA-AES128-SHA ARIA128-GCM-SHA256 CAMELLIA256-SHA256 \
    ECDHE-RSA-CHACHA20-POLY1305; do
    tls rsa.crt rsa.pem -tls1_2 -cipher "$suite:@SECLEVEL=0"
done
for suite in ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES128-CCM8 ECDHE-ECDSA-CAMELLIA128-SHA256; do
    tls ec.crt prime256v1.pem -tls1_2 -cipher "$suite:@SECLEVEL=0"
done
exit 0
