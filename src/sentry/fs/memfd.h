/* SPDX-License-Identifier: Apache-2.0 */
/* Seals of memory files: fcntl(2) F_ADD_SEALS and F_GET_SEALS. memfd_create_file is in fs/vfs.h. */
#pragma once
#include "sentry/fs/file.h"

/* -EINVAL for files that have none. */
MUST_CHECK i64 memfd_get_seals(const struct file *file);
/* -EPERM without write access or when sealed, -EBUSY for F_SEAL_WRITE while mapped writable and
 * shared. */
MUST_CHECK int memfd_add_seals(struct task *task, struct file *file, u32 seals);
