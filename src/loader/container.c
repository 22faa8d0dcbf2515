/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: which containers there are and in which state, and the calls that change it. */
#include <errno.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/kernel/control_group.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/net/ns.h"

static void container_destroy(struct object *object)
{
    struct container *container = container_of(object, struct container, object);
    struct loader *loader = container->loader;
    struct arena *arena = loader->kernel->arena;
    oci_spec_free(container->spec);
    args_free(loader, container->args);
    loader_close_fd(loader, &container->tty);
    REF_CLEAR(container->init);
    REF_CLEAR(container->ns);
    REF_CLEAR(container->pid_ns);
    REF_CLEAR(container->mounts);
    wait_queue_remove(&container->gofer_waiter);
    for (u32 i = 0; i < container->gofer_count; i++)
        REF_CLEAR(container->gofers[i]);
    arena_free(arena, container->gofers, container->gofer_count * sizeof *container->gofers);
    arena_free_string(arena, container->id);
}

/* Never in an image: after a restore the registry is made of its metadata. */
static const struct kind container_kind = {
    .name = "container", .size = sizeof(struct container), .destroy = container_destroy};

int not_found(const char *id, struct error *err)
{
    return error_set(err, ENOENT, "container \"%s\" not found", id);
}

struct container *container_by_id(struct loader *loader, const char *id)
{
    struct container *container;
    list_for_each (container, &loader->containers, link)
        if (strcmp(container->id, id) == 0)
            return container;
    return NULL;
}

struct container *container_lookup(struct loader *loader, const char *id)
{
    return REF_GET(container_by_id(loader, id));
}

int container_new(struct loader *loader, const char *id, struct container **out)
{
    if (container_by_id(loader, id))
        return -EEXIST;
    if (loader->container_count >= CONTAINERS_MAX)
        return -ENOMEM;
    struct container *container = object_create(loader->kernel->arena, &container_kind);
    if (!container)
        return -ENOMEM;
    container->loader = loader;
    container->tty = -1;
    wait_queue_init(&container->changed);
    container->id = arena_strdup(loader->kernel->arena, id);
    if (!container->id) {
        object_put(&container->object);
        return -ENOMEM;
    }
    list_add_tail(&loader->containers, &container->link);
    loader->container_count++;
    *out = container;
    return 0;
}

void container_remove(struct container *container)
{
    container->is_destroyed = true;
    container->loader->container_count--;
    control_group_remove(container->loader->kernel, container->id);
    list_remove(&container->link);
    wake_up_all(&container->changed);
    object_put(&container->object);
}

int container_add_gofer(struct container *container, struct super *super)
{
    struct arena *arena = container->loader->kernel->arena;
    size_t size = container->gofer_count * sizeof *container->gofers;
    struct super **gofers = arena_realloc(arena, container->gofers, size, size + sizeof *gofers);
    if (!gofers)
        return -ENOMEM;
    container->gofers = gofers;
    gofers[container->gofer_count++] = REF_GET(super);
    return 0;
}

bool thread_group_has_ended(const struct thread_group *group)
{
    return group->is_zombie;
}

bool container_has_ended(const struct container *container)
{
    return container->init && thread_group_has_ended(container->init);
}

bool task_leads(const struct task *task, const char *id)
{
    const struct thread_group *group = task->group;
    if (task->is_kernel || group->leader != task || !group->container_id)
        return false;
    return !id || strcmp(group->container_id, id) == 0;
}

/* ---- what the controller asks
 * ---------------------------------------------------------------------------- */

enum container_state loader_container_state(struct loader *loader, const char *id)
{
    const struct container *container = container_by_id(loader, id);
    if (!container || container->is_destroyed || container->phase == CONTAINER_PHASE_FAILED)
        return CONTAINER_STOPPED;
    if (container->phase != CONTAINER_PHASE_STARTED)
        return CONTAINER_CREATING;
    return container_has_ended(container) ? CONTAINER_STOPPED : CONTAINER_RUNNING;
}

u32 loader_container_count(const struct loader *loader)
{
    return loader->container_count;
}

const char *loader_container_id(struct loader *loader, u32 index)
{
    struct container *container;
    list_for_each (container, &loader->containers, link)
        if (index-- == 0)
            return container->id;
    return NULL;
}

