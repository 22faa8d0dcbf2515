/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setns(2), and calls that compare or reach into other processes: kcmp(2), pidfd_getfd(2),
 * keyctl(2) in its simplest form. All new namespaces of one setns are judged before any is entered.
 */
#include "sentry/kernel/namespaces.h"

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/process.h"
#include "sentry/fs/file.h"
#include "sentry/fs/nsfs.h"
#include "sentry/fs/pidfd.h"
#include "sentry/fs/poll.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/ipc/ipc.h"
#include "sentry/net/ns.h"
#include "sentry/syscalls/syscalls.h"

#define NEW_NAMESPACES                                                                   \
    (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWUSER | \
     LINUX_CLONE_NEWPID | LINUX_CLONE_NEWNET | LINUX_CLONE_NEWCGROUP)

/* ---- setns ------------------------------------------------------------------------------------------- */

/* What is going to be entered: NULL for what stays. All lent. */
struct entry {
    struct user_ns *user_ns;
    struct pid_ns *pid_ns;
    struct uts_ns *uts_ns;
    struct ipc_ns *ipc_ns;
    struct mount_ns *mount_ns;
    struct net_ns *net_ns;
};

static int entry_of_file(const struct file *file, u32 wanted, struct entry *out)
{
    u32 type;
    struct object *ns = nsfs_object(file, &type);
    if (!ns || (wanted && wanted != type))
        return -EINVAL;
    switch (type) {
    case LINUX_CLONE_NEWUSER:
        out->user_ns = container_of(ns, struct user_ns, object);
        return 0;
    case LINUX_CLONE_NEWPID:
        out->pid_ns = container_of(ns, struct pid_ns, object);
        return 0;
    case LINUX_CLONE_NEWUTS:
        out->uts_ns = container_of(ns, struct uts_ns, object);
        return 0;
    case LINUX_CLONE_NEWIPC:
        out->ipc_ns = container_of(ns, struct ipc_ns, object);
        return 0;
    case LINUX_CLONE_NEWNS:
        out->mount_ns = container_of(ns, struct mount_ns, object);
        return 0;
    case LINUX_CLONE_NEWNET:
        out->net_ns = container_of(ns, struct net_ns, object);
        return 0;
    default:
        return 0;
    }
}

static int entry_of_pid(const struct task *task, const struct pid *pid, u32 wanted,
                        struct entry *out)
{
    const struct task *target = pid->task;
    if (wanted == 0 || wanted & ~NEW_NAMESPACES)
        return -EINVAL;
    if (!target || target->phase >= PHASE_EXIT)
        return -ESRCH;
    if (target->cred->uid != task->cred->euid &&
        !task_has_capability_in(task, target->cred->user_ns, CAP_SYS_PTRACE))
        return -EPERM;
    if (wanted & LINUX_CLONE_NEWUSER)
        out->user_ns = target->cred->user_ns ? target->cred->user_ns : task->kernel->root_user_ns;
    if (wanted & LINUX_CLONE_NEWPID)
        out->pid_ns = target->pid->ns;
    if (wanted & LINUX_CLONE_NEWUTS)
        out->uts_ns = target->ns->uts_ns;
    if (wanted & LINUX_CLONE_NEWIPC)
        out->ipc_ns = target->ns->ipc_ns;
    if (wanted & LINUX_CLONE_NEWNS)
        out->mount_ns = task_mount_ns(target);
    if (wanted & LINUX_CLONE_NEWNET)
        out->net_ns = net_ns_of(target);
    return 0;
}

