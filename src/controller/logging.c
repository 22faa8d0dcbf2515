/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver Logging: Change. Only members whose Set... is true apply. Everything is judged before
 * anything changes.
 */
#include <errno.h>
#include <string.h>

#include "controller/internal.h"
#include "sentry/syscalls/syscalls.h"

#define STRACE_SIZE_MAX 1024u
#define BITMAP_WORDS ((SYSCALL_COUNT + 63) / 64)

struct logging_call {
    bool set_level;
    struct json_text level;
    bool set_log_packets, log_packets;
    bool set_strace, enable_strace;
    WIRE_LIST(char *) strace_allowlist;
    bool set_event_strace;
    WIRE_LIST(char *) event_allowlist;
};
static const struct wire_field logging_fields[] = {
    WIRE_FIELD(struct logging_call, set_level, "SetLevel", &wire_bool),
    WIRE_FIELD(struct logging_call, level, "Level", &wire_raw),
    WIRE_FIELD(struct logging_call, set_log_packets, "SetLogPackets", &wire_bool),
    WIRE_FIELD(struct logging_call, log_packets, "LogPackets", &wire_bool),
    WIRE_FIELD(struct logging_call, set_strace, "SetStrace", &wire_bool),
    WIRE_FIELD(struct logging_call, enable_strace, "EnableStrace", &wire_bool),
    WIRE_FIELD(struct logging_call, strace_allowlist, "StraceAllowlist",
               WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_FIELD(struct logging_call, set_event_strace, "SetEventStrace", &wire_bool),
    WIRE_FIELD(struct logging_call, event_allowlist, "StraceEventAllowlist",
               WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_END,
};
static const struct wire_type logging_type = WIRE_TYPE_STRUCT(struct logging_call, logging_fields,
                                                              "control.LoggingArgs");

/* A number 0 to 2, or a word. */
static bool parse_level(struct json_text text, enum log_level *level)
{
    static const char *const words[] = {
        [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    u64 number;
    for (u32 i = 0; i < ARRAY_COUNT(words); i++) {
        if (json_string_is(text, words[i]) || (json_u64(text, &number) && number == i)) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Set the bits of all numbers called NAME; false if there is none. */
static bool add_syscall(u64 wanted[BITMAP_WORDS], const char *name)
{
    for (u64 nr = 0; nr < SYSCALL_COUNT; nr++) {
        const struct syscall_row *row = syscall_find(nr);
        if (row && strcmp(row->name, name) == 0) {
            wanted[nr / 64] |= (u64)1 << (nr % 64);
            return true;
        }
    }
    return false;
}

static int parse_allowlist(struct rpc_call *call, const char *kind, char *const *names,
                           size_t count, u64 wanted[BITMAP_WORDS])
{
    memset(wanted, 0, BITMAP_WORDS * sizeof *wanted);
    for (size_t i = 0; i < count; i++)
        if (!add_syscall(wanted, rpc_text(names[i])))
            return error_set(call->err, EINVAL, "error configuring %s: syscall %s not found", kind,
                             rpc_text(names[i]));
    return 0;
}

static int apply_strace(struct rpc_call *call, const struct logging_call *logging,
                        const u64 *wanted)
{
    bool has_list = logging->strace_allowlist.count > 0;
    if (loader_set_strace(call->loader, logging->enable_strace, STRACE_SIZE_MAX,
                          has_list ? wanted : NULL))
        return error_set(call->err, ENOMEM, "error configuring strace: out of memory");
    return 0;
}

static int change(struct rpc_call *call, const void *arg)
{
    const struct logging_call *logging = arg;
    u64 wanted[BITMAP_WORDS], event_wanted[BITMAP_WORDS];
    enum log_level level = LOG_WARN;
    if (logging->set_level && !parse_level(logging->level, &level))
        return error_set(call->err, EINVAL, "unknown log level %.*s",
                         (int)MIN(logging->level.size, (size_t)64),
                         logging->level.bytes ? logging->level.bytes : "");
    if (logging->set_strace && parse_allowlist(call, "strace", logging->strace_allowlist.items,
                                               logging->strace_allowlist.count, wanted))
        return -1;
    if (logging->set_event_strace &&
        parse_allowlist(call, "event strace", logging->event_allowlist.items,
                        logging->event_allowlist.count, event_wanted))
        return -1;
    if (logging->set_strace && apply_strace(call, logging, wanted))
        return -1;
    if (logging->set_level && call->kernel->log)
        call->kernel->log->level = level;
    json_put_i64(call->result, 0);
    return 0;
}

const struct rpc_method logging_methods[] = {
    {"Logging.Change", &logging_type, change},
    {NULL},
};
