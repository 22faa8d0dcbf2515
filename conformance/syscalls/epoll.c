/* SPDX-License-Identifier: Apache-2.0 */
/* epoll: level, edge, one-shot, nesting, and how descriptors leave a set. */
#include "tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

static int ctl(int set, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)fd};
    return epoll_ctl(set, op, fd, &event);
}

static int wait_now(int set, struct epoll_event *event)
{
    *event = (struct epoll_event){0};
    return epoll_wait(set, event, 1, 0);
}

CASE(create)
{
    int set = MUST(epoll_create1(EPOLL_CLOEXEC));
    EXPECT_EQ(fcntl(set, F_GETFD), FD_CLOEXEC);
    EXPECT_ERRNO(epoll_create1(1), EINVAL);
    EXPECT_OK(syscall(SYS_epoll_create, 10));
    EXPECT_ERRNO(syscall(SYS_epoll_create, 0), EINVAL);
}

CASE(level_triggered)
{
    int fds[2];
    struct epoll_event event;
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN), 0);
    EXPECT_EQ(wait_now(set, &event), 0);
    EXPECT_EQ(write(fds[1], "ab", 2), 2);
    EXPECT_EQ(wait_now(set, &event), 1);
    EXPECT_EQ(event.events, EPOLLIN);
    EXPECT_EQ(event.data.u64, fds[0]);
    EXPECT_EQ(wait_now(set, &event), 1);
    char text[4];
    EXPECT_EQ(read(fds[0], text, 4), 2);
    EXPECT_EQ(wait_now(set, &event), 0);
}

CASE(edge_triggered)
{
    int fds[2];
    struct epoll_event event;
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLET), 0);
    EXPECT_EQ(write(fds[1], "a", 1), 1);
    EXPECT_EQ(wait_now(set, &event), 1);
    EXPECT_EQ(wait_now(set, &event), 0);
    EXPECT_EQ(write(fds[1], "b", 1), 1);
    EXPECT_EQ(wait_now(set, &event), 1);
    EXPECT_EQ(wait_now(set, &event), 0);
    EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLET), 0);
    EXPECT_EQ(wait_now(set, &event), 1);
}

CASE(one_shot)
{
    int fds[2];
    struct epoll_event event;
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLONESHOT), 0);
    EXPECT_EQ(write(fds[1], "a", 1), 1);
    EXPECT_EQ(wait_now(set, &event), 1);
    EXPECT_EQ(wait_now(set, &event), 0);
    close(fds[1]);
    EXPECT_EQ(wait_now(set, &event), 0);
    EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT), 0);
    EXPECT_EQ(wait_now(set, &event), 1);
    EXPECT_EQ(event.events, EPOLLIN | EPOLLHUP);
}

CASE(control_errors)
{
    tap_tmpdir();
    int fds[2];
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    int file = MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN), 0);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN), EEXIST);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_MOD, fds[1], EPOLLIN), ENOENT);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_DEL, fds[1], EPOLLIN), ENOENT);
    EXPECT_ERRNO(ctl(set, 99, fds[0], EPOLLIN), EINVAL);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_ADD, set, EPOLLIN), EINVAL);
    EXPECT_ERRNO(ctl(fds[0], EPOLL_CTL_ADD, fds[1], EPOLLIN), EINVAL);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_ADD, 999, EPOLLIN), EBADF);
    EXPECT_ERRNO(ctl(-1, EPOLL_CTL_ADD, fds[0], EPOLLIN), EBADF);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_ADD, file, EPOLLIN), EPERM);
    EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_MOD, fds[0], NULL), EFAULT);
    EXPECT_EQ(epoll_ctl(set, EPOLL_CTL_DEL, fds[0], NULL), 0);
}

CASE(wait_errors)
{
    struct epoll_event event;
    int fds[2];
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    EXPECT_ERRNO(epoll_wait(set, &event, 0, 0), EINVAL);
    EXPECT_ERRNO(epoll_wait(set, &event, -1, 0), EINVAL);
    EXPECT_ERRNO(epoll_wait(fds[0], &event, 1, 0), EINVAL);
    EXPECT_ERRNO(epoll_wait(-1, &event, 1, 0), EBADF);
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[1], EPOLLOUT), 0);
    EXPECT_ERRNO(epoll_wait(set, (void *)8, 1, 0), EFAULT);
    EXPECT_EQ(epoll_wait(set, &event, 1, 0), 1);
}

