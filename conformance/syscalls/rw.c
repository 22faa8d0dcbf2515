/* SPDX-License-Identifier: Apache-2.0 */
/* read, write, their vector and positioned forms, lseek: counts, holes, limits, bad buffers. */
#include "tap.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int open_with(const char *text)
{
    tap_tmpdir();
    tap_write_file("file", text);
    return MUST(open("file", O_RDWR));
}

/* The last byte before memory that is not there. */
static char *edge(void)
{
    char *pages = tap_pages(2);
    MUST(munmap(pages + 4096, 4096));
    return pages + 4096;
}

CASE(read_stops_at_the_end)
{
    int fd = open_with("hello");
    char text[16] = {0};
    EXPECT_EQ(read(fd, text, 3), 3);
    EXPECT_EQ(read(fd, text + 3, 10), 2);
    EXPECT_STR(text, "hello");
    EXPECT_EQ(read(fd, text, 1), 0);
    EXPECT_EQ(read(fd, text, 0), 0);
}

CASE(write_extends)
{
    int fd = open_with("hello");
    EXPECT_EQ(lseek(fd, 0, SEEK_END), 5);
    EXPECT_EQ(write(fd, " world", 6), 6);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 11);
    char text[16] = {0};
    EXPECT_EQ(tap_read_file("file", text, sizeof text), 11);
    EXPECT_STR(text, "hello world");
}

CASE(bad_descriptors)
{
    char byte = 0;
    EXPECT_ERRNO(read(-1, &byte, 1), EBADF);
    EXPECT_ERRNO(write(999, &byte, 1), EBADF);
    EXPECT_ERRNO(read(-1, NULL, 0), EBADF);
    struct iovec iov = {&byte, 1};
    EXPECT_ERRNO(readv(-1, &iov, 1), EBADF);
    EXPECT_ERRNO(pread(-1, &byte, 1, 0), EBADF);
    EXPECT_ERRNO(lseek(-1, 0, SEEK_SET), EBADF);
}

CASE(bad_buffers)
{
    int fd = open_with("hello");
    EXPECT_ERRNO(read(fd, (void *)8, 4), EFAULT);
    EXPECT_ERRNO(write(fd, (void *)8, 4), EFAULT);
    EXPECT_ERRNO(read(fd, (void *)0xffffffffff000000, 4), EFAULT);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
    EXPECT_EQ(read(fd, (void *)8, 0), 0);
}

CASE(read_up_to_the_end_of_memory)
{
    int fd = open_with("hello");
    char *end = edge();
    EXPECT_EQ(read(fd, end - 3, 3), 3);
    EXPECT_MEM(end - 3, "hel", 3);
    EXPECT_EQ(read(fd, end, 0), 0);
    EXPECT_ERRNO(read(fd, end, 1), EFAULT);
}

CASE(pipe_write_with_a_partly_bad_buffer)
{
    int fds[2];
    MUST(pipe(fds));
    char *end = edge();
    memcpy(end - 3, "abc", 3);
    EXPECT_ERRNO(write(fds[1], end - 3, 10), EFAULT);
    EXPECT_ERRNO(write(fds[1], end, 10), EFAULT);
}

CASE(huge_count_is_cut)
{
    int fd = MUST(open("/dev/null", O_RDWR));
    static char byte; /* far below the end of the address space, which the count must not cross */
    EXPECT_EQ(write(fd, &byte, 0x7ffff000), 0x7ffff000);
    EXPECT_EQ(write(fd, &byte, (size_t)INT_MAX + 10), 0x7ffff000);
    EXPECT_EQ(read(fd, &byte, 0x7ffff000), 0);
    EXPECT_ERRNO(read(fd, &byte, (size_t)-1), EFAULT);
}

CASE(pread_does_not_move)
{
    int fd = open_with("hello");
    char text[8] = {0};
    EXPECT_EQ(pread(fd, text, 3, 2), 3);
    EXPECT_STR(text, "llo");
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
    EXPECT_EQ(pread(fd, text, 3, 5), 0);
    EXPECT_EQ(pread(fd, text, 3, 1000), 0);
    EXPECT_ERRNO(pread(fd, text, 3, -1), EINVAL);
}

CASE(pwrite_leaves_a_hole)
{
    int fd = open_with("a");
    EXPECT_EQ(pwrite(fd, "z", 1, 4), 1);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
    char text[8] = {0};
    EXPECT_EQ(read(fd, text, 8), 5);
    EXPECT_MEM(text, "a\0\0\0z", 5);
    EXPECT_ERRNO(pwrite(fd, "z", 1, -1), EINVAL);
    int append = MUST(open("file", O_WRONLY | O_APPEND));
    EXPECT_EQ(pwrite(append, "!", 1, 0), 1);
    EXPECT_EQ(lseek(fd, 0, SEEK_END), 6);
}

