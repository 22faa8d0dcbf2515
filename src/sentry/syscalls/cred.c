/* SPDX-License-Identifier: Apache-2.0 */
/* User and group ids, groups, capabilities (credentials(7), capabilities(7)). Each change makes new
 * credentials. */
#include <errno.h>
#include <string.h>

#include "sentry/kernel/cred.h"
#include "sentry/syscalls/syscalls.h"

#define UNCHANGED UINT32_MAX

static const struct user_ns *ns_of(const struct task *task)
{
    return task->cred->user_ns ? task->cred->user_ns : task->kernel->root_user_ns;
}

static u32 uid_shown(const struct task *task, u32 uid)
{
    return user_ns_uid_shown(ns_of(task), uid);
}

static u32 gid_shown(const struct task *task, u32 gid)
{
    return user_ns_gid_shown(ns_of(task), gid);
}

SLEEPS i64 sys_getuid(struct task *task, const struct sysargs *args)
{
    return uid_shown(task, task->cred->uid);
}
SLEEPS i64 sys_geteuid(struct task *task, const struct sysargs *args)
{
    return uid_shown(task, task->cred->euid);
}
SLEEPS i64 sys_getgid(struct task *task, const struct sysargs *args)
{
    return gid_shown(task, task->cred->gid);
}
SLEEPS i64 sys_getegid(struct task *task, const struct sysargs *args)
{
    return gid_shown(task, task->cred->egid);
}

/* ---- changing ids --------------------------------------------------------------------------- */

/* Publish CRED (taken) after its user ids changed from the task's. */
static void publish_uids(struct task *task, struct cred *cred)
{
    const struct cred *old = task->cred;
    cred_fix_caps_after_setuid(cred, old);
    if (cred->euid != old->euid || cred->fsuid != old->fsuid || cred->fsgid != old->fsgid)
        task->group->is_dumpable = false;
    if (cred->uid != old->uid)
        task->is_above_process_limit = cred->uid != 0 &&
                                       task_count_of_user(task->kernel, cred->uid) >
                                           task_limit(task, RLIMIT_NPROC_);
    task_set_cred(task, cred);
}

/* An id argument: UNCHANGED stays; else the kernel's id or -EINVAL. */
static int id_arg(const struct task *task, u32 given, bool is_group, u32 *out)
{
    *out = given;
    if (given == UNCHANGED)
        return 0;
    *out = is_group ? user_ns_gid_in(ns_of(task), given) : user_ns_uid_in(ns_of(task), given);
    return *out == ID_INVALID ? -EINVAL : 0;
}

SLEEPS i64 sys_setuid(struct task *task, const struct sysargs *args)
{
    u32 uid;
    const struct cred *old = task->cred;
    int err = arg_u32(args, 0) == UNCHANGED ? -EINVAL : id_arg(task, arg_u32(args, 0), false, &uid);
    if (err)
        return err;
    bool is_able = cred_has_cap(task->cred, CAP_SETUID);
    if (!is_able && uid != old->uid && uid != old->suid)
        return -EPERM;
    struct cred *cred;
    err = cred_copy(old, &cred);
    if (err)
        return err;
    if (is_able)
        cred->uid = cred->suid = uid;
    cred->euid = cred->fsuid = uid;
    publish_uids(task, cred);
    return 0;
}

SLEEPS i64 sys_setgid(struct task *task, const struct sysargs *args)
{
    u32 gid;
    const struct cred *old = task->cred;
    int err = arg_u32(args, 0) == UNCHANGED ? -EINVAL : id_arg(task, arg_u32(args, 0), true, &gid);
    if (err)
        return err;
    bool is_able = cred_has_cap(task->cred, CAP_SETGID);
    if (!is_able && gid != old->gid && gid != old->sgid)
        return -EPERM;
    struct cred *cred;
    err = cred_copy(old, &cred);
    if (err)
        return err;
    if (is_able)
        cred->gid = cred->sgid = gid;
    cred->egid = cred->fsgid = gid;
    task_set_cred(task, cred);
    return 0;
}

