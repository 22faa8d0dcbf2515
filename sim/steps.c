/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario's verbs. Each is a row of `verbs`: its keys, what a bare value stands for, and what it
 * does. */
#include <cjson/cJSON.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sim/steps.h"
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
        .has_overlay = run_has_overlay(run, id),
        .is_verbose = run->config->is_verbose,
        .halt_every = run->config->checkpoint_every,
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
    if (step_container(run, value, &id))
        return -1;
    if (run->container_count == RUN_CONTAINERS_MAX)
        return FAIL_AT(run, value, "more than %u containers", RUN_CONTAINERS_MAX);
    bool is_root = !run->sandbox;
    snprintf(arg, sizeof arg, "{\"CID\":\"%s\"}", id);
    if (is_root ? create_root(run, value, id)
                : step_call(run, value, "create", "containerManager.CreateSubcontainer", arg))
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
        return step_no_sandbox(run, value, what);
    if (buf_append_text(&arg, "{\"Spec\":") || run_spec(run, value, id, &arg) ||
        buf_printf(&arg,
                   ",\"Conf\":{},\"CID\":\"%s\",\"GoferMountConfs\":[{\"lower\":1,\"upper\":%u}]}",
                   id, run_has_overlay(run, id)))
        return -1;
    struct source *source = run_source_open(run, value, id);
    int gofer = source ? sandbox_gofer(run->sandbox, "/rootfs") : -1;
    if (gofer < 0)
        return source ? FAIL_AT(run, value, "%s: too many gofers", what) : -1;
    const int fds[4] = {source->fds[1], source->fds[1], source->fds[1], gofer};
    int result = step_call_with(run, value, what, method, buf_text(&arg), fds, 4, NULL);
    sim_fd_close(run->host, gofer);
    buf_fini(&arg);
    return result;
}

static int step_start(struct run *run, struct fy_node *value)
{
    const char *id;
    char arg[ARG_SIZE];
    if (step_container(run, value, &id))
        return -1;
    struct box_container *container = run_container(run, id);
    snprintf(arg, sizeof arg, "\"%s\"", id);
    if (!container || container->is_root)
        return step_call(run, value, "start", "containerManager.StartRoot", arg);
    return start_sub(run, value, id, "start", "containerManager.StartSubcontainer");
}

static int step_delete(struct run *run, struct fy_node *value)
{
    const char *id;
    char arg[ARG_SIZE];
    if (step_container(run, value, &id))
        return -1;
    struct box_container *container = run_container(run, id);
    if (container && container->is_root)
        return run_sandbox_end(run, value);
    snprintf(arg, sizeof arg, "\"%s\"", id);
    if (step_call(run, value, "delete", "containerManager.DestroySubcontainer", arg))
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
    if (step_container(run, value, &id))
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
    int result = step_call_with(run, value, "exec", "containerManager.ExecuteAsync", buf_text(&arg),
                                fds, 3, &answer);
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
        return step_call(run, value, "wait", "containerManager.WaitPID", arg);
    }
    if (step_container(run, value, &id))
        return -1;
    snprintf(arg, sizeof arg, "\"%s\"", id);
    return step_call(run, value, "wait", "containerManager.Wait", arg);
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
    return step_call(run, value, "signal", "containerManager.Signal", arg);
}

/* ---- the sandbox ---------------------------------------------------------------------------------- */

static int step_pause(struct run *run, struct fy_node *value)
{
    return step_call(run, value, "pause", "containerManager.Pause", "null");
}

static int step_resume(struct run *run, struct fy_node *value)
{
    return step_call(run, value, "resume", "containerManager.Resume", "null");
}

