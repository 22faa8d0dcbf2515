/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64 four-level page tables in a memory file of their own. Entries change by single atomic
 * stores. Accessed and dirty bits mean nothing. Only platform code edits (through space_*); memory/
 * reads.
 */
#pragma once
#include "platform/machine.h"
#include "platform/platform.h"

/* What an entry's word says. The hardware reads the first three and NX; the rest is software's. */
#define PAGETABLE_P ((u64)1 << 0)
#define PAGETABLE_W ((u64)1 << 1)
#define PAGETABLE_U ((u64)1 << 2)
#define PAGETABLE_A ((u64)1 << 5) /* accessed and dirty: the hardware's, they mean nothing */
#define PAGETABLE_D ((u64)1 << 6)
#define PAGETABLE_CLOSED ((u64)1 << 9)  /* a frame is here, P is 0: PROT 0 */
#define PAGETABLE_CACHED ((u64)1 << 10) /* the platform's: its cache may hold this entry */
#define PAGETABLE_READ ((u64)1 << 52)   /* PROT_READ was asked for (P alone cannot tell) */
#define PAGETABLE_NX ((u64)1 << 63)
#define PAGETABLE_FRAME_MASK 0x000ffffffffff000ull

/* What is known about a page of the pool beside its 512 words. */
struct pagetable_page {
    u32 next; /* in the chain of free or of unlinked pages; 0 ends it */
    u32 live; /* words that are not zero */
};

/* Pages for tables, shared by all spaces of a sandbox. */
struct pagetable_pool {
    struct machine_memory memory;
    struct pagetable_page *pages; /* one for each page of the memory */
    u64 frame_next;               /* first never used */
    u64 free_first;               /* chain of free table pages; 0 ends it */
    u64 used_count;
    u64 physical_base; /* where a machine sees page 0 of the pool; kvm sets it before the first
                          table */
    /* The platform's, or NULL: called before page frame_limit is used for the first time; it raises
     * frame_limit. 0 or -errno. */
    int (*grow)(struct pagetable_pool *pool);
    u64 frame_limit;
    /* The platform's: tables that are freed go to a chain of their own, not to be used before
     * pagetable_pool_recycle. */
    bool keeps_stale;
    u64 stale_first, stale_count;
};
MUST_CHECK int pagetable_pool_init(struct pagetable_pool *pool);
void pagetable_pool_fini(struct pagetable_pool *pool);
/* Nobody remembers what the stale tables were: they may be used again. */
void pagetable_pool_recycle(struct pagetable_pool *pool);

struct pagetable {
    struct pagetable_pool *pool;
    u64 root;           /* page of the pool */
    u64 unlinked_first; /* tables that became empty: out of the tree, but a walker may still be in
                           them */
};

struct pagetable_entry {
    uaddr address;
    frame frame;
    u32 prot; /* PROT_*_BIT; 0: present for the sentry, closed for the program */
};

/* The rights an entry's word gives; an entry that lets anything in lets reads in, as the hardware
 * does. */
static inline u32 pagetable_word_prot(u64 word)
{
    if (!(word & PAGETABLE_P))
        return 0;
    return (word & PAGETABLE_READ ? PROT_READ_BIT : 0) | (word & PAGETABLE_W ? PROT_WRITE_BIT : 0) |
           (word & PAGETABLE_NX ? 0 : PROT_EXEC_BIT);
}

/* Does a present entry's PROT allow ACCESS (one PROT_*_BIT)? */
static inline bool pagetable_allows(u32 prot, u32 access)
{
    return (prot & access) != 0 || (access == PROT_READ_BIT && prot != 0);
}

MUST_CHECK int pagetable_init(struct pagetable *table, struct pagetable_pool *pool);
void pagetable_fini(struct pagetable *table);
/* The entry for ADDRESS's page; false if there is none. */
bool pagetable_get(const struct pagetable *table, uaddr address, struct pagetable_entry *out);
/* The first entry at or after ADDRESS and before END; false if there is none. */
bool pagetable_next(const struct pagetable *table, uaddr address, uaddr end,
                    struct pagetable_entry *out);
/* As pagetable_next, but gathers a run: entries with consecutive addresses and frames and equal
 * rights; *COUNT is its length, at most COUNT_MAX. */
bool pagetable_next_run(const struct pagetable *table, uaddr address, uaddr end, u64 count_max,
                        struct pagetable_entry *first, u64 *count);
/* For platforms: make room for COUNT entries (tables on the way), then set them without failing. */
MUST_CHECK int pagetable_reserve(struct pagetable *table, uaddr address, u64 count);
void pagetable_set(struct pagetable *table, uaddr address, frame frame, u32 prot);
void pagetable_clear(struct pagetable *table, uaddr address);
/* As set and clear, and say what the word was. WORD 0 clears. The slot must be reserved unless WORD
 * is 0. */
u64 pagetable_exchange(struct pagetable *table, uaddr address, u64 word);
/* As pagetable_exchange from ADDRESS on, whose table is there, for up to COUNT entries of that one
 * table: WORD and those of the frames behind it, or 0 for all. The words that were there go to OLD.
 * How many it did, one at least. */
u64 pagetable_exchange_run(struct pagetable *table, uaddr address, u64 count, u64 word, u64 *old);
/* The word for FRAME with PROT, PROT 0 meaning closed. */
u64 pagetable_word(frame frame, u32 prot);
/* The raw word, for kvm: bits as the hardware reads them. NULL when there is no table for ADDRESS.
 */
u64 *pagetable_slot(const struct pagetable *table, uaddr address);
/* Give tables that became empty back to the pool; only while nobody walks TABLE without the kernel
 * lock. */
void pagetable_release_unlinked(struct pagetable *table);
