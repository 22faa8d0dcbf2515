/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first stub process: a copy of the sentry that forgets everything of it, step by step, on a
 * stack of its own and without the C library. What it must not keep: descriptors, signal handlers,
 * mappings (the vDSO among them), the rseq registration (the kernel would write to memory that is
 * gone).
 */
#include "platform/ptrace/internal.h"
#include <errno.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NO_SANITIZER __attribute__((no_sanitize("address", "undefined"), noinline))
#define KERNEL_SA_RESTORER 0x04000000u
#define ZYGOTE_STACK_SIZE ((size_t)16 * PAGE_SIZE)

struct kernel_sigaction {
    u64 handler, flags, restorer, mask;
};

/* All that the copy needs, made before it exists. */
struct zygote_plan {
    struct sock_filter filter_code[FILTER_COUNT_MAX];
    struct sock_fprog filter;
    int *fds_kept; /* ascending */
    u32 fd_count;
    int control_fd;
    int done_fd;
    u64 offset;
    u64 slots_size;
    u64 closed_size;
    u64 keys[2];
    u64 handler;
    u64 boot;
    u64 rseq_address;
};

static inline __attribute__((always_inline)) i64 raw(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e,
                                                     u64 f)
{
    i64 result;
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    register u64 r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline __attribute__((always_inline)) void raw_check(i64 result)
{
    if (result < 0)
        for (;;)
            raw(SYS_exit_group, 99, 0, 0, 0, 0, 0);
}

NO_SANITIZER static void zygote_close_files(const struct zygote_plan *plan)
{
    u32 from = 0;
    for (u32 i = 0; i <= plan->fd_count; i++) {
        u32 kept = i < plan->fd_count ? (u32)plan->fds_kept[i] : ~(u32)0;
        if (kept > from && raw(SYS_close_range, from, kept - 1, 0, 0, 0, 0) < 0)
            for (u32 fd = from; fd < kept && fd < 65536; fd++)
                raw(SYS_close, fd, 0, 0, 0, 0, 0);
        from = kept + 1;
    }
}

NO_SANITIZER static void zygote_reset_signals(const struct zygote_plan *plan)
{
    u64 mask = 0;
    for (u64 signo = 1; signo <= 64; signo++) {
        struct kernel_sigaction action = {0, 0, 0, 0};
        if (signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE) {
            action.handler = plan->handler;
            action.restorer = plan->handler;
            action.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | KERNEL_SA_RESTORER;
        }
        raw(SYS_rt_sigaction, signo, (u64)&action, 0, sizeof mask, 0, 0);
    }
    raw(SYS_rt_sigprocmask, SIG_SETMASK, (u64)&mask, 0, sizeof mask, 0, 0);
}

NO_SANITIZER static void zygote_main(const struct zygote_plan *plan)
{
    struct rlimit no_core = {0, 0};
    raw_check(raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0));
    raw_check(raw(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0, 0));
    raw_check(raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0));
    raw(SYS_setsid, 0, 0, 0, 0, 0, 0);
    raw(SYS_setrlimit, RLIMIT_CORE, (u64)&no_core, 0, 0, 0, 0);
    zygote_reset_signals(plan);
    zygote_close_files(plan);
    if (plan->rseq_address)
        for (u64 size = 32; size <= 512; size += 4)
            if (raw(SYS_rseq, plan->rseq_address, size, 1, 0x53053053, 0, 0) == 0)
                break;

    raw_check(raw(SYS_munmap, STUB_BASE, STUB_END - STUB_BASE, 0, 0, 0, 0));
    raw_check(raw(SYS_mmap, STUB_CODE, STUB_CODE_SIZE, PROT_READ | PROT_EXEC,
                  MAP_SHARED | MAP_FIXED, (u64)plan->control_fd, 0));
    raw_check(raw(SYS_mmap, STUB_CONTROL, plan->closed_size, PROT_READ, MAP_SHARED | MAP_FIXED,
                  (u64)plan->control_fd, plan->offset));
    raw_check(raw(SYS_mmap, STUB_SLOTS, plan->slots_size, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED, (u64)plan->control_fd, plan->offset + plan->closed_size));
    u64 boot = plan->boot;
    u64 done_fd = (u64)plan->done_fd;
    u64 keys[2] = {plan->keys[0], plan->keys[1]};
    raw_check(raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (u64)&plan->filter, 0, 0, 0));
    __asm__ volatile("mov %2, %%r13\n\tmovq %3, %%xmm0\n\tmov %1, %%rbp\n\tjmp *%0"
                     :
                     : "a"(boot), "d"(done_fd), "D"(keys[0]), "S"(keys[1])
                     : "memory");
    __builtin_unreachable();
}

/* fork(2) with another stack for the copy, which starts in zygote_main. */
NO_SANITIZER static i64 zygote_fork(const struct zygote_plan *plan, void *stack_top)
{
    i64 result;
    register const struct zygote_plan *r12 __asm__("r12") = plan;
    register void (*r13)(const struct zygote_plan *) __asm__("r13") = zygote_main;
    __asm__ volatile("xor %%edx, %%edx\n\t"
                     "xor %%r10d, %%r10d\n\t"
                     "xor %%r8d, %%r8d\n\t"
                     "syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r12, %%rdi\n\t"
                     "call *%%r13\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"((u64)SYS_clone), "D"((u64)0), "S"(stack_top), "r"(r12), "r"(r13)
                     : "rcx", "rdx", "r8", "r10", "r11", "memory");
    return result;
}

static int int_compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

pid_t zygote_start(struct ptrace_platform *platform, u64 offset, int done_fd)
{
    u32 fd_count = platform->base.cpu_count + 3;
    int *fds = calloc(fd_count, sizeof *fds);
    void *stack = machine_stack_create(ZYGOTE_STACK_SIZE);
    i64 pid = -ENOMEM;
    if (fds == NULL || stack == NULL)
        goto done;
    fds[0] = platform->base.memory->fd;
    fds[1] = platform->control.fd;
    memcpy(fds + 2, platform->done_fds, (fd_count - 2) * sizeof *fds);
    qsort(fds, fd_count, sizeof *fds, int_compare);

    /* At the low end of the copy's stack: the caller's own may lie where the stub's pages go. */
    struct zygote_plan *plan = stack;
    *plan = (struct zygote_plan){
        .fds_kept = fds,
        .fd_count = fd_count,
        .control_fd = platform->control.fd,
        .done_fd = done_fd,
        .offset = offset,
        .slots_size = stub_slots_size(platform),
        .closed_size = stub_closed_size(platform),
        .keys = {platform->key_words[0], platform->key_words[1]},
        .handler = STUB_CODE + (u64)(stub_code_handler - stub_code_start),
        .boot = STUB_CODE + (u64)(stub_code_boot - stub_code_start),
    };
    plan->filter.len = (unsigned short)filter_build(platform->keys, plan->filter_code);
    plan->filter.filter = plan->filter_code;
    if (__rseq_size)
        plan->rseq_address = (u64)((u8 *)__builtin_thread_pointer() + __rseq_offset);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* no handler of ours may run in the copy */
    pid = zygote_fork(plan, (u8 *)stack + ZYGOTE_STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &old, NULL);

done:
    machine_stack_destroy(stack, ZYGOTE_STACK_SIZE);
    free(fds);
    return (pid_t)pid;
}
