/*
 * qemu_list.c - reads lists of properties; see qemu_list.h.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/qemu_list.h"

/* Ends the word at `at` with a 0, single commas for double ones; returns what is behind its comma, NULL:
 * nothing. */
static char *cut_word(char *at)
{
    char *to = at;

    for (; *at; at++) {
        if (*at == ',' && at[1] == ',')
            at++;
        else if (*at == ',')
            break;
        *to++ = *at;
    }
    char *rest = *at ? at + 1 : NULL;
    *to = 0;
    return rest;
}

bool qemu_list_read(struct qemu_list *list, const char *text, const char *first)
{
    *list = (struct qemu_list){.text = strdup(text)};
    for (char *word = list->text, *next; word; word = next) {
        char *equals;
        next = cut_word(word);
        if (list->count == QEMU_LIST_MAX)
            return false;
        equals = strchr(word, '=');
        if (equals) {
            *equals = 0;
            list->item[list->count].name = word;
            list->item[list->count].value = equals + 1;
        } else if (!list->count && first) {
            list->item[list->count].name = first;
            list->item[list->count].value = word;
        } else if (!strncmp(word, "no", 2) && strcmp(word, "none") && strcmp(word, "nowait")) {
            list->item[list->count].name = word + 2; /* "noreadonly" of old */
            list->item[list->count].value = "off";
        } else {
            list->item[list->count].name = word;
            list->item[list->count].value = "on";
        }
        list->count++;
    }
    return list->text;
}

void qemu_list_free(struct qemu_list *list)
{
    free(list->text);
    list->text = NULL;
}

const char *qemu_list_get(struct qemu_list *list, const char *name)
{
    const char *value = NULL;

    for (unsigned n = 0; n < list->count; n++)
        if (!strcmp(list->item[n].name, name)) {
            value = list->item[n].value;
            list->item[n].used = true;
        }
    return value;
}

bool qemu_list_is_on(struct qemu_list *list, const char *name, bool otherwise)
{
    const char *value = qemu_list_get(list, name);

    if (!value)
        return otherwise;
    return strcmp(value, "off") && strcmp(value, "no") && strcmp(value, "false") && strcmp(value, "0");
}

const char *qemu_list_unused(const struct qemu_list *list)
{
    for (unsigned n = 0; n < list->count; n++)
        if (!list->item[n].used)
            return list->item[n].name;
    return NULL;
}
