/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate ADDRESS CID BATCHES CALLS DEPTH: small control calls on one connection; a line with the
 * microseconds a call took in the quickest batch and in the median one. DEPTH calls are written
 * together and their answers awaited; a sandbox of gVisor's takes 1 only. ADDRESS is a path, or
 * @NAME for an abstract name, whose terminator counts as in clients of 2022. ADDRESS "echo": another
 * process that only writes an answer to whatever it reads; no server is quicker on this machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const char good[] = "{\"success\":true,\"err\":\"\",\"result\":{}}";

static int open_echo(void)
{
    static char bytes[1 << 14];
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        while (read(fds[1], bytes, sizeof bytes) > 0)
            if (write(fds[1], good, sizeof good - 1) < 0)
                break;
        _exit(0);
    }
    close(fds[1]);
    return pid < 0 ? -1 : fds[0];
}

static int open_connection(const char *where)
{
    if (strcmp(where, "echo") == 0)
        return open_echo();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t size = strlen(where) + 1;
    if (size > sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, where, size);
    if (*where == '@')
        address.sun_path[0] = '\0';
    else
        size = sizeof address.sun_path;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
                           (socklen_t)(sizeof address.sun_family + size)) == 0)
        return fd;
    return -1;
}

/* DEPTH calls; they are all of TEXT. */
static int some_calls(int fd, const char *text, size_t size, size_t depth)
{
    static char answers[1 << 16];
    size_t got = 0, want = depth * (sizeof good - 1);
    if (write(fd, text, size) != (ssize_t)size || want > sizeof answers)
        return -1;
    while (got < want) {
        ssize_t more = read(fd, answers + got, sizeof answers - got);
        if (more <= 0 || (got == 0 && strncmp(answers, good, 15) != 0))
            return -1;
        got += (size_t)more;
    }
    return got == want && memcmp(answers + got - sizeof good + 1, good, sizeof good - 1) == 0 ? 0
                                                                                              : -1;
}

static int order(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    static char text[1 << 14];
    size_t size = 0;
    if (argc != 6)
        return 2;
    int batches = atoi(argv[3]), calls = atoi(argv[4]), depth = atoi(argv[5]);
    for (int i = 0; i < depth && size + 512 < sizeof text; i++)
        size += (size_t)snprintf(text + size, 512,
                                 "{\"method\":\"containerManager.Signal\",\"arg\":{\"CID\":\"%s\","
                                 "\"Signo\":0,\"PID\":0,\"Mode\":0}}",
                                 argv[2]);
    double *times = calloc((size_t)batches, sizeof *times);
    int fd = open_connection(argv[1]);
    if (fd < 0 || !times || batches < 1 || calls < depth || depth < 1) {
        fprintf(stderr, "rate: cannot connect to %s\n", argv[1]);
        return 1;
    }
    for (int batch = 0; batch < batches; batch++) {
        double start = now_us();
        for (int i = 0; i < calls / depth; i++) {
            if (some_calls(fd, text, size, (size_t)depth)) {
                fprintf(stderr, "rate: a call failed\n");
                return 1;
            }
        }
        times[batch] = (now_us() - start) / (calls / depth * depth);
    }
    qsort(times, (size_t)batches, sizeof *times, order);
    printf("%.2f %.2f\n", times[0], times[batches / 2]);
    return 0;
}
