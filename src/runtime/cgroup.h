/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host cgroups, best effort: what is missing or forbidden is skipped, because a sandbox is as safe
 * without. Only directories made here are limited and removed. A spec that names neither a path nor
 * resources gets none.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "oci/oci.h"
#include "runtime/config.h"

#define CGROUP_CONTROLLERS_MAX 16u

struct cgroup_dir {
    char *controllers; /* "cpu", or "" for the one tree of version 2 */
    char *path;        /* on the host, absolute */
    size_t point_size; /* how much of it is its tree's mount point; not in the record */
    bool is_own;       /* made by us */
};
struct cgroup {
    u32 version; /* 0: none */
    char *name;  /* below the mount point, "/w1" */
    struct cgroup_dir dirs[CGROUP_CONTROLLERS_MAX];
    u32 dir_count;
};

/* Make the cgroup of a new container and set its limits. All memory is the pool's. The file NOTE_FD
 * (-1: none) is told before what is to be made. */
void cgroup_create(const struct config *config, const struct oci_spec *spec, const char *id,
                   int note_fd, struct pool *pool, struct cgroup *out);
/* Open the cgroup.procs files: at most MAX descriptors, the caller's; how many. */
u32 cgroup_open_procs(const struct cgroup *cgroup, int *fds, u32 max);
/* Write LIMITS (and members of RESOURCES that they do not cover, raw). -1 with the first failure.
 */
MUST_CHECK int cgroup_set_limits(const struct cgroup *cgroup, const struct oci_limits *limits,
                                 struct json_text resources, struct error *err);
/* CPU nanoseconds used so far; -1 unknown. */
i64 cgroup_cpu_ns(const struct cgroup *cgroup);
/* Remove what is our own; waits a little for processes to be gone. */
void cgroup_remove(const struct cgroup *cgroup);
/* Remove what a creator has noted that was killed before it had a record. */
void cgroup_remove_noted(int note_fd);

/* The record's form: {"cgroupv1":…}, {"cgroupv2":…}, {"cgroupunknown":null}. */
struct json_text cgroup_encode(const struct cgroup *cgroup, struct pool *pool);
void cgroup_decode(struct json_text text, struct pool *pool, struct cgroup *out);
