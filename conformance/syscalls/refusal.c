/* SPDX-License-Identifier: Apache-2.0 */
/* What calls that change files say where nothing may change: file systems that are read-only or full,
 * files of others, names that are taken, targets of the wrong kind. */
#include "tap.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static const struct timespec times[2];
static const struct timeval values[2];
static const struct utimbuf stamp;
static char *const no_words[1];

/* A tmpfs at ./mnt in a mount namespace of our own. */
static void mount_tmpfs(const char *options)
{
    tap_tmpdir();
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mkdir("mnt", 0777));
    MUST(mount("none", "mnt", "tmpfs", 0, options));
}

static void leave_tmpfs(void)
{
    MUST(umount2("mnt", MNT_DETACH));
}

struct change {
    const char *name;
    long (*call)(void);
};
#define DEFINE(name_, call_)                                                                      \
    static long change_##name_(void)                                                              \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW(name_, call_) {#name_, change_##name_},
#define COUNT(rows_) (sizeof(rows_) / sizeof(rows_)[0])

static void all_fail(const struct change *rows, size_t count, int error, const char *error_name)
{
    for (size_t i = 0; i < count; i++) {
        errno = 0;
        tap_fails(__LINE__, rows[i].name, rows[i].call(), error, error_name);
    }
}

static int file_fd = -1;

#define READ_ONLY(X)                                                                              \
    X(open, syscall(SYS_open, "mnt/file", O_WRONLY))                                              \
    X(open_create, syscall(SYS_open, "mnt/new", O_RDONLY | O_CREAT, 0600))                        \
    X(openat, syscall(SYS_openat, AT_FDCWD, "mnt/file", O_RDWR))                                  \
    X(creat, syscall(SYS_creat, "mnt/file", 0600))                                                \
    X(creat_new, syscall(SYS_creat, "mnt/new", 0600))                                             \
    X(truncate, syscall(SYS_truncate, "mnt/file", 0))                                             \
    X(access, syscall(SYS_access, "mnt/file", W_OK))                                              \
    X(faccessat, syscall(SYS_faccessat, AT_FDCWD, "mnt/file", W_OK))                              \
    X(faccessat2, syscall(SYS_faccessat2, AT_FDCWD, "mnt/file", W_OK, 0))                         \
    X(mkdir, syscall(SYS_mkdir, "mnt/new", 0700))                                                 \
    X(mkdirat, syscall(SYS_mkdirat, AT_FDCWD, "mnt/new", 0700))                                   \
    X(rmdir, syscall(SYS_rmdir, "mnt/directory"))                                                 \
    X(unlink, syscall(SYS_unlink, "mnt/file"))                                                    \
    X(unlinkat, syscall(SYS_unlinkat, AT_FDCWD, "mnt/file", 0))                                   \
    X(rename, syscall(SYS_rename, "mnt/file", "mnt/new"))                                         \
    X(renameat, syscall(SYS_renameat, AT_FDCWD, "mnt/file", AT_FDCWD, "mnt/new"))                 \
    X(renameat2, syscall(SYS_renameat2, AT_FDCWD, "mnt/file", AT_FDCWD, "mnt/new", 0))            \
    X(link, syscall(SYS_link, "mnt/file", "mnt/new"))                                             \
    X(linkat, syscall(SYS_linkat, AT_FDCWD, "mnt/file", AT_FDCWD, "mnt/new", 0))                  \
    X(symlink, syscall(SYS_symlink, "x", "mnt/new"))                                              \
    X(symlinkat, syscall(SYS_symlinkat, "x", AT_FDCWD, "mnt/new"))                                \
    X(mknod, syscall(SYS_mknod, "mnt/new", S_IFIFO | 0600, 0))                                    \
    X(mknodat, syscall(SYS_mknodat, AT_FDCWD, "mnt/new", S_IFREG | 0600, 0))                      \
    X(chmod, syscall(SYS_chmod, "mnt/file", 0600))                                                \
    X(fchmod, syscall(SYS_fchmod, file_fd, 0600))                                                 \
    X(fchmodat, syscall(SYS_fchmodat, AT_FDCWD, "mnt/file", 0600))                                \
    X(fchmodat2, syscall(SYS_fchmodat2, AT_FDCWD, "mnt/file", 0600, 0))                           \
    X(chown, syscall(SYS_chown, "mnt/file", 0, 0))                                                \
    X(lchown, syscall(SYS_lchown, "mnt/file", 0, 0))                                              \
    X(fchown, syscall(SYS_fchown, file_fd, 0, 0))                                                 \
    X(fchownat, syscall(SYS_fchownat, AT_FDCWD, "mnt/file", 0, 0, 0))                             \
    X(utime, syscall(SYS_utime, "mnt/file", &stamp))                                              \
    X(utimes, syscall(SYS_utimes, "mnt/file", values))                                            \
    X(futimesat, syscall(SYS_futimesat, AT_FDCWD, "mnt/file", values))                            \
    X(utimensat, syscall(SYS_utimensat, AT_FDCWD, "mnt/file", times, 0))                          \
    X(setxattr, syscall(SYS_setxattr, "mnt/file", "trusted.a", "1", 1, 0))                        \
    X(lsetxattr, syscall(SYS_lsetxattr, "mnt/file", "trusted.a", "1", 1, 0))                      \
    X(fsetxattr, syscall(SYS_fsetxattr, file_fd, "trusted.a", "1", 1, 0))                         \
    X(removexattr, syscall(SYS_removexattr, "mnt/file", "trusted.a"))                             \
    X(lremovexattr, syscall(SYS_lremovexattr, "mnt/file", "trusted.a"))                           \
    X(fremovexattr, syscall(SYS_fremovexattr, file_fd, "trusted.a"))
