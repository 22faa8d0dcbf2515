/* SPDX-License-Identifier: Apache-2.0 */
/* Floating point and vector state over calls, faults, switches, signals, fork and exec. */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

static volatile sig_atomic_t signal_count;

static void fill(uint64_t words[32], uint64_t seed)
{
    for (int i = 0; i < 32; i++)
        words[i] = seed * 0x9e3779b97f4a7c15ull + (uint64_t)i * 0x123456789abcdefull;
}

/* Load all xmm registers from in, make the call, store them to out. */
static long call_between(long nr, long a, long b, long c, const uint64_t in[32], uint64_t out[32])
{
    long result;
    __asm__ volatile("mov %[in], %%r12\n\t"
                     "mov %[out], %%r13\n\t"
                     "movdqu (%%r12), %%xmm0\n\tmovdqu 16(%%r12), %%xmm1\n\t"
                     "movdqu 32(%%r12), %%xmm2\n\tmovdqu 48(%%r12), %%xmm3\n\t"
                     "movdqu 64(%%r12), %%xmm4\n\tmovdqu 80(%%r12), %%xmm5\n\t"
                     "movdqu 96(%%r12), %%xmm6\n\tmovdqu 112(%%r12), %%xmm7\n\t"
                     "movdqu 128(%%r12), %%xmm8\n\tmovdqu 144(%%r12), %%xmm9\n\t"
                     "movdqu 160(%%r12), %%xmm10\n\tmovdqu 176(%%r12), %%xmm11\n\t"
                     "movdqu 192(%%r12), %%xmm12\n\tmovdqu 208(%%r12), %%xmm13\n\t"
                     "movdqu 224(%%r12), %%xmm14\n\tmovdqu 240(%%r12), %%xmm15\n\t"
                     "syscall\n\t"
                     "movdqu %%xmm0, (%%r13)\n\tmovdqu %%xmm1, 16(%%r13)\n\t"
                     "movdqu %%xmm2, 32(%%r13)\n\tmovdqu %%xmm3, 48(%%r13)\n\t"
                     "movdqu %%xmm4, 64(%%r13)\n\tmovdqu %%xmm5, 80(%%r13)\n\t"
                     "movdqu %%xmm6, 96(%%r13)\n\tmovdqu %%xmm7, 112(%%r13)\n\t"
                     "movdqu %%xmm8, 128(%%r13)\n\tmovdqu %%xmm9, 144(%%r13)\n\t"
                     "movdqu %%xmm10, 160(%%r13)\n\tmovdqu %%xmm11, 176(%%r13)\n\t"
                     "movdqu %%xmm12, 192(%%r13)\n\tmovdqu %%xmm13, 208(%%r13)\n\t"
                     "movdqu %%xmm14, 224(%%r13)\n\tmovdqu %%xmm15, 240(%%r13)"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), [in] "r"(in), [out] "r"(out)
                     : "rcx", "r11", "r12", "r13", "memory", "xmm0", "xmm1", "xmm2", "xmm3",
                       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15");
    return result;
}

CASE(kept_over_a_call)
{
    uint64_t in[32], out[32];
    fill(in, 1);
    EXPECT_EQ(call_between(SYS_getpid, 0, 0, 0, in, out), getpid());
    EXPECT_MEM(out, in, 256);
}

CASE(kept_over_a_sleep_and_other_processes)
{
    uint64_t in[32], out[32];
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        CHILD(pid)
        {
            fill(in, (uint64_t)i + 10);
            for (int turn = 0; turn < 50; turn++) {
                EXPECT_EQ(call_between(SYS_sched_yield, 0, 0, 0, in, out), 0);
                EXPECT_MEM(out, in, 256);
            }
        }
        pids[i] = pid;
    }
    long span[2] = {0, 20000000};
    fill(in, 2);
    EXPECT_EQ(call_between(SYS_nanosleep, (long)span, 0, 0, in, out), 0);
    EXPECT_MEM(out, in, 256);
    for (int i = 0; i < 4; i++)
        EXPECT_EXIT(pids[i], 0);
}

CASE(copied_by_fork)
{
    uint64_t in[32], out[32];
    fill(in, 3);
    long pid = call_between(SYS_fork, 0, 0, 0, in, out);
    REQUIRE(pid >= 0);
    if (pid == 0)
        _exit(memcmp(in, out, 256) == 0 ? 0 : 1);
    EXPECT_MEM(out, in, 256);
    EXPECT_EXIT((pid_t)pid, 0);
}

static void on_signal_clobber(int signal)
{
    uint64_t in[32], out[32];
    fill(in, 99);
    call_between(SYS_getpid, 0, 0, 0, in, out);
    __asm__ volatile("fninit\n\tfld1\n\tfld1");
    signal_count++;
}

