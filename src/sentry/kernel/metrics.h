/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of a sandbox, read by the receiver Metrics. Plain words under the kernel lock; they
 * begin at zero with the kernel and only grow.
 */
#pragma once
#include "base/base.h"

enum metric_id {
#define METRIC(id, path, unit, text) METRIC_##id,
#define METRIC_FIELD(id, path, field, values, text) METRIC_##id,
#include "sentry/kernel/metrics.def"
#undef METRIC
#undef METRIC_FIELD
    METRIC_COUNT
};

enum weirdness { WEIRDNESS_VSYSCALL, WEIRDNESS_COUNT };
enum suspicious { SUSPICIOUS_OPENED_WRITE_EXECUTE, SUSPICIOUS_COUNT };
#define METRIC_SYSCALLS 512u

struct metrics {
    u64 plain[METRIC_COUNT]; /* those without a field */
    u64 weirdness[WEIRDNESS_COUNT];
    u64 suspicious[SUSPICIOUS_COUNT];
    u64 unimplemented[METRIC_SYSCALLS];
};

struct metric_row {
    const char *path;
    const char *text;
    const char *field; /* NULL: none */
    const char *const
        *values; /* of the field, ended by NULL; NULL: numbers below METRIC_SYSCALLS */
    bool is_ns;
};
extern const struct metric_row metric_rows[METRIC_COUNT];
/* Value INDEX of metric ID (0 where it has no field), false behind the last. */
bool metric_value(const struct metrics *metrics, enum metric_id id, u32 index, u64 *value);
