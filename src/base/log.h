/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines, tagged by room. `log_warn` is for the operator to act on, `log_info` for lifecycle,
 * `log_debug` for us. Bytes that a guest chose are escaped, so no line can be forged.
 */
#pragma once
#include "base/base.h"

enum log_level { LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    enum log_level level;
    /* Writes one finished line without newline. */
    void (*write)(struct log *log, enum log_level level, const char *room, const char *line);
    u64 (*now_ns)(struct log *log); /* virtual in simulation; for stamps; may be NULL */
    void *owner;
};

void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
    PRINTF(4, 5);
#define log_warn(log, room, ...) log_line((log), LOG_WARN, (room), __VA_ARGS__)
#define log_info(log, room, ...) log_line((log), LOG_INFO, (room), __VA_ARGS__)
/* Arguments are not evaluated when debug is off. */
#define log_debug(log, room, ...) \
    ((log) && (log)->level >= LOG_DEBUG ? log_line((log), LOG_DEBUG, (room), __VA_ARGS__) : (void)0)
