/* SPDX-License-Identifier: Apache-2.0 */
/* Signals as programs see them: handlers, masks, restarts, waits, job control. */
#include <CUnit/CUnit.h>

#include "sentry/syscalls/testing.h"

static struct test_world world;

#define RESTART LINUX_SA_RESTART

static void test_a_handler_runs_and_returns(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), 0, 0);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
    SYS(&p, NR_GETTID);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    SYS(&p, NR_GETPID);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 1, "kill=0 handler(10) getpid=1 gettid=1 exit(0)");
    world_end(&world);
}

/* Init does not die of what it has no handler for; SIGKILL from within its namespace does nothing
 * either. */
static void test_init_is_not_killed_from_inside(void)
{
    struct test_program p = {0};
    SYS(&p, NR_KILL, 1, LINUX_SIGTERM);
    SYS(&p, NR_KILL, 1, LINUX_SIGKILL);
    SYS(&p, NR_KILL, 1, LINUX_SIGSTOP);
    SYS(&p, NR_TKILL, 1, LINUX_SIGKILL);
    SYS(&p, NR_EXIT_GROUP, 6);
    test_run(&world, &p);
    TRACE(&world, 1, "kill=0 kill=0 kill=0 tkill=0 exit(1536)");
    world_end(&world);
}

static void test_init_from_outside(void)
{
    struct test_program p = {0};
    SYS(&p, NR_PAUSE);
    world_begin(&world);
    world_start(&world, &p);
    world_run(&world, 1);
    struct linux_siginfo info;
    signal_info_user(&info, LINUX_SIGTERM, LINUX_SI_USER, NULL, world.init);
    CU_ASSERT_EQUAL(signal_send_group(world.init, &info), 0);
    world_run(&world, 1);
    TRACE(&world, 1, ""); /* pid_namespaces(7): only KILL and STOP are forced */
    info.signo = LINUX_SIGKILL;
    CU_ASSERT_EQUAL(signal_send_group(world.init, &info), 0);
    world_run(&world, 1);
    TRACE(&world, 1, "pause=-EINTR exit(9)");
    world_end(&world);
}

/* A parent that sleeps SECONDS, signals its child, and waits; the child runs what the caller adds.
 */
static void program_signal_child(struct test_program *p, i32 signo, u64 seconds)
{
    u32 fork = program_fork(p, 0);
    u64 time = program_time(p, seconds, 0);
    SYS(p, NR_NANOSLEEP, time, 0);
    SYS(p, NR_KILL, V(0), (u64)signo);
    SYS(p, NR_WAIT4, -1ull, var_address(1), 0, 0);
    SYS(p, NR_EXIT_GROUP, 0);
    program_patch(p, fork);
}

static void test_default_actions(void)
{
    static const struct {
        i32 signo;
        const char *child;
    } cases[] = {
        {LINUX_SIGTERM, "nanosleep=-EINTR killed(15) exit(15)"},
        {LINUX_SIGSEGV, "nanosleep=-EINTR killed(11) exit(11)"},
        {LINUX_SIGABRT, "nanosleep=-EINTR killed(6) exit(6)"},
        {LINUX_SIGKILL, "nanosleep=-EINTR exit(9)"},
        {LINUX_SIGCHLD, "nanosleep=0 exit(0)"},
        {LINUX_SIGWINCH, "nanosleep=0 exit(0)"},
        {LINUX_SIGCONT, "nanosleep=0 exit(0)"},
        {LINUX_SIGRTMIN + 5, "nanosleep=-EINTR killed(37) exit(37)"},
    };
    for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
        struct test_program p = {0};
        program_signal_child(&p, cases[i].signo, 1);
        program_set(&p, 20, 5);
        program_set(&p, 21, 0);
        SYS(&p, NR_NANOSLEEP, var_address(20), 0);
        SYS(&p, NR_EXIT_GROUP, 0);
        test_run(&world, &p);
        TRACE(&world, 2, cases[i].child);
        world_end(&world);
    }
}

