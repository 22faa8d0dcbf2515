/* SPDX-License-Identifier: Apache-2.0 */
/* The far end of a trace session's remote sink: AF_UNIX packets, a handshake, then messages one
 * way. */
#pragma once
#include "base/error.h"

/* Listen at PATH, print a line a message; until COUNT have come (0: for ever). */
MUST_CHECK int trace_collect(const char *path, u64 count, struct error *err);
