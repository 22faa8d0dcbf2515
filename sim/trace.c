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
