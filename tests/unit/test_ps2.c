/*
 * test_ps2.c - the PS/2 keyboard and mouse at their end of the cable. Alone: tests/unit/unit ps2
 */
#include <check.h>
#include <stdio.h>

#include "devices/ps2.h"
#include "devices/ps2_keys.h"
#include "tests/unit/board.h"

#define MS 1000000ull

struct rig {
    struct board board;
    struct ps2_keyboard *keyboard;
    struct ps2_mouse *mouse;
    struct ps2_cable kbd, mse;
    struct input_sink keys, motion;
    unsigned ready;
    char text[256];
};

static void on_ready(void *opaque)
{
    ((struct rig *)opaque)->ready++;
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->keyboard = ps2_keyboard_new(rig->board.clock, &rig->board.log);
    rig->mouse = ps2_mouse_new(rig->board.clock, &rig->board.log);
    ck_assert(rig->keyboard && rig->mouse);
    rig->kbd = ps2_keyboard_cable(rig->keyboard);
    rig->mse = ps2_mouse_cable(rig->mouse);
    rig->keys = ps2_keyboard_sink(rig->keyboard);
    rig->motion = ps2_mouse_sink(rig->mouse);
    rig->kbd.listen(rig->kbd.device, on_ready, rig);
    rig->mse.listen(rig->mse.device, on_ready, rig);
}

static void rig_free(struct rig *rig)
{
    ps2_keyboard_class.free(rig->keyboard);
    ps2_mouse_class.free(rig->mouse);
    board_free(&rig->board);
}

/* All that a device has to say, in hexadecimal. */
static const char *drain(struct rig *rig, const struct ps2_cable *cable)
{
    size_t at = 0;

    rig->text[0] = 0;
    while (cable->pending(cable->device)) {
        uint8_t value = cable->take(cable->device);

        if (at + 4 < sizeof(rig->text))
            at += sprintf(rig->text + at, at ? " %02X" : "%02X", value);
    }
    return rig->text;
}

static const char *said(struct rig *rig)
{
    return drain(rig, &rig->kbd);
}

static const char *moved(struct rig *rig)
{
    return drain(rig, &rig->mse);
}

/* Sends bytes to the device and returns its answer. */
static const char *ask(struct rig *rig, const struct ps2_cable *cable, const char *bytes)
{
    unsigned value;
    int size;

    for (; sscanf(bytes, "%x%n", &value, &size) == 1; bytes += size)
        cable->write(cable->device, value);
    return drain(rig, cable);
}

static const char *kbd(struct rig *rig, const char *bytes)
{
    return ask(rig, &rig->kbd, bytes);
}

static const char *mse(struct rig *rig, const char *bytes)
{
    return ask(rig, &rig->mse, bytes);
}

static void press(struct rig *rig, unsigned usage)
{
    rig->keys.key(rig->keys.opaque, usage, true);
}

static void release(struct rig *rig, unsigned usage)
{
    rig->keys.key(rig->keys.opaque, usage, false);
}

static void move(struct rig *rig, int dx, int dy, int wheel, unsigned buttons)
{
    rig->motion.pointer(rig->motion.opaque, dx, dy, wheel, buttons);
}

