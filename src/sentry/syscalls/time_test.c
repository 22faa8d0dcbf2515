/* SPDX-License-Identifier: Apache-2.0 */
/* Futexes and timers in virtual time. */
#include <CUnit/CUnit.h>

#include "sentry/kernel/futex.h"
#include "sentry/syscalls/testing.h"

static struct test_world world;

#define WORD var_address(50)
#define WORD2 var_address(51)

static void program_sleep(struct test_program *p, u8 vars, u64 seconds)
{
    program_set(p, vars, seconds);
    program_set(p, (u8)(vars + 1), 0);
    SYS(p, NR_NANOSLEEP, var_address(vars), 0);
}

static void test_waits_compare_first_and_time_out(void)
{
    struct test_program p = {0};
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAIT, 1, 0, 0, 0);
    SYS(&p, NR_FUTEX, WORD + 1, LINUX_FUTEX_WAIT, 0, 0, 0, 0);
    SYS(&p, NR_FUTEX, 0x100, LINUX_FUTEX_WAIT, 0, 0, 0, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAIT_BITSET, 0, 0, 0, 0);
    u64 time = program_time(&p, 3, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAIT | LINUX_FUTEX_PRIVATE, 0, time, 0, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAKE, 10, 0, 0, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_FD, 0, 0, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    test_run(&world, &p);
    TRACE(&world, 1,
          "futex=-EAGAIN futex=-EINVAL futex=-EFAULT futex=-EINVAL futex=-ETIMEDOUT futex=0 "
          "futex=-ENOSYS exit(0)");
    CU_ASSERT_EQUAL(futex_waiter_count(world.kernel->futexes), 0);
    world_end(&world);
}

static void test_wake_and_requeue(void)
{
    struct test_program p = {0};
    u32 threads[3];
    for (u32 i = 0; i < 3; i++)
        threads[i] = program_thread(&p, (u8)i);
    program_sleep(&p, 20, 1);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_CMP_REQUEUE, 1, 1, WORD2, 7); /* the value is another */
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_CMP_REQUEUE, 1, 1, WORD2, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAKE, 10, 0, 0, 0);
    SYS(&p, NR_FUTEX, WORD2, LINUX_FUTEX_WAKE, 10, 0, 0, 0);
    program_sleep(&p, 20, 1);
    SYS(&p, NR_EXIT_GROUP, 0);
    for (u32 i = 0; i < 3; i++)
        program_patch(&p, threads[i]);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAIT, 0, 0, 0, 0);
    SYS(&p, NR_EXIT, 0);
    test_run(&world, &p);
    TRACE(&world, 1,
          "clone=2 clone=3 clone=4 nanosleep=0 futex=-EAGAIN futex=2 futex=1 futex=1 nanosleep=0 "
          "exit(0)");
    TRACE(&world, 2, "futex=0 exit(0)");
    TRACE(&world, 3, "futex=0 exit(0)");
    TRACE(&world, 4, "futex=0 exit(0)");
    world_end(&world);
}

static void test_a_lock_is_handed_over(void)
{
    struct test_program p = {0};
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_UNLOCK_PI, 0, 0, 0, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_LOCK_PI, 0, 0, 0, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_LOCK_PI, 0, 0, 0, 0);
    u32 thread = program_thread(&p, 0);
    program_sleep(&p, 20, 1);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_UNLOCK_PI, 0, 0, 0, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_TRYLOCK_PI, 0, 0, 0, 0);
    struct bytecode_instruction *load = program_add(&p, OP_LOAD);
    load->a = 60;
    load->b = 4;
    load->imm64 = WORD;
    program_sleep(&p, 20, 1);
    SYS(&p, NR_EXIT_GROUP, V(60)); /* the thread's number */
    program_patch(&p, thread);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_LOCK_PI, 0, 0, 0, 0);
    SYS(&p, NR_PAUSE);
    test_run(&world, &p);
    TRACE(&world, 1,
          "futex=-EPERM futex=0 futex=-EDEADLK clone=2 nanosleep=0 futex=0 futex=-EAGAIN "
          "nanosleep=0 exit(512)");
    TRACE(&world, 2, "futex=0 pause=-EINTR exit(512)");
    world_end(&world);
}

