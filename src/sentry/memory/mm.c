/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces: birth, end, saving, loading. What a space holds is edited in table.c, vma.c and
 * mmap.c. Every ending goes through mm_clear, so that frames and files go while the owner still
 * runs.
 */
#include "sentry/memory/mm.h"

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "platform/pagetable.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/table.h"
#include "sentry/memory/vma.h"

#define STACK_LIMIT_DEFAULT ((u64)8 << 20)

static const struct field mm_fields[] = {
    FIELD_NONE(struct mm, object, "the walker's own header"),
    FIELD_NONE(struct mm, memory, "the new sandbox's"),
    FIELD_NONE(struct mm, platform, "the new sandbox's"),
    FIELD_NONE(struct mm, space, "made by load_more, entries too"),
    FIELD_NONE(struct mm, vmas, "rebuilt from vma_list"),
    FIELD_LIST(struct mm, vma_list, struct vma, mm_link, true),
    FIELD_NONE(struct mm, vma_count, "counted when the tree is rebuilt"),
    FIELD_NONE(struct mm, is_edited, "a new space has no cpu to tell"),
    FIELD_NONE(struct mm, is_reduced, "a new space has no cpu to tell"),
    FIELD(struct mm, brk_start),
    FIELD(struct mm, brk_end),
    FIELD_NONE(struct mm, brk_has_shrunk, "a hint"),
    FIELD(struct mm, mmap_top),
    FIELD(struct mm, stack_start),
    FIELD(struct mm, arg_start),
    FIELD(struct mm, arg_end),
    FIELD(struct mm, env_start),
    FIELD(struct mm, env_end),
    FIELD(struct mm, code_start),
    FIELD(struct mm, code_end),
    FIELD_NONE(struct mm, virtual_size, "summed when the tree is rebuilt"),
    FIELD_NONE(struct mm, data_size, "summed when the tree is rebuilt"),
    FIELD_NONE(struct mm, resident_count,
               "counted by mm_load_page; mapped files come back by faults"),
    FIELD(struct mm, resident_max),
    FIELD_NONE(struct mm, locked_size, "summed when the tree is rebuilt"),
    FIELD(struct mm, limit_as),
    FIELD(struct mm, limit_data),
    FIELD(struct mm, limit_stack),
    FIELD(struct mm, limit_memlock),
    FIELD_NONE(struct mm, limbo, "frames on their way out"),
    FIELD_REF(struct mm, exe, struct file),
    FIELD_BYTES(struct mm, auxv),
    FIELD(struct mm, auxv_size),
    FIELD(struct mm, vdso),
    FIELD(struct mm, user_count),
    FIELD(struct mm, barriers),
    FIELD(struct mm, lock_flags),
    FIELD_END,
};
FIELDS_COMPLETE(struct mm, mm_fields);

/* Drop vmas of a load that failed: they are in no tree yet. */
static void drop_unlinked(struct list *vmas)
{
    while (vmas->next && !list_is_empty(vmas)) {
        struct vma *vma = list_first(vmas, struct vma, mm_link);
        list_remove(&vma->mm_link);
        REF_PUT(vma);
    }
}

static void mm_destroy(struct object *object)
{
    struct mm *mm = container_of(object, struct mm, object);
    if (!mm->vmas.root)
        drop_unlinked(&mm->vma_list);
    if (mm->space) { /* absent in a half-made or half-loaded one */
        mm_clear(mm);
        table_settle(mm);
        ASSERT(list_is_empty(&mm->limbo) && mm->resident_count == 0);
        space_destroy(mm->space);
    }
    object_put(mm->exe);
}

int mm_create(struct arena *arena, struct memory *memory, struct platform *platform,
              struct mm **out)
{
    struct mm *mm = object_create(arena, &mm_kind);
    if (!mm)
        return -ENOMEM;
    mm->memory = memory;
    mm->platform = platform;
    list_init(&mm->vma_list);
    list_init(&mm->limbo);
    mm->mmap_top = SPACE_ADDRESS_END;
    mm->limit_as = mm->limit_data = mm->limit_memlock = UINT64_MAX;
    mm->limit_stack = STACK_LIMIT_DEFAULT;
    if (space_create(platform, &mm->space) < 0) {
        mm->space = NULL;
        REF_PUT(mm);
        return -ENOMEM;
    }
    *out = mm;
    return 0;
}

