/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace: stops, registers, memory, system call stops, options, attaching. */
#include "tap.h"

#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
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

CASE(event_options)
{
    CHILD(pid)
    {
        trace_me();
        pid_t child = vfork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
        _exit(6);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_ERRNO(ptrace(PTRACE_SETOPTIONS, pid, NULL, 1u << 30), EINVAL);
    EXPECT_EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL,
                     PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT),
              0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_VFORK << 8);
    unsigned long child = 0, code = 0;
    EXPECT_EQ(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child), 0);
    EXPECT_STOP((pid_t)child, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, (pid_t)child, NULL, NULL), 0);
    EXPECT_STOP((pid_t)child, SIGTRAP | PTRACE_EVENT_EXIT << 8);
    EXPECT_EQ(ptrace(PTRACE_CONT, (pid_t)child, NULL, NULL), 0);
    EXPECT_EXIT((pid_t)child, 0);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_VFORK_DONE << 8);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGCHLD);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_EXIT << 8);
    EXPECT_EQ(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &code), 0);
    EXPECT_EQ(code, 6 << 8);
    siginfo_t info = {0};
    EXPECT_EQ(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info), 0);
    EXPECT_EQ(info.si_code, SIGTRAP | PTRACE_EVENT_EXIT << 8);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 6);
}

CASE(tracees_die_with_their_tracer)
{
    int fds[2];
    char byte;
    MUST(pipe(fds));
    CHILD(tracer)
    {
        CHILD(pid)
        {
            close(fds[0]);
            for (;;)
                pause();
        }
        MUST(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_EXITKILL));
        close(fds[0]);
        close(fds[1]);
        _exit(0);
    }
    close(fds[1]);
    EXPECT_EXIT(tracer, 0);
    EXPECT_EQ(read(fds[0], &byte, 1), 0); /* the last writer is gone */
}

CASE(detaching_lets_go_with_a_signal)
{
    CHILD(pid)
    {
        trace_me();
        raise(SIGUSR1);
        for (;;)
            pause();
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGUSR1);
    EXPECT_ERRNO(ptrace(PTRACE_DETACH, pid, NULL, 99), EIO);
    EXPECT_EQ(ptrace(PTRACE_DETACH, pid, NULL, SIGUSR2), 0);
    EXPECT_ERRNO(ptrace(PTRACE_CONT, pid, NULL, NULL), ESRCH);
    EXPECT_KILLED(pid, SIGUSR2);
}

