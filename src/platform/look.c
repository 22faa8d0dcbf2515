/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of a few instructions for each row, run in a space of its own. Results travel in rdi,
 * rsi, rdx and rbx of the system call behind them, or the row says which signal the program gets.
 */
#include "platform/look.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <x86intrin.h>

#define CODE 0x400000ull
#define STACK_END 0x500000ull
#define FRAMES 64u
#define EVENTS_MAX 8u
#define NO_SUCH_LEAF "none"

/* How a row's results are written. */
enum look_form { FORM_HEX, FORM_WORDS, FORM_NAME, FORM_TSC, FORM_DONE, FORM_FLAG };

struct program {
    struct look_row row;
    const u8 *start, *end;
    enum look_form form;
};

#define CPUID(leaf, subleaf, result) \
    "mov $" leaf ", %eax; mov $" subleaf ", %ecx; cpuid; mov %ecx, %esi; " result "; syscall"
#define WORDS "mov %eax, %edi"

/* Name, what, why platforms may differ, form, instructions. */
#define PROGRAMS(ROW)                                                                              \
    ROW(vendor, "cpuid 0, name", NULL, FORM_NAME, CPUID("0", "0", "mov %ebx, %edi"))               \
    ROW(brand, "cpuid 0x80000002, name", NULL, FORM_NAME,                                          \
        CPUID("0x80000002", "0", "mov %eax, %edi; mov %ebx, %edx"))                                \
    ROW(caches, "cpuid 0x80000006, ecx edx", NULL, FORM_WORDS,                                     \
        CPUID("0x80000006", "0", "mov %esi, %edi; mov %edx, %esi"))                                \
    ROW(version, "cpuid 1, version", NULL, FORM_HEX, CPUID("1", "0", WORDS))                       \
    ROW(features, "cpuid 1, ecx edx", "kvm: less what KVM lacks", FORM_WORDS,                      \
        CPUID("1", "0", "mov %esi, %edi; mov %edx, %esi"))                                         \
    ROW(number, "cpuid 1, number of the cpu", "ptrace: the host's; kvm: 0", FORM_HEX,              \
        CPUID("1", "0", "mov %ebx, %edi; shr $24, %edi"))                                          \
    ROW(long_number, "cpuid 0xb, number of the cpu", "ptrace: the host's; kvm: 0", FORM_HEX,       \
        CPUID("0xb", "0", "mov %edx, %edi"))                                                       \
    ROW(more, "cpuid 7, ebx ecx", "kvm: less what KVM lacks", FORM_WORDS,                          \
        CPUID("7", "0", "mov %ebx, %edi"))                                                         \
    ROW(extended, "cpuid 0x80000001, ecx edx", "kvm: less what KVM lacks", FORM_WORDS,             \
        CPUID("0x80000001", "0", "mov %esi, %edi; mov %edx, %esi"))                                \
    ROW(state_size, "cpuid 0xd, size", "kvm: canonical components only", FORM_HEX,                 \
        CPUID("0xd", "0", "mov %ebx, %edi"))                                                       \
    ROW(hypervisor, "cpuid 0x40000000, name", NULL, FORM_NAME,                                     \
        CPUID("0x40000000", "0",                                                                   \
              "mov %edx, %eax; mov %ebx, %edi; mov %esi, %edx; mov %eax, %esi"))                   \
    ROW(state, "xgetbv 0", "kvm: canonical components only", FORM_HEX,                             \
        "xor %ecx, %ecx; xgetbv; mov %eax, %edi; syscall")                                         \
    ROW(counter, "rdtsc", NULL, FORM_TSC,                                                          \
        "rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %rdi; syscall")                            \
    ROW(counter_number, "rdtscp, number of the cpu", "ptrace: the host's; kvm: 0", FORM_HEX,       \
        "rdtscp; mov %ecx, %edi; syscall")                                                         \
    ROW(plain_number, "rdpid, number of the cpu", "ptrace: the host's; kvm: 0", FORM_HEX,          \
        "rdpid %rdi; syscall")                                                                     \
    ROW(limit, "lsl 0x7b, number of the cpu", "ptrace: the host's; kvm: 0", FORM_HEX,              \
        "xor %edi, %edi; mov $0x7b, %eax; lsl %eax, %edi; syscall")                                \
    ROW(in_use, "xgetbv 1", "kvm: canonical components only", FORM_HEX,                            \
        "mov $1, %ecx; xgetbv; mov %eax, %edi; syscall")                                           \
    ROW(random, "rdrand", NULL, FORM_FLAG, "xor %edi, %edi; rdrand %rax; adc %edi, %edi; syscall") \
    ROW(seed, "rdseed", NULL, FORM_DONE, "rdseed %rax; syscall")                                   \
    ROW(fs_base, "rdfsbase", "ptrace: as the host's kernel has it", FORM_HEX,                      \
        "rdfsbase %rdi; syscall")                                                                  \
    ROW(descriptors, "sgdt", "kvm: a signal, or a place of the stub's", FORM_HEX,                  \
        "sub $16, %rsp; sgdt (%rsp); mov 2(%rsp), %rdi; syscall")                                  \
    ROW(interrupts, "sidt", "kvm: a signal, or a place of the stub's", FORM_HEX,                   \
        "sub $16, %rsp; sidt (%rsp); mov 2(%rsp), %rdi; syscall")                                  \
    ROW(local, "sldt", "kvm: a signal, or the stub's", FORM_HEX, "sldt %rdi; syscall")             \
    ROW(status, "smsw", "kvm: a signal, or the stub's", FORM_HEX, "smsw %rdi; syscall")            \
    ROW(task, "str", "kvm: the stub's where there is no UMIP", FORM_HEX, "str %rdi; syscall")      \
    ROW(counters, "rdpmc", NULL, FORM_DONE, "xor %ecx, %ecx; rdpmc; syscall")                      \
    ROW(hypercall_intel, "vmcall", "kvm: -1 on processors of this make", FORM_HEX,                 \
        "mov $99, %eax; vmcall; mov %rax, %rdi; syscall")                                          \
    ROW(hypercall_amd, "vmmcall", "kvm: -1 on processors of this make", FORM_HEX,                  \
        "mov $99, %eax; vmmcall; mov %rax, %rdi; syscall")                                         \
    ROW(flags, "pushf", NULL, FORM_HEX, "pushf; pop %rdi; syscall")                                \
    ROW(old_gate, "int $0x80", NULL, FORM_DONE, "mov $20, %eax; int $0x80; syscall")

