/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for readiness of several files at once: poll(2), select(2); and the base of epoll(7). */
#pragma once
#include "sentry/fs/file.h"

/* One fiber's registrations on the queues of many files. */
struct poll_wait {
    struct poll_table table; /* hand &table to file_poll to register */
    struct task *task;
    struct list entries;
};
void poll_wait_init(struct poll_wait *wait, struct task *task);
void poll_wait_fini(struct poll_wait *wait);
#define AUTO_POLL_WAIT CLEANUP(poll_wait_fini)

/* A table that registers nothing but says who asks. */
void poll_table_ask(struct poll_table *table, struct task *task);

/* Register with TABLE if there is one; 0 or -ENOMEM is swallowed into POLL_ERR by callers that
 * cannot fail. */
static inline void poll_add(struct poll_table *table, struct file *file, struct wait_queue *queue)
{
    if (table)
        (void)!table->add(table, file, queue);
}

/* ---- event files ---------------------------------------------------------------------------- */
extern const struct file_ops eventfd_ops;
MUST_CHECK int eventfd_create(struct kernel *kernel, u32 initial, u32 flags, struct file **out);
MUST_CHECK int signalfd_create(struct task *task, u64 set, u32 flags, struct file **out);
/* -EINVAL if FILE is no signalfd. */
MUST_CHECK int signalfd_set(struct file *file, u64 set);
MUST_CHECK int timerfd_create_file(struct kernel *kernel, i32 clock, u32 flags, struct file **out);
/* Nanoseconds; VALUE 0 disarms. FLAGS: TFD_TIMER_ABSTIME 1, TFD_TIMER_CANCEL_ON_SET 2. Old settings
 * out. */
MUST_CHECK int timerfd_set(struct task *task, struct file *file, u32 flags, u64 value_ns,
                           u64 interval_ns, u64 *old_value_ns, u64 *old_interval_ns);
MUST_CHECK int timerfd_get(struct task *task, struct file *file, u64 *value_ns, u64 *interval_ns);

struct linux_epoll_event {
    u32 events;
    u64 data;
} PACKED;
_Static_assert(sizeof(struct linux_epoll_event) == 12, "epoll_event is packed on x86-64");
MUST_CHECK int epoll_create_file(struct kernel *kernel, u32 flags, struct file **out);
MUST_CHECK int epoll_control(struct task *task, struct file *epoll, i32 op, i32 fd,
                             struct file *target, const struct linux_epoll_event *event);
/* Up to COUNT events; 0 at the deadline; -ERESTARTSYS. */
MUST_CHECK SLEEPS i64 epoll_wait_events(struct task *task, struct file *epoll,
                                        struct linux_epoll_event *events, u32 count,
                                        u64 deadline_ns, bool may_block);
/* FILE's last reference goes: every epoll forgets it. */
void epoll_forget_file(struct file *file);
bool file_is_epoll(const struct file *file);
/* What EPOLL watches under the number FD, the one behind SKIP others; lent, or NULL. */
const struct file *epoll_watched(const struct file *epoll, i32 fd, u32 skip);
