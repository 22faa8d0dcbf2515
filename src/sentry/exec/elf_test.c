/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/exec/elf.h"

#include <CUnit/CUnit.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"

/* A small good file: code from 0, data with more memory than file, an interpreter's name, a stack.
 */
struct sample {
    struct linux_elf_header header;
    struct linux_elf_phdr phdrs[5];
    u8 rest[0x3000];
};

static struct sample sample_make(void)
{
    struct sample s = {0};
    memcpy(s.header.ident, "\177ELF\2\1\1", 7);
    s.header.type = LINUX_ET_EXEC;
    s.header.machine = LINUX_EM_X86_64;
    s.header.version = 1;
    s.header.entry = 0x401000;
    s.header.phoff = offsetof(struct sample, phdrs);
    s.header.phentsize = sizeof s.phdrs[0];
    s.header.phnum = 5;
    s.phdrs[0] = (struct linux_elf_phdr){LINUX_PT_LOAD, 5, 0, 0x400000, 0, 0x1800, 0x1800, 4096};
    s.phdrs[1] = (struct linux_elf_phdr){LINUX_PT_LOAD, 6,      0x1800, 0x402800, 0,
                                         0x100,         0x3000, 4096};
    s.phdrs[2] = (struct linux_elf_phdr){LINUX_PT_INTERP, 4, 0x2000, 0, 0, 7, 7, 1};
    s.phdrs[3] = (struct linux_elf_phdr){LINUX_PT_GNU_STACK, 6, 0, 0, 0, 0, 0, 16};
    s.phdrs[4] = (struct linux_elf_phdr){LINUX_PT_NOTE, 4, ~0ull, ~0ull, 0, ~0ull, ~0ull, 3};
    memcpy((u8 *)&s + 0x2000, "/ld.so", 7);
    return s;
}

static int parse(const struct sample *s, struct elf_image *out)
{
    return elf_parse((const u8 *)s, sizeof *s, out);
}

static void test_a_good_file_is_read(void)
{
    struct sample s = sample_make();
    struct elf_image image;
    CU_ASSERT_EQUAL_FATAL(parse(&s, &image), 0);
    CU_ASSERT(!image.is_movable && image.has_interp && !image.has_exec_stack);
    CU_ASSERT_EQUAL(image.segment_count, 2);
    CU_ASSERT_EQUAL(image.start, 0x400000);
    CU_ASSERT_EQUAL(image.end, 0x406000);
    CU_ASSERT_EQUAL(image.phdrs_address, 0x400040);
    CU_ASSERT_EQUAL(image.segments[0].prot, LINUX_PROT_READ | LINUX_PROT_EXEC);
    CU_ASSERT_EQUAL(image.interp_size, 7);
    s.header.type = LINUX_ET_DYN;
    s.phdrs[3].flags = 7;
    s.phdrs[0].align = 0x200000;
    CU_ASSERT_EQUAL(parse(&s, &image), 0);
    CU_ASSERT(image.is_movable && image.has_exec_stack && image.align == 0x200000);
    s.phdrs[0].align = 3; /* nonsense is ignored, as Linux does */
    CU_ASSERT_EQUAL(parse(&s, &image), 0);
    CU_ASSERT_EQUAL(image.align, PAGE_SIZE);
}

/* One change that must be refused. */
struct damage {
    const char *what;
    size_t offset;
    u64 value;
    size_t size;
};
#define HEADER(member, value)                                      \
    {                                                              \
#member, offsetof(struct linux_elf_header, member), value, \
            sizeof(((struct linux_elf_header *)0)->member)         \
    }
#define PHDR(n, member, value)                                                     \
    {                                                                              \
        "phdr " #n " " #member,                                                    \
            offsetof(struct sample, phdrs) + (n) * sizeof(struct linux_elf_phdr) + \
                offsetof(struct linux_elf_phdr, member),                           \
            value, sizeof(((struct linux_elf_phdr *)0)->member)                    \
    }

