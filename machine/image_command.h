/*
 * image_command.h - `oxbow image`: makes, describes, checks and changes disk images.
 */
#ifndef MACHINE_IMAGE_COMMAND_H
#define MACHINE_IMAGE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;

/* argv[0] is "image". Returns the exit status: 0 done, 1 a check found something, 2 usage, or a file that
 * can't be used, 5 the host failed. */
int image_command(int argc, char **argv);

/* For machine/image_*.c alone. A bar on standard error, if that is a terminal; `total` of 0 takes it away. */
struct image_progress {
    bool shown;
    unsigned percent; /* what is there now */
};
void image_progress_start(struct image_progress *progress);
void image_progress_show(struct image_progress *progress, uint64_t done, uint64_t total);

/*
 * image_copy.c. 0 or an errno value; on failure *failed is the image that failed. `granule` is what is
 * written or left out, a power of 2. `differing`: `to` has other contents by its backing file, and gets only
 * what is different.
 */
int image_copy(struct image *from, struct image *to, uint32_t granule, bool differing,
               const struct image **failed);
/* What lies in `from` itself, to what is behind it. */
int image_copy_down(struct image *from, struct image *to, const struct image **failed);

#endif
