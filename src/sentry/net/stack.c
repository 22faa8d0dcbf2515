/* SPDX-License-Identifier: Apache-2.0 */
/* Making, ending and replacing the network stack's root, and which families there are. */
#include <errno.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/net/net.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix.h"

static const struct field net_stack_fields[] = {
    FIELD_NONE(struct net_stack, object, "the walker's own header"),
    FIELD_NONE(struct net_stack, kernel, "the kernel that loads it"),
    FIELD_LIST(struct net_stack, abstract, struct unix_socket, abstract_link, false),
    FIELD(struct net_stack, port_next),
    FIELD(struct net_stack, has_loopback),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_stack, net_stack_fields);

static int net_stack_loaded(struct object *object, struct state_reader *reader)
{
    container_of(object, struct net_stack, object)->kernel = state_reader_kernel(reader);
    return 0;
}

const struct kind net_stack_kind = {.name = "net_stack",
                                    .size = sizeof(struct net_stack),
                                    .fields = net_stack_fields,
                                    .loaded = net_stack_loaded};

int net_stack_create(struct kernel *kernel)
{
    struct net_stack *stack = object_create(kernel->arena, &net_stack_kind);
    if (!stack)
        return -ENOMEM;
    stack->kernel = kernel;
    list_init(&stack->abstract);
    stack->has_loopback = true;
    kernel->net = stack;
    return 0;
}

void net_stack_destroy(struct kernel *kernel)
{
    REF_CLEAR(kernel->net);
}

void net_stack_replace(struct kernel *kernel, struct net_stack *stack)
{
    REF_PUT(kernel->net);
    kernel->net = stack;
}

int socket_create(struct task *task, i32 domain, i32 type, i32 protocol, struct socket **out)
{
    if (domain < 0 || domain > 45)
        return -EAFNOSUPPORT;
    if (type < 1 || type > 10)
        return -EINVAL;
    switch (domain) {
    case LINUX_AF_UNIX:
        if (protocol != 0 && protocol != LINUX_AF_UNIX)
            return -EPROTONOSUPPORT;
        if (type == LINUX_SOCK_RAW)
            type = LINUX_SOCK_DGRAM; /* unix(7): as Linux does */
        return unix_create(task->kernel, type, out);
    default:
        return -EAFNOSUPPORT;
    }
}
