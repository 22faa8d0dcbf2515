/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits (getrlimit(2)), numbers of x86-64. */
#pragma once
#include "base/base.h"
#define RLIMIT_CPU_ 0
#define RLIMIT_FSIZE_ 1
#define RLIMIT_DATA_ 2
#define RLIMIT_STACK_ 3
#define RLIMIT_CORE_ 4
#define RLIMIT_RSS_ 5
#define RLIMIT_NPROC_ 6
#define RLIMIT_NOFILE_ 7
#define RLIMIT_MEMLOCK_ 8
#define RLIMIT_AS_ 9
#define RLIMIT_LOCKS_ 10
#define RLIMIT_SIGPENDING_ 11
#define RLIMIT_MSGQUEUE_ 12
#define RLIMIT_NICE_ 13
#define RLIMIT_RTPRIO_ 14
#define RLIMIT_RTTIME_ 15
#define RLIMIT_COUNT 16
#define RLIM_INFINITY_ UINT64_MAX
struct limit {
    u64 soft, hard;
};
struct limits {
    struct limit v[RLIMIT_COUNT];
};
/* The limits of a process for which nothing was said (docker's defaults). */
void limits_init(struct limits *limits);
/* "RLIMIT_NOFILE" or "NOFILE" to its number; -1. */
int limit_by_name(const char *name);
