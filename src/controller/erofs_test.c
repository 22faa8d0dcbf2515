/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of mkfs.erofs(1) mounted in a running container and read back: every layout that it makes
 * without compression, and images with bytes changed. Without the program there is nothing to
 * mount: the test says so.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/rand.h"
#include "controller/testing.h"
#include "sentry/memory/frames.h"

#define SLEEPER BENCH_SPEC("\"sleep\"", "")
#define MOUNT "containerManager.Mount"

struct image {
    u8 *bytes;
    size_t size;
};

#define LARGE_SIZE 300001u

static u8 content(size_t at)
{
    return (u8)(at * 7 + at / 251);
}

static void write_file(const char *folder, const char *name, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (size_t i = 0; i < size; i++)
        fputc(content(i), file);
    fclose(file);
}

/* A folder with small, large, sparse, empty files, many names, and a link. */
static void make_folder(char *folder)
{
    char path[256];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/many", folder);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0755), 0);
    for (u32 i = 0; i < 400; i++) {
        char name[64];
        snprintf(name, sizeof name, "a-rather-long-name-%03u", i);
        write_file(path, name, i);
    }
    write_file(folder, "small", 100);
    write_file(folder, "block", 4096);
    write_file(folder, "large", LARGE_SIZE);
    write_file(folder, "empty", 0);
    snprintf(path, sizeof path, "%s/link", folder);
    CU_ASSERT_EQUAL_FATAL(symlink("many/a-rather-long-name-399", path), 0);
    snprintf(path, sizeof path, "%s/sparse", folder);
    FILE *file = fopen(path, "w");
    CU_ASSERT_EQUAL_FATAL(fseek(file, 100000, SEEK_SET), 0);
    fputc('x', file);
    fclose(file);
}

/* False: there is no mkfs.erofs. */
static bool make_image(const char *options, struct image *out)
{
    char folder[] = "/tmp/picket-erofs-XXXXXX", command[512], path[64];
    make_folder(folder);
    snprintf(path, sizeof path, "%s.img", folder);
    snprintf(command, sizeof command, "mkfs.erofs --quiet %s %s %s >/dev/null 2>&1", options, path,
             folder);
    bool is_made = system(command) == 0;
    FILE *file = is_made ? fopen(path, "r") : NULL;
    if (file) {
        struct stat stat;
        CU_ASSERT_EQUAL_FATAL(fstat(fileno(file), &stat), 0);
        out->size = (size_t)stat.st_size;
        out->bytes = malloc(out->size);
        CU_ASSERT_EQUAL(fread(out->bytes, 1, out->size, file), out->size);
        fclose(file);
    }
    snprintf(command, sizeof command, "rm -rf %s %s", folder, path);
    CU_ASSERT_EQUAL(system(command), 0);
    if (!file)
        printf("SKIP: no mkfs.erofs here\n");
    return file != NULL;
}

static const char *mount_image(struct client *client, const struct image *image, const char *at)
{
    char arg[256];
    struct host *host = client->bench->host;
    CU_ASSERT_EQUAL_FATAL(sim_put_file(host, "/image", image->bytes, image->size, 0644), 0);
    int fd = sim_open(host, "/image", O_RDONLY, 0);
    snprintf(
        arg, sizeof arg,
        "{\"ContainerID\":\"c1\",\"Source\":\"img\",\"Destination\":\"%s\",\"FsType\":\"erofs\"}",
        at);
    const char *answer = client_call_fds(client, MOUNT, arg, &fd, 1);
    sim_fd_close(host, fd);
    return answer;
}

