/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays every case of spec/rpc-cases.yaml: a sandbox in the case's scene, its call with its
 * descriptors, its answer. A call that fails must have changed nothing and kept no descriptor.
 */
#include "controller/internal.h"
#include "controller/scenes.h"

#define SPEC "spec/rpc-cases.yaml"
#define BROKEN BENCH_SPEC("\"broken\"", "")
#define NAMED(name)                                                                               \
    BENCH_SPEC("\"sleep\"", ",\"annotations\":{\"io.kubernetes.cri.container-name\":\"" name "\"" \
                            "}")
#define TERMINAL                                                                               \
    "{\"ociVersion\":\"1.2.0\",\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\":0}," \
    "\"args\":[\"sleep\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":\"/rootfs\"}}"

struct stage {
    struct bench bench;
    struct client client, other; /* who makes the call; whose is under way beside it */
    struct images *images;
    int fds[HOST_FDS_MAX], others[HOST_FDS_MAX]; /* of the call; what the test holds of them */
    u32 fd_count, other_count;
};

/* ---- scenes --------------------------------------------------------------------------------- */

static void set_scene(struct stage *stage, const char *scene)
{
    static const char *const of_c2[] = {"creating", "running", "stopped"};
    struct bench *bench = &stage->bench;
    bool is_broken = strcmp(scene, "broken") == 0;
    bench_init_with(bench, is_broken ? BROKEN : SCENE_SPEC, strcmp(scene, "nonet") == 0,
                    strcmp(scene, "profiled") == 0);
    CU_ASSERT_EQUAL_FATAL(sim_put_file(bench->host, "/rootfs/bin/broken",
                                       "\x7f"
                                       "ELF",
                                       4, 0755),
                          0);
    client_open(&stage->client, bench);
    for (size_t i = 0; i < ARRAY_COUNT(of_c2); i++) {
        if (strcmp(scene, of_c2[i]) == 0) {
            reach_container(bench, &stage->client, scene);
            return;
        }
    }
    if (strcmp(scene, "created") == 0 || is_broken)
        return;
    bool is_restore = strncmp(scene, "rest", 4) == 0;
    reach_sandbox(bench, &stage->client, stage->images,
                  strcmp(scene, "restoring") == 0 ? "restoringUnstarted"
                  : is_restore                    ? scene
                                                  : "started");
    if (strcmp(scene, "paused") == 0)
        must(client_call(&stage->client, "containerManager.Pause", "null"));
}

/* ---- descriptors ---------------------------------------------------------------------------- */

static int open_file(struct stage *stage, const char *path, const void *bytes, size_t size)
{
    CU_ASSERT_EQUAL_FATAL(sim_put_file(stage->bench.host, path, bytes, size, 0600), 0);
    return sim_open(stage->bench.host, path, *path == '/' && size ? O_RDONLY : O_RDWR, 0);
}

/* The image with the first FROM in it replaced by TO, which is as long. */
static int open_changed(struct stage *stage, const char *from, const char *to)
{
    const struct buf *one = &stage->images->one;
    size_t size = strlen(from), at = 0;
    u8 *bytes = malloc(one->size);
    CU_ASSERT_FATAL(bytes && strlen(to) == size);
    memcpy(bytes, buf_bytes(one), one->size);
    while (at + size < one->size && memcmp(bytes + at, from, size) != 0)
        at++;
    CU_ASSERT_FATAL(at + size < one->size);
    memcpy(bytes + at, to, size);
    int fd = open_file(stage, "/changed", bytes, one->size);
    free(bytes);
    return fd;
}

static void add_pair(struct stage *stage, int fds[2], u32 ours)
{
    stage->fds[stage->fd_count++] = fds[!ours];
    stage->others[stage->other_count++] = fds[ours];
}

