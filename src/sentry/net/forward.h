/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of the host joined to a TCP port inside: containerManager.PortForward. */
#pragma once
#include "host/host.h"
#include "sentry/net/ns.h"

/* Connects to 127.0.0.1:PORT of NS and copies between there and STREAM (taken in any case) until
 * both directions have ended; two tasks of the kernel do it. 0 once it is connected, or -errno
 * (ECONNREFUSED, ENETUNREACH, ENOMEM…). BY: who waits for the connection. */
MUST_CHECK SLEEPS int net_forward(struct task *by, struct net_ns *ns, struct host_stream *stream,
                                  u16 port);
