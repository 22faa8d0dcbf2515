/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint: pause, save, and then either go on or end everything with status 0. When saving fails
 * everything goes on, whatever was asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/fs/erofs/erofs.h"
#include "sentry/state/state.h"

/* ---- files ---------------------------------------------------------------------------------- */

struct output {
    struct state_output out;
    struct task *by;
    struct host_file *file;
};

/* At the description's own place, so that a pipe is as good as a file. */
SLEEPS static int output_write(struct state_output *self, const void *bytes, size_t size)
{
    struct output *output = self->owner;
    struct arena *arena = output->by->kernel->arena;
    struct host_op *op = arena_alloc(arena, sizeof *op);
    if (!op)
        return -ENOMEM;
    i64 written = 0;
    while (size > 0 && written >= 0) {
        memset(op, 0, sizeof *op);
        op->type = HOST_OP_WRITE;
        op->file = output->file;
        op->iov_count = 1;
        op->iov[0] = (struct host_iovec){(void *)(uintptr_t)bytes, size};
        written = fiber_host_op(&output->by->fiber, op);
        if (written == 0)
            written = -EIO;
        if (written > 0) {
            bytes = (const u8 *)bytes + written;
            size -= (size_t)written;
        }
    }
    arena_free(arena, op, sizeof *op);
    return written < 0 ? (int)written : 0;
}

static int output_open(struct output *output, struct loader *loader, struct task *by, int *fd)
{
    *output = (struct output){.out = {.write = output_write, .owner = output}, .by = by};
    if (*fd < 0)
        return 0;
    output->file = host_file_from_fd(loader->kernel->host, *fd);
    if (!output->file)
        return -EBADF;
    *fd = -1;
    return 0;
}

/* ---- metadata ------------------------------------------------------------------------------- */

static int describe_container(struct container *container, struct pool *pool,
                              struct image_container *out)
{
    out->id = container->id;
    out->name = container_name(container, pool);
    struct control_group *group = control_group_of(container->loader->kernel, container->id);
    if (group && group->nr) {
        out->group = group->nr;
        out->limits = group->limits;
        out->cpus = group->cpus;
        out->mems = group->mems;
    }
    if (container_has_ended(container)) {
        out->status = (u32)container->init->exit_code;
        return out->name ? 0 : -ENOMEM;
    }
    out->init = thread_group_pid_in(container->init, container->loader->kernel->root_pid_ns);
    out->gofers.items = pool_alloc_array(pool, container->gofer_count, sizeof(u32));
    out->stdio.items = pool_alloc_array(pool, 3, sizeof(u32));
    if (!out->name || !out->gofers.items || !out->stdio.items)
        return -ENOMEM;
    for (u32 i = 0; i < container->gofer_count; i++)
        out->gofers.items[i] = container->gofers[i]->dev;
    for (u32 i = 0; i < 3; i++)
        out->stdio.items[i] = container->stdio_numbers[i];
    out->gofers.count = container->gofer_count;
    out->stdio.count = 3;
    return 0;
}

static int describe_containers(struct loader *loader, struct pool *pool,
                               struct image_containers *out)
{
    struct container *container;
    out->list.items = pool_alloc_array(pool, loader->container_count, sizeof *out->list.items);
    if (!out->list.items)
        return -ENOMEM;
    list_for_each (container, &loader->containers, link) {
        if (container->phase != CONTAINER_PHASE_STARTED)
            continue;
        int err = describe_container(container, pool, &out->list.items[out->list.count++]);
        if (err)
            return err;
    }
    return 0;
}

/* {"NAME": SPEC, …}: what a later restore holds its own specs against. */
static char *spec_map_text(struct loader *loader, struct pool *pool)
{
    AUTO_BUF struct buf text;
    struct json_writer writer;
    struct container *container;
    buf_init(&text, loader->kernel->arena, 0);
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    list_for_each (container, &loader->containers, link) {
        if (container->phase != CONTAINER_PHASE_STARTED || !container->spec)
            continue;
        const char *name = container_name(container, pool);
        if (!name)
            return NULL;
        json_name(&writer, name);
        wire_encode(&writer, &oci_spec_type, container->spec);
    }
    json_end_object(&writer);
    return writer.failed ? NULL : pool_strndup(pool, (char *)buf_bytes(&text), text.size);
}

