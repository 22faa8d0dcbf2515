/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that reach an attached command go on to the container instead of ending the command. */
#pragma once
#include "runtime/container.h"

struct forwarder {
    const struct record *record;
    i32 pid;                 /* 0: the container's first process */
    bool is_foreground;      /* to the foreground group of its terminal instead */
    int fd;                  /* signalfd */
    struct wait_extra extra; /* for container_wait and control_wait */
};
/* From now on they are caught. *FORWARDER must not move. Nothing is sent before the first wait. */
void forward_begin(struct forwarder *forwarder, const struct record *record, i32 pid,
                   bool is_foreground);
void forward_end(struct forwarder *forwarder);
/* Hold them back from now on, until forward_begin: a command half done must not die of one and
 * leave things behind. */
void forward_block(void);

/* A peer that hung up is told by the call, not by a signal. */
void signals_ignore_pipe(void);
/* End as a command that writes to a closed pipe does, by SIGPIPE, without a word. */
void signals_die_of_pipe(void);
