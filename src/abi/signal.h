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
                u64 value;  /* rt, SI_QUEUE, SI_MESGQ */
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
#define LINUX_SS_ONSTACK 1
#define LINUX_SS_DISABLE 2
#define LINUX_SS_AUTODISARM 0x80000000u
