/*
 * gdb.c - the commands of GDB's remote serial protocol (GDB's manual, appendix E); see gdb.h.
 *
 * All-stop: the client asks for something while the CPUs stand still, or lets them run and waits for a stop
 * reply. A thread is a CPU. What isn't known is answered by an empty packet, as the protocol wants it.
 */
#include "debug/gdb.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_INT  2
#define SIGNAL_ILL  4
#define SIGNAL_TRAP 5
#define SIGNAL_ABRT 6
#define SIGNAL_FPE  8
#define SIGNAL_SEGV 11

struct cpu *gdb_cpu(const struct gdb *g)
{
    return g->target->cpus[g->cpu];
}

/* --- Stops ---------------------------------------------------------------------------------------- */

const void *gdb_owner(const struct gdb *g, unsigned n)
{
    return (const char *)g + n;
}

static bool is_mine(const struct gdb *g, const struct cpu_stop *stop)
{
    uintptr_t distance = (uintptr_t)stop->owner - (uintptr_t)g;

    return distance < GDB_OWNERS;
}

static void stops_changed(struct gdb *g)
{
    if (g->target->stops_changed)
        g->target->stops_changed(g->target->opaque);
}

bool gdb_add_stop(struct gdb *g, const struct cpu_stop *stop)
{
    bool fits = true;

    for (unsigned n = 0; n < g->target->cpu_count; n++)
        fits &= cpu_stop_add(g->target->cpus[n], stop);
    return fits;
}

bool gdb_remove_stop(struct gdb *g, const struct cpu_stop *stop)
{
    bool any = false;

    for (unsigned n = 0; n < g->target->cpu_count; n++)
        any |= cpu_stop_remove(g->target->cpus[n], stop);
    return any;
}

static void remove_all_stops(struct gdb *g)
{
    for (unsigned n = 0; n < g->target->cpu_count; n++)
        for (unsigned o = 0; o < GDB_OWNERS; o++)
            cpu_stop_remove_all(g->target->cpus[n], gdb_owner(g, o));
    stops_changed(g);
}

/* --- Replies -------------------------------------------------------------------------------------- */

static void send_reply(struct gdb *g)
{
    g->target->send(g->target->opaque, g->writer.data, g->writer.size);
}

static void reply(struct gdb *g, const char *text)
{
    gdb_begin(&g->writer);
    gdb_put(&g->writer, text);
    gdb_end(&g->writer);
    send_reply(g);
}

/* Errno-like numbers mean nothing to the client; it shows them. */
static void refuse(struct gdb *g, unsigned number)
{
    char text[4];

    snprintf(text, sizeof(text), "E%02x", number & 0xff);
    reply(g, text);
}

#define E_SYNTAX   0x01
#define E_MEMORY   0x0e /* nothing there */
#define E_REGISTER 0x16 /* can't be written */
#define E_ROOM     0x0c

static void done(struct gdb *g)
{
    reply(g, "OK");
}

/* Text for the user's console; only while the client waits for a stop reply. */
static void say(struct gdb *g, const char *text)
{
    gdb_begin(&g->writer);
    gdb_put(&g->writer, "O");
    gdb_put_hex(&g->writer, text, strlen(text));
    gdb_end(&g->writer);
    send_reply(g);
}

/* --- Memory --------------------------------------------------------------------------------------- */

static struct bus *memory_of(const struct gdb *g)
{
    struct cpu_config config;

    cpu_get_config(gdb_cpu(g), &config);
    return config.memory;
}

/* The piece of the page at `address` that is RAM or ROM: its length up to `size`, 0 if there is none. */
static size_t piece(struct gdb *g, struct bus *memory, uint64_t address, size_t size, bool write,
                    uint64_t *physical)
{
    size_t left = BUS_PAGE - (address & (BUS_PAGE - 1));
    struct region *r;
    uint64_t offset;

    *physical = g->physical ? address : cpu_translate(gdb_cpu(g), address);
    r = *physical == UINT64_MAX ? NULL : bus_find(memory, *physical, &offset);
    if (!r || (r->kind != REGION_RAM && (write || r->kind != REGION_ROM)))
        return 0;
    return size < left ? size : left;
}

size_t gdb_read_memory(struct gdb *g, uint64_t address, void *data, size_t size)
{
    struct bus *memory = memory_of(g);
    size_t at = 0, n;
    uint64_t physical;

    for (; at < size && (n = piece(g, memory, address + at, size - at, false, &physical)); at += n)
        bus_read_block(memory, physical, (uint8_t *)data + at, n);
    return at;
}

