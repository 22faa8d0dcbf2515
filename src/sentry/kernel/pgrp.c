/* SPDX-License-Identifier: Apache-2.0 */
/* Process groups and sessions (setpgid(2), setsid(2), credentials(7)). Zombies are members until
 * they are reaped. */
#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"

static const struct field process_group_fields[] = {
    FIELD_NONE(struct process_group, object, "the walker's own header"),
    FIELD(struct process_group, pgid),
    FIELD_REF(struct process_group, session, struct session),
    FIELD_LIST(struct process_group, members, struct thread_group, pgrp_link, false),
    FIELD_REF(struct process_group, pid, struct pid),
    FIELD_END,
};
FIELDS_COMPLETE(struct process_group, process_group_fields);

static void process_group_destroy(struct object *object)
{
    struct process_group *pgrp = container_of(object, struct process_group, object);
    ASSERT(list_is_empty(&pgrp->members));
    if (pgrp->pid) {
        pgrp->pid->pgrp = NULL;
        pid_unuse(pgrp->pid);
        REF_CLEAR(pgrp->pid);
    }
    REF_CLEAR(pgrp->session);
}

const struct kind process_group_kind = {.name = "process_group",
                                        .size = sizeof(struct process_group),
                                        .fields = process_group_fields,
                                        .destroy = process_group_destroy};

static const struct field session_fields[] = {
    FIELD_NONE(struct session, object, "the walker's own header"),
    FIELD(struct session, sid),
    FIELD_WEAK(struct session, leader, struct thread_group),
    FIELD_NONE(struct session, groups_unused, "not used"),
    FIELD_REF(struct session, tty, struct tty),
    FIELD_REF(struct session, foreground, struct pid),
    FIELD_REF(struct session, pid, struct pid),
    FIELD_END,
};
FIELDS_COMPLETE(struct session, session_fields);

static void session_destroy(struct object *object)
{
    struct session *session = container_of(object, struct session, object);
    if (session->pid) {
        session->pid->session = NULL;
        pid_unuse(session->pid);
        REF_CLEAR(session->pid);
    }
    REF_CLEAR(session->foreground);
    object_put(session->tty);
}

const struct kind session_kind = {.name = "session",
                                  .size = sizeof(struct session),
                                  .fields = session_fields,
                                  .destroy = session_destroy};

/* ---- membership ----------------------------------------------------------------------------- */

void process_group_join(struct process_group *pgrp, struct thread_group *group)
{
    if (group->pgrp == pgrp)
        return;
    object_get_(&pgrp->object);
    process_group_leave(group);
    group->pgrp = pgrp;
    list_add_tail(&pgrp->members, &group->pgrp_link);
}

void process_group_leave(struct thread_group *group)
{
    if (!group->pgrp)
        return;
    list_remove(&group->pgrp_link);
    object_put(&MOVE(group->pgrp)->object);
}

static int process_group_create(struct thread_group *group, struct session *session,
                                struct process_group **out)
{
    struct process_group *pgrp = object_create(group->object.arena, &process_group_kind);
    if (!pgrp)
        return -ENOMEM;
    list_init(&pgrp->members);
    pgrp->session = REF_GET(session);
    pgrp->pid = REF_GET(group->leader->pid);
    pid_use(pgrp->pid);
    pgrp->pid->pgrp = pgrp;
    pgrp->pgid = group->pid;
    *out = pgrp;
    return 0;
}

int session_create(struct thread_group *leader, struct session **out)
{
    AUTO_PUT struct session *session = object_create(leader->object.arena, &session_kind);
    if (!session)
        return -ENOMEM;
    struct process_group *pgrp;
    int err = process_group_create(leader, session, &pgrp);
    if (err)
        return err;
    session->sid = leader->pid;
    session->leader = leader;
    session->pid = REF_GET(leader->leader->pid);
    pid_use(session->pid);
    session->pid->session = session;
    process_group_join(pgrp, leader);
    REF_PUT(pgrp);
    *out = MOVE(session);
    return 0;
}

i64 thread_group_setsid(struct thread_group *group)
{
    struct pid *pid = group->leader->pid;
    if (pid->pgrp || pid->session)
        return -EPERM;
    struct session *session;
    int err = session_create(group, &session);
    if (err)
        return err;
    REF_PUT(session);
    return group->pid;
}

int thread_group_setpgid(struct task *caller, struct thread_group *group, u32 pgid)
{
    struct thread_group *self = caller->group;
    struct pid_ns *ns = caller->pid->ns;
    if (group != self) {
        if (group->parent != self)
            return -ESRCH;
        if (group->pgrp->session != self->pgrp->session)
            return -EPERM;
        if (group->has_execed)
            return -EACCES;
    }
    if (group->pgrp->session->leader == group)
        return -EPERM;
    u32 own = thread_group_pid_in(group, ns);
    if (pgid == 0 || pgid == own) {
        struct process_group *pgrp = group->leader->pid->pgrp;
        if (pgrp) {
            process_group_join(pgrp, group);
            return 0;
        }
        int err = process_group_create(group, group->pgrp->session, &pgrp);
        if (err)
            return err;
        process_group_join(pgrp, group);
        REF_PUT(pgrp);
        return 0;
    }
    struct process_group *pgrp = process_group_find(ns, pgid);
    if (!pgrp || pgrp->session != self->pgrp->session)
        return -EPERM;
    process_group_join(pgrp, group);
    return 0;
}

/* ---- orphans -------------------------------------------------------------------------------- */

bool process_group_is_orphaned(const struct process_group *pgrp)
{
    const struct thread_group *group;
    list_for_each (group, &pgrp->members, pgrp_link) {
        const struct thread_group *parent = group->parent;
        if (group->is_zombie || !parent || !parent->pgrp)
            continue;
        if (parent->pgrp != pgrp && parent->pgrp->session == pgrp->session)
            return false;
    }
    return true;
}

static bool has_stopped_member(const struct process_group *pgrp)
{
    const struct thread_group *group;
    list_for_each (group, &pgrp->members, pgrp_link)
        if (group->signals.stop_signal)
            return true;
    return false;
}

void process_group_check_orphaned(struct process_group *pgrp)
{
    if (!process_group_is_orphaned(pgrp) || !has_stopped_member(pgrp))
        return;
    struct linux_siginfo info;
    signal_info_kernel(&info, LINUX_SIGHUP);
    (void)!signal_send_pgrp(pgrp, &info);
    signal_info_kernel(&info, LINUX_SIGCONT);
    (void)!signal_send_pgrp(pgrp, &info);
}

void process_group_check_orphans(struct thread_group *group)
{
    const struct thread_group *parent = group->parent;
    struct process_group *pgrp = group->pgrp;
    if (!pgrp || !parent || !parent->pgrp || parent->pgrp == pgrp ||
        parent->pgrp->session != pgrp->session)
        return; /* it linked its group to nobody */
    process_group_check_orphaned(pgrp);
}
