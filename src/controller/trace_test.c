/* SPDX-License-Identifier: Apache-2.0 */
/* Trace sessions: what is refused, and what a remote sink gets. */
#include "base/protobuf.h"
#include "controller/testing.h"
#include "sentry/observe/points.h"

#define CREATE "containerManager.CreateTraceSession"
#define SLEEPER BENCH_SPEC("\"sleep\"", "")
#define HELLO BENCH_SPEC("\"/bin/hello\"", "")

static void test_what_is_wrong_is_refused_and_nothing_stays(void)
{
    static const struct {
        const char *arg, *error;
        u32 fd_count;
    } cases[] = {
        {"{\"Config\":{\"name\":\"x\"}}", "only a single \"Default\" session is supported", 0},
        {"{\"Config\":{\"name\":\"Default\",\"points\":[{\"name\":\"no/such\"}]}}",
         "point \"no/such\" not found", 0},
        {"{\"Config\":{\"name\":\"Default\",\"points\":[{\"name\":\"syscall/openat/enter\","
         "\"context_fields\":[\"color\"]}]}}",
         "configuring point \"syscall/openat/enter\": field \"color\" not found", 0},
        {"{\"Config\":{\"name\":\"Default\",\"points\":[{\"name\":\"syscall/open/exit\","
         "\"optional_fields\":[\"fd_path\"]}]}}",
         "configuring point \"syscall/open/exit\": field \"fd_path\" not found", 0},
        {"{\"Config\":{\"name\":\"Default\",\"points\":[{\"name\":\"sentry/exit_notify_parent\","
         "\"context_fields\":[\"cwd\"]}]}}",
         "configuring point \"sentry/exit_notify_parent\": field \"cwd\" not found", 0},
        {"{\"Config\":{\"name\":\"Default\",\"sinks\":[{\"name\":\"disk\"}]}}",
         "sink \"disk\" not found", 0},
        {"{\"Config\":{\"name\":\"Default\",\"sinks\":[{\"name\":\"remote\"}]}}",
         "sink \"remote\" needs a connected descriptor", 0},
        {"{\"Config\":{\"name\":\"Default\",\"sinks\":[{\"name\":\"remote\"}]}}",
         "sink \"remote\" needs a connected descriptor", 1},
        {"{\"Config\":{\"name\":\"Default\",\"sinks\":[{\"name\":\"remote\",\"config\":{"
         "\"backoff\":\"soon\"}}]}}",
         "sink \"remote\": invalid configuration", 1},
    };
    struct bench bench;
    struct client client;
    struct sim_leaks before, after;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    bench_run(&bench);
    sim_leaks(bench.host, &before);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        EXPECT_ERROR(
            client_call_fds(&client, CREATE, cases[i].arg, &bench.out_fd, cases[i].fd_count),
            cases[i].error);
    sim_leaks(bench.host, &after);
    CU_ASSERT_EQUAL(after.fds, before.fds);
    EXPECT(client_call(&client, "containerManager.ListTraceSessions", "null"),
           "{\"success\":true,\"err\":\"\",\"result\":null}");
    client_close(&client);
    bench_fini(&bench);
}

static void test_one_session_lives_at_a_time(void)
{
    static const char null_sink[] = "{\"Config\":{\"name\":\"Default\",\"ignore_missing\":true,"
                                    "\"points\":[{\"name\":\"what\"}],"
                                    "\"sinks\":[{\"name\":\"null\"}]}}";
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, CREATE, null_sink), ANSWER_OK);
    EXPECT_ERROR(client_call(&client, CREATE, null_sink), "session \"Default\" already exists");
    EXPECT(client_call(&client, "containerManager.ListTraceSessions", "null"),
           "{\"success\":true,\"err\":\"\",\"result\":[{\"name\":\"Default\",\"sinks\":[{\"name\":"
           "\"null\",\"status\":{\"DroppedCount\":0}}]}]}");
    EXPECT(client_call(&client, CREATE, "{\"Config\":{\"name\":\"Default\"},\"Force\":true}"),
           ANSWER_OK);
    EXPECT_ERROR(client_call(&client, "containerManager.DeleteTraceSession", "\"x\""),
                 "session \"x\" not found");
    EXPECT(client_call(&client, "containerManager.DeleteTraceSession", "\"Default\""), ANSWER_OK);
    EXPECT_ERROR(client_call(&client, "containerManager.DeleteTraceSession", "\"Default\""),
                 "session \"Default\" not found");
    client_close(&client);
    bench_fini(&bench);
}

