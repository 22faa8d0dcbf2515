/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets' struct, for the files of this protocol and what shows them. */
#pragma once
#include "base/buf.h"
#include "sentry/net/inet.h"

enum tcp_urgent { TCP_URGENT_NONE, TCP_URGENT_VALID, TCP_URGENT_READ };
/* What connect(2) has been asked for, beside what TCP knows. */
enum tcp_phase { TCP_UNCONNECTED, TCP_CONNECTING, TCP_CONNECTED };

#define TCP_CONGESTION_SIZE 16u

struct tcp_options {
    bool no_delay, cork, quick_ack, wants_queue_size;
    i32 max_segment;
    i32 keep_idle_s, keep_interval_s, keep_count;
    i32 syn_count, linger2_s, defer_accept_s, window_clamp;
    u32 user_timeout_ms;
    char congestion[TCP_CONGESTION_SIZE];
};

struct tcp_socket {
    struct inet_socket inet;
    u32 state;               /* LINUX_TCP_* */
    u32 phase;               /* TCP_UNCONNECTED … */
    struct tcp_socket *peer; /* counted; both ends' releases break the cycle */
    struct buf queue;        /* received, not read */
    u64 sent, received, read;
    bool is_done;    /* the peer's FIN came: the end of the queue is the end of data */
    bool is_orphan;  /* no description any more */
    bool is_outside; /* a forward's (forward.c): no image can bring its other side back */
    bool is_send_size_given, is_receive_size_given;
    u32 urgent;    /* TCP_URGENT_* */
    u64 urgent_at; /* as a number of bytes received: the mark is before that one */
    u8 urgent_byte;
    struct list pending; /* of a listener: struct tcp_socket.pending_link: not accepted; counted */
    struct list waiting; /* … and those whose SYN found the queue full, by the same link */
    struct list pending_link;
    u32 pending_count, backlog;
    struct tcp_options options;
    struct wait_queue space;        /* its own writers, until the peer has read */
    struct sleep_lock receive_lock; /* held over copies to programs */
};
extern const struct kind tcp_socket_kind;

static inline struct tcp_socket *tcp_of(struct socket *socket)
{
    return container_of(socket, struct tcp_socket, inet.base);
}
static inline bool tcp_is_open(const struct tcp_socket *socket) /* data may be on its way */
{
    return socket->state != LINUX_TCP_CLOSE && socket->state != LINUX_TCP_LISTEN &&
           socket->state != LINUX_TCP_SYN_SENT;
}

/* tcp.c: a socket of the sentry itself, in NS. */
MUST_CHECK int tcp_create_outside(struct kernel *kernel, struct net_ns *ns, struct socket **out);
/* A RST came. */
void tcp_reset(struct tcp_socket *socket);
/* How many bytes may be on their way to PEER before a sender waits. */
u64 tcp_room_max(const struct tcp_socket *socket, const struct tcp_socket *peer);
/* tcp_io.c */
SLEEPS i64 tcp_send(struct task *task, struct socket *socket, struct socket_message *message,
                    bool may_block);
SLEEPS i64 tcp_receive(struct task *task, struct socket *socket, struct socket_message *message,
                       bool may_block);
/* Bytes that a read would find before the urgent mark. */
u64 tcp_readable(const struct tcp_socket *socket);
bool tcp_may_send_more(const struct tcp_socket *socket);
/* tcp_options.c */
int tcp_set_option(struct task *task, struct socket *socket, i32 level, i32 name, const void *value,
                   u32 size);
int tcp_get_option(struct task *task, struct socket *socket, i32 level, i32 name, void *value,
                   u32 *size);
void tcp_options_init(struct tcp_options *options);
extern const struct field tcp_options_fields[];
