/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the suites that list-suites.sh found, or with a word those whose names have it; prints
 * CUnit's summary; exit 1 if anything failed. Tests that are turned off count as inactive.
 */
#include <CUnit/Basic.h>
#include <CUnit/TestDB.h>
#include <stdio.h>
#include <string.h>

extern void (*const test_suites[])(void);

static void suites_choose(const char *word)
{
    for (CU_pSuite suite = CU_get_registry()->pSuite; suite; suite = suite->pNext)
        if (strstr(suite->pName, word) == NULL)
            CU_set_suite_active(suite, CU_FALSE);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    for (int i = 0; test_suites[i]; i++)
        test_suites[i]();
    CU_set_fail_on_inactive(CU_FALSE);
    if (argc > 1)
        suites_choose(argv[1]);
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed() +
                      CU_get_number_of_suites_failed();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
