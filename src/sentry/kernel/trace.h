/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptrace(2)'s part of a task: who traces it, what it stands in, how it goes on. A stop is wanted by
 * setting it (trace_stop) and made at the boundary, so a stopped task can be saved like any other.
 */
#pragma once
#include "abi/signal.h"
#include "base/fields.h"
#include "base/list.h"
#include "sentry/sched/sched.h"

struct task;
struct wait_request;
struct wait_result;

#define TRACE_O_SYSGOOD 1u
#define TRACE_O_FORK 2u
#define TRACE_O_VFORK 4u
#define TRACE_O_CLONE 8u
#define TRACE_O_EXEC 0x10u
#define TRACE_O_VFORKDONE 0x20u
#define TRACE_O_EXIT 0x40u
#define TRACE_O_SECCOMP 0x80u
#define TRACE_O_EXITKILL 0x100000u
#define TRACE_O_ALL 0x1000ffu
#define TRACE_EVENT_FORK 1
#define TRACE_EVENT_VFORK 2
#define TRACE_EVENT_CLONE 3
#define TRACE_EVENT_EXEC 4
#define TRACE_EVENT_VFORK_DONE 5
#define TRACE_EVENT_EXIT 6
#define TRACE_EVENT_SECCOMP 7
#define TRACE_EVENT_STOP 128

enum trace_stop {
    TRACE_NONE,
    TRACE_SIGNAL,     /* before a signal is delivered: `info` */
    TRACE_GROUP,      /* the group is stopped */
    TRACE_CALL_ENTER, /* before a system call is served: `call_waits` */
    TRACE_CALL_EXIT,
    TRACE_EVENT,     /* `message` */
    TRACE_INTERRUPT, /* PTRACE_INTERRUPT, and the birth of a child of a seized task */
};

enum trace_resume { TRACE_CONT, TRACE_CALLS, TRACE_STEP, TRACE_EMULATE, TRACE_EMULATE_STEP };

struct task_trace {
    struct task *tracer; /* weak; NULL: nobody */
    struct list link;    /* tracer's `tracees` */
    struct list tracees; /* struct task.trace.link, weak */
    u32 options;         /* TRACE_O_* */
    bool is_seized;
    bool is_announced;      /* the tracer has been told of the stop */
    bool is_reported;       /* its wait has seen it */
    bool is_listening;      /* PTRACE_LISTEN: a group stop that SIGCONT ends */
    bool call_waits;        /* a system call that was entered is to be served */
    bool exit_due;          /* a call's exit stop comes after an event's */
    bool ignores_stop;      /* was sent on out of a group stop */
    bool is_passed_seccomp; /* the tracer let the call through */
    u32 stop;               /* enum trace_stop */
    u32 stopped_in;         /* what it was sent on from */
    u32 resume;             /* enum trace_resume */
    i32 code;               /* of the stop, as wait tells it: signal, event << 8 */
    i32 resume_signal;
    u64 message;
    struct linux_siginfo info;
};
extern const struct field task_trace_fields[];

static inline bool trace_is_on(const struct task_trace *trace)
{
    return trace->tracer != NULL;
}

/* ---- tracees (in their own fibers) ------------------------------------------------------------------- */

/* The next boundary is a stop. */
void trace_stop(struct task *task, enum trace_stop stop, i32 code, u64 message);
/* At the boundary: rest in the stop that is wanted, then do what the tracer said. */
SLEEPS void trace_rest(struct task *task);
/* A system call was entered: true when it must wait for its stop. */
bool trace_call_enter(struct task *task);
void trace_call_exit(struct task *task);
/* A signal was taken for delivery: true when the tracer is asked first. */
bool trace_signal(struct task *task, const struct linux_siginfo *info);
/* The group stops: true when the tracer is told in place of a plain stop. */
bool trace_group_stop(struct task *task);
/* PARENT made CHILD by clone(2) with FLAGS. */
void trace_clone(struct task *parent, struct task *child, u64 flags, u32 exit_signal);
/* A filter asks the tracer: true when the call is made again after its stop. */
bool trace_seccomp(struct task *task, u32 data);
/* LEADER's process is a zombie that its tracer must see first. */
void trace_zombie(struct task *leader);
void trace_vfork_done(struct task *task);
void trace_exec(struct task *task, u32 old_tid);
SLEEPS void trace_exit(struct task *task);
/* TASK has ended: its tracees are free, and it is no tracee any more unless its tracer must see it
 * end. */
void trace_task_gone(struct task *task);

/* ---- tracers ------------------------------------------------------------------------------------------------ */

/* 0 or -EPERM. The task is TRACER's from now on. */
MUST_CHECK int trace_attach(struct task *tracer, struct task *task, u32 options, bool is_seized);
/* Sends it on and lets it go. SIGNO: to be delivered. */
void trace_detach(struct task *task, i32 signo);
void trace_continue(struct task *task, enum trace_resume resume, i32 signo);
/* PTRACE_INTERRUPT. */
void trace_interrupt(struct task *task);
/* Does it stand in a stop? */
bool trace_is_stopped(const struct task *task);
/* ptrace(2), "Ptrace access mode checking": 0 or -EPERM. */
MUST_CHECK int trace_may_access(const struct task *task, const struct task *target);
/* wait(2) by a tracer: 1 with news, 0 with tracees that fit but no news, -ECHILD. */
int trace_look(struct task *task, const struct wait_request *request, struct wait_result *out);
