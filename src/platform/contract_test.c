/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec/platform.md's rows that hold for any kind of code, run on every platform by its name, with
 * the four programs in x86 code or in byte code.
 */
#include "platform/contract.h"
#include "platform/script/bytecode.h"
#include <pthread.h>
#include <time.h>

#define CALL_NR 39u
#define VALUE 0x1122334455667788ull
#define STORED 0x5555555555555555ull
#define STORM_COUNT 400u

static const char *platform_now; /* of the suite that runs */
static const struct contract_programs *programs;

/* ---- the programs in x86 code --------------------------------------------------------------- */

static const u8 x86_call[] = {0xb8, CALL_NR, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7};
static const u8 x86_load[] = {0xbb, 0x00,    0x00, 0x00, 0x20, /* mov $DATA_ADDRESS, %ebx */
                              0x48, 0x8b,    0x3b,             /* mov (%rbx), %rdi */
                              0xb8, CALL_NR, 0,    0,    0,    0x0f, 0x05, 0xeb, 0xef};
static const u8 x86_store[] = {
    0xbb, 0x00,    0x00, 0x00, 0x20, 0x48, 0xb8, 0x55, 0x55,
    0x55, 0x55,    0x55, 0x55, 0x55, 0x55, 0x48, 0x89, 0x03, /* mov %rax, (%rbx) */
    0xb8, CALL_NR, 0,    0,    0,    0x0f, 0x05, 0xeb, 0xe5};
static const u8 x86_spin[] = {0xeb, 0xfe};

static const struct contract_programs x86_programs = {
    .code_address = CODE_ADDRESS,
    .call = {x86_call, sizeof x86_call},
    .load = {x86_load, sizeof x86_load},
    .store = {x86_store, sizeof x86_store},
    .spin = {x86_spin, sizeof x86_spin},
};

/* ---- and in byte code ----------------------------------------------------------------------- */

#define NO_VAR 255u
#define VAR_VALUE 0u
#define VAR_ADDRESS 1u
#define VAR_SIZE 2u

static const struct bytecode_instruction script_call[] = {
    {.op = OP_SYS, .b = NO_VAR, .imm = CALL_NR},
    {.op = OP_JUMP},
};
static const struct bytecode_instruction script_load[] = {
    {.op = OP_LOAD, .a = VAR_VALUE, .b = 8, .imm64 = DATA_ADDRESS},
    {.op = OP_SYS, .a = 1, .b = NO_VAR, .imm = CALL_NR},
    {.op = OP_ARG, .a = 1, .b = VAR_VALUE},
    {.op = OP_JUMP},
};
static const struct bytecode_instruction script_store[] = {
    {.op = OP_SET, .a = VAR_ADDRESS, .imm64 = DATA_ADDRESS},
    {.op = OP_SET, .a = VAR_SIZE, .imm64 = 8},
    {.op = OP_FILL, .b = VAR_ADDRESS, .c = VAR_SIZE, .imm = 1, .imm64 = 0x55},
    {.op = OP_SYS, .b = NO_VAR, .imm = CALL_NR},
    {.op = OP_JUMP},
};
static const struct bytecode_instruction script_spin[] = {{.op = OP_JUMP}};

static const struct contract_programs script_programs = {
    .code_address = BYTECODE_SEGMENT,
    .vars_address = BYTECODE_VARS,
    .call = {(const u8 *)script_call, sizeof script_call},
    .load = {(const u8 *)script_load, sizeof script_load},
    .store = {(const u8 *)script_store, sizeof script_store},
    .spin = {(const u8 *)script_spin, sizeof script_spin},
};

static const struct contract_programs *programs_of(const char *name)
{
    return strcmp(name, "script") == 0 ? &script_programs : &x86_programs;
}

/* A rig with one cpu and one guest that runs CODE. */
static void setup(struct rig *rig, struct guest *guest, struct bytes code)
{
    rig_create(rig, platform_now, 1);
    rig_attach(rig, 0);
    guest_create_program(guest, rig, programs, code);
}

static void teardown(struct rig *rig, struct guest *guest)
{
    guest_destroy(guest);
    rig_detach(rig, 0);
    rig_destroy(rig);
}

static void check_error_code(const struct event *event, u32 want)
{
    CU_ASSERT_EQUAL(event->error_code, want);
}

