/*
 * screen.c - the graphics adapter with its memory and its BIOS, and the picture of it that --screenshot asks
 * for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bios/font.h"
#include "config.h"
#include "devices/vga.h"
#include "gui/png.h"
#include "machine/machine.h"

#define VIDEO_BIOS     OXBOW_FIRMWARE_DIR "/vgabios-stdvga.bin"
#define VRAM_SIZE      (64u << 20) /* two pictures of 3840x2160 with 32 bits, as Linux's driver wants there */
#define VIDEO_BIOS_MAX (256u << 10)

/* Kernels that are started directly find no adapter unless somebody is to look at it. */
bool screen_wanted(const struct machine *m)
{
    return m->bios.size || m->options->screenshot || strcmp(machine_display(m), "none");
}

bool screen_build(struct machine *m, char *why, size_t why_size)
{
    struct host_file rom;
    struct vga *vga;
    char reason[300];

    m->vram = host_ram_new(VRAM_SIZE, why, why_size);
    if (!m->vram)
        return false;
    if (!host_file_read(&rom, VIDEO_BIOS, VIDEO_BIOS_MAX, reason, sizeof(reason)) && m->bios.size)
        log_at(m->log, LOG_WARN, "oxbow", "no video BIOS, so firmware shows nothing: %s", reason);
    snprintf(why, why_size, "out of memory");
    vga = vga_new(m->pci_bus, m->memory, m->ports, m->clock, m->vram->base, VRAM_SIZE, rom.data, rom.size,
                  m->log);
    host_file_free(&rom);
    if (!vga || m->chip_count == MACHINE_CHIPS)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){&vga_class, vga};
    m->vga = vga;
    m->display = vga_display(vga);
    return true;
}

void screen_set_text_mode(struct machine *m)
{
    uint8_t font[256][FONT_ROWS];

    if (!m->vga)
        return;
    font_make(font);
    vga_set_text_mode(m->vga, font);
}

/* Whether the picture can be made beside `path` and then take its place; a device or a link stays what it is.
 */
static bool can_replace(const char *path)
{
    struct stat info;

    return lstat(path, &info) || S_ISREG(info.st_mode);
}

/* As portable pixmap: for programs that want no library. */
static bool ppm_write(const struct surface *surface, const char *path, char *why, size_t why_size)
{
    FILE *out = fopen(path, "wb");

    if (out) {
        fprintf(out, "P6\n%d %d\n255\n", surface->width, surface->height);
        for (size_t n = 0; n < (size_t)surface->width * (size_t)surface->height; n++) {
            uint32_t p = surface->pixels[n];
            putc((int)(p >> 16 & 0xFF), out);
            putc((int)(p >> 8 & 0xFF), out);
            putc((int)(p & 0xFF), out);
        }
    }
    bool done = out && !ferror(out);
    if (out && fclose(out))
        done = false;
    if (!done)
        snprintf(why, why_size, "%s", strerror(errno));
    return done;
}

static bool write_picture(const struct surface *surface, const char *path, bool ppm, char *why,
                          size_t why_size)
{
    size_t size = strlen(path) + sizeof(".new");
    char *new_path = malloc(size);

    snprintf(why, why_size, "out of memory");
    if (!new_path)
        return false;
    snprintf(new_path, size, "%s.new", path);
    bool replace = can_replace(path);
    bool written = ppm ? ppm_write(surface, replace ? new_path : path, why, why_size)
                       : png_write(surface, replace ? new_path : path, why, why_size);
    if (written && replace && rename(new_path, path)) {
        snprintf(why, why_size, "%s", strerror(errno));
        unlink(new_path);
        written = false;
    }
    free(new_path);
    return written;
}

bool screen_write(struct machine *m, const char *path, bool ppm, char *why, size_t why_size)
{
    struct rect damage;
    bool done = false;

    pthread_mutex_lock(&m->lock);
    const struct surface *surface = display_refresh(&m->display, true, &damage);
    if (surface)
        done = write_picture(surface, path, ppm, why, why_size);
    else
        snprintf(why, why_size, m->vga ? "the guest's screen is off" : "the machine has no screen");
    pthread_mutex_unlock(&m->lock);
    viewer_refresh_all(m);
    return done;
}

void screen_save(struct machine *m)
{
    const char *path = m->options->screenshot;
    char why[200];

    if (path && !screen_write(m, path, false, why, sizeof(why)))
        log_at(m->log, LOG_ERROR, "oxbow", "--screenshot %s: %s", path, why);
}
