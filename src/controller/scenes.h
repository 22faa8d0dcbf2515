/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandboxes of testing.h in the states that spec/lifecycle.yaml and spec/rpc-cases.yaml name: the
 * root container is c1 and sleeps, c2 is a second one.
 */
#pragma once
#include <libfyaml.h>

#include "controller/testing.h"

#define SCENE_SPEC BENCH_SPEC("\"sleep\"", "")

/* Images made once by a checkpoint each: of one container, and of two. */
struct images {
    struct arena heap;
    struct buf one, two;
};

static inline const char *scalar(struct fy_node *row, const char *name)
{
    struct fy_node *node = fy_node_mapping_lookup_by_string(row, name, (size_t)-1);
    const char *text = node ? fy_node_get_scalar0(node) : NULL;
    return text ? text : "";
}

static inline const char *start_sub(struct bench *bench, struct client *client, const char *method,
                                    const char *id)
{
    static char arg[2048];
    int pipe[2];
    CU_ASSERT_EQUAL_FATAL(sim_pipe(bench->host, pipe), 0);
    int gofer = bench_gofer(bench, "/rootfs");
    int fds[4] = {pipe[1], pipe[1], pipe[1], gofer};
    snprintf(
        arg, sizeof arg,
        "{\"Spec\":%s,\"Conf\":{},\"CID\":\"%s\",\"GoferMountConfs\":[{\"lower\":1,\"upper\":0}]}",
        SCENE_SPEC, id);
    const char *answer = client_call_fds(client, method, arg, fds, 4);
    sim_fd_close(bench->host, gofer);
    sim_fd_close(bench->host, pipe[0]);
    sim_fd_close(bench->host, pipe[1]);
    return answer;
}

static inline const char *restore(struct bench *bench, struct client *client,
                                  const struct buf *image, bool is_damaged)
{
    CU_ASSERT_EQUAL_FATAL(sim_put_file(bench->host, "/image", buf_bytes(image), image->size, 0600),
                          0);
    if (is_damaged)
        CU_ASSERT_EQUAL_FATAL(sim_damage_truncate(bench->host, "/image", image->size / 2), 0);
    int fd = sim_open(bench->host, "/image", O_RDONLY, 0);
    const char *answer = client_call_fds(client, "containerManager.Restore", "{}", &fd, 1);
    sim_fd_close(bench->host, fd);
    return answer;
}

static inline const char *checkpoint(struct bench *bench, struct client *client)
{
    int fd = sim_open(bench->host, "/saved", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const char *answer = client_call_fds(client, "containerManager.Checkpoint", "{\"Resume\":true}",
                                         &fd, 1);
    sim_fd_close(bench->host, fd);
    return answer;
}

static inline void must(const char *answer)
{
    EXPECT(answer, ANSWER_OK);
}

static inline void reach_sandbox(struct bench *bench, struct client *client, struct images *images,
                                 const char *state)
{
    if (strcmp(state, "started") == 0)
        must(client_call(client, "containerManager.StartRoot", "\"c1\""));
    else if (strcmp(state, "restoringUnstarted") == 0)
        must(restore(bench, client, &images->two, false));
    else if (strcmp(state, "restored") == 0)
        must(restore(bench, client, &images->one, false));
    else if (strcmp(state, "restoreFailed") == 0)
        CU_ASSERT_PTR_NOT_NULL(
            strstr(restore(bench, client, &images->one, true), "\"success\":false"));
    client_close(client);
    client_open(client, bench); /* a restore ends older connections */
}

static inline void reach_container(struct bench *bench, struct client *client, const char *state)
{
    must(client_call(client, "containerManager.StartRoot", "\"c1\""));
    if (strcmp(state, "unknown") == 0)
        return;
    must(client_call(client, "containerManager.CreateSubcontainer", "{\"CID\":\"c2\"}"));
    if (strcmp(state, "creating") == 0)
        return;
    must(start_sub(bench, client, "containerManager.StartSubcontainer", "c2"));
    if (strcmp(state, "stopped") == 0)
        must(client_call(client, "containerManager.Signal", "{\"CID\":\"c2\",\"Signo\":9}"));
}

static inline void make_image(bool has_two, struct buf *out)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SCENE_SPEC);
    client_open(&client, &bench);
    reach_container(&bench, &client, has_two ? "running" : "unknown");
    must(checkpoint(&bench, &client));
    CU_ASSERT_EQUAL(sim_get_file(bench.host, "/saved", out), 0);
    client_close(&client);
    bench_fini(&bench);
}