/* Field NUMBER of the message in SIZE bytes at BYTES. */
static bool find_field(const u8 *bytes, size_t size, u32 number, struct protobuf_field *out)
{
    while (protobuf_next(&bytes, &size, out) == 1)
        if (out->number == number)
            return true;
    return false;
}

static void test_a_remote_sink_gets_what_happens(void)
{
    static const char arg[] =
        "{\"Config\":{\"name\":\"Default\",\"points\":[{\"name\":\"container/start\",\"context_"
        "fields\":[\"container_id\"]},{\"name\":\"sentry/execve\"},{\"name\":\"syscall/write/"
        "exit\","
        "\"context_fields\":[\"thread_id\",\"process_name\"],\"optional_fields\":[\"fd_path\"]},{"
        "\"name\":\"sentry/task_exit\"},{\"name\":\"syscall/sysno/1/enter\"}],\"sinks\":[{\"name\":"
        "\"remote\"}]}}";
    static const u16 types[] = {1, 6, 34, 5};
    struct bench bench;
    struct client client;
    struct protobuf_field field, inner;
    int fds[2];
    bench_init(&bench, HELLO);
    client_open(&client, &bench);
    CU_ASSERT_EQUAL_FATAL(sim_pair(bench.host, SOCK_SEQPACKET, fds), 0);
    EXPECT(client_call_fds(&client, CREATE, arg, &fds[0], 1), ANSWER_OK);
    sim_fd_close(bench.host, fds[0]);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    struct host_stream *stream = host_stream_from_fd(bench.host, fds[1]);
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        u8 packet[1024];
        struct point_header header;
        i64 got = host_stream_read(stream, packet, sizeof packet, NULL, NULL);
        CU_ASSERT_FATAL(got >= (i64)sizeof header);
        memcpy(&header, packet, sizeof header);
        const u8 *at = packet + sizeof header;
        size_t size = (size_t)got - sizeof header;
        CU_ASSERT_EQUAL(header.size, 8);
        CU_ASSERT_EQUAL(header.type, types[i]);
        CU_ASSERT_EQUAL(header.dropped, 0);
        if (types[i] == 1) {
            CU_ASSERT_FATAL(find_field(at, size, 1, &field));
            CU_ASSERT(find_field(field.bytes, field.size, 6, &inner) && inner.size == 2);
            CU_ASSERT(find_field(at, size, 4, &field) && field.size == strlen("/bin/hello"));
        }
        if (types[i] == 34) {
            CU_ASSERT(find_field(at, size, 2, &field) &&
                      find_field(field.bytes, field.size, 1, &inner) && inner.value == 6);
            CU_ASSERT(find_field(at, size, 4, &field) && field.value == 1);
            CU_ASSERT(find_field(at, size, 5, &field) && memcmp(field.bytes, "host:[", 6) == 0);
            CU_ASSERT(find_field(at, size, 6, &field) && field.value == 6);
        }
        if (types[i] == 5)
            CU_ASSERT(find_field(at, size, 2, &field) && field.value == 7 << 8);
    }
    host_stream_put(stream);
    client_close(&client);
    bench_fini(&bench);
}

static void test_every_point_has_a_name_that_finds_it(void)
{
    char name[POINT_NAME_MAX];
    u32 optional, context, count = 0;
    for (u32 i = 0; i < POINT_COUNT; i++)
        if (point_describe(i, name, &optional, &context)) {
            CU_ASSERT_EQUAL(point_find(name), (i32)i);
            count++;
        }
    CU_ASSERT(count > POINT_SYSNO_COUNT * 2 + 90);
    CU_ASSERT_EQUAL(point_find("syscall/sysno/442/enter"), -1);
}

void trace_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/trace", NULL, NULL);
    CU_ADD_TEST(suite, test_what_is_wrong_is_refused_and_nothing_stays);
    CU_ADD_TEST(suite, test_one_session_lives_at_a_time);
    CU_ADD_TEST(suite, test_a_remote_sink_gets_what_happens);
    CU_ADD_TEST(suite, test_every_point_has_a_name_that_finds_it);
}
