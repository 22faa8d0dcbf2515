/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace sessions: points that tell sinks of what tasks do, as protobuf messages. One session a
 * kernel. A sink that is slow loses messages, which are counted; nobody waits for it beyond the
 * retries that it was made with.
 */
#pragma once
#include "base/error.h"
#include "base/protobuf.h"
#include "sentry/kernel/task.h"

struct points;
struct path;

#define POINT_SINKS_MAX 16u
#define POINT_NAME_MAX 64u

/* Context fields. */
enum point_context {
    CONTEXT_TIME,
    CONTEXT_THREAD_ID,
    CONTEXT_TASK_START_TIME,
    CONTEXT_GROUP_ID,
    CONTEXT_GROUP_START_TIME,
    CONTEXT_CONTAINER_ID,
    CONTEXT_CREDENTIALS,
    CONTEXT_CWD,
    CONTEXT_PROCESS_NAME,
    CONTEXT_PARENT_GROUP_ID,
    CONTEXT_IS_EXEC,
    CONTEXT_COUNT
};
extern const char *const point_context_names[CONTEXT_COUNT];
/* Optional fields: bits by these numbers. */
enum point_optional {
    OPTIONAL_FD_PATH,
    OPTIONAL_ENVV,
    OPTIONAL_ENV,
    OPTIONAL_BINARY_INFO,
    OPTIONAL_BINARY_SHA256,
    OPTIONAL_COUNT
};
extern const char *const point_optional_names[OPTIONAL_COUNT];

enum sentry_point {
    POINT_CONTAINER_START,
    POINT_CLONE,
    POINT_EXECVE,
    POINT_EXIT_NOTIFY,
    POINT_TASK_EXIT,
    POINT_SENTRY_COUNT
};
/* Numbers of points: the sentry's, then for each system call raw enter and exit, then those of the
 * named calls. */
#define POINT_SYSNO_COUNT 442u
#define POINT_RAW(nr, is_exit) (POINT_SENTRY_COUNT + (nr)*2 + (is_exit))
#define POINT_NAMED(nr, is_exit) (POINT_SENTRY_COUNT + (POINT_SYSNO_COUNT + (nr)) * 2 + (is_exit))
#define POINT_COUNT (POINT_SENTRY_COUNT + POINT_SYSNO_COUNT * 4)

/* Its name into OUT and what may be asked of it (bits); false: there is no such point. */
bool point_describe(u32 point, char out[POINT_NAME_MAX], u32 *optional, u32 *context);
/* The number of the point NAME, or -1. */
i32 point_find(const char *name);

struct point_setting {
    u16 context;
    u8 optional;
    bool is_on;
};
struct point_sink {
    char *name;                 /* lent */
    struct host_stream *stream; /* taken, NULL: the null sink */
    u32 retries;
    u64 backoff_ns, backoff_max_ns;
    u32 dropped;
};
struct points_config {
    const struct point_setting *settings; /* POINT_COUNT of them, lent */
    struct point_sink *sinks;             /* their streams are taken in any case */
    u32 sink_count;
};

/* Begin the session: kernel->points. There must be none. 0 or -ENOMEM. */
MUST_CHECK int points_start(struct kernel *kernel, const struct points_config *config);
/* End it when nobody is in it any more. */
SLEEPS void points_stop(struct kernel *kernel, struct fiber *fiber);
/* The end of the kernel: nobody is in it. */
void points_destroy(struct kernel *kernel);
/* The I-th sink, lent, or NULL. No session: NULL. */
const struct point_sink *points_sink(const struct kernel *kernel, u32 index);

/* A container's first process is about to run. */
struct point_start {
    const char *id, *cwd;
    char *const *args;
    char *const *env;
    size_t arg_count, env_count;
    bool has_terminal;
};
void points_container_start(struct kernel *kernel, const struct task *task,
                            const struct point_start *start);

/* ---- messages, for the collector ------------------------------------------------------------ */

struct point_message {
    u32 type;
    const char *name;
    const char *fields; /* see points.def */
    u32 first_field;
};
const struct point_message *point_message_find(u32 type);

/* What precedes each message in a packet. */
struct point_header {
    u16 size;
    u16 type;
    u32 dropped;
};
