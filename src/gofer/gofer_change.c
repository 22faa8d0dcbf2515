/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes files: attributes, new entries, removal, renames, sockets. A new entry belongs to
 * whom the sentry says: it is made by the gofer's user, opened without following, judged to be the
 * one that was made, and only then given away; if that fails it is removed again. The gofer's umask
 * is 0.
 */
#include "abi/fcntl.h"
#include "abi/stat.h"
#include "gofer/internal.h"

#include <errno.h>
#include <sys/socket.h>

#define RENAME_FLAGS 3u /* RENAME_NOREPLACE, RENAME_EXCHANGE */
#define MODE_BITS 07777u

/* The directory that a change is to be made in. */
static int change_dir(struct gofer_core *core, u32 number, struct host_file **out)
{
    int err = gofer_fid_dir(core, number, out);
    if (!err && core->options.is_readonly)
        err = -EROFS;
    return err;
}

/* What a new entry is to be. */
struct wanted {
    u32 mode; /* with the type */
    u32 uid, gid;
};

/* Give FILE, just made, the owner and mode it should have; *STAT is as it is and becomes as it will
 * be. */
static int finish(struct host_file *file, const struct wanted *wanted, struct host_stat *stat)
{
    struct host_set_attr attr = {
        .mode = wanted->mode & MODE_BITS, .uid = wanted->uid, .gid = wanted->gid};
    if (stat->uid != wanted->uid)
        attr.mask |= HOST_ATTR_UID;
    if (stat->gid != wanted->gid)
        attr.mask |= HOST_ATTR_GID;
    bool is_mode = (stat->mode & MODE_BITS) != attr.mode || (attr.mask && attr.mode & 06000);
    if (is_mode && (wanted->mode & LINUX_S_IFMT) != LINUX_S_IFLNK)
        attr.mask |= HOST_ATTR_MODE;
    if (attr.mask == 0)
        return 0;
    int err = host_set_attr(file, &attr);
    return err ? err : host_stat(file, stat);
}

/* NAME in DIR was just made: a fid for it. On failure it is removed again. */
static int adopt(struct gofer_core *core, struct host_file *dir, const char *name,
                 const struct wanted *wanted, struct gofer_node *node)
{
    u32 type = wanted->mode & LINUX_S_IFMT;
    struct host_file *file;
    int err = host_open_at(dir, name, LINUX_O_PATH | LINUX_O_NOFOLLOW, 0, &file);
    if (!err)
        err = gofer_fid_add(core, file, node); /* takes the file */
    if (err)
        goto undo_make;
    /* Somebody on the host may have put another file there: that one is not ours to give away. */
    if ((node->stat.mode & LINUX_S_IFMT) != type ||
        (type != LINUX_S_IFDIR && node->stat.link_count != 1)) {
        gofer_fid_close(core, node->fid);
        return -ESTALE;
    }
    err = finish(file, wanted, &node->stat);
    if (!err)
        return 0;
    gofer_fid_close(core, node->fid);
undo_make:
    (void)!host_unlink_at(dir, name, type == LINUX_S_IFDIR ? (int)LINUX_AT_REMOVEDIR : 0);
    return err;
}

int gofer_handle_set_attr(struct gofer_core *core, const struct gofer_set_attr *request,
                          struct gofer_set_attr_reply *reply, struct gofer_donation *donation)
{
    struct gofer_fid *fid = gofer_fid_find(core, request->fid);
    if (!fid)
        return -EBADF;
    if (core->options.is_readonly)
        return -EROFS;
    if (request->attr.mask & HOST_ATTR_SIZE && fid->type != LINUX_S_IFREG)
        return fid->type == LINUX_S_IFDIR ? -EISDIR : -EINVAL;
    if (request->attr.mask & HOST_ATTR_MODE && fid->type == LINUX_S_IFLNK)
        return -EOPNOTSUPP;
    int err = host_set_attr(fid->path, &request->attr);
    return err ? err : host_stat(fid->path, &reply->stat);
}

int gofer_handle_create(struct gofer_core *core, const struct gofer_create *request,
                        struct gofer_create_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = change_dir(core, request->dir, &dir);
    if (err)
        return err;
    u32 access = request->flags;
    if (access & ~LINUX_O_ACCMODE || access == LINUX_O_ACCMODE || request->mode & ~MODE_BITS)
        return -EINVAL;
    int flags = (int)(access | LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOFOLLOW | LINUX_O_CLOEXEC);
    err = host_open_at(dir, request->name, flags, request->mode & 0777, &donation->file);
    if (err)
        return err;
    struct wanted wanted = {
        .mode = LINUX_S_IFREG | request->mode, .uid = request->uid, .gid = request->gid};
    err = adopt(core, dir, request->name, &wanted, &reply->node);
    if (err)
        return err; /* the core puts the donation */
    struct host_stat made;
    err = host_stat(donation->file, &made);
    if (!err && (made.inode != reply->node.stat.inode || made.device != reply->node.stat.device))
        err = -ESTALE; /* replaced in between */
    if (err)
        gofer_fid_close(core, reply->node.fid);
    return err;
}

