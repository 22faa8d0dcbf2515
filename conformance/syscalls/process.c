/* SPDX-License-Identifier: Apache-2.0 */
/* fork, vfork, clone, clone3, exit: what a new process shares and what it owns. */
#include "tap.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>

#define STACK_SIZE 65536

static volatile sig_atomic_t signal_count;
static volatile int shared_value;

static void on_signal(int signal)
{
    signal_count++;
}

CASE(fork_ids)
{
    pid_t parent = getpid();
    CHILD(pid)
    {
        EXPECT(getpid() != parent);
        EXPECT_EQ(getppid(), parent);
        EXPECT_EQ(syscall(SYS_gettid), getpid());
        EXPECT_EQ(getpgrp(), getpgid(parent));
        EXPECT_EQ(getsid(0), getsid(parent));
    }
    EXPECT(pid > 0);
    EXPECT_EXIT(pid, 0);
}

CASE(fork_copies_memory)
{
    shared_value = 1;
    char *page = tap_pages(1);
    page[0] = 'p';
    CHILD(pid)
    {
        EXPECT_EQ(shared_value, 1);
        EXPECT_EQ(page[0], 'p');
        shared_value = 2;
        page[0] = 'c';
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(shared_value, 1);
    EXPECT_EQ(page[0], 'p');
}

CASE(fork_parent_writes_are_unseen)
{
    char *page = tap_pages(1);
    page[0] = 'a';
    struct gate gate;
    gate_init(&gate);
    CHILD(pid)
    {
        gate_wait(&gate);
        EXPECT_EQ(page[0], 'a');
    }
    page[0] = 'b';
    gate_pass(&gate);
    EXPECT_EXIT(pid, 0);
}

CASE(fork_keeps_signal_state_but_not_pending)
{
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    tap_handle(SIGUSR1, on_signal, 0);
    raise(SIGUSR1);
    CHILD(pid)
    {
        sigpending(&pending);
        EXPECT_EQ(sigismember(&pending, SIGUSR1), 0);
        sigset_t now;
        sigprocmask(SIG_BLOCK, NULL, &now);
        EXPECT_EQ(sigismember(&now, SIGUSR1), 1);
        raise(SIGUSR1);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        EXPECT_EQ(signal_count, 1);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(fork_drops_timers_and_alarm)
{
    alarm(100);
    CHILD(pid)
    {
        EXPECT_EQ(alarm(0), 0);
        struct tms t;
        EXPECT(times(&t) > 0);
        EXPECT_EQ(t.tms_cutime, 0);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT(alarm(0) > 90);
}

CASE(fork_shares_descriptions_and_not_the_table)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        close(fds[0]);
        EXPECT_EQ(write(fds[1], "c", 1), 1);
    }
    EXPECT_EXIT(pid, 0);
    char byte = 0;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'c');
}

CASE(orphan_gets_a_new_parent)
{
    int fds[2];
    MUST(pipe(fds));
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    CHILD(pid)
    {
        pid_t middle = getpid();
        if (fork() == 0) {
            while (getppid() == middle)
                tap_sleep_ms(1);
            pid_t reaper = getppid();
            write(fds[1], &reaper, sizeof reaper);
            _exit(9);
        }
    }
    EXPECT_EXIT(pid, 0);
    pid_t reaper = 0;
    EXPECT_EQ(read(fds[0], &reaper, sizeof reaper), sizeof reaper);
    EXPECT_EQ(reaper, getpid());
    int status = 0;
    EXPECT(wait(&status) > 0);
    EXPECT_EQ(WEXITSTATUS(status), 9);
}

CASE(parent_death_signal)
{
    int fds[2];
    MUST(pipe(fds));
    struct gate ready;
    gate_init(&ready);
    CHILD(pid)
    {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            signal(SIGUSR1, SIG_DFL);
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            sigprocmask(SIG_BLOCK, &set, NULL);
            gate_pass(&ready);
            int got = 0;
            sigwait(&set, &got);
            write(fds[1], &got, sizeof got);
            _exit(0);
        }
        gate_wait(&ready);
    }
    EXPECT_EXIT(pid, 0);
    int got = 0;
    EXPECT_EQ(read(fds[0], &got, sizeof got), sizeof got);
    EXPECT_EQ(got, SIGUSR1);
}

CASE(vfork_shares_memory_and_waits)
{
    shared_value = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        shared_value = 5;
        _exit(3);
    }
    EXPECT_EQ(shared_value, 5);
    EXPECT_EXIT(pid, 3);
}

CASE(vfork_ends_at_exec)
{
    int fds[2];
    MUST(pipe2(fds, O_CLOEXEC));
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "exit 4", NULL);
        _exit(127);
    }
    close(fds[1]);
    char byte;
    EXPECT_EQ(read(fds[0], &byte, 1), 0);
    EXPECT_EXIT(pid, 4);
}

static int run_on_stack(void *arg)
{
    *(int *)arg = 42;
    return 6;
}

CASE(clone_with_shared_memory)
{
    char *stack = tap_pages(STACK_SIZE / 4096);
    int value = 0;
    pid_t pid = MUST(clone(run_on_stack, stack + STACK_SIZE, CLONE_VM | SIGCHLD, &value));
    EXPECT_EXIT(pid, 6);
    EXPECT_EQ(value, 42);
}

CASE(clone_without_shared_memory)
{
    char *stack = tap_pages(STACK_SIZE / 4096);
    int value = 0;
    pid_t pid = MUST(clone(run_on_stack, stack + STACK_SIZE, SIGCHLD, &value));
    EXPECT_EXIT(pid, 6);
    EXPECT_EQ(value, 0);
}

