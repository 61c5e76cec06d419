/*
 * test_gdb.c - GDB's protocol: framing, the tables of registers, and a session over a processor without a
 * machine.
 */
#include "debug/gdb.h"
#include "tests/unit/cpu_rig.h"

/* --- Framing -------------------------------------------------------------------------------------- */

static enum gdb_event feed(struct gdb_reader *r, const char *bytes, size_t size)
{
    enum gdb_event last = GDB_NOTHING;

    for (size_t n = 0; n < size; n++) {
        ck_assert_int_eq(last, GDB_NOTHING); /* nothing before the last byte */
        last = gdb_receive(r, (uint8_t)bytes[n]);
    }
    return last;
}
#define FEED(r, text) feed(r, text, sizeof(text) - 1)

START_TEST(packets_are_taken_apart)
{
    struct gdb_reader r = {0};

    ck_assert_int_eq(FEED(&r, "$m1000,4#8e"), GDB_PACKET);
    ck_assert_str_eq(r.data, "m1000,4");
    ck_assert_uint_eq(r.size, 7);
    ck_assert_int_eq(FEED(&r, "$m1000,4#8f"), GDB_BAD);
    ck_assert_int_eq(FEED(&r, "$m1000,4#x8"), GDB_BAD);
    ck_assert_int_eq(FEED(&r, "+"), GDB_ACK);
    ck_assert_int_eq(FEED(&r, "-"), GDB_NAK);
    ck_assert_int_eq(FEED(&r, "\x03"), GDB_INTERRUPT);
    ck_assert_int_eq(FEED(&r, "nonsense"), GDB_NOTHING);
    ck_assert_int_eq(FEED(&r, "$cut off$?#3f"), GDB_PACKET);
    ck_assert_str_eq(r.data, "?");
    ck_assert_int_eq(FEED(&r, "$#00"), GDB_PACKET);
    ck_assert_uint_eq(r.size, 0);
}
END_TEST

/* The protocol's escape: '}' and the byte with bit 5 turned over. The checksum is of what is sent. */
START_TEST(escapes_are_undone)
{
    struct gdb_reader r = {0};
    struct gdb_writer w;
    uint8_t all[256];

    ck_assert_int_eq(FEED(&r, "$X0,1:}\x03#9f"), GDB_PACKET);
    ck_assert_uint_eq(r.size, 6);
    ck_assert_int_eq(r.data[5], '#');
    ck_assert_int_eq(FEED(&r, "$X}#d5"), GDB_BAD); /* an escape of nothing */

    for (unsigned n = 0; n < sizeof(all); n++)
        all[n] = (uint8_t)n;
    gdb_begin(&w);
    ck_assert_uint_eq(gdb_put_binary(&w, all, sizeof(all)), sizeof(all));
    gdb_end(&w);
    ck_assert_uint_eq(w.size, 1 + sizeof(all) + 4 + 3); /* # $ * } are escaped */
    ck_assert_int_eq(feed(&r, w.data, w.size), GDB_PACKET);
    ck_assert_uint_eq(r.size, sizeof(all));
    ck_assert_mem_eq(r.data, all, sizeof(all));
}
END_TEST

START_TEST(sizes_are_bounded)
{
    static char big[GDB_PACKET_SIZE + 8];
    static struct gdb_reader r;
    static struct gdb_writer w;
    uint8_t data[GDB_PACKET_SIZE] = {0};

    memset(big, 'a', sizeof(big));
    big[0] = '$';
    ck_assert_int_eq(feed(&r, big, sizeof(big)), GDB_NOTHING);
    ck_assert_int_eq(FEED(&r, "#00"), GDB_BAD);
    ck_assert_int_eq(FEED(&r, "$?#3f"), GDB_PACKET);

    gdb_begin(&w);
    gdb_put_hex(&w, data, sizeof(data) / 2);
    ck_assert(!w.full);
    gdb_put(&w, "a");
    ck_assert(w.full);
    gdb_end(&w);
    ck_assert_uint_eq(w.size, GDB_PACKET_SIZE + 4);
    ck_assert_int_eq(feed(&r, w.data, w.size), GDB_PACKET);
}
END_TEST

