/* SPDX-License-Identifier: Apache-2.0 */
/* One sequence of control calls, played and held against lifecycle.yaml. */
#include "sim/sandbox.h"
#include "sim/explore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PENDING_MAX 8u
#define CHECK_EVERY 16u
#define ROOT_SPEC                                                                             \
    "{\"ociVersion\":\"1.2.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/bin/" \
    "sleeper\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":\"/rootfs\"}}"

static const char *const state_words[] = {"unknown", "creating", "running", "stopped"};

struct explorer {
    const struct explore_spec *spec;
    struct arena heap;
    struct host *host;
    struct trace trace;
    struct sandbox sandbox;
    u32 states[EXPLORE_IDS]; /* the model's: index of state_words */
    struct {
        struct call call;
        u8 id;
    } pending[PENDING_MAX];
    u32 pending_count;
    int out[2];
    char *why;
    size_t why_size;
};

static bool fail(struct explorer *x, const char *format, ...) PRINTF(2, 3);
static bool fail(struct explorer *x, const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    vsnprintf(x->why, x->why_size, format, args);
    __builtin_va_end(args);
    return false;
}

static void drain(void *arg)
{
    struct explorer *x = arg;
    u8 piece[4096];
    int fd = x->out[0] >= 0 ? sim_dup(x->host, x->out[0]) : -1;
    struct host_stream *stream = fd >= 0 ? sim_engine_stream(x->host, fd) : NULL;
    while (stream && host_stream_read(stream, piece, sizeof piece, NULL, NULL) > 0)
        continue;
    if (stream)
        host_stream_put(stream);
}

/* ---- the model ------------------------------------------------------------------------------------
 */

static u32 real_state(struct explorer *x, const char *id)
{
    const char *known;
    for (u32 i = 0; (known = loader_container_id(x->sandbox.loader, i)) != NULL; i++)
        if (strcmp(known, id) == 0)
            return (u32)loader_container_state(x->sandbox.loader, id);
    return 0;
}

static const struct explore_rule *find_rule(const struct explorer *x, const struct op *op)
{
    for (u32 i = 0; op->call && i < x->spec->rule_count; i++) {
        const struct explore_rule *rule = &x->spec->rules[i];
        if (strcmp(rule->call, op->call) == 0 &&
            strcmp(rule->state, state_words[x->states[op->id]]) == 0)
            return rule;
    }
    return NULL;
}

/* The model's next state after OP succeeded as RULE says, once all is quiet. */
static void follow(struct explorer *x, const struct op *op, const struct explore_rule *rule)
{
    for (u32 i = 0; rule->next && i < ARRAY_COUNT(state_words); i++)
        if (strcmp(rule->next, state_words[i]) == 0)
            x->states[op->id] = i;
    bool is_over = x->states[op->id] == CONTAINER_RUNNING && op->ends;
    if (is_over)
        x->states[op->id] = CONTAINER_STOPPED;
}

/* Does TEXT say ERROR, in which CID stands for ID? It may have more before and behind. */
static bool says(const char *text, const char *error, char id)
{
    const char *cid = strstr(error, "CID");
    char wanted[512];
    snprintf(wanted, sizeof wanted, "%.*s%s%s", cid ? (int)(cid - error) : 500, error,
             cid ? (char[]){id, 0} : "", cid ? cid + 3 : "");
    for (const char *at = text; *at; at++) { /* the answer is JSON: quotes are escaped there */
        const char *a = at, *b = wanted;
        while (*b && (*a == *b || (*a == '\\' && a[1] == *b))) {
            a += *a == '\\' ? 2 : 1;
            b++;
        }
        if (!*b)
            return true;
    }
    return false;
}

static bool judge(struct explorer *x, const struct op *op, const char *answer)
{
    const struct explore_rule *rule = find_rule(x, op);
    bool is_ok = strstr(answer, "\"success\":true") != NULL;
    if (!is_ok && !strstr(answer, "\"success\":false"))
        return !op->method ||
               fail(x, "%s %s: this is no answer: %.200s", op->method, op->arg, answer);
    if (!op->is_served && (is_ok || (!strstr(answer, "is not supported") &&
                                     !strstr(answer, "unknown method")))) /* Profile is off */
        return fail(x, "%s is not served but answers: %.200s", op->method, answer);
    if (!rule)
        return true;
    if (rule->error && (is_ok || !says(answer, rule->error, (char)('a' + op->id))))
        return fail(x, "%s in state %s: wanted the error '%s', but it answers: %.200s", op->call,
                    rule->state, rule->error, answer);
    if (!rule->error && !is_ok)
        return fail(x, "%s in state %s: wanted success, but it answers: %.200s", op->call,
                    rule->state, answer);
    if (!rule->error)
        follow(x, op, rule);
    return true;
}

static bool compare_states(struct explorer *x)
{
    for (u32 i = 0; i < EXPLORE_IDS; i++) {
        u32 is = real_state(x, (char[]){(char)('a' + i), 0});
        if (is != x->states[i])
            return fail(x, "container %c is %s, but by the model %s", (char)('a' + i),
                        state_words[is], state_words[x->states[i]]);
    }
    return true;
}

/* ---- calls ----------------------------------------------------------------------------------------
 */

