/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing control calls: right ones, near misses and wild ones. */
#include "sim/explore.h"

#include <stdio.h>
#include <string.h>

static u32 draw(u64 *state, u32 count)
{
    *state += 0x9e3779b97f4a7c15u;
    u64 z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (u32)((z ^ z >> 31) % count);
}

#define DRAW_TEXT(state, list) (list)[draw(state, ARRAY_COUNT(list))]

static void set_arg(struct op *op, const char *format, ...) PRINTF(2, 3);
static void set_arg(struct op *op, const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    vsnprintf(op->arg, sizeof op->arg, format, args);
    __builtin_va_end(args);
}

static void set_call(const struct explore_spec *spec, struct op *op, const char *call)
{
    char name[64];
    snprintf(name, sizeof name, "containerManager.%s", call);
    op->call = call;
    op->row = explore_method_find(spec, name);
}

static void draw_start(const struct explore_spec *spec, struct op *op, const char *id, u64 *state)
{
    op->ends = draw(state, 3) == 0;
    set_call(spec, op, "StartSubcontainer");
    set_arg(op,
            "{\"Spec\":{\"ociVersion\":\"1.2.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},"
            "\"args\":[\"/bin/%s\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":"
            "\"/rootfs\"}},\"Conf\":{},\"CID\":\"%s\",\"GoferMountConfs\":[{\"lower\":1,"
            "\"upper\":0}]}",
            op->ends ? "gone" : "sleeper", id);
    op->file_count = 4;
    op->has_gofer = true;
}

static void draw_signal(const struct explore_spec *spec, struct op *op, const char *id, u64 *state)
{
    static const u32 numbers[] = {9, 10, 10, 9, 17};
    u32 number = DRAW_TEXT(state, numbers);
    set_call(spec, op, "Signal");
    set_arg(op, "{\"CID\":\"%s\",\"Signo\":%u,\"PID\":0,\"Mode\":0}", id, number);
    op->ends = number == 9;
}

#define RIGHT_CALLS 10u

/* What there is at all in one sequence, and how often: leaving things out leads to where a mixture
 * of everything never comes. */
struct menu {
    u8 right[RIGHT_CALLS * 3]; /* kinds of right calls, with weights */
    u32 right_count;
    u32 right_percent, odd_percent; /* the rest is raw bytes */
    u32 client_percent;             /* of calls by clients that split, cut, wait */
    u64 odd_seed;                   /* which methods the odd calls are of */
    u32 odd_of_8;                   /* so many of eight */
    bool pauses;
};

static void draw_menu(struct menu *menu, u64 seed)
{
    u64 state = seed * 0x9e6c63d0876a9a47u + 1;
    bool is_plain = draw(&state, 3) == 0; /* everything, as often as usual */
    *menu = (struct menu){.right_percent = is_plain ? 65 : 30 + draw(&state, 66),
                          .client_percent = is_plain ? 45 : draw(&state, 101),
                          .odd_seed = seed,
                          .odd_of_8 = is_plain ? 8 : 1 + draw(&state, 8),
                          .pauses = is_plain || draw(&state, 2)};
    menu->odd_percent = (100 - menu->right_percent) * 4 / 5;
    for (u32 kind = 0; kind < RIGHT_CALLS; kind++)
        for (u32 weight = is_plain ? 1 : draw(&state, 4); weight > 0; weight--)
            menu->right[menu->right_count++] = (u8)kind;
    if (menu->right_count == 0)
        menu->right[menu->right_count++] = 0;
}

/* What lifecycle.yaml has rows for. */
static void draw_right(const struct explore_spec *spec, const struct menu *menu, struct op *op,
                       u64 *state)
{
    char id[2] = {(char)('a' + op->id), 0};
    set_arg(op, "\"%s\"", id);
    switch (menu->right[draw(state, menu->right_count)]) {
    case 0:
    case 1:
        set_call(spec, op, "CreateSubcontainer");
        set_arg(op, "{\"CID\":\"%s\"}", id);
        return;
    case 2:
        draw_start(spec, op, id, state);
        return;
    case 3:
        set_call(spec, op, "DestroySubcontainer");
        return;
    case 4:
        set_call(spec, op, "ExecuteAsync");
        set_arg(op,
                "{\"argv\":[\"/bin/gone\"],\"envv\":[\"PATH=/bin\"],\"wd\":\"/\",\"ContainerID\":"
                "\"%s\"}",
                id);
        op->file_count = 3;
        return;
    case 5:
        set_call(spec, op, "Processes");
        return;
    case 6:
        set_call(spec, op, "Event");
        return;
    case 7:
        draw_signal(spec, op, id, state);
        return;
    case 8:
        set_call(spec, op, "Wait");
        op->may_wait = true;
        return;
    default:
        set_call(spec, op, "ContainerRuntimeState");
    }
}

