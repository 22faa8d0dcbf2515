/* SPDX-License-Identifier: Apache-2.0 */
/* Births, ends and kin of processes: clone(2), exit(2), wait4(2), waitid(2), getpid(2), setpgid(2),
 * setsid(2). */
#include <string.h>

#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/fs/file.h"
#include "sentry/fs/pidfd.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/ipc/ipc.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/net/ns.h"
#include "sentry/syscalls/syscalls.h"

/* ---- clone ---------------------------------------------------------------------------------- */

#define NEW_NAMESPACES                                                                   \
    (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWUSER | \
     LINUX_CLONE_NEWPID | LINUX_CLONE_NEWNET | LINUX_CLONE_NEWCGROUP)

#define CLONE3_FLAGS                                                                            \
    ((u64)(NEW_NAMESPACES | LINUX_CLONE_VM | LINUX_CLONE_FS | LINUX_CLONE_FILES |               \
           LINUX_CLONE_SIGHAND | LINUX_CLONE_PIDFD | LINUX_CLONE_PTRACE | LINUX_CLONE_VFORK |   \
           LINUX_CLONE_PARENT | LINUX_CLONE_THREAD | LINUX_CLONE_SYSVSEM | LINUX_CLONE_SETTLS | \
           LINUX_CLONE_PARENT_SETTID | LINUX_CLONE_CHILD_CLEARTID | LINUX_CLONE_UNTRACED |      \
           LINUX_CLONE_CHILD_SETTID | LINUX_CLONE_IO) |                                         \
     LINUX_CLONE_CLEAR_SIGHAND)

/* New credentials in a new user namespace, or the task's own once more. */
static int part_cred(struct task *task, u64 flags, struct cred **out)
{
    if (!(flags & LINUX_CLONE_NEWUSER)) {
        *out = REF_GET(task->cred);
        return 0;
    }
    struct user_ns *parent = task->cred->user_ns ? task->cred->user_ns : task->kernel->root_user_ns;
    AUTO_PUT struct user_ns *ns = NULL;
    int err = user_ns_create(task->kernel, parent, task->cred, &ns);
    AUTO_PUT struct cred *cred = NULL;
    if (!err)
        err = cred_copy(task->cred, &cred);
    if (err)
        return err;
    cred_enter_user_ns(cred, ns);
    *out = MOVE(cred);
    return 0;
}

/* The namespaces that FLAGS name made anew in NS, a private copy. */
static int new_namespaces(struct task *task, const struct cred *cred, u64 flags, struct nsproxy *ns)
{
    struct kernel *kernel = task->kernel;
    struct user_ns *user_ns = cred->user_ns ? cred->user_ns : kernel->root_user_ns;
    int err = 0;
    if (flags & LINUX_CLONE_NEWUTS) {
        struct uts_ns *uts;
        err = uts_ns_create(kernel, user_ns, ns->uts_ns, &uts);
        if (!err) {
            REF_PUT(ns->uts_ns);
            ns->uts_ns = uts;
        }
    }
    if (!err && (flags & LINUX_CLONE_NEWIPC)) {
        struct ipc_ns *ipc;
        err = ipc_ns_create(kernel, user_ns, &ipc);
        if (!err) {
            REF_PUT(ns->ipc_ns);
            ns->ipc_ns = ipc;
        }
    }
    if (!err && (flags & LINUX_CLONE_NEWNET)) {
        struct net_ns *net;
        err = net_ns_create(kernel, user_ns, &net);
        if (!err) {
            REF_PUT(ns->net_ns);
            ns->net_ns = net;
        }
    }
    if (!err && (flags & LINUX_CLONE_NEWPID)) {
        struct pid_ns *pid_ns;
        if (task->pid->ns != ns->pid_ns)
            return -EINVAL;
        err = pid_ns_create(kernel, ns->pid_ns, user_ns, &pid_ns);
        if (!err) {
            REF_PUT(ns->pid_ns);
            ns->pid_ns = pid_ns;
        }
    }
    if (!err && (flags & LINUX_CLONE_NEWNS)) {
        struct mount_ns *mounts;
        err = mount_ns_fork(task, task_mount_ns(task), &mounts);
        if (!err) {
            mount_ns_set_owner(mounts, task_mount_ns(task), user_ns);
            REF_PUT((struct mount_ns *)ns->mount_ns);
            ns->mount_ns = mounts;
        }
    }
    return err;
}

