/* SPDX-License-Identifier: Apache-2.0 */
/* Days and texts of times, without zones: UTC. */
#pragma once
#include "base/base.h"

struct date {
    i64 year;
    u32 month, day;
};
/* Civil date of a day number since 1970. */
struct date date_of(i64 days);

#define TIME_TEXT_SIZE 40
/* RFC 3339 with nanoseconds, those without trailing zeros, as Go's RFC3339Nano:
 * "2026-01-02T03:04:05.6Z". */
void time_text(u64 epoch_ns, char out[TIME_TEXT_SIZE]);
