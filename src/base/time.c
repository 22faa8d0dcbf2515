/* SPDX-License-Identifier: Apache-2.0 */
/* Howard Hinnant's algorithm (the inverse of days_from_civil) and RFC 3339. */
#include "base/time.h"

#include <stdio.h>

struct date date_of(i64 days)
{
    i64 shifted = days + 719468;
    i64 era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    u32 day_of_era = (u32)(shifted - era * 146097);
    u32 year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) /
                      365;
    u32 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    u32 month = (5 * day_of_year + 2) / 153;
    struct date date = {.day = day_of_year - (153 * month + 2) / 5 + 1,
                        .month = month < 10 ? month + 3 : month - 9};
    date.year = (i64)year_of_era + era * 400 + (date.month <= 2);
    return date;
}

void time_text(u64 epoch_ns, char out[TIME_TEXT_SIZE])
{
    u64 seconds = epoch_ns / NS_PER_S, rest = epoch_ns % NS_PER_S;
    u32 of_day = (u32)(seconds % 86400);
    struct date date = date_of((i64)(seconds / 86400));
    int size = snprintf(out, TIME_TEXT_SIZE, "%04lld-%02u-%02uT%02u:%02u:%02u.%09llu",
                        (long long)date.year, date.month, date.day, of_day / 3600, of_day / 60 % 60,
                        of_day % 60, (unsigned long long)rest);
    while (out[size - 1] == '0')
        size--;
    size -= out[size - 1] == '.';
    snprintf(out + size, (size_t)(TIME_TEXT_SIZE - size), "Z");
}
