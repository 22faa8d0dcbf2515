/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that make descriptors when there is no number left, and calls that take one that is none, or
 * one of the wrong kind. */
#include "tap.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

struct call {
    const char *name;
    long (*call)(void);
};
#define COUNT(rows_) (sizeof(rows_) / sizeof(rows_)[0])

static int other_fd, pair[2];
static pid_t other_pid;
static char room[4096];
static const unsigned long attributes[4] = {1}, how[3] = {O_RDONLY, 0, 0};
static const unsigned int no_signals[2];

#define MAKERS(X)                                                                                 \
    X(open, syscall(SYS_open, "/dev/null", O_RDONLY))                                             \
    X(openat, syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY))                               \
    X(openat2, syscall(SYS_openat2, AT_FDCWD, "/dev/null", how, sizeof how))                      \
    X(creat, syscall(SYS_creat, "file", 0600))                                                    \
    X(pipe, syscall(SYS_pipe, room))                                                              \
    X(pipe2, syscall(SYS_pipe2, room, O_CLOEXEC))                                                 \
    X(dup, syscall(SYS_dup, 0))                                                                   \
    X(fcntl, syscall(SYS_fcntl, 0, F_DUPFD, 0))                                                   \
    X(socket, syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0))                                       \
    X(socketpair, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, room))                         \
    X(epoll_create, syscall(SYS_epoll_create, 1))                                                 \
    X(epoll_create1, syscall(SYS_epoll_create1, 0))                                               \
    X(inotify_init, syscall(SYS_inotify_init))                                                    \
    X(inotify_init1, syscall(SYS_inotify_init1, 0))                                               \
    X(signalfd, syscall(SYS_signalfd, -1, no_signals, 8))                                         \
    X(signalfd4, syscall(SYS_signalfd4, -1, no_signals, 8, 0))                                    \
    X(timerfd_create, syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0))                            \
    X(eventfd, syscall(SYS_eventfd, 0))                                                           \
    X(eventfd2, syscall(SYS_eventfd2, 0, 0))                                                      \
    X(memfd_create, syscall(SYS_memfd_create, "m", 0))                                            \
    X(pidfd_open, syscall(SYS_pidfd_open, getpid(), 0))                                           \
    X(pidfd_getfd, syscall(SYS_pidfd_getfd, other_pid, 0, 0))                                     \
    X(fsopen, syscall(SYS_fsopen, "tmpfs", 0))                                                    \
    X(mq_open, syscall(SYS_mq_open, "picket_no_number", O_CREAT | O_RDWR, 0600, NULL))            \
    X(accept, syscall(SYS_accept, other_fd, NULL, NULL))                                          \
    X(accept4, syscall(SYS_accept4, other_fd, NULL, NULL, 0))
#define DEFINE_MAKER(name_, call_)                                                                \
    static long make_##name_(void)                                                                \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW_MAKER(name_, call_) {#name_, make_##name_},
MAKERS(DEFINE_MAKER)
static const struct call makers[] = {MAKERS(ROW_MAKER)};

static int make_listener(void)
{
    struct sockaddr_un name = {AF_UNIX, "listener"};
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(fd, (void *)&name, sizeof name));
    MUST(listen(fd, 4));
    for (int i = 0; i < 2; i++) {
        int client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        MUST(connect(client, (void *)&name, sizeof name));
    }
    return fd;
}

/*
 * shows: open openat openat2 creat pipe pipe2 dup fcntl socket socketpair epoll_create epoll_create1
 * inotify_init inotify_init1 signalfd signalfd4 timerfd_create eventfd eventfd2 memfd_create
 * pidfd_open pidfd_getfd fsopen mq_open accept accept4: EMFILE
 */
