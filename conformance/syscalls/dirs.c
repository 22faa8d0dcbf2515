/* SPDX-License-Identifier: Apache-2.0 */
/* mkdir, rmdir, getdents, chdir, getcwd, chroot: directories as objects. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

CASE(mkdir_and_rmdir)
{
    tap_tmpdir();
    struct stat st;
    EXPECT_EQ(mkdir("dir", 0777), 0);
    EXPECT_EQ(stat("dir", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0755);
    EXPECT_ERRNO(mkdir("dir", 0777), EEXIST);
    EXPECT_EQ(rmdir("dir"), 0);
    EXPECT_ERRNO(rmdir("dir"), ENOENT);
    EXPECT_EQ(mkdir("slash/", 0755), 0);
    EXPECT_EQ(rmdir("slash/"), 0);
}

CASE(mkdir_errors)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(symlink("missing", "broken"));
    EXPECT_ERRNO(mkdir("missing/dir", 0755), ENOENT);
    EXPECT_ERRNO(mkdir("file/dir", 0755), ENOTDIR);
    EXPECT_ERRNO(mkdir("file", 0755), EEXIST);
    EXPECT_ERRNO(mkdir("broken", 0755), EEXIST);
    EXPECT_ERRNO(mkdir(".", 0755), EEXIST);
    EXPECT_ERRNO(mkdir("/", 0755), EEXIST);
    EXPECT_ERRNO(mkdir("", 0755), ENOENT);
    EXPECT_ERRNO(mkdirat(-1, "dir", 0755), EBADF);
    EXPECT_ERRNO(syscall(SYS_mkdir, (void *)8, 0755), EFAULT);
}

CASE(mkdir_mode_keeps_sticky_and_drops_setgid)
{
    tap_tmpdir();
    struct stat st;
    MUST(mkdir("sticky", 01777));
    EXPECT_EQ(stat("sticky", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 01755);
    MUST(mkdir("set", 07777));
    EXPECT_EQ(stat("set", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 01755);
}

CASE(setgid_directory_hands_on_its_group)
{
    tap_tmpdir();
    struct stat st;
    MUST(mkdir("parent", 0755));
    MUST(chown("parent", 0, 1234));
    MUST(chmod("parent", 02755));
    MUST(mkdir("parent/dir", 0755));
    EXPECT_EQ(stat("parent/dir", &st), 0);
    EXPECT_EQ(st.st_gid, 1234);
    EXPECT_EQ(st.st_mode, S_IFDIR | 02755);
    tap_write_file("parent/file", "");
    EXPECT_EQ(stat("parent/file", &st), 0);
    EXPECT_EQ(st.st_gid, 1234);
    EXPECT_EQ(st.st_mode, S_IFREG | 0644);
}

CASE(rmdir_errors)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    MUST(mkdir("dir/sub", 0755));
    tap_write_file("file", "");
    MUST(symlink("dir", "link"));
    EXPECT_ERRNO(rmdir("dir"), ENOTEMPTY);
    EXPECT_ERRNO(rmdir("file"), ENOTDIR);
    EXPECT_ERRNO(rmdir("link"), ENOTDIR);
    EXPECT_ERRNO(rmdir("dir/sub/."), EINVAL);
    EXPECT_ERRNO(rmdir("dir/sub/.."), ENOTEMPTY);
    EXPECT_ERRNO(rmdir("/proc"), EBUSY);
    EXPECT_ERRNO(rmdir(""), ENOENT);
}

CASE(unlink_of_a_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    EXPECT_ERRNO(unlink("dir"), EISDIR);
    EXPECT_ERRNO(unlink("."), EISDIR);
    EXPECT_EQ(unlinkat(AT_FDCWD, "dir", AT_REMOVEDIR), 0);
    EXPECT_ERRNO(unlinkat(AT_FDCWD, "dir", 0x10000), EINVAL);
}

CASE(chdir_and_getcwd)
{
    const char *top = tap_tmpdir();
    char path[128];
    char want[128];
    EXPECT_STR(getcwd(path, sizeof path), top);
    MUST(mkdir("a", 0755));
    MUST(mkdir("a/b", 0755));
    EXPECT_EQ(chdir("a/b"), 0);
    snprintf(want, sizeof want, "%s/a/b", top);
    EXPECT_STR(getcwd(path, sizeof path), want);
    EXPECT_EQ(chdir(".."), 0);
    EXPECT_EQ(rename("../a", "../c"), 0);
    snprintf(want, sizeof want, "%s/c", top);
    EXPECT_STR(getcwd(path, sizeof path), want);
}

CASE(getcwd_sizes)
{
    const char *top = tap_tmpdir();
    char path[128];
    EXPECT_EQ(syscall(SYS_getcwd, path, sizeof path), strlen(top) + 1);
    EXPECT_EQ(syscall(SYS_getcwd, path, strlen(top) + 1), strlen(top) + 1);
    EXPECT_ERRNO(syscall(SYS_getcwd, path, strlen(top)), ERANGE);
    EXPECT_ERRNO(syscall(SYS_getcwd, path, 0), ERANGE);
    EXPECT_ERRNO(syscall(SYS_getcwd, (void *)8, 100), EFAULT);
}

CASE(chdir_errors)
{
    tap_tmpdir();
    tap_write_file("file", "");
    EXPECT_ERRNO(chdir("missing"), ENOENT);
    EXPECT_ERRNO(chdir("file"), ENOTDIR);
    EXPECT_ERRNO(chdir(""), ENOENT);
    EXPECT_ERRNO(fchdir(-1), EBADF);
    int file = MUST(open("file", O_RDONLY));
    EXPECT_ERRNO(fchdir(file), ENOTDIR);
    MUST(mkdir("closed", 0700));
    CHILD(pid)
    {
        int fd = MUST(open("closed", O_RDONLY));
        MUST(setuid(1000));
        EXPECT_ERRNO(chdir("closed"), EACCES);
        EXPECT_ERRNO(fchdir(fd), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(removed_current_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    MUST(chdir("dir"));
    MUST(rmdir("../dir"));
    char path[128];
    EXPECT_ERRNO(syscall(SYS_getcwd, path, sizeof path), ENOENT);
    EXPECT_ERRNO(open("file", O_RDWR | O_CREAT, 0644), ENOENT);
    EXPECT_ERRNO(mkdir("sub", 0755), ENOENT);
    struct stat st;
    EXPECT_EQ(stat(".", &st), 0);
    EXPECT_EQ(st.st_nlink, 0);
    EXPECT_EQ(chdir(".."), 0);
}

CASE(fchdir_back)
{
    const char *top = tap_tmpdir();
    int here = MUST(open(".", O_RDONLY));
    MUST(chdir("/"));
    EXPECT_EQ(fchdir(here), 0);
    char path[128];
    EXPECT_STR(getcwd(path, sizeof path), top);
}

CASE(children_have_their_own_current_directory)
{
    const char *top = tap_tmpdir();
    CHILD(pid)
    {
        MUST(chdir("/"));
    }
    EXPECT_EXIT(pid, 0);
    char path[128];
    EXPECT_STR(getcwd(path, sizeof path), top);
}

static int by_name(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* The names in this directory in order, joined by blanks. */
static const char *names_in(const char *path)
{
    static char joined[4096];
    char names[64][64];
    size_t count = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return "(opendir)";
    struct dirent *entry;
    while ((entry = readdir(dir)) && count < 64)
        snprintf(names[count++], sizeof names[0], "%.60s", entry->d_name);
    closedir(dir);
    qsort(names, count, sizeof names[0], by_name);
    joined[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strcat(joined, i ? " " : "");
        strcat(joined, names[i]);
    }
    return joined;
}

