/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything after create. A record says what was last written; whether that is still so, the
 * sandbox is asked, and if it does not answer, its process is looked for. Nothing here polls:
 * processes are waited for by pidfd, calls by their socket.
 */
#include "runtime/cgroup.h"
#include "runtime/console.h"
#include "runtime/container.h"
#include "runtime/control.h"
#include "runtime/hooks.h"
#include "runtime/mounts.h"
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SANDBOX_KILL_MS (120 * 1000)
#define GOFER_KILL_MS (5 * 1000)
#define STATE_TIMEOUT_NS (10 * NS_PER_S)

int runtime_open(const struct config *config, bool is_create, struct runtime *out,
                 struct error *err)
{
    *out = (struct runtime){.config = config, .dir = -1};
    if (state_dir_open(config->root, is_create, &out->dir, err) < 0) {
        if (is_create || err->code != ENOENT)
            return -1;
        out->dir = -1;
    }
    char resolved[PATH_MAX];
    out->root = strdup(realpath(config->root, resolved) ? resolved : config->root);
    return 0;
}

void runtime_close(struct runtime *runtime)
{
    if (runtime->dir >= 0)
        close(runtime->dir);
    free(runtime->root);
    *runtime = (struct runtime){.dir = -1};
}

bool sandbox_is_alive(const struct record *record)
{
    return process_is_alive((pid_t)record->sandbox->pid, record->sandbox->pid_start);
}

i64 record_shown_pid(const struct record *record)
{
    return record_has_status(record, STATUS_STOPPED) ? -1 : record->sandbox->pid;
}

/* ---- finding ---- */

/* Is what the record says still so? Only in memory. A paused sandbox is not asked, but may be gone.
 */
static void record_check(struct record *record)
{
    bool is_alive = sandbox_is_alive(record);
    if ((record_has_status(record, STATUS_PAUSED) || record_has_status(record, STATUS_CREATING)) &&
        !is_alive)
        record_set_status(record, STATUS_STOPPED);
    if (!record_has_status(record, STATUS_CREATED) && !record_has_status(record, STATUS_RUNNING))
        return;
    i64 state = 0;
    struct error unused;
    if (is_alive && control_state(record, &state, &unused) == 0 && state != 3)
        return;
    if (state == 3 || !is_alive || !sandbox_is_alive(record))
        record_set_status(record, STATUS_STOPPED);
}

int container_load(struct runtime *runtime, const struct full_id *id, bool has_check,
                   struct record **out, struct error *err)
{
    int lock;
    if (runtime->dir < 0)
        return error_set(err, ENOENT, "loading container \"%s\": file does not exist",
                         id->container);
    if (record_lock(runtime->dir, id, false, &lock, err) < 0)
        return -1;
    int result = record_load(runtime->dir, id, out, err);
    close(lock);
    if (result == 0 && has_check)
        record_check(*out);
    return result;
}

int container_find(struct runtime *runtime, const char *id, bool has_check, struct record **out,
                   struct error *err)
{
    struct full_id full;
    if (state_dir_find(runtime->dir, id, &full, err) < 0)
        return -1;
    return container_load(runtime, &full, has_check, out, err);
}

int container_want_status(const struct record *record, const char *action,
                          const char *const *states, struct error *err)
{
    for (; *states; states++)
        if (record_has_status(record, *states))
            return 0;
    return error_set(err, EINVAL, "cannot %s container \"%s\" in state %s", action, record->id,
                     record->status);
}

/* Lock and load for a change. */
static int change_begin(struct runtime *runtime, const struct full_id *id, int *lock,
                        struct record **out, struct error *err)
{
    if (runtime->dir < 0)
        return error_set(err, ENOENT, "loading container \"%s\": file does not exist",
                         id->container);
    if (record_lock(runtime->dir, id, false, lock, err) < 0)
        return -1;
    if (record_load(runtime->dir, id, out, err) == 0) {
        record_check(*out);
        return 0;
    }
    close(*lock);
    *lock = -1;
    return -1;
}

/* ---- ending processes ---- */

static void process_end(i64 pid, i64 start, int timeout_ms)
{
    int status;
    int pidfd = process_open((pid_t)pid, start);
    if (pidfd < 0)
        return;
    (void)process_signal(pidfd, SIGKILL);
    (void)process_wait_gone(pidfd, timeout_ms);
    (void)process_reap(pidfd, &status); /* if it was our child */
    close(pidfd);
}

