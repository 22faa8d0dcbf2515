/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes, splice, tee, vmsplice and sendfile. */
#include "tap.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

CASE(bytes_go_through_in_order)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(fds[1], fds[0] + 1);
    EXPECT_EQ(write(fds[1], "abc", 3), 3);
    EXPECT_EQ(write(fds[1], "def", 3), 3);
    char text[8] = {0};
    EXPECT_EQ(read(fds[0], text, 4), 4);
    EXPECT_STR(text, "abcd");
    EXPECT_EQ(read(fds[0], text, 8), 2);
}

CASE(ends_have_one_direction)
{
    int fds[2];
    MUST(pipe(fds));
    char byte;
    EXPECT_ERRNO(write(fds[0], "x", 1), EBADF);
    EXPECT_ERRNO(read(fds[1], &byte, 1), EBADF);
    EXPECT_EQ(fcntl(fds[0], F_GETFL), O_RDONLY);
    EXPECT_EQ(fcntl(fds[1], F_GETFL), O_WRONLY);
}

CASE(pipe2_flags)
{
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    EXPECT_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(fcntl(fds[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    char byte;
    EXPECT_ERRNO(read(fds[0], &byte, 1), EAGAIN);
    EXPECT_ERRNO(pipe2(fds, O_APPEND), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pipe, (void *)8), EFAULT);
    EXPECT_OK(open("/dev/null", O_RDONLY) == fds[1] + 1 ? 0 : -1); /* nothing leaked */
}

CASE(end_of_file_when_writers_are_gone)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    close(fds[1]);
    char text[4];
    EXPECT_EQ(read(fds[0], text, 4), 1);
    EXPECT_EQ(read(fds[0], text, 4), 0);
    EXPECT_EQ(read(fds[0], text, 4), 0);
}

CASE(broken_pipe)
{
    int fds[2];
    MUST(pipe(fds));
    close(fds[0]);
    tap_handle(SIGPIPE, on_signal, 0);
    EXPECT_ERRNO(write(fds[1], "x", 1), EPIPE);
    EXPECT_EQ(signal_count, 1);
    CHILD(pid)
    {
        signal(SIGPIPE, SIG_DFL);
        write(fds[1], "x", 1);
    }
    EXPECT_KILLED(pid, SIGPIPE);
}

CASE(reader_sleeps_until_written)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        char text[4];
        EXPECT_EQ(read(fds[0], text, 4), 2);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(write(fds[1], "ab", 2), 2);
    EXPECT_EXIT(pid, 0);
}

CASE(reader_wakes_when_the_writer_closes)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        close(fds[1]);
        char text[4];
        EXPECT_EQ(read(fds[0], text, 4), 0);
    }
    tap_until_asleep(pid);
    close(fds[1]);
    EXPECT_EXIT(pid, 0);
}

CASE(read_is_interrupted)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, 0);
        char byte;
        EXPECT_ERRNO(read(fds[0], &byte, 1), EINTR);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(capacity)
{
    int fds[2];
    MUST(pipe2(fds, O_NONBLOCK));
    EXPECT_EQ(fcntl(fds[0], F_GETPIPE_SZ), 65536);
    static char page[4096];
    long total = 0;
    ssize_t count;
    while ((count = write(fds[1], page, sizeof page)) > 0)
        total += count;
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(total, 65536);
    int filled = 0;
    EXPECT_EQ(ioctl(fds[0], FIONREAD, &filled), 0);
    EXPECT_EQ(filled, 65536);
}

CASE(resize)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(fcntl(fds[0], F_SETPIPE_SZ, 5000), 8192);
    EXPECT_EQ(fcntl(fds[1], F_GETPIPE_SZ), 8192);
    EXPECT_EQ(fcntl(fds[0], F_SETPIPE_SZ, 0), 4096);
    EXPECT_EQ(fcntl(fds[0], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    static char data[20000] = {1, 2, 3};
    EXPECT_EQ(write(fds[1], data, sizeof data), sizeof data);
    EXPECT_ERRNO(fcntl(fds[0], F_SETPIPE_SZ, 4096), EBUSY);
    EXPECT_EQ(fcntl(fds[0], F_SETPIPE_SZ, 32768), 32768);
    static char back[20000];
    EXPECT_EQ(read(fds[0], back, sizeof back), sizeof back);
    EXPECT_MEM(back, data, sizeof back);
    EXPECT_ERRNO(fcntl(fds[0], F_SETPIPE_SZ, -1), EINVAL);
    int null = MUST(open("/dev/null", O_RDONLY));
    EXPECT_ERRNO(fcntl(null, F_GETPIPE_SZ), EBADF);
}

CASE(small_writes_are_atomic)
{
    int fds[2];
    MUST(pipe2(fds, O_NONBLOCK));
    static char page[4096];
    for (int i = 0; i < 15; i++)
        EXPECT_EQ(write(fds[1], page, 4096), 4096);
    EXPECT_EQ(write(fds[1], page, 4000), 4000);
    EXPECT_ERRNO(write(fds[1], page, 4096), EAGAIN);
    static char more[5000];
    EXPECT_EQ(read(fds[0], page, 4096), 4096);
    EXPECT_EQ(write(fds[1], more, 5000) > 0, 1);
}

CASE(large_write_is_done_in_parts)
{
    int fds[2];
    MUST(pipe(fds));
    static char data[200000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 + i / 253);
    CHILD(pid)
    {
        close(fds[0]);
        EXPECT_EQ(write(fds[1], data, sizeof data), sizeof data);
    }
    close(fds[1]);
    static char back[200001];
    size_t size = 0;
    ssize_t count;
    while ((count = read(fds[0], back + size, sizeof back - size)) > 0)
        size += (size_t)count;
    EXPECT_EQ(size, sizeof data);
    EXPECT_MEM(back, data, sizeof data);
    EXPECT_EXIT(pid, 0);
}

CASE(writer_wakes_when_the_reader_closes)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        close(fds[0]);
        signal(SIGPIPE, SIG_IGN);
        static char data[100000];
        ssize_t count = write(fds[1], data, sizeof data);
        EXPECT_EQ(count, 65536);
        EXPECT_ERRNO(write(fds[1], data, 1), EPIPE);
    }
    tap_until_asleep(pid);
    close(fds[0]);
    EXPECT_EXIT(pid, 0);
}

