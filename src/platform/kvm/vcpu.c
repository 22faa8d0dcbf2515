/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU: put straight into the stub's ring 0, run, and stopped. Registers travel through the cpu's
 * area, so that a round trip is one call of the host. Surprising: a signal stops the vCPU anywhere.
 * In the program, its registers are taken out by ioctls and the vCPU is put back into the stub; in
 * the stub's way out the area still has them; in its way in the stub stops by itself very soon.
 */
#include "platform/kvm/internal.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#define CR0_VALUE 0x80050033ull     /* PE MP ET NE WP AM PG */
#define CR4_VALUE 0x50620ull        /* PAE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE */
#define CR4_UMIP (1ull << 11)       /* tables' addresses are not the program's to read, */
#define CR4_SMEP (1ull << 20)       /* and the stub neither executes nor */
#define CR4_SMAP (1ull << 21)       /* touches the program's memory: where the host has them */
#define EFER_VALUE 0xd01ull         /* SCE LME LMA NXE */
#define EFLAGS_SYSCALL_MASK 0x47700 /* AC NT IOPL DF IF TF are off in the stub */
#define REFUSALS_MAX 1000u          /* in a row, of memory that is there */
#define MSR_TSC 0x10u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
#define MSR_KERNEL_GS_BASE 0xc0000102u

/* ---- the state in which it runs the stub ---------------------------------------------------- */

static struct kvm_segment segment(u16 selector, u8 type, bool is_long)
{
    return (struct kvm_segment){
        .limit = 0xffffffff,
        .selector = selector,
        .type = type,
        .present = 1,
        .s = 1,
        .g = 1,
        .l = is_long,
        .db = !is_long,
    };
}

static u64 stub_page_address(u32 page)
{
    return STUB_BASE + ((u64)page << PAGE_SHIFT);
}

/* Fill cpu->ring0 over what the host gave the vCPU at birth. */
static void ring0_fill(const struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    struct kvm_sregs *sregs = &cpu->ring0;
    sregs->cs = segment(SELECTOR_KERNEL_CODE, 0xb, true);
    sregs->ss = segment(SELECTOR_KERNEL_DATA, 0x3, false);
    sregs->ds = sregs->es = sregs->fs = sregs->gs = segment(SELECTOR_USER_DATA, 0x3, false);
    sregs->ds.dpl = sregs->es.dpl = sregs->fs.dpl = sregs->gs.dpl = 3;
    sregs->tr = (struct kvm_segment){
        .base = cpu->area_address + AREA_TSS,
        .limit = 0x67,
        .selector = SELECTOR_TSS,
        .type = 11,
        .present = 1,
    };
    sregs->ldt = (struct kvm_segment){.unusable = 1, .type = 2};
    sregs->gdt = (struct kvm_dtable){stub_page_address(STUB_PAGE_GDT), SELECTOR_USER_CODE | 7, {0}};
    sregs->idt = (struct kvm_dtable){stub_page_address(STUB_PAGE_IDT), PAGE_SIZE - 1, {0}};
    sregs->cr0 = CR0_VALUE;
    sregs->cr3 = platform->stub_physical + ((u64)STUB_PAGE_ROOT << PAGE_SHIFT);
    sregs->efer = EFER_VALUE;
    memset(sregs->interrupt_bitmap, 0, sizeof sregs->interrupt_bitmap);
}

/* The most protection that this host takes. QEMU's processor pops the frames of a program's far
 * returns as if the supervisor did it, which does not go with SMAP. */
static int ring0_try(const struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    static const u64 extras[] = {CR4_UMIP | CR4_SMEP | CR4_SMAP, CR4_SMEP | CR4_SMAP, CR4_UMIP, 0};
    for (size_t i = 0; i < ARRAY_COUNT(extras); i++) {
        cpu->ring0.cr4 = CR4_VALUE | (extras[i] & (platform->is_emulated ? ~CR4_SMAP : ~0ull));
        if (ioctl(cpu->fd, KVM_SET_SREGS, &cpu->ring0) == 0)
            return 0;
    }
    return -errno;
}

static int msrs_set(struct kvm_cpu *cpu)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entries[5];
    } msrs = {
        .head.nmsrs = 5,
        .entries =
            {
                {.index = MSR_STAR,
                 .data = (u64)(SELECTOR_USER_CODE32) << 48 | (u64)SELECTOR_KERNEL_CODE << 32},
                {.index = MSR_LSTAR, .data = stub_address(kvm_stub_syscall)},
                {.index = MSR_CSTAR, .data = stub_address(kvm_stub_syscall32)},
                {.index = MSR_FMASK, .data = EFLAGS_SYSCALL_MASK},
                {.index = MSR_KERNEL_GS_BASE, .data = cpu->area_address},
            },
    };
    return ioctl(cpu->fd, KVM_SET_MSRS, &msrs) == (int)msrs.head.nmsrs ? 0 : -EINVAL;
}

