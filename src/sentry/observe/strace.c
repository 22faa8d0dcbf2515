/* SPDX-License-Identifier: Apache-2.0 */
/* The system call log: one line a call at its end, arguments by the kinds of its row, in
 * strace(1)'s manner. */
#include "sentry/observe/strace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "sentry/syscalls/args.h"
#include "sentry/syscalls/syscalls.h"

#define LINE_SIZE 2048u
#define TEXT_SIZE_MAX 1024u
#define STRINGS_MAX 32u

struct strace {
    struct call_observer observer; /* first */
    struct kernel *kernel;
    struct strace_config config;
};

struct line {
    char text[LINE_SIZE];
    size_t size;
};

PRINTF(2, 3) static void put(struct line *line, const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    int size = vsnprintf(line->text + line->size, sizeof line->text - line->size, format, args);
    __builtin_va_end(args);
    if (size > 0)
        line->size = MIN(line->size + (size_t)size, sizeof line->text - 1);
}

static void put_quoted(struct line *line, const u8 *bytes, size_t size, bool is_cut)
{
    put(line, "\"");
    for (size_t i = 0; i < size; i++) {
        u8 c = bytes[i];
        if (c == '\n')
            put(line, "\\n");
        else if (c == '"' || c == '\\')
            put(line, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f)
            put(line, "%c", c);
        else
            put(line, "\\x%02x", c);
    }
    put(line, is_cut ? "\"..." : "\"");
}

SLEEPS static void put_string(struct line *line, struct task *task, u64 at)
{
    char text[TEXT_SIZE_MAX];
    if (at == 0) {
        put(line, "NULL");
        return;
    }
    i64 size = task->mm ? copy_string_from_user(task, text, uaddr_make(at), sizeof text) : -EFAULT;
    if (size < 0 && size != -ENAMETOOLONG)
        put(line, "0x%llx", (unsigned long long)at);
    else
        put_quoted(line, (u8 *)text, size < 0 ? sizeof text - 1 : (size_t)size, size < 0);
}

SLEEPS static void put_bytes(struct line *line, struct task *task, const struct strace *strace,
                             u64 at, u64 size)
{
    u8 bytes[TEXT_SIZE_MAX];
    u64 shown = MIN(MIN(size, (u64)strace->config.size_max), (u64)sizeof bytes);
    if (!task->mm || at == 0 || mm_copy_in(task->mm, &task->fiber, bytes, uaddr_make(at), shown))
        put(line, "0x%llx", (unsigned long long)at);
    else
        put_quoted(line, bytes, shown, shown < size);
}

SLEEPS static void put_strings(struct line *line, struct task *task, u64 at)
{
    put(line, "[");
    for (u32 i = 0; i < STRINGS_MAX && at; i++) {
        u64 pointer;
        if (copy_from_user(task, &pointer, uaddr_make(at + i * 8), sizeof pointer) || pointer == 0)
            break;
        put(line, i ? ", " : "");
        put_string(line, task, pointer);
    }
    put(line, "]");
}

SLEEPS static void put_arg(struct line *line, struct task *task, const struct strace *strace,
                           const struct syscall_row *row, const struct sysargs *args, u32 i,
                           i64 result)
{
    u64 v = args->v[i];
    u64 size = i + 1 < 6 ? args->v[i + 1] : 0;
    switch ((enum arg_kind)row->args[i]) {
    case ARG_FD:
    case ARG_INT:
    case ARG_PID:
    case ARG_WHENCE:
    case ARG_CLOCK:
        put(line, "%d", (i32)(u32)v);
        break;
    case ARG_DIRFD:
        put(line, (i32)(u32)v == -100 ? "AT_FDCWD" : "%d", (i32)(u32)v);
        break;
    case ARG_UINT:
    case ARG_SIZE:
    case ARG_UID:
    case ARG_GID:
        put(line, "%llu", (unsigned long long)v);
        break;
    case ARG_LONG:
    case ARG_OFFSET:
        put(line, "%lld", (long long)v);
        break;
    case ARG_OCT:
    case ARG_MODE:
        put(line, "0%llo", (unsigned long long)v);
        break;
    case ARG_SIGNAL:
        put(line, "%s", signal_name((i32)(u32)v) ? signal_name((i32)(u32)v) : "?");
        break;
    case ARG_PATH:
    case ARG_STR:
        put_string(line, task, v);
        break;
    case ARG_BUF_IN:
        put_bytes(line, task, strace, v, size);
        break;
    case ARG_BUF_OUT:
        put_bytes(line, task, strace, v, result > 0 ? MIN((u64)result, size) : 0);
        break;
    case ARG_STRINGS:
        put_strings(line, task, v);
        break;
    default:
        put(line, v == 0 ? "%llu" : "0x%llx", (unsigned long long)v);
        break;
    }
}

