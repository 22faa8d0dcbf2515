/* SPDX-License-Identifier: Apache-2.0 */
/* Route messages against a namespace: what is made, what a dump shows, what is refused; addresses,
 * paths and prefixes. */
#include "abi/netlink.h"
#include "sentry/fs/testing.h"
#include "sentry/net/net.h"
#include "sentry/net/netlink.h"
#include "sentry/net/netlink_message.h"
#include "sentry/net/ns.h"

struct message {
    u8 bytes[512];
    u32 size;
};

static void put(struct message *message, const void *bytes, u32 size)
{
    memcpy(message->bytes + message->size, bytes, size);
    message->size += ALIGN_UP(size, 4u);
}

static void put_attr(struct message *message, u16 type, const void *data, u32 size)
{
    u16 head[2] = {(u16)(size + 4), type};
    memcpy(message->bytes + message->size, head, sizeof head);
    message->size += sizeof head;
    put(message, data, size);
}

static void put_number(struct message *message, u16 type, u32 number)
{
    put_attr(message, type, &number, sizeof number);
}

/* FAMILY's address as attributes have it. */
static void put_ip(struct message *message, u16 type, const char *text)
{
    struct ip ip;
    CU_ASSERT_FATAL(ip_parse(text, &ip));
    u32 at = ip_is_v4(&ip) ? IP4_AT : 0;
    put_attr(message, type, ip.bytes + at, 16 - at);
}

struct bed {
    struct task *task;
    struct net_ns *ns;
    struct netlink_socket *socket;
};

static int serve(struct bed *bed, u16 type, u16 flags, const struct message *message)
{
    struct netlink_request request = {.task = bed->task,
                                      .socket = bed->socket,
                                      .head = {.type = type, .flags = flags},
                                      .payload = message->bytes,
                                      .size = message->size};
    return rtnetlink_serve(&request);
}

/* How many messages of TYPE a dump by GET has for FAMILY. */
static u32 dump(struct bed *bed, u16 get, u16 type, u8 family)
{
    struct message message = {.bytes = {family}, .size = 16};
    u32 count = 0;
    CU_ASSERT_EQUAL(serve(bed, get, LINUX_NLM_F_DUMP, &message), 0);
    struct net_packet *packet;
    while ((packet = net_packet_queue_take(&bed->socket->queue, false)) != NULL) {
        for (u64 at = 0; at + sizeof(struct linux_nlmsghdr) <= packet->data.size;) {
            struct linux_nlmsghdr head;
            memcpy(&head, buf_bytes(&packet->data) + at, sizeof head);
            count += head.type == type;
            at += ALIGN_UP(head.size, 4u);
        }
        REF_PUT(packet);
    }
    return count;
}

static int add_address(struct bed *bed, u16 type, u16 flags, u32 index, const char *text, u8 prefix)
{
    struct message message = {.size = 0};
    struct ip ip;
    CU_ASSERT_FATAL(ip_parse(text, &ip));
    struct linux_ifaddrmsg info = {
        .family = ip_is_v4(&ip) ? LINUX_AF_INET : LINUX_AF_INET6, .prefix = prefix, .index = index};
    put(&message, &info, sizeof info);
    put_ip(&message, LINUX_IFA_LOCAL, text);
    return serve(bed, type, flags, &message);
}

static int route(struct bed *bed, u16 type, u16 flags, const char *to, u8 prefix,
                 const char *gateway, u32 index)
{
    struct message message = {.size = 0};
    struct linux_rtmsg info = {.family = LINUX_AF_INET,
                               .to_size = prefix,
                               .table = LINUX_RT_TABLE_MAIN,
                               .type = LINUX_RTN_UNICAST};
    put(&message, &info, sizeof info);
    put_ip(&message, LINUX_RTA_DST, to);
    if (gateway)
        put_ip(&message, LINUX_RTA_GATEWAY, gateway);
    if (index)
        put_number(&message, LINUX_RTA_OIF, index);
    return serve(bed, type, flags, &message);
}

