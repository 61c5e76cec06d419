# stress-ng's cpu methods, each of which verifies what it computed.
cd /work/tmp || exit 1
few="int32 int64 int128double float double longdouble float80 float128 decimal64 crc16 div128 explog fft gamma matrixprod
    trig prime queens zeta"
methods=$few
[ -z "$FULL" ] || methods=$(stress-ng --cpu-method list 2>&1 | sed -n 's/.*must be one of: all //p')
for method in $methods; do
    timeout 300 stress-ng --cpu 1 --cpu-method "$method" --cpu-ops 2 --verify >stress 2>&1
    echo "$method $?"
    grep -iE 'fail|error|skipped' stress | grep -v dispatching | sed 's/\[[0-9]*\] *//'
done
exit 0
