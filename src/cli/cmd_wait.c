/* SPDX-License-Identifier: Apache-2.0 */
/* wait ID: until a container, one of its processes, a checkpoint or a restore has ended. */
#include "cli/commands.h"
#include "runtime/boot.h"
#include "runtime/control.h"
#include "runtime/process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int wait_process(const struct record *record, i64 pid, const char *container, u32 *status,
                        struct error *err)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    AUTO_URPC_CLIENT struct urpc_client *client = NULL;
    int pidfd = process_open((pid_t)record->sandbox->pid, record->sandbox->pid_start);
    int result = control_connect(record, &client, err);
    if (result == 0)
        result = control_wait(client, "containerManager.WaitPID",
                              control_wait_pid_arg(&pool, container, pid), pidfd, NULL, status,
                              err);
    if (pidfd >= 0)
        close(pidfd);
    return result < 0 ? error_prefix(err, "waiting on PID %lld in container \"%s\"", (long long)pid,
                                     container)
                      : 0;
}

/* For what else than an end may be waited; NULL: for an end. */
static const char *event_method(const struct wait_options *options)
{
    if (options->is_checkpoint)
        return "containerManager.WaitCheckpoint";
    if (options->is_restore)
        return "containerManager.WaitRestore";
    if (options->is_fs_checkpoint)
        return "containerManager.WaitFSCheckpoint";
    return options->is_fs_restore ? "containerManager.WaitFSRestore" : NULL;
}

int cmd_wait(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct wait_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    u32 status = 0;
    if (argc != 1)
        return cli_usage(cli);
    if (options->pid != -1 && options->root_pid != -1) {
        error_set(&err, 0, "only one of -pid and -rootPid can be set");
        return cli_fail(cli, &err);
    }
    if (cli_container(cli, argv[0], true, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    int result;
    const char *event = event_method(options);
    if (event) {
        char *arg = options->is_fs_restore ? pool_printf(&record->pool, "{\"CID\":%s}",
                                                         control_string(&record->pool, record->id))
                                           : NULL;
        return control_call(record, event, arg, NULL, 0, NULL, &err) < 0 ? cli_fail(cli, &err) : 0;
    }
    if (options->root_pid != -1)
        result = wait_process(record, options->root_pid, record->sandbox->id, &status, &err);
    else if (options->pid != -1)
        result = wait_process(record, options->pid, record->id, &status, &err);
    else
        result = container_wait(record, NULL, NULL, &status, &err);
    if (result < 0)
        return cli_fail(cli, &err);
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    printf("{\"id\":%s,\"exitStatus\":%d}\n", control_string(&pool, record->id),
           boot_exit_code(status));
    return 0;
}
