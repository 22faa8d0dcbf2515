/* SPDX-License-Identifier: Apache-2.0 */
/* Mount options: "size=64m,mode=755,ro". Text of a guest: judged, never trusted. */
#pragma once
#include "base/base.h"

#define OPTION_KEY_SIZE 64u
#define OPTION_VALUE_SIZE 4096u

struct option_reader {
    const char *rest;
    char key[OPTION_KEY_SIZE];
    char *value; /* NULL: no '=' */
    char value_text[OPTION_VALUE_SIZE];
};
/* OPTIONS may be NULL. */
void option_reader_init(struct option_reader *reader, const char *options);
/* 1 with the next one, 0 at the end, -EINVAL for one that is too long. Empty ones are skipped; "\,"
 * is a comma. */
MUST_CHECK int option_next(struct option_reader *reader);
/* All SIZE bytes of TEXT are digits of BASE (8, 10 or 16). */
MUST_CHECK bool option_number(const char *text, size_t size, u32 base, u64 *out);
/* "4096", "64k", "1G". */
MUST_CHECK bool option_size(const char *text, u64 *out);
