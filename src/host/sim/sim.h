/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated host, seen by the simulator: a whole outside in memory behind host.h, decided by
 * one seed. One thread only. Through host.h the sentry and the gofer use it; through this header
 * the engine prepares files, makes descriptors, plans faults, and looks at what is left.
 *
 * Time is virtual and moves by host_clock_advance alone. A submitted operation either finishes at
 * once or waits for host_reap, and takes effect only then, in an order that the seed's stream
 * "host" draws. Every draw among more than one candidate goes through `decide`, so it can be
 * recorded and replayed.
 */
#pragma once
#include "base/buf.h"
#include "host/host.h"

struct sim_config {
    u64 seed;
    i64 epoch_ns;      /* realtime at the start, since 1970 */
    u64 monotonic_ns;  /* monotonic time at the start; 0: one second */
    u32 uid, gid;      /* whose rights the file calls have; 0 may everything */
    u32 fds_max;       /* size of the table of descriptors; 0: 65536 */
    u64 disk_size;     /* of the whole tree; 0: 1 TiB */
    u32 later_percent; /* how many of 100 submitted operations do not finish at once; 0: 50; over
                          100: none */
    u8 fill_byte;      /* fills freed memory and the space around allocations: differs in a twin */
    /* Sees each draw; returns the choice to take, usually DRAWN. May be NULL. */
    u32 (*decide)(void *arg, const char *stream, u32 count, u32 drawn);
    void *decide_arg;
};

/* Free with host_put; asserts then that nothing is open: see sim_leak_count. */
struct host *host_sim_create(const struct sim_config *config);

/* ---- clock ---- */

/* Realtime jumps by DELTA; monotonic does not. */
void sim_clock_jump(struct host *host, i64 delta_ns);
/* From now on realtime gains PPM millionths on monotonic time (negative: loses). */
void sim_clock_drift(struct host *host, i32 ppm);

/* ---- faults ---- */

/*
 * Points: "host.CALL" with CALL from enum sim_call's names, "alloc" (any arena), "entropy". `at`
 * and `path` are globs: * within a component, ** across, ?; so "host.*" is every call. The path is
 * the file's or entry's absolute path, a stream's label, or "" where there is none.
 */
struct sim_fault {
    const char *id; /* to arm and disarm; copied, as the others are */
    const char *at;
    const char *path; /* NULL: any */
    u64 nth;          /* the first call that it strikes, counted while armed; 0: 1 */
    u64 times;        /* how many in a row from there; 0: all */
    int error;        /* errno to fail with, positive; 0: do not fail */
    u64 short_size;   /* reads and writes move at most so many bytes; 0: as asked */
    u64 delay_ns;     /* submitted operations and stream data arrive so much later */
    bool torn; /* a write leaves a drawn part of its bytes, then fails (EIO if no error is given) */
    bool is_armed;
};
/* 0, -EEXIST (id) or -EINVAL (no such point). */
MUST_CHECK int sim_fault_add(struct host *host, const struct sim_fault *fault);
/* ID or "all". Arming starts the count again. False: there is none. */
bool sim_fault_arm(struct host *host, const char *id, bool is_armed);
void sim_fault_remove_all(struct host *host);
/* How often fault ID has struck; of "all" together. */
u64 sim_fault_hits(struct host *host, const char *id);
/* Told when a fault strikes, before the call returns. */
void sim_fault_watch(struct host *host,
                     void (*struck)(void *arg, const char *id, const char *at, const char *path),
                     void *arg);

/* The calls that can fail, for counts and plans. */
/* clang-format off */
#define SIM_CALLS(CALL)                                                                     \
    CALL(open) CALL(reopen) CALL(stat) CALL(set_attr) CALL(mkdir) CALL(mknod) CALL(symlink) \
    CALL(link) CALL(unlink) CALL(rename) CALL(readlink) CALL(statfs) CALL(read_dir)         \
    CALL(seek_dir) CALL(get_xattr) CALL(set_xattr) CALL(list_xattr) CALL(remove_xattr)      \
    CALL(read) CALL(write) CALL(sync) CALL(allocate) CALL(seek) CALL(connect) CALL(wrap)    \
    CALL(pair) CALL(stream_read) CALL(stream_write) CALL(stream_ioctl) CALL(accept)         \
    CALL(arena) CALL(poller_start)
/* clang-format on */
enum sim_call {
#define CALL(name) SIM_CALL_##name,
    SIM_CALLS(CALL)
#undef CALL
        SIM_CALL_COUNT,
};
const char *sim_call_name(enum sim_call call);
/* Since the start: one kind; all kinds (a sweep fails the n-th of "host.*" for n up to it). */
u64 sim_call_count(struct host *host, enum sim_call call);
u64 sim_call_total(struct host *host);
u64 sim_alloc_total(struct host *host);
u64 sim_entropy_total(struct host *host);

/* ---- files: the engine's own hand; no faults, no rights, no counting ---- */

/*
 * PATH is absolute; symlinks are followed but for the last component. All return 0, a count or
 * -errno. What is missing on the way is made (0755, owned by root).
 */