/* The program's time-stamp counter is the host's: the sentry's clocks count on it. */
static void tsc_set(struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    u64 offset = 0;
#ifdef KVM_VCPU_TSC_CTRL
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (u64)(uintptr_t)&offset,
    };
    if (ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &attr) == 0) {
        platform->has_offset = true;
        return;
    }
#endif
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {.head.nmsrs = 1, .entry = {.index = MSR_TSC, .data = __rdtsc() + offset}};
    (void)!ioctl(cpu->fd, KVM_SET_MSRS, &msrs);
}

static int xcr_set(const struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.value = platform->xcr0}};
    return ioctl(cpu->fd, KVM_SET_XCRS, &xcrs) == 0 ? 0 : -errno;
}

/* All that a vCPU needs and that running the program cannot change. */
static int vcpu_setup(struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    int err = ring0_try(platform, cpu);
    if (err == 0)
        err = msrs_set(cpu);
    if (err == 0)
        err = xcr_set(platform, cpu);
    cpu->must_reset = true;
    return err;
}

static void layout_find(struct kvm_platform *platform)
{
    u32 low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    platform->xcr0 = low & XSTATE_FEATURES;
    xsave_layout_init(&platform->xsave, sizeof(struct kvm_xsave), platform->xcr0);
}

int vcpu_create(struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    u32 page = STUB_PAGE_AREAS + cpu->base.index;
    cpu->area = (struct area *)(void *)stub_page(platform, page);
    cpu->area_address = stub_page_address(page);
    cpu->seen = SEEN_ALL;
    cpu->fd = ioctl(platform->vm, KVM_CREATE_VCPU, cpu->base.index);
    if (cpu->fd < 0)
        return -errno;
    void *run = mmap(NULL, platform->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    cpu->run = run;
    if (platform->xcr0 == 0)
        layout_find(platform);
    int err = vcpu_set_cpuid(platform, cpu->fd);
    if (err == 0 && ioctl(cpu->fd, KVM_GET_SREGS, &cpu->ring0) != 0)
        err = -errno;
    if (err)
        return err;
    err = slots_create(platform, cpu);
    if (err)
        return err;
    ring0_fill(platform, cpu);
    tsc_set(platform, cpu);
    return vcpu_setup(platform, cpu);
}

void vcpu_destroy(struct kvm_platform *platform, struct kvm_cpu *cpu)
{
    free(cpu->slots);
    if (cpu->run)
        munmap(cpu->run, platform->run_size);
    if (cpu->fd >= 0)
        close(cpu->fd);
}

/* ---- putting it into the stub, and taking registers out of it ------------------------------- */

/* Let the next run begin where the stub loads everything from the area. */
static bool vcpu_reset(struct kvm_cpu *cpu)
{
    struct kvm_platform *platform = kvm_platform_of(cpu->base.platform);
    struct kvm_sregs sregs = cpu->ring0;
    struct kvm_regs regs = {
        .rip = stub_address(kvm_stub_resume),
        .rsp = cpu->area_address + AREA_REGS,
        .rflags = 2,
    };
    if (cpu->is_broken) {
        struct kvm_vcpu_events none = {0};
        if (ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &none) != 0 || vcpu_setup(platform, cpu) != 0)
            return false;
        cpu->is_broken = false;
    }
    sregs.cr3 = cpu->area->cr3;
    cpu->area->must_select = 1;
    cpu->area->must_flush = 1;
    cpu->counts.resets++;
    if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) != 0 || ioctl(cpu->fd, KVM_SET_REGS, &regs) != 0)
        return false;
    cpu->must_reset = false;
    return true;
}

static void regs_take(struct regs *out, const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
    *out = (struct regs){
        .r15 = regs->r15,
        .r14 = regs->r14,
        .r13 = regs->r13,
        .r12 = regs->r12,
        .rbp = regs->rbp,
        .rbx = regs->rbx,
        .r11 = regs->r11,
        .r10 = regs->r10,
        .r9 = regs->r9,
        .r8 = regs->r8,
        .rax = regs->rax,
        .rcx = regs->rcx,
        .rdx = regs->rdx,
        .rsi = regs->rsi,
        .rdi = regs->rdi,
        .orig_rax = ~(u64)0,
        .rip = regs->rip,
        .cs = sregs->cs.selector,
        .eflags = regs->rflags,
        .rsp = regs->rsp,
        .ss = sregs->ss.selector,
        .fs_base = sregs->fs.base,
        .gs_base = sregs->gs.base,
        .ds = sregs->ds.selector,
        .es = sregs->es.selector,
        .fs = sregs->fs.selector,
        .gs = sregs->gs.selector,
    };
}

