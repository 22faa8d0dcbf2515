/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls: one row of table.def each; everything else (dispatch, strace, documentation, the
 * conformance matrix) derives from the row. Handlers have one signature and judge their arguments
 * with the helpers below before anything else.
 *
 * A row: SYSCALL(number, name, SUPPORT, ARGS...) with SUPPORT one of FULL, PARTIAL, REFUSED; ARGS
 * are argument kinds for strace and fuzzing (INT, UINT, HEX, FD, PATH, PTR, BUF_IN, BUF_OUT, SIZE,
 * FLAGS, MODE, SIGNAL, PID, …), at most six. Each family keeps its handlers in one file; sys_NAME
 * is declared by the table.
 */
#pragma once
#include "sentry/kernel/task.h"

typedef i64 syscall_handler(struct task *task, const struct sysargs *args);

static inline u64 arg_u64(const struct sysargs *args, u32 index)
{
    return args->v[index];
}
static inline u32 arg_u32(const struct sysargs *args, u32 index)
{
    return (u32)args->v[index];
}
static inline i32 arg_i32(const struct sysargs *args, u32 index)
{
    return (i32)(u32)args->v[index];
}
static inline i64 arg_i64(const struct sysargs *args, u32 index)
{
    return (i64)args->v[index];
}
static inline i32 arg_fd(const struct sysargs *args, u32 index)
{
    return (i32)(u32)args->v[index];
}
static inline uaddr arg_uaddr(const struct sysargs *args, u32 index)
{
    return uaddr_make(args->v[index]);
}

enum syscall_support { SUPPORT_NONE, SUPPORT_FULL, SUPPORT_PARTIAL, SUPPORT_REFUSED };

struct syscall_row {
    const char *name; /* NULL: no such number */
    syscall_handler *handler;
    enum syscall_support support;
    u8 arg_count;
    u8 args[6]; /* enum arg_kind, see args.h */
};

/* Whoever looks at calls (strace, trace points, the simulator's trace): a chain from
 * kernel->call_observers. */
struct call_observer {
    struct call_observer *next;
    SLEEPS_OP void (*enter)(struct call_observer *self, struct task *task, u64 nr,
                            const struct syscall_row *row, const struct sysargs *args);
    SLEEPS_OP void (*exit)(struct call_observer *self, struct task *task, u64 nr,
                           const struct syscall_row *row, const struct sysargs *args, i64 result);
};

#define SYSCALL_COUNT 470u
/* Lent, NULL for a number that is not served. */
const struct syscall_row *syscall_find(u64 nr);
/* For kernel->syscalls. */
extern const struct syscall_table syscall_dispatcher;

/* One declaration for every row. */
#define SYSCALL(nr, name, support, ...) \
    SLEEPS i64 sys_##name(struct task *task, const struct sysargs *args);
#include "sentry/syscalls/table.def"
#undef SYSCALL

/* seccomp.c: prctl(2)'s PR_SET_SECCOMP. */
SLEEPS i64 seccomp_prctl(struct task *task, u64 mode, uaddr at);
