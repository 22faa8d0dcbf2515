/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: lock, cgroup, sockets, gofer and sandbox side by side, their word that they are ready,
 * record, hooks, and last of all the pid file, which tells callers that everything before it has
 * happened. A failure on the way undoes what was done, in the reverse order, and leaves no process,
 * file or cgroup behind.
 */
#include "runtime/cgroup.h"
#include "runtime/console.h"
#include "runtime/container.h"
#include "runtime/control.h"
#include "runtime/hooks.h"
#include "runtime/mounts.h"
#include "runtime/oci_filter.h"
#include "runtime/process.h"
#include "runtime/program.h"
#include "runtime/spawn.h"
#include "runtime/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Everything that a creation holds until it has succeeded. */
struct creation {
    struct runtime *runtime;
    const struct create_args *args;
    struct full_id id;
    int lock;
    struct record *record;
    struct cgroup cgroup;
    struct mount_plan plan;
    int gofer_sockets[MOUNTS_MAX];
    u32 gofer_socket_count;
    struct spawned gofer, sandbox;
    int control[2];
    char control_path[4200]; /* "" not bound yet */
    int stdio[3];
    bool is_stdio_ours[3];
    int console;
    int user_log;
    int fs_image[FS_IMAGE_FILES];
    int go[2];
    int startup[2];
    int status[2];
    bool has_record;
};

char *record_time_now(struct pool *pool)
{
    struct timespec now;
    struct tm utc;
    char head[32], fraction[16];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &utc);
    int size = snprintf(fraction, sizeof fraction, ".%09d", (int)now.tv_nsec);
    while (size > 1 &&
           fraction[size - 1] == '0') /* Go drops zeros at the end, and then the point */
        fraction[--size] = 0;
    return pool_printf(pool, "%s%sZ", head, size > 1 ? fraction : "");
}

void child_close(struct child *child)
{
    int *const fds[] = {&child->sandbox, &child->gofer, &child->status};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void spawned_kill(struct spawned *spawned)
{
    int status;
    if (spawned->pidfd < 0)
        return;
    (void)process_signal(spawned->pidfd, SIGKILL);
    (void)process_wait_gone(spawned->pidfd, 5000);
    (void)process_reap(spawned->pidfd, &status);
    close_fd(&spawned->pidfd);
}

/* ---- control sockets ---- */

static int listener_make(const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, 64) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* The socket's file in DIR; a stale one of the same name is replaced. */
static int listener_make_in(const char *dir, const char *id, char *path, size_t path_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(path, path_size, "%s/runsc-%s.sock", dir, id);
    if (size < 0 || (size_t)size >= path_size)
        return -1;
    int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -1;
    if ((size_t)size < sizeof address.sun_path)
        memcpy(address.sun_path, path, (size_t)size + 1);
    else
        size = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/runsc-%s.sock",
                        dir_fd, id);
    int fd = -1;
    if ((size_t)size < sizeof address.sun_path) {
        (void)unlink(path);
        mode_t before = umask(0077);
        fd = listener_make(&address, sizeof address);
        umask(before);
    }
    close(dir_fd);
    return fd;
}

