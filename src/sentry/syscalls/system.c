/* SPDX-License-Identifier: Apache-2.0 */
/* The system as a whole, limits, prctl(2), and calls that are refused with a documented errno. */
#include <errno.h>

#include <string.h>

#include "abi/fcntl.h"
#include "abi/process.h"
#include "abi/signal.h"
#include "abi/stat.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/syscalls/path.h"
#include "sentry/syscalls/syscalls.h"

/* ---- names ---------------------------------------------------------------------------------- */

SLEEPS i64 sys_uname(struct task *task, const struct sysargs *args)
{
    struct linux_utsname name = {
        .sysname = "Linux", .version = "#1 SMP Sun Jan 10 15:06:54 PST 2016", .machine = "x86_64"};
    const struct uts_ns *uts = task->ns->uts_ns;
    memcpy(name.nodename, uts->hostname, sizeof name.nodename);
    memcpy(name.domainname, uts->domainname, sizeof name.domainname);
    if (!name.domainname[0])
        memcpy(name.domainname, "(none)", sizeof "(none)");
    strncpy(name.release, task->kernel->config.release, sizeof name.release - 1);
    return copy_to_user(task, arg_uaddr(args, 0), &name, sizeof name);
}

SLEEPS static i64 set_name(struct task *task, const struct sysargs *args, char *to)
{
    char name[UTS_NAME_SIZE] = {0};
    i32 size = arg_i32(args, 1);
    if (!task_has_capability_in(task, task->ns->uts_ns->user_ns, CAP_SYS_ADMIN))
        return -EPERM;
    if (size < 0 || size >= UTS_NAME_SIZE)
        return -EINVAL;
    int err = size ? copy_from_user(task, name, arg_uaddr(args, 0), (u64)size) : 0;
    if (!err)
        memcpy(to, name, sizeof name);
    return err;
}

SLEEPS i64 sys_sethostname(struct task *task, const struct sysargs *args)
{
    return set_name(task, args, task->ns->uts_ns->hostname);
}

SLEEPS i64 sys_setdomainname(struct task *task, const struct sysargs *args)
{
    return set_name(task, args, task->ns->uts_ns->domainname);
}

SLEEPS i64 sys_sysinfo(struct task *task, const struct sysargs *args)
{
    struct kernel *kernel = task->kernel;
    const struct memory *memory = kernel->memory;
    u64 used = 0;
    for (u32 i = 0; i < FRAME_USE_COUNT; i++)
        used += memory->used[i];
    struct linux_sysinfo info = {
        .uptime = (i64)((kernel_monotonic_ns(kernel) - kernel->boot_monotonic_ns) / NS_PER_S),
        .totalram = memory->frames_max << PAGE_SHIFT,
        .freeram = (memory->frames_max - MIN(used, memory->frames_max)) << PAGE_SHIFT,
        .sharedram = memory->used[FRAME_TMPFS] << PAGE_SHIFT,
        .mem_unit = 1,
    };
    const struct task *other;
    list_for_each (other, &kernel->tasks, kernel_link)
        info.procs = (u16)(info.procs + !other->is_kernel);
    return copy_to_user(task, arg_uaddr(args, 0), &info, sizeof info);
}

SLEEPS i64 sys_getrandom(struct task *task, const struct sysargs *args)
{
    if (arg_u32(args, 2) & ~7u || (arg_u32(args, 2) & 6u) == 6u)
        return -EINVAL;
    u64 size = MIN(arg_u64(args, 1), (u64)INT32_MAX), moved = 0;
    u8 bytes[256];
    while (moved < size) {
        u64 step = MIN(size - moved, (u64)sizeof bytes);
        kernel_entropy(task->kernel, bytes, step);
        i64 put = mm_copy_out_some(task->mm, &task->fiber, uaddr_add(arg_uaddr(args, 0), moved),
                                   bytes, step);
        if (put <= 0)
            return moved > 0 ? (i64)moved : put;
        moved += (u64)put;
    }
    return (i64)moved;
}

