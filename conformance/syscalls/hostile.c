/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that do to the processor what they may not, and odd states in which they make calls. */
#include "tap.h"

#include <sched.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>

static sigjmp_buf back;
static volatile sig_atomic_t signal_count;
static volatile int last_signal;
static volatile int last_code;
static volatile long last_trap;
static volatile long last_error;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    last_signal = signal;
    last_code = info->si_code;
    last_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
    last_error = uc->uc_mcontext.gregs[REG_ERR];
    signal_count++;
    siglongjmp(back, 1);
}

static void catch_all(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        tap_handle_info(signals[i], on_fault, 0);
    signal_count = 0;
    last_signal = 0;
}

#define FAULTS(action_)                                                                           \
    do {                                                                                          \
        catch_all();                                                                              \
        if (sigsetjmp(back, 1) == 0) {                                                            \
            action_;                                                                              \
        }                                                                                         \
    } while (0)

#define EXPECT_PROTECTION(error_)                                                                 \
    do {                                                                                          \
        EXPECT_EQ(signal_count, 1);                                                               \
        EXPECT_EQ(last_signal, SIGSEGV);                                                          \
        EXPECT_EQ(last_code, SI_KERNEL);                                                          \
        EXPECT_EQ(last_trap, 13);                                                                 \
        EXPECT_EQ(last_error, (error_));                                                          \
    } while (0)

/* Is the sandbox alive and are calls right? */
static void expect_sanity(void)
{
    EXPECT_EQ(syscall(SYS_getppid), getppid());
    EXPECT_EQ(syscall(SYS_lseek, -1, 0, 0), -1);
}

CASE(more_privileged_instructions)
{
    FAULTS(__asm__ volatile("clts"));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("wrmsr" ::"c"(0xc0000082), "a"(0), "d"(0)));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("invlpg (%%rsp)" ::: "memory"));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("mov %%rax, %%cr3" ::"a"(0)));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("wbinvd" ::: "memory"));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("sysretq" ::"c"(0)));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("xsetbv" ::"c"(0), "a"(1), "d"(0)));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("ltr %%ax" ::"a"(0x40)));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("lgdt (%%rsp)" ::: "memory"));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("out %%al, $0x10" ::"a"(0)));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("rep outsb" ::"d"(0x10), "S"(0), "c"(1)));
    EXPECT_PROTECTION(0);
    expect_sanity();
}

CASE(hypercalls_harm_nobody)
{
    static long result = 5;
    FAULTS(__asm__ volatile("vmcall" : "+a"(result)::"memory"));
    EXPECT(signal_count == 0 || last_signal == SIGILL || last_signal == SIGSEGV);
    FAULTS(__asm__ volatile("vmmcall" : "+a"(result)::"memory"));
    EXPECT(signal_count == 0 || last_signal == SIGILL || last_signal == SIGSEGV);
    expect_sanity();
}

CASE(bad_selectors)
{
    FAULTS(__asm__ volatile("mov %%ax, %%ds" ::"a"(0x18)));
    EXPECT_PROTECTION(0x18);
    FAULTS(__asm__ volatile("mov %%ax, %%es" ::"a"(0xfff8)));
    EXPECT_PROTECTION(0xfff8);
    FAULTS(__asm__ volatile("mov %%ax, %%gs" ::"a"(0x17)));
    EXPECT_PROTECTION(0x14);
    FAULTS(__asm__ volatile("mov %%ax, %%ss" ::"a"(0)));
    EXPECT_PROTECTION(0);
    FAULTS(__asm__ volatile("pushq $0x10\n\tpushq $0\n\tlretq"));
    EXPECT_PROTECTION(0x10);
    expect_sanity();
}

