/* SPDX-License-Identifier: Apache-2.0 */
/* One sequence of control calls, played and held against lifecycle.yaml. */
#include "sim/sandbox.h"
#include "sim/explore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PENDING_MAX 8u
#define SLOW_MAX 3u
#define CHECK_EVERY 16u
#define ROOT_SPEC                                                                             \
    "{\"ociVersion\":\"1.2.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/bin/" \
    "sleeper\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":\"/rootfs\"}}"

static const char *const state_words[] = {"unknown", "creating", "running", "stopped"};

/* A call of which only the first bytes were sent. */
struct slow {
    struct call call;
    struct op op;
    struct buf rest;
};

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
    struct slow slow[SLOW_MAX];
    u32 slow_count;
    struct call kept;
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
    if (!op->row) /* raw bytes: an answer, or the connection has ended */
        return true;
    if (rule && rule->error)
        return (!is_ok && says(answer, rule->error, (char)('a' + op->id))) ||
               fail(x, "%s in state %s: wanted the error '%s', but it answers: %.200s", op->call,
                    rule->state, rule->error, answer);
    if (!explore_judge(op->row, answer, x->why, x->why_size))
        return false;
    if (rule && !is_ok)
        return fail(x, "%s in state %s: wanted success, but it answers: %.200s", op->call,
                    rule->state, answer);
    if (rule)
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

static bool run(struct explorer *x)
{
    return sandbox_run(&x->sandbox) || fail(x, "%s", x->sandbox.trouble);
}

/* The connection that serves many calls, one after the other. */
static int send_kept(struct explorer *x, const char *text, size_t size, const int *fds,
                     u32 fd_count)
{
    struct call *kept = &x->kept;
    if (!kept->stream || kept->has_hung_up) {
        if (kept->stream)
            call_end(kept);
        return call_send(kept, &x->sandbox, text, size, fds, fd_count, NULL, &x->heap);
    }
    buf_clear(&kept->answer);
    kept->is_over = false;
    return host_stream_write(kept->stream, text, size, fds, fd_count) == (i64)size ? 0 : -EPIPE;
}

/* The first bytes now, the rest when other calls have been served. */
static int send_slow(struct explorer *x, const struct op *op, const char *text, size_t size,
                     const int *fds)
{
    struct slow *slow = &x->slow[x->slow_count++];
    size_t first = MIN((size_t)op->after + 1, size - 1);
    *slow = (struct slow){.op = *op};
    buf_init(&slow->rest, &x->heap, 0);
    if (buf_append(&slow->rest, text + first, size - first))
        return -ENOMEM;
    return call_send(&slow->call, &x->sandbox, text, first, fds, op->file_count, NULL, &x->heap);
}

static int send_text(struct explorer *x, const struct op *op, const char *text, size_t size,
                     const int *fds, struct call *call)
{
    struct client client = {.random = op->after,
                            .after = op->after,
                            .is_cut = op->client == CLIENT_CUT,
                            .piece_max = op->client == CLIENT_SPLIT ? 16 : 0};
    if (op->client == CLIENT_KEPT)
        return send_kept(x, text, size, fds, op->file_count);
    if (op->client == CLIENT_SLOW)
        return send_slow(x, op, text, size, fds);
    return call_send(call, &x->sandbox, text, size, fds, op->file_count, &client, &x->heap);
}

static bool send_op(struct explorer *x, const struct op *op, struct call *call)
{
    char text[EXPLORE_ARG_SIZE + 200];
    int fds[EXPLORE_FILES_MAX], gofer = -1;
    for (u32 i = 0; i < op->file_count; i++)
        fds[i] = x->out[1];
    if (op->has_gofer) {
        gofer = sandbox_gofer(&x->sandbox, "/rootfs");
        if (gofer < 0)
            return fail(x, "no more gofers");
        fds[op->file_count - 1] = gofer;
    }
    int size = op->row ? snprintf(text, sizeof text, "{\"method\":\"%s\",\"arg\":%s}",
                                  op->row->name, op->arg)
                       : snprintf(text, sizeof text, "%s", op->arg);
    int err = send_text(x, op, text, (size_t)size, fds, call);
    if (gofer >= 0)
        sim_fd_close(x->host, gofer);
    return err ? fail(x, "the control socket: %s", errno_text(-err)) : run(x);
}

