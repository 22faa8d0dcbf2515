/* SPDX-License-Identifier: Apache-2.0 */
/* Signal-driven I/O: O_ASYNC, F_SETOWN, F_SETSIG (fcntl(2)). */
#pragma once
#include "sentry/fs/file.h"

/* From now on readiness of FILE is told to its owner. -ENOMEM. */
MUST_CHECK int fasync_start(struct file *file);
void fasync_stop(struct file *file);
