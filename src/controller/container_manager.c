/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver containerManager: life of containers and of the sandbox. The order of
 * StartSubcontainer's descriptors is: stdio unless terminal, filestores,
 * dev gofer, gofers.
 */
#include <errno.h>
#include <string.h>

#include "controller/container_args.h"
#include "controller/internal.h"

/* ---- arguments ------------------------------------------------------------------------------ */

const struct wire_type rpc_string_arg = {
    .kind = WIRE_STRING, .size = sizeof(struct rpc_string), .name = "string"};

static const struct wire_field create_fields[] = {
    WIRE_FIELD(struct create_args, cid, "CID", &wire_string),
    WIRE_END,
};
static const struct wire_type create_type = WIRE_TYPE_STRUCT(struct create_args, create_fields,
                                                             "boot.CreateArgs");

static const struct wire_field conf_fields[] = {
    WIRE_FIELD(struct start_conf, lower, "lower", &wire_uint8),
    WIRE_FIELD(struct start_conf, upper, "upper", &wire_uint8),
    WIRE_OMIT(struct start_conf, size, "size", &wire_string),
    WIRE_END,
};
static const struct wire_type conf_type = WIRE_TYPE_STRUCT(struct start_conf, conf_fields,
                                                           "specutils.GoferMountConf");

static const struct wire_field start_fields[] = {
    WIRE_FIELD(struct start_args, spec, "Spec", &wire_raw),
    WIRE_FIELD(struct start_args, conf, "Conf", &wire_raw),
    WIRE_FIELD(struct start_args, cid, "CID", &wire_string),
    WIRE_FIELD(struct start_args, filestore_count, "NumGoferFilestoreFDs", &wire_int),
    WIRE_FIELD(struct start_args, has_dev_io, "IsDevIoFilePresent", &wire_bool),
    WIRE_FIELD(struct start_args, confs, "GoferMountConfs",
               WIRE_LIST_OF(&conf_type, "[]specutils.GoferMountConf")),
    WIRE_FIELD(struct start_args, has_upper_tar, "IsRootfsUpperTarFilePresent", &wire_bool),
    WIRE_END,
};
static const struct wire_type start_type = WIRE_TYPE_STRUCT(struct start_args, start_fields,
                                                            "boot.StartArgs");

static const struct wire_field memory_save_fields[] = {
    WIRE_FIELD(struct memory_save_opts, excludes_zero_pages, "ExcludeCommittedZeroPages",
               &wire_bool),
    WIRE_END,
};
static const struct wire_type memory_save_type = WIRE_TYPE_STRUCT(
    struct memory_save_opts, memory_save_fields, "pgalloc.SaveOpts");

static const struct wire_field save_exec_fields[] = {
    WIRE_FIELD(struct save_exec_opts, argv, "Argv", &wire_string),
    WIRE_FIELD(struct save_exec_opts, timeout_ns, "Timeout", &wire_duration),
    WIRE_FIELD(struct save_exec_opts, cid, "ContainerID", &wire_string),
    WIRE_END,
};
static const struct wire_type save_exec_type = WIRE_TYPE_STRUCT(
    struct save_exec_opts, save_exec_fields, "control.SaveRestoreExecOpts");

static const struct wire_field save_fields[] = {
    WIRE_FIELD(struct save_opts, key, "key", &wire_bytes),
    WIRE_FIELD(struct save_opts, metadata, "metadata",
               WIRE_MAP_OF(&wire_string, "map[string]string")),
    WIRE_FIELD(struct save_opts, memory, "MemoryFileSaveOpts", &memory_save_type),
    WIRE_FIELD(struct save_opts, app_excludes_zero_pages, "app_mf_exclude_committed_zero_pages",
               &wire_bool),
    WIRE_FIELD(struct save_opts, has_pages_file, "have_pages_file", &wire_bool),
    WIRE_FIELD(struct save_opts, resumes, "Resume", &wire_bool),
    WIRE_FIELD(struct save_opts, exec, "ExecOpts", &save_exec_type),
    WIRE_FIELD(struct save_opts, uses_gofer, "use_checkpoint_gofer", &wire_bool),
    WIRE_END,
};
const struct wire_type rpc_save_type = WIRE_TYPE_STRUCT(struct save_opts, save_fields,
                                                        "control.SaveOpts");