static bool take_answer(struct explorer *x, const struct op *op, struct call *call)
{
    if (!call_poll(call, x->host))
        return fail(x, "%s is stuck", op->row ? op->row->name : op->arg);
    return judge(x, op, call->answer.size ? buf_text(&call->answer) : "");
}

/* The rest of what slow clients have to send. */
static bool finish_slow(struct explorer *x)
{
    while (x->slow_count > 0) {
        struct slow *slow = &x->slow[--x->slow_count];
        bool is_sent = host_stream_write(slow->call.stream, buf_bytes(&slow->rest), slow->rest.size,
                                         NULL, 0) == (i64)slow->rest.size;
        bool is_fine = (is_sent || fail(x, "a slow client is cut off")) && run(x) &&
                       take_answer(x, &slow->op, &slow->call);
        call_end(&slow->call);
        buf_fini(&slow->rest);
        if (!is_fine || !run(x) || !compare_states(x))
            return false;
    }
    return true;
}

/* Pauses nest; while it is paused calls are answered as ever; a Resume too many is an error. */
static bool play_pauses(struct explorer *x, const struct op *op)
{
    struct op one = {.row = explore_method_find(x->spec, "containerManager.Pause"),
                     .arg = "null",
                     .id = EXPLORE_IDS};
    struct call call;
    for (u32 i = 0; i < 2u * op->pauses + 1; i++) {
        if (i == op->pauses)
            one.row = explore_method_find(x->spec, "containerManager.Resume");
        if (!send_op(x, &one, &call) || !take_answer(x, &one, &call))
            return false;
        bool is_ok = strstr(buf_text(&call.answer), "\"success\":true") != NULL;
        call_end(&call);
        if (is_ok != (i < 2u * op->pauses))
            return fail(x, "call %u of %u pauses and resumes: %s", i, op->pauses,
                        is_ok ? "a Resume too many succeeds" : "it fails");
        if (!run(x) || !compare_states(x))
            return false;
    }
    return true;
}

static bool play_op(struct explorer *x, const struct op *op)
{
    struct call call;
    bool is_fine = true;
    if (op->pauses)
        return play_pauses(x, op);
    if (op->client == CLIENT_SLOW && x->slow_count == SLOW_MAX && !finish_slow(x))
        return false;
    if (!send_op(x, op, &call))
        return false;
    if (op->client == CLIENT_SLOW)
        return compare_states(x) && poll_pending(x);
    if (op->client == CLIENT_KEPT) {
        is_fine = take_answer(x, op, &x->kept);
    } else if (call.is_cut) {
        call_end(&call);
    } else if (call_poll(&call, x->host)) {
        is_fine = take_answer(x, op, &call);
        call_end(&call);
    } else if (!op->may_wait) {
        is_fine = fail(x, "%s is stuck", op->row ? op->row->name : op->arg);
    } else {
        x->pending[x->pending_count].call = call;
        x->pending[x->pending_count].id = op->call ? op->id : EXPLORE_IDS;
        x->pending_count++;
    }
    return is_fine && run(x) && compare_states(x) && poll_pending(x);
}

/* ---- the course -----------------------------------------------------------------------------------
 */

static bool begin(struct explorer *x)
{
    const struct op start = {.row = explore_method_find(x->spec, "containerManager.StartRoot"),
                             .arg = "\"r\"",
                             .id = EXPLORE_IDS};
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
    if (!finish_slow(x))
        return false;
    for (u32 i = 0; i < x->pending_count; i++)
        call_end(&x->pending[i].call);
    if (x->kept.stream)
        call_end(&x->kept);
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
                                ? sandbox_check(&x.sandbox, x.pending_count + x.slow_count + 1)
                                : NULL;
        if (wrong)
            return fail(&x, "a check fails: %s", wrong);
    }
    return end(&x);
}