SLEEPS i64 sys_setreuid(struct task *task, const struct sysargs *args)
{
    u32 real, effective;
    const struct cred *old = task->cred;
    int err = id_arg(task, arg_u32(args, 0), false, &real);
    if (!err)
        err = id_arg(task, arg_u32(args, 1), false, &effective);
    if (err)
        return err;
    bool is_able = cred_has_cap(task->cred, CAP_SETUID);
    if (!is_able && real != UNCHANGED && real != old->uid && real != old->euid)
        return -EPERM;
    if (!is_able && effective != UNCHANGED && effective != old->uid && effective != old->euid &&
        effective != old->suid)
        return -EPERM;
    struct cred *cred;
    err = cred_copy(old, &cred);
    if (err)
        return err;
    if (real != UNCHANGED)
        cred->uid = real;
    if (effective != UNCHANGED)
        cred->euid = effective;
    if (real != UNCHANGED || (effective != UNCHANGED && effective != old->uid))
        cred->suid = cred->euid;
    cred->fsuid = cred->euid;
    publish_uids(task, cred);
    return 0;
}

SLEEPS i64 sys_setregid(struct task *task, const struct sysargs *args)
{
    u32 real, effective;
    const struct cred *old = task->cred;
    int err = id_arg(task, arg_u32(args, 0), true, &real);
    if (!err)
        err = id_arg(task, arg_u32(args, 1), true, &effective);
    if (err)
        return err;
    bool is_able = cred_has_cap(task->cred, CAP_SETGID);
    if (!is_able && real != UNCHANGED && real != old->gid && real != old->egid)
        return -EPERM;
    if (!is_able && effective != UNCHANGED && effective != old->gid && effective != old->egid &&
        effective != old->sgid)
        return -EPERM;
    struct cred *cred;
    err = cred_copy(old, &cred);
    if (err)
        return err;
    if (real != UNCHANGED)
        cred->gid = real;
    if (effective != UNCHANGED)
        cred->egid = effective;
    if (real != UNCHANGED || (effective != UNCHANGED && effective != old->gid))
        cred->sgid = cred->egid;
    cred->fsgid = cred->egid;
    task_set_cred(task, cred);
    return 0;
}

/* Three ids of setresuid and setresgid; each must be one that the task has, or it must be able. */
static int three_ids(struct task *task, const struct sysargs *args, bool is_group,
                     const u32 have[3], u32 out[3])
{
    bool is_able = cred_has_cap(task->cred, is_group ? CAP_SETGID : CAP_SETUID);
    for (u32 i = 0; i < 3; i++) {
        int err = id_arg(task, arg_u32(args, i), is_group, &out[i]);
        if (err)
            return err;
    }
    for (u32 i = 0; i < 3; i++) {
        bool is_own = out[i] == have[0] || out[i] == have[1] || out[i] == have[2];
        if (out[i] != UNCHANGED && !is_own && !is_able)
            return -EPERM;
    }
    return 0;
}

SLEEPS i64 sys_setresuid(struct task *task, const struct sysargs *args)
{
    const struct cred *old = task->cred;
    const u32 have[3] = {old->uid, old->euid, old->suid};
    u32 ids[3];
    struct cred *cred;
    int err = three_ids(task, args, false, have, ids);
    if (!err)
        err = cred_copy(old, &cred);
    if (err)
        return err;
    cred->uid = ids[0] != UNCHANGED ? ids[0] : cred->uid;
    cred->euid = ids[1] != UNCHANGED ? ids[1] : cred->euid;
    cred->suid = ids[2] != UNCHANGED ? ids[2] : cred->suid;
    cred->fsuid = cred->euid;
    publish_uids(task, cred);
    return 0;
}

SLEEPS i64 sys_setresgid(struct task *task, const struct sysargs *args)
{
    const struct cred *old = task->cred;
    const u32 have[3] = {old->gid, old->egid, old->sgid};
    u32 ids[3];
    struct cred *cred;
    int err = three_ids(task, args, true, have, ids);
    if (!err)
        err = cred_copy(old, &cred);
    if (err)
        return err;
    cred->gid = ids[0] != UNCHANGED ? ids[0] : cred->gid;
    cred->egid = ids[1] != UNCHANGED ? ids[1] : cred->egid;
    cred->sgid = ids[2] != UNCHANGED ? ids[2] : cred->sgid;
    cred->fsgid = cred->egid;
    task_set_cred(task, cred);
    return 0;
}