static int close_it(void *arg)
{
    close(*(int *)arg);
    chdir("/proc");
    umask(0123);
    return 0;
}

CASE(clone_files_and_fs)
{
    tap_tmpdir();
    char *stack = tap_pages(STACK_SIZE / 4096);
    int fd = MUST(open("/dev/null", O_RDONLY));
    pid_t pid = MUST(clone(close_it, stack + STACK_SIZE, CLONE_FILES | CLONE_FS | SIGCHLD, &fd));
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(fcntl(fd, F_GETFD), EBADF);
    char path[64];
    EXPECT_STR(getcwd(path, sizeof path), "/proc");
    EXPECT_EQ(umask(0), 0123);
}

CASE(clone_flag_rules)
{
    EXPECT_ERRNO(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clone, CLONE_SIGHAND | CLONE_THREAD, 0, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), EINVAL);
}

CASE(clone_other_exit_signal)
{
    tap_handle(SIGUSR1, on_signal, 0);
    char *stack = tap_pages(STACK_SIZE / 4096);
    int value;
    pid_t pid = MUST(clone(run_on_stack, stack + STACK_SIZE, SIGUSR1, &value));
    int status = 0;
    EXPECT_ERRNO(waitpid(pid, &status, WNOHANG), ECHILD);
    while (signal_count == 0)
        tap_sleep_ms(1);
    EXPECT_EQ(waitpid(pid, &status, __WCLONE), pid);
    EXPECT_EQ(WEXITSTATUS(status), 6);
}

CASE(clone_tid_words)
{
    int *words = (int *)tap_pages(1);
    long pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &words[0],
                       &words[1], 0);
    if (pid == 0)
        _exit(words[1] == syscall(SYS_gettid) ? 0 : 1);
    EXPECT_EQ(words[0], pid);
    EXPECT_EQ(words[1], 0);
    EXPECT_EXIT(pid, 0);
}

CASE(clone3_basic_and_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd,
                              .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(5);
    REQUIRE(pid > 0);
    EXPECT(pidfd > 2);
    struct pollfd p = {pidfd, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    siginfo_t info = {0};
    EXPECT_EQ(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
    EXPECT_EQ(info.si_pid, pid);
    EXPECT_EQ(info.si_status, 5);
}

CASE(clone3_errors)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    EXPECT_ERRNO(syscall(SYS_clone3, &args, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clone3, &args, 5000), E2BIG);
    EXPECT_ERRNO(syscall(SYS_clone3, (void *)8, sizeof args), EFAULT);
    args.exit_signal = 65;
    EXPECT_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.flags = CLONE_THREAD, .exit_signal = 0};
    EXPECT_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.stack = 4096, .exit_signal = SIGCHLD};
    EXPECT_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.flags = 1ull << 40, .exit_signal = SIGCHLD};
    EXPECT_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
}

CASE(exit_code_is_eight_bits)
{
    CHILD(a)
    {
        _exit(0x1234);
    }
    EXPECT_EXIT(a, 0x34);
    CHILD(b)
    {
        syscall(SYS_exit, -1);
    }
    EXPECT_EXIT(b, 255);
}

CASE(killed_by_signal)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGKILL, SIGUSR1, SIGALRM, SIGABRT, SIGQUIT, 40};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        CHILD(pid)
        {
            signal(signals[i], SIG_DFL);
            raise(signals[i]);
        }
        EXPECT_KILLED(pid, signals[i]);
    }
}

CASE(pidfd_signals_and_polls)
{
    CHILD(pid)
    {
        pause();
    }
    int pidfd = MUST(syscall(SYS_pidfd_open, pid, 0));
    struct pollfd p = {pidfd, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 0), 0);
    EXPECT_EQ(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), 0);
    EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 1 << 10), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0), EBADF);
    EXPECT_EQ(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0), 0);
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    EXPECT_KILLED(pid, SIGKILL);
    EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_pidfd_open, pid, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_pidfd_open, -1, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pidfd_open, getpid(), 1), EINVAL);
}

CASE(pidfd_of_a_folder_in_proc)
{
    char path[32];
    CHILD(pid)
    {
        pause();
    }
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    int folder = MUST(open(path, O_RDONLY | O_DIRECTORY));
    int place = MUST(open(path, O_PATH | O_DIRECTORY));
    int other = MUST(open("/proc", O_RDONLY | O_DIRECTORY));
    EXPECT_EQ(syscall(SYS_pidfd_send_signal, folder, 0, NULL, 0), 0);
    EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, place, 0, NULL, 0), EBADF);
    EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, other, 0, NULL, 0), EBADF);
    EXPECT_EQ(syscall(SYS_pidfd_send_signal, folder, SIGTERM, NULL, 0), 0);
    EXPECT_KILLED(pid, SIGTERM);
    EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, folder, 0, NULL, 0), ESRCH);
}

CASE(many_children)
{
    pid_t pids[50];
    for (int i = 0; i < 50; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(i);
    }
    for (int i = 0; i < 50; i++)
        EXPECT_EXIT(pids[i], i);
    EXPECT_ERRNO(wait(NULL), ECHILD);
}

CASE(deep_chain_of_processes)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        int depth = 0;
        pid_t next = 0;
        while (depth < 20 && (next = fork()) == 0)
            depth++;
        if (depth == 20) {
            write(fds[1], "x", 1);
            _exit(0);
        }
        int status;
        waitpid(next, &status, 0);
        _exit(WEXITSTATUS(status) + 1);
    }
    EXPECT_EXIT(pid, 20);
}