static int part_ns(struct task *task, const struct cred *cred, u64 flags, struct nsproxy **out)
{
    if (!(flags & NEW_NAMESPACES & ~(u64)LINUX_CLONE_NEWUSER)) {
        *out = REF_GET(task->ns);
        return 0;
    }
    if (!cred_has_cap(cred, CAP_SYS_ADMIN))
        return -EPERM;
    AUTO_PUT struct nsproxy *ns = NULL;
    int err = nsproxy_copy(task->ns, &ns);
    if (!err)
        err = new_namespaces(task, cred, flags, ns);
    if (!err)
        *out = MOVE(ns);
    return err;
}

/* All parts of a child by FLAGS. On failure the caller puts what is there. */
SLEEPS static int make_parts(struct task *task, u64 flags, struct task_parts *parts)
{
    int err = part_cred(task, flags, &parts->cred);
    if (!err)
        err = part_ns(task, parts->cred, flags, &parts->ns);
    if (!err && (flags & LINUX_CLONE_SIGHAND))
        parts->sighand = REF_GET(task->group->sighand);
    else if (!err)
        err = sighand_copy(task->kernel, task->group->sighand, flags & LINUX_CLONE_CLEAR_SIGHAND,
                           &parts->sighand);
    if (!err && (flags & LINUX_CLONE_FILES))
        parts->fds = REF_GET(task->fds);
    else if (!err)
        err = fd_table_fork(task->fds, &parts->fds);
    if (!err && (flags & LINUX_CLONE_FS))
        parts->fs = REF_GET(task->fs);
    else if (!err)
        err = fs_context_fork(task->fs, &parts->fs);
    if (!err && (flags & LINUX_CLONE_NEWNS))
        mount_ns_enter(task_mount_ns(task), parts->ns->mount_ns, parts->fs);
    if (!err && (flags & LINUX_CLONE_VM))
        parts->mm = REF_GET(task->mm);
    else if (!err)
        err = mm_fork(task->mm, &task->fiber, &parts->mm); /* last: the dearest */
    return err;
}

SLEEPS static int tell_parent(struct task *task, struct task *child,
                              const struct task_create_args *args, struct fd_slots *slots)
{
    u32 tid = task_tid_in(child, task->pid->ns);
    if (args->clone_flags & LINUX_CLONE_PIDFD) {
        struct file *file;
        int err = pidfd_create(task->kernel, child->pid, 0, &file);
        if (err)
            return err;
        fd_slots_install(slots, 0, file, LINUX_O_CLOEXEC);
    } else if (args->clone_flags & LINUX_CLONE_PARENT_SETTID) {
        (void)!copy_to_user(task, args->parent_tid, &tid,
                            sizeof tid); /* Linux ignores a bad address */
    }
    return 0;
}

SLEEPS static i64 do_clone(struct task *task, const struct task_create_args *args, uaddr pidfd_at)
{
    u64 flags = args->clone_flags;
    int err = task_clone_check(task, flags);
    if (err)
        return err;
    AUTO_FD_SLOTS struct fd_slots slots = {0};
    if (flags & LINUX_CLONE_PIDFD) {
        err = fd_slots_reserve(task, 1, 0, &slots);
        if (!err)
            err = copy_to_user(task, pidfd_at, &slots.fds[0], sizeof slots.fds[0]);
        if (err)
            return err;
    }
    struct task_parts parts = {0};
    err = make_parts(task, flags, &parts);
    if (err) {
        task_parts_put(&parts);
        return err;
    }
    AUTO_PUT struct task *child = NULL;
    err = task_clone(task, args, &parts, &child);
    if (err)
        return err;
    u32 tid = task_tid_in(child, task->pid->ns);
    err = tell_parent(task, child, args, &slots);
    if (!err)
        err = task_start(child);
    if (err) {
        task_discard(MOVE(child));
        return err;
    }
    return tid;
}