START_TEST(keyboard_commands)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_str_eq(said(&rig), "");
    ck_assert_str_eq(kbd(&rig, "F2"), "FA AB 83");
    ck_assert_str_eq(kbd(&rig, "EE"), "EE");
    ck_assert_str_eq(kbd(&rig, "ED 05"), "FA FA");
    ck_assert_uint_eq(ps2_keyboard_leds(rig.keyboard), PS2_LED_SCROLL | PS2_LED_CAPS);
    ck_assert_str_eq(kbd(&rig, "F0 00"), "FA FA 02");
    ck_assert_str_eq(kbd(&rig, "F0 04"), "FA FE");
    ck_assert_str_eq(kbd(&rig, "F0 03 F0 00"), "FA FA FA FA 03");
    ck_assert_str_eq(kbd(&rig, "E5"), "FE");
    ck_assert_str_eq(kbd(&rig, "ED F4"), "FA FA"); /* a command instead of the parameter */
    ck_assert_uint_eq(ps2_keyboard_leds(rig.keyboard), PS2_LED_SCROLL | PS2_LED_CAPS);
    ck_assert_str_eq(kbd(&rig, "F5"), "FA");
    press(&rig, 0x04);
    ck_assert_str_eq(said(&rig), ""); /* disabled */
    ck_assert_str_eq(kbd(&rig, "F4"), "FA");
    ck_assert_str_eq(kbd(&rig, "FF"), "FA");
    ck_assert_uint_eq(ps2_keyboard_leds(rig.keyboard), 0);
    press(&rig, 0x05);
    ck_assert_str_eq(said(&rig), "");
    board_advance(&rig.board, 1000 * MS);
    ck_assert_str_eq(said(&rig), "AA");
    ck_assert_str_eq(kbd(&rig, "FE"), "AA"); /* again */
    ck_assert_str_eq(kbd(&rig, "F0 00"), "FA FA 02");
    release(&rig, 0x05);
    ck_assert_str_eq(said(&rig), "F0 32");
    ck_assert_uint_gt(rig.ready, 0);
    rig_free(&rig);
}
END_TEST

/* The three sets: usage, make and break of each. */
static const struct {
    unsigned usage;
    const char *codes[3];
} all_sets[] = {
    {0x04, {"1E 9E", "1C F0 1C", "1C"}},                                        /* A */
    {0x28, {"1C 9C", "5A F0 5A", "5A"}},                                        /* Enter */
    {0x29, {"01 81", "76 F0 76", "08"}},                                        /* Escape */
    {0x40, {"41 C1", "83 F0 83", "37"}},                                        /* F7 */
    {0x45, {"58 D8", "07 F0 07", "5E"}},                                        /* F12 */
    {0x46, {"E0 2A E0 37 E0 B7 E0 AA", "E0 12 E0 7C E0 F0 7C E0 F0 12", "57"}}, /* Print Screen */
    {0x48, {"E1 1D 45 E1 9D C5", "E1 14 77 E1 F0 14 F0 77", "62"}},             /* Pause */
    {0x49, {"E0 52 E0 D2", "E0 70 E0 F0 70", "67"}},                            /* Insert */
    {0x4F, {"E0 4D E0 CD", "E0 74 E0 F0 74", "6A"}},                            /* Right */
    {0x52, {"E0 48 E0 C8", "E0 75 E0 F0 75", "63"}},                            /* Up */
    {0x53, {"45 C5", "77 F0 77", "76"}},                                        /* Num Lock */
    {0x54, {"E0 35 E0 B5", "E0 4A E0 F0 4A", "77"}},                            /* Keypad / */
    {0x58, {"E0 1C E0 9C", "E0 5A E0 F0 5A", "79"}},                            /* Keypad Enter */
    {0x64, {"56 D6", "61 F0 61", "13"}},                                        /* the 102nd key */
    {0x65, {"E0 5D E0 DD", "E0 2F E0 F0 2F", "8D"}},                            /* Menu */
    {0x68, {"64 E4", "08 F0 08", ""}},                                          /* F13 */
    {0x73, {"76 F6", "5F F0 5F", ""}},                                          /* F24 */
    {0x87, {"73 F3", "51 F0 51", "51"}},                                        /* Ro */
    {0x88, {"70 F0", "13 F0 13", "87"}},                                        /* Katakana/Hiragana */
    {0x89, {"7D FD", "6A F0 6A", "5D"}},                                        /* Yen */
    {0x8A, {"79 F9", "64 F0 64", "86"}},                                        /* Henkan */
    {0x8B, {"7B FB", "67 F0 67", "85"}},                                        /* Muhenkan */
    {0x85, {"7E FE", "6D F0 6D", "7B"}},                                        /* Keypad . of Brazil */
    {0x90, {"F2", "F2", ""}},                                                   /* Hangul */
    {0xE0, {"1D 9D", "14 F0 14", "11 F0 11"}},                                  /* left Ctrl */
    {0xE1, {"2A AA", "12 F0 12", "12 F0 12"}},                                  /* left Shift */
    {0xE3, {"E0 5B E0 DB", "E0 1F E0 F0 1F", "8B"}},                            /* left GUI */
    {0xE4, {"E0 1D E0 9D", "E0 14 E0 F0 14", "58"}},                            /* right Ctrl */
    {0xE6, {"E0 38 E0 B8", "E0 11 E0 F0 11", "39"}},                            /* right Alt */
    {0x03, {"", "", ""}},
    {0xFFFF, {"", "", ""}},
};

