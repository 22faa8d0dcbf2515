/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open file descriptions: birth, death, saving. The operations are found again by name after a
 * load.
 */
#include "sentry/fs/file.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/fasync.h"
#include "sentry/fs/locks.h"
#include "sentry/fs/notify.h"
#include "sentry/fs/poll.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

#define OPS_NAME_SIZE 32u

static const struct field file_fields[] = {
    FIELD_NONE(struct file, object, "the walker's own header"),
    FIELD_NONE(struct file, ops, "by name: file_save_more"),
    FIELD_NONE(struct file, ops_kind_unused, "unused"),
    FIELD_STRUCT(struct file, path, path_fields),
    FIELD_REF(struct file, inode, struct inode),
    FIELD(struct file, flags),
    FIELD(struct file, offset),
    FIELD_NONE(struct file, offset_lock, "nobody holds it while the sandbox is quiet"),
    FIELD_REF_ANY(struct file, private_object),
    FIELD_BYTES(struct file, private_words),
    FIELD(struct file, owner),
    FIELD(struct file, owner_type),
    FIELD(struct file, owner_signal),
    FIELD_REF(struct file, owner_cred, struct cred),
    FIELD_REF(struct file, owner_pid, struct pid),
    FIELD_NONE(struct file, fasync, "armed again by file_loaded"),
    FIELD_NONE(struct file, epoll_links, "epoll items enter themselves when they are loaded"),
    FIELD(struct file, is_path),
    FIELD(struct file, wrote),
    FIELD(struct file, executes),
    FIELD_END,
};
FIELDS_COMPLETE(struct file, file_fields);

static void file_destroy(struct object *object)
{
    struct file *file = container_of(object, struct file, object);
    if (file->ops && !file->is_path)
        notify_dentry(file->path.dentry,
                      file_may_write(file) ? NOTIFY_CLOSE_WRITE : NOTIFY_CLOSE_NOWRITE);
    fasync_stop(file);
    epoll_forget_file(file);
    if (file->inode)
        locks_release_file(file->inode, file);
    if (file->ops && file->ops->release)
        file->ops->release(file);
    object_put(file->private_object);
    object_put(file->owner_cred);
    object_put(file->owner_pid);
    struct inode *named = file->path.dentry ? file->path.dentry->inode : NULL;
    struct inode *counted = named ? named : file->inode;
    if (file->wrote)
        counted->write_count--;
    if (file->executes)
        counted->exec_count--;
    REF_CLEAR(file->inode);
    if (named) {
        named->open_count--;
        notify_gone(named);
    }
    path_put(&file->path); /* last: its mount keeps the super alive */
}

static int file_save_more(const struct object *object, struct state_writer *writer)
{
    const struct file *file = container_of(object, const struct file, object);
    char name[OPS_NAME_SIZE] = {0};
    if (!file->inode || !file->inode->super)
        return -EINVAL;
    const char *text = file_ops_name(file->inode->super->kernel, file->ops);
    if (!text)
        return -EINVAL;
    ASSERT(strlen(text) < sizeof name);
    memcpy(name, text, strlen(text));
    return state_write(writer, name, sizeof name);
}

static int file_load_more(struct object *object, struct state_reader *reader)
{
    struct file *file = container_of(object, struct file, object);
    char name[OPS_NAME_SIZE];
    int err = state_read(reader, name, sizeof name);
    if (err)
        return err;
    name[sizeof name - 1] = 0;
    const struct file_ops_name *row = file_ops_find(state_reader_kernel(reader), name);
    if (!file->epoll_links.next)
        list_init(&file->epoll_links);
    if (!row || !file_ops_fit(row, file))
        return -EINVAL;
    file->ops = row->ops;
    return 0;
}

/* The poll queues of what is loaded are empty but usable, whether its own hook has run or not. */
static int file_loaded(struct object *object, struct state_reader *reader)
{
    struct file *file = container_of(object, struct file, object);
    return file->flags & LINUX_O_ASYNC ? fasync_start(file) : 0;
}

static void file_discard(struct object *object)
{
    fasync_stop(container_of(object, struct file, object));
}

