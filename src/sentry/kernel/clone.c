/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Births: threads and processes by clone(2), the first process of a container. All that can fail is
 * done before the new task is seen by anyone.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/process.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timers.h"

/* ---- thread groups as objects --------------------------------------------------------------- */

static const struct field thread_group_fields[] = {
    FIELD_NONE(struct thread_group, object, "the walker's own header"),
    FIELD_NONE(struct thread_group, kernel, "the kernel that loads it"),
    FIELD_LIST(struct thread_group, tasks, struct task, group_link, false),
    FIELD_WEAK(struct thread_group, leader, struct task),
    FIELD(struct thread_group, task_count),
    FIELD(struct thread_group, pid),
    FIELD_REF(struct thread_group, pid_ns, struct pid_ns),
    FIELD_WEAK(struct thread_group, parent, struct thread_group),
    FIELD_LIST(struct thread_group, children, struct thread_group, sibling_link, false),
    FIELD_NONE(struct thread_group, sibling_link, "its parent's list"),
    FIELD_REF(struct thread_group, pgrp, struct process_group),
    FIELD_NONE(struct thread_group, pgrp_link, "its process group's list"),
    FIELD_REF(struct thread_group, sighand, struct sighand),
    FIELD_STRUCT(struct thread_group, signals, group_signals_fields),
    FIELD_BYTES(struct thread_group, limits),
    FIELD_NONE(struct thread_group, child_changed, "a sleeper starts its system call again"),
    FIELD(struct thread_group, is_exiting),
    FIELD(struct thread_group, exit_code),
    FIELD(struct thread_group, exit_signal),
    FIELD(struct thread_group, is_zombie),
    FIELD(struct thread_group, is_subreaper),
    FIELD(struct thread_group, has_execed),
    FIELD_REF(struct thread_group, tty, struct tty),
    FIELD_STRING(struct thread_group, container_id),
    FIELD(struct thread_group, children_user_ns),
    FIELD(struct thread_group, children_system_ns),
    FIELD(struct thread_group, dead_user_ns),
    FIELD(struct thread_group, dead_system_ns),
    FIELD_REF(struct thread_group, timers, struct group_timers),
    FIELD_WEAK(struct thread_group, parent_task, struct task),
    FIELD_NONE(struct thread_group, exec_task, "an execve is in a call, so never in an image"),
    FIELD_NONE(struct thread_group, task_gone, "only execve sleeps on it"),
    FIELD(struct thread_group, is_dumpable),
    FIELD(struct thread_group, keyring),
    FIELD(struct thread_group, keyring_perm),
    FIELD(struct thread_group, oom_score_adj),
    FIELD_NONE(struct thread_group, stop_count, "counted again at the boundaries"),
    FIELD(struct thread_group, cpu_limit_next_ns),
    FIELD(struct thread_group, children_resident_max),
    FIELD(struct thread_group, dead_resident_max),
    FIELD(struct thread_group, voluntary_switches),
    FIELD_END,
};
FIELDS_COMPLETE(struct thread_group, thread_group_fields);

static void thread_group_destroy(struct object *object)
{
    struct thread_group *group = container_of(object, struct thread_group, object);
    ASSERT(!list_is_linked(&group->tasks));
    ASSERT(!list_is_linked(&group->children));
    ASSERT(!list_is_linked(&group->sibling_link));
    process_group_leave(group);
    wait_queue_abandon(&group->child_changed);
    signal_queue_clear(&group->signals.queue);
    if (group->timers) {
        group_timers_end(group);
        REF_CLEAR(group->timers);
    }
    object_put(group->tty);
    arena_free_string(object->arena, group->container_id);
    REF_CLEAR(group->sighand);
    REF_CLEAR(group->pid_ns);
}

static int thread_group_loaded(struct object *object, struct state_reader *reader)
{
    struct thread_group *group = container_of(object, struct thread_group, object);
    group->kernel = state_reader_kernel(reader);
    return group->leader && group->pid_ns && group->sighand &&
                   group->signals.stop_signal <= LINUX_NSIG
               ? 0
               : -EINVAL;
}

