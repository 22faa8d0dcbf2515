/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of rooms below sentry/state, included by one file of a test program: what hooks ask of
 * a walk over objects, where nothing is saved or loaded.
 */
#pragma once
#include "base/state.h"

struct kernel *state_reader_kernel(struct state_reader *reader)
{
    return NULL;
}
struct memory *state_reader_memory(struct state_reader *reader)
{
    return NULL;
}
struct platform *state_reader_platform(struct state_reader *reader)
{
    return NULL;
}
int state_write(struct state_writer *writer, const void *bytes, size_t size)
{
    return -1;
}
int state_write_u64(struct state_writer *writer, u64 value)
{
    return -1;
}
int state_read(struct state_reader *reader, void *out, size_t size)
{
    return -1;
}
int state_read_u64(struct state_reader *reader, u64 *out)
{
    return -1;
}
int state_write_ref(struct state_writer *writer, struct object *object)
{
    return -1;
}
int state_read_ref(struct state_reader *reader, struct object **slot)
{
    return -1;
}
int state_write_frame(struct state_writer *writer, frame f)
{
    return -1;
}
int state_read_frame(struct state_reader *reader, frame *out)
{
    return -1;
}
