/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID namespaces and the identity of a task: one `struct pid` carries a task's number in its own
 * namespace and in every ancestor. A number stays taken while a task, a process group or a session
 * uses it; a pidfd keeps the struct alive, not the number.
 */
#pragma once
#include "base/map.h"
#include "base/object.h"
#include "sentry/sched/sched.h"

struct kernel;
struct process_group;
struct session;
struct task;
struct thread_group;
struct user_ns;

#define PID_NS_DEPTH_MAX 32u
#define PID_RESERVED 300u /* numbers below it are not handed out again after a wrap */

struct pid_ns {
    struct object object;
    struct kernel *kernel;
    struct pid_ns *parent;     /* counted; NULL: the root one */
    struct user_ns *user_ns;   /* counted */
    struct thread_group *init; /* weak: its first process; NULL before it and after its end */
    struct map pids;           /* number -> struct pid, counted */
    u32 level;                 /* 0: the root one */
    u32 last_nr;
    u64 inode_nr;              /* what /proc/PID/ns shows */
    bool is_closed;            /* its init has ended: nothing new in it */
    struct wait_queue changed; /* a process in it has ended; its init waits for the last */
};
extern const struct kind pid_ns_kind;
MUST_CHECK int pid_ns_create(struct kernel *kernel, struct pid_ns *parent, struct user_ns *user_ns,
                             struct pid_ns **out);
/* Is NS ANCESTOR or below it? */
bool pid_ns_is_within(const struct pid_ns *ns, const struct pid_ns *ancestor);

struct pid {
    struct object object;
    struct pid_ns *ns;          /* counted: the deepest one */
    u32 nrs[PID_NS_DEPTH_MAX];  /* by level, up to ns->level */
    u32 user_count;             /* task, process group, session */
    struct task *task;          /* weak */
    struct process_group *pgrp; /* weak */
    struct session *session;    /* weak */
    bool has_exited;            /* its process has ended (pidfd is readable) */
    i32 exit_code;
    struct wait_queue exited; /* woken then */
};
extern const struct kind pid_kind;
/*
 * A fresh number in NS and all its ancestors, with one reference and no users. WANTED: numbers from
 * the innermost outwards (clone3's set_tid), COUNT of them. 0, -EAGAIN (none left), -ENOMEM (also:
 * NS is closed), -EEXIST, -EINVAL.
 */
MUST_CHECK int pid_alloc(struct pid_ns *ns, const u32 *wanted, u32 count, struct pid **out);
/* One user more; the last one to leave gives the numbers back. */
void pid_use(struct pid *pid);
void pid_unuse(struct pid *pid);
struct pid *pid_find(const struct pid_ns *ns, u32 nr);         /* lent, or NULL */
u32 pid_nr_in(const struct pid *pid, const struct pid_ns *ns); /* 0: not visible there */
static inline u32 pid_nr(const struct pid *pid)
{
    return pid->nrs[pid->ns->level];
}
struct process_group *process_group_find(struct pid_ns *ns, u32 pgid); /* lent */
/* The next task (process) of NS with a number >= FROM, in order; lent, its number in *NR; NULL at
 * the end. */
struct task *pid_ns_next_task(struct pid_ns *ns, u32 from, u32 *nr);
struct thread_group *pid_ns_next_group(struct pid_ns *ns, u32 from, u32 *nr);
