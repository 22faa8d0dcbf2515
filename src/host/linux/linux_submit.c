/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitted operations. What cannot wait long is done at once on the caller's thread; the rest goes
 * to at most four threads that are made when there is work. "Cannot wait long" is judged like this:
 *
 * - stat, attributes, seeking: at once. They wait for a cold inode at most.
 * - reading: preadv2 with RWF_NOWAIT gives what the page cache has; where that is not known to the
 *   file system, files that are memory are read at once, others by a worker. More than AT_ONCE_MAX
 *   goes to a worker, so that a long copy does not keep the kernel lock.
 * - writing: up to AT_ONCE_MAX to a regular file is a copy into the page cache: at once.
 * - everything on devices and pipes: RWF_NOWAIT, or poll(2) says ready, or a worker.
 * - sync, allocation, directories: a worker.
 *
 * While the host has an op, op->result holds the bytes already moved.
 */
#include "host/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define AT_ONCE_MAX ((size_t)128 << 10)
/* A device that poll(2) calls writable takes this much without waiting, or nearly so. */
#define DEVICE_WRITE_MAX ((size_t)4096)
#define WORKER_STACK_SIZE ((size_t)256 << 10)

enum file_kind linux_file_kind(struct linux_file *file)
{
    if (file->kind != FILE_UNKNOWN)
        return file->kind;
    struct stat stat;
    struct statfs fs;
    file->kind = FILE_OTHER;
    if (fstat(file->fd, &stat) < 0 || !S_ISREG(stat.st_mode) || fstatfs(file->fd, &fs) < 0)
        return file->kind;
    switch ((u32)fs.f_type) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case HUGETLBFS_MAGIC:
        file->kind = FILE_MEMORY;
        break;
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case FUSE_SUPER_MAGIC:
    case V9FS_MAGIC:
    case CEPH_SUPER_MAGIC:
    case AFS_FS_MAGIC:
    case CODA_SUPER_MAGIC:
        file->kind = FILE_REMOTE;
        break;
    default:
        file->kind = FILE_DISK;
    }
    return file->kind;
}

static bool is_regular(struct host_op *op)
{
    return linux_file_kind(container_of(op->file, struct linux_file, file)) != FILE_OTHER;
}

static size_t op_size(const struct host_op *op)
{
    size_t size = 0;
    for (u32 i = 0; i < op->iov_count; i++)
        size += op->iov[i].size;
    return size;
}

/* The op's vectors without the SKIP bytes already moved, at most SIZE_MAX_ bytes; how many vectors.
 */
static int op_iov(const struct host_op *op, size_t skip, size_t size_max,
                  struct iovec out[HOST_IOV_MAX])
{
    int count = 0;
    for (u32 i = 0; i < op->iov_count && size_max > 0; i++) {
        size_t size = op->iov[i].size;
        if (skip >= size) {
            skip -= size;
            continue;
        }
        size_t part = MIN(size - skip, size_max);
        out[count++] = (struct iovec){.iov_base = (u8 *)op->iov[i].base + skip, .iov_len = part};
        size_max -= part;
        skip = 0;
    }
    return count;
}