/* ---- limits --------------------------------------------------------------------------------- */

/* prlimit(2)'s rule for another process. */
static bool may_limit(const struct task *task, const struct task *target)
{
    const struct cred *a = task->cred, *b = target->cred;
    bool is_same = a->uid == b->uid && a->uid == b->euid && a->uid == b->suid && a->gid == b->gid &&
                   a->gid == b->egid && a->gid == b->sgid;
    return task->group == target->group || is_same || task_has_capability(task, CAP_SYS_RESOURCE);
}

static int set_limit(struct task *task, struct task *target, u32 resource,
                     const struct limit *limit)
{
    struct limit *old = &target->group->limits.v[resource];
    if (limit->soft > limit->hard)
        return -EINVAL;
    if (resource == RLIMIT_NOFILE_ && limit->hard > (1u << 20))
        return -EPERM;
    if (limit->hard > old->hard && !task_has_capability(task, CAP_SYS_RESOURCE))
        return -EPERM;
    *old = *limit;
    task_apply_limits(target);
    return 0;
}

SLEEPS i64 sys_prlimit64(struct task *task, const struct sysargs *args)
{
    u32 resource = arg_u32(args, 1);
    struct limit limit;
    i32 pid = arg_i32(args, 0);
    if (resource >= RLIMIT_COUNT)
        return -EINVAL;
    int err = arg_u64(args, 2) ? copy_from_user(task, &limit, arg_uaddr(args, 2), sizeof limit) : 0;
    if (err)
        return err;
    struct task *target = pid == 0 ? task : pid < 0 ? NULL : task_find(task->pid->ns, (u32)pid);
    if (!target)
        return -ESRCH;
    if (!may_limit(task, target))
        return -EPERM;
    struct limit old = target->group->limits.v[resource];
    if (arg_u64(args, 2))
        err = set_limit(task, target, resource, &limit);
    if (err || arg_u64(args, 3) == 0)
        return err;
    return copy_to_user(task, arg_uaddr(args, 3), &old, sizeof old);
}

SLEEPS i64 sys_getrlimit(struct task *task, const struct sysargs *args)
{
    const struct sysargs all = {{0, args->v[0], 0, args->v[1]}};
    return arg_u32(args, 0) < RLIMIT_COUNT && args->v[1] == 0 ? -EFAULT : sys_prlimit64(task, &all);
}

SLEEPS i64 sys_setrlimit(struct task *task, const struct sysargs *args)
{
    const struct sysargs all = {{0, args->v[0], args->v[1], 0}};
    return arg_u32(args, 0) < RLIMIT_COUNT && args->v[1] == 0 ? -EFAULT : sys_prlimit64(task, &all);
}

/* ---- prctl ---------------------------------------------------------------------------------- */

#define PR_SET_PDEATHSIG_ 1
#define PR_GET_PDEATHSIG_ 2
#define PR_GET_DUMPABLE_ 3
#define PR_SET_DUMPABLE_ 4
#define PR_GET_KEEPCAPS_ 7
#define PR_SET_KEEPCAPS_ 8
#define PR_SET_NAME_ 15
#define PR_GET_NAME_ 16
#define PR_GET_SECCOMP_ 21
#define PR_SET_SECCOMP_ 22
#define PR_CAPBSET_READ_ 23
#define PR_CAPBSET_DROP_ 24
#define PR_GET_SECUREBITS_ 27
#define PR_SET_SECUREBITS_ 28
#define PR_SET_TIMERSLACK_ 29
#define PR_GET_TIMERSLACK_ 30
#define PR_SET_CHILD_SUBREAPER_ 36
#define PR_GET_CHILD_SUBREAPER_ 37
#define PR_SET_NO_NEW_PRIVS_ 38
#define PR_GET_NO_NEW_PRIVS_ 39
#define PR_CAP_AMBIENT_ 47
#define PR_SET_VMA_ 0x53564d41
#define TIMERSLACK_DEFAULT 50000

