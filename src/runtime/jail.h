/* SPDX-License-Identifier: Apache-2.0 */
/* What sandbox and gofer give up: the host's file tree, user, capabilities, and the right to gain
 * any. */
#pragma once
#include "base/base.h"
#include "base/error.h"

#define NOBODY 65534u

/*
 * First thing of an inner process: inherited descriptors close on execve, a terminal's signals do
 * nothing, the zone's file has been read while there is one, the process has NAME.
 */
void jail_prepare(const char *name);

/*
 * In a mount namespace of one's own: an empty, read-only root in place of the host's. With HAS_FDS
 * the root holds /proc/self/fd of this process until jail_root_seal, and nothing else of /proc.
 */
MUST_CHECK int jail_root(bool has_fds, struct error *err);
MUST_CHECK int jail_root_seal(bool has_fds, struct error *err);

/*
 * Become UID and GID without groups, keep CAPS (a mask of capability numbers) at most, never gain
 * anything by execve again, dump no core. IS_ROOTLESS: ids that cannot be changed are left.
 */
MUST_CHECK int jail_user(u32 uid, u32 gid, u64 caps, bool is_rootless, struct error *err);
/* Raise the limit of descriptors as far as it goes; how many there may be. */
u64 jail_fd_limit(void);
/* Die with the parent, from now on: a change of user forgets what was set before. */
void jail_die_with_parent(void);
