/* SPDX-License-Identifier: Apache-2.0 */
/* pidfd_open(2): a descriptor that stands for a process; readable when it has ended. */
#pragma once
#include "abi/fcntl.h"
#include "sentry/fs/file.h"

/* FLAGS: O_NONBLOCK. */
MUST_CHECK int pidfd_create(struct kernel *kernel, struct pid *pid, u32 flags, struct file **out);
/* Lent, or NULL if FILE is none. */
struct pid *pidfd_pid(const struct file *file);
extern const struct file_ops pidfd_ops;
