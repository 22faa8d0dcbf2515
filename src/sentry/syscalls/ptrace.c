/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace(2): requests of tracers. What a tracee does is kernel/trace.c's. Requests not listed here
 * answer EIO. */
#include "sentry/kernel/trace.h"

#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/syscalls/syscalls.h"

enum {
    PTRACE_TRACEME_ = 0,
    PTRACE_PEEKTEXT_ = 1,
    PTRACE_PEEKDATA_ = 2,
    PTRACE_PEEKUSER_ = 3,
    PTRACE_POKETEXT_ = 4,
    PTRACE_POKEDATA_ = 5,
    PTRACE_POKEUSER_ = 6,
    PTRACE_CONT_ = 7,
    PTRACE_KILL_ = 8,
    PTRACE_SINGLESTEP_ = 9,
    PTRACE_GETREGS_ = 12,
    PTRACE_SETREGS_ = 13,
    PTRACE_GETFPREGS_ = 14,
    PTRACE_SETFPREGS_ = 15,
    PTRACE_ATTACH_ = 16,
    PTRACE_DETACH_ = 17,
    PTRACE_SYSCALL_ = 24,
    PTRACE_SYSEMU_ = 31,
    PTRACE_SYSEMU_SINGLESTEP_ = 32,
    PTRACE_SETOPTIONS_ = 0x4200,
    PTRACE_GETEVENTMSG_ = 0x4201,
    PTRACE_GETSIGINFO_ = 0x4202,
    PTRACE_SETSIGINFO_ = 0x4203,
    PTRACE_GETREGSET_ = 0x4204,
    PTRACE_SETREGSET_ = 0x4205,
    PTRACE_SEIZE_ = 0x4206,
    PTRACE_INTERRUPT_ = 0x4207,
    PTRACE_LISTEN_ = 0x4208,
    PTRACE_PEEKSIGINFO_ = 0x4209,
    PTRACE_GETSIGMASK_ = 0x420a,
    PTRACE_SETSIGMASK_ = 0x420b,
    PTRACE_SECCOMP_GET_FILTER_ = 0x420c,
    PTRACE_GET_SYSCALL_INFO_ = 0x420e,
};

#define NT_PRSTATUS_ 1u
#define NT_PRFPREG_ 2u
#define NT_X86_XSTATE_ 0x202u
#define USER_AREA_SIZE 928u    /* the kernel's struct user, two words longer than the C library's */
#define USER_AREA_DEBUG 0x350u /* u_debugreg */
#define FPREGS_SIZE 512u
#define MXCSR_BITS 0xffffu /* the processor refuses to load any other */

struct request {
    struct task *task;   /* the tracer */
    struct task *target; /* counted by the caller */
    u64 address, data;
};

/* ---- registers ------------------------------------------------------------------------------------------- */

/* What a tracer may put into a tracee: flags and selectors are judged as sigreturn does. -EIO for
 * what cannot be. */
static int judge_regs(const struct regs *old, struct regs *regs)
{
    if (regs->cs != REGS_CS_USER || regs->ss != REGS_SS_USER)
        return -EIO;
    if (regs->fs_base >= SPACE_ADDRESS_END || regs->gs_base >= SPACE_ADDRESS_END)
        return -EIO;
    regs->eflags = (old->eflags & ~(u64)EFLAGS_USER_MASK) | (regs->eflags & EFLAGS_USER_MASK);
    return 0;
}

static int set_regs(struct task *target, struct regs *regs)
{
    int err = judge_regs(&target->context.regs, regs);
    if (!err)
        target->context.regs = *regs;
    return err;
}

static void fetch_xstate(struct task *target)
{
    if (target->kernel->platform)
        context_sync(&target->context);
}

/* A header that the processor takes and with nothing in its reserved words; no unknown bit of
 * MXCSR. */
static bool is_good_xstate(const u8 *bytes, u64 size)
{
    u64 header[8] = {0};
    u32 mxcsr;
    memcpy(&mxcsr, bytes + XSTATE_MXCSR_OFFSET, sizeof mxcsr);
    if (size >= XSTATE_HEADER_OFFSET + sizeof header)
        memcpy(header, bytes + XSTATE_HEADER_OFFSET, sizeof header);
    for (size_t i = 2; i < ARRAY_COUNT(header); i++)
        if (header[i] != 0)
            return false;
    return xstate_header_is_good(header) && !(mxcsr & ~MXCSR_BITS);
}

