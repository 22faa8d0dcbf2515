/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of kernel/ that need no program: numbers, namespaces, credentials, limits, names,
 * deferred work, and births that run out of memory. What programs see is tested in syscalls/.
 */
#include "sentry/kernel/kernel.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "host/sim/sim.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timers.h"

#define FRAMES 256

static struct host *host;
static struct arena *arena;
static struct machine_memory memfile;
static struct kernel *kernel;

static void begin(void)
{
    const struct sim_config sim = {.seed = 1};
    const struct kernel_config config = {.seed = 1, .hostname = "box"};
    host = host_sim_create(&sim);
    arena = host_arena_create(host, 0);
    CU_ASSERT_FATAL(arena && machine_memory_create("test", FRAMES, &memfile) == 0);
    CU_ASSERT_FATAL(kernel_create(arena, host, NULL, &memfile, 1, NULL, &config, &kernel) == 0);
}

static void end(void)
{
    CU_ASSERT_PTR_NULL(kernel_check(kernel));
    kernel_destroy(kernel);
    CU_ASSERT_EQUAL(arena->object_count, 0);
    machine_memory_destroy(&memfile);
    host_arena_destroy(host, arena);
    host_put(host);
}

static struct task *make_process(struct pid_ns *ns)
{
    struct task_parts parts = {0};
    struct limits limits;
    struct task *task;
    limits_init(&limits);
    CU_ASSERT_FATAL(
        task_create_init(kernel, ns, &parts, &limits, "a-long-name-of-a-program", &task) == 0);
    return task;
}

/* ---- numbers --------------------------------------------------------------------------------------------- */

static void test_numbers_go_round_and_stay_taken(void)
{
    begin();
    struct task *first = make_process(kernel->root_pid_ns);
    CU_ASSERT_EQUAL(first->tid, 1);
    CU_ASSERT_PTR_EQUAL(kernel->root_pid_ns->init, first->group);
    CU_ASSERT_STRING_EQUAL(first->comm, "a-long-name-of-");
    kernel->root_pid_ns->last_nr = PID_MAX - 2;
    struct task *last = make_process(kernel->root_pid_ns);
    struct task *wrapped = make_process(kernel->root_pid_ns);
    CU_ASSERT_EQUAL(last->tid, PID_MAX - 1);
    CU_ASSERT_EQUAL(wrapped->tid, PID_RESERVED);
    struct pid *pid = REF_GET(wrapped->pid);
    struct process_group *pgrp = REF_GET(wrapped->group->pgrp);
    task_discard(wrapped);
    CU_ASSERT_PTR_NULL(task_find(kernel->root_pid_ns, PID_RESERVED));
    CU_ASSERT_PTR_EQUAL(process_group_find(kernel->root_pid_ns, PID_RESERVED), pgrp);
    CU_ASSERT_PTR_EQUAL(pid_find(kernel->root_pid_ns, PID_RESERVED),
                        pid); /* the group keeps the number */
    REF_PUT(pgrp);
    CU_ASSERT_PTR_NULL(pid_find(kernel->root_pid_ns, PID_RESERVED));
    REF_PUT(pid);
    task_discard(last);
    task_discard(first);
    end();
}

static void test_numbers_in_nested_namespaces(void)
{
    begin();
    struct pid_ns *inner, *deep;
    struct task *outside = make_process(kernel->root_pid_ns);
    CU_ASSERT_FATAL(pid_ns_create(kernel, kernel->root_pid_ns, kernel->root_user_ns, &inner) == 0);
    CU_ASSERT_FATAL(pid_ns_create(kernel, inner, kernel->root_user_ns, &deep) == 0);
    struct task *task = make_process(deep);
    CU_ASSERT_EQUAL(task->tid, 1);
    CU_ASSERT_EQUAL(task->root_tid, 2);
    CU_ASSERT_EQUAL(task_tid_in(task, inner), 1);
    CU_ASSERT_EQUAL(task_tid_in(outside, inner), 0);
    CU_ASSERT_PTR_EQUAL(task_find(inner, 1), task);
    CU_ASSERT_PTR_EQUAL(thread_group_find(kernel->root_pid_ns, 2), task->group);
    u32 nr;
    CU_ASSERT_PTR_EQUAL(pid_ns_next_group(kernel->root_pid_ns, 2, &nr), task->group);
    CU_ASSERT_PTR_NULL(pid_ns_next_group(kernel->root_pid_ns, 3, &nr));
    const u32 wanted[] = {7, 70, 700, 7000};
    struct pid *pid;
    CU_ASSERT_EQUAL(pid_alloc(deep, wanted, 4, &pid), -EINVAL); /* deeper than the namespace */
    CU_ASSERT_EQUAL(pid_alloc(deep, wanted, 3, &pid), 0);
    CU_ASSERT_EQUAL(pid_nr_in(pid, kernel->root_pid_ns), 700);
    struct pid *again;
    CU_ASSERT_EQUAL(pid_alloc(inner, wanted + 1, 1, &again), -EEXIST);
    pid_use(pid);
    pid_unuse(pid);
    REF_PUT(pid);
    task_discard(task);
    task_discard(outside);
    REF_PUT(deep);
    REF_PUT(inner);
    end();
}

