/* screen.c - the text screen of a VGA, where firmware has left one in 80x25 text mode. */
#include "demo.h"

#define COLUMNS 80
#define ROWS    25
#define PITCH   (COLUMNS / 4) /* 64-bit words a row */

#define GFX_INDEX  0x3CE
#define GFX_DATA   0x3CF
#define GFX_MISC   6
#define MISC_MAP   0x0C /* all of it set: the window is at 0xB8000 */
#define MISC_PIXEL 0x01 /* graphics */

#define CRTC_INDEX       0x3D4
#define CRTC_DATA        0x3D5
#define CRTC_CURSOR_HIGH 0x0E
#define CRTC_CURSOR_LOW  0x0F

static volatile uint16_t *const cells = (volatile uint16_t *)0xB8000;
static bool there;
static unsigned row, column;
static uint8_t color = COLOR_TEXT;

/* The graphics controller says it is in text mode, and the memory keeps what is written. */
void screen_init(void)
{
    outb(GFX_INDEX, GFX_MISC);
    if ((inb(GFX_DATA) & (MISC_MAP | MISC_PIXEL)) != MISC_MAP)
        return;
    cells[0] = 0xA55A;
    cells[1] = 0x5AA5;
    there = cells[0] == 0xA55A && cells[1] == 0x5AA5;
    if (!there)
        return;
    for (unsigned i = 0; i < COLUMNS * ROWS; i++)
        cells[i] = COLOR_TEXT << 8 | ' ';
    screen_show_cursor();
}

void screen_color(uint8_t attribute)
{
    color = attribute;
}

static void scroll(void)
{
    volatile uint64_t *words = (volatile uint64_t *)cells;

    for (unsigned i = 0; i < PITCH * (ROWS - 1); i++)
        words[i] = words[i + PITCH];
    for (unsigned i = COLUMNS * (ROWS - 1); i < COLUMNS * ROWS; i++)
        cells[i] = COLOR_TEXT << 8 | ' ';
}

static void next_row(void)
{
    column = 0;
    if (row < ROWS - 1)
        row++;
    else
        scroll();
}

void screen_put(char c)
{
    if (!there)
        return;
    if (c == '\n') {
        next_row();
        return;
    }
    if (column == COLUMNS)
        next_row();
    cells[row * COLUMNS + column] = (uint16_t)(color << 8 | (uint8_t)c);
    column++;
}

void screen_show_cursor(void)
{
    unsigned at = row * COLUMNS + (column < COLUMNS ? column : COLUMNS - 1);

    if (!there)
        return;
    outb(CRTC_INDEX, CRTC_CURSOR_HIGH);
    outb(CRTC_DATA, (uint8_t)(at >> 8));
    outb(CRTC_INDEX, CRTC_CURSOR_LOW);
    outb(CRTC_DATA, (uint8_t)at);
}
