/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for an end: a call that answers late, the sandbox's pidfd in case it never answers, and
 * whatever the caller has to look at meanwhile (signals to pass on), all in one poll(2).
 */
#include "runtime/container.h"
#include "runtime/control.h"
#include "runtime/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What to do with a call under way. */
enum outcome { OUTCOME_ANSWER, OUTCOME_GONE };

static enum outcome wait_any(struct urpc_client *client, int pidfd, const struct wait_extra *extra)
{
    for (;;) {
        struct pollfd polls[3] = {{.fd = urpc_client_fd(client), .events = POLLIN},
                                  {.fd = extra ? extra->fd : -1, .events = POLLIN},
                                  {.fd = pidfd, .events = POLLIN}};
        if (poll(polls, 3, -1) < 0)
            continue; /* EINTR */
        if (polls[1].revents & POLLIN)
            extra->ready(extra->arg);
        if (polls[0].revents) /* looked at first: an answer may have come just before the end */
            return OUTCOME_ANSWER;
        if (polls[2].revents)
            return OUTCOME_GONE;
    }
}

int control_wait(struct urpc_client *client, const char *method, const char *arg_json,
                 int sandbox_pidfd, const struct wait_extra *extra, u32 *wait_status,
                 struct error *err)
{
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (urpc_call_send(client, method, arg_json, NULL, 0, err) < 0)
        return -1;
    if (wait_any(client, sandbox_pidfd, extra) == OUTCOME_GONE)
        return error_set(err, ESRCH,
                         "sandbox no longer running and its exit status is unavailable");
    i64 status;
    if (urpc_call_receive(client, &answer, err) < 0 || urpc_answer_i64(&answer, &status, err) < 0)
        return -1;
    *wait_status = (u32)status;
    return 0;
}

/* What our own child left: the status pipe's word, else its exit code. */
static bool child_status(const struct child *child, u32 *wait_status)
{
    int status;
    u32 told;
    bool is_told = child->status >= 0 && read(child->status, &told, sizeof told) == sizeof told;
    bool is_reaped = process_reap(child->sandbox, &status);
    if (is_told)
        *wait_status = told;
    else if (is_reaped)
        *wait_status = (u32)status;
    return is_told || is_reaped;
}

int container_wait(const struct record *record, const struct child *child,
                   const struct wait_extra *extra, u32 *wait_status, struct error *err)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    bool is_child = child && child->sandbox >= 0;
    int pidfd = is_child ? child->sandbox
                         : process_open((pid_t)record->sandbox->pid, record->sandbox->pid_start);
    int result = -1;
    if (pidfd < 0) {
        error_set(err, ESRCH, "sandbox no longer running and its exit status is unavailable");
    } else {
        struct urpc_client *client = NULL;
        result = control_connect(record, &client, err);
        if (result == 0)
            result = control_wait(client, "containerManager.Wait",
                                  control_string(&pool, record->id), pidfd, extra, wait_status,
                                  err);
        urpc_client_close(client); /* first: the sandbox waits for its clients to hang up */
        bool is_refused = result < 0 && err->code == EREMOTEIO;
        if (record_is_root(record) && !is_refused) {
            (void)process_wait_gone(pidfd, -1);
            u32 ours;
            if (is_child && child_status(child, &ours) && result < 0) {
                *wait_status = ours;
                result = 0;
            }
        }
    }
    if (pidfd >= 0 && !is_child)
        close(pidfd);
    return result < 0 ? error_prefix(err, "waiting on container \"%s\"", record->id) : 0;
}
