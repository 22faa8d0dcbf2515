/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a signal handler exactly as Linux lays it on x86-64, and rt_sigreturn(2). From high
 * to low: red zone, extended state (64-byte aligned, with its two magic words), struct rt_sigframe
 * with the stack pointer 8 below a multiple of 16. What comes back from user memory is judged:
 * flags, selectors, the state's header.
 */
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"

#define RED_ZONE_SIZE 128u
#define FRAME_XSTATE_SIZE (XSTATE_SIZE + sizeof(u32))
#define LEGACY_SIZE 512u
#define LEGACY_FEATURES 3u /* x87 and SSE */
#define SSE_FEATURE 2u
#define MXCSR_FEATURES 6u /* with either of them xrstor loads it */
#define HEADER_END 576u
#define XSTATE_ALIGN 64u
#define MXCSR_BITS 0xffffu /* the processor refuses to load any other */
#define SELECTOR_USER 3u
#define UC_FLAGS (LINUX_UC_FP_XSTATE | LINUX_UC_SIGCONTEXT_SS | LINUX_UC_STRICT_RESTORE_SS)

/* ---- out ------------------------------------------------------------------------------------ */

static void fill_context(const struct task *task, struct linux_sigcontext *out)
{
    const struct regs *regs = &task->context.regs;
    *out = (struct linux_sigcontext){
        .r8 = regs->r8,
        .r9 = regs->r9,
        .r10 = regs->r10,
        .r11 = regs->r11,
        .r12 = regs->r12,
        .r13 = regs->r13,
        .r14 = regs->r14,
        .r15 = regs->r15,
        .rdi = regs->rdi,
        .rsi = regs->rsi,
        .rbp = regs->rbp,
        .rbx = regs->rbx,
        .rdx = regs->rdx,
        .rax = regs->rax,
        .rcx = regs->rcx,
        .rsp = regs->rsp,
        .rip = regs->rip,
        .eflags = regs->eflags,
        .cs = (u16)regs->cs,
        .ss = (u16)regs->ss,
        .error_code = task->fault_error,
        .trapno = task->fault_trapno,
        .cr2 = task->fault_address,
    };
}

/* The extended state as it lies in the frame. */
static void fill_xstate(struct task *task, u8 *out)
{
    if (task->kernel->platform)
        context_sync(&task->context);
    memcpy(out, task->xstate.bytes, XSTATE_SIZE);
    const struct linux_fpx_sw sw = {.magic1 = LINUX_FP_XSTATE_MAGIC1,
                                    .extended_size = FRAME_XSTATE_SIZE,
                                    .xfeatures = XSTATE_FEATURES,
                                    .xstate_size = XSTATE_SIZE};
    memcpy(out + LINUX_FPX_SW_OFFSET, &sw, sizeof sw);
    /* Linux tells that x87 and SSE are in use whatever the header said: a handler may read them. */
    u64 features;
    memcpy(&features, out + XSTATE_HEADER_OFFSET, sizeof features);
    features |= 3;
    memcpy(out + XSTATE_HEADER_OFFSET, &features, sizeof features);
    const u32 magic2 = LINUX_FP_XSTATE_MAGIC2;
    memcpy(out + XSTATE_SIZE, &magic2, sizeof magic2);
}

static bool is_on(const struct linux_stack *stack, u64 sp)
{
    return sp > stack->sp && sp - stack->sp <= stack->size;
}

/* Where the frame begins. False: it would run over the end of the alternate stack. */
static bool place_frame(const struct task *task, const struct linux_sigaction *action, u64 *frame,
                        u64 *fpstate)
{
    u64 sp = task->context.regs.rsp - RED_ZONE_SIZE;
    struct linux_stack now;
    signal_get_altstack(task, task->context.regs.rsp, &now);
    bool is_inside = now.flags & LINUX_SS_ONSTACK;
    bool enters = false;
    if (action->flags & LINUX_SA_ONSTACK && !is_inside && now.size > 0) {
        sp = now.sp + now.size;
        enters = true;
    }
    *fpstate = ALIGN_DOWN(sp - FRAME_XSTATE_SIZE, (u64)64);
    *frame = ALIGN_DOWN(*fpstate - sizeof(struct linux_sigframe), (u64)16) - 8;
    return !(is_inside || enters) || is_on(&task->signals.altstack, *frame);
}