/* clone(flags, stack, parent_tid, child_tid, tls): the exit signal is in the low byte. */
SLEEPS i64 sys_clone(struct task *task, const struct sysargs *args)
{
    u64 flags = (u32)args->v[0];
    const struct task_create_args create = {
        .clone_flags = flags & ~(u64)LINUX_CSIGNAL,
        .exit_signal = (u32)flags & LINUX_CSIGNAL,
        .stack = arg_uaddr(args, 1),
        .parent_tid = arg_uaddr(args, 2),
        .child_tid = arg_uaddr(args, 3),
        .tls = arg_uaddr(args, 4),
    };
    if ((flags & LINUX_CLONE_PIDFD) && (flags & LINUX_CLONE_PARENT_SETTID))
        return -EINVAL;
    return do_clone(task, &create, create.parent_tid);
}

SLEEPS i64 sys_fork(struct task *task, const struct sysargs *args)
{
    const struct task_create_args create = {.exit_signal = LINUX_SIGCHLD};
    return do_clone(task, &create, uaddr_make(0));
}

SLEEPS i64 sys_vfork(struct task *task, const struct sysargs *args)
{
    const struct task_create_args create = {.clone_flags = LINUX_CLONE_VM | LINUX_CLONE_VFORK,
                                            .exit_signal = LINUX_SIGCHLD};
    return do_clone(task, &create, uaddr_make(0));
}

/* A versioned struct of the program: known bytes taken, unknown ones must be zero. */
SLEEPS static int clone_args_from_user(struct task *task, uaddr at, u64 size,
                                       struct linux_clone_args *out)
{
    memset(out, 0, sizeof *out);
    if (size < LINUX_CLONE_ARGS_SIZE_MIN)
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    int err = copy_from_user(task, out, at, MIN(size, (u64)sizeof *out));
    for (u64 i = sizeof *out; i < size && !err; i++) {
        u8 byte;
        err = copy_from_user(task, &byte, uaddr_add(at, i), 1);
        if (!err && byte)
            err = -E2BIG;
    }
    return err;
}

SLEEPS i64 sys_clone3(struct task *task, const struct sysargs *args)
{
    struct linux_clone_args user;
    int err = clone_args_from_user(task, arg_uaddr(args, 0), arg_u64(args, 1), &user);
    if (err)
        return err;
    u32 tids[PID_NS_DEPTH_MAX];
    if (user.set_tid_size > ARRAY_COUNT(tids) || (!user.set_tid) != (!user.set_tid_size) ||
        user.exit_signal > LINUX_NSIG || (user.flags & ~(u64)CLONE3_FLAGS) ||
        (!user.stack) != (!user.stack_size))
        return -EINVAL;
    if (user.set_tid_size)
        err = copy_from_user(task, tids, uaddr_make(user.set_tid),
                             user.set_tid_size * sizeof tids[0]);
    if (err)
        return err;
    const struct task_create_args create = {
        .clone_flags = user.flags,
        .exit_signal = (u32)user.exit_signal,
        .stack = uaddr_make(user.stack ? user.stack + user.stack_size : 0),
        .tls = uaddr_make(user.tls),
        .parent_tid = uaddr_make(user.parent_tid),
        .child_tid = uaddr_make(user.child_tid),
        .set_tids = user.set_tid_size ? tids : NULL,
        .set_tid_count = (u32)user.set_tid_size,
    };
    if ((user.flags & (LINUX_CLONE_THREAD | LINUX_CLONE_PARENT)) && user.exit_signal)
        return -EINVAL;
    return do_clone(task, &create, uaddr_make(user.pidfd));
}

