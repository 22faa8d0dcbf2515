/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cpu: its host thread traces one stub thread in every space it has run, sets that thread's
 * registers, lets it go by PTRACE_SYSEMU and waits. Surprising: a kick's signal may arrive when
 * nothing runs any more; then it stops the next run at once and is swallowed, and only `kicked`
 * decides about EVENT_KICK.
 */
#include "platform/fault.h"
#include "platform/ptrace/internal.h"
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif
#ifndef PTRACE_SYSEMU_SINGLESTEP
#define PTRACE_SYSEMU_SINGLESTEP 32
#endif
#define STOP_SYSCALL (SIGTRAP | 0x80)
#define STOP_SECCOMP (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)

static struct ptrace_cpu *ptrace_cpu_of(struct cpu *cpu)
{
    return container_of(cpu, struct ptrace_cpu, base);
}

struct cpu *ptrace_cpu(struct platform *platform, u32 index)
{
    return &container_of(platform, struct ptrace_platform, base)->cpus[index].base;
}

int ptrace_cpu_attach(struct cpu *base)
{
    struct ptrace_cpu *cpu = ptrace_cpu_of(base);
    sigset_t remote;
    ASSERT(cpu->tid == 0);
    sigemptyset(&remote);
    sigaddset(&remote, SIGNAL_REMOTE);
    int err = pthread_sigmask(SIG_UNBLOCK, &remote, NULL); /* else others would wait for ever */
    if (err)
        return -err;
    cpu->host_thread = pthread_self();
    cpu->tid = (pid_t)syscall(SYS_gettid);
    return 0;
}

void ptrace_cpu_detach(struct cpu *base)
{
    struct ptrace_cpu *cpu = ptrace_cpu_of(base);
    ASSERT(cpu_is_ours(cpu));
    stubs_detach(cpu);
    cpu->tid = 0;
}

/* ---- kicks ---------------------------------------------------------------------------------- */

void ptrace_cpu_kick(struct cpu *base)
{
    struct ptrace_cpu *cpu = ptrace_cpu_of(base);
    __atomic_store_n(&cpu->kicked, 1, __ATOMIC_SEQ_CST);
    u64 target = __atomic_load_n(&cpu->target, __ATOMIC_SEQ_CST);
    if (target)
        syscall(SYS_tgkill, (pid_t)(target >> 32), (pid_t)(u32)target, SIGNAL_KICK);
}

static bool kick_take(struct ptrace_cpu *cpu)
{
    return __atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST) &&
           __atomic_exchange_n(&cpu->kicked, 0, __ATOMIC_SEQ_CST);
}

/* ---- entering and leaving ------------------------------------------------------------------- */

/* Make THREAD's extended state CONTEXT's, or see to it that it is loaded before the next run. */
static void xstate_move(struct stub_thread *thread, struct context *context)
{
    struct stub_thread *home = context->xstate_home;
    bool is_near = home == thread && (!thread->xstate_is_stale || thread->xstate_is_near);
    bool is_loaded = home == thread && !thread->xstate_is_stale && !context->xstate_changed;
    if (home != thread) {
        if (home)
            xstate_evict(home);
        xstate_evict(thread);
        thread->context = context;
        context->xstate_home = thread;
    }
    context->xstate_cpu = &thread->cpu->base;
    context->xstate_changed = false;
    thread->xstate_is_stale = !is_loaded;
    thread->xstate_is_near = !is_loaded && is_near;
}

void ptrace_cpu_enter(struct cpu *base, struct space *space_base, struct context *context)
{
    struct ptrace_cpu *cpu = ptrace_cpu_of(base);
    struct ptrace_space *space = container_of(space_base, struct ptrace_space, base);
    ASSERT(cpu->tid != 0 && cpu->space == NULL);
    cpu->space = space;
    cpu->context = context;
    __atomic_fetch_add(&space->inside_count, 1, __ATOMIC_RELAXED);
    if (space->stub == NULL) {
        space->stub = stub_get(container_of(base->platform, struct ptrace_platform, base),
                               &space->base.table);
        space->is_new = true;
    }
    cpu->thread = space->stub ? stub_thread_get(space->stub, cpu, context) : NULL;
    if (cpu->thread)
        xstate_move(cpu->thread, context);
}

