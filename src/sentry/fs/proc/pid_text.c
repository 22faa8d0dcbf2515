/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/stat and status: what ps and top read (proc(5)). */
#include <errno.h>
#include <string.h>

#include "sentry/fs/proc/look.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/seccomp.h"

#define TICK_NS (NS_PER_S / 100)

static char state_letter(const struct task *task)
{
    if (task->phase >= PHASE_ZOMBIE)
        return task->phase == PHASE_DEAD ? 'X' : 'Z';
    if (task->phase == PHASE_STOPPED)
        return 'T';
    return task->fiber.state == FIBER_BLOCKED ? 'S' : 'R';
}

static const char *state_text(char letter)
{
    switch (letter) {
    case 'R':
        return "R (running)";
    case 'S':
        return "S (sleeping)";
    case 'T':
        return "T (stopped)";
    case 'Z':
        return "Z (zombie)";
    default:
        return "X (dead)";
    }
}

static void handled_signals(const struct task *task, u64 *ignored, u64 *caught)
{
    *ignored = *caught = 0;
    const struct sighand *sighand = task->group ? task->group->sighand : NULL;
    for (i32 i = 0; sighand && i < LINUX_NSIG; i++) {
        if (sighand->actions[i].handler == LINUX_SIG_IGN)
            *ignored |= (u64)1 << i;
        else if (sighand->actions[i].handler != LINUX_SIG_DFL)
            *caught |= (u64)1 << i;
    }
}

struct stat_numbers {
    struct process_look look;
    u32 tty_device;
    i32 foreground;
    u64 user, system, children_user, children_system;
    u64 start;
};

static void gather(struct proc_ask *ask, struct stat_numbers *n)
{
    struct task *target = ask->target;
    const struct pid_ns *ns = ask->asker->ns->pid_ns;
    struct thread_group *group = target->group;
    *n = (struct stat_numbers){.foreground = -1};
    process_look(target, ns, &n->look);
    bool is_thread = strstr(ask->inode->path, "*task") != NULL;
    if (is_thread)
        task_times(target, &n->user, &n->system);
    else
        thread_group_times(group, &n->user, &n->system);
    n->children_user = group->children_user_ns;
    n->children_system = group->children_system_ns;
    u64 boot = target->kernel->boot_monotonic_ns;
    n->start = target->start_ns > boot ? target->start_ns - boot : 0;
    const struct process_group *pgrp = group->pgrp;
    if (!pgrp || !pgrp->session->tty)
        return;
    char name[32];
    tty_name(container_of(pgrp->session->tty, struct tty, object), name, sizeof name,
             &n->tty_device);
    if (pgrp->session->foreground)
        n->foreground = (i32)pid_nr_in(pgrp->session->foreground, ns);
}

SLEEPS int proc_show_stat(struct proc_ask *ask, struct buf *out)
{
    struct task *target = ask->target;
    const struct mm *mm = target->mm;
    struct stat_numbers n;
    u64 ignored, caught;
    gather(ask, &n);
    handled_signals(target, &ignored, &caught);
    bool may_look = proc_may_look(ask->asker, target);
    u32 threads = target->group->task_count;
    int err = buf_printf(
        out,
        "%u (%s) %c %u %u %u %u %d 0 0 0 0 0 %llu %llu %lld %lld %d %d %u 0 %llu %llu %llu %llu ",
        n.look.tid, target->comm, state_letter(target), n.look.ppid, n.look.pgid, n.look.sid,
        n.tty_device, n.foreground, (unsigned long long)(n.user / TICK_NS),
        (unsigned long long)(n.system / TICK_NS), (long long)(n.children_user / TICK_NS),
        (long long)(n.children_system / TICK_NS), 20 + target->nice, target->nice, threads,
        (unsigned long long)(n.start / TICK_NS), (unsigned long long)(mm ? mm->virtual_size : 0),
        (unsigned long long)(mm ? mm->resident_count : 0),
        (unsigned long long)target->group->limits.v[RLIMIT_RSS_].soft);
    if (err)
        return err;
    bool shows = mm && may_look;
    err = buf_printf(out, "%llu %llu %llu 0 0 %llu %llu %llu %llu 0 0 0 %u 0 0 0 0 0 0 ",
                     (unsigned long long)(shows ? mm->code_start : 0),
                     (unsigned long long)(shows ? mm->code_end : 0),
                     (unsigned long long)(shows ? mm->stack_start : 0),
                     (unsigned long long)signal_pending_set(target),
                     (unsigned long long)target->signals.mask, (unsigned long long)ignored,
                     (unsigned long long)caught, target->group->exit_signal);
    if (err)
        return err;
    return buf_printf(out, "0 0 %llu %llu %llu %llu %llu %d\n",
                      (unsigned long long)(shows ? mm->brk_start : 0),
                      (unsigned long long)(shows ? mm->arg_start : 0),
                      (unsigned long long)(shows ? mm->arg_end : 0),
                      (unsigned long long)(shows ? mm->env_start : 0),
                      (unsigned long long)(shows ? mm->env_end : 0),
                      target->phase >= PHASE_ZOMBIE ? target->group->exit_code : 0);
}

