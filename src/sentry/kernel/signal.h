/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: queues, masks, actions, delivery (signal(7)). Frames are built in signal_frame.c. */
#pragma once
#include "abi/signal.h"
#include "base/list.h"
#include "base/object.h"
#include "sentry/sched/sched.h"

struct task;
struct thread_group;
struct process_group;
struct kernel;

/* A queued siginfo. Standard signals queue at most one each; real-time ones up to RLIMIT_SIGPENDING. */
struct pending_signal {
    struct object object;
    struct list link;
    struct linux_siginfo info;
    struct object *timer; /* weak-ish: posix timer to rearm (kernel/timers.c), counted or NULL */
};

struct signal_queue {
    u64 set;          /* bit per pending signal */
    struct list list; /* struct pending_signal.link, in order of arrival */
};

struct task_signals {
    struct signal_queue queue;
    u64 mask;
    u64 saved_mask;       /* to restore after sigsuspend, ppoll, … */
    bool has_saved_mask;
    struct linux_stack altstack;
    u64 wait_set;         /* sigtimedwait: wakes for these though blocked */
    struct wait_queue changed; /* signalfd readers and sigtimedwait */
    bool forced_kill;
};

struct sighand {
    struct object object;
    struct linux_sigaction actions[LINUX_NSIG];
    struct wait_queue signalfd_queue; /* woken at each new signal of the group */
};
extern const struct kind sighand_kind;

struct group_signals {
    struct signal_queue queue;
    u32 stop_signal;      /* != 0: a group stop is on or coming */
    bool is_stopped;      /* all tasks have stopped */
    bool stop_reported;   /* wait4 has told */
    bool is_continued;    /* a SIGCONT that wait4 may tell */
    struct wait_queue continued; /* stopped tasks sleep here */
};

/* The sender's view for permission checks and si_pid/si_uid; NULL: the kernel. */
/* Queue INFO for one task / a process / a process group. 0 or -errno (-EAGAIN: queue limit). No permission check. */
MUST_CHECK int signal_send_task(struct task *task, const struct linux_siginfo *info);
MUST_CHECK int signal_send_group(struct thread_group *group, const struct linux_siginfo *info);
MUST_CHECK int signal_send_pgrp(struct process_group *pgrp, const struct linux_siginfo *info);
/* A siginfo for a kill by SENDER (NULL: from outside, pid 0). */
void signal_info_user(struct linux_siginfo *info, i32 signo, i32 code, const struct task *sender, const struct thread_group *to);
void signal_info_kernel(struct linux_siginfo *info, i32 signo);
/* A fault of the task's own: forced, cannot be blocked or ignored. */
void signal_force(struct task *task, const struct linux_siginfo *info);
/* kill(2)'s permission rule: 0 or -EPERM. */
MUST_CHECK int signal_may_send(const struct task *sender, const struct thread_group *to, i32 signo);
/* Change the blocked mask (KILL and STOP stay open). */
void signal_set_mask(struct task *task, u64 mask);
/* sigsuspend and friends: MASK now, the old one back when the call ends or in the handler's frame. */
void signal_set_temporary_mask(struct task *task, u64 mask);
/* Take a pending signal in SET (and not in the mask if RESPECT_MASK): true and INFO. */
bool signal_take(struct task *task, u64 set, struct linux_siginfo *info);
u64 signal_pending_set(const struct task *task); /* own and group's */
/* For pollers of signalfd: the queue to wait on. */
struct wait_queue *signal_wait_queue(struct task *task);
const char *signal_name(i32 signo);      /* "SIGTERM" */
i32 signal_by_name(const char *name);    /* with or without SIG, any case; numbers too; -1 */
/* Called by the task loop at each boundary: deliver what is deliverable (build frames, stop, die). */
SLEEPS void signal_deliver(struct task *task);
/* rt_sigreturn(2). The result goes into rax as the frame says; a damaged frame is SIGSEGV. */
SLEEPS i64 signal_return(struct task *task);
