/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver containerManager: processes in containers: exec, wait, signal, ps. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/internal.h"
#include "controller/process_text.h"

/* ---- ExecuteAsync --------------------------------------------------------------------------- */

struct task_caps {
    u64 permitted, inheritable, effective, bounding, ambient;
};
struct exec_call {
    char *filename;
    WIRE_LIST(char *) argv;
    WIRE_LIST(char *) envv;
    struct json_text mount_namespace, fd_table, pid_namespace, limits;
    char *wd;
    u32 uid, gid;
    WIRE_LIST(u32) extra_gids;
    bool no_new_privs;
    struct task_caps *caps;
    bool is_tty;
    WIRE_LIST(i64) guest_fds;
    char *cid;
};

#define CAP_SET WIRE_NAMED(WIRE_UINT, u64, "auth.CapabilitySet")
#define KUID WIRE_NAMED(WIRE_UINT, u32, "auth.KUID")
static const struct wire_type kgid_type = {.kind = WIRE_UINT, .size = 4, .name = "auth.KGID"};

static const struct wire_field caps_fields[] = {
    WIRE_FIELD(struct task_caps, permitted, "PermittedCaps", CAP_SET),
    WIRE_FIELD(struct task_caps, inheritable, "InheritableCaps", CAP_SET),
    WIRE_FIELD(struct task_caps, effective, "EffectiveCaps", CAP_SET),
    WIRE_FIELD(struct task_caps, bounding, "BoundingCaps", CAP_SET),
    WIRE_FIELD(struct task_caps, ambient, "AmbientCaps", CAP_SET),
    WIRE_END,
};
static const struct wire_type caps_type = WIRE_TYPE_STRUCT(struct task_caps, caps_fields,
                                                           "auth.TaskCapabilities");

