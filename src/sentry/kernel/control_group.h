/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of version 1 as far as control calls and limits need them: one for the sandbox
 * ("/") and one for each container ("/ID"), the same in every controller. pids.max holds; the rest
 * is kept and accounted. They are not in an image: a restored container gets its limits from its
 * spec again.
 */
#pragma once
#include "base/buf.h"
#include "sentry/kernel/kernel.h"

#define CONTROL_NO_LIMIT UINT64_MAX

struct control_group {
    struct list link; /* kernel->control_groups */
    char *path;
    u64 pids_max;
    u64 cpu_shares, cpu_period_us;
    i64 cpu_quota_us; /* -1: none */
    u64 memory_limit;
};

/* The group of container ID, made if it is not there; lent. NULL without memory. */
MUST_CHECK struct control_group *control_group_make(struct kernel *kernel, const char *id);
/* PATH from "/"; lent, or NULL. */
struct control_group *control_group_find(struct kernel *kernel, const char *path);
void control_group_remove(struct kernel *kernel, const char *id);
void control_groups_fini(struct kernel *kernel);
/* May one more task be born in container ID (NULL: none)? Asks the sandbox's limit and the
 * container's. */
bool control_group_allows_task(struct kernel *kernel, const char *id);

/* The file NAME ("pids.max") of CONTROLLER in GROUP. NULL, or why not: static text. */
MUST_CHECK const char *control_group_read(struct kernel *kernel, const struct control_group *group,
                                          const char *controller, const char *name,
                                          struct buf *out);
MUST_CHECK const char *control_group_write(struct control_group *group, const char *controller,
                                           const char *name, const char *value);
/* NULL, or why CONTROLLER cannot be used. */
MUST_CHECK const char *control_group_controller(const char *controller);
