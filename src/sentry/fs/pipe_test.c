/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes and fifos between fibers: blocking, atomic writes, ends, sizes, packets. */
#include "sentry/fs/pipe.h"

#include "sentry/fs/testing.h"
#include "sentry/fs/poll.h"

/* What the fibers of one test share. */
static struct file *reader, *writer;
static char trace[256];

static void note(const char *text)
{
    strncat(trace, text, sizeof trace - strlen(trace) - 1);
}

SLEEPS static i64 read_some(struct task *task, struct file *file, char *out, u64 size)
{
    struct uio_segment segment;
    struct uio uio;
    uio_init_kernel(&uio, &task->fiber, out, size, &segment);
    return file_read(task, file, &uio, NULL);
}

SLEEPS static i64 write_some(struct task *task, struct file *file, const char *bytes, u64 size)
{
    struct uio_segment segment;
    struct uio uio;
    uio_init_kernel(&uio, &task->fiber, (void *)(uintptr_t)bytes, size, &segment);
    return file_write(task, file, &uio, NULL);
}

SLEEPS_ROOT static void make_pipe(struct task *task, struct world *world)
{
    CU_ASSERT_EQUAL_FATAL(pipe_create(task->kernel, 0, &reader, &writer), 0);
}

/* ---- ends ----------------------------------------------------------------------------------- */

SLEEPS_ROOT static void ends(struct task *task, struct world *world)
{
    char out[16];
    CU_ASSERT_EQUAL_FATAL(pipe_create(task->kernel, LINUX_O_NONBLOCK, &reader, &writer), 0);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 16), -EAGAIN);
    CU_ASSERT_EQUAL(file_poll(reader, NULL), 0);
    CU_ASSERT_EQUAL(file_poll(writer, NULL), POLL_OUT | POLL_WRNORM);
    CU_ASSERT_EQUAL(write_some(task, writer, "hello", 5), 5);
    CU_ASSERT_EQUAL(file_poll(reader, NULL), POLL_IN | POLL_RDNORM);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 2), 2);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 16), 3);
    CU_ASSERT_EQUAL(read_some(task, writer, out, 1), -EBADF);
    CU_ASSERT_EQUAL(write_some(task, reader, "x", 1), -EBADF);
    u64 offset = 0;
    struct uio uio = {0};
    CU_ASSERT_EQUAL(file_read(task, reader, &uio, &offset), -ESPIPE);
    CU_ASSERT_EQUAL(file_seek(task, reader, 0, LINUX_SEEK_SET), -ESPIPE);
    CU_ASSERT_EQUAL(write_some(task, writer, "last", 4), 4);
    REF_CLEAR(writer);
    CU_ASSERT_EQUAL(file_poll(reader, NULL), POLL_IN | POLL_RDNORM | POLL_HUP);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 16), 4);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 16), 0);
    REF_CLEAR(reader);
    make_pipe(task, world);
    REF_CLEAR(reader);
    CU_ASSERT_EQUAL(file_poll(writer, NULL), POLL_OUT | POLL_WRNORM | POLL_ERR);
    CU_ASSERT_EQUAL(write_some(task, writer, "x", 1), -EPIPE);
    REF_CLEAR(writer);
}

static void test_ends_of_a_pipe_know_of_each_other(void)
{
    world_test(ends);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

SLEEPS_ROOT static void sizes(struct task *task, struct world *world)
{
    static char bytes[80000];
    CU_ASSERT_EQUAL_FATAL(pipe_create(task->kernel, LINUX_O_NONBLOCK, &reader, &writer), 0);
    struct pipe *pipe = pipe_of(reader);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, sizeof bytes), 65536);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, 1), -EAGAIN);
    CU_ASSERT_EQUAL(read_some(task, reader, bytes, 4095), 4095);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, 4096), -EAGAIN); /* no whole page is free */
    CU_ASSERT_EQUAL(read_some(task, reader, bytes, 1), 1);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, 4096), 4096);
    CU_ASSERT_EQUAL(pipe_set_capacity(task, pipe, 8192), -EBUSY);
    CU_ASSERT_EQUAL(pipe_set_capacity(task, pipe, 70000), 131072);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, 5000), 5000);
    CU_ASSERT_EQUAL(pipe_bytes(pipe), 65536 + 5000);
    CU_ASSERT_EQUAL(read_some(task, reader, bytes, sizeof bytes), 65536 + 5000);
    CU_ASSERT_EQUAL(pipe_set_capacity(task, pipe, 1), 4096);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, 5000), 4096);
    CU_ASSERT_EQUAL(read_some(task, reader, bytes, 10), 10);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, 10),
                    -EAGAIN); /* the page's front is not used again */
    REF_CLEAR(reader);
    REF_CLEAR(writer);
}

