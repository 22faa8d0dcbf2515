/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts of io_setup(2): a queue of completed operations. A context is a file of one page that
 * the program maps; its address is the context's number. The page stays zero, so that libraries ask
 * the kernel and do not read a ring.
 */
#pragma once
#include "sentry/fs/file.h"

struct linux_io_event {
    u64 data, object;
    i64 result, result2;
};
_Static_assert(sizeof(struct linux_io_event) == 32, "io_event");

struct aio {
    struct object object;
    struct buf events; /* struct linux_io_event, oldest first */
    u32 running;       /* begun, not completed */
    u32 events_max;    /* of both together */
    bool is_dead;      /* io_destroy(2) */
    struct wait_queue changed;
};
extern const struct kind aio_kind;
extern const struct file_ops aio_ops;

#define AIO_EVENTS_MAX 65536u
MUST_CHECK int aio_create_file(struct task *task, u32 events_max, struct file **out);
/* The context behind FILE, lent, or NULL. */
struct aio *aio_of(const struct file *file);
/* Room for one more operation: 0 or -EAGAIN, -ENOMEM. */
MUST_CHECK int aio_begin(struct aio *aio);
/* It is complete. Cannot fail: its room was made. */
void aio_complete(struct aio *aio, const struct linux_io_event *event);
void aio_kill(struct aio *aio);
/* Sleep until there are MIN events: 0, -ETIMEDOUT, -ERESTARTSYS; -EINVAL once it is dead. */
MUST_CHECK SLEEPS int aio_wait(struct task *task, struct aio *aio, u64 min, u64 deadline_ns);
/* The oldest event; false when there is none. */
bool aio_take(struct aio *aio, struct linux_io_event *out);
