/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to a sandbox's control socket, as the runtime makes them. Texts in ERR are the sandbox's
 * own, prefixed. */
#pragma once
#include "base/error.h"
#include "runtime/record.h"
#include "wire/urpc/client.h"

/* To the record's socket, or where older sandboxes listen: the abstract name runsc-sandbox.ID. */
MUST_CHECK int control_connect(const struct record *record, struct urpc_client **out,
                               struct error *err);
/* One call on a connection of its own. ANSWER may be NULL. */
MUST_CHECK int control_call(const struct record *record, const char *method, const char *arg_json,
                            const int *fds, u32 fd_count, struct urpc_answer *answer,
                            struct error *err);
/* JSON of one string, from the pool. */
char *control_string(struct pool *pool, const char *text);

enum control_signal_mode { CONTROL_PROCESS, CONTROL_ALL, CONTROL_FOREGROUND, CONTROL_GROUP };
MUST_CHECK int control_signal(const struct record *record, i32 signo, i32 pid,
                              enum control_signal_mode mode, i32 pgid, struct error *err);
/* ContainerRuntimeState: 1 creating, 2 running, 3 stopped. */
/* What Cgroups' methods answer: -1 with the first failure among the results. FIRST: if not NULL,
 * the value of the first one. */
MUST_CHECK int control_results(const struct urpc_answer *answer, struct pool *pool, char **first,
                               struct error *err);
MUST_CHECK int control_state(const struct record *record, i64 *state, struct error *err);
/* {"PID":P,"CID":"…"} */
char *control_wait_pid_arg(struct pool *pool, const char *id, i64 pid);
