/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec/platform.md's rows about x86 code: registers, faults, exceptions, stepping, extended state.
 * Run on every platform that is native. What Linux itself reports for the same instructions is in
 * the tables.
 */
#include "platform/contract.h"
#include <cpuid.h>
#include <signal.h>

#define SNIPPET(name, code)                                                             \
    __asm__(".pushsection .rodata\n" #name ":\n" code "\n" #name "_end:\n.popsection"); \
    extern const u8 name[], name##_end[]
#define BYTES(name) ((struct bytes){name, (size_t)(name##_end - name)})

#define R PROT_READ_BIT
#define W PROT_WRITE_BIT
#define X PROT_EXEC_BIT
#define SOURCE_ADDRESS 0x30000000ull /* a page that the fault tests can always read and write */

static const char *platform_now;

static void setup(struct rig *rig, struct guest *guest, struct bytes code)
{
    rig_create(rig, platform_now, 1);
    rig_attach(rig, 0);
    guest_create(guest, rig, code);
}

static void teardown(struct rig *rig, struct guest *guest)
{
    guest_destroy(guest);
    rig_detach(rig, 0);
    rig_destroy(rig);
}

/* ---- registers ------------------------------------------------------------------------------ */

SNIPPET(code_call, "1: syscall; jmp 1b");

static void test_a_call_leaves_all_registers_as_they_were(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_call));
    struct regs *regs = &guest.context.regs;
    for (u64 i = 1; i < 200; i++) {
        u64 mix = i * 0x9e3779b97f4a7c15ull;
        struct regs want = {
            .r15 = mix ^ 15,
            .r14 = mix ^ 14,
            .r13 = mix ^ 13,
            .r12 = mix ^ 12,
            .rbp = mix ^ 6,
            .rbx = mix ^ 3,
            .r10 = mix ^ 10,
            .r9 = mix ^ 9,
            .r8 = mix ^ 8,
            .rdx = mix ^ 2,
            .rsi = mix ^ 4,
            .rdi = mix ^ 5,
            .rsp = (mix ^ 7) >> 17,
            .fs_base = mix >> 17,
            .gs_base = mix >> 18,
            .cs = REGS_CS_USER,
            .ss = REGS_SS_USER,
            .eflags = EFLAGS_IF | 2 | (i & 1 ? 0x8d5 : 0),
            .rip = CODE_ADDRESS,
            .rax = i,
            .rcx = mix,
            .r11 = mix,
            .orig_rax = ~(u64)0,
        };
        *regs = want;
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(regs->orig_rax, i);
        CU_ASSERT_EQUAL((i64)regs->rax, -38);
        want.rip = want.rcx = CODE_ADDRESS + 2;
        want.r11 = want.eflags;
        want.rax = regs->rax;
        want.orig_rax = regs->orig_rax;
        CU_ASSERT_EQUAL(memcmp(regs, &want, sizeof want), 0);
    }
    teardown(&rig, &guest);
}

/* Results that look like the kernel's private restart codes are only numbers. */
static void test_results_are_not_taken_for_restarts(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_call));
    for (i64 result = -520; result <= -510; result++) {
        ASSERT_SYSCALL(guest_run(&guest, 0));
        guest.context.regs.rax = (u64)result;
        cpu_kick(platform_cpu(rig.platform, 0));
        CU_ASSERT_EQUAL(guest_run(&guest, 0).type, EVENT_KICK);
        CU_ASSERT_EQUAL((i64)guest.context.regs.rax, result);
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL((i64)guest.context.regs.orig_rax, result);
        CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + 2);
    }
    teardown(&rig, &guest);
}

SNIPPET(code_bases, "mov %fs:16, %rdi; mov %gs:32, %rsi; syscall");

static void test_segment_bases_reach_memory(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_bases));
    u64 *data = (u64 *)(void *)guest_map(&guest, DATA_ADDRESS, 2, R | W);
    data[2] = 0xaaaa;
    data[512 + 4] = 0xbbbb;
    guest.context.regs.fs_base = DATA_ADDRESS;
    guest.context.regs.gs_base = DATA_ADDRESS + PAGE_SIZE;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    CU_ASSERT_EQUAL(guest.context.regs.rdi, 0xaaaa);
    CU_ASSERT_EQUAL(guest.context.regs.rsi, 0xbbbb);
    CU_ASSERT_EQUAL(guest.context.regs.fs_base, DATA_ADDRESS);
    CU_ASSERT_EQUAL(guest.context.regs.gs_base, DATA_ADDRESS + PAGE_SIZE);
    teardown(&rig, &guest);
}

SNIPPET(code_flags, "pushf; pop %rdi; syscall");

static void test_flags_of_the_user_stay_and_others_do_not(void)
{
    static const u64 kept[] = {0x1, 0x4, 0x10, 0x40, 0x80, EFLAGS_DF, 0x800, 0x40000};
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_flags));
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++) {
        guest.context.regs.rip = CODE_ADDRESS;
        guest.context.regs.rsp = STACK_ADDRESS;
        guest.context.regs.eflags = EFLAGS_IF | 2 | kept[i];
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(guest.context.regs.rdi, EFLAGS_IF | 2 | kept[i]);
        CU_ASSERT_EQUAL(guest.context.regs.eflags, EFLAGS_IF | 2 | kept[i]);
    }
    guest.context.regs.rip = CODE_ADDRESS;
    guest.context.regs.rsp = STACK_ADDRESS;
    guest.context.regs.eflags = 0x3f7000; /* IOPL 3, interrupts off, nested task, virtual 8086 */
    ASSERT_SYSCALL(guest_run(&guest, 0));
    CU_ASSERT_EQUAL(guest.context.regs.rdi & 0x1b3200, EFLAGS_IF);
    teardown(&rig, &guest);
}

