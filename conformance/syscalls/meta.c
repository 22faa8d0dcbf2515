/* SPDX-License-Identifier: Apache-2.0 */
/* chmod, chown, utimes, truncate, fallocate and extended attributes. */
#include "tap.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static unsigned mode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static long size_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) < 0 ? -1 : (long)st.st_size;
}

CASE(chmod_bits)
{
    tap_tmpdir();
    tap_write_file("file", "");
    EXPECT_EQ(chmod("file", 0), 0);
    EXPECT_EQ(mode_of("file"), 0);
    EXPECT_EQ(chmod("file", 07777), 0);
    EXPECT_EQ(mode_of("file"), 07777);
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_EQ(fchmod(fd, 0600), 0);
    EXPECT_EQ(mode_of("file"), 0600);
    EXPECT_EQ(fchmodat(AT_FDCWD, "file", 0640, 0), 0);
    EXPECT_EQ(mode_of("file"), 0640);
    MUST(symlink("file", "link"));
    EXPECT_EQ(chmod("link", 0644), 0);
    EXPECT_EQ(mode_of("file"), 0644);
    EXPECT_EQ(mode_of("link"), 0777);
}

CASE(chmod_errors)
{
    tap_tmpdir();
    tap_write_file("file", "");
    EXPECT_ERRNO(chmod("missing", 0600), ENOENT);
    EXPECT_ERRNO(chmod("file/x", 0600), ENOTDIR);
    EXPECT_ERRNO(fchmod(-1, 0600), EBADF);
    EXPECT_ERRNO(syscall(SYS_fchmodat, -1, "file", 0600), EBADF);
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(chmod("file", 0666), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(chmod_drops_setgid_of_a_foreign_group)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(chown("file", 1000, 1234));
    CHILD(pid)
    {
        MUST(setgid(1000));
        MUST(setuid(1000));
        EXPECT_EQ(chmod("file", 02755), 0);
        EXPECT_EQ(mode_of("file"), 0755);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(fchmodat2_symlink)
{
    tap_tmpdir();
    tap_write_file("file", "");
    long result = syscall(452, AT_FDCWD, "file", 0600, 0);
    SKIP_IF(result < 0 && errno == ENOSYS, "no fchmodat2");
    EXPECT_EQ(result, 0);
    EXPECT_EQ(mode_of("file"), 0600);
    EXPECT_EQ(syscall(452, AT_FDCWD, "file", 0640, AT_SYMLINK_NOFOLLOW), 0);
    EXPECT_EQ(mode_of("file"), 0640);
    EXPECT_ERRNO(syscall(452, AT_FDCWD, "file", 0600, 0x4000000), EINVAL);
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_EQ(syscall(452, fd, "", 0604, AT_EMPTY_PATH), 0);
    EXPECT_EQ(mode_of("file"), 0604);
}

CASE(chown_ids)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(symlink("file", "link"));
    struct stat st;
    EXPECT_EQ(chown("file", 1, 2), 0);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_uid, 1);
    EXPECT_EQ(st.st_gid, 2);
    EXPECT_EQ(chown("file", -1, 3), 0);
    EXPECT_EQ(chown("file", 4, -1), 0);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_uid, 4);
    EXPECT_EQ(st.st_gid, 3);
    EXPECT_EQ(lchown("link", 5, 5), 0);
    EXPECT_EQ(stat("link", &st), 0);
    EXPECT_EQ(st.st_uid, 4);
    EXPECT_EQ(lstat("link", &st), 0);
    EXPECT_EQ(st.st_uid, 5);
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_EQ(fchown(fd, 7, 8), 0);
    EXPECT_EQ(fchownat(fd, "", 9, 9, AT_EMPTY_PATH), 0);
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_uid, 9);
    EXPECT_ERRNO(fchownat(AT_FDCWD, "file", 1, 1, 0x4000000), EINVAL);
    EXPECT_ERRNO(chown("missing", 1, 1), ENOENT);
    EXPECT_ERRNO(fchown(-1, 1, 1), EBADF);
}