static int set_xstate(struct task *target, const u8 *bytes, u64 size)
{
    if (!is_good_xstate(bytes, size))
        return -EINVAL;
    struct xstate state = target->xstate;
    fetch_xstate(target);
    memcpy(state.bytes, target->xstate.bytes, XSTATE_SIZE);
    memcpy(state.bytes, bytes, size);
    if (size <= FPREGS_SIZE)
        state.bytes[XSTATE_HEADER_OFFSET] |= 3;
    if (!xstate_sanitize(&state))
        return -EINVAL;
    target->xstate = state;
    target->context.xstate_changed = true;
    return 0;
}

/* Which debug register is at ADDRESS of the user area; 8 or more: none. */
static u32 debug_nr(u64 address)
{
    return address < USER_AREA_DEBUG ? 8 : (u32)(address - USER_AREA_DEBUG) / 8;
}

SLEEPS static i64 peek_user(const struct request *r)
{
    u64 word = 0;
    if (r->address % sizeof word || r->address >= USER_AREA_SIZE)
        return -EIO;
    if (r->address < sizeof(struct regs))
        memcpy(&word, (const u8 *)&r->target->context.regs + r->address, sizeof word);
    else if (debug_nr(r->address) < 8)
        word = task_debug_read(&r->target->debug, debug_nr(r->address));
    return copy_to_user(r->task, uaddr_make(r->data), &word, sizeof word);
}

static i64 poke_user(const struct request *r)
{
    if (r->address % sizeof(u64) || r->address >= USER_AREA_SIZE)
        return -EIO;
    if (debug_nr(r->address) < 8)
        return task_debug_write(&r->target->debug, debug_nr(r->address), r->data);
    if (r->address >= sizeof(struct regs))
        return 0;
    struct regs regs = r->target->context.regs;
    memcpy((u8 *)&regs + r->address, &r->data, sizeof(u64));
    return set_regs(r->target, &regs);
}

SLEEPS static i64 get_or_set_regs(const struct request *r, bool is_set)
{
    struct regs regs = r->target->context.regs;
    if (!is_set)
        return copy_to_user(r->task, uaddr_make(r->data), &regs, sizeof regs);
    int err = copy_from_user(r->task, &regs, uaddr_make(r->data), sizeof regs);
    return err ? err : set_regs(r->target, &regs);
}

SLEEPS static i64 get_or_set_fpregs(const struct request *r, bool is_set)
{
    u8 bytes[FPREGS_SIZE];
    if (!is_set) {
        fetch_xstate(r->target);
        memcpy(bytes, r->target->xstate.bytes, sizeof bytes);
        return copy_to_user(r->task, uaddr_make(r->data), bytes, sizeof bytes);
    }
    int err = copy_from_user(r->task, bytes, uaddr_make(r->data), sizeof bytes);
    return err ? err : set_xstate(r->target, bytes, sizeof bytes);
}

struct linux_iovec {
    u64 base, size;
};

SLEEPS static i64 get_regset(const struct request *r, struct linux_iovec *iov)
{
    u8 bytes[XSTATE_SIZE];
    u64 size;
    if (r->address == NT_PRSTATUS_) {
        size = sizeof(struct regs);
        memcpy(bytes, &r->target->context.regs, size);
    } else {
        size = r->address == NT_PRFPREG_ ? FPREGS_SIZE : XSTATE_SIZE;
        fetch_xstate(r->target);
        memcpy(bytes, r->target->xstate.bytes, size);
        const u64 features = XSTATE_FEATURES; /* where xstate users look for XCR0 */
        if (r->address == NT_X86_XSTATE_)
            memcpy(bytes + LINUX_FPX_SW_OFFSET, &features, sizeof features);
    }
    iov->size = MIN(iov->size, size);
    int err = copy_to_user(r->task, uaddr_make(iov->base), bytes, iov->size);
    return err ? err : copy_to_user(r->task, uaddr_make(r->data), iov, sizeof *iov);
}

