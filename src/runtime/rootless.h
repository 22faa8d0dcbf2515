/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming root of a user namespace of one's own, to run a sandbox without privileges. */
#pragma once
#include "base/error.h"

/* Does nothing for a process that may already make mount namespaces. Single-threaded callers only.
 */
MUST_CHECK int rootless_enter(struct error *err);
