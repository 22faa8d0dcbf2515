/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to the outside that can be simulated: clocks, entropy, files, streams, the poller,
 * arenas. Two implementations: host/linux (the real thing) and host/sim (virtual clock, seeded
 * entropy, files and streams in memory, a fault plan). Nothing in sentry/, loader/, controller/ or
 * the gofer's core reaches the outside except through these functions and platform/.
 *
 * Two kinds of calls. "At once": cannot wait (clock, entropy, a try on a non-blocking stream).
 * "Submitted": `host_submit` starts an operation and its `done` runs later, from `host_reap`, on a
 * thread that holds the kernel lock. The gofer, a process of its own, calls the `host_*_at` family
 * directly: there a wait is allowed.
 */
#pragma once
#include "base/arena.h"
#include "base/base.h"
#include "base/list.h"

struct host;
struct host_file;     /* counted: host_file_get/put */
struct host_stream;   /* a connected byte or packet stream, a pipe end, a terminal */
struct host_listener; /* a listening stream socket */

/* ---- clock and entropy (at once) ---- */

/* Nanoseconds. Monotonic never goes back; its zero is the host's own affair. */
u64 host_monotonic_ns(struct host *host);
u64 host_realtime_ns(struct host *host);
/* SIZE random bytes; in simulation from the `entropy` stream of the seed. 0 or -EIO (fault plan).
 */
MUST_CHECK int host_entropy(struct host *host, void *out, size_t size);
/* True where time is virtual: it moves only by host_clock_advance (a fixed cost per call served, or
 * a jump to the next deadline when nothing can run). */
bool host_is_simulated(const struct host *host);
void host_clock_advance(struct host *host, u64 to_monotonic_ns);
/* A draw in [0, count) from the seed's stream NAME ("sched", "fault", ...); 0 on a real host. */
u32 host_choose(struct host *host, const char *stream, u32 count);

/* ---- arenas ---- */

/* A new arena with a limit in bytes (0: none). NULL when out of memory. */
MUST_CHECK struct arena *host_arena_create(struct host *host, u64 bytes_max);
/* Everything must have been freed: asserts that nothing lives. */
void host_arena_destroy(struct host *host, struct arena *arena);

/* ---- files ---- */

enum host_file_type {
    HOST_FILE_REGULAR,
    HOST_FILE_DIRECTORY,
    HOST_FILE_SYMLINK,
    HOST_FILE_SOCKET,
    HOST_FILE_FIFO,
    HOST_FILE_CHAR,
    HOST_FILE_BLOCK,
};

struct host_stat {
    u64 device;
    u64 inode;
    u32 mode; /* with the type bits, Linux's st_mode */
    u32 link_count;
    u32 uid;
    u32 gid;
    u32 rdev_major, rdev_minor;
    u64 size;
    u64 blocks; /* of 512 bytes */
    u32 block_size;
    i64 atime_ns, mtime_ns, ctime_ns, btime_ns; /* since the epoch */
};

/* Which members of a host_set_attr are meant. */
#define HOST_ATTR_MODE 1u
#define HOST_ATTR_UID 2u
#define HOST_ATTR_GID 4u
#define HOST_ATTR_SIZE 8u
#define HOST_ATTR_ATIME 16u
#define HOST_ATTR_MTIME 32u
#define HOST_ATTR_ATIME_NOW 64u
#define HOST_ATTR_MTIME_NOW 128u
struct host_set_attr {
    u32 mask;
    u32 mode;
    u32 uid, gid;
    u64 size;
    i64 atime_ns, mtime_ns;
};

struct host_statfs {
    u64 type, block_size, blocks, blocks_free, blocks_available, files, files_free;
    u32 name_max;
};

/* Wrap a descriptor (linux: a real one, taken; sim: a number of its table). NULL when refused. */
MUST_CHECK struct host_file *host_file_from_fd(struct host *host, int fd);
void host_file_get(struct host_file *file);
/* Closes with the last reference. Never waits. NULL is fine. */
void host_file_put(struct host_file *file);
/* The descriptor to hand to another process (SCM_RIGHTS); lent. */
int host_file_fd(const struct host_file *file);
/* Takes the only reference and gives the descriptor back instead of closing it: for who had to look
 * at what a descriptor is (host_stat) before wrapping it as a stream. */
MUST_CHECK int host_file_release(struct host_file *file);

/*
 * Calls that may wait in the kernel of a real host: for the gofer and for command line tools. All
 * return 0, a count, or -errno. DIR and NAME: one component, never followed if a symlink, never
 * ".."
 * (-EINVAL); `flags` are Linux's O_*. Files come back through OUT with one reference.
 */
MUST_CHECK int host_open_path(struct host *host, const char *path, int flags, u32 mode,
                              struct host_file **out);
