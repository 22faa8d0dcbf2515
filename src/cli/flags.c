/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of flags. Error texts are those of Go's flag package, because people know them and
 * some tools match on them.
 */
#include "cli/flags.h"

#include "base/checked.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool int_parse(const char *text, i64 *out)
{
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (!isdigit((u8)digits[0]))
        return false;
    int base = 10;
    if (digits[0] == '0' && tolower((u8)digits[1]) == 'x')
        base = 16;
    else if (digits[0] == '0' && (tolower((u8)digits[1]) == 'o' || isdigit((u8)digits[1])))
        base = 8;
    if (base != 10 && !isdigit((u8)digits[1]))
        digits += 2;
    char *end;
    errno = 0;
    if (!isxdigit((u8)digits[0]))
        return false;
    unsigned long long value = strtoull(digits, &end, base);
    if (*end || errno)
        return false;
    bool is_negative = text[0] == '-';
    if (value > (u64)INT64_MAX + (is_negative ? 1 : 0))
        return false;
    *out = is_negative ? (i64)(0 - value) : (i64)value;
    return true;
}

static bool uint_parse(const char *text, u64 *out)
{
    i64 value;
    if (text[0] == '-' || text[0] == '+')
        return false;
    if (int_parse(text, &value)) {
        *out = (u64)value;
        return true;
    }
    char *end;
    errno = 0;
    unsigned long long wide = strtoull(text, &end, 10);
    if (!isdigit((u8)text[0]) || *end || errno)
        return false;
    *out = wide;
    return true;
}

static bool bool_parse(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool unit_ns(const char **at, u64 *ns)
{
    static const struct {
        const char *name;
        u64 ns;
    } units[] = {{"ns", 1},         {"us", 1000},    {"\xc2\xb5s", 1000},  {"\xce\xbcs", 1000},
                 {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}};
    size_t size = strcspn(*at, "0123456789.");
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (strlen(units[i].name) == size && strncmp(units[i].name, *at, size) == 0) {
            *at += size;
            *ns = units[i].ns;
            return true;
        }
    }
    return false;
}

/* One term, such as 1.5h, added to *TOTAL. */
static bool duration_term(const char **at, u64 *total)
{
    char *end = (char *)(uintptr_t)*at;
    u64 whole = 0, fraction = 0, scale = 1, unit;
    bool has_digit = false;
    for (; isdigit((u8)*end); end++, has_digit = true) {
        if (!checked_mul(whole, 10, &whole) || !checked_add(whole, (u64)(*end - '0'), &whole))
            return false;
    }
    if (*end == '.') {
        for (end++; isdigit((u8)*end); end++, has_digit = true) {
            if (scale >= NS_PER_S * 1000)
                continue; /* finer than anyone can tell */
            fraction = fraction * 10 + (u64)(*end - '0');
            scale *= 10;
        }
    }
    *at = end;
    if (!has_digit || !unit_ns(at, &unit))
        return false;
    if (!checked_mul(whole, unit, &whole))
        return false;
    whole += (u64)((double)fraction * (double)unit / (double)scale);
    return checked_add(*total, whole, total) && *total <= INT64_MAX;
}

bool duration_parse(const char *text, i64 *out)
{
    bool is_negative = text[0] == '-';
    const char *at = text + (is_negative || text[0] == '+');
    if (strcmp(at, "0") == 0) {
        *out = 0;
        return true;
    }
    u64 total = 0;
    do {
        if (!duration_term(&at, &total))
            return false;
    } while (*at);
    *out = is_negative ? -(i64)total : (i64)total;
    return true;
}

const struct flag *flags_find(const struct flag *flags, const char *name)
{
    for (; flags->name; flags++)
        if (strcmp(flags->name, name) == 0)
            return flags;
    return NULL;
}

static bool flag_takes_word(const struct flag *flag)
{
    return flag->type != FLAG_BOOL && flag->type != FLAG_IGNORED_BOOL &&
           flag->type != FLAG_ABSENT_BOOL;
}

static bool flag_has_no_default(const struct flag *flag)
{
    return !flag->initially || flag->type == FLAG_IGNORED || flag->type == FLAG_IGNORED_BOOL ||
           flag->type == FLAG_ABSENT || flag->type == FLAG_ABSENT_BOOL;
}

/* Is TEXT among the words of LIST, which has commas between? */
static bool list_has(const char *list, const char *text)
{
    size_t size = strlen(text);
    for (;; list++) {
        size_t word = strcspn(list, ",");
        if (word == size && strncmp(list, text, size) == 0)
            return true;
        list += word;
        if (!*list)
            return false;
    }
}

static void absent_note(const struct flag *flag, struct flag_list *absent, const char *text)
{
    u32 at = 0;
    while (at < absent->count && strcmp(absent->items[at], flag->name) != 0)
        at++;
    if (list_has(flag->initially, text)) { /* the last value counts */
        if (at < absent->count)
            absent->items[at] = absent->items[--absent->count];
    } else if (at == absent->count && at < FLAG_LIST_MAX) {
        absent->items[absent->count++] = flag->name;
    }
}

