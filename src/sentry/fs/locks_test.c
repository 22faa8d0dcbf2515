/* SPDX-License-Identifier: Apache-2.0 */
/* Record locks against a model that keeps one owner list a byte; waiting, deadlocks, flock, ends.
 */
#include "sentry/fs/locks.h"

#include "base/rand.h"
#include "sentry/fs/testing.h"

#define BYTES 24u
#define OWNERS 3u

SLEEPS static int set(struct task *task, struct file *file, i32 type, u64 start, u64 end,
                      bool is_ofd)
{
    const struct lock_request request = {
        .type = type, .start = start, .end = end, .is_ofd = is_ofd};
    return lock_set(task, file, &request, false);
}

/* ---- against a model ------------------------------------------------------------------------ */

/* model[owner][byte]: the lock's type + 1, or 0. */
static bool model_set(u8 model[OWNERS][BYTES], u32 owner, i32 type, u64 start, u64 end)
{
    for (u32 other = 0; other < OWNERS && type != LINUX_F_UNLCK; other++)
        for (u64 byte = start; byte < end && other != owner; byte++)
            if (model[other][byte] &&
                (type == LINUX_F_WRLCK || model[other][byte] == LINUX_F_WRLCK + 1))
                return false;
    for (u64 byte = start; byte < end; byte++)
        model[owner][byte] = type == LINUX_F_UNLCK ? 0 : (u8)(type + 1);
    return true;
}

