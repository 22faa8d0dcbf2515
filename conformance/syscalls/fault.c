/* SPDX-License-Identifier: Apache-2.0 */
/* Processor faults as signals: codes, addresses, trap numbers; gates that lead nowhere. */
#include "tap.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>

static sigjmp_buf back;
static siginfo_t last_info;
static volatile long last_trap;
static volatile long last_error;
static volatile long last_rip;
static volatile sig_atomic_t signal_count;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    last_info = *info;
    last_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
    last_error = uc->uc_mcontext.gregs[REG_ERR];
    last_rip = uc->uc_mcontext.gregs[REG_RIP];
    signal_count++;
    siglongjmp(back, 1);
}

static void catch_all(void)
{
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        tap_handle_info(signals[i], on_fault, 0);
    signal_count = 0;
    memset(&last_info, 0xee, sizeof last_info);
}

#define FAULTS(action_)                                                                           \
    do {                                                                                          \
        catch_all();                                                                              \
        if (sigsetjmp(back, 1) == 0) {                                                            \
            action_;                                                                              \
        }                                                                                         \
    } while (0)

#define EXPECT_FAULT(signal_, code_, address_)                                                    \
    do {                                                                                          \
        EXPECT_EQ(signal_count, 1);                                                               \
        EXPECT_EQ(last_info.si_signo, signal_);                                                   \
        EXPECT_EQ(last_info.si_code, code_);                                                      \
        EXPECT_EQ((long)last_info.si_addr, (long)(address_));                                     \
    } while (0)

CASE(read_of_nothing)
{
    FAULTS((void)*(volatile char *)0x1234);
    EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, 0x1234);
    EXPECT_EQ(last_trap, 14);
    EXPECT_EQ(last_error, 4);
}

CASE(write_to_nothing)
{
    FAULTS(*(volatile char *)0x1234 = 1);
    EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, 0x1234);
    EXPECT_EQ(last_error, 6);
}

CASE(write_to_read_only)
{
    char *page = tap_pages(1);
    page[0] = 1;
    MUST(mprotect(page, 4096, PROT_READ));
    FAULTS(*(volatile char *)(page + 100) = 1);
    EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, page + 100);
    EXPECT_EQ(last_error, 7);
    EXPECT_EQ(page[0], 1);
}

CASE(read_of_no_access)
{
    char *page = tap_pages(1);
    MUST(mprotect(page, 4096, PROT_NONE));
    FAULTS((void)*(volatile char *)(page + 7));
    EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, page + 7);
}

CASE(execution_of_data)
{
    char *page = tap_pages(1);
    page[0] = (char)0xc3;
    FAULTS(((void (*)(void))page)());
    EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, page);
    EXPECT_EQ(last_error & 16, 16);
    EXPECT_EQ(last_rip, (long)page);
}

CASE(jump_to_nothing)
{
    FAULTS(((void (*)(void))0x10)());
    EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, 0x10);
    EXPECT_EQ(last_rip, 0x10);
}

CASE(after_unmapping)
{
    char *page = tap_pages(1);
    page[0] = 1;
    MUST(munmap(page, 4096));
    FAULTS((void)*(volatile char *)page);
    EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, page);
}

CASE(kernel_address)
{
    FAULTS((void)*(volatile char *)0xffff888000000000);
    EXPECT_EQ(last_info.si_signo, SIGSEGV);
    EXPECT_EQ(last_info.si_code, SEGV_MAPERR);
    EXPECT_EQ((long)last_info.si_addr, (long)0xffff888000000000);
}

CASE(non_canonical_address)
{
    FAULTS((void)*(volatile char *)0x1234567800000000);
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    EXPECT_EQ(last_trap, 13);
    EXPECT_EQ(last_error, 0);
}

