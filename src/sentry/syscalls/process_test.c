/* SPDX-License-Identifier: Apache-2.0 */
/* Births, ends and waits as programs see them. */
#include <CUnit/CUnit.h>

#include "sentry/syscalls/testing.h"

static struct test_world world;

static void test_a_program_exits_with_its_code(void)
{
    struct test_program p = {0};
    SYS(&p, NR_GETPID);
    SYS(&p, NR_GETPPID);
    SYS(&p, NR_EXIT_GROUP, 7);
    test_run(&world, &p);
    TRACE(&world, 1, "getpid=1 getppid=0 exit(1792)");
    CU_ASSERT(world.init->is_zombie && world.init->exit_code == 0x700);
    world_end(&world);
}

static void test_a_child_is_waited_for(void)
{
    struct test_program p = {0};
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_WAIT4, -1ull, var_address(1), 0, 0);
    SYS(&p, NR_EXIT_GROUP, V(1)); /* 3 << 8: its low byte is 0 */
    program_patch(&p, fork);
    SYS(&p, NR_GETPPID);
    SYS(&p, NR_EXIT_GROUP, 3);
    test_run(&world, &p);
    TRACE(&world, 1, "fork=2 wait4=2 exit(0)");
    TRACE(&world, 2, "getppid=1 exit(768)");
    world_end(&world);
}

static void test_nothing_to_wait_for(void)
{
    struct test_program p = {0};
    SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, LINUX_WNOHANG, 0);
    SYS(&p, NR_WAIT4, 77, 0, 0, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, 0x100, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, LINUX_WNOHANG, 0);
    SYS(&p, NR_EXIT, 0);
    program_patch(&p, fork);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_EXIT, 0);
    test_run(&world, &p);
    TRACE(&world, 1,
          "wait4=-ECHILD fork=2 wait4=0 wait4=-ECHILD wait4=-EINVAL wait4=2 wait4=-ECHILD exit(0)");
    TRACE(&world, 2, "nanosleep=0 exit(0)");
    world_end(&world);
}

static void test_threads_share_the_process(void)
{
    struct test_program p = {0};
    u32 thread = program_thread(&p, 0);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_EXIT, 5); /* the leader's code is the process's when nobody says exit_group */
    program_patch(&p, thread);
    SYS(&p, NR_GETPID);
    SYS(&p, NR_GETTID);
    program_set(&p, 20, 2);
    program_set(&p, 21, 0);
    SYS(&p, NR_NANOSLEEP, var_address(20), 0);
    SYS(&p, NR_EXIT, 9);
    test_run(&world, &p);
    TRACE(&world, 1, "clone=2 nanosleep=0 exit(1280)");
    TRACE(&world, 2, "getpid=1 gettid=2 nanosleep=0 exit(2304)");
    CU_ASSERT_EQUAL(world.init->exit_code, 0x500);
    world_end(&world);
}

static void test_exit_group_ends_sleeping_threads(void)
{
    struct test_program p = {0};
    u32 thread = program_thread(&p, 0);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_EXIT_GROUP, 4);
    program_patch(&p, thread);
    SYS(&p, NR_PAUSE);
    test_run(&world, &p);
    TRACE(&world, 1, "clone=2 nanosleep=0 exit(1024)");
    TRACE(&world, 2, "pause=-EINTR exit(1024)");
    CU_ASSERT_EQUAL(world.init->exit_code, 0x400);
    world_end(&world);
}

static void test_orphans_go_to_init_and_it_reaps_them(void)
{
    struct test_program p = {0};
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_WAIT4, V(0), 0, 0, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, 0, 0); /* the grandchild */
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, fork);
    u32 grandchild = program_fork(&p, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, grandchild);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_GETPPID);
    SYS(&p, NR_EXIT_GROUP, 0);
    test_run(&world, &p);
    TRACE(&world, 1, "fork=2 wait4=2 wait4=3 exit(0)");
    TRACE(&world, 3, "nanosleep=0 getppid=1 exit(0)");
    world_end(&world);
}