int flags_set(const struct flag *flag, void *options, const char *text, struct error *err)
{
    void *member = (char *)options + flag->offset;
    bool is_good = true;
    switch (flag->type) {
    case FLAG_BOOL:
        is_good = bool_parse(text, member);
        break;
    case FLAG_IGNORED_BOOL:
        is_good = bool_parse(text, &(bool){false});
        break;
    case FLAG_STRING:
        *(const char **)member = text;
        break;
    case FLAG_INT:
        is_good = int_parse(text, member);
        break;
    case FLAG_UINT:
        is_good = uint_parse(text, member);
        break;
    case FLAG_DURATION:
        is_good = duration_parse(text, member);
        break;
    case FLAG_LIST: {
        struct flag_list *list = member;
        if (list->count == FLAG_LIST_MAX)
            return error_set(err, E2BIG, "too many flags -%s, at most %u", flag->name,
                             FLAG_LIST_MAX);
        list->items[list->count++] = text;
        break;
    }
    case FLAG_ABSENT_BOOL: {
        bool value = false;
        is_good = bool_parse(text, &value);
        if (is_good)
            absent_note(flag, member, value ? "true" : "false");
        break;
    }
    case FLAG_ABSENT:
        absent_note(flag, member, text);
        break;
    case FLAG_IGNORED:
        break;
    }
    if (is_good)
        return 0;
    if (!flag_takes_word(flag))
        return error_set(err, EINVAL, "invalid boolean value \"%s\" for -%s: parse error", text,
                         flag->name);
    return error_set(err, EINVAL, "invalid value \"%s\" for flag -%s: parse error", text,
                     flag->name);
}

void flags_init(const struct flag *flags, void *options)
{
    for (; flags->name; flags++) {
        if (flag_has_no_default(flags))
            continue;
        struct error err;
        int failed = flags_set(flags, options, flags->initially, &err);
        ASSERT(failed == 0);
    }
}

/* One word that begins with '-'; *AT goes past it and its value. As flags_parse. */
static int flag_parse_one(const struct flag *flags, void *options, int argc, char **argv, int *at,
                          struct error *err)
{
    const char *word = argv[*at];
    const char *name = word + (word[1] == '-' ? 2 : 1);
    if (!*name || *name == '-' || *name == '=')
        return error_set(err, EINVAL, "bad flag syntax: %s", word);
    const char *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    char plain[128];
    if (size >= sizeof plain)
        return error_set(err, EINVAL, "bad flag syntax: %.100s...", word);
    memcpy(plain, name, size);
    plain[size] = 0;
    const struct flag *flag = flags_find(flags, plain);
    if (!flag && (strcmp(plain, "h") == 0 || strcmp(plain, "help") == 0))
        return 1;
    if (!flag)
        return error_set(err, ENOENT, "flag provided but not defined: -%s", plain);
    (*at)++;
    if (equals)
        return flags_set(flag, options, equals + 1, err);
    if (!flag_takes_word(flag))
        return flags_set(flag, options, "true", err);
    if (*at >= argc)
        return error_set(err, EINVAL, "flag needs an argument: -%s", plain);
    return flags_set(flag, options, argv[(*at)++], err);
}

int flags_parse(const struct flag *flags, void *options, int argc, char **argv, int *used,
                struct error *err)
{
    int at = 0;
    while (at < argc && argv[at][0] == '-' && argv[at][1]) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        int result = flag_parse_one(flags, options, argc, argv, &at, err);
        if (result)
            return result;
    }
    *used = at;
    return 0;
}

static const char *flag_word(const struct flag *flag)
{
    static const char *const words[] = {
        [FLAG_BOOL] = "",           [FLAG_STRING] = " string", [FLAG_INT] = " int",
        [FLAG_UINT] = " uint",      [FLAG_LIST] = " value",    [FLAG_DURATION] = " duration",
        [FLAG_IGNORED] = " string", [FLAG_IGNORED_BOOL] = "",  [FLAG_ABSENT] = " string",
        [FLAG_ABSENT_BOOL] = ""};
    return words[flag->type];
}

void flags_print(const struct flag *flags, void *file)
{
    FILE *out = file;
    for (; flags->name; flags++) {
        if (!flags->usage)
            continue;
        bool is_absent = flags->type == FLAG_ABSENT || flags->type == FLAG_ABSENT_BOOL;
        fprintf(out, "  -%s%s\n    \t%s%s", flags->name, flag_word(flags),
                is_absent ? "no effect: " : "", flags->usage);
        const char *initially = is_absent ? NULL : flags->initially;
        if (initially && *initially && strcmp(initially, "0") != 0 &&
            strcmp(initially, "false") != 0)
            fprintf(out, flags->type == FLAG_STRING ? " (default \"%s\")" : " (default %s)",
                    initially);
        fputc('\n', out);
    }
}

void flags_warn(const struct flag *flags, const void *options)
{
    const struct flag *row = flags;
    while (row->name && row->type != FLAG_ABSENT && row->type != FLAG_ABSENT_BOOL)
        row++;
    if (!row->name)
        return;
    const struct flag_list *absent = (const void *)((const char *)options + row->offset);
    for (u32 i = 0; i < absent->count; i++)
        fprintf(stderr, "warning: flag -%s has no effect: %s\n", absent->items[i],
                flags_find(flags, absent->items[i])->usage);
}
