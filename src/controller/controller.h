/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control server of one sandbox: accepts connections, serves each by a fiber of its own (a
 * kernel task), decodes calls by the method rows and acts through the loader. spec/rpc.yaml lists
 * the methods.
 */
#pragma once
#include "base/error.h"
#include "host/host.h"
#include "loader/loader.h"

struct controller;

struct controller_config {
    u64 stop_timeout_ns; /* how long clients may take to hang up by themselves; 0: 15 s */
    bool has_profile;    /* registers Profile.* */
};

/* LISTENER is taken (also on failure); LOADER is lent. */
MUST_CHECK int controller_create(struct loader *loader, struct host_listener *listener,
                                 const struct controller_config *config, struct controller **out);
/* Begin to accept. 0 or -ENOMEM. */
MUST_CHECK int controller_start(struct controller *controller);
/*
 * Close the listener, let clients hang up for stop_timeout_ns, then close idle connections; running
 * calls end as they end, and then their connections. Returns when no connection is left.
 */
SLEEPS void controller_stop(struct controller *controller, struct task *by);
/* After controller_stop, or when the sandbox's fibers will never run again. */
void controller_destroy(struct controller *controller);
u32 controller_connection_count(const struct controller *controller);
