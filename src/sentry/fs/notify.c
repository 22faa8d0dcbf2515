/* SPDX-License-Identifier: Apache-2.0 */
/* From a change to the watches that may want it: the inode's own and its directory's. */
#include "sentry/fs/notify.h"

void notify_inode(struct inode *inode, u32 mask, u32 cookie, const char *name)
{
    if (!inode || !inode->watches)
        return;
}

void notify_dentry(const struct dentry *dentry, u32 mask)
{
    if (!dentry || !dentry->inode)
        return;
    u32 bits = mask | (inode_is_dir(dentry->inode) ? NOTIFY_ISDIR : 0);
    notify_inode(dentry->inode, bits, 0, NULL);
    if (dentry->parent && !dentry->is_unlinked)
        notify_inode(dentry->parent->inode, bits, 0, dentry->name);
}
