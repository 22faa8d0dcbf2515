/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a stop to an event: which access a fault was, which exception a signal stands for. Linux
 * shows a tracer neither the page fault's error code nor the vector. Where neither the page table
 * nor the instruction tells, the signal is delivered to a handler on the stub's own stack and the
 * thread stopped before the handler's first instruction: the frame that the kernel wrote has both
 * (exact_find).
 */
#include "platform/ptrace/internal.h"
#include "platform/decode.h"
#include "platform/fault.h"
#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/ptrace.h>
#include <ucontext.h>

#define FILL_COUNT_MAX 16u

static void fault_report(struct ptrace_cpu *cpu, u64 address, u32 access, struct event *event)
{
    event_fault(&cpu->space->base, address, access, event);
    __atomic_store_n(&cpu->space->fault_address, address, __ATOMIC_RELAXED);
}

/* ---- the exact way -------------------------------------------------------------------------- */

struct exact {
    u32 trapno;
    u32 error_code;
};

/* The frame's ucontext at ADDRESS in the stub, in our view; NULL if it is not on CPU's signal
 * stack. */
static const ucontext_t *frame_find(const struct ptrace_cpu *cpu, u64 address)
{
    u64 slot = cpu->thread->slot * (u64)STUB_SLOT_SIZE;
    u64 offset = address - (STUB_SLOTS + slot);
    if (offset > STUB_SLOT_SIZE - sizeof(ucontext_t) || offset % 8 != 0)
        return NULL;
    return (const void *)(stub_slots(cpu->thread->stub) + slot + offset);
}

/* Deliver INFO's signal and read what the kernel tells the handler. The thread's registers and
 * extended state are loaded anew before it runs again. False: the thread is gone, or the frame
 * cannot be found. */
static bool exact_find(struct ptrace_cpu *cpu, const siginfo_t *info, struct exact *out)
{
    struct stub_thread *thread = cpu->thread;
    struct regs regs;
    if (!xstate_fetch(thread))
        return false;
    thread->xstate_is_stale = true;
    thread->xstate_is_near = false;
    thread->has_regs = false;
    if (ptrace(PTRACE_SINGLESTEP, thread->tid, NULL, info->si_signo) != 0 ||
        stub_thread_wait(thread) < 0 || ptrace(PTRACE_GETREGS, thread->tid, NULL, &regs) != 0)
        return false;
    if (regs.rip != STUB_CODE + (u64)(stub_code_handler - stub_code_start))
        return false;
    const ucontext_t *frame = frame_find(cpu, regs.rdx);
    if (frame == NULL)
        return false;
    out->trapno = (u32)frame->uc_mcontext.gregs[REG_TRAPNO];
    out->error_code = (u32)frame->uc_mcontext.gregs[REG_ERR];
    return true;
}

/* ---- page faults ---------------------------------------------------------------------------- */

static u32 access_exact(struct ptrace_cpu *cpu, const siginfo_t *info)
{
    struct exact exact;
    if (!exact_find(cpu, info, &exact) || exact.trapno != TRAP_PF)
        return PROT_READ_BIT;
    if (exact.error_code & PF_FETCH)
        return PROT_EXEC_BIT;
    return exact.error_code & PF_WRITE ? PROT_WRITE_BIT : PROT_READ_BIT;
}

static u32 access_of_data(struct ptrace_cpu *cpu, const siginfo_t *info, u64 address)
{
    u8 code[INSTRUCTION_SIZE_MAX];
    size_t size = code_read(&cpu->space->base, cpu->context->regs.rip, code, sizeof code);
    u32 access = decode_access(code, size, &cpu->context->regs, address);
    return access ? access : access_exact(cpu, info);
}

/*
 * What the fault at ADDRESS, whose entry gives PROT, wanted. The stub had not mapped it if it
 * IS_UNMAPPED; the host does not tell, for there is a reservation. And if not, that proves nothing:
 * another thread may only be about to map what is marked already. So a fetch that the entry allows
 * is tried again; should an instruction write to itself, the tries are counted.
 */
static u32 access_find(struct ptrace_cpu *cpu, const siginfo_t *info, u64 address, u32 prot,
                       bool is_unmapped)
{
    u64 rip = cpu->context->regs.rip;
    if (address == rip)
        return PROT_EXEC_BIT;
    /* The instruction may go on there. */
    bool is_behind = address % PAGE_SIZE == 0 && address - rip < INSTRUCTION_SIZE_MAX;
    if (is_behind && !(prot & PROT_EXEC_BIT))
        return access_exact(cpu, info);
    if (prot & PROT_WRITE_BIT)
        return PROT_WRITE_BIT;
    /* A page that is only not mapped yet: let a write come again rather than look at every read. */
    if (is_behind)
        return is_unmapped ? PROT_READ_BIT : access_exact(cpu, info);
    return access_of_data(cpu, info, address);
}

