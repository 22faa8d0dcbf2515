/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor tables: the lowest free number is found by words of bits. A number is reserved while
 * its system call may still fail, so that calls which make two descriptors make both or none.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/bitmap.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/file.h"
#include "sentry/fs/locks.h"
#include "sentry/kernel/kernel.h"

#define FD_CAPACITY_FIRST 64u
#define FD_MAX (1u << 20) /* nr_open */

static void fd_table_destroy(struct object *object);
static int fd_table_loaded(struct object *object, struct state_reader *reader);
static void fd_table_discard(struct object *object);

static const struct field word_fields[] = {
    {.name = "bits", .offset = 0, .size = sizeof(u64), .type = FIELD_TYPE_UINT},
    FIELD_END,
};

static const struct field fd_table_fields[] = {
    FIELD_NONE(struct fd_table, object, "the walker's own header"),
    FIELD_NONE(struct fd_table, kernel, "the kernel that loads it"),
    FIELD_REFS(struct fd_table, files, struct file, capacity),
    FIELD_STRUCTS(struct fd_table, cloexec, u64, word_fields, word_count),
    FIELD_NONE(struct fd_table, reserved, "nothing is reserved between system calls"),
    FIELD(struct fd_table, word_count),
    FIELD(struct fd_table, capacity),
    FIELD(struct fd_table, count),
    FIELD(struct fd_table, first_free),
    FIELD(struct fd_table, share_count),
    FIELD_END,
};
FIELDS_COMPLETE(struct fd_table, fd_table_fields);

const struct kind fd_table_kind = {.name = "fd_table",
                                   .size = sizeof(struct fd_table),
                                   .fields = fd_table_fields,
                                   .destroy = fd_table_destroy,
                                   .loaded = fd_table_loaded,
                                   .discard = fd_table_discard};

/* ---- memory --------------------------------------------------------------------------------- */

struct fd_arrays {
    struct file **files;
    u64 *cloexec, *reserved;
};

static void arrays_free(struct arena *arena, struct fd_arrays *arrays, u32 capacity)
{
    u32 words = capacity / 64;
    arena_free(arena, arrays->files, capacity * sizeof(struct file *));
    arena_free(arena, arrays->cloexec, words * sizeof(u64));
    arena_free(arena, arrays->reserved, words * sizeof(u64));
}

MUST_CHECK static int arrays_alloc(struct arena *arena, struct fd_arrays *arrays, u32 capacity)
{
    u32 words = capacity / 64;
    arrays->files = arena_alloc_array(arena, capacity, sizeof(struct file *));
    arrays->cloexec = arena_alloc_array(arena, words, sizeof(u64));
    arrays->reserved = arena_alloc_array(arena, words, sizeof(u64));
    if (arrays->files && arrays->cloexec && arrays->reserved)
        return 0;
    arrays_free(arena, arrays, capacity);
    return -ENOMEM;
}

MUST_CHECK static int table_grow(struct fd_table *table, u32 need)
{
    if (need <= table->capacity)
        return 0;
    struct arena *arena = table->object.arena;
    u32 capacity = MAX(table->capacity, FD_CAPACITY_FIRST);
    while (capacity < need)
        capacity *= 2;
    struct fd_arrays next = {0};
    int err = arrays_alloc(arena, &next, capacity);
    if (err)
        return err;
    struct fd_arrays old = {table->files, table->cloexec, table->reserved};
    if (table->capacity > 0) {
        memcpy(next.files, old.files, table->capacity * sizeof(struct file *));
        memcpy(next.cloexec, old.cloexec, table->word_count * sizeof(u64));
        memcpy(next.reserved, old.reserved, table->word_count * sizeof(u64));
        arrays_free(arena, &old, table->capacity);
    }
    table->files = next.files;
    table->cloexec = next.cloexec;
    table->reserved = next.reserved;
    table->capacity = capacity;
    table->word_count = capacity / 64;
    return 0;
}

