/* SPDX-License-Identifier: Apache-2.0 */
/* Control calls of a scenario's steps: sent, waited for, and their answers held against `expect`.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/steps.h"

#define ARG_SIZE 4096u

const char *step_text(struct fy_node *value, const char *key)
{
    return fy_node_is_scalar(value) ? fy_node_get_scalar0(value) : node_text(value, key);
}

void step_trace(struct run *run, const char *kind, const char *what, const char *text)
{
    trace_put(&run->trace, host_monotonic_ns(run->host), kind, "%s%s%s", what, *text ? " " : "",
              text);
}

/* ---- answers -------------------------------------------------------------------------------------- */

void answer_read(struct call *call, struct answer *out)
{
    *out = (struct answer){0};
    cJSON *json = cJSON_ParseWithLength((const char *)buf_bytes(&call->answer), call->answer.size);
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "err"));
    char *result = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(json, "result"));
    out->is_ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "success"));
    out->is_cut = !json;
    snprintf(out->error, sizeof out->error, "%s",
             out->is_cut ? "the sandbox hung up without an answer"
             : error     ? error
                         : "");
    snprintf(out->result, sizeof out->result, "%s", result ? result : "");
    cJSON_free(result);
    cJSON_Delete(json);
}

/* WANTED is /a pattern/ or the whole text. */
bool step_text_fits(const char *text, const char *wanted)
{
    size_t size = strlen(wanted);
    char pattern[512];
    regex_t regex;
    if (size < 2 || size >= sizeof pattern || wanted[0] != '/' || wanted[size - 1] != '/')
        return strcmp(text, wanted) == 0;
    snprintf(pattern, sizeof pattern, "%.*s", (int)(size - 2), wanted + 1);
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
        return false;
    bool fits = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return fits;
}

static int judge_status(struct run *run, struct fy_node *expect, const char *what,
                        const struct answer *answer)
{
    long status = strtol(answer->result, NULL, 10);
    static const char *const keys[] = {"exit", "signal", "status"};
    const long values[] = {status & 0x7f ? -1 : status >> 8 & 0xff, status & 0x7f, status};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct fy_node *node = node_get(expect, keys[i]);
        i64 wanted;
        if (!node)
            continue;
        if (node_number(run, node, &wanted))
            return -1;
        if (wanted != values[i])
            return FAIL_AT(
                run, node,
                "%s: wanted %s %lld, but the wait status is %ld (exit code %ld, signal %ld)", what,
                keys[i], (long long)wanted, status, status >> 8 & 0xff, status & 0x7f);
    }
    return 0;
}

/* Does WHAT answer with memory, times or addresses, which a twin need not have alike? */
static bool has_local_figures(const char *what)
{
    static const char *const words[] = {"event",          ".Event",  "usage",       "Usage.",
                                        "Metrics.Export", "Stacks",  ".ProcfsDump", "Proc.Ps",
                                        "GetSavings",     "Cgroups."};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strstr(what, words[i]))
            return true;
    return false;
}

/* Does ANSWER fit what VALUE expects? Without `expect` it must be a success. */
int answer_judge(struct run *run, struct fy_node *value, const char *what,
                 const struct answer *answer)
{
    struct fy_node *expect = node_get(value, "expect");
    const char *word = expect ? fy_node_get_scalar0(expect) : NULL;
    bool is_any = word && strcmp(word, "any") == 0;
    if (word)
        expect = NULL; /* `ok` is as if nothing was said */
    const char *error = node_text(expect, "error"), *result = node_text(expect, "result");
    bool is_local = has_local_figures(what);
    step_trace(run, "ret", what,
               !answer->is_ok ? answer->error
               : is_local     ? "(the platform's own figures)"
                              : answer->result);
    if (error && answer->is_ok)
        return FAIL_AT(run, expect, "%s: wanted the error '%s', but it succeeded with %s", what,
                       error, answer->result);
    if (error && !step_text_fits(answer->error, error))
        return FAIL_AT(run, expect, "%s: wanted the error '%s', but it is '%s'", what, error,
                       answer->error);
    if (is_any)
        return 0;
    if (!error && !answer->is_ok)
        return FAIL_AT(run, value, "%s failed: %s", what, answer->error);
    if (result && !step_text_fits(answer->result, result))
        return FAIL_AT(run, expect, "%s: wanted the result '%s', but it is '%s'", what, result,
                       answer->result);
    return error ? 0 : judge_status(run, expect, what, answer);
}

