/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only this platform promises: how many exits things cost, a device that is lent, hosts that
 * cannot. Skipped where there is no KVM; the contract suite has everything else.
 */
#include "platform/contract.h"
#include "platform/fault.h"
#include "platform/kvm/internal.h"
#include <fcntl.h>
#include <stdio.h>

#define SNIPPET(name, code)                                                             \
    __asm__(".pushsection .rodata\n" #name ":\n" code "\n" #name "_end:\n.popsection"); \
    extern const u8 name[], name##_end[]
#define BYTES(name) ((struct bytes){name, (size_t)(name##_end - name)})
#define RW (PROT_READ_BIT | PROT_WRITE_BIT)

SNIPPET(kvm_calls, "1: syscall; jmp 1b");
SNIPPET(kvm_walk, "1: incq (%rbx); add $4096, %rbx; dec %rdx; jnz 1b; syscall");
SNIPPET(kvm_clock, "1: rdtsc; dec %rbx; jnz 1b; syscall");

static struct kvm_counts *counts(struct rig *rig)
{
    return &kvm_cpu_of(platform_cpu(rig->platform, 0))->counts;
}

static void setup(struct rig *rig, struct guest *guest, struct bytes code)
{
    rig_create(rig, "kvm", 1);
    rig_attach(rig, 0);
    guest_create(guest, rig, code);
}

static void teardown(struct rig *rig, struct guest *guest)
{
    guest_destroy(guest);
    rig_detach(rig, 0);
    rig_destroy(rig);
}

static void test_a_system_call_is_one_exit(void)
{
    enum { CALLS = 500 };
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(kvm_calls));
    ASSERT_SYSCALL(guest_run(&guest, 0));
    struct kvm_counts before = *counts(&rig);
    for (int i = 0; i < CALLS; i++)
        ASSERT_SYSCALL(guest_run(&guest, 0));
    struct kvm_counts after = *counts(&rig);
    CU_ASSERT_EQUAL(after.syscalls - before.syscalls, CALLS);
    CU_ASSERT_EQUAL(after.runs - before.runs, CALLS);
    CU_ASSERT_EQUAL(after.resets - before.resets, 0);
    CU_ASSERT_EQUAL(after.xstate_moves - before.xstate_moves, 0);
    teardown(&rig, &guest);
}

static void test_contexts_that_take_turns_move_no_extended_state(void)
{
    enum { COUNT = 4, TURNS = 80 };
    struct rig rig;
    struct guest guests[COUNT];
    setup(&rig, &guests[0], BYTES(kvm_calls));
    for (int i = 1; i < COUNT; i++)
        guest_sibling(&guests[i], &guests[0]);
    for (int i = 0; i < COUNT; i++)
        ASSERT_SYSCALL(guest_run(&guests[i], 0));
    struct kvm_counts before = *counts(&rig);
    for (int i = 0; i < TURNS; i++)
        ASSERT_SYSCALL(guest_run(&guests[i % COUNT], 0));
    CU_ASSERT_EQUAL(counts(&rig)->runs - before.runs, TURNS);
    CU_ASSERT_EQUAL(counts(&rig)->xstate_moves - before.xstate_moves, 0);
    for (int i = 1; i < COUNT; i++)
        context_forget(rig.platform, &guests[i].context);
    teardown(&rig, &guests[0]);
}

SNIPPET(kvm_add, "1: paddq %xmm1, %xmm0; movq %xmm0, %rdi; syscall; jmp 1b");

static void test_more_contexts_than_slots_keep_their_state(void)
{
    enum { COUNT = 2 * SLOTS_PER_CPU + 1, ROUNDS = 6 };
    struct rig rig;
    static struct guest guests[COUNT];
    setup(&rig, &guests[0], BYTES(kvm_add));
    for (u64 i = 0; i < COUNT; i++) {
        u64 start = i << 32, one = 1;
        if (i)
            guest_sibling(&guests[i], &guests[0]);
        memcpy(guests[i].xstate.bytes + 160, &start, sizeof start);
        memcpy(guests[i].xstate.bytes + 176, &one, sizeof one);
        guests[i].xstate.bytes[XSTATE_HEADER_OFFSET] = 2;
    }
    for (u64 round = 1; round <= ROUNDS; round++)
        for (u64 i = 0; i < COUNT; i++) {
            u64 low;
            ASSERT_SYSCALL(guest_run(&guests[i], 0));
            CU_ASSERT_EQUAL(guests[i].context.regs.rdi, (i << 32) + round);
            u64 other = i * 5 % COUNT; /* whose state lies anywhere */
            context_sync(&guests[other].context);
            memcpy(&low, guests[other].xstate.bytes + 160, sizeof low);
            CU_ASSERT_EQUAL(low, (other << 32) + round - (other > i));
        }
    for (int i = 1; i < COUNT; i++)
        context_forget(rig.platform, &guests[i].context);
    teardown(&rig, &guests[0]);
}

