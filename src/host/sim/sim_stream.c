/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated streams: two ends, each with a queue of segments to be read. A segment that is still
 * flying (cut into pieces, or delayed by the fault plan) arrives in host_reap; what follows one
 * that flies cannot be read either. Ends of files, hang-ups and errors are those of Linux's unix
 * sockets and pipes; the tests of host/ hold both hosts to the same answers.
 */
#include "host/sim/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#define BACKLOG_MAX 128

/* ---- state of an end ---- */

static bool has_visible(const struct sim_end *end)
{
    if (list_is_empty(&end->segments))
        return false;
    return !list_first(&end->segments, struct sim_segment, link)->is_flying;
}

/* Nothing more will come. */
static bool input_ended(const struct sim_end *end)
{
    return !end->peer || end->peer->end.write_shut || end->read_shut;
}

/* Nothing can be sent any more. */
static bool output_ended(const struct sim_end *end)
{
    return !end->peer || end->write_shut || end->peer->end.read_shut;
}

u32 sim_stream_poll(const struct sim_desc *desc)
{
    const struct sim_end *end = &desc->end;
    bool all_arrived = end->flying_count == 0;
    u32 ready = 0;
    if (end->may_read && (has_visible(end) || (all_arrived && (input_ended(end) || end->error))))
        ready |= HOST_READABLE;
    if (end->may_write &&
        (!end->peer || end->write_shut || end->peer->end.queued < end->peer->end.capacity))
        ready |= HOST_WRITABLE;
    bool is_over = (!end->may_read || (all_arrived && input_ended(end))) &&
                   (!end->may_write || output_ended(end));
    if (is_over || (end->error && all_arrived))
        ready |= HOST_HANGUP;
    return ready;
}

/* ---- segments ---- */

static void segment_delete(struct sim_host *sim, struct sim_segment *segment)
{
    for (u32 i = 0; i < segment->desc_count; i++)
        if (segment->descs[i])
            sim_desc_put(sim, segment->descs[i]);
    sim_delete(sim, segment->descs, segment->desc_count * sizeof *segment->descs);
    sim_delete(sim, segment->bytes, segment->size);
    list_remove(&segment->link);
    sim_delete(sim, segment, sizeof *segment);
}

static struct sim_segment *segment_add(struct sim_host *sim, struct sim_desc *reader,
                                       const u8 *bytes, size_t size, u64 delay_ns)
{
    struct sim_end *end = &reader->end;
    struct sim_segment *segment = sim_new(sim, sizeof *segment);
    segment->size = size;
    segment->bytes = sim_new(sim, size);
    if (size > 0)
        memcpy(segment->bytes, bytes, size);
    segment->due_ns = sim->monotonic_ns + delay_ns;
    segment->is_flying = delay_ns > 0 || end->piece_max > 0 || end->flying_count > 0;
    end->queued += size;
    list_add_tail(&end->segments, &segment->link);
    if (segment->is_flying && end->flying_count++ == 0)
        list_add_tail(&sim->flights, &reader->flight);
    return segment;
}

static struct sim_segment *first_flying(const struct sim_end *end)
{
    struct sim_segment *segment;
    list_for_each (segment, &end->segments, link)
        if (segment->is_flying)
            return segment;
    return NULL;
}

u64 sim_flight_due(const struct sim_desc *desc)
{
    const struct sim_segment *segment = first_flying(&desc->end);
    return segment ? segment->due_ns : NO_DEADLINE;
}

void sim_arrive(struct sim_host *sim, struct sim_desc *desc)
{
    struct sim_end *end = &desc->end;
    struct sim_segment *segment = first_flying(end);
    ASSERT(segment != NULL);
    segment->is_flying = false;
    end->flying_count--;
    list_remove(&desc->flight);
    if (end->flying_count > 0)
        list_add_tail(&sim->flights, &desc->flight);
    sim_desc_tell(sim, desc);
}

