/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp filter of a stub process: the stub's own code may make the few calls it needs; from
 * any other place nothing reaches the host. Under PTRACE_SYSEMU a program's calls never get here;
 * the vsyscall page's do, although it cannot be unmapped: they become SIGSYS, which events.c
 * understands.
 */
#include "platform/ptrace/internal.h"
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#define LOAD(field)      \
    (struct sock_filter) \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (u32)offsetof(struct seccomp_data, field))
#define LOAD_HIGH(field) \
    (struct sock_filter) \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (u32)offsetof(struct seccomp_data, field) + 4)
#define RETURN(action) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (action))
/* Go on if the accumulator is VALUE, else skip SKIP instructions. */
#define UNLESS(value, skip) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))

/* pause is first: it is the only one that a parked thread makes again and again. */
static const u32 calls[] = {
    SYS_pause,    SYS_futex,   SYS_write, SYS_mmap,        SYS_munmap,
    SYS_mprotect, SYS_madvise, SYS_clone, SYS_sigaltstack, SYS_prctl,
};

u32 filter_build(struct sock_filter *out)
{
    u32 n = 0;
    out[n++] = LOAD(arch);
    out[n++] = UNLESS(AUDIT_ARCH_X86_64, 8);
    out[n++] = LOAD_HIGH(instruction_pointer);
    out[n++] = UNLESS((u32)((u64)STUB_CODE >> 32), 5);
    out[n++] = LOAD(instruction_pointer);
    out[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(u32)(STUB_CODE_SIZE - 1));
    out[n++] = UNLESS((u32)STUB_CODE, 2);
    out[n++] = LOAD(nr);
    out[n++] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 2);
    out[n++] = RETURN(SECCOMP_RET_TRAP);
    out[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        out[n++] = UNLESS(calls[i], 1);
        out[n++] = RETURN(SECCOMP_RET_ALLOW);
    }
    out[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    ASSERT(n <= FILTER_COUNT_MAX);
    return n;
}
