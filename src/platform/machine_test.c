/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own services. */
#include "platform/machine.h"
#include "platform/machine_keep.h"
#include <CUnit/Basic.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_memory_is_sparse_and_reads_zero_after_discard(void)
{
    struct machine_memory memory;
    CU_ASSERT_EQUAL_FATAL(machine_memory_create("picket-test", (u64)1 << 24, &memory),
                          0); /* 64 GiB */
    CU_ASSERT_EQUAL(machine_memory_usage(&memory), 0);
    u8 *page = machine_frame(&memory, (frame){12345});
    page[17] = 9;
    CU_ASSERT_EQUAL(machine_memory_usage(&memory), PAGE_SIZE);
    CU_ASSERT_EQUAL(machine_populate(&memory, (frame){100}, 64), 0);
    CU_ASSERT_EQUAL(machine_populate(&memory, (frame){100}, 0), 0);
    CU_ASSERT_EQUAL(machine_memory_usage(&memory), 65 * PAGE_SIZE);
    machine_discard(&memory, (frame){12340}, 10);
    CU_ASSERT_EQUAL(machine_memory_usage(&memory), 64 * PAGE_SIZE);
    CU_ASSERT_EQUAL(page[17], 0);
    machine_discard(&memory, (frame){0}, (u64)1 << 24);
    CU_ASSERT_EQUAL(machine_memory_usage(&memory), 0);
    machine_memory_destroy(&memory);
    machine_memory_destroy(&memory);
    CU_ASSERT_EQUAL(machine_memory_create("picket-test", 0, &memory), -EINVAL);
    CU_ASSERT_EQUAL(machine_memory_create("picket-test", UINT64_MAX, &memory), -EINVAL);
}

static void test_memory_of_ones_own_is_sparse_too(void)
{
    struct machine_memory memory;
    CU_ASSERT_EQUAL_FATAL(machine_memory_create("picket-test", (u64)1 << 24, &memory), 0);
    int err = machine_memory_make_own(&memory);
    if (err) { /* before Linux 5.14 */
        CU_ASSERT_EQUAL(err, -EINVAL);
        CU_ASSERT_TRUE(memory.fd >= 0);
        machine_memory_destroy(&memory);
        return;
    }
    CU_ASSERT_EQUAL((u64)(uintptr_t)memory.base % (2 << 20), 0);
    u8 *page = machine_frame(&memory, (frame){12345});
    CU_ASSERT_EQUAL(machine_populate(&memory, (frame){12345}, 3), 0);
    CU_ASSERT_EQUAL(page[17], 0);
    memset(page, 9, 3 * PAGE_SIZE);
    machine_discard(&memory, (frame){12346}, 1);
    CU_ASSERT_EQUAL(page[17], 9);
    CU_ASSERT_EQUAL(page[PAGE_SIZE], 0);
    CU_ASSERT_EQUAL(page[2 * PAGE_SIZE], 9);
    *(u8 *)machine_frame(&memory, (frame){((u64)1 << 24) - 1}) = 1;
    CU_ASSERT_EQUAL(machine_memory_share(&memory), -EBADF);
    machine_memory_destroy(&memory);
    machine_memory_destroy(&memory);
}

struct baton {
    u32 word;
    u32 turns;
};

static void pass_baton(void *arg)
{
    struct baton *baton = arg;
    for (u32 i = 0; i < 100; i++) {
        while (__atomic_load_n(&baton->word, __ATOMIC_ACQUIRE) != 2 * i + 1)
            machine_wait(&baton->word, 2 * i, NO_DEADLINE);
        baton->turns++;
        __atomic_store_n(&baton->word, 2 * i + 2, __ATOMIC_RELEASE);
        machine_wake(&baton->word, 1);
    }
}

