/* SPDX-License-Identifier: Apache-2.0 */
/* The real host: making and ending it, its clocks, entropy and arenas. */
#include "host/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static u64 clock_ns(clockid_t clock)
{
    struct timespec now;
    int err = clock_gettime(clock, &now);
    ASSERT(err == 0);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

static u64 linux_monotonic_ns(struct host *host)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static u64 linux_realtime_ns(struct host *host)
{
    return clock_ns(CLOCK_REALTIME);
}

static int linux_entropy(struct host *host, void *out, size_t size)
{
    u8 *bytes = out;
    while (size > 0) {
        ssize_t got = getrandom(bytes, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -EIO;
        bytes += got;
        size -= (size_t)got;
    }
    return 0;
}

static void linux_clock_advance(struct host *host, u64 to_monotonic_ns)
{
    /* Real time moves by itself. */
}

static u32 linux_choose(struct host *host, const char *stream, u32 count)
{
    return 0;
}

static u64 linux_next_completion_ns(struct host *host)
{
    return NO_DEADLINE;
}

/* ---- arenas: malloc under a limit ---- */

struct linux_arena {
    struct arena arena;
    u64 bytes_max; /* 0: none */
};

static void *linux_arena_alloc(struct arena *arena, size_t size)
{
    struct linux_arena *owner = arena->owner;
    if (owner->bytes_max && size > owner->bytes_max - MIN(arena->bytes_live, owner->bytes_max))
        return NULL;
    return calloc(1, size);
}

static void linux_arena_free(struct arena *arena, void *memory, size_t size)
{
    free(memory);
}

static struct arena *linux_arena_create(struct host *host, u64 bytes_max)
{
    struct linux_arena *owner = calloc(1, sizeof *owner);
    if (!owner)
        return NULL;
    owner->bytes_max = bytes_max;
    arena_init(&owner->arena, linux_arena_alloc, linux_arena_free, owner);
    return &owner->arena;
}

static void linux_arena_destroy(struct host *host, struct arena *arena)
{
    free(arena->owner);
}

static void linux_destroy(struct host *base)
{
    struct linux_host *host = linux_of(base);
    linux_poller_stop(base);
    linux_workers_stop(host);
    ASSERT(host->pending_count == 0);
    linux_poller_fini(host);
    if (host->proc_fds >= 0)
        close(host->proc_fds);
    pthread_mutex_destroy(&host->lock);
    free(host);
}

static const struct host_ops linux_ops = {
    .destroy = linux_destroy,
    .monotonic_ns = linux_monotonic_ns,
    .realtime_ns = linux_realtime_ns,
    .entropy = linux_entropy,
    .is_simulated = false,
    .clock_advance = linux_clock_advance,
    .choose = linux_choose,
    .arena_create = linux_arena_create,
    .arena_destroy = linux_arena_destroy,
    .file_from_fd = linux_file_from_fd,
    .file_destroy = linux_file_destroy,
    .file_fd = linux_file_fd,
    .file_release = linux_file_release,
    .open_path = linux_open_path,
    .open_at = linux_open_at,
    .reopen = linux_reopen,
    .stat = linux_stat,
    .stat_at = linux_stat_at,
    .set_attr = linux_set_attr,
    .mkdir_at = linux_mkdir_at,
    .mknod_at = linux_mknod_at,
    .symlink_at = linux_symlink_at,
    .link_at = linux_link_at,
    .unlink_at = linux_unlink_at,
    .rename_at = linux_rename_at,
    .readlink = linux_readlink,
    .statfs = linux_statfs,
    .read_dir = linux_read_dir,
    .seek_dir = linux_seek_dir,
    .get_xattr = linux_get_xattr,
    .set_xattr = linux_set_xattr,
    .list_xattr = linux_list_xattr,
    .remove_xattr = linux_remove_xattr,
    .pread = linux_pread,
    .pwrite = linux_pwrite,
    .sync = linux_sync,
    .connect_at = linux_connect_at,
    .submit = linux_submit,
    .stream_from_fd = linux_stream_from_fd,
    .stream_pair = linux_stream_pair,
    .stream_put = linux_stream_put,
    .stream_fd = linux_stream_fd,
    .stream_read = linux_stream_read,
    .stream_write = linux_stream_write,
    .stream_shutdown = linux_stream_shutdown,
    .stream_watch = linux_stream_watch,
    .stream_poll = linux_stream_poll,
    .stream_stat = linux_stream_stat,
    .stream_ioctl = linux_stream_ioctl,
    .listener_from_fd = linux_listener_from_fd,
    .listener_put = linux_listener_put,
    .listener_accept = linux_listener_accept,
    .listener_watch = linux_listener_watch,
    .close_fds = linux_close_fds,
    .poller_start = linux_poller_start,
    .poller_stop = linux_poller_stop,
    .poller_set_deadline = linux_poller_set_deadline,
    .reap = linux_reap,
    .wait = linux_wait,
    .wait_end = linux_wait_end,
    .pending_count = linux_pending_count,
    .next_completion_ns = linux_next_completion_ns,
};

/* The process must not die or stop of a write to a pipe without reader or to a terminal from the
 * background: those are errors of the call. Who execs another program gives it the defaults back.
 */
static void ignore_signals(void)
{
    const int signals[] = {SIGPIPE, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++) {
        struct sigaction action;
        if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL)
            signal(signals[i], SIG_IGN);
    }
}

struct host *host_linux_create(void)
{
    ignore_signals();
    struct linux_host *host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    host->host.ops = &linux_ops;
    pthread_mutex_init(&host->lock, NULL);
    host->proc_fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (linux_poller_init(host) == 0)
        return &host->host;
    if (host->proc_fds >= 0)
        close(host->proc_fds);
    pthread_mutex_destroy(&host->lock);
    free(host);
    return NULL;
}
