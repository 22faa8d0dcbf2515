/* SPDX-License-Identifier: Apache-2.0 */
/* A further process in a running container. */
#pragma once
#include "runtime/container.h"

struct exec_options {
    struct oci_process *process;   /* what to run, as whom; complete */
    const char *console_socket;    /* "" none */
    const char *pid_file;          /* the pid of the process on the host that stands for it */
    const char *internal_pid_file; /* its pid in the container */
    bool is_detached;
    int pass_hosts[PASS_FDS_MAX];
    int pass_guests[PASS_FDS_MAX];
    u32 pass_count;
    int exec_fd; /* the program itself; -1 none */
};

/*
 * Attached: *EXIT_CODE is the process's. Detached: 0, once a process that stands for it runs: that
 * one passes signals on, ends as it ends, and takes it along when it is killed.
 */
MUST_CHECK int exec_run(struct record *record, const struct exec_options *options, int *exit_code,
                        struct error *err);
