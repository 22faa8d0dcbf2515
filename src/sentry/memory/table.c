/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits of page table entries with their frames, and limbo. Limbo is a list of blocks of frame
 * runs; a block is open (batch 0) until the next commit gives it the batch that acknowledges its
 * edits. When there is no memory for a block, the edit is acknowledged on the spot instead.
 */
#include "sentry/memory/table.h"

#include "abi/errno.h"
#include "platform/pagetable.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/vma.h"

#define LIMBO_RUNS 126

struct frame_run {
    frame first;
    u64 count;
};

struct limbo_block {
    struct list link;
    u64 batch;
    u64 count;
    struct frame_run runs[LIMBO_RUNS];
};

static bool next_run(const struct mm *mm, u64 at, u64 end, u64 max, struct pagetable_entry *entry,
                     u64 *count)
{
    return pagetable_next_run(space_table(mm->space), uaddr_make(at), uaddr_make(end), max, entry,
                              count);
}

/* ---- limbo ---------------------------------------------------------------------------------- */

static struct limbo_block *limbo_open(struct mm *mm)
{
    if (!list_is_empty(&mm->limbo)) {
        struct limbo_block *last = list_last(&mm->limbo, struct limbo_block, link);
        if (last->batch == 0 && last->count < LIMBO_RUNS)
            return last;
    }
    struct limbo_block *block = arena_alloc(mm->memory->arena, sizeof *block);
    if (block)
        list_add_tail(&mm->limbo, &block->link);
    return block;
}

/* The run's entries are out of the table: its references go when that is known everywhere. */
static void limbo_add(struct mm *mm, frame first, u64 count)
{
    struct limbo_block *block = limbo_open(mm);
    if (!block) {
        table_settle(mm);
        frame_put_run(mm->memory, first, count);
        return;
    }
    struct frame_run *last = block->count ? &block->runs[block->count - 1] : NULL;
    if (last && last->first.index + last->count == first.index)
        last->count += count;
    else
        block->runs[block->count++] = (struct frame_run){first, count};
}

static void limbo_close(struct mm *mm, u64 batch)
{
    struct limbo_block *block;
    ASSERT(batch != 0);
    for (struct list *at = mm->limbo.prev; at != &mm->limbo; at = at->prev) {
        block = list_entry(at, struct limbo_block, link);
        if (block->batch != 0)
            break;
        block->batch = batch;
    }
}

static void limbo_reap(struct mm *mm)
{
    struct limbo_block *block, *tmp;
    list_for_each_safe (block, tmp, &mm->limbo, link) {
        if (block->batch == 0 || !space_is_done(mm->space, block->batch))
            return;
        for (u64 i = 0; i < block->count; i++)
            frame_put_run(mm->memory, block->runs[i].first, block->runs[i].count);
        list_remove(&block->link);
        arena_free(mm->memory->arena, block, sizeof *block);
    }
}

/*
 * Another thread may store through an old entry until its cpu knows of the edit, and what it stores
 * would be lost though the two agree on the order in user code. So edits of present entries wait.
 */
void mm_commit(struct mm *mm)
{
    if (mm->is_reduced) {
        table_settle(mm);
        return;
    }
    if (mm->is_edited) {
        mm->is_edited = false;
        limbo_close(mm, space_commit(mm->space));
    }
    if (!list_is_empty(&mm->limbo))
        limbo_reap(mm);
}

void table_settle(struct mm *mm)
{
    mm->is_edited = mm->is_reduced = false;
    u64 batch = space_commit(mm->space);
    limbo_close(mm, batch);
    while (!space_is_done(mm->space, batch))
        __builtin_ia32_pause();
    limbo_reap(mm);
}

/* ---- edits ---------------------------------------------------------------------------------- */

int table_map(struct mm *mm, u64 address, frame first, u64 count, u32 prot)
{
    if (space_map(mm->space, uaddr_make(address), first, count, prot ? prot : PROT_READ_BIT) < 0)
        return -ENOMEM;
    if (prot == 0) /* there for the sentry, closed for the program */
        space_protect(mm->space, uaddr_make(address), count, 0);
    mm->is_edited = true;
    mm->resident_count += count;
    mm->resident_max = MAX(mm->resident_max, mm->resident_count);
    return 0;
}