CASE(getdents_names)
{
    tap_tmpdir();
    tap_write_file("b", "");
    MUST(mkdir("a", 0755));
    MUST(symlink("b", "c"));
    EXPECT_STR(names_in("."), ". .. a b c");
    MUST(unlink("b"));
    EXPECT_STR(names_in("."), ". .. a c");
    EXPECT_STR(names_in("a"), ". ..");
}

CASE(getdents_kinds_and_inodes)
{
    tap_tmpdir();
    tap_write_file("file", "");
    MUST(mkdir("dir", 0755));
    MUST(symlink("x", "link"));
    MUST(mkfifo("fifo", 0644));
    DIR *dir = opendir(".");
    REQUIRE(dir);
    struct dirent *entry;
    int seen = 0;
    while ((entry = readdir(dir))) {
        struct stat st;
        MUST(lstat(entry->d_name, &st));
        EXPECT_EQ(entry->d_type, IFTODT(st.st_mode));
        EXPECT(strcmp(entry->d_name, "..") == 0 || entry->d_ino == st.st_ino);
        seen++;
    }
    EXPECT_EQ(seen, 6);
}

CASE(getdents_many_entries)
{
    tap_tmpdir();
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "entry_%03d", i);
        tap_write_file(name, "");
    }
    char seen[300] = {0};
    int total = 0;
    DIR *dir = opendir(".");
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        int i = 0;
        if (sscanf(entry->d_name, "entry_%d", &i) == 1 && i < 300)
            seen[i]++;
        total++;
    }
    EXPECT_EQ(total, 302);
    for (int i = 0; i < 300; i++)
        EXPECT_EQ(seen[i], 1);
    rewinddir(dir);
    EXPECT(readdir(dir) != NULL);
}