START_TEST(code_sets)
{
    struct rig rig;
    char command[8];

    rig_init(&rig);
    for (unsigned set = 1; set <= 3; set++) {
        sprintf(command, "F0 %02X", set);
        ck_assert_str_eq(kbd(&rig, command), "FA FA");
        for (unsigned i = 0; i < sizeof(all_sets) / sizeof(all_sets[0]); i++) {
            press(&rig, all_sets[i].usage);
            press(&rig, all_sets[i].usage); /* a repeat of the window system's */
            release(&rig, all_sets[i].usage);
            release(&rig, all_sets[i].usage);
            ck_assert_msg(!strcmp(said(&rig), all_sets[i].codes[set - 1]), "usage %02x set %u: %s, not %s",
                          all_sets[i].usage, set, rig.text, all_sets[i].codes[set - 1]);
        }
    }
    rig_free(&rig);
}
END_TEST

START_TEST(keys_with_moods)
{
    struct rig rig;

    rig_init(&rig);
    press(&rig, USAGE_LEFT_ALT);
    press(&rig, USAGE_PRINT_SCREEN);
    release(&rig, USAGE_LEFT_ALT);
    release(&rig, USAGE_PRINT_SCREEN); /* what was pressed is what is released */
    ck_assert_str_eq(said(&rig), "11 84 F0 11 F0 84");
    press(&rig, USAGE_LEFT_CTRL);
    press(&rig, USAGE_PRINT_SCREEN);
    release(&rig, USAGE_PRINT_SCREEN);
    press(&rig, USAGE_PAUSE);
    release(&rig, USAGE_PAUSE);
    release(&rig, USAGE_LEFT_CTRL);
    ck_assert_str_eq(said(&rig), "14 E0 7C E0 F0 7C E0 7E E0 F0 7E F0 14");
    press(&rig, USAGE_LEFT_SHIFT);
    said(&rig);
    press(&rig, 0x4A); /* Home goes without Shift */
    release(&rig, 0x4A);
    ck_assert_str_eq(said(&rig), "E0 F0 12 E0 6C E0 F0 6C E0 12");
    press(&rig, USAGE_KEYPAD_SLASH);
    release(&rig, USAGE_KEYPAD_SLASH);
    ck_assert_str_eq(said(&rig), "E0 F0 12 E0 4A E0 F0 4A E0 12");
    kbd(&rig, "ED 02"); /* Num Lock */
    press(&rig, 0x4A);
    release(&rig, 0x4A);
    ck_assert_str_eq(said(&rig), "E0 6C E0 F0 6C");
    release(&rig, USAGE_LEFT_SHIFT);
    said(&rig);
    press(&rig, 0x4A);
    release(&rig, 0x4A);
    ck_assert_str_eq(said(&rig), "E0 12 E0 6C E0 F0 6C E0 F0 12");
    rig_free(&rig);
}
END_TEST

