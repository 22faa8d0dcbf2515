/* SPDX-License-Identifier: Apache-2.0 */
/* wait4 and waitid: every selector and option, stops and continues, SIGCHLD. */
#include "tap.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t signal_count;
static siginfo_t last_info;

static void on_signal(int signal)
{
    signal_count++;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
    signal_count++;
    last_info = *info;
}

static pid_t child_that_exits(int code)
{
    pid_t pid = MUST(fork());
    if (pid == 0)
        _exit(code);
    return pid;
}

static pid_t child_that_pauses(void)
{
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    return pid;
}

CASE(no_children)
{
    int status;
    EXPECT_ERRNO(waitpid(-1, &status, 0), ECHILD);
    EXPECT_ERRNO(waitpid(-1, &status, WNOHANG), ECHILD);
    EXPECT_ERRNO(waitpid(getpid(), &status, 0), ECHILD);
    EXPECT_ERRNO(waitpid(1, &status, 0), ECHILD);
    siginfo_t info;
    EXPECT_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
}

CASE(any_child)
{
    pid_t pid = child_that_exits(3);
    int status = 0;
    EXPECT_EQ(wait(&status), pid);
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 3);
    EXPECT_ERRNO(wait(&status), ECHILD);
}

CASE(one_child_of_two)
{
    pid_t a = child_that_exits(1);
    pid_t b = child_that_exits(2);
    int status = 0;
    EXPECT_EQ(waitpid(b, &status, 0), b);
    EXPECT_EQ(WEXITSTATUS(status), 2);
    EXPECT_EQ(waitpid(a, &status, 0), a);
    EXPECT_EQ(WEXITSTATUS(status), 1);
}

CASE(nohang)
{
    pid_t pid = child_that_pauses();
    int status = 77;
    EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
    EXPECT_EQ(status, 77);
    kill(pid, SIGKILL);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

CASE(by_group)
{
    pid_t pid = child_that_pauses();
    MUST(setpgid(pid, pid));
    EXPECT_ERRNO(waitpid(0, NULL, WNOHANG), ECHILD);
    EXPECT_EQ(waitpid(-pid, NULL, WNOHANG), 0);
    kill(-pid, SIGKILL);
    EXPECT_EQ(waitpid(-pid, NULL, 0), pid);
    pid = child_that_exits(0);
    EXPECT_EQ(waitpid(0, NULL, 0), pid);
}

CASE(stopped_and_continued)
{
    pid_t pid = child_that_pauses();
    int status = 0;
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT(WIFSTOPPED(status));
    EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
    kill(pid, SIGCONT);
    EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
    EXPECT(WIFCONTINUED(status));
    EXPECT_EQ(status, 0xffff);
    EXPECT_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(stop_signals)
{
    int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};
    for (int i = 0; i < 3; i++) {
        pid_t pid = child_that_pauses();
        int status = 0;
        tap_until_asleep(pid);
        kill(pid, stops[i]);
        EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
        EXPECT_EQ(status, stops[i] << 8 | 0x7f);
        kill(pid, SIGKILL);
        EXPECT_KILLED(pid, SIGKILL);
    }
}

CASE(a_stopped_child_can_be_killed)
{
    pid_t pid = child_that_pauses();
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    kill(pid, SIGTERM);
    EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGCONT);
    EXPECT_KILLED(pid, SIGTERM);
}

CASE(waitid_fields)
{
    pid_t pid = child_that_exits(9);
    siginfo_t info;
    memset(&info, 0xee, sizeof info);
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    EXPECT_EQ(info.si_signo, SIGCHLD);
    EXPECT_EQ(info.si_errno, 0);
    EXPECT_EQ(info.si_code, CLD_EXITED);
    EXPECT_EQ(info.si_pid, pid);
    EXPECT_EQ(info.si_uid, 0);
    EXPECT_EQ(info.si_status, 9);
    pid = child_that_pauses();
    kill(pid, SIGKILL);
    EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED), 0);
    EXPECT_EQ(info.si_code, CLD_KILLED);
    EXPECT_EQ(info.si_status, SIGKILL);
}

CASE(waitid_stop_and_continue)
{
    pid_t pid = child_that_pauses();
    siginfo_t info = {0};
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
    EXPECT_EQ(info.si_code, CLD_STOPPED);
    EXPECT_EQ(info.si_status, SIGSTOP);
    kill(pid, SIGCONT);
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WCONTINUED), 0);
    EXPECT_EQ(info.si_code, CLD_CONTINUED);
    EXPECT_EQ(info.si_status, SIGCONT);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(waitid_nowait_leaves_it)
{
    pid_t pid = child_that_exits(4);
    siginfo_t info = {0};
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(info.si_status, 4);
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    EXPECT_EXIT(pid, 4);
}

