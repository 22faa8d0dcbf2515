/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vmas: the ordered, disjoint pieces of an address space, cut and joined. The tree's keys are
 * starts; since vmas never pass each other, a changed start keeps its place in the tree.
 */
#include "sentry/memory/vma.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "platform/pagetable.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/table.h"

static const struct field vma_fields[] = {
    FIELD_NONE(struct vma, object, "the walker's own header"),
    FIELD_NONE(struct vma, node, "mm's loaded hook inserts it"),
    FIELD_NONE(struct vma, mm_link, "mm's list"),
    FIELD_NONE(struct vma, mapping_link, "mm's loaded hook adds it"),
    FIELD_WEAK(struct vma, mm, struct mm),
    FIELD(struct vma, start),
    FIELD(struct vma, end),
    FIELD(struct vma, prot),
    FIELD(struct vma, flags),
    FIELD_REF_ANY(struct vma, file),
    FIELD_NONE(struct vma, mapping, "found again from the file"),
    FIELD(struct vma, offset),
    FIELD_BYTES(struct vma, name),
    FIELD_NONE(struct vma, fault_next, "a hint"),
    FIELD_NONE(struct vma, fault_count, "a hint"),
    FIELD_NONE(struct vma, copy_count, "a hint"),
    FIELD_END,
};
FIELDS_COMPLETE(struct vma, vma_fields);

static void vma_destroy(struct object *object)
{
    struct vma *vma = container_of(object, struct vma, object);
    ASSERT(!list_is_linked(&vma->mapping_link));
    object_put(vma->file);
}

const struct kind vma_kind = {
    .name = "vma",
    .size = sizeof(struct vma),
    .fields = vma_fields,
    .destroy = vma_destroy,
};

/* ---- sums ----------------------------------------------------------------------------------- */

/* RLIMIT_DATA (getrlimit(2)) counts private writable memory, stacks aside. */
static bool vma_is_data(const struct vma *vma)
{
    return (vma->prot & LINUX_PROT_WRITE) &&
           !(vma->flags & (VMA_SHARED | VMA_GROWSDOWN | VMA_STACK));
}

static void vma_account(struct vma *vma, bool in)
{
    struct mm *mm = vma->mm;
    u64 size = in ? vma->end - vma->start : 0 - (vma->end - vma->start);
    mm->virtual_size += size;
    if (vma_is_data(vma))
        mm->data_size += size;
    if (vma->flags & VMA_LOCKED)
        mm->locked_size += size;
    if (vma->mapping && (vma->flags & VMA_SHARED) && (vma->flags & VMA_MAY_WRITE))
        vma->mapping->writable_shared_count += in ? 1u : 0u - 1u;
}

void vma_set(struct vma *vma, u32 prot, u32 flags)
{
    vma_account(vma, false);
    vma->prot = prot;
    vma->flags = flags;
    vma_account(vma, true);
}

void vma_resize(struct vma *vma, u64 start, u64 end)
{
    ASSERT(start < end && !(start & ~PAGE_MASK) && !(end & ~PAGE_MASK));
    vma_account(vma, false);
    if (vma->mapping)
        vma->offset += start - vma->start;
    vma->start = vma->node.key = start;
    vma->end = end;
    vma_account(vma, true);
}

/* ---- making and finding --------------------------------------------------------------------- */

static void name_copy(char out[32], const char *name)
{
    size_t size = name ? strlen(name) : 0;
    memset(out, 0, 32);
    if (size)
        memcpy(out, name, MIN(size, 31));
}

struct vma *vma_create(struct mm *mm, const struct mm_map_request *request, u64 start, u64 end)
{
    struct vma *vma = object_create(mm->object.arena, &vma_kind);
    if (!vma)
        return NULL;
    vma->mm = mm;
    vma->start = start;
    vma->end = end;
    vma->prot = request->prot;
    vma->flags = request->vma_flags;
    vma->mapping = request->mapping;
    vma->offset = request->offset;
    name_copy(vma->name, request->name);
    vma->file = request->file;
    if (vma->file)
        object_get_(vma->file);
    return vma;
}

