/* SPDX-License-Identifier: Apache-2.0 */
/* Extended state from untrusted bytes. */
#include "abi/regs.h"
#include <CUnit/Basic.h>
#include <string.h>

static u64 word_at(const struct xstate *xstate, size_t offset)
{
    u64 word;
    memcpy(&word, xstate->bytes + offset, sizeof word);
    return word;
}

static void test_the_initial_state_is_canonical(void)
{
    struct xstate xstate, same;
    xstate_init(&xstate);
    same = xstate;
    CU_ASSERT_TRUE(xstate_sanitize(&xstate));
    CU_ASSERT_EQUAL(memcmp(&xstate, &same, sizeof same), 0);
    CU_ASSERT_EQUAL(xstate_features_used(&xstate), 0);
    CU_ASSERT_EQUAL(word_at(&xstate, 0), XSTATE_FCW_INIT);
    CU_ASSERT_EQUAL(word_at(&xstate, XSTATE_MXCSR_OFFSET), XSTATE_MXCSR_INIT);
}

static void test_bytes_of_absent_features_do_not_count(void)
{
    struct xstate xstate;
    for (u64 features = 0; features < 256; features++) {
        memset(&xstate, 0xff, sizeof xstate);
        memset(xstate.bytes + XSTATE_HEADER_OFFSET, 0, 64);
        xstate.bytes[XSTATE_HEADER_OFFSET] = (u8)features;
        xstate.bytes[XSTATE_HEADER_OFFSET + 1] = 0xff; /* features that nobody knows */
        CU_ASSERT_TRUE(xstate_sanitize(&xstate));
        CU_ASSERT_EQUAL(word_at(&xstate, XSTATE_HEADER_OFFSET), features & XSTATE_FEATURES);
        CU_ASSERT_EQUAL(word_at(&xstate, XSTATE_MXCSR_OFFSET),
                        0xffff);                 /* no reserved bit, no mask */
        CU_ASSERT_EQUAL(word_at(&xstate, 8), 0); /* FIP */
        CU_ASSERT_EQUAL(word_at(&xstate, 32), features & 1 ? ~(u64)0 : 0);
        CU_ASSERT_EQUAL(word_at(&xstate, 160), features & 2 ? ~(u64)0 : 0);
#define X(number, offset, size) \
    CU_ASSERT_EQUAL(word_at(&xstate, (offset) + (size)-8), features >> (number)&1 ? ~(u64)0 : 0);
        XSTATE_COMPONENTS(X)
#undef X
        CU_ASSERT_EQUAL(word_at(&xstate, 464), 0); /* software's */
        struct xstate again = xstate;
        CU_ASSERT_TRUE(xstate_sanitize(&again));
        CU_ASSERT_EQUAL(memcmp(&again, &xstate, sizeof again), 0);
    }
}

static void test_the_compacted_form_is_refused(void)
{
    struct xstate xstate;
    xstate_init(&xstate);
    xstate.bytes[XSTATE_HEADER_OFFSET + 15] = 0x80;
    CU_ASSERT_FALSE(xstate_sanitize(&xstate));
    xstate.bytes[XSTATE_HEADER_OFFSET + 15] = 0;
    xstate.bytes[XSTATE_HEADER_OFFSET + 40] = 1; /* reserved: cleared */
    CU_ASSERT_TRUE(xstate_sanitize(&xstate));
    CU_ASSERT_EQUAL(word_at(&xstate, XSTATE_HEADER_OFFSET + 40), 0);
}

static void test_headers_are_judged_as_the_processor_does(void)
{
    u64 header[8] = {XSTATE_FEATURES, 0, 0, 1};
    CU_ASSERT_TRUE(xstate_header_is_good(header));
    for (u32 word = 1; word <= 2; word++) {
        header[word] = 1;
        CU_ASSERT_FALSE(xstate_header_is_good(header));
        header[word] = 0;
    }
    for (u32 bit = 0; bit < 64; bit++) {
        header[0] = 1ull << bit;
        CU_ASSERT_EQUAL(xstate_header_is_good(header), (u64)XSTATE_FEATURES >> bit & 1);
    }
}

void regs_suite(void);
void regs_suite(void)
{
    static CU_TestInfo tests[] = {
        {"the initial state is canonical", test_the_initial_state_is_canonical},
        {"bytes of absent features do not count", test_bytes_of_absent_features_do_not_count},
        {"the compacted form is refused", test_the_compacted_form_is_refused},
        {"headers are judged as the processor does", test_headers_are_judged_as_the_processor_does},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"extended state", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_register_suites(suites) != CUE_SUCCESS)
        __builtin_trap();
}