static void test_addresses(struct bed *bed)
{
    u16 make = LINUX_NLM_F_CREATE | LINUX_NLM_F_EXCL, add = LINUX_RTM_NEWADDR;
    CU_ASSERT_EQUAL(add_address(bed, add, make, 2, "10.0.0.1", 24), 0);
    CU_ASSERT_EQUAL(add_address(bed, add, make, 2, "10.0.0.1", 24), -EEXIST);
    CU_ASSERT_EQUAL(add_address(bed, add, LINUX_NLM_F_REPLACE, 2, "10.0.0.1", 24), 0);
    CU_ASSERT_EQUAL(add_address(bed, add, make, 9, "10.0.0.2", 24), -ENODEV);
    CU_ASSERT_EQUAL(add_address(bed, add, make, 2, "10.0.0.2", 33), -EINVAL);
    CU_ASSERT_EQUAL(add_address(bed, add, make, 2, "fd00::1", 64), 0);
    CU_ASSERT_EQUAL(add_address(bed, LINUX_RTM_DELADDR, 0, 2, "10.0.0.9", 24), -EADDRNOTAVAIL);
    CU_ASSERT_EQUAL(dump(bed, LINUX_RTM_GETADDR, add, LINUX_AF_INET), 2);
    CU_ASSERT_EQUAL(dump(bed, LINUX_RTM_GETADDR, add, LINUX_AF_INET6), 2);
    CU_ASSERT_EQUAL(dump(bed, LINUX_RTM_GETADDR, add, LINUX_AF_UNSPEC), 4);
    struct message none = {.bytes = {LINUX_AF_INET, 24, 0, 0, 2}, .size = 8};
    CU_ASSERT_EQUAL(serve(bed, add, make, &none), -EINVAL); /* no address in it */
    none.bytes[0] = 77;
    CU_ASSERT_EQUAL(serve(bed, add, make, &none), -EOPNOTSUPP);
    none.size = 4;
    CU_ASSERT_EQUAL(serve(bed, add, make, &none), -EINVAL);
}

static void test_routes(struct bed *bed)
{
    u16 make = LINUX_NLM_F_CREATE | LINUX_NLM_F_EXCL, add = LINUX_RTM_NEWROUTE;
    u32 before = dump(bed, LINUX_RTM_GETROUTE, add, LINUX_AF_INET);
    CU_ASSERT_EQUAL(route(bed, add, make, "10.9.0.0", 16, "10.0.0.7", 0), 0);
    CU_ASSERT_EQUAL(route(bed, add, make, "10.9.0.0", 16, "10.0.0.7", 0), -EEXIST);
    CU_ASSERT_EQUAL(route(bed, add, LINUX_NLM_F_REPLACE, "10.9.0.0", 16, "10.0.0.8", 0), 0);
    CU_ASSERT_EQUAL(route(bed, add, 0, "10.8.0.0", 16, "10.0.0.7", 0), -ENOENT);
    CU_ASSERT_EQUAL(route(bed, add, make, "10.8.0.0", 16, "9.9.9.9", 0), -ENETUNREACH);
    CU_ASSERT_EQUAL(route(bed, add, make, "10.8.0.0", 16, "10.0.0.1", 0), -EINVAL);
    CU_ASSERT_EQUAL(route(bed, add, make, "10.8.0.0", 16, NULL, 9), -ENODEV);
    CU_ASSERT_EQUAL(route(bed, add, make, "10.8.0.0", 40, NULL, 2), -EINVAL);
    CU_ASSERT_EQUAL(dump(bed, LINUX_RTM_GETROUTE, add, LINUX_AF_INET), before + 1);
    struct net_path path;
    struct ip to;
    CU_ASSERT_FATAL(ip_parse("10.9.3.4", &to));
    CU_ASSERT_EQUAL(net_ns_find_path(bed->ns, &to, 0, &path), 0);
    CU_ASSERT(path.reach == NET_AWAY && path.link_index == 2);
    CU_ASSERT_EQUAL(route(bed, LINUX_RTM_GETROUTE, 0, "10.9.3.4", 32, NULL, 0), 0);
    CU_ASSERT_EQUAL(bed->socket->queue.count, 1);
    REF_PUT(net_packet_queue_take(&bed->socket->queue, false));
    CU_ASSERT_EQUAL(route(bed, LINUX_RTM_DELROUTE, 0, "10.9.0.0", 16, NULL, 0), 0);
    CU_ASSERT_EQUAL(route(bed, LINUX_RTM_DELROUTE, 0, "10.9.0.0", 16, NULL, 0), -ESRCH);
    CU_ASSERT_EQUAL(net_ns_find_path(bed->ns, &to, 0, &path), -ENETUNREACH);
}

