/* SPDX-License-Identifier: Apache-2.0 */
/* ELF64 for x86-64 (elf(5)) and the auxiliary vector (getauxval(3)). Names carry LINUX_ beside
 * <elf.h>. */
#pragma once
#include "base/base.h"

#define LINUX_ELF_MAGIC "\177ELF"
#define LINUX_ELFCLASS64 2
#define LINUX_ELFDATA2LSB 1
#define LINUX_EV_CURRENT 1
#define LINUX_ET_EXEC 2
#define LINUX_ET_DYN 3
#define LINUX_ET_CORE 4
#define LINUX_EM_X86_64 62

struct linux_elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct linux_elf_header) == 64, "Elf64_Ehdr");

#define LINUX_PT_LOAD 1u
#define LINUX_PT_DYNAMIC 2u
#define LINUX_PT_INTERP 3u
#define LINUX_PT_NOTE 4u
#define LINUX_PT_PHDR 6u
#define LINUX_PT_GNU_STACK 0x6474e551u
#define LINUX_PF_X 1u
#define LINUX_PF_W 2u
#define LINUX_PF_R 4u

struct linux_elf_phdr {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct linux_elf_phdr) == 56, "Elf64_Phdr");

#define LINUX_AT_NULL 0u
#define LINUX_AT_PHDR 3u
#define LINUX_AT_PHENT 4u
#define LINUX_AT_PHNUM 5u
#define LINUX_AT_PAGESZ 6u
#define LINUX_AT_BASE 7u
#define LINUX_AT_FLAGS 8u
#define LINUX_AT_ENTRY 9u
#define LINUX_AT_UID 11u
#define LINUX_AT_EUID 12u
#define LINUX_AT_GID 13u
#define LINUX_AT_EGID 14u
#define LINUX_AT_PLATFORM 15u
#define LINUX_AT_HWCAP 16u
#define LINUX_AT_CLKTCK 17u
#define LINUX_AT_SECURE 23u
#define LINUX_AT_RANDOM 25u
#define LINUX_AT_HWCAP2 26u
#define LINUX_AT_EXECFN 31u
#define LINUX_AT_SYSINFO_EHDR 33u
#define LINUX_AT_MINSIGSTKSZ 51u
