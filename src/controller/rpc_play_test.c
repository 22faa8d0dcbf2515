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

/* Where in an argument a value goes, and how errors call the place. */
struct place {
    char before[256], after[64], path[128];
    const char *struct_name;
};

struct player {
    struct client client;
    const struct rpc_method *method;
    u32 count; /* of (method, violation) pairs */
};

/* VALUE, which is Go's WORD, at PLACE, where TYPE is wanted. */
static void refuse(struct player *player, const struct place *place, const struct wire_type *type,
                   const char *value, const char *word)
{
    char arg[512], want[512];
    snprintf(arg, sizeof arg, "%s%s%s", place->before, value, place->after);
    if (place->struct_name)
        snprintf(want, sizeof want,
                 "json: cannot unmarshal %s into Go struct field %s.%s of type %s", word,
                 place->struct_name, place->path, type->name);
    else
        snprintf(want, sizeof want, "json: cannot unmarshal %s into Go value of type %s", word,
                 type->name);
    EXPECT_ERROR(client_call(&player->client, player->method->name, arg), want);
    player->count++;
}

static void refuse_numbers(struct player *player, const struct place *place,
                           const struct wire_type *type)
{
    char texts[3][32] = {"1.5", "18446744073709551616", "-1"}, word[128];
    u32 bits = type->size * 8 - (type->kind == WIRE_INT);
    if (bits < 64)
        snprintf(texts[1], sizeof texts[1], "%llu", 1ull << bits);
    if (type->kind == WIRE_INT)
        snprintf(texts[2], sizeof texts[2], "-%llu", (1ull << bits) + 1);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        snprintf(word, sizeof word, "number %s", texts[i]);
        refuse(player, place, type, texts[i], word);
    }
}

static void refuse_each(struct player *player, const struct place *place,
                        const struct wire_type *type);

/* The place of what stands in OPEN ... CLOSE at PLACE; NAME: a member of struct TYPE. */
static struct place inner_place(const struct place *place, const char *open, const char *close,
                                const char *name, const struct wire_type *type)
{
    struct place inner = *place;
    snprintf(inner.before, sizeof inner.before, "%s%s", place->before, open);
    snprintf(inner.after, sizeof inner.after, "%s%s", close, place->after);
    if (name) {
        size_t used = strlen(inner.path);
        snprintf(inner.path + used, sizeof inner.path - used, "%s%s", used ? "." : "", name);
        inner.struct_name = short_struct_name(type);
    }
    return inner;
}

static void refuse_members(struct player *player, const struct place *place,
                           const struct wire_type *type)
{
    for (const struct wire_field *field = type->fields; field->name; field++) {
        char open[128];
        snprintf(open, sizeof open, "{\"%s\":", field->name);
        struct place inner = inner_place(place, open, "}", field->name, type);
        refuse_each(player, &inner, field->type);
    }
}

/* Everything that TYPE cannot be, one at a time. */
static void refuse_each(struct player *player, const struct place *place,
                        const struct wire_type *type)
{
    const char *word, *value;
    struct place inner;
    if (type->kind == WIRE_OPTIONAL)
        type = type->element; /* a pointer's error names what it points to */
    value = wrong_value(type, &word);
    if (value)
        refuse(player, place, type, value, word);
    switch (type->kind) {
    case WIRE_INT:
    case WIRE_UINT:
        refuse_numbers(player, place, type);
        return;
    case WIRE_LIST:
        inner = inner_place(place, "[", "]", NULL, NULL);
        refuse_each(player, &inner, type->element);
        return;
    case WIRE_MAP:
        inner = inner_place(place, "{\"k\":", "}", NULL, NULL);
        refuse_each(player, &inner, type->element);
        return;
    case WIRE_STRUCT:
        refuse(player, place, type, "[]", "array");
        refuse_members(player, place, type);
        return;
    default:
        return;
    }
}

static void refuse_missing(struct player *player)
{
    char text[128];
    int size = snprintf(text, sizeof text, "{\"method\":\"%s\"}", player->method->name);
    client_send(&player->client, text, (size_t)size, NULL, 0);
    bench_run(player->client.bench);
    EXPECT_ERROR(client_read(&player->client), "unexpected end of JSON input");
    player->count++;
}

static void test_every_method_refuses_arguments_of_the_wrong_type(void)
{
    struct bench bench;
    static struct player player;
    const struct place whole = {"", "", "", NULL};
    bench_init_with(&bench, SLEEPER, false, true);
    client_open(&player.client, &bench);
    player.count = 0;
    for (u32 i = 0; (player.method = rpc_method_at(i)) != NULL; i++) {
        refuse_missing(&player);
        if (player.method->arg)
            refuse_each(&player, &whole, player.method->arg);
    }
    printf("%u (method, violation) pairs refused ", player.count);
    client_close(&player.client);
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