#define ASSERT_CALL(guest, event)                                 \
    do {                                                          \
        ASSERT_SYSCALL(event);                                    \
        CU_ASSERT_EQUAL((guest)->context.regs.orig_rax, CALL_NR); \
    } while (0)

/* ---- memory --------------------------------------------------------------------------------- */

static void test_a_program_reads_and_writes_what_is_mapped(void)
{
    struct rig rig;
    struct guest guest;
    u64 value = VALUE;
    setup(&rig, &guest, programs->load);
    u8 *data = guest_map(&guest, DATA_ADDRESS, 1, PROT_READ_BIT);
    memcpy(data, &value, sizeof value);
    struct event event = guest_run(&guest, 0);
    ASSERT_CALL(&guest, event);
    CU_ASSERT_EQUAL(guest.context.regs.rdi, VALUE);
    teardown(&rig, &guest);

    setup(&rig, &guest, programs->store);
    data = guest_map(&guest, DATA_ADDRESS, 1, PROT_READ_BIT | PROT_WRITE_BIT);
    event = guest_run(&guest, 0);
    ASSERT_CALL(&guest, event);
    memcpy(&value, data, sizeof value);
    CU_ASSERT_EQUAL(value, STORED);
    teardown(&rig, &guest);
}

static void test_an_absent_page_faults_again_after_each_unmap(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->load);
    for (u64 i = 1; i <= 20; i++) {
        struct event event = guest_run(&guest, 0);
        ASSERT_FAULT(event, DATA_ADDRESS, PROT_READ_BIT);
        CU_ASSERT_EQUAL(event.trapno, 14);
        check_error_code(&event, 4);
        u8 *data = guest_map(&guest, DATA_ADDRESS, i % 3 + 1, PROT_READ_BIT | PROT_WRITE_BIT);
        memcpy(data, &i, sizeof i);
        event = guest_run(&guest, 0);
        ASSERT_CALL(&guest, event);
        CU_ASSERT_EQUAL(guest.context.regs.rdi, i);
        space_unmap(guest.space, uaddr_make(DATA_ADDRESS), i % 3 + 1);
        CU_ASSERT_TRUE(space_is_done(guest.space, space_commit(guest.space)));
    }
    teardown(&rig, &guest);
}

static void test_protect_takes_rights_and_gives_them_back(void)
{
    static const struct {
        u32 prot;
        u32 error_code;
    } closed[] = {
        {0, 6}, {PROT_READ_BIT, 7}, {PROT_READ_BIT | PROT_EXEC_BIT, 7}, {PROT_EXEC_BIT, 7}};
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->store);
    u8 *data = guest_map(&guest, DATA_ADDRESS, 4, PROT_READ_BIT | PROT_WRITE_BIT);
    for (size_t i = 0; i < ARRAY_COUNT(closed); i++) {
        struct event event = guest_run(&guest, 0);
        ASSERT_CALL(&guest, event);
        space_protect(guest.space, uaddr_make(DATA_ADDRESS), 2, closed[i].prot);
        (void)space_commit(guest.space);
        event = guest_run(&guest, 0);
        ASSERT_FAULT(event, DATA_ADDRESS, PROT_WRITE_BIT);
        check_error_code(&event, closed[i].error_code);
        space_protect(guest.space, uaddr_make(DATA_ADDRESS), 4, PROT_READ_BIT | PROT_WRITE_BIT);
        (void)space_commit(guest.space);
        memset(data, 0, 8);
        event = guest_run(&guest, 0);
        ASSERT_CALL(&guest, event);
        CU_ASSERT_EQUAL(data[7], 0x55);
    }
    teardown(&rig, &guest);
}

static void test_a_page_with_any_right_can_be_read(void)
{
    struct rig rig;
    struct guest guest;
    u64 value = VALUE;
    setup(&rig, &guest, programs->load);
    memcpy(guest_map(&guest, DATA_ADDRESS, 1, PROT_WRITE_BIT), &value, sizeof value);
    for (u32 prot = PROT_READ_BIT; prot <= 7; prot++) {
        space_protect(guest.space, uaddr_make(DATA_ADDRESS), 1, prot);
        (void)space_commit(guest.space);
        struct event event = guest_run(&guest, 0);
        ASSERT_CALL(&guest, event);
        CU_ASSERT_EQUAL(guest.context.regs.rdi, VALUE);
        struct pagetable_entry entry;
        CU_ASSERT_TRUE(pagetable_get(space_table(guest.space), uaddr_make(DATA_ADDRESS), &entry));
        CU_ASSERT_EQUAL(entry.prot, prot);
    }
    teardown(&rig, &guest);
}