static void test_a_dead_owner_gives_the_lock_marked(void)
{
    struct test_program p = {0};
    u32 thread = program_thread(&p, 0);
    program_sleep(&p, 20, 1);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_LOCK_PI, 0, 0, 0, 0);
    struct bytecode_instruction *load = program_add(&p, OP_LOAD);
    load->a = 60;
    load->b = 4;
    load->imm64 = WORD;
    u32 good = program_jump(&p, OP_JUMP_EQ, 60, LINUX_FUTEX_OWNER_DIED | 1);
    SYS(&p, NR_EXIT_GROUP, 1);
    program_patch(&p, good);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, thread);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_LOCK_PI, 0, 0, 0, 0);
    program_sleep(&p, 70, 3);
    SYS(&p, NR_EXIT, 0);
    test_run(&world, &p);
    TRACE(&world, 1, "clone=2 nanosleep=0 futex=0 exit(0)");
    world_end(&world);
}

/* As kernel_pause, without an actor. */
static void pause_all(void)
{
    struct task *task;
    world.kernel->pause_count++;
    list_for_each (task, &world.kernel->tasks, kernel_link)
        if (!task->is_kernel)
            task_interrupt(task);
    world_run(&world, 1);
}

static void test_a_paused_wait_goes_on(void)
{
    struct test_program p = {0};
    u64 time = program_time(&p, 10, 0);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAIT, 0, time, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    world_begin(&world);
    world_start(&world, &p);
    world_run(&world, 4);
    pause_all();
    CU_ASSERT_EQUAL(futex_waiter_count(world.kernel->futexes), 0);
    CU_ASSERT_EQUAL(kernel_resume(world.kernel), 0);
    world_run(&world, 4);
    TRACE(&world, 1, "");
    CU_ASSERT_EQUAL(futex_waiter_count(world.kernel->futexes), 1);
    world_run(&world, 2);
    TRACE(&world, 1, "futex=-ETIMEDOUT exit(0)");
    world_end(&world);
}

static void test_a_paused_wait_that_was_moved_returns(void)
{
    struct test_program p = {0};
    u32 thread = program_thread(&p, 0);
    program_sleep(&p, 20, 1);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_CMP_REQUEUE, 0, 1, WORD2, 0);
    program_sleep(&p, 20, 10);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, thread);
    SYS(&p, NR_FUTEX, WORD, LINUX_FUTEX_WAIT, 0, 0, 0, 0);
    SYS(&p, NR_EXIT, 0);
    world_begin(&world);
    world_start(&world, &p);
    world_run(&world, 4);
    TRACE(&world, 2, "");
    pause_all();
    CU_ASSERT_EQUAL(kernel_resume(world.kernel), 0);
    world_run(&world, 1);
    TRACE(&world, 2, "futex=0 exit(0)"); /* nobody woke it, but nobody could any more */
    world_run(&world, 20);
    TRACE(&world, 1, "clone=2 nanosleep=0 futex=1 nanosleep=0 exit(0)");
    world_end(&world);
}

/* ---- timers --------------------------------------------------------------------------------- */

static void test_an_interval_timer_fires_and_counts(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGALRM, HANDLER(0), 0, 0);
    program_set(&p, 30, 1); /* interval: 1 s */
    program_set(&p, 31, 0);
    program_set(&p, 32, 2); /* first: 2 s */
    program_set(&p, 33, 0);
    SYS(&p, NR_SETITIMER, LINUX_ITIMER_REAL, var_address(30), 0);
    for (u32 i = 0; i < 3; i++)
        SYS(&p, NR_PAUSE);
    SYS(&p, NR_ALARM, 0);
    SYS(&p, NR_SETITIMER, 3, var_address(30), 0);
    program_set(&p, 33, 1000000);
    SYS(&p, NR_SETITIMER, LINUX_ITIMER_REAL, var_address(30), 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 1,
          "setitimer=0 pause=-EINTR handler(14) pause=-EINTR handler(14) pause=-EINTR handler(14) "
          "alarm=1 "
          "setitimer=-EINVAL setitimer=-EINVAL exit(0)");
    world_end(&world);
}

