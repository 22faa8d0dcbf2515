/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint and a restore between two steps, which nothing that follows may show. Not where a
 * call is under way, an exec'd process lives (its descriptors are its client's), or the sandbox is
 * not simply running.
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

static bool can_move(struct run *run)
{
    if (node_get(run->root, "faults")) /* an inserted call would be struck, or counted */
        return false;
    if (!run->sandbox || run->call_count || run->sandbox->kernel->pause_count)
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

static int load(struct run *run, struct fy_node *node)
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
                                          .drain = run_drain,
                                          .drain_arg = run};
    if (sandbox_create(&run->sandbox_place, &config, &err))
        return FAIL_AT(run, node, "inserted restore: %s", err.text);
    buf_fini(&spec);
    run->sandbox = &run->sandbox_place;
    int fd = sim_open(run->host, IMAGE, O_RDONLY, 0);
    int result = must(run, node, "containerManager.Restore", "{}", &fd, 1);
    sim_fd_close(run->host, fd);
    for (u32 i = 0; i < run->container_count && !result; i++)
        if (!run->containers[i].is_root)
            result = restore_sub(run, node, run->containers[i].id);
    return result;
}

int run_move(struct run *run, struct fy_node *node)
{
    if (!can_move(run))
        return 0;
    u64 begin = host_monotonic_ns(run->host);
    run->trace.is_muted = true;
    int result = save(run, node) || load(run, node) ? -1 : 0;
    run->trace.is_muted = false;
    u64 spent = host_monotonic_ns(run->host) - begin;
    run->trace.shift_ns += spent;
    sim_clock_jump(run->host, -(i64)spent);
    run->image_count++;
    return result;
}
