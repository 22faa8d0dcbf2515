/* SPDX-License-Identifier: Apache-2.0 */
/* Regular files whose content is inode->mapping: tmpfs, memfd, and host files behind a page cache.
 */
#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/file.h"

#define PIECE_SIZE ((u64)256 << 10)

typedef i64 mapping_mover(struct mapping *, struct fiber *, struct uio *, u64);

/* A long transfer lets others run in between: the kernel lock is held while bytes move. */
SLEEPS static i64 move_in_pieces(struct task *task, struct mapping *mapping, struct uio *uio,
                                 u64 offset, mapping_mover *move)
{
    u64 done = 0, all = uio->remaining;
    while (done < all) {
        u64 piece = MIN(all - done, PIECE_SIZE);
        uio->remaining = piece;
        i64 moved = move(mapping, &task->fiber, uio, offset + done);
        if (moved > 0)
            done += (u64)moved;
        uio->remaining = all - done;
        if (moved < 0)
            return done ? (i64)done : moved;
        if ((u64)moved < piece)
            break;
        if (done < all)
            fiber_relax(&task->fiber);
    }
    return (i64)done;
}

SLEEPS static i64 regular_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    return move_in_pieces(task, &file->inode->mapping, uio, offset, mapping_read);
}

/* Under a grow seal nothing is written behind the end; of a write that would, only what lies
 * before. */
MUST_CHECK static int judge_seals(const struct inode *inode, u64 offset, u64 size)
{
    if (inode->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if ((inode->seals & LINUX_F_SEAL_GROW) && offset + size > inode->size)
        return -EPERM;
    return 0;
}

SLEEPS static i64 regular_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct inode *inode = file->inode;
    int err = judge_seals(inode, offset, uio->remaining);
    if (err)
        return err;
    i64 result = move_in_pieces(task, &inode->mapping, uio, offset, mapping_write);
    inode->size = inode->mapping.size;
    if (result > 0)
        inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
    return result;
}

SLEEPS static int regular_fsync(struct task *task, struct file *file)
{
    return mapping_sync(&file->inode->mapping, &task->fiber);
}

const struct file_ops regular_file_ops = {
    .read = regular_read,
    .write = regular_write,
    .fsync = regular_fsync,
    .is_seekable = true,
};

/* O_PATH: names a place; system calls that would use more answer EBADF. */
const struct file_ops path_file_ops = {.is_seekable = false};