/* ---- user namespaces ------------------------------------------------------------------------------------------ */

static void test_maps_of_user_namespaces(void)
{
    begin();
    struct task *task = make_process(kernel->root_pid_ns);
    struct user_ns *ns, *below;
    CU_ASSERT_FATAL(user_ns_create(kernel, kernel->root_user_ns, task->cred, &ns) == 0);
    const struct id_extent extents[] = {{0, 100000, 1000}, {5000, 7, 1}};
    const struct id_extent clash[] = {{0, 100000, 1000}, {999, 7, 1}};
    CU_ASSERT_EQUAL(user_ns_uid_in(ns, 0), ID_INVALID);
    CU_ASSERT_EQUAL(user_ns_uid_shown(ns, 0), ID_OVERFLOW);
    CU_ASSERT_EQUAL(user_ns_set_map(ns, false, clash, 2, task), -EINVAL);
    CU_ASSERT_EQUAL(user_ns_set_map(ns, false, extents, 0, task), -EINVAL);
    CU_ASSERT_EQUAL(user_ns_set_map(ns, false, extents, 2, task), 0);
    CU_ASSERT_EQUAL(user_ns_set_map(ns, false, extents, 2, task), -EPERM); /* once */
    CU_ASSERT_EQUAL(user_ns_uid_in(ns, 999), 100999);
    CU_ASSERT_EQUAL(user_ns_uid_in(ns, 1000), ID_INVALID);
    CU_ASSERT_EQUAL(user_ns_uid_in(ns, 5000), 7);
    CU_ASSERT_EQUAL(user_ns_uid_out(ns, 100500), 500);
    CU_ASSERT_EQUAL(user_ns_gid_out(ns, 100500), ID_INVALID); /* its own map */
    CU_ASSERT_EQUAL(user_ns_uid_in(NULL, 5), 5);
    CU_ASSERT_EQUAL(user_ns_create(kernel, ns, task->cred, &below), -EPERM); /* 0 is unknown */
    CU_ASSERT_EQUAL(user_ns_set_map(ns, true, extents, 1, task), 0);
    struct cred *owner;
    CU_ASSERT_FATAL(cred_copy(task->cred, &owner) == 0);
    owner->euid = owner->egid = 100000;
    CU_ASSERT_FATAL(user_ns_create(kernel, ns, owner, &below) == 0);
    REF_PUT(owner);
    const struct id_extent inner[] = {{0, 10, 5}}; /* ids of the parent */
    CU_ASSERT_EQUAL(user_ns_set_map(below, false, inner, 1, task), 0);
    CU_ASSERT_EQUAL(user_ns_uid_in(below, 2), 100012);
    CU_ASSERT(user_ns_is_within(below, ns) && !user_ns_is_within(ns, below) &&
              user_ns_is_within(ns, NULL));
    CU_ASSERT(cred_has_cap_in(task->cred, below, CAP_SYS_ADMIN)); /* root above has it */
    struct cred *inside;
    CU_ASSERT_FATAL(cred_copy(task->cred, &inside) == 0);
    cred_enter_user_ns(inside, ns);
    CU_ASSERT(cred_has_cap_in(inside, ns, CAP_SETUID) &&
              !cred_has_cap_in(inside, NULL, CAP_SETUID));
    REF_PUT(inside);
    REF_PUT(below);
    REF_PUT(ns);
    task_discard(task);
    end();
}

/* ---- credentials, limits, names ---------------------------------------------------------------------------------- */

