/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario as the command line sees it: judged, and played once on one platform (run.h has the
 * inside). */
#pragma once
#include "sim/program.h"
#include "sim/trace.h"

/* What a run counts for who started it. */
struct run_counts {
    u64 host_calls, allocations; /* how often it passed the points of a sweep */
    u64 image_count;             /* inserted checkpoints; grows */
};

struct run_config {
    const char *platform;
    bool has_seed;         /* SEED in place of the scenario's */
    u64 seed, seed_offset; /* twins: added to the scenario's seed */
    u32 cpu_count;         /* in place of the scenario's; 0: its own */
    u8 fill_byte;
    bool is_verbose;
    /* A fault that the scenario does not know: then its expectations may fail, and what must hold
     * is that everything ends and nothing is left. NULL: none. */
    const char *sweep_at; /* a point of sim.h */
    u64 sweep_nth, sweep_times;
    struct run_counts *counts;  /* shared with the run's process; NULL: nobody asks */
    bool checkpoint_everywhere; /* one and a restore between any two steps, unseen */
    u64 checkpoint_every; /* … and after every so many system calls, at boundaries; 0: none */
};

/* Judges FILE's shape without running it. 0, or -1 with ERR. */
MUST_CHECK int scenario_check(const char *file, struct fy_document *document,
                              struct sim_error *err);
/* Plays it; *TRACE is lent and has what has happened in any case. 0, or -1 with ERR. Once in a
 * process. */
MUST_CHECK int scenario_play(const char *file, struct fy_document *document,
                             const struct run_config *config, const struct buf **trace,
                             struct sim_error *err);

enum platform_use { PLATFORM_USELESS, PLATFORM_SCRIPT, PLATFORM_NATIVE };
/* Can PLATFORM be used on this machine, and how does it run programs? Tries it. */
enum platform_use scenario_platform_use(const char *platform);

/* Is TEXT fit for the YAML library: UTF-8, without control characters and directives, of bounded
 * size? 0, or -1 with ERR. */
MUST_CHECK int document_judge(const char *text, size_t size, struct sim_error *err);
/* The YAML file at PATH, the caller's; NULL: standard error has said why. */
struct fy_document *document_read(const char *path);

struct fy_node *node_get(struct fy_node *map, const char *key);
/* The text of KEY in MAP, or NULL. */
const char *node_text(struct fy_node *map, const char *key);
