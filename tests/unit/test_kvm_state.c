/*
 * test_kvm_state.c - KVM as an engine, on a processor without a machine: what goes through push() and pull()
 * comes back bit for bit in every mode, and short programs do what they do under the software CPU.
 */
#include <pthread.h>

#include "accel/kvm_internal.h"
#include "tests/unit/cpu_rig.h"

static struct rig *r;
static const struct engine *kvm;
static uint64_t seed;

static void setup(void)
{
    char why[400];

    kvm = engine_pick("kvm", why, sizeof(why));
    ck_assert_msg(kvm, "%s", why);
    r = rig_new(NULL, kvm->tsc_hz());
    r->log.enabled = getenv("V") ? 15 : 0;
    ck_assert_msg(kvm->attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
}

static void teardown(void)
{
    kvm->detach(r->cpu);
    rig_free(r);
}

static uint64_t any(void)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint64_t canonical_any(void)
{
    return (uint64_t)((int64_t)(any() << 16) >> 16);
}

/* Everything that has no bearing on whether the state is a possible one. */
static void scramble(struct cpu_state *s)
{
    const uint64_t flags =
        FLAGS_ARITH | FLAG_IF | FLAG_DF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID | FLAG_IOPL;

    for (unsigned n = 0; n < 16; n++)
        s->gpr[n] = any();
    s->rip = any() & 0xffff;
    s->rflags = FLAG_1 | (any() & flags);
    s->cr2 = any();
    for (unsigned n = 0; n < 4; n++)
        s->dr[n] = canonical_any();
    s->dr[6] = 0xffff0ff0 | (any() & 0xe00f);
    s->star = any();
    s->lstar = canonical_any();
    s->cstar = canonical_any();
    s->sfmask = (uint32_t)any();
    s->kernel_gs_base = canonical_any();
    s->sysenter_cs = (uint32_t)any();
    s->sysenter_esp = canonical_any();
    s->sysenter_eip = canonical_any();
    s->pat = 0x0007010600070406ull;
    s->tsc_aux = (uint32_t)any();
    s->gdtr = (struct table_reg){canonical_any(), (uint16_t)any()};
    s->idtr = (struct table_reg){canonical_any(), (uint16_t)any()};
    s->fcw = (uint16_t)(0x40 | (any() & 0xf3f));
    s->fsw = (uint16_t)any() & 0x7f00;
    s->fptag = (uint8_t)any();
    s->fop = any() & 0x7ff;
    s->fip = canonical_any();
    s->fdp = canonical_any();
    s->mxcsr = 0x1f80 | (any() & 0x803f);
    for (unsigned n = 0; n < 8; n++)
        s->st[n] = (struct f80){any(), (uint16_t)any()};
    for (unsigned n = 0; n < 16; n++)
        for (unsigned k = 0; k < 2; k++)
            s->zmm[n].u64[k] = any();
    s->mtrr_def_type = 0xc06; /* what has no place in the kernel */
    s->mc_ctl[3] = any();
}

/* Through the kernel and back, with everything here wiped in between. False: it won't have this state. */
static bool round_trip(void)
{
    struct cpu_state *s = cpu_state(r->cpu), before, after;
    char where[200] = "";
    bool same;

    cpu_push(r->cpu);
    cpu_pull(r->cpu);
    before = *s;
    kvm->push(r->cpu);
    s->rip = 0x5555;
    kvm->pull(r->cpu);
    if (s->rip == 0x5555)
        return false;
    kvm->push(r->cpu);
    /* Only what the kernel has is to come from there. */
    memset(s->gpr, 0x55, sizeof(s->gpr));
    memset(s->seg, 0x55, sizeof(s->seg));
    memset(s->st, 0x55, sizeof(s->st));
    for (unsigned n = 0; n < 16; n++)
        memset(&s->zmm[n], 0x55, 16);
    s->rip = s->rflags = s->cr0 = s->cr2 = s->cr3 = s->cr4 = s->efer = s->star = s->lstar = s->pat = 0x5555;
    s->dr[0] = s->dr[7] = s->kernel_gs_base = s->mxcsr = s->fcw = s->cpl = s->shadow = s->nmi_blocked = 0x55;
    kvm->pull(r->cpu);
    after = *s;
    if (!kvm->tsc_now()) /* the clock stands here, and not the kernel's */
        ck_assert_uint_le(after.tsc_offset - before.tsc_offset + 100000000, 200000000);
    after.tsc_offset = before.tsc_offset;
    same = fields_equal(cpu_state_fields, &before, &after, where, sizeof(where));
    ck_assert_msg(same, "%s differs", where);
    *s = after;
    return true;
}

START_TEST(state_of_long_mode)
{
    static const uint16_t selectors[4] = {0x10, 0x13, 0x10, 0x13};

    for (seed = 1; seed < 40; seed += 1) {
        struct cpu_state *s = cpu_state(r->cpu);
        unsigned cpl = seed & 1 ? 3 : 0;

        rig_long_mode(r);
        scramble(s);
        for (unsigned n = 0; n < SEG_COUNT; n++) {
            s->seg[n].limit = UINT32_MAX;
            s->seg[n].attr =
                SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_G | SEG_DB | cpl << SEG_DPL_SHIFT;
            s->seg[n].selector = selectors[cpl];
        }
        s->seg[CS].attr =
            SEG_P | SEG_S | SEG_CODE | SEG_READABLE | SEG_ACCESSED | SEG_L | SEG_G | cpl << SEG_DPL_SHIFT;
        s->seg[CS].selector = (uint16_t)(8 | cpl);
        s->seg[FS].base = canonical_any();
        s->seg[GS].base = canonical_any();
        s->tr = (struct segment){.base = 0x7000, .limit = 0x67, .attr = SEG_P | 11, .selector = 0x28};
        s->cpl = (uint8_t)cpl;
        s->efer |= EFER_SCE | EFER_NXE;
        s->cr4 |= CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
        ck_assert(round_trip());
    }
}
END_TEST

START_TEST(state_of_real_mode)
{
    for (seed = 100; seed < 120; seed++) {
        struct cpu_state *s = cpu_state(r->cpu);

        rig_real_mode(r);
        scramble(s);
        for (unsigned n = 0; n < SEG_COUNT; n++) {
            s->seg[n].selector = (uint16_t)any();
            s->seg[n].base = (uint64_t)s->seg[n].selector << 4;
        }
        s->rflags &= ~(uint64_t)FLAG_RF;
        ck_assert(round_trip());
    }
}
END_TEST

/* PAE paging has registers of its own: what is in memory by now doesn't count. */
START_TEST(pdpte_registers)
{
    struct cpu_state *s;

    s = cpu_state(r->cpu);
    rig_long_mode(r);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        s->seg[n] = (struct segment){.limit = UINT32_MAX,
                                     .selector = 0x10,
                                     .attr = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_G | SEG_DB};
    s->seg[CS].attr |= SEG_CODE;
    s->efer = 0;
    s->cr3 = 0x20;
    for (unsigned n = 0; n < 4; n++) {
        s->pdpte[n] = 0x1000u * (n + 1) | 1;
        rig_put64(r, 0x20 + 8 * n, 0x100000u + 0x1000u * n + 1);
    }
    ck_assert(round_trip() || kvm->user_only()); /* some such hosts know no paging but long mode's */
}
END_TEST

START_TEST(between_instructions)
{
    static const struct {
        uint8_t shadow, nmi_blocked, nmi_pending, event, type, vector, has_error;
        uint32_t error;
    } rows[] = {
        {1, 0, 0, 0, 0, 0, 0, 0},
        {2, 0, 0, 0, 0, 0, 0, 0},
        {0, 1, 0, 0, 0, 0, 0, 0},
        {0, 1, 1, 0, 0, 0, 0, 0},
        {0, 0, 0, 1, EVENT_INTERRUPT, 0x41, 0, 0},
        {0, 0, 0, 1, EVENT_EXCEPTION, EX_PF, 1, 6},
        {0, 0, 0, 1, EVENT_EXCEPTION, EX_DE, 0, 0},
        {0, 1, 0, 1, EVENT_NMI, EX_NMI, 0, 0},
    };

    for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
        struct cpu_state *s = cpu_state(r->cpu);

        rig_long_mode(r);
        s->shadow = rows[n].shadow;
        s->nmi_blocked = rows[n].nmi_blocked;
        s->nmi_pending = rows[n].nmi_pending;
        s->event_pending = rows[n].event;
        s->event_type = rows[n].type;
        s->event_vector = rows[n].vector;
        s->event_has_error = rows[n].has_error;
        s->event_error = rows[n].error;
        ck_assert(round_trip());
        s->event_pending = 0;
    }
}
END_TEST

