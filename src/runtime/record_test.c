/* SPDX-License-Identifier: Apache-2.0 */
/* Records: what is written is read again, by us and by older clients; ids, shortened ids, locks. */
#include "runtime/record.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char path[64];
    int dir;
};

static void setup(struct fixture *f)
{
    strcpy(f->path, "/tmp/picket-record-XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(f->path) != NULL);
    struct error err;
    CU_ASSERT_FATAL(state_dir_open(f->path, false, &f->dir, &err) == 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    return remove(path);
}

static void teardown(struct fixture *f)
{
    close(f->dir);
    nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_file(const struct fixture *f, const char *name, const char *text)
{
    int fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static struct record *sample(const char *id, const char *sandbox)
{
    static const char spec[] = "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"x\"]}}";
    struct record *record = record_new();
    struct pool *pool = &record->pool;
    record->id = pool_strdup(pool, id);
    record->spec = (struct json_text){.bytes = spec, .size = sizeof spec - 1};
    record->bundle_dir = pool_strdup(pool, "/b <&>");
    record->status = pool_strdup(pool, STATUS_CREATED);
    record->gofer_pid = 7;
    record->sandbox = pool_alloc(pool, sizeof *record->sandbox);
    record->sandbox->id = pool_strdup(pool, sandbox);
    record->sandbox->pid = 4000000000;
    record->sandbox->pid_start = INT64_MAX;
    record->saver.root_dir = pool_strdup(pool, "/r");
    record->saver.id = (struct record_id){pool_strdup(pool, sandbox), pool_strdup(pool, id)};
    return record;
}

static void save(const struct fixture *f, const char *id, const char *sandbox)
{
    struct error err;
    AUTO_RECORD struct record *record = sample(id, sandbox);
    CU_ASSERT_EQUAL(record_save(f->dir, record, &err), 0);
}

static void test_a_saved_record_is_read_again(void)
{
    struct fixture f;
    struct error err;
    setup(&f);
    save(&f, "c1", "s1");
    struct full_id id = {"c1", "s1"};
    CU_ASSERT(record_exists(f.dir, &id));
    AUTO_RECORD struct record *record = NULL;
    CU_ASSERT_FATAL(record_load(f.dir, &id, &record, &err) == 0);
    CU_ASSERT_STRING_EQUAL(record->bundle_dir, "/b <&>");
    CU_ASSERT_EQUAL(record->sandbox->pid, 4000000000);
    CU_ASSERT_EQUAL(record->sandbox->pid_start, INT64_MAX);
    CU_ASSERT(!record_is_root(record));
    CU_ASSERT(record_has_status(record, STATUS_CREATED));
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    CU_ASSERT_EQUAL(record_spec(record, &spec, &err), 0);
    struct stat stat;
    CU_ASSERT(fstatat(f.dir, "c1_sandbox:s1.state", &stat, 0) == 0 &&
              (stat.st_mode & 0777) == 0640);
    /* As a writer that was killed leaves it. */
    int fd = openat(f.dir, ".c1_sandbox:s1.state.new", O_WRONLY | O_CREAT | O_EXCL, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    record_remove(f.dir, &id);
    CU_ASSERT(!record_exists(f.dir, &id));
    CU_ASSERT(fstatat(f.dir, ".c1_sandbox:s1.state.new", &stat, 0) < 0);
    teardown(&f);
}

/* As runsc of 2022 writes it, shortened. */
static void test_an_old_clients_record_is_read(void)
{
    struct fixture f;
    struct error err;
    setup(&f);
    put_file(
        &f, "w1_sandbox:w1.state",
        "{\"id\":\"w1\",\"spec\":{\"ociVersion\":\"1.0.0\"},\"bundleDir\":\"/b\",\"createdAt\":"
        "\"2026-11-24T06:55:15.593809126Z\",\"owner\":\"\",\"consoleSocket\":\"\",\"status\":"
        "\"running\","
        "\"goferPid\":32173,\"sandbox\":{\"id\":\"w1\",\"pid\":32174,\"uid\":65534,\"gid\":65534,"
        "\"cgroup\":"
        "{\"cgroupunknown\":null},\"originalOomScoreAdj\":0},\"compatCgroup\":{\"cgroupunknown\":"
        "null},"
        "\"saver\":{\"rootDir\":\"/"
        "r\",\"id\":{\"sandboxId\":\"w1\",\"containerId\":\"w1\"}},\"new\":[1]}");
    AUTO_RECORD struct record *record = NULL;
    struct full_id id = {"w1", "w1"};
    CU_ASSERT_FATAL(record_load(f.dir, &id, &record, &err) == 0);
    CU_ASSERT_EQUAL(record->sandbox->pid, 32174);
    CU_ASSERT_EQUAL(record->sandbox->pid_start, 0);
    CU_ASSERT(record_is_root(record));
    CU_ASSERT_EQUAL(record_save(f.dir, record, &err), 0);
    teardown(&f);
}

static void test_broken_records_are_refused(void)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{}",
                                        "{\"id\":\"other\",\"status\":\"running\",\"sandbox\":{}}",
                                        "{\"id\":\"x\",\"status\":\"running\"}",
                                        "{\"id\":5}",
                                        "{\"id\":\"x\",\"sandbox\":{\"pid\":\"1\"}}"};
    struct fixture f;
    struct error err;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        AUTO_RECORD struct record *record = NULL;
        struct full_id id = {"x", "x"};
        put_file(&f, "x_sandbox:x.state", texts[i]);
        CU_ASSERT_EQUAL(record_load(f.dir, &id, &record, &err), -1);
        CU_ASSERT(strncmp(err.text, "loading container \"x\": ", 23) == 0);
        CU_ASSERT(err.code != ENOENT);
    }
    teardown(&f);
}

static void test_ids_may_be_short_but_not_ambiguous(void)
{
    struct fixture f;
    struct error err;
    struct full_id id;
    setup(&f);
    save(&f, "web", "web");
    save(&f, "web2", "web2");
    save(&f, "db", "web");
    put_file(&f, "junk", "");
    put_file(&f, "..x_sandbox:y.state", "");
    put_file(&f, "_sandbox:y.state", "");
    put_file(&f, "db_sandbox:.state", "");
    CU_ASSERT_EQUAL(state_dir_find(f.dir, "d", &id, &err), 0);
    CU_ASSERT_STRING_EQUAL(id.container, "db");
    CU_ASSERT_STRING_EQUAL(id.sandbox, "web");
    CU_ASSERT_EQUAL(state_dir_find(f.dir, "web", &id, &err), -1);
    CU_ASSERT_STRING_EQUAL(
        err.text,
        "id \"web\" is ambiguous and could refer to multiple containers: [\"web\" \"web2\"]");
    CU_ASSERT_EQUAL(state_dir_find(f.dir, "x", &id, &err), -1);
    CU_ASSERT_EQUAL(err.code, ENOENT);
    CU_ASSERT_STRING_EQUAL(err.text, "loading container \"x\": file does not exist");
    CU_ASSERT_EQUAL(state_dir_find(f.dir, "../x", &id, &err), -1);
    CU_ASSERT_EQUAL(state_dir_find(-1, "web", &id, &err), -1);
    CU_ASSERT_EQUAL(err.code, ENOENT);

    struct full_id *ids;
    u32 count;
    CU_ASSERT_EQUAL(state_dir_list(f.dir, &ids, &count, &err), 0);
    CU_ASSERT_EQUAL_FATAL(count, 3);
    CU_ASSERT_STRING_EQUAL(ids[0].container, "db");
    free(ids);
    CU_ASSERT_EQUAL(state_dir_list_sandbox(f.dir, "web", &ids, &count, &err), 0);
    CU_ASSERT_EQUAL_FATAL(count, 2);
    CU_ASSERT_STRING_EQUAL(ids[1].container, "web"); /* the root container last */
    free(ids);
    teardown(&f);
}

static void test_ids_have_letters_digits_and_few_signs(void)
{
    static const char *const good[] = {"a", "A_b+c-d.e", "0", "..."};
    static const char *const bad[] = {"", ".", "..", "a/b", "a b", "a:b", "\xc3\xa9", "a\n"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        CU_ASSERT(container_id_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CU_ASSERT(!container_id_is_valid(bad[i]));
    char text[300];
    memset(text, 'a', sizeof text);
    text[256] = 0;
    CU_ASSERT(!container_id_is_valid(text));
    text[255] = 0;
    CU_ASSERT(container_id_is_valid(text));
}

/* Who waited for the lock of a container that was deleted meanwhile must not believe it has one. */
static void test_a_lock_whose_file_went_away_is_no_lock(void)
{
    struct fixture f;
    struct error err;
    int lock;
    struct full_id id = {"c", "c"};
    setup(&f);
    CU_ASSERT_EQUAL(record_lock(f.dir, &id, false, &lock, &err), -1);
    CU_ASSERT_EQUAL(err.code, ENOENT);
    CU_ASSERT_EQUAL_FATAL(record_lock(f.dir, &id, true, &lock, &err), 0);
    int pipes[2];
    CU_ASSERT_FATAL(pipe(pipes) == 0);
    pid_t child = fork();
    if (child == 0) {
        int second;
        close(lock);
        (void)!write(pipes[1], "w", 1);
        int got = record_lock(f.dir, &id, false, &second, &err);
        _exit(got < 0 && err.code == ENOENT ? 0 : 1);
    }
    char word;
    CU_ASSERT_EQUAL(read(pipes[0], &word, 1), 1);
    usleep(50000); /* most likely it waits by now; if not, it finds no file, which is as good */
    record_remove(f.dir, &id);
    close(lock);
    int status;
    CU_ASSERT(waitpid(child, &status, 0) == child && status == 0);
    close(pipes[0]);
    close(pipes[1]);
    teardown(&f);
}

static void test_the_folder_is_made_when_asked_for(void)
{
    struct fixture f;
    struct error err;
    int dir;
    char path[128];
    setup(&f);
    snprintf(path, sizeof path, "%s/a/b", f.path);
    CU_ASSERT_EQUAL(state_dir_open(path, false, &dir, &err), -1);
    CU_ASSERT_EQUAL(err.code, ENOENT);
    CU_ASSERT_EQUAL(state_dir_open(path, true, &dir, &err), 0);
    struct stat stat;
    CU_ASSERT(fstat(dir, &stat) == 0 && (stat.st_mode & 0777) == 0711);
    close(dir);
    teardown(&f);
}

void record_suite(void)
{
    CU_pSuite suite = CU_add_suite("record", NULL, NULL);
#define TEST(name) CU_add_test(suite, #name, test_##name)
    TEST(a_saved_record_is_read_again);
    TEST(an_old_clients_record_is_read);
    TEST(broken_records_are_refused);
    TEST(ids_may_be_short_but_not_ambiguous);
    TEST(ids_have_letters_digits_and_few_signs);
    TEST(a_lock_whose_file_went_away_is_no_lock);
    TEST(the_folder_is_made_when_asked_for);
#undef TEST
}