CASE(beyond_the_end_of_a_file)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    MUST(ftruncate(fd, 4096));
    char *map = (char *)MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    map[4095] = 1;
    FAULTS((void)*(volatile char *)(map + 4096 + 16));
    EXPECT_FAULT(SIGBUS, BUS_ADRERR, map + 4096 + 16);
    MUST(ftruncate(fd, 0));
    FAULTS((void)*(volatile char *)map);
    EXPECT_FAULT(SIGBUS, BUS_ADRERR, map);
    MUST(ftruncate(fd, 8192));
    FAULTS(map[0] = 1);
    EXPECT_EQ(signal_count, 0);
}

CASE(divide_by_zero)
{
    FAULTS(__asm__ volatile("xor %%ecx, %%ecx\n\tmov $1, %%eax\n\tcltd\n\tidiv %%ecx" ::
                                : "eax", "ecx", "edx"));
    EXPECT_EQ(last_info.si_signo, SIGFPE);
    EXPECT_EQ(last_info.si_code, FPE_INTDIV);
    EXPECT_EQ((long)last_info.si_addr, last_rip);
    EXPECT_EQ(last_trap, 0);
}

CASE(divide_overflow)
{
    FAULTS(__asm__ volatile("mov $0x80000000, %%eax\n\tcltd\n\tmov $-1, %%ecx\n\tidiv %%ecx" ::
                                : "eax", "ecx", "edx"));
    EXPECT_EQ(last_info.si_signo, SIGFPE);
    EXPECT_EQ(last_info.si_code, FPE_INTDIV);
}

CASE(vector_floating_point_exception)
{
    FAULTS({
        uint32_t control = 0x1f80 & ~0x0200u; /* unmask division by zero */
        __asm__ volatile("ldmxcsr %0" ::"m"(control));
        __asm__ volatile("pxor %%xmm0, %%xmm0\n\tmov $1, %%eax\n\tcvtsi2ss %%eax, %%xmm1\n\t"
                         "divss %%xmm0, %%xmm1" ::
                             : "eax", "xmm0", "xmm1");
    });
    EXPECT_EQ(last_info.si_signo, SIGFPE);
    EXPECT_EQ(last_info.si_code, FPE_FLTDIV);
    EXPECT_EQ(last_trap, 19);
}

CASE(x87_exception)
{
    FAULTS({
        uint16_t control = 0x037f & ~0x0004; /* unmask division by zero */
        __asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" ::"m"(control));
        __asm__ volatile("fld1\n\tfldz\n\tfdivrp %st, %st(1)\n\tfwait");
    });
    EXPECT_EQ(last_info.si_signo, SIGFPE);
    EXPECT_EQ(last_info.si_code, FPE_FLTDIV);
    EXPECT_EQ(last_trap, 16);
}

CASE(invalid_instruction)
{
    FAULTS(__asm__ volatile("ud2"));
    EXPECT_EQ(last_info.si_signo, SIGILL);
    EXPECT_EQ(last_info.si_code, ILL_ILLOPN);
    EXPECT_EQ((long)last_info.si_addr, last_rip);
    EXPECT_EQ(last_trap, 6);
}

CASE(breakpoint)
{
    FAULTS(__asm__ volatile("int3"));
    EXPECT_EQ(last_info.si_signo, SIGTRAP);
    EXPECT_EQ(last_info.si_code, SI_KERNEL);
    EXPECT_EQ(last_trap, 3);
}

static void on_trap_step(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    last_info = *info;
    last_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
    last_rip = uc->uc_mcontext.gregs[REG_RIP];
    if (++signal_count == 3)
        uc->uc_mcontext.gregs[REG_EFL] &= ~0x100l;
}

CASE(single_step)
{
    tap_handle_info(SIGTRAP, on_trap_step, 0);
    long after = 0;
    __asm__ volatile("pushf\n\t"
                     "orl $0x100, (%%rsp)\n\t"
                     "popf\n\t"
                     "nop\n\t"
                     "nop\n\t"
                     "nop\n\t"
                     "lea 0(%%rip), %0" /* the handler clears TF behind the third nop */
                     : "=r"(after)::"memory", "cc");
    EXPECT_EQ(signal_count, 3);
    EXPECT_EQ(last_info.si_code, TRAP_TRACE);
    EXPECT_EQ(last_trap, 1);
    EXPECT_EQ((long)last_info.si_addr, last_rip);
    EXPECT(after - last_rip > 0 && after - last_rip < 16);
}

