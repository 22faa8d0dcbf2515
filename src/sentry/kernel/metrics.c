/* SPDX-License-Identifier: Apache-2.0 */
/* The table of counters and the one place that knows where each is kept. */
#include "sentry/kernel/metrics.h"

static const char *const weirdness_values[] = {"vsyscall_count", NULL};
static const char *const suspicious_values[] = {"opened_write_execute_file", NULL};

#define UNIT_NONE false
#define UNIT_NS true
const struct metric_row metric_rows[METRIC_COUNT] = {
#define METRIC(id, name, unit, what) \
    [METRIC_##id] = {.path = name, .text = what, .is_ns = UNIT_##unit},
#define METRIC_FIELD(id, name, field_name, of, what) \
    [METRIC_##id] = {.path = name, .text = what, .field = field_name, .values = of},
#include "sentry/kernel/metrics.def"
#undef METRIC
#undef METRIC_FIELD
};

bool metric_value(const struct metrics *metrics, enum metric_id id, u32 index, u64 *value)
{
    const u64 *values = &metrics->plain[id];
    u32 count = 1;
    if (id == METRIC_WEIRDNESS) {
        values = metrics->weirdness;
        count = WEIRDNESS_COUNT;
    } else if (id == METRIC_SUSPICIOUS) {
        values = metrics->suspicious;
        count = SUSPICIOUS_COUNT;
    } else if (id == METRIC_UNIMPLEMENTED) {
        values = metrics->unimplemented;
        count = METRIC_SYSCALLS;
    }
    if (index >= count)
        return false;
    *value = values[index];
    return true;
}
