/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions, jumps, selectors, flags and stacks that no program should use: the exact signal for each, and nothing
 * else happens. A row is a few instructions with what Linux tells the handler: signal, si_code, vector, error code and
 * how many bytes behind the row's start it stands. Rows begin with rcx 1, rdx 0x80 (a port), and rsi, rdi and rbx at a
 * page. ANY where processors differ for good reasons.
 *
 * Surprising: the handler runs on a stack of its own and clears the flags first, for rows leave neither as they were.
 */
#include "tap.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>

enum { ANY = -1, NONE = 0, SEGV_OR_ILL = -2, STACK_SIZE = 65536 };
enum { TF = 0x100, NT = 0x4000, RF = 0x10000, AC = 0x40000, ID = 0x200000 };

struct row {
    const char *name;
    const unsigned char *start;
    int signal, code, trap;
    long error, at;
    unsigned long address; /* of a page fault */
};

struct outcome {
    int signal, code, trap;
    long error, at;
    unsigned long address;
};

static sigjmp_buf back;
static struct outcome outcome;
static const unsigned char *now;
static unsigned char page[4096] __attribute__((aligned(4096)));

/* The way out for rows that meet no fault; rsp is whatever they left. */
void badcode_done(void);
unsigned long badcode_stack;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    __asm__ volatile("pushq $0x202\n\tpopfq" ::: "cc", "memory");
    outcome = (struct outcome){
        .signal = signal,
        .code = info->si_code,
        .trap = (int)uc->uc_mcontext.gregs[REG_TRAPNO],
        .error = uc->uc_mcontext.gregs[REG_ERR],
        .at = uc->uc_mcontext.gregs[REG_RIP] - (long)now,
        .address = (unsigned long)info->si_addr,
    };
    siglongjmp(back, 1);
}

__attribute__((used)) static void done(void)
{
    siglongjmp(back, 1);
}
__asm__(".text\nbadcode_done:\n\tmov badcode_stack(%rip), %rsp\n\tpushq $0x202\n\tpopfq\n\tcld\n\tcall done\n");

static void catch_all(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    static char stack[STACK_SIZE];
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&own, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        tap_handle_info(signals[i], on_signal, SA_ONSTACK);
}

static struct outcome run(const unsigned char *code)
{
    now = code;
    outcome = (struct outcome){0};
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("mov %%rsp, badcode_stack(%%rip)\n\tsubq $1024, badcode_stack(%%rip)\n\t"
                         "andq $-16, badcode_stack(%%rip)\n\tsub $512, %%rsp\n\tjmp *%%rax" ::"a"(code),
                         "b"(page), "c"(1), "d"(0x80), "S"(page), "D"(page)
                         : "memory", "cc");
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" ::"r"(0));
    return outcome;
}

static int is_like(long have, long want)
{
    return want == ANY || have == want;
}

static int is_signal(int have, int want)
{
    return want == SEGV_OR_ILL ? have == SIGSEGV || have == SIGILL : have == want;
}

static int check(const struct row *row)
{
    struct outcome have = run(row->start);
    unsigned long address = have.signal == SIGSEGV || have.signal == SIGBUS
                                ? (have.trap == 14 ? row->address : 0)
                                : (unsigned long)(have.at + (long)row->start);
    int is_right = is_signal(have.signal, row->signal);
    if (row->signal != NONE && is_right)
        is_right = is_like(have.code, row->code) && is_like(have.trap, row->trap) && is_like(have.error, row->error) &&
                   is_like(have.at, row->at) && (have.code == SI_KERNEL ? have.address == 0 : have.address == address);
    if (!is_right)
        tap_show("%s: signal %d code %d vector %d error %#lx at %ld address %#lx", row->name, have.signal, have.code,
                 have.trap, have.error, have.at, have.address);
    EXPECT(is_right);
    return is_right;
}

