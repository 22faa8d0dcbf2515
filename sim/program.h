/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of scenarios: from YAML lines to one small static ELF that every platform runs
 * (bytecode.h). spec/scenario.md has the lines.
 */
#pragma once
#include <libfyaml.h>

#include "base/base.h"
#include "base/buf.h"

/* A place in a scenario file, for errors: FILE:LINE:COLUMN. */
struct place {
    const char *file;
    u32 line, column;
};

struct sim_error {
    struct place place;
    char text[512];
};
/* Sets the place from NODE (may be NULL). Returns -1. */
int sim_error_at(struct sim_error *err, const char *file, struct fy_node *node, const char *format,
                 ...) PRINTF(4, 5);

/* Appends the ELF of the program whose lines NODE (a sequence) holds to OUT. 0, or -1 with ERR. */
MUST_CHECK int program_compile(const char *file, struct fy_node *lines, struct buf *out,
                               struct sim_error *err);

/* Names of numbers as programs and steps write them: "O_RDWR|O_CREAT", "SIGUSR1", "4K", "1500ms",
 * "0x10", "-1", "EINTR". Durations are nanoseconds. False: not a number. */
bool sim_number(const char *text, size_t size, i64 *out);
/* "EAGAIN" to 11; 0 if unknown. */
int sim_errno(const char *name);
