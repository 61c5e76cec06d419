/*
 * font.c - a glyph is a few strokes between points of a grid, 0 to 4 across and 0 to 8 down; 0 is the top of
 * capitals, 2 that of small letters, 6 the base line. Strokes are separated by a space, a point is two
 * digits; a stroke of one point is a dot:
 *
 *     "2024 26"  is "!": a line from (2,0) to (2,4), and a dot at (2,6).
 *
 * The ink on a pixel follows from its distance to the nearest stroke.
 */
#include "gui/font.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define BOX '\177'

static const char *const glyphs[FONT_COUNT] = {
    /* space */ "",
    /* ! */ "2024 26",
    /* " */ "1012 3032",
    /* # */ "1016 3036 0242 0444",
    /* $ */ "413010010213334445361605 2026",
    /* % */ "0010110100 3545463635 4006",
    /* & */ "460201102031320405162644",
    /* ' */ "2022",
    /* ( */ "30212536",
    /* ) */ "10212516",
    /* * */ "2125 0244 0442",
    /* + */ "2125 0343",
    /* , */ "2617",
    /* - */ "0343",
    /* . */ "26",
    /* / */ "4006",
    /* 0 */ "103041453616050110 1432",
    /* 1 */ "112026 1636",
    /* 2 */ "01103041420646",
    /* 3 */ "0110304142334445361605 1333",
    /* 4 */ "36300444",
    /* 5 */ "400002324345361605",
    /* 6 */ "413010010516364544331304",
    /* 7 */ "004016",
    /* 8 */ "103041423344453616050413020110 1333",
    /* 9 */ "051636454130100102133342",
    /* : */ "23 26",
    /* ; */ "23 2617",
    /* < */ "410345",
    /* = */ "0242 0444",
    /* > */ "014305",
    /* ? */ "01103041422324 26",
    /* @ */ "3616050110304144242242",
    /* A */ "062046 1434",
    /* B */ "06003041423303 3344453606",
    /* C */ "4130100105163645",
    /* D */ "00304145360600",
    /* E */ "40000646 0333",
    /* F */ "400006 0333",
    /* G */ "41301001051636454323",
    /* H */ "0006 4046 0343",
    /* I */ "1030 2026 1636",
    /* J */ "2040 3035261605",
    /* K */ "0006 400346",
    /* L */ "000646",
    /* M */ "0600234046",
    /* N */ "06004640",
    /* O */ "103041453616050110",
    /* P */ "06003041423303",
    /* Q */ "103041453616050110 2446",
    /* R */ "06003041423303 2346",
    /* S */ "413010010213334445361605",
    /* T */ "0040 2026",
    /* U */ "000516364540",
    /* V */ "002640",
    /* W */ "0016233640",
    /* X */ "0046 4006",
    /* Y */ "002340 2326",
    /* Z */ "00400646",
    /* [ */ "30202636",
    /* \ */ "0046",
    /* ] */ "10202616",
    /* ^ */ "022042",
    /* _ */ "0747",
    /* ` */ "1021",
    /* a */ "12324346 441405163645",
    /* b */ "0006 0312324345361605",
    /* c */ "4332120305163645",
    /* d */ "4046 4332120305163645",
    /* e */ "04444332120305163645",
    /* f */ "40302126 1232",
    /* g */ "4332120305163645 4247381807",
    /* h */ "0006 0312324346",
    /* i */ "122226 1636 20",
    /* j */ "2232372818 30",
    /* k */ "0006 420446",
    /* l */ "10202536",
    /* m */ "0206 03122326 23324346",
    /* n */ "0206 0312324346",
    /* o */ "123243453616050312",
    /* p */ "0208 0312324345361605",
    /* q */ "4248 4332120305163645",
    /* r */ "0206 03123243",
    /* s */ "43321203143445361605",
    /* t */ "20253646 1242",
    /* u */ "0205163645 4246",
    /* v */ "022642",
    /* w */ "0216243642",
    /* x */ "0246 4206",
    /* y */ "0226 4218",
    /* z */ "02420646",
    /* { */ "30212213242536",
    /* | */ "2027",
    /* } */ "10212233242516",
    /* ~ */ "03123443",
    /* box */ "0040460600",
};