static void sandbox_end(const struct record *record)
{
    process_end(record->sandbox->pid, record->sandbox->pid_start, SANDBOX_KILL_MS);
    process_end(record->gofer_pid, record->gofer_pid_start, GOFER_KILL_MS);
}

/* ---- start ---- */

static int network_call(struct urpc_client *client, const struct config *config, struct error *err)
{
    static const char links[] =
        "{\"LoopbackLinks\":[{\"Name\":\"lo\",\"Addresses\":[{\"Address\":\"127.0.0.1\","
        "\"PrefixLen\":8},"
        "{\"Address\":\"::1\",\"PrefixLen\":128}],\"Routes\":[{\"Destination\":{\"IP\":\"127.0.0."
        "0\",\"Mask\":\"/wAAAA==\"},"
        "\"Gateway\":\"\"}],\"GVisorGRO\":false}],\"FDBasedLinks\":null,\"XDPLinks\":null,"
        "\"Defaultv4Gateway\":{\"Route\":{\"Destination\":{\"IP\":\"\",\"Mask\":null},\"Gateway\":"
        "\"\"},\"Name\":\"\"},"
        "\"Defaultv6Gateway\":{\"Route\":{\"Destination\":{\"IP\":\"\",\"Mask\":null},\"Gateway\":"
        "\"\"},\"Name\":\"\"},"
        "\"PCAP\":false,\"LogPackets\":false,\"NATBlob\":false,\"DisconnectOk\":true}";
    if (config->network && strcmp(config->network, "host") == 0)
        return 0;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (urpc_call(client, "Network.CreateLinksAndRoutes", links, NULL, 0, &answer, err) == 0)
        return 0;
    if (err->code == EREMOTEIO && strstr(err->text, "unknown method"))
        return 0;
    return error_prefix(err, "setting up network");
}

/* START is StartRoot or Restore; both come after the network's call on the same connection. */
static int root_call(struct runtime *runtime, const struct record *record, const char *method,
                     const char *arg, const int *fds, u32 fd_count, struct error *err)
{
    AUTO_URPC_CLIENT struct urpc_client *client = NULL;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (control_connect(record, &client, err) < 0 || network_call(client, runtime->config, err) < 0)
        return -1;
    return urpc_call(client, method, arg, fds, fd_count, &answer, err);
}

/* A gofer of its own, then StartSubcontainer with stdio and the gofer's sockets. */
static int sub_call(struct runtime *runtime, struct record *record, const struct oci_spec *spec,
                    const char *method, struct error *err)
{
    struct mount_plan *plan = calloc(1, sizeof *plan);
    static int fds[3 + MOUNTS_MAX];
    int *sockets = fds + 3;
    struct spawned gofer = {.pidfd = -1};
    bool has_terminal = spec->process->terminal;
    if (!plan)
        abort();
    int result = mount_plan_open(runtime->config, spec, plan, err);
    if (result == 0)
        result = gofer_spawn(runtime, record->id, plan, false, NULL, -1, NULL, sockets, &gofer,
                             err);
    if (result == 0) {
        struct pool *pool = &record->pool;
        char *confs = pool_strdup(pool, "");
        for (u32 i = 0; i < plan->count; i++)
            confs = pool_printf(pool, "%s%s{\"lower\":%u,\"upper\":%u}", confs, i ? "," : "",
                                plan->lowers[i], plan->uppers[i]);
        char *arg = pool_printf(pool,
                                "{\"Spec\":%s,\"Conf\":{},\"CID\":%s,\"NumGoferFilestoreFDs\":0,"
                                "\"IsDevIoFilePresent\":false,"
                                "\"GoferMountConfs\":[%s]}",
                                oci_spec_encode(spec, NULL), control_string(pool, record->id),
                                confs);
        bool is_ours[3];
        stdio_borrow(fds, is_ours);
        result = control_call(record, method, arg, has_terminal ? sockets : fds,
                              plan->count + (has_terminal ? 0 : 3), NULL, err);
        stdio_return(fds, is_ours);
        for (u32 i = 0; i < plan->count; i++)
            close(sockets[i]);
        if (result < 0)
            process_end(gofer.pid, 0, GOFER_KILL_MS);
        record->gofer_pid = gofer.pid;
        record->gofer_pid_start = process_start(gofer.pid);
        if (gofer.pidfd >= 0)
            close(gofer.pidfd);
    }
    mount_plan_close(plan);
    free(plan);
    return result;
}

