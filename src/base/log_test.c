/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/base.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

struct lines {
    u32 count;
    char last[2048];
    char all[512];
};

static void lines_write(struct log *log, enum log_level level, const char *room, const char *line)
{
    struct lines *lines = log->owner;
    lines->count++;
    snprintf(lines->last, sizeof lines->last, "%s: %s", room, line);
    size_t used = strlen(lines->all);
    snprintf(lines->all + used, sizeof lines->all - used, "%s|", line);
}

static void only_lines_of_the_level_are_written(void)
{
    struct lines lines = {0};
    struct log log = {.level = LOG_INFO, .write = lines_write, .owner = &lines};
    log_warn(&log, "fs", "a %d", 1);
    log_info(&log, "fs", "b");
    u32 evaluated = 0;
    log_debug(&log, "fs", "c %u", ++evaluated);
    CU_ASSERT_EQUAL(lines.count, 2);
    CU_ASSERT_EQUAL(evaluated, 0);
    CU_ASSERT_STRING_EQUAL(lines.last, "fs: b");
    log_warn((struct log *)NULL, "fs", "nobody");
}

static void no_byte_of_a_guest_can_forge_a_line(void)
{
    struct lines lines = {0};
    struct log log = {.level = LOG_INFO, .write = lines_write, .owner = &lines};
    log_warn(&log, "sys", "%s", "a\nW fake: \t\x1b[31m\\ \x80\xff\x7f");
    CU_ASSERT_STRING_EQUAL(lines.last, "sys: a\\nW fake: \\t\\x1b[31m\\\\ \\x80\\xff\\x7f");
    char big[3000];
    memset(big, '\1', sizeof big);
    big[sizeof big - 1] = '\0';
    log_warn(&log, "sys", "%s", big);
    CU_ASSERT_TRUE(strlen(lines.last) < 1100);
    CU_ASSERT_STRING_EQUAL(lines.last + strlen(lines.last) - 7, "\\x01...");
    char small[8];
    log_escape(small, sizeof small, "abcdefgh", 8);
    CU_ASSERT_STRING_EQUAL(small, "a...");
    log_escape(small, sizeof small, "", 0);
    CU_ASSERT_STRING_EQUAL(small, "");
}

static void repeats_are_counted_and_not_written(void)
{
    struct lines lines = {0};
    struct log log = {.level = LOG_INFO, .write = lines_write, .owner = &lines};
    for (int i = 0; i < 1000; i++)
        log_warn(&log, "sys", "same");
    CU_ASSERT_EQUAL(lines.count, 10); /* 1, 2, 4, ... 512 */
    CU_ASSERT_STRING_EQUAL(lines.last, "sys: same (512 times)");
    lines.all[0] = '\0';
    log_warn(&log, "sys", "other");
    CU_ASSERT_STRING_EQUAL(lines.all, "the line before came 1000 times|other|");
    log_warn(&log, "net", "other"); /* another room is another line */
    CU_ASSERT_STRING_EQUAL(lines.last, "net: other");
}

void log_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/log", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(only_lines_of_the_level_are_written);
    ADD(no_byte_of_a_guest_can_forge_a_line);
    ADD(repeats_are_counted_and_not_written);
#undef ADD
}
