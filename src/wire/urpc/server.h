/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serving side of one control connection as a pure state machine: bytes and descriptors in,
 * calls out, answers in, bytes and descriptors out. It never waits and never touches a socket; the
 * fiber around it is controller/serve.c. Every byte is untrusted.
 *
 *     feed* -> next = CALL -> (the method runs) -> answer -> output/written* -> feed*
 *
 * While a call is out nothing is fed; bytes past a call's end are kept for the next one.
 */
#pragma once
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "host/host.h"
#include "wire/urpc/json.h"

/* One call. Everything is lent until urpc_conn_answer. */
struct urpc_call {
    const char *method;   /* decoded; "" when it was missing */
    struct json_text arg; /* absent when the member was missing */
    u32 fd_count;
    int fds[HOST_FDS_MAX]; /* -1: taken */
};

enum urpc_next {
    URPC_MORE, /* feed more */
    URPC_CALL,
    URPC_END, /* close the connection without an answer: malformed, too large, too many descriptors,
                 or ended */
};

struct urpc_conn {
    struct host *host;
    struct arena *arena;
    struct json_scanner scanner;
    struct buf in;  /* bytes of the call under way and behind it */
    size_t scanned; /* how many of `in` the scanner has seen */
    struct buf out; /* an answer's bytes not yet written */
    int out_fds[HOST_FDS_MAX];
    u32 out_fd_count;
    bool is_calling;
    bool is_ended;
    const char *end_reason; /* for the log; static */
    struct pool pool;       /* of the call that is out */
    struct urpc_call call;
};

/* HOST closes the descriptors; it and ARENA outlive the connection. Must not move in memory. */
void urpc_conn_init(struct urpc_conn *conn, struct host *host, struct arena *arena);
/* Closes every descriptor still held, in both directions. */
void urpc_conn_fini(struct urpc_conn *conn);
/*
 * Take what a read brought: SIZE bytes and FDS (taken, also when this refuses). Size 0 is the
 * peer's end. Refusals show as URPC_END from urpc_conn_next. Not while a call is out.
 */
void urpc_conn_feed(struct urpc_conn *conn, const void *bytes, size_t size, const int *fds,
                    u32 fd_count);
/* CALL: *CALL is lent until the answer. */
enum urpc_next urpc_conn_next(struct urpc_conn *conn, struct urpc_call **call);
/* Hands over descriptor INDEX of a call, or -1. */
int urpc_call_take_fd(struct urpc_call *call, u32 index);

/*
 * End the call that is out: its descriptors that nobody took are closed, and an answer is queued.
 * RESULT is one JSON value (absent: {}), FDS (taken) ride on its first byte. With ERR_TEXT it is a
 * failure: result null, FDS closed. -ENOMEM: the connection is ended instead.
 */
MUST_CHECK int urpc_conn_answer(struct urpc_conn *conn, struct json_text result, const int *fds,
                                u32 fd_count, const char *err_text);
/* What to write next; descriptors only go with the first byte of an answer. 0: nothing left. */
size_t urpc_conn_output(const struct urpc_conn *conn, const u8 **bytes, const int **fds,
                        u32 *fd_count);
/* SIZE bytes (and with the first, the descriptors) have been written. */
void urpc_conn_written(struct urpc_conn *conn, size_t size);
/* May the connection be closed now without anyone losing anything: no call begun, no answer left?
 */
bool urpc_conn_is_idle(const struct urpc_conn *conn);