static void test_a_vfork_parent_waits_for_the_child_to_go(void)
{
    struct test_program p = {0};
    u32 to_child;
    SYS_TO(&p, 0, NR_CLONE, LINUX_CLONE_VFORK | LINUX_SIGCHLD, 0, 0, 0, 0);
    to_child = program_jump(&p, OP_JUMP_EQ, 0, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, LINUX_WNOHANG, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, to_child);
    u64 time = program_time(&p, 3, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    test_run(&world, &p);
    TRACE(&world, 1, "clone=2 wait4=2 exit(0)");
    TRACE(&world, 2, "nanosleep=0 exit(0)");
    world_end(&world);
}

static void test_init_takes_its_namespace_along(void)
{
    struct test_program p = {0};
    u32 fork = program_fork(&p, 0);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_EXIT_GROUP, 2);
    program_patch(&p, fork);
    SYS(&p, NR_PAUSE);
    test_run(&world, &p);
    TRACE(&world, 1, "fork=2 nanosleep=0 exit(512)");
    TRACE(&world, 2, "pause=-EINTR exit(9)");
    CU_ASSERT_EQUAL(world.kernel->task_count, 1); /* the reaper */
    world_end(&world);
}

static void test_a_pid_namespace_inside(void)
{
    struct test_program p = {0};
    SYS(&p, NR_UNSHARE, LINUX_CLONE_NEWPID);
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
    SYS(&p, NR_GETPID);
    u32 again = program_fork(&p, 0); /* its init has ended: nobody can be born there */
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, fork);
    program_patch(&p, again);
    SYS(&p, NR_GETPID);
    SYS(&p, NR_GETPPID);
    u32 grandchild = program_fork(&p, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, grandchild);
    SYS(&p, NR_PAUSE);
    test_run(&world, &p);
    TRACE(&world, 1, "unshare=0 fork=2 wait4=2 getpid=1 fork=-ENOMEM exit(0)");
    TRACE(&world, 2, "getpid=1 getppid=0 fork=2 exit(0)");
    TRACE(&world, 3, "pause=-EINTR exit(9)");
    world_end(&world);
}

static void test_flags_that_clone_refuses(void)
{
    static const u64 bad[] = {
        LINUX_CLONE_SIGHAND,
        LINUX_CLONE_THREAD | LINUX_CLONE_VM,
        LINUX_CLONE_FS | LINUX_CLONE_NEWNS,
        LINUX_CLONE_FS | LINUX_CLONE_NEWUSER,
        LINUX_CLONE_PARENT, /* of an init */
        LINUX_CLONE_PIDFD | LINUX_CLONE_PARENT_SETTID,
        LINUX_CLONE_THREAD | LINUX_CLONE_SIGHAND | LINUX_CLONE_VM | LINUX_CLONE_NEWPID,
    };
    struct test_program p = {0};
    for (u32 i = 0; i < ARRAY_COUNT(bad); i++)
        SYS(&p, NR_CLONE, bad[i] | LINUX_SIGCHLD, 0, 0, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    test_run(&world, &p);
    TRACE(&world, 1,
          "clone=-EINVAL clone=-EINVAL clone=-EINVAL clone=-EINVAL clone=-EINVAL clone=-EINVAL "
          "clone=-EINVAL exit(0)");
    world_end(&world);
}

static void test_process_groups_and_sessions(void)
{
    struct test_program p = {0};
    SYS(&p, NR_SETSID); /* a leader already */
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_SETPGID, V(0), V(0));
    SYS(&p, NR_GETPGID, V(0));
    SYS(&p, NR_SETPGID, 0, V(0)); /* a session's leader stays where it is */
    SYS(&p, NR_SETPGID, 99, 0);
    SYS(&p, NR_KILL, -2ull, LINUX_SIGTERM);
    SYS(&p, NR_WAIT4, -2ull, 0, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, fork);
    SYS(&p, NR_PAUSE);
    test_run(&world, &p);
    TRACE(&world, 1,
          "setsid=-EPERM fork=2 setpgid=0 getpgid=2 setpgid=-EPERM setpgid=-ESRCH kill=0 wait4=2 "
          "exit(0)");
    TRACE(&world, 2, "pause=-EINTR killed(15) exit(15)");
    world_end(&world);
}

