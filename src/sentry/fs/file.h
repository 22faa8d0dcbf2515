/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open file descriptions and descriptor tables. Everything that has a descriptor is a struct file:
 * regular files, directories, pipes, sockets, ttys, eventfds, epolls, …
 */
#pragma once
#include "base/buf.h"
#include "base/object.h"
#include "sentry/fs/path.h"
#include "sentry/memory/uio.h"

struct dir_emit;
struct fd_table;
struct file;

/* Poll bits are Linux's POLL* values. */
#define POLL_IN 0x001u
#define POLL_PRI 0x002u
#define POLL_OUT 0x004u
#define POLL_ERR 0x008u
#define POLL_HUP 0x010u
#define POLL_NVAL 0x020u
#define POLL_RDNORM 0x040u
#define POLL_WRNORM 0x100u
#define POLL_RDHUP 0x2000u

/* Collects queues while files are asked for readiness; see poll.h. NULL: only ask. */
struct poll_table {
    /* 0 or -ENOMEM; QUEUE lives as long as FILE. */
    int (*add)(struct poll_table *table, struct file *file, struct wait_queue *queue);
    void *owner;
    struct task *task; /* who asks (signalfd shows the asker's signals); NULL: unknown */
};

struct file_ops {
    /* Sequential and positional I/O. OFFSET is the position (pread) — file_read has loaded
     * file->offset for seekable files and stores it back. Count, 0, or -errno (-EAGAIN if FILE is
     * non-blocking). */
    SLEEPS_OP i64 (*read)(struct task *task, struct file *file, struct uio *uio, u64 offset);
    SLEEPS_OP i64 (*write)(struct task *task, struct file *file, struct uio *uio, u64 offset);
    /* New position or -errno. NULL with is_seekable: generic by size; not seekable: -ESPIPE. */
    SLEEPS_OP i64 (*seek)(struct task *task, struct file *file, i64 offset, i32 whence);
    /* Calls EMIT for entries from file->offset on; EMIT returns false when full. 0 or -errno. Sets
     * file->offset to the cookie. */
    SLEEPS_OP int (*readdir)(struct task *task, struct file *file, struct dir_emit *emit);
    SLEEPS_OP i64 (*ioctl)(struct task *task, struct file *file, u32 request, u64 arg);
    /* Readiness now, and registration. Never sleeps. NULL: always readable and writable. */
    u32 (*poll)(struct file *file, struct poll_table *table);
    /* What to map: the mapping and, possibly, another object that keeps it alive. NULL:
     * inode->mapping of regular files, else -ENODEV. */
    SLEEPS_OP int (*mmap)(struct task *task, struct file *file, struct mapping **mapping,
                          u64 *offset);
    SLEEPS_OP int (*fsync)(struct task *task, struct file *file);
    /* A descriptor was closed (each close): locks, FIN. May be NULL. */
    SLEEPS_OP int (*flush)(struct task *task, struct file *file);
    /* Last reference gone; must not sleep (defer to the reaper). */
    void (*release)(struct file *file);
    /* Was it set by F_SETFL? FLAGS is the new value. May be NULL. */
    int (*set_flags)(struct file *file, u32 flags);
    int (*allocate)(struct task *task, struct file *file, i32 mode, u64 offset, u64 size);
    /* /proc/PID/fdinfo lines after pos/flags/mnt_id. May be NULL. */
    int (*show_info)(struct file *file, struct buf *out);
    bool is_seekable;
};

struct dir_emit {
    /* False: full, stop; the entry was not taken. NEXT is the offset of the entry after it. */
    SLEEPS_OP bool (*emit)(struct dir_emit *emit, const char *name, size_t name_size, u64 ino,
                           u8 type, u64 next);
    void *owner;
};

struct file {
    struct object object; /* kind file_kind */
    const struct file_ops *ops;
    const struct kind *ops_kind_unused;
    struct path path;    /* owned */
    struct inode *inode; /* counted (== path.dentry->inode, or an anonymous one) */
    u32 flags;           /* O_* as F_GETFL shows, access mode in it */
    u64 offset;
    struct sleep_lock offset_lock; /* shared descriptions read and write in turn */
    struct object *private_object; /* counted: pipe, socket, eventfd … */
    u64 private_words[2];
    i32 owner; /* F_SETOWN */
    i32 owner_type;
    i32 owner_signal;
    struct object *owner_cred; /* counted: a struct cred, who asked for the signals */
    struct object *owner_pid;  /* counted: a struct pid, who gets them, or NULL */
    struct fasync *fasync;     /* O_ASYNC is on (fs/fasync.c), or NULL */
    struct list epoll_links;   /* epoll items that watch this file (fs/epoll.c) */
    bool is_path;              /* O_PATH */
    bool wrote;                /* counted in write_count of the path's inode */
    bool executes;             /* counted in exec_count of the path's inode */
};
extern const struct kind file_kind;

