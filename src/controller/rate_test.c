/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the control socket on the simulated host, printed and never judged: small calls on one
 * connection, the quickest of several batches. PICKET_BENCH=1 makes them long enough to quote. */
#include <time.h>

#include "controller/testing.h"

#define BATCHES 20u

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_small_calls_on_one_connection(void)
{
    static const char arg[] = "{\"CID\":\"c1\",\"Signo\":0,\"PID\":0,\"Mode\":0}";
    u32 calls = getenv("PICKET_BENCH") ? 2000 : 50;
    double best = 0;
    struct bench bench;
    struct client client;
    bench_init(&bench, BENCH_SPEC("\"sleep\"", ""));
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    for (u32 batch = 0; batch < BATCHES; batch++) {
        double start = now_s();
        for (u32 i = 0; i < calls; i++)
            EXPECT(client_call(&client, "containerManager.Signal", arg), ANSWER_OK);
        best = MAX(best, calls / (now_s() - start));
    }
    printf("sim host: %.0f small calls a second on one connection ", best);
    client_close(&client);
    bench_fini(&bench);
}

void rate_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/rate", NULL, NULL);
    CU_ADD_TEST(suite, test_small_calls_on_one_connection);
}
