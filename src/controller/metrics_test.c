/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, seen through the receiver Metrics. */
#include "controller/testing.h"

#define HELLO BENCH_SPEC("\"/bin/hello\"", "")

static void test_what_is_exported_is_registered_and_grows(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, HELLO);
    client_open(&client, &bench);
    const char *answer = client_call(&client, "Metrics.GetRegisteredMetrics", "{}");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(answer, "{\"name\":\"/fs/opens\",\"description\":\"Number of file opens.\","
                       "\"cumulative\":true,\"prometheus_name\":\"fs_opens\"}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"field_name\":\"weirdness_type\""));
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    bench.kernel->metrics.unimplemented[77] = 3;
    answer = client_call(&client, "Metrics.Export", "{}");
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"snapshot\":{\"when\":\"2023-11-14T22:13:20"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "{\"metric\":{\"name\":\"fs_opens\",\"type\":2,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"labels\":{\"sysno\":\"77\"},\"val\":{\"int\":3}"));
    client_close(&client);
    bench_fini(&bench);
}

static void test_a_regexp_chooses_and_a_broken_one_is_refused(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, HELLO);
    client_open(&client, &bench);
    bench.kernel->metrics.plain[METRIC_FS_READS] = 7;
    bench.kernel->metrics.plain[METRIC_FS_OPENS] = 8;
    const char *answer = client_call(&client, "Metrics.Export",
                                     "{\"only_metrics\":\"^fs_reads$\"}");
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "fs_reads"));
    CU_ASSERT_PTR_NULL(strstr(answer, "fs_opens"));
    EXPECT_ERROR(client_call(&client, "Metrics.Export", "{\"only_metrics\":\"(\"}"),
                 "cannot compile regexp \"(\": missing closing )");
    EXPECT(client_call(&client, "Usage.GetFileIoStats", "null"),
           "{\"success\":true,\"err\":\"\",\"result\":\"{\\\"ReadWait\\\":{\\\"/\\\":0},"
           "\\\"ReadWait9P\\\":{\\\"/\\\":0}}\"}");
    EXPECT_ERROR(client_call(&client, "Usage.UsageFD", "{\"Version\":2}"),
                 "unsupported version requested: 2");
    EXPECT(client_call(&client, "containerManager.GetSavings", "null"),
           "{\"success\":true,\"err\":\"\",\"result\":{\"CPUTimeSaved\":0,\"WallTimeSaved\":0}}");
    client_close(&client);
    bench_fini(&bench);
}

void metrics_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/metrics", NULL, NULL);
    CU_ADD_TEST(suite, test_what_is_exported_is_registered_and_grows);
    CU_ADD_TEST(suite, test_a_regexp_chooses_and_a_broken_one_is_refused);
}