/*
 * Ops by name, so that a loaded file finds them: every file_ops that can be saved stands in the
 * table of fs/file_ops.c; upper rooms (net/) hang tables of their own into the kernel, before any
 * load.
 */
struct file_ops_name {
    const char *name;
    const struct file_ops *ops;
    const char *private_of; /* the struct that private_object is: "struct pipe"; NULL: not used */
    const char *inode_of;   /* the struct that the operations take the inode for; NULL: any */
    bool may_lack_private;  /* it is made when it is first needed */
};
struct file_ops_table {
    const struct file_ops_name *rows;
    u32 count;
    struct file_ops_table *next; /* vfs's */
};
void file_ops_add(struct kernel *kernel,
                  struct file_ops_table *table); /* lent for the kernel's life */
const struct file_ops_name *file_ops_find(struct kernel *kernel, const char *name);
/* Are FILE's inode and private object what ROW's operations take them for? */
bool file_ops_fit(const struct file_ops_name *row, const struct file *file);
const char *file_ops_name(struct kernel *kernel,
                          const struct file_ops *ops); /* NULL: cannot be saved */

/* Regular files over inode->mapping, and a description that only names a place (O_PATH). */
extern const struct file_ops regular_file_ops, path_file_ops;
/* A description with everything but `ops`: takes references of its own. */
MUST_CHECK int file_create(struct kernel *kernel, const struct path *path, struct inode *inode,
                           u32 flags, struct file **out);
/* FILE is a program that runs: until it is released, nobody opens its inode for writing (ETXTBSY).
 */
void file_deny_write(struct file *file);

/* A description on an anonymous inode ("anon_inode:[eventfd]", "pipe:[123]"). Takes PRIVATE, also
 * on failure. NAME shown by readlink; one that ends in ':' gets "[inode number]". MODE is st_mode,
 * its type picks the super (fifo, socket, other). */
MUST_CHECK int file_create_anon(struct kernel *kernel, const char *name, const struct file_ops *ops,
                                struct object *private_object, u32 flags, u32 mode,
                                struct file **out);
/* An inode without a path, and a description of it under NAME (as above), ops not set. */
MUST_CHECK int inode_create_anon(struct super *super, u32 mode, struct inode **out);
MUST_CHECK int file_create_on_inode(struct kernel *kernel, struct inode *inode, const char *name,
                                    u32 flags, struct file **out);
/* inode_ops.open of named fifos of any file system; waits for the other side as fifo(7) says. */
MUST_CHECK SLEEPS int fifo_open(struct task *task, struct inode *inode, struct file *file);
/* Cut *SIZE to what RLIMIT_FSIZE and off_t leave behind OFFSET; -EFBIG (and SIGXFSZ) if that is
 * nothing. */
MUST_CHECK int file_size_limit(struct task *task, u64 offset, u64 *size);
static inline bool file_may_read(const struct file *file)
{
    return (file->flags & 1u) == 0 &&
           !file->is_path; /* O_RDONLY 0 or O_RDWR 2; the odd 3 can do neither */
}
static inline bool file_may_write(const struct file *file)
{
    u32 access = file->flags & 3u;
    return (access == 1u || access == 2u) && !file->is_path;
}
/* read(2)/write(2)/pread(2)/pwrite(2) on a description, with all their rules (limits, O_APPEND,
 * EFBIG, SIGXFSZ). USE_OFFSET: at file->offset, else at *OFFSET. */
MUST_CHECK SLEEPS i64 file_read(struct task *task, struct file *file, struct uio *uio,
                                const u64 *offset);
MUST_CHECK SLEEPS i64 file_write(struct task *task, struct file *file, struct uio *uio,
                                 const u64 *offset);
/* Into the sentry's own memory (exec, loader). All of SIZE or less at the end of file. */
MUST_CHECK SLEEPS i64 file_pread_kernel(struct task *task, struct file *file, void *out, u64 size,
                                        u64 offset);
MUST_CHECK SLEEPS i64 file_write_kernel(struct task *task, struct file *file, const void *bytes,
                                        u64 size);