SLEEPS i64 sys_unshare(struct task *task, const struct sysargs *args)
{
    u64 flags = args->v[0];
    if (flags & ~(u64)(NEW_NAMESPACES | LINUX_CLONE_FS | LINUX_CLONE_FILES | LINUX_CLONE_THREAD |
                       LINUX_CLONE_SIGHAND | LINUX_CLONE_VM | LINUX_CLONE_SYSVSEM))
        return -EINVAL;
    bool is_alone = task->group->task_count == 1;
    if ((flags &
         (LINUX_CLONE_THREAD | LINUX_CLONE_SIGHAND | LINUX_CLONE_VM | LINUX_CLONE_NEWUSER)) &&
        !is_alone)
        return -EINVAL;
    struct task_parts parts = {0};
    int err = part_cred(task, flags, &parts.cred);
    if (!err)
        err = part_ns(task, parts.cred, flags, &parts.ns);
    if (!err && (flags & (LINUX_CLONE_FS | LINUX_CLONE_NEWNS)))
        err = fs_context_fork(task->fs, &parts.fs);
    if (!err && (flags & LINUX_CLONE_NEWNS))
        mount_ns_enter(task_mount_ns(task), parts.ns->mount_ns, parts.fs);
    if (!err && (flags & LINUX_CLONE_FILES))
        err = fd_table_fork(task->fds, &parts.fds);
    if (!err) {
        task_set_cred(task, MOVE(parts.cred));
        if (parts.ns->ipc_ns != task->ns->ipc_ns)
            sem_undo_leave(task);
        REF_PUT(task->ns);
        task->ns = MOVE(parts.ns);
        if (parts.fs) {
            REF_PUT(task->fs);
            task->fs = MOVE(parts.fs);
        }
        if (parts.fds) {
            REF_PUT(task->fds);
            task->fds = MOVE(parts.fds);
        }
    }
    task_parts_put(&parts);
    return err;
}

/* ---- ends ----------------------------------------------------------------------------------- */

SLEEPS i64 sys_exit(struct task *task, const struct sysargs *args)
{
    task_exit(task, WAIT_STATUS_EXITED(arg_i32(args, 0)), false);
    return 0;
}

