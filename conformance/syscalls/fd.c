/* SPDX-License-Identifier: Apache-2.0 */
/* dup, fcntl, close_range, generic ioctls, flock, POSIX and open-file-description locks. */
#include "tap.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

CASE(dup_takes_the_lowest)
{
    int fd = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));
    int copy = MUST(dup(fd));
    EXPECT_EQ(copy, fd + 1);
    EXPECT_EQ(fcntl(copy, F_GETFD), 0);
    EXPECT_ERRNO(dup(-1), EBADF);
    EXPECT_ERRNO(dup(999), EBADF);
}

CASE(dup2_replaces)
{
    int fd = MUST(open("/dev/null", O_RDONLY));
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(dup2(fd, fds[1]), fds[1]);
    char byte;
    EXPECT_EQ(read(fds[0], &byte, 1), 0); /* the last writer went */
    EXPECT_EQ(dup2(fd, 100), 100);
    EXPECT_EQ(dup2(fd, fd), fd);
    EXPECT_ERRNO(dup2(200, 200), EBADF);
    EXPECT_ERRNO(dup2(fd, -1), EBADF);
    EXPECT_ERRNO(dup2(fd, 1 << 30), EBADF);
}

CASE(dup3_flags)
{
    int fd = MUST(open("/dev/null", O_RDONLY));
    EXPECT_EQ(dup3(fd, 50, O_CLOEXEC), 50);
    EXPECT_EQ(fcntl(50, F_GETFD), FD_CLOEXEC);
    EXPECT_ERRNO(dup3(fd, fd, 0), EINVAL);
    EXPECT_ERRNO(dup3(fd, 50, O_NONBLOCK), EINVAL);
    EXPECT_ERRNO(dup3(-1, 50, 0), EBADF);
}

CASE(fcntl_dupfd)
{
    int fd = MUST(open("/dev/null", O_RDONLY));
    EXPECT_EQ(fcntl(fd, F_DUPFD, 100), 100);
    EXPECT_EQ(fcntl(fd, F_DUPFD, 100), 101);
    EXPECT_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 100), 102);
    EXPECT_EQ(fcntl(102, F_GETFD), FD_CLOEXEC);
    EXPECT_ERRNO(fcntl(fd, F_DUPFD, -1), EINVAL);
    EXPECT_ERRNO(fcntl(fd, F_DUPFD, 1 << 30), EINVAL);
}

CASE(fcntl_status_flags_are_shared)
{
    int fds[2];
    MUST(pipe(fds));
    int copy = MUST(dup(fds[0]));
    EXPECT_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    EXPECT_EQ(fcntl(copy, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    char byte;
    EXPECT_ERRNO(read(copy, &byte, 1), EAGAIN);
    EXPECT_EQ(fcntl(fds[0], F_SETFD, FD_CLOEXEC), 0);
    EXPECT_EQ(fcntl(copy, F_GETFD), 0);
    EXPECT_ERRNO(fcntl(-1, F_GETFL), EBADF);
    EXPECT_ERRNO(fcntl(fds[0], 9999), EINVAL);
}

CASE(fcntl_setfl_ignores_access_and_creation)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDONLY | O_CREAT, 0644));
    EXPECT_EQ(fcntl(fd, F_SETFL, O_RDWR | O_CREAT | O_APPEND), 0);
    EXPECT_EQ(fcntl(fd, F_GETFL) & ~0100000, O_RDONLY | O_APPEND);
}

