/* SPDX-License-Identifier: Apache-2.0 */
/* Control files through the receiver Cgroups, and the limit on tasks. */
#include "controller/testing.h"
#include "sentry/kernel/control_group.h"

#define READ "Cgroups.ReadControlFiles"
#define WRITE "Cgroups.WriteControlFiles"
#define FILE_ARG(controller, path, name) \
    "{\"file\":{\"controller\":\"" controller "\",\"path\":\"" path "\",\"name\":\"" name "\"}"

static void test_files_are_read_one_by_one(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, BENCH_SPEC("\"sleep\"", ""));
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(
        client_call(
            &client, READ,
            "{\"args\":[" FILE_ARG("pids", "/c1", "pids.max") "}," FILE_ARG("pids", "/", "pids.current") "}," FILE_ARG(
                "job", "/",
                "job.id") "}," FILE_ARG("x", "/",
                                        "y") "}"
                                             "," FILE_ARG("cpu", "c1", "cpu.shares") "}," FILE_ARG(
                                                 "cpu", "/zz",
                                                 "cpu.shares") "}," FILE_ARG("cpu", "/",
                                                                             "cpu.nothing") "}]}"),
        "{\"success\":true,\"err\":\"\",\"result\":{\"results\":[{\"value\":\"max\",\"is_error\":"
        "false},{\"value\":\"1\",\"is_error\":false},{\"value\":\"controller not active\",\"is_"
        "error\":true},{\"value\":\"no such cgroup controller\",\"is_error\":true},{\"value\":"
        "\"path must be absolute\",\"is_error\":true},{\"value\":\"no such file or directory\","
        "\"is_error\":true},{\"value\":\"no such file or directory\",\"is_error\":true}]}}");
    EXPECT(client_call(&client, READ, "{}"),
           "{\"success\":true,\"err\":\"\",\"result\":{\"results\":[]}}");
    client_close(&client);
    bench_fini(&bench);
}

static void test_what_is_written_is_read_and_the_limit_on_tasks_holds(void)
{
    static const struct {
        const char *value, *result;
    } cases[] = {
        {"1\\n", "{\"value\":\"\",\"is_error\":false}"},
        {"-3", "{\"value\":\"invalid argument\",\"is_error\":true}"},
        {"many", "{\"value\":\"invalid argument\",\"is_error\":true}"},
        {"99999999999999999999", "{\"value\":\"invalid argument\",\"is_error\":true}"},
    };
    struct bench bench;
    struct client client;
    char arg[256], want[256];
    bench_init(&bench, BENCH_SPEC("\"sleep\"", ""));
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    CU_ASSERT_TRUE(control_group_allows_task(bench.kernel, "c1"));
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        snprintf(arg, sizeof arg,
                 "{\"args\":[" FILE_ARG("pids", "/c1", "pids.max") ",\"value\":\"%s\"}]}",
                 cases[i].value);
        snprintf(want, sizeof want, "{\"success\":true,\"err\":\"\",\"result\":{\"results\":[%s]}}",
                 cases[i].result);
        EXPECT(client_call(&client, WRITE, arg), want);
    }
    EXPECT(client_call(&client, READ, "{\"args\":[" FILE_ARG("pids", "/c1", "pids.max") "}]}"),
           "{\"success\":true,\"err\":\"\",\"result\":{\"results\":[{\"value\":\"1\",\"is_error\":"
           "false}]}}");
    CU_ASSERT_FALSE(control_group_allows_task(bench.kernel, "c1"));
    CU_ASSERT_TRUE(control_group_allows_task(bench.kernel, "c2"));
    EXPECT(client_call(&client, WRITE,
                       "{\"args\":[" FILE_ARG("pids", "/c1", "pids.current") ",\"value\":\"1\"}]}"),
           "{\"success\":true,\"err\":\"\",\"result\":{\"results\":[{\"value\":\"permission "
           "denied\",\"is_error\":true}]}}");
    client_close(&client);
    bench_fini(&bench);
}

void cgroups_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/cgroups", NULL, NULL);
    CU_ADD_TEST(suite, test_files_are_read_one_by_one);
    CU_ADD_TEST(suite, test_what_is_written_is_read_and_the_limit_on_tasks_holds);
}