static int step_checkpoint(struct run *run, struct fy_node *value)
{
    const char *path = step_text(value, "to"), *leave = node_text(value, "leave_running");
    bool resumes = leave && strcmp(leave, "true") == 0;
    if (!path)
        return FAIL_AT(run, value, "checkpoint needs a file (to)");
    int fd = sim_open(run->host, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return FAIL_AT(run, value, "cannot make '%s' on the simulated host: %s", path,
                       errno_text(-fd));
    int result = step_call_with(run, value, "checkpoint", "containerManager.Checkpoint",
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
    if (step_container(run, value, &id))
        return -1;
    if (!path)
        return start_sub(run, value, id, "restore", "containerManager.RestoreSubcontainer");
    int fd = sim_open(run->host, path, O_RDONLY, 0);
    if (fd < 0)
        return FAIL_AT(run, value, "cannot open '%s' of the simulated host: %s", path,
                       errno_text(-fd));
    int result = step_call_with(run, value, "restore", "containerManager.Restore", "{}", &fd, 1,
                                NULL);
    sim_fd_close(run->host, fd);
    return result;
}

static int call_of_container(struct run *run, struct fy_node *value, const char *what,
                             const char *method)
{
    const char *id;
    char arg[ARG_SIZE];
    if (step_container(run, value, &id))
        return -1;
    snprintf(arg, sizeof arg, "\"%s\"", id);
    return step_call(run, value, what, method, arg);
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
    return step_call(run, value, "usage", "Usage.Collect", is_full ? "{\"Full\":true}" : "{}");
}

static int step_wait_checkpoint(struct run *run, struct fy_node *value)
{
    return step_call(run, value, "wait_checkpoint", "containerManager.WaitCheckpoint", "null");
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
    if (run_client(run, value, &client) || step_within(run, value, &end))
        return -1;
    int err = call_send(&call, run->sandbox, text, strlen(text), NULL, 0, &client, &run->heap);
    if (err)
        return FAIL_AT(run, value, "cannot reach the sandbox: %s", errno_text(-err));
    bool moves = sandbox_run(run->sandbox);
    bool is_over = call_poll(&call, run->host);
    const char *got = call.answer.size ? buf_text(&call.answer) : is_over ? "closed" : "nothing";
    step_trace(run, "ret", "bytes", got);
    bool fits = !wanted || step_text_fits(got, wanted);
    int result = fits ? 0 : FAIL_AT(run, value, "wanted '%s', but '%s' came back", wanted, got);
    call_end(&call);
    return result ? result : moves && run_settle(run, value) ? 0 : step_trouble(run, value);
}

/* The descriptors that ride on a call, and which of them are this step's own. */
struct step_files {
    int fds[RPC_FILES_MAX];
    bool is_own[RPC_FILES_MAX];
    u32 count;
};

static void step_files_close(struct run *run, struct step_files *files)
{
    for (u32 i = 0; i < files->count; i++)
        if (files->is_own[i])
            sim_fd_close(run->host, files->fds[i]);
}

/* `out`: the root container's output; `gofer`: a new one; `stream`: a connection whose other end is
 * closed at once; a path: that file, made if it is not there. -1: no such thing. */
static int step_file(struct run *run, const char *word)
{
    int pair[2];
    if (strcmp(word, "gofer") == 0)
        return sandbox_gofer(run->sandbox, "/rootfs");
    if (word[0] == '/')
        return sim_open(run->host, word, O_RDWR | O_CREAT, 0600);
    if (strcmp(word, "stream") != 0 || sim_pair(run->host, SOCK_STREAM, pair))
        return -1;
    sim_fd_close(run->host, pair[1]);
    return pair[0];
}

static int step_files_open(struct run *run, struct fy_node *list, struct step_files *files)
{
    struct fy_node *item;
    void *at = NULL;
    while (list && (item = fy_node_sequence_iterate(list, &at)) != NULL) {
        const char *word = fy_node_get_scalar0(item);
        bool is_out = word && strcmp(word, "out") == 0;
        int fd = is_out ? run->sources[0].fds[1] : word ? step_file(run, word) : -1;
        if (files->count == RPC_FILES_MAX || fd < 0)
            return FAIL_AT(run, item, "files is a list of at most %u: out, gofer, stream, paths",
                           RPC_FILES_MAX);
        files->is_own[files->count] = !is_out;
        files->fds[files->count++] = fd;
    }
    return 0;
}

static int method_call(struct run *run, struct fy_node *value, const char *method, const char *arg)
{
    struct step_files files = {0};
    if (!method || strpbrk(method, "\"\\"))
        return FAIL_AT(run, value, "rpc needs a method");
    if (!run->sandbox)
        return step_no_sandbox(run, value, method);
    int result = step_files_open(run, node_get(value, "files"), &files);
    if (!result)
        result = step_call_with(run, value, method, method, arg ? arg : "null", files.fds,
                                files.count, NULL);
    step_files_close(run, &files);
    return result;
}

static int step_rpc(struct run *run, struct fy_node *value)
{
    return method_call(run, value, node_text(value, "method"), node_text(value, "arg"));
}

/* A step whose name has a dot is a method's: `- Usage.Reduce: {arg: ..., files: [...]}`. */
static int step_method(struct run *run, struct fy_node *step, struct fy_node *value)
{
    struct fy_node_pair *pair = fy_node_mapping_get_by_index(step, 0);
    return method_call(run, value, fy_node_get_scalar0(fy_node_pair_key(pair)),
                       step_text(value, "arg"));
}

static int step_join(struct run *run, struct fy_node *value)
{
    const char *name = step_text(value, "call");
    struct answer answer;
    for (u32 i = 0; name && i < run->call_count; i++) {
        struct pending_call *pending = &run->calls[i];
        if (strcmp(pending->name, name) != 0)
            continue;
        struct pending_call joined = *pending;
        *pending = run->calls[--run->call_count];
        struct held_call held = {&joined.call, joined.method, NULL, false};
        run->held = &held;
        int result = step_finish(run, value, joined.what, &joined.call, &answer);
        run->held = NULL;
        if (!result)
            run_note_call(run, joined.method, answer.is_ok);
        call_end(&joined.call);
        if (!result && run->sandbox && !run_settle(run, value))
            result = step_trouble(run, value);
        return result ? result : answer_judge(run, value, joined.what, &answer);
    }
    return FAIL_AT(run, value, "no call '%s' is under way (async)", name ? name : "");
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

static const struct verb method_verb = {"a method", "arg files" COMMON, "arg", NULL};

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
    if (!name || !strchr(name, '.'))
        return NULL;
    *value = fy_node_pair_value(pair);
    return &method_verb;
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
            "wait_checkpoint, or with a method's name");
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
    bool is_method = verb == &method_verb;
    step_trace(run, "step", verb->name, plain && !is_method ? plain : "");
    if (is_method ? step_method(run, step, value) : verb->run(run, value))
        return -1;
    if (run->sandbox) {
        run_drain(run);
        const char *wrong = sandbox_check(run->sandbox, run->call_count);
        if (wrong)
            return FAIL_AT(run, step, "after this step a check fails: %s", wrong);
        for (u32 i = 0; i < run->container_count; i++)
            trace_put(&run->trace, host_monotonic_ns(run->host), "state", "%s %s",
                      run->containers[i].id, run_state_word(run, run->containers[i].id));
    }
    return 0;
}
