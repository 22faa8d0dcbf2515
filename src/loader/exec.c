/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that come from outside into a running container (ExecuteAsync). They have no parent
 * inside; their statuses wait in the loader's table until somebody asks.
 */
#include <errno.h>
#include <string.h>

#include "loader/internal.h"

/* Descriptors of ARGS that nobody took. */
static void close_rest(struct loader *loader, int *fds, u32 count, int exec_fd)
{
    for (u32 i = 0; i < count; i++)
        loader_close_fd(loader, &fds[i]);
    loader_close_fd(loader, &exec_fd);
}

/* In the table that BY wears. With a terminal, all that is the first descriptor's file is one
 * description. */
SLEEPS static int install_fds(struct loader *loader, struct task *by, const struct exec_args *args,
                              int *fds)
{
    AUTO_PUT struct file *terminal = NULL;
    for (u32 i = 0; i < args->fd_count; i++) {
        struct file *file = REF_GET(terminal);
        i32 guest = args->guest_fds ? args->guest_fds[i] : (i32)i;
        int fd = fds[i];
        int err = 0;
        bool is_stdio = guest >= 0 && guest <= 2;
        if (!file || !is_stdio) {
            REF_CLEAR(file);
            fds[i] = -1;
            err = fd < 0 ? -EBADF : stdio_open(loader, by, fd, is_stdio ? (u32)guest : 3, &file);
        }
        if (!err && args->is_tty && is_stdio && !terminal)
            terminal = REF_GET(file);
        if (!err)
            err = fd_install_at(by, guest, file, 0);
        if (err)
            return err;
    }
    return 0;
}

SLEEPS static int make_fds(struct container *container, struct task *by,
                           const struct exec_args *args, int *fds, struct fd_table **out)
{
    struct loader *loader = container->loader;
    AUTO_PUT struct fd_table *table = NULL;
    AUTO_PUT struct fs_context *fs = NULL;
    int err = fd_table_create(loader->kernel, &table);
    if (!err)
        err = view_root(loader->kernel, container->mounts, &fs);
    if (err)
        return err;
    struct view view;
    view_enter(&view, by, fs, NULL, table);
    err = install_fds(loader, by, args, fds);
    view_leave(&view);
    if (!err)
        *out = MOVE(table);
    return err;
}

/* The process's row in the table; its pid is the one in the container's namespace. */
static int remember(struct container *container, struct thread_group *group)
{
    struct arena *arena = container->loader->kernel->arena;
    struct exec_entry *entry = arena_alloc(arena, sizeof *entry);
    if (!entry)
        return -ENOMEM;
    entry->container_id = arena_strdup(arena, container->id);
    if (!entry->container_id) {
        arena_free(arena, entry, sizeof *entry);
        return -ENOMEM;
    }
    entry->pid = group->pid;
    entry->group = REF_GET(group);
    list_add_tail(&container->loader->execs, &entry->link);
    return 0;
}

/* The root container's spec speaks for all: exec takes neither limits nor umask from its caller. */
static int exec_limits(struct loader *loader, struct limits *limits, struct error *err)
{
    const struct container *root = list_first(&loader->containers, struct container, link);
    if (root->spec && root->spec->process)
        return process_spec_limits(root->spec->process, limits, err);
    limits_init(limits);
    return 0;
}

SLEEPS static int exec_start(struct container *container, struct task *by,
                             const struct exec_args *args, int *fds, struct thread_group **out,
                             struct error *err)
{
    struct limits limits;
    struct process_plan plan = {
        .container = container,
        .filename = args->filename,
        .argv = args->argv,
        .argc = args->argc,
        .envv = args->envv,
        .envc = args->envc,
        .cwd = args->cwd,
        .umask = 022,
        .uid = args->uid,
        .gid = args->gid,
        .groups = args->extra_gids,
        .group_count = args->extra_gid_count,
        .no_new_privs = args->no_new_privs,
        .is_tty = args->is_tty,
        .limits = &limits,
    };
    if (exec_limits(container->loader, &limits, err))
        return -1;
    if (args->has_caps)
        plan.caps = (struct process_caps){args->permitted, args->inheritable, args->effective,
                                          args->bounding, args->ambient};
    else if (process_spec_caps(container->loader, container->spec->process, &plan.caps, err))
        return -1;
    int result = make_fds(container, by, args, fds, &plan.fds);
    if (result)
        return error_set(err, -result, "opening the process's descriptors: %s",
                         errno_text(-result));
    return process_launch(&plan, by, out, err);
}

int loader_exec(struct loader *loader, struct task *by, const struct exec_args *args, u32 *pid,
                struct error *err)
{
    int fds[HOST_FDS_MAX];
    AUTO_PUT struct container *container = container_lookup(loader, args->container_id);
    AUTO_PUT struct thread_group *group = NULL;
    ASSERT(args->fd_count <= HOST_FDS_MAX);
    if (args->fd_count)
        memcpy(fds, args->fds, args->fd_count * sizeof *fds);
    int result = loader_container_check_running(loader, args->container_id, err);
    if (!result && args->exec_fd >= 0)
        result = error_set(err, ENOSYS, "starting a program from a descriptor is not supported");
    if (!result)
        result = exec_start(container, by, args, fds, &group, err);
    close_rest(loader, fds, args->fd_count, args->exec_fd);
    if (result)
        return -1;
    if (remember(container, group)) {
        thread_group_kill(group, LINUX_SIGKILL);
        return error_set(err, ENOMEM, "out of memory");
    }
    *pid = group->pid;
    return 0;
}
