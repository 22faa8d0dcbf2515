/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mremap(2). Its least known case: an old size of zero of a shared mapping makes a second mapping
 * of the same pages. Growing and moving work within one vma (-EFAULT otherwise), shrinking does not
 * care.
 */
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/memory/mm.h"
#include "sentry/memory/place.h"
#include "sentry/memory/table.h"
#include "sentry/memory/vma.h"

#define REMAP_FLAGS (LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP)

struct remap {
    u64 old, old_size;
    u64 new_size;
    u32 flags;
    u64 to; /* with FIXED */
};

static int judge_numbers(struct remap *remap)
{
    u32 flags = remap->flags;
    if ((flags & ~REMAP_FLAGS) || (remap->old & ~PAGE_MASK))
        return -EINVAL;
    if ((flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP)) && !(flags & LINUX_MREMAP_MAYMOVE))
        return -EINVAL;
    if (!checked_align_up(remap->old_size, PAGE_SIZE, &remap->old_size) ||
        !checked_align_up(remap->new_size, PAGE_SIZE, &remap->new_size) || remap->new_size == 0)
        return -EINVAL;
    if (remap->old > SPACE_ADDRESS_END || remap->old_size > SPACE_ADDRESS_END - remap->old)
        return -EINVAL;
    if ((flags & LINUX_MREMAP_DONTUNMAP) && remap->old_size != remap->new_size)
        return -EINVAL;
    if (!(flags & LINUX_MREMAP_FIXED))
        return 0;
    struct range from = {remap->old, remap->old_size}, to = {remap->to, remap->new_size};
    if ((remap->to & ~PAGE_MASK) || remap->to > SPACE_ADDRESS_END ||
        remap->new_size > SPACE_ADDRESS_END - remap->to || remap->to < SPACE_ADDRESS_MIN ||
        range_overlaps(from, to))
        return -EINVAL;
    return 0;
}

/* Is what is to be moved or grown one vma, and does it fit the limits? */
static int judge_vma(const struct mm *mm, const struct remap *remap, const struct vma *vma)
{
    u64 file_end;
    if (!vma)
        return -EFAULT;
    if (vma->flags & VMA_SEALED)
        return -EPERM;
    if (remap->old_size == 0 && !(vma->flags & VMA_SHARED))
        return -EINVAL;
    if ((remap->flags & LINUX_MREMAP_DONTUNMAP) && (vma->mapping || (vma->flags & VMA_SHARED)))
        return -EINVAL;
    if (remap->old_size > vma->end - remap->old)
        return -EFAULT;
    if (vma->mapping &&
        (!checked_add(vma->offset + (remap->old - vma->start), remap->new_size, &file_end) ||
         file_end > INT64_MAX))
        return -EINVAL;
    bool keeps_old = remap->old_size == 0 || (remap->flags & LINUX_MREMAP_DONTUNMAP);
    u64 growth = keeps_old ? remap->new_size
                           : remap->new_size - MIN(remap->new_size, remap->old_size);
    if (growth > mm->limit_as || mm->virtual_size > mm->limit_as - growth)
        return -ENOMEM;
    bool is_data = (vma->prot & LINUX_PROT_WRITE) &&
                   !(vma->flags & (VMA_SHARED | VMA_GROWSDOWN | VMA_STACK));
    if (is_data && growth && (growth > mm->limit_data || mm->data_size > mm->limit_data - growth))
        return -ENOMEM;
    if ((vma->flags & VMA_LOCKED) && mm->limit_memlock != UINT64_MAX &&
        mm->locked_size + growth > mm->limit_memlock)
        return -EAGAIN;
    return 0;
}

/* Grow VMA where it is, if nothing is in the way. */
static bool grow_in_place(struct mm *mm, struct vma *vma, const struct remap *remap)
{
    u64 growth = remap->new_size - remap->old_size;
    if (remap->old_size == 0 || vma->end != remap->old + remap->old_size ||
        growth > SPACE_ADDRESS_END - vma->end)
        return false;
    const struct vma *next = vma_next(vma);
    if (next) {
        u64 low = next->start;
        if (next->flags & VMA_GROWSDOWN)
            low = MAX(low - MIN(low, STACK_GUARD_GAP), vma->end);
        if (low - vma->end < growth)
            return false;
    }
    u64 end = vma->end + growth;
    vma_resize(vma, vma->start, end);
    vmas_merge(mm, end, end);
    return true;
}

