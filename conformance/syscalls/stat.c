/* SPDX-License-Identifier: Apache-2.0 */
/* stat(2) and its relatives, statx(2), access(2), statfs(2). */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

CASE(regular_file)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    struct stat st;
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0644);
    EXPECT_EQ(st.st_size, 5);
    EXPECT_EQ(st.st_nlink, 1);
    EXPECT_EQ(st.st_uid, 0);
    EXPECT_EQ(st.st_gid, 0);
    EXPECT_EQ(st.st_blksize, 4096);
    EXPECT(st.st_ino != 0);
    EXPECT(st.st_mtime > 1000000000);
}

CASE(kinds)
{
    tap_tmpdir();
    struct stat st;
    MUST(mkdir("dir", 0711));
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0711);
    MUST(mkfifo("fifo", 0600));
    EXPECT_EQ(stat("fifo", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFIFO | 0600);
    MUST(mknod("sock", S_IFSOCK | 0640, 0));
    EXPECT_EQ(stat("sock", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFSOCK | 0640);
    EXPECT_EQ(stat("/dev/null", &st), 0);
    EXPECT_EQ(st.st_mode & S_IFMT, S_IFCHR);
    EXPECT_EQ(st.st_rdev, makedev(1, 3));
}

CASE(lstat_does_not_follow)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    MUST(symlink("file", "link"));
    struct stat st;
    EXPECT_EQ(lstat("link", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFLNK | 0777);
    EXPECT_EQ(st.st_size, 4);
    EXPECT_EQ(stat("link", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0644);
    EXPECT_EQ(lstat("link/", &st) == -1 ? errno : 0, ENOTDIR);
}

CASE(same_inode_by_all_ways)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    MUST(link("file", "other"));
    struct stat a, b, c;
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_EQ(stat("file", &a), 0);
    EXPECT_EQ(stat("other", &b), 0);
    EXPECT_EQ(fstat(fd, &c), 0);
    EXPECT_EQ(a.st_ino, b.st_ino);
    EXPECT_EQ(a.st_ino, c.st_ino);
    EXPECT_EQ(a.st_dev, c.st_dev);
    EXPECT_EQ(a.st_nlink, 2);
}

CASE(errors)
{
    tap_tmpdir();
    struct stat st;
    tap_write_file("file", "");
    EXPECT_ERRNO(stat("missing", &st), ENOENT);
    EXPECT_ERRNO(stat("", &st), ENOENT);
    EXPECT_ERRNO(stat("file/x", &st), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_stat, "file", (void *)8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_stat, (void *)8, &st), EFAULT);
    EXPECT_ERRNO(fstat(-1, &st), EBADF);
    MUST(symlink("nowhere", "broken"));
    EXPECT_ERRNO(stat("broken", &st), ENOENT);
    EXPECT_EQ(lstat("broken", &st), 0);
}

CASE(old_numbers)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    MUST(symlink("file", "link"));
    struct stat st;
    EXPECT_EQ(syscall(SYS_stat, "link", &st), 0);
    EXPECT_EQ(st.st_size, 5);
    EXPECT_EQ(syscall(SYS_lstat, "link", &st), 0);
    EXPECT_EQ(st.st_size, 4);
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_EQ(syscall(SYS_fstat, fd, &st), 0);
    EXPECT_EQ(st.st_size, 5);
}

CASE(fstatat_flags)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    MUST(symlink("file", "link"));
    struct stat st;
    EXPECT_EQ(fstatat(AT_FDCWD, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    EXPECT_EQ(st.st_size, 4);
    int fd = MUST(open("file", O_RDONLY));
    EXPECT_EQ(fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
    EXPECT_EQ(st.st_size, 5);
    EXPECT_EQ(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH), 0);
    EXPECT_EQ(st.st_mode & S_IFMT, S_IFDIR);
    EXPECT_ERRNO(fstatat(fd, "", &st, 0), ENOENT);
    EXPECT_ERRNO(fstatat(fd, "x", &st, 0), ENOTDIR);
    EXPECT_ERRNO(fstatat(-1, "x", &st, 0), EBADF);
    EXPECT_EQ(fstatat(-1, "/", &st, 0), 0);
    EXPECT_ERRNO(fstatat(AT_FDCWD, "file", &st, 0x40000000), EINVAL);
}

CASE(fstat_of_a_pipe)
{
    int fds[2];
    MUST(pipe(fds));
    struct stat a, b;
    EXPECT_EQ(fstat(fds[0], &a), 0);
    EXPECT_EQ(fstat(fds[1], &b), 0);
    EXPECT_EQ(a.st_mode, S_IFIFO | 0600);
    EXPECT_EQ(a.st_ino, b.st_ino);
    EXPECT_EQ(a.st_size, 0);
    EXPECT_EQ(a.st_nlink, 1);
}

CASE(directory_link_count)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    struct stat st;
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT_EQ(st.st_nlink, 2);
    MUST(mkdir("dir/a", 0755));
    MUST(mkdir("dir/b", 0755));
    tap_write_file("dir/file", "");
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT_EQ(st.st_nlink, 4);
    MUST(rmdir("dir/a"));
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT_EQ(st.st_nlink, 3);
}