#define CODE_OF(name, text, ...)                                                                  \
    __asm__(".text\nbadcode_" #name ":\n\t" text "\n\tjmp badcode_done\n");                       \
    extern const unsigned char badcode_##name[];
#define ROW_OF(name, text, ...) {#name, badcode_##name, __VA_ARGS__},
#define TABLE(name_, rows_)                                                                       \
    rows_(CODE_OF) static const struct row name_[] = {rows_(ROW_OF)};
#define CHECK(table_)                                                                             \
    do {                                                                                          \
        catch_all();                                                                              \
        for (size_t i_ = 0; i_ < sizeof table_ / sizeof table_[0]; i_++)                          \
            check(&table_[i_]);                                                                   \
        expect_sanity();                                                                          \
    } while (0)

static void expect_sanity(void)
{
    EXPECT_EQ(syscall(SYS_getppid), getppid());
    EXPECT_EQ(syscall(SYS_lseek, -1, 0, 0), -1);
}

/* ---- instructions --------------------------------------------------------------------------- */

#define PROTECTED SIGSEGV, SI_KERNEL, 13, 0
#define PRIVILEGED_ROWS(ROW)                                                                      \
    ROW(halt, "hlt", PROTECTED, 0, 0)                                                             \
    ROW(clear_interrupts, "cli", PROTECTED, 0, 0)                                                 \
    ROW(set_interrupts, "sti", PROTECTED, 0, 0)                                                   \
    ROW(clear_task_switched, "clts", PROTECTED, 0, 0)                                             \
    ROW(write_back, "wbinvd", PROTECTED, 0, 0)                                                    \
    ROW(invalidate_caches, "invd", PROTECTED, 0, 0)                                               \
    ROW(invalidate_page, "invlpg (%rsp)", PROTECTED, 0, 0)                                        \
    ROW(load_gdt, "lgdt (%rsp)", PROTECTED, 0, 0)                                                 \
    ROW(load_idt, "lidt (%rsp)", PROTECTED, 0, 0)                                                 \
    ROW(load_ldt, "lldt %ax", PROTECTED, 0, 0)                                                    \
    ROW(load_task, "ltr %ax", PROTECTED, 0, 0)                                                    \
    ROW(load_status, "lmsw %ax", PROTECTED, 0, 0)                                                 \
    ROW(read_cr0, "mov %cr0, %rax", PROTECTED, 0, 0)                                              \
    ROW(read_cr2, "mov %cr2, %rax", PROTECTED, 0, 0)                                              \
    ROW(read_cr3, "mov %cr3, %rax", PROTECTED, 0, 0)                                              \
    ROW(read_cr4, "mov %cr4, %rax", PROTECTED, 0, 0)                                              \
    ROW(read_cr8, "mov %cr8, %rax", PROTECTED, 0, 0)                                              \
    ROW(write_cr0, "mov %rax, %cr0", PROTECTED, 0, 0)                                             \
    ROW(write_cr3, "mov %rax, %cr3", PROTECTED, 0, 0)                                             \
    ROW(write_cr4, "mov %rax, %cr4", PROTECTED, 0, 0)                                             \
    ROW(write_cr8, "mov %rax, %cr8", PROTECTED, 0, 0)                                             \
    ROW(read_db0, "mov %db0, %rax", PROTECTED, 0, 0)                                              \
    ROW(write_db7, "mov %rax, %db7", PROTECTED, 0, 0)                                             \
    ROW(read_msr, "rdmsr", PROTECTED, 0, 0)                                                       \
    ROW(write_msr, "wrmsr", PROTECTED, 0, 0)                                                      \
    ROW(read_counter, "rdpmc", PROTECTED, 0, 0)                                                   \
    ROW(write_xcr, "xor %ecx, %ecx; xsetbv", PROTECTED, 2, 0)                                     \
    ROW(in_byte, "in $0x80, %al", PROTECTED, 0, 0)                                                \
    ROW(in_long, "in %dx, %eax", PROTECTED, 0, 0)                                                 \
    ROW(out_byte, "out %al, $0x80", PROTECTED, 0, 0)                                              \
    ROW(out_long, "out %eax, %dx", PROTECTED, 0, 0)                                               \
    ROW(in_string, "insb", PROTECTED, 0, 0)                                                       \
    ROW(out_string, "outsb", PROTECTED, 0, 0)                                                     \
    ROW(in_strings, "rep insl", PROTECTED, 0, 0)                                                  \
    ROW(out_strings, "rep outsl", PROTECTED, 0, 0)                                                \
    ROW(swap_bases, "swapgs", PROTECTED, 0, 0)                                                    \
    ROW(return_to_64, "sysretq", PROTECTED, 0, 0)                                                 \
    ROW(return_to_32, "sysretl", PROTECTED, 0, 0)                                                 \
    ROW(too_long, ".fill 15, 1, 0x66; nop", PROTECTED, 0, 0)
TABLE(privileged_rows, PRIVILEGED_ROWS)

CASE(privileged_instructions)
{
    CHECK(privileged_rows);
}

#define UNDEFINED SIGILL, ILL_ILLOPN, 6, 0, 0, 0
#define UNDEFINED_ROWS(ROW)                                                                       \
    ROW(ud0, ".byte 0x0f, 0xff, 0xc0", UNDEFINED)                                                 \
    ROW(ud1, ".byte 0x0f, 0xb9, 0xc0", UNDEFINED)                                                 \
    ROW(ud2_, "ud2", UNDEFINED)                                                                   \
    ROW(clear_access, "clac", UNDEFINED)                                                          \
    ROW(set_access, "stac", UNDEFINED)                                                            \
    ROW(leave_management, "rsm", UNDEFINED)                                                       \
    ROW(monitor_, "xor %ecx, %ecx; monitor", SIGILL, ILL_ILLOPN, 6, 0, 2, 0)                      \
    ROW(mwait_, "xor %ecx, %ecx; mwait", SIGILL, ILL_ILLOPN, 6, 0, 2, 0)                          \
    ROW(push_es, ".byte 0x06", UNDEFINED)                                                         \
    ROW(pop_ss, ".byte 0x17", UNDEFINED)                                                          \
    ROW(decimal, ".byte 0x27", UNDEFINED)                                                         \
    ROW(ascii, ".byte 0x37", UNDEFINED)                                                           \
    ROW(push_all, ".byte 0x60", UNDEFINED)                                                        \
    ROW(alias, ".byte 0x82, 0xc0, 0x01", UNDEFINED)                                               \
    ROW(far_call, ".byte 0x9a, 0, 0, 0, 0, 0x33, 0", UNDEFINED)                                   \
    ROW(far_jump, ".byte 0xea, 0, 0, 0, 0, 0x33, 0", UNDEFINED)                                   \
    ROW(overflow, ".byte 0xce", UNDEFINED)                                                        \
    ROW(aam_, ".byte 0xd4, 0x0a", UNDEFINED)                                                      \
    ROW(carry_to_al, ".byte 0xd6", UNDEFINED)                                                     \
    ROW(locked_register, ".byte 0xf0, 0x01, 0xc0", UNDEFINED)                                     \
    ROW(nothing, ".byte 0x0f, 0x04", UNDEFINED)                                                   \
    ROW(move_to_cs, ".byte 0x8e, 0xc8", UNDEFINED)
TABLE(undefined_rows, UNDEFINED_ROWS)

CASE(undefined_instructions)
{
    CHECK(undefined_rows);
}

/* What a processor that has it protects, and one that does not, leaves undefined. */
#define FORBIDDEN SEGV_OR_ILL, ANY, ANY, 0, ANY, 0
#define FORBIDDEN_ROWS(ROW)                                                                       \
    ROW(sysenter_, "sysenter", FORBIDDEN)                                                         \
    ROW(sysexit_, ".byte 0x0f, 0x35", FORBIDDEN)                                                           \
    ROW(sysexit_64, ".byte 0x48, 0x0f, 0x35", FORBIDDEN)                                             \
    ROW(vmxon_, "vmxon (%rsp)", FORBIDDEN)                                                        \
    ROW(vmclear_, "vmclear (%rsp)", FORBIDDEN)                                                    \
    ROW(vmlaunch_, "vmlaunch", FORBIDDEN)                                                         \
    ROW(vmread_, "vmread %rax, %rcx", FORBIDDEN)                                                  \
    ROW(vmfunc_, "vmfunc", FORBIDDEN)                                                             \
    ROW(invept_, "invept (%rsp), %rax", FORBIDDEN)                                                \
    ROW(vmrun_, "vmrun", FORBIDDEN)                                                               \
    ROW(vmload_, "vmload", FORBIDDEN)                                                             \
    ROW(vmsave_, "vmsave", FORBIDDEN)                                                             \
    ROW(stgi_, "stgi", FORBIDDEN)                                                                 \
    ROW(clgi_, "clgi", FORBIDDEN)                                                                 \
    ROW(skinit_, "skinit", FORBIDDEN)                                                             \
    ROW(invlpga_, "invlpga", FORBIDDEN)                                                           \
    ROW(invpcid_, "invpcid (%rsp), %rax", FORBIDDEN)                                              \
    ROW(getsec_, "getsec", FORBIDDEN)                                                             \
    ROW(encls_, "encls", FORBIDDEN)                                                               \
    ROW(save_supervisor, "xsaves (%rsp)", FORBIDDEN)                                              \
    ROW(restore_supervisor, "xrstors (%rsp)", FORBIDDEN)
TABLE(forbidden_rows, FORBIDDEN_ROWS)

CASE(instructions_of_other_modes)
{
    CHECK(forbidden_rows);
}

/* A call of the kernel's hypervisor, if it goes through at all, is answered with "no". */
#define HYPERCALL_ROWS(ROW)                                                                       \
    ROW(vmcall_, "mov $1, %eax; vmcall; test %rax, %rax; js badcode_done; jnz badcode_done; ud2", NONE)   \
    ROW(vmmcall_, "mov $1, %eax; vmmcall; test %rax, %rax; js badcode_done; jnz badcode_done; ud2", NONE)
HYPERCALL_ROWS(CODE_OF)

CASE(hypercalls)
{
    static const unsigned char *const codes[] = {badcode_vmcall_, badcode_vmmcall_};
    catch_all();
    for (int i = 0; i < 2; i++) {
        struct outcome have = run(codes[i]);
        EXPECT(have.signal == NONE || is_signal(have.signal, SEGV_OR_ILL));
        EXPECT(have.signal == NONE || have.at == 5); /* not the ud2: no call succeeded */
    }
    expect_sanity();
}

CASE(software_interrupts_of_all_numbers)
{
    unsigned char *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(code != MAP_FAILED);
    char name[16];
    catch_all();
    for (int nr = 0; nr < 256; nr++) {
        if (nr == 0x80 || (nr > 21 && nr < 32))
            continue; /* a system call where there are any of 32 bits; vectors that hosts differ about */
        memcpy(code, (unsigned char[]){0xcd, (unsigned char)nr, 0x0f, 0x0b}, 4);
        snprintf(name, sizeof name, "int %#x", (unsigned)nr);
        struct row row = {name, code, SIGSEGV, SI_KERNEL, 13, nr * 8 + 2, 0, 0};
        if (nr == 3)
            row = (struct row){name, code, SIGTRAP, SI_KERNEL, 3, 0, 2, 0};
        if (nr == 4)
            row = (struct row){name, code, SIGSEGV, SI_KERNEL, 4, 0, 2, 0};
        if (!check(&row))
            break;
    }
    expect_sanity();
}

#define GATE_ROWS(ROW) ROW(gate_getpid, "mov $20, %eax; int $0x80; cmp $20, %eax; jne badcode_done; ud2", NONE)
GATE_ROWS(CODE_OF)

CASE(the_gate_of_32_bits)
{
    catch_all();
    struct outcome have = run(badcode_gate_getpid);
    /* A kernel without calls of 32 bits has no gate there. */
    EXPECT(have.signal == NONE || (have.signal == SIGSEGV && have.trap == 13 && have.error == 0x402 && have.at == 5));
    expect_sanity();
}

/* In code of 32 bits: the three ways to ask a kernel for its process number, and back to 64 bits. */
static long ask_in_32_bits(const unsigned char *way, size_t size)
{
    /* ljmp $0x33, back; back: mov %rax to [rsi]; jmp *%rdi */
    static const unsigned char tail[] = {0xea, 0, 0, 0, 0, 0x33, 0, 0x48, 0x89, 0x06, 0xff, 0xe7};
    unsigned char *code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    static long result;
    memcpy(code, way, size);
    memcpy(code + size, tail, sizeof tail);
    unsigned target = (unsigned)(uintptr_t)code + (unsigned)size + 7;
    memcpy(code + size + 1, &target, 4);
    result = 0;
    now = code;
    outcome = (struct outcome){0};
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("mov %%rsp, badcode_stack(%%rip)\n\tsubq $1024, badcode_stack(%%rip)\n\t"
                         "andq $-16, badcode_stack(%%rip)\n\tmov %[stack], %%rsp\n\t"
                         "mov %%rsp, %%rbp\n\tpush $0x23\n\tpush %[code]\n\tmov $20, %%eax\n\tlretq" ::[code] "r"(code),
                         [stack] "r"(code + 8000), "S"(&result), "D"(badcode_done)
                         : "rax", "memory", "cc");
    munmap(code, 8192);
    return result;
}

CASE(calls_from_code_of_32_bits)
{
    static const unsigned char gate[] = {0xcd, 0x80}, fast[] = {0x0f, 0x05}, entry[] = {0x0f, 0x34};
    catch_all();
    SKIP_IF((uintptr_t)page >> 32 || (uintptr_t)badcode_done >> 32, "this program lies too high for code of 32 bits");
    ask_in_32_bits(gate, sizeof gate);
    EXPECT(outcome.signal == NONE || outcome.signal == SIGSEGV);
    ask_in_32_bits(fast, sizeof fast);
    EXPECT(outcome.signal == NONE || is_signal(outcome.signal, SEGV_OR_ILL));
    ask_in_32_bits(entry, sizeof entry);
    EXPECT(outcome.signal == NONE || is_signal(outcome.signal, SEGV_OR_ILL));
    expect_sanity();
}

/* ---- addresses ------------------------------------------------------------------------------ */

#define ODD "movabs $0x1234567800000000, %rax;"
#define MISSING SIGSEGV, SEGV_MAPERR, 14
#define ADDRESS_ROWS(ROW)                                                                         \
    ROW(jump, ODD "jmp *%rax", PROTECTED, ANY, 0)                                                 \
    ROW(call, ODD "call *%rax", PROTECTED, ANY, 0)                                                \
    ROW(ret, ODD "push %rax; ret", PROTECTED, ANY, 0)                                             \
    ROW(far_ret, ODD "push $0x33; push %rax; lretq", PROTECTED, ANY, 0)                           \
    ROW(interrupt_ret, ODD "mov %rsp, %rbx; push $0x2b; push %rbx; pushf; push $0x33; push %rax; iretq", \
        PROTECTED, ANY, 0)                                                                        \
    ROW(jump_border, "movabs $0x800000000000, %rax; jmp *%rax", PROTECTED, ANY, 0)                \
    ROW(jump_below, "movabs $0xffff7fffffffffff, %rax; jmp *%rax", PROTECTED, ANY, 0)             \
    ROW(load, ODD "mov (%rax), %rcx", PROTECTED, 10, 0)                                           \
    ROW(store, ODD "mov %rcx, (%rax)", PROTECTED, 10, 0)                                          \
    ROW(add, ODD "lock addl $1, (%rax)", PROTECTED, 10, 0)                                        \
    ROW(string, ODD "mov %rax, %rsi; rep movsb", PROTECTED, 13, 0)                                \
    ROW(jump_by, ODD "jmp *(%rax)", PROTECTED, 10, 0)                                             \
    ROW(vector, ODD "movups (%rax), %xmm0", PROTECTED, 10, 0)                                     \
    ROW(state, ODD "fxsave (%rax)", PROTECTED, 10, 0)                                             \
    ROW(over_the_border, "movabs $0x7ffffffffffc, %rax; mov (%rax), %rcx", SIGSEGV, ANY, ANY, ANY, 10, \
        0x7ffffffffffc)                                                                           \
    ROW(last_page, "movabs $0x7ffffffff000, %rax; mov (%rax), %cl", MISSING, 5, 10, 0x7ffffffff000) \
    ROW(kernel_half, "movabs $0xffff800000000000, %rax; mov (%rax), %cl", MISSING, 5, 10, 0xffff800000000000) \
    ROW(kernel_text, "mov $0xffffffff81000000, %rax; movb $1, (%rax)", MISSING, 7, 7, 0xffffffff81000000) \
    ROW(last_byte, "mov $-1, %rax; mov (%rax), %cl", MISSING, 5, 7, ~0ul)                         \
    ROW(jump_last_page, "movabs $0x7ffffffff000, %rax; jmp *%rax", MISSING, 0x15, ANY, 0x7ffffffff000) \
    ROW(jump_kernel, "movabs $0xffff888000000000, %rax; jmp *%rax", MISSING, 0x15, ANY, 0xffff888000000000) \
    ROW(jump_null, "xor %eax, %eax; jmp *%rax", MISSING, 0x14, ANY, 0)
TABLE(address_rows, ADDRESS_ROWS)

CASE(addresses_that_are_none)
{
    CHECK(address_rows);
}

#define STACKED SIGBUS, SI_KERNEL, 12, 0
#define STACK_ROWS(ROW)                                                                           \
    ROW(push_odd, ODD "mov %rax, %rsp; push %rcx", STACKED, 13, 0)                                \
    ROW(pop_odd, ODD "mov %rax, %rsp; pop %rcx", STACKED, 13, 0)                                  \
    ROW(call_odd, ODD "mov %rax, %rsp; call 1f; 1: nop", STACKED, 13, 0)                          \
    ROW(ret_odd, ODD "mov %rax, %rsp; ret", STACKED, 13, 0)                                       \
    ROW(frame_odd, ODD "mov %rax, %rbp; mov (%rbp), %rcx", STACKED, 13, 0)                        \
    ROW(leave_odd, ODD "mov %rax, %rbp; leave", STACKED, 13, 0)
TABLE(stack_rows, STACK_ROWS)

CASE(stacks_at_addresses_that_are_none)
{
    CHECK(stack_rows);
}

#define EMPTY_ROWS(ROW)                                                                           \
    ROW(push_null, "xor %esp, %esp; push %rcx", MISSING, 7, 2, ~7ul)                              \
    ROW(pop_null, "xor %esp, %esp; pop %rcx", MISSING, 4, 2, 0)                                   \
    ROW(push_low, "mov $0x1000, %esp; push %rcx", MISSING, 6, 5, 0xff8)                           \
    ROW(call_low, "mov $0x1000, %esp; call 1f; 1: nop", MISSING, 6, 5, 0xff8)                     \
    ROW(flags_low, "mov $0x1000, %esp; pushf", MISSING, 6, 5, 0xff8)                              \
    ROW(pop_flags_low, "mov $0x1000, %esp; popf", MISSING, 4, 5, 0x1000)                          \
    ROW(push_kernel, "movabs $0xffff888000000000, %rax; mov %rax, %rsp; push %rcx", MISSING, 7, 13, 0xffff887ffffffff8) \
    ROW(frames, "mov $0x1000, %esp; enter $64, $3", SIGSEGV, SEGV_MAPERR, 14, ANY, 5, 0xff8)
TABLE(empty_rows, EMPTY_ROWS)

CASE(stacks_that_are_not_there)
{
    CHECK(empty_rows);
}

static void no_core(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

CASE(a_signal_finds_no_stack)
{
    static const unsigned long stacks[] = {0, 8, 0x1000, 0x1234567800000000, 0xffff888000000000, ~0ul};
    no_core();
    for (size_t i = 0; i < sizeof stacks / sizeof stacks[0]; i++) {
        CHILD(pid)
        {
            tap_handle_info(SIGILL, on_signal, 0);
            __asm__ volatile("mov %0, %%rsp\n\tud2" ::"r"(stacks[i]) : "memory");
        }
        EXPECT_KILLED(pid, SIGSEGV);
    }
    expect_sanity();
}

CASE(handlers_at_addresses_that_are_none)
{
    static const unsigned long handlers[] = {0x10, 0x1234567800000000, 0x800000000000, 0xffff888000000000, ~0ul};
    no_core();
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        CHILD(pid)
        {
            tap_handle(SIGUSR1, (void (*)(int))handlers[i], 0);
            raise(SIGUSR1);
        }
        EXPECT_KILLED(pid, SIGSEGV);
    }
    expect_sanity();
}

static int recurse(int depth)
{
    volatile char room[2048];
    room[0] = (char)depth;
    return depth < 0 ? room[0] : recurse(depth + 1) + room[0];
}

static void on_signal_recurse(int signal)
{
    recurse(0);
}

CASE(a_handler_overflows_its_stack)
{
    no_core();
    CHILD(pid)
    {
        char *pages = tap_pages(20);
        mprotect(pages, 4 * 4096, PROT_NONE);
        stack_t own = {.ss_sp = pages + 4 * 4096, .ss_size = 16 * 4096};
        MUST(sigaltstack(&own, NULL));
        tap_handle(SIGUSR1, on_signal_recurse, SA_ONSTACK);
        tap_handle(SIGSEGV, on_signal_recurse, SA_ONSTACK);
        raise(SIGUSR1);
    }
    EXPECT_KILLED(pid, SIGSEGV);
    expect_sanity();
}

/* ---- selectors ------------------------------------------------------------------------------ */

#define DENIED(selector) SIGSEGV, SI_KERNEL, 13, selector
#define SELECTOR_ROWS(ROW)                                                                        \
    ROW(ds_kernel_code, "mov $0x10, %eax; mov %eax, %ds", DENIED(0x10), 5, 0)                     \
    ROW(ds_kernel_data, "mov $0x1b, %eax; mov %eax, %ds", DENIED(0x18), 5, 0)                     \
    ROW(es_task, "mov $0x40, %eax; mov %eax, %es", DENIED(0x40), 5, 0)                            \
    ROW(es_local, "mov $0x7, %eax; mov %eax, %es", DENIED(0x4), 5, 0)                             \
    ROW(gs_beyond, "mov $0xffff, %eax; mov %eax, %gs", DENIED(0xfffc), 5, 0)                      \
    ROW(gs_thread, "mov $0x63, %eax; mov %eax, %gs", DENIED(0x60), 5, 0)                          \
    ROW(pop_fs, "push $0x18; pop %fs", DENIED(0x18), 2, 0)                                        \
    ROW(pop_gs, "push $0x47; pop %gs", DENIED(0x44), 2, 0)                                        \
    ROW(ss_null, "xor %eax, %eax; mov %eax, %ss", DENIED(0), 2, 0)                                \
    ROW(ss_null_user, "mov $3, %eax; mov %eax, %ss", DENIED(0), 5, 0)                             \
    ROW(ss_code, "mov $0x33, %eax; mov %eax, %ss", DENIED(0x30), 5, 0)                            \
    ROW(ss_kernel, "mov $0x18, %eax; mov %eax, %ss", DENIED(0x18), 5, 0)                          \
    ROW(ss_wrong_ring, "mov $0x28, %eax; mov %eax, %ss", DENIED(0x28), 5, 0)                      \
    ROW(ret_null, "push $0; push $0; lretq", DENIED(0), 4, 0)                                     \
    ROW(ret_kernel, "push $0x10; push $0; lretq", DENIED(0x10), 4, 0)                             \
    ROW(ret_kernel_3, "push $0x13; push $0; lretq", DENIED(0x10), 4, 0)                           \
    ROW(ret_data, "push $0x2b; push $0; lretq", DENIED(0x28), 4, 0)                               \
    ROW(ret_wrong_ring, "push $0x30; push $0; lretq", DENIED(0x30), 4, 0)                         \
    ROW(ret_beyond, "push $0x7fff; push $0; lretq", DENIED(0x7ffc), ANY, 0)                       \
    ROW(call_kernel, "movl $0, (%rbx); movw $0x10, 4(%rbx); lcall *(%rbx)", DENIED(0x10), ANY, 0) \
    ROW(load_ss, "movl $0, (%rbx); movw $0x18, 4(%rbx); lss (%rbx), %eax", DENIED(0x18), ANY, 0)  \
    ROW(load_gs, "movl $0, (%rbx); movw $0x10, 4(%rbx); lgs (%rbx), %eax", DENIED(0x10), ANY, 0)
TABLE(selector_rows, SELECTOR_ROWS)

CASE(selectors)
{
    CHECK(selector_rows);
}

#define FRAME(cs, ss)                                                                             \
    "mov %rsp, %rax; push $" ss "; push %rax; pushf; push $" cs "; lea badcode_done(%rip), %rax; push %rax; iretq"
#define FRAME_ROWS(ROW)                                                                           \
    ROW(frame_good, FRAME("0x33", "0x2b"), NONE, 0, 0, 0, 0, 0)                                                  \
    ROW(frame_cs_null, FRAME("0", "0x2b"), DENIED(0), ANY, 0)                                     \
    ROW(frame_cs_kernel, FRAME("0x10", "0x18"), DENIED(0x10), ANY, 0)                             \
    ROW(frame_cs_data, FRAME("0x2b", "0x2b"), DENIED(0x28), ANY, 0)                               \
    ROW(frame_ss_null, FRAME("0x33", "0"), DENIED(0), ANY, 0)                                     \
    ROW(frame_ss_kernel, FRAME("0x33", "0x18"), DENIED(0x18), ANY, 0)                             \
    ROW(frame_ss_code, FRAME("0x33", "0x33"), DENIED(0x30), ANY, 0)                               \
    ROW(frame_nested, "pushf; orl $0x4000, (%rsp); popf;" FRAME("0x33", "0x2b"), DENIED(0), ANY, 0)
TABLE(frame_rows, FRAME_ROWS)

CASE(interrupt_returns)
{
    CHECK(frame_rows);
}

/* ---- flags ---------------------------------------------------------------------------------- */

/* The flags behind getppid with SET of them before it, and what r11 says. */
static unsigned long flags_over_a_call(unsigned long set, unsigned long *r11)
{
    unsigned long flags;
    __asm__ volatile("pushfq\n\tmov (%%rsp), %%rbx\n\tor %[set], (%%rsp)\n\tpopfq\n\t"
                     "mov $110, %%eax\n\tsyscall\n\tpushfq\n\tpop %[flags]\n\tmov %%r11, %[r11]\n\t"
                     "push %%rbx\n\tpopfq"
                     : [flags] "=&r"(flags), [r11] "=&r"(*r11)
                     : [set] "r"(set)
                     : "rax", "rbx", "rcx", "r11", "memory", "cc");
    return flags;
}

CASE(flags_over_a_call)
{
    static const unsigned long kept[] = {AC, ID, 0x400, 0x8d5, AC | ID | 0xcd5};
    static const unsigned long refused[] = {0x3000, RF, 0x20000, 0x80000, 0x100000, 0x1b3000};
    unsigned long r11;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        EXPECT_EQ(flags_over_a_call(kept[i], &r11) & kept[i], kept[i]);
        EXPECT_EQ(r11 & kept[i], kept[i]);
    }
    flags_over_a_call(NT, &r11); /* it may be lost, and nothing else happens */
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        EXPECT_EQ(flags_over_a_call(refused[i], &r11) & (refused[i] | 0x200), 0x200);
        EXPECT_EQ(r11 & (refused[i] | 0x200), 0x200);
    }
    expect_sanity();
}