/* ---- making and ending ends ---- */

static void end_init(struct sim_desc *desc, struct sim_desc *peer, bool is_packet)
{
    desc->end.peer = peer;
    desc->end.capacity = SIM_STREAM_CAPACITY;
    desc->end.may_read = desc->end.may_write = true;
    desc->end.is_packet = is_packet;
}

void sim_ends_create(struct sim_host *sim, int type, struct sim_desc **a, struct sim_desc **b)
{
    *a = sim_desc_create(sim, SIM_DESC_STREAM, "socket");
    *b = sim_desc_create(sim, SIM_DESC_STREAM, "socket");
    end_init(*a, *b, type == SOCK_SEQPACKET);
    end_init(*b, *a, type == SOCK_SEQPACKET);
}

static void listener_fini(struct sim_host *sim, struct sim_desc *desc)
{
    struct sim_waiting *waiting, *next;
    list_for_each_safe (waiting, next, &desc->backlog, link) {
        list_remove(&waiting->link);
        sim_desc_put(sim, waiting->desc);
        sim_delete(sim, waiting, sizeof *waiting);
    }
    if (desc->node) {
        desc->node->listener = NULL;
        sim_node_drop(sim, desc->node);
    }
}

void sim_segments_clear(struct sim_host *sim, struct sim_desc *desc)
{
    struct sim_segment *segment, *next;
    list_for_each_safe (segment, next, &desc->end.segments, link)
        segment_delete(sim, segment);
    desc->end.queued = 0;
    desc->end.flying_count = 0;
    list_remove(&desc->flight);
}

void sim_stream_desc_fini(struct sim_host *sim, struct sim_desc *desc)
{
    if (desc->type == SIM_DESC_LISTENER) {
        listener_fini(sim, desc);
        return;
    }
    struct sim_end *end = &desc->end;
    struct sim_desc *peer = end->peer;
    bool has_unread = !list_is_empty(&end->segments);
    sim_segments_clear(sim, desc);
    if (!peer)
        return;
    peer->end.peer = NULL;
    if (has_unread && !end->is_pipe)
        peer->end.error =
            ECONNRESET; /* unix(7) sockets say so when what they sent was never read */
    sim_desc_tell(sim, peer);
}

/* ---- wrappers ---- */

static struct sim_stream *sim_stream_of(const struct host_stream *stream)
{
    return container_of(stream, struct sim_stream, stream);
}

struct sim_stream *sim_stream_wrap(struct sim_host *sim, int fd, bool is_engine)
{
    struct sim_stream *stream = sim_new(sim, sizeof *stream);
    stream->stream.host = &sim->host;
    stream->fd = fd;
    stream->owner = sim->slots[fd].owner = sim->owner;
    stream->is_engine = is_engine;
    stream->desc = sim_fd_find(sim, fd);
    sim_desc_get(stream->desc);
    list_add_tail(&sim->streams, &stream->link);
    return stream;
}

/* FD is taken in any case. A file may be a stream too, one that is always ready. */
static struct host_stream *stream_from_fd(struct host *host, int fd)
{
    struct sim_host *sim = sim_of(host);
    struct sim_desc *desc = sim_fd_find(sim, fd);
    if (!desc)
        return NULL;
    if (sim_call(sim, SIM_CALL_wrap, desc->label, NULL) || desc->type == SIM_DESC_LISTENER) {
        sim_fd_put(sim, fd);
        return NULL;
    }
    return &sim_stream_wrap(sim, fd, false)->stream;
}

static int stream_pair(struct host *host, int type, struct host_stream **a, struct host_stream **b)
{
    struct sim_host *sim = sim_of(host);
    int err = sim_call(sim, SIM_CALL_pair, NULL, NULL);
    if (err)
        return err;
    int fds[2];
    err = sim_pair(host, type, fds);
    if (err)
        return err;
    *a = &sim_stream_wrap(sim, fds[0], false)->stream;
    *b = &sim_stream_wrap(sim, fds[1], false)->stream;
    return 0;
}

