/* SPDX-License-Identifier: Apache-2.0 */
/* Making, driving and ending a sandbox on the simulated host. */
#include "sim/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gofer/gofer_core.h"
#include "oci/oci.h"
#include "sentry/memory/mm.h"
#include "sentry/state/state.h"
#include "wire/gofer/gofer_wire.h"

#define STEPS_MAX 2000000u
#define ROUNDS_MAX 200000u
#define STOP_NS (20 * NS_PER_S)

u64 sandbox_now(const struct sandbox *sandbox)
{
    return host_monotonic_ns(sandbox->host);
}

/* ---- what the sentry tells ------------------------------------------------------------------------ */

/* Every so many calls: nobody goes on behind the next boundary. Whoever drives the sandbox finds it
 * at rest, does what it has to do, and resumes the kernel. */
static void sandbox_halt(struct sandbox *sandbox)
{
    struct kernel *kernel = sandbox->kernel;
    if (!sandbox->halt_every || sandbox->trace->is_muted || kernel->pause_count > 0 ||
        sandbox->syscall_count % sandbox->halt_every != 0)
        return;
    kernel->pause_count++;
    sandbox->is_halted = true;
}

/* The system call log's lines are records; the rest is for -v. */
static void write_log(struct log *log, enum log_level level, const char *room, const char *line)
{
    struct sandbox *sandbox = container_of(log, struct sandbox, log);
    log->last_hash = 0; /* no line stands for several */
    if (strcmp(room, "strace") == 0) {
        sandbox->syscall_count++;
        sandbox_halt(sandbox);
        trace_put(sandbox->trace, sandbox_now(sandbox), "sys", "%s", line);
    }
    if (sandbox->is_verbose && strcmp(room, "strace") != 0)
        fprintf(stderr, "[%s] %s\n", room, line);
}

static void task_event(struct task *task, const char *what, i64 value)
{
    struct sandbox *sandbox = task->kernel->observer;
    trace_put(sandbox->trace, sandbox_now(sandbox), "event", "[%4u] %s %lld", task->root_tid, what,
              (long long)value);
}

/* ---- gofers --------------------------------------------------------------------------------------- */

/* A place for one more: when all are taken, that of a gofer whose connection has ended. */
static u32 gofer_slot(struct sandbox *sandbox)
{
    if (sandbox->gofer_count < SANDBOX_GOFERS_MAX)
        return sandbox->gofer_count;
    for (u32 i = 0; i < SANDBOX_GOFERS_MAX; i++) {
        if (sandbox->gofers[i].stream)
            continue;
        gofer_core_destroy(sandbox->gofers[i].core);
        sandbox->gofers[i].core = NULL;
        return i;
    }
    return SANDBOX_GOFERS_MAX;
}

int sandbox_gofer(struct sandbox *sandbox, const char *path)
{
    const struct gofer_options options = {0};
    struct host_file *root;
    struct gofer_core *core;
    int fds[2];
    u32 at = gofer_slot(sandbox);
    if (at == SANDBOX_GOFERS_MAX || sim_pair(sandbox->host, SOCK_SEQPACKET, fds))
        return -1;
    if (host_open_path(sandbox->host, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, &root) ||
        gofer_core_create(sandbox->host, root, &options, &core))
        goto undo_pair;
    sandbox->gofers[at].core = core;
    sandbox->gofers[at].stream = host_stream_from_fd(sandbox->host, fds[1]);
    sandbox->gofer_count = MAX(sandbox->gofer_count, at + 1);
    if (sandbox->gofers[at].stream)
        return fds[0];
    fds[1] = -1; /* taken in any case */
undo_pair:
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            sim_fd_close(sandbox->host, fds[i]);
    return -1;
}

