/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/protobuf.h"
#include "runtime/boot_flags.h"
#include "runtime/control.h"

/* ---- the remote sink ------------------------------------------------------------------------ */

int trace_sink_address(const char *path, struct sockaddr_un *out, struct error *err)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof out->sun_path)
        return error_set(err, ENAMETOOLONG, "socket path \"%s\" is too long", path);
    memcpy(out->sun_path, path, strlen(path) + 1);
    return 0;
}

/* Handshake{uint32 version = 1}: both say theirs. */
int trace_sink_greet(int fd, struct error *err)
{
    static const u8 hello[] = {1 << 3, TRACE_VERSION};
    u8 packet[256];
    const u8 *at = packet;
    struct protobuf_field field;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (send(fd, hello, sizeof hello, MSG_NOSIGNAL) < 0)
        return error_errno(err, "sending handshake message");
    ssize_t got = poll(&wait, 1, 5000) > 0 ? recv(fd, packet, sizeof packet, 0) : -1;
    if (got <= 0)
        return error_set(err, EPROTO, "reading handshake message");
    size_t size = (size_t)got;
    u64 version = 0;
    while (protobuf_next(&at, &size, &field) == 1)
        if (field.number == 1)
            version = field.value;
    if (version < TRACE_VERSION)
        return error_set(err, EPROTO,
                         "remote version (%llu) is smaller than minimum supported (%u)",
                         (unsigned long long)version, TRACE_VERSION);
    return 0;
}

static int sink_connect(const char *path, struct error *err)
{
    struct sockaddr_un address;
    if (trace_sink_address(path, &address, err) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "socket");
    int result = connect(fd, (struct sockaddr *)&address, sizeof address) < 0
                     ? error_errno(err, "connect(%s)", path)
                     : trace_sink_greet(fd, err);
    if (result == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        result = error_errno(err, "fcntl");
    if (result < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- sessions ------------------------------------------------------------------------------- */

static int check_members(struct json_text object, const char *const *known, struct pool *pool,
                         struct error *err)
{
    struct json_iter iter;
    struct json_text name, value;
    if (json_type(object) != JSON_OBJECT)
        return error_set(err, EINVAL, "trace session is not a JSON object");
    json_iter_init(&iter, object);
    while (json_iter_next(&iter, &name, &value)) {
        u32 i = 0;
        while (known[i] && !json_name_is(name, known[i]))
            i++;
        if (!known[i])
            return error_set(err, EINVAL, "json: unknown field \"%s\"",
                             json_string(name, pool, NULL));
    }
    return 0;
}

int trace_session_parse(const char *text, size_t size, struct pool *pool, struct json_text *out,
                        struct error *err)
{
    static const char *const known[] = {"name",  "points",  "ignore_missing",
                                        "sinks", "options", NULL};
    char *own = pool_strndup(pool, text, size);
    if (json_parse(own, size, 0, out, err) < 0)
        return -1;
    struct json_text inner = json_member(*out, "trace_session");
    if (json_type(inner) == JSON_OBJECT)
        *out = inner;
    return check_members(*out, known, pool, err);
}

/* One descriptor a sink: what does not need any gets /dev/null so that the others keep their
 * places. */
static int open_sinks(struct json_text session, struct pool *pool, int *fds, u32 *count,
                      struct error *err)
{
    struct json_text list = json_member(session, "sinks"), name, sink;
    struct json_iter iter;
    *count = 0;
    if (json_type(list) != JSON_ARRAY)
        return 0;
    json_iter_init(&iter, list);
    while (json_iter_next(&iter, &name, &sink)) {
        bool is_remote = json_string_is(json_member(sink, "name"), "remote");
        const char *path = json_string(json_path(sink, "config.endpoint"), pool, NULL);
        if (*count == URPC_FDS_MAX)
            return error_set(err, E2BIG, "too many sinks");
        if (is_remote && !path)
            return error_set(err, EINVAL, "\"endpoint\" not found in config of the remote sink");
        int fd = is_remote ? sink_connect(path, err) : open("/dev/null", O_RDWR | O_CLOEXEC);
        bool ignores = false;
        if (fd < 0 && is_remote && json_bool(json_member(sink, "ignore_setup_error"), &ignores) &&
            ignores)
            fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return is_remote ? -1 : error_errno(err, "open /dev/null");
        fds[(*count)++] = fd;
    }
    return 0;
}

int trace_session_create(struct record *record, struct json_text session, bool is_forced,
                         struct error *err)
{
    struct pool *pool = &record->pool;
    int fds[URPC_FDS_MAX];
    u32 count;
    int result = open_sinks(session, pool, fds, &count, err);
    if (result == 0) {
        char *arg = pool_printf(pool, "{\"Config\":%.*s,\"Force\":%s}", (int)session.size,
                                session.bytes, is_forced ? "true" : "false");
        result = control_call(record, "containerManager.CreateTraceSession", arg, fds, count, NULL,
                              err);
    }
    for (u32 i = 0; i < count; i++)
        close(fds[i]);
    return result;
}

int trace_session_init(struct record *record, const char *path, struct error *err)
{
    struct json_text session;
    char *text;
    size_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "opening pod init config %s", path);
    if (boot_read_all(fd, &text, &size, err) < 0)
        return error_prefix(err, "pod init config %s", path);
    int result = trace_session_parse(text, size, &record->pool, &session, err);
    free(text);
    if (result == 0)
        result = trace_session_create(record, session, false, err);
    return result < 0 ? error_prefix(err, "pod init config %s", path) : 0;
}
