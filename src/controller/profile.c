/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver Profile, there only when profiling is enabled. The call's fiber looks at all tasks every
 * few milliseconds: what each has used of the cpu since the last look is exact, which call it was
 * in is what the look found. CPU, Block, Mutex and Heap are pprof's protobuf, Trace is JSON that
 * Perfetto opens, Goroutine the text of debug.Stacks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/internal.h"
#include "controller/pprof.h"
#include "sentry/syscalls/syscalls.h"

#define PERIOD_NS ((u64)10 * 1000 * 1000)
#define TRACE_PERIOD_NS ((u64)1000 * 1000)
#define TRACE_SIZE_MAX ((size_t)16 << 20)
#define DURATION_MAX_NS (24 * 3600 * NS_PER_S)
#define TASKS_MAX 4096u

enum profile_kind {
    PROFILE_CPU,
    PROFILE_HEAP,
    PROFILE_BLOCK,
    PROFILE_MUTEX,
    PROFILE_TRACE,
    PROFILE_GOROUTINE
};

struct profile_call {
    i64 duration, rate; /* nanoseconds; the rate changes nothing: every look counts */
};
static const struct wire_field duration_fields[] = {
    WIRE_FIELD(struct profile_call, duration, "duration", &wire_duration),
    WIRE_END,
};
static const struct wire_field delay_fields[] = {
    WIRE_FIELD(struct profile_call, duration, "delay", &wire_duration),
    WIRE_END,
};
static const struct wire_field block_fields[] = {
    WIRE_FIELD(struct profile_call, duration, "duration", &wire_duration),
    WIRE_FIELD(struct profile_call, rate, "rate", &wire_int),
    WIRE_END,
};
static const struct wire_field mutex_fields[] = {
    WIRE_FIELD(struct profile_call, duration, "duration", &wire_duration),
    WIRE_FIELD(struct profile_call, rate, "fraction", &wire_int),
    WIRE_END,
};
static const struct wire_type cpu_type = WIRE_TYPE_STRUCT(struct profile_call, duration_fields,
                                                          "control.CPUProfileOpts");
static const struct wire_type heap_type = WIRE_TYPE_STRUCT(struct profile_call, delay_fields,
                                                           "control.HeapProfileOpts");
static const struct wire_type block_type = WIRE_TYPE_STRUCT(struct profile_call, block_fields,
                                                            "control.BlockProfileOpts");
static const struct wire_type mutex_type = WIRE_TYPE_STRUCT(struct profile_call, mutex_fields,
                                                            "control.MutexProfileOpts");
static const struct wire_type trace_type = WIRE_TYPE_STRUCT(struct profile_call, duration_fields,
                                                            "control.TraceProfileOpts");

/* ---- one look at a task --------------------------------------------------------------------- */

/* What was known of a task at the last look. */
struct seen {
    u64 id; /* the fiber's: never used twice */
    u64 user_ns, system_ns;
    u64 since_ns; /* traces: when its state began */
    char state[PPROF_NAME_MAX];
};

struct profile {
    struct rpc_call *call;
    enum profile_kind kind;
    struct host_file *file;
    struct pprof pprof;
    struct buf trace;
    struct seen *seen; /* in order of fiber ids, as kernel->tasks is */
    u32 seen_count;
    u64 last_ns, begin_ns;
    bool is_full; /* of tasks or of trace */
};

static void task_label(const struct task *task, char out[PPROF_NAME_MAX])
{
    snprintf(out, PPROF_NAME_MAX, "%.16s", task->comm[0] ? task->comm : "?");
}

static void call_label(const struct task *task, const char *other, char out[PPROF_NAME_MAX])
{
    const struct syscall_row *row = task->in_syscall ? syscall_find(task->context.regs.orig_rax)
                                                     : NULL;
    if (row)
        snprintf(out, PPROF_NAME_MAX, "sys_%s", row->name);
    else
        snprintf(out, PPROF_NAME_MAX, "%s", other);
}

