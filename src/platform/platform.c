/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a platform by name, keeps what all platforms have in common, and dispatches the rest. */
#include "platform/platform.h"
#include "platform/ops.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLATFORM(name) extern const struct platform_ops name##_platform_ops;
#include "platform/platforms.def"
#undef PLATFORM

static const struct platform_ops *const platforms[] = {
#define PLATFORM(name) &name##_platform_ops,
#include "platform/platforms.def"
#undef PLATFORM
};

static const struct platform_ops *platform_ops_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(platforms); i++)
        if (strcmp(platforms[i]->features.name, name) == 0)
            return platforms[i];
    return NULL;
}

const char *platform_name(u32 index)
{
    return index < ARRAY_COUNT(platforms) ? platforms[index]->features.name : NULL;
}

int platform_create(const char *name, struct machine_memory *memory, u32 cpu_count,
                    struct platform **out, char *err_text, size_t err_size)
{
    return platform_create_on(name, -1, memory, cpu_count, out, err_text, err_size);
}

int platform_create_on(const char *name, int device, struct machine_memory *memory, u32 cpu_count,
                       struct platform **out, char *err_text, size_t err_size)
{
    char unread[1];
    if (err_text == NULL || err_size == 0) {
        err_text = unread;
        err_size = sizeof unread;
    }
    ASSERT(cpu_count >= 1);
    const struct platform_ops *ops = platform_ops_find(name);
    if (ops == NULL) {
        snprintf(err_text, err_size, "there is no platform '%s'", name);
        return -ENOENT;
    }
    ASSERT(ops->platform_size >= sizeof(struct platform));
    struct platform *platform = calloc(1, ops->platform_size);
    if (platform == NULL) {
        snprintf(err_text, err_size, "cannot make platform '%s': out of memory", name);
        return -ENOMEM;
    }
    platform->ops = ops;
    platform->memory = memory;
    platform->cpu_count = cpu_count;
    platform->device = device;
    int err = pagetable_pool_init(&platform->tables);
    if (err) {
        snprintf(err_text, err_size, "cannot make the memory file of page tables: %s",
                 strerror(-err));
        free(platform);
        return err;
    }
    err = ops->init(platform, err_text, err_size);
    if (err) {
        pagetable_pool_fini(&platform->tables);
        free(platform);
        return err;
    }
    *out = platform;
    return 0;
}

void platform_destroy(struct platform *platform)
{
    if (platform == NULL)
        return;
    platform->ops->fini(platform);
    pagetable_pool_fini(&platform->tables);
    free(platform);
}

const char *platform_note(const struct platform *platform)
{
    return platform->note;
}

const struct platform_features *platform_features(const struct platform *platform)
{
    return &platform->ops->features;
}

struct pagetable_pool *platform_tables(struct platform *platform)
{
    return &platform->tables;
}

/* ---- spaces --------------------------------------------------------------------------------- */

int space_create(struct platform *platform, struct space **out)
{
    ASSERT(platform->ops->space_size >= sizeof(struct space));
    struct space *space = calloc(1, platform->ops->space_size);
    if (space == NULL)
        return -ENOMEM;
    space->platform = platform;
    int err = pagetable_init(&space->table, &platform->tables);
    if (err)
        goto free_space;
    err = platform->ops->space_init(space);
    if (err)
        goto fini_table;
    *out = space;
    return 0;

fini_table:
    pagetable_fini(&space->table);
free_space:
    free(space);
    return err;
}

void space_destroy(struct space *space)
{
    if (space == NULL)
        return;
    space->platform->ops->space_fini(space);
    pagetable_fini(&space->table);
    free(space);
}

struct pagetable *space_table(struct space *space)
{
    return &space->table;
}

static void assert_pages(uaddr address, u64 count)
{
    ASSERT(address.value % PAGE_SIZE == 0);
    ASSERT(address.value >= SPACE_ADDRESS_MIN && address.value <= SPACE_ADDRESS_END);
    ASSERT(count <= (SPACE_ADDRESS_END - address.value) >> PAGE_SHIFT);
}

int space_map(struct space *space, uaddr address, frame first, u64 count, u32 prot)
{
    assert_pages(address, count);
    ASSERT(prot != 0 && (prot & ~(PROT_READ_BIT | PROT_WRITE_BIT | PROT_EXEC_BIT)) == 0);
    ASSERT(first.index != 0 && first.index + count <= space->platform->memory->frame_count);
    if (count == 0)
        return 0;
    int err = pagetable_reserve(&space->table, address, count);
    if (err)
        return err;
    space->platform->ops->space_map(space, address, first, count, prot);
    return 0;
}

void space_unmap(struct space *space, uaddr address, u64 count)
{
    assert_pages(address, count);
    if (count)
        space->platform->ops->space_unmap(space, address, count);
}

void space_protect(struct space *space, uaddr address, u64 count, u32 prot)
{
    assert_pages(address, count);
    ASSERT((prot & ~(PROT_READ_BIT | PROT_WRITE_BIT | PROT_EXEC_BIT)) == 0);
    if (count)
        space->platform->ops->space_protect(space, address, count, prot);
}

u64 space_commit(struct space *space)
{
    return space->platform->ops->space_commit(space);
}

bool space_is_done(struct space *space, u64 batch)
{
    return space->platform->ops->space_is_done(space, batch);
}

/* ---- cpus ----------------------------------------------------------------------------------- */

struct cpu *platform_cpu(struct platform *platform, u32 index)
{
    ASSERT(index < platform->cpu_count);
    return platform->ops->cpu(platform, index);
}

int cpu_attach(struct cpu *cpu)
{
    return cpu->platform->ops->cpu_attach(cpu);
}

void cpu_detach(struct cpu *cpu)
{
    cpu->platform->ops->cpu_detach(cpu);
}

void cpu_enter(struct cpu *cpu, struct space *space, struct context *context)
{
    ASSERT(cpu->platform == space->platform);
    cpu->platform->ops->cpu_enter(cpu, space, context);
}

void cpu_run(struct cpu *cpu, struct event *event)
{
    cpu->platform->ops->cpu_run(cpu, event);
}

void cpu_leave(struct cpu *cpu)
{
    cpu->platform->ops->cpu_leave(cpu);
}

void cpu_kick(struct cpu *cpu)
{
    cpu->platform->ops->cpu_kick(cpu);
}

void context_sync(struct context *context)
{
    if (context->xstate_cpu != NULL && !context->xstate_changed)
        context->xstate_cpu->platform->ops->context_sync(context);
}

void context_forget(struct platform *platform, struct context *context)
{
    platform->ops->context_forget(platform, context);
}
