/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rig of the contract suite: a memory file, a platform, spaces and contexts to run in them.
 * Only tests include it. A platform that does not run x86 code brings its own bytes for the four
 * programs.
 */
#pragma once
#include "platform/pagetable.h"
#include "platform/platform.h"
#include <CUnit/Basic.h>
#include <CUnit/TestDB.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CODE_ADDRESS 0x400000ull
#define DATA_ADDRESS 0x20000000ull
#define STACK_ADDRESS 0x7ffe00000000ull
#define RIG_FRAMES 0x40000ull /* 1 GiB, sparse */
#define ALARM_S 120u

struct bytes {
    const u8 *start;
    size_t size;
};

/* What a platform needs for the rows that do not depend on the kind of code. */
struct contract_programs {
    u64 code_address;
    u64 vars_address;  /* a page that the programs need besides; 0: none */
    struct bytes call; /* system call 39, again and again */
    struct bytes
        load; /* read eight bytes at DATA_ADDRESS into system call 39's first argument; repeat */
    struct bytes store; /* write eight bytes of 0x55 to DATA_ADDRESS, then system call 39; repeat */
    struct bytes spin;  /* no system call, for ever */
};

struct rig {
    struct machine_memory memory;
    struct platform *platform;
    u64 frame_next;
    u64 context_next;
};

struct guest {
    struct rig *rig;
    struct space *space;
    struct context context;
    struct xstate xstate;
};

/* ASSERT and not CU_ASSERT: without a rig nothing below means anything. */
static inline void rig_create(struct rig *rig, const char *name, u32 cpu_count)
{
    char text[256] = "";
    *rig = (struct rig){.frame_next = 1, .context_next = 1};
    alarm(ALARM_S);
    ASSERT(machine_memory_create("picket-memory", RIG_FRAMES, &rig->memory) == 0);
    int err = platform_create(name, &rig->memory, cpu_count, &rig->platform, text, sizeof text);
    if (err)
        fprintf(stderr, "%s\n", text);
    ASSERT(err == 0);
}

static inline void rig_destroy(struct rig *rig)
{
    CU_ASSERT_EQUAL(platform_tables(rig->platform)->used_count, 0);
    platform_destroy(rig->platform);
    machine_memory_destroy(&rig->memory);
    alarm(0);
}

/* Can platform NAME be had on this machine? If not, TEXT says why. */
static inline bool platform_is_here(const char *name, char *text, size_t size)
{
    struct machine_memory memory;
    struct platform *platform = NULL;
    ASSERT(machine_memory_create("picket-memory", 16, &memory) == 0);
    bool is_here = platform_create(name, &memory, 1, &platform, text, size) == 0;
    if (is_here)
        platform_destroy(platform);
    machine_memory_destroy(&memory);
    return is_here;
}

/* Turn the tests of SUITE off, saying why, if platform NAME cannot be had on this machine. */
static inline void suite_check(const char *suite_name, const char *name)
{
    char text[256] = "";
    if (platform_is_here(name, text, sizeof text))
        return;
    printf("SKIP  %s: %s\n", suite_name, text);
    CU_pSuite suite = CU_get_suite(suite_name);
    for (CU_pTest test = suite ? suite->pTest : NULL; test; test = test->pNext)
        CU_set_test_active(test, CU_FALSE);
}

static inline frame rig_frames(struct rig *rig, u64 count)
{
    frame first = {rig->frame_next};
    rig->frame_next += count;
    ASSERT(rig->frame_next <= RIG_FRAMES);
    return first;
}

/* COUNT fresh pages at ADDRESS; where they lie in our view. */
static inline u8 *guest_map(struct guest *guest, u64 address, u64 count, u32 prot)
{
    frame first = rig_frames(guest->rig, count);
    ASSERT(space_map(guest->space, uaddr_make(address), first, count, prot) == 0);
    (void)space_commit(guest->space);
    return machine_frame(&guest->rig->memory, first);
}