static const struct wire_field restore_fields[] = {
    WIRE_FIELD(struct restore_opts, has_pages_file, "HavePagesFile", &wire_bool),
    WIRE_FIELD(struct restore_opts, has_device_file, "HaveDeviceFile", &wire_bool),
    WIRE_FIELD(struct restore_opts, is_background, "Background", &wire_bool),
    WIRE_FIELD(struct restore_opts, uses_gofer, "use_checkpoint_gofer", &wire_bool),
    WIRE_END,
};
static const struct wire_type restore_type = WIRE_TYPE_STRUCT(struct restore_opts, restore_fields,
                                                              "boot.RestoreOpts");

/* ---- containers ----------------------------------------------------------------------------- */

SLEEPS static int start_root(struct rpc_call *call, const void *arg)
{
    const struct rpc_string *id = arg;
    return loader_start_root(call->loader, call->task, rpc_text(id->text), call->err);
}

static int create_subcontainer(struct rpc_call *call, const void *arg)
{
    const struct create_args *args = arg;
    if (call->urpc->fd_count > 1)
        return error_set(call->err, EINVAL, "start arguments must have at most 1 files for TTY");
    return loader_create_subcontainer(call->loader, rpc_text(args->cid), rpc_take_fd(call, 0),
                                      call->err);
}

static bool is_missing(struct json_text text)
{
    return json_type(text) == JSON_ABSENT || json_type(text) == JSON_NULL;
}

static int check_start_args(struct rpc_call *call, const struct start_args *args)
{
    if (is_missing(args->spec))
        return error_set(call->err, EINVAL, "start arguments missing spec");
    if (is_missing(args->conf))
        return error_set(call->err, EINVAL, "start arguments missing config");
    if (!args->cid || !*args->cid)
        return error_set(call->err, EINVAL, "start argument missing container ID");
    return 0;
}

/* How the call's descriptors are divided; all counts judged. */
struct fd_plan {
    u32 stdio, filestores, dev, tar, gofers;
};

static int plan_fds(struct rpc_call *call, const struct start_args *args, bool is_terminal,
                    const char *kind, struct fd_plan *plan)
{
    if (args->filestore_count < 0 || args->filestore_count > HOST_FDS_MAX)
        return error_set(call->err, EINVAL, "NumGoferFilestoreFDs %lld is out of range",
                         (long long)args->filestore_count);
    *plan = (struct fd_plan){.stdio = is_terminal ? 0 : 3,
                             .filestores = (u32)args->filestore_count,
                             .dev = args->has_dev_io,
                             .tar = args->has_upper_tar};
    u32 want = 1 + plan->stdio + plan->filestores + plan->dev;
    u32 got = call->urpc->fd_count;
    if (got < want)
        return error_set(call->err, EINVAL,
                         "%s arguments must contain at least %u FDs, but only got %u", kind, want,
                         got);
    if (got <= want - 1 + plan->tar)
        return error_set(call->err, EINVAL, "rootfs gofer FD not found");
    plan->gofers = got - (want - 1) - plan->tar;
    return 0;
}

static void take_fds(struct rpc_call *call, u32 first, u32 count, int *out)
{
    for (u32 i = 0; i < count; i++)
        out[i] = rpc_take_fd(call, first + i);
}

/* Memory first: what was taken is OUT's in any case. */
static int take_planned_fds(struct rpc_call *call, const struct fd_plan *plan,
                            struct container_args *out)
{
    out->filestores = pool_alloc_array(call->pool, plan->filestores, sizeof(int));
    out->gofers = pool_alloc_array(call->pool, plan->gofers, sizeof(int));
    if (!out->filestores || !out->gofers)
        return error_set(call->err, ENOMEM, "out of memory");
    u32 at = plan->stdio;
    take_fds(call, 0, plan->stdio, out->stdio);
    take_fds(call, at, plan->filestores, out->filestores);
    at += plan->filestores;
    take_fds(call, at, plan->dev, &out->dev_gofer);
    at += plan->dev + plan->tar;
    take_fds(call, at, plan->gofers, out->gofers);
    out->filestore_count = plan->filestores;
    out->gofer_count = plan->gofers;
    return 0;
}

