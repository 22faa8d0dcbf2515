/* SPDX-License-Identifier: Apache-2.0 */
/* The log for a container's user (--user-log): what its programs asked for and is not there. */
#pragma once
#include "sentry/kernel/kernel.h"

/*
 * From now on a line for each kind of system call that is not served, the first time it is made, in
 * the form {"log":…,"level":…,"time":…}, to FD (taken). In front of the chain of KERNEL's call
 * observers, for as long as the process lives.
 */
void user_log_start(struct kernel *kernel, int fd);
