/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allow-lists of host system calls. A row allows one call, perhaps only with some argument; what no
 * row allows kills the process, except for calls that a library tries and can do without: those
 * fail.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"

enum filter_test {
    FILTER_ALWAYS,
    FILTER_EQUALS, /* argument == value */
    FILTER_MASK,   /* argument & mask == value */
    FILTER_REFUSE, /* the call fails with errno `value` */
};

struct filter_rule {
    int nr;
    enum filter_test test;
    u32 arg;
    u64 value;
    u64 mask;
};

#define ALLOW(name)                             \
    {                                           \
        .nr = SYS_##name, .test = FILTER_ALWAYS \
    }
#define ALLOW_IF(name, a, v)                                              \
    {                                                                     \
        .nr = SYS_##name, .test = FILTER_EQUALS, .arg = (a), .value = (v) \
    }
#define ALLOW_MASK(name, a, m, v)                                                    \
    {                                                                                \
        .nr = SYS_##name, .test = FILTER_MASK, .arg = (a), .mask = (m), .value = (v) \
    }
#define REFUSE(name, e)                                       \
    {                                                         \
        .nr = SYS_##name, .test = FILTER_REFUSE, .value = (e) \
    }

struct filter_list {
    const struct filter_rule *rules;
    u32 count;
};
#define FILTER_LIST(rules)          \
    (struct filter_list)            \
    {                               \
        (rules), ARRAY_COUNT(rules) \
    }

/* Install the union of the lists on every thread of this process, for good. */
MUST_CHECK int filter_install(const struct filter_list *lists, u32 count, struct error *err);

/* Calls that any C program makes: memory, clocks, signals, its own threads' ends. */
struct filter_list filter_base(void);
struct filter_list filter_sandbox(void);
/* What the platform NAME ("ptrace", "kvm", "script") needs besides; empty for an unknown one. */
struct filter_list filter_platform(const char *name);
struct filter_list filter_gofer(void);
/* For gofers that connect to host sockets. */
struct filter_list filter_gofer_sockets(void);
