/* SPDX-License-Identifier: Apache-2.0 */
/* create ID: a sandbox that has not started its program. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>

int create_args_fill(const struct create_options *options, const char *id, const char *bundle,
                     struct oci_spec *spec, struct create_args *out, struct error *err)
{
    if (options->exec_fd >= 0)
        return error_set(err, ENOSYS,
                         "starting a program from a descriptor (-exec-fd) is not supported");
    *out = (struct create_args){.id = id,
                                .bundle = bundle,
                                .spec = spec,
                                .console_socket = options->console_socket,
                                .pid_file = options->pid_file,
                                .user_log = options->user_log,
                                .fs_image_path = options->fs_image_path,
                                .exec_fd = -1};
    return cli_pass_fds(&options->pass_fds, options->preserved_fds, out->pass_hosts,
                        out->pass_guests, &out->pass_count, err);
}

static int create(struct cli *cli, const struct create_options *options, const char *id,
                  struct error *err)
{
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    AUTO_RECORD struct record *record = NULL;
    char *bundle = NULL;
    struct runtime runtime = {.dir = -1};
    struct create_args args;
    if (cli->config.is_rootless)
        return error_set(err, 0, "Rootless mode not supported with \"create\"");
    int result = cli_bundle(cli, id, options->bundle, &bundle, &spec, err);
    if (result == 0)
        result = create_args_fill(options, id, bundle, spec, &args, err);
    if (result == 0)
        result = runtime_open(&cli->config, true, &runtime, err);
    if (result == 0)
        result = container_create(&runtime, &args, &record, NULL, err);
    runtime_close(&runtime);
    free(bundle);
    return result;
}

int cmd_create(struct cli *cli, const void *options, int argc, char **argv)
{
    struct error err;
    if (argc != 1)
        return cli_usage(cli);
    if (create(cli, options, argv[0], &err) == 0)
        return 0;
    error_prefix(&err, "creating container");
    return cli_fail(cli, &err);
}
