/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd, signalfd and timerfd: kernel objects behind descriptors. */
#include "tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

static int is_readable(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, 0) == 1 && p.revents == POLLIN;
}

CASE(counter)
{
    int fd = MUST(eventfd(3, EFD_NONBLOCK));
    uint64_t value = 0;
    EXPECT_EQ(read(fd, &value, 8), 8);
    EXPECT_EQ(value, 3);
    EXPECT_ERRNO(read(fd, &value, 8), EAGAIN);
    value = 5;
    EXPECT_EQ(write(fd, &value, 8), 8);
    EXPECT_EQ(write(fd, &value, 8), 8);
    EXPECT_EQ(read(fd, &value, 8), 8);
    EXPECT_EQ(value, 10);
}

CASE(semaphore)
{
    int fd = MUST(eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE));
    uint64_t value = 0;
    EXPECT_EQ(read(fd, &value, 8), 8);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(read(fd, &value, 8), 8);
    EXPECT_ERRNO(read(fd, &value, 8), EAGAIN);
}

CASE(counter_sizes_and_limits)
{
    int fd = MUST(eventfd(0, EFD_NONBLOCK));
    uint64_t value = ~0ull;
    uint32_t small = 1;
    EXPECT_ERRNO(read(fd, &small, 4), EINVAL);
    EXPECT_ERRNO(write(fd, &small, 4), EINVAL);
    EXPECT_ERRNO(write(fd, &value, 8), EINVAL);
    value = ~0ull - 1;
    EXPECT_EQ(write(fd, &value, 8), 8);
    value = 1;
    EXPECT_ERRNO(write(fd, &value, 8), EAGAIN);
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLIN);
    EXPECT_ERRNO(eventfd(0, 4), EINVAL);
    EXPECT_OK(syscall(SYS_eventfd, 1));
}

CASE(counter_wakes_a_reader)
{
    int fd = MUST(eventfd(0, 0));
    CHILD(pid)
    {
        uint64_t value = 0;
        EXPECT_EQ(read(fd, &value, 8), 8);
        EXPECT_EQ(value, 7);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(eventfd_write(fd, 7), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(counter_wakes_a_writer)
{
    int fd = MUST(eventfd(0, 0));
    EXPECT_EQ(eventfd_write(fd, ~0ull - 1), 0);
    CHILD(pid)
    {
        EXPECT_EQ(eventfd_write(fd, 5), 0);
    }
    tap_until_asleep(pid);
    eventfd_t value;
    EXPECT_EQ(eventfd_read(fd, &value), 0);
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(eventfd_read(fd, &value), 0);
    EXPECT_EQ(value, 5);
}

static int open_signalfd(int flags)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    return MUST(signalfd(-1, &set, flags));
}

CASE(signal_descriptor_reads_pending)
{
    int fd = open_signalfd(SFD_NONBLOCK);
    struct signalfd_siginfo info[3];
    EXPECT_ERRNO(read(fd, info, sizeof info), EAGAIN);
    EXPECT(!is_readable(fd));
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    EXPECT(is_readable(fd));
    EXPECT_EQ(read(fd, info, sizeof info), 2 * sizeof info[0]);
    EXPECT_EQ(info[0].ssi_signo, SIGUSR1);
    EXPECT_EQ(info[0].ssi_code, SI_USER);
    EXPECT_EQ(info[0].ssi_pid, getpid());
    EXPECT_EQ(info[0].ssi_uid, 0);
    EXPECT_EQ(info[1].ssi_signo, SIGUSR2);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGUSR1), 0);
}