CASE(flags_over_a_fault)
{
    volatile char *fresh = tap_pages(1);
    unsigned long flags;
    __asm__ volatile("pushfq\n\tmov (%%rsp), %%rbx\n\torq $0x240cd5, (%%rsp)\n\tpopfq\n\t"
                     "movb $1, (%[fresh])\n\tpushfq\n\tpop %[flags]\n\tpush %%rbx\n\tpopfq"
                     : [flags] "=&r"(flags)
                     : [fresh] "r"(fresh)
                     : "rbx", "memory", "cc");
    EXPECT_EQ(flags & 0x240cd5, 0x240cd5);
}

static volatile unsigned long flags_in_handler;
static volatile sig_atomic_t signal_count;

static void on_signal_flags(int signal)
{
    unsigned long flags;
    __asm__ volatile("pushfq\n\tpop %0\n\tpushq $0x202\n\tpopfq" : "=r"(flags)::"cc", "memory");
    flags_in_handler = flags;
    signal_count++;
}

CASE(flags_in_a_handler)
{
    unsigned long flags;
    tap_handle(SIGUSR1, on_signal_flags, 0);
    long pid = getpid();
    /* DF and TF end at the handler's door, the others do not; all come back. */
    __asm__ volatile("pushfq\n\tmov (%%rsp), %%rbx\n\torq $0x40cd5, (%%rsp)\n\tpopfq\n\t"
                     "mov $62, %%eax\n\tsyscall\n\tpushfq\n\tpop %[flags]\n\tpush %%rbx\n\tpopfq"
                     : [flags] "=&r"(flags)
                     : "D"(pid), "S"(SIGUSR1)
                     : "rax", "rbx", "rcx", "r11", "memory", "cc");
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(flags_in_handler & 0x40dd5, 0x408d5);
    EXPECT_EQ(flags & 0x40cd5, 0x40cd5);
}

