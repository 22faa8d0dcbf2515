/* SPDX-License-Identifier: Apache-2.0 */
/* Making, ending and replacing the network stack's root, and which families there are. */
#include <errno.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/cred.h"
#include "sentry/net/inet.h"
#include "sentry/net/net.h"
#include "sentry/net/netlink.h"
#include "sentry/net/plugin.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix.h"

static const struct field net_stack_fields[] = {
    FIELD_NONE(struct net_stack, object, "the walker's own header"),
    FIELD_NONE(struct net_stack, kernel, "the kernel that loads it"),
    FIELD_LIST(struct net_stack, abstract, struct unix_socket, abstract_link, false),
    FIELD(struct net_stack, port_next),
    FIELD_REF(struct net_stack, root_ns, struct net_ns),
    FIELD_NONE(struct net_stack, ops_table, "the kernel's, not the image's"),
    FIELD_NONE(struct net_stack, plugin, "the kernel's, not the image's"),
    FIELD_NONE(struct net_stack, is_plugged, "the kernel's, not the image's"),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_stack, net_stack_fields);

static int net_stack_loaded(struct object *object, struct state_reader *reader)
{
    struct net_stack *stack = container_of(object, struct net_stack, object);
    stack->kernel = state_reader_kernel(reader);
    return stack->root_ns ? 0 : -EINVAL;
}

static void net_stack_kind_destroy(struct object *object)
{
    struct net_stack *stack = container_of(object, struct net_stack, object);
    REF_CLEAR(stack->root_ns);
}

const struct kind net_stack_kind = {.name = "net_stack",
                                    .size = sizeof(struct net_stack),
                                    .fields = net_stack_fields,
                                    .destroy = net_stack_kind_destroy,
                                    .loaded = net_stack_loaded};

static struct object *ns_of(const struct task *task, u64 *inode_nr)
{
    struct net_ns *ns = net_ns_of(task);
    *inode_nr = ns->inode_nr;
    return &ns->object;
}

static const struct net_hooks net_kernel_hooks = {.show = net_proc_show, .ns_of = ns_of};

int net_stack_create(struct kernel *kernel)
{
    AUTO_PUT struct net_stack *stack = object_create(kernel->arena, &net_stack_kind);
    if (!stack)
        return -ENOMEM;
    stack->kernel = kernel;
    list_init(&stack->abstract);
    int err = net_ns_create(kernel, kernel->root_user_ns, &stack->root_ns);
    if (!err)
        err = net_link_set_up(stack->root_ns, net_link_find_name(stack->root_ns, "lo"), true);
    if (err)
        return err;
    stack->ops_table = arena_alloc(kernel->arena, sizeof *stack->ops_table);
    if (!stack->ops_table)
        return -ENOMEM;
    socket_file_ops_add(kernel, stack->ops_table);
    kernel->net = MOVE(stack);
    kernel->net_hooks = &net_kernel_hooks;
    return 0;
}

void net_stack_destroy(struct kernel *kernel)
{
    arena_free(kernel->arena, kernel->net->ops_table, sizeof *kernel->net->ops_table);
    REF_CLEAR(kernel->net);
}

void net_stack_replace(struct kernel *kernel, struct net_stack *stack)
{
    stack->ops_table = kernel->net->ops_table;
    stack->plugin = kernel->net->plugin;
    stack->is_plugged = kernel->net->is_plugged;
    REF_PUT(kernel->net);
    kernel->net = stack;
}

/* The one place that calls it. */
SLEEPS static int plugin_init(const struct net_plugin *plugin, struct task *by, const char *text,
                              const int *fds, u32 fd_count)
{
    return plugin->init(plugin, by, text, fds, fd_count);
}

int net_stack_plug(struct kernel *kernel, struct task *by, const char *text, const int *fds,
                   u32 fd_count)
{
    const struct net_plugin *plugin = kernel->net->plugin;
    int err = !plugin ? -ENODEV : kernel->net->is_plugged ? -EBUSY : 0;
    if (err) {
        host_close_fds(kernel->host, fds, fd_count);
        return err;
    }
    err = plugin_init(plugin, by, text, fds, fd_count);
    kernel->net->is_plugged = err == 0; /* the present one: a restore may have replaced it */
    return err;
}

static int inet_create(struct task *task, i32 domain, i32 type, i32 protocol, struct socket **out)
{
    i32 icmp = domain == LINUX_AF_INET ? LINUX_IPPROTO_ICMP : LINUX_IPPROTO_ICMPV6;
    if (protocol < 0 || protocol >= LINUX_IPPROTO_MAX)
        return -EINVAL;
    const struct net_stack *stack = task->kernel->net;
    if (stack->is_plugged)
        return stack->plugin->create(stack->plugin, task, domain, type, protocol, out);
    switch (type) {
    case LINUX_SOCK_STREAM:
        return protocol == 0 || protocol == LINUX_IPPROTO_TCP ? tcp_create(task, domain, out)
                                                              : -EPROTONOSUPPORT;
    case LINUX_SOCK_DGRAM:
        if (protocol == 0 || protocol == LINUX_IPPROTO_UDP)
            return udp_create(task, domain, LINUX_IPPROTO_UDP, out);
        return protocol == icmp ? udp_create(task, domain, icmp, out) : -EPROTONOSUPPORT;
    case LINUX_SOCK_RAW:
        if (protocol != 0 && !task_has_capability_in(task, net_ns_of(task)->user_ns, CAP_NET_RAW))
            return -EPERM;
        return -EPROTONOSUPPORT;
    default:
        return -ESOCKTNOSUPPORT;
    }
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
        return unix_create(net_ns_of(task), type, out);
    case LINUX_AF_INET:
    case LINUX_AF_INET6:
        return inet_create(task, domain, type, protocol, out);
    case LINUX_AF_NETLINK:
        return netlink_create(task, type, protocol, out);
    default:
        return -EAFNOSUPPORT;
    }
}
