/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sentry, put together from its rooms: memfile, platform, kernel, file systems, network, vDSO,
 * system calls. The sandbox process makes one; the simulator makes as many as a scenario wants.
 */
#pragma once
#include "base/error.h"
#include "base/log.h"
#include "host/host.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"

struct net_plugin;
struct sentry_config {
    struct host *host;    /* lent */
    const char *platform; /* a name of platform_create */
    int platform_device;  /* its device, lent; 0 or -1: none */
    u32 cpu_count;
    u64 memory_size;    /* of the memfile and the sandbox's limit, bytes */
    u64 arena_size_max; /* of the sentry's own memory; 0: none */
    struct log *log;    /* lent */
    struct kernel_config kernel;
    const struct net_plugin *net_plugin; /* lent; NULL: no network stack but the sandbox's own */
};

struct sentry {
    struct host *host;
    struct arena *arena;
    struct machine_memory memfile;
    struct platform *platform;
    struct kernel *kernel;
};

/* 0, or -1 with ERR and nothing left. */
MUST_CHECK int sentry_create(const struct sentry_config *config, struct sentry *out,
                             struct error *err);
/* No application task is left and cpus do not run. */
void sentry_destroy(struct sentry *sentry);
