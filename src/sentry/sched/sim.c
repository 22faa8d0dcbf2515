/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops of all cpus on one thread, for simulation and tests. At each step the seed's `sched`
 * stream chooses among the cpus that could go on, so the interleavings of K > 1 cpus are explored
 * without threads and repeat exactly.
 */
#include "sentry/sched/internal.h"

/* Can CPU go on: user code to run, or a fiber to pick up? */
static bool cpu_can_step(const struct sched_cpu *cpu)
{
    return cpu->current ? cpu->current->state == FIBER_USER : cpu->sched->ready_count > 0;
}

static void run_user(struct sched_cpu *cpu)
{
    struct fiber *fiber = cpu->current;
    cpu_enter(cpu->platform_cpu, fiber->user_space, fiber->user_context);
    cpu_run(cpu->platform_cpu, &fiber->user_event);
    cpu_leave(cpu->platform_cpu);
    sched_switch_to(cpu, fiber);
}

static void cpu_step(struct sched_cpu *cpu)
{
    if (cpu->current) {
        run_user(cpu);
        return;
    }
    struct fiber *fiber = list_first(&cpu->sched->ready, struct fiber, link);
    list_remove(&fiber->link);
    cpu->sched->ready_count--;
    sched_switch_to(cpu, fiber);
}

static struct sched_cpu *choose_cpu(struct sched *sched)
{
    u32 count = 0;
    for (u32 i = 0; i < sched->cpu_count; i++)
        count += cpu_can_step(&sched->cpus[i]);
    if (count == 0)
        return NULL;
    u32 choice = count > 1 ? host_choose(sched->host, "sched", count) : 0;
    for (u32 i = 0; i < sched->cpu_count; i++)
        if (cpu_can_step(&sched->cpus[i]) && choice-- == 0)
            return &sched->cpus[i];
    ASSERT(false && "a choice outside the candidates");
    return NULL;
}

bool sched_run_until_quiet(struct sched *sched, u64 step_max)
{
    ASSERT(sched->is_simulated);
    for (u64 step = 0; step < step_max; step++) {
        host_reap(sched->host);
        sched_fire_timers(sched, sched_now_ns(sched));
        struct sched_cpu *cpu = choose_cpu(sched);
        if (!cpu) {
            if (host_reap(sched->host) == 0)
                return true;
            continue;
        }
        cpu_step(cpu);
        if (sched->is_stopping)
            return true;
    }
    return false;
}

void sched_advance_to(struct sched *sched, u64 ns)
{
    ASSERT(sched->is_simulated);
    if (ns > sched_now_ns(sched))
        host_clock_advance(sched->host, ns);
    sched_fire_timers(sched, sched_now_ns(sched));
}

bool sched_run_until(struct sched *sched, u64 until_ns, u64 step_max)
{
    for (;;) {
        if (!sched_run_until_quiet(sched, step_max))
            return false;
        if (sched->is_stopping)
            return true;
        u64 next = MIN(sched_next_deadline(sched), host_next_completion_ns(sched->host));
        if (next > until_ns) {
            if (until_ns != NO_DEADLINE)
                sched_advance_to(sched, until_ns);
            return true;
        }
        if (next == NO_DEADLINE)
            return true;
        sched_advance_to(sched, next);
    }
}
