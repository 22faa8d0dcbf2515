/* SPDX-License-Identifier: Apache-2.0 */
/* A gofer mount as a whole: attach, statfs, and the new connection after a restore. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sentry/fs/gofer/call.h"

#define V9FS_MAGIC 0x01021997u

SLEEPS static int gofer_statfs_super(struct task *task, struct super *super,
                                     struct linux_statfs *out)
{
    struct gofer_inode *root = gofer_of(super->root->inode);
    struct gofer_statfs message;
    int err = gofer_inode_fid(root, &task->fiber, &message.fid);
    if (err)
        return err;
    struct gofer_statfs_reply reply;
    struct gofer_call call;
    err = gofer_do_statfs(root->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(root->conn, &call);
    if (err)
        return err;
    const struct host_statfs *s = &reply.statfs;
    *out = (struct linux_statfs){.type = V9FS_MAGIC,
                                 .bsize = (i64)s->block_size,
                                 .blocks = s->blocks,
                                 .bfree = s->blocks_free,
                                 .bavail = s->blocks_available,
                                 .files = s->files,
                                 .ffree = s->files_free,
                                 .namelen = s->name_max,
                                 .frsize = (i64)s->block_size};
    return 0;
}

const struct super_ops gofer_super_ops = {.statfs = gofer_statfs_super};

SLEEPS static int attach(struct gofer_conn *conn, struct fiber *fiber, struct gofer_node *root)
{
    struct gofer_attach message = {.version = GOFER_VERSION};
    struct gofer_attach_reply reply;
    struct gofer_call call;
    int err = gofer_do_attach(conn, fiber, &message, &reply, &call);
    if (!err && reply.version != GOFER_VERSION)
        err = -EPROTO;
    if (!err) {
        *root = reply.root;
        conn->is_readonly = reply.flags & GOFER_READONLY;
    }
    gofer_call_fini(conn, &call);
    return err;
}

SLEEPS int gofer_fs_create(struct task *task, struct host_stream *stream, bool is_readonly,
                           bool is_shared, struct super **out)
{
    AUTO_PUT struct gofer_conn *conn = NULL;
    int err = gofer_conn_create(task->kernel, stream, &conn);
    if (err)
        return err;
    conn->is_shared = is_shared;
    struct gofer_node root;
    err = attach(conn, &task->fiber, &root);
    if (err)
        return err;
    AUTO_PUT struct super *super = NULL;
    u32 flags = is_readonly || conn->is_readonly ? 1u : 0; /* MS_RDONLY */
    err = super_create(task->kernel, "9p", V9FS_MAGIC, flags, &super);
    if (err)
        return err;
    super->ops = &gofer_super_ops;
    conn->super = super;
    struct gofer_inode *inode;
    err = gofer_inode_create(super, conn, NULL, NULL, root.fid, &root.stat, &inode);
    if (err)
        return err;
    err = dentry_create_root(super, &inode->inode, &super->root);
    object_put(&inode->inode.object);
    if (err)
        return err;
    super->private_object = &MOVE(conn)->object;
    *out = MOVE(super);
    return 0;
}

SLEEPS int gofer_fs_reconnect(struct task *task, struct super *super, struct host_stream *stream)
{
    if (strcmp(super->type_name, "9p") != 0) {
        host_stream_put(stream);
        return -EINVAL;
    }
    struct gofer_conn *conn = container_of(super->private_object, struct gofer_conn, object);
    int err = gofer_conn_connect(conn, stream);
    if (err)
        return err;
    struct gofer_node root;
    err = attach(conn, &task->fiber, &root);
    if (!err)
        gofer_of(super->root->inode)->fid = root.fid;
    return err;
}
