/* SPDX-License-Identifier: Apache-2.0 */
/* Plays every row of spec/lifecycle.yaml: a sandbox in the row's state, the row's call, and what it
 * leads to. */
#include "controller/scenes.h"

#define SPEC "spec/lifecycle.yaml"

/* ---- calls ---------------------------------------------------------------------------------- */

static const char *forward(struct bench *bench, struct client *client, const char *id)
{
    char arg[128];
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(sim_pair(bench->host, SOCK_STREAM, fds), 0);
    snprintf(arg, sizeof arg, "{\"ContainerID\":\"%s\",\"Port\":9}", id);
    const char *answer = client_call_fds(client, "containerManager.PortForward", arg, fds, 1);
    sim_fd_close(bench->host, fds[0]);
    sim_fd_close(bench->host, fds[1]);
    return answer;
}

static const char *play(struct bench *bench, struct client *client, struct images *images,
                        struct fy_node *row, const char *id)
{
    char method[128], arg[256];
    const char *call = scalar(row, "call"), *guard = scalar(row, "guard");
    if (strcmp(call, "Restore") == 0)
        return restore(bench, client, strstr(guard, "several") ? &images->two : &images->one,
                       strstr(guard, "damaged") != NULL);
    if (strcmp(call, "StartSubcontainer") == 0 || strcmp(call, "RestoreSubcontainer") == 0) {
        snprintf(method, sizeof method, "containerManager.%s", call);
        return start_sub(bench, client, method, id);
    }
    if (strcmp(call, "Checkpoint") == 0)
        return checkpoint(bench, client);
    if (strcmp(call, "PortForward") == 0)
        return forward(bench, client, id);
    snprintf(method, sizeof method, "containerManager.%s", call);
    if (strcmp(call, "CreateSubcontainer") == 0 || strcmp(call, "Signal") == 0)
        snprintf(arg, sizeof arg, "{\"CID\":\"%s\"}", id);
    else if (strcmp(call, "WaitPID") == 0)
        snprintf(arg, sizeof arg, "{\"PID\":77,\"CID\":\"%s\"}", id);
    else if (strcmp(call, "ExecuteAsync") == 0)
        snprintf(arg, sizeof arg, "{\"argv\":[\"/bin/hello\"],\"wd\":\"/\",\"ContainerID\":\"%s\"}",
                 id);
    else if (strcmp(call, "Pause") == 0 || strcmp(call, "Resume") == 0)
        snprintf(arg, sizeof arg, "null");
    else
        snprintf(arg, sizeof arg, "\"%s\"", id);
    return client_call(client, method, arg);
}

/* ---- states --------------------------------------------------------------------------------- */