CASE(chown_of_an_ordinary_user)
{
    tap_tmpdir();
    tap_write_file("own", "");
    tap_write_file("roots", "");
    MUST(chown("own", 1000, 1000));
    CHILD(pid)
    {
        MUST(setgroups(1, (gid_t[]){2000}));
        MUST(setgid(1000));
        MUST(setuid(1000));
        EXPECT_EQ(chown("own", -1, 2000), 0);
        EXPECT_EQ(chown("own", 1000, 1000), 0);
        EXPECT_ERRNO(chown("own", -1, 3000), EPERM);
        EXPECT_ERRNO(chown("own", 1001, -1), EPERM);
        EXPECT_ERRNO(chown("roots", -1, 1000), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(chown_clears_set_id_bits)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(chmod("file", 06755));
    EXPECT_EQ(chown("file", 1000, 1000), 0);
    EXPECT_EQ(mode_of("file"), 0755);
    MUST(chmod("file", 02745));
    EXPECT_EQ(chown("file", 0, 0), 0);
    EXPECT_EQ(mode_of("file"), 02745);
    MUST(mkdir("dir", 0755));
    MUST(chmod("dir", 06755));
    EXPECT_EQ(chown("dir", 1000, 1000), 0);
    EXPECT_EQ(mode_of("dir"), 06755);
}

CASE(write_clears_set_id_bits)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(chown("file", 1000, 1000));
    MUST(chmod("file", 06777));
    CHILD(pid)
    {
        MUST(setgid(1001));
        MUST(setuid(1001));
        int fd = MUST(open("file", O_WRONLY));
        EXPECT_EQ(write(fd, "x", 1), 1);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(mode_of("file"), 0777);
}

CASE(utimensat_sets_times)
{
    tap_tmpdir();
    tap_write_file("file", "");
    struct timespec times[2] = {{100, 5}, {200, 6}};
    struct stat st;
    EXPECT_EQ(utimensat(AT_FDCWD, "file", times, 0), 0);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_atim.tv_sec, 100);
    EXPECT_EQ(st.st_atim.tv_nsec, 5);
    EXPECT_EQ(st.st_mtim.tv_sec, 200);
    EXPECT_EQ(st.st_mtim.tv_nsec, 6);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    EXPECT_EQ(utimensat(AT_FDCWD, "file", times, 0), 0);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_atim.tv_sec, 100);
    EXPECT(st.st_mtim.tv_sec > 1000000000);
    times[0].tv_nsec = 1000000000;
    EXPECT_ERRNO(utimensat(AT_FDCWD, "file", times, 0), EINVAL);
    EXPECT_ERRNO(utimensat(AT_FDCWD, "missing", NULL, 0), ENOENT);
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_EQ(futimens(fd, NULL), 0);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT(st.st_atim.tv_sec > 1000000000);
}

CASE(utimensat_of_a_symlink)
{
    tap_tmpdir();
    MUST(symlink("missing", "link"));
    struct timespec times[2] = {{100, 0}, {200, 0}};
    struct stat st;
    EXPECT_EQ(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW), 0);
    EXPECT_EQ(lstat("link", &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, 200);
    EXPECT_ERRNO(utimensat(AT_FDCWD, "link", times, 0), ENOENT);
}

CASE(old_utimes_calls)
{
    tap_tmpdir();
    tap_write_file("file", "");
    struct stat st;
    struct utimbuf buf = {11, 22};
    EXPECT_EQ(syscall(SYS_utime, "file", &buf), 0);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_atime, 11);
    EXPECT_EQ(st.st_mtime, 22);
    struct timeval tv[2] = {{33, 1}, {44, 2}};
    EXPECT_EQ(syscall(SYS_utimes, "file", tv), 0);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, 44);
    EXPECT_EQ(st.st_mtim.tv_nsec, 2000);
    tv[0].tv_usec = 1000000;
    EXPECT_ERRNO(syscall(SYS_utimes, "file", tv), EINVAL);
    tv[0].tv_usec = 0;
    EXPECT_EQ(syscall(SYS_futimesat, AT_FDCWD, "file", tv), 0);
}