CASE(getdents_buffers)
{
    tap_tmpdir();
    tap_write_file("a_name_of_thirty_two_characters_", "");
    int fd = MUST(open(".", O_RDONLY | O_DIRECTORY));
    char buffer[1024];
    EXPECT_ERRNO(syscall(SYS_getdents64, fd, buffer, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getdents64, -1, buffer, sizeof buffer), EBADF);
    EXPECT_ERRNO(syscall(SYS_getdents64, fd, (void *)8, 1024), EFAULT);
    int file = MUST(open("a_name_of_thirty_two_characters_", O_RDONLY));
    EXPECT_ERRNO(syscall(SYS_getdents64, file, buffer, sizeof buffer), ENOTDIR);
    long size = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    EXPECT(size > 0 && size % 8 == 0);
    EXPECT_EQ(syscall(SYS_getdents64, fd, buffer, sizeof buffer), 0);
    EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
    EXPECT_EQ(syscall(SYS_getdents64, fd, buffer, sizeof buffer), size);
    EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
    EXPECT(syscall(SYS_getdents, fd, buffer, sizeof buffer) > 0);
}

CASE(getdents_of_a_removed_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    int fd = MUST(open("dir", O_RDONLY));
    MUST(rmdir("dir"));
    char buffer[1024];
    EXPECT_ERRNO(syscall(SYS_getdents64, fd, buffer, sizeof buffer), ENOENT);
}

CASE(directory_with_many_levels)
{
    tap_tmpdir();
    for (int i = 0; i < 100; i++) {
        MUST(mkdir("d", 0755));
        MUST(chdir("d"));
    }
    char path[512];
    REQUIRE(getcwd(path, sizeof path));
    EXPECT(strlen(path) > 200);
    for (int i = 0; i < 100; i++) {
        MUST(chdir(".."));
        EXPECT_EQ(rmdir("d"), 0);
    }
}

CASE(chroot_bounds_the_tree)
{
    tap_tmpdir();
    MUST(mkdir("root", 0755));
    tap_write_file("root/file", "in");
    CHILD(pid)
    {
        MUST(chroot("root"));
        MUST(chdir("/"));
        EXPECT_EQ(access("/file", F_OK), 0);
        EXPECT_EQ(access("/../../file", F_OK), 0);
        EXPECT_ERRNO(access("/proc", F_OK), ENOENT);
        char path[64];
        EXPECT_STR(getcwd(path, sizeof path), "/");
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(chroot("root/file"), ENOTDIR);
    EXPECT_ERRNO(chroot("missing"), ENOENT);
    CHILD(user)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(chroot("root"), EPERM);
    }
    EXPECT_EXIT(user, 0);
}

CASE(getcwd_outside_the_root)
{
    tap_tmpdir();
    MUST(mkdir("root", 0755));
    CHILD(pid)
    {
        MUST(chroot("root"));
        char path[64] = {0};
        EXPECT(syscall(SYS_getcwd, path, sizeof path) > 0);
        EXPECT(strncmp(path, "(unreachable)/", 14) == 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(sticky_directory)
{
    tap_tmpdir();
    MUST(mkdir("dir", 0755));
    MUST(chmod("dir", 01777));
    tap_write_file("dir/roots", "");
    CHILD(pid)
    {
        MUST(setuid(1000));
        tap_write_file("dir/own", "");
        EXPECT_ERRNO(unlink("dir/roots"), EPERM);
        EXPECT_ERRNO(rename("dir/roots", "dir/other"), EPERM);
        EXPECT_ERRNO(rename("dir/own", "dir/roots"), EPERM);
        EXPECT_EQ(unlink("dir/own"), 0);
    }
    EXPECT_EXIT(pid, 0);
}
