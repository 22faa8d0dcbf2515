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
    if (inode->mode & LINUX_S_ISUID && user_ns_uid_out(cred->user_ns, inode->uid) != ID_INVALID)
        cred->euid = inode->uid;
    if ((inode->mode & LINUX_S_ISGID) && (inode->mode & 010u) &&
        user_ns_gid_out(cred->user_ns, inode->gid) != ID_INVALID)
        cred->egid = inode->gid;
}

/* security.capability, revisions 2 and 3 (capabilities(7), "File capabilities"). */
struct file_caps {
    u64 permitted, inheritable;
    bool is_there, is_effective;
};

struct linux_vfs_caps {
    u32 magic;
    u32 sets[2][2]; /* low and high word: permitted, inheritable */
    u32 root_id;    /* revision 3 */
};
#define CAPS_REVISION_MASK 0xff000000u
#define CAPS_REVISION_2 0x02000000u
#define CAPS_REVISION_3 0x03000000u
#define CAPS_EFFECTIVE 1u
#define CAPS_SIZE_2 20
#define CAPS_SIZE_3 24

SLEEPS static void read_file_caps(struct task *task, const struct file *file, struct file_caps *out)
{
    struct linux_vfs_caps caps;
    *out = (struct file_caps){0};
    if (!may_gain(task, file) || !file->path.mount)
        return;
    i64 size = vfs_getxattr(task, &file->path, "security.capability", &caps, sizeof caps);
    if (size != CAPS_SIZE_2 && size != CAPS_SIZE_3)
        return;
    u32 revision = caps.magic & CAPS_REVISION_MASK;
    u32 root = revision == CAPS_REVISION_3 ? caps.root_id : 0;
    if (revision != (size == CAPS_SIZE_2 ? CAPS_REVISION_2 : CAPS_REVISION_3) ||
        user_ns_uid_out(task->cred->user_ns, root) != 0)
        return;
    out->is_there = true;
    out->is_effective = caps.magic & CAPS_EFFECTIVE;
    out->permitted = (caps.sets[0][0] | (u64)caps.sets[1][0] << 32) & CAP_ALL;
    out->inheritable = (caps.sets[0][1] | (u64)caps.sets[1][1] << 32) & CAP_ALL;
}

static bool is_root(const struct cred *cred, u32 uid)
{
    return !(cred->securebits & SECBIT_NOROOT) && user_ns_uid_out(cred->user_ns, uid) == 0;
}

/* capabilities(7), "Transformation of capabilities during execve()". -EPERM: the program wants more
 * than it can get. */
static int apply_caps(const struct cred *old, struct cred *cred, const struct file_caps *file,
                      bool is_set_id)
{
    u64 permitted = (old->cap_inheritable & file->inheritable) |
                    (file->permitted & cred->cap_bounding);
    bool is_effective = file->is_effective;
    if (file->is_there && is_effective && file->permitted & ~permitted)
        return -EPERM;
    bool is_set_to_root = is_root(cred, cred->euid) && !is_root(cred, cred->uid);
    if ((is_root(cred, cred->euid) || is_root(cred, cred->uid)) &&
        !(file->is_there && is_set_to_root)) {
        permitted = old->cap_inheritable | cred->cap_bounding;
        is_effective = is_root(cred, cred->euid);
    }
    if (is_set_id || file->is_there)
        cred->cap_ambient = 0;
    permitted |= cred->cap_ambient;
    cred->cap_permitted = permitted;
    cred->cap_effective = is_effective ? permitted : cred->cap_ambient;
    cred->keep_caps = false;
    cred->securebits &= ~(u32)SECBIT_KEEP_CAPS;
    return 0;
}

SLEEPS static int new_cred(struct task *task, const struct file *file, struct cred **out,
                           bool *is_secure)
{
    AUTO_PUT struct cred *cred = NULL;
    struct file_caps caps;
    read_file_caps(task, file, &caps);
    const struct cred *old = task->cred;
    int err = cred_copy(old, &cred);
    if (err)
        return err;
    apply_set_ids(task, file, cred);
    bool is_set_id = cred->euid != old->euid || cred->egid != old->egid;
    cred->suid = cred->fsuid = cred->euid;
    cred->sgid = cred->fsgid = cred->egid;
    err = apply_caps(old, cred, &caps, is_set_id);
    if (err)
        return err;
    bool gains = cred->cap_permitted & ~(old->cap_permitted | cred->cap_ambient);
    *is_secure = cred->euid != cred->uid || cred->egid != cred->gid ||
                 (!is_root(cred, cred->uid) && (caps.is_effective || gains));
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
    if (!err && task->is_above_process_limit &&
        task_count_of_user(task->kernel, task->cred->uid) > task_limit(task, RLIMIT_NPROC_))
        err = -EAGAIN;
    if (err)
        return err;
    task->is_above_process_limit = false;
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