static int copy_confs(struct rpc_call *call, const struct start_args *args,
                      struct container_args *out)
{
    out->confs = pool_alloc_array(call->pool, args->confs.count, sizeof *out->confs);
    if (!out->confs)
        return error_set(call->err, ENOMEM, "out of memory");
    for (size_t i = 0; i < args->confs.count; i++) {
        const struct start_conf *conf = &args->confs.items[i];
        if (conf->lower > GOFER_LOWER_EROFS || conf->upper > GOFER_UPPER_ANON)
            return error_set(call->err, EINVAL, "invalid gofer mount conf: %u:%u", conf->lower,
                             conf->upper);
        out->confs[i] = (struct gofer_mount_conf){
            .lower = conf->lower, .upper = conf->upper, .size = conf->size};
    }
    out->conf_count = (u32)args->confs.count;
    return 0;
}

SLEEPS static int start_with(struct rpc_call *call, const struct start_args *args, const char *kind)
{
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    struct container_args out = {.stdio = {-1, -1, -1}, .dev_gofer = -1, .exec_fd = -1};
    struct fd_plan plan = {0};
    if (check_start_args(call, args))
        return -1;
    if (oci_spec_parse_in(call->kernel->arena, args->spec.bytes, args->spec.size, &spec, call->err))
        return -1;
    bool is_terminal = spec->process && spec->process->terminal;
    if (plan_fds(call, args, is_terminal, kind, &plan) || copy_confs(call, args, &out) ||
        oci_spec_validate(spec, call->err) || take_planned_fds(call, &plan, &out))
        return -1;
    out.spec = MOVE(spec);
    return loader_start_subcontainer(call->loader, call->task, args->cid, &out, call->err);
}

SLEEPS static int start_subcontainer(struct rpc_call *call, const void *arg)
{
    return start_with(call, arg, "start");
}

SLEEPS static int restore_subcontainer(struct rpc_call *call, const void *arg)
{
    enum loader_state state = loader_state(call->loader);
    if (state != LOADER_RESTORING_UNSTARTED)
        return error_set(call->err, EINVAL,
                         "sandbox is not being restored, cannot restore subcontainer: state=%s",
                         loader_state_name(state));
    return start_with(call, arg, "restore");
}

SLEEPS static int destroy_subcontainer(struct rpc_call *call, const void *arg)
{
    const struct rpc_string *id = arg;
    return loader_destroy_subcontainer(call->loader, call->task, rpc_text(id->text), call->err);
}

static int container_runtime_state(struct rpc_call *call, const void *arg)
{
    const struct rpc_string *id = arg;
    json_put_i64(call->result, loader_container_state(call->loader, rpc_text(id->text)));
    return 0;
}

/* ---- the sandbox ---------------------------------------------------------------------------- */

SLEEPS static int pause_sandbox(struct rpc_call *call, const void *arg)
{
    return loader_pause(call->loader, call->task, call->err);
}

SLEEPS static int resume_sandbox(struct rpc_call *call, const void *arg)
{
    return loader_resume(call->loader, call->task, call->err);
}

/* Also State.Save. */
SLEEPS int container_checkpoint(struct rpc_call *call, const void *arg)
{
    const struct save_opts *opts = arg;
    u32 want = opts->has_pages_file ? 3 : 1;
    if (call->urpc->fd_count != want)
        return error_set(call->err, EINVAL, "got %u files, wanted %u", call->urpc->fd_count, want);
    const struct checkpoint_args args = {
        .state_fd = rpc_take_fd(call, 0),
        .pages_meta_fd = rpc_take_fd(call, 1),
        .pages_fd = rpc_take_fd(call, 2),
        .metadata = (const struct wire_list *)(const void *)&opts->metadata,
        .resumes = opts->resumes,
        .is_compressed = !opts->has_pages_file,
    };
    return loader_checkpoint(call->loader, call->task, &args, call->err);
}

