/* SPDX-License-Identifier: Apache-2.0 */
/* An arena over malloc for tests and tools that have no host, with a plan for failing allocations.
 */
#pragma once
#include "base/arena.h"

/* Ends the process with one line when there is no memory at all. */
struct arena *arena_plain_create(void);
/* Asserts that nothing lives in it. */
void arena_plain_destroy(struct arena *arena);

/* Refuse the NTH allocation from now (1 is the next one), and with AND_LATER every later one too.
 * 0: none. */
void arena_plain_fail(struct arena *arena, u64 nth, bool and_later);
/* Refuse what would bring the living bytes above this; 0: no limit. */
void arena_plain_limit(struct arena *arena, u64 bytes_max);
