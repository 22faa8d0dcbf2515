/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults. A fault costs 20 us and more before it comes here, a page that is filled with its
 * neighbours 0.3 us: so a fault fills a run. Fresh anonymous memory takes an aligned window of 16
 * pages, doubled while faults come in order; a file's window takes what the cache has and reads
 * ahead; copying after a fork takes a few pages, and where a frame has become this space's alone
 * only the right is given back. A new mapping of a file begins with the pages that are cached, and
 * a program's small data segment with its copies, since relocation writes to it at once.
 */
#include "sentry/memory/fault.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "platform/pagetable.h"
#include "sentry/memory/cache.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/table.h"
#include "sentry/memory/vma.h"

#define ANON_RUN_MIN 16u
#define ANON_RUN_MAX 256u
#define ANON_AHEAD_MAX 4u /* a new mapping of no more pages is filled at once */
#define STACK_RUN 8u
#define HEAP_RUN ((u64)48) /* to both sides, of a heap that grows and shrinks again and again */
#define FILE_RUN 64u
#define OWN_RUN 64u      /* rights given back after a fork */
#define COPY_RUN 8u      /* shared pages copied at once after a fork */
#define FILE_COPY_RUN 4u /* pages of a file copied at once */
#define FILE_COPY_MAX 64u
#define FILE_COPY_DENSE 512u
#define FILE_COPY_DOUBLINGS 3u
#define FILE_COPY_NEAR ((u64)16 << PAGE_SHIFT) /* from the last copies: they go on */
#define FILE_DATA_MAX 64u   /* a program's data segment of no more is copied whole */
#define MAP_AHEAD_MAX 1024u /* cached pages that a new mapping takes at once */
_Static_assert(COPY_RUN <= REPLACE_MAX, "one call replaces them");

/* Addresses [start, end), whole pages. */
struct window {
    u64 start, end;
};

/* The COUNT pages (a power of two) around ADDRESS, aligned, inside the vma. */
static struct window window_around(const struct vma *vma, u64 address, u64 count)
{
    u64 start = ALIGN_DOWN(address, count << PAGE_SHIFT);
    return (struct window){MAX(start, vma->start), MIN(start + (count << PAGE_SHIFT), vma->end)};
}

static bool entry_get(const struct mm *mm, u64 address, struct pagetable_entry *out)
{
    return pagetable_get(space_table(mm->space), uaddr_make(address), out);
}

static int fault_fail(struct fault *fault, int err, i32 signo, i32 code)
{
    fault->signo = signo;
    fault->code = code;
    return err;
}

/* No memory: the process goes, as the host's killer would have it. A bad file page: SIGBUS. */
static int fault_fail_by(struct fault *fault, int err)
{
    if (err == -ENOMEM)
        return fault_fail(fault, err, LINUX_SIGKILL, LINUX_SI_KERNEL);
    return fault_fail(fault, err, LINUX_SIGBUS, LINUX_BUS_ADRERR);
}

/* ---- anonymous memory ----------------------------------------------------------------------- */

/* The part of WINDOW around ADDRESS that has no entries. */
static struct window absent_part(const struct mm *mm, struct window window, u64 address)
{
    struct pagetable_entry entry;
    u64 count;
    while (window.start < address &&
           pagetable_next_run(space_table(mm->space), uaddr_make(window.start), uaddr_make(address),
                              UINT64_MAX, &entry, &count))
        window.start = entry.address.value + (count << PAGE_SHIFT);
    if (pagetable_next(space_table(mm->space), uaddr_make(address), uaddr_make(window.end), &entry))
        window.end = entry.address.value;
    return window;
}

static u64 anon_run(const struct fault *fault, struct vma *vma, u64 address)
{
    if (fault->run)
        return fault->run;
    if (vma->flags & (VMA_STACK | VMA_GROWSDOWN))
        return STACK_RUN;
    bool is_in_order = vma->fault_next == address && vma->fault_count;
    vma->fault_count = is_in_order ? MIN(vma->fault_count * 2, ANON_RUN_MAX) : ANON_RUN_MIN;
    return vma->fault_count;
}

/* The frame behind the entry just below ADDRESS's: there the run goes on. */
static u64 frame_hint(const struct mm *mm, u64 address)
{
    struct pagetable_entry below;
    if (address < PAGE_SIZE || !entry_get(mm, address - PAGE_SIZE, &below))
        return 0;
    return below.frame.index + 1;
}

