/* SPDX-License-Identifier: Apache-2.0 */
/* Where a contract test runs: a host, an empty directory, and ways to make descriptors. For tests
 * only. */
#pragma once
#include "host/host.h"

struct env {
    struct host *host;
    struct host_file *dir; /* empty, open for reading */
    char path[64];         /* its path on that host */
    int (*make_pipe)(struct env *env, int fds[2]);
    int (*make_terminal)(struct env *env, int fds[2]); /* fds[0] the terminal */
    int (*make_listener)(struct env *env, const char *name);
    u32 (*count_fds)(struct env *env);
    void (*fini)(struct env *env); /* asserts that nothing is left open */
    u32 fds_before;
};

void env_linux_init(struct env *env);
void env_sim_init(struct env *env);
