/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of version 1 as far as control calls and limits need them: one for the sandbox
 * ("/") and one for each container ("/ID"), the same in every controller. pids.max holds; the rest
 * is kept and accounted. What they hold goes with an image's metadata, for containers have other
 * ids after a restore. fs/cgroup shows a container its own group.
 */
#pragma once
#include "base/buf.h"
#include "sentry/kernel/kernel.h"

#define CONTROL_NO_LIMIT UINT64_MAX

enum control_controller {
    CONTROL_CPU,
    CONTROL_CPUACCT,
    CONTROL_CPUSET,
    CONTROL_DEVICES,
    CONTROL_JOB,
    CONTROL_MEMORY,
    CONTROL_PIDS,
    CONTROL_COUNT
};
#define CONTROL_ALL ((1u << CONTROL_COUNT) - 1)

struct pid_ns;

/* What was set, beside the texts. */
struct control_limits {
    u64 pids_max;
    u64 cpu_shares, cpu_period_us;
    i64 cpu_quota_us; /* -1: none */
    u64 memory_limit, memory_soft_limit;
    i64 job_id;
};

#define CONTROL_LIST_SIZE 64u
struct control_group {
    struct list link; /* kernel->control_groups */
    char *path;
    u32 nr; /* names it in the kernel: 0 is the sandbox's */
    struct control_limits limits;
    char cpus[CONTROL_LIST_SIZE], mems[CONTROL_LIST_SIZE]; /* "0-3,5"; empty: all */
};

/* The group of container ID, made if it is not there; lent. NULL without memory. */
MUST_CHECK struct control_group *control_group_make(struct kernel *kernel, const char *id);
/* PATH from "/"; lent, or NULL. */
struct control_group *control_group_find(struct kernel *kernel, const char *path);
/* By number; lent, or NULL. */
struct control_group *control_group_by_nr(struct kernel *kernel, u32 nr);
/* The one of container ID (NULL: none): the sandbox's where there is no other. NULL without memory.
 */
struct control_group *control_group_of(struct kernel *kernel, const char *id);
void control_group_remove(struct kernel *kernel, const char *id);
void control_groups_fini(struct kernel *kernel);
/* May one more task be born in container ID (NULL: none)? Asks the sandbox's limit and the
 * container's. */
bool control_group_allows_task(struct kernel *kernel, const char *id);

/* What cpuacct.usage and memory.usage_in_bytes say. */
u64 control_group_cpu_ns(struct kernel *kernel, const struct control_group *group);
u64 control_group_memory(struct kernel *kernel, const struct control_group *group);

/* The file NAME ("pids.max") of CONTROLLER in GROUP. NULL, or why not: static text. */
MUST_CHECK const char *control_group_read(struct kernel *kernel, const struct control_group *group,
                                          const char *controller, const char *name,
                                          struct buf *out);
MUST_CHECK const char *control_group_write(struct kernel *kernel, struct control_group *group,
                                           const char *controller, const char *name,
                                           const char *value);
/* NULL, or why CONTROLLER cannot be used. ACTIVE: bits by enum control_controller of those that are
 * mounted; some are active always. */
MUST_CHECK const char *control_group_controller(const char *controller, u32 active);
/* "pids"; the number of the name, or CONTROL_COUNT. */
const char *control_controller_name(u32 controller);
u32 control_controller_find(const char *name);

/* The INDEX-th file of all controllers; false at the end. CONTROLLER: CONTROL_COUNT for a file that
 * every controller has. */
struct control_file_info {
    const char *name;
    u32 controller;
    bool is_writable;
};
MUST_CHECK bool control_file_at(u32 index, struct control_file_info *out);
/* As control_group_read and _write, by that number: 0 or -errno. Processes have their numbers of
 * NS.
 */
MUST_CHECK int control_file_show(struct kernel *kernel, const struct control_group *group,
                                 u32 index, const struct pid_ns *ns, struct buf *out);
MUST_CHECK int control_file_store(struct kernel *kernel, struct control_group *group, u32 index,
                                  const struct pid_ns *ns, const char *value);
