/* SPDX-License-Identifier: Apache-2.0 */
/* The upper layer of a root as an archive: refused without an overlay, else what tar(1) would read.
 */
#include "controller/internal.h"
#include "controller/testing.h"
#include "sentry/fs/mount.h"

#define METHOD "Fs.TarRootfsUpperLayer"

/* The header of PATH in the archive, or NULL. */
static const char *find_entry(const struct buf *archive, const char *path)
{
    const char *at = (const char *)buf_bytes(archive);
    for (size_t left = archive->size; left >= 512 && at[0];) {
        size_t size = strtoul(at + 124, NULL, 8), step = 512 + (size + 511) / 512 * 512;
        if (strncmp(at, path, 100) == 0)
            return at;
        if (step > left)
            return NULL;
        at += step;
        left -= step;
    }
    return NULL;
}

static const char *tar(struct bench *bench, struct client *client, const char *arg, struct buf *out)
{
    int fd = sim_open(bench->host, "/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const char *answer = client_call_fds(client, METHOD, arg, &fd, 1);
    sim_fd_close(bench->host, fd);
    buf_clear(out);
    CU_ASSERT_EQUAL(sim_get_file(bench->host, "/out", out), 0);
    return answer;
}

/* A read-only root without its mount points gets a layer above it: that is an overlay. */
static void test_the_upper_layer_comes_as_an_archive(void)
{
    struct bench bench;
    struct client client;
    struct arena heap;
    heap_arena_init(&heap);
    AUTO_BUF struct buf out;
    buf_init(&out, &heap, 0);
    bench_init(&bench,
               "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"sleep\"],\"cwd\":\"/"
               "\",\"env\":[\"PATH=/bin\"]},\"root\":{\"path\":\"rootfs\",\"readonly\":true}}");
    client_open(&client, &bench);
    EXPECT_ERROR(tar(&bench, &client, "{\"ContainerID\":\"c1\"}", &out),
                 "container c1 isn't started");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(tar(&bench, &client, "{\"ContainerID\":\"c1\"}", &out), ANSWER_OK);
    const char *entry = find_entry(&out, "./proc/");
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    CU_ASSERT(memcmp(entry + 257, "ustar", 6) == 0 && entry[156] == '5');
    CU_ASSERT_EQUAL(out.size % 512, 0);
    CU_ASSERT_PTR_NULL(find_entry(&out, "./bin/")); /* it is below, unchanged */
    client_close(&client);
    bench_fini(&bench);
}

static void test_a_plain_root_has_none(void)
{
    struct bench bench;
    struct client client;
    struct arena heap;
    heap_arena_init(&heap);
    AUTO_BUF struct buf out;
    buf_init(&out, &heap, 0);
    bench_init(&bench, BENCH_SPEC("\"sleep\"", ""));
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT_ERROR(tar(&bench, &client, "{\"ContainerID\":\"c1\"}", &out),
                 "rootfs is not an overlayfs");
    EXPECT_ERROR(client_call(&client, METHOD, "{}"), "exactly one output file must be provided");
    client_close(&client);
    bench_fini(&bench);
}

void tar_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/tar", NULL, NULL);
    CU_ADD_TEST(suite, test_the_upper_layer_comes_as_an_archive);
    CU_ADD_TEST(suite, test_a_plain_root_has_none);
}