START_TEST(typematic)
{
    struct rig rig;

    rig_init(&rig);
    press(&rig, 0x04);
    ck_assert_str_eq(said(&rig), "1C");
    board_advance(&rig.board, 499 * MS);
    ck_assert_str_eq(said(&rig), "");
    board_advance(&rig.board, 2 * MS); /* by default after half a second, */
    ck_assert_str_eq(said(&rig), "1C");
    board_advance(&rig.board, 90 * MS);
    ck_assert_str_eq(said(&rig), "");
    board_advance(&rig.board, 3 * MS); /* 10.9 a second: every 91.7 ms */
    ck_assert_str_eq(said(&rig), "1C");
    press(&rig, 0x05); /* the last key repeats */
    ck_assert_str_eq(said(&rig), "32");
    board_advance(&rig.board, 501 * MS);
    ck_assert_str_eq(said(&rig), "32");
    release(&rig, 0x05);
    ck_assert_str_eq(said(&rig), "F0 32");
    board_advance(&rig.board, 2000 * MS); /* and the one before does not take over */
    ck_assert_str_eq(said(&rig), "");
    kbd(&rig, "F3 00"); /* 250 ms, 30 a second */
    press(&rig, 0x06);
    said(&rig);
    board_advance(&rig.board, 251 * MS);
    ck_assert_str_eq(said(&rig), "21");
    board_advance(&rig.board, 34 * MS);
    ck_assert_str_eq(said(&rig), "21");
    board_advance(&rig.board, 5000 * MS); /* a guest that doesn't read gets one, not a pile */
    ck_assert_str_eq(said(&rig), "21");
    press(&rig, USAGE_PAUSE); /* never repeats */
    said(&rig);
    board_advance(&rig.board, 2000 * MS);
    ck_assert_str_eq(said(&rig), "");
    rig_free(&rig);
}
END_TEST

START_TEST(set_3_key_types)
{
    struct rig rig;

    rig_init(&rig);
    kbd(&rig, "F0 03");
    ck_assert_str_eq(kbd(&rig, "F8"), "FA"); /* make and break, no repeat */
    press(&rig, 0x04);
    board_advance(&rig.board, 2000 * MS);
    release(&rig, 0x04);
    ck_assert_str_eq(said(&rig), "1C F0 1C");
    ck_assert_str_eq(kbd(&rig, "FD 1C 32"), "FA FA FA"); /* A and B: make only */
    press(&rig, 0x04);
    release(&rig, 0x04);
    press(&rig, 0x06);
    release(&rig, 0x06);
    ck_assert_str_eq(said(&rig), "1C 21 F0 21");
    ck_assert_str_eq(kbd(&rig, "FA"), "FA"); /* all three */
    press(&rig, 0x29);
    ck_assert_str_eq(said(&rig), "08");
    board_advance(&rig.board, 501 * MS);
    ck_assert_str_eq(said(&rig), "08");
    release(&rig, 0x29);
    ck_assert_str_eq(said(&rig), "F0 08");
    ck_assert_str_eq(kbd(&rig, "F6"), "FA");
    press(&rig, 0x29); /* by default make only */
    release(&rig, 0x29);
    ck_assert_str_eq(said(&rig), "08");
    rig_free(&rig);
}
END_TEST

START_TEST(overrun)
{
    struct rig rig;
    unsigned keys = 0;
    const char *last;

    rig_init(&rig);
    for (unsigned i = 0; i < 100; i++) {
        press(&rig, 0x04 + i % 26);
        release(&rig, 0x04 + i % 26);
    }
    last = said(&rig);
    ck_assert_str_eq(last + strlen(last) - 3, " 00"); /* once, at the end */
    for (const char *s = last; (s = strstr(s, " 00")); s++)
        keys++;
    ck_assert_uint_eq(keys, 1);
    ck_assert_str_eq(kbd(&rig, "F2"), "FA AB 83");
    press(&rig, 0x04);
    ck_assert_str_eq(said(&rig), "1C");
    kbd(&rig, "F0 01");
    for (unsigned i = 0; i < 100; i++) {
        press(&rig, 0x05 + i % 26);
        release(&rig, 0x05 + i % 26);
    }
    last = said(&rig);
    ck_assert_str_eq(last + strlen(last) - 3, " FF");
    rig_free(&rig);
}
END_TEST