CASE(kept_over_a_signal)
{
    uint64_t in[32], out[32];
    tap_handle(SIGUSR1, on_signal_clobber, 0);
    fill(in, 4);
    EXPECT_EQ(call_between(SYS_kill, getpid(), SIGUSR1, 0, in, out), 0);
    EXPECT_EQ(signal_count, 1);
    EXPECT_MEM(out, in, 256);
}

static void on_signal_nested(int signal)
{
    uint64_t in[32], out[32];
    fill(in, 50 + (uint64_t)signal_count);
    if (signal_count++ < 5)
        call_between(SYS_kill, getpid(), SIGUSR1, 0, in, out);
    else
        memcpy(out, in, 256);
    if (memcmp(in, out, 256) != 0)
        signal_count += 1000;
}

CASE(kept_over_nested_signals)
{
    uint64_t in[32], out[32];
    tap_handle(SIGUSR1, on_signal_nested, SA_NODEFER);
    fill(in, 5);
    EXPECT_EQ(call_between(SYS_kill, getpid(), SIGUSR1, 0, in, out), 0);
    EXPECT_EQ(signal_count, 6);
    EXPECT_MEM(out, in, 256);
}

CASE(kept_over_page_faults)
{
    uint64_t in[2] = {0x1111222233334444, 0x5555666677778888};
    uint64_t out[2] = {0};
    char *pages = tap_pages(64);
    __asm__ volatile("movdqu (%[in]), %%xmm5\n\t"
                     "mov $64, %%ecx\n\t"
                     "mov %[pages], %%rdi\n\t"
                     "1: movb $1, (%%rdi)\n\t"
                     "add $4096, %%rdi\n\t"
                     "dec %%ecx\n\t"
                     "jnz 1b\n\t"
                     "movdqu %%xmm5, (%[out])"
                     :
                     : [in] "r"(in), [out] "r"(out), [pages] "r"(pages)
                     : "rcx", "rdi", "xmm5", "memory", "cc");
    EXPECT_MEM(out, in, 16);
}

static void on_signal_change(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    memset(&uc->uc_mcontext.fpregs->_xmm[7], 0x5a, 16);
    signal_count++;
}

CASE(handler_can_change_a_register)
{
    uint64_t in[32], out[32];
    tap_handle_info(SIGUSR1, on_signal_change, 0);
    fill(in, 6);
    EXPECT_EQ(call_between(SYS_kill, getpid(), SIGUSR1, 0, in, out), 0);
    EXPECT_EQ(signal_count, 1);
    memset(in + 14, 0x5a, 16);
    EXPECT_MEM(out, in, 256);
}

CASE(control_words_start_clean_and_are_kept)
{
    uint32_t mxcsr = 0;
    uint16_t control = 0;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
    EXPECT_EQ(mxcsr & 0xffc0, 0x1f80);
    EXPECT_EQ(control, 0x37f);
    mxcsr = 0x1f80 | 0x6000; /* toward zero */
    control = 0x37f | 0xc00;
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(mxcsr), "m"(control));
    sched_yield();
    CHILD(pid)
    {
        uint32_t now = 0;
        __asm__ volatile("stmxcsr %0" : "=m"(now));
        EXPECT_EQ(now & 0xffc0, mxcsr);
    }
    EXPECT_EXIT(pid, 0);
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
    EXPECT_EQ(mxcsr & 0xffc0, 0x7f80);
    EXPECT_EQ(control, 0xf7f);
}

static void *use_registers(void *arg)
{
    uint64_t in[32], out[32];
    fill(in, (uint64_t)(long)arg);
    for (int i = 0; i < 100; i++) {
        call_between(SYS_sched_yield, 0, 0, 0, in, out);
        if (memcmp(in, out, 256) != 0)
            return (void *)1;
    }
    return NULL;
}

CASE(threads_have_their_own)
{
    pthread_t threads[6];
    for (long i = 0; i < 6; i++)
        REQUIRE(pthread_create(&threads[i], NULL, use_registers, (void *)i) == 0);
    for (int i = 0; i < 6; i++) {
        void *result = (void *)7;
        pthread_join(threads[i], &result);
        EXPECT_EQ((long)result, 0);
    }
}

CASE(upper_halves_are_kept)
{
    __builtin_cpu_init();
    SKIP_IF(!__builtin_cpu_supports("avx"), "no AVX");
    uint64_t in[4] = {1, 2, 3, 0x0123456789abcdef}, out[4] = {0};
    long pid = getpid();
    tap_handle(SIGUSR1, on_signal_clobber, 0);
    __asm__ volatile("vmovdqu (%[in]), %%ymm6\n\t"
                     "mov %[pid], %%rdi\n\tmov $10, %%esi\n\tmov $62, %%eax\n\tsyscall\n\t"
                     "vmovdqu %%ymm6, (%[out])\n\tvzeroupper"
                     :
                     : [in] "r"(in), [out] "r"(out), [pid] "r"(pid)
                     : "rax", "rcx", "rdi", "rsi", "r11", "xmm6", "memory");
    EXPECT_EQ(signal_count, 1);
    EXPECT_MEM(out, in, 32);
}
