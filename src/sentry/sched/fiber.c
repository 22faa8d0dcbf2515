/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: kernel stacks switched in user space. A fiber gives its cpu back in sched_switch_away
 * only, so everything between two sleeps is one step that nobody interrupts. Surprising: a fiber
 * may come back on another host thread, so nothing here may keep a thread-local address over a
 * switch.
 */
#include "sentry/sched/internal.h"

#include "platform/machine.h"

#if HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#define STACK_SIZE (4 * FIBER_STACK_SIZE)
#else
#define STACK_SIZE FIBER_STACK_SIZE
#endif

static struct sched_cpu *fiber_cpu(const struct fiber *fiber)
{
    return &fiber->sched->cpus[fiber->cpu_index];
}

/* The first C function on a new stack. */
static void fiber_main(struct fiber *fiber)
{
#if HAS_ASAN
    struct sched_cpu *cpu = fiber_cpu(fiber);
    __sanitizer_finish_switch_fiber(NULL, &cpu->loop_stack_bottom, &cpu->loop_stack_size);
#endif
    fiber->entry(fiber->arg);
    fiber->state = FIBER_ENDED;
    sched_switch_away(fiber);
    ASSERT(false && "an ended fiber ran again");
}

static void *stack_get(struct sched *sched)
{
    if (sched->stack_pool_count > 0)
        return sched->stack_pool[--sched->stack_pool_count];
    return machine_stack_create(STACK_SIZE);
}

void sched_stack_put(struct sched *sched, void *stack)
{
    if (sched->stack_pool_count < STACK_POOL_MAX)
        sched->stack_pool[sched->stack_pool_count++] = stack;
    else
        machine_stack_destroy(stack, STACK_SIZE);
}

/* Lay the frame that fiber_switch will pop: six registers and the trampoline's address. */
static void stack_prepare(struct fiber *fiber)
{
    u64 *top = (u64 *)(void *)((char *)fiber->stack + fiber->stack_size);
    *--top = 0; /* the trampoline's own return address slot; keeps the call 16-byte aligned */
    *--top = 0;
    *--top = (u64)(uintptr_t)fiber_trampoline;
    *--top = 0;                          /* rbp */
    *--top = 0;                          /* rbx */
    *--top = (u64)(uintptr_t)fiber;      /* r12 */
    *--top = (u64)(uintptr_t)fiber_main; /* r13 */
    *--top = 0;                          /* r14 */
    *--top = 0;                          /* r15 */
    fiber->stack_pointer = top;
}

int fiber_start(struct fiber *fiber, struct sched *sched, const char *name,
                void (*entry)(void *arg), void *arg, void (*ended)(struct fiber *fiber))
{
    ASSERT(fiber->state == FIBER_NEW || fiber->state == FIBER_ENDED);
    *fiber = (struct fiber){
        .sched = sched, .name = name, .entry = entry, .arg = arg, .ended = ended};
    fiber->stack = stack_get(sched);
    if (!fiber->stack)
        return -12; /* ENOMEM */
    fiber->stack_size = STACK_SIZE;
    fiber->id = sched->fiber_next_id++;
    stack_prepare(fiber);
    fiber_make_ready(fiber);
    return 0;
}

void fiber_make_ready(struct fiber *fiber)
{
    struct sched *sched = fiber->sched;
    ASSERT(!list_is_linked(&fiber->link));
    fiber->state = FIBER_READY;
    list_add_tail(&sched->ready, &fiber->link);
    sched->ready_count++;
    sched_wake_idle(sched, fiber);
}

void sched_switch_to(struct sched_cpu *cpu, struct fiber *fiber)
{
    fiber->cpu_index = cpu->index;
    if (fiber->away_since_ns) {
        fiber->away_ns += sched_now_ns(cpu->sched) - fiber->away_since_ns;
        fiber->away_since_ns = 0;
    }
    fiber->state = FIBER_RUNNING;
    cpu->current = fiber;
#if HAS_ASAN
    __sanitizer_start_switch_fiber(&cpu->sanitizer_stack, fiber->stack, fiber->stack_size);
#endif
    fiber_switch(&cpu->loop_stack_pointer, fiber->stack_pointer);
#if HAS_ASAN
    __sanitizer_finish_switch_fiber(cpu->sanitizer_stack, NULL, NULL);
#endif
    if (fiber->state == FIBER_USER)
        return; /* simulation: stays current until its turn to run user code */
    cpu->current = NULL;
    if (fiber->state == FIBER_ENDED) {
        sched_stack_put(fiber->sched, fiber->stack);
        fiber->stack = NULL;
        if (fiber->ended)
            fiber->ended(fiber); /* FIBER may be gone now */
    }
}

