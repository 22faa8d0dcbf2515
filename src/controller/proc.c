/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver Proc: processes by their pid in the sandbox's root PID namespace, without containers. */
#include <errno.h>

#include "controller/internal.h"
#include "controller/process_text.h"

struct ps_call {
    bool is_json;
};
static const struct wire_field ps_fields[] = {
    WIRE_FIELD(struct ps_call, is_json, "JSON", &wire_bool),
    WIRE_END,
};
static const struct wire_type ps_type = WIRE_TYPE_STRUCT(struct ps_call, ps_fields,
                                                         "control.PsArgs");

struct proc_signal_call {
    i32 signo, pid;
};
static const struct wire_field proc_signal_fields[] = {
    WIRE_FIELD(struct proc_signal_call, signo, "signo", &wire_int32),
    WIRE_FIELD(struct proc_signal_call, pid, "pid", &wire_int32),
    WIRE_END,
};
static const struct wire_type proc_signal_type = WIRE_TYPE_STRUCT(
    struct proc_signal_call, proc_signal_fields, "control.SignalProcessArgs");

SLEEPS static int proc_exec(struct rpc_call *call, const void *arg)
{
    const char *container_id;
    u32 pid = 0, status = 0;
    if (container_exec(call, arg, &pid, &container_id) ||
        loader_wait_pid(call->loader, call->task, container_id, (i32)pid, &status, call->err))
        return -1;
    json_put_u64(call->result, status);
    return 0;
}

static int put_pids(struct rpc_call *call, struct buf *text, const struct process_row *rows,
                    u32 count)
{
    struct json_writer pids;
    json_writer_init(&pids, text);
    json_begin_array(&pids);
    for (u32 i = 0; i < count; i++)
        json_put_u64(&pids, rows[i].pid);
    json_end_array(&pids);
    return pids.failed ? -ENOMEM : 0;
}

static int ps(struct rpc_call *call, const void *arg)
{
    const struct ps_call *ps = arg;
    struct process_row *rows;
    u32 count;
    AUTO_BUF struct buf text;
    buf_init(&text, call->kernel->arena, 0);
    if (loader_processes(call->loader, "", call->pool, &rows, &count, call->err))
        return -1;
    int err = ps->is_json ? put_pids(call, &text, rows, count)
                          : process_list_table(&text, rows, count, call->pool);
    if (err)
        return error_set(call->err, ENOMEM, "out of memory");
    json_put_string_size(call->result, (char *)buf_bytes(&text), text.size);
    return 0;
}

static int signal_process(struct rpc_call *call, const void *arg)
{
    const struct proc_signal_call *signal = arg;
    struct thread_group *group = signal->pid > 0 ? thread_group_find(call->kernel->root_pid_ns,
                                                                     (u32)signal->pid)
                                                 : NULL;
    struct linux_siginfo info;
    if (!group)
        return error_set(call->err, ESRCH, "no such process with PID %d", signal->pid);
    if (signal->signo < 0 || signal->signo > LINUX_NSIG)
        return error_set(call->err, EINVAL, "invalid signal %d", signal->signo);
    if (signal->signo == 0)
        return 0;
    signal_info_user(&info, signal->signo, 0, NULL, group);
    int err = signal_send_group(group, &info);
    return err ? error_set(call->err, -err, "%s", errno_text(-err)) : 0;
}

const struct rpc_method proc_methods[] = {
    {"Proc.Exec", &rpc_exec_type, proc_exec},
    {"Proc.Ps", &ps_type, ps},
    {"Proc.SignalProcess", &proc_signal_type, signal_process},
    {NULL},
};
