/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame table: which pages of the memfile are in use, by whom counted, and what is known of the
 * free ones. Frames lie in groups of 16 MiB whose tables are made when a group is first reached; a
 * run never crosses groups.
 *
 * A first touch of a page of the memfile costs the host 11 us, populating it in a run 0.23 us,
 * clearing a page that is there 0.1 us. So fresh pages are populated in batches ahead of use, freed
 * ones stay backed up to a bound and are cleared when they are handed out, and the lowest free
 * frame goes first: used memory before fresh.
 */
#include "sentry/memory/frames.h"

#include <string.h>

#include "abi/errno.h"
#include "base/bitmap.h"
#include "sentry/memory/cache.h"

#define GROUP_SHIFT 12
#define GROUP_FRAMES ((u64)1 << GROUP_SHIFT)
#define GROUP_WORDS BITMAP_WORDS(GROUP_FRAMES)

#define USE_SHIFT 30
#define REFS_MASK (((u32)1 << USE_SHIFT) - 1)

/* How far populating runs ahead of use, in frames. */
#define AHEAD_MIN 64u
#define AHEAD_MAX 512u
/* Free frames beyond this many go back to the host, some at a time: giving back and populating
 * again costs ten times what clearing costs. */
#define IDLE_MIN 1024u
#define IDLE_MAX 65536u
#define TRIM_STEP 1024u

struct frame_group {
    u32 words[GROUP_FRAMES]; /* use << USE_SHIFT | references */
    u64 used[GROUP_WORDS];   /* bitmaps */
    u64 backed[GROUP_WORDS]; /* has real memory */
    u64 dirty[GROUP_WORDS];  /* free and not known to be zero */
    u32 free_count;
    u32 run_max; /* no free run is longer; an upper bound that searches lower */
};

struct frame_table {
    struct frame_group **groups;
    u64 group_count; /* made so far */
    u64 group_max;
    u64 frame_count; /* of the memfile */
    u64 used_count;
    u64 backed_count;
    u64 idle_max;
    u64 search_from; /* groups below it have no free frame */
};

static struct frame_group *group_of(const struct frame_table *table, u64 index)
{
    ASSERT(index != 0 && index >> GROUP_SHIFT < table->group_count);
    return table->groups[index >> GROUP_SHIFT];
}

/* Frames of group GROUP that the memfile really has. */
static u64 group_limit(const struct frame_table *table, u64 group)
{
    return MIN(GROUP_FRAMES, table->frame_count - (group << GROUP_SHIFT));
}

static bool group_add(struct memory *memory)
{
    struct frame_table *table = memory->frames;
    if (table->group_count == table->group_max)
        return false;
    struct frame_group *group = arena_alloc(memory->arena, sizeof *group);
    if (!group)
        return false;
    group->free_count = (u32)group_limit(table, table->group_count);
    group->run_max = group->free_count;
    if (table->group_count == 0) { /* frame 0 means "none" */
        bitmap_set(group->used, 0);
        group->free_count--;
    }
    table->groups[table->group_count++] = group;
    return true;
}