size_t gdb_write_memory(struct gdb *g, uint64_t address, const void *data, size_t size)
{
    struct bus *memory = memory_of(g);
    size_t at = 0, n;
    uint64_t physical;

    for (; at < size && (n = piece(g, memory, address + at, size - at, true, &physical)); at += n)
        bus_write_block(memory, physical, (const uint8_t *)data + at, n);
    return at;
}

/* "ADDRESS,LENGTH"; false: it isn't. */
static bool get_range(const char **text, uint64_t *address, uint64_t *size)
{
    return gdb_get_number(text, address) && *(*text)++ == ',' && gdb_get_number(text, size);
}

static void read_memory(struct gdb *g, const char *text)
{
    static const size_t most = GDB_PACKET_SIZE / 2;
    uint64_t address, size;
    uint8_t data[GDB_PACKET_SIZE / 2];
    size_t got;

    if (!get_range(&text, &address, &size)) {
        refuse(g, E_SYNTAX);
        return;
    }
    got = gdb_read_memory(g, address, data, size < most ? size : most);
    if (!got && size) {
        refuse(g, E_MEMORY);
        return;
    }
    gdb_begin(&g->writer);
    gdb_put_hex(&g->writer, data, got);
    gdb_end(&g->writer);
    send_reply(g);
}

/* `data` after the colon, `have` bytes of it. */
static void write_memory(struct gdb *g, uint64_t address, uint64_t size, const void *data, size_t have)
{
    if (size != have)
        refuse(g, E_SYNTAX);
    else if (gdb_write_memory(g, address, data, have) != have)
        refuse(g, E_MEMORY);
    else
        done(g);
}

static void write_memory_hex(struct gdb *g, const char *text)
{
    uint8_t data[GDB_PACKET_SIZE / 2];
    uint64_t address, size;

    if (!get_range(&text, &address, &size) || *text++ != ':') {
        refuse(g, E_SYNTAX);
        return;
    }
    write_memory(g, address, size, data, gdb_get_hex(text, data, sizeof(data)));
}

static void write_memory_binary(struct gdb *g, const char *text)
{
    uint64_t address, size;

    if (!get_range(&text, &address, &size) || *text++ != ':') {
        refuse(g, E_SYNTAX);
        return;
    }
    write_memory(g, address, size, text, (size_t)(g->reader.data + g->reader.size - text));
}

/* --- Registers ------------------------------------------------------------------------------------ */

static void changed(struct gdb *g)
{
    if (g->target->changed)
        g->target->changed(g->target->opaque, g->cpu);
}

static void read_registers(struct gdb *g)
{
    uint8_t value[GDB_REGISTER_MAX];

    gdb_begin(&g->writer);
    for (unsigned n = 0; n < gdb_register_count(g->described); n++)
        gdb_put_hex(&g->writer, value, gdb_register_get(g->described, gdb_cpu(g), n, value));
    gdb_end(&g->writer);
    send_reply(g);
}

static void write_registers(struct gdb *g, const char *text)
{
    uint8_t value[GDB_REGISTER_MAX];

    for (unsigned n = 0; n < gdb_register_count(g->described); n++) {
        size_t size = gdb_register_size(g->described, n);

        if (gdb_get_hex(text, value, size) != size)
            break;
        gdb_register_set(g->described, gdb_cpu(g), n, value); /* what can't be written stays */
        text += 2 * size;
    }
    changed(g);
    done(g);
}

static bool get_register_number(struct gdb *g, const char **text, unsigned *n)
{
    uint64_t number;

    if (!gdb_get_number(text, &number) || number >= gdb_register_count(g->described))
        return false;
    *n = (unsigned)number;
    return true;
}

static void read_register(struct gdb *g, const char *text)
{
    uint8_t value[GDB_REGISTER_MAX];
    unsigned n;

    if (!get_register_number(g, &text, &n)) {
        refuse(g, E_SYNTAX);
        return;
    }
    gdb_begin(&g->writer);
    gdb_put_hex(&g->writer, value, gdb_register_get(g->described, gdb_cpu(g), n, value));
    gdb_end(&g->writer);
    send_reply(g);
}

