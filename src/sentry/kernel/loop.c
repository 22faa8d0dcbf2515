/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of an application task: run application code until an event, serve it, do the boundary's
 * work. A task that rests (paused, stopped, waiting for a vfork child) rests here and nowhere else.
 * A call that had to unwind without a handler is made again from here: the program does not notice.
 */
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timers.h"

#define VSYSCALL_ADDRESS 0xffffffffff600000ull
#define TRAP_PAGE_FAULT 14u

/* ---- who must look -------------------------------------------------------------------------- */

void task_interrupt(struct task *task)
{
    fiber_interrupt(&task->fiber);
}

bool task_is_dying(const struct task *task)
{
    const struct thread_group *group = task->group;
    if (!group)
        return false;
    return task->is_exiting || group->is_exiting || (group->exec_task && group->exec_task != task);
}

bool task_is_interrupted(const struct task *task)
{
    if (task->is_kernel)
        return false;
    return task_is_dying(task) || task->group->signals.stop_signal || signal_is_pending(task) ||
           kernel_is_paused_for(task->kernel, task);
}

/* ---- time ----------------------------------------------------------------------------------- */

static u64 time_since_look(const struct task *task)
{
    const struct fiber *fiber = &task->fiber;
    if (fiber->state == FIBER_NEW || fiber->state == FIBER_ENDED)
        return 0;
    u64 now = sched_now_ns(task->kernel->sched);
    u64 away = fiber->away_ns + (fiber->away_since_ns ? now - fiber->away_since_ns : 0);
    u64 passed = now - task->account_ns;
    u64 slept = away - task->account_away_ns;
    return passed > slept ? passed - slept : 0;
}

void task_account(struct task *task)
{
    u64 spent = time_since_look(task);
    const struct fiber *fiber = &task->fiber;
    u64 now = sched_now_ns(task->kernel->sched);
    task->account_ns = now;
    task->account_away_ns = fiber->away_ns +
                            (fiber->away_since_ns ? now - fiber->away_since_ns : 0);
    if (task->is_user)
        task->user_ns_time += spent;
    else
        task->system_ns_time += spent;
}

void task_times(const struct task *task, u64 *user_ns, u64 *system_ns)
{
    u64 spent = time_since_look(task);
    *user_ns = task->user_ns_time + (task->is_user ? spent : 0);
    *system_ns = task->system_ns_time + (task->is_user ? 0 : spent);
}

void thread_group_times(const struct thread_group *group, u64 *user_ns, u64 *system_ns)
{
    *user_ns = group->dead_user_ns;
    *system_ns = group->dead_system_ns;
    const struct task *task;
    list_for_each (task, &group->tasks, group_link) {
        if (task->phase >= PHASE_ZOMBIE)
            continue; /* counted among the dead */
        u64 user, system;
        task_times(task, &user, &system);
        *user_ns += user;
        *system_ns += system;
    }
}

/* ---- the boundary --------------------------------------------------------------------------- */

SLEEPS void task_rest(struct task *task, struct wait_queue *queue)
{
    task->is_parked = true;
    wake_up_all(&task->kernel->parked);
    fiber_clear_interrupt(&task->fiber);
    (void)!sleep_on(queue, task, NO_DEADLINE);
    task->is_parked = false;
}

SLEEPS static void wait_for_vfork_child(struct task *task)
{
    task->phase = PHASE_VFORK_WAIT;
    while (task->vfork_child && !task_is_dying(task))
        task_rest(task, &task->signals.changed);
    task->phase = PHASE_RUN;
}

SLEEPS static void stop_if_wanted(struct task *task)
{
    if (!task->group->signals.stop_signal) {
        task->trace.ignores_stop = false;
        return;
    }
    if (task_is_dying(task) || task->trace.stop || trace_group_stop(task))
        return;
    task_stop_wait(task);
    fiber_interrupt(&task->fiber);
}

/* All that must be done before application code may run (again). The task may be dying afterwards.
 */
SLEEPS static void task_boundary(struct task *task)
{
    struct kernel *kernel = task->kernel;
    do {
        fiber_clear_interrupt(&task->fiber);
        if (kernel_is_paused_for(kernel, task)) {
            task_rest(task, &kernel->resumed);
            fiber_interrupt(&task->fiber); /* look at everything once more */
            continue;
        }
        if (task_is_dying(task))
            return;
        if (task->trace.stop) {
            trace_rest(task);
            fiber_interrupt(&task->fiber);
            continue;
        }
        if (task->trace.call_waits)
            return; /* it was entered: nothing comes between */
        if (task->vfork_child) {
            wait_for_vfork_child(task);
            trace_vfork_done(task);
            fiber_interrupt(&task->fiber);
            continue;
        }
        signal_deliver(task);
        stop_if_wanted(task);
    } while (task->fiber.is_interrupted || task_is_dying(task));
}

/* ---- events --------------------------------------------------------------------------------- */

SLEEPS static void dispatch_call(struct task *task)
{
    task->trace.call_waits = false;
    task->kernel->syscalls->dispatch(task);
    trace_call_exit(task);
    if (!task->in_syscall) /* one that has unwound costs when it is over: a checkpoint costs nothing
                            */
        sched_charge_call(task->kernel->sched);
}

