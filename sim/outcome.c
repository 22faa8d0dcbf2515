/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in processes of their own: their verdicts and traces come back in memory files. */
#include "sim/outcome.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/coverage.h"

#define WALL_SECONDS 60u
#define WRITE_FAILED_EXIT 77

static void write_all(int fd, const void *bytes, size_t size)
{
    const u8 *at = bytes;
    while (size > 0) {
        ssize_t count = write(fd, at, size);
        if (count <= 0)
            _exit(WRITE_FAILED_EXIT);
        at += count;
        size -= (size_t)count;
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static char *read_all(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    if (!text || pread(fd, text, (size_t)size, 0) != size)
        abort();
    return text;
}

static NORETURN void child(const char *file, struct fy_document *document,
                           const struct run_config *config, int message, int trace)
{
    const struct buf *records;
    struct sim_error err = {0};
    alarm(WALL_SECONDS);
    int result = scenario_play(file, document, config, &records, &err);
    if (result) {
        char text[1024];
        int size = err.place.line ? snprintf(text, sizeof text, "%s:%u:%u: %s", file,
                                             err.place.line, err.place.column, err.text)
                                  : snprintf(text, sizeof text, "%s: %s", file, err.text);
        write_all(message, text, (size_t)size);
    }
    write_all(trace, buf_bytes(records), records->size);
    coverage_write();
    _exit(result ? 1 : 0);
}

struct outcome outcome_play(const char *file, struct fy_document *document,
                            const struct run_config *config)
{
    struct outcome outcome = {0};
    int message = memfd_create("message", MFD_CLOEXEC), trace = memfd_create("trace", MFD_CLOEXEC),
        status = 0;
    char text[256];
    double begin = seconds_now();
    fflush(NULL);
    pid_t pid = message < 0 || trace < 0 ? -1 : fork();
    if (pid < 0) {
        perror("picket-sim: cannot start a run");
        exit(1);
    }
    if (pid == 0)
        child(file, document, config, message, trace);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    outcome.has_passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    outcome.seconds = seconds_now() - begin;
    if (WIFSIGNALED(status)) {
        int size = WTERMSIG(status) == SIGALRM
                       ? snprintf(text, sizeof text, "%s: no end within %u s of wall time", file,
                                  WALL_SECONDS)
                       : snprintf(text, sizeof text, "%s: the run crashed: %s", file,
                                  strsignal(WTERMSIG(status)));
        write_all(message, text, (size_t)size);
    }
    outcome.message = read_all(message);
    outcome.status = WIFSIGNALED(status)                 ? STATUS_CRASHED
                     : strstr(outcome.message, " stuck") ? STATUS_STUCK
                                                         : STATUS_FAILED;
    outcome.trace = read_all(trace);
    close(message);
    close(trace);
    return outcome;
}

void outcome_fini(struct outcome *outcome)
{
    free(outcome->message);
    free(outcome->trace);
}
