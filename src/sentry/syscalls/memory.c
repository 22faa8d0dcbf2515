/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmap(2), munmap(2), mprotect(2), mremap(2), brk(2), madvise(2), msync(2), mincore(2), mlock(2),
 * mbind(2) and their relatives: arguments into calls of memory/. There is one node, so memory
 * policies are judged and have no effect.
 */
#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "base/checked.h"
#include "sentry/fs/file.h"
#include "sentry/fs/path.h"
#include "sentry/syscalls/syscalls.h"

#define PROT_RIGHTS (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC)
/* What MAP_SHARED_VALIDATE knows. */
#define MAP_KNOWN                                                                          \
    (LINUX_MAP_TYPE | LINUX_MAP_FIXED | LINUX_MAP_ANONYMOUS | LINUX_MAP_32BIT |            \
     LINUX_MAP_GROWSDOWN | LINUX_MAP_DENYWRITE | LINUX_MAP_EXECUTABLE | LINUX_MAP_LOCKED | \
     LINUX_MAP_NORESERVE | LINUX_MAP_POPULATE | LINUX_MAP_NONBLOCK | LINUX_MAP_STACK |     \
     LINUX_MAP_HUGETLB | LINUX_MAP_FIXED_NOREPLACE)

/* The memlock limit as it holds for TASK now: CAP_IPC_LOCK knows none. False: it may lock nothing
 * at all. */
static bool memlock_refresh(struct task *task)
{
    bool is_free = task_has_capability(task, CAP_IPC_LOCK);
    task->mm->limit_memlock = is_free ? UINT64_MAX : task->group->limits.v[RLIMIT_MEMLOCK_].soft;
    return task->mm->limit_memlock != 0;
}

/* ---- mmap ----------------------------------------------------------------------------------- */

/* What FILE allows: mode of the description, mount, seals. */
static int judge_file(const struct file *file, bool is_shared, u32 prot, u32 *vma_flags)
{
    const struct inode *inode = file->inode;
    bool may_write = file_may_write(file);
    if (!file_may_read(file) || (is_shared && (prot & LINUX_PROT_WRITE) && !may_write))
        return -EACCES;
    if (inode->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE)) {
        if (is_shared && (prot & LINUX_PROT_WRITE))
            return -EPERM;
        may_write = false;
    }
    if (file->path.mount && (file->path.mount->flags & LINUX_MS_NOEXEC)) {
        if (prot & LINUX_PROT_EXEC)
            return -EPERM;
        *vma_flags |= VMA_NOEXEC;
    }
    if (is_shared && may_write)
        *vma_flags |= VMA_MAY_WRITE;
    return 0;
}

/* The file's part of the request; FILE is kept by the caller. */
SLEEPS static int request_file(struct task *task, struct file *file, struct mm_map_request *request)
{
    bool is_shared = request->vma_flags & VMA_SHARED;
    int err = judge_file(file, is_shared, request->prot, &request->vma_flags);
    if (!err)
        err = file_mmap(task, file, &request->mapping, &request->offset);
    if (!err && request->mapping)
        request->file = &file->object; /* without a mapping it is anonymous: /dev/zero */
    return err;
}

static int request_flags(u32 flags, struct mm_map_request *request)
{
    u32 type = flags & LINUX_MAP_TYPE;
    if (type != LINUX_MAP_SHARED && type != LINUX_MAP_PRIVATE && type != LINUX_MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (type == LINUX_MAP_SHARED_VALIDATE && (flags & ~MAP_KNOWN))
        return -EOPNOTSUPP;
    if (flags & LINUX_MAP_HUGETLB)
        return -ENOMEM; /* none are reserved */
    if (type != LINUX_MAP_PRIVATE) {
        if (flags & LINUX_MAP_GROWSDOWN)
            return -EINVAL;
        request->vma_flags |= VMA_SHARED;
    }
    if (flags & LINUX_MAP_GROWSDOWN)
        request->vma_flags |= VMA_GROWSDOWN;
    if (flags & LINUX_MAP_NORESERVE)
        request->vma_flags |= VMA_NORESERVE;
    if (flags & LINUX_MAP_LOCKED)
        request->vma_flags |= VMA_LOCKED;
    request->is_fixed = flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE);
    request->is_noreplace = flags & LINUX_MAP_FIXED_NOREPLACE;
    request->is_populated = (flags & LINUX_MAP_POPULATE) && !(flags & LINUX_MAP_NONBLOCK);
    request->is_below_2g = flags & LINUX_MAP_32BIT;
    return 0;
}

