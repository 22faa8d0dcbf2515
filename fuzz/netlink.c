/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of a program to NETLINK_ROUTE. The first byte says how the rest is cut into sends; sizes
 * of the messages are made right in two of three inputs, so that bodies are reached. Answers are
 * well-formed rows of messages. Links and addresses that were made stay for later inputs, up to
 * what a namespace may have.
 */
#include "fuzz/world.h"

#include "sentry/net/net.h"
#include "sentry/net/netlink.h"

static struct fuzz_world world;

/* One answer after the other until there is none: each message's size is inside its packet. */
SLEEPS static void receive_all(struct task *task, struct socket *socket)
{
    static u8 packet[1 << 16];
    for (u32 count = 0;; count++) {
        struct uio uio;
        struct uio_segment segment;
        struct socket_message message = {.uio = &uio, .flags = LINUX_MSG_DONTWAIT};
        uio_init_kernel(&uio, &task->fiber, packet, sizeof packet, &segment);
        i64 got = socket->ops->receive(task, socket, &message, false);
        if (got < 0)
            break;
        fuzz_must(count < 100000, "answers come to an end");
        for (i64 at = 0; at < got;) {
            struct linux_nlmsghdr head;
            fuzz_must((u64)(got - at) >= sizeof head, "an answer has a head");
            memcpy(&head, packet + at, sizeof head);
            fuzz_must(head.size >= sizeof head && head.size <= got - at, "an answer has its size");
            at += ALIGN_UP((i64)head.size, (i64)4);
        }
    }
}

SLEEPS static void send_one(struct task *task, struct socket *socket, u8 *bytes, size_t size)
{
    struct uio uio;
    struct uio_segment segment;
    struct socket_message message = {.uio = &uio};
    uio_init_kernel(&uio, &task->fiber, bytes, size, &segment);
    (void)!socket->ops->send(task, socket, &message, false);
    receive_all(task, socket);
}

SLEEPS static void body(struct task *task, struct fuzz_world *at_world, struct fuzz_input input)
{
    static u8 piece[1 << 12];
    struct socket *socket;
    if (input.size < 2 || netlink_create(task, LINUX_SOCK_RAW, LINUX_NETLINK_ROUTE, &socket))
        return;
    size_t piece_max = 16 + input.bytes[0] * 2u;
    for (size_t at = 1; at < input.size;) {
        size_t size = MIN(piece_max, input.size - at);
        memcpy(piece, input.bytes + at, size);
        if (input.bytes[0] % 3 != 0 && size >= sizeof(u32)) {
            u32 whole = (u32)size;
            memcpy(piece, &whole, sizeof whole);
        }
        send_one(task, socket, piece, size);
        at += size;
    }
    socket->ops->release(socket);
    object_put(&socket->object);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    if (!world.host)
        fuzz_world_make(&world);
    fuzz_world_run(&world, body, bytes, size);
    return 0;
}
