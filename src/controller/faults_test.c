/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweeps: one call in a fresh sandbox, again and again, each time with another of its allocations
 * or host calls refused. Whatever happens, the client gets an answer or loses its connection, and
 * the sandbox ends without a leak (bench_fini asserts it). SWEEP_STEP=1 tries every single one;
 * SWEEP_SCENARIO, SWEEP_FROM and SWEEP_SHOW=1 find the one that matters.
 */
#include "controller/testing.h"

#define SLEEPER BENCH_SPEC("\"sleep\"", "")

struct scenario {
    const char *name;
    void (*prepare)(struct bench *bench, struct client *client); /* without faults */
    const char *(*act)(struct bench *bench, struct client *client);
};

static void must(const char *answer)
{
    EXPECT(answer, ANSWER_OK);
}

static void nothing(struct bench *bench, struct client *client)
{
}

static void started(struct bench *bench, struct client *client)
{
    must(client_call(client, "containerManager.StartRoot", "\"c1\""));
}

static const char *start(struct bench *bench, struct client *client)
{
    return client_call(client, "containerManager.StartRoot", "\"c1\"");
}

static const char *exec(struct bench *bench, struct client *client)
{
    int fds[3] = {bench->out_fd, bench->out_fd, bench->out_fd};
    return client_call_fds(
        client, "containerManager.ExecuteAsync",
        "{\"argv\":[\"hello\"],\"envv\":[\"PATH=/bin\"],\"wd\":\"/\",\"ContainerID\":\"c1\"}", fds,
        3);
}

