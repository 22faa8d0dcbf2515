/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint and a restore between two steps or two system calls, which nothing that follows may
 * show. Not where a call is under way that cannot be made again, an exec'd process lives (its
 * descriptors are its client's), or the sandbox is not simply running.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "platform/platform.h"
#include "sim/run.h"

#define IMAGE "/.moved"

enum platform_use scenario_platform_use(const char *name)
{
    enum platform_use use = PLATFORM_USELESS;
    struct machine_memory memory;
    struct platform *platform;
    char why[256];
    if (machine_memory_create("probe", 4096, &memory))
        return use;
    int err = platform_create(name, &memory, 1, &platform, why, sizeof why);
    if (!err) {
        use = platform_features(platform)->is_native ? PLATFORM_NATIVE : PLATFORM_SCRIPT;
        platform_destroy(platform);
    }
    machine_memory_destroy(&memory);
    return use;
}

/* Is the call that a step waits for over, or can it be made again? */
static bool can_hold(struct run *run)
{
    const struct held_call *held = run->held;
    if (!held)
        return true;
    if (call_poll(held->call, run->host)) /* but the process of an exec is the client's */
        return strcmp(held->method, "containerManager.ExecuteAsync") != 0;
    return held->is_plain && strcmp(held->method, "containerManager.Wait") == 0;
}

static bool can_move(struct run *run, u32 pause_count)
{
    if (node_get(run->root, "faults")) /* an inserted call would be struck, or counted */
        return false;
    if (!run->sandbox || run->call_count || run->sandbox->kernel->pause_count != pause_count ||
        !can_hold(run))
        return false;
    enum loader_state state = loader_state(run->sandbox->loader);
    if (state != LOADER_STARTED && state != LOADER_RESTORED)
        return false;
    for (u32 i = 0; i < run->source_count; i++)
        if (run->sources[i].pid)
            return false;
    for (u32 i = 0; i < run->container_count; i++)
        if (loader_container_state(run->sandbox->loader, run->containers[i].id) !=
            CONTAINER_RUNNING)
            return false;
    return run->container_count > 0;
}

/* One call that must succeed. */
static int must(struct run *run, struct fy_node *node, const char *method, const char *arg,
                const int *fds, u32 fd_count)
{
    struct call call;
    int err = call_begin(&call, run->sandbox, method, arg, fds, fd_count, NULL, &run->heap);
    if (err)
        return FAIL_AT(run, node, "inserted %s: %s", method, errno_text(-err));
    bool moves = sandbox_run(run->sandbox);
    while (moves && !call_poll(&call, run->host))
        moves = sandbox_next(run->sandbox, sandbox_now(run->sandbox) + RUN_WITHIN_NS) == 1;
    const char *text = call.answer.size ? buf_text(&call.answer) : "";
    int result = moves && strstr(text, "\"success\":true")
                     ? 0
                     : FAIL_AT(run, node, "inserted %s: %s", method, text);
    call_end(&call);
    return result || sandbox_run(run->sandbox) ? result : -1;
}

