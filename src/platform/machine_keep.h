/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/base.h"

/*
 * While it is on, memories and stacks that are destroyed are kept for the next ones of their size,
 * up to some number; memories are zeroed. For processes of one thread that make many sandboxes one
 * after the other: the host takes longer to unmap than such a sandbox lives.
 */
void machine_keep(bool is_on);