CASE(positioned_on_a_pipe)
{
    int fds[2];
    MUST(pipe(fds));
    char byte = 0;
    EXPECT_ERRNO(pread(fds[0], &byte, 1, 0), ESPIPE);
    EXPECT_ERRNO(pwrite(fds[1], &byte, 1, 0), ESPIPE);
    EXPECT_ERRNO(lseek(fds[0], 0, SEEK_CUR), ESPIPE);
    struct iovec iov = {&byte, 1};
    EXPECT_ERRNO(preadv(fds[0], &iov, 1, 0), ESPIPE);
    EXPECT_EQ(pwritev2(fds[1], &iov, 1, -1, 0), 1);
    EXPECT_EQ(preadv2(fds[0], &iov, 1, -1, 0), 1);
}

CASE(readv_fills_in_order)
{
    int fd = open_with("hello world");
    char a[5] = {0};
    char b[2] = {0};
    char c[10] = {0};
    struct iovec iov[] = {{a, 4}, {NULL, 0}, {b, 1}, {c, 9}};
    EXPECT_EQ(readv(fd, iov, 4), 11);
    EXPECT_STR(a, "hell");
    EXPECT_STR(b, "o");
    EXPECT_STR(c, " world");
    EXPECT_EQ(readv(fd, iov, 4), 0);
}

CASE(writev_gathers)
{
    int fd = open_with("");
    struct iovec iov[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    EXPECT_EQ(writev(fd, iov, 3), 5);
    char text[8] = {0};
    EXPECT_EQ(pread(fd, text, 8, 0), 5);
    EXPECT_STR(text, "abcde");
    EXPECT_EQ(writev(fd, iov, 0), 0);
}

CASE(vector_counts)
{
    int fd = open_with("hello");
    static struct iovec iov[1025];
    char byte = 0;
    for (int i = 0; i < 1025; i++)
        iov[i] = (struct iovec){&byte, i == 1023};
    EXPECT_EQ(readv(fd, iov, 1024), 1);
    EXPECT_ERRNO(readv(fd, iov, 1025), EINVAL);
    EXPECT_ERRNO(readv(fd, iov, -1), EINVAL);
    EXPECT_ERRNO(readv(fd, (void *)8, 1), EFAULT);
    EXPECT_EQ(readv(fd, (void *)8, 0), 0);
    iov[0].iov_len = (size_t)-1;
    EXPECT_ERRNO(readv(fd, iov, 1), EINVAL);
}

CASE(preadv_pwritev)
{
    int fd = open_with("hello");
    char a[3] = {0};
    char b[3] = {0};
    struct iovec iov[] = {{a, 2}, {b, 2}};
    EXPECT_EQ(preadv(fd, iov, 2, 1), 4);
    EXPECT_STR(a, "el");
    EXPECT_STR(b, "lo");
    EXPECT_EQ(pwritev(fd, iov, 2, 6), 4);
    EXPECT_ERRNO(preadv(fd, iov, 2, -1), EINVAL);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
    EXPECT_EQ(lseek(fd, 0, SEEK_END), 10);
}

CASE(preadv2_flags)
{
    int fd = open_with("hello");
    char a[8] = {0};
    struct iovec iov = {a, 8};
    EXPECT_EQ(preadv2(fd, &iov, 1, -1, 0), 5);
    EXPECT_EQ(preadv2(fd, &iov, 1, -1, 0), 0);
    EXPECT_ERRNO(preadv2(fd, &iov, 1, 0, 1 << 30), EOPNOTSUPP);
    EXPECT_ERRNO(preadv2(fd, &iov, 1, -2, 0), EINVAL);
}

CASE(lseek_whence)
{
    int fd = open_with("hello");
    EXPECT_EQ(lseek(fd, 3, SEEK_SET), 3);
    EXPECT_EQ(lseek(fd, -1, SEEK_CUR), 2);
    EXPECT_EQ(lseek(fd, 10, SEEK_END), 15);
    EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    EXPECT_ERRNO(lseek(fd, -6, SEEK_END), EINVAL);
    EXPECT_ERRNO(lseek(fd, 0, 99), EINVAL);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 15);
    char byte;
    EXPECT_EQ(read(fd, &byte, 1), 0);
}

CASE(lseek_data_and_hole)
{
    int fd = open_with("hello");
    EXPECT_EQ(lseek(fd, 0, SEEK_DATA), 0);
    EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 5);
    EXPECT_ERRNO(lseek(fd, 5, SEEK_DATA), ENXIO);
    EXPECT_ERRNO(lseek(fd, 5, SEEK_HOLE), ENXIO);
    EXPECT_ERRNO(lseek(fd, -1, SEEK_DATA), ENXIO);
}

CASE(lseek_skips_a_hole)
{
    int fd = open_with("");
    EXPECT_EQ(pwrite(fd, "x", 1, 1 << 20), 1);
    EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 0);
    off_t data = lseek(fd, 0, SEEK_DATA);
    EXPECT(data == 0 || data == 1 << 20);
}

CASE(offset_is_shared_by_dup_and_fork)
{
    int fd = open_with("hello");
    int copy = MUST(dup(fd));
    char byte = 0;
    EXPECT_EQ(read(fd, &byte, 1), 1);
    EXPECT_EQ(read(copy, &byte, 1), 1);
    EXPECT_EQ(byte, 'e');
    CHILD(pid)
    {
        EXPECT_EQ(read(fd, &byte, 1), 1);
        EXPECT_EQ(byte, 'l');
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 3);
    int other = MUST(open("file", O_RDONLY));
    EXPECT_EQ(lseek(other, 0, SEEK_CUR), 0);
}

