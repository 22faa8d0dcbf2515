/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario's verbs. Each is a row of `verbs`: its keys, what a bare value stands for, and what it
 * does. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/run.h"
#include "wire/urpc/codec.h"

#define ARG_SIZE 4096u
#define RPC_FILES_MAX 16u
#define COMMON " expect async within client"
#define EXPECT_KEYS "error exit signal status result"

struct verb {
    const char *name;
    const char *keys;  /* of its mapping, the common ones included; NULL: any */
    const char *plain; /* the key that a bare value is for; NULL: no value */
    int (*run)(struct run *run, struct fy_node *value);
};

static const char *get_text(struct fy_node *value, const char *key)
{
    return fy_node_is_scalar(value) ? fy_node_get_scalar0(value) : node_text(value, key);
}

static void trace(struct run *run, const char *kind, const char *what, const char *text)
{
    trace_put(&run->trace, host_monotonic_ns(run->host), kind, "%s%s%s", what, *text ? " " : "",
              text);
}

/* ---- answers -------------------------------------------------------------------------------------- */

struct answer {
    bool is_ok, is_cut; /* cut: the sandbox hung up without one */
    char error[1024];
    char result[1024];
};

static void read_answer(struct call *call, struct answer *out)
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
static bool text_fits(const char *text, const char *wanted)
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

/* Does ANSWER fit what VALUE expects? Without `expect` it must be a success. */
static int judge(struct run *run, struct fy_node *value, const char *what,
                 const struct answer *answer)
{
    struct fy_node *expect = node_get(value, "expect");
    const char *word = expect ? fy_node_get_scalar0(expect) : NULL;
    bool is_any = word && strcmp(word, "any") == 0;
    if (word)
        expect = NULL; /* `ok` is as if nothing was said */
    const char *error = node_text(expect, "error"), *result = node_text(expect, "result");
    bool is_local = strcmp(what, "event") == 0 || strncmp(what, "usage", 5) == 0 ||
                    strncmp(what, "Usage.", 6) == 0 || strstr(what, ".Event") != NULL;
    trace(run, "ret", what,
          !answer->is_ok ? answer->error
          : is_local     ? "(the platform's own figures)"
                         : answer->result);
    if (error && answer->is_ok)
        return FAIL_AT(run, expect, "%s: wanted the error '%s', but it succeeded with %s", what,
                       error, answer->result);
    if (error && !text_fits(answer->error, error))
        return FAIL_AT(run, expect, "%s: wanted the error '%s', but it is '%s'", what, error,
                       answer->error);
    if (is_any)
        return 0;
    if (!error && !answer->is_ok)
        return FAIL_AT(run, value, "%s failed: %s", what, answer->error);
    if (result && !text_fits(answer->result, result))
        return FAIL_AT(run, expect, "%s: wanted the result '%s', but it is '%s'", what, result,
                       answer->result);
    return error ? 0 : judge_status(run, expect, what, answer);
}

/* ---- calls ---------------------------------------------------------------------------------------- */

static int within_of(struct run *run, struct fy_node *value, u64 *end)
{
    struct fy_node *node = node_get(value, "within");
    i64 ns = (i64)RUN_WITHIN_NS;
    if (node && node_number(run, node, &ns))
        return -1;
    *end = host_monotonic_ns(run->host) + (u64)ns;
    return 0;
}

static int trouble(struct run *run, struct fy_node *value)
{
    return FAIL_AT(run, value, "the run is stuck: %s", run->sandbox->trouble);
}

/* Runs until CALL is answered, time going on from deadline to deadline. */
static int finish(struct run *run, struct fy_node *value, const char *what, struct call *call,
                  struct answer *out)
{
    u64 end;
    if (within_of(run, value, &end))
        return -1;
    if (!sandbox_run(run->sandbox))
        return trouble(run, value);
    while (!call_poll(call, run->host)) {
        int more = sandbox_next(run->sandbox, end);
        if (more < 0)
            return trouble(run, value);
        if (more == 0)
            return FAIL_AT(run, value,
                           "%s is stuck: no answer within its time, and nothing else is due", what);
    }
    read_answer(call, out);
    return 0;
}

static int no_sandbox(struct run *run, struct fy_node *value, const char *what)
{
    return FAIL_AT(run, value, "%s: there is no sandbox; create a container first", what);
}

