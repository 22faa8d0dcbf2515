/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line flags as Go's flag package reads them: -f and --f are the same; --f=v or --f v; a
 * boolean is
 * --f or --f=true|false; parsing stops at the first word that is no flag, or behind a lone "--".
 * A table of rows describes the members of one options struct.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "runtime/config.h"

enum flag_type {
    FLAG_BOOL,         /* bool */
    FLAG_STRING,       /* const char *, lent from argv */
    FLAG_INT,          /* i64; 0x and 0 prefixes count */
    FLAG_UINT,         /* u64 */
    FLAG_DURATION,     /* i64 nanoseconds: "90s", "1m30s" */
    FLAG_LIST,         /* struct flag_list: may come many times */
    FLAG_IGNORED,      /* accepted with a value, no member */
    FLAG_IGNORED_BOOL, /* accepted as a boolean, no member */
    FLAG_ABSENT,       /* accepted; asks for what is not there: see FLAG_ABSENT_ROW */
    FLAG_ABSENT_BOOL,
};

struct flag {
    const char *name;
    enum flag_type type;
    u32 offset;            /* of the member */
    const char *initially; /* the default as text; NULL: zero value */
    const char *usage;
};

#define FLAG_ROW(name, type, s, m, initially, usage)         \
    {                                                        \
        (name), (type), offsetof(s, m), (initially), (usage) \
    }
#define FLAG_NOTHING(name, type)      \
    {                                 \
        (name), (type), 0, NULL, NULL \
    }
/*
 * A flag that is accepted and has no effect, which its user is told (flags_warn): any value but
 * those of DEFAULTS, with commas between, puts the flag's name on the struct flag_list S.M. REASON
 * is what the warning says.
 */
#define FLAG_ABSENT_ROW(name, type, s, m, defaults, reason)  \
    {                                                        \
        (name), (type), offsetof(s, m), (defaults), (reason) \
    }
#define FLAG_END     \
    {                \
        .name = NULL \
    }

/* Set every member to its default. A default that does not parse is asserted. */
void flags_init(const struct flag *flags, void *options);
/*
 * Parse ARGV[0 ..]; *USED becomes how many words were flags and their values ("--" included). 0; 1:
 * help was asked for (-h, -help); -1 with Go's line.
 */
MUST_CHECK int flags_parse(const struct flag *flags, void *options, int argc, char **argv,
                           int *used, struct error *err);
/* The row of NAME, or NULL. */
const struct flag *flags_find(const struct flag *flags, const char *name);
/* Set one member from text. */
MUST_CHECK int flags_set(const struct flag *flag, void *options, const char *text,
                         struct error *err);
/* A line on standard error for each flag that OPTIONS' list of absent ones names. */
void flags_warn(const struct flag *flags, const void *options);
/* The list that Go prints for -h: two lines a flag, sorted as the table is. */
void flags_print(const struct flag *flags, void *file);

/* Go's time.ParseDuration and strconv.ParseInt(text, 0, 64). */
MUST_CHECK bool duration_parse(const char *text, i64 *out);
MUST_CHECK bool int_parse(const char *text, i64 *out);
