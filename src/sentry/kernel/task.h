/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks (threads), thread groups (processes), process groups, sessions, PID namespaces.
 *
 * A task's kernel state is data: `phase` says what its loop is doing, `progress` how far its
 * present call has come. An interrupted call unwinds to its boundary and is made again from
 * `progress`, so no kernel stack is ever saved.
 *
 * Kernel tasks (control connections, loader, reaper) have a fiber, credentials and an fs_context
 * but no address space and no pid: every actor of the sentry is a task.
 */
#pragma once
#include "abi/regs.h"
#include "abi/signal.h"
#include "base/object.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/trace.h"
#include "sentry/kernel/debugreg.h"
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
    PHASE_TRACED,     /* a stop of ptrace(2) */
    PHASE_VFORK_WAIT, /* parent of a vfork until the child execs or exits */
    PHASE_EXEC_WAIT,  /* execve of a multi-threaded process: siblings are being ended */
    PHASE_EXIT,       /* leaving */
    PHASE_ZOMBIE,     /* waits for its parent */
    PHASE_DEAD,
};

/* What is left of a call that must be made again. Cleared when a call returns to the program. */
struct progress {
    u64 bytes;       /* already moved */
    u64 deadline_ns; /* absolute, monotonic; 0: none yet */
    u64 words[4];    /* the handler's own */
    bool has_deadline;
    bool is_restart;      /* this is not the first try */
    bool never_restarts;  /* a handler that runs now makes it end with EINTR, whatever its flags */
    bool always_restarts; /* it is made again after a handler, whatever its flags */
    bool has_mark;        /* the handler's own */
};
extern const struct field progress_fields[];

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
    bool in_syscall;             /* between a call's entry and its end */
    struct list kernel_link;     /* kernel->tasks */
    struct thread_group *group;  /* counted; NULL for kernel tasks */
    struct list group_link;      /* group->tasks */
    struct mm *mm;               /* counted, or NULL */
    struct fd_table *fds;        /* counted */
    struct fs_context *fs;       /* counted */
    struct cred *cred;           /* counted, immutable */
    struct nsproxy *ns;          /* counted, immutable: see namespaces.h */
    struct task_signals signals; /* own queue, mask, altstack */
    u32 tid;                     /* in the task's own pid_ns; pid_ns tables know the others */
    u32 root_tid;                /* in the root pid_ns */
    char comm[COMM_SIZE];
    uaddr clear_child_tid; /* set_tid_address, CLONE_CHILD_CLEARTID */
    uaddr robust_list;
    u64 robust_list_size;
    u64 user_ns_time;          /* time in application code, ns */
    u64 system_ns_time;        /* in the sentry */
    u64 start_ns;              /* monotonic */
    i32 exit_code;             /* wait status of this thread */
    struct task *vfork_parent; /* weak; woken when mm is released */
    i32 nice;
    u32 death_signal; /* PR_SET_PDEATHSIG */
    struct task_sched_attr {
        u32 policy;
        i32 priority;
        u64 affinity;
    } sched_attr;
    struct extra *extra;            /* kernel/'s own rarely used members (counted object or NULL) */
    struct seccomp_filter *seccomp; /* counted: the newest filter, or NULL (kernel/seccomp.h) */
    u32 seccomp_mode;
    struct task_trace trace;  /* ptrace(2) */
    struct task_debug debug;  /* likewise; not inherited, gone with execve(2) */
    struct pid *pid;          /* counted: its numbers in all namespaces; NULL for kernel tasks */
    uaddr set_child_tid;      /* to be written at the first run; 0: none */
    struct task *vfork_child; /* weak: whose exec or exit this task awaits */
    bool is_exiting;          /* exit(2) was called: leaves at the next boundary */
    bool is_parked;           /* at a boundary, sleeping there; a pause need not wait for it */
    bool is_user;             /* in fiber_run_user: time passes on user_ns_time */
    bool is_opening;          /* the name it looks up is opened for reading next (fs/walk.c) */
    u64 account_ns;           /* sched time up to which its time is accounted */
    u64 account_away_ns;      /* fiber.away_ns at that time */
    u64 fault_address;        /* of the last fault: cr2, trapno, err of signal frames */
    u32 fault_trapno, fault_error;
    u32 personality;
    bool is_above_process_limit; /* its user was, when it took that id: execve(2) says EAGAIN */
    u32 io_priority;
    bool has_reset_on_fork;                            /* SCHED_RESET_ON_FORK */
    void (*kernel_main)(struct task *task, void *arg); /* kernel tasks */
    void *kernel_arg;
};

extern const struct kind task_kind;

