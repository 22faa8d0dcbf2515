/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of host is this? A program of two instructions reads a word and makes a system call.
 * How the call arrives tells hosts whose KVM is software; then the word's entry is changed by a
 * plain store, and whether the program sees that tells nested from shadow paging. Surprising: the
 * program's pages are the stub's, lent to it in a space that ends with the probe.
 */
#include "platform/kvm/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PROBE_CODE 0x400000ull
#define PROBE_DATA 0x401000ull
#define PROBE_NS (3 * NS_PER_S)
#define OLD_VALUE 0x6f6c64ull
#define NEW_VALUE 0x6e6577ull

static const u8 probe_code[] = {0x48, 0x8b, 0x3b, 0x0f, 0x05}; /* mov (%rbx), %rdi; syscall */

struct watchdog {
    struct cpu *cpu;
    u32 is_done; /* a futex */
};

static void watchdog_run(void *arg)
{
    struct watchdog *watchdog = arg;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    machine_wait(&watchdog->is_done, 0, (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec + PROBE_NS);
    if (!__atomic_load_n(&watchdog->is_done, __ATOMIC_ACQUIRE))
        kvm_cpu_kick(watchdog->cpu);
}

static void probe_map(struct kvm_platform *platform, struct space *space, u64 address, u32 page,
                      u64 bits)
{
    u64 word = (platform->stub_physical + ((u64)page << PAGE_SHIFT)) | PAGETABLE_P | PAGETABLE_U |
               PAGETABLE_READ | PAGETABLE_A | PAGETABLE_D | bits;
    (void)pagetable_exchange(&space->table, uaddr_make(address), word);
}

enum host_kind host_judge(const struct host_seen *seen)
{
    if (seen->is_call_by_fault)
        return HOST_SOFTWARE;
    return seen->sees_store ? HOST_NESTED : HOST_SHADOW;
}

/* Run the program to its call: what it read, or -errno. */
static int probe_run(struct kvm_cpu *cpu, struct host_seen *seen, u64 *value)
{
    struct regs *regs = &cpu->area->regs;
    *regs = (struct regs){
        .rip = PROBE_CODE,
        .rbx = PROBE_DATA,
        .cs = REGS_CS_USER,
        .ss = REGS_SS_USER,
        .eflags = EFLAGS_IF | 2,
    };
    cpu->area->is_fast = 0;
    cpu->area->must_flush = 1;
    cpu->area->vector = 0;
    if (vcpu_run(cpu) != VCPU_EVENT)
        return -EIO;
    u64 entry = stub_address(kvm_stub_syscall);
    bool is_by_fault = cpu->area->vector == 14 && cpu->area->cr2 == entry && regs->rip == entry;
    if (cpu->area->vector != VECTOR_SYSCALL && !is_by_fault)
        return -EIO;
    seen->is_call_by_fault |= is_by_fault;
    *value = regs->rdi;
    return *value == OLD_VALUE || *value == NEW_VALUE ? 0 : -EIO;
}

static int probe_space(struct kvm_platform *platform, struct kvm_cpu *cpu, struct kvm_space *space)
{
    struct host_seen seen = {false};
    u64 value = 0;
    int err = pagetable_reserve(&space->base.table, uaddr_make(PROBE_CODE), 2);
    if (err)
        return err;
    probe_map(platform, &space->base, PROBE_CODE, STUB_PAGE_PROBE_CODE, 0);
    probe_map(platform, &space->base, PROBE_DATA, STUB_PAGE_PROBE_DATA, PAGETABLE_NX);
    cpu->space = space;
    cpu->cr3 = cpu->area->cr3 = space_cr3(space);
    err = probe_run(cpu, &seen, &value);
    if (err || value != OLD_VALUE)
        return err ? err : -EIO;
    probe_map(platform, &space->base, PROBE_DATA, STUB_PAGE_PROBE_DATA + 1, PAGETABLE_NX);
    err = probe_run(cpu, &seen, &value);
    seen.sees_store = err == 0 && value == NEW_VALUE;
    if (err == 0 && !seen.sees_store &&
        view_renew(stub_page(platform, STUB_PAGE_PROBE_DATA), PAGE_SIZE)) {
        err = probe_run(cpu, &seen, &value);
        seen.sees_renewed = err == 0 && value == NEW_VALUE;
    }
    platform->kind = host_judge(&seen);
    platform->can_renew = seen.sees_renewed;
    return err;
}

static const char *kind_name(enum host_kind kind)
{
    switch (kind) {
    case HOST_NESTED:
        return "nested paging";
    case HOST_SHADOW:
        return "shadow paging";
    default:
        return "software, shadow paging";
    }
}

int host_probe(struct kvm_platform *platform, char *err_text, size_t err_size)
{
    struct kvm_cpu *cpu = &platform->cpus[0];
    struct watchdog watchdog = {.cpu = &cpu->base};
    struct machine_thread *thread;
    struct space *space = NULL;
    u64 values[] = {OLD_VALUE, NEW_VALUE};
    memcpy(stub_page(platform, STUB_PAGE_PROBE_CODE), probe_code, sizeof probe_code);
    for (u32 i = 0; i < 2; i++)
        memcpy(stub_page(platform, STUB_PAGE_PROBE_DATA + i), &values[i], sizeof values[i]);
    int err = space_create(&platform->base, &space);
    if (err == 0)
        err = kvm_cpu_attach(&cpu->base);
    if (err == 0) {
        err = machine_thread_start(watchdog_run, &watchdog, &thread);
        if (err == 0) {
            err = probe_space(platform, cpu, container_of(space, struct kvm_space, base));
            __atomic_store_n(&watchdog.is_done, 1, __ATOMIC_RELEASE);
            machine_wake(&watchdog.is_done, 1);
            machine_thread_join(thread);
        }
        kvm_cpu_detach(&cpu->base);
        cpu->space = NULL;
        pagetable_clear(&space->table, uaddr_make(PROBE_CODE));
        pagetable_clear(&space->table, uaddr_make(PROBE_DATA));
    }
    space_destroy(space);
    (void)kick_take(cpu);
    if (err) {
        snprintf(err_text, err_size, "this host's KVM does not run a first program: %s",
                 strerror(-err));
        return err;
    }
    platform->base.tables.keeps_stale = has_shadow(platform);
    if (!has_shadow(platform))
        pagetable_pool_recycle(&platform->base.tables);
    snprintf(platform->base.note, sizeof platform->base.note, "%s%s%s%s", kind_name(platform->kind),
             platform->can_renew ? ", pages are renewed" : "",
             platform->is_emulated ? ", emulated processor" : "",
             platform->has_offset ? "" : ", time-stamp counter set by hand");
    return 0;
}
