/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes of a gofer mount: names, attributes, changes. Fids are found lazily: a file that a listing
 * told of has none until somebody opens or changes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/gofer/call.h"

static const struct field gofer_inode_fields[] = {
    FIELD_STRUCT(struct gofer_inode, inode, inode_base_fields),
    FIELD_REF(struct gofer_inode, conn, struct gofer_conn),
    FIELD_REF(struct gofer_inode, parent, struct gofer_inode),
    FIELD_STRING(struct gofer_inode, name),
    FIELD_NONE(struct gofer_inode, fid, "found anew by name"),
    FIELD_NONE(struct gofer_inode, read_file, "opened anew"),
    FIELD_NONE(struct gofer_inode, write_file, "opened anew"),
    FIELD(struct gofer_inode, host_device),
    FIELD(struct gofer_inode, host_inode),
    FIELD_STRING(struct gofer_inode, target),
    FIELD_NONE(struct gofer_inode, hints, "a cache"),
    FIELD_NONE(struct gofer_inode, is_plain, "a cache"),
    FIELD_NONE(struct gofer_inode, miss_count, "a cache"),
    FIELD_NONE(struct gofer_inode, names_asked, "a cache"),
    FIELD_NONE(struct gofer_inode, open_credit, "a cache"),
    FIELD_NONE(struct gofer_inode, is_gift, "of read_file"),
    FIELD_NONE(struct gofer_inode, has_no_caps, "a cache"),
    FIELD_END,
};
FIELDS_COMPLETE(struct gofer_inode, gofer_inode_fields);

static void gofer_inode_destroy(struct object *object)
{
    struct gofer_inode *inode = container_of(object, struct gofer_inode, inode.object);
    gofer_hints_drop(inode);
    if (inode->conn)
        gofer_forget(inode->conn, inode->fid);
    host_file_put(inode->read_file);
    host_file_put(inode->write_file);
    arena_free_string(object->arena, inode->name);
    arena_free_string(object->arena, inode->target);
    if (inode->parent)
        object_put(&inode->parent->inode.object);
    inode_fini(&inode->inode);
    REF_CLEAR(inode->conn);
}

static int gofer_inode_loaded(struct object *object, struct state_reader *reader)
{
    struct gofer_inode *inode = container_of(object, struct gofer_inode, inode.object);
    inode->fid = GOFER_FID_NONE;
    return inode_loaded(object, reader);
}

static int gofer_inode_save_pages(const struct object *object, struct state_writer *writer)
{
    const struct gofer_inode *inode = container_of(object, struct gofer_inode, inode.object);
    return inode_is_regular(&inode->inode) ? inode_save_pages(&inode->inode, writer) : 0;
}

static int gofer_inode_load_pages(struct object *object, struct state_reader *reader)
{
    struct gofer_inode *inode = container_of(object, struct gofer_inode, inode.object);
    return inode_is_regular(&inode->inode)
               ? inode_load_pages(&inode->inode, reader, &gofer_mapping_ops)
               : 0;
}

const struct kind gofer_inode_kind = {.name = "gofer_inode",
                                      .size = sizeof(struct gofer_inode),
                                      .fields = gofer_inode_fields,
                                      .destroy = gofer_inode_destroy,
                                      .loaded = gofer_inode_loaded,
                                      .save_more = gofer_inode_save_pages,
                                      .load_more = gofer_inode_load_pages,
                                      .discard = inode_discard,
                                      .ops = &gofer_inode_ops};

/* ---- attributes ----------------------------------------------------------------------------- */

