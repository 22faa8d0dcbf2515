/* SPDX-License-Identifier: Apache-2.0 */
/* delete ID...: what is left of stopped containers; with --force whatever they are. */
#include "cli/commands.h"

#include <errno.h>

int cmd_delete(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct force_options *options = given;
    struct runtime runtime;
    struct full_id id;
    struct error err;
    if (argc < 1)
        return cli_usage(cli);
    if (runtime_open(&cli->config, false, &runtime, &err) < 0)
        return cli_fail(cli, &err);
    int result = 0;
    for (int i = 0; i < argc && result == 0; i++) {
        result = state_dir_find(runtime.dir, argv[i], &id, &err);
        if (result < 0 && options->is_forced && err.code == ENOENT) {
            container_sweep(&runtime, argv[i]);
            result = 0; /* there is nothing to delete; ids behind this one are left, as in gVisor */
            break;
        }
        if (result == 0)
            result = container_delete(&runtime, &id, options->is_forced, &err);
    }
    runtime_close(&runtime);
    return result < 0 ? cli_fail(cli, &err) : 0;
}
