/*
 * window_draw.c - the guest's picture lies in a texture, into which goes only what changed.
 */
#include <stdio.h>

#include "gui/window_internal.h"

static const char question[] = "Switch off without a shutdown?\n"
                               "The guest may lose what it has not written.\n"
                               "\n"
                               "Enter   switch off (so does closing again)\n"
                               "Esc     go on";

void window_forget_textures(struct window *w)
{
    overlay_forget(&w->overlay);
    if (w->texture)
        SDL_DestroyTexture(w->texture);
    w->texture = NULL;
    w->fetch_all = w->stale = true;
}

/* The texture for a surface of another size. */
static void new_texture(struct window *w, const struct surface *surface)
{
    char note[NOTE_SIZE];

    if (w->texture)
        SDL_DestroyTexture(w->texture);
    w->texture = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                                   surface->width, surface->height);
    w->guest_width = surface->width;
    w->guest_height = surface->height;
    if (w->texture)
        return;
    snprintf(note, sizeof(note), "The desktop cannot show a picture of %dx%d: %s", surface->width,
             surface->height, SDL_GetError());
    window_note(w, note);
}

static struct rect clip(struct rect rect, const struct surface *surface)
{
    int left = SDL_max(rect.x, 0), top = SDL_max(rect.y, 0);
    int right = SDL_min(rect.x + rect.width, surface->width),
        bottom = SDL_min(rect.y + rect.height, surface->height);

    return right > left && bottom > top ? (struct rect){left, top, right - left, bottom - top}
                                        : (struct rect){0};
}

static void upload(struct window *w, const struct surface *surface, struct rect damage)
{
    damage = clip(damage, surface);
    if (!damage.width || !w->texture)
        return;
    SDL_Rect area = {damage.x, damage.y, damage.width, damage.height};
    const uint32_t *from = surface->pixels + (size_t)damage.y * (size_t)surface->width + damage.x;
    SDL_UpdateTexture(w->texture, &area, from, surface->width * (int)sizeof(*from));
    w->stale = true;
    w->active = SDL_GetTicks64();
}

void window_refresh(struct window *w)
{
    struct rect damage;
    bool resized = false;

    window_lock(w);
    const struct surface *surface = display_refresh(&w->config.source, w->fetch_all, &damage);
    bool on = surface && surface->width > 0 && surface->height > 0;
    if (on) {
        resized = surface->width != w->guest_width || surface->height != w->guest_height;
        if (resized || (w->fetch_all && !w->texture))
            new_texture(w, surface);
        if (resized || w->fetch_all || !w->screen_on)
            damage = (struct rect){0, 0, surface->width, surface->height};
        upload(w, surface, damage);
    }
    window_unlock(w);

    w->stale |= on != w->screen_on;
    w->screen_on = on;
    w->fetch_all = false;
    if (resized && !w->user_sized)
        window_fit(w);
}

static void draw_picture(struct window *w)
{
    int width, height;
    bool sharp;

    if (!w->guest_width || SDL_GetRendererOutputSize(w->renderer, &width, &height) || width < 1 || height < 1)
        return;
    w->picture = scale_fit(w->scale, w->guest_width, w->guest_height, width, height, &sharp);
    if (!w->texture || !w->screen_on)
        return;
    SDL_Rect to = {w->picture.x, w->picture.y, w->picture.width, w->picture.height};
    SDL_SetTextureScaleMode(w->texture, sharp ? SDL_ScaleModeNearest : SDL_ScaleModeLinear);
    SDL_RenderCopy(w->renderer, w->texture, NULL, &to);
}

static void draw_overlays(struct window *w)
{
    char list[1000];

    if (w->status.state == WINDOW_PAUSED)
        overlay_draw(&w->overlay, "Paused: Ctrl-Alt-P goes on", OVERLAY_TOP);
    if (w->note[0])
        overlay_draw(&w->overlay, w->note, OVERLAY_BOTTOM);
    if (w->closing.last == CLOSING_ASK) {
        overlay_draw(&w->overlay, question, OVERLAY_MIDDLE);
    } else if (w->listing) {
        window_list_shortcuts(w, list, sizeof(list));
        overlay_draw(&w->overlay, list, OVERLAY_MIDDLE);
    }
}

void window_draw(struct window *w)
{
    if (!w->stale)
        return;
    SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
    SDL_RenderClear(w->renderer);
    draw_picture(w);
    draw_overlays(w);
    SDL_RenderPresent(w->renderer);
    w->stale = false;
}
