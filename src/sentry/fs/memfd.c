/* SPDX-License-Identifier: Apache-2.0 */
/* memfd_create(2): a tmpfs inode without a name, and the seals of fcntl(2). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/memfd.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

int memfd_create_file(struct task *task, const char *name, u32 flags, struct file **out)
{
    struct kernel *kernel = task->kernel;
    bool is_noexec = (flags & LINUX_MFD_NOEXEC_SEAL) != 0;
    AUTO_PUT struct inode *inode = NULL;
    u32 mode = LINUX_S_IFREG | (is_noexec ? 0666u : 0777u);
    int err = tmpfs_inode_create(kernel->vfs->shmfs, mode, task->cred->fsuid, task->cred->fsgid,
                                 &inode);
    if (err)
        return err;
    inode->link_count = 0;
    inode->has_seals = true;
    inode->is_unlinked_root_of_memfd = true;
    inode->seals = flags & LINUX_MFD_ALLOW_SEALING || is_noexec ? 0 : LINUX_F_SEAL_SEAL;
    if (is_noexec)
        inode->seals |= LINUX_F_SEAL_EXEC;
    AUTO_BUF struct buf text;
    buf_init(&text, kernel->arena, 0);
    err = buf_printf(&text, "/memfd:%s (deleted)", name);
    const char *shown = err ? NULL : buf_text(&text);
    if (!shown)
        return -ENOMEM;
    struct file *file;
    err = file_create_on_inode(kernel, inode, shown, LINUX_O_RDWR | LINUX_O_LARGEFILE, &file);
    if (err)
        return err;
    file->ops = &regular_file_ops;
    *out = file;
    return 0;
}

i64 memfd_get_seals(const struct file *file)
{
    return file->inode->has_seals ? (i64)file->inode->seals : -EINVAL;
}

int memfd_add_seals(struct task *task, struct file *file, u32 seals)
{
    const u32 known = LINUX_F_SEAL_SEAL | LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW |
                      LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE | LINUX_F_SEAL_EXEC;
    struct inode *inode = file->inode;
    if (!file_may_write(file))
        return -EPERM;
    if (seals & ~known)
        return -EINVAL;
    if (!inode->has_seals)
        return -EINVAL;
    if (inode->seals & LINUX_F_SEAL_SEAL)
        return -EPERM;
    if ((seals & LINUX_F_SEAL_WRITE) && !(inode->seals & LINUX_F_SEAL_WRITE) &&
        inode->mapping.writable_shared_count > 0)
        return -EBUSY;
    if ((seals & LINUX_F_SEAL_EXEC) && (inode->mode & 0111))
        seals |= LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE |
                 LINUX_F_SEAL_FUTURE_WRITE;
    inode->seals |= seals;
    return 0;
}
