/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: masks, pending sets, handlers and their flags, queues, waits, the alternate stack. */
#include "tap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

static volatile sig_atomic_t signal_count;
static volatile sig_atomic_t order[16];
static siginfo_t last_info;

static void on_signal(int signal)
{
    if (signal_count < 16)
        order[signal_count] = signal;
    signal_count++;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
    signal_count++;
    last_info = *info;
}

static sigset_t set_of(int a, int b)
{
    sigset_t set;
    sigemptyset(&set);
    if (a)
        sigaddset(&set, a);
    if (b)
        sigaddset(&set, b);
    return set;
}

static void block(int a, int b)
{
    sigset_t set = set_of(a, b);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void unblock(int a, int b)
{
    sigset_t set = set_of(a, b);
    MUST(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

CASE(handler_runs)
{
    tap_handle(SIGUSR1, on_signal, 0);
    EXPECT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_EQ(signal_count, 2);
}

CASE(kill_errors)
{
    EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
    EXPECT_ERRNO(kill(getpid(), -1), EINVAL);
    EXPECT_ERRNO(kill(0x3fffff, 0), ESRCH);
    EXPECT_ERRNO(kill((pid_t)0x80000000, 0), ESRCH);
    EXPECT_EQ(kill(getpid(), 0), 0);
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(kill(getppid(), 0), EPERM);
        EXPECT_ERRNO(kill(getppid(), SIGTERM), EPERM);
        EXPECT_EQ(kill(getpid(), 0), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(sigaction_errors)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        unsigned long mask;
    } raw = {SIG_DFL, 0, NULL, 0};
    EXPECT_ERRNO(sigaction(SIGKILL, &action, NULL), EINVAL);
    EXPECT_ERRNO(sigaction(SIGSTOP, &action, NULL), EINVAL);
    EXPECT_EQ(syscall(SYS_rt_sigaction, SIGKILL, NULL, &raw, 8), 0);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, 65, &raw, NULL, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, 0, &raw, NULL, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, &raw, NULL, 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void *)8, 8), EFAULT);
}

CASE(sigaction_returns_the_old_one)
{
    struct sigaction old;
    tap_handle(SIGUSR1, on_signal, SA_RESTART | SA_NODEFER);
    EXPECT_EQ(sigaction(SIGUSR1, NULL, &old), 0);
    EXPECT(old.sa_handler == on_signal);
    EXPECT_EQ(old.sa_flags & ~0x04000000, SA_RESTART | SA_NODEFER);
    EXPECT_EQ(sigaction(SIGUSR2, NULL, &old), 0);
    EXPECT(old.sa_handler == SIG_DFL);
}

CASE(mask_operations)
{
    sigset_t set = set_of(SIGUSR1, SIGKILL);
    sigaddset(&set, SIGSTOP);
    sigset_t old;
    EXPECT_EQ(sigprocmask(SIG_SETMASK, &set, &old), 0);
    EXPECT_EQ(sigprocmask(SIG_BLOCK, NULL, &old), 0);
    EXPECT_EQ(sigismember(&old, SIGUSR1), 1);
    EXPECT_EQ(sigismember(&old, SIGKILL), 0);
    EXPECT_EQ(sigismember(&old, SIGSTOP), 0);
    EXPECT_ERRNO(sigprocmask(77, &set, NULL), EINVAL);
    unsigned long bits = 0;
    EXPECT_EQ(syscall(SYS_rt_sigprocmask, 77, NULL, &bits, 8), 0);
    EXPECT_EQ(bits, 1ul << (SIGUSR1 - 1));
    EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &bits, NULL, 16), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8), EFAULT);
}

CASE(pending_until_unblocked)
{
    tap_handle(SIGUSR1, on_signal, 0);
    block(SIGUSR1, 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    EXPECT_EQ(signal_count, 0);
    sigset_t pending;
    EXPECT_EQ(sigpending(&pending), 0);
    EXPECT_EQ(sigismember(&pending, SIGUSR1), 1);
    EXPECT_EQ(sigismember(&pending, SIGUSR2), 0);
    unblock(SIGUSR1, 0);
    EXPECT_EQ(signal_count, 1); /* standard signals merge */
}

CASE(ignored_is_dropped_even_when_blocked_later)
{
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    block(SIGUSR1, 0);
    raise(SIGUSR1);
    tap_handle(SIGUSR1, on_signal, 0);
    unblock(SIGUSR1, 0);
    EXPECT_EQ(signal_count, 1); /* blocked signals are kept though ignored */
}

CASE(setting_ignore_discards_pending)
{
    tap_handle(SIGUSR1, on_signal, 0);
    block(SIGUSR1, 0);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGUSR1), 0);
}

