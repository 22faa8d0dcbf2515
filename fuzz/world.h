/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For targets that need a kernel around their decoder: one sentry on the simulated host, made with
 * the first input and kept, and a fiber for each input. What an input leaves behind in the arena
 * is a finding: the count of objects before and after must be equal.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena_plain.h"
#include "host/sim/sim.h"
#include "loader/sentry.h"
#include "sentry/fs/path.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"

#define WORLD_MEMORY ((u64)64 << 20)
#define WORLD_STEPS_MAX 2000000u

struct fuzz_world {
    struct host *host;
    struct sentry sentry;
    struct kernel *kernel;
    struct log log;
};

struct fuzz_input {
    const u8 *bytes;
    size_t size;
};

typedef void fuzz_body(struct task *task, struct fuzz_world *world, struct fuzz_input input);

static inline void fuzz_must(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static inline void fuzz_log(struct log *log, enum log_level level, const char *room,
                            const char *line)
{
}

static inline void fuzz_world_make(struct fuzz_world *world)
{
    static const struct sim_config sim = {.seed = 1, .epoch_ns = 1000, .later_percent = 101};
    struct error err;
    world->host = host_sim_create(&sim);
    world->log = (struct log){.level = LOG_WARN, .write = fuzz_log};
    const struct sentry_config config = {
        .host = world->host,
        .platform = "script",
        .cpu_count = 1,
        .memory_size = WORLD_MEMORY,
        .log = &world->log,
        .kernel = {.memory_max = WORLD_MEMORY, .hostname = "fuzz", .release = "6.1.0", .seed = 1}};
    if (sentry_create(&config, &world->sentry, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    world->kernel = world->sentry.kernel;
}

struct fuzz_job {
    struct fuzz_world *world;
    fuzz_body *body;
    struct fuzz_input input;
    bool has_ended;
};

SLEEPS_ROOT static inline void fuzz_job_main(struct task *task, void *arg)
{
    struct fuzz_job *job = arg;
    job->body(task, job->world, job->input);
    job->has_ended = true;
}

/* Until all is quiet; time stands still. */
static inline void fuzz_rest(struct fuzz_world *world)
{
    fuzz_must(sched_run_until_quiet(world->kernel->sched, WORLD_STEPS_MAX), "it comes to rest");
}

/* Until all is quiet, time going on to whatever is due within a virtual minute. */
static inline void fuzz_settle(struct fuzz_world *world)
{
    u64 end = sched_now_ns(world->kernel->sched) + 60 * NS_PER_S;
    for (;;) {
        fuzz_rest(world);
        u64 next = MIN(sched_next_deadline(world->kernel->sched),
                       host_next_completion_ns(world->host));
        if (next > end || next == NO_DEADLINE)
            return;
        sched_advance_to(world->kernel->sched, next);
    }
}

/* BODY on a fiber of its own; it must have come to its end once all is quiet. */
static inline void fuzz_world_run(struct fuzz_world *world, fuzz_body *body, const u8 *bytes,
                                  size_t size)
{
    struct fuzz_job job = {.world = world, .body = body, .input = {bytes, size}};
    struct task *task;
    if (task_create_kernel(world->kernel, "fuzz", fuzz_job_main, &job, &task) || task_start(task))
        abort();
    object_put(&task->object);
    fuzz_settle(world);
    fuzz_must(job.has_ended, "the input was served to its end");
}

/* VISIT with SUPER (taken) as the root of all; no name of it is remembered afterwards. */
SLEEPS static inline void fuzz_with_root(struct task *task, struct super *super,
                                         SLEEPS_OP void (*visit)(struct task *task))
{
    struct mount_ns *ns;
    struct fs_context *fs, *own = task->fs;
    if (mount_ns_create(task->kernel, super, 0, &ns))
        abort();
    const struct path root = {ns->root, ns->root->root};
    if (fs_context_create(task->kernel, &root, &root, &fs))
        abort();
    task->fs = fs;
    visit(task);
    task->fs = own;
    object_put(&fs->object);
    object_put(&ns->object);
    object_put(&super->object);
    vfs_drop_cache(task->kernel);
}

/* The same, and nothing is left of it. */
static inline void fuzz_world_run_clean(struct fuzz_world *world, fuzz_body *body, const u8 *bytes,
                                        size_t size)
{
    u64 before = world->sentry.arena->object_count;
    fuzz_world_run(world, body, bytes, size);
    fuzz_must(world->sentry.arena->object_count == before, "every object is gone");
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
