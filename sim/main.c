/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket-sim: replays scenarios. Each run is a process of its own, so that a crash is one
 * scenario's verdict. Exit status: 0 all passed, 1 something failed, 2 bad usage or a bad scenario
 * file.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "platform/platform.h"
#include "sim/bench.h"
#include "sim/explore.h"
#include "sim/methods.h"
#include "sim/outcome.h"
#include "sim/report.h"
#include "sim/scenario.h"
#include "sim/shrink.h"
#include "sim/swarm.h"
#include "sim/sweep.h"
#include "wire/urpc/pool.h"

#define PLATFORMS_MAX 8u
#define TWIN_SEED 0x9e3779b97f4a7c15ull

struct options {
    const char *platforms[PLATFORMS_MAX];
    u32 platform_count;
    const char *trace_path, *json_path, *junit_path, *html_path, *methods_path, *perfetto_path;
    bool has_twin;
    bool is_verbose;
    bool checkpoint_everywhere;
    u64 checkpoint_every; /* system calls; 0: not */
    bool has_seed;
    u64 seed;
};

struct tally {
    u32 passed, failed, skipped, bad;
    int status; /* of the first failure */
    const char *file;
    struct run_counts *counts; /* of the moved runs; shared memory */
    struct report report;
};

static int usage(FILE *out)
{
    fprintf(
        out,
        "usage: picket-sim run [--platform NAME,...] [--checkpoint-everywhere] "
        "[--checkpoint-every N] [--seed N]\n"
        "                      [--trace FILE]\n"
        "                      [--json FILE] [--junit FILE] [--html FILE] [--perfetto FILE] "
        "[--no-twin] "
        "[--methods RPC.yaml]\n                      "
        "[-v] SCENARIO.yaml...\n"
        "       picket-sim explore [--seed N] [--steps N] [--length N] [--spec FOLDER] "
        "[--out FILE]\n"
        "       picket-sim sweep [--every N] SCENARIO.yaml...\n"
        "       picket-sim swarm [--seed N] [--runs N] SCENARIO.yaml...\n"
        "       picket-sim shrink [--platform NAME] [--swarm SEED] [--out FILE] SCENARIO.yaml\n"
        "       picket-sim bench [--lives N]\n"
        "Plays each scenario on each platform (default: script) and, on the first, once "
        "more with another\n"
        "seed and memory layout; all traces must be the same. --trace writes the first "
        "platform's traces.\n"
        "Exit status: 0 all passed, 1 something failed, 2 bad usage or a bad scenario, 3 a twin "
        "differs,\n"
        "4 platforms differ, 5 stuck, 6 crashed, 77 all skipped.\n");
    return 2;
}

/* ---- one scenario --------------------------------------------------------------------------------- */

static void tell_again(const struct verdict *row)
{
    char command[512];
    verdict_command(row, command, sizeof command);
    printf("  again: %s\n", command);
}

static void report(struct tally *tally, const char *name, const char *platform,
                   const struct outcome *outcome)
{
    const char *message = outcome->has_passed   ? ""
                          : outcome->message[0] ? outcome->message
                                                : "the run ended without a verdict";
    struct verdict *row = report_add(&tally->report,
                                     outcome->has_passed ? VERDICT_PASSED : VERDICT_FAILED, name,
                                     tally->file, platform, message, outcome->trace);
    trace_hash(outcome->trace, strlen(outcome->trace), row->hash);
    row->seconds = outcome->seconds;
    printf("%s %s [%s] %.16s\n", outcome->has_passed ? "ok  " : "FAIL", name, platform, row->hash);
    if (!outcome->has_passed) {
        printf("  %s\n", message);
        tell_again(row);
        tally->status = tally->status ? tally->status : outcome->status;
    }
    *(outcome->has_passed ? &tally->passed : &tally->failed) += 1;
}

/* How much of two traces has to be alike. */
enum alike { ALIKE_WHOLE, ALIKE_BY_TELLER, ALIKE_OUTSIDE };

