/* SPDX-License-Identifier: Apache-2.0 */
/* state ID: the container's OCI state. */
#include "cli/cli.h"
#include "runtime/hooks.h"

#include <stdio.h>
#include <stdlib.h>

int cmd_state(struct cli *cli, const void *options, int argc, char **argv)
{
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    if (argc != 1)
        return cli_usage(cli);
    if (cli_container(cli, argv[0], true, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    if (record_spec(record, &spec, &err) < 0)
        return cli_fail(cli, &err);
    struct oci_state state = {.id = record->id,
                              .status = record->status,
                              .pid = record_shown_pid(record),
                              .bundle = record->bundle_dir,
                              .spec = spec};
    char *text = oci_state_json(&state, "  ");
    puts(text);
    free(text);
    return 0;
}
