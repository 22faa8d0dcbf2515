/* SPDX-License-Identifier: Apache-2.0 */
/* start, pause, resume: a container's lock, one call, its record. */
#include "cli/cli.h"

/* The one container that ID may be short for; ACT on it. */
static int with_container(struct cli *cli, int argc, char **argv,
                          int (*act)(struct runtime *runtime, const struct full_id *id,
                                     struct error *err))
{
    struct runtime runtime;
    struct full_id id;
    struct error err;
    if (argc != 1)
        return cli_usage(cli);
    if (runtime_open(&cli->config, false, &runtime, &err) < 0)
        return cli_fail(cli, &err);
    int result = state_dir_find(runtime.dir, argv[0], &id, &err);
    if (result == 0)
        result = act(&runtime, &id, &err);
    runtime_close(&runtime);
    return result < 0 ? cli_fail(cli, &err) : 0;
}

static int pause_it(struct runtime *runtime, const struct full_id *id, struct error *err)
{
    return container_pause(runtime, id, true, err);
}

static int resume_it(struct runtime *runtime, const struct full_id *id, struct error *err)
{
    return container_pause(runtime, id, false, err);
}

int cmd_start(struct cli *cli, const void *options, int argc, char **argv)
{
    return with_container(cli, argc, argv, container_start);
}

int cmd_pause(struct cli *cli, const void *options, int argc, char **argv)
{
    return with_container(cli, argc, argv, pause_it);
}

int cmd_resume(struct cli *cli, const void *options, int argc, char **argv)
{
    return with_container(cli, argc, argv, resume_it);
}