/* RF is for the next instruction alone and stops no step. */
CASE(the_resume_flag)
{
    long passed = 0;
    __asm__ volatile("mov %%rsp, %%rbx\n\tpush $0x2b\n\tpush %%rbx\n\tpushfq\n\torl $0x10000, (%%rsp)\n\t"
                     "push $0x33\n\tlea 1f(%%rip), %%rcx\n\tpush %%rcx\n\tiretq\n\t1: nop\n\tpushfq\n\tpop %0"
                     : "=r"(passed)::"rbx", "rcx", "memory", "cc");
    EXPECT_EQ(passed & 0x10200, 0x200);
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
    signal_count++;
}

#define STEP_ON "pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\t"
#define STEP_OFF "pushfq\n\tandl $~0x100, (%%rsp)\n\tpopfq\n\t"

CASE(steps_are_counted)
{
    tap_handle_info(SIGTRAP, on_trap, 0);
    signal_count = 0;
    __asm__ volatile(STEP_ON "nop\n\tnop\n\t" STEP_OFF ::: "memory", "cc");
    EXPECT_EQ(signal_count, 5); /* popf itself is not stepped, the one that ends it is */
    signal_count = 0;
    __asm__ volatile("mov $10, %%ecx\n\t" STEP_ON "1: dec %%ecx\n\tjnz 1b\n\t" STEP_OFF ::: "rcx", "memory", "cc");
    EXPECT_EQ(signal_count, 23);
    signal_count = 0;
    volatile char *fresh = tap_pages(2);
    __asm__ volatile(STEP_ON "movb $1, (%0)\n\tmovb $1, 4096(%0)\n\t" STEP_OFF ::"r"(fresh) : "memory", "cc");
    EXPECT_EQ(signal_count, 5);
    signal_count = 0;
    void *at = page;
    __asm__ volatile("mov $4, %%ecx\n\t" STEP_ON "rep stosb\n\t" STEP_OFF : "+D"(at) : "a"(0) : "rcx", "memory", "cc");
    EXPECT_EQ(signal_count, 7); /* a step for each turn */
    expect_sanity();
}