void sim_stream_put(struct host_stream *base)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct sim_host *sim = sim_of(base->host);
    sim_source_watch(sim, stream->desc, &stream->source, NULL);
    list_remove(&stream->link);
    sim_fd_put(sim, stream->fd);
    sim_desc_put(sim, stream->desc);
    sim_delete(sim, stream, sizeof *stream);
}

static int stream_fd(const struct host_stream *stream)
{
    return sim_stream_of(stream)->fd;
}

static void stream_shutdown(struct host_stream *base, int how)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct sim_end *end = &stream->desc->end;
    if (stream->desc->type != SIM_DESC_STREAM || end->is_pipe)
        return;
    if (how == SHUT_RD || how == SHUT_RDWR)
        end->read_shut = true;
    if (how == SHUT_WR || how == SHUT_RDWR)
        end->write_shut = true;
    struct sim_host *sim = sim_of(base->host);
    sim_desc_tell(sim, stream->desc);
    if (end->peer)
        sim_desc_tell(sim, end->peer);
}

static void stream_watch(struct host_stream *base, struct host_watch *watch)
{
    struct sim_stream *stream = sim_stream_of(base);
    sim_source_watch(sim_of(base->host), stream->desc, &stream->source, watch);
}

static u32 stream_poll(struct host_stream *base)
{
    return sim_desc_poll(sim_stream_of(base)->desc);
}

static int stream_stat(struct host_stream *base, struct host_stat *out)
{
    return sim_desc_stat(sim_of(base->host), sim_stream_of(base)->desc, out);
}

static int stream_ioctl(struct host_stream *base, u32 request, void *arg)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct sim_end *end = &stream->desc->end;
    int err = sim_call(sim_of(base->host), SIM_CALL_stream_ioctl, stream->desc->label, NULL);
    if (err)
        return err;
    if (stream->desc->type != SIM_DESC_STREAM || !end->is_terminal)
        return -ENOTTY;
    switch (request) {
    case TCGETS:
        memcpy(arg, end->termios, sizeof end->termios);
        return 0;
    case TIOCGWINSZ:
        memcpy(arg, end->window, sizeof end->window);
        return 0;
    case TIOCSWINSZ:
        memcpy(end->window, arg, sizeof end->window);
        return 0;
    default:
        memcpy(end->termios, arg, sizeof end->termios);
        return 0;
    }
}

/* ---- reading ---- */

struct reading {
    u8 *bytes;
    size_t size;
    int *fds; /* NULL: descriptors are not wanted */
    u32 fd_room;
    u32 fd_count; /* what came */
};

/* Numbers for the descriptions that came with SEGMENT: into READING if all fit, else none. */
static int receive_fds(struct sim_host *sim, struct sim_segment *segment, struct reading *reading)
{
    u32 came = segment->desc_count;
    int *fds = reading->fds;
    bool is_good = fds && came <= reading->fd_room;
    u32 done = 0;
    for (u32 i = 0; i < came && is_good; i++) {
        int fd = sim_fd_install(sim, segment->descs[i]);
        segment->descs[i] = NULL; /* taken in any case */
        is_good = fd >= 0;
        if (is_good)
            fds[done++] = fd;
    }
    if (!is_good) {
        for (u32 i = 0; i < done; i++)
            sim_fd_put(sim, fds[i]);
        for (u32 i = 0; i < came; i++)
            if (segment->descs[i])
                sim_desc_put(sim, segment->descs[i]);
        done = 0;
    }
    sim_delete(sim, segment->descs, came * sizeof *segment->descs);
    segment->descs = NULL;
    segment->desc_count = 0;
    reading->fd_count = done;
    return is_good || !fds ? 0 : -EMFILE;
}