static void enter_handler(struct task *task, const struct linux_siginfo *info,
                          const struct linux_sigaction *action, u64 frame)
{
    struct regs *regs = &task->context.regs;
    regs->rdi = (u64)info->signo;
    regs->rsi = frame + offsetof(struct linux_sigframe, info);
    regs->rdx = frame + offsetof(struct linux_sigframe, uc);
    regs->rax = 0;
    regs->rip = action->handler;
    regs->rsp = frame;
    regs->cs = REGS_CS_USER;
    regs->ss = REGS_SS_USER;
    regs->eflags &= ~(u64)(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
    regs->orig_rax = ~0ull;
}

SLEEPS int signal_frame_push(struct task *task, const struct linux_siginfo *info,
                             const struct linux_sigaction *action, u64 mask)
{
    if (!(action->flags & LINUX_SA_RESTORER))
        return -EFAULT;
    u64 frame, fpstate;
    if (!place_frame(task, action, &frame, &fpstate))
        return -EFAULT;
    u8 xstate[FRAME_XSTATE_SIZE];
    fill_xstate(task, xstate);
    struct linux_sigframe out = {.return_address = action->restorer, .info = *info};
    out.uc.flags = UC_FLAGS;
    signal_get_altstack(task, task->context.regs.rsp, &out.uc.stack);
    fill_context(task, &out.uc.mcontext);
    out.uc.mcontext.fpstate = fpstate;
    out.uc.mcontext.oldmask = mask;
    out.uc.sigmask = mask;
    out.info.pad0 = 0;
    int err = copy_to_user(task, uaddr_make(fpstate), xstate, sizeof xstate);
    if (!err)
        err = copy_to_user(task, uaddr_make(frame), &out, sizeof out);
    if (err)
        return err;
    if ((u32)task->signals.altstack.flags & LINUX_SS_AUTODISARM)
        task->signals.altstack = (struct linux_stack){.flags = LINUX_SS_DISABLE};
    enter_handler(task, info, action, frame);
    return 0;
}

/* ---- back ----------------------------------------------------------------------------------- */

/* What the kernel wrote into the legacy area for itself, if it is whole: state of SW's size. */
static bool sw_is_good(const struct linux_fpx_sw *sw)
{
    return sw->magic1 == LINUX_FP_XSTATE_MAGIC1 && sw->xstate_size >= HEADER_END &&
           sw->xstate_size <= XSTATE_SIZE && sw->xstate_size <= sw->extended_size;
}

/* Bytes OFFSET to OFFSET + SIZE of the state at AT. */
SLEEPS static int copy_part(struct task *task, struct xstate *state, u64 at, u32 offset, u32 size)
{
    return copy_from_user(task, state->bytes + offset, uaddr_make(at + offset), size);
}

/* The components behind the legacy area: those that the header has in use and SW asks for. */
SLEEPS static int copy_components(struct task *task, struct xstate *state, u64 at, u64 wanted)
{
    u64 header[8];
    if (at % XSTATE_ALIGN != 0)
        return -EFAULT;
    int err = copy_part(task, state, at, XSTATE_HEADER_OFFSET, sizeof header);
    memcpy(header, state->bytes + XSTATE_HEADER_OFFSET, sizeof header);
    if (err || !xstate_header_is_good(header))
        return -EFAULT;
    header[0] &= wanted;
#define X(number, offset, size)                 \
    if (!err && (header[0] & (1u << (number)))) \
        err = copy_part(task, state, at, (offset), (size));
    XSTATE_COMPONENTS(X)
#undef X
    memcpy(state->bytes + XSTATE_HEADER_OFFSET, header, sizeof header);
    return err;
}

/* As xrstor loads it, or fxrstor where the kernel's own words are damaged. */
SLEEPS static int copy_xstate(struct task *task, u64 at, struct xstate *state)
{
    struct linux_fpx_sw sw;
    u64 wanted = LEGACY_FEATURES;
    memset(state, 0, sizeof *state);
    int err = copy_part(task, state, at, 0, LEGACY_SIZE);
    if (err)
        return err;
    memcpy(&sw, state->bytes + LINUX_FPX_SW_OFFSET, sizeof sw);
    u32 magic2 = 0;
    if (sw_is_good(&sw))
        err = copy_from_user(task, &magic2, uaddr_make(at + sw.xstate_size), sizeof magic2);
    if (magic2 == LINUX_FP_XSTATE_MAGIC2) {
        wanted = sw.xfeatures & XSTATE_FEATURES;
        err = copy_components(task, state, at, wanted);
    } else {
        state->bytes[XSTATE_HEADER_OFFSET] = LEGACY_FEATURES;
    }
    u32 mxcsr;
    memcpy(&mxcsr, state->bytes + XSTATE_MXCSR_OFFSET, sizeof mxcsr);
    if (err || ((wanted & MXCSR_FEATURES) && (mxcsr & ~MXCSR_BITS)))
        return -EFAULT;
    mxcsr = wanted & SSE_FEATURE ? mxcsr : XSTATE_MXCSR_INIT;
    memcpy(state->bytes + XSTATE_MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
    memset(state->bytes + LINUX_FPX_SW_OFFSET, 0, sizeof sw);
    return xstate_sanitize(state) ? 0 : -EFAULT;
}

SLEEPS static int restore_xstate(struct task *task, u64 at)
{
    struct xstate state;
    int err = 0;
    if (at == 0)
        xstate_init(&state);
    else
        err = copy_xstate(task, at, &state);
    if (err)
        return err;
    /* Not context_forget: a platform that has the state may find that little of it changed. */
    task->xstate = state;
    task->context.xstate_changed = true;
    return 0;
}

static void restore_regs(struct task *task, const struct linux_sigcontext *from, u64 flags)
{
    struct regs *regs = &task->context.regs;
    regs->r8 = from->r8, regs->r9 = from->r9, regs->r10 = from->r10, regs->r11 = from->r11;
    regs->r12 = from->r12, regs->r13 = from->r13, regs->r14 = from->r14, regs->r15 = from->r15;
    regs->rdi = from->rdi, regs->rsi = from->rsi, regs->rbp = from->rbp, regs->rbx = from->rbx;
    regs->rdx = from->rdx, regs->rax = from->rax, regs->rcx = from->rcx;
    regs->rsp = from->rsp, regs->rip = from->rip;
    regs->eflags = (regs->eflags & ~(u64)EFLAGS_USER_MASK) | (from->eflags & EFLAGS_USER_MASK);
    /* As Linux: whatever is asked for, of the user's kind; the platform refuses what is none. */
    regs->cs = from->cs | SELECTOR_USER;
    regs->ss = from->ss | SELECTOR_USER;
    if (!(flags & LINUX_UC_STRICT_RESTORE_SS) && regs->cs == REGS_CS_USER)
        regs->ss = REGS_SS_USER; /* a frame of the old kind may hold anything there */
    regs->orig_rax = ~0ull;
}

static void bad_frame(struct task *task)
{
    struct linux_siginfo info;
    signal_info_kernel(&info, LINUX_SIGSEGV);
    signal_force(task, &info);
}

SLEEPS i64 signal_return(struct task *task)
{
    struct regs *regs = &task->context.regs;
    task->in_syscall = false;
    u64 frame = regs->rsp - sizeof(u64); /* `ret` of the restorer took the return address */
    struct linux_sigframe in;
    int err = copy_from_user(task, &in, uaddr_make(frame), sizeof in);
    if (!err)
        err = restore_xstate(task, in.uc.mcontext.fpstate);
    if (err) {
        bad_frame(task);
        return 0;
    }
    restore_regs(task, &in.uc.mcontext, in.uc.flags);
    task->signals.has_saved_mask = false;
    signal_set_mask(task, in.uc.sigmask);
    /* Linux ignores what is wrong with the stack here. */
    (void)!signal_set_altstack(task, &in.uc.stack, regs->rsp, LINUX_MINSIGSTKSZ);
    return (i64)regs->rax;
}
