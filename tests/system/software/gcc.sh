# gcc: the same code out of it as on the host, and the same answers out of that code.
cd /work/tmp || exit 1
# $@: options
try() {
    gcc -std=gnu11 -fwrapv "$@" -S -o n.s /work/software/numeric.c || return
    gcc -c -o n.o n.s && gcc -o n n.o -lm || return
    echo "$* $(cksum <n.s) $(cksum <n.o) $(cksum <n)"
    ./n
}
case $LEVEL in
v3) try -O1 -ftree-vectorize -march=x86-64-v3 ;;
*) try -O1 ;;
esac
[ -z "$FULL" ] || {
    try -O0
    try -O2
    try -O3 -frounding-math
    try -Ofast -fno-finite-math-only
    try -O3 -mfpmath=387
    try -Os -msse2 -mfpmath=sse
    [ "$LEVEL" != v3 ] || {
        try -O3 -march=x86-64-v2
        try -O3 -march=x86-64-v3
    }
}
