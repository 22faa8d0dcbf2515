/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of system calls: a whole kernel on the sim host, and programs of byte code (the script
 * platform) that make calls. What each task saw is a line of text: "fork=2 wait4=2 exit(0)". Time
 * is virtual: no test ever waits. Include CUnit first.
 */
#pragma once
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/process.h"
#include "abi/signal.h"
#include "base/error.h"
#include "host/sim/sim.h"
#include "platform/script/bytecode.h"
#include "sentry/exec/vdso.h"
#include "sentry/fs/vfs.h"
#include "sentry/syscalls/hooks.h"
#include "sentry/syscalls/syscalls.h"

#define TEST_FRAMES 16384u
#define TEST_STEPS 2000000u
#define TEST_TASKS 64u
#define TEST_TRACE 2048u
#define TEST_CODE 512u

/* ---- programs ------------------------------------------------------------------------------------------ */

struct test_program {
    struct bytecode_header header;
    struct bytecode_instruction code[TEST_CODE];
    u32 count;
    bool is_counting_sys; /* trace calls */
};

/* Where instruction INDEX lies, for jumps; instructions follow the header. */
static inline u32 program_offset(u32 index)
{
    return (u32)ALIGN_UP(sizeof(struct bytecode_header), 16ul) +
           index * (u32)sizeof(struct bytecode_instruction);
}

static inline u32 program_here(const struct test_program *program)
{
    return program_offset(program->count);
}

static inline struct bytecode_instruction *program_add(struct test_program *program, u8 op)
{
    CU_ASSERT_FATAL(program->count < TEST_CODE);
    struct bytecode_instruction *instruction = &program->code[program->count++];
    *instruction = (struct bytecode_instruction){.op = op, .b = 255};
    return instruction;
}

/* An argument: a number, or what a variable holds. */
#define VAR_TAG 0x5a5a000000000000ull
#define V(index) (VAR_TAG | (index))

static inline void program_args(struct test_program *program, const u64 *args, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct bytecode_instruction *arg = program_add(program, OP_ARG);
        bool is_var = (args[i] & 0xffff000000000000ull) == VAR_TAG;
        arg->a = is_var;
        arg->b = (u8)(is_var ? args[i] & 255 : 0);
        arg->imm64 = is_var ? 0 : args[i];
    }
}

static inline void program_sys(struct test_program *program, u8 result, u32 nr, const u64 *args,
                               u32 count)
{
    struct bytecode_instruction *sys = program_add(program, OP_SYS);
    sys->a = (u8)count;
    sys->b = result;
    sys->imm = nr;
    program_args(program, args, count);
}

