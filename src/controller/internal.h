/* SPDX-License-Identifier: Apache-2.0 */
/* What the receivers' files share: the row of a method and the call it is handed. */
#pragma once
#include "base/time.h"
#include "controller/controller.h"
#include "wire/urpc/codec.h"
#include "wire/urpc/server.h"

/* ---- methods -------------------------------------------------------------------------------- */

/* One call under way, as a handler sees it. */
struct rpc_call {
    struct controller *controller;
    struct loader *loader;
    struct kernel *kernel;
    struct task *task;          /* the connection's fiber */
    struct urpc_call *urpc;     /* its descriptors */
    struct pool *pool;          /* memory until the answer */
    struct json_writer *result; /* a handler that writes nothing answers {} */
    struct error *err;          /* why it failed: the wire's text */
    int result_fds[2];          /* taken by the answer */
    u32 result_fd_count;
};

struct rpc_method {
    const char *name;            /* "containerManager.Signal" */
    const struct wire_type *arg; /* NULL: any argument is fine, none is looked at */
    /* ARG: a zeroed struct of `arg`, decoded. 0, or -1 with call->err. NULL: named but not served.
     */
    SLEEPS_OP int (*handle)(struct rpc_call *call, const void *arg);
};
/* Rows of one receiver; the last has no name. */
extern const struct rpc_method container_manager_methods[], container_exec_methods[],
    event_methods[], lifecycle_methods[], debug_methods[], logging_methods[], usage_methods[],
    proc_methods[], network_methods[], profile_methods[], metrics_methods[], cgroups_methods[],
    state_methods[], fs_methods[];

/* NULL: no such method in this sandbox. */
const struct rpc_method *rpc_method_find(const struct controller *controller, const char *name);
/* All rows, registered here or not: the INDEX-th, NULL at the end. */
const struct rpc_method *rpc_method_at(u32 index);

/* A string argument. */
extern const struct wire_type rpc_string_arg;
struct rpc_string {
    char *text;
};
static inline const char *rpc_text(const char *text)
{
    return text ? text : "";
}
/* control.SaveOpts and what is done with them, for State.Save too. */
extern const struct wire_type rpc_save_type;
MUST_CHECK SLEEPS int container_checkpoint(struct rpc_call *call, const void *arg);
/* trace_session.c */
extern const struct wire_type rpc_trace_type;
MUST_CHECK SLEEPS int container_create_trace(struct rpc_call *call, const void *arg);
MUST_CHECK SLEEPS int container_delete_trace(struct rpc_call *call, const void *arg);
MUST_CHECK SLEEPS int container_list_traces(struct rpc_call *call, const void *arg);
/* debug.c: a line for each cpu and each task. 0 or -ENOMEM. */
MUST_CHECK int debug_stacks_text(struct kernel *kernel, struct buf *out);
/* fs.c */
extern const struct wire_type rpc_mount_type;
MUST_CHECK SLEEPS int container_mount(struct rpc_call *call, const void *arg);
extern const struct wire_type rpc_fs_save_type;
MUST_CHECK SLEEPS int container_fs_save(struct rpc_call *call, const void *arg);
/* procfs.c */
MUST_CHECK SLEEPS int container_procfs_dump(struct rpc_call *call, const void *arg);
/* network.c */
void network_renew(struct loader *loader);
extern const struct wire_type rpc_forward_type;
MUST_CHECK SLEEPS int container_port_forward(struct rpc_call *call, const void *arg);
/* control.ExecArgs, for Proc.Exec too: starts the process and tells its pid. */
extern const struct wire_type rpc_exec_type;
MUST_CHECK SLEEPS int container_exec(struct rpc_call *call, const void *arg, u32 *pid,
                                     const char **container_id);
/* Descriptor INDEX of the call for the handler to keep; -1: there is none. */
int rpc_take_fd(struct rpc_call *call, u32 index);

/* ---- the server ----------------------------------------------------------------------------- */

struct controller {
    struct kernel *kernel;
    struct loader *loader;
    struct controller_config config;
    struct host_listener *listener; /* NULL: stopped */
    struct host_watch listener_watch;
    struct wait_queue listener_ready;
    struct list connections;   /* struct connection.link, in order of arrival */
    struct wait_queue changed; /* a connection has ended; stopping has begun */
    u32 connection_count;
    struct loader_observer observer; /* a restore registers all receivers anew */
    u32 generation;                  /* connections of older ones end as soon as they are idle */
    bool is_stopping;                /* nothing new is accepted or begun */
    bool is_closing;                 /* the grace period is over: idle connections end */
    bool is_accepting;
    bool is_pending; /* the listener has told of something since we last looked */
};

struct connection {
    struct list link;
    struct controller *controller;
    struct host_stream *stream;
    struct host_watch watch;
    struct wait_queue ready;
    u32 readiness; /* HOST_* told since we last looked */
    u32 generation;
    bool is_calling;
    bool is_hung_up;
    struct task *task;
    struct urpc_conn conn;
};

/* Takes STREAM and serves it by a new fiber. 0 or -ENOMEM. */
MUST_CHECK int connection_start(struct controller *controller, struct host_stream *stream);
/* Wake connections so that they look at the controller's flags again. */
void controller_wake_connections(struct controller *controller);
/* Serve the call that CONN has yielded: decode, act, queue the answer. */
SLEEPS void rpc_serve(struct connection *connection, struct urpc_call *urpc);
