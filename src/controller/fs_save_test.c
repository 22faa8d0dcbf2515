/* SPDX-License-Identifier: Apache-2.0 */
/* File systems saved alone and found again by a later sandbox; mounts by Fs.Mount and Fs.Umount. */
#include "controller/internal.h"
#include "controller/testing.h"

#define SAVE "containerManager.FSSave"
#define WRITER_SPEC                                                                        \
    "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"writer\"],\"cwd\":\"/\",\"env\":[" \
    "\"PATH=/bin\"]},\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"mounts\":["        \
    "{\"destination\":\"/scratch\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}]}"

static const char *const names[FS_SAVE_FILES] = {"/img/manifest", "/img/tar", "/img/meta",
                                                 "/img/pages"};

/* mkdir, open with O_CREAT, write, then sleep. */
static void install_writer(struct bench *bench)
{
    struct program program = {0};
    u64 path = program_text(&program, "/scratch/dir/file");
    program_call(&program, 83, 2, (u64[]){program_text(&program, "/scratch/dir"), 0750});
    program_call(&program, 2, 3, (u64[]){path, O_CREAT | O_WRONLY, 0640});
    program_call(&program, 1, 3, (u64[]){3, program_text(&program, "kept\n"), 5});
    program_call(
        &program, 88, 2,
        (u64[]){program_text(&program, "dir/file"), program_text(&program, "/scratch/link")});
    program_call(&program, 86, 2, (u64[]){path, program_text(&program, "/scratch/second")});
    program_call(
        &program, 188, 5,
        (u64[]){path, program_text(&program, "user.k"), program_text(&program, "val"), 3, 0});
    program_sleep(&program);
    program_install(&program, bench->host, "/rootfs/bin/writer");
}

static const char *save(struct bench *bench, struct client *client, const char *arg)
{
    int fds[FS_SAVE_FILES];
    for (u32 i = 0; i < FS_SAVE_FILES; i++)
        fds[i] = sim_open(bench->host, names[i], O_RDWR | O_CREAT | O_TRUNC, 0600);
    const char *answer = client_call_fds(client, SAVE, arg, fds, FS_SAVE_FILES);
    for (u32 i = 0; i < FS_SAVE_FILES; i++)
        sim_fd_close(bench->host, fds[i]);
    return answer;
}

/* What save wrote, for a sandbox of another host. */
static void carry(struct bench *from, struct bench *to)
{
    int fds[FS_SAVE_FILES];
    struct error err;
    struct arena heap;
    heap_arena_init(&heap);
    for (u32 i = 0; i < FS_SAVE_FILES; i++) {
        AUTO_BUF struct buf bytes;
        buf_init(&bytes, &heap, 0);
        CU_ASSERT_EQUAL_FATAL(sim_get_file(from->host, names[i], &bytes), 0);
        CU_ASSERT((bytes.size > 0) == (i < 2));
        CU_ASSERT_EQUAL_FATAL(sim_put_file(to->host, names[i], buf_bytes(&bytes), bytes.size, 0600),
                              0);
        fds[i] = sim_open(to->host, names[i], O_RDONLY, 0);
    }
    CU_ASSERT_EQUAL(loader_set_fs_image(to->loader, fds, &err), 0);
}