/* SYS(p, getpid_nr, args...): the result is dropped; SYS_TO keeps it in a variable. */
#define ARGS_(...) \
    ((const u64[]){0, ##__VA_ARGS__} + 1), (u32)(sizeof((const u64[]){0, ##__VA_ARGS__}) / 8 - 1)
#define SYS(p, nr, ...) program_sys((p), 255, (nr), ARGS_(__VA_ARGS__))
#define SYS_TO(p, var, nr, ...) program_sys((p), (var), (nr), ARGS_(__VA_ARGS__))

enum {
    NR_WRITE = 1,
    NR_SIGACTION = 13,
    NR_SIGPROCMASK = 14,
    NR_SCHED_YIELD = 24,
    NR_PAUSE = 34,
    NR_NANOSLEEP = 35,
    NR_ALARM = 37,
    NR_SETITIMER = 38,
    NR_GETPID = 39,
    NR_CLONE = 56,
    NR_VFORK = 58,
    NR_EXIT = 60,
    NR_WAIT4 = 61,
    NR_KILL = 62,
    NR_SETPGID = 109,
    NR_GETPPID = 110,
    NR_SETSID = 112,
    NR_GETPGID = 121,
    NR_SIGPENDING = 127,
    NR_SIGTIMEDWAIT = 128,
    NR_SIGSUSPEND = 130,
    NR_SIGALTSTACK = 131,
    NR_PRCTL = 157,
    NR_GETTID = 186,
    NR_TKILL = 200,
    NR_FUTEX = 202,
    NR_SET_TID_ADDRESS = 218,
    NR_TIMER_CREATE = 222,
    NR_TIMER_SETTIME = 223,
    NR_TIMER_GETOVERRUN = 225,
    NR_TIMER_DELETE = 226,
    NR_CLOCK_NANOSLEEP = 230,
    NR_EXIT_GROUP = 231,
    NR_TGKILL = 234,
    NR_WAITID = 247,
    NR_UNSHARE = 272,
    NR_SET_ROBUST_LIST = 273,
};

/* Fork; returns the index whose imm must become the child's place (program_patch). */
static inline u32 program_fork(struct test_program *program, u8 result)
{
    struct bytecode_instruction *fork = program_add(program, OP_FORK);
    fork->b = result;
    return program->count - 1;
}
static inline u32 program_thread(struct test_program *program, u8 result)
{
    program_fork(program, result);
    program->code[program->count - 1].op = OP_THREAD;
    return program->count - 1;
}
static inline void program_patch(struct test_program *program, u32 index)
{
    program->code[index].imm = program_here(program);
}
static inline u32 program_jump(struct test_program *program, u8 op, u8 var, u64 value)
{
    struct bytecode_instruction *jump = program_add(program, op);
    jump->a = var;
    jump->imm64 = value;
    return program->count - 1;
}
/* Store a number in memory: buffers lie in the arena and a variable is a word of it. */
static inline void program_set(struct test_program *program, u8 var, u64 value)
{
    struct bytecode_instruction *set = program_add(program, OP_SET);
    set->a = var;
    set->imm64 = value;
}
static inline u64 var_address(u8 var)
{
    return BYTECODE_VARS + var * 8u;
}
/* Variables FIRST.. become a sigaction for handler INDEX; call rt_sigaction with it. */
static inline void program_handle(struct test_program *program, i32 signo, u64 handler, u64 flags,
                                  u64 mask)
{
    program_set(program, 240,
                handler > 1 ? BYTECODE_HANDLERS + (handler - 2) * BYTECODE_HANDLER_SIZE : handler);
    program_set(program, 241, flags | LINUX_SA_RESTORER);
    program_set(program, 242, BYTECODE_RESTORER);
    program_set(program, 243, mask);
    SYS(program, NR_SIGACTION, (u64)signo, var_address(240), 0, 8);
}
#define HANDLER(index) ((u64)(index) + 2)
/* From here on is the code of handler INDEX. */
static inline void program_handler(struct test_program *program, u32 index)
{
    program->header.handlers[index] = program_here(program);
}
/* A struct timespec in variables 244, 245 and its address. */
static inline u64 program_time(struct test_program *program, u64 sec, u64 nsec)
{
    program_set(program, 244, sec);
    program_set(program, 245, nsec);
    return var_address(244);
}

/* ---- the world ----------------------------------------------------------------------------------------------- */

struct test_world {
    struct host *host;
    struct arena *arena;
    struct machine_memory memfile;
    struct platform *platform;
    struct kernel *kernel;
    struct call_observer observer;
    char trace[TEST_TASKS][TEST_TRACE];
    const struct test_program *program;
    struct super *super;
    struct mount_ns *mounts;
    struct fs_context *fs;
    struct thread_group *init; /* the last process that was started, counted */
    u32 cpu_count;
    u64 start_ns;
};

static inline void trace_add(struct test_world *world, const struct task *task, const char *text)
{
    if (task->is_kernel || task->root_tid >= TEST_TASKS)
        return;
    char *line = world->trace[task->root_tid];
    size_t size = strlen(line);
    snprintf(line + size, TEST_TRACE - size, "%s%s", size ? " " : "", text);
}

SLEEPS_ROOT static inline void test_call_exit(struct call_observer *self, struct task *task, u64 nr,
                                              const struct syscall_row *row,
                                              const struct sysargs *args, i64 result)
{
    struct test_world *world = container_of(self, struct test_world, observer);
    char text[64];
    const char *name = row ? row->name : "?";
    if (nr == NR_EXIT || nr == NR_EXIT_GROUP || nr == NR_SIGACTION || nr == 15 ||
        result == -ERESTARTSYS)
        return;
    if (result < 0 && result > -4096)
        snprintf(text, sizeof text, "%s=-%s", name, errno_name((int)-result));
    else
        snprintf(text, sizeof text, "%s=%lld", name, (long long)result);
    trace_add(world, task, text);
}

static inline void test_task_event(struct task *task, const char *what, i64 value)
{
    struct test_world *world = task->kernel->observer;
    char text[64];
    if (strcmp(what, "clone") == 0)
        return;
    snprintf(text, sizeof text, "%s(%lld)", what, (long long)value);
    trace_add(world, task, text);
}

static inline void world_begin_with(struct test_world *world, u64 seed, u32 cpu_count)
{
    memset(world, 0, sizeof *world);
    const struct sim_config sim = {.seed = seed};
    const struct kernel_config config = {.seed = seed, .hostname = "test", .release = "6.1"};
    world->host = host_sim_create(&sim);
    CU_ASSERT_FATAL(world->host != NULL);
    world->arena = host_arena_create(world->host, 0);
    CU_ASSERT_FATAL(world->arena &&
                    machine_memory_create("test", TEST_FRAMES, &world->memfile) == 0);
    CU_ASSERT_FATAL(
        platform_create("script", &world->memfile, cpu_count, &world->platform, NULL, 0) == 0);
    int err = kernel_create(world->arena, world->host, world->platform, &world->memfile, cpu_count,
                            NULL, &config, &world->kernel);
    CU_ASSERT_FATAL(err == 0);
    struct kernel *kernel = world->kernel;
    kernel->syscalls = &syscall_dispatcher;
    kernel->hooks = &syscall_kernel_hooks;
    kernel->observer = world;
    kernel->task_event = test_task_event;
    world->observer.exit = test_call_exit;
    kernel->call_observers = &world->observer;
    CU_ASSERT_FATAL(vfs_create(kernel) == 0);
    world->cpu_count = cpu_count;
    world->start_ns = kernel_monotonic_ns(kernel);
}

static inline void world_begin(struct test_world *world)
{
    world_begin_with(world, 1, 1);
}

SLEEPS_ROOT static inline void test_make_root(struct task *task, void *arg)
{
    struct test_world *world = arg;
    CU_ASSERT_FATAL(tmpfs_create(task, NULL, &world->super) == 0);
    CU_ASSERT_FATAL(mount_ns_create(task->kernel, world->super, 0, &world->mounts) == 0);
    const struct path root = {world->mounts->root, world->mounts->root->root};
    CU_ASSERT_FATAL(fs_context_create(task->kernel, &root, &root, &world->fs) == 0);
}

/* Run MAIN as a kernel task until nothing can go on. */
static inline void world_actor(struct test_world *world, void (*main)(struct task *, void *))
{
    struct task *task;
    CU_ASSERT_FATAL(task_create_kernel(world->kernel, "actor", main, world, &task) == 0);
    CU_ASSERT_FATAL(task_start(task) == 0);
    REF_PUT(task);
    CU_ASSERT(sched_run_until_quiet(world->kernel->sched, TEST_STEPS));
}

SLEEPS static inline void test_map(struct task *task, struct mm *mm, u64 address, u64 size,
                                   u32 prot)
{
    const struct mm_map_request request = {
        .address = address, .size = size, .prot = prot, .is_fixed = true};
    CU_ASSERT_FATAL(mm_map(mm, &task->fiber, &request) == (i64)address);
}

SLEEPS static inline struct mm *test_make_mm(struct task *task, struct test_world *world)
{
    struct mm *mm;
    struct test_program program = *world->program;
    program.header.magic = BYTECODE_MAGIC;
    program.header.start = program_offset(0);
    program.header.size = program_offset(TEST_CODE);
    CU_ASSERT_FATAL(mm_create(world->arena, task->kernel->memory, world->platform, &mm) == 0);
    test_map(task, mm, BYTECODE_SEGMENT, ALIGN_UP((u64)program.header.size, PAGE_SIZE),
             LINUX_PROT_READ | LINUX_PROT_WRITE);
    test_map(task, mm, BYTECODE_ARENA, BYTECODE_ARENA_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
    i64 moved = mm_copy_force(mm, &task->fiber, &program.header, uaddr_make(BYTECODE_SEGMENT),
                              sizeof program.header, true);
    CU_ASSERT_FATAL(moved == (i64)sizeof program.header);
    moved = mm_copy_force(mm, &task->fiber, program.code,
                          uaddr_make(BYTECODE_SEGMENT + program_offset(0)), sizeof program.code,
                          true);
    CU_ASSERT_FATAL(moved == (i64)sizeof program.code);
    mm_commit(mm);
    return mm;
}

SLEEPS_ROOT static inline void test_start(struct task *by, void *arg)
{
    struct test_world *world = arg;
    struct limits limits;
    limits_init(&limits);
    struct task_parts parts = {.fs = REF_GET(world->fs), .mm = test_make_mm(by, world)};
    CU_ASSERT_FATAL(fd_table_create(by->kernel, &parts.fds) == 0);
    CU_ASSERT_FATAL(nsproxy_create(by->kernel, &parts.ns) == 0);
    parts.ns->mount_ns = REF_GET(world->mounts);
    struct task *task;
    CU_ASSERT_FATAL(
        task_create_init(by->kernel, by->kernel->root_pid_ns, &parts, &limits, "test", &task) == 0);
    task->context.regs.rip = BYTECODE_START;
    task->context.regs.rsp = BYTECODE_STACKS - 16;
    CU_ASSERT_FATAL(task_start(task) == 0);
    REF_PUT(world->init);
    world->init = REF_GET(task->group);
    REF_PUT(task);
}

/* Start PROGRAM as a process without a parent; nothing runs yet but the starting. */
static inline void world_start(struct test_world *world, const struct test_program *program)
{
    if (!world->fs)
        world_actor(world, test_make_root);
    world->program = program;
    struct task *task;
    CU_ASSERT_FATAL(task_create_kernel(world->kernel, "start", test_start, world, &task) == 0);
    CU_ASSERT_FATAL(task_start(task) == 0);
    REF_PUT(task);
}

/* Everything that can happen until SECONDS of virtual time have passed; invariants hold then. */
static inline void world_run(struct test_world *world, u64 seconds)
{
    u64 until = sched_now_ns(world->kernel->sched) + seconds * NS_PER_S;
    CU_ASSERT(sched_run_until(world->kernel->sched, until, TEST_STEPS));
    const char *wrong = kernel_check(world->kernel);
    if (wrong)
        printf("\n  kernel_check: %s\n", wrong);
    CU_ASSERT_PTR_NULL(wrong);
}

static inline void world_kill_all(struct test_world *world)
{
    struct task *task;
    list_for_each (task, &world->kernel->tasks, kernel_link)
        if (!task->is_kernel)
            thread_group_kill(task->group, LINUX_SIGKILL);
    CU_ASSERT(sched_run_until_quiet(world->kernel->sched, TEST_STEPS));
}

/* Ends whoever is left; asserts that nothing leaks. */
static inline void world_end(struct test_world *world)
{
    world_kill_all(world);
    REF_CLEAR(world->init);
    REF_CLEAR(world->fs);
    REF_CLEAR(world->mounts);
    REF_CLEAR(world->super);
    vfs_destroy(world->kernel);
    kernel_destroy(world->kernel);
    platform_destroy(world->platform);
    machine_memory_destroy(&world->memfile);
    CU_ASSERT_EQUAL(world->arena->object_count, 0);
    host_arena_destroy(world->host, world->arena);
    host_put(world->host);
}

static inline void check_trace(const struct test_world *world, u32 tid, const char *expected,
                               int line)
{
    bool is_as_expected = strcmp(world->trace[tid], expected) == 0;
    if (!is_as_expected) {
        printf("\n  line %d, task %u: \"", line, tid);
        puts(world->trace[tid]);
        printf("      expected \"%s\"", expected);
    }
    CU_ASSERT(is_as_expected);
}
#define TRACE(world, tid, expected) check_trace((world), (tid), (expected), __LINE__)

/* One program from its start to its end. */
static inline void test_run(struct test_world *world, const struct test_program *program)
{
    world_begin(world);
    world_start(world, program);
    world_run(world, 100);
}
