/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub's memory: its page tables, code, descriptor tables and the cpus' areas (Intel's manual,
 * volume 3, chapters 3 to 8). Surprising: the tables map the stub's pages alone, at STUB_BASE plus
 * their offset, all for the supervisor; every space's top table has the one entry that leads here.
 */
#include "platform/kvm/internal.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define STUB_LINK (PAGETABLE_P | PAGETABLE_W | PAGETABLE_A)
#define GATE_INTERRUPT 0x8eull
#define GATE_USER (3ull << 5) /* `int3` and `into` may come from the program */
#define IDT_VECTORS 256u

static u64 *page_words(const struct kvm_platform *platform, u32 page)
{
    return (u64 *)(void *)stub_page(platform, page);
}

static u64 page_physical(const struct kvm_platform *platform, u32 page)
{
    return platform->stub_physical + ((u64)page << PAGE_SHIFT);
}

static void tables_fill(struct kvm_platform *platform)
{
    u64 *leaves = page_words(platform, STUB_PAGE_LEAVES);
    page_words(platform, STUB_PAGE_ROOT)[STUB_ROOT_INDEX] = page_physical(platform,
                                                                          STUB_PAGE_DIRECTORY) |
                                                            STUB_LINK;
    page_words(platform, STUB_PAGE_DIRECTORY)[0] = page_physical(platform, STUB_PAGE_MIDDLE) |
                                                   STUB_LINK;
    page_words(platform, STUB_PAGE_MIDDLE)[0] = page_physical(platform, STUB_PAGE_LEAVES) |
                                                STUB_LINK;
    u64 bits = PAGETABLE_P | PAGETABLE_A | PAGETABLE_D;
    leaves[STUB_PAGE_CODE] = page_physical(platform, STUB_PAGE_CODE) | bits;
    leaves[STUB_PAGE_GDT] = page_physical(platform, STUB_PAGE_GDT) | bits | PAGETABLE_NX;
    leaves[STUB_PAGE_IDT] = page_physical(platform, STUB_PAGE_IDT) | bits | PAGETABLE_NX;
    for (u32 i = 0; i < platform->base.cpu_count * (1 + SLOTS_PER_CPU); i++)
        leaves[STUB_PAGE_AREAS + i] = page_physical(platform, STUB_PAGE_AREAS + i) | bits |
                                      PAGETABLE_W | PAGETABLE_NX;
}

/* A flat segment; TYPE has the accessed bit, so that the processor need not write it. */
static u64 descriptor(u64 type, u64 dpl, bool is_long)
{
    u64 access = type | 1u << 4 | dpl << 5 | 1u << 7;
    u64 flags = 0x8u | (is_long ? 0x2u : 0x4u);
    return 0xffffull | access << 40 | 0xfull << 48 | flags << 52;
}

static void gdt_fill(struct kvm_platform *platform)
{
    u64 *gdt = page_words(platform, STUB_PAGE_GDT);
    gdt[SELECTOR_KERNEL_CODE / 8] = descriptor(0xb, 0, true);
    gdt[SELECTOR_KERNEL_DATA / 8] = descriptor(0x3, 0, false);
    gdt[SELECTOR_USER_CODE32 / 8] = descriptor(0xb, 3, false);
    gdt[SELECTOR_USER_DATA / 8] = descriptor(0x3, 3, false);
    gdt[SELECTOR_USER_CODE / 8] = descriptor(0xb, 3, true);
}

static void idt_fill(struct kvm_platform *platform)
{
    u64 *idt = page_words(platform, STUB_PAGE_IDT);
    for (u32 i = 0; i < IDT_VECTORS; i++) {
        u32 entry = MIN(i, STUB_VECTORS - 1);
        u64 at = stub_address(kvm_stub_vectors + (size_t)entry * STUB_VECTOR_SIZE);
        u64 gate = GATE_INTERRUPT | (i == 3 || i == 4 ? GATE_USER : 0);
        u64 stack = i == 8 ? 1 : 0;
        idt[2 * i] = (at & 0xffff) | (u64)SELECTOR_KERNEL_CODE << 16 | stack << 32 | gate << 40 |
                     (at >> 16 & 0xffff) << 48;
        idt[2 * i + 1] = at >> 32;
    }
}

static void areas_fill(struct kvm_platform *platform)
{
    for (u32 i = 0; i < platform->base.cpu_count; i++) {
        struct area *area = (struct area *)(void *)stub_page(platform, STUB_PAGE_AREAS + i);
        u64 address = STUB_BASE + ((u64)(STUB_PAGE_AREAS + i) << PAGE_SHIFT);
        u64 frame_end = address + AREA_REGS_FRAME_END;
        u64 stack_end = address + AREA_STACK_END;
        u16 no_ports = 0x68; /* the map of ports lies behind the segment's end */
        memcpy(area->tss + 4, &frame_end, sizeof frame_end);
        memcpy(area->tss + 36, &stack_end, sizeof stack_end);
        memcpy(area->tss + 102, &no_ports, sizeof no_ports);
        area->frame_end = frame_end;
    }
}

int stub_create(struct kvm_platform *platform)
{
    size_t size = (STUB_PAGE_AREAS + platform->base.cpu_count * (size_t)(1 + SLOTS_PER_CPU))
                  << PAGE_SHIFT;
    ASSERT((size_t)(kvm_stub_end - kvm_stub_start) <= PAGE_SIZE);
    void *stub = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stub == MAP_FAILED)
        return -ENOMEM;
    (void)madvise(stub, size, MADV_DONTDUMP);
    platform->stub = stub;
    platform->stub_size = size;
    tables_fill(platform);
    gdt_fill(platform);
    idt_fill(platform);
    areas_fill(platform);
    memcpy(stub_page(platform, STUB_PAGE_CODE), kvm_stub_start,
           (size_t)(kvm_stub_end - kvm_stub_start));
    return 0;
}

void stub_destroy(struct kvm_platform *platform)
{
    if (platform->stub)
        munmap(platform->stub, platform->stub_size);
}