CASE(signal_descriptor_rules)
{
    int fd = open_signalfd(SFD_CLOEXEC | SFD_NONBLOCK);
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    struct signalfd_siginfo info;
    EXPECT_ERRNO(read(fd, &info, 10), EINVAL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    EXPECT_EQ(signalfd(fd, &set, 0), fd);
    kill(getpid(), SIGUSR1);
    EXPECT_ERRNO(read(fd, &info, sizeof info), EAGAIN);
    EXPECT_ERRNO(signalfd(-1, &set, 1), EINVAL);
    EXPECT_ERRNO(signalfd(0, &set, 0), EINVAL);
    EXPECT_ERRNO(signalfd(999, &set, 0), EBADF);
    EXPECT_ERRNO(syscall(SYS_signalfd4, -1, &set, 4, 0), EINVAL);
}

CASE(signal_descriptor_waits)
{
    CHILD(pid)
    {
        int fd = open_signalfd(0);
        struct signalfd_siginfo info;
        EXPECT_EQ(read(fd, &info, sizeof info), sizeof info);
        EXPECT_EQ(info.ssi_signo, SIGUSR1);
        EXPECT_EQ(info.ssi_pid, getppid());
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(signal_descriptor_value)
{
    int fd = open_signalfd(0);
    union sigval value = {.sival_int = 4711};
    EXPECT_EQ(sigqueue(getpid(), SIGUSR1, value), 0);
    struct signalfd_siginfo info;
    EXPECT_EQ(read(fd, &info, sizeof info), sizeof info);
    EXPECT_EQ(info.ssi_code, SI_QUEUE);
    EXPECT_EQ(info.ssi_int, 4711);
}

static void arm(int fd, int flags, long value_ms, long interval_ms)
{
    struct itimerspec spec = {
        {interval_ms / 1000, interval_ms % 1000 * 1000000},
        {value_ms / 1000, value_ms % 1000 * 1000000},
    };
    EXPECT_EQ(timerfd_settime(fd, flags, &spec, NULL), 0);
}

CASE(timer_one_shot)
{
    int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    uint64_t ticks = 0;
    EXPECT_ERRNO(read(fd, &ticks, 8), EAGAIN);
    arm(fd, 0, 300, 0);
    EXPECT(!is_readable(fd));
    struct pollfd p = {fd, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    EXPECT_EQ(read(fd, &ticks, 8), 8);
    EXPECT_EQ(ticks, 1);
    EXPECT_ERRNO(read(fd, &ticks, 8), EAGAIN);
    struct itimerspec left;
    EXPECT_EQ(timerfd_gettime(fd, &left), 0);
    EXPECT_EQ(left.it_value.tv_sec, 0);
    EXPECT_EQ(left.it_value.tv_nsec, 0);
}

CASE(timer_interval_counts)
{
    int fd = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    arm(fd, 0, 5, 5);
    tap_sleep_ms(60);
    uint64_t ticks = 0;
    EXPECT_EQ(read(fd, &ticks, 8), 8);
    EXPECT(ticks >= 10);
    EXPECT_EQ(read(fd, &ticks, 8), 8);
    EXPECT(ticks >= 1);
}

CASE(timer_disarm_and_time_left)
{
    int fd = MUST(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
    arm(fd, 0, 100000, 7000);
    struct itimerspec left;
    EXPECT_EQ(timerfd_gettime(fd, &left), 0);
    EXPECT(left.it_value.tv_sec >= 90 && left.it_value.tv_sec <= 100);
    EXPECT_EQ(left.it_interval.tv_sec, 7);
    struct itimerspec none = {{0, 0}, {0, 0}};
    EXPECT_EQ(timerfd_settime(fd, 0, &none, &left), 0);
    EXPECT_EQ(left.it_interval.tv_sec, 7);
    uint64_t ticks;
    EXPECT_ERRNO(read(fd, &ticks, 8), EAGAIN);
}

CASE(timer_absolute)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int fd = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    struct itimerspec spec = {{0, 0}, {now.tv_sec - 1, now.tv_nsec}};
    if (spec.it_value.tv_sec < 0 || now.tv_sec < 2)
        spec.it_value = (struct timespec){0, 1};
    EXPECT_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL), 0);
    uint64_t ticks = 0;
    EXPECT_EQ(read(fd, &ticks, 8), 8);
    EXPECT_EQ(ticks, 1);
}

CASE(timer_errors)
{
    int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    struct itimerspec spec = {{0, 0}, {0, 1000000000}};
    EXPECT_ERRNO(timerfd_settime(fd, 0, &spec, NULL), EINVAL);
    spec.it_value.tv_nsec = 0;
    EXPECT_ERRNO(timerfd_settime(fd, 64, &spec, NULL), EINVAL);
    EXPECT_ERRNO(timerfd_settime(0, 0, &spec, NULL), EINVAL);
    EXPECT_ERRNO(timerfd_settime(-1, 0, &spec, NULL), EBADF);
    EXPECT_ERRNO(timerfd_settime(fd, 0, (void *)8, NULL), EFAULT);
    EXPECT_ERRNO(timerfd_create(99, 0), EINVAL);
    EXPECT_ERRNO(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
    EXPECT_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    uint32_t small;
    EXPECT_ERRNO(read(fd, &small, 4), EINVAL);
    EXPECT_ERRNO(write(fd, &spec, 8), EINVAL);
}