static void write_register(struct gdb *g, const char *text)
{
    uint8_t value[GDB_REGISTER_MAX];
    size_t size;
    unsigned n;

    if (!get_register_number(g, &text, &n) || *text++ != '=') {
        refuse(g, E_SYNTAX);
        return;
    }
    size = gdb_register_size(g->described, n);
    if (gdb_get_hex(text, value, size) != size) {
        refuse(g, E_SYNTAX);
    } else if (!gdb_register_set(g->described, gdb_cpu(g), n, value)) {
        refuse(g, E_REGISTER);
    } else {
        changed(g);
        done(g);
    }
}

/* --- Breakpoints ---------------------------------------------------------------------------------- */

/* `Z type,address,kind`: 0 and 1 execution, 2 to 4 data that is written, read, either. */
static void breakpoint(struct gdb *g, const char *text, bool insert)
{
    static const enum cpu_stop_kind kinds[] = {CPU_STOP_EXECUTE, CPU_STOP_EXECUTE, CPU_STOP_WRITE,
                                               CPU_STOP_READ, CPU_STOP_ACCESS};
    unsigned type = (unsigned)(text[0] - '0');
    struct cpu_stop stop = {0};

    if (type >= sizeof(kinds) / sizeof(kinds[0])) {
        reply(g, "");
        return;
    }
    text += 2;
    if (text[-1] != ',' || !get_range(&text, &stop.address, &stop.size)) {
        refuse(g, E_SYNTAX);
        return;
    }
    stop.kind = kinds[type];
    stop.owner = gdb_owner(g, type);
    if (insert && !gdb_add_stop(g, &stop)) {
        refuse(g, E_ROOM);
        return;
    }
    if (!insert)
        gdb_remove_stop(g, &stop);
    done(g);
}

/* --- Running and stopping ------------------------------------------------------------------------- */

static void resume(struct gdb *g, bool step)
{
    g->running = true;
    g->stepping = step;
    stops_changed(g);
    if (g->target->resume)
        g->target->resume(g->target->opaque, g->cpu, step);
}

/* `c`, `s` and, with a signal that means nothing here, `C`, `S`; maybe from another address. */
static void go_on(struct gdb *g, const char *text, bool step, bool signal)
{
    uint64_t address;

    if (signal) {
        uint64_t number;

        gdb_get_number(&text, &number);
        text += *text == ';';
    }
    if (gdb_get_number(&text, &address)) {
        gdb_set_pc(cpu_state(gdb_cpu(g)), address);
        changed(g);
    }
    g->range_start = g->range_end = 0;
    resume(g, step);
}

/* Which CPU an action is for; false: none of these. 0 and -1 are any. */
static bool get_thread(const struct gdb *g, const char **text, unsigned *cpu)
{
    uint64_t id;

    if (**text == '-') {
        ++*text;
        return gdb_get_number(text, &id);
    }
    if (!gdb_get_number(text, &id) || id > g->target->cpu_count)
        return false;
    if (id)
        *cpu = (unsigned)id - 1;
    return true;
}

/* vCont;action[:thread]...: the first action that says which CPU is to step decides; the others go on with
 * it. */
static void v_cont(struct gdb *g, const char *text)
{
    bool step = false;
    unsigned cpu = g->stopped_cpu;

    g->range_start = g->range_end = 0;
    while (*text == ';') {
        char action = *++text;
        uint64_t number, start = 0, end = 0;
        unsigned which = cpu;

        text += action != 0;
        if (action == 'C' || action == 'S')
            gdb_get_number(&text, &number);
        else if (action == 'r' && !get_range(&text, &start, &end))
            break;
        if (*text == ':') {
            ++text;
            if (!get_thread(g, &text, &which))
                break;
        }
        if (step || !strchr("sSr", action) || !action)
            continue;
        step = true;
        cpu = which;
        g->range_start = start;
        g->range_end = end;
    }
    if (*text) {
        refuse(g, E_SYNTAX);
        return;
    }
    g->cpu = cpu;
    resume(g, step);
}

static unsigned signal_of(unsigned vector)
{
    switch (vector) {
    case 0:
    case 16:
    case 19:
        return SIGNAL_FPE;
    case 6:
        return SIGNAL_ILL;
    case 8:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
    case 17:
        return SIGNAL_SEGV;
    default:
        return SIGNAL_TRAP;
    }
}

/* The stop reply for what was hit: watchpoints by their kind and place, of the others GDB knows only
 * breakpoints. */