CASE(no_number_left)
{
    tap_tmpdir();
    other_fd = make_listener();
    other_pid = MUST(syscall(SYS_pidfd_open, getpid(), 0));
    int lowest = MUST(dup(0));
    close(lowest);
    struct rlimit limit = {lowest, lowest};
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    for (size_t i = 0; i < COUNT(makers); i++) {
        errno = 0;
        tap_fails(__LINE__, makers[i].name, makers[i].call(), EMFILE, "EMFILE");
    }
    mq_unlink("/picket_no_number");
    EXPECT_ERRNO(dup2(0, lowest), EBADF);
    EXPECT_ERRNO(dup3(0, lowest, 0), EBADF);
    EXPECT_ERRNO(fcntl(0, F_DUPFD, lowest), EINVAL);
    struct pollfd {
        int fd;
        short events, revents;
    } polled[64];
    EXPECT_ERRNO(syscall(SYS_poll, polled, lowest + 1, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_ppoll, polled, lowest + 1, &(struct timespec){0}, NULL, 8), EINVAL);
}

#define TAKERS(X)                                                                                 \
    X(read, syscall(SYS_read, other_fd, room, 1))                                                 \
    X(write, syscall(SYS_write, other_fd, room, 1))                                               \
    X(close, syscall(SYS_close, other_fd))                                                        \
    X(fstat, syscall(SYS_fstat, other_fd, room))                                                  \
    X(lseek, syscall(SYS_lseek, other_fd, 0, 0))                                                  \
    X(mmap, syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, other_fd, 0))                      \
    X(ioctl, syscall(SYS_ioctl, other_fd, 0x5421, room))                                          \
    X(pread64, syscall(SYS_pread64, other_fd, room, 1, 0))                                        \
    X(pwrite64, syscall(SYS_pwrite64, other_fd, room, 1, 0))                                      \
    X(readv, syscall(SYS_readv, other_fd, room, 1))                                               \
    X(writev, syscall(SYS_writev, other_fd, room, 1))                                             \
    X(preadv, syscall(SYS_preadv, other_fd, room, 1, 0, 0))                                       \
    X(pwritev, syscall(SYS_pwritev, other_fd, room, 1, 0, 0))                                     \
    X(preadv2, syscall(SYS_preadv2, other_fd, room, 1, 0, 0, 0))                                  \
    X(pwritev2, syscall(SYS_pwritev2, other_fd, room, 1, 0, 0, 0))                                \
    X(dup, syscall(SYS_dup, other_fd))                                                            \
    X(dup2, syscall(SYS_dup2, other_fd, 900))                                                     \
    X(dup3, syscall(SYS_dup3, other_fd, 900, 0))                                                  \
    X(fcntl, syscall(SYS_fcntl, other_fd, F_GETFD))                                               \
    X(flock, syscall(SYS_flock, other_fd, 1))                                                     \
    X(fsync, syscall(SYS_fsync, other_fd))                                                        \
    X(fdatasync, syscall(SYS_fdatasync, other_fd))                                                \
    X(syncfs, syscall(SYS_syncfs, other_fd))                                                      \
    X(sync_file_range, syscall(SYS_sync_file_range, other_fd, 0, 0, 0))                           \
    X(ftruncate, syscall(SYS_ftruncate, other_fd, 0))                                             \
    X(getdents, syscall(SYS_getdents, other_fd, room, sizeof room))                               \
    X(getdents64, syscall(SYS_getdents64, other_fd, room, sizeof room))                           \
    X(fchdir, syscall(SYS_fchdir, other_fd))                                                      \
    X(fchmod, syscall(SYS_fchmod, other_fd, 0600))                                                \
    X(fchown, syscall(SYS_fchown, other_fd, -1, -1))                                              \
    X(fstatfs, syscall(SYS_fstatfs, other_fd, room))                                              \
    X(readahead, syscall(SYS_readahead, other_fd, 0, 1))                                          \
    X(fadvise64, syscall(SYS_fadvise64, other_fd, 0, 0, 0))                                       \
    X(fallocate, syscall(SYS_fallocate, other_fd, 0, 0, 1))                                       \
    X(fsetxattr, syscall(SYS_fsetxattr, other_fd, "user.a", "1", 1, 0))                           \
    X(fgetxattr, syscall(SYS_fgetxattr, other_fd, "user.a", room, 1))                             \
    X(flistxattr, syscall(SYS_flistxattr, other_fd, room, 1))                                     \
    X(fremovexattr, syscall(SYS_fremovexattr, other_fd, "user.a"))                                \
    X(connect, syscall(SYS_connect, other_fd, room, 16))                                          \
    X(accept, syscall(SYS_accept, other_fd, NULL, NULL))                                          \
    X(accept4, syscall(SYS_accept4, other_fd, NULL, NULL, 0))                                     \
    X(bind, syscall(SYS_bind, other_fd, room, 16))                                                \
    X(listen, syscall(SYS_listen, other_fd, 1))                                                   \
    X(getsockname, syscall(SYS_getsockname, other_fd, room, room + 64))                           \
    X(getpeername, syscall(SYS_getpeername, other_fd, room, room + 64))                           \
    X(setsockopt, syscall(SYS_setsockopt, other_fd, SOL_SOCKET, SO_REUSEADDR, room, 4))           \
    X(getsockopt, syscall(SYS_getsockopt, other_fd, SOL_SOCKET, SO_TYPE, room, room + 64))        \
    X(shutdown, syscall(SYS_shutdown, other_fd, 2))                                               \
    X(sendto, syscall(SYS_sendto, other_fd, room, 1, 0, NULL, 0))                                 \
    X(recvfrom, syscall(SYS_recvfrom, other_fd, room, 1, 0, NULL, NULL))                          \
    X(sendmsg, syscall(SYS_sendmsg, other_fd, room, 0))                                           \
    X(recvmsg, syscall(SYS_recvmsg, other_fd, room, 0))                                           \
    X(sendmmsg, syscall(SYS_sendmmsg, other_fd, room, 1, 0))                                      \
    X(recvmmsg, syscall(SYS_recvmmsg, other_fd, room, 1, 0, NULL))                                \
    X(epoll_ctl, syscall(SYS_epoll_ctl, other_fd, EPOLL_CTL_ADD, 0, room))                        \
    X(epoll_wait, syscall(SYS_epoll_wait, other_fd, room, 1, 0))                                  \
    X(epoll_pwait, syscall(SYS_epoll_pwait, other_fd, room, 1, 0, NULL, 8))                       \
    X(epoll_pwait2, syscall(SYS_epoll_pwait2, other_fd, room, 1, NULL, NULL, 8))                  \
    X(signalfd, syscall(SYS_signalfd, other_fd, no_signals, 8))                                   \
    X(signalfd4, syscall(SYS_signalfd4, other_fd, no_signals, 8, 0))                              \
    X(timerfd_settime, syscall(SYS_timerfd_settime, other_fd, 0, room, NULL))                     \
    X(timerfd_gettime, syscall(SYS_timerfd_gettime, other_fd, room))                              \
    X(inotify_add_watch, syscall(SYS_inotify_add_watch, other_fd, ".", 2))                        \
    X(inotify_rm_watch, syscall(SYS_inotify_rm_watch, other_fd, 1))                               \
    X(sendfile, syscall(SYS_sendfile, 1, other_fd, NULL, 1))                                      \
    X(splice, syscall(SYS_splice, other_fd, NULL, pair[1], NULL, 1, 0))                           \
    X(tee, syscall(SYS_tee, other_fd, pair[1], 1, 0))                                             \
    X(vmsplice, syscall(SYS_vmsplice, other_fd, room, 1, 0))                                      \
    X(copy_file_range, syscall(SYS_copy_file_range, other_fd, NULL, 1, NULL, 1, 0))               \
    X(mq_timedsend, syscall(SYS_mq_timedsend, other_fd, room, 1, 0, NULL))                        \
    X(mq_timedreceive, syscall(SYS_mq_timedreceive, other_fd, room, 4096, NULL, NULL))            \
    X(mq_notify, syscall(SYS_mq_notify, other_fd, NULL))                                          \
    X(mq_getsetattr, syscall(SYS_mq_getsetattr, other_fd, NULL, room))                            \
    X(setns, syscall(SYS_setns, other_fd, 0))                                                     \
    X(pidfd_send_signal, syscall(SYS_pidfd_send_signal, other_fd, 0, NULL, 0))                    \
    X(pidfd_getfd, syscall(SYS_pidfd_getfd, other_fd, 0, 0))                                      \
    X(process_madvise, syscall(SYS_process_madvise, other_fd, room, 1, MADV_COLD, 0))             \
    X(fsconfig, syscall(SYS_fsconfig, other_fd, 6, NULL, NULL, 0))                                \
    X(fsmount, syscall(SYS_fsmount, other_fd, 0, 0))                                              \
    X(open_tree, syscall(SYS_open_tree, other_fd, "file", 0))                                     \
    X(move_mount, syscall(SYS_move_mount, other_fd, "file", AT_FDCWD, ".", 0))                    \
    X(mount_setattr, syscall(SYS_mount_setattr, other_fd, "file", 0, attributes, 32))                   \
    X(setxattrat, syscall(463, other_fd, "file", 0, "user.a", room, 16))                          \
    X(getxattrat, syscall(464, other_fd, "file", 0, "user.a", room, 16))                          \
    X(listxattrat, syscall(465, other_fd, "file", 0, room, 16))                                   \
    X(removexattrat, syscall(466, other_fd, "file", 0, "user.a"))                                 \
    X(waitid, syscall(SYS_waitid, 3, other_fd, NULL, 4, NULL))
