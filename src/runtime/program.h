/* SPDX-License-Identifier: Apache-2.0 */
/* Is the program there? Told at create, where callers look for it, and only when it is certain. */
#pragma once
#include "base/error.h"
#include "oci/oci.h"

/*
 * -1 if the spec's program is surely missing ("no such file or directory", "executable file not
 * found in $PATH") or surely cannot be executed ("permission denied"). 0 if it is there, or if
 * mounts make it hard to tell.
 */
MUST_CHECK int program_check(const struct oci_spec *spec, struct error *err);