static void add_fd(struct stage *stage, const char *kind, size_t size)
{
    struct host *host = stage->bench.host;
    const struct buf *one = &stage->images->one, *two = &stage->images->two;
    int fds[2], fd = -1;
    char name[16];
    snprintf(name, sizeof name, "%.*s", (int)size, kind);
    if (strcmp(name, "out") == 0) {
        CU_ASSERT_EQUAL_FATAL(sim_pipe(host, fds), 0);
        add_pair(stage, fds, 0);
        return;
    }
    if (strcmp(name, "stream") == 0) {
        CU_ASSERT_EQUAL_FATAL(sim_pair(host, SOCK_STREAM, fds), 0);
        add_pair(stage, fds, 0);
        return;
    }
    if (strcmp(name, "gofer") == 0)
        fd = bench_gofer(&stage->bench, "/rootfs");
    else if (strcmp(name, "dir") == 0)
        fd = sim_open(host, "/rootfs", O_RDONLY | O_DIRECTORY, 0);
    else if (strcmp(name, "data") == 0)
        fd = open_file(stage, "/data", "some text", 9);
    else if (strcmp(name, "image") == 0)
        fd = open_file(stage, "/image", buf_bytes(one), one->size);
    else if (strcmp(name, "two") == 0)
        fd = open_file(stage, "/two", buf_bytes(two), two->size);
    else if (strcmp(name, "torn") == 0)
        fd = open_file(stage, "/torn", buf_bytes(one), one->size / 2);
    else if (strcmp(name, "count") == 0)
        fd = open_changed(stage, "\"container_count\":\"1\"", "\"container_count\":\"x\"");
    else if (strcmp(name, "zero") == 0)
        fd = open_changed(stage, "\"container_count\":\"1\"", "\"container_count\":\"0\"");
    else if (strcmp(name, "version") == 0)
        fd = open_changed(stage, "\"runsc_version\"", "\"runsc_without\"");
    else if (strcmp(name, "file") == 0)
        fd = open_file(stage, "/file", "", 0);
    else if (strcmp(name, "null") == 0)
        fd = open_file(stage, "/null", "", 0);
    CU_ASSERT_FATAL(fd >= 0);
    stage->fds[stage->fd_count++] = fd;
}

/* "null*3 gofer" */
static void open_fds(struct stage *stage, const char *text)
{
    stage->fd_count = stage->other_count = 0;
    while (*text) {
        size_t size = strcspn(text, " "), name = MIN(strcspn(text, "*"), size);
        u32 count = name < size ? (u32)strtoul(text + name + 1, NULL, 10) : 1;
        for (u32 i = 0; i < count; i++)
            add_fd(stage, text, name);
        text += size + (text[size] == ' ');
    }
}

