/* SPDX-License-Identifier: Apache-2.0 */
/* read-control ID CONTROLLER CGROUP NAME, write-control … VALUE: control files inside the sandbox.
 */
#include "cli/commands.h"
#include "runtime/control.h"

#include <stdio.h>
#include <string.h>

/* "ERROR: …" goes to standard output, as users of these commands expect. */
static int fail(const char *text)
{
    printf("ERROR: %s\n", text);
    return EXIT_FAILED;
}

static int run(struct cli *cli, char **argv, const char *value)
{
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (cli_container(cli, argv[0], false, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    struct pool *pool = &record->pool;
    char *file = pool_printf(pool, "{\"controller\":%s,\"path\":%s,\"name\":%s}",
                             control_string(pool, argv[1]), control_string(pool, argv[2]),
                             control_string(pool, argv[3]));
    char *arg = value ? pool_printf(pool, "{\"args\":[{\"file\":%s,\"value\":%s}]}", file,
                                    control_string(pool, value))
                      : pool_printf(pool, "{\"args\":[{\"file\":%s}]}", file);
    const char *method = value ? "Cgroups.WriteControlFiles" : "Cgroups.ReadControlFiles";
    if (control_call(record, method, arg, NULL, 0, &answer, &err) < 0)
        return fail(err.text);
    char *text;
    if (control_results(&answer, pool, &text, &err) < 0)
        return fail(err.text);
    if (!value)
        printf("%s\n", text);
    return 0;
}

int cmd_read_control(struct cli *cli, const void *options, int argc, char **argv)
{
    return argc == 4 ? run(cli, argv, NULL) : cli_usage(cli);
}

int cmd_write_control(struct cli *cli, const void *options, int argc, char **argv)
{
    return argc == 5 ? run(cli, argv, argv[4]) : cli_usage(cli);
}
