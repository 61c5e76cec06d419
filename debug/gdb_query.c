/*
 * gdb_query.c - GDB's questions: what the stub can do, what the processor looks like, which threads there
 * are; and `monitor` commands on their way.
 */
#include "debug/gdb_internal.h"

#include <stdlib.h>
#include <string.h>

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
    gdb_send_reply(g);
}

enum gdb_arch gdb_arch_now(const struct gdb *g)
{
    const struct cpu_state *s = cpu_state(g->target->cpus[0]);

    if (g->arch)
        return (enum gdb_arch)(g->arch - 1);
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

    if (!gdb_get_range(&text, &offset, &size)) {
        gdb_refuse(g, E_SYNTAX);
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
    gdb_send_reply(g);
}

static void transfer(struct gdb *g, const char *text)
{
    static const char features[] = "features:read:target.xml:", map[] = "memory-map:read::";

    if (!strncmp(text, map, sizeof(map) - 1)) {
        send_document(g, memory_map, text + sizeof(map) - 1);
        return;
    }
    if (strncmp(text, features, sizeof(features) - 1)) {
        gdb_reply(g, "");
        return;
    }
    text += sizeof(features) - 1;
    if (!g->document || !strncmp(text, "0,", 2)) {
        free(g->document);
        g->described = gdb_arch_now(g);
        g->document = gdb_target_description(g->described);
    }
    if (g->document)
        send_document(g, g->document, text);
    else
        gdb_refuse(g, E_ROOM);
}

static void threads(struct gdb *g)
{
    gdb_begin(&g->writer);
    for (unsigned n = 0; n < g->target->cpu_count; n++)
        gdb_format(&g->writer, "%c%x", n ? ',' : 'm', n + 1);
    gdb_end(&g->writer);
    gdb_send_reply(g);
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

    if (!gdb_get_thread(g, &text, &cpu)) {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    const struct cpu_state *s = cpu_state(g->target->cpus[cpu]);

    snprintf(line, sizeof(line), "CPU#%u %s, ring %u, %u-bit code", cpu, activity_name(s), s->cpl,
             cpu_code_bits(s));
    gdb_begin(&g->writer);
    gdb_put_hex(&g->writer, line, strlen(line));
    gdb_end(&g->writer);
    gdb_send_reply(g);
}

static void remote_command(struct gdb *g, const char *text)
{
    char line[512], *answer = NULL;
    size_t size, length = gdb_get_hex(text, line, sizeof(line) - 1);
    FILE *out = open_memstream(&answer, &size);

    line[length] = 0;
    if (!out) {
        gdb_refuse(g, E_ROOM);
        return;
    }
    gdb_monitor(g, line, out);
    if (fclose(out)) {
        free(answer);
        gdb_refuse(g, E_ROOM);
        return;
    }
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < GDB_PACKET_SIZE / 2 - 8 ? size - at : GDB_PACKET_SIZE / 2 - 8;
        gdb_begin(&g->writer);
        gdb_put(&g->writer, "O");
        gdb_put_hex(&g->writer, answer + at, n);
        gdb_end(&g->writer);
        gdb_send_reply(g);
    }
    free(answer);
    gdb_done(g);
}

void gdb_packet_q(struct gdb *g, const char *text)
{
    char line[20];

    if (gdb_begins(&text, "Supported")) {
        supported(g, text);
    } else if (gdb_begins(&text, "Xfer:")) {
        transfer(g, text);
    } else if (gdb_begins(&text, "Rcmd,")) {
        remote_command(g, text);
    } else if (gdb_begins(&text, "fThreadInfo")) {
        threads(g);
    } else if (gdb_begins(&text, "sThreadInfo")) {
        gdb_reply(g, "l");
    } else if (gdb_begins(&text, "ThreadExtraInfo,")) {
        thread_info(g, text);
    } else if (gdb_begins(&text, "Attached")) {
        gdb_reply(g, "1"); /* so that quitting detaches */
    } else if (!strcmp(text, "C")) {
        snprintf(line, sizeof(line), "QC%x", g->cpu + 1);
        gdb_reply(g, line);
    } else {
        gdb_reply(g, "");
    }
}
