/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmap(2), munmap(2), mprotect(2), brk(2): changes of the list of vmas. Each judges everything and
 * cuts vmas first; from the first visible change on nothing fails.
 */
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/memory/fault.h"
#include "sentry/memory/mm.h"
#include "sentry/memory/place.h"
#include "sentry/memory/table.h"
#include "sentry/memory/vma.h"

#define MAP_32BIT_END ((u64)1 << 31)

/* Bytes of [start, end) that are mapped. */
static u64 mapped_size(const struct mm *mm, u64 start, u64 end)
{
    u64 size = 0;
    const struct vma *vma = mm_find_vma_after(mm, start);
    for (; vma && vma->start < end; vma = vma_next(vma))
        size += MIN(vma->end, end) - MAX(vma->start, start);
    return size;
}

/* The lowest address that no mapping may touch because of VMA: a stack keeps a gap below itself. */
static u64 vma_low(const struct vma *vma)
{
    if (!(vma->flags & VMA_GROWSDOWN))
        return vma->start;
    return vma->start > STACK_GUARD_GAP ? vma->start - STACK_GUARD_GAP : 0;
}

static bool place_is_free(const struct mm *mm, u64 start, u64 size)
{
    if (start < SPACE_ADDRESS_MIN || size > SPACE_ADDRESS_END || start > SPACE_ADDRESS_END - size)
        return false;
    const struct vma *vma = mm_find_vma_after(mm, start);
    return !vma || vma_low(vma) >= start + size;
}

u64 place_find(const struct mm *mm, u64 size, u64 top)
{
    if (size > top)
        return 0;
    const struct vma *above = mm_find_vma_after(mm, top - 1);
    u64 ceiling = above ? MIN(top, vma_low(above)) : top;
    const struct vma *vma;
    if (above)
        vma = vma_prev(above);
    else
        vma = list_is_empty(&mm->vma_list) ? NULL : list_last(&mm->vma_list, struct vma, mm_link);
    for (; vma; vma = vma_prev(vma)) {
        if (vma->end <= ceiling && ceiling - vma->end >= size)
            return ceiling - size;
        ceiling = MIN(ceiling, vma_low(vma));
    }
    if (ceiling >= size && ceiling - size >= SPACE_ADDRESS_MIN)
        return ceiling - size;
    return 0;
}

i64 place_choose(const struct mm *mm, u64 hint, u64 size, bool is_below_2g)
{
    u64 top = is_below_2g ? MAP_32BIT_END : mm->mmap_top;
    u64 start;
    if (hint && checked_align_up(hint, PAGE_SIZE, &start)) {
        start = MAX(start, SPACE_ADDRESS_MIN);
        if (place_is_free(mm, start, size) && (!is_below_2g || start + size <= top))
            return (i64)start;
    }
    start = place_find(mm, size, top);
    if (!start && !is_below_2g)
        start = place_find(mm, size, SPACE_ADDRESS_END);
    return start ? (i64)start : -ENOMEM;
}

int place_judge_fixed(const struct mm *mm, u64 start, u64 size)
{
    if (start & ~PAGE_MASK)
        return -EINVAL;
    if (size > SPACE_ADDRESS_END || start > SPACE_ADDRESS_END - size)
        return -ENOMEM;
    return start < SPACE_ADDRESS_MIN ? -EPERM : 0; /* mmap(2), below mmap_min_addr */
}

/* ---- limits --------------------------------------------------------------------------------- */

static bool request_is_data(const struct mm_map_request *request)
{
    return (request->prot & LINUX_PROT_WRITE) &&
           !(request->vma_flags & (VMA_SHARED | VMA_GROWSDOWN | VMA_STACK));
}

/* RLIMIT_AS, _DATA, _MEMLOCK and the number of vmas, with what a fixed mapping would replace. */
static int judge_limits(const struct mm *mm, const struct mm_map_request *request, u64 start)
{
    u64 total, replaced = request->is_fixed ? mapped_size(mm, start, start + request->size) : 0;
    if (!checked_add(mm->virtual_size - replaced, request->size, &total) || total > mm->limit_as)
        return -ENOMEM;
    if (request_is_data(request) &&
        (mm->data_size > mm->limit_data || request->size > mm->limit_data - mm->data_size))
        return -ENOMEM;
    if ((request->vma_flags & VMA_LOCKED) && mm->limit_memlock != UINT64_MAX &&
        mm->locked_size + request->size > mm->limit_memlock)
        return -EAGAIN;
    return mm->vma_count >= VMA_COUNT_MAX ? -ENOMEM : 0;
}

/* ---- sealing --------------------------------------------------------------------------------- */

/* -EPERM when something between START and END is sealed. */
static int judge_seals(const struct mm *mm, u64 start, u64 end)
{
    const struct vma *vma = mm_find_vma_after(mm, start);
    for (; vma && vma->start < end; vma = vma_next(vma))
        if (vma->flags & VMA_SEALED)
            return -EPERM;
    return 0;
}

