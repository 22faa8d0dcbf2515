/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A space: its page table is the truth, the stub's mappings are a cache of it. PAGETABLE_CACHED
 * marks entries that the stub may have mapped; edits of other entries ask nothing of the stub.
 * Edits queue and are made together before the next run; entries that are not cached are mapped
 * when a fault hits them.
 *
 * Surprising: when the host refuses (vm.max_map_count), everything is unmapped and comes back by
 * faults.
 */
#include "platform/ptrace/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define EDIT_COUNT_MAX 4096u
#define FILL_COUNT_MAX 256u /* entries that one fault on a present entry maps */
#define FILL_TRIES_MAX 3u
#define PREMAP_COUNT_MAX 1024u /* longer runs wait for their faults */
/* What is mapped along with a page that was missing, since a run more costs the host 3 us and a
 * fault of its own 40: runs and pages. */
#define NEAR_RUNS_MAX 24u
#define NEAR_PAGES_MAX 256u
#define NEAR_DISTANCE ((u64)4 << 20)
#define PREFILL_RUNS_MAX 64u /* in a space that has not run yet */
#define PREFILL_PAGES_MAX 1024u
/* Runs of no more pages get the host's page table entries at once; of those mapped ahead few pages
 * are touched, and the host itself brings the neighbours of one that is read. */
#define POPULATE_COUNT_MAX 256u
#define AHEAD_POPULATE_MAX 8u

static struct ptrace_space *ptrace_space_of(struct space *space)
{
    return container_of(space, struct ptrace_space, base);
}

int ptrace_space_init(struct space *base)
{
    struct ptrace_space *space = ptrace_space_of(base);
    return pthread_mutex_init(&space->queue_lock, NULL) == 0 ? 0 : -ENOMEM;
}

/* No entry is left, and edits that nobody has made yet tell where the stub still has mappings. */
static void space_leave(struct ptrace_space *space)
{
    struct stub *stub = space->stub;
    stub->left_is_unknown |= space->must_drop;
    for (u32 i = 0; i < space->edit_count; i++) {
        const struct edit *edit = &space->edits[i];
        stub_left_note(stub, edit->address, edit->address + (edit->count << PAGE_SHIFT));
    }
}

void ptrace_space_fini(struct space *base)
{
    struct ptrace_space *space = ptrace_space_of(base);
    ASSERT(space->inside_count == 0);
    if (space->stub) {
        space_leave(space);
        stub_put(space->stub);
    }
    pthread_mutex_destroy(&space->queue_lock);
    free(space->edits);
}

/* ---- the queue; with queue_lock held -------------------------------------------------------- */

static void queue_set_pending(struct ptrace_space *space)
{
    __atomic_store_n(&space->is_pending, true, __ATOMIC_RELEASE);
}

static bool edit_joins(const struct edit *last, const struct edit *edit)
{
    if (last->type != edit->type || last->address + (last->count << PAGE_SHIFT) != edit->address)
        return false;
    if (edit->type == EDIT_UNMAP)
        return true;
    if (last->prot != edit->prot)
        return false;
    return edit->type == EDIT_PROTECT || last->frame + last->count == edit->frame;
}

static bool queue_grow(struct ptrace_space *space)
{
    u32 capacity = space->edit_capacity ? space->edit_capacity * 2 : 16;
    if (capacity > EDIT_COUNT_MAX)
        return false;
    struct edit *edits = realloc(space->edits, capacity * sizeof *edits);
    if (edits == NULL)
        return false;
    space->edits = edits;
    space->edit_capacity = capacity;
    return true;
}

static void queue_add(struct ptrace_space *space, struct edit edit)
{
    queue_set_pending(space);
    if (space->must_drop)
        return;
    if (space->edit_count && edit_joins(&space->edits[space->edit_count - 1], &edit)) {
        space->edits[space->edit_count - 1].count += edit.count;
        return;
    }
    if (space->edit_count == space->edit_capacity && !queue_grow(space)) {
        space->must_drop = true;
        space->edit_count = 0;
        return;
    }
    space->edits[space->edit_count++] = edit;
}

/* ---- edits ---------------------------------------------------------------------------------- */

