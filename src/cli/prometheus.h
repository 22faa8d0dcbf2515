/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text form of what Metrics.Export answers. */
#pragma once
#include "base/buf.h"
#include "runtime/record.h"

/*
 * Append the metrics of RESULT (Metrics.Export's) with PREFIX before each name and RECORD's labels,
 * sorted by name. *COUNT grows by the number of data points. -1 when RESULT is not of that form, or
 * without memory.
 */
MUST_CHECK int prometheus_put(struct buf *out, struct json_text result, const char *prefix,
                              const struct record *record, u32 *count);
/* Number of points in RESULT, and when they were taken (lent). */
u32 prometheus_count(struct json_text result);
/* NAME{sandbox="…"} labels that each metric of RECORD has: without braces, sorted. From the pool.
 */
char *prometheus_labels(const struct record *record, struct pool *pool);