int mm_seal(struct mm *mm, u64 address, u64 size)
{
    u64 end;
    if ((address & ~PAGE_MASK) || !checked_align_up(size, PAGE_SIZE, &size) ||
        !checked_add(address, size, &end))
        return -EINVAL;
    if (size == 0)
        return 0;
    if (mapped_size(mm, address, end) != size)
        return -ENOMEM;
    int err = vmas_isolate(mm, address, end);
    struct vma *vma = err ? NULL : mm_find_vma_after(mm, address);
    for (; vma && vma->start < end; vma = vma_next(vma))
        vma_set(vma, vma->prot, vma->flags | VMA_SEALED);
    vmas_merge(mm, address, end);
    return err;
}

/* ---- mmap and munmap ------------------------------------------------------------------------ */

/* Whole vmas between START and END go, with their entries. */
void range_remove(struct mm *mm, u64 start, u64 end)
{
    table_unmap(mm, start, end);
    struct vma *vma = mm_find_vma_after(mm, start);
    while (vma && vma->start < end) {
        struct vma *next = vma_next(vma);
        ASSERT(vma->start >= start && vma->end <= end);
        vma_remove(vma);
        vma = next;
    }
}

static int judge_request(struct mm_map_request *request)
{
    u64 file_end;
    if (request->size == 0 || (request->offset & ~PAGE_MASK))
        return -EINVAL;
    if (!checked_align_up(request->size, PAGE_SIZE, &request->size) ||
        request->size > SPACE_ADDRESS_END - SPACE_ADDRESS_MIN)
        return -ENOMEM;
    if (!checked_add(request->offset, request->size, &file_end) || file_end > INT64_MAX)
        return -EOVERFLOW;
    return 0;
}

static int choose_start(const struct mm *mm, const struct mm_map_request *request, u64 *start)
{
    if (!request->is_fixed && !request->is_noreplace) {
        i64 place = place_choose(mm, request->address, request->size, request->is_below_2g);
        if (place < 0)
            return (int)place;
        *start = (u64)place;
        return 0;
    }
    *start = request->address;
    int err = place_judge_fixed(mm, request->address, request->size);
    if (!err && request->is_noreplace && mapped_size(mm, *start, *start + request->size) > 0)
        return -EEXIST;
    return err;
}

/* The vma for REQUEST at START, which is free after this. */
static int place_vma(struct mm *mm, const struct mm_map_request *request, u64 start)
{
    u64 end = start + request->size;
    int err = judge_seals(mm, start, end);
    if (err)
        return err;
    struct vma *vma = vma_create(mm, request, start, end);
    if (!vma)
        return -ENOMEM;
    err = vmas_isolate(mm, start, end);
    if (err) {
        vmas_merge(mm, start, end);
        REF_PUT(vma);
        return err;
    }
    range_remove(mm, start, end);
    vma_insert(vma);
    vmas_merge(mm, start, end);
    return 0;
}

i64 mm_map(struct mm *mm, struct fiber *fiber, const struct mm_map_request *wanted)
{
    struct mm_map_request request = *wanted;
    request.vma_flags |= mm->lock_flags;
    u64 start = 0;
    int err = judge_request(&request);
    if (!err)
        err = choose_start(mm, &request, &start);
    if (!err)
        err = judge_limits(mm, &request, start);
    if (err)
        return err;
    AUTO_PUT struct shared_memory *shared = NULL;
    if (!request.mapping && (request.vma_flags & VMA_SHARED)) {
        err = shared_memory_create(mm->memory, FRAME_TMPFS, request.size, &shared);
        if (err)
            return err;
        request.file = &shared->object;
        request.mapping = &shared->mapping;
        request.offset = 0;
        request.vma_flags |= VMA_MAY_WRITE;
    }
    err = place_vma(mm, &request, start);
    if (err)
        return err;
    if (!shared)
        fault_ahead(mm, start, request.size, request.is_fixed);
    mm_commit(mm);
    if (request.is_populated || ((request.vma_flags & VMA_LOCKED) && !request.is_lazy)) {
        bool for_write = (request.prot & LINUX_PROT_WRITE) && !(request.vma_flags & VMA_SHARED);
        if (prot_bits(request.prot)) /* mmap(2): a failure to populate is no failure */
            err = mm_populate(mm, fiber, start, request.size, for_write);
        mm_commit(mm);
    }
    return (i64)start;
}

static int judge_range(u64 address, u64 *size)
{
    if ((address & ~PAGE_MASK) || *size == 0 || !checked_align_up(*size, PAGE_SIZE, size))
        return -EINVAL;
    if (address > SPACE_ADDRESS_END || *size > SPACE_ADDRESS_END - address)
        return -EINVAL;
    return 0;
}

int mm_unmap(struct mm *mm, struct fiber *fiber, u64 address, u64 size)
{
    int err = judge_range(address, &size);
    if (!err)
        err = judge_seals(mm, address, address + size);
    if (!err)
        err = vmas_isolate(mm, address, address + size);
    if (err) {
        if (err == -ENOMEM)
            vmas_merge(mm, address, address + size);
        return err;
    }
    range_remove(mm, address, address + size);
    mm_commit(mm);
    return 0;
}

