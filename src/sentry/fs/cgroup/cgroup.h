/* SPDX-License-Identifier: Apache-2.0 */
/* cgroups(7), version 1: the control files of one group, as a container sees its own. */
#pragma once
#include "sentry/fs/inode.h"
#include "sentry/kernel/control_group.h"

/* The file system of type "cgroup" with CONTROLLERS (bits) and the group of container ID (NULL: the
 * sandbox's). */
MUST_CHECK SLEEPS int cgroup_fs_create(struct task *task, u32 controllers, const char *id,
                                       struct super **out);
/* OPTIONS name controllers; none or "all" are all of them. The group is that of TASK's container.
 */
SLEEPS int cgroup_mount(struct task *task, const char *source, u32 flags, const char *options,
                        struct super **out);
/* Controllers (bits) that are mounted somewhere. */
u32 cgroup_mounted(struct kernel *kernel);