int fd_table_create(struct kernel *kernel, struct fd_table **out)
{
    AUTO_PUT struct fd_table *table = object_create(kernel->arena, &fd_table_kind);
    if (!table)
        return -ENOMEM;
    table->kernel = kernel;
    int err = table_grow(table, FD_CAPACITY_FIRST);
    if (err)
        return err;
    *out = MOVE(table);
    return 0;
}

int fd_table_fork(const struct fd_table *from, struct fd_table **out)
{
    AUTO_PUT struct fd_table *table = object_create(from->object.arena, &fd_table_kind);
    if (!table)
        return -ENOMEM;
    table->kernel = from->kernel;
    u32 need = FD_CAPACITY_FIRST;
    for (u32 fd = 0; fd < from->capacity; fd++)
        if (from->files[fd])
            need = fd + 1;
    int err = table_grow(table, need);
    if (err)
        return err;
    for (u32 fd = 0; fd < need && fd < from->capacity; fd++)
        table->files[fd] = REF_GET(from->files[fd]);
    memcpy(table->cloexec, from->cloexec, MIN(table->word_count, from->word_count) * sizeof(u64));
    table->count = from->count;
    while (table->first_free < table->capacity && table->files[table->first_free])
        table->first_free++;
    *out = MOVE(table);
    return 0;
}

/* The last task has gone. Its POSIX locks went with the closing, which this is. */
static void fd_table_destroy(struct object *object)
{
    struct fd_table *table = container_of(object, struct fd_table, object);
    for (u32 fd = 0; fd < table->capacity; fd++) {
        struct file *file = table->files[fd];
        if (!file)
            continue;
        locks_release_table(file->inode, table);
        REF_PUT(file);
    }
    struct fd_arrays arrays = {table->files, table->cloexec, table->reserved};
    if (table->capacity > 0)
        arrays_free(object->arena, &arrays, table->capacity);
}

static int fd_table_loaded(struct object *object, struct state_reader *reader)
{
    struct fd_table *table = container_of(object, struct fd_table, object);
    if (table->capacity % 64 || table->word_count != table->capacity / 64 ||
        table->capacity > FD_MAX * 2)
        return -EINVAL;
    table->kernel = state_reader_kernel(reader);
    table->reserved = arena_alloc_array(object->arena, table->word_count, sizeof(u64));
    return table->reserved ? 0 : -ENOMEM;
}

static void fd_table_discard(struct object *object)
{
    struct fd_table *table = container_of(object, struct fd_table, object);
    arena_free(object->arena, table->reserved, table->word_count * sizeof(u64));
}

/* ---- numbers -------------------------------------------------------------------------------- */

struct file *fd_get(struct task *task, i32 fd)
{
    const struct fd_table *table = task->fds;
    if (!table || fd < 0 || (u32)fd >= table->capacity)
        return NULL;
    return REF_GET(table->files[fd]);
}

struct file *fd_get_open(struct task *task, i32 fd)
{
    struct file *file = fd_get(task, fd);
    if (file && file->is_path)
        REF_CLEAR(file);
    return file;
}

static bool is_taken(const struct fd_table *table, u32 fd)
{
    return fd < table->capacity && (table->files[fd] || bitmap_test(table->reserved, fd));
}

static u32 fd_limit(const struct task *task)
{
    if (!task->group)
        return FD_MAX;
    return (u32)MIN(task->group->limits.v[RLIMIT_NOFILE_].soft, (u64)FD_MAX);
}

static void note_free(struct fd_table *table, u32 fd)
{
    if (fd < table->first_free)
        table->first_free = fd;
}

int fd_slots_reserve(struct task *task, u32 count, i32 from, struct fd_slots *slots)
{
    struct fd_table *table = task->fds;
    ASSERT(count <= FD_SLOTS_MAX && from >= 0);
    u32 limit = fd_limit(task);
    slots->table = table;
    slots->count = 0;
    u32 fd = MAX((u32)from, table->first_free);
    bool is_from_start = (u32)from <= table->first_free;
    for (u32 found = 0; found < count; fd++) {
        while (is_taken(table, fd))
            fd++;
        int err = fd >= limit ? -EMFILE : table_grow(table, fd + 1);
        if (err) {
            fd_slots_release(slots);
            return err;
        }
        bitmap_set(table->reserved, fd);
        slots->fds[found++] = (i32)fd;
        slots->count = found;
    }
    if (is_from_start && count > 0)
        table->first_free = fd;
    return 0;
}

