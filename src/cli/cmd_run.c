/* SPDX-License-Identifier: Apache-2.0 */
/* run ID: create and start; attached, also wait, delete, and end as the program ended. */
#include "cli/cli.h"
#include "runtime/boot.h"
#include "runtime/console.h"
#include "runtime/forward.h"
#include "runtime/rootless.h"

#include <stdlib.h>
#include <string.h>

/* Create is done. *EXIT_CODE is the program's. */
static int run_attached(struct runtime *runtime, const struct create_args *args,
                        const struct record *record, const struct child *child, int *exit_code,
                        struct error *err)
{
    struct full_id id;
    struct forwarder forwarder;
    u32 status = 0;
    bool has_terminal = args->spec->process->terminal;
    struct terminal *terminal = has_terminal && !*args->console_socket ? terminal_save(0) : NULL;
    record_full_id(record, &id);
    forward_begin(&forwarder, record, 0, has_terminal);
    int result = container_start(runtime, &id, err);
    if (result == 0)
        result = container_wait(record, child, &forwarder.extra, &status, err);
    struct error unused;
    if (result < 0 || !args->is_kept)
        (void)!container_delete(runtime, &id, true, &unused);
    forward_end(&forwarder);
    terminal_restore(terminal);
    *exit_code = boot_exit_code(status);
    return result;
}

int cli_run(struct cli *cli, struct runtime *runtime, const struct create_args *args)
{
    struct error err;
    struct full_id id;
    AUTO_RECORD struct record *record = NULL;
    struct child child = {-1, -1, -1};
    int exit_code = 0;
    forward_block();
    int result = container_create(runtime, args, &record, &child, &err);
    if (result < 0) {
        error_prefix(&err, "creating container");
    } else if (args->is_attached) {
        result = run_attached(runtime, args, record, &child, &exit_code, &err);
    } else {
        record_full_id(record, &id);
        result = container_start(runtime, &id, &err);
        struct error unused;
        if (result < 0)
            (void)!container_delete(runtime, &id, true, &unused);
    }
    child_close(&child);
    if (result < 0) {
        error_prefix(&err, "running container");
        return cli_fail(cli, &err);
    }
    return exit_code;
}

int cmd_run(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct create_options *options = given;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    struct create_args args;
    struct runtime runtime;
    struct error err;
    char *bundle = NULL;
    if (argc != 1)
        return cli_usage(cli);
    if (cli->config.is_rootless && strcmp(cli->config.network, "sandbox") == 0) {
        error_set(&err, 0,
                  "sandbox network isn't supported with --rootless, use --network=none or "
                  "--network=host");
        return cli_fail(cli, &err);
    }
    if (cli->config.is_rootless && rootless_enter(&err) < 0)
        return cli_fail(cli, &err);
    if (cli_bundle(cli, argv[0], options->bundle, &bundle, &spec, &err) < 0)
        return cli_fail(cli, &err);
    int status;
    if (create_args_fill(options, argv[0], bundle, spec, &args, &err) < 0 ||
        runtime_open(&cli->config, true, &runtime, &err) < 0) {
        status = cli_fail(cli, &err);
    } else {
        args.is_attached = !options->is_detached;
        args.is_kept = options->keeps;
        status = cli_run(cli, &runtime, &args);
        runtime_close(&runtime);
    }
    free(bundle);
    return status;
}
