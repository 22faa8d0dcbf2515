/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore: the image's kernel takes the place of the fresh one, and the restoring side's containers
 * take the place of the saved ones, by name. Until the last container has come nothing is read but
 * the metadata.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/fs/erofs/erofs.h"
#include "sentry/fs/host_std.h"
#include "sentry/state/state.h"

/* ---- judging the metadata
 * ------------------------------------------------------------------------------------- */

static int check_version(struct loader *loader, const struct state_metadata *metadata,
                         struct error *err)
{
    const char *version = state_metadata_get(metadata, "runsc_version");
    if (version && strcmp(version, loader->config.version) == 0)
        return 0;
    return error_set(
        err, EINVAL,
        "runsc version does not match across checkpoint restore, checkpoint: %s current: %s",
        version ? version : "", loader->config.version);
}

static int read_count(struct loader *loader, const struct state_metadata *metadata,
                      struct error *err)
{
    i64 count = 1;
    const char *text = state_metadata_get(metadata, "container_count");
    const struct json_text number = {text, text ? strlen(text) : 0};
    if (text && !json_i64(number, &count))
        return error_set(err, EINVAL, "invalid container count: %s", text);
    if (count < 1 || count > (i64)CONTAINERS_MAX)
        return error_set(err, EINVAL, "invalid container count value: %lld", (long long)count);
    loader->restore_want = (u32)count;
    return 0;
}

/* "123ns"; 0 for anything else. */
static u64 read_ns(const struct state_metadata *metadata, const char *key)
{
    const char *text = state_metadata_get(metadata, key);
    char *end = NULL;
    u64 ns = text ? strtoull(text, &end, 10) : 0;
    return text && end != text && strcmp(end, "ns") == 0 ? ns : 0;
}

struct loader_savings loader_savings(const struct loader *loader)
{
    bool is_restored = loader->state == LOADER_RESTORED;
    return is_restored ? loader->savings : (struct loader_savings){0};
}

SLEEPS static int read_head(struct loader *loader, struct image_file *file, struct error *err)
{
    struct state_metadata metadata;
    state_metadata_init(&metadata, loader->kernel->arena);
    int result = 0;
    if (image_file_size(file) == 0)
        result = error_set(err, EINVAL, "statefile cannot be empty");
    if (!result)
        result = state_read_metadata(image_file_input(file), &metadata, err);
    if (!result)
        result = check_version(loader, &metadata, err);
    if (!result)
        result = read_count(loader, &metadata, err);
    if (!result)
        loader->savings = (struct loader_savings){
            .cpu_ns = read_ns(&metadata, "cpu_usage"),
            .wall_ns = read_ns(&metadata, "gvisor_wall_time")};
    state_metadata_fini(&metadata);
    return result;
}

/* ---- containers of the image
 * --------------------------------------------------------------------------------------- */

static struct container *find_named(struct loader *loader, const char *name, struct pool *pool)
{
    struct container *container;
    list_for_each (container, &loader->containers, link) {
        const char *its = container_name(container, pool);
        if (its && name && strcmp(its, name) == 0)
            return container;
    }
    return NULL;
}

/* Processes of container FROM are those of container TO now. */
static int rename_groups(struct loader *loader, const char *from, const char *to)
{
    struct arena *arena = loader->kernel->arena;
    struct task *task;
    list_for_each (task, &loader->kernel->tasks, kernel_link) {
        if (!task_leads(task, from))
            continue;
        char *id = arena_strdup(arena, to);
        if (!id)
            return -ENOMEM;
        arena_free_string(arena, task->group->container_id);
        task->group->container_id = id;
    }
    return 0;
}

/* Its control group goes on under the container's present id, with the number that open files know.
 */
