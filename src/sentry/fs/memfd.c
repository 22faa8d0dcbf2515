/* SPDX-License-Identifier: Apache-2.0 */
/* Files in memory without a name: memfd_create(2). Seals are kept in the inode and judged where it changes. */
#include "sentry/fs/memfd.h"

#include <stdio.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/vfs.h"

#define MFD_CLOEXEC_ 1u
#define MFD_ALLOW_SEALING_ 2u
#define MFD_NOEXEC_SEAL_ 8u
#define MFD_EXEC_ 16u
#define MEMFD_NAME_MAX 249u
#define SEALS_ALL                                                                                  \
    (LINUX_F_SEAL_SEAL | LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE |            \
     LINUX_F_SEAL_FUTURE_WRITE | LINUX_F_SEAL_EXEC)

int memfd_create_file(struct task *task, const char *name, u32 flags, struct file **out)
{
    char shown[MEMFD_NAME_MAX + 32];
    AUTO_PUT struct inode *inode = NULL;
    const struct cred *cred = task->cred;
    u32 mode = flags & MFD_NOEXEC_SEAL_ ? 0666 : 0777;
    int err = tmpfs_inode_create(task->kernel->vfs->shmfs, LINUX_S_IFREG | mode, cred->fsuid, cred->fsgid, &inode);
    if (err)
        return err;
    inode->link_count = 0;
    inode->has_seals = true;
    inode->seals = flags & (MFD_ALLOW_SEALING_ | MFD_NOEXEC_SEAL_) ? 0 : LINUX_F_SEAL_SEAL;
    if (flags & MFD_NOEXEC_SEAL_)
        inode->seals |= LINUX_F_SEAL_EXEC;
    snprintf(shown, sizeof shown, "/memfd:%.249s (deleted)", name);
    struct file *file;
    err = file_create_on_inode(task->kernel, inode, shown, LINUX_O_RDWR | LINUX_O_LARGEFILE, &file);
    if (err)
        return err;
    file->ops = &regular_file_ops;
    *out = file;
    return 0;
}

i64 memfd_add_seals(struct task *task, struct file *file, u32 seals)
{
    struct inode *inode = file->inode;
    if (!inode->has_seals || (seals & ~SEALS_ALL))
        return -EINVAL;
    if (!file_may_write(file) || (inode->seals & LINUX_F_SEAL_SEAL))
        return -EPERM;
    if ((seals & LINUX_F_SEAL_WRITE) && !(inode->seals & LINUX_F_SEAL_WRITE) && inode->mapping.writable_shared_count > 0)
        return -EBUSY;
    inode->seals |= seals;
    return 0;
}

i64 memfd_get_seals(const struct file *file)
{
    return file->inode->has_seals ? (i64)file->inode->seals : -EINVAL;
}
