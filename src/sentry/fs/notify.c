/* SPDX-License-Identifier: Apache-2.0 */
/* From a change to the watches that may want it: the inode's own and its directory's. */
#include "sentry/fs/notify.h"

#include "sentry/fs/inotify.h"

void notify_inode(struct inode *inode, u32 mask, u32 cookie, const char *name)
{
    if (inode && inode->watches)
        inotify_event(inode, mask, cookie, name);
}

void notify_gone(struct inode *inode)
{
    if (inode && inode->watches && inode->link_count == 0 && inode->open_count == 0)
        inotify_end(inode, NOTIFY_DELETE_SELF);
}

void notify_dentry(const struct dentry *dentry, u32 mask)
{
    if (!dentry || !dentry->inode)
        return;
    u32 bits = mask | (inode_is_dir(dentry->inode) ? NOTIFY_ISDIR : 0);
    u32 unlinked = dentry->is_unlinked ? NOTIFY_UNLINKED : 0;
    if (dentry->parent)
        notify_inode(dentry->parent->inode, bits | unlinked, 0, dentry->name);
    notify_inode(dentry->inode, bits, 0, NULL);
}