const struct kind thread_group_kind = {.name = "thread_group",
                                       .size = sizeof(struct thread_group),
                                       .fields = thread_group_fields,
                                       .destroy = thread_group_destroy,
                                       .loaded = thread_group_loaded};

/* ---- flags ---------------------------------------------------------------------------------- */

#define NAMESPACE_FLAGS                                                                  \
    (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWUSER | \
     LINUX_CLONE_NEWPID | LINUX_CLONE_NEWNET | LINUX_CLONE_NEWCGROUP)

int task_clone_check(const struct task *parent, u64 flags)
{
    if (flags & LINUX_CLONE_SIGHAND && !(flags & LINUX_CLONE_VM))
        return -EINVAL;
    if (flags & LINUX_CLONE_THREAD && !(flags & LINUX_CLONE_SIGHAND))
        return -EINVAL;
    if (flags & LINUX_CLONE_FS && flags & (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUSER))
        return -EINVAL;
    if (flags & LINUX_CLONE_SYSVSEM && flags & LINUX_CLONE_NEWIPC)
        return -EINVAL;
    if (flags & LINUX_CLONE_THREAD && flags & (LINUX_CLONE_NEWUSER | LINUX_CLONE_NEWPID))
        return -EINVAL;
    if (flags & LINUX_CLONE_THREAD && parent->ns->pid_ns != parent->pid->ns)
        return -EINVAL;
    if (flags & LINUX_CLONE_PARENT && thread_group_is_init(parent->group))
        return -EINVAL;
    if (flags & LINUX_CLONE_PIDFD && flags & (LINUX_CLONE_DETACHED | LINUX_CLONE_THREAD))
        return -EINVAL;
    if (flags & LINUX_CLONE_SIGHAND && flags & LINUX_CLONE_CLEAR_SIGHAND)
        return -EINVAL;
    return 0;
}

u64 task_count_of_user(const struct kernel *kernel, u32 uid)
{
    u64 count = 0;
    const struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link)
        count += !task->is_kernel && task->cred->uid == uid;
    return count;
}

/* RLIMIT_NPROC counts the tasks of the real user. */
static bool may_have_one_more(const struct task *parent)
{
    u64 limit = task_limit(parent, RLIMIT_NPROC_);
    if (limit == RLIM_INFINITY_ || parent->cred->uid == 0 ||
        task_has_capability(parent, CAP_SYS_RESOURCE) || task_has_capability(parent, CAP_SYS_ADMIN))
        return true;
    return task_count_of_user(parent->kernel, parent->cred->uid) < limit;
}

/* ---- parts ---------------------------------------------------------------------------------- */

void task_parts_put(struct task_parts *parts)
{
    REF_PUT(parts->mm);
    object_put((struct object *)(void *)parts->fds);
    object_put((struct object *)(void *)parts->fs);
    REF_PUT(parts->ns);
    REF_PUT(parts->cred);
    REF_PUT(parts->sighand);
    *parts = (struct task_parts){0};
}

void mm_use(struct mm *mm)
{
    mm->user_count++;
}

void mm_unuse(struct mm *mm)
{
    ASSERT(mm->user_count > 0);
    if (--mm->user_count == 0)
        mm_clear(mm);
    REF_PUT(mm);
}

/* ---- making a task -------------------------------------------------------------------------- */

struct birth {
    struct kernel *kernel;
    struct task *parent; /* NULL: first process of a container */
    const struct task_create_args *args;
    struct task_parts *parts;
    struct pid_ns *pid_ns;
    bool is_thread;
};

static int group_create(const struct birth *birth, struct thread_group **out)
{
    struct kernel *kernel = birth->kernel;
    AUTO_PUT struct thread_group *group = object_create(kernel->arena, &thread_group_kind);
    if (!group)
        return -ENOMEM;
    group->kernel = kernel;
    list_init(&group->tasks);
    list_init(&group->children);
    group->pid_ns = REF_GET(birth->pid_ns);
    group->is_dumpable = true;
    group->exit_signal = LINUX_SIGCHLD;
    const struct thread_group *from = birth->parent ? birth->parent->group : NULL;
    if (from && from->container_id) {
        group->container_id = arena_strdup(kernel->arena, from->container_id);
        if (!group->container_id)
            return -ENOMEM;
    }
    if (from) {
        group->limits = from->limits;
        group->is_dumpable = from->is_dumpable;
        group->oom_score_adj = from->oom_score_adj;
        group->keyring = from->keyring;
        group->keyring_perm = from->keyring_perm;
    }
    *out = MOVE(group);
    return 0;
}