/* A process. */
struct thread_group {
    struct object object;
    struct kernel *kernel;
    struct list tasks;           /* struct task.group_link */
    struct task *leader;         /* weak */
    u32 task_count;              /* not yet ended ones */
    u32 pid;                     /* tgid in own pid_ns */
    struct pid_ns *pid_ns;       /* counted */
    struct thread_group *parent; /* weak; NULL for a pid namespace's init of the sandbox */
    struct list children;        /* struct thread_group.sibling_link */
    struct list sibling_link;
    struct process_group *pgrp; /* counted */
    struct list pgrp_link;
    struct sighand *sighand;      /* counted: actions, shared by CLONE_SIGHAND */
    struct group_signals signals; /* process-wide queue, stop state */
    struct limits limits;
    struct wait_queue child_changed; /* wait4 sleeps here */
    bool is_exiting;                 /* exit_group or fatal signal */
    i32 exit_code;                   /* wait status */
    u32 exit_signal;                 /* to the parent; SIGCHLD normally */
    bool is_zombie;
    bool is_subreaper;
    bool has_execed;
    struct object *tty; /* counted: controlling terminal of the session, see session */
    char *container_id; /* of the OCI container, inherited; NULL for none */
    u64 children_user_ns, children_system_ns;
    u64 dead_user_ns, dead_system_ns; /* of ended threads */
    struct group_timers
        *timers;              /* counted: itimers, posix timers (kernel/timers.h); NULL: none yet */
    struct task *parent_task; /* weak: the thread that made it: PDEATHSIG, __WNOTHREAD */
    struct task *exec_task;   /* weak: a thread in execve that ends the others */
    struct wait_queue task_gone; /* a thread has ended; exec_task sleeps here */
    bool is_dumpable;            /* PR_SET_DUMPABLE */
    u32 keyring;                 /* number of its session keyring (keyctl(2)); 0: none yet */
    u32 keyring_perm;
    i32 oom_score_adj;
    u32 stop_count;            /* threads that are stopped */
    u64 cpu_limit_next_ns;     /* RLIMIT_CPU: the next SIGXCPU */
    u64 children_resident_max; /* pages, for rusage of children */
    u64 dead_resident_max;     /* pages: the address space's at the end */
    u64 voluntary_switches;
};
extern const struct kind thread_group_kind;

struct process_group {
    struct object object;
    u32 pgid;                /* in its pid_ns */
    struct session *session; /* counted */
    struct list members;     /* struct thread_group.pgrp_link */
    struct pid *pid;         /* counted */
};
extern const struct kind process_group_kind;
struct session {
    struct object object;
    u32 sid;
    struct thread_group *leader; /* weak */
    struct list groups_unused;
    struct pid *pid;    /* counted */
    struct object *tty; /* counted: the controlling terminal (fs/tty.h) or NULL */
    struct pid
        *foreground; /* counted: its terminal's foreground group, which may be gone; or NULL */
};
extern const struct kind session_kind;

/* ---- lifecycle (kernel/) -------------------------------------------------------------------- */

struct task_create_args {
    u64 clone_flags; /* Linux's CLONE_*; 0: a new process, nothing shared */
    u32 exit_signal;
    uaddr stack, tls, parent_tid, child_tid;
    const u32 *set_tids;
    u32 set_tid_count;
};
/* clone(2): a copy of PARENT, ready to run, not yet started; upper rooms' parts (fds, fs, ns) as
 * given by flags are copied through their kinds' fork functions (fd_table_fork etc. are called by
 * syscalls/process.c, which passes the finished parts). PARTS are taken in any case and cleared. */
struct task_parts {
    struct mm *mm; /* each: taken */
    struct fd_table *fds;
    struct fs_context *fs;
    struct nsproxy *ns;
    struct cred *cred;
    struct sighand *sighand;
};
MUST_CHECK int task_clone(struct task *parent, const struct task_create_args *args,
                          struct task_parts *parts, struct task **out);
/* The combinations of flags that clone(2) refuses: 0 or -EINVAL; before the parts are made. */
MUST_CHECK int task_clone_check(const struct task *parent, u64 flags);
void task_parts_put(struct task_parts *parts);
/* A task that was made but could not be started goes; drops the caller's reference. */
void task_discard(struct task *task);
/* The first process of a container: no parent. PARTS as above; comm from NAME. */
MUST_CHECK int task_create_init(struct kernel *kernel, struct pid_ns *pid_ns,
                                struct task_parts *parts, const struct limits *limits,
                                const char *name, struct task **out);