/* Copy from the first segments; a read ends behind one that brought descriptions, as in Linux. */
static i64 receive(struct sim_host *sim, struct sim_desc *desc, struct reading *reading)
{
    struct sim_end *end = &desc->end;
    int err = 0;
    size_t done = 0;
    while (has_visible(end)) {
        struct sim_segment *segment = list_first(&end->segments, struct sim_segment, link);
        bool has_descs = segment->desc_count > 0;
        if (has_descs)
            err = receive_fds(sim, segment, reading);
        size_t part = MIN(reading->size - done, segment->size - segment->offset);
        memcpy(reading->bytes + done, segment->bytes + segment->offset, part);
        done += part;
        size_t gone = end->is_packet ? segment->size : part;
        segment->offset += gone;
        end->queued -= gone;
        if (segment->offset == segment->size)
            segment_delete(sim, segment);
        if (end->is_packet || has_descs || done == reading->size)
            break;
    }
    return err ? err : (i64)done;
}

static i64 stream_read_end(struct sim_host *sim, struct sim_desc *desc, struct reading *reading)
{
    struct sim_end *end = &desc->end;
    if (!end->may_read)
        return -EBADF;
    if (!has_visible(end)) {
        if (end->flying_count > 0)
            return -EAGAIN;
        if (end->error) {
            int error = end->error;
            end->error = 0;
            return -error;
        }
        return input_ended(end) ? 0 : -EAGAIN;
    }
    if (reading->size == 0 && !end->is_packet)
        return 0;
    i64 count = receive(sim, desc, reading);
    struct sim_desc *peer = end->peer;
    if (peer && peer->end.wants_room && end->queued < end->capacity) {
        peer->end.wants_room = false;
        sim_desc_tell(sim, peer);
    }
    return count;
}

/* A file as a stream: at its own offset, never waiting. */
static i64 stream_move_file(struct sim_host *sim, struct sim_desc *desc, void *bytes, size_t size,
                            bool is_read)
{
    struct sim_file file = {.file = {.host = &sim->host, .refs = 1}, .desc = desc};
    struct host_op op = {
        .type = is_read ? HOST_OP_READ : HOST_OP_WRITE,
        .file = &file.file,
        .iov_count = 1,
        .iov = {{.base = bytes, .size = size}},
    };
    const struct sim_strike strike = {0};
    return sim_op_run(sim, &op, &strike);
}

static i64 stream_read(struct host_stream *base, void *out, size_t size, int *fds, u32 *fd_count)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct sim_host *sim = sim_of(base->host);
    struct sim_strike strike = {0};
    int err = stream->is_engine ? 0
                                : sim_call(sim, SIM_CALL_stream_read, stream->desc->label, &strike);
    if (!err && strike.error)
        err = -strike.error;
    struct reading reading = {
        .bytes = out,
        .size = strike.short_size ? MIN(size, strike.short_size) : size,
        .fds = fds,
        .fd_room = fds ? *fd_count : 0,
    };
    i64 count = err;
    if (!err && stream->desc->type == SIM_DESC_STREAM)
        count = stream_read_end(sim, stream->desc, &reading);
    else if (!err)
        count = stream_move_file(sim, stream->desc, out, reading.size, true);
    if (fd_count)
        *fd_count = reading.fd_count;
    return count;
}

/* ---- writing ---- */

static bool fds_are_open(struct sim_host *sim, const int *fds, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (!sim_fd_find(sim, fds[i]))
            return false;
    return true;
}

static void attach_fds(struct sim_host *sim, struct sim_segment *segment, const int *fds, u32 count)
{
    if (count == 0)
        return;
    segment->descs = sim_new(sim, count * sizeof *segment->descs);
    segment->desc_count = count;
    for (u32 i = 0; i < count; i++) {
        segment->descs[i] = sim_fd_find(sim, fds[i]);
        sim_desc_get(segment->descs[i]);
    }
}

