/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole sandbox in a test: sim host, script platform, sentry, loader, controller, a gofer that
 * serves /rootfs, and control clients. The test is the outside: it drives everything by bench_run
 * and nothing waits.
 */
#pragma once
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "abi/elf.h"
#include "controller/controller.h"
#include "gofer/gofer_core.h"
#include "host/sim/sim.h"
#include "loader/sentry.h"
#include "platform/script/bytecode.h"
#include "wire/gofer/gofer_wire.h"
#include "wire/urpc/codec.h"

/* ---- programs: byte code by hand
 * ---------------------------------------------------------------------------- */

#define PROGRAM_SIZE_MAX 64u
#define PROGRAM_TEXT_MAX 256u
struct program {
    struct bytecode_instruction code[PROGRAM_SIZE_MAX];
    u32 count;
    char text[PROGRAM_TEXT_MAX];
    u32 text_size;
};

static inline u64 program_text(struct program *program, const char *text)
{
    u64 at = BYTECODE_SEGMENT + sizeof(struct bytecode_header) + sizeof program->code +
             program->text_size;
    size_t size = strlen(text) + 1;
    memcpy(program->text + program->text_size, text, size);
    program->text_size += (u32)size;
    return at;
}

static inline void program_call(struct program *program, u32 nr, u32 count, const u64 *args)
{
    program->code[program->count++] = (struct bytecode_instruction){
        .op = OP_SYS, .a = (u8)count, .b = 255, .imm = nr};
    for (u32 i = 0; i < count; i++)
        program->code[program->count++] = (struct bytecode_instruction){.op = OP_ARG,
                                                                        .imm64 = args[i]};
}

static inline void program_write(struct program *program, u32 fd, const char *text)
{
    program_call(program, 1, 3, (u64[]){fd, program_text(program, text), strlen(text)});
}

static inline void program_exit(struct program *program, u32 code)
{
    program_call(program, 231, 1, (u64[]){code});
}

/* pause(2) for ever. */
static inline void program_sleep(struct program *program)
{
    u32 start = (u32)(sizeof(struct bytecode_header) +
                      program->count * sizeof(struct bytecode_instruction));
    program_call(program, 34, 0, NULL);
    program->code[program->count++] = (struct bytecode_instruction){.op = OP_JUMP, .imm = start};
}

/* The ELF at PATH of the sim host. */
static inline void program_install(const struct program *program, struct host *host,
                                   const char *path)
{
    struct {
        struct linux_elf_header header;
        struct linux_elf_phdr segments[3];
        u8 pad[4096 - sizeof(struct linux_elf_header) - 3 * sizeof(struct linux_elf_phdr)];
        struct bytecode_header code_header;
        struct bytecode_instruction code[PROGRAM_SIZE_MAX];
        char text[PROGRAM_TEXT_MAX];
    } *image = calloc(1, sizeof *image);
    u64 size = sizeof *image - offsetof(__typeof__(*image), code_header);
    image->header = (struct linux_elf_header){.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
                                              .type = 2,
                                              .machine = 62,
                                              .version = 1,
                                              .entry = BYTECODE_START,
                                              .phoff = offsetof(__typeof__(*image), segments),
                                              .ehsize = sizeof(struct linux_elf_header),
                                              .phentsize = sizeof(struct linux_elf_phdr),
                                              .phnum = 3};
    image->segments[0] = (struct linux_elf_phdr){.type = 1,
                                                 .flags = 5,
                                                 .vaddr = BYTECODE_TEXT,
                                                 .filesz = 4096,
                                                 .memsz = 8192,
                                                 .align = 4096};
    image->segments[1] = (struct linux_elf_phdr){.type = 1,
                                                 .flags = 4,
                                                 .offset = 4096,
                                                 .vaddr = BYTECODE_SEGMENT,
                                                 .filesz = size,
                                                 .memsz = size,
                                                 .align = 4096};
    image->segments[2] = (struct linux_elf_phdr){.type = 1,
                                                 .flags = 6,
                                                 .vaddr = BYTECODE_ARENA,
                                                 .memsz = BYTECODE_ARENA_SIZE,
                                                 .align = 4096};
    image->code_header = (struct bytecode_header){
        .magic = BYTECODE_MAGIC, .start = sizeof(struct bytecode_header), .size = (u32)size};
    memcpy(image->code, program->code, sizeof image->code);
    memcpy(image->text, program->text, sizeof image->text);
    CU_ASSERT_EQUAL_FATAL(sim_put_file(host, path, image, sizeof *image, 0755), 0);
    free(image);
}

