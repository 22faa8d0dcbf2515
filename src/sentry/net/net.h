/* SPDX-License-Identifier: Apache-2.0 */
/* The network stack's root: abstract unix names and the sandbox's own network namespace. */
#pragma once
#include "base/buf.h"
#include "base/object.h"
#include "sentry/kernel/task.h"

struct net_ns;
struct net_plugin;
struct file_ops_table;

struct net_stack {
    struct object object;
    struct kernel *kernel;
    struct list abstract;             /* struct unix_name.link: bound abstract names */
    u32 port_next;                    /* for autobind */
    struct net_ns *root_ns;           /* counted: of tasks that name none */
    struct file_ops_table *ops_table; /* owned: names of socket descriptions */
    const struct net_plugin *plugin;  /* lent; NULL: there is none */
    bool is_plugged;                  /* the plugin makes internet sockets */
};
extern const struct kind net_stack_kind;

MUST_CHECK int net_stack_create(struct kernel *kernel); /* sets kernel->net */
/* PLUGIN's init by BY, and internet sockets are its from then on. -ENODEV: there is none; -EBUSY:
 * it is in use; else what init says. FDS: taken in any case. */
MUST_CHECK SLEEPS int net_stack_plug(struct kernel *kernel, struct task *by, const char *text,
                                     const int *fds, u32 fd_count);
void net_stack_destroy(struct kernel *kernel);
/* After a load: STACK (its reference is taken) instead of the present one. */
void net_stack_replace(struct kernel *kernel, struct net_stack *stack);
/* proc_net.c: the text of /proc/net/NAME as TASK sees it: 0, -ENOENT, -ENOMEM. */
MUST_CHECK int net_proc_show(const struct task *task, const char *name, struct buf *out);
