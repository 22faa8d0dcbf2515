/* SPDX-License-Identifier: Apache-2.0 */
/* Classic BPF, as seccomp(2) and SO_ATTACH_FILTER take it (struct sock_filter). */
#pragma once
#include "base/base.h"

struct bpf_instruction {
    u16 code;
    u8 jump_true, jump_false;
    u32 k;
};
_Static_assert(sizeof(struct bpf_instruction) == 8, "struct sock_filter");
