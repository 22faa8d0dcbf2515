/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario's nouns: programs, containers, files, output; and the course of a run. */
#include "sim/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wire/urpc/codec.h"

#define COPY_SIZE_MAX (4u << 20)
#define TOP_KEYS                                                                              \
    "scenario purpose covers seed cpus host clients budget programs containers faults steps " \
    "finally marks platforms twin moved compare"
#define CONTAINER_KEYS "program args env cwd uid gid tmpfs overlay"

/* ---- YAML ----------------------------------------------------------------------------------------- */

struct fy_node *node_get(struct fy_node *map, const char *key)
{
    return map && fy_node_is_mapping(map) ? fy_node_mapping_lookup_by_string(map, key, FY_NT)
                                          : NULL;
}

const char *node_text(struct fy_node *map, const char *key)
{
    struct fy_node *node = node_get(map, key);
    return node ? fy_node_get_scalar0(node) : NULL;
}

static bool has_word(const char *words, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = words; *at;) {
        size_t each = strcspn(at, " ");
        if (each == size && memcmp(at, word, size) == 0)
            return true;
        at += each + (at[each] == ' ');
    }
    return false;
}

int node_check_keys(struct sim_error *err, const char *file, struct fy_node *map, const char *what,
                    const char *allowed)
{
    void *at = NULL;
    struct fy_node_pair *pair;
    if (!map || !fy_node_is_mapping(map))
        return sim_error_at(err, file, map, "%s must be a mapping with keys of: %s", what, allowed);
    while ((pair = fy_node_mapping_iterate(map, &at)) != NULL) {
        const char *key = fy_node_get_scalar0(fy_node_pair_key(pair));
        if (!key || !has_word(allowed, key))
            return sim_error_at(err, file, fy_node_pair_key(pair), "%s has no key '%s'; it has: %s",
                                what, key ? key : "?", allowed);
    }
    return 0;
}

int node_number(struct run *run, struct fy_node *node, i64 *out)
{
    size_t size = 0;
    const char *text = node ? fy_node_get_scalar(node, &size) : NULL;
    if (!text || !sim_number(text, size, out))
        return FAIL_AT(run, node, "a number is wanted here");
    return 0;
}

/* ---- judging the file ----------------------------------------------------------------------------- */

typedef int each_pair(const char *file, struct fy_node *key, struct fy_node *value,
                      struct fy_node *root, struct sim_error *err);

static int for_pairs(const char *file, struct fy_node *root, const char *name, each_pair *each,
                     struct sim_error *err)
{
    struct fy_node *map = node_get(root, name);
    struct fy_node_pair *pair;
    void *at = NULL;
    if (!map)
        return 0;
    if (!fy_node_is_mapping(map))
        return sim_error_at(err, file, map, "%s must be a mapping", name);
    while ((pair = fy_node_mapping_iterate(map, &at)) != NULL) {
        struct fy_node *key = fy_node_pair_key(pair);
        if (!fy_node_is_scalar(key))
            return sim_error_at(err, file, key, "a name is wanted as a key of %s", name);
        if (each(file, key, fy_node_pair_value(pair), root, err))
            return -1;
    }
    return 0;
}

static int check_program(const char *file, struct fy_node *key, struct fy_node *lines,
                         struct fy_node *root, struct sim_error *err)
{
    struct arena heap;
    struct buf elf;
    heap_arena_init(&heap);
    buf_init(&elf, &heap, 0);
    int result = program_compile(file, lines, &elf, err);
    buf_fini(&elf);
    return result;
}

static int check_container(const char *file, struct fy_node *key, struct fy_node *value,
                           struct fy_node *root, struct sim_error *err)
{
    if (node_check_keys(err, file, value, "a container", CONTAINER_KEYS))
        return -1;
    if (strlen(fy_node_get_scalar0(key)) >= RUN_NAME_SIZE)
        return sim_error_at(err, file, key, "a container's name has at most %u letters",
                            RUN_NAME_SIZE - 1);
    return node_text(value, "program")
               ? 0
               : sim_error_at(err, file, key, "a container needs a program");
}