static int adopt_group(struct container *container, const struct image_container *image)
{
    struct kernel *kernel = container->loader->kernel;
    if (!image->group)
        return 0;
    struct control_group *group = control_group_make(kernel, container->id);
    if (!group)
        return -ENOMEM;
    group->nr = image->group;
    group->limits = image->limits;
    strncpy(group->cpus, image->cpus ? image->cpus : "", CONTROL_LIST_SIZE - 1);
    strncpy(group->mems, image->mems ? image->mems : "", CONTROL_LIST_SIZE - 1);
    kernel->control_group_last = MAX(kernel->control_group_last, image->group);
    return 0;
}

static int adopt_init(struct container *container, u32 init, u32 status)
{
    struct kernel *kernel = container->loader->kernel;
    if (!init) { /* it had ended: only its status is left */
        container->pid_ns = REF_GET(kernel->root_pid_ns);
        return thread_group_create_ended(kernel, (i32)status, &container->init);
    }
    struct thread_group *group = thread_group_find(kernel->root_pid_ns, init);
    if (!group || !group->leader)
        return -ESRCH;
    struct task *leader = group->leader;
    container->init = REF_GET(group);
    container->pid_ns = REF_GET(group->pid_ns);
    container->ns = REF_GET(leader->ns);
    container->mounts = REF_GET(task_mount_ns(leader));
    return container->mounts ? 0 : -EINVAL;
}

static struct super *find_super(struct kernel *kernel, u32 dev)
{
    struct super *super;
    list_for_each (super, &kernel->vfs->supers, link)
        if (super->dev == dev)
            return super;
    return NULL;
}

/* SUPER speaks to the gofer, or reads the image, that FD is. */
SLEEPS static int reconnect(struct task *by, struct super *super, int *fd)
{
    struct host *host = by->kernel->host;
    bool is_image = strcmp(super->type_name, "erofs") == 0;
    struct host_stream *stream = is_image ? NULL : host_stream_from_fd(host, *fd);
    struct host_file *file = is_image ? host_file_from_fd(host, *fd) : NULL;
    if (!stream && !file)
        return -ENOMEM;
    *fd = -1;
    return is_image ? erofs_reconnect(by, super, file) : gofer_fs_reconnect(by, super, stream);
}

/* Nobody has given back the descriptor of an image that the saved sandbox did not keep either. */
static void tell_lost_images(struct loader *loader)
{
    const struct super *super;
    list_for_each (super, &loader->kernel->vfs->supers, link)
        if (strcmp(super->type_name, "erofs") == 0 && !erofs_is_there(super))
            log_warn(loader->kernel->log, "loader",
                     "a mounted image is not there after the restore: what is not cached answers "
                     "EIO");
}

SLEEPS static int reconnect_gofers(struct container *container, struct task *by,
                                   const struct image_container *image)
{
    struct kernel *kernel = container->loader->kernel;
    struct container_args *args = container->args;
    if (args->gofer_count < image->gofers.count)
        return -EBADF;
    for (u32 i = 0; i < image->gofers.count; i++) {
        struct super *super = find_super(kernel, image->gofers.items[i]);
        int err = super ? reconnect(by, super, &args->gofers[i]) : -EINVAL;
        if (!err)
            err = container_add_gofer(container, super);
        if (err)
            return err;
    }
    return 0;
}

/* ---- stdio ---------------------------------------------------------------------------------- */

/* A reference to the description with NUMBER among the container's descriptors, or NULL. */
static struct file *find_stdio(struct container *container, u32 number)
{
    struct task *task;
    list_for_each (task, &container->loader->kernel->tasks, kernel_link) {
        if (task->is_kernel || !task->fds || !task->group->container_id ||
            strcmp(task->group->container_id, container->id) != 0)
            continue;
        for (u32 fd = 0; fd < task->fds->capacity; fd++)
            if (task->fds->files[fd] && stdio_number(task->fds->files[fd]) == number)
                return REF_GET(task->fds->files[fd]);
    }
    return NULL;
}