int memory_create(struct arena *arena, struct machine_memory *file, u64 frames_max,
                  struct memory **out)
{
    struct memory *memory = arena_alloc(arena, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    memory->arena = arena;
    memory->file = file;
    memory->frames_max = MIN(frames_max, file->frame_count - 1);
    memory->cache_max = MAX(memory->frames_max / 4, 64);
    memory->lru = page_lru_create(arena);
    struct frame_table *table = memory->frames = arena_alloc(arena, sizeof *table);
    if (!memory->lru || !table)
        goto undo;
    table->frame_count = file->frame_count;
    table->group_max = (file->frame_count + GROUP_FRAMES - 1) >> GROUP_SHIFT;
    table->idle_max = MIN(MAX(memory->frames_max / 4, IDLE_MIN), IDLE_MAX);
    table->groups = arena_alloc_array(arena, table->group_max, sizeof *table->groups);
    if (!table->groups)
        goto undo;
    *out = memory;
    return 0;
undo:
    arena_free(arena, table, sizeof *table);
    page_lru_destroy(arena, memory->lru);
    arena_free(arena, memory, sizeof *memory);
    return -ENOMEM;
}

void memory_destroy(struct memory *memory)
{
    struct arena *arena = memory->arena;
    struct frame_table *table = memory->frames;
    ASSERT(table->used_count == 0);
    for (u64 i = 0; i < table->group_count; i++)
        arena_free(arena, table->groups[i], sizeof *table->groups[i]);
    arena_free(arena, table->groups, table->group_max * sizeof *table->groups);
    arena_free(arena, table, sizeof *table);
    page_lru_destroy(arena, memory->lru);
    arena_free(arena, memory, sizeof *memory);
}

/* ---- finding ------------------------------------------------------------------------------------
 */

/* How many free frames begin at INDEX, at most WANT; 0 when it is not free. */
static u64 run_at(const struct frame_table *table, u64 index, u64 want)
{
    u64 group_index = index >> GROUP_SHIFT;
    if (index == 0 || group_index >= table->group_count)
        return 0;
    const struct frame_group *group = table->groups[group_index];
    u64 from = index % GROUP_FRAMES;
    u64 limit = MIN(group_limit(table, group_index), from + want);
    if (from >= limit)
        return 0;
    return bitmap_find_set(group->used, limit, from) - from;
}

/* The lowest run of WANT free frames in the groups that are made; 0 if there is none. */
static u64 run_search(struct frame_table *table, u64 want)
{
    while (table->search_from < table->group_count &&
           table->groups[table->search_from]->free_count == 0)
        table->search_from++;
    for (u64 i = table->search_from; i < table->group_count; i++) {
        struct frame_group *group = table->groups[i];
        if (group->free_count < want || group->run_max < want)
            continue;
        u64 limit = group_limit(table, i);
        u64 found = bitmap_find_zero_run(group->used, limit, 0, want);
        if (found < limit)
            return (i << GROUP_SHIFT) + found;
        group->run_max = (u32)want - 1;
    }
    return 0;
}

/* A free run of at most *WANT, which becomes its length; its first frame, or 0 when there is none.
 */
static u64 run_find(struct memory *memory, u64 hint, u64 *want)
{
    struct frame_table *table = memory->frames;
    u64 at_hint = hint ? run_at(table, hint, *want) : 0;
    if (at_hint == *want)
        return hint;
    u64 index = run_search(table, *want);
    if (!index && group_add(memory))
        index = run_search(table, *want);
    while (!index && *want > 1) { /* broken up: shorter ones */
        *want /= 2;
        index = run_search(table, *want);
    }
    return index;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/* The free, backed frames [from, to) of a group go. */
static void stretch_discard(struct memory *memory, u64 group_index, u64 from, u64 to)
{
    struct frame_group *group = memory->frames->groups[group_index];
    machine_discard(memory->file, (frame){(group_index << GROUP_SHIFT) + from}, to - from);
    for (u64 i = from; i < to; i++) {
        bitmap_clear(group->backed, i);
        bitmap_clear(group->dirty, i);
    }
    memory->frames->backed_count -= to - from;
}

/* Of one group, up to COUNT; how many. */
static u64 group_trim(struct memory *memory, u64 group_index, u64 count)
{
    struct frame_group *group = memory->frames->groups[group_index];
    u64 limit = group_limit(memory->frames, group_index), gone = 0;
    for (u64 w = 0; w < GROUP_WORDS && gone < count;) {
        u64 idle = group->backed[w] & ~group->used[w];
        if (idle == 0) {
            w++;
            continue;
        }
        u64 from = w * 64 + (u64)__builtin_ctzll(idle);
        u64 to = MIN(bitmap_find_set(group->used, limit, from),
                     bitmap_find_zero(group->backed, limit, from));
        to = from + MIN(to - from, count - gone);
        stretch_discard(memory, group_index, from, to);
        gone += to - from;
    }
    return gone;
}

/* Up to COUNT free frames, from the end of the file, where they are handed out last. */
static void trim(struct memory *memory, u64 count)
{
    for (u64 i = memory->frames->group_count; i > 0 && count > 0; i--)
        if (memory->frames->groups[i - 1]->free_count)
            count -= group_trim(memory, i - 1, count);
}

/* ---- backing ------------------------------------------------------------------------------------
 */

/* Give the frames [from, end) of GROUP real memory, and free ones behind END ahead of their use. */
static int stretch_back(struct memory *memory, u64 group_index, u64 from, u64 end)
{
    struct frame_table *table = memory->frames;
    struct frame_group *group = table->groups[group_index];
    u64 ahead = MIN(MAX(table->backed_count / 8, AHEAD_MIN), AHEAD_MAX);
    u64 limit = MIN(group_limit(table, group_index), MAX(from + ahead, end));
    u64 room = memory->frames_max > table->backed_count ? memory->frames_max - table->backed_count
                                                        : 0;
    limit = MAX(MIN(limit, from + room), end);
    if (limit > end) {
        limit = MIN(limit, bitmap_find_set(group->used, limit, end));
        limit = MIN(limit, bitmap_find_set(group->backed, limit, end));
    }
    frame first = {(group_index << GROUP_SHIFT) + from};
    if (machine_populate(memory->file, first, limit - from) < 0)
        return -ENOMEM;
    for (u64 i = from; i < limit; i++)
        bitmap_set(group->backed, i);
    table->backed_count += limit - from;
    return 0;
}

/* Give every frame of the free run real memory. */
static int run_back(struct memory *memory, u64 first, u64 count)
{
    struct frame_table *table = memory->frames;
    struct frame_group *group = group_of(table, first);
    u64 end = first % GROUP_FRAMES + count;
    u64 from = bitmap_find_zero(group->backed, end, first % GROUP_FRAMES);
    while (from < end) {
        u64 to = bitmap_find_set(group->backed, end, from);
        if (table->backed_count + (to - from) > memory->frames_max)
            memory_trim(memory); /* the free ones that are backed take the room */
        if (stretch_back(memory, first >> GROUP_SHIFT, from, to) < 0)
            return -ENOMEM;
        from = bitmap_find_zero(group->backed, end, from);
    }
    return 0;
}

/* Clear those pages of the run that may hold something. */
static void run_clear(struct memory *memory, u64 first, u64 count)
{
    struct frame_group *group = group_of(memory->frames, first);
    u64 end = first % GROUP_FRAMES + count;
    u64 base = first & ~(GROUP_FRAMES - 1);
    u64 from = bitmap_find_set(group->dirty, end, first % GROUP_FRAMES);
    while (from < end) {
        u64 to = bitmap_find_zero(group->dirty, end, from);
        memset(frame_bytes(memory, (frame){base + from}), 0, (to - from) << PAGE_SHIFT);
        from = bitmap_find_set(group->dirty, end, to);
    }
}

static int run_alloc(struct memory *memory, enum frame_use use, u64 want, u64 hint, bool is_zeroed,
                     frame *first, u64 *count)
{
    struct frame_table *table = memory->frames;
    ASSERT(want > 0 && use < FRAME_USE_COUNT);
    want = MIN(want, GROUP_FRAMES);
    if (table->used_count + want > memory->frames_max)
        (void)page_lru_evict(memory, table->used_count + want - memory->frames_max);
    if (table->used_count >= memory->frames_max)
        return -ENOMEM;
    want = MIN(want, memory->frames_max - table->used_count);
    u64 index = run_find(memory, hint, &want);
    if (!index || run_back(memory, index, want) < 0)
        return -ENOMEM;
    if (is_zeroed)
        run_clear(memory, index, want);

    struct frame_group *group = group_of(table, index);
    for (u64 i = index % GROUP_FRAMES; i < index % GROUP_FRAMES + want; i++) {
        bitmap_set(group->used, i);
        bitmap_clear(group->dirty, i);
        group->words[i] = (u32)use << USE_SHIFT | 1;
    }
    group->free_count -= (u32)want;
    table->used_count += want;
    memory->used[use] += want;
    *first = (frame){index};
    *count = want;
    return 0;
}

int frame_alloc_run(struct memory *memory, enum frame_use use, u64 want, u64 hint, frame *first,
                    u64 *count)
{
    return run_alloc(memory, use, want, hint, true, first, count);
}

int frame_alloc_run_raw(struct memory *memory, enum frame_use use, u64 want, u64 hint, frame *first,
                        u64 *count)
{
    return run_alloc(memory, use, want, hint, false, first, count);
}

/* ---- counting -----------------------------------------------------------------------------------
 */

static u32 *word_of(const struct memory *memory, frame f)
{
    u32 *word = &group_of(memory->frames, f.index)->words[f.index % GROUP_FRAMES];
    ASSERT((*word & REFS_MASK) > 0); /* a free frame is nobody's to count */
    return word;
}

void frame_get(struct memory *memory, frame f)
{
    u32 *word = word_of(memory, f);
    ASSERT((*word & REFS_MASK) < REFS_MASK);
    ++*word;
}

void frame_get_run(struct memory *memory, frame first, u64 count)
{
    for (u64 i = 0; i < count; i++)
        frame_get(memory, (frame){first.index + i});
}

static void frame_release(struct memory *memory, frame f, enum frame_use use)
{
    struct frame_table *table = memory->frames;
    struct frame_group *group = group_of(table, f.index);
    u64 i = f.index % GROUP_FRAMES;
    group->words[i] = 0;
    bitmap_clear(group->used, i);
    bitmap_set(group->dirty, i);
    group->free_count++;
    group->run_max = (u32)GROUP_FRAMES;
    table->search_from = MIN(table->search_from, f.index >> GROUP_SHIFT);
    table->used_count--;
    memory->used[use]--;
}

void frame_put(struct memory *memory, frame f)
{
    frame_put_run(memory, f, 1);
}

void frame_put_run(struct memory *memory, frame first, u64 count)
{
    struct frame_table *table = memory->frames;
    for (u64 i = 0; i < count; i++) {
        frame f = {first.index + i};
        u32 *word = word_of(memory, f);
        --*word;
        if ((*word & REFS_MASK) == 0)
            frame_release(memory, f, *word >> USE_SHIFT);
    }
    if (table->backed_count - table->used_count > table->idle_max)
        trim(memory, TRIM_STEP);
}

u32 frame_refs(const struct memory *memory, frame f)
{
    return group_of(memory->frames, f.index)->words[f.index % GROUP_FRAMES] & REFS_MASK;
}

enum frame_use frame_use_of(const struct memory *memory, frame f)
{
    return *word_of(memory, f) >> USE_SHIFT;
}

void frame_set_use(struct memory *memory, frame f, enum frame_use use)
{
    u32 *word = word_of(memory, f);
    memory->used[*word >> USE_SHIFT]--;
    memory->used[use]++;
    *word = (u32)use << USE_SHIFT | (*word & REFS_MASK);
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

void memory_trim(struct memory *memory)
{
    trim(memory, UINT64_MAX);
    ASSERT(memory->frames->backed_count == memory->frames->used_count);
}

bool frame_next_used(const struct memory *memory, frame *f)
{
    const struct frame_table *table = memory->frames;
    for (u64 index = f->index + 1; index >> GROUP_SHIFT < table->group_count;) {
        u64 group_index = index >> GROUP_SHIFT;
        u64 limit = group_limit(table, group_index);
        u64 found = bitmap_find_set(table->groups[group_index]->used, limit, index % GROUP_FRAMES);
        if (found < limit) {
            *f = (frame){(group_index << GROUP_SHIFT) + found};
            return true;
        }
        index = (group_index + 1) << GROUP_SHIFT;
    }
    return false;
}

u64 memory_used(const struct memory *memory)
{
    return memory->frames->used_count;
}

u64 memory_backed(const struct memory *memory)
{
    return memory->frames->backed_count;
}
