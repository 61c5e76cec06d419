/*
 * overlay.c - see overlay.h. The font's ink becomes the opacity of a white texture.
 */
#include "gui/overlay.h"

#include <stdbool.h>
#include <stdlib.h>

#include "gui/font.h"

#define TEXT_MAX  2048
#define MARGIN    2   /* units around the text */
#define BOX_INK   208 /* opacity, of 255 */
#define FRAME_INK 96

static SDL_Texture *draw_font(SDL_Renderer *renderer, int unit)
{
    int width = FONT_COUNT * FONT_WIDTH * unit, height = FONT_HEIGHT * unit;
    size_t size = (size_t)width * (size_t)height;
    SDL_Texture *texture =
        SDL_CreateTexture(renderer, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_STATIC, width, height);
    uint8_t *ink = malloc(size);
    uint32_t *pixels = malloc(sizeof(*pixels) * size);

    if (texture && ink && pixels) {
        for (unsigned glyph = 0; glyph < FONT_COUNT; glyph++)
            font_draw(glyph, unit, ink + (size_t)glyph * FONT_WIDTH * (size_t)unit, width);
        for (size_t i = 0; i < size; i++)
            pixels[i] = (uint32_t)ink[i] << 24 | 0xFFFFFF;
        SDL_UpdateTexture(texture, NULL, pixels, width * (int)sizeof(*pixels));
        SDL_SetTextureBlendMode(texture, SDL_BLENDMODE_BLEND);
    }
    free(ink);
    free(pixels);
    return texture;
}

void overlay_forget(struct overlay *overlay)
{
    for (int unit = 1; unit <= OVERLAY_UNITS; unit++) {
        if (overlay->fonts[unit])
            SDL_DestroyTexture(overlay->fonts[unit]);
        overlay->fonts[unit] = NULL;
    }
}

static void draw_lines(SDL_Renderer *renderer, SDL_Texture *font, int unit, const char *lines, int left,
                       int top)
{
    int width = FONT_WIDTH * unit, height = FONT_HEIGHT * unit, x = left, y = top;

    for (; *lines; lines++) {
        if (*lines == '\n') {
            x = left;
            y += height;
            continue;
        }
        SDL_Rect from = {.x = (int)font_glyph(*lines) * width, .w = width, .h = height};
        SDL_Rect to = {x, y, width, height};
        SDL_RenderCopy(renderer, font, &from, &to);
        x += width;
    }
}

/* Lines of text as they are laid out. */
struct layout {
    char lines[TEXT_MAX];
    int columns, rows, unit;
};

/* Smaller until it fits; what is in the middle is a list, whose lines shouldn't be broken. */
static void lay_out(struct layout *layout, const char *text, enum overlay_place place, int width, int height)
{
    int widest;

    font_wrap(text, TEXT_MAX, layout->lines, TEXT_MAX, &widest);
    for (layout->unit = SDL_clamp(height / 400 + 1, 1, OVERLAY_UNITS);; layout->unit--) {
        int room = width / layout->unit / FONT_WIDTH - 2;
        layout->rows = font_wrap(text, room, layout->lines, TEXT_MAX, &layout->columns);
        bool fits = (layout->rows * FONT_HEIGHT + 2 * MARGIN) * layout->unit <= height &&
                    (place != OVERLAY_MIDDLE || widest <= room);
        if (fits || layout->unit == 1)
            return;
    }
}

void overlay_draw(struct overlay *overlay, const char *text, enum overlay_place place)
{
    SDL_Renderer *renderer = overlay->renderer;
    struct layout layout;
    int width, height;

    if (SDL_GetRendererOutputSize(renderer, &width, &height))
        return;
    lay_out(&layout, text, place, width, height);
    int unit = layout.unit;
    if (!overlay->fonts[unit])
        overlay->fonts[unit] = draw_font(renderer, unit);
    if (!overlay->fonts[unit])
        return;

    SDL_Rect box = {.w = (layout.columns * FONT_WIDTH + 4 * MARGIN) * unit,
                    .h = (layout.rows * FONT_HEIGHT + 2 * MARGIN) * unit};
    box.x = (width - box.w) / 2;
    if (place == OVERLAY_TOP)
        box.y = MARGIN * unit;
    else if (place == OVERLAY_BOTTOM)
        box.y = height - box.h - MARGIN * unit;
    else
        box.y = (height - box.h) / 2;
    SDL_SetRenderDrawBlendMode(renderer, SDL_BLENDMODE_BLEND);
    SDL_SetRenderDrawColor(renderer, 0, 0, 0, BOX_INK);
    SDL_RenderFillRect(renderer, &box);
    SDL_SetRenderDrawColor(renderer, 255, 255, 255, FRAME_INK);
    SDL_RenderDrawRect(renderer, &box);
    draw_lines(renderer, overlay->fonts[unit], unit, layout.lines, box.x + 2 * MARGIN * unit,
               box.y + MARGIN * unit);
}
