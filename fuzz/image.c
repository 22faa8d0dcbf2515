/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image reader. A true image of a sandbox with files, pipes, sockets, timers and signals is
 * made with the first input. Then the first byte chooses:
 *   0  the input is a whole image, as it is
 *   1  the input is edits of the true image, checksums left as they were: refused
 *   2  the input is edits of its stream of objects, which then has right checksums: built or
 *      refused, and taken down again
 *   3  the input is a chunk of pages   4  it is a file of pages' metadata and one of pages
 * An edit is six bytes: where (3), how (1), with what (2).
 */
#include "fuzz/box.h"

#include <fcntl.h>

#include "sentry/state/internal.h"

static const char lines[] =
    "[{on: {SIGUSR1: [{write: [1, \"x\"]}]}},"
    " {pipe2: [0x18020000, 0]}, {eventfd2: [3, 0]}, {timerfd_create: [CLOCK_MONOTONIC, 0], set: t},"
    " {timerfd_settime: [$t, 0, {interval: 1s, value: 1s}, null]},"
    " {socketpair: [1, 1, 0, 0x18020010]}, {epoll_create1: [0]},"
    " {openat: [-100, \"/tmp\", 0]}, {open: [\"/rootfile\", 0102, 0644], set: f},"
    " {write: [$f, \"some text\"]}, {write: [5, \"in a pipe\"]},"
    " {mmap: [0x20000000, 64K, 3, 0x32, -1, 0]}, {fill: [0x20000000, 32K, random]},"
    " {fork: [{loop: [{pause: []}]}]}, {loop: [{pause: []}]}]";

static struct fuzz_box source, target;
static struct buf image, objects;
static u64 object_count;

struct memory_input {
    struct state_input input;
    const u8 *at, *end;
};

static i64 memory_read(struct state_input *input, void *out, size_t size)
{
    struct memory_input *memory = input->owner;
    size_t got = MIN(size, (size_t)(memory->end - memory->at));
    memcpy(out, memory->at, got);
    memory->at += got;
    return (i64)got;
}

static void memory_open(struct memory_input *memory, const u8 *bytes, size_t size)
{
    *memory = (struct memory_input){.at = bytes, .end = bytes + size};
    memory->input = (struct state_input){.read = memory_read, .owner = memory};
}

/* ---- the true image ------------------------------------------------------------------------- */

SLEEPS static void split_image(struct arena *arena)
{
    struct memory_input memory;
    u64 metadata_size;
    memcpy(&metadata_size, buf_bytes(&image) + 8, sizeof metadata_size);
    size_t skipped = 16 + __builtin_bswap64(metadata_size);
    memory_open(&memory, buf_bytes(&image) + skipped, image.size - skipped);
    for (bool is_end = false; !is_end;) {
        struct chunk_header header;
        u8 *bytes = NULL;
        box_must(chunk_read(&memory.input, arena, &header, &bytes) == 0, "the true image reads");
        if (header.type == CHUNK_OBJECTS)
            box_must(!buf_append(&objects, bytes, header.raw_size), "memory");
        is_end = header.type == CHUNK_END;
        if (is_end)
            object_count = ((const struct image_end *)(const void *)bytes)->object_count;
        arena_free(arena, bytes, header.raw_size + 1u);
    }
}

struct job {
    const u8 *bytes;
    size_t size;
    bool has_ended;
    void (*body)(struct kernel *kernel, struct task *task, const u8 *bytes, size_t size);
};

SLEEPS_ROOT static void job_main(struct task *task, void *arg)
{
    struct job *job = arg;
    job->body(task->kernel, task, job->bytes, job->size);
    job->has_ended = true;
}

static void run_in(struct fuzz_box *box,
                   void (*body)(struct kernel *, struct task *, const u8 *, size_t),
                   const u8 *bytes, size_t size)
{
    struct job job = {.bytes = bytes, .size = size, .body = body};
    struct task *task;
    if (task_create_kernel(box->sandbox.kernel, "fuzz", job_main, &job, &task) || task_start(task))
        abort();
    object_put(&task->object);
    box_must(sandbox_run(&box->sandbox) && job.has_ended, "the input was served to its end");
}

SLEEPS static void take_apart(struct kernel *kernel, struct task *task, const u8 *bytes,
                              size_t size)
{
    split_image(kernel->arena);
}

static void make_image(void)
{
    static const char start[] = "{\"method\":\"containerManager.StartRoot\",\"arg\":\"main\"}";
    static const char save[] = "{\"method\":\"containerManager.Checkpoint\",\"arg\":{\"Resume\":"
                               "true,\"metadata\":{\"compression\":\"none\"}}}";
    box_make(&source, lines);
    box_make(&target, lines);
    box_call_ok(&source, start, -1);
    int fd = sim_open(source.host, "/img/a", O_WRONLY | O_CREAT, 0600);
    box_call_ok(&source, save, fd);
    sim_fd_close(source.host, fd);
    buf_init(&image, &source.heap, 0);
    buf_init(&objects, &source.heap, 0);
    box_must(!sim_get_file(source.host, "/img/a", &image), "there is an image");
    run_in(&source, take_apart, NULL, 0);
}

