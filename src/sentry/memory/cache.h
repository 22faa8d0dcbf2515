/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of mappings and the bound of the page cache. A page is busy while its file fills it or
 * writes it back: whoever wants to take it away waits (cache_wait). Only clean pages of FRAME_CACHE
 * that have a file behind them are evicted, oldest use first, and only while nobody else holds the
 * frame.
 */
#pragma once
#include "sentry/memory/mapping.h"

struct page {
    struct mapping *mapping;
    u64 index;
    frame frame;
    bool is_dirty;
    bool is_filling;
    bool is_writing;
    struct list lru; /* linked while it may be evicted */
};

struct page_lru {
    struct list clean;
    u64 clean_count;
    struct wait_queue changed; /* a page is no longer busy */
};

MUST_CHECK struct page_lru *page_lru_create(struct arena *arena);
void page_lru_destroy(struct arena *arena, struct page_lru *lru);
/* Let go of up to WANT frames; how many went. Never sleeps. */
u64 page_lru_evict(struct memory *memory, u64 want);

/* Lent until the next sleep; NULL when it is not there or not yet filled. */
struct page *cache_find(const struct mapping *mapping, u64 index);
/* Put FRAME (its reference is taken on success) in as a ready page. 0, -EEXIST, -ENOMEM, -ENOSPC.
 */
MUST_CHECK int cache_insert(struct mapping *mapping, u64 index, frame frame, struct page **out);
/* Make the page at INDEX present, or some of those before it in its block; the block's absent pages
 * with it. */
MUST_CHECK SLEEPS int cache_fill_around(struct mapping *mapping, struct fiber *fiber, u64 index);
/* Make pages from INDEX on present: at least that one, up to COUNT where they are cheap. */
MUST_CHECK SLEEPS int cache_fill(struct mapping *mapping, struct fiber *fiber, u64 index,
                                 u64 count);
/* It is not busy: forget it and drop its frame. */
void cache_remove(struct page *page);
void cache_mark_dirty(struct page *page);
void cache_mark_clean(struct page *page);
/* It was used just now. */
void cache_touch(struct page *page);
/* Sleep until some page is no longer busy. */
SLEEPS void cache_wait(struct mapping *mapping, struct fiber *fiber);
void cache_wake(struct mapping *mapping);
/* First busy page in [from, end): true. */
bool cache_is_busy(const struct mapping *mapping, u64 from, u64 end);