static const char *read_path(struct bench *bench, struct client *client, const char *path,
                             struct buf *out)
{
    char arg[128];
    snprintf(arg, sizeof arg, "{\"path\":\"%s\"}", path);
    int fd = sim_open(bench->host, "/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const char *answer = client_call_fds(client, "Fs.Read", arg, &fd, 1);
    sim_fd_close(bench->host, fd);
    buf_clear(out);
    CU_ASSERT_EQUAL(sim_get_file(bench->host, "/out", out), 0);
    return answer;
}

static void expect_file(struct bench *bench, struct client *client, const char *path,
                        const char *text)
{
    struct arena heap;
    AUTO_BUF struct buf out;
    heap_arena_init(&heap);
    buf_init(&out, &heap, 0);
    EXPECT(read_path(bench, client, path, &out), ANSWER_OK);
    CU_ASSERT(out.size == strlen(text) && memcmp(buf_bytes(&out), text, out.size) == 0);
}

static void start(struct bench *bench, struct client *client)
{
    bench_init(bench, WRITER_SPEC);
    install_writer(bench);
    client_open(client, bench);
}

/* What SECOND saves of /scratch is what FIRST has saved, byte by byte: links, attributes and times
 * too. */
static void expect_same_again(struct bench *first, struct bench *second, struct client *client)
{
    struct arena heap;
    AUTO_BUF struct buf before, after;
    heap_arena_init(&heap);
    buf_init(&before, &heap, 0);
    buf_init(&after, &heap, 0);
    EXPECT(save(second, client, "{\"paths\":[\"all-tmpfs\"]}"), ANSWER_OK);
    CU_ASSERT_EQUAL_FATAL(sim_get_file(first->host, names[1], &before), 0);
    CU_ASSERT_EQUAL_FATAL(sim_get_file(second->host, names[1], &after), 0);
    /* The first sandbox's root is in its archive too, before what both have. */
    const u8 *was = memmem(buf_bytes(&before), before.size, " mtime=", 7);
    const u8 *is = memmem(buf_bytes(&after), after.size, " mtime=", 7);
    CU_ASSERT_FATAL(was && is);
    size_t size = before.size - (size_t)(was - buf_bytes(&before));
    CU_ASSERT(size == after.size - (size_t)(is - buf_bytes(&after)) && memcmp(was, is, size) == 0);
    CU_ASSERT_PTR_NOT_NULL(
        memmem(buf_bytes(&before), before.size, "SCHILY.xattr.user.k=val\n", 24));
}

static void test_what_was_written_is_found_by_a_later_sandbox(void)
{
    struct bench first, second;
    struct client client, waiter;
    start(&first, &client);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    client_open(&waiter, &first);
    EXPECT(client_call(&waiter, "containerManager.WaitFSCheckpoint", "null"), "");
    EXPECT(save(&first, &client, "{\"paths\":[\"all-tmpfs\"]}"), ANSWER_OK);
    EXPECT(client_read(&waiter), ANSWER_OK);
    client_close(&waiter);
    bench_init(&second,
               BENCH_SPEC("\"sleep\"", ",\"mounts\":[{\"destination\":\"/scratch\",\"type\":"
                                       "\"tmpfs\",\"source\":\"tmpfs\"}]"));
    carry(&first, &second);
    client_close(&client);
    client_open(&client, &second);
    client_open(&waiter, &second);
    EXPECT(client_call(&waiter, "containerManager.WaitFSRestore", "{\"CID\":\"c1\"}"), "");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(client_read(&waiter), ANSWER_OK);
    EXPECT_ERROR(client_call(&waiter, "containerManager.WaitFSRestore", "{\"CID\":\"c2\"}"),
                 "container \"c2\" not found");
    expect_file(&second, &client, "/scratch/dir/file", "kept\n");
    expect_file(&second, &client, "/scratch/link", "kept\n");
    expect_file(&second, &client, "/scratch/second", "kept\n");
    expect_same_again(&first, &second, &client);
    client_close(&waiter);
    client_close(&client);
    bench_fini(&first);
    bench_fini(&second);
}

static void test_saving_is_refused_with_a_reason(void)
{
    struct bench bench;
    struct client client, waiter;
    start(&bench, &client);
    EXPECT_ERROR(client_call(&client, SAVE, "{}"), "got 0 files, want 4");
    EXPECT_ERROR(save(&bench, &client, "{}"),
                 "sandbox is not in started state, cannot checkpoint: state=created");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    client_open(&waiter, &bench);
    EXPECT(client_call(&waiter, "containerManager.WaitFSCheckpoint", "null"), "");
    EXPECT_ERROR(save(&bench, &client, "{\"paths\":[\"scratch\"]}"),
                 "path to save must be absolute: \"scratch\"");
    EXPECT_ERROR(save(&bench, &client, "{\"paths\":[\"/scratch\",\"other:/scratch\"]}"),
                 "no checkpointable filesystem at \"other:/scratch\"");
    EXPECT_ERROR(client_read(&waiter), "no checkpointable filesystem at \"other:/scratch\"");
    EXPECT(save(&bench, &client,
                "{\"paths\":[{\"ContainerName\":\"__no_name_0\",\"Path\":\"/scratch\"}]}"),
           ANSWER_OK);
    EXPECT(save(&bench, &client, "{\"paths\":[\"__no_name_0:/scratch\"]}"), ANSWER_OK);
    client_close(&waiter);
    client_close(&client);
    bench_fini(&bench);
    bench_init(&bench, BENCH_SPEC("\"sleep\"", ""));
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT_ERROR(save(&bench, &client, "{}"), "no checkpointable filesystems");
    client_close(&client);
    bench_fini(&bench);
}

static void test_a_container_that_does_not_start_has_no_file_systems(void)
{
    struct bench bench;
    struct client client, waiter;
    bench_init(&bench, BENCH_SPEC("\"/bin/none\"", ""));
    client_open(&client, &bench);
    client_open(&waiter, &bench);
    EXPECT(client_call(&waiter, "containerManager.WaitFSRestore", "{\"CID\":\"c1\"}"), "");
    client_call(&client, "containerManager.StartRoot", "\"c1\"");
    EXPECT_ERROR(client_read(&waiter), "container \"c1\" has not started");
    client_close(&waiter);
    client_close(&client);
    bench_fini(&bench);
}

static void test_saving_ends_everything_where_it_is_asked_to(void)
{
    struct bench bench;
    struct client client;
    start(&bench, &client);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(save(&bench, &client, "{\"exit_after_saving\":true}"), ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.Wait", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":0}");
    client_close(&client);
    bench_fini(&bench);
}

/* Whatever the bytes are: an answer, and nothing is left behind. */
static void test_damaged_archives_do_no_harm(void)
{
    struct bench first;
    struct client client;
    struct arena heap;
    struct rand rand;
    AUTO_BUF struct buf tar, manifest;
    heap_arena_init(&heap);
    buf_init(&tar, &heap, 0);
    buf_init(&manifest, &heap, 0);
    rand_init(&rand, 11, "untar");
    start(&first, &client);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(save(&first, &client, "{\"paths\":[\"/scratch\"]}"), ANSWER_OK);
    CU_ASSERT_EQUAL_FATAL(sim_get_file(first.host, names[0], &manifest), 0);
    CU_ASSERT_EQUAL_FATAL(sim_get_file(first.host, names[1], &tar), 0);
    client_close(&client);
    bench_fini(&first);
    u8 *bytes = malloc(tar.size);
    u32 refused = 0;
    for (u32 round = 0; round < 40; round++) {
        struct bench bench;
        struct error err;
        int fds[FS_SAVE_FILES];
        memcpy(bytes, buf_bytes(&tar), tar.size);
        for (u32 i = 0; i < 1 + round % 8; i++)
            bytes[rand_below(&rand, tar.size)] = (u8)rand_below(&rand, 256);
        start(&bench, &client);
        for (u32 i = 0; i < FS_SAVE_FILES; i++) {
            const void *content = i == 0 ? buf_bytes(&manifest) : bytes;
            size_t size = i == 0 ? manifest.size : i == 1 ? tar.size : 0;
            CU_ASSERT_EQUAL_FATAL(sim_put_file(bench.host, names[i], content, size, 0600), 0);
            fds[i] = sim_open(bench.host, names[i], O_RDONLY, 0);
        }
        CU_ASSERT_EQUAL(loader_set_fs_image(bench.loader, fds, &err), 0);
        const char *answer = client_call(&client, "containerManager.StartRoot", "\"c1\"");
        CU_ASSERT(strncmp(answer, "{\"success\":", 11) == 0);
        refused += strcmp(answer, ANSWER_OK) != 0;
        client_close(&client);
        bench_fini(&bench);
    }
    CU_ASSERT(refused > 20);
    free(bytes);
}

static void test_file_systems_are_mounted_and_unmounted(void)
{
    struct bench bench;
    struct client client;
    struct arena heap;
    AUTO_BUF struct buf out;
    heap_arena_init(&heap);
    buf_init(&out, &heap, 0);
    start(&bench, &client);
    EXPECT_ERROR(client_call(&client, "Fs.Mount", "{\"target\":\"/m\",\"fs_type\":\"tmpfs\"}"),
                 "container c1 isn't started");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT_ERROR(client_call(&client, "Fs.Mount", "{\"target\":\"m\",\"fs_type\":\"tmpfs\"}"),
                 "target must be an absolute path: \"m\"");
    EXPECT_ERROR(client_call(&client, "Fs.Mount",
                             "{\"target\":\"/scratch\",\"fs_type\":\"tmpfs\",\"flags\":32}"),
                 "failed to mount tmpfs at /scratch: invalid argument");
    EXPECT_ERROR(client_call(&client, "Fs.Mount", "{\"target\":\"/scratch\",\"fs_type\":\"x\"}"),
                 "failed to mount x at /scratch: no such device");
    EXPECT_ERROR(
        client_call(&client, "Fs.Mount", "{\"target\":\"/scratch\",\"fs_type\":\"gofer\"}"),
        "failed to mount gofer at /scratch: bad file descriptor");
    EXPECT_ERROR(client_call(&client, "Fs.Mount",
                             "{\"container_id\":\"c2\",\"target\":\"/m\",\"fs_type\":\"tmpfs\"}"),
                 "container c2 is deleted");
    EXPECT(client_call(&client, "Fs.Mount",
                       "{\"container_id\":\"c1\",\"source\":\"none\",\"target\":\"/scratch/dir\","
                       "\"fs_type\":\"tmpfs\",\"flags\":1}"),
           ANSWER_OK);
    EXPECT_ERROR(read_path(&bench, &client, "/scratch/dir/file", &out),
                 "open /scratch/dir/file: no such file or directory");
    EXPECT(client_call(&client, "Fs.Umount", "{\"target\":\"/scratch/dir\"}"), ANSWER_OK);
    expect_file(&bench, &client, "/scratch/dir/file", "kept\n");
    EXPECT_ERROR(client_call(&client, "Fs.Umount", "{\"target\":\"/scratch/dir\"}"),
                 "failed to unmount /scratch/dir: invalid argument");
    EXPECT_ERROR(client_call(&client, "Fs.Umount", "{\"target\":\"\"}"),
                 "target must be an absolute path: \"\"");
    int gofer = bench_gofer(&bench, "/rootfs");
    EXPECT(client_call_fds(&client, "Fs.Mount",
                           "{\"target\":\"/scratch/host\",\"fs_type\":\"gofer\",\"flags\":1}",
                           &gofer, 1),
           ANSWER_OK);
    sim_fd_close(bench.host, gofer);
    expect_file(&bench, &client, "/scratch/host/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    EXPECT(client_call(&client, "Fs.Umount", "{\"target\":\"/scratch/host\"}"), ANSWER_OK);
    client_close(&client);
    bench_fini(&bench);
}

void fs_save_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/fs_save", NULL, NULL);
    CU_ADD_TEST(suite, test_what_was_written_is_found_by_a_later_sandbox);
    CU_ADD_TEST(suite, test_saving_is_refused_with_a_reason);
    CU_ADD_TEST(suite, test_a_container_that_does_not_start_has_no_file_systems);
    CU_ADD_TEST(suite, test_saving_ends_everything_where_it_is_asked_to);
    CU_ADD_TEST(suite, test_damaged_archives_do_no_harm);
    CU_ADD_TEST(suite, test_file_systems_are_mounted_and_unmounted);
}