static int judge_user(const struct task *task, const struct user_ns *ns)
{
    const struct user_ns *own = task->cred->user_ns ? task->cred->user_ns
                                                    : task->kernel->root_user_ns;
    bool shares_fs = ((const struct object *)(const void *)task->fs)->refs > 1;
    if (ns == own || task->group->task_count > 1 || shares_fs)
        return -EINVAL;
    return task_has_capability_in(task, ns, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/* CRED: the one that will hold, perhaps of a user namespace that is entered too. */
static int judge(const struct task *task, const struct cred *cred, const struct entry *entry)
{
    bool is_admin = cred_has_cap(cred, CAP_SYS_ADMIN);
    if (entry->uts_ns &&
        !(is_admin && cred_has_cap_in(cred, entry->uts_ns->user_ns, CAP_SYS_ADMIN)))
        return -EPERM;
    if (entry->ipc_ns &&
        !(is_admin && cred_has_cap_in(cred, entry->ipc_ns->user_ns, CAP_SYS_ADMIN)))
        return -EPERM;
    if (entry->pid_ns) {
        if (!is_admin || !cred_has_cap_in(cred, entry->pid_ns->user_ns, CAP_SYS_ADMIN))
            return -EPERM;
        if (!pid_ns_is_within(entry->pid_ns, task->pid->ns))
            return -EINVAL;
    }
    if (entry->mount_ns) {
        if (!is_admin || !cred_has_cap(cred, CAP_SYS_CHROOT))
            return -EPERM;
        if (((const struct object *)(const void *)task->fs)->refs > 1)
            return -EINVAL;
    }
    return entry->net_ns &&
                   !(is_admin && cred_has_cap_in(cred, entry->net_ns->user_ns, CAP_SYS_ADMIN))
               ? -EPERM
               : 0;
}

#define ENTER(ns, entry, member)                     \
    do {                                             \
        if ((entry)->member) {                       \
            REF_PUT((ns)->member);                   \
            (ns)->member = REF_GET((entry)->member); \
        }                                            \
    } while (0)

static int make_parts(struct task *task, const struct entry *entry, struct task_parts *parts)
{
    int err = cred_copy(task->cred, &parts->cred);
    if (!err && entry->user_ns)
        cred_enter_user_ns(parts->cred, entry->user_ns);
    if (!err)
        err = judge(task, parts->cred, entry);
    if (!err)
        err = nsproxy_copy(task->ns, &parts->ns);
    if (err)
        return err;
    ENTER(parts->ns, entry, pid_ns);
    ENTER(parts->ns, entry, uts_ns);
    ENTER(parts->ns, entry, ipc_ns);
    ENTER(parts->ns, entry, net_ns);
    if (!entry->mount_ns)
        return 0;
    ENTER(parts->ns, entry, mount_ns);
    const struct path root = {entry->mount_ns->root, entry->mount_ns->root->root};
    err = fs_context_create(task->kernel, &root, &root, &parts->fs);
    if (!err)
        parts->fs->umask = task->fs->umask;
    return err;
}

static void enter(struct task *task, const struct entry *entry, struct task_parts *parts)
{
    if (entry->ipc_ns && entry->ipc_ns != task->ns->ipc_ns)
        sem_undo_leave(task);
    if (entry->user_ns)
        task_set_cred(task, MOVE(parts->cred));
    REF_PUT(task->ns);
    task->ns = MOVE(parts->ns);
    if (parts->fs) {
        REF_PUT(task->fs);
        task->fs = MOVE(parts->fs);
    }
}

SLEEPS i64 sys_setns(struct task *task, const struct sysargs *args)
{
    u32 wanted = arg_u32(args, 1);
    struct entry entry = {0};
    struct task_parts parts = {0};
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    const struct pid *pid = pidfd_pid(file);
    int err = pid ? entry_of_pid(task, pid, wanted, &entry) : entry_of_file(file, wanted, &entry);
    if (!err && entry.user_ns)
        err = judge_user(task, entry.user_ns);
    if (!err)
        err = make_parts(task, &entry, &parts);
    if (!err)
        enter(task, &entry, &parts);
    task_parts_put(&parts);
    return err;
}

/* ---- kcmp ----------------------------------------------------------------------------------------------- */

enum {
    KCMP_FILE_,
    KCMP_VM_,
    KCMP_FILES_,
    KCMP_FS_,
    KCMP_SIGHAND_,
    KCMP_IO_,
    KCMP_SYSVSEM_,
    KCMP_EPOLL_TFD_
};

/* ptrace(2), "Ptrace access mode checking", as far as it needs no tracer. */
static bool may_look_into(const struct task *task, const struct task *target)
{
    const struct cred *a = task->cred, *b = target->cred;
    bool is_same = a->uid == b->uid && a->uid == b->euid && a->uid == b->suid && a->gid == b->gid &&
                   a->gid == b->egid && a->gid == b->sgid;
    return task->group == target->group || (is_same && target->group->is_dumpable) ||
           task_has_capability_in(task, b->user_ns, CAP_SYS_PTRACE);
}

/* Equal, less, greater: by the objects' numbers, never by address. */
static i64 compare(const void *a, const void *b)
{
    const struct object *left = a, *right = b;
    u64 x = left ? left->id : 0, y = right ? right->id : 0;
    return x == y ? 0 : x < y ? 1 : 2;
}

static i64 compare_files(struct task *a, struct task *b, i32 first, i32 second)
{
    AUTO_PUT struct file *left = a->fds ? fd_get(a, first) : NULL;
    AUTO_PUT struct file *right = b->fds ? fd_get(b, second) : NULL;
    return left && right ? compare(left, right) : -EBADF;
}

struct linux_kcmp_epoll_slot {
    u32 epoll_fd, fd, skip;
};

/* A description of A and what an epoll of B watches under a number. */
SLEEPS static i64 compare_watched(struct task *task, struct task *a, struct task *b,
                                  const struct sysargs *args)
{
    struct linux_kcmp_epoll_slot slot;
    int err = copy_from_user(task, &slot, arg_uaddr(args, 4), sizeof slot);
    if (err)
        return err;
    AUTO_PUT struct file *left = a->fds ? fd_get_open(a, arg_i32(args, 3)) : NULL;
    AUTO_PUT struct file *epoll = b->fds ? fd_get_open(b, (i32)slot.epoll_fd) : NULL;
    if (!left || !epoll)
        return -EBADF;
    if (!file_is_epoll(epoll))
        return -EINVAL;
    const struct file *right = epoll_watched(epoll, (i32)slot.fd, slot.skip);
    return right ? compare(left, right) : -ENOENT;
}

SLEEPS i64 sys_kcmp(struct task *task, const struct sysargs *args)
{
    i32 first = arg_i32(args, 0), second = arg_i32(args, 1);
    struct task *a = first > 0 ? task_find(task->pid->ns, (u32)first) : NULL;
    struct task *b = second > 0 ? task_find(task->pid->ns, (u32)second) : NULL;
    if (!a || !b)
        return -ESRCH;
    if (!may_look_into(task, a) || !may_look_into(task, b))
        return -EPERM;
    switch (arg_i32(args, 2)) {
    case KCMP_FILE_:
        return compare_files(a, b, arg_i32(args, 3), arg_i32(args, 4));
    case KCMP_VM_:
        return compare(a->mm, b->mm);
    case KCMP_FILES_:
        return compare(a->fds, b->fds);
    case KCMP_FS_:
        return compare(a->fs, b->fs);
    case KCMP_SIGHAND_:
        return compare(a->group->sighand, b->group->sighand);
    case KCMP_IO_: /* nobody has an I/O context: all have the same */
        return 0;
    case KCMP_SYSVSEM_:
        return compare(sem_undo_holder(a), sem_undo_holder(b));
    case KCMP_EPOLL_TFD_:
        return compare_watched(task, a, b, args);
    default:
        return -EINVAL;
    }
}

SLEEPS i64 sys_pidfd_getfd(struct task *task, const struct sysargs *args)
{
    if (arg_u32(args, 2))
        return -EINVAL;
    AUTO_PUT struct file *pidfd = fd_get(task, arg_fd(args, 0));
    const struct pid *pid = pidfd ? pidfd_pid(pidfd) : NULL;
    if (!pid)
        return -EBADF;
    struct task *target = pid->task;
    if (!target || !target->fds)
        return -ESRCH;
    if (!may_look_into(task, target))
        return -EPERM;
    struct file *file = fd_get(target, arg_fd(args, 1));
    return file ? fd_install(task, file, LINUX_O_CLOEXEC) : -EBADF;
}

/* ---- keys: session keyrings that hold nothing ------------------------------------------------------------ */

#define KEYCTL_GET_KEYRING_ID_ 0
#define KEYCTL_JOIN_SESSION_ 1
#define KEYCTL_SETPERM_ 5
#define KEYCTL_DESCRIBE_ 6
#define KEY_SPEC_SESSION_ (-3)
#define KEYRING_PERM 0x3f1b0000u
#define KEYRING_FIRST 100000000u

static u32 join_session(struct task *task)
{
    task->group->keyring = KEYRING_FIRST + (u32)(task->kernel->key_next_nr++ & 0xffffff);
    task->group->keyring_perm = KEYRING_PERM;
    return task->group->keyring;
}

SLEEPS static i64 describe(struct task *task, uaddr at, u64 size)
{
    AUTO_BUF struct buf out;
    buf_init(&out, task->kernel->arena, 0);
    int err = buf_printf(&out, "keyring;%u;%u;%08x;_ses", task->cred->uid, task->cred->gid,
                         task->group->keyring_perm);
    const char *full = err ? NULL : buf_text(&out);
    if (!full)
        return -ENOMEM;
    if (at.value && size >= out.size + 1)
        err = copy_to_user(task, at, full, out.size + 1);
    return err ? err : (i64)out.size + 1;
}

SLEEPS i64 sys_keyctl(struct task *task, const struct sysargs *args)
{
    i32 command = arg_i32(args, 0), key = arg_i32(args, 1);
    struct thread_group *group = task->group;
    if (command == KEYCTL_JOIN_SESSION_) {
        char name[256];
        i64 size = arg_u64(args, 1)
                       ? copy_string_from_user(task, name, arg_uaddr(args, 1), sizeof name)
                       : 0;
        return size < 0 ? size == -ENAMETOOLONG ? -EINVAL : size : (i64)join_session(task);
    }
    if (command != KEYCTL_GET_KEYRING_ID_ && command != KEYCTL_SETPERM_ &&
        command != KEYCTL_DESCRIBE_)
        return -EOPNOTSUPP;
    if (key == KEY_SPEC_SESSION_ && !group->keyring)
        join_session(task);
    if (key != KEY_SPEC_SESSION_ && (key <= 0 || (u32)key != group->keyring))
        return -ENOKEY;
    if (command == KEYCTL_DESCRIBE_)
        return describe(task, arg_uaddr(args, 2), arg_u64(args, 3));
    if (command == KEYCTL_SETPERM_) {
        group->keyring_perm = arg_u32(args, 2);
        return 0;
    }
    return group->keyring;
}
