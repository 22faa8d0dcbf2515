/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine (Linux's Documentation/virt/kvm/api.rst): memory at guest-physical 0 is the
 * memfile, then come the page tables, then the stub. Surprising: memory becomes known in pieces
 * when it is first used, for KVM keeps tables of its own over every slot, however empty.
 */
#include "platform/kvm/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_SHIFT_MIN 30u
#define CHUNKS_MAX 128u
#define TABLES_CHUNK_FRAMES ((u64)1 << 14) /* 64 MiB of tables */
#define STALE_MAX 512u                     /* freed tables before the machine must forget them */
#define GIB ((u64)1 << 30)
#define RENEW_MIN 24u /* pages for which two calls and four mappings cost less than faults */
#define AROUND_SIZE ((u64)16 << PAGE_SHIFT) /* of a file, what the host maps by one fault */

#define KVM_CAPS(ROW)   \
    ROW(USER_MEMORY)    \
    ROW(SYNC_MMU)       \
    ROW(IMMEDIATE_EXIT) \
    ROW(XSAVE)          \
    ROW(XCRS)           \
    ROW(VCPU_EVENTS)    \
    ROW(DESTROY_MEMORY_REGION_WORKS)

/* ---- slots ---------------------------------------------------------------------------------- */

static int slot_set(struct kvm_platform *platform, u32 slot, u64 physical, const void *base,
                    u64 size)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = physical,
        .memory_size = size,
        .userspace_addr = (u64)(uintptr_t)base,
    };
    return ioctl(platform->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0 ? 0 : -errno;
}

static int slot_add(struct kvm_platform *platform, u64 physical, const void *base, u64 size)
{
    int err = slot_set(platform, platform->slot_next, physical, base, size);
    platform->slot_next += err == 0;
    return err;
}

bool frames_reach(struct kvm_platform *platform, u64 first, u64 count)
{
    const struct machine_memory *memory = platform->base.memory;
    u64 size = memory->frame_count << PAGE_SHIFT;
    u64 last = (first + count - 1) << PAGE_SHIFT >> platform->chunk_shift;
    for (u64 i = first << PAGE_SHIFT >> platform->chunk_shift; i <= last; i++) {
        u64 at = i << platform->chunk_shift;
        if (platform->chunks[i])
            continue;
        if (slot_add(platform, at, memory->base + at,
                     MIN((u64)1 << platform->chunk_shift, size - at)))
            return false;
        platform->chunks[i] = true;
    }
    return true;
}

static int tables_grow(struct pagetable_pool *pool)
{
    struct platform *base = container_of(pool, struct platform, tables);
    u64 at = pool->frame_limit << PAGE_SHIFT;
    int err = slot_add(kvm_platform_of(base), pool->physical_base + at, pool->memory.base + at,
                       TABLES_CHUNK_FRAMES << PAGE_SHIFT);
    if (err == 0)
        pool->frame_limit += TABLES_CHUNK_FRAMES;
    return err;
}

bool view_renew(void *at, u64 size)
{
    /* Without the right to read, which this processor's writable pages give all the same. */
    if (mprotect(at, size, PROT_WRITE) != 0)
        return false;
    ASSERT(mprotect(at, size, PROT_READ | PROT_WRITE) == 0);
    return true;
}

/* Taking the pages out of our view takes them out of the machine's at once; their bytes stay. They
 * come back at once too, some by a fault: KVM fills its own tables ahead (eight entries an exit)
 * only where our view has the pages, and so the sentry need not fault each in. For many pages it
 * costs less to change their rights there and back, by which the host takes them out as well. */
void frames_forget(struct kvm_platform *platform, u64 first, u64 count)
{
    u8 *at = machine_frame(platform->base.memory, (frame){first});
    const u8 *end = at + (count << PAGE_SHIFT);
    if (platform->can_renew && count >= RENEW_MIN && view_renew(at, count << PAGE_SHIFT))
        return;
    ASSERT(madvise(at, count << PAGE_SHIFT, MADV_DONTNEED) == 0);
    for (; at < end; at = (u8 *)ALIGN_DOWN((uintptr_t)at, AROUND_SIZE) + AROUND_SIZE)
        (void)*(volatile u8 *)at;
}

