/* SPDX-License-Identifier: Apache-2.0 */
/* The network stack's root: abstract unix names, later interfaces. Addresses are judged by the
 * families. */
#pragma once
#include "base/object.h"
#include "sentry/kernel/task.h"

struct net_stack {
    struct object object;
    struct kernel *kernel;
    struct list abstract; /* struct unix_name.link: bound abstract names */
    u32 port_next;        /* for autobind */
    bool has_loopback;
};
extern const struct kind net_stack_kind;

MUST_CHECK int net_stack_create(struct kernel *kernel); /* sets kernel->net */
void net_stack_destroy(struct kernel *kernel);
/* After a load: STACK (its reference is taken) instead of the present one. */
void net_stack_replace(struct kernel *kernel, struct net_stack *stack);