static void test_bad_registers_are_the_programs_fault(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_call));
    struct regs good = guest.context.regs;
    for (u64 i = 0; i < 8; i++) {
        static const u64 selectors[] = {0, 3, 8, 0x10, 0x13, 0x1b, 0x43, 0xffff};
        guest.context.regs = good;
        guest.context.regs.cs = selectors[i];
        struct event event = guest_run(&guest, 0);
        CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
        CU_ASSERT_EQUAL(event.signo, SIGSEGV);
        CU_ASSERT_EQUAL(event.code, SI_KERNEL);
        CU_ASSERT_EQUAL(event.trapno, 13);
        CU_ASSERT_EQUAL(event.error_code, selectors[i] & 0xfffc);
        guest.context.regs = good;
        guest.context.regs.ss = selectors[i];
        event = guest_run(&guest, 0);
        CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
        CU_ASSERT_EQUAL(event.signo, SIGSEGV);
        /* Data selectors are harmless: what cannot be loaded is null. */
        guest.context.regs = good;
        guest.context.regs.ds = guest.context.regs.es = selectors[i];
        guest.context.regs.fs = guest.context.regs.gs = selectors[i];
        ASSERT_SYSCALL(guest_run(&guest, 0));
    }
    static const u64 rips[] = {0x800000000000ull, 0xffff7fffffffffffull};
    for (size_t i = 0; i < ARRAY_COUNT(rips); i++) {
        guest.context.regs = good;
        guest.context.regs.rip = rips[i];
        struct event event = guest_run(&guest, 0);
        CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
        CU_ASSERT_EQUAL(event.trapno, 13);
        CU_ASSERT_EQUAL(guest.context.regs.rip, rips[i]);
    }
    guest.context.regs = good;
    guest.context.regs.rsp = 0x8000000000000000ull; /* nobody minds before it is used, or at once */
    struct event first = guest_run(&guest, 0);
    CU_ASSERT_TRUE(first.type == EVENT_SYSCALL ||
                   (first.type == EVENT_EXCEPTION && first.trapno == 13));
    static const u64 far[] = {
        0, SPACE_ADDRESS_END, 0x7ffffffff000ull, 0x7fffffffffffull, 0xffff800000000000ull, ~(u64)0};
    for (size_t i = 0; i < ARRAY_COUNT(far); i++) {
        guest.context.regs = good;
        guest.context.regs.rip = far[i];
        ASSERT_FAULT(guest_run(&guest, 0), far[i], X);
        CU_ASSERT_EQUAL(guest.context.regs.rip, far[i]);
    }
    guest.context.regs = good;
    guest.context.regs.fs_base = 0x123456789000ull;
    guest.context.regs.gs_base = ~(u64)0 << 40;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    CU_ASSERT_EQUAL(guest.context.regs.fs_base, 0x123456789000ull);
    guest.context.regs = good;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    teardown(&rig, &guest);
}

/* ---- faults --------------------------------------------------------------------------------- */

