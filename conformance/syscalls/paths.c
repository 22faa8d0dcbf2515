/* SPDX-License-Identifier: Apache-2.0 */
/* What every call that takes a path says about paths that lead nowhere: one table, a case an error. */
#include "tap.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static char room[4096];
static const struct timespec times[2];
static const struct timeval values[2];
static const struct utimbuf stamp;
static const unsigned long how[3] = {O_RDONLY, 0, 0};
static char *const no_words[1];

/* Paths below the current directory; the second column is the call with p as the path. */
#define CALLS(X)                                                                                  \
    X(open, syscall(SYS_open, p, O_RDONLY))                                                       \
    X(creat, syscall(SYS_creat, p, 0600))                                                         \
    X(stat, syscall(SYS_stat, p, room))                                                           \
    X(lstat, syscall(SYS_lstat, p, room))                                                         \
    X(access, syscall(SYS_access, p, F_OK))                                                       \
    X(truncate, syscall(SYS_truncate, p, 0))                                                      \
    X(chdir, syscall(SYS_chdir, p))                                                               \
    X(mkdir, syscall(SYS_mkdir, p, 0700))                                                         \
    X(rmdir, syscall(SYS_rmdir, p))                                                               \
    X(unlink, syscall(SYS_unlink, p))                                                             \
    X(symlink, syscall(SYS_symlink, "target", p))                                                 \
    X(readlink, syscall(SYS_readlink, p, room, sizeof room))                                      \
    X(chmod, syscall(SYS_chmod, p, 0600))                                                         \
    X(chown, syscall(SYS_chown, p, -1, -1))                                                       \
    X(lchown, syscall(SYS_lchown, p, -1, -1))                                                     \
    X(utime, syscall(SYS_utime, p, &stamp))                                                       \
    X(utimes, syscall(SYS_utimes, p, values))                                                     \
    X(mknod, syscall(SYS_mknod, p, S_IFREG | 0600, 0))                                            \
    X(statfs, syscall(SYS_statfs, p, room))                                                       \
    X(chroot, syscall(SYS_chroot, p))                                                             \
    X(execve, syscall(SYS_execve, p, no_words, no_words))                                         \
    X(setxattr, syscall(SYS_setxattr, p, "user.a", "1", 1, 0))                                    \
    X(lsetxattr, syscall(SYS_lsetxattr, p, "user.a", "1", 1, 0))                                  \
    X(getxattr, syscall(SYS_getxattr, p, "user.a", room, 10))                                     \
    X(lgetxattr, syscall(SYS_lgetxattr, p, "user.a", room, 10))                                   \
    X(listxattr, syscall(SYS_listxattr, p, room, 10))                                             \
    X(llistxattr, syscall(SYS_llistxattr, p, room, 10))                                           \
    X(removexattr, syscall(SYS_removexattr, p, "user.a"))                                         \
    X(lremovexattr, syscall(SYS_lremovexattr, p, "user.a"))                                       \
    X(rename, syscall(SYS_rename, p, "new"))                                                      \
    X(rename_to, syscall(SYS_rename, "file", p))                                                  \
    X(link, syscall(SYS_link, p, "new"))                                                          \
    X(link_to, syscall(SYS_link, "file", p))
#define CALLS_AT(X)                                                                               \
    X(openat, syscall(SYS_openat, fd, p, O_RDONLY))                                               \
    X(openat2, syscall(SYS_openat2, fd, p, how, sizeof how))                                      \
    X(mkdirat, syscall(SYS_mkdirat, fd, p, 0700))                                                 \
    X(mknodat, syscall(SYS_mknodat, fd, p, S_IFREG | 0600, 0))                                    \
    X(fchownat, syscall(SYS_fchownat, fd, p, -1, -1, 0))                                          \
    X(futimesat, syscall(SYS_futimesat, fd, p, values))                                           \
    X(newfstatat, syscall(SYS_newfstatat, fd, p, room, 0))                                        \
    X(unlinkat, syscall(SYS_unlinkat, fd, p, 0))                                                  \
    X(renameat, syscall(SYS_renameat, fd, p, AT_FDCWD, "new"))                                    \
    X(renameat_to, syscall(SYS_renameat, AT_FDCWD, "file", fd, p))                                \
    X(renameat2, syscall(SYS_renameat2, fd, p, AT_FDCWD, "new", 0))                               \
    X(renameat2_to, syscall(SYS_renameat2, AT_FDCWD, "file", fd, p, 0))                           \
    X(linkat, syscall(SYS_linkat, fd, p, AT_FDCWD, "new", 0))                                     \
    X(linkat_to, syscall(SYS_linkat, AT_FDCWD, "file", fd, p, 0))                                 \
    X(symlinkat, syscall(SYS_symlinkat, "target", fd, p))                                         \
    X(readlinkat, syscall(SYS_readlinkat, fd, p, room, sizeof room))                              \
    X(fchmodat, syscall(SYS_fchmodat, fd, p, 0600))                                               \
    X(fchmodat2, syscall(SYS_fchmodat2, fd, p, 0600, 0))                                          \
    X(faccessat, syscall(SYS_faccessat, fd, p, F_OK))                                             \
    X(faccessat2, syscall(SYS_faccessat2, fd, p, F_OK, 0))                                        \
    X(utimensat, syscall(SYS_utimensat, fd, p, times, 0))                                         \
    X(statx, syscall(SYS_statx, fd, p, 0, STATX_BASIC_STATS, room))                               \
    X(execveat, syscall(SYS_execveat, fd, p, no_words, no_words, 0))