static void describe_hit(struct gdb *g, const struct cpu_stopped *hit)
{
    static const char *const watch[CPU_STOP_KINDS] = {
        [CPU_STOP_WRITE] = "watch", [CPU_STOP_READ] = "rwatch", [CPU_STOP_ACCESS] = "awatch"};
    unsigned kind = hit->stop.kind, signal = SIGNAL_TRAP;
    char reason[80] = "";

    if (watch[kind])
        snprintf(reason, sizeof(reason), "%s:%" PRIx64 ";", watch[kind], hit->stop.address);
    else if (hit->stop.owner == gdb_owner(g, 0) && g->knows_swbreak)
        snprintf(reason, sizeof(reason), "swbreak:;");
    else if (hit->stop.owner == gdb_owner(g, 1) && g->knows_hwbreak)
        snprintf(reason, sizeof(reason), "hwbreak:;");
    else if (kind == CPU_STOP_EXCEPTION)
        signal = signal_of((unsigned)hit->address);
    snprintf(g->stop_reply, sizeof(g->stop_reply), "T%02xthread:%x;%s", signal, g->stopped_cpu + 1, reason);
}

static void explain(struct gdb *g, const struct cpu_stopped *hit)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    bool any = gdb_explain(g, hit, out);
    if (!fclose(out) && any)
        say(g, text);
    free(text);
}

static void stop(struct gdb *g, unsigned cpu, unsigned signal)
{
    g->running = false;
    g->cpu = g->stopped_cpu = cpu;
    snprintf(g->stop_reply, sizeof(g->stop_reply), "T%02xthread:%x;", signal, cpu + 1);
}

bool gdb_stopped(struct gdb *g, unsigned cpu, enum gdb_reason reason, const struct cpu_stopped *hits,
                 unsigned count)
{
    static const unsigned signals[] = {SIGNAL_TRAP, SIGNAL_INT, SIGNAL_TRAP, SIGNAL_ABRT};
    const struct cpu_stopped *mine = NULL;
    uint64_t pc = gdb_pc(cpu_state(g->target->cpus[cpu]));

    if (!g->running)
        return true;
    /* Of several, that which GDB has the most to say of: a watch is past, the breakpoint will be there again.
     */
    for (unsigned n = 0; n < count; n++)
        if (is_mine(g, &hits[n].stop) && (!mine || hits[n].stop.kind > mine->stop.kind))
            mine = &hits[n];
    if (reason == GDB_STOP && !mine)
        return false;
    if (reason == GDB_STEPPED && !mine && pc >= g->range_start && pc < g->range_end) {
        resume(g, true);
        return true;
    }
    stop(g, cpu, signals[reason]);
    if (mine) {
        describe_hit(g, mine);
        explain(g, mine);
    } else if (reason == GDB_SHUTDOWN) {
        say(g, "The CPU shut down: a triple fault. Going on ends the run.\n");
    }
    reply(g, g->stop_reply);
    return true;
}

void gdb_exited(struct gdb *g, int status)
{
    char text[4];

    if (!g->running)
        return;
    snprintf(text, sizeof(text), "W%02x", (unsigned)status & 0xff);
    reply(g, text);
}

/* --- Queries -------------------------------------------------------------------------------------- */

static void supported(struct gdb *g, const char *text)
{
    g->knows_swbreak = strstr(text, "swbreak+");
    g->knows_hwbreak = strstr(text, "hwbreak+");
    gdb_begin(&g->writer);
    gdb_format(&g->writer,
               "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:memory-map:read+;vContSupported+",
               GDB_PACKET_SIZE);
    if (g->knows_swbreak)
        gdb_put(&g->writer, ";swbreak+");
    if (g->knows_hwbreak)
        gdb_put(&g->writer, ";hwbreak+");
    gdb_end(&g->writer);
    send_reply(g);
}

static enum gdb_arch arch_now(const struct gdb *g)
{
    const struct cpu_state *s = cpu_state(g->target->cpus[0]);

    if (g->arch >= 0)
        return (enum gdb_arch)g->arch;
    return g->target->elf32 && !(s->efer & EFER_LMA) ? GDB_I386 : GDB_X86_64;
}

/* All linear addresses may be memory: pages come and go. In two halves, whose sizes can be written. */
static const char memory_map[] =
    "<?xml version=\"1.0\"?>\n"
    "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
    "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n"
    "<memory-map><memory type=\"ram\" start=\"0x0\" length=\"0x8000000000000000\"/>"
    "<memory type=\"ram\" start=\"0x8000000000000000\" length=\"0x8000000000000000\"/></memory-map>\n";