/* rbx holds the address that shall fault; rsi and rbp a page that is there; rsp a good stack. */
#define FAULT_SNIPPETS(ROW)                                                      \
    ROW(load, "mov (%rbx), %rax", R)                                             \
    ROW(load_byte, "movzbl (%rbx), %eax", R)                                     \
    ROW(store, "mov %rax, (%rbx)", W)                                            \
    ROW(store_imm, "movb $1, (%rbx)", W)                                         \
    ROW(add, "add %rax, (%rbx)", W)                                              \
    ROW(add_load, "add (%rbx), %rax", R)                                         \
    ROW(add_imm, "addl $1, (%rbx)", W)                                           \
    ROW(compare, "cmp %rax, (%rbx)", R)                                          \
    ROW(compare_imm, "cmpl $1, (%rbx)", R)                                       \
    ROW(test_imm, "testb $1, (%rbx)", R)                                         \
    ROW(negate, "negq (%rbx)", W)                                                \
    ROW(divide, "mov $1, %eax; xor %edx, %edx; divq (%rbx)", R)                  \
    ROW(shift, "shlq $3, (%rbx)", W)                                             \
    ROW(increment, "incl (%rbx)", W)                                             \
    ROW(push, "mov %rbx, %rsp; add $8, %rsp; push %rax", W)                      \
    ROW(push_imm, "lea 8(%rbx), %rsp; pushq $5", W)                              \
    ROW(push_memory, "pushq (%rbx)", R)                                          \
    ROW(push_to, "lea 8(%rbx), %rsp; pushq (%rsi)", W)                           \
    ROW(pop, "mov %rbx, %rsp; pop %rax", R)                                      \
    ROW(pop_memory, "lea -8(%rsp), %rsp; popq (%rbx)", W)                        \
    ROW(call, "lea 8(%rbx), %rsp; call 1f; 1: nop", W)                           \
    ROW(call_memory, "call *(%rbx)", R)                                          \
    ROW(jump_memory, "jmp *(%rbx)", R)                                           \
    ROW(ret, "mov %rbx, %rsp; ret", R)                                           \
    ROW(leave, "mov %rbx, %rbp; leave", R)                                       \
    ROW(jump_there, "jmp *%rbx", X)                                              \
    ROW(move_to, "mov %rbx, %rdi; mov $64, %ecx; cld; rep movsb", W)             \
    ROW(move_from, "mov %rsi, %rdi; mov %rbx, %rsi; mov $8, %ecx; rep movsq", R) \
    ROW(fill, "mov %rbx, %rdi; mov $8, %ecx; rep stosq", W)                      \
    ROW(scan, "mov %rbx, %rdi; mov $8, %ecx; repne scasb", R)                    \
    ROW(string_load, "mov %rbx, %rsi; lodsl", R)                                 \
    ROW(exchange, "xchg %rax, (%rbx)", W)                                        \
    ROW(xadd, "lock xadd %rax, (%rbx)", W)                                       \
    ROW(cmpxchg, "cmpxchg %rcx, (%rbx)", W)                                      \
    ROW(lock_cmpxchg, "lock cmpxchg %rcx, (%rbx)", W)                            \
    ROW(cmpxchg16b, "mov %rbx, %rdi; lock cmpxchg16b (%rdi)", W)                 \
    ROW(bit_set, "btsl $3, (%rbx)", W)                                           \
    ROW(bit_test, "btl $3, (%rbx)", R)                                           \
    ROW(set_zero, "setz (%rbx)", W)                                              \
    ROW(conditional_move, "cmovz (%rbx), %rax", R)                               \
    ROW(wide_shift, "shld $3, %rax, (%rbx)", W)                                  \
    ROW(sse_store, "movaps %xmm0, (%rbx)", W)                                    \
    ROW(sse_load, "movaps (%rbx), %xmm0", R)                                     \
    ROW(sse_unaligned, "movdqu %xmm0, 1(%rbx)", W)                               \
    ROW(sse_low, "movsd %xmm0, (%rbx)", W)                                       \
    ROW(sse_quad, "movq %xmm0, (%rbx)", W)                                       \
    ROW(sse_quad_load, "movq (%rbx), %xmm0", R)                                  \
    ROW(sse_stream, "movntdq %xmm0, (%rbx)", W)                                  \
    ROW(stream, "movnti %rax, (%rbx)", W)                                        \
    ROW(x87_store, "fld1; fstpl (%rbx)", W)                                      \
    ROW(x87_load, "fldl (%rbx)", R)                                              \
    ROW(x87_control, "fnstcw (%rbx)", W)                                         \
    ROW(save, "fxsave (%rbx)", W)                                                \
    ROW(restore, "fxrstor (%rbx)", R)                                            \
    ROW(mxcsr, "stmxcsr (%rbx)", W)                                              \
    ROW(shuffle, "pshufb (%rbx), %xmm0", R)                                      \
    ROW(extract, "pextrd $1, %xmm0, (%rbx)", W)                                  \
    ROW(crc, "crc32l (%rbx), %eax", R)                                           \
    ROW(byte_swap, "movbe %eax, (%rbx)", W)

#define AVX_SNIPPETS(ROW)                                 \
    ROW(avx_store, "vmovdqu %ymm0, (%rbx)", W)            \
    ROW(avx_load, "vmovdqu (%rbx), %ymm0", R)             \
    ROW(avx_add, "vaddps (%rbx), %ymm1, %ymm0", R)        \
    ROW(avx_extract, "vextractf128 $1, %ymm0, (%rbx)", W) \
    ROW(avx_mask, "vpcmpeqd %xmm1, %xmm1, %xmm1; vmaskmovps %xmm0, %xmm1, (%rbx)", W)

#define SNIPPET_ROW(name, code, how) SNIPPET(fault_##name, code);
FAULT_SNIPPETS(SNIPPET_ROW)
AVX_SNIPPETS(SNIPPET_ROW)
SNIPPET(fault_avx512_store, "vmovdqu64 %zmm0, (%rbx)");
SNIPPET(fault_avx512_load, "vmovdqu64 (%rbx), %zmm0");

struct fault_case {
    const char *name;
    const u8 *start, *end;
    u32 access;
};
#define CASE_ROW(name, code, how) {#name, fault_##name, fault_##name##_end, how},
static const struct fault_case fault_cases[] = {FAULT_SNIPPETS(CASE_ROW)};
static const struct fault_case avx_cases[] = {AVX_SNIPPETS(CASE_ROW)};
static const struct fault_case avx512_cases[] = {
    {"avx512_store", fault_avx512_store, fault_avx512_store_end, W},
    {"avx512_load", fault_avx512_load, fault_avx512_load_end, R},
};

static bool has_feature(unsigned leaf, unsigned ebx_bit, unsigned ecx_bit)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(leaf, 0, &eax, &ebx, &ecx, &edx))
        return false;
    return ((ebx & ebx_bit) | (ecx & ecx_bit)) != 0;
}

/* Run GUEST to its fault at ADDRESS, ERROR_CODE for everything but the access; a row's name in any
 * failure. */
