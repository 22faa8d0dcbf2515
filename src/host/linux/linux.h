/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to host/linux. One mutex guards what threads share: the queue of the workers, the lists
 * of what has completed, the table of watched descriptors and who waits. It is never held over a
 * call that can wait, and never while `done`, `notify` or `interrupt` run.
 */
#pragma once
#include "host/ops.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS_MAX 4
#define EVENTS_MAX 32

enum file_kind {
    FILE_UNKNOWN, /* nobody has asked yet */
    FILE_MEMORY,  /* regular, its pages are memory: tmpfs, memfd */
    FILE_DISK,    /* regular, on a local file system */
    FILE_REMOTE,  /* regular; even close(2) may wait: nfs, fuse, ... */
    FILE_OTHER,   /* devices, pipes, directories, sockets */
};

struct linux_file {
    struct host_file file;
    int fd;
    enum file_kind kind;
    struct list link; /* in host->closing */
};

/* A descriptor that can be watched. Its slot in the table outlives no watcher: epoll knows the slot
 * and its generation, so an event that was fetched before the descriptor went away finds nobody. */
struct linux_source {
    struct linux_host *host;
    int fd;
    u32 slot;
    bool is_socket;
    bool is_registered;
    struct host_watch *watch;
};

struct linux_slot {
    struct linux_source *source;
    u32 generation;
    u32 next_free;
};

enum stream_kind {
    STREAM_SOCKET, /* MSG_DONTWAIT says it a call */
    STREAM_PLAIN,  /* regular files and devices without poll, such as /dev/null: never wait */
    STREAM_NOWAIT, /* RWF_NOWAIT says it a call: pipes of newer kernels */
    STREAM_POLLED, /* poll(2), then read or write a little: terminals */
};

struct linux_stream {
    struct host_stream stream;
    struct linux_source source;
    enum stream_kind kind;
    bool is_terminal;
};

struct linux_listener {
    struct host_listener listener;
    struct linux_source source;
};

enum poller_state {
    POLLER_NAPS,   /* cpus come and go: looks every step; also where there is no thread */
    POLLER_ASLEEP, /* an idle cpu waits in epoll and has done so for a whole step */
    POLLER_WAITS,  /* no cpu has been idle for a whole step: waits in epoll itself */
};

struct linux_host {
    struct host host;
    int proc_fds; /* /proc/self/fd, opened before any change of root; -1 where there is none */
    pthread_mutex_t lock;

    /* completed, to be reaped; `reapable` counts both lists and is read without the lock */
    struct list done_ops;
    struct list ready_watches;
    _Atomic u32 reapable;

    struct list queue;   /* of ops for the workers */
    struct list closing; /* of remote files, for the workers to close */
    pthread_cond_t work;
    pthread_t workers[WORKERS_MAX];
    u32 worker_count;
    u32 worker_idle_count;
    u32 queue_count;   /* in both */
    u32 pending_count; /* submitted, `done` not yet called */
    bool workers_stop;
    int stop_fd; /* eventfd: ends a worker's poll(2) */

    int epoll_fd;
    int event_fd; /* ends one epoll_wait, an edge a write */
    int timer_fd;
    u64 timer_ns; /* what timer_fd is set to */
    u64 deadline_ns;
    struct linux_slot *slots;
    u32 slot_count;
    u32 slot_free;   /* head of the free list, slot_count when empty */
    u32 idle_count;  /* cpus in host_wait */
    u32 tokens;      /* host_wait_end calls that have not ended a wait yet */
    u64 transitions; /* how often a cpu began or ended to wait */
    enum poller_state state;
    bool has_poller; /* of who starts and stops it */
    bool poller_stop;
    pthread_cond_t poller_wake;
    pthread_t poller;
    struct host_interrupt *interrupt;
};

static inline struct linux_host *linux_of(struct host *host)
{
    return container_of(host, struct linux_host, host);
}

static inline int linux_fd(const struct host_file *file)
{
    return container_of(file, const struct linux_file, file)->fd;
}

/* linux_poller.c */
MUST_CHECK int linux_poller_init(struct linux_host *host);
void linux_poller_fini(struct linux_host *host);
int linux_poller_start(struct host *host, struct host_interrupt *interrupt);
void linux_poller_stop(struct host *host);
void linux_poller_set_deadline(struct host *host, u64 deadline_ns);
u32 linux_reap(struct host *host);
void linux_wait(struct host *host, u64 deadline_ns);
void linux_wait_end(struct host *host);
/* A slot for SOURCE, so that a later watch cannot fail for want of memory. 0 or -ENOMEM. */
MUST_CHECK int linux_source_init(struct linux_source *source, struct linux_host *host, int fd,
                                 bool is_socket);
