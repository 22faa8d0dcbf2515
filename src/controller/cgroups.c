/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver Cgroups: control files of the sandbox's own groups. One that fails does not stop the
 * others. */
#include <errno.h>
#include <string.h>

#include "controller/internal.h"
#include "sentry/fs/cgroup/cgroup.h"

struct control_file {
    char *controller, *path, *name;
};
static const struct wire_field file_fields[] = {
    WIRE_FIELD(struct control_file, controller, "controller", &wire_string),
    WIRE_FIELD(struct control_file, path, "path", &wire_string),
    WIRE_FIELD(struct control_file, name, "name", &wire_string),
    WIRE_END,
};
static const struct wire_type file_type = WIRE_TYPE_STRUCT(struct control_file, file_fields,
                                                           "control.CgroupControlFile");
struct control_arg {
    struct control_file file;
    char *value;
};
static const struct wire_field read_fields[] = {
    WIRE_FIELD(struct control_arg, file, "file", &file_type),
    WIRE_END,
};
static const struct wire_type read_type = WIRE_TYPE_STRUCT(struct control_arg, read_fields,
                                                           "control.CgroupsReadArg");
static const struct wire_field write_fields[] = {
    WIRE_FIELD(struct control_arg, file, "file", &file_type),
    WIRE_FIELD(struct control_arg, value, "value", &wire_string),
    WIRE_END,
};
static const struct wire_type write_type = WIRE_TYPE_STRUCT(struct control_arg, write_fields,
                                                            "control.CgroupsWriteArg");
struct control_call {
    WIRE_LIST(struct control_arg) args;
};
static const struct wire_field read_call_fields[] = {
    WIRE_FIELD(struct control_call, args, "args",
               WIRE_LIST_OF(&read_type, "[]control.CgroupsReadArg")),
    WIRE_END,
};
static const struct wire_type read_call_type = WIRE_TYPE_STRUCT(
    struct control_call, read_call_fields, "control.CgroupsReadArgs");
static const struct wire_field write_call_fields[] = {
    WIRE_FIELD(struct control_call, args, "args",
               WIRE_LIST_OF(&write_type, "[]control.CgroupsWriteArg")),
    WIRE_END,
};
static const struct wire_type write_call_type = WIRE_TYPE_STRUCT(
    struct control_call, write_call_fields, "control.CgroupsWriteArgs");

static const char *find_group(struct rpc_call *call, const struct control_file *file,
                              struct control_group **out)
{
    const char *wrong = control_group_controller(rpc_text(file->controller),
                                                 cgroup_mounted(call->kernel));
    if (wrong)
        return wrong;
    if (rpc_text(file->path)[0] != '/')
        return "path must be absolute";
    *out = control_group_find(call->kernel, file->path);
    return *out ? NULL : "no such file or directory";
}

static void put_result(struct json_writer *w, const char *value, size_t size, bool is_error)
{
    while (size > 0 && strchr(" \t\n", value[size - 1])) /* values come without space around them */
        size--;
    json_begin_object(w);
    json_name(w, "value");
    json_put_string_size(w, value, size);
    json_name(w, "is_error");
    json_put_bool(w, is_error);
    json_end_object(w);
}

static void read_one(struct rpc_call *call, const struct control_arg *arg)
{
    struct control_group *group;
    AUTO_BUF struct buf text;
    buf_init(&text, call->kernel->arena, 0);
    const char *wrong = find_group(call, &arg->file, &group);
    if (!wrong)
        wrong = control_group_read(call->kernel, group, arg->file.controller,
                                   rpc_text(arg->file.name), &text);
    if (wrong)
        put_result(call->result, wrong, strlen(wrong), true);
    else
        put_result(call->result, (const char *)buf_bytes(&text), text.size, false);
}

/* White space around a value is what echo(1) adds. */
static const char *trimmed(struct rpc_call *call, const char *text)
{
    size_t size = strlen(text);
    size_t lead = strspn(text, " \t\n");
    while (size > lead && strchr(" \t\n", text[size - 1]))
        size--;
    return pool_strndup(call->pool, text + lead, size - lead);
}

static void write_one(struct rpc_call *call, const struct control_arg *arg)
{
    struct control_group *group;
    const char *wrong = find_group(call, &arg->file, &group);
    const char *value = wrong ? NULL : trimmed(call, rpc_text(arg->value));
    if (!wrong)
        wrong = value ? control_group_write(call->kernel, group, arg->file.controller,
                                            rpc_text(arg->file.name), value)
                      : "out of memory";
    put_result(call->result, wrong ? wrong : "", wrong ? strlen(wrong) : 0, wrong != NULL);
}

static int each(struct rpc_call *call, const struct control_call *args,
                void (*act)(struct rpc_call *call, const struct control_arg *arg))
{
    json_begin_object(call->result);
    json_name(call->result, "results");
    json_begin_array(call->result);
    for (size_t i = 0; i < args->args.count; i++)
        act(call, &args->args.items[i]);
    json_end_array(call->result);
    json_end_object(call->result);
    return 0;
}

static int read_files(struct rpc_call *call, const void *arg)
{
    return each(call, arg, read_one);
}

static int write_files(struct rpc_call *call, const void *arg)
{
    return each(call, arg, write_one);
}

const struct rpc_method cgroups_methods[] = {
    {"Cgroups.ReadControlFiles", &read_call_type, read_files},
    {"Cgroups.WriteControlFiles", &write_call_type, write_files},
    {NULL},
};