const struct oci_spec *loader_container_spec(struct loader *loader, const char *id)
{
    const struct container *container = container_by_id(loader, id);
    return container ? container->spec : NULL;
}

struct net_ns *loader_container_net(struct loader *loader, const char *id, struct error *err)
{
    const struct container *container = container_by_id(loader, id);
    if (!container) {
        not_found(id, err);
        error_prefix(err, "failed to get threadgroup from \"%s\"", id);
        return NULL;
    }
    const struct task *task = container->init ? list_first_or_null(&container->init->tasks,
                                                                   struct task, group_link)
                                              : NULL;
    if (container->phase != CONTAINER_PHASE_STARTED || !task) {
        error_set(err, EINVAL, "container \"%s\" not started", id);
        return NULL;
    }
    return net_ns_of(task);
}

int loader_container_check_running(struct loader *loader, const char *id, struct error *err)
{
    const struct container *container = container_by_id(loader, id);
    if (!container)
        return not_found(id, err);
    if (container->phase != CONTAINER_PHASE_STARTED)
        return error_set(err, EINVAL, "container \"%s\" not started", id);
    if (container_has_ended(container))
        return error_set(err, ESRCH, "container \"%s\" has stopped", id);
    return 0;
}

/* ---- starting
 * ---------------------------------------------------------------------------------------------- */

int loader_start_root(struct loader *loader, struct task *by, const char *id, struct error *err)
{
    struct container *container = container_by_id(loader, id);
    if (loader->state != LOADER_CREATED || loader->is_starting)
        return error_set(err, EINVAL,
                         "sandbox is not in created state, cannot start root container: state=%s",
                         loader_state_name(loader->state));
    if (!container || !container_is_root(container))
        return not_found(id, err);
    loader->is_starting = true;
    int result = container_run(container, by, err);
    loader->is_starting = false;
    wake_up_all(&loader->changed); /* after a failure too: the sandbox's own fiber then ends it */
    if (result)
        return error_prefix(err, "starting sandbox");
    loader->state = LOADER_STARTED;
    log_info(loader->kernel->log, "loader", "the root container '%s' has started", id);
    return 0;
}

int loader_create_subcontainer(struct loader *loader, const char *id, int tty, struct error *err)
{
    struct container *container;
    int result = strlen(id) > CONTAINER_ID_MAX || !*id ? -EINVAL
                                                       : container_new(loader, id, &container);
    if (result) {
        loader_close_fd(loader, &tty);
        if (result == -EEXIST)
            return error_set(err, EEXIST, "container \"%s\" already exists", id);
        return error_set(err, -result, "cannot create container \"%.64s\": %s", id,
                         errno_text(-result));
    }
    container->tty = tty;
    return 0;
}

static int check_start(struct loader *loader, const char *id, struct container *container,
                       const struct container_args *args, struct error *err)
{
    bool is_terminal = args->spec->process && args->spec->process->terminal;
    if (loader->state != LOADER_STARTED && loader->state != LOADER_RESTORED)
        return error_set(err, EINVAL,
                         "sandbox is not in started state, cannot start subcontainer: state=%s",
                         loader_state_name(loader->state));
    if (!container)
        return error_set(err, ENOENT, "trying to start a deleted container \"%s\"", id);
    if (container->phase != CONTAINER_PHASE_CREATING)
        return error_set(err, EINVAL, "container \"%s\" already started", id);
    if (is_terminal && container->tty < 0)
        return error_set(
            err, EINVAL,
            "terminal enabled but no TTY provided. Did you set --console-socket on create?");
    return 0;
}

/* The terminal of CreateSubcontainer takes the place of stdio. */
static void give_tty(struct container *container)
{
    if (container->tty < 0)
        return;
    for (u32 i = 0; i < 3; i++)
        loader_close_fd(container->loader, &container->args->stdio[i]);
    container->args->stdio[0] = container->tty;
    container->tty = -1;
}

int loader_start_subcontainer(struct loader *loader, struct task *by, const char *id,
                              struct container_args *args, struct error *err)
{
    if (loader->state == LOADER_RESTORING_UNSTARTED)
        return restore_subcontainer(loader, by, id, args, err);
    AUTO_PUT struct container *container = container_lookup(loader, id);
    if (check_start(loader, id, container, args, err)) {
        args_close(loader, args);
        return -1;
    }
    container->args = args_take(loader, args);
    if (!container->args)
        return error_set(err, ENOMEM, "no memory to start container \"%s\"", id);
    container->spec = MOVE(container->args->spec);
    give_tty(container);
    return container_run(container, by, err);
}

