/* SPDX-License-Identifier: Apache-2.0 */
/* Controlling terminals and job control, the same for ptys and host terminals (credentials(7),
 * tty_ioctl(4)). */
#include "sentry/fs/tty/tty.h"

#include <errno.h>

#include "base/fields.h"
#include "sentry/kernel/cred.h"

const struct field tty_base_fields[] = {
    FIELD_NONE(struct tty, object, "the walker's own header"),
    FIELD_REF(struct tty, session, struct session),
    FIELD_END,
};
FIELDS_COMPLETE(struct tty, tty_base_fields);

static struct session *session_of(const struct task *task)
{
    return task->group && task->group->pgrp ? task->group->pgrp->session : NULL;
}

struct session *tty_session(const struct tty *tty)
{
    return tty->session && tty->session->tty == &tty->object ? tty->session : NULL;
}

bool tty_is_controlling(const struct tty *tty, const struct task *task)
{
    struct session *session = tty_session(tty);
    return session && session == session_of(task);
}

static void tty_control(struct tty *tty, struct session *session, struct pid *foreground)
{
    REF_PUT(tty->session);
    tty->session = REF_GET(session);
    object_get_(&tty->object);
    if (session->tty)
        object_put(session->tty);
    session->tty = &tty->object;
    REF_PUT(session->foreground);
    session->foreground = REF_GET(foreground);
}

static void tty_release(struct session *session)
{
    struct tty *tty = container_of(session->tty, struct tty, object);
    session->tty = NULL;
    REF_CLEAR(session->foreground);
    REF_CLEAR(tty->session);
    object_put(&tty->object);
}

static bool is_session_leader(const struct task *task, const struct session *session)
{
    return session && session->leader == task->group;
}

void tty_maybe_control(struct task *task, struct tty *tty)
{
    struct session *session = session_of(task);
    if (is_session_leader(task, session) && !session->tty && !tty_session(tty))
        tty_control(tty, session, task->group->pgrp->pid);
}

static int tty_set_controlling(struct task *task, struct tty *tty, bool may_steal)
{
    struct session *session = session_of(task);
    if (session && session->tty == &tty->object && is_session_leader(task, session))
        return 0;
    if (!is_session_leader(task, session) || session->tty)
        return -EPERM;
    struct session *other = tty_session(tty);
    if (other) {
        if (!may_steal || !task_has_capability(task, CAP_SYS_ADMIN))
            return -EPERM;
        tty_release(other);
    }
    tty_control(tty, session, task->group->pgrp->pid);
    return 0;
}

/* PID's group, if there still is one. */
static void signal_group_of(struct pid *pid, i32 signo)
{
    struct linux_siginfo info;
    signal_info_kernel(&info, signo);
    if (pid && pid->pgrp)
        (void)!signal_send_pgrp(pid->pgrp, &info);
}

static int tty_give_up(struct task *task, struct tty *tty)
{
    struct session *session = session_of(task);
    if (!session || session->tty != &tty->object)
        return -ENOTTY;
    if (!is_session_leader(task, session))
        return 0; /* only this process forgets it on Linux; nothing here remembers it for one
                     process */
    struct pid *foreground = REF_GET(session->foreground);
    tty_release(session);
    signal_group_of(foreground, LINUX_SIGHUP);
    signal_group_of(foreground, LINUX_SIGCONT);
    REF_PUT(foreground);
    return 0;
}

static struct pid_ns *ns_of(const struct task *task)
{
    return task->group->pid_ns;
}

SLEEPS static i64 get_foreground(struct task *task, struct tty *tty, u64 arg)
{
    if (!tty_is_controlling(tty, task))
        return -ENOTTY;
    struct pid *foreground = tty_session(tty)->foreground;
    i32 pgid = foreground ? (i32)pid_nr_in(foreground, ns_of(task)) : 0;
    return copy_to_user(task, uaddr_make(arg), &pgid, sizeof pgid);
}

/* Of a group, or where there is none of that number, of a process. */
static struct session *session_of_number(const struct pid *pid)
{
    if (pid->pgrp)
        return pid->pgrp->session;
    return pid->task ? session_of(pid->task) : NULL;
}

SLEEPS static i64 set_foreground(struct task *task, struct tty *tty, u64 arg)
{
    int err = tty_check_background(task, tty, LINUX_SIGTTOU);
    if (err)
        return err == -EIO ? -ENOTTY : err;
    if (!tty_is_controlling(tty, task))
        return -ENOTTY;
    i32 pgid;
    err = copy_from_user(task, &pgid, uaddr_make(arg), sizeof pgid);
    if (err)
        return err;
    if (pgid < 0)
        return -EINVAL;
    struct pid *pid = pid_find(ns_of(task), (u32)pgid);
    if (!pid)
        return -ESRCH;
    struct session *session = session_of(task);
    if (session_of_number(pid) != session)
        return -EPERM;
    REF_PUT(session->foreground);
    session->foreground = REF_GET(pid);
    return 0;
}

SLEEPS static i64 get_session_id(struct task *task, struct tty *tty, u64 arg)
{
    if (!tty_is_controlling(tty, task))
        return -ENOTTY;
    i32 sid = (i32)pid_nr_in(tty_session(tty)->pid, ns_of(task));
    return copy_to_user(task, uaddr_make(arg), &sid, sizeof sid);
}

SLEEPS i64 tty_job_ioctl(struct task *task, struct tty *tty, u32 request, u64 arg)
{
    if (!task->group)
        return TTY_NOT_MINE;
    switch (request) {
    case LINUX_TIOCSCTTY:
        return tty_set_controlling(task, tty, arg == 1);
    case LINUX_TIOCNOTTY:
        return tty_give_up(task, tty);
    case LINUX_TIOCGPGRP:
        return get_foreground(task, tty, arg);
    case LINUX_TIOCSPGRP:
        return set_foreground(task, tty, arg);
    case LINUX_TIOCGSID:
        return get_session_id(task, tty, arg);
    default:
        return TTY_NOT_MINE;
    }
}

int tty_check_background(struct task *task, struct tty *tty, i32 signo)
{
    if (!task->group || !tty_is_controlling(tty, task))
        return 0;
    struct process_group *pgrp = task->group->pgrp;
    const struct pid *foreground = tty_session(tty)->foreground;
    if (!foreground || pgrp->pid == foreground)
        return 0;
    bool is_ignored = task->group->sighand->actions[signo - 1].handler == LINUX_SIG_IGN;
    bool is_blocked = task->signals.mask & SIGNAL_BIT(signo);
    if (is_ignored || is_blocked)
        return signo == LINUX_SIGTTIN ? -EIO : 0;
    if (process_group_is_orphaned(pgrp))
        return -EIO;
    signal_group_of(pgrp->pid, signo);
    return -ERESTARTSYS;
}

void tty_signal_foreground(struct tty *tty, i32 signo)
{
    struct session *session = tty_session(tty);
    if (session)
        signal_group_of(session->foreground, signo);
}

void tty_hang_up(struct tty *tty)
{
    struct session *session = tty_session(tty);
    if (!session)
        return;
    struct pid *foreground = REF_GET(session->foreground);
    struct linux_siginfo info;
    signal_info_kernel(&info, LINUX_SIGHUP);
    if (session->leader)
        (void)!signal_send_group(session->leader, &info);
    signal_info_kernel(&info, LINUX_SIGCONT);
    if (session->leader)
        (void)!signal_send_group(session->leader, &info);
    tty_release(session);
    signal_group_of(foreground, LINUX_SIGHUP);
    signal_group_of(foreground, LINUX_SIGCONT);
    REF_PUT(foreground);
}