CASE(utimes_permission)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(chmod("file", 0666));
    CHILD(pid)
    {
        MUST(setuid(1000));
        struct timespec times[2] = {{100, 0}, {200, 0}};
        EXPECT_ERRNO(utimensat(AT_FDCWD, "file", times, 0), EPERM);
        EXPECT_EQ(utimensat(AT_FDCWD, "file", NULL, 0), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(times_move_with_use)
{
    tap_tmpdir();
    tap_write_file("file", "x");
    struct timespec times[2] = {{100, 0}, {200, 0}};
    struct stat st;
    MUST(utimensat(AT_FDCWD, "file", times, 0));
    int fd = MUST(open("file", O_RDWR));
    EXPECT_EQ(write(fd, "y", 1), 1);
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT(st.st_mtim.tv_sec > 1000000000);
    EXPECT_EQ(st.st_atim.tv_sec, 100);
    MUST(utimensat(AT_FDCWD, "file", times, 0));
    EXPECT_EQ(chmod("file", 0600), 0);
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, 200);
    EXPECT(st.st_ctim.tv_sec > 1000000000);
}

CASE(directory_times_move_with_entries)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    struct timespec times[2] = {{100, 0}, {200, 0}};
    struct stat st;
    MUST(utimensat(AT_FDCWD, "dir", times, 0));
    tap_write_file("dir/file", "");
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT(st.st_mtim.tv_sec > 1000000000);
    MUST(utimensat(AT_FDCWD, "dir", times, 0));
    tap_write_file("dir/file", "more");
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, 200);
    MUST(unlink("dir/file"));
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT(st.st_mtim.tv_sec > 1000000000);
}

CASE(truncate_both_ways)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    EXPECT_EQ(truncate("file", 3), 0);
    EXPECT_EQ(truncate("file", 6), 0);
    char text[8] = {1};
    EXPECT_EQ(tap_read_file("file", text, sizeof text), 6);
    EXPECT_MEM(text, "hel\0\0\0", 6);
    int fd = MUST(open("file", O_RDWR));
    EXPECT_EQ(ftruncate(fd, 100000), 0);
    EXPECT_EQ(size_of("file"), 100000);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
    EXPECT_EQ(ftruncate(fd, 0), 0);
    EXPECT_EQ(size_of("file"), 0);
}

CASE(truncate_errors)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    MUST(mkdir("dir", 0755));
    EXPECT_ERRNO(truncate("missing", 0), ENOENT);
    EXPECT_ERRNO(truncate("dir", 0), EISDIR);
    EXPECT_ERRNO(truncate("file", -1), EINVAL);
    EXPECT_ERRNO(truncate("/dev/null", 0), EINVAL);
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_ERRNO(ftruncate(fd, 0), EINVAL);
    EXPECT_ERRNO(ftruncate(-1, 0), EBADF);
    int fds[2];
    MUST(pipe(fds));
    EXPECT_ERRNO(ftruncate(fds[1], 0), EINVAL);
    MUST(chmod("file", 0644));
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(truncate("file", 0), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(fallocate_extends)
{
    tap_tmpdir();
    tap_write_file("file", "abc");
    int fd = MUST(open("file", O_RDWR));
    EXPECT_EQ(fallocate(fd, 0, 0, 10000), 0);
    EXPECT_EQ(size_of("file"), 10000);
    EXPECT_EQ(fallocate(fd, 0, 0, 100), 0);
    EXPECT_EQ(size_of("file"), 10000);
    char text[4] = {0};
    EXPECT_EQ(pread(fd, text, 3, 0), 3);
    EXPECT_STR(text, "abc");
}

CASE(fallocate_modes)
{
    tap_tmpdir();
    tap_write_file("file", "abcdef");
    int fd = MUST(open("file", O_RDWR));
    EXPECT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10000), 0);
    EXPECT_EQ(size_of("file"), 6);
    EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 3), 0);
    char text[8] = {0};
    EXPECT_EQ(pread(fd, text, 6, 0), 6);
    EXPECT_MEM(text, "a\0\0\0ef", 6);
}

CASE(fallocate_errors)
{
    tap_tmpdir();
    tap_write_file("file", "abc");
    int fd = MUST(open("file", O_RDWR));
    EXPECT_ERRNO(fallocate(fd, 0, -1, 1), EINVAL);
    EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(fallocate(fd, 0, 0, -1), EINVAL);
    EXPECT_ERRNO(fallocate(fd, 0, 1, 0x7fffffffffffffff), EFBIG);
    EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
    EXPECT_ERRNO(fallocate(fd, 0x4000, 0, 1), EOPNOTSUPP);
    int reader = MUST(open("file", O_RDONLY));
    EXPECT_ERRNO(fallocate(reader, 0, 0, 1), EBADF);
    EXPECT_ERRNO(fallocate(-1, 0, 0, 1), EBADF);
    int fds[2];
    MUST(pipe(fds));
    EXPECT_ERRNO(fallocate(fds[1], 0, 0, 1), ESPIPE);
    int null = MUST(open("/dev/null", O_WRONLY));
    EXPECT_ERRNO(fallocate(null, 0, 0, 1), ENODEV);
}

