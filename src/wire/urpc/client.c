/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calling side. An answer is read until its one JSON value has ended; gVisor's server writes no
 * newline behind it. Descriptors ride on the call's and the answer's first byte.
 */
#include "wire/urpc/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE ((size_t)16 << 10)
/* The sandbox is trusted less than this process: its answers are bounded too (metrics and stacks
 * are the largest). */
#define ANSWER_SIZE_MAX ((size_t)32 << 20)

struct urpc_client {
    int fd;
    bool is_broken;
    u64 timeout_ns;
};

static u64 now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

/* ---- connecting ----------------------------------------------------------------------------- */

int urpc_client_from_fd(int fd, struct urpc_client **out, struct error *err)
{
    struct urpc_client *client = calloc(1, sizeof *client);
    if (!client) {
        close(fd);
        return error_set(err, ENOMEM, "out of memory");
    }
    client->fd = fd;
    *out = client;
    return 0;
}

/* An address for PATH: too long a one goes through a descriptor of its directory, *DIR_FD (-1:
 * none). */
static int path_address(const char *path, struct sockaddr_un *address, int *dir_fd,
                        struct error *err)
{
    if (strlen(path) < sizeof address->sun_path) {
        memcpy(address->sun_path, path, strlen(path) + 1);
        return 0;
    }
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : NULL;
    *dir_fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    free(dir);
    if (*dir_fd < 0)
        return error_errno(err, "cannot open the directory of control socket %s", path);
    int size = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", *dir_fd,
                        slash + 1);
    if (size < 0 || (size_t)size >= sizeof address->sun_path)
        return error_set(err, ENAMETOOLONG, "the name of control socket %s is too long", path);
    return 0;
}

static int connect_abstract(int fd, const char *text, size_t length, struct error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (length >= sizeof name.sun_path)
        return error_set(err, ENAMETOOLONG, "the name of control socket @%s is too long", text);
    memcpy(name.sun_path + 1, text, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    return connect(fd, (struct sockaddr *)&name, size) == 0
               ? 0
               : error_errno(err, "connecting to control server at @%s", text);
}

static int connect_address(int fd, const char *address, struct error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t size = sizeof name;
    int dir_fd = -1;
    if (address[0] == '@')
        return connect_abstract(fd, address + 1, strlen(address + 1), err);
    if (path_address(address, &name, &dir_fd, err)) {
        if (dir_fd >= 0)
            close(dir_fd);
        return -1;
    }
    int failed = connect(fd, (struct sockaddr *)&name, size);
    if (failed)
        error_errno(err, "connecting to control server at %s", address);
    if (dir_fd >= 0)
        close(dir_fd);
    return failed;
}

int urpc_client_connect(const char *address, struct urpc_client **out, struct error *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "cannot create a socket");
    if (connect_address(fd, address, err)) {
        close(fd);
        return -1;
    }
    return urpc_client_from_fd(fd, out, err);
}

int urpc_client_connect_abstract(const char *name, size_t size, struct urpc_client **out,
                                 struct error *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "cannot create a socket");
    if (connect_abstract(fd, name, size, err)) {
        close(fd);
        return -1;
    }
    return urpc_client_from_fd(fd, out, err);
}

void urpc_client_close(struct urpc_client *client)
{
    if (!client)
        return;
    close(client->fd);
    free(client);
}

void urpc_client_close_auto(struct urpc_client **client)
{
    urpc_client_close(*client);
}

int urpc_client_fd(const struct urpc_client *client)
{
    return client->fd;
}

void urpc_client_set_timeout(struct urpc_client *client, u64 timeout_ns)
{
    client->timeout_ns = timeout_ns;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static u64 call_deadline(const struct urpc_client *client)
{
    u64 deadline;
    if (client->timeout_ns == 0 || __builtin_add_overflow(now_ns(), client->timeout_ns, &deadline))
        return NO_DEADLINE;
    return deadline;
}

/* Until the socket is ready for EVENTS. 0, or -1 with errno (ETIMEDOUT). */
static int wait_ready(const struct urpc_client *client, short events, u64 deadline)
{
    for (;;) {
        int timeout_ms = -1;
        if (deadline != NO_DEADLINE) {
            u64 now = now_ns();
            timeout_ms = now >= deadline ? 0
                                         : (int)MIN((deadline - now + NS_PER_MS - 1) / NS_PER_MS,
                                                    (u64)INT32_MAX);
        }
        struct pollfd ready = {.fd = client->fd, .events = events};
        int count = poll(&ready, 1, timeout_ms);
        if (count > 0)
            return 0;
        if (count < 0 && errno != EINTR)
            return -1;
        if (deadline != NO_DEADLINE && now_ns() >= deadline) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

static int transport_error(struct urpc_client *client, const char *what, struct error *err)
{
    client->is_broken = true;
    return error_errno(err, "urpc: cannot %s", what);
}

/* ---- sending -------------------------------------------------------------------------------- */

union fd_control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * (URPC_FDS_MAX + 1))];
};