#define DEFINE(name_, call_)                                                                      \
    static long path_##name_(int fd, const char *p)                                               \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW(name_, call_) {#name_, path_##name_},
CALLS(DEFINE)
CALLS_AT(DEFINE)

struct path_call {
    const char *name;
    long (*call)(int fd, const char *path);
};
static const struct path_call plain_calls[] = {CALLS(ROW)};
static const struct path_call at_calls[] = {CALLS_AT(ROW)};

#define COUNT(rows_) (sizeof(rows_) / sizeof(rows_)[0])

/* file, directory, loop -> loop, shut (no search for others) with shut/file. */
static void make_places(void)
{
    tap_tmpdir();
    MUST(chmod(".", 0777));
    tap_write_file("file", "text");
    MUST(mkdir("directory", 0755));
    MUST(symlink("loop", "loop"));
    MUST(mkdir("shut", 0700));
    tap_write_file("shut/file", "text");
}

static void each_call(const char *path, int error, const char *error_name)
{
    for (size_t i = 0; i < COUNT(plain_calls); i++) {
        errno = 0;
        tap_fails(__LINE__, plain_calls[i].name, plain_calls[i].call(AT_FDCWD, path), error,
                  error_name);
    }
    for (size_t i = 0; i < COUNT(at_calls); i++) {
        errno = 0;
        tap_fails(__LINE__, at_calls[i].name, at_calls[i].call(AT_FDCWD, path), error, error_name);
    }
}

/*
 * shows: open creat stat lstat access truncate chdir mkdir rmdir unlink symlink readlink chmod chown
 * lchown utime utimes mknod statfs chroot execve setxattr lsetxattr getxattr lgetxattr listxattr
 * llistxattr removexattr lremovexattr rename link openat openat2 mkdirat mknodat fchownat futimesat
 * newfstatat unlinkat renameat renameat2 linkat symlinkat readlinkat fchmodat fchmodat2 faccessat
 * faccessat2 utimensat statx execveat: ENOENT ENOTDIR ENAMETOOLONG ELOOP EFAULT EACCES
 */
CASE(missing_directory)
{
    make_places();
    each_call("none/file", ENOENT, "ENOENT");
}

CASE(empty_path)
{
    make_places();
    each_call("", ENOENT, "ENOENT");
}

CASE(file_in_the_middle)
{
    make_places();
    each_call("file/file", ENOTDIR, "ENOTDIR");
    each_call("file/../file", ENOTDIR, "ENOTDIR");
}

CASE(name_too_long)
{
    make_places();
    static char name[300];
    memset(name, 'n', 256);
    each_call(name, ENAMETOOLONG, "ENAMETOOLONG");
}

CASE(path_too_long)
{
    make_places();
    static char path[PATH_MAX + 10];
    for (size_t i = 0; i < PATH_MAX; i += 2)
        memcpy(path + i, "./", 2);
    each_call(path, ENAMETOOLONG, "ENAMETOOLONG");
}

CASE(loop_of_links)
{
    make_places();
    each_call("loop/file", ELOOP, "ELOOP");
}

CASE(bad_address)
{
    make_places();
    each_call((const char *)8, EFAULT, "EFAULT");
}

CASE(path_that_runs_into_bad_memory)
{
    make_places();
    char *pages = tap_pages(2);
    MUST(munmap(pages + 4096, 4096));
    memset(pages, 'n', 4096);
    each_call(pages + 4096 - 20, EFAULT, "EFAULT");
}