const struct kind file_kind = {.name = "file",
                               .size = sizeof(struct file),
                               .fields = file_fields,
                               .destroy = file_destroy,
                               .loaded = file_loaded,
                               .save_more = file_save_more,
                               .load_more = file_load_more,
                               .discard = file_discard};

int file_create(struct kernel *kernel, const struct path *path, struct inode *inode, u32 flags,
                struct file **out)
{
    struct file *file = object_create(kernel->arena, &file_kind);
    if (!file)
        return -ENOMEM;
    list_init(&file->epoll_links);
    if (path) {
        path_get(path);
        file->path = *path;
        path->dentry->inode->open_count++;
    }
    file->inode = REF_GET(inode);
    file->flags = flags;
    if (file_may_write(file) && inode && inode_is_regular(inode)) {
        file->wrote = true;
        inode->write_count++;
    }
    *out = file;
    return 0;
}

void file_deny_write(struct file *file)
{
    if (file->executes)
        return;
    file->executes = true;
    struct inode *named = file->path.dentry ? file->path.dentry->inode : file->inode;
    named->exec_count++;
}

/* ---- descriptions without a path ------------------------------------------------------------ */

static void anon_inode_destroy(struct object *object)
{
    inode_fini(container_of(object, struct inode, object));
}

static const struct inode_ops anon_inode_ops;
const struct kind anon_inode_kind = {.name = "anon_inode",
                                     .size = sizeof(struct inode),
                                     .fields = inode_base_fields,
                                     .destroy = anon_inode_destroy,
                                     .loaded = inode_loaded,
                                     .ops = &anon_inode_ops};

SLEEPS static int anon_setattr(struct task *task, struct inode *inode, const struct attr *attr)
{
    inode_apply_attr(inode, attr);
    return 0;
}

SLEEPS static int anon_open(struct task *task, struct inode *inode, struct file *file)
{
    return inode_is(inode, LINUX_S_IFIFO) ? fifo_open(task, inode, file) : -ENXIO;
}

static const struct inode_ops anon_inode_ops = {.setattr = anon_setattr, .open = anon_open};

int inode_create_anon(struct super *super, u32 mode, struct inode **out)
{
    struct inode *inode = object_create(super->object.arena, &anon_inode_kind);
    if (!inode)
        return -ENOMEM;
    inode_init(inode, super, &anon_inode_ops, mode, 0, 0);
    *out = inode;
    return 0;
}

static struct super *anon_super(struct vfs *vfs, u32 mode)
{
    switch (mode & LINUX_S_IFMT) {
    case LINUX_S_IFIFO:
        return vfs->pipefs;
    case LINUX_S_IFSOCK:
        return vfs->sockfs;
    default:
        return vfs->anonfs;
    }
}

/* "socket:" is completed to "socket:[12]". */
MUST_CHECK static int anon_dentry(struct inode *inode, const char *name, struct dentry **out)
{
    AUTO_BUF struct buf text;
    buf_init(&text, inode->object.arena, 0);
    int err = buf_append_text(&text, name);
    size_t size = strlen(name);
    if (!err && size > 0 && name[size - 1] == ':')
        err = buf_printf(&text, "[%llu]", (unsigned long long)inode->ino);
    const char *full = err ? NULL : buf_text(&text);
    return full ? dentry_create_anon(inode, full, out) : -ENOMEM;
}

int file_create_on_inode(struct kernel *kernel, struct inode *inode, const char *name, u32 flags,
                         struct file **out)
{
    struct path path = {0};
    int err = anon_dentry(inode, name, &path.dentry);
    if (err)
        return err;
    err = file_create(kernel, &path, inode, flags, out);
    path_put(&path);
    return err;
}

int file_create_anon(struct kernel *kernel, const char *name, const struct file_ops *ops,
                     struct object *private_object, u32 flags, u32 mode, struct file **out)
{
    AUTO_PUT struct object *private_held = private_object;
    AUTO_PUT struct inode *inode = NULL;
    int err = inode_create_anon(anon_super(kernel->vfs, mode), mode, &inode);
    if (err)
        return err;
    struct file *file;
    err = file_create_on_inode(kernel, inode, name, flags, &file);
    if (err)
        return err;
    file->ops = ops;
    file->private_object = MOVE(private_held);
    *out = file;
    return 0;
}