/* ---- the sandbox ---------------------------------------------------------------------------- */

#define BENCH_GOFERS_MAX 8
struct bench_gofer {
    struct host_stream *stream;
    struct gofer_core *core;
};

struct bench {
    struct host *host;
    struct log log;
    struct sentry sentry;
    struct kernel *kernel;
    struct loader *loader;
    struct controller *controller;
    int listen_fd;
    int out_fd; /* what the root container writes */
    struct bench_gofer gofers[BENCH_GOFERS_MAX];
    u32 gofer_count;
    struct arena heap;
};

static inline void bench_log(struct log *log, enum log_level level, const char *room,
                             const char *line)
{
    if (getenv("BENCH_LOG"))
        fprintf(stderr, "[%s] %s\n", room, line);
}

/* A gofer's connection to PATH of the sim host: the sandbox's descriptor. */
static inline int bench_gofer(struct bench *bench, const char *path)
{
    int fds[2];
    struct host_file *root;
    struct bench_gofer *gofer = &bench->gofers[bench->gofer_count++];
    const struct gofer_options options = {0};
    CU_ASSERT_EQUAL_FATAL(sim_pair(bench->host, SOCK_SEQPACKET, fds), 0);
    CU_ASSERT_EQUAL_FATAL(
        host_open_path(bench->host, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, &root), 0);
    CU_ASSERT_EQUAL_FATAL(gofer_core_create(bench->host, root, &options, &gofer->core), 0);
    gofer->stream = host_stream_from_fd(bench->host, fds[1]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gofer->stream);
    return fds[0];
}

/* The gofer process ends: its connection with it. */
static inline void bench_gofer_end(struct bench_gofer *gofer)
{
    if (gofer->stream)
        host_stream_put(gofer->stream);
    gofer->stream = NULL;
}

/* One request served; false: there was none. What breaks the connection ends the gofer. */
static inline bool bench_gofer_step(struct bench *bench, struct bench_gofer *gofer)
{
    static u8 request[GOFER_MESSAGE_MAX], reply[GOFER_MESSAGE_MAX];
    struct gofer_donation donation;
    if (!gofer->stream)
        return false;
    i64 size = host_stream_read(gofer->stream, request, sizeof request, NULL, NULL);
    if (size == -EAGAIN)
        return false;
    if (size <= 0) {
        bench_gofer_end(gofer);
        return true;
    }
    i64 answer = gofer_core_handle(gofer->core, request, (size_t)size, reply, &donation);
    CU_ASSERT_FATAL(answer >= 0);
    int fd = donation.file ? host_file_fd(donation.file) : -1;
    if (answer > 0 &&
        host_stream_write(gofer->stream, reply, (size_t)answer, &fd, fd >= 0) != answer)
        bench_gofer_end(gofer);
    host_file_put(donation.file);
    return true;
}

/* Until nothing moves: fibers, host operations, gofers. Virtual time stands still. */
static inline void bench_run(struct bench *bench)
{
    bool is_moving = true;
    for (u32 i = 0; is_moving; i++) {
        CU_ASSERT_FATAL(i < 100000);
        CU_ASSERT_FATAL(sched_run_until_quiet(bench->kernel->sched, 1000000));
        is_moving = false;
        for (u32 g = 0; g < bench->gofer_count; g++)
            while (bench_gofer_step(bench, &bench->gofers[g]))
                is_moving = true;
    }
}

/* bench_run, then on to the next deadline, up to NS from now. */
static inline void bench_advance(struct bench *bench, u64 ns)
{
    u64 end = sched_now_ns(bench->kernel->sched) + ns;
    for (;;) {
        bench_run(bench);
        u64 next = MIN(sched_next_deadline(bench->kernel->sched),
                       host_next_completion_ns(bench->host));
        if (next > end)
            break;
        sched_advance_to(bench->kernel->sched, next);
    }
    sched_advance_to(bench->kernel->sched, end);
    bench_run(bench);
}

/* ---- clients -------------------------------------------------------------------------------- */

struct client {
    struct bench *bench;
    struct host_stream *stream; /* NULL: hung up */
    char answer[64 << 10];
    size_t size;
    int fds[HOST_FDS_MAX];
    u32 fd_count;
    bool is_over; /* the sandbox has closed */
};