void mm_clear(struct mm *mm)
{
    table_unmap(mm, 0, SPACE_ADDRESS_END);
    while (!list_is_empty(&mm->vma_list))
        vma_remove(list_first(&mm->vma_list, struct vma, mm_link));
    mm->brk_start = mm->brk_end = 0;
    mm->vdso = 0;
    ASSERT(mm->virtual_size == 0 && mm->locked_size == 0 && mm->data_size == 0);
    mm_commit(mm);
}

/* ---- saving -------------------------------------------------------------------------------------
 */

int mm_for_each_page(const struct mm *mm, int (*visit)(void *arg, u64 address, frame f, u32 prot),
                     void *arg)
{
    const struct vma *vma;
    list_for_each (vma, &mm->vma_list, mm_link) {
        struct pagetable_entry entry;
        u64 at = vma->start;
        while (at < vma->end && pagetable_next(space_table(mm->space), uaddr_make(at),
                                               uaddr_make(vma->end), &entry)) {
            at = entry.address.value + PAGE_SIZE;
            if (frame_use_of(mm->memory, entry.frame) != FRAME_ANON)
                continue; /* its file has it, and the program comes back for it */
            int err = visit(arg, entry.address.value, entry.frame, vma->prot);
            if (err)
                return err;
        }
    }
    return 0;
}

static int save_page(void *arg, u64 address, frame f, u32 prot)
{
    struct state_writer *writer = arg;
    int err = state_write_u64(writer,
                              address | (prot & 7)); /* the low bits of an address are free */
    return err ? err : state_write_frame(writer, f);
}

static int mm_save_more(const struct object *object, struct state_writer *writer)
{
    const struct mm *mm = container_of(object, struct mm, object);
    int err = mm_for_each_page(mm, save_page, writer);
    return err ? err : state_write_u64(writer, UINT64_MAX);
}

/* ---- loading ------------------------------------------------------------------------------------
 */

int mm_load_page(struct mm *mm, u64 address, frame f, u32 prot)
{
    struct pagetable_entry entry;
    if ((address & ~PAGE_MASK) || address < SPACE_ADDRESS_MIN || address >= SPACE_ADDRESS_END)
        return -EINVAL;
    if (pagetable_get(space_table(mm->space), uaddr_make(address), &entry))
        return -EINVAL;
    return table_map(mm, address, f, 1, prot_bits(prot) & ~PROT_WRITE_BIT);
}

static int mm_load_more(struct object *object, struct state_reader *reader)
{
    struct mm *mm = container_of(object, struct mm, object);
    mm->memory = state_reader_memory(reader);
    mm->platform = state_reader_platform(reader);
    list_init(&mm->limbo);
    if (space_create(mm->platform, &mm->space) < 0) {
        mm->space = NULL;
        return -ENOMEM;
    }
    for (;;) {
        u64 word;
        frame f;
        int err = state_read_u64(reader, &word);
        if (err || word == UINT64_MAX)
            return err;
        err = state_read_frame(reader, &f);
        if (err)
            return err;
        err = mm_load_page(mm, word & PAGE_MASK, f, word & 7);
        if (err) {
            frame_put(mm->memory, f);
            return err;
        }
    }
}

static void mm_discard(struct object *object)
{
    struct mm *mm = container_of(object, struct mm, object);
    if (!mm->space)
        return;
    table_unmap(mm, 0, SPACE_ADDRESS_END);
    table_settle(mm);
    space_destroy(mm->space);
}

