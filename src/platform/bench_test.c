/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of every native platform, printed and never judged: the quietest of several batches,
 * since the machine is shared. PICKET_BENCH=1 makes the batches long enough to quote.
 */
#include "platform/contract.h"
#include <stdlib.h>
#include <time.h>

#define R PROT_READ_BIT
#define W PROT_WRITE_BIT
#define X PROT_EXEC_BIT

static const char *platform_now;

static const u8 code_call[] = {0x0f, 0x05, 0xeb, 0xfc};
/* mov %rax, (%rbx); add $4096, %rbx; jmp back */
static const u8 code_touch[] = {0x48, 0x89, 0x03, 0x48, 0x81, 0xc3, 0x00, 0x10, 0, 0, 0xeb, 0xf4};

static u64 now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

struct figure {
    const char *name;
    u64 best;
    u64 count; /* events in a batch */
    u64 start;
};

static void figure_start(struct figure *figure)
{
    figure->start = now_ns();
}

static void figure_end(struct figure *figure)
{
    u64 ns = (now_ns() - figure->start) / figure->count;
    if (figure->best == 0 || ns < figure->best)
        figure->best = ns;
}

static void figure_print(const struct figure *figure)
{
    printf("    %-8s %-44s %8lu ns\n", platform_now, figure->name, figure->best);
}

static u64 batch_count(void)
{
    return getenv("PICKET_BENCH") ? 400 : 10;
}

static void bench_calls(struct rig *rig)
{
    struct guest guest, sibling;
    struct figure call = {.name = "system call, turn", .count = 20};
    struct figure step = {.name = "single step", .count = 20};
    struct figure change = {.name = "system call of another context each time", .count = 10};
    guest_create(&guest, rig, (struct bytes){code_call, sizeof code_call});
    guest_sibling(&sibling, &guest);
    ASSERT_SYSCALL(guest_run(&guest, 0));
    for (u64 batch = 0; batch < batch_count(); batch++) {
        figure_start(&call);
        for (u64 i = 0; i < call.count; i++) {
            guest.context.regs.rax = i;
            ASSERT_SYSCALL(guest_run(&guest, 0));
        }
        figure_end(&call);
        figure_start(&change);
        for (u64 i = 0; i < change.count; i++)
            ASSERT_SYSCALL(guest_run(i % 2 ? &guest : &sibling, 0));
        figure_end(&change);
        guest.context.single_step = true;
        figure_start(&step);
        for (u64 i = 0; i < step.count; i++)
            (void)guest_run(&guest, 0);
        figure_end(&step);
        guest.context.single_step = false;
    }
    figure_print(&call);
    figure_print(&change);
    figure_print(&step);
    context_forget(rig->platform, &sibling.context);
    guest_destroy(&guest);
}

/* As memory/ does: real memory for all of the run, then the entries. */
static void fill_as_the_sentry(struct guest *guest, u64 address, u64 count)
{
    frame first = rig_frames(guest->rig, count);
    ASSERT(machine_populate(&guest->rig->memory, first, count) == 0);
    ASSERT(space_map(guest->space, uaddr_make(address), first, count, R | W) == 0);
    (void)space_commit(guest->space);
}

/* A demand fault that fills a run of FILL pages of fresh memory, until the next such fault. Either
 * the pages were never used, or they went back to the host and come again. */
static void bench_faults(struct rig *rig, u64 fill, bool is_new)
{
    char name[64];
    struct guest guest;
    struct figure fault = {.name = name, .count = 4};
    snprintf(name, sizeof name, "fault, %lu pages filled and touched, %s", fill,
             is_new ? "never used" : "given back before");
    guest_create(&guest, rig, (struct bytes){code_touch, sizeof code_touch});
    guest.context.regs.rbx = DATA_ADDRESS;
    struct event event = guest_run(&guest, 0);
    for (u64 batch = 0; batch < batch_count(); batch++) {
        u64 first = rig->frame_next;
        figure_start(&fault);
        for (u64 i = 0; i < fault.count; i++) {
            fill_as_the_sentry(&guest, event.address, fill);
            event = guest_run(&guest, 0);
            CU_ASSERT_EQUAL(event.type, EVENT_FAULT);
        }
        figure_end(&fault);
        space_unmap(guest.space, uaddr_make(DATA_ADDRESS),
                    (event.address - DATA_ADDRESS) >> PAGE_SHIFT);
        (void)space_commit(guest.space);
        guest.context.regs.rbx = DATA_ADDRESS;
        event = guest_run(&guest, 0);
        if (is_new)
            continue;
        if (batch == 0) /* that one's were new */
            fault.best = 0;
        machine_discard(&rig->memory, (frame){first}, rig->frame_next - first);
        rig->frame_next = first;
    }
    figure_print(&fault);
    guest_destroy(&guest);
}