u32 file_poll(struct file *file, struct poll_table *table);
MUST_CHECK SLEEPS i64 file_seek(struct task *task, struct file *file, i64 offset, i32 whence);
MUST_CHECK SLEEPS int file_readdir(struct task *task, struct file *file, struct dir_emit *emit);
MUST_CHECK SLEEPS i64 file_ioctl(struct task *task, struct file *file, u32 request, u64 arg);
MUST_CHECK SLEEPS int file_fsync(struct task *task, struct file *file);
MUST_CHECK SLEEPS int file_allocate(struct task *task, struct file *file, i32 mode, u64 offset,
                                    u64 size);
MUST_CHECK SLEEPS int file_truncate(struct task *task, struct file *file, u64 size);
/* What mmap(2) maps: lends the mapping, which FILE keeps alive; OFFSET may be moved. -ENODEV,
 * -EACCES by access mode of others. */
MUST_CHECK SLEEPS int file_mmap(struct task *task, struct file *file, struct mapping **mapping,
                                u64 *offset);
/* The same while loading, for memory->mapping_of: lent; NULL: OBJECT is no file. */
struct mapping *file_mapping_of(struct object *object);
/* Who gets SIGIO (F_SETOWN): NR in TASK's PID namespace, 0 for nobody; TYPE F_OWNER_*. -ESRCH. */
MUST_CHECK int file_set_owner(struct task *task, struct file *file, i32 type, u32 nr);
/* F_SETFL: only O_APPEND, O_NONBLOCK, O_ASYNC, O_DIRECT, O_NOATIME change. */
MUST_CHECK int file_set_flags(struct task *task, struct file *file, u32 flags);
/* A descriptor that shows FILE is closed: locks of TABLE go, ops->flush. */
SLEEPS int file_flush(struct task *task, struct file *file, struct fd_table *table);
/* Skip SIZE bytes that an earlier try of this call has moved (task->progress.bytes). */
void uio_skip(struct uio *uio, u64 size);

/* ---- descriptor tables ---------------------------------------------------------------------- */

struct fd_table {
    struct object object;
    struct kernel *kernel;
    struct file **files; /* counted, NULL: free */
    u64 *cloexec;        /* bitmaps of word_count words */
    u64 *reserved;
    u32 word_count;
    u32 capacity;    /* 64 * word_count */
    u32 count;       /* open ones */
    u32 first_free;  /* no free one below */
    u32 share_count; /* tasks that use it: POSIX locks, exec's unshare */
};
extern const struct kind fd_table_kind;

#define FD_CLOEXEC_FLAG 1u
MUST_CHECK int fd_table_create(struct kernel *kernel, struct fd_table **out);
MUST_CHECK int fd_table_fork(const struct fd_table *from, struct fd_table **out);
/* The file at FD with a reference, or NULL. */
MUST_CHECK struct file *fd_get(struct task *task, i32 fd);
/* As fd_get; NULL also for what only names a place (O_PATH). */
MUST_CHECK struct file *fd_get_open(struct task *task, i32 fd);
/* Several numbers reserved first, installed or released later: both or neither. */
#define FD_SLOTS_MAX 256
struct fd_slots {
    struct fd_table *table;
    u32 count;
    i32 fds[FD_SLOTS_MAX];
};
/* COUNT lowest free numbers >= FROM: 0, -EMFILE (RLIMIT_NOFILE), -ENOMEM. */
MUST_CHECK int fd_slots_reserve(struct task *task, u32 count, i32 from, struct fd_slots *slots);
/* Takes FILE into slot INDEX; cannot fail. CLOEXEC from O_CLOEXEC in FLAGS. */
void fd_slots_install(struct fd_slots *slots, u32 index, struct file *file, u32 flags);
void fd_slots_release(struct fd_slots *slots); /* what was not installed */
#define AUTO_FD_SLOTS CLEANUP(fd_slots_release)
/* The usual single one: takes FILE in any case. The number or -errno. */
MUST_CHECK i32 fd_install(struct task *task, struct file *file, u32 flags);
/* The lowest number >= FROM (F_DUPFD). */
MUST_CHECK i32 fd_install_from(struct task *task, struct file *file, i32 from, u32 flags);
bool fd_is_cloexec(const struct fd_table *table, i32 fd);
MUST_CHECK int fd_set_cloexec(struct fd_table *table, i32 fd, bool is_on); /* -EBADF */
/* Install at exactly FD, closing what was there (dup2, loader's stdio). Takes FILE. */
MUST_CHECK SLEEPS int fd_install_at(struct task *task, i32 fd, struct file *file, u32 flags);
MUST_CHECK SLEEPS int fd_close(struct task *task, i32 fd);
SLEEPS void fd_close_on_exec(struct task *task);
