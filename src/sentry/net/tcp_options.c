/* SPDX-License-Identifier: Apache-2.0 */
/* tcp(7): options of IPPROTO_TCP. What only shapes packets is kept and told again. */
#include <errno.h>

#include "base/fields.h"
#include "sentry/net/tcp.h"

#define KEEP_IDLE_MAX 32767
#define KEEP_INTERVAL_MAX 32767
#define KEEP_COUNT_MAX 127
#define SYN_COUNT_MAX 127
#define SEGMENT_MIN 88
#define SEGMENT_MAX 32767
#define SEGMENT_DEFAULT 536
#define SEGMENT_LOOPBACK 65483u
#define FIN_TIMEOUT_S 60

const struct field tcp_options_fields[] = {
    FIELD(struct tcp_options, no_delay),
    FIELD(struct tcp_options, cork),
    FIELD(struct tcp_options, quick_ack),
    FIELD(struct tcp_options, wants_queue_size),
    FIELD(struct tcp_options, max_segment),
    FIELD(struct tcp_options, keep_idle_s),
    FIELD(struct tcp_options, keep_interval_s),
    FIELD(struct tcp_options, keep_count),
    FIELD(struct tcp_options, syn_count),
    FIELD(struct tcp_options, linger2_s),
    FIELD(struct tcp_options, defer_accept_s),
    FIELD(struct tcp_options, window_clamp),
    FIELD(struct tcp_options, user_timeout_ms),
    FIELD_BYTES(struct tcp_options, congestion),
    FIELD_END,
};
FIELDS_COMPLETE(struct tcp_options, tcp_options_fields);

void tcp_options_init(struct tcp_options *options)
{
    *options = (struct tcp_options){.quick_ack = true,
                                    .keep_idle_s = 7200,
                                    .keep_interval_s = 75,
                                    .keep_count = 9,
                                    .syn_count = 6,
                                    .linger2_s = FIN_TIMEOUT_S,
                                    .congestion = "cubic"};
}

static int set_range(i32 *option, i32 value, i32 min, i32 max)
{
    if (value < min || value > max)
        return -EINVAL;
    *option = value;
    return 0;
}

static int set_congestion(struct tcp_options *options, const void *value, u32 size)
{
    char name[TCP_CONGESTION_SIZE] = {0};
    if (size < 1)
        return -EINVAL;
    memcpy(name, value, MIN(size, (u32)sizeof name - 1));
    if (strcmp(name, "cubic") != 0 && strcmp(name, "reno") != 0)
        return -ENOENT;
    memcpy(options->congestion, name, sizeof name);
    return 0;
}

