/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cpu: gives the area a context's registers, runs the vCPU, and takes them back. Extended state
 * stays in the vCPU until another context comes or somebody asks for it.
 */
#include "platform/fault.h"
#include "platform/kvm/internal.h"
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* NT and ID besides: a program sets them, and they harm nobody. */
#define EFLAGS_KEPT_MASK (EFLAGS_USER_MASK | 0x4000u | 0x200000u)

struct cpu *kvm_cpu(struct platform *platform, u32 index)
{
    return &kvm_platform_of(platform)->cpus[index].base;
}

int kvm_cpu_attach(struct cpu *base)
{
    struct kvm_cpu *cpu = kvm_cpu_of(base);
    sigset_t kick;
    ASSERT(cpu->tid == 0);
    sigemptyset(&kick);
    sigaddset(&kick, SIGNAL_KICK);
    int err = pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    if (err)
        return -err;
    cpu->tid = (pid_t)syscall(SYS_gettid);
    return 0;
}

void kvm_cpu_detach(struct cpu *base)
{
    kvm_cpu_of(base)->tid = 0;
}

/* ---- kicks ---------------------------------------------------------------------------------- */

void cpu_poke(struct kvm_cpu *cpu)
{
    __atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    pid_t target = __atomic_load_n(&cpu->target, __ATOMIC_SEQ_CST);
    if (target)
        syscall(SYS_tgkill, getpid(), target, SIGNAL_KICK);
}

void kvm_cpu_kick(struct cpu *base)
{
    struct kvm_cpu *cpu = kvm_cpu_of(base);
    __atomic_store_n(&cpu->kicked, 1, __ATOMIC_SEQ_CST);
    cpu_poke(cpu);
}

bool kick_take(struct kvm_cpu *cpu)
{
    return __atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST) &&
           __atomic_exchange_n(&cpu->kicked, 0, __ATOMIC_SEQ_CST);
}

/* ---- entering and leaving ------------------------------------------------------------------- */

void kvm_cpu_enter(struct cpu *base, struct space *space_base, struct context *context)
{
    struct kvm_cpu *cpu = kvm_cpu_of(base);
    struct kvm_space *space = container_of(space_base, struct kvm_space, base);
    ASSERT(cpu->space == NULL);
    cpu->context = context;
    space->inside_count++;
    u64 cr3 = space_cr3(space);
    if (cpu->cr3 != cr3) {
        cpu->cr3 = cpu->area->cr3 = cr3;
        cpu->area->must_flush = 1;
        cpu->counts.switches++;
        cpu->flushed = 0;
    }
    cpu->space = space;
    xstate_enter(cpu, context);
}

void kvm_cpu_leave(struct cpu *base)
{
    struct kvm_cpu *cpu = kvm_cpu_of(base);
    struct kvm_space *space = cpu->space;
    ASSERT(space != NULL && space->inside_count > 0);
    if (--space->inside_count == 0 && space->base.table.unlinked_first) {
        /* Processors may remember the way through them. */
        __atomic_add_fetch(&space->batch, 1, __ATOMIC_SEQ_CST);
        pagetable_release_unlinked(&space->base.table);
    }
    xstate_settle(cpu);
    cpu->space = NULL;
    cpu->context = NULL;
}

/* ---- registers ------------------------------------------------------------------------------ */

/* A data selector that the processor takes, or 0. */
static u64 selector_clean(u64 selector)
{
    switch (selector) {
    case 1:
    case 2:
    case 3:
    case SELECTOR_USER_CODE32:
    case SELECTOR_USER_DATA:
    case SELECTOR_USER_CODE:
        return selector;
    default:
        return 0;
    }
}

static u64 base_clean(u64 base)
{
    return (u64)((i64)(base << 16) >> 16) == base ? base : 0;
}

static void area_load(struct kvm_cpu *cpu)
{
    struct area *area = cpu->area;
    struct regs *regs = &cpu->context->regs;
    const struct regs old = area->regs;
    regs->fs_base = base_clean(regs->fs_base);
    regs->gs_base = base_clean(regs->gs_base);
    regs->ds = selector_clean(regs->ds);
    regs->es = selector_clean(regs->es);
    regs->fs = selector_clean(regs->fs);
    regs->gs = selector_clean(regs->gs);
    area->regs = *regs;
    area->regs.eflags = (regs->eflags & EFLAGS_KEPT_MASK) | EFLAGS_IF | 2 |
                        (cpu->context->single_step ? EFLAGS_TF : 0);
    if (regs->ds != old.ds || regs->es != old.es || regs->fs != old.fs || regs->gs != old.gs)
        area->must_select = 1;
    bool is_call = regs->rcx == regs->rip && regs->r11 == area->regs.eflags &&
                   regs->cs == REGS_CS_USER && !(regs->r11 & (EFLAGS_TF | EFLAGS_RF));
    area->is_fast = is_call && kvm_platform_of(cpu->base.platform)->kind != HOST_SOFTWARE;
}

void kvm_cpu_run(struct cpu *base, struct event *event)
{
    struct kvm_cpu *cpu = kvm_cpu_of(base);
    ASSERT(cpu->space != NULL);
    cpu->retry_count = 0;
    for (;;) {
        *event = (struct event){.type = EVENT_KICK};
        if (kick_take(cpu))
            return;
        event->type = EVENT_GONE;
        if (cpu->space->is_lost || event_refuse(&cpu->space->base, &cpu->context->regs, event))
            return;
        area_load(cpu);
        enum vcpu_stop stop = vcpu_run(cpu);
        if (stop == VCPU_BROKEN)
            return;
        if (stop == VCPU_KICK) {
            regs_take_back(cpu);
            event->type = EVENT_KICK;
            return;
        }
        if (stop_handle(cpu, event))
            return;
    }
}
