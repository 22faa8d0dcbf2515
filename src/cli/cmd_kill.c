/* SPDX-License-Identifier: Apache-2.0 */
/* kill ID [SIGNAL]: to the first process, to all, to one, or to a group. */
#include "cli/commands.h"
#include "runtime/control.h"

#include <stdio.h>
#include <string.h>

static int kill_judge(const struct kill_options *options, const struct record *record,
                      struct error *err)
{
    static const char *const running[] = {STATUS_RUNNING, STATUS_PAUSED, NULL};
    static const char *const any[] = {STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED, NULL};
    if (options->pid != 0)
        return container_want_status(record, "signal a process inside", running, err);
    /* A stopped container whose sandbox lives may have processes left, which only --all can mean.
     */
    bool may_be_stopped = options->is_all && sandbox_is_alive(record);
    return container_want_status(record, "signal", may_be_stopped ? any : running, err);
}

int cmd_kill(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct kill_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    if (argc < 1 || argc > 2)
        return cli_usage(cli);
    if (options->is_all && options->pid != 0) {
        error_set(&err, 0, "it is invalid to specify both --all and --pid");
        return cli_fail(cli, &err);
    }
    const char *name = argc == 2 ? argv[1] : "TERM";
    int signo = signal_parse(name);
    if (signo < 0) {
        error_set(&err, 0, "unknown signal \"%s\"", name);
        return cli_fail(cli, &err);
    }
    if (cli_container(cli, argv[0], true, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    enum control_signal_mode mode = options->is_all      ? CONTROL_ALL
                                    : options->pgid != 0 ? CONTROL_GROUP
                                                         : CONTROL_PROCESS;
    if (kill_judge(options, record, &err) < 0 ||
        control_signal(record, signo, (i32)options->pid, mode, (i32)options->pgid, &err) < 0)
        return cli_fail(cli, &err);
    return 0;
}
