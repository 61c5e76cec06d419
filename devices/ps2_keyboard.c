/*
 * ps2_keyboard.c - a PS/2 keyboard: scan code sets 1, 2 and 3, every command, typematic repeat.
 *
 * In: keys by HID usage, bytes from the host. Out: bytes, one at a time, when the controller takes them.
 * Replies to commands leave before key codes do. Key codes that don't fit the buffer are lost as a whole and
 * leave an overrun code behind, so that a driver never sees half a sequence.
 *
 * Differences from a real one: the self test takes 10 ms where keyboards take 500, the buffer holds 64 bytes
 * and not 16, so that a slow guest loses no key releases, and repeats wait while codes lie in the buffer.
 */
#include "devices/ps2.h"

#include <stdlib.h>
#include <string.h>

#include "devices/ps2_keys.h"

#define CMD_SET_LEDS           0xED
#define CMD_ECHO               0xEE
#define CMD_CODE_SET           0xF0
#define CMD_IDENTIFY           0xF2
#define CMD_SET_RATE           0xF3
#define CMD_ENABLE             0xF4
#define CMD_DISABLE            0xF5
#define CMD_SET_DEFAULTS       0xF6
#define CMD_ALL_TYPEMATIC      0xF7
#define CMD_ALL_MAKE_BREAK     0xF8
#define CMD_ALL_MAKE           0xF9
#define CMD_ALL_TYPEMATIC_MAKE 0xFA
#define CMD_KEY_TYPEMATIC      0xFB
#define CMD_KEY_MAKE_BREAK     0xFC
#define CMD_KEY_MAKE           0xFD
#define CMD_RESEND             0xFE
#define CMD_RESET              0xFF

#define REPLY_ACK    0xFA
#define REPLY_RESEND 0xFE
#define REPLY_PASSED 0xAA

#define CODE_EXTENDED    0xE0
#define CODE_PAUSE       0xE1
#define CODE_BREAK       0xF0
#define CODE_SHIFT_LEFT  0x12 /* set 2 */
#define CODE_SHIFT_RIGHT 0x59
#define CODE_PRINT       0x7C
#define CODE_SYSRQ       0x84
#define CODE_CTRL_BREAK  0x7E

#define DEFAULT_RATE 0x2B /* 10.9 a second after half a second */
#define SELF_TEST_NS 10000000ull
#define KEY_BUFFER   64
#define REPLY_BUFFER 16

#define TYPE_DOWN_NS 12000000ull
#define TYPE_UP_NS   13000000ull
#define TYPE_WAIT_NS 5000000ull /* until another look at whether the guest has read */

enum print_form { PRINT_UP, PRINT_PLAIN, PRINT_MODIFIED, PRINT_SYSRQ };

struct ps2_keyboard {
    uint8_t keys[KEY_BUFFER], key_count;
    uint8_t replies[REPLY_BUFFER], reply_count;
    uint8_t last_sent; /* for a resend */
    uint8_t command;   /* that waits for its parameter, or 0 */
    uint8_t set;       /* 1 to 3 */
    uint8_t leds, rate;
    bool scanning;
    uint8_t type3[256];  /* of each set 3 code: KEY_3 flags */
    uint8_t down[32];    /* keys held, a bit for each usage */
    uint8_t repeat;      /* usage of the key that repeats, or 0 */
    uint8_t print;       /* enum print_form of Print Screen, as its make code was sent */
    uint64_t repeat_at;  /* clock ns, CLOCK_NEVER */
    uint64_t test_until; /* end of the self test, CLOCK_NEVER when none runs */

    char *text; /* being typed; from text_at to text_size is still to do */
    size_t text_at, text_size;
    uint8_t typed; /* usage that the typist holds, or 0 */
    bool typed_shift;

    struct timer repeat_timer, test_timer, type_timer;
    struct clock *clock;
    struct log *log;
    void (*ready)(void *opaque);
    void *ready_opaque;
};

/* A key's codes, put together before they go into the buffer. */
struct sequence {
    uint8_t bytes[16];
    unsigned size;
};

