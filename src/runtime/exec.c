/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: ExecuteAsync, then WaitPID. A detached one leaves two small processes behind: the waiter,
 * whose pid the caller is given, and its guard. Callers kill the waiter's pid as if it were the
 * process; every signal that can be caught the waiter passes on, and SIGKILL, which cannot, the
 * guard notices as the end of a pipe, and then kills the process.
 */
#include "runtime/exec.h"

#include "base/buf.h"
#include "runtime/boot.h"
#include "runtime/console.h"
#include "runtime/control.h"
#include "runtime/forward.h"
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DONE 'D'

/* ---- the call ---- */

static void put_strings(struct json_writer *writer, char *const *items, size_t count)
{
    json_begin_array(writer);
    for (size_t i = 0; i < count; i++)
        json_put_string(writer, items[i]);
    json_end_array(writer);
}

static int put_caps(struct json_writer *writer, const struct oci_capabilities *caps,
                    struct error *err)
{
    const struct {
        const char *name;
        char *const *items;
        size_t count;
    } sets[] = {{"PermittedCaps", caps->permitted.items, caps->permitted.count},
                {"InheritableCaps", caps->inheritable.items, caps->inheritable.count},
                {"EffectiveCaps", caps->effective.items, caps->effective.count},
                {"BoundingCaps", caps->bounding.items, caps->bounding.count},
                {"AmbientCaps", caps->ambient.items, caps->ambient.count}};
    json_begin_object(writer);
    for (size_t i = 0; i < ARRAY_COUNT(sets); i++) {
        u64 mask = 0;
        if (oci_capability_mask(sets[i].items, sets[i].count, &mask, err) < 0)
            return -1;
        json_name(writer, sets[i].name);
        json_put_u64(writer, mask);
    }
    json_end_object(writer);
    return 0;
}

static void put_name_null(struct json_writer *writer, const char *name)
{
    json_name(writer, name);
    json_put_null(writer);
}

static int put_args(struct json_writer *writer, const struct record *record,
                    const struct exec_options *options, bool is_tty, const int *guests,
                    u32 guest_count, struct error *err)
{
    const struct oci_process *process = options->process;
    json_begin_object(writer);
    json_name(writer, "filename");
    json_put_string(writer, "");
    json_name(writer, "argv");
    put_strings(writer, process->args.items, process->args.count);
    json_name(writer, "envv");
    put_strings(writer, process->env.items, process->env.count);
    put_name_null(writer, "MountNamespace");
    json_name(writer, "wd");
    json_put_string(writer, process->cwd && *process->cwd ? process->cwd : "/");
    json_name(writer, "KUID");
    json_put_u64(writer, process->user.uid);
    json_name(writer, "KGID");
    json_put_u64(writer, process->user.gid);
    json_name(writer, "ExtraKGIDs");
    json_begin_array(writer);
    for (size_t i = 0; i < process->user.additional_gids.count; i++)
        json_put_u64(writer, process->user.additional_gids.items[i]);
    json_end_array(writer);
    json_name(writer, "NoNewPrivileges");
    json_put_bool(writer, process->no_new_privileges);
    json_name(writer, "Capabilities");
    if (!process->capabilities)
        json_put_null(writer);
    else if (put_caps(writer, process->capabilities, err) < 0)
        return -1;
    json_name(writer, "StdioIsPty");
    json_put_bool(writer, is_tty);
    json_name(writer, "GuestFDs");
    json_begin_array(writer);
    for (u32 i = 0; i < guest_count; i++)
        json_put_i64(writer, guests[i]);
    json_end_array(writer);
    put_name_null(writer, "FDTable");
    json_name(writer, "ContainerID");
    json_put_string(writer, record->id);
    put_name_null(writer, "PIDNamespace");
    put_name_null(writer, "Limits");
    json_end_object(writer);
    return 0;
}

/* ExecuteAsync with STDIO; *PID is the container's number of the new process. */
static int execute(const struct record *record, const struct exec_options *options,
                   const int *stdio, bool is_tty, i64 *pid, struct error *err)
{
    int hosts[3 + PASS_FDS_MAX + 1], guests[3 + PASS_FDS_MAX];
    u32 count = 0;
    for (int i = 0; i < 3; i++) {
        hosts[count] = stdio[i];
        guests[count++] = i;
    }
    for (u32 i = 0; i < options->pass_count; i++) {
        hosts[count] = options->pass_hosts[i];
        guests[count++] = options->pass_guests[i];
    }
    u32 guest_count = count;
    if (options->exec_fd >= 0)
        hosts[count++] = options->exec_fd;
    if (count > URPC_FDS_MAX)
        return error_set(err, E2BIG, "too many files");
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    if (put_args(&writer, record, options, is_tty, guests, guest_count, err) < 0)
        return -1;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (control_call(record, "containerManager.ExecuteAsync", buf_text(&buf), hosts, count, &answer,
                     err) < 0)
        return error_prefix(err, "executing processes for container");
    return urpc_answer_i64(&answer, pid, err);
}

static int wait_pid(const struct record *record, i64 pid, const struct wait_extra *extra,
                    int *exit_code, struct error *err)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    AUTO_URPC_CLIENT struct urpc_client *client = NULL;
    u32 status;
    int pidfd = process_open((pid_t)record->sandbox->pid, record->sandbox->pid_start);
    int result = control_connect(record, &client, err);
    if (result == 0)
        result = control_wait(client, "containerManager.WaitPID",
                              control_wait_pid_arg(&pool, record->id, pid), pidfd, extra, &status,
                              err);
    if (pidfd >= 0)
        close(pidfd);
    if (result < 0)
        return error_prefix(err, "waiting on pid %lld", (long long)pid);
    *exit_code = boot_exit_code(status);
    return 0;
}

