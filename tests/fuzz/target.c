/*
 * target.c - one input: decoded at every length and in every size of code, then run.
 *
 * What must hold: a decoder's answer doesn't depend on bytes behind the instruction; with fifteen bytes it
 * always has one; the run ends within its budget, in a state that a processor can be in. All else is up to
 * the sanitizers.
 *
 * A repeated string instruction of four thousand million turns is one instruction of the budget. It is no
 * hang as long as it stops when the processor is kicked: a timer does that to inputs that take long.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "cpu/fpu.h"
#include "cpu/interp/flags.h"
#include "cpu/protect.h"
#include "tests/fuzz/fuzz.h"

#define INSTRUCTIONS 600u
#define SLICES       12u
#define MAX_LENGTH   15u
#define TICK_US      100000
#define PATIENCE     5 /* ticks for an input */

/* What the timer's handler knows. */
static struct {
    struct cpu *cpu;
    volatile sig_atomic_t ticks;
} running;

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void require(bool truth, const char *what)
{
    if (!truth)
        broken(what);
}

/* At every length, in a buffer that ends there, so that reading further is seen. */
static void check_decoder(const struct cpu *cpu, uint32_t mode, const uint8_t *code, size_t size)
{
    unsigned most = size < MAX_LENGTH ? (unsigned)size : MAX_LENGTH, length = 0, attr;
    struct insn i;

    for (unsigned given = 1; given <= most; given++) {
        uint8_t *bytes = malloc(given);
        unsigned took;

        memcpy(bytes, code, given);
        took = decode(cpu, mode, bytes, given, 0, 0, &i, &attr);
        free(bytes);
        require(took <= given, "an instruction is longer than its bytes");
        require(!length || took == length, "more bytes behind an instruction change it");
        if (!took)
            continue;
        length = took;
        require(i.fn != NULL, "an instruction has no body");
        require(i.len == took, "an instruction's length is not what the decoder took");
        require(i.row == UINT16_MAX || i.row < opcode_row_count, "an instruction of no row");
    }
    require(length || most < MAX_LENGTH, "fifteen bytes, and the decoder wants more");
}

static void check_state(const struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;

    require(!(s->rflags & ~(uint64_t)(RFLAGS_VALID | FLAG_1)) && (s->rflags & FLAG_1),
            "RFLAGS has bits that don't exist");
    require(!(s->cr0 & CR0_PG) || (s->cr0 & CR0_PE), "paging without protection");
    require(!(s->efer & EFER_LMA) == !((s->efer & EFER_LME) && (s->cr0 & CR0_PG)),
            "EFER.LMA is not LME and paging");
    require(!(s->efer & EFER_LMA) || (s->cr4 & CR4_PAE), "long mode without PAE");
    require(!(s->efer & EFER_LMA) || !(s->rflags & FLAG_VM), "virtual-8086 mode in long mode");
    require(!(s->rflags & FLAG_VM) || s->cpl == 3, "virtual-8086 mode at another CPL");
    require((s->cr0 & CR0_PE) || s->cpl == 0, "real mode at another CPL");
    require(!(s->mxcsr & ~0xffffu), "MXCSR has bits that don't exist");
    require(s->cpl <= 3 && s->activity <= CPU_WAIT_SIPI, "CPL or activity out of range");
    require(cpu->long64 || s->rip <= UINT32_MAX, "RIP beyond 32 bits outside 64-bit mode");
    require(cpu->fault.vector == -1 && !cpu->in_delivery, "an exception was left undelivered");
    for (unsigned n = 0; n < 16; n++)
        require(cpu->small[n] == n, "a constant was written");
}

static void run(struct fuzz_machine *m, const uint8_t *input, size_t size)
{
    struct cpu *cpu = fuzz_cpu(m);
    enum cpu_exit exit = CPU_EXIT_KICK;

    for (unsigned n = 0; n < SLICES && exit != CPU_EXIT_SHUTDOWN; n++) {
        uint64_t before = cpu->retired;

        if (input[1] & FUZZ_EVENTS)
            fuzz_event(m, input[FUZZ_HEADER + (n * 7 + input[4]) % (size - FUZZ_HEADER)] + n);
        if (input[1] & FUZZ_STEPS) {
            for (unsigned k = 0; k < 16 && exit == CPU_EXIT_KICK; k++)
                exit = cpu_step(cpu);
        } else {
            exit = cpu_run(cpu, INSTRUCTIONS / SLICES);
        }
        require(cpu->retired - before <= 2 * INSTRUCTIONS, "the budget of instructions was passed by far");
        cpu_pull(cpu);
        check_state(cpu);
        if (exit == CPU_EXIT_HALT && !(input[1] & FUZZ_EVENTS))
            break;
    }
}

static void tick(int signal)
{
    (void)signal;
    if (++running.ticks > PATIENCE)
        cpu_kick(running.cpu);
}

static struct fuzz_machine *start(void)
{
    struct fuzz_machine *m = fuzz_machine_new();
    struct itimerval timer = {{0, TICK_US}, {0, TICK_US}};

    if (!m)
        broken("no memory for the machine");
    running.cpu = fuzz_cpu(m);
    sigaction(SIGVTALRM, &(struct sigaction){.sa_handler = tick, .sa_flags = SA_RESTART}, NULL);
    setitimer(ITIMER_VIRTUAL, &timer, NULL);
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_machine *m; /* for all inputs: making one takes long */
    size_t code;

    if (size < FUZZ_HEADER + 1)
        return 0;
    if (!m)
        m = start();
    running.ticks = 0;
    code = fuzz_code_start(data, size);
    for (uint32_t mode = SIZE_W; mode <= SIZE_Q; mode++)
        for (size_t at = code; at < size && at < code + 2; at++)
            check_decoder(fuzz_cpu(m), mode, data + at, size - at);
    fuzz_prepare(m, data, size);
    run(m, data, size);
    return 0;
}
