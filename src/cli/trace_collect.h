/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a trace session's remote sink: AF_UNIX packets, a handshake, then messages one way.
 */
#pragma once
#include "base/error.h"

/* A socket connected to PATH, greeted, not blocking; -1 with a text. The caller's. */
MUST_CHECK int trace_sink_connect(const char *path, struct error *err);
/* Listen at PATH, print a line a message; until COUNT have come (0: for ever). */
MUST_CHECK int trace_collect(const char *path, u64 count, struct error *err);