static int check_file(const char *file, struct fy_node *key, struct fy_node *value,
                      struct fy_node *root, struct sim_error *err)
{
    if (fy_node_is_scalar(value))
        return 0;
    return node_check_keys(err, file, value, "a file", "dir space copy");
}

int scenario_check(const char *file, struct fy_document *document, struct sim_error *err)
{
    struct fy_node *root = fy_document_root(document), *step;
    if (node_check_keys(err, file, root, "a scenario", TOP_KEYS))
        return -1;
    if (!node_text(root, "scenario") || !node_text(root, "purpose"))
        return sim_error_at(err, file, root,
                            "a scenario needs its name (scenario) and its purpose");
    struct fy_node *host = node_get(root, "host");
    if (outside_check(file, root, err))
        return -1;
    if (host && node_check_keys(err, file, host, "host", "epoch files"))
        return -1;
    if (for_pairs(file, root, "programs", check_program, err) ||
        for_pairs(file, root, "containers", check_container, err) ||
        for_pairs(file, host, "files", check_file, err))
        return -1;
    struct fy_node *steps = node_get(root, "steps");
    void *at = NULL;
    if (!steps || !fy_node_is_sequence(steps))
        return sim_error_at(err, file, root, "a scenario needs steps, a list");
    while ((step = fy_node_sequence_iterate(steps, &at)) != NULL)
        if (step_check(file, step, err))
            return -1;
    return 0;
}

/* ---- the host's files ----------------------------------------------------------------------------- */

static int put_program(const char *file, struct fy_node *key, struct fy_node *lines,
                       struct run *run)
{
    char path[128];
    struct buf elf;
    snprintf(path, sizeof path, "/rootfs/bin/%s", fy_node_get_scalar0(key));
    buf_init(&elf, &run->heap, 0);
    int result = program_compile(file, lines, &elf, run->err);
    if (!result && sim_put_file(run->host, path, buf_bytes(&elf), elf.size, 0755))
        result = FAIL_AT(run, key, "cannot put the program at %s of the simulated host", path);
    buf_fini(&elf);
    return result;
}

/* The real file NAME, from the scenario's folder on, put at PATH of the simulated host. 0 or
 * -errno. */
static int copy_file(struct run *run, const char *path, const char *name)
{
    static u8 bytes[COPY_SIZE_MAX];
    char real[4096];
    const char *slash = strrchr(run->file, '/');
    snprintf(real, sizeof real, "%.*s%s", slash ? (int)(slash - run->file) + 1 : 0, run->file,
             name);
    FILE *file = fopen(real, "r");
    if (!file)
        return -errno;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    bool is_whole = feof(file) != 0;
    struct stat stat;
    bool is_program = fstat(fileno(file), &stat) == 0 && (stat.st_mode & S_IXUSR);
    fclose(file);
    return is_whole ? sim_put_file(run->host, path, bytes, size, is_program ? 0755 : 0644) : -EFBIG;
}

static int put_file(struct run *run, struct fy_node *key, struct fy_node *value)
{
    const char *path = fy_node_get_scalar0(key);
    size_t size = 0;
    i64 space = 0;
    int err;
    if (fy_node_is_scalar(value)) {
        const char *text = fy_node_get_scalar(value, &size);
        err = sim_put_file(run->host, path, text, size, 0644);
    } else if (node_text(value, "copy")) {
        err = copy_file(run, path, node_text(value, "copy"));
    } else {
        struct fy_node *limit = node_get(value, "space");
        err = sim_put_directory(run->host, path, 0755);
        if (!err && limit)
            err = node_number(run, limit, &space) ? -EINVAL
                                                  : sim_space_limit(run->host, path, (u64)space);
    }
    return err ? FAIL_AT(run, key, "cannot make '%s' on the simulated host: %s", path,
                         errno_text(-err))
               : 0;
}