/* How much of SIZE the reader's end takes, or -errno. */
static i64 room_for(struct sim_end *end, size_t size)
{
    struct sim_end *reader = &end->peer->end;
    u64 room = reader->capacity - MIN(reader->queued, reader->capacity);
    if (end->is_packet && size > reader->capacity)
        return -EMSGSIZE;
    if ((room == 0 && size > 0) || (end->is_packet && size > room)) {
        end->wants_room = true;
        return -EAGAIN;
    }
    if (size > room)
        end->wants_room = true;
    return (i64)MIN(size, room);
}

struct writing {
    const u8 *bytes;
    size_t size;
    const int *fds;
    u32 fd_count;
    u64 delay_ns;
};

static i64 stream_write_end(struct sim_host *sim, struct sim_desc *desc,
                            const struct writing *writing)
{
    struct sim_end *end = &desc->end;
    if (!end->may_write)
        return -EBADF;
    if (writing->fd_count > 0 && end->is_pipe)
        return -ENOTSOCK;
    if (!fds_are_open(sim, writing->fds, writing->fd_count))
        return -EBADF;
    if (output_ended(end))
        return -EPIPE;
    i64 taken = room_for(end, writing->size);
    if (taken < 0 || (taken == 0 && !end->is_packet))
        return taken;
    struct sim_desc *reader = end->peer;
    u32 piece_max = end->is_packet ? 0 : reader->end.piece_max;
    size_t at = 0;
    do {
        size_t part = (size_t)taken - at;
        if (piece_max)
            part = MIN(part, 1 + sim_choose(sim, "client", (u32)MIN(part, piece_max)));
        struct sim_segment *segment = segment_add(sim, reader, writing->bytes + at, part,
                                                  writing->delay_ns);
        if (at == 0)
            attach_fds(sim, segment, writing->fds, writing->fd_count);
        at += part;
    } while (at < (size_t)taken);
    if (has_visible(&reader->end))
        sim_desc_tell(sim, reader);
    return taken;
}

static i64 stream_write(struct host_stream *base, const void *bytes, size_t size, const int *fds,
                        u32 fd_count)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct sim_host *sim = sim_of(base->host);
    struct sim_strike strike = {0};
    int err = stream->is_engine
                  ? 0
                  : sim_call(sim, SIM_CALL_stream_write, stream->desc->label, &strike);
    if (!err && strike.error && !strike.torn)
        err = -strike.error;
    if (err)
        return err;
    if (strike.torn)
        size = (size_t)rand_below(&sim->inner, size + 1);
    else if (strike.short_size)
        size = MIN(size, strike.short_size);
    if (stream->desc->type != SIM_DESC_STREAM)
        return fd_count
                   ? -ENOTSOCK
                   : stream_move_file(sim, stream->desc, (void *)(uintptr_t)bytes, size, false);
    const struct writing writing = {bytes, size, fds, fd_count, strike.delay_ns};
    i64 count = stream_write_end(sim, stream->desc, &writing);
    if (strike.torn)
        return strike.error ? -strike.error : -EIO;
    return count;
}

static void close_fds(struct host *host, const int *fds, u32 count)
{
    for (u32 i = 0; i < count; i++)
        sim_fd_put(sim_of(host), fds[i]);
}

/* ---- listeners ---- */

static struct sim_listener *sim_listener_of(struct host_listener *listener)
{
    return container_of(listener, struct sim_listener, listener);
}

static struct host_listener *listener_from_fd(struct host *host, int fd)
{
    struct sim_host *sim = sim_of(host);
    struct sim_desc *desc = sim_fd_find(sim, fd);
    if (!desc)
        return NULL;
    if (sim_call(sim, SIM_CALL_wrap, desc->label, NULL) || desc->type != SIM_DESC_LISTENER) {
        sim_fd_put(sim, fd);
        return NULL;
    }
    struct sim_listener *listener = sim_new(sim, sizeof *listener);
    listener->listener.host = host;
    listener->fd = fd;
    listener->owner = sim->slots[fd].owner = sim->owner;
    listener->desc = desc;
    sim_desc_get(desc);
    list_add_tail(&sim->listeners, &listener->link);
    return &listener->listener;
}