static i64 change_cred(struct task *task, void (*change)(struct cred *cred, u64 arg), u64 arg)
{
    struct cred *cred;
    int err = cred_copy(task->cred, &cred);
    if (err)
        return err;
    change(cred, arg);
    task_set_cred(task, cred);
    return 0;
}

static void cred_keep_caps(struct cred *cred, u64 arg)
{
    cred->keep_caps = arg != 0;
}
static void cred_no_new_privs(struct cred *cred, u64 arg)
{
    cred->no_new_privs = true;
}
static void cred_drop_bounding(struct cred *cred, u64 arg)
{
    cred->cap_bounding &= ~((u64)1 << arg);
}
static void cred_set_securebits(struct cred *cred, u64 arg)
{
    cred->securebits = (u32)arg;
    cred->keep_caps = arg & SECBIT_KEEP_CAPS;
}
static void cred_set_ambient(struct cred *cred, u64 arg)
{
    cred->cap_ambient = arg;
}

static i64 set_securebits(struct task *task, u64 bits)
{
    const struct cred *cred = task->cred;
    u32 locked = (cred->securebits >> 1) & 0x55u;
    bool changes_locked = (locked & ((u32)bits ^ cred->securebits)) ||
                          (cred->securebits & 0xaau & ~(u32)bits);
    if (bits & ~(u64)SECBITS_ALL || changes_locked || !cred_has_cap(task->cred, CAP_SETPCAP))
        return -EPERM;
    return change_cred(task, cred_set_securebits, bits);
}

static i64 cap_ambient(struct task *task, const struct sysargs *args)
{
    const struct cred *cred = task->cred;
    u64 op = args->v[1], capability = args->v[2];
    if (args->v[3] || args->v[4])
        return -EINVAL;
    if (op == 4) /* CLEAR_ALL */
        return capability ? -EINVAL : change_cred(task, cred_set_ambient, 0);
    if (capability > CAP_LAST)
        return -EINVAL;
    u64 bit = (u64)1 << capability;
    switch (op) {
    case 1: /* IS_SET */
        return (cred->cap_ambient & bit) != 0;
    case 2: /* RAISE */
        if (!(cred->cap_permitted & bit) || !(cred->cap_inheritable & bit) ||
            (cred->securebits & SECBIT_NO_CAP_AMBIENT_RAISE))
            return -EPERM;
        return change_cred(task, cred_set_ambient, cred->cap_ambient | bit);
    case 3: /* LOWER */
        return change_cred(task, cred_set_ambient, cred->cap_ambient & ~bit);
    default:
        return -EINVAL;
    }
}

static i64 drop_bounding(struct task *task, u64 capability)
{
    if (!cred_has_cap(task->cred, CAP_SETPCAP))
        return -EPERM;
    return capability > CAP_LAST ? -EINVAL : change_cred(task, cred_drop_bounding, capability);
}

SLEEPS static i64 set_comm(struct task *task, u64 at)
{
    char name[COMM_SIZE] = {0};
    i64 got = mm_copy_in_some(task->mm, &task->fiber, name, uaddr_make(at), COMM_SIZE - 1);
    if (got <= 0)
        return -EFAULT;
    memset(task->comm, 0, COMM_SIZE);
    memcpy(task->comm, name, strnlen(name, COMM_SIZE - 1));
    return 0;
}

SLEEPS static i64 set_vma_name(struct task *task, const struct sysargs *args)
{
    char name[80];
    if (args->v[1] != 0) /* PR_SET_VMA_ANON_NAME */
        return -EINVAL;
    if (args->v[4]) {
        i64 size = copy_string_from_user(task, name, arg_uaddr(args, 4), sizeof name);
        if (size < 0)
            return size == -ENAMETOOLONG ? -EINVAL : size;
    }
    return mm_set_name(task->mm, args->v[2], args->v[3], args->v[4] ? name : NULL);
}

