/* SPDX-License-Identifier: Apache-2.0 */
/*
 * madvise(2), mlock(2), names of anonymous memory: what changes a range vma by vma. Ranges with
 * holes are served where there is memory and answer -ENOMEM all the same.
 */
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/memory/mm.h"
#include "sentry/memory/table.h"
#include "sentry/memory/vma.h"

/* What an advice does to the flags of a vma. */
static bool advice_flags(i32 advice, u32 *set, u32 *clear)
{
    *set = *clear = 0;
    switch (advice) {
    case LINUX_MADV_DONTFORK:
        *set = VMA_DONTFORK;
        return true;
    case LINUX_MADV_DOFORK:
        *clear = VMA_DONTFORK;
        return true;
    case LINUX_MADV_DONTDUMP:
        *set = VMA_DONTDUMP;
        return true;
    case LINUX_MADV_DODUMP:
        *clear = VMA_DONTDUMP;
        return true;
    case LINUX_MADV_WIPEONFORK:
        *set = VMA_WIPEONFORK;
        return true;
    case LINUX_MADV_KEEPONFORK:
        *clear = VMA_WIPEONFORK;
        return true;
    default:
        return false;
    }
}

static bool advice_is_known(i32 advice)
{
    return (advice >= LINUX_MADV_NORMAL && advice <= LINUX_MADV_DONTNEED) ||
           (advice >= LINUX_MADV_FREE && advice <= LINUX_MADV_POPULATE_WRITE);
}

/* DONTNEED, FREE, REMOVE, COLD, PAGEOUT and the populating ones, of one vma. */
/* mseal(2): what would lose the content of memory that cannot be written is refused. */
static bool is_sealed_against(const struct vma *vma, i32 advice)
{
    bool loses = advice == LINUX_MADV_DONTNEED || advice == LINUX_MADV_FREE ||
                 advice == LINUX_MADV_REMOVE || advice == LINUX_MADV_DONTFORK ||
                 advice == LINUX_MADV_WIPEONFORK;
    return loses && (vma->flags & VMA_SEALED) && !(vma->flags & VMA_SHARED) &&
           !(vma->prot & LINUX_PROT_WRITE);
}

static int judge_advice(const struct vma *vma, i32 advice)
{
    bool is_anonymous = !vma->mapping;
    if (is_sealed_against(vma, advice))
        return -EPERM;
    switch (advice) {
    case LINUX_MADV_DONTNEED:
    case LINUX_MADV_COLD:
    case LINUX_MADV_PAGEOUT:
        return vma->flags & VMA_LOCKED ? -EINVAL : 0;
    case LINUX_MADV_FREE:
        return is_anonymous && !(vma->flags & VMA_LOCKED) ? 0 : -EINVAL;
    case LINUX_MADV_WIPEONFORK:
        return is_anonymous ? 0 : -EINVAL;
    case LINUX_MADV_REMOVE:
        if (!vma->mapping || (vma->flags & VMA_LOCKED))
            return -EINVAL;
        return (vma->flags & VMA_SHARED) &&
                       ((vma->prot & LINUX_PROT_WRITE) || (vma->flags & VMA_MAY_WRITE))
                   ? 0
                   : -EACCES;
    case LINUX_MADV_POPULATE_READ:
        return prot_bits(vma->prot) ? 0 : -EFAULT;
    case LINUX_MADV_POPULATE_WRITE:
        return vma->prot & LINUX_PROT_WRITE ? 0 : -EFAULT;
    default:
        return 0;
    }
}

SLEEPS static int remove_pages(struct vma *vma, struct fiber *fiber, u64 start, u64 end)
{
    AUTO_PUT struct object *file = vma->file; /* keeps the mapping */
    if (file)
        object_get_(file);
    return mapping_punch(vma->mapping, fiber, vma->offset + (start - vma->start), end - start);
}

SLEEPS static int populate_pages(struct mm *mm, struct fiber *fiber, u64 start, u64 end,
                                 bool for_write)
{
    int err = mm_populate(mm, fiber, start, end - start, for_write);
    return err == -EFAULT || err == 0 ? err : err == -ENOMEM ? -ENOMEM : -EFAULT;
}