SLEEPS static i64 set_regset(const struct request *r, struct linux_iovec *iov)
{
    u8 bytes[XSTATE_SIZE];
    struct regs regs = r->target->context.regs;
    u64 size = r->address == NT_PRSTATUS_  ? sizeof regs
               : r->address == NT_PRFPREG_ ? FPREGS_SIZE
                                           : XSTATE_SIZE;
    if (iov->size > size || (r->address != NT_PRSTATUS_ && iov->size < size))
        return r->address == NT_PRSTATUS_ ? -EINVAL : -EFAULT;
    int err = copy_from_user(r->task, bytes, uaddr_make(iov->base), iov->size);
    if (!err && r->address == NT_PRSTATUS_) {
        memcpy(&regs, bytes, iov->size);
        err = set_regs(r->target, &regs);
    } else if (!err) {
        if (r->address == NT_X86_XSTATE_)
            memset(bytes + LINUX_FPX_SW_OFFSET, 0, sizeof(struct linux_fpx_sw));
        err = set_xstate(r->target, bytes, size);
    }
    return err ? err : copy_to_user(r->task, uaddr_make(r->data), iov, sizeof *iov);
}

SLEEPS static i64 regset(const struct request *r, bool is_set)
{
    struct linux_iovec iov;
    if (r->address != NT_PRSTATUS_ && r->address != NT_PRFPREG_ && r->address != NT_X86_XSTATE_)
        return -EINVAL;
    int err = copy_from_user(r->task, &iov, uaddr_make(r->data), sizeof iov);
    if (err)
        return err;
    return is_set ? set_regset(r, &iov) : get_regset(r, &iov);
}

/* ---- memory, signals, masks ---------------------------------------------------------------------------------- */

SLEEPS static i64 peek(const struct request *r)
{
    u64 word;
    AUTO_PUT struct mm *mm = REF_GET(r->target->mm);
    if (!mm || mm_copy_force(mm, &r->task->fiber, &word, uaddr_make(r->address), sizeof word,
                             false) != sizeof word)
        return -EIO;
    return copy_to_user(r->task, uaddr_make(r->data), &word, sizeof word);
}

SLEEPS static i64 poke(const struct request *r)
{
    u64 word = r->data;
    AUTO_PUT struct mm *mm = REF_GET(r->target->mm);
    if (!mm || mm_copy_force(mm, &r->task->fiber, &word, uaddr_make(r->address), sizeof word,
                             true) != sizeof word)
        return -EIO;
    mm_commit(mm);
    return 0;
}

SLEEPS static i64 get_or_set_siginfo(const struct request *r, bool is_set)
{
    struct task_trace *trace = &r->target->trace;
    if (trace->stop == TRACE_GROUP)
        return -EINVAL;
    if (!is_set)
        return copy_to_user(r->task, uaddr_make(r->data), &trace->info, sizeof trace->info);
    struct linux_siginfo info;
    int err = copy_from_user(r->task, &info, uaddr_make(r->data), sizeof info);
    if (!err && (info.signo < 1 || info.signo > LINUX_NSIG))
        err = -EINVAL;
    if (!err)
        trace->info = info;
    return err;
}

struct linux_peeksiginfo_args {
    u64 offset;
    u32 flags;
    i32 count;
};
#define PEEKSIGINFO_SHARED_ 1u

static const struct pending_signal *nth_pending(const struct signal_queue *queue, u64 nth)
{
    const struct pending_signal *pending;
    list_for_each (pending, &queue->list, link)
        if (nth-- == 0)
            return pending;
    return NULL;
}

/* Pending signals in their order, which stay pending: how many were told. */
SLEEPS static i64 peek_siginfo(const struct request *r)
{
    struct linux_peeksiginfo_args args;
    int err = copy_from_user(r->task, &args, uaddr_make(r->address), sizeof args);
    if (err)
        return err;
    if ((args.flags & ~PEEKSIGINFO_SHARED_) || args.count < 0)
        return -EINVAL;
    const struct signal_queue *queue = args.flags & PEEKSIGINFO_SHARED_
                                           ? &r->target->group->signals.queue
                                           : &r->target->signals.queue;
    for (i32 i = 0; i < args.count; i++) {
        u64 nth = args.offset + (u64)i;
        const struct pending_signal *pending = nth < args.offset ? NULL : nth_pending(queue, nth);
        if (!pending)
            return i;
        struct linux_siginfo info = pending->info;
        err = copy_to_user(r->task, uaddr_add(uaddr_make(r->data), (u64)i * sizeof info), &info,
                           sizeof info);
        if (err)
            return i > 0 ? i : err;
    }
    return args.count;
}