static void tell_controller(struct ps2_keyboard *kb)
{
    if (kb->ready)
        kb->ready(kb->ready_opaque);
}

static void reply(struct ps2_keyboard *kb, uint8_t value)
{
    if (kb->reply_count == REPLY_BUFFER)
        return; /* the host sends and never reads */
    kb->replies[kb->reply_count++] = value;
    tell_controller(kb);
}

/* The last place is kept for the overrun code. */
static void send_codes(struct ps2_keyboard *kb, const struct sequence *seq)
{
    uint8_t overrun = kb->set == 1 ? 0xFF : 0x00;

    if (!seq->size)
        return;
    if (kb->key_count + seq->size < KEY_BUFFER) {
        memcpy(kb->keys + kb->key_count, seq->bytes, seq->size);
        kb->key_count += seq->size;
    } else if (kb->key_count < KEY_BUFFER && kb->keys[kb->key_count - 1] != overrun) {
        kb->keys[kb->key_count++] = overrun;
    }
    tell_controller(kb);
}

/* --- keys to codes ------------------------------------------------------------------------------- */

static bool is_down(const struct ps2_keyboard *kb, unsigned usage)
{
    return kb->down[usage >> 3] >> (usage & 7) & 1;
}

static void add_byte(struct sequence *seq, uint8_t value)
{
    if (seq->size < sizeof(seq->bytes))
        seq->bytes[seq->size++] = value;
}

/* One code of set 1 or 2, given as in set 2. */
static void add_code(const struct ps2_keyboard *kb, struct sequence *seq, bool extended, uint8_t code,
                     bool down)
{
    if (extended)
        add_byte(seq, CODE_EXTENDED);
    if (kb->set == 1) {
        add_byte(seq, ps2_translate(code) | (down ? 0 : 0x80));
        return;
    }
    if (!down)
        add_byte(seq, CODE_BREAK);
    add_byte(seq, code);
}

/*
 * The shifts around a grey key: with Num Lock off it is the keypad's key without Shift, so held Shifts go up;
 * with Num Lock on and no Shift held one goes down. The keypad's slash only ever needs held Shifts up.
 */
static void add_shifts(const struct ps2_keyboard *kb, struct sequence *seq, unsigned usage, bool down)
{
    bool left = is_down(kb, USAGE_LEFT_SHIFT), right = is_down(kb, USAGE_RIGHT_SHIFT);
    bool num = usage != USAGE_KEYPAD_SLASH && (kb->leds & PS2_LED_NUM);

    if (num && !left && !right)
        add_code(kb, seq, true, CODE_SHIFT_LEFT, down);
    if (!num && left)
        add_code(kb, seq, true, CODE_SHIFT_LEFT, !down);
    if (!num && right)
        add_code(kb, seq, true, CODE_SHIFT_RIGHT, !down);
}

static void print_screen(struct ps2_keyboard *kb, struct sequence *seq, bool down, bool repeated)
{
    if (down && !repeated) {
        if (is_down(kb, USAGE_LEFT_ALT) || is_down(kb, USAGE_RIGHT_ALT))
            kb->print = PRINT_SYSRQ;
        else if (is_down(kb, USAGE_LEFT_CTRL) || is_down(kb, USAGE_RIGHT_CTRL) ||
                 is_down(kb, USAGE_LEFT_SHIFT) || is_down(kb, USAGE_RIGHT_SHIFT))
            kb->print = PRINT_MODIFIED;
        else
            kb->print = PRINT_PLAIN;
    }
    if (kb->print == PRINT_PLAIN && down && !repeated)
        add_code(kb, seq, true, CODE_SHIFT_LEFT, true);
    if (kb->print != PRINT_UP)
        add_code(kb, seq, kb->print != PRINT_SYSRQ, kb->print == PRINT_SYSRQ ? CODE_SYSRQ : CODE_PRINT, down);
    if (kb->print == PRINT_PLAIN && !down)
        add_code(kb, seq, true, CODE_SHIFT_LEFT, false);
    if (!down)
        kb->print = PRINT_UP;
}

