/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program can learn about the machine by instructions alone, found out by running them:
 * spec/platform.md's table, for this machine.
 */
#pragma once
#include "platform/platform.h"

struct look_row {
    const char *what;
    const char *declared; /* why platforms may differ here; NULL: they must not */
};

/* By index from 0; NULL past the last. */
const struct look_row *look_row(u32 index);
#define LOOK_ROWS_MAX 32u

struct look {
    char note[160]; /* what the platform says of the host, or why it cannot be had */
    bool is_made;   /* the platform can be had here; if it is native, `cells` are filled */
    bool is_native;
    char cells[LOOK_ROWS_MAX][40];
};
/* Make the platform NAME and run the instructions. On the calling thread; takes milliseconds. 0,
 * also for a platform that cannot be had, or -ENOMEM. */
MUST_CHECK int look_at(const char *name, struct look *out);
