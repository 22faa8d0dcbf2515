/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the real host: openat(2) and its family, one component at a time and never through a
 * symlink. The gofer walks with O_PATH descriptors; where the kernel refuses those, the same file
 * is reached through /proc/self/fd, whose directory was opened before any change of root.
 */
#include "host/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static int result_of(int value)
{
    return value < 0 ? -errno : 0;
}

void linux_proc_name(int fd, char out[PROC_NAME_SIZE])
{
    snprintf(out, PROC_NAME_SIZE, "%d", fd);
}

/* FD is taken in any case. */
struct host_file *linux_file_from_fd(struct host *host, int fd)
{
    struct linux_file *file = calloc(1, sizeof *file);
    if (!file) {
        close(fd);
        return NULL;
    }
    file->file.host = host;
    file->file.refs = 1;
    file->fd = fd;
    return &file->file;
}

int linux_file_fd(const struct host_file *file)
{
    return linux_fd(file);
}

int linux_file_release(struct host_file *base)
{
    struct linux_file *file = container_of(base, struct linux_file, file);
    int fd = file->fd;
    free(file);
    return fd;
}

/* Common end of everything that opens. */
static int file_opened(struct host *host, int fd, struct host_file **out)
{
    if (fd < 0)
        return -errno;
    struct host_file *file = linux_file_from_fd(host, fd);
    if (!file)
        return -ENOMEM;
    *out = file;
    return 0;
}

