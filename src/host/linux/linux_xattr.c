/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. The f*xattr(2) family refuses O_PATH descriptors (EBADF), which is what the
 * gofer walks with; for those there is the *xattrat family (Linux 6.13) and, before it, the file's
 * name under /proc/self/fd.
 */
#include "host/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NR_SETXATTRAT 463
#define NR_GETXATTRAT 464
#define NR_LISTXATTRAT 465
#define NR_REMOVEXATTRAT 466

/* struct xattr_args of linux/xattr.h */
struct xattr_at_args {
    u64 value;
    u32 size;
    u32 flags;
};

#define PROC_PATH_SIZE 32
static const char *proc_path(int fd, char out[PROC_PATH_SIZE])
{
    snprintf(out, PROC_PATH_SIZE, "/proc/self/fd/%d", fd);
    return out;
}

i64 linux_get_xattr(struct host_file *file, const char *name, void *out, size_t size)
{
    int fd = linux_fd(file);
    i64 got = fgetxattr(fd, name, out, size);
    if (got < 0 && errno == EBADF) {
        struct xattr_at_args args = {.value = (u64)(uintptr_t)out, .size = (u32)size};
        got = syscall(NR_GETXATTRAT, fd, "", AT_EMPTY_PATH, name, &args, sizeof args);
    }
    char path[PROC_PATH_SIZE];
    if (got < 0 && errno == ENOSYS)
        got = getxattr(proc_path(fd, path), name, out, size);
    return got < 0 ? -errno : got;
}

int linux_set_xattr(struct host_file *file, const char *name, const void *value, size_t size, int flags)
{
    int fd = linux_fd(file);
    i64 err = fsetxattr(fd, name, value, size, flags);
    if (err < 0 && errno == EBADF) {
        struct xattr_at_args args = {
            .value = (u64)(uintptr_t)value, .size = (u32)size, .flags = (u32)flags};
        err = syscall(NR_SETXATTRAT, fd, "", AT_EMPTY_PATH, name, &args, sizeof args);
    }
    char path[PROC_PATH_SIZE];
    if (err < 0 && errno == ENOSYS)
        err = setxattr(proc_path(fd, path), name, value, size, flags);
    return err < 0 ? -errno : 0;
}

i64 linux_list_xattr(struct host_file *file, char *out, size_t size)
{
    int fd = linux_fd(file);
    i64 got = flistxattr(fd, out, size);
    if (got < 0 && errno == EBADF)
        got = syscall(NR_LISTXATTRAT, fd, "", AT_EMPTY_PATH, out, size);
    char path[PROC_PATH_SIZE];
    if (got < 0 && errno == ENOSYS)
        got = listxattr(proc_path(fd, path), out, size);
    return got < 0 ? -errno : got;
}

int linux_remove_xattr(struct host_file *file, const char *name)
{
    int fd = linux_fd(file);
    i64 err = fremovexattr(fd, name);
    if (err < 0 && errno == EBADF)
        err = syscall(NR_REMOVEXATTRAT, fd, "", AT_EMPTY_PATH, name);
    char path[PROC_PATH_SIZE];
    if (err < 0 && errno == ENOSYS)
        err = removexattr(proc_path(fd, path), name);
    return err < 0 ? -errno : 0;
}
