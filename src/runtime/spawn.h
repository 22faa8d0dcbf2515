/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting this program again as one of its inner processes: `picket boot …`, `picket gofer …`, in
 * new namespaces, with exactly the descriptors it was given and an empty environment.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "wire/urpc/pool.h"

#include <sys/types.h>

#define SPAWN_ARGS_MAX 64u
#define SPAWN_FDS_MAX 1024u
#define SPAWN_CGROUPS_MAX 16u

struct spawn {
    struct pool *pool;
    char *argv[SPAWN_ARGS_MAX + 1];
    u32 argc;
    int fds[SPAWN_FDS_MAX]; /* the child has them from number 3 on */
    u32 fd_count;
    int stdio[3];     /* -1: /dev/null */
    u64 namespaces;   /* CLONE_NEW*; given up as a whole where they are not allowed */
    int netns;        /* to join instead of a new one; -1 */
    bool is_attached; /* dies with the caller's thread */
    int go[2];   /* pipe, lent: the child begins when a byte comes and ends when none will; -1 */
    int startup; /* pipe for startup_fail, lent; the child has its own copy by spawn_fd */
    int cgroups[SPAWN_CGROUPS_MAX]; /* cgroup.procs files, opened for writing; lent */
    u32 cgroup_count;
};

/* NAME is argv[0], COMMAND argv[1]. POOL outlives the struct. */
void spawn_init(struct spawn *spawn, struct pool *pool, const char *name, const char *command);
void spawn_arg(struct spawn *spawn, const char *format, ...) PRINTF(2, 3);
/* FD (lent until spawn_start) for the child: the number that it has there. */
int spawn_fd(struct spawn *spawn, int fd);
/*
 * Start it. "--jail=true" or, without namespaces, "--jail=false" is put before the last argument.
 * *PID, and *PIDFD which is the caller's. -1: could not even be made; a failure to execute comes
 * through `startup`.
 */
MUST_CHECK int spawn_start(struct spawn *spawn, pid_t *pid, int *pidfd, struct error *err);

/* ---- the pipe that tells how a start went --------------------------------------------------- */

/* Each message is one write: 'R' (ready), or 'E' and a line of text. */
void startup_ready(int fd);
void startup_fail(int fd, const char *text);
/*
 * Until all COUNT writers have said that they are ready. -1: with the first failure's text, or "WHO
 * ended before it was ready" when the writers are gone.
 */
MUST_CHECK int startup_wait(int fd, u32 count, struct error *err);