static const struct wire_field exec_fields[] = {
    WIRE_FIELD(struct exec_call, filename, "filename", &wire_string),
    WIRE_FIELD(struct exec_call, argv, "argv", WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_FIELD(struct exec_call, envv, "envv", WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_FIELD(struct exec_call, mount_namespace, "MountNamespace", &wire_raw),
    WIRE_FIELD(struct exec_call, wd, "wd", &wire_string),
    WIRE_FIELD(struct exec_call, uid, "KUID", KUID),
    WIRE_FIELD(struct exec_call, gid, "KGID", &kgid_type),
    WIRE_FIELD(struct exec_call, extra_gids, "ExtraKGIDs", WIRE_LIST_OF(&kgid_type, "[]auth.KGID")),
    WIRE_FIELD(struct exec_call, no_new_privs, "NoNewPrivileges", &wire_bool),
    WIRE_FIELD(struct exec_call, caps, "Capabilities", WIRE_OPTIONAL_OF(&caps_type)),
    WIRE_FIELD(struct exec_call, is_tty, "StdioIsPty", &wire_bool),
    WIRE_FIELD(struct exec_call, guest_fds, "GuestFDs", WIRE_LIST_OF(&wire_int, "[]int")),
    WIRE_FIELD(struct exec_call, fd_table, "FDTable", &wire_raw),
    WIRE_FIELD(struct exec_call, cid, "ContainerID", &wire_string),
    WIRE_FIELD(struct exec_call, pid_namespace, "PIDNamespace", &wire_raw),
    WIRE_FIELD(struct exec_call, limits, "Limits", &wire_raw),
    WIRE_END,
};
const struct wire_type rpc_exec_type = WIRE_TYPE_STRUCT(struct exec_call, exec_fields,
                                                        "control.ExecArgs");

/* A null in a list of strings is an empty string. */
static void no_nulls(char **items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!items[i])
            items[i] = (char *)(uintptr_t) ""; /* nobody writes to it */
}

/* Where the descriptors go. Clients before GuestFDs sent three, in order; a last one more is the
 * program. */
static int plan_exec_fds(struct rpc_call *call, const struct exec_call *exec, struct exec_args *out)
{
    u32 got = call->urpc->fd_count;
    bool is_named = exec->guest_fds.count > 0;
    u32 want = is_named ? (u32)MIN(exec->guest_fds.count, (size_t)HOST_FDS_MAX) : got >= 3 ? 3 : 0;
    if (exec->guest_fds.count > HOST_FDS_MAX || (got != want && got != want + 1))
        return error_set(call->err, EINVAL,
                         "length of payload files does not match length of file descriptor array");
    i32 *guest = pool_alloc_array(call->pool, want, sizeof *guest);
    if (!guest)
        return error_set(call->err, ENOMEM, "out of memory");
    for (u32 i = 0; i < want; i++) {
        i64 number = is_named ? exec->guest_fds.items[i] : (i64)i;
        if (number < 0)
            return error_set(call->err, EINVAL, "guest file descriptors must be 0 or greater");
        guest[i] = (i32)MIN(number, (i64)INT32_MAX);
    }
    if (got == want + 1 && *rpc_text(exec->filename))
        return error_set(call->err, EINVAL,
                         "process must either be started from a file or a filename, not both");
    out->guest_fds = guest;
    out->fd_count = want;
    return 0;
}

static int take_exec_fds(struct rpc_call *call, struct exec_args *out)
{
    int *fds = pool_alloc_array(call->pool, out->fd_count, sizeof *fds);
    if (!fds)
        return error_set(call->err, ENOMEM, "out of memory");
    for (u32 i = 0; i < out->fd_count; i++)
        fds[i] = rpc_take_fd(call, i);
    out->fds = fds;
    out->exec_fd = rpc_take_fd(call, out->fd_count);
    return 0;
}

SLEEPS int container_exec(struct rpc_call *call, const void *arg, u32 *pid,
                          const char **container_id)
{
    const struct exec_call *exec = arg;
    no_nulls(exec->argv.items, exec->argv.count);
    no_nulls(exec->envv.items, exec->envv.count);
    struct exec_args args = {
        .container_id = rpc_text(exec->cid),
        .filename = rpc_text(exec->filename),
        .argv = exec->argv.items,
        .argc = (u32)exec->argv.count,
        .envv = exec->envv.items,
        .envc = (u32)exec->envv.count,
        .cwd = rpc_text(exec->wd),
        .uid = exec->uid,
        .gid = exec->gid,
        .extra_gids = exec->extra_gids.items,
        .extra_gid_count = (u32)exec->extra_gids.count,
        .no_new_privs = exec->no_new_privs,
        .is_tty = exec->is_tty,
        .exec_fd = -1,
    };
    if (exec->caps) {
        args.has_caps = true;
        args.permitted = exec->caps->permitted;
        args.inheritable = exec->caps->inheritable;
        args.effective = exec->caps->effective;
        args.bounding = exec->caps->bounding;
        args.ambient = exec->caps->ambient;
    }
    if (loader_container_check_running(call->loader, args.container_id, call->err) ||
        plan_exec_fds(call, exec, &args) || take_exec_fds(call, &args))
        return -1;
    *container_id = args.container_id;
    return loader_exec(call->loader, call->task, &args, pid, call->err);
}

SLEEPS static int execute_async(struct rpc_call *call, const void *arg)
{
    const char *container_id;
    u32 pid = 0;
    if (container_exec(call, arg, &pid, &container_id))
        return -1;
    json_put_u64(call->result, pid);
    return 0;
}

/* ---- Wait, WaitPID -------------------------------------------------------------------------- */

struct wait_pid_call {
    i32 pid;
    char *cid;
};
static const struct wire_field wait_pid_fields[] = {
    WIRE_FIELD(struct wait_pid_call, pid, "PID", &wire_int32),
    WIRE_FIELD(struct wait_pid_call, cid, "CID", &wire_string),
    WIRE_END,
};
static const struct wire_type wait_pid_type = WIRE_TYPE_STRUCT(struct wait_pid_call,
                                                               wait_pid_fields, "boot.WaitPIDArgs");

SLEEPS static int wait_container(struct rpc_call *call, const void *arg)
{
    const struct rpc_string *id = arg;
    u32 status = 0;
    if (loader_wait(call->loader, call->task, rpc_text(id->text), &status, call->err))
        return -1;
    json_put_u64(call->result, status);
    return 0;
}

SLEEPS static int wait_pid(struct rpc_call *call, const void *arg)
{
    const struct wait_pid_call *wait = arg;
    u32 status = 0;
    if (loader_wait_pid(call->loader, call->task, rpc_text(wait->cid), wait->pid, &status,
                        call->err))
        return -1;
    json_put_u64(call->result, status);
    return 0;
}

/* ---- Signal --------------------------------------------------------------------------------- */

struct signal_call {
    char *cid;
    i32 signo, pid, pgid;
    i64 mode;
};
static const struct wire_field signal_fields[] = {
    WIRE_FIELD(struct signal_call, cid, "CID", &wire_string),
    WIRE_FIELD(struct signal_call, signo, "Signo", &wire_int32),
    WIRE_FIELD(struct signal_call, pid, "PID", &wire_int32),
    WIRE_FIELD(struct signal_call, mode, "Mode",
               WIRE_NAMED(WIRE_INT, i64, "boot.SignalDeliveryMode")),
    WIRE_FIELD(struct signal_call, pgid, "PGID", &wire_int32),
    WIRE_END,
};
static const struct wire_type signal_type = WIRE_TYPE_STRUCT(struct signal_call, signal_fields,
                                                             "boot.SignalArgs");

SLEEPS static int send_signal(struct rpc_call *call, const void *arg)
{
    const struct signal_call *signal = arg;
    const struct signal_args args = {
        .container_id = rpc_text(signal->cid),
        .signo = signal->signo,
        .pid = signal->pid,
        .pgid = signal->pgid,
        .mode = signal->mode < 0 || signal->mode > UINT32_MAX ? UINT32_MAX : (u32)signal->mode};
    return loader_signal(call->loader, call->task, &args, call->err);
}

/* ---- Processes ------------------------------------------------------------------------------ */

static int processes(struct rpc_call *call, const void *arg)
{
    const struct rpc_string *id = arg;
    struct process_row *rows;
    u32 count;
    if (loader_processes(call->loader, rpc_text(id->text), call->pool, &rows, &count, call->err))
        return -1;
    process_list_encode(call->result, rows, count, call->pool);
    return 0;
}

const struct rpc_method container_exec_methods[] = {
    {"containerManager.ExecuteAsync", &rpc_exec_type, execute_async},
    {"containerManager.Wait", &rpc_string_arg, wait_container},
    {"containerManager.WaitPID", &wait_pid_type, wait_pid},
    {"containerManager.Signal", &signal_type, send_signal},
    {"containerManager.Processes", &rpc_string_arg, processes},
    {NULL},
};