#define PROGRAM_CODE(name, what, declared, form, code)                                            \
    __asm__(".pushsection .rodata\nlook_" #name ":\n" code "\nlook_" #name "_end:\n.popsection"); \
    extern const u8 look_##name[], look_##name##_end[];
PROGRAMS(PROGRAM_CODE)

#define PROGRAM_ROW(name, what, declared, form, code) \
    {{what, declared}, look_##name, look_##name##_end, form},
static const struct program programs[] = {PROGRAMS(PROGRAM_ROW)};
_Static_assert(ARRAY_COUNT(programs) <= LOOK_ROWS_MAX, "there is a cell for each row");

const struct look_row *look_row(u32 index)
{
    return index < ARRAY_COUNT(programs) ? &programs[index].row : NULL;
}

/* ---- running one ---------------------------------------------------------------------------- */

struct stage {
    struct machine_memory memory;
    struct platform *platform;
    struct space *space;
    struct context context;
    struct xstate xstate;
};

static void cell_name(char *cell, size_t size, const struct regs *regs)
{
    u32 words[3] = {(u32)regs->rdi, (u32)regs->rdx, (u32)regs->rsi};
    char text[sizeof words + 1] = "";
    memcpy(text, words, sizeof words);
    for (size_t i = 0; text[i]; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    snprintf(cell, size, "%s", text[0] ? text : NO_SUCH_LEAF);
}

static const char *signal_name(i32 signo)
{
    switch (signo) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGILL:
        return "SIGILL";
    case SIGBUS:
        return "SIGBUS";
    default:
        return "another signal";
    }
}

static void cell_write(const struct program *program, const struct event *event,
                       const struct regs *regs, u64 before, char *cell, size_t size)
{
    if (event->type == EVENT_EXCEPTION) {
        snprintf(cell, size, "%s", signal_name(event->signo));
        return;
    }
    if (event->type != EVENT_SYSCALL) {
        snprintf(cell, size, "%s", event->type == EVENT_FAULT ? "SIGSEGV" : "nothing");
        return;
    }
    switch (program->form) {
    case FORM_HEX:
        snprintf(cell, size, "%#llx", (unsigned long long)regs->rdi);
        return;
    case FORM_WORDS:
        snprintf(cell, size, "%#x %#x", (u32)regs->rdi, (u32)regs->rsi);
        return;
    case FORM_NAME:
        cell_name(cell, size, regs);
        return;
    case FORM_TSC:
        snprintf(cell, size, "%s",
                 regs->rdi >= before && regs->rdi <= __rdtsc() ? "the host's" : "another");
        return;
    case FORM_FLAG:
        snprintf(cell, size, "%s", regs->rdi ? "works" : "gives nothing");
        return;
    case FORM_DONE:
        snprintf(cell, size, "works");
        return;
    }
}

static void program_run(struct stage *stage, const struct program *program, char *cell, size_t size)
{
    struct cpu *cpu = platform_cpu(stage->platform, 0);
    struct event event = {.type = EVENT_KICK};
    memcpy(machine_frame(&stage->memory, (frame){1}), program->start,
           (size_t)(program->end - program->start));
    stage->context.regs = (struct regs){
        .rip = CODE,
        .rsp = STACK_END,
        .cs = REGS_CS_USER,
        .ss = REGS_SS_USER,
        .eflags = EFLAGS_IF | 2,
        .orig_rax = ~(u64)0,
    };
    u64 before = __rdtsc();
    for (u32 i = 0; i < EVENTS_MAX && event.type == EVENT_KICK; i++) {
        cpu_enter(cpu, stage->space, &stage->context);
        cpu_run(cpu, &event);
        cpu_leave(cpu);
    }
    cell_write(program, &event, &stage->context.regs, before, cell, size);
}

static int programs_run(struct stage *stage, struct look *out)
{
    int err = space_create(stage->platform, &stage->space);
    if (err)
        return err;
    err = space_map(stage->space, uaddr_make(CODE), (frame){1}, 1, PROT_READ_BIT | PROT_EXEC_BIT);
    if (err == 0)
        err = space_map(stage->space, uaddr_make(STACK_END - PAGE_SIZE), (frame){2}, 1,
                        PROT_READ_BIT | PROT_WRITE_BIT);
    (void)space_commit(stage->space);
    if (err == 0)
        err = cpu_attach(platform_cpu(stage->platform, 0));
    if (err == 0) {
        xstate_init(&stage->xstate);
        stage->context = (struct context){
            .xstate = &stage->xstate, .xstate_changed = true, .id = 1};
        for (size_t i = 0; i < ARRAY_COUNT(programs); i++)
            program_run(stage, &programs[i], out->cells[i], sizeof out->cells[i]);
        context_forget(stage->platform, &stage->context);
        cpu_detach(platform_cpu(stage->platform, 0));
    }
    space_unmap(stage->space, uaddr_make(CODE), (STACK_END - CODE) >> PAGE_SHIFT);
    (void)space_commit(stage->space);
    space_destroy(stage->space);
    return err;
}

int look_at(const char *name, struct look *out)
{
    struct stage stage = {0};
    *out = (struct look){0};
    int err = machine_memory_create("picket-memory", FRAMES, &stage.memory);
    if (err)
        return err;
    if (platform_create(name, &stage.memory, 1, &stage.platform, out->note, sizeof out->note) ==
        0) {
        out->is_made = true;
        snprintf(out->note, sizeof out->note, "%s", platform_note(stage.platform));
        out->is_native = platform_features(stage.platform)->is_native;
        if (out->is_native)
            err = programs_run(&stage, out);
        platform_destroy(stage.platform);
    }
    machine_memory_destroy(&stage.memory);
    return err;
}
