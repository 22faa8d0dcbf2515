/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calling side of the control socket, for the command line: plain blocking sockets. One call at
 * a time; a client whose call failed in transport is broken and can only be closed.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "wire/urpc/codec.h"
#include "wire/urpc/json.h"

struct urpc_client;

#define URPC_FDS_MAX 128

/* What a call came back with. Zeroed before use; urpc_answer_fini closes descriptors nobody took.
 */
struct urpc_answer {
    bool success;
    char *err_text;          /* the sandbox's words; "" on success */
    struct json_text result; /* lent until fini */
    int fds[URPC_FDS_MAX];
    u32 fd_count;
    struct pool pool;
};

/* ADDRESS is a path (of any length: longer ones go through /proc/self/fd), or "@NAME" for an
 * abstract name. */
MUST_CHECK int urpc_client_connect(const char *address, struct urpc_client **out,
                                   struct error *err);
/* The abstract name of SIZE bytes, which may end in the terminator that clients of 2022 count in.
 */
MUST_CHECK int urpc_client_connect_abstract(const char *name, size_t size, struct urpc_client **out,
                                            struct error *err);
/* A connected socket, taken. */
MUST_CHECK int urpc_client_from_fd(int fd, struct urpc_client **out, struct error *err);
/* Closes; NULL is fine. */
void urpc_client_close(struct urpc_client *client);
/* For poll(2): readable means an answer (or the end) has come. Lent. */
int urpc_client_fd(const struct urpc_client *client);
/* How long each later call may take in all; 0: for ever. ERR's code is then ETIMEDOUT. */
void urpc_client_set_timeout(struct urpc_client *client, u64 timeout_ns);

/*
 * One call. ARG_JSON NULL means null. FDS are lent. 0: the sandbox answered success. -1: if ERR's
 * code is EREMOTEIO, the sandbox refused and ERR's text is its own words alone; else transport
 * failed.
 */
MUST_CHECK int urpc_call(struct urpc_client *client, const char *method, const char *arg_json,
                         const int *fds, u32 fd_count, struct urpc_answer *answer,
                         struct error *err);
/* The two halves of urpc_call, for callers that wait with poll(2) in between. */
MUST_CHECK int urpc_call_send(struct urpc_client *client, const char *method, const char *arg_json,
                              const int *fds, u32 fd_count, struct error *err);
MUST_CHECK int urpc_call_receive(struct urpc_client *client, struct urpc_answer *answer,
                                 struct error *err);
/* As urpc_call with a struct for the argument and one for the result; either may be NULL. RESULT's
 * memory is ANSWER's, which must be given if RESULT has pointers. */
MUST_CHECK int urpc_call_struct(struct urpc_client *client, const char *method,
                                const struct wire_type *arg_type, const void *arg,
                                const struct wire_type *result_type, void *result,
                                struct urpc_answer *answer, struct error *err);
void urpc_answer_fini(struct urpc_answer *answer);
/* Getters for plain results; -1 with a line when the result is of another kind. */
MUST_CHECK int urpc_answer_i64(const struct urpc_answer *answer, i64 *out, struct error *err);
MUST_CHECK int urpc_answer_bool(const struct urpc_answer *answer, bool *out, struct error *err);
MUST_CHECK int urpc_answer_string(struct urpc_answer *answer, const char **out, struct error *err);
/* Hands over descriptor INDEX (the slot becomes -1); -1 when there is none. */
int urpc_answer_take_fd(struct urpc_answer *answer, u32 index);

#define AUTO_URPC_CLIENT CLEANUP(urpc_client_close_auto)
#define AUTO_URPC_ANSWER CLEANUP(urpc_answer_fini)
void urpc_client_close_auto(struct urpc_client **client);