CASE(offset_near_the_largest)
{
    int fd = open_with("");
    char byte = 0;
    EXPECT_EQ(pread(fd, &byte, 1, 0x7fffffffffffefff), 0);
    EXPECT_ERRNO(pread(fd, &byte, 0x1000, 0x7ffffffffffff800), EINVAL);
    EXPECT_ERRNO(pwrite(fd, &byte, 1, 0x7fffffffffffffff), EINVAL);
    EXPECT_ERRNO(lseek(fd, 1, SEEK_CUR) == 1 ? lseek(fd, 0x7fffffffffffffff, SEEK_CUR) : 0,
                 EINVAL);
}

CASE(file_size_limit)
{
    int fd = open_with("");
    struct rlimit limit = {100, 100};
    MUST(setrlimit(RLIMIT_FSIZE, &limit));
    signal(SIGXFSZ, SIG_IGN);
    char text[200] = {0};
    EXPECT_EQ(write(fd, text, 60), 60);
    EXPECT_EQ(write(fd, text, 60), 40);
    EXPECT_ERRNO(write(fd, text, 60), EFBIG);
    EXPECT_ERRNO(ftruncate(fd, 101), EFBIG);
    CHILD(pid)
    {
        signal(SIGXFSZ, SIG_DFL);
        struct rlimit none = {0, 100};
        setrlimit(RLIMIT_CORE, &none);
        write(fd, text, 1);
    }
    EXPECT_KILLED(pid, SIGXFSZ);
}

CASE(write_through_two_descriptors)
{
    int a = open_with("");
    int b = MUST(open("file", O_RDWR));
    EXPECT_EQ(write(a, "aaaa", 4), 4);
    EXPECT_EQ(write(b, "bb", 2), 2);
    char text[8] = {0};
    EXPECT_EQ(pread(a, text, 8, 0), 4);
    EXPECT_STR(text, "bbaa");
}

CASE(large_transfer_is_whole)
{
    int fd = open_with("");
    static char out[300000];
    static char in[300000];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 7 + i / 251);
    EXPECT_EQ(write(fd, out, sizeof out), sizeof out);
    EXPECT_EQ(pread(fd, in, sizeof in, 0), sizeof in);
    EXPECT_MEM(in, out, sizeof in);
    EXPECT_EQ(pread(fd, in, sizeof in, 4097), sizeof in - 4097);
    EXPECT_MEM(in, out + 4097, sizeof in - 4097);
}

CASE(fsync_family)
{
    int fd = open_with("x");
    EXPECT_EQ(fsync(fd), 0);
    EXPECT_EQ(fdatasync(fd), 0);
    EXPECT_EQ(syncfs(fd), 0);
    EXPECT_EQ(sync_file_range(fd, 0, 0, 0), 0);
    EXPECT_ERRNO(sync_file_range(fd, 0, 0, 1 << 20), EINVAL);
    EXPECT_ERRNO(fsync(-1), EBADF);
    int fds[2];
    MUST(pipe(fds));
    EXPECT_ERRNO(fsync(fds[0]), EINVAL);
    EXPECT_ERRNO(fdatasync(fds[0]), EINVAL);
    EXPECT_ERRNO(sync_file_range(fds[0], 0, 0, 0), ESPIPE);
}

CASE(fadvise_and_readahead)
{
    int fd = open_with("x");
    for (int advice = 0; advice <= 5; advice++)
        EXPECT_EQ(posix_fadvise(fd, 0, 0, advice), 0);
    EXPECT_EQ(posix_fadvise(fd, 0, 0, 77), EINVAL);
    EXPECT_EQ(posix_fadvise(-1, 0, 0, 0), EBADF);
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(posix_fadvise(fds[0], 0, 0, 0), ESPIPE);
    EXPECT_ERRNO(readahead(-1, 0, 1), EBADF);
    EXPECT_ERRNO(readahead(fds[0], 0, 1), EINVAL);
}

CASE(copy_file_range_copies)
{
    int from = open_with("hello world");
    int to = MUST(open("to", O_RDWR | O_CREAT, 0644));
    off_t offset = 6;
    EXPECT_EQ(copy_file_range(from, &offset, to, NULL, 100, 0), 5);
    EXPECT_EQ(offset, 11);
    EXPECT_EQ(lseek(from, 0, SEEK_CUR), 0);
    EXPECT_EQ(lseek(to, 0, SEEK_CUR), 5);
    char text[16] = {0};
    EXPECT_EQ(tap_read_file("to", text, sizeof text), 5);
    EXPECT_STR(text, "world");
    EXPECT_ERRNO(copy_file_range(from, &offset, to, NULL, 1, 1), EINVAL);
    int append = MUST(open("to", O_WRONLY | O_APPEND));
    EXPECT_ERRNO(copy_file_range(from, NULL, append, NULL, 1, 0), EBADF);
}
