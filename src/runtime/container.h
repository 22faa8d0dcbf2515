/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a container, seen from the host: create, start, wait, delete. Each function takes the
 * container's lock for as long as it changes something, loads the record, acts, and saves it.
 */
#pragma once
#include "base/error.h"
#include "oci/oci.h"
#include "runtime/config.h"
#include "runtime/record.h"

#include <sys/types.h>

#define PASS_FDS_MAX 128u
#define FS_IMAGE_FILES 4 /* of an image of file systems */

/* One invocation's view: the flags and the folder of records. */
struct runtime {
    const struct config *config;
    int dir;    /* -1: the folder does not exist */
    char *root; /* absolute path of it */
};

/* Opens the folder; with IS_CREATE makes it. Missing otherwise is fine: there are no containers. */
MUST_CHECK int runtime_open(const struct config *config, bool is_create, struct runtime *out,
                            struct error *err);
void runtime_close(struct runtime *runtime);

struct create_args {
    const char *id;
    const char *bundle;         /* absolute */
    struct oci_spec *spec;      /* parsed, validated, resolved; lent */
    const char *console_socket; /* "" none */
    const char *pid_file;       /* "" none */
    const char *user_log;       /* "" none */
    const char *fs_image_path;  /* "" none: folder of an image of file systems to begin with */
    int pass_hosts[PASS_FDS_MAX];
    int pass_guests[PASS_FDS_MAX];
    u32 pass_count;
    int exec_fd;      /* -1 none */
    bool is_restored; /* its program comes from an image */
    bool is_kept;     /* attached: not deleted at its end */
    bool is_attached; /* the sandbox dies with this process, which waits for it */
};

/* The processes of a container that this process just made; -1 where there is none. */
struct child {
    int sandbox; /* pidfd */
    int gofer;   /* pidfd */
    int status;  /* pipe: the root container's wait status as u32 */
};
void child_close(struct child *child);

/* On failure nothing is left behind. CHILD may be NULL. */
MUST_CHECK int container_create(struct runtime *runtime, const struct create_args *args,
                                struct record **out, struct child *child, struct error *err);
/* ID in full. A sandbox whose program cannot be started is ended. */
MUST_CHECK int container_start(struct runtime *runtime, const struct full_id *id,
                               struct error *err);
/* Restore an image into a created container, in place of start. FDS: state file, pages metadata,
 * pages; COUNT 1 or 3. */
MUST_CHECK int container_restore(struct runtime *runtime, const struct full_id *id, const int *fds,
                                 u32 fd_count, bool is_background, struct error *err);
/*
 * Find by (shortened) ID and load. HAS_CHECK: a record that says created or running is compared
 * with the sandbox, and is stopped in *OUT if that is so.
 */
MUST_CHECK int container_find(struct runtime *runtime, const char *id, bool has_check,
                              struct record **out, struct error *err);
MUST_CHECK int container_load(struct runtime *runtime, const struct full_id *id, bool has_check,
                              struct record **out, struct error *err);
/* ACTION in "cannot ACTION container "ID" in state S". STATES ends with NULL. */
MUST_CHECK int container_want_status(const struct record *record, const char *action,
                                     const char *const *states, struct error *err);
/* What a creator that was killed before it had a record may have left under ID: a lock, a socket.
 */
void container_sweep(struct runtime *runtime, const char *id);
/* FORCE: whatever the state, and a missing container is fine. */
MUST_CHECK int container_delete(struct runtime *runtime, const struct full_id *id, bool is_forced,
                                struct error *err);
/* What else to look at while waiting: FD readable calls READY. */
struct wait_extra {
    int fd;
    void (*ready)(void *arg);
    void *arg;
};
/*
 * Until the container's first process has ended (and, for a root container, the sandbox too):
 * *WAIT_STATUS as of wait(2). CHILD and EXTRA may be NULL.
 */
MUST_CHECK int container_wait(const struct record *record, const struct child *child,
                              const struct wait_extra *extra, u32 *wait_status, struct error *err);
/* The same for one call that answers a wait status, on a connected CLIENT; -1 with ESRCH if the
 * sandbox ended first. */
struct urpc_client;
MUST_CHECK int control_wait(struct urpc_client *client, const char *method, const char *arg_json,
                            int sandbox_pidfd, const struct wait_extra *extra, u32 *wait_status,
                            struct error *err);
/* Pause or resume, and the record with it. */
MUST_CHECK int container_pause(struct runtime *runtime, const struct full_id *id, bool is_pause,
                               struct error *err);

/* The sandbox's process: alive and the same as in the record? */
bool sandbox_is_alive(const struct record *record);
/* For `state` and `list`: the pid shown, -1 when stopped. */
i64 record_shown_pid(const struct record *record);
/* "now" as records have it: RFC 3339 with nanoseconds, UTC. */
char *record_time_now(struct pool *pool);

/* ---- parts, for create.c and lifecycle.c ---------------------------------------------------- */

struct mount_plan;
struct cgroup;
struct spawned {
    pid_t pid;
    int pidfd;
};
/* Start the gofer for PLAN; SOCKETS become the sandbox's ends, one a mount. STARTUP: pipe for its
 * word, -1 none. GO: as in struct spawn; NULL: at once. */
MUST_CHECK int gofer_spawn(struct runtime *runtime, const char *id, const struct mount_plan *plan,
                           bool is_attached, const int *go, int startup,
                           const struct cgroup *cgroup, int *sockets, struct spawned *out,
                           struct error *err);
struct sandbox_spawn {
    const struct create_args *args;
    const struct mount_plan *plan;
    const struct cgroup *cgroup;
    const int *gofers; /* one a mount */
    int control[2];    /* listening; -1 none */
    int stdio[3];
    int console;
    int go[2];
    int startup;
    int status;
    int user_log;
    const int *fs_image; /* FS_IMAGE_FILES, or -1 as the first: none */
};
MUST_CHECK int sandbox_spawn(struct runtime *runtime, const struct sandbox_spawn *spawn,
                             struct spawned *out, struct error *err);