void gofer_inode_take_stat(struct gofer_inode *gofer, const struct host_stat *stat)
{
    struct inode *inode = &gofer->inode;
    inode->mode = stat->mode;
    inode->uid = stat->uid;
    inode->gid = stat->gid;
    inode->link_count = stat->link_count;
    inode->rdev = (stat->rdev_minor & 0xffu) | stat->rdev_major << 8 |
                  (stat->rdev_minor & ~0xffu) << 12;
    inode->ino = stat->inode;
    inode->block_size = stat->block_size;
    inode->blocks = stat->blocks;
    inode->atime_ns = stat->atime_ns;
    inode->mtime_ns = stat->mtime_ns;
    inode->ctime_ns = stat->ctime_ns;
    inode->btime_ns = stat->btime_ns;
    gofer->host_device = stat->device;
    gofer->host_inode = stat->inode;
    if (inode->mapping.dirty_count > 0)
        return; /* what was written here and not there yet counts */
    inode->size = stat->size;
    if ((stat->mode & LINUX_S_IFMT) == LINUX_S_IFREG)
        inode->mapping.size = stat->size;
}

int gofer_inode_create(struct super *super, struct gofer_conn *conn, struct gofer_inode *parent,
                       const char *name, u32 fid, const struct host_stat *stat,
                       struct gofer_inode **out)
{
    struct gofer_inode *inode = object_create(super->object.arena, &gofer_inode_kind);
    char *copy = name ? arena_strdup(super->object.arena, name) : NULL;
    if (!inode || (name && !copy)) {
        arena_free_string(super->object.arena, copy);
        if (inode) {
            inode_init(&inode->inode, super, &gofer_inode_ops, stat->mode, stat->uid, stat->gid);
            object_put(&inode->inode.object);
        }
        return -ENOMEM;
    }
    inode_init(&inode->inode, super, &gofer_inode_ops, stat->mode, stat->uid, stat->gid);
    if ((stat->mode & LINUX_S_IFMT) == LINUX_S_IFREG)
        mapping_init(&inode->inode.mapping, super->kernel->memory, FRAME_CACHE, &gofer_mapping_ops,
                     &inode->inode);
    inode->conn = REF_GET(conn);
    inode->name = copy;
    inode->fid = fid;
    if (parent) {
        object_get_(&parent->inode.object);
        inode->parent = parent;
    }
    gofer_inode_take_stat(inode, stat);
    *out = inode;
    return 0;
}

/* ---- fids ----------------------------------------------------------------------------------- */

/* What a walk may bring besides a node: each if wanted (not NULL) and there. */
struct walk_more {
    char **target;           /* of a symlink, an arena string */
    struct host_file **file; /* a regular file, opened for reading */
};

/* One name below DIR_FID. */
SLEEPS static int walk_one(struct gofer_conn *conn, struct fiber *fiber, u32 dir_fid,
                           const char *name, struct gofer_node *node, struct walk_more more)
{
    struct gofer_walk message = {
        .fid = dir_fid, .flags = more.file ? GOFER_WALK_OPEN : 0, .count = 1, .names = {name}};
    struct gofer_walk_reply reply;
    struct gofer_call call;
    int err = gofer_do_walk(conn, fiber, &message, &reply, &call);
    if (!err && reply.count == 0)
        err = reply.error ? -(int)reply.error : -ENOENT;
    if (!err) {
        *node = reply.nodes[0];
        if (more.target && reply.target && reply.target[0])
            *more.target = arena_strdup(conn->object.arena, reply.target);
        if (more.file && call.fd >= 0) {
            conn->kernel->metrics.plain[METRIC_GOFER_OPENS_HOST]++;
            (void)!gofer_call_take_file(conn, &call, more.file); /* else it is opened later */
        }
    }
    gofer_call_fini(conn, &call);
    return err;
}

#define DEPTH_MAX 256u

/* FILE (taken, may be NULL) came with a walk to INODE. */
static void take_read_file(struct gofer_inode *inode, const struct host_stat *stat,
                           struct host_file *file)
{
    if (!file)
        return;
    if (inode->read_file) { /* another fiber was here meanwhile */
        host_file_put(file);
        return;
    }
    inode->read_file = file;
    gofer_inode_take_stat(inode, stat);
}

