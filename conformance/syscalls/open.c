/* SPDX-License-Identifier: Apache-2.0 */
/* open(2), openat(2), creat(2), close(2): numbers, flags, modes and the order of errors. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

CASE(lowest_free_number)
{
    int a = MUST(open("/dev/null", O_RDONLY));
    int b = MUST(open("/dev/null", O_RDONLY));
    EXPECT_EQ(b, a + 1);
    EXPECT_EQ(close(a), 0);
    EXPECT_EQ(open("/dev/null", O_RDONLY), a);
}

CASE(close_frees_the_number)
{
    int fd = MUST(open("/dev/null", O_RDONLY));
    EXPECT_EQ(close(fd), 0);
    EXPECT_ERRNO(close(fd), EBADF);
    EXPECT_ERRNO(close(-1), EBADF);
    EXPECT_ERRNO(close(1 << 30), EBADF);
}

CASE(missing_file)
{
    tap_tmpdir();
    EXPECT_ERRNO(open("missing", O_RDONLY), ENOENT);
    EXPECT_ERRNO(open("missing/file", O_RDONLY | O_CREAT, 0644), ENOENT);
    EXPECT_ERRNO(open("", O_RDONLY), ENOENT);
}

CASE(create_then_exclusive)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0640);
    EXPECT_EQ(st.st_size, 0);
    EXPECT_EQ(st.st_nlink, 1);
    EXPECT_ERRNO(open("file", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
    EXPECT_OK(open("file", O_RDWR | O_CREAT, 0600));
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0640);
}

CASE(exclusive_does_not_follow_a_symlink)
{
    tap_tmpdir();
    MUST(symlink("target", "link"));
    EXPECT_ERRNO(open("link", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
    EXPECT_OK(open("link", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(access("target", F_OK), 0);
}

CASE(umask_applies)
{
    tap_tmpdir();
    EXPECT_EQ(umask(027), 022);
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0777));
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0750);
    EXPECT_EQ(umask(0), 027);
}

CASE(creat_truncates)
{
    tap_tmpdir();
    tap_write_file("file", "12345");
    int fd = MUST(creat("file", 0600));
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_size, 0);
    char byte;
    EXPECT_ERRNO(read(fd, &byte, 1), EBADF);
    EXPECT_EQ(write(fd, "x", 1), 1);
}

CASE(truncate_flag)
{
    tap_tmpdir();
    tap_write_file("file", "12345");
    int fd = MUST(open("file", O_WRONLY | O_TRUNC));
    EXPECT_EQ(lseek(fd, 0, SEEK_END), 0);
}

CASE(access_modes)
{
    tap_tmpdir();
    tap_write_file("file", "abc");
    char byte = 0;
    int reader = MUST(open("file", O_RDONLY));
    EXPECT_ERRNO(write(reader, "x", 1), EBADF);
    EXPECT_EQ(read(reader, &byte, 1), 1);
    int writer = MUST(open("file", O_WRONLY));
    EXPECT_ERRNO(read(writer, &byte, 1), EBADF);
    EXPECT_EQ(write(writer, "x", 1), 1);
    int both = MUST(open("file", O_RDWR));
    EXPECT_EQ(write(both, "y", 1), 1);
    EXPECT_EQ(read(both, &byte, 1), 1);
    EXPECT_EQ(byte, 'b');
}

CASE(access_mode_three_allows_neither)
{
    int fd = MUST(open("/dev/null", 3));
    char byte;
    EXPECT_ERRNO(read(fd, &byte, 1), EBADF);
    EXPECT_ERRNO(write(fd, &byte, 1), EBADF);
    EXPECT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, 3);
}

CASE(directory_for_writing)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    EXPECT_ERRNO(open("dir", O_WRONLY), EISDIR);
    EXPECT_ERRNO(open("dir", O_RDWR), EISDIR);
    EXPECT_ERRNO(open("dir", O_RDONLY | O_CREAT, 0644), EISDIR);
    EXPECT_ERRNO(open("dir", O_RDONLY | O_TRUNC), EISDIR);
    int fd = MUST(open("dir", O_RDONLY));
    char byte;
    EXPECT_ERRNO(read(fd, &byte, 1), EISDIR);
}

CASE(trailing_slash)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(mkdir("dir", 0755));
    EXPECT_ERRNO(open("file/", O_RDONLY), ENOTDIR);
    EXPECT_ERRNO(open("new/", O_RDONLY | O_CREAT, 0644), EISDIR);
    EXPECT_OK(open("dir/", O_RDONLY));
    EXPECT_OK(open("dir//.", O_RDONLY));
}

CASE(directory_flag)
{
    tap_tmpdir();
    tap_write_file("file", "");
    EXPECT_ERRNO(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
    EXPECT_OK(open(".", O_RDONLY | O_DIRECTORY));
    EXPECT_ERRNO(open("file/below", O_RDONLY), ENOTDIR);
}

CASE(nofollow)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(symlink("file", "link"));
    MUST(symlink(".", "dirlink"));
    EXPECT_ERRNO(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
    EXPECT_OK(open("file", O_RDONLY | O_NOFOLLOW));
    EXPECT_OK(open("dirlink/file", O_RDONLY | O_NOFOLLOW));
    EXPECT_ERRNO(open("dirlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
}

CASE(symlink_loop)
{
    tap_tmpdir();
    MUST(symlink("b", "a"));
    MUST(symlink("a", "b"));
    EXPECT_ERRNO(open("a", O_RDONLY), ELOOP);
    EXPECT_ERRNO(open("a", O_RDONLY | O_CREAT, 0644), ELOOP);
}

CASE(forty_symlinks_and_no_more)
{
    tap_tmpdir();
    tap_write_file("l0", "end");
    char from[16];
    char to[16];
    for (int i = 1; i <= 41; i++) {
        snprintf(from, sizeof from, "l%d", i);
        snprintf(to, sizeof to, "l%d", i - 1);
        MUST(symlink(to, from));
    }
    EXPECT_OK(open("l40", O_RDONLY));
    EXPECT_ERRNO(open("l41", O_RDONLY), ELOOP);
}

CASE(name_and_path_limits)
{
    tap_tmpdir();
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    EXPECT_OK(open(name, O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(unlink(name), 0);
    name[255] = 'n';
    name[256] = '\0';
    EXPECT_ERRNO(open(name, O_RDWR | O_CREAT, 0644), ENAMETOOLONG);

    static char path[5000];
    for (size_t i = 0; i < sizeof path - 1; i += 2)
        memcpy(path + i, "./", 2);
    path[4095] = '\0';
    EXPECT_OK(open(path, O_RDONLY));
    path[4095] = '/';
    path[4096] = '\0';
    EXPECT_ERRNO(open(path, O_RDONLY), ENAMETOOLONG);
}

CASE(bad_pointer)
{
    EXPECT_ERRNO(syscall(SYS_open, NULL, O_RDONLY), EFAULT);
    EXPECT_ERRNO(syscall(SYS_open, (void *)1, O_RDONLY), EFAULT);
    EXPECT_ERRNO(syscall(SYS_open, (void *)0xffff800000000000, O_RDONLY), EFAULT);
}

CASE(path_up_to_the_end_of_memory)
{
    char *pages = tap_pages(2);
    REQUIRE(syscall(SYS_munmap, pages + 4096, 4096) == 0);
    memcpy(pages + 4096 - 10, "/dev/null", 10);
    EXPECT_OK(open(pages + 4096 - 10, O_RDONLY));
    memset(pages + 4096 - 10, '/', 10);
    EXPECT_ERRNO(open(pages + 4096 - 10, O_RDONLY), EFAULT);
}

CASE(openat_relative_to_a_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    tap_write_file("dir/file", "in dir");
    int dir = MUST(open("dir", O_RDONLY | O_DIRECTORY));
    int file = MUST(openat(dir, "file", O_RDONLY));
    char text[10] = {0};
    EXPECT_EQ(read(file, text, sizeof text), 6);
    EXPECT_STR(text, "in dir");
    EXPECT_ERRNO(openat(file, "x", O_RDONLY), ENOTDIR);
    EXPECT_ERRNO(openat(999, "x", O_RDONLY), EBADF);
    EXPECT_OK(openat(999, "/dev/null", O_RDONLY));
    EXPECT_OK(openat(AT_FDCWD, "dir/file", O_RDONLY));
    EXPECT_ERRNO(openat(dir, "", O_RDONLY), ENOENT);
}

CASE(openat_follows_a_renamed_directory)
{
    tap_tmpdir();
    MUST(mkdir("old", 0755));
    int dir = MUST(open("old", O_RDONLY));
    MUST(rename("old", "new"));
    EXPECT_OK(openat(dir, "file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(access("new/file", F_OK), 0);
}

CASE(create_in_a_removed_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    int dir = MUST(open("dir", O_RDONLY));
    MUST(rmdir("dir"));
    EXPECT_ERRNO(openat(dir, "file", O_RDWR | O_CREAT, 0644), ENOENT);
    EXPECT_OK(openat(dir, ".", O_RDONLY));
}

CASE(permission_of_an_ordinary_user)
{
    tap_tmpdir();
    tap_write_file("secret", "x");
    MUST(chmod("secret", 0600));
    MUST(mkdir("closed", 0700));
    tap_write_file("closed/file", "x");
    CHILD(pid)
    {
        MUST(setgid(1000));
        MUST(setuid(1000));
        EXPECT_ERRNO(open("secret", O_RDONLY), EACCES);
        EXPECT_ERRNO(open("secret", O_WRONLY), EACCES);
        EXPECT_ERRNO(open("closed/file", O_RDONLY), EACCES);
        EXPECT_ERRNO(open("closed/missing", O_RDONLY), EACCES);
        EXPECT_OK(open("own", O_RDWR | O_CREAT, 0));
        EXPECT_ERRNO(open("own", O_RDONLY), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(mode_zero_still_gives_the_creator_its_access)
{
    tap_tmpdir();
    CHILD(pid)
    {
        MUST(setuid(1000));
        int fd = MUST(open("own", O_RDWR | O_CREAT, 0));
        EXPECT_EQ(write(fd, "x", 1), 1);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(append_writes_at_the_end)
{
    tap_tmpdir();
    tap_write_file("file", "abc");
    int fd = MUST(open("file", O_RDWR | O_APPEND));
    EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
    EXPECT_EQ(write(fd, "d", 1), 1);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 4);
    char text[8] = {0};
    EXPECT_EQ(tap_read_file("file", text, sizeof text), 4);
    EXPECT_STR(text, "abcd");
}

CASE(cloexec_flag)
{
    int fd = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    fd = MUST(open("/dev/null", O_RDONLY));
    EXPECT_EQ(fcntl(fd, F_GETFD), 0);
}

CASE(getfl_reports_status_flags)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NONBLOCK, 0644));
    EXPECT_EQ(fcntl(fd, F_GETFL) & ~0100000, O_RDWR | O_APPEND | O_NONBLOCK);
}

CASE(descriptor_limit)
{
    struct {
        unsigned long soft;
        unsigned long hard;
    } limit = {0, 0};
    MUST(syscall(SYS_getrlimit, 7, &limit));
    limit.soft = 10;
    MUST(syscall(SYS_setrlimit, 7, &limit));
    int fd;
    int last = -1;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        last = fd;
    EXPECT_EQ(errno, EMFILE);
    EXPECT_EQ(last, 9);
}

CASE(tmpfile)
{
    tap_tmpdir();
    int fd = open(".", O_RDWR | O_TMPFILE, 0600);
    SKIP_IF(fd < 0 && errno == EOPNOTSUPP, "no O_TMPFILE on this file system");
    REQUIRE(fd >= 0);
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_nlink, 0);
    EXPECT_EQ(write(fd, "abc", 3), 3);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    EXPECT_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
    char text[8] = {0};
    EXPECT_EQ(tap_read_file("named", text, sizeof text), 3);
    EXPECT_ERRNO(open(".", O_RDONLY | O_TMPFILE, 0600), EINVAL);
}

CASE(fifo_nonblocking)
{
    tap_tmpdir();
    MUST(mkfifo("fifo", 0644));
    EXPECT_ERRNO(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    int reader = MUST(open("fifo", O_RDONLY | O_NONBLOCK));
    int writer = MUST(open("fifo", O_WRONLY | O_NONBLOCK));
    EXPECT_EQ(write(writer, "ab", 2), 2);
    char text[8];
    EXPECT_EQ(read(reader, text, sizeof text), 2);
    EXPECT_ERRNO(read(reader, text, sizeof text), EAGAIN);
    close(writer);
    EXPECT_EQ(read(reader, text, sizeof text), 0);
}

CASE(fifo_open_waits_for_the_other_side)
{
    tap_tmpdir();
    MUST(mkfifo("fifo", 0644));
    CHILD(pid)
    {
        int fd = MUST(open("fifo", O_RDONLY));
        char byte = 0;
        EXPECT_EQ(read(fd, &byte, 1), 1);
        EXPECT_EQ(byte, 'z');
    }
    int fd = MUST(open("fifo", O_WRONLY));
    EXPECT_EQ(write(fd, "z", 1), 1);
    EXPECT_EXIT(pid, 0);
}

static void on_signal(int signal)
{
}

CASE(fifo_open_is_interrupted)
{
    tap_tmpdir();
    MUST(mkfifo("fifo", 0644));
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, 0);
        EXPECT_ERRNO(open("fifo", O_RDONLY), EINTR);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(socket_file_cannot_be_opened)
{
    tap_tmpdir();
    MUST(mknod("sock", S_IFSOCK | 0644, 0));
    EXPECT_ERRNO(open("sock", O_RDONLY), ENXIO);
}

CASE(unlinked_file_lives_on)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(write(fd, "abc", 3), 3);
    MUST(unlink("file"));
    char text[8] = {0};
    EXPECT_EQ(pread(fd, text, 3, 0), 3);
    EXPECT_STR(text, "abc");
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_nlink, 0);
}

CASE(openat2_resolve_flags)
{
    struct {
        uint64_t flags;
        uint64_t mode;
        uint64_t resolve;
    } how = {O_RDONLY, 0, 0x08}; /* RESOLVE_BENEATH */
    tap_tmpdir();
    tap_write_file("file", "x");
    MUST(symlink("file", "link"));
    EXPECT_OK(syscall(437, AT_FDCWD, "file", &how, sizeof how));
    EXPECT_ERRNO(syscall(437, AT_FDCWD, "../", &how, sizeof how), EXDEV);
    EXPECT_ERRNO(syscall(437, AT_FDCWD, "/dev/null", &how, sizeof how), EXDEV);
    how.resolve = 0x04; /* RESOLVE_NO_SYMLINKS */
    EXPECT_ERRNO(syscall(437, AT_FDCWD, "link", &how, sizeof how), ELOOP);
    how.resolve = 0x10; /* RESOLVE_IN_ROOT */
    EXPECT_OK(syscall(437, AT_FDCWD, "/file", &how, sizeof how));
    how.resolve = 1ull << 40;
    EXPECT_ERRNO(syscall(437, AT_FDCWD, "file", &how, sizeof how), EINVAL);
    how.resolve = 0;
    how.flags = 1ull << 40;
    EXPECT_ERRNO(syscall(437, AT_FDCWD, "file", &how, sizeof how), EINVAL);
    how.flags = O_RDONLY;
    EXPECT_ERRNO(syscall(437, AT_FDCWD, "file", &how, 8), EINVAL);
    how.mode = 0644;
    EXPECT_ERRNO(syscall(437, AT_FDCWD, "file", &how, sizeof how), EINVAL);
}
