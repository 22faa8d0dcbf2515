/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call, one line. Whatever a guest chose may be among the bytes, so everything outside
 * printable ASCII is escaped and a backslash is doubled: a reader can undo it, and no line can be
 * forged. The same line again and again is written at its 1st, 2nd, 4th, 8th, ... time only, with
 * the count.
 */
#include "base/log.h"

#include "base/hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_TEXT_SIZE 1024

/* Escape TEXT into OUT of SIZE bytes; what does not fit is cut and ends in "...". */
void log_escape(char *out, size_t size, const char *text, size_t text_size)
{
    static const char digits[] = "0123456789abcdef";
    ASSERT(size >= 8);
    size_t used = 0;
    for (size_t i = 0; i < text_size; i++) {
        u8 byte = (u8)text[i];
        if (used + 4 > size - 4) { /* the longest escape, "...", a terminator */
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        if (byte == '\n' || byte == '\t' || byte == '\r' || byte == '\\') {
            out[used++] = '\\';
            out[used++] = byte == '\n' ? 'n' : byte == '\t' ? 't' : byte == '\r' ? 'r' : '\\';
        } else if (byte >= 0x20 && byte < 0x7f) {
            out[used++] = (char)byte;
        } else {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = digits[byte >> 4];
            out[used++] = digits[byte & 15];
        }
    }
    out[used] = '\0';
}

/* How often the line of HASH came in a row, this time included; tells of a run that has ended. */
static u64 log_count(struct log *log, u64 hash)
{
    if (hash == log->last_hash)
        return ++log->last_count;
    u64 count = log->last_count;
    log->last_hash = hash;
    log->last_count = 1;
    if (count > 2 && !is_power_of_two(count)) {
        char note[64];
        snprintf(note, sizeof note, "the line before came %llu times", (unsigned long long)count);
        log->write(log, LOG_WARN, "log", note);
    }
    return 1;
}

void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
{
    if (!log_wants(log, level) || !log->write)
        return;
    char text[LOG_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size < 0)
        return;
    char line[LOG_TEXT_SIZE + 64];
    log_escape(line, LOG_TEXT_SIZE, text, MIN((size_t)size, sizeof text - 1));

    u64 repeats = log_count(log, hash_text(line, hash_text(room, (u64)level + 1)));
    if (!is_power_of_two(repeats))
        return;
    if (repeats > 1) {
        size_t used = strlen(line);
        snprintf(line + used, sizeof line - used, " (%llu times)", (unsigned long long)repeats);
    }
    log->write(log, level, room, line);
}