/* A piece of a document, `text` at "OFFSET,LENGTH". */
static void send_document(struct gdb *g, const char *document, const char *text)
{
    uint64_t offset, size;
    size_t length = strlen(document);

    if (!get_range(&text, &offset, &size)) {
        refuse(g, E_SYNTAX);
        return;
    }
    if (offset > length)
        offset = length;
    if (size > length - offset)
        size = length - offset;
    /* One byte a character, but for the few that are escaped. */
    gdb_begin(&g->writer);
    gdb_put(&g->writer, offset + size < length ? "m" : "l");
    if (gdb_put_binary(&g->writer, document + offset,
                       size < GDB_PACKET_SIZE / 2 ? size : GDB_PACKET_SIZE / 2) < size)
        g->writer.data[1] = 'm';
    gdb_end(&g->writer);
    send_reply(g);
}

static void transfer(struct gdb *g, const char *text)
{
    static const char features[] = "features:read:target.xml:", map[] = "memory-map:read::";

    if (!strncmp(text, map, sizeof(map) - 1)) {
        send_document(g, memory_map, text + sizeof(map) - 1);
        return;
    }
    if (strncmp(text, features, sizeof(features) - 1)) {
        reply(g, "");
        return;
    }
    text += sizeof(features) - 1;
    if (!g->document || !strncmp(text, "0,", 2)) {
        free(g->document);
        g->described = arch_now(g);
        g->document = gdb_target_description(g->described);
    }
    if (g->document)
        send_document(g, g->document, text);
    else
        refuse(g, E_ROOM);
}

static void threads(struct gdb *g)
{
    gdb_begin(&g->writer);
    for (unsigned n = 0; n < g->target->cpu_count; n++)
        gdb_format(&g->writer, "%c%x", n ? ',' : 'm', n + 1);
    gdb_end(&g->writer);
    send_reply(g);
}

static const char *activity_name(const struct cpu_state *s)
{
    static const char *const names[] = {"running", "halted", "shut down", "waiting to be started"};

    return s->activity < sizeof(names) / sizeof(names[0]) ? names[s->activity] : "";
}

static void thread_info(struct gdb *g, const char *text)
{
    unsigned cpu = g->cpu;
    char line[100];

    if (!get_thread(g, &text, &cpu)) {
        refuse(g, E_SYNTAX);
        return;
    }
    const struct cpu_state *s = cpu_state(g->target->cpus[cpu]);

    snprintf(line, sizeof(line), "CPU#%u %s, ring %u, %u-bit code", cpu, activity_name(s), s->cpl,
             cpu_code_bits(s));
    gdb_begin(&g->writer);
    gdb_put_hex(&g->writer, line, strlen(line));
    gdb_end(&g->writer);
    send_reply(g);
}

static void remote_command(struct gdb *g, const char *text)
{
    char line[512], *answer = NULL;
    size_t size, length = gdb_get_hex(text, line, sizeof(line) - 1);
    FILE *out = open_memstream(&answer, &size);

    line[length] = 0;
    if (!out) {
        refuse(g, E_ROOM);
        return;
    }
    gdb_monitor(g, line, out);
    if (fclose(out)) {
        free(answer);
        refuse(g, E_ROOM);
        return;
    }
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < GDB_PACKET_SIZE / 2 - 8 ? size - at : GDB_PACKET_SIZE / 2 - 8;
        gdb_begin(&g->writer);
        gdb_put(&g->writer, "O");
        gdb_put_hex(&g->writer, answer + at, n);
        gdb_end(&g->writer);
        send_reply(g);
    }
    free(answer);
    done(g);
}

/* Whether `text` begins with the word; then it is moved behind it. */
static bool begins(const char **text, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(*text, word, length))
        return false;
    *text += length;
    return true;
}

static void query(struct gdb *g, const char *text)
{
    char line[20];

    if (begins(&text, "Supported")) {
        supported(g, text);
    } else if (begins(&text, "Xfer:")) {
        transfer(g, text);
    } else if (begins(&text, "Rcmd,")) {
        remote_command(g, text);
    } else if (begins(&text, "fThreadInfo")) {
        threads(g);
    } else if (begins(&text, "sThreadInfo")) {
        reply(g, "l");
    } else if (begins(&text, "ThreadExtraInfo,")) {
        thread_info(g, text);
    } else if (begins(&text, "Attached")) {
        reply(g, "1"); /* so that quitting detaches */
    } else if (!strcmp(text, "C")) {
        snprintf(line, sizeof(line), "QC%x", g->cpu + 1);
        reply(g, line);
    } else {
        reply(g, "");
    }
}