MUST_CHECK int host_open_at(struct host_file *dir, const char *name, int flags, u32 mode,
                            struct host_file **out);
/* A new open file description of the same file (Linux: through /proc/self/fd of the gofer). */
MUST_CHECK int host_reopen(struct host_file *file, int flags, struct host_file **out);
MUST_CHECK int host_stat(struct host_file *file, struct host_stat *out);
MUST_CHECK int host_stat_at(struct host_file *dir, const char *name, struct host_stat *out);
MUST_CHECK int host_set_attr(struct host_file *file, const struct host_set_attr *attr);
MUST_CHECK int host_mkdir_at(struct host_file *dir, const char *name, u32 mode);
MUST_CHECK int host_mknod_at(struct host_file *dir, const char *name, u32 mode, u32 major,
                             u32 minor);
MUST_CHECK int host_symlink_at(struct host_file *dir, const char *name, const char *target);
MUST_CHECK int host_link_at(struct host_file *file, struct host_file *dir, const char *name);
/* flags: 0 or AT_REMOVEDIR */
MUST_CHECK int host_unlink_at(struct host_file *dir, const char *name, int flags);
MUST_CHECK int host_rename_at(struct host_file *from_dir, const char *from,
                              struct host_file *to_dir, const char *to, u32 flags);
/* The target without terminator; its length, at most SIZE. */
MUST_CHECK i64 host_readlink(struct host_file *file, char *out, size_t size);
MUST_CHECK int host_statfs(struct host_file *file, struct host_statfs *out);
/* The next entries of a directory as linux_dirent64 records; bytes, 0 at the end. */
MUST_CHECK i64 host_read_dir(struct host_file *dir, void *out, size_t size);
MUST_CHECK int host_seek_dir(struct host_file *dir, u64 cookie);
MUST_CHECK i64 host_get_xattr(struct host_file *file, const char *name, void *out, size_t size);
MUST_CHECK int host_set_xattr(struct host_file *file, const char *name, const void *value,
                              size_t size, int flags);
MUST_CHECK i64 host_list_xattr(struct host_file *file, char *out, size_t size);
MUST_CHECK int host_remove_xattr(struct host_file *file, const char *name);
MUST_CHECK i64 host_pread(struct host_file *file, void *out, size_t size, u64 offset);
MUST_CHECK i64 host_pwrite(struct host_file *file, const void *bytes, size_t size, u64 offset);
MUST_CHECK int host_sync(struct host_file *file);
/* Connect to / bind a unix stream socket that lies in a directory of the host. */
MUST_CHECK int host_connect_at(struct host_file *dir, const char *name, int type,
                               struct host_stream **out);

/* ---- submitted operations ---- */

enum host_op_type {
    HOST_OP_PREAD,    /* file, offset, iov */
    HOST_OP_PWRITE,   /* file, offset, iov */
    HOST_OP_READ,     /* file's own offset (stdio shared with other processes), iov */
    HOST_OP_WRITE,    /* file's own offset, iov */
    HOST_OP_SYNC,     /* file */
    HOST_OP_STAT,     /* file -> stat */
    HOST_OP_SET_ATTR, /* file, attr (a donated, writable descriptor) */
    HOST_OP_ALLOCATE, /* file, offset, length: fallocate mode in `flags` */
    HOST_OP_SEEK,     /* file, offset, `flags` = SEEK_DATA or SEEK_HOLE or SEEK_CUR */
    HOST_OP_READ_DIR, /* file, iov[0] */
    HOST_OP_CONNECT,  /* reserved */
};

struct host_iovec {
    void *base;
    size_t size;
};
#define HOST_IOV_MAX 64

/*
 * One operation, the submitter's memory, which must live until `done` has run. Linux: tried at once
 * without waiting, else given to a small worker pool. Sim: completions in seeded order, with the
 * fault plan's errors, short counts and delays.
 */
struct host_op {
    struct list link; /* the host's while submitted */
    enum host_op_type type;
    struct host_file *file; /* lent until done */
    u64 offset;
    u64 length;
    u32 flags;
    u32 iov_count;
    struct host_iovec iov[HOST_IOV_MAX];
    struct host_set_attr attr;
    struct host_stat stat;
    i64 result; /* count, 0 or -errno; valid in and after `done` */
    void (*done)(struct host_op *op);
    void *owner; /* the submitter's */
};

/* True: finished already, `result` is valid and `done` will NOT be called. False: `done` comes
 * later. */
MUST_CHECK bool host_submit(struct host *host, struct host_op *op);

/* ---- streams ---- */

#define HOST_READABLE 1u
#define HOST_WRITABLE 2u
#define HOST_HANGUP 4u

#define HOST_FDS_MAX 128

