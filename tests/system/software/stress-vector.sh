# stress-ng's stressors that compute with vectors, matrices and floating point, verified.
cd /work/tmp || exit 1
# $1 stressor, $2 how much, $3...: options
stress() {
    name=$1 ops=$2
    shift 2
    timeout 300 stress-ng --"$name" 1 --"$name"-ops "$ops" --verify "$@" >stress 2>&1
    echo "$name $* $?"
    grep -iE 'fail|error|skipped' stress | grep -v dispatching | sed 's/\[[0-9]*\] *//'
}
stress vecmath 3
stress vecwide 3
stress vecfp 58
stress vecshuf 5
stress matrix 13 --matrix-size 64
stress fp 20
[ -z "$FULL" ] || {
    stress matrix-3d 13 --matrix-3d-size 32
    stress sparsematrix 3
    stress crypt 5
    stress hash 30
    stress str 50
    stress wcs 50
    stress qsort 3
    stress mergesort 3
    stress radixsort 3
    stress heapsort 2
    stress zlib 5
    stress judy 1
    stress jpeg 2
    stress funccall 5
    stress longjmp 500
    stress memcpy 3
    stress prefetch 2
    stress cache 5
    stress tree 1
    stress lsearch 1
    stress bsearch 2
    stress hsearch 2
    stress vm 500 --vm-bytes 8M
}
exit 0