int thread_group_create_ended(struct kernel *kernel, i32 exit_code, struct thread_group **out)
{
    const struct birth birth = {.kernel = kernel, .pid_ns = kernel->root_pid_ns};
    int err = group_create(&birth, out);
    if (err)
        return err;
    (*out)->is_zombie = true;
    (*out)->exit_code = exit_code;
    return 0;
}

static void take_parts(struct task *task, struct task_parts *parts)
{
    task->mm = MOVE(parts->mm);
    task->fds = MOVE(parts->fds);
    task->fs = MOVE(parts->fs);
    task->ns = MOVE(parts->ns);
    task->cred = MOVE(parts->cred);
}

/* From here on nothing fails: numbers, lists, parents. */
static void publish(const struct birth *birth, struct task *task, struct pid *pid,
                    struct thread_group *group)
{
    struct kernel *kernel = birth->kernel;
    task->group = group;
    task->pid = pid;
    pid_use(pid);
    pid->task = task;
    task->tid = pid_nr(pid);
    task->root_tid = pid->nrs[0];
    list_add_tail(&group->tasks, &task->group_link);
    group->task_count++;
    task_list_add(task);
    if (task->mm)
        mm_use(task->mm);
    if (birth->is_thread)
        return;
    group->leader = task;
    group->pid = task->tid;
    group->sighand = MOVE(birth->parts->sighand);
    if (task->tid == 1 && !group->pid_ns->init)
        group->pid_ns->init = group;
    (void)kernel;
}

static int make_task(const struct birth *birth, struct task **out)
{
    struct kernel *kernel = birth->kernel;
    AUTO_PUT struct task *task = object_create(kernel->arena, &task_kind);
    if (!task)
        return -ENOMEM;
    AUTO_PUT struct thread_group *group = NULL;
    int err = 0;
    if (birth->is_thread)
        group = REF_GET(birth->parent->group);
    else
        err = group_create(birth, &group);
    if (err)
        return err;
    struct pid *pid;
    const struct task_create_args *args = birth->args;
    err = pid_alloc(birth->pid_ns, args ? args->set_tids : NULL, args ? args->set_tid_count : 0,
                    &pid);
    if (err)
        return err;
    task_bind(task, kernel);
    xstate_init(&task->xstate);
    task->start_ns = kernel_monotonic_ns(kernel);
    take_parts(task, birth->parts);
    publish(birth, task, pid, MOVE(group));
    *out = MOVE(task);
    return 0;
}

/* ---- clone(2) ------------------------------------------------------------------------------- */

static void inherit_registers(struct task *task, struct task *parent,
                              const struct task_create_args *args)
{
    if (parent->kernel->platform)
        context_sync(&parent->context);
    task->context.regs = parent->context.regs;
    task->xstate = parent->xstate;
    struct regs *regs = &task->context.regs;
    regs->rax = 0;
    regs->orig_rax = ~0ull;
    if (args->stack.value)
        regs->rsp = args->stack.value;
    if (args->clone_flags & LINUX_CLONE_SETTLS)
        regs->fs_base = args->tls.value;
}

static void inherit_attributes(struct task *task, const struct task *parent,
                               const struct task_create_args *args)
{
    u64 flags = args->clone_flags;
    memcpy(task->comm, parent->comm, sizeof task->comm);
    task->signals.mask = parent->signals.has_saved_mask ? parent->signals.saved_mask
                                                        : parent->signals.mask;
    if (!(flags & LINUX_CLONE_VM) || flags & LINUX_CLONE_VFORK)
        task->signals.altstack = parent->signals.altstack;
    task->nice = parent->nice;
    task->sched_attr = parent->sched_attr;
    task->personality = parent->personality;
    task->io_priority = parent->io_priority;
    task->seccomp = REF_GET(parent->seccomp);
    task->seccomp_mode = parent->seccomp_mode;
    if (parent->has_reset_on_fork) {
        task->sched_attr.policy = LINUX_SCHED_OTHER;
        task->sched_attr.priority = 0;
        task->nice = MAX(task->nice, 0);
    }
    if (flags & LINUX_CLONE_CHILD_SETTID)
        task->set_child_tid = args->child_tid;
    if (flags & LINUX_CLONE_CHILD_CLEARTID)
        task->clear_child_tid = args->child_tid;
}

