/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that mean harm or do not care: they are cut off or told off, others are served, nothing
 * stays open. */
#include "controller/testing.h"

#define SLEEPER BENCH_SPEC("\"sleep\"", "")
#define STATE "containerManager.ContainerRuntimeState"
#define CREATING "{\"success\":true,\"err\":\"\",\"result\":1}"

struct scene {
    struct bench bench;
    struct client good; /* served all the time */
    struct sim_leaks before;
};

static void scene_init(struct scene *scene)
{
    bench_init(&scene->bench, SLEEPER);
    client_open(&scene->good, &scene->bench);
    bench_run(&scene->bench);
    sim_leaks(scene->bench.host, &scene->before);
}

static void expect_served(struct scene *scene)
{
    EXPECT(client_call(&scene->good, STATE, "\"c1\""), CREATING);
}

static void scene_fini(struct scene *scene)
{
    struct sim_leaks after;
    expect_served(scene);
    CU_ASSERT_EQUAL(controller_connection_count(scene->bench.controller), 1);
    sim_leaks(scene->bench.host, &after);
    CU_ASSERT_EQUAL(after.fds, scene->before.fds);
    client_close(&scene->good);
    bench_fini(&scene->bench);
}

/* SIZE bytes as they come: what the socket does not take now is sent when the sandbox has read. */
static void send_much(struct client *client, const char *bytes, size_t size)
{
    while (size > 0 && !client->is_over) {
        i64 sent = host_stream_write(client->stream, bytes, size, NULL, 0);
        bench_run(client->bench);
        client_read(client);
        if (sent < 0 && sent != -EAGAIN)
            return;
        bytes += MAX(sent, (i64)0);
        size -= (size_t)MAX(sent, (i64)0);
    }
}

static void expect_cut_off(struct scene *scene, const char *bytes, size_t size)
{
    struct client client;
    client_open(&client, &scene->bench);
    send_much(&client, bytes, size);
    client_read(&client);
    CU_ASSERT(client.is_over);
    client_close(&client);
    bench_run(&scene->bench);
    expect_served(scene);
}

static void test_absurd_nesting_and_length_end_the_connection(void)
{
    static const char head[] = "{\"method\":\"" STATE "\",\"arg\":";
    size_t size = ((size_t)5 << 20);
    char *text = malloc(size);
    struct scene scene;
    scene_init(&scene);
    memset(text, '[', size);
    memcpy(text, head, sizeof head - 1);
    expect_cut_off(&scene, text, 100000);
    memset(text, 'x', size);
    memcpy(text, head, sizeof head - 1);
    text[sizeof head - 1] = '"';
    expect_cut_off(&scene, text, size);
    memset(text, ' ', size); /* inside a call: it counts */
    memcpy(text, head, sizeof head - 1);
    expect_cut_off(&scene, text, size);
    static const char *const broken[] = {"]",
                                         "{\"method\":1}",
                                         "{\"method\":\"a\",}",
                                         "nul0",
                                         "{\"method\":\"\x01\"}",
                                         "\x80\x80",
                                         "[1,2]",
                                         "7 "};
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++)
        expect_cut_off(&scene, broken[i], strlen(broken[i]));
    free(text);
    scene_fini(&scene);
}

static void test_of_duplicate_members_the_last_counts(void)
{
    static const char text[] = "{\"method\":\"no\",\"arg\":7,\"METHOD\":\"" STATE
                               "\",\"arg\":\"x\",\"arg\":\"c1\"}";
    struct scene scene;
    struct client client;
    scene_init(&scene);
    client_open(&client, &scene.bench);
    client_send(&client, text, sizeof text - 1, NULL, 0);
    bench_run(&scene.bench);
    EXPECT(client_read(&client), CREATING);
    client_close(&client);
    bench_run(&scene.bench);
    scene_fini(&scene);
}

static void test_broken_utf_8_is_replaced(void)
{
    struct scene scene;
    scene_init(&scene);
    EXPECT_ERROR(client_call(&scene.good, "containerManager.Wait", "\"a\xff\xc3(\xed\xa0\x80\""),
                 "container \"a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\" not "
                 "found");
    EXPECT_ERROR(client_call(&scene.good, "containerManager.Wait", "\"\\ud800\""),
                 "container \"\xef\xbf\xbd\" not found");
    scene_fini(&scene);
}