/* The instructions of a filter, the oldest having number 0; their count. */
SLEEPS static i64 seccomp_get_filter(const struct request *r)
{
    if (!task_has_capability(r->task, CAP_SYS_ADMIN))
        return -EACCES;
    struct seccomp_filter *filter = r->target->seccomp;
    u64 count = seccomp_count(filter);
    if (count == 0)
        return -EINVAL;
    if (r->address >= count)
        return -ENOENT;
    for (u64 above = count - 1 - r->address; above > 0; above--)
        filter = filter->parent;
    AUTO_PUT struct seccomp_filter *held = REF_GET(filter);
    int err = r->data ? copy_to_user(r->task, uaddr_make(r->data), held->code,
                                     held->count * sizeof held->code[0])
                      : 0;
    return err ? err : (i64)held->count;
}

SLEEPS static i64 get_or_set_mask(const struct request *r, bool is_set)
{
    u64 mask = r->target->signals.has_saved_mask ? r->target->signals.saved_mask
                                                 : r->target->signals.mask;
    if (r->address != sizeof mask)
        return -EINVAL;
    if (!is_set)
        return copy_to_user(r->task, uaddr_make(r->data), &mask, sizeof mask);
    int err = copy_from_user(r->task, &mask, uaddr_make(r->data), sizeof mask);
    if (!err)
        signal_set_mask(r->target, mask);
    return err;
}

struct linux_ptrace_syscall_info {
    u8 op, pad[3];
    u32 arch;
    u64 instruction_pointer, stack_pointer;
    union {
        u64 words[8];
        struct {
            u64 nr, args[6];
        } entry;
        struct {
            i64 result;
            u8 is_error;
        } exit;
    };
};

SLEEPS static i64 syscall_info(const struct request *r)
{
    const struct regs *regs = &r->target->context.regs;
    struct linux_ptrace_syscall_info info;
    memset(&info, 0, sizeof info);
    info.arch = AUDIT_ARCH_X86_64_;
    info.instruction_pointer = regs->rip;
    info.stack_pointer = regs->rsp;
    u64 size = offsetof(struct linux_ptrace_syscall_info, words);
    if (r->target->trace.stop == TRACE_CALL_ENTER) {
        info.op = 1;
        info.entry.nr = regs->orig_rax;
        const u64 args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
        memcpy(info.entry.args, args, sizeof args);
        size += sizeof info.entry;
    } else if (r->target->trace.stop == TRACE_CALL_EXIT) {
        info.op = 2;
        info.exit.result = (i64)regs->rax;
        info.exit.is_error = info.exit.result < 0 && info.exit.result >= -4095;
        size += offsetof(__typeof__(info.exit), is_error) + 1;
    }
    int err = copy_to_user(r->task, uaddr_make(r->data), &info, MIN(size, r->address));
    return err ? err : (i64)size;
}

/* ---- going on ------------------------------------------------------------------------------------------------------ */

static i64 go_on(const struct request *r, enum trace_resume resume)
{
    if (r->data > LINUX_NSIG)
        return -EIO;
    trace_continue(r->target, resume, (i32)r->data);
    return 0;
}

static i64 set_options(const struct request *r)
{
    if (r->data & ~(u64)TRACE_O_ALL)
        return -EINVAL;
    r->target->trace.options = (u32)r->data;
    return 0;
}

static i64 listen(const struct request *r)
{
    struct task_trace *trace = &r->target->trace;
    if (!trace->is_seized || (trace->code >> 8) != TRACE_EVENT_STOP)
        return -EIO;
    trace->is_listening = true;
    return 0;
}