i64 sys_mmap(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 3);
    u64 offset = arg_u64(args, 5), file_end;
    struct mm_map_request request = {
        .address = arg_u64(args, 0),
        .size = arg_u64(args, 1),
        .prot = arg_u32(args, 2) & PROT_RIGHTS,
        .offset = offset,
    };
    if (offset & ~PAGE_MASK)
        return -EINVAL;
    AUTO_PUT struct file *file = NULL;
    if (!(flags & LINUX_MAP_ANONYMOUS)) {
        file = fd_get(task, arg_fd(args, 4));
        if (!file || file->is_path)
            return -EBADF;
    }
    if (request.size == 0)
        return -EINVAL;
    int err = request_flags(flags, &request);
    if (err)
        return err;
    if (file && (!checked_add(offset, request.size, &file_end) || file_end > INT64_MAX))
        return -EOVERFLOW;
    if (!memlock_refresh(task) && (request.vma_flags & VMA_LOCKED))
        return -EPERM;
    if (file)
        err = request_file(task, file, &request);
    else
        request.offset = 0; /* means nothing there */
    return err ? err : mm_map(task->mm, &task->fiber, &request);
}

i64 sys_munmap(struct task *task, const struct sysargs *args)
{
    return mm_unmap(task->mm, &task->fiber, arg_u64(args, 0), arg_u64(args, 1));
}

i64 sys_mprotect(struct task *task, const struct sysargs *args)
{
    return mm_protect(task->mm, &task->fiber, arg_u64(args, 0), arg_u64(args, 1), arg_u32(args, 2));
}

i64 sys_pkey_mprotect(struct task *task, const struct sysargs *args)
{
    if (arg_i32(args, 3) != -1) /* no keys: none can be valid */
        return -EINVAL;
    return sys_mprotect(task, args);
}

i64 sys_mseal(struct task *task, const struct sysargs *args)
{
    if (arg_u64(args, 2))
        return -EINVAL;
    return mm_seal(task->mm, arg_u64(args, 0), arg_u64(args, 1));
}

i64 sys_mremap(struct task *task, const struct sysargs *args)
{
    (void)memlock_refresh(task);
    return mm_remap(task->mm, &task->fiber, arg_u64(args, 0), arg_u64(args, 1), arg_u64(args, 2),
                    arg_u32(args, 3), arg_u64(args, 4));
}

/* As Linux does it since 4.0: by a mapping of its own for the pages. */
i64 sys_remap_file_pages(struct task *task, const struct sysargs *args)
{
    u64 start = arg_u64(args, 0) & PAGE_MASK, size = arg_u64(args, 1) & PAGE_MASK;
    u64 page = arg_u64(args, 3), end, page_end;
    if (arg_u64(args, 2) || size == 0 || !checked_add(start, size, &end) ||
        !checked_add(page, size >> PAGE_SHIFT, &page_end) || page_end > UINT64_MAX >> PAGE_SHIFT)
        return -EINVAL;
    (void)memlock_refresh(task);
    return mm_remap_pages(task->mm, &task->fiber, start, size, page << PAGE_SHIFT,
                          !(arg_u64(args, 4) & LINUX_MAP_NONBLOCK));
}

i64 sys_brk(struct task *task, const struct sysargs *args)
{
    (void)memlock_refresh(task);
    return (i64)mm_brk(task->mm, &task->fiber, arg_u64(args, 0));
}