int gofer_handle_mkdir(struct gofer_core *core, const struct gofer_mkdir *request,
                       struct gofer_mkdir_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = change_dir(core, request->dir, &dir);
    if (err)
        return err;
    if (request->mode & ~MODE_BITS)
        return -EINVAL;
    err = host_mkdir_at(dir, request->name, request->mode & 0777);
    if (err)
        return err;
    struct wanted wanted = {
        .mode = LINUX_S_IFDIR | request->mode, .uid = request->uid, .gid = request->gid};
    return adopt(core, dir, request->name, &wanted, &reply->node);
}

int gofer_handle_mknod(struct gofer_core *core, const struct gofer_mknod *request,
                       struct gofer_mknod_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = change_dir(core, request->dir, &dir);
    if (err)
        return err;
    u32 type = request->mode & LINUX_S_IFMT;
    if (request->mode & ~(LINUX_S_IFMT | MODE_BITS))
        return -EINVAL;
    bool is_device = type == LINUX_S_IFCHR || type == LINUX_S_IFBLK;
    bool is_whiteout = type == LINUX_S_IFCHR && request->major == 0 && request->minor == 0;
    if (is_device && !is_whiteout && !core->options.has_devices)
        return -EPERM;
    if (!is_device && type != LINUX_S_IFREG && type != LINUX_S_IFIFO && type != LINUX_S_IFSOCK)
        return -EINVAL;
    err = host_mknod_at(dir, request->name, type | (request->mode & 0777), request->major,
                        request->minor);
    if (err)
        return err;
    struct wanted wanted = {.mode = request->mode, .uid = request->uid, .gid = request->gid};
    return adopt(core, dir, request->name, &wanted, &reply->node);
}

int gofer_handle_symlink(struct gofer_core *core, const struct gofer_symlink *request,
                         struct gofer_symlink_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = change_dir(core, request->dir, &dir);
    if (!err)
        err = host_symlink_at(dir, request->name, request->target);
    if (err)
        return err;
    struct wanted wanted = {.mode = LINUX_S_IFLNK | 0777, .uid = request->uid, .gid = request->gid};
    return adopt(core, dir, request->name, &wanted, &reply->node);
}

int gofer_handle_link(struct gofer_core *core, const struct gofer_link *request,
                      struct gofer_link_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = change_dir(core, request->dir, &dir);
    if (err)
        return err;
    struct gofer_fid *fid = gofer_fid_find(core, request->fid);
    if (!fid)
        return -EBADF;
    if (fid->type == LINUX_S_IFDIR)
        return -EPERM;
    err = host_link_at(fid->path, dir, request->name);
    return err ? err : host_stat(fid->path, &reply->stat);
}

int gofer_handle_unlink(struct gofer_core *core, const struct gofer_unlink *request,
                        struct gofer_unlink_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = change_dir(core, request->dir, &dir);
    if (err)
        return err;
    if (request->flags & ~LINUX_AT_REMOVEDIR)
        return -EINVAL;
    return host_unlink_at(dir, request->name, (int)request->flags);
}

int gofer_handle_rename(struct gofer_core *core, const struct gofer_rename *request,
                        struct gofer_rename_reply *reply, struct gofer_donation *donation)
{
    struct host_file *from, *to;
    int err = change_dir(core, request->from_dir, &from);
    if (!err)
        err = change_dir(core, request->to_dir, &to);
    if (err)
        return err;
    if (request->flags & ~RENAME_FLAGS)
        return -EINVAL;
    return host_rename_at(from, request->from, to, request->to, request->flags);
}

int gofer_handle_connect(struct gofer_core *core, const struct gofer_connect *request,
                         struct gofer_connect_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = gofer_fid_dir(core, request->dir, &dir);
    if (err)
        return err;
    if (!core->options.has_sockets)
        return -EPERM;
    if (request->type != SOCK_STREAM && request->type != SOCK_SEQPACKET &&
        request->type != SOCK_DGRAM)
        return -EINVAL;
    return host_connect_at(dir, request->name, (int)request->type, &donation->stream);
}
