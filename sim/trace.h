/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace of one run: numbered text lines, portable between platforms. spec/scenario.md has the
 * records.
 */
#pragma once
#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"

struct trace {
    struct buf text;
    u64 count;
    u64 shift_ns; /* taken from each record's time: what an inserted checkpoint cost */
    bool is_muted;
};

void trace_init(struct trace *trace, struct arena *arena);
/* One record: KIND and its text at virtual time NS. TEXT must hold no newline. */
void trace_put(struct trace *trace, u64 ns, const char *kind, const char *format, ...) PRINTF(4, 5);
/* BYTES quoted into OUT, terminated, cut with "..." where they do not fit. */
void trace_quote(char *out, size_t size, const void *bytes, size_t count);
/* Of a whole trace's text: 32 hexadecimal digits and a terminator. */
void trace_hash(const char *text, size_t size, char out[33]);
/* TRACE told task by task and output by output, so that how their records were interleaved, and
 * when, does not show: TEXT, the caller's. ONLY_VISIBLE: without system calls and events of tasks.
 */
void trace_by_teller(const char *trace, bool only_visible, struct arena *arena, struct buf *text);
/* True if both are the same; else tells the first difference with the lines before it. */
bool trace_compare(FILE *out, const char *a_name, const char *a, const char *b_name, const char *b);