unsigned font_glyph(char character)
{
    unsigned glyph = (unsigned char)character - (unsigned)FONT_FIRST;

    return glyph < FONT_COUNT ? glyph : FONT_COUNT - 1;
}

struct point {
    float x, y;
};

/* In pixels. Half a pixel more puts strokes on the middle of pixels, not between them. */
static struct point grid_point(const char *digits, int unit)
{
    return (struct point){(float)((digits[0] - '0' + 1) * unit) + (unit > 1 ? 0.5f : -0.5f),
                          (float)((digits[1] - '0' + 1) * unit) + 0.5f};
}

static float distance(struct point p, struct point a, struct point b)
{
    float dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
    float along = length > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length : 0;

    along = fminf(fmaxf(along, 0), 1);
    return hypotf(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

/* Distance to the nearest stroke; dots are fatter. */
static float nearest(const char *strokes, struct point p, int unit)
{
    float best = 1000;

    for (const char *at = strokes; *at;) {
        struct point last = grid_point(at, unit);
        bool dot = at[2] == ' ' || !at[2];

        if (dot)
            best = fminf(best, distance(p, last, last) - 0.2f * (float)unit);
        for (at += 2; *at && *at != ' '; at += 2) {
            struct point next = grid_point(at, unit);
            best = fminf(best, distance(p, last, next));
            last = next;
        }
        if (*at == ' ')
            at++;
    }
    return best;
}

void font_draw(unsigned glyph, int unit, uint8_t *ink, int stride)
{
    float half = fmaxf(0.5f, 0.36f * (float)unit);

    for (int y = 0; y < FONT_HEIGHT * unit; y++) {
        for (int x = 0; x < FONT_WIDTH * unit; x++) {
            float away = nearest(glyphs[glyph], (struct point){(float)x + 0.5f, (float)y + 0.5f}, unit);
            float part = fminf(fmaxf(half + 0.5f - away, 0), 1);
            ink[y * stride + x] = (uint8_t)(255 * part + 0.5f);
        }
    }
}

/* The end of the line that starts here: after `columns` characters, or at the last space before. */
static int break_line(const char *line, int length, int columns)
{
    if (length <= columns)
        return length;
    for (int at = columns; at > 0; at--) {
        if (line[at] == ' ')
            return at;
    }
    return columns;
}

/* ASCII alone, one byte a character; returns the size without the 0. */
static int to_ascii(const char *text, char *ascii, int size)
{
    int used = 0;

    for (; *text && used < size - 1; text++) {
        /* The bytes of a character after its first. */
        if (((unsigned char)*text & 0xC0) == 0x80)
            continue;
        ascii[used++] = (*text >= ' ' && *text < BOX) || *text == '\n' ? *text : BOX;
    }
    ascii[used] = 0;
    return used;
}

int font_wrap(const char *text, int columns, char *wrapped, int size, int *width)
{
    int lines = 0, at = 0, end = to_ascii(text, wrapped, size);

    *width = 0;
    if (columns < 1)
        columns = 1;
    while (at < end) {
        int rest = (int)strcspn(wrapped + at, "\n"), length = break_line(wrapped + at, rest, columns);
        int next = at + length;

        lines++;
        if (length > *width)
            *width = length;
        if (length < rest && wrapped[next] != ' ') {
            /* A word longer than a line: room for a line end. */
            if (end + 1 >= size) {
                wrapped[next] = 0;
                return lines;
            }
            memmove(wrapped + next + 1, wrapped + next, (size_t)(end - next + 1));
            end++;
        }
        if (next < end)
            wrapped[next] = '\n';
        at = next + 1;
    }
    return lines;
}