static void test_a_pipe_counts_pages(void)
{
    world_test(sizes);
}

SLEEPS_ROOT static void packets(struct task *task, struct world *world)
{
    char out[16];
    CU_ASSERT_EQUAL_FATAL(pipe_create(task->kernel, LINUX_O_DIRECT, &reader, &writer), 0);
    CU_ASSERT_EQUAL(write_some(task, writer, "first", 5), 5);
    CU_ASSERT_EQUAL(write_some(task, writer, "second", 6), 6);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 3), 3);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 16), 6);
    REF_CLEAR(reader);
    REF_CLEAR(writer);
}

static void test_packets_stay_apart(void)
{
    world_test(packets);
}

/* ---- blocking ------------------------------------------------------------------------------- */

SLEEPS_ROOT static void reads_three(struct task *task, struct world *world)
{
    char out[8] = {0};
    note("r");
    i64 size = read_some(task, reader, out, 7);
    CU_ASSERT_EQUAL(size, 3);
    note(out);
    CU_ASSERT_EQUAL(read_some(task, reader, out, 7), 0);
    note("end");
    REF_CLEAR(reader);
}

SLEEPS_ROOT static void writes_three(struct task *task, struct world *world)
{
    note("w");
    CU_ASSERT_EQUAL(write_some(task, writer, "abc", 3), 3);
    fiber_yield(&task->fiber);
    REF_CLEAR(writer);
    note(".");
}

static void test_a_reader_sleeps_until_bytes_or_the_end_come(void)
{
    struct world world;
    struct actor maker = {.body = make_pipe};
    struct actor actors[] = {{.body = reads_three}, {.body = writes_three}};
    trace[0] = 0;
    world_begin(&world, 1);
    world_run(&world, &maker, 1);
    world_run(&world, actors, 2);
    CU_ASSERT(actors[0].has_ended && actors[1].has_ended);
    CU_ASSERT_STRING_EQUAL(trace, "rwabc.end");
    world_end(&world);
}

