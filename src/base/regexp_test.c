/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions, what they find, and what is refused. */
#include <CUnit/Basic.h>
#include <string.h>

#include "base/regexp.h"

static void test_expressions_find_what_they_should(void)
{
    static const struct {
        const char *pattern, *text;
        bool is_found;
    } cases[] = {
        {"", "", true},
        {"a", "cat", true},
        {"^a", "cat", false},
        {"t$", "cat", true},
        {"^$", "", true},
        {"^$", "x", false},
        {"c.t", "cut", true},
        {"ab*c", "ac", true},
        {"ab*c", "abbbc", true},
        {"ab+c", "ac", false},
        {"ab?c$", "abbc", false},
        {"^(ab|cd)+$", "abcdab", true},
        {"^(ab|cd)+$", "abcda", false},
        {"^a|b$", "xb", true},
        {"[a-c]x", "bx", true},
        {"[^a-c]x", "bx", false},
        {"[]]", "]", true},
        {"\\d+\\.\\d", "v1.2", true},
        {"\\W", "abc", false},
        {"^fs_(opens|reads)$", "fs_reads", true},
        {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false},
        {"a.b", "a\nb", false},
        {"(|x)y", "y", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct regexp regexp;
        CU_ASSERT_PTR_NULL_FATAL(regexp_compile(&regexp, cases[i].pattern));
        CU_ASSERT_EQUAL(regexp_search(&regexp, cases[i].text), cases[i].is_found);
    }
}

static void test_broken_expressions_are_refused(void)
{
    static const char *const patterns[] = {"*", "(", ")", "a)", "[a", "[b-a]", "\\", "a{2}", "(?"};
    struct regexp regexp;
    char deep[200];
    for (size_t i = 0; i < ARRAY_COUNT(patterns); i++)
        CU_ASSERT_PTR_NOT_NULL(regexp_compile(&regexp, patterns[i]));
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    CU_ASSERT_PTR_NOT_NULL(regexp_compile(&regexp, deep));
    char large[REGEXP_CODE_MAX + 2];
    memset(large, 'a', sizeof large - 1);
    large[sizeof large - 1] = 0;
    CU_ASSERT_PTR_NOT_NULL(regexp_compile(&regexp, large));
    memset(large, '|', sizeof large - 1);
    CU_ASSERT_PTR_NOT_NULL(regexp_compile(&regexp, large));
    /* The steps of a choice are the ones that do not fit any more. */
    for (size_t size = REGEXP_CODE_MAX - 8; size < sizeof large - 1; size++) {
        memset(large, 'a', sizeof large - 1);
        large[size] = '|';
        large[size + 1] = 0;
        bool is_refused = regexp_compile(&regexp, large) != NULL;
        CU_ASSERT_EQUAL(is_refused, size + 3 > REGEXP_CODE_MAX);
    }
}

void regexp_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/regexp", NULL, NULL);
    CU_ADD_TEST(suite, test_expressions_find_what_they_should);
    CU_ADD_TEST(suite, test_broken_expressions_are_refused);
}