START_TEST(numbers_are_read)
{
    const char *text = "ffffffffffffffff,1", *large = "10000000000000000", *none = ",";
    uint64_t value;
    uint8_t bytes[4];

    ck_assert(gdb_get_number(&text, &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    ck_assert_int_eq(*text, ',');
    ck_assert(!gdb_get_number(&large, &value));
    ck_assert(!gdb_get_number(&none, &value));
    ck_assert_uint_eq(gdb_get_hex("12aBf", bytes, 4), 2);
    ck_assert_uint_eq(bytes[1], 0xab);
}
END_TEST

/* --- Registers ------------------------------------------------------------------------------------ */

/* Number and bits of a register in the description, which is what GDB goes by. */
static unsigned described(enum gdb_arch arch, const char *name, unsigned *bits)
{
    char *text = gdb_target_description(arch), pattern[60];
    unsigned n = 0;
    const char *at;

    ck_assert_ptr_nonnull(text);
    snprintf(pattern, sizeof(pattern), "<reg name=\"%s\" bitsize=\"", name);
    at = strstr(text, pattern);
    ck_assert_msg(at != NULL, "no register %s", name);
    ck_assert_int_eq(sscanf(at + strlen(pattern), "%u\" type=\"%*[^\"]\" regnum=\"%u\"", bits, &n), 2);
    free(text);
    return n;
}

START_TEST(descriptions_fit_the_packet)
{
    for (unsigned arch = 0; arch < GDB_ARCHS; arch++) {
        char *text = gdb_target_description(arch), *at = text;
        unsigned count = 0, bits, n;
        size_t size = 0;

        for (; (at = strstr(at, "<reg name=\"")); at++, count++) {
            ck_assert_int_eq(
                sscanf(at, "<reg name=\"%*[^\"]\" bitsize=\"%u\" type=\"%*[^\"]\" regnum=\"%u\"", &bits, &n),
                2);
            ck_assert_uint_eq(n, count);
            ck_assert_uint_eq(bits, 8 * gdb_register_size(arch, n));
            size += bits / 8;
        }
        ck_assert_uint_eq(count, gdb_register_count(arch));
        ck_assert_uint_lt(2 * size, GDB_PACKET_SIZE);
        free(text);
    }
}
END_TEST

START_TEST(registers_keep_what_is_written)
{
    static const char *const plain[] = {"rax",   "r15",   "rip", "fs_base", "ss_base", "xmm0",
                                        "xmm15", "ymm7h", "cr2", "dr3",     "st3"};
    struct rig *r = rig_new(NULL, 0);
    uint8_t in[GDB_REGISTER_MAX], out[GDB_REGISTER_MAX];

    rig_long_mode(r);
    for (unsigned n = 0; n < sizeof(plain) / sizeof(plain[0]); n++) {
        unsigned bits, number = described(GDB_X86_64, plain[n], &bits);

        for (unsigned k = 0; k < sizeof(in); k++)
            in[k] = (uint8_t)(17 * n + k + 1);
        ck_assert(gdb_register_set(GDB_X86_64, r->cpu, number, in));
        ck_assert_uint_eq(gdb_register_get(GDB_X86_64, r->cpu, number, out), bits / 8);
        ck_assert_mem_eq(in, out, bits / 8);
    }
    rig_free(r);
}
END_TEST

START_TEST(nonsense_in_registers_is_dropped)
{
    static const char *const refused[] = {"cr0", "cr4", "efer", "cr8", "gdt_base", "tr"};
    struct rig *r = rig_new(NULL, 0);
    uint8_t ones[GDB_REGISTER_MAX];
    unsigned bits;

    rig_long_mode(r);
    memset(ones, 0xff, sizeof(ones));
    for (unsigned n = 0; n < sizeof(refused) / sizeof(refused[0]); n++)
        ck_assert(!gdb_register_set(GDB_X86_64, r->cpu, described(GDB_X86_64, refused[n], &bits), ones));
    ck_assert(!gdb_register_set(GDB_X86_64, r->cpu, described(GDB_X86_64, "cr3", &bits), ones));
    ck_assert(gdb_register_set(GDB_X86_64, r->cpu, described(GDB_X86_64, "eflags", &bits), ones));
    ck_assert_uint_eq(r->cpu->s.rflags & (FLAG_VM | 8u | 0x8000u), 0);
    ck_assert(gdb_register_set(GDB_X86_64, r->cpu, described(GDB_X86_64, "mxcsr", &bits), ones));
    ck_assert_uint_eq(r->cpu->s.mxcsr, 0xffff);
    ck_assert(gdb_register_set(GDB_X86_64, r->cpu, described(GDB_X86_64, "dr7", &bits), ones));
    ck_assert_uint_eq(r->cpu->s.dr[7], 0xffff27ff);
    /* ES and B follow from flags and masks. */
    r->cpu->s.fcw = 0x37f;
    ck_assert(gdb_register_set(GDB_X86_64, r->cpu, described(GDB_X86_64, "fstat", &bits), ones));
    ck_assert_uint_eq(r->cpu->s.fsw, 0x7f7f);
    rig_free(r);
}
END_TEST

/* What GDB takes for the program counter is linear, CS's base included. */
START_TEST(program_counter_is_linear)
{
    struct rig *r = rig_new(NULL, 0);
    uint8_t value[GDB_REGISTER_MAX];
    unsigned bits, pc = described(GDB_X86_64, "rip", &bits), ip = described(GDB_X86_64, "ip", &bits);
    uint64_t got;

    ck_assert_uint_eq(gdb_pc(&r->cpu->s), 0xfffffff0); /* after reset */
    r->cpu->s.seg[CS].base = 0x7c00;
    got = 0x7c10;
    memcpy(value, &got, 8);
    ck_assert(gdb_register_set(GDB_X86_64, r->cpu, pc, value));
    ck_assert_uint_eq(r->cpu->s.rip, 0x10);
    gdb_register_get(GDB_X86_64, r->cpu, ip, value);
    memcpy(&got, value, 8);
    ck_assert_uint_eq(got, 0x10);
    ck_assert_uint_eq(described(GDB_I386, "eip", &bits), 8); /* as GDB numbers them */
    ck_assert_uint_eq(bits, 32);
    ck_assert_uint_eq(pc, 16);
    rig_free(r);
}
END_TEST

/* --- A session ------------------------------------------------------------------------------------ */

struct talk {
    struct rig *rig;
    struct cpu *cpus[1];
    struct gdb gdb;
    struct gdb_target target;
    struct gdb_reader answer;
    char last[2000]; /* the last answer, without its frame */
    bool running, step, stops_changed;
};

static void take(void *opaque, const void *data, size_t size)
{
    struct talk *t = opaque;

    for (size_t n = 0; n < size; n++)
        if (gdb_receive(&t->answer, ((const uint8_t *)data)[n]) == GDB_PACKET)
            snprintf(t->last, sizeof(t->last), "%.*s", (int)t->answer.size, t->answer.data);
}

static void let_run(void *opaque, unsigned cpu, bool step)
{
    struct talk *t = opaque;

    ck_assert_uint_eq(cpu, 0);
    t->running = true;
    t->step = step;
}

static void push(void *opaque, unsigned cpu)
{
    (void)cpu;
    cpu_push(((struct talk *)opaque)->rig->cpu);
}

static struct talk *new_talk(void)
{
    static const uint8_t code[] = {0xff, 0x03, 0x90, 0xeb, 0xfb}; /* inc dword [rbx]; nop; jmp back */
    struct talk *t = calloc(1, sizeof(*t));

    t->rig = rig_new(NULL, 0);
    rig_long_mode(t->rig);
    t->rig->cpu->s.gpr[RBX] = 0x3000;
    bus_write_block(t->rig->memory, RIG_CODE, code, sizeof(code));
    t->cpus[0] = t->rig->cpu;
    t->target = (struct gdb_target){
        .opaque = t, .cpus = t->cpus, .cpu_count = 1, .send = take, .resume = let_run, .changed = push};
    gdb_open(&t->gdb, &t->target);
    return t;
}

static void free_talk(struct talk *t)
{
    gdb_close(&t->gdb);
    rig_free(t->rig);
    free(t);
}

/* Sends a packet, runs what it lets run; the answer. */
static const char *ask(struct talk *t, const char *text)
{
    struct cpu_stopped hits[4];
    struct gdb_writer w;
    enum cpu_exit exit;

    gdb_begin(&w);
    gdb_put(&w, text);
    gdb_end(&w);
    snprintf(t->last, sizeof(t->last), "(none)");
    gdb_receive_bytes(&t->gdb, (const uint8_t *)w.data, w.size);
    while (t->running) {
        t->running = false;
        exit = t->step ? cpu_step_over(t->rig->cpu) : cpu_run(t->rig->cpu, 100000);
        cpu_pull(t->rig->cpu);
        gdb_stopped(&t->gdb, 0,
                    t->step                    ? GDB_STEPPED
                    : exit == CPU_EXIT_STOPPED ? GDB_STOP
                                               : GDB_ASKED,
                    hits, exit == CPU_EXIT_STOPPED ? cpu_stopped(t->rig->cpu, hits, 4) : 0);
    }
    return t->last;
}

START_TEST(sessions_answer)
{
    struct talk *t = new_talk();

    ck_assert_str_eq(ask(t, "?"), "T05thread:1;");
    ck_assert_ptr_nonnull(strstr(ask(t, "qSupported:swbreak+"), "PacketSize=4000;"));
    ck_assert_str_eq(ask(t, "m1000,5"), "ff0390ebfb");
    ck_assert_str_eq(ask(t, "m1fffff,4"), "00"); /* up to what is there */
    ck_assert_str_eq(ask(t, "m800000000000,1"), "E0e");
    ck_assert_str_eq(ask(t, "M3000,2:1234"), "OK");
    ck_assert_uint_eq(bus_read(t->rig->memory, 0x3000, 2), 0x3412);
    ck_assert_str_eq(ask(t, "M3000,3:1234"), "E01");
    ck_assert_str_eq(ask(t, "p10"), "0010000000000000");
    ck_assert_str_eq(ask(t, "P0=efcdab8967452301"), "OK");
    ck_assert_uint_eq(t->rig->cpu->s.gpr[RAX], 0x0123456789abcdef);
    ck_assert_str_eq(ask(t, "vCont?"), "vCont;c;C;s;S;r");
    ck_assert_str_eq(ask(t, "qfThreadInfo"), "m1");
    ck_assert_str_eq(ask(t, "vMustReplyEmpty"), "");
    ck_assert_str_eq(ask(t, "Z7,0,0"), "");
    free_talk(t);
}
END_TEST

START_TEST(sessions_stop)
{
    struct talk *t = new_talk();

    ask(t, "qSupported:swbreak+;hwbreak+");
    ck_assert_str_eq(ask(t, "Z0,1002,1"), "OK");
    ck_assert_str_eq(ask(t, "vCont;c"), "T05thread:1;swbreak:;");
    ck_assert_uint_eq(t->rig->cpu->s.rip, RIG_CODE + 2);
    ck_assert_str_eq(ask(t, "Z1,1002,1"), "OK"); /* another one: its removal leaves the first */
    ck_assert_str_eq(ask(t, "z1,1002,1"), "OK");
    ck_assert_str_eq(ask(t, "c"), "T05thread:1;swbreak:;");
    ck_assert_uint_eq(bus_read(t->rig->memory, 0x3000, 4), 2);
    ck_assert_str_eq(ask(t, "z0,1002,1"), "OK");
    ck_assert_str_eq(ask(t, "s"), "T05thread:1;");
    ck_assert_uint_eq(t->rig->cpu->s.rip, RIG_CODE + 3);
    ck_assert_str_eq(ask(t, "vCont;r1000,1002:1"),
                     "T05thread:1;"); /* not in the range, then not in it any more */
    ck_assert_uint_eq(t->rig->cpu->s.rip, RIG_CODE + 2);
    ck_assert_str_eq(ask(t, "Z2,3002,1"), "OK");
    ck_assert_str_eq(ask(t, "vCont;c:1"), "T05thread:1;watch:3002;");
    ck_assert_uint_eq(t->rig->cpu->s.rip, RIG_CODE + 2);
    ck_assert_str_eq(ask(t, "z2,3002,1"), "OK");
    ck_assert_str_eq(ask(t, "Z3,3000,4"), "OK");
    ck_assert_str_eq(ask(t, "c"), "T05thread:1;rwatch:3000;");
    ck_assert_str_eq(ask(t, "z3,3000,4"), "OK");
    ck_assert(!cpu_has_stops(t->rig->cpu));
    ck_assert_str_eq(ask(t, "c"), "T02thread:1;"); /* the test's own interruption */
    ck_assert_str_eq(ask(t, "Z0,1000,1"), "OK");
    ck_assert_str_eq(ask(t, "D"), "OK");
    ck_assert(!cpu_has_stops(t->rig->cpu));
    free_talk(t);
}
END_TEST

/* Code that GDB writes runs, though what was there had been decoded. */
START_TEST(written_code_runs)
{
    struct talk *t = new_talk();

    ask(t, "c");
    ck_assert_uint_gt(bus_read(t->rig->memory, 0x3000, 4), 100);
    ck_assert_str_eq(ask(t, "M1000,2:ff0b"), "OK"); /* dec dword [rbx] */
    ck_assert_str_eq(ask(t, "M3000,4:00000000"), "OK");
    ask(t, "c");
    ck_assert_uint_gt(bus_read(t->rig->memory, 0x3000, 4), 0x80000000);
    free_talk(t);
}
END_TEST

Suite *gdb_suite(void)
{
    Suite *s = suite_create("gdb");
    TCase *t = tcase_create("gdb");

    tcase_add_test(t, packets_are_taken_apart);
    tcase_add_test(t, escapes_are_undone);
    tcase_add_test(t, sizes_are_bounded);
    tcase_add_test(t, numbers_are_read);
    tcase_add_test(t, descriptions_fit_the_packet);
    tcase_add_test(t, registers_keep_what_is_written);
    tcase_add_test(t, nonsense_in_registers_is_dropped);
    tcase_add_test(t, program_counter_is_linear);
    tcase_add_test(t, sessions_answer);
    tcase_add_test(t, sessions_stop);
    tcase_add_test(t, written_code_runs);
    suite_add_tcase(s, t);
    return s;
}