static void check_fault(struct guest *guest, const struct fault_case *row, u64 address,
                        u32 error_code)
{
    struct event event = guest_run(guest, 0);
    if (strcmp(row->name, "save") == 0 || strcmp(row->name, "restore") == 0)
        event.address &= PAGE_MASK; /* processors look at either end of a wide operand first */
    u32 want = 4 | error_code | (row->access == W ? 2 : 0) | (row->access == X ? 16 : 0);
    if (event.type != EVENT_FAULT || event.address != address || event.access != row->access ||
        event.error_code != want || event.trapno != 14) {
        fprintf(
            stderr,
            "%s: type %d address %llx access %u error %x, wanted %llx %u %x; signal %d rip %llx\n",
            row->name, event.type, (unsigned long long)event.address, event.access,
            event.error_code, (unsigned long long)address, row->access, want, event.signo,
            (unsigned long long)guest->context.regs.rip);
        CU_FAIL("a fault differs");
        return;
    }
    CU_PASS("");
}

static void run_fault_cases(const struct fault_case *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct fault_case *row = &rows[i];
        struct rig rig;
        struct guest guest;
        setup(&rig, &guest, (struct bytes){row->start, (size_t)(row->end - row->start)});
        (void)guest_map(&guest, SOURCE_ADDRESS, 1, R | W);
        guest.context.regs.rbx = DATA_ADDRESS;
        guest.context.regs.rsi = SOURCE_ADDRESS;
        guest.context.regs.rbp = SOURCE_ADDRESS;
        struct regs first = guest.context.regs;
        u64 address = DATA_ADDRESS + (strcmp(row->name, "sse_unaligned") == 0);

        check_fault(&guest, row, address, 0); /* nothing there */
        struct regs at_fault = guest.context.regs;
        check_fault(&guest, row, address, 0); /* and again from the same registers */
        CU_ASSERT_EQUAL(memcmp(&guest.context.regs, &at_fault, sizeof at_fault), 0);

        (void)guest_map(&guest, DATA_ADDRESS, 1, R | W | X);
        space_protect(guest.space, uaddr_make(DATA_ADDRESS), 1, 0);
        (void)space_commit(guest.space);
        check_fault(&guest, row, address, 0); /* closed */
        if (row->access != R) {
            u32 less = row->access == W ? R | X : R | W;
            space_protect(guest.space, uaddr_make(DATA_ADDRESS), 1, less);
            (void)space_commit(guest.space);
            guest.context.regs = first;
            check_fault(&guest, row, address, 1);
        }
        teardown(&rig, &guest);
    }
}

static void test_faults_tell_address_and_access(void)
{
    run_fault_cases(fault_cases, ARRAY_COUNT(fault_cases));
    if (has_feature(1, 0, 1u << 28))
        run_fault_cases(avx_cases, ARRAY_COUNT(avx_cases));
    if (has_feature(7, 1u << 16, 0))
        run_fault_cases(avx512_cases, ARRAY_COUNT(avx512_cases));
}

SNIPPET(code_store_call, "mov %rax, (%rbx); syscall");

static void test_an_operand_across_two_pages_faults_where_it_is_missing(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_store_call));
    guest.context.regs.rbx = DATA_ADDRESS + PAGE_SIZE - 3;
    guest.context.regs.rax = 0x1122334455667788ull;
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + PAGE_SIZE - 3, W);
    u8 *low = guest_map(&guest, DATA_ADDRESS, 1, R | W);
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + PAGE_SIZE, W);
    u8 *high = guest_map(&guest, DATA_ADDRESS + PAGE_SIZE, 1, R | W);
    ASSERT_SYSCALL(guest_run(&guest, 0));
    CU_ASSERT_EQUAL(low[PAGE_SIZE - 1], 0x66);
    CU_ASSERT_EQUAL(high[0], 0x55);
    teardown(&rig, &guest);
}

static void test_an_instruction_across_two_pages_is_fetched_from_both(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_call));
    u8 *page = guest_map(&guest, DATA_ADDRESS, 1, R | X);
    memcpy(page + PAGE_SIZE - 3, "\x48\xc7\xc7", 3); /* mov $0x11223344, %rdi */
    guest.context.regs.rip = DATA_ADDRESS + PAGE_SIZE - 3;
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + PAGE_SIZE, X);
    CU_ASSERT_EQUAL(guest.context.regs.rip, DATA_ADDRESS + PAGE_SIZE - 3);
    page = guest_map(&guest, DATA_ADDRESS + PAGE_SIZE, 1, R);
    memcpy(page, "\x44\x33\x22\x11\x0f\x05", 6);
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + PAGE_SIZE, X);
    space_protect(guest.space, uaddr_make(DATA_ADDRESS + PAGE_SIZE), 1, X);
    (void)space_commit(guest.space);
    ASSERT_SYSCALL(guest_run(&guest, 0));
    CU_ASSERT_EQUAL(guest.context.regs.rdi, 0x11223344);
    /* An instruction that ends at the page's end and loads from the next one is no fetch. */
    memcpy((u8 *)page - PAGE_SIZE + PAGE_SIZE - 3, "\x48\x8b\x03", 3);
    teardown(&rig, &guest);
}

static void test_data_next_to_code_is_data(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_call));
    u8 *page = guest_map(&guest, DATA_ADDRESS, 1, R | X);
    memcpy(page + PAGE_SIZE - 3, "\x48\x89\x03", 3); /* mov %rax, (%rbx) */
    guest.context.regs.rip = DATA_ADDRESS + PAGE_SIZE - 3;
    guest.context.regs.rbx = DATA_ADDRESS + PAGE_SIZE;
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + PAGE_SIZE, W);
    (void)guest_map(&guest, DATA_ADDRESS + PAGE_SIZE, 1, R | X);
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + PAGE_SIZE, W);
    guest.context.regs.rbx = DATA_ADDRESS + PAGE_SIZE - 3; /* its own first byte */
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS + PAGE_SIZE - 3, W);
    teardown(&rig, &guest);
}