#define DEFINE_TAKER(name_, call_)                                                                \
    static long take_##name_(void)                                                                \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW_TAKER(name_, call_) {#name_, take_##name_},
TAKERS(DEFINE_TAKER)
static const struct call takers[] = {TAKERS(ROW_TAKER)};

static int is_call(const struct call *row, const char *names)
{
    char padded[64];
    snprintf(padded, sizeof padded, " %s ", row->name);
    return strstr(names, padded) != NULL;
}

/*
 * shows: read write close fstat lseek mmap ioctl pread64 pwrite64 readv writev preadv pwritev preadv2
 * pwritev2 dup dup2 dup3 fcntl flock fsync fdatasync syncfs sync_file_range ftruncate getdents
 * getdents64 fchdir fchmod fchown fstatfs readahead fadvise64 fallocate fsetxattr fgetxattr flistxattr
 * fremovexattr connect accept accept4 bind listen getsockname getpeername setsockopt getsockopt
 * shutdown sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg epoll_ctl epoll_wait epoll_pwait
 * epoll_pwait2 signalfd signalfd4 timerfd_settime timerfd_gettime inotify_add_watch inotify_rm_watch
 * sendfile splice tee vmsplice copy_file_range mq_timedsend mq_timedreceive mq_notify mq_getsetattr
 * setns pidfd_send_signal pidfd_getfd process_madvise fsconfig fsmount open_tree move_mount
 * mount_setattr setxattrat getxattrat listxattrat removexattrat waitid: EBADF
 */