SLEEPS static i64 serve_stopped(const struct request *r, u64 what)
{
    switch (what) {
    case PTRACE_PEEKTEXT_:
    case PTRACE_PEEKDATA_:
        return peek(r);
    case PTRACE_POKETEXT_:
    case PTRACE_POKEDATA_:
        return poke(r);
    case PTRACE_PEEKUSER_:
        return peek_user(r);
    case PTRACE_POKEUSER_:
        return poke_user(r);
    case PTRACE_GETREGS_:
    case PTRACE_SETREGS_:
        return get_or_set_regs(r, what == PTRACE_SETREGS_);
    case PTRACE_GETFPREGS_:
    case PTRACE_SETFPREGS_:
        return get_or_set_fpregs(r, what == PTRACE_SETFPREGS_);
    case PTRACE_GETREGSET_:
    case PTRACE_SETREGSET_:
        return regset(r, what == PTRACE_SETREGSET_);
    case PTRACE_GETSIGINFO_:
    case PTRACE_SETSIGINFO_:
        return get_or_set_siginfo(r, what == PTRACE_SETSIGINFO_);
    case PTRACE_GETSIGMASK_:
    case PTRACE_SETSIGMASK_:
        return get_or_set_mask(r, what == PTRACE_SETSIGMASK_);
    case PTRACE_PEEKSIGINFO_:
        return peek_siginfo(r);
    case PTRACE_SECCOMP_GET_FILTER_:
        return seccomp_get_filter(r);
    case PTRACE_GETEVENTMSG_:
        return copy_to_user(r->task, uaddr_make(r->data), &r->target->trace.message, sizeof(u64));
    case PTRACE_GET_SYSCALL_INFO_:
        return syscall_info(r);
    case PTRACE_SETOPTIONS_:
        return set_options(r);
    case PTRACE_LISTEN_:
        return listen(r);
    case PTRACE_CONT_:
        return go_on(r, TRACE_CONT);
    case PTRACE_SYSCALL_:
        return go_on(r, TRACE_CALLS);
    case PTRACE_SINGLESTEP_:
        return go_on(r, TRACE_STEP);
    case PTRACE_SYSEMU_:
        return go_on(r, TRACE_EMULATE);
    case PTRACE_SYSEMU_SINGLESTEP_:
        return go_on(r, TRACE_EMULATE_STEP);
    case PTRACE_DETACH_:
        if (r->data > LINUX_NSIG)
            return -EIO;
        trace_detach(r->target, (i32)r->data);
        return 0;
    default:
        return -EIO;
    }
}

/* ---- becoming a tracer ------------------------------------------------------------------------------------------------ */

static i64 trace_me(struct task *task)
{
    struct thread_group *parent = task->group->parent;
    if (!parent || parent->is_exiting || task->trace.tracer)
        return -EPERM;
    struct task *tracer = task->group->parent_task ? task->group->parent_task : parent->leader;
    return trace_attach(tracer, task, 0, false);
}

static i64 attach(const struct request *r, bool is_seize)
{
    if (is_seize && (r->address || r->data & ~(u64)TRACE_O_ALL))
        return -EIO;
    if (r->task->group == r->target->group)
        return -EPERM;
    int err = trace_may_access(r->task, r->target);
    if (!err)
        err = trace_attach(r->task, r->target, is_seize ? (u32)r->data : 0, is_seize);
    if (err || is_seize)
        return err;
    struct linux_siginfo info;
    signal_info_kernel(&info, LINUX_SIGSTOP);
    return signal_send_task(r->target, &info);
}

SLEEPS i64 sys_ptrace(struct task *task, const struct sysargs *args)
{
    u64 what = arg_u64(args, 0);
    if (what == PTRACE_TRACEME_)
        return trace_me(task);
    i32 nr = arg_i32(args, 1);
    struct task *found = nr > 0 ? task_find(task->pid->ns, (u32)nr) : NULL;
    if (!found || found->phase >= PHASE_ZOMBIE)
        return -ESRCH;
    AUTO_PUT struct task *target = REF_GET(found);
    const struct request request = {
        .task = task, .target = target, .address = arg_u64(args, 2), .data = arg_u64(args, 3)};
    if (what == PTRACE_ATTACH_ || what == PTRACE_SEIZE_)
        return attach(&request, what == PTRACE_SEIZE_);
    if (target->trace.tracer != task)
        return -ESRCH;
    if (what == PTRACE_KILL_) {
        thread_group_exit(target->group, LINUX_SIGKILL);
        return 0;
    }
    if (what == PTRACE_INTERRUPT_) {
        if (!target->trace.is_seized)
            return -EIO;
        trace_interrupt(target);
        return 0;
    }
    if (!trace_is_stopped(target) || (target->trace.is_listening && what != PTRACE_DETACH_))
        return -ESRCH;
    return serve_stopped(&request, what);
}
