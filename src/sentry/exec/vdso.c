/* SPDX-License-Identifier: Apache-2.0 */
/* The vDSO's pages: made once a sandbox, mapped by every program, the first page rewritten by a
 * timer. */
#include "sentry/exec/vdso.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/exec/vdso/params.h"
#include "sentry/kernel/task.h"
#include "vdso_bytes.h"

static const u8 vdso_bytes[] = {VDSO_BYTES};
#define IMAGE_SIZE ALIGN_UP(sizeof vdso_bytes, PAGE_SIZE)
#define VDSO_PAGES (1 + IMAGE_SIZE / PAGE_SIZE)

/* cpuid 1 edx of the smallest x86-64: what a simulation shows, on whatever machine it runs. */
#define HWCAP_BASELINE 0x078bfbffu

/* How often a sample is taken; the tightest counts. */
#define SAMPLES 5
#define BUSY_WAIT_NS (2 * NS_PER_MS)

static const struct field vdso_fields[] = {
    FIELD_NONE(struct vdso, object, "the walker's own header"),
    FIELD_NONE(struct vdso, kernel, "the new sandbox's"),
    FIELD_REF(struct vdso, pages, struct shared_memory),
    FIELD_NONE(struct vdso, clock, "another machine: measured anew"),
    FIELD_NONE(struct vdso, timer, "set by vdso_update"),
    FIELD_NONE(struct vdso, hwcap, "another machine: asked anew"),
    FIELD_END,
};
FIELDS_COMPLETE(struct vdso, vdso_fields);

static void vdso_free(struct object *object)
{
    struct vdso *vdso = container_of(object, struct vdso, object);
    if (vdso->kernel && vdso->timer.is_set)
        timer_cancel(vdso->kernel->sched, &vdso->timer);
    REF_CLEAR(vdso->pages);
}

static struct vdso_params *params_of(const struct vdso *vdso)
{
    struct mapping *mapping = &vdso->pages->mapping;
    frame f;
    bool is_there = mapping_find_page(mapping, 0, &f);
    ASSERT(is_there);
    frame_put(mapping->memory, f); /* the mapping keeps it */
    return (struct vdso_params *)(void *)frame_bytes(mapping->memory, f);
}

static u64 read_hwcap(const struct kernel *kernel)
{
    if (host_is_simulated(kernel->host))
        return HWCAP_BASELINE;
    u32 a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return d;
}

static void timer_fired(struct timer *timer)
{
    vdso_update(((struct vdso *)timer->owner)->kernel);
}

static void vdso_attach(struct vdso *vdso, struct kernel *kernel)
{
    vdso->kernel = kernel;
    vdso->hwcap = read_hwcap(kernel);
    timer_init(&vdso->timer, timer_fired, vdso);
}

static int vdso_loaded(struct object *object, struct state_reader *reader)
{
    struct vdso *vdso = container_of(object, struct vdso, object);
    if (!vdso->pages || vdso->pages->mapping.size != VDSO_PAGES << PAGE_SHIFT)
        return -EINVAL;
    frame f;
    if (!mapping_find_page(&vdso->pages->mapping, 0, &f))
        return -EINVAL;
    memset(frame_bytes(vdso->pages->mapping.memory, f), 0,
           PAGE_SIZE); /* not ready: calls are made */
    frame_put(vdso->pages->mapping.memory, f);
    vdso_attach(vdso, state_reader_kernel(reader));
    return 0;
}

const struct kind vdso_kind = {
    .name = "vdso",
    .size = sizeof(struct vdso),
    .fields = vdso_fields,
    .destroy = vdso_free,
    .loaded = vdso_loaded,
};

/* The pages, filled. */
static int create_pages(struct memory *memory, struct shared_memory **out)
{
    AUTO_PUT struct shared_memory *pages = NULL;
    int err = shared_memory_create(memory, FRAME_SYSTEM, VDSO_PAGES << PAGE_SHIFT, &pages);
    for (u64 i = 0; !err && i < VDSO_PAGES; i++) {
        frame f;
        u64 count;
        err = frame_alloc_run(memory, FRAME_SYSTEM, 1, 0, &f, &count);
        if (err)
            break;
        u64 offset = (i - 1) << PAGE_SHIFT;
        if (i > 0)
            memcpy(frame_bytes(memory, f), vdso_bytes + offset,
                   MIN(PAGE_SIZE, sizeof vdso_bytes - offset));
        err = mapping_load_page(&pages->mapping, i, f, true);
        if (err)
            frame_put(memory, f);
    }
    if (!err)
        *out = MOVE(pages);
    return err;
}

int vdso_create(struct kernel *kernel)
{
    struct vdso *vdso = object_create(kernel->arena, &vdso_kind);
    if (!vdso)
        return -ENOMEM;
    vdso_attach(vdso, kernel);
    int err = create_pages(kernel->memory, &vdso->pages);
    if (err) {
        REF_PUT(vdso);
        return err;
    }
    kernel->vdso = vdso;
    if (!host_is_simulated(kernel->host)) { /* the first sample; the rate comes with the next */
        vdso->clock.first_tsc = vdso_read_tsc();
        vdso->clock.first_ns = kernel_monotonic_ns(kernel);
    }
    return 0;
}

