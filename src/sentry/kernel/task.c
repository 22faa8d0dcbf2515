/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks as objects: fields, birth of kernel tasks, first run, end of the fiber. Every task is held
 * by kernel->tasks until it is reaped, and by its fiber until that has ended.
 */
#include "sentry/kernel/task.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timers.h"

const struct field progress_fields[] = {
    FIELD(struct progress, bytes),
    FIELD(struct progress, deadline_ns),
    FIELD_BYTES(struct progress, words),
    FIELD(struct progress, has_deadline),
    FIELD(struct progress, is_restart),
    FIELD(struct progress, never_restarts),
    FIELD(struct progress, always_restarts),
    FIELD(struct progress, has_mark),
    FIELD_END,
};
FIELDS_COMPLETE(struct progress, progress_fields);

static const struct field context_fields[] = {
    FIELD_BYTES(struct context, regs),
    FIELD_NONE(struct context, xstate, "the task's own"),
    FIELD_NONE(struct context, xstate_changed, "always so after a load"),
    FIELD(struct context, single_step),
    FIELD_NONE(struct context, xstate_cpu, "synced before a save"),
    FIELD_NONE(struct context, xstate_home, "likewise"),
    FIELD_NONE(struct context, id, "a new one"),
    FIELD_END,
};
FIELDS_COMPLETE(struct context, context_fields);

static const struct field sched_attr_fields[] = {
    FIELD(struct task_sched_attr, policy),
    FIELD(struct task_sched_attr, priority),
    FIELD(struct task_sched_attr, affinity),
    FIELD_END,
};
FIELDS_COMPLETE(struct task_sched_attr, sched_attr_fields);

static const struct field task_fields[] = {
    FIELD_NONE(struct task, object, "the walker's own header"),
    FIELD_NONE(struct task, kernel, "the kernel that loads it"),
    FIELD_NONE(struct task, fiber, "a task starts again at its boundary"),
    FIELD_STRUCT(struct task, context, context_fields),
    FIELD_BYTES(struct task, xstate),
    FIELD(struct task, phase),
    FIELD_STRUCT(struct task, progress, progress_fields),
    FIELD(struct task, is_kernel),
    FIELD(struct task, in_syscall),
    FIELD_NONE(struct task, kernel_link, "linked by the walker"),
    FIELD_REF(struct task, group, struct thread_group),
    FIELD_NONE(struct task, group_link, "its group's list"),
    FIELD_REF(struct task, mm, struct mm),
    FIELD_REF(struct task, fds, struct fd_table),
    FIELD_REF(struct task, fs, struct fs_context),
    FIELD_REF(struct task, cred, struct cred),
    FIELD_REF(struct task, ns, struct nsproxy),
    FIELD_STRUCT(struct task, signals, task_signals_fields),
    FIELD(struct task, tid),
    FIELD(struct task, root_tid),
    FIELD_BYTES(struct task, comm),
    FIELD(struct task, clear_child_tid),
    FIELD(struct task, robust_list),
    FIELD(struct task, robust_list_size),
    FIELD(struct task, user_ns_time),
    FIELD(struct task, system_ns_time),
    FIELD(struct task, start_ns),
    FIELD(struct task, exit_code),
    FIELD_WEAK(struct task, vfork_parent, struct task),
    FIELD(struct task, nice),
    FIELD(struct task, death_signal),
    FIELD_STRUCT(struct task, sched_attr, sched_attr_fields),
    FIELD_NONE(struct task, extra, "not used yet"),
    FIELD_REF(struct task, seccomp, struct seccomp_filter),
    FIELD(struct task, seccomp_mode),
    FIELD_STRUCT(struct task, trace, task_trace_fields),
    FIELD_STRUCT(struct task, debug, task_debug_fields),
    FIELD_REF(struct task, pid, struct pid),
    FIELD(struct task, set_child_tid),
    FIELD_WEAK(struct task, vfork_child, struct task),
    FIELD(struct task, is_exiting),
    FIELD_NONE(struct task, is_parked, "found again at the boundary"),
    FIELD_NONE(struct task, is_user, "no task runs during a save"),
    FIELD_NONE(struct task, is_opening, "no task looks up during a save"),
    FIELD_NONE(struct task, account_ns, "counted from the new start"),
    FIELD_NONE(struct task, account_away_ns, "counted from the new start"),
    FIELD(struct task, fault_address),
    FIELD(struct task, fault_trapno),
    FIELD(struct task, fault_error),
    FIELD(struct task, personality),
    FIELD(struct task, is_above_process_limit),
    FIELD(struct task, io_priority),
    FIELD(struct task, has_reset_on_fork),
    FIELD_NONE(struct task, kernel_main, "kernel tasks are not saved"),
    FIELD_NONE(struct task, kernel_arg, "kernel tasks are not saved"),
    FIELD_END,
};
FIELDS_COMPLETE(struct task, task_fields);

static void task_destroy(struct object *object)
{
    struct task *task = container_of(object, struct task, object);
    ASSERT(!list_is_linked(&task->kernel_link) && !list_is_linked(&task->group_link));
    if (task->kernel && task->kernel->platform && task->context.id)
        context_forget(task->kernel->platform, &task->context);
    signal_queue_clear(&task->signals.queue);
    wait_queue_abandon(&task->signals.changed);
    REF_CLEAR(task->mm);
    object_put((struct object *)(void *)task->fds);
    object_put((struct object *)(void *)task->fs);
    REF_CLEAR(task->cred);
    REF_CLEAR(task->ns);
    REF_CLEAR(task->seccomp);
    REF_CLEAR(task->pid);
    REF_CLEAR(task->group);
}

