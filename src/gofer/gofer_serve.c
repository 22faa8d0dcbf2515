/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread serves all mounts of one container. It may wait in a send: whoever does not read its
 * answers keeps only itself waiting, because all connections lead to the same sandbox. With one
 * connection left, which is the usual case, there is no poll: a request then costs one recv and one
 * send.
 */
#include "gofer/gofer_serve.h"

#include "wire/gofer/gofer_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Requests served from one connection before the next one has its turn. */
#define TURN_MAX 16

struct server {
    struct gofer_core **cores;
    struct pollfd *polls; /* beside the cores; closed connections are moved out */
    u32 count;
    u8 request[GOFER_MESSAGE_MAX];
    u8 reply[GOFER_MESSAGE_MAX];
};

/* The whole answer with its descriptor; false when the peer is gone. */
static bool answer_send(int socket, const void *bytes, size_t size,
                        const struct gofer_donation *donation)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (donation->file || donation->stream) {
        int fd = donation->file ? host_file_fd(donation->file) : host_stream_fd(donation->stream);
        message.msg_control = &control;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)size;
}

/* One request of connection INDEX. 1: served; 0: none is there now; -1: the connection has ended.
 */
static int serve_one(struct server *server, u32 index, int flags)
{
    int socket = server->polls[index].fd;
    ssize_t got;
    do {
        got = recv(socket, server->request, sizeof server->request, flags | MSG_TRUNC);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0 || (size_t)got > sizeof server->request)
        return -1;
    struct gofer_donation donation;
    i64 size = gofer_core_handle(server->cores[index], server->request, (size_t)got, server->reply,
                                 &donation);
    bool is_alive = size >= 0;
    if (size > 0)
        is_alive = answer_send(socket, server->reply, (size_t)size, &donation);
    host_file_put(donation.file);
    if (donation.stream)
        host_stream_put(donation.stream);
    return is_alive ? 1 : -1;
}

static void server_drop(struct server *server, u32 index)
{
    gofer_core_destroy(server->cores[index]);
    close(server->polls[index].fd);
    server->count--;
    server->cores[index] = server->cores[server->count];
    server->polls[index] = server->polls[server->count];
}

static void serve_all(struct server *server)
{
    while (server->count > 0) {
        if (server->count == 1) {
            if (serve_one(server, 0, 0) < 0)
                server_drop(server, 0);
            continue;
        }
        if (poll(server->polls, server->count, -1) < 0)
            continue; /* EINTR */
        for (u32 index = server->count; index > 0; index--) {
            if (server->polls[index - 1].revents == 0)
                continue;
            int served = 1;
            for (u32 turn = 0; turn < TURN_MAX && served > 0; turn++)
                served = serve_one(server, index - 1, MSG_DONTWAIT);
            if (served < 0)
                server_drop(server, index - 1);
        }
    }
}

int gofer_serve(struct host *host, const struct gofer_mount *mounts, u32 count, struct error *err)
{
    struct server *server = calloc(1, sizeof *server);
    struct gofer_core **cores = calloc(count + 1, sizeof(struct gofer_core *));
    struct pollfd *polls = calloc(count + 1, sizeof *polls);
    int result = 0;
    if (!server || !cores || !polls) {
        result = error_set(err, ENOMEM, "cannot serve files: out of memory");
        goto free_memory;
    }
    server->cores = cores;
    server->polls = polls;
    for (u32 i = 0; i < count; i++) {
        struct host_file *root = host_file_from_fd(host, mounts[i].root);
        int failed = root ? gofer_core_create(host, root, &mounts[i].options, &cores[i]) : -ENOMEM;
        if (failed) {
            result = error_set(err, -failed, "cannot serve mount %u: %s", i, errno_text(-failed));
            break;
        }
        polls[i] = (struct pollfd){.fd = mounts[i].socket, .events = POLLIN};
        server->count++;
    }
    if (result == 0)
        serve_all(server);
    while (server->count > 0)
        server_drop(server, server->count - 1);
free_memory:
    free(server);
    free(cores);
    free(polls);
    return result;
}
