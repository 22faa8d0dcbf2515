/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open file descriptions and the table of their numbers. A message may carry descriptions that
 * carry messages; so the last reference only puts a description on the list of the dying, and one
 * loop buries them, however deep they were nested.
 */
#include "host/sim/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FD_FIRST 3 /* 0, 1 and 2 look like stdio everywhere: not handed out */

struct sim_desc *sim_desc_create(struct sim_host *sim, enum sim_desc_type type, const char *label)
{
    struct sim_desc *desc = sim_new(sim, sizeof *desc);
    desc->type = type;
    desc->refs = 1;
    desc->id = ++sim->desc_id_last;
    desc->label = sim_text(sim, label);
    list_init(&desc->sources);
    list_init(&desc->end.segments);
    list_init(&desc->backlog);
    list_add_tail(&sim->descs, &desc->link);
    return desc;
}

void sim_desc_get(struct sim_desc *desc)
{
    ASSERT(desc->refs > 0);
    desc->refs++;
}

static void desc_bury(struct sim_host *sim, struct sim_desc *desc)
{
    struct sim_source *source, *next;
    list_for_each_safe (source, next, &desc->sources, link)
        list_remove(&source->link);
    if (desc->type == SIM_DESC_FILE)
        sim_node_drop(sim, desc->node);
    else
        sim_stream_desc_fini(sim, desc);
    list_remove(&desc->flight);
    sim_delete(sim, desc->label, strlen(desc->label) + 1);
    sim_delete(sim, desc, sizeof *desc);
}

void sim_desc_put(struct sim_host *sim, struct sim_desc *desc)
{
    ASSERT(desc->refs > 0);
    if (--desc->refs > 0)
        return;
    list_remove(&desc->link);
    list_add_tail(&sim->dying, &desc->link);
    if (sim->is_burying)
        return;
    sim->is_burying = true;
    while (!list_is_empty(&sim->dying)) {
        struct sim_desc *dead = list_first(&sim->dying, struct sim_desc, link);
        list_remove(&dead->link);
        desc_bury(sim, dead);
    }
    sim->is_burying = false;
}

void sim_desc_collect(struct sim_host *sim)
{
    while (!list_is_empty(&sim->descs)) {
        struct sim_desc *desc = list_first(&sim->descs, struct sim_desc, link);
        sim_desc_get(desc);
        sim_segments_clear(sim, desc);
        u32 refs = desc->refs;
        sim_desc_put(sim, desc);
        if (refs > 1) { /* held by a message in another's queue: look there first */
            list_remove(&desc->link);
            list_add_tail(&sim->descs, &desc->link);
        }
    }
}

/* ---- the table ---- */

static bool slots_grow(struct sim_host *sim)
{
    u32 count = MIN(MAX(sim->slot_count * 2, 64u), sim->config.fds_max);
    if (count <= sim->slot_count)
        return false;
    struct sim_slot *slots = sim_new(sim, count * sizeof *slots);
    if (sim->slots)
        memcpy(slots, sim->slots, sim->slot_count * sizeof *slots);
    sim_delete(sim, sim->slots, sim->slot_count * sizeof *slots);
    sim->slots = slots;
    sim->slot_count = count;
    return true;
}

int sim_fd_install(struct sim_host *sim, struct sim_desc *desc)
{
    u32 fd = FD_FIRST;
    while (fd < sim->slot_count && sim->slots[fd].desc)
        fd++;
    if (fd >= sim->slot_count && !slots_grow(sim)) {
        sim_desc_put(sim, desc);
        return -EMFILE;
    }
    sim->slots[fd] = (struct sim_slot){.desc = desc, .owner = sim->owner};
    return (int)fd;
}

struct sim_desc *sim_fd_find(struct sim_host *sim, int fd)
{
    if (fd < 0 || (u32)fd >= sim->slot_count)
        return NULL;
    return sim->slots[fd].desc;
}

void sim_fd_put(struct sim_host *sim, int fd)
{
    struct sim_desc *desc = sim_fd_find(sim, fd);
    if (!desc)
        return;
    sim->slots[fd].desc = NULL;
    sim_desc_put(sim, desc);
}

/* ---- watching ---- */

u32 sim_desc_poll(const struct sim_desc *desc)
{
    switch (desc->type) {
    case SIM_DESC_FILE:
        return HOST_READABLE | HOST_WRITABLE;
    case SIM_DESC_LISTENER:
        return desc->backlog_count > 0 ? HOST_READABLE : 0;
    case SIM_DESC_STREAM:
        break;
    }
    return sim_stream_poll(desc);
}

void sim_desc_tell(struct sim_host *sim, struct sim_desc *desc)
{
    struct sim_source *source;
    list_for_each (source, &desc->sources, link)
        sim_watch_ready(sim, source->watch, sim_desc_poll(desc));
}

void sim_source_watch(struct sim_host *sim, struct sim_desc *desc, struct sim_source *source,
                      struct host_watch *watch)
{
    if (source->watch)
        sim_watch_forget(sim, source->watch);
    list_remove(&source->link);
    source->watch = watch;
    if (!watch)
        return;
    watch->ready = 0;
    list_add_tail(&desc->sources, &source->link);
    sim_watch_ready(sim, watch, sim_desc_poll(desc));
}
