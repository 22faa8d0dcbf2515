/* SPDX-License-Identifier: Apache-2.0 */
/* poll, ppoll, select, pselect: readiness, waits, signal masks. */
#include "tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

CASE(poll_pipe_states)
{
    int fds[2];
    MUST(pipe(fds));
    struct pollfd p[2] = {{fds[0], POLLIN, -1}, {fds[1], POLLOUT, -1}};
    EXPECT_EQ(poll(p, 2, 0), 1);
    EXPECT_EQ(p[0].revents, 0);
    EXPECT_EQ(p[1].revents, POLLOUT);
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EQ(poll(p, 2, 0), 2);
    EXPECT_EQ(p[0].revents, POLLIN);
    close(fds[1]);
    EXPECT_EQ(poll(p, 1, 0), 1);
    EXPECT_EQ(p[0].revents, POLLIN | POLLHUP);
    char byte;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_EQ(poll(p, 1, 0), 1);
    EXPECT_EQ(p[0].revents, POLLHUP);
}

CASE(poll_broken_writer)
{
    int fds[2];
    MUST(pipe(fds));
    close(fds[0]);
    struct pollfd p = {fds[1], POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLOUT | POLLERR);
}

CASE(poll_full_pipe)
{
    int fds[2];
    MUST(pipe2(fds, O_NONBLOCK));
    static char page[4096];
    while (write(fds[1], page, sizeof page) > 0)
        ;
    struct pollfd p = {fds[1], POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 0), 0);
    EXPECT_EQ(read(fds[0], page, 4096), 4096);
    EXPECT_EQ(poll(&p, 1, 0), 1);
}

CASE(poll_numbers)
{
    struct pollfd p[3] = {{-1, POLLIN, 5}, {999, POLLIN, 0}, {-7, POLLIN, 5}};
    EXPECT_EQ(poll(p, 3, 0), 1);
    EXPECT_EQ(p[0].revents, 0);
    EXPECT_EQ(p[1].revents, POLLNVAL);
    EXPECT_EQ(p[2].revents, 0);
    EXPECT_EQ(poll(NULL, 0, 0), 0);
    EXPECT_ERRNO(syscall(SYS_poll, (void *)8, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_poll, p, -1, 0), EINVAL);
}

CASE(poll_regular_file_is_ready)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLIN | POLLOUT);
    p.events = 0;
    EXPECT_EQ(poll(&p, 1, 0), 0);
}

CASE(poll_times_out)
{
    int fds[2];
    MUST(pipe(fds));
    struct pollfd p = {fds[0], POLLIN, 0};
    long before = tap_now_ms();
    EXPECT_EQ(poll(&p, 1, 50), 0);
    EXPECT(tap_now_ms() - before >= 50);
}

CASE(poll_wakes)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        struct pollfd p = {fds[0], POLLIN, 0};
        EXPECT_EQ(poll(&p, 1, -1), 1);
        EXPECT_EQ(p.revents, POLLIN);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(poll_wakes_on_hangup)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        close(fds[1]);
        struct pollfd p = {fds[0], 0, 0};
        EXPECT_EQ(poll(&p, 1, -1), 1);
        EXPECT_EQ(p.revents, POLLHUP);
    }
    tap_until_asleep(pid);
    close(fds[1]);
    EXPECT_EXIT(pid, 0);
}

