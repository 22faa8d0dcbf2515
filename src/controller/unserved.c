/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that are named but not served in this release: one clear error each. */
#include "controller/internal.h"

/* Registered only when profiling is enabled. */
const struct rpc_method profile_methods[] = {
    {"Profile.CPU"},
    {"Profile.Heap"},
    {"Profile.Block"},
    {"Profile.Mutex"},
    {"Profile.Trace"},
    {"Profile.Goroutine"},
    {NULL},
};
