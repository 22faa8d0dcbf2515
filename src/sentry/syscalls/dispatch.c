/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a number to its handler and back. The table of handlers is made from table.def at compile
 * time. An -ERESTARTSYS stays in rax with task->in_syscall set: the boundary work in kernel/signal
 * decides between EINTR and making the call again.
 */
#include "sentry/syscalls/syscalls.h"

#include <errno.h>
#include <string.h>

#include "sentry/kernel/seccomp.h"
#include "sentry/syscalls/args.h"

#define COUNT_ARGS_(a, b, c, d, e, f, g, n, ...) n
#define COUNT_ARGS(...) COUNT_ARGS_(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0, 0)
#define ARG_NO_ARGS 0
#define A0() 0
#define A1(a) ARG_##a
#define A2(a, b) ARG_##a, ARG_##b
#define A3(a, b, c) A2(a, b), ARG_##c
#define A4(a, b, c, d) A3(a, b, c), ARG_##d
#define A5(a, b, c, d, e) A4(a, b, c, d), ARG_##e
#define A6(a, b, c, d, e, f) A5(a, b, c, d, e), ARG_##f
#define A_PICK(a, b, c, d, e, f, g, n, ...) n
#define A_LIST(...) A_PICK(_, ##__VA_ARGS__, A6, A5, A4, A3, A2, A1, A0)(__VA_ARGS__)
#define A_COUNT(...) A_PICK(_, ##__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)

static const struct syscall_row rows[SYSCALL_COUNT] = {
#define SYSCALL(nr, call, how, ...) \
    [nr] = {#call, sys_##call, SUPPORT_##how, A_COUNT(__VA_ARGS__), {A_LIST(__VA_ARGS__)}},
#include "sentry/syscalls/table.def"
#undef SYSCALL
};

const struct syscall_row *syscall_find(u64 nr)
{
    if (nr >= SYSCALL_COUNT || !rows[nr].handler)
        return NULL;
    return &rows[nr];
}

/* Clear what an earlier try left: this is a call's first try. */
static void progress_begin(struct task *task)
{
    if (!task->progress.is_restart)
        memset(&task->progress, 0, sizeof task->progress);
}

SLEEPS static void dispatch(struct task *task)
{
    struct regs *regs = &task->context.regs;
    const struct sysargs args = {{regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9}};
    u64 nr = regs->orig_rax;
    const struct syscall_row *row = syscall_find(nr);
    task->in_syscall = true;
    task->kernel->call_count++;
    progress_begin(task);
    if (!row && nr < METRIC_SYSCALLS)
        task->kernel->metrics.unimplemented[nr]++;
    for (struct call_observer *o = task->kernel->call_observers; o; o = o->next)
        if (o->enter)
            o->enter(o, task, nr, row, &args);
    i64 result = nr == ~0ull ? (i64)regs->rax : -ENOSYS; /* a tracer took the call away */
    if (!task->seccomp_mode || seccomp_allows(task, nr, &args, &result))
        result = row ? row->handler(task, &args) : result;
    for (struct call_observer *o = task->kernel->call_observers; o; o = o->next)
        if (o->exit)
            o->exit(o, task, nr, row, &args, result);
    if (result != -ERESTARTSYS)
        memset(&task->progress, 0, sizeof task->progress);
    /* execve and sigreturn leave registers of their own: they clear in_syscall themselves. */
    if (task->in_syscall)
        regs->rax = (u64)result;
    if (result != -ERESTARTSYS)
        task->in_syscall = false;
}

const struct syscall_table syscall_dispatcher = {dispatch};