static void test_a_posix_timer_overruns_while_blocked(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGALRM, HANDLER(0), 0, 0);
    program_set(&p, 10, SIGNAL_BIT(LINUX_SIGALRM));
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_BLOCK, var_address(10), 0, 8);
    SYS(&p, NR_TIMER_CREATE, LINUX_CLOCK_MONOTONIC, 0, var_address(35));
    program_set(&p, 30, 1);
    program_set(&p, 31, 0);
    program_set(&p, 32, 1);
    program_set(&p, 33, 0);
    SYS(&p, NR_TIMER_SETTIME, 0, 0, var_address(30), 0);
    u64 time = program_time(&p, 5, 500000000);
    SYS(&p, NR_NANOSLEEP, time, 0); /* the signal waits; 1, 2, 3, 4, 5 s have come */
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_UNBLOCK, var_address(10), 0, 8);
    SYS(&p, NR_TIMER_GETOVERRUN, 0);
    SYS(&p, NR_TIMER_DELETE, 0);
    SYS(&p, NR_TIMER_DELETE, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(
        &world, 1,
        "rt_sigprocmask=0 timer_create=0 timer_settime=0 nanosleep=0 rt_sigprocmask=0 handler(14) "
        "timer_getoverrun=4 timer_delete=0 timer_delete=-EINVAL exit(0)");
    world_end(&world);
}

static void test_sleeps_until_and_for(void)
{
    struct test_program p = {0};
    u64 time = program_time(&p, 1, 999999999);
    SYS(&p, NR_CLOCK_NANOSLEEP, LINUX_CLOCK_MONOTONIC, 0, time, 0);
    SYS(&p, NR_CLOCK_NANOSLEEP, LINUX_CLOCK_MONOTONIC, LINUX_TIMER_ABSTIME, time,
        0); /* long past */
    SYS(&p, NR_CLOCK_NANOSLEEP, LINUX_CLOCK_THREAD_CPUTIME_ID, 0, time, 0);
    SYS(&p, NR_CLOCK_NANOSLEEP, 77, 0, time, 0);
    time = program_time(&p, 1, 1000000000);
    SYS(&p, NR_CLOCK_NANOSLEEP, LINUX_CLOCK_MONOTONIC, 0, time, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    world_begin(&world);
    world_start(&world, &p);
    world_run(&world, 1);
    TRACE(&world, 1, "");
    world_run(&world, 2);
    TRACE(&world, 1,
          "clock_nanosleep=0 clock_nanosleep=0 clock_nanosleep=-EOPNOTSUPP clock_nanosleep=-EINVAL "
          "clock_nanosleep=-EINVAL exit(0)");
    world_end(&world);
}

static void test_cpu_time_is_not_spent_asleep(void)
{
    struct test_program p = {0};
    program_sleep(&p, 20, 5);
    SYS(&p, NR_PAUSE);
    world_begin(&world);
    world_start(&world, &p);
    world_run(&world, 10);
    u64 user_ns, system_ns;
    thread_group_times(world.init, &user_ns, &system_ns);
    CU_ASSERT(user_ns + system_ns < NS_PER_MS);
    world_end(&world);
}

void time_suite(void);
void time_suite(void)
{
    CU_pSuite suite = CU_add_suite("syscalls/time", NULL, NULL);
    CU_ADD_TEST(suite, test_waits_compare_first_and_time_out);
    CU_ADD_TEST(suite, test_wake_and_requeue);
    CU_ADD_TEST(suite, test_a_lock_is_handed_over);
    CU_ADD_TEST(suite, test_a_dead_owner_gives_the_lock_marked);
    CU_ADD_TEST(suite, test_a_paused_wait_goes_on);
    CU_ADD_TEST(suite, test_a_paused_wait_that_was_moved_returns);
    CU_ADD_TEST(suite, test_an_interval_timer_fires_and_counts);
    CU_ADD_TEST(suite, test_a_posix_timer_overruns_while_blocked);
    CU_ADD_TEST(suite, test_sleeps_until_and_for);
    CU_ADD_TEST(suite, test_cpu_time_is_not_spent_asleep);
}