READ_ONLY(DEFINE)
static const struct change read_only_rows[] = {READ_ONLY(ROW)};

static void make_read_only(void)
{
    mount_tmpfs(NULL);
    tap_write_file("mnt/file", "text");
    MUST(mkdir("mnt/directory", 0700));
    file_fd = MUST(open("mnt/file", O_RDONLY));
    MUST(mount(NULL, "mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL));
}

/*
 * shows: open openat creat truncate access faccessat faccessat2 mkdir mkdirat rmdir unlink unlinkat
 * rename renameat renameat2 link linkat symlink symlinkat mknod mknodat chmod fchmod fchmodat
 * fchmodat2 chown lchown fchown fchownat utime utimes futimesat utimensat setxattr lsetxattr
 * fsetxattr removexattr lremovexattr fremovexattr: EROFS
 */
CASE(read_only_file_system)
{
    make_read_only();
    all_fail(read_only_rows, COUNT(read_only_rows), EROFS, "EROFS");
    leave_tmpfs();
}

CASE(read_only_mount)
{
    mount_tmpfs(NULL);
    tap_write_file("mnt/file", "text");
    MUST(mkdir("mnt/directory", 0700));
    MUST(mount("mnt", "mnt", NULL, MS_BIND, NULL));
    MUST(mount(NULL, "mnt", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
    file_fd = MUST(open("mnt/file", O_RDONLY));
    all_fail(read_only_rows, COUNT(read_only_rows), EROFS, "EROFS");
    leave_tmpfs();
    leave_tmpfs();
}

#define CREATING(X)                                                                               \
    X(open, syscall(SYS_open, "mnt/new", O_RDWR | O_CREAT, 0600))                                 \
    X(openat, syscall(SYS_openat, AT_FDCWD, "mnt/new", O_RDWR | O_CREAT, 0600))                   \
    X(creat, syscall(SYS_creat, "mnt/new", 0600))                                                 \
    X(mkdir, syscall(SYS_mkdir, "mnt/new", 0700))                                                 \
    X(mkdirat, syscall(SYS_mkdirat, AT_FDCWD, "mnt/new", 0700))                                   \
    X(symlink, syscall(SYS_symlink, "x", "mnt/new"))                                              \
    X(symlinkat, syscall(SYS_symlinkat, "x", AT_FDCWD, "mnt/new"))                                \
    X(mknod, syscall(SYS_mknod, "mnt/new", S_IFIFO | 0600, 0))                                    \
    X(mknodat, syscall(SYS_mknodat, AT_FDCWD, "mnt/new", S_IFREG | 0600, 0))                      \
    X(link, syscall(SYS_link, "mnt/file", "mnt/new"))                                             \
    X(linkat, syscall(SYS_linkat, AT_FDCWD, "mnt/file", AT_FDCWD, "mnt/new", 0))

#define DEFINE_NEW(name_, call_)                                                                  \
    static long create_##name_(void)                                                              \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW_NEW(name_, call_) {#name_, create_##name_},
CREATING(DEFINE_NEW)
static const struct change creating_rows[] = {CREATING(ROW_NEW)};

/* shows: open openat creat mkdir mkdirat symlink symlinkat mknod mknodat link linkat: ENOSPC */
CASE(no_inode_left)
{
    mount_tmpfs("nr_inodes=3");
    tap_write_file("mnt/file", "text");
    tap_write_file("mnt/file2", "text");
    all_fail(creating_rows, COUNT(creating_rows), ENOSPC, "ENOSPC");
    EXPECT_EQ(unlink("mnt/file2"), 0);
    EXPECT_OK(mkdir("mnt/new", 0700));
    leave_tmpfs();
}

CASE(no_block_left)
{
    mount_tmpfs("size=20k");
    static char bytes[16384];
    int from = MUST(open("mnt/source", O_RDWR | O_CREAT, 0600));
    EXPECT_EQ(write(from, bytes, 4096), 4096);
    lseek(from, 0, SEEK_SET);
    int fd = MUST(open("mnt/file", O_RDWR | O_CREAT, 0600));
    EXPECT_EQ(write(fd, bytes, sizeof bytes), sizeof bytes);
    EXPECT_ERRNO(write(fd, bytes, 1), ENOSPC);
    EXPECT_ERRNO(pwrite(fd, bytes, 1, 20000), ENOSPC);
    EXPECT_ERRNO(fallocate(fd, 0, 20000, 10), ENOSPC);
    EXPECT_ERRNO(syscall(SYS_copy_file_range, from, NULL, fd, NULL, 4096, 0), ENOSPC);
    close(fd);
    close(from);
    leave_tmpfs();
}

/* Names that exist: creating calls that must not replace. */
#define TAKEN(X)                                                                                  \
    X(open, syscall(SYS_open, "file", O_RDWR | O_CREAT | O_EXCL, 0600))                           \
    X(openat, syscall(SYS_openat, AT_FDCWD, "file", O_RDWR | O_CREAT | O_EXCL, 0600))             \
    X(mkdir, syscall(SYS_mkdir, "file", 0700))                                                    \
    X(mkdirat, syscall(SYS_mkdirat, AT_FDCWD, "directory", 0700))                                 \
    X(symlink, syscall(SYS_symlink, "x", "file"))                                                 \
    X(symlinkat, syscall(SYS_symlinkat, "x", AT_FDCWD, "dangling"))                               \
    X(mknod, syscall(SYS_mknod, "file", S_IFIFO | 0600, 0))                                       \
    X(mknodat, syscall(SYS_mknodat, AT_FDCWD, "dangling", S_IFREG | 0600, 0))                     \
    X(link, syscall(SYS_link, "file", "directory"))                                               \
    X(linkat, syscall(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, "file", 0))                         \
    X(renameat2, syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "dangling", 1))
#define DEFINE_TAKEN(name_, call_)                                                                \
    static long taken_##name_(void)                                                               \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW_TAKEN(name_, call_) {#name_, taken_##name_},
TAKEN(DEFINE_TAKEN)
static const struct change taken_rows[] = {TAKEN(ROW_TAKEN)};

static void make_tree(void)
{
    tap_tmpdir();
    tap_write_file("file", "text");
    MUST(mkdir("directory", 0755));
    MUST(mkdir("full", 0755));
    tap_write_file("full/file", "text");
    MUST(symlink("nowhere", "dangling"));
}

/* shows: open openat mkdir mkdirat symlink symlinkat mknod mknodat link linkat renameat2: EEXIST */
CASE(name_is_taken)
{
    make_tree();
    all_fail(taken_rows, COUNT(taken_rows), EEXIST, "EEXIST");
}

CASE(wrong_kind_of_target)
{
    make_tree();
    EXPECT_ERRNO(syscall(SYS_open, "directory", O_WRONLY), EISDIR);
    EXPECT_ERRNO(syscall(SYS_open, "directory", O_RDONLY | O_CREAT, 0600), EISDIR);
    EXPECT_ERRNO(syscall(SYS_openat, AT_FDCWD, "directory", O_RDWR), EISDIR);
    EXPECT_ERRNO(syscall(SYS_creat, "directory", 0600), EISDIR);
    EXPECT_ERRNO(syscall(SYS_truncate, "directory", 0), EISDIR);
    EXPECT_ERRNO(syscall(SYS_unlink, "directory"), EISDIR);
    EXPECT_ERRNO(syscall(SYS_unlinkat, AT_FDCWD, "directory", 0), EISDIR);
    EXPECT_ERRNO(syscall(SYS_unlinkat, AT_FDCWD, "file", AT_REMOVEDIR), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_unlinkat, AT_FDCWD, "full", AT_REMOVEDIR), ENOTEMPTY);
    EXPECT_ERRNO(syscall(SYS_unlinkat, AT_FDCWD, "full/.", AT_REMOVEDIR), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rmdir, "full/.."), ENOTEMPTY);
    EXPECT_ERRNO(syscall(SYS_rename, "file", "directory"), EISDIR);
    EXPECT_ERRNO(syscall(SYS_renameat, AT_FDCWD, "file", AT_FDCWD, "directory"), EISDIR);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "directory", 0), EISDIR);
    EXPECT_ERRNO(syscall(SYS_rename, "directory", "file"), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_renameat, AT_FDCWD, "directory", AT_FDCWD, "file"), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "directory", AT_FDCWD, "file", 0), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_rename, "directory", "full"), ENOTEMPTY);
    EXPECT_ERRNO(syscall(SYS_renameat, AT_FDCWD, "directory", AT_FDCWD, "full"), ENOTEMPTY);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "directory", AT_FDCWD, "full", 0), ENOTEMPTY);
    EXPECT_ERRNO(syscall(SYS_rename, "full", "full/file/new"), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_rename, "full", "full/new"), EINVAL);
    EXPECT_ERRNO(syscall(SYS_renameat, AT_FDCWD, "full", AT_FDCWD, "full/new"), EINVAL);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "full", AT_FDCWD, "full/new", 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_renameat, AT_FDCWD, ".", AT_FDCWD, "new"), EBUSY);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "full/..", AT_FDCWD, "new", 0), EBUSY);
    EXPECT_ERRNO(syscall(SYS_link, "directory", "new"), EPERM);
    EXPECT_ERRNO(syscall(SYS_linkat, AT_FDCWD, "directory", AT_FDCWD, "new", 0), EPERM);
    EXPECT_ERRNO(syscall(SYS_open, "file", O_RDONLY | O_DIRECTORY), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_open, "dangling", O_RDONLY | O_NOFOLLOW), ELOOP);
    EXPECT_ERRNO(syscall(SYS_execve, "directory", no_words, no_words), EACCES);
    EXPECT_ERRNO(syscall(SYS_execveat, AT_FDCWD, "file", no_words, no_words, 0), EACCES);
    MUST(chmod("file", 0755));
    EXPECT_ERRNO(syscall(SYS_execveat, AT_FDCWD, "file", no_words, no_words, 0), ENOEXEC);
    EXPECT_ERRNO(syscall(SYS_execveat, AT_FDCWD, "dangling", no_words, no_words,
                         AT_SYMLINK_NOFOLLOW), ELOOP);
}

