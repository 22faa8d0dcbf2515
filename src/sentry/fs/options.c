/* SPDX-License-Identifier: Apache-2.0 */
/* Reading mount options one by one. */
#include "sentry/fs/options.h"

#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"

void option_reader_init(struct option_reader *reader, const char *options)
{
    memset(reader, 0, sizeof *reader);
    reader->rest = options ? options : "";
}

int option_next(struct option_reader *reader)
{
    const char *at = reader->rest;
    while (*at == ',')
        at++;
    if (!*at)
        return 0;
    size_t key_size = strcspn(at, "=,");
    if (key_size == 0 || key_size >= sizeof reader->key)
        return -EINVAL;
    memcpy(reader->key, at, key_size);
    reader->key[key_size] = 0;
    at += key_size;
    reader->value = NULL;
    if (*at == '=') {
        size_t size = 0;
        for (at++; *at && *at != ','; at++) {
            if (at[0] == '\\' && at[1] == ',')
                at++;
            if (size + 1 >= sizeof reader->value_text)
                return -EINVAL;
            reader->value_text[size++] = *at;
        }
        reader->value_text[size] = 0;
        reader->value = reader->value_text;
    }
    reader->rest = at;
    return 1;
}

static u32 digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (u32)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (u32)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (u32)(c - 'A') + 10;
    return UINT32_MAX;
}

bool option_number(const char *text, size_t size, u32 base, u64 *out)
{
    u64 value = 0;
    for (size_t i = 0; i < size; i++) {
        u32 digit = digit_value(text[i]);
        if (digit >= base || !checked_mul(value, base, &value) ||
            !checked_add(value, digit, &value))
            return false;
    }
    if (size == 0)
        return false;
    *out = value;
    return true;
}

bool option_size(const char *text, u64 *out)
{
    size_t size = strlen(text);
    u32 shift = 0;
    static const char units[] = "kKmMgGtT";
    const char *unit = size > 0 ? strchr(units, text[size - 1]) : NULL;
    if (unit && *unit) {
        shift = 10u * ((u32)(unit - units) / 2 + 1);
        size--;
    }
    u64 value;
    if (!option_number(text, size, 10, &value))
        return false;
    return checked_mul(value, (u64)1 << shift, out);
}