/* One request served; false: there was none. */
static bool gofer_step(struct sandbox *sandbox, u32 index)
{
    static u8 request[GOFER_MESSAGE_MAX], reply[GOFER_MESSAGE_MAX];
    struct gofer_donation donation = {0};
    struct host_stream *stream = sandbox->gofers[index].stream;
    if (!stream)
        return false;
    i64 size = host_stream_read(stream, request, sizeof request, NULL, NULL);
    if (size == -EAGAIN)
        return false;
    i64 answer = size > 0 ? gofer_core_handle(sandbox->gofers[index].core, request, (size_t)size,
                                              reply, &donation)
                          : -1;
    if (answer < 0) { /* hung up, or a broken protocol: the connection ends */
        host_stream_put(stream);
        sandbox->gofers[index].stream = NULL;
        return false;
    }
    int fd = donation.file ? host_file_fd(donation.file) : -1;
    i64 put = answer > 0 ? host_stream_write(stream, reply, (size_t)answer, &fd, fd >= 0) : answer;
    host_file_put(donation.file);
    if (put < 0) /* a fault struck the gofer's own socket: it dies of it */
        sandbox_kill_gofer(sandbox, index);
    else if (put != answer)
        sandbox->trouble = "a gofer's reply does not fit its connection";
    return true;
}

static void gofers_end(struct sandbox *sandbox)
{
    for (u32 i = 0; i < sandbox->gofer_count; i++) {
        while (gofer_step(sandbox, i))
            continue;
        if (sandbox->gofers[i].stream)
            host_stream_put(sandbox->gofers[i].stream);
        if (sandbox->gofers[i].core)
            gofer_core_destroy(sandbox->gofers[i].core);
    }
    sandbox->gofer_count = 0;
}

/* ---- driving -------------------------------------------------------------------------------------- */

bool sandbox_run(struct sandbox *sandbox)
{
    bool is_moving = true;
    for (u32 i = 0; is_moving; i++) {
        if (i == ROUNDS_MAX || !sched_run_until_quiet(sandbox->kernel->sched, STEPS_MAX)) {
            sandbox->trouble = "the programs never rest: what spins must yield or wait";
            return false;
        }
        is_moving = false;
        for (u32 g = 0; g < sandbox->gofer_count; g++)
            while (gofer_step(sandbox, g))
                is_moving = true;
        if (sandbox->drain)
            sandbox->drain(sandbox->drain_arg);
    }
    return sandbox->trouble == NULL;
}

int sandbox_next(struct sandbox *sandbox, u64 end)
{
    u64 next = MIN(sched_next_deadline(sandbox->kernel->sched),
                   host_next_completion_ns(sandbox->host));
    if (next > end || next == NO_DEADLINE)
        return 0;
    sched_advance_to(sandbox->kernel->sched, next);
    return sandbox_run(sandbox) ? 1 : -1;
}

bool sandbox_advance(struct sandbox *sandbox, u64 ns)
{
    u64 end = sandbox_now(sandbox) + ns;
    if (!sandbox_run(sandbox))
        return false;
    for (int more = 1; more == 1;) {
        more = sandbox_next(sandbox, end);
        if (more < 0)
            return false;
    }
    sched_advance_to(sandbox->kernel->sched, end);
    return sandbox_run(sandbox);
}

/* ---- making --------------------------------------------------------------------------------------- */

static int start_sentry(struct sandbox *sandbox, const struct sandbox_config *config,
                        struct error *err)
{
    const struct sentry_config sentry = {.host = config->host,
                                         .platform = config->platform,
                                         .cpu_count = config->cpu_count,
                                         .memory_size = SANDBOX_MEMORY,
                                         .log = &sandbox->log,
                                         .kernel = {.memory_max = SANDBOX_MEMORY,
                                                    .hostname = config->id,
                                                    .release = "6.1.0-picket",
                                                    .seed = config->seed}};
    if (sentry_create(&sentry, &sandbox->sentry, err))
        return -1;
    sandbox->kernel = sandbox->sentry.kernel;
    sandbox->kernel->observer = sandbox;
    sandbox->kernel->task_event = task_event;
    if (config->is_silent)
        return 0;
    const struct strace_config strace = {.size_max = 256};
    if (strace_create(sandbox->kernel, &strace, &sandbox->strace))
        return error_set(err, ENOMEM, "no memory for the system call log");
    return 0;
}

