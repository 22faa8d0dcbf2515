/* SPDX-License-Identifier: Apache-2.0 */
/* What both hosts promise of streams, watches, clocks, entropy and arenas; see contract_env.h. */
#include "host/contract_env.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

/* ---- streams ---- */

struct ends {
    struct host_stream *a, *b;
};

static struct ends make_pair(struct env *env, int type)
{
    struct ends ends = {NULL, NULL};
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(env->host, type, &ends.a, &ends.b), 0);
    return ends;
}

static i64 read_text(struct host_stream *stream, char *out, size_t size)
{
    memset(out, 0, size);
    return host_stream_read(stream, out, size - 1, NULL, NULL);
}

static i64 write_text(struct host_stream *stream, const char *text)
{
    return host_stream_write(stream, text, strlen(text), NULL, 0);
}

static void a_pair_carries_bytes_both_ways(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(write_text(ends.a, "one"), 3);
    CU_ASSERT_EQUAL(write_text(ends.a, "two"), 3);
    CU_ASSERT_EQUAL(write_text(ends.b, "back"), 4);
    CU_ASSERT_EQUAL(read_text(ends.b, out, 5), 4);
    CU_ASSERT_STRING_EQUAL(out, "onet");
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 2);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 4);
    CU_ASSERT_STRING_EQUAL(out, "back");
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void what_was_sent_before_the_end_is_read_first(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "last"), 4);
    host_stream_put(ends.a);
    CU_ASSERT_EQUAL(host_stream_poll(ends.b), HOST_READABLE | HOST_WRITABLE | HOST_HANGUP);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 4);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 0);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 0);
    CU_ASSERT_EQUAL(write_text(ends.b, "x"), -EPIPE);
    host_stream_put(ends.b);
}

static void a_peer_that_went_without_reading_is_a_reset(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "unread"), 6);
    CU_ASSERT_EQUAL(write_text(ends.b, "still"), 5);
    host_stream_put(ends.b);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 5);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), -ECONNRESET);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 0);
    host_stream_put(ends.a);
}

