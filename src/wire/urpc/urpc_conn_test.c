/* SPDX-License-Identifier: Apache-2.0 */
/* The server's state machine, and the client over a real socket pair with this test as the sandbox.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena_plain.h"
#include "host/ops.h"
#include "wire/urpc/client.h"
#include "wire/urpc/codec.h"
#include "wire/urpc/server.h"

/* A host that only counts closed descriptors. */
struct counting_host {
    struct host host;
    u32 closed;
};

static void count_closed(struct host *host, const int *fds, u32 count)
{
    ((struct counting_host *)host)->closed += count;
}

static const struct host_ops counting_ops = {.close_fds = count_closed};

struct bench {
    struct counting_host host;
    struct arena *arena;
    struct urpc_conn conn;
};

static void bench_init(struct bench *bench)
{
    bench->host = (struct counting_host){.host = {.ops = &counting_ops}};
    bench->arena = arena_plain_create();
    urpc_conn_init(&bench->conn, &bench->host.host, bench->arena);
}

static void bench_fini(struct bench *bench)
{
    urpc_conn_fini(&bench->conn);
    arena_plain_destroy(bench->arena);
}

static void feed(struct bench *bench, const char *text)
{
    urpc_conn_feed(&bench->conn, text, strlen(text), NULL, 0);
}

/* Write the whole answer out; compares it with TEXT. */
static void expect_output(struct bench *bench, const char *text)
{
    const u8 *bytes;
    const int *fds;
    u32 fd_count;
    size_t size = urpc_conn_output(&bench->conn, &bytes, &fds, &fd_count);
    CU_ASSERT_EQUAL(size, strlen(text));
    CU_ASSERT(size == strlen(text) && memcmp(bytes, text, size) == 0);
    urpc_conn_written(&bench->conn, size);
    CU_ASSERT(urpc_conn_is_idle(&bench->conn));
}

#define OK_EMPTY "{\"success\":true,\"err\":\"\",\"result\":{}}"

static void test_a_call_comes_out_and_its_answer_goes_back(void)
{
    struct bench bench;
    struct urpc_call *call;
    bench_init(&bench);
    CU_ASSERT_EQUAL(urpc_conn_next(&bench.conn, &call), URPC_MORE);
    feed(&bench, "{\"method\":\"a.B\",\"arg\":{\"x\":1}}");
    CU_ASSERT_EQUAL_FATAL(urpc_conn_next(&bench.conn, &call), URPC_CALL);
    CU_ASSERT_STRING_EQUAL(call->method, "a.B");
    CU_ASSERT_EQUAL(json_count(call->arg), 1);
    CU_ASSERT_EQUAL(urpc_conn_answer(&bench.conn, (struct json_text){0}, NULL, 0, NULL), 0);
    expect_output(&bench, OK_EMPTY);
    feed(&bench, "{\"METHOD\":\"c\"}");
    CU_ASSERT_EQUAL_FATAL(urpc_conn_next(&bench.conn, &call), URPC_CALL);
    CU_ASSERT_EQUAL(json_type(call->arg), JSON_ABSENT);
    CU_ASSERT_EQUAL(
        urpc_conn_answer(&bench.conn, (struct json_text){"1", 1}, NULL, 0, "no <such> thing"), 0);
    expect_output(&bench,
                  "{\"success\":false,\"err\":\"no \\u003csuch\\u003e thing\",\"result\":null}");
    urpc_conn_feed(&bench.conn, NULL, 0, NULL, 0);
    CU_ASSERT_EQUAL(urpc_conn_next(&bench.conn, &call), URPC_END);
    CU_ASSERT_STRING_EQUAL(bench.conn.end_reason, "end");
    bench_fini(&bench);
}

static void test_fragments_of_any_size_give_the_same_calls(void)
{
    static const char stream[] =
        " {\"method\":\"m\",\"arg\":\"}\\\"{\"} {\"arg\":[1],\"method\":\"n\"}";
    for (size_t piece = 1; piece <= sizeof stream; piece++) {
        struct bench bench;
        struct urpc_call *call;
        char seen[8] = "";
        bench_init(&bench);
        for (size_t at = 0; at < sizeof stream - 1; at += piece) {
            urpc_conn_feed(&bench.conn, stream + at, MIN(piece, sizeof stream - 1 - at), NULL, 0);
            while (urpc_conn_next(&bench.conn, &call) == URPC_CALL) {
                strcat(seen, call->method);
                CU_ASSERT_EQUAL(urpc_conn_answer(&bench.conn, (struct json_text){0}, NULL, 0, NULL),
                                0);
                urpc_conn_written(&bench.conn, bench.conn.out.size);
            }
        }
        CU_ASSERT_STRING_EQUAL(seen, "mn");
        CU_ASSERT(urpc_conn_is_idle(&bench.conn));
        bench_fini(&bench);
    }
}