SNIPPET(code_load_call, "mov (%rbx), %rax; syscall");

static void test_addresses_outside_the_user_range_fault(void)
{
    static const u64 addresses[] = {0,
                                    8,
                                    SPACE_ADDRESS_MIN - 8,
                                    0x7ffffffff000ull,
                                    0x7ffffffffff0ull,
                                    0xffff800000000000ull,
                                    0xffffffffff600000ull};
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_load_call));
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        guest.context.regs.rbx = addresses[i];
        struct event event = guest_run(&guest, 0);
        ASSERT_FAULT(event, addresses[i], R);
        CU_ASSERT_EQUAL(event.error_code, addresses[i] >= 0x7ffffffff000ull ? 5 : 4);
        CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS);
    }
    teardown(&rig, &guest);
}

SNIPPET(code_vsyscall, "mov $0xffffffffff600400, %rbx; call *%rbx; syscall");

static void test_the_vsyscall_page_is_not_there(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_vsyscall));
    for (int i = 0; i < 3; i++) {
        struct event event = guest_run(&guest, 0);
        ASSERT_FAULT(event, 0xffffffffff600400ull, X);
        CU_ASSERT_EQUAL(event.error_code, 0x15);
        CU_ASSERT_EQUAL(guest.context.regs.rip, 0xffffffffff600400ull);
        CU_ASSERT_EQUAL(guest.context.regs.rsp, STACK_ADDRESS - 8);
        if (i == 0) { /* what a sentry that answers the call would do */
            guest.context.regs.rip = CODE_ADDRESS;
            guest.context.regs.rsp = STACK_ADDRESS;
        }
    }
    teardown(&rig, &guest);
}

/* ---- exceptions ----------------------------------------------------------------------------- */

#define EXCEPTION_SNIPPETS(ROW)                                                                  \
    ROW(halt, "hlt", SIGSEGV, SI_KERNEL, 13, 0, 0)                                               \
    ROW(clear_interrupts, "cli", SIGSEGV, SI_KERNEL, 13, 0, 0)                                   \
    ROW(port, "in $0x60, %al", SIGSEGV, SI_KERNEL, 13, 0, 0)                                     \
    ROW(msr, "rdmsr", SIGSEGV, SI_KERNEL, 13, 0, 0)                                              \
    ROW(control_register, "mov %cr0, %rax", SIGSEGV, SI_KERNEL, 13, 0, 0)                        \
    ROW(table, "lgdt (%rsp)", SIGSEGV, SI_KERNEL, 13, 0, 0)                                      \
    ROW(int80, "mov $20, %eax; int $0x80", SIGSEGV, SI_KERNEL, 13, 0x402, 5)                     \
    ROW(int21, "int $0x21", SIGSEGV, SI_KERNEL, 13, 0x10a, 0)                                    \
    ROW(noncanonical, "mov $0x8000000000000000, %rax; mov (%rax), %rax", SIGSEGV, SI_KERNEL, 13, \
        0, 10)                                                                                   \
    ROW(bad_stack, "mov $0x8000000000000000, %rsp; push %rax", SIGBUS, SI_KERNEL, 12, 0, 10)     \
    ROW(bad_jump, "mov $0x8000000000000000, %rax; jmp *%rax", SIGSEGV, SI_KERNEL, 13, 0, -1)     \
    ROW(misaligned_sse, "movaps %xmm0, -1(%rsp)", SIGSEGV, SI_KERNEL, 13, 0, 0)                  \
    ROW(bad_selector, "mov $0x10, %eax; mov %eax, %ds", SIGSEGV, SI_KERNEL, 13, 0x10, 5)         \
    ROW(null_stack, "xor %eax, %eax; mov %eax, %ss", SIGSEGV, SI_KERNEL, 13, 0, 2)               \
    ROW(interrupt_return,                                                                        \
        "mov %rsp, %rbx; push $0x18; push %rbx; pushf; push $0x10; push $0; iretq", SIGSEGV,     \
        SI_KERNEL, 13, 0x10, 11)                                                                 \
    ROW(undefined, "ud2", SIGILL, ILL_ILLOPN, 6, 0, 0)                                           \
    ROW(sysenter_, "sysenter", SIGILL, ILL_ILLOPN, 6, 0, -1)                                     \
    ROW(divide_zero, "xor %ecx, %ecx; div %ecx", SIGFPE, FPE_INTDIV, 0, 0, 2)                    \
    ROW(breakpoint, "nop; int3; nop", SIGTRAP, SI_KERNEL, 3, 0, 2)                               \
    ROW(icebp, ".byte 0xf1", SIGTRAP, TRAP_BRKPT, 1, 0, 1)                                       \
    ROW(sse_divide,                                                                              \
        "push $0x1d80; ldmxcsr (%rsp); mov $1, %eax; cvtsi2sd %eax, %xmm0; xorps %xmm1, %xmm1;"  \
        "divsd %xmm1, %xmm0",                                                                    \
        SIGFPE, FPE_FLTDIV, 19, 0, 21)                                                           \
    ROW(x87_divide, "push $0x37b; fldcw (%rsp); fld1; fldz; fdivrp; fwait", SIGFPE, FPE_FLTDIV,  \
        16, 0, 14)                                                                               \
    ROW(alignment, "pushf; orl $0x40000, (%rsp); popf; mov -1(%rsp), %eax", SIGBUS, BUS_ADRALN,  \
        17, 0, 9)

