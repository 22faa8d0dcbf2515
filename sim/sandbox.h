/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sandbox on a simulated host: sentry, loader, controller, the gofers that serve its files, and
 * clients of its control socket. The engine is the outside: it drives everything, and nothing
 * waits.
 */
#pragma once
#include "base/error.h"
#include "controller/controller.h"
#include "host/sim/sim.h"
#include "loader/sentry.h"
#include "sentry/observe/strace.h"
#include "sim/trace.h"

struct gofer_core;

#define SANDBOX_GOFERS_MAX 64u
#define SANDBOX_MEMORY ((u64)64 << 20)

struct sandbox {
    struct host *host;   /* lent */
    struct trace *trace; /* lent */
    struct log log;
    struct sentry sentry;
    struct kernel *kernel;
    struct loader *loader;
    struct controller *controller;
    struct strace *strace;
    int listen_fd;
    struct {
        struct host_stream *stream;
        struct gofer_core *core;
    } gofers[SANDBOX_GOFERS_MAX];
    u32 gofer_count;
    u64 syscall_count;
    u64 halt_every; /* 0: never; else every so many system calls the programs are halted */
    bool is_halted; /* … and are now, each at its boundary: the kernel is paused for it */
    bool is_verbose;
    const char *trouble; /* the engine itself is at fault: why; static */
    /* What the programs wrote must not fill the pipes: called between runs. */
    void (*drain)(void *arg);
    void *drain_arg;
};

struct sandbox_config {
    struct host *host;
    struct trace *trace;
    const char *platform;
    u32 cpu_count;
    u64 seed;
    const char *id;   /* of the root container */
    const char *spec; /* its OCI text */
    int out_fd;       /* its standard output and error, lent */
    bool has_overlay; /* its root is written to in memory */
    bool is_verbose;
    bool is_silent; /* no system call log, which costs most of the time */
    u64 halt_every; /* struct sandbox */
    void (*drain)(void *arg);
    void *drain_arg;
};

/* 0, or -1 with ERR and things left lying about: the process ends soon. */
MUST_CHECK int sandbox_create(struct sandbox *sandbox, const struct sandbox_config *config,
                              struct error *err);
/* Kills what runs and takes everything apart. False: something would not end; sandbox->trouble says
 * what. */
MUST_CHECK bool sandbox_destroy(struct sandbox *sandbox);
/* The sandbox's descriptor of a new gofer connection that serves PATH, or -1. */
MUST_CHECK int sandbox_gofer(struct sandbox *sandbox, const char *path);
/* Until nothing moves; only the calls themselves cost time. False: it never rests (trouble). */
MUST_CHECK bool sandbox_run(struct sandbox *sandbox);
/* To NS from now, and whatever comes due on the way. */
MUST_CHECK bool sandbox_advance(struct sandbox *sandbox, u64 ns);
/* On to the next deadline before END. 1, 0: there is none, -1: trouble. */
MUST_CHECK int sandbox_next(struct sandbox *sandbox, u64 end);
u64 sandbox_now(const struct sandbox *sandbox);

/* Everything that must hold at a quiet point: the sentry's own check, every address space,
 * connections of clients that are gone. NULL, or what does not hold; static. CLIENT_COUNT: calls
 * under way. */
const char *sandbox_check(struct sandbox *sandbox, u32 client_count);
/* XXH3-128 of the kernel's objects, without clocks, registers and memory. 0 or -errno. */
MUST_CHECK int sandbox_hash(struct sandbox *sandbox, char out[33]);
/* The gofer process of connection INDEX dies. */
void sandbox_kill_gofer(struct sandbox *sandbox, u32 index);

/* How a client behaves. */
struct client {
    u32 piece_max;     /* sends in pieces of at most so many bytes, drawn; 0: at once */
    bool is_cut;       /* closes its end after AFTER bytes */
    u64 after, random; /* random: state of the drawing */
};

/* One control call under way. */
struct call {
    struct host_stream *stream; /* NULL: none */
    struct buf answer;
    bool is_over;     /* the answer is complete, or the sandbox has hung up */
    bool is_cut;      /* the client is gone: nobody hears the answer */
    bool has_hung_up; /* the sandbox's end is closed */
};
/* Sends TEXT as it is; descriptors are lent. CLIENT may be NULL. 0 or -errno. */
MUST_CHECK int call_send(struct call *call, struct sandbox *sandbox, const char *text, size_t size,
                         const int *fds, u32 fd_count, struct client *client, struct arena *arena);
/* Sends METHOD with ARG (JSON). */
MUST_CHECK int call_begin(struct call *call, struct sandbox *sandbox, const char *method,
                          const char *arg, const int *fds, u32 fd_count, struct client *client,
                          struct arena *arena);
/* Takes what has come; true once it is over. */
bool call_poll(struct call *call, struct host *host);
void call_end(struct call *call);
