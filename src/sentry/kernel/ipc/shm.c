/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory segments (shmget(2), shmop(2)). Attachments are the vmas that map a segment's
 * memory: nobody counts them apart, so a removed segment goes when somebody looks and finds none
 * left.
 */
#include "abi/errno.h"
#include "base/fields.h"
#include "sentry/kernel/ipc/ipc.h"

static const struct field shm_segment_fields[] = {
    FIELD_STRUCT(struct shm_segment, ipc, ipc_object_fields),
    FIELD_REF(struct shm_segment, memory, struct shared_memory),
    FIELD(struct shm_segment, size),
    FIELD(struct shm_segment, atime),
    FIELD(struct shm_segment, dtime),
    FIELD_REF(struct shm_segment, creator, struct pid),
    FIELD_REF(struct shm_segment, last, struct pid),
    FIELD_END,
};
FIELDS_COMPLETE(struct shm_segment, shm_segment_fields);

static void shm_segment_destroy(struct object *object)
{
    struct shm_segment *segment = container_of(object, struct shm_segment, ipc.object);
    REF_CLEAR(segment->memory);
    REF_CLEAR(segment->creator);
    REF_CLEAR(segment->last);
}

const struct kind shm_segment_kind = {.name = "shm_segment",
                                      .size = sizeof(struct shm_segment),
                                      .fields = shm_segment_fields,
                                      .destroy = shm_segment_destroy};

static struct shm_segment *segment_of(struct ipc_object *object)
{
    return object ? container_of(object, struct shm_segment, ipc) : NULL;
}

u64 shm_attach_count(const struct shm_segment *segment)
{
    u64 count = 0;
    const struct vma *vma;
    list_for_each (vma, &segment->memory->mapping.vmas, mapping_link)
        count++;
    return count;
}

/* Removed ones that nobody maps any more go now. */
static void sweep(struct ipc_table *table)
{
    struct ipc_object *entry;
    map_for_each (&table->by_index, index, entry) {
        struct shm_segment *segment = segment_of(entry);
        if (segment->ipc.mode & LINUX_SHM_DEST && shm_attach_count(segment) == 0)
            ipc_remove(table, entry);
    }
}

static int table_of(struct task *task, struct ipc_table **out)
{
    int err = ipc_table_get(task->kernel, &task->ns->ipc_ns->shm, out);
    if (!err)
        sweep(*out);
    return err;
}

static int segment_create(struct task *task, u64 size, struct shm_segment **out)
{
    AUTO_PUT struct shm_segment *segment = object_create(task->kernel->arena, &shm_segment_kind);
    if (!segment)
        return -ENOMEM;
    int err = shared_memory_create(task->kernel->memory, FRAME_TMPFS, ALIGN_UP(size, PAGE_SIZE),
                                   &segment->memory);
    if (err)
        return err;
    segment->size = size;
    segment->creator = REF_GET(task->group->leader->pid);
    *out = MOVE(segment);
    return 0;
}

int shm_get(struct task *task, i32 key, u64 size, u32 flags)
{
    struct ipc_table *table;
    int err = table_of(task, &table);
    if (err)
        return err;
    struct shm_segment *segment = segment_of(ipc_find_key(table, key));
    if (segment) {
        if (flags & LINUX_IPC_CREAT && flags & LINUX_IPC_EXCL)
            return -EEXIST;
        if (size > segment->size)
            return -EINVAL;
        err = ipc_permission(task, &segment->ipc, (flags & 0777) >> 6);
        return err ? err : segment->ipc.id;
    }
    if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
        return -ENOENT;
    if (size == 0 || size > SHM_SIZE_MAX || flags & LINUX_SHM_HUGETLB)
        return -EINVAL;
    err = segment_create(task, size, &segment);
    return err ? err : ipc_insert(table, &segment->ipc, task, key, flags, SHM_COUNT_MAX);
}

int shm_find(struct task *task, i32 id, bool by_index, struct shm_segment **out)
{
    struct ipc_table *table;
    int err = table_of(task, &table);
    if (err)
        return err;
    struct ipc_object *found = ipc_find(table, id, by_index);
    if (!found)
        return -EINVAL;
    *out = segment_of(found);
    return 0;
}

