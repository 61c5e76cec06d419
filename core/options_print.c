/*
 * options_print.c - the option table as --help and as the man page's source; see options.h.
 */
#include <string.h>

#include "core/options.h"

#define WIDTH  79
#define INDENT 26

/* Prints words from column `at` on, breaking lines at WIDTH; continuation lines start at `indent`. */
static void print_wrapped(FILE *out, const char *text, int at, int indent)
{
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (at > indent && at + 1 + length > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", length, text);
        at += length;
        text += length + (text[length] == ' ');
    }
    fputc('\n', out);
}

/* `left` in its column, and `help` beside it, or below when it is too long. */
static void print_columns(FILE *out, const char *left, const char *help)
{
    fputs(left, out);
    int at = (int)strlen(left);
    if (at + 2 > INDENT) {
        fputc('\n', out);
        at = 0;
    }
    fprintf(out, "%*s", INDENT - at, "");
    print_wrapped(out, help, INDENT, INDENT);
}

static void print_row(FILE *out, const struct option_row *row)
{
    char left[64], letter[8] = "    ", help[512];

    if (row->letter)
        snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    if (row->positional)
        snprintf(left, sizeof(left), "  %s", row->argument);
    else
        snprintf(left, sizeof(left), "  %s--%s%s%s", letter, row->name,
                 row->argument && row->argument[0] != '[' ? " " : "", row->argument ? row->argument : "");
    snprintf(help, sizeof(help), "%s%s%s%s", row->help, row->initial ? " [" : "",
             row->initial ? row->initial : "", row->initial ? "]" : "");
    print_columns(out, left, help);
}

static void print_command(FILE *out, const struct command_row *row)
{
    char left[64];

    snprintf(left, sizeof(left), "  oxbow %s%s%s", row->name, *row->arguments ? " " : "", row->arguments);
    print_columns(out, left, row->help);
}

void options_print_help(FILE *out, const struct command_row *commands)
{
    const char *group = "";

    fputs("Usage: oxbow [OPTION]... [IMAGE]\n"
          "       oxbow COMMAND [ARGUMENT]...\n\n"
          "Runs a whole x86-64 PC. Without an image, it boots a small demo guest.\n",
          out);
    for (const struct option_row *row = option_table; row->name; row++) {
        if (!row->group)
            continue;
        if (strcmp(row->group, group))
            fprintf(out, "\n%s:\n", row->group);
        group = row->group;
        print_row(out, row);
    }
    fputs("\nCommands, each with its own --help:\n", out);
    for (const struct command_row *row = commands; row->name; row++)
        print_command(out, row);
    fputs("\nExit status:\n", out);
    for (const struct exit_row *row = exit_table; row->status; row++) {
        fprintf(out, "  %-*s", 8, row->status);
        print_wrapped(out, row->meaning, 10, 10);
    }
    fputs("\nSerial on stdio: Ctrl-A then X quits, Ctrl-A twice sends one Ctrl-A.\n"
          "\nExamples:\n"
          "  oxbow\n"
          "  oxbow --kernel vmlinuz --initrd initrd.gz --append console=ttyS0\n",
          out);
}

/* Text as man(7) source: no line may begin with a control character, and dashes are not hyphens. */
static void print_roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
    }
}

static void print_roff_row(FILE *out, const struct option_row *row)
{
    fputs(".TP\n.B ", out);
    if (row->positional) {
        print_roff(out, row->argument);
    } else {
        if (row->letter)
            fprintf(out, "\\-%c, ", row->letter);
        fputs("\\-\\-", out);
        print_roff(out, row->name);
        if (row->argument) {
            fprintf(out, "%s\\fI", row->argument[0] == '[' ? "" : " ");
            print_roff(out, row->argument);
            fputs("\\fP", out);
        }
    }
    fputc('\n', out);
    print_roff(out, row->help);
    if (row->initial) {
        fputs("\nDefault: ", out);
        print_roff(out, row->initial);
        fputc('.', out);
    }
    fputc('\n', out);
}

void options_print_man(FILE *out, const struct command_row *commands)
{
    const char *group = "";

    fputs(".SH OPTIONS\n", out);
    for (const struct option_row *row = option_table; row->name; row++) {
        if (!row->group)
            continue;
        if (strcmp(row->group, group))
            fprintf(out, ".SS %s\n", row->group);
        group = row->group;
        print_roff_row(out, row);
    }
    fputs(".SH COMMANDS\n", out);
    for (const struct command_row *row = commands; row->name; row++) {
        fprintf(out, ".TP\n.B oxbow %s\n.I ", row->name);
        print_roff(out, row->arguments);
        fputc('\n', out);
        print_roff(out, row->help);
        fputc('\n', out);
    }
    fputs(".SH EXIT STATUS\n", out);
    for (const struct exit_row *row = exit_table; row->status; row++) {
        fprintf(out, ".TP\n.B %s\n", row->status);
        print_roff(out, row->meaning);
        fputc('\n', out);
    }
}
