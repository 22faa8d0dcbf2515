/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of points, the session, and sending. A packet that a sink's socket has no room for is lost
 * and counted; each later packet says how many were.
 */
#include "sentry/observe/points_internal.h"

#include "sentry/fs/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_SIZE_MAX ((size_t)256 << 10)

const char *const point_context_names[CONTEXT_COUNT] = {"time",
                                                        "thread_id",
                                                        "task_start_time",
                                                        "group_id",
                                                        "thread_group_start_time",
                                                        "container_id",
                                                        "credentials",
                                                        "cwd",
                                                        "process_name",
                                                        "parent_thread_group_id",
                                                        "is_exec_session"};
const char *const point_optional_names[OPTIONAL_COUNT] = {"fd_path", "envv", "env", "binary_info",
                                                          "binary_sha256"};

/* ---- names ---------------------------------------------------------------------------------- */

#define ALL_CONTEXT ((1u << CONTEXT_COUNT) - 1)

static const struct {
    const char *name;
    u32 optional, context;
} sentry_points[POINT_SENTRY_COUNT] = {
    [POINT_CONTAINER_START] = {"container/start", 1u << OPTIONAL_ENV, ALL_CONTEXT},
    [POINT_CLONE] = {"sentry/clone", 0, ALL_CONTEXT},
    [POINT_EXECVE] = {"sentry/execve", 1u << OPTIONAL_BINARY_INFO | 1u << OPTIONAL_BINARY_SHA256,
                      ALL_CONTEXT},
    [POINT_EXIT_NOTIFY] = {"sentry/exit_notify_parent", 0, ALL_CONTEXT & ~(1u << CONTEXT_CWD)},
    [POINT_TASK_EXIT] = {"sentry/task_exit", 0, ALL_CONTEXT},
};

static u32 call_optional(const char *fields)
{
    return (strchr(fields, 'P') ? 1u << OPTIONAL_FD_PATH : 0) |
           (strchr(fields, 'E') ? 1u << OPTIONAL_ENVV : 0);
}

bool point_describe(u32 point, char out[POINT_NAME_MAX], u32 *optional, u32 *context)
{
    *optional = 0;
    *context = ALL_CONTEXT;
    if (point < POINT_SENTRY_COUNT) {
        snprintf(out, POINT_NAME_MAX, "%s", sentry_points[point].name);
        *optional = sentry_points[point].optional;
        *context = sentry_points[point].context;
        return true;
    }
    u32 index = (point - POINT_SENTRY_COUNT) / 2, type;
    const char *when = (point - POINT_SENTRY_COUNT) % 2 ? "exit" : "enter";
    if (index < POINT_SYSNO_COUNT) {
        snprintf(out, POINT_NAME_MAX, "syscall/sysno/%u/%s", index, when);
        return true;
    }
    index -= POINT_SYSNO_COUNT;
    const char *fields = index < POINT_SYSNO_COUNT ? point_call_fields(index, &type) : NULL;
    if (!fields)
        return false;
    snprintf(out, POINT_NAME_MAX, "syscall/%s/%s", point_call_name(index), when);
    *optional = call_optional(fields);
    return true;
}

i32 point_find(const char *name)
{
    char each[POINT_NAME_MAX];
    u32 optional, context;
    for (u32 i = 0; i < POINT_COUNT; i++)
        if (point_describe(i, each, &optional, &context) && strcmp(each, name) == 0)
            return (i32)i;
    return -1;
}

static const struct point_message messages[] = {
#define POINT_MESSAGE(number, what, list) {number, #what, list, (number) < 6 ? 2 : 4},
#define POINT_CALL(nr, name, what, list)
#include "sentry/observe/points.def"
#undef POINT_MESSAGE
#undef POINT_CALL
};

const struct point_message *point_message_find(u32 type)
{
    for (size_t i = 0; i < ARRAY_COUNT(messages); i++)
        if (messages[i].type == type)
            return &messages[i];
    return NULL;
}

/* ---- the session ---------------------------------------------------------------------------- */

static void close_sinks(const struct point_sink *sinks, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (sinks[i].stream)
            host_stream_put(sinks[i].stream);
}

static void free_points(struct points *points)
{
    struct arena *arena = points->kernel->arena;
    close_sinks(points->sinks, points->sink_count);
    for (u32 i = 0; i < points->sink_count; i++)
        arena_free(arena, points->sinks[i].name, strlen(points->sinks[i].name) + 1);
    arena_free(arena, points, sizeof *points);
}

