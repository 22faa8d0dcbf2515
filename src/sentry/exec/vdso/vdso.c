/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that runs in programs: clocks without a system call. Freestanding; no data of its own, no
 * relocations. What it cannot answer goes to the sentry as the call itself (vdso(7)).
 */
#include "params.h"

struct timespec {
    int64_t sec, nsec;
};
struct timeval {
    int64_t sec, usec;
};
struct timezone {
    int32_t minutes_west, dst_time;
};

#define NS_PER_SECOND 1000000000ull
#define NR_GETTIMEOFDAY 96
#define NR_TIME 201
#define NR_CLOCK_GETTIME 228
#define NR_CLOCK_GETRES 229
#define NR_GETCPU 309
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_MONOTONIC_RAW 4
#define CLOCK_REALTIME_COARSE 5
#define CLOCK_MONOTONIC_COARSE 6

/* The linker script puts it a page before the image. */
extern const volatile struct vdso_params vdso_params __attribute__((visibility("hidden")));

#define EXPORT __attribute__((visibility("default"), used))

static long call(long nr, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static uint64_t read_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

/* The clock in nanoseconds; 0 when the sentry must be asked. */
static int read_clock(int is_real, uint64_t *out)
{
    for (;;) {
        uint32_t sequence = vdso_params.sequence;
        __asm__ volatile("" ::: "memory");
        if (sequence & 1)
            continue;
        if (!vdso_params.is_ready)
            return 0;
        uint64_t now = read_tsc(), start = vdso_params.tsc_base;
        uint64_t ticks = now > start ? now - start : 0; /* another cpu's counter may lag a little */
        uint64_t since = (uint64_t)((unsigned __int128)ticks * vdso_params.ns_per_tick >>
                                    VDSO_SHIFT);
        uint64_t real = (uint64_t)vdso_params.realtime_ns, monotonic = vdso_params.monotonic_ns;
        __asm__ volatile("" ::: "memory");
        if (vdso_params.sequence == sequence) {
            *out = (is_real ? real : monotonic) + since;
            return 1;
        }
    }
}

EXPORT int __vdso_clock_gettime(int clock, struct timespec *out)
{
    uint64_t ns;
    int is_real = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    int is_monotonic = clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW ||
                       clock == CLOCK_MONOTONIC_COARSE;
    if ((!is_real && !is_monotonic) || !read_clock(is_real, &ns))
        return (int)call(NR_CLOCK_GETTIME, clock, (long)out, 0);
    out->sec = (int64_t)(ns / NS_PER_SECOND);
    out->nsec = (int64_t)(ns % NS_PER_SECOND);
    return 0;
}

EXPORT int __vdso_gettimeofday(struct timeval *out, struct timezone *zone)
{
    uint64_t ns;
    if (!read_clock(1, &ns))
        return (int)call(NR_GETTIMEOFDAY, (long)out, (long)zone, 0);
    if (out) {
        out->sec = (int64_t)(ns / NS_PER_SECOND);
        out->usec = (int64_t)(ns % NS_PER_SECOND / 1000);
    }
    if (zone) {
        zone->minutes_west = 0;
        zone->dst_time = 0;
    }
    return 0;
}

EXPORT int64_t __vdso_time(int64_t *out)
{
    uint64_t ns;
    if (!read_clock(1, &ns))
        return call(NR_TIME, (long)out, 0, 0);
    int64_t seconds = (int64_t)(ns / NS_PER_SECOND);
    if (out)
        *out = seconds;
    return seconds;
}

EXPORT int __vdso_clock_getres(int clock, struct timespec *out)
{
    return (int)call(NR_CLOCK_GETRES, clock, (long)out, 0);
}

EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
    return call(NR_GETCPU, (long)cpu, (long)node, (long)unused);
}

/* The plain names, weak, as Linux has them. */
#define ALIAS(name) __attribute__((weak, alias("__vdso_" #name), visibility("default")))
ALIAS(clock_gettime) int clock_gettime(int clock, struct timespec *out);
ALIAS(gettimeofday) int gettimeofday(struct timeval *out, struct timezone *zone);
ALIAS(time) int64_t time(int64_t *out);
ALIAS(clock_getres) int clock_getres(int clock, struct timespec *out);
ALIAS(getcpu) long getcpu(unsigned *cpu, unsigned *node, void *unused);