/* One call, judged; or with `async` left under way. RESULT (may be NULL) gets its answer. */
static int call_with(struct run *run, struct fy_node *value, const char *what, const char *method,
                     const char *arg, const int *fds, u32 fd_count, struct answer *result)
{
    const char *async = node_text(value, "async");
    struct call call, *at = &call;
    struct client client;
    struct answer answer;
    if (!run->sandbox)
        return no_sandbox(run, value, what);
    if (run_client(run, value, &client))
        return -1;
    if (async) {
        if (run->call_count == RUN_CALLS_MAX)
            return FAIL_AT(run, value, "more than %u calls under way", RUN_CALLS_MAX);
        struct pending_call *pending = &run->calls[run->call_count++];
        snprintf(pending->name, sizeof pending->name, "%s", async);
        snprintf(pending->what, sizeof pending->what, "%s", what);
        at = &pending->call;
    }
    trace(run, "rpc", method, "");
    int err = call_begin(at, run->sandbox, method, arg, fds, fd_count, &client, &run->heap);
    if (err)
        return FAIL_AT(run, value, "%s: cannot reach the sandbox: %s", what, errno_text(-err));
    if (async)
        return sandbox_run(run->sandbox) ? 0 : trouble(run, value);
    if (at->is_cut) {
        call_end(at);
        trace(run, "ret", what, "(its client is gone)");
        return sandbox_run(run->sandbox) ? 0 : trouble(run, value);
    }
    int result_code = finish(run, value, what, at, &answer);
    call_end(at);
    if (!result_code && !sandbox_run(run->sandbox)) /* the server sees the end of the connection */
        result_code = trouble(run, value);
    if (!result_code)
        result_code = judge(run, value, what, &answer);
    if (!result_code && result)
        *result = answer;
    return result_code;
}

static int call(struct run *run, struct fy_node *value, const char *what, const char *method,
                const char *arg)
{
    return call_with(run, value, what, method, arg, NULL, 0, NULL);
}

static int container_of_step(struct run *run, struct fy_node *value, const char **id)
{
    *id = get_text(value, "container");
    if (!*id)
        return FAIL_AT(run, value, "a container's name is wanted here");
    return strlen(*id) < RUN_NAME_SIZE && !strpbrk(*id, "\"\\")
               ? 0
               : FAIL_AT(run, value, "'%s' is no container's name", *id);
}

/* ---- containers ----------------------------------------------------------------------------------- */

static int create_root(struct run *run, struct fy_node *value, const char *id)
{
    struct buf spec;
    struct error err;
    buf_init(&spec, &run->heap, 0);
    struct source *source = run_source_open(run, value, id);
    if (!source || run_spec(run, value, id, &spec))
        return -1;
    const struct sandbox_config config = {
        .host = run->host,
        .trace = &run->trace,
        .platform = run->platform,
        .cpu_count = run->cpu_count,
        .seed = run->seed,
        .id = id,
        .spec = buf_text(&spec),
        .out_fd = source->fds[1],
        .is_verbose = run->config->is_verbose,
        .drain = run_drain,
        .drain_arg = run,
    };
    int result = sandbox_create(&run->sandbox_place, &config, &err);
    if (result)
        FAIL_AT(run, value, "create %s: %s", id, err.text);
    else
        run->sandbox = &run->sandbox_place;
    buf_fini(&spec);
    return result;
}

static int step_create(struct run *run, struct fy_node *value)
{
    const char *id;
    char arg[ARG_SIZE];
    if (container_of_step(run, value, &id))
        return -1;
    if (run->container_count == RUN_CONTAINERS_MAX)
        return FAIL_AT(run, value, "more than %u containers", RUN_CONTAINERS_MAX);
    bool is_root = !run->sandbox;
    snprintf(arg, sizeof arg, "{\"CID\":\"%s\"}", id);
    if (is_root ? create_root(run, value, id)
                : call(run, value, "create", "containerManager.CreateSubcontainer", arg))
        return -1;
    if (!run_container(run, id)) {
        struct box_container *container = &run->containers[run->container_count++];
        *container = (struct box_container){.is_root = is_root};
        snprintf(container->id, sizeof container->id, "%s", id);
    }
    return 0;
}