static void test_what_is_no_call_ends_the_connection_without_an_answer(void)
{
    static const char *const texts[] = {
        "x", "{]", "{\"method\":1}", "[1]", "{\"method\":\"m\",}", "\"s\"", "7 "};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct bench bench;
        struct urpc_call *call;
        const u8 *bytes;
        const int *fds;
        u32 fd_count;
        bench_init(&bench);
        feed(&bench, texts[i]);
        CU_ASSERT_EQUAL(urpc_conn_next(&bench.conn, &call), URPC_END);
        CU_ASSERT_EQUAL(urpc_conn_output(&bench.conn, &bytes, &fds, &fd_count), 0);
        bench_fini(&bench);
    }
}

static void test_a_dead_client_at_any_byte_leaks_no_descriptor(void)
{
    static const char text[] = "{\"method\":\"m\",\"arg\":null}";
    for (size_t size = 0; size < sizeof text - 1; size++) {
        struct bench bench;
        struct urpc_call *call;
        bench_init(&bench);
        urpc_conn_feed(&bench.conn, text, size ? size : 1, (int[]){7, 8}, 2);
        CU_ASSERT_EQUAL(urpc_conn_next(&bench.conn, &call), URPC_MORE);
        urpc_conn_feed(&bench.conn, NULL, 0, NULL, 0);
        CU_ASSERT_EQUAL(urpc_conn_next(&bench.conn, &call), URPC_END);
        bench_fini(&bench);
        CU_ASSERT_EQUAL(bench.host.closed, 2);
    }
}

static void test_descriptors_are_taken_or_closed(void)
{
    struct bench bench;
    struct urpc_call *call;
    const u8 *bytes;
    const int *fds;
    u32 fd_count;
    bench_init(&bench);
    urpc_conn_feed(&bench.conn, "{\"method\":", 10, (int[]){5, 6}, 2);
    urpc_conn_feed(&bench.conn, "\"m\"}", 4, (int[]){7}, 1);
    CU_ASSERT_EQUAL_FATAL(urpc_conn_next(&bench.conn, &call), URPC_CALL);
    CU_ASSERT_EQUAL(call->fd_count, 3);
    CU_ASSERT_EQUAL(urpc_call_take_fd(call, 1), 6);
    CU_ASSERT_EQUAL(urpc_call_take_fd(call, 1), -1);
    CU_ASSERT_EQUAL(urpc_call_take_fd(call, 3), -1);
    CU_ASSERT_EQUAL(urpc_conn_answer(&bench.conn, (struct json_text){0}, (int[]){11, 12}, 2, NULL),
                    0);
    CU_ASSERT_EQUAL(bench.host.closed, 2);
    CU_ASSERT_EQUAL(urpc_conn_output(&bench.conn, &bytes, &fds, &fd_count), strlen(OK_EMPTY));
    CU_ASSERT(fd_count == 2 && fds[1] == 12);
    urpc_conn_written(&bench.conn, 1);
    CU_ASSERT_EQUAL(bench.host.closed, 4);
    CU_ASSERT_EQUAL(urpc_conn_output(&bench.conn, &bytes, &fds, &fd_count), strlen(OK_EMPTY) - 1);
    CU_ASSERT_EQUAL(fd_count, 0);
    bench_fini(&bench);
    CU_ASSERT_EQUAL(bench.host.closed, 4);
}

static void test_a_failed_call_sends_no_descriptors(void)
{
    struct bench bench;
    struct urpc_call *call;
    bench_init(&bench);
    feed(&bench, "{\"method\":\"m\"}");
    CU_ASSERT_EQUAL_FATAL(urpc_conn_next(&bench.conn, &call), URPC_CALL);
    CU_ASSERT_EQUAL(urpc_conn_answer(&bench.conn, (struct json_text){0}, (int[]){11}, 1, "refused"),
                    0);
    CU_ASSERT_EQUAL(bench.host.closed, 1);
    expect_output(&bench, "{\"success\":false,\"err\":\"refused\",\"result\":null}");
    bench_fini(&bench);
}

