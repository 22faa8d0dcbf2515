/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings: reading, writing, truncating, punching and syncing through the page cache. A page that
 * is taken from the file goes out of every space first, so that no program sees what the file lost.
 *
 * Dirty pages are found by write faults: a shared mapping of a file with something behind it is
 * writable in a table only while the page is dirty. Syncing therefore closes the entries, waits
 * until every cpu knows it, and only then reads the bytes.
 */
#include "sentry/memory/mapping.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "sentry/memory/cache.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/uio.h"
#include "sentry/memory/vma.h"

/* A read fetches this many pages more than it needs, from files that are read in order. */
#define READ_AHEAD 8u

const struct field mapping_fields[] = {
    FIELD_NONE(struct mapping, memory, "set by mapping_loaded"),
    FIELD_NONE(struct mapping, ops, "set by mapping_loaded"),
    FIELD_NONE(struct mapping, owner, "set by mapping_loaded"),
    FIELD_NONE(struct mapping, pages, "mapping_save and mapping_load"),
    FIELD_NONE(struct mapping, vmas, "vmas add themselves when they are loaded"),
    FIELD(struct mapping, use),
    FIELD(struct mapping, size),
    FIELD_NONE(struct mapping, dirty_count, "counted by mapping_load"),
    FIELD_NONE(struct mapping, writable_shared_count, "counted by the vmas"),
    FIELD(struct mapping, pages_max),
    FIELD_NONE(struct mapping, charge, "set by mapping_loaded"),
    FIELD(struct mapping, id),
    FIELD_END,
};
FIELDS_COMPLETE(struct mapping, mapping_fields);

void mapping_init(struct mapping *mapping, struct memory *memory, enum frame_use use,
                  const struct mapping_ops *ops, void *owner)
{
    ASSERT(use != FRAME_ANON); /* that is what tells a private copy from a file's page */
    *mapping = (struct mapping){.memory = memory, .use = use, .ops = ops, .owner = owner};
    map_init(&mapping->pages, memory->arena);
    list_init(&mapping->vmas);
    mapping->id = ++memory->arena->object_next_id;
}

void mapping_fini(struct mapping *mapping)
{
    if (!mapping->memory) /* an inode without content */
        return;
    ASSERT(list_is_empty(&mapping->vmas));
    u64 index;
    for (struct page *page; (page = map_ceiling(&mapping->pages, 0, &index)) != NULL;)
        cache_remove(page);
    map_fini(&mapping->pages);
    mapping->memory = NULL;
}

bool mapping_find_page(struct mapping *mapping, u64 index, frame *out)
{
    struct page *page = cache_find(mapping, index);
    if (!page)
        return false;
    cache_touch(page);
    frame_get(mapping->memory, page->frame);
    *out = page->frame;
    return true;
}

int mapping_get_page(struct mapping *mapping, struct fiber *fiber, u64 index, u64 read_ahead,
                     bool for_write, frame *out)
{
    for (;;) {
        struct page *page = map_find(&mapping->pages, index);
        if (page && page->is_filling) {
            cache_wait(mapping, fiber);
            continue;
        }
        if (page) {
            if (for_write)
                cache_mark_dirty(page);
            cache_touch(page);
            frame_get(mapping->memory, page->frame);
            *out = page->frame;
            return 0;
        }
        int err = read_ahead == READ_AROUND ? cache_fill_around(mapping, fiber, index)
                                            : cache_fill(mapping, fiber, index, read_ahead + 1);
        if (err)
            return err;
    }
}

/* ---- reading and writing -------------------------------------------------------------------- */

/* The part of the transfer that lies in one page. */
static u64 page_part(u64 offset, u64 remaining)
{
    return MIN(remaining, PAGE_SIZE - (offset & ~PAGE_MASK));
}

/* Move one page's part to UIO: bytes or -errno. */
SLEEPS static i64 read_part(struct mapping *mapping, struct fiber *fiber, struct uio *uio,
                            u64 offset, u64 size)
{
    u64 index = offset >> PAGE_SHIFT;
    bool has_file = mapping->ops && mapping->ops->fill;
    if (!has_file && !map_find(&mapping->pages, index))
        return uio_put_zeros(uio, size);
    frame f;
    u64 more = (uio->remaining - 1) >> PAGE_SHIFT;
    int err = mapping_get_page(mapping, fiber, index, MAX(more, READ_AHEAD), false, &f);
    if (err)
        return err;
    i64 moved = uio_put(uio, frame_bytes(mapping->memory, f) + (offset & ~PAGE_MASK), size);
    frame_put(mapping->memory, f);
    return moved;
}

i64 mapping_read(struct mapping *mapping, struct fiber *fiber, struct uio *uio, u64 offset)
{
    u64 done = 0;
    while (uio->remaining > 0 && offset + done < mapping->size) {
        u64 at = offset + done;
        u64 size = MIN(page_part(at, uio->remaining), mapping->size - at);
        i64 moved = read_part(mapping, fiber, uio, at, size);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        if ((u64)moved < size)
            break;
    }
    return (i64)done;
}

