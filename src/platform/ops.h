/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a platform implements. platform.c dispatches platform.h's functions to these; each
 * platform's own structs begin with the ones below. platforms.def lists the platforms.
 */
#pragma once
#include "platform/pagetable.h"
#include "platform/platform.h"

struct platform_ops;

struct platform {
    const struct platform_ops *ops;
    struct machine_memory *memory;
    u32 cpu_count;
    int device;     /* lent for `init`: the host's device that the platform works with, or -1 */
    char note[128]; /* what `init` found out about the host; may be empty */
    struct pagetable_pool tables;
};

struct space {
    struct platform *platform;
    struct pagetable table;
};

struct cpu {
    struct platform *platform;
    u32 index;
};

/* Each is the function of platform.h with the same name. */
struct platform_ops {
    struct platform_features features;

    /* A platform of its own size with zeros in the common part, filled in by platform.c before
     * `init`. */
    size_t platform_size;
    MUST_CHECK int (*init)(struct platform *platform, char *err_text, size_t err_size);
    void (*fini)(struct platform *platform);

    /* Likewise; the page table is made before `space_init` and ends after `space_fini`. */
    size_t space_size;
    MUST_CHECK int (*space_init)(struct space *space);
    void (*space_fini)(struct space *space);
    /* Arguments are judged: COUNT > 0, all within SPACE_ADDRESS_MIN..END, tables reserved for a
     * map. */
    void (*space_map)(struct space *space, uaddr address, frame first, u64 count, u32 prot);
    void (*space_unmap)(struct space *space, uaddr address, u64 count);
    void (*space_protect)(struct space *space, uaddr address, u64 count, u32 prot);
    u64 (*space_commit)(struct space *space);
    bool (*space_is_done)(struct space *space, u64 batch);

    struct cpu *(*cpu)(struct platform *platform, u32 index);
    MUST_CHECK int (*cpu_attach)(struct cpu *cpu);
    void (*cpu_detach)(struct cpu *cpu);
    void (*cpu_enter)(struct cpu *cpu, struct space *space, struct context *context);
    void (*cpu_run)(struct cpu *cpu, struct event *event);
    void (*cpu_leave)(struct cpu *cpu);
    void (*cpu_kick)(struct cpu *cpu);
    void (*context_sync)(struct context *context); /* only for a context with an xstate_cpu */
    void (*context_forget)(struct platform *platform, struct context *context);
};