static void walk(struct guest *guest, u64 pages)
{
    guest->context.regs.rip = CODE_ADDRESS;
    guest->context.regs.rbx = DATA_ADDRESS;
    guest->context.regs.rdx = pages;
}

static void test_mapped_memory_costs_no_exit_and_a_filled_run_one(void)
{
    enum { PAGES = 64, RUN = 16 };
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(kvm_walk));
    walk(&guest, PAGES);
    struct kvm_counts before = *counts(&rig);
    for (u64 page = 0; page < PAGES; page += RUN) {
        u64 at = DATA_ADDRESS + page * PAGE_SIZE;
        ASSERT_FAULT(guest_run(&guest, 0), at, PROT_WRITE_BIT);
        (void)guest_map(&guest, at, RUN, RW);
    }
    ASSERT_SYSCALL(guest_run(&guest, 0));
    struct kvm_counts after = *counts(&rig);
    CU_ASSERT_EQUAL(after.faults - before.faults, PAGES / RUN);
    CU_ASSERT_EQUAL(after.runs - before.runs, PAGES / RUN + 1);
    walk(&guest, PAGES);
    before = *counts(&rig);
    ASSERT_SYSCALL(guest_run(&guest, 0));
    CU_ASSERT_EQUAL(counts(&rig)->runs - before.runs, 1);
    teardown(&rig, &guest);
}

/* Runs of such lengths are told to the host in different ways where it shadows page tables. */
static void test_runs_of_any_length_are_replaced_at_once(void)
{
    static const u64 lengths[] = {1, 2, 17, 23, 24, 64, 65, 600};
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(kvm_walk));
    for (u32 i = 0; i < ARRAY_COUNT(lengths); i++) {
        u64 count = lengths[i], wrong = 0;
        u64 *before = (u64 *)(void *)guest_map(&guest, DATA_ADDRESS, count, RW);
        walk(&guest, count);
        ASSERT_SYSCALL(guest_run(&guest, 0));
        u64 *after = (u64 *)(void *)guest_map(&guest, DATA_ADDRESS, count, RW);
        walk(&guest, count);
        ASSERT_SYSCALL(guest_run(&guest, 0));
        for (u64 page = 0; page < count; page++)
            wrong += before[page * PAGE_SIZE / 8] != 1 || after[page * PAGE_SIZE / 8] != 1;
        CU_ASSERT_EQUAL(wrong, 0);
        space_protect(guest.space, uaddr_make(DATA_ADDRESS), count, PROT_READ_BIT);
        (void)space_commit(guest.space);
        walk(&guest, count);
        ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS, PROT_WRITE_BIT);
        space_unmap(guest.space, uaddr_make(DATA_ADDRESS), count);
        (void)space_commit(guest.space);
        walk(&guest, count);
        guest.context.regs.rbx += (count - 1) * PAGE_SIZE;
        ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + (count - 1) * PAGE_SIZE, PROT_WRITE_BIT);
    }
    teardown(&rig, &guest);
}

static void test_another_space_costs_no_exit_of_its_own(void)
{
    enum { TURNS = 50 };
    struct rig rig;
    struct guest guests[2];
    setup(&rig, &guests[0], BYTES(kvm_calls));
    guest_create(&guests[1], &rig, BYTES(kvm_calls));
    for (int i = 0; i < 2; i++)
        ASSERT_SYSCALL(guest_run(&guests[i], 0));
    struct kvm_counts before = *counts(&rig);
    for (int i = 0; i < TURNS; i++)
        ASSERT_SYSCALL(guest_run(&guests[i % 2], 0));
    CU_ASSERT_EQUAL(counts(&rig)->switches - before.switches, TURNS);
    CU_ASSERT_EQUAL(counts(&rig)->runs - before.runs, TURNS);
    guest_destroy(&guests[1]);
    teardown(&rig, &guests[0]);
}