CASE(waitid_nohang_clears)
{
    pid_t pid = child_that_pauses();
    siginfo_t info;
    memset(&info, 0xee, sizeof info);
    EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
    EXPECT_EQ(info.si_pid, 0);
    EXPECT_EQ(info.si_signo, 0);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(waitid_errors)
{
    siginfo_t info;
    EXPECT_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
    EXPECT_ERRNO(waitid(P_ALL, 0, &info, WNOHANG), EINVAL);
    EXPECT_ERRNO(waitid(99, 0, &info, WEXITED), EINVAL);
    EXPECT_ERRNO(waitid(P_PID, 0, &info, WEXITED), EINVAL);
    EXPECT_ERRNO(waitid(P_PGID, -1, &info, WEXITED), EINVAL);
    EXPECT_ERRNO(waitid(P_PIDFD, 999, &info, WEXITED), EBADF);
    EXPECT_ERRNO(waitpid(-1, NULL, 0x10000), EINVAL);
    EXPECT_ERRNO(waitpid((pid_t)0x80000000, NULL, 0), ESRCH);
    pid_t pid = child_that_exits(0);
    EXPECT_ERRNO(syscall(SYS_wait4, pid, (void *)8, 0, NULL), EFAULT);
}

CASE(waitid_by_group)
{
    pid_t pid = child_that_pauses();
    MUST(setpgid(pid, pid));
    siginfo_t info = {0};
    EXPECT_EQ(waitid(P_PGID, (id_t)pid, &info, WEXITED | WNOHANG), 0);
    kill(pid, SIGKILL);
    EXPECT_EQ(waitid(P_PGID, (id_t)pid, &info, WEXITED), 0);
    EXPECT_EQ(info.si_pid, pid);
}

CASE(resource_usage)
{
    pid_t pid = MUST(fork());
    if (pid == 0) {
        volatile unsigned long turns = 0;
        long start = tap_now_ms();
        while (tap_now_ms() - start < 60)
            turns++;
        _exit(0);
    }
    struct rusage usage;
    memset(&usage, 0xee, sizeof usage);
    int status;
    EXPECT_EQ(wait4(pid, &status, 0, &usage), pid);
    long used_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                   usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    EXPECT(used_us > 0 && used_us < 5000000);
    struct rusage children;
    EXPECT_EQ(getrusage(RUSAGE_CHILDREN, &children), 0);
    EXPECT(children.ru_utime.tv_sec * 1000000 + children.ru_utime.tv_usec +
               children.ru_stime.tv_sec * 1000000 + children.ru_stime.tv_usec >= used_us);
}

CASE(waiter_sleeps)
{
    struct gate gate;
    gate_init(&gate);
    pid_t parent = getpid();
    CHILD(pid)
    {
        tap_until_asleep(parent);
        _exit(2);
    }
    EXPECT_EXIT(pid, 2);
}

CASE(interrupted_and_restarted)
{
    pid_t self = getpid();
    tap_handle(SIGUSR1, on_signal, 0);
    CHILD(pid)
    {
        tap_until_asleep(self);
        kill(self, SIGUSR1);
        for (;;)
            pause();
    }
    EXPECT_ERRNO(waitpid(pid, NULL, 0), EINTR);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
    tap_handle(SIGUSR1, on_signal, SA_RESTART);
    CHILD(second)
    {
        tap_until_asleep(self);
        kill(self, SIGUSR1);
        _exit(6);
    }
    int status = 0;
    EXPECT_EQ(waitpid(second, &status, 0), second);
    EXPECT_EQ(WEXITSTATUS(status), 6);
    EXPECT_EQ(signal_count, 2);
}

CASE(sigchld_info)
{
    tap_handle_info(SIGCHLD, on_info, SA_RESTART);
    pid_t pid = child_that_exits(11);
    EXPECT_EXIT(pid, 11);
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_code, CLD_EXITED);
    EXPECT_EQ(last_info.si_pid, pid);
    EXPECT_EQ(last_info.si_status, 11);
}

CASE(sigchld_for_stops)
{
    tap_handle_info(SIGCHLD, on_info, SA_RESTART);
    pid_t pid = child_that_pauses();
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_code, CLD_STOPPED);
    EXPECT_EQ(last_info.si_status, SIGSTOP);
    kill(pid, SIGCONT);
    EXPECT_EQ(waitpid(pid, NULL, WCONTINUED), pid);
    while (signal_count < 2) /* sent when the child runs, so maybe after the wait */
        tap_sleep_ms(1);
    EXPECT_EQ(signal_count, 2);
    EXPECT_EQ(last_info.si_code, CLD_CONTINUED);
    tap_handle_info(SIGCHLD, on_info, SA_RESTART | SA_NOCLDSTOP);
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    EXPECT_EQ(signal_count, 2);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
    EXPECT_EQ(signal_count, 3);
    EXPECT_EQ(last_info.si_code, CLD_KILLED);
}

CASE(ignored_sigchld_reaps)
{
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = child_that_exits(1);
    EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
    signal(SIGCHLD, SIG_DFL);
    pid = child_that_exits(1);
    EXPECT_EXIT(pid, 1);
}

CASE(nocldwait_reaps)
{
    tap_handle(SIGCHLD, on_signal, SA_NOCLDWAIT | SA_RESTART);
    pid_t pid = child_that_exits(1);
    EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
    while (signal_count == 0)
        tap_sleep_ms(1);
    EXPECT_EQ(signal_count, 1);
}

CASE(core_flag)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    pid_t pid = child_that_pauses();
    tap_until_asleep(pid);
    kill(pid, SIGABRT);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

CASE(zombie_can_be_signalled)
{
    pid_t pid = child_that_exits(0);
    siginfo_t info;
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(kill(pid, 0), 0);
    EXPECT_EQ(kill(pid, SIGTERM), 0);
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(kill(pid, 0), ESRCH);
}