static void join_family(struct thread_group *group, struct task *parent,
                        const struct task_create_args *args)
{
    struct thread_group *mother = parent->group;
    group->exit_signal = args->exit_signal;
    group->parent_task = parent;
    if (args->clone_flags & LINUX_CLONE_PARENT) {
        group->exit_signal = mother->exit_signal;
        group->parent_task = mother->parent_task;
        mother = mother->parent;
    }
    group->parent = mother;
    if (mother)
        list_add_tail(&mother->children, &group->sibling_link);
    process_group_join(parent->group->pgrp, group);
}

int task_clone(struct task *parent, const struct task_create_args *args, struct task_parts *parts,
               struct task **out)
{
    u64 flags = args->clone_flags;
    struct birth birth = {.kernel = parent->kernel, .parent = parent, .args = args, .parts = parts};
    birth.is_thread = flags & LINUX_CLONE_THREAD;
    birth.pid_ns = birth.is_thread ? parent->pid->ns : parts->ns->pid_ns;
    int err = task_clone_check(parent, flags);
    if (!err && task_is_dying(parent))
        err = -ERESTARTSYS;
    if (!err && (!may_have_one_more(parent) ||
                 !control_group_allows_task(parent->kernel, parent->group->container_id)))
        err = -EAGAIN;
    struct task *task;
    if (!err)
        err = make_task(&birth, &task);
    if (err) {
        task_parts_put(parts);
        return err;
    }
    inherit_registers(task, parent, args);
    inherit_attributes(task, parent, args);
    if (!birth.is_thread)
        join_family(task->group, parent, args);
    if (flags & LINUX_CLONE_VFORK) {
        task->vfork_parent = parent;
        parent->vfork_child = task;
    }
    task_parts_put(parts); /* a thread's sighand is its group's */
    trace_clone(parent, task, flags, birth.is_thread ? 0 : args->exit_signal);
    kernel_task_event(parent, "clone", task->tid);
    struct task_observer *observer = parent->kernel->task_observer;
    if (observer)
        observer->cloned(observer, parent, task, flags);
    *out = task;
    return 0;
}

/* ---- the first process of a container ------------------------------------------------------- */

static int init_family(struct task *task, const struct limits *limits)
{
    struct thread_group *group = task->group;
    group->limits = *limits;
    struct session *session;
    int err = session_create(group, &session);
    if (err)
        return err;
    REF_PUT(session); /* its process group holds it */
    return 0;
}

int task_create_init(struct kernel *kernel, struct pid_ns *pid_ns, struct task_parts *parts,
                     const struct limits *limits, const char *name, struct task **out)
{
    struct birth birth = {.kernel = kernel, .parts = parts, .pid_ns = pid_ns};
    struct task *task = NULL;
    int err = 0;
    if (!parts->sighand)
        err = sighand_create(kernel, &parts->sighand);
    if (!err && !parts->ns)
        err = nsproxy_create(kernel, &parts->ns);
    if (!err && !parts->cred)
        err = cred_create_root(kernel->arena, &parts->cred);
    if (!err)
        err = make_task(&birth, &task);
    task_parts_put(parts);
    if (err)
        return err;
    task_set_comm(task, name);
    task->context.regs.cs = REGS_CS_USER;
    task->context.regs.ss = REGS_SS_USER;
    task->context.regs.eflags = EFLAGS_IF | 2u;
    task->context.regs.orig_rax = ~0ull;
    task->sched_attr.affinity = UINT64_MAX;
    err = init_family(task, limits);
    if (err) {
        task_discard(task);
        return err;
    }
    task_apply_limits(task);
    *out = task;
    return 0;
}
