/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hook is waited for by its pidfd, so its timeout needs no alarm and no thread. Its environment
 * is the hook's own alone. What it prints goes into the error's text when it fails, and nowhere
 * otherwise.
 */
#include "runtime/hooks.h"

#include "base/buf.h"
#include "base/checked.h"
#include "runtime/process.h"
#include "wire/urpc/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX 512

char *oci_state_json(const struct oci_state *state, const char *indent)
{
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    writer.indent = indent;
    json_begin_object(&writer);
    json_name(&writer, "ociVersion");
    json_put_string(&writer, OCI_VERSION);
    json_name(&writer, "id");
    json_put_string(&writer, state->id);
    json_name(&writer, "status");
    json_put_string(&writer, state->status);
    if (state->pid != 0) {
        json_name(&writer, "pid");
        json_put_i64(&writer, state->pid);
    }
    json_name(&writer, "bundle");
    json_put_string(&writer, state->bundle);
    if (state->spec && state->spec->annotations.count > 0) {
        json_name(&writer, "annotations");
        json_begin_object(&writer);
        for (size_t i = 0; i < state->spec->annotations.count; i++) {
            json_name(&writer, state->spec->annotations.items[i].name);
            json_put_string(&writer, state->spec->annotations.items[i].value);
        }
        json_end_object(&writer);
    }
    json_end_object(&writer);
    char *text = buf_text(&buf);
    ASSERT(text && !writer.failed);
    return strdup(text);
}

/* A list of strings as execve wants it; free with free. */
static char **strings(char *const *items, size_t count, const char *first)
{
    char **list = calloc(count + 2, sizeof(char *));
    if (!list)
        abort();
    for (size_t i = 0; i < count; i++)
        list[i] = items[i];
    if (count == 0 && first)
        list[0] = (char *)(uintptr_t)first;
    return list;
}

NORETURN static void hook_child(const struct oci_hook *hook, int input, int output)
{
    char **args = strings(hook->args.items, hook->args.count, hook->path);
    char **env = strings(hook->env.items, hook->env.count, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* What we or our caller ignore it would inherit. By the system call: the C library keeps two
     * numbers to itself. */
    static const u64 by_default[4] = {0}; /* the kernel's struct sigaction */
    for (int signo = 1; signo <= 64; signo++)
        (void)syscall(SYS_rt_sigaction, signo, by_default, NULL, sizeof(u64));
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(127);
    (void)syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    execve(hook->path, args, env);
    dprintf(2, "%s", errno_text(errno));
    _exit(127);
}

/* Read what comes until the process has ended or the deadline; false: timeout. */
static bool hook_wait(int pidfd, int output, int timeout_ms, char *text)
{
    size_t used = 0;
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        struct pollfd polls[2] = {{.fd = pidfd, .events = POLLIN},
                                  {.fd = output, .events = POLLIN}};
        clock_gettime(CLOCK_MONOTONIC, &now);
        i64 passed = (i64)(now.tv_sec - start.tv_sec) * 1000 +
                     (now.tv_nsec - start.tv_nsec) / 1000000;
        i64 left = timeout_ms < 0 ? -1 : MAX((i64)timeout_ms - passed, 0);
        int ready = poll(polls, output >= 0 ? 2 : 1, (int)MIN(left, (i64)INT32_MAX));
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            return false;
        if (polls[1].revents & (POLLIN | POLLHUP)) {
            char chunk[256];
            ssize_t got = read(output, chunk, sizeof chunk);
            if (got <= 0)
                output = -1;
            size_t kept = MIN((size_t)MAX(got, 0), OUTPUT_MAX - 1 - used);
            memcpy(text + used, chunk, kept);
            used += kept;
            text[used] = 0;
            continue;
        }
        if (polls[0].revents)
            return true;
    }
}

static int hook_judge(const struct oci_hook *hook, int status, char *text, struct error *err)
{
    if (status == 0)
        return 0;
    text[strcspn(text, "\r\n")] = 0;
    const char *colon = *text ? ": " : "";
    if (WIFSIGNALED(status))
        return error_set(err, EREMOTEIO, "failure executing hook \"%s\", err: signal: %s%s%s",
                         hook->path, strsignal(WTERMSIG(status)), colon, text);
    return error_set(err, EREMOTEIO, "failure executing hook \"%s\", err: exit status %d%s%s",
                     hook->path, WEXITSTATUS(status), colon, text);
}

static int hook_run(const struct oci_hook *hook, const char *state, struct error *err)
{
    if (!hook->path || hook->path[0] != '/')
        return error_set(err, EINVAL, "path for hook is not absolute: \"%s\"",
                         hook->path ? hook->path : "");
    int input = memfd_create("state", MFD_CLOEXEC);
    int pipes[2] = {-1, -1};
    size_t size = strlen(state);
    if (input < 0 || write(input, state, size) != (ssize_t)size || lseek(input, 0, SEEK_SET) < 0 ||
        pipe2(pipes, O_CLOEXEC) < 0) {
        if (input >= 0)
            close(input);
        return error_errno(err, "failure executing hook \"%s\", err", hook->path);
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        hook_child(hook, input, pipes[1]);
    close(input);
    close(pipes[1]);
    int pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        close(pipes[0]);
        return error_errno(err, "failure executing hook \"%s\", err", hook->path);
    }
    char text[OUTPUT_MAX] = "";
    i64 timeout_ms = -1;
    if (hook->timeout && *hook->timeout > 0)
        timeout_ms = MIN(*hook->timeout, (i64)INT32_MAX / 1000) * 1000;
    bool has_ended = hook_wait(pidfd, pipes[0], (int)timeout_ms, text);
    if (!has_ended)
        (void)process_signal(pidfd, SIGKILL);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(pipes[0]);
    close(pidfd);
    if (!has_ended)
        return error_set(err, ETIMEDOUT, "timeout executing hook \"%s\"", hook->path);
    return hook_judge(hook, status, text, err);
}

int hooks_run(const struct oci_hook *hooks, size_t count, const struct oci_state *state,
              struct error *err)
{
    if (count == 0)
        return 0;
    char *json = oci_state_json(state, NULL);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = hook_run(&hooks[i], json, err);
    free(json);
    return result;
}