static int set_client_metadata(struct state_metadata *metadata, const struct wire_list *client)
{
    struct pair {
        char *name, *value;
    };
    const struct pair *pairs = client ? client->items : NULL;
    for (size_t i = 0; client && i < client->count; i++) {
        int err = state_metadata_set(metadata, pairs[i].name, pairs[i].value ? pairs[i].value : "");
        if (err)
            return err;
    }
    return 0;
}

static int set_text(struct state_metadata *metadata, const char *key, const char *value)
{
    return value ? state_metadata_set(metadata, key, value) : -ENOMEM;
}

static u64 total_cpu_ns(struct loader *loader)
{
    struct container *container;
    u64 total = 0;
    list_for_each (container, &loader->containers, link)
        total += loader_container_cpu_ns(loader, container->id);
    return total;
}

static int fill_metadata(struct loader *loader, struct state_metadata *metadata,
                         const struct wire_list *client, struct pool *pool)
{
    struct image_containers containers = {0};
    u64 realtime = kernel_realtime_ns(loader->kernel);
    int err = set_client_metadata(metadata, client);
    if (!err)
        err = describe_containers(loader, pool, &containers);
    if (!err)
        err = set_text(metadata, "picket_containers",
                       wire_encode_text(&image_containers_type, &containers, pool));
    if (!err)
        err = set_text(metadata, "container_specs", spec_map_text(loader, pool));
    if (!err)
        err = set_text(metadata, "runsc_version", loader->config.version);
    if (!err)
        err = set_text(metadata, "container_count",
                       pool_printf(pool, "%zu", containers.list.count));
    if (!err)
        err = set_text(metadata, "cpu_usage",
                       pool_printf(pool, "%lluns", (unsigned long long)total_cpu_ns(loader)));
    if (!err)
        err = set_text(metadata, "gvisor_wall_time",
                       pool_printf(pool, "%lluns",
                                   (unsigned long long)(kernel_monotonic_ns(loader->kernel) -
                                                        loader->kernel->boot_monotonic_ns)));
    if (!err)
        err = set_text(metadata, "timestamp",
                       pool_printf(pool, "%llu", (unsigned long long)(realtime / NS_PER_S)));
    if (!err)
        err = set_text(metadata, "_timestamp",
                       pool_printf(pool, "%llu", (unsigned long long)realtime));
    if (!err)
        err = set_text(metadata, "network", loader->config.has_host_network ? "host" : "none");
    return err;
}

/* ---- images that calls have mounted ------------------------------------------------------------ */

/* Does a restore get SUPER's descriptor again, as the root or a mount of a container's spec? */
static bool is_handed_in_again(struct loader *loader, const struct super *super)
{
    const struct container *container;
    list_for_each (container, &loader->containers, link)
        for (u32 i = 0; container->phase == CONTAINER_PHASE_STARTED && i < container->gofer_count;
             i++)
            if (container->gofers[i] == super && !container_has_ended(container))
                return true;
    return false;
}

static struct super *next_image(struct loader *loader, struct super *after)
{
    struct list *supers = &loader->kernel->vfs->supers;
    struct list *at = after ? after->link.next : supers->next;
    for (; at != supers; at = at->next) {
        struct super *super = container_of(at, struct super, link);
        if (strcmp(super->type_name, "erofs") == 0 && !is_handed_in_again(loader, super))
            return super;
    }
    return NULL;
}

/* The others' bytes go into the checkpoint. All tasks are at rest; mounting waits for them. */
SLEEPS static int copy_images(struct loader *loader, struct task *by)
{
    int err = 0;
    AUTO_PUT struct super *held = NULL;
    for (struct super *super = next_image(loader, NULL); super && !err;
         super = next_image(loader, held)) {
        REF_PUT(held);
        held = REF_GET(super);
        err = erofs_copy(by, super);
    }
    return err;
}

static void forget_images(struct loader *loader)
{
    for (struct super *super = next_image(loader, NULL); super; super = next_image(loader, super))
        erofs_forget_copy(super);
}

/* ---- saving --------------------------------------------------------------------------------- */

struct outputs {
    struct output state, pages_meta, pages;
};

static int outputs_open(struct outputs *outputs, struct loader *loader, struct task *by,
                        struct checkpoint_args *args)
{
    int err = output_open(&outputs->state, loader, by, &args->state_fd);
    if (!err)
        err = output_open(&outputs->pages_meta, loader, by, &args->pages_meta_fd);
    if (!err)
        err = output_open(&outputs->pages, loader, by, &args->pages_fd);
    return err;
}

