/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox that has no kernel, for commands_test.c: this program starts itself again as `boot` and
 * `gofer` (the real gofer), and its sandbox_main, which takes the place of runtime/sandbox.c,
 * serves the control socket from one poll loop. What a "program" does is its name: "exit" N,
 * "sleep", "fail" TEXT (cannot be started).
 */
#include "runtime/boot.h"

#include "host/host.h"
#include "runtime/gofer_boot.h"
#include "wire/urpc/server.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the fake ------------------------------------------------------------------------------- */

#define CONNS_MAX 16
#define PROCESSES_MAX 8

struct fake_process {
    i64 pid; /* 0: slot is free */
    bool has_ended;
    u32 status;
};
struct fake_conn {
    int fd; /* -1: free */
    struct urpc_conn conn;
    i64 waits_for; /* pid whose end the call that is out waits for; -1 none */
};
struct fake {
    const struct sandbox_options *options;
    struct host *host;
    struct arena arena;
    struct oci_spec *spec;
    struct fake_conn conns[CONNS_MAX];
    struct fake_process processes[PROCESSES_MAX]; /* [0] is the container's first one, pid 1 */
    bool is_started;
    bool is_paused;
};

static struct fake_process *fake_find(struct fake *fake, i64 pid)
{
    for (int i = 0; i < PROCESSES_MAX; i++)
        if (fake->processes[i].pid == pid)
            return &fake->processes[i];
    return NULL;
}

/* ARGS decide how it goes on. */
static i64 fake_process_start(struct fake *fake, struct json_text argv)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    struct json_iter iter;
    struct json_text name, value, words[2] = {{0}};
    json_iter_init(&iter, argv);
    for (int i = 0; i < 2 && json_iter_next(&iter, &name, &value); i++)
        words[i] = value;
    struct fake_process *process = fake_find(fake, 0);
    if (!process)
        return -1;
    *process = (struct fake_process){.pid = 1 + (process - fake->processes)};
    if (json_string_is(words[0], "exit")) {
        char *code = json_string(words[1], &pool, NULL);
        process->has_ended = true;
        process->status = (u32)(code ? atoi(code) : 0) << 8;
    }
    return process->pid;
}

static void fake_answer(struct fake_conn *conn, const char *result, const char *err_text)
{
    struct json_text text = {.bytes = result, .size = result ? strlen(result) : 0};
    if (urpc_conn_answer(&conn->conn, text, NULL, 0, err_text) < 0)
        abort();
}

static const char *fake_start(struct fake *fake)
{
    static char text[128];
    const struct oci_process *process = fake->spec->process;
    if (strcmp(process->args.items[0], "fail") == 0)
        return process->args.items[1];
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    snprintf(text, sizeof text, "[\"%.40s\",\"%.40s\"]", process->args.items[0],
             process->args.count > 1 ? process->args.items[1] : "");
    (void)fake_process_start(fake, (struct json_text){.bytes = text, .size = strlen(text)});
    fake->is_started = true;
    return NULL;
}

static i64 member(struct json_text arg, const char *name)
{
    i64 value = 0;
    struct json_text text = json_member(arg, name);
    return text.bytes && json_i64(text, &value) ? value : 0;
}

static void fake_signal(struct fake *fake, struct fake_conn *conn, struct json_text arg)
{
    i64 pid = member(arg, "PID"), signo = member(arg, "Signo");
    struct fake_process *process = fake_find(fake, pid ? pid : 1);
    if (!process || process->has_ended) {
        fake_answer(conn, NULL, "no such process");
        return;
    }
    if (signo != 0) {
        process->has_ended = true;
        process->status = (u32)signo;
    }
    fake_answer(conn, NULL, NULL);
}

