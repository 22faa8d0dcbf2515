/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 against the standard's examples; times as texts. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

#include "base/sha.h"
#include "base/time.h"

static void expect(const char *text, size_t repeat, const char *want)
{
    struct sha256 sha;
    u8 out[SHA256_SIZE];
    char hex[65];
    sha256_init(&sha);
    for (size_t i = 0; i < repeat; i++)
        sha256_add(&sha, text, strlen(text));
    sha256_end(&sha, out);
    for (u32 i = 0; i < SHA256_SIZE; i++)
        snprintf(hex + i * 2, 3, "%02x", out[i]);
    CU_ASSERT_STRING_EQUAL(hex, want);
}

static void test_sha256_is_the_standards(void)
{
    expect("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect("aaaaaaaaaa", 100000,
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_times_are_rfc_3339(void)
{
    char text[TIME_TEXT_SIZE];
    time_text(0, text);
    CU_ASSERT_STRING_EQUAL(text, "1970-01-01T00:00:00Z");
    time_text((u64)1709210096 * NS_PER_S + 120000000, text);
    CU_ASSERT_STRING_EQUAL(text, "2024-02-29T12:34:56.12Z");
}

void sha_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/sha", NULL, NULL);
    CU_ADD_TEST(suite, test_sha256_is_the_standards);
    CU_ADD_TEST(suite, test_times_are_rfc_3339);
}