SLEEPS_ROOT static void random_locks(struct task *task, struct world *world)
{
    write_text(task, "/f", "");
    struct file *files[OWNERS];
    for (u32 i = 0; i < OWNERS; i++)
        files[i] = must_open(task, "/f", LINUX_O_RDWR);
    struct rand rand;
    rand_init(&rand, 7, "locks");
    static u8 model[OWNERS][BYTES];
    memset(model, 0, sizeof model);
    u32 wrong = 0;
    for (u32 step = 0; step < 20000; step++) {
        static const i32 types[] = {LINUX_F_RDLCK, LINUX_F_WRLCK, LINUX_F_UNLCK};
        u32 owner = (u32)rand_below(&rand, OWNERS);
        i32 type = types[rand_below(&rand, 3)];
        u64 start = rand_below(&rand, BYTES), end = start + 1 + rand_below(&rand, BYTES - start);
        bool ok = set(task, files[owner], type, start, end, true) == 0;
        wrong += ok != model_set(model, owner, type, start, end);
        /* F_GETLK of one byte says whose and which. */
        u64 byte = rand_below(&rand, BYTES);
        struct lock_request request = {
            .type = LINUX_F_WRLCK, .start = byte, .end = byte + 1, .is_ofd = true};
        i32 pid = 0;
        lock_test(task, files[owner], &request, &pid);
        bool is_taken = false;
        for (u32 other = 0; other < OWNERS; other++)
            is_taken |= other != owner && model[other][byte];
        wrong += is_taken != (request.type != LINUX_F_UNLCK);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    for (u32 i = 0; i < OWNERS; i++)
        REF_PUT(files[i]);
}

static void test_record_locks_equal_a_model_by_bytes(void)
{
    world_test(random_locks);
}

/* ---- kinds and ends ------------------------------------------------------------------------- */

SLEEPS_ROOT static void kinds(struct task *task, struct world *world)
{
    write_text(task, "/f", "");
    AUTO_PUT struct file *a = must_open(task, "/f", LINUX_O_RDWR);
    AUTO_PUT struct file *b = must_open(task, "/f", LINUX_O_RDONLY);
    CU_ASSERT_EQUAL(set(task, b, LINUX_F_WRLCK, 0, 1, false), -EBADF);
    /* POSIX locks of one table never stand in each other's way, OFD locks do. */
    CU_ASSERT_EQUAL(set(task, a, LINUX_F_WRLCK, 0, 10, false), 0);
    CU_ASSERT_EQUAL(set(task, b, LINUX_F_RDLCK, 0, 10, false), 0);
    CU_ASSERT_EQUAL(set(task, a, LINUX_F_WRLCK, 0, 10, false), 0);
    CU_ASSERT_EQUAL(set(task, b, LINUX_F_RDLCK, 0, 10, true), -EAGAIN);
    CU_ASSERT_EQUAL(lock_flock(task, b, LINUX_F_WRLCK, false), 0); /* another world */
    CU_ASSERT_EQUAL(lock_flock(task, a, LINUX_F_RDLCK, false), -EAGAIN);
    CU_ASSERT_EQUAL(lock_flock(task, b, LINUX_F_RDLCK, false), 0);
    CU_ASSERT_EQUAL(lock_flock(task, a, LINUX_F_RDLCK, false), 0);
    /* Closing any descriptor of the file drops the table's locks. */
    CU_ASSERT_EQUAL(file_flush(task, b, task->fds), 0);
    CU_ASSERT_EQUAL(set(task, b, LINUX_F_RDLCK, 0, 10, true), 0);
    CU_ASSERT_EQUAL(set(task, a, LINUX_F_WRLCK, 5, 6, true), -EAGAIN);
    REF_CLEAR(b); /* the description's end drops its own */
    CU_ASSERT_EQUAL(set(task, a, LINUX_F_WRLCK, 5, 6, true), 0);
    AUTO_BUF struct buf text;
    buf_init(&text, task->kernel->arena, 0);
    u32 index = 0;
    CU_ASSERT_EQUAL(locks_show(a->inode, &index, &text), 0);
    CU_ASSERT_EQUAL(index, 2);
    CU_ASSERT(strstr(buf_text(&text), "OFDLCK ADVISORY  WRITE -1") != NULL);
}

static void test_kinds_of_locks_and_their_ends(void)
{
    world_test(kinds);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static struct file *shared[2];
static struct fd_table *tables[2];
static int results[2];

SLEEPS static int set_wait(struct task *task, struct file *file, u64 start)
{
    const struct lock_request request = {.type = LINUX_F_WRLCK, .start = start, .end = start + 1};
    return lock_set(task, file, &request, true);
}

/* Two processes, two bytes, in opposite order: the second to wait is told. */
SLEEPS_ROOT static void first(struct task *task, struct world *world)
{
    write_text(task, "/f", "");
    shared[0] = must_open(task, "/f", LINUX_O_RDWR);
    CU_ASSERT_EQUAL(set_wait(task, shared[0], 0), 0);
    fiber_yield(&task->fiber);
    results[0] = set_wait(task, shared[0], 1);
    tables[0] = task->fds;
    REF_CLEAR(shared[0]);
}

SLEEPS_ROOT static void second(struct task *task, struct world *world)
{
    shared[1] = must_open(task, "/f", LINUX_O_RDWR);
    CU_ASSERT_EQUAL(set_wait(task, shared[1], 1), 0);
    fiber_yield(&task->fiber);
    fiber_yield(&task->fiber);
    results[1] = set_wait(task, shared[1], 0);
    CU_ASSERT_EQUAL(file_flush(task, shared[1], task->fds), 0); /* lets the first one go on */
    REF_CLEAR(shared[1]);
}

static void test_a_circle_of_waiters_is_a_deadlock(void)
{
    struct world world;
    struct actor actors[] = {{.body = first}, {.body = second}};
    world_begin(&world, 1);
    world_run(&world, actors, 2);
    CU_ASSERT(actors[0].has_ended && actors[1].has_ended);
    CU_ASSERT_EQUAL(results[0], 0);
    CU_ASSERT_EQUAL(results[1], -EDEADLK);
    world_end(&world);
}

void locks_suite(void);
void locks_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/locks", NULL, NULL);
    CU_ADD_TEST(suite, test_record_locks_equal_a_model_by_bytes);
    CU_ADD_TEST(suite, test_kinds_of_locks_and_their_ends);
    CU_ADD_TEST(suite, test_a_circle_of_waiters_is_a_deadlock);
}