static int control_listen(struct creation *c, struct error *err)
{
    const char *const dirs[] = {c->runtime->root, "/var/run", "/run", "/tmp"};
    for (size_t i = 0; i < ARRAY_COUNT(dirs) && c->control[0] < 0; i++)
        c->control[0] = listener_make_in(dirs[i], c->id.sandbox, c->control_path,
                                         sizeof c->control_path);
    if (c->control[0] < 0) {
        c->control_path[0] = 0;
        return error_errno(err, "cannot make the control socket of container \"%s\"",
                           c->id.container);
    }
    /* For clients of 2022, to whom a terminator is part of the name. Abstract names have no owner:
     * the sandbox looks who connects. Taken: then without. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "runsc-sandbox.%s",
                        c->id.sandbox);
    if (size > 0 && (size_t)size < sizeof address.sun_path - 1)
        c->control[1] = listener_make(
            &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 2 + (size_t)size));
    return 0;
}

/* ---- stdio ---- */

static int stdio_open(struct creation *c, struct error *err)
{
    const struct create_args *args = c->args;
    const struct oci_process *process = args->spec->process;
    if (*args->user_log) {
        c->user_log = open(args->user_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (c->user_log < 0)
            return error_errno(err, "cannot open the user log %s", args->user_log);
    }
    if (process->terminal && *args->console_socket) {
        u16 rows = process->console_size ? (u16)process->console_size->height : 0;
        u16 columns = process->console_size ? (u16)process->console_size->width : 0;
        if (console_create(args->console_socket, rows, columns, &c->console, err) < 0)
            return -1;
        for (int i = 0; i < 3; i++)
            c->stdio[i] = c->console;
        return 0;
    }
    stdio_borrow(c->stdio, c->is_stdio_ours); /* none is missing: cli_main opened /dev/null */
    if (process->terminal && isatty(c->stdio[0]))
        c->console = fcntl(c->stdio[0], F_DUPFD_CLOEXEC, 3);
    return 0;
}

/* The image of file systems that the sandbox's containers begin with. */
static int fs_image_open(struct creation *c, struct error *err)
{
    static const char *const names[FS_IMAGE_FILES] = {"fscheckpoint.pb", "multitar.img",
                                                      "pages_meta.img", "pages.img"};
    char path[4200];
    for (u32 i = 0; i < FS_IMAGE_FILES && *c->args->fs_image_path; i++) {
        snprintf(path, sizeof path, "%s/%s", c->args->fs_image_path, names[i]);
        c->fs_image[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (c->fs_image[i] < 0)
            return error_errno(err, "opening filesystem checkpoint file \"%s\"", path);
    }
    return 0;
}

/* ---- the record ---- */

static void record_fill(struct creation *c)
{
    struct record *record = c->record;
    struct pool *pool = &record->pool;
    const char *owner = getenv("USER");
    record->id = pool_strdup(pool, c->id.container);
    record->bundle_dir = pool_strdup(pool, c->args->bundle);
    record->created_at = record_time_now(pool);
    record->owner = pool_strdup(pool, owner ? owner : "");
    record->console_socket = pool_strdup(pool, c->args->console_socket);
    record->status = pool_strdup(pool, STATUS_CREATED);
    char *spec = pool_strdup(pool, oci_spec_encode(c->args->spec, NULL));
    record->spec = (struct json_text){.bytes = spec, .size = strlen(spec)};
    record->compat_cgroup = cgroup_encode(&(struct cgroup){0}, pool);
    record->saver = (struct record_saver){
        .root_dir = pool_strdup(pool, c->runtime->root),
        .id = {pool_strdup(pool, c->id.sandbox), pool_strdup(pool, c->id.container)}};
    struct record_mount *mounts = pool_alloc(pool, (c->plan.count + 1) * sizeof *mounts);
    for (u32 i = 0; i < c->plan.count; i++)
        mounts[i] = (struct record_mount){.lower = c->plan.lowers[i], .upper = c->plan.uppers[i]};
    record->gofer_mounts.items = c->plan.count ? mounts : NULL;
    record->gofer_mounts.count = c->plan.count;
}

static void record_fill_sandbox(struct creation *c)
{
    struct record *record = c->record;
    struct pool *pool = &record->pool;
    record->gofer_pid = c->gofer.pid;
    record->gofer_pid_start = process_start(c->gofer.pid);
    struct record_sandbox *sandbox = pool_alloc(pool, sizeof *sandbox);
    bool is_nobody = getuid() == 0 && !c->runtime->config->is_rootless;
    *sandbox = (struct record_sandbox){
        .id = pool_strdup(pool, c->id.sandbox),
        .pod_name = pool_strdup(pool,
                                oci_annotation(c->args->spec, "io.kubernetes.cri.sandbox-name")),
        .pod_namespace = pool_strdup(
            pool, oci_annotation(c->args->spec, "io.kubernetes.cri.sandbox-namespace")),
        .pid = c->sandbox.pid,
        .uid = is_nobody ? 65534 : getuid(),
        .gid = is_nobody ? 65534 : getgid(),
        .cgroup = cgroup_encode(&c->cgroup, pool),
        .control_socket_path = pool_strdup(pool, c->control_path),
        .pid_start = process_start(c->sandbox.pid)};
    record->sandbox = sandbox;
}

/* ---- steps ---- */

static int pipes_open(struct creation *c, struct error *err)
{
    if (pipe2(c->startup, O_CLOEXEC) < 0 || pipe2(c->go, O_CLOEXEC) < 0)
        return error_errno(err, "cannot make a pipe");
    if (c->args->is_attached && pipe2(c->status, O_CLOEXEC) < 0)
        return error_errno(err, "cannot make a pipe");
    return 0;
}

/* Gofer and sandbox start at the same time; then both have said that they are ready, or one that it
 * is not. */
static int processes_start(struct creation *c, struct error *err)
{
    const struct create_args *args = c->args;
    if (gofer_spawn(c->runtime, args->id, &c->plan, args->is_attached, c->go, c->startup[1],
                    &c->cgroup, c->gofer_sockets, &c->gofer, err) < 0)
        return -1;
    c->gofer_socket_count = c->plan.count;
    struct sandbox_spawn wanted = {.args = args,
                                   .plan = &c->plan,
                                   .cgroup = &c->cgroup,
                                   .gofers = c->gofer_sockets,
                                   .control = {c->control[0], c->control[1]},
                                   .stdio = {c->stdio[0], c->stdio[1], c->stdio[2]},
                                   .console = c->console,
                                   .go = {c->go[0], c->go[1]},
                                   .startup = c->startup[1],
                                   .status = c->status[1],
                                   .user_log = c->user_log,
                                   .fs_image = c->fs_image};
    if (sandbox_spawn(c->runtime, &wanted, &c->sandbox, err) < 0)
        return -1;
    close_fd(&c->startup[1]);
    close_fd(&c->status[1]);
    for (u32 i = 0; i < c->gofer_socket_count; i++)
        close(c->gofer_sockets[i]);
    c->gofer_socket_count = 0;
    return 0;
}

/* They begin when their numbers are on record, and are ready when both have said so. */
static int processes_begin(struct creation *c, struct error *err)
{
    record_set_status(c->record, STATUS_CREATING);
    if (record_save(c->runtime->dir, c->record, err) < 0)
        return -1;
    if (write(c->go[1], "GG", 2) != 2)
        return error_errno(err, "cannot start the sandbox");
    close_fd(&c->go[0]);
    close_fd(&c->go[1]);
    if (startup_wait(c->startup[0], c->gofer.pid > 0 ? 2 : 1, err) < 0)
        return -1;
    record_set_status(c->record, STATUS_CREATED);
    return 0;
}

static int hooks_of_creation(const struct creation *c, struct error *err)
{
    const struct oci_hooks *hooks = c->args->spec->hooks;
    if (!hooks)
        return 0;
    struct oci_state state = {.id = c->id.container,
                              .status = "creating",
                              .pid = c->record->sandbox->pid,
                              .bundle = c->args->bundle,
                              .spec = c->args->spec};
    if (hooks_run(hooks->prestart.items, hooks->prestart.count, &state, err) < 0 ||
        hooks_run(hooks->create_runtime.items, hooks->create_runtime.count, &state, err) < 0 ||
        hooks_run(hooks->create_container.items, hooks->create_container.count, &state, err) < 0)
        return -1;
    return 0;
}

static int finish(struct creation *c, struct error *err)
{
    if (record_save(c->runtime->dir, c->record, err) < 0)
        return -1;
    c->has_record = true;
    if (hooks_of_creation(c, err) < 0)
        return -1;
    if (*c->args->pid_file)
        return pid_file_write(c->args->pid_file, (pid_t)c->record->sandbox->pid, err);
    return 0;
}

static int create_root(struct creation *c, struct error *err)
{
    if (stdio_open(c, err) < 0 || fs_image_open(c, err) < 0 ||
        mount_plan_open(c->runtime->config, c->args->spec, &c->plan, err) < 0 ||
        control_listen(c, err) < 0 || pipes_open(c, err) < 0)
        return -1;
    cgroup_create(c->runtime->config, c->args->spec, c->id.container, c->lock, &c->record->pool,
                  &c->cgroup);
    record_fill(c);
    if (processes_start(c, err) < 0)
        return -1;
    record_fill_sandbox(c);
    if (processes_begin(c, err) < 0)
        return -1;
    const char *init = c->runtime->config->pod_init_config;
    if (init && *init && trace_session_init(c->record, init, err) < 0)
        return -1;
    return finish(c, err);
}

/* Into the sandbox of another container, which answers for it from now on. Its gofer comes with
 * start. */
static int create_sub(struct creation *c, struct error *err)
{
    AUTO_RECORD struct record *root = NULL;
    struct full_id root_id;
    snprintf(root_id.container, sizeof root_id.container, "%s", c->id.sandbox);
    snprintf(root_id.sandbox, sizeof root_id.sandbox, "%s", c->id.sandbox);
    if (container_load(c->runtime, &root_id, true, &root, err) < 0)
        return error_prefix(err, "cannot find the sandbox of container \"%s\"", c->id.container);
    if (record_has_status(root, STATUS_STOPPED))
        return error_set(err, ESRCH, "cannot create container \"%s\": sandbox \"%s\" is stopped",
                         c->id.container, c->id.sandbox);
    if (stdio_open(c, err) < 0)
        return -1;
    bool has_tty = *c->args->console_socket && c->args->spec->process->terminal;
    struct pool *pool = &c->record->pool;
    char *arg = pool_printf(pool, "{\"CID\":%s}", control_string(pool, c->id.container));
    if (control_call(root, "containerManager.CreateSubcontainer", arg, &c->console, has_tty ? 1 : 0,
                     NULL, err) < 0)
        return error_prefix(err, "creating container \"%s\" in sandbox \"%s\"", c->id.container,
                            c->id.sandbox);
    record_fill(c);
    struct record_sandbox *sandbox = pool_alloc(pool, sizeof *sandbox);
    *sandbox = *root->sandbox;
    sandbox->id = pool_strdup(pool, root->sandbox->id);
    sandbox->control_socket_path = pool_strdup(
        pool, root->sandbox->control_socket_path ? root->sandbox->control_socket_path : "");
    sandbox->pod_name = pool_strdup(pool, root->sandbox->pod_name ? root->sandbox->pod_name : "");
    sandbox->pod_namespace = pool_strdup(
        pool, root->sandbox->pod_namespace ? root->sandbox->pod_namespace : "");
    sandbox->cgroup = cgroup_encode(&(struct cgroup){0}, pool);
    c->record->sandbox = sandbox;
    int failed = finish(c, err);
    if (failed) {
        struct error unused;
        (void)!control_call(root, "containerManager.DestroySubcontainer",
                            control_string(pool, c->id.container), NULL, 0, NULL, &unused);
    }
    return failed;
}

static void creation_undo(struct creation *c)
{
    spawned_kill(&c->sandbox);
    spawned_kill(&c->gofer);
    cgroup_remove(&c->cgroup);
    if (c->control_path[0])
        (void)unlink(c->control_path);
    record_remove(c->runtime->dir, &c->id);
}

static void creation_close(struct creation *c)
{
    mount_plan_close(&c->plan);
    for (u32 i = 0; i < c->gofer_socket_count; i++)
        close(c->gofer_sockets[i]);
    stdio_return(c->stdio, c->is_stdio_ours);
    int *const fds[] = {&c->control[0], &c->control[1], &c->console,    &c->user_log,
                        &c->go[0],      &c->go[1],      &c->startup[0], &c->startup[1],
                        &c->status[0],  &c->status[1],  &c->lock,       &c->sandbox.pidfd,
                        &c->gofer.pidfd};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        close_fd(fds[i]);
    for (size_t i = 0; i < ARRAY_COUNT(c->fs_image); i++)
        close_fd(&c->fs_image[i]);
    record_free(c->record);
}

/* The id of the sandbox that the container is to be in. */
static int sandbox_id_of(const struct create_args *args, const char **out, struct error *err)
{
    const char *type = oci_annotation(args->spec, "io.kubernetes.cri.container-type");
    const char *id = oci_annotation(args->spec, "io.kubernetes.cri.sandbox-id");
    if (!*type) {
        type = oci_annotation(args->spec, "io.kubernetes.cri-o.ContainerType");
        id = oci_annotation(args->spec, "io.kubernetes.cri-o.SandboxID");
    }
    *out = args->id;
    if (!*type || strcmp(type, "sandbox") == 0)
        return 0;
    if (strcmp(type, "container") != 0)
        return error_set(err, EINVAL, "unknown container-type \"%s\"", type);
    if (!*id)
        return error_set(err, EINVAL, "no sandbox ID found when creating container");
    if (!container_id_is_valid(id))
        return error_set(err, EINVAL, "invalid container id: %s", id);
    *out = id;
    return 0;
}

/* Another container may have the id in another sandbox too. */
static int id_is_free(struct runtime *runtime, const char *id, struct error *err)
{
    struct full_id *ids;
    u32 count;
    if (state_dir_list(runtime->dir, &ids, &count, err) < 0)
        return -1;
    bool is_taken = false;
    for (u32 i = 0; i < count; i++)
        is_taken = is_taken || strcmp(ids[i].container, id) == 0;
    free(ids);
    return is_taken ? error_set(err, EEXIST,
                                "cannot lock container metadata file: container already exists")
                    : 0;
}

/* A profile that the sandbox could not apply is told now, while nothing is there to undo. */
static int profile_check(const struct runtime *runtime, const struct oci_spec *spec,
                         struct error *err)
{
    struct bpf_instruction code[4096]; /* BPF_MAXINSNS */
    u32 count;
    if (!runtime->config->has_oci_seccomp)
        return 0;
    return oci_filter_compile(spec, code, ARRAY_COUNT(code), &count, err);
}

int container_create(struct runtime *runtime, const struct create_args *args, struct record **out,
                     struct child *child, struct error *err)
{
    const char *sandbox_id;
    if (!container_id_is_valid(args->id))
        return error_set(err, EINVAL, "invalid container id: %s", args->id);
    if (sandbox_id_of(args, &sandbox_id, err) < 0 || id_is_free(runtime, args->id, err) < 0 ||
        (args->exec_fd < 0 && !args->is_restored && program_check(args->spec, err) < 0) ||
        profile_check(runtime, args->spec, err) < 0)
        return -1;
    struct creation *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    *c = (struct creation){.runtime = runtime,
                           .args = args,
                           .lock = -1,
                           .gofer = {.pidfd = -1},
                           .sandbox = {.pidfd = -1},
                           .control = {-1, -1},
                           .stdio = {-1, -1, -1},
                           .console = -1,
                           .user_log = -1,
                           .fs_image = {-1, -1, -1, -1},
                           .go = {-1, -1},
                           .startup = {-1, -1},
                           .status = {-1, -1}};
    snprintf(c->id.container, sizeof c->id.container, "%s", args->id);
    snprintf(c->id.sandbox, sizeof c->id.sandbox, "%s", sandbox_id);
    c->record = record_new();
    bool is_root = strcmp(sandbox_id, args->id) == 0;
    int result = record_lock(runtime->dir, &c->id, true, &c->lock, err);
    if (result == 0 && record_exists(runtime->dir, &c->id))
        result = error_set(err, EEXIST,
                           "cannot lock container metadata file: container already exists");
    else if (result == 0 && (result = is_root ? create_root(c, err) : create_sub(c, err)) < 0)
        creation_undo(c);
    if (result == 0) {
        *out = MOVE(c->record);
        if (child) {
            *child = (struct child){
                .sandbox = c->sandbox.pidfd, .gofer = c->gofer.pidfd, .status = c->status[0]};
            c->sandbox.pidfd = c->gofer.pidfd = c->status[0] = -1;
        }
    }
    creation_close(c);
    free(c);
    return result;
}