void ptrace_cpu_leave(struct cpu *base)
{
    struct ptrace_cpu *cpu = ptrace_cpu_of(base);
    struct ptrace_space *space = cpu->space;
    ASSERT(space != NULL && space->inside_count > 0);
    if (__atomic_sub_fetch(&space->inside_count, 1, __ATOMIC_RELAXED) == 0)
        pagetable_release_unlinked(&space->base.table);
    cpu->space = NULL;
    cpu->context = NULL;
    cpu->thread = NULL;
}

/* ---- registers ------------------------------------------------------------------------------ */

/* The kernel refused the set as a whole: word by word, data selectors that it refuses becoming
 * null. */
static bool regs_poke(struct stub_thread *thread, const struct regs *regs)
{
    u64 words[sizeof *regs / sizeof(u64)];
    memcpy(words, regs, sizeof words);
    const size_t first_selector = offsetof(struct regs, ds) / sizeof(u64);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (ptrace(PTRACE_POKEUSER, thread->tid, i * sizeof(u64), words[i]) == 0)
            continue;
        if (errno != EIO)
            return false;
        if (i >= first_selector && ptrace(PTRACE_POKEUSER, thread->tid, i * sizeof(u64), NULL) != 0)
            return false; /* else a base outside user memory: it keeps the one it has */
    }
    return ptrace(PTRACE_GETREGS, thread->tid, NULL, &thread->regs) == 0;
}

/* Most calls change nothing but rax. The number of the call may stay then (orig_rax): the kernel
 * looks at it only beside a result that asks it to make the call again. False: set all of REGS. */
static bool regs_poke_result(struct stub_thread *thread, const struct regs *regs)
{
    struct regs same = thread->regs;
    bool is_restart = regs->rax >= (u64)-516 && regs->rax <= (u64)-512; /* ERESTART* */
    same.rax = regs->rax;
    same.orig_rax = regs->orig_rax;
    if (!thread->is_at_call || is_restart || memcmp(regs, &same, sizeof same) != 0)
        return false;
    if (ptrace(PTRACE_POKEUSER, thread->tid, offsetof(struct regs, rax), regs->rax) != 0)
        return false;
    thread->regs.rax = regs->rax;
    return true;
}

static bool thread_load_regs(struct stub_thread *thread, const struct regs *regs)
{
    if (thread->has_regs && memcmp(regs, &thread->regs, sizeof *regs) == 0)
        return true;
    if (thread->has_regs && regs_poke_result(thread, regs))
        return true;
    thread->regs = *regs;
    if (ptrace(PTRACE_SETREGS, thread->tid, NULL, regs) != 0 &&
        (errno != EIO || !regs_poke(thread, regs)))
        return false;
    thread->has_regs = true;
    return true;
}

/* The thread makes the edits of its flight without going on to the program. False: it is gone. */
static bool thread_settle(struct ptrace_cpu *cpu)
{
    struct stub_thread *thread = cpu->thread;
    return space_land(cpu->space, thread, flight_settle(thread));
}

/* Give the thread the context's state. False: it is gone. */
static bool thread_load(struct ptrace_cpu *cpu)
{
    struct stub_thread *thread = cpu->thread;
    struct regs regs = cpu->context->regs;
    regs.orig_rax = ~(u64)0; /* else the kernel might restart what it takes for a system call */
    if (thread->flight_count && !flight_begin(thread, &regs) && !thread_settle(cpu))
        return false;
    if (thread->flight_count == 0 && !thread_load_regs(thread, &regs))
        return false;
    if (thread->xstate_is_stale) {
        if (!xstate_load(thread))
            return false;
        thread->xstate_is_stale = false;
    }
    return true;
}

/* ---- running -------------------------------------------------------------------------------- */

/* Let the thread run until it stops: its status, 0 when a kick came first, -ESRCH when it is gone.
 */
static int thread_run(struct ptrace_cpu *cpu)
{
    struct stub_thread *thread = cpu->thread;
    u64 target = (u64)thread->stub->pid << 32 | (u32)thread->tid;
    __atomic_store_n(&cpu->target, target, __ATOMIC_SEQ_CST);
    int status = 0;
    if (!__atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST)) {
        int request = cpu->context->single_step ? PTRACE_SYSEMU_SINGLESTEP : PTRACE_SYSEMU;
        if (thread->flight_count)
            request = PTRACE_CONT; /* its own calls pass; the program's stop it by the filter */
        status = ptrace(request, thread->tid, NULL, NULL) == 0 || errno == ESRCH
                     ? stub_thread_wait(thread)
                     : -ESRCH;
    }
    __atomic_store_n(&cpu->target, 0, __ATOMIC_SEQ_CST);
    return status;
}