void vdso_destroy(struct kernel *kernel)
{
    struct vdso *vdso = kernel->vdso;
    kernel->vdso = NULL;
    REF_PUT(vdso);
}

/* ---- the clock ------------------------------------------------------------------------------ */

/* The counter and the clock at one moment, as nearly as can be had. */
static void sample(struct kernel *kernel, u64 *tsc, u64 *ns, i64 *realtime_ns)
{
    u64 best = UINT64_MAX;
    for (int i = 0; i < SAMPLES; i++) {
        u64 before = vdso_read_tsc();
        u64 at = kernel_monotonic_ns(kernel);
        u64 after = vdso_read_tsc();
        if (after - before >= best)
            continue;
        best = after - before;
        *tsc = before + best / 2;
        *ns = at;
    }
    u64 real = kernel_realtime_ns(kernel), now = kernel_monotonic_ns(kernel);
    *realtime_ns = (i64)(real - (now - *ns));
}

static void params_write(struct vdso_params *page, const struct vdso_params *next)
{
    u32 sequence = page->sequence + 1;
    __atomic_store_n(&page->sequence, sequence, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    page->is_ready = next->is_ready;
    page->tsc_base = next->tsc_base;
    page->ns_per_tick = next->ns_per_tick;
    page->monotonic_ns = next->monotonic_ns;
    page->realtime_ns = next->realtime_ns;
    __atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELEASE);
}

void vdso_update(struct kernel *kernel)
{
    struct vdso *vdso = kernel->vdso;
    if (!vdso || !kernel->config.has_vdso || host_is_simulated(kernel->host))
        return;
    struct vdso_params *page = params_of(vdso), next = *page;
    u64 tsc, ns;
    i64 realtime;
    sample(kernel, &tsc, &ns, &realtime);
    bool is_known = vdso_clock_step(&vdso->clock, tsc, ns, realtime, &next);
    for (u64 give_up = ns + BUSY_WAIT_NS; !is_known && ns < give_up;) {
        sample(kernel, &tsc, &ns, &realtime);
        is_known = vdso_clock_step(&vdso->clock, tsc, ns, realtime, &next);
    }
    if (is_known)
        params_write(page, &next);
    timer_set(kernel->sched, &vdso->timer,
              sched_now_ns(kernel->sched) + MAX(vdso->clock.step_ns, 10 * NS_PER_MS));
}

void vdso_replace(struct kernel *kernel, struct vdso *vdso)
{
    REF_PUT(kernel->vdso);
    kernel->vdso = vdso;
    vdso_update(kernel);
}

/* ---- mapping -------------------------------------------------------------------------------- */

SLEEPS static i64 map_part(struct task *task, struct mm *mm, struct vdso *vdso, u64 address,
                           u64 page, u64 pages, u32 prot, const char *name)
{
    struct mm_map_request request = {
        .address = address,
        .size = pages << PAGE_SHIFT,
        .prot = prot,
        .vma_flags = VMA_VDSO,
        .is_fixed = true,
        .is_noreplace = true,
        .is_populated = true,
        .file = &vdso->pages->object,
        .mapping = &vdso->pages->mapping,
        .offset = page << PAGE_SHIFT,
        .name = name,
    };
    return mm_map(mm, &task->fiber, &request);
}

int vdso_map(struct task *task, struct mm *mm)
{
    struct vdso *vdso = task->kernel->vdso;
    if (!vdso || !task->kernel->config.has_vdso)
        return 0;
    if (!vdso->timer.is_set)
        vdso_update(task->kernel);
    struct mm_map_request room = {.size = VDSO_PAGES << PAGE_SHIFT}; /* a hole for both parts */
    i64 at = mm_map(mm, &task->fiber, &room);
    if (at < 0)
        return (int)at;
    int err = mm_unmap(mm, &task->fiber, (u64)at, VDSO_PAGES << PAGE_SHIFT);
    if (err)
        return err;
    i64 vvar = map_part(task, mm, vdso, (u64)at, 0, 1, LINUX_PROT_READ, "[vvar]");
    if (vvar < 0)
        return (int)vvar;
    i64 image = map_part(task, mm, vdso, (u64)at + PAGE_SIZE, 1, VDSO_PAGES - 1,
                         LINUX_PROT_READ | LINUX_PROT_EXEC, "[vdso]");
    if (image < 0)
        return (int)image;
    mm->vdso = (u64)image;
    return 0;
}

u64 vdso_sigreturn(const struct mm *mm)
{
    return mm->vdso ? mm->vdso + VDSO_SIGRETURN_OFFSET : 0;
}

u64 vdso_hwcap(const struct kernel *kernel)
{
    return kernel->vdso ? kernel->vdso->hwcap : HWCAP_BASELINE;
}