/* --- Running
 * ------------------------------------------------------------------------------------------------- */

/* The code, then HLT; in 64-bit mode at CPL 0, a second away from the test's time limit at most. */
static enum cpu_exit run_code(const uint8_t *code, unsigned size)
{
    enum cpu_exit exit;

    memcpy(r->ram + RIG_CODE, code, size);
    r->ram[RIG_CODE + size] = 0xf4;
    kvm->push(r->cpu);
    exit = kvm->run(r->cpu, 1000);
    kvm->pull(r->cpu);
    return exit;
}
#define RUN_KVM(...) run_code((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

START_TEST(ports_and_halt)
{
    struct cpu_state *s;

    s = cpu_state(r->cpu);
    rig_long_mode(r);
    r->next_read = 7;
    /* mov dx, 0x100; in al, dx; add al, 35; out dx, al; lea rcx, [rax + 1] */
    ck_assert_int_eq(RUN_KVM(0x66, 0xba, 0x00, 0x01, 0xec, 0x04, 35, 0xee, 0x48, 0x8d, 0x48, 0x01),
                     CPU_EXIT_HALT);
    ck_assert_uint_eq(r->written_count, 1);
    ck_assert_uint_eq(r->written[0], 42);
    ck_assert_uint_eq(s->gpr[RCX] & 0xff, 43);
    ck_assert_uint_eq(s->rip, RIG_CODE + 13);
    ck_assert_int_eq(s->activity, CPU_HALTED);
}
END_TEST