CASE(open_of_odd_files)
{
    make_tree();
    MUST(mkfifo("fifo", 0600));
    EXPECT_ERRNO(syscall(SYS_open, "fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    EXPECT_ERRNO(syscall(SYS_openat, AT_FDCWD, "fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    EXPECT_ERRNO(syscall(SYS_open, "/proc/self/exe", O_WRONLY), ETXTBSY);
    EXPECT_ERRNO(syscall(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDWR), ETXTBSY);
    EXPECT_ERRNO(syscall(SYS_creat, "/proc/self/exe", 0600), ETXTBSY);
    EXPECT_ERRNO(syscall(SYS_truncate, "/proc/self/exe", 0), ETXTBSY);
    EXPECT_ERRNO(syscall(SYS_open, "/proc", O_RDWR | O_TMPFILE, 0600), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_openat, AT_FDCWD, "/proc", O_RDWR | O_TMPFILE, 0600), EOPNOTSUPP);
}

static void on_signal(int signal)
{
}

CASE(open_of_a_fifo_is_interrupted)
{
    tap_tmpdir();
    MUST(mkfifo("fifo", 0600));
    pid_t parent = getpid();
    tap_handle(SIGUSR1, on_signal, 0);
    CHILD(pid)
    {
        for (int i = 0; i < 2; i++) {
            tap_until_asleep(parent);
            kill(parent, SIGUSR1);
            tap_sleep_ms(50);
        }
    }
    EXPECT_ERRNO(syscall(SYS_open, "fifo", O_RDONLY), EINTR);
    EXPECT_ERRNO(syscall(SYS_openat, AT_FDCWD, "fifo", O_WRONLY), EINTR);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

CASE(mount_points_stay)
{
    mount_tmpfs(NULL);
    tap_write_file("file", "text");
    MUST(mkdir("directory", 0700));
    EXPECT_ERRNO(syscall(SYS_rmdir, "mnt"), EBUSY);
    EXPECT_ERRNO(syscall(SYS_unlinkat, AT_FDCWD, "mnt", AT_REMOVEDIR), EBUSY);
    EXPECT_ERRNO(syscall(SYS_rename, "mnt", "new"), EBUSY);
    EXPECT_ERRNO(syscall(SYS_renameat, AT_FDCWD, "mnt", AT_FDCWD, "new"), EBUSY);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "directory", AT_FDCWD, "mnt", 0), EBUSY);
    EXPECT_ERRNO(syscall(SYS_rename, "file", "mnt/file"), EXDEV);
    EXPECT_ERRNO(syscall(SYS_renameat, AT_FDCWD, "file", AT_FDCWD, "mnt/file"), EXDEV);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "mnt/file", 0), EXDEV);
    EXPECT_ERRNO(syscall(SYS_link, "file", "mnt/file"), EXDEV);
    EXPECT_ERRNO(syscall(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, "mnt/file", 0), EXDEV);
    tap_write_file("mnt/file", "other");
    MUST(mount("mnt/file", "file", NULL, MS_BIND, NULL));
    EXPECT_ERRNO(syscall(SYS_unlink, "file"), EBUSY);
    EXPECT_ERRNO(syscall(SYS_unlinkat, AT_FDCWD, "file", 0), EBUSY);
    MUST(umount2("file", 0));
    leave_tmpfs();
}

