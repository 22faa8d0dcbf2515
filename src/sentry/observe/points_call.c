/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points of system calls: the row's little language (points.def) read argument by argument. What an
 * execve names is gone with the old memory when it has succeeded, so its strings are only in the
 * enter event.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "abi/process.h"
#include "sentry/fs/file.h"
#include "sentry/observe/points_internal.h"

#define TEXT_MAX 4096u
#define LIST_MAX 256u
#define ADDRESS_MAX 128u

enum message_type {
#define POINT_MESSAGE(number, what, list) TYPE_##what = (number),
#define POINT_CALL(nr, call, what, list)
#include "sentry/observe/points.def"
#undef POINT_CALL
#undef POINT_MESSAGE
};

static const struct {
    const char *name, *fields;
    u32 type;
} rows[POINT_SYSNO_COUNT] = {
#define POINT_MESSAGE(number, what, list)
#define POINT_CALL(nr, call, what, list) [nr] = {#call, list, TYPE_##what},
#include "sentry/observe/points.def"
#undef POINT_CALL
#undef POINT_MESSAGE
};

const char *point_call_fields(u64 nr, u32 *type)
{
    if (nr >= POINT_SYSNO_COUNT || !rows[nr].name)
        return NULL;
    *type = rows[nr].type;
    return rows[nr].fields;
}

const char *point_call_name(u64 nr)
{
    return rows[nr].name;
}

/* ---- one call ------------------------------------------------------------------------------- */

struct call_event {
    struct point_event event;
    struct task *task;
    const struct sysargs *args;
    i64 result;
    bool is_exit;
    bool has_memory; /* its strings can still be read */
};

static void put_fd_path(struct call_event *call, u32 field, u32 arg)
{
    AUTO_PUT struct file *file = NULL;
    if (!point_wants(&call->event, OPTIONAL_FD_PATH) || !call->task->fds)
        return;
    file = fd_get(call->task, (i32)(u32)call->args->v[arg]);
    if (file)
        point_put_path(&call->event, field, &file->path, call->task);
}

/* At most TEXT_MAX bytes of the string at AT into event->text; false: there is none. */
SLEEPS static bool read_text(struct call_event *call, u64 at)
{
    u8 *room;
    struct buf *text = &call->event.text;
    buf_clear(text);
    if (!at || !call->has_memory || buf_reserve(text, TEXT_MAX, &room))
        return false;
    i64 size = copy_string_from_user(call->task, (char *)room, uaddr_make(at), TEXT_MAX);
    if (size == -ENAMETOOLONG)
        size = TEXT_MAX;
    if (size < 0)
        return false;
    buf_grow(text, (size_t)size);
    return true;
}

SLEEPS static void put_string(struct call_event *call, u32 field, u64 at)
{
    if (read_text(call, at))
        protobuf_put_bytes(&call->event.out, field, buf_bytes(&call->event.text),
                           call->event.text.size);
}

SLEEPS static void put_list(struct call_event *call, u32 field, u64 at)
{
    for (u32 i = 0; at && call->has_memory && i < LIST_MAX; i++) {
        u64 each = 0;
        if (copy_from_user(call->task, &each, uaddr_make(at + i * sizeof each), sizeof each) ||
            !each || !read_text(call, each))
            return;
        protobuf_add_bytes(&call->event.out, field, buf_bytes(&call->event.text),
                           call->event.text.size);
    }
}

SLEEPS static void put_address(struct call_event *call, u32 field, u64 at, u64 size)
{
    u8 bytes[ADDRESS_MAX];
    u64 step = MIN((u64)(u32)size, (u64)ADDRESS_MAX);
    if (at && step > 0 && copy_from_user(call->task, bytes, uaddr_make(at), step) == 0)
        protobuf_put_bytes(&call->event.out, field, bytes, step);
}

/* COUNT words at AT as a message of fields 1 and 2; DEEP: each of them such a message itself. */
SLEEPS static void put_words(struct call_event *call, u32 field, u64 at, bool is_deep)
{
    u64 words[4];
    struct protobuf *out = &call->event.out;
    u32 count = is_deep ? 4 : 2;
    if (!at || copy_from_user(call->task, words, uaddr_make(at), count * sizeof *words))
        return;
    size_t begun = protobuf_begin(out, field);
    for (u32 i = 0; i < 2; i++) {
        if (!is_deep) {
            protobuf_put_u64(out, i + 1, words[i]);
            continue;
        }
        size_t inner = protobuf_begin(out, i + 1);
        protobuf_put_u64(out, 1, words[i * 2]);
        protobuf_put_u64(out, 2, words[i * 2 + 1]);
        protobuf_end(out, inner);
    }
    protobuf_end(out, begun);
}

SLEEPS static void put_descriptor(struct call_event *call, u32 field, u64 at, u32 index)
{
    i32 fd;
    if (call->is_exit && call->result == 0 &&
        copy_from_user(call->task, &fd, uaddr_make(at + index * sizeof fd), sizeof fd) == 0)
        protobuf_put_i64(&call->event.out, field, fd);
}

/* What is there only after a call that succeeded. */
SLEEPS static void put_outcome(struct call_event *call, u32 field, char kind, u32 arg)
{
    const u64 *v = call->args->v;
    u32 size = 0;
    if (!call->is_exit || call->result < 0)
        return;
    switch (kind) {
    case 'b':
        if (v[arg] && copy_from_user(call->task, &size, uaddr_make(v[arg + 1]), sizeof size) == 0)
            put_address(call, field, v[arg], size);
        break;
    case 'l':
        put_words(call, field, v[arg], false);
        break;
    case 't':
        put_words(call, field, v[arg], true);
        break;
    case 'r':
        protobuf_put_i64(&call->event.out, field, call->result);
        break;
    default:
        put_descriptor(call, field, v[arg], kind == 'y');
    }
}