void sched_switch_away(struct fiber *fiber)
{
    struct sched_cpu *cpu = fiber_cpu(fiber);
    if (fiber->state != FIBER_USER)
        fiber->away_since_ns = sched_now_ns(fiber->sched);
#if HAS_ASAN
    void **keep = fiber->state == FIBER_ENDED ? NULL : &fiber->sanitizer_stack;
    __sanitizer_start_switch_fiber(keep, cpu->loop_stack_bottom, cpu->loop_stack_size);
#endif
    fiber_switch(&fiber->stack_pointer, cpu->loop_stack_pointer);
#if HAS_ASAN
    cpu = fiber_cpu(fiber); /* perhaps another one */
    __sanitizer_finish_switch_fiber(fiber->sanitizer_stack, &cpu->loop_stack_bottom,
                                    &cpu->loop_stack_size);
#endif
}

SLEEPS void fiber_yield(struct fiber *fiber)
{
    fiber_make_ready(fiber);
    sched_switch_away(fiber);
}

SLEEPS void fiber_relax(struct fiber *fiber)
{
    struct sched *sched = fiber->sched;
    if (__atomic_load_n(&sched->interrupt_pending, __ATOMIC_ACQUIRE))
        sched_poll(sched);
    if (sched->ready_count > 0)
        fiber_yield(fiber);
}

void fiber_prepare(struct fiber *fiber)
{
    fiber->is_woken = false;
}

static void block_timed_out(struct timer *timer)
{
    struct fiber *fiber = timer->owner;
    fiber->has_timed_out = true;
    if (fiber->state == FIBER_BLOCKED)
        fiber_make_ready(fiber);
}

SLEEPS int fiber_block(struct fiber *fiber, u64 deadline_ns, bool interruptible)
{
    ASSERT(fiber->state == FIBER_RUNNING);
    if (fiber->is_woken)
        return 0;
    if (interruptible && fiber->is_interrupted)
        return -ERESTARTSYS;
    struct sched *sched = fiber->sched;
    if (deadline_ns != NO_DEADLINE && sched_now_ns(sched) >= deadline_ns)
        return -110; /* ETIMEDOUT */
    struct timer timer;
    timer_init(&timer, block_timed_out, fiber);
    fiber->has_timed_out = false;
    if (deadline_ns != NO_DEADLINE)
        timer_set(sched, &timer, deadline_ns);
    fiber->is_interruptible = interruptible;
    fiber->state = FIBER_BLOCKED;
    sched_switch_away(fiber);
    fiber->is_interruptible = false;
    timer_cancel(sched, &timer);
    if (fiber->is_woken)
        return 0;
    return fiber->has_timed_out ? -110 : -ERESTARTSYS;
}

void fiber_wake(struct fiber *fiber)
{
    fiber->is_woken = true;
    if (fiber->state == FIBER_BLOCKED)
        fiber_make_ready(fiber);
}

void fiber_interrupt(struct fiber *fiber)
{
    fiber->is_interrupted = true;
    if (fiber->state == FIBER_BLOCKED && fiber->is_interruptible)
        fiber_make_ready(fiber);
    else if (fiber->state == FIBER_USER)
        cpu_kick(fiber_cpu(fiber)->platform_cpu);
}

void fiber_clear_interrupt(struct fiber *fiber)
{
    fiber->is_interrupted = false;
}

/* An operation's result says nothing before `done`: the host counts in it. */
struct host_op_wait {
    struct fiber *fiber;
    bool is_done;
};

static void host_op_done(struct host_op *op)
{
    struct host_op_wait *wait = op->owner;
    wait->is_done = true;
    fiber_wake(wait->fiber);
}

SLEEPS i64 fiber_host_op(struct fiber *fiber, struct host_op *op)
{
    struct host_op_wait wait = {.fiber = fiber};
    op->done = host_op_done;
    op->owner = &wait;
    if (host_submit(fiber->sched->host, op))
        return op->result;
    while (!wait.is_done) {
        fiber_prepare(fiber);
        int err = fiber_block(fiber, NO_DEADLINE, false);
        ASSERT(err == 0);
    }
    return op->result;
}