CASE(poll_is_interrupted_and_never_restarts)
{
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        EXPECT_ERRNO(poll(NULL, 0, -1), EINTR);
        EXPECT_EQ(signal_count, 1);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(poll_goes_on_after_stop_and_continue)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        struct pollfd p = {fds[0], POLLIN, 0};
        EXPECT_EQ(poll(&p, 1, 5000), 1);
    }
    tap_until_asleep(pid);
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    kill(pid, SIGCONT);
    tap_until_asleep(pid);
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(ppoll_mask_and_time)
{
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    tap_handle(SIGUSR1, on_signal, 0);
    raise(SIGUSR1);
    EXPECT_EQ(signal_count, 0);
    struct timespec span = {5, 0};
    EXPECT_ERRNO(ppoll(NULL, 0, &span, &none), EINTR);
    EXPECT_EQ(signal_count, 1);
    span = (struct timespec){0, 1000000};
    EXPECT_EQ(ppoll(NULL, 0, &span, &none), 0);
    span.tv_nsec = 1000000000;
    EXPECT_ERRNO(ppoll(NULL, 0, &span, NULL), EINVAL);
    span = (struct timespec){-1, 0};
    EXPECT_ERRNO(ppoll(NULL, 0, &span, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_ppoll, NULL, 0, NULL, &none, 4), EINVAL);
}

CASE(ppoll_writes_the_time_left)
{
    struct timespec span = {100, 0};
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    struct pollfd p = {fds[0], POLLIN, 0};
    EXPECT_EQ(syscall(SYS_ppoll, &p, 1, &span, NULL, 8), 1);
    EXPECT(span.tv_sec == 99 && span.tv_nsec > 0);
}

CASE(select_sets)
{
    int fds[2];
    MUST(pipe(fds));
    fd_set in, out, err;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&err);
    FD_SET(fds[0], &in);
    FD_SET(fds[1], &out);
    FD_SET(fds[0], &err);
    struct timeval none = {0, 0};
    EXPECT_EQ(select(fds[1] + 1, &in, &out, &err, &none), 1);
    EXPECT(!FD_ISSET(fds[0], &in));
    EXPECT(FD_ISSET(fds[1], &out));
    EXPECT(!FD_ISSET(fds[0], &err));
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    FD_SET(fds[0], &in);
    EXPECT_EQ(select(fds[1] + 1, &in, NULL, NULL, NULL), 1);
    EXPECT(FD_ISSET(fds[0], &in));
}

CASE(select_errors)
{
    fd_set in;
    FD_ZERO(&in);
    FD_SET(40, &in);
    struct timeval none = {0, 0};
    EXPECT_ERRNO(select(41, &in, NULL, NULL, &none), EBADF);
    EXPECT_EQ(select(3, &in, NULL, NULL, &none), 0);
    EXPECT_ERRNO(select(-1, NULL, NULL, NULL, &none), EINVAL);
    none.tv_sec = -1;
    EXPECT_ERRNO(select(0, NULL, NULL, NULL, &none), EINVAL);
    EXPECT_ERRNO(syscall(SYS_select, 3, (void *)8, NULL, NULL, NULL), EFAULT);
}

CASE(select_time_left)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fds[0], &in);
    struct timeval span = {100, 0};
    EXPECT_EQ(syscall(SYS_select, fds[0] + 1, &in, NULL, NULL, &span), 1);
    EXPECT_EQ(span.tv_sec, 99);
    span = (struct timeval){0, 10000};
    EXPECT_EQ(select(0, NULL, NULL, NULL, &span), 0);
    EXPECT_EQ(span.tv_sec, 0);
    EXPECT_EQ(span.tv_usec, 0);
}

CASE(select_hangup_counts_as_readable)
{
    int fds[2];
    MUST(pipe(fds));
    close(fds[1]);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fds[0], &in);
    EXPECT_EQ(select(fds[0] + 1, &in, NULL, NULL, NULL), 1);
    MUST(pipe(fds + 0));
    close(fds[0]);
    fd_set out;
    FD_ZERO(&out);
    FD_SET(fds[1], &out);
    EXPECT_EQ(select(fds[1] + 1, NULL, &out, NULL, NULL), 1);
}

CASE(pselect_mask)
{
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    tap_handle(SIGUSR1, on_signal, 0);
    CHILD(pid)
    {
        EXPECT_ERRNO(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
        EXPECT_EQ(signal_count, 1);
        sigset_t now;
        sigprocmask(SIG_SETMASK, NULL, &now);
        EXPECT_EQ(sigismember(&now, SIGUSR1), 1);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}
