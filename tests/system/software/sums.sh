# Checksums of coreutils.
cd /work/data || exit 1
for file in empty one r63 r64 r65 r1000 m100000 random numbers mixed zeros; do
    for sum in md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum; do
        printf '%s ' $sum
        $sum $file
    done
    for kind in bsd sysv crc sm3; do
        cksum -a $kind $file
    done
done
