/*
 * share.h - a host folder, served to the guest by 9P2000.L; see core/share.h for how it is asked.
 *
 * The guest reaches what is in the folder, and nothing else, whatever its messages say: names in messages are
 * single names, opened with openat2(RESOLVE_BENEATH) from a folder that was reached the same way; symbolic
 * links are handed to the guest as what they are and never followed here; device nodes, FIFOs and sockets are
 * never opened here.
 */
#ifndef HOST_SHARE_H
#define HOST_SHARE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/share.h"

struct log;
struct loop;

/* Whose the files are. */
enum share_owners {
    SHARE_OWNERS_HOST,   /* as on the host: the guest sees and sets the host's owners and modes, as far as the
                            host lets */
    SHARE_OWNERS_MAPPED, /* what the guest sets is kept beside the files, in extended attributes
                            (share_owner.c) */
};

struct host_share_options {
    const char *tag, *path;
    bool read_only;
    enum share_owners owners;
};

/* NULL when that fails; then `why` says in a line with the path what is wrong and what to do. With the
 * machine lock. */
struct share *host_share_open(const struct host_share_options *options, struct loop *loop, struct log *log,
                              char *why, size_t why_size);

/* Whether owners can be kept beside the files of this folder; otherwise errno says why not. */
bool host_share_can_map(const char *path);

#endif
