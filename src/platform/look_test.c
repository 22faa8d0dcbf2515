/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PV1 of spec/platform.md: a program learns the same on all platforms that can be had here. PV2:
 * what a platform hides is hidden. PV3: each row of the probe stands in that page's table.
 */
#include "platform/look.h"
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC "spec/platform.md"
#define SPEC_SIZE_MAX 65536u
#define UNDEFINED "SIGILL" /* the processor does not know the instruction */

/* What a program finds on PLATFORM (NULL: on each), if the processor has such an instruction. */
static const struct {
    const char *what, *platform, *cell;
} hidden[] = {
    {"cpuid 1, number of the cpu", "kvm", "0"},
    {"cpuid 0xb, number of the cpu", "kvm", "0"},
    {"rdtscp, number of the cpu", "kvm", "0"},
    {"rdpid, number of the cpu", "kvm", "0"},
    {"lsl 0x7b, number of the cpu", "kvm", "0"},
    {"rdfsbase", "kvm", "0"},
    {"rdtsc", NULL, "the host's"},
    {"rdpmc", NULL, "SIGSEGV"},
    {"int $0x80", NULL, "SIGSEGV"},
    {"pushf", NULL, "0x202"},
};

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

static u32 row_find(const char *what)
{
    u32 row = 0;
    while (look_row(row) && strcmp(look_row(row)->what, what) != 0)
        row++;
    ASSERT(look_row(row) != NULL);
    return row;
}

static void test_what_a_platform_hides_is_hidden(void)
{
    for (u32 i = 0; platform_name(i); i++) {
        struct look look;
        CU_ASSERT_EQUAL(look_at(platform_name(i), &look), 0);
        for (size_t j = 0; j < ARRAY_COUNT(hidden) && look.is_native; j++) {
            const char *cell = look.cells[row_find(hidden[j].what)];
            if (hidden[j].platform && strcmp(hidden[j].platform, platform_name(i)) != 0)
                continue;
            bool is_right = strcmp(cell, hidden[j].cell) == 0 || strcmp(cell, UNDEFINED) == 0;
            if (!is_right)
                fprintf(stderr, "%s on %s: %s\n", hidden[j].what, platform_name(i), cell);
            CU_ASSERT_TRUE(is_right);
        }
    }
}

static void test_the_page_has_a_row_for_each(void)
{
    FILE *file = fopen(SPEC, "re");
    if (file == NULL)
        return; /* a machine that has the program alone */
    char *text = calloc(1, SPEC_SIZE_MAX);
    ASSERT(text != NULL);
    size_t size = fread(text, 1, SPEC_SIZE_MAX - 1, file);
    CU_ASSERT_TRUE(size > 0 && size < SPEC_SIZE_MAX - 1);
    fclose(file);
    for (u32 row = 0; look_row(row); row++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "`%s`", look_row(row)->what);
        if (strstr(text, quoted) == NULL)
            fprintf(stderr, "%s has no %s\n", SPEC, quoted);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, quoted));
    }
    free(text);
}

void look_suite(void);
void look_suite(void)
{
    static CU_TestInfo tests[] = {
        {"PV1 a program learns the same everywhere", test_a_program_learns_the_same_everywhere},
        {"PV2 what a platform hides is hidden", test_what_a_platform_hides_is_hidden},
        {"PV3 the page has a row for each", test_the_page_has_a_row_for_each},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"what a program may see", NULL, NULL, NULL, NULL, tests},
                             CU_SUITE_INFO_NULL};
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
}
