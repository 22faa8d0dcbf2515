/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/syscalls/timespec.h"

#include <errno.h>

#include "sentry/syscalls/syscalls.h"

u64 time_to_ns(u64 sec, u64 ns)
{
    const u64 sec_max = (u64)INT64_MAX / NS_PER_S - 1;
    return sec > sec_max ? (u64)INT64_MAX : sec * NS_PER_S + ns;
}

int timespec_judge(const struct linux_timespec *time, u64 *ns)
{
    if (time->sec < 0 || time->nsec < 0 || time->nsec >= (i64)NS_PER_S)
        return -EINVAL;
    *ns = time_to_ns((u64)time->sec, (u64)time->nsec);
    return 0;
}

int timespec_from_user(struct task *task, uaddr at, u64 *ns)
{
    struct linux_timespec time;
    *ns = NO_DEADLINE;
    if (at.value == 0)
        return 0;
    int err = copy_from_user(task, &time, at, sizeof time);
    return err ? err : timespec_judge(&time, ns);
}