static void oom_score_set(i64 pid, i64 value)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/oom_score_adj", (long long)pid);
    int fd = pid > 0 ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    dprintf(fd, "%lld", (long long)value);
    close(fd);
}

static int hooks_at_start(const struct record *record, const struct oci_spec *spec,
                          struct error *err)
{
    if (!spec->hooks)
        return 0;
    struct oci_state state = {.id = record->id,
                              .status = STATUS_CREATED,
                              .pid = record->sandbox->pid,
                              .bundle = record->bundle_dir,
                              .spec = spec};
    return hooks_run(spec->hooks->start_container.items, spec->hooks->start_container.count, &state,
                     err);
}

/* A failed poststart hook does not undo a container that runs. */
static void hooks_after_start(const struct record *record, const struct oci_spec *spec)
{
    struct error err;
    if (!spec->hooks)
        return;
    struct oci_state state = {.id = record->id,
                              .status = STATUS_RUNNING,
                              .pid = record->sandbox->pid,
                              .bundle = record->bundle_dir,
                              .spec = spec};
    if (hooks_run(spec->hooks->poststart.items, spec->hooks->poststart.count, &state, &err) < 0)
        fprintf(stderr, "warning: %s\n", err.text);
}

/* Common to start and restore: METHOD with ARG for a root container, SUB_METHOD for others. */
static int begin(struct runtime *runtime, struct record *record, const char *method,
                 const char *arg, const char *sub_method, const int *fds, u32 fd_count,
                 struct error *err)
{
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    if (record_spec(record, &spec, err) < 0 || hooks_at_start(record, spec, err) < 0)
        return -1;
    bool is_root = record_is_root(record);
    int result = is_root ? root_call(runtime, record, method, arg, fds, fd_count, err)
                         : sub_call(runtime, record, spec, sub_method, err);
    if (result < 0) {
        error_prefix(err, "starting container \"%s\"", record->id);
        struct error unused;
        if (is_root)
            sandbox_end(record);
        record_set_status(record, STATUS_STOPPED);
        (void)!record_save(runtime->dir, record, &unused);
        return -1;
    }
    if (spec->process->oom_score_adj) {
        oom_score_set(record->gofer_pid, *spec->process->oom_score_adj);
        if (is_root)
            oom_score_set(record->sandbox->pid, *spec->process->oom_score_adj);
    }
    record_set_status(record, STATUS_RUNNING);
    if (record_save(runtime->dir, record, err) < 0)
        return -1;
    hooks_after_start(record, spec);
    return 0;
}

int container_start(struct runtime *runtime, const struct full_id *id, struct error *err)
{
    static const char *const states[] = {STATUS_CREATED, NULL};
    AUTO_RECORD struct record *record = NULL;
    int lock = -1;
    if (change_begin(runtime, id, &lock, &record, err) < 0)
        return -1;
    int result = container_want_status(record, "start", states, err);
    if (result == 0)
        result = begin(runtime, record, "containerManager.StartRoot",
                       control_string(&record->pool, record->id),
                       "containerManager.StartSubcontainer", NULL, 0, err);
    close(lock);
    return result;
}

int container_restore(struct runtime *runtime, const struct full_id *id, const int *fds,
                      u32 fd_count, bool is_background, struct error *err)
{
    static const char *const states[] = {STATUS_CREATED, NULL};
    AUTO_RECORD struct record *record = NULL;
    int lock = -1;
    if (change_begin(runtime, id, &lock, &record, err) < 0)
        return -1;
    char *arg = pool_printf(&record->pool,
                            "{\"HavePagesFile\":%s,\"HaveDeviceFile\":false,\"Background\":%s}",
                            fd_count > 1 ? "true" : "false", is_background ? "true" : "false");
    int result = container_want_status(record, "restore", states, err);
    record->sandbox->is_restored = true;
    if (result == 0)
        result = begin(runtime, record, "containerManager.Restore", arg,
                       "containerManager.RestoreSubcontainer", fds, fd_count, err);
    close(lock);
    return result;
}