/* The half of prctl(2) that only touches credentials. */
static i64 prctl_cred(struct task *task, const struct sysargs *args)
{
    const struct cred *cred = task->cred;
    u64 arg = args->v[1];
    bool has_rest = args->v[2] || args->v[3] || args->v[4];
    switch (arg_i32(args, 0)) {
    case PR_GET_KEEPCAPS_:
        return cred->keep_caps;
    case PR_SET_KEEPCAPS_:
        if (arg > 1)
            return -EINVAL;
        return cred->securebits & SECBIT_KEEP_CAPS_LOCKED ? -EPERM
                                                          : change_cred(task, cred_keep_caps, arg);
    case PR_CAPBSET_READ_:
        return arg > CAP_LAST ? -EINVAL : (i64)(cred->cap_bounding >> arg & 1);
    case PR_CAPBSET_DROP_:
        return drop_bounding(task, arg);
    case PR_GET_SECUREBITS_:
        return cred->securebits;
    case PR_SET_SECUREBITS_:
        return set_securebits(task, arg);
    case PR_SET_NO_NEW_PRIVS_:
        return arg != 1 || has_rest ? -EINVAL : change_cred(task, cred_no_new_privs, 0);
    case PR_GET_NO_NEW_PRIVS_:
        return arg || has_rest ? -EINVAL : cred->no_new_privs;
    case PR_CAP_AMBIENT_:
        return cap_ambient(task, args);
    default:
        return -EINVAL;
    }
}

SLEEPS i64 sys_prctl(struct task *task, const struct sysargs *args)
{
    u64 arg = args->v[1];
    i32 number;
    switch (arg_i32(args, 0)) {
    case PR_SET_PDEATHSIG_:
        if (arg > LINUX_NSIG)
            return -EINVAL;
        task->death_signal = (u32)arg;
        return 0;
    case PR_GET_PDEATHSIG_:
        number = (i32)task->death_signal;
        return copy_to_user(task, uaddr_make(arg), &number, sizeof number);
    case PR_GET_DUMPABLE_:
        return task->group->is_dumpable;
    case PR_SET_DUMPABLE_:
        if (arg > 1)
            return -EINVAL;
        task->group->is_dumpable = arg == 1;
        return 0;
    case PR_SET_NAME_:
        return set_comm(task, arg);
    case PR_GET_NAME_:
        return copy_to_user(task, uaddr_make(arg), task->comm, COMM_SIZE);
    case PR_GET_SECCOMP_:
        return task->seccomp_mode;
    case PR_SET_SECCOMP_:
        return seccomp_prctl(task, arg, arg_uaddr(args, 2));
    case PR_SET_TIMERSLACK_:
        return 0;
    case PR_GET_TIMERSLACK_:
        return TIMERSLACK_DEFAULT;
    case PR_SET_CHILD_SUBREAPER_:
        task->group->is_subreaper = arg != 0;
        return 0;
    case PR_GET_CHILD_SUBREAPER_:
        number = task->group->is_subreaper;
        return copy_to_user(task, uaddr_make(arg), &number, sizeof number);
    case PR_SET_VMA_:
        return set_vma_name(task, args);
    default:
        return prctl_cred(task, args);
    }
}

/* ---- the processor's bases ------------------------------------------------------------------ */

#define ARCH_SET_GS_ 0x1001
#define ARCH_SET_FS_ 0x1002
#define ARCH_GET_FS_ 0x1003
#define ARCH_GET_GS_ 0x1004
#define ARCH_CET_STATUS_ 0x3001

SLEEPS i64 sys_arch_prctl(struct task *task, const struct sysargs *args)
{
    struct regs *regs = &task->context.regs;
    u64 address = args->v[1];
    switch (arg_i32(args, 0)) {
    case ARCH_SET_FS_:
    case ARCH_SET_GS_:
        if (address >= SPACE_ADDRESS_END)
            return -EPERM;
        if (arg_i32(args, 0) == ARCH_SET_FS_)
            regs->fs_base = address;
        else
            regs->gs_base = address;
        return 0;
    case ARCH_GET_FS_:
        return copy_to_user(task, uaddr_make(address), &regs->fs_base, sizeof regs->fs_base);
    case ARCH_GET_GS_:
        return copy_to_user(task, uaddr_make(address), &regs->gs_base, sizeof regs->gs_base);
    default:
        return -EINVAL;
    }
}

