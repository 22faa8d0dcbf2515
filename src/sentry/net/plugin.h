/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another network stack in place of the sandbox's own, for internet sockets. Who builds the sentry
 * hands one down (sentry_config.net_plugin); it is in use once Network.InitPluginStack has given it
 * its words and descriptors. Unix and netlink sockets stay the sandbox's own.
 */
#pragma once
#include "sentry/net/socket.h"

struct net_plugin {
    const char *name;
    void *owner; /* the stack's own, passed to its functions by struct net_plugin */
    /* TEXT (lent) is its configuration; FDS are host descriptors and taken in any case. 0 or
     * -errno, and then it may be tried again. */
    SLEEPS_OP int (*init)(const struct net_plugin *plugin, struct task *task, const char *text,
                          const int *fds, u32 fd_count);
    /* socket(2) of AF_INET and AF_INET6: a reference in *OUT. TYPE without flags. */
    int (*create)(const struct net_plugin *plugin, struct task *task, i32 domain, i32 type,
                  i32 protocol, struct socket **out);
};
