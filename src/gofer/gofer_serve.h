/* SPDX-License-Identifier: Apache-2.0 */
/* The gofer process's loop: one connection a mount, one core each. */
#pragma once
#include "base/error.h"
#include "gofer/gofer_core.h"

struct gofer_mount {
    int socket; /* connected SOCK_SEQPACKET; taken */
    int root;   /* descriptor of the directory (or file) to serve; taken */
    struct gofer_options options;
};

/*
 * Serve until every connection has been closed by its peer or has broken the protocol. 0, or -1
 * when it could not begin. HOST_LINUX only: descriptors are real.
 */
MUST_CHECK int gofer_serve(struct host *host, const struct gofer_mount *mounts, u32 count,
                           struct error *err);