static ssize_t send_some(int fd, const char *bytes, size_t size, const int *fds, u32 fd_count)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    union fd_control control;
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * fd_count);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_all(struct urpc_client *client, const char *bytes, size_t size, const int *fds,
                    u32 fd_count, struct error *err)
{
    u64 deadline = call_deadline(client);
    while (size > 0) {
        ssize_t sent = send_some(client->fd, bytes, size, fds, fd_count);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (wait_ready(client, POLLOUT, deadline))
                return transport_error(client, "send a call", err);
            continue;
        }
        if (sent < 0)
            return transport_error(client, "send a call", err);
        fd_count = 0;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int urpc_call_send(struct urpc_client *client, const char *method, const char *arg_json,
                   const int *fds, u32 fd_count, struct error *err)
{
    struct arena heap;
    AUTO_BUF struct buf text;
    struct json_writer writer;
    struct json_text arg;
    if (client->is_broken)
        return error_set(err, EPIPE, "urpc: the connection is broken");
    if (fd_count > URPC_FDS_MAX)
        return error_set(err, EMFILE, "too many files");
    heap_arena_init(&heap);
    buf_init(&text, &heap, 0);
    if (json_parse(arg_json ? arg_json : "null", arg_json ? strlen(arg_json) : 4, 0, &arg, err))
        return error_prefix(err, "argument of %s", method);
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    json_name(&writer, "method");
    json_put_string(&writer, method);
    json_name(&writer, "arg");
    json_put_raw(&writer, arg);
    json_end_object(&writer);
    if (writer.failed)
        return error_set(err, ENOMEM, "out of memory");
    return send_all(client, (char *)buf_bytes(&text), text.size, fds, fd_count, err);
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void drop_fds(const struct cmsghdr *head)
{
    for (size_t i = 0; i < (head->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
        close(fd);
    }
}

/* Keep the descriptors of one message; false: more than an answer may have. */
static bool keep_fds(struct msghdr *message, struct urpc_answer *answer)
{
    bool fits = !(message->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        u32 count = (u32)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        if (count > URPC_FDS_MAX - answer->fd_count) {
            drop_fds(head);
            fits = false;
            continue;
        }
        memcpy(answer->fds + answer->fd_count, CMSG_DATA(head), sizeof(int) * count);
        answer->fd_count += count;
    }
    return fits;
}

static ssize_t receive_some(struct urpc_client *client, char *out, size_t size,
                            struct urpc_answer *answer)
{
    union fd_control control;
    struct iovec iov = {out, size};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0)
        return got;
    if (!keep_fds(&message, answer)) {
        errno = EMFILE;
        return -1;
    }
    if (got == 0)
        errno = ECONNRESET;
    return got == 0 ? -1 : got;
}

/* All bytes of one JSON value into TEXT. */
static int receive_value(struct urpc_client *client, struct buf *text, struct urpc_answer *answer,
                         struct error *err)
{
    struct json_scanner scanner;
    u64 deadline = call_deadline(client);
    json_scanner_init(&scanner, ANSWER_SIZE_MAX);
    for (enum json_status status = JSON_MORE; status == JSON_MORE;) {
        u8 *room;
        size_t used = 0;
        if (wait_ready(client, POLLIN, deadline))
            return transport_error(client, "receive an answer", err);
        if (buf_reserve(text, READ_SIZE, &room))
            return error_set(err, ENOMEM, "out of memory");
        ssize_t got = receive_some(client, (char *)room, READ_SIZE, answer);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got < 0)
            return transport_error(client, "receive an answer", err);
        status = json_scan(&scanner, room, (size_t)got, &used);
        buf_grow(text, used);
        if (status != JSON_MORE && status != JSON_COMPLETE) {
            client->is_broken = true;
            return error_set(err, EPROTO, "urpc: the sandbox's answer is not JSON");
        }
    }
    return 0;
}

static const struct wire_field answer_fields[] = {
    WIRE_FIELD(struct urpc_answer, success, "success", &wire_bool),
    WIRE_FIELD(struct urpc_answer, err_text, "err", &wire_string),
    WIRE_FIELD(struct urpc_answer, result, "result", &wire_raw),
    WIRE_END,
};
static const struct wire_type answer_type = WIRE_TYPE_STRUCT(struct urpc_answer, answer_fields,
                                                             "urpc.callResult");

static int decode_answer(const struct buf *text, struct urpc_answer *answer, struct error *err)
{
    struct json_text value;
    char *copy = pool_strndup(&answer->pool, (char *)buf_bytes(text), text->size);
    if (!copy)
        return error_set(err, ENOMEM, "out of memory");
    if (json_parse(copy, text->size, ANSWER_SIZE_MAX, &value, err) ||
        wire_decode(&answer_type, value, &answer->pool, answer, err))
        return error_prefix(err, "urpc: the sandbox's answer");
    if (!answer->err_text)
        answer->err_text = copy + text->size; /* "" */
    if (answer->success)
        return 0;
    return error_set(err, EREMOTEIO, "%s", answer->err_text);
}

int urpc_call_receive(struct urpc_client *client, struct urpc_answer *answer, struct error *err)
{
    struct arena heap;
    AUTO_BUF struct buf text;
    if (client->is_broken)
        return error_set(err, EPIPE, "urpc: the connection is broken");
    heap_arena_init(&heap);
    buf_init(&text, &heap, 0);
    urpc_answer_fini(answer);
    pool_init(&answer->pool, NULL);
    if (receive_value(client, &text, answer, err))
        return -1;
    return decode_answer(&text, answer, err);
}

int urpc_call(struct urpc_client *client, const char *method, const char *arg_json, const int *fds,
              u32 fd_count, struct urpc_answer *answer, struct error *err)
{
    if (urpc_call_send(client, method, arg_json, fds, fd_count, err))
        return -1;
    return urpc_call_receive(client, answer, err);
}

static int decode_result(const struct wire_type *type, void *result, struct urpc_answer *answer,
                         struct error *err)
{
    if (!type || !result)
        return 0;
    return wire_decode(type, answer->result, &answer->pool, result, err);
}

int urpc_call_struct(struct urpc_client *client, const char *method,
                     const struct wire_type *arg_type, const void *arg,
                     const struct wire_type *result_type, void *result, struct urpc_answer *answer,
                     struct error *err)
{
    AUTO_POOL struct pool pool;
    AUTO_URPC_ANSWER struct urpc_answer own = {0};
    pool_init(&pool, NULL);
    char *text = arg_type && arg ? wire_encode_text(arg_type, arg, &pool) : NULL;
    if (!answer)
        answer = &own;
    if (urpc_call(client, method, text, NULL, 0, answer, err))
        return -1;
    return decode_result(result_type, result, answer, err);
}

/* ---- answers -------------------------------------------------------------------------------- */

void urpc_answer_fini(struct urpc_answer *answer)
{
    for (u32 i = 0; i < answer->fd_count; i++)
        if (answer->fds[i] >= 0)
            close(answer->fds[i]);
    pool_fini(&answer->pool);
    *answer = (struct urpc_answer){0};
}

int urpc_answer_i64(const struct urpc_answer *answer, i64 *out, struct error *err)
{
    return json_i64(answer->result, out)
               ? 0
               : error_set(err, EPROTO, "urpc: the sandbox's answer is not an integer");
}

int urpc_answer_bool(const struct urpc_answer *answer, bool *out, struct error *err)
{
    return json_bool(answer->result, out)
               ? 0
               : error_set(err, EPROTO, "urpc: the sandbox's answer is not a boolean");
}

int urpc_answer_string(struct urpc_answer *answer, const char **out, struct error *err)
{
    const char *text = json_string(answer->result, &answer->pool, NULL);
    if (!text)
        return error_set(err, EPROTO, "urpc: the sandbox's answer is not a string");
    *out = text;
    return 0;
}

int urpc_answer_take_fd(struct urpc_answer *answer, u32 index)
{
    if (index >= answer->fd_count)
        return -1;
    int fd = answer->fds[index];
    answer->fds[index] = -1;
    return fd;
}
