/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What looks and changes nothing: attach, walk, attributes, listing, symlinks, statfs, and opening
 * for reading or writing. Opening leads through the O_PATH descriptor, not through a name, so the
 * file that was judged is the file that is opened.
 */
#include "abi/fcntl.h"
#include "abi/stat.h"
#include "gofer/internal.h"

#include <errno.h>
#include <string.h>

int gofer_handle_attach(struct gofer_core *core, const struct gofer_attach *request,
                        struct gofer_attach_reply *reply, struct gofer_donation *donation)
{
    if (request->version != GOFER_VERSION)
        return -EPROTONOSUPPORT;
    if (!core->root)
        return -EALREADY;
    int err = gofer_fid_add(core, MOVE(core->root), &reply->root);
    if (err)
        return err;
    reply->version = GOFER_VERSION;
    reply->fid_max = core->options.fid_max;
    reply->flags = (core->options.is_readonly ? GOFER_READONLY : 0) |
                   (core->options.has_sockets ? GOFER_SOCKETS : 0) |
                   (core->options.has_devices ? GOFER_DEVICES : 0);
    return 0;
}

/* The target of the symlink FILE, in core->scratch. 0 or -errno. */
static int target_of(struct gofer_core *core, struct host_file *file, const char **out)
{
    i64 size = host_readlink(file, (char *)core->scratch, GOFER_TARGET_MAX + 1);
    if (size < 0)
        return (int)size;
    if (size > (i64)GOFER_TARGET_MAX || memchr(core->scratch, 0, (size_t)size))
        return -ENAMETOOLONG;
    core->scratch[size] = 0;
    *out = (const char *)core->scratch;
    return 0;
}

/* A regular file NUMBER for reading, if that can be; not a failure if not. */
static void walk_open(struct gofer_core *core, u32 number, struct gofer_donation *donation)
{
    const struct gofer_fid *fid = gofer_fid_find(core, number);
    if (fid->type == LINUX_S_IFREG &&
        host_reopen(fid->path, LINUX_O_RDONLY | LINUX_O_CLOEXEC, &donation->file) != 0)
        donation->file = NULL;
}

int gofer_handle_walk(struct gofer_core *core, const struct gofer_walk *request,
                      struct gofer_walk_reply *reply, struct gofer_donation *donation)
{
    struct host_file *dir;
    int err = gofer_fid_dir(core, request->fid, &dir);
    if (err)
        return err;
    for (u32 i = 0; i < request->count && !err; i++) {
        struct gofer_node *node = &reply->nodes[i];
        struct host_file *file;
        err = host_open_at(dir, request->names[i], LINUX_O_PATH | LINUX_O_NOFOLLOW, 0, &file);
        if (!err)
            err = gofer_fid_add(core, file, node);
        if (err)
            break;
        reply->count++;
        dir = gofer_fid_find(core, node->fid)->path;
        u32 type = node->stat.mode & LINUX_S_IFMT;
        if (type == LINUX_S_IFLNK) {
            err = target_of(core, dir, &reply->target);
            break;
        }
        if (type != LINUX_S_IFDIR && i + 1 < request->count)
            err = -ENOTDIR;
    }
    reply->error = (u32)-err;
    if (!err && (request->flags & GOFER_WALK_OPEN) && reply->count == request->count)
        walk_open(core, reply->nodes[reply->count - 1].fid, donation);
    return 0;
}

int gofer_handle_get_attr(struct gofer_core *core, const struct gofer_get_attr *request,
                          struct gofer_get_attr_reply *reply, struct gofer_donation *donation)
{
    struct gofer_fid *fid = gofer_fid_find(core, request->fid);
    return fid ? host_stat(fid->path, &reply->stat) : -EBADF;
}

int gofer_handle_readlink(struct gofer_core *core, const struct gofer_readlink *request,
                          struct gofer_readlink_reply *reply, struct gofer_donation *donation)
{
    struct gofer_fid *fid = gofer_fid_find(core, request->fid);
    if (!fid)
        return -EBADF;
    if (fid->type != LINUX_S_IFLNK)
        return -EINVAL;
    return target_of(core, fid->path, &reply->target);
}