int table_replace(struct mm *mm, u64 address, frame first, u64 count, u32 prot)
{
    frame old[REPLACE_MAX];
    ASSERT(count <= REPLACE_MAX);
    for (u64 i = 0; i < count; i++) {
        struct pagetable_entry entry;
        bool is_present = pagetable_get(space_table(mm->space),
                                        uaddr_make(address + (i << PAGE_SHIFT)), &entry);
        ASSERT(is_present);
        old[i] = entry.frame;
    }
    if (space_map(mm->space, uaddr_make(address), first, count, prot ? prot : PROT_READ_BIT) < 0)
        return -ENOMEM;
    if (prot == 0)
        space_protect(mm->space, uaddr_make(address), count, 0);
    mm->is_edited = mm->is_reduced = true;
    for (u64 i = 0; i < count; i++)
        limbo_add(mm, old[i], 1);
    return 0;
}

/* Runs that are gathered before their entries are cleared in one call. */
#define UNMAP_RUNS 64

void table_unmap(struct mm *mm, u64 start, u64 end)
{
    struct frame_run runs[UNMAP_RUNS];
    u64 at = start;
    while (at < end) {
        struct pagetable_entry entry;
        u64 count, first = 0, run_count = 0;
        while (run_count < UNMAP_RUNS && at < end &&
               next_run(mm, at, end, UINT64_MAX, &entry, &count)) {
            if (run_count == 0)
                first = entry.address.value;
            at = entry.address.value + (count << PAGE_SHIFT);
            runs[run_count++] = (struct frame_run){entry.frame, count};
        }
        if (run_count == 0)
            return;
        space_unmap(mm->space, uaddr_make(first), (at - first) >> PAGE_SHIFT);
        mm->is_edited = mm->is_reduced = true;
        for (u64 i = 0; i < run_count; i++) {
            mm->resident_count -= runs[i].count;
            limbo_add(mm, runs[i].first, runs[i].count);
        }
    }
}

void table_close(struct mm *mm, u64 start, u64 end, u32 prot)
{
    struct pagetable_entry entry;
    u64 count;
    prot &= ~PROT_WRITE_BIT;
    for (u64 at = start; at < end && next_run(mm, at, end, UINT64_MAX, &entry, &count);
         at = entry.address.value + (count << PAGE_SHIFT)) {
        if (entry.prot == prot)
            continue;
        space_protect(mm->space, entry.address, count, prot);
        mm->is_edited = true;
        mm->is_reduced |= (entry.prot & ~prot) != 0;
    }
}

void table_protect(struct vma *vma, u64 start, u64 end)
{
    struct mm *mm = vma->mm;
    if (!(vma->prot & LINUX_PROT_WRITE)) {
        table_close(mm, start, end, prot_bits(vma->prot));
        return;
    }
    struct pagetable_entry entry;
    u64 count;
    for (u64 at = start; at < end && next_run(mm, at, end, UINT64_MAX, &entry, &count);) {
        at = entry.address.value;
        u32 prot = vma_entry_prot(vma, at, entry.frame);
        u64 same = 1;
        while (same < count && vma_entry_prot(vma, at + (same << PAGE_SHIFT),
                                              (frame){entry.frame.index + same}) == prot)
            same++;
        if (entry.prot != prot) {
            space_protect(mm->space, entry.address, same, prot);
            mm->is_edited = true;
            mm->is_reduced |= (entry.prot & ~prot) != 0;
        }
        at += same << PAGE_SHIFT;
    }
}

int table_move(struct mm *mm, u64 from, u64 to, u64 size)
{
    struct pagetable_entry entry;
    u64 count;
    for (u64 at = from;
         at < from + size && next_run(mm, at, from + size, UINT64_MAX, &entry, &count);
         at = entry.address.value + (count << PAGE_SHIFT)) {
        uaddr there = uaddr_make(entry.address.value - from + to);
        u32 prot = entry.prot ? entry.prot : PROT_READ_BIT;
        if (space_map(mm->space, there, entry.frame, count, prot) < 0) {
            space_unmap(mm->space, uaddr_make(to), size >> PAGE_SHIFT);
            return -ENOMEM;
        }
        if (entry.prot == 0)
            space_protect(mm->space, there, count, 0);
    }
    space_unmap(mm->space, uaddr_make(from), size >> PAGE_SHIFT);
    mm->is_edited = mm->is_reduced = true;
    return 0;
}
