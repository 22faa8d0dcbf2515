/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF headers, judged (elf(5)). Every number comes from a stranger: sums are checked, and what
 * passes can be mapped without a further look. Stricter than Linux in one thing: a segment that
 * lies behind the end of its file is refused here, not met as SIGBUS later.
 */
#include "sentry/exec/elf.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "platform/platform.h"

#define ALIGN_MAX ((u64)1 << 30)

int elf_parse_header(const u8 *bytes, u64 size, struct elf_image *out)
{
    struct linux_elf_header header;
    memset(out, 0, sizeof *out);
    if (size < sizeof header)
        return -ENOEXEC;
    memcpy(&header, bytes, sizeof header);
    if (memcmp(header.ident, LINUX_ELF_MAGIC, 4) != 0 || header.ident[4] != LINUX_ELFCLASS64 ||
        header.ident[5] != LINUX_ELFDATA2LSB || header.ident[6] != LINUX_EV_CURRENT ||
        header.version != LINUX_EV_CURRENT || header.machine != LINUX_EM_X86_64)
        return -ENOEXEC;
    if (header.type != LINUX_ET_EXEC && header.type != LINUX_ET_DYN)
        return -ENOEXEC;
    u64 table_size = (u64)header.phnum * sizeof(struct linux_elf_phdr), table_end;
    if (header.phentsize != sizeof(struct linux_elf_phdr) || header.phnum == 0 ||
        table_size > ELF_PHDRS_SIZE_MAX || !checked_add(header.phoff, table_size, &table_end) ||
        table_end > INT64_MAX)
        return -ENOEXEC;
    out->is_movable = header.type == LINUX_ET_DYN;
    out->entry = header.entry;
    out->phdrs_offset = header.phoff;
    out->phdr_count = header.phnum;
    return 0;
}

static u32 segment_prot(u32 flags)
{
    return (flags & LINUX_PF_R ? LINUX_PROT_READ : 0) |
           (flags & LINUX_PF_W ? LINUX_PROT_WRITE : 0) | (flags & LINUX_PF_X ? LINUX_PROT_EXEC : 0);
}

static int judge_load(const struct linux_elf_phdr *phdr, u64 file_size, struct elf_image *out)
{
    u64 file_end, memory_end;
    if (phdr->memsz == 0)
        return phdr->filesz == 0 ? 0 : -ENOEXEC;
    if (phdr->filesz > phdr->memsz || !checked_add(phdr->offset, phdr->filesz, &file_end) ||
        file_end > file_size || !checked_add(phdr->vaddr, phdr->memsz, &memory_end) ||
        memory_end > SPACE_ADDRESS_END)
        return -ENOEXEC;
    if (phdr->filesz && (phdr->vaddr - phdr->offset) & ~PAGE_MASK)
        return -EINVAL; /* what mmap(2) says */
    if (out->segment_count == ELF_SEGMENTS_MAX)
        return -ENOEXEC;
    if (out->segment_count > 0) {
        const struct elf_segment *last = &out->segments[out->segment_count - 1];
        if (phdr->vaddr < last->address + last->memory_size)
            return -ENOEXEC; /* overlapping or out of order */
    }
    out->segments[out->segment_count++] = (struct elf_segment){
        .address = phdr->vaddr,
        .memory_size = phdr->memsz,
        .offset = phdr->offset,
        .file_size = phdr->filesz,
        .prot = segment_prot(phdr->flags),
    };
    if (is_power_of_two(phdr->align) && phdr->align <= ALIGN_MAX)
        out->align = MAX(out->align, phdr->align);
    return 0;
}

static int judge_phdr(const struct linux_elf_phdr *phdr, u64 file_size, struct elf_image *out)
{
    u64 end;
    switch (phdr->type) {
    case LINUX_PT_LOAD:
        return judge_load(phdr, file_size, out);
    case LINUX_PT_INTERP:
        if (out->has_interp)
            return 0; /* the first counts */
        if (phdr->filesz < 2 || phdr->filesz > ELF_INTERP_SIZE_MAX ||
            !checked_add(phdr->offset, phdr->filesz, &end) || end > file_size)
            return -ENOEXEC;
        out->has_interp = true;
        out->interp_offset = phdr->offset;
        out->interp_size = phdr->filesz;
        return 0;
    case LINUX_PT_GNU_STACK:
        out->has_exec_stack = phdr->flags & LINUX_PF_X;
        return 0;
    default:
        return 0;
    }
}

/* Where the table lies in memory: in the segment that holds its part of the file. */
static u64 phdrs_address(const struct elf_image *image)
{
    u64 size = image->phdr_count * sizeof(struct linux_elf_phdr);
    for (u32 i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (image->phdrs_offset >= segment->offset && size <= segment->file_size &&
            image->phdrs_offset - segment->offset <= segment->file_size - size)
            return segment->address + (image->phdrs_offset - segment->offset);
    }
    return 0;
}

int elf_parse_phdrs(const u8 *bytes, u64 size, u64 file_size, struct elf_image *out)
{
    if (size < out->phdr_count * sizeof(struct linux_elf_phdr))
        return -ENOEXEC;
    out->align = PAGE_SIZE;
    for (u32 i = 0; i < out->phdr_count; i++) {
        struct linux_elf_phdr phdr;
        memcpy(&phdr, bytes + i * sizeof phdr, sizeof phdr);
        int err = judge_phdr(&phdr, file_size, out);
        if (err)
            return err;
    }
    if (out->segment_count == 0)
        return -ENOEXEC;
    const struct elf_segment *last = &out->segments[out->segment_count - 1];
    out->start = ALIGN_DOWN(out->segments[0].address, PAGE_SIZE);
    out->end = ALIGN_UP(last->address + last->memory_size, PAGE_SIZE);
    if (!out->is_movable && out->start < SPACE_ADDRESS_MIN)
        return -ENOEXEC;
    if (out->entry >= SPACE_ADDRESS_END) /* anywhere else it may lie, mapped or not */
        return -ENOEXEC;
    out->phdrs_address = phdrs_address(out);
    return 0;
}

int elf_parse(const u8 *bytes, u64 size, struct elf_image *out)
{
    int err = elf_parse_header(bytes, size, out);
    if (err)
        return err;
    if (out->phdrs_offset > size)
        return -ENOEXEC;
    err = elf_parse_phdrs(bytes + out->phdrs_offset, size - out->phdrs_offset, size, out);
    if (!err && out->has_interp &&
        !elf_interp_is_good(bytes + out->interp_offset, out->interp_size))
        return -ENOEXEC;
    return err;
}

bool elf_interp_is_good(const u8 *bytes, u64 size)
{
    return size >= 2 && memchr(bytes, 0, size) == bytes + size - 1;
}