/* Loading ss holds a step back for one instruction. */
CASE(a_step_behind_the_stack_selector)
{
    tap_handle_info(SIGTRAP, on_trap, 0);
    signal_count = 0;
    __asm__ volatile("mov %%ss, %%ecx\n\t" STEP_ON "mov %%ecx, %%ss\n\tnop\n\tnop\n\t" STEP_OFF ::: "rcx", "memory", "cc");
    EXPECT_EQ(signal_count, 5);
    expect_sanity();
}

CASE(a_step_that_nobody_takes_kills)
{
    no_core();
    CHILD(a)
    {
        __asm__ volatile(STEP_ON "nop" ::: "memory", "cc");
    }
    EXPECT_KILLED(a, SIGTRAP);
    CHILD(b)
    {
        sigset_t all;
        sigfillset(&all);
        tap_handle_info(SIGTRAP, on_trap, 0);
        sigprocmask(SIG_SETMASK, &all, NULL);
        __asm__ volatile(STEP_ON "nop" ::: "memory", "cc");
    }
    EXPECT_KILLED(b, SIGTRAP);
    CHILD(c)
    {
        signal(SIGTRAP, SIG_IGN);
        __asm__ volatile(STEP_ON "nop" ::: "memory", "cc");
    }
    EXPECT_KILLED(c, SIGTRAP);
}

