/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sandbox's operating system: birth and end, the program's clocks, entropy, deferred work,
 * pause. A pause brings every application task to its boundary; there is no other way to stop one.
 */
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"

#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/task.h"

#define INODE_NR_FIRST 0xeffffff8u /* where Linux numbers its namespaces */
#define QUIET_STEPS_MAX 1000000u

/* ---- deferred work -------------------------------------------------------------------------- */

SLEEPS static void reap_one(struct reap_item *item, struct task *reaper)
{
    item->run(item, reaper);
}

SLEEPS_ROOT static void reaper_main(struct task *task, void *arg)
{
    struct kernel *kernel = task->kernel;
    (void)arg;
    for (;;) {
        while (!list_is_empty(&kernel->reap_list)) {
            struct reap_item *item = list_first(&kernel->reap_list, struct reap_item, link);
            list_remove(&item->link);
            reap_one(item, task);
        }
        if (kernel->is_stopping)
            return;
        (void)!sleep_on(&kernel->reap_queue, task, NO_DEADLINE);
    }
}

void kernel_defer(struct kernel *kernel, struct reap_item *item)
{
    list_add_tail(&kernel->reap_list, &item->link);
    wake_up_all(&kernel->reap_queue);
}

void wait_queue_abandon(struct wait_queue *queue)
{
    while (!wait_queue_is_empty(queue))
        wait_queue_remove(list_first(&queue->waiters, struct waiter, link));
}

/* ---- birth and end -------------------------------------------------------------------------- */

static int create_namespaces(struct kernel *kernel)
{
    int err = user_ns_create(kernel, NULL, NULL, &kernel->root_user_ns);
    if (!err)
        err = pid_ns_create(kernel, NULL, kernel->root_user_ns, &kernel->root_pid_ns);
    if (!err)
        err = uts_ns_create(kernel, kernel->root_user_ns, NULL, &kernel->root_uts_ns);
    if (!err)
        err = ipc_ns_create(kernel, kernel->root_user_ns, &kernel->root_ipc_ns);
    if (!err)
        uts_ns_set_hostname(kernel->root_uts_ns,
                            kernel->config.hostname ? kernel->config.hostname : "picket");
    return err;
}

static int kernel_init(struct kernel *kernel, struct machine_memory *memfile, u32 cpu_count)
{
    int err = sched_create(kernel->arena, kernel->host, kernel->platform, cpu_count,
                           &kernel->sched);
    if (err)
        return err;
    u64 frames_max = kernel->config.memory_max ? kernel->config.memory_max >> PAGE_SHIFT
                     : memfile                 ? memfile->frame_count
                                               : 0;
    if (memfile)
        err = memory_create(kernel->arena, memfile, frames_max, &kernel->memory);
    if (!err)
        err = create_namespaces(kernel);
    if (!err)
        err = futex_table_create(kernel, &kernel->futexes);
    if (!err)
        err = task_create_kernel(kernel, "reaper", reaper_main, NULL, &kernel->reaper);
    if (!err)
        err = task_start(kernel->reaper);
    return err;
}

static void kernel_fini(struct kernel *kernel)
{
    control_groups_fini(kernel);
    REF_CLEAR(kernel->root_ipc_ns);
    REF_CLEAR(kernel->root_uts_ns);
    REF_CLEAR(kernel->root_pid_ns);
    REF_CLEAR(kernel->root_user_ns);
    if (kernel->futexes)
        futex_table_destroy(kernel->futexes);
    if (kernel->memory)
        memory_destroy(kernel->memory);
    if (kernel->sched)
        sched_destroy(kernel->sched);
    arena_free(kernel->arena, kernel, sizeof *kernel);
}

/* A birth that failed half-way: the reaper, if it is there, never ran. */
static void kernel_abort(struct kernel *kernel)
{
    if (kernel->reaper) {
        list_remove(&kernel->reaper->kernel_link);
        kernel->task_count--;
        object_put(&kernel->reaper->object); /* the list's */
        REF_CLEAR(kernel->reaper);
    }
    kernel_fini(kernel);
}