SLEEPS static int replace_stdio(struct container *container, struct task *by,
                                const struct image_container *image)
{
    struct file *files[3] = {NULL, NULL, NULL};
    u32 count = (u32)MIN(image->stdio.count, (size_t)3);
    /* Find all first: a replaced one has a new number, which may be another's old one. */
    for (u32 i = 0; i < count; i++) {
        bool is_same = i > 0 && image->stdio.items[i] == image->stdio.items[i - 1];
        files[i] = image->stdio.items[i] && !is_same ? find_stdio(container, image->stdio.items[i])
                                                     : NULL;
    }
    int err = 0;
    for (u32 i = 0; i < count; i++) {
        int fd = container->args->stdio[i];
        if (!err && files[i] && fd >= 0) {
            container->args->stdio[i] = -1;
            err = stdio_replace(container->loader, by, fd, i, files[i]);
        }
        container->stdio_numbers[i] = files[i] ? stdio_number(files[i])
                                      : i > 0  ? container->stdio_numbers[i - 1]
                                               : 0;
    }
    for (u32 i = 0; i < count; i++)
        REF_PUT(files[i]);
    return err;
}

/* ---- the whole ------------------------------------------------------------------------------ */

SLEEPS static int adopt_container(struct loader *loader, struct task *by,
                                  const struct image_container *image, struct pool *pool,
                                  struct error *err)
{
    struct container *container = find_named(loader, image->name, pool);
    if (!container || !container->args || !image->id)
        return error_set(err, EINVAL, "unable to remap task with CID %s",
                         image->id ? image->id : "");
    int result = rename_groups(loader, image->marked, container->id);
    if (!result)
        result = adopt_group(container, image);
    if (!result)
        result = adopt_init(container, image->init, image->status);
    if (!result)
        result = reconnect_gofers(container, by, image);
    if (!result)
        result = replace_stdio(container, by, image);
    if (result)
        return error_set(err, -result, "restoring container \"%s\": %s", container->id,
                         errno_text(-result));
    container->phase = CONTAINER_PHASE_STARTED;
    wake_up_all(&container->changed);
    container_watch_gofer(container);
    args_free(loader, MOVE(container->args));
    return 0;
}

/* Ids that are to be given must not be ids that are still to be replaced: saved ones get a mark
 * first. */
static int mark_groups(struct loader *loader, struct image_containers *images, struct pool *pool)
{
    for (size_t i = 0; i < images->list.count; i++) {
        struct image_container *image = &images->list.items[i];
        image->marked = pool_printf(pool, "saved/%zu", i);
        int err = image->marked ? rename_groups(loader, image->id ? image->id : "", image->marked)
                                : -ENOMEM;
        if (err)
            return err;
    }
    return 0;
}

static bool is_init(struct loader *loader, const struct thread_group *group)
{
    struct container *container;
    list_for_each (container, &loader->containers, link)
        if (container->init == group)
            return true;
    return false;
}

/* What exec had started has no caller any more. */
static void kill_execs(struct loader *loader)
{
    struct task *task;
    list_for_each (task, &loader->kernel->tasks, kernel_link)
        if (task_leads(task, NULL) && !task->group->parent && !is_init(loader, task->group))
            thread_group_kill(task->group, LINUX_SIGKILL);
}

SLEEPS static int adopt_all(struct loader *loader, struct task *by,
                            const struct state_metadata *metadata, struct error *err)
{
    AUTO_POOL struct pool pool;
    struct image_containers images = {0};
    struct json_text value;
    const char *text = state_metadata_get(metadata, "picket_containers");
    pool_init(&pool, loader->kernel->arena);
    if (!text)
        return error_set(err, EINVAL, "the image does not say which containers it has");
    if (json_parse(text, strlen(text), 0, &value, err) ||
        wire_decode(&image_containers_type, value, &pool, &images, err))
        return error_prefix(err, "containers of the image");
    if (mark_groups(loader, &images, &pool))
        return error_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < images.list.count; i++)
        if (adopt_container(loader, by, &images.list.items[i], &pool, err))
            return -1;
    kill_execs(loader);
    tell_lost_images(loader);
    return 0;
}

