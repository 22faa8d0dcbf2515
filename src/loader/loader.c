/* SPDX-License-Identifier: Apache-2.0 */
/* The loader itself: its life, its state, pause and resume. */
#include "loader/loader.h"

#include <errno.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/observe/points.h"
#include "sentry/observe/strace.h"
#include "sentry/syscalls/syscalls.h"

#define STRACE_BITMAP_SIZE ((SYSCALL_COUNT + 63) / 64 * sizeof(u64))

const char *loader_state_name(enum loader_state state)
{
    static const char *const names[] = {
        [LOADER_CREATED] = "created",
        [LOADER_STARTED] = "started",
        [LOADER_RESTORING_UNSTARTED] = "restoringUnstarted",
        [LOADER_RESTORING_STARTED] = "restoringStarted",
        [LOADER_RESTORED] = "restored",
        [LOADER_RESTORE_FAILED] = "restoreFailed",
    };
    return names[state];
}

static int copy_config(struct loader *loader, const struct loader_config *config)
{
    struct arena *arena = loader->kernel->arena;
    loader->config = *config;
    loader->config.sandbox_id = arena_strdup(arena, config->sandbox_id);
    loader->config.version = arena_strdup(arena, config->version ? config->version : "");
    return loader->config.sandbox_id && loader->config.version ? 0 : -ENOMEM;
}

static void loader_free(struct loader *loader)
{
    struct arena *arena = loader->kernel->arena;
    arena_free_string(arena, (char *)(uintptr_t)loader->config.sandbox_id);
    arena_free_string(arena, (char *)(uintptr_t)loader->config.version);
    arena_free(arena, loader, sizeof *loader);
}

static struct loader *loader_alloc(struct kernel *kernel, const struct loader_config *config)
{
    struct loader *loader = arena_alloc(kernel->arena, sizeof *loader);
    if (!loader)
        return NULL;
    loader->kernel = kernel;
    list_init(&loader->containers);
    list_init(&loader->execs);
    list_init(&loader->observers);
    wait_queue_init(&loader->changed);
    loader->restore = (struct restore_args){-1, -1, -1, -1, false};
    if (copy_config(loader, config) == 0)
        return loader;
    loader_free(loader);
    return NULL;
}

static void fail_args(struct kernel *kernel, struct container_args *args)
{
    struct loader temporary = {.kernel = kernel};
    args_close(&temporary, args);
}

int loader_create(struct kernel *kernel, const struct loader_config *config,
                  struct container_args *args, struct loader **out, struct error *err)
{
    struct loader *loader = loader_alloc(kernel, config);
    if (!loader) {
        fail_args(kernel, args);
        return error_set(err, ENOMEM, "no memory for the sandbox's containers");
    }
    struct container *container = NULL;
    if (oci_spec_validate(args->spec, err)) {
        args_close(loader, args);
        loader_free(loader);
        return -1;
    }
    int result = container_new(loader, config->sandbox_id, &container);
    if (result) {
        args_close(loader, args);
        loader_free(loader);
        return error_set(err, -result, "cannot register container \"%s\": %s", config->sandbox_id,
                         errno_text(-result));
    }
    container->args = args_take(loader, args);
    if (!container->args) {
        loader_destroy(loader);
        return error_set(err, ENOMEM, "no memory for the sandbox's containers");
    }
    container->spec = MOVE(container->args->spec);
    *out = loader;
    return 0;
}

void loader_destroy(struct loader *loader)
{
    struct arena *arena = loader->kernel->arena;
    (void)!loader_set_strace(loader, false, 0, NULL);
    points_destroy(loader->kernel);
    while (!list_is_empty(&loader->execs)) {
        struct exec_entry *entry = list_first(&loader->execs, struct exec_entry, link);
        list_remove(&entry->link);
        REF_PUT(entry->group);
        arena_free_string(arena, entry->container_id);
        arena_free(arena, entry, sizeof *entry);
    }
    while (!list_is_empty(&loader->containers))
        container_remove(list_first(&loader->containers, struct container, link));
    loader_close_fd(loader, &loader->restore.state_fd);
    loader_close_fd(loader, &loader->restore.pages_meta_fd);
    loader_close_fd(loader, &loader->restore.pages_fd);
    loader_close_fd(loader, &loader->restore.device_fd);
    fs_image_free(loader);
    arena_free_string(arena, loader->network_config);
    loader_free(loader);
}

struct kernel *loader_kernel(struct loader *loader)
{
    return loader->kernel;
}

const struct loader_config *loader_config(const struct loader *loader)
{
    return &loader->config;
}

enum loader_state loader_state(const struct loader *loader)
{
    return loader->state;
}

void loader_observe(struct loader *loader, struct loader_observer *observer)
{
    list_add_tail(&loader->observers, &observer->link);
}

int loader_set_network_config(struct loader *loader, const char *text)
{
    char *copy = arena_strdup(loader->kernel->arena, text);
    if (!copy)
        return -ENOMEM;
    arena_free_string(loader->kernel->arena, loader->network_config);
    loader->network_config = copy;
    return 0;
}

const char *loader_network_config(const struct loader *loader)
{
    return loader->network_config;
}

int loader_pause(struct loader *loader, struct task *by, struct error *err)
{
    if (loader->kernel->pause_count == UINT32_MAX)
        return error_set(err, EOVERFLOW, "sandbox is paused too often");
    kernel_pause(loader->kernel, by);
    return 0;
}

int loader_resume(struct loader *loader, struct task *by, struct error *err)
{
    return kernel_resume(loader->kernel) ? error_set(err, EINVAL, "sandbox is not paused") : 0;
}

/* The bitmap must live as long as the log that reads it. */
static int copy_wanted(struct arena *arena, const u64 *wanted, u64 **out)
{
    *out = NULL;
    if (!wanted)
        return 0;
    *out = arena_alloc(arena, STRACE_BITMAP_SIZE);
    if (!*out)
        return -ENOMEM;
    memcpy(*out, wanted, STRACE_BITMAP_SIZE);
    return 0;
}

int loader_set_strace(struct loader *loader, bool is_on, u32 size_max, const u64 *wanted)
{
    struct arena *arena = loader->kernel->arena;
    struct strace_config config = {.size_max = size_max};
    struct strace *strace = NULL;
    u64 *copy = NULL;
    int err = copy_wanted(arena, is_on ? wanted : NULL, &copy);
    if (err)
        return err;
    config.wanted = copy;
    err = is_on ? strace_create(loader->kernel, &config, &strace) : 0;
    if (err) {
        arena_free(arena, copy, STRACE_BITMAP_SIZE);
        return err;
    }
    if (loader->strace)
        strace_destroy(loader->strace);
    arena_free(arena, loader->strace_wanted, STRACE_BITMAP_SIZE);
    loader->strace = strace;
    loader->strace_wanted = copy;
    return 0;
}
