/* SPDX-License-Identifier: Apache-2.0 */
/* One scenario played once on one platform. run.c: the scenario's nouns; steps.c: its verbs. */
#pragma once
#include "base/marks.h"
#include "sim/sandbox.h"
#include "sim/scenario.h"

#define RUN_CONTAINERS_MAX 32u
#define RUN_SOURCES_MAX 64u
#define RUN_CALLS_MAX 32u
#define RUN_HASHES_MAX 16u
#define RUN_METHOD_SIZE 64u
#define RUN_METHODS_MAX 128u
#define RUN_NAME_SIZE 64u
#define RUN_WITHIN_NS (60 * NS_PER_S) /* how long a call may take in virtual time */

/* Whose output is gathered: a container or an exec'd process. */
struct source {
    char name[RUN_NAME_SIZE];
    int fds[2]; /* [0] read here, [1] theirs; -1: closed */
    struct buf text;
    size_t seen; /* already in the trace */
    u32 pid;     /* of an exec'd process */
    char container[RUN_NAME_SIZE];
};

/* A container of the present sandbox. */
struct box_container {
    char id[RUN_NAME_SIZE];
    bool is_root;
    bool is_started;
};

struct pending_call {
    char name[RUN_NAME_SIZE];
    char what[RUN_NAME_SIZE];
    char method[RUN_METHOD_SIZE];
    struct call call;
};

struct held_call {
    struct call *call;
    const char *method, *arg;
    bool is_plain; /* no descriptors, no faulty client: it can be made again */
};

/* How often a method was called and answered. */
struct method_count {
    char name[RUN_METHOD_SIZE];
    u32 ok, refused;
};

struct run {
    const char *file;
    struct fy_document *document;
    struct fy_node *root;
    const struct run_config *config;
    struct sim_error *err;
    struct arena heap;
    struct trace trace;
    struct host *host;
    struct sandbox *sandbox; /* NULL: none now */
    struct sandbox sandbox_place;
    u64 seed;
    u32 cpu_count;
    struct box_container containers[RUN_CONTAINERS_MAX];
    u32 container_count;
    struct source sources[RUN_SOURCES_MAX];
    u32 source_count;
    struct pending_call calls[RUN_CALLS_MAX];
    u32 call_count;
    struct method_count methods[RUN_METHODS_MAX];
    u32 method_count;
    const char *platform; /* of the next sandbox */
    bool clients_behave;  /* their faults are disarmed */
    u64 begin_ns, syscall_count;
    struct marks marks; /* of all sandboxes that have ended */
    u32 left_waiting;   /* calls that ended with their sandbox, unanswered */
    /* The call that a step waits for; NULL: none. A wait is made again in the next sandbox. */
    struct held_call *held;
    struct {
        char name[RUN_NAME_SIZE];
        char digest[33];
    } hashes[RUN_HASHES_MAX];
    u32 hash_count;
};

/* ---- YAML, strictly ---- */

#define FAIL_AT(run, node, ...) sim_error_at((run)->err, (run)->file, (node), __VA_ARGS__)

/* Every key of MAP stands in ALLOWED, a list of words. 0 or -1 with ERR. */
MUST_CHECK int node_check_keys(struct sim_error *err, const char *file, struct fy_node *map,
                               const char *what, const char *allowed);
MUST_CHECK int node_number(struct run *run, struct fy_node *node, i64 *out);

/* ---- for the steps ---- */

struct source *run_source(struct run *run, const char *name);
/* A new source, in place of an older one of the same name; NULL with ERR. */
struct source *run_source_open(struct run *run, struct fy_node *node, const char *name);
/* Takes what the programs wrote into the sources and the trace. */
void run_drain(void *arg);
struct box_container *run_container(struct run *run, const char *id);
/* The OCI spec of container ID into OUT. 0 or -1 with ERR. */
MUST_CHECK int run_spec(struct run *run, struct fy_node *node, const char *id, struct buf *out);
/* Does the container write to its root in memory? */
bool run_has_overlay(struct run *run, const char *id);
/* METHOD was answered. */
void run_note_call(struct run *run, const char *method, bool is_ok);
MUST_CHECK int run_sandbox_end(struct run *run, struct fy_node *node);

/* steps.c */
MUST_CHECK int step_check(const char *file, struct fy_node *step, struct sim_error *err);
MUST_CHECK int step_run(struct run *run, struct fy_node *step);

/* outside.c: what comes from without. The steps are rows of steps.c's table. */
MUST_CHECK int outside_check(const char *file, struct fy_node *root, struct sim_error *err);
MUST_CHECK int outside_begin(struct run *run);
MUST_CHECK int outside_end(struct run *run);
/* The client that a call's VALUE names. */
MUST_CHECK int run_client(struct run *run, struct fy_node *value, struct client *out);
MUST_CHECK int step_arm(struct run *run, struct fy_node *value);
MUST_CHECK int step_disarm(struct run *run, struct fy_node *value);
MUST_CHECK int step_host(struct run *run, struct fy_node *value);
MUST_CHECK int step_kill(struct run *run, struct fy_node *value);

/* transparency.c: puts a checkpoint and a restore into another sandbox between two steps, unseen in
 * the trace, where that is possible. 0 or -1 with ERR. */
MUST_CHECK int run_move(struct run *run, struct fy_node *node);
/* Virtual time, ns, without what inserted checkpoints cost. */
u64 run_now(const struct run *run);
/* sandbox_run and sandbox_next (END is run_now's), with a checkpoint and a restore wherever the
 * sandbox is halted for one. The trouble is then the sandbox's, or ERR is set. */
MUST_CHECK bool run_settle(struct run *run, struct fy_node *node);
MUST_CHECK int run_next(struct run *run, struct fy_node *node, u64 end);