CASE(no_such_number)
{
    tap_tmpdir();
    tap_write_file("file", "text");
    MUST(pipe(pair));
    static const int numbers[] = {777, -1};
    memset(room, 0, sizeof room);
    room[777 / 8] = 1 << 777 % 8;
    for (size_t n = 0; n < COUNT(numbers); n++) {
        other_fd = numbers[n];
        for (size_t i = 0; i < COUNT(takers); i++) {
            /* -1: no file, or a new one, or another error first */
            if (other_fd == -1 && is_call(&takers[i], " mmap signalfd signalfd4 waitid fsconfig "))
                continue;
            errno = 0;
            tap_fails(__LINE__, takers[i].name, takers[i].call(), EBADF, "EBADF");
        }
    }
}

CASE(closed_number_in_a_set)
{
    unsigned long set[16] = {0};
    int fd = MUST(dup(0));
    close(fd);
    set[0] = 1ul << fd;
    struct timespec now = {0, 0};
    EXPECT_ERRNO(syscall(SYS_select, fd + 1, set, NULL, NULL, &now), EBADF);
    EXPECT_ERRNO(syscall(SYS_pselect6, fd + 1, NULL, set, NULL, &now, NULL), EBADF);
    EXPECT_ERRNO(syscall(SYS_select, -1, set, NULL, NULL, &now), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pselect6, -1, set, NULL, NULL, &now, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_select, fd + 1, (void *)8, NULL, NULL, &now), EFAULT);
    EXPECT_ERRNO(syscall(SYS_pselect6, fd + 1, (void *)8, NULL, NULL, &now, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_select, 0, NULL, NULL, NULL, &(struct timeval){-1, 0}), EINVAL);
}

