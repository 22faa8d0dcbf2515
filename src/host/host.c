/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h, dispatched: judge names, counts and flags once for every implementation, then call its
 * table. References of files are counted here.
 */
#include "host/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <sys/ioctl.h>

#define NAME_SIZE_MAX 255
#define PATH_SIZE_MAX 4095
#define XATTR_VALUE_SIZE_MAX 65536

#define ATTR_ALL                                                                         \
    (HOST_ATTR_MODE | HOST_ATTR_UID | HOST_ATTR_GID | HOST_ATTR_SIZE | HOST_ATTR_ATIME | \
     HOST_ATTR_MTIME | HOST_ATTR_ATIME_NOW | HOST_ATTR_MTIME_NOW)

/* One component that names an entry: no slash, not "." and not "..". */
static int name_judge(const char *name)
{
    size_t size = strnlen(name, NAME_SIZE_MAX + 1);
    if (size > NAME_SIZE_MAX)
        return -ENAMETOOLONG;
    if (size == 0 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    return 0;
}

static bool attr_is_good(const struct host_set_attr *attr)
{
    if (attr->mask & ~ATTR_ALL || attr->mode & ~07777u)
        return false;
    /* A time is either given or now. */
    return !((attr->mask & HOST_ATTR_ATIME && attr->mask & HOST_ATTR_ATIME_NOW) ||
             (attr->mask & HOST_ATTR_MTIME && attr->mask & HOST_ATTR_MTIME_NOW));
}

/* Offset and size as Linux takes them: both fit loff_t. */
static bool span_is_good(u64 offset, u64 size)
{
    u64 end;
    return !__builtin_add_overflow(offset, size, &end) && end <= INT64_MAX;
}

void host_put(struct host *host)
{
    if (host)
        host->ops->destroy(host);
}

/* ---- clock, entropy, arenas ---- */

u64 host_monotonic_ns(struct host *host)
{
    return host->ops->monotonic_ns(host);
}

u64 host_realtime_ns(struct host *host)
{
    return host->ops->realtime_ns(host);
}

int host_entropy(struct host *host, void *out, size_t size)
{
    return host->ops->entropy(host, out, size);
}

bool host_is_simulated(const struct host *host)
{
    return host->ops->is_simulated;
}

void host_clock_advance(struct host *host, u64 to_monotonic_ns)
{
    host->ops->clock_advance(host, to_monotonic_ns);
}

u32 host_choose(struct host *host, const char *stream, u32 count)
{
    ASSERT(count > 0);
    return count == 1 ? 0 : host->ops->choose(host, stream, count);
}

struct arena *host_arena_create(struct host *host, u64 bytes_max)
{
    return host->ops->arena_create(host, bytes_max);
}

void host_arena_destroy(struct host *host, struct arena *arena)
{
    if (!arena)
        return;
    ASSERT(arena->object_count == 0);
    ASSERT(arena->bytes_live == 0);
    host->ops->arena_destroy(host, arena);
}

/* ---- files ---- */

struct host_file *host_file_from_fd(struct host *host, int fd)
{
    ASSERT(fd >= 0);
    return host->ops->file_from_fd(host, fd);
}

void host_file_get(struct host_file *file)
{
    ASSERT(file->refs > 0 && file->refs < UINT32_MAX);
    file->refs++;
}

void host_file_put(struct host_file *file)
{
    if (!file)
        return;
    ASSERT(file->refs > 0);
    if (--file->refs == 0)
        file->host->ops->file_destroy(file);
}

int host_file_fd(const struct host_file *file)
{
    return file->host->ops->file_fd(file);
}

int host_file_release(struct host_file *file)
{
    ASSERT(file->refs == 1);
    return file->host->ops->file_release(file);
}

int host_open_path(struct host *host, const char *path, int flags, u32 mode, struct host_file **out)
{
    if (strnlen(path, PATH_SIZE_MAX + 1) > PATH_SIZE_MAX)
        return -ENAMETOOLONG;
    return host->ops->open_path(host, path, flags, mode, out);
}

int host_open_at(struct host_file *dir, const char *name, int flags, u32 mode,
                 struct host_file **out)
{
    int err = name_judge(name);
    if (err)
        return err;
    return dir->host->ops->open_at(dir, name, flags, mode, out);
}

int host_reopen(struct host_file *file, int flags, struct host_file **out)
{
    if (flags & (O_CREAT | O_EXCL))
        return -EINVAL;
    return file->host->ops->reopen(file, flags, out);
}

int host_stat(struct host_file *file, struct host_stat *out)
{
    return file->host->ops->stat(file, out);
}

int host_stat_at(struct host_file *dir, const char *name, struct host_stat *out)
{
    int err = name_judge(name);
    if (err)
        return err;
    return dir->host->ops->stat_at(dir, name, out);
}

int host_set_attr(struct host_file *file, const struct host_set_attr *attr)
{
    if (!attr_is_good(attr))
        return -EINVAL;
    return file->host->ops->set_attr(file, attr);
}

int host_mkdir_at(struct host_file *dir, const char *name, u32 mode)
{
    int err = name_judge(name);
    if (err)
        return err;
    return dir->host->ops->mkdir_at(dir, name, mode);
}

int host_mknod_at(struct host_file *dir, const char *name, u32 mode, u32 major, u32 minor)
{
    int err = name_judge(name);
    if (err)
        return err;
    return dir->host->ops->mknod_at(dir, name, mode, major, minor);
}

int host_symlink_at(struct host_file *dir, const char *name, const char *target)
{
    int err = name_judge(name);
    if (err)
        return err;
    size_t size = strnlen(target, PATH_SIZE_MAX + 1);
    if (size == 0)
        return -ENOENT;
    if (size > PATH_SIZE_MAX)
        return -ENAMETOOLONG;
    return dir->host->ops->symlink_at(dir, name, target);
}

int host_link_at(struct host_file *file, struct host_file *dir, const char *name)
{
    int err = name_judge(name);
    if (err)
        return err;
    return file->host->ops->link_at(file, dir, name);
}

int host_unlink_at(struct host_file *dir, const char *name, int flags)
{
    int err = name_judge(name);
    if (err)
        return err;
    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    return dir->host->ops->unlink_at(dir, name, flags);
}

int host_rename_at(struct host_file *from_dir, const char *from, struct host_file *to_dir,
                   const char *to, u32 flags)
{
    int err = name_judge(from);
    if (!err)
        err = name_judge(to);
    if (err)
        return err;
    return from_dir->host->ops->rename_at(from_dir, from, to_dir, to, flags);
}

i64 host_readlink(struct host_file *file, char *out, size_t size)
{
    if (size == 0)
        return -EINVAL;
    return file->host->ops->readlink(file, out, size);
}

int host_statfs(struct host_file *file, struct host_statfs *out)
{
    return file->host->ops->statfs(file, out);
}

i64 host_read_dir(struct host_file *dir, void *out, size_t size)
{
    return dir->host->ops->read_dir(dir, out, size);
}

int host_seek_dir(struct host_file *dir, u64 cookie)
{
    if (cookie > INT64_MAX)
        return -EINVAL;
    return dir->host->ops->seek_dir(dir, cookie);
}

static int xattr_name_judge(const char *name)
{
    size_t size = strnlen(name, NAME_SIZE_MAX + 1);
    return size == 0 || size > NAME_SIZE_MAX ? -ERANGE : 0;
}

i64 host_get_xattr(struct host_file *file, const char *name, void *out, size_t size)
{
    int err = xattr_name_judge(name);
    if (err)
        return err;
    return file->host->ops->get_xattr(file, name, out, size);
}

int host_set_xattr(struct host_file *file, const char *name, const void *value, size_t size,
                   int flags)
{
    int err = xattr_name_judge(name);
    if (err)
        return err;
    if (size > XATTR_VALUE_SIZE_MAX)
        return -E2BIG;
    return file->host->ops->set_xattr(file, name, value, size, flags);
}

i64 host_list_xattr(struct host_file *file, char *out, size_t size)
{
    return file->host->ops->list_xattr(file, out, size);
}

int host_remove_xattr(struct host_file *file, const char *name)
{
    int err = xattr_name_judge(name);
    if (err)
        return err;
    return file->host->ops->remove_xattr(file, name);
}

i64 host_pread(struct host_file *file, void *out, size_t size, u64 offset)
{
    if (!span_is_good(offset, size))
        return -EINVAL;
    return file->host->ops->pread(file, out, size, offset);
}

i64 host_pwrite(struct host_file *file, const void *bytes, size_t size, u64 offset)
{
    if (!span_is_good(offset, size))
        return -EINVAL;
    return file->host->ops->pwrite(file, bytes, size, offset);
}

int host_sync(struct host_file *file)
{
    return file->host->ops->sync(file);
}

int host_connect_at(struct host_file *dir, const char *name, int type, struct host_stream **out)
{
    int err = name_judge(name);
    if (err)
        return err;
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET && type != SOCK_DGRAM)
        return -EINVAL;
    return dir->host->ops->connect_at(dir, name, type, out);
}