static void test_the_clock_costs_no_exit_and_is_the_hosts(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(kvm_clock));
    guest.context.regs.rbx = 1000;
    struct kvm_counts before = *counts(&rig);
    u64 low = __builtin_ia32_rdtsc();
    ASSERT_SYSCALL(guest_run(&guest, 0));
    u64 high = __builtin_ia32_rdtsc();
    u64 seen = guest.context.regs.rdx << 32 | (u32)(guest.context.regs.orig_rax);
    CU_ASSERT_EQUAL(counts(&rig)->runs - before.runs, 1);
    if (kvm_platform_of(rig.platform)->has_offset)
        CU_ASSERT_TRUE(seen >= low && seen <= high);
    teardown(&rig, &guest);
}

static void test_a_lent_device_is_used_and_left_open(void)
{
    struct machine_memory memory;
    struct platform *platform = NULL;
    char text[256] = "";
    int device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    ASSERT(machine_memory_create("picket-memory", 16, &memory) == 0);
    CU_ASSERT_EQUAL(platform_create_on("kvm", device, &memory, 1, &platform, text, sizeof text), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(platform_note(platform), "paging"));
    platform_destroy(platform);
    CU_ASSERT_TRUE(fcntl(device, F_GETFD) >= 0);
    close(device);
    machine_memory_destroy(&memory);
}

static void test_another_device_is_refused_with_a_reason(void)
{
    struct machine_memory memory;
    struct platform *platform = NULL;
    char text[256] = "";
    int device = open("/dev/null", O_RDWR | O_CLOEXEC);
    ASSERT(machine_memory_create("picket-memory", 16, &memory) == 0);
    CU_ASSERT_TRUE(platform_create_on("kvm", device, &memory, 1, &platform, text, sizeof text) < 0);
    CU_ASSERT_PTR_NULL(platform);
    CU_ASSERT_TRUE(text[0] != 0 && strchr(text, '\n') == NULL);
    close(device);
    machine_memory_destroy(&memory);
}