/* Pause is pressed and released in one go, and with Ctrl is another key, Break. */
static void pause_key(struct ps2_keyboard *kb, struct sequence *seq)
{
    bool ctrl = is_down(kb, USAGE_LEFT_CTRL) || is_down(kb, USAGE_RIGHT_CTRL);

    for (int down = 1; down >= 0; down--) {
        if (ctrl) {
            add_code(kb, seq, true, CODE_CTRL_BREAK, down);
            continue;
        }
        add_byte(seq, CODE_PAUSE);
        add_code(kb, seq, false, 0x14, down);
        add_code(kb, seq, false, 0x77, down);
    }
}

static void codes_3(const struct ps2_keyboard *kb, struct sequence *seq, const struct ps2_key *key, bool down)
{
    if (!key->set3 || (!down && !(kb->type3[key->set3] & KEY_3_MAKE_BREAK)))
        return;
    if (!down)
        add_byte(seq, CODE_BREAK);
    add_byte(seq, key->set3);
}

static void send_key(struct ps2_keyboard *kb, unsigned usage, const struct ps2_key *key, bool down,
                     bool repeated)
{
    struct sequence seq = {.size = 0};
    bool wrapped = (key->flags & KEY_GREY) || usage == USAGE_KEYPAD_SLASH;

    if (kb->set == 3) {
        codes_3(kb, &seq, key, down);
    } else if (usage == USAGE_PRINT_SCREEN) {
        print_screen(kb, &seq, down, repeated);
    } else if (usage == USAGE_PAUSE) {
        if (down)
            pause_key(kb, &seq);
    } else if (key->flags & KEY_MAKE_ONLY) {
        if (down)
            add_byte(&seq, key->set2);
    } else if (key->set2) {
        if (wrapped && down && !repeated)
            add_shifts(kb, &seq, usage, true);
        add_code(kb, &seq, key->flags & KEY_E0, key->set2, down);
        if (wrapped && !down)
            add_shifts(kb, &seq, usage, false);
    }
    send_codes(kb, &seq);
}

/* --- typematic ----------------------------------------------------------------------------------- */

static void set_repeat(struct ps2_keyboard *kb, uint8_t usage, uint64_t delay)
{
    kb->repeat = usage;
    kb->repeat_at = usage ? clock_now(kb->clock) + delay : CLOCK_NEVER;
    timer_arm(&kb->repeat_timer, kb->repeat_at);
}

static uint64_t repeat_delay(const struct ps2_keyboard *kb)
{
    return ((kb->rate >> 5 & 3) + 1) * (NS_PER_SEC / 4);
}

/* (8 + A) x 2^B x 1/240 s (PS/2 keyboard, command F3). */
static uint64_t repeat_period(const struct ps2_keyboard *kb)
{
    return ((8ull + (kb->rate & 7)) << (kb->rate >> 3 & 3)) * NS_PER_SEC / 240;
}

static bool repeats(const struct ps2_keyboard *kb, unsigned usage, const struct ps2_key *key)
{
    if (kb->set == 3)
        return key->set3 && (kb->type3[key->set3] & KEY_3_TYPEMATIC);
    return usage != USAGE_PAUSE && !(key->flags & KEY_MAKE_ONLY);
}

static void repeat_due(void *opaque)
{
    struct ps2_keyboard *kb = opaque;
    const struct ps2_key *key = ps2_key_lookup(kb->repeat);

    if (!key || !kb->scanning)
        return set_repeat(kb, 0, 0);
    if (!kb->key_count && !kb->reply_count)
        send_key(kb, kb->repeat, key, true, true);
    set_repeat(kb, kb->repeat, repeat_period(kb));
}

/* A key went down or up; a window system's own repeats are taken out here. */
static void key_event(struct ps2_keyboard *kb, unsigned usage, bool down)
{
    const struct ps2_key *key = ps2_key_lookup(usage);

    if (!key || is_down(kb, usage) == down)
        return;
    kb->down[usage >> 3] ^= 1u << (usage & 7);
    if (!down && usage == kb->repeat)
        set_repeat(kb, 0, 0);
    if (!kb->scanning)
        return;
    send_key(kb, usage, key, down, false);
    if (down)
        set_repeat(kb, repeats(kb, usage, key) ? usage : 0, repeat_delay(kb));
}

