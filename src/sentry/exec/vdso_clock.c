/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time stamp counter against the clock. The counter of a host with constant_tsc runs evenly;
 * what must be found is its rate, and the error of the first estimate shrinks as the distance
 * between the samples grows. A program's clock never goes back: when the page is ahead of the
 * clock, the page goes on from where it is, a little slower, until the clock has caught up.
 */
#include "sentry/exec/vdso.h"
#include "sentry/exec/vdso/params.h"

#define STEP_FIRST_NS (10 * NS_PER_MS)
#define STEP_MAX_NS NS_PER_S
/* The rate is measured over at least this long, and at most over this. */
#define RATE_MIN_NS NS_PER_MS
#define RATE_MAX_NS (60 * NS_PER_S)
/* The page is ahead: it makes up for it over this long. */
#define CATCH_UP_NS NS_PER_S

u64 vdso_read_tsc(void)
{
    u32 low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

static u64 ticks_to_ns(u64 ticks, u64 ns_per_tick)
{
    return (u64)((unsigned __int128)ticks * ns_per_tick >> VDSO_SHIFT);
}

/* NS << VDSO_SHIFT / TICKS, by two divisions of 64 bits: NS under 2^38, TICKS under 2^48. */
static u64 rate_of(u64 ns, u64 ticks)
{
    u64 scaled = ns << 24;
    return (scaled / ticks << (VDSO_SHIFT - 24)) + ((scaled % ticks) << (VDSO_SHIFT - 24)) / ticks;
}

/* Begin to measure here: the first time, and after the clock or the counter jumped. */
static void restart(struct vdso_clock *clock, u64 tsc, u64 ns)
{
    clock->first_tsc = tsc;
    clock->first_ns = ns;
}

/* The rate since the far sample, which moves up when it is old. False: no rate is known yet. */
static bool measure(struct vdso_clock *clock, u64 tsc, u64 ns)
{
    bool is_usable = clock->first_tsc != 0 && tsc > clock->first_tsc && ns > clock->first_ns &&
                     ns - clock->first_ns < 4 * RATE_MAX_NS && (tsc - clock->first_tsc) >> 48 == 0;
    if (!is_usable)
        restart(clock, tsc, ns);
    else if (ns - clock->first_ns >= RATE_MIN_NS)
        clock->ns_per_tick = rate_of(ns - clock->first_ns, tsc - clock->first_tsc);
    if (is_usable && ns - clock->first_ns > RATE_MAX_NS)
        restart(clock, clock->tsc, clock->monotonic_ns);
    return clock->ns_per_tick != 0;
}

bool vdso_clock_step(struct vdso_clock *clock, u64 tsc, u64 monotonic_ns, i64 realtime_ns,
                     struct vdso_params *params)
{
    if (!measure(clock, tsc, monotonic_ns))
        return false;
    clock->tsc = tsc;
    clock->monotonic_ns = monotonic_ns;
    u64 rate = clock->ns_per_tick, start = monotonic_ns;
    if (params->is_ready && tsc > params->tsc_base) {
        u64 shown = params->monotonic_ns + ticks_to_ns(tsc - params->tsc_base, params->ns_per_tick);
        if (shown > monotonic_ns && shown - monotonic_ns < CATCH_UP_NS / 2) {
            start = shown;
            rate -= ((rate >> 10) * (shown - monotonic_ns) / CATCH_UP_NS) << 10;
        }
    }
    params->is_ready = 1;
    params->tsc_base = tsc;
    params->ns_per_tick = rate;
    params->monotonic_ns = start;
    params->realtime_ns = realtime_ns + (i64)(start - monotonic_ns);
    clock->step_ns = clock->step_ns == 0 ? STEP_FIRST_NS : MIN(clock->step_ns * 4, STEP_MAX_NS);
    return true;
}
