/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting, stopping and starting anew. Everything here runs on fibers with the kernel lock held.
 */
#include "controller/controller.h"

#include <errno.h>

#include "base/checked.h"
#include "controller/internal.h"

#define STOP_TIMEOUT_NS (15 * NS_PER_S)

/* After a restore: older connections end when they are idle. */
static void controller_renewed(struct loader_observer *observer)
{
    struct controller *controller = container_of(observer, struct controller, observer);
    controller->generation++;
    network_renew(controller->loader);
    controller_wake_connections(controller);
}

int controller_create(struct loader *loader, struct host_listener *listener,
                      const struct controller_config *config, struct controller **out)
{
    struct kernel *kernel = loader_kernel(loader);
    struct controller *controller = arena_alloc(kernel->arena, sizeof *controller);
    if (!controller) {
        host_listener_put(listener);
        return -ENOMEM;
    }
    controller->kernel = kernel;
    controller->loader = loader;
    controller->listener = listener;
    controller->config = *config;
    if (controller->config.stop_timeout_ns == 0)
        controller->config.stop_timeout_ns = STOP_TIMEOUT_NS;
    list_init(&controller->connections);
    wait_queue_init(&controller->changed);
    wait_queue_init(&controller->listener_ready);
    controller->observer.renewed = controller_renewed;
    loader_observe(loader, &controller->observer);
    *out = controller;
    return 0;
}

static void close_listener(struct controller *controller)
{
    if (!controller->listener)
        return;
    host_listener_watch(controller->listener, NULL);
    host_listener_put(controller->listener);
    controller->listener = NULL;
}

void controller_destroy(struct controller *controller)
{
    ASSERT(list_is_empty(&controller->connections) && !controller->is_accepting);
    close_listener(controller);
    list_remove(&controller->observer.link);
    arena_free(controller->kernel->arena, controller, sizeof *controller);
}

u32 controller_connection_count(const struct controller *controller)
{
    return controller->connection_count;
}

/* ---- accepting ------------------------------------------------------------------------------ */

/* From host_reap: never sleeps. */
static void listener_notify(struct host_watch *watch, u32 ready)
{
    struct controller *controller = watch->owner;
    controller->is_pending = true;
    wake_up_all(&controller->listener_ready);
}

static void accept_waiting(struct controller *controller)
{
    while (controller->listener) {
        struct host_stream *stream = NULL;
        int err = host_listener_accept(controller->listener, &stream);
        if (err == -EAGAIN)
            return;
        if (!err)
            err = connection_start(controller, stream);
        if (err) {
            log_warn(controller->kernel->log, "controller", "a control connection was refused: %s",
                     errno_text(-err));
            return;
        }
    }
}

SLEEPS_ROOT static void accept_main(struct task *task, void *arg)
{
    struct controller *controller = arg;
    while (!controller->is_stopping) {
        controller->is_pending = false;
        accept_waiting(controller);
        if (!controller->is_pending && !controller->is_stopping)
            fiber_sleep_on_hard(&task->fiber, &controller->listener_ready);
    }
    close_listener(controller);
    controller->is_accepting = false;
    wake_up_all(&controller->changed);
}

int controller_start(struct controller *controller)
{
    AUTO_PUT struct task *task = NULL;
    int err = task_create_kernel(controller->kernel, "control-accept", accept_main, controller,
                                 &task);
    if (err)
        return err;
    controller->is_accepting = true;
    controller->listener_watch.notify = listener_notify;
    controller->listener_watch.owner = controller;
    err = task_start(task);
    if (err) {
        controller->is_accepting = false;
        return err;
    }
    host_listener_watch(controller->listener, &controller->listener_watch);
    return 0;
}

/* ---- stopping ------------------------------------------------------------------------------- */

void controller_wake_connections(struct controller *controller)
{
    struct connection *connection;
    list_for_each (connection, &controller->connections, link) {
        wake_up_all(&connection->ready);
        if (controller->is_closing && connection->is_calling)
            fiber_interrupt(&connection->task->fiber);
    }
}

SLEEPS static void wait_for_connections(struct controller *controller, struct task *by,
                                        u64 deadline_ns)
{
    while (controller->connection_count > 0 || controller->is_accepting) {
        int err = fiber_sleep_on(&by->fiber, &controller->changed, deadline_ns);
        if (err == -ETIMEDOUT)
            return;
        if (err) /* nobody may interrupt the sandbox's end */
            fiber_clear_interrupt(&by->fiber);
    }
}

void controller_stop(struct controller *controller, struct task *by)
{
    controller->is_stopping = true;
    wake_up_all(&controller->listener_ready);
    u64 deadline = deadline_after(sched_now_ns(controller->kernel->sched),
                                  controller->config.stop_timeout_ns);
    wait_for_connections(controller, by, deadline);
    controller->is_closing = true;
    controller_wake_connections(controller);
    wait_for_connections(controller, by, NO_DEADLINE);
}
