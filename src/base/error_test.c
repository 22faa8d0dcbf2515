/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "abi/errno.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <string.h>

#define ERRNO(number, name, text) _Static_assert(name == (number), #name);
#include "base/errno.def"
#undef ERRNO

static void error_numbers_have_the_texts_that_callers_match(void)
{
    CU_ASSERT_STRING_EQUAL(errno_text(ENOENT), "no such file or directory");
    CU_ASSERT_STRING_EQUAL(errno_text(EACCES), "permission denied");
    CU_ASSERT_STRING_EQUAL(errno_text(ENOSPC), "no space left on device");
    CU_ASSERT_STRING_EQUAL(errno_text(EIO), "input/output error");
    CU_ASSERT_STRING_EQUAL(errno_text(EDOTDOT), "RFS specific error"); /* Go keeps such capitals */
    CU_ASSERT_STRING_EQUAL(errno_text(EAGAIN), "resource temporarily unavailable");
    CU_ASSERT_STRING_EQUAL(errno_name(EOPNOTSUPP), "EOPNOTSUPP");
    CU_ASSERT_STRING_EQUAL(errno_name(512), "ERESTARTSYS");
    const int unknown[] = {-1, 0, 41, 134, 517, 100000};
    for (size_t i = 0; i < ARRAY_COUNT(unknown); i++) {
        CU_ASSERT_STRING_EQUAL(errno_text(unknown[i]), "unknown error");
        CU_ASSERT_STRING_EQUAL(errno_name(unknown[i]), "E?");
    }
}

static void every_error_number_of_linux_is_known(void)
{
    for (int code = 1; code <= EHWPOISON; code++) {
        bool is_gap = code == 41 || code == 58;
        CU_ASSERT_EQUAL(strcmp(errno_name(code), "E?") == 0, is_gap);
    }
}

static void an_error_is_one_line_with_its_cause(void)
{
    struct error err;
    errno = ENOENT;
    CU_ASSERT_EQUAL(error_errno(&err, "cannot open '%s'", "/x"), -1);
    CU_ASSERT_EQUAL(err.code, ENOENT);
    CU_ASSERT_STRING_EQUAL(err.text, "cannot open '/x': no such file or directory");
    CU_ASSERT_EQUAL(error_prefix(&err, "container '%s'", "web"), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "container 'web': cannot open '/x': no such file or directory");
    CU_ASSERT_EQUAL(err.code, ENOENT);
    CU_ASSERT_EQUAL(error_set(&err, EINVAL, "again: %s", err.text),
                    -1); /* its own text as an argument */
    CU_ASSERT_STRING_EQUAL(err.text,
                           "again: container 'web': cannot open '/x': no such file or directory");
    CU_ASSERT_EQUAL(error_set(NULL, 1, "nobody listens"), -1);
}

static void a_longer_text_is_cut(void)
{
    struct error err;
    char big[3000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    CU_ASSERT_EQUAL(error_set(&err, 1, "%s", big), -1);
    CU_ASSERT_EQUAL(strlen(err.text), ERROR_TEXT_SIZE - 1);
    CU_ASSERT_EQUAL(error_prefix(&err, "p"), -1);
    CU_ASSERT_EQUAL(strlen(err.text), ERROR_TEXT_SIZE - 1);
    CU_ASSERT_EQUAL(memcmp(err.text, "p: xxx", 6), 0);
}

void error_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/error", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(error_numbers_have_the_texts_that_callers_match);
    ADD(every_error_number_of_linux_is_known);
    ADD(an_error_is_one_line_with_its_cause);
    ADD(a_longer_text_is_cut);
#undef ADD
}
