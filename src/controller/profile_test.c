/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of a sandbox with one sleeping process, in virtual time. */
#include "controller/internal.h"
#include "controller/testing.h"

static void read_out(struct bench *bench, struct buf *out)
{
    buf_clear(out);
    CU_ASSERT_EQUAL(sim_get_file(bench->host, "/out", out), 0);
}

static bool has_text(const struct buf *buf, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= buf->size; i++)
        if (memcmp(buf_bytes(buf) + i, text, size) == 0)
            return true;
    return false;
}

/* METHOD for a second; what it wrote. */
static void play(struct bench *bench, struct client *client, const char *method, const char *arg,
                 struct buf *out)
{
    int fd = sim_open(bench->host, "/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const char *answer = client_call_fds(client, method, arg, &fd, 1);
    sim_fd_close(bench->host, fd);
    if (!*answer) {
        for (u32 i = 0; i < 20; i++)
            bench_advance(bench, NS_PER_S / 10);
        answer = client_read(client);
    }
    EXPECT(answer, ANSWER_OK);
    read_out(bench, out);
}

static void test_each_profile_is_written(void)
{
    struct bench bench;
    struct client client, other;
    struct arena heap;
    heap_arena_init(&heap);
    AUTO_BUF struct buf out;
    buf_init(&out, &heap, 0);
    bench_init(&bench, BENCH_SPEC("\"sleep\"", ""));
    bench.controller->config.has_profile = true;
    client_open(&client, &bench);
    client_open(&other, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(client_call(&client, "Profile.CPU", "{\"duration\":5}"), ANSWER_OK); /* no descriptor */
    play(&bench, &client, "Profile.CPU", "{\"duration\":1000000000}", &out);
    CU_ASSERT(has_text(&out, "nanoseconds"));
    play(&bench, &client, "Profile.Heap", "{\"delay\":0}", &out);
    CU_ASSERT(has_text(&out, "inuse_space") && has_text(&out, "page cache") &&
              has_text(&out, "thread_group"));
    play(&bench, &client, "Profile.Block", "{\"duration\":1000000000,\"rate\":1}", &out);
    CU_ASSERT(has_text(&out, "sys_pause") && has_text(&out, "sleep"));
    play(&bench, &client, "Profile.Mutex", "{\"duration\":1000000000,\"fraction\":1}", &out);
    CU_ASSERT(has_text(&out, "contentions"));
    play(&bench, &client, "Profile.Trace", "{\"duration\":1000000000}", &out);
    CU_ASSERT(has_text(&out, "{\"traceEvents\":[{\"name\":\"") && has_text(&out, "sys_pause"));
    play(&bench, &client, "Profile.Goroutine", "null", &out);
    CU_ASSERT(has_text(&out, "system call 34"));
    int fd = sim_open(bench.host, "/out", O_WRONLY, 0);
    EXPECT(client_call_fds(&client, "Profile.CPU", "{\"duration\":1000000000}", &fd, 1), "");
    EXPECT_ERROR(client_call_fds(&other, "Profile.CPU", "{\"duration\":1}", &fd, 1),
                 "CPU profiling is already in use");
    sim_fd_close(bench.host, fd);
    client_close(&client); /* whose call ends with it */
    bench_run(&bench);
    CU_ASSERT_EQUAL(bench.kernel->profiles_running, 0);
    client_close(&other);
    bench_fini(&bench);
}

void profile_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/profile", NULL, NULL);
    CU_ADD_TEST(suite, test_each_profile_is_written);
}