static inline void guest_code(struct guest *guest, u64 address, struct bytes code)
{
    u64 count = (code.size + PAGE_SIZE - 1) / PAGE_SIZE;
    u8 *pages = guest_map(guest, address, count, PROT_READ_BIT | PROT_EXEC_BIT);
    memcpy(pages, code.start, code.size);
}

/* Another context in the same space. */
static inline void guest_sibling(struct guest *guest, const struct guest *of)
{
    memset(guest, 0, sizeof *guest);
    guest->rig = of->rig;
    guest->space = of->space;
    xstate_init(&guest->xstate);
    guest->context = (struct context){
        .xstate = &guest->xstate,
        .xstate_changed = true,
        .id = of->rig->context_next++,
        .regs =
            {
                .rip = CODE_ADDRESS,
                .rsp = STACK_ADDRESS,
                .cs = REGS_CS_USER,
                .ss = REGS_SS_USER,
                .eflags = EFLAGS_IF | 2,
                .orig_rax = ~(u64)0,
            },
    };
}

/* A space with CODE at CODE_ADDRESS and a page of stack that ends at STACK_ADDRESS. */
static inline void guest_create(struct guest *guest, struct rig *rig, struct bytes code)
{
    struct guest blank = {.rig = rig};
    ASSERT(space_create(rig->platform, &blank.space) == 0);
    guest_sibling(guest, &blank);
    guest_code(guest, CODE_ADDRESS, code);
    (void)guest_map(guest, STACK_ADDRESS - PAGE_SIZE, 1, PROT_READ_BIT | PROT_WRITE_BIT);
}

/* Likewise for one of PROGRAMS. */
static inline void guest_create_program(struct guest *guest, struct rig *rig,
                                        const struct contract_programs *programs, struct bytes code)
{
    struct guest blank = {.rig = rig};
    ASSERT(space_create(rig->platform, &blank.space) == 0);
    guest_sibling(guest, &blank);
    guest->context.regs.rip = programs->code_address;
    guest_code(guest, programs->code_address, code);
    (void)guest_map(guest, STACK_ADDRESS - PAGE_SIZE, 1, PROT_READ_BIT | PROT_WRITE_BIT);
    if (programs->vars_address)
        (void)guest_map(guest, programs->vars_address, 1, PROT_READ_BIT | PROT_WRITE_BIT);
}

static inline void guest_destroy(struct guest *guest)
{
    context_forget(guest->rig->platform, &guest->context);
    space_unmap(guest->space, uaddr_make(SPACE_ADDRESS_MIN),
                (SPACE_ADDRESS_END - SPACE_ADDRESS_MIN) >> PAGE_SHIFT);
    (void)space_commit(guest->space);
    space_destroy(guest->space);
}

static inline struct event guest_run(struct guest *guest, u32 cpu_index)
{
    struct event event;
    struct cpu *cpu = platform_cpu(guest->rig->platform, cpu_index);
    cpu_enter(cpu, guest->space, &guest->context);
    cpu_run(cpu, &event);
    cpu_leave(cpu);
    return event;
}

static inline void rig_attach(struct rig *rig, u32 cpu_index)
{
    ASSERT(cpu_attach(platform_cpu(rig->platform, cpu_index)) == 0);
}

static inline void rig_detach(struct rig *rig, u32 cpu_index)
{
    cpu_detach(platform_cpu(rig->platform, cpu_index));
}

#define ASSERT_SYSCALL(event) CU_ASSERT_EQUAL((event).type, EVENT_SYSCALL)
#define ASSERT_KICK(event) CU_ASSERT_EQUAL((event).type, EVENT_KICK)
#define ASSERT_FAULT(run, at, how)                 \
    do {                                           \
        struct event fault_ = (run);               \
        CU_ASSERT_EQUAL(fault_.type, EVENT_FAULT); \
        CU_ASSERT_EQUAL(fault_.address, (at));     \
        CU_ASSERT_EQUAL(fault_.access, (how));     \
    } while (0)