static void sink_key(void *opaque, unsigned usage, bool down)
{
    key_event(opaque, usage, down);
}

/* --- the typist ---------------------------------------------------------------------------------- */

static void drop_text(struct ps2_keyboard *kb)
{
    free(kb->text);
    kb->text = NULL;
    kb->text_at = kb->text_size = 0;
}

static void release_typed(struct ps2_keyboard *kb)
{
    key_event(kb, kb->typed, false);
    if (kb->typed_shift)
        key_event(kb, USAGE_LEFT_SHIFT, false);
    kb->typed = 0;
    kb->typed_shift = false;
}

/* Presses the next character that has a key. */
static void press_next(struct ps2_keyboard *kb)
{
    unsigned usage = 0;
    bool shift = false, letter = false;

    while (!usage && kb->text_at < kb->text_size) {
        char c = kb->text[kb->text_at++];

        usage = ps2_key_of_char(c, &shift);
        letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    }
    if (kb->text_at == kb->text_size)
        drop_text(kb);
    if (!usage)
        return;
    kb->typed = usage;
    kb->typed_shift = letter && (kb->leds & PS2_LED_CAPS) ? !shift : shift;
    if (kb->typed_shift)
        key_event(kb, USAGE_LEFT_SHIFT, true);
    key_event(kb, usage, true);
}

static void type_due(void *opaque)
{
    struct ps2_keyboard *kb = opaque;
    uint64_t wait = TYPE_WAIT_NS;

    if (!kb->key_count && !kb->reply_count && kb->scanning) {
        wait = kb->typed ? TYPE_UP_NS : TYPE_DOWN_NS;
        if (kb->typed)
            release_typed(kb);
        else
            press_next(kb);
    }
    if (kb->typed || kb->text)
        timer_arm(&kb->type_timer, clock_now(kb->clock) + wait);
}

bool ps2_type_text(struct ps2_keyboard *kb, const char *text)
{
    size_t left = kb->text_size - kb->text_at, size = strlen(text);
    char *both;

    if (!size)
        return true;
    both = malloc(left + size);
    if (!both)
        return false;
    if (left)
        memcpy(both, kb->text + kb->text_at, left);
    memcpy(both + left, text, size);
    drop_text(kb);
    kb->text = both;
    kb->text_size = left + size;
    if (kb->type_timer.when == CLOCK_NEVER)
        timer_arm(&kb->type_timer, clock_now(kb->clock));
    return true;
}

bool ps2_typing(const struct ps2_keyboard *kb)
{
    return kb->typed || kb->text;
}

/* --- commands ---------------------------------------------------------------------------------------------
 */

static void set_all_types(struct ps2_keyboard *kb, uint8_t type)
{
    memset(kb->type3, type, sizeof(kb->type3));
}

static void set_defaults(struct ps2_keyboard *kb)
{
    const struct ps2_key *key;

    kb->rate = DEFAULT_RATE;
    kb->key_count = 0;
    set_repeat(kb, 0, 0);
    set_all_types(kb, 0);
    for (unsigned usage = 0; usage < 256; usage++) {
        if ((key = ps2_key_lookup(usage)))
            kb->type3[key->set3] = key->flags & (KEY_3_TYPEMATIC | KEY_3_MAKE_BREAK);
    }
}

static void power_on(struct ps2_keyboard *kb)
{
    set_defaults(kb);
    kb->set = 2;
    kb->leds = 0;
    kb->command = 0;
    kb->scanning = true;
    kb->print = PRINT_UP;
    kb->reply_count = 0;
    kb->test_until = CLOCK_NEVER;
    timer_disarm(&kb->test_timer);
}

static void test_done(void *opaque)
{
    struct ps2_keyboard *kb = opaque;

    kb->test_until = CLOCK_NEVER;
    timer_disarm(&kb->test_timer);
    kb->scanning = true;
    reply(kb, REPLY_PASSED);
}

