/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy of an address space for fork(2). Entries are copied with the vmas, file pages too: a
 * fault costs more than a thousand copied entries. Private pages lose the right to be written on
 * both sides, and the child runs only when no cpu of the parent can write through an old entry any
 * more.
 *
 * Pages that both sides are sure to write to at once, a stack's lowest and a program's data, are
 * copied here and now: two faults for each would cost a hundred times that.
 */
#include <string.h>

#include "abi/errno.h"
#include "platform/pagetable.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/table.h"
#include "sentry/memory/vma.h"

/* So many private pages of one vma are copied at once, if there are no more. */
#define COPY_MAX 16u
#define COPY_STACK 4u

static bool is_own(const struct mm *mm, const struct pagetable_entry *entry)
{
    return (entry->prot & PROT_WRITE_BIT) && frame_use_of(mm->memory, entry->frame) == FRAME_ANON &&
           frame_refs(mm->memory, entry->frame) == 1;
}

/* How many pages at VMA's beginning the child gets copies of. Not while other threads could write
 * to what is being copied. */
static u64 copies_wanted(const struct vma *vma)
{
    const struct mm *mm = vma->mm;
    struct pagetable_entry entry;
    u64 count, owned = 0;
    if (vma_is_shared(vma) || mm->object.refs > 1)
        return 0;
    bool is_stack = vma->flags & (VMA_STACK | VMA_GROWSDOWN);
    for (u64 at = vma->start;
         owned <= COPY_MAX &&
         pagetable_next_run(space_table(mm->space), uaddr_make(at), uaddr_make(vma->end),
                            COPY_MAX + 1, &entry, &count);
         at = entry.address.value + (count << PAGE_SHIFT))
        owned += is_own(mm, &entry) ? count : 0;
    return is_stack ? MIN(owned, COPY_STACK) : owned <= COPY_MAX ? owned : 0;
}

/* Copies of the COUNT pages at ENTRY into CHILD; how many, 0 when there is no memory. */
static u64 copy_run(const struct mm *mm, struct mm *child, const struct pagetable_entry *entry,
                    u64 count)
{
    struct memory *memory = mm->memory;
    frame first;
    if (frame_alloc_run_raw(memory, FRAME_ANON, count, 0, &first, &count) < 0)
        return 0;
    for (u64 i = 0; i < count; i++)
        memcpy(frame_bytes(memory, (frame){first.index + i}),
               frame_bytes(memory, (frame){entry->frame.index + i}), PAGE_SIZE);
    if (table_map(child, entry->address.value, first, count, entry->prot) == 0)
        return count;
    frame_put_run(memory, first, count);
    return 0;
}

/* Copy the entries of VMA to CHILD, which has none there. */
static int fork_entries(struct vma *vma, struct mm *child)
{
    struct mm *mm = vma->mm;
    struct pagetable_entry entry;
    u64 count;
    bool is_private = !vma_is_shared(vma);
    u64 copies = copies_wanted(vma);
    for (u64 at = vma->start;
         at < vma->end && pagetable_next_run(space_table(mm->space), uaddr_make(at),
                                             uaddr_make(vma->end), UINT64_MAX, &entry, &count);
         at = entry.address.value + (count << PAGE_SHIFT)) {
        if (copies && is_own(mm, &entry)) {
            u64 done = copy_run(mm, child, &entry, MIN(count, copies));
            if (done) {
                copies -= done;
                count = done;
                continue;
            }
        }
        u32 prot = is_private ? entry.prot & ~PROT_WRITE_BIT : entry.prot;
        frame_get_run(mm->memory, entry.frame, count);
        if (table_map(child, entry.address.value, entry.frame, count, prot) < 0) {
            frame_put_run(mm->memory, entry.frame, count);
            return -ENOMEM;
        }
        if (prot != entry.prot)
            table_close(mm, entry.address.value, entry.address.value + (count << PAGE_SHIFT), prot);
    }
    return 0;
}

static int fork_vma(struct vma *vma, struct mm *child)
{
    if (vma->flags & VMA_DONTFORK)
        return 0;
    struct vma *copy = vma_copy(vma, child, vma->start, vma->end);
    if (!copy)
        return -ENOMEM;
    copy->flags &= ~VMA_LOCKED; /* mlock(2): not inherited */
    vma_insert(copy);
    return vma->flags & VMA_WIPEONFORK ? 0 : fork_entries(vma, child);
}

static void fork_members(const struct mm *mm, struct mm *child)
{
    child->brk_start = mm->brk_start;
    child->brk_end = mm->brk_end;
    child->mmap_top = mm->mmap_top;
    child->stack_start = mm->stack_start;
    child->arg_start = mm->arg_start;
    child->arg_end = mm->arg_end;
    child->env_start = mm->env_start;
    child->env_end = mm->env_end;
    child->code_start = mm->code_start;
    child->code_end = mm->code_end;
    child->limit_as = mm->limit_as;
    child->limit_data = mm->limit_data;
    child->limit_stack = mm->limit_stack;
    child->limit_memlock = mm->limit_memlock;
    child->vdso = mm->vdso;
    child->barriers = mm->barriers;
    child->auxv_size = mm->auxv_size;
    memcpy(child->auxv, mm->auxv, sizeof child->auxv);
    child->exe = mm->exe;
    if (child->exe)
        object_get_(child->exe);
}

int mm_fork(struct mm *mm, struct fiber *fiber, struct mm **out)
{
    AUTO_PUT struct mm *child = NULL;
    int err = mm_create(mm->object.arena, mm->memory, mm->platform, &child);
    if (err)
        return err;
    fork_members(mm, child);
    struct vma *vma;
    list_for_each (vma, &mm->vma_list, mm_link) {
        err = fork_vma(vma, child);
        if (err)
            break;
    }
    mm_commit(mm); /* waits until no cpu can write through what is shared now */
    if (err)
        return err;
    mm_commit(child);
    *out = MOVE(child);
    return 0;
}