static void test_the_kind_of_host_follows_from_what_a_program_showed(void)
{
    static const struct {
        struct host_seen seen;
        enum host_kind kind;
    } rows[] = {
        {{.sees_store = true}, HOST_NESTED},
        {{.sees_store = false}, HOST_SHADOW},
        {{.sees_renewed = true}, HOST_SHADOW},
        {{.is_call_by_fault = true}, HOST_SOFTWARE},
        {{.is_call_by_fault = true, .sees_store = true}, HOST_SOFTWARE},
        {{.is_call_by_fault = true, .sees_renewed = true}, HOST_SOFTWARE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CU_ASSERT_EQUAL(host_judge(&rows[i].seen), rows[i].kind);
        struct kvm_platform platform = {.kind = rows[i].kind};
        CU_ASSERT_EQUAL(has_shadow(&platform), rows[i].kind != HOST_NESTED);
    }
}

/* A host that has all but one capability. */
struct fake_host {
    int lacks;
    u32 asked;
};

static int fake_has(void *arg, int capability)
{
    struct fake_host *host = arg;
    host->asked++;
    return capability == host->lacks ? 0 : 1;
}

static void test_a_host_that_lacks_a_capability_is_told_by_its_name(void)
{
    static const struct {
        int lacks;
        const char *name;
    } rows[] = {
        {-1, NULL},
        {KVM_CAP_USER_MEMORY, "USER_MEMORY"},
        {KVM_CAP_SYNC_MMU, "SYNC_MMU"},
        {KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
        {KVM_CAP_XSAVE, "XSAVE"},
        {KVM_CAP_XCRS, "XCRS"},
        {KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS"},
        {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "DESTROY_MEMORY_REGION_WORKS"},
        {KVM_CAP_SYNC_REGS, NULL}, /* not needed: registers travel through the area */
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct fake_host host = {.lacks = rows[i].lacks};
        const char *missing = capability_missing(fake_has, &host);
        CU_ASSERT_TRUE(rows[i].name ? missing && strcmp(missing, rows[i].name) == 0 : !missing);
        CU_ASSERT_TRUE(rows[i].name || host.asked == 7);
    }
}

/* A cpu that has stopped, on a host of KIND, without any KVM. */
struct stopped {
    struct kvm_platform platform;
    struct kvm_space space;
    struct kvm_cpu cpu;
    struct context context;
    struct area area;
};

static void stopped_make(struct stopped *stopped, enum host_kind kind, u64 vector, u64 error_code,
                         u64 address)
{
    u64 entry = stub_address(kvm_stub_syscall);
    memset(stopped, 0, sizeof *stopped);
    stopped->platform.kind = kind;
    stopped->cpu.base.platform = &stopped->platform.base;
    stopped->cpu.area = &stopped->area;
    stopped->cpu.context = &stopped->context;
    stopped->cpu.space = &stopped->space;
    stopped->space.base.platform = &stopped->platform.base;
    stopped->area.vector = vector;
    stopped->area.cr2 = address;
    stopped->area.regs = (struct regs){
        .rax = 39,
        .rcx = CODE_ADDRESS + 2,
        .r11 = EFLAGS_IF | 2 | 1,
        .rip = entry,
        .eflags = EFLAGS_IF | 2,
        .cs = REGS_CS_USER,
        .ss = REGS_SS_USER,
        .orig_rax = error_code,
    };
}

/* Seen of such hosts: rip and cr2 are the entry, rcx and r11 as after a call. */
static void test_a_call_that_arrives_as_a_fault_is_a_call(void)
{
    static struct stopped stopped;
    struct event event;
    stopped_make(&stopped, HOST_SOFTWARE, TRAP_PF, 0x15, stub_address(kvm_stub_syscall));
    CU_ASSERT_TRUE(stop_handle(&stopped.cpu, &event));
    CU_ASSERT_EQUAL(event.type, EVENT_SYSCALL);
    CU_ASSERT_EQUAL(stopped.context.regs.orig_rax, 39);
    CU_ASSERT_EQUAL(stopped.context.regs.rip, CODE_ADDRESS + 2);
    CU_ASSERT_EQUAL(stopped.context.regs.eflags, EFLAGS_IF | 2 | 1);
    CU_ASSERT_EQUAL(stopped.cpu.counts.syscalls, 1);
}

static void test_a_fault_elsewhere_or_on_another_host_is_none(void)
{
    static struct stopped stopped;
    u64 entry = stub_address(kvm_stub_syscall);
    static const struct {
        enum host_kind kind;
        u64 error_code;
        u64 beside; /* of the entry */
    } rows[] = {
        {HOST_SHADOW, 0x15, 0},
        {HOST_NESTED, 0x15, 0},
        {HOST_SOFTWARE, 0x5, 0}, /* the program reads there */
        {HOST_SOFTWARE, 0x15, 8},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct event event;
        stopped_make(&stopped, rows[i].kind, TRAP_PF, rows[i].error_code, entry + rows[i].beside);
        CU_ASSERT_TRUE(stop_handle(&stopped.cpu, &event));
        CU_ASSERT_EQUAL(event.type, EVENT_FAULT);
        CU_ASSERT_EQUAL(stopped.context.regs.rip, entry);
    }
}

void kvm_suite(void);
void kvm_suite(void)
{
    static CU_TestInfo tests[] = {
        {"a system call is one exit", test_a_system_call_is_one_exit},
        {"contexts that take turns move no extended state",
         test_contexts_that_take_turns_move_no_extended_state},
        {"more contexts than slots keep their state",
         test_more_contexts_than_slots_keep_their_state},
        {"mapped memory costs no exit and a filled run one",
         test_mapped_memory_costs_no_exit_and_a_filled_run_one},
        {"runs of any length are replaced at once", test_runs_of_any_length_are_replaced_at_once},
        {"another space costs no exit of its own", test_another_space_costs_no_exit_of_its_own},
        {"the clock costs no exit and is the host's",
         test_the_clock_costs_no_exit_and_is_the_hosts},
        {"a lent device is used and left open", test_a_lent_device_is_used_and_left_open},
        CU_TEST_INFO_NULL,
    };
    static CU_TestInfo tests_anywhere[] = {
        {"another device is refused with a reason", test_another_device_is_refused_with_a_reason},
        {"the kind of host follows from what a program showed",
         test_the_kind_of_host_follows_from_what_a_program_showed},
        {"a host that lacks a capability is told by its name",
         test_a_host_that_lacks_a_capability_is_told_by_its_name},
        {"a call that arrives as a fault is a call", test_a_call_that_arrives_as_a_fault_is_a_call},
        {"a fault elsewhere, or on another host, is none",
         test_a_fault_elsewhere_or_on_another_host_is_none},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {"platform kvm", NULL, NULL, NULL, NULL, tests},
        {"platform kvm, anywhere", NULL, NULL, NULL, NULL, tests_anywhere},
        CU_SUITE_INFO_NULL,
    };
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
    suite_check("platform kvm", "kvm");
}