/* ---- ending --------------------------------------------------------------------------------- */

static void kill_all(struct container *container, i32 status)
{
    struct task *task;
    list_for_each (task, &container->loader->kernel->tasks, kernel_link)
        if (task_leads(task, container->id))
            thread_group_kill(task->group, status);
}

static bool has_live_group(struct container *container)
{
    struct task *task;
    list_for_each (task, &container->loader->kernel->tasks, kernel_link)
        if (task_leads(task, container->id) && !thread_group_has_ended(task->group))
            return true;
    return false;
}

/* ---- the gofer's end ---------------------------------------------------------------------- */

static struct gofer_conn *root_conn(const struct container *container)
{
    const struct super *super = container->gofer_count > 0 ? container->gofers[0] : NULL;
    bool is_gofer = super && super->private_object &&
                    super->private_object->kind == &gofer_conn_kind; /* or an image */
    return is_gofer ? container_of(super->private_object, struct gofer_conn, object) : NULL;
}

/* Runs in whoever found the connection broken: never sleeps. */
static void gofer_changed(struct waiter *waiter, u32 events)
{
    struct container *container = container_of(waiter, struct container, gofer_waiter);
    if (!root_conn(container)->is_broken || container_has_ended(container))
        return;
    log_warn(container->loader->kernel->log, "loader",
             "the gofer of container '%s' is gone: its processes are killed", container->id);
    kill_all(container, LINUX_SIGKILL);
}

void container_watch_gofer(struct container *container)
{
    struct gofer_conn *conn = root_conn(container);
    if (!conn)
        return;
    waiter_init(&container->gofer_waiter, WAKE_ALL_EVENTS, gofer_changed, container);
    wait_queue_add(&conn->writable, &container->gofer_waiter);
    if (conn->is_broken)
        kill_all(container, LINUX_SIGKILL);
}

static void forget_execs(struct loader *loader, const char *id)
{
    struct exec_entry *entry, *next;
    list_for_each_safe (entry, next, &loader->execs, link) {
        if (strcmp(entry->container_id, id) != 0)
            continue;
        list_remove(&entry->link);
        REF_PUT(entry->group);
        arena_free_string(loader->kernel->arena, entry->container_id);
        arena_free(loader->kernel->arena, entry, sizeof *entry);
    }
}

/* Kill again after each end: a fork may have slipped past the first round. */
SLEEPS static void kill_and_wait(struct container *container, struct task *by)
{
    kill_all(container, LINUX_SIGKILL);
    while (has_live_group(container)) {
        fiber_sleep_on_hard(&by->fiber, &container->loader->kernel->task_ended);
        kill_all(container, LINUX_SIGKILL);
    }
}

int loader_destroy_subcontainer(struct loader *loader, struct task *by, const char *id,
                                struct error *err)
{
    AUTO_PUT struct container *container = container_lookup(loader, id);
    if (!container || container->is_destroyed)
        return not_found(id, err);
    while (container->phase == CONTAINER_PHASE_STARTING)
        fiber_sleep_on_hard(&by->fiber, &container->changed);
    kill_and_wait(container, by);
    if (container->is_destroyed) /* by another call meanwhile */
        return 0;
    forget_execs(loader, id);
    log_info(loader->kernel->log, "loader", "container '%s' is gone", id);
    if (!container_is_root(container))
        container_remove(container);
    return 0;
}

/* ---- the end of the sandbox
 * ----------------------------------------------------------------------------------- */

int loader_wait_root(struct loader *loader, struct task *by, u32 *status)
{
    AUTO_PUT struct container *root = REF_GET(
        list_first(&loader->containers, struct container, link));
    while (!container_has_ended(root) && loader->state != LOADER_RESTORE_FAILED &&
           root->phase != CONTAINER_PHASE_FAILED) {
        struct wait_queue *queue = root->init ? &loader->kernel->task_ended : &loader->changed;
        int err = sleep_on(queue, by, NO_DEADLINE);
        if (err)
            return err;
    }
    *status = root->init ? (u32)root->init->exit_code : 1u << 8;
    return 0;
}
