/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF segments into an address space. A segment's file part is a private mapping of the file; what
 * it has more in memory is zero: the rest of its last file page by hand, the further pages
 * anonymous.
 */
#include "sentry/exec/load.h"

#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/file.h"

SLEEPS static int read_exact(struct task *task, struct file *file, void *out, u64 size, u64 offset)
{
    i64 got = file_pread_kernel(task, file, out, size, offset);
    if (got < 0)
        return (int)got;
    return (u64)got == size ? 0 : -ENOEXEC;
}

SLEEPS static int read_interp(struct task *task, struct elf_file *elf)
{
    u64 size = elf->image.interp_size;
    char *path = arena_alloc(task->kernel->arena, size);
    if (!path)
        return -ENOMEM;
    int err = read_exact(task, elf->file, path, size, elf->image.interp_offset);
    if (!err && !elf_interp_is_good((const u8 *)path, size))
        err = -ENOEXEC;
    if (!err) {
        elf->interp = arena_strdup(task->kernel->arena, path);
        err = elf->interp ? 0 : -ENOMEM;
    }
    arena_free(task->kernel->arena, path, size);
    return err;
}

int elf_file_read(struct task *task, struct file *file, struct elf_file *elf)
{
    struct arena *arena = task->kernel->arena;
    struct elf_image *image = &elf->image;
    u8 header[sizeof(struct linux_elf_header)];
    elf->file = file;
    elf->interp = NULL;
    int err = read_exact(task, file, header, sizeof header, 0);
    if (!err)
        err = elf_parse_header(header, sizeof header, image);
    if (err)
        return err;
    u64 size = image->phdr_count * sizeof(struct linux_elf_phdr);
    u8 *phdrs = arena_alloc(arena, size);
    if (!phdrs)
        return -ENOMEM;
    err = read_exact(task, file, phdrs, size, image->phdrs_offset);
    if (!err)
        err = elf_parse_phdrs(phdrs, size, file->inode->size, image);
    arena_free(arena, phdrs, size);
    if (!err && image->has_interp)
        err = read_interp(task, elf);
    return err;
}

void elf_file_fini(struct elf_file *elf, struct arena *arena)
{
    arena_free_string(arena, elf->interp);
    elf->interp = NULL;
}

/* ---- mapping -------------------------------------------------------------------------------- */

/* mm_map's answer as an error: the image is damaged if it asks for what cannot be. */
static int map_error(i64 answer)
{
    if (answer >= 0)
        return 0;
    return answer == -ENOMEM || answer == -EIO ? (int)answer : -ENOEXEC;
}

SLEEPS static int map_file_part(struct task *task, struct mm *mm, struct file *file,
                                const struct elf_segment *segment, u64 bias)
{
    u64 start = ALIGN_DOWN(bias + segment->address, PAGE_SIZE);
    u64 size = bias + segment->address + segment->file_size - start;
    struct mm_map_request request = {
        .address = start,
        .size = size,
        .prot = segment->prot,
        .is_fixed = true,
        .file = &file->object,
        .offset = ALIGN_DOWN(segment->offset, PAGE_SIZE),
    };
    int err = file_mmap(task, file, &request.mapping, &request.offset);
    if (err)
        return err == -ENOMEM ? err : -ENOEXEC;
    if (!request.mapping)
        return -ENOEXEC;
    err = map_error(mm_map(mm, &task->fiber, &request));
    u64 tail = -(start + size) & ~PAGE_MASK; /* behind the file's part in its last page */
    if (err || segment->memory_size == segment->file_size || tail == 0)
        return err;
    static const u8 zeros[PAGE_SIZE];
    /* To the page's end, as Linux does: ld.so takes its first memory from behind its own bss. */
    i64 moved = mm_copy_force(mm, &task->fiber, (u8 *)(uintptr_t)zeros, uaddr_make(start + size),
                              tail, true);
    return moved == (i64)tail ? 0 : -EIO;
}

SLEEPS static int map_zero_part(struct task *task, struct mm *mm, const struct elf_segment *segment,
                                u64 bias)
{
    u64 start = bias + segment->address;
    u64 end = ALIGN_UP(start + segment->memory_size, PAGE_SIZE);
    u64 from = segment->file_size ? ALIGN_UP(start + segment->file_size, PAGE_SIZE)
                                  : ALIGN_DOWN(start, PAGE_SIZE);
    if (from >= end)
        return 0;
    struct mm_map_request request = {
        .address = from, .size = end - from, .prot = segment->prot, .is_fixed = true};
    return map_error(mm_map(mm, &task->fiber, &request));
}

/* Where a movable image goes: a hole for all of it, kept by a closed mapping that segments replace.
 */
SLEEPS static int choose_bias(struct task *task, struct mm *mm, const struct elf_image *image,
                              u64 hint, u64 *bias)
{
    *bias = 0;
    if (!image->is_movable)
        return 0;
    u64 size = image->end - image->start;
    u64 room;
    if (!checked_add(size, image->align - PAGE_SIZE, &room))
        return -ENOEXEC;
    struct mm_map_request request = {.address = hint, .size = room};
    i64 start = mm_map(mm, &task->fiber, &request);
    if (start < 0)
        return map_error(start);
    int err = mm_unmap(mm, &task->fiber, (u64)start, room);
    if (err)
        return err;
    /* The linked start keeps its place relative to the alignment. */
    u64 aligned = ALIGN_UP((u64)start, image->align);
    *bias = aligned - ALIGN_DOWN(image->start, image->align);
    if (*bias + image->start < (u64)start || *bias + image->end > (u64)start + room)
        *bias = (u64)start - image->start; /* it cannot be aligned: any page will do */
    return 0;
}

int elf_map(struct task *task, struct mm *mm, const struct elf_file *elf, u64 hint,
            struct elf_place *out)
{
    const struct elf_image *image = &elf->image;
    u64 bias;
    int err = choose_bias(task, mm, image, hint, &bias);
    for (u32 i = 0; !err && i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->file_size)
            err = map_file_part(task, mm, elf->file, segment, bias);
        if (!err)
            err = map_zero_part(task, mm, segment, bias);
    }
    if (!err)
        *out = (struct elf_place){bias, bias + image->entry, bias + image->end};
    return err;
}
