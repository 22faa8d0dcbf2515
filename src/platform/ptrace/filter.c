/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp filter of a stub process: the stub's own code may make the few calls it needs; from
 * any other place nothing reaches the host. Under PTRACE_SYSEMU a program's calls never get here.
 * When a thread has made edits on its way to the program they do, and its tracer is told of them as
 * it is of others. The vsyscall page's get here always: they become SIGSYS, which events.c
 * understands.
 *
 * Surprising: a program may jump to the stub's own `syscall` instructions. What tells its calls
 * from the stub's are two random keys that no memory holds (stub_code.S).
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
#define VSYSCALL_HIGH 0xffffffffu
/* Go on if the accumulator is VALUE, else skip SKIP instructions. */
#define UNLESS(value, skip) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))

static const u32 calls[] = {
    SYS_mmap,  SYS_munmap, SYS_mprotect,    SYS_madvise, SYS_pause,
    SYS_write, SYS_clone,  SYS_sigaltstack, SYS_prctl,
};

/* The half of argument INDEX that carries a key. */
#define LOAD_KEY(index)                    \
    (struct sock_filter)                   \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
                 (u32)offsetof(struct seccomp_data, args) + (index) * (u32)sizeof(u64) + 4)
#define GOTO(label) (struct sock_filter) BPF_STMT(BPF_JMP | BPF_JA, (label))

u32 filter_build(const u32 keys[2], struct sock_filter *out)
{
    u32 n = 0;
    out[n++] = LOAD(arch);
    out[n++] = UNLESS(AUDIT_ARCH_X86_64, 11);
    out[n++] = LOAD_HIGH(instruction_pointer);
    out[n++] = UNLESS(VSYSCALL_HIGH, 1);
    out[n++] = RETURN(SECCOMP_RET_TRAP);
    out[n++] = UNLESS((u32)((u64)STUB_CODE >> 32), 7);
    out[n++] = LOAD(instruction_pointer);
    out[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(u32)(STUB_CODE_SIZE - 1));
    out[n++] = UNLESS((u32)STUB_CODE, 4);
    out[n++] = LOAD_KEY(4);
    out[n++] = UNLESS(keys[0], 2);
    out[n++] = LOAD(nr);
    out[n++] = GOTO(1);
    out[n++] = RETURN(SECCOMP_RET_TRACE);
    /* Its time limit leaves no room for the second key, and it is of no use to anybody. */
    out[n++] = UNLESS(SYS_futex, 1);
    out[n++] = RETURN(SECCOMP_RET_ALLOW);
    out[n++] = LOAD_KEY(3);
    out[n++] = UNLESS(keys[1], 2);
    out[n++] = LOAD(nr);
    out[n++] = GOTO(1);
    out[n++] = RETURN(SECCOMP_RET_TRACE);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        out[n++] = UNLESS(calls[i], 1);
        out[n++] = RETURN(SECCOMP_RET_ALLOW);
    }
    out[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    ASSERT(n <= FILTER_COUNT_MAX);
    return n;
}