#define BIG (200u << 10)
SLEEPS_ROOT static void writes_big(struct task *task, struct world *world)
{
    static char bytes[BIG];
    for (u32 i = 0; i < BIG; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    CU_ASSERT_EQUAL(write_some(task, writer, bytes, BIG), BIG);
    REF_CLEAR(writer);
}

SLEEPS_ROOT static void reads_big(struct task *task, struct world *world)
{
    static char bytes[BIG];
    u64 done = 0;
    for (i64 size; (size = read_some(task, reader, bytes + done, MIN(BIG - done, 777u))) > 0;)
        done += (u64)size;
    CU_ASSERT_EQUAL(done, BIG);
    u32 wrong = 0;
    for (u32 i = 0; i < BIG; i++)
        wrong += bytes[i] != (char)(i * 7 + i / 251);
    CU_ASSERT_EQUAL(wrong, 0);
    REF_CLEAR(reader);
}

static void test_more_than_a_pipe_holds_goes_through_in_order(void)
{
    struct world world;
    struct actor maker = {.body = make_pipe};
    struct actor actors[] = {{.body = writes_big}, {.body = reads_big}};
    for (u64 seed = 1; seed <= 5; seed++) {
        world_begin(&world, seed);
        world_run(&world, &maker, 1);
        world_run(&world, actors, 2);
        CU_ASSERT(actors[0].has_ended && actors[1].has_ended);
        world_end(&world);
    }
}

/* ---- fifos ---------------------------------------------------------------------------------- */

SLEEPS_ROOT static void fifo_open_rules(struct task *task, struct world *world)
{
    CU_ASSERT_EQUAL(vfs_mknod(task, NULL, "/fifo", LINUX_S_IFIFO | 0666, 0), 0);
    CU_ASSERT_EQUAL(open_error(task, "/fifo", LINUX_O_WRONLY | LINUX_O_NONBLOCK), -ENXIO);
    AUTO_PUT struct file *in = must_open(task, "/fifo", LINUX_O_RDONLY | LINUX_O_NONBLOCK);
    CU_ASSERT_EQUAL(file_poll(in, NULL), 0); /* no hang-up before the first writer */
    AUTO_PUT struct file *out = must_open(task, "/fifo", LINUX_O_WRONLY | LINUX_O_NONBLOCK);
    CU_ASSERT_EQUAL(write_some(task, out, "kept?", 5), 5);
    REF_CLEAR(out);
    CU_ASSERT_EQUAL(file_poll(in, NULL), POLL_IN | POLL_RDNORM | POLL_HUP);
    REF_CLEAR(in);
    in = must_open(task, "/fifo", LINUX_O_RDWR | LINUX_O_NONBLOCK);
    char byte;
    CU_ASSERT_EQUAL(read_some(task, in, &byte, 1), -EAGAIN); /* what nobody had open is gone */
}

static void test_fifos_open_as_fifo_7_says(void)
{
    world_test(fifo_open_rules);
}

SLEEPS_ROOT static void makes_fifo(struct task *task, struct world *world)
{
    CU_ASSERT_EQUAL(vfs_mknod(task, NULL, "/fifo", LINUX_S_IFIFO | 0666, 0), 0);
}

SLEEPS_ROOT static void opens_to_read(struct task *task, struct world *world)
{
    AUTO_PUT struct file *file = must_open(task, "/fifo", LINUX_O_RDONLY);
    note("R");
    char byte = 0;
    CU_ASSERT_EQUAL(read_some(task, file, &byte, 1), 1);
    CU_ASSERT_EQUAL(byte, 'x');
}

SLEEPS_ROOT static void opens_to_write(struct task *task, struct world *world)
{
    note("go");
    AUTO_PUT struct file *file = must_open(task, "/fifo", LINUX_O_WRONLY);
    CU_ASSERT_EQUAL(write_some(task, file, "x", 1), 1);
}

static void test_openers_of_a_fifo_wait_for_each_other(void)
{
    struct world world;
    struct actor maker = {.body = makes_fifo};
    struct actor actors[] = {{.body = opens_to_read}, {.body = opens_to_write}};
    trace[0] = 0;
    world_begin(&world, 1);
    world_run(&world, &maker, 1);
    world_run(&world, actors, 1);
    CU_ASSERT(!actors[0].has_ended);
    world_run(&world, actors + 1, 1);
    CU_ASSERT(actors[0].has_ended && actors[1].has_ended);
    CU_ASSERT_STRING_EQUAL(trace, "goR");
    world_end(&world);
}

void pipe_suite(void);
void pipe_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/pipe", NULL, NULL);
    CU_ADD_TEST(suite, test_ends_of_a_pipe_know_of_each_other);
    CU_ADD_TEST(suite, test_a_pipe_counts_pages);
    CU_ADD_TEST(suite, test_packets_stay_apart);
    CU_ADD_TEST(suite, test_a_reader_sleeps_until_bytes_or_the_end_come);
    CU_ADD_TEST(suite, test_more_than_a_pipe_holds_goes_through_in_order);
    CU_ADD_TEST(suite, test_fifos_open_as_fifo_7_says);
    CU_ADD_TEST(suite, test_openers_of_a_fifo_wait_for_each_other);
}
