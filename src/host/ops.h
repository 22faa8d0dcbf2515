/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/host: what an implementation of host.h fills in. host.c judges the arguments that
 * can be judged without the outside and calls through the table, so linux and sim live in one
 * binary and refuse the same mistakes in the same way.
 */
#pragma once
#include "host/host.h"

struct host_ops;

/* First member of every implementation's struct. */
struct host {
    const struct host_ops *ops;
};

struct host_file {
    struct host *host;
    u32 refs;
};

struct host_stream {
    struct host *host;
};

struct host_listener {
    struct host *host;
};

struct host_ops {
    void (*destroy)(struct host *host);
    u64 (*monotonic_ns)(struct host *host);
    u64 (*realtime_ns)(struct host *host);
    int (*entropy)(struct host *host, void *out, size_t size);
    bool is_simulated;
    void (*clock_advance)(struct host *host, u64 to_monotonic_ns);
    u32 (*choose)(struct host *host, const char *stream, u32 count);
    struct arena *(*arena_create)(struct host *host, u64 bytes_max);
    void (*arena_destroy)(struct host *host, struct arena *arena);

    struct host_file *(*file_from_fd)(struct host *host, int fd);
    void (*file_destroy)(struct host_file *file);
    int (*file_fd)(const struct host_file *file);
    int (*file_release)(struct host_file *file);
    int (*open_path)(struct host *host, const char *path, int flags, u32 mode,
                     struct host_file **out);
    int (*open_at)(struct host_file *dir, const char *name, int flags, u32 mode,
                   struct host_file **out);
    int (*reopen)(struct host_file *file, int flags, struct host_file **out);
    int (*stat)(struct host_file *file, struct host_stat *out);
    int (*stat_at)(struct host_file *dir, const char *name, struct host_stat *out);
    int (*set_attr)(struct host_file *file, const struct host_set_attr *attr);
    int (*mkdir_at)(struct host_file *dir, const char *name, u32 mode);
    int (*mknod_at)(struct host_file *dir, const char *name, u32 mode, u32 major, u32 minor);
    int (*symlink_at)(struct host_file *dir, const char *name, const char *target);
    int (*link_at)(struct host_file *file, struct host_file *dir, const char *name);
    int (*unlink_at)(struct host_file *dir, const char *name, int flags);
    int (*rename_at)(struct host_file *from_dir, const char *from, struct host_file *to_dir,
                     const char *to, u32 flags);
    i64 (*readlink)(struct host_file *file, char *out, size_t size);
    int (*statfs)(struct host_file *file, struct host_statfs *out);
    i64 (*read_dir)(struct host_file *dir, void *out, size_t size);
    int (*seek_dir)(struct host_file *dir, u64 cookie);
    i64 (*get_xattr)(struct host_file *file, const char *name, void *out, size_t size);
    int (*set_xattr)(struct host_file *file, const char *name, const void *value, size_t size,
                     int flags);
    i64 (*list_xattr)(struct host_file *file, char *out, size_t size);
    int (*remove_xattr)(struct host_file *file, const char *name);
    i64 (*pread)(struct host_file *file, void *out, size_t size, u64 offset);
    i64 (*pwrite)(struct host_file *file, const void *bytes, size_t size, u64 offset);
    int (*sync)(struct host_file *file);
    int (*connect_at)(struct host_file *dir, const char *name, int type, struct host_stream **out);

    bool (*submit)(struct host *host, struct host_op *op);

    struct host_stream *(*stream_from_fd)(struct host *host, int fd);
    int (*stream_pair)(struct host *host, int type, struct host_stream **a, struct host_stream **b);
    void (*stream_put)(struct host_stream *stream);
    int (*stream_fd)(const struct host_stream *stream);
    i64 (*stream_read)(struct host_stream *stream, void *out, size_t size, int *fds, u32 *fd_count);
    i64 (*stream_write)(struct host_stream *stream, const void *bytes, size_t size, const int *fds,
                        u32 fd_count);
    void (*stream_shutdown)(struct host_stream *stream, int how);
    void (*stream_watch)(struct host_stream *stream, struct host_watch *watch);
    u32 (*stream_poll)(struct host_stream *stream);
    int (*stream_stat)(struct host_stream *stream, struct host_stat *out);
    int (*stream_ioctl)(struct host_stream *stream, u32 request, void *arg);
    struct host_listener *(*listener_from_fd)(struct host *host, int fd);
    void (*listener_put)(struct host_listener *listener);
    int (*listener_accept)(struct host_listener *listener, struct host_stream **out);
    void (*listener_watch)(struct host_listener *listener, struct host_watch *watch);
    void (*close_fds)(struct host *host, const int *fds, u32 count);

    int (*poller_start)(struct host *host, struct host_interrupt *interrupt);
    void (*poller_stop)(struct host *host);
    void (*poller_set_deadline)(struct host *host, u64 deadline_ns);
    u32 (*reap)(struct host *host);
    void (*wait)(struct host *host, u64 deadline_ns);
    void (*wait_end)(struct host *host);
    u32 (*pending_count)(struct host *host);
    u64 (*next_completion_ns)(struct host *host);
};
