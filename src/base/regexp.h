/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of bounded cost: literals, `.`, classes, `\d \w \s`, anchors, groups, `|`,
 * `*`, `+`, `?`. A search looks at each byte once for each instruction, whatever the expression;
 * repetition counts (`{2}`) are not known. Plain values without memory of their own.
 */
#pragma once
#include "base/base.h"

#define REGEXP_CODE_MAX 512u
#define REGEXP_CLASSES_MAX 32u

struct regexp_step {
    u8 op; /* enum of regexp.c */
    u8 byte;
    i16 to, or_to; /* from this step */
};
struct regexp {
    struct regexp_step code[REGEXP_CODE_MAX];
    u8 classes[REGEXP_CLASSES_MAX][32]; /* bitmaps */
    u16 count, class_count;
};

/* NULL, or what is wrong with PATTERN (static text). */
MUST_CHECK const char *regexp_compile(struct regexp *regexp, const char *pattern);
/* Does any part of TEXT match? */
bool regexp_search(const struct regexp *regexp, const char *text);