/* An O_PATH descriptor names a place and is no open file: most calls say EBADF. */
CASE(descriptor_of_a_place)
{
    tap_tmpdir();
    tap_write_file("file", "text");
    MUST(pipe(pair));
    memset(room, 0, sizeof room);
    other_fd = MUST(open("file", O_PATH));
    for (size_t i = 0; i < COUNT(takers); i++) {
        if (is_call(&takers[i], " close fstat dup dup2 dup3 fcntl fchdir fstatfs setns pidfd_send_signal "
                                "pidfd_getfd process_madvise fsconfig open_tree move_mount "
                                "mount_setattr setxattrat getxattrat listxattrat removexattrat waitid "
                                "fsmount syncfs "))
            continue;
        errno = 0;
        tap_fails(__LINE__, takers[i].name, takers[i].call(), EBADF, "EBADF");
    }
}

CASE(directory_where_bytes_are_wanted)
{
    tap_tmpdir();
    int fd = MUST(open(".", O_RDONLY));
    struct iovec iov = {room, 1};
    EXPECT_ERRNO(syscall(SYS_read, fd, room, 1), EISDIR);
    EXPECT_ERRNO(syscall(SYS_pread64, fd, room, 1, 0), EISDIR);
    EXPECT_ERRNO(syscall(SYS_readv, fd, &iov, 1), EISDIR);
    EXPECT_ERRNO(syscall(SYS_preadv, fd, &iov, 1, 0, 0), EISDIR);
    EXPECT_ERRNO(syscall(SYS_preadv2, fd, &iov, 1, 0, 0, 0), EISDIR);
    EXPECT_ERRNO(syscall(SYS_write, fd, room, 1), EBADF);
    int file = MUST(open("file", O_RDWR | O_CREAT, 0600));
    EXPECT_ERRNO(syscall(SYS_copy_file_range, fd, NULL, file, NULL, 1, 0), EISDIR);
    EXPECT_ERRNO(syscall(SYS_ftruncate, fd, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV);
    EXPECT_ERRNO(syscall(SYS_getdents, file, room, sizeof room), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_getdents64, file, room, sizeof room), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_getdents, fd, room, 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getdents, fd, (void *)8, sizeof room), EFAULT);
    MUST(mkdir("gone", 0700));
    int gone = MUST(open("gone", O_RDONLY));
    MUST(rmdir("gone"));
    EXPECT_ERRNO(syscall(SYS_getdents, gone, room, sizeof room), ENOENT);
    EXPECT_ERRNO(syscall(SYS_getdents64, gone, room, sizeof room), ENOENT);
    EXPECT_ERRNO(syscall(SYS_fcntl, file, F_NOTIFY, DN_ACCESS), ENOTDIR);
    loff_t end = 0x7ffffffffffffff0, zero = 0;
    EXPECT_ERRNO(syscall(SYS_copy_file_range, file, &zero, file, &end, -1l, 0), EOVERFLOW);
}

CASE(pipe_where_a_position_is_wanted)
{
    MUST(pipe(pair));
    struct iovec iov = {room, 1};
    EXPECT_ERRNO(syscall(SYS_pread64, pair[0], room, 1, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_pwrite64, pair[1], room, 1, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_preadv, pair[0], &iov, 1, 0, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_pwritev, pair[1], &iov, 1, 0, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_preadv2, pair[0], &iov, 1, 0, 0, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_pwritev2, pair[1], &iov, 1, 0, 0, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_fadvise64, pair[0], 0, 0, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_fallocate, pair[1], 0, 0, 1), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_lseek, pair[0], 0, 0), ESPIPE);
    EXPECT_ERRNO(syscall(SYS_ftruncate, pair[1], 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fsync, pair[1]), EINVAL);
    EXPECT_ERRNO(syscall(SYS_readahead, pair[0], 0, 1), EINVAL);
}