/* KVM drops all shadow tables when any slot goes. The probe's data page, at an address of its own,
 * is that slot. */
static int machine_forget(struct kvm_platform *platform)
{
    u32 slot = platform->slot_next;
    u64 physical = platform->stub_physical + GIB;
    int err = slot_set(platform, slot, physical, stub_page(platform, STUB_PAGE_PROBE_DATA),
                       PAGE_SIZE);
    if (err == 0)
        err = slot_set(platform, slot, physical, stub_page(platform, STUB_PAGE_PROBE_DATA), 0);
    return err;
}

void tables_forget(struct kvm_platform *platform)
{
    struct pagetable_pool *pool = &platform->base.tables;
    if (pool->stale_count >= STALE_MAX && machine_forget(platform) == 0)
        pagetable_pool_recycle(pool);
}

/* ---- making it ------------------------------------------------------------------------------ */

const char *capability_missing(int (*has)(void *arg, int capability), void *arg)
{
#define ROW(name)                      \
    if (has(arg, KVM_CAP_##name) <= 0) \
        return #name;
    KVM_CAPS(ROW)
#undef ROW
    return NULL;
}

static int device_has(void *device, int capability)
{
    return ioctl(*(int *)device, KVM_CHECK_EXTENSION, capability);
}

static int device_open(struct kvm_platform *platform, char *err_text, size_t err_size)
{
    int device = platform->base.device;
    platform->device = device >= 0 ? fcntl(device, F_DUPFD_CLOEXEC, 0)
                                   : open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (platform->device < 0) {
        int err = -errno;
        snprintf(err_text, err_size, "cannot open /dev/kvm: %s", strerror(-err));
        return err;
    }
    int version = ioctl(platform->device, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        snprintf(err_text, err_size, "/dev/kvm is not what it should be: version %d, not %d",
                 version, KVM_API_VERSION);
        return -ENODEV;
    }
    const char *missing = capability_missing(device_has, &platform->device);
    if (missing) {
        snprintf(err_text, err_size, "this host's KVM lacks what platform kvm needs: %s", missing);
        return -ENODEV;
    }
    return 0;
}

/* Some of KVM's answers to a program's odd instructions are friendlier than a processor's: a
 * hypercall of the other make would be written over with one of ours. As far as the host can. */
static void quirks_disable(const struct kvm_platform *platform)
{
#ifdef KVM_X86_QUIRK_FIX_HYPERCALL_INSN
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DISABLE_QUIRKS2,
        .args = {KVM_X86_QUIRK_FIX_HYPERCALL_INSN},
    };
    (void)!ioctl(platform->vm, KVM_ENABLE_CAP, &cap);
#endif
}

static int machine_create(struct kvm_platform *platform)
{
    struct platform *base = &platform->base;
    u64 size = base->memory->frame_count << PAGE_SHIFT;
    platform->vm = ioctl(platform->device, KVM_CREATE_VM, 0);
    if (platform->vm < 0)
        return -errno;
    quirks_disable(platform);
    int run_size = ioctl(platform->device, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size < (int)sizeof(struct kvm_run))
        return -ENODEV;
    platform->run_size = (size_t)run_size;
    platform->chunk_shift = CHUNK_SHIFT_MIN;
    while (size >> platform->chunk_shift > CHUNKS_MAX)
        platform->chunk_shift++;
    platform->chunks = calloc((size >> platform->chunk_shift) + 1, sizeof *platform->chunks);
    if (platform->chunks == NULL)
        return -ENOMEM;
    base->tables.physical_base = ALIGN_UP(size, GIB);
    base->tables.grow = tables_grow;
    base->tables.keeps_stale = true;
    platform->stub_physical = base->tables.physical_base +
                              ALIGN_UP(base->tables.memory.frame_count << PAGE_SHIFT, GIB);
    /* Old Intel processors want four pages of ours for code that we never run. */
    u64 unused = platform->stub_physical + 2 * GIB;
    (void)!ioctl(platform->vm, KVM_SET_IDENTITY_MAP_ADDR, &unused);
    int err = stub_create(platform);
    if (err == 0)
        err = slot_add(platform, platform->stub_physical, platform->stub, platform->stub_size);
    return err;
}

static int cpus_create(struct kvm_platform *platform)
{
    struct platform *base = &platform->base;
    platform->cpus = calloc(base->cpu_count, sizeof *platform->cpus);
    if (platform->cpus == NULL)
        return -ENOMEM;
    for (u32 i = 0; i < base->cpu_count; i++) {
        platform->cpus[i].base = (struct cpu){base, i};
        platform->cpus[i].fd = -1;
    }
    for (u32 i = 0; i < base->cpu_count; i++) {
        int err = vcpu_create(platform, &platform->cpus[i]);
        if (err)
            return err;
    }
    return 0;
}

static void signal_nothing(int signo)
{
}

static void kvm_fini(struct platform *base)
{
    struct kvm_platform *platform = kvm_platform_of(base);
    for (u32 i = 0; platform->cpus && i < base->cpu_count; i++)
        vcpu_destroy(platform, &platform->cpus[i]);
    free(platform->cpus);
    free(platform->chunks);
    if (platform->vm >= 0)
        close(platform->vm);
    if (platform->device >= 0)
        close(platform->device);
    stub_destroy(platform);
}

/* The host maps the memfile into the machine page by page, huge ones where it has them. With shadow
 * paging it stays a file, for frames_forget. */
static void memory_prepare(struct kvm_platform *platform)
{
    if (!has_shadow(platform))
        (void)!machine_memory_make_own(platform->base.memory);
}

static int kvm_init(struct platform *base, char *err_text, size_t err_size)
{
    struct kvm_platform *platform = kvm_platform_of(base);
    struct sigaction action = {.sa_handler = signal_nothing, .sa_flags = SA_RESTART};
    platform->device = platform->vm = -1;
    if (base->cpu_count > KVM_CPUS_MAX) {
        snprintf(err_text, err_size, "platform kvm has room for %u cpus", KVM_CPUS_MAX);
        return -EINVAL;
    }
    int err = device_open(platform, err_text, err_size);
    if (err)
        goto undo;
    platform->is_emulated = cpuid_is_emulated();
    err = sigaction(SIGNAL_KICK, &action, NULL) == 0 ? 0 : -errno;
    if (err == 0)
        err = machine_create(platform);
    if (err == 0)
        err = cpus_create(platform);
    if (err) {
        snprintf(err_text, err_size, "cannot make a virtual machine: %s", strerror(-err));
        goto undo;
    }
    err = host_probe(platform, err_text, err_size);
    if (err == 0) {
        memory_prepare(platform);
        return 0;
    }
undo:
    kvm_fini(base);
    return err;
}

const struct platform_ops kvm_platform_ops = {
    .features =
        {
            .name = "kvm",
            .is_preemptible = true,
            .is_native = true,
        },
    .platform_size = sizeof(struct kvm_platform),
    .init = kvm_init,
    .fini = kvm_fini,
    .space_size = sizeof(struct kvm_space),
    .space_init = kvm_space_init,
    .space_fini = kvm_space_fini,
    .space_map = kvm_space_map,
    .space_unmap = kvm_space_unmap,
    .space_protect = kvm_space_protect,
    .space_commit = kvm_space_commit,
    .space_is_done = kvm_space_is_done,
    .cpu = kvm_cpu,
    .cpu_attach = kvm_cpu_attach,
    .cpu_detach = kvm_cpu_detach,
    .cpu_enter = kvm_cpu_enter,
    .cpu_run = kvm_cpu_run,
    .cpu_leave = kvm_cpu_leave,
    .cpu_kick = kvm_cpu_kick,
    .context_sync = kvm_context_sync,
    .context_forget = kvm_context_forget,
};
