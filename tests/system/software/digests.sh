# All digests and MACs that openssl has, of short and long files.
cd /work/data || exit 1
providers="-provider default -provider legacy"
for digest in $(openssl list -digest-commands); do
    for file in r65 m100000 ${FULL:+empty one r63 r64 r1000 random mixed}; do
        # shellcheck disable=SC2086 # words
        openssl dgst $providers -"$digest" "$file" 2>&1
    done
done
for file in r63 m100000 ${FULL:+empty r65 random}; do
    for digest in md5 sha1 sha256 sha512 sha3-256 blake2b512; do
        openssl dgst -"$digest" -hmac yoke $file
    done
    openssl mac -macopt cipher:AES-128-CBC -macopt hexkey:000102030405060708090a0b0c0d0e0f -in $file CMAC
    openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -in $file Poly1305
    openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -in $file SipHash
    openssl mac -macopt cipher:AES-256-GCM -macopt hexiv:000102030405060708090a0b \
        -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -in $file GMAC
    openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt size:32 -in $file KMAC-128
done
openssl kdf -keylen 64 -kdfopt digest:SHA512 -kdfopt pass:oxbow -kdfopt salt:yoke -kdfopt iter:2000 PBKDF2
openssl kdf -keylen 64 -kdfopt pass:oxbow -kdfopt salt:yoke -kdfopt n:1024 -kdfopt r:8 -kdfopt p:2 \
    -kdfopt maxmem_bytes:10485760 SCRYPT
openssl kdf -keylen 40 -kdfopt digest:SHA256 -kdfopt key:oxbow -kdfopt salt:yoke -kdfopt info:x HKDF
openssl passwd -6 -salt yoke oxbow
openssl passwd -1 -salt yoke oxbow
