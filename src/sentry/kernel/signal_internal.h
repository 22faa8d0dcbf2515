/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about signals share. */
#pragma once
#include "sentry/kernel/signal.h"

bool signal_queue_has(const struct signal_queue *queue, i32 signo);
/* LIMIT: how many may queue in all. 0 or -EAGAIN. */
MUST_CHECK int signal_queue_add(struct signal_queue *queue, struct arena *arena,
                                const struct linux_siginfo *info, u64 limit, struct object *timer);
bool signal_queue_take(struct signal_queue *queue, u64 set, struct linux_siginfo *info);
/* Forget all in SET. */
void signal_queue_drop(struct signal_queue *queue, u64 set);
/* Whoever looks at the pending set (signalfd, sigtimedwait) looks again. */
void signal_wake_watchers(struct thread_group *group, struct task *task);
static inline bool signal_action_is_ignore(const struct linux_sigaction *action, i32 signo)
{
    if (action->handler == LINUX_SIG_IGN)
        return true;
    enum signal_default what = signal_default_action(signo);
    return action->handler == LINUX_SIG_DFL &&
           (what == SIGNAL_DEFAULT_IGNORE || what == SIGNAL_DEFAULT_CONTINUE);
}