SLEEPS static int wait_checkpoint(struct rpc_call *call, const void *arg)
{
    return loader_wait_checkpoint(call->loader, call->task, call->err);
}

SLEEPS static int restore(struct rpc_call *call, const void *arg)
{
    const struct restore_opts *opts = arg;
    u32 want = 1 + (opts->has_pages_file ? 2 : 0) + (opts->has_device_file ? 1 : 0);
    if (call->urpc->fd_count == 0)
        return error_set(call->err, EINVAL, "at least one file must be passed to Restore");
    if (call->urpc->fd_count > want)
        return error_set(call->err, EINVAL, "more files passed to Restore than expected");
    if (call->urpc->fd_count < want)
        return error_set(call->err, EINVAL, "got %u files, wanted %u", call->urpc->fd_count, want);
    const struct restore_args args = {
        .state_fd = rpc_take_fd(call, 0),
        .pages_meta_fd = opts->has_pages_file ? rpc_take_fd(call, 1) : -1,
        .pages_fd = opts->has_pages_file ? rpc_take_fd(call, 2) : -1,
        .device_fd = opts->has_device_file ? rpc_take_fd(call, want - 1) : -1,
        .is_background = opts->is_background,
    };
    return loader_restore(call->loader, call->task, &args, call->err);
}

SLEEPS static int wait_restore(struct rpc_call *call, const void *arg)
{
    return loader_wait_restore(call->loader, call->task, call->err);
}

SLEEPS static int wait_fs_checkpoint(struct rpc_call *call, const void *arg)
{
    return loader_wait_fs_save(call->loader, call->task, call->err);
}

SLEEPS static int wait_fs_restore(struct rpc_call *call, const void *arg)
{
    const struct create_args *args = arg;
    return loader_wait_fs_restore(call->loader, call->task, rpc_text(args->cid), call->err);
}

static int get_savings(struct rpc_call *call, const void *arg)
{
    struct loader_savings savings = loader_savings(call->loader);
    json_begin_object(call->result);
    json_name(call->result, "CPUTimeSaved");
    json_put_u64(call->result, savings.cpu_ns);
    json_name(call->result, "WallTimeSaved");
    json_put_u64(call->result, savings.wall_ns);
    json_end_object(call->result);
    return 0;
}

const struct rpc_method container_manager_methods[] = {
    {"containerManager.StartRoot", &rpc_string_arg, start_root},
    {"containerManager.CreateSubcontainer", &create_type, create_subcontainer},
    {"containerManager.StartSubcontainer", &start_type, start_subcontainer},
    {"containerManager.DestroySubcontainer", &rpc_string_arg, destroy_subcontainer},
    {"containerManager.ContainerRuntimeState", &rpc_string_arg, container_runtime_state},
    {"containerManager.Pause", NULL, pause_sandbox},
    {"containerManager.Resume", NULL, resume_sandbox},
    {"containerManager.Checkpoint", &rpc_save_type, container_checkpoint},
    {"containerManager.WaitCheckpoint", NULL, wait_checkpoint},
    {"containerManager.Restore", &restore_type, restore},
    {"containerManager.RestoreSubcontainer", &start_type, restore_subcontainer},
    {"containerManager.WaitRestore", NULL, wait_restore},
    {"containerManager.ListTraceSessions", NULL, container_list_traces},
    {"containerManager.DeleteTraceSession", &rpc_string_arg, container_delete_trace},
    {"containerManager.PortForward", &rpc_forward_type, container_port_forward},
    {"containerManager.CreateTraceSession", &rpc_trace_type, container_create_trace},
    {"containerManager.ProcfsDump", NULL, container_procfs_dump},
    {"containerManager.Mount", &rpc_mount_type, container_mount},
    {"containerManager.WaitFSCheckpoint", NULL, wait_fs_checkpoint},
    {"containerManager.WaitFSRestore", &create_type, wait_fs_restore},
    {"containerManager.FSSave", &rpc_fs_save_type, container_fs_save},
    {"containerManager.GetSavings", NULL, get_savings},
    {NULL},
};