CASE(many_ready_in_turn)
{
    int set = MUST(epoll_create1(0));
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = MUST(eventfd(1, 0));
        MUST(ctl(set, EPOLL_CTL_ADD, fds[i], EPOLLIN));
    }
    int seen[64] = {0};
    struct epoll_event events[3];
    for (int round = 0; round < 8; round++) {
        EXPECT_EQ(epoll_wait(set, events, 3, 0), 3);
        for (int i = 0; i < 3; i++)
            seen[events[i].data.fd]++;
    }
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(seen[fds[i]], 3); /* the ready list turns */
    struct epoll_event all[16];
    EXPECT_EQ(epoll_wait(set, all, 16, 0), 8);
}

CASE(closing_removes)
{
    int fds[2];
    struct epoll_event event;
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN), 0);
    EXPECT_EQ(write(fds[1], "a", 1), 1);
    int copy = MUST(dup(fds[0]));
    close(fds[0]);
    EXPECT_EQ(wait_now(set, &event), 1); /* the description is still open */
    close(copy);
    EXPECT_EQ(wait_now(set, &event), 0);
}

CASE(waiter_wakes_and_times_out)
{
    int fds[2];
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN), 0);
    struct epoll_event event;
    long before = tap_now_ms();
    EXPECT_EQ(epoll_wait(set, &event, 1, 50), 0);
    EXPECT(tap_now_ms() - before >= 50);
    CHILD(pid)
    {
        EXPECT_EQ(epoll_wait(set, &event, 1, -1), 1);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(write(fds[1], "a", 1), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(waiter_sees_an_added_descriptor)
{
    int set = MUST(epoll_create1(0));
    int ready = MUST(eventfd(1, 0));
    CHILD(pid)
    {
        struct epoll_event event;
        EXPECT_EQ(epoll_wait(set, &event, 1, -1), 1);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, ready, EPOLLIN), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(nested_sets)
{
    int outer = MUST(epoll_create1(0));
    int inner = MUST(epoll_create1(0));
    int event_fd = MUST(eventfd(0, 0));
    struct epoll_event event;
    EXPECT_EQ(ctl(inner, EPOLL_CTL_ADD, event_fd, EPOLLIN), 0);
    EXPECT_EQ(ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN), 0);
    EXPECT_EQ(wait_now(outer, &event), 0);
    EXPECT_EQ(eventfd_write(event_fd, 1), 0);
    EXPECT_EQ(wait_now(outer, &event), 1);
    EXPECT_EQ(event.data.u64, inner);
    EXPECT_ERRNO(ctl(inner, EPOLL_CTL_ADD, outer, EPOLLIN), ELOOP);
    struct pollfd p = {outer, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLIN);
}

CASE(hangup_events)
{
    int pair[2];
    struct epoll_event event;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    int set = MUST(epoll_create1(0));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, pair[0], EPOLLIN | EPOLLRDHUP), 0);
    EXPECT_EQ(wait_now(set, &event), 0);
    MUST(shutdown(pair[1], SHUT_WR));
    EXPECT_EQ(wait_now(set, &event), 1);
    EXPECT_EQ(event.events, EPOLLIN | EPOLLRDHUP);
    close(pair[1]);
    EXPECT_EQ(wait_now(set, &event), 1);
    EXPECT_EQ(event.events, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
}

CASE(pwait_mask)
{
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    tap_handle(SIGUSR1, on_signal, 0);
    raise(SIGUSR1);
    int ep = MUST(epoll_create1(0));
    struct epoll_event event;
    EXPECT_EQ(epoll_wait(ep, &event, 1, 10), 0);
    EXPECT_ERRNO(epoll_pwait(ep, &event, 1, 5000, &none), EINTR);
    EXPECT_EQ(signal_count, 1);
    struct timespec span = {0, 1000000};
    EXPECT_EQ(syscall(SYS_epoll_pwait2, ep, &event, 1, &span, NULL, 0), 0);
    span.tv_nsec = -1;
    EXPECT_ERRNO(syscall(SYS_epoll_pwait2, ep, &event, 1, &span, NULL, 0), EINVAL);
}

CASE(interrupted_wait)
{
    int set = MUST(epoll_create1(0));
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        struct epoll_event event;
        EXPECT_ERRNO(epoll_wait(set, &event, 1, -1), EINTR);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(exclusive_rules)
{
    int fds[2];
    MUST(pipe(fds));
    int set = MUST(epoll_create1(0));
    EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLEXCLUSIVE), 0);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_MOD, fds[0], EPOLLIN), EINVAL);
    EXPECT_ERRNO(ctl(set, EPOLL_CTL_ADD, fds[1], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT), EINVAL);
}
