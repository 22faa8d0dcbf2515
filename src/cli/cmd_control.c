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
    struct json_iter iter;
    struct json_text name, result, list = json_member(answer.result, "results");
    if (json_type(list) != JSON_ARRAY)
        return fail("malformed answer");
    json_iter_init(&iter, list);
    if (!json_iter_next(&iter, &name, &result))
        return fail("no result");
    bool is_error = true;
    (void)!json_bool(json_member(result, "is_error"), &is_error);
    const char *text = json_string(json_member(result, "value"), pool, NULL);
    if (is_error)
        return fail(text ? text : "malformed answer");
    if (!value)
        printf("%s\n", text ? text : "");
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