static void be_somebody(void)
{
    MUST(syscall(SYS_setgroups, 0, NULL));
    MUST(setresgid(1000, 1000, 1000));
    MUST(setresuid(1000, 1000, 1000));
}

#define OWNERS(X)                                                                                 \
    X(chmod, syscall(SYS_chmod, "file", 0600))                                                    \
    X(fchmod, syscall(SYS_fchmod, file_fd, 0600))                                                 \
    X(fchmodat, syscall(SYS_fchmodat, AT_FDCWD, "file", 0600))                                    \
    X(fchmodat2, syscall(SYS_fchmodat2, AT_FDCWD, "file", 0600, 0))                               \
    X(chown, syscall(SYS_chown, "file", 1000, 1000))                                              \
    X(lchown, syscall(SYS_lchown, "dangling", 1000, 1000))                                        \
    X(fchown, syscall(SYS_fchown, file_fd, 1000, 1000))                                           \
    X(fchownat, syscall(SYS_fchownat, AT_FDCWD, "file", 1000, 1000, 0))                           \
    X(utime, syscall(SYS_utime, "file", &stamp))                                                  \
    X(utimes, syscall(SYS_utimes, "file", values))                                                \
    X(futimesat, syscall(SYS_futimesat, AT_FDCWD, "file", values))                                \
    X(utimensat, syscall(SYS_utimensat, AT_FDCWD, "file", times, 0))                              \
    X(open, syscall(SYS_open, "file", O_RDONLY | O_NOATIME))                                      \
    X(openat, syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY | O_NOATIME))                        \
    X(unlink, syscall(SYS_unlink, "file"))                                                        \
    X(unlinkat, syscall(SYS_unlinkat, AT_FDCWD, "file", 0))                                       \
    X(rmdir, syscall(SYS_rmdir, "directory"))                                                     \
    X(rename, syscall(SYS_rename, "file", "new"))                                                 \
    X(renameat, syscall(SYS_renameat, AT_FDCWD, "file", AT_FDCWD, "new"))                         \
    X(renameat2, syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "new", 0))                    \
    X(mknod, syscall(SYS_mknod, "new", S_IFCHR | 0600, 0x103))                                    \
    X(mknodat, syscall(SYS_mknodat, AT_FDCWD, "new", S_IFBLK | 0600, 0x103))                      \
    X(chroot, syscall(SYS_chroot, "directory"))                                                   \
    X(setxattr, syscall(SYS_setxattr, "file", "trusted.a", "1", 1, 0))                            \
    X(lsetxattr, syscall(SYS_lsetxattr, "file", "trusted.a", "1", 1, 0))                          \
    X(fsetxattr, syscall(SYS_fsetxattr, file_fd, "trusted.a", "1", 1, 0))                         \
    X(removexattr, syscall(SYS_removexattr, "file", "trusted.a"))                                 \
    X(lremovexattr, syscall(SYS_lremovexattr, "file", "trusted.a"))                               \
    X(fremovexattr, syscall(SYS_fremovexattr, file_fd, "trusted.a"))