void ptrace_space_map(struct space *base, uaddr address, frame first, u64 count, u32 prot)
{
    struct ptrace_space *space = ptrace_space_of(base);
    u64 fault = __atomic_load_n(&space->fault_address, __ATOMIC_RELAXED);
    bool is_wanted = fault >= address.value && fault - address.value < count << PAGE_SHIFT &&
                     count <= PREMAP_COUNT_MAX;
    if (is_wanted)
        __atomic_store_n(&space->fault_address, 0, __ATOMIC_RELAXED);

    pthread_mutex_lock(&space->queue_lock);
    if (is_wanted)
        space->near_address = fault;
    for (u64 i = 0; i < count; i++) {
        uaddr at = uaddr_add(address, i << PAGE_SHIFT);
        u64 word = pagetable_word((frame){first.index + i}, prot);
        u64 old = pagetable_exchange(&base->table, at, is_wanted ? word | PAGETABLE_CACHED : word);
        if (!is_wanted && !(old & PAGETABLE_CACHED))
            continue;
        __atomic_fetch_or(pagetable_slot(&base->table, at), PAGETABLE_CACHED, __ATOMIC_ACQ_REL);
        queue_add(space, (struct edit){at.value, 1, first.index + i, prot, EDIT_MAP});
    }
    pthread_mutex_unlock(&space->queue_lock);
}

void ptrace_space_unmap(struct space *base, uaddr address, u64 count)
{
    struct ptrace_space *space = ptrace_space_of(base);
    uaddr end = uaddr_add(address, count << PAGE_SHIFT);
    struct pagetable_entry entry;
    struct edit edit = {.type = EDIT_UNMAP};

    pthread_mutex_lock(&space->queue_lock);
    for (uaddr at = address; pagetable_next(&base->table, at, end, &entry);
         at = uaddr_add(entry.address, PAGE_SIZE)) {
        if (!(pagetable_exchange(&base->table, entry.address, 0) & PAGETABLE_CACHED))
            continue;
        /* What lies between them is in no entry any more, so one call may unmap it all. */
        u64 behind = edit.address + (edit.count << PAGE_SHIFT);
        if (edit.count && entry.address.value - behind > STUB_GAP_MAX) {
            queue_add(space, edit);
            edit.count = 0;
        }
        if (edit.count == 0)
            edit.address = entry.address.value;
        edit.count = ((entry.address.value - edit.address) >> PAGE_SHIFT) + 1;
    }
    if (edit.count)
        queue_add(space, edit);
    pthread_mutex_unlock(&space->queue_lock);
}

