/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kinds' hooks (save_more, load_more, loaded) may ask of the walker in sentry/state. It stands
 * here so that rooms below state/ can implement hooks; state/ implements the functions.
 */
#pragma once
#include "base/base.h"

struct kernel;
struct object;
struct state_writer;
struct state_reader;

struct kernel *state_reader_kernel(struct state_reader *reader);
/* The same kernel's, for memory/, which does not know struct kernel. */
struct memory;
struct platform;
struct memory *state_reader_memory(struct state_reader *reader);
struct platform *state_reader_platform(struct state_reader *reader);
/* Raw data of a hook, in order. 0 or -errno; a reader that runs out answers -EINVAL. */
MUST_CHECK int state_write(struct state_writer *writer, const void *bytes, size_t size);
MUST_CHECK int state_write_u64(struct state_writer *writer, u64 value);
MUST_CHECK int state_read(struct state_reader *reader, void *out, size_t size);
MUST_CHECK int state_read_u64(struct state_reader *reader, u64 *out);
/* A reference to an object (saved like a field's); reading gives a new reference or NULL, wired
 * after all objects exist: *SLOT is filled before `loaded` hooks run. */
MUST_CHECK int state_write_ref(struct state_writer *writer, struct object *object);
MUST_CHECK int state_read_ref(struct state_reader *reader, struct object **slot);
/* A frame of the memfile: saved once however often it is written here; reading gives a counted
 * frame of the new memfile with the same content, the same frame for the same number. */
MUST_CHECK int state_write_frame(struct state_writer *writer, frame f);
MUST_CHECK int state_read_frame(struct state_reader *reader, frame *out);