static bool is_wanted(const struct strace *strace, u64 nr)
{
    return !strace->config.wanted ||
           (nr < SYSCALL_COUNT && (strace->config.wanted[nr / 64] >> (nr % 64) & 1));
}

static void put_result(struct line *line, i64 result)
{
    if (result == -ERESTARTSYS)
        put(line, " = ? ERESTARTSYS (interrupted)");
    else if (result < 0 && result >= -4095)
        put(line, " = -1 %s (%s)", errno_name((int)-result), errno_text((int)-result));
    else if (result > 65536 || result < 0)
        put(line, " = 0x%llx", (unsigned long long)result);
    else
        put(line, " = %lld", (long long)result);
}

SLEEPS static void put_call(struct line *line, struct task *task, const struct strace *strace,
                            u64 nr, const struct syscall_row *row, const struct sysargs *args,
                            i64 result)
{
    put(line, "[%4u] %s ", task->root_tid, task->comm);
    if (!row) {
        put(line, "syscall_%llu(0x%llx, 0x%llx, 0x%llx)", (unsigned long long)nr,
            (unsigned long long)args->v[0], (unsigned long long)args->v[1],
            (unsigned long long)args->v[2]);
        return;
    }
    put(line, "%s(", row->name);
    for (u32 i = 0; i < row->arg_count; i++) {
        put(line, i ? ", " : "");
        put_arg(line, task, strace, row, args, i, result);
    }
    put(line, ")");
}

/* execve's arguments are gone at its end: it is told at its beginning. */
static bool is_told_early(const struct syscall_row *row)
{
    return row && (strcmp(row->name, "execve") == 0 || strcmp(row->name, "execveat") == 0 ||
                   strncmp(row->name, "exit", 4) == 0);
}

SLEEPS static void strace_enter(struct call_observer *self, struct task *task, u64 nr,
                                const struct syscall_row *row, const struct sysargs *args)
{
    struct strace *strace = container_of(self, struct strace, observer);
    if (!is_told_early(row) || !is_wanted(strace, nr))
        return;
    struct line line = {.size = 0};
    put_call(&line, task, strace, nr, row, args, 0);
    log_line(strace->kernel->log, LOG_INFO, "strace", "%s", line.text);
}

SLEEPS static void strace_exit(struct call_observer *self, struct task *task, u64 nr,
                               const struct syscall_row *row, const struct sysargs *args,
                               i64 result)
{
    struct strace *strace = container_of(self, struct strace, observer);
    if (!is_wanted(strace, nr))
        return;
    struct line line = {.size = 0};
    if (is_told_early(row))
        put(&line, "[%4u] %s %s(...)", task->root_tid, task->comm, row->name);
    else
        put_call(&line, task, strace, nr, row, args, result);
    put_result(&line, result);
    log_line(strace->kernel->log, LOG_INFO, "strace", "%s", line.text);
}

int strace_create(struct kernel *kernel, const struct strace_config *config, struct strace **out)
{
    struct strace *strace = arena_alloc(kernel->arena, sizeof *strace);
    if (!strace)
        return -ENOMEM;
    strace->kernel = kernel;
    strace->config = *config;
    strace->observer = (struct call_observer){
        .next = kernel->call_observers, .enter = strace_enter, .exit = strace_exit};
    kernel->call_observers = &strace->observer;
    *out = strace;
    return 0;
}

void strace_destroy(struct strace *strace)
{
    struct call_observer **at = &strace->kernel->call_observers;
    while (*at != &strace->observer)
        at = &(*at)->next;
    *at = strace->observer.next;
    arena_free(strace->kernel->arena, strace, sizeof *strace);
}
