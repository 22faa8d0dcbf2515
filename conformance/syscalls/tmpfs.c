/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs by its own rules: options, limits, accounting; each case mounts one of its own. */
#include "tap.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

/* A new tmpfs with these options is the current directory. */
static void on_tmpfs(const char *options)
{
    SKIP_IF(unshare(CLONE_NEWNS) < 0, "no new namespaces");
    MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    tap_tmpdir();
    MUST(mkdir("mnt", 0755));
    MUST(mount("tmpfs", "mnt", "tmpfs", 0, options));
    MUST(chdir("mnt"));
}

/* Bytes that can be written to a new file before it is full. */
static long fill(const char *name)
{
    static char page[4096];
    int fd = (int)MUST(open(name, O_WRONLY | O_CREAT, 0644));
    long total = 0;
    ssize_t count;
    while ((count = write(fd, page, sizeof page)) > 0 && total < 16 << 20)
        total += count;
    EXPECT_EQ(errno, ENOSPC);
    close(fd);
    return total;
}

CASE(options_of_the_root)
{
    on_tmpfs("mode=0751,uid=12,gid=34,size=1m");
    struct stat st;
    EXPECT_EQ(stat(".", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0751);
    EXPECT_EQ(st.st_uid, 12);
    EXPECT_EQ(st.st_gid, 34);
    EXPECT_EQ(st.st_nlink, 2);
}

CASE(default_mode_is_sticky)
{
    on_tmpfs("size=1m");
    struct stat st;
    EXPECT_EQ(stat(".", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 01777);
}

CASE(size_limits_files)
{
    on_tmpfs("size=256k");
    EXPECT_EQ(fill("file"), 256 << 10);
    EXPECT_EQ(truncate("file", 1 << 20), 0); /* a hole costs nothing */
    EXPECT_EQ(unlink("file"), 0);
    EXPECT_EQ(fill("again"), 256 << 10);
}

CASE(size_is_told)
{
    struct statfs st;
    on_tmpfs("size=1m");
    EXPECT_EQ(statfs(".", &st), 0);
    EXPECT_EQ(st.f_type, 0x01021994);
    EXPECT_EQ(st.f_bsize, 4096);
    EXPECT_EQ(st.f_blocks, 256);
    EXPECT_EQ(st.f_bfree, 256);
    tap_write_file("file", "x");
    EXPECT_EQ(statfs(".", &st), 0);
    EXPECT_EQ(st.f_bfree, 255);
}

CASE(open_but_unlinked_files_count)
{
    on_tmpfs("size=128k");
    static char block[131072];
    int fd = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(write(fd, block, sizeof block), sizeof block);
    EXPECT_EQ(unlink("file"), 0);
    int other = (int)MUST(open("other", O_RDWR | O_CREAT, 0644));
    EXPECT_ERRNO(write(other, "x", 1), ENOSPC);
    close(fd);
    EXPECT_EQ(write(other, "x", 1), 1);
}

CASE(truncation_and_holes_give_back)
{
    on_tmpfs("size=128k");
    static char block[131072];
    int fd = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(write(fd, block, sizeof block), sizeof block);
    EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536), 0);
    int other = (int)MUST(open("other", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(write(other, block, 65536), 65536);
    EXPECT_ERRNO(write(other, block, 1), ENOSPC);
    EXPECT_EQ(ftruncate(fd, 0), 0);
    EXPECT_EQ(write(other, block, 65536), 65536);
}

CASE(allocation_ahead_fails_as_a_whole)
{
    on_tmpfs("size=128k");
    int fd = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(fallocate(fd, 0, 0, 65536), 0);
    EXPECT_ERRNO(fallocate(fd, 0, 0, 1 << 20), ENOSPC);
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_size, 65536);
}

CASE(inode_limit)
{
    on_tmpfs("nr_inodes=4,size=1m");
    EXPECT_OK(open("1", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(mkdir("2", 0755), 0);
    EXPECT_EQ(symlink("x", "3"), 0);
    EXPECT_ERRNO(open("4", O_RDWR | O_CREAT, 0644), ENOSPC);
    EXPECT_ERRNO(mkdir("4", 0755), ENOSPC);
    EXPECT_EQ(unlink("3"), 0);
    EXPECT_OK(open("4", O_RDWR | O_CREAT, 0644));
}

CASE(remount_changes_the_size)
{
    on_tmpfs("size=64k");
    EXPECT_EQ(fill("file"), 64 << 10);
    EXPECT_EQ(mount(NULL, ".", NULL, MS_REMOUNT, "size=128k"), 0);
    EXPECT_EQ(fill("more"), 64 << 10);
    EXPECT_ERRNO(mount(NULL, ".", NULL, MS_REMOUNT, "size=4k"), EINVAL);
}

CASE(bad_options)
{
    on_tmpfs("size=64k");
    MUST(mkdir("dir", 0755));
    EXPECT_ERRNO(mount("tmpfs", "dir", "tmpfs", 0, "size=nonsense"), EINVAL);
    EXPECT_ERRNO(mount("tmpfs", "dir", "tmpfs", 0, "mode=9"), EINVAL);
    EXPECT_ERRNO(mount("tmpfs", "dir", "tmpfs", 0, "unknown"), EINVAL);
    EXPECT_EQ(mount("tmpfs", "dir", "tmpfs", 0, "size=50%"), 0);
    EXPECT_EQ(umount2("dir", 0), 0);
}

CASE(mount_flags_act)
{
    on_tmpfs("size=1m");
    MUST(mknod("null", S_IFCHR | 0666, 0x103));
    int in = (int)MUST(open("/bin/true", O_RDONLY));
    int out = (int)MUST(open("true", O_WRONLY | O_CREAT, 0755));
    EXPECT(sendfile(out, in, NULL, 1 << 20) > 0);
    close(out);
    EXPECT_EQ(mount(NULL, ".", NULL, MS_REMOUNT | MS_NODEV | MS_NOEXEC | MS_NOSUID, NULL), 0);
    EXPECT_ERRNO(open("null", O_RDWR), EACCES);
    EXPECT_ERRNO(execl("./true", "true", NULL), EACCES);
    struct statfs st;
    EXPECT_EQ(statfs(".", &st), 0);
    EXPECT_EQ(st.f_flags & 0xe, 0xe); /* nosuid, nodev, noexec */
}

CASE(access_times_of_noatime)
{
    on_tmpfs("size=1m");
    tap_write_file("file", "x");
    struct timespec times[2] = {{100, 0}, {50, 0}};
    MUST(utimensat(AT_FDCWD, "file", times, 0));
    EXPECT_EQ(mount(NULL, ".", NULL, MS_REMOUNT | MS_NOATIME, NULL), 0);
    char text[4];
    EXPECT_EQ(tap_read_file("file", text, sizeof text), 1);
    struct stat st;
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_atime, 100);
}

CASE(user_attributes)
{
    on_tmpfs("size=1m");
    tap_write_file("file", "");
    int err = setxattr("file", "user.a", "v", 1, 0);
    SKIP_IF(err < 0 && errno == EOPNOTSUPP, "no user attributes on this file system");
    EXPECT_EQ(err, 0);
    char text[8] = {0};
    EXPECT_EQ(getxattr("file", "user.a", text, 8), 1);
    MUST(symlink("file", "link"));
    EXPECT_ERRNO(lsetxattr("link", "user.a", "v", 1, 0), EPERM);
    EXPECT_EQ(lsetxattr("link", "trusted.a", "v", 1, 0), 0);
}
