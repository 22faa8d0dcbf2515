/* SPDX-License-Identifier: Apache-2.0 */
/* Signals as the guest sees them: numbers, siginfo, sigaction, frames (sigaction(2), signal(7)). */
#pragma once
#include "base/base.h"
#define LINUX_SIGHUP 1
#define LINUX_SIGINT 2
#define LINUX_SIGQUIT 3
#define LINUX_SIGILL 4
#define LINUX_SIGTRAP 5
#define LINUX_SIGABRT 6
#define LINUX_SIGBUS 7
#define LINUX_SIGFPE 8
#define LINUX_SIGKILL 9
#define LINUX_SIGUSR1 10
#define LINUX_SIGSEGV 11
#define LINUX_SIGUSR2 12
#define LINUX_SIGPIPE 13
#define LINUX_SIGALRM 14
#define LINUX_SIGTERM 15
#define LINUX_SIGSTKFLT 16
#define LINUX_SIGCHLD 17
#define LINUX_SIGCONT 18
#define LINUX_SIGSTOP 19
#define LINUX_SIGTSTP 20
#define LINUX_SIGTTIN 21
#define LINUX_SIGTTOU 22
#define LINUX_SIGURG 23
#define LINUX_SIGXCPU 24
#define LINUX_SIGXFSZ 25
#define LINUX_SIGVTALRM 26
#define LINUX_SIGPROF 27
#define LINUX_SIGWINCH 28
#define LINUX_SIGIO 29
#define LINUX_SIGPWR 30
#define LINUX_SIGSYS 31
#define LINUX_SIGRTMIN 32
#define LINUX_NSIG 64
#define SIGNAL_BIT(n) (1ull << ((n)-1))

#define LINUX_SI_USER 0
#define LINUX_SI_KERNEL 0x80
#define LINUX_SI_QUEUE (-1)
#define LINUX_SI_TIMER (-2)
#define LINUX_SI_MESGQ (-3)
#define LINUX_SI_ASYNCIO (-4)
#define LINUX_SI_SIGIO (-5)
#define LINUX_SI_TKILL (-6)
#define LINUX_ILL_ILLOPN 2
#define LINUX_TRAP_BRKPT 1
#define LINUX_TRAP_TRACE 2
#define LINUX_TRAP_HWBKPT 4
#define LINUX_SYS_SECCOMP 1
#define LINUX_CLD_EXITED 1
#define LINUX_CLD_KILLED 2
#define LINUX_CLD_DUMPED 3
#define LINUX_CLD_TRAPPED 4
#define LINUX_CLD_STOPPED 5
#define LINUX_CLD_CONTINUED 6
#define LINUX_SEGV_MAPERR 1
#define LINUX_SEGV_ACCERR 2
#define LINUX_BUS_ADRALN 1
#define LINUX_BUS_ADRERR 2

#define LINUX_SA_NOCLDSTOP 1u
#define LINUX_SA_NOCLDWAIT 2u
#define LINUX_SA_SIGINFO 4u
#define LINUX_SA_RESTORER 0x04000000u
#define LINUX_SA_ONSTACK 0x08000000u
#define LINUX_SA_RESTART 0x10000000u
#define LINUX_SA_NODEFER 0x40000000u
#define LINUX_SA_RESETHAND 0x80000000u
#define LINUX_SIG_DFL 0u
#define LINUX_SIG_IGN 1u
#define LINUX_SIG_BLOCK 0
#define LINUX_SIG_UNBLOCK 1
#define LINUX_SIG_SETMASK 2

/* siginfo_t, 128 bytes; the union's members by their offsets. */
struct linux_siginfo {
    i32 signo, error_number, code, pad0;
    union {
        u8 bytes[112];
        struct {
            i32 pid;
            u32 uid;
            union {
                u64 value; /* rt, SI_QUEUE, SI_MESGQ */
                struct {
                    i32 status;
                    i32 pad;
                    i64 utime, stime;
                } child;
            };
        } sender;
        struct {
            i32 id, overrun;
            u64 value;
        } timer;
        struct {
            u64 address;
            i16 address_lsb;
        } fault;
        struct {
            i64 band;
            i32 fd;
        } poll;
        struct {
            u64 call_address;
            i32 nr;
            u32 arch;
        } sys;
    };
};
_Static_assert(sizeof(struct linux_siginfo) == 128, "siginfo_t");

struct linux_sigaction {
    u64 handler;
    u64 flags;
    u64 restorer;
    u64 mask;
};
_Static_assert(sizeof(struct linux_sigaction) == 32, "kernel_sigaction");

struct linux_stack {
    u64 sp;
    i32 flags;
    i32 pad;
    u64 size;
};
_Static_assert(sizeof(struct linux_stack) == 24, "stack_t");
#define LINUX_SS_ONSTACK 1
#define LINUX_SS_DISABLE 2
#define LINUX_SS_AUTODISARM 0x80000000u
#define LINUX_MINSIGSTKSZ 2048u

/* sigevent(7), 64 bytes. */
struct linux_sigevent {
    u64 value;
    i32 signo, notify, tid;
    i32 pad[11];
};
_Static_assert(sizeof(struct linux_sigevent) == 64, "sigevent_t");
#define LINUX_SIGEV_SIGNAL 0
#define LINUX_SIGEV_NONE 1
#define LINUX_SIGEV_THREAD 2
#define LINUX_SIGEV_THREAD_ID 4

/* What lies on a handler's stack, from the lowest address: return address, ucontext, siginfo; the
 * extended state above it. */
struct linux_sigcontext {
    u64 r8, r9, r10, r11, r12, r13, r14, r15;
    u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    u16 cs, gs, fs, ss;
    u64 error_code, trapno, oldmask, cr2;
    u64 fpstate; /* address of the extended state or 0 */
    u64 reserved[8];
};
_Static_assert(sizeof(struct linux_sigcontext) == 256, "struct sigcontext");

struct linux_ucontext {
    u64 flags, link;
    struct linux_stack stack;
    struct linux_sigcontext mcontext;
    u64 sigmask;
};
_Static_assert(sizeof(struct linux_ucontext) == 304, "struct ucontext");
#define LINUX_UC_FP_XSTATE 1u
#define LINUX_UC_SIGCONTEXT_SS 2u
#define LINUX_UC_STRICT_RESTORE_SS 4u

struct linux_sigframe {
    u64 return_address; /* sa_restorer */
    struct linux_ucontext uc;
    struct linux_siginfo info;
};
_Static_assert(sizeof(struct linux_sigframe) == 440, "struct rt_sigframe");

/* The software-reserved bytes of the legacy area, and the mark behind the last byte. */
struct linux_fpx_sw {
    u32 magic1, extended_size;
    u64 xfeatures;
    u32 xstate_size, padding[7];
};
_Static_assert(sizeof(struct linux_fpx_sw) == 48, "struct _fpx_sw_bytes");
#define LINUX_FPX_SW_OFFSET 464u
#define LINUX_FP_XSTATE_MAGIC1 0x46505853u
#define LINUX_FP_XSTATE_MAGIC2 0x46505845u