/* ---- detached ---- */

/* Keeps no descriptor of the caller's but KEPT, in rising order: callers read their pipes to the
 * end, and who passed one on to the process wants it closed when the process closes it. */
static void let_go(const int *kept, size_t count)
{
    int null = open("/dev/null", O_RDWR), from = 3;
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        (void)dup2(null, fd);
    for (size_t i = 0; i < count; i++) {
        if (kept[i] > from)
            (void)syscall(SYS_close_range, from, kept[i] - 1, 0);
        from = MAX(from, kept[i] + 1);
    }
    (void)syscall(SYS_close_range, from, ~0u, 0);
}

/* Sleeps until the waiter has written DONE or is gone; in the second case the process must go too.
 */
NORETURN static void guard(const struct record *record, i64 pid, int pipe_end)
{
    char word = 0;
    setsid();
    prctl(PR_SET_NAME, "picket-guard");
    let_go(&pipe_end, 1);
    ssize_t got;
    do {
        got = read(pipe_end, &word, 1);
    } while (got < 0 && errno == EINTR);
    struct error unused;
    if (got != 1 || word != DONE)
        (void)!control_signal(record, 9, (i32)pid, CONTROL_PROCESS, 0, &unused);
    _exit(0);
}

/* CONSOLE: the terminal made for it, or -1; its signals are for the process too. */
NORETURN static void waiter(const struct record *record, const struct exec_options *options,
                            i64 pid, bool is_tty, int console, int tell)
{
    struct error err;
    struct forwarder forwarder;
    int pipes[2], exit_code = 128;
    setsid();
    prctl(PR_SET_NAME, "picket-exec");
    if (console >= 0)
        (void)ioctl(console, TIOCSCTTY, 0);
    forward_begin(&forwarder, record, (i32)pid, is_tty);
    if (pipe2(pipes, O_CLOEXEC) < 0)
        _exit(128);
    pid_t child = fork();
    if (child == 0)
        guard(record, pid, pipes[0]);
    close(pipes[0]);
    if (child < 0 ||
        (*options->pid_file && pid_file_write(options->pid_file, getpid(), &err) < 0)) {
        (void)!write(tell, "E", 1);
        _exit(128); /* the guard kills the process */
    }
    (void)!write(tell, "R", 1);
    int kept[2] = {MIN(pipes[1], forwarder.fd), MAX(pipes[1], forwarder.fd)};
    let_go(kept, 2);
    if (wait_pid(record, pid, &forwarder.extra, &exit_code, &err) < 0)
        exit_code = 128;
    char done = DONE;
    (void)!write(pipes[1], &done, 1);
    _exit(exit_code);
}

static int detach(struct record *record, const struct exec_options *options, i64 pid, bool is_tty,
                  int console, struct error *err)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return error_errno(err, "cannot make a pipe");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(pipes[0]);
        waiter(record, options, pid, is_tty, console, pipes[1]);
    }
    close(pipes[1]);
    char word = 0;
    ssize_t got = -1;
    if (child > 0)
        while ((got = read(pipes[0], &word, 1)) < 0 && errno == EINTR)
            ;
    close(pipes[0]);
    if (got == 1 && word == 'R')
        return 0;
    return error_set(err, ECHILD,
                     "cannot detach from the new process: its pid file %s could not be written",
                     options->pid_file);
}

/* ---- exec ---- */

int exec_run(struct record *record, const struct exec_options *options, int *exit_code,
             struct error *err)
{
    int stdio[3], console = -1;
    bool is_ours[3] = {false, false, false};
    bool is_tty = options->process->terminal;
    if (*options->console_socket) {
        const struct oci_box *size = options->process->console_size;
        if (console_create(options->console_socket, size ? (u16)size->height : 0,
                           size ? (u16)size->width : 0, &console, err) < 0)
            return -1;
        for (int i = 0; i < 3; i++)
            stdio[i] = console;
        is_tty = true;
    } else {
        stdio_borrow(stdio, is_ours);
    }
    i64 pid;
    struct forwarder forwarder = {.fd = -1};
    bool is_attached = !options->is_detached;
    struct terminal *terminal = is_attached && is_tty && console < 0 ? terminal_save(0) : NULL;
    if (is_attached)
        forward_begin(&forwarder, record, 0, is_tty);
    int result = execute(record, options, stdio, is_tty, &pid, err);
    stdio_return(stdio, is_ours);
    bool is_started = result == 0;
    if (result == 0 && *options->internal_pid_file)
        result = pid_file_write(options->internal_pid_file, (pid_t)pid, err);
    if (result == 0 && is_attached) {
        forwarder.pid = (i32)pid;
        if (*options->pid_file)
            result = pid_file_write(options->pid_file, getpid(), err);
        if (result == 0)
            result = wait_pid(record, pid, &forwarder.extra, exit_code, err);
    } else if (result == 0) {
        result = detach(record, options, pid, is_tty, console, err);
        *exit_code = 0;
    }
    struct error unused;
    if (result < 0 && is_started) /* nobody would know of it */
        (void)!control_signal(record, 9, (i32)pid, CONTROL_PROCESS, 0, &unused);
    if (is_attached)
        forward_end(&forwarder);
    if (console >= 0)
        close(console);
    terminal_restore(terminal);
    return result;
}
