/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated host: making and ending it, virtual clock, seeded draws and entropy, arenas. */
#include "host/sim/internal.h"

#include "base/arena_plain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_SIZE_USUAL ((u64)1 << 40)
#define FDS_USUAL 65536u
#define GUARD_SIZE 16

void *sim_new(struct sim_host *sim, size_t size)
{
    void *memory = arena_alloc(sim->memory, size);
    if (!memory) {
        fprintf(stderr, "the simulated host is out of memory (%zu bytes)\n", size);
        exit(1);
    }
    return memory;
}

void sim_delete(struct sim_host *sim, void *memory, size_t size)
{
    arena_free(sim->memory, memory, size);
}

char *sim_text(struct sim_host *sim, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(sim_new(sim, size), text, size);
}

/* ---- clock ---- */

static u64 sim_monotonic_ns(struct host *host)
{
    return sim_of(host)->monotonic_ns;
}

i64 sim_now_realtime(struct sim_host *sim)
{
    /* Seconds and rest apart: the product of both would not fit. */
    i64 since = (i64)(sim->monotonic_ns - sim->drift_start_ns);
    i64 drift = since / (i64)NS_PER_S * sim->drift_ppm * 1000 +
                since % (i64)NS_PER_S * sim->drift_ppm / 1000000;
    return (i64)sim->monotonic_ns + sim->realtime_offset_ns + drift;
}

static u64 sim_realtime_ns(struct host *host)
{
    i64 now = sim_now_realtime(sim_of(host));
    return now > 0 ? (u64)now : 0;
}

static void sim_clock_advance(struct host *host, u64 to_monotonic_ns)
{
    struct sim_host *sim = sim_of(host);
    if (to_monotonic_ns > sim->monotonic_ns)
        sim->monotonic_ns = to_monotonic_ns;
}

void sim_clock_jump(struct host *host, i64 delta_ns)
{
    sim_of(host)->realtime_offset_ns += delta_ns;
}

void sim_clock_drift(struct host *host, i32 ppm)
{
    struct sim_host *sim = sim_of(host);
    i64 now = sim_now_realtime(sim);
    sim->drift_start_ns = sim->monotonic_ns;
    sim->realtime_offset_ns = now - (i64)sim->monotonic_ns;
    sim->drift_ppm = ppm;
}

/* ---- draws and entropy ---- */

static struct rand *draw_stream(struct sim_host *sim, const char *name)
{
    for (u32 i = 0; i < sim->draw_count; i++)
        if (strcmp(sim->draws[i].name, name) == 0)
            return &sim->draws[i].rand;
    ASSERT(sim->draw_count < SIM_DRAWS_MAX);
    struct sim_draw *draw = &sim->draws[sim->draw_count++];
    ASSERT(strlen(name) < sizeof draw->name);
    memcpy(draw->name, name, strlen(name) + 1);
    rand_init(&draw->rand, sim->config.seed, name);
    return &draw->rand;
}

static u32 decided(struct sim_host *sim, const char *stream, u32 count, u32 drawn)
{
    if (!sim->config.decide)
        return drawn;
    u32 choice = sim->config.decide(sim->config.decide_arg, stream, count, drawn);
    ASSERT(choice < count);
    return choice;
}

u32 sim_choose(struct sim_host *sim, const char *stream, u32 count)
{
    if (count <= 1)
        return 0;
    return decided(sim, stream, count, (u32)rand_below(draw_stream(sim, stream), count));
}

bool sim_choose_percent(struct sim_host *sim, const char *stream, u32 percent)
{
    if (percent == 0 || percent >= 100)
        return percent >= 100;
    return decided(sim, stream, 2, rand_chance(draw_stream(sim, stream), percent, 100)) == 1;
}

static u32 sim_host_choose(struct host *host, const char *stream, u32 count)
{
    return sim_choose(sim_of(host), stream, count);
}

static int sim_entropy(struct host *host, void *out, size_t size)
{
    struct sim_host *sim = sim_of(host);
    if (sim_entropy_fails(sim))
        return -EIO;
    rand_fill(&sim->entropy, out, size);
    return 0;
}

/* ---- arenas: each allocation stands between a header and a guard ---- */

struct sim_block {
    struct list link;
    size_t size;
    u64 unused; /* keeps the memory behind at a multiple of 16 */
};

static void *sim_arena_alloc(struct arena *arena, size_t size)
{
    struct sim_arena *owner = arena->owner;
    if (sim_alloc_fails(owner->host))
        return NULL;
    if (owner->bytes_max && size > owner->bytes_max - MIN(arena->bytes_live, owner->bytes_max))
        return NULL;
    struct sim_block *block = calloc(1, sizeof *block + size + GUARD_SIZE);
    if (!block)
        return NULL;
    block->size = size;
    list_add_tail(&owner->blocks, &block->link);
    u8 *memory = (u8 *)(block + 1);
    memset(memory + size, owner->host->config.fill_byte, GUARD_SIZE);
    return memory;
}