/* Takes answers that came meanwhile; who waits for what has ended must have one. */
static bool poll_pending(struct explorer *x)
{
    for (u32 i = 0; i < x->pending_count;) {
        u8 id = x->pending[i].id;
        bool is_over = call_poll(&x->pending[i].call, x->host);
        if (!is_over && id < EXPLORE_IDS && x->states[id] != CONTAINER_RUNNING)
            return fail(x, "a waiter for container %c is left, which is %s", (char)('a' + id),
                        state_words[x->states[id]]);
        if (!is_over && x->pending_count < PENDING_MAX) {
            i++;
            continue;
        }
        call_end(&x->pending[i].call); /* the oldest goes when there are too many */
        x->pending[i] = x->pending[--x->pending_count];
    }
    return sandbox_run(&x->sandbox) || fail(x, "%s", x->sandbox.trouble);
}

static bool send_op(struct explorer *x, const struct op *op, struct call *call)
{
    int fds[EXPLORE_FILES_MAX], gofer = -1;
    struct client client = {.random = op->after,
                            .after = op->after,
                            .is_cut = op->client == CLIENT_CUT,
                            .piece_max = op->client == CLIENT_SPLIT ? 16 : 0};
    for (u32 i = 0; i < op->file_count; i++)
        fds[i] = x->out[1];
    if (op->has_gofer) {
        gofer = sandbox_gofer(&x->sandbox, "/rootfs");
        if (gofer < 0)
            return fail(x, "no more gofers");
        fds[op->file_count - 1] = gofer;
    }
    int err = op->method ? call_begin(call, &x->sandbox, op->method, op->arg, fds, op->file_count,
                                      &client, &x->heap)
                         : call_send(call, &x->sandbox, op->arg, strlen(op->arg), fds,
                                     op->file_count, &client, &x->heap);
    if (gofer >= 0)
        sim_fd_close(x->host, gofer);
    if (err)
        return fail(x, "the control socket: %s", errno_text(-err));
    return sandbox_run(&x->sandbox) || fail(x, "%s", x->sandbox.trouble);
}

static bool play_op(struct explorer *x, const struct op *op)
{
    struct call call;
    bool is_fine = true;
    if (!send_op(x, op, &call))
        return false;
    if (call.is_cut) {
        call_end(&call);
    } else if (call_poll(&call, x->host)) {
        is_fine = judge(x, op, call.answer.size ? buf_text(&call.answer) : "");
        call_end(&call);
    } else if (!op->may_wait) {
        is_fine = fail(x, "%s is stuck", op->method);
    } else {
        x->pending[x->pending_count].call = call;
        x->pending[x->pending_count].id = op->call ? op->id : EXPLORE_IDS;
        x->pending_count++;
    }
    return is_fine && (sandbox_run(&x->sandbox) || fail(x, "%s", x->sandbox.trouble)) &&
           compare_states(x) && poll_pending(x);
}

/* ---- the course -----------------------------------------------------------------------------------
 */

static bool begin(struct explorer *x)
{
    static const struct op start = {.method = "containerManager.StartRoot",
                                    .arg = "\"r\"",
                                    .id = EXPLORE_IDS,
                                    .is_served = true};
    struct error err;
    heap_arena_init(&x->heap);
    trace_init(&x->trace, &x->heap);
    x->trace.is_muted = true;
    x->host = host_sim_create(&(struct sim_config){.seed = 1, .fill_byte = 0x5a});
    const struct buf *programs[2] = {&x->spec->sleeper, &x->spec->gone};
    if (sim_put_file(x->host, "/rootfs/bin/sleeper", buf_bytes(programs[0]), programs[0]->size,
                     0755) ||
        sim_put_file(x->host, "/rootfs/bin/gone", buf_bytes(programs[1]), programs[1]->size,
                     0755) ||
        sim_put_directory(x->host, "/rootfs/proc", 0555) || sim_pipe(x->host, x->out))
        return fail(x, "no memory");
    const struct sandbox_config config = {.host = x->host,
                                          .trace = &x->trace,
                                          .platform = "script",
                                          .cpu_count = 1,
                                          .seed = 1,
                                          .id = "r",
                                          .spec = ROOT_SPEC,
                                          .out_fd = x->out[1],
                                          .is_silent = true,
                                          .drain = drain,
                                          .drain_arg = x};
    if (sandbox_create(&x->sandbox, &config, &err))
        return fail(x, "%s", err.text);
    return play_op(x, &start);
}

static void note_leak(void *arg, const char *text)
{
    struct explorer *x = arg;
    if (!x->why[0])
        fail(x, "left behind on the host: %s", text);
}

static bool end(struct explorer *x)
{
    for (u32 i = 0; i < x->pending_count; i++)
        call_end(&x->pending[i].call);
    if (!sandbox_destroy(&x->sandbox))
        return fail(x, "the sandbox does not end: %s", x->sandbox.trouble);
    drain(x);
    sim_fd_close(x->host, x->out[0]);
    sim_fd_close(x->host, x->out[1]);
    x->out[0] = -1;
    sim_leak_lines(x->host, note_leak, x);
    if (sim_leak_count(x->host))
        return false;
    x->why[0] = 0;
    buf_fini(&x->trace.text);
    host_put(x->host);
    return true;
}

bool explore_play(const struct explore_spec *spec, const struct op *ops, u32 count, char *why,
                  size_t why_size, u32 *at)
{
    static struct explorer x;
    x = (struct explorer){.spec = spec, .why = why, .why_size = why_size, .out = {-1, -1}};
    why[0] = 0;
    *at = 0;
    if (!begin(&x))
        return false;
    for (; *at < count; ++*at) {
        if (!play_op(&x, &ops[*at]))
            return false;
        const char *wrong = (*at + 1) % CHECK_EVERY == 0 || *at + 1 == count
                                ? sandbox_check(&x.sandbox, x.pending_count)
                                : NULL;
        if (wrong)
            return fail(&x, "a check fails: %s", wrong);
    }
    return end(&x);
}
