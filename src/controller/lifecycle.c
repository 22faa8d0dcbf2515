/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver Lifecycle: pause and resume for clients of 2022 and for embedders. The table of
 * containers that its other methods look into is never filled in a sandbox made by a command line,
 * so they answer as for an empty one.
 */
#include <errno.h>

#include "controller/internal.h"

struct lifecycle_id {
    char *cid;
};
static const struct wire_field id_fields[] = {
    WIRE_FIELD(struct lifecycle_id, cid, "container_id", &wire_string),
    WIRE_END,
};
static const struct wire_type id_type = WIRE_TYPE_STRUCT(struct lifecycle_id, id_fields,
                                                         "control.ContainerArgs");

SLEEPS static int lifecycle_pause(struct rpc_call *call, const void *arg)
{
    return loader_pause(call->loader, call->task, call->err);
}

SLEEPS static int lifecycle_resume(struct rpc_call *call, const void *arg)
{
    return loader_resume(call->loader, call->task, call->err);
}

/* No interface reaches outside the sandbox in this release, and nothing is left to shut down. */
static int lifecycle_nothing(struct rpc_call *call, const void *arg)
{
    return 0;
}

static int start_container(struct rpc_call *call, const void *arg)
{
    const struct lifecycle_id *id = arg;
    return error_set(call->err, EINVAL, "mount namespace is nil for %s", rpc_text(id->cid));
}

static int get_exit_status(struct rpc_call *call, const void *arg)
{
    const struct lifecycle_id *id = arg;
    return error_set(call->err, ENOENT, "container \"%s\" doesn't exist, or has not been started",
                     rpc_text(id->cid));
}

static int is_container_running(struct rpc_call *call, const void *arg)
{
    json_put_bool(call->result, false);
    return 0;
}

static int signal_container(struct rpc_call *call, const void *arg)
{
    const struct lifecycle_id *id = arg;
    return error_set(call->err, ENOENT, "container %s not started", rpc_text(id->cid));
}

static int reap(struct rpc_call *call, const void *arg)
{
    const struct lifecycle_id *id = arg;
    return error_set(call->err, ENOENT, "no container with id \"%s\"", rpc_text(id->cid));
}

const struct rpc_method lifecycle_methods[] = {
    {"Lifecycle.Pause", NULL, lifecycle_pause},
    {"Lifecycle.Resume", NULL, lifecycle_resume},
    {"Lifecycle.PauseExternalNetworking", NULL, lifecycle_nothing},
    {"Lifecycle.ResumeExternalNetworking", NULL, lifecycle_nothing},
    {"Lifecycle.Shutdown", NULL, lifecycle_nothing},
    {"Lifecycle.StartContainer", &id_type, start_container},
    {"Lifecycle.GetExitStatus", &id_type, get_exit_status},
    {"Lifecycle.IsContainerRunning", &id_type, is_container_running},
    {"Lifecycle.SignalContainer", &id_type, signal_container},
    {"Lifecycle.Reap", &id_type, reap},
    {NULL},
};