static void fault_signal(struct task *task, const struct event *event, i32 signo, i32 code)
{
    struct linux_siginfo info;
    memset(&info, 0, sizeof info);
    info.signo = signo;
    info.code = code;
    info.fault.address = event->address;
    log_debug(
        task->kernel->log, "kernel",
        "task %u (%s): a fault of its own: signal %d code %d at 0x%llx, access %u, rip 0x%llx",
        task->root_tid, task->comm, signo, code, (unsigned long long)event->address, event->access,
        (unsigned long long)task->context.regs.rip);
    task->fault_trapno = event->trapno;
    task->fault_error = event->error_code;
    if (event->type == EVENT_FAULT || event->trapno == TRAP_PAGE_FAULT)
        task->fault_address = event->address;
    signal_force(task, &info);
}

/* The vsyscall page is not there; calls into it are served as system calls and returned from. */
SLEEPS static bool serve_vsyscall(struct task *task, u64 address)
{
    static const u64 numbers[] = {96 /* gettimeofday */, 201 /* time */, 309 /* getcpu */};
    struct regs *regs = &task->context.regs;
    u64 index = (address - VSYSCALL_ADDRESS) / 1024;
    if (address < VSYSCALL_ADDRESS || address % 1024 || index >= ARRAY_COUNT(numbers) ||
        regs->rip != address)
        return false;
    u64 return_address;
    if (copy_from_user(task, &return_address, uaddr_make(regs->rsp), sizeof return_address))
        return false;
    regs->orig_rax = numbers[index];
    task->kernel->metrics.weirdness[WEIRDNESS_VSYSCALL]++;
    dispatch_call(task);
    regs->rip = return_address;
    regs->rsp += sizeof return_address;
    return true;
}

SLEEPS static void serve_fault(struct task *task, const struct event *event)
{
    if (event->address >= VSYSCALL_ADDRESS && serve_vsyscall(task, event->address))
        return;
    i32 signo = 0, code = 0;
    int err = mm_fault(task->mm, &task->fiber, event->address, event->access, &signo, &code);
    if (err == 0 || err == -ERESTARTSYS)
        return;
    if (signo == 0 || signo == LINUX_SIGKILL)
        thread_group_exit(task->group, LINUX_SIGKILL); /* no memory left for its page */
    else
        fault_signal(task, event, signo, code);
}

SLEEPS static void serve_event(struct task *task, const struct event *event)
{
    switch (event->type) {
    case EVENT_SYSCALL:
        if (!trace_call_enter(task))
            dispatch_call(task);
        break;
    case EVENT_FAULT:
        serve_fault(task, event);
        break;
    case EVENT_EXCEPTION:
        if (event->address < VSYSCALL_ADDRESS || !serve_vsyscall(task, event->address))
            fault_signal(task, event, event->signo, event->code);
        break;
    case EVENT_KICK:
        break;
    case EVENT_GONE:
        log_warn(task->kernel->log, "kernel", "task %u (%s): the platform lost its address space",
                 task->root_tid, task->comm);
        thread_group_exit(task->group, LINUX_SIGKILL);
        break;
    }
}

SLEEPS static void run_application(struct task *task)
{
    struct event event;
    struct debug_look look;
    bool is_watched = task_debug_is_on(&task->debug);
    if (is_watched && !task_debug_begin(task, &look))
        return;
    mm_commit(task->mm);
    task_account(task);
    cpu_timers_arm(task);
    task->is_user = true;
    fiber_run_user(&task->fiber, task->mm->space, &task->context, &event);
    task_account(task);
    task->is_user = false;
    cpu_timers_check(task->group);
    if (!is_watched || !task_debug_end(task, &look, &event))
        serve_event(task, &event);
}

/* The first steps of a new task, or of one that was restored before it made them. */
SLEEPS static void first_run(struct task *task)
{
    uaddr at = task->set_child_tid;
    task->set_child_tid = uaddr_make(0);
    if (at.value)
        (void)!copy_to_user(task, at, &task->tid, sizeof task->tid);
    task->phase = PHASE_RUN;
}

/* The tracer has seen the call's entry; PTRACE_SYSEMU's calls are its own affair. */
SLEEPS static void serve_entered_call(struct task *task)
{
    u32 resume = task->trace.resume;
    task->trace.call_waits = false;
    if (!task->trace.tracer || (resume != TRACE_EMULATE && resume != TRACE_EMULATE_STEP))
        dispatch_call(task);
}

/* It had to unwind and no handler ran: again, from where it had come. */
SLEEPS static void restart_call(struct task *task)
{
    task->progress.is_restart = true;
    task->context.regs.rax = (u64)-ENOSYS;
    if (task->trace.is_passed_seccomp || !trace_call_enter(task))
        dispatch_call(task);
}

SLEEPS_ROOT void task_main(void *arg)
{
    struct task *task = arg;
    if (task->phase == PHASE_NEW)
        first_run(task);
    for (;;) {
        task_boundary(task);
        if (task_is_dying(task))
            break;
        if (task->trace.call_waits) {
            serve_entered_call(task);
            continue;
        }
        if (task->in_syscall) {
            restart_call(task);
            continue;
        }
        if (fiber_should_yield(&task->fiber))
            fiber_yield(&task->fiber);
        run_application(task);
    }
    task_end(task);
}
