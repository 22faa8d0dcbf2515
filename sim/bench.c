/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket-sim bench: how fast whole lives go on platform script, in one process on one cpu. A life
 * is a fresh simulated host and sandbox: create, start, twenty system calls, signal, wait, delete.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "platform/machine_keep.h"
#include "sim/bench.h"
#include "sim/sandbox.h"
#include "sim/scenario.h"
#include "wire/urpc/pool.h"

#define BENCH_SPEC                                                                            \
    "{\"ociVersion\":\"1.2.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/bin/" \
    "main\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":\"/rootfs\"}}"
#define BATCH 20u

/* Nineteen calls and the one that waits for the signal; its handler ends the program. */
static const char lines[] =
    "[{on: {SIGUSR1: [{exit_group: [3]}]}}, {repeat: 18, do: [{getpid: []}]},"
    " {loop: [{pause: []}]}]";

struct bench {
    struct arena heap;
    struct buf elf;
    struct host *host;
    struct trace trace;
    struct sandbox sandbox;
    int out[2];
    const char *wrong;
};

static double seconds_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool call(struct bench *bench, const char *method, const char *arg, struct call *out)
{
    return call_begin(out, &bench->sandbox, method, arg, NULL, 0, NULL, &bench->heap) == 0 &&
           sandbox_run(&bench->sandbox);
}

/* The call is over and was a success. */
static bool finish(struct bench *bench, struct call *call, const char *result)
{
    bool is_fine = call_poll(call, bench->host) && call->answer.size &&
                   strstr(buf_text(&call->answer), result) != NULL;
    call_end(call);
    return is_fine;
}

static bool whole_call(struct bench *bench, const char *method, const char *arg)
{
    struct call one;
    return call(bench, method, arg, &one) && finish(bench, &one, "\"success\":true");
}

static bool fail(struct bench *bench, const char *wrong)
{
    bench->wrong = wrong;
    return false;
}

static bool make(struct bench *bench)
{
    struct error err;
    bench->host = host_sim_create(&(struct sim_config){.seed = 1});
    if (sim_put_file(bench->host, "/rootfs/bin/main", buf_bytes(&bench->elf), bench->elf.size,
                     0755) ||
        sim_put_directory(bench->host, "/rootfs/proc", 0555) || sim_pipe(bench->host, bench->out))
        return fail(bench, "no memory for the host");
    const struct sandbox_config config = {.host = bench->host,
                                          .trace = &bench->trace,
                                          .platform = "script",
                                          .cpu_count = 1,
                                          .seed = 1,
                                          .id = "main",
                                          .spec = BENCH_SPEC,
                                          .out_fd = bench->out[1],
                                          .is_silent = true};
    return sandbox_create(&bench->sandbox, &config, &err) == 0 || fail(bench, "create");
}

static bool live(struct bench *bench)
{
    struct call wait;
    return (whole_call(bench, "containerManager.StartRoot", "\"main\"") || fail(bench, "start")) &&
           (call(bench, "containerManager.Wait", "\"main\"", &wait) || fail(bench, "wait")) &&
           (whole_call(bench, "containerManager.Signal",
                       "{\"CID\":\"main\",\"Signo\":10,\"PID\":0,\"Mode\":0}") ||
            fail(bench, "signal")) &&
           (finish(bench, &wait, "\"result\":768") || fail(bench, "the wait status"));
}

static bool end(struct bench *bench)
{
    if (!sandbox_destroy(&bench->sandbox))
        return fail(bench, bench->sandbox.trouble);
    sim_fd_close(bench->host, bench->out[0]);
    sim_fd_close(bench->host, bench->out[1]);
    if (sim_leak_count(bench->host))
        return fail(bench, "something is left on the host");
    host_put(bench->host);
    return true;
}

static bool prepare(struct bench *bench)
{
    struct sim_error err;
    machine_keep(true);
    heap_arena_init(&bench->heap);
    trace_init(&bench->trace, &bench->heap);
    bench->trace.is_muted = true;
    buf_init(&bench->elf, &bench->heap, 0);
    struct fy_document *document = fy_document_build_from_string(NULL, lines, FY_NT);
    bool is_fine = document &&
                   program_compile("bench", fy_document_root(document), &bench->elf, &err) == 0;
    fy_document_destroy(document);
    return is_fine || fail(bench, "the program does not compile");
}

/* The rate of the best batch, in lives a second of processor time and of the clock on the wall. */
static bool measure(struct bench *bench, u32 count)
{
    double best = 0, best_wall = 0;
    for (u32 at = 0; at < count; at += BATCH) {
        double cpu = seconds_now(CLOCK_PROCESS_CPUTIME_ID), wall = seconds_now(CLOCK_MONOTONIC);
        for (u32 i = 0; i < BATCH; i++)
            if (!make(bench) || !live(bench) || !end(bench))
                return false;
        cpu = seconds_now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        wall = seconds_now(CLOCK_MONOTONIC) - wall;
        best = MAX(best, BATCH / cpu);
        best_wall = MAX(best_wall, BATCH / wall);
    }
    printf("whole lives on script: %.0f a second of processor time, %.0f a second (best of %u "
           "batches of %u)\n",
           best, best_wall, (count + BATCH - 1) / BATCH, BATCH);
    return true;
}

int bench_main(int argc, char **argv)
{
    static struct bench bench;
    static const struct option longs[] = {{"lives", required_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
    u32 count = 1000;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c != 'n') {
            fprintf(stderr, "usage: picket-sim bench [--lives N]\n");
            return 2;
        }
        count = (u32)strtoul(optarg, NULL, 0);
    }
    if (prepare(&bench) && measure(&bench, count))
        return 0;
    fprintf(stderr, "picket-sim: %s\n", bench.wrong);
    return 1;
}
