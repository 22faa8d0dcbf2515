/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of an address space and the frames they count, inside memory/. An entry owns one
 * reference to its frame. References of entries that are taken out wait in limbo until every cpu
 * has acknowledged the edit.
 */
#pragma once
#include "sentry/memory/mm.h"

/* Absent entries from ADDRESS on get COUNT frames, whose references are taken. 0 or -ENOMEM, then
 * nothing. */
MUST_CHECK int table_map(struct mm *mm, u64 address, frame first, u64 count, u32 prot);
/* COUNT present entries get other frames, whose references are taken. 0 or -ENOMEM, then nothing.
 */
#define REPLACE_MAX 8
MUST_CHECK int table_replace(struct mm *mm, u64 address, frame first, u64 count, u32 prot);
/* Present entries of [start, end) go. */
void table_unmap(struct mm *mm, u64 start, u64 end);
/* Present entries of [start, end), all of VMA, get the rights they may have now. */
void table_protect(struct vma *vma, u64 start, u64 end);
/* Take write rights from present entries of [start, end), which may read with PROT otherwise. */
void table_close(struct mm *mm, u64 start, u64 end, u32 prot);
/* Move present entries of [from, from + size) to TO, where none is. 0 or -ENOMEM, then nothing. */
MUST_CHECK int table_move(struct mm *mm, u64 from, u64 to, u64 size);
/* Commit, and wait (not a sleep: the lock is held, no cpu needs it to acknowledge) until all cpus
 * know. */
void table_settle(struct mm *mm);