CASE(directory_without_search)
{
    make_places();
    CHILD(pid)
    {
        MUST(setresgid(1000, 1000, 1000));
        MUST(setresuid(1000, 1000, 1000));
        each_call("shut/file", EACCES, "EACCES");
        each_call("shut/none", EACCES, "EACCES");
    }
    EXPECT_EXIT(pid, 0);
}

/*
 * shows: openat openat2 mkdirat mknodat fchownat futimesat newfstatat unlinkat renameat renameat2
 * linkat symlinkat readlinkat fchmodat fchmodat2 faccessat faccessat2 utimensat statx
 * execveat: EBADF ENOTDIR
 */
CASE(directory_descriptor)
{
    make_places();
    int file = MUST(open("file", O_RDONLY));
    for (size_t i = 0; i < COUNT(at_calls); i++) {
        errno = 0;
        tap_fails(__LINE__, at_calls[i].name, at_calls[i].call(999, "file"), EBADF, "EBADF");
        errno = 0;
        tap_fails(__LINE__, at_calls[i].name, at_calls[i].call(file, "file"), ENOTDIR, "ENOTDIR");
    }
}

/* shows: openat2 statx execveat newfstatat fchownat fchmodat2 faccessat2 unlinkat linkat renameat2
 *        utimensat: EINVAL */
CASE(unknown_flags)
{
    make_places();
    EXPECT_ERRNO(syscall(SYS_statx, AT_FDCWD, "file", 0x8000, 0, room), EINVAL);
    EXPECT_ERRNO(syscall(SYS_statx, AT_FDCWD, "file", 0, 0x80000000u, room), EINVAL);
    EXPECT_ERRNO(syscall(SYS_newfstatat, AT_FDCWD, "file", room, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fchownat, AT_FDCWD, "file", -1, -1, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fchmodat2, AT_FDCWD, "file", 0600, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "file", 0, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_faccessat, AT_FDCWD, "file", 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "file", 8, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_access, "file", 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_unlinkat, AT_FDCWD, "file", 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, "new", 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "new", 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_utimensat, AT_FDCWD, "file", times, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_execveat, AT_FDCWD, "file", no_words, no_words, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mknod, "new", S_IFMT, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mknodat, AT_FDCWD, "new", S_IFMT, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_readlink, "file", room, 10), EINVAL);
    EXPECT_ERRNO(syscall(SYS_readlinkat, AT_FDCWD, "file", room, 10), EINVAL);
    EXPECT_ERRNO(syscall(SYS_readlinkat, AT_FDCWD, "loop", room, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_readlink, "loop", room, -1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_truncate, "file", -1L), EINVAL);
    const struct timeval bad[2] = {{0, 1000000}, {0, 0}};
    EXPECT_ERRNO(syscall(SYS_utimes, "file", bad), EINVAL);
    EXPECT_ERRNO(syscall(SYS_futimesat, AT_FDCWD, "file", bad), EINVAL);
    const struct timespec odd[2] = {{0, 1000000000}, {0, 0}};
    EXPECT_ERRNO(syscall(SYS_utimensat, AT_FDCWD, "file", odd, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fchmodat2, AT_FDCWD, "loop", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_open, "file", O_RDONLY | O_TMPFILE), EINVAL);
    EXPECT_ERRNO(syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY | O_TMPFILE), EINVAL);
}

CASE(ways_of_openat2)
{
    make_places();
    struct {
        unsigned long flags, mode, resolve, more;
    } way = {O_RDONLY, 0, 0, 0};
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "file", &way, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "file", (void *)8, 24), EFAULT);
    EXPECT_OK(syscall(SYS_openat2, AT_FDCWD, "file", &way, 32));
    way.more = 1;
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "file", &way, 32), E2BIG);
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "file", &way, 5000), E2BIG);
    way.more = 0;
    way.mode = 0600; /* only with O_CREAT */
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "file", &way, 24), EINVAL);
    way.mode = 0;
    way.resolve = 1ul << 20;
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "file", &way, 24), EINVAL);
    way.resolve = 8; /* BENEATH */
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "/etc", &way, 24), EXDEV);
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "..", &way, 24), EXDEV);
    way.resolve = 4; /* NO_SYMLINKS */
    MUST(symlink("file", "link"));
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "link", &way, 24), ELOOP);
    way.resolve = 1; /* NO_XDEV */
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "/proc/self", &way, 24), EXDEV);
    way.resolve = 2; /* NO_MAGICLINKS */
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "/proc/self/exe", &way, 24), ELOOP);
    way.flags = 1ul << 40;
    way.resolve = 0;
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "file", &way, 24), EINVAL);
}
