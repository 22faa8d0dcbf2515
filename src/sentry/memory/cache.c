/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of mappings: making, filling, dirtying, evicting. All busy pages of a sandbox share one
 * wait queue, since a page may be gone when its sleepers wake; they look again by index.
 */
#include "sentry/memory/cache.h"

#include "abi/errno.h"
#include "sentry/memory/frames.h"

/* One fill asks a file for at most this many pages. */
#define FILL_MAX 64u
/* A fault asks for the aligned block around its page; in large programs, which are used here and
 * there, for a larger one. */
#define AROUND 32u
#define AROUND_LARGE 64u
#define LARGE_FILE ((u64)4 << 20)

struct page_lru *page_lru_create(struct arena *arena)
{
    struct page_lru *lru = arena_alloc(arena, sizeof *lru);
    if (lru) {
        list_init(&lru->clean);
        wait_queue_init(&lru->changed);
    }
    return lru;
}

void page_lru_destroy(struct arena *arena, struct page_lru *lru)
{
    ASSERT(!lru || list_is_empty(&lru->clean));
    arena_free(arena, lru, sizeof *lru);
}

static bool page_is_evictable(const struct page *page)
{
    const struct mapping *mapping = page->mapping;
    return mapping->use == FRAME_CACHE && mapping->ops && mapping->ops->fill && !page->is_dirty &&
           !page->is_filling && !page->is_writing;
}

static void lru_remove(struct page *page)
{
    if (!list_is_linked(&page->lru))
        return;
    list_remove(&page->lru);
    page->mapping->memory->lru->clean_count--;
}

/* To the young end, if it may go at all. */
static void lru_add(struct page *page)
{
    lru_remove(page);
    if (!page_is_evictable(page))
        return;
    struct page_lru *lru = page->mapping->memory->lru;
    list_add_tail(&lru->clean, &page->lru);
    lru->clean_count++;
}

u64 page_lru_evict(struct memory *memory, u64 want)
{
    u64 gone = 0;
    for (u64 looks = memory->lru->clean_count; looks > 0 && gone < want; looks--) {
        struct page *page = list_first(&memory->lru->clean, struct page, lru);
        if (frame_refs(memory, page->frame) > 1) {
            lru_add(page); /* mapped or being copied: in use */
            continue;
        }
        cache_remove(page);
        gone++;
    }
    return gone;
}

struct page *cache_find(const struct mapping *mapping, u64 index)
{
    struct page *page = map_find(&mapping->pages, index);
    return page && !page->is_filling ? page : NULL;
}

void cache_touch(struct page *page)
{
    if (list_is_linked(&page->lru))
        lru_add(page);
}

void cache_mark_dirty(struct page *page)
{
    if (page->is_dirty)
        return;
    page->is_dirty = true;
    page->mapping->dirty_count++;
    lru_remove(page);
}

void cache_mark_clean(struct page *page)
{
    if (page->is_dirty) {
        page->is_dirty = false;
        page->mapping->dirty_count--;
    }
    lru_add(page);
}

static void charge_back(struct mapping *mapping)
{
    if (mapping->charge) {
        int err = mapping->charge(mapping, -1);
        ASSERT(err == 0);
    }
}

void cache_remove(struct page *page)
{
    struct mapping *mapping = page->mapping;
    ASSERT(!page->is_filling && !page->is_writing);
    lru_remove(page);
    if (page->is_dirty)
        mapping->dirty_count--;
    void *removed = map_remove(&mapping->pages, page->index);
    ASSERT(removed == page);
    frame_put(mapping->memory, page->frame);
    charge_back(mapping);
    arena_free(mapping->memory->arena, page, sizeof *page);
}

static int page_add(struct mapping *mapping, u64 index, frame frame, bool is_filling,
                    struct page **out)
{
    struct arena *arena = mapping->memory->arena;
    if (mapping->pages_max && mapping->pages.count >= mapping->pages_max)
        return -ENOSPC;
    if (mapping->charge && mapping->charge(mapping, 1) < 0)
        return -ENOSPC;
    struct page *page = arena_alloc(arena, sizeof *page);
    int err = page ? map_add(&mapping->pages, index, page) : -ENOMEM;
    if (err) {
        arena_free(arena, page, sizeof *page);
        charge_back(mapping);
        return err;
    }
    page->mapping = mapping;
    page->index = index;
    page->frame = frame;
    page->is_filling = is_filling;
    lru_add(page);
    *out = page;
    return 0;
}

int cache_insert(struct mapping *mapping, u64 index, frame frame, struct page **out)
{
    return page_add(mapping, index, frame, false, out);
}

void cache_wait(struct mapping *mapping, struct fiber *fiber)
{
    ASSERT(fiber); /* a test without fibers never meets a busy page */
    fiber_sleep_on_hard(fiber, &mapping->memory->lru->changed);
}