/* Names become the session's own. */
static int take_sinks(struct points *points, const struct points_config *config)
{
    struct arena *arena = points->kernel->arena;
    for (u32 i = 0; i < config->sink_count; i++) {
        size_t size = strlen(config->sinks[i].name) + 1;
        char *name = arena_alloc(arena, size);
        if (!name) {
            close_sinks(config->sinks + i, config->sink_count - i);
            return -ENOMEM;
        }
        memcpy(name, config->sinks[i].name, size);
        points->sinks[i] = config->sinks[i];
        points->sinks[i].name = name;
        points->sink_count++;
    }
    return 0;
}

int points_start(struct kernel *kernel, const struct points_config *config)
{
    ASSERT(!kernel->points && config->sink_count <= POINT_SINKS_MAX);
    struct points *points = arena_alloc(kernel->arena, sizeof *points);
    if (!points) {
        close_sinks(config->sinks, config->sink_count);
        return -ENOMEM;
    }
    memset(points, 0, sizeof *points);
    points->kernel = kernel;
    int err = take_sinks(points, config);
    if (err) {
        free_points(points);
        return err;
    }
    memcpy(points->settings, config->settings, sizeof points->settings);
    points->calls = (struct call_observer){
        .next = kernel->call_observers, .enter = points_enter, .exit = points_exit};
    points->tasks = (struct task_observer){.cloned = points_cloned,
                                           .execed = points_execed,
                                           .exit_notify = points_exit_notify,
                                           .exited = points_exited};
    wait_queue_init(&points->idle);
    kernel->call_observers = &points->calls;
    kernel->task_observer = &points->tasks;
    kernel->points = points;
    kernel->metrics.plain[METRIC_TRACE_SESSIONS]++;
    return 0;
}

void points_destroy(struct kernel *kernel)
{
    struct points *points = kernel->points;
    if (!points)
        return;
    struct call_observer **at = &kernel->call_observers;
    while (*at && *at != &points->calls)
        at = &(*at)->next;
    if (*at)
        *at = points->calls.next;
    kernel->task_observer = NULL;
    kernel->points = NULL;
    free_points(points);
}

void points_stop(struct kernel *kernel, struct fiber *fiber)
{
    struct points *points = kernel->points;
    points->is_ending = true;
    while (points->busy > 0)
        fiber_sleep_on_hard(fiber, &points->idle);
    points_destroy(kernel);
}

const struct point_sink *points_sink(const struct kernel *kernel, u32 index)
{
    const struct points *points = kernel->points;
    return points && index < points->sink_count ? &points->sinks[index] : NULL;
}

/* ---- messages ------------------------------------------------------------------------------- */

void point_put_path(struct point_event *event, u32 field, const struct path *path,
                    const struct task *task)
{
    buf_clear(&event->text);
    if (!path || !path->dentry || path_text(path, task->fs ? &task->fs->root : NULL, &event->text))
        return;
    protobuf_put_bytes(&event->out, field, buf_bytes(&event->text), event->text.size);
}

static void put_credentials(struct protobuf *out, const struct cred *cred)
{
    size_t begun = protobuf_begin(out, 7);
    protobuf_put_u64(out, 1, cred->uid);
    protobuf_put_u64(out, 2, cred->euid);
    protobuf_put_u64(out, 3, cred->suid);
    protobuf_put_u64(out, 4, cred->gid);
    protobuf_put_u64(out, 5, cred->egid);
    protobuf_put_u64(out, 6, cred->sgid);
    protobuf_end(out, begun);
}

static u64 start_time(const struct task *task)
{
    u64 now = kernel_monotonic_ns(task->kernel), age = now - MIN(task->start_ns, now);
    return kernel_realtime_ns(task->kernel) - age;
}

/* Was its first ancestor exec'd into the container? */
static bool is_exec(const struct thread_group *group)
{
    while (group->parent)
        group = group->parent;
    return !group->pid_ns || group->pid_ns->init != group;
}