struct vma *vma_copy(const struct vma *vma, struct mm *mm, u64 start, u64 end)
{
    struct mm_map_request request = {
        .prot = vma->prot,
        .vma_flags = vma->flags,
        .file = vma->file,
        .mapping = vma->mapping,
        .offset = vma->mapping ? vma->offset + (start - vma->start) : 0,
    };
    struct vma *copy = vma_create(mm, &request, start, end);
    if (copy)
        memcpy(copy->name, vma->name, sizeof copy->name);
    return copy;
}

struct vma *mm_find_vma_after(const struct mm *mm, u64 address)
{
    struct tree_node *node = tree_floor(&mm->vmas, address);
    if (node && container_of(node, struct vma, node)->end > address)
        return container_of(node, struct vma, node);
    node = node ? tree_next(node) : tree_first(&mm->vmas);
    return node ? container_of(node, struct vma, node) : NULL;
}

struct vma *mm_find_vma(const struct mm *mm, u64 address)
{
    struct tree_node *node = tree_floor(&mm->vmas, address);
    if (!node || container_of(node, struct vma, node)->end <= address)
        return NULL;
    return container_of(node, struct vma, node);
}

struct vma *vma_next(const struct vma *vma)
{
    const struct list *link = vma->mm_link.next;
    return link == &vma->mm->vma_list ? NULL : list_entry(link, struct vma, mm_link);
}

struct vma *vma_prev(const struct vma *vma)
{
    const struct list *link = vma->mm_link.prev;
    return link == &vma->mm->vma_list ? NULL : list_entry(link, struct vma, mm_link);
}

bool vmas_cover(const struct mm *mm, u64 start, u64 end)
{
    struct vma *vma = mm_find_vma(mm, start);
    while (vma && vma->end < end) {
        struct vma *next = vma_next(vma);
        if (!next || next->start != vma->end)
            return false;
        vma = next;
    }
    return vma != NULL;
}

void vma_insert(struct vma *vma)
{
    struct mm *mm = vma->mm;
    struct vma *after = mm_find_vma_after(mm, vma->start);
    ASSERT(!after || after->start >= vma->end);
    vma->node.key = vma->start;
    tree_insert(&mm->vmas, &vma->node);
    list_add_tail(after ? &after->mm_link : &mm->vma_list, &vma->mm_link);
    if (vma->mapping)
        list_add_tail(&vma->mapping->vmas, &vma->mapping_link);
    mm->vma_count++;
    vma_account(vma, true);
}

void vma_remove(struct vma *vma)
{
    struct mm *mm = vma->mm;
    vma_account(vma, false);
    mm->vma_count--;
    list_remove(&vma->mapping_link);
    list_remove(&vma->mm_link);
    tree_remove(&mm->vmas, &vma->node);
    REF_PUT(vma);
}

/* ---- cutting and joining -------------------------------------------------------------------- */

/* Cut VMA in two at AT; the upper part is new. */
MUST_CHECK static int vma_split(struct vma *vma, u64 at)
{
    ASSERT(vma->start < at && at < vma->end);
    if (vma->mm->vma_count >= VMA_COUNT_MAX)
        return -ENOMEM;
    struct vma *upper = vma_copy(vma, vma->mm, at, vma->end);
    if (!upper)
        return -ENOMEM;
    vma_resize(vma, vma->start, at);
    vma_insert(upper);
    return 0;
}

int vmas_isolate(struct mm *mm, u64 start, u64 end)
{
    struct vma *vma = mm_find_vma(mm, start);
    if (vma && vma->start < start) {
        int err = vma_split(vma, start);
        if (err)
            return err;
    }
    vma = mm_find_vma(mm, end);
    if (vma && vma->start < end)
        return vma_split(vma, end);
    return 0;
}

static bool vmas_belong_together(const struct vma *lower, const struct vma *upper)
{
    return lower->end == upper->start && lower->prot == upper->prot &&
           lower->flags == upper->flags && lower->file == upper->file &&
           lower->mapping == upper->mapping &&
           (!lower->mapping || lower->offset + (lower->end - lower->start) == upper->offset) &&
           memcmp(lower->name, upper->name, sizeof lower->name) == 0;
}