#define EXCEPTION_SNIPPET(name, code, signo, si_code, trapno, error, at) \
    SNIPPET(exception_##name, code);
EXCEPTION_SNIPPETS(EXCEPTION_SNIPPET)
struct exception_case {
    const char *name;
    const u8 *start, *end;
    i32 signo, code;
    u32 trapno, error_code;
    int rip; /* bytes behind the start; -1: anywhere */
};
#define EXCEPTION_CASE(name, code, signo, si_code, trapno, error, at) \
    {#name, exception_##name, exception_##name##_end, signo, si_code, trapno, error, at},
static const struct exception_case exception_cases[] = {EXCEPTION_SNIPPETS(EXCEPTION_CASE)};

/* QEMU's software emulation; what it gets wrong is asked of no platform. */
static bool processor_is_emulated(void)
{
    u32 unused, name[3];
    __cpuid(0x40000000, unused, name[0], name[1], name[2]);
    return memcmp(name, "TCGTCGTCGTCG", sizeof name) == 0;
}

/* No SSE exceptions, no alignment checks, no icebp, no stack faults, a wrong error code. */
static bool emulation_differs(const char *name)
{
    static const char *const names[] = {"sse_divide", "alignment", "icebp", "bad_stack", "int21"};
    bool is_named = false;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        is_named = is_named || strcmp(names[i], name) == 0;
    return is_named && processor_is_emulated();
}

static void test_exceptions_are_what_linux_reports(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(exception_cases); i++) {
        const struct exception_case *row = &exception_cases[i];
        if (emulation_differs(row->name))
            continue;
        struct rig rig;
        struct guest guest;
        setup(&rig, &guest, (struct bytes){row->start, (size_t)(row->end - row->start)});
        struct event event = guest_run(&guest, 0);
        u64 rip = guest.context.regs.rip;
        bool is_right = event.type == EVENT_EXCEPTION && event.signo == row->signo &&
                        event.code == row->code && event.trapno == row->trapno &&
                        event.error_code == row->error_code &&
                        (row->rip < 0 || rip == CODE_ADDRESS + (u64)row->rip) &&
                        (event.address == 0 || event.address == rip);
        if (!is_right)
            fprintf(stderr,
                    "%s: type %d signal %d code %d vector %u error %x rip +%lld address %llx\n",
                    row->name, event.type, event.signo, event.code, event.trapno, event.error_code,
                    (long long)(rip - CODE_ADDRESS), (unsigned long long)event.address);
        CU_ASSERT_TRUE(is_right);
        teardown(&rig, &guest);
    }
}

SNIPPET(code_after_exception, "1: movq %xmm0, %rdi; syscall; hlt");

static void test_an_exception_changes_no_state(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_after_exception));
    bool has_avx512 = __builtin_cpu_supports("avx512f");
    for (size_t i = 0; i < (has_avx512 ? XSTATE_SIZE : 832); i++)
        if ((i >= 160 && i < 416) || i >= 576)
            guest.xstate.bytes[i] = (u8)(i * 7);
    guest.xstate.bytes[XSTATE_HEADER_OFFSET] = has_avx512 ? 0xe6 : 6;
    guest.context.xstate_changed = true;
    struct xstate want = guest.xstate;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    for (int i = 0; i < 3; i++) {
        struct regs before = guest.context.regs;
        struct event event = guest_run(&guest, 0);
        CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
        before.orig_rax = ~(u64)0;
        /* The processor's, so that a debugger's breakpoint is not met again. */
        before.eflags |= EFLAGS_RF;
        struct regs after = guest.context.regs;
        if (processor_is_emulated())
            after.eflags |= EFLAGS_RF;
        CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof before), 0);
        context_sync(&guest.context);
        CU_ASSERT_EQUAL(memcmp(&want, &guest.xstate, sizeof want), 0);
    }
    guest.context.regs.rip = CODE_ADDRESS;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    u64 low;
    memcpy(&low, want.bytes + 160, sizeof low);
    CU_ASSERT_EQUAL(guest.context.regs.rdi, low);
    teardown(&rig, &guest);
}

/* ---- stepping ------------------------------------------------------------------------------- */

SNIPPET(code_steps, "nop; nop; xor %edi, %edi; syscall; nop; jmp code_steps");

static void test_single_steps_stop_after_each_instruction(void)
{
    static const u64 rips[] = {1, 2, 4};
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_steps));
    guest.context.single_step = true;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(rips); i++) {
            struct event event = guest_run(&guest, 0);
            CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
            CU_ASSERT_EQUAL(event.signo, SIGTRAP);
            CU_ASSERT_EQUAL(event.code, TRAP_TRACE);
            CU_ASSERT_EQUAL(event.trapno, 1);
            CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + rips[i]);
            CU_ASSERT_EQUAL(guest.context.regs.eflags & EFLAGS_TF, 0);
        }
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(guest.context.regs.eflags & EFLAGS_TF, 0);
        CU_ASSERT_EQUAL(guest.context.regs.r11 & EFLAGS_TF, 0);
        CU_ASSERT_EQUAL(guest_run(&guest, 0).code, TRAP_TRACE);
        CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + 7);
        CU_ASSERT_EQUAL(guest_run(&guest, 0).code, TRAP_TRACE);
        CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS);
    }
    guest.context.single_step = false;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    teardown(&rig, &guest);
}