/* lock cmpxchg16b, which not every KVM can do at CPL 0. */
START_TEST(what_kvm_cannot)
{
    struct cpu_state *s;

    s = cpu_state(r->cpu);
    rig_long_mode(r);
    rig_put64(r, 0x3000, 11);
    rig_put64(r, 0x3008, 12);
    s->gpr[RDI] = 0x3000;
    s->gpr[RAX] = 11;
    s->gpr[RDX] = 12;
    s->gpr[RBX] = 21;
    s->gpr[RCX] = 22;
    ck_assert_int_eq(RUN_KVM(0xf0, 0x48, 0x0f, 0xc7, 0x0f), CPU_EXIT_HALT);
    ck_assert_uint_eq(r->ram[0x3000], 21);
    ck_assert_uint_eq(r->ram[0x3008], 22);
    ck_assert_uint_ne(s->rflags & FLAG_ZF, 0);
}
END_TEST

/* Registers that the kernel doesn't have are those of the software CPU; MTRR_DEF_TYPE is one. */
START_TEST(msrs_by_exits)
{
    struct cpu_state *s;

    s = cpu_state(r->cpu);
    rig_long_mode(r);
    s->gpr[RCX] = 0x2ff;
    s->gpr[RAX] = 0xc06;
    s->gpr[RDX] = 0;
    /* wrmsr; xor eax, eax; rdmsr; mov ebx, eax */
    ck_assert_int_eq(RUN_KVM(0x0f, 0x30, 0x31, 0xc0, 0x0f, 0x32, 0x89, 0xc3), CPU_EXIT_HALT);
    ck_assert_uint_eq(s->mtrr_def_type, 0xc06);
    ck_assert_uint_eq(s->gpr[RBX], 0xc06);
    /* The APIC's base, which CPUID goes by: mov ecx, 0x1b; rdmsr; and ah, 0xf7; wrmsr; mov eax, 1; cpuid; mov
     * esi, edx */
    rig_long_mode(r);
    s->activity = CPU_RUNNING;
    ck_assert_int_eq(RUN_KVM(0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x80, 0xe4, 0xf7, 0x0f, 0x30, 0xb8, 1, 0, 0, 0,
                             0x0f, 0xa2, 0x89, 0xd6),
                     CPU_EXIT_HALT);
    ck_assert_uint_eq(r->apic_base, 0xfee00100);
    ck_assert_uint_eq(s->gpr[RSI] & 1u << 9, 0);
    if (kvm->tsc_now())
        return;
    rig_long_mode(r);
    s->activity = CPU_RUNNING;
    s->gpr[RCX] = 0x10;
    s->gpr[RAX] = 0x1000;
    s->gpr[RDX] = 0x12345;
    ck_assert_int_eq(RUN_KVM(0x0f, 0x30, 0x0f, 0x31, 0x89, 0xd3),
                     CPU_EXIT_HALT); /* wrmsr; rdtsc; mov ebx, edx */
    ck_assert_uint_ge(s->gpr[RBX], 0x12345);
    ck_assert_uint_le(s->gpr[RBX], 0x12350);
}
END_TEST

