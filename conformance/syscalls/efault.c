/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers that end in memory that is not there or may only be read: what moved, what is told. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

/* The first byte behind the last page that is there. */
static char *edge(void)
{
    char *pages = tap_pages(2);
    memset(pages, 'e', 4096);
    MUST(munmap(pages + 4096, 4096));
    return pages + 4096;
}

static char *read_only(void)
{
    char *page = tap_pages(1);
    memset(page, 'r', 4096);
    MUST(mprotect(page, 4096, PROT_READ));
    return page;
}

static int file_of(const char *text)
{
    tap_tmpdir();
    tap_write_file("file", text);
    return (int)MUST(open("file", O_RDWR));
}

CASE(read_into_read_only_memory)
{
    int fd = file_of("hello");
    char *page = read_only();
    EXPECT_ERRNO(read(fd, page, 5), EFAULT);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
    EXPECT_EQ(page[0], 'r');
    EXPECT_EQ(write(fd, page, 5), 5);
}

CASE(read_of_a_file_stops_at_the_edge)
{
    int fd = file_of("hello world");
    char *end = edge();
    EXPECT_EQ(read(fd, end - 4, 10), 4);
    EXPECT_MEM(end - 4, "hell", 4);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 4);
    EXPECT_ERRNO(read(fd, end, 10), EFAULT);
    EXPECT_EQ(pread(fd, end - 2, 10, 6), 2);
}

CASE(write_of_a_file_stops_at_the_edge)
{
    int fd = file_of("");
    char *end = edge();
    memcpy(end - 3, "abc", 3);
    EXPECT_EQ(write(fd, end - 3, 10), 3);
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_size, 3);
    EXPECT_ERRNO(write(fd, end, 1), EFAULT);
}

CASE(vectors_stop_at_the_bad_part)
{
    int fd = file_of("hello world");
    char a[4] = {0};
    struct iovec iov[3] = {{a, 3}, {(void *)8, 5}, {a, 1}};
    EXPECT_EQ(readv(fd, iov, 3), 3);
    EXPECT_MEM(a, "hel", 3);
    EXPECT_EQ(writev(fd, iov, 3), 3);
    iov[0].iov_base = (void *)8;
    EXPECT_ERRNO(readv(fd, iov, 3), EFAULT);
}

CASE(vector_beyond_the_address_space)
{
    int fd = file_of("hello");
    char a[4];
    struct iovec iov[2] = {{a, 3}, {(void *)0xffff800000000000, 5}};
    EXPECT_ERRNO(readv(fd, iov, 2), EFAULT); /* found before anything moves */
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
}

CASE(vector_array_at_the_edge)
{
    int fd = file_of("hello");
    char *end = edge();
    char a[4];
    struct iovec iov = {a, 3};
    memcpy(end - sizeof iov, &iov, sizeof iov);
    struct iovec *last = (void *)(end - sizeof iov);
    EXPECT_EQ(readv(fd, last, 1), 3);
    EXPECT_ERRNO(readv(fd, last, 2), EFAULT);
}

CASE(structures_at_the_edge)
{
    char *end = edge();
    EXPECT_ERRNO(syscall(SYS_stat, "/", end - 100), EFAULT);
    EXPECT_EQ(syscall(SYS_stat, "/", end - sizeof(struct stat)), 0);
    EXPECT_ERRNO(syscall(SYS_uname, end - 300), EFAULT);
    EXPECT_EQ(syscall(SYS_uname, end - sizeof(struct utsname)), 0);
    EXPECT_ERRNO(syscall(SYS_clock_gettime, CLOCK_REALTIME, end - 8), EFAULT);
    EXPECT_EQ(syscall(SYS_clock_gettime, CLOCK_REALTIME, end - 16), 0);
    EXPECT_ERRNO(syscall(SYS_pipe, end - 4), EFAULT);
    EXPECT_EQ(syscall(SYS_pipe, end - 8), 0);
    EXPECT_ERRNO(syscall(SYS_getrlimit, 7, end - 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getcwd, end - 1, 100), EFAULT);
}

CASE(failed_pipe_leaves_no_descriptors)
{
    char *end = edge();
    int before = (int)MUST(dup(0));
    close(before);
    EXPECT_ERRNO(syscall(SYS_pipe2, end - 4, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, end - 4), EFAULT);
    EXPECT_EQ(dup(0), before);
}

CASE(directory_entries_that_fit)
{
    tap_tmpdir();
    for (int i = 0; i < 9; i++)
        tap_write_file((char[]){'f', (char)('0' + i), 0}, "");
    int fd = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
    char *end = edge();
    long size = syscall(SYS_getdents64, fd, end - 60, 4096);
    EXPECT_EQ(size, 48); /* two of 24 bytes */
    EXPECT_ERRNO(syscall(SYS_getdents64, fd, end - 8, 4096), EFAULT);
}

CASE(datagram_into_a_bad_buffer_is_lost)
{
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    EXPECT_EQ(send(pair[0], "one", 3, 0), 3);
    EXPECT_EQ(send(pair[0], "two", 3, 0), 3);
    char *end = edge();
    EXPECT_ERRNO(recv(pair[1], end - 1, 3, 0), EFAULT);
    char text[4] = {0};
    EXPECT_EQ(recv(pair[1], text, 3, 0), 3);
    EXPECT_STR(text, "two");
}

CASE(pipe_read_into_a_bad_buffer_keeps_the_bytes)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "hello", 5), 5);
    EXPECT_ERRNO(read(fds[0], (void *)8, 5), EFAULT);
    char text[8] = {0};
    EXPECT_EQ(read(fds[0], text, 5), 5);
    EXPECT_STR(text, "hello");
}

CASE(eventfd_into_a_bad_buffer)
{
    int fd = (int)MUST(eventfd(7, EFD_NONBLOCK));
    EXPECT_ERRNO(read(fd, (void *)8, 8), EFAULT);
    eventfd_t value = 0;
    EXPECT_ERRNO(eventfd_read(fd, &value), EAGAIN); /* taken before it was copied out */
}

CASE(poll_array_at_the_edge)
{
    char *end = edge();
    struct pollfd p = {-1, POLLIN, 0};
    memcpy(end - sizeof p, &p, sizeof p);
    EXPECT_EQ(poll((void *)(end - sizeof p), 1, 0), 0);
    EXPECT_ERRNO(syscall(SYS_poll, end - sizeof p, 2, 0), EFAULT);
}

CASE(wait_status_that_cannot_be_stored)
{
    CHILD(pid)
    {
        _exit(3);
    }
    EXPECT_ERRNO(syscall(SYS_wait4, pid, (void *)8, 0, NULL), EFAULT);
    EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD); /* reaped all the same */
}

CASE(sockets_addresses_and_lengths)
{
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    char name[128];
    socklen_t size = sizeof name;
    EXPECT_ERRNO(syscall(SYS_getsockname, pair[0], 8, &size), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getsockname, pair[0], name, 8), EFAULT);
    size = (socklen_t)-1;
    EXPECT_ERRNO(syscall(SYS_getsockname, pair[0], name, &size), EINVAL);
    size = 1;
    EXPECT_EQ(syscall(SYS_getsockname, pair[0], name, &size), 0);
    EXPECT_EQ(size, 2); /* the whole size is told, one byte was stored */
    size = 4;
    EXPECT_ERRNO(syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, 8, &size), EFAULT);
    EXPECT_ERRNO(syscall(SYS_bind, pair[0], 8, 10), EFAULT);
    EXPECT_ERRNO(syscall(SYS_sendmsg, pair[0], 8, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_recvmsg, pair[0], 8, 0), EFAULT);
}