CASE(vectors_of_the_wrong_shape)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
    struct iovec iov = {room, 1}, bad = {(void *)8, 1}, huge = {room, -1};
    MUST(write(fd, room, 10));
    EXPECT_ERRNO(syscall(SYS_writev, fd, &iov, -1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_writev, fd, &iov, 1025), EINVAL);
    EXPECT_ERRNO(syscall(SYS_writev, fd, &huge, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_writev, fd, &bad, 1), EFAULT);
    EXPECT_ERRNO(syscall(SYS_writev, fd, (void *)8, 1), EFAULT);
    EXPECT_ERRNO(syscall(SYS_pwritev, fd, &iov, 1, -1L, -1L), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pwritev, fd, &bad, 1, 0, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_pwritev2, fd, &huge, 1, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pwritev2, fd, &bad, 1, 0, 0, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_pwritev2, fd, &iov, 1, 0, 0, 0x40000000), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_preadv2, fd, &iov, 1, 0, 0, 0x40000000), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_preadv, fd, &bad, 1, 0, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_preadv2, fd, &bad, 1, 0, 0, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_pread64, fd, (void *)8, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_pwrite64, fd, (void *)8, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_pwrite64, fd, room, 1, -1l), EINVAL);
    MUST(pipe2(pair, O_NONBLOCK));
    EXPECT_ERRNO(syscall(SYS_readv, pair[0], &iov, 1), EAGAIN);
    MUST(fcntl(pair[1], F_SETPIPE_SZ, 4096));
    struct iovec page = {room, 4096};
    EXPECT_EQ(syscall(SYS_writev, pair[1], &page, 1), 4096);
    EXPECT_ERRNO(syscall(SYS_writev, pair[1], &iov, 1), EAGAIN);
    EXPECT_ERRNO(syscall(SYS_vmsplice, pair[1], &iov, 1, SPLICE_F_NONBLOCK), EAGAIN);
    EXPECT_ERRNO(syscall(SYS_vmsplice, pair[1], &iov, 1025, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_vmsplice, pair[1], (void *)8, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_vmsplice, pair[1], &iov, 1, 0x100), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sendfile, pair[1], fd, &(long){0}, 1), EAGAIN);
    close(pair[0]);
    signal(SIGPIPE, SIG_IGN);
    EXPECT_ERRNO(syscall(SYS_writev, pair[1], &iov, 1), EPIPE);
    EXPECT_ERRNO(syscall(SYS_fadvise64, fd, 0, 0, 99), EINVAL);
}