CASE(close_range_forms)
{
    int fd = MUST(open("/dev/null", O_RDONLY));
    for (int i = 40; i < 50; i++)
        MUST(dup2(fd, i));
    EXPECT_EQ(syscall(SYS_close_range, 42, 44, 0), 0);
    EXPECT_ERRNO(fcntl(42, F_GETFD), EBADF);
    EXPECT_ERRNO(fcntl(44, F_GETFD), EBADF);
    EXPECT_EQ(fcntl(45, F_GETFD), 0);
    EXPECT_EQ(syscall(SYS_close_range, 45, 47, CLOSE_RANGE_CLOEXEC), 0);
    EXPECT_EQ(fcntl(45, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(fcntl(48, F_GETFD), 0);
    EXPECT_EQ(syscall(SYS_close_range, 40, ~0u, 0), 0);
    EXPECT_ERRNO(fcntl(40, F_GETFD), EBADF);
    EXPECT_ERRNO(syscall(SYS_close_range, 5, 4, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_close_range, 4, 5, 64), EINVAL);
}

CASE(ioctl_close_on_exec_and_nonblocking)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(ioctl(fds[0], FIOCLEX), 0);
    EXPECT_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(ioctl(fds[0], FIONCLEX), 0);
    EXPECT_EQ(fcntl(fds[0], F_GETFD), 0);
    int on = 1;
    EXPECT_EQ(ioctl(fds[0], FIONBIO, &on), 0);
    EXPECT_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EXPECT_EQ(write(fds[1], "abc", 3), 3);
    int count = 0;
    EXPECT_EQ(ioctl(fds[0], FIONREAD, &count), 0);
    EXPECT_EQ(count, 3);
    EXPECT_ERRNO(ioctl(fds[0], TIOCGWINSZ, &on), ENOTTY);
    EXPECT_ERRNO(ioctl(-1, FIONREAD, &count), EBADF);
    EXPECT_ERRNO(ioctl(fds[0], FIONREAD, (void *)8), EFAULT);
}

CASE(flock_conflicts)
{
    tap_tmpdir();
    int a = MUST(open("file", O_RDWR | O_CREAT, 0644));
    int b = MUST(open("file", O_RDWR));
    int copy = MUST(dup(a));
    EXPECT_EQ(flock(a, LOCK_SH), 0);
    EXPECT_EQ(flock(b, LOCK_SH | LOCK_NB), 0);
    EXPECT_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    EXPECT_EQ(flock(b, LOCK_UN), 0);
    EXPECT_EQ(flock(copy, LOCK_EX | LOCK_NB), 0); /* an upgrade: same description */
    EXPECT_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    close(a);
    EXPECT_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    close(copy);
    EXPECT_EQ(flock(b, LOCK_EX | LOCK_NB), 0);
    EXPECT_ERRNO(flock(b, 77), EINVAL);
    EXPECT_ERRNO(flock(-1, LOCK_SH), EBADF);
}

CASE(flock_waits)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    MUST(flock(fd, LOCK_EX));
    CHILD(pid)
    {
        int own = MUST(open("file", O_RDWR));
        EXPECT_EQ(flock(own, LOCK_EX), 0);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
    EXPECT_EQ(flock(fd, LOCK_UN), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(flock_is_inherited)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    MUST(flock(fd, LOCK_EX));
    CHILD(pid)
    {
        EXPECT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
    }
    EXPECT_EXIT(pid, 0);
    int other = MUST(open("file", O_RDWR));
    EXPECT_ERRNO(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
}

static int lock_of(int fd, int command, short type, off_t start, off_t size)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
    return fcntl(fd, command, &lock);
}

CASE(posix_lock_conflict_and_query)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 10, 10), 0);
    pid_t owner = getpid();
    CHILD(pid)
    {
        EXPECT_ERRNO(lock_of(fd, F_SETLK, F_RDLCK, 15, 1), EAGAIN);
        EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 20, 5), 0);
        struct flock lock = {.l_type = F_RDLCK, .l_start = 0, .l_len = 0};
        EXPECT_EQ(fcntl(fd, F_GETLK, &lock), 0);
        EXPECT_EQ(lock.l_type, F_WRLCK);
        EXPECT_EQ(lock.l_start, 10);
        EXPECT_EQ(lock.l_len, 10);
        EXPECT_EQ(lock.l_pid, owner);
        lock = (struct flock){.l_type = F_RDLCK, .l_start = 0, .l_len = 5};
        EXPECT_EQ(fcntl(fd, F_GETLK, &lock), 0);
        EXPECT_EQ(lock.l_type, F_UNLCK);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 0, 0), 0); /* the child's lock ended with it */
}