SLEEPS static void put_memory(struct call_event *call, u32 field, char kind, u32 arg)
{
    const u64 *v = call->args->v;
    u64 set = 0;
    switch (kind) {
    case 'S':
        put_string(call, field, v[arg]);
        break;
    case 'A':
        put_list(call, field, v[arg]);
        break;
    case 'E':
        if (point_wants(&call->event, OPTIONAL_ENVV))
            put_list(call, field, v[arg]);
        break;
    case 'B':
        put_address(call, field, v[arg], v[arg + 1]);
        break;
    case 'L':
        put_words(call, field, v[arg], false);
        break;
    case 'T':
        put_words(call, field, v[arg], true);
        break;
    case 'V':
        if (copy_from_user(call->task, &set, uaddr_make(v[arg]), sizeof set) == 0)
            protobuf_put_u64(&call->event.out, field, set);
        break;
    default:
        put_outcome(call, field, kind, arg);
    }
}

SLEEPS static void put_field(struct call_event *call, u32 field, char kind, u32 arg)
{
    struct protobuf *out = &call->event.out;
    u64 value = call->args->v[arg];
    switch (kind) {
    case 'i':
        protobuf_put_i64(out, field, (i32)(u32)value);
        break;
    case 'u':
        protobuf_put_u64(out, field, (u32)value);
        break;
    case 'I': /* descriptors come as int */
        protobuf_put_i64(out, field, arg == 0 ? (i64)(i32)(u32)value : (i64)value);
        break;
    case 'U':
        protobuf_put_u64(out, field, value);
        break;
    case 'C':
        protobuf_put_i64(out, field, AT_FDCWD);
        break;
    case 'K':
        protobuf_put_u64(out, field, O_CREAT | O_WRONLY | O_TRUNC);
        break;
    case '1':
        protobuf_put_u64(out, field, 1);
        break;
    case 'P':
        put_fd_path(call, field, arg);
        break;
    default:
        put_memory(call, field, kind, arg);
    }
}

/* "4I0 5P0 71 10I5": a field's number, its kind, and for most kinds an argument. The number is all
 * digits but a last one that stands for the kind 1. */
SLEEPS static void put_fields(struct call_event *call, const char *at)
{
    while (*at) {
        u32 field = 0, arg = 0;
        while (*at >= '0' && *at <= '9' && at[1] && at[1] != ' ')
            field = field * 10 + (u32)(*at++ - '0');
        char kind = *at++;
        if (*at >= '0' && *at <= '9')
            arg = (u32)(*at++ - '0');
        put_field(call, field, kind, arg);
        while (*at == ' ')
            at++;
    }
}

/* ---- the two moments ------------------------------------------------------------------------ */

static void put_exit(struct call_event *call)
{
    struct protobuf *out = &call->event.out;
    if (!call->is_exit)
        return;
    size_t begun = protobuf_begin(out, 2);
    if (call->result >= 0)
        protobuf_put_i64(out, 1, call->result);
    else
        protobuf_put_i64(out, 2, -call->result);
    protobuf_end(out, begun);
}

SLEEPS static void tell_raw(struct points *points, struct call_event *call, u64 nr)
{
    point_event_begin(&call->event, points, POINT_RAW((u32)nr, call->is_exit), 6, call->task);
    put_exit(call);
    protobuf_put_u64(&call->event.out, 4, nr);
    for (u32 i = 0; i < 6; i++)
        protobuf_put_u64(&call->event.out, 5 + i, call->args->v[i]);
    point_event_send_patiently(&call->event, &call->task->fiber);
}

SLEEPS static void tell_named(struct points *points, struct call_event *call, u64 nr)
{
    point_event_begin(&call->event, points, POINT_NAMED((u32)nr, call->is_exit), rows[nr].type,
                      call->task);
    put_exit(call);
    protobuf_put_u64(&call->event.out, 3, nr);
    put_fields(call, rows[nr].fields);
    point_event_send_patiently(&call->event, &call->task->fiber);
}

SLEEPS static void tell(struct points *points, struct call_event *call, u64 nr)
{
    if (nr >= POINT_SYSNO_COUNT || points->is_ending || !call->task->mm)
        return;
    bool is_raw = points->settings[POINT_RAW(nr, call->is_exit)].is_on,
         is_named = points->settings[POINT_NAMED(nr, call->is_exit)].is_on;
    if (!is_raw && !is_named)
        return;
    points->busy++;
    if (is_raw)
        tell_raw(points, call, nr);
    if (is_named)
        tell_named(points, call, nr);
    if (--points->busy == 0)
        wake_up_all(&points->idle);
}

void points_enter(struct call_observer *self, struct task *task, u64 nr,
                  const struct syscall_row *row, const struct sysargs *args)
{
    struct call_event call = {.task = task, .args = args, .has_memory = true};
    if (!task->progress.is_restart)
        tell(container_of(self, struct points, calls), &call, nr);
}

#define SYS_EXECVE 59u
#define SYS_EXECVEAT 322u

void points_exit(struct call_observer *self, struct task *task, u64 nr,
                 const struct syscall_row *row, const struct sysargs *args, i64 result)
{
    bool is_exec = nr == SYS_EXECVE || nr == SYS_EXECVEAT;
    struct call_event call = {.task = task,
                              .args = args,
                              .result = result,
                              .is_exit = true,
                              .has_memory = !is_exec || result < 0};
    if (result != -ERESTARTSYS)
        tell(container_of(self, struct points, calls), &call, nr);
}
