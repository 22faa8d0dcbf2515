/* SPDX-License-Identifier: Apache-2.0 */
/* memfd_create(2) and the seals of its files (fcntl(2)). memfd_create_file is in vfs.h. */
#pragma once
#include "sentry/fs/file.h"

/* 0; -EINVAL (FILE has none, unknown seals), -EPERM (sealed against seals, not open for writing), -EBUSY (mapped writable). */
MUST_CHECK i64 memfd_add_seals(struct task *task, struct file *file, u32 seals);
/* The seals or -EINVAL. */
i64 memfd_get_seals(const struct file *file);