static int save(struct run *run, struct fy_node *node)
{
    int fd = sim_open(run->host, IMAGE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return FAIL_AT(run, node, "no file for an inserted checkpoint");
    int result = must(run, node, "containerManager.Checkpoint", "{\"Resume\":true}", &fd, 1);
    sim_fd_close(run->host, fd);
    run->syscall_count += run->sandbox->syscall_count;
    marks_add(&run->marks, &run->sandbox->kernel->marks);
    if (!result && !sandbox_destroy(run->sandbox))
        result = FAIL_AT(run, node, "the sandbox does not end: %s", run->sandbox->trouble);
    run->sandbox = NULL;
    return result;
}

static int restore_sub(struct run *run, struct fy_node *node, const char *id)
{
    struct buf arg;
    char create[128];
    buf_init(&arg, &run->heap, 0);
    snprintf(create, sizeof create, "{\"CID\":\"%s\"}", id);
    if (must(run, node, "containerManager.CreateSubcontainer", create, NULL, 0) ||
        buf_append_text(&arg, "{\"Spec\":") || run_spec(run, node, id, &arg) ||
        buf_printf(&arg,
                   ",\"Conf\":{},\"CID\":\"%s\",\"GoferMountConfs\":[{\"lower\":1,\"upper\":%u}]}",
                   id, run_has_overlay(run, id)))
        return -1;
    int out = run_source(run, id)->fds[1], gofer = sandbox_gofer(run->sandbox, "/rootfs");
    const int fds[4] = {out, out, out, gofer};
    int result = gofer < 0 ? FAIL_AT(run, node, "too many gofers")
                           : must(run, node, "containerManager.RestoreSubcontainer", buf_text(&arg),
                                  fds, 4);
    sim_fd_close(run->host, gofer);
    buf_fini(&arg);
    return result;
}

/* PAUSE_COUNT: what the programs find when they are back. */
static int load(struct run *run, struct fy_node *node, u32 pause_count)
{
    const char *root = NULL;
    struct buf spec;
    struct error err;
    for (u32 i = 0; i < run->container_count; i++)
        if (run->containers[i].is_root)
            root = run->containers[i].id;
    buf_init(&spec, &run->heap, 0);
    if (run_spec(run, node, root, &spec))
        return -1;
    const struct sandbox_config config = {.host = run->host,
                                          .trace = &run->trace,
                                          .platform = run->platform,
                                          .cpu_count = run->cpu_count,
                                          .seed = run->seed,
                                          .id = root,
                                          .spec = buf_text(&spec),
                                          .out_fd = run_source(run, root)->fds[1],
                                          .has_overlay = run_has_overlay(run, root),
                                          .is_verbose = run->config->is_verbose,
                                          .halt_every = run->config->checkpoint_every,
                                          .drain = run_drain,
                                          .drain_arg = run};
    if (sandbox_create(&run->sandbox_place, &config, &err))
        return FAIL_AT(run, node, "inserted restore: %s", err.text);
    buf_fini(&spec);
    run->sandbox = &run->sandbox_place;
    run->sandbox->kernel->pause_count += pause_count;
    int fd = sim_open(run->host, IMAGE, O_RDONLY, 0);
    int result = must(run, node, "containerManager.Restore", "{}", &fd, 1);
    sim_fd_close(run->host, fd);
    for (u32 i = 0; i < run->container_count && !result; i++)
        if (!run->containers[i].is_root)
            result = restore_sub(run, node, run->containers[i].id);
    return result;
}

/* The held call leaves the old sandbox, and waits in the new one if it is not over. */
static void hold(struct run *run)
{
    struct call *call = run->held ? run->held->call : NULL;
    if (!call || !call->stream)
        return;
    host_stream_put(call->stream);
    call->stream = NULL;
}

static int make_again(struct run *run, struct fy_node *node)
{
    struct held_call *held = run->held;
    if (!held || held->call->is_over)
        return 0;
    call_end(held->call);
    int err = call_begin(held->call, run->sandbox, held->method, held->arg, NULL, 0, NULL,
                         &run->heap);
    if (err)
        return FAIL_AT(run, node, "%s again: %s", held->method, errno_text(-err));
    return sandbox_run(run->sandbox) ? 0 : -1;
}

static int move(struct run *run, struct fy_node *node, u32 pause_count)
{
    u64 begin = host_monotonic_ns(run->host);
    run->trace.is_muted = true;
    hold(run);
    int result = save(run, node) || load(run, node, pause_count) || make_again(run, node) ? -1 : 0;
    run->trace.is_muted = false;
    u64 spent = host_monotonic_ns(run->host) - begin;
    run->trace.shift_ns += spent;
    sim_clock_jump(run->host, -(i64)spent);
    if (run->config->counts)
        run->config->counts->image_count++;
    return result;
}

int run_move(struct run *run, struct fy_node *node)
{
    return can_move(run, 0) ? move(run, node, 0) : 0;
}

u64 run_now(const struct run *run)
{
    return host_monotonic_ns(run->host) - run->trace.shift_ns;
}

bool run_settle(struct run *run, struct fy_node *node)
{
    while (sandbox_run(run->sandbox)) {
        if (!run->sandbox->is_halted)
            return true;
        run->sandbox->is_halted = false;
        if (can_move(run, 1) && move(run, node, 1))
            return false;
        if (kernel_resume(run->sandbox->kernel))
            return FAIL_AT(run, node, "the halted sandbox is not paused") == 0;
    }
    return false;
}

int run_next(struct run *run, struct fy_node *node, u64 end)
{
    int more = sandbox_next(run->sandbox, end + run->trace.shift_ns);
    return more <= 0 || run_settle(run, node) ? more : -1;
}