static void test_a_replaced_entry_shows_the_new_frame(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->load);
    for (u64 i = 1; i <= 10; i++) {
        memcpy(guest_map(&guest, DATA_ADDRESS, 1, PROT_READ_BIT), &i, sizeof i);
        struct event event = guest_run(&guest, 0);
        ASSERT_CALL(&guest, event);
        CU_ASSERT_EQUAL(guest.context.regs.rdi, i);
    }
    teardown(&rig, &guest);
}

static void test_many_edits_of_one_batch_take_effect_in_order(void)
{
    struct rig rig;
    struct guest guest;
    u64 value = 0;
    setup(&rig, &guest, programs->load);
    (void)guest_map(&guest, DATA_ADDRESS, 64, PROT_READ_BIT);
    ASSERT_CALL(&guest, guest_run(&guest, 0));
    for (u64 i = 0; i < 1000; i++) {
        frame first = rig_frames(&rig, 1);
        value = VALUE + i;
        memcpy(machine_frame(&rig.memory, first), &value, sizeof value);
        u64 page = (i * 7) % 64;
        space_unmap(guest.space, uaddr_make(DATA_ADDRESS + (page << PAGE_SHIFT)), 1);
        ASSERT(space_map(guest.space, uaddr_make(DATA_ADDRESS), first, 1, PROT_READ_BIT) == 0);
        space_protect(guest.space, uaddr_make(DATA_ADDRESS), 2, i % 2 ? PROT_READ_BIT : 0);
    }
    (void)space_commit(guest.space);
    ASSERT_CALL(&guest, guest_run(&guest, 0));
    CU_ASSERT_EQUAL(guest.context.regs.rdi, value);
    teardown(&rig, &guest);
}

static void test_two_spaces_on_one_cpu_keep_their_own_memory(void)
{
    struct rig rig;
    struct guest guests[2];
    rig_create(&rig, platform_now, 1);
    rig_attach(&rig, 0);
    for (u64 i = 0; i < 2; i++) {
        guest_create_program(&guests[i], &rig, programs, programs->load);
        memcpy(guest_map(&guests[i], DATA_ADDRESS, 1, PROT_READ_BIT), &i, sizeof i);
    }
    for (u64 i = 0; i < 40; i++) {
        struct guest *guest = &guests[i % 2];
        ASSERT_CALL(guest, guest_run(guest, 0));
        CU_ASSERT_EQUAL(guest->context.regs.rdi, i % 2);
    }
    guest_destroy(&guests[0]);
    ASSERT_CALL(&guests[1], guest_run(&guests[1], 0));
    teardown(&rig, &guests[1]);
}

static void test_a_space_shows_nothing_of_the_ones_before_it(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->load);
    for (u64 i = 1; i <= 30; i++) {
        ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS, PROT_READ_BIT);
        memcpy(guest_map(&guest, DATA_ADDRESS, 1, PROT_READ_BIT), &i, sizeof i);
        ASSERT_CALL(&guest, guest_run(&guest, 0));
        guest_destroy(&guest);
        guest_create_program(&guest, &rig, programs, programs->load);
    }
    teardown(&rig, &guest);
}

static void test_many_spaces_live_at_a_time(void)
{
    enum { COUNT = 60 };
    struct rig rig;
    static struct guest guests[COUNT];
    rig_create(&rig, platform_now, 1);
    rig_attach(&rig, 0);
    for (u64 i = 0; i < COUNT; i++)
        guest_create_program(&guests[i], &rig, programs, programs->call);
    for (u64 i = 0; i < 2 * COUNT; i++)
        ASSERT_CALL(&guests[i % COUNT], guest_run(&guests[i % COUNT], 0));
    for (u64 i = 0; i < COUNT; i++)
        guest_destroy(&guests[i]);
    rig_detach(&rig, 0);
    rig_destroy(&rig);
}

/* ---- kicks ---------------------------------------------------------------------------------- */