static void test_more_than_128_descriptors_end_the_connection(void)
{
    struct bench bench;
    struct urpc_call *call;
    int fds[HOST_FDS_MAX];
    for (int i = 0; i < HOST_FDS_MAX; i++)
        fds[i] = 100 + i;
    bench_init(&bench);
    urpc_conn_feed(&bench.conn, "{", 1, fds, HOST_FDS_MAX);
    CU_ASSERT_EQUAL(urpc_conn_next(&bench.conn, &call), URPC_MORE);
    urpc_conn_feed(&bench.conn, "\"", 1, fds, 1);
    CU_ASSERT_EQUAL(urpc_conn_next(&bench.conn, &call), URPC_END);
    CU_ASSERT_EQUAL(bench.host.closed, HOST_FDS_MAX + 1);
    bench_fini(&bench);
}

static void test_a_call_too_large_ends_the_connection(void)
{
    static char piece[64 << 10];
    struct bench bench;
    struct urpc_call *call;
    memset(piece, 'a', sizeof piece);
    bench_init(&bench);
    feed(&bench, "{\"method\":\"");
    enum urpc_next next = URPC_MORE;
    size_t fed = 0;
    for (; next == URPC_MORE && fed < 2 * JSON_SIZE_MAX; fed += sizeof piece) {
        urpc_conn_feed(&bench.conn, piece, sizeof piece, NULL, 0);
        next = urpc_conn_next(&bench.conn, &call);
    }
    CU_ASSERT_EQUAL(next, URPC_END);
    CU_ASSERT(fed <= JSON_SIZE_MAX + sizeof piece);
    bench_fini(&bench);
}

static void test_refused_memory_ends_the_connection_cleanly(void)
{
    for (u64 nth = 1; nth < 12; nth++) {
        struct bench bench;
        struct urpc_call *call;
        bench_init(&bench);
        arena_plain_fail(bench.arena, nth, true);
        urpc_conn_feed(&bench.conn, "{\"method\":\"m\",\"arg\":[]}", 23, (int[]){3}, 1);
        if (urpc_conn_next(&bench.conn, &call) == URPC_CALL) {
            int err = urpc_conn_answer(&bench.conn, (struct json_text){0}, (int[]){4}, 1, NULL);
            CU_ASSERT_EQUAL(bench.conn.is_ended, err == -ENOMEM);
        } else {
            CU_ASSERT_EQUAL(bench.conn.is_ended, true);
        }
        bench_fini(&bench);
        CU_ASSERT(bench.host.closed >= 1);
    }
}

/* Captured from Debian's runsc: read, then written again by this codec. */
static const struct {
    const char *call, *result;
} captured[] = {
    {"{\"method\":\"containerManager.Event\",\"arg\":null}",
     "{\"event\":{\"type\":\"stats\",\"id\":\"\",\"data\":{\"cpu\":{\"usage\":{}},\"memory\":{"
     "\"usage\":{\"limit\":0,\"usage\":2027520,"
     "\"failcnt\":0},\"swap\":{\"limit\":0,\"failcnt\":0},\"kernel\":{\"limit\":0,\"failcnt\":0},"
     "\"kernelTCP\":{\"limit\":0,\"failcnt\":0}},"
     "\"pids\":{\"current\":1}}},\"containerUsage\":{\"w1\":0}}"},
    {"{\"method\":\"Lifecycle.Pause\",\"arg\":null}", "{}"},
    {"{\"method\":\"Lifecycle.Resume\",\"arg\":null}", "{}"},
    {"{\"method\":\"containerManager.ExecuteAsync\",\"arg\":{\"filename\":\"\",\"argv\":[\"/bin/"
     "echo\",\"hello-exec\"],\"envv\":"
     "[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
     "bin\",\"TERM=xterm\"],\"MountNamespace\":null,\"wd\":\"/\","
     "\"KUID\":0,\"KGID\":0,\"ExtraKGIDs\":[],\"Capabilities\":{\"PermittedCaps\":536871968,"
     "\"InheritableCaps\":536871968,"
     "\"EffectiveCaps\":536871968,\"BoundingCaps\":536871968,\"AmbientCaps\":0},\"StdioIsPty\":"
     "false,\"ContainerID\":\"w1\","
     "\"PIDNamespace\":null,\"Limits\":null}}",
     "2"},
    {"{\"method\":\"containerManager.WaitPID\",\"arg\":{\"PID\":2,\"CID\":\"w1\"}}", "0"},
    {"{\"method\":\"debug.Stacks\",\"arg\":null}", "\"...text, one block per thread...\""},
    {"{\"method\":\"containerManager.ListTraceSessions\",\"arg\":null}", "null"},
    {"{\"method\":\"Usage.Collect\",\"arg\":{\"Full\":false}}",
     "{\"Unknown\":442368,\"System\":0,\"Anonymous\":0,\"PageCache\":0,\"Mapped\":1585152,"
     "\"Tmpfs\":0,\"Ramdiskfs\":0,\"Total\":2027520}"},
    {"{\"method\":\"containerManager.Checkpoint\",\"arg\":{\"key\":null,\"metadata\":null}}", "{}"},
    {"{\"method\":\"containerManager.Signal\",\"arg\":{\"CID\":\"w1\",\"Signo\":0,\"PID\":0,"
     "\"Mode\":0}}",
     "{}"},
};