void ptrace_space_protect(struct space *base, uaddr address, u64 count, u32 prot)
{
    struct ptrace_space *space = ptrace_space_of(base);
    uaddr end = uaddr_add(address, count << PAGE_SHIFT);
    struct pagetable_entry entry;

    pthread_mutex_lock(&space->queue_lock);
    for (uaddr at = address; pagetable_next(&base->table, at, end, &entry);
         at = uaddr_add(entry.address, PAGE_SIZE)) {
        u64 *slot = pagetable_slot(&base->table, entry.address);
        u64 word = pagetable_word(entry.frame, prot);
        u64 old = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        while (!__atomic_compare_exchange_n(slot, &old,
                                            prot ? word | (old & PAGETABLE_CACHED) : word, false,
                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            ;
        if (old & PAGETABLE_CACHED)
            queue_add(space, (struct edit){entry.address.value, 1, 0, prot,
                                           prot ? EDIT_PROTECT : EDIT_UNMAP});
    }
    pthread_mutex_unlock(&space->queue_lock);
}

/* ---- batches -------------------------------------------------------------------------------- */

/* While a cpu is inside, another thread of the stub makes the edits right now: the host unmaps them
 * under that cpu's feet, and nobody has to be kicked. Otherwise the next cpu to run makes them
 * before it runs. */
u64 ptrace_space_commit(struct space *base)
{
    struct ptrace_space *space = ptrace_space_of(base);
    if (space->inside_count > 0 && space->stub) {
        /* Also without edits of ours: a drop may be under way that has cleared marks we relied on.
         */
        bool is_alive = space_flush(space, &(struct maker){stub_thread_find(space->stub)});
        (void)is_alive; /* else nothing runs in it any more */
    } else {
        pagetable_release_unlinked(&base->table);
    }
    return ++space->batch;
}

bool ptrace_space_is_done(struct space *base, u64 batch)
{
    ASSERT(batch <= ptrace_space_of(base)->batch);
    return true;
}

/* ---- the stub's side; with stub.edit held --------------------------------------------------- */

static u64 host_prot(u32 prot)
{
    return PROT_READ | (prot & PROT_WRITE_BIT ? PROT_WRITE : 0u) |
           (prot & PROT_EXEC_BIT ? PROT_EXEC : 0u);
}

static struct stub_op op_for(const struct ptrace_space *space, const struct edit *edit,
                             u64 populate_max)
{
    u64 size = edit->count << PAGE_SHIFT;
    switch (edit->type) {
    case EDIT_UNMAP:
        return op_reserve(edit->address, size);
    case EDIT_PROTECT:
        return (struct stub_op){.nr = SYS_mprotect,
                                .args = {edit->address, size, host_prot(edit->prot)}};
    case EDIT_MAP:
        break;
    }
    u64 flags = MAP_SHARED | MAP_FIXED | (edit->count <= populate_max ? MAP_POPULATE : 0u);
    return (struct stub_op){
        .nr = SYS_mmap,
        .args = {edit->address, size, host_prot(edit->prot), flags,
                 (u64)space->base.platform->memory->fd, edit->frame << PAGE_SHIFT},
    };
}

static void clear_cached(struct ptrace_space *space)
{
    struct pagetable *table = &space->base.table;
    struct pagetable_entry entry;
    uaddr end = uaddr_make(SPACE_ADDRESS_END);
    for (uaddr at = uaddr_make(0); pagetable_next(table, at, end, &entry);
         at = uaddr_add(entry.address, PAGE_SIZE)) {
        u64 *slot = pagetable_slot(table, entry.address);
        if (slot)
            __atomic_fetch_and(slot, ~PAGETABLE_CACHED, __ATOMIC_ACQ_REL);
    }
}

/* Unmap everything; queued edits are then done too. */
static bool space_drop(struct ptrace_space *space, struct stub_thread *thread)
{
    pthread_mutex_lock(&space->queue_lock);
    clear_cached(space);
    space->edit_count = 0;
    space->near_address = 0;
    space->must_drop = false;
    queue_set_pending(space); /* until it is done nobody runs */
    pthread_mutex_unlock(&space->queue_lock);
    u32 count = op_clear_all(space->stub->control->ops);
    if (stub_edit(space->stub, thread, count) == STUB_DONE)
        return true;
    stub_set_gone(space->stub);
    return false;
}

/*
 * Entries are claimed (marked as cached, to be mapped at once) with queue_lock held and nothing
 * queued: an edit of an earlier entry must not be made after a later one is mapped.
 */

/* Mark the entry at ADDRESS as cached if it is FRAME with PROT. */
static bool entry_claim(struct ptrace_space *space, u64 address, u64 frame_index, u32 prot)
{
    u64 *slot = pagetable_slot(&space->base.table, uaddr_make(address));
    u64 word = pagetable_word((frame){frame_index}, prot) | PAGETABLE_CACHED;
    if (slot == NULL || (__atomic_load_n(slot, __ATOMIC_ACQUIRE) | PAGETABLE_CACHED) != word)
        return false;
    __atomic_store_n(slot, word, __ATOMIC_RELEASE);
    return true;
}

/* The longest run around ENTRY that can be claimed, at most FILL_COUNT_MAX entries of its aligned
 * block. */
static struct edit run_claim(struct ptrace_space *space, const struct pagetable_entry *entry)
{
    u64 at = entry->address.value;
    u64 low = MAX(ALIGN_DOWN(at, FILL_COUNT_MAX << PAGE_SHIFT), SPACE_ADDRESS_MIN);
    u64 high = MIN(ALIGN_DOWN(at, FILL_COUNT_MAX << PAGE_SHIFT) + (FILL_COUNT_MAX << PAGE_SHIFT),
                   SPACE_ADDRESS_END);
    u64 start = at, end = at + PAGE_SIZE;
    u64 index = entry->frame.index;
    ASSERT(entry_claim(space, at, index, entry->prot));
    while (start > low && index > (at - start) / PAGE_SIZE + 1 &&
           !entry_is_cached(&space->base.table, start - PAGE_SIZE) &&
           entry_claim(space, start - PAGE_SIZE, index - (at - start) / PAGE_SIZE - 1, entry->prot))
        start -= PAGE_SIZE;
    while (end < high && !entry_is_cached(&space->base.table, end) &&
           entry_claim(space, end, index + (end - at) / PAGE_SIZE, entry->prot))
        end += PAGE_SIZE;
    return (struct edit){start, (end - start) >> PAGE_SHIFT, index - (at - start) / PAGE_SIZE,
                         entry->prot, EDIT_MAP};
}

/* ---- what is mapped ahead; with queue_lock held and nothing queued --------------------------- */

/* Operations that are gathered in control->ops. */
struct ahead {
    struct ptrace_space *space;
    u32 count;     /* of operations */
    u32 runs_left; /* that may still come */
    u64 pages_left;
};

/* The run around ENTRY, unless the stub has it or nobody may touch it. Where the search goes on. */
static u64 ahead_add(struct ahead *ahead, const struct pagetable_entry *entry, u64 count)
{
    struct ptrace_space *space = ahead->space;
    if (entry_is_cached(&space->base.table, entry->address.value) || entry->prot == 0)
        return entry->address.value + (count << PAGE_SHIFT);
    struct edit edit = run_claim(space, entry);
    space->stub->control->ops[ahead->count++] = op_for(space, &edit, AHEAD_POPULATE_MAX);
    ahead->runs_left--;
    ahead->pages_left -= MIN(ahead->pages_left, edit.count);
    return MAX(edit.address + (edit.count << PAGE_SHIFT), entry->address.value + PAGE_SIZE);
}

/* Runs in [start, end), from below. */
static void ahead_range(struct ahead *ahead, u64 start, u64 end)
{
    struct pagetable_entry entry;
    u64 count;
    start = MAX(start, SPACE_ADDRESS_MIN);
    end = MIN(end, SPACE_ADDRESS_END);
    while (start < end && ahead->runs_left > 0 && ahead->pages_left > 0 &&
           pagetable_next_run(&ahead->space->base.table, uaddr_make(start), uaddr_make(end),
                              FILL_COUNT_MAX, &entry, &count))
        start = ahead_add(ahead, &entry, count);
}

/* The run with ADDRESS in it. */
static void ahead_at(struct ahead *ahead, u64 address)
{
    u64 page = ALIGN_DOWN(address, PAGE_SIZE);
    ahead_range(ahead, page, page + PAGE_SIZE);
}

/* Behind COUNT operations: what lies near ADDRESS, upwards first. How many operations then. */
static u32 near_add(struct ptrace_space *space, u64 address, u32 count)
{
    u64 distance = MIN(address, NEAR_DISTANCE);
    struct ahead ahead = {space, count, MIN(NEAR_RUNS_MAX, STUB_OPS_MAX - count), NEAR_PAGES_MAX};
    ahead_range(&ahead, address, address + NEAR_DISTANCE);
    ahead_range(&ahead, address - distance, address);
    return ahead.count;
}

/* Behind COUNT operations: the runs at the instruction and at the stack, and then others from
 * below. */
static u32 prefill_choose(struct ptrace_space *space, const struct regs *regs, u32 count)
{
    struct ahead ahead = {space, count, PREFILL_RUNS_MAX, PREFILL_PAGES_MAX};
    ahead_at(&ahead, regs->rip);
    ahead_at(&ahead, regs->rsp);
    ahead_at(&ahead, regs->rsp - 1);
    ahead_range(&ahead, SPACE_ADDRESS_MIN, SPACE_ADDRESS_END);
    return ahead.count;
}

/* Move queued edits into the stub's list; how many. */
static u32 queue_take(struct ptrace_space *space)
{
    u32 count = MIN(space->edit_count, STUB_OPS_MAX);
    for (u32 i = 0; i < count; i++)
        space->stub->control->ops[i] = op_for(space, &space->edits[i], POPULATE_COUNT_MAX);
    for (u32 i = count; i < space->edit_count; i++)
        space->edits[i - count] = space->edits[i];
    space->edit_count -= count;
    if (space->edit_count > 0)
        return count;
    u64 near = space->near_address;
    space->near_address = 0;
    return near && count ? near_add(space, near, count) : count;
}

/* The stub has made what was taken of the queue, which is locked. */
static void queue_settle(struct ptrace_space *space)
{
    if (space->edit_count == 0 && !space->must_drop)
        __atomic_store_n(&space->is_pending, false, __ATOMIC_RELEASE);
}

/* Make the first COUNT of control->ops, or let the thread take them along. */
static enum stub_result ops_make(struct ptrace_space *space, const struct maker *maker, u32 count,
                                 bool is_last)
{
    if (is_last && maker->may_fly && count <= STUB_FLIGHT_OPS_MAX) {
        /* Other cpus must not run the program before they are made. */
        queue_set_pending(space);
        flight_prepare(maker->thread, count);
        return STUB_DONE;
    }
    return stub_edit(space->stub, maker->thread, count);
}

static bool flies(const struct maker *maker)
{
    return maker->thread && maker->thread->flight_count;
}

bool space_land(struct ptrace_space *space, struct stub_thread *thread, enum stub_result result)
{
    bool is_alive = result == STUB_DONE || (result == STUB_FAILED && space_drop(space, thread));
    space->must_walk |= result == STUB_FAILED;
    pthread_mutex_lock(&space->queue_lock);
    queue_settle(space);
    pthread_mutex_unlock(&space->queue_lock);
    thread->flight_count = 0;
    __atomic_store_n(&space->stub->flying, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&space->stub->edit);
    return is_alive && !stub_is_gone(space->stub);
}

/* The last of the edits may be left to a flight. */
static bool space_flush_locked(struct ptrace_space *space, const struct maker *maker)
{
    while (__atomic_load_n(&space->is_pending, __ATOMIC_ACQUIRE)) {
        pthread_mutex_lock(&space->queue_lock);
        bool must_drop = space->must_drop;
        u32 count = must_drop ? 0 : queue_take(space);
        bool is_last = space->edit_count == 0;
        if (!must_drop && count == 0)
            queue_settle(space);
        pthread_mutex_unlock(&space->queue_lock);
        if (!must_drop && count == 0)
            continue;
        enum stub_result result = must_drop ? STUB_FAILED : ops_make(space, maker, count, is_last);
        if (result == STUB_GONE || (result == STUB_FAILED && !space_drop(space, maker->thread)))
            return false;
        if (flies(maker))
            return true;
    }
    return !stub_is_gone(space->stub);
}

bool space_flush(struct ptrace_space *space, const struct maker *maker)
{
    stub_lock(space->stub);
    bool is_alive = space_flush_locked(space, maker);
    if (!flies(maker))
        pthread_mutex_unlock(&space->stub->edit);
    return is_alive;
}

/* Lock the queue when nothing is in it. False: the stub is gone, and it is not locked. */
static bool queue_lock_empty(struct ptrace_space *space, struct stub_thread *thread)
{
    for (;;) {
        if (!space_flush_locked(space, &(struct maker){thread}))
            return false;
        pthread_mutex_lock(&space->queue_lock);
        if (!space->is_pending)
            return true;
        pthread_mutex_unlock(&space->queue_lock);
    }
}

static enum fill_result space_fill_locked(struct ptrace_space *space, const struct maker *maker,
                                          u64 address, u32 access)
{
    for (u32 tries = 0; tries < FILL_TRIES_MAX; tries++) {
        struct pagetable_entry entry;
        if (!queue_lock_empty(space, maker->thread))
            return FILL_GONE;
        bool is_allowed = pagetable_get(&space->base.table, uaddr_make(address), &entry) &&
                          pagetable_allows(entry.prot, access);
        u32 count = 0;
        if (is_allowed) {
            struct edit edit = run_claim(space, &entry);
            space->stub->control->ops[0] = op_for(space, &edit, POPULATE_COUNT_MAX);
            count = near_add(space, address, 1);
        }
        pthread_mutex_unlock(&space->queue_lock);
        if (!is_allowed)
            return FILL_REFUSED;
        enum stub_result result = ops_make(space, maker, count, true);
        if (result == STUB_DONE)
            return FILL_DONE;
        if (result == STUB_GONE || !space_drop(space, maker->thread))
            return FILL_GONE;
    }
    stub_set_gone(space->stub); /* a host that maps nothing even in an empty process */
    return FILL_GONE;
}

enum fill_result space_fill(struct ptrace_space *space, const struct maker *maker, u64 address,
                            u32 access)
{
    if (address < SPACE_ADDRESS_MIN || address >= SPACE_ADDRESS_END)
        return FILL_REFUSED;
    stub_lock(space->stub);
    enum fill_result result = space_fill_locked(space, maker, address, access);
    if (!flies(maker))
        pthread_mutex_unlock(&space->stub->edit);
    return result;
}

/* What is cleared was another space's: until then no cpu may run this one (is_pending). */
static bool space_prefill_locked(struct ptrace_space *space, const struct maker *maker,
                                 const struct regs *regs)
{
    if (!space->is_new || !queue_lock_empty(space, maker->thread))
        return true;
    u32 count = stub_left_clear(space->stub, &space->base.table, space->stub->control->ops);
    count = prefill_choose(space, regs, count);
    if (count)
        queue_set_pending(space);
    space->is_new = false;
    pthread_mutex_unlock(&space->queue_lock);
    enum stub_result result = count ? ops_make(space, maker, count, true) : STUB_DONE;
    if (result == STUB_GONE || (result == STUB_FAILED && !space_drop(space, maker->thread)))
        return false;
    return flies(maker) || space_flush_locked(space, maker);
}

bool space_prefill(struct ptrace_space *space, const struct maker *maker, const struct regs *regs)
{
    stub_lock(space->stub);
    bool is_alive = space_prefill_locked(space, maker, regs);
    if (!flies(maker))
        pthread_mutex_unlock(&space->stub->edit);
    return is_alive && !stub_is_gone(space->stub);
}