START_TEST(typed_text)
{
    struct rig rig;
    char all[512] = "";
    unsigned wait = 0;

    rig_init(&rig);
    ck_assert(ps2_type_text(rig.keyboard, "a\xC3\xA4"));
    ck_assert(ps2_type_text(rig.keyboard, "B~\n"));
    ck_assert(ps2_typing(rig.keyboard));
    board_advance(&rig.board, 1000 * MS); /* nobody reads: the first key waits */
    ck_assert_str_eq(said(&rig), "1C");
    for (; ps2_typing(rig.keyboard) && wait < 1000; wait++) {
        board_advance(&rig.board, MS);
        strcat(all, said(&rig));
        strcat(all, *rig.text ? "," : "");
    }
    ck_assert_str_eq(all, "F0 1C,12 32,F0 32 F0 12,12 0E,F0 0E F0 12,5A,F0 5A,");
    ck_assert(wait > 50 && wait < 200);
    kbd(&rig, "ED 04"); /* Caps Lock is lit: letters turn round */
    ps2_type_text(rig.keyboard, "Z");
    board_advance(&rig.board, MS);
    ck_assert_str_eq(said(&rig), "1A");
    ps2_type_text(rig.keyboard, "more");
    ps2_keyboard_class.reset(rig.keyboard);
    ck_assert(!ps2_typing(rig.keyboard));
    board_advance(&rig.board, 1000 * MS);
    ck_assert_str_eq(said(&rig), "");
    rig_free(&rig);
}
END_TEST

START_TEST(every_ascii_character_has_its_key)
{
    bool shift;

    for (int c = ' '; c < 127; c++) {
        unsigned usage = ps2_key_of_char(c, &shift);

        ck_assert_msg(usage && ps2_key_lookup(usage), "%c", c);
    }
    ck_assert_uint_eq(ps2_key_of_char('?', &shift), 0x38);
    ck_assert(shift);
    ck_assert_uint_eq(ps2_key_of_char('0', &shift), 0x27);
    ck_assert(!shift);
    ck_assert_uint_eq(ps2_key_of_char('\001', &shift), 0);
    ck_assert_uint_eq(ps2_key_of_char((char)0xE4, &shift), 0);
    ck_assert_uint_eq(ps2_key_of_char(0, &shift), 0);
}
END_TEST

START_TEST(mouse_commands)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_str_eq(mse(&rig, "FF"), "FA");
    board_advance(&rig.board, 1000 * MS);
    ck_assert_str_eq(moved(&rig), "AA 00");
    ck_assert_str_eq(mse(&rig, "F2"), "FA 00");
    ck_assert_str_eq(mse(&rig, "E9"), "FA 00 02 64");
    ck_assert_str_eq(mse(&rig, "E8 03 F3 28 E7 F4"), "FA FA FA FA FA FA");
    move(&rig, 0, 0, 0, BUTTON_LEFT | BUTTON_MIDDLE);
    moved(&rig);
    ck_assert_str_eq(mse(&rig, "E9"), "FA 36 03 28");
    ck_assert_str_eq(mse(&rig, "F6 E9"), "FA FA 06 02 64");
    ck_assert_str_eq(mse(&rig, "E8 07"), "FA FE");
    ck_assert_str_eq(mse(&rig, "07"), "FC");
    ck_assert_str_eq(mse(&rig, "F3 63"), "FA FE");
    ck_assert_str_eq(mse(&rig, "50"), "FA"); /* asked again, a good one */
    ck_assert_str_eq(mse(&rig, "E1"), "FE");
    ck_assert_str_eq(mse(&rig, "EE 12 F4 FE EC F2"), "FA 12 F4 FE FA FA 00"); /* wrap */
    ck_assert_str_eq(mse(&rig, "F0 E9"), "FA FA 46 02 50");
    ck_assert_str_eq(mse(&rig, "EA E9"), "FA FA 06 02 50");
    rig_free(&rig);
}
END_TEST