static void fake_call(struct fake *fake, struct fake_conn *conn, struct urpc_call *call)
{
    const char *method = strchr(call->method, '.') ? strchr(call->method, '.') + 1 : "";
    const struct fake_process *first = fake_find(fake, 1);
    char text[64];
    if (strcmp(method, "ContainerRuntimeState") == 0) {
        fake_answer(conn, !fake->is_started ? "1" : first->has_ended ? "3" : "2", NULL);
    } else if (strcmp(method, "StartRoot") == 0) {
        fake_answer(conn, NULL, fake_start(fake));
    } else if (strcmp(method, "Wait") == 0) {
        conn->waits_for = 1;
    } else if (strcmp(method, "WaitPID") == 0) {
        conn->waits_for = member(call->arg, "PID");
    } else if (strcmp(method, "Signal") == 0) {
        fake_signal(fake, conn, call->arg);
    } else if (strcmp(method, "ExecuteAsync") == 0) {
        snprintf(text, sizeof text, "%d",
                 (int)fake_process_start(fake, json_member(call->arg, "argv")));
        fake_answer(conn, text, NULL);
    } else if (strcmp(method, "Processes") == 0) {
        fake_answer(conn,
                    "[{\"uid\":0,\"pid\":1,\"ppid\":0,\"threads\":[1],\"c\":3,\"tty\":\"?\","
                    "\"stime\":\"06:55\","
                    "\"time\":\"10ms\",\"cmd\":\"sleep\"}]",
                    NULL);
    } else if (strcmp(method, "Event") == 0) {
        fake_answer(
            conn,
            "{\"event\":{\"type\":\"stats\",\"id\":\"c\",\"data\":{\"cpu\":{\"usage\":{}},\"pids\":"
            "{\"current\":1}}},\"containerUsage\":{\"c\":5000}}",
            NULL);
    } else if (strcmp(method, "Checkpoint") == 0) {
        bool is_good = call->fd_count == 1 && write(call->fds[0], "image", 5) == 5;
        fake_answer(conn, NULL, is_good ? NULL : "cannot write");
    } else if (strcmp(method, "Restore") == 0) {
        char word[6] = "";
        bool is_good = call->fd_count == 1 && read(call->fds[0], word, 5) == 5 &&
                       strcmp(word, "image") == 0;
        fake_answer(conn, NULL, is_good ? fake_start(fake) : "no image");
    } else if (strcmp(method, "Pause") == 0 || strcmp(method, "Resume") == 0) {
        fake_answer(conn, NULL, NULL);
    } else {
        fake_answer(conn, NULL, "unknown method");
    }
}

static void conn_drop(struct fake_conn *conn)
{
    urpc_conn_fini(&conn->conn);
    close(conn->fd);
    conn->fd = -1;
    conn->waits_for = -1;
}

/* Answer a call that waits for an end, if that has come. */
static void conn_answer_wait(struct fake *fake, struct fake_conn *conn)
{
    const struct fake_process *process = fake_find(fake, conn->waits_for);
    char text[32];
    if (conn->waits_for < 0 || (process && !process->has_ended))
        return;
    conn->waits_for = -1;
    snprintf(text, sizeof text, "%u", process ? process->status : 0);
    fake_answer(conn, process ? text : NULL, process ? NULL : "no such process");
}