static bool is_synchronous(const siginfo_t *info)
{
    switch (info->si_signo) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
        return info->si_code > 0;
    default:
        return false;
    }
}

/* After a stop: the edits of the thread's flight are made, or all is unmapped. False: the program
 * did not run, or the thread is gone. */
static bool flight_end(struct ptrace_cpu *cpu, int status)
{
    bool has_landed = false;
    enum stub_result result = flight_land(cpu->thread, status, &has_landed);
    return space_land(cpu->space, cpu->thread, result) && has_landed;
}

/* After a stop: fetch the registers and see what it was. True: EVENT tells. */
static bool stop_handle(struct ptrace_cpu *cpu, int status, struct event *event)
{
    struct stub_thread *thread = cpu->thread;
    int signo = WSTOPSIG(status);
    bool is_syscall = signo == STOP_SYSCALL || status >> 8 == STOP_SECCOMP;
    siginfo_t info;
    if (ptrace(PTRACE_GETREGS, thread->tid, NULL, &thread->regs) != 0)
        goto gone;
    thread->has_regs = true;
    thread->is_at_call = signo == STOP_SYSCALL;
    if (thread->flight_count && !flight_end(cpu, status))
        return false;
    cpu->context->regs = thread->regs;
    if (is_syscall) {
        syscall_handle(cpu, event);
        return true;
    }
    cpu->context->regs.orig_rax = ~(u64)0;
    if (signo == SIGNAL_KICK || status >> 16)
        return false;
    if (ptrace(PTRACE_GETSIGINFO, thread->tid, NULL, &info) != 0)
        goto gone;
    return is_synchronous(&info) && signal_handle(cpu, &info, event);

gone:
    stub_set_gone(thread->stub);
    return false;
}

struct maker cpu_maker(const struct ptrace_cpu *cpu)
{
    const struct regs *regs = &cpu->context->regs;
    /* Beside another cpu, which may have edits of its own at any time, it would be stopped. */
    bool is_alone = __atomic_load_n(&cpu->space->inside_count, __ATOMIC_RELAXED) == 1;
    return (struct maker){cpu->thread, is_alone && !cpu->space->must_walk &&
                                           !cpu->context->single_step && regs->cs == REGS_CS_USER &&
                                           regs->ss == REGS_SS_USER};
}

/* The stub knows all edits, or the thread has them as its flight. False: gone. */
static bool edits_make(struct ptrace_cpu *cpu)
{
    struct maker maker = cpu_maker(cpu);
    if (cpu->space->is_new && !space_prefill(cpu->space, &maker, &cpu->context->regs))
        return false;
    return cpu->thread->flight_count ||
           !__atomic_load_n(&cpu->space->is_pending, __ATOMIC_ACQUIRE) ||
           space_flush(cpu->space, &maker);
}

/* Run until there is something to tell. */
static void run_until_event(struct ptrace_cpu *cpu, struct event *event)
{
    for (;;) {
        if (kick_take(cpu)) {
            event->type = EVENT_KICK;
            return;
        }
        if (cpu->thread == NULL || stub_is_gone(cpu->thread->stub) ||
            event_refuse(&cpu->space->base, &cpu->context->regs, event) || !edits_make(cpu))
            return;
        if (!thread_load(cpu)) {
            stub_set_gone(cpu->thread->stub);
            return;
        }
        int status = thread_run(cpu);
        if (status > 0 && stop_handle(cpu, status, event))
            return;
        event->type = EVENT_GONE;
    }
}

void ptrace_cpu_run(struct cpu *base, struct event *event)
{
    struct ptrace_cpu *cpu = ptrace_cpu_of(base);
    *event = (struct event){.type = EVENT_GONE};
    ASSERT(cpu->space != NULL);
    cpu->fill_count = 0;
    run_until_event(cpu, event);
    if (cpu->thread && cpu->thread->flight_count)
        (void)!thread_settle(cpu); /* a kick came before it, or the end */
}
