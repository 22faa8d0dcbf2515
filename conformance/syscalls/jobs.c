/* SPDX-License-Identifier: Apache-2.0 */
/* Process groups and sessions without a terminal, orphaned groups, stop and continue. */
#include "tap.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

CASE(own_group)
{
    CHILD(pid)
    {
        EXPECT(getpgrp() != getpid());
        EXPECT_EQ(setpgid(0, 0), 0);
        EXPECT_EQ(getpgrp(), getpid());
        EXPECT_EQ(getpgid(0), getpid());
        EXPECT_EQ(syscall(SYS_getpgrp), getpid());
    }
    EXPECT_EXIT(pid, 0);
}

CASE(group_of_a_child)
{
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    EXPECT_EQ(setpgid(pid, pid), 0);
    EXPECT_EQ(getpgid(pid), pid);
    EXPECT_EQ(setpgid(pid, getpgrp()), 0);
    EXPECT_EQ(getpgid(pid), getpgrp());
    EXPECT_ERRNO(setpgid(pid, 0x3fffff), EPERM);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
    EXPECT_ERRNO(setpgid(pid, pid), ESRCH);
}

CASE(setpgid_errors)
{
    EXPECT_ERRNO(setpgid(0, -1), EINVAL);
    EXPECT_ERRNO(setpgid(-1, 0), EINVAL);
    EXPECT_ERRNO(setpgid(getppid(), 0), ESRCH);
    EXPECT_ERRNO(getpgid(0x3fffff), ESRCH);
    EXPECT_ERRNO(getsid(0x3fffff), ESRCH);
    EXPECT_ERRNO(getpgid(-1), ESRCH);
}

CASE(group_of_a_child_after_exec)
{
    int fds[2];
    MUST(pipe2(fds, 0));
    CHILD(pid)
    {
        dup2(fds[1], 1);
        execl("/bin/sh", "sh", "-c", "echo; read line < /dev/zero; exit 0", NULL);
    }
    char byte;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_ERRNO(setpgid(pid, pid), EACCES);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(new_session)
{
    CHILD(pid)
    {
        EXPECT_EQ(setsid(), getpid());
        EXPECT_EQ(getsid(0), getpid());
        EXPECT_EQ(getpgrp(), getpid());
        EXPECT_ERRNO(setsid(), EPERM);
        EXPECT_ERRNO(setpgid(0, 0) == 0 ? setpgid(0, getppid()) : -1, EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(group_leader_cannot_start_a_session)
{
    CHILD(pid)
    {
        MUST(setpgid(0, 0));
        EXPECT_ERRNO(setsid(), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(group_in_another_session)
{
    CHILD(leader)
    {
        MUST(setsid());
        CHILD(member)
        {
            for (;;)
                pause();
        }
        MUST(setpgid(member, member));
        CHILD(other)
        {
            MUST(setsid());
            EXPECT_ERRNO(setpgid(0, member), EPERM);
        }
        EXPECT_EXIT(other, 0);
        kill(member, SIGKILL);
        EXPECT_KILLED(member, SIGKILL);
    }
    EXPECT_EXIT(leader, 0);
}

CASE(orphaned_group_ignores_terminal_stops)
{
    CHILD(pid)
    {
        MUST(setsid()); /* its group has no member with a parent in the same session */
        raise(SIGTSTP);
        raise(SIGTTIN);
        raise(SIGTTOU);
    }
    EXPECT_EXIT(pid, 0);
    CHILD(stopped)
    {
        MUST(setsid());
        raise(SIGSTOP); /* this one cannot be refused */
    }
    int status = 0;
    EXPECT_EQ(waitpid(stopped, &status, WUNTRACED), stopped);
    EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
    kill(stopped, SIGCONT);
    EXPECT_EXIT(stopped, 0);
}

CASE(newly_orphaned_stopped_group_gets_hup_and_cont)
{
    int fds[2];
    MUST(pipe(fds));
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    CHILD(session)
    {
        MUST(setsid());
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t shell = fork();
        if (shell == 0) {
            pid_t job = fork();
            if (job == 0) {
                setpgid(0, 0);
                tap_handle(SIGHUP, on_signal, 0);
                raise(SIGSTOP);
                while (signal_count == 0)
                    usleep(1000);
                write(fds[1], "h", 1);
                _exit(0);
            }
            waitpid(job, NULL, WUNTRACED);
            _exit(0); /* with it the job's group has no parent in the session */
        }
        waitpid(shell, NULL, 0);
    }
    EXPECT_EXIT(session, 0);
    char byte = 0;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'h');
}

CASE(stop_and_continue_by_group)
{
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        CHILD(pid)
        {
            for (;;)
                pause();
        }
        pids[i] = pid;
        MUST(setpgid(pid, pids[0]));
    }
    EXPECT_EQ(kill(-pids[0], SIGSTOP), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(waitpid(pids[i], NULL, WUNTRACED), pids[i]);
    EXPECT_EQ(kill(-pids[0], SIGCONT), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(waitpid(pids[i], NULL, WCONTINUED), pids[i]);
    EXPECT_EQ(kill(-pids[0], SIGKILL), 0);
    EXPECT_EQ(waitpid(-pids[0], NULL, 0) > 0, 1);
    EXPECT_EQ(waitpid(-pids[0], NULL, 0) > 0, 1);
    EXPECT_ERRNO(waitpid(-pids[0], NULL, 0), ECHILD);
}

CASE(continue_handler_runs_on_a_running_process)
{
    tap_handle(SIGCONT, on_signal, 0);
    raise(SIGCONT);
    EXPECT_EQ(signal_count, 1);
}

CASE(stopped_process_takes_no_signal)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, 0);
        raise(SIGSTOP);
        while (signal_count == 0)
            usleep(1000);
        write(fds[1], "s", 1);
    }
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    kill(pid, SIGUSR1);
    char path[32], text[256] = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    EXPECT(tap_read_file(path, text, sizeof text) > 0);
    EXPECT(strstr(text, ") T ") != NULL);
    kill(pid, SIGCONT);
    char byte;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_EXIT(pid, 0);
}