static void packets_keep_their_bounds(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_SEQPACKET);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "first"), 5);
    CU_ASSERT_EQUAL(write_text(ends.a, "second"), 6);
    CU_ASSERT_EQUAL(read_text(ends.b, out, 4), 3); /* the rest of a packet is lost */
    CU_ASSERT_STRING_EQUAL(out, "fir");
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 6);
    CU_ASSERT_STRING_EQUAL(out, "second");
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), -EAGAIN);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void a_full_stream_refuses_until_it_is_read(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    static char block[65536];
    i64 count;
    u64 sent = 0;
    while ((count = host_stream_write(ends.a, block, sizeof block, NULL, 0)) > 0)
        sent += (u64)count;
    CU_ASSERT_EQUAL(count, -EAGAIN);
    CU_ASSERT_TRUE(sent > 100000 && sent < 10000000);
    CU_ASSERT_EQUAL(host_stream_poll(ends.a), 0);
    u64 got = 0;
    while ((count = host_stream_read(ends.b, block, sizeof block, NULL, NULL)) > 0)
        got += (u64)count;
    CU_ASSERT_EQUAL(got, sent);
    CU_ASSERT_EQUAL(host_stream_poll(ends.a), HOST_WRITABLE);
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    CU_ASSERT_EQUAL(read_text(ends.b, block, 8), 1);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void each_direction_is_shut_by_itself(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    host_stream_shutdown(ends.a, SHUT_WR);
    CU_ASSERT_EQUAL(write_text(ends.a, "y"), -EPIPE);
    CU_ASSERT_EQUAL(host_stream_poll(ends.b), HOST_READABLE | HOST_WRITABLE);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 1);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 0);
    CU_ASSERT_EQUAL(write_text(ends.b, "z"), 1);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 1);
    host_stream_shutdown(ends.a, SHUT_RD);
    CU_ASSERT_EQUAL(write_text(ends.b, "z"), -EPIPE);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 0);
    CU_ASSERT_TRUE(host_stream_poll(ends.b) & HOST_HANGUP);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void descriptors_travel_with_the_first_byte(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct host_file *file = env_make_file(env, "f", "via");
    int sent[2] = {host_file_fd(file), host_file_fd(file)};
    CU_ASSERT_EQUAL(write_text(ends.a, "before"), 6);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "with", 4, sent, 2), 4);
    CU_ASSERT_EQUAL(write_text(ends.a, "after"), 5);
    host_file_put(file); /* what is under way lives on */

    char out[32];
    int fds[HOST_FDS_MAX];
    u32 count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, 4, fds, &count), 4);
    CU_ASSERT_EQUAL(count, 0);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, 4, fds, &count), 4); /* "re" and "wi" */
    CU_ASSERT_EQUAL_FATAL(count, 2);
    file = host_file_from_fd(env->host, fds[0]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(host_pread(file, out, sizeof out, 0), 3);
    host_file_put(file);
    host_close_fds(env->host, fds + 1, 1);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count), 7);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(write_text(ends.a, "before"), 6);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "with", 4, sent + 1, 0), 4);
    int own = host_stream_fd(ends.a);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "more", 4, &own, 1), 4);
    CU_ASSERT_EQUAL(write_text(ends.a, "after"), 5);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count),
                    14); /* ends behind "more" */
    CU_ASSERT_EQUAL(count, 1);
    host_close_fds(env->host, fds, count);
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, NULL, NULL), 5);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count), -EAGAIN);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "", 0, sent, 1), -EINVAL);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "x", 1, (int[]){9999}, 1), -EBADF);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void descriptors_that_nobody_wants_are_closed(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct host_file *file = env_make_file(env, "f", "x");
    int sent[3] = {host_file_fd(file), host_file_fd(file), host_file_fd(file)};
    u32 before = env->count_fds(env);
    char out[8];
    int fds[2];
    u32 count = 2;
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "x", 1, sent, 3), 1);
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count), -EMFILE);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(env->count_fds(env), before);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "y", 1, sent, 3), 1);
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, NULL, NULL), 1);
    CU_ASSERT_EQUAL(env->count_fds(env), before);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "z", 1, sent, 3), 1); /* and never read */
    /* A stream in its own message, too. */
    int own = host_stream_fd(ends.b);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "w", 1, &own, 1), 1);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
    CU_ASSERT_EQUAL(env->count_fds(env), before - 2);
    host_file_put(file);
}

static void a_pipe_has_one_direction(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_pipe(env, fds), 0);
    struct host_stream *reader = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *writer = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(reader && writer);
    char out[8];
    CU_ASSERT_EQUAL(read_text(reader, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(host_stream_poll(reader), 0);
    CU_ASSERT_EQUAL(host_stream_poll(writer), HOST_WRITABLE);
    CU_ASSERT_EQUAL(read_text(writer, out, sizeof out), -EBADF);
    CU_ASSERT_EQUAL(write_text(reader, "x"), -EBADF);
    CU_ASSERT_EQUAL(host_stream_write(writer, "x", 1, fds, 1), -ENOTSOCK);
    CU_ASSERT_EQUAL(write_text(writer, "abc"), 3);
    CU_ASSERT_EQUAL(host_stream_poll(reader), HOST_READABLE);
    host_stream_put(writer);
    CU_ASSERT_EQUAL(host_stream_poll(reader), HOST_READABLE | HOST_HANGUP);
    CU_ASSERT_EQUAL(read_text(reader, out, sizeof out), 3);
    CU_ASSERT_EQUAL(read_text(reader, out, sizeof out), 0);
    host_stream_put(reader);
}

static void a_pipe_without_reader_is_an_error_and_no_signal(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_pipe(env, fds), 0);
    struct host_stream *reader = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *writer = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(reader && writer);
    host_stream_put(reader);
    CU_ASSERT_EQUAL(host_stream_poll(writer), HOST_WRITABLE | HOST_HANGUP);
    CU_ASSERT_EQUAL(write_text(writer, "x"), -EPIPE);
    host_stream_put(writer);
}

