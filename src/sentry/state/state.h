/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint and restore. The kernel is paused: every task is at a boundary and every host
 * operation is drained. Saving walks the object graph from the kernel's roots by the field tables
 * and writes objects first, then pages. Loading builds the same graph in a fresh kernel, on any
 * platform; nothing is published before everything was read and checked. The format:
 * spec/statefile.md.
 */
#pragma once
#include "base/error.h"
#include "base/object.h"
#include "base/state.h"
#include "sentry/kernel/task.h"

/* Where an image goes / comes from; the caller's (host files, memory in tests). */
struct state_output {
    SLEEPS_OP int (*write)(struct state_output *self, const void *bytes,
                           size_t size); /* all of it or -errno */
    void *owner;
};
struct state_input {
    SLEEPS_OP i64 (*read)(struct state_input *self, void *out,
                          size_t size); /* bytes, 0 at the end, -errno */
    void *owner;
};

struct state_metadata_entry {
    char *key, *value; /* arena strings */
};
/* The string -> string object at an image's head. */
struct state_metadata {
    struct arena *arena;
    struct state_metadata_entry *entries;
    u32 count;
};
void state_metadata_init(struct state_metadata *metadata, struct arena *arena);
void state_metadata_fini(struct state_metadata *metadata);
MUST_CHECK int state_metadata_set(struct state_metadata *metadata, const char *key,
                                  const char *value);
const char *state_metadata_get(const struct state_metadata *metadata, const char *key); /* NULL */

struct state_save_options {
    struct state_output *state;      /* head, objects, and pages unless PAGES is there */
    struct state_output *pages_meta; /* both or neither */
    struct state_output *pages;
    const struct state_metadata *metadata; /* the caller's entries; the sandbox's own are added */
    bool is_compressed;
    struct object *extra_root; /* the loader's registry; saved with the kernel's roots */
    u64 *bytes_written;        /* may be NULL */
};
/* 0 or -1 with ERR. The kernel is as before in any case. */
MUST_CHECK SLEEPS int state_save(struct kernel *kernel, struct task *by,
                                 const struct state_save_options *options, struct error *err);

struct state_load_options {
    struct state_input *state;
    struct state_input *pages_meta; /* both or neither */
    struct state_input *pages;
    struct state_metadata *metadata; /* filled; may be NULL */
};
/*
 * Load into KERNEL, which has no application task yet. On success its tasks are there but not
 * started, and *EXTRA has a reference to the extra root. On failure (-1, ERR) the kernel is as
 * before.
 */
MUST_CHECK SLEEPS int state_load(struct kernel *kernel, struct task *by,
                                 const struct state_load_options *options, struct object **extra,
                                 struct error *err);
/* Start what state_load brought. */
MUST_CHECK int state_start(struct kernel *kernel);

/* Only the head: for `restore`'s checks and `statefile`. 0 or -1. */
MUST_CHECK SLEEPS int state_read_metadata(struct state_input *input, struct state_metadata *out,
                                          struct error *err);

/* XXH3-128 over the object graph; with LOCAL also over registers and memory. Never over clocks. 0
 * or -ENOMEM. */
MUST_CHECK int state_hash(struct kernel *kernel, struct object *extra_root, bool with_local,
                          u8 out[16]);

/* All kinds that can stand in an image. */
const struct kind *state_kind_find(const char *name);
/* How a kind's table looks: its name, and each row's name, type and size. Different builds differ
 * in it. */
u64 state_kind_schema(const struct kind *kind);