CASE(group_stops_of_the_seized)
{
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    tap_until_asleep(pid);
    MUST(ptrace(PTRACE_SEIZE, pid, NULL, NULL));
    kill(pid, SIGSTOP);
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, SIGSTOP), 0);
    EXPECT_STOP(pid, SIGSTOP | PTRACE_EVENT_STOP << 8);
    siginfo_t info;
    EXPECT_EQ(ptrace(PTRACE_LISTEN, pid, NULL, NULL), 0);
    EXPECT_EQ(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGSTOP | PTRACE_EVENT_STOP << 8); /* told again */
    EXPECT_EQ(ptrace(PTRACE_LISTEN, pid, NULL, NULL), 0);
    EXPECT_ERRNO(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info), ESRCH); /* it listens */
    kill(pid, SIGCONT);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_STOP << 8);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGCONT);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, SIGCONT), 0);
    EXPECT_EQ(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP | PTRACE_EVENT_STOP << 8);
    EXPECT_ERRNO(ptrace(PTRACE_LISTEN, 0x3fffff, NULL, NULL), ESRCH);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(calls_can_be_changed_and_taken_away)
{
    CHILD(pid)
    {
        trace_me();
        long a = syscall(SYS_getppid);
        long b = syscall(SYS_getppid);
        _exit(a == getpid() && b == -1 && errno == 77 ? 0 : 1);
    }
    EXPECT_STOP(pid, SIGSTOP);
    struct user_regs_struct regs;
    int seen = 0;
    while (seen < 2) {
        MUST(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        EXPECT_STOP(pid, SIGTRAP);
        MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
        if (regs.orig_rax != SYS_getppid)
            continue;
        regs.orig_rax = seen ? -1UL : SYS_getpid; /* another one; none at all */
        MUST(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
        MUST(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        EXPECT_STOP(pid, SIGTRAP);
        if (seen++) {
            MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
            EXPECT_EQ((long)regs.rax, -ENOSYS);
            regs.rax = (unsigned long)-77L;
            MUST(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
        }
    }
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(what_a_call_was)
{
    CHILD(pid)
    {
        trace_me();
        syscall(SYS_kill, -1, 12345);
        _exit(0);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD), 0);
    struct {
        unsigned char op, pad[3];
        unsigned arch;
        unsigned long ip, sp, words[8];
    } info = {0};
    EXPECT_EQ(ptrace((enum __ptrace_request)0x420e, pid, sizeof info, &info), 24);
    EXPECT_EQ(info.op, 0);
    EXPECT_EQ(info.arch, 0xc000003e);
    for (int i = 0; i < 30; i++) {
        MUST(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        EXPECT_STOP(pid, SIGTRAP | 0x80);
        long size = ptrace((enum __ptrace_request)0x420e, pid, sizeof info, &info);
        if (info.op != 1 || info.words[0] != SYS_kill)
            continue;
        EXPECT_EQ(size, 80);
        EXPECT_EQ((int)info.words[1], -1);
        EXPECT_EQ(info.words[2], 12345);
        MUST(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        EXPECT_STOP(pid, SIGTRAP | 0x80);
        EXPECT_EQ(ptrace((enum __ptrace_request)0x420e, pid, sizeof info, &info), 33);
        EXPECT_EQ(info.op, 2);
        EXPECT_EQ(info.words[0], -EINVAL);
        EXPECT_EQ(info.words[1] & 0xff, 1);
        break;
    }
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(user_area)
{
    CHILD(pid)
    {
        trace_me();
        _exit(0);
    }
    EXPECT_STOP(pid, SIGSTOP);
    struct user_regs_struct regs;
    MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
    long rip = (long)offsetof(struct user, regs.rip);
    errno = 0;
    EXPECT_EQ(ptrace(PTRACE_PEEKUSER, pid, rip, NULL), regs.rip);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, rip, regs.rip), 0);
    EXPECT_ERRNO(ptrace(PTRACE_PEEKUSER, pid, 1, NULL), EIO);
    EXPECT_ERRNO(ptrace(PTRACE_PEEKUSER, pid, sizeof(struct user) + 16, NULL), EIO);
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, 3, 0), EIO);
    errno = 0;
    EXPECT_EQ(ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), NULL), 0);
    EXPECT_EQ(errno, 0);
    struct user_regs_struct bad = regs;
    bad.cs = 0;
    EXPECT_ERRNO(ptrace(PTRACE_SETREGS, pid, NULL, &bad), EIO);
    bad = regs;
    bad.fs_base = 1ull << 63;
    EXPECT_ERRNO(ptrace(PTRACE_SETREGS, pid, NULL, &bad), EIO);
    EXPECT_ERRNO(ptrace(PTRACE_GETREGS, pid, NULL, 8), EFAULT);
    EXPECT_ERRNO(ptrace(PTRACE_CONT, pid, NULL, 99), EIO);
    EXPECT_ERRNO(ptrace((enum __ptrace_request)9999, pid, NULL, NULL), EIO);
    EXPECT_ERRNO(ptrace(PTRACE_SEIZE, pid, 1, NULL), EIO);
    EXPECT_ERRNO(ptrace(PTRACE_SEIZE, pid, NULL, NULL), EPERM);
    EXPECT_ERRNO(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), EIO); /* it was not seized */
    unsigned long mask = 0, usr1 = 1ul << (SIGUSR1 - 1);
    EXPECT_EQ(ptrace(PTRACE_GETSIGMASK, pid, 8, &mask), 0);
    EXPECT_EQ(mask & usr1, 0);
    EXPECT_EQ(ptrace(PTRACE_SETSIGMASK, pid, 8, &usr1), 0);
    EXPECT_ERRNO(ptrace(PTRACE_GETSIGMASK, pid, 4, &mask), EINVAL);
    kill(pid, SIGUSR1); /* blocked now */
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(pending_signals_are_shown)
{
    struct {
        unsigned long offset;
        unsigned int flags;
        int count;
    } ask = {0, 0, 10};
    static siginfo_t infos[10];
    CHILD(pid)
    {
        sigset_t set;
        sigfillset(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        union sigval value = {.sival_int = 7};
        sigqueue(getpid(), SIGRTMIN, value);
        kill(getpid(), SIGUSR1);
        syscall(SYS_tkill, getpid(), SIGUSR2);
        trace_me();
    }
    expect_stop(__LINE__, pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_PEEKSIGINFO, pid, &ask, infos), 1);
    EXPECT_EQ(infos[0].si_signo, SIGUSR2);
    ask.flags = 1;
    EXPECT_EQ(ptrace(PTRACE_PEEKSIGINFO, pid, &ask, infos), 2);
    EXPECT_EQ(infos[0].si_signo, SIGRTMIN);
    EXPECT_EQ(infos[0].si_value.sival_int, 7);
    EXPECT_EQ(infos[1].si_signo, SIGUSR1);
    ask.offset = 1;
    EXPECT_EQ(ptrace(PTRACE_PEEKSIGINFO, pid, &ask, infos), 1);
    EXPECT_EQ(infos[0].si_signo, SIGUSR1);
    ask.offset = 5;
    EXPECT_EQ(ptrace(PTRACE_PEEKSIGINFO, pid, &ask, infos), 0);
    ask.flags = 2;
    EXPECT_ERRNO(ptrace(PTRACE_PEEKSIGINFO, pid, &ask, infos), EINVAL);
    ask.flags = 0, ask.count = -1;
    EXPECT_ERRNO(ptrace(PTRACE_PEEKSIGINFO, pid, &ask, infos), EINVAL);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(filters_are_shown)
{
    struct sock_filter rules[2] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                                   {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    struct sock_fprog two = {2, rules}, one = {1, rules + 1};
    struct sock_filter got[8];
    CHILD(pid)
    {
        MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &two));
        MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &one));
        trace_me();
    }
    EXPECT_STOP(pid, SIGSTOP);
    long count = 0; /* of filters, some perhaps from outside */
    while (ptrace(PTRACE_SECCOMP_GET_FILTER, pid, count, NULL) > 0)
        count++;
    EXPECT(count >= 2);
    EXPECT_ERRNO(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, count, NULL), ENOENT);
    EXPECT_EQ(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, count - 2, got), 2);
    EXPECT_MEM(got, rules, 2 * sizeof *got);
    EXPECT_EQ(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, count - 1, got), 1);
    EXPECT_MEM(got, rules + 1, sizeof *got);
    EXPECT_ERRNO(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, count - 1, (void *)8), EFAULT);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(waits_see_tracees)
{
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    tap_until_asleep(pid);
    CHILD(tracer)
    {
        MUST(ptrace(PTRACE_ATTACH, pid, NULL, NULL)); /* a sibling */
        EXPECT_STOP(pid, SIGSTOP);
        siginfo_t info = {0};
        EXPECT_EQ(waitpid(-1, NULL, WNOHANG), 0);
        MUST(ptrace(PTRACE_CONT, pid, NULL, NULL));
        kill(pid, SIGUSR1);
        EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
        EXPECT_EQ(info.si_code, CLD_TRAPPED);
        EXPECT_EQ(info.si_status, SIGUSR1);
        EXPECT_EQ(waitid(P_ALL, 0, &info, WSTOPPED), 0);
        EXPECT_EQ(info.si_pid, pid);
        MUST(ptrace(PTRACE_CONT, pid, NULL, SIGUSR1));
        EXPECT_KILLED(pid, SIGUSR1); /* the tracer hears first */
        EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
    }
    EXPECT_EXIT(tracer, 0);
    EXPECT_KILLED(pid, SIGUSR1);
}

