/* SPDX-License-Identifier: Apache-2.0 */
/* Where a mapping may lie, inside memory/. */
#pragma once
#include "sentry/memory/mm.h"

/* The highest place for SIZE bytes that ends at or below TOP; 0 if there is none. */
u64 place_find(const struct mm *mm, u64 size, u64 top);
/* As mmap(2) without MAP_FIXED: at HINT if that is free, else found. -ENOMEM. */
MUST_CHECK i64 place_choose(const struct mm *mm, u64 hint, u64 size, bool is_below_2g);
/* May [start, start + size) be asked for by MAP_FIXED? 0, -EINVAL, -ENOMEM, -EPERM. */
MUST_CHECK int place_judge_fixed(const struct mm *mm, u64 start, u64 size);
/* Whole vmas between START and END go, with their entries. Not committed. */
void range_remove(struct mm *mm, u64 start, u64 end);