/* signal(7): what becomes of a call that a handler interrupts. */
static void test_restarts(void)
{
    static const struct {
        u32 call;
        u64 flags;
        const char *trace;
    } cases[] = {
        {NR_WAIT4, 0, "fork=2 wait4=-EINTR handler(10) gettid=1"},
        {NR_WAIT4, RESTART, "fork=2 handler(10) gettid=1 wait4=2"},
        {NR_NANOSLEEP, RESTART, "fork=2 nanosleep=-EINTR handler(10) gettid=1"},
        {NR_PAUSE, RESTART, "fork=2 pause=-EINTR handler(10) gettid=1"},
    };
    for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
        struct test_program p = {0};
        program_handle(&p, LINUX_SIGUSR1, HANDLER(0), cases[i].flags, 0);
        u32 fork = program_fork(&p, 0);
        u64 time = program_time(&p, 50, 0);
        if (cases[i].call == NR_WAIT4)
            SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
        else
            SYS(&p, cases[i].call, time, 0);
        SYS(&p, NR_PAUSE);
        program_patch(&p, fork);
        program_set(&p, 20, 1);
        program_set(&p, 21, 0);
        SYS(&p, NR_NANOSLEEP, var_address(20), 0);
        SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
        SYS(&p, NR_NANOSLEEP, var_address(20), 0);
        SYS(&p, NR_EXIT_GROUP, 0);
        program_handler(&p, 0);
        SYS(&p, NR_GETTID);
        program_add(&p, OP_RETURN);
        world_begin(&world);
        world_start(&world, &p);
        world_run(&world, 10);
        /* an interrupted wait4 that restarts shows nothing before the handler: its result never
         * came out */
        TRACE(&world, 1,
              cases[i].call == NR_WAIT4 && !cases[i].flags ? "fork=2 handler(10) gettid=1"
                                                           : cases[i].trace);
        world_end(&world);
    }
}

static void test_what_is_left_of_a_sleep(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGALRM, HANDLER(0), 0, 0);
    SYS(&p, NR_ALARM, 2);
    u64 time = program_time(&p, 10, 0);
    SYS(&p, NR_NANOSLEEP, time, var_address(30));
    SYS(&p, NR_EXIT_GROUP, V(30));
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 1, "alarm=0 nanosleep=-EINTR handler(14) exit(2048)"); /* 8 seconds */
    world_end(&world);
}

static void test_blocked_signals_wait_and_come_in_order(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), 0, 0);
    program_handle(&p, LINUX_SIGUSR2, HANDLER(0), 0, 0);
    program_handle(&p, LINUX_SIGRTMIN, HANDLER(0), 0, 0);
    program_set(&p, 10, UINT64_MAX);
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_SETMASK, var_address(10), var_address(11), 8);
    SYS(&p, NR_KILL, 1, LINUX_SIGRTMIN);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR2);
    SYS(&p, NR_KILL, 1, LINUX_SIGRTMIN); /* queued twice */
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR2);  /* once only */
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
    SYS(&p, NR_SIGPENDING, var_address(12), 8);
    program_set(&p, 10, 0);
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_SETMASK, var_address(10), 0, 8);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    /* Lowest first; while a real-time handler runs its signal is blocked, so the second comes after
     * it. */
    TRACE(&world, 1,
          "rt_sigprocmask=0 kill=0 kill=0 kill=0 kill=0 kill=0 rt_sigpending=0 rt_sigprocmask=0 "
          "handler(10) "
          "handler(12) handler(32) handler(32) exit(0)");
    world_end(&world);
}

static void test_ignoring_discards(void)
{
    struct test_program p = {0};
    program_set(&p, 10, SIGNAL_BIT(LINUX_SIGUSR1));
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_BLOCK, var_address(10), 0, 8);
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), 0, 0);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
    program_handle(&p, LINUX_SIGUSR1, LINUX_SIG_IGN, 0, 0);
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), 0, 0);
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_UNBLOCK, var_address(10), 0, 8);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 1, "rt_sigprocmask=0 kill=0 rt_sigprocmask=0 exit(0)");
    world_end(&world);
}