CASE(good_selectors_are_kept)
{
    unsigned ds = 0, es = 0;
    __asm__ volatile("mov %[sel], %%ds\n\tmov %[sel], %%es\n\tmov $39, %%eax\n\tsyscall\n\t"
                     "mov %%ds, %[ds]\n\tmov %%es, %[es]\n\t"
                     "xor %%eax, %%eax\n\tmov %%eax, %%ds\n\tmov %%eax, %%es"
                     : [ds] "=&r"(ds), [es] "=&r"(es)
                     : [sel] "r"(0x2b)
                     : "rax", "rcx", "r11", "memory");
    EXPECT_EQ(ds, 0x2b);
    EXPECT_EQ(es, 0x2b);
    for (int i = 0; i < 3; i++)
        sched_yield();
    __asm__ volatile("mov %%ds, %0" : "=r"(ds));
    EXPECT_EQ(ds, 0);
}

static void on_signal(int signal)
{
    signal_count++;
}

CASE(code_of_32_bits_runs)
{
    /* inc %eax; push %eax; pop %ecx; ljmp $0x33, back; then in 64 bits: ret */
    static const unsigned char code[] = {0x40, 0x50, 0x59, 0xea, 0, 0, 0, 0, 0x33, 0, 0xc3};
    unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    EXPECT(page != MAP_FAILED);
    memcpy(page, code, sizeof code);
    unsigned target = (unsigned)(uintptr_t)page + 10;
    memcpy(page + 4, &target, 4);
    struct {
        unsigned offset;
        unsigned short selector;
    } __attribute__((packed)) far = {(unsigned)(uintptr_t)page, 0x23};
    static long counter = 41, copy;
    /* The far jump's code returns by the address on the low stack. */
    FAULTS(__asm__ volatile("mov %%rsp, %%r12\n\tmov %[stack], %%rsp\n\tlea 1f(%%rip), %%rbx\n\t"
                     "push %%rbx\n\tmov $0x2b, %%ebx\n\tmov %%ebx, %%ds\n\t"
                     "ljmpl *(%[far])\n\t1: mov %%r12, %%rsp"
                     : "+a"(counter), "=&c"(copy)
                     : [stack] "r"(page + 8000), [far] "r"(&far)
                     : "rbx", "r12", "memory"));
    /* A kernel may also run no such code at all. */
    EXPECT(signal_count ? last_signal == SIGSEGV : counter == 42 && copy == 42);
    expect_sanity();
}

CASE(odd_flags_do_not_last_or_harm)
{
    long flags = 0, pid = 0;
    /* NT, IOPL and RF asked for; a system call in between. */
    __asm__ volatile("pushf\n\tpop %%rbx\n\tmov %%rbx, %%rcx\n\tor $0x17000, %%rcx\n\tpush %%rcx\n\t"
                     "popf\n\tmov $39, %%eax\n\tsyscall\n\tmov %%rax, %[pid]\n\t"
                     "pushf\n\tpop %[flags]\n\tpush %%rbx\n\tpopf"
                     : [flags] "=&r"(flags), [pid] "=&r"(pid)
                     :
                     : "rax", "rbx", "rcx", "r11", "memory", "cc");
    EXPECT_EQ(pid, getpid());
    EXPECT_EQ(flags & 0x13000, 0);
    EXPECT_EQ(flags & 0x200, 0x200);
    expect_sanity();
}

CASE(the_direction_flag_is_kept_over_a_call)
{
    long flags = 0;
    __asm__ volatile("std\n\tmov $39, %%eax\n\tsyscall\n\tpushf\n\tpop %0\n\tcld"
                     : "=r"(flags)::"rax", "rcx", "r11", "memory", "cc");
    EXPECT_EQ(flags & 0x400, 0x400);
}

CASE(interrupt_return_is_a_jump)
{
    long done = 0;
    __asm__ volatile("mov %%rsp, %%rbx\n\tmov %%ss, %%ecx\n\tpush %%rcx\n\tpush %%rbx\n\tpushf\n\t"
                     "mov %%cs, %%ecx\n\tpush %%rcx\n\tlea 1f(%%rip), %%rcx\n\tpush %%rcx\n\tiretq\n\t"
                     "1: mov $7, %0"
                     : "=r"(done)::"rbx", "rcx", "memory");
    EXPECT_EQ(done, 7);
    FAULTS(__asm__ volatile("mov %%rsp, %%rbx\n\tpush $0x18\n\tpush %%rbx\n\tpushf\n\tpush $0x10\n\t"
                            "push $0\n\tiretq" ::
                                : "rbx", "memory"));
    EXPECT_PROTECTION(0x10);
    expect_sanity();
}

