/* SPDX-License-Identifier: Apache-2.0 */
/* link, symlink, readlink, rename, unlink and O_PATH descriptors. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static long inode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) < 0 ? -1 : (long)st.st_ino;
}

CASE(hard_link)
{
    tap_tmpdir();
    tap_write_file("a", "text");
    EXPECT_EQ(link("a", "b"), 0);
    EXPECT_EQ(inode_of("a"), inode_of("b"));
    EXPECT_EQ(unlink("a"), 0);
    char text[8];
    EXPECT_EQ(tap_read_file("b", text, sizeof text), 4);
    struct stat st;
    EXPECT_EQ(stat("b", &st), 0);
    EXPECT_EQ(st.st_nlink, 1);
}

CASE(link_errors)
{
    tap_tmpdir();
    tap_write_file("a", "");
    tap_write_file("b", "");
    MUST(mkdir("dir", 0755));
    EXPECT_ERRNO(link("a", "b"), EEXIST);
    EXPECT_ERRNO(link("missing", "c"), ENOENT);
    EXPECT_ERRNO(link("dir", "c"), EPERM);
    EXPECT_ERRNO(link("a", "missing/c"), ENOENT);
    EXPECT_ERRNO(link("a", "b/c"), ENOTDIR);
    EXPECT_ERRNO(link("a", "/dev/conformance"), EXDEV);
    EXPECT_ERRNO(linkat(AT_FDCWD, "a", AT_FDCWD, "c", 1), EINVAL);
    EXPECT_ERRNO(linkat(-1, "a", AT_FDCWD, "c", 0), EBADF);
}

CASE(link_to_a_symlink)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(symlink("file", "sym"));
    EXPECT_EQ(link("sym", "hard"), 0);
    EXPECT_EQ(inode_of("hard"), inode_of("sym"));
    EXPECT_EQ(linkat(AT_FDCWD, "sym", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW), 0);
    EXPECT_EQ(inode_of("followed"), inode_of("file"));
}

CASE(symlink_and_readlink)
{
    tap_tmpdir();
    EXPECT_EQ(symlink("some/target", "link"), 0);
    char text[32] = {0};
    EXPECT_EQ(readlink("link", text, sizeof text), 11);
    EXPECT_STR(text, "some/target");
    memset(text, 0, sizeof text);
    EXPECT_EQ(readlink("link", text, 4), 4);
    EXPECT_STR(text, "some");
    EXPECT_ERRNO(symlink("x", "link"), EEXIST);
    EXPECT_ERRNO(symlink("", "empty"), ENOENT);
    EXPECT_ERRNO(symlink("x", ""), ENOENT);
    EXPECT_ERRNO(symlink("x", "missing/link"), ENOENT);
}

CASE(readlink_errors)
{
    tap_tmpdir();
    tap_write_file("file", "");
    char text[32];
    EXPECT_ERRNO(readlink("file", text, sizeof text), EINVAL);
    EXPECT_ERRNO(readlink("missing", text, sizeof text), ENOENT);
    EXPECT_ERRNO(readlink("file/x", text, sizeof text), ENOTDIR);
    MUST(symlink("x", "link"));
    EXPECT_ERRNO(readlink("link", text, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_readlink, "link", text, -1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_readlink, "link", (void *)8, 8), EFAULT);
    EXPECT_ERRNO(readlinkat(-1, "link", text, 8), EBADF);
    EXPECT_ERRNO(readlink(".", text, sizeof text), EINVAL);
}

CASE(symlinks_are_walked)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    tap_write_file("dir/file", "x");
    MUST(symlink("dir", "rel"));
    MUST(symlink("../dir/file", "dir/up"));
    MUST(symlink("/proc/self/cwd/dir", "abs"));
    EXPECT_EQ(access("rel/file", F_OK), 0);
    EXPECT_EQ(access("rel/../dir/file", F_OK), 0);
    EXPECT_EQ(access("dir/up", F_OK), 0);
    EXPECT_EQ(access("abs/file", F_OK), 0);
}

CASE(long_symlink_target)
{
    tap_tmpdir();
    static char target[4096];
    memset(target, 't', sizeof target);
    target[4095] = '\0';
    EXPECT_EQ(symlink(target, "long"), 0);
    static char text[5000];
    EXPECT_EQ(readlink("long", text, sizeof text), 4095);
    static char longer[4200];
    memset(longer, 't', sizeof longer - 1);
    EXPECT_ERRNO(symlink(longer, "longer"), ENAMETOOLONG);
}

CASE(rename_file)
{
    tap_tmpdir();
    tap_write_file("a", "aa");
    long inode = inode_of("a");
    EXPECT_EQ(rename("a", "b"), 0);
    EXPECT_EQ(inode_of("b"), inode);
    EXPECT_EQ(inode_of("a"), -1);
    EXPECT_ERRNO(rename("a", "c"), ENOENT);
    EXPECT_EQ(rename("b", "b"), 0);
}

CASE(rename_replaces)
{
    tap_tmpdir();
    tap_write_file("a", "new");
    tap_write_file("b", "old");
    int old = MUST(open("b", O_RDONLY));
    EXPECT_EQ(rename("a", "b"), 0);
    char text[8] = {0};
    EXPECT_EQ(tap_read_file("b", text, sizeof text), 3);
    EXPECT_STR(text, "new");
    EXPECT_EQ(read(old, text, 3), 3);
    EXPECT_STR(text, "old");
    struct stat st;
    EXPECT_EQ(fstat(old, &st), 0);
    EXPECT_EQ(st.st_nlink, 0);
}

CASE(rename_between_links_of_one_file)
{
    tap_tmpdir();
    tap_write_file("a", "x");
    MUST(link("a", "b"));
    EXPECT_EQ(rename("a", "b"), 0);
    EXPECT_EQ(access("a", F_OK), 0);
    EXPECT_EQ(access("b", F_OK), 0);
}

CASE(rename_directories)
{
    tap_tmpdir();
    MUST(mkdir("a", 0755));
    MUST(mkdir("b", 0755));
    MUST(mkdir("full", 0755));
    tap_write_file("full/x", "");
    tap_write_file("file", "");
    EXPECT_EQ(rename("a", "b"), 0);
    EXPECT_EQ(inode_of("a"), -1);
    EXPECT_ERRNO(rename("b", "full"), ENOTEMPTY);
    EXPECT_ERRNO(rename("b", "file"), ENOTDIR);
    EXPECT_ERRNO(rename("file", "b"), EISDIR);
    EXPECT_ERRNO(rename("full", "full/sub"), EINVAL);
    EXPECT_ERRNO(rename("full/x", "full/x/y"), ENOTDIR);
    EXPECT_ERRNO(rename("full/.", "z"), EBUSY);
    EXPECT_ERRNO(rename("b", "full/.."), EBUSY);
    EXPECT_ERRNO(rename("file/", "z"), ENOTDIR);
}

CASE(rename_moves_a_directory_with_its_parent_link)
{
    tap_tmpdir();
    MUST(mkdir("from", 0755));
    MUST(mkdir("to", 0755));
    MUST(mkdir("from/dir", 0755));
    EXPECT_EQ(rename("from/dir", "to/dir"), 0);
    struct stat st;
    EXPECT_EQ(stat("from", &st), 0);
    EXPECT_EQ(st.st_nlink, 2);
    EXPECT_EQ(stat("to", &st), 0);
    EXPECT_EQ(st.st_nlink, 3);
    EXPECT_EQ(inode_of("to/dir/.."), inode_of("to"));
}

CASE(renameat2_flags)
{
    tap_tmpdir();
    tap_write_file("a", "aa");
    tap_write_file("b", "b");
    MUST(mkdir("dir", 0755));
    EXPECT_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
    EXPECT_EQ(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE), 0);
    EXPECT_ERRNO(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE | RENAME_EXCHANGE),
                 EINVAL);
    EXPECT_ERRNO(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", 1 << 20), EINVAL);
    EXPECT_ERRNO(renameat2(AT_FDCWD, "b", AT_FDCWD, "x", RENAME_EXCHANGE), ENOENT);
}

CASE(renameat2_exchange)
{
    tap_tmpdir();
    tap_write_file("a", "aa");
    MUST(mkdir("dir", 0755));
    tap_write_file("dir/b", "b");
    EXPECT_EQ(renameat2(AT_FDCWD, "a", AT_FDCWD, "dir", RENAME_EXCHANGE), 0);
    EXPECT_EQ(access("a/b", F_OK), 0);
    struct stat st;
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT_EQ(st.st_size, 2);
}

CASE(rename_over_file_systems)
{
    tap_tmpdir();
    tap_write_file("a", "");
    EXPECT_ERRNO(rename("a", "/proc/a"), EXDEV);
    EXPECT_ERRNO(rename("/proc/version", "a"), EXDEV);
}

CASE(unlink_errors)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(symlink("file", "link"));
    EXPECT_ERRNO(unlink("missing"), ENOENT);
    EXPECT_ERRNO(unlink("file/"), ENOTDIR);
    EXPECT_ERRNO(unlink("file/x"), ENOTDIR);
    EXPECT_ERRNO(unlink(""), ENOENT);
    EXPECT_ERRNO(unlinkat(-1, "file", 0), EBADF);
    EXPECT_ERRNO(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR), ENOTDIR);
    EXPECT_EQ(unlink("link"), 0);
    EXPECT_EQ(access("file", F_OK), 0);
}

CASE(unlink_needs_a_writable_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    tap_write_file("dir/file", "");
    MUST(chmod("dir/file", 0666));
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(unlink("dir/file"), EACCES);
        EXPECT_ERRNO(unlink("dir/missing"), ENOENT);
        EXPECT_ERRNO(rename("dir/file", "dir/x"), EACCES);
        EXPECT_ERRNO(mkdir("dir/sub", 0755), EACCES);
        EXPECT_ERRNO(symlink("x", "dir/link"), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(mknod_kinds)
{
    tap_tmpdir();
    struct stat st;
    EXPECT_EQ(mknod("reg", S_IFREG | 0644, 0), 0);
    EXPECT_EQ(mknod("plain", 0600, 0), 0);
    EXPECT_EQ(stat("plain", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0600);
    EXPECT_EQ(mknod("fifo", S_IFIFO | 0644, 0), 0);
    EXPECT_ERRNO(mknod("reg", S_IFREG | 0644, 0), EEXIST);
    EXPECT_ERRNO(mknod("dir", S_IFDIR | 0755, 0), EPERM);
    EXPECT_ERRNO(mknod("odd", 0170000, 0), EINVAL);
    EXPECT_ERRNO(mknod("missing/x", S_IFREG, 0), ENOENT);
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(mknod("dev", S_IFCHR | 0644, 0x103), EPERM);
        EXPECT_EQ(mknod("userfifo", S_IFIFO | 0644, 0), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(path_descriptor_limits)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    int fd = MUST(open("file", O_PATH));
    char byte = 0;
    struct iovec iov = {&byte, 1};
    EXPECT_ERRNO(read(fd, &byte, 1), EBADF);
    EXPECT_ERRNO(write(fd, &byte, 1), EBADF);
    EXPECT_ERRNO(readv(fd, &iov, 1), EBADF);
    EXPECT_ERRNO(lseek(fd, 0, SEEK_SET), EBADF);
    EXPECT_ERRNO(fchmod(fd, 0600), EBADF);
    EXPECT_ERRNO(fchown(fd, 0, 0), EBADF);
    EXPECT_ERRNO(ftruncate(fd, 0), EBADF);
    EXPECT_ERRNO(fsync(fd), EBADF);
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_size, 5);
    EXPECT_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
    EXPECT_EQ(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
    EXPECT_OK(dup(fd));
}

CASE(path_descriptor_reopened)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    int fd = MUST(open("file", O_PATH));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = MUST(open(path, O_RDONLY));
    char text[8] = {0};
    EXPECT_EQ(read(again, text, sizeof text), 5);
    EXPECT_STR(text, "hello");
    EXPECT_EQ(fstatat(fd, "", &(struct stat){0}, AT_EMPTY_PATH), 0);
    EXPECT_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW), 0);
}

CASE(path_descriptor_of_a_symlink)
{
    tap_tmpdir();
    MUST(symlink("nowhere", "link"));
    int fd = MUST(open("link", O_PATH | O_NOFOLLOW));
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_mode & S_IFMT, S_IFLNK);
    char text[16] = {0};
    EXPECT_EQ(readlinkat(fd, "", text, sizeof text), 7);
    EXPECT_STR(text, "nowhere");
    EXPECT_ERRNO(open("link", O_PATH), ENOENT);
}

CASE(path_descriptor_of_a_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    tap_write_file("dir/file", "x");
    int fd = MUST(open("dir", O_PATH | O_DIRECTORY));
    EXPECT_OK(openat(fd, "file", O_RDONLY));
    char buffer[256];
    EXPECT_ERRNO(syscall(SYS_getdents64, fd, buffer, sizeof buffer), EBADF);
    EXPECT_EQ(fchdir(fd), 0);
    EXPECT_EQ(access("file", F_OK), 0);
}

CASE(proc_fd_link_names_the_file)
{
    const char *top = tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    char path[64];
    char want[128];
    char text[128] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(want, sizeof want, "%s/file", top);
    EXPECT_EQ(readlink(path, text, sizeof text - 1), strlen(want));
    EXPECT_STR(text, want);
    MUST(rename("file", "other"));
    memset(text, 0, sizeof text);
    EXPECT(readlink(path, text, sizeof text - 1) > 0);
    snprintf(want, sizeof want, "%s/other", top);
    EXPECT_STR(text, want);
    MUST(unlink("other"));
    memset(text, 0, sizeof text);
    EXPECT(readlink(path, text, sizeof text - 1) > 0);
    strcat(want, " (deleted)");
    EXPECT_STR(text, want);
}