CASE(statx_basic)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    struct stat st;
    struct statx stx;
    memset(&stx, 0xee, sizeof stx);
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &stx), 0);
    EXPECT_EQ(stx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
    EXPECT_EQ(stx.stx_size, 5);
    EXPECT_EQ(stx.stx_mode, S_IFREG | 0644);
    EXPECT_EQ(stx.stx_ino, st.st_ino);
    EXPECT_EQ(stx.stx_nlink, 1);
    EXPECT_EQ(stx.stx_mtime.tv_sec, st.st_mtime);
    EXPECT_EQ(makedev(stx.stx_dev_major, stx.stx_dev_minor), st.st_dev);
}

CASE(statx_errors)
{
    struct statx stx;
    EXPECT_EQ(statx(AT_FDCWD, "", AT_EMPTY_PATH, STATX_ALL, &stx), 0);
    EXPECT_ERRNO(statx(AT_FDCWD, "", 0, STATX_ALL, &stx), ENOENT);
    EXPECT_ERRNO(statx(AT_FDCWD, "/", 0, 0x80000000, &stx), EINVAL);
    EXPECT_ERRNO(statx(AT_FDCWD, "/", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 1, &stx), EINVAL);
    EXPECT_ERRNO(statx(-1, "x", 0, 1, &stx), EBADF);
    EXPECT_ERRNO(statx(AT_FDCWD, "/", 0, 1, (void *)8), EFAULT);
    EXPECT_ERRNO(statx(AT_FDCWD, "/missing", 0, 1, &stx), ENOENT);
}

CASE(access_as_root)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(chmod("file", 0));
    EXPECT_EQ(access("file", F_OK), 0);
    EXPECT_EQ(access("file", R_OK | W_OK), 0);
    EXPECT_ERRNO(access("file", X_OK), EACCES);
    MUST(chmod("file", 0010));
    EXPECT_EQ(access("file", X_OK), 0);
    EXPECT_ERRNO(access("missing", F_OK), ENOENT);
    EXPECT_ERRNO(access("file", 8), EINVAL);
    EXPECT_ERRNO(access("file/x", F_OK), ENOTDIR);
}

CASE(access_uses_the_real_ids)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(chmod("file", 0640));
    CHILD(pid)
    {
        MUST(setresgid(1000, 1000, 0));
        MUST(setresuid(1000, 0, 0));
        EXPECT_ERRNO(access("file", R_OK), EACCES);
        EXPECT_EQ(syscall(439, AT_FDCWD, "file", R_OK, AT_EACCESS), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(faccessat_variants)
{
    tap_tmpdir();
    MUST(symlink("missing", "link"));
    EXPECT_ERRNO(faccessat(AT_FDCWD, "link", F_OK, 0), ENOENT);
    EXPECT_EQ(syscall(439, AT_FDCWD, "link", F_OK, AT_SYMLINK_NOFOLLOW), 0);
    EXPECT_ERRNO(syscall(439, AT_FDCWD, "link", F_OK, 0x40000), EINVAL);
    EXPECT_ERRNO(syscall(SYS_faccessat, -1, "link", F_OK), EBADF);
    int dir = MUST(open(".", O_RDONLY));
    EXPECT_EQ(syscall(439, dir, "", F_OK, AT_EMPTY_PATH), 0);
}

CASE(statfs_of_tmp_and_proc)
{
    struct statfs st;
    EXPECT_EQ(statfs("/proc", &st), 0);
    EXPECT_EQ(st.f_type, 0x9fa0);
    EXPECT_EQ(st.f_namelen, 255);
    EXPECT_EQ(st.f_bsize, 4096);
    EXPECT_EQ(statfs("/tmp", &st), 0);
    EXPECT(st.f_blocks > 0);
    EXPECT(st.f_bavail <= st.f_blocks);
    EXPECT_EQ(st.f_namelen, 255);
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(fstatfs(fds[0], &st), 0);
    EXPECT_EQ(st.f_type, 0x50495045);
    EXPECT_ERRNO(statfs("/missing", &st), ENOENT);
    EXPECT_ERRNO(fstatfs(-1, &st), EBADF);
    EXPECT_ERRNO(statfs("/", (void *)8), EFAULT);
}

CASE(blocks_follow_the_content)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    static char data[16384] = {1};
    EXPECT_EQ(write(fd, data, sizeof data), sizeof data);
    MUST(fsync(fd));
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_blocks, 32);
    MUST(ftruncate(fd, 0));
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_blocks, 0);
}