/*
 * Move [old, old + old_size) of one vma to TO, which is free, as NEW_SIZE bytes. The new vma and
 * the entries are there before the old ones go, so that a lack of memory changes nothing.
 */
static int move_to(struct mm *mm, const struct remap *remap, u64 to)
{
    u64 end = remap->old + remap->old_size;
    bool keeps_old = remap->old_size == 0 || (remap->flags & LINUX_MREMAP_DONTUNMAP);
    if (mm->vma_count >= VMA_COUNT_MAX)
        return -ENOMEM;
    int err = remap->old_size ? vmas_isolate(mm, remap->old, end) : 0;
    if (err)
        return err;
    struct vma *vma = mm_find_vma(mm, remap->old);
    struct vma *moved = vma_copy(vma, mm, remap->old, vma->end);
    if (!moved)
        return -ENOMEM;
    u64 kept = MIN(remap->old_size, remap->new_size);
    if (kept)
        err = table_move(mm, remap->old, to, kept);
    if (err) {
        REF_PUT(moved);
        return err;
    }
    moved->start = to;
    moved->end = to + remap->new_size;
    if (!keeps_old) {
        range_remove(mm, remap->old, end);
    } else if (remap->old_size && (vma->flags & VMA_LOCKED)) {
        vma_set(vma, vma->prot, vma->flags & ~VMA_LOCKED); /* mremap(2), MREMAP_DONTUNMAP */
    }
    vma_insert(moved);
    vmas_merge(mm, to, to + remap->new_size);
    return 0;
}

SLEEPS static i64 remap_move(struct mm *mm, struct fiber *fiber, struct remap *remap)
{
    u64 to = remap->to;
    if (!(remap->flags & LINUX_MREMAP_FIXED)) {
        i64 place = place_choose(mm, 0, remap->new_size, false);
        if (place < 0)
            return place;
        to = (u64)place;
    } else if (mm_find_vma_after(mm, to)) {
        int err = mm_unmap(mm, fiber, to, remap->new_size);
        if (err)
            return err;
    }
    int err = move_to(mm, remap, to);
    vmas_merge(mm, remap->old, remap->old + remap->old_size);
    mm_commit(mm);
    return err ? err : (i64)to;
}

SLEEPS static void populate_locked(struct mm *mm, struct fiber *fiber, u64 start, u64 size)
{
    const struct vma *vma = mm_find_vma(mm, start);
    if (!vma || !(vma->flags & VMA_LOCKED))
        return;
    int err = mm_populate(mm, fiber, start, size, false);
    (void)err; /* the mapping stands, populated or not */
    mm_commit(mm);
}

SLEEPS static i64 remap_judged(struct mm *mm, struct fiber *fiber, struct remap *remap)
{
    bool must_move = remap->flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP);
    if (remap->new_size <= remap->old_size && !must_move) { /* shrink, over any vmas */
        const struct vma *first = mm_find_vma(mm, remap->old);
        if (!first)
            return -EFAULT;
        if (first->flags & VMA_SEALED)
            return -EPERM;
        u64 less = remap->old_size - remap->new_size;
        int err = less ? mm_unmap(mm, fiber, remap->old + remap->new_size, less) : 0;
        return err ? err : (i64)remap->old;
    }
    struct vma *vma = mm_find_vma(mm, remap->old);
    int err = judge_vma(mm, remap, vma);
    if (err)
        return err;
    if (must_move)
        return remap_move(mm, fiber, remap);
    if (grow_in_place(mm, vma, remap))
        return (i64)remap->old;
    if (!(remap->flags & LINUX_MREMAP_MAYMOVE))
        return -ENOMEM;
    return remap_move(mm, fiber, remap);
}

i64 mm_remap(struct mm *mm, struct fiber *fiber, u64 old, u64 old_size, u64 new_size, u32 flags,
             u64 new_address)
{
    struct remap remap = {old, old_size, new_size, flags, new_address};
    int err = judge_numbers(&remap);
    if (err)
        return err;
    i64 at = remap_judged(mm, fiber, &remap);
    if (at > 0 && remap.new_size > remap.old_size)
        populate_locked(mm, fiber, (u64)at, remap.new_size);
    return at;
}
