/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone3 and execve of /proc/self/exe. The child between the two is a copy of this single-threaded
 * process, so ordinary calls are safe there. Signals it should not get from the caller's terminal
 * are kept away by a session of its own.
 */
#include "runtime/spawn.h"

#include "runtime/config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_FD 3

void spawn_init(struct spawn *spawn, struct pool *pool, const char *name, const char *command)
{
    memset(spawn, 0, sizeof *spawn);
    spawn->pool = pool;
    spawn->netns = -1;
    spawn->startup = -1;
    spawn->go[0] = spawn->go[1] = -1;
    for (int i = 0; i < 3; i++)
        spawn->stdio[i] = -1;
    spawn_arg(spawn, "%s", name);
    spawn_arg(spawn, "%s", command);
}

void spawn_arg(struct spawn *spawn, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    ASSERT(size >= 0 && spawn->argc < SPAWN_ARGS_MAX - 1);
    spawn->argv[spawn->argc++] = pool_strdup(spawn->pool, text);
    free(text);
}

int spawn_fd(struct spawn *spawn, int fd)
{
    ASSERT(fd >= 0 && spawn->fd_count < SPAWN_FDS_MAX);
    spawn->fds[spawn->fd_count] = fd;
    return FIRST_FD + (int)spawn->fd_count++;
}

/* ---- in the child ---- */

NORETURN static void child_fail(const struct spawn *spawn, const char *what)
{
    char text[256];
    snprintf(text, sizeof text, "cannot start %s: %s: %s", spawn->argv[0], what, errno_text(errno));
    if (spawn->startup >= 0)
        startup_fail(spawn->startup, text);
    _exit(128);
}

/* Every wanted descriptor to its number, all others to be closed by execve. */
static void child_descriptors(struct spawn *spawn)
{
    int base = FIRST_FD + (int)spawn->fd_count;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        child_fail(spawn, "/dev/null");
    int stdio[3];
    for (int i = 0; i < 3; i++)
        stdio[i] = fcntl(spawn->stdio[i] >= 0 ? spawn->stdio[i] : null, F_DUPFD_CLOEXEC, base);
    if (spawn->startup >= 0)
        spawn->startup = fcntl(spawn->startup, F_DUPFD_CLOEXEC, base);
    for (u32 i = 0; i < spawn->fd_count; i++) {
        spawn->fds[i] = fcntl(spawn->fds[i], F_DUPFD_CLOEXEC, base);
        if (spawn->fds[i] < 0)
            child_fail(spawn, "descriptors");
    }
    for (int i = 0; i < 3; i++)
        if (stdio[i] < 0 || dup2(stdio[i], i) < 0)
            child_fail(spawn, "standard descriptors");
    for (u32 i = 0; i < spawn->fd_count; i++)
        if (dup2(spawn->fds[i], FIRST_FD + (int)i) < 0)
            child_fail(spawn, "descriptors");
    if (syscall(SYS_close_range, base, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) == 0)
        return;
    long max = sysconf(_SC_OPEN_MAX);
    for (int fd = base; fd < max; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Its number stands in the record before it does anything: so whoever dies on the way leaves no
 * process behind that nobody knows. */
static void child_await(const struct spawn *spawn)
{
    char word;
    ssize_t got;
    close(spawn->go[1]);
    do {
        got = read(spawn->go[0], &word, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(128);
}

NORETURN static void child_run(struct spawn *spawn)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    setsid();
    if (spawn->is_attached)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (spawn->go[0] >= 0)
        child_await(spawn);
    for (u32 i = 0; i < spawn->cgroup_count; i++)
        (void)!write(spawn->cgroups[i], "0",
                     1); /* best effort: limits are the host's comfort, not its safety */
    if (spawn->netns >= 0 && setns(spawn->netns, CLONE_NEWNET) < 0)
        child_fail(spawn, "joining the network namespace");
    child_descriptors(spawn);
    static char *empty[] = {NULL};
    execve(SELF_EXE, spawn->argv, empty);
    child_fail(spawn, "executing " SELF_EXE);
}

/* ---- in the caller ---- */

static pid_t clone_with(u64 flags, int *pidfd)
{
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD, .pidfd = (u64)(uintptr_t)pidfd, .exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

int spawn_start(struct spawn *spawn, pid_t *pid, int *pidfd, struct error *err)
{
    ASSERT(spawn->argc >= 3 && spawn->argc < SPAWN_ARGS_MAX);
    char **jail = &spawn->argv[spawn->argc - 1];
    spawn->argv[spawn->argc++] = *jail; /* the last argument stays last */
    *jail = pool_strdup(spawn->pool, spawn->namespaces ? "--jail=true" : "--jail=false");
    fflush(NULL);
    pid_t child = clone_with(spawn->namespaces, pidfd);
    if (child < 0 && spawn->namespaces && (errno == EPERM || errno == ENOSPC || errno == EINVAL)) {
        *jail = pool_strdup(spawn->pool, "--jail=false");
        child = clone_with(0, pidfd);
    }
    if (child < 0)
        return error_errno(err, "cannot start %s", spawn->argv[0]);
    if (child == 0)
        child_run(spawn);
    *pid = child;
    return 0;
}

/* ---- startup ---- */

void startup_ready(int fd)
{
    (void)!write(fd, "R", 1);
}

void startup_fail(int fd, const char *text)
{
    char message[ERROR_TEXT_SIZE + 2];
    int size = snprintf(message, sizeof message, "E%s", text);
    (void)!write(fd, message, MIN((size_t)size, sizeof message - 1));
}

int startup_wait(int fd, u32 count, struct error *err)
{
    while (count > 0) {
        char text[ERROR_TEXT_SIZE + 2];
        ssize_t size = read(fd, text, 1);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return error_set(err, ECHILD, "cannot start the sandbox: it ended before it was ready");
        if (text[0] == 'R') {
            count--;
            continue;
        }
        size = read(fd, text, sizeof text - 1);
        text[MAX(size, 0)] = 0;
        return error_set(err, EREMOTEIO, "%s", text);
    }
    return 0;
}
