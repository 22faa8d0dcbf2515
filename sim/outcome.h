/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a scenario in a process of its own, so that a crash is one scenario's verdict. */
#pragma once
#include "sim/scenario.h"

enum {
    STATUS_FAILED = 1,
    STATUS_BAD,
    STATUS_TWIN,
    STATUS_PLATFORM,
    STATUS_STUCK,
    STATUS_CRASHED,
    STATUS_SKIPPED = 77
};

/* What a run leaves: its verdict's text (empty: passed) and its trace. */
struct outcome {
    char *message, *trace;
    bool has_passed;
    int status; /* the exit status that says how it failed */
    double seconds;
};

struct outcome outcome_play(const char *file, struct fy_document *document,
                            const struct run_config *config);
void outcome_fini(struct outcome *outcome);