SLEEPS i64 sys_personality(struct task *task, const struct sysargs *args)
{
    u32 old = task->personality, wanted = arg_u32(args, 0);
    if (wanted == UINT32_MAX)
        return old;
    /* Only flags that change nothing here, and PER_LINUX. */
    if (wanted & 0xff)
        return -EINVAL;
    task->personality = wanted;
    return old;
}

/* ---- logs, accounting, and what only a real machine can do ---------------------------------- */

#define SYSLOG_SIZE 131072
static const char syslog_text[] =
    "<6>[    0.000000] Starting picket...\n<6>[    0.000000] Ready!\n";

SLEEPS i64 sys_syslog(struct task *task, const struct sysargs *args)
{
    i32 size = arg_i32(args, 2);
    switch (arg_i32(args, 0)) {
    case 3: /* READ_ALL */
        if (arg_u64(args, 1) == 0 || size < 0)
            return -EINVAL;
        size = MIN(size, (i32)sizeof syslog_text - 1);
        return copy_to_user(task, arg_uaddr(args, 1), syslog_text, (u64)size) ? -EFAULT : size;
    case 10: /* SIZE_BUFFER */
        return SYSLOG_SIZE;
    default:
        if (!task_has_capability(task, CAP_SYSLOG))
            return -EPERM;
        return arg_u32(args, 0) > 10 ? -EINVAL : -ENOSYS;
    }
}

static i64 refuse(const struct task *task, u32 capability)
{
    return task_has_capability(task, capability) ? -ENOSYS : -EPERM;
}

static bool is_reboot_magic(u32 first, u32 second)
{
    return first == LINUX_REBOOT_MAGIC1 &&
           (second == LINUX_REBOOT_MAGIC2 || second == LINUX_REBOOT_MAGIC2A ||
            second == LINUX_REBOOT_MAGIC2B || second == LINUX_REBOOT_MAGIC2C);
}

/* reboot(2), "Behavior inside PID namespaces": there is no other machine here, so the namespace's
 * first process ends, by a signal that tells what was wanted. */
SLEEPS i64 sys_reboot(struct task *task, const struct sysargs *args)
{
    const struct pid_ns *ns = task->group->pid_ns;
    if (!task_has_capability_in(task, ns->user_ns, CAP_SYS_BOOT))
        return -EPERM;
    if (!is_reboot_magic(arg_u32(args, 0), arg_u32(args, 1)))
        return -EINVAL;
    i32 signo;
    switch (arg_u32(args, 2)) {
    case LINUX_REBOOT_CMD_RESTART:
    case LINUX_REBOOT_CMD_RESTART2:
        signo = LINUX_SIGHUP;
        break;
    case LINUX_REBOOT_CMD_HALT:
    case LINUX_REBOOT_CMD_POWER_OFF:
        signo = LINUX_SIGINT;
        break;
    default:
        return -EINVAL;
    }
    if (ns->init)
        thread_group_exit(ns->init, signo);
    thread_group_exit(task->group, 0); /* does nothing to who ends already */
    return 0;
}
SLEEPS i64 sys_kexec_load(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_BOOT);
}
SLEEPS i64 sys_kexec_file_load(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_BOOT);
}
SLEEPS i64 sys_bpf(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_ADMIN);
}
SLEEPS i64 sys_migrate_pages(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_NICE);
}
SLEEPS i64 sys_move_pages(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_NICE);
}
SLEEPS i64 sys_acct(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_PACCT);
}
SLEEPS i64 sys_swapon(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_ADMIN);
}
SLEEPS i64 sys_swapoff(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_ADMIN);
}
SLEEPS i64 sys_iopl(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_RAWIO);
}
SLEEPS i64 sys_ioperm(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_RAWIO);
}
SLEEPS i64 sys_init_module(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_MODULE);
}
SLEEPS i64 sys_delete_module(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_MODULE);
}
SLEEPS i64 sys_finit_module(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_MODULE);
}
SLEEPS i64 sys_vhangup(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_TTY_CONFIG);
}
SLEEPS i64 sys_quotactl(struct task *task, const struct sysargs *args)
{
    return refuse(task, CAP_SYS_ADMIN);
}
SLEEPS i64 sys_perf_event_open(struct task *task, const struct sysargs *args)
{
    return -ENODEV;
}
SLEEPS i64 sys_modify_ldt(struct task *task, const struct sysargs *args)
{
    return -EPERM;
}
SLEEPS i64 sys_add_key(struct task *task, const struct sysargs *args)
{
    return -EACCES;
}
SLEEPS i64 sys_request_key(struct task *task, const struct sysargs *args)
{
    return -EACCES;
}
SLEEPS i64 sys_clock_settime(struct task *task, const struct sysargs *args)
{
    return arg_u32(args, 0) == LINUX_CLOCK_REALTIME ? -EPERM : -EINVAL;
}
/* ---- adjtimex(2): the clock of a machine that nobody disciplines ----------------------------- */

