/* SPDX-License-Identifier: Apache-2.0 */
/* An inode that keeps a namespace alive. Each look-up makes a new one; its number is the
 * namespace's. */
#include "sentry/fs/nsfs.h"

#include "abi/errno.h"
#include "abi/process.h"
#include "base/fields.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/vfs.h"

#define NS_GET_NSTYPE 0xb703u

struct ns_inode {
    struct inode inode;
    struct object *ns; /* counted */
    u32 type;
};

static const struct field ns_inode_fields[] = {
    FIELD_STRUCT(struct ns_inode, inode, inode_base_fields),
    FIELD_REF_ANY(struct ns_inode, ns),
    FIELD(struct ns_inode, type),
    FIELD_END,
};
FIELDS_COMPLETE(struct ns_inode, ns_inode_fields);

static void ns_inode_destroy(struct object *object)
{
    struct ns_inode *inode = container_of(object, struct ns_inode, inode.object);
    object_put(inode->ns);
    inode_fini(&inode->inode);
}

/* What a namespace of TYPE is: setns(2) and /proc take the object for it. */
static const char *namespace_struct(u32 type)
{
    switch (type) {
    case LINUX_CLONE_NEWUSER:
        return "struct user_ns";
    case LINUX_CLONE_NEWPID:
        return "struct pid_ns";
    case LINUX_CLONE_NEWUTS:
        return "struct uts_ns";
    case LINUX_CLONE_NEWIPC:
        return "struct ipc_ns";
    case LINUX_CLONE_NEWNS:
        return "struct mount_ns";
    case LINUX_CLONE_NEWNET:
        return "struct net_ns";
    default:
        return NULL;
    }
}

static int ns_inode_loaded(struct object *object, struct state_reader *reader)
{
    const struct ns_inode *inode = container_of(object, struct ns_inode, inode.object);
    const char *wanted = namespace_struct(inode->type);
    if (!wanted || !inode->ns || !kind_is(inode->ns->kind, wanted))
        return -EINVAL;
    return inode_loaded(object, reader);
}

static const struct inode_ops ns_inode_ops;
const struct kind ns_inode_kind = {.name = "ns_inode",
                                   .size = sizeof(struct ns_inode),
                                   .fields = ns_inode_fields,
                                   .destroy = ns_inode_destroy,
                                   .loaded = ns_inode_loaded,
                                   .ops = &ns_inode_ops};

struct object *nsfs_object(const struct file *file, u32 *type)
{
    if (file->ops != &nsfs_ops)
        return NULL;
    const struct ns_inode *inode = container_of(file->inode, struct ns_inode, inode);
    *type = inode->type;
    return inode->ns;
}

SLEEPS static i64 nsfs_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    return request == NS_GET_NSTYPE ? (i64)container_of(file->inode, struct ns_inode, inode)->type
                                    : -ENOTTY;
}

const struct file_ops nsfs_ops = {.ioctl = nsfs_ioctl};

SLEEPS static int nsfs_open(struct task *task, struct inode *inode, struct file *file)
{
    file->ops = &nsfs_ops;
    return 0;
}

static const struct inode_ops ns_inode_ops = {.open = nsfs_open};

int nsfs_path(struct kernel *kernel, struct object *ns, u32 type, const char *name, u64 nr,
              struct path *out)
{
    AUTO_BUF struct buf text;
    buf_init(&text, kernel->arena, 0);
    int err = buf_printf(&text, "%s:[%llu]", name, (unsigned long long)nr);
    const char *full = err ? NULL : buf_text(&text);
    struct ns_inode *inode = full ? object_create(kernel->arena, &ns_inode_kind) : NULL;
    if (!inode)
        return -ENOMEM;
    inode_init(&inode->inode, kernel->vfs->anonfs, &ns_inode_ops, LINUX_S_IFREG | 0444, 0, 0);
    inode->inode.ino = nr;
    inode->type = type;
    object_get_(ns);
    inode->ns = ns;
    struct path path = {0};
    err = dentry_create_anon(&inode->inode, full, &path.dentry);
    object_put(&inode->inode.object);
    if (!err)
        *out = path;
    return err;
}
