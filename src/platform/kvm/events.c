/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the stub saw to an event. Surprising: QEMU's emulated processor differs from a real one
 * in small things (a read where an instruction reads and writes, RF, the error code of `int`); what
 * an event says is the same everywhere, so these are settled here.
 */
#include "platform/decode.h"
#include "platform/fault.h"
#include "platform/kvm/internal.h"
#include <string.h>

#define RETRY_FORGET 16u /* spurious faults at one address before drastic measures */
#define RETRY_MAX 64u
#define ERROR_CODE_IDT 2u
#define MXCSR_MASK_SHIFT 7

/* ---- registers ------------------------------------------------------------------------------ */

void regs_take_back(struct kvm_cpu *cpu)
{
    struct context *context = cpu->context;
    bool is_forced = context->single_step && !(context->regs.eflags & EFLAGS_TF);
    context->regs = cpu->area->regs;
    context->regs.orig_rax = ~(u64)0;
    if (is_forced)
        context->regs.eflags &= ~(u64)EFLAGS_TF;
}

/* ---- page faults ---------------------------------------------------------------------------- */

static u32 access_find(const struct kvm_cpu *cpu, u64 address, u32 error_code)
{
    const struct regs *regs = &cpu->context->regs;
    if (error_code & PF_FETCH)
        return PROT_EXEC_BIT;
    if (error_code & PF_WRITE)
        return PROT_WRITE_BIT;
    if (!kvm_platform_of(cpu->base.platform)->is_emulated)
        return PROT_READ_BIT;
    u8 code[INSTRUCTION_SIZE_MAX];
    size_t size = code_read(&cpu->space->base, regs->rip, code, sizeof code);
    u32 access = decode_access(code, size, regs, address);
    return access ? access : PROT_READ_BIT;
}

/* The table allows it: the processor remembered something older. False: too often. */
static bool fault_retry(struct kvm_cpu *cpu, u64 address)
{
    cpu->retry_count = address == cpu->retry_address ? cpu->retry_count + 1 : 1;
    cpu->retry_address = address;
    cpu->area->must_flush = 1;
    if (cpu->retry_count > RETRY_FORGET)
        cpu->must_reset = true;
    return cpu->retry_count <= RETRY_MAX;
}

static bool fault_handle(struct kvm_cpu *cpu, u32 error_code, struct event *event)
{
    u64 address = cpu->area->cr2;
    struct pagetable_entry entry;
    u32 access = access_find(cpu, address, error_code);
    cpu->counts.faults++;
    if (address < SPACE_ADDRESS_END &&
        pagetable_get(&cpu->space->base.table, uaddr_make(address), &entry) &&
        pagetable_allows(entry.prot, access)) {
        if (fault_retry(cpu, address))
            return false;
        event->type = EVENT_GONE;
        return true;
    }
    event_fault(&cpu->space->base, address, access, event);
    return true;
}

/* ---- exceptions ----------------------------------------------------------------------------- */

/* Which of the errors that are set and not masked is reported (Linux's fpu__exception_code). */
static int float_code(u32 errors)
{
    if (errors & 0x01)
        return FPE_FLTINV;
    if (errors & 0x04)
        return FPE_FLTDIV;
    if (errors & 0x08)
        return FPE_FLTOVF;
    if (errors & 0x12)
        return FPE_FLTUND;
    return errors & 0x20 ? FPE_FLTRES : FPE_FLTUNK;
}

static int float_find(struct kvm_cpu *cpu, u32 vector)
{
    struct xstate state;
    const u8 *bytes = state.bytes;
    u32 mxcsr;
    u16 control, status;
    if (!vcpu_xstate(cpu, &state))
        return FPE_FLTUNK;
    memcpy(&control, bytes, sizeof control);
    memcpy(&status, bytes + 2, sizeof status);
    memcpy(&mxcsr, bytes + XSTATE_MXCSR_OFFSET, sizeof mxcsr);
    return float_code(vector == TRAP_MF ? (u32)status & ~(u32)control
                                        : mxcsr & ~(mxcsr >> MXCSR_MASK_SHIFT));
}

static void undefined(const struct kvm_cpu *cpu, struct event *event)
{
    event_exception(event, SIGILL, ILL_ILLOPN, TRAP_UD, 0);
    event->address = cpu->context->regs.rip;
}

/* Instructions that Linux leaves undefined and this machine protects: sysenter without a place to
 * go, and a hypercall of the other make. */
static bool is_undefined(const u8 *code, size_t size)
{
    if (size < 2 || code[0] != 0x0f)
        return false;
    return code[1] == 0x34 ||
           (size >= 3 && code[1] == 0x01 && (code[2] == 0xc1 || code[2] == 0xd9));
}