static void a_pipe_fills_up(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_pipe(env, fds), 0);
    struct host_stream *reader = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *writer = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(reader && writer);
    static char block[100000];
    i64 count;
    u64 sent = 0;
    while ((count = host_stream_write(writer, block, sizeof block, NULL, 0)) > 0)
        sent += (u64)count;
    CU_ASSERT_EQUAL(count, -EAGAIN);
    CU_ASSERT_EQUAL(sent, 65536);
    CU_ASSERT_EQUAL(host_stream_poll(writer), 0);
    CU_ASSERT_EQUAL(host_stream_read(reader, block, sizeof block, NULL, NULL), 65536);
    CU_ASSERT_EQUAL(host_stream_poll(writer), HOST_WRITABLE);
    host_stream_put(reader);
    host_stream_put(writer);
}

static void only_a_terminal_answers_terminal_calls(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_terminal(env, fds), 0);
    struct host_stream *terminal = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *other = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(terminal && other);
    u8 termios[64] = {0};
    u16 window[4] = {30, 100, 0, 0};
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TIOCSWINSZ, window), 0);
    memset(window, 0, sizeof window);
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TIOCGWINSZ, window), 0);
    CU_ASSERT_EQUAL(window[0], 30);
    CU_ASSERT_EQUAL(window[1], 100);
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TCGETS, termios), 0);
    CU_ASSERT_EQUAL(termios[0], 0x00); /* ICRNL and IXON: 0x500 */
    CU_ASSERT_EQUAL(termios[1], 0x05);
    termios[12] &= (u8)~0x0a; /* no ICANON, no ECHO */
    termios[4] = termios[5] = 0;
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TCSETS, termios), 0);
    u8 again[64] = {0};
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TCGETS, again), 0);
    CU_ASSERT_EQUAL(memcmp(again, termios, 36), 0);
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, 0x5412 /* TIOCSTI */, termios), -ENOTTY);
    char out[16];
    CU_ASSERT_EQUAL(read_text(terminal, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(write_text(other, "typed"), 5);
    CU_ASSERT_EQUAL(read_text(terminal, out, sizeof out), 5);
    CU_ASSERT_EQUAL(write_text(terminal, "shown"), 5);
    CU_ASSERT_EQUAL(read_text(other, out, sizeof out), 5);
    CU_ASSERT_STRING_EQUAL(out, "shown");
    host_stream_put(terminal);
    host_stream_put(other);
    struct ends ends = make_pair(env, SOCK_STREAM);
    CU_ASSERT_EQUAL(host_stream_ioctl(ends.a, TCGETS, termios), -ENOTTY);
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_stream_stat(ends.a, &stat), 0);
    CU_ASSERT_TRUE(S_ISSOCK(stat.mode));
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

/* ---- watching ---- */

struct seen {
    struct host_watch watch;
    u32 ready;
    u32 count;
};

static void seen_notify(struct host_watch *watch, u32 ready)
{
    struct seen *seen = watch->owner;
    seen->ready |= ready;
    seen->count++;
}

static void seen_init(struct seen *seen)
{
    *seen = (struct seen){.watch = {.notify = seen_notify, .owner = seen}};
}

/* Reap for a little while; what was told since the last call. */
static u32 seen_take(struct env *env, struct seen *seen)
{
    for (int turns = 0; turns < 4; turns++) {
        host_wait(env->host, host_monotonic_ns(env->host) + NS_PER_MS);
        host_reap(env->host);
    }
    u32 ready = seen->ready;
    seen->ready = 0;
    return ready;
}

static void a_watch_is_told_of_now_and_of_each_change(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct seen seen;
    seen_init(&seen);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    host_stream_watch(ends.b, &seen.watch);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_READABLE | HOST_WRITABLE);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0); /* an edge is told once */
    CU_ASSERT_EQUAL(write_text(ends.a, "y"), 1);
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_READABLE);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 2);
    host_stream_watch(ends.b, NULL);
    CU_ASSERT_EQUAL(write_text(ends.a, "z"), 1);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0);
    host_stream_watch(ends.b, &seen.watch); /* and tells of now again */
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_READABLE);
    host_stream_put(ends.a);
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_HANGUP);
    host_stream_put(ends.b);
}