/* Ends the watch and frees the slot; the descriptor is the caller's. */
void linux_source_fini(struct linux_source *source);
void linux_source_watch(struct linux_source *source, struct host_watch *watch);
/* EPOLL* or POLL* bits, which are the same numbers, as HOST_* bits. */
u32 linux_ready_bits(u32 events, bool is_socket);
/* With the lock held: OP has completed. True: call linux_tell after unlocking. */
MUST_CHECK bool linux_complete(struct linux_host *host, struct host_op *op);
/* Make someone reap: end an idle cpu's wait, or interrupt a busy one. Lock not held. */
void linux_tell(struct linux_host *host);

/* linux_submit.c */
bool linux_submit(struct host *host, struct host_op *op);
u32 linux_pending_count(struct host *host);
/* Ends the threads; ops that wait for a device end with -EINTR, others are finished first. */
void linux_workers_stop(struct linux_host *host);
enum file_kind linux_file_kind(struct linux_file *file);
MUST_CHECK int linux_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

/* linux_file.c */
struct host_file *linux_file_from_fd(struct host *host, int fd);
void linux_file_destroy(struct host_file *file);
int linux_file_fd(const struct host_file *file);
int linux_file_release(struct host_file *file);
int linux_stat_fd(int fd, struct host_stat *out);
int linux_open_path(struct host *host, const char *path, int flags, u32 mode,
                    struct host_file **out);
int linux_open_at(struct host_file *dir, const char *name, int flags, u32 mode,
                  struct host_file **out);
int linux_reopen(struct host_file *file, int flags, struct host_file **out);
int linux_stat(struct host_file *file, struct host_stat *out);
int linux_stat_at(struct host_file *dir, const char *name, struct host_stat *out);
int linux_set_attr(struct host_file *file, const struct host_set_attr *attr);
int linux_mkdir_at(struct host_file *dir, const char *name, u32 mode);
int linux_mknod_at(struct host_file *dir, const char *name, u32 mode, u32 major, u32 minor);
int linux_symlink_at(struct host_file *dir, const char *name, const char *target);
int linux_link_at(struct host_file *file, struct host_file *dir, const char *name);
int linux_unlink_at(struct host_file *dir, const char *name, int flags);
int linux_rename_at(struct host_file *from_dir, const char *from, struct host_file *to_dir,
                    const char *to, u32 flags);
i64 linux_readlink(struct host_file *file, char *out, size_t size);
int linux_statfs(struct host_file *file, struct host_statfs *out);
i64 linux_read_dir(struct host_file *dir, void *out, size_t size);
int linux_seek_dir(struct host_file *dir, u64 cookie);
i64 linux_pread(struct host_file *file, void *out, size_t size, u64 offset);
i64 linux_pwrite(struct host_file *file, const void *bytes, size_t size, u64 offset);
int linux_sync(struct host_file *file);
/* The name of an open file under host->proc_fds. */
#define PROC_NAME_SIZE 16
void linux_proc_name(int fd, char out[PROC_NAME_SIZE]);

/* linux_xattr.c */
i64 linux_get_xattr(struct host_file *file, const char *name, void *out, size_t size);
int linux_set_xattr(struct host_file *file, const char *name, const void *value, size_t size,
                    int flags);
i64 linux_list_xattr(struct host_file *file, char *out, size_t size);
int linux_remove_xattr(struct host_file *file, const char *name);

/* linux_stream.c */
struct host_stream *linux_stream_from_fd(struct host *host, int fd);
int linux_stream_pair(struct host *host, int type, struct host_stream **a, struct host_stream **b);
void linux_stream_put(struct host_stream *stream);
int linux_stream_fd(const struct host_stream *stream);
i64 linux_stream_read(struct host_stream *stream, void *out, size_t size, int *fds, u32 *fd_count);
i64 linux_stream_write(struct host_stream *stream, const void *bytes, size_t size, const int *fds,
                       u32 fd_count);
void linux_stream_shutdown(struct host_stream *stream, int how);
void linux_stream_watch(struct host_stream *stream, struct host_watch *watch);
u32 linux_stream_poll(struct host_stream *stream);
int linux_stream_stat(struct host_stream *stream, struct host_stat *out);
int linux_stream_ioctl(struct host_stream *stream, u32 request, void *arg);
struct host_listener *linux_listener_from_fd(struct host *host, int fd);
void linux_listener_put(struct host_listener *listener);
int linux_listener_accept(struct host_listener *listener, struct host_stream **out);
void linux_listener_watch(struct host_listener *listener, struct host_watch *watch);
int linux_connect_at(struct host_file *dir, const char *name, int type, struct host_stream **out);
void linux_close_fds(struct host *host, const int *fds, u32 count);
