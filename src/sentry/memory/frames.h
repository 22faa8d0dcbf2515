/* SPDX-License-Identifier: Apache-2.0 */
/* Frames beyond memory.h: runs, uses, totals. */
#pragma once
#include "sentry/memory/memory.h"

void frame_get_run(struct memory *memory, frame first, u64 count);
void frame_put_run(struct memory *memory, frame first, u64 count);
enum frame_use frame_use_of(const struct memory *memory, frame f);
/* While loading: a frame read from an image turns out to be this. */
void frame_set_use(struct memory *memory, frame f, enum frame_use use);
/* Frames in use; frames that have real memory (used, or free and not yet given back). */
u64 memory_used(const struct memory *memory);
u64 memory_backed(const struct memory *memory);
