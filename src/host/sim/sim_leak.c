/* SPDX-License-Identifier: Apache-2.0 */
/* What is left in the simulated host, and how a process's things go when it dies. */
#include "host/sim/internal.h"

#include <stdio.h>
#include <string.h>

void sim_leaks(struct host *host, struct sim_leaks *out)
{
    struct sim_host *sim = sim_of(host);
    memset(out, 0, sizeof *out);
    for (u32 fd = 0; fd < sim->slot_count; fd++)
        out->fds += sim->slots[fd].desc != NULL;
    struct sim_file *file;
    list_for_each (file, &sim->files, link)
        out->files++;
    struct sim_stream *stream;
    list_for_each (stream, &sim->streams, link) {
        out->streams += !stream->is_engine;
        out->watches += stream->source.watch != NULL;
    }
    struct sim_listener *listener;
    list_for_each (listener, &sim->listeners, link) {
        out->listeners++;
        out->watches += listener->source.watch != NULL;
    }
    struct sim_pending *pending;
    list_for_each (pending, &sim->pending, link)
        out->ops++;
    struct sim_arena *arena;
    list_for_each (arena, &sim->arenas, link) {
        out->arenas++;
        out->arena_bytes += arena->arena.bytes_live;
        out->arena_objects += arena->arena.object_count;
    }
}

u32 sim_leak_count(struct host *host)
{
    struct sim_leaks leaks;
    sim_leaks(host, &leaks);
    return leaks.fds + leaks.files + leaks.streams + leaks.listeners + leaks.ops;
}

#define LINE_SIZE (SIM_PATH_SIZE + 128)

struct lines {
    void (*line)(void *arg, const char *text);
    void *arg;
};

static PRINTF(2, 3) void say(const struct lines *lines, const char *format, ...)
{
    char text[LINE_SIZE];
    __builtin_va_list args;
    __builtin_va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    __builtin_va_end(args);
    lines->line(lines->arg, text);
}

struct arena_lines {
    const struct lines *lines;
    u32 owner;
};

static void say_kind(void *arg, const char *kind, u64 count)
{
    const struct arena_lines *of = arg;
    say(of->lines, "owner %u: %llu objects '%s' in an arena", of->owner, (unsigned long long)count,
        kind);
}

void sim_leak_lines(struct host *host, void (*line)(void *arg, const char *text), void *arg)
{
    struct sim_host *sim = sim_of(host);
    const struct lines lines = {line, arg};
    for (u32 fd = 0; fd < sim->slot_count; fd++)
        if (sim->slots[fd].desc)
            say(&lines, "owner %u: descriptor %u of '%s'", sim->slots[fd].owner, fd,
                sim->slots[fd].desc->label);
    struct sim_file *file;
    list_for_each (file, &sim->files, link)
        say(&lines, "owner %u: file '%s', %u references", file->owner, file->desc->label,
            file->file.refs);
    struct sim_stream *stream;
    list_for_each (stream, &sim->streams, link)
        if (!stream->is_engine)
            say(&lines, "owner %u: stream '%s'%s", stream->owner, stream->desc->label,
                stream->source.watch ? ", watched" : "");
    struct sim_listener *listener;
    list_for_each (listener, &sim->listeners, link)
        say(&lines, "owner %u: listener '%s'%s", listener->owner, listener->desc->label,
            listener->source.watch ? ", watched" : "");
    struct sim_pending *pending;
    list_for_each (pending, &sim->pending, link)
        say(&lines, "owner %u: operation %d on '%s' not done", pending->owner,
            (int)pending->op->type, sim_desc_of(pending->op->file)->label);
    struct sim_arena *arena;
    list_for_each (arena, &sim->arenas, link) {
        struct arena_lines of = {&lines, arena->owner};
        say(&lines, "owner %u: an arena with %llu bytes", arena->owner,
            (unsigned long long)arena->arena.bytes_live);
        arena_report_live(&arena->arena, say_kind, &of);
    }
}

static bool is_of(u32 owner, u32 whose)
{
    return whose == SIM_OWNER_ALL || owner == whose;
}

void sim_drop(struct host *host, u32 owner)
{
    struct sim_host *sim = sim_of(host);
    struct sim_pending *pending, *pending_next;
    list_for_each_safe (pending, pending_next, &sim->pending, link) {
        if (!is_of(pending->owner, owner))
            continue;
        list_remove(&pending->link);
        sim_delete(sim, pending, sizeof *pending);
    }
    struct sim_file *file, *file_next;
    list_for_each_safe (file, file_next, &sim->files, link)
        if (is_of(file->owner, owner))
            sim_file_destroy(&file->file);
    struct sim_stream *stream, *stream_next;
    list_for_each_safe (stream, stream_next, &sim->streams, link)
        if (is_of(stream->owner, owner))
            sim_stream_put(&stream->stream);
    struct sim_listener *listener, *listener_next;
    list_for_each_safe (listener, listener_next, &sim->listeners, link)
        if (is_of(listener->owner, owner))
            sim_listener_put(&listener->listener);
    for (u32 fd = 0; fd < sim->slot_count; fd++)
        if (sim->slots[fd].desc && is_of(sim->slots[fd].owner, owner))
            sim_fd_put(sim, (int)fd);
    if (owner == SIM_OWNER_ALL)
        sim_desc_collect(sim);
    struct sim_arena *arena, *arena_next;
    list_for_each_safe (arena, arena_next, &sim->arenas, link)
        if (is_of(arena->owner, owner))
            sim_arena_drop(sim, arena);
}