int gofer_handle_statfs(struct gofer_core *core, const struct gofer_statfs *request,
                        struct gofer_statfs_reply *reply, struct gofer_donation *donation)
{
    struct gofer_fid *fid = gofer_fid_find(core, request->fid);
    return fid ? host_statfs(fid->path, &reply->statfs) : -EBADF;
}

/* May a file of TYPE be opened at all? */
static int open_judge(const struct gofer_core *core, u32 type, u32 flags)
{
    bool is_write = flags & (LINUX_O_ACCMODE | LINUX_O_TRUNC);
    if (flags & ~(LINUX_O_ACCMODE | LINUX_O_TRUNC) || (flags & LINUX_O_ACCMODE) == LINUX_O_ACCMODE)
        return -EINVAL;
    if (flags & LINUX_O_TRUNC && (flags & LINUX_O_ACCMODE) == LINUX_O_RDONLY)
        return -EINVAL;
    switch (type) {
    case LINUX_S_IFREG:
        return is_write && core->options.is_readonly ? -EROFS : 0;
    case LINUX_S_IFDIR:
        return -EISDIR;
    case LINUX_S_IFLNK:
        return -ELOOP;
    case LINUX_S_IFIFO:
    case LINUX_S_IFCHR:
    case LINUX_S_IFBLK:
        return core->options.has_devices ? 0 : -EPERM;
    default:
        return -ENXIO;
    }
}

int gofer_handle_open(struct gofer_core *core, const struct gofer_open *request,
                      struct gofer_open_reply *reply, struct gofer_donation *donation)
{
    struct gofer_fid *fid = gofer_fid_find(core, request->fid);
    if (!fid)
        return -EBADF;
    int err = open_judge(core, fid->type, request->flags);
    if (err)
        return err;
    u32 wait = fid->type == LINUX_S_IFREG ? 0
                                          : LINUX_O_NONBLOCK; /* a fifo must not stop the gofer */
    err = host_reopen(fid->path, (int)(request->flags | wait | LINUX_O_CLOEXEC), &donation->file);
    return err ? err : host_stat(donation->file, &reply->stat);
}

int gofer_handle_sync(struct gofer_core *core, const struct gofer_sync *request,
                      struct gofer_sync_reply *reply, struct gofer_donation *donation)
{
    struct gofer_fid *fid = gofer_fid_find(core, request->fid);
    if (!fid)
        return -EBADF;
    if (fid->type != LINUX_S_IFREG && fid->type != LINUX_S_IFDIR)
        return -EINVAL;
    struct host_file *file;
    int err = host_reopen(fid->path, LINUX_O_RDONLY | LINUX_O_CLOEXEC, &file);
    if (err)
        return err;
    err = host_sync(file);
    host_file_put(file);
    return err;
}

int gofer_handle_close(struct gofer_core *core, const struct gofer_close *request,
                       struct gofer_close_reply *reply, struct gofer_donation *donation)
{
    for (u32 i = 0; i < request->count; i++)
        gofer_fid_close(core, request->fids[i]);
    return 0;
}

/* ---- listing ---- */

/* getdents64(2) */
struct dirent_head {
    u64 inode;
    u64 cookie;
    u16 size;
    u8 type;
} PACKED;
#define DIRENT_NAME_OFFSET ((size_t)19)
_Static_assert(sizeof(struct dirent_head) == DIRENT_NAME_OFFSET, "struct linux_dirent64");

/* One entry of core->dirents at *AT, of SIZE bytes; false at their end. */
static bool dirent_next(const struct gofer_core *core, size_t size, size_t *at,
                        struct dirent_head *head, const char **name)
{
    if (size - *at < DIRENT_NAME_OFFSET + 1)
        return false;
    memcpy(head, core->dirents + *at, sizeof *head);
    if (head->size <= DIRENT_NAME_OFFSET || head->size > size - *at)
        return false;
    *name = (const char *)core->dirents + *at + DIRENT_NAME_OFFSET;
    if (!memchr(*name, 0, head->size - DIRENT_NAME_OFFSET))
        return false;
    *at += head->size;
    return true;
}

static struct host_file *stream_of(const struct gofer_fid *fid)
{
    return fid->is_readable ? fid->path : fid->stream;
}