CASE(partial_write_when_interrupted)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, 0);
        static char data[100000];
        EXPECT_EQ(write(fds[1], data, sizeof data), 65536);
        EXPECT_ERRNO(write(fds[1], data, 1), EINTR);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    tap_sleep_ms(20);
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(packet_mode)
{
    int fds[2];
    MUST(pipe2(fds, O_DIRECT));
    EXPECT_EQ(write(fds[1], "abc", 3), 3);
    EXPECT_EQ(write(fds[1], "de", 2), 2);
    char text[8] = {0};
    EXPECT_EQ(read(fds[0], text, 8), 3);
    EXPECT_EQ(read(fds[0], text, 1), 1);
    EXPECT_EQ(text[0], 'd');
    EXPECT_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    EXPECT_ERRNO(read(fds[0], text, 8), EAGAIN); /* the rest of the packet is gone */
}

CASE(zero_sized_transfers)
{
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "", 0), 0);
    EXPECT_EQ(read(fds[0], "", 0), 0);
}

CASE(reopened_through_proc)
{
    int fds[2];
    MUST(pipe(fds));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[1]);
    int writer = MUST(open(path, O_WRONLY));
    EXPECT_EQ(write(writer, "q", 1), 1);
    char byte = 0;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'q');
    char text[64] = {0};
    struct stat st;
    MUST(fstat(fds[0], &st));
    EXPECT(readlink(path, text, sizeof text - 1) > 0);
    snprintf(path, sizeof path, "pipe:[%lu]", (unsigned long)st.st_ino);
    EXPECT_STR(text, path);
}

CASE(reopening_waits_for_nobody)
{
    int fds[2];
    char path[40], byte;
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EQ(close(fds[1]), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
    int again = MUST(open(path, O_RDONLY)); /* no writer is left */
    EXPECT_EQ(read(again, &byte, 1), 1);
    EXPECT_EQ(read(again, &byte, 1), 0);
    int nonblocking = MUST(open(path, O_RDONLY | O_NONBLOCK));
    struct pollfd poll_fd = {.fd = nonblocking, .events = POLLIN};
    EXPECT_EQ(poll(&poll_fd, 1, 0), 1);
    EXPECT_EQ(poll_fd.revents, POLLHUP);
    int writer = MUST(open(path, O_WRONLY)); /* and a new one is let in */
    EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
    close(fds[0]);
    close(again);
    close(nonblocking);
    snprintf(path, sizeof path, "/proc/self/fd/%d", writer);
    int other = MUST(open(path, O_WRONLY | O_NONBLOCK)); /* no reader is left */
    signal(SIGPIPE, SIG_IGN);
    EXPECT_ERRNO(write(other, "x", 1), EPIPE);
}

CASE(splice_from_a_file)
{
    tap_tmpdir();
    tap_write_file("file", "hello world");
    int fd = MUST(open("file", O_RDONLY));
    int fds[2];
    MUST(pipe(fds));
    loff_t offset = 6;
    EXPECT_EQ(splice(fd, &offset, fds[1], NULL, 100, 0), 5);
    EXPECT_EQ(offset, 11);
    EXPECT_EQ(splice(fd, NULL, fds[1], NULL, 5, 0), 5);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 5);
    char text[16] = {0};
    EXPECT_EQ(read(fds[0], text, 16), 10);
    EXPECT_STR(text, "worldhello");
}

CASE(splice_to_a_file)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "abcdef", 6), 6);
    loff_t offset = 2;
    EXPECT_EQ(splice(fds[0], NULL, fd, &offset, 4, 0), 4);
    EXPECT_EQ(offset, 6);
    char text[16] = {0};
    EXPECT_EQ(tap_read_file("file", text, sizeof text), 6);
    EXPECT_MEM(text, "\0\0abcd", 6);
    EXPECT_EQ(read(fds[0], text, 16), 2);
}