static bool are_alike(enum alike alike, const char *a_name, const char *a, const char *b_name,
                      const char *b)
{
    if (alike == ALIKE_WHOLE)
        return trace_compare(stdout, a_name, a, b_name, b);
    struct arena heap;
    struct buf a_told, b_told;
    heap_arena_init(&heap);
    trace_by_teller(a, alike == ALIKE_OUTSIDE, &heap, &a_told);
    trace_by_teller(b, alike == ALIKE_OUTSIDE, &heap, &b_told);
    bool result = trace_compare(stdout, a_name, buf_text(&a_told), b_name, buf_text(&b_told));
    buf_fini(&a_told);
    buf_fini(&b_told);
    return result;
}

/* B is the newest row of the report. */
static void compare(struct tally *tally, const char *name, enum alike alike, const char *a_name,
                    const struct outcome *a, const char *b_name, const struct outcome *b,
                    int status)
{
    struct verdict *row = &tally->report.rows[tally->report.count - 1];
    if (!a->has_passed || !b->has_passed || are_alike(alike, a_name, a->trace, b_name, b->trace))
        return;
    printf("FAIL %s: %s and %s differ\n", name, a_name, b_name);
    row->status = VERDICT_FAILED;
    row->against = a_name;
    free(row->message);
    if (asprintf(&row->message, "%s and %s differ", a_name, b_name) < 0)
        row->message = NULL;
    tell_again(row);
    tally->passed--;
    tally->failed++;
    tally->status = tally->status ? tally->status : status;
}

static void skip(struct tally *tally, const char *name, const char *platform, const char *why)
{
    printf("skip %s [%s] %s\n", name, platform, why);
    report_add(&tally->report, VERDICT_SKIPPED, name, tally->file, platform, why, NULL);
    tally->skipped++;
}

/* Does the list under platforms (absent: all) name PLATFORM? */
static bool wants_platform(struct fy_node *root, const char *platform)
{
    struct fy_node *list = node_get(root, "platforms"), *item;
    void *at = NULL;
    while (list && (item = fy_node_sequence_iterate(list, &at)) != NULL)
        if (fy_node_get_scalar0(item) && strcmp(fy_node_get_scalar0(item), platform) == 0)
            return true;
    return !list;
}

/* `compare: output`: real programs, whose random bytes and resident pages may differ. */
static enum alike alike_of(struct fy_document *document, enum alike otherwise)
{
    const char *word = node_text(fy_document_root(document), "compare");
    return word && strcmp(word, "output") == 0 ? ALIKE_OUTSIDE : otherwise;
}

static void play_twin(struct tally *tally, const char *file, struct fy_document *document,
                      const char *name, const char *platform, const struct outcome *first,
                      const struct options *options)
{
    const struct run_config config = {.platform = platform,
                                      .seed_offset = TWIN_SEED,
                                      .fill_byte = 0xa5,
                                      .has_seed = options->has_seed,
                                      .seed = options->seed,
                                      .is_verbose = options->is_verbose};
    char twin[64];
    snprintf(twin, sizeof twin, "%s, twin", platform);
    struct outcome outcome = outcome_play(file, document, &config);
    report(tally, name, twin, &outcome);
    compare(tally, name, alike_of(document, ALIKE_WHOLE), platform, first, "twin", &outcome,
            STATUS_TWIN);
    outcome_fini(&outcome);
}

/* EVERY: system calls between two moves; 0: only between steps. */
static void play_moved(struct tally *tally, const char *file, struct fy_document *document,
                       const char *name, const char *platform, const struct outcome *first,
                       const struct options *options, u64 every)
{
    const struct run_config config = {.platform = platform,
                                      .fill_byte = 0x5a,
                                      .has_seed = options->has_seed,
                                      .seed = options->seed,
                                      .is_verbose = options->is_verbose,
                                      .counts = tally->counts,
                                      .checkpoint_everywhere = true,
                                      .checkpoint_every = every};
    char moved[64];
    snprintf(moved, sizeof moved, every ? "%s, moved every %llu" : "%s, moved", platform,
             (unsigned long long)every);
    struct outcome outcome = outcome_play(file, document, &config);
    if (options->is_verbose)
        fputs(outcome.trace, stdout);
    report(tally, name, moved, &outcome);
    compare(tally, name, alike_of(document, every ? ALIKE_BY_TELLER : ALIKE_WHOLE), platform, first,
            "moved", &outcome, STATUS_TWIN);
    outcome_fini(&outcome);
}