static int set_number(struct tcp_options *options, i32 name, i32 value)
{
    switch (name) {
    case LINUX_TCP_NODELAY:
        options->no_delay = value != 0;
        return 0;
    case LINUX_TCP_CORK:
        options->cork = value != 0;
        return 0;
    case LINUX_TCP_QUICKACK:
        options->quick_ack = value != 0;
        return 0;
    case LINUX_TCP_MAXSEG:
        return value == 0 ? set_range(&options->max_segment, 0, 0, 0)
                          : set_range(&options->max_segment, value, SEGMENT_MIN, SEGMENT_MAX);
    case LINUX_TCP_KEEPIDLE:
        return set_range(&options->keep_idle_s, value, 1, KEEP_IDLE_MAX);
    case LINUX_TCP_KEEPINTVL:
        return set_range(&options->keep_interval_s, value, 1, KEEP_INTERVAL_MAX);
    case LINUX_TCP_KEEPCNT:
        return set_range(&options->keep_count, value, 1, KEEP_COUNT_MAX);
    case LINUX_TCP_SYNCNT:
        return set_range(&options->syn_count, value, 1, SYN_COUNT_MAX);
    case LINUX_TCP_LINGER2:
        options->linger2_s = value < 0 ? -1 : value == 0 ? FIN_TIMEOUT_S : MIN(value, 120);
        return 0;
    case LINUX_TCP_DEFER_ACCEPT:
        options->defer_accept_s = MAX(value, 0);
        return 0;
    case LINUX_TCP_WINDOW_CLAMP:
        options->window_clamp = MAX(value, 0);
        return 0;
    case LINUX_TCP_USER_TIMEOUT:
        if (value < 0)
            return -EINVAL;
        options->user_timeout_ms = (u32)value;
        return 0;
    case LINUX_TCP_INQ:
        if (value < 0 || value > 1)
            return -EINVAL;
        options->wants_queue_size = value != 0;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int tcp_set_option(struct task *task, struct socket *base, i32 level, i32 name, const void *value,
                   u32 size)
{
    struct tcp_socket *socket = tcp_of(base);
    if (level == LINUX_SOL_SOCKET) {
        socket->is_send_size_given |= name == LINUX_SO_SNDBUF || name == LINUX_SO_SNDBUFFORCE;
        socket->is_receive_size_given |= name == LINUX_SO_RCVBUF || name == LINUX_SO_RCVBUFFORCE;
    }
    if (level != LINUX_IPPROTO_TCP)
        return inet_set_option(task, base, level, name, value, size);
    if (name == LINUX_TCP_CONGESTION)
        return set_congestion(&socket->options, value, size);
    return size < sizeof(i32) ? -EINVAL
                              : set_number(&socket->options, name, option_number(value, size));
}

static int get_info(const struct tcp_socket *socket, void *value, u32 *size)
{
    const struct tcp_socket *peer = socket->peer;
    u64 unread = peer ? peer->queue.size : 0;
    struct linux_tcp_info info = {
        .state = (u8)socket->state,
        .options = 7, /* timestamps, SACK, window scaling */
        .wscale = 0x77,
        .rto = 201000,
        .ato = 40000,
        .snd_mss = SEGMENT_LOOPBACK,
        .rcv_mss = SEGMENT_LOOPBACK,
        .pmtu = 65535,
        .rcv_ssthresh = socket->inet.base.receive_size_max / 2,
        .rtt = 20,
        .rttvar = 5,
        .snd_ssthresh = 0x7fffffff,
        .snd_cwnd = 10,
        .advmss = SEGMENT_LOOPBACK,
        .reordering = 3,
        .rcv_space = socket->inet.base.receive_size_max / 2,
        .pacing_rate = UINT64_MAX,
        .max_pacing_rate = UINT64_MAX,
        .bytes_acked = socket->sent,
        .bytes_received = socket->received,
        .bytes_sent = socket->sent,
        .min_rtt = 5,
        .snd_wnd = (u32)(peer && unread < peer->inet.base.receive_size_max
                             ? peer->inet.base.receive_size_max - unread
                             : 0),
    };
    if (socket->state == LINUX_TCP_LISTEN) {
        info.unacked = socket->pending_count; /* as tcp_get_info of Linux does */
        info.sacked = socket->backlog;
    }
    return option_put(value, size, &info, sizeof info);
}

int tcp_get_option(struct task *task, struct socket *base, i32 level, i32 name, void *value,
                   u32 *size)
{
    const struct tcp_socket *socket = tcp_of(base);
    const struct tcp_options *options = &socket->options;
    i32 number;
    if (level == LINUX_SOL_SOCKET && name == LINUX_SO_ACCEPTCONN) {
        number = socket->state == LINUX_TCP_LISTEN;
        return option_put(value, size, &number, sizeof number);
    }
    if (level != LINUX_IPPROTO_TCP)
        return inet_get_option(task, base, level, name, value, size);
    switch (name) {
    case LINUX_TCP_NODELAY:
        number = options->no_delay;
        break;
    case LINUX_TCP_CORK:
        number = options->cork;
        break;
    case LINUX_TCP_QUICKACK:
        number = options->quick_ack;
        break;
    case LINUX_TCP_MAXSEG:
        number = options->max_segment && !tcp_is_open(socket) ? options->max_segment
                 : tcp_is_open(socket)                        ? (i32)SEGMENT_LOOPBACK
                                                              : SEGMENT_DEFAULT;
        break;
    case LINUX_TCP_KEEPIDLE:
        number = options->keep_idle_s;
        break;
    case LINUX_TCP_KEEPINTVL:
        number = options->keep_interval_s;
        break;
    case LINUX_TCP_KEEPCNT:
        number = options->keep_count;
        break;
    case LINUX_TCP_SYNCNT:
        number = options->syn_count;
        break;
    case LINUX_TCP_LINGER2:
        number = options->linger2_s;
        break;
    case LINUX_TCP_DEFER_ACCEPT:
        number = options->defer_accept_s;
        break;
    case LINUX_TCP_WINDOW_CLAMP:
        number = options->window_clamp;
        break;
    case LINUX_TCP_USER_TIMEOUT:
        number = (i32)options->user_timeout_ms;
        break;
    case LINUX_TCP_INQ:
        number = options->wants_queue_size;
        break;
    case LINUX_TCP_INFO:
        return get_info(socket, value, size);
    case LINUX_TCP_CONGESTION:
        return option_put(value, size, options->congestion, sizeof options->congestion);
    default:
        return -ENOPROTOOPT;
    }
    return option_put(value, size, &number, sizeof number);
}