i64 sys_madvise(struct task *task, const struct sysargs *args)
{
    return mm_advise(task->mm, &task->fiber, arg_u64(args, 0), arg_u64(args, 1), arg_i32(args, 2));
}

/* ---- msync and mincore ---------------------------------------------------------------------- */

/* An aligned start and a size to be rounded up: the range of whole pages. 0, -EINVAL or -ENOMEM. */
static int arg_pages(const struct sysargs *args, u64 *start, u64 *end)
{
    u64 size;
    *start = arg_u64(args, 0);
    if (*start & ~PAGE_MASK)
        return -EINVAL;
    if (!checked_align_up(arg_u64(args, 1), PAGE_SIZE, &size) || !checked_add(*start, size, end))
        return -ENOMEM;
    return 0;
}

SLEEPS static int sync_vma(struct task *task, struct vma *vma, u32 flags)
{
    bool has_file = vma->file && vma->file->kind == &file_kind;
    if ((flags & LINUX_MS_INVALIDATE) && (vma->flags & VMA_LOCKED))
        return -EBUSY;
    if (!(flags & LINUX_MS_SYNC) || !has_file || !(vma->flags & VMA_SHARED))
        return 0;
    AUTO_PUT struct object *file = vma->file; /* the vma may go while we sleep */
    object_get_(file);
    return mapping_sync(vma->mapping, &task->fiber);
}

i64 sys_msync(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 2);
    u64 at, end;
    if ((flags & ~(LINUX_MS_ASYNC | LINUX_MS_INVALIDATE | LINUX_MS_SYNC)) ||
        (flags & LINUX_MS_ASYNC && flags & LINUX_MS_SYNC))
        return -EINVAL;
    int err = arg_pages(args, &at, &end), result = 0;
    while (!err && at < end) {
        struct vma *vma = mm_find_vma_after(task->mm, at);
        if (!vma || vma->start >= end)
            return -ENOMEM;
        if (vma->start > at)
            result = -ENOMEM;
        at = vma->end;
        err = sync_vma(task, vma, flags);
    }
    return err ? err : result;
}

/* Every mapped page counts as resident: nothing is ever swapped, and what a file has is one fault
 * away. */
i64 sys_mincore(struct task *task, const struct sysargs *args)
{
    u64 at, end;
    uaddr out = arg_uaddr(args, 2);
    int err = arg_pages(args, &at, &end);
    u8 ones[256];
    __builtin_memset(ones, 1, sizeof ones);
    while (!err && at < end) {
        const struct vma *vma = mm_find_vma(task->mm, at);
        if (!vma)
            return -ENOMEM;
        u64 count = MIN((MIN(vma->end, end) - at) >> PAGE_SHIFT, sizeof ones);
        err = copy_to_user(task, out, ones, count);
        out = uaddr_add(out, count);
        at += count << PAGE_SHIFT;
    }
    return err;
}

/* ---- locking -------------------------------------------------------------------------------- */

i64 sys_mlock(struct task *task, const struct sysargs *args)
{
    if (!memlock_refresh(task))
        return -EPERM;
    return mm_lock(task->mm, &task->fiber, arg_u64(args, 0), arg_u64(args, 1), true);
}

i64 sys_mlock2(struct task *task, const struct sysargs *args)
{
    if (arg_u32(args, 2) & ~LINUX_MLOCK_ONFAULT)
        return -EINVAL;
    return sys_mlock(task, args);
}

i64 sys_munlock(struct task *task, const struct sysargs *args)
{
    return mm_lock(task->mm, &task->fiber, arg_u64(args, 0), arg_u64(args, 1), false);
}

/* Lock or unlock every vma there is now. What cannot be populated stays unpopulated. */
SLEEPS static void lock_all(struct task *task, bool lock)
{
    u64 at = 0;
    for (;;) {
        const struct vma *vma = mm_find_vma_after(task->mm, at);
        if (!vma)
            return;
        at = vma->end;
        (void)!mm_lock(task->mm, &task->fiber, vma->start, vma->end - vma->start, lock);
    }
}

