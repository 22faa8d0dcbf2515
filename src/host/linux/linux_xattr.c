/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. The f*xattr(2) family refuses O_PATH descriptors (EBADF), which is what the
 * gofer walks with, and so does the *xattrat family (Linux 6.13) with an empty path; but it takes
 * the file's name in /proc/self/fd, whose directory was opened early. Older kernels need the whole
 * path.
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
static int proc_fds(const struct host_file *file)
{
    return linux_of(file->host)->proc_fds;
}

static const char *proc_name(int fd, char out[PROC_PATH_SIZE])
{
    linux_proc_name(fd, out);
    return out;
}

static const char *proc_path(int fd, char out[PROC_PATH_SIZE])
{
    snprintf(out, PROC_PATH_SIZE, "/proc/self/fd/%d", fd);
    return out;
}

i64 linux_get_xattr(struct host_file *file, const char *name, void *out, size_t size)
{
    int fd = linux_fd(file);
    char path[PROC_PATH_SIZE];
    i64 got = fgetxattr(fd, name, out, size);
    if (got < 0 && errno == EBADF) {
        struct xattr_at_args args = {.value = (u64)(uintptr_t)out, .size = (u32)size};
        got = syscall(NR_GETXATTRAT, proc_fds(file), proc_name(fd, path), 0, name, &args,
                      sizeof args);
    }
    if (got < 0 && errno == ENOSYS)
        got = getxattr(proc_path(fd, path), name, out, size);
    return got < 0 ? -errno : got;
}

int linux_set_xattr(struct host_file *file, const char *name, const void *value, size_t size,
                    int flags)
{
    int fd = linux_fd(file);
    char path[PROC_PATH_SIZE];
    i64 err = fsetxattr(fd, name, value, size, flags);
    if (err < 0 && errno == EBADF) {
        struct xattr_at_args args = {
            .value = (u64)(uintptr_t)value, .size = (u32)size, .flags = (u32)flags};
        err = syscall(NR_SETXATTRAT, proc_fds(file), proc_name(fd, path), 0, name, &args,
                      sizeof args);
    }
    if (err < 0 && errno == ENOSYS)
        err = setxattr(proc_path(fd, path), name, value, size, flags);
    return err < 0 ? -errno : 0;
}

i64 linux_list_xattr(struct host_file *file, char *out, size_t size)
{
    int fd = linux_fd(file);
    char path[PROC_PATH_SIZE];
    i64 got = flistxattr(fd, out, size);
    if (got < 0 && errno == EBADF)
        got = syscall(NR_LISTXATTRAT, proc_fds(file), proc_name(fd, path), 0, out, size);
    if (got < 0 && errno == ENOSYS)
        got = listxattr(proc_path(fd, path), out, size);
    return got < 0 ? -errno : got;
}

int linux_remove_xattr(struct host_file *file, const char *name)
{
    int fd = linux_fd(file);
    char path[PROC_PATH_SIZE];
    i64 err = fremovexattr(fd, name);
    if (err < 0 && errno == EBADF)
        err = syscall(NR_REMOVEXATTRAT, proc_fds(file), proc_name(fd, path), 0, name);
    if (err < 0 && errno == ENOSYS)
        err = removexattr(proc_path(fd, path), name);
    return err < 0 ? -errno : 0;
}