/* FOR_READ: a regular file that has to be walked to is opened by the way, if it can be. */
SLEEPS static int find_fid(struct gofer_inode *inode, struct fiber *fiber, bool for_read, u32 *fid)
{
    /* Down from the nearest ancestor that has one; no recursion, paths may be deep. */
    while (inode->fid == GOFER_FID_NONE) {
        struct gofer_inode *at = inode;
        for (u32 depth = 0; at->parent && at->parent->fid == GOFER_FID_NONE; depth++) {
            if (depth == DEPTH_MAX)
                return -ENAMETOOLONG;
            at = at->parent;
        }
        if (!at->parent || !at->name)
            return -ESTALE;
        struct gofer_node node;
        struct host_file *file = NULL;
        bool opens = at == inode && for_read && !inode->read_file;
        int err = walk_one(at->conn, fiber, at->parent->fid, at->name, &node,
                           (struct walk_more){.file = opens ? &file : NULL});
        if (err)
            return err == -ENOENT ? -ESTALE : err;
        if (at->fid != GOFER_FID_NONE) /* another fiber was here meanwhile */
            gofer_forget(at->conn, node.fid);
        else
            at->fid = node.fid;
        take_read_file(at, &node.stat, file);
    }
    *fid = inode->fid;
    return 0;
}

SLEEPS int gofer_inode_fid(struct gofer_inode *inode, struct fiber *fiber, u32 *fid)
{
    return find_fid(inode, fiber, false, fid);
}

/* Programs that look at a directory's files before they open them (a compiler its headers) are met
 * half-way: each open of its own adds, each file that was opened in vain takes away. */
#define OPEN_CREDIT_FROM 3u
#define OPEN_CREDIT_STEP 2u
#define OPEN_CREDIT_MAX 32u

static void open_credit_add(struct gofer_inode *inode, u32 credit)
{
    struct gofer_inode *dir = inode->parent;
    if (dir)
        dir->open_credit = MIN(dir->open_credit + credit, OPEN_CREDIT_MAX);
}

SLEEPS int gofer_inode_open(struct gofer_inode *inode, struct fiber *fiber, bool for_write,
                            bool truncate, struct host_file **out)
{
    struct host_file **slot = for_write ? &inode->write_file : &inode->read_file;
    if (*slot && !truncate) {
        if (!for_write && inode->is_gift)
            open_credit_add(inode, 1);
        inode->is_gift = inode->is_gift && for_write;
        *out = *slot;
        return 0;
    }
    struct gofer_open message = {.flags = for_write ? O_RDWR : O_RDONLY};
    if (truncate)
        message.flags |= O_TRUNC;
    int err = find_fid(inode, fiber, !for_write, &message.fid);
    if (err)
        return err;
    if (*slot && !truncate) {
        *out = *slot;
        return 0;
    }
    struct gofer_open_reply reply;
    struct gofer_call call;
    struct metrics *metrics = &inode->conn->kernel->metrics;
    metrics->plain[METRIC_GOFER_OPENS_9P]++;
    if (!for_write)
        open_credit_add(inode, OPEN_CREDIT_STEP);
    err = gofer_do_open(inode->conn, fiber, &message, &reply, &call);
    if (err == -EACCES && for_write && !truncate) { /* a file that may be written but not read */
        gofer_call_fini(inode->conn, &call);
        message.flags = O_WRONLY;
        err = gofer_do_open(inode->conn, fiber, &message, &reply, &call);
    }
    struct host_file *file = NULL;
    if (!err)
        err = gofer_call_take_file(inode->conn, &call, &file);
    gofer_call_fini(inode->conn, &call);
    if (err)
        return err;
    metrics->plain[METRIC_GOFER_OPENS_HOST]++;
    host_file_put(*slot);
    *slot = file;
    gofer_inode_take_stat(inode, &reply.stat);
    *out = file;
    return 0;
}

/* ---- looking up ----------------------------------------------------------------------------- */

