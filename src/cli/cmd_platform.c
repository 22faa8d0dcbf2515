/* SPDX-License-Identifier: Apache-2.0 */
/* platform probe: which platforms can be had here, and what a program learns from each. */
#include "cli/commands.h"
#include "platform/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLATFORMS_MAX 8u

static void print_platforms(const struct look *looks, u32 count)
{
    printf("%-10s%s\n", "PLATFORM", "HERE");
    for (u32 i = 0; i < count; i++)
        printf("%-10s%s%s%s\n", platform_name(i), looks[i].is_made ? "yes" : "no",
               looks[i].note[0] ? ", " : "", looks[i].note);
}

static void print_rows(const struct look *looks, u32 count)
{
    printf("\n%-30s", "A PROGRAM SEES");
    for (u32 i = 0; i < count; i++)
        if (looks[i].is_native)
            printf("%-26s", platform_name(i));
    printf("MAY DIFFER\n");
    for (u32 row = 0; look_row(row); row++) {
        printf("%-30s", look_row(row)->what);
        for (u32 i = 0; i < count; i++)
            if (looks[i].is_native)
                printf("%-26s", looks[i].cells[row]);
        printf("%s\n", look_row(row)->declared ? look_row(row)->declared : "-");
    }
}

int cmd_platform(struct cli *cli, const void *options, int argc, char **argv)
{
    struct error err;
    if (argc != 1)
        return cli_usage(cli);
    if (strcmp(argv[0], "probe") != 0) {
        error_set(&err, 0, "unknown word \"%s\" after platform; probe is the only one", argv[0]);
        return cli_fail(cli, &err);
    }
    u32 count = 0;
    struct look *looks = calloc(PLATFORMS_MAX, sizeof *looks);
    if (looks == NULL) {
        error_set(&err, 0, "no memory");
        return cli_fail(cli, &err);
    }
    int result = 0;
    for (; platform_name(count) && count < PLATFORMS_MAX && result == 0; count++)
        result = look_at(platform_name(count), &looks[count]);
    if (result == 0) {
        print_platforms(looks, count);
        print_rows(looks, count);
    }
    free(looks);
    return result ? (error_set(&err, -result, "cannot try the platforms"), cli_fail(cli, &err)) : 0;
}
