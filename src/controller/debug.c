/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver debug: what every cpu and every fiber does. */
#include <errno.h>
#include <stdio.h>

#include "controller/internal.h"

struct stacks_text {
    struct buf *buf;
    int err;
};

static void add_line(void *arg, const char *text)
{
    struct stacks_text *stacks = arg;
    if (!stacks->err)
        stacks->err = buf_printf(stacks->buf, "%s\n", text);
}

static const char *phase_name(enum task_phase phase)
{
    static const char *const names[] = {
        [PHASE_NEW] = "new",          [PHASE_RUN] = "running",
        [PHASE_STOPPED] = "stopped",  [PHASE_VFORK_WAIT] = "waiting for a vfork child",
        [PHASE_EXEC_WAIT] = "execve", [PHASE_EXIT] = "exiting",
        [PHASE_ZOMBIE] = "zombie",    [PHASE_DEAD] = "dead",
    };
    return phase < ARRAY_COUNT(names) ? names[phase] : "?";
}

static const char *fiber_name(const struct fiber *fiber)
{
    static const char *const names[] = {
        [FIBER_NEW] = "not begun",         [FIBER_READY] = "ready",
        [FIBER_RUNNING] = "in the kernel", [FIBER_USER] = "in its own code",
        [FIBER_BLOCKED] = "asleep",        [FIBER_ENDED] = "ended",
    };
    return fiber->state < ARRAY_COUNT(names) ? names[fiber->state] : "?";
}

static void add_task(struct stacks_text *stacks, const struct task *task)
{
    char text[160];
    if (task->is_kernel)
        snprintf(text, sizeof text, "kernel task %llu %.16s: %s",
                 (unsigned long long)task->fiber.id, task->comm, fiber_name(&task->fiber));
    else if (task->in_syscall)
        snprintf(text, sizeof text, "task %u %.16s: %s, %s, system call %llu", task->root_tid,
                 task->comm, phase_name(task->phase), fiber_name(&task->fiber),
                 (unsigned long long)task->context.regs.orig_rax);
    else
        snprintf(text, sizeof text, "task %u %.16s: %s, %s", task->root_tid, task->comm,
                 phase_name(task->phase), fiber_name(&task->fiber));
    add_line(stacks, text);
}

int debug_stacks_text(struct kernel *kernel, struct buf *out)
{
    struct stacks_text stacks = {.buf = out};
    sched_dump(kernel->sched, add_line, &stacks);
    const struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link)
        add_task(&stacks, task);
    return stacks.err;
}

static int stacks(struct rpc_call *call, const void *arg)
{
    AUTO_BUF struct buf text;
    buf_init(&text, call->kernel->arena, 0);
    if (debug_stacks_text(call->kernel, &text))
        return error_set(call->err, ENOMEM, "out of memory");
    json_put_string_size(call->result, (char *)buf_bytes(&text), text.size);
    return 0;
}

const struct rpc_method debug_methods[] = {
    {"debug.Stacks", NULL, stacks},
    {NULL},
};