/* ---- mprotect ------------------------------------------------------------------------------- */

static int judge_protect(const struct vma *vma, u32 prot)
{
    if (vma->flags & VMA_SEALED)
        return -EPERM;
    if ((prot & LINUX_PROT_WRITE) && (vma->flags & VMA_SHARED) && !(vma->flags & VMA_MAY_WRITE))
        return -EACCES;
    if ((prot & LINUX_PROT_EXEC) && (vma->flags & VMA_NOEXEC))
        return -EACCES;
    struct mm *mm = vma->mm;
    struct mm_map_request as = {.prot = prot, .vma_flags = vma->flags};
    u64 size = vma->end - vma->start;
    if (request_is_data(&as) && !(vma->prot & LINUX_PROT_WRITE) &&
        (mm->data_size > mm->limit_data || size > mm->limit_data - mm->data_size))
        return -ENOMEM;
    return 0;
}

/* PROT_GROWSDOWN: from the stack's own beginning on. */
static int protect_start(const struct mm *mm, u32 flags, u64 *address, u64 *size)
{
    if (!(flags & (LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP)))
        return 0;
    const struct vma *vma = mm_find_vma_after(mm, *address);
    if ((flags & LINUX_PROT_GROWSUP) || !vma || !(vma->flags & VMA_GROWSDOWN))
        return -EINVAL;
    if (vma->start < *address) {
        *size += *address - vma->start;
        *address = vma->start;
    }
    return 0;
}

int mm_protect(struct mm *mm, struct fiber *fiber, u64 address, u64 size, u32 prot)
{
    u32 rights = prot & (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC);
    u32 grows = prot & (LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP);
    if ((prot & ~(rights | grows)) || (address & ~PAGE_MASK))
        return -EINVAL;
    if (size == 0)
        return 0;
    if (judge_range(address, &size) < 0)
        return -ENOMEM;
    int err = protect_start(mm, grows, &address, &size);
    if (!err)
        err = vmas_isolate(mm, address, address + size);
    u64 end = address + size;
    u64 at = address;
    /* mprotect(2): what lies before the first hole or refusal is changed. */
    while (!err && at < end) {
        struct vma *vma = mm_find_vma(mm, at);
        err = vma ? judge_protect(vma, rights) : -ENOMEM;
        if (err)
            break;
        if (vma->prot != rights) {
            vma_set(vma, rights, vma->flags);
            table_protect(vma, vma->start, vma->end);
        }
        at = vma->end;
    }
    vmas_merge(mm, address, end);
    mm_commit(mm);
    return err;
}

/* ---- remap_file_pages ----------------------------------------------------------------------- */

/* From VMA to END there is the same file with the same rights, and no hole. */
static bool is_alike_until(const struct vma *vma, u64 end)
{
    for (const struct vma *at = vma; at->end < end;) {
        const struct vma *next = vma_next(at);
        if (!next || next->start != at->end || next->mapping != vma->mapping ||
            next->prot != vma->prot || next->flags != vma->flags)
            return false;
        at = next;
    }
    return true;
}

int mm_remap_pages(struct mm *mm, struct fiber *fiber, u64 address, u64 size, u64 offset,
                   bool is_populated)
{
    struct vma *vma = mm_find_vma(mm, address);
    if (!vma || !vma_is_shared(vma) || !is_alike_until(vma, address + size))
        return -EINVAL;
    AUTO_PUT struct object *file = vma->file;
    object_get_(file); /* the vma that holds it may go */
    struct mm_map_request request = {
        .address = address,
        .size = size,
        .prot = vma->prot,
        .vma_flags = vma->flags,
        .is_fixed = true,
        .is_populated = is_populated,
        .file = file,
        .mapping = vma->mapping,
        .offset = offset,
    };
    i64 at = mm_map(mm, fiber, &request);
    return at < 0 ? (int)at : 0;
}

/* ---- brk ------------------------------------------------------------------------------------ */

u64 mm_brk(struct mm *mm, struct fiber *fiber, u64 end)
{
    u64 new_end, old_end = ALIGN_UP(mm->brk_end, PAGE_SIZE);
    if (end < mm->brk_start || mm->brk_start == 0 || !checked_align_up(end, PAGE_SIZE, &new_end) ||
        end - mm->brk_start > mm->limit_data)
        return mm->brk_end;
    if (new_end < old_end) {
        mm->brk_has_shrunk = true;
        if (mm_unmap(mm, fiber, new_end, old_end - new_end) < 0)
            return mm->brk_end;
    } else if (new_end > old_end) {
        if (!place_is_free(mm, old_end, new_end - old_end + PAGE_SIZE))
            return mm->brk_end;
        struct mm_map_request request = {
            .address = old_end,
            .size = new_end - old_end,
            .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
            .is_fixed = true,
            .is_noreplace = true,
            .name = "[heap]",
        };
        if (mm_map(mm, fiber, &request) < 0)
            return mm->brk_end;
    }
    mm->brk_end = end;
    return end;
}
