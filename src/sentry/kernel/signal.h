/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: queues, masks, actions, delivery (signal(7)). Frames are built in signal_frame.c. */
#pragma once
#include "abi/signal.h"
#include "base/fields.h"
#include "base/list.h"
#include "base/object.h"
#include "sentry/sched/sched.h"

struct task;
struct thread_group;
struct process_group;
struct kernel;

/* A queued siginfo. Standard signals queue at most one each; real-time ones up to
 * RLIMIT_SIGPENDING. */
struct pending_signal {
    struct object object;
    struct list link;
    struct linux_siginfo info;
    struct object *timer; /* weak-ish: posix timer to rearm (kernel/timers.c), counted or NULL */
};

struct signal_queue {
    u64 set;          /* bit per pending signal */
    u32 count;        /* elements of `list` */
    struct list list; /* struct pending_signal.link, in order of arrival */
};

struct task_signals {
    struct signal_queue queue;
    u64 mask;
    u64 saved_mask; /* to restore after sigsuspend, ppoll, … */
    bool has_saved_mask;
    struct linux_stack altstack;
    u64 wait_set;              /* sigtimedwait: wakes for these though blocked */
    struct wait_queue changed; /* signalfd readers and sigtimedwait */
    bool forced_kill;          /* a fault without handler is queued: even an init dies of it */
};

struct sighand {
    struct object object;
    struct linux_sigaction actions[LINUX_NSIG];
    struct wait_queue signalfd_queue; /* woken at each new signal of the group */
};
extern const struct kind sighand_kind;

struct group_signals {
    struct signal_queue queue;
    u32 stop_signal;             /* != 0: a group stop is on or coming */
    bool is_stopped;             /* all tasks have stopped */
    bool stop_reported;          /* wait4 has told */
    bool is_continued;           /* a SIGCONT that wait4 may tell */
    struct wait_queue continued; /* stopped tasks sleep here */
};

/* The sender's view for permission checks and si_pid/si_uid; NULL: the kernel. */
/* Queue INFO for one task / a process / a process group. 0 or -errno (-EAGAIN: queue limit). No
 * permission check. */
MUST_CHECK int signal_send_task(struct task *task, const struct linux_siginfo *info);
MUST_CHECK int signal_send_group(struct thread_group *group, const struct linux_siginfo *info);
MUST_CHECK int signal_send_pgrp(struct process_group *pgrp, const struct linux_siginfo *info);
/* A siginfo for a kill by SENDER (NULL: from outside, pid 0). */
void signal_info_user(struct linux_siginfo *info, i32 signo, i32 code, const struct task *sender,
                      const struct thread_group *to);
void signal_info_kernel(struct linux_siginfo *info, i32 signo);
/* A fault of the task's own: forced, cannot be blocked or ignored. */
void signal_force(struct task *task, const struct linux_siginfo *info);
/* kill(2)'s permission rule: 0 or -EPERM. */
MUST_CHECK int signal_may_send(const struct task *sender, const struct thread_group *to, i32 signo);
/* Change the blocked mask (KILL and STOP stay open). */
void signal_set_mask(struct task *task, u64 mask);
/* sigsuspend and friends: MASK now, the old one back when the call ends or in the handler's frame.
 */
void signal_set_temporary_mask(struct task *task, u64 mask);
/* Take a pending signal in SET (and not in the mask if RESPECT_MASK): true and INFO. */
bool signal_take(struct task *task, u64 set, struct linux_siginfo *info);
u64 signal_pending_set(const struct task *task); /* own and group's */
/* For pollers of signalfd: the queue to wait on. */
struct wait_queue *signal_wait_queue(struct task *task);
const char *signal_name(i32 signo);   /* "SIGTERM" */
i32 signal_by_name(const char *name); /* with or without SIG, any case; numbers too; -1 */
/* Called by the task loop at each boundary: deliver what is deliverable (build frames, stop, die).
 */
SLEEPS void signal_deliver(struct task *task);
/* rt_sigreturn(2). The result goes into rax as the frame says; a damaged frame is SIGSEGV. */
SLEEPS i64 signal_return(struct task *task);

extern const struct kind pending_signal_kind;
extern const struct field task_signals_fields[];
extern const struct field group_signals_fields[];
#define SIGNALS_UNBLOCKABLE (SIGNAL_BIT(LINUX_SIGKILL) | SIGNAL_BIT(LINUX_SIGSTOP))

enum signal_default {
    SIGNAL_DEFAULT_TERMINATE,
    SIGNAL_DEFAULT_CORE,
    SIGNAL_DEFAULT_STOP,
    SIGNAL_DEFAULT_IGNORE,
    SIGNAL_DEFAULT_CONTINUE
};
enum signal_default signal_default_action(i32 signo);
MUST_CHECK int sighand_create(struct kernel *kernel, struct sighand **out);
/* ONLY_IGNORED: as after execve (handlers go, SIG_IGN stays). KEEP none: CLONE_CLEAR_SIGHAND. */
MUST_CHECK int sighand_copy(struct kernel *kernel, const struct sighand *from, bool only_ignored,
                            struct sighand **out);
/* rt_sigaction(2): NEW may be NULL; OLD gets what was. Pending signals that are ignored now are
 * dropped. */
void signal_set_action(struct task *task, i32 signo, const struct linux_sigaction *action,
                       struct linux_sigaction *old);
/* sigaltstack(2)'s rules. SP: the program's stack pointer now. 0, -EPERM, -ENOMEM, -EINVAL. */
MUST_CHECK int signal_set_altstack(struct task *task, const struct linux_stack *stack, u64 sp,
                                   u64 size_min);
/* What sigaltstack(2) and a frame tell of it at stack pointer SP. */
void signal_get_altstack(const struct task *task, u64 sp, struct linux_stack *out);
/* Is a signal pending that would run a handler or end the task? Ignored ones and stops do not
 * count. */
bool signal_will_act(const struct task *task);
/* Is anything deliverable at all? */
bool signal_is_pending(const struct task *task);
/* kill(2) of pid 1 from within its own namespace: KILL and STOP do nothing. */
bool signal_is_absorbed(const struct task *sender, const struct thread_group *to, i32 signo);
/* A queued signal that comes from a posix timer. INFO's overrun is filled when it is taken. */
struct posix_timer;
MUST_CHECK int signal_send_timer(struct task *task, struct thread_group *group,
                                 const struct linux_siginfo *info, struct object *timer);
/* The queues are emptied: the task or process ends. */
void signal_queue_clear(struct signal_queue *queue);
/* Signal to each process that SENDER may see (kill(-1)): how many were reached; the last refusal in
 * *ERR. */
u32 signal_send_all(struct task *sender, const struct linux_siginfo *info, int *err);
/* Somebody who may take the group's pending signals must look. */
void signal_retarget(struct thread_group *group);

/* ---- job control (stop.c) ------------------------------------------------------------------- */
/* A stop signal's default action: all tasks of the group stop at their boundaries. */
void group_stop_begin(struct thread_group *group, i32 signo);
/* SIGCONT or SIGKILL: whoever is stopped goes on. */
void group_stop_end(struct thread_group *group, bool tell_parent);
/* At the boundary: sleep while the group is stopped. */
SLEEPS void task_stop_wait(struct task *task);
/* A task of the group stopped or ended: are all stopped now? */
void group_stop_count(struct thread_group *group);