static void test_a_step_that_faults_first_is_still_a_step(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_store_call));
    guest.context.single_step = true;
    guest.context.regs.rbx = DATA_ADDRESS;
    ASSERT_FAULT(guest_run(&guest, 0), DATA_ADDRESS, W);
    (void)guest_map(&guest, DATA_ADDRESS, 1, R | W);
    struct event event = guest_run(&guest, 0);
    CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
    CU_ASSERT_EQUAL(event.code, TRAP_TRACE);
    CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + 3);
    teardown(&rig, &guest);
}

SNIPPET(code_trap_flag, "pushf; orl $0x100, (%rsp); popf; nop; nop; syscall");

static void test_a_program_may_set_its_own_trap_flag(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_trap_flag));
    struct event event = guest_run(&guest, 0);
    CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
    CU_ASSERT_EQUAL(event.code, TRAP_TRACE);
    CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + 10);
    CU_ASSERT_EQUAL(guest.context.regs.eflags & EFLAGS_TF, EFLAGS_TF);
    event = guest_run(&guest, 0);
    CU_ASSERT_EQUAL(event.code, TRAP_TRACE);
    CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + 11);
    guest.context.regs.eflags &= ~(u64)EFLAGS_TF;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    teardown(&rig, &guest);
}

static void test_a_breakpoint_written_by_the_sentry_is_met(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, BYTES(code_call));
    ASSERT_SYSCALL(guest_run(&guest, 0));
    struct pagetable_entry entry;
    ASSERT(pagetable_get(space_table(guest.space), uaddr_make(CODE_ADDRESS), &entry));
    u8 *code = machine_frame(&rig.memory, entry.frame);
    u8 saved = code[0];
    code[0] = 0xcc;
    struct event event = guest_run(&guest, 0);
    CU_ASSERT_EQUAL(event.type, EVENT_EXCEPTION);
    CU_ASSERT_EQUAL(event.signo, SIGTRAP);
    CU_ASSERT_EQUAL(event.trapno, 3);
    CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + 1);
    code[0] = saved;
    guest.context.regs.rip = CODE_ADDRESS;
    ASSERT_SYSCALL(guest_run(&guest, 0));
    teardown(&rig, &guest);
}

/* ---- extended state ------------------------------------------------------------------------- */

SNIPPET(code_xstate, "fnstcw (%rbx); stmxcsr 8(%rbx); fnstsw 16(%rbx); movdqu %xmm0, 32(%rbx); "
                     "movdqu %xmm15, 48(%rbx);"
                     "fnstenv 64(%rbx); fldcw (%rbx); syscall");

static void test_a_fresh_program_finds_the_initial_state(void)
{
    struct rig rig;
    struct guest guest;
    struct xstate first;
    setup(&rig, &guest, BYTES(code_xstate));
    xstate_init(&first);
    for (int i = 0; i < 2; i++) {
        u8 *data = guest_map(&guest, DATA_ADDRESS, 1, R | W);
        guest.context.regs.rip = CODE_ADDRESS;
        guest.context.regs.rbx = DATA_ADDRESS;
        ASSERT_SYSCALL(guest_run(&guest, 0));
        u32 mxcsr;
        u16 fcw;
        static const u8 zeros[64];
        memcpy(&mxcsr, data + 8, sizeof mxcsr);
        memcpy(&fcw, data, sizeof fcw);
        CU_ASSERT_EQUAL(mxcsr, XSTATE_MXCSR_INIT);
        CU_ASSERT_EQUAL(fcw, XSTATE_FCW_INIT);
        CU_ASSERT_EQUAL(memcmp(data + 16, zeros, 48), 0);
        context_sync(&guest.context);
        CU_ASSERT_EQUAL(memcmp(&guest.xstate, &first, sizeof first), 0);
    }
    teardown(&rig, &guest);
}

SNIPPET(code_add, "1: syscall; paddq %xmm1, %xmm0; inc %rbp; jmp 1b");

static void context_paint(struct guest *guest, u64 value)
{
    u64 one = 1;
    memcpy(guest->xstate.bytes + 160, &value, sizeof value);
    memcpy(guest->xstate.bytes + 176, &one, sizeof one);
    memcpy(guest->xstate.bytes + 576, &value, sizeof value); /* the upper half of ymm0 */
    guest->xstate.bytes[XSTATE_HEADER_OFFSET] = 6;
    guest->context.xstate_changed = true;
}

static void check_paint(struct guest *guest, u64 low, u64 high)
{
    u64 have[2];
    context_sync(&guest->context);
    memcpy(&have[0], guest->xstate.bytes + 160, sizeof have[0]);
    memcpy(&have[1], guest->xstate.bytes + 576, sizeof have[1]);
    CU_ASSERT_EQUAL(have[0], low);
    CU_ASSERT_EQUAL(have[1], high);
    CU_ASSERT_EQUAL(guest->xstate.bytes[XSTATE_HEADER_OFFSET], 6);
}