CASE(realtime_signals_queue_in_order)
{
    tap_handle_info(SIGRTMIN, on_info, 0);
    block(SIGRTMIN, 0);
    for (int i = 1; i <= 3; i++)
        EXPECT_EQ(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}), 0);
    sigset_t set = set_of(SIGRTMIN, 0);
    for (int i = 1; i <= 3; i++) {
        siginfo_t info = {0};
        EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
        EXPECT_EQ(info.si_value.sival_int, i);
    }
}

CASE(lowest_number_first)
{
    tap_handle(SIGUSR1, on_signal, 0);
    tap_handle(SIGUSR2, on_signal, 0);
    tap_handle(SIGRTMIN + 1, on_signal, 0);
    tap_handle(SIGRTMIN + 2, on_signal, 0);
    sigset_t all, none, set = set_of(0, 0);
    sigfillset(&all);
    sigemptyset(&none);
    MUST(sigprocmask(SIG_SETMASK, &all, NULL));
    raise(SIGRTMIN + 2);
    raise(SIGUSR2);
    raise(SIGRTMIN + 1);
    raise(SIGUSR1);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGRTMIN + 2);
    siginfo_t info;
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR2);
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 2);
}

CASE(frames_nest_so_handlers_run_last_first)
{
    tap_handle(SIGUSR1, on_signal, 0);
    tap_handle(SIGUSR2, on_signal, 0);
    block(SIGUSR1, SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR2);
    unblock(SIGUSR1, SIGUSR2);
    EXPECT_EQ(signal_count, 2);
    EXPECT_EQ(order[0], SIGUSR2);
    EXPECT_EQ(order[1], SIGUSR1);
}

CASE(info_of_kill_tgkill_and_queue)
{
    tap_handle_info(SIGUSR1, on_info, 0);
    kill(getpid(), SIGUSR1);
    EXPECT_EQ(last_info.si_signo, SIGUSR1);
    EXPECT_EQ(last_info.si_code, SI_USER);
    EXPECT_EQ(last_info.si_pid, getpid());
    EXPECT_EQ(last_info.si_uid, 0);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
    EXPECT_EQ(last_info.si_code, SI_TKILL);
    EXPECT_EQ(last_info.si_pid, getpid());
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_ptr = (void *)0x123456789});
    EXPECT_EQ(last_info.si_code, SI_QUEUE);
    EXPECT_EQ((long)last_info.si_value.sival_ptr, 0x123456789);
    EXPECT_EQ(signal_count, 3);
}

CASE(rt_sigqueueinfo_rules)
{
    siginfo_t info = {0};
    tap_handle_info(SIGUSR1, on_info, 0);
    info.si_code = -5;
    info.si_pid = 77;
    EXPECT_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info), 0);
    EXPECT_EQ(last_info.si_code, -5);
    EXPECT_EQ(last_info.si_pid, 77);
    EXPECT_EQ(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGUSR1, &info), 0);
    EXPECT_EQ(signal_count, 2);
    info.si_code = SI_USER;
    EXPECT_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info), 0);
    EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info), EPERM);
    EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, (void *)8), EFAULT);
}

static void on_signal_again(int signal)
{
    if (signal_count++ == 0) {
        raise(signal);
        order[0] = signal_count;
    }
}

CASE(signal_is_blocked_in_its_handler)
{
    tap_handle(SIGUSR1, on_signal_again, 0);
    raise(SIGUSR1);
    EXPECT_EQ(order[0], 1);
    EXPECT_EQ(signal_count, 2);
}

CASE(nodefer)
{
    tap_handle(SIGUSR1, on_signal_again, SA_NODEFER);
    raise(SIGUSR1);
    EXPECT_EQ(order[0], 2);
    EXPECT_EQ(signal_count, 2);
}

