/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's hooks: what upper rooms do when a task ends. */
#include "sentry/syscalls/hooks.h"

#include "sentry/fs/file.h"

/* The last task that uses the table closes every descriptor, in its own fiber: a flush may sleep.
 */
SLEEPS static void fds_release(struct task *task)
{
    if (task->fds->object.refs == 1)
        for (u32 fd = 0; fd < task->fds->capacity; fd++)
            if (task->fds->files[fd])
                (void)!fd_close(task, (i32)fd);
    REF_CLEAR(task->fds);
}

const struct kernel_hooks syscall_kernel_hooks = {.fds_release = fds_release};