static void put_process(struct point_event *event, const struct task *task, u32 wanted)
{
    struct protobuf *out = &event->out;
    const struct thread_group *group = task->group;
    const struct pid_ns *ns = task->kernel->root_pid_ns;
    if (wanted & 1u << CONTEXT_GROUP_ID)
        protobuf_put_u64(out, 4, thread_group_pid_in(group, ns));
    if (wanted & 1u << CONTEXT_GROUP_START_TIME && group->leader)
        protobuf_put_u64(out, 5, start_time(group->leader));
    if (wanted & 1u << CONTEXT_CONTAINER_ID && group->container_id)
        protobuf_put_text(out, 6, group->container_id);
    if (wanted & 1u << CONTEXT_CREDENTIALS)
        put_credentials(out, task->cred);
    if (wanted & 1u << CONTEXT_CWD && task->fs)
        point_put_path(event, 8, &task->fs->cwd, task);
    if (wanted & 1u << CONTEXT_PROCESS_NAME)
        protobuf_put_bytes(out, 9, task->comm, strnlen(task->comm, COMM_SIZE));
    if (wanted & 1u << CONTEXT_PARENT_GROUP_ID && group->parent)
        protobuf_put_u64(out, 10, thread_group_pid_in(group->parent, ns));
    if (wanted & 1u << CONTEXT_IS_EXEC)
        protobuf_put_u64(out, 11, is_exec(group));
}

static void put_context(struct point_event *event, const struct task *task)
{
    struct protobuf *out = &event->out;
    u32 wanted = event->setting->context;
    if (!wanted)
        return;
    size_t begun = protobuf_begin(out, 1);
    if (wanted & 1u << CONTEXT_TIME)
        protobuf_put_u64(out, 1, kernel_realtime_ns(task->kernel));
    if (wanted & 1u << CONTEXT_THREAD_ID)
        protobuf_put_u64(out, 2, task->root_tid);
    if (wanted & 1u << CONTEXT_TASK_START_TIME)
        protobuf_put_u64(out, 3, start_time(task));
    if (task->group)
        put_process(event, task, wanted);
    protobuf_end(out, begun);
}

void point_event_begin(struct point_event *event, struct points *points, u32 point, u32 type,
                       const struct task *task)
{
    const struct point_header header = {.size = sizeof header, .type = (u16)type};
    *event = (struct point_event){.points = points, .setting = &points->settings[point]};
    buf_init(&event->buf, points->kernel->arena, EVENT_SIZE_MAX);
    buf_init(&event->text, points->kernel->arena, EVENT_SIZE_MAX);
    event->out.buf = &event->buf;
    event->out.failed = buf_append(&event->buf, &header, sizeof header) != 0;
    put_context(event, task);
}

/* True when it is settled: sent, or the sink is gone. */
static bool try_sink(struct point_event *event, struct point_sink *sink)
{
    struct point_header *header = (void *)buf_bytes(&event->buf);
    header->dropped = sink->dropped;
    i64 sent = host_stream_write(sink->stream, buf_bytes(&event->buf), event->buf.size, NULL, 0);
    if (sent == -EAGAIN)
        return false;
    if (sent < 0)
        sink->dropped++;
    return true;
}

SLEEPS static void retry_sink(struct point_event *event, struct point_sink *sink,
                              struct fiber *fiber)
{
    struct kernel *kernel = event->points->kernel;
    u64 backoff = sink->backoff_ns;
    for (u32 i = 0; fiber && i < sink->retries; i++) {
        struct wait_queue nothing;
        wait_queue_init(&nothing);
        if (fiber_sleep_on(fiber, &nothing, host_monotonic_ns(kernel->host) + backoff) !=
            -ETIMEDOUT)
            break;
        if (try_sink(event, sink))
            return;
        backoff = MIN(backoff * 2, sink->backoff_max_ns);
    }
    sink->dropped++;
}

static void finish(struct point_event *event)
{
    buf_fini(&event->buf);
    buf_fini(&event->text);
}

void point_event_send(struct point_event *event)
{
    struct points *points = event->points;
    for (u32 i = 0; i < points->sink_count; i++) {
        struct point_sink *sink = &points->sinks[i];
        if (sink->stream && (event->out.failed || !try_sink(event, sink)))
            sink->dropped++;
    }
    finish(event);
}

void point_event_send_patiently(struct point_event *event, struct fiber *fiber)
{
    struct points *points = event->points;
    for (u32 i = 0; i < points->sink_count; i++) {
        struct point_sink *sink = &points->sinks[i];
        if (!sink->stream)
            continue;
        if (event->out.failed)
            sink->dropped++;
        else if (!try_sink(event, sink))
            retry_sink(event, sink, fiber);
    }
    finish(event);
}
