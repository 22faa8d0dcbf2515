/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait and are interrupted by a handler without SA_RESTART. */
#include "tap.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

static char room[4096];
static struct iovec iov = {room, 1};
static const struct timespec minute = {60, 0};

CASE(reads_and_writes)
{
    int fds[2];
    MUST(pipe(fds));
    INTERRUPTED(syscall(SYS_read, fds[0], room, 1));
    INTERRUPTED(syscall(SYS_readv, fds[0], &iov, 1));
    MUST(fcntl(fds[1], F_SETPIPE_SZ, 4096));
    MUST(write(fds[1], room, 4096));
    INTERRUPTED(syscall(SYS_write, fds[1], room, 1));
    INTERRUPTED(syscall(SYS_writev, fds[1], &iov, 1));
}

CASE(polls)
{
    int fd = MUST(epoll_create1(0));
    INTERRUPTED(syscall(SYS_poll, NULL, 0, 60000));
    INTERRUPTED(syscall(SYS_ppoll, NULL, 0, NULL, NULL, 8));
    INTERRUPTED(syscall(SYS_select, 0, NULL, NULL, NULL, NULL));
    INTERRUPTED(syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, NULL));
    INTERRUPTED(syscall(SYS_epoll_wait, fd, room, 1, -1));
    INTERRUPTED(syscall(SYS_epoll_pwait, fd, room, 1, -1, NULL, 8));
    INTERRUPTED(syscall(SYS_epoll_pwait2, fd, room, 1, NULL, NULL, 8));
}

CASE(sleeps)
{
    struct timespec left = {0, 0};
    INTERRUPTED(syscall(SYS_nanosleep, &minute, &left));
    EXPECT(left.tv_sec >= 58);
    INTERRUPTED(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &minute, NULL));
    INTERRUPTED(syscall(SYS_pause));
    INTERRUPTED(syscall(SYS_rt_sigsuspend, &(unsigned long){0}, 8));
    INTERRUPTED(syscall(SYS_rt_sigtimedwait, &(unsigned long){1ul << (SIGUSR1 - 1)}, NULL, NULL, 8));
    EXPECT_ERRNO(syscall(SYS_restart_syscall), EINTR);
}

CASE(locks_and_children)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    struct gate gate;
    gate_init(&gate);
    CHILD(pid)
    {
        int other = MUST(open("file", O_RDWR));
        MUST(flock(other, LOCK_EX));
        MUST(fcntl(other, F_SETLK, &lock));
        gate_pass(&gate);
        for (;;)
            pause();
    }
    gate_wait(&gate);
    INTERRUPTED(syscall(SYS_flock, fd, LOCK_EX));
    INTERRUPTED(syscall(SYS_fcntl, fd, F_SETLKW, &lock));
    INTERRUPTED(syscall(SYS_wait4, pid, NULL, 0, NULL));
    INTERRUPTED(syscall(SYS_waitid, P_PID, pid, NULL, WEXITED, NULL));
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(futexes_and_input)
{
    static unsigned int word = 1;
    struct {
        unsigned long value, address;
        unsigned int flags, more;
    } waiter = {1, (unsigned long)&word, 2, 0};
    unsigned long context = 0;
    INTERRUPTED(syscall(SYS_futex, &word, 0, 1, NULL, NULL, 0));
    INTERRUPTED(syscall(449 /* futex_waitv */, &waiter, 1, 0, NULL, 0));
    MUST(syscall(SYS_io_setup, 1, &context));
    INTERRUPTED(syscall(SYS_io_getevents, context, 1, 1, room, NULL));
    SKIP_IF(syscall(454, &word, 1, 1, 2) < 0 && errno == ENOSYS, "no futex_wake");
    INTERRUPTED(syscall(455 /* futex_wait */, &word, 1, 1, 2, NULL, 0));
}
/* shows: futex_waitv futex_wait: EINTR */