static int start_sub(struct run *run, struct fy_node *value, const char *id, const char *what,
                     const char *method)
{
    struct buf arg;
    buf_init(&arg, &run->heap, 0);
    if (!run->sandbox)
        return no_sandbox(run, value, what);
    if (buf_append_text(&arg, "{\"Spec\":") || run_spec(run, value, id, &arg) ||
        buf_printf(&arg,
                   ",\"Conf\":{},\"CID\":\"%s\",\"GoferMountConfs\":[{\"lower\":1,\"upper\":0}]}",
                   id))
        return -1;
    struct source *source = run_source_open(run, value, id);
    int gofer = source ? sandbox_gofer(run->sandbox, "/rootfs") : -1;
    if (gofer < 0)
        return source ? FAIL_AT(run, value, "%s: too many gofers", what) : -1;
    const int fds[4] = {source->fds[1], source->fds[1], source->fds[1], gofer};
    int result = call_with(run, value, what, method, buf_text(&arg), fds, 4, NULL);
    sim_fd_close(run->host, gofer);
    buf_fini(&arg);
    return result;
}

static int step_start(struct run *run, struct fy_node *value)
{
    const char *id;
    char arg[ARG_SIZE];
    if (container_of_step(run, value, &id))
        return -1;
    struct box_container *container = run_container(run, id);
    snprintf(arg, sizeof arg, "\"%s\"", id);
    if (!container || container->is_root)
        return call(run, value, "start", "containerManager.StartRoot", arg);
    return start_sub(run, value, id, "start", "containerManager.StartSubcontainer");
}

static int step_delete(struct run *run, struct fy_node *value)
{
    const char *id;
    char arg[ARG_SIZE];
    if (container_of_step(run, value, &id))
        return -1;
    struct box_container *container = run_container(run, id);
    if (container && container->is_root)
        return run_sandbox_end(run, value);
    snprintf(arg, sizeof arg, "\"%s\"", id);
    if (call(run, value, "delete", "containerManager.DestroySubcontainer", arg))
        return -1;
    if (container)
        *container = run->containers[--run->container_count];
    return 0;
}

/* ---- processes ------------------------------------------------------------------------------------ */

static int step_exec(struct run *run, struct fy_node *value)
{
    const char *id, *program = node_text(value, "program"), *as = node_text(value, "as");
    struct fy_node *args = node_get(value, "args"), *item;
    struct json_writer w;
    struct buf arg;
    struct answer answer;
    void *at = NULL;
    char name[RUN_NAME_SIZE];
    if (container_of_step(run, value, &id))
        return -1;
    if (!program)
        return FAIL_AT(run, value, "exec needs a program");
    snprintf(name, sizeof name, "%s", as ? as : program);
    struct source *source = run_source_open(run, value, name);
    if (!source)
        return -1;
    buf_init(&arg, &run->heap, 0);
    json_writer_init(&w, &arg);
    json_begin_object(&w);
    json_name(&w, "argv");
    json_begin_array(&w);
    json_put_string(&w, program);
    while (args && (item = fy_node_sequence_iterate(args, &at)) != NULL)
        json_put_string(&w, fy_node_get_scalar0(item));
    json_end_array(&w);
    json_name(&w, "envv");
    json_begin_array(&w);
    json_put_string(&w, "PATH=/bin");
    json_end_array(&w);
    json_name(&w, "wd");
    json_put_string(&w, "/");
    json_name(&w, "ContainerID");
    json_put_string(&w, id);
    json_end_object(&w);
    const int fds[3] = {source->fds[1], source->fds[1], source->fds[1]};
    int result = call_with(run, value, "exec", "containerManager.ExecuteAsync", buf_text(&arg), fds,
                           3, &answer);
    if (!result && !node_text(value, "async")) {
        source->pid = (u32)strtoul(answer.result, NULL, 10);
        snprintf(source->container, sizeof source->container, "%s", id);
    }
    buf_fini(&arg);
    return result;
}

static struct source *process_of(struct run *run, struct fy_node *value)
{
    const char *name = node_text(value, "process");
    struct source *source = name ? run_source(run, name) : NULL;
    if (!source || !source->pid)
        FAIL_AT(run, value, "no exec has made a process '%s'", name ? name : "");
    return source && source->pid ? source : NULL;
}

