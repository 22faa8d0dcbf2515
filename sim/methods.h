/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/base.h"

/* What scenarios must call: the served rows of SPEC, a rpc.yaml. False: standard error says why. */
MUST_CHECK bool methods_load(const char *spec);
/* What a run's TRACE has called. */
void methods_note(const char *trace);
/* Prints what no run has called; how many methods that are. */
u32 methods_report(void);
