/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals from outside. They come from nobody inside (pid 0), so that a PID namespace's init, which
 * is deaf to its own kind, hears them.
 */
#include <errno.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/fs/tty/tty.h"

static int send_group(struct thread_group *group, i32 signo)
{
    struct linux_siginfo info;
    if (signo == 0)
        return 0;
    signal_info_user(&info, signo, LINUX_SI_USER, NULL, group);
    return signal_send_group(group, &info);
}

static int send_error(int result, struct error *err)
{
    return result ? error_set(err, -result, "%s", errno_text(-result)) : 0;
}

/* The live process PID (0: the first one) of a container: lent. */
static int find_process(struct loader *loader, const char *id, i32 pid, struct thread_group **out,
                        struct error *err)
{
    const struct container *container = container_by_id(loader, id);
    struct thread_group *group = NULL;
    if (container && container->phase == CONTAINER_PHASE_STARTED)
        group = pid == 0 ? container->init : thread_group_find(container->pid_ns, (u32)pid);
    if (!group || thread_group_has_ended(group))
        return error_set(err, ESRCH, "no such process with PID %d", pid);
    if (!group->container_id || strcmp(group->container_id, id) != 0)
        return error_set(err, EINVAL, "process %d belongs to a different container: \"%s\"", pid,
                         group->container_id ? group->container_id : "");
    *out = group;
    return 0;
}

static int check_pid(const struct signal_args *args, struct error *err)
{
    return args->pid < 0 ? error_set(err, EINVAL, "PID (%d) must be positive", args->pid) : 0;
}

static int signal_process(struct loader *loader, const struct signal_args *args, struct error *err)
{
    struct thread_group *group;
    if (check_pid(args, err))
        return -1;
    if (find_process(loader, args->container_id, args->pid, &group, err) ||
        send_error(send_group(group, args->signo), err))
        return error_prefix(err, "signaling process in container \"%s\" PID %d", args->container_id,
                            args->pid);
    return 0;
}

/* ---- all processes
 * --------------------------------------------------------------------------------------------- */

static int send_all(struct loader *loader, const char *id, i32 signo)
{
    struct task *task;
    int first = 0;
    list_for_each (task, &loader->kernel->tasks, kernel_link) {
        if (!task_leads(task, id) || thread_group_has_ended(task->group))
            continue;
        int err = send_group(task->group, signo);
        first = first ? first : err;
    }
    return first;
}

/* While the kernel is paused nothing forks past the signal. */
SLEEPS static int signal_all(struct loader *loader, struct task *by, const struct signal_args *args,
                             struct error *err)
{
    const struct container *container = container_by_id(loader, args->container_id);
    if (args->pid != 0)
        return error_set(err, EINVAL, "PID (%d) cannot be set when signaling all processes",
                         args->pid);
    if (!container || container->phase != CONTAINER_PHASE_STARTED)
        return error_set(err, EINVAL, "container \"%s\" not started", args->container_id);
    kernel_pause(loader->kernel, by);
    int result = send_all(loader, args->container_id, args->signo);
    (void)!kernel_resume(loader->kernel);
    if (send_error(result, err))
        return error_prefix(err, "signaling all processes in container \"%s\"", args->container_id);
    return 0;
}

/* ---- terminals and groups
 * ------------------------------------------------------------------------------------------ */

/* The foreground process group of the terminal of GROUP's session, lent, or the error. */
static int find_foreground(struct thread_group *group, struct process_group **out,
                           struct error *err)
{
    const struct session *session = group->pgrp ? group->pgrp->session : NULL;
    if (!session || !session->tty)
        return error_set(err, ENOTTY, "no TTY attached");
    struct process_group *foreground = session->foreground ? session->foreground->pgrp : NULL;
    *out = foreground ? foreground : group->pgrp;
    return 0;
}

static int send_pgrp(struct process_group *pgrp, i32 signo)
{
    struct thread_group *group;
    int first = 0;
    list_for_each (group, &pgrp->members, pgrp_link) {
        int err = thread_group_has_ended(group) ? 0 : send_group(group, signo);
        first = first ? first : err;
    }
    return first;
}

static int find_for_foreground(struct loader *loader, const struct signal_args *args,
                               struct thread_group **out, struct error *err)
{
    const struct container *container = container_by_id(loader, args->container_id);
    if (container && container->phase != CONTAINER_PHASE_STARTED)
        return error_set(err, EINVAL, "container \"%s\" not started", args->container_id);
    if (!find_process(loader, args->container_id, args->pid, out, err))
        return 0;
    char why[160];
    size_t size = MIN(strlen(err->text), sizeof why - 1);
    memcpy(why, err->text, size);
    why[size] = '\0';
    return error_set(err, ESRCH, "no thread group found: %s", why);
}

static int signal_foreground(struct loader *loader, const struct signal_args *args,
                             struct error *err)
{
    struct thread_group *group;
    struct process_group *pgrp = NULL;
    if (check_pid(args, err))
        return -1;
    if (find_for_foreground(loader, args, &group, err) || find_foreground(group, &pgrp, err) ||
        send_error(send_pgrp(pgrp, args->signo), err))
        return error_prefix(err, "signaling foreground process group in container \"%s\" PID %d",
                            args->container_id, args->pid);
    return 0;
}

static int signal_group(struct loader *loader, const struct signal_args *args, struct error *err)
{
    const struct container *container = container_by_id(loader, args->container_id);
    if (args->pgid <= 0)
        return error_set(err, EINVAL, "PGID must be set when signaling a process group");
    if (!container || container->phase != CONTAINER_PHASE_STARTED)
        return error_set(err, EINVAL, "signaling process group %d: container \"%s\" not started",
                         args->pgid, args->container_id);
    struct process_group *pgrp = process_group_find(container->pid_ns, (u32)args->pgid);
    int result = pgrp ? send_pgrp(pgrp, args->signo) : -ESRCH;
    return send_error(result, err) ? error_prefix(err, "signaling process group %d", args->pgid)
                                   : 0;
}

int loader_signal(struct loader *loader, struct task *by, const struct signal_args *args,
                  struct error *err)
{
    if (args->signo < 0 || args->signo > LINUX_NSIG)
        return error_set(err, EINVAL, "invalid signal %d", args->signo);
    switch (args->mode) {
    case SIGNAL_PROCESS:
        return signal_process(loader, args, err);
    case SIGNAL_ALL:
        return signal_all(loader, by, args, err);
    case SIGNAL_FOREGROUND:
        return signal_foreground(loader, args, err);
    case SIGNAL_GROUP:
        return signal_group(loader, args, err);
    default:
        return error_set(err, EINVAL, "invalid signal delivery mode: %u", args->mode);
    }
}