SLEEPS static int gofer_lookup(struct task *task, struct inode *dir_inode, const char *name,
                               struct inode **out)
{
    struct gofer_inode *dir = gofer_of(dir_inode);
    struct gofer_node node = {.fid = GOFER_FID_NONE};
    char *target = NULL;
    struct host_file *file = NULL;
    bool is_gift = !task->is_opening && dir->open_credit >= OPEN_CREDIT_FROM;
    struct walk_more more = {.target = &target, .file = task->is_opening || is_gift ? &file : NULL};
    int known = dir->conn->is_shared ? -1 : gofer_hints_find(dir, name, &node.stat);
    if (known == 0)
        return -ENOENT;
    if (known > 0 && (node.stat.mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
        gofer_credit(dir->conn, 4);
    if (known < 0) {
        if (dir->is_plain)
            gofer_credit(dir->conn, 64);
        u32 fid;
        int err = gofer_inode_fid(dir, &task->fiber, &fid);
        if (!err)
            err = walk_one(dir->conn, &task->fiber, fid, name, &node, more);
        if (err == -ENOENT && !dir->conn->is_shared)
            gofer_hints_missed(dir, &task->fiber);
        if (err)
            return err;
    }
    struct gofer_inode *inode;
    int err = gofer_inode_create(dir_inode->super, dir->conn, dir, name, node.fid, &node.stat,
                                 &inode);
    if (err) {
        gofer_forget(dir->conn, node.fid);
        arena_free_string(dir_inode->object.arena, target);
        host_file_put(file);
        return err;
    }
    inode->target = target;
    inode->read_file = file;
    inode->is_gift = file && is_gift;
    dir->open_credit -= inode->is_gift;
    *out = &inode->inode;
    return 0;
}

SLEEPS static i64 gofer_readlink(struct task *task, struct inode *base, char *out, size_t size)
{
    struct gofer_inode *inode = gofer_of(base);
    if (!inode->target) {
        struct gofer_readlink message;
        int err = gofer_inode_fid(inode, &task->fiber, &message.fid);
        if (err)
            return err;
        struct gofer_readlink_reply reply;
        struct gofer_call call;
        err = gofer_do_readlink(inode->conn, &task->fiber, &message, &reply, &call);
        if (!err) {
            inode->target = arena_strdup(base->object.arena, reply.target);
            err = inode->target ? 0 : -ENOMEM;
        }
        gofer_call_fini(inode->conn, &call);
        if (err)
            return err;
    }
    size_t length = MIN(strlen(inode->target), size);
    memcpy(out, inode->target, length);
    return (i64)length;
}

SLEEPS static int gofer_getattr(struct task *task, struct inode *base)
{
    struct gofer_inode *inode = gofer_of(base);
    if (!inode->conn->is_shared)
        return 0;
    struct gofer_get_attr message;
    int err = gofer_inode_fid(inode, &task->fiber, &message.fid);
    if (err)
        return err;
    struct gofer_get_attr_reply reply;
    struct gofer_call call;
    err = gofer_do_get_attr(inode->conn, &task->fiber, &message, &reply, &call);
    if (!err) {
        bool has_changed = reply.stat.mtime_ns != base->mtime_ns || reply.stat.size != base->size;
        if (has_changed && base->mapping.dirty_count == 0 &&
            (base->mode & LINUX_S_IFMT) == LINUX_S_IFREG)
            mapping_drop_clean(&base->mapping);
        gofer_inode_take_stat(inode, &reply.stat);
    }
    gofer_call_fini(inode->conn, &call);
    return err;
}

/* Somebody else may have changed the directory: is NAME still this file? */
SLEEPS static bool gofer_revalidate(struct task *task, struct inode *dir_inode,
                                    struct dentry *dentry)
{
    struct gofer_inode *dir = gofer_of(dir_inode);
    if (!dir->conn->is_shared)
        return true;
    u32 fid;
    struct gofer_node node;
    if (gofer_inode_fid(dir, &task->fiber, &fid))
        return false;
    int err = walk_one(dir->conn, &task->fiber, fid, dentry->name, &node, (struct walk_more){0});
    if (err)
        return err == -ENOENT && !dentry->inode;
    gofer_forget(dir->conn, node.fid);
    if (!dentry->inode)
        return false;
    struct gofer_inode *inode = gofer_of(dentry->inode);
    return inode->host_device == node.stat.device && inode->host_inode == node.stat.inode;
}

/* ---- making --------------------------------------------------------------------------------- */

/* A node that a message made in DIR, as an inode. */
static int made(struct inode *dir_inode, const char *name, const struct gofer_node *node,
                struct inode **out)
{
    struct gofer_inode *dir = gofer_of(dir_inode);
    gofer_hints_drop(dir);
    struct gofer_inode *inode;
    int err = gofer_inode_create(dir_inode->super, dir->conn, dir, name, node->fid, &node->stat,
                                 &inode);
    if (err) {
        gofer_forget(dir->conn, node->fid);
        return err;
    }
    inode_touch(dir_inode, ATTR_MTIME | ATTR_CTIME);
    *out = &inode->inode;
    return 0;
}

/* A set-gid directory passes its group on (inode(7)). */
static u32 gid_for(const struct task *task, const struct inode *dir)
{
    return dir->mode & LINUX_S_ISGID ? dir->gid : task->cred->fsgid;
}

SLEEPS static int gofer_create_file(struct task *task, struct inode *dir_inode, const char *name,
                                    u32 mode, struct inode **out)
{
    struct gofer_inode *dir = gofer_of(dir_inode);
    struct gofer_create message = {.name = name,
                                   .flags = O_RDWR,
                                   .mode = mode & 07777u,
                                   .uid = task->cred->fsuid,
                                   .gid = gid_for(task, dir_inode)};
    int err = gofer_inode_fid(dir, &task->fiber, &message.dir);
    if (err)
        return err;
    struct gofer_create_reply reply;
    struct gofer_call call;
    struct host_file *file = NULL;
    err = gofer_do_create(dir->conn, &task->fiber, &message, &reply, &call);
    if (!err)
        err = gofer_call_take_file(dir->conn, &call, &file);
    gofer_call_fini(dir->conn, &call);
    if (!err)
        err = made(dir_inode, name, &reply.node, out);
    if (err) {
        host_file_put(file);
        return err;
    }
    gofer_of(*out)->write_file = file;
    return 0;
}

SLEEPS static int gofer_mkdir(struct task *task, struct inode *dir_inode, const char *name,
                              u32 mode, struct inode **out)
{
    struct gofer_inode *dir = gofer_of(dir_inode);
    struct gofer_mkdir message = {.name = name,
                                  .mode = (mode & 07777u) | (dir_inode->mode & LINUX_S_ISGID),
                                  .uid = task->cred->fsuid,
                                  .gid = gid_for(task, dir_inode)};
    int err = gofer_inode_fid(dir, &task->fiber, &message.dir);
    if (err)
        return err;
    struct gofer_mkdir_reply reply;
    struct gofer_call call;
    err = gofer_do_mkdir(dir->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(dir->conn, &call);
    if (!err)
        err = made(dir_inode, name, &reply.node, out);
    if (!err)
        dir_inode->link_count++;
    return err;
}

SLEEPS static int gofer_mknod(struct task *task, struct inode *dir_inode, const char *name,
                              u32 mode, u32 rdev, struct inode **out)
{
    struct gofer_inode *dir = gofer_of(dir_inode);
    struct gofer_mknod message = {.name = name,
                                  .mode = mode,
                                  .uid = task->cred->fsuid,
                                  .gid = gid_for(task, dir_inode),
                                  .major = (rdev >> 8) & 0xfffu,
                                  .minor = (rdev & 0xffu) | (rdev >> 12 & 0xfff00u)};
    int err = gofer_inode_fid(dir, &task->fiber, &message.dir);
    if (err)
        return err;
    struct gofer_mknod_reply reply;
    struct gofer_call call;
    err = gofer_do_mknod(dir->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(dir->conn, &call);
    return err ? err : made(dir_inode, name, &reply.node, out);
}

SLEEPS static int gofer_symlink(struct task *task, struct inode *dir_inode, const char *name,
                                const char *target, struct inode **out)
{
    struct gofer_inode *dir = gofer_of(dir_inode);
    struct gofer_symlink message = {
        .name = name, .target = target, .uid = task->cred->fsuid, .gid = gid_for(task, dir_inode)};
    int err = gofer_inode_fid(dir, &task->fiber, &message.dir);
    if (err)
        return err;
    struct gofer_symlink_reply reply;
    struct gofer_call call;
    err = gofer_do_symlink(dir->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(dir->conn, &call);
    return err ? err : made(dir_inode, name, &reply.node, out);
}

SLEEPS static int gofer_link(struct task *task, struct inode *dir_inode, const char *name,
                             struct inode *base)
{
    struct gofer_inode *dir = gofer_of(dir_inode), *inode = gofer_of(base);
    struct gofer_link message = {.name = name};
    int err = gofer_inode_fid(dir, &task->fiber, &message.dir);
    if (!err)
        err = gofer_inode_fid(inode, &task->fiber, &message.fid);
    if (err)
        return err;
    struct gofer_link_reply reply;
    struct gofer_call call;
    err = gofer_do_link(dir->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(dir->conn, &call);
    if (err)
        return err;
    gofer_hints_drop(dir);
    gofer_inode_take_stat(inode, &reply.stat);
    return 0;
}

/* ---- taking away and moving ----------------------------------------------------------------- */

/* INODE has lost the name it would be found by. */
static void unname(struct gofer_inode *inode)
{
    struct gofer_inode *parent = MOVE(inode->parent);
    arena_free_string(inode->inode.object.arena, MOVE(inode->name));
    if (parent)
        object_put(&parent->inode.object);
}

SLEEPS static int remove_name(struct task *task, struct inode *dir_inode, const char *name,
                              struct inode *base, u32 flags)
{
    struct gofer_inode *dir = gofer_of(dir_inode), *inode = gofer_of(base);
    struct gofer_unlink message = {.name = name, .flags = flags};
    u32 fid;
    int err = gofer_inode_fid(dir, &task->fiber, &message.dir);
    if (!err)
        err = gofer_inode_fid(inode, &task->fiber, &fid); /* it may live on without a name */
    if (err)
        return err;
    struct gofer_unlink_reply reply;
    struct gofer_call call;
    err = gofer_do_unlink(dir->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(dir->conn, &call);
    if (err)
        return err;
    gofer_hints_drop(dir);
    unname(inode);
    if (base->link_count > 0)
        base->link_count = flags ? 0 : base->link_count - 1;
    if (flags && dir_inode->link_count > 2)
        dir_inode->link_count--;
    inode_touch(dir_inode, ATTR_MTIME | ATTR_CTIME);
    return 0;
}

SLEEPS static int gofer_unlink(struct task *task, struct inode *dir, const char *name,
                               struct inode *inode)
{
    return remove_name(task, dir, name, inode, 0);
}

SLEEPS static int gofer_rmdir(struct task *task, struct inode *dir, const char *name,
                              struct inode *inode)
{
    return remove_name(task, dir, name, inode, AT_REMOVEDIR);
}

/* INODE is found as NAME in DIR from now on. No memory: it keeps its fid and is found by that
 * alone. */
static void rename_inode(struct gofer_inode *inode, struct gofer_inode *dir, const char *name)
{
    unname(inode);
    inode->name = arena_strdup(inode->inode.object.arena, name);
    if (!inode->name)
        return;
    object_get_(&dir->inode.object);
    inode->parent = dir;
}

SLEEPS static int gofer_rename(struct task *task, struct inode *from_inode, const char *from,
                               struct inode *base, struct inode *to_inode, const char *to,
                               struct inode *target, u32 flags)
{
    struct gofer_inode *from_dir = gofer_of(from_inode), *to_dir = gofer_of(to_inode);
    struct gofer_rename message = {.from = from, .to = to, .flags = flags};
    u32 fid;
    int err = gofer_inode_fid(from_dir, &task->fiber, &message.from_dir);
    if (!err)
        err = gofer_inode_fid(to_dir, &task->fiber, &message.to_dir);
    if (!err)
        err = gofer_inode_fid(gofer_of(base), &task->fiber, &fid);
    if (!err && target)
        err = gofer_inode_fid(gofer_of(target), &task->fiber, &fid);
    if (err)
        return err;
    struct gofer_rename_reply reply;
    struct gofer_call call;
    err = gofer_do_rename(from_dir->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(from_dir->conn, &call);
    if (err)
        return err;
    gofer_hints_drop(from_dir);
    gofer_hints_drop(to_dir);
    rename_inode(gofer_of(base), to_dir, to);
    if (target && (flags & 2)) /* RENAME_EXCHANGE */
        rename_inode(gofer_of(target), from_dir, from);
    else if (target) {
        unname(gofer_of(target));
        if (target->link_count > 0)
            target->link_count--;
    }
    inode_touch(from_inode, ATTR_MTIME | ATTR_CTIME);
    inode_touch(to_inode, ATTR_MTIME | ATTR_CTIME);
    return 0;
}

SLEEPS static int gofer_setattr(struct task *task, struct inode *base, const struct attr *attr)
{
    struct gofer_inode *inode = gofer_of(base);
    struct gofer_set_attr message = {.attr = {.mode = attr->mode & 07777u,
                                              .uid = attr->uid,
                                              .gid = attr->gid,
                                              .size = attr->size,
                                              .atime_ns = attr->atime_ns,
                                              .mtime_ns = attr->mtime_ns}};
    static const u32 bits[][2] = {{ATTR_MODE, HOST_ATTR_MODE},   {ATTR_UID, HOST_ATTR_UID},
                                  {ATTR_GID, HOST_ATTR_GID},     {ATTR_SIZE, HOST_ATTR_SIZE},
                                  {ATTR_ATIME, HOST_ATTR_ATIME}, {ATTR_MTIME, HOST_ATTR_MTIME}};
    for (size_t i = 0; i < ARRAY_COUNT(bits); i++)
        if (attr->mask & bits[i][0])
            message.attr.mask |= bits[i][1];
    int err = gofer_inode_fid(inode, &task->fiber, &message.fid);
    if (err)
        return err;
    if (attr->mask & ATTR_SIZE)
        err = mapping_sync(&base->mapping, &task->fiber);
    if (err)
        return err;
    struct gofer_set_attr_reply reply;
    struct gofer_call call;
    err = gofer_do_set_attr(inode->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(inode->conn, &call);
    if (err)
        return err;
    if (attr->mask & ATTR_SIZE)
        mapping_truncate(&base->mapping, &task->fiber, attr->size);
    gofer_inode_take_stat(inode, &reply.stat);
    if (inode->parent)
        gofer_hints_drop(inode->parent);
    return 0;
}

SLEEPS static int gofer_open(struct task *task, struct inode *base, struct file *file)
{
    struct gofer_inode *inode = gofer_of(base);
    switch (base->mode & LINUX_S_IFMT) {
    case LINUX_S_IFDIR:
        file->ops = &gofer_dir_ops;
        return 0;
    case LINUX_S_IFREG: {
        file->ops = &gofer_file_ops;
        struct host_file *unused;
        return gofer_inode_open(inode, &task->fiber, (file->flags & O_ACCMODE) != O_RDONLY, false,
                                &unused);
    }
    default:
        return -ENXIO;
    }
}

/* ---- extended attributes -------------------------------------------------------------------- */

/* Each execve asks for this one; few files have it. */
static bool is_caps(const char *name)
{
    return strcmp(name, "security.capability") == 0;
}

SLEEPS static i64 gofer_getxattr(struct task *task, struct inode *base, const char *name, void *out,
                                 size_t size)
{
    struct gofer_inode *inode = gofer_of(base);
    if ((inode->has_no_caps && is_caps(name)) || inode_is_symlink(base))
        return -ENODATA; /* links have none that the gofer passes */
    struct gofer_get_xattr message = {.name = name,
                                      .size = (u32)MIN(size, (size_t)GOFER_XATTR_MAX)};
    i64 result = gofer_inode_fid(inode, &task->fiber, &message.fid);
    if (result)
        return result;
    struct gofer_get_xattr_reply reply;
    struct gofer_call call;
    result = gofer_do_get_xattr(inode->conn, &task->fiber, &message, &reply, &call);
    if (!result) {
        result = reply.size;
        if (size > 0 && reply.value)
            memcpy(out, reply.value, MIN(size, (size_t)reply.size));
    }
    if ((result == -ENODATA || result == -EOPNOTSUPP) && is_caps(name) && !inode->conn->is_shared)
        inode->has_no_caps = true;
    gofer_call_fini(inode->conn, &call);
    return result;
}

SLEEPS static int gofer_setxattr(struct task *task, struct inode *base, const char *name,
                                 const void *value, size_t size, int flags)
{
    struct gofer_inode *inode = gofer_of(base);
    if (inode_is_symlink(base))
        return -EPERM;
    struct gofer_set_xattr message = {
        .name = name, .value = value, .size = (u32)size, .flags = (u32)flags};
    int err = gofer_inode_fid(inode, &task->fiber, &message.fid);
    if (err)
        return err;
    if (is_caps(name))
        inode->has_no_caps = false;
    struct gofer_set_xattr_reply reply;
    struct gofer_call call;
    err = gofer_do_set_xattr(inode->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(inode->conn, &call);
    return err == -EMSGSIZE ? -E2BIG : err;
}

SLEEPS static i64 gofer_listxattr(struct task *task, struct inode *base, char *out, size_t size)
{
    struct gofer_inode *inode = gofer_of(base);
    if (inode_is_symlink(base))
        return 0;
    struct gofer_list_xattr message = {.size = (u32)MIN(size, (size_t)GOFER_XATTR_MAX)};
    i64 result = gofer_inode_fid(inode, &task->fiber, &message.fid);
    if (result)
        return result;
    struct gofer_list_xattr_reply reply;
    struct gofer_call call;
    result = gofer_do_list_xattr(inode->conn, &task->fiber, &message, &reply, &call);
    if (!result) {
        result = reply.size;
        if (size > 0 && reply.names)
            memcpy(out, reply.names, MIN(size, (size_t)reply.size));
    }
    gofer_call_fini(inode->conn, &call);
    return result;
}

SLEEPS static int gofer_removexattr(struct task *task, struct inode *base, const char *name)
{
    struct gofer_inode *inode = gofer_of(base);
    struct gofer_remove_xattr message = {.name = name};
    int err = gofer_inode_fid(inode, &task->fiber, &message.fid);
    if (err)
        return err;
    struct gofer_remove_xattr_reply reply;
    struct gofer_call call;
    err = gofer_do_remove_xattr(inode->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(inode->conn, &call);
    return err;
}

const struct inode_ops gofer_inode_ops = {
    .lookup = gofer_lookup,
    .create = gofer_create_file,
    .mkdir = gofer_mkdir,
    .mknod = gofer_mknod,
    .symlink = gofer_symlink,
    .link = gofer_link,
    .unlink = gofer_unlink,
    .rmdir = gofer_rmdir,
    .rename = gofer_rename,
    .readlink = gofer_readlink,
    .getattr = gofer_getattr,
    .setattr = gofer_setattr,
    .open = gofer_open,
    .getxattr = gofer_getxattr,
    .setxattr = gofer_setxattr,
    .listxattr = gofer_listxattr,
    .removexattr = gofer_removexattr,
    .revalidate = gofer_revalidate,
    .allocate = gofer_allocate,
    .seek = gofer_seek,
};
