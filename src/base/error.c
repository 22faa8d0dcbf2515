/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of error text in the caller's struct, never allocated. Texts of error numbers come from
 * base/errno.def: lower case as Go prints them, because podman and containerd match on those.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct errno_row {
    const char *name;
    const char *text;
};

#define ERRNO_MAX 516
static const struct errno_row errno_rows[ERRNO_MAX + 1] = {
#define ERRNO(number, name, text) [number] = {#name, text},
#include "base/errno.def"
#undef ERRNO
};

static const struct errno_row *errno_find(int code)
{
    if (code < 0 || code > ERRNO_MAX || !errno_rows[code].name)
        return NULL;
    return &errno_rows[code];
}

const char *errno_text(int code)
{
    const struct errno_row *row = errno_find(code);
    return row ? row->text : "unknown error";
}

const char *errno_name(int code)
{
    const struct errno_row *row = errno_find(code);
    return row ? row->name : "E?";
}

int error_set(struct error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char text[ERROR_TEXT_SIZE]; /* an argument may be err->text itself */
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (err) {
        err->code = code;
        memcpy(err->text, text, sizeof text);
    }
    return -1;
}

int error_errno(struct error *err, const char *format, ...)
{
    int code = errno;
    va_list args;
    va_start(args, format);
    char text[ERROR_TEXT_SIZE];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(err, code, "%s: %s", text, errno_text(code));
}

int error_prefix(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char text[ERROR_TEXT_SIZE];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!err)
        return -1;
    return error_set(err, err->code, "%s: %s", text, err->text);
}