static inline void client_open(struct client *client, struct bench *bench)
{
    *client = (struct client){.bench = bench};
    int fd = sim_connect(bench->host, bench->listen_fd);
    CU_ASSERT_FATAL(fd >= 0);
    client->stream = sim_engine_stream(bench->host, fd);
}

static inline void client_close(struct client *client)
{
    if (client->stream)
        host_stream_put(client->stream);
    client->stream = NULL;
}

static inline void client_send(struct client *client, const void *bytes, size_t size,
                               const int *fds, u32 fd_count)
{
    CU_ASSERT_EQUAL(host_stream_write(client->stream, bytes, size, fds, fd_count), (i64)size);
}

/* What has come since the last call, as text. */
static inline const char *client_read(struct client *client)
{
    client->size = 0;
    for (;;) {
        u32 room = HOST_FDS_MAX;
        i64 got = host_stream_read(client->stream, client->answer + client->size,
                                   sizeof client->answer - 1 - client->size, client->fds, &room);
        if (got == 0)
            client->is_over = true;
        if (got <= 0)
            break;
        client->fd_count = room;
        client->size += (size_t)got;
    }
    client->answer[client->size] = '\0';
    return client->answer;
}

/* Send one call and run until it rests; its answer, or "" while it is under way. */
static inline const char *client_call_fds(struct client *client, const char *method,
                                          const char *arg, const int *fds, u32 fd_count)
{
    size_t size = strlen(method) + strlen(arg) + 64;
    char *text = malloc(size);
    int length = snprintf(text, size, "{\"method\":\"%s\",\"arg\":%s}", method, arg);
    client_send(client, text, (size_t)length, fds, fd_count);
    free(text);
    bench_run(client->bench);
    return client_read(client);
}

static inline const char *client_call(struct client *client, const char *method, const char *arg)
{
    return client_call_fds(client, method, arg, NULL, 0);
}

#define ANSWER_OK "{\"success\":true,\"err\":\"\",\"result\":{}}"

static inline void expect_text(const char *got, const char *want, int line)
{
    if (strcmp(got, want) != 0)
        fprintf(stderr, "line %d: got  %s\n         want %s\n", line, got, want);
    CU_ASSERT_STRING_EQUAL(got, want);
}
#define EXPECT(got, want) expect_text((got), (want), __LINE__)

static inline void expect_error(const char *got, const char *text, int line)
{
    struct arena heap;
    struct buf buf;
    struct json_writer writer;
    heap_arena_init(&heap);
    buf_init(&buf, &heap, 0);
    json_writer_init(&writer, &buf);
    json_begin_object(&writer);
    json_name(&writer, "success");
    json_put_bool(&writer, false);
    json_name(&writer, "err");
    json_put_string(&writer, text);
    json_name(&writer, "result");
    json_put_null(&writer);
    json_end_object(&writer);
    expect_text(got, buf_text(&buf), line);
    buf_fini(&buf);
}
#define EXPECT_ERROR(got, text) expect_error((got), (text), __LINE__)

/* ---- making and ending ---------------------------------------------------------------------- */

#define BENCH_SPEC(args, more)                                                                   \
    "{\"ociVersion\":\"1.2.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[" args "]," \
    "\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":\"/rootfs\"}" more "}"

static inline void bench_files(struct bench *bench)
{
    struct program hello = {0}, sleep = {0};
    program_write(&hello, 1, "hello\n");
    program_exit(&hello, 7);
    program_sleep(&sleep);
    program_install(&hello, bench->host, "/rootfs/bin/hello");
    program_install(&sleep, bench->host, "/rootfs/bin/sleep");
    CU_ASSERT_EQUAL_FATAL(
        sim_put_file(bench->host, "/rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\n", 26, 0644),
        0);
}

/* BENCH_SEED, BENCH_CPUS: to see the same tests go other ways. */
static inline u32 bench_number(const char *name, u32 usual)
{
    const char *text = getenv(name);
    return text ? (u32)strtoul(text, NULL, 10) : usual;
}

