/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks (threads), thread groups (processes), process groups, sessions, PID namespaces.
 *
 * A task's kernel state is data: `phase` says what its loop is doing, `progress` how far its present
 * call has come. An interrupted call unwinds to its boundary and is made again from `progress`, so no
 * kernel stack is ever saved.
 *
 * Kernel tasks (control connections, loader, reaper) have a fiber, credentials and an fs_context but
 * no address space and no pid: every actor of the sentry is a task.
 */
#pragma once
#include "abi/regs.h"
#include "abi/signal.h"
#include "base/object.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/signal.h"
#include "sentry/memory/mm.h"
#include "sentry/sched/sched.h"

struct fd_table;   /* fs/fd.h; starts with a struct object */
struct fs_context; /* fs/path.h: root, cwd, umask; starts with a struct object */
struct mount_ns;
struct net_ns;
struct tty;

#define PID_MAX 65536u
#define COMM_SIZE 16

enum task_phase {
    PHASE_NEW,        /* created, first run to come */
    PHASE_RUN,        /* application code or a system call */
    PHASE_STOPPED,    /* job control or group stop */
    PHASE_VFORK_WAIT, /* parent of a vfork until the child execs or exits */
    PHASE_EXEC_WAIT,  /* execve of a multi-threaded process: siblings are being ended */
    PHASE_EXIT,       /* leaving */
    PHASE_ZOMBIE,     /* waits for its parent */
    PHASE_DEAD,
};

/* What is left of a call that must be made again. Cleared when a call returns to the program. */
struct progress {
    u64 bytes;        /* already moved */
    u64 deadline_ns;  /* absolute, monotonic; 0: none yet */
    u64 words[4];     /* the handler's own */
    bool has_deadline;
    bool is_restart;  /* this is not the first try */
};

struct sysargs {
    u64 v[6];
};

struct task {
    struct object object;
    struct kernel *kernel;
    struct fiber fiber;
    struct context context;
    struct xstate xstate;
    enum task_phase phase;
    struct progress progress;
    bool is_kernel;
    bool in_syscall;           /* between a call's entry and its end */
    struct list kernel_link;   /* kernel->tasks */
    struct thread_group *group;/* counted; NULL for kernel tasks */
    struct list group_link;    /* group->tasks */
    struct mm *mm;             /* counted, or NULL */
    struct fd_table *fds;      /* counted */
    struct fs_context *fs;     /* counted */
    struct cred *cred;         /* counted, immutable */
    struct nsproxy *ns;        /* counted, immutable: see namespaces.h */
    struct task_signals signals; /* own queue, mask, altstack */
    u32 tid;                   /* in the task's own pid_ns; pid_ns tables know the others */
    u32 root_tid;              /* in the root pid_ns */
    char comm[COMM_SIZE];
    uaddr clear_child_tid;     /* set_tid_address, CLONE_CHILD_CLEARTID */
    uaddr robust_list;
    u64 robust_list_size;
    u64 user_ns_time;          /* time in application code, ns */
    u64 system_ns_time;        /* in the sentry */
    u64 start_ns;              /* monotonic */
    i32 exit_code;             /* wait status of this thread */
    struct task *vfork_parent; /* weak; woken when mm is released */
    i32 nice;
    u32 death_signal;          /* PR_SET_PDEATHSIG */
    struct task_sched_attr {
        u32 policy;
        i32 priority;
        u64 affinity;
    } sched_attr;
    struct extra *extra;       /* kernel/'s own rarely used members (counted object or NULL) */
    void (*kernel_main)(struct task *task, void *arg); /* kernel tasks */
    void *kernel_arg;
};

extern const struct kind task_kind;

/* A process. */
struct thread_group {
    struct object object;
    struct kernel *kernel;
    struct list tasks;          /* struct task.group_link */
    struct task *leader;        /* weak */
    u32 task_count;             /* not yet ended ones */
    u32 pid;                    /* tgid in own pid_ns */
    struct pid_ns *pid_ns;      /* counted */
    struct thread_group *parent;/* weak; NULL for a pid namespace's init of the sandbox */
    struct list children;       /* struct thread_group.sibling_link */
    struct list sibling_link;
    struct process_group *pgrp; /* counted */
    struct list pgrp_link;
    struct sighand *sighand;    /* counted: actions, shared by CLONE_SIGHAND */
    struct group_signals signals; /* process-wide queue, stop state */
    struct limits limits;
    struct wait_queue child_changed; /* wait4 sleeps here */
    bool is_exiting;            /* exit_group or fatal signal */
    i32 exit_code;              /* wait status */
    u32 exit_signal;            /* to the parent; SIGCHLD normally */
    bool is_zombie;
    bool is_subreaper;
    bool has_execed;
    struct object *tty;         /* counted: controlling terminal of the session, see session */
    char *container_id;         /* of the OCI container, inherited; NULL for none */
    u64 children_user_ns, children_system_ns;
    u64 dead_user_ns, dead_system_ns; /* of ended threads */
    struct group_timers *timers;/* itimers, posix timers (kernel/timers.c) */
};
extern const struct kind thread_group_kind;