void vmas_merge(struct mm *mm, u64 start, u64 end)
{
    struct vma *vma = mm_find_vma(mm, start ? start - 1 : 0);
    if (!vma)
        vma = mm_find_vma_after(mm, start);
    while (vma && vma->end <= end) {
        struct vma *upper = vma_next(vma);
        if (upper && vmas_belong_together(vma, upper)) {
            u64 new_end = upper->end;
            vma_remove(upper);
            vma_resize(vma, vma->start, new_end);
        } else {
            vma = upper;
        }
    }
}

/* ---- rights --------------------------------------------------------------------------------- */

u32 prot_bits(u32 prot)
{
    u32 bits = 0;
    if (prot & (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC))
        bits |= PROT_READ_BIT;
    if (prot & LINUX_PROT_WRITE)
        bits |= PROT_WRITE_BIT;
    if (prot & LINUX_PROT_EXEC)
        bits |= PROT_EXEC_BIT;
    return bits;
}

static bool mapping_is_tracked(const struct mapping *mapping)
{
    return mapping->ops && mapping->ops->write_back;
}

u32 vma_entry_prot(const struct vma *vma, u64 address, frame f)
{
    u32 bits = prot_bits(vma->prot);
    if (!(bits & PROT_WRITE_BIT))
        return bits;
    bool may_write;
    if (vma_is_shared(vma)) {
        may_write = !mapping_is_tracked(vma->mapping) ||
                    mapping_has_dirty_page(vma->mapping, vma_index(vma, address));
    } else {
        const struct memory *memory = vma->mm->memory;
        may_write = frame_refs(memory, f) == 1 && frame_use_of(memory, f) == FRAME_ANON;
    }
    return may_write ? bits : bits & ~PROT_WRITE_BIT;
}

/* ---- for mappings --------------------------------------------------------------------------- */

/* The addresses of VMA where pages [from, end) of its mapping are; false for none. */
static bool vma_part(const struct vma *vma, u64 from, u64 end, u64 *first, u64 *last)
{
    u64 start_index = vma_index(vma, vma->start);
    u64 end_index = start_index + ((vma->end - vma->start) >> PAGE_SHIFT);
    from = MAX(from, start_index);
    end = MIN(end, end_index);
    if (from >= end)
        return false;
    *first = vma->start + ((from - start_index) << PAGE_SHIFT);
    *last = vma->start + ((end - start_index) << PAGE_SHIFT);
    return true;
}

/* As table_unmap, but leaves private copies alone. */
static void unmap_cached(struct vma *vma, u64 start, u64 end)
{
    struct mm *mm = vma->mm;
    struct pagetable_entry entry;
    u64 at = start;
    while (at < end &&
           pagetable_next(space_table(mm->space), uaddr_make(at), uaddr_make(end), &entry)) {
        at = entry.address.value + PAGE_SIZE;
        if (frame_use_of(mm->memory, entry.frame) != FRAME_ANON)
            table_unmap(mm, entry.address.value, at);
    }
}

void vmas_unmap_file(struct mapping *mapping, u64 from, u64 end, bool with_copies)
{
    struct vma *vma;
    list_for_each (vma, &mapping->vmas, mapping_link) {
        u64 first, last;
        if (!vma_part(vma, from, end, &first, &last))
            continue;
        if (with_copies || vma_is_shared(vma))
            table_unmap(vma->mm, first, last);
        else
            unmap_cached(vma, first, last);
        mm_commit(vma->mm);
    }
}

void vmas_close_file(struct mapping *mapping)
{
    struct vma *vma;
    list_for_each (vma, &mapping->vmas, mapping_link) {
        if (vma_is_shared(vma) && (vma->prot & LINUX_PROT_WRITE))
            table_close(vma->mm, vma->start, vma->end, prot_bits(vma->prot));
    }
    list_for_each (vma, &mapping->vmas, mapping_link) {
        if (vma->mm->is_edited)
            table_settle(vma->mm);
    }
}