/* A whole page that is not there yet: fill a frame of our own first, so that nobody sees half of
 * it. */
SLEEPS static i64 write_new_page(struct mapping *mapping, struct uio *uio, u64 index)
{
    struct memory *memory = mapping->memory;
    frame f;
    u64 count;
    int err = frame_alloc_run(memory, mapping->use, 1, 0, &f, &count);
    if (err)
        return err;
    i64 moved = uio_take(uio, frame_bytes(memory, f), PAGE_SIZE);
    struct page *page;
    if (moved == (i64)PAGE_SIZE) {
        err = cache_insert(mapping, index, f, &page);
        if (!err) {
            cache_mark_dirty(page);
            return moved;
        }
        moved = err;
        uio_revert(uio, PAGE_SIZE);
    } else if (moved > 0) {
        uio_revert(uio, (u64)moved); /* bad memory ahead: let the page be filled for a part */
        moved = -EEXIST;
    }
    frame_put(memory, f);
    return moved;
}

SLEEPS static i64 write_part(struct mapping *mapping, struct fiber *fiber, struct uio *uio,
                             u64 offset, u64 size)
{
    u64 index = offset >> PAGE_SHIFT;
    struct memory *memory = mapping->memory;
    if (size == PAGE_SIZE && !map_find(&mapping->pages, index)) {
        if (mapping->use == FRAME_CACHE && memory->used[FRAME_CACHE] >= memory->cache_max)
            (void)page_lru_evict(memory, memory->used[FRAME_CACHE] + 1 - memory->cache_max);
        i64 moved = write_new_page(mapping, uio, index);
        if (moved != -EEXIST)
            return moved;
    }
    frame f;
    int err = mapping_get_page(mapping, fiber, index, 0, true, &f);
    if (err)
        return err;
    i64 moved = uio_take(uio, frame_bytes(memory, f) + (offset & ~PAGE_MASK), size);
    /* It may have been synced, or cut off, while the user's memory was fetched. */
    struct page *page = cache_find(mapping, index);
    if (page && page->frame.index == f.index)
        cache_mark_dirty(page);
    frame_put(memory, f);
    return moved;
}

/* Too many dirty pages: nothing can be evicted any more. */
static bool needs_sync(const struct mapping *mapping)
{
    return mapping->use == FRAME_CACHE && mapping->ops && mapping->ops->write_back &&
           mapping->dirty_count > mapping->memory->cache_max / 2;
}

i64 mapping_write(struct mapping *mapping, struct fiber *fiber, struct uio *uio, u64 offset)
{
    u64 done = 0;
    while (uio->remaining > 0) {
        u64 at = offset + done;
        u64 size = page_part(at, uio->remaining);
        i64 moved = write_part(mapping, fiber, uio, at, size);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        mapping->size = MAX(mapping->size, at + (u64)moved);
        if ((u64)moved < size)
            break;
        if (needs_sync(mapping)) {
            int err = mapping_sync(mapping, fiber);
            if (err)
                return done ? (i64)done : err;
        }
    }
    return (i64)done;
}

/* ---- taking pages away ---------------------------------------------------------------------- */

/* Remove pages [from, end) from every space (WITH_COPIES: private copies too) and from the cache.
 */
SLEEPS static void drop_pages(struct mapping *mapping, struct fiber *fiber, u64 from, u64 end,
                              bool with_copies)
{
    for (;;) {
        vmas_unmap_file(mapping, from, end, with_copies);
        if (!cache_is_busy(mapping, from, end))
            break;
        cache_wait(mapping, fiber);
    }
    u64 index;
    struct page *page;
    while ((page = map_ceiling(&mapping->pages, from, &index)) != NULL && index < end)
        cache_remove(page);
}

/* Zero bytes [from, from + size) of one page, if there is such a page. */
MUST_CHECK SLEEPS static int zero_part(struct mapping *mapping, struct fiber *fiber, u64 from,
                                       u64 size)
{
    u64 index = from >> PAGE_SHIFT;
    bool has_file = mapping->ops && mapping->ops->fill && from < mapping->size;
    if (size == 0 || (!has_file && !map_find(&mapping->pages, index)))
        return 0;
    frame f;
    int err = mapping_get_page(mapping, fiber, index, 0, true, &f);
    if (err)
        return err;
    memset(frame_bytes(mapping->memory, f) + (from & ~PAGE_MASK), 0, size);
    frame_put(mapping->memory, f);
    return 0;
}