struct process_group {
    struct object object;
    u32 pgid;                 /* in its pid_ns */
    struct session *session;  /* counted */
    struct list members;      /* struct thread_group.pgrp_link */
};
struct session {
    struct object object;
    u32 sid;
    struct thread_group *leader; /* weak */
    struct list groups_unused;
    struct object *tty;          /* counted: the controlling terminal (fs/tty.h) or NULL */
    struct process_group *foreground; /* counted, or NULL */
};

/* ---- lifecycle (kernel/) ------------------------------------------------------------------------------ */

struct task_create_args {
    u64 clone_flags;          /* Linux's CLONE_*; 0: a new process, nothing shared */
    u32 exit_signal;
    uaddr stack, tls, parent_tid, child_tid;
    const u32 *set_tids;
    u32 set_tid_count;
};
/* clone(2): a copy of PARENT, ready to run, not yet started; upper rooms' parts (fds, fs, ns) as given
 * by flags are copied through their kinds' fork functions (fd_table_fork etc. are called by
 * syscalls/process.c, which passes the finished parts). */
struct task_parts {
    struct mm *mm;            /* each: taken */
    struct fd_table *fds;
    struct fs_context *fs;
    struct nsproxy *ns;
    struct cred *cred;
    struct sighand *sighand;
};
MUST_CHECK int task_clone(struct task *parent, const struct task_create_args *args, struct task_parts *parts, struct task **out);
/* The first process of a container: no parent. PARTS as above; comm from NAME. */
MUST_CHECK int task_create_init(struct kernel *kernel, struct pid_ns *pid_ns, struct task_parts *parts,
                                const struct limits *limits, const char *name, struct task **out);
/* An actor of the sentry itself. It runs MAIN(task, arg) and is gone when that returns. */
MUST_CHECK int task_create_kernel(struct kernel *kernel, const char *name, void (*main)(struct task *, void *),
                                  void *arg, struct task **out);
/* Queue it for its first run. From now on it owns itself; callers keep their reference. */
MUST_CHECK int task_start(struct task *task);
/* The task's way out (exit(2)); WITH_GROUP: exit_group. STATUS is a wait status. The task ends at its next boundary. */
void task_exit(struct task *task, i32 status, bool with_group);
/* From outside (DestroySubcontainer, restore failure): like SIGKILL but certain. */
void thread_group_kill(struct thread_group *group, i32 status);
struct task *task_find(struct pid_ns *ns, u32 tid);                  /* lent */
struct thread_group *thread_group_find(struct pid_ns *ns, u32 pid);  /* lent */
u32 task_tid_in(const struct task *task, const struct pid_ns *ns);   /* 0: not visible */
u32 thread_group_pid_in(const struct thread_group *group, const struct pid_ns *ns);

/* ---- what every handler uses ------------------------------------------------------------------------------- */

MUST_CHECK SLEEPS static inline int copy_from_user(struct task *task, void *to, uaddr from, u64 size)
{
    return mm_copy_in(task->mm, &task->fiber, to, from, size);
}
MUST_CHECK SLEEPS static inline int copy_to_user(struct task *task, uaddr to, const void *from, u64 size)
{
    return mm_copy_out(task->mm, &task->fiber, to, from, size);
}
MUST_CHECK SLEEPS static inline i64 copy_string_from_user(struct task *task, char *to, uaddr from, u64 size_max)
{
    return mm_copy_string(task->mm, &task->fiber, to, from, size_max);
}
/* Block on QUEUE: 0 (woken; test again), -ETIMEDOUT, -ERESTARTSYS (unwind). */
MUST_CHECK SLEEPS static inline int sleep_on(struct wait_queue *queue, struct task *task, u64 deadline_ns)
{
    return fiber_sleep_on(&task->fiber, queue, deadline_ns);
}
/* A deadline TIMEOUT_NS from now, or, if this call is made again, the one of its first try. NO_DEADLINE stays. */
u64 task_deadline(struct task *task, u64 timeout_ns);
/*
 * A call was interrupted after moving BYTES: returns BYTES if a signal is about to be delivered, else
 * (pause, checkpoint, stop) remembers them in progress and returns -ERESTARTSYS. With BYTES == 0: -ERESTARTSYS.
 * Handlers that move bytes start from task->progress.bytes.
 */
i64 task_interrupted(struct task *task, u64 bytes);
/* For calls that signal(7) says are never restarted after a handler: -EINTR if a signal is about to be delivered, else
 * (pause, checkpoint, stop) -ERESTARTSYS, and the call is made again from its progress. */
i64 task_never_restarts(struct task *task);
bool task_has_capability(const struct task *task, u32 capability);
/* True when a signal is ready to be delivered or the task must unwind for another reason. */
bool task_is_interrupted(const struct task *task);

/* The loop of an application task; kernel/ runs it as the fiber's entry. syscalls/ gives the dispatcher. */
struct syscall_table {
    SLEEPS_OP void (*dispatch)(struct task *task); /* orig_rax and registers say what; result into rax */
};