int kernel_create(struct arena *arena, struct host *host, struct platform *platform,
                  struct machine_memory *memfile, u32 cpu_count, struct log *log,
                  const struct kernel_config *config, struct kernel **out)
{
    struct kernel *kernel = arena_alloc(arena, sizeof *kernel);
    if (!kernel)
        return -ENOMEM;
    kernel->arena = arena;
    kernel->host = host;
    kernel->platform = platform;
    kernel->log = log;
    kernel->config = *config;
    kernel->context_next_id = 1;
    kernel->inode_next_nr = INODE_NR_FIRST;
    rand_init(&kernel->rand, config->seed, "kernel");
    list_init(&kernel->tasks);
    list_init(&kernel->control_groups);
    list_init(&kernel->reap_list);
    kernel->boot_monotonic_ns = host_monotonic_ns(host);
    int err = kernel_init(kernel, memfile, cpu_count);
    if (err) {
        kernel_abort(kernel);
        return err;
    }
    *out = kernel;
    return 0;
}

void kernel_stop(struct kernel *kernel)
{
    kernel->is_stopping = true;
    wake_up_all(&kernel->reap_queue);
}

void kernel_destroy(struct kernel *kernel)
{
    kernel_stop(kernel);
    if (host_is_simulated(kernel->host)) {
        bool is_quiet = sched_run_until_quiet(kernel->sched, QUIET_STEPS_MAX);
        ASSERT(is_quiet);
    }
    ASSERT(list_is_empty(&kernel->reap_list));
    REF_CLEAR(kernel->reaper);
    ASSERT(list_is_empty(&kernel->tasks) && kernel->task_count == 0);
    kernel_fini(kernel);
}

/* ---- clocks, entropy ------------------------------------------------------------------------ */

u64 kernel_monotonic_ns(struct kernel *kernel)
{
    return sched_now_ns(kernel->sched) + (u64)kernel->monotonic_offset_ns;
}

u64 kernel_realtime_ns(struct kernel *kernel)
{
    return sched_realtime_ns(kernel->sched);
}

u64 kernel_deadline_to_sched(struct kernel *kernel, u64 monotonic_ns)
{
    if (monotonic_ns == NO_DEADLINE)
        return NO_DEADLINE;
    i64 offset = kernel->monotonic_offset_ns;
    if (offset > 0 && monotonic_ns < (u64)offset)
        return 0;
    return monotonic_ns - (u64)offset;
}

u64 kernel_deadline_from_sched(struct kernel *kernel, u64 sched_ns)
{
    if (sched_ns == NO_DEADLINE)
        return NO_DEADLINE;
    return sched_ns + (u64)kernel->monotonic_offset_ns;
}

void kernel_entropy(struct kernel *kernel, void *out, size_t size)
{
    if (host_entropy(kernel->host, out, size) == 0)
        return;
    if (!kernel->has_entropy_failed)
        log_warn(kernel->log, "kernel",
                 "the host gave no entropy; programs get seeded random numbers instead");
    kernel->has_entropy_failed = true;
    rand_fill(&kernel->rand, out, size);
}

/* ---- pause ---------------------------------------------------------------------------------- */

bool kernel_is_paused_for(const struct kernel *kernel, const struct task *task)
{
    if (kernel->is_frozen)
        return true;
    return kernel->pause_count > 0 && !task_is_dying(task);
}

/* Does a pause have to wait for TASK? */
static bool is_at_rest(const struct task *task)
{
    return task->is_kernel || task->is_parked || task->fiber.state == FIBER_NEW ||
           task->phase >= PHASE_ZOMBIE;
}

static bool all_are_at_rest(const struct kernel *kernel, const struct task *by)
{
    struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link)
        if (task != by && !is_at_rest(task))
            return false;
    return true;
}

SLEEPS void kernel_pause(struct kernel *kernel, struct task *by)
{
    kernel->pause_count++;
    struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link)
        if (task != by && !is_at_rest(task))
            task_interrupt(task);
    while (!all_are_at_rest(kernel, by))
        fiber_sleep_on_hard(&by->fiber, &kernel->parked);
    list_for_each (task, &kernel->tasks, kernel_link) {
        if (task->is_kernel || task->phase >= PHASE_ZOMBIE)
            continue;
        task_account(task); /* an image keeps what is accounted */
        if (kernel->platform)
            context_sync(&task->context);
    }
}

int kernel_resume(struct kernel *kernel)
{
    if (kernel->pause_count == 0)
        return -EINVAL;
    if (--kernel->pause_count == 0)
        wake_up_all(&kernel->resumed);
    return 0;
}
