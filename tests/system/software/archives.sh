# Compressors: the same bytes out of them, and what the host packed unpacked.
cd /work/data || exit 1
for file in m100000 ${FULL:+mixed numbers} zeros; do
    for level in 1 6 ${FULL:+9}; do
        printf '%s %s' "$file" "$level"
        printf ' %s' "$(gzip -n -$level <"$file" | md5sum)" "$(bzip2 -$level <"$file" | md5sum)" \
            "$(xz -$level <"$file" | md5sum)"
        echo
    done
    for kind in xz gzip bzip2; do
        # Behind gzip's head, which has the time in it.
        printf '7z %s %s %s\n' $kind "$file" \
            "$(7z a -an -bd -t$kind -si -so -mx=5 -mmt=1 <"$file" 2>/dev/null | tail -c +11 | md5sum)"
    done
done
xz -dc mixed.xz | sha256sum
gzip -dc mixed.gz | sha256sum
bzip2 -dc mixed.bz2 | sha256sum
for archive in mixed.7z ppmd.7z secret.7z secret.zip; do
    7z t -pyoke -bd $archive >/work/tmp/7z 2>&1
    echo $archive $? "$(grep -c 'Everything is Ok' /work/tmp/7z)"
    7z x -pyoke -bd -so $archive 2>/dev/null | sha256sum
done
for hash in CRC32 CRC64 MD5 SHA1 SHA256 SHA384 SHA512 SHA3-256 XXH64 BLAKE2sp; do
    7z h -bd -scrc$hash random mixed zeros 2>/dev/null | grep -E '^[0-9A-Fa-f]{8,}|for data'
done