struct image_files {
    struct image_file *state, *pages_meta, *pages;
};

static void files_close(struct image_files *files)
{
    image_file_close(files->state);
    image_file_close(files->pages_meta);
    image_file_close(files->pages);
}

static int files_open(struct loader *loader, struct task *by, struct image_files *files,
                      struct error *err)
{
    struct restore_args *args = &loader->restore;
    int result = image_file_open(loader, by, &args->state_fd, &files->state);
    if (!result && args->pages_meta_fd >= 0)
        result = image_file_open(loader, by, &args->pages_meta_fd, &files->pages_meta);
    if (!result && args->pages_fd >= 0)
        result = image_file_open(loader, by, &args->pages_fd, &files->pages);
    return result ? error_set(err, -result, "cannot open the image: %s", errno_text(-result)) : 0;
}

SLEEPS static int load_image(struct loader *loader, struct task *by, struct image_files *files,
                             struct error *err)
{
    struct state_metadata metadata;
    struct object *extra = NULL;
    state_metadata_init(&metadata, loader->kernel->arena);
    const struct state_load_options options = {
        .state = image_file_input(files->state),
        .pages_meta = files->pages ? image_file_input(files->pages_meta) : NULL,
        .pages = files->pages ? image_file_input(files->pages) : NULL,
        .metadata = &metadata,
    };
    int result = state_load(loader->kernel, by, &options, &extra, err);
    object_put(extra);
    if (!result)
        result = adopt_all(loader, by, &metadata, err);
    state_metadata_fini(&metadata);
    if (result)
        return -1;
    result = state_start(loader->kernel);
    return result
               ? error_set(err, -result, "cannot start the restored tasks: %s", errno_text(-result))
               : 0;
}

/* Tasks that were loaded but will never run. */
static void discard_tasks(struct loader *loader)
{
    struct task *task, *next;
    list_for_each_safe (task, next, &loader->kernel->tasks, kernel_link)
        if (!task->is_kernel && task->fiber.state == FIBER_NEW)
            task_discard(REF_GET(task));
}

static void finish(struct loader *loader, int result, const struct error *err)
{
    struct loader_observer *observer, *next;
    struct container *container;
    loader->is_starting = false;
    loader->state = result ? LOADER_RESTORE_FAILED : LOADER_RESTORED;
    if (result)
        loader->restore_error = *err;
    list_for_each (container, &loader->containers, link)
        if (result && container->phase != CONTAINER_PHASE_STARTED) {
            container->phase = CONTAINER_PHASE_FAILED;
            wake_up_all(&container->changed);
        }
    if (!result)
        list_for_each_safe (observer, next, &loader->observers, link)
            observer->renewed(observer);
    wake_up_all(&loader->changed);
}

static int restore_failed(struct loader *loader, const struct error *err)
{
    log_warn(loader->kernel->log, "loader", "restore failed: %s", err->text);
    finish(loader, -1, err);
    return -1;
}

int restore_run(struct loader *loader, struct task *by, struct error *err)
{
    struct image_files files = {0};
    loader->state = LOADER_RESTORING_STARTED;
    int result = files_open(loader, by, &files, err);
    if (!result)
        result = restore_judge_specs(loader, files.state, err);
    if (!result)
        result = load_image(loader, by, &files, err);
    files_close(&files);
    if (result) {
        discard_tasks(loader);
        return restore_failed(loader, err);
    }
    finish(loader, 0, NULL);
    return 0;
}

/* ---- the calls ------------------------------------------------------------------------------ */

static void close_restore(struct loader *loader)
{
    loader_close_fd(loader, &loader->restore.state_fd);
    loader_close_fd(loader, &loader->restore.pages_meta_fd);
    loader_close_fd(loader, &loader->restore.pages_fd);
    loader_close_fd(loader, &loader->restore.device_fd);
}