static const struct damage damages[] = {
    {"magic", 1, 'F', 1},
    {"class", 4, 1, 1},
    {"byte order", 5, 2, 1},
    {"version of ident", 6, 2, 1},
    HEADER(type, LINUX_ET_CORE),
    HEADER(machine, 3),
    HEADER(version, 2),
    HEADER(phentsize, 32),
    HEADER(phnum, 0),
    HEADER(phnum, 2000),
    HEADER(phoff, 0x1000000),
    HEADER(phoff, UINT64_MAX),
    HEADER(entry, 0x7ffffffff000),
    PHDR(0, filesz, 0x1900), /* more in the file than in memory */
    PHDR(0, offset, 1),      /* not congruent */
    PHDR(0, offset, UINT64_MAX - 0xfff),
    PHDR(0, vaddr, 0x1000), /* below the lowest address */
    PHDR(0, vaddr, UINT64_MAX - 0xfff),
    PHDR(0, vaddr, 0x403000), /* out of order */
    PHDR(0, memsz, 0x3000),   /* overlaps the next */
    PHDR(1, memsz, UINT64_MAX),
    PHDR(1, memsz, 0x7fffffffffff),
    PHDR(1, memsz, 0),
    PHDR(1, offset, 0x7800), /* behind the end of the file */
    PHDR(2, filesz, 1),
    PHDR(2, filesz, 6), /* no terminator */
    PHDR(2, filesz, 8), /* two of them */
    PHDR(2, filesz, 5000),
    PHDR(2, offset, 0x10000),
    PHDR(2, offset, UINT64_MAX),
};

static void test_every_damage_is_refused(void)
{
    struct elf_image image;
    for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
        struct sample s = sample_make();
        memcpy((u8 *)&s + damages[i].offset, &damages[i].value, damages[i].size);
        int err = parse(&s, &image);
        if (err != -ENOEXEC && err != -EINVAL)
            fprintf(stderr, "accepted: %s = %llx\n", damages[i].what,
                    (unsigned long long)damages[i].value);
        CU_ASSERT(err == -ENOEXEC || err == -EINVAL);
    }
    struct sample s = sample_make();
    for (u64 size = 0; size < 0x2007; size++)
        CU_ASSERT_EQUAL_FATAL(elf_parse((const u8 *)&s, size, &image),
                              -ENOEXEC); /* truncated anywhere */
    s.phdrs[0].type = s.phdrs[1].type = LINUX_PT_NOTE;
    CU_ASSERT_EQUAL(parse(&s, &image), -ENOEXEC); /* nothing to load */
}

static void test_what_is_accepted_can_be_mapped(void)
{
    u64 state = 3;
    for (int round = 0; round < 200000; round++) {
        struct sample s = sample_make();
        struct elf_image image;
        for (int flips = 0; flips < 3; flips++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            u64 bit = (state >> 32) % (offsetof(struct sample, rest) * 8);
            ((u8 *)&s)[bit / 8] ^= (u8)(1u << bit % 8);
        }
        if (parse(&s, &image) != 0)
            continue;
        u64 end = image.start;
        CU_ASSERT_FATAL(image.segment_count > 0 && image.end > image.start);
        for (u32 i = 0; i < image.segment_count; i++) {
            const struct elf_segment *segment = &image.segments[i];
            CU_ASSERT_FATAL(segment->address >= end && segment->file_size <= segment->memory_size);
            CU_ASSERT_FATAL(segment->offset + segment->file_size <= sizeof s);
            end = segment->address + segment->memory_size;
            CU_ASSERT_FATAL(end > segment->address && end <= image.end);
        }
    }
}

void elf_suite(void);
void elf_suite(void)
{
    CU_pSuite suite = CU_add_suite("exec/elf", NULL, NULL);
    CU_ADD_TEST(suite, test_a_good_file_is_read);
    CU_ADD_TEST(suite, test_every_damage_is_refused);
    CU_ADD_TEST(suite, test_what_is_accepted_can_be_mapped);
}
