/*
 * option_share.c - reads the values of --share, TAG=FOLDER[,NAME[=VALUE]]..., and of --root, the same without
 * a tag; see option_values.h. A folder's name may have commas, so parts are taken from the end.
 */
#include <ctype.h>
#include <string.h>

#include "core/option_values.h"

static const struct {
    const char *text;
    bool read_only;
    enum owners_option owners;
} parts[] = {
    {",readonly", true, OWNERS_USUAL},
    {",owners=host", false, OWNERS_HOST},
    {",owners=mapped", false, OWNERS_MAPPED},
};

/* Takes one known part off the end; false when there is none. */
static bool take_part(char *text, struct share_option *share)
{
    for (size_t n = 0; n < sizeof(parts) / sizeof(*parts); n++) {
        size_t length = strlen(text), tail = strlen(parts[n].text);

        if (length < tail || strcmp(text + length - tail, parts[n].text))
            continue;
        text[length - tail] = 0;
        share->read_only |= parts[n].read_only;
        if (parts[n].owners != OWNERS_USUAL)
            share->owners = parts[n].owners;
        return true;
    }
    return false;
}

static bool read_folder(const struct option_row *row, char *text, struct share_option *share, char *why,
                        size_t why_size)
{
    while (take_part(text, share))
        ;
    const char *owners = strstr(text, ",owners=");
    if (owners) {
        snprintf(why, why_size, "--%s: there is no \"%.40s\"; choose from owners=host, owners=mapped",
                 row->name, owners + 1);
        return false;
    }
    if (!*text) {
        snprintf(why, why_size, "--%s: the folder's name is empty; name one, like %s", row->name,
                 row->argument);
        return false;
    }
    share->path = text;
    return true;
}

/* What people can type in the guest, and no part of mount's options. */
static bool good_tag(const char *tag)
{
    size_t length = strlen(tag);

    for (const char *at = tag; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            return false;
    return length && length <= OPTIONS_TAG_MAX;
}

bool set_share(struct options *options, const struct option_row *row, const char *value, char *why,
               size_t why_size)
{
    struct share_option share = {0};
    char *text = options_keep(options, value, why, why_size), *folder;

    if (!text)
        return false;
    if (options->shares == OPTIONS_SHARES) {
        snprintf(why, why_size, "--%s: the machine has room for %d of them; leave out \"%.60s\"", row->name,
                 OPTIONS_SHARES, value);
        return false;
    }
    folder = strchr(text, '=');
    if (folder)
        *folder++ = 0;
    if (!folder || !good_tag(text)) {
        snprintf(why, why_size,
                 "--%s: \"%.60s\" begins with no tag of letters, digits, \".\", \"_\" and \"-\"; give %s",
                 row->name, value, row->argument);
        return false;
    }
    for (unsigned n = 0; n < options->shares; n++)
        if (!strcmp(options->share[n].tag, text)) {
            snprintf(why, why_size, "--%s: the tag %s is there twice; the guest tells folders apart by it",
                     row->name, text);
            return false;
        }
    share.tag = text;
    if (!read_folder(row, folder, &share, why, why_size))
        return false;
    options->share[options->shares++] = share;
    return true;
}

bool set_root(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    struct share_option share = {0};
    char *text = options_keep(options, value, why, why_size);

    if (!text || !read_folder(row, text, &share, why, why_size))
        return false;
    options->root = share;
    return true;
}