/* Memory that is filled as a whole if at all: a library's zero data, a small buffer. */
static bool is_small_anonymous(const struct vma *vma, u64 size)
{
    return size <= (u64)ANON_RUN_MIN << PAGE_SHIFT && !vma->mapping &&
           !(vma->flags & (VMA_STACK | VMA_GROWSDOWN));
}

static int fill_anonymous(struct fault *fault, struct vma *vma, u64 address)
{
    struct mm *mm = fault->mm;
    struct window window = {vma->start, vma->end};
    if (!fault->run && mm->brk_has_shrunk && address - mm->brk_start < mm->brk_end - mm->brk_start)
        window = (struct window){MAX(vma->start, address - MIN(address, HEAP_RUN << PAGE_SHIFT)),
                                 MIN(vma->end, address + (HEAP_RUN << PAGE_SHIFT))};
    else if (fault->run || !is_small_anonymous(vma, vma->end - vma->start))
        window = window_around(vma, address, anon_run(fault, vma, address));
    if (fault->run) /* what was asked for and no more */
        window = (struct window){MAX(window.start, fault->run_start),
                                 MIN(window.end, fault->run_end)};
    window = absent_part(mm, window, address);
    u64 count = (window.end - window.start) >> PAGE_SHIFT;
    frame first;
    int err = frame_alloc_run(mm->memory, FRAME_ANON, count, frame_hint(mm, window.start), &first,
                              &count);
    if (err)
        return fault_fail_by(fault, err);
    /* Memory is in pieces: take the part of the window with ADDRESS in it. */
    if (window.end - address < count << PAGE_SHIFT)
        window.start = window.end - (count << PAGE_SHIFT);
    else if (window.end - window.start > count << PAGE_SHIFT)
        window.start = address;
    err = table_map(mm, window.start, first, count, prot_bits(vma->prot));
    if (err) {
        frame_put_run(mm->memory, first, count);
        return fault_fail_by(fault, err);
    }
    vma->fault_next = window.start + (count << PAGE_SHIFT);
    return 0;
}

/* ---- copy on write -------------------------------------------------------------------------- */

/* Is there a private page at ADDRESS that others hold too? */
static bool is_shared_copy(const struct mm *mm, u64 address)
{
    struct pagetable_entry entry;
    return entry_get(mm, address, &entry) && frame_use_of(mm->memory, entry.frame) == FRAME_ANON &&
           frame_refs(mm->memory, entry.frame) > 1;
}

