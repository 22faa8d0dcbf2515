/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp(2): classic BPF programs that judge system calls. Filters are immutable; a newer one
 * points to the older, and all are asked: the strictest verdict counts.
 */
#pragma once
#include "abi/bpf.h"
#include "base/object.h"
#include "sentry/kernel/task.h"

#define SECCOMP_MODE_NONE 0u
#define SECCOMP_MODE_STRICT_ 1u
#define SECCOMP_MODE_FILTER_ 2u
#define SECCOMP_PROGRAM_MAX 4096u
#define SECCOMP_TOTAL_MAX 32768u
#define SECCOMP_FILTER_COST 4u /* each counts for so many instructions more */
#define AUDIT_ARCH_X86_64_ 0xc000003eu

#define SECCOMP_KILL_PROCESS 0x80000000u
#define SECCOMP_KILL_THREAD 0u
#define SECCOMP_TRAP 0x00030000u
#define SECCOMP_ERRNO 0x00050000u
#define SECCOMP_USER_NOTIF 0x7fc00000u
#define SECCOMP_TRACE 0x7ff00000u
#define SECCOMP_LOG 0x7ffc0000u
#define SECCOMP_ALLOW 0x7fff0000u
#define SECCOMP_ACTION_MASK 0xffff0000u

#define SECCOMP_FLAG_TSYNC 1u
#define SECCOMP_FLAG_LOG 2u
#define SECCOMP_FLAG_SPEC_ALLOW 4u
#define SECCOMP_FLAG_TSYNC_ESRCH 16u

/* What a program reads. */
struct seccomp_data {
    i32 nr;
    u32 arch;
    u64 instruction_pointer;
    u64 args[6];
};
_Static_assert(sizeof(struct seccomp_data) == 64, "struct seccomp_data");

struct seccomp_filter {
    struct object object;
    struct seccomp_filter *parent; /* counted; the one that was there before */
    struct bpf_instruction *code;
    u32 count;
    u32 total; /* instructions of this and all older ones, with their costs */
};
extern const struct kind seccomp_filter_kind;

/* May the program be run at all? */
bool seccomp_check(const struct bpf_instruction *code, u32 count);
/* The verdict of one program. */
u32 seccomp_run(const struct bpf_instruction *code, u32 count, const struct seccomp_data *data);
/* CODE is copied. 0, -EINVAL, -ENOMEM (too many in all, too). */
MUST_CHECK int seccomp_filter_create(struct task *task, const struct bpf_instruction *code,
                                     u32 count, struct seccomp_filter **out);
/* Takes FILTER. With TSYNC all threads get it: 0, or the number of one that cannot. */
MUST_CHECK i64 seccomp_install(struct task *task, struct seccomp_filter *filter, u32 flags);
/* May the call be served? If not, *RESULT is its result, and signals and ends are on their way. */
bool seccomp_allows(struct task *task, u64 nr, const struct sysargs *args, i64 *result);
/* How many filters there are. */
u32 seccomp_count(const struct seccomp_filter *filter);
bool seccomp_action_is_known(u32 action);