/* A sandbox whose root container has SPEC (the whole text); the root is a gofer's. */
static inline void bench_init_with(struct bench *bench, const char *spec, bool has_no_network,
                                   bool has_profile)
{
    struct error err;
    int pipe[2];
    memset(bench, 0, sizeof *bench);
    bench->host = host_sim_create(&(struct sim_config){.seed = bench_number("BENCH_SEED", 1),
                                                       .epoch_ns = 1700000000ll * 1000000000});
    bench->log = (struct log){.level = LOG_DEBUG, .write = bench_log};
    bench_files(bench);
    const struct sentry_config config = {
        .host = bench->host,
        .platform = "script",
        .cpu_count = bench_number("BENCH_CPUS", 1),
        .memory_size = 64 << 20,
        .log = &bench->log,
        .kernel = {.memory_max = 64 << 20, .hostname = "box", .release = "6.1.0", .seed = 1}};
    if (sentry_create(&config, &bench->sentry, &err))
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bench->sentry.kernel);
    bench->kernel = bench->sentry.kernel;
    CU_ASSERT_EQUAL_FATAL(sim_pipe(bench->host, pipe), 0);
    bench->out_fd = pipe[0];
    int gofer = bench_gofer(bench, "/rootfs");
    struct gofer_mount_conf conf = {.lower = GOFER_LOWER_LISAFS};
    struct container_args args = {.stdio = {-1, pipe[1], sim_dup(bench->host, pipe[1])},
                                  .gofers = &gofer,
                                  .gofer_count = 1,
                                  .confs = &conf,
                                  .conf_count = 1,
                                  .dev_gofer = -1,
                                  .exec_fd = -1};
    CU_ASSERT_EQUAL_FATAL(oci_spec_parse(spec, strlen(spec), &args.spec, &err), 0);
    const struct loader_config loader_config = {
        .sandbox_id = "c1", .version = "test", .has_no_network = has_no_network};
    CU_ASSERT_EQUAL_FATAL(loader_create(bench->kernel, &loader_config, &args, &bench->loader, &err),
                          0);
    bench->listen_fd = sim_listen(bench->host, NULL);
    struct host_listener *listener = host_listener_from_fd(bench->host, bench->listen_fd);
    const struct controller_config controller_config = {.has_profile = has_profile};
    CU_ASSERT_EQUAL_FATAL(
        controller_create(bench->loader, listener, &controller_config, &bench->controller), 0);
    CU_ASSERT_EQUAL_FATAL(controller_start(bench->controller), 0);
    bench_run(bench);
}

static inline void bench_init(struct bench *bench, const char *spec)
{
    bench_init_with(bench, spec, false, false);
}

SLEEPS_ROOT static inline void bench_stop_main(struct task *task, void *arg)
{
    struct bench *bench = arg;
    struct thread_group *group;
    struct task *each;
    list_for_each (each, &bench->kernel->tasks, kernel_link)
        if (!each->is_kernel && (group = each->group) != NULL)
            thread_group_kill(group, LINUX_SIGKILL);
    while (kernel_resume(bench->kernel) == 0)
        continue;
    controller_stop(bench->controller, task);
}

/* Kills everything, stops the controller, and shows that nothing was left anywhere. */
static inline void bench_fini(struct bench *bench)
{
    struct task *task;
    CU_ASSERT_EQUAL_FATAL(task_create_kernel(bench->kernel, "stop", bench_stop_main, bench, &task),
                          0);
    CU_ASSERT_EQUAL_FATAL(task_start(task), 0);
    REF_PUT(task);
    bench_advance(bench, 20 * NS_PER_S);
    CU_ASSERT_EQUAL(controller_connection_count(bench->controller), 0);
    controller_destroy(bench->controller);
    loader_destroy(bench->loader);
    bench_run(bench);
    kernel_stop(bench->kernel);
    bench_run(bench);
    sentry_destroy(&bench->sentry);
    for (u32 i = 0; i < bench->gofer_count; i++) {
        while (bench_gofer_step(bench, &bench->gofers[i]))
            continue;
        bench_gofer_end(&bench->gofers[i]);
        gofer_core_destroy(bench->gofers[i].core);
    }
    sim_fd_close(bench->host, bench->out_fd);
    host_put(bench->host);
}

/* What the root container has written since the last look. */
static inline const char *bench_output(struct bench *bench)
{
    static char text[4096];
    int fd = sim_dup(bench->host, bench->out_fd);
    struct host_stream *stream = sim_engine_stream(bench->host, fd);
    i64 got = host_stream_read(stream, text, sizeof text - 1, NULL, NULL);
    text[got > 0 ? got : 0] = '\0';
    host_stream_put(stream);
    return text;
}