/* Methods whose right call ends the sandbox or stops the clock for the others. */
static bool is_tame(const char *name)
{
    static const char *const wild[] = {
        "Pause", "Resume", "Shutdown", "Checkpoint", "Save", "Reap", "PauseExternalNetworking"};
    const char *dot = strchr(name, '.');
    for (size_t i = 0; dot && i < ARRAY_COUNT(wild); i++)
        if (strcmp(dot + 1, wild[i]) == 0)
            return false;
    return true;
}

/* A method with an argument that is nearly right, or not at all; never about a, b, c, r. */
static void draw_odd(const struct explore_spec *spec, const struct menu *menu, struct op *op,
                     u64 *state)
{
    static const char *const args[] = {
        "null",
        "\"z\"",
        "\"\"",
        "7",
        "-1",
        "true",
        "[]",
        "{}",
        "[[[[[[[[[]]]]]]]]]",
        "{\"CID\":7}",
        "{\"CID\":null}",
        "{\"CID\":\"z\",\"cid\":\"y\"}",
        "{\"CID\":\"z\",\"PID\":-1}",
        "{\"CID\":\"z\",\"PID\":99999999999}",
        "{\"CID\":\"z\",\"Signo\":64,\"Mode\":3}",
        "{\"CID\":\"z\",\"Signo\":-64,\"Mode\":9}",
        "{\"CID\":\"z\",\"Spec\":{},\"Conf\":{}}",
        "{\"CID\":\"z\",\"Spec\":[],\"Conf\":0}",
        "{\"ContainerID\":\"z\",\"argv\":[]}",
        "{\"ContainerID\":\"z\",\"argv\":[\"\\u0000\"],\"GuestFDs\":[-1]}",
        "{\"ContainerID\":\"z\",\"argv\":\"x\"}",
        "{\"SetStrace\":true,\"EnableStrace\":true,\"StraceAllowlist\":[\"nothing\"]}",
        "{\"Full\":1}",
        "{\"container_id\":\"z\"}",
        "{\"signo\":9,\"pid\":4242}",
        "{\"HavePagesFile\":true}",
        "{\"Files\":[1,2,3]}",
        "\"\\ud800\"",
        "1e999",
        "18446744073709551616",
    };
    const struct explore_method *method;
    u64 choice;
    do {
        u32 at = draw(state, spec->method_count);
        method = &spec->methods[at];
        choice = menu->odd_seed * spec->method_count + at;
    } while (!is_tame(method->name) || (draw(&choice, 8) >= menu->odd_of_8 && draw(state, 20)));
    op->id = EXPLORE_IDS;
    op->row = method;
    op->may_wait = strstr(method->name, ".Wait") != NULL;
    set_arg(op, "%s", DRAW_TEXT(state, args));
    op->file_count = draw(state, 3) == 0 ? (u8)draw(state, EXPLORE_FILES_MAX) : 0;
}

static void draw_raw(struct op *op, u64 *state)
{
    static const char *const texts[] = {
        "{",
        "}",
        "[]",
        "nothing",
        "{\"method\":7}",
        "{\"method\":\"\"}",
        "{\"method\":\"containerManager.\"}",
        "{\"method\":\".Wait\",\"arg\":\"a\"}",
        "{\"method\":\"Nobody.Nothing\",\"arg\":null}",
        "{\"method\":\"containerManager.Wait\",\"arg\":\"a\"",
        "{\"method\":\"containerManager.Wait\",\"method\":\"x\",\"arg\":1}",
        "\xff\xfe",
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{",
    };
    op->id = EXPLORE_IDS;
    op->may_wait = true;
    set_arg(op, "%s", DRAW_TEXT(state, texts));
}

void explore_draw(const struct explore_spec *spec, u64 seed, struct op *ops, u32 count)
{
    struct menu menu;
    draw_menu(&menu, seed);
    for (u32 i = 0; i < count; i++) {
        u64 state = seed * 0x2545f4914f6cdd1du + i * 0x9e3779b97f4a7c15u;
        struct op *op = &ops[i];
        memset(op, 0, sizeof *op);
        op->id = (u8)draw(&state, EXPLORE_IDS);
        u32 kind = draw(&state, 100);
        if (kind == 0 && menu.pauses)
            op->pauses = (u8)(1 + draw(&state, 3));
        else if (kind < menu.right_percent)
            draw_right(spec, &menu, op, &state);
        else if (kind < menu.right_percent + menu.odd_percent)
            draw_odd(spec, &menu, op, &state);
        else
            draw_raw(op, &state);
        u32 client = draw(&state, 100) < menu.client_percent ? draw(&state, 9) : 9;
        op->client = client == 0  ? CLIENT_CUT
                     : client < 3 ? CLIENT_SPLIT
                     : client < 4 ? CLIENT_SLOW
                     : client < 9 ? CLIENT_KEPT
                                  : CLIENT_WHOLE;
        if (!op->row || op->may_wait) /* what may never be answered has its own connection */
            op->client = MIN(op->client, (u8)CLIENT_CUT);
        /* One that dies behind its last byte may have had its way or not: only what changes
         * nothing. */
        if (op->client == CLIENT_CUT && op->call && !op->may_wait)
            op->client = CLIENT_WHOLE;
        op->after = (u16)draw(&state, 120);
    }
}