/* The entry of TASK; entries of ended tasks before it are dropped. NULL: no room. */
static struct seen *seen_of(struct profile *profile, const struct task *task, u32 index)
{
    while (index < profile->seen_count && profile->seen[index].id < task->fiber.id) {
        profile->seen_count--;
        memmove(&profile->seen[index], &profile->seen[index + 1],
                (profile->seen_count - index) * sizeof *profile->seen);
    }
    if (index < profile->seen_count && profile->seen[index].id == task->fiber.id)
        return &profile->seen[index];
    if (profile->seen_count == TASKS_MAX) {
        profile->is_full = true;
        return NULL;
    }
    memmove(&profile->seen[index + 1], &profile->seen[index],
            (profile->seen_count - index) * sizeof *profile->seen);
    profile->seen_count++;
    profile->seen[index] = (struct seen){.id = task->fiber.id};
    task_times(task, &profile->seen[index].user_ns, &profile->seen[index].system_ns);
    return &profile->seen[index];
}

static void look_cpu(struct profile *profile, const struct task *task, struct seen *seen)
{
    u64 user, system;
    char root[PPROF_NAME_MAX], leaf[PPROF_NAME_MAX];
    task_times(task, &user, &system);
    task_label(task, root);
    if (user > seen->user_ns)
        pprof_add(&profile->pprof, "application code", root, 1, user - seen->user_ns);
    call_label(task, "sentry", leaf);
    if (system > seen->system_ns)
        pprof_add(&profile->pprof, leaf, root, 1, system - seen->system_ns);
    seen->user_ns = user;
    seen->system_ns = system;
}

/* Asleep for Block; ready, but without the kernel lock or a cpu, for Mutex. */
static void look_wait(struct profile *profile, const struct task *task, u64 elapsed)
{
    enum fiber_state want = profile->kind == PROFILE_BLOCK ? FIBER_BLOCKED : FIBER_READY;
    char root[PPROF_NAME_MAX], leaf[PPROF_NAME_MAX];
    if (task->fiber.state != want)
        return;
    task_label(task, root);
    call_label(task, want == FIBER_READY ? "waiting for a cpu" : "asleep", leaf);
    pprof_add(&profile->pprof, leaf, root, 1, elapsed);
}

static void put_slice(struct profile *profile, const struct task *task, const struct seen *seen,
                      u64 now)
{
    struct json_writer w;
    char name[PPROF_NAME_MAX + 4];
    json_writer_init(&w, &profile->trace);
    snprintf(name, sizeof name, "%s", seen->state);
    if (buf_append_text(&profile->trace, profile->trace.size > 16 ? ",\n" : "")) {
        profile->is_full = true;
        return;
    }
    json_begin_object(&w);
    json_name(&w, "name");
    json_put_string(&w, name);
    json_name(&w, "ph");
    json_put_string(&w, "X");
    json_name(&w, "ts");
    json_put_u64(&w, (seen->since_ns - profile->begin_ns) / 1000);
    json_name(&w, "dur");
    json_put_u64(&w, (now - seen->since_ns) / 1000);
    json_name(&w, "pid");
    json_put_u64(&w, task->group ? task->group->pid : 0);
    json_name(&w, "tid");
    json_put_u64(&w, task->root_tid ? task->root_tid : task->fiber.id);
    json_end_object(&w);
    profile->is_full |= w.failed;
}

static void look_trace(struct profile *profile, const struct task *task, struct seen *seen, u64 now,
                       bool is_last)
{
    char state[PPROF_NAME_MAX];
    bool is_blocked = task->fiber.state == FIBER_BLOCKED;
    call_label(task, is_blocked ? "asleep" : "running", state);
    if (seen->state[0] && strcmp(seen->state, state) == 0 && !is_last)
        return;
    if (seen->state[0] && now > seen->since_ns && !profile->is_full)
        put_slice(profile, task, seen, now);
    memcpy(seen->state, state, sizeof state);
    seen->since_ns = now;
}

