/* SPDX-License-Identifier: Apache-2.0 */
/* Writing traces and finding where two of them part. */
#include "sim/trace.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"

#define CONTEXT_LINES 8u

void trace_init(struct trace *trace, struct arena *arena)
{
    buf_init(&trace->text, arena, 0);
    trace->count = 0;
    trace->shift_ns = 0;
    trace->is_muted = false;
}

void trace_put(struct trace *trace, u64 ns, const char *kind, const char *format, ...)
{
    if (trace->is_muted)
        return;
    ns -= trace->shift_ns;
    __builtin_va_list args;
    __builtin_va_start(args, format);
    int err = buf_printf(&trace->text, "%llu %llu.%09llu %s ", (unsigned long long)++trace->count,
                         (unsigned long long)(ns / NS_PER_S), (unsigned long long)(ns % NS_PER_S),
                         kind);
    if (!err)
        err = buf_vprintf(&trace->text, format, args);
    if (!err)
        err = buf_append(&trace->text, "\n", 1);
    __builtin_va_end(args);
    if (err)
        abort(); /* a trace with a hole proves nothing */
}

void trace_quote(char *out, size_t size, const void *bytes, size_t count)
{
    ASSERT(size > 16);
    out[0] = '"';
    log_escape(out + 1, size - 2, bytes, count);
    size_t used = strlen(out);
    out[used] = '"';
    out[used + 1] = 0;
}

void trace_hash(const char *text, size_t size, char out[33])
{
    XXH128_hash_t hash = XXH3_128bits(text, size);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

static size_t line_size(const char *line)
{
    return strcspn(line, "\n");
}

static void tell_line(FILE *out, const char *head, const char *line)
{
    if (*line)
        fprintf(out, "    %-8s %.*s\n", head, (int)line_size(line), line);
    else
        fprintf(out, "    %-8s (the trace ends)\n", head);
}

/* ---- task by task ---------------------------------------------------------------------------- */

/* A record without its number and time, and who tells it: a task, an output, or the steps. */
struct record {
    const char *kind, *rest;
    size_t kind_size, rest_size;
    const char *teller; /* of kind `sys`, `event` and `out`: the word behind it */
    size_t teller_size;
};

static bool is_kind(const struct record *record, const char *kind)
{
    return record->kind_size == strlen(kind) && memcmp(record->kind, kind, record->kind_size) == 0;
}

static void record_read(const char *line, struct record *out)
{
    const char *end = line + line_size(line), *at = line;
    for (u32 i = 0; i < 2 && at < end; i++) {
        at += strcspn(at, " \n");
        at += at < end;
    }
    *out = (struct record){.kind = at, .kind_size = strcspn(at, " \n")};
    out->rest = at + out->kind_size + (at + out->kind_size < end);
    out->rest_size = (size_t)(end - out->rest);
    if (!is_kind(out, "sys") && !is_kind(out, "event") && !is_kind(out, "out"))
        return;
    out->teller = out->rest;
    out->teller_size = is_kind(out, "out") ? strcspn(out->rest, " \n") : strcspn(out->rest, "]\n");
}

static bool is_same_teller(const struct record *a, const struct record *b)
{
    return a->teller_size == b->teller_size &&
           (!a->teller_size || memcmp(a->teller, b->teller, a->teller_size) == 0) &&
           is_kind(a, "out") == is_kind(b, "out");
}

/* Pieces of one output make one text, however they were cut: between the quotes, lines as lines. */
static void put_output(struct buf *text, const struct record *record)
{
    const char *at = record->rest + record->teller_size + 2,
               *end = record->rest + record->rest_size - 1;
    for (; at < end; at++) {
        bool is_line_end = at[0] == '\\' && at + 1 < end && at[1] == 'n';
        if (buf_append(text, is_line_end ? "\n" : at, 1))
            abort();
        if (at[0] == '\\' && at + 1 < end && !is_line_end && buf_append(text, at + 1, 1))
            abort();
        at += at[0] == '\\' && at + 1 < end;
    }
}

static void put_teller(const char *trace, const struct record *first, struct buf *text)
{
    for (const char *line = trace; *line; line += line_size(line) + 1) {
        struct record record;
        record_read(line, &record);
        if (!is_same_teller(&record, first))
            continue;
        if (is_kind(&record, "out"))
            put_output(text, &record);
        else if (buf_append(text, record.kind,
                            (size_t)(record.rest + record.rest_size - record.kind)) ||
                 buf_append(text, "\n", 1))
            abort();
    }
}

static int compare_tellers(const void *left, const void *right)
{
    const struct record *a = left, *b = right;
    size_t size = MIN(a->teller_size, b->teller_size);
    int order = size ? memcmp(a->teller, b->teller, size) : 0;
    if (order == 0)
        order = (a->teller_size > b->teller_size) - (a->teller_size < b->teller_size);
    return order ? order : is_kind(a, "out") - is_kind(b, "out");
}

/* Its first record of each who tells something, in TELLERS, an array of records; how many. */
static size_t find_tellers(const char *trace, bool only_visible, struct buf *tellers)
{
    size_t count = 0;
    for (const char *line = trace; *line; line += line_size(line) + 1) {
        struct record record;
        record_read(line, &record);
        bool is_inner = is_kind(&record, "sys") || is_kind(&record, "event"), is_known = false;
        for (size_t i = 0; i < count && !is_known; i++) {
            struct record other;
            memcpy(&other, buf_bytes(tellers) + i * sizeof other, sizeof other);
            is_known = is_same_teller(&other, &record);
        }
        if (is_known || (only_visible && is_inner))
            continue;
        if (buf_append(tellers, &record, sizeof record))
            abort();
        count++;
    }
    return count;
}

void trace_by_teller(const char *trace, bool only_visible, struct arena *arena, struct buf *text)
{
    struct buf tellers;
    buf_init(text, arena, 0);
    buf_init(&tellers, arena, 0);
    size_t count = find_tellers(trace, only_visible, &tellers);
    struct record *records = calloc(count + 1, sizeof *records);
    if (!records)
        abort();
    memcpy(records, buf_bytes(&tellers), count * sizeof *records);
    qsort(records, count, sizeof *records, compare_tellers);
    for (size_t i = 0; i < count; i++) {
        if (buf_printf(text, "from %.*s:\n", (int)records[i].teller_size,
                       records[i].teller ? records[i].teller : ""))
            abort();
        put_teller(trace, &records[i], text);
        if (buf_append(text, "\n", 1))
            abort();
    }
    if (buf_append(text, "", 1))
        abort();
    free(records);
    buf_fini(&tellers);
}

/* ---- comparing ------------------------------------------------------------------------------- */

bool trace_compare(FILE *out, const char *a_name, const char *a, const char *b_name, const char *b)
{
    const char *before[CONTEXT_LINES];
    u32 count = 0;
    for (;;) {
        size_t size = line_size(a);
        if (size != line_size(b) || memcmp(a, b, size) != 0 || a[size] != b[size])
            break;
        if (!a[size])
            return true;
        before[count++ % CONTEXT_LINES] = a;
        a += size + 1;
        b += size + 1;
    }
    fprintf(out, "  the traces of %s and %s part here:\n", a_name, b_name);
    for (u32 i = count > CONTEXT_LINES ? count - CONTEXT_LINES : 0; i < count; i++)
        tell_line(out, "", before[i % CONTEXT_LINES]);
    tell_line(out, a_name, a);
    tell_line(out, b_name, b);
    return false;
}
