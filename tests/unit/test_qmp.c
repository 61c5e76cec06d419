/*
 * test_qmp.c - the control socket's protocol: messages from bytes in any pieces, and the answers to those
 * that need no machine.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug/qmp.h"
#include "tests/oracle/random.h"

struct dialogue {
    struct qmp_reader reader;
    struct qmp_session session;
    char *text; /* all answers, a line each */
    size_t size;
    FILE *out;
};

static void begin(struct dialogue *d)
{
    *d = (struct dialogue){0};
    d->out = open_memstream(&d->text, &d->size);
}

static void end(struct dialogue *d)
{
    qmp_reader_free(&d->reader);
    fclose(d->out);
    free(d->text);
}

static void say(struct dialogue *d, struct json_object *answer)
{
    fprintf(d->out, "%s\n", json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
    json_object_put(answer);
}

static void hear(struct dialogue *d, const char *data, size_t size)
{
    while (size) {
        struct json_object *message;
        const char *error;
        size_t used = qmp_read(&d->reader, data, size, &message, &error);

        ck_assert_uint_gt(used, 0);
        ck_assert_uint_le(used, size);
        ck_assert(!message || !error);
        data += used;
        size -= used;
        if (error)
            say(d, qmp_refusal(error));
        if (message)
            say(d, qmp_handle(&d->session, message));
        json_object_put(message);
    }
    fflush(d->out);
}

/* What is said, and what the answers to it are. */
static void exchange(const char *said, const char *answers)
{
    struct dialogue d;

    begin(&d);
    hear(&d, "{\"execute\":\"qmp_capabilities\"}\n", 31);
    fflush(d.out);
    size_t start = d.size;
    hear(&d, said, strlen(said));
    ck_assert_str_eq(d.text + start, answers);
    end(&d);
}

#define ERROR(text)     "{\"error\":{\"class\":\"GenericError\",\"desc\":\"" text "\"}}\n"
#define NOT_FOUND(text) "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"" text "\"}}\n"

START_TEST(greeting)
{
    struct json_object *greeting = qmp_greeting(), *qmp, *version, *number;

    ck_assert(json_object_object_get_ex(greeting, "QMP", &qmp));
    ck_assert(json_object_object_get_ex(qmp, "version", &version));
    ck_assert(json_object_object_get_ex(version, "qemu", &number));
    ck_assert(json_object_is_type(json_object_object_get(number, "major"), json_type_int));
    ck_assert(json_object_is_type(json_object_object_get(number, "minor"), json_type_int));
    ck_assert(json_object_is_type(json_object_object_get(number, "micro"), json_type_int));
    ck_assert(json_object_is_type(json_object_object_get(version, "package"), json_type_string));
    ck_assert(json_object_is_type(json_object_object_get(qmp, "capabilities"), json_type_array));
    json_object_put(greeting);
}
END_TEST

START_TEST(capabilities_come_first)
{
    struct dialogue d;

    begin(&d);
    hear(&d, "{ \"execute\": \"query-version\", \"id\": 1 }\n", 40);
    ck_assert_ptr_nonnull(strstr(d.text, "\"class\":\"CommandNotFound\""));
    ck_assert_ptr_nonnull(strstr(d.text, "\"id\":1}"));
    size_t start = d.size;
    hear(&d, "{ \"execute\": \"qmp_capabilities\" }\n", 34);
    ck_assert_str_eq(d.text + start, "{\"return\":{}}\n");
    start = d.size;
    hear(&d, "{ \"execute\": \"qmp_capabilities\" }\n", 34);
    ck_assert_ptr_nonnull(strstr(d.text + start, "CommandNotFound"));
    end(&d);
}
END_TEST

START_TEST(ids_come_back)
{
    exchange("{\"execute\":\"query-target\",\"id\":\"example\"}",
             "{\"return\":{\"arch\":\"x86_64\"},\"id\":\"example\"}\n");
    exchange("{\"execute\":\"query-name\",\"id\":[1,{\"a\":false}]}",
             "{\"return\":{},\"id\":[1,{\"a\":false}]}\n");
    exchange("{\"id\":{},\"execute\":\"query-name\"}", "{\"return\":{},\"id\":{}}\n");
}
END_TEST

START_TEST(syntax)
{
    exchange("{ \"execute\": }\n", ERROR("this is not JSON"));
    exchange("garbage and more garbage\n{\"execute\":\"query-name\"}\n",
             ERROR("this is not JSON") "{\"return\":{}}\n");
    exchange("[1, 2]\n{\"execute\":\"query-name\"}\n",
             ERROR("a message is a JSON object") "{\"return\":{}}\n");
    exchange("12\n\"text\"\nnull\n", ERROR("a message is a JSON object") ERROR("a message is a JSON object")
                                         ERROR("a message is a JSON object"));
    exchange("{\n  \"execute\":\n  \"query-name\"\n}\n", "{\"return\":{}}\n");
    exchange("{\"execute\":\"query-name\"}{\"execute\":\"query-name\"}",
             "{\"return\":{}}\n{\"return\":{}}\n");
    exchange("{\"execute\":\"query-name\"\xff}\n", ERROR("this is not JSON"));
    exchange("\n\r\n   \n", "");
}
END_TEST

START_TEST(messages)
{
    exchange("{}\n", ERROR("the message has no \\\"execute\\\""));
    exchange("{\"execute\":7}\n", ERROR("\\\"execute\\\" is to be a string"));
    exchange("{\"execute\":\"query-name\",\"arguments\":3}\n", ERROR("\\\"arguments\\\" is to be an object"));
    exchange("{\"execute\":\"query-name\",\"argument\":{}}\n",
             ERROR("a message has no \\\"argument\\\"; it has execute, arguments and id"));
    exchange("{\"execute\":\"query-name\",\"arguments\":{\"x\":1}}\n",
             ERROR("query-name has no argument \\\"x\\\""));
    exchange("{\"execute\":\"screendump\"}\n", ERROR("the argument \\\"filename\\\" is missing"));
    exchange("{\"execute\":\"screendump\",\"arguments\":{\"filename\":1}}\n",
             ERROR("the argument \\\"filename\\\" is to be a string"));
    exchange("{\"execute\":\"frobnicate\"}\n",
             NOT_FOUND("there is no command \\\"frobnicate\\\"; query-commands lists them"));
    exchange("{\"exec-oob\":\"query-name\",\"id\":42}\n",
             "{\"error\":{\"class\":\"GenericError\",\"desc\":\"out-of-band execution is not among the "
             "capabilities "
             "offered\"},\"id\":42}\n");
}
END_TEST

/* A line of `size` bytes in pieces, as a socket brings them. */
static void hear_repeated(struct dialogue *d, const char *piece, size_t times)
{
    for (size_t n = 0; n < times; n++)
        hear(d, piece, strlen(piece));
}

START_TEST(too_long_and_too_deep)
{
    char spaces[4097];
    struct dialogue d;

    memset(spaces, 'x', sizeof(spaces) - 1);
    spaces[sizeof(spaces) - 1] = 0;
    begin(&d);
    hear(&d, "{\"execute\":\"", 12);
    hear_repeated(&d, spaces, 25000); /* 100 MB */
    hear(&d, "\"}\n{\"execute\":\"qmp_capabilities\"}\n", 34);
    ck_assert_str_eq(d.text, ERROR("the message is longer than a MiB") "{\"return\":{}}\n");
    end(&d);

    begin(&d);
    hear_repeated(&d, "[", 100000);
    hear(&d, "\n{\"execute\":\"qmp_capabilities\"}\n", 32);
    ck_assert_str_eq(d.text, ERROR("objects and arrays are nested too deeply") "{\"return\":{}}\n");
    end(&d);
}
END_TEST

/* However a stream is cut, the answers are the same. */
START_TEST(any_pieces)
{
    static const char stream[] =
        "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-name\",\"id\":\"\\u00e9\"}\n"
        "nonsense {\n [ {} ]\n{\"execute\":\"x\"}\r\n 12 \n{\"execute\":\"query-target\"}\n";
    struct random random = {3};
    struct dialogue whole;

    begin(&whole);
    hear(&whole, stream, sizeof(stream) - 1);
    for (unsigned n = 0; n < 500; n++) {
        struct dialogue cut;

        begin(&cut);
        for (size_t at = 0, size; at < sizeof(stream) - 1; at += size) {
            size = 1 + below(&random, 1 + n % 20);
            if (size > sizeof(stream) - 1 - at)
                size = sizeof(stream) - 1 - at;
            hear(&cut, stream + at, size);
        }
        ck_assert_str_eq(cut.text, whole.text);
        end(&cut);
    }
    end(&whole);
}
END_TEST

Suite *qmp_suite(void)
{
    Suite *suite = suite_create("qmp");
    TCase *tc = tcase_create("qmp");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, greeting);
    tcase_add_test(tc, capabilities_come_first);
    tcase_add_test(tc, ids_come_back);
    tcase_add_test(tc, syntax);
    tcase_add_test(tc, messages);
    tcase_add_test(tc, too_long_and_too_deep);
    tcase_add_test(tc, any_pieces);
    suite_add_tcase(suite, tc);
    return suite;
}
