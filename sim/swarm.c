/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket-sim swarm: plays scenarios under many seeds. Each seed first draws what exists in its run
 * at all: how many cpus, and no faults or one class of them, rare or lasting; then the rest follows
 * from the seed. Without a fault the scenario's own expectations hold; with one they may fail, but
 * nothing may crash, hang or break an invariant, and when the faults stop everything ends.
 */
#include "sim/swarm.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rand.h"
#include "host/sim/sim.h"
#include "sim/outcome.h"

#define CPUS_MAX 4u
#define SHOWN_MAX 20u

struct swarm {
    u64 seed, runs;
    u32 played, failed;
};

struct run_config swarm_draw(u64 seed, const struct run_counts *counts)
{
    /* Classes of calls that sandboxes make, besides all and allocations. */
    static const char *const points[] = {
        "host.*",           "alloc",       "host.read",         "host.write",
        "host.stream_read", "host.accept", "host.stream_write", "host.open",
        "host.stat",        "host.wrap",   "host.arena",        "entropy"};
    struct rand rand;
    rand_init(&rand, seed, "swarm");
    struct run_config config = {.platform = "script",
                                .has_seed = true,
                                .seed = seed,
                                .fill_byte = (u8)rand_below(&rand, 256),
                                .cpu_count = 1 + (u32)rand_below(&rand, CPUS_MAX)};
    if (!rand_chance(&rand, 3, 4))
        return config;
    config.sweep_at = points[rand_below(&rand, ARRAY_COUNT(points))];
    u64 count = strcmp(config.sweep_at, "alloc") == 0 ? counts->allocations : counts->host_calls;
    bool is_early = rand_chance(&rand, 1, 2);
    config.sweep_nth = 1 + rand_below(&rand, MAX(is_early ? count / 16 : count, 1));
    config.sweep_times = rand_chance(&rand, 1, 2) ? 1 + rand_below(&rand, 4) : 0;
    return config;
}

bool swarm_count(const char *file, struct fy_document *document, struct run_counts *counts)
{
    struct run_counts *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    const struct run_config clean = {.platform = "script", .fill_byte = 0x5a, .counts = shared};
    struct outcome outcome = outcome_play(file, document, &clean);
    bool has_passed = outcome.has_passed;
    *counts = *shared;
    outcome_fini(&outcome);
    munmap(shared, sizeof *shared);
    return has_passed;
}

static void tell(const char *file, u64 seed, const struct run_config *config,
                 const struct outcome *outcome)
{
    printf("FAIL %s: seed %llu, %u cpus", file, (unsigned long long)seed, config->cpu_count);
    if (config->sweep_at)
        printf(", %s fails at %llu (%llu times, 0: for good)", config->sweep_at,
               (unsigned long long)config->sweep_nth, (unsigned long long)config->sweep_times);
    printf("\n  %s\n  again: picket-sim swarm --seed %llu --runs 1 %s\n"
           "  smaller: picket-sim shrink --swarm %llu %s\n",
           outcome->message[0] ? outcome->message : "the run ended without a verdict",
           (unsigned long long)seed, file, (unsigned long long)seed, file);
}

static void play_seeds(struct swarm *swarm, const char *file, struct fy_document *document)
{
    struct run_counts counts;
    u32 failed = 0;
    if (!swarm_count(file, document, &counts)) {
        printf("FAIL %s: it does not pass without a fault\n", file);
        swarm->failed++;
        return;
    }
    for (u64 seed = swarm->seed; seed < swarm->seed + swarm->runs; seed++) {
        struct run_config config = swarm_draw(seed, &counts);
        struct outcome outcome = outcome_play(file, document, &config);
        swarm->played++;
        failed += !outcome.has_passed;
        if (!outcome.has_passed && swarm->failed + failed <= SHOWN_MAX)
            tell(file, seed, &config, &outcome);
        outcome_fini(&outcome);
    }
    swarm->failed += failed;
    printf("%s %s: %llu seeds\n", failed ? "FAIL" : "ok  ", file, (unsigned long long)swarm->runs);
}

static int usage(void)
{
    fprintf(stderr, "usage: picket-sim swarm [--seed N] [--runs N] SCENARIO.yaml...\n"
                    "Plays each scenario under N seeds from the first on; each draws cpus and "
                    "faults of its own.\n");
    return STATUS_BAD;
}

int swarm_main(int argc, char **argv)
{
    static const struct option longs[] = {{"seed", required_argument, NULL, 's'},
                                          {"runs", required_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    struct swarm swarm = {.seed = 1, .runs = 100};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == '?')
            return usage();
        *(c == 's' ? &swarm.seed : &swarm.runs) = strtoull(optarg, NULL, 0);
    }
    if (optind == argc)
        return usage();
    for (int i = optind; i < argc; i++) {
        struct fy_document *document = document_read(argv[i]);
        struct sim_error err;
        if (!document || scenario_check(argv[i], document, &err))
            return STATUS_BAD;
        play_seeds(&swarm, argv[i], document);
        fy_document_destroy(document);
    }
    printf("%u passed, %u failed, 0 skipped\n", swarm.played - MIN(swarm.played, swarm.failed),
           swarm.failed);
    return swarm.failed ? STATUS_FAILED : 0;
}
