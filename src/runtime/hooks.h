/* SPDX-License-Identifier: Apache-2.0 */
/* OCI hooks: programs of the host, run with the container's state as JSON on their standard input.
 */
#pragma once
#include "base/error.h"
#include "oci/oci.h"

/* What a hook (and `state`) is told. */
struct oci_state {
    const char *id;
    const char *status;
    i64 pid; /* 0: no member, as before a process exists */
    const char *bundle;
    const struct oci_spec *spec; /* its annotations */
};
/* As JSON: compact, or laid out with INDENT. Free with free. */
char *oci_state_json(const struct oci_state *state, const char *indent);

/* The first failure ends it: "failure executing hook "P", err: …" or "timeout executing hook "P"".
 */
MUST_CHECK int hooks_run(const struct oci_hook *hooks, size_t count, const struct oci_state *state,
                         struct error *err);