static void save_trace(FILE *out, const char *name, const char *platform,
                       const struct outcome *outcome)
{
    if (out)
        fprintf(out, "# %s [%s]\n%s", name, platform, outcome->trace);
}

static void play_platforms(struct tally *tally, const char *file, struct fy_document *document,
                           const struct options *options, FILE *trace)
{
    struct fy_node *root = fy_document_root(document);
    const char *name = node_text(root, "scenario"), *twin = node_text(root, "twin"),
               *moved = node_text(root, "moved"), *first_name = NULL;
    struct outcome first = {0};
    for (u32 i = 0; i < options->platform_count; i++) {
        const char *platform = options->platforms[i];
        if (!wants_platform(root, platform)) {
            skip(tally, name, platform, "not among the scenario's platforms");
            continue;
        }
        if (scenario_platform_use(platform) == PLATFORM_USELESS) {
            skip(tally, name, platform, "the platform does not work on this machine");
            continue;
        }
        const struct run_config config = {.platform = platform,
                                          .fill_byte = 0x5a,
                                          .has_seed = options->has_seed,
                                          .seed = options->seed,
                                          .is_verbose = options->is_verbose};
        struct outcome outcome = outcome_play(file, document, &config);
        report(tally, name, platform, &outcome);
        if (first_name) {
            compare(tally, name, alike_of(document, ALIKE_WHOLE), first_name, &first, platform,
                    &outcome, STATUS_PLATFORM);
            outcome_fini(&outcome);
            continue;
        }
        first_name = platform;
        first = outcome;
        methods_note(first.trace);
        save_trace(trace, name, platform, &first);
        if (options->is_verbose)
            fputs(first.trace, stdout);
        if (options->has_twin && first.has_passed && !(twin && strcmp(twin, "false") == 0))
            play_twin(tally, file, document, name, platform, &first, options);
        bool may_move = !(moved && strcmp(moved, "false") == 0);
        if (options->checkpoint_everywhere && first.has_passed && may_move)
            play_moved(tally, file, document, name, platform, &first, options, 0);
        if (options->checkpoint_every && first.has_passed && may_move)
            play_moved(tally, file, document, name, platform, &first, options,
                       options->checkpoint_every);
    }
    if (first_name)
        outcome_fini(&first);
}

static void play_file(struct tally *tally, const char *file, const struct options *options,
                      FILE *trace)
{
    struct sim_error err = {0};
    tally->file = file;
    struct fy_document *document = document_read(file); /* tells what is wrong itself */
    if (!document) {
        tally->bad++;
    } else if (scenario_check(file, document, &err)) {
        fprintf(stderr, "%s:%u:%u: %s\n", file, err.place.line, err.place.column, err.text);
        tally->bad++;
    } else {
        play_platforms(tally, file, document, options, trace);
    }
    if (document)
        fy_document_destroy(document);
}

/* ---- the command line ----------------------------------------------------------------------------- */

static bool platform_is_known(const char *name)
{
    for (u32 i = 0; platform_name(i); i++)
        if (strcmp(platform_name(i), name) == 0)
            return true;
    return false;
}

static int read_platforms(struct options *options, char *list)
{
    char *rest = NULL;
    options->platform_count = 0;
    for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (options->platform_count == PLATFORMS_MAX || !platform_is_known(name)) {
            fprintf(stderr, "picket-sim: there is no platform '%s'; known are:", name);
            for (u32 i = 0; platform_name(i); i++)
                fprintf(stderr, " %s", platform_name(i));
            fprintf(stderr, "\n");
            return 2;
        }
        options->platforms[options->platform_count++] = name;
    }
    return options->platform_count ? 0 : usage(stderr);
}