static int judge_address(u64 *address, u32 flags, struct mm_map_request *request)
{
    if (*address == 0)
        return flags & LINUX_SHM_REMAP ? -EINVAL : 0;
    if (*address & ~PAGE_MASK) {
        if (!(flags & LINUX_SHM_RND))
            return -EINVAL;
        *address &= PAGE_MASK;
        if (*address == 0 && flags & LINUX_SHM_REMAP)
            return -EINVAL;
    }
    request->is_fixed = true;
    request->is_noreplace = !(flags & LINUX_SHM_REMAP);
    return 0;
}

SLEEPS i64 shm_attach(struct task *task, i32 id, u64 address, u32 flags)
{
    struct shm_segment *found;
    struct mm_map_request request = {.vma_flags = VMA_SHARED | VMA_MAY_WRITE};
    int err = judge_address(&address, flags, &request);
    if (!err)
        err = shm_find(task, id, false, &found);
    bool is_readonly = flags & LINUX_SHM_RDONLY;
    if (!err)
        err = ipc_permission(task, &found->ipc, is_readonly ? 4 : 6);
    if (err)
        return err;
    object_get_(&found->ipc.object);
    AUTO_PUT struct shm_segment *segment = found;
    request.address = address;
    request.size = segment->size;
    request.prot = LINUX_PROT_READ | (is_readonly ? 0 : LINUX_PROT_WRITE) |
                   (flags & LINUX_SHM_EXEC ? LINUX_PROT_EXEC : 0);
    if (is_readonly)
        request.vma_flags = VMA_SHARED;
    request.file = &segment->memory->object;
    request.mapping = &segment->memory->mapping;
    i64 at = mm_map(task->mm, &task->fiber, &request);
    if (at < 0)
        return at == -EEXIST ? -EINVAL : at;
    segment->atime = ipc_now(task->kernel);
    REF_PUT(segment->last);
    segment->last = REF_GET(task->group->leader->pid);
    return at;
}

static struct shm_segment *segment_by_memory(const struct ipc_table *table,
                                             const struct object *memory)
{
    struct ipc_object *entry;
    map_for_each (&table->by_index, index, entry)
        if (&segment_of(entry)->memory->object == memory)
            return segment_of(entry);
    return NULL;
}

/* Whatever is left of the attachment that began at ADDRESS goes; other things mapped in between
 * stay. */
SLEEPS int shm_detach(struct task *task, u64 address)
{
    struct ipc_table *table;
    int err = table_of(task, &table);
    if (err)
        return err;
    const struct vma *vma = mm_find_vma_after(task->mm, address);
    while (vma && !(vma->file && vma->file->kind == &shared_memory_kind &&
                    vma->start - vma->offset == address && segment_by_memory(table, vma->file)))
        vma = mm_find_vma_after(task->mm, vma->end);
    if (address & ~PAGE_MASK || !vma)
        return -EINVAL;
    AUTO_PUT struct shm_segment *segment = segment_by_memory(table, vma->file);
    object_get_(&segment->ipc.object);
    u64 end = address + ALIGN_UP(segment->size, PAGE_SIZE);
    for (u64 at = address;
         !err && (vma = mm_find_vma_after(task->mm, at)) != NULL && vma->start < end;) {
        at = vma->end;
        if (vma->file == &segment->memory->object && vma->start - vma->offset == address)
            err = mm_unmap(task->mm, &task->fiber, vma->start, vma->end - vma->start);
    }
    segment->dtime = ipc_now(task->kernel);
    REF_PUT(segment->last);
    segment->last = REF_GET(task->group->leader->pid);
    sweep(table);
    return err;
}

void shm_remove(struct task *task, struct shm_segment *segment)
{
    struct ipc_table *table = container_of(task->ns->ipc_ns->shm, struct ipc_table, object);
    segment->ipc.mode |= LINUX_SHM_DEST;
    segment->ipc.key = LINUX_IPC_PRIVATE;
    sweep(table);
}

void shm_totals(struct task *task, u64 *count, u64 *pages, u64 *resident, u32 *index_max)
{
    struct ipc_table *table;
    struct ipc_object *entry;
    *count = *pages = *resident = *index_max = 0;
    if (table_of(task, &table))
        return;
    *index_max = ipc_index_max(table);
    map_for_each (&table->by_index, index, entry) {
        ++*count;
        *pages += ALIGN_UP(segment_of(entry)->size, PAGE_SIZE) >> PAGE_SHIFT;
        *resident += segment_of(entry)->memory->mapping.pages.count;
    }
}
