/* SPDX-License-Identifier: Apache-2.0 */
/* PV1 of spec/platform.md: a program learns the same on all platforms that can be had here. */
#include "platform/look.h"
#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

static void check_row(u32 row, const struct look *looks)
{
    const char *first = NULL;
    for (u32 i = 0; platform_name(i); i++) {
        if (!looks[i].is_native)
            continue;
        const char *cell = looks[i].cells[row];
        CU_ASSERT_NOT_EQUAL(cell[0], 0);
        if (look_row(row)->declared)
            continue;
        if (first && strcmp(first, cell) != 0)
            fprintf(stderr, "%s: %s, and on %s %s\n", look_row(row)->what, first, platform_name(i),
                    cell);
        CU_ASSERT_TRUE(first == NULL || strcmp(first, cell) == 0);
        first = cell;
    }
}

static void test_a_program_learns_the_same_everywhere(void)
{
    struct look looks[4] = {0};
    for (u32 i = 0; platform_name(i); i++) {
        ASSERT(i < ARRAY_COUNT(looks));
        CU_ASSERT_EQUAL(look_at(platform_name(i), &looks[i]), 0);
        CU_ASSERT_TRUE(looks[i].is_made || looks[i].note[0] != 0);
    }
    for (u32 row = 0; look_row(row); row++)
        check_row(row, looks);
}

void look_suite(void);
void look_suite(void)
{
    static CU_TestInfo tests[] = {
        {"PV1 a program learns the same everywhere", test_a_program_learns_the_same_everywhere},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"what a program may see", NULL, NULL, NULL, NULL, tests},
                             CU_SUITE_INFO_NULL};
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
}