i64 sys_mlockall(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 0);
    struct mm *mm = task->mm;
    if (flags == 0 || flags == LINUX_MCL_ONFAULT ||
        (flags & ~(LINUX_MCL_CURRENT | LINUX_MCL_FUTURE | LINUX_MCL_ONFAULT)))
        return -EINVAL;
    if (!memlock_refresh(task))
        return -EPERM;
    if ((flags & LINUX_MCL_CURRENT) && mm->virtual_size > mm->limit_memlock)
        return -ENOMEM;
    mm->lock_flags = flags & LINUX_MCL_FUTURE ? VMA_LOCKED : 0;
    if (flags & LINUX_MCL_CURRENT)
        lock_all(task, true);
    return 0;
}

i64 sys_munlockall(struct task *task, const struct sysargs *args)
{
    task->mm->lock_flags = 0;
    lock_all(task, false);
    return 0;
}

/* ---- memory policies: one node -------------------------------------------------------------- */

static int judge_mode(u32 mode)
{
    return (mode & ~LINUX_MPOL_MODE_FLAGS) < LINUX_MPOL_MAX ? 0 : -EINVAL;
}

/* There is one node, so a set of nodes is only looked at: 0, -EFAULT, -EINVAL (too long). */
SLEEPS static int judge_nodes(struct task *task, uaddr at, u64 bit_count)
{
    if (at.value == 0 || bit_count <= 1)
        return 0;
    if (bit_count - 1 > PAGE_SIZE * 8)
        return -EINVAL;
    for (u64 word = 0; word * 64 < bit_count - 1; word++) {
        u64 bits;
        int err = copy_from_user(task, &bits, uaddr_add(at, word * sizeof bits), sizeof bits);
        if (err)
            return err;
    }
    return 0;
}

SLEEPS i64 sys_mbind(struct task *task, const struct sysargs *args)
{
    u64 start, end;
    int err = arg_pages(args, &start, &end);
    if (!err)
        err = judge_mode(arg_u32(args, 2));
    if (!err)
        err = judge_nodes(task, arg_uaddr(args, 3), arg_u64(args, 4));
    if (!err && start < end && !mm_find_vma(task->mm, start))
        err = -EFAULT;
    return err;
}

SLEEPS i64 sys_set_mempolicy(struct task *task, const struct sysargs *args)
{
    int err = judge_mode(arg_u32(args, 0));
    return err ? err : judge_nodes(task, arg_uaddr(args, 1), arg_u64(args, 2));
}

i64 sys_get_mempolicy(struct task *task, const struct sysargs *args)
{
    uaddr mode_out = arg_uaddr(args, 0), mask_out = arg_uaddr(args, 1);
    u64 bits = arg_u64(args, 2), address = arg_u64(args, 3);
    u32 flags = arg_u32(args, 4);
    if (flags & ~(LINUX_MPOL_F_NODE | LINUX_MPOL_F_ADDR | LINUX_MPOL_F_MEMS_ALLOWED))
        return -EINVAL;
    if ((flags & LINUX_MPOL_F_MEMS_ALLOWED) && (flags & (LINUX_MPOL_F_NODE | LINUX_MPOL_F_ADDR)))
        return -EINVAL;
    if (!(flags & LINUX_MPOL_F_ADDR) && address != 0)
        return -EINVAL;
    if ((flags & LINUX_MPOL_F_ADDR) && !mm_find_vma(task->mm, address))
        return -EFAULT;
    if (mask_out.value && bits < 1)
        return -EINVAL;
    u32 mode = LINUX_MPOL_DEFAULT; /* with MPOL_F_NODE: node 0 */
    int err = mode_out.value ? copy_to_user(task, mode_out, &mode, sizeof mode) : 0;
    u64 mask = flags & LINUX_MPOL_F_MEMS_ALLOWED ? 1 : 0;
    if (!err && mask_out.value)
        err = copy_to_user(task, mask_out, &mask, MIN((bits + 7) / 8, sizeof mask));
    return err;
}