static int step_wait(struct run *run, struct fy_node *value)
{
    const char *id;
    char arg[ARG_SIZE];
    if (node_get(value, "process")) {
        struct source *source = process_of(run, value);
        if (!source)
            return -1;
        snprintf(arg, sizeof arg, "{\"PID\":%u,\"CID\":\"%s\"}", source->pid, source->container);
        return call(run, value, "wait", "containerManager.WaitPID", arg);
    }
    if (container_of_step(run, value, &id))
        return -1;
    snprintf(arg, sizeof arg, "\"%s\"", id);
    return call(run, value, "wait", "containerManager.Wait", arg);
}

static int step_signal(struct run *run, struct fy_node *value)
{
    static const char *const modes[] = {"process", "all", "foreground", "group"};
    const char *id = node_text(value, "container"), *mode = node_text(value, "mode");
    i64 signo = 0, pid = 0, pgid = 0;
    u32 number = 0;
    char arg[ARG_SIZE];
    if (node_get(value, "process")) {
        struct source *source = process_of(run, value);
        if (!source)
            return -1;
        id = source->container;
        pid = source->pid;
    }
    if (!id)
        return FAIL_AT(run, value, "signal needs a container or a process");
    if (node_number(run, node_get(value, "signo"), &signo) ||
        (node_get(value, "pid") && node_number(run, node_get(value, "pid"), &pid)) ||
        (node_get(value, "pgid") && node_number(run, node_get(value, "pgid"), &pgid)))
        return -1;
    while (mode && number < ARRAY_COUNT(modes) && strcmp(mode, modes[number]) != 0)
        number++;
    if (number == ARRAY_COUNT(modes))
        return FAIL_AT(run, node_get(value, "mode"), "mode is process, all, foreground or group");
    snprintf(arg, sizeof arg,
             "{\"CID\":\"%s\",\"Signo\":%lld,\"PID\":%lld,\"PGID\":%lld,\"Mode\":%u}", id,
             (long long)signo, (long long)pid, (long long)pgid, number);
    return call(run, value, "signal", "containerManager.Signal", arg);
}

/* ---- the sandbox ---------------------------------------------------------------------------------- */

static int step_pause(struct run *run, struct fy_node *value)
{
    return call(run, value, "pause", "containerManager.Pause", "null");
}

static int step_resume(struct run *run, struct fy_node *value)
{
    return call(run, value, "resume", "containerManager.Resume", "null");
}