/* A write to a present private page that is not open for it. */
static int own_copy(struct fault *fault, struct vma *vma, u64 address)
{
    struct mm *mm = fault->mm;
    if (!is_shared_copy(mm, address)) {
        struct window window = window_around(vma, address, OWN_RUN);
        table_protect(vma, window.start, window.end);
        return 0;
    }
    struct window window = window_around(vma, address, COPY_RUN);
    u64 count = 1;
    while (address + (count << PAGE_SHIFT) < window.end &&
           is_shared_copy(mm, address + (count << PAGE_SHIFT)))
        count++;
    frame first;
    int err = frame_alloc_run_raw(mm->memory, FRAME_ANON, count, frame_hint(mm, address), &first,
                                  &count);
    if (err)
        return fault_fail_by(fault, err);
    for (u64 i = 0; i < count; i++) {
        struct pagetable_entry entry;
        bool is_present = entry_get(mm, address + (i << PAGE_SHIFT), &entry);
        ASSERT(is_present);
        memcpy(frame_bytes(mm->memory, (frame){first.index + i}),
               frame_bytes(mm->memory, entry.frame), PAGE_SIZE);
    }
    err = table_replace(mm, address, first, count, prot_bits(vma->prot));
    if (err) {
        frame_put_run(mm->memory, first, count);
        return fault_fail_by(fault, err);
    }
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* What a file fault needs to know again after it slept. */
struct file_fault {
    struct fault *fault;
    struct vma *vma; /* looked up anew after the sleep */
    u64 address;
    struct object *file;
    struct mapping *mapping;
    u64 index;
    bool is_shared_write;
};

static bool is_behind_end(const struct mapping *mapping, u64 index)
{
    return index << PAGE_SHIFT >= mapping->size || index > UINT64_MAX >> PAGE_SHIFT;
}

static bool is_allowed(const struct fault *fault, const struct vma *vma)
{
    if (fault->is_forced) /* ptrace(2): a write may not reach a shared page that is closed for it */
        return fault->access != PROT_WRITE_BIT || !vma_is_shared(vma) ||
               (vma->prot & LINUX_PROT_WRITE);
    return prot_bits(vma->prot) & fault->access;
}

/* After a sleep: is the same page of the same file still to be put at the same place? */
static bool file_fault_again(struct file_fault *file_fault)
{
    struct vma *vma = mm_find_vma(file_fault->fault->mm, file_fault->address);
    file_fault->vma = vma;
    return vma && vma->mapping == file_fault->mapping &&
           vma_index(vma, file_fault->address) == file_fault->index &&
           (vma_is_shared(vma) && file_fault->fault->access == PROT_WRITE_BIT) ==
               file_fault->is_shared_write &&
           is_allowed(file_fault->fault, vma) &&
           !is_behind_end(file_fault->mapping, file_fault->index);
}

/* The cached page for ADDRESS if it could be mapped there now. */
static struct page *mappable(const struct vma *vma, u64 address)
{
    struct pagetable_entry entry;
    u64 index = vma_index(vma, address);
    if (entry_get(vma->mm, address, &entry) || is_behind_end(vma->mapping, index))
        return NULL;
    return cache_find(vma->mapping, index);
}

/* Map what the cache has in WINDOW, runs of neighbouring frames at once. 0 or -ENOMEM. */
static int map_cached(struct vma *vma, struct window window)
{
    struct mm *mm = vma->mm;
    u64 at = window.start;
    while (at < window.end) {
        struct page *page = mappable(vma, at);
        if (!page) {
            at += PAGE_SIZE;
            continue;
        }
        frame first = page->frame;
        u32 prot = vma_entry_prot(vma, at, first);
        u64 count = 1;
        for (; at + (count << PAGE_SHIFT) < window.end; count++) {
            u64 next = at + (count << PAGE_SHIFT);
            page = mappable(vma, next);
            if (!page || page->frame.index != first.index + count ||
                vma_entry_prot(vma, next, page->frame) != prot)
                break;
        }
        frame_get_run(mm->memory, first, count);
        if (table_map(mm, at, first, count, prot) < 0) {
            frame_put_run(mm->memory, first, count);
            return -ENOMEM;
        }
        at += count << PAGE_SHIFT;
    }
    return 0;
}

/* A page that belongs to the file, to be seen as it is. */
static int map_file(struct file_fault *file_fault)
{
    struct vma *vma = file_fault->vma;
    struct mm *mm = vma->mm;
    struct pagetable_entry entry;
    if (entry_get(mm, file_fault->address, &entry)) { /* was closed; now its page is dirty */
        table_protect(vma, file_fault->address, file_fault->address + PAGE_SIZE);
        return 0;
    }
    (void)map_cached(vma,
                     window_around(vma, file_fault->address, FILE_RUN)); /* as far as it goes */
    if (entry_get(mm, file_fault->address, &entry))
        return 0;
    struct window page = {file_fault->address, file_fault->address + PAGE_SIZE};
    int err = map_cached(vma, page);
    return err ? fault_fail_by(file_fault->fault, err) : 0;
}

/* Is the page at ADDRESS still the file's, and there to be copied? */
static struct page *copyable(const struct vma *vma, u64 address)
{
    struct pagetable_entry entry;
    u64 index = vma_index(vma, address);
    if (entry_get(vma->mm, address, &entry) &&
        frame_use_of(vma->mm->memory, entry.frame) == FRAME_ANON)
        return NULL;
    return is_behind_end(vma->mapping, index) ? NULL : cache_find(vma->mapping, index);
}

/* Copies of the file's pages from START on, as long as they are copyable, before END. 0, or -ENOMEM
 * when there was not even one. */
static int copy_pages(struct vma *vma, u64 start, u64 end)
{
    struct mm *mm = vma->mm;
    u64 count = 0;
    while (start + (count << PAGE_SHIFT) < end && copyable(vma, start + (count << PAGE_SHIFT)))
        count++;
    if (count == 0)
        return 0;
    frame first;
    int err = frame_alloc_run_raw(mm->memory, FRAME_ANON, count, frame_hint(mm, start), &first,
                                  &count);
    if (err)
        return err;
    u64 done = 0;
    for (; done < count; done++) {
        u64 at = start + (done << PAGE_SHIFT);
        frame f = {first.index + done};
        struct pagetable_entry entry;
        const struct page *page = copyable(vma, at);
        memcpy(frame_bytes(mm->memory, f), frame_bytes(mm->memory, page->frame), PAGE_SIZE);
        if (entry_get(mm, at, &entry))
            err = table_replace(mm, at, f, 1, prot_bits(vma->prot));
        else
            err = table_map(mm, at, f, 1, prot_bits(vma->prot));
        if (err)
            break;
    }
    if (done < count)
        frame_put_run(mm->memory, (frame){first.index + done}, count - done);
    return done ? 0 : err;
}

static bool is_copied(const struct vma *vma, u64 address)
{
    struct pagetable_entry entry;
    return address >= vma->start && address < vma->end && entry_get(vma->mm, address, &entry) &&
           frame_use_of(vma->mm->memory, entry.frame) == FRAME_ANON;
}

/* How many pages a write beside no other copies: the more, the more have come to a mapping of a
 * program's size, for in the end they reach nearly all of its data. */
static u32 copy_run(struct vma *vma)
{
    if (vma->end - vma->start > (u64)FILE_COPY_DENSE << PAGE_SHIFT)
        return FILE_COPY_RUN;
    u32 doublings = MIN(vma->copy_count / 4, FILE_COPY_DOUBLINGS);
    vma->copy_count++;
    return FILE_COPY_RUN << doublings;
}

/* A private page of its own for a write: a copy of the file's, of its neighbours too, the more the
 * more writes come near each other, upwards or downwards. */
static int copy_file(struct file_fault *file_fault)
{
    struct vma *vma = file_fault->vma;
    u64 address = file_fault->address;
    bool is_near = address - vma->fault_next < FILE_COPY_NEAR ||
                   vma->fault_next - address < FILE_COPY_NEAR;
    bool goes_on = is_near || is_copied(vma, address - PAGE_SIZE) ||
                   is_copied(vma, address + PAGE_SIZE);
    u32 run = copy_run(vma);
    if (goes_on && vma->fault_count)
        run = MAX(run, MIN(vma->fault_count * 2, FILE_COPY_MAX));
    vma->fault_count = run;
    struct window window = window_around(vma, address, vma->fault_count);
    u64 start = address;
    while (start > window.start && copyable(vma, start - PAGE_SIZE))
        start -= PAGE_SIZE;
    int err = copy_pages(vma, start, window.end);
    vma->fault_next = window.end;
    return err ? fault_fail_by(file_fault->fault, err) : 0;
}

static void file_ahead(struct vma *vma, u64 start, u64 size, bool is_program)
{
    struct window window = {start, start + MIN(size, (u64)MAP_AHEAD_MAX << PAGE_SHIFT)};
    bool is_data = is_program && (vma->prot & LINUX_PROT_WRITE) && !vma_is_shared(vma) &&
                   size <= (u64)FILE_DATA_MAX << PAGE_SHIFT;
    if (is_data && copy_pages(vma, window.start, window.end) < 0)
        return;
    (void)!map_cached(vma, window);
}

/* What a linker puts behind its data, and buffers of a few pages, are written to at once. */
static void anonymous_ahead(struct vma *vma, u64 start, u64 size, bool is_program)
{
    u64 max = is_program ? ANON_RUN_MIN : ANON_AHEAD_MAX;
    if (!(vma->prot & LINUX_PROT_WRITE) || size > max << PAGE_SHIFT ||
        !is_small_anonymous(vma, size))
        return;
    struct fault fault = {.mm = vma->mm,
                          .address = start,
                          .access = PROT_WRITE_BIT,
                          .run = 2 * ANON_RUN_MIN,
                          .run_start = start,
                          .run_end = start + size};
    (void)!fill_anonymous(&fault, vma, start);
}

void fault_ahead(struct mm *mm, u64 start, u64 size, bool is_program)
{
    struct vma *vma = mm_find_vma(mm, start);
    if (!vma || prot_bits(vma->prot) == 0)
        return;
    if (vma->mapping)
        file_ahead(vma, start, size, is_program);
    else
        anonymous_ahead(vma, start, size, is_program);
}

/* Files are read around the page; a tmpfs hole is filled page by page, shared memory in runs. */
static u64 read_ahead(const struct vma *vma)
{
    if (vma->mapping->ops && vma->mapping->ops->fill)
        return READ_AROUND;
    return vma->file && vma->file->kind == &shared_memory_kind ? FILE_RUN / 2 - 1 : 0;
}

SLEEPS static int fault_file(struct fault *fault, struct vma *vma, u64 address)
{
    struct file_fault file_fault = {
        .fault = fault,
        .vma = vma,
        .address = address,
        .mapping = vma->mapping,
        .index = vma_index(vma, address),
        .is_shared_write = vma_is_shared(vma) && fault->access == PROT_WRITE_BIT,
    };
    if (is_behind_end(vma->mapping, file_fault.index))
        return fault_fail(fault, -EFAULT, LINUX_SIGBUS, LINUX_BUS_ADRERR);
    AUTO_PUT struct object *file = vma->file; /* keeps the mapping while we sleep */
    if (file)
        object_get_(file);
    frame f;
    int err = mapping_get_page(file_fault.mapping, fault->fiber, file_fault.index, read_ahead(vma),
                               file_fault.is_shared_write, &f);
    if (err)
        return fault_fail_by(fault, err);
    err = 0;
    if (file_fault_again(&file_fault)) {
        bool is_copy = fault->access == PROT_WRITE_BIT && !vma_is_shared(file_fault.vma);
        err = is_copy ? copy_file(&file_fault) : map_file(&file_fault);
    }
    frame_put(fault->mm->memory, f);
    return err;
}

/* ---- stacks --------------------------------------------------------------------------------- */

struct vma *stack_grow(struct mm *mm, u64 address)
{
    struct vma *vma = mm_find_vma_after(mm, address);
    if (!vma || !(vma->flags & VMA_GROWSDOWN) || vma->mapping)
        return NULL;
    u64 start = ALIGN_DOWN(address, PAGE_SIZE);
    u64 growth = vma->start - start;
    if (start < SPACE_ADDRESS_MIN || vma->end - start > mm->limit_stack ||
        mm->virtual_size + growth > mm->limit_as)
        return NULL;
    if ((vma->flags & VMA_LOCKED) && mm->locked_size + growth > mm->limit_memlock)
        return NULL;
    struct vma *below = vma_prev(vma);
    if (below && !(below->flags & VMA_GROWSDOWN) && below->prot != 0 &&
        start - below->end < STACK_GUARD_GAP)
        return NULL;
    vma_resize(vma, start, vma->end);
    return vma;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* A present entry: does it serve already? For a forced write it must be a copy of our own. */
static bool entry_serves(const struct fault *fault, const struct vma *vma,
                         const struct pagetable_entry *entry)
{
    const struct memory *memory = fault->mm->memory;
    if (!fault->is_forced)
        return entry->prot & fault->access;
    if (fault->access != PROT_WRITE_BIT)
        return true;
    if (vma_is_shared(vma))
        return entry->prot & PROT_WRITE_BIT;
    return frame_use_of(memory, entry->frame) == FRAME_ANON &&
           frame_refs(memory, entry->frame) == 1;
}

SLEEPS int fault_serve(struct fault *fault)
{
    struct mm *mm = fault->mm;
    u64 address = ALIGN_DOWN(fault->address, PAGE_SIZE);
    struct vma *vma = mm_find_vma(mm, address);
    if (!vma)
        vma = stack_grow(mm, address);
    if (!vma)
        return fault_fail(fault, -EFAULT, LINUX_SIGSEGV, LINUX_SEGV_MAPERR);
    if (!is_allowed(fault, vma))
        return fault_fail(fault, -EFAULT, LINUX_SIGSEGV, LINUX_SEGV_ACCERR);

    struct pagetable_entry entry;
    bool is_write = fault->access == PROT_WRITE_BIT;
    if (entry_get(mm, address, &entry)) {
        if (entry_serves(fault, vma, &entry))
            return 0;
        if (!is_write) {
            table_protect(vma, address, address + PAGE_SIZE);
            return 0;
        }
        if (!vma_is_shared(vma) && frame_use_of(mm->memory, entry.frame) == FRAME_ANON)
            return own_copy(fault, vma, address);
    }
    if (vma->mapping)
        return fault_file(fault, vma, address);
    return fill_anonymous(fault, vma, address);
}

int mm_fault(struct mm *mm, struct fiber *fiber, u64 address, u32 access, i32 *signo, i32 *code)
{
    struct fault fault = {.mm = mm, .fiber = fiber, .address = address, .access = access};
    int err = fault_serve(&fault);
    if (err) {
        *signo = fault.signo;
        *code = fault.code;
    }
    return err;
}

int mm_populate(struct mm *mm, struct fiber *fiber, u64 address, u64 size, bool for_write)
{
    u32 access = for_write ? PROT_WRITE_BIT : PROT_READ_BIT;
    for (u64 at = ALIGN_DOWN(address, PAGE_SIZE); at < address + size;) {
        struct pagetable_entry entry;
        if (entry_get(mm, at, &entry) && (entry.prot & access)) {
            at += PAGE_SIZE;
            continue;
        }
        struct fault fault = {.mm = mm,
                              .fiber = fiber,
                              .address = at,
                              .access = access,
                              .run = 512,
                              .run_start = ALIGN_DOWN(address, PAGE_SIZE),
                              .run_end = ALIGN_UP(address + size, PAGE_SIZE)};
        int err = fault_serve(&fault);
        if (err)
            return err;
        if (fiber)
            fiber_relax(fiber);
    }
    return 0;
}