static int open_retry(int dir, const char *name, int flags, u32 mode)
{
    int fd;
    do {
        fd = openat(dir, name, flags | O_CLOEXEC | O_NOCTTY, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int linux_open_path(struct host *host, const char *path, int flags, u32 mode,
                    struct host_file **out)
{
    return file_opened(host, open_retry(AT_FDCWD, path, flags, mode), out);
}

int linux_open_at(struct host_file *dir, const char *name, int flags, u32 mode,
                  struct host_file **out)
{
    return file_opened(dir->host, open_retry(linux_fd(dir), name, flags | O_NOFOLLOW, mode), out);
}

int linux_reopen(struct host_file *file, int flags, struct host_file **out)
{
    char name[PROC_NAME_SIZE];
    linux_proc_name(linux_fd(file), name);
    struct linux_host *host = linux_of(file->host);
    if (host->proc_fds < 0)
        return -EOPNOTSUPP;
    /* The link of /proc must be followed, and leads to the file itself, also if that is a symlink.
     */
    return file_opened(file->host, open_retry(host->proc_fds, name, flags & ~O_NOFOLLOW, 0), out);
}

static i64 time_ns(const struct statx_timestamp *time)
{
    i64 ns;
    if (__builtin_mul_overflow(time->tv_sec, (i64)NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, (i64)time->tv_nsec, &ns))
        return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static int stat_of(int dir, const char *name, int flags, struct host_stat *out)
{
    struct statx stat;
    if (statx(dir, name, flags | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stat) < 0)
        return -errno;
    *out = (struct host_stat){
        .device = makedev(stat.stx_dev_major, stat.stx_dev_minor),
        .inode = stat.stx_ino,
        .mode = stat.stx_mode,
        .link_count = stat.stx_nlink,
        .uid = stat.stx_uid,
        .gid = stat.stx_gid,
        .rdev_major = stat.stx_rdev_major,
        .rdev_minor = stat.stx_rdev_minor,
        .size = stat.stx_size,
        .blocks = stat.stx_blocks,
        .block_size = stat.stx_blksize,
        .atime_ns = time_ns(&stat.stx_atime),
        .mtime_ns = time_ns(&stat.stx_mtime),
        .ctime_ns = time_ns(&stat.stx_ctime),
        .btime_ns = stat.stx_mask & STATX_BTIME ? time_ns(&stat.stx_btime) : 0,
    };
    return 0;
}

int linux_stat_fd(int fd, struct host_stat *out)
{
    return stat_of(fd, "", AT_EMPTY_PATH, out);
}

int linux_stat(struct host_file *file, struct host_stat *out)
{
    return linux_stat_fd(linux_fd(file), out);
}

int linux_stat_at(struct host_file *dir, const char *name, struct host_stat *out)
{
    return stat_of(linux_fd(dir), name, 0, out);
}

/* ---- attributes ---- */

static int set_mode(struct host_file *file, u32 mode)
{
    int fd = linux_fd(file);
    if (fchmod(fd, mode) == 0)
        return 0;
    if (errno != EBADF)
        return -errno;
    if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOSYS)
        return -errno;
    char name[PROC_NAME_SIZE];
    linux_proc_name(fd, name);
    return result_of(fchmodat(linux_of(file->host)->proc_fds, name, mode, 0));
}

static int set_size(struct host_file *file, u64 size)
{
    if (size > INT64_MAX)
        return -EFBIG;
    int fd = linux_fd(file);
    if (ftruncate(fd, (off_t)size) == 0)
        return 0;
    int mode = fcntl(fd, F_GETFL);
    bool is_path = mode >= 0 && mode & O_PATH;
    if (!is_path)
        return -errno;
    char name[PROC_NAME_SIZE];
    linux_proc_name(fd, name);
    int writable = open_retry(linux_of(file->host)->proc_fds, name, O_WRONLY | O_NONBLOCK, 0);
    if (writable < 0)
        return -errno;
    int err = result_of(ftruncate(writable, (off_t)size));
    close(writable);
    return err;
}

static struct timespec attr_time(u32 mask, u32 given, u32 now, i64 ns)
{
    if (mask & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!(mask & given))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    i64 second = ns / (i64)NS_PER_S;
    i64 rest = ns % (i64)NS_PER_S;
    if (rest < 0) {
        rest += (i64)NS_PER_S;
        second--;
    }
    return (struct timespec){.tv_sec = second, .tv_nsec = rest};
}

static int set_times(struct host_file *file, const struct host_set_attr *attr)
{
    const struct timespec times[2] = {
        attr_time(attr->mask, HOST_ATTR_ATIME, HOST_ATTR_ATIME_NOW, attr->atime_ns),
        attr_time(attr->mask, HOST_ATTR_MTIME, HOST_ATTR_MTIME_NOW, attr->mtime_ns),
    };
    int fd = linux_fd(file);
    if (utimensat(fd, "", times, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOENT)
        return -errno;
    return result_of(futimens(fd, times)); /* kernels that do not know AT_EMPTY_PATH here */
}

/* In the order in which nothing undoes another: an owner change clears set-id bits, so mode is last
 * but for times. A failure leaves what came before it, as chown(2) and chmod(2) in a row would. */
int linux_set_attr(struct host_file *file, const struct host_set_attr *attr)
{
    int err = 0;
    if (attr->mask & HOST_ATTR_SIZE)
        err = set_size(file, attr->size);
    if (!err && attr->mask & (HOST_ATTR_UID | HOST_ATTR_GID)) {
        uid_t uid = attr->mask & HOST_ATTR_UID ? attr->uid : (uid_t)-1;
        gid_t gid = attr->mask & HOST_ATTR_GID ? attr->gid : (gid_t)-1;
        err = result_of(
            fchownat(linux_fd(file), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
    }
    if (!err && attr->mask & HOST_ATTR_MODE)
        err = set_mode(file, attr->mode);
    if (!err && attr->mask &
                    (HOST_ATTR_ATIME | HOST_ATTR_MTIME | HOST_ATTR_ATIME_NOW | HOST_ATTR_MTIME_NOW))
        err = set_times(file, attr);
    return err;
}

/* ---- names ---- */

int linux_mkdir_at(struct host_file *dir, const char *name, u32 mode)
{
    return result_of(mkdirat(linux_fd(dir), name, mode));
}

int linux_mknod_at(struct host_file *dir, const char *name, u32 mode, u32 major, u32 minor)
{
    return result_of(mknodat(linux_fd(dir), name, mode, makedev(major, minor)));
}

int linux_symlink_at(struct host_file *dir, const char *name, const char *target)
{
    return result_of(symlinkat(target, linux_fd(dir), name));
}

int linux_link_at(struct host_file *file, struct host_file *dir, const char *name)
{
    int fd = linux_fd(file);
    if (linkat(fd, "", linux_fd(dir), name, AT_EMPTY_PATH) == 0)
        return 0;
    /* Older kernels want CAP_DAC_READ_SEARCH for an empty path, and say ENOENT without it. */
    int proc = linux_of(file->host)->proc_fds;
    if (errno != ENOENT || proc < 0)
        return -errno;
    char link[PROC_NAME_SIZE];
    linux_proc_name(fd, link);
    return result_of(linkat(proc, link, linux_fd(dir), name, AT_SYMLINK_FOLLOW));
}

int linux_unlink_at(struct host_file *dir, const char *name, int flags)
{
    return result_of(unlinkat(linux_fd(dir), name, flags));
}

int linux_rename_at(struct host_file *from_dir, const char *from, struct host_file *to_dir,
                    const char *to, u32 flags)
{
    return result_of(renameat2(linux_fd(from_dir), from, linux_fd(to_dir), to, flags));
}

i64 linux_readlink(struct host_file *file, char *out, size_t size)
{
    ssize_t length = readlinkat(linux_fd(file), "", out, size);
    if (length < 0)
        return errno == ENOENT ? -EINVAL : -errno; /* an empty path to what is no symlink */
    return length;
}

int linux_statfs(struct host_file *file, struct host_statfs *out)
{
    struct statfs fs;
    if (fstatfs(linux_fd(file), &fs) < 0)
        return -errno;
    *out = (struct host_statfs){
        .type = (u64)fs.f_type,
        .block_size = (u64)fs.f_bsize,
        .blocks = fs.f_blocks,
        .blocks_free = fs.f_bfree,
        .blocks_available = fs.f_bavail,
        .files = fs.f_files,
        .files_free = fs.f_ffree,
        .name_max = (u32)fs.f_namelen,
    };
    return 0;
}

i64 linux_read_dir(struct host_file *dir, void *out, size_t size)
{
    long count = syscall(SYS_getdents64, linux_fd(dir), out, (unsigned)MIN(size, (size_t)INT_MAX));
    return count < 0 ? -errno : count;
}

int linux_seek_dir(struct host_file *dir, u64 cookie)
{
    return lseek(linux_fd(dir), (off_t)cookie, SEEK_SET) < 0 ? -errno : 0;
}

/* ---- content ---- */

i64 linux_pread(struct host_file *file, void *out, size_t size, u64 offset)
{
    ssize_t count;
    do {
        count = pread(linux_fd(file), out, size, (off_t)offset);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

i64 linux_pwrite(struct host_file *file, const void *bytes, size_t size, u64 offset)
{
    ssize_t count;
    do {
        count = pwrite(linux_fd(file), bytes, size, (off_t)offset);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

int linux_sync(struct host_file *file)
{
    return result_of(fsync(linux_fd(file)));
}