static int start_loader(struct sandbox *sandbox, const struct sandbox_config *config,
                        struct error *err)
{
    int gofer = sandbox_gofer(sandbox, "/rootfs");
    if (gofer < 0)
        return error_set(err, EIO, "cannot serve /rootfs of the simulated host");
    struct gofer_mount_conf conf = {.lower = GOFER_LOWER_LISAFS,
                                    .upper = config->has_overlay ? GOFER_UPPER_MEMORY
                                                                 : GOFER_UPPER_NONE};
    struct container_args args = {
        .stdio = {-1, sim_dup(config->host, config->out_fd), sim_dup(config->host, config->out_fd)},
        .gofers = &gofer,
        .gofer_count = 1,
        .confs = &conf,
        .conf_count = 1,
        .dev_gofer = -1,
        .exec_fd = -1};
    if (oci_spec_parse(config->spec, strlen(config->spec), &args.spec, err))
        return -1;
    const struct loader_config loader = {.sandbox_id = config->id, .version = "sim"};
    return loader_create(sandbox->kernel, &loader, &args, &sandbox->loader, err);
}

static int start_controller(struct sandbox *sandbox, struct error *err)
{
    const struct controller_config config = {.has_profile = true};
    sandbox->listen_fd = sim_listen(sandbox->host, NULL);
    struct host_listener *listener = host_listener_from_fd(sandbox->host, sandbox->listen_fd);
    if (!listener || controller_create(sandbox->loader, listener, &config, &sandbox->controller) ||
        controller_start(sandbox->controller))
        return error_set(err, ENOMEM, "cannot serve the control socket");
    return 0;
}

int sandbox_create(struct sandbox *sandbox, const struct sandbox_config *config, struct error *err)
{
    *sandbox = (struct sandbox){.host = config->host,
                                .trace = config->trace,
                                .log = {.level = LOG_INFO, .write = write_log},
                                .is_verbose = config->is_verbose,
                                .halt_every = config->halt_every,
                                .drain = config->drain,
                                .drain_arg = config->drain_arg};
    if (start_sentry(sandbox, config, err) || start_loader(sandbox, config, err) ||
        start_controller(sandbox, err))
        return -1;
    return sandbox_run(sandbox) ? 0 : error_set(err, EIO, "%s", sandbox->trouble);
}

/* ---- checks ---------------------------------------------------------------------------------------- */

const char *sandbox_check(struct sandbox *sandbox, u32 client_count)
{
    const char *wrong = kernel_check(sandbox->kernel);
    struct task *task;
    list_for_each (task, &sandbox->kernel->tasks, kernel_link)
        if (!wrong && task->mm)
            wrong = mm_check(task->mm);
    if (!wrong && controller_connection_count(sandbox->controller) > client_count)
        wrong = "a connection is left whose client is gone";
    return wrong;
}

int sandbox_hash(struct sandbox *sandbox, char out[33])
{
    u8 digest[16];
    int err = state_hash(sandbox->kernel, NULL, false, digest);
    for (u32 i = 0; !err && i < sizeof digest; i++)
        snprintf(out + 2 * (size_t)i, 3, "%02x", digest[i]);
    return err;
}

void sandbox_kill_gofer(struct sandbox *sandbox, u32 index)
{
    if (index >= sandbox->gofer_count || !sandbox->gofers[index].stream)
        return;
    host_stream_put(sandbox->gofers[index].stream);
    sandbox->gofers[index].stream = NULL;
}

/* ---- ending --------------------------------------------------------------------------------------- */

SLEEPS_ROOT static void stop_main(struct task *task, void *arg)
{
    struct sandbox *sandbox = arg;
    struct thread_group *group;
    struct task *each;
    list_for_each (each, &sandbox->kernel->tasks, kernel_link)
        if (!each->is_kernel && (group = each->group) != NULL)
            thread_group_kill(group, LINUX_SIGKILL);
    while (kernel_resume(sandbox->kernel) == 0)
        continue;
    controller_stop(sandbox->controller, task);
}

