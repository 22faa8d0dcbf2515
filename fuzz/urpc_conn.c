/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control server's state machine on bytes of a hostile client. The first byte of the input says
 * how the rest is cut into reads, and whether it is read once more in one piece (one input in four:
 * most of the time goes into finding new ones); the calls that come out must not depend on the
 * cutting, and no descriptor may be lost or closed twice.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena_plain.h"
#include "base/error.h"
#include "host/ops.h"
#include "wire/urpc/server.h"

struct counting_host {
    struct host host;
    u32 closed;
};

static void count_closed(struct host *host, const int *fds, u32 count)
{
    ((struct counting_host *)host)->closed += count;
}

static const struct host_ops counting_ops = {.close_fds = count_closed};

struct run {
    u64 hash;
    u32 calls;
    bool has_ended;
};

static void note(struct run *run, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        run->hash = (run->hash ^ (u8)bytes[i]) * 0x100000001b3;
}

static void take_calls(struct urpc_conn *conn, struct run *run)
{
    struct urpc_call *call;
    enum urpc_next next;
    while ((next = urpc_conn_next(conn, &call)) == URPC_CALL) {
        run->calls++;
        note(run, call->method, strlen(call->method) + 1);
        note(run, call->arg.bytes, call->arg.size);
        bool fails = run->calls % 3 == 0;
        if (urpc_conn_answer(conn, call->arg, NULL, 0, fails ? "refused" : NULL))
            abort();
        const u8 *bytes;
        const int *fds;
        u32 fd_count;
        size_t size = urpc_conn_output(conn, &bytes, &fds, &fd_count);
        note(run, (const char *)bytes, size);
        struct json_text answer;
        struct error err;
        if (json_parse((const char *)bytes, size, 2 * JSON_SIZE_MAX, &answer, &err))
            abort();
        urpc_conn_written(conn, size);
    }
    run->has_ended |= next == URPC_END;
}

static struct run feed_all(const u8 *bytes, size_t size, size_t piece)
{
    struct counting_host host = {.host = {.ops = &counting_ops}};
    struct arena *arena = arena_plain_create();
    struct urpc_conn conn;
    struct run run = {0};
    u32 given = 0;
    urpc_conn_init(&conn, &host.host, arena);
    for (size_t at = 0; at < size && !run.has_ended; at += piece) {
        int fds[2] = {7, 8};
        u32 fd_count = bytes[at] & 1;
        given += fd_count;
        urpc_conn_feed(&conn, bytes + at, MIN(piece, size - at), fds, fd_count);
        take_calls(&conn, &run);
    }
    urpc_conn_fini(&conn);
    if (host.closed != given)
        abort();
    arena_plain_destroy(arena);
    return run;
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    if (size < 1)
        return 0;
    size_t piece = 1 + bytes[0] % 64;
    struct run cut = feed_all(bytes + 1, size - 1, piece);
    if (bytes[0] >> 6)
        return 0;
    struct run whole = feed_all(bytes + 1, size - 1, 1 + size);
    /* A stream with more than 128 descriptors before a call ends differently by its pieces: that is
     * right. */
    if (!cut.has_ended && !whole.has_ended && (cut.calls != whole.calls || cut.hash != whole.hash))
        abort();
    return 0;
}
