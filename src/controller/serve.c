/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call: find the row, decode the argument, act, encode. The order of the checks is the wire's:
 * an unknown method first, then a missing argument, then its type.
 */
#include <errno.h>
#include <string.h>

#include "controller/internal.h"

/* The largest results are lists of metrics, stacks and processes. */
#define RESULT_SIZE_MAX ((size_t)16 << 20)

static const struct rpc_method *const receivers[] = {container_manager_methods,
                                                     container_exec_methods,
                                                     event_methods,
                                                     lifecycle_methods,
                                                     debug_methods,
                                                     logging_methods,
                                                     usage_methods,
                                                     proc_methods,
                                                     network_methods,
                                                     profile_methods,
                                                     metrics_methods,
                                                     cgroups_methods,
                                                     state_methods,
                                                     fs_methods};

const struct rpc_method *rpc_method_at(u32 index)
{
    for (size_t i = 0; i < ARRAY_COUNT(receivers); i++)
        for (const struct rpc_method *method = receivers[i]; method->name; method++)
            if (index-- == 0)
                return method;
    return NULL;
}

static bool is_registered(const struct controller *controller, const struct rpc_method *method)
{
    if (strncmp(method->name, "Profile.", 8) == 0)
        return controller->config.has_profile;
    if (strncmp(method->name, "Network.", 8) == 0)
        return !loader_config(controller->loader)->has_host_network;
    return true;
}

const struct rpc_method *rpc_method_find(const struct controller *controller, const char *name)
{
    const struct rpc_method *method;
    for (u32 i = 0; (method = rpc_method_at(i)) != NULL; i++)
        if (strcmp(method->name, name) == 0)
            return is_registered(controller, method) ? method : NULL;
    return NULL;
}

int rpc_take_fd(struct rpc_call *call, u32 index)
{
    return urpc_call_take_fd(call->urpc, index);
}

/* The one place that calls a handler. */
SLEEPS static int handle(const struct rpc_method *method, struct rpc_call *call, const void *arg)
{
    return method->handle(call, arg);
}

SLEEPS static int run_method(const struct rpc_method *method, struct rpc_call *call)
{
    void *arg = NULL;
    if (json_type(call->urpc->arg) == JSON_ABSENT)
        return error_set(call->err, EINVAL, "unexpected end of JSON input");
    if (method->arg) {
        arg = pool_alloc(call->pool, method->arg->size);
        if (!arg)
            return error_set(call->err, ENOMEM, "out of memory");
        if (wire_decode(method->arg, call->urpc->arg, call->pool, arg, call->err))
            return -1;
    }
    if (!method->handle)
        return error_set(call->err, ENOSYS, "%s is not supported", method->name);
    return handle(method, call, arg);
}

SLEEPS static int run_call(struct connection *connection, struct rpc_call *call)
{
    const struct rpc_method *method = rpc_method_find(connection->controller, call->urpc->method);
    if (!method)
        return error_set(call->err, ENOSYS, "unknown method");
    log_debug(call->kernel->log, "controller", "call %s", method->name);
    int result = run_method(method, call);
    if (result == 0 && call->result->failed)
        return error_set(call->err, ENOMEM, "out of memory");
    if (result)
        log_info(call->kernel->log, "controller", "%s failed: %s", method->name, call->err->text);
    return result;
}

void rpc_serve(struct connection *connection, struct urpc_call *urpc)
{
    struct kernel *kernel = connection->controller->kernel;
    AUTO_BUF struct buf text;
    struct json_writer writer;
    struct error err = {0};
    buf_init(&text, kernel->arena, RESULT_SIZE_MAX);
    json_writer_init(&writer, &text);
    struct rpc_call call = {.controller = connection->controller,
                            .loader = connection->controller->loader,
                            .kernel = kernel,
                            .task = connection->task,
                            .urpc = urpc,
                            .pool = &connection->conn.pool,
                            .result = &writer,
                            .err = &err};
    int failed = run_call(connection, &call);
    struct json_text result = {(char *)buf_bytes(&text), text.size};
    if (urpc_conn_answer(&connection->conn, result, call.result_fds, call.result_fd_count,
                         failed ? err.text : NULL))
        log_warn(kernel->log, "controller", "an answer was lost for want of memory");
}