static void a_watch_ends_with_its_stream(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct seen seen;
    seen_init(&seen);
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    host_stream_watch(ends.b, &seen.watch);
    host_stream_put(ends.b);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0);
    host_stream_put(ends.a);
}

static void a_writer_is_told_of_room(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct seen seen;
    seen_init(&seen);
    host_stream_watch(ends.a, &seen.watch);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_WRITABLE);
    static char block[65536];
    while (host_stream_write(ends.a, block, sizeof block, NULL, 0) > 0)
        continue;
    (void)seen_take(env, &seen);
    while (host_stream_read(ends.b, block, sizeof block, NULL, NULL) > 0)
        continue;
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_WRITABLE);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

/* A watch that, when told, ends another's. */
struct ender {
    struct host_watch watch;
    struct host_stream *other;
    struct host_stream *told;
};

static void ender_notify(struct host_watch *watch, u32 ready)
{
    struct ender *ender = watch->owner;
    CU_ASSERT_PTR_NOT_NULL(ender->other);
    host_stream_watch(ender->other, NULL);
}

static void a_watch_may_be_ended_while_others_are_told(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct ender a = {.watch = {.notify = ender_notify, .owner = &a}, .other = ends.b};
    struct ender b = {.watch = {.notify = ender_notify, .owner = &b}, .other = ends.a};
    host_stream_watch(ends.a, &a.watch);
    host_stream_watch(ends.b, &b.watch);
    u32 told = 0;
    for (int turns = 0; turns < 4; turns++) {
        host_wait(env->host, host_monotonic_ns(env->host) + NS_PER_MS);
        told += host_reap(env->host);
    }
    CU_ASSERT_EQUAL(told, 1); /* whoever came first ended the other */
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void a_listener_gives_connections(struct env *env)
{
    int fd = env->make_listener(env, "sock");
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    struct host_listener *listener = host_listener_from_fd(env->host, fd);
    CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
    struct seen seen;
    seen_init(&seen);
    host_listener_watch(listener, &seen.watch);
    struct host_stream *server = NULL;
    struct host_stream *client = NULL;
    CU_ASSERT_EQUAL(host_listener_accept(listener, &server), -EAGAIN);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0);
    CU_ASSERT_EQUAL_FATAL(host_connect_at(env->dir, "sock", SOCK_STREAM, &client), 0);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_READABLE);
    CU_ASSERT_EQUAL(write_text(client, "early"), 5);
    CU_ASSERT_EQUAL_FATAL(host_listener_accept(listener, &server), 0);
    char out[8];
    CU_ASSERT_EQUAL(read_text(server, out, sizeof out), 5);
    host_stream_put(client);
    host_stream_put(server);
    CU_ASSERT_EQUAL_FATAL(host_connect_at(env->dir, "sock", SOCK_STREAM, &client), 0);
    host_listener_put(listener); /* with one waiting: the client sees the end */
    i64 got = read_text(client, out, sizeof out);
    CU_ASSERT_TRUE(got == 0 || got == -ECONNRESET);
    host_stream_put(client);
    CU_ASSERT_EQUAL(host_connect_at(env->dir, "sock", SOCK_STREAM, &client), -ECONNREFUSED);
    CU_ASSERT_EQUAL(host_connect_at(env->dir, "none", SOCK_STREAM, &client), -ENOENT);
    host_file_put(env_make_file(env, "plain", ""));
    CU_ASSERT_EQUAL(host_connect_at(env->dir, "plain", SOCK_STREAM, &client), -ECONNREFUSED);
}