/* Judge a loaded vma and put it in its tree: the image may be anybody's. */
static int vma_loaded(struct mm *mm, struct vma *vma, u64 previous_end)
{
    if ((vma->start & ~PAGE_MASK) || (vma->end & ~PAGE_MASK) || vma->start < previous_end ||
        vma->start >= vma->end || vma->start < SPACE_ADDRESS_MIN || vma->end > SPACE_ADDRESS_END ||
        (vma->offset & ~PAGE_MASK) || vma->name[sizeof vma->name - 1] != '\0')
        return -EINVAL;
    vma->mm = mm;
    vma->mapping = NULL;
    if (vma->file && vma->file->kind == &shared_memory_kind)
        vma->mapping = &container_of(vma->file, struct shared_memory, object)->mapping;
    else if (vma->file && mm->memory->mapping_of)
        vma->mapping = mm->memory->mapping_of(vma->file);
    if ((vma->file || (vma->flags & VMA_SHARED)) && !vma->mapping)
        return -EINVAL;
    return 0;
}

static int mm_loaded(struct object *object, struct state_reader *reader)
{
    struct mm *mm = container_of(object, struct mm, object);
    struct list loaded;
    u64 end = 0;
    mm->vmas = (struct tree){0};
    list_init(&loaded);
    list_splice_tail(&loaded, &mm->vma_list);
    while (!list_is_empty(&loaded)) {
        struct vma *vma = list_first(&loaded, struct vma, mm_link);
        int err = vma_loaded(mm, vma, end);
        if (err) {
            list_splice_tail(&mm->vma_list, &loaded);
            return err;
        }
        list_remove(&vma->mm_link);
        end = vma->end;
        vma_insert(vma);
    }
    mm_commit(mm);
    return mm_check(mm) ? -EINVAL : 0;
}

const struct kind mm_kind = {
    .name = "mm",
    .size = sizeof(struct mm),
    .fields = mm_fields,
    .destroy = mm_destroy,
    .loaded = mm_loaded,
    .save_more = mm_save_more,
    .load_more = mm_load_more,
    .discard = mm_discard,
};

/* ---- checking ------------------------------------------------------------------------------- */

static const char *check_entries(const struct mm *mm, const struct vma *vma, u64 *resident)
{
    struct pagetable_entry entry;
    u64 at = vma->start;
    while (at < vma->end &&
           pagetable_next(space_table(mm->space), uaddr_make(at), uaddr_make(vma->end), &entry)) {
        at = entry.address.value + PAGE_SIZE;
        ++*resident;
        if (frame_refs(mm->memory, entry.frame) == 0)
            return "an entry holds a free frame";
        if (!vma->mapping && frame_use_of(mm->memory, entry.frame) != FRAME_ANON)
            return "anonymous memory holds a file's frame";
        if (entry.prot & ~vma_entry_prot(vma, entry.address.value, entry.frame))
            return "an entry allows more than it may";
    }
    return NULL;
}

const char *mm_check(const struct mm *mm)
{
    u64 end = 0, count = 0, virtual_size = 0, resident = 0;
    const struct vma *vma;
    const struct tree_node *node = tree_first(&mm->vmas);
    list_for_each (vma, &mm->vma_list, mm_link) {
        if (node != &vma->node || node->key != vma->start || vma->mm != mm)
            return "the tree and the list of vmas differ";
        if (vma->start < end || vma->start >= vma->end || (vma->start & ~PAGE_MASK) ||
            (vma->end & ~PAGE_MASK) || vma->end > SPACE_ADDRESS_END)
            return "a vma is out of order";
        if ((vma->mapping != NULL) != list_is_linked(&vma->mapping_link))
            return "a vma and its mapping do not know each other";
        const char *fault = check_entries(mm, vma, &resident);
        if (fault)
            return fault;
        end = vma->end;
        count++;
        virtual_size += vma->end - vma->start;
        node = tree_next(node);
    }
    if (node || count != mm->vma_count || virtual_size != mm->virtual_size)
        return "the sums of the vmas are wrong";
    if (resident != mm->resident_count)
        return "there are entries outside the vmas, or miscounted ones";
    return NULL;
}