static void protection_handle(struct kvm_cpu *cpu, u32 error_code, struct event *event)
{
    u8 code[3] = {0};
    size_t size = code_read(&cpu->space->base, cpu->context->regs.rip, code, sizeof code);
    if (error_code == 0 && is_undefined(code, size)) {
        undefined(cpu, event);
        return;
    }
    if (size >= 2 && code[0] == 0xcd && (error_code & ERROR_CODE_IDT)) /* int */
        error_code = code[1] * 8u + ERROR_CODE_IDT;
    event_exception(event, SIGSEGV, SI_KERNEL, TRAP_GP, error_code);
}

/* A step, or the one-byte instruction that makes the same exception. */
static void debug_handle(struct kvm_cpu *cpu, struct event *event)
{
    u8 code = 0;
    bool is_step = (cpu->area->regs.eflags & EFLAGS_TF) ||
                   code_read(&cpu->space->base, cpu->context->regs.rip - 1, &code, 1) != 1 ||
                   code != 0xf1;
    event_exception(event, SIGTRAP, is_step ? TRAP_TRACE : TRAP_BRKPT, TRAP_DB, 0);
    event->address = cpu->context->regs.rip;
}

static void exception_handle(struct kvm_cpu *cpu, u32 vector, u32 error_code, struct event *event)
{
    u64 rip = cpu->context->regs.rip;
    switch (vector) {
    case TRAP_DE:
        event_exception(event, SIGFPE, FPE_INTDIV, vector, 0);
        event->address = rip;
        return;
    case TRAP_DB:
        debug_handle(cpu, event);
        return;
    case TRAP_BP:
        event_exception(event, SIGTRAP, SI_KERNEL, vector, 0);
        return;
    case TRAP_UD:
        undefined(cpu, event);
        return;
    case TRAP_NP:
    case TRAP_SS:
        event_exception(event, SIGBUS, SI_KERNEL, vector, error_code);
        return;
    case TRAP_GP:
        protection_handle(cpu, error_code, event);
        return;
    case TRAP_MF:
    case TRAP_XF:
        event_exception(event, SIGFPE, float_find(cpu, vector), vector, 0);
        event->address = rip;
        return;
    case TRAP_AC:
        event_exception(event, SIGBUS, BUS_ADRALN, vector, 0);
        return;
    default:
        event_exception(event, SIGSEGV, SI_KERNEL, vector, error_code);
    }
}

/* Faults show RF, so that a debugger's breakpoint is not met again; traps do not. */
static bool is_fault(u32 vector)
{
    return vector != TRAP_DB && vector != TRAP_BP && vector != TRAP_OF;
}

/* ---- system calls --------------------------------------------------------------------------- */

/* Where the processor has no other way: `syscall` ends at its entry without having entered. */
static bool is_call_by_fault(const struct kvm_cpu *cpu, u32 vector, u32 error_code)
{
    u64 entry = stub_address(kvm_stub_syscall);
    return vector == TRAP_PF && kvm_platform_of(cpu->base.platform)->kind == HOST_SOFTWARE &&
           cpu->area->cr2 == entry && cpu->area->regs.rip == entry && (error_code & PF_FETCH);
}

static void call_handle(struct kvm_cpu *cpu, struct event *event)
{
    struct regs *regs = &cpu->context->regs;
    bool is_forced = cpu->context->single_step && !(regs->eflags & EFLAGS_TF);
    u64 nr = cpu->area->regs.rax;
    regs_take_back(cpu);
    cpu->counts.syscalls++;
    if (is_forced)
        regs->r11 &= ~(u64)EFLAGS_TF;
    regs->orig_rax = nr;
    regs->rax = (u64)-38;
    *event = (struct event){.type = EVENT_SYSCALL};
}

bool stop_handle(struct kvm_cpu *cpu, struct event *event)
{
    struct area *area = cpu->area;
    u32 vector = (u32)area->vector;
    u32 error_code = (u32)area->regs.orig_rax;
    if (is_call_by_fault(cpu, vector, error_code)) {
        area->regs.rip = area->regs.rcx;
        area->regs.eflags = area->regs.r11;
        vector = VECTOR_SYSCALL;
    }
    if (vector == VECTOR_SYSCALL) {
        call_handle(cpu, event);
        return true;
    }
    regs_take_back(cpu);
    if (vector == VECTOR_SYSCALL32) {
        cpu->context->regs.rip -= 2;
        cpu->counts.exceptions++;
        undefined(cpu, event);
        return true;
    }
    if (is_fault(vector))
        cpu->context->regs.eflags |= EFLAGS_RF;
    if (vector == TRAP_PF)
        return fault_handle(cpu, error_code, event);
    cpu->counts.exceptions++;
    exception_handle(cpu, vector, error_code, event);
    return true;
}