void mapping_truncate(struct mapping *mapping, struct fiber *fiber, u64 size)
{
    u64 old_size = mapping->size;
    u64 tail = size & ~PAGE_MASK;
    struct page *page = tail && size < old_size ? cache_find(mapping, size >> PAGE_SHIFT) : NULL;
    if (page) /* what is not cached is cut by the file itself */
        memset(frame_bytes(mapping->memory, page->frame) + tail, 0, PAGE_SIZE - tail);
    mapping->size = size;
    if (size < old_size)
        drop_pages(mapping, fiber, (size + PAGE_SIZE - 1) >> PAGE_SHIFT, UINT64_MAX, true);
}

int mapping_punch(struct mapping *mapping, struct fiber *fiber, u64 offset, u64 size)
{
    u64 end;
    if (__builtin_add_overflow(offset, size, &end))
        return -EINVAL;
    u64 first = ALIGN_UP(offset, PAGE_SIZE), last = ALIGN_DOWN(end, PAGE_SIZE);
    if (first > last) /* within one page */
        return zero_part(mapping, fiber, offset, size);
    int err = zero_part(mapping, fiber, offset, first - offset);
    if (!err)
        err = zero_part(mapping, fiber, last, end - last);
    if (!err && first < last)
        drop_pages(mapping, fiber, first >> PAGE_SHIFT, last >> PAGE_SHIFT, false);
    return err;
}

void mapping_drop_clean(struct mapping *mapping)
{
    u64 index = 0;
    struct page *page;
    while ((page = map_ceiling(&mapping->pages, index, &index)) != NULL) {
        if (list_is_linked(&page->lru) && frame_refs(mapping->memory, page->frame) == 1)
            cache_remove(page);
        if (index++ == UINT64_MAX)
            break;
    }
}

/* ---- writing back --------------------------------------------------------------------------- */

/* All dirty pages become pages in writing; what is stored from now on makes them dirty again. */
static u64 sync_begin(struct mapping *mapping)
{
    vmas_close_file(mapping);
    u64 count = 0, index = 0;
    struct page *page;
    while ((page = map_ceiling(&mapping->pages, index, &index)) != NULL) {
        if (page->is_dirty && !page->is_writing) {
            page->is_writing = true;
            cache_mark_clean(page);
            count++;
        }
        if (index++ == UINT64_MAX)
            break;
    }
    return count;
}

SLEEPS static int write_back_page(struct mapping *mapping, struct fiber *fiber, struct page *page)
{
    u64 start = page->index << PAGE_SHIFT;
    if (start >= mapping->size)
        return 0;
    return mapping->ops->write_back(mapping, fiber, page->index,
                                    frame_bytes(mapping->memory, page->frame),
                                    MIN(PAGE_SIZE, mapping->size - start));
}

int mapping_sync(struct mapping *mapping, struct fiber *fiber)
{
    if (!mapping->ops || !mapping->ops->write_back)
        return 0;
    int result = 0;
    u64 count = sync_begin(mapping), index = 0;
    struct page *page;
    while (count > 0 && (page = map_ceiling(&mapping->pages, index, &index)) != NULL) {
        index++;
        if (!page->is_writing)
            continue;
        count--;
        int err = write_back_page(mapping, fiber, page); /* busy: it stays where it is */
        page->is_writing = false;
        if (err)
            cache_mark_dirty(page);
        else if (!page->is_dirty)
            cache_mark_clean(page);
        if (!result)
            result = err;
        cache_wake(mapping);
    }
    return result;
}

/* ---- looking -------------------------------------------------------------------------------- */

i64 mapping_seek(const struct mapping *mapping, u64 offset, bool data)
{
    if (offset >= mapping->size)
        return -ENXIO;
    u64 index = offset >> PAGE_SHIFT, found;
    if (data) {
        if (!map_ceiling(&mapping->pages, index, &found) || found << PAGE_SHIFT >= mapping->size)
            return -ENXIO;
        return (i64)MAX(offset, found << PAGE_SHIFT);
    }
    while (map_find(&mapping->pages, index))
        index++;
    return (i64)MIN(MAX(offset, index << PAGE_SHIFT), mapping->size);
}

int mapping_for_each_page(const struct mapping *mapping,
                          int (*visit)(void *arg, u64 index, frame f, bool is_dirty), void *arg)
{
    u64 index = 0;
    struct page *page;
    while ((page = map_ceiling(&mapping->pages, index, &index)) != NULL) {
        ASSERT(!page->is_filling && !page->is_writing); /* the sandbox is quiet */
        int err = visit(arg, index, page->frame, page->is_dirty);
        if (err)
            return err;
        if (index++ == UINT64_MAX)
            break;
    }
    return 0;
}

int mapping_load_page(struct mapping *mapping, u64 index, frame f, bool is_dirty)
{
    struct page *page;
    int err = cache_insert(mapping, index, f, &page);
    if (err)
        return err;
    frame_set_use(mapping->memory, f, mapping->use);
    if (is_dirty)
        cache_mark_dirty(page);
    return 0;
}

bool mapping_has_dirty_page(const struct mapping *mapping, u64 index)
{
    const struct page *page = cache_find(mapping, index);
    return page && page->is_dirty;
}