static int task_loaded(struct object *object, struct state_reader *reader)
{
    struct task *task = container_of(object, struct task, object);
    if (task->phase > PHASE_DEAD || !task->group || !task->pid || !task->cred || !task->ns)
        return -EINVAL;
    if (task->phase < PHASE_EXIT && !task->mm)
        return -EINVAL;
    task_bind(task, state_reader_kernel(reader));
    task->comm[COMM_SIZE - 1] = 0;
    task->context.regs.cs = REGS_CS_USER;
    task->context.regs.ss = REGS_SS_USER;
    return xstate_sanitize(&task->xstate) ? 0 : -EINVAL;
}

const struct kind task_kind = {.name = "task",
                               .size = sizeof(struct task),
                               .fields = task_fields,
                               .destroy = task_destroy,
                               .loaded = task_loaded};

void task_bind(struct task *task, struct kernel *kernel)
{
    task->kernel = kernel;
    task->context.xstate = &task->xstate;
    task->context.xstate_changed = true;
    task->context.id = kernel->context_next_id++;
}

void task_list_add(struct task *task)
{
    object_get_(&task->object);
    list_add_tail(&task->kernel->tasks, &task->kernel_link);
    task->kernel->task_count++;
}

void task_list_remove(struct task *task)
{
    ASSERT(list_is_linked(&task->kernel_link));
    list_remove(&task->kernel_link);
    task->kernel->task_count--;
    object_put(&task->object);
}

u64 kernel_cpu_mask(const struct kernel *kernel)
{
    u32 count = MIN(sched_cpu_count(kernel->sched), 64u);
    return count == 64 ? UINT64_MAX : ((u64)1 << count) - 1;
}

u64 task_affinity(const struct task *task)
{
    u64 all = kernel_cpu_mask(task->kernel), mask = task->sched_attr.affinity & all;
    return mask ? mask : all;
}

void task_set_comm(struct task *task, const char *name)
{
    memset(task->comm, 0, sizeof task->comm);
    strncpy(task->comm, name, sizeof task->comm - 1);
}

int task_create_kernel(struct kernel *kernel, const char *name, void (*main)(struct task *, void *),
                       void *arg, struct task **out)
{
    AUTO_PUT struct task *task = object_create(kernel->arena, &task_kind);
    if (!task)
        return -ENOMEM;
    int err = cred_create_root(kernel->arena, &task->cred);
    if (!err)
        err = nsproxy_create(kernel, &task->ns);
    if (err)
        return err;
    task->kernel = kernel;
    task->is_kernel = true;
    task->kernel_main = main;
    task->kernel_arg = arg;
    task->start_ns = kernel_monotonic_ns(kernel);
    task_set_comm(task, name);
    task_list_add(task);
    *out = MOVE(task);
    return 0;
}

/* ---- fibers --------------------------------------------------------------------------------- */

/* On the cpu's own stack: nothing of the fiber is in use any more. */
static void task_fiber_ended(struct fiber *fiber)
{
    struct task *task = container_of(fiber, struct task, fiber);
    if (task->is_kernel)
        task_list_remove(task);
    object_put(&task->object); /* the fiber's */
}

SLEEPS_ROOT static void kernel_task_main(void *arg)
{
    struct task *task = arg;
    task->phase = PHASE_RUN;
    task->kernel_main(task, task->kernel_arg);
    task->phase = PHASE_DEAD;
}

int task_start(struct task *task)
{
    ASSERT(task->fiber.state == FIBER_NEW);
    ASSERT(task->phase < PHASE_ZOMBIE);
    int err = fiber_start(&task->fiber, task->kernel->sched, task->comm,
                          task->is_kernel ? kernel_task_main : task_main, task, task_fiber_ended);
    if (err)
        return err;
    task->account_ns = sched_now_ns(task->kernel->sched);
    object_get_(&task->object); /* the fiber's */
    return 0;
}

/* ---- calls that wait ------------------------------------------------------------------------ */

u64 task_deadline(struct task *task, u64 timeout_ns)
{
    struct progress *progress = &task->progress;
    if (timeout_ns == NO_DEADLINE)
        return NO_DEADLINE;
    if (!progress->has_deadline) {
        u64 now = kernel_monotonic_ns(task->kernel);
        progress->deadline_ns = timeout_ns < NO_DEADLINE - now ? now + timeout_ns : NO_DEADLINE;
        progress->has_deadline = true;
    }
    return kernel_deadline_to_sched(task->kernel, progress->deadline_ns);
}

i64 task_interrupted(struct task *task, u64 bytes)
{
    if (bytes == 0)
        return -ERESTARTSYS;
    if (signal_will_act(task) && !task->trace.tracer) /* a tracer may yet take it away */
        return (i64)bytes;
    task->progress.bytes = bytes;
    return -ERESTARTSYS;
}

i64 task_never_restarts(struct task *task)
{
    if (task->is_kernel || (signal_will_act(task) && !task->trace.tracer))
        return -EINTR;
    task->progress.never_restarts = true;
    return -ERESTARTSYS;
}