static void start_test(struct ps2_keyboard *kb)
{
    power_on(kb);
    kb->scanning = false;
    reply(kb, REPLY_ACK);
    kb->test_until = clock_now(kb->clock) + SELF_TEST_NS;
    timer_arm(&kb->test_timer, kb->test_until);
}

static void take_parameter(struct ps2_keyboard *kb, uint8_t value)
{
    uint8_t command = kb->command;

    kb->command = 0;
    if (command == CMD_CODE_SET && value > 3) {
        reply(kb, REPLY_RESEND);
        return;
    }
    reply(kb, REPLY_ACK);
    switch (command) {
    case CMD_SET_LEDS:
        kb->leds = value & 7;
        break;
    case CMD_SET_RATE:
        kb->rate = value & 0x7F;
        break;
    case CMD_CODE_SET:
        if (!value) {
            reply(kb, kb->set);
            break;
        }
        kb->set = value;
        kb->key_count = 0;
        break;
    default: /* set 3 key types: any number of keys, up to the next command */
        kb->command = command;
        kb->type3[value] = command == CMD_KEY_TYPEMATIC    ? KEY_3_TYPEMATIC
                           : command == CMD_KEY_MAKE_BREAK ? KEY_3_MAKE_BREAK
                                                           : 0;
    }
}

static void take_command(struct ps2_keyboard *kb, uint8_t value)
{
    kb->command = 0;
    switch (value) {
    case CMD_ECHO:
        reply(kb, CMD_ECHO);
        return;
    case CMD_RESEND:
        reply(kb, kb->last_sent);
        return;
    case CMD_RESET:
        start_test(kb);
        return;
    case CMD_SET_LEDS:
    case CMD_CODE_SET:
    case CMD_SET_RATE:
    case CMD_KEY_TYPEMATIC ... CMD_KEY_MAKE:
        kb->command = value;
        break;
    case CMD_IDENTIFY:
        reply(kb, REPLY_ACK);
        reply(kb, 0xAB);
        reply(kb, 0x83);
        return;
    case CMD_ENABLE:
        kb->key_count = 0;
        kb->scanning = true;
        break;
    case CMD_DISABLE:
    case CMD_SET_DEFAULTS:
        set_defaults(kb);
        kb->scanning = value == CMD_DISABLE ? false : kb->scanning;
        break;
    case CMD_ALL_TYPEMATIC:
        set_all_types(kb, KEY_3_TYPEMATIC);
        break;
    case CMD_ALL_MAKE_BREAK:
        set_all_types(kb, KEY_3_MAKE_BREAK);
        break;
    case CMD_ALL_MAKE:
        set_all_types(kb, 0);
        break;
    case CMD_ALL_TYPEMATIC_MAKE:
        set_all_types(kb, KEY_3_TYPEMATIC | KEY_3_MAKE_BREAK);
        break;
    default:
        log_at(kb->log, LOG_GUEST, "keyboard", "unknown command 0x%02x", value);
        reply(kb, REPLY_RESEND);
        return;
    }
    reply(kb, REPLY_ACK);
}

/* No parameter is as large as the lowest command, so a new command may take the place of an awaited
 * parameter. */
static void keyboard_write(void *device, uint8_t value)
{
    struct ps2_keyboard *kb = device;

    if (kb->test_until != CLOCK_NEVER)
        test_done(kb); /* nobody waits for the result */
    if (kb->command && value < CMD_SET_LEDS)
        take_parameter(kb, value);
    else
        take_command(kb, value);
}

static bool keyboard_pending(void *device)
{
    struct ps2_keyboard *kb = device;

    return kb->reply_count || kb->key_count;
}

static uint8_t keyboard_take(void *device)
{
    struct ps2_keyboard *kb = device;
    uint8_t *from = kb->reply_count ? kb->replies : kb->keys;
    uint8_t *count = kb->reply_count ? &kb->reply_count : &kb->key_count;

    if (!*count)
        return 0;
    kb->last_sent = from[0];
    memmove(from, from + 1, --*count);
    return kb->last_sent;
}