CASE(steps_end_with_the_program)
{
    CHILD(pid)
    {
        char *const words[] = {"badcode", "--list", NULL}, *const none[] = {NULL};
        int null = MUST(memfd_create("nothing", 0));
        tap_handle_info(SIGTRAP, on_trap, 0);
        MUST(dup2(null, 1));
        __asm__ volatile(STEP_ON "syscall\n\thlt" ::"a"(SYS_execve), "D"("/proc/self/exe"), "S"(words), "d"(none)
                         : "rcx", "r11", "memory", "cc");
    }
    EXPECT_EXIT(pid, 0);
}

/* The kernel's own accesses for a program with AC are not checked. */
CASE(alignment_checks_are_not_the_kernels)
{
    static char text[64] __attribute__((aligned(16)));
    int ends[2];
    long result;
    MUST(pipe(ends));
    MUST(write(ends[1], "0123456789abcdef", 16));
    __asm__ volatile("pushfq\n\torl $0x40000, (%%rsp)\n\tpopfq\n\tsyscall\n\t"
                     "pushfq\n\tandl $~0x40000, (%%rsp)\n\tpopfq"
                     : "=a"(result)
                     : "a"(SYS_read), "D"((long)ends[0]), "S"(text + 1), "d"(16)
                     : "rcx", "r11", "memory", "cc");
    EXPECT_EQ(result, 16);
    EXPECT_MEM(text + 1, "0123456789abcdef", 16);
}