static void test_flags_of_actions(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), LINUX_SA_RESETHAND, 0);
    program_handle(&p, LINUX_SIGUSR2, HANDLER(1), LINUX_SA_NODEFER, 0);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1); /* default now: an init ignores it */
    program_set(&p, 40, 3);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR2);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    program_handler(&p, 1); /* sends itself again, inside itself */
    struct bytecode_instruction *add = program_add(&p, OP_ADD);
    add->a = 40;
    add->imm64 = -1ull;
    u32 done = program_jump(&p, OP_JUMP_EQ, 40, 0);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR2);
    program_patch(&p, done);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 1,
          "kill=0 handler(10) kill=0 kill=0 handler(12) kill=0 handler(12) kill=0 handler(12) "
          "exit(0)");
    world_end(&world);
}

static void test_no_restorer_and_no_stack_kill(void)
{
    struct test_program p = {0};
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_WAIT4, -1ull, var_address(1), 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, fork);
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), 0, 0);
    /* an alternate stack where nothing is mapped */
    program_set(&p, 30, 0x50000000);
    program_set(&p, 31, 0);
    program_set(&p, 32, 65536);
    SYS(&p, NR_SIGALTSTACK, var_address(30), 0);
    program_handle(&p, LINUX_SIGUSR2, HANDLER(0), LINUX_SA_ONSTACK, 0);
    SYS(&p, NR_KILL, 2, LINUX_SIGUSR1);
    SYS(&p, NR_KILL, 2, LINUX_SIGUSR2);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 2, "sigaltstack=0 kill=0 handler(10) kill=0 killed(11) exit(11)");
    world_end(&world);
}

static void test_sigsuspend_swaps_the_mask(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), RESTART, 0);
    program_set(&p, 10, SIGNAL_BIT(LINUX_SIGUSR1));
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_BLOCK, var_address(10), 0, 8);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
    program_set(&p, 11, 0);
    SYS(&p, NR_SIGSUSPEND, var_address(11), 8);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1); /* blocked again */
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 1, "rt_sigprocmask=0 kill=0 rt_sigsuspend=-EINTR handler(10) kill=0 exit(0)");
    world_end(&world);
}

static void test_sigtimedwait_takes_what_is_blocked(void)
{
    struct test_program p = {0};
    program_set(&p, 10, SIGNAL_BIT(LINUX_SIGUSR1));
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_BLOCK, var_address(10), 0, 8);
    u64 time = program_time(&p, 2, 0);
    SYS(&p, NR_SIGTIMEDWAIT, var_address(10), 0, time, 8);
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_SIGTIMEDWAIT, var_address(10), 0, 0, 8);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, fork);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
    SYS(&p, NR_PAUSE);
    test_run(&world, &p);
    TRACE(&world, 1, "rt_sigprocmask=0 rt_sigtimedwait=-EAGAIN fork=2 rt_sigtimedwait=10 exit(0)");
    world_end(&world);
}

/* ---- job control ---------------------------------------------------------------------------- */

static void test_stop_and_continue(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGCHLD, HANDLER(0), RESTART, 0);
    u32 fork = program_fork(&p, 0);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_KILL, V(0), LINUX_SIGSTOP);
    SYS(&p, NR_WAIT4, -1ull, var_address(1), LINUX_WUNTRACED, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, LINUX_WUNTRACED | LINUX_WNOHANG, 0); /* told once */
    SYS(&p, NR_KILL, V(0), LINUX_SIGCONT);
    SYS(&p, NR_WAIT4, -1ull, var_address(2), LINUX_WCONTINUED, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_handler(&p, 0);
    program_add(&p, OP_RETURN);
    program_patch(&p, fork);
    program_set(&p, 20, 5);
    program_set(&p, 21, 0);
    SYS(&p, NR_NANOSLEEP, var_address(20), 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    world_begin(&world);
    world_start(&world, &p);
    world_run(&world, 20);
    TRACE(&world, 1,
          "fork=2 nanosleep=0 kill=0 wait4=2 handler(17) wait4=0 kill=0 handler(17) wait4=2 "
          "wait4=2 handler(17) exit(0)");
    TRACE(&world, 2, "stopped(19) nanosleep=0 exit(0)"); /* the sleep goes on, unnoticed */
    world_end(&world);
}

static void test_kill_ends_a_stopped_process(void)
{
    struct test_program p = {0};
    u32 fork = program_fork(&p, 0);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_KILL, V(0), LINUX_SIGSTOP);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_KILL, V(0), LINUX_SIGTERM); /* waits for a continuation */
    SYS(&p, NR_WAIT4, -1ull, 0, LINUX_WNOHANG, 0);
    SYS(&p, NR_KILL, V(0), LINUX_SIGKILL);
    SYS(&p, NR_WAIT4, -1ull, var_address(1), 0, 0);
    SYS(&p, NR_EXIT_GROUP, V(1));
    program_patch(&p, fork);
    SYS(&p, NR_PAUSE);
    test_run(&world, &p);
    TRACE(&world, 1,
          "fork=2 nanosleep=0 kill=0 nanosleep=0 kill=0 wait4=0 kill=0 wait4=2 exit(2304)");
    TRACE(&world, 2, "stopped(19) exit(9)");
    world_end(&world);
}