static int prepare_host(struct run *run)
{
    i64 epoch = 1767225600ll * (i64)NS_PER_S; /* 2026-01-01 */
    struct fy_node *host = node_get(run->root, "host");
    if (node_get(host, "epoch") && node_number(run, node_get(host, "epoch"), &epoch))
        return -1;
    run->host = host_sim_create(&(struct sim_config){
        .seed = run->seed, .epoch_ns = epoch, .fill_byte = run->config->fill_byte});
    if (sim_put_file(run->host, "/rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\n", 26, 0644) ||
        sim_put_directory(run->host, "/rootfs/tmp", 01777) ||
        sim_put_directory(run->host, "/rootfs/proc", 0555))
        return FAIL_AT(run, NULL, "cannot make the root file system on the simulated host");
    struct fy_node_pair *pair;
    struct fy_node *files = node_get(host, "files"), *programs = node_get(run->root, "programs");
    void *at = NULL;
    while (programs && (pair = fy_node_mapping_iterate(programs, &at)) != NULL)
        if (put_program(run->file, fy_node_pair_key(pair), fy_node_pair_value(pair), run))
            return -1;
    at = NULL;
    while (files && (pair = fy_node_mapping_iterate(files, &at)) != NULL)
        if (put_file(run, fy_node_pair_key(pair), fy_node_pair_value(pair)))
            return -1;
    return 0;
}

/* ---- output --------------------------------------------------------------------------------------- */

struct source *run_source(struct run *run, const char *name)
{
    for (u32 i = 0; i < run->source_count; i++)
        if (strcmp(run->sources[i].name, name) == 0)
            return &run->sources[i];
    return NULL;
}

static void source_close(struct run *run, struct source *source)
{
    for (int i = 0; i < 2; i++) {
        if (source->fds[i] >= 0)
            sim_fd_close(run->host, source->fds[i]);
        source->fds[i] = -1;
    }
}

struct source *run_source_open(struct run *run, struct fy_node *node, const char *name)
{
    struct source *source = run_source(run, name);
    if (source) {
        source_close(run, source);
        buf_fini(&source->text);
    } else {
        if (run->source_count == RUN_SOURCES_MAX || strlen(name) >= RUN_NAME_SIZE) {
            FAIL_AT(run, node, "too many containers and processes with output, or too long a name");
            return NULL;
        }
        source = &run->sources[run->source_count++];
    }
    *source = (struct source){.fds = {-1, -1}};
    snprintf(source->name, sizeof source->name, "%s", name);
    buf_init(&source->text, &run->heap, 0);
    if (sim_pipe(run->host, source->fds)) {
        FAIL_AT(run, node, "the simulated host has no descriptors left");
        return NULL;
    }
    return source;
}

void run_drain(void *arg)
{
    struct run *run = arg;
    u8 piece[4096];
    char shown[8192];
    for (u32 i = 0; i < run->source_count; i++) {
        struct source *source = &run->sources[i];
        int fd = source->fds[0] >= 0 ? sim_dup(run->host, source->fds[0]) : -1;
        struct host_stream *stream = fd >= 0 ? sim_engine_stream(run->host, fd) : NULL;
        i64 got;
        while (stream && (got = host_stream_read(stream, piece, sizeof piece, NULL, NULL)) > 0)
            if (buf_append(&source->text, piece, (size_t)got))
                abort();
        if (stream)
            host_stream_put(stream);
        while (source->seen < source->text.size) {
            size_t size = MIN(source->text.size - source->seen, sizeof shown / 4 - 8);
            trace_quote(shown, sizeof shown, buf_bytes(&source->text) + source->seen, size);
            trace_put(&run->trace, host_monotonic_ns(run->host), "out", "%s %s", source->name,
                      shown);
            source->seen += size;
        }
    }
}

/* ---- containers ----------------------------------------------------------------------------------- */

struct box_container *run_container(struct run *run, const char *id)
{
    for (u32 i = 0; i < run->container_count; i++)
        if (strcmp(run->containers[i].id, id) == 0)
            return &run->containers[i];
    return NULL;
}

static void put_strings(struct json_writer *writer, struct fy_node *list)
{
    void *at = NULL;
    struct fy_node *item;
    while (list && (item = fy_node_sequence_iterate(list, &at)) != NULL)
        json_put_string(writer, fy_node_get_scalar0(item) ? fy_node_get_scalar0(item) : "");
}

