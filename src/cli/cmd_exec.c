/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec ID CMD...: what to run comes from flags, which start from the container's own process, or
 * whole from an OCI process object in a file.
 */
#include "cli/commands.h"
#include "runtime/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int user_parse(const char *text, struct oci_user *user, struct error *err)
{
    char uid[32];
    size_t size = strcspn(text, ":");
    i64 number;
    snprintf(uid, sizeof uid, "%.*s", (int)MIN(size, sizeof uid - 1), text);
    if (size >= sizeof uid || !int_parse(uid, &number) || number < 0 || number > UINT32_MAX)
        return error_set(err, 0, "couldn't parse UID: %s", text);
    user->uid = (u32)number;
    if (text[size] == 0)
        return 0;
    if (!int_parse(text + size + 1, &number) || number < 0 || number > UINT32_MAX)
        return error_set(err, 0, "couldn't parse GID: %s", text);
    user->gid = (u32)number;
    return 0;
}

/* NAME=VALUE takes the place of an older NAME. */
static void env_set(struct oci_spec *spec, struct oci_process *process, const char *text)
{
    size_t name = strcspn(text, "=");
    for (size_t i = 0; i < process->env.count; i++) {
        if (strncmp(process->env.items[i], text, name) == 0 && process->env.items[i][name] == '=') {
            process->env.items[i] = oci_strdup(spec, text);
            return;
        }
    }
    char **item = OCI_APPEND(spec, process->env);
    *item = oci_strdup(spec, text);
}

static int caps_add(struct oci_spec *spec, struct oci_process *process,
                    const struct flag_list *list, struct error *err)
{
    if (list->count > 0 && !process->capabilities)
        process->capabilities = oci_alloc(spec, sizeof *process->capabilities);
    for (u32 i = 0; i < list->count; i++) {
        const char *at = list->items[i];
        while (*at) { /* March also split at commas */
            char name[64];
            size_t size = strcspn(at, ",");
            snprintf(name, sizeof name, "%.*s", (int)MIN(size, sizeof name - 1), at);
            int nr = oci_capability_nr(name);
            if (nr < 0)
                return error_set(err, 0, "invalid capability \"%s\"", name);
            struct oci_capabilities *caps = process->capabilities;
            char *full = oci_strdup(spec, oci_capability_name(nr));
            *OCI_APPEND(spec, caps->bounding) = full;
            *OCI_APPEND(spec, caps->effective) = full;
            *OCI_APPEND(spec, caps->inheritable) = full;
            *OCI_APPEND(spec, caps->permitted) = full;
            at += size + (at[size] == ',');
        }
    }
    return 0;
}

static int gids_add(struct oci_spec *spec, struct oci_process *process,
                    const struct flag_list *list, struct error *err)
{
    for (u32 i = 0; i < list->count; i++) {
        i64 number;
        if (!int_parse(list->items[i], &number) || number < 0 || number > UINT32_MAX)
            return error_set(err, 0, "couldn't parse additional GID: %s", list->items[i]);
        *OCI_APPEND(spec, process->user.additional_gids) = (u32)number;
    }
    return 0;
}

static int process_from_flags(struct oci_spec *spec, const struct exec_command_options *options,
                              int argc, char **argv, struct oci_process **out, struct error *err)
{
    struct oci_process *process = oci_alloc(spec, sizeof *process);
    *process = *spec->process;
    process->args.items = NULL;
    process->args.count = 0;
    for (int i = 0; i < argc; i++)
        *OCI_APPEND(spec, process->args) = oci_strdup(spec, argv[i]);
    process->terminal = options->has_tty;
    process->console_size = NULL;
    if (options->no_new_privs)
        process->no_new_privileges = true;
    if (*options->cwd)
        process->cwd = oci_strdup(spec, options->cwd);
    if (*options->user && user_parse(options->user, &process->user, err) < 0)
        return -1;
    for (u32 i = 0; i < options->env.count; i++)
        env_set(spec, process, options->env.items[i]);
    *out = process;
    if (caps_add(spec, process, &options->caps, err) < 0)
        return -1;
    return gids_add(spec, process, &options->gids, err);
}

static int process_from_file(struct oci_spec *spec, const struct exec_command_options *options,
                             struct oci_process **out, struct error *err)
{
    char *text;
    size_t size;
    if (cli_read_file(options->process, &text, &size, err) < 0)
        return error_prefix(err, "error reading process spec");
    int result = oci_process_parse(spec, text, size, out, err);
    free(text);
    if (result < 0)
        return error_prefix(err, "error unmarshaling process spec");
    struct oci_process *process = *out;
    if (process->cwd && *process->cwd && process->cwd[0] != '/')
        return error_set(err, 0, "cwd must be an absolute path");
    if (process->args.count == 0)
        return error_set(err, 0, "args must not be empty");
    if (!process->capabilities)
        process->capabilities = spec->process->capabilities;
    if (options->has_tty)
        process->terminal = true;
    return 0;
}

static int exec_in(struct record *record, const struct exec_command_options *options, int argc,
                   char **argv, int *exit_code, struct error *err)
{
    static const char *const states[] = {STATUS_CREATED, STATUS_RUNNING, NULL};
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    struct exec_options exec = {.console_socket = options->console_socket,
                                .pid_file = options->pid_file,
                                .internal_pid_file = options->internal_pid_file,
                                .is_detached = options->is_detached,
                                .exec_fd = (int)options->exec_fd};
    if (container_want_status(record, "execute in", states, err) < 0 ||
        record_spec(record, &spec, err) < 0 ||
        cli_pass_fds(&options->pass_fds, options->preserved_fds, exec.pass_hosts, exec.pass_guests,
                     &exec.pass_count, err) < 0)
        return -1;
    int result = *options->process
                     ? process_from_file(spec, options, &exec.process, err)
                     : process_from_flags(spec, options, argc, argv, &exec.process, err);
    return result < 0 ? -1 : exec_run(record, &exec, exit_code, err);
}

int cmd_exec(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct exec_command_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    int exit_code = 0;
    bool has_file = *options->process;
    if (argc < 1 || (!has_file && argc < 2))
        return cli_usage(cli);
    if (cli_container(cli, argv[0], true, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    if (exec_in(record, options, argc - 1, argv + 1, &exit_code, &err) < 0)
        return cli_fail(cli, &err);
    return exit_code;
}
