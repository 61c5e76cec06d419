# stress-ng's stressors of what is between program, kernel and processor: traps, signals, system calls, odd instructions.
cd /work/tmp || exit 1
# $1 stressor, $2 how much, $3...: options
stress() {
    name=$1 ops=$2
    shift 2
    timeout 300 stress-ng --"$name" 1 --"$name"-ops "$ops" --verify "$@" >stress 2>&1
    echo "$name $* $?"
    grep -iE 'fail|error|skipped' stress | grep -v dispatching | sed 's/\[[0-9]*\] *//'
}
stress x86syscall 100
stress x86cpuid 10
stress regs 100
stress fp-error 100
stress sigfpe 100
stress sigsegv 100
[ -z "$FULL" ] || {
    stress rdrand 100
    stress sigtrap 100
    stress priv-instr 1000
    stress far-branch 2
    stress misaligned 1
    stress icache 10
    stress atomic 100
    stress lockbus 10
    stress tsc 100
    stress cacheline 100
    stress nop 100
    stress ptrace 100
    stress mprotect 100
    stress mmap 3 --mmap-bytes 2M
    stress fork 100
    stress context 100
    stress signal 100
    stress vm-segv 5
    stress membarrier 5
    stress vdso 1000
    stress pkey 100
    stress personality 10
    stress fault 100
    # glibc has registered its own otherwise. In 32 bits it takes minutes, everywhere.
    export GLIBC_TUNABLES="${GLIBC_TUNABLES:+$GLIBC_TUNABLES:}glibc.pthread.rseq=0"
    [ "$(getconf LONG_BIT)" = 32 ] || stress rseq 1
}
exit 0
