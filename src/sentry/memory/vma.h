/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of vmas of an address space, inside memory/. Members of a vma that is in its mm change
 * only through these functions: they keep the sums (virtual_size, data_size, locked_size, writers)
 * right.
 */
#pragma once
#include "sentry/memory/mm.h"

#define STACK_GUARD_GAP (256 * PAGE_SIZE)

/* A vma not yet in MM; takes a reference to FILE. NULL when out of memory. */
MUST_CHECK struct vma *vma_create(struct mm *mm, const struct mm_map_request *request, u64 start,
                                  u64 end);
/* A copy of VMA for [start, end) of it, for MM. */
MUST_CHECK struct vma *vma_copy(const struct vma *vma, struct mm *mm, u64 start, u64 end);
/* Takes VMA in; there is room at its addresses. */
void vma_insert(struct vma *vma);
/* Take it out and drop it. Its entries are gone already. */
void vma_remove(struct vma *vma);
void vma_resize(struct vma *vma, u64 start, u64 end);
void vma_set(struct vma *vma, u32 prot, u32 flags);

struct vma *vma_next(const struct vma *vma);
struct vma *vma_prev(const struct vma *vma);
/* Cut vmas at START and END, so that only whole ones lie between. 0 or -ENOMEM (maybe one cut made:
 * harmless). */
MUST_CHECK int vmas_isolate(struct mm *mm, u64 start, u64 end);
/* Join neighbours that belong together, around and in [start, end]. */
void vmas_merge(struct mm *mm, u64 start, u64 end);
/* True when every byte of [start, end) is in some vma. */
bool vmas_cover(const struct mm *mm, u64 start, u64 end);

static inline bool vma_is_shared(const struct vma *vma)
{
    return vma->flags & VMA_SHARED;
}
/* The page of its mapping at ADDRESS. */
static inline u64 vma_index(const struct vma *vma, u64 address)
{
    return (vma->offset + (address - vma->start)) >> PAGE_SHIFT;
}
/* The rights of PROT as the processor knows them: who may write or execute may read. */
u32 prot_bits(u32 prot);
/* The rights an entry at ADDRESS may have while FRAME is there. */
u32 vma_entry_prot(const struct vma *vma, u64 address, frame f);

/* For mapping.c: take pages [from, end) of MAPPING out of all spaces, the private copies too with
 * WITH_COPIES; committed. */
void vmas_unmap_file(struct mapping *mapping, u64 from, u64 end, bool with_copies);
/* Close all shared entries of MAPPING for writing, and wait until every cpu knows. */
void vmas_close_file(struct mapping *mapping);