bool run_has_overlay(struct run *run, const char *id)
{
    const char *word = node_text(node_get(node_get(run->root, "containers"), id), "overlay");
    return word && strcmp(word, "true") == 0;
}

/* A mount for each place in LIST. */
static void put_tmpfs(struct json_writer *writer, struct fy_node *list)
{
    void *at = NULL;
    struct fy_node *item;
    json_name(writer, "mounts");
    json_begin_array(writer);
    while (list && (item = fy_node_sequence_iterate(list, &at)) != NULL) {
        const char *members[][2] = {
            {"destination", fy_node_get_scalar0(item)}, {"type", "tmpfs"}, {"source", "tmpfs"}};
        json_begin_object(writer);
        for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
            json_name(writer, members[i][0]);
            json_put_string(writer, members[i][1] ? members[i][1] : "");
        }
        json_end_object(writer);
    }
    json_end_array(writer);
}

int run_spec(struct run *run, struct fy_node *node, const char *id, struct buf *out)
{
    struct fy_node *container = node_get(node_get(run->root, "containers"), id);
    struct json_writer w;
    char path[128];
    i64 uid = 0, gid = 0;
    if (!container)
        return FAIL_AT(run, node, "the scenario has no container '%s'; list it under containers",
                       id);
    if ((node_get(container, "uid") && node_number(run, node_get(container, "uid"), &uid)) ||
        (node_get(container, "gid") && node_number(run, node_get(container, "gid"), &gid)))
        return -1;
    snprintf(path, sizeof path, "/bin/%s", node_text(container, "program"));
    const char *cwd = node_text(container, "cwd");
    json_writer_init(&w, out);
    json_begin_object(&w);
    json_name(&w, "ociVersion");
    json_put_string(&w, "1.2.0");
    json_name(&w, "process");
    json_begin_object(&w);
    json_name(&w, "user");
    json_begin_object(&w);
    json_name(&w, "uid");
    json_put_i64(&w, uid);
    json_name(&w, "gid");
    json_put_i64(&w, gid);
    json_end_object(&w);
    json_name(&w, "args");
    json_begin_array(&w);
    json_put_string(&w, path);
    put_strings(&w, node_get(container, "args"));
    json_end_array(&w);
    json_name(&w, "env");
    json_begin_array(&w);
    json_put_string(&w, "PATH=/bin");
    put_strings(&w, node_get(container, "env"));
    json_end_array(&w);
    json_name(&w, "cwd");
    json_put_string(&w, cwd ? cwd : "/");
    json_end_object(&w);
    put_tmpfs(&w, node_get(container, "tmpfs"));
    json_name(&w, "root");
    json_begin_object(&w);
    json_name(&w, "path");
    json_put_string(&w, "/rootfs");
    json_end_object(&w);
    json_end_object(&w);
    return buf_text(out) ? 0 : FAIL_AT(run, node, "no memory");
}

/* ---- the course ----------------------------------------------------------------------------------- */

int run_sandbox_end(struct run *run, struct fy_node *node)
{
    if (!run->sandbox)
        return 0;
    run->syscall_count += run->sandbox->syscall_count;
    marks_add(&run->marks, &run->sandbox->kernel->marks);
    if (!sandbox_destroy(run->sandbox))
        return FAIL_AT(run, node, "the sandbox does not end: %s", run->sandbox->trouble);
    run->sandbox = NULL;
    run->container_count = 0;
    for (u32 i = 0; i < run->call_count; i++) {
        run->left_waiting += !call_poll(&run->calls[i].call, run->host);
        call_end(&run->calls[i].call);
    }
    run->call_count = 0;
    run_drain(run);
    for (u32 i = 0; i < run->source_count; i++)
        source_close(run, &run->sources[i]);
    return 0;
}

void run_note_call(struct run *run, const char *method, bool is_ok)
{
    u32 at = 0;
    while (at < run->method_count && strcmp(run->methods[at].name, method) != 0)
        at++;
    if (at == RUN_METHODS_MAX)
        return;
    if (at == run->method_count)
        snprintf(run->methods[run->method_count++].name, RUN_METHOD_SIZE, "%s", method);
    run->methods[at].ok += is_ok;
    run->methods[at].refused += !is_ok;
}