static void look(struct profile *profile, u64 end)
{
    struct kernel *kernel = profile->call->kernel;
    const struct task *task;
    u64 now = host_monotonic_ns(kernel->host), elapsed = now - profile->last_ns;
    u32 index = 0;
    list_for_each (task, &kernel->tasks, kernel_link) {
        if (task == profile->call->task || task->phase >= PHASE_ZOMBIE)
            continue;
        struct seen *seen = seen_of(profile, task, index);
        if (!seen)
            break;
        index++;
        if (profile->kind == PROFILE_CPU)
            look_cpu(profile, task, seen);
        else if (profile->kind == PROFILE_TRACE)
            look_trace(profile, task, seen, now, now >= end);
        else
            look_wait(profile, task, elapsed);
    }
    profile->seen_count = index;
    profile->last_ns = now;
}

/* ---- running -------------------------------------------------------------------------------- */

/* Until DEADLINE; false: the client has gone. */
SLEEPS static bool sleep_until(struct profile *profile, u64 deadline)
{
    struct wait_queue nothing;
    wait_queue_init(&nothing);
    return fiber_sleep_on(&profile->call->task->fiber, &nothing, deadline) == -ETIMEDOUT;
}

SLEEPS static int watch(struct profile *profile, u64 duration_ns)
{
    struct kernel *kernel = profile->call->kernel;
    u64 period = profile->kind == PROFILE_TRACE ? TRACE_PERIOD_NS : PERIOD_NS;
    profile->begin_ns = profile->last_ns = host_monotonic_ns(kernel->host);
    u64 end = profile->begin_ns + duration_ns;
    look(profile, end);
    while (profile->last_ns < end && !profile->is_full) {
        if (!sleep_until(profile, MIN(end, profile->last_ns + period)))
            return error_set(profile->call->err, EINTR, "interrupted");
        look(profile, end);
    }
    profile->pprof.duration_ns = duration_ns;
    profile->pprof.period = period;
    return 0;
}

static void add_kind(void *arg, const char *kind, u64 count)
{
    pprof_add(arg, kind, "objects", count, 0);
}

SLEEPS static int look_heap(struct profile *profile, u64 delay_ns)
{
    static const char *const uses[FRAME_USE_COUNT] = {[FRAME_ANON] = "anonymous",
                                                      [FRAME_CACHE] = "page cache",
                                                      [FRAME_TMPFS] = "tmpfs",
                                                      [FRAME_SYSTEM] = "system"};
    struct kernel *kernel = profile->call->kernel;
    if (delay_ns && !sleep_until(profile, host_monotonic_ns(kernel->host) + delay_ns))
        return error_set(profile->call->err, EINTR, "interrupted");
    for (u32 i = 0; i < FRAME_USE_COUNT; i++)
        pprof_add(&profile->pprof, uses[i], "frames", kernel->memory->used[i],
                  kernel->memory->used[i] * PAGE_SIZE);
    arena_report_live(kernel->arena, add_kind, &profile->pprof);
    pprof_add(&profile->pprof, "all", "arena", 0, kernel->arena->bytes_live);
    return 0;
}

SLEEPS static int write_out(struct profile *profile)
{
    struct rpc_call *call = profile->call;
    AUTO_BUF struct buf text;
    buf_init(&text, call->kernel->arena, 0);
    int err = 0;
    if (profile->kind == PROFILE_GOROUTINE)
        err = debug_stacks_text(call->kernel, &text);
    else if (profile->kind != PROFILE_TRACE)
        err = pprof_encode(&profile->pprof, &text);
    else if (buf_append_text(&profile->trace, "]}\n"))
        err = -ENOMEM;
    const struct buf *out = profile->kind == PROFILE_TRACE ? &profile->trace : &text;
    if (!err)
        err = loader_write_all(call->task, profile->file, buf_bytes(out), out->size);
    return err ? error_set(call->err, -err, "writing the profile: %s", errno_text(-err)) : 0;
}