/* ---- edits ---------------------------------------------------------------------------------- */

static size_t edit_one(u8 *bytes, size_t size, const u8 edit[6])
{
    size_t at = (edit[0] | edit[1] << 8 | edit[2] << 16) % size;
    u32 number = edit[4] | (u32)edit[5] << 8;
    size_t left = size - at;
    switch (edit[3] % 6) {
    case 0:
        bytes[at] = edit[4];
        return size;
    case 1: /* a reference, a count, a size */
        memcpy(bytes + at, &number, MIN(left, sizeof number));
        return size;
    case 2:
        memset(bytes + at, edit[4] & 1 ? 0xff : 0, MIN(left, (size_t)edit[5] % 16));
        return size;
    case 3: /* a piece is missing */
        memmove(bytes + at, bytes + at + MIN(left, (size_t)number),
                left - MIN(left, (size_t)number));
        return MAX(size - MIN(left, (size_t)number), (size_t)1);
    case 4: /* one piece stands where another was */
        memmove(bytes + at, bytes + number % size,
                MIN(left, MIN(size - number % size, (size_t)64)));
        return size;
    default:
        return MAX(at, (size_t)1);
    }
}

static u8 *edited(const struct buf *from, const u8 *edits, size_t edits_size, size_t *size)
{
    u8 *bytes = malloc(from->size);
    memcpy(bytes, buf_bytes(from), from->size);
    *size = from->size;
    for (size_t at = 0; at + 6 <= edits_size; at += 6)
        *size = edit_one(bytes, *size, edits + at);
    return bytes;
}

/* ---- what is fed ---------------------------------------------------------------------------- */

SLEEPS static void feed_image(struct kernel *kernel, struct task *task, const u8 *bytes,
                              size_t size)
{
    struct memory_input memory;
    struct object *extra = NULL;
    struct error err = {0};
    memory_open(&memory, bytes, size);
    const struct state_load_options options = {.state = &memory.input};
    box_must(state_load(kernel, task, &options, &extra, &err) == -1 && err.text[0],
             "a damaged image is refused with a reason");
}

SLEEPS static void feed_edited_image(struct kernel *kernel, struct task *task, const u8 *bytes,
                                     size_t size)
{
    size_t edited_size;
    u8 *whole = edited(&image, bytes, size, &edited_size);
    if (edited_size != image.size || memcmp(whole, buf_bytes(&image), edited_size) != 0)
        feed_image(kernel, task, whole, edited_size);
    free(whole);
}

SLEEPS static void feed_objects(struct kernel *kernel, struct task *task, const u8 *bytes,
                                size_t size)
{
    size_t edited_size;
    u8 *stream = edited(&objects, bytes, size, &edited_size);
    struct state_reader reader = {.kernel = kernel,
                                  .arena = kernel->arena,
                                  .at = stream,
                                  .end = stream + edited_size,
                                  .object_count = (u32)object_count};
    u64 offset = (u64)kernel->monotonic_offset_ns, boot = kernel->boot_monotonic_ns;
    u64 calls = kernel->call_count;
    (void)!reader_build(&reader);
    reader_discard(&reader);
    reader_fini(&reader);
    kernel->monotonic_offset_ns = (i64)offset;
    kernel->boot_monotonic_ns = boot;
    kernel->call_count = calls;
    free(stream);
}

SLEEPS static void feed_pages(struct kernel *kernel, struct task *task, const u8 *bytes,
                              size_t size)
{
    struct state_reader reader = {.kernel = kernel, .arena = kernel->arena};
    (void)!pages_take_chunk(&reader, bytes, size);
    reader_fini(&reader);
}

SLEEPS static void feed_page_files(struct kernel *kernel, struct task *task, const u8 *bytes,
                                   size_t size)
{
    struct state_reader reader = {.kernel = kernel, .arena = kernel->arena};
    struct memory_input meta, pages;
    memory_open(&meta, bytes, size / 2);
    memory_open(&pages, bytes + size / 2, size - size / 2);
    (void)!pages_read_files(&reader, &meta.input, &pages.input);
    reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    static void (*const bodies[])(struct kernel *, struct task *, const u8 *, size_t) = {
        feed_image, feed_edited_image, feed_objects, feed_pages, feed_page_files};
    if (!image.size)
        make_image();
    if (size < 1)
        return 0;
    struct arena *arena = target.sandbox.sentry.arena;
    u64 before = arena->object_count;
    run_in(&target, bodies[bytes[0] % ARRAY_COUNT(bodies)], bytes + 1, size - 1);
    box_must(arena->object_count == before, "every object is gone");
    return 0;
}
