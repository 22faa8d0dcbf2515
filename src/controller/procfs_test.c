/* SPDX-License-Identifier: Apache-2.0 */
/* ProcfsDump of a sandbox with one sleeping process. */
#include "controller/testing.h"

static void test_the_dump_has_each_process(void)
{
    static const char *const parts[] = {
        "[{\"exe\":\"/bin/sleep\",\"args\":[\"sleep\"],\"env\":[",
        "\"cwd\":\"/\",\"fdlist\":[",
        "\"root\":\"/\",\"limits\":{\"RLIMIT_NOFILE\":{\"cur\":",
        "\"status\":{\"comm\":\"sleep\",\"pid\":1,\"ppid\":0,",
        "\"uid\":{\"real\":0,\"effective\":0,\"saved\":0},",
        "\"stat\":{\"pgid\":1,\"sid\":1},\"maps\":[{\"address\":{\"Start\":",
        "\"permissions\":{\"Read\":true,\"Write\":false,\"Execute\":true},\"private\":\"p\"",
        "\"pathname\":\"/bin/sleep\"",
    };
    struct bench bench;
    struct client client;
    bench_init(&bench, BENCH_SPEC("\"sleep\"", ""));
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.ProcfsDump", "null"),
           "{\"success\":true,\"err\":\"\",\"result\":[]}");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    const char *answer = client_call(&client, "containerManager.ProcfsDump", "null");
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if (!strstr(answer, parts[i]))
            fprintf(stderr, "no %s in %s\n", parts[i], answer);
        CU_ASSERT_PTR_NOT_NULL(strstr(answer, parts[i]));
    }
    client_close(&client);
    bench_fini(&bench);
}

void procfs_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/procfs", NULL, NULL);
    CU_ADD_TEST(suite, test_the_dump_has_each_process);
}