/* A tracer's bad registers are refused, and the tracee goes on with its own. */
CASE(bad_registers)
{
    static const unsigned long selectors[] = {0, 0x10, 0x18, 0x30, 0x7000};
    static _Alignas(64) unsigned char good[8192], bad[8192];
    struct user_regs_struct regs, changed;
    CHILD(pid)
    {
        trace_me();
        _exit(5);
    }
    EXPECT_STOP(pid, SIGSTOP);
    struct iovec iov = {good, sizeof good};
    MUST(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &iov));
    size_t size = iov.iov_len;
    for (size_t word = 64; word < 72; word++) { /* of the header: no feature of bit 63, nothing reserved */
        memcpy(bad, good, size);
        bad[word * 8 + 7] |= 0x80;
        iov = (struct iovec){bad, size};
        EXPECT_ERRNO(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov), EINVAL);
    }
    memcpy(bad, good, size);
    bad[27] = 0xff; /* mxcsr */
    iov = (struct iovec){bad, size};
    EXPECT_ERRNO(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov), EINVAL);
    iov = (struct iovec){good, size};
    EXPECT_EQ(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov), 0);
    MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
    for (size_t i = 0; i < sizeof selectors / sizeof selectors[0]; i++) {
        changed = regs;
        changed.cs = selectors[i];
        EXPECT_ERRNO(ptrace(PTRACE_SETREGS, pid, NULL, &changed), EIO);
        changed = regs;
        changed.ss = selectors[i];
        EXPECT_ERRNO(ptrace(PTRACE_SETREGS, pid, NULL, &changed), EIO);
    }
    changed = regs;
    changed.fs_base = 0x1234567800000000;
    EXPECT_ERRNO(ptrace(PTRACE_SETREGS, pid, NULL, &changed), EIO);
    EXPECT_EQ(ptrace(PTRACE_SETREGS, pid, NULL, &regs), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 5);
}