/* Write what is to be written; false when the peer is gone. */
static bool conn_write(struct fake_conn *conn)
{
    const u8 *bytes;
    const int *fds;
    u32 fd_count;
    for (size_t size; (size = urpc_conn_output(&conn->conn, &bytes, &fds, &fd_count)) > 0;) {
        ssize_t put = send(conn->fd, bytes, size, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        urpc_conn_written(&conn->conn, (size_t)put);
    }
    return true;
}

static void conn_step(struct fake *fake, struct fake_conn *conn)
{
    for (;;) {
        struct urpc_call *call;
        conn_answer_wait(fake, conn);
        if (conn->waits_for >= 0)
            return;
        enum urpc_next next = conn_write(conn) ? urpc_conn_next(&conn->conn, &call) : URPC_END;
        if (next == URPC_END)
            conn_drop(conn);
        if (next != URPC_CALL)
            return;
        fake_call(fake, conn, call);
    }
}

static void conn_read(struct fake *fake, struct fake_conn *conn)
{
    char bytes[4096];
    struct host_stream *stream = host_stream_from_fd(fake->host, dup(conn->fd));
    int fds[HOST_FDS_MAX];
    u32 fd_count = HOST_FDS_MAX;
    i64 got = host_stream_read(stream, bytes, sizeof bytes, fds, &fd_count);
    host_stream_put(stream);
    if (got == -EAGAIN)
        return;
    if (conn->waits_for > 0) { /* only an end can come */
        conn_drop(conn);
        return;
    }
    urpc_conn_feed(&conn->conn, bytes, (size_t)MAX(got, 0), fds, got > 0 ? fd_count : 0);
}

static void fake_accept(struct fake *fake, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    for (int i = 0; i < CONNS_MAX && fd >= 0; i++) {
        if (fake->conns[i].fd >= 0)
            continue;
        fake->conns[i] = (struct fake_conn){.fd = fd, .waits_for = -1};
        urpc_conn_init(&fake->conns[i].conn, fake->host, &fake->arena);
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void fake_poll(struct fake *fake)
{
    struct pollfd polls[2 + CONNS_MAX];
    for (int i = 0; i < 2; i++)
        polls[i] = (struct pollfd){.fd = fake->options->control_fds[i], .events = POLLIN};
    for (int i = 0; i < CONNS_MAX; i++)
        polls[2 + i] = (struct pollfd){.fd = fake->conns[i].fd, .events = POLLIN};
    if (poll(polls, 2 + CONNS_MAX, -1) < 0)
        return;
    for (int i = 0; i < 2; i++)
        if (polls[i].revents)
            fake_accept(fake, polls[i].fd);
    for (int i = 0; i < CONNS_MAX; i++)
        if (polls[2 + i].revents && fake->conns[i].fd == polls[2 + i].fd)
            conn_read(fake, &fake->conns[i]);
    for (int i = 0; i < CONNS_MAX; i++)
        if (fake->conns[i].fd >= 0)
            conn_step(fake, &fake->conns[i]);
}

static bool fake_is_over(const struct fake *fake)
{
    if (!fake->is_started || !fake->processes[0].has_ended)
        return false;
    for (int i = 0; i < CONNS_MAX; i++)
        if (fake->conns[i].fd >= 0)
            return false;
    return true;
}

/* In place of runtime/sandbox.c. Both descriptors that it was promised must be there. */
int sandbox_main(const struct sandbox_options *options)
{
    static struct fake fake;
    struct error err;
    fake.options = options;
    fake.host = host_linux_create();
    heap_arena_init(&fake.arena);
    for (int i = 0; i < CONNS_MAX; i++)
        fake.conns[i].fd = -1;
    if (oci_spec_parse(options->spec_text, options->spec_size, &fake.spec, &err) < 0 ||
        (options->gofer_count < 1 && error_set(&err, EINVAL, "no gofer") < 0)) {
        boot_failed(options, &err);
        return 1;
    }
    if (strcmp(fake.spec->hostname ? fake.spec->hostname : "", "refuse-to-boot") == 0) {
        error_set(&err, EINVAL, "refusing to boot");
        boot_failed(options, &err);
        return 1;
    }
    boot_ready(options);
    while (!fake_is_over(&fake))
        fake_poll(&fake);
    boot_status(options, fake.processes[0].status);
    return boot_exit_code(fake.processes[0].status);
}

/* Inner processes see no /proc in which leaks could be looked for, and have no environment to say
 * so. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* This program as one of its own inner processes. Before CUnit's main. */
__attribute__((constructor)) static void inner(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "boot") == 0 || strcmp(argv[1], "gofer") == 0))
        exit(strcmp(argv[1], "boot") == 0 ? boot_command(argc - 1, argv + 1)
                                          : gofer_command(argc - 1, argv + 1));
}

static void test_the_fake_answers_what_real_sandboxes_answer(void)
{
    CU_ASSERT_EQUAL(boot_exit_code(7u << 8), 7);
    CU_ASSERT_EQUAL(boot_exit_code(9), 137);
}

void fake_sandbox_suite(void)
{
    CU_pSuite suite = CU_add_suite("fake_sandbox", NULL, NULL);
    CU_add_test(suite, "exit codes", test_the_fake_answers_what_real_sandboxes_answer);
}