static void test_groups_and_capabilities(void)
{
    begin();
    struct cred *cred, *changed;
    const u32 groups[] = {30, 10, 20};
    CU_ASSERT_FATAL(cred_create_root(arena, &cred) == 0);
    CU_ASSERT_EQUAL(cred_set_groups(cred, groups, 3), 0);
    CU_ASSERT(cred_has_group(cred, 0) && cred_has_group(cred, 10) && cred_has_group(cred, 30));
    CU_ASSERT(!cred_has_group(cred, 15));
    CU_ASSERT_EQUAL(cred->groups[0], 10); /* sorted */
    CU_ASSERT_FATAL(cred_copy(cred, &changed) == 0);
    changed->uid = changed->euid = changed->suid = 1000;
    cred_fix_caps_after_setuid(changed, cred);
    CU_ASSERT(changed->cap_permitted == 0 && changed->cap_effective == 0 &&
              changed->cap_bounding == CAP_ALL);
    CU_ASSERT(cred_has_cap(cred, CAP_KILL));
    REF_PUT(changed);
    CU_ASSERT_FATAL(cred_copy(cred, &changed) == 0);
    changed->euid = 1000; /* the effective ones go, and come back */
    cred_fix_caps_after_setuid(changed, cred);
    CU_ASSERT(changed->cap_permitted == CAP_ALL && changed->cap_effective == 0);
    REF_PUT(changed);
    REF_PUT(cred);
    end();
}

static void test_names(void)
{
    static const struct {
        const char *name;
        i32 signo;
    } cases[] = {{"SIGTERM", 15},  {"term", 15},     {"9", 9},      {"KILL", 9},
                 {"SIGRTMIN", 34}, {"rtmin+2", 36},  {"RTMAX", 64}, {"RTMAX-1", 63},
                 {"64", 64},       {"65", -1},       {"0", -1},     {"", -1},
                 {"SIG", -1},      {"RTMIN+99", -1}, {"CLD", 17},   {"SIGPOLL", 29},
                 {"TERMX", -1},    {"-1", -1}};
    for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
        if (signal_by_name(cases[i].name) != cases[i].signo)
            printf("\n  %s: %d", cases[i].name, signal_by_name(cases[i].name));
        CU_ASSERT_EQUAL(signal_by_name(cases[i].name), cases[i].signo);
    }
    CU_ASSERT_STRING_EQUAL(signal_name(LINUX_SIGKILL), "SIGKILL");
    CU_ASSERT_STRING_EQUAL(signal_name(65), "SIG?");
    CU_ASSERT_EQUAL(limit_by_name("RLIMIT_NOFILE"), RLIMIT_NOFILE_);
    CU_ASSERT_EQUAL(limit_by_name("AS"), RLIMIT_AS_);
    CU_ASSERT_EQUAL(limit_by_name("RLIMIT_NONE"), -1);
}

static void test_queues_keep_order_and_limits(void)
{
    begin();
    struct signal_queue queue = {0};
    struct linux_siginfo info = {.signo = LINUX_SIGUSR1, .code = LINUX_SI_QUEUE}, taken;
    CU_ASSERT_EQUAL(signal_queue_add(&queue, arena, &info, 2, NULL), 0);
    CU_ASSERT_EQUAL(signal_queue_add(&queue, arena, &info, 2, NULL), 0); /* merged */
    CU_ASSERT_EQUAL(queue.count, 1);
    info.signo = LINUX_SIGRTMIN;
    info.sender.value = 1;
    CU_ASSERT_EQUAL(signal_queue_add(&queue, arena, &info, 2, NULL), 0);
    info.sender.value = 2;
    CU_ASSERT_EQUAL(signal_queue_add(&queue, arena, &info, 2, NULL), -EAGAIN);
    info.code = LINUX_SI_USER; /* kill(2) comes through, as a bit */
    CU_ASSERT_EQUAL(signal_queue_add(&queue, arena, &info, 2, NULL), 0);
    info.signo = LINUX_SIGSEGV;
    CU_ASSERT_EQUAL(signal_queue_add(&queue, arena, &info, 9, NULL), 0);
    CU_ASSERT(signal_queue_take(&queue, UINT64_MAX, &taken));
    CU_ASSERT_EQUAL(taken.signo, LINUX_SIGSEGV); /* faults come first */
    CU_ASSERT(!signal_queue_take(&queue, SIGNAL_BIT(LINUX_SIGHUP), &taken));
    CU_ASSERT(signal_queue_take(&queue, UINT64_MAX, &taken));
    CU_ASSERT_EQUAL(taken.signo, LINUX_SIGUSR1);
    signal_queue_clear(&queue);
    CU_ASSERT(queue.set == 0 && queue.count == 0);
    end();
}

/* ---- kernel tasks, deferred work, time ------------------------------------------------------------------------------- */

static u32 deferred_count;