/* ---- submitted operations ---- */

static int op_judge(const struct host_op *op)
{
    if (!op->file || op->iov_count > HOST_IOV_MAX)
        return -EINVAL;
    u64 size = 0;
    for (u32 i = 0; i < op->iov_count; i++)
        if (__builtin_add_overflow(size, op->iov[i].size, &size))
            return -EINVAL;
    switch (op->type) {
    case HOST_OP_PREAD:
    case HOST_OP_PWRITE:
        return span_is_good(op->offset, size) ? 0 : -EINVAL;
    case HOST_OP_ALLOCATE:
        return op->length > 0 && span_is_good(op->offset, op->length) ? 0 : -EINVAL;
    case HOST_OP_SET_ATTR:
        return attr_is_good(&op->attr) ? 0 : -EINVAL;
    case HOST_OP_READ_DIR:
        return op->iov_count == 1 ? 0 : -EINVAL;
    case HOST_OP_READ:
    case HOST_OP_WRITE:
        return size <= INT64_MAX ? 0 : -EINVAL;
    case HOST_OP_SYNC:
    case HOST_OP_STAT:
    case HOST_OP_SEEK:
        return 0;
    case HOST_OP_CONNECT:
        break;
    }
    return -EOPNOTSUPP;
}

bool host_submit(struct host *host, struct host_op *op)
{
    int err = op_judge(op);
    if (err) {
        op->result = err;
        return true;
    }
    ASSERT(op->done != NULL);
    return host->ops->submit(host, op);
}