/* Bring FID's stream to COOKIE, opening it if need be. */
static int stream_at(struct gofer_fid *fid, u64 cookie)
{
    if (!stream_of(fid)) {
        int err = host_reopen(fid->path, LINUX_O_RDONLY | LINUX_O_DIRECTORY | LINUX_O_CLOEXEC,
                              &fid->stream);
        if (err)
            return err;
        fid->stream_cookie = 0;
    }
    if (fid->stream_cookie == cookie)
        return 0;
    fid->stream_cookie = cookie;
    return host_seek_dir(stream_of(fid), cookie);
}

/* What ENTRY of FID's directory is to say of its file. False: it is gone. */
static bool entry_stat(const struct gofer_fid *fid, const struct dirent_head *head, u32 flags,
                       struct gofer_entry *entry)
{
    u32 type = (u32)head->type << 12;
    if (!(flags & GOFER_LIST_NAMES) &&
        (!(flags & GOFER_LIST_PLAIN) || type == LINUX_S_IFDIR || type == 0))
        return host_stat_at(fid->path, entry->name, &entry->stat) == 0;
    entry->stat = (struct host_stat){.inode = head->inode, .mode = type};
    return true;
}

/* Append the entries of one getdents64(2). 0; 1 when the answer is full; -errno. */
static int entries_fill(struct gofer_core *core, struct gofer_fid *fid, size_t got,
                        const struct gofer_read_dir *request, struct gofer_read_dir_reply *reply)
{
    size_t room = request->size_max - GOFER_READ_DIR_OVERHEAD;
    struct dirent_head head;
    const char *name;
    for (size_t at = 0; dirent_next(core, got, &at, &head, &name);
         fid->stream_cookie = head.cookie) {
        struct gofer_entry entry = {.cookie = head.cookie, .name = name};
        if (!gofer_name_is_valid(name) || !entry_stat(fid, &head, request->flags, &entry))
            continue; /* "." and "..", or gone meanwhile */
        if (gofer_entry_put(core->scratch, room, &reply->entries_size, &entry) < 0)
            return 1; /* stream_cookie is that of the last one taken, the stream is further: seek */
        reply->count++;
    }
    return 0;
}

static int list(struct gofer_core *core, struct gofer_fid *fid,
                const struct gofer_read_dir *request, struct gofer_read_dir_reply *reply)
{
    int err = stream_at(fid, request->cookie);
    if (err)
        return err;
    reply->entries = core->scratch;
    for (;;) {
        i64 got = host_read_dir(stream_of(fid), core->dirents, sizeof core->dirents);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
        if (entries_fill(core, fid, (size_t)got, request, reply) == 0)
            continue;
        /* The stream has read ahead of what was taken: stand where the client will go on. */
        return host_seek_dir(stream_of(fid), fid->stream_cookie);
    }
    reply->is_end = true;
    host_file_put(MOVE(fid->stream));
    return 0;
}

/* The directory NAME in DIR gets a fid that can be listed as it is. */
static int list_walk(struct gofer_core *core, u32 dir_fid, const char *name,
                     struct gofer_node *node)
{
    struct host_file *dir, *file;
    int err = gofer_fid_dir(core, dir_fid, &dir);
    if (!err)
        err = host_open_at(dir, name,
                           LINUX_O_RDONLY | LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_CLOEXEC,
                           0, &file);
    if (!err)
        err = gofer_fid_add(core, file, node);
    if (!err)
        gofer_fid_find(core, node->fid)->is_readable = true;
    return err;
}

int gofer_handle_read_dir(struct gofer_core *core, const struct gofer_read_dir *request,
                          struct gofer_read_dir_reply *reply, struct gofer_donation *donation)
{
    u32 number = request->fid;
    if (*request->name) {
        int err = list_walk(core, number, request->name, &reply->node);
        if (err)
            return err;
        number = reply->node.fid;
    }
    struct gofer_fid *fid = gofer_fid_find(core, number);
    if (!fid)
        return -EBADF;
    if (fid->type != LINUX_S_IFDIR)
        return -ENOTDIR;
    int err = list(core, fid, request, reply);
    if (err && *request->name)
        gofer_fid_close(core, number);
    return err;
}
