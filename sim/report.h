/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts of runs, and their reports: JSON lines, JUnit XML, one HTML page, trace events. */
#pragma once
#include <stdio.h>

#include "base/base.h"

enum verdict_status { VERDICT_PASSED, VERDICT_FAILED, VERDICT_SKIPPED };

struct verdict {
    char *scenario, *file, *platform, *message, *trace; /* owned */
    const char *against; /* the platform whose trace differs, lent; NULL: none */
    char hash[33];
    enum verdict_status status;
    double seconds; /* wall time */
};

struct report {
    struct verdict *rows;
    u32 count, room;
};

/* Adds a row; texts are copied, MESSAGE and TRACE may be NULL. Ends the process without memory. */
struct verdict *report_add(struct report *report, enum verdict_status status, const char *scenario,
                           const char *file, const char *platform, const char *message,
                           const char *trace);
/* The command that plays VERDICT's run again. */
void verdict_command(const struct verdict *verdict, char *out, size_t size);
/* Each writes PATH anew. 0 or -errno. */
MUST_CHECK int report_write_json(const struct report *report, const char *path);
MUST_CHECK int report_write_junit(const struct report *report, const char *path);
MUST_CHECK int report_write_html(const struct report *report, const char *path);
/* perfetto.c: all runs as one file of trace events. */
MUST_CHECK int report_write_perfetto(const struct report *report, const char *path);
/* TEXT as a JSON string; bytes above 0x7f as they are. */
void report_put_json(FILE *out, const char *text);
/* TEXT as XML and HTML can hold it. */
void report_put_xml(FILE *out, const char *text);
/* lanes.c: TRACE as a picture (SVG), a lane for each task. */
void report_put_lanes(FILE *out, const char *trace);
void report_fini(struct report *report);
