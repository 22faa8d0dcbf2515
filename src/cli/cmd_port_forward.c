/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port-forward ID LOCAL:REMOTE: connections to a port here go to one of the container's loopback, a
 * call each, until the container ends. With -stream one connection: a unix socket's.
 */
#include "cli/commands.h"
#include "runtime/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128

/* A number of 16 bits, all of TEXT up to END. */
static int parse_port(const char *text, const char *end, u16 *port)
{
    char *stop;
    errno = 0;
    unsigned long value = strtoul(text, &stop, 10);
    if (errno || stop != end || stop == text || value > UINT16_MAX || *text == '-' || *text == '+')
        return -1;
    *port = (u16)value;
    return 0;
}

/* FD is lent to the call; the sandbox keeps a copy of its own. */
static int forward(const struct record *record, u16 port, int fd, struct error *err)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    char arg[256];
    const char *id = control_string(&pool, record->id);
    if (snprintf(arg, sizeof arg, "{\"ContainerID\":%s,\"Port\":%u}", id, port) >= (int)sizeof arg)
        return error_set(err, ENAMETOOLONG, "container ID \"%s\" is too long", record->id);
    return control_call(record, "containerManager.PortForward", arg, &fd, 1, NULL, err);
}

static int forward_stream(const struct record *record, const char *path, u16 port,
                          struct error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path)
        return error_set(err, ENAMETOOLONG, "the path \"%s\" is too long for a socket", path);
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const void *)&at, sizeof at) < 0) {
        error_errno(err, "dialing unix socket \"%s\"", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int result = forward(record, port, fd, err);
    close(fd);
    return result;
}

static int listen_at(u16 port, struct error *err)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && bind(fd, (const void *)&at, sizeof at) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    error_errno(err, "listening on local port %u", port);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A child that waits for the container; its end shows as a hang-up of the pipe returned. */
static int watch_end(const struct record *record, pid_t *child, struct error *err)
{
    int fds[2];
    if (pipe(fds) < 0)
        return error_errno(err, "making a pipe");
    *child = fork();
    if (*child == 0) {
        u32 status;
        close(fds[0]);
        _exit(container_wait(record, NULL, NULL, &status, err) < 0);
    }
    close(fds[1]);
    if (*child > 0)
        return fds[0];
    close(fds[0]);
    return error_errno(err, "starting a process");
}

static void serve(const struct record *record, int listener, int ended, u16 port)
{
    struct pollfd waits[2] = {{.fd = listener, .events = POLLIN}, {.fd = ended, .events = 0}};
    struct error err;
    for (;;) {
        if (poll(waits, 2, -1) < 0 && errno != EINTR)
            return;
        if (waits[1].revents)
            return;
        if (!(waits[0].revents & POLLIN))
            continue;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        printf("Forwarding new connection...\n");
        fflush(stdout);
        if (forward(record, port, fd, &err) < 0)
            fprintf(stderr, "%s\n", err.text);
        close(fd);
        printf("Finished forwarding connection...\n");
        fflush(stdout);
    }
}

static int forward_local(const struct record *record, u16 local, u16 remote, struct error *err)
{
    pid_t child = -1;
    int listener = listen_at(local, err);
    if (listener < 0)
        return -1;
    int ended = watch_end(record, &child, err);
    if (ended < 0) {
        close(listener);
        return -1;
    }
    printf("Forwarding local port %u to %u...\n", local, remote);
    fflush(stdout);
    serve(record, listener, ended, remote);
    printf("Container \"%s\" stopped. Exiting...\n", record->id);
    close(ended);
    close(listener);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return 0;
}

int cmd_port_forward(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct port_forward_options *options = given;
    bool has_stream = options->stream && *options->stream;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    u16 local = 0, remote = 0;
    if (argc != 2)
        return cli_usage(cli);
    const char *ports = argv[1], *colon = strchr(ports, ':'), *end = ports + strlen(ports);
    int bad = has_stream ? parse_port(ports, end, &remote)
              : colon    ? parse_port(ports, colon, &local) | parse_port(colon + 1, end, &remote)
                         : parse_port(ports, end, &remote) | parse_port(ports, end, &local);
    if (bad) {
        error_set(&err, EINVAL, "invalid port string \"%s\"", ports);
        return cli_fail(cli, &err);
    }
    if (cli_container(cli, argv[0], true, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    int result = has_stream ? forward_stream(record, options->stream, remote, &err)
                            : forward_local(record, local, remote, &err);
    return result < 0 ? cli_fail(cli, &err) : 0;
}
