/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's record on disk: DIR/ID_sandbox:SANDBOXID.state, JSON that other clients read too,
 * and the lock beside it. The record is replaced as a whole, so a reader sees the old one or the
 * new one; who changes a container holds its lock. Records do not survive the machine's restart as
 * anything useful, so nothing is synced to disk.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "oci/oci.h"
#include "wire/urpc/codec.h"

/* What `status` holds. "creating" is never on disk. */
#define STATUS_CREATING "creating" /* its creator is at work, or was killed at it */
#define STATUS_CREATED "created"
#define STATUS_RUNNING "running"
#define STATUS_PAUSED "paused"
#define STATUS_STOPPED "stopped"

struct record_sandbox {
    char *id;
    char *pod_name;
    char *pod_namespace;
    i64 pid; /* 0 or -1 when gone */
    i64 uid, gid;
    struct json_text cgroup; /* {"cgroupv1":…} and so on */
    i64 original_oom_score_adj;
    char *control_socket_path;
    bool is_checkpointed;
    bool is_restored;
    i64 pid_start; /* start time of pid in ticks since boot: tells a reused pid */
};
struct record_id {
    char *sandbox_id;
    char *container_id;
};
struct record_saver {
    char *root_dir;
    struct record_id id;
};
struct record_mount {
    i64 lower, upper;
};
/* All memory is the pool's; a record must not move. */
struct record {
    char *id;
    struct json_text spec;
    char *bundle_dir;
    char *created_at;
    char *owner;
    char *console_socket;
    char *status;
    i64 gofer_pid;
    i64 gofer_pid_start;
    struct record_sandbox *sandbox; /* never NULL once loaded */
    struct json_text compat_cgroup;
    struct record_saver saver;
    WIRE_LIST(struct record_mount) gofer_mounts;
    struct pool pool;
};

/* Which container: both are valid ids. */
struct full_id {
    char container[256];
    char sandbox[256];
};

bool container_id_is_valid(const char *id);

/* ---- the directory -------------------------------------------------------------------------- */

/* Opens ROOT, made (0711) with IS_CREATE. *OUT is the caller's descriptor; ENOENT when it is not
 * there. */
MUST_CHECK int state_dir_open(const char *root, bool is_create, int *out, struct error *err);
/*
 * All containers with records in DIR, sorted by id. Free *OUT with free. DIR -1 is empty.
 */
MUST_CHECK int state_dir_list(int dir, struct full_id **out, u32 *count, struct error *err);
/* The one container whose id begins with ID. ERR's code is ENOENT when there is none. */
MUST_CHECK int state_dir_find(int dir, const char *id, struct full_id *out, struct error *err);
/* The same among the records of one sandbox (the sandbox's root container last). */
MUST_CHECK int state_dir_list_sandbox(int dir, const char *sandbox_id, struct full_id **out,
                                      u32 *count, struct error *err);

/* ---- locks ---------------------------------------------------------------------------------- */

/* Take the lock of ID, made if IS_CREATE; waits. A creator keeps in its file what cgroups it makes.
 * *OUT is a descriptor: closing it unlocks. -1 with ENOENT. */
MUST_CHECK int record_lock(int dir, const struct full_id *id, bool is_create, int *out,
                           struct error *err);

/* ---- records -------------------------------------------------------------------------------- */

struct record *record_new(void);
void record_free(struct record *record);
void record_free_auto(struct record **record);
#define AUTO_RECORD CLEANUP(record_free_auto)
bool record_exists(int dir, const struct full_id *id);
MUST_CHECK int record_load(int dir, const struct full_id *id, struct record **out,
                           struct error *err);
/* Replace the record in DIR as a whole; on failure the old one stands. */
MUST_CHECK int record_save(int dir, const struct record *record, struct error *err);
/* Remove record and lock. Missing ones are fine. */
void record_remove(int dir, const struct full_id *id);
/* The ids under which a record is kept. */
void record_full_id(const struct record *record, struct full_id *out);
bool record_is_root(const struct record *record);
bool record_has_status(const struct record *record, const char *status);
void record_set_status(struct record *record, const char *status);
/* The spec, parsed. */
MUST_CHECK int record_spec(const struct record *record, struct oci_spec **out, struct error *err);