enum capture { CAPTURED, NOT_NOW, CAPTURE_FAILED };

/* A signal ended the run: bring the registers into the area, if the vCPU is where that can be
 * done. */
static enum capture vcpu_capture(struct kvm_cpu *cpu)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
    if (ioctl(cpu->fd, KVM_GET_REGS, &regs) != 0 || ioctl(cpu->fd, KVM_GET_SREGS, &sregs) != 0 ||
        ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events) != 0)
        return CAPTURE_FAILED;
    if (events.exception.injected || events.exception.pending || events.interrupt.injected)
        return NOT_NOW;
    if ((sregs.cs.selector & 3) == 3) {
        regs_take(&cpu->area->regs, &regs, &sregs);
        cpu->area->is_fast = 0; /* it may be anywhere, no longer behind a call */
        cpu->must_reset = true;
        cpu->counts.captures++;
        return CAPTURED;
    }
    u64 first = stub_address(kvm_stub_resume);
    if (regs.rip < first || regs.rip >= stub_address(kvm_stub_resume_end))
        return NOT_NOW;
    cpu->must_reset |= regs.rip != first;
    return CAPTURED;
}

/* ---- running -------------------------------------------------------------------------------- */

/* While view_renew is at work the host may refuse a page to KVM for a moment. */
static bool is_for_now(struct kvm_cpu *cpu, int err)
{
    if (err != EFAULT || !has_shadow(kvm_platform_of(cpu->base.platform)))
        return false;
    cpu->run->exit_reason = KVM_EXIT_INTR;
    return ++cpu->refusals < REFUSALS_MAX;
}

static bool vcpu_enter(struct kvm_cpu *cpu)
{
    if (cpu->must_reset && !vcpu_reset(cpu))
        return false;
    cpu->counts.runs++;
    __atomic_store_n(&cpu->target, cpu->tid, __ATOMIC_SEQ_CST);
    int result = ioctl(cpu->fd, KVM_RUN, 0);
    int err = errno;
    __atomic_store_n(&cpu->target, 0, __ATOMIC_SEQ_CST);
    if (result == 0)
        cpu->refusals = 0;
    return result == 0 || err == EINTR || err == EAGAIN || is_for_now(cpu, err);
}

static bool is_interrupted(const struct kvm_cpu *cpu)
{
    return cpu->run->exit_reason == KVM_EXIT_INTR || cpu->run->exit_reason == KVM_EXIT_UNKNOWN;
}

static bool is_event(const struct kvm_cpu *cpu)
{
    return cpu->run->exit_reason == KVM_EXIT_IO && cpu->run->io.port == PORT_EVENT;
}

/* It touches no memory of the program until it runs again, and then it looks for newer batches.
 * This must not wait for the kernel lock: its owner may be waiting for us. */
static void vcpu_is_outside(struct kvm_cpu *cpu)
{
    __atomic_store_n(&cpu->seen, SEEN_ALL, __ATOMIC_SEQ_CST);
}

enum vcpu_stop vcpu_run(struct kvm_cpu *cpu)
{
    bool is_inside = false; /* the vCPU has the registers, not the area */
    for (;;) {
        __atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        u64 batch = __atomic_load_n(&cpu->space->batch, __ATOMIC_SEQ_CST);
        if (is_inside &&
            (__atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST) || batch != cpu->flushed)) {
            enum capture capture = vcpu_capture(cpu);
            if (capture == CAPTURE_FAILED)
                break;
            is_inside = capture != CAPTURED;
        }
        if (!is_inside) {
            if (kick_take(cpu)) {
                vcpu_is_outside(cpu);
                return VCPU_KICK;
            }
            if (batch != cpu->flushed)
                cpu->area->must_flush = 1;
            cpu->flushed = batch;
            /* Who edits after this looks here after having poked; who did before it was read. */
            __atomic_store_n(&cpu->seen, batch, __ATOMIC_SEQ_CST);
        }
        cpu->run->exit_reason = KVM_EXIT_UNKNOWN;
        if (!vcpu_enter(cpu))
            break;
        if (is_event(cpu)) {
            vcpu_is_outside(cpu);
            return VCPU_EVENT;
        }
        if (!is_interrupted(cpu))
            break;
        cpu->counts.interrupts++;
        is_inside = true;
    }
    cpu->is_broken = cpu->must_reset = true;
    vcpu_is_outside(cpu);
    return VCPU_BROKEN;
}
