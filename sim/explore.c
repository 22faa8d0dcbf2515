/* SPDX-License-Identifier: Apache-2.0 */
/* picket-sim explore: many sequences, each seed one; a failure is shrunk to a scenario file. */
#include "sim/explore.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/coverage.h"
#include "platform/machine_keep.h"
#include "wire/urpc/pool.h"
#include "sim/scenario.h"

#define WHY_SIZE 1024u
#define CHILD_SECONDS 60u
#define SIGNATURE_SIZE 24u

struct explore_options {
    u64 seed, steps;
    u32 length;
    const char *spec, *out;
};

/* Shared with the child that plays. */
struct explore_progress {
    u64 seed, steps;
    u32 at;
    bool has_failed;
    char why[WHY_SIZE];
};

static int explore_usage(FILE *out)
{
    fprintf(out, "usage: picket-sim explore [--seed N] [--steps N] [--length N] [--spec FOLDER] "
                 "[--out FILE]\n"
                 "Draws sequences of control calls by seed and holds the answers against the "
                 "specification\n"
                 "(FOLDER/rpc.yaml, FOLDER/lifecycle.yaml). A failure is shrunk and written to "
                 "FILE as a scenario.\n"
                 "Exit status: 0 all as specified, 1 a failure, 2 bad usage or specification.\n");
    return 2;
}

/* ---- the specification ----------------------------------------------------------------------------
 */

static struct fy_document *load(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return document_read(path);
}

static void add_rules(struct explore_spec *spec, struct fy_node *list)
{
    struct fy_node *row;
    void *at = NULL;
    while ((row = fy_node_sequence_iterate(list, &at)) != NULL &&
           spec->rule_count < EXPLORE_ROWS_MAX)
        spec->rules[spec->rule_count++] = (struct explore_rule){.call = node_text(row, "call"),
                                                                .state = node_text(row, "state"),
                                                                .next = node_text(row, "next"),
                                                                .error = node_text(row, "error")};
}

static void add_method(struct explore_spec *spec, struct fy_node *row)
{
    struct explore_method *method = &spec->methods[spec->method_count++];
    const char *served = node_text(row, "served");
    struct fy_node *errors = node_get(row, "errors"), *error;
    void *at = NULL;
    *method = (struct explore_method){.name = node_text(row, "name"),
                                      .arg = node_text(row, "arg"),
                                      .result = node_text(row, "result"),
                                      .is_served = served && strcmp(served, "yes") == 0};
    while (errors && (error = fy_node_sequence_iterate(errors, &at)) != NULL &&
           method->error_count < EXPLORE_ERRORS_MAX)
        method->errors[method->error_count++] = fy_node_get_scalar0(error);
}

const struct explore_method *explore_method_find(const struct explore_spec *spec, const char *name)
{
    for (u32 i = 0; i < spec->method_count; i++)
        if (strcmp(spec->methods[i].name, name) == 0)
            return &spec->methods[i];
    return NULL;
}

static bool compile(const char *lines, struct buf *out)
{
    static struct arena heap;
    struct sim_error err;
    struct fy_document *document = fy_document_build_from_string(NULL, lines, FY_NT);
    heap_arena_init(&heap);
    buf_init(out, &heap, 0);
    int result = document ? program_compile("explore", fy_document_root(document), out, &err) : -1;
    fy_document_destroy(document);
    return result == 0;
}

/* The documents live as long as the process: the rows' texts are theirs. */
static bool load_spec(const char *folder, struct explore_spec *spec)
{
    struct fy_document *rpc = load(folder, "rpc.yaml"), *life = load(folder, "lifecycle.yaml");
    struct fy_node *row;
    void *at = NULL;
    if (!rpc || !life)
        return false;
    struct fy_node *methods = node_get(fy_document_root(rpc), "methods");
    while ((row = fy_node_sequence_iterate(methods, &at)) != NULL &&
           spec->method_count < EXPLORE_ROWS_MAX)
        add_method(spec, row);
    add_rules(spec, node_get(fy_document_root(life), "container"));
    return spec->method_count && spec->rule_count &&
           compile("[{on: {SIGUSR1: [{write: [1, \"x\"]}]}}, {loop: [{pause: []}]}]",
                   &spec->sleeper) &&
           compile("[{exit_group: [0]}]", &spec->gone);
}