SLEEPS i64 sys_exit_group(struct task *task, const struct sysargs *args)
{
    task_exit(task, WAIT_STATUS_EXITED(arg_i32(args, 0)), true);
    return 0;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static struct linux_timeval timeval_of(u64 ns)
{
    return (struct linux_timeval){(i64)(ns / NS_PER_S), (i64)(ns % NS_PER_S / NS_PER_US)};
}

SLEEPS static int put_rusage(struct task *task, uaddr at, const struct wait_result *result)
{
    struct linux_rusage usage = {.utime = timeval_of(result->user_ns),
                                 .stime = timeval_of(result->system_ns),
                                 .maxrss = (i64)(result->resident_max << PAGE_SHIFT) / 1024};
    return at.value ? copy_to_user(task, at, &usage, sizeof usage) : 0;
}

/* The process, group or kin that an id names; the pid struct is counted by *HELD while the wait
 * lasts. */
static int wait_subject(struct task *task, i32 id, struct wait_request *request, struct pid **held)
{
    if (id == -1)
        return 0;
    if (id == INT32_MIN)
        return -ESRCH;
    request->id_type = id > 0 ? LINUX_P_PID : LINUX_P_PGID;
    u32 nr = id > 0 ? (u32)id : (u32)-id;
    *held = id == 0 ? task->group->pgrp->pid : pid_find(task->pid->ns, nr);
    REF_GET(*held);
    request->pid = *held;
    return 0;
}

SLEEPS i64 sys_wait4(struct task *task, const struct sysargs *args)
{
    u32 options = arg_u32(args, 2);
    if (options & ~(LINUX_WNOHANG | LINUX_WUNTRACED | LINUX_WCONTINUED | LINUX_WNOTHREAD |
                    LINUX_WALL | LINUX_WCLONE))
        return -EINVAL;
    struct wait_request request = {.id_type = LINUX_P_ALL, .options = options | LINUX_WEXITED};
    AUTO_PUT struct pid *held = NULL;
    int err = wait_subject(task, arg_i32(args, 0), &request, &held);
    if (err)
        return err;
    struct wait_result result;
    i64 found = task_wait(task, &request, &result);
    if (found <= 0)
        return found;
    if (arg_u64(args, 1) &&
        copy_to_user(task, arg_uaddr(args, 1), &result.wait_status, sizeof result.wait_status))
        return -EFAULT;
    err = put_rusage(task, arg_uaddr(args, 3), &result);
    return err ? err : (i64)result.pid;
}

SLEEPS static int put_siginfo(struct task *task, uaddr at, const struct wait_result *result)
{
    struct linux_siginfo info = {0};
    if (at.value == 0)
        return 0;
    if (result) {
        info.signo = LINUX_SIGCHLD;
        info.code = result->code;
        info.sender.pid = (i32)result->pid;
        info.sender.uid = result->uid;
        info.sender.child.status = result->status;
    }
    /* Only the members that waitid(2) names are written. */
    return copy_to_user(task, at, &info, 12) ||
                   copy_to_user(task, uaddr_add(at, 16), &info.bytes, 12)
               ? -EFAULT
               : 0;
}

SLEEPS i64 sys_waitid(struct task *task, const struct sysargs *args)
{
    u32 options = arg_u32(args, 3), kinds = LINUX_WEXITED | LINUX_WSTOPPED | LINUX_WCONTINUED;
    i32 type = arg_i32(args, 0), id = arg_i32(args, 1);
    if ((options &
         ~(kinds | LINUX_WNOHANG | LINUX_WNOWAIT | LINUX_WNOTHREAD | LINUX_WALL | LINUX_WCLONE)) ||
        !(options & kinds))
        return -EINVAL;
    struct wait_request request = {.id_type = (u32)type, .options = options};
    AUTO_PUT struct pid *held = NULL;
    bool may_wait = true; /* a pidfd of O_NONBLOCK says EAGAIN instead */
    switch (type) {
    case LINUX_P_ALL:
        break;
    case LINUX_P_PID:
    case LINUX_P_PGID:
        if (id < 0 || (id == 0 && type == LINUX_P_PID))
            return -EINVAL;
        held = REF_GET(id == 0 ? task->group->pgrp->pid : pid_find(task->pid->ns, (u32)id));
        break;
    case LINUX_P_PIDFD: {
        AUTO_PUT struct file *file = fd_get(task, id);
        struct pid *pid = file ? pidfd_pid(file) : NULL;
        if (!file)
            return id < 0 ? -EINVAL : -EBADF;
        if (!pid)
            return -EBADF;
        request.id_type = LINUX_P_PID;
        held = REF_GET(pid);
        may_wait = !(file->flags & LINUX_O_NONBLOCK) || (options & LINUX_WNOHANG);
        if (!may_wait)
            request.options |= LINUX_WNOHANG;
        break;
    }
    default:
        return -EINVAL;
    }
    request.pid = held;
    struct wait_result result;
    i64 found = task_wait(task, &request, &result);
    if (found < 0)
        return found;
    if (!found && !may_wait)
        return -EAGAIN;
    int err = put_siginfo(task, arg_uaddr(args, 2), found ? &result : NULL);
    if (!err && found)
        err = put_rusage(task, arg_uaddr(args, 4), &result);
    return err;
}

/* ---- kin ------------------------------------------------------------------------------------ */

SLEEPS i64 sys_getpid(struct task *task, const struct sysargs *args)
{
    return task->group->pid;
}
SLEEPS i64 sys_gettid(struct task *task, const struct sysargs *args)
{
    return task->tid;
}
SLEEPS i64 sys_getppid(struct task *task, const struct sysargs *args)
{
    return task->group->parent ? thread_group_pid_in(task->group->parent, task->pid->ns) : 0;
}

/* The process PID names; 0: the caller's own. */
static struct thread_group *group_of(struct task *task, i32 pid)
{
    return pid == 0 ? task->group : pid < 0 ? NULL : thread_group_find(task->pid->ns, (u32)pid);
}

SLEEPS i64 sys_setpgid(struct task *task, const struct sysargs *args)
{
    i32 pid = arg_i32(args, 0), pgid = arg_i32(args, 1);
    if (pgid < 0 || (pgid == 0 && pid < 0))
        return -EINVAL;
    struct thread_group *group = group_of(task, pid);
    return group ? thread_group_setpgid(task, group, (u32)pgid) : -ESRCH;
}
SLEEPS i64 sys_getpgid(struct task *task, const struct sysargs *args)
{
    const struct thread_group *group = group_of(task, arg_i32(args, 0));
    return group && group->pgrp ? (i64)pid_nr_in(group->pgrp->pid, task->pid->ns) : -ESRCH;
}
SLEEPS i64 sys_getpgrp(struct task *task, const struct sysargs *args)
{
    return pid_nr_in(task->group->pgrp->pid, task->pid->ns);
}
SLEEPS i64 sys_setsid(struct task *task, const struct sysargs *args)
{
    return thread_group_setsid(task->group);
}
SLEEPS i64 sys_getsid(struct task *task, const struct sysargs *args)
{
    const struct thread_group *group = group_of(task, arg_i32(args, 0));
    return group && group->pgrp ? (i64)pid_nr_in(group->pgrp->session->pid, task->pid->ns) : -ESRCH;
}

SLEEPS i64 sys_set_tid_address(struct task *task, const struct sysargs *args)
{
    task->clear_child_tid = arg_uaddr(args, 0);
    return task->tid;
}

#define ROBUST_LIST_HEAD_SIZE 24u

SLEEPS i64 sys_set_robust_list(struct task *task, const struct sysargs *args)
{
    if (arg_u64(args, 1) != ROBUST_LIST_HEAD_SIZE)
        return -EINVAL;
    task->robust_list = arg_uaddr(args, 0);
    task->robust_list_size = ROBUST_LIST_HEAD_SIZE;
    return 0;
}
SLEEPS i64 sys_get_robust_list(struct task *task, const struct sysargs *args)
{
    i32 pid = arg_i32(args, 0);
    const struct task *target = pid == 0  ? task
                                : pid < 0 ? NULL
                                          : task_find(task->pid->ns, (u32)pid);
    u64 size = ROBUST_LIST_HEAD_SIZE;
    if (!target)
        return -ESRCH;
    if (target->group != task->group && target->cred->uid != task->cred->euid &&
        !task_has_capability(task, CAP_SYS_PTRACE))
        return -EPERM;
    int err = copy_to_user(task, arg_uaddr(args, 2), &size, sizeof size);
    return err ? err
               : copy_to_user(task, arg_uaddr(args, 1), &target->robust_list.value, sizeof(u64));
}

/* ---- pidfds --------------------------------------------------------------------------------- */

SLEEPS i64 sys_pidfd_open(struct task *task, const struct sysargs *args)
{
    i32 nr = arg_i32(args, 0);
    u32 flags = arg_u32(args, 1);
    if (nr <= 0 || (flags & ~LINUX_O_NONBLOCK))
        return -EINVAL;
    struct pid *pid = pid_find(task->pid->ns, (u32)nr);
    if (!pid || !pid->task)
        return -ESRCH;
    if (pid->task != pid->task->group->leader)
        return -EINVAL;
    struct file *file;
    int err = pidfd_create(task->kernel, pid, flags, &file);
    return err ? err : fd_install(task, file, LINUX_O_CLOEXEC);
}

SLEEPS i64 sys_pidfd_send_signal(struct task *task, const struct sysargs *args)
{
    i32 signo = arg_i32(args, 1);
    struct linux_siginfo info;
    if (arg_u32(args, 3))
        return -EINVAL;
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    struct pid *pid = file ? pidfd_pid(file) : NULL;
    if (file && !pid && !file->is_path)
        pid = proc_dir_pid(file); /* from before there was pidfd_open */
    if (!pid)
        return -EBADF;
    if (signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    struct thread_group *group = pid->task ? pid->task->group : NULL;
    if (!group)
        return -ESRCH;
    int err = 0;
    if (arg_u64(args, 2)) {
        err = copy_from_user(task, &info, arg_uaddr(args, 2), sizeof info);
        if (!err && info.signo != signo)
            err = -EINVAL;
        if (!err && group != task->group && (info.code >= 0 || info.code == LINUX_SI_TKILL))
            err = -EPERM;
    } else {
        signal_info_user(&info, signo, LINUX_SI_USER, task, group);
    }
    if (!err)
        err = signal_may_send(task, group, signo);
    return err || signo == 0 ? err : signal_send_group(group, &info);
}