CASE(splice_between_pipes)
{
    int a[2], b[2];
    MUST(pipe(a));
    MUST(pipe(b));
    EXPECT_EQ(write(a[1], "abcdef", 6), 6);
    EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 3, 0), 3);
    char text[8] = {0};
    EXPECT_EQ(read(b[0], text, 8), 3);
    EXPECT_STR(text, "abc");
    close(a[1]);
    EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 100, 0), 3);
    EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 100, 0), 0);
}

CASE(splice_errors)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    int fd = MUST(open("file", O_RDWR));
    int fds[2];
    MUST(pipe(fds));
    loff_t offset = 0;
    EXPECT_ERRNO(splice(fd, NULL, fd, NULL, 1, 0), EINVAL);
    EXPECT_ERRNO(splice(fds[0], &offset, fd, NULL, 1, 0), ESPIPE);
    EXPECT_ERRNO(splice(fds[1], NULL, fd, NULL, 1, 0), EBADF);
    EXPECT_ERRNO(splice(-1, NULL, fd, NULL, 1, 0), EBADF);
    EXPECT_ERRNO(splice(fds[0], NULL, fd, NULL, 1, 0x100), EINVAL);
    EXPECT_ERRNO(splice(fds[0], NULL, fd, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    EXPECT_EQ(splice(fds[0], NULL, fd, NULL, 0, 0), 0);
    EXPECT_ERRNO(splice(fds[0], NULL, fds[1], NULL, 1, 0), EINVAL);
    int append = MUST(open("file", O_WRONLY | O_APPEND));
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_ERRNO(splice(fds[0], NULL, append, NULL, 1, 0), EINVAL);
}

CASE(tee_copies_without_taking)
{
    int a[2], b[2];
    MUST(pipe(a));
    MUST(pipe(b));
    EXPECT_EQ(write(a[1], "abcdef", 6), 6);
    EXPECT_EQ(tee(a[0], b[1], 4, 0), 4);
    char text[8] = {0};
    EXPECT_EQ(read(b[0], text, 8), 4);
    EXPECT_STR(text, "abcd");
    EXPECT_EQ(read(a[0], text, 8), 6);
    EXPECT_ERRNO(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
    EXPECT_ERRNO(tee(a[0], a[1], 1, 0), EINVAL);
    EXPECT_ERRNO(tee(a[0], 1 << 20, 1, 0), EBADF);
    int null = MUST(open("/dev/null", O_RDWR));
    EXPECT_ERRNO(tee(null, b[1], 1, 0), EINVAL);
}

CASE(vmsplice_both_ways)
{
    int fds[2];
    MUST(pipe(fds));
    char out[] = "abc";
    struct iovec iov = {out, 3};
    EXPECT_EQ(vmsplice(fds[1], &iov, 1, 0), 3);
    char in[4] = {0};
    iov = (struct iovec){in, 3};
    EXPECT_EQ(vmsplice(fds[0], &iov, 1, 0), 3);
    EXPECT_STR(in, "abc");
    int null = MUST(open("/dev/null", O_RDWR));
    EXPECT_ERRNO(vmsplice(null, &iov, 1, 0), EBADF);
}

CASE(sendfile_to_a_file_and_a_pipe)
{
    tap_tmpdir();
    tap_write_file("from", "hello world");
    int from = MUST(open("from", O_RDONLY));
    int to = MUST(open("to", O_RDWR | O_CREAT, 0644));
    off_t offset = 6;
    EXPECT_EQ(sendfile(to, from, &offset, 100), 5);
    EXPECT_EQ(offset, 11);
    EXPECT_EQ(lseek(from, 0, SEEK_CUR), 0);
    EXPECT_EQ(sendfile(to, from, NULL, 5), 5);
    EXPECT_EQ(lseek(from, 0, SEEK_CUR), 5);
    char text[16] = {0};
    EXPECT_EQ(tap_read_file("to", text, sizeof text), 10);
    EXPECT_STR(text, "worldhello");
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(sendfile(fds[1], from, NULL, 100), 6);
    EXPECT_EQ(sendfile(fds[1], from, NULL, 100), 0);
}

CASE(sendfile_errors)
{
    tap_tmpdir();
    tap_write_file("from", "hello");
    int from = MUST(open("from", O_RDONLY));
    int fds[2];
    MUST(pipe(fds));
    off_t offset = -1;
    EXPECT_ERRNO(sendfile(fds[1], from, &offset, 1), EINVAL);
    EXPECT_ERRNO(sendfile(fds[0], from, NULL, 1), EBADF);
    EXPECT_ERRNO(sendfile(from, from, NULL, 1), EBADF);
    EXPECT_ERRNO(sendfile(-1, from, NULL, 1), EBADF);
    EXPECT_ERRNO(sendfile(fds[1], from, (void *)8, 1), EFAULT);
    offset = 0;
    EXPECT_ERRNO(sendfile(fds[1], fds[0], &offset, 1), ESPIPE);
}