static int step_checkpoint(struct run *run, struct fy_node *value)
{
    const char *path = get_text(value, "to"), *leave = node_text(value, "leave_running");
    bool resumes = leave && strcmp(leave, "true") == 0;
    if (!path)
        return FAIL_AT(run, value, "checkpoint needs a file (to)");
    int fd = sim_open(run->host, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return FAIL_AT(run, value, "cannot make '%s' on the simulated host: %s", path,
                       errno_text(-fd));
    int result = call_with(run, value, "checkpoint", "containerManager.Checkpoint",
                           resumes ? "{\"Resume\":true}" : "{\"Resume\":false}", &fd, 1, NULL);
    sim_fd_close(run->host, fd);
    struct fy_node *expect = node_get(value, "expect");
    bool has_failed = node_text(expect, "error") != NULL;
    if (!result && has_failed && sim_remove(run->host, path)) /* as picket's own client does */
        result = FAIL_AT(run, value, "cannot remove '%s'", path);
    return result;
}

static int step_restore(struct run *run, struct fy_node *value)
{
    const char *id, *path = node_text(value, "from");
    if (container_of_step(run, value, &id))
        return -1;
    if (!path)
        return start_sub(run, value, id, "restore", "containerManager.RestoreSubcontainer");
    int fd = sim_open(run->host, path, O_RDONLY, 0);
    if (fd < 0)
        return FAIL_AT(run, value, "cannot open '%s' of the simulated host: %s", path,
                       errno_text(-fd));
    int result = call_with(run, value, "restore", "containerManager.Restore", "{}", &fd, 1, NULL);
    sim_fd_close(run->host, fd);
    return result;
}

static int call_of_container(struct run *run, struct fy_node *value, const char *what,
                             const char *method)
{
    const char *id;
    char arg[ARG_SIZE];
    if (container_of_step(run, value, &id))
        return -1;
    snprintf(arg, sizeof arg, "\"%s\"", id);
    return call(run, value, what, method, arg);
}

static int step_ps(struct run *run, struct fy_node *value)
{
    return call_of_container(run, value, "ps", "containerManager.Processes");
}

static int step_event(struct run *run, struct fy_node *value)
{
    return call_of_container(run, value, "event", "containerManager.Event");
}

static int step_runtime_state(struct run *run, struct fy_node *value)
{
    return call_of_container(run, value, "runtime_state", "containerManager.ContainerRuntimeState");
}

static int step_usage(struct run *run, struct fy_node *value)
{
    const char *full = node_text(value, "full");
    bool is_full = full && strcmp(full, "true") == 0;
    return call(run, value, "usage", "Usage.Collect", is_full ? "{\"Full\":true}" : "{}");
}

static int step_wait_checkpoint(struct run *run, struct fy_node *value)
{
    return call(run, value, "wait_checkpoint", "containerManager.WaitCheckpoint", "null");
}

/* The platform of the sandboxes from now on: a name, same, or other: the next one that works here
 * and has programs the same registers (script has others than the native ones), or the same. */
static int step_sandbox(struct run *run, struct fy_node *value)
{
    const char *word = node_text(value, "platform"), *name;
    u32 count = 0, now = 0;
    if (!word)
        return FAIL_AT(run, value, "sandbox needs a platform: its name, same or other");
    enum platform_use use = scenario_platform_use(run->platform);
    if (run->sandbox)
        return FAIL_AT(run, value, "the sandbox before must be deleted first");
    for (u32 i = 0; (name = platform_name(i)) != NULL; i++, count++)
        if (strcmp(name, run->platform) == 0)
            now = i;
    for (u32 i = 1; i <= count && strcmp(word, "same") != 0; i++) {
        name = platform_name((now + i) % count);
        if (strcmp(word, "other") == 0 ? scenario_platform_use(name) == use
                                       : strcmp(word, name) == 0) {
            run->platform = name;
            return 0;
        }
    }
    return strcmp(word, "same") == 0 ? 0 : FAIL_AT(run, value, "there is no platform '%s'", word);
}

/* Raw bytes to the control socket; `answer` is what must come back before its end. */
static int step_bytes(struct run *run, struct fy_node *value)
{
    const char *text = node_text(value, "text"), *wanted = node_text(value, "answer");
    struct client client;
    struct call call;
    u64 end;
    if (!text || !run->sandbox)
        return FAIL_AT(run, value, "bytes needs text and a sandbox");
    if (run_client(run, value, &client) || within_of(run, value, &end))
        return -1;
    int err = call_send(&call, run->sandbox, text, strlen(text), NULL, 0, &client, &run->heap);
    if (err)
        return FAIL_AT(run, value, "cannot reach the sandbox: %s", errno_text(-err));
    bool moves = sandbox_run(run->sandbox);
    bool is_over = call_poll(&call, run->host);
    const char *got = call.answer.size ? buf_text(&call.answer) : is_over ? "closed" : "nothing";
    trace(run, "ret", "bytes", got);
    bool fits = !wanted || text_fits(got, wanted);
    int result = fits ? 0 : FAIL_AT(run, value, "wanted '%s', but '%s' came back", wanted, got);
    call_end(&call);
    return result ? result : moves && sandbox_run(run->sandbox) ? 0 : trouble(run, value);
}

static int step_rpc(struct run *run, struct fy_node *value)
{
    const char *method = node_text(value, "method"), *arg = node_text(value, "arg");
    struct fy_node *files = node_get(value, "files"), *item;
    int fds[RPC_FILES_MAX], gofer = -1;
    u32 count = 0;
    void *at = NULL;
    if (!method || strpbrk(method, "\"\\"))
        return FAIL_AT(run, value, "rpc needs a method");
    if (!run->sandbox)
        return no_sandbox(run, value, method);
    while (files && (item = fy_node_sequence_iterate(files, &at)) != NULL) {
        const char *word = fy_node_get_scalar0(item);
        bool is_gofer = word && strcmp(word, "gofer") == 0;
        if (count == RPC_FILES_MAX || (is_gofer && gofer >= 0) ||
            (!is_gofer && (!word || strcmp(word, "out") != 0)))
            return FAIL_AT(run, item, "files is a list of at most %u: out, and one gofer",
                           RPC_FILES_MAX);
        if (is_gofer && (gofer = sandbox_gofer(run->sandbox, "/rootfs")) < 0)
            return FAIL_AT(run, item, "too many gofers");
        fds[count++] = is_gofer ? gofer : run->sources[0].fds[1];
    }
    int result = call_with(run, value, method, method, arg ? arg : "null", fds, count, NULL);
    if (gofer >= 0)
        sim_fd_close(run->host, gofer);
    return result;
}

static int step_join(struct run *run, struct fy_node *value)
{
    const char *name = get_text(value, "call");
    struct answer answer;
    for (u32 i = 0; name && i < run->call_count; i++) {
        struct pending_call *pending = &run->calls[i];
        if (strcmp(pending->name, name) != 0)
            continue;
        struct pending_call joined = *pending;
        *pending = run->calls[--run->call_count];
        int result = finish(run, value, joined.what, &joined.call, &answer);
        call_end(&joined.call);
        if (!result && run->sandbox && !sandbox_run(run->sandbox))
            result = trouble(run, value);
        return result ? result : judge(run, value, joined.what, &answer);
    }
    return FAIL_AT(run, value, "no call '%s' is under way (async)", name ? name : "");
}

/* ---- time, the outside and expectations ----------------------------------------------------------- */

static int step_advance(struct run *run, struct fy_node *value)
{
    i64 ns;
    if (node_number(run, value, &ns))
        return -1;
    if (!run->sandbox)
        return no_sandbox(run, value, "advance");
    return sandbox_advance(run->sandbox, (u64)ns) ? 0 : trouble(run, value);
}

static bool output_has(struct source *source, const char *text)
{
    size_t size = strlen(text);
    return size == 0 || memmem(buf_bytes(&source->text), source->text.size, text, size) != NULL;
}

static int step_until(struct run *run, struct fy_node *value)
{
    const char *of = node_text(value, "of"), *text = node_text(value, "output");
    struct source *source = of ? run_source(run, of) : NULL;
    u64 end;
    if (!source || !text || !run->sandbox)
        return FAIL_AT(run, value,
                       "until needs output, and of: a container or process that was started");
    if (within_of(run, value, &end))
        return -1;
    if (!sandbox_run(run->sandbox))
        return trouble(run, value);
    while (!output_has(source, text)) {
        int more = sandbox_next(run->sandbox, end);
        if (more < 0)
            return trouble(run, value);
        if (more == 0)
            return FAIL_AT(run, value, "'%s' does not write '%s' within its time; it wrote '%s'",
                           of, text, buf_text(&source->text) ? buf_text(&source->text) : "");
    }
    return 0;
}

static int step_damage(struct run *run, struct fy_node *value)
{
    const char *path = node_text(value, "file");
    struct fy_node *bit = node_get(value, "flip_bit"), *end = node_get(value, "truncate");
    i64 number;
    if (!path || !bit == !end)
        return FAIL_AT(run, value, "damage needs a file and one of flip_bit, truncate");
    if (node_number(run, bit ? bit : end, &number))
        return -1;
    int err = bit ? sim_damage_bit(run->host, path, (u64)number)
                  : sim_damage_truncate(run->host, path, (u64)number);
    return err ? FAIL_AT(run, value, "cannot damage '%s': %s", path, errno_text(-err)) : 0;
}

static const char *state_word(struct run *run, const char *id)
{
    static const char *const words[] = {"invalid", "creating", "running", "stopped"};
    const char *known;
    for (u32 i = 0; run->sandbox && (known = loader_container_id(run->sandbox->loader, i)) != NULL;
         i++)
        if (strcmp(known, id) == 0)
            return words[loader_container_state(run->sandbox->loader, id)];
    return "unknown";
}

static int take_hash(struct run *run, struct fy_node *value, char digest[33])
{
    if (!run->sandbox)
        return no_sandbox(run, value, "hash");
    int err = sandbox_hash(run->sandbox, digest);
    return err ? FAIL_AT(run, value, "no hash of the state: %s", errno_text(-err)) : 0;
}

static const char *hash_of(struct run *run, const char *name)
{
    for (u32 i = 0; i < run->hash_count; i++)
        if (strcmp(run->hashes[i].name, name) == 0)
            return run->hashes[i].digest;
    return "";
}

static int step_hash(struct run *run, struct fy_node *value)
{
    const char *name = fy_node_get_scalar0(value);
    if (run->hash_count == RUN_HASHES_MAX)
        return FAIL_AT(run, value, "more than %u hashes", RUN_HASHES_MAX);
    u32 at = run->hash_count++;
    snprintf(run->hashes[at].name, sizeof run->hashes[at].name, "%s", name);
    if (take_hash(run, value, run->hashes[at].digest))
        return -1;
    return 0; /* not in the trace: seeds are in it */
}

static int step_check_now(struct run *run, struct fy_node *value)
{
    const char *what = fy_node_get_scalar0(value);
    return strcmp(what, "invariants") == 0 ? 0 : FAIL_AT(run, value, "check is for: invariants");
}

static int expect_one(struct run *run, const char *key, const char *name, struct fy_node *wanted)
{
    const char *text = fy_node_get_scalar0(wanted), *got = NULL;
    char number[32], digest[33];
    struct buf file;
    buf_init(&file, &run->heap, 0);
    if (!text)
        return FAIL_AT(run, wanted, "a word or text is wanted here");
    if (strcmp(key, "state") == 0) {
        got = state_word(run, name);
    } else if (strcmp(key, "processes") == 0) {
        snprintf(number, sizeof number, "%u",
                 run->sandbox ? loader_container_process_count(run->sandbox->loader, name) : 0);
        got = number;
    } else if (strcmp(key, "output") == 0) {
        struct source *source = run_source(run, name);
        if (!source)
            return FAIL_AT(run, wanted, "no container or process '%s' was started", name);
        got = buf_text(&source->text);
    } else if (strcmp(key, "faults") == 0) {
        snprintf(number, sizeof number, "%llu",
                 (unsigned long long)sim_fault_hits(run->host, name));
        got = number;
    } else if (strcmp(key, "hash") == 0) {
        int err = take_hash(run, wanted, digest);
        if (err)
            return err;
        got = strcmp(name, "same_as") == 0 && strcmp(digest, hash_of(run, text)) == 0 ? text
                                                                                      : "another";
    } else {
        int err = sim_get_file(run->host, name, &file);
        got = err == -ENOENT ? "absent" : err ? errno_text(-err) : buf_text(&file);
        if (!err && strcmp(text, "present") == 0)
            got = "present";
    }
    if (!got || !text_fits(got, text))
        return FAIL_AT(run, wanted, "%s of '%s': wanted '%s', but it is '%s'", key, name, text,
                       got ? got : "");
    trace_put(&run->trace, host_monotonic_ns(run->host), "is", "%s %s", key, name);
    buf_fini(&file);
    return 0;
}

static int step_expect(struct run *run, struct fy_node *value)
{
    struct fy_node_pair *pair, *inner;
    void *at = NULL;
    while ((pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        struct fy_node *map = fy_node_pair_value(pair);
        const char *key = fy_node_get_scalar0(fy_node_pair_key(pair));
        void *each = NULL;
        if (strcmp(key, "sandbox") == 0) {
            const char *is = run->sandbox ? loader_state_name(loader_state(run->sandbox->loader))
                                          : "gone";
            const char *text = fy_node_get_scalar0(map);
            if (!text || strcmp(text, is) != 0)
                return FAIL_AT(run, map, "wanted the sandbox to be '%s', but it is '%s'",
                               text ? text : "", is);
            continue;
        }
        if (!fy_node_is_mapping(map))
            return FAIL_AT(run, map, "%s must be a mapping from names", key);
        while ((inner = fy_node_mapping_iterate(map, &each)) != NULL) {
            const char *name = fy_node_get_scalar0(fy_node_pair_key(inner));
            if (!name || expect_one(run, key, name, fy_node_pair_value(inner)))
                return name ? -1 : FAIL_AT(run, map, "a name is wanted");
        }
    }
    return 0;
}

/* ---- the table ------------------------------------------------------------------------------------ */

static const struct verb verbs[] = {
    {"create", "container" COMMON, "container", step_create},
    {"start", "container" COMMON, "container", step_start},
    {"exec", "container program args as" COMMON, NULL, step_exec},
    {"signal", "container process signo mode pid pgid" COMMON, NULL, step_signal},
    {"wait", "container process" COMMON, "container", step_wait},
    {"pause", "container" COMMON, "container", step_pause},
    {"resume", "container" COMMON, "container", step_resume},
    {"checkpoint", "to leave_running" COMMON, "to", step_checkpoint},
    {"restore", "container from" COMMON, NULL, step_restore},
    {"delete", "container" COMMON, "container", step_delete},
    {"rpc", "method arg files" COMMON, NULL, step_rpc},
    {"join", "call expect within", "call", step_join},
    {"advance", "", "duration", step_advance},
    {"until", "of output within", NULL, step_until},
    {"damage", "file flip_bit truncate", NULL, step_damage},
    {"expect", "state output processes files sandbox faults hash", NULL, step_expect},
    {"check", "", "what", step_check_now},
    {"hash", "", "name", step_hash},
    {"arm", "", "fault", step_arm},
    {"disarm", "", "fault", step_disarm},
    {"host", "space clock_jump clock_drift", NULL, step_host},
    {"kill", "gofer", NULL, step_kill},
    {"sandbox", "platform", NULL, step_sandbox},
    {"bytes", "text client answer within", NULL, step_bytes},
    {"ps", "container" COMMON, "container", step_ps},
    {"event", "container" COMMON, "container", step_event},
    {"usage", "full" COMMON, NULL, step_usage},
    {"runtime_state", "container" COMMON, "container", step_runtime_state},
    {"wait_checkpoint", COMMON, NULL, step_wait_checkpoint},
};

static const struct verb *find_verb(struct fy_node *step, struct fy_node **value)
{
    struct fy_node_pair *pair = fy_node_is_mapping(step) ? fy_node_mapping_get_by_index(step, 0)
                                                         : NULL;
    const char *name = pair ? fy_node_get_scalar0(fy_node_pair_key(pair)) : NULL;
    for (size_t i = 0; name && i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        *value = fy_node_pair_value(pair);
        return &verbs[i];
    }
    return NULL;
}

int step_check(const char *file, struct fy_node *step, struct sim_error *err)
{
    struct fy_node *value = NULL;
    const struct verb *verb = find_verb(step, &value);
    char what[64];
    if (!verb)
        return sim_error_at(
            err, file, step,
            "a step is a mapping that begins with one of: create start exec signal wait "
            "pause resume checkpoint restore delete rpc join advance until damage expect check "
            "hash arm disarm host kill sandbox bytes ps event usage runtime_state "
            "wait_checkpoint");
    if (fy_node_mapping_item_count(step) != 1)
        return sim_error_at(
            err, file, step,
            "the step %s has more than one key; what belongs to it goes into its value",
            verb->name);
    if (!value || fy_node_is_scalar(value))
        return verb->plain ? 0
                           : sim_error_at(err, file, step, "%s wants a mapping with keys of: %s",
                                          verb->name, verb->keys);
    snprintf(what, sizeof what, "the step %s", verb->name);
    if (node_check_keys(err, file, value, what, verb->keys))
        return -1;
    struct fy_node *expect = verb->run == step_expect ? NULL : node_get(value, "expect");
    return expect && !fy_node_is_scalar(expect)
               ? node_check_keys(err, file, expect, "expect", EXPECT_KEYS)
               : 0;
}

int step_run(struct run *run, struct fy_node *step)
{
    struct fy_node *value = NULL;
    const struct verb *verb = find_verb(step, &value);
    const char *plain = fy_node_is_scalar(value) ? fy_node_get_scalar0(value)
                                                 : node_text(value, "container");
    trace(run, "step", verb->name, plain ? plain : "");
    if (verb->run(run, value))
        return -1;
    if (run->sandbox) {
        run_drain(run);
        const char *wrong = sandbox_check(run->sandbox, run->call_count);
        if (wrong)
            return FAIL_AT(run, step, "after this step a check fails: %s", wrong);
        for (u32 i = 0; i < run->container_count; i++)
            trace_put(&run->trace, host_monotonic_ns(run->host), "state", "%s %s",
                      run->containers[i].id, state_word(run, run->containers[i].id));
    }
    return 0;
}