SLEEPS static int run(struct profile *profile, u64 duration_ns)
{
    struct arena *arena = profile->call->kernel->arena;
    int result = 0;
    profile->seen = arena_alloc_array(arena, TASKS_MAX, sizeof *profile->seen);
    if (!profile->seen ||
        (profile->kind == PROFILE_TRACE && buf_append_text(&profile->trace, "{\"traceEvents\":[")))
        result = error_set(profile->call->err, ENOMEM, "out of memory");
    else if (profile->kind == PROFILE_HEAP)
        result = look_heap(profile, duration_ns);
    else if (profile->kind != PROFILE_GOROUTINE)
        result = watch(profile, duration_ns);
    if (!result)
        result = write_out(profile);
    arena_free(arena, profile->seen, TASKS_MAX * sizeof *profile->seen);
    return result;
}

static const struct {
    const char *name, *types[2], *units[2];
} kinds[] = {
    [PROFILE_CPU] = {"CPU", {"samples", "cpu"}, {"count", "nanoseconds"}},
    [PROFILE_HEAP] = {"heap", {"inuse_objects", "inuse_space"}, {"count", "bytes"}},
    [PROFILE_BLOCK] = {"block", {"contentions", "delay"}, {"count", "nanoseconds"}},
    [PROFILE_MUTEX] = {"mutex", {"contentions", "delay"}, {"count", "nanoseconds"}},
    [PROFILE_TRACE] = {"trace", {"", ""}, {"", ""}},
    [PROFILE_GOROUTINE] = {"goroutine", {"", ""}, {"", ""}},
};

SLEEPS static int profile(struct rpc_call *call, const struct profile_call *args,
                          enum profile_kind kind)
{
    struct kernel *kernel = call->kernel;
    u64 duration = args ? (u64)MAX(args->duration, (i64)0) : 0;
    if (call->urpc->fd_count == 0)
        return 0;
    if (kernel->profiles_running >> kind & 1)
        return error_set(call->err, EBUSY, "%s profiling is already in use", kinds[kind].name);
    struct profile profile = {.call = call, .kind = kind};
    profile.file = host_file_from_fd(kernel->host, rpc_take_fd(call, 0));
    if (!profile.file)
        return error_set(call->err, ENOMEM, "out of memory");
    pprof_init(&profile.pprof, kernel->arena, kinds[kind].types, kinds[kind].units);
    profile.pprof.time_ns = kernel_realtime_ns(kernel);
    buf_init(&profile.trace, kernel->arena, TRACE_SIZE_MAX);
    kernel->profiles_running |= 1u << kind;
    int result = run(&profile, MIN(duration, DURATION_MAX_NS));
    kernel->profiles_running &= ~(1u << kind);
    buf_fini(&profile.trace);
    pprof_fini(&profile.pprof);
    host_file_put(profile.file);
    return result;
}

#define METHOD(name, kind)                                         \
    SLEEPS static int name(struct rpc_call *call, const void *arg) \
    {                                                              \
        return profile(call, arg, kind);                           \
    }
METHOD(profile_cpu, PROFILE_CPU)
METHOD(profile_heap, PROFILE_HEAP)
METHOD(profile_block, PROFILE_BLOCK)
METHOD(profile_mutex, PROFILE_MUTEX)
METHOD(profile_trace, PROFILE_TRACE)
METHOD(profile_goroutine, PROFILE_GOROUTINE)

/* Registered only when profiling is enabled. */
const struct rpc_method profile_methods[] = {
    {"Profile.CPU", &cpu_type, profile_cpu},
    {"Profile.Heap", &heap_type, profile_heap},
    {"Profile.Block", &block_type, profile_block},
    {"Profile.Mutex", &mutex_type, profile_mutex},
    {"Profile.Trace", &trace_type, profile_trace},
    {"Profile.Goroutine", NULL, profile_goroutine},
    {NULL},
};