static bool fault_handle(struct ptrace_cpu *cpu, const siginfo_t *info, struct event *event)
{
    u64 address = (u64)info->si_addr;
    struct pagetable_entry entry;
    bool has_entry = address < SPACE_ADDRESS_END &&
                     pagetable_get(&cpu->space->base.table, uaddr_make(address), &entry);
    bool is_unmapped = !has_entry || !entry_is_cached(&cpu->space->base.table, address);
    struct maker maker = cpu_maker(cpu);
    u32 access = access_find(cpu, info, address, has_entry ? entry.prot : 0, is_unmapped);
    if (stub_is_gone(cpu->thread->stub))
        return false;
    cpu->fill_count = address == cpu->fill_address ? cpu->fill_count + 1 : 0;
    cpu->fill_address = address;
    if (has_entry && cpu->fill_count > FILL_COUNT_MAX) /* what we know does not explain it */
        access = access_exact(cpu, info);
    else if (has_entry && space_fill(cpu->space, &maker, address, access) != FILL_REFUSED)
        return false;
    fault_report(cpu, address, access, event);
    return true;
}

/* ---- exceptions ----------------------------------------------------------------------------- */

static bool exception_exact(struct ptrace_cpu *cpu, const siginfo_t *info, u32 trapno,
                            struct event *event)
{
    struct exact exact;
    if (!exact_find(cpu, info, &exact)) {
        if (stub_is_gone(cpu->thread->stub))
            return false;
        exact = (struct exact){trapno, 0};
    }
    event_exception(event, info->si_signo, info->si_code, exact.trapno, exact.error_code);
    if (info->si_code != SI_KERNEL)
        event->address = (u64)info->si_addr;
    return true;
}

static bool exception(const siginfo_t *info, u32 trapno, struct event *event)
{
    event_exception(event, info->si_signo, info->si_code, trapno, 0);
    if (info->si_code != SI_KERNEL)
        event->address = (u64)info->si_addr;
    return true;
}

/* The vsyscall page cannot be unmapped; the filter refused the call. To the program nothing is
 * there. */
static bool vsyscall_handle(struct ptrace_cpu *cpu, const siginfo_t *info, struct event *event)
{
    cpu->context->regs.rip = (u64)info->si_call_addr;
    cpu->context->regs.rsp -= sizeof(u64);
    fault_report(cpu, cpu->context->regs.rip, PROT_EXEC_BIT, event);
    return true;
}

bool signal_handle(struct ptrace_cpu *cpu, const siginfo_t *info, struct event *event)
{
    switch (info->si_signo) {
    case SIGSEGV:
        return info->si_code == SI_KERNEL ? exception_exact(cpu, info, TRAP_GP, event)
                                          : fault_handle(cpu, info, event);
    case SIGBUS:
        if (info->si_code == BUS_ADRALN)
            return exception(info, TRAP_AC, event);
        return info->si_code == SI_KERNEL ? exception_exact(cpu, info, TRAP_SS, event)
                                          : exception(info, TRAP_PF, event);
    case SIGFPE:
        return info->si_code == FPE_INTDIV ? exception(info, TRAP_DE, event)
                                           : exception_exact(cpu, info, TRAP_XF, event);
    case SIGILL:
        return exception(info, TRAP_UD, event);
    case SIGTRAP:
        return exception(info, info->si_code == SI_KERNEL ? TRAP_BP : TRAP_DB, event);
    default:
        return vsyscall_handle(cpu, info, event);
    }
}

/* ---- system calls --------------------------------------------------------------------------- */

/* Entries other than `syscall` in 64-bit code: int $0x80, sysenter, and all of 32-bit code. */
static void foreign_call_handle(struct ptrace_cpu *cpu, struct event *event)
{
    struct regs *regs = &cpu->context->regs;
    u8 code[2] = {0};
    regs->rax = regs->orig_rax;
    regs->orig_rax = ~(u64)0;
    if (code_read(&cpu->space->base, regs->rip - 2, code, 2) == 2 && code[0] == 0xcd &&
        code[1] == 0x80) {
        regs->rip -= 2;
        event_exception(event, SIGSEGV, SI_KERNEL, TRAP_GP, INT80_ERROR_CODE);
        return;
    }
    event_exception(event, SIGILL, ILL_ILLOPN, TRAP_UD, 0);
    event->address = regs->rip;
}

void syscall_handle(struct ptrace_cpu *cpu, struct event *event)
{
    struct regs *regs = &cpu->context->regs;
    struct __ptrace_syscall_info info = {0};
    event->type = EVENT_SYSCALL;
    if (cpu->context->single_step && !(regs->eflags & EFLAGS_TF))
        regs->r11 &= ~(u64)EFLAGS_TF; /* the flag by which Linux steps; from eflags it is hidden */
    /* The instruction leaves its return address in rcx, which nothing else does by accident. */
    if (regs->cs == REGS_CS_USER && regs->rcx == regs->rip)
        return;
    long size = ptrace(PTRACE_GET_SYSCALL_INFO, cpu->thread->tid, sizeof info, &info);
    if (size <= 0 || (info.arch == AUDIT_ARCH_X86_64 && regs->cs == REGS_CS_USER))
        return;
    foreign_call_handle(cpu, event);
}
