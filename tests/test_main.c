/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the suites that list-suites.sh found; prints CUnit's summary; exit 1 if anything failed. */
#include <CUnit/Basic.h>
#include <stdio.h>

extern void (*const test_suites[])(void);

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    for (int i = 0; test_suites[i]; i++)
        test_suites[i]();
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed() +
                      CU_get_number_of_suites_failed();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