static const char *container_word(struct bench *bench, const char *id)
{
    static const char *const words[] = {"invalid", "creating", "running", "stopped"};
    bool is_known = false;
    const char *known;
    for (u32 i = 0; (known = loader_container_id(bench->loader, i)) != NULL; i++)
        is_known |= strcmp(known, id) == 0;
    return is_known ? words[loader_container_state(bench->loader, id)] : "unknown";
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The error of the row with the container's id in it. */
static void expand(const char *text, const char *id, char *out, size_t size)
{
    size_t used = 0;
    while (*text && used + 8 < size) {
        if (strncmp(text, "CID", 3) == 0) {
            used += (size_t)snprintf(out + used, size - used, "%s", id);
            text += 3;
        } else {
            out[used++] = *text++;
        }
    }
    out[used] = '\0';
}

static void play_row(struct images *images, struct fy_node *row, bool is_sandbox)
{
    struct bench bench;
    struct client client;
    char text[512];
    const char *id = is_sandbox ? "c1" : "c2";
    const char *next = scalar(row, "next"), *error = scalar(row, "error");
    u32 failures = CU_get_number_of_failures();
    bench_init(&bench, SCENE_SPEC);
    client_open(&client, &bench);
    if (is_sandbox)
        reach_sandbox(&bench, &client, images, scalar(row, "state"));
    else
        reach_container(&bench, &client, scalar(row, "state"));
    const char *answer = play(&bench, &client, images, row, id);
    if (*error) {
        expand(error, id, text, sizeof text);
        EXPECT_ERROR(answer, text);
    } else {
        if (!strstr(scalar(row, "guard"), "damaged"))
            CU_ASSERT(strncmp(answer, "{\"success\":true", 15) == 0);
        EXPECT(is_sandbox ? loader_state_name(loader_state(bench.loader))
                          : container_word(&bench, id),
               next);
    }
    if (CU_get_number_of_failures() != failures)
        fprintf(stderr, "%s: %s in state %s: %s\n", SPEC, scalar(row, "call"), scalar(row, "state"),
                answer);
    client_close(&client);
    bench_fini(&bench);
}

static void play_all(const char *machine, bool is_sandbox, struct images *images)
{
    struct fy_document *spec = fy_document_build_from_file(NULL, SPEC);
    CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
    struct fy_node *rows = fy_node_mapping_lookup_by_string(fy_document_root(spec), machine,
                                                            (size_t)-1),
                   *row;
    void *at = NULL;
    u32 count = 0;
    while ((row = fy_node_sequence_iterate(rows, &at)) != NULL) {
        play_row(images, row, is_sandbox);
        count++;
    }
    CU_ASSERT(count > 10);
    fy_document_destroy(spec);
}

static void test_every_row_of_the_containers_machine_holds(void)
{
    play_all("container", false, NULL);
}

static void test_every_row_of_the_sandboxs_machine_holds(void)
{
    struct images images;
    heap_arena_init(&images.heap);
    buf_init(&images.one, &images.heap, 0);
    buf_init(&images.two, &images.heap, 0);
    make_image(false, &images.one);
    make_image(true, &images.two);
    play_all("sandbox", true, &images);
    buf_fini(&images.one);
    buf_fini(&images.two);
}

/* A pod: Restore accepts, the last RestoreSubcontainer starts all. */
static void test_the_last_container_of_a_pod_starts_the_restore(void)
{
    struct images images;
    struct bench bench;
    struct client client, waiter;
    heap_arena_init(&images.heap);
    buf_init(&images.two, &images.heap, 0);
    make_image(true, &images.two);
    bench_init(&bench, SCENE_SPEC);
    client_open(&client, &bench);
    client_open(&waiter, &bench);
    must(restore(&bench, &client, &images.two, false));
    EXPECT(client_call(&waiter, "containerManager.Wait", "\"n2\""), "");
    must(client_call(&client, "containerManager.CreateSubcontainer", "{\"CID\":\"n2\"}"));
    must(start_sub(&bench, &client, "containerManager.RestoreSubcontainer", "n2"));
    EXPECT(loader_state_name(loader_state(bench.loader)), "restored");
    EXPECT(container_word(&bench, "c1"), "running");
    EXPECT(container_word(&bench, "n2"), "running");
    client_read(&client);
    CU_ASSERT(client.is_over);
    client_close(&client);
    client_open(&client, &bench);
    must(client_call(&client, "containerManager.Signal", "{\"CID\":\"n2\",\"Signo\":9}"));
    EXPECT(client_read(&waiter), "{\"success\":true,\"err\":\"\",\"result\":9}");
    client_close(&client);
    client_close(&waiter);
    bench_fini(&bench);
    buf_fini(&images.two);
}

void lifecycle_spec_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/lifecycle_spec", NULL, NULL);
    CU_ADD_TEST(suite, test_every_row_of_the_containers_machine_holds);
    CU_ADD_TEST(suite, test_every_row_of_the_sandboxs_machine_holds);
    CU_ADD_TEST(suite, test_the_last_container_of_a_pod_starts_the_restore);
}