CASE(single_step_over_a_system_call)
{
    tap_handle_info(SIGTRAP, on_trap_step, 0);
    long result = 0;
    __asm__ volatile("pushf\n\t"
                     "orl $0x100, (%%rsp)\n\t"
                     "popf\n\t"
                     "mov $39, %%eax\n\t"
                     "syscall\n\t"
                     "nop\n\t"
                     "mov %%rax, %0"
                     : "=r"(result)::"rax", "rcx", "r11", "memory", "cc");
    EXPECT_EQ(result, getpid());
    EXPECT_EQ(signal_count, 3);
}

CASE(hardware_step_instruction)
{
    FAULTS(__asm__ volatile(".byte 0xf1"));
    EXPECT_EQ(last_info.si_signo, SIGTRAP);
    EXPECT_EQ(last_trap, 1);
}

CASE(privileged_instructions)
{
    FAULTS(__asm__ volatile("hlt"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    EXPECT_EQ(last_trap, 13);
    FAULTS(__asm__ volatile("cli"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    FAULTS(__asm__ volatile("mov %%cr0, %%rax" ::: "rax"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    FAULTS(__asm__ volatile("mov %%db0, %%rax" ::: "rax"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    FAULTS(__asm__ volatile("rdmsr" ::"c"(0x1b) : "rax", "rdx"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    FAULTS(__asm__ volatile("in $0x80, %%al" ::: "rax"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    FAULTS(__asm__ volatile("lidt (%%rsp)" ::: "memory"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    FAULTS(__asm__ volatile("swapgs"));
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_signo, SIGSEGV);
}

CASE(software_interrupts)
{
    FAULTS(__asm__ volatile("int $0x2f"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
    EXPECT_EQ(last_error, 0x2f * 8 + 2);
    FAULTS(__asm__ volatile("int $0x0e"));
    EXPECT_FAULT(SIGSEGV, SI_KERNEL, 0);
}

CASE(old_system_call_gates)
{
    static long result;
    FAULTS(__asm__ volatile("int $0x80" : "=a"(result) : "a"(20)));
    EXPECT(signal_count == 1 ? last_info.si_signo == SIGSEGV : result != 0);
}

CASE(stack_segment)
{
    FAULTS(__asm__ volatile("mov %%rsp, %%rbx\n\t"
                            "movabs $0x1234567800000000, %%rax\n\t"
                            "mov %%rax, %%rbp\n\t"
                            "mov (%%rbp), %%rcx\n\t" ::
                                : "rax", "rbx", "rcx", "memory"));
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_code, SI_KERNEL);
    EXPECT_EQ(last_info.si_signo, SIGBUS);
    EXPECT_EQ(last_trap, 12);
}

CASE(alignment_check)
{
    static char data[16] __attribute__((aligned(16)));
    FAULTS({
        __asm__ volatile("pushf\n\torl $0x40000, (%%rsp)\n\tpopf\n\t"
                         "mov 1(%0), %%eax\n\t"
                         "pushf\n\tandl $~0x40000, (%%rsp)\n\tpopf" ::"r"(data)
                         : "eax", "memory", "cc");
    });
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_signo, SIGBUS);
    EXPECT_EQ(last_info.si_code, BUS_ADRALN);
    EXPECT_EQ(last_trap, 17);
}

CASE(default_action_kills)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(a)
    {
        *(volatile int *)8 = 1;
    }
    EXPECT_KILLED(a, SIGSEGV);
    CHILD(b)
    {
        __asm__ volatile("ud2");
    }
    EXPECT_KILLED(b, SIGILL);
    CHILD(c)
    {
        __asm__ volatile("int3");
    }
    EXPECT_KILLED(c, SIGTRAP);
}

CASE(blocked_or_ignored_fault_kills)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(a)
    {
        sigset_t all;
        sigfillset(&all);
        catch_all();
        sigprocmask(SIG_SETMASK, &all, NULL);
        *(volatile int *)8 = 1;
    }
    EXPECT_KILLED(a, SIGSEGV);
    CHILD(b)
    {
        signal(SIGSEGV, SIG_IGN);
        *(volatile int *)8 = 1;
    }
    EXPECT_KILLED(b, SIGSEGV);
}

static int overflow(int depth)
{
    volatile char room[4096];
    room[0] = (char)depth;
    return depth < 0 ? room[0] : overflow(depth + 1) + room[0];
}

CASE(stack_overflow_on_the_alternate_stack)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 1 << 20;
    MUST(setrlimit(RLIMIT_STACK, &limit));
    stack_t stack = {.ss_sp = tap_pages(16), .ss_size = 65536};
    MUST(sigaltstack(&stack, NULL));
    tap_handle_info(SIGSEGV, on_fault, SA_ONSTACK);
    if (sigsetjmp(back, 1) == 0)
        overflow(0);
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_code, SEGV_MAPERR);
}

CASE(stack_overflow_without_one_kills)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 1 << 20;
    MUST(setrlimit(RLIMIT_STACK, &limit));
    CHILD(pid)
    {
        catch_all();
        overflow(0);
    }
    EXPECT_KILLED(pid, SIGSEGV);
}

CASE(handler_on_a_bad_stack_kills)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(pid)
    {
        catch_all();
        tap_handle_info(SIGUSR1, on_fault, 0);
        long self = getpid();
        __asm__ volatile("mov %0, %%rdi\n\tmov $10, %%esi\n\tmov $62, %%eax\n\t"
                         "mov $0x1000, %%rsp\n\tsyscall\n\tud2" ::"r"(self)
                         : "memory");
    }
    EXPECT_KILLED(pid, SIGSEGV);
}

CASE(sigreturn_with_a_bad_frame)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(a)
    {
        __asm__ volatile("mov $0x1000, %%rsp\n\tmov $15, %%eax\n\tsyscall" ::: "memory");
    }
    EXPECT_KILLED(a, SIGSEGV);
    CHILD(b)
    {
        char *pages = tap_pages(4);
        memset(pages, 0xff, 16384);
        __asm__ volatile("lea 8192(%0), %%rsp\n\tmov $15, %%eax\n\tsyscall" ::"r"(pages)
                         : "memory");
    }
    EXPECT_KILLED(b, SIGSEGV);
}

static void on_signal_bad_rip(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uc->uc_mcontext.gregs[REG_RIP] = 0x1234567800000000;
}

CASE(return_to_a_non_canonical_address)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(pid)
    {
        tap_handle_info(SIGUSR1, on_signal_bad_rip, 0);
        raise(SIGUSR1);
    }
    EXPECT_KILLED(pid, SIGSEGV);
}

static void on_signal_set_flags(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uc->uc_mcontext.gregs[REG_EFL] |= 0x3000 | 0x20000; /* IOPL and VM are not for programs */
    uc->uc_mcontext.gregs[REG_EFL] &= ~0x200l;
}

CASE(sigreturn_filters_flags)
{
    tap_handle_info(SIGUSR1, on_signal_set_flags, 0);
    raise(SIGUSR1);
    long flags = 0;
    __asm__ volatile("pushf\n\tpop %0" : "=r"(flags));
    EXPECT_EQ(flags & 0x3000, 0);
    EXPECT_EQ(flags & 0x20000, 0);
    EXPECT_EQ(flags & 0x200, 0x200);
}

CASE(sent_signal_has_no_address)
{
    tap_handle_info(SIGSEGV, on_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        raise(SIGSEGV);
    EXPECT_EQ(signal_count, 1);
    EXPECT(last_info.si_code <= 0);
}
