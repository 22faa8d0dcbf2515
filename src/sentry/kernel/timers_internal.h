/* SPDX-License-Identifier: Apache-2.0 */
/* What timers.c and cpu_timers.c share. */
#pragma once
#include "sentry/kernel/timers.h"

/* The set of GROUP, made at first use. 0 or -ENOMEM. */
MUST_CHECK int group_timers_get(struct thread_group *group, struct group_timers **out);
void cpu_tick_fired(struct timer *timer);
/* How many periods have begun between NEXT and NOW, both included. */
u64 periods_until(u64 next_ns, u64 interval_ns, u64 now_ns);
u64 posix_timer_now(const struct posix_timer *timer);
/* Its time has come: queue its signal. */
void posix_timer_expire(struct posix_timer *timer);