static void outputs_close(struct outputs *outputs)
{
    host_file_put(outputs->state.file);
    host_file_put(outputs->pages_meta.file);
    host_file_put(outputs->pages.file);
}

SLEEPS static int save(struct loader *loader, struct task *by, struct outputs *outputs,
                       const struct checkpoint_args *args, struct error *err)
{
    AUTO_POOL struct pool pool;
    struct state_metadata metadata;
    bool has_pages = outputs->pages.file != NULL;
    pool_init(&pool, loader->kernel->arena);
    state_metadata_init(&metadata, loader->kernel->arena);
    int result = fill_metadata(loader, &metadata, args->metadata, &pool);
    const struct state_save_options options = {
        .state = &outputs->state.out,
        .pages_meta = has_pages ? &outputs->pages_meta.out : NULL,
        .pages = has_pages ? &outputs->pages.out : NULL,
        .metadata = &metadata,
        .is_compressed = args->is_compressed,
    };
    result = result ? error_set(err, -result, "checkpoint: %s", errno_text(-result))
                    : state_save(loader->kernel, by, &options, err);
    state_metadata_fini(&metadata);
    return result;
}

/* From here on no process of any container comes back. */
static void end_everything(struct loader *loader)
{
    struct task *task;
    list_for_each (task, &loader->kernel->tasks, kernel_link)
        if (task_leads(task, NULL))
            thread_group_kill(task->group, 0);
}

void checkpoint_freeze(struct loader *loader, struct task *by)
{
    kernel_pause(loader->kernel, by);
    loader->kernel->is_frozen = true;
}

void checkpoint_thaw(struct loader *loader, bool ends)
{
    loader->kernel->is_frozen = false;
    if (ends)
        end_everything(loader);
    wake_up_all(&loader->kernel->resumed); /* the killed do not wait for nested pauses to end */
    (void)!kernel_resume(loader->kernel);
}

int checkpoint_check_state(struct loader *loader, struct error *err)
{
    if (loader->state == LOADER_STARTED || loader->state == LOADER_RESTORED)
        return 0;
    return error_set(err, EINVAL, "sandbox is not in started state, cannot checkpoint: state=%s",
                     loader_state_name(loader->state));
}

void attempts_add(struct loader *loader, struct attempts *attempts, int result,
                  const struct error *err)
{
    attempts->count++;
    attempts->error = result ? *err : (struct error){0};
    wake_up_all(&loader->changed);
}

int attempts_wait(struct loader *loader, struct task *by, struct attempts *attempts,
                  struct error *err)
{
    u64 seen = attempts->count;
    while (attempts->count == seen)
        if (sleep_on(&loader->changed, by, NO_DEADLINE))
            return error_set(err, EINTR, "interrupted");
    if (!attempts->error.text[0])
        return 0;
    *err = attempts->error;
    return -1;
}

SLEEPS static int save_frozen(struct loader *loader, struct task *by, struct checkpoint_args *args,
                              struct error *err)
{
    struct outputs outputs = {0};
    checkpoint_freeze(loader, by);
    int result = outputs_open(&outputs, loader, by, args);
    if (!result)
        result = copy_images(loader, by);
    result = result ? error_set(err, -result, "checkpoint: %s", errno_text(-result))
                    : save(loader, by, &outputs, args, err);
    forget_images(loader);
    outputs_close(&outputs);
    checkpoint_thaw(loader, result == 0 && !args->resumes);
    return result;
}

int loader_checkpoint(struct loader *loader, struct task *by, const struct checkpoint_args *args,
                      struct error *err)
{
    struct checkpoint_args own = *args;
    int result = checkpoint_check_state(loader, err);
    if (!result) {
        result = save_frozen(loader, by, &own, err);
        attempts_add(loader, &loader->checkpoints, result, err);
    }
    loader_close_fd(loader, &own.state_fd);
    loader_close_fd(loader, &own.pages_meta_fd);
    loader_close_fd(loader, &own.pages_fd);
    return result;
}

int loader_wait_checkpoint(struct loader *loader, struct task *by, struct error *err)
{
    return attempts_wait(loader, by, &loader->checkpoints, err);
}
