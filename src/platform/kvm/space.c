/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spaces: the sentry's page table is the one that the processor walks, so edits are stores. What
 * the processor remembers of older entries must go. With nested paging a cpu loads its CR3 anew
 * before it goes on (`batch`). With shadow paging KVM sees no store of ours into a present entry;
 * there each frame that an entry gave is taken out of the machine, by which the host itself flushes
 * every cpu. Surprising: an entry that was absent is remembered by nobody, so filling costs
 * nothing.
 */
#include "platform/kvm/internal.h"
#include <string.h>

#define ENTRY_BITS (PAGETABLE_A | PAGETABLE_D)
#define EDIT_MAX ((u64)64)

u64 space_cr3(const struct kvm_space *space)
{
    const struct pagetable *table = &space->base.table;
    return table->pool->physical_base + (table->root << PAGE_SHIFT);
}

static u64 *stub_entry(struct kvm_space *space)
{
    const struct pagetable *table = &space->base.table;
    u64 *words = machine_frame(&table->pool->memory, (frame){table->root});
    return words + STUB_ROOT_INDEX;
}

int kvm_space_init(struct space *base)
{
    struct kvm_space *space = container_of(base, struct kvm_space, base);
    struct kvm_platform *platform = kvm_platform_of(base->platform);
    u64 *root = (u64 *)(void *)stub_page(platform, STUB_PAGE_ROOT);
    __atomic_store_n(stub_entry(space), root[STUB_ROOT_INDEX], __ATOMIC_RELEASE);
    space->batch = 1;
    return 0;
}

void kvm_space_fini(struct space *base)
{
    struct kvm_space *space = container_of(base, struct kvm_space, base);
    struct kvm_platform *platform = kvm_platform_of(base->platform);
    for (u32 i = 0; i < base->platform->cpu_count; i++) {
        struct kvm_cpu *cpu = &platform->cpus[i];
        if (cpu->cr3 != space_cr3(space))
            continue;
        cpu->cr3 = 0;
        cpu->must_reset = true;
    }
    __atomic_store_n(stub_entry(space), 0, __ATOMIC_RELEASE);
    tables_forget(platform);
}

/* ---- edits ---------------------------------------------------------------------------------- */

/* A run of frames whose entries were present, for shadow paging. */
struct forgotten {
    u64 first, count;
};

static void forgotten_flush(struct kvm_platform *platform, struct forgotten *run)
{
    if (run->count)
        frames_forget(platform, run->first, run->count);
    run->count = 0;
}

/* The present entry OLD was replaced. */
static void entry_forget(struct kvm_space *space, struct forgotten *run, u64 old)
{
    struct kvm_platform *platform = kvm_platform_of(space->base.platform);
    u64 index = (old & PAGETABLE_FRAME_MASK) >> PAGE_SHIFT;
    space->must_flush = true;
    if (!has_shadow(platform))
        return;
    if (run->count == 0 || run->first + run->count != index) {
        forgotten_flush(platform, run);
        run->first = index;
    }
    run->count++;
}

/* COUNT entries from ADDRESS on, whose tables are there, become WORD and the words behind it, or 0.
 * How many it did. */
static u64 entries_edit(struct kvm_space *space, struct forgotten *run, uaddr address, u64 count,
                        u64 word)
{
    u64 old[EDIT_MAX];
    count = pagetable_exchange_run(&space->base.table, address, MIN(count, EDIT_MAX), word, old);
    for (u64 i = 0; i < count; i++)
        if (old[i] & PAGETABLE_P)
            entry_forget(space, run, old[i]);
    return count;
}

void kvm_space_map(struct space *base, uaddr address, frame first, u64 count, u32 prot)
{
    struct kvm_space *space = container_of(base, struct kvm_space, base);
    struct kvm_platform *platform = kvm_platform_of(base->platform);
    struct forgotten run = {0, 0};
    if (!frames_reach(platform, first.index, count))
        space->is_lost = true;
    u64 word = pagetable_word(first, prot) | ENTRY_BITS;
    for (u64 done = 0; done < count;)
        done += entries_edit(space, &run, uaddr_add(address, done << PAGE_SHIFT), count - done,
                             word + (done << PAGE_SHIFT));
    forgotten_flush(platform, &run);
}

void kvm_space_unmap(struct space *base, uaddr address, u64 count)
{
    struct kvm_space *space = container_of(base, struct kvm_space, base);
    struct forgotten run = {0, 0};
    struct pagetable_entry entry;
    uaddr end = uaddr_add(address, count << PAGE_SHIFT);
    while (pagetable_next(&base->table, address, end, &entry)) {
        u64 left = (end.value - entry.address.value) >> PAGE_SHIFT;
        u64 done = entries_edit(space, &run, entry.address, left, 0);
        address = uaddr_add(entry.address, done << PAGE_SHIFT);
    }
    forgotten_flush(kvm_platform_of(base->platform), &run);
}

void kvm_space_protect(struct space *base, uaddr address, u64 count, u32 prot)
{
    struct kvm_space *space = container_of(base, struct kvm_space, base);
    struct forgotten run = {0, 0};
    struct pagetable_entry entry;
    uaddr end = uaddr_add(address, count << PAGE_SHIFT);
    u64 done;
    while (pagetable_next_run(&base->table, address, end, EDIT_MAX, &entry, &done)) {
        if (entry.prot != prot)
            done = entries_edit(space, &run, entry.address, done,
                                pagetable_word(entry.frame, prot) | ENTRY_BITS);
        address = uaddr_add(entry.address, done << PAGE_SHIFT);
    }
    forgotten_flush(kvm_platform_of(base->platform), &run);
}

/* ---- batches -------------------------------------------------------------------------------- */

u64 kvm_space_commit(struct space *base)
{
    struct kvm_space *space = container_of(base, struct kvm_space, base);
    struct kvm_platform *platform = kvm_platform_of(base->platform);
    if (!space->must_flush || has_shadow(platform)) {
        space->must_flush = false;
        return space->batch;
    }
    space->must_flush = false;
    u64 batch = __atomic_add_fetch(&space->batch, 1, __ATOMIC_SEQ_CST);
    for (u32 i = 0; i < base->platform->cpu_count; i++)
        if (platform->cpus[i].space == space)
            cpu_poke(&platform->cpus[i]);
    return batch;
}

bool kvm_space_is_done(struct space *base, u64 batch)
{
    struct kvm_space *space = container_of(base, struct kvm_space, base);
    struct kvm_platform *platform = kvm_platform_of(base->platform);
    for (u32 i = 0; i < base->platform->cpu_count && !has_shadow(platform); i++) {
        struct kvm_cpu *cpu = &platform->cpus[i];
        if (cpu->space == space && __atomic_load_n(&cpu->seen, __ATOMIC_SEQ_CST) < batch)
            return false;
    }
    return true;
}