static void keyboard_listen(void *device, void (*ready)(void *opaque), void *opaque)
{
    struct ps2_keyboard *kb = device;

    kb->ready = ready;
    kb->ready_opaque = opaque;
}

struct ps2_cable ps2_keyboard_cable(struct ps2_keyboard *kb)
{
    return (struct ps2_cable){keyboard_write, keyboard_pending, keyboard_take, keyboard_listen, kb};
}

struct input_sink ps2_keyboard_sink(struct ps2_keyboard *kb)
{
    return (struct input_sink){.key = sink_key, .opaque = kb};
}

uint8_t ps2_keyboard_leds(const struct ps2_keyboard *kb)
{
    return kb->leds;
}

/* --- class --------------------------------------------------------------------------------------- */

/* The keys that a hand holds stay down. */
static void keyboard_reset(void *device)
{
    struct ps2_keyboard *kb = device;

    timer_disarm(&kb->type_timer);
    drop_text(kb);
    if (kb->typed)
        release_typed(kb);
    power_on(kb);
    kb->last_sent = REPLY_PASSED;
}

static void keyboard_loaded(void *device)
{
    struct ps2_keyboard *kb = device;

    if (kb->key_count > KEY_BUFFER)
        kb->key_count = KEY_BUFFER;
    if (kb->reply_count > REPLY_BUFFER)
        kb->reply_count = REPLY_BUFFER;
    if (kb->set < 1 || kb->set > 3)
        kb->set = 2;
    timer_arm(&kb->repeat_timer, kb->repeat_at);
    timer_arm(&kb->test_timer, kb->test_until);
    if (kb->typed)
        timer_arm(&kb->type_timer, clock_now(kb->clock) + TYPE_DOWN_NS);
    tell_controller(kb);
}

static void keyboard_free(void *device)
{
    struct ps2_keyboard *kb = device;

    if (!kb)
        return;
    timer_disarm(&kb->repeat_timer);
    timer_disarm(&kb->test_timer);
    timer_disarm(&kb->type_timer);
    drop_text(kb);
    free(kb);
}

static const struct field keyboard_fields[] = {
    FIELD_ARRAY(struct ps2_keyboard, keys),
    FIELD(struct ps2_keyboard, key_count),
    FIELD_ARRAY(struct ps2_keyboard, replies),
    FIELD(struct ps2_keyboard, reply_count),
    FIELD(struct ps2_keyboard, last_sent),
    FIELD(struct ps2_keyboard, command),
    FIELD(struct ps2_keyboard, set),
    FIELD(struct ps2_keyboard, leds),
    FIELD(struct ps2_keyboard, rate),
    FIELD(struct ps2_keyboard, scanning),
    FIELD_ARRAY(struct ps2_keyboard, type3),
    FIELD_ARRAY(struct ps2_keyboard, down),
    FIELD(struct ps2_keyboard, repeat),
    FIELD(struct ps2_keyboard, print),
    FIELD(struct ps2_keyboard, repeat_at),
    FIELD(struct ps2_keyboard, test_until),
    FIELD(struct ps2_keyboard, typed),
    FIELD(struct ps2_keyboard, typed_shift),
    FIELD_END,
};

const struct device_class ps2_keyboard_class = {
    .name = "ps2-keyboard",
    .reset = keyboard_reset,
    .loaded = keyboard_loaded,
    .free = keyboard_free,
    .state = keyboard_fields,
};

struct ps2_keyboard *ps2_keyboard_new(struct clock *clock, struct log *log)
{
    struct ps2_keyboard *kb = calloc(1, sizeof(*kb));

    if (!kb)
        return NULL;
    kb->clock = clock;
    kb->log = log;
    timer_init(&kb->repeat_timer, clock, "keyboard-repeat", repeat_due, kb);
    timer_init(&kb->test_timer, clock, "keyboard-test", test_done, kb);
    timer_init(&kb->type_timer, clock, "keyboard-typist", type_due, kb);
    keyboard_reset(kb);
    return kb;
}
