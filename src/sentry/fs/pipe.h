/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes for splice.c and fcntl(2): what pipe(7) is made of. */
#pragma once
#include "sentry/fs/file.h"

extern const struct file_ops pipe_ops;
/* The pipe behind FILE, lent, or NULL. */
struct pipe *pipe_of(const struct file *file);
u64 pipe_capacity(const struct pipe *pipe);
u64 pipe_bytes(const struct pipe *pipe);
/* F_SETPIPE_SZ: the new capacity, -EPERM above the maximum without a capability, -EBUSY, -EINVAL,
 * -ENOMEM. */
MUST_CHECK SLEEPS i64 pipe_set_capacity(struct task *task, struct pipe *pipe, u64 size);

/* ---- for splice.c: pipe_lock is held around the last five ------------ */

/* Wait until there is data: 0, or -EAGAIN when MAY_BLOCK is false; *IS_END: no data and no writer.
 */
MUST_CHECK SLEEPS int pipe_wait_data(struct task *task, struct pipe *pipe, bool may_block,
                                     bool *is_end);
/* Wait until a slot is free: 0, -EAGAIN, -EPIPE (with SIGPIPE), -ERESTARTSYS. */
MUST_CHECK SLEEPS int pipe_wait_room(struct task *task, struct pipe *pipe, bool may_block);
/* The bytes of the first slot behind the first SKIP bytes, lent until the next sleep: their number,
 * 0 when there are none. */
u64 pipe_peek(const struct pipe *pipe, u64 skip, const u8 **bytes);
void pipe_consume(struct pipe *pipe, u64 size);
/* There is room: SIZE bytes, a page at most. -ENOMEM. */
MUST_CHECK int pipe_append(struct pipe *pipe, const void *bytes, u64 size);
bool pipe_has_room(const struct pipe *pipe);
/* Bytes of its free slots. */
u64 pipe_room(const struct pipe *pipe);
SLEEPS void pipe_lock(struct task *task, struct pipe *pipe);
void pipe_unlock(struct task *task, struct pipe *pipe);