static void test_extended_state_follows_its_context(void)
{
    enum { COUNT = 4, ROUNDS = 25 };
    struct rig rig;
    struct guest guests[COUNT];
    setup(&rig, &guests[0], BYTES(code_add));
    guest_sibling(&guests[1], &guests[0]);
    guest_create(&guests[2], &rig, BYTES(code_add)); /* another space */
    guest_sibling(&guests[3], &guests[2]);
    for (u64 i = 0; i < COUNT; i++)
        context_paint(&guests[i], (i + 1) << 32);
    for (u64 round = 0; round <= ROUNDS; round++)
        for (u64 i = 0; i < COUNT; i++)
            ASSERT_SYSCALL(guest_run(&guests[i], 0));
    for (u64 i = 0; i < COUNT; i++) {
        CU_ASSERT_EQUAL(guests[i].context.regs.rbp, ROUNDS);
        check_paint(&guests[i], ((i + 1) << 32) + ROUNDS, (i + 1) << 32);
    }
    /* A change by the sentry wins; a context that moves to another space takes its state along. */
    context_paint(&guests[0], 77);
    ASSERT_SYSCALL(guest_run(&guests[0], 0));
    check_paint(&guests[0], 78, 77);
    struct space *home = guests[0].space;
    guests[0].space = guests[2].space;
    ASSERT_SYSCALL(guest_run(&guests[0], 0));
    guests[0].space = home;
    check_paint(&guests[0], 79, 77);
    context_forget(rig.platform, &guests[1].context);
    context_forget(rig.platform, &guests[3].context);
    guest_destroy(&guests[2]);
    teardown(&rig, &guests[0]);
}

static void test_extended_state_survives_the_end_of_its_space(void)
{
    struct rig rig;
    struct guest old, new;
    setup(&rig, &old, BYTES(code_add));
    guest_create(&new, &rig, BYTES(code_add));
    context_paint(&old, 5);
    ASSERT_SYSCALL(guest_run(&old, 0));
    ASSERT_SYSCALL(guest_run(&old, 0));
    space_unmap(old.space, uaddr_make(SPACE_ADDRESS_MIN),
                (SPACE_ADDRESS_END - SPACE_ADDRESS_MIN) >> PAGE_SHIFT);
    (void)space_commit(old.space);
    space_destroy(old.space);
    old.space = new.space;
    check_paint(&old, 6, 5);
    old.context.regs.rip = CODE_ADDRESS;
    ASSERT_SYSCALL(guest_run(&old, 0));
    context_forget(rig.platform, &old.context);
    teardown(&rig, &new);
}

static CU_TestInfo native_tests[] = {
    {"PR1 a call leaves all registers as they were", test_a_call_leaves_all_registers_as_they_were},
    {"PR2 results are not taken for restarts", test_results_are_not_taken_for_restarts},
    {"PR3 segment bases reach memory", test_segment_bases_reach_memory},
    {"PR4 flags of the user stay and others do not", test_flags_of_the_user_stay_and_others_do_not},
    {"PR5 bad registers are the program's fault", test_bad_registers_are_the_programs_fault},
    {"PF1 faults tell address and access", test_faults_tell_address_and_access},
    {"PF2 an operand across two pages faults where it is missing",
     test_an_operand_across_two_pages_faults_where_it_is_missing},
    {"PF3 an instruction across two pages is fetched from both",
     test_an_instruction_across_two_pages_is_fetched_from_both},
    {"PF4 data next to code is data", test_data_next_to_code_is_data},
    {"PF5 addresses outside the user range fault", test_addresses_outside_the_user_range_fault},
    {"PF6 the vsyscall page is not there", test_the_vsyscall_page_is_not_there},
    {"PE1 exceptions are what Linux reports", test_exceptions_are_what_linux_reports},
    {"PE2 an exception changes no state", test_an_exception_changes_no_state},
    {"PS1 single steps stop after each instruction", test_single_steps_stop_after_each_instruction},
    {"PS2 a step that faults first is still a step", test_a_step_that_faults_first_is_still_a_step},
    {"PS3 a program may set its own trap flag", test_a_program_may_set_its_own_trap_flag},
    {"PS4 a breakpoint written by the sentry is met",
     test_a_breakpoint_written_by_the_sentry_is_met},
    {"PX1 a fresh program finds the initial state", test_a_fresh_program_finds_the_initial_state},
    {"PX2 extended state follows its context", test_extended_state_follows_its_context},
    {"PX3 extended state survives the end of its space",
     test_extended_state_survives_the_end_of_its_space},
    CU_TEST_INFO_NULL,
};

static bool is_native(const char *name)
{
    return strcmp(name, "script") != 0;
}

#define SUITE_START(index)                   \
    static int suite_start_##index(void)     \
    {                                        \
        platform_now = platform_name(index); \
        return 0;                            \
    }
SUITE_START(0)
SUITE_START(1)
SUITE_START(2)
static int (*const suite_starts[])(void) = {suite_start_0, suite_start_1, suite_start_2};

void contract_native_suite(void);
void contract_native_suite(void)
{
    static char names[ARRAY_COUNT(suite_starts)][64];
    for (u32 i = 0; i < ARRAY_COUNT(suite_starts) && platform_name(i); i++) {
        if (!is_native(platform_name(i)))
            continue;
        snprintf(names[i], sizeof names[i], "platform contract, x86: %s", platform_name(i));
        CU_SuiteInfo suites[] = {
            {names[i], suite_starts[i], NULL, NULL, NULL, native_tests},
            CU_SUITE_INFO_NULL,
        };
        ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
        suite_check(names[i], platform_name(i));
    }
}
