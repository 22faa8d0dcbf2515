/* SPDX-License-Identifier: Apache-2.0 */
/* clone(2), wait(2), prctl(2), sched(7), getrusage(2), futex(2) numbers and layouts of x86-64. */
#pragma once
#include "abi/stat.h"
#include "base/base.h"

#define LINUX_CSIGNAL 0xffu
#define LINUX_CLONE_VM 0x100u
#define LINUX_CLONE_FS 0x200u
#define LINUX_CLONE_FILES 0x400u
#define LINUX_CLONE_SIGHAND 0x800u
#define LINUX_CLONE_PIDFD 0x1000u
#define LINUX_CLONE_PTRACE 0x2000u
#define LINUX_CLONE_VFORK 0x4000u
#define LINUX_CLONE_PARENT 0x8000u
#define LINUX_CLONE_THREAD 0x10000u
#define LINUX_CLONE_NEWNS 0x20000u
#define LINUX_CLONE_SYSVSEM 0x40000u
#define LINUX_CLONE_SETTLS 0x80000u
#define LINUX_CLONE_PARENT_SETTID 0x100000u
#define LINUX_CLONE_CHILD_CLEARTID 0x200000u
#define LINUX_CLONE_DETACHED 0x400000u
#define LINUX_CLONE_UNTRACED 0x800000u
#define LINUX_CLONE_CHILD_SETTID 0x1000000u
#define LINUX_CLONE_NEWCGROUP 0x2000000u
#define LINUX_CLONE_NEWUTS 0x4000000u
#define LINUX_CLONE_NEWIPC 0x8000000u
#define LINUX_CLONE_NEWUSER 0x10000000u
#define LINUX_CLONE_NEWPID 0x20000000u
#define LINUX_CLONE_NEWNET 0x40000000u
#define LINUX_CLONE_IO 0x80000000u
#define LINUX_CLONE_CLEAR_SIGHAND 0x100000000ull
#define LINUX_CLONE_INTO_CGROUP 0x200000000ull
#define LINUX_CLONE_NEWTIME 0x80u

struct linux_clone_args {
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    u64 set_tid, set_tid_size, cgroup;
};
_Static_assert(sizeof(struct linux_clone_args) == 88, "struct clone_args");
#define LINUX_CLONE_ARGS_SIZE_MIN 64u

#define LINUX_WNOHANG 1u
#define LINUX_WUNTRACED 2u
#define LINUX_WSTOPPED 2u
#define LINUX_WEXITED 4u
#define LINUX_WCONTINUED 8u
#define LINUX_WNOWAIT 0x01000000u
#define LINUX_WNOTHREAD 0x20000000u
#define LINUX_WALL 0x40000000u
#define LINUX_WCLONE 0x80000000u
#define LINUX_P_ALL 0
#define LINUX_P_PID 1
#define LINUX_P_PGID 2
#define LINUX_P_PIDFD 3
/* reboot(2). */
#define LINUX_REBOOT_MAGIC1 0xfee1deadu
#define LINUX_REBOOT_MAGIC2 672274793u
#define LINUX_REBOOT_MAGIC2A 85072278u
#define LINUX_REBOOT_MAGIC2B 369367448u
#define LINUX_REBOOT_MAGIC2C 537993216u
#define LINUX_REBOOT_CMD_RESTART 0x01234567u
#define LINUX_REBOOT_CMD_HALT 0xcdef0123u
#define LINUX_REBOOT_CMD_POWER_OFF 0x4321fedcu
#define LINUX_REBOOT_CMD_RESTART2 0xa1b2c3d4u
/* Wait statuses. */
#define WAIT_STATUS_EXITED(code) (((code)&0xff) << 8)
#define WAIT_STATUS_STOPPED(signo) (0x7f | (signo) << 8)
#define WAIT_STATUS_CONTINUED 0xffff
#define WAIT_STATUS_CORE 0x80

struct linux_rusage {
    struct linux_timeval utime, stime;
    i64 maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv,
        nsignals, nvcsw, nivcsw;
};
_Static_assert(sizeof(struct linux_rusage) == 144, "struct rusage");
struct linux_tms {
    i64 utime, stime, cutime, cstime;
};
#define LINUX_USER_HZ 100u

struct linux_itimerval {
    struct linux_timeval interval, value;
};
struct linux_itimerspec {
    struct linux_timespec interval, value;
};
#define LINUX_ITIMER_REAL 0
#define LINUX_ITIMER_VIRTUAL 1
#define LINUX_ITIMER_PROF 2
#define LINUX_CLOCK_REALTIME 0
#define LINUX_CLOCK_MONOTONIC 1
#define LINUX_CLOCK_PROCESS_CPUTIME_ID 2
#define LINUX_CLOCK_THREAD_CPUTIME_ID 3
#define LINUX_CLOCK_MONOTONIC_RAW 4
#define LINUX_CLOCK_REALTIME_COARSE 5
#define LINUX_CLOCK_MONOTONIC_COARSE 6
#define LINUX_CLOCK_BOOTTIME 7
#define LINUX_CLOCK_REALTIME_ALARM 8
#define LINUX_CLOCK_BOOTTIME_ALARM 9
#define LINUX_CLOCK_TAI 11
#define LINUX_TIMER_ABSTIME 1

struct linux_utsname {
    char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};
_Static_assert(sizeof(struct linux_utsname) == 390, "struct new_utsname");
struct linux_sysinfo {
    i64 uptime;
    u64 loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    u16 procs, pad;
    u32 pad2;
    u64 totalhigh, freehigh;
    u32 mem_unit, pad3;
};
_Static_assert(sizeof(struct linux_sysinfo) == 112, "struct sysinfo");

#define LINUX_FUTEX_WAIT 0
#define LINUX_FUTEX_WAKE 1
#define LINUX_FUTEX_FD 2
#define LINUX_FUTEX_REQUEUE 3
#define LINUX_FUTEX_CMP_REQUEUE 4
#define LINUX_FUTEX_WAKE_OP 5
#define LINUX_FUTEX_LOCK_PI 6
#define LINUX_FUTEX_UNLOCK_PI 7
#define LINUX_FUTEX_TRYLOCK_PI 8
#define LINUX_FUTEX_WAIT_BITSET 9
#define LINUX_FUTEX_WAKE_BITSET 10
#define LINUX_FUTEX_WAIT_REQUEUE_PI 11
#define LINUX_FUTEX_CMP_REQUEUE_PI 12
#define LINUX_FUTEX_LOCK_PI2 13
#define LINUX_FUTEX_PRIVATE 128
#define LINUX_FUTEX_CLOCK_REALTIME 256
#define LINUX_FUTEX_WAITERS 0x80000000u
#define LINUX_FUTEX_OWNER_DIED 0x40000000u
#define LINUX_FUTEX_TID_MASK 0x3fffffffu
#define LINUX_FUTEX_BITSET_ANY 0xffffffffu
struct linux_robust_list_head {
    u64 list;
    i64 futex_offset;
    u64 list_op_pending;
};
#define LINUX_ROBUST_LIST_MAX 2048

#define LINUX_SCHED_OTHER 0u
#define LINUX_SCHED_FIFO 1u
#define LINUX_SCHED_RR 2u
#define LINUX_SCHED_BATCH 3u
#define LINUX_SCHED_IDLE 5u
#define LINUX_SCHED_DEADLINE 6u
#define LINUX_SCHED_RESET_ON_FORK 0x40000000u