static void test_a_kick_before_a_run_ends_it_once(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->call);
    for (int i = 0; i < 10; i++) {
        struct regs before = guest.context.regs;
        cpu_kick(platform_cpu(rig.platform, 0));
        cpu_kick(platform_cpu(rig.platform, 0)); /* two that nobody answered are one */
        ASSERT_KICK(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(memcmp(&before, &guest.context.regs, sizeof before), 0);
        ASSERT_CALL(&guest, guest_run(&guest, 0));
    }
    teardown(&rig, &guest);
}

static void test_a_kick_between_entry_and_run_ends_it_once(void)
{
    struct rig rig;
    struct guest guest;
    struct event event;
    setup(&rig, &guest, programs->call);
    struct cpu *cpu = platform_cpu(rig.platform, 0);
    cpu_enter(cpu, guest.space, &guest.context);
    cpu_kick(cpu);
    cpu_run(cpu, &event);
    cpu_leave(cpu);
    ASSERT_KICK(event);
    ASSERT_CALL(&guest, guest_run(&guest, 0));
    teardown(&rig, &guest);
}

struct kicker {
    struct cpu *cpu;
    u32 answered; /* atomic: kicks that were seen */
};

static void sleep_ns(u64 ns)
{
    struct timespec time = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    nanosleep(&time, NULL);
}

static void *kick_later(void *arg)
{
    struct kicker *kicker = arg;
    sleep_ns(20 * NS_PER_MS);
    cpu_kick(kicker->cpu);
    return NULL;
}

static void test_a_kick_ends_a_loop_without_system_calls(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->spin);
    if (platform_features(rig.platform)->is_preemptible) {
        for (int i = 0; i < 5; i++) {
            struct kicker kicker = {.cpu = platform_cpu(rig.platform, 0)};
            pthread_t thread;
            ASSERT(pthread_create(&thread, NULL, kick_later, &kicker) == 0);
            ASSERT_KICK(guest_run(&guest, 0));
            pthread_join(thread, NULL);
        }
    }
    teardown(&rig, &guest);
}

/* Kicks at no particular moment, each after the one before was answered. */
static void *kick_storm(void *arg)
{
    struct kicker *kicker = arg;
    for (u32 i = 0; i < STORM_COUNT; i++) {
        cpu_kick(kicker->cpu);
        while (__atomic_load_n(&kicker->answered, __ATOMIC_ACQUIRE) != i + 1)
            sched_yield();
        sleep_ns(i % 7 * 10 * NS_PER_US);
    }
    return NULL;
}

static void test_every_kick_of_a_storm_is_answered_exactly_once(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->call);
    struct kicker kicker = {.cpu = platform_cpu(rig.platform, 0)};
    pthread_t thread;
    u32 kicks = 0, calls = 0;
    ASSERT(pthread_create(&thread, NULL, kick_storm, &kicker) == 0);
    while (kicks < STORM_COUNT) {
        struct event event = guest_run(&guest, 0);
        if (event.type == EVENT_KICK) {
            kicks++;
            __atomic_store_n(&kicker.answered, kicks, __ATOMIC_RELEASE);
        } else {
            ASSERT_CALL(&guest, event);
            calls++;
        }
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < 50; i++)
        ASSERT_CALL(&guest, guest_run(&guest, 0));
    CU_ASSERT_EQUAL(kicks, STORM_COUNT);
    CU_ASSERT_TRUE(calls > 0);
    teardown(&rig, &guest);
}

/* ---- the edges ------------------------------------------------------------------------------ */

static void test_the_lowest_and_the_highest_page_can_be_mapped(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->call);
    (void)guest_map(&guest, SPACE_ADDRESS_MIN, 1, PROT_READ_BIT | PROT_WRITE_BIT);
    guest_code(&guest, SPACE_ADDRESS_END - PAGE_SIZE, programs->call);
    if (platform_features(rig.platform)->is_native)
        guest.context.regs.rip = SPACE_ADDRESS_END - PAGE_SIZE;
    ASSERT_CALL(&guest, guest_run(&guest, 0));
    teardown(&rig, &guest);
}

static void test_a_context_may_end_before_it_ever_ran(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, programs->call);
    context_sync(&guest.context);
    context_forget(rig.platform, &guest.context);
    ASSERT_CALL(&guest, guest_run(&guest, 0));
    context_forget(rig.platform, &guest.context);
    context_forget(rig.platform, &guest.context);
    teardown(&rig, &guest);
}