static void on_signal_raise_other(int signal)
{
    signal_count++;
    raise(SIGUSR2);
    order[0] = signal_count;
}

CASE(handler_mask)
{
    struct sigaction action = {.sa_handler = on_signal_raise_other,
                               .sa_mask = set_of(SIGUSR2, 0)};
    MUST(sigaction(SIGUSR1, &action, NULL));
    struct sigaction other = {.sa_handler = on_signal};
    MUST(sigaction(SIGUSR2, &other, NULL));
    raise(SIGUSR1);
    EXPECT_EQ(order[0], 1);
    EXPECT_EQ(signal_count, 2);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    EXPECT_EQ(sigismember(&now, SIGUSR2), 0);
}

CASE(resethand)
{
    tap_handle(SIGUSR1, on_signal, (int)SA_RESETHAND);
    raise(SIGUSR1);
    EXPECT_EQ(signal_count, 1);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    EXPECT(now.sa_handler == SIG_DFL);
    CHILD(pid)
    {
        raise(SIGUSR1);
    }
    EXPECT_KILLED(pid, SIGUSR1);
}

CASE(restart_of_a_read)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        char byte;
        EXPECT_EQ(read(fds[0], &byte, 1), 1);
        EXPECT_EQ(signal_count, 1);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    tap_sleep_ms(10);
    tap_until_asleep(pid);
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(pause_and_sigsuspend)
{
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        EXPECT_ERRNO(pause(), EINTR);
        block(SIGUSR1, 0);
        raise(SIGUSR1);
        sigset_t none = set_of(0, 0);
        EXPECT_ERRNO(sigsuspend(&none), EINTR);
        EXPECT_EQ(signal_count, 2);
        sigset_t now;
        sigprocmask(SIG_BLOCK, NULL, &now);
        EXPECT_EQ(sigismember(&now, SIGUSR1), 1);
        EXPECT_ERRNO(syscall(SYS_rt_sigsuspend, &none, 4), EINVAL);
        EXPECT_ERRNO(syscall(SYS_rt_sigsuspend, 8, 8), EFAULT);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(sigtimedwait_forms)
{
    block(SIGUSR1, SIGUSR2);
    sigset_t set = set_of(SIGUSR1, SIGUSR2);
    struct timespec none = {0, 0};
    struct timespec little = {0, 20000000};
    siginfo_t info;
    EXPECT_ERRNO(sigtimedwait(&set, &info, &none), EAGAIN);
    EXPECT_ERRNO(sigtimedwait(&set, &info, &little), EAGAIN);
    kill(getpid(), SIGUSR2);
    EXPECT_EQ(sigtimedwait(&set, &info, &none), SIGUSR2);
    EXPECT_EQ(info.si_code, SI_USER);
    EXPECT_EQ(info.si_pid, getpid());
    struct timespec bad = {0, 1000000000};
    EXPECT_ERRNO(sigtimedwait(&set, &info, &bad), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigtimedwait, &set, &info, &none, 4), EINVAL);
}