#define DEFINE_OWNER(name_, call_)                                                                \
    static long owner_##name_(void)                                                               \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW_OWNER(name_, call_) {#name_, owner_##name_},
OWNERS(DEFINE_OWNER)
static const struct change owner_rows[] = {OWNERS(ROW_OWNER)};

/*
 * shows: chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat utime utimes futimesat
 * utimensat open openat unlink unlinkat rmdir rename renameat renameat2 mknod mknodat chroot setxattr
 * lsetxattr fsetxattr removexattr lremovexattr fremovexattr: EPERM
 */
CASE(files_of_others)
{
    make_tree();
    MUST(chmod("file", 0666));
    MUST(chmod(".", 01777));
    file_fd = MUST(open("file", O_RDWR));
    CHILD(pid)
    {
        be_somebody();
        all_fail(owner_rows, COUNT(owner_rows), EPERM, "EPERM");
    }
    EXPECT_EXIT(pid, 0);
}

#define UNWRITABLE(X)                                                                             \
    X(open, syscall(SYS_open, "file", O_WRONLY))                                                  \
    X(creat, syscall(SYS_creat, "file", 0600))                                                    \
    X(openat, syscall(SYS_openat, AT_FDCWD, "new", O_WRONLY | O_CREAT, 0600))                     \
    X(truncate, syscall(SYS_truncate, "file", 0))                                                 \
    X(access, syscall(SYS_access, "file", W_OK))                                                  \
    X(faccessat, syscall(SYS_faccessat, AT_FDCWD, "file", W_OK))                                  \
    X(faccessat2, syscall(SYS_faccessat2, AT_FDCWD, "file", X_OK, 0))                             \
    X(utime, syscall(SYS_utime, "file", NULL))                                                    \
    X(utimes, syscall(SYS_utimes, "file", NULL))                                                  \
    X(futimesat, syscall(SYS_futimesat, AT_FDCWD, "file", NULL))                                  \
    X(utimensat, syscall(SYS_utimensat, AT_FDCWD, "file", NULL, 0))                               \
    X(mkdir, syscall(SYS_mkdir, "new", 0700))                                                     \
    X(mkdirat, syscall(SYS_mkdirat, AT_FDCWD, "new", 0700))                                       \
    X(rmdir, syscall(SYS_rmdir, "directory"))                                                     \
    X(unlink, syscall(SYS_unlink, "file"))                                                        \
    X(unlinkat, syscall(SYS_unlinkat, AT_FDCWD, "file", 0))                                       \
    X(symlink, syscall(SYS_symlink, "x", "new"))                                                  \
    X(rename, syscall(SYS_rename, "file", "new"))                                                 \
    X(mknod, syscall(SYS_mknod, "new", S_IFIFO | 0600, 0))                                        \
    X(setxattr, syscall(SYS_setxattr, "file", "user.a", "1", 1, 0))                               \
    X(execve, syscall(SYS_execve, "file", no_words, no_words))                                    \
    X(fchdir, syscall(SYS_fchdir, file_fd))
