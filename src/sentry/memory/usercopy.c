/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies between the sentry and user memory. They walk the page table as the processor would, serve
 * the faults it would take, and move bytes in the sentry's own view of the memfile: nothing here
 * can fault. A pointer into that view is good until the next sleep.
 */
#include <string.h>

#include "abi/errno.h"
#include "platform/pagetable.h"
#include "sentry/memory/fault.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/vma.h"

/* One transfer's course. */
struct copy {
    struct mm *mm;
    struct fiber *fiber;
    u32 access;
    bool is_forced;
};

static bool entry_allows(const struct copy *copy, u64 address, const struct pagetable_entry *entry)
{
    if (!copy->is_forced || (entry->prot & copy->access))
        return entry->prot & copy->access;
    if (copy->access == PROT_READ_BIT)
        return true;
    struct vma *vma = mm_find_vma(copy->mm, address);
    const struct memory *memory = copy->mm->memory;
    return vma && !vma_is_shared(vma) && frame_use_of(memory, entry->frame) == FRAME_ANON &&
           frame_refs(memory, entry->frame) == 1;
}

/* The bytes at ADDRESS, at most SIZE of them in a row; 0 or -EFAULT. */
SLEEPS static int reach(const struct copy *copy, u64 address, u64 size, u8 **bytes, u64 *count)
{
    struct mm *mm = copy->mm;
    if (address >= SPACE_ADDRESS_END)
        return -EFAULT;
    u64 in_page = address & ~PAGE_MASK;
    u64 pages = ((in_page + MIN(size, SPACE_ADDRESS_END - address) - 1) >> PAGE_SHIFT) + 1;
    uaddr page = uaddr_make(address - in_page);
    uaddr end = uaddr_add(page, pages << PAGE_SHIFT);
    for (;;) {
        struct pagetable_entry entry;
        u64 run = 1;
        bool is_present = pages == 1
                              ? pagetable_get(space_table(mm->space), page, &entry)
                              : pagetable_next_run(space_table(mm->space), page, end,
                                                   copy->is_forced ? 1 : pages, &entry, &run) &&
                                    entry.address.value == page.value;
        if (is_present && entry_allows(copy, address, &entry)) {
            *bytes = frame_bytes(mm->memory, entry.frame) + in_page;
            *count = MIN(size, (run << PAGE_SHIFT) - in_page);
            return 0;
        }
        struct fault fault = {
            .mm = mm,
            .fiber = copy->fiber,
            .address = address,
            .access = copy->access,
            .is_forced = copy->is_forced,
        };
        if (fault_serve(&fault) < 0)
            return -EFAULT;
    }
}

/* Bytes moved until SIZE or bad memory; -EFAULT when there were none. */
SLEEPS static i64 transfer(const struct copy *copy, u8 *buffer, u64 address, u64 size)
{
    u64 done = 0, at;
    while (done < size) {
        u8 *bytes;
        u64 count;
        if (__builtin_add_overflow(address, done, &at) ||
            reach(copy, at, size - done, &bytes, &count) < 0)
            return done ? (i64)done : -EFAULT;
        if (copy->access == PROT_WRITE_BIT)
            memmove(bytes, buffer + done, count); /* BUFFER may be a page of the same file */
        else
            memmove(buffer + done, bytes, count);
        done += count;
    }
    return (i64)done;
}

i64 mm_copy_in_some(struct mm *mm, struct fiber *fiber, void *to, uaddr from, u64 size)
{
    const struct copy copy = {mm, fiber, PROT_READ_BIT, false};
    return transfer(&copy, to, from.value, size);
}

i64 mm_copy_out_some(struct mm *mm, struct fiber *fiber, uaddr to, const void *from, u64 size)
{
    const struct copy copy = {mm, fiber, PROT_WRITE_BIT, false};
    return transfer(&copy, (u8 *)(uintptr_t)from, to.value, size); /* only read from */
}

int mm_copy_in(struct mm *mm, struct fiber *fiber, void *to, uaddr from, u64 size)
{
    return mm_copy_in_some(mm, fiber, to, from, size) == (i64)size ? 0 : -EFAULT;
}

int mm_copy_out(struct mm *mm, struct fiber *fiber, uaddr to, const void *from, u64 size)
{
    return mm_copy_out_some(mm, fiber, to, from, size) == (i64)size ? 0 : -EFAULT;
}

i64 mm_copy_force(struct mm *mm, struct fiber *fiber, void *buffer, uaddr at, u64 size, bool write)
{
    const struct copy copy = {mm, fiber, write ? PROT_WRITE_BIT : PROT_READ_BIT, true};
    return transfer(&copy, buffer, at.value, size);
}

i64 mm_copy_string(struct mm *mm, struct fiber *fiber, char *to, uaddr from, u64 size_max)
{
    const struct copy copy = {mm, fiber, PROT_READ_BIT, false};
    u64 done = 0, at;
    while (done < size_max) {
        u8 *bytes;
        u64 count;
        if (__builtin_add_overflow(from.value, done, &at))
            return -EFAULT;
        u64 in_page = PAGE_SIZE - (at & ~PAGE_MASK);
        if (reach(&copy, at, MIN(size_max - done, in_page), &bytes, &count) < 0)
            return -EFAULT;
        const u8 *end = memchr(bytes, 0, count);
        if (end)
            count = (u64)(end - bytes) + 1;
        memcpy(to + done, bytes, count);
        done += count;
        if (end)
            return (i64)done - 1;
    }
    return -ENAMETOOLONG;
}

int mm_futex_word(struct mm *mm, struct fiber *fiber, uaddr at, bool is_shared, bool for_write,
                  u32 **word, struct futex_key *key)
{
    const struct copy copy = {mm, fiber, for_write ? PROT_WRITE_BIT : PROT_READ_BIT, false};
    u8 *bytes;
    u64 count;
    if (at.value % sizeof(u32) != 0 || reach(&copy, at.value, sizeof(u32), &bytes, &count) < 0)
        return -EFAULT;
    *word = (u32 *)(void *)bytes;
    const struct vma *vma = mm_find_vma(mm, at.value);
    if (is_shared && vma_is_shared(vma))
        *key = (struct futex_key){vma->mapping->id, vma->offset + (at.value - vma->start)};
    else
        *key = (struct futex_key){mm->object.id, at.value};
    return 0;
}