CASE(sigtimedwait_wakes_and_is_interrupted)
{
    block(SIGUSR1, 0);
    CHILD(pid)
    {
        sigset_t set = set_of(SIGUSR1, 0);
        tap_handle(SIGUSR2, on_signal, SA_RESTART);
        EXPECT_EQ(sigwaitinfo(&set, NULL), SIGUSR1);
        EXPECT_ERRNO(sigwaitinfo(&set, NULL), EINTR);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    tap_sleep_ms(10);
    tap_until_asleep(pid);
    kill(pid, SIGUSR2);
    EXPECT_EXIT(pid, 0);
}

static volatile char *stack_seen;

static void on_signal_note_stack(int signal)
{
    char here;
    stack_seen = &here;
    signal_count++;
}

CASE(alternate_stack)
{
    char *memory = tap_pages(16);
    stack_t stack = {.ss_sp = memory, .ss_size = 65536};
    stack_t old = {0};
    EXPECT_EQ(sigaltstack(&stack, &old), 0);
    EXPECT_EQ(old.ss_flags, SS_DISABLE);
    tap_handle(SIGUSR1, on_signal_note_stack, SA_ONSTACK);
    raise(SIGUSR1);
    EXPECT(stack_seen > memory && stack_seen < memory + 65536);
    tap_handle(SIGUSR1, on_signal_note_stack, 0);
    raise(SIGUSR1);
    EXPECT(stack_seen < memory || stack_seen >= memory + 65536);
    EXPECT_EQ(sigaltstack(NULL, &old), 0);
    EXPECT(old.ss_sp == memory);
    EXPECT_EQ(old.ss_size, 65536);
    EXPECT_EQ(old.ss_flags, 0);
    stack.ss_flags = SS_DISABLE;
    EXPECT_EQ(sigaltstack(&stack, NULL), 0);
    tap_handle(SIGUSR1, on_signal_note_stack, SA_ONSTACK);
    raise(SIGUSR1);
    EXPECT(stack_seen < memory || stack_seen >= memory + 65536);
}

CASE(alternate_stack_errors)
{
    char *memory = tap_pages(16);
    stack_t stack = {.ss_sp = memory, .ss_size = 100};
    EXPECT_ERRNO(sigaltstack(&stack, NULL), ENOMEM);
    stack.ss_size = 65536;
    stack.ss_flags = 99;
    EXPECT_ERRNO(sigaltstack(&stack, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sigaltstack, (void *)8, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_sigaltstack, NULL, (void *)8), EFAULT);
}

static void on_signal_change_stack(int signal)
{
    stack_t stack;
    stack_t other = {.ss_sp = (void *)0x1000, .ss_size = 65536};
    sigaltstack(NULL, &stack);
    order[0] = stack.ss_flags;
    order[1] = sigaltstack(&other, NULL) < 0 ? errno : 0;
}

CASE(alternate_stack_in_use)
{
    char *memory = tap_pages(16);
    stack_t stack = {.ss_sp = memory, .ss_size = 65536};
    MUST(sigaltstack(&stack, NULL));
    tap_handle(SIGUSR1, on_signal_change_stack, SA_ONSTACK);
    raise(SIGUSR1);
    EXPECT_EQ(order[0], SS_ONSTACK);
    EXPECT_EQ(order[1], EPERM);
}

CASE(alternate_stack_over_fork)
{
    char *memory = tap_pages(16);
    stack_t stack = {.ss_sp = memory, .ss_size = 65536};
    MUST(sigaltstack(&stack, NULL));
    CHILD(pid)
    {
        stack_t now;
        EXPECT_EQ(sigaltstack(NULL, &now), 0);
        EXPECT(now.ss_sp == memory);
    }
    EXPECT_EXIT(pid, 0);
}

static ucontext_t *seen_context;
static long seen_registers[4];

static void on_signal_read_context(int signal, siginfo_t *info, void *context)
{
    seen_context = context;
    seen_registers[0] = seen_context->uc_mcontext.gregs[REG_RIP];
    seen_registers[1] = seen_context->uc_mcontext.gregs[REG_RSP];
    seen_context->uc_mcontext.gregs[REG_R12] = 0x1122334455667788;
    sigaddset(&seen_context->uc_sigmask, SIGUSR2);
}

CASE(context_can_be_read_and_changed)
{
    tap_handle_info(SIGUSR1, on_signal_read_context, 0);
    long r12 = 0;
    long pid = getpid();
    __asm__ volatile("xor %%r12, %%r12\n\t"
                     "mov %1, %%rdi\n\t"
                     "mov $10, %%esi\n\t"
                     "mov $62, %%eax\n\t"
                     "syscall\n\t"
                     "mov %%r12, %0"
                     : "=r"(r12)
                     : "r"(pid)
                     : "rax", "rcx", "rdi", "rsi", "r11", "r12", "memory");
    EXPECT_EQ(r12, 0x1122334455667788);
    EXPECT(seen_registers[0] != 0);
    EXPECT(seen_registers[1] > (long)&r12 - 65536 && seen_registers[1] < (long)&r12 + 65536);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    EXPECT_EQ(sigismember(&now, SIGUSR2), 1);
}

static void on_signal_clobber(int signal)
{
    __asm__ volatile("pxor %%xmm3, %%xmm3\n\tpxor %%xmm15, %%xmm15" ::: "xmm3", "xmm15");
    signal_count++;
}

CASE(vector_registers_are_kept)
{
    tap_handle(SIGUSR1, on_signal_clobber, 0);
    uint64_t in[2] = {0x0123456789abcdef, 0xfedcba9876543210};
    uint64_t out[4] = {0};
    long pid = getpid();
    __asm__ volatile("movdqu (%[in]), %%xmm3\n\t"
                     "movdqu (%[in]), %%xmm15\n\t"
                     "mov %[pid], %%rdi\n\t"
                     "mov $10, %%esi\n\t"
                     "mov $62, %%eax\n\t"
                     "syscall\n\t"
                     "movdqu %%xmm3, (%[out])\n\t"
                     "movdqu %%xmm15, 16(%[out])"
                     :
                     : [in] "r"(in), [out] "r"(out), [pid] "r"(pid)
                     : "rax", "rcx", "rdi", "rsi", "r11", "xmm3", "xmm15", "memory");
    EXPECT_EQ(signal_count, 1);
    EXPECT_MEM(out, in, 16);
    EXPECT_MEM(out + 2, in, 16);
}

CASE(uncatchable)
{
    CHILD(pid)
    {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        for (;;)
            pause();
    }
    int status;
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT(WIFSTOPPED(status));
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(continue_discards_pending_stops)
{
    CHILD(pid)
    {
        block(SIGTSTP, SIGCONT);
        raise(SIGTSTP);
        sigset_t pending;
        sigpending(&pending);
        EXPECT_EQ(sigismember(&pending, SIGTSTP), 1);
        raise(SIGCONT);
        sigpending(&pending);
        EXPECT_EQ(sigismember(&pending, SIGTSTP), 0);
        raise(SIGTSTP);
        sigpending(&pending);
        EXPECT_EQ(sigismember(&pending, SIGCONT), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(default_ignored)
{
    raise(SIGCHLD);
    raise(SIGURG);
    raise(SIGWINCH);
    raise(SIGCONT);
    EXPECT_EQ(signal_count, 0);
}

CASE(group_and_everyone)
{
    tap_handle(SIGUSR1, on_signal, 0);
    struct gate ready;
    gate_init(&ready);
    CHILD(pid)
    {
        MUST(setpgid(0, 0));
        CHILD(member)
        {
            gate_pass(&ready);
            while (signal_count == 0)
                usleep(1000);
        }
        gate_pass(&ready);
        while (signal_count == 0)
            usleep(1000);
        EXPECT_EXIT(member, 0);
    }
    gate_wait(&ready);
    gate_wait(&ready);
    EXPECT_EQ(kill(-pid, SIGUSR1), 0);
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(signal_count, 0);
    EXPECT_ERRNO(kill(-pid, SIGUSR1), ESRCH);
}

CASE(pending_limit_counts_queued)
{
    struct rlimit limit = {2, 2};
    MUST(setrlimit(RLIMIT_SIGPENDING, &limit));
    CHILD(pid)
    {
        MUST(setuid(54321));
        block(SIGRTMIN, 0);
        EXPECT_EQ(sigqueue(getpid(), SIGRTMIN, (union sigval){0}), 0);
        EXPECT_EQ(sigqueue(getpid(), SIGRTMIN, (union sigval){0}), 0);
        EXPECT_ERRNO(sigqueue(getpid(), SIGRTMIN, (union sigval){0}), EAGAIN);
    }
    EXPECT_EXIT(pid, 0);
}

static void on_timer(int signal)
{
    signal_count++;
}

CASE(handler_interrupts_a_busy_loop)
{
    tap_handle(SIGALRM, on_timer, 0);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    MUST(setitimer(ITIMER_REAL, &timer, NULL));
    volatile unsigned long turns = 0;
    while (signal_count == 0)
        turns++;
    EXPECT_EQ(signal_count, 1);
}

CASE(restart_after_stop)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        char byte;
        EXPECT_EQ(read(fds[0], &byte, 1), 1);
    }
    tap_until_asleep(pid);
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    kill(pid, SIGCONT);
    tap_until_asleep(pid);
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(nanosleep_interrupted_tells_the_rest)
{
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        struct timespec span = {100, 0};
        struct timespec left = {0, 0};
        EXPECT_ERRNO(nanosleep(&span, &left), EINTR);
        EXPECT(left.tv_sec >= 85 && left.tv_sec <= 99);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}