/* An actor of the sentry itself. It runs MAIN(task, arg) and is gone when that returns. */
MUST_CHECK int task_create_kernel(struct kernel *kernel, const char *name,
                                  void (*main)(struct task *, void *), void *arg,
                                  struct task **out);
/* Queue it for its first run. From now on it owns itself; callers keep their reference. */
MUST_CHECK int task_start(struct task *task);
/* The task's way out (exit(2)); WITH_GROUP: exit_group. STATUS is a wait status. The task ends at
 * its next boundary. */
void task_exit(struct task *task, i32 status, bool with_group);
/* What is left of a process that has ended with EXIT_CODE, without tasks: for who asks for its
 * status after a restore. 0 or -ENOMEM. */
MUST_CHECK int thread_group_create_ended(struct kernel *kernel, i32 exit_code,
                                         struct thread_group **out);
/* From outside (DestroySubcontainer, restore failure): like SIGKILL but certain. */
void thread_group_kill(struct thread_group *group, i32 status);
struct task *task_find(struct pid_ns *ns, u32 tid);                 /* lent */
struct thread_group *thread_group_find(struct pid_ns *ns, u32 pid); /* lent */
u32 task_tid_in(const struct task *task, const struct pid_ns *ns);  /* 0: not visible */
u32 thread_group_pid_in(const struct thread_group *group, const struct pid_ns *ns);

/* ---- what every handler uses ---------------------------------------------------------------- */

MUST_CHECK SLEEPS static inline int copy_from_user(struct task *task, void *to, uaddr from,
                                                   u64 size)
{
    return mm_copy_in(task->mm, &task->fiber, to, from, size);
}
MUST_CHECK SLEEPS static inline int copy_to_user(struct task *task, uaddr to, const void *from,
                                                 u64 size)
{
    return mm_copy_out(task->mm, &task->fiber, to, from, size);
}
MUST_CHECK SLEEPS static inline i64 copy_string_from_user(struct task *task, char *to, uaddr from,
                                                          u64 size_max)
{
    return mm_copy_string(task->mm, &task->fiber, to, from, size_max);
}
/* Block on QUEUE: 0 (woken; test again), -ETIMEDOUT, -ERESTARTSYS (unwind). */
MUST_CHECK SLEEPS static inline int sleep_on(struct wait_queue *queue, struct task *task,
                                             u64 deadline_ns)
{
    return fiber_sleep_on(&task->fiber, queue, deadline_ns);
}
/* A deadline TIMEOUT_NS from now, or, if this call is made again, the one of its first try.
 * NO_DEADLINE stays. */
u64 task_deadline(struct task *task, u64 timeout_ns);
/*
 * A call was interrupted after moving BYTES: returns BYTES if a signal is about to be delivered,
 * else (pause, checkpoint, stop) remembers them in progress and returns -ERESTARTSYS. With BYTES ==
 * 0: -ERESTARTSYS. Handlers that move bytes start from task->progress.bytes.
 */
i64 task_interrupted(struct task *task, u64 bytes);
/* For calls that signal(7) says are never restarted after a handler: -EINTR if a signal is about to
 * be delivered, else (pause, checkpoint, stop) -ERESTARTSYS, and the call is made again from its
 * progress. */
i64 task_never_restarts(struct task *task);
/* A bit for each of the kernel's cpus, 64 at most; and those that TASK may run on, never none. */
u64 kernel_cpu_mask(const struct kernel *kernel);
u64 task_affinity(const struct task *task);
bool task_has_capability(const struct task *task, u32 capability);
/* True when a signal is ready to be delivered or the task must unwind for another reason. */
bool task_is_interrupted(const struct task *task);

/* The loop of an application task; kernel/ runs it as the fiber's entry. syscalls/ gives the
 * dispatcher. */
struct syscall_table {
    SLEEPS_OP void (*dispatch)(
        struct task *task); /* orig_rax and registers say what; result into rax */
};

/* ---- the loop (loop.c) ---------------------------------------------------------------------- */

/* Entry of an application task's fiber. */
void task_main(void *arg);
/* The task must look at its boundary: ends interruptible sleeps, kicks it out of application code.
 */
void task_interrupt(struct task *task);
/* Must the task leave at its next boundary? */
bool task_is_dying(const struct task *task);
/* Add the time since the last look to its counters, and see to cpu timers and limits. */
void task_account(struct task *task);
/* User and system time with what is running now. */
void task_times(const struct task *task, u64 *user_ns, u64 *system_ns);
void thread_group_times(const struct thread_group *group, u64 *user_ns, u64 *system_ns);

/* ---- execve (exec.c) ------------------------------------------------------------------------ */

