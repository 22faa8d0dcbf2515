/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace: stops, registers, memory, system call stops, options, attaching. */
#include "tap.h"

#include <elf.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static volatile long shared_word = 0x1234;

static void expect_stop(long line, pid_t pid, int want)
{
    int status = 0;
    if (tap_equal(line, "waitpid", waitpid(pid, &status, __WALL), pid))
        tap_equal(line, "stop", WIFSTOPPED(status) ? status >> 8 : -status, want);
}

#define EXPECT_STOP(pid_, want_) expect_stop(__LINE__, pid_, want_)

static void trace_me(void)
{
    MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    raise(SIGSTOP);
}

CASE(traced_child_stops_and_goes_on)
{
    CHILD(pid)
    {
        trace_me();
        _exit(3);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 3);
}

CASE(memory_can_be_read_and_written)
{
    CHILD(pid)
    {
        trace_me();
        _exit(shared_word == 0x5678 ? 0 : 1);
    }
    EXPECT_STOP(pid, SIGSTOP);
    errno = 0;
    EXPECT_EQ(ptrace(PTRACE_PEEKDATA, pid, &shared_word, NULL), 0x1234);
    EXPECT_EQ(ptrace(PTRACE_POKEDATA, pid, &shared_word, 0x5678), 0);
    EXPECT_ERRNO(ptrace(PTRACE_PEEKDATA, pid, 8, NULL), EIO);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(shared_word, 0x1234);
}

CASE(system_call_stops)
{
    CHILD(pid)
    {
        trace_me();
        syscall(SYS_getppid);
        syscall(SYS_exit, 5);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD), 0);
    struct user_regs_struct regs;
    int seen = 0;
    for (int i = 0; i < 20 && seen < 2; i++) {
        MUST(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        EXPECT_STOP(pid, SIGTRAP | 0x80);
        MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
        if (regs.orig_rax != SYS_getppid)
            continue;
        EXPECT_EQ((long)regs.rax, seen ? getpid() : -ENOSYS);
        seen++;
    }
    EXPECT_EQ(seen, 2);
    regs.rax = 4711;
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 5);
}

CASE(result_of_a_call_can_be_changed)
{
    CHILD(pid)
    {
        trace_me();
        _exit(syscall(SYS_getppid) == 4711 ? 0 : 1);
    }
    EXPECT_STOP(pid, SIGSTOP);
    struct user_regs_struct regs;
    for (int stops = 0; stops < 2;) {
        MUST(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        EXPECT_STOP(pid, SIGTRAP);
        MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
        stops += regs.orig_rax == SYS_getppid;
    }
    regs.rax = 4711;
    EXPECT_EQ(ptrace(PTRACE_SETREGS, pid, NULL, &regs), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(signals_stop_first)
{
    CHILD(pid)
    {
        trace_me();
        raise(SIGUSR1);
        raise(SIGUSR2);
        _exit(7);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGUSR1);
    siginfo_t info = {0};
    EXPECT_EQ(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info), 0);
    EXPECT_EQ(info.si_signo, SIGUSR1);
    EXPECT_EQ(info.si_pid, pid);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, 0), 0); /* suppressed */
    EXPECT_STOP(pid, SIGUSR2);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, SIGUSR2), 0);
    EXPECT_KILLED(pid, SIGUSR2);
}

CASE(single_steps)
{
    CHILD(pid)
    {
        trace_me();
        _exit(0);
    }
    EXPECT_STOP(pid, SIGSTOP);
    struct user_regs_struct before, after;
    MUST(ptrace(PTRACE_GETREGS, pid, NULL, &before));
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        EXPECT_STOP(pid, SIGTRAP);
    }
    MUST(ptrace(PTRACE_GETREGS, pid, NULL, &after));
    EXPECT(before.rip != after.rip);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(attach_and_detach)
{
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    tap_until_asleep(pid);
    EXPECT_EQ(ptrace(PTRACE_ATTACH, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_ERRNO(ptrace(PTRACE_ATTACH, pid, NULL, NULL), EPERM);
    EXPECT_EQ(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    kill(pid, SIGTERM);
    EXPECT_KILLED(pid, SIGTERM);
}

CASE(seize_and_interrupt)
{
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    tap_until_asleep(pid);
    EXPECT_EQ(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
    EXPECT_EQ(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_STOP << 8);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(register_sets)
{
    CHILD(pid)
    {
        trace_me();
        _exit(0);
    }
    EXPECT_STOP(pid, SIGSTOP);
    struct user_regs_struct a, b;
    struct iovec iov = {&b, sizeof b};
    EXPECT_EQ(ptrace(PTRACE_GETREGS, pid, NULL, &a), 0);
    EXPECT_EQ(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov), 0);
    EXPECT_EQ(iov.iov_len, sizeof b);
    EXPECT_MEM(&a, &b, sizeof a);
    struct user_fpregs_struct fp;
    EXPECT_EQ(ptrace(PTRACE_GETFPREGS, pid, NULL, &fp), 0);
    EXPECT_EQ(fp.mxcsr & 0x1f80, 0x1f80);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(exec_stops)
{
    CHILD(pid)
    {
        trace_me();
        execl("/bin/true", "true", NULL);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXEC), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_EXEC << 8);
    unsigned long message = 0;
    EXPECT_EQ(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message), 0);
    EXPECT_EQ(message, pid);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(fork_is_followed)
{
    CHILD(pid)
    {
        trace_me();
        pid_t child = fork();
        if (child == 0)
            _exit(4);
        int status = 0;
        waitpid(child, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEFORK), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_FORK << 8);
    unsigned long child = 0;
    EXPECT_EQ(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child), 0);
    EXPECT_STOP((pid_t)child, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, (pid_t)child, NULL, NULL), 0);
    EXPECT_EXIT((pid_t)child, 4);
    EXPECT_STOP(pid, SIGCHLD);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 4);
}

CASE(errors)
{
    EXPECT_ERRNO(ptrace(PTRACE_CONT, 0x3fffff, NULL, NULL), ESRCH);
    EXPECT_ERRNO(ptrace(PTRACE_ATTACH, getpid(), NULL, NULL), EPERM);
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    EXPECT_ERRNO(ptrace(PTRACE_CONT, pid, NULL, NULL), ESRCH);
    CHILD(user)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(ptrace(PTRACE_ATTACH, pid, NULL, NULL), EPERM);
    }
    EXPECT_EXIT(user, 0);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}
