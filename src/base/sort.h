/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stable sort of our own: equal elements keep their order, so the result depends on the input
 * alone and not on the C library. In place, without memory, O(n log² n) moves.
 */
#pragma once
#include "base/base.h"

/* COUNT elements of SIZE bytes at BASE; COMPARE as in qsort_r. */
void sort_stable(void *base, size_t count, size_t size,
                 int (*compare)(const void *a, const void *b, void *arg), void *arg);
