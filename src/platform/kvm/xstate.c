/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended state. Each cpu has a few slots, pages from which the stub loads a context's state and
 * to which it saves the one before, on its way to the program: contexts that take turns cost no
 * call of the host. Surprising: whether the stub has done so already, only the area tells
 * (`save_to` is cleared when the old state is saved, `must_switch` when the new one is loaded), for
 * a cpu may be stopped before it or between the two.
 */
#include "platform/kvm/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int slots_create(struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    cpu->slots = calloc(SLOTS_PER_CPU, sizeof *cpu->slots);
    if (cpu->slots == NULL)
        return -ENOMEM;
    for (u32 i = 0; i < SLOTS_PER_CPU; i++) {
        u32 page = STUB_PAGE_AREAS + platform->base.cpu_count + cpu->base.index * SLOTS_PER_CPU + i;
        cpu->slots[i] = (struct kvm_slot){
            .cpu = cpu,
            .image = stub_page(platform, page),
            .address = STUB_BASE + ((u64)page << PAGE_SHIFT),
        };
    }
    return 0;
}

static const struct xsave_layout *layout_of(const struct kvm_cpu *cpu)
{
    return &kvm_platform_of(cpu->base.platform)->xsave;
}

bool vcpu_xstate(struct kvm_cpu *cpu, struct xstate *out)
{
    struct kvm_xsave image;
    if (ioctl(cpu->fd, KVM_GET_XSAVE, &image) != 0)
        return false;
    xsave_to_canonical(layout_of(cpu), (const u8 *)&image, out);
    return true;
}

static bool is_saved(const struct kvm_cpu *cpu)
{
    return __atomic_load_n(&cpu->area->save_to, __ATOMIC_ACQUIRE) == 0;
}

static bool is_switched(const struct kvm_cpu *cpu)
{
    return __atomic_load_n(&cpu->area->must_switch, __ATOMIC_ACQUIRE) == 0;
}

/* Bring the state of SLOT's context into its memory. Its cpu may be running another context. */
static void slot_fetch(struct kvm_slot *slot)
{
    struct kvm_cpu *cpu = slot->cpu;
    struct context *context = slot->context;
    cpu->counts.xstate_moves++;
    bool is_inside = slot == cpu->loaded && (slot == cpu->wanted || !is_saved(cpu));
    if (is_inside) {
        struct xstate state;
        if (slot != cpu->wanted)
            cpu_poke(cpu); /* the host answers between two runs */
        bool has_state = vcpu_xstate(cpu, &state);
        if (slot == cpu->wanted || !is_saved(cpu)) {
            if (has_state)
                *context->xstate = state;
            return;
        }
    }
    xsave_to_canonical(layout_of(cpu), slot->image, context->xstate);
}

static void slot_free(struct kvm_slot *slot)
{
    slot->context->xstate_home = NULL;
    slot->context->xstate_cpu = NULL;
    slot->context = NULL;
}

static void slot_evict(struct kvm_slot *slot)
{
    if (!slot->context->xstate_changed)
        slot_fetch(slot);
    slot_free(slot);
}

void kvm_context_sync(struct context *context)
{
    struct kvm_slot *slot = context->xstate_home;
    if (slot && !context->xstate_changed)
        slot_fetch(slot);
}

void kvm_context_forget(struct platform *platform, struct context *context)
{
    struct kvm_slot *slot = context->xstate_home;
    if (slot)
        slot_free(slot);
}

static struct kvm_slot *slot_choose(struct kvm_cpu *cpu)
{
    for (u32 i = 0; i < SLOTS_PER_CPU; i++)
        if (cpu->slots[i].context == NULL)
            return &cpu->slots[i];
    struct kvm_slot *slot;
    do {
        cpu->victim = (cpu->victim + 1) % SLOTS_PER_CPU;
        slot = &cpu->slots[cpu->victim];
    } while (slot == cpu->loaded || slot == cpu->wanted);
    slot_evict(slot);
    return slot;
}

/* CONTEXT's state, which is in its memory, goes into SLOT's page. */
static void slot_fill(struct kvm_slot *slot, struct context *context)
{
    struct kvm_cpu *cpu = slot->cpu;
    cpu->counts.xstate_moves++;
    xsave_from_canonical(layout_of(cpu), context->xstate, slot->image);
    if (cpu->loaded == slot) /* what the vCPU has is no longer anybody's */
        cpu->loaded = NULL;
    slot->context = context;
    context->xstate_home = slot;
    context->xstate_cpu = &cpu->base;
    context->xstate_changed = false;
}

void xstate_enter(struct kvm_cpu *cpu, struct context *context)
{
    struct kvm_slot *slot = context->xstate_home;
    if (slot && slot->cpu != cpu) {
        slot_evict(slot);
        slot = NULL;
    }
    if (slot == NULL)
        slot = slot_choose(cpu);
    if (slot->context == NULL || context->xstate_changed)
        slot_fill(slot, context);
    cpu->wanted = slot;
    struct area *area = cpu->area;
    area->load_from = slot->address;
    area->save_to = cpu->loaded && cpu->loaded != slot ? cpu->loaded->address : 0;
    area->must_switch = cpu->loaded != slot;
}

void xstate_settle(struct kvm_cpu *cpu)
{
    if (cpu->is_broken) {
        if (cpu->wanted && cpu->wanted->context && is_switched(cpu))
            slot_free(cpu->wanted); /* it keeps what its memory had */
        cpu->loaded = NULL;
    } else if (is_switched(cpu)) {
        cpu->loaded = cpu->wanted;
    } else if (is_saved(cpu)) {
        cpu->loaded = NULL;
    }
}
