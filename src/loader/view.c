/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control fiber acts inside a container by wearing its root, credentials and descriptors for a
 * while. The fiber is its own task, so nobody else sees it.
 */
#include "loader/internal.h"

void view_enter(struct view *view, struct task *by, struct fs_context *fs, struct cred *cred,
                struct fd_table *fds)
{
    *view = (struct view){.by = by, .fs = by->fs, .cred = by->cred, .fds = by->fds};
    if (fs)
        by->fs = fs;
    if (cred)
        by->cred = cred;
    if (fds)
        by->fds = fds;
}

void view_leave(struct view *view)
{
    view->by->fs = view->fs;
    view->by->cred = view->cred;
    view->by->fds = view->fds;
}

int view_root(struct kernel *kernel, struct mount_ns *ns, struct fs_context **out)
{
    struct path root = {ns->root, ns->root->root};
    int err = fs_context_create(kernel, &root, &root, out);
    if (!err)
        (*out)->umask = 0;
    return err;
}
