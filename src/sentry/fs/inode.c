/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base of every inode: birth, death, times, owners, permission bits, and one wrapper for each
 * operation that may sleep. Surprising: an inode does not hold its super; the super's end cuts the
 * tie.
 */
#include "sentry/fs/inode.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"

const struct field inode_base_fields[] = {
    FIELD_NONE(struct inode, object, "the walker's own header"),
    FIELD_NONE(struct inode, ops, "the kind's"),
    FIELD_WEAK(struct inode, super, struct super),
    FIELD_NONE(struct inode, super_link, "derived from super"),
    FIELD(struct inode, ino),
    FIELD(struct inode, mode),
    FIELD(struct inode, uid),
    FIELD(struct inode, gid),
    FIELD(struct inode, link_count),
    FIELD(struct inode, rdev),
    FIELD(struct inode, size),
    FIELD(struct inode, blocks),
    FIELD(struct inode, block_size),
    FIELD(struct inode, atime_ns),
    FIELD(struct inode, mtime_ns),
    FIELD(struct inode, ctime_ns),
    FIELD(struct inode, btime_ns),
    FIELD_STRUCT(struct inode, mapping, mapping_fields),
    FIELD_NONE(struct inode, lock, "nobody holds it while the sandbox is quiet"),
    FIELD_REF(struct inode, locks, struct lock_list),
    FIELD_REF(struct inode, watches, struct inotify_list),
    FIELD_REF(struct inode, socket, struct socket),
    FIELD_REF_ANY(struct inode, fifo),
    FIELD(struct inode, write_count),
    FIELD(struct inode, exec_count),
    FIELD(struct inode, open_count),
    FIELD(struct inode, seals),
    FIELD(struct inode, has_seals),
    FIELD(struct inode, is_unlinked_root_of_memfd),
    FIELD(struct inode, is_linkable),
    FIELD_END,
};
FIELDS_COMPLETE(struct inode, inode_base_fields);

u64 inode_next_number(struct super *super)
{
    return ++super->ino_next;
}

void inode_init(struct inode *inode, struct super *super, const struct inode_ops *ops, u32 mode,
                u32 uid, u32 gid)
{
    inode->ops = ops;
    inode->super = super;
    list_add_tail(&super->inodes, &inode->super_link);
    inode->ino = inode_next_number(super);
    inode->mode = mode;
    inode->uid = uid;
    inode->gid = gid;
    inode->link_count = inode_is_dir(inode) ? 2 : 1;
    inode->block_size = (u32)PAGE_SIZE;
    i64 now = (i64)kernel_realtime_ns(super->kernel);
    inode->atime_ns = inode->mtime_ns = inode->ctime_ns = inode->btime_ns = now;
}

void inode_init_mapping(struct inode *inode, enum frame_use use, const struct mapping_ops *ops,
                        u64 size)
{
    mapping_init(&inode->mapping, inode->super->kernel->memory, use, ops, inode);
    inode->mapping.size = size;
    inode->size = size;
}

static void put_member(void *member)
{
    if (member)
        object_put(member);
}

void inode_fini(struct inode *inode)
{
    list_remove(&inode->super_link);
    put_member(MOVE(inode->locks));
    put_member(MOVE(inode->watches));
    put_member(MOVE(inode->socket));
    put_member(MOVE(inode->fifo));
    mapping_fini(&inode->mapping);
}

int inode_loaded(struct object *object, struct state_reader *reader)
{
    struct inode *inode = container_of(object, struct inode, object);
    inode->ops = object->kind->ops;
    if (inode->fifo && !kind_is(inode->fifo->kind,
                                inode_is(inode, LINUX_S_IFIFO) ? "struct pipe" : "struct mqueue"))
        return -EINVAL;
    if (!inode->super)
        return 0;
    if (!fs_type_has_inode(fs_type_find(inode->super->type_name), object->kind))
        return -EINVAL;
    if (!inode->super->inodes.next)
        list_init(&inode->super->inodes);
    list_add_tail(&inode->super->inodes, &inode->super_link);
    return 0;
}

void inode_discard(struct object *object)
{
    mapping_discard(&container_of(object, struct inode, object)->mapping);
}

int inode_save_pages(const struct inode *inode, struct state_writer *writer)
{
    bool has_pages = inode->mapping.memory != NULL;
    int err = state_write_u64(writer, has_pages);
    if (!err && has_pages)
        err = mapping_save(&inode->mapping, writer);
    return err;
}

int inode_load_pages(struct inode *inode, struct state_reader *reader,
                     const struct mapping_ops *ops)
{
    u64 has_pages;
    int err = state_read_u64(reader, &has_pages);
    if (err || !has_pages)
        return err;
    mapping_loaded(&inode->mapping, state_reader_kernel(reader)->memory, ops, inode);
    return mapping_load(&inode->mapping, reader);
}

/* ---- attributes ----------------------------------------------------------------------------- */

void inode_touch(struct inode *inode, u32 which)
{
    if (!inode->super)
        return;
    i64 now = (i64)kernel_realtime_ns(inode->super->kernel);
    if (which & ATTR_ATIME)
        inode->atime_ns = now;
    if (which & ATTR_MTIME)
        inode->mtime_ns = now;
    if (which & ATTR_CTIME)
        inode->ctime_ns = now;
}