SLEEPS static i64 put_three(struct task *task, const struct sysargs *args, const u32 ids[3])
{
    for (u32 i = 0; i < 3; i++) {
        int err = copy_to_user(task, arg_uaddr(args, i), &ids[i], sizeof ids[i]);
        if (err)
            return err;
    }
    return 0;
}

SLEEPS i64 sys_getresuid(struct task *task, const struct sysargs *args)
{
    const u32 ids[3] = {uid_shown(task, task->cred->uid), uid_shown(task, task->cred->euid),
                        uid_shown(task, task->cred->suid)};
    return put_three(task, args, ids);
}

SLEEPS i64 sys_getresgid(struct task *task, const struct sysargs *args)
{
    const u32 ids[3] = {gid_shown(task, task->cred->gid), gid_shown(task, task->cred->egid),
                        gid_shown(task, task->cred->sgid)};
    return put_three(task, args, ids);
}

/* setfsuid(2): answers the old id in any case. */
SLEEPS i64 sys_setfsuid(struct task *task, const struct sysargs *args)
{
    const struct cred *old = task->cred;
    u32 before = uid_shown(task, old->fsuid), uid;
    if (id_arg(task, arg_u32(args, 0), false, &uid) || uid == UNCHANGED || uid == old->fsuid)
        return before;
    bool is_own = uid == old->uid || uid == old->euid || uid == old->suid;
    struct cred *cred;
    if ((!is_own && !cred_has_cap(task->cred, CAP_SETUID)) || cred_copy(old, &cred))
        return before;
    cred->fsuid = uid;
    publish_uids(task, cred);
    return before;
}

SLEEPS i64 sys_setfsgid(struct task *task, const struct sysargs *args)
{
    const struct cred *old = task->cred;
    u32 before = gid_shown(task, old->fsgid), gid;
    if (id_arg(task, arg_u32(args, 0), true, &gid) || gid == UNCHANGED || gid == old->fsgid)
        return before;
    bool is_own = gid == old->gid || gid == old->egid || gid == old->sgid;
    struct cred *cred;
    if ((!is_own && !cred_has_cap(task->cred, CAP_SETGID)) || cred_copy(old, &cred))
        return before;
    cred->fsgid = gid;
    task_set_cred(task, cred);
    return before;
}

/* ---- groups --------------------------------------------------------------------------------- */

SLEEPS i64 sys_getgroups(struct task *task, const struct sysargs *args)
{
    const struct cred *cred = task->cred;
    i32 room = arg_i32(args, 0);
    if (room < 0)
        return -EINVAL;
    if (room == 0)
        return cred->group_count;
    if ((u32)room < cred->group_count)
        return -EINVAL;
    for (u32 i = 0; i < cred->group_count; i++) {
        u32 gid = gid_shown(task, cred->groups[i]);
        int err = copy_to_user(task, uaddr_add(arg_uaddr(args, 1), i * sizeof gid), &gid,
                               sizeof gid);
        if (err)
            return err;
    }
    return cred->group_count;
}

SLEEPS i64 sys_setgroups(struct task *task, const struct sysargs *args)
{
    u32 count = arg_u32(args, 0);
    bool has_map = !ns_of(task)->parent || ns_of(task)->gids.count > 0;
    if (!cred_has_cap(task->cred, CAP_SETGID) || !has_map || ns_of(task)->is_setgroups_denied)
        return -EPERM;
    if (count > GROUPS_MAX)
        return -EINVAL;
    struct arena *arena = task->kernel->arena;
    size_t size = (count + 1u) * sizeof(u32);
    u32 *groups = arena_alloc(arena, size);
    if (!groups)
        return -ENOMEM;
    int err = count ? copy_from_user(task, groups, arg_uaddr(args, 1), count * sizeof *groups) : 0;
    for (u32 i = 0; i < count && !err; i++) {
        groups[i] = user_ns_gid_in(ns_of(task), groups[i]);
        err = groups[i] == ID_INVALID ? -EINVAL : 0;
    }
    AUTO_PUT struct cred *cred = NULL;
    if (!err)
        err = cred_copy(task->cred, &cred);
    if (!err)
        err = cred_set_groups(cred, groups, count);
    arena_free(arena, groups, size);
    if (err)
        return err;
    task_set_cred(task, MOVE(cred));
    return 0;
}