static void block_free(struct sim_arena *owner, struct sim_block *block)
{
    u8 *memory = (u8 *)(block + 1);
    u8 fill = owner->host->config.fill_byte;
    for (size_t i = 0; i < GUARD_SIZE; i++)
        ASSERT(memory[block->size + i] == fill); /* someone wrote behind the end */
    list_remove(&block->link);
    memset(memory, fill, block->size);
    __asm__ volatile("" : : "r"(memory) : "memory");
    free(block);
}

static void sim_arena_free(struct arena *arena, void *memory, size_t size)
{
    struct sim_block *block = (struct sim_block *)memory - 1;
    ASSERT(block->size == size); /* it was asked for with another size */
    block_free(arena->owner, block);
}

static struct arena *sim_arena_create(struct host *host, u64 bytes_max)
{
    struct sim_host *sim = sim_of(host);
    if (sim_call(sim, SIM_CALL_arena, NULL, NULL))
        return NULL;
    struct sim_arena *owner = sim_new(sim, sizeof *owner);
    owner->host = sim;
    owner->bytes_max = bytes_max;
    owner->owner = sim->owner;
    list_init(&owner->blocks);
    list_add_tail(&sim->arenas, &owner->link);
    arena_init(&owner->arena, sim_arena_alloc, sim_arena_free, owner);
    return &owner->arena;
}

static void sim_arena_destroy(struct host *host, struct arena *arena)
{
    struct sim_arena *owner = arena->owner;
    ASSERT(list_is_empty(&owner->blocks));
    list_remove(&owner->link);
    sim_delete(sim_of(host), owner, sizeof *owner);
}

void sim_arena_drop(struct sim_host *sim, struct sim_arena *owner)
{
    struct sim_block *block, *next;
    list_for_each_safe (block, next, &owner->blocks, link)
        block_free(owner, block);
    list_remove(&owner->link);
    sim_delete(sim, owner, sizeof *owner);
}

/* ---- the whole ---- */

static void sim_destroy(struct host *host)
{
    struct sim_host *sim = sim_of(host);
    ASSERT(sim_leak_count(host) == 0);
    ASSERT(list_is_empty(&sim->arenas));
    sim_desc_collect(sim);
    sim_tree_fini(sim);
    sim_faults_fini(sim);
    sim_delete(sim, sim->slots, sim->slot_count * sizeof *sim->slots);
    struct arena *memory = sim->memory;
    sim_delete(sim, sim, sizeof *sim);
    arena_plain_destroy(memory);
}

static struct host_ops *sim_ops_create(struct sim_host *sim)
{
    struct host_ops *ops = &sim->ops;
    ops->destroy = sim_destroy;
    ops->monotonic_ns = sim_monotonic_ns;
    ops->realtime_ns = sim_realtime_ns;
    ops->entropy = sim_entropy;
    ops->is_simulated = true;
    ops->clock_advance = sim_clock_advance;
    ops->choose = sim_host_choose;
    ops->arena_create = sim_arena_create;
    ops->arena_destroy = sim_arena_destroy;
    sim_file_ops_set(ops);
    sim_names_ops_set(ops);
    sim_stream_ops_set(ops);
    sim_event_ops_set(ops);
    return ops;
}

struct host *host_sim_create(const struct sim_config *config)
{
    struct arena *memory = arena_plain_create();
    struct sim_host *sim = arena_alloc(memory, sizeof *sim);
    ASSERT(sim != NULL);
    sim->memory = memory;
    sim->config = *config;
    if (sim->config.fds_max == 0)
        sim->config.fds_max = FDS_USUAL;
    if (sim->config.disk_size == 0)
        sim->config.disk_size = DISK_SIZE_USUAL;
    if (sim->config.later_percent == 0)
        sim->config.later_percent = 50;
    else if (sim->config.later_percent > 100)
        sim->config.later_percent = 0;
    sim->monotonic_ns = config->monotonic_ns ? config->monotonic_ns : NS_PER_S;
    sim->realtime_offset_ns = config->epoch_ns - (i64)sim->monotonic_ns;
    sim->drift_start_ns = sim->monotonic_ns;
    rand_init(&sim->entropy, config->seed, "entropy");
    rand_init(&sim->inner, config->seed, "sim-inner");
    struct list *const lists[] = {&sim->plans,       &sim->nodes,           &sim->domains,
                                  &sim->descs,       &sim->dying,           &sim->files,
                                  &sim->streams,     &sim->listeners,       &sim->arenas,
                                  &sim->pending,     &sim->flights,         &sim->ready,
                                  &sim->reaping_ops, &sim->reaping_flights, &sim->reaping_watches};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        list_init(lists[i]);
    sim->host.ops = sim_ops_create(sim);
    sim_tree_init(sim);
    return &sim->host;
}

u32 sim_owner(struct host *host, u32 owner)
{
    ASSERT(owner != SIM_OWNER_ALL);
    struct sim_host *sim = sim_of(host);
    u32 before = sim->owner;
    sim->owner = owner;
    return before;
}
