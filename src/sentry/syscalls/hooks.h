/* SPDX-License-Identifier: Apache-2.0 */
/* What upper rooms do in a task's life; kernel/ calls it through kernel->hooks. */
#pragma once
#include "sentry/kernel/kernel.h"

extern const struct kernel_hooks syscall_kernel_hooks;