/* What a watcher is told, from host_reap, with the kernel lock held: new readiness (an edge). */
struct host_watch {
    struct list link; /* the host's */
    u32 ready;        /* the host's: gathered since the last call of `notify` */
    void (*notify)(struct host_watch *watch, u32 ready);
    void *owner;
};

/* Wrap a connected socket, pipe end or terminal; takes FD. NULL when refused. */
MUST_CHECK struct host_stream *host_stream_from_fd(struct host *host, int fd);
/* A connected pair inside this host (linux: socketpair; sim: in memory). Type SOCK_STREAM or
 * SOCK_SEQPACKET. */
MUST_CHECK int host_stream_pair(struct host *host, int type, struct host_stream **a,
                                struct host_stream **b);
void host_stream_put(struct host_stream *stream);
int host_stream_fd(const struct host_stream *stream);
/*
 * At once: a count, 0 at the end, -EAGAIN, or -errno. Descriptors that came along go to FDS (at
 * most *FD_COUNT, which becomes the number; more than that: all closed and -EMFILE). FDS may be
 * NULL: then any that come are closed.
 */
MUST_CHECK i64 host_stream_read(struct host_stream *stream, void *out, size_t size, int *fds,
                                u32 *fd_count);
/* FDS are lent. A part may be written. */
MUST_CHECK i64 host_stream_write(struct host_stream *stream, const void *bytes, size_t size,
                                 const int *fds, u32 fd_count);
/* Shut down one or both directions: SHUT_RD, SHUT_WR, SHUT_RDWR. */
void host_stream_shutdown(struct host_stream *stream, int how);
/* One watch a stream; NULL ends it. The first notify tells the readiness of now. */
void host_stream_watch(struct host_stream *stream, struct host_watch *watch);
/* What is ready now (no waiting): HOST_* bits. */
u32 host_stream_poll(struct host_stream *stream);
/* What the descriptor is: mode, owner, times. 0 or -errno. */
MUST_CHECK int host_stream_stat(struct host_stream *stream, struct host_stat *out);
/* Terminal calls of a host terminal: TCGETS, TCSETS*, TIOCGWINSZ, TIOCSWINSZ only. 0 or -errno. */
MUST_CHECK int host_stream_ioctl(struct host_stream *stream, u32 request, void *arg);

/* Wrap a listening stream socket; takes FD. */
MUST_CHECK struct host_listener *host_listener_from_fd(struct host *host, int fd);
void host_listener_put(struct host_listener *listener);
/* At once: 0 with a stream, -EAGAIN, or -errno. */
MUST_CHECK int host_listener_accept(struct host_listener *listener, struct host_stream **out);
void host_listener_watch(struct host_listener *listener, struct host_watch *watch);

/* Close descriptors that came with a message (sim: entries of its table). */
void host_close_fds(struct host *host, const int *fds, u32 count);

/* ---- the poller: hardware that tells of completions ---- */

/*
 * The poller appends completions to a list and calls `interrupt` (from any thread, lock not held;
 * it only kicks a cpu). A cpu calls host_reap with the kernel lock held, and that runs `done` and
 * `notify`.
 */
struct host_interrupt {
    void (*interrupt)(struct host_interrupt *self);
    void *owner;
};
/* Start: from now on the poller (linux: a thread and its workers) delivers. Sim: nothing runs by
 * itself. */
MUST_CHECK int host_poller_start(struct host *host, struct host_interrupt *interrupt);
void host_poller_stop(struct host *host);
/* When to interrupt even if nothing completes (the next timer); NO_DEADLINE for never. Any thread.
 */
void host_poller_set_deadline(struct host *host, u64 deadline_ns);
/* Deliver all that has completed; how many. */
u32 host_reap(struct host *host);
/* Wait, kernel lock not held, until something can be reaped, DEADLINE comes or host_wait_end is
 * called. */
void host_wait(struct host *host, u64 deadline_ns);
void host_wait_end(struct host *host);
/* Sim: when the earliest submitted operation or stream data that is not due yet will be (delays of
 * the fault plan; virtual time has to move there first); NO_DEADLINE if none, and always so on a
 * real host. */
u64 host_next_completion_ns(struct host *host);
/* Sim: is anything submitted that has not been reaped? (quiet-point checks) */
u32 host_pending_count(struct host *host);

/* ---- making hosts ---- */

MUST_CHECK struct host *host_linux_create(void);
/*
 * A new open file description of the terminal FD, which stays open: O_NONBLOCK and shared with
 * nobody. For who hands a terminal to a sandbox, while it may still open files: through such a one
 * the sandbox never waits for whoever sits before it. A descriptor, or -errno (-ENOTTY: no
 * terminal, or a pseudo terminal's master, which cannot be opened twice).
 */
MUST_CHECK int host_linux_own_terminal(int fd);
void host_put(struct host *host);
/* host/sim has a larger interface of its own for the simulator: host/sim/sim.h */