/* Act on [start, end), all of it in VMA. */
SLEEPS static int advise_vma(struct vma *vma, struct fiber *fiber, u64 start, u64 end, i32 advice)
{
    struct mm *mm = vma->mm;
    switch (advice) {
    case LINUX_MADV_DONTNEED:
    case LINUX_MADV_FREE: /* madvise(2): the pages may go at any time, so also now */
        table_unmap(mm, start, end);
        /* What was filled in order and is given back whole will be filled in order again. */
        if (vma->fault_next > start && vma->fault_next <= end)
            vma->fault_next = start;
        return 0;
    case LINUX_MADV_REMOVE:
        return remove_pages(vma, fiber, start, end);
    case LINUX_MADV_POPULATE_READ:
    case LINUX_MADV_POPULATE_WRITE:
        return populate_pages(mm, fiber, start, end, advice == LINUX_MADV_POPULATE_WRITE);
    default:
        return 0;
    }
}

/* The flags of the whole vmas between START and END. */
static void set_flags(struct mm *mm, u64 start, u64 end, u32 set, u32 clear)
{
    struct vma *vma = mm_find_vma_after(mm, start);
    for (; vma && vma->start < end; vma = vma_next(vma))
        vma_set(vma, vma->prot, (vma->flags | set) & ~clear);
    vmas_merge(mm, start, end);
}

static int advise_flags(struct mm *mm, u64 start, u64 end, u32 set, u32 clear)
{
    int err = vmas_isolate(mm, start, end);
    if (err) {
        vmas_merge(mm, start, end);
        return err;
    }
    bool has_hole = !vmas_cover(mm, start, end);
    set_flags(mm, start, end, set, clear);
    return has_hole ? -ENOMEM : 0;
}

int mm_advise(struct mm *mm, struct fiber *fiber, u64 address, u64 size, i32 advice)
{
    u64 end, rounded;
    u32 set, clear;
    if (!advice_is_known(advice) || (address & ~PAGE_MASK) ||
        !checked_align_up(size, PAGE_SIZE, &rounded) || !checked_add(address, rounded, &end))
        return -EINVAL;
    int result = 0;
    for (u64 at = address; at < end;) {
        struct vma *vma = mm_find_vma_after(mm, at);
        if (!vma || vma->start >= end)
            return -ENOMEM;
        if (vma->start > at)
            result = -ENOMEM;
        u64 start = MAX(at, vma->start), stop = MIN(end, vma->end);
        int err = judge_advice(vma, advice);
        if (!err && advice_flags(advice, &set, &clear))
            err = advise_flags(mm, start, stop, set, clear);
        else if (!err)
            err = advise_vma(vma, fiber, start, stop, advice);
        mm_commit(mm);
        if (err)
            return err;
        at = stop;
    }
    return result;
}

/* ---- locking and naming --------------------------------------------------------------------- */

int mm_lock(struct mm *mm, struct fiber *fiber, u64 address, u64 size, bool lock)
{
    u64 end, start = ALIGN_DOWN(address, PAGE_SIZE);
    if (!checked_add(address, size, &end) || !checked_align_up(end, PAGE_SIZE, &end))
        return -EINVAL;
    if (start == end)
        return 0;
    u64 more = 0;
    for (struct vma *vma = mm_find_vma_after(mm, start); vma && vma->start < end;
         vma = vma_next(vma))
        if (!(vma->flags & VMA_LOCKED))
            more += MIN(vma->end, end) - MAX(vma->start, start);
    if (lock && mm->limit_memlock != UINT64_MAX && mm->locked_size + more > mm->limit_memlock)
        return -ENOMEM;
    int err = advise_flags(mm, start, end, lock ? VMA_LOCKED : 0, lock ? 0 : VMA_LOCKED);
    if (err || !lock)
        return err;
    err = mm_populate(mm, fiber, start, end - start, false);
    mm_commit(mm);
    return err == -EFAULT ? -ENOMEM : err; /* mlock(2): a page that cannot be had */
}

int mm_set_name(struct mm *mm, u64 address, u64 size, const char *name)
{
    u64 end;
    if ((address & ~PAGE_MASK) || !checked_align_up(size, PAGE_SIZE, &size) ||
        !checked_add(address, size, &end))
        return -EINVAL;
    struct vma *vma = mm_find_vma_after(mm, address);
    for (; vma && vma->start < end; vma = vma_next(vma))
        if (vma->mapping && vma->file->kind != &shared_memory_kind)
            return -EBADF;
    int err = vmas_isolate(mm, address, end);
    if (err)
        return err;
    bool has_hole = size && !vmas_cover(mm, address, end);
    for (vma = mm_find_vma_after(mm, address); vma && vma->start < end; vma = vma_next(vma)) {
        memset(vma->name, 0, sizeof vma->name);
        if (name)
            strncpy(vma->name, name, sizeof vma->name - 1);
    }
    vmas_merge(mm, address, end);
    return has_hole ? -ENOMEM : 0;
}
