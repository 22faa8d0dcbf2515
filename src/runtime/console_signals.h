/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals that a terminal of the host sends to its session: the sandbox leads the session of a
 * console that the runtime made, so ^C, a new window size and a hang-up arrive here and go on to
 * the container's foreground group.
 */
#pragma once
#include "base/base.h"
#include "loader/loader.h"

/* A fiber that passes on what FD (taken) tells, until the sandbox ends. 0 or -errno. */
MUST_CHECK int console_signals_start(struct loader *loader, const char *container_id, int fd);