int container_pause(struct runtime *runtime, const struct full_id *id, bool is_pause,
                    struct error *err)
{
    static const char *const running[] = {STATUS_RUNNING, NULL};
    static const char *const paused[] = {STATUS_PAUSED, NULL};
    AUTO_RECORD struct record *record = NULL;
    int lock = -1;
    if (change_begin(runtime, id, &lock, &record, err) < 0)
        return -1;
    int result = container_want_status(record, is_pause ? "pause" : "resume",
                                       is_pause ? running : paused, err);
    if (result == 0)
        result = control_call(record,
                              is_pause ? "containerManager.Pause" : "containerManager.Resume", NULL,
                              NULL, 0, NULL, err);
    if (result == 0) {
        record_set_status(record, is_pause ? STATUS_PAUSED : STATUS_RUNNING);
        result = record_save(runtime->dir, record, err);
    } else if (err->code == EREMOTEIO) {
        error_prefix(err, "%s container \"%s\"", is_pause ? "pausing" : "resuming", record->id);
    }
    close(lock);
    return result;
}

/* ---- delete ---- */

static void hooks_after_delete(const struct record *record)
{
    struct error err;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    if (record_spec(record, &spec, &err) < 0 || !spec->hooks)
        return;
    struct oci_state state = {.id = record->id,
                              .status = STATUS_STOPPED,
                              .pid = -1,
                              .bundle = record->bundle_dir,
                              .spec = spec};
    for (size_t i = 0; i < spec->hooks->poststop.count;
         i++) /* each one, whatever became of the one before */
        if (hooks_run(&spec->hooks->poststop.items[i], 1, &state, &err) < 0)
            fprintf(stderr, "warning: %s\n", err.text);
}

static void socket_remove(struct runtime *runtime, const char *sandbox_id)
{
    char name[256 + 16];
    snprintf(name, sizeof name, "runsc-%s.sock", sandbox_id);
    (void)unlinkat(runtime->dir, name, 0);
}

static void delete_root(struct runtime *runtime, const struct record *record)
{
    const char *path = record->sandbox->control_socket_path;
    if (path && *path)
        (void)unlink(path);
    else
        socket_remove(runtime, record->sandbox->id); /* an older client wrote the record */
    sandbox_end(record);
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    struct cgroup cgroup;
    cgroup_decode(record->sandbox->cgroup, &pool, &cgroup);
    cgroup_remove(&cgroup);
}

static void delete_sub(struct record *record)
{
    struct error unused;
    if (sandbox_is_alive(record))
        (void)!control_call(record, "containerManager.DestroySubcontainer",
                            control_string(&record->pool, record->id), NULL, 0, NULL, &unused);
    process_end(record->gofer_pid, record->gofer_pid_start, GOFER_KILL_MS);
}

void container_sweep(struct runtime *runtime, const char *id)
{
    struct full_id full;
    struct error unused;
    struct record *record;
    int lock = -1;
    if (runtime->dir < 0 || !container_id_is_valid(id))
        return;
    snprintf(full.container, sizeof full.container, "%s", id);
    snprintf(full.sandbox, sizeof full.sandbox, "%s", id);
    if (record_lock(runtime->dir, &full, false, &lock, &unused) < 0)
        return; /* nobody began anything under this name */
    if (record_load(runtime->dir, &full, &record, &unused) == 0) {
        record_free(record); /* a creator that was faster than we */
    } else {
        cgroup_remove_noted(lock);
        socket_remove(runtime, id);
        record_remove(runtime->dir, &full);
    }
    close(lock);
}

int container_delete(struct runtime *runtime, const struct full_id *id, bool is_forced,
                     struct error *err)
{
    AUTO_RECORD struct record *record = NULL;
    int lock = -1;
    if (runtime->dir < 0 || record_lock(runtime->dir, id, is_forced, &lock, err) < 0)
        return is_forced ? 0
                         : error_set(err, ENOENT, "loading container \"%s\": file does not exist",
                                     id->container);
    int result = record_load(runtime->dir, id, &record, err);
    if (result < 0 && is_forced) {
        /* Nothing of it can be read, so nothing can go but the files and what its lock knows. */
        cgroup_remove_noted(lock);
        record_remove(runtime->dir, id);
        close(lock);
        return 0;
    }
    if (result == 0 && !is_forced) {
        record_check(record);
        if (!record_has_status(record, STATUS_CREATED) &&
            !record_has_status(record, STATUS_STOPPED))
            result = error_set(err, EBUSY,
                               "cannot delete container that is not stopped without --force flag");
    }
    if (result == 0) {
        if (record_is_root(record))
            delete_root(runtime, record);
        else
            delete_sub(record);
        record_remove(runtime->dir, id);
        hooks_after_delete(record);
    }
    close(lock);
    return result;
}
