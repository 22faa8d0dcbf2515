/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of all families behind one set of operations. syscalls/socket.c judges arguments and
 * moves control messages; a family moves bytes, names and states.
 */
#pragma once
#include "abi/socket.h"
#include "base/object.h"
#include "sentry/fs/file.h"
#include "sentry/fs/poll.h"

struct socket;

/* Descriptors and credentials that ride on a message (unix(7)). */
struct scm {
    struct object object;
    u32 file_count;
    struct file **files; /* counted */
    bool has_cred;
    struct linux_ucred cred;
};
extern const struct kind scm_kind;
MUST_CHECK int scm_create(struct arena *arena, u32 file_count, struct scm **out);

#define SOCKET_CONTROLS_MAX 6u
#define SOCKET_CONTROL_SIZE_MAX 48u
/* A control message of the family's own. */
struct socket_control {
    i32 level, type;
    u32 size; /* as given; more than `data` holds is cut off */
    u8 data[SOCKET_CONTROL_SIZE_MAX];
};

struct socket_message {
    struct uio *uio;
    u32 flags;                  /* MSG_* in */
    u32 out_flags;              /* MSG_TRUNC, MSG_CTRUNC, MSG_EOR out */
    u8 name[SOCKADDR_SIZE_MAX]; /* destination in, source out */
    u32 name_size;              /* 0: none */
    struct scm *scm;            /* counted: given with a send; received: the caller's */
    u64 full_size;              /* datagram's real size, for MSG_TRUNC */
    u32 control_count;
    struct socket_control controls[SOCKET_CONTROLS_MAX];
};

struct socket_ops {
    SLEEPS_OP int (*bind)(struct task *task, struct socket *socket, const u8 *name, u32 size);
    SLEEPS_OP int (*connect)(struct task *task, struct socket *socket, const u8 *name, u32 size,
                             bool may_block);
    SLEEPS_OP int (*listen)(struct task *task, struct socket *socket, u32 backlog);
    SLEEPS_OP int (*accept)(struct task *task, struct socket *socket, bool may_block,
                            struct socket **out);
    int (*get_name)(struct task *task, struct socket *socket, bool of_peer, u8 *name, u32 *size);
    SLEEPS_OP i64 (*send)(struct task *task, struct socket *socket, struct socket_message *message,
                          bool may_block);
    SLEEPS_OP i64 (*receive)(struct task *task, struct socket *socket,
                             struct socket_message *message, bool may_block);
    int (*shutdown)(struct task *task, struct socket *socket, bool read, bool write);
    u32 (*poll)(struct socket *socket);
    /* Options of the family's own levels; -ENOPROTOOPT. VALUE lies in the sentry. */
    int (*set_option)(struct task *task, struct socket *socket, i32 level, i32 name,
                      const void *value, u32 size);
    int (*get_option)(struct task *task, struct socket *socket, i32 level, i32 name, void *value,
                      u32 *size);
    SLEEPS_OP i64 (*ioctl)(struct task *task, struct socket *socket, u32 request, u64 arg);
    void (*release)(struct socket *socket); /* the last descriptor is gone; never sleeps */
};

/* The base; families embed it first. */
struct socket {
    struct object object;
    const struct socket_ops *ops; /* from the kind */
    struct kernel *kernel;
    i32 domain, type, protocol;
    bool is_shut_read, is_shut_write;
    bool passes_cred, reuses_address, reuses_port, keeps_alive, broadcasts, is_oob_inline;
    i32 priority;
    u32 mark;
    i32 error;                               /* SO_ERROR, positive */
    u32 send_size_max, receive_size_max;     /* SO_SNDBUF, SO_RCVBUF */
    u64 send_timeout_ns, receive_timeout_ns; /* 0: none */
    u32 receive_low;
    i32 linger_on, linger_seconds;
    struct wait_queue changed;
    u64 ino;
};
extern const struct field socket_base_fields[];
void socket_init(struct socket *socket, struct kernel *kernel, i32 domain, i32 type, i32 protocol);
/* Wake whoever waits for EVENTS (POLL_*). */
static inline void socket_wake(struct socket *socket, u32 events)
{
    wake_up(&socket->changed, events);
}
/* Sleep on QUEUE for at most TIMEOUT_NS (0: for ever) counted from the call's first try: 0 (test
 * again), -EAGAIN at the end of time, -ERESTARTSYS. */
MUST_CHECK SLEEPS int socket_wait(struct task *task, struct wait_queue *queue, u64 timeout_ns);
/* A description over SOCKET (its reference is taken). FLAGS: O_NONBLOCK. */
MUST_CHECK int socket_file_create(struct socket *socket, u32 flags, struct file **out);
/* NULL if FILE is no socket. Lent. */
struct socket *socket_of_file(const struct file *file);
extern const struct file_ops socket_file_ops;
/* Makes descriptions of sockets known to images; TABLE lives as long as the kernel. */
void socket_file_ops_add(struct kernel *kernel, struct file_ops_table *table);

/* Families: 0 or -errno (EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT). */
MUST_CHECK int socket_create(struct task *task, i32 domain, i32 type, i32 protocol,
                             struct socket **out);
struct net_ns;
/* In NS, to which it takes a reference: abstract names are its own. */
MUST_CHECK int unix_create(struct net_ns *ns, i32 type, struct socket **out);
MUST_CHECK int unix_pair(struct task *task, i32 type, struct socket **a, struct socket **b);