/* The file PATH of the container through Fs.Read; its answer. */
static const char *read_path(struct client *client, const char *path, struct buf *out)
{
    char arg[256];
    struct host *host = client->bench->host;
    int fd = sim_open(host, "/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    snprintf(arg, sizeof arg, "{\"container_id\":\"c1\",\"path\":\"%s\"}", path);
    const char *answer = client_call_fds(client, "Fs.Read", arg, &fd, 1);
    sim_fd_close(host, fd);
    buf_clear(out);
    CU_ASSERT_EQUAL(sim_get_file(host, "/out", out), 0);
    return answer;
}

static void expect_content(struct client *client, const char *path, size_t size)
{
    struct arena heap;
    AUTO_BUF struct buf out;
    heap_arena_init(&heap);
    buf_init(&out, &heap, 0);
    EXPECT(read_path(client, path, &out), ANSWER_OK);
    CU_ASSERT_EQUAL(out.size, size);
    size_t wrong = 0;
    for (size_t i = 0; i < out.size; i++)
        wrong += buf_bytes(&out)[i] != content(i);
    CU_ASSERT_EQUAL(wrong, 0);
}

static void play_image(const char *options)
{
    struct bench bench;
    struct client client;
    struct image image;
    struct arena heap;
    if (!make_image(options, &image))
        return;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT_ERROR(mount_image(&client, &image, "/mnt"), "container c1 isn't started");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(mount_image(&client, &image, "/mnt"), ANSWER_OK);
    expect_content(&client, "/mnt/small", 100);
    expect_content(&client, "/mnt/block", 4096);
    expect_content(&client, "/mnt/large", LARGE_SIZE);
    expect_content(&client, "/mnt/empty", 0);
    expect_content(&client, "/mnt/link", 399);
    expect_content(&client, "/mnt/many/a-rather-long-name-007", 7);
    heap_arena_init(&heap);
    AUTO_BUF struct buf out;
    buf_init(&out, &heap, 0);
    EXPECT(read_path(&client, "/mnt/sparse", &out), ANSWER_OK);
    CU_ASSERT(out.size == 100001 && buf_bytes(&out)[0] == 0 && buf_bytes(&out)[100000] == 'x');
    EXPECT_ERROR(read_path(&client, "/mnt/none", &out),
                 "open /mnt/none: no such file or directory");
    EXPECT_ERROR(read_path(&client, "/mnt/many", &out), "open /mnt/many: is a directory");
    free(image.bytes);
    client_close(&client);
    bench_fini(&bench);
}

static void test_images_of_every_layout_are_read(void)
{
    play_image("");
    play_image("--chunksize=4096");
    play_image("--chunksize=65536");
    play_image("-x-1 --force-uid=70000 --force-gid=70000");
    play_image("-T1700000000 -Enoinline_data");
    play_image("-Eforce-inode-extended");
    play_image("-Eforce-inode-compact");
}

static void test_what_is_no_image_is_refused(void)
{
    static u8 zeros[8192];
    const struct image empty = {zeros, sizeof zeros};
    struct bench bench;
    struct client client;
    struct image image;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT_ERROR(mount_image(&client, &empty, "/mnt"), "mounting image \"img\": invalid argument");
    EXPECT_ERROR(client_call(&client, MOUNT, "{\"FsType\":\"ext4\"}"),
                 "unsupported filesystem type: ext4");
    EXPECT_ERROR(client_call(&client, MOUNT, "{\"FsType\":\"erofs\"}"),
                 "exactly one image file must be provided");
    EXPECT_ERROR(client_call_fds(&client, MOUNT, "{\"FsType\":\"erofs\",\"Destination\":\"a\"}",
                                 &bench.out_fd, 1),
                 "absolute path must be provided for destination");
    EXPECT_ERROR(client_call_fds(&client, MOUNT, "{\"FsType\":\"erofs\",\"Destination\":\"/a\"}",
                                 &bench.out_fd, 1),
                 "container  is deleted");
    if (make_image("", &image)) {
        image.bytes[1024 + 16] ^= 1; /* the checksum sees it */
        EXPECT_ERROR(mount_image(&client, &image, "/mnt"),
                     "mounting image \"img\": structure needs cleaning");
        free(image.bytes);
    }
    client_close(&client);
    bench_fini(&bench);
}

static void save(struct client *client, struct buf *out)
{
    struct host *host = client->bench->host;
    int fd = sim_open(host, "/saved", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT(client_call_fds(client, "containerManager.Checkpoint", "{\"Resume\":true}", &fd, 1),
           ANSWER_OK);
    sim_fd_close(host, fd);
    buf_clear(out);
    CU_ASSERT_EQUAL_FATAL(sim_get_file(host, "/saved", out), 0);
}

/* A fresh sandbox with what SAVED holds; all is read there, and it is saved again. */
static void restore_and_read(struct buf *saved)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    CU_ASSERT_EQUAL_FATAL(sim_put_file(bench.host, "/image", buf_bytes(saved), saved->size, 0600),
                          0);
    int fd = sim_open(bench.host, "/image", O_RDONLY, 0);
    EXPECT(client_call_fds(&client, "containerManager.Restore", "{}", &fd, 1), ANSWER_OK);
    sim_fd_close(bench.host, fd);
    client_close(&client);
    client_open(&client, &bench);
    expect_content(&client, "/mnt/large", LARGE_SIZE);
    expect_content(&client, "/mnt/many/a-rather-long-name-007", 7);
    save(&client, saved);
    client_close(&client);
    bench_fini(&bench);
}

/* Nobody hands the descriptor in again: the checkpoint has the image's bytes. */
static void test_an_image_is_read_on_after_a_restore(void)
{
    struct bench bench;
    struct client client;
    struct image image;
    struct arena heap;
    AUTO_BUF struct buf saved;
    if (!make_image("", &image))
        return;
    heap_arena_init(&heap);
    buf_init(&saved, &heap, 0);
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(mount_image(&client, &image, "/mnt"), ANSWER_OK);
    u64 frames = memory_used(bench.sentry.kernel->memory);
    save(&client, &saved);
    CU_ASSERT_EQUAL(memory_used(bench.sentry.kernel->memory), frames); /* they are gone again */
    expect_content(&client, "/mnt/small", 100);
    client_close(&client);
    bench_fini(&bench);
    free(image.bytes);
    restore_and_read(&saved);
    restore_and_read(&saved);
}

/* The superblock's checksum is switched off, so that what lies behind it must cope. */
static void test_damaged_images_do_no_harm(void)
{
    static const char *const paths[] = {"small", "large", "sparse",
                                        "link",  "many",  "many/a-rather-long-name-200"};
    struct bench bench;
    struct client client;
    struct image image;
    struct arena heap;
    struct rand rand;
    AUTO_BUF struct buf out;
    heap_arena_init(&heap);
    buf_init(&out, &heap, 0);
    rand_init(&rand, 7, "erofs");
    if (!make_image("--chunksize=4096", &image))
        return;
    image.bytes[1024 + 8] &= 0xfe;
    u8 *bytes = malloc(image.size);
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    for (u32 round = 0; round < 120; round++) {
        char place[32], path[96];
        memcpy(bytes, image.bytes, image.size);
        for (u32 i = 0; i < 1 + round % 40; i++)
            bytes[1024 + rand_below(&rand, MIN(image.size - 1024, (size_t)40000))] = (u8)rand_below(
                &rand, 256);
        const struct image damaged = {bytes, round % 5 ? image.size : image.size / 2};
        snprintf(place, sizeof place, "/m%u", round);
        const char *answer = mount_image(&client, &damaged, place);
        CU_ASSERT(strncmp(answer, "{\"success\":", 11) == 0);
        for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
            snprintf(path, sizeof path, "%s/%s", place, paths[i]);
            CU_ASSERT(strncmp(read_path(&client, path, &out), "{\"success\":", 11) == 0);
        }
    }
    free(bytes);
    free(image.bytes);
    client_close(&client);
    bench_fini(&bench);
}

void erofs_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/erofs", NULL, NULL);
    CU_ADD_TEST(suite, test_images_of_every_layout_are_read);
    CU_ADD_TEST(suite, test_what_is_no_image_is_refused);
    CU_ADD_TEST(suite, test_damaged_images_do_no_harm);
    CU_ADD_TEST(suite, test_an_image_is_read_on_after_a_restore);
}