struct task_exec {
    struct mm *mm;     /* taken: the new image, complete */
    struct cred *cred; /* taken: the new credentials, or NULL: unchanged */
    const char *comm;  /* lent */
    bool is_dumpable;
};
/*
 * The point of no return of execve(2), after all that can fail has been done: ends the other
 * threads and waits for them, takes the leader's place and number, private and default signal
 * actions, no alternate stack, no timers, lets a vfork parent go, swaps the address space. The
 * caller then closes CLOEXEC descriptors (they are still shared if CLONE_FILES was: it unshares
 * them before), sets the registers and clears in_syscall. -EAGAIN: the task is being ended itself;
 * -ENOMEM; nothing of it was done then but the other threads may be gone. Takes EXEC's parts in any
 * case.
 */
MUST_CHECK SLEEPS int task_exec_commit(struct task *task, struct task_exec *exec);

/* ---- exit and wait (exit.c, wait.c) --------------------------------------------------------- */

/* Runs in the task's own fiber when its loop has ended; it is a zombie or gone afterwards. */
SLEEPS void task_end(struct task *task);
/* All threads of GROUP leave; STATUS becomes its wait status if none is set. */
void thread_group_exit(struct thread_group *group, i32 status);
/* GROUP is a zombie: its parent hears of it, or it goes at once. */
void thread_group_announce(struct thread_group *group);
/* What wait tells of a zombie. */
void wait_result_of_zombie(const struct task *task, const struct thread_group *group,
                           struct wait_result *out);
/* A zombie's parent has seen it: forget it. Drops references: GROUP may be gone. */
void thread_group_reap(struct thread_group *group);
/* Lets a vfork parent go: the child has another address space or none. */
void task_vfork_done(struct task *task);
void mm_use(struct mm *mm);
/* Takes the reference too; the last user's leaving clears the mappings. */
void mm_unuse(struct mm *mm);

struct wait_request {
    u32 id_type;     /* LINUX_P_ALL, P_PID, P_PGID */
    struct pid *pid; /* lent, kept by the caller: P_PID, P_PGID; NULL there: nobody fits */
    u32 options;     /* LINUX_W* */
};
struct wait_result {
    u32 pid, uid;    /* as the waiter sees them */
    i32 code;        /* CLD_* */
    i32 status;      /* waitid's si_status */
    i32 wait_status; /* wait4's */
    u64 user_ns, system_ns, resident_max;
};
/* wait4(2) and waitid(2): 1 with *OUT, 0 (WNOHANG), -ECHILD, -ERESTARTSYS. */
MUST_CHECK SLEEPS i64 task_wait(struct task *task, const struct wait_request *request,
                                struct wait_result *out);
/* Tell GROUP's parent of a stop or a continuation (CODE is a CLD_*). */
void thread_group_notify_parent(struct thread_group *group, i32 code, i32 status);

/* ---- process groups, sessions (pgrp.c) ------------------------------------------------------ */

MUST_CHECK int session_create(struct thread_group *leader, struct session **out);
/* setsid(2): the new id in the caller's namespace, or -EPERM, -ENOMEM. */
MUST_CHECK i64 thread_group_setsid(struct thread_group *group);
/* setpgid(2) by CALLER on GROUP; PGID 0: its own. */
MUST_CHECK int thread_group_setpgid(struct task *caller, struct thread_group *group, u32 pgid);
/* Joins / leaves; both keep counts right. */
void process_group_join(struct process_group *pgrp, struct thread_group *group);
void process_group_leave(struct thread_group *group);
/* Has no member a parent in another group of the same session? Then stops of terminals are ignored.
 */
bool process_group_is_orphaned(const struct process_group *pgrp);
/* If PGRP is orphaned and has a stopped member, all get HUP and CONT. */
void process_group_check_orphaned(struct process_group *pgrp);
/* GROUP has just become a zombie: has its process group become an orphan by that? */
void process_group_check_orphans(struct thread_group *group);

/* ---- credentials and limits of a task ------------------------------------------------------- */

/* Takes CRED. */
void task_set_cred(struct task *task, struct cred *cred);
/* Tasks whose real user is UID: what RLIMIT_NPROC counts. */
u64 task_count_of_user(const struct kernel *kernel, u32 uid);
/* Has TASK the capability in NS or by owning it? */
bool task_has_capability_in(const struct task *task, const struct user_ns *ns, u32 capability);
/* Copy the limits that memory/ judges to the address space. */
void task_apply_limits(struct task *task);
/* A soft limit of the task's process; infinity for kernel tasks. */
u64 task_limit(const struct task *task, u32 resource);