static void test_threads_wait_for_each_other(void)
{
    struct baton baton = {0, 0};
    struct machine_thread *thread;
    alarm(60);
    CU_ASSERT_EQUAL_FATAL(machine_thread_start(pass_baton, &baton, &thread), 0);
    for (u32 i = 0; i < 100; i++) {
        __atomic_store_n(&baton.word, 2 * i + 1, __ATOMIC_RELEASE);
        machine_wake(&baton.word, 1);
        while (__atomic_load_n(&baton.word, __ATOMIC_ACQUIRE) != 2 * i + 2)
            machine_wait(&baton.word, 2 * i + 1, NO_DEADLINE);
    }
    machine_thread_join(thread);
    CU_ASSERT_EQUAL(baton.turns, 100);
    alarm(0);
}

static u64 now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

static void test_a_wait_ends_at_its_deadline(void)
{
    u32 word = 1;
    u64 start = now_ns();
    alarm(60);
    machine_wait(&word, 0, NO_DEADLINE); /* not the value: at once */
    machine_wait(&word, 1, 0);           /* long past */
    u64 deadline = start + 10 * NS_PER_MS;
    while (now_ns() < deadline)
        machine_wait(&word, 1, deadline);
    CU_ASSERT_TRUE(now_ns() >= deadline);
    alarm(0);
}

static void test_a_stack_has_a_guard_below(void)
{
    const size_t size = 16 * PAGE_SIZE;
    u8 *stack = machine_stack_create(size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stack);
    memset(stack, 1, size);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile u8 *)(stack - 1) = 1;
        _exit(0);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    machine_stack_destroy(stack, size);
    machine_stack_destroy(NULL, size);
    CU_ASSERT_TRUE(machine_cpu_count() >= 1);
}

static void test_what_is_kept_comes_back_as_new(void)
{
    struct machine_memory memory, again;
    machine_keep(true);
    CU_ASSERT_EQUAL_FATAL(machine_memory_create("picket-test", 1000, &memory), 0);
    u8 *base = memory.base;
    base[0] = base[500 * PAGE_SIZE + 1] = base[1000 * PAGE_SIZE - 1] = 7;
    machine_memory_destroy(&memory);
    CU_ASSERT_EQUAL_FATAL(machine_memory_create("picket-test", 999, &again), 0);
    CU_ASSERT_PTR_NOT_EQUAL(again.base, base);
    CU_ASSERT_EQUAL_FATAL(machine_memory_create("picket-test", 1000, &memory), 0);
    CU_ASSERT_PTR_EQUAL(memory.base, base);
    CU_ASSERT_TRUE(base[0] == 0 && base[500 * PAGE_SIZE + 1] == 0);
    CU_ASSERT_EQUAL(base[1000 * PAGE_SIZE - 1], 0);
    u8 *stack = machine_stack_create(4 * PAGE_SIZE);
    machine_stack_destroy(stack, 4 * PAGE_SIZE);
    u8 *other = machine_stack_create(8 * PAGE_SIZE);
    CU_ASSERT_PTR_NOT_EQUAL(other, stack);
    machine_stack_destroy(other, 8 * PAGE_SIZE);
    CU_ASSERT_PTR_EQUAL(machine_stack_create(4 * PAGE_SIZE), stack);
    machine_stack_destroy(stack, 4 * PAGE_SIZE);
    machine_memory_destroy(&again);
    machine_memory_destroy(&memory);
    machine_keep(false);
}

void machine_suite(void);
void machine_suite(void)
{
    static CU_TestInfo tests[] = {
        {"memory is sparse and reads zero after discard",
         test_memory_is_sparse_and_reads_zero_after_discard},
        {"memory of one's own is sparse too", test_memory_of_ones_own_is_sparse_too},
        {"threads wait for each other", test_threads_wait_for_each_other},
        {"a wait ends at its deadline", test_a_wait_ends_at_its_deadline},
        {"a stack has a guard below", test_a_stack_has_a_guard_below},
        {"what is kept comes back as new", test_what_is_kept_comes_back_as_new},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"machine", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
}