/* ---- playing in a child ---------------------------------------------------------------------------
 */

static NORETURN void play_many(const struct explore_spec *spec,
                               const struct explore_options *options,
                               struct explore_progress *progress)
{
    static struct op ops[EXPLORE_OPS_MAX];
    machine_keep(true);
    while (progress->steps < options->steps) {
        explore_draw(spec, progress->seed, ops, options->length);
        alarm(CHILD_SECONDS);
        if (!explore_play(spec, ops, options->length, progress->why, WHY_SIZE, &progress->at)) {
            progress->has_failed = true;
            _exit(1);
        }
        progress->steps += options->length;
        progress->seed++;
    }
    coverage_write();
    _exit(0);
}

/* Waits for PID; what killed it is a failure too. */
static bool reap(pid_t pid, struct explore_progress *progress)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status)) {
        progress->has_failed = true;
        snprintf(progress->why, WHY_SIZE, "the run crashed: %s", strsignal(WTERMSIG(status)));
    }
    return !progress->has_failed;
}

static pid_t start_child(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("picket-sim: fork");
        exit(1);
    }
    return pid;
}

/* Do OPS fail in the way that SIGNATURE tells? */
static bool fails_alike(const struct explore_spec *spec, const struct op *ops, u32 count,
                        struct explore_progress *progress, const char *signature)
{
    progress->has_failed = false;
    pid_t pid = start_child();
    if (pid == 0) {
        alarm(CHILD_SECONDS);
        progress->has_failed = !explore_play(spec, ops, count, progress->why, WHY_SIZE,
                                             &progress->at);
        _exit(0);
    }
    return !reap(pid, progress) && strncmp(progress->why, signature, SIGNATURE_SIZE) == 0;
}

/* Takes out ever smaller runs of ops as long as the same failure stays. The new count. */
static u32 shrink(const struct explore_spec *spec, struct op *ops, u32 count,
                  struct explore_progress *progress)
{
    static struct op fewer[EXPLORE_OPS_MAX];
    char signature[WHY_SIZE];
    snprintf(signature, sizeof signature, "%s", progress->why);
    for (u32 size = MAX(count / 2, 1u);; size = MAX(size / 2, 1u)) {
        bool has_shrunk = false;
        for (u32 at = 0; at < count;) {
            u32 taken = MIN(size, count - at);
            memcpy(fewer, ops, at * sizeof *ops);
            memcpy(fewer + at, ops + at + taken, (count - at - taken) * sizeof *ops);
            if (fails_alike(spec, fewer, count - taken, progress, signature)) {
                count -= taken;
                memcpy(ops, fewer, count * sizeof *ops);
                has_shrunk = true;
            } else {
                at += taken;
            }
        }
        if (size == 1 && !has_shrunk)
            break;
    }
    snprintf(progress->why, WHY_SIZE, "%s", signature);
    return count;
}

/* ---- writing it down ------------------------------------------------------------------------------
 */

static void put_quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++)
        fprintf(out, *text == '\'' ? "''" : "%c", *text);
    fputc('\'', out);
}

static void write_op(FILE *out, const struct op *op)
{
    static const char *const clients[] = {"", ", client: split", ", client: cut", "", ""};
    for (u32 i = 0; i < op->pauses; i++)
        fprintf(out, "  - pause: r\n");
    for (u32 i = 0; i < op->pauses; i++)
        fprintf(out, "  - resume: r\n");
    if (op->pauses)
        return;
    if (!op->row) {
        fprintf(out, "  - bytes: {text: ");
        put_quoted(out, op->arg);
        fprintf(out, "%s}\n", clients[op->client]);
        return;
    }
    fprintf(out, "  - rpc: {method: %s, expect: any%s, arg: ", op->row->name, clients[op->client]);
    put_quoted(out, op->arg);
    for (u32 i = 0; i < op->file_count; i++)
        fprintf(out, "%s%s", i ? ", " : ", files: [",
                op->has_gofer && i + 1 == op->file_count ? "gofer" : "out");
    fprintf(out, "%s}\n", op->file_count ? "]" : "");
}

