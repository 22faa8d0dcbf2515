/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four-level page tables (Intel's manual, volume 3, 4.5) in a memory file. An empty table leaves
 * the tree at once, but its page stays out of use until pagetable_release_unlinked: somebody who
 * walks without the kernel lock (a cpu that refills its cache, or hardware) may still be reading
 * it, and finds zeros.
 */
#include "platform/pagetable.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define POOL_FRAMES ((u64)1 << 22) /* 16 GiB of address space for tables; sparse */
#define LEVELS 4
#define INDEX_BITS 9
#define INDEX_COUNT 512u
#define LINK_BITS (PAGETABLE_P | PAGETABLE_W | PAGETABLE_U)
#define ADDRESS_END ((u64)1 << (PAGE_SHIFT + LEVELS * INDEX_BITS - 1))

static unsigned index_at(u64 address, int level)
{
    return (unsigned)(address >> (PAGE_SHIFT + level * INDEX_BITS)) & (INDEX_COUNT - 1);
}

static u64 span_of(int level)
{
    return PAGE_SIZE << (level * INDEX_BITS);
}

static u64 *page_words(const struct pagetable_pool *pool, u64 page)
{
    return machine_frame(&pool->memory, (frame){page});
}

static u64 word_load(const u64 *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

/* ---- the pool ------------------------------------------------------------------------------- */

int pagetable_pool_init(struct pagetable_pool *pool)
{
    *pool = (struct pagetable_pool){.frame_next = 1};
    int err = machine_memory_create("picket-tables", POOL_FRAMES, &pool->memory);
    if (err)
        return err;
    void *pages = mmap(NULL, POOL_FRAMES * sizeof *pool->pages, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        machine_memory_destroy(&pool->memory);
        return -ENOMEM;
    }
    pool->pages = pages;
    return 0;
}

void pagetable_pool_fini(struct pagetable_pool *pool)
{
    ASSERT(pool->used_count == 0);
    munmap(pool->pages, POOL_FRAMES * sizeof *pool->pages);
    machine_memory_destroy(&pool->memory);
}

/* A page of zeros, or 0. Free pages are kept zeroed: a table is freed only when all its words are
 * zero. */
static u64 page_alloc(struct pagetable_pool *pool)
{
    u64 page = pool->free_first;
    if (page) {
        pool->free_first = pool->pages[page].next;
    } else {
        if (pool->frame_next == POOL_FRAMES)
            return 0;
        page = pool->frame_next;
        if (pool->grow && page >= pool->frame_limit && pool->grow(pool) != 0)
            return 0;
        if (machine_populate(&pool->memory, (frame){page}, 1) != 0)
            return 0;
        pool->frame_next++;
    }
    pool->pages[page] = (struct pagetable_page){0, 0};
    pool->used_count++;
    return page;
}

static void page_free(struct pagetable_pool *pool, u64 page)
{
    ASSERT(pool->used_count > 0 && pool->pages[page].live == 0);
    u64 *first = pool->keeps_stale ? &pool->stale_first : &pool->free_first;
    pool->pages[page].next = (u32)*first;
    *first = page;
    pool->stale_count += pool->keeps_stale;
    pool->used_count--;
}

void pagetable_pool_recycle(struct pagetable_pool *pool)
{
    while (pool->stale_first) {
        u64 page = pool->stale_first;
        pool->stale_first = pool->pages[page].next;
        pool->pages[page].next = (u32)pool->free_first;
        pool->free_first = page;
    }
    pool->stale_count = 0;
}

static u64 link_make(const struct pagetable_pool *pool, u64 page)
{
    return (pool->physical_base + (page << PAGE_SHIFT)) | LINK_BITS;
}

static u64 link_page(const struct pagetable_pool *pool, u64 link)
{
    return ((link & PAGETABLE_FRAME_MASK) - pool->physical_base) >> PAGE_SHIFT;
}

/* ---- a table -------------------------------------------------------------------------------- */

int pagetable_init(struct pagetable *table, struct pagetable_pool *pool)
{
    u64 root = page_alloc(pool);
    if (root == 0)
        return -ENOMEM;
    *table = (struct pagetable){.pool = pool, .root = root};
    return 0;
}

static void subtree_free(struct pagetable_pool *pool, u64 page, int level)
{
    u64 *words = page_words(pool, page);
    for (unsigned i = 0; level > 0 && i < INDEX_COUNT; i++)
        if (words[i])
            subtree_free(pool, link_page(pool, words[i]), level - 1);
    if (pool->pages[page].live)
        memset(words, 0, PAGE_SIZE);
    pool->pages[page].live = 0;
    page_free(pool, page);
}

void pagetable_fini(struct pagetable *table)
{
    pagetable_release_unlinked(table);
    subtree_free(table->pool, table->root, LEVELS - 1);
    table->root = 0;
}

void pagetable_release_unlinked(struct pagetable *table)
{
    while (table->unlinked_first) {
        u64 page = table->unlinked_first;
        table->unlinked_first = table->pool->pages[page].next;
        page_free(table->pool, page);
    }
}

/* The leaf table's page for ADDRESS; 0 with *SPAN the size of what is missing. */
static u64 leaf_find(const struct pagetable *table, u64 address, u64 *span)
{
    u64 page = table->root;
    for (int level = LEVELS - 1; level > 0; level--) {
        u64 link = word_load(page_words(table->pool, page) + index_at(address, level));
        if (link == 0) {
            *span = span_of(level);
            return 0;
        }
        page = link_page(table->pool, link);
    }
    return page;
}

u64 *pagetable_slot(const struct pagetable *table, uaddr address)
{
    u64 span;
    if (address.value >= ADDRESS_END)
        return NULL;
    u64 page = leaf_find(table, address.value, &span);
    return page ? page_words(table->pool, page) + index_at(address.value, 0) : NULL;
}

static struct pagetable_entry entry_make(u64 address, u64 word)
{
    return (struct pagetable_entry){
        .address = {address & PAGE_MASK},
        .frame = {(word & PAGETABLE_FRAME_MASK) >> PAGE_SHIFT},
        .prot = pagetable_word_prot(word),
    };
}

bool pagetable_get(const struct pagetable *table, uaddr address, struct pagetable_entry *out)
{
    u64 *slot = pagetable_slot(table, address);
    u64 word = slot ? word_load(slot) : 0;
    if (word == 0)
        return false;
    *out = entry_make(address.value, word);
    return true;
}

bool pagetable_next(const struct pagetable *table, uaddr address, uaddr end,
                    struct pagetable_entry *out)
{
    u64 at = address.value & PAGE_MASK;
    u64 limit = MIN(end.value, ADDRESS_END);
    while (at < limit) {
        u64 span;
        u64 page = leaf_find(table, at, &span);
        if (page == 0) {
            at = ALIGN_DOWN(at, span) + span;
            continue;
        }
        u64 *words = page_words(table->pool, page);
        for (unsigned i = index_at(at, 0); i < INDEX_COUNT && at < limit; i++, at += PAGE_SIZE) {
            u64 word = word_load(words + i);
            if (word) {
                *out = entry_make(at, word);
                return true;
            }
        }
    }
    return false;
}

bool pagetable_next_run(const struct pagetable *table, uaddr address, uaddr end, u64 count_max,
                        struct pagetable_entry *first, u64 *count)
{
    ASSERT(count_max > 0);
    if (!pagetable_next(table, address, end, first))
        return false;
    u64 limit = MIN(count_max,
                    (MIN(end.value, ADDRESS_END) - 1 - first->address.value) / PAGE_SIZE + 1);
    u64 run = 1;
    const u64 *slot = pagetable_slot(table, first->address);
    for (; run < limit; run++) {
        u64 at = first->address.value + (run << PAGE_SHIFT);
        slot = index_at(at, 0) ? slot + 1 : pagetable_slot(table, uaddr_make(at));
        u64 word = slot ? word_load(slot) : 0;
        if (word == 0 || pagetable_word_prot(word) != first->prot ||
            (word & PAGETABLE_FRAME_MASK) >> PAGE_SHIFT != first->frame.index + run)
            break;
    }
    *count = run;
    return true;
}

/* Make the tables on the way to ADDRESS; the leaf's page or 0. What was made stays, empty. */
static u64 leaf_make(struct pagetable *table, u64 address)
{
    u64 page = table->root;
    for (int level = LEVELS - 1; level > 0; level--) {
        u64 *slot = page_words(table->pool, page) + index_at(address, level);
        if (*slot == 0) {
            u64 made = page_alloc(table->pool);
            if (made == 0)
                return 0;
            __atomic_store_n(slot, link_make(table->pool, made), __ATOMIC_RELEASE);
            table->pool->pages[page].live++;
            page = made;
        } else {
            page = link_page(table->pool, *slot);
        }
    }
    return page;
}

/* Take empty tables on the way to ADDRESS out of the tree, leaf first. */
static void path_unlink(struct pagetable *table, u64 address)
{
    struct pagetable_pool *pool = table->pool;
    u64 path[LEVELS];
    path[LEVELS - 1] = table->root;
    for (int level = LEVELS - 1; level > 0; level--) {
        u64 link = page_words(pool, path[level])[index_at(address, level)];
        if (link == 0)
            return;
        path[level - 1] = link_page(pool, link);
    }
    for (int level = 0; level < LEVELS - 1 && pool->pages[path[level]].live == 0; level++) {
        u64 *slot = page_words(pool, path[level + 1]) + index_at(address, level + 1);
        __atomic_store_n(slot, 0, __ATOMIC_RELEASE);
        pool->pages[path[level + 1]].live--;
        pool->pages[path[level]].next = (u32)table->unlinked_first;
        table->unlinked_first = path[level];
    }
}

int pagetable_reserve(struct pagetable *table, uaddr address, u64 count)
{
    struct range range;
    if (count > ADDRESS_END >> PAGE_SHIFT ||
        !range_make(address.value & PAGE_MASK, count << PAGE_SHIFT, &range) ||
        range_end(range) > ADDRESS_END)
        return -EINVAL;
    for (u64 at = range.start; at < range_end(range); at = ALIGN_DOWN(at, span_of(1)) + span_of(1))
        if (leaf_make(table, at) == 0)
            return -ENOMEM;
    return 0;
}

u64 pagetable_word(frame frame, u32 prot)
{
    u64 word = frame.index << PAGE_SHIFT;
    ASSERT(frame.index != 0 && (word & ~PAGETABLE_FRAME_MASK) == 0);
    if (prot == 0)
        return word | PAGETABLE_CLOSED;
    word |= PAGETABLE_P | PAGETABLE_U;
    word |= prot & PROT_READ_BIT ? PAGETABLE_READ : 0;
    word |= prot & PROT_WRITE_BIT ? PAGETABLE_W : 0;
    word |= prot & PROT_EXEC_BIT ? 0 : PAGETABLE_NX;
    return word;
}

u64 pagetable_exchange(struct pagetable *table, uaddr address, u64 word)
{
    u64 span;
    ASSERT(address.value < ADDRESS_END);
    u64 page = leaf_find(table, address.value, &span);
    if (page == 0) {
        ASSERT(word == 0);
        return 0;
    }
    u64 *slot = page_words(table->pool, page) + index_at(address.value, 0);
    u64 old = __atomic_exchange_n(slot, word, __ATOMIC_ACQ_REL);
    if (old == 0 && word != 0)
        table->pool->pages[page].live++;
    if (old != 0 && word == 0 && --table->pool->pages[page].live == 0)
        path_unlink(table, address.value);
    return old;
}

u64 pagetable_exchange_run(struct pagetable *table, uaddr address, u64 count, u64 word, u64 *old)
{
    u64 span;
    ASSERT(count > 0 && address.value < ADDRESS_END);
    u64 page = leaf_find(table, address.value, &span);
    unsigned index = index_at(address.value, 0);
    ASSERT(page != 0);
    count = MIN(count, INDEX_COUNT - index);
    u64 *slots = page_words(table->pool, page) + index;
    u64 step = word ? PAGE_SIZE : 0;
    u32 came = 0, gone = 0;
    for (u64 i = 0; i < count; i++, word += step) {
        old[i] = __atomic_exchange_n(slots + i, word, __ATOMIC_ACQ_REL);
        came += old[i] == 0;
        gone += old[i] != 0;
    }
    if (step)
        table->pool->pages[page].live += came;
    else if (gone && (table->pool->pages[page].live -= gone) == 0)
        path_unlink(table, address.value);
    return count;
}

void pagetable_set(struct pagetable *table, uaddr address, frame frame, u32 prot)
{
    (void)pagetable_exchange(table, address, pagetable_word(frame, prot));
}

void pagetable_clear(struct pagetable *table, uaddr address)
{
    (void)pagetable_exchange(table, address, 0);
}
