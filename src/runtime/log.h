/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator reads: the runtime's error file (--log), which podman and containerd parse, and
 * the debug log of each process (--debug-log).
 */
#pragma once
#include "base/error.h"
#include "base/log.h"
#include "runtime/config.h"

/*
 * LOG writes lines to FD (lent; -1: nowhere). FORMAT "text": "I0102 15:04:05.000000  PID ROOM]
 * TEXT"; "json": {"msg":TEXT,"level":…,"time":…}; "json-k8s": "log" in place of "msg". Debug lines
 * only with IS_DEBUG. Stamps are the host's local time, or LOG's now_ns if the caller sets that.
 */
void runtime_log_init(struct log *log, int fd, const char *format, bool is_debug);

/* Append ERR to the file of --log or --log-fd as one JSON object; what cannot be written there is
 * lost. */
void runtime_log_error(const struct config *config, const char *text);

/*
 * Open the debug log of COMMAND ("boot", "gofer", "run", …) for container ID: its descriptor, or -1
 * when there is none (no --debug-log, or --debug-command leaves it out, or it cannot be opened:
 * then a line on stderr).
 */
int debug_log_open(const struct config *config, const char *command, const char *id);
