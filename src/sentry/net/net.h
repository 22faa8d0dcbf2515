/* SPDX-License-Identifier: Apache-2.0 */
/* The network stack's root: abstract unix names and the sandbox's own network namespace. */
#pragma once
#include "base/buf.h"
#include "base/object.h"
#include "sentry/kernel/task.h"

struct net_ns;
struct file_ops_table;

struct net_stack {
    struct object object;
    struct kernel *kernel;
    struct list abstract;             /* struct unix_name.link: bound abstract names */
    u32 port_next;                    /* for autobind */
    struct net_ns *root_ns;           /* counted: of tasks that name none */
    struct file_ops_table *ops_table; /* owned: names of socket descriptions */
};
extern const struct kind net_stack_kind;

MUST_CHECK int net_stack_create(struct kernel *kernel); /* sets kernel->net */
void net_stack_destroy(struct kernel *kernel);
/* After a load: STACK (its reference is taken) instead of the present one. */
void net_stack_replace(struct kernel *kernel, struct net_stack *stack);
/* proc_net.c: the text of /proc/net/NAME as TASK sees it: 0, -ENOENT, -ENOMEM. */
MUST_CHECK int net_proc_show(const struct task *task, const char *name, struct buf *out);