/* Attributes by descriptor and of links. */
CASE(attributes_of_open_files)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
    static char big[70000], name[300];
    memset(name, 'n', 299);
    memcpy(name, "user.", 5);
    MUST(symlink("nowhere", "link"));
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, "user.a", big, sizeof big, 0), E2BIG);
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, "user.a", "1", 1, 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, "user.a", "1", 1, XATTR_REPLACE), ENODATA);
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, name, "1", 1, 0), ERANGE);
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, "", "1", 1, 0), ERANGE);
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, "else.a", "1", 1, 0), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, "user.a", (void *)8, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_fgetxattr, fd, "user.a", room, 10), ENODATA);
    EXPECT_ERRNO(syscall(SYS_fgetxattr, fd, "else.a", room, 10), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_getxattr, "file", "else.a", room, 10), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_fremovexattr, fd, "user.a"), ENODATA);
    EXPECT_ERRNO(syscall(SYS_fremovexattr, fd, "else.a"), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_fremovexattr, fd, (void *)8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_removexattr, "file", "else.a"), EOPNOTSUPP);
    EXPECT_OK(syscall(SYS_fsetxattr, fd, "trusted.a", "value", 5, 0));
    EXPECT_ERRNO(syscall(SYS_fsetxattr, fd, "trusted.a", "1", 1, XATTR_CREATE), EEXIST);
    EXPECT_ERRNO(syscall(SYS_fgetxattr, fd, "trusted.a", room, 2), ERANGE);
    EXPECT_ERRNO(syscall(SYS_fgetxattr, fd, "trusted.a", (void *)8, 5), EFAULT);
    EXPECT_ERRNO(syscall(SYS_flistxattr, fd, room, 2), ERANGE);
    EXPECT_ERRNO(syscall(SYS_flistxattr, fd, (void *)8, 100), EFAULT);
    EXPECT_ERRNO(syscall(SYS_lsetxattr, "link", "user.a", "1", 1, 0), EPERM);
    EXPECT_ERRNO(syscall(SYS_lsetxattr, "link", "trusted.a", "1", 1, 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_lsetxattr, "link", "trusted.a", "1", 1, XATTR_REPLACE), ENODATA);
    EXPECT_ERRNO(syscall(SYS_lsetxattr, "link", "trusted.a", big, sizeof big, 0), E2BIG);
    EXPECT_ERRNO(syscall(SYS_lsetxattr, "link", name, "1", 1, 0), ERANGE);
    EXPECT_ERRNO(syscall(SYS_lsetxattr, "link", "else.a", "1", 1, 0), EOPNOTSUPP);
    EXPECT_OK(syscall(SYS_lsetxattr, "link", "trusted.a", "value", 5, 0));
    EXPECT_ERRNO(syscall(SYS_lsetxattr, "link", "trusted.a", "1", 1, XATTR_CREATE), EEXIST);
    EXPECT_ERRNO(syscall(SYS_lgetxattr, "link", "trusted.a", room, 2), ERANGE);
    EXPECT_ERRNO(syscall(SYS_lgetxattr, "link", "trusted.b", room, 10), ENODATA);
    EXPECT_ERRNO(syscall(SYS_lgetxattr, "link", "else.a", room, 10), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_llistxattr, "link", room, 2), ERANGE);
    EXPECT_ERRNO(syscall(SYS_lremovexattr, "link", "trusted.b"), ENODATA);
    EXPECT_ERRNO(syscall(SYS_lremovexattr, "link", "else.a"), EOPNOTSUPP);
    /* the calls of 2025 that take a directory and a struct */
    struct {
        unsigned long value;
        unsigned int size, flags;
        unsigned long more;
    } args = {(unsigned long)room, 10, 0, 1};
    SKIP_IF(syscall(463, AT_FDCWD, "file", 0, "user.a", &args, 3) < 0 && errno == ENOSYS,
            "no setxattrat");
    EXPECT_ERRNO(syscall(463 /* setxattrat */, AT_FDCWD, "file", 0, "user.a", &args, 3), EINVAL);
    EXPECT_ERRNO(syscall(463, AT_FDCWD, "file", 0, "user.a", &args, 24), E2BIG);
    EXPECT_ERRNO(syscall(463, AT_FDCWD, "file", 0, "user.a", (void *)8, 16), EFAULT);
    EXPECT_ERRNO(syscall(463, AT_FDCWD, "none", 0, "user.a", &args, 16), ENOENT);
    EXPECT_ERRNO(syscall(463, AT_FDCWD, "file", 1, "user.a", &args, 16), EINVAL);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.b", &args, 3), EINVAL);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.b", &args, 24), E2BIG);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.b", (void *)8, 16), EFAULT);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.b", &args, 16), ENODATA);
    args.size = 2;
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "trusted.a", &args, 16), ERANGE);
    EXPECT_ERRNO(syscall(465, AT_FDCWD, "file", 1, room, 16), EINVAL);
    EXPECT_ERRNO(syscall(465, AT_FDCWD, "file", 0, room, 2), ERANGE);
    EXPECT_ERRNO(syscall(465, AT_FDCWD, "file", 0, (void *)8, 100), EFAULT);
    EXPECT_ERRNO(syscall(466, AT_FDCWD, "file", 1, "user.b"), EINVAL);
    EXPECT_ERRNO(syscall(466, AT_FDCWD, "file", 0, "user.b"), ENODATA);
    EXPECT_ERRNO(syscall(466, AT_FDCWD, "file", 0, (void *)8), EFAULT);
}
/* shows: setxattrat: EINVAL E2BIG EFAULT ENOENT */
/* shows: getxattrat: EINVAL E2BIG EFAULT ENODATA ERANGE */
/* shows: listxattrat: EINVAL ERANGE EFAULT */
/* shows: removexattrat: EINVAL ENODATA EFAULT */