/* ---- calls ---------------------------------------------------------------------------------------- */

int step_within(struct run *run, struct fy_node *value, u64 *end)
{
    struct fy_node *node = node_get(value, "within");
    i64 ns = (i64)RUN_WITHIN_NS;
    if (node && node_number(run, node, &ns))
        return -1;
    *end = run_now(run) + (u64)ns;
    return 0;
}

int step_trouble(struct run *run, struct fy_node *value)
{
    if (run->err->text[0]) /* an inserted checkpoint has said more */
        return -1;
    return FAIL_AT(run, value, "the run is stuck: %s", run->sandbox->trouble);
}

/* Runs until CALL is answered, time going on from deadline to deadline. */
int step_finish(struct run *run, struct fy_node *value, const char *what, struct call *call,
                struct answer *out)
{
    u64 end;
    if (step_within(run, value, &end))
        return -1;
    if (!run_settle(run, value))
        return step_trouble(run, value);
    while (!call_poll(call, run->host)) {
        int more = run_next(run, value, end);
        if (more < 0)
            return step_trouble(run, value);
        if (more == 0)
            return FAIL_AT(run, value,
                           "%s is stuck: no answer within its time, and nothing else is due", what);
    }
    answer_read(call, out);
    return 0;
}

int step_no_sandbox(struct run *run, struct fy_node *value, const char *what)
{
    return FAIL_AT(run, value, "%s: there is no sandbox; create a container first", what);
}

/* One call, judged; or with `async` left under way. RESULT (may be NULL) gets its answer. */
int step_call_with(struct run *run, struct fy_node *value, const char *what, const char *method,
                   const char *arg, const int *fds, u32 fd_count, struct answer *result)
{
    const char *async = node_text(value, "async");
    struct call call, *at = &call;
    struct client client;
    struct answer answer;
    if (!run->sandbox)
        return step_no_sandbox(run, value, what);
    if (run_client(run, value, &client))
        return -1;
    if (async) {
        if (run->call_count == RUN_CALLS_MAX)
            return FAIL_AT(run, value, "more than %u calls under way", RUN_CALLS_MAX);
        struct pending_call *pending = &run->calls[run->call_count++];
        snprintf(pending->name, sizeof pending->name, "%s", async);
        snprintf(pending->what, sizeof pending->what, "%s", what);
        snprintf(pending->method, sizeof pending->method, "%s", method);
        at = &pending->call;
    }
    step_trace(run, "rpc", method, "");
    int err = call_begin(at, run->sandbox, method, arg, fds, fd_count, &client, &run->heap);
    if (err)
        return FAIL_AT(run, value, "%s: cannot reach the sandbox: %s", what, errno_text(-err));
    if (async)
        return sandbox_run(run->sandbox) ? 0 : step_trouble(run, value);
    if (at->is_cut) {
        call_end(at);
        step_trace(run, "ret", what, "(its client is gone)");
        return sandbox_run(run->sandbox) ? 0 : step_trouble(run, value);
    }
    struct held_call held = {at, method, arg, fd_count == 0 && client.piece_max == 0};
    run->held = &held;
    int result_code = step_finish(run, value, what, at, &answer);
    run->held = NULL;
    call_end(at);
    if (!result_code && !run_settle(run, value)) /* the server sees the end of the connection */
        result_code = step_trouble(run, value);
    if (!result_code)
        run_note_call(run, method, answer.is_ok);
    if (!result_code)
        result_code = answer_judge(run, value, what, &answer);
    if (!result_code && result)
        *result = answer;
    return result_code;
}

int step_call(struct run *run, struct fy_node *value, const char *what, const char *method,
              const char *arg)
{
    return step_call_with(run, value, what, method, arg, NULL, 0, NULL);
}

int step_container(struct run *run, struct fy_node *value, const char **id)
{
    *id = step_text(value, "container");
    if (!*id)
        return FAIL_AT(run, value, "a container's name is wanted here");
    return strlen(*id) < RUN_NAME_SIZE && !strpbrk(*id, "\"\\")
               ? 0
               : FAIL_AT(run, value, "'%s' is no container's name", *id);
}