static const char *checkpoint(struct bench *bench, struct client *client)
{
    int fd = sim_open(bench->host, "/saved", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const char *answer = client_call_fds(client, "containerManager.Checkpoint", "{\"Resume\":true}",
                                         &fd, 1);
    sim_fd_close(bench->host, fd);
    return answer;
}

/* Another sandbox's image becomes a file of this one's host. */
static void has_image(struct bench *bench, struct client *client)
{
    struct arena heap;
    AUTO_BUF struct buf image;
    struct bench other;
    struct client other_client;
    heap_arena_init(&heap);
    buf_init(&image, &heap, 0);
    bench_init(&other, SLEEPER);
    client_open(&other_client, &other);
    started(&other, &other_client);
    must(checkpoint(&other, &other_client));
    CU_ASSERT_EQUAL(sim_get_file(other.host, "/saved", &image), 0);
    client_close(&other_client);
    bench_fini(&other);
    CU_ASSERT_EQUAL(sim_put_file(bench->host, "/image", buf_bytes(&image), image.size, 0600), 0);
}

static const char *restore(struct bench *bench, struct client *client)
{
    int fd = sim_open(bench->host, "/image", O_RDONLY, 0);
    const char *answer = client_call_fds(client, "containerManager.Restore", "{}", &fd, 1);
    sim_fd_close(bench->host, fd);
    return answer;
}

static const char *destroy(struct bench *bench, struct client *client)
{
    return client_call(client, "containerManager.DestroySubcontainer", "\"c1\"");
}

static const char *list(struct bench *bench, struct client *client)
{
    return client_call(client, "containerManager.Processes", "\"\"");
}

static const char *count(struct bench *bench, struct client *client)
{
    return client_call(client, "containerManager.Event", "\"c1\"");
}

static const char *trace(struct bench *bench, struct client *client)
{
    return client_call(client, "Logging.Change",
                       "{\"SetStrace\":true,\"EnableStrace\":true,\"StraceAllowlist\":[\"read\"]}");
}

static const struct scenario scenarios[] = {
    {"start", nothing, start},           {"exec", started, exec},
    {"checkpoint", started, checkpoint}, {"restore", has_image, restore},
    {"destroy", started, destroy},       {"list", started, list},
    {"count", started, count},           {"trace", started, trace},
};

/* With the NTH event of POINT refused (0: none); how many there were. */
static u64 run_once(const struct scenario *scenario, const char *point, int error, u64 nth)
{
    struct bench bench;
    struct client client;
    u32 failures = CU_get_number_of_failures();
    if (getenv("SWEEP_SHOW")) /* which one it was when an assertion ends the process */
        fprintf(stderr, "%s, %s %llu\n", scenario->name, point, (unsigned long long)nth);
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    bench_run(&bench);
    scenario->prepare(&bench, &client);
    bool is_alloc = strcmp(point, "alloc") == 0;
    const struct sim_fault fault = {
        .id = "f", .at = point, .nth = nth, .times = 1, .error = error, .is_armed = true};
    if (nth > 0)
        CU_ASSERT_EQUAL(sim_fault_add(bench.host, &fault), 0);
    u64 before = is_alloc ? sim_alloc_total(bench.host) : sim_call_total(bench.host);
    bool is_answer = client.stream &&
                     strncmp(scenario->act(&bench, &client), "{\"success\":", 11) == 0;
    u64 count = (is_alloc ? sim_alloc_total(bench.host) : sim_call_total(bench.host)) - before;
    sim_fault_arm(bench.host, "all", false);
    client_read(&client);
    CU_ASSERT(is_answer || client.is_over);
    client_close(&client);
    bench_fini(&bench);
    if (CU_get_number_of_failures() != failures)
        fprintf(stderr, "%s with %s %llu refused\n", scenario->name, point,
                (unsigned long long)nth);
    return count;
}

static void sweep(const char *point, int error, u64 step)
{
    const char *step_text = getenv("SWEEP_STEP");
    if (step_text)
        step = strtoull(step_text, NULL, 10);
    const char *only = getenv("SWEEP_SCENARIO");
    const char *from = getenv("SWEEP_FROM");
    for (size_t i = 0; i < ARRAY_COUNT(scenarios); i++) {
        if (only && strcmp(only, scenarios[i].name) != 0)
            continue;
        u64 count = run_once(&scenarios[i], point, error, 0);
        for (u64 nth = from ? strtoull(from, NULL, 10) : 1; nth <= count; nth += step)
            run_once(&scenarios[i], point, error, nth);
    }
}

static void test_refused_allocations_are_errors_and_no_leaks(void)
{
    sweep("alloc", 12, 17);
}

static void test_refused_host_calls_are_errors_and_no_leaks(void)
{
    sweep("host.*", 5, 7);
}

/* ---- damaged images ----------------------------------------------------------------------------- */

/* IMAGE, cut to SIZE, with the byte at FLIPPED changed (NO_BYTE: none): refused, and nothing is
 * left of it. */
#define NO_BYTE SIZE_MAX
static void refuse_damaged(const struct buf *image, size_t size, size_t flipped)
{
    struct bench bench;
    struct client client;
    u8 *bytes = malloc(size + 1);
    memcpy(bytes, buf_bytes(image), size);
    if (flipped != NO_BYTE)
        bytes[flipped] ^= 0x11;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    bench_run(&bench);
    CU_ASSERT_EQUAL(sim_put_file(bench.host, "/image", bytes, size, 0600), 0);
    const char *answer = restore(&bench, &client);
    if (strncmp(answer, "{\"success\":false", 16) != 0)
        fprintf(stderr, "taken: %zu bytes, byte %zu changed: %s\n", size, flipped, answer);
    CU_ASSERT(strncmp(answer, "{\"success\":false", 16) == 0);
    client_close(&client);
    bench_fini(&bench);
    free(bytes);
}

static void test_damaged_images_are_refused(void)
{
    struct arena heap;
    AUTO_BUF struct buf image;
    struct bench bench;
    struct client client;
    heap_arena_init(&heap);
    buf_init(&image, &heap, 0);
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    started(&bench, &client);
    must(checkpoint(&bench, &client));
    CU_ASSERT_EQUAL(sim_get_file(bench.host, "/saved", &image), 0);
    client_close(&client);
    bench_fini(&bench);
    CU_ASSERT_FATAL(image.size > 2048);
    const char *step_text = getenv("SWEEP_STEP"); /* 1: every byte */
    size_t step = step_text ? strtoul(step_text, NULL, 10) : image.size / 80;
    for (size_t at = 0; at < image.size; at += step) {
        refuse_damaged(&image, image.size, at);
        refuse_damaged(&image, at, NO_BYTE);
    }
    for (size_t back = 1; back <= sizeof(u64) * 7; back += 5) /* the end chunk */
        refuse_damaged(&image, image.size, image.size - back);
    refuse_damaged(&image, image.size - 1, NO_BYTE);
}

void faults_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/faults", NULL, NULL);
    CU_ADD_TEST(suite, test_refused_allocations_are_errors_and_no_leaks);
    CU_ADD_TEST(suite, test_refused_host_calls_are_errors_and_no_leaks);
    CU_ADD_TEST(suite, test_damaged_images_are_refused);
}