MUST_CHECK int sim_put_file(struct host *host, const char *path, const void *bytes, size_t size,
                            u32 mode);
MUST_CHECK int sim_put_directory(struct host *host, const char *path, u32 mode);
MUST_CHECK int sim_put_symlink(struct host *host, const char *path, const char *target);
MUST_CHECK int sim_put_node(struct host *host, const char *path, u32 mode, u32 major, u32 minor);
MUST_CHECK int sim_set_owner(struct host *host, const char *path, u32 uid, u32 gid);
/* Appends the whole content to OUT. */
MUST_CHECK int sim_get_file(struct host *host, const char *path, struct buf *out);
MUST_CHECK int sim_get_symlink(struct host *host, const char *path, struct buf *out);
MUST_CHECK int sim_get_stat(struct host *host, const char *path, struct host_stat *out);
/* A file, or a directory with all below it. */
MUST_CHECK int sim_remove(struct host *host, const char *path);
/* Calls EACH with the path of PATH and of everything below it, sorted by name, parents first. */
MUST_CHECK int sim_walk(struct host *host, const char *path,
                        void (*each)(void *arg, const char *path, const struct host_stat *stat),
                        void *arg);
/* A limit in bytes for all content below a directory: more is ENOSPC; UINT64_MAX: unlimited again.
 */
MUST_CHECK int sim_space_limit(struct host *host, const char *path, u64 bytes_max);
MUST_CHECK i64 sim_space_used(struct host *host, const char *path);
/* Damage: one bit; a run of bytes; a new end. -EINVAL past the end. */
MUST_CHECK int sim_damage_bit(struct host *host, const char *path, u64 bit);
MUST_CHECK int sim_damage_bytes(struct host *host, const char *path, u64 offset, const void *bytes,
                                size_t size);
MUST_CHECK int sim_damage_truncate(struct host *host, const char *path, u64 size);

/* ---- descriptors: numbers of the table, to wrap or to donate
 * -------------------------------------- */

/* All give a number or -errno (-EMFILE). Numbers are the lowest free ones, from 3 on. */
MUST_CHECK int sim_open(struct host *host, const char *path, int flags, u32 mode);
MUST_CHECK int sim_dup(struct host *host, int fd);
bool sim_fd_is_open(struct host *host, int fd);
void sim_fd_close(struct host *host, int fd);
/* SOCK_STREAM or SOCK_SEQPACKET. */
MUST_CHECK int sim_pair(struct host *host, int type, int fds[2]);
/* fds[0] reads what fds[1] writes. */
MUST_CHECK int sim_pipe(struct host *host, int fds[2]);
/* fds[0]: the terminal (answers host_stream_ioctl), fds[1]: whoever sits before it. No line
 * discipline. */
MUST_CHECK int sim_terminal(struct host *host, int fds[2]);
/* A listening stream socket; with a PATH it has an entry there that host_connect_at finds. */
MUST_CHECK int sim_listen(struct host *host, const char *path);
/* Connect to a listening descriptor. */
MUST_CHECK int sim_connect(struct host *host, int listen_fd);
/* A name for faults and reports, in place of "socket:[7]" and its like. */
void sim_label(struct host *host, int fd, const char *label);

/*
 * The engine's own ends (clients, watchers of output): no faults, no counting. Take FD; STREAM is
 * used with host_stream_read and its family.
 */
struct host_stream *sim_engine_stream(struct host *host, int fd);
/* What is written towards FD's reader arrives in pieces of at most PIECE_MAX bytes of drawn size,
 * one at each host_reap; 0: as written. */
void sim_fragment(struct host *host, int fd, u32 piece_max);
/* Room for bytes in flight towards FD's reader; 0: the usual 208 KiB of Linux. */
void sim_capacity(struct host *host, int fd, u32 size);

/* ---- what is left
 * ----------------------------------------------------------------------------------- */

struct sim_leaks {
    u32 fds;     /* open numbers of the table */
    u32 files;   /* struct host_file alive */
    u32 streams; /* struct host_stream, without the engine's */
    u32 listeners;
    u32 watches; /* streams and listeners being watched */
    u32 ops;     /* submitted, not done */
    u32 arenas;
    u64 arena_bytes;
    u64 arena_objects;
};
void sim_leaks(struct host *host, struct sim_leaks *out);
/* The sum of fds, files, streams, listeners, ops. */
u32 sim_leak_count(struct host *host);
/* One line each. */
void sim_leak_lines(struct host *host, void (*line)(void *arg, const char *text), void *arg);
/*
 * Whose things are made from now on: several simulated processes (sandbox, gofer, clients) share
 * one host. Any number but SIM_OWNER_ALL; 0 at the start. Returns the owner before.
 */
#define SIM_OWNER_ALL UINT32_MAX
u32 sim_owner(struct host *host, u32 owner);
/* What the kernel does when a process dies: closes all that OWNER has, forgets what it submitted,
 * frees its arenas. Its wrappers become invalid. For steps that kill, and for ending a run that
 * failed. */
void sim_drop(struct host *host, u32 owner);
