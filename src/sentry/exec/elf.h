/* SPDX-License-Identifier: Apache-2.0 */
/* Reading ELF headers from bytes, strictly. Knows no file, no memory, no task: the fuzz target's
 * whole world. */
#pragma once
#include "abi/elf.h"
#include "base/base.h"

#define ELF_PHDRS_SIZE_MAX 65536u /* as Linux: at most one 64 KiB table */
#define ELF_SEGMENTS_MAX 128u
#define ELF_INTERP_SIZE_MAX 4096u /* with terminator */

struct elf_segment {
    u64 address;     /* as linked */
    u64 memory_size; /* > 0 */
    u64 offset;      /* in the file; congruent to address modulo the page */
    u64 file_size;   /* <= memory_size */
    u32 prot;        /* LINUX_PROT_* */
};

struct elf_image {
    bool is_movable;     /* ET_DYN */
    bool has_exec_stack; /* PT_GNU_STACK with PF_X */
    bool has_interp;
    u64 entry;
    u64 interp_offset, interp_size; /* path in the file, with terminator */
    u64 phdrs_offset;
    u32 phdr_count;
    u64 phdrs_address; /* where they lie in memory as linked, or 0 */
    u64 start, end;    /* of all segments, whole pages */
    u64 align;         /* of the start, a power of two of at least a page */
    u32 segment_count; /* ascending, disjoint */
    struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/* The first 64 bytes: fills is_movable, entry, phdrs_offset, phdr_count. 0 or -ENOEXEC. */
MUST_CHECK int elf_parse_header(const u8 *bytes, u64 size, struct elf_image *out);
/* The program headers that elf_parse_header named: the rest. FILE_SIZE bounds what segments may ask
 * for. 0, -ENOEXEC, or -EINVAL (a segment cannot be mapped at its address). */
MUST_CHECK int elf_parse_phdrs(const u8 *bytes, u64 size, u64 file_size, struct elf_image *out);
/* Both, of a whole file in memory. */
MUST_CHECK int elf_parse(const u8 *bytes, u64 size, struct elf_image *out);
/* BYTES [interp_offset, +interp_size) as a path: is it one? (one terminator, at the end, not empty)
 */
MUST_CHECK bool elf_interp_is_good(const u8 *bytes, u64 size);
