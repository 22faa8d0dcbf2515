/* SPDX-License-Identifier: Apache-2.0 */
/* The collector prints messages by the table of the sentry's own; numbers that it does not know are
 * shown as such. */
#include "cli/trace_collect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/protobuf.h"
#include "runtime/trace.h"
#include "sentry/observe/points.h"

#define PACKET_SIZE_MAX ((size_t)300 << 10)
#define CLIENTS_MAX 64u

/* ---- printing ------------------------------------------------------------------------------- */

/* The INDEX-th "name kind" of LIST; false behind the last. */
static bool field_at(const char *list, u32 index, char name[64], char *kind)
{
    int used;
    char text[8];
    for (u32 i = 0; sscanf(list, "%63s %7s%n", name, text, &used) == 2; i++, list += used) {
        *kind = text[0];
        if (i == index)
            return true;
    }
    return false;
}

static void print_text(const u8 *bytes, size_t size)
{
    putchar('"');
    for (size_t i = 0; i < size && i < 256; i++)
        if (bytes[i] >= ' ' && bytes[i] < 127 && bytes[i] != '"' && bytes[i] != '\\')
            putchar(bytes[i]);
        else
            printf("\\x%02x", bytes[i]);
    printf(size > 256 ? "\"..." : "\"");
}

static void print_value(const struct protobuf_field *field, char kind)
{
    if (field->type == 2)
        print_text(field->bytes, field->size);
    else if (kind == 'i' || kind == 'I')
        printf("%lld", (long long)field->value);
    else
        printf("%llu", (unsigned long long)field->value);
}

static const char context[] =
    "time_ns I thread_id i thread_start_time_ns I thread_group_id i thread_group_start_time_ns I "
    "container_id s credentials m cwd s process_name s parent_thread_group_id i is_exec_session ?";

static void print_fields(const u8 *bytes, size_t size, const char *list, u32 first);

/* One field by its place in LIST, whose first one has the number FIRST. */
static void print_field(const struct protobuf_field *field, const char *list, u32 first)
{
    char name[64], kind = 'U';
    if (field->number < first || !field_at(list, field->number - first, name, &kind)) {
        snprintf(name, sizeof name, "%u", field->number);
        kind = 'U';
    }
    printf(" %s=", name);
    if (kind != 'm' || field->type != 2) {
        print_value(field, kind);
        return;
    }
    printf("{");
    print_fields(field->bytes, field->size, "", 1);
    printf(" }");
}

static void print_fields(const u8 *bytes, size_t size, const char *list, u32 first)
{
    struct protobuf_field field;
    while (protobuf_next(&bytes, &size, &field) == 1)
        print_field(&field, list, first);
}

static void print_message(const u8 *packet, size_t size)
{
    struct point_header header;
    if (size < sizeof header)
        return;
    memcpy(&header, packet, sizeof header);
    const struct point_message *message = point_message_find(header.type);
    if (header.size > size) {
        printf("malformed packet of %zu bytes\n", size);
        return;
    }
    printf("%s", message ? message->name : "unknown");
    const u8 *at = packet + header.size;
    size_t left = size - header.size;
    struct protobuf_field field;
    while (protobuf_next(&at, &left, &field) == 1) {
        const u8 *bytes = field.bytes;
        bool is_call = message && message->first_field == 4;
        if (field.number == 1 && field.type == 2) {
            print_fields(bytes, field.size, context, 1);
        } else if (is_call && field.number == 2 && field.type == 2) {
            printf(" exit={");
            print_fields(bytes, field.size, "result I errorno I", 1);
            printf(" }");
        } else if (is_call && field.number == 3) {
            printf(" sysno=%llu", (unsigned long long)field.value);
        } else {
            print_field(&field, message ? message->fields : "", message ? message->first_field : 1);
        }
    }
    if (header.dropped)
        printf(" (dropped: %u)", header.dropped);
    putchar('\n');
    fflush(stdout);
}

/* ---- collecting ----------------------------------------------------------------------------- */

static void take_client(int listener, struct pollfd *fds, u32 *count)
{
    struct error err;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (*count == CLIENTS_MAX || trace_sink_greet(fd, &err) < 0) {
        close(fd);
        return;
    }
    fds[(*count)++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static int collect(int listener, u64 wanted, struct error *err)
{
    static u8 packet[PACKET_SIZE_MAX];
    struct pollfd fds[CLIENTS_MAX] = {{.fd = listener, .events = POLLIN}};
    u32 count = 1;
    for (u64 seen = 0; wanted == 0 || seen < wanted;) {
        if (poll(fds, count, -1) < 0 && errno != EINTR)
            return error_errno(err, "poll");
        for (u32 i = count - 1; i > 0 && (wanted == 0 || seen < wanted); i--) {
            if (!fds[i].revents)
                continue;
            ssize_t got = recv(fds[i].fd, packet, sizeof packet, 0);
            if (got > 0) {
                print_message(packet, (size_t)got);
                seen++;
                continue;
            }
            close(fds[i].fd);
            fds[i] = fds[--count];
        }
        if (fds[0].revents)
            take_client(listener, fds, &count);
    }
    return 0;
}

int trace_collect(const char *path, u64 count, struct error *err)
{
    struct sockaddr_un address;
    if (trace_sink_address(path, &address, err) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "socket");
    unlink(path);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0
                     ? error_errno(err, "listening at %s", path)
                     : collect(fd, count, err);
    close(fd);
    unlink(path);
    return result;
}
