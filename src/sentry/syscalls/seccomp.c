/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp(2) and its older form in prctl(2). */
#include "sentry/kernel/seccomp.h"

#include "abi/errno.h"
#include "sentry/syscalls/syscalls.h"

#define SET_MODE_STRICT 0u
#define SET_MODE_FILTER 1u
#define GET_ACTION_AVAIL 2u
#define GET_NOTIF_SIZES 3u
#define FLAGS \
    (SECCOMP_FLAG_TSYNC | SECCOMP_FLAG_LOG | SECCOMP_FLAG_SPEC_ALLOW | SECCOMP_FLAG_TSYNC_ESRCH)

struct linux_sock_fprog {
    u16 count, pad0;
    u32 pad1;
    u64 code;
};

SLEEPS static int filter_from_user(struct task *task, uaddr at, struct seccomp_filter **out)
{
    struct linux_sock_fprog program;
    int err = copy_from_user(task, &program, at, sizeof program);
    if (err)
        return err;
    if (program.count == 0 || program.count > SECCOMP_PROGRAM_MAX)
        return -EINVAL;
    struct arena *arena = task->kernel->arena;
    struct bpf_instruction *code = arena_alloc_array(arena, program.count, sizeof *code);
    if (!code)
        return -ENOMEM;
    err = copy_from_user(task, code, uaddr_make(program.code), program.count * sizeof *code);
    if (!err)
        err = seccomp_filter_create(task, code, program.count, out);
    arena_free(arena, code, program.count * sizeof *code);
    return err;
}

SLEEPS static i64 set_filter(struct task *task, u32 flags, uaddr at)
{
    struct seccomp_filter *filter;
    if (flags & ~FLAGS || (flags & SECCOMP_FLAG_TSYNC_ESRCH && !(flags & SECCOMP_FLAG_TSYNC)))
        return -EINVAL;
    if (task->seccomp_mode == SECCOMP_MODE_STRICT_)
        return -EINVAL;
    if (!task->cred->no_new_privs &&
        !task_has_capability_in(task, task->cred->user_ns, CAP_SYS_ADMIN)) {
        struct linux_sock_fprog probe; /* a bad address is told first */
        return copy_from_user(task, &probe, at, sizeof probe) ? -EFAULT : -EACCES;
    }
    int err = filter_from_user(task, at, &filter);
    return err ? err : seccomp_install(task, filter, flags);
}

static i64 set_strict(struct task *task)
{
    if (task->seccomp_mode == SECCOMP_MODE_FILTER_)
        return -EINVAL;
    task->seccomp_mode = SECCOMP_MODE_STRICT_;
    return 0;
}

SLEEPS i64 sys_seccomp(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 1), action;
    uaddr at = arg_uaddr(args, 2);
    switch (arg_u32(args, 0)) {
    case SET_MODE_STRICT:
        return flags || at.value ? -EINVAL : set_strict(task);
    case SET_MODE_FILTER:
        return set_filter(task, flags, at);
    case GET_ACTION_AVAIL:
        if (flags)
            return -EINVAL;
        if (copy_from_user(task, &action, at, sizeof action))
            return -EFAULT;
        return seccomp_action_is_known(action) ? 0 : -EOPNOTSUPP;
    case GET_NOTIF_SIZES: /* nobody is ever notified */
    default:
        return -EINVAL;
    }
}

SLEEPS i64 seccomp_prctl(struct task *task, u64 mode, uaddr at)
{
    if (mode == SECCOMP_MODE_STRICT_)
        return set_strict(task);
    return mode == SECCOMP_MODE_FILTER_ ? set_filter(task, 0, at) : -EINVAL;
}
