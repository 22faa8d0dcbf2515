/* SPDX-License-Identifier: Apache-2.0 */
/* The device nodes every program expects. */
#include "tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

static void expect_node(long line, const char *path, unsigned major_nr, unsigned minor_nr,
                        unsigned mode)
{
    struct stat st;
    if (!tap_equal(line, path, stat(path, &st), 0))
        return;
    tap_equal(line, path, st.st_mode & S_IFMT, S_IFCHR);
    tap_equal(line, path, st.st_mode & 0777, mode);
    tap_equal(line, path, (long)st.st_rdev, (long)makedev(major_nr, minor_nr));
}

CASE(nodes)
{
    expect_node(__LINE__, "/dev/null", 1, 3, 0666);
    expect_node(__LINE__, "/dev/zero", 1, 5, 0666);
    expect_node(__LINE__, "/dev/full", 1, 7, 0666);
    expect_node(__LINE__, "/dev/random", 1, 8, 0666);
    expect_node(__LINE__, "/dev/urandom", 1, 9, 0666);
    expect_node(__LINE__, "/dev/tty", 5, 0, 0666);
    expect_node(__LINE__, "/dev/ptmx", 5, 2, 0666);
}

CASE(null)
{
    int fd = MUST(open("/dev/null", O_RDWR));
    char byte;
    EXPECT_EQ(read(fd, &byte, 1), 0);
    EXPECT_EQ(write(fd, "abc", 3), 3);
    EXPECT_EQ(write(fd, (void *)8, 3), 3); /* never looked at */
    EXPECT_EQ(lseek(fd, 100, SEEK_SET), 0);
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLIN | POLLOUT);
    EXPECT_ERRNO(ioctl(fd, TCGETS, &byte), ENOTTY);
    EXPECT_OK(open("/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    EXPECT_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
}

CASE(zero)
{
    int fd = MUST(open("/dev/zero", O_RDWR));
    char text[16];
    memset(text, 1, sizeof text);
    EXPECT_EQ(read(fd, text, sizeof text), sizeof text);
    EXPECT_EQ(text[0] | text[15], 0);
    EXPECT_EQ(write(fd, "abc", 3), 3);
    EXPECT_ERRNO(read(fd, (void *)8, 8), EFAULT);
}

CASE(full)
{
    int fd = MUST(open("/dev/full", O_RDWR));
    char text[4] = {1, 1, 1, 1};
    EXPECT_EQ(read(fd, text, 4), 4);
    EXPECT_EQ(text[3], 0);
    EXPECT_ERRNO(write(fd, "x", 1), ENOSPC);
}

CASE(random)
{
    const char *paths[] = {"/dev/random", "/dev/urandom"};
    for (int i = 0; i < 2; i++) {
        int fd = MUST(open(paths[i], O_RDWR));
        char a[32] = {0}, b[32] = {0};
        EXPECT_EQ(read(fd, a, 32), 32);
        EXPECT_EQ(read(fd, b, 32), 32);
        EXPECT(memcmp(a, b, 32) != 0);
        EXPECT_EQ(write(fd, a, 32), 32);
    }
}

CASE(tty_without_a_terminal)
{
    CHILD(pid)
    {
        MUST(setsid());
        EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(links)
{
    char text[64] = {0};
    EXPECT_EQ(readlink("/dev/fd", text, sizeof text), 13);
    EXPECT_STR(text, "/proc/self/fd");
    memset(text, 0, sizeof text);
    EXPECT_EQ(readlink("/dev/stdin", text, sizeof text), 15);
    EXPECT_STR(text, "/proc/self/fd/0");
    memset(text, 0, sizeof text);
    EXPECT_EQ(readlink("/dev/stdout", text, sizeof text), 15);
    int fds[2];
    MUST(pipe(fds));
    snprintf(text, sizeof text, "/dev/fd/%d", fds[0]);
    EXPECT_EQ(access(text, F_OK), 0);
    struct stat st;
    EXPECT_EQ(stat("/dev/pts", &st), 0);
    EXPECT_EQ(st.st_mode & S_IFMT, S_IFDIR);
    EXPECT_EQ(stat("/dev/shm", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 01777);
}

CASE(made_nodes_work)
{
    tap_tmpdir();
    int err = mknod("null", S_IFCHR | 0666, makedev(1, 3));
    SKIP_IF(err < 0 && errno == EPERM, "no CAP_MKNOD");
    int fd = open("null", O_RDWR);
    SKIP_IF(fd < 0 && errno == EACCES, "mounted nodev");
    char byte;
    EXPECT_EQ(read(fd, &byte, 1), 0);
    MUST(mknod("nothing", S_IFCHR | 0666, makedev(250, 250)));
    EXPECT_ERRNO(open("nothing", O_RDWR), ENXIO);
}
