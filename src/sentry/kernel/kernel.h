/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of everything: one struct kernel is one sandbox's operating system. Nothing in the
 * sentry is global, so a thousand kernels fit in one process.
 */
#pragma once
#include "base/log.h"
#include "base/map.h"
#include "base/marks.h"
#include "base/object.h"
#include "base/rand.h"
#include "sentry/kernel/metrics.h"
#include "sentry/memory/memory.h"
#include "sentry/sched/sched.h"

struct task;
struct pid_ns;
struct user_ns;
struct uts_ns;
struct ipc_ns;
struct vfs; /* fs/vfs.h: mounts, file systems, anonymous inodes */
struct buf;
struct net_stack; /* net/ */
struct futex_table;
struct vdso; /* exec/ */
struct session;
struct thread_group;
struct points;        /* observe/points.h */
struct call_observer; /* syscalls/syscalls.h; observe/ and the simulator implement it */

struct kernel_config {
    u64 memory_max; /* bytes of application memory */
    u64 seed;       /* for names and ids that must not depend on the host */
    bool has_aslr;
    bool has_vdso;
    const char *hostname;
    const char *release; /* uname -r */
};

/* Whoever is told of what tasks become (trace points); each member is set. */
struct task_observer {
    void (*cloned)(struct task_observer *self, struct task *parent, struct task *child, u64 flags);
    /* Its new memory is there; it has not run yet. */
    SLEEPS_OP void (*execed)(struct task_observer *self, struct task *task);
    void (*exit_notify)(struct task_observer *self, struct thread_group *group);
    void (*exited)(struct task_observer *self, struct task *task);
};

/* What upper rooms do in a task's life; each member may be NULL. Set once, at boot. */
struct kernel_hooks {
    /* TASK gives up its descriptors: at its exit, in its own fiber. It takes task->fds. */
    SLEEPS_OP void (*fds_release)(struct task *task);
    /* TASK ends: what else upper rooms keep by task (semaphore undo, record locks). */
    SLEEPS_OP void (*task_exit)(struct task *task);
    /* A session's leader has ended: its terminal, still in session->tty, has no session any more.
     */
    void (*session_ended)(struct session *session);
    /* A process has ended, all its threads are gone; it may not be waited for yet. */
    void (*group_exit)(struct thread_group *group);
};

/* How lower rooms reach network namespaces; set by net. */
struct net_hooks {
    /* The text of /proc/PID/net/NAME of TASK's namespace: 0, -ENOENT, -ENOMEM. */
    int (*show)(const struct task *task, const char *name, struct buf *out);
    /* TASK's network namespace (lent) and its inode number. */
    struct object *(*ns_of)(const struct task *task, u64 *inode_nr);
};

struct kernel {
    struct arena *arena;       /* lent */
    struct host *host;         /* lent */
    struct platform *platform; /* lent */
    struct sched *sched;       /* owned */
    struct memory *memory;     /* owned */
    struct log *log;           /* lent */
    struct marks marks;
    struct metrics metrics;
    struct kernel_config config;
    struct pid_ns *root_pid_ns;   /* counted */
    struct user_ns *root_user_ns; /* counted */
    struct uts_ns *root_uts_ns;   /* counted */
    struct ipc_ns *root_ipc_ns;   /* counted */
    struct vfs *vfs;              /* owned; set by fs */
    struct net_stack *net;        /* owned; set by net */
    const struct net_hooks *net_hooks;
    struct futex_table *futexes;
    struct vdso *vdso;
    struct task_observer *task_observer;  /* or NULL */
    struct points *points;                /* observe/: the trace session, or NULL */
    struct call_observer *call_observers; /* chain; NULL: nobody looks */
    u32 profiles_running;                 /* the controller's: one profile of a kind at a time */
    struct list control_groups;           /* struct control_group.link, owned */
    u32 control_group_last;               /* the last number that was given */
    struct list tasks; /* struct task.kernel_link: all, in order of creation, kernel tasks too */
    u32 task_count;
    u64 boot_monotonic_ns;   /* monotonic time at boot: /proc/uptime, CLOCK_BOOTTIME base */
    i64 monotonic_offset_ns; /* added to the host's after a restore so that the program's clock goes
                                on */
    u32 pause_count;         /* nested pauses; > 0: no application code runs */
    bool is_frozen; /* an image is being written: not even a killed task leaves its place */
    struct wait_queue parked;  /* woken when a task reaches its boundary during a pause */
    struct wait_queue resumed; /* paused tasks sleep here */
    const struct kernel_hooks *hooks;
    u64 key_next_nr; /* of keyrings */
    u64 context_next_id;
    u64 inode_next_nr; /* of namespaces */
    struct rand rand;  /* when the host has no entropy */
    bool has_entropy_failed;
    bool is_stopping;
    struct wait_queue task_ended; /* woken at each exit of a thread group */
    struct list reap_list;        /* struct reap_item: work for the reaper fiber */
    struct wait_queue reap_queue;
    struct task *reaper;                  /* kernel task */
    u64 call_count;                       /* system calls served */
    const struct syscall_table *syscalls; /* set by syscalls/; how task_main dispatches */
    void (*task_event)(struct task *task, const char *what,
                       i64 value); /* observers (sim trace); may be NULL */
    void *observer;
};

MUST_CHECK int kernel_create(struct arena *arena, struct host *host, struct platform *platform,
                             struct machine_memory *memfile, u32 cpu_count, struct log *log,
                             const struct kernel_config *config, struct kernel **out);
/* Ends the kernel's own tasks (the reaper); before sched_stop where cpus are threads. */
void kernel_stop(struct kernel *kernel);
/* All tasks have ended. Frees everything; the arena's live report then shows nothing. */
void kernel_destroy(struct kernel *kernel);

/* The program's clocks: monotonic goes on over restores. */
u64 kernel_monotonic_ns(struct kernel *kernel);
/* A time of the program's monotonic clock as a deadline for sched, and back. */
u64 kernel_deadline_to_sched(struct kernel *kernel, u64 monotonic_ns);
u64 kernel_deadline_from_sched(struct kernel *kernel, u64 sched_ns);
u64 kernel_realtime_ns(struct kernel *kernel);
/* SIZE bytes from the host's entropy. Never fails: falls back to a seeded stream and logs once. */
void kernel_entropy(struct kernel *kernel, void *out, size_t size);

/* An object with QUEUE in it goes: whoever still hangs there (an epoll) hangs nowhere from now on.
 */
void wait_queue_abandon(struct wait_queue *queue);

/* Work that must sleep but was found where sleeping is not allowed (put, timers). */
struct reap_item {
    struct list link;
    SLEEPS_OP void (*run)(struct reap_item *item, struct task *reaper);
};
void kernel_defer(struct kernel *kernel, struct reap_item *item);

/* Pause: after it returns no task runs application code or is inside a system call. Nests. */
SLEEPS void kernel_pause(struct kernel *kernel, struct task *by);
/* May TASK not go on now? (every boundary asks) */
bool kernel_is_paused_for(const struct kernel *kernel, const struct task *task);
/* -EINVAL when there is nothing to resume. */
MUST_CHECK int kernel_resume(struct kernel *kernel);

/* The invariants of a quiet point: counts, links, phases and tables agree. NULL, or what is wrong
 * (static text). */
const char *kernel_check(struct kernel *kernel);