void sim_listener_put(struct host_listener *base)
{
    struct sim_listener *listener = sim_listener_of(base);
    struct sim_host *sim = sim_of(base->host);
    sim_source_watch(sim, listener->desc, &listener->source, NULL);
    list_remove(&listener->link);
    sim_fd_put(sim, listener->fd);
    sim_desc_put(sim, listener->desc);
    sim_delete(sim, listener, sizeof *listener);
}

static int listener_accept(struct host_listener *base, struct host_stream **out)
{
    struct sim_desc *desc = sim_listener_of(base)->desc;
    struct sim_host *sim = sim_of(base->host);
    int err = sim_call(sim, SIM_CALL_accept, desc->label, NULL);
    if (err)
        return err;
    struct sim_waiting *waiting = list_first_or_null(&desc->backlog, struct sim_waiting, link);
    if (!waiting)
        return -EAGAIN;
    sim_desc_get(waiting->desc); /* a full table leaves it in the queue */
    int fd = sim_fd_install(sim, waiting->desc);
    if (fd < 0)
        return fd;
    list_remove(&waiting->link);
    desc->backlog_count--;
    sim_desc_put(sim, waiting->desc);
    sim_delete(sim, waiting, sizeof *waiting);
    *out = &sim_stream_wrap(sim, fd, false)->stream;
    return 0;
}

static void listener_watch(struct host_listener *base, struct host_watch *watch)
{
    struct sim_listener *listener = sim_listener_of(base);
    sim_source_watch(sim_of(base->host), listener->desc, &listener->source, watch);
}

int sim_listener_connect(struct sim_host *sim, struct sim_desc *listener, struct sim_desc **out)
{
    if (listener->backlog_count >= BACKLOG_MAX)
        return -EAGAIN;
    struct sim_waiting *waiting = sim_new(sim, sizeof *waiting);
    struct sim_desc *client;
    sim_ends_create(sim, SOCK_STREAM, &client, &waiting->desc);
    list_add_tail(&listener->backlog, &waiting->link);
    listener->backlog_count++;
    sim_desc_tell(sim, listener);
    *out = client;
    return 0;
}

static int connect_at(struct host_file *dir, const char *name, int type, struct host_stream **out)
{
    struct sim_host *sim = sim_of_file(dir);
    struct sim_place place;
    int err = sim_place_at(dir, name, SIM_CALL_connect, &place);
    if (!err && !place.node)
        err = -ENOENT;
    if (!err && !place.node->listener)
        err = -ECONNREFUSED;
    if (!err && type != SOCK_STREAM)
        err = -EPROTOTYPE;
    struct sim_desc *client;
    if (!err)
        err = sim_listener_connect(sim, place.node->listener, &client);
    if (err)
        return err;
    int fd = sim_fd_install(sim, client);
    if (fd < 0)
        return fd;
    *out = &sim_stream_wrap(sim, fd, false)->stream;
    return 0;
}

void sim_stream_ops_set(struct host_ops *ops)
{
    ops->connect_at = connect_at;
    ops->stream_from_fd = stream_from_fd;
    ops->stream_pair = stream_pair;
    ops->stream_put = sim_stream_put;
    ops->stream_fd = stream_fd;
    ops->stream_read = stream_read;
    ops->stream_write = stream_write;
    ops->stream_shutdown = stream_shutdown;
    ops->stream_watch = stream_watch;
    ops->stream_poll = stream_poll;
    ops->stream_stat = stream_stat;
    ops->stream_ioctl = stream_ioctl;
    ops->listener_from_fd = listener_from_fd;
    ops->listener_put = sim_listener_put;
    ops->listener_accept = listener_accept;
    ops->listener_watch = listener_watch;
    ops->close_fds = close_fds;
}