/* Who watches RAM hears of what the guest wrote, and of nothing else. */
START_TEST(written_pages)
{
    struct region *ram = bus_first(r->memory);

    rig_long_mode(r);
    bus_collect_written(ram);
    for (uint64_t page = 0; page < RIG_RAM / BUS_PAGE; page++)
        bus_take_dirty(ram, page);
    /* mov byte [0x30000], 1 */
    ck_assert_int_eq(RUN_KVM(0xc6, 0x04, 0x25, 0x00, 0x00, 0x03, 0x00, 0x01), CPU_EXIT_HALT);
    bus_collect_written(ram);
    ck_assert(bus_take_dirty(ram, 0x30));
    ck_assert(!bus_take_dirty(ram, 0x31));
    bus_collect_written(ram);
    ck_assert(!bus_take_dirty(ram, 0x30));
}
END_TEST

/* ROM is read and executed in place, and writes to it are lost; where nothing is, all ones are read. */
START_TEST(rom_and_nothing)
{
    struct cpu_state *s = cpu_state(r->cpu);
    uint8_t *rom = aligned_alloc(4096, 4096);

    memset(rom, 0x77, 4096);
    ck_assert(bus_map_rom(r->memory, "rom", 0x100000, 4096, rom));
    region_set(bus_first(r->memory)->next, 0x100000, true, 1);
    rig_long_mode(r);
    rig_put64(r, RIG_PT + 8 * 0x101, 0x7ff00000 | 3); /* nothing there */
    /* mov byte [0x100010], 1; mov ebx, [0x100010]; mov ecx, [0x101000] */
    ck_assert_int_eq(RUN_KVM(0xc6, 0x04, 0x25, 0x10, 0x00, 0x10, 0x00, 0x01, 0x8b, 0x1c, 0x25, 0x10, 0x00,
                             0x10, 0x00, 0x8b, 0x0c, 0x25, 0x00, 0x10, 0x10, 0x00),
                     CPU_EXIT_HALT);
    ck_assert_uint_eq(s->gpr[RBX], 0x77777777);
    ck_assert_uint_eq(rom[0x10], 0x77);
    ck_assert_uint_eq(s->gpr[RCX], UINT32_MAX);
    kvm->detach(r->cpu);
    region_set(bus_first(r->memory)->next, 0x100000, false, 1);
    free(rom);
}
END_TEST

static void *kick(void *opaque)
{
    (void)opaque;
    kvm->kick(r->cpu);
    return NULL;
}

/* A loop without end is left by a kick, whenever it comes; Check's time limit catches the one that is lost.
 */
START_TEST(kicks_arrive)
{
    rig_long_mode(r);
    memcpy(r->ram + RIG_CODE, "\xeb\xfe", 2);
    kvm->push(r->cpu);
    for (unsigned n = 0; n < 100; n++) {
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, kick, NULL), 0);
        ck_assert_int_eq(kvm->run(r->cpu, 1000), CPU_EXIT_KICK);
        pthread_join(thread, NULL);
    }
}
END_TEST

/* From engine to engine in the midst of a loop. */
START_TEST(swaps)
{
    struct cpu_state *s;
    char why[200];

    s = cpu_state(r->cpu);
    rig_long_mode(r);
    s->gpr[RCX] = 3000000;
    s->gpr[RAX] = 0;
    memcpy(r->ram + RIG_CODE, "\x48\x01\xc8\x48\xff\xc9\x75\xf8\xf4",
           9); /* add rax, rcx; dec rcx; jnz; hlt */
    for (unsigned n = 0; s->activity == CPU_RUNNING && n < 10000; n++) {
        cpu_push(r->cpu);
        cpu_run(r->cpu, 100000);
        cpu_pull(r->cpu);
        if (s->activity != CPU_RUNNING)
            break;
        ck_assert_msg(kvm->attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
        kvm->push(r->cpu);
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, kick, NULL), 0);
        kvm->run(r->cpu, 1000);
        pthread_join(thread, NULL);
        kvm->pull(r->cpu);
        kvm->detach(r->cpu);
    }
    ck_assert_int_eq(s->activity, CPU_HALTED);
    ck_assert_uint_eq(s->gpr[RAX], 3000000ull * 3000001 / 2);
}
END_TEST