static int write_scenario(const char *path, const struct op *ops, u32 count,
                          const struct explore_progress *progress)
{
    FILE *out = fopen(path, "w");
    u32 after = 0;
    if (!out)
        return -errno;
    for (u32 i = 0; i < count; i++)
        if (ops[i].client == CLIENT_CUT)
            after = ops[i].after;
    fprintf(out, "scenario: explored-%llu\npurpose: ", (unsigned long long)progress->seed);
    put_quoted(out, progress->why);
    fprintf(out,
            "\nclients: {split: {fragments: 16}, cut: {}}\n"
            "faults: [{id: cut, at: client.cut, after_bytes: %u, do: close}]\n"
            "programs:\n"
            "  sleeper: [{on: {SIGUSR1: [{write: [1, \"x\"]}]}}, {loop: [{pause: []}]}]\n"
            "  gone: [{exit_group: [0]}]\n"
            "containers: {r: {program: sleeper}}\n"
            "steps:\n  - create: r\n  - start: r\n",
            after);
    for (u32 i = 0; i < count; i++)
        write_op(out, &ops[i]);
    fprintf(out, "  - delete: r\n");
    return fclose(out) ? -errno : 0;
}

/* ---- the command ----------------------------------------------------------------------------------
 */

static int read_explore_options(int argc, char **argv, struct explore_options *options)
{
    static const struct option longs[] = {
        {"seed", required_argument, NULL, 's'},   {"steps", required_argument, NULL, 'n'},
        {"length", required_argument, NULL, 'l'}, {"spec", required_argument, NULL, 'p'},
        {"out", required_argument, NULL, 'o'},    {NULL, 0, NULL, 0}};
    int c;
    *options = (struct explore_options){
        .seed = 1, .steps = 100000, .length = 500, .spec = "spec", .out = "explored.yaml"};
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 's')
            options->seed = strtoull(optarg, NULL, 0);
        else if (c == 'n')
            options->steps = strtoull(optarg, NULL, 0);
        else if (c == 'l')
            options->length = (u32)strtoul(optarg, NULL, 0);
        else if (c == 'p')
            options->spec = optarg;
        else if (c == 'o')
            options->out = optarg;
        else
            return explore_usage(stderr);
    }
    return optind == argc && options->length > 0 && options->length <= EXPLORE_OPS_MAX
               ? 0
               : explore_usage(stderr);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int tell_failure(const struct explore_spec *spec, const struct explore_options *options,
                        struct explore_progress *progress)
{
    static struct op ops[EXPLORE_OPS_MAX];
    u64 seed = progress->seed;
    explore_draw(spec, seed, ops, options->length);
    printf("FAIL seed %llu, call %u: %s\n", (unsigned long long)seed, progress->at, progress->why);
    u32 count = shrink(spec, ops, options->length, progress);
    int err = write_scenario(options->out, ops, count, progress);
    if (err)
        fprintf(stderr, "picket-sim: cannot write %s: %s\n", options->out, strerror(-err));
    else
        printf("  shrunk to %u calls: %s\n", count, options->out);
    printf("  again: picket-sim explore --seed %llu --steps %u --length %u\n",
           (unsigned long long)seed, options->length, options->length);
    return 1;
}

int explore_main(int argc, char **argv)
{
    static struct explore_spec spec;
    struct explore_options options;
    if (read_explore_options(argc, argv, &options))
        return 2;
    if (!load_spec(options.spec, &spec))
        return 2;
    struct explore_progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        perror("picket-sim: memory");
        return 1;
    }
    progress->seed = options.seed;
    double begin = seconds_now();
    pid_t pid = start_child();
    if (pid == 0)
        play_many(&spec, &options, progress);
    if (!reap(pid, progress))
        return tell_failure(&spec, &options, progress);
    double spent = seconds_now() - begin;
    printf("explored %llu calls, seeds %llu to %llu, %.0f calls a second\n1 passed, 0 failed, 0 "
           "skipped\n",
           (unsigned long long)progress->steps, (unsigned long long)options.seed,
           (unsigned long long)progress->seed - 1, (double)progress->steps / spent);
    return 0;
}
