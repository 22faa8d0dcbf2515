/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace's debug registers: addresses whose writes or whose code stop the tracee. */
#include "tap.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

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
static volatile struct {
    long before, watched, after;
} watch;

#define DR(n_) ((long)offsetof(struct user, u_debugreg[n_]))
#define DR7_WRITES_8(n_) (1ul << 2 * (n_) | 9ul << (16 + 4 * (n_)))
#define DR7_WRITES_4(n_) (1ul << 2 * (n_) | 13ul << (16 + 4 * (n_)))
#define DR7_RUNS(n_) (1ul << 2 * (n_))

static long peek_debug(pid_t pid, int nr)
{
    errno = 0;
    long value = ptrace(PTRACE_PEEKUSER, pid, DR(nr), NULL);
    return errno ? -1 : value;
}

static __attribute__((noinline)) void stepped_on(void)
{
    __asm__ volatile("");
    watch.after++;
}

/* Some virtual machines keep no debug registers: nothing can be asserted there. */
static bool has_debug_registers(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        trace_me();
        watch.watched = 7;
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return false;
    ptrace(PTRACE_POKEUSER, pid, DR(3), &watch.watched);
    ptrace(PTRACE_POKEUSER, pid, DR(7), DR7_WRITES_8(3));
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    waitpid(pid, &status, 0);
    if (!WIFSTOPPED(status))
        return false;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return true;
}

CASE(debug_registers_watch_writes)
{
    if (!has_debug_registers())
        return;
    siginfo_t info;
    CHILD(pid)
    {
        trace_me();
        watch.before = 1;
        watch.watched = 2;
        watch.after = 3;
        ((volatile char *)&watch.watched)[7] = 1;
        ((volatile char *)&watch.watched)[3] = 1;
        _exit(watch.watched == 0x0100000001000002 ? 0 : 1);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(7), 0), 0);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(1), &watch.watched), 0);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(7), DR7_WRITES_8(1)), 0);
    EXPECT_EQ(peek_debug(pid, 1), (long)&watch.watched);
    EXPECT_EQ(peek_debug(pid, 7), DR7_WRITES_8(1));
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP);
    EXPECT_EQ(peek_debug(pid, 6) & 15, 2);
    EXPECT_EQ(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info), 0);
    EXPECT_EQ(info.si_code, 4); /* TRAP_HWBKPT */
    EXPECT_EQ(ptrace(PTRACE_PEEKDATA, pid, &watch.watched, NULL), 2);
    EXPECT_EQ(ptrace(PTRACE_PEEKDATA, pid, &watch.after, NULL), 0);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(6), 0), 0);
    EXPECT_EQ(peek_debug(pid, 6) & 15, 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP);
    EXPECT_EQ(peek_debug(pid, 6) & 15, 2);
    EXPECT_EQ(ptrace(PTRACE_PEEKDATA, pid, &watch.after, NULL), 3);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(7), DR7_WRITES_8(1) & ~4ul), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(debug_registers_stop_before_code)
{
    if (!has_debug_registers())
        return;
    struct user_regs_struct regs;
    CHILD(pid)
    {
        trace_me();
        stepped_on();
        stepped_on();
        _exit((int)watch.after);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(0), stepped_on), 0);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(7), DR7_RUNS(0)), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        EXPECT_STOP(pid, SIGTRAP);
        MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
        EXPECT_EQ(regs.rip, (unsigned long)stepped_on);
        EXPECT_EQ(peek_debug(pid, 6) & 15, 1);
        EXPECT_EQ(ptrace(PTRACE_PEEKDATA, pid, &watch.after, NULL), i);
    }
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 2);
}

/* A step and a watched write at once are one stop; a child and a new program have none. */
CASE(debug_registers_and_steps)
{
    CHILD(pid)
    {
        trace_me();
        pid_t child = fork();
        if (child == 0) {
            watch.watched = 9;
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        if (status)
            _exit(9);
        char *argv[] = {"true", NULL}, *envp[] = {NULL};
        execve("/bin/true", argv, envp);
        _exit(8);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(2), &watch.watched), 0);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(7), DR7_WRITES_4(2)), 0);
    EXPECT_EQ(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP);
    EXPECT_EQ(peek_debug(pid, 6) & 15, 0);
    EXPECT_EQ(peek_debug(pid, 6) & 0x4000, 0x4000);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGCHLD);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_STOP(pid, SIGTRAP); /* execve's */
    EXPECT_EQ(peek_debug(pid, 7) & 0xff, 0);
    EXPECT_EQ(peek_debug(pid, 2), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(debug_registers_errors)
{
    CHILD(pid)
    {
        trace_me();
        _exit(0);
    }
    EXPECT_STOP(pid, SIGSTOP);
    EXPECT_EQ(peek_debug(pid, 0), 0);
    EXPECT_EQ(peek_debug(pid, 7), 0);
    EXPECT_EQ(peek_debug(pid, 4), 0);
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, DR(4), 0), EIO);
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, DR(5), 1), EIO);
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, DR(0), -1l), EINVAL);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(0), (char *)&watch.watched + 1), 0);
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, DR(7), DR7_WRITES_8(0)), EINVAL); /* not aligned */
    EXPECT_EQ(peek_debug(pid, 7) & 0xff, 0);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(0), &watch.watched), 0);
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, DR(7), 1 | 10ul << 16),
                 EINVAL); /* input and output */
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, DR(7), 1 | 12ul << 16),
                 EINVAL); /* code has length 1 */
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(7), 1 | 13ul << 16 | 0x2000), 0);
    EXPECT_EQ(peek_debug(pid, 7), 1 | 13ul << 16 | 0x2000);
    EXPECT_EQ(peek_debug(pid, 6), 0xffff0ff0);
    EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, pid, DR(0), (char *)&watch.watched + 2), EINVAL);
    EXPECT_EQ(peek_debug(pid, 0), (long)&watch.watched);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, DR(7), 0), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    EXPECT_EXIT(pid, 0);
}