static void a_file_may_be_a_stream_that_is_always_ready(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "abc");
    struct host_stream *stream = host_stream_from_fd(env->host, host_file_release(file));
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    struct seen seen;
    seen_init(&seen);
    host_stream_watch(stream, &seen.watch);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_READABLE | HOST_WRITABLE);
    char out[8];
    CU_ASSERT_EQUAL(read_text(stream, out, 3), 2);
    CU_ASSERT_EQUAL(write_text(stream, "X"), 1);
    CU_ASSERT_EQUAL(read_text(stream, out, sizeof out), 0);
    host_stream_put(stream);
}

/* ---- clock, entropy, arenas ---- */

static void time_goes_forward(struct env *env)
{
    u64 before = host_monotonic_ns(env->host);
    u64 real = host_realtime_ns(env->host);
    host_clock_advance(env->host, before + 5);
    CU_ASSERT_TRUE(host_monotonic_ns(env->host) >= before);
    CU_ASSERT_TRUE(host_realtime_ns(env->host) >= real);
    CU_ASSERT_EQUAL(host_next_completion_ns(env->host), NO_DEADLINE);
}

static void entropy_fills_what_it_is_given(struct env *env)
{
    u8 a[64] = {0}, b[64] = {0};
    CU_ASSERT_EQUAL(host_entropy(env->host, a, sizeof a), 0);
    CU_ASSERT_EQUAL(host_entropy(env->host, b, sizeof b), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    CU_ASSERT_EQUAL(host_choose(env->host, "test", 1), 0);
    CU_ASSERT_TRUE(host_choose(env->host, "test", 3) < 3);
}

static void an_arena_has_a_limit(struct env *env)
{
    struct arena *arena = host_arena_create(env->host, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    u8 *a = arena_alloc(arena, 600);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_EQUAL(a[599], 0);
    CU_ASSERT_PTR_NULL(arena_alloc(arena, 401));
    void *b = arena_alloc(arena, 400);
    CU_ASSERT_PTR_NOT_NULL(b);
    CU_ASSERT_EQUAL(arena->bytes_live, 1000);
    arena_free(arena, a, 600);
    arena_free(arena, b, 400);
    CU_ASSERT_EQUAL(arena->allocations, 3);
    CU_ASSERT_PTR_NULL(arena_alloc(arena, SIZE_MAX));
    host_arena_destroy(env->host, arena);
}

#define TESTS(T)                                       \
    T(a_pair_carries_bytes_both_ways)                  \
    T(what_was_sent_before_the_end_is_read_first)      \
    T(a_peer_that_went_without_reading_is_a_reset)     \
    T(packets_keep_their_bounds)                       \
    T(a_full_stream_refuses_until_it_is_read)          \
    T(each_direction_is_shut_by_itself)                \
    T(descriptors_travel_with_the_first_byte)          \
    T(descriptors_that_nobody_wants_are_closed)        \
    T(a_pipe_has_one_direction)                        \
    T(a_pipe_without_reader_is_an_error_and_no_signal) \
    T(a_pipe_fills_up)                                 \
    T(only_a_terminal_answers_terminal_calls)          \
    T(a_watch_is_told_of_now_and_of_each_change)       \
    T(a_watch_ends_with_its_stream)                    \
    T(a_writer_is_told_of_room)                        \
    T(a_watch_may_be_ended_while_others_are_told)      \
    T(a_listener_gives_connections)                    \
    T(a_file_may_be_a_stream_that_is_always_ready)     \
    T(time_goes_forward)                               \
    T(entropy_fills_what_it_is_given)                  \
    T(an_arena_has_a_limit)
ENV_TESTS(TESTS)

void contract_stream_suite(void)
{
    ENV_ADD(TESTS, "streams");
}