/* ---- capabilities --------------------------------------------------------------------------- */

#define CAPABILITY_VERSION_1 0x19980330u
#define CAPABILITY_VERSION_2 0x20071026u
#define CAPABILITY_VERSION_3 0x20080522u

struct linux_cap_header {
    u32 version;
    i32 pid;
};
struct linux_cap_data {
    u32 effective, permitted, inheritable;
};

/* The header's version judged: how many 32-bit words it has, or -EINVAL after telling the newest.
 */
SLEEPS static int cap_header(struct task *task, const struct sysargs *args,
                             struct linux_cap_header *header, u32 *words)
{
    int err = copy_from_user(task, header, arg_uaddr(args, 0), sizeof *header);
    if (err)
        return err;
    *words = header->version == CAPABILITY_VERSION_1 ? 1 : 2;
    if (header->version == CAPABILITY_VERSION_1 || header->version == CAPABILITY_VERSION_2 ||
        header->version == CAPABILITY_VERSION_3)
        return 0;
    u32 newest = CAPABILITY_VERSION_3;
    err = copy_to_user(task, arg_uaddr(args, 0), &newest, sizeof newest);
    return err ? err : -EINVAL;
}

SLEEPS i64 sys_capget(struct task *task, const struct sysargs *args)
{
    struct linux_cap_header header;
    u32 words;
    int err = cap_header(task, args, &header, &words);
    if (err)
        return err == -EINVAL && arg_u64(args, 1) == 0 ? 0 : err;
    if (header.pid < 0)
        return -EINVAL;
    const struct task *target = header.pid ? task_find(task->pid->ns, (u32)header.pid) : task;
    if (!target)
        return -ESRCH;
    const struct cred *cred = target->cred;
    struct linux_cap_data data[2];
    for (u32 i = 0; i < 2; i++)
        data[i] = (struct linux_cap_data){(u32)(cred->cap_effective >> 32 * i),
                                          (u32)(cred->cap_permitted >> 32 * i),
                                          (u32)(cred->cap_inheritable >> 32 * i)};
    if (arg_u64(args, 1) == 0)
        return 0;
    return copy_to_user(task, arg_uaddr(args, 1), data, words * sizeof data[0]);
}

SLEEPS i64 sys_capset(struct task *task, const struct sysargs *args)
{
    struct linux_cap_header header;
    u32 words;
    int err = cap_header(task, args, &header, &words);
    if (err)
        return err;
    if (header.pid != 0 && (u32)header.pid != task_tid_in(task, task->pid->ns))
        return -EPERM;
    struct linux_cap_data data[2] = {{0}};
    err = copy_from_user(task, data, arg_uaddr(args, 1), words * sizeof data[0]);
    if (err)
        return err;
    u64 effective = (data[0].effective | (u64)data[1].effective << 32) & CAP_ALL;
    u64 permitted = (data[0].permitted | (u64)data[1].permitted << 32) & CAP_ALL;
    u64 inheritable = (data[0].inheritable | (u64)data[1].inheritable << 32) & CAP_ALL;
    const struct cred *old = task->cred;
    bool may_inherit_all = cred_has_cap(task->cred, CAP_SETPCAP);
    if ((!may_inherit_all && (inheritable & ~(old->cap_inheritable | old->cap_permitted))) ||
        (inheritable & ~(old->cap_inheritable | old->cap_bounding)) ||
        (permitted & ~old->cap_permitted) || (effective & ~permitted))
        return -EPERM;
    struct cred *cred;
    err = cred_copy(old, &cred);
    if (err)
        return err;
    cred->cap_effective = effective;
    cred->cap_permitted = permitted;
    cred->cap_inheritable = inheritable;
    cred->cap_ambient &= permitted & inheritable;
    task_set_cred(task, cred);
    return 0;
}
