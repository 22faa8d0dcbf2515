/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the host side (cli, runtime, gofer, loader, controller, wire): one line of text that
 * says what failed, on what, why, and what to do. The sentry's own errors are plain -errno.
 */
#pragma once
#include "base/base.h"

#define ERROR_TEXT_SIZE 1024

struct error {
    int code; /* an errno, positive, or 0 when none fits; for exit statuses and tests */
    char text[ERROR_TEXT_SIZE];
};

/* Both return -1, so that `return error_set(...)` reads well. A longer text is cut. */
int error_set(struct error *err, int code, const char *format, ...) PRINTF(3, 4);
/* As error_set with errno's text appended as ": No such file or directory". */
int error_errno(struct error *err, const char *format, ...) PRINTF(2, 3);
/* Put "prefix: " before what is there. Returns -1. */
int error_prefix(struct error *err, const char *format, ...) PRINTF(2, 3);
/* Linux's text for an errno in lower case as Go prints it ("no such file or directory"); static. */
const char *errno_text(int code);
/* "ENOENT"; "E?" for an unknown one; static. */
const char *errno_name(int code);
