/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a container: namespaces, mounts, descriptors, limits by its spec and
 * arguments. */
#include <errno.h>
#include <string.h>

#include "abi/fcntl.h"
#include "loader/internal.h"
#include "sentry/kernel/control_group.h"
#include "sentry/observe/points.h"
#include "sentry/fs/tty/tty.h"

/* ---- namespaces
 * ---------------------------------------------------------------------------------------------- */

/* Another container whose spec names the same path for namespace TYPE, or NULL. */
static struct container *find_sharer(struct container *container, const char *type)
{
    const struct oci_namespace *ns = oci_namespace_find(container->spec, type);
    struct container *other;
    if (!ns || !ns->path || !*ns->path)
        return NULL;
    list_for_each (other, &container->loader->containers, link) {
        const struct oci_namespace *its = other != container && other->spec && other->ns
                                              ? oci_namespace_find(other->spec, type)
                                              : NULL;
        if (its && its->path && strcmp(its->path, ns->path) == 0)
            return other;
    }
    return NULL;
}

/* "/proc/N/ns/pid": on the host, N can only be the sandbox's process, so its root namespace is
 * meant. */
static bool is_sandbox_pid_ns(const struct oci_namespace *ns)
{
    const char *at = ns->path ? ns->path : "";
    if (strncmp(at, "/proc/", 6) != 0)
        return false;
    size_t digits = strspn(at + 6, "0123456789");
    return digits > 0 && strcmp(at + 6 + digits, "/ns/pid") == 0;
}

/* The root container lives in the kernel's own namespaces; so does whoever asks for none. */
static int make_pid_ns(struct container *container)
{
    struct kernel *kernel = container->loader->kernel;
    const struct oci_namespace *ns = oci_namespace_find(container->spec, "pid");
    struct container *sharer = find_sharer(container, "pid");
    if (sharer)
        container->pid_ns = REF_GET(sharer->pid_ns);
    else if (container_is_root(container) || !ns || is_sandbox_pid_ns(ns))
        container->pid_ns = REF_GET(kernel->root_pid_ns);
    else
        return pid_ns_create(kernel, kernel->root_pid_ns, kernel->root_user_ns, &container->pid_ns);
    return 0;
}

/* A namespace of its own: asked for without a path, in a subcontainer. */
static bool wants_own(const struct container *container, const char *type)
{
    const struct oci_namespace *ns = oci_namespace_find(container->spec, type);
    return !container_is_root(container) && ns && (!ns->path || !*ns->path);
}

static int make_uts_ns(struct container *container, struct nsproxy *ns)
{
    struct kernel *kernel = container->loader->kernel;
    const struct oci_spec *spec = container->spec;
    bool is_own = wants_own(container, "uts");
    if (is_own) {
        struct uts_ns *uts;
        int err = uts_ns_create(kernel, kernel->root_user_ns, kernel->root_uts_ns, &uts);
        if (err)
            return err;
        REF_CLEAR(ns->uts_ns);
        ns->uts_ns = uts;
    }
    if ((is_own || container_is_root(container)) && spec->hostname && *spec->hostname)
        uts_ns_set_hostname(ns->uts_ns, spec->hostname);
    if ((is_own || container_is_root(container)) && spec->domainname && *spec->domainname)
        strncpy(ns->uts_ns->domainname, spec->domainname, UTS_NAME_SIZE - 1);
    return 0;
}

static int make_namespaces(struct container *container)
{
    struct kernel *kernel = container->loader->kernel;
    AUTO_PUT struct nsproxy *ns = NULL;
    int err = make_pid_ns(container);
    if (!err)
        err = nsproxy_create(kernel, &ns);
    if (!err)
        err = make_uts_ns(container, ns);
    if (!err && wants_own(container, "ipc")) {
        REF_CLEAR(ns->ipc_ns);
        err = ipc_ns_create(kernel, kernel->root_user_ns, &ns->ipc_ns);
    }
    if (err)
        return err;
    REF_CLEAR(ns->pid_ns);
    ns->pid_ns = REF_GET(container->pid_ns);
    ns->mount_ns = REF_GET(container->mounts);
    container->ns = MOVE(ns);
    return 0;
}

/* ---- descriptors ---------------------------------------------------------------------------- */

/* A reference in *OUT: the host's descriptor, or the container's /dev/null. */
SLEEPS static int open_stdio(struct loader *loader, struct task *by, int *fd, u32 index,
                             struct file **out)
{
    if (*fd < 0)
        return vfs_open(by, NULL, "/dev/null", LINUX_O_RDWR, 0, WALK_FOLLOW, out);
    int taken = *fd;
    *fd = -1;
    return stdio_open(loader, by, taken, index, out);
}

/* 0, 1 and 2 in the table that BY wears. A terminal is one description three times. */
SLEEPS static int install_stdio(struct container *container, struct task *by, int stdio[3],
                                bool is_terminal)
{
    struct loader *loader = container->loader;
    AUTO_PUT struct file *file = NULL;
    for (u32 i = 0; i < 3; i++) {
        if (i == 0 || !is_terminal) {
            REF_CLEAR(file);
            int err = open_stdio(loader, by, &stdio[i], i, &file);
            if (err)
                return err;
        }
        container->stdio_numbers[i] = stdio_number(file);
        int err = fd_install_at(by, (i32)i, REF_GET(file), 0);
        if (err)
            return err;
    }
    return 0;
}