/* ---- streams ---- */

struct host_stream *host_stream_from_fd(struct host *host, int fd)
{
    ASSERT(fd >= 0);
    return host->ops->stream_from_fd(host, fd);
}

int host_stream_pair(struct host *host, int type, struct host_stream **a, struct host_stream **b)
{
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET)
        return -EINVAL;
    return host->ops->stream_pair(host, type, a, b);
}

void host_stream_put(struct host_stream *stream)
{
    if (stream)
        stream->host->ops->stream_put(stream);
}

int host_stream_fd(const struct host_stream *stream)
{
    return stream->host->ops->stream_fd(stream);
}

i64 host_stream_read(struct host_stream *stream, void *out, size_t size, int *fds, u32 *fd_count)
{
    ASSERT(!fds || fd_count);
    return stream->host->ops->stream_read(stream, out, size, fds, fd_count);
}

i64 host_stream_write(struct host_stream *stream, const void *bytes, size_t size, const int *fds,
                      u32 fd_count)
{
    if (fd_count > HOST_FDS_MAX || (fd_count > 0 && size == 0))
        return -EINVAL;
    ASSERT(fd_count == 0 || fds);
    return stream->host->ops->stream_write(stream, bytes, size, fds, fd_count);
}

void host_stream_shutdown(struct host_stream *stream, int how)
{
    ASSERT(how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR);
    stream->host->ops->stream_shutdown(stream, how);
}

void host_stream_watch(struct host_stream *stream, struct host_watch *watch)
{
    stream->host->ops->stream_watch(stream, watch);
}

u32 host_stream_poll(struct host_stream *stream)
{
    return stream->host->ops->stream_poll(stream);
}

int host_stream_stat(struct host_stream *stream, struct host_stat *out)
{
    return stream->host->ops->stream_stat(stream, out);
}

int host_stream_ioctl(struct host_stream *stream, u32 request, void *arg)
{
    switch (request) {
    case TCGETS:
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TIOCGWINSZ:
    case TIOCSWINSZ:
        return stream->host->ops->stream_ioctl(stream, request, arg);
    default:
        return -ENOTTY;
    }
}

struct host_listener *host_listener_from_fd(struct host *host, int fd)
{
    ASSERT(fd >= 0);
    return host->ops->listener_from_fd(host, fd);
}

void host_listener_put(struct host_listener *listener)
{
    if (listener)
        listener->host->ops->listener_put(listener);
}

int host_listener_accept(struct host_listener *listener, struct host_stream **out)
{
    return listener->host->ops->listener_accept(listener, out);
}

void host_listener_watch(struct host_listener *listener, struct host_watch *watch)
{
    listener->host->ops->listener_watch(listener, watch);
}

void host_close_fds(struct host *host, const int *fds, u32 count)
{
    host->ops->close_fds(host, fds, count);
}

/* ---- the poller ---- */

int host_poller_start(struct host *host, struct host_interrupt *interrupt)
{
    return host->ops->poller_start(host, interrupt);
}

void host_poller_stop(struct host *host)
{
    host->ops->poller_stop(host);
}

void host_poller_set_deadline(struct host *host, u64 deadline_ns)
{
    host->ops->poller_set_deadline(host, deadline_ns);
}

u32 host_reap(struct host *host)
{
    return host->ops->reap(host);
}

void host_wait(struct host *host, u64 deadline_ns)
{
    host->ops->wait(host, deadline_ns);
}

void host_wait_end(struct host *host)
{
    host->ops->wait_end(host);
}

u32 host_pending_count(struct host *host)
{
    return host->ops->pending_count(host);
}

u64 host_next_completion_ns(struct host *host)
{
    return host->ops->next_completion_ns(host);
}