/* An access to a present entry that the platform has not cached. */
static void bench_refills(struct rig *rig, u64 run)
{
    char name[64];
    struct guest guest;
    const u64 count = 16;
    struct figure refill = {.name = name, .count = count};
    snprintf(name, sizeof name, "refill of present entries, runs of %lu, a page", run);
    for (u64 batch = 0; batch < batch_count(); batch++) {
        guest_create(&guest, rig, (struct bytes){code_touch, sizeof code_touch});
        guest.context.regs.rbx = DATA_ADDRESS;
        frame first = rig_frames(rig, count * 2);
        ASSERT(machine_populate(&rig->memory, first, count * 2) == 0);
        for (u64 at = 0; at < count; at += run)
            ASSERT(space_map(guest.space, uaddr_make(DATA_ADDRESS + at * PAGE_SIZE),
                             (frame){first.index + at + (at / run) % 2 * count}, run, R | W) == 0);
        (void)space_commit(guest.space);
        figure_start(&refill);
        struct event event = guest_run(&guest, 0);
        figure_end(&refill);
        CU_ASSERT_EQUAL(event.address, DATA_ADDRESS + count * PAGE_SIZE);
        guest_destroy(&guest);
        machine_discard(&rig->memory, first, count * 2);
    }
    figure_print(&refill);
}

static void bench_edits(struct rig *rig)
{
    struct guest guest;
    struct figure unmap = {.name = "unmap, map again, system call", .count = 8};
    struct figure protect = {.name = "protect, system call", .count = 8};
    guest_create(&guest, rig, (struct bytes){code_call, sizeof code_call});
    frame first = rig_frames(rig, 16);
    ASSERT(space_map(guest.space, uaddr_make(CODE_ADDRESS + 16 * PAGE_SIZE), first, 16, R | W) ==
           0);
    for (u64 batch = 0; batch < batch_count(); batch++) {
        figure_start(&unmap);
        for (u64 i = 0; i < unmap.count; i++) {
            struct pagetable_entry entry;
            ASSERT(pagetable_get(space_table(guest.space), uaddr_make(CODE_ADDRESS), &entry));
            space_unmap(guest.space, uaddr_make(CODE_ADDRESS), 1);
            ASSERT(space_map(guest.space, uaddr_make(CODE_ADDRESS), entry.frame, 1, R | X) == 0);
            (void)space_commit(guest.space);
            ASSERT_SYSCALL(guest_run(&guest, 0));
        }
        figure_end(&unmap);
        figure_start(&protect);
        for (u64 i = 0; i < protect.count; i++) {
            space_protect(guest.space, uaddr_make(CODE_ADDRESS), 1, i % 2 ? R | X : R | W | X);
            (void)space_commit(guest.space);
            ASSERT_SYSCALL(guest_run(&guest, 0));
        }
        figure_end(&protect);
    }
    figure_print(&unmap);
    figure_print(&protect);
    guest_destroy(&guest);
}

static void bench_spaces(struct rig *rig)
{
    enum { COUNT = 2 };
    static struct guest guests[COUNT];
    struct figure pooled = {.name = "space from the pool until its first call, and end",
                            .count = 4};
    struct figure fresh = {.name = "space until its first call, none in the pool", .count = COUNT};
    for (u64 batch = 0; batch < batch_count(); batch++) {
        struct rig own;
        rig_create(&own, platform_now, 1);
        rig_attach(&own, 0);
        figure_start(&fresh);
        for (int i = 0; i < COUNT; i++) {
            guest_create(&guests[i], &own, (struct bytes){code_call, sizeof code_call});
            ASSERT_SYSCALL(guest_run(&guests[i], 0));
        }
        figure_end(&fresh);
        for (int i = 0; i < COUNT; i++)
            guest_destroy(&guests[i]);
        rig_detach(&own, 0);
        rig_destroy(&own);
        alarm(ALARM_S);
        figure_start(&pooled);
        for (u64 i = 0; i < pooled.count; i++) {
            guest_create(&guests[0], rig, (struct bytes){code_call, sizeof code_call});
            ASSERT_SYSCALL(guest_run(&guests[0], 0));
            guest_destroy(&guests[0]);
        }
        figure_end(&pooled);
    }
    figure_print(&fresh);
    figure_print(&pooled);
}

static void test_figures(void)
{
    for (u32 i = 0; platform_name(i); i++) {
        struct rig rig;
        char text[256];
        platform_now = platform_name(i);
        if (strcmp(platform_now, "script") == 0 ||
            !platform_is_here(platform_now, text, sizeof text))
            continue;
        rig_create(&rig, platform_now, 1);
        rig_attach(&rig, 0);
        printf("\n");
        bench_calls(&rig);
        for (u64 fill = 1; fill <= 64; fill *= fill == 1 ? 16 : 4) {
            bench_faults(&rig, fill, true);
            bench_faults(&rig, fill, false);
        }
        bench_refills(&rig, 1);
        bench_refills(&rig, 16);

        bench_edits(&rig);
        bench_spaces(&rig);
        rig_detach(&rig, 0);
        rig_destroy(&rig);
    }
}

void bench_suite(void);
void bench_suite(void)
{
    static CU_TestInfo tests[] = {{"printed, not judged", test_figures}, CU_TEST_INFO_NULL};
    CU_SuiteInfo suites[] = {{"platform figures", NULL, NULL, NULL, NULL, tests},
                             CU_SUITE_INFO_NULL};
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
}