static void test_captured_traffic_is_framed_byte_for_byte(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(captured); i++) {
        struct bench bench;
        struct urpc_call *call;
        char answer[1024];
        bench_init(&bench);
        feed(&bench, captured[i].call);
        CU_ASSERT_EQUAL_FATAL(urpc_conn_next(&bench.conn, &call), URPC_CALL);
        struct json_text result = {captured[i].result, strlen(captured[i].result)};
        CU_ASSERT_EQUAL(urpc_conn_answer(&bench.conn, result, NULL, 0, NULL), 0);
        snprintf(answer, sizeof answer, "{\"success\":true,\"err\":\"\",\"result\":%s}",
                 captured[i].result);
        expect_output(&bench, answer);
        bench_fini(&bench);
    }
}

/* ---- the client ----------------------------------------------------------------------------- */

/* What the far end does: reads one call, compares it, writes ANSWER in pieces of PIECE bytes with a
 * descriptor. */
struct peer {
    int fd;
    const char *expect;
    const char *answer;
    size_t piece;
    bool sends_fd;
    u32 fds_seen;
    bool has_matched;
};

static void peer_send(struct peer *peer, const char *bytes, size_t size, bool with_fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    int fd = 1;
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    struct iovec iov = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with_fd) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
    }
    CU_ASSERT_EQUAL(sendmsg(peer->fd, &message, MSG_NOSIGNAL), (ssize_t)size);
}

static void *peer_main(void *arg)
{
    struct peer *peer = arg;
    char call[4096];
    size_t size = 0, want = strlen(peer->expect);
    while (size < want) {
        union {
            struct cmsghdr head;
            char bytes[CMSG_SPACE(sizeof(int) * 4)];
        } control;
        struct iovec iov = {call + size, sizeof call - size};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        ssize_t got = recvmsg(peer->fd, &message, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        for (size_t at = CMSG_LEN(0); head && at < head->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, (char *)head + at, sizeof fd);
            close(fd);
            peer->fds_seen++;
        }
    }
    peer->has_matched = size == want && memcmp(call, peer->expect, want) == 0;
    size_t length = strlen(peer->answer);
    for (size_t at = 0; at < length; at += peer->piece)
        peer_send(peer, peer->answer + at, MIN(peer->piece, length - at),
                  peer->sends_fd && at == 0);
    close(peer->fd);
    return NULL;
}

static int call_peer(struct peer *peer, const char *method, const char *arg, u32 fd_count,
                     struct urpc_answer *answer, struct error *err)
{
    int fds[2];
    pthread_t thread;
    struct urpc_client *client;
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    peer->fd = fds[1];
    CU_ASSERT_EQUAL_FATAL(urpc_client_from_fd(fds[0], &client, err), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, peer_main, peer), 0);
    urpc_client_set_timeout(client, 10 * NS_PER_S);
    int result = urpc_call(client, method, arg, (int[]){0, 1}, fd_count, answer, err);
    pthread_join(thread, NULL);
    urpc_client_close(client);
    return result;
}

static void test_a_client_sends_the_captured_bytes_and_reads_any_pieces(void)
{
    static const char answer_text[] = "{\"success\":true,\"err\":\"\",\"result\":2}";
    for (size_t piece = 1; piece < sizeof answer_text; piece += 5) {
        struct peer peer = {
            .expect = captured[4].call, .answer = answer_text, .piece = piece, .sends_fd = true};
        struct urpc_answer answer = {0};
        struct error err;
        i64 value = 0;
        CU_ASSERT_EQUAL(call_peer(&peer, "containerManager.WaitPID", "{\"PID\": 2, \"CID\":\"w1\"}",
                                  2, &answer, &err),
                        0);
        CU_ASSERT(peer.has_matched);
        CU_ASSERT_EQUAL(peer.fds_seen, 2);
        CU_ASSERT_EQUAL(urpc_answer_i64(&answer, &value, &err), 0);
        CU_ASSERT_EQUAL(value, 2);
        CU_ASSERT_EQUAL(answer.fd_count, 1);
        urpc_answer_fini(&answer);
    }
}