static void trace_methods(struct run *run)
{
    for (u32 i = 0; i < run->method_count; i++)
        trace_put(&run->trace, host_monotonic_ns(run->host), "call", "%s ok=%u refused=%u",
                  run->methods[i].name, run->methods[i].ok, run->methods[i].refused);
}

static void first_leak(void *arg, const char *text)
{
    struct run *run = arg;
    if (!run->err->text[0])
        FAIL_AT(run, NULL, "left behind on the host at the end: %s", text);
}

/* With one more fault. Up to where a step fails; then all faults stop and everything must end. */
static int play_swept(struct run *run, struct fy_node *steps)
{
    const struct sim_fault fault = {.id = "sweep",
                                    .at = run->config->sweep_at,
                                    .nth = run->config->sweep_nth,
                                    .times = run->config->sweep_times,
                                    .error = EIO,
                                    .is_armed = true};
    struct fy_node *step;
    void *at = NULL;
    if (sim_fault_add(run->host, &fault))
        return FAIL_AT(run, NULL, "no such point: %s", fault.at);
    while ((step = fy_node_sequence_iterate(steps, &at)) != NULL && step_run(run, step) == 0)
        continue;
    sim_fault_remove_all(run->host);
    if (strstr(run->err->text, "a check fails") || strstr(run->err->text, "never rest"))
        return -1;
    run->err->text[0] = 0;
    if (run->sandbox) /* that an end failed for the fault is no trouble of the engine */
        run->sandbox->trouble = NULL;
    if (step && !run->sandbox) /* it was never made: what was begun of it goes with the process */
        return 0;
    if (run_sandbox_end(run, steps))
        return -1;
    if (sim_leak_count(run->host) != 0)
        sim_leak_lines(run->host, first_leak, run);
    return run->err->text[0] ? -1 : 0;
}

static int play(struct run *run)
{
    i64 number = 1;
    if (node_get(run->root, "seed") && node_number(run, node_get(run->root, "seed"), &number))
        return -1;
    run->seed = (run->config->has_seed ? run->config->seed : (u64)number) +
                run->config->seed_offset;
    number = 1;
    if (node_get(run->root, "cpus") && node_number(run, node_get(run->root, "cpus"), &number))
        return -1;
    if (number < 1 || number > 16)
        return FAIL_AT(run, node_get(run->root, "cpus"), "cpus is a number from 1 to 16");
    run->cpu_count = run->config->cpu_count ? run->config->cpu_count : (u32)number;
    run->platform = run->config->platform;
    if (prepare_host(run) || outside_begin(run))
        return -1;
    run->begin_ns = host_monotonic_ns(run->host);
    struct fy_node *steps = node_get(run->root, "steps"), *step;
    void *at = NULL;
    if (run->config->sweep_at)
        return play_swept(run, steps);
    u64 calls = sim_call_total(run->host), allocations = sim_alloc_total(run->host);
    while ((step = fy_node_sequence_iterate(steps, &at)) != NULL)
        if (step_run(run, step) || (run->config->checkpoint_everywhere && run_move(run, step)))
            return -1;
    if (run->config->counts) {
        run->config->counts->host_calls = sim_call_total(run->host) - calls;
        run->config->counts->allocations = sim_alloc_total(run->host) - allocations;
    }
    if (run_sandbox_end(run, steps) || outside_end(run))
        return -1;
    if (sim_leak_count(run->host) != 0)
        sim_leak_lines(run->host, first_leak, run);
    trace_methods(run);
    trace_put(&run->trace, host_monotonic_ns(run->host), "end", "leaks=%u",
              sim_leak_count(run->host));
    return run->err->text[0] ? -1 : 0;
}

int scenario_play(const char *file, struct fy_document *document, const struct run_config *config,
                  const struct buf **trace, struct sim_error *err)
{
    static struct run run;
    run = (struct run){.file = file,
                       .document = document,
                       .root = fy_document_root(document),
                       .config = config,
                       .err = err};
    err->text[0] = 0;
    heap_arena_init(&run.heap);
    trace_init(&run.trace, &run.heap);
    *trace = &run.trace.text;
    return play(&run);
}