static void test_an_unknown_platform_is_refused_with_a_reason(void)
{
    struct machine_memory memory;
    struct platform *platform = NULL;
    char text[128] = "";
    ASSERT(machine_memory_create("picket-memory", 16, &memory) == 0);
    CU_ASSERT_TRUE(platform_create("abacus", &memory, 1, &platform, text, sizeof text) < 0);
    CU_ASSERT_PTR_NULL(platform);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "abacus"));
    CU_ASSERT_TRUE(platform_create("abacus", &memory, 1, &platform, NULL, 0) < 0);
    machine_memory_destroy(&memory);
}

/* Whoever waits for a batch holds the kernel lock, which a cpu that has come out needs to leave. */
static void test_a_cpu_that_does_not_run_holds_no_batch_up(void)
{
    struct rig rig;
    struct guest guest;
    struct event event;
    setup(&rig, &guest, programs->call);
    (void)guest_map(&guest, DATA_ADDRESS, 3, PROT_READ_BIT | PROT_WRITE_BIT);
    struct cpu *cpu = platform_cpu(rig.platform, 0);
    for (u64 i = 0; i < 3; i++) {
        cpu_enter(cpu, guest.space, &guest.context);
        if (i > 0) {
            cpu_run(cpu, &event);
            ASSERT_CALL(&guest, event);
        }
        space_unmap(guest.space, uaddr_make(DATA_ADDRESS + i * PAGE_SIZE), 1);
        CU_ASSERT_TRUE(space_is_done(guest.space, space_commit(guest.space)));
        cpu_leave(cpu);
    }
    teardown(&rig, &guest);
}

static CU_TestInfo code_tests[] = {
    {"PM1 a program reads and writes what is mapped",
     test_a_program_reads_and_writes_what_is_mapped},
    {"PM2 an absent page faults again after each unmap",
     test_an_absent_page_faults_again_after_each_unmap},
    {"PM3 protect takes rights and gives them back", test_protect_takes_rights_and_gives_them_back},
    {"PM4 a page with any right can be read", test_a_page_with_any_right_can_be_read},
    {"PM5 a replaced entry shows the new frame", test_a_replaced_entry_shows_the_new_frame},
    {"PM6 many edits of one batch take effect in order",
     test_many_edits_of_one_batch_take_effect_in_order},
    {"PM7 two spaces on one cpu keep their own memory",
     test_two_spaces_on_one_cpu_keep_their_own_memory},
    {"PM8 a space shows nothing of the ones before it",
     test_a_space_shows_nothing_of_the_ones_before_it},
    {"PM9 many spaces live at a time", test_many_spaces_live_at_a_time},
    {"PM10 the lowest and the highest page can be mapped",
     test_the_lowest_and_the_highest_page_can_be_mapped},
    {"PK1 a kick before a run ends it once", test_a_kick_before_a_run_ends_it_once},
    {"PK2 a kick between entry and run ends it once",
     test_a_kick_between_entry_and_run_ends_it_once},
    {"PK3 a kick ends a loop without system calls", test_a_kick_ends_a_loop_without_system_calls},
    {"PK4 every kick of a storm is answered exactly once",
     test_every_kick_of_a_storm_is_answered_exactly_once},
    {"PP7 a cpu that does not run holds no batch up",
     test_a_cpu_that_does_not_run_holds_no_batch_up},
    {"PC1 a context may end before it ever ran", test_a_context_may_end_before_it_ever_ran},
    {"PC2 an unknown platform is refused with a reason",
     test_an_unknown_platform_is_refused_with_a_reason},
    CU_TEST_INFO_NULL,
};

#define SUITE_START(index)                    \
    static int suite_start_##index(void)      \
    {                                         \
        platform_now = platform_name(index);  \
        programs = programs_of(platform_now); \
        return 0;                             \
    }
SUITE_START(0)
SUITE_START(1)
SUITE_START(2)
static int (*const suite_starts[])(void) = {suite_start_0, suite_start_1, suite_start_2};

void contract_suite(void);
void contract_suite(void)
{
    static char names[ARRAY_COUNT(suite_starts)][64];
    for (u32 i = 0; i < ARRAY_COUNT(suite_starts) && platform_name(i); i++) {
        snprintf(names[i], sizeof names[i], "platform contract: %s", platform_name(i));
        CU_SuiteInfo suites[] = {
            {names[i], suite_starts[i], NULL, NULL, NULL, code_tests},
            CU_SUITE_INFO_NULL,
        };
        ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
        suite_check(names[i], platform_name(i));
    }
}