bool sandbox_destroy(struct sandbox *sandbox)
{
    struct task *task;
    if (task_create_kernel(sandbox->kernel, "stop", stop_main, sandbox, &task) ||
        task_start(task)) {
        sandbox->trouble = "no memory for the task that ends the sandbox";
        return false;
    }
    REF_PUT(task);
    if (!sandbox_advance(sandbox, STOP_NS))
        return false;
    if (controller_connection_count(sandbox->controller) != 0) {
        sandbox->trouble = "control connections are left after the controller was stopped";
        return false;
    }
    controller_destroy(sandbox->controller);
    loader_destroy(sandbox->loader);
    if (!sandbox_run(sandbox))
        return false;
    kernel_stop(sandbox->kernel);
    if (!sandbox_run(sandbox))
        return false;
    if (sandbox->strace)
        strace_destroy(sandbox->strace);
    sentry_destroy(&sandbox->sentry);
    gofers_end(sandbox);
    return true;
}

/* ---- calls ---------------------------------------------------------------------------------------- */

static int send_pieces(struct call *call, struct sandbox *sandbox, const char *text, size_t size,
                       const int *fds, u32 fd_count, struct client *client)
{
    bool is_cut = client && client->is_cut;
    size_t end = is_cut ? MIN(size, client->after) : size;
    for (size_t at = 0; at < end;) {
        size_t piece = end - at;
        if (client && client->piece_max) {
            client->random = client->random * 6364136223846793005u + 1442695040888963407u;
            piece = MIN(piece, 1 + (client->random >> 33) % client->piece_max);
        }
        if (host_stream_write(call->stream, text + at, piece, fds, at ? 0 : fd_count) !=
            (i64)piece) {
            if (at > 0) /* the server has hung up in between: its end is what is read */
                break;
            return -EIO;
        }
        at += piece;
        if (at < end && !sandbox_run(sandbox))
            return -EIO;
    }
    if (is_cut) {
        host_stream_put(call->stream);
        call->stream = NULL;
        call->is_over = call->is_cut = true;
    }
    return 0;
}

int call_send(struct call *call, struct sandbox *sandbox, const char *text, size_t size,
              const int *fds, u32 fd_count, struct client *client, struct arena *arena)
{
    *call = (struct call){0};
    buf_init(&call->answer, arena, 0);
    int fd = sim_connect(sandbox->host, sandbox->listen_fd);
    if (fd < 0)
        return fd;
    call->stream = sim_engine_stream(sandbox->host, fd);
    if (!call->stream)
        return -ENOMEM;
    return send_pieces(call, sandbox, text, size, fds, fd_count, client);
}

int call_begin(struct call *call, struct sandbox *sandbox, const char *method, const char *arg,
               const int *fds, u32 fd_count, struct client *client, struct arena *arena)
{
    struct buf text;
    buf_init(&text, arena, 0);
    *call = (struct call){0};
    int err = buf_printf(&text, "{\"method\":\"%s\",\"arg\":%s}", method, arg);
    if (!err)
        err = call_send(call, sandbox, buf_text(&text), text.size, fds, fd_count, client, arena);
    buf_fini(&text);
    return err;
}

bool call_poll(struct call *call, struct host *host)
{
    u8 piece[4096];
    while (!call->is_over) {
        int fds[HOST_FDS_MAX];
        u32 count = HOST_FDS_MAX;
        i64 got = host_stream_read(call->stream, piece, sizeof piece, fds, &count);
        if (got == -EAGAIN)
            break;
        if (got > 0) {
            host_close_fds(host, fds, count);
            if (buf_append(&call->answer, piece, (size_t)got))
                abort();
        } else {
            call->is_over = call->has_hung_up = true;
        }
    }
    /* Answers are one object without blanks around it: balanced braces outside strings end it. */
    const u8 *text = buf_bytes(&call->answer);
    i32 depth = 0;
    bool is_string = false;
    for (size_t i = 0; i < call->answer.size; i++) {
        if (is_string && text[i] == '\\') {
            i++;
            continue;
        }
        if (text[i] == '"')
            is_string = !is_string;
        else if (!is_string && (text[i] == '{' || text[i] == '}'))
            depth += text[i] == '{' ? 1 : -1;
    }
    if (call->answer.size && depth == 0)
        call->is_over = true;
    return call->is_over;
}

void call_end(struct call *call)
{
    if (call->stream)
        host_stream_put(call->stream);
    call->stream = NULL;
    buf_fini(&call->answer);
}
