/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of the marks in marks.def. A kernel (or any tool) owns one `struct marks`, zeroed; code
 * says SOMETIMES(marks, identifier, condition), and a campaign asks afterwards which were never
 * hit.
 */
#pragma once
#include "base/base.h"

enum mark {
#define MARK(identifier, name) MARK_##identifier,
#include "base/marks.def"
#undef MARK
    MARK_COUNT,
};

struct marks {
    u64 counts[MARK_COUNT];
};

/* MARKS may be NULL: then nobody counts. */
void marks_hit(struct marks *marks, enum mark mark);
/* "signal.pending-in-image"; static. */
const char *marks_name(enum mark mark);
/* MARK_COUNT when there is no such name. */
enum mark marks_find(const char *name);
/* Add FROM's counts to MARKS, e.g. of many runs. */
void marks_add(struct marks *marks, const struct marks *from);