START_TEST(mouse_reports)
{
    struct rig rig;

    rig_init(&rig);
    move(&rig, 5, 5, 0, 0);
    ck_assert_str_eq(moved(&rig), ""); /* not enabled */
    mse(&rig, "F4");
    move(&rig, 5, -3, 1, 0);
    ck_assert_str_eq(moved(&rig), "08 05 03"); /* up is positive; no wheel */
    move(&rig, -1, 2, 0, 0);
    ck_assert_str_eq(moved(&rig), ""); /* 100 a second */
    move(&rig, -1, 2, 0, 0);
    board_advance(&rig.board, 10 * MS);
    ck_assert_str_eq(moved(&rig), "38 FE FC"); /* both at once */
    move(&rig, 0, 0, 0, BUTTON_RIGHT);
    move(&rig, 0, 0, 0, 0); /* a short click isn't lost */
    ck_assert_str_eq(moved(&rig), "0A 00 00 08 00 00");
    board_advance(&rig.board, 10 * MS);
    move(&rig, 300, 0, 0, 0);
    ck_assert_str_eq(moved(&rig), "08 7F 00");
    board_advance(&rig.board, 10 * MS);
    ck_assert_str_eq(moved(&rig), "08 7F 00");
    board_advance(&rig.board, 10 * MS);
    ck_assert_str_eq(moved(&rig), "08 2E 00");
    board_advance(&rig.board, 100 * MS);
    ck_assert_str_eq(moved(&rig), "");
    move(&rig, 1, 0, 0, 0);
    ck_assert_str_eq(mse(&rig, "E9"), "FA 20 02 64"); /* a command discards the report */
    board_advance(&rig.board, 10 * MS);
    mse(&rig, "E7 F3 C8");                            /* 2:1, and 200 a second */
    move(&rig, 3, 5, 0, 0);
    ck_assert_str_eq(moved(&rig), "28 03 F7");
    move(&rig, -2, 100, 0, 0);
    board_advance(&rig.board, 5 * MS);
    ck_assert_str_eq(moved(&rig), "38 FF 38");
    rig_free(&rig);
}
END_TEST

START_TEST(mouse_wheel_and_buttons)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_str_eq(mse(&rig, "F3 C8 F3 64 F3 50 F2"), "FA FA FA FA FA FA FA 03");
    mse(&rig, "F4");
    move(&rig, 0, 0, 1, BUTTON_SIDE);
    ck_assert_str_eq(moved(&rig), "08 00 00 FF"); /* away from the user is negative */
    board_advance(&rig.board, 20 * MS);
    move(&rig, 0, 0, -10, 0);
    ck_assert_str_eq(moved(&rig), "08 00 00 07");
    board_advance(&rig.board, 20 * MS);
    ck_assert_str_eq(moved(&rig), "08 00 00 03");
    ck_assert_str_eq(mse(&rig, "F3 C8 F3 C8 F3 50 F2"), "FA FA FA FA FA FA FA 04");
    move(&rig, 0, 0, 0, BUTTON_SIDE);
    ck_assert_str_eq(moved(&rig), "08 00 00 10");
    move(&rig, 0, 0, 2, BUTTON_EXTRA | BUTTON_LEFT);
    ck_assert_str_eq(moved(&rig), "09 00 00 2E");
    ck_assert_str_eq(mse(&rig, "F6 F2"), "FA FA 04");
    mse(&rig, "FF");
    board_advance(&rig.board, 1000 * MS);
    moved(&rig);
    ck_assert_str_eq(mse(&rig, "F2"), "FA 00");
    ck_assert_str_eq(mse(&rig, "F3 C8 F3 3C F3 50 F2"), "FA FA FA FA FA FA FA 00"); /* no knock */
    rig_free(&rig);
}
END_TEST

