/* SPDX-License-Identifier: Apache-2.0 */
/* How processes are shown: as JSON (Processes) and as ps's table (Proc.Ps). */
#pragma once
#include "loader/loader.h"
#include "wire/urpc/codec.h"

/* A list of objects; null when there is none. */
void process_list_encode(struct json_writer *writer, const struct process_row *rows, u32 count,
                         struct pool *pool);
/* Columns at least 10 wide, 3 blanks between; ends with a newline. 0 or -ENOMEM. */
MUST_CHECK int process_list_table(struct buf *out, const struct process_row *rows, u32 count,
                                  struct pool *pool);
/* Nanoseconds as Go prints a time.Duration: "0s", "10ms", "1.25s", "1m0.5s". From POOL; NULL
 * without memory. */
MUST_CHECK char *duration_text(struct pool *pool, u64 ns);
