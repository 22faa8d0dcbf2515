/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending a scheduler, its clocks, and the text that debug.Stacks shows. */
#include "sentry/sched/sched.h"

#include <stdio.h>

#include "platform/machine.h"
#include "sentry/sched/internal.h"

/* Virtual time that one served system call takes in simulation. */
#define SIM_CALL_COST_NS NS_PER_US

int sched_create(struct arena *arena, struct host *host, struct platform *platform, u32 cpu_count,
                 struct sched **out)
{
    ASSERT(cpu_count > 0);
    struct sched *sched = arena_alloc(arena, sizeof *sched);
    if (!sched)
        return -12; /* ENOMEM */
    sched->cpus = arena_alloc_array(arena, cpu_count, sizeof *sched->cpus);
    if (!sched->cpus) {
        arena_free(arena, sched, sizeof *sched);
        return -12;
    }
    sched->arena = arena;
    sched->host = host;
    sched->platform = platform;
    sched->is_simulated = host_is_simulated(host);
    sched->cpu_count = cpu_count;
    sched->fiber_next_id = 1;
    sched->poller_deadline_ns = NO_DEADLINE;
    sched->handover_ns = HANDOVER_MIN_NS;
    list_init(&sched->ready);
    for (u32 i = 0; i < cpu_count; i++) {
        sched->cpus[i].sched = sched;
        sched->cpus[i].index = i;
        if (platform)
            sched->cpus[i].platform_cpu = platform_cpu(platform, i);
        if (platform && sched->is_simulated) {
            int err = cpu_attach(sched->cpus[i].platform_cpu);
            ASSERT(err == 0);
        }
    }
    *out = sched;
    return 0;
}

void sched_destroy(struct sched *sched)
{
    ASSERT(list_is_empty(&sched->ready));
    ASSERT(!tree_first(&sched->timers));
    while (sched->stack_pool_count > 0) {
        u32 index = --sched->stack_pool_count;
        machine_stack_destroy(sched->stack_pool[index], FIBER_STACK_SIZE * (HAS_ASAN ? 4 : 1));
    }
    if (sched->is_simulated && sched->platform)
        for (u32 i = 0; i < sched->cpu_count; i++)
            cpu_detach(sched->cpus[i].platform_cpu);
    arena_free(sched->arena, sched->cpus, sched->cpu_count * sizeof *sched->cpus);
    arena_free(sched->arena, sched, sizeof *sched);
}

struct host *sched_host(struct sched *sched)
{
    return sched->host;
}

u32 sched_cpu_count(const struct sched *sched)
{
    return sched->cpu_count;
}

u64 sched_now_ns(struct sched *sched)
{
    return host_monotonic_ns(sched->host);
}

u64 sched_realtime_ns(struct sched *sched)
{
    return host_realtime_ns(sched->host);
}

void sched_charge_call(struct sched *sched)
{
    if (sched->is_simulated)
        host_clock_advance(sched->host, sched_now_ns(sched) + SIM_CALL_COST_NS);
}

static const char *state_name(enum fiber_state state)
{
    switch (state) {
    case FIBER_NEW:
        return "new";
    case FIBER_READY:
        return "ready";
    case FIBER_RUNNING:
        return "running";
    case FIBER_USER:
        return "in application code";
    case FIBER_BLOCKED:
        return "blocked";
    case FIBER_ENDED:
        return "ended";
    }
    return "?";
}

void sched_dump(struct sched *sched, void (*line)(void *arg, const char *text), void *arg)
{
    char text[160];
    for (u32 i = 0; i < sched->cpu_count; i++) {
        const struct sched_cpu *cpu = &sched->cpus[i];
        if (cpu->current)
            snprintf(text, sizeof text, "cpu %u: fiber %llu %s, %s", i,
                     (unsigned long long)cpu->current->id, cpu->current->name,
                     state_name(cpu->current->state));
        else
            snprintf(text, sizeof text, "cpu %u: idle", i);
        line(arg, text);
    }
    struct fiber *fiber;
    list_for_each (fiber, &sched->ready, link) {
        snprintf(text, sizeof text, "fiber %llu %s: ready", (unsigned long long)fiber->id,
                 fiber->name);
        line(arg, text);
    }
}
