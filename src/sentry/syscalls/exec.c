/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execve(2): what will run and everything that can fail first, then the point of no return. Set-id
 * bits and file capabilities change the credentials of the new program (capabilities(7)).
 */
#include "sentry/exec/exec.h"

#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/path.h"

/* ---- credentials of the new program --------------------------------------------------------- */

static bool may_gain(const struct task *task, const struct file *file)
{
    const struct mount *mount = file->path.mount;
    return !task->cred->no_new_privs && !(mount && (mount->flags & LINUX_MS_NOSUID));
}

static void apply_set_ids(const struct task *task, const struct file *file, struct cred *cred)
{
    const struct inode *inode = file->inode;
    if (!may_gain(task, file))
        return;
    if (inode->mode & LINUX_S_ISUID)
        cred->euid = inode->uid;
    if ((inode->mode & LINUX_S_ISGID) && (inode->mode & 010u))
        cred->egid = inode->gid;
}

/* P'(permitted) and the rest, without file capabilities: root's come from the bounding and
 * inheritable sets. */
static void apply_caps(const struct cred *old, struct cred *cred, bool is_set_id)
{
    bool is_root = !(cred->securebits & SECBIT_NOROOT) && (cred->euid == 0 || cred->uid == 0);
    if (is_set_id)
        cred->cap_ambient = 0;
    u64 permitted = cred->cap_ambient;
    if (is_root)
        permitted = (old->cap_inheritable | cred->cap_bounding);
    cred->cap_permitted = permitted;
    bool is_effective = is_root && cred->euid == 0;
    cred->cap_effective = is_effective ? permitted : cred->cap_ambient;
    cred->keep_caps = false;
    cred->securebits &= ~(u32)SECBIT_KEEP_CAPS;
}

static int new_cred(const struct task *task, const struct file *file, struct cred **out,
                    bool *is_secure)
{
    AUTO_PUT struct cred *cred = NULL;
    const struct cred *old = task->cred;
    int err = cred_copy(old, &cred);
    if (err)
        return err;
    apply_set_ids(task, file, cred);
    bool is_set_id = cred->euid != old->euid || cred->egid != old->egid;
    cred->suid = cred->fsuid = cred->euid;
    cred->sgid = cred->fsgid = cred->egid;
    apply_caps(old, cred, is_set_id);
    *is_secure = cred->euid != cred->uid || cred->egid != cred->gid;
    *out = MOVE(cred);
    return 0;
}

/* ---- the call ------------------------------------------------------------------------------- */

/* Descriptors are the new program's alone from now on. */
static int unshare_fds(struct task *task)
{
    if (task->fds->object.refs == 1)
        return 0;
    struct fd_table *own;
    int err = fd_table_fork(task->fds, &own);
    if (err)
        return err;
    REF_PUT(task->fds);
    task->fds = own;
    return 0;
}

SLEEPS static i64 exec_program(struct task *task, struct exec_program *program)
{
    struct exec_params params = {.limits = &task->group->limits};
    AUTO_PUT struct cred *cred = NULL;
    int err = new_cred(task, program->file, &cred, &params.is_secure);
    if (err)
        return err;
    params.cred = cred;
    AUTO_EXEC_IMAGE struct exec_image image = {0};
    err = exec_build(task, program, &params, &image);
    if (!err)
        err = unshare_fds(task);
    if (err)
        return err;
    bool is_readable = inode_permission(task, program->file->inode, 4) == 0;
    struct task_exec exec = {.mm = MOVE(image.mm),
                             .cred = MOVE(cred),
                             .comm = program->comm,
                             .is_dumpable = is_readable && !params.is_secure};
    err = task_exec_commit(task, &exec);
    if (err)
        return err;
    fd_close_on_exec(task);
    exec_image_start(&image, &task->context.regs);
    task->in_syscall = false;
    return 0;
}

SLEEPS static i64 do_exec(struct task *task, i32 dirfd, const struct sysargs *args, u32 first,
                          u32 flags)
{
    u32 walk_flags;
    int err = at_flags(flags, LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH, true, &walk_flags);
    AUTO_USER_PATH struct user_path path = {0};
    if (!err)
        err = user_path_get(task, dirfd, arg_uaddr(args, first), walk_flags & WALK_EMPTY, &path);
    if (err)
        return err;
    struct exec_request request = {
        .start = path.start, .path = path.text, .walk_flags = walk_flags, .name = path.text};
    char name[PATH_SIZE_MAX + 32];
    if (path.file) {
        snprintf(name, sizeof name, path.text[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d", dirfd,
                 path.text);
        request.name = name;
        request.is_name_closed = fd_is_cloexec(task->fds, dirfd);
    }
    exec_text_init(&request.argv, task->kernel->arena);
    exec_text_init(&request.envp, task->kernel->arena);
    err = exec_text_copy(task, arg_uaddr(args, first + 1), &request.argv);
    if (!err)
        err = exec_text_copy(task, arg_uaddr(args, first + 2), &request.envp);
    if (err) {
        exec_text_fini(&request.argv);
        exec_text_fini(&request.envp);
        return err;
    }
    struct exec_program program;
    err = exec_open(task, &request, &program);
    if (err)
        return err;
    i64 result = exec_program(task, &program);
    exec_program_fini(&program);
    return result;
}

SLEEPS i64 sys_execve(struct task *task, const struct sysargs *args)
{
    return do_exec(task, LINUX_AT_FDCWD, args, 0, 0);
}

SLEEPS i64 sys_execveat(struct task *task, const struct sysargs *args)
{
    return do_exec(task, arg_fd(args, 0), args, 1, arg_u32(args, 4));
}
