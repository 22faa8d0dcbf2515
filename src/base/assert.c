/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when an ASSERT fails: one line to stderr, the hook once, abort. The hook is the only
 * mutable state of base: an assertion has no context to carry one.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASSERT_TEXT_SIZE 512

static void (*assert_hook)(void *arg, const char *text);
static void *assert_hook_arg;

void assert_hook_set(void (*hook)(void *arg, const char *text), void *arg)
{
    assert_hook = hook;
    assert_hook_arg = arg;
}

NORETURN void assert_failed(const char *file, int line, const char *what)
{
    char text[ASSERT_TEXT_SIZE];
    int size = snprintf(text, sizeof text, "%s:%d: assertion failed: %s\n", file, line, what);
    if (size < 0)
        size = 0;
    size_t length = MIN((size_t)size, sizeof text - 1);
    /* Not stdio: its lock may be held by whoever failed. */
    ssize_t written = write(STDERR_FILENO, text, length);
    (void)written;

    void (*hook)(void *arg, const char *text) = assert_hook;
    assert_hook = NULL; /* an assertion that fails inside the hook goes straight on */
    if (hook) {
        if (length > 0 && text[length - 1] == '\n')
            text[length - 1] = '\0';
        hook(assert_hook_arg, text);
    }
    abort();
}