static void test_clear_child_tid_wakes_a_joiner(void)
{
    struct test_program p = {0};
    const u64 flags = BYTECODE_CLONE_FLAGS | LINUX_CLONE_CHILD_CLEARTID | LINUX_CLONE_CHILD_SETTID;
    const u64 word = var_address(30);
    SYS_TO(&p, 0, NR_CLONE, flags, BYTECODE_STACKS + 0x8000, 0, word, 0);
    u32 to_child = program_jump(&p, OP_JUMP_EQ, BYTECODE_VAR_RESULT, 0);
    SYS(&p, NR_SCHED_YIELD);
    SYS(&p, NR_FUTEX, word, LINUX_FUTEX_WAIT, 2, 0, 0, 0);
    program_set(&p, 31, 0);
    struct bytecode_instruction *load = program_add(&p, OP_LOAD);
    load->a = 31;
    load->b = 4;
    load->imm64 = word;
    SYS(&p, NR_EXIT_GROUP, V(31));
    program_patch(&p, to_child);
    program_set(&p, 20, 1);
    program_set(&p, 21, 0);
    SYS(&p, NR_NANOSLEEP, var_address(20), 0);
    SYS(&p, NR_EXIT, 0);
    test_run(&world, &p);
    TRACE(&world, 1, "clone=2 sched_yield=0 futex=0 exit(0)");
    TRACE(&world, 2, "nanosleep=0 exit(0)");
    world_end(&world);
}

/* ---- pause ---------------------------------------------------------------------------------- */

SLEEPS_ROOT static void pause_now(struct task *task, void *arg)
{
    kernel_pause(task->kernel, task);
}

static void test_a_pause_is_invisible(void)
{
    struct test_program p = {0};
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, fork);
    u64 time = program_time(&p, 10, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    world_begin(&world);
    world_start(&world, &p);
    world_run(&world, 4);
    world_actor(&world, pause_now);
    struct task *task;
    list_for_each (task, &world.kernel->tasks, kernel_link)
        CU_ASSERT(task->is_kernel || (task->is_parked && task->in_syscall));
    world_run(&world, 2);
    CU_ASSERT_EQUAL(kernel_resume(world.kernel), 0);
    CU_ASSERT_EQUAL(kernel_resume(world.kernel), -EINVAL);
    world_run(&world, 3);
    TRACE(&world, 2, ""); /* 9 seconds: still asleep */
    world_run(&world, 2);
    TRACE(&world, 1, "fork=2 wait4=2 exit(0)");
    TRACE(&world, 2, "nanosleep=0 exit(0)");
    world_end(&world);
}

static void test_the_same_seed_gives_the_same_run(void)
{
    static char traces[2][TEST_TASKS][TEST_TRACE];
    struct test_program p = {0};
    u32 forks[4];
    for (u32 i = 0; i < 4; i++)
        forks[i] = program_fork(&p, (u8)i);
    for (u32 i = 0; i < 4; i++)
        SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    for (u32 i = 0; i < 4; i++)
        program_patch(&p, forks[i]);
    for (u32 i = 0; i < 8; i++)
        SYS(&p, NR_SCHED_YIELD);
    SYS(&p, NR_EXIT_GROUP, 1);
    u64 ends[2];
    for (u32 run = 0; run < 2; run++) {
        world_begin_with(&world, 42, 3);
        world_start(&world, &p);
        world_run(&world, 10);
        memcpy(traces[run], world.trace, sizeof world.trace);
        ends[run] = world.kernel->call_count;
        world_end(&world);
    }
    CU_ASSERT(memcmp(traces[0], traces[1], sizeof traces[0]) == 0);
    CU_ASSERT_EQUAL(ends[0], ends[1]);
}

void process_suite(void);
void process_suite(void)
{
    CU_pSuite suite = CU_add_suite("syscalls/process", NULL, NULL);
    CU_ADD_TEST(suite, test_a_program_exits_with_its_code);
    CU_ADD_TEST(suite, test_a_child_is_waited_for);
    CU_ADD_TEST(suite, test_nothing_to_wait_for);
    CU_ADD_TEST(suite, test_threads_share_the_process);
    CU_ADD_TEST(suite, test_exit_group_ends_sleeping_threads);
    CU_ADD_TEST(suite, test_orphans_go_to_init_and_it_reaps_them);
    CU_ADD_TEST(suite, test_a_vfork_parent_waits_for_the_child_to_go);
    CU_ADD_TEST(suite, test_init_takes_its_namespace_along);
    CU_ADD_TEST(suite, test_a_pid_namespace_inside);
    CU_ADD_TEST(suite, test_flags_that_clone_refuses);
    CU_ADD_TEST(suite, test_process_groups_and_sessions);
    CU_ADD_TEST(suite, test_clear_child_tid_wakes_a_joiner);
    CU_ADD_TEST(suite, test_a_pause_is_invisible);
    CU_ADD_TEST(suite, test_the_same_seed_gives_the_same_run);
}
