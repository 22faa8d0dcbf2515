/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket-sim sweep: counts the host calls and allocations of a clean run, then plays the scenario
 * once for each of them failing, once and from then on. Steps may then fail; but nothing may crash,
 * hang or break an invariant, and when the faults stop everything ends and nothing is left.
 */
#include "sim/sweep.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/outcome.h"

#define SHOWN_MAX 20u

struct sweep {
    u64 every;
    u32 runs, failed;
    struct run_counts *counts; /* shared memory */
};

static void tell(struct sweep *sweep, const char *file, const struct run_config *config,
                 const struct outcome *outcome)
{
    sweep->failed++;
    if (sweep->failed > SHOWN_MAX)
        return;
    printf("FAIL %s: %s fails at %llu, %s\n  %s\n", file, config->sweep_at,
           (unsigned long long)config->sweep_nth,
           config->sweep_times == 1 ? "once" : "and from then on",
           outcome->message[0] ? outcome->message : "the run ended without a verdict");
    printf("  again: picket-sim sweep --at %s --nth %llu --times %llu %s\n", config->sweep_at,
           (unsigned long long)config->sweep_nth, (unsigned long long)config->sweep_times, file);
}

static void play_one(struct sweep *sweep, const char *file, struct fy_document *document,
                     const char *at, u64 nth, u64 times)
{
    const struct run_config config = {.platform = "script",
                                      .fill_byte = 0x5a,
                                      .sweep_at = at,
                                      .sweep_nth = nth,
                                      .sweep_times = times};
    struct outcome outcome = outcome_play(file, document, &config);
    sweep->runs++;
    if (!outcome.has_passed)
        tell(sweep, file, &config, &outcome);
    outcome_fini(&outcome);
}

static void play_all(struct sweep *sweep, const char *file, struct fy_document *document)
{
    const struct run_config clean = {
        .platform = "script", .fill_byte = 0x5a, .counts = sweep->counts};
    struct outcome outcome = outcome_play(file, document, &clean);
    bool has_passed = outcome.has_passed;
    outcome_fini(&outcome);
    if (!has_passed) {
        printf("FAIL %s: it does not pass without a fault\n", file);
        sweep->failed++;
        return;
    }
    const struct {
        const char *at;
        u64 count;
    } points[] = {{"host.*", sweep->counts->host_calls}, {"alloc", sweep->counts->allocations}};
    u32 runs = sweep->runs, failed = sweep->failed;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++)
        for (u64 nth = 1; nth <= points[i].count; nth += sweep->every) {
            play_one(sweep, file, document, points[i].at, nth, 1);
            play_one(sweep, file, document, points[i].at, nth, 0);
        }
    printf("%s %s: %llu host calls, %llu allocations, %u runs\n",
           sweep->failed == failed ? "ok  " : "FAIL", file, (unsigned long long)points[0].count,
           (unsigned long long)points[1].count, sweep->runs - runs);
}

static int usage(void)
{
    fprintf(stderr, "usage: picket-sim sweep [--every N] SCENARIO.yaml...\n"
                    "       picket-sim sweep --at POINT --nth N [--times N] SCENARIO.yaml\n"
                    "Fails each host call and each allocation of a scenario in turn (with --every "
                    "the N-th ones).\n");
    return 2;
}

int sweep_main(int argc, char **argv)
{
    static const struct option longs[] = {{"every", required_argument, NULL, 'e'},
                                          {"at", required_argument, NULL, 'a'},
                                          {"nth", required_argument, NULL, 'n'},
                                          {"times", required_argument, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    struct sweep sweep = {.every = 1};
    const char *at = NULL;
    u64 nth = 1, times = 1;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == '?')
            return usage();
        if (c == 'a')
            at = optarg;
        else
            *(c == 'e' ? &sweep.every : c == 'n' ? &nth : &times) = strtoull(optarg, NULL, 0);
    }
    if (optind == argc || sweep.every == 0)
        return usage();
    sweep.counts = mmap(NULL, sizeof *sweep.counts, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sweep.counts == MAP_FAILED)
        return perror("picket-sim: memory"), 1;
    for (int i = optind; i < argc; i++) {
        struct fy_document *document = document_read(argv[i]);
        struct sim_error err;
        if (!document || scenario_check(argv[i], document, &err))
            return 2;
        if (at)
            play_one(&sweep, argv[i], document, at, nth, times);
        else
            play_all(&sweep, argv[i], document);
        fy_document_destroy(document);
    }
    printf("%u passed, %u failed, 0 skipped\n", sweep.runs - MIN(sweep.runs, sweep.failed),
           sweep.failed);
    return sweep.failed ? STATUS_FAILED : 0;
}
