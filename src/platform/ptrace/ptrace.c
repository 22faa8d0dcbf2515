/* SPDX-License-Identifier: Apache-2.0 */
/* The ptrace platform as platform.c sees it. */
#include "platform/ptrace/internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct ptrace_platform *ptrace_platform_of(struct platform *platform)
{
    return container_of(platform, struct ptrace_platform, base);
}

static int ptrace_init(struct platform *base, char *err_text, size_t err_size)
{
    struct ptrace_platform *platform = ptrace_platform_of(base);
    platform->cpus = calloc(base->cpu_count, sizeof *platform->cpus);
    int err = platform->cpus ? xstate_remote_init() : -ENOMEM;
    if (err) {
        snprintf(err_text, err_size, "cannot make platform ptrace: out of memory");
        free(platform->cpus);
        return err;
    }
    for (u32 i = 0; i < base->cpu_count; i++)
        platform->cpus[i].base = (struct cpu){base, i};
    err = stubs_init(platform, err_text, err_size);
    if (err)
        free(platform->cpus);
    return err;
}

static void ptrace_fini(struct platform *base)
{
    struct ptrace_platform *platform = ptrace_platform_of(base);
    stubs_fini(platform);
    free(platform->cpus);
}

const struct platform_ops ptrace_platform_ops = {
    .features =
        {
            .name = "ptrace",
            .is_preemptible = true,
            .is_native = true,
            .needs_threads = true,
        },
    .platform_size = sizeof(struct ptrace_platform),
    .init = ptrace_init,
    .fini = ptrace_fini,
    .space_size = sizeof(struct ptrace_space),
    .space_init = ptrace_space_init,
    .space_fini = ptrace_space_fini,
    .space_map = ptrace_space_map,
    .space_unmap = ptrace_space_unmap,
    .space_protect = ptrace_space_protect,
    .space_commit = ptrace_space_commit,
    .space_is_done = ptrace_space_is_done,
    .cpu = ptrace_cpu,
    .cpu_attach = ptrace_cpu_attach,
    .cpu_detach = ptrace_cpu_detach,
    .cpu_enter = ptrace_cpu_enter,
    .cpu_run = ptrace_cpu_run,
    .cpu_leave = ptrace_cpu_leave,
    .cpu_kick = ptrace_cpu_kick,
    .context_sync = ptrace_context_sync,
    .context_forget = ptrace_context_forget,
};