static int neighbour(struct bed *bed, u16 type, u32 index, const char *ip, u32 hardware_size)
{
    static const u8 hardware[6] = {2, 0, 0, 0, 0, 9};
    struct message message = {.size = 0};
    struct linux_ndmsg info = {.family = LINUX_AF_INET, .index = (i32)index};
    put(&message, &info, sizeof info);
    if (ip)
        put_ip(&message, LINUX_NDA_DST, ip);
    if (hardware_size)
        put_attr(&message, LINUX_NDA_LLADDR, hardware, hardware_size);
    return serve(bed, type, LINUX_NLM_F_CREATE, &message);
}

static void test_neighbours(struct bed *bed)
{
    CU_ASSERT_EQUAL(neighbour(bed, LINUX_RTM_NEWNEIGH, 2, "10.0.0.7", 6), 0);
    CU_ASSERT_EQUAL(neighbour(bed, LINUX_RTM_NEWNEIGH, 2, "10.0.0.7", 6), 0);
    CU_ASSERT_EQUAL(neighbour(bed, LINUX_RTM_NEWNEIGH, 2, "10.0.0.8", 3), -EINVAL);
    CU_ASSERT_EQUAL(neighbour(bed, LINUX_RTM_NEWNEIGH, 2, NULL, 6), -EINVAL);
    CU_ASSERT_EQUAL(neighbour(bed, LINUX_RTM_NEWNEIGH, 9, "10.0.0.8", 6), -ENODEV);
    CU_ASSERT_EQUAL(dump(bed, LINUX_RTM_GETNEIGH, LINUX_RTM_NEWNEIGH, LINUX_AF_INET), 1);
    CU_ASSERT_EQUAL(dump(bed, LINUX_RTM_GETNEIGH, LINUX_RTM_NEWNEIGH, LINUX_AF_INET6), 0);
    CU_ASSERT_EQUAL(neighbour(bed, LINUX_RTM_DELNEIGH, 2, "10.0.0.7", 0), 0);
    CU_ASSERT_EQUAL(neighbour(bed, LINUX_RTM_DELNEIGH, 2, "10.0.0.7", 0), -ENOENT);
}

static void test_links(struct bed *bed)
{
    struct message message = {.size = 0};
    struct linux_ifinfomsg info = {.index = 2};
    CU_ASSERT_EQUAL(dump(bed, LINUX_RTM_GETLINK, LINUX_RTM_NEWLINK, LINUX_AF_UNSPEC), 2);
    put(&message, &info, sizeof info);
    CU_ASSERT_EQUAL(serve(bed, LINUX_RTM_DELLINK, 0, &message), 0);
    CU_ASSERT_EQUAL(serve(bed, LINUX_RTM_DELLINK, 0, &message), -ENODEV);
    CU_ASSERT_EQUAL(bed->ns->link_count, 1);
    CU_ASSERT_EQUAL(bed->ns->address_count, 2); /* what was on it went with it */
    CU_ASSERT_EQUAL(bed->ns->route_count, 0);
    info.index = 1;
    memcpy(message.bytes, &info, sizeof info);
    CU_ASSERT_EQUAL(serve(bed, LINUX_RTM_DELLINK, 0, &message), -EOPNOTSUPP);
}

SLEEPS static void play(struct task *task, struct world *world)
{
    struct socket *socket;
    struct net_link *link;
    CU_ASSERT_FATAL(net_stack_create(world->kernel) == 0);
    CU_ASSERT_FATAL(netlink_create(task, LINUX_SOCK_RAW, LINUX_NETLINK_ROUTE, &socket) == 0);
    struct bed bed = {.task = task,
                      .ns = world->kernel->net->root_ns,
                      .socket = container_of(socket, struct netlink_socket, base)};
    CU_ASSERT_FATAL(net_link_create(bed.ns, NET_LINK_DUMMY, "dummy0", &link) == 0);
    CU_ASSERT_EQUAL(net_link_set_up(bed.ns, link, true), 0);
    test_addresses(&bed);
    test_routes(&bed);
    test_neighbours(&bed);
    test_links(&bed);
    object_put(&socket->object);
    net_stack_destroy(world->kernel);
}

static void test_route_messages_make_show_and_refuse(void)
{
    world_test(play);
}

void netlink_suite(void)
{
    CU_pSuite suite = CU_add_suite("sentry/net/netlink", NULL, NULL);
    CU_ADD_TEST(suite, test_route_messages_make_show_and_refuse);
}