void cache_wake(struct mapping *mapping)
{
    wake_up_all(&mapping->memory->lru->changed);
}

bool cache_is_busy(const struct mapping *mapping, u64 from, u64 end)
{
    u64 index;
    for (struct page *page = map_ceiling(&mapping->pages, from, &index); page && index < end;
         page = map_ceiling(&mapping->pages, index + 1, &index)) {
        if (page->is_filling || page->is_writing)
            return true;
        if (index == UINT64_MAX)
            break;
    }
    return false;
}

/* ---- filling ------------------------------------------------------------------------------------
 */

/* The pages of one fill. */
struct fill {
    struct page *pages[FILL_MAX];
    u8 *bytes[FILL_MAX];
    u64 count;
};

/* How many absent pages begin at INDEX, at most COUNT; at least one, since INDEX is absent. */
static u64 fill_extent(const struct mapping *mapping, u64 index, u64 count)
{
    u64 next;
    if (map_ceiling(&mapping->pages, index, &next))
        count = MIN(count, next - index);
    u64 file_pages = (mapping->size >> PAGE_SHIFT) + ((mapping->size & ~PAGE_MASK) != 0);
    u64 in_file = index < file_pages ? file_pages - index : 1;
    u64 bound = mapping->use == FRAME_CACHE ? MAX(mapping->memory->cache_max / 4, 1) : FILL_MAX;
    return MIN(MIN(count, in_file), MIN(bound, FILL_MAX));
}

/* The frame that would make the pages from INDEX on go on with the page below or lead to the one
 * above: runs of a file's pages are mapped at once. 0: neither is there. */
static u64 fill_hint(const struct mapping *mapping, u64 index, u64 count)
{
    const struct page *below = index ? map_find(&mapping->pages, index - 1) : NULL;
    if (below)
        return below->frame.index + 1;
    const struct page *above = map_find(&mapping->pages, index + count);
    return above && above->frame.index > count ? above->frame.index - count : 0;
}

/* New busy pages from INDEX on; at least one, or -errno and nothing. */
static int fill_begin(struct mapping *mapping, u64 index, u64 count, struct fill *fill)
{
    struct memory *memory = mapping->memory;
    u64 hint = fill_hint(mapping, index, count);
    int err = 0;
    fill->count = 0;
    while (fill->count < count) {
        frame first;
        u64 got;
        err = frame_alloc_run(memory, mapping->use, count - fill->count, hint, &first, &got);
        if (err)
            break;
        u64 used = 0;
        for (; used < got && !err; used++) {
            frame f = {first.index + used};
            struct page **slot = &fill->pages[fill->count];
            err = page_add(mapping, index + fill->count, f, true, slot);
            if (err)
                break;
            fill->bytes[fill->count++] = frame_bytes(memory, f);
        }
        if (used < got)
            frame_put_run(memory, (frame){first.index + used}, got - used);
        if (err)
            break;
        hint = first.index + got;
    }
    return fill->count ? 0 : err;
}

static void fill_end(struct mapping *mapping, struct fill *fill, int err)
{
    for (u64 i = 0; i < fill->count; i++) {
        struct page *page = fill->pages[i];
        page->is_filling = false;
        if (err)
            cache_remove(page);
        else
            lru_add(page);
    }
    cache_wake(mapping);
}

SLEEPS static int ops_fill(struct mapping *mapping, struct fiber *fiber, u64 index, u64 count,
                           u8 *const *pages)
{
    return mapping->ops->fill(mapping, fiber, index, count, pages);
}

int cache_fill(struct mapping *mapping, struct fiber *fiber, u64 index, u64 count)
{
    struct memory *memory = mapping->memory;
    count = fill_extent(mapping, index, count);
    if (mapping->use == FRAME_CACHE && memory->used[FRAME_CACHE] + count > memory->cache_max)
        (void)page_lru_evict(memory, memory->used[FRAME_CACHE] + count - memory->cache_max);
    struct fill fill;
    int err = fill_begin(mapping, index, count, &fill);
    if (err)
        return err;
    bool is_behind_end = index << PAGE_SHIFT >= mapping->size;
    if (mapping->ops && mapping->ops->fill && !is_behind_end)
        err = ops_fill(mapping, fiber, index, fill.count, fill.bytes);
    fill_end(mapping, &fill, err);
    return err;
}

int cache_fill_around(struct mapping *mapping, struct fiber *fiber, u64 index)
{
    u64 block = mapping->size > LARGE_FILE ? AROUND_LARGE : AROUND;
    if (mapping->use == FRAME_CACHE && mapping->memory->cache_max / 4 < block)
        return cache_fill(mapping, fiber, index, 1);
    u64 start = ALIGN_DOWN(index, block), end = start + block, below;
    if (index > start && map_floor(&mapping->pages, index - 1, &below) && below >= start)
        start = below + 1;
    return cache_fill(mapping, fiber, start, end - start);
}
