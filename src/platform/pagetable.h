/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64 four-level page tables in a memory file of their own. Entries change by single atomic stores.
 * Accessed and dirty bits mean nothing. Only platform code edits (through space_*); memory/ reads.
 */
#pragma once
#include "platform/machine.h"
#include "platform/platform.h"

/* Pages for tables, shared by all spaces of a sandbox. */
struct pagetable_pool {
    struct machine_memory memory;
    u64 frame_next;   /* first never used */
    u64 free_first;   /* chain of free table pages through their first word; 0 ends it */
    u64 used_count;
};
MUST_CHECK int pagetable_pool_init(struct pagetable_pool *pool);
void pagetable_pool_fini(struct pagetable_pool *pool);

struct pagetable {
    struct pagetable_pool *pool;
    u64 root; /* page of the pool */
};

struct pagetable_entry {
    uaddr address;
    frame frame;
    u32 prot; /* PROT_*_BIT; 0: present for the sentry, closed for the program */
};

MUST_CHECK int pagetable_init(struct pagetable *table, struct pagetable_pool *pool);
void pagetable_fini(struct pagetable *table);
/* The entry for ADDRESS's page; false if there is none. */
bool pagetable_get(const struct pagetable *table, uaddr address, struct pagetable_entry *out);
/* The first entry at or after ADDRESS and before END; false if there is none. */
bool pagetable_next(const struct pagetable *table, uaddr address, uaddr end, struct pagetable_entry *out);
/* As pagetable_next, but gathers a run: entries with consecutive addresses and frames and equal rights;
 * *COUNT is its length, at most COUNT_MAX. */
bool pagetable_next_run(const struct pagetable *table, uaddr address, uaddr end, u64 count_max,
                        struct pagetable_entry *first, u64 *count);
/* For platforms: make room for COUNT entries (tables on the way), then set them without failing. */
MUST_CHECK int pagetable_reserve(struct pagetable *table, uaddr address, u64 count);
void pagetable_set(struct pagetable *table, uaddr address, frame frame, u32 prot);
void pagetable_clear(struct pagetable *table, uaddr address);
/* The raw word, for kvm: bits as the hardware reads them. */
u64 *pagetable_slot(const struct pagetable *table, uaddr address);
