/* SPDX-License-Identifier: Apache-2.0 */
/* See look.h. Arguments and environment are read past the program's own protections. */
#include "sentry/fs/proc/look.h"

void process_look(const struct task *task, const struct pid_ns *ns, struct process_look *out)
{
    const struct thread_group *group = task->group;
    const struct mm *mm = task->mm;
    *out = (struct process_look){.tid = task_tid_in(task, ns), .started_ns = task->start_ns};
    if (group && group->parent)
        out->ppid = thread_group_pid_in(group->parent, ns);
    if (group && group->pgrp) {
        out->pgid = pid_nr_in(group->pgrp->pid, ns);
        out->sid = pid_nr_in(group->pgrp->session->pid, ns);
    }
    if (mm) {
        out->virtual_kib = mm->virtual_size / 1024;
        out->resident_kib = mm->resident_count * (PAGE_SIZE / 1024);
        out->peak_kib = MAX(mm->resident_max, mm->resident_count) * (PAGE_SIZE / 1024);
    }
}

int process_read_area(struct mm *mm, struct fiber *fiber, u64 start, u64 end, u64 size_max,
                      struct buf *out)
{
    if (!mm || end <= start)
        return 0;
    REF_GET(mm);
    u64 left = MIN(end - start, size_max);
    int err = 0;
    while (left > 0 && !err) {
        u8 *room;
        u64 step = MIN(left, (u64)PAGE_SIZE);
        err = buf_reserve(out, step, &room);
        i64 got = err ? 0 : mm_copy_force(mm, fiber, room, uaddr_make(start), step, false);
        if (got <= 0)
            break;
        buf_grow(out, (size_t)got);
        start += (u64)got;
        left -= (u64)got;
    }
    REF_PUT(mm);
    return err;
}
