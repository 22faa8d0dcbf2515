/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds every field table against the compiler's own list of members. Linked with objects that were
 * built with -DFIELD_CHECK_BUILD by clang: each table then has a row in the section `field_checks`,
 * whose dump function prints the struct's members. Prints a line a difference; exit 1 if there is
 * one.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fields.h"

extern const struct field_check __start_field_checks[], __stop_field_checks[];

#define NAMES_MAX 200
static char names[NAMES_MAX][64];
static int name_count, depth;

/* __builtin_dump_struct calls it piece by piece: "struct x {\n", "u64 name : %lu\n", nested ones,
 * "}\n". */
static int take(const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (strchr(text, '{')) {
        depth++;
    } else if (strchr(text, '}')) {
        depth--;
    }
    const char *colon = strstr(text, " : ");
    const char *end = colon ? colon : strstr(text, " ");
    if (depth == 1 && colon) {
        const char *start = end;
        while (start > text && start[-1] != ' ' && start[-1] != '*')
            start--;
        if (name_count < NAMES_MAX)
            snprintf(names[name_count++], sizeof names[0], "%.*s", (int)(end - start), start);
    }
    return 0;
}

static int has_name(const char *name)
{
    for (int i = 0; i < name_count; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return 0;
}

static int check(const struct field_check *row)
{
    int bad = 0;
    name_count = depth = 0;
    row->dump(take);
    for (int i = 0; i < name_count; i++) {
        int found = 0;
        for (const struct field *field = row->fields; field->type != FIELD_TYPE_END; field++)
            found |= strcmp(field->name, names[i]) == 0;
        if (!found)
            bad += printf("%s: member '%s' has no row and no reason\n", row->struct_name,
                          names[i]) > 0;
    }
    for (const struct field *field = row->fields; field->type != FIELD_TYPE_END; field++)
        if (!has_name(field->name))
            bad += printf("%s: row '%s' is no member\n", row->struct_name, field->name) > 0;
    return bad;
}

int main(void)
{
    int bad = 0, count = 0;
    for (const struct field_check *row = __start_field_checks; row < __stop_field_checks; row++) {
        bad += check(row);
        count++;
    }
    printf("lint: %d field tables, %d findings\n", count, bad);
    return bad ? 1 : 0;
}
