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
    u64 last_hash;  /* of the last line: repeats are counted, not written */
    u64 last_count; /* how often it came in a row */
};

/* One line of at most 1 KiB: a longer one is cut and ends in "...". LOG may be NULL. */

void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
    PRINTF(4, 5);
static inline bool log_wants(const struct log *log, enum log_level level)
{
    return log && level <= log->level;
}
#define log_warn(log, room, ...) log_line((log), LOG_WARN, (room), __VA_ARGS__)
#define log_info(log, room, ...) log_line((log), LOG_INFO, (room), __VA_ARGS__)
/* Arguments are not evaluated when debug is off. */
#define log_debug(log, room, ...) \
    (log_wants((log), LOG_DEBUG) ? log_line((log), LOG_DEBUG, (room), __VA_ARGS__) : (void)0)

/* The escaping by itself: printable ASCII stays, a backslash is doubled, the rest becomes \n, \xNN.
 * OUT has SIZE bytes (8 or more) and is terminated; what does not fit is cut and ends in "...". */
void log_escape(char *out, size_t size, const char *text, size_t text_size);