/* ---- for ever ------------------------------------------------------------------------------- */

static void on_signal_nothing(int signal)
{
}

static void spin(int how)
{
    tap_handle(SIGILL, on_signal_nothing, 0);
    tap_handle(SIGTRAP, on_signal_nothing, 0);
    switch (how) {
    case 0:
        for (;;)
            __asm__ volatile("pause");
    case 1:
        for (;;)
            syscall(SYS_getppid);
    case 2:
        __asm__ volatile("1: ud2\n\tjmp 1b");
        return;
    case 3:
        __asm__ volatile("1: int3\n\tjmp 1b");
        return;
    case 4: /* steps */
        __asm__ volatile(STEP_ON "1: jmp 1b" ::: "memory", "cc");
        return;
    case 5:
        for (;;) {
            void *at = page;
            __asm__ volatile("mov $4096, %%ecx\n\trep stosb" : "+D"(at) : "a"(0) : "rcx", "memory");
        }
    case 6:
        for (;;)
            __asm__ volatile("lock addl $1, (%0)" ::"r"(page) : "memory", "cc");
    case 7: {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        __asm__ volatile("1: jmp 1b");
        return;
    }
    }
}

/* All at once: everybody else still gets a turn, and each dies when it is told to. */
CASE_TIMEOUT(endless_loops_of_many_kinds, 30)
{
    enum { KINDS = 8 };
    pid_t pids[KINDS];
    no_core();
    for (int how = 0; how < KINDS; how++) {
        CHILD(pid)
        {
            spin(how);
        }
        pids[how] = pid;
    }
    for (int i = 0; i < 3; i++) {
        tap_sleep_ms(20);
        expect_sanity();
        CHILD(pid)
        {
            _exit(7);
        }
        EXPECT_EXIT(pid, 7);
    }
    for (int how = 0; how < KINDS; how++) {
        EXPECT_EQ(waitpid(pids[how], NULL, WNOHANG), 0);
        kill(pids[how], SIGKILL);
        EXPECT_KILLED(pids[how], SIGKILL);
    }
    expect_sanity();
}

CASE(an_endless_loop_gives_way_to_a_timer)
{
    struct itimerspec soon = {.it_value = {0, 20 * 1000 * 1000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    timer_t timer;
    tap_handle_info(SIGALRM, on_signal, SA_ONSTACK);
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    if (sigsetjmp(back, 1) == 0) {
        MUST(timer_settime(timer, 0, &soon, NULL));
        __asm__ volatile("1: jmp 1b");
    }
    EXPECT_EQ(outcome.signal, SIGALRM);
}
