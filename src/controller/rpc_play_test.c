/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every method of spec/rpc.yaml, called: without an argument, with each member of a wrong type, out
 * of range, with descriptors nobody asked for. What refuses is the decoder, with the text that the
 * member's row gives; the server lives and no descriptor stays.
 */
#include <libfyaml.h>

#include "controller/internal.h"
#include "controller/testing.h"

#define SLEEPER BENCH_SPEC("\"sleep\"", "")

/* A value that TYPE cannot take, and Go's word for it; NULL: it takes anything. */
static const char *wrong_value(const struct wire_type *type, const char **word)
{
    switch (type->kind) {
    case WIRE_INT:
    case WIRE_UINT:
    case WIRE_BOOL:
    case WIRE_DOUBLE:
    case WIRE_LIST:
    case WIRE_MAP:
    case WIRE_STRUCT:
    case WIRE_OPTIONAL:
        *word = "string";
        return "\"x\"";
    case WIRE_STRING:
    case WIRE_BYTES:
        *word = "number";
        return "7";
    default:
        return NULL;
    }
}

static const char *short_struct_name(const struct wire_type *type)
{
    const char *dot = strrchr(type->name, '.');
    return dot ? dot + 1 : type->name;
}

/* A pointer's error names what it points to. */
static const char *type_name(const struct wire_type *type)
{
    return type->kind == WIRE_OPTIONAL ? type->element->name : type->name;
}

static void play_member(struct client *client, const struct rpc_method *method,
                        const struct wire_field *field)
{
    char arg[256], want[512];
    const char *word, *value = wrong_value(field->type, &word);
    if (value) {
        snprintf(arg, sizeof arg, "{\"%s\":%s}", field->name, value);
        snprintf(want, sizeof want,
                 "json: cannot unmarshal %s into Go struct field %s.%s of type %s", word,
                 short_struct_name(method->arg), field->name, type_name(field->type));
        EXPECT_ERROR(client_call(client, method->name, arg), want);
    }
    bool is_int = field->type->kind == WIRE_INT || field->type->kind == WIRE_UINT;
    for (u32 i = 0; is_int && i < 2; i++) {
        const char *number = i ? "1.5" : "18446744073709551616";
        snprintf(arg, sizeof arg, "{\"%s\":%s}", field->name, number);
        snprintf(want, sizeof want,
                 "json: cannot unmarshal number %s into Go struct field %s.%s of type %s", number,
                 short_struct_name(method->arg), field->name, type_name(field->type));
        EXPECT_ERROR(client_call(client, method->name, arg), want);
    }
}

static void play_types(struct client *client, const struct rpc_method *method)
{
    char want[256];
    if (!method->arg)
        return;
    if (method->arg->kind == WIRE_STRUCT) {
        const struct wire_field *only = method->arg->fields;
        bool is_string = only->name && only->name[0] == '\0';
        for (const struct wire_field *field = method->arg->fields; field->name && !is_string;
             field++)
            play_member(client, method, field);
        snprintf(want, sizeof want, "json: cannot unmarshal array into Go value of type %s",
                 method->arg->name);
    } else {
        snprintf(want, sizeof want, "json: cannot unmarshal array into Go value of type %s",
                 method->arg->name);
    }
    EXPECT_ERROR(client_call(client, method->name, "[]"), want);
}

static void play_missing(struct bench *bench, struct client *client,
                         const struct rpc_method *method)
{
    char text[128];
    int size = snprintf(text, sizeof text, "{\"method\":\"%s\"}", method->name);
    client_send(client, text, (size_t)size, NULL, 0);
    bench_run(bench);
    EXPECT_ERROR(client_read(client), "unexpected end of JSON input");
}

static void test_every_method_refuses_arguments_of_the_wrong_type(void)
{
    struct bench bench;
    struct client client;
    const struct rpc_method *method;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    for (u32 i = 0; (method = rpc_method_at(i)) != NULL; i++) {
        if (!rpc_method_find(bench.controller, method->name)) /* not registered here */
            continue;
        play_missing(&bench, &client, method);
        play_types(&client, method);
    }
    client_close(&client);
    bench_fini(&bench);
}

/* A method that waits for what never comes gets no answer; each has a connection of its own. */
static void test_every_method_survives_null_and_descriptors_nobody_asked_for(void)
{
    struct bench bench;
    const struct rpc_method *method;
    struct sim_leaks before, after;
    bench_init(&bench, SLEEPER);
    bench_run(&bench);
    sim_leaks(bench.host, &before);
    for (u32 i = 0; (method = rpc_method_at(i)) != NULL; i++) {
        struct client client;
        int fds[40];
        for (u32 k = 0; k < ARRAY_COUNT(fds); k++)
            fds[k] = bench.out_fd;
        client_open(&client, &bench);
        const char *answer = client_call_fds(&client, method->name, "null", fds, ARRAY_COUNT(fds));
        CU_ASSERT(*answer == '\0' || strncmp(answer, "{\"success\":", 11) == 0);
        while (kernel_resume(bench.kernel) == 0)
            continue;
        client_close(&client);
        bench_run(&bench);
        CU_ASSERT_EQUAL(controller_connection_count(bench.controller), 0);
        sim_leaks(bench.host, &after);
        if (after.fds != before.fds)
            fprintf(stderr, "%s keeps descriptors\n", method->name);
        CU_ASSERT_EQUAL(after.fds, before.fds);
        before = after;
    }
    bench_fini(&bench);
}

/* Each row that says "served: no" says so to clients too. */
static void test_what_is_not_served_says_so(void)
{
    struct bench bench;
    struct client client;
    const struct rpc_method *method;
    char want[256];
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    for (u32 i = 0; (method = rpc_method_at(i)) != NULL; i++) {
        if (method->handle || !rpc_method_find(bench.controller, method->name))
            continue;
        snprintf(want, sizeof want, "%s is not supported", method->name);
        EXPECT_ERROR(client_call(&client, method->name, "null"), want);
    }
    client_close(&client);
    bench_fini(&bench);
}

void rpc_play_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/rpc_play", NULL, NULL);
    CU_ADD_TEST(suite, test_every_method_refuses_arguments_of_the_wrong_type);
    CU_ADD_TEST(suite, test_every_method_survives_null_and_descriptors_nobody_asked_for);
    CU_ADD_TEST(suite, test_what_is_not_served_says_so);
}