static int check_restore(struct loader *loader, struct error *err)
{
    if (loader->state == LOADER_RESTORING_UNSTARTED || loader->state == LOADER_RESTORING_STARTED)
        return error_set(err, EINVAL, "restore is already in progress");
    if (loader->state != LOADER_CREATED || loader->is_starting)
        return error_set(err, EINVAL, "cannot restore a container in state=%s",
                         loader_state_name(loader->state));
    return 0;
}

/* The state file is read for its head, and kept for the rest. */
SLEEPS static int accept_image(struct loader *loader, struct task *by, struct error *err)
{
    struct image_file *file = NULL;
    int fd = loader->restore.state_fd;
    int kept = -1;
    int result = image_file_open(loader, by, &fd, &file);
    if (result)
        return error_set(err, -result, "cannot open the image: %s", errno_text(-result));
    result = read_head(loader, file, err);
    image_file_release(file, &kept);
    loader->restore.state_fd = kept;
    return result;
}

int loader_restore(struct loader *loader, struct task *by, const struct restore_args *args,
                   struct error *err)
{
    if (check_restore(loader, err)) {
        struct loader taken = {.kernel = loader->kernel, .restore = *args};
        close_restore(&taken);
        return -1;
    }
    loader->restore = *args;
    loader->is_starting = true;
    loader->state = LOADER_RESTORING_UNSTARTED;
    int result = accept_image(loader, by, err) ? restore_failed(loader, err) : 0;
    if (!result && loader->restore_want == 1)
        result = restore_run(loader, by, err);
    if (result || loader->restore_want == 1)
        close_restore(loader);
    return result;
}

/* Two containers of one name: only one of them can be the saved one. */
static int check_name(struct container *container, struct error *err)
{
    AUTO_POOL struct pool pool;
    struct container *other;
    pool_init(&pool, container->loader->kernel->arena);
    const char *name = container_name(container, &pool);
    list_for_each (other, &container->loader->containers, link) {
        const char *its = other != container && other->args ? container_name(other, &pool) : NULL;
        if (its && name && strcmp(its, name) == 0)
            return error_set(err, EEXIST,
                             "container CID \"%s\" already belongs to container \"%s\"", other->id,
                             name);
    }
    return 0;
}

/* How many containers have their arguments for the restore. */
static u32 count_ready(struct loader *loader)
{
    struct container *container;
    u32 count = 0;
    list_for_each (container, &loader->containers, link)
        count += container->args != NULL;
    return count;
}

int restore_subcontainer(struct loader *loader, struct task *by, const char *id,
                         struct container_args *args, struct error *err)
{
    struct container *container = container_by_id(loader, id);
    int result = 0;
    if (!container)
        result = error_set(err, ENOENT, "trying to start a deleted container \"%s\"", id);
    else if (container->args)
        result = error_set(err, EEXIST, "container \"%s\" already restored", id);
    if (result) {
        args_close(loader, args);
        return -1;
    }
    container->args = args_take(loader, args);
    if (!container->args)
        return error_set(err, ENOMEM, "out of memory");
    container->spec = MOVE(container->args->spec);
    if (check_name(container, err)) {
        oci_spec_free(MOVE(container->spec));
        args_free(loader, MOVE(container->args));
        return -1;
    }
    if (container->tty >= 0) {
        for (u32 i = 0; i < 3; i++)
            loader_close_fd(loader, &container->args->stdio[i]);
        container->args->stdio[0] = container->tty;
        container->tty = -1;
    }
    if (count_ready(loader) < loader->restore_want)
        return 0;
    result = restore_run(loader, by, err);
    close_restore(loader);
    return result;
}

int loader_wait_restore(struct loader *loader, struct task *by, struct error *err)
{
    while (loader->state == LOADER_RESTORING_UNSTARTED || loader->state == LOADER_RESTORING_STARTED)
        if (sleep_on(&loader->changed, by, NO_DEADLINE))
            return error_set(err, EINTR, "interrupted");
    if (loader->state != LOADER_RESTORE_FAILED)
        return 0;
    *err = loader->restore_error;
    return -1;
}