SLEEPS_ROOT static void deferred(struct reap_item *item, struct task *reaper)
{
    CU_ASSERT_STRING_EQUAL(reaper->comm, "reaper");
    fiber_relax(&reaper->fiber);
    deferred_count++;
}

static void defer_two(struct task *task, void *arg)
{
    struct reap_item *items = arg;
    kernel_defer(task->kernel, &items[0]);
    kernel_defer(task->kernel, &items[1]);
}

static void test_deferred_work_runs_in_the_reaper(void)
{
    struct reap_item items[2] = {{.run = deferred}, {.run = deferred}};
    begin();
    struct task *task;
    deferred_count = 0;
    CU_ASSERT_FATAL(task_create_kernel(kernel, "deferrer", defer_two, items, &task) == 0);
    CU_ASSERT_FATAL(task_start(task) == 0);
    REF_PUT(task);
    CU_ASSERT(sched_run_until_quiet(kernel->sched, 1000));
    CU_ASSERT_EQUAL(deferred_count, 2);
    CU_ASSERT_EQUAL(kernel->task_count, 1);
    end();
}

static void test_the_programs_clock_goes_on_after_a_restore(void)
{
    begin();
    u64 now = kernel_monotonic_ns(kernel);
    kernel->monotonic_offset_ns = (i64)(1000 * NS_PER_S);
    CU_ASSERT_EQUAL(kernel_monotonic_ns(kernel), now + 1000 * NS_PER_S);
    CU_ASSERT_EQUAL(kernel_deadline_to_sched(kernel, now + 1005 * NS_PER_S), now + 5 * NS_PER_S);
    CU_ASSERT_EQUAL(kernel_deadline_to_sched(kernel, 5), 0); /* long past */
    CU_ASSERT_EQUAL(kernel_deadline_to_sched(kernel, NO_DEADLINE), NO_DEADLINE);
    kernel->monotonic_offset_ns = 0;
    end();
}

/* ---- no memory ------------------------------------------------------------------------------------------------------------ */

/* Each allocation of a kernel's and a process's birth fails once; nothing is left behind. */
static void test_births_without_memory(void)
{
    const struct sim_config sim = {.seed = 1};
    const struct kernel_config config = {.seed = 1};
    bool is_through = false;
    u32 tries = 0;
    for (u64 nth = 1; !is_through && nth < 200; nth++) {
        host = host_sim_create(&sim);
        arena = host_arena_create(host, 0);
        CU_ASSERT_FATAL(machine_memory_create("test", FRAMES, &memfile) == 0);
        const struct sim_fault fault = {.id = "alloc",
                                        .at = "alloc",
                                        .nth = nth,
                                        .times = 1,
                                        .error = ENOMEM,
                                        .is_armed = true};
        CU_ASSERT_FATAL(sim_fault_add(host, &fault) == 0);
        int err = kernel_create(arena, host, NULL, &memfile, 1, NULL, &config, &kernel);
        if (err == 0) {
            struct task_parts parts = {0};
            struct limits limits;
            struct task *task;
            limits_init(&limits);
            err = task_create_init(kernel, kernel->root_pid_ns, &parts, &limits, "init", &task);
            if (err == 0)
                task_discard(task);
            is_through = err == 0 && sim_fault_hits(host, "alloc") == 0;
            kernel_destroy(kernel);
        }
        CU_ASSERT(err == 0 || err == -ENOMEM || err == -EAGAIN);
        CU_ASSERT_EQUAL(arena->object_count, 0);
        CU_ASSERT_EQUAL(arena->bytes_live, 0);
        machine_memory_destroy(&memfile);
        host_arena_destroy(host, arena);
        host_put(host);
        tries++;
    }
    CU_ASSERT(is_through && tries > 20);
}

void kernel_suite(void);
void kernel_suite(void)
{
    CU_pSuite suite = CU_add_suite("kernel", NULL, NULL);
    CU_ADD_TEST(suite, test_numbers_go_round_and_stay_taken);
    CU_ADD_TEST(suite, test_numbers_in_nested_namespaces);
    CU_ADD_TEST(suite, test_maps_of_user_namespaces);
    CU_ADD_TEST(suite, test_groups_and_capabilities);
    CU_ADD_TEST(suite, test_names);
    CU_ADD_TEST(suite, test_queues_keep_order_and_limits);
    CU_ADD_TEST(suite, test_deferred_work_runs_in_the_reaper);
    CU_ADD_TEST(suite, test_the_programs_clock_goes_on_after_a_restore);
    CU_ADD_TEST(suite, test_births_without_memory);
}
