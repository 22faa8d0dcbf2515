/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small readers of other people's text: regular expressions (control clients), mount options
 * (guests), protocol buffers (senders of trace messages), extended state (signal frames, images).
 * The first byte chooses.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/regs.h"
#include "base/protobuf.h"
#include "base/regexp.h"
#include "sentry/fs/options.h"

/* PATTERN NUL TEXT. What compiles can be searched with, and says the same again. */
static void feed_regexp(const char *text, size_t size)
{
    static struct regexp regexp;
    const char *wrong = regexp_compile(&regexp, text);
    size_t pattern_size = strlen(text);
    const char *subject = pattern_size < size ? text + pattern_size + 1 : "";
    if (wrong && !*wrong)
        abort();
    if (!wrong && regexp_search(&regexp, subject) != regexp_search(&regexp, subject))
        abort();
}

static void feed_options(const char *text)
{
    static struct option_reader reader;
    u64 number;
    option_reader_init(&reader, text);
    for (int more; (more = option_next(&reader)) != 0;) {
        if (more < 0)
            return;
        if (strlen(reader.key) >= OPTION_KEY_SIZE ||
            (reader.value && strlen(reader.value) >= OPTION_VALUE_SIZE))
            abort();
        if (reader.value)
            (void)!option_number(reader.value, strlen(reader.value), 16, &number);
        if (reader.value)
            (void)!option_size(reader.value, &number);
    }
}

/* What is lent lies in the message, however deep it is nested. */
static void feed_protobuf(const u8 *bytes, size_t size, u32 depth)
{
    const u8 *at = bytes;
    size_t left = size;
    struct protobuf_field field;
    while (protobuf_next(&at, &left, &field) == 1) {
        if (at < bytes || at + left != bytes + size)
            abort();
        if (field.type != 2)
            continue;
        if (field.bytes < bytes || field.size > size || field.bytes + field.size > at)
            abort();
        if (depth < 8)
            feed_protobuf(field.bytes, field.size, depth + 1);
    }
}

/* What was put right needs no second time. */
static void feed_xstate(const u8 *bytes, size_t size)
{
    static struct xstate xstate, again;
    xstate_init(&xstate);
    memcpy(&xstate, bytes, MIN(size, sizeof xstate));
    if (!xstate_sanitize(&xstate))
        return;
    again = xstate;
    if (!xstate_sanitize(&again) || memcmp(&again, &xstate, sizeof again) != 0)
        abort();
    (void)xstate_features_used(&xstate);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    if (size < 1)
        return 0;
    char *text = malloc(size);
    memcpy(text, bytes + 1, size - 1);
    text[size - 1] = 0;
    if (bytes[0] % 4 == 0)
        feed_regexp(text, size - 1);
    else if (bytes[0] % 4 == 1)
        feed_options(text);
    else if (bytes[0] % 4 == 2)
        feed_protobuf(bytes + 1, size - 1, 0);
    else
        feed_xstate(bytes + 1, size - 1);
    free(text);
    return 0;
}