static void close_fds(struct stage *stage, bool is_ours_too)
{
    for (u32 i = 0; i < stage->fd_count; i++)
        sim_fd_close(stage->bench.host, stage->fds[i]);
    stage->fd_count = 0;
    for (u32 i = 0; is_ours_too && i < stage->other_count; i++)
        sim_fd_close(stage->bench.host, stage->others[i]);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* PATTERN with * for any text. */
static bool fits(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            from = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* What the answer should be, as JSON text; "" when none should come. */
static void wanted(struct fy_node *row, struct arena *heap, struct buf *out)
{
    const char *error = scalar(row, "error"), *result = scalar(row, "result");
    struct json_writer writer;
    buf_init(out, heap, 0);
    if (strcmp(scalar(row, "waits"), "yes") == 0)
        return;
    if (!*error) {
        CU_ASSERT_EQUAL(buf_printf(out, "{\"success\":true,\"err\":\"\",\"result\":%s%s",
                                   *result ? result : "{}",
                                   *result && result[strlen(result) - 1] == '*' ? "" : "}"),
                        0);
        return;
    }
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_name(&writer, "success");
    json_put_bool(&writer, false);
    json_name(&writer, "err");
    json_put_string(&writer, error);
    json_name(&writer, "result");
    json_put_null(&writer);
    json_end_object(&writer);
}

static const struct token {
    const char *name, *text;
} tokens[] = {{"$SPEC", SCENE_SPEC},
              {"$TTY", TERMINAL},
              {"$OTHER", NAMED("other")},
              {"$TWIN", NAMED("__no_name_0")}};

/* The tokens put in. */
static void expand_arg(const char *text, char *out, size_t size)
{
    size_t used = 0;
    while (*text && used + 1 < size) {
        const struct token *token = NULL;
        for (size_t i = 0; i < ARRAY_COUNT(tokens) && !token; i++)
            if (strncmp(text, tokens[i].name, strlen(tokens[i].name)) == 0)
                token = &tokens[i];
        if (token) {
            used += (size_t)snprintf(out + used, size - used, "%s", token->text);
            text += strlen(token->name);
        } else {
            out[used++] = *text++;
        }
    }
    out[used] = '\0';
}

static void play_before(struct stage *stage, struct fy_node *row)
{
    struct fy_node *calls = fy_node_mapping_lookup_by_string(row, "before", (size_t)-1), *call;
    void *at = NULL;
    while (calls && (call = fy_node_sequence_iterate(calls, &at)) != NULL) {
        const char *answer = client_call(
            &stage->client, fy_node_get_scalar0(fy_node_sequence_get_by_index(call, 0)),
            fy_node_get_scalar0(fy_node_sequence_get_by_index(call, 1)));
        bool is_right = strncmp(answer, "{\"success\":true", 15) == 0;
        CU_ASSERT_EQUAL(is_right, fy_node_sequence_item_count(call) == 2);
    }
}

/* The call of the other client, which is not answered for now. */
static void play_beside(struct stage *stage, struct fy_node *row)
{
    struct fy_node *call = fy_node_mapping_lookup_by_string(row, "beside", (size_t)-1);
    client_open(&stage->other, &stage->bench);
    if (!call)
        return;
    const char *words[3];
    for (int i = 0; i < 3; i++)
        words[i] = fy_node_get_scalar0(fy_node_sequence_get_by_index(call, i));
    open_fds(stage, words[2]);
    EXPECT(client_call_fds(&stage->other, words[0], words[1], stage->fds, stage->fd_count), "");
    close_fds(stage, true);
}

static void play_case(struct stage *stage, struct fy_node *row)
{
    static char arg[4096];
    struct bench *bench = &stage->bench;
    struct arena heap;
    AUTO_BUF struct buf want;
    struct sim_leaks before, after;
    heap_arena_init(&heap);
    wanted(row, &heap, &want);
    set_scene(stage, scalar(row, "scene"));
    play_before(stage, row);
    play_beside(stage, row);
    bench_run(bench);
    sim_leaks(bench->host, &before);
    open_fds(stage, scalar(row, "fds"));
    u32 held = stage->other_count + (strstr(scalar(row, "fds"), "gofer") ? 1 : 0);
    expand_arg(scalar(row, "arg"), arg, sizeof arg);
    const char *answer = client_call_fds(&stage->client, scalar(row, "method"), arg, stage->fds,
                                         stage->fd_count);
    for (u32 i = 0; i < 20 && !*answer && want.size; i++) { /* profiles take their time */
        bench_advance(bench, NS_PER_S / 100);
        answer = client_read(&stage->client);
    }
    bool is_fine = fits(buf_text(&want), answer);
    CU_ASSERT(is_fine);
    close_fds(stage, false);
    bench_run(bench);
    sim_leaks(bench->host, &after);
    bool has_failed = *scalar(row, "error") && !*scalar(row, "changes");
    if (has_failed && after.fds > before.fds + held) {
        fprintf(stderr, "%u descriptors before, %u after\n", before.fds + held, after.fds);
        CU_FAIL("a call that failed kept descriptors");
        is_fine = false;
    }
    if (!is_fine)
        fprintf(stderr, "%s: %s, %s, %s (%s)\n    got  %s\n    want %s\n", SPEC,
                scalar(row, "method"), scalar(row, "scene"), scalar(row, "arg"), scalar(row, "fds"),
                answer, buf_text(&want));
    close_fds(stage, true);
    client_close(&stage->client);
    client_close(&stage->other);
    bench_fini(bench);
}

static void test_every_case_answers_as_the_spec_says(void)
{
    struct images images;
    static struct stage stage;
    struct fy_document *spec = fy_document_build_from_file(NULL, SPEC);
    CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
    heap_arena_init(&images.heap);
    buf_init(&images.one, &images.heap, 0);
    buf_init(&images.two, &images.heap, 0);
    make_image(false, &images.one);
    make_image(true, &images.two);
    struct fy_node *rows = fy_node_mapping_lookup_by_string(fy_document_root(spec), "cases",
                                                            (size_t)-1),
                   *row;
    void *at = NULL;
    u32 count = 0, errors = 0;
    const char *only = getenv("CASES"); /* a method's name */
    stage.images = &images;
    while ((row = fy_node_sequence_iterate(rows, &at)) != NULL) {
        if (strcmp(scalar(row, "where"), "live") == 0 ||
            (only && strcmp(only, scalar(row, "method")) != 0))
            continue;
        play_case(&stage, row);
        count++;
        errors += *scalar(row, "error") != '\0';
    }
    printf("%u cases played, %u of them refused ", count, errors);
    buf_fini(&images.one);
    buf_fini(&images.two);
    fy_document_destroy(spec);
}

void rpc_cases_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/rpc_cases", NULL, NULL);
    CU_ADD_TEST(suite, test_every_case_answers_as_the_spec_says);
}