CASE(segment_bases_of_the_kernels_half)
{
    uint64_t base = 0;
    FAULTS(__asm__ volatile("rdgsbase %0" : "=r"(base)));
    SKIP_IF(signal_count, "the kernel keeps these instructions to itself");
    static const uint64_t bases[] = {0xffff800000000000, 0xffffffff80000000, ~(uint64_t)4095};
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        __asm__ volatile("wrgsbase %[want]\n\tmov $39, %%eax\n\tsyscall\n\trdgsbase %[have]"
                         : [have] "=&r"(base)
                         : [want] "r"(bases[i])
                         : "rax", "rcx", "r11", "memory");
        EXPECT_EQ(base, bases[i]);
    }
    __asm__ volatile("wrgsbase %0" ::"r"(0l));
    expect_sanity();
}

CASE(non_canonical_segment_base)
{
    uint64_t base = 0;
    FAULTS(__asm__ volatile("rdgsbase %0" : "=r"(base)));
    SKIP_IF(signal_count, "the kernel keeps these instructions to itself");
    FAULTS(__asm__ volatile("wrgsbase %0" ::"r"(0x1234567800000000)));
    EXPECT_PROTECTION(0);
    expect_sanity();
}

CASE(an_endless_loop_is_preempted)
{
    CHILD(pid)
    {
        for (;;)
            __asm__ volatile("1: jmp 1b");
    }
    struct timespec wait = {0, 30 * 1000 * 1000};
    nanosleep(&wait, NULL);
    expect_sanity();
    kill(pid, SIGTERM);
    EXPECT_KILLED(pid, SIGTERM);
}

CASE(an_endless_loop_of_faults_is_preempted)
{
    CHILD(pid)
    {
        signal(SIGSEGV, on_signal);
        for (;;)
            *(volatile char *)8 = 1;
    }
    struct timespec wait = {0, 30 * 1000 * 1000};
    nanosleep(&wait, NULL);
    kill(pid, SIGTERM);
    EXPECT_KILLED(pid, SIGTERM);
}

/* What the handler does to its own frame. */
static enum { FRAME_COMPACT, FRAME_MXCSR, FRAME_CS, FRAME_FLAGS } damage;

static void on_signal_damage(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    char *state = (char *)uc->uc_mcontext.fpregs;
    uint64_t word = 1ull << 63 | 7;
    uint32_t mxcsr = 0xffffffff;
    switch (damage) {
    case FRAME_COMPACT:
        memcpy(state + 520, &word, sizeof word);
        return;
    case FRAME_MXCSR:
        memcpy(state + 24, &mxcsr, sizeof mxcsr);
        return;
    case FRAME_CS:
        uc->uc_mcontext.gregs[REG_CSGSFS] = (uc->uc_mcontext.gregs[REG_CSGSFS] & ~0xffffl) | 0x10;
        return;
    case FRAME_FLAGS:
        uc->uc_mcontext.gregs[REG_EFL] |= 0x3f7000;
        return;
    }
}

#define EXPECT_DEATH_BY(damage_)                                                                  \
    do {                                                                                          \
        CHILD(pid_)                                                                               \
        {                                                                                         \
            damage = damage_;                                                                     \
            tap_handle_info(SIGUSR1, on_signal_damage, 0);                                        \
            raise(SIGUSR1);                                                                       \
        }                                                                                         \
        EXPECT_KILLED(pid_, SIGSEGV);                                                             \
    } while (0)

CASE(a_frame_with_damaged_extended_state)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    EXPECT_DEATH_BY(FRAME_COMPACT);
    EXPECT_DEATH_BY(FRAME_MXCSR);
    expect_sanity();
}

CASE(a_frame_with_a_bad_selector_kills)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    EXPECT_DEATH_BY(FRAME_CS);
    damage = FRAME_FLAGS;
    tap_handle_info(SIGUSR1, on_signal_damage, 0);
    raise(SIGUSR1);
    expect_sanity();
}
