/* SPDX-License-Identifier: Apache-2.0 */
/* Wires the rooms of the sentry together, lowest first, and takes them apart in the other order. */
#include "loader/sentry.h"

#include <errno.h>
#include <string.h>

#include "sentry/exec/vdso.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/fs/vfs.h"
#include "sentry/net/net.h"
#include "sentry/syscalls/hooks.h"
#include "sentry/syscalls/syscalls.h"

static int create_upper_rooms(struct kernel *kernel)
{
    kernel->syscalls = &syscall_dispatcher;
    kernel->hooks = &syscall_kernel_hooks;
    int err = vfs_create(kernel);
    if (!err)
        err = net_stack_create(kernel);
    if (!err)
        err = vdso_create(kernel);
    return err;
}

static void destroy_upper_rooms(struct kernel *kernel)
{
    vdso_destroy(kernel);
    if (kernel->net)
        net_stack_destroy(kernel);
    if (kernel->vfs)
        vfs_destroy(kernel);
}

int sentry_create(const struct sentry_config *config, struct sentry *out, struct error *err)
{
    *out = (struct sentry){.host = config->host};
    out->arena = host_arena_create(config->host, config->arena_size_max);
    if (!out->arena)
        return error_set(err, ENOMEM, "no memory for the sandbox's own arena");
    u64 frame_count = config->memory_size >> PAGE_SHIFT;
    char text[256] = "";
    int result = machine_memory_create("picket-memory", frame_count, &out->memfile);
    if (result) {
        error_set(err, -result, "cannot make a memory file of %llu MiB: %s",
                  (unsigned long long)(config->memory_size >> 20), errno_text(-result));
        goto undo_arena;
    }
    int device = config->platform_device > 0 ? config->platform_device : -1;
    result = platform_create_on(config->platform, device, &out->memfile, config->cpu_count,
                                &out->platform, text, sizeof text);
    if (result) {
        error_set(err, -result, "cannot start the platform '%s': %s", config->platform,
                  text[0] ? text : errno_text(-result));
        goto undo_memory;
    }
    result = kernel_create(out->arena, config->host, out->platform, &out->memfile,
                           config->cpu_count, config->log, &config->kernel, &out->kernel);
    if (result) {
        error_set(err, -result, "cannot make the kernel: %s", errno_text(-result));
        goto undo_platform;
    }
    result = create_upper_rooms(out->kernel);
    if (result) {
        error_set(err, -result, "cannot make the kernel's file systems: %s", errno_text(-result));
        goto undo_kernel;
    }
    out->kernel->net->plugin = config->net_plugin;
    return 0;
undo_kernel:
    destroy_upper_rooms(out->kernel);
    kernel_destroy(out->kernel);
undo_platform:
    platform_destroy(out->platform);
undo_memory:
    machine_memory_destroy(&out->memfile);
undo_arena:
    host_arena_destroy(config->host, out->arena);
    return -1;
}

void sentry_destroy(struct sentry *sentry)
{
    destroy_upper_rooms(sentry->kernel);
    kernel_destroy(sentry->kernel);
    platform_destroy(sentry->platform);
    machine_memory_destroy(&sentry->memfile);
    host_arena_destroy(sentry->host, sentry->arena);
}