CASE(posix_lock_splits_and_merges)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 0, 30), 0);
    EXPECT_EQ(lock_of(fd, F_SETLK, F_UNLCK, 10, 10), 0);
    CHILD(pid)
    {
        EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 10, 10), 0);
        EXPECT_ERRNO(lock_of(fd, F_SETLK, F_WRLCK, 9, 1), EAGAIN);
        EXPECT_ERRNO(lock_of(fd, F_SETLK, F_WRLCK, 20, 1), EAGAIN);
        struct flock lock = {.l_type = F_WRLCK, .l_start = 15, .l_len = 0};
        EXPECT_EQ(fcntl(fd, F_GETLK, &lock), 0);
        EXPECT_EQ(lock.l_start, 20);
        EXPECT_EQ(lock.l_len, 10);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(posix_lock_goes_with_any_close)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 0, 0), 0);
    int other = MUST(open("file", O_RDWR));
    close(other);
    CHILD(pid)
    {
        EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 0, 0), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(posix_lock_wait_and_interrupt)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 0, 0), 0);
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, 0);
        EXPECT_ERRNO(lock_of(fd, F_SETLKW, F_WRLCK, 0, 0), EINTR);
        EXPECT_EQ(lock_of(fd, F_SETLKW, F_WRLCK, 0, 0), 0);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    tap_until_asleep(pid);
    EXPECT_EQ(lock_of(fd, F_SETLK, F_UNLCK, 0, 0), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(posix_lock_deadlock)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    struct gate gate;
    gate_init(&gate);
    EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 0, 1), 0);
    CHILD(pid)
    {
        EXPECT_EQ(lock_of(fd, F_SETLK, F_WRLCK, 1, 1), 0);
        gate_pass(&gate);
        EXPECT_EQ(lock_of(fd, F_SETLKW, F_WRLCK, 0, 1), 0);
    }
    gate_wait(&gate);
    tap_until_asleep(pid);
    EXPECT_ERRNO(lock_of(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
    EXPECT_EQ(lock_of(fd, F_SETLK, F_UNLCK, 0, 1), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(posix_lock_errors)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDONLY | O_CREAT, 0644));
    EXPECT_ERRNO(lock_of(fd, F_SETLK, F_WRLCK, 0, 0), EBADF);
    EXPECT_EQ(lock_of(fd, F_SETLK, F_RDLCK, 0, 0), 0);
    EXPECT_ERRNO(lock_of(fd, F_SETLK, 77, 0, 0), EINVAL);
    EXPECT_ERRNO(lock_of(fd, F_SETLK, F_RDLCK, -1, 0), EINVAL);
    EXPECT_ERRNO(lock_of(-1, F_SETLK, F_RDLCK, 0, 0), EBADF);
    EXPECT_ERRNO(fcntl(fd, F_SETLK, (void *)8), EFAULT);
    struct flock lock = {.l_type = F_UNLCK, .l_start = 0, .l_len = 0};
    EXPECT_ERRNO(fcntl(fd, F_GETLK, &lock), EINVAL);
}

CASE(ofd_lock_belongs_to_the_description)
{
    tap_tmpdir();
    int a = MUST(open("file", O_RDWR | O_CREAT, 0644));
    int b = MUST(open("file", O_RDWR));
    EXPECT_EQ(lock_of(a, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
    EXPECT_ERRNO(lock_of(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
    EXPECT_ERRNO(lock_of(b, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
    struct flock lock = {.l_type = F_RDLCK, .l_start = 0, .l_len = 0};
    EXPECT_EQ(fcntl(b, F_OFD_GETLK, &lock), 0);
    EXPECT_EQ(lock.l_type, F_WRLCK);
    EXPECT_EQ(lock.l_pid, -1);
    CHILD(pid)
    {
        EXPECT_EQ(lock_of(a, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(lock_of(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
    close(a);
    EXPECT_EQ(lock_of(b, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
    lock = (struct flock){.l_type = F_RDLCK, .l_pid = 7};
    EXPECT_ERRNO(fcntl(b, F_OFD_SETLK, &lock), EINVAL);
}

CASE(owner_of_asynchronous_signals)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(fcntl(fds[0], F_GETOWN), 0);
    EXPECT_EQ(fcntl(fds[0], F_SETOWN, getpid()), 0);
    EXPECT_EQ(fcntl(fds[0], F_GETOWN), getpid());
    EXPECT_EQ(fcntl(fds[0], F_SETSIG, SIGUSR1), 0);
    EXPECT_EQ(fcntl(fds[0], F_GETSIG), SIGUSR1);
    EXPECT_ERRNO(fcntl(fds[0], F_SETSIG, 99), EINVAL);
    struct f_owner_ex owner = {F_OWNER_PID, getpid()};
    EXPECT_EQ(fcntl(fds[0], F_SETOWN_EX, &owner), 0);
    owner = (struct f_owner_ex){0};
    EXPECT_EQ(fcntl(fds[0], F_GETOWN_EX, &owner), 0);
    EXPECT_EQ(owner.type, F_OWNER_PID);
    EXPECT_EQ(owner.pid, getpid());
    tap_handle(SIGUSR1, on_signal, 0);
    EXPECT_EQ(fcntl(fds[0], F_SETFL, O_ASYNC), 0);
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EQ(signal_count, 1);
}

CASE(pidfd_getfd_and_kcmp)
{
    int fds[2];
    MUST(pipe(fds));
    int pidfd = MUST(syscall(SYS_pidfd_open, getpid(), 0));
    EXPECT_EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    int copy = MUST(syscall(SYS_pidfd_getfd, pidfd, fds[1], 0));
    EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(write(copy, "q", 1), 1);
    char byte = 0;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'q');
    EXPECT_ERRNO(syscall(SYS_pidfd_getfd, pidfd, 999, 0), EBADF);
    EXPECT_ERRNO(syscall(SYS_pidfd_getfd, pidfd, 0, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pidfd_getfd, fds[0], 0, 0), EBADF);
}