static int put_groups(struct buf *out, const struct cred *cred)
{
    int err = buf_append_text(out, "Groups:\t");
    for (u32 i = 0; i < cred->group_count && !err; i++)
        err = buf_printf(out, "%u ", cred->groups[i]);
    return err ? err : buf_append_text(out, cred->group_count ? "\n" : " \n");
}

static int put_memory(struct buf *out, const struct task *target, const struct process_look *look)
{
    const struct mm *mm = target->mm;
    unsigned long long size = look->virtual_kib;
    if (!mm)
        return 0;
    return buf_printf(out,
                      "VmPeak:\t%8llu kB\nVmSize:\t%8llu kB\nVmLck:\t%8llu kB\nVmPin:\t       0 "
                      "kB\nVmHWM:\t%8llu kB\nVmRSS:\t%8llu kB\n"
                      "VmData:\t%8llu kB\nVmSwap:\t       0 kB\n",
                      size, size, (unsigned long long)mm->locked_size / 1024,
                      (unsigned long long)look->peak_kib, (unsigned long long)look->resident_kib,
                      (unsigned long long)mm->data_size / 1024);
}

static int put_signals(struct buf *out, const struct task *target)
{
    u64 ignored, caught;
    handled_signals(target, &ignored, &caught);
    return buf_printf(out,
                      "Threads:\t%u\nSigQ:\t0/"
                      "%llu\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%"
                      "016llx\nSigCgt:\t%016llx\n",
                      target->group->task_count,
                      (unsigned long long)target->group->limits.v[RLIMIT_SIGPENDING_].soft,
                      (unsigned long long)target->signals.queue.set,
                      (unsigned long long)target->group->signals.queue.set,
                      (unsigned long long)target->signals.mask, (unsigned long long)ignored,
                      (unsigned long long)caught);
}

static int put_cred(struct buf *out, const struct task *task, const struct cred *cred)
{
    return buf_printf(
        out,
        "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%"
        "016llx\nNoNewPrivs:\t%d\n"
        "Seccomp:\t%u\nSeccomp_filters:\t%u\n",
        (unsigned long long)cred->cap_inheritable, (unsigned long long)cred->cap_permitted,
        (unsigned long long)cred->cap_effective, (unsigned long long)cred->cap_bounding,
        (unsigned long long)cred->cap_ambient, cred->no_new_privs, task->seccomp_mode,
        seccomp_count(task->seccomp));
}

/* A mask, and the same as a list: "0-1,4". */
static int put_cpus(struct buf *out, u64 mask)
{
    int err = buf_printf(out, "Cpus_allowed:\t%llx\nCpus_allowed_list:\t",
                         (unsigned long long)mask);
    const char *comma = "";
    for (u32 from = 0; from < 64 && !err; from++) {
        u32 to = from;
        if (!(mask >> from & 1))
            continue;
        while (to < 63 && mask >> (to + 1) & 1)
            to++;
        err = to == from ? buf_printf(out, "%s%u", comma, from)
                         : buf_printf(out, "%s%u-%u", comma, from, to);
        comma = ",";
        from = to;
    }
    return err ? err : buf_append_text(out, "\n");
}

SLEEPS int proc_show_status(struct proc_ask *ask, struct buf *out)
{
    struct task *target = ask->target;
    const struct pid_ns *ns = ask->asker->ns->pid_ns;
    const struct cred *cred = target->cred;
    struct process_look look;
    process_look(target, ns, &look);
    int err = buf_printf(out,
                         "Name:\t%s\nUmask:\t%04o\nState:\t%s\nTgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:"
                         "\t%u\nTracerPid:\t0\n"
                         "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\n",
                         target->comm, target->fs ? target->fs->umask : 022,
                         state_text(state_letter(target)), thread_group_pid_in(target->group, ns),
                         look.tid, look.ppid, cred->uid, cred->euid, cred->suid, cred->fsuid,
                         cred->gid, cred->egid, cred->sgid, cred->fsgid,
                         target->fds ? target->fds->capacity : 0);
    if (!err)
        err = put_groups(out, cred);
    if (!err)
        err = put_memory(out, target, &look);
    if (!err)
        err = put_signals(out, target);
    if (!err)
        err = put_cred(out, target, cred);
    if (!err)
        err = put_cpus(out, task_affinity(target));
    if (!err)
        err = buf_printf(out,
                         "Mems_allowed:\t1\nMems_allowed_list:\t0\n"
                         "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t0\n",
                         (unsigned long long)target->group->voluntary_switches);
    return err;
}