/* again: nop; inc rdx; nop; inc rdx; mov cx, 256; jmp again */
static const uint8_t loop[] = {0x90, 0x48, 0xff, 0xc2, 0x90, 0x48, 0xff, 0xc2, 0x66, 0xb9, 0, 1, 0xeb, 0xf2};

static void add_stop(enum cpu_stop_kind kind, uint64_t address)
{
    ck_assert(cpu_stop_add(r->cpu, &(struct cpu_stop){.kind = kind, .address = address, .size = 1, .owner = loop}));
}

/* In kernel code alone, if user code has none: the probe's verdict is for all code. */
START_TEST(breakpoints)
{
    struct kvm *engine = cpu_get_engine(r->cpu)->data;
    struct cpu_stopped hit;

    if (!kvm_breakpoints_work(0))
        return;
    rig_long_mode(r);
    bus_write_block(r->memory, RIG_CODE, loop, sizeof(loop));
    r->cpu->s.gpr[RDX] = 0;
    kvm->push(r->cpu);
    add_stop(CPU_STOP_EXECUTE, RIG_CODE + 4);
    add_stop(CPU_STOP_EXECUTE, RIG_CODE + 12);
    engine->breakpoints_tried = true;
    engine->breakpoints_work = false;
    ck_assert(!kvm->stops(r->cpu));
    engine->breakpoints_work = true;
    ck_assert(kvm->stops(r->cpu));
    for (unsigned n = 0; n < 20; n++) {
        enum cpu_exit exit;

        do
            exit = kvm->run(r->cpu, 1);
        while (exit == CPU_EXIT_KICK);
        ck_assert_int_eq(exit, CPU_EXIT_STOPPED);
        kvm->pull(r->cpu);
        ck_assert_uint_eq(cpu_stopped(r->cpu, &hit, 1), 1);
        ck_assert_uint_eq(hit.address, RIG_CODE + (n % 2 ? 12 : 4));
        ck_assert_uint_eq(r->cpu->s.rip, hit.address);
        ck_assert_uint_eq(r->cpu->s.gpr[RDX], n + 1);
    }
    ck_assert_uint_ge(engine->stats.exits[KVM_EXIT_DEBUG], 20);
    for (unsigned n = 0; n < 3; n++)
        add_stop(CPU_STOP_EXECUTE, 0x8000 + n);
    ck_assert(!kvm->stops(r->cpu)); /* five */
    cpu_stop_remove_all(r->cpu, loop);
    add_stop(CPU_STOP_PORT, RIG_PORT);
    ck_assert(!kvm->stops(r->cpu));
    cpu_stop_remove_all(r->cpu, loop);
    add_stop(CPU_STOP_EXECUTE, RIG_CODE);
    ck_assert(kvm->stops(r->cpu));
    r->cpu->s.dr[7] |= 1; /* the guest has one itself */
    ck_assert(!kvm->stops(r->cpu));
}
END_TEST

Suite *kvm_state_suite(void);
Suite *kvm_state_suite(void)
{
    Suite *suite = suite_create("kvm_state");
    TCase *tc = tcase_create("kvm");

    tcase_set_tags(tc, "kvm");
    tcase_set_timeout(tc, 20);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, state_of_long_mode);
    tcase_add_test(tc, state_of_real_mode);
    tcase_add_test(tc, pdpte_registers);
    tcase_add_test(tc, between_instructions);
    tcase_add_test(tc, ports_and_halt);
    tcase_add_test(tc, what_kvm_cannot);
    tcase_add_test(tc, msrs_by_exits);
    tcase_add_test(tc, written_pages);
    tcase_add_test(tc, rom_and_nothing);
    tcase_add_test(tc, kicks_arrive);
    tcase_add_test(tc, swaps);
    tcase_add_test(tc, breakpoints);
    suite_add_tcase(suite, tc);
    return suite;
}