SLEEPS static int install_passed(struct loader *loader, struct task *by,
                                 struct container_args *args)
{
    for (u32 i = 0; i < args->passed_count; i++) {
        struct file *file = NULL;
        int fd = args->passed[i].host;
        args->passed[i].host = -1;
        int err = fd < 0 ? -EBADF : stdio_open(loader, by, fd, 3, &file);
        if (!err)
            err = fd_install_at(by, args->passed[i].guest, file, 0);
        if (err)
            return err;
    }
    return 0;
}

SLEEPS static int make_fds(struct container *container, struct task *by, struct fd_table **out)
{
    struct loader *loader = container->loader;
    AUTO_PUT struct fd_table *fds = NULL;
    AUTO_PUT struct fs_context *fs = NULL;
    int err = fd_table_create(loader->kernel, &fds);
    if (!err)
        err = view_root(loader->kernel, container->mounts, &fs);
    if (err)
        return err;
    struct view view;
    view_enter(&view, by, fs, NULL, fds);
    err = install_stdio(container, by, container->args->stdio, container->spec->process->terminal);
    if (!err)
        err = install_passed(loader, by, container->args);
    view_leave(&view);
    if (!err)
        *out = MOVE(fds);
    return err;
}

/* Its control group, with the limits that its spec asks for. */
static int make_group(struct container *container)
{
    struct control_group *group = control_group_make(container->loader->kernel, container->id);
    const struct oci_limits *asked = container->spec->on_linux ? &container->spec->on_linux->limits
                                                               : NULL;
    if (!group)
        return -ENOMEM;
    if (!asked)
        return 0;
    if (asked->has_pids && asked->pids > 0)
        group->limits.pids_max = (u64)asked->pids;
    if (asked->has_memory && asked->memory > 0)
        group->limits.memory_limit = (u64)asked->memory;
    if (asked->has_memory_reservation && asked->memory_reservation > 0)
        group->limits.memory_soft_limit = (u64)asked->memory_reservation;
    if (asked->has_cpu_shares && asked->cpu_shares >= 2)
        group->limits.cpu_shares = asked->cpu_shares;
    if (asked->has_cpu_quota && asked->cpu_quota > 0)
        group->limits.cpu_quota_us = asked->cpu_quota;
    if (asked->has_cpu_period && asked->cpu_period > 0)
        group->limits.cpu_period_us = asked->cpu_period;
    return 0;
}

static void tell_start(const struct container *container, const struct oci_process *process)
{
    const struct point_start start = {.id = container->id,
                                      .cwd = process->cwd,
                                      .args = process->args.items,
                                      .arg_count = process->args.count,
                                      .env = process->env.items,
                                      .env_count = process->env.count,
                                      .has_terminal = process->terminal};
    if (container->init->leader)
        points_container_start(container->loader->kernel, container->init->leader, &start);
}

/* ---- the whole ------------------------------------------------------------------------------ */

SLEEPS static int start_process(struct container *container, struct task *by, struct error *err)
{
    const struct oci_process *process = container->spec->process;
    struct limits limits;
    struct process_plan plan = {
        .container = container,
        .argv = process->args.items,
        .argc = process->args.count,
        .envv = process->env.items,
        .envc = process->env.count,
        .cwd = process->cwd,
        .makes_cwd = true,
        .umask = process->user.umask ? *process->user.umask : 022,
        .uid = process->user.uid,
        .gid = process->user.gid,
        .groups = process->user.additional_gids.items,
        .group_count = process->user.additional_gids.count,
        .no_new_privs = process->no_new_privileges,
        .is_tty = process->terminal,
        .limits = &limits,
        .oom_score_adj = process->oom_score_adj ? *process->oom_score_adj : 0,
    };
    if (process_spec_caps(container->loader, process, &plan.caps, err) ||
        process_spec_limits(process, &limits, err))
        return -1;
    int result = make_fds(container, by, &plan.fds);
    if (result)
        return error_set(err, -result, "opening standard input and output: %s",
                         errno_text(-result));
    if (process_launch(&plan, by, &container->init, err))
        return -1;
    tell_start(container, process);
    return 0;
}

SLEEPS static int start_steps(struct container *container, struct task *by, struct error *err)
{
    if (container->args->exec_fd >= 0)
        return error_set(err, ENOSYS, "starting a program from a descriptor is not supported");
    int result = make_group(container); /* mounts may show it */
    if (result)
        return error_set(err, -result, "cannot make a control group: %s", errno_text(-result));
    if (mounts_create(container, by, container->args, err))
        return -1;
    result = make_namespaces(container);
    if (result)
        return error_set(err, -result, "cannot make namespaces: %s", errno_text(-result));
    return start_process(container, by, err);
}

int container_run(struct container *container, struct task *by, struct error *err)
{
    object_get_(&container->object);
    container->phase = CONTAINER_PHASE_STARTING;
    int result = start_steps(container, by, err);
    container->phase = result ? CONTAINER_PHASE_FAILED : CONTAINER_PHASE_STARTED;
    args_free(container->loader, MOVE(container->args)); /* what nobody took is closed */
    if (result) {
        REF_CLEAR(container->ns);
        REF_CLEAR(container->mounts);
    }
    if (!result)
        container_watch_gofer(container);
    wake_up_all(&container->changed);
    object_put(&container->object);
    return result;
}