static void test_128_descriptors_come_and_129_end_the_connection(void)
{
    static const char text[] = "{\"method\":\"" STATE "\",\"arg\":\"c1\"}";
    struct scene scene;
    struct client client;
    int fds[129];
    scene_init(&scene);
    for (u32 i = 0; i < ARRAY_COUNT(fds); i++)
        fds[i] = scene.bench.out_fd;
    client_open(&client, &scene.bench);
    client_send(&client, text, sizeof text - 1, fds, 128);
    bench_run(&scene.bench);
    EXPECT(client_read(&client), CREATING);
    /* One message cannot carry more; two of one call can. */
    client_send(&client, text, 1, fds, 128);
    bench_run(&scene.bench);
    client_send(&client, text + 1, sizeof text - 2, fds, 1);
    bench_run(&scene.bench);
    client_read(&client);
    CU_ASSERT(client.is_over);
    client_close(&client);
    bench_run(&scene.bench);
    scene_fini(&scene);
}

static void test_a_byte_a_second_delays_nobody(void)
{
    static const char text[] = "{\"method\":\"" STATE "\",\"arg\":\"c1\"}";
    struct scene scene;
    struct client slow;
    scene_init(&scene);
    client_open(&slow, &scene.bench);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        EXPECT(client_read(&slow), "");
        client_send(&slow, text + i, 1, NULL, 0);
        bench_advance(&scene.bench, NS_PER_S);
        expect_served(&scene);
    }
    EXPECT(client_read(&slow), CREATING);
    client_close(&slow);
    bench_run(&scene.bench);
    scene_fini(&scene);
}

#define CROWD 1000u
static void test_a_thousand_clients_are_served_at_once(void)
{
    struct scene scene;
    struct client *crowd = calloc(CROWD, sizeof *crowd);
    static const char text[] = "{\"method\":\"" STATE "\",\"arg\":\"c1\"}";
    scene_init(&scene);
    for (u32 i = 0; i < CROWD; i++) {
        client_open(&crowd[i], &scene.bench);
        client_send(&crowd[i], text, i % 3 ? sizeof text - 1 : 9, NULL, 0);
        if (i % 50 == 0)
            bench_run(&scene.bench);
    }
    bench_run(&scene.bench);
    expect_served(&scene);
    CU_ASSERT_EQUAL(controller_connection_count(scene.bench.controller), CROWD + 1);
    for (u32 i = 0; i < CROWD; i++) {
        client_read(&crowd[i]);
        EXPECT(crowd[i].answer, i % 3 ? CREATING : "");
        client_close(&crowd[i]);
    }
    bench_run(&scene.bench);
    free(crowd);
    scene_fini(&scene);
}

static void test_a_client_that_never_reads_holds_up_itself_alone(void)
{
    static const char text[] = "{\"method\":\"Metrics.GetRegisteredMetrics\",\"arg\":null}";
    struct scene scene;
    struct client deaf;
    scene_init(&scene);
    client_open(&deaf, &scene.bench);
    u32 sent = 0;
    while (sent < 10000 &&
           host_stream_write(deaf.stream, text, sizeof text - 1, NULL, 0) == (i64)sizeof text - 1) {
        sent++;
        bench_run(&scene.bench);
    }
    CU_ASSERT(sent < 10000); /* it is not read for ever */
    expect_served(&scene);
    client_close(&deaf);
    bench_run(&scene.bench);
    scene_fini(&scene);
}

void hostile_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/hostile", NULL, NULL);
    CU_ADD_TEST(suite, test_absurd_nesting_and_length_end_the_connection);
    CU_ADD_TEST(suite, test_of_duplicate_members_the_last_counts);
    CU_ADD_TEST(suite, test_broken_utf_8_is_replaced);
    CU_ADD_TEST(suite, test_128_descriptors_come_and_129_end_the_connection);
    CU_ADD_TEST(suite, test_a_byte_a_second_delays_nobody);
    CU_ADD_TEST(suite, test_a_thousand_clients_are_served_at_once);
    CU_ADD_TEST(suite, test_a_client_that_never_reads_holds_up_itself_alone);
}