#define DEFINE_UNWRITABLE(name_, call_)                                                           \
    static long unwritable_##name_(void)                                                          \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW_UNWRITABLE(name_, call_) {#name_, unwritable_##name_},
UNWRITABLE(DEFINE_UNWRITABLE)
static const struct change unwritable_rows[] = {UNWRITABLE(ROW_UNWRITABLE)};

/* shows: open creat openat truncate access utime utimes futimesat utimensat rmdir fchdir: EACCES */
CASE(files_without_permission)
{
    make_tree();
    MUST(mkdir("shut", 0700));
    MUST(chmod(".", 0755));
    file_fd = MUST(open("shut", O_RDONLY));
    CHILD(pid)
    {
        be_somebody();
        all_fail(unwritable_rows, COUNT(unwritable_rows), EACCES, "EACCES");
    }
    EXPECT_EXIT(pid, 0);
}

/* shows: mkdir mkdirat symlink symlinkat mknod mknodat: EPERM */
CASE(file_system_without_the_operation)
{
    EXPECT_ERRNO(syscall(SYS_mkdir, "/dev/pts/new", 0700), EPERM);
    EXPECT_ERRNO(syscall(SYS_mkdirat, AT_FDCWD, "/dev/pts/new", 0700), EPERM);
    EXPECT_ERRNO(syscall(SYS_symlink, "x", "/dev/pts/new"), EPERM);
    EXPECT_ERRNO(syscall(SYS_symlinkat, "x", AT_FDCWD, "/dev/pts/new"), EPERM);
    EXPECT_ERRNO(syscall(SYS_mknod, "/dev/pts/new", S_IFIFO | 0600, 0), EPERM);
    EXPECT_ERRNO(syscall(SYS_mknodat, AT_FDCWD, "/dev/pts/new", S_IFIFO | 0600, 0), EPERM);
    EXPECT_ERRNO(syscall(SYS_open, "/dev/pts/new", O_RDWR | O_CREAT, 0600), EACCES);
    EXPECT_ERRNO(syscall(SYS_open, "/proc/new", O_RDWR | O_CREAT, 0600), ENOENT);
}

static void no_file_may_grow(void)
{
    struct {
        unsigned long current, maximum;
    } limit = {4096, 4096};
    signal(SIGXFSZ, SIG_IGN);
    MUST(syscall(SYS_setrlimit, 1, &limit));
}

CASE(limit_of_file_size)
{
    tap_tmpdir();
    static char bytes[8192];
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
    EXPECT_EQ(write(fd, bytes, 8192), 8192);
    CHILD(pid)
    {
        no_file_may_grow();
        EXPECT_ERRNO(syscall(SYS_pwrite64, fd, bytes, 1, 4096), EFBIG);
        EXPECT_ERRNO(syscall(SYS_write, fd, bytes, 1), EFBIG);
        EXPECT_ERRNO(syscall(SYS_truncate, "file", 10000), EFBIG);
        EXPECT_ERRNO(syscall(SYS_ftruncate, fd, 10000), EFBIG);
        EXPECT_ERRNO(syscall(SYS_fallocate, fd, 0, 8192, 10), EFBIG);
        loff_t in = 0, out = 4096;
        EXPECT_ERRNO(syscall(SYS_copy_file_range, fd, &in, fd, &out, 10, 0), EFBIG);
    }
    EXPECT_EXIT(pid, 0);
}