void fd_slots_install(struct fd_slots *slots, u32 index, struct file *file, u32 flags)
{
    struct fd_table *table = slots->table;
    ASSERT(index < slots->count && slots->fds[index] >= 0);
    u32 fd = (u32)slots->fds[index];
    ASSERT(bitmap_test(table->reserved, fd) && !table->files[fd]);
    bitmap_clear(table->reserved, fd);
    table->files[fd] = file;
    table->count++;
    if (flags & LINUX_O_CLOEXEC)
        bitmap_set(table->cloexec, fd);
    else
        bitmap_clear(table->cloexec, fd);
    slots->fds[index] = -1;
}

void fd_slots_release(struct fd_slots *slots)
{
    for (u32 i = 0; i < slots->count; i++) {
        if (slots->fds[i] < 0)
            continue;
        bitmap_clear(slots->table->reserved, (size_t)slots->fds[i]);
        note_free(slots->table, (u32)slots->fds[i]);
    }
    slots->count = 0;
}

i32 fd_install_from(struct task *task, struct file *file, i32 from, u32 flags)
{
    struct fd_slots slots;
    int err = fd_slots_reserve(task, 1, from, &slots);
    if (err) {
        REF_PUT(file);
        return err;
    }
    i32 fd = slots.fds[0];
    fd_slots_install(&slots, 0, file, flags);
    return fd;
}

i32 fd_install(struct task *task, struct file *file, u32 flags)
{
    return fd_install_from(task, file, 0, flags);
}

/* The file of FD, out of the table; NULL if there is none. */
static struct file *take_out(struct fd_table *table, u32 fd)
{
    struct file *file = fd < table->capacity ? MOVE(table->files[fd]) : NULL;
    if (!file)
        return NULL;
    bitmap_clear(table->cloexec, fd);
    table->count--;
    note_free(table, fd);
    return file;
}

int fd_install_at(struct task *task, i32 fd, struct file *file, u32 flags)
{
    struct fd_table *table = task->fds;
    AUTO_PUT struct file *held = file;
    if (fd < 0 || (u32)fd >= fd_limit(task))
        return -EBADF;
    int err = table_grow(table, (u32)fd + 1);
    if (err)
        return err;
    /* Another thread is about to install here: dup2(2) says EBUSY. */
    if (!table->files[fd] && bitmap_test(table->reserved, (size_t)fd))
        return -EBUSY;
    AUTO_PUT struct file *old = take_out(table, (u32)fd);
    table->files[fd] = MOVE(held);
    table->count++;
    if (flags & LINUX_O_CLOEXEC)
        bitmap_set(table->cloexec, (size_t)fd);
    if (old)
        (void)!file_flush(task, old, table);
    return 0;
}

int fd_close(struct task *task, i32 fd)
{
    if (fd < 0)
        return -EBADF;
    AUTO_PUT struct file *file = take_out(task->fds, (u32)fd);
    return file ? file_flush(task, file, task->fds) : -EBADF;
}

void fd_close_on_exec(struct task *task)
{
    struct fd_table *table = task->fds;
    for (u32 fd = 0; fd < table->capacity; fd++)
        if (table->files[fd] && bitmap_test(table->cloexec, fd))
            (void)!fd_close(task, (i32)fd);
}

bool fd_is_cloexec(const struct fd_table *table, i32 fd)
{
    return fd >= 0 && (u32)fd < table->capacity && bitmap_test(table->cloexec, (size_t)fd);
}

int fd_set_cloexec(struct fd_table *table, i32 fd, bool is_on)
{
    if (fd < 0 || (u32)fd >= table->capacity || !table->files[fd])
        return -EBADF;
    if (is_on)
        bitmap_set(table->cloexec, (size_t)fd);
    else
        bitmap_clear(table->cloexec, (size_t)fd);
    return 0;
}