static void test_a_client_tells_refusals_from_broken_transport(void)
{
    static const struct {
        const char *answer, *text;
        int code;
    } cases[] = {
        {"{\"success\":false,\"err\":\"container \\\"x\\\" not found\",\"result\":null}",
         "container \"x\" not found", EREMOTEIO},
        {"{\"success\":tr", "urpc: cannot receive an answer: connection reset by peer", ECONNRESET},
        {"{\"success\"}", "urpc: the sandbox's answer is not JSON", EPROTO},
        {"[]",
         "urpc: the sandbox's answer: json: cannot unmarshal array into Go value of type "
         "urpc.callResult",
         EINVAL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct peer peer = {.expect = captured[1].call, .answer = cases[i].answer, .piece = 4096};
        struct urpc_answer answer = {0};
        struct error err;
        CU_ASSERT_EQUAL(call_peer(&peer, "Lifecycle.Pause", NULL, 0, &answer, &err), -1);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].text);
        CU_ASSERT_EQUAL(err.code, cases[i].code);
        urpc_answer_fini(&answer);
    }
}

static void test_a_client_gives_up_after_its_timeout(void)
{
    int fds[2];
    struct urpc_client *client;
    struct urpc_answer answer = {0};
    struct error err;
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CU_ASSERT_EQUAL_FATAL(urpc_client_from_fd(fds[0], &client, &err), 0);
    urpc_client_set_timeout(client, 10 * NS_PER_MS);
    CU_ASSERT_EQUAL(urpc_call(client, "m", NULL, NULL, 0, &answer, &err), -1);
    CU_ASSERT_EQUAL(err.code, ETIMEDOUT);
    CU_ASSERT_EQUAL(urpc_call(client, "m", NULL, NULL, 0, &answer, &err), -1);
    CU_ASSERT_EQUAL(err.code, EPIPE);
    urpc_client_close(client);
    close(fds[1]);
}

/* A directory so deep that the socket's path does not fit an address. */
static void test_a_client_connects_by_abstract_name_and_by_a_long_path(void)
{
    char dir[] = "/tmp/urpc-test-XXXXXX", path[512];
    struct urpc_client *client;
    struct error err;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s/s", dir);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 2), 0);
    size_t size = (size_t)snprintf(path, sizeof path, "%s", dir);
    while (size < 200)
        size += (size_t)snprintf(path + size, sizeof path - size, "/.");
    snprintf(path + size, sizeof path - size, "/s");
    CU_ASSERT_EQUAL(urpc_client_connect(path, &client, &err), 0);
    urpc_client_close(client);
    close(listener);
    CU_ASSERT_EQUAL(urpc_client_connect(name.sun_path, &client, &err), -1);
    CU_ASSERT_EQUAL(err.code, ECONNREFUSED);
    unlink(name.sun_path);
    rmdir(dir);
    CU_ASSERT_EQUAL(urpc_client_connect("@picket-no-such-name", &client, &err), -1);
    CU_ASSERT_STRING_EQUAL(
        err.text, "connecting to control server at @picket-no-such-name: connection refused");
}

void urpc_conn_suite(void)
{
    CU_pSuite suite = CU_add_suite("wire/urpc/conn", NULL, NULL);
    CU_ADD_TEST(suite, test_a_call_comes_out_and_its_answer_goes_back);
    CU_ADD_TEST(suite, test_fragments_of_any_size_give_the_same_calls);
    CU_ADD_TEST(suite, test_what_is_no_call_ends_the_connection_without_an_answer);
    CU_ADD_TEST(suite, test_a_dead_client_at_any_byte_leaks_no_descriptor);
    CU_ADD_TEST(suite, test_descriptors_are_taken_or_closed);
    CU_ADD_TEST(suite, test_a_failed_call_sends_no_descriptors);
    CU_ADD_TEST(suite, test_more_than_128_descriptors_end_the_connection);
    CU_ADD_TEST(suite, test_a_call_too_large_ends_the_connection);
    CU_ADD_TEST(suite, test_refused_memory_ends_the_connection_cleanly);
    CU_ADD_TEST(suite, test_captured_traffic_is_framed_byte_for_byte);
    CU_ADD_TEST(suite, test_a_client_sends_the_captured_bytes_and_reads_any_pieces);
    CU_ADD_TEST(suite, test_a_client_tells_refusals_from_broken_transport);
    CU_ADD_TEST(suite, test_a_client_gives_up_after_its_timeout);
    CU_ADD_TEST(suite, test_a_client_connects_by_abstract_name_and_by_a_long_path);
}