static void set(struct gdb *g, const char *text)
{
    if (begins(&text, "StartNoAckMode")) {
        done(g);
        g->no_ack = true;
    } else {
        reply(g, "");
    }
}

static void detach(struct gdb *g)
{
    remove_all_stops(g);
    done(g);
    g->running = false;
    if (g->target->detach)
        g->target->detach(g->target->opaque);
}

static void kill_it(struct gdb *g)
{
    g->running = false;
    if (g->target->kill)
        g->target->kill(g->target->opaque);
}

static void long_command(struct gdb *g, const char *text)
{
    if (begins(&text, "Cont?")) {
        reply(g, "vCont;c;C;s;S;r");
    } else if (begins(&text, "Cont")) {
        v_cont(g, text);
    } else if (begins(&text, "Kill")) {
        done(g);
        kill_it(g);
    } else {
        reply(g, "");
    }
}

/* `H op thread`: whose registers (g) or steps (c) are meant from now on. */
static void choose_thread(struct gdb *g, const char *text)
{
    unsigned cpu = g->cpu;

    if (!*text || (++text, !get_thread(g, &text, &cpu))) {
        refuse(g, E_SYNTAX);
        return;
    }
    g->cpu = cpu;
    done(g);
}

static void thread_alive(struct gdb *g, const char *text)
{
    unsigned cpu;

    if (get_thread(g, &text, &cpu))
        done(g);
    else
        refuse(g, E_SYNTAX);
}

/* --- Packets -------------------------------------------------------------------------------------- */

static void packet(struct gdb *g)
{
    const char *text = g->reader.data + 1;

    /* A client that waits for a stop reply has nothing to ask. */
    if (g->running && g->reader.data[0] != 'k')
        return;
    switch (g->reader.data[0]) {
    case '?':
        reply(g, g->stop_reply);
        break;
    case 'g':
        read_registers(g);
        break;
    case 'G':
        write_registers(g, text);
        break;
    case 'p':
        read_register(g, text);
        break;
    case 'P':
        write_register(g, text);
        break;
    case 'm':
        read_memory(g, text);
        break;
    case 'M':
        write_memory_hex(g, text);
        break;
    case 'X':
        write_memory_binary(g, text);
        break;
    case 'Z':
    case 'z':
        breakpoint(g, text, g->reader.data[0] == 'Z');
        break;
    case 'c':
    case 'C':
        go_on(g, text, false, g->reader.data[0] == 'C');
        break;
    case 's':
    case 'S':
        go_on(g, text, true, g->reader.data[0] == 'S');
        break;
    case 'v':
        long_command(g, text);
        break;
    case 'q':
        query(g, text);
        break;
    case 'Q':
        set(g, text);
        break;
    case 'H':
        choose_thread(g, text);
        break;
    case 'T':
        thread_alive(g, text);
        break;
    case 'D':
        detach(g);
        break;
    case 'k':
        kill_it(g);
        break;
    default:
        reply(g, "");
    }
}

void gdb_receive_bytes(struct gdb *g, const uint8_t *data, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        switch (gdb_receive(&g->reader, data[n])) {
        case GDB_PACKET:
            if (!g->no_ack)
                g->target->send(g->target->opaque, "+", 1);
            packet(g);
            break;
        case GDB_BAD:
            if (!g->no_ack)
                g->target->send(g->target->opaque, "-", 1);
            break;
        case GDB_NAK:
            if (!g->no_ack && g->writer.size)
                send_reply(g);
            break;
        case GDB_INTERRUPT:
            if (g->running && g->target->interrupt)
                g->target->interrupt(g->target->opaque);
            break;
        default:
            break;
        }
    }
}

void gdb_open(struct gdb *g, const struct gdb_target *target)
{
    *g = (struct gdb){.target = target, .arch = -1};
    stop(g, 0, SIGNAL_TRAP);
    g->described = arch_now(g);
}

void gdb_close(struct gdb *g)
{
    remove_all_stops(g);
    free(g->document);
    g->document = NULL;
}