CASE(xattr_set_get_list_remove)
{
    tap_tmpdir();
    tap_write_file("file", "");
    int err = setxattr("file", "user.a", "value", 5, 0);
    SKIP_IF(err < 0 && errno == EOPNOTSUPP, "no user attributes on this file system");
    char text[64] = {0};
    EXPECT_EQ(getxattr("file", "user.a", NULL, 0), 5);
    EXPECT_EQ(getxattr("file", "user.a", text, sizeof text), 5);
    EXPECT_STR(text, "value");
    EXPECT_ERRNO(getxattr("file", "user.a", text, 2), ERANGE);
    EXPECT_EQ(setxattr("file", "user.b", "", 0, 0), 0);
    EXPECT_EQ(getxattr("file", "user.b", text, sizeof text), 0);
    EXPECT_EQ(listxattr("file", NULL, 0), 14);
    EXPECT_EQ(listxattr("file", text, sizeof text), 14);
    EXPECT(memmem(text, 14, "user.a", 7) && memmem(text, 14, "user.b", 7));
    EXPECT_ERRNO(listxattr("file", text, 3), ERANGE);
    EXPECT_EQ(removexattr("file", "user.a"), 0);
    EXPECT_ERRNO(removexattr("file", "user.a"), ENODATA);
    EXPECT_ERRNO(getxattr("file", "user.a", text, 1), ENODATA);
    EXPECT_EQ(listxattr("file", text, sizeof text), 7);
}

CASE(xattr_flags_and_errors)
{
    tap_tmpdir();
    tap_write_file("file", "");
    int err = setxattr("file", "user.a", "1", 1, XATTR_CREATE);
    SKIP_IF(err < 0 && errno == EOPNOTSUPP, "no user attributes on this file system");
    EXPECT_ERRNO(setxattr("file", "user.a", "2", 1, XATTR_CREATE), EEXIST);
    EXPECT_EQ(setxattr("file", "user.a", "2", 1, XATTR_REPLACE), 0);
    EXPECT_ERRNO(setxattr("file", "user.x", "2", 1, XATTR_REPLACE), ENODATA);
    EXPECT_ERRNO(setxattr("file", "user.x", "2", 1, 4), EINVAL);
    EXPECT_ERRNO(setxattr("file", "unknown.x", "2", 1, 0), EOPNOTSUPP);
    EXPECT_ERRNO(setxattr("file", "user.", "2", 1, 0), EINVAL);
    EXPECT_ERRNO(setxattr("file", "", "2", 1, 0), ERANGE);
    EXPECT_ERRNO(setxattr("missing", "user.a", "2", 1, 0), ENOENT);
    EXPECT_ERRNO(getxattr("missing", "user.a", NULL, 0), ENOENT);
    EXPECT_ERRNO(fgetxattr(-1, "user.a", NULL, 0), EBADF);
    static char value[65537];
    EXPECT_ERRNO(setxattr("file", "user.big", value, sizeof value, 0), E2BIG);
    char name[300] = "user.";
    memset(name + 5, 'n', 251);
    EXPECT_ERRNO(setxattr("file", name, "2", 1, 0), ERANGE);
}

CASE(xattr_descriptor_and_symlink_forms)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(symlink("file", "link"));
    int fd = MUST(open("file", O_RDWR));
    int err = fsetxattr(fd, "user.a", "v", 1, 0);
    SKIP_IF(err < 0 && errno == EOPNOTSUPP, "no user attributes on this file system");
    char text[8] = {0};
    EXPECT_EQ(getxattr("link", "user.a", text, sizeof text), 1);
    EXPECT_EQ(fgetxattr(fd, "user.a", text, sizeof text), 1);
    EXPECT_EQ(flistxattr(fd, text, sizeof text), 7);
    EXPECT_EQ(llistxattr("link", text, sizeof text), 0);
    EXPECT_ERRNO(lsetxattr("link", "user.a", "v", 1, 0), EPERM);
    EXPECT_EQ(fremovexattr(fd, "user.a"), 0);
    EXPECT_EQ(lsetxattr("file", "trusted.t", "v", 1, 0), 0);
    EXPECT_EQ(lgetxattr("file", "trusted.t", text, sizeof text), 1);
    EXPECT_EQ(lremovexattr("file", "trusted.t"), 0);
}