void inode_apply_attr(struct inode *inode, const struct attr *attr)
{
    if (attr->mask & ATTR_MODE)
        inode->mode = (inode->mode & LINUX_S_IFMT) | (attr->mode & ~LINUX_S_IFMT);
    if (attr->mask & ATTR_UID)
        inode->uid = attr->uid;
    if (attr->mask & ATTR_GID)
        inode->gid = attr->gid;
    if (attr->mask & ATTR_ATIME)
        inode->atime_ns = attr->atime_ns;
    if (attr->mask & ATTR_MTIME)
        inode->mtime_ns = attr->mtime_ns;
    if (attr->mask & ATTR_CTIME)
        inode->ctime_ns = attr->ctime_ns;
    else
        inode_touch(inode, ATTR_CTIME);
}

void inode_owner(struct task *task, const struct inode *dir, u32 *mode, u32 *uid, u32 *gid)
{
    *uid = task->cred->fsuid;
    *gid = task->cred->fsgid;
    if (!(dir->mode & LINUX_S_ISGID))
        return;
    *gid = dir->gid;
    if ((*mode & LINUX_S_IFMT) == LINUX_S_IFDIR)
        *mode |= LINUX_S_ISGID;
    else if ((*mode & (LINUX_S_ISGID | 010)) == (LINUX_S_ISGID | 010) &&
             !cred_has_group(task->cred, dir->gid) && !inode_has_capability(task, dir, CAP_FSETID))
        *mode &= ~LINUX_S_ISGID;
}

bool inode_has_capability(const struct task *task, const struct inode *inode, u32 capability)
{
    const struct user_ns *ns = task->cred->user_ns;
    if (!cred_has_cap(task->cred, capability))
        return false;
    if (!ns || !ns->parent)
        return true;
    return user_ns_uid_out(ns, inode->uid) != ID_INVALID &&
           user_ns_gid_out(ns, inode->gid) != ID_INVALID;
}

int inode_permission(struct task *task, const struct inode *inode, u32 want)
{
    const struct cred *cred = task->cred;
    u32 bits = inode->mode;
    want &= 7;
    if (cred->fsuid == inode->uid)
        bits >>= 6;
    else if (cred_has_group(cred, inode->gid))
        bits >>= 3;
    if ((bits & want) == want)
        return 0;
    bool is_dir = inode_is_dir(inode);
    bool may_override = is_dir || !(want & 1) || (inode->mode & 0111);
    if (may_override && inode_has_capability(task, inode, CAP_DAC_OVERRIDE))
        return 0;
    bool is_search = is_dir ? !(want & 2) : want == 4;
    if (is_search && inode_has_capability(task, inode, CAP_DAC_READ_SEARCH))
        return 0;
    return -EACCES;
}

/* ---- operations, one wrapper each ----------------------------------------------------------- */

int inode_lookup(struct task *task, struct inode *dir, const char *name, struct inode **out)
{
    return dir->ops->lookup ? dir->ops->lookup(task, dir, name, out) : -ENOENT;
}

int inode_getattr(struct task *task, struct inode *inode)
{
    return inode->ops->getattr ? inode->ops->getattr(task, inode) : 0;
}

int inode_setattr(struct task *task, struct inode *inode, const struct attr *attr)
{
    if (!inode->ops->setattr)
        return -EPERM;
    bool is_size = (attr->mask & ATTR_SIZE) != 0;
    AUTO_PUT struct inode *held = REF_GET(inode);
    if (is_size)
        sleep_lock(&inode->lock, &task->fiber);
    int err = inode->ops->setattr(task, inode, attr);
    if (is_size)
        sleep_unlock(&inode->lock, &task->fiber);
    return err;
}

i64 inode_readlink(struct task *task, struct inode *inode, char *out, size_t size)
{
    if (!inode_is_symlink(inode) || !inode->ops->readlink)
        return -EINVAL;
    return inode->ops->readlink(task, inode, out, size);
}

int inode_follow(struct task *task, struct inode *inode, struct path *out)
{
    return inode->ops->follow(task, inode, out);
}

i64 inode_getxattr(struct task *task, struct inode *inode, const char *name, void *out, size_t size)
{
    return inode->ops->getxattr ? inode->ops->getxattr(task, inode, name, out, size) : -EOPNOTSUPP;
}

int inode_setxattr(struct task *task, struct inode *inode, const char *name, const void *value,
                   size_t size, int flags)
{
    return inode->ops->setxattr ? inode->ops->setxattr(task, inode, name, value, size, flags)
                                : -EOPNOTSUPP;
}

i64 inode_listxattr(struct task *task, struct inode *inode, char *out, size_t size)
{
    return inode->ops->listxattr ? inode->ops->listxattr(task, inode, out, size) : 0;
}

int inode_removexattr(struct task *task, struct inode *inode, const char *name)
{
    return inode->ops->removexattr ? inode->ops->removexattr(task, inode, name) : -EOPNOTSUPP;
}