static int read_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {{"platform", required_argument, NULL, 'p'},
                                          {"trace", required_argument, NULL, 't'},
                                          {"no-twin", no_argument, NULL, 'n'},
                                          {"checkpoint-everywhere", no_argument, NULL, 'c'},
                                          {"checkpoint-every", required_argument, NULL, 'e'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"json", required_argument, NULL, 'J'},
                                          {"junit", required_argument, NULL, 'U'},
                                          {"html", required_argument, NULL, 'H'},
                                          {"perfetto", required_argument, NULL, 'P'},
                                          {"methods", required_argument, NULL, 'M'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {NULL, 0, NULL, 0}};
    int c;
    *options = (struct options){.platforms = {"script"}, .platform_count = 1, .has_twin = true};
    while ((c = getopt_long(argc, argv, "p:t:v", longs, NULL)) != -1) {
        if (c == 'p' && read_platforms(options, optarg))
            return 2;
        if (c == 't')
            options->trace_path = optarg;
        if (c == 'n')
            options->has_twin = false;
        if (c == 'J')
            options->json_path = optarg;
        if (c == 'U')
            options->junit_path = optarg;
        if (c == 'H')
            options->html_path = optarg;
        if (c == 'P')
            options->perfetto_path = optarg;
        if (c == 'M')
            options->methods_path = optarg;
        if (c == 'c')
            options->checkpoint_everywhere = true;
        if (c == 'e' && (options->checkpoint_every = strtoull(optarg, NULL, 0)) == 0)
            return usage(stderr);
        if (c == 's') {
            options->has_seed = true;
            options->seed = strtoull(optarg, NULL, 0);
        }
        if (c == 'v')
            options->is_verbose = true;
        if (c == '?')
            return usage(stderr);
    }
    return optind < argc ? 0 : usage(stderr);
}

static int write_reports(const struct report *report, const struct options *options)
{
    const struct {
        const char *path;
        int (*write)(const struct report *report, const char *path);
    } reports[] = {{options->json_path, report_write_json},
                   {options->junit_path, report_write_junit},
                   {options->html_path, report_write_html},
                   {options->perfetto_path, report_write_perfetto}};
    for (size_t i = 0; i < ARRAY_COUNT(reports); i++) {
        int err = reports[i].path ? reports[i].write(report, reports[i].path) : 0;
        if (err) {
            fprintf(stderr, "picket-sim: cannot write the report to %s: %s\n", reports[i].path,
                    strerror(-err));
            return err;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct tally tally = {0};
    FILE *trace = NULL;
    if (argc > 1 && strcmp(argv[1], "explore") == 0)
        return explore_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "bench") == 0)
        return bench_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "sweep") == 0)
        return sweep_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "swarm") == 0)
        return swarm_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "shrink") == 0)
        return shrink_main(argc - 1, argv + 1);
    if (argc < 2 || strcmp(argv[1], "run") != 0)
        return usage(stderr);
    if (read_options(argc - 1, argv + 1, &options))
        return 2;
    if (options.trace_path && !(trace = fopen(options.trace_path, "w"))) {
        fprintf(stderr, "picket-sim: cannot write the trace to %s: %s\n", options.trace_path,
                strerror(errno));
        return 2;
    }
    if (options.methods_path && !methods_load(options.methods_path))
        return STATUS_BAD;
    tally.counts = mmap(NULL, sizeof *tally.counts, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally.counts == MAP_FAILED) {
        perror("picket-sim: no shared memory");
        return STATUS_FAILED;
    }
    for (int i = optind + 1; i < argc; i++)
        play_file(&tally, argv[i], &options, trace);
    if (trace && fclose(trace)) {
        fprintf(stderr, "picket-sim: cannot write the trace to %s: %s\n", options.trace_path,
                strerror(errno));
        return 2;
    }
    if (write_reports(&tally.report, &options))
        return STATUS_BAD;
    report_fini(&tally.report);
    if (methods_report() > 0) {
        tally.failed++;
        tally.status = tally.status ? tally.status : STATUS_FAILED;
    }
    if (options.checkpoint_everywhere || options.checkpoint_every)
        printf("%llu checkpoints inserted\n", (unsigned long long)tally.counts->image_count);
    printf("%u passed, %u failed, %u skipped\n", tally.passed, tally.failed + tally.bad,
           tally.skipped);
    bool is_nothing = tally.passed + tally.failed == 0 && tally.skipped;
    return tally.bad ? STATUS_BAD : tally.failed ? tally.status : is_nothing ? STATUS_SKIPPED : 0;
}
