/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go prints them, and ps's table. */
#include <CUnit/Basic.h>
#include <string.h>

#include "controller/process_text.h"

static void test_durations_are_gos(void)
{
    static const struct {
        u64 ns;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ns"},
        {999, "999ns"},
        {1500, "1.5\u00b5s"},
        {10000000, "10ms"},
        {1234567, "1.234567ms"},
        {1250000000, "1.25s"},
        {60 * NS_PER_S, "1m0s"},
        {90500000000, "1m30.5s"},
        {3600 * NS_PER_S, "1h0m0s"},
        {36061 * NS_PER_S + 1, "10h1m1.000000001s"},
    };
    AUTO_POOL struct pool pool;
    pool_init(&pool, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        CU_ASSERT_STRING_EQUAL(duration_text(&pool, cases[i].ns), cases[i].text);
}

static void test_the_table_has_columns_of_ten_and_three_blanks(void)
{
    static const struct process_row rows[] = {
        {.uid = 0,
         .pid = 1,
         .pgid = 1,
         .tty = "?",
         .start_time = "08:00",
         .system_ns = 10000000,
         .command = "sh"},
        {.uid = 4294967294u,
         .pid = 12,
         .ppid = 1,
         .pgid = 12,
         .cpu_percent = 99,
         .tty = "pts/0",
         .start_time = "Jan02",
         .system_ns = 0,
         .command = "a long name"},
    };
    struct arena heap;
    AUTO_POOL struct pool pool;
    AUTO_BUF struct buf text;
    heap_arena_init(&heap);
    pool_init(&pool, NULL);
    buf_init(&text, &heap, 0);
    CU_ASSERT_EQUAL_FATAL(process_list_table(&text, rows, 2, &pool), 0);
    CU_ASSERT_STRING_EQUAL(
        buf_text(&text),
        "UID          PID       PPID      PGID      C         TTY       STIME     TIME      CMD\n"
        "0            1         0         1         0         ?         08:00     10ms      sh\n"
        "4294967294   12        1         12        99        pts/0     Jan02     0s        a long "
        "name\n");
}

static void test_an_empty_list_is_null(void)
{
    struct arena heap;
    AUTO_BUF struct buf text;
    struct json_writer writer;
    heap_arena_init(&heap);
    buf_init(&text, &heap, 0);
    json_writer_init(&writer, &text);
    process_list_encode(&writer, NULL, 0, NULL);
    CU_ASSERT_STRING_EQUAL(buf_text(&text), "null");
}

void process_text_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/process_text", NULL, NULL);
    CU_ADD_TEST(suite, test_durations_are_gos);
    CU_ADD_TEST(suite, test_the_table_has_columns_of_ten_and_three_blanks);
    CU_ADD_TEST(suite, test_an_empty_list_is_null);
}