static void test_ignored_children_reap_themselves(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGCHLD, LINUX_SIG_IGN, 0, 0);
    u32 fork = program_fork(&p, 0);
    SYS(&p, NR_WAIT4, -1ull, 0, 0, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, fork);
    SYS(&p, NR_EXIT_GROUP, 0);
    test_run(&world, &p);
    TRACE(&world, 1, "fork=2 wait4=-ECHILD exit(0)");
    world_end(&world);
}

static void test_a_thread_takes_what_the_leader_blocks(void)
{
    struct test_program p = {0};
    program_handle(&p, LINUX_SIGUSR1, HANDLER(0), 0, 0);
    u32 thread = program_thread(&p, 0);
    program_set(&p, 10, SIGNAL_BIT(LINUX_SIGUSR1));
    SYS(&p, NR_SIGPROCMASK, LINUX_SIG_BLOCK, var_address(10), 0, 8);
    SYS(&p, NR_KILL, 1, LINUX_SIGUSR1);
    u64 time = program_time(&p, 1, 0);
    SYS(&p, NR_NANOSLEEP, time, 0);
    SYS(&p, NR_EXIT_GROUP, 0);
    program_patch(&p, thread);
    SYS(&p, NR_PAUSE);
    SYS(&p, NR_EXIT, 0);
    program_handler(&p, 0);
    SYS(&p, NR_GETTID);
    program_add(&p, OP_RETURN);
    test_run(&world, &p);
    TRACE(&world, 1, "clone=2 rt_sigprocmask=0 kill=0 nanosleep=0 exit(0)");
    TRACE(&world, 2, "pause=-EINTR handler(10) gettid=2 exit(0)");
    world_end(&world);
}

static void test_a_fault_kills_even_an_init(void)
{
    struct test_program p = {0};
    struct bytecode_instruction *load = program_add(&p, OP_LOAD);
    load->a = 0;
    load->b = 8;
    load->imm64 = 0x20000; /* nothing there */
    test_run(&world, &p);
    TRACE(&world, 1, "killed(11) exit(11)");
    world_end(&world);
}

void signal_suite(void);
void signal_suite(void)
{
    CU_pSuite suite = CU_add_suite("syscalls/signal", NULL, NULL);
    CU_ADD_TEST(suite, test_a_handler_runs_and_returns);
    CU_ADD_TEST(suite, test_init_is_not_killed_from_inside);
    CU_ADD_TEST(suite, test_init_from_outside);
    CU_ADD_TEST(suite, test_default_actions);
    CU_ADD_TEST(suite, test_restarts);
    CU_ADD_TEST(suite, test_what_is_left_of_a_sleep);
    CU_ADD_TEST(suite, test_blocked_signals_wait_and_come_in_order);
    CU_ADD_TEST(suite, test_ignoring_discards);
    CU_ADD_TEST(suite, test_flags_of_actions);
    CU_ADD_TEST(suite, test_no_restorer_and_no_stack_kill);
    CU_ADD_TEST(suite, test_sigsuspend_swaps_the_mask);
    CU_ADD_TEST(suite, test_sigtimedwait_takes_what_is_blocked);
    CU_ADD_TEST(suite, test_stop_and_continue);
    CU_ADD_TEST(suite, test_kill_ends_a_stopped_process);
    CU_ADD_TEST(suite, test_ignored_children_reap_themselves);
    CU_ADD_TEST(suite, test_a_thread_takes_what_the_leader_blocks);
    CU_ADD_TEST(suite, test_a_fault_kills_even_an_init);
}