/* One transfer of what is left of OP. A count or -errno. */
static i64 transfer(const struct host_op *op, size_t size_max, int rwf)
{
    struct iovec iov[HOST_IOV_MAX];
    size_t moved = (size_t)op->result;
    int count = op_iov(op, moved, size_max, iov);
    bool is_at = op->type == HOST_OP_PREAD || op->type == HOST_OP_PWRITE;
    off_t offset = is_at ? (off_t)(op->offset + moved) : -1;
    bool is_read = op->type == HOST_OP_PREAD || op->type == HOST_OP_READ;
    int fd = linux_fd(op->file);
    ssize_t got;
    do {
        got = is_read ? preadv2(fd, iov, count, offset, rwf)
                      : pwritev2(fd, iov, count, offset, rwf);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* Transfer until all is moved, the end, or an error, which counts only if nothing was moved.
 * True: finished. False: would wait, or RWF_NOWAIT is not known here (*IS_UNKNOWN). */
static bool transfer_all(struct host_op *op, int rwf, bool *is_unknown)
{
    size_t size = op_size(op);
    do {
        i64 got = transfer(op, SIZE_MAX, rwf);
        if (got == -EAGAIN && rwf)
            return false;
        if (got == -EOPNOTSUPP && rwf) {
            *is_unknown = true;
            return false;
        }
        if (got < 0 && op->result == 0)
            op->result = got;
        if (got <= 0)
            return true;
        op->result += got;
        ASSERT((size_t)op->result <= size);
    } while ((size_t)op->result < size && is_regular(op));
    return true;
}

/* Reading or writing at once. True: finished. */
static bool transfer_at_once(struct host_op *op)
{
    struct linux_file *file = container_of(op->file, struct linux_file, file);
    bool is_read = op->type == HOST_OP_PREAD || op->type == HOST_OP_READ;
    enum file_kind kind = linux_file_kind(file);
    bool is_unknown = false;
    if (kind == FILE_OTHER) {
        if (transfer_all(op, RWF_NOWAIT, &is_unknown))
            return is_read || op->result < 0 || (size_t)op->result == op_size(op);
        struct pollfd ready = {.fd = file->fd, .events = is_read ? POLLIN : POLLOUT};
        if (!is_unknown || poll(&ready, 1, 0) != 1)
            return false;
        if (!is_read && op_size(op) > DEVICE_WRITE_MAX)
            return false;
        return transfer_all(op, 0, &is_unknown);
    }
    if (op_size(op) > AT_ONCE_MAX)
        return false;
    if (kind == FILE_MEMORY || (kind == FILE_DISK && !is_read))
        return transfer_all(op, 0, &is_unknown);
    return transfer_all(op, RWF_NOWAIT, &is_unknown);
}

static i64 seek(const struct host_op *op)
{
    switch (op->flags) {
    case SEEK_SET:
    case SEEK_CUR:
    case SEEK_END:
    case SEEK_DATA:
    case SEEK_HOLE:
        break;
    default:
        return -EINVAL;
    }
    off_t offset = lseek(linux_fd(op->file), (off_t)op->offset, (int)op->flags);
    return offset < 0 ? -errno : offset;
}

static bool finished(struct host_op *op, i64 result)
{
    op->result = result;
    return true;
}

static bool at_once(struct host_op *op)
{
    switch (op->type) {
    case HOST_OP_PREAD:
    case HOST_OP_PWRITE:
    case HOST_OP_READ:
    case HOST_OP_WRITE:
        return transfer_at_once(op);
    case HOST_OP_STAT:
        return finished(op, linux_stat(op->file, &op->stat));
    case HOST_OP_SET_ATTR:
        return finished(op, linux_set_attr(op->file, &op->attr));
    case HOST_OP_SEEK:
        return finished(op, seek(op));
    case HOST_OP_SYNC:
    case HOST_OP_ALLOCATE:
    case HOST_OP_READ_DIR:
        return false;
    case HOST_OP_CONNECT:
        break;
    }
    return finished(op, -EOPNOTSUPP);
}

/* ---- workers ---- */

/* A device or pipe: wait in poll(2), where stopping can reach us, and then move a little. */
static void work_on_device(struct linux_host *host, struct host_op *op)
{
    bool is_read = op->type == HOST_OP_PREAD || op->type == HOST_OP_READ;
    size_t size = op_size(op);
    do {
        struct pollfd fds[2] = {
            {.fd = linux_fd(op->file), .events = is_read ? POLLIN : POLLOUT},
            {.fd = host->stop_fd, .events = POLLIN},
        };
        int count = poll(fds, 2, -1);
        if (count < 0 && errno == EINTR)
            continue;
        if (fds[1].revents && !fds[0].revents) {
            if (op->result == 0)
                op->result = -EINTR;
            return;
        }
        i64 got = transfer(op, is_read ? SIZE_MAX : DEVICE_WRITE_MAX, 0);
        if (got == -EAGAIN)
            continue; /* an O_NONBLOCK description, and someone else was faster */
        if (got < 0 && op->result == 0)
            op->result = got;
        if (got <= 0)
            return;
        op->result += got;
    } while (!is_read && (size_t)op->result < size);
}

static void work_on(struct linux_host *host, struct host_op *op)
{
    bool is_unknown = false;
    switch (op->type) {
    case HOST_OP_PREAD:
    case HOST_OP_PWRITE:
    case HOST_OP_READ:
    case HOST_OP_WRITE:
        if (!is_regular(op))
            work_on_device(host, op);
        else
            (void)transfer_all(op, 0, &is_unknown); /* may wait, so it finishes */
        return;
    case HOST_OP_SYNC:
        op->result = linux_sync(op->file);
        return;
    case HOST_OP_ALLOCATE:
        op->result = fallocate(linux_fd(op->file), (int)op->flags, (off_t)op->offset,
                               (off_t)op->length) < 0
                         ? -errno
                         : 0;
        return;
    case HOST_OP_READ_DIR:
        op->result = linux_read_dir(op->file, op->iov[0].base, op->iov[0].size);
        return;
    default:
        op->result = -EOPNOTSUPP;
    }
}

static void file_close(struct linux_file *file)
{
    close(file->fd);
    free(file);
}

/* With the lock held, which is released meanwhile: one piece of work. False: there was none. */
static bool work_once(struct linux_host *host)
{
    struct linux_file *file = list_first_or_null(&host->closing, struct linux_file, link);
    struct host_op *op = list_first_or_null(&host->queue, struct host_op, link);
    if (!file && !op)
        return false;
    host->queue_count--;
    list_remove(op ? &op->link : &file->link);
    pthread_mutex_unlock(&host->lock);
    if (op)
        work_on(host, op);
    else
        file_close(file);
    pthread_mutex_lock(&host->lock);
    if (op && linux_complete(host, op)) {
        pthread_mutex_unlock(&host->lock);
        linux_tell(host);
        pthread_mutex_lock(&host->lock);
    }
    return true;
}

static void *worker(void *arg)
{
    struct linux_host *host = arg;
    pthread_mutex_lock(&host->lock);
    for (;;) {
        if (work_once(host))
            continue;
        if (host->workers_stop)
            break;
        host->worker_idle_count++;
        pthread_cond_wait(&host->work, &host->lock);
        host->worker_idle_count--;
    }
    pthread_mutex_unlock(&host->lock);
    return NULL;
}

/* A thread that takes no signals: those are for the threads that run cpus. */
int linux_thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attr, WORKER_STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = pthread_create(thread, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -err;
}

/* With the lock held, before something is queued: one more thread if all are busy. False: there is
 * none. */
static bool worker_wanted(struct linux_host *host)
{
    host->workers_stop = false;
    if (host->worker_idle_count <= host->queue_count && host->worker_count < WORKERS_MAX &&
        linux_thread_start(&host->workers[host->worker_count], worker, host) == 0)
        host->worker_count++;
    return host->worker_count > 0;
}

bool linux_submit(struct host *base, struct host_op *op)
{
    struct linux_host *host = linux_of(base);
    op->result = 0;
    if (at_once(op))
        return true;
    pthread_mutex_lock(&host->lock);
    if (!worker_wanted(host)) {
        pthread_mutex_unlock(&host->lock);
        op->result = op->result ? op->result
                                : -EAGAIN; /* no thread to be had: what was moved counts */
        return true;
    }
    list_add_tail(&host->queue, &op->link);
    host->queue_count++;
    host->pending_count++;
    pthread_cond_signal(&host->work);
    pthread_mutex_unlock(&host->lock);
    return false;
}

u32 linux_pending_count(struct host *base)
{
    struct linux_host *host = linux_of(base);
    pthread_mutex_lock(&host->lock);
    u32 count = host->pending_count;
    pthread_mutex_unlock(&host->lock);
    return count;
}

void linux_workers_stop(struct linux_host *host)
{
    pthread_mutex_lock(&host->lock);
    u32 count = host->worker_count;
    host->workers_stop = true;
    pthread_cond_broadcast(&host->work);
    pthread_mutex_unlock(&host->lock);
    if (count == 0)
        return;
    eventfd_write(host->stop_fd, 1);
    for (u32 i = 0; i < count; i++)
        pthread_join(host->workers[i], NULL);
    eventfd_t value;
    eventfd_read(host->stop_fd, &value);
    host->worker_count = 0;
}

/* Closing a remote file may wait for its server: then a worker does it, if there can be one. */
void linux_file_destroy(struct host_file *base)
{
    struct linux_file *file = container_of(base, struct linux_file, file);
    struct linux_host *host = linux_of(base->host);
    if (file->kind == FILE_REMOTE) {
        pthread_mutex_lock(&host->lock);
        bool has_worker = worker_wanted(host);
        if (has_worker) {
            list_add_tail(&host->closing, &file->link);
            host->queue_count++;
            pthread_cond_signal(&host->work);
        }
        pthread_mutex_unlock(&host->lock);
        if (has_worker)
            return;
    }
    file_close(file);
}