struct linux_timex {
    u32 modes, pad;
    i64 offset, freq, maxerror, esterror;
    i32 status, pad2;
    i64 constant, precision, tolerance, seconds, microseconds, tick;
    i64 pps[8];
    i32 tai, more[11];
};
_Static_assert(sizeof(struct linux_timex) == 208, "struct timex");
#define TIMEX_ERROR_MAX 16000000
#define TIMEX_STATUS_UNSYNC 0x40
#define TIMEX_RESULT_ERROR 5

SLEEPS static i64 read_timex(struct task *task, uaddr at)
{
    struct linux_timex timex;
    int err = copy_from_user(task, &timex, at, sizeof timex);
    if (err)
        return err;
    if (timex.modes)
        return -EPERM;
    u64 now = kernel_realtime_ns(task->kernel);
    timex = (struct linux_timex){.maxerror = TIMEX_ERROR_MAX,
                                 .esterror = TIMEX_ERROR_MAX,
                                 .status = TIMEX_STATUS_UNSYNC,
                                 .constant = 2,
                                 .precision = 1,
                                 .tolerance = 32768000,
                                 .seconds = (i64)(now / 1000000000),
                                 .microseconds = (i64)(now % 1000000000 / 1000),
                                 .tick = 10000};
    err = copy_to_user(task, at, &timex, sizeof timex);
    return err ? err : TIMEX_RESULT_ERROR;
}

SLEEPS i64 sys_adjtimex(struct task *task, const struct sysargs *args)
{
    return read_timex(task, arg_uaddr(args, 0));
}
SLEEPS i64 sys_clock_adjtime(struct task *task, const struct sysargs *args)
{
    if (arg_i32(args, 0) < 0 || arg_i32(args, 0) > 11)
        return -EINVAL;
    if (arg_i32(args, 0) != LINUX_CLOCK_REALTIME)
        return -EOPNOTSUPP;
    return read_timex(task, arg_uaddr(args, 1));
}

SLEEPS i64 sys_settimeofday(struct task *task, const struct sysargs *args)
{
    return -EPERM;
}
/* No file system has handles, but who asks for one hears of a missing file first. */
SLEEPS i64 sys_name_to_handle_at(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 4), walk_flags = flags & LINUX_AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0;
    if (flags & ~(u32)(LINUX_AT_SYMLINK_FOLLOW | LINUX_AT_EMPTY_PATH))
        return -EINVAL;
    if (flags & LINUX_AT_EMPTY_PATH)
        walk_flags |= WALK_EMPTY;
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, &path);
    return err ? err : -EOPNOTSUPP;
}
SLEEPS i64 sys_open_by_handle_at(struct task *task, const struct sysargs *args)
{
    return task_has_capability(task, CAP_DAC_READ_SEARCH) ? -EOPNOTSUPP : -EPERM;
}