START_TEST(mouse_remote_and_slow_readers)
{
    struct rig rig;
    char *at;
    int x = 0;

    rig_init(&rig);
    mse(&rig, "F0");
    move(&rig, 7, 0, 0, BUTTON_LEFT);
    ck_assert_str_eq(moved(&rig), "");
    ck_assert_str_eq(mse(&rig, "EB"), "FA 09 07 00");
    ck_assert_str_eq(mse(&rig, "EB"), "FA 09 00 00");
    mse(&rig, "F6 F4");
    for (unsigned i = 0; i < 100; i++) { /* nobody reads */
        move(&rig, 1, 0, 0, 0);
        board_advance(&rig.board, 20 * MS);
    }
    moved(&rig);
    ck_assert_uint_eq(strlen(rig.text) % 9, 8); /* whole reports */
    for (at = rig.text; *at; at += at[8] ? 9 : 8)
        x += (int8_t)strtol(at + 3, NULL, 16);
    board_advance(&rig.board, 20 * MS);
    for (at = (char *)moved(&rig); *at; at += at[8] ? 9 : 8)
        x += (int8_t)strtol(at + 3, NULL, 16);
    ck_assert_int_eq(x, 100);           /* nothing was lost */
    for (unsigned i = 0; i < 1000; i++) /* clicks beyond the buffer are, but not the last state */
        move(&rig, 0, 0, 0, i & 1 ? BUTTON_LEFT : 0);
    move(&rig, 0, 0, 0, BUTTON_RIGHT);
    for (unsigned i = 0; i < 5; i++) {
        moved(&rig);
        board_advance(&rig.board, 20 * MS);
    }
    ck_assert_str_eq(mse(&rig, "E9"), "FA 21 02 64");
    move(&rig, 2000000000, -2000000000, 0, BUTTON_RIGHT);
    move(&rig, 2000000000, -2000000000, 0, BUTTON_RIGHT);
    ck_assert_int_eq(strncmp(moved(&rig), "CA 7F 7F", 8), 0); /* overflow is said */
    rig_free(&rig);
}
END_TEST

START_TEST(random_bytes)
{
    struct rig rig, other;

    rig_init(&rig);
    for (unsigned i = 0; i < 60000; i++) {
        uint32_t a = board_random(&rig.board);
        const struct ps2_cable *cable = a & 1 ? &rig.kbd : &rig.mse;

        if ((a & 6) == 0)
            cable->write(cable->device, a & 8 ? a >> 8 : 0xE0 | (a >> 8 & 31));
        else if ((a & 6) == 2)
            rig.keys.key(rig.keys.opaque, a >> 8 & 255, a & 8);
        else if ((a & 6) == 4)
            move(&rig, (int)board_random(&rig.board), (int)(a >> 8 & 15), (int)(a >> 12) % 3, a >> 16);
        else if (cable->pending(cable->device))
            cable->take(cable->device);
        if (a % 16384 == 0)
            ps2_type_text(rig.keyboard, "Some text.\n");
        board_advance(&rig.board, board_random(&rig.board) % (20 * MS));
        if (i % 5000 == 0) {
            rig_init(&other);
            board_copy_state(&ps2_keyboard_class, rig.keyboard, other.keyboard);
            board_copy_state(&ps2_mouse_class, rig.mouse, other.mouse);
            rig_free(&other);
        }
    }
    board_advance(&rig.board, 1000 * MS);
    said(&rig);
    moved(&rig);
    ck_assert_str_eq(kbd(&rig, "F2"), "FA AB 83"); /* still alive */
    rig_free(&rig);
}
END_TEST

Suite *ps2_suite(void)
{
    Suite *suite = suite_create("ps2");
    TCase *tcase = tcase_create("ps2");

    tcase_add_test(tcase, keyboard_commands);
    tcase_add_test(tcase, code_sets);
    tcase_add_test(tcase, keys_with_moods);
    tcase_add_test(tcase, typematic);
    tcase_add_test(tcase, set_3_key_types);
    tcase_add_test(tcase, overrun);
    tcase_add_test(tcase, typed_text);
    tcase_add_test(tcase, every_ascii_character_has_its_key);
    tcase_add_test(tcase, mouse_commands);
    tcase_add_test(tcase, mouse_reports);
    tcase_add_test(tcase, mouse_wheel_and_buttons);
    tcase_add_test(tcase, mouse_remote_and_slow_readers);
    tcase_add_test(tcase, random_bytes);
    suite_add_tcase(suite, tcase);
    return suite;
}
