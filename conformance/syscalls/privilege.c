/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody without privileges is refused, and what limits refuse everybody. */
#include "tap.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

static char room[4096];
static pid_t victim;
static int victim_fd = -1;

struct call {
    const char *name;
    long (*call)(void);
};
#define COUNT(rows_) (sizeof(rows_) / sizeof(rows_)[0])
static const unsigned long attributes[4] = {1};
static const int info[32] = {0, 0, -1}; /* si_code of a queued signal */
static struct iovec iov = {room, 1};
static const struct {
    unsigned int size, policy;
    unsigned long flags;
    int nice;
    unsigned int priority;
    unsigned long more[3];
} attr = {48, 0, 0, -5, 0, {0}};
static const int zero;

#define CALLS(X)                                                                                  \
    X(setuid, syscall(SYS_setuid, 5))                                                             \
    X(setgid, syscall(SYS_setgid, 5))                                                             \
    X(setreuid, syscall(SYS_setreuid, 5, 5))                                                      \
    X(setregid, syscall(SYS_setregid, 5, 5))                                                      \
    X(setresuid, syscall(SYS_setresuid, 5, 5, 5))                                                 \
    X(setresgid, syscall(SYS_setresgid, 5, 5, 5))                                                 \
    X(setgroups, syscall(SYS_setgroups, 1, room))                                                 \
    X(kill, syscall(SYS_kill, victim, SIGTERM))                                                   \
    X(tkill, syscall(SYS_tkill, victim, SIGTERM))                                                 \
    X(tgkill, syscall(SYS_tgkill, victim, victim, SIGTERM))                                       \
    X(rt_sigqueueinfo, syscall(SYS_rt_sigqueueinfo, victim, SIGTERM, info))                       \
    X(rt_tgsigqueueinfo, syscall(SYS_rt_tgsigqueueinfo, victim, victim, SIGTERM, info))           \
    X(pidfd_send_signal, syscall(SYS_pidfd_send_signal, victim_fd, SIGTERM, NULL, 0))             \
    X(pidfd_getfd, syscall(SYS_pidfd_getfd, victim_fd, 0, 0))                                     \
    X(process_vm_readv, syscall(SYS_process_vm_readv, victim, &iov, 1, &iov, 1, 0))               \
    X(process_vm_writev, syscall(SYS_process_vm_writev, victim, &iov, 1, &iov, 1, 0))             \
    X(ptrace, syscall(SYS_ptrace, 16, victim, 0, 0))                                              \
    X(kcmp, syscall(SYS_kcmp, getpid(), victim, KCMP_VM, 0, 0))                                   \
    X(setpriority, syscall(SYS_setpriority, PRIO_PROCESS, victim, 19))                            \
    X(sched_setparam, syscall(SYS_sched_setparam, victim, &zero))                                 \
    X(sched_setscheduler, syscall(SYS_sched_setscheduler, victim, SCHED_OTHER, &zero))            \
    X(sched_setattr, syscall(SYS_sched_setattr, victim, &attr, 0))                                \
    X(sched_setaffinity, syscall(SYS_sched_setaffinity, victim, 8, &attributes))                  \
    X(ioprio_set, syscall(SYS_ioprio_set, 1, victim, 0x4004))                                     \
    X(get_robust_list, syscall(SYS_get_robust_list, victim, room, room + 8))                      \
    X(prlimit64, syscall(SYS_prlimit64, victim, RLIMIT_NOFILE, NULL, room))                       \
    X(chroot, syscall(SYS_chroot, "/"))                                                           \
    X(mount, syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL))                                \
    X(umount2, syscall(SYS_umount2, "/tmp", 0))                                                   \
    X(pivot_root, syscall(SYS_pivot_root, "/", "/"))                                              \
    X(sethostname, syscall(SYS_sethostname, "name", 4))                                           \
    X(setdomainname, syscall(SYS_setdomainname, "name", 4))                                       \
    X(unshare, syscall(SYS_unshare, CLONE_NEWNS))                                                 \
    X(setns, syscall(SYS_setns, victim_fd, CLONE_NEWNS))                                          \
    X(clone, syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0))                              \
    X(clone3, syscall(SYS_clone3,                                                                 \
                      ((unsigned long[8]){CLONE_NEWIPC, 0, 0, 0, SIGCHLD, 0, 0, 0}), 64))         \
    X(open_tree, syscall(SYS_open_tree, AT_FDCWD, "/tmp", 1))                                     \
    X(move_mount, syscall(SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/", 0))                    \
    X(fsopen, syscall(SYS_fsopen, "tmpfs", 0))                                                    \
    X(fsmount, syscall(SYS_fsmount, 0, 0, 0))                                                     \
    X(mount_setattr, syscall(SYS_mount_setattr, AT_FDCWD, "/tmp", 0, attributes, 32))             \
    X(capset, syscall(SYS_capset, room + 64, room + 128))                                         \
    X(bounding_set, syscall(SYS_prctl, PR_CAPBSET_DROP, 3, 0, 0, 0))                              \
    X(prctl, syscall(SYS_prctl, PR_SET_SECUREBITS, 1, 0, 0, 0))
#define DEFINE(name_, call_)                                                                      \
    static long refused_##name_(void)                                                                \
    {                                                                                             \
        return call_;                                                                             \
    }
#define ROW(name_, call_) {#name_, refused_##name_},
CALLS(DEFINE)
static const struct call calls[] = {CALLS(ROW)};

static void be_somebody(unsigned int id)
{
    MUST(syscall(SYS_setgroups, 0, NULL));
    MUST(setresgid(id, id, id));
    MUST(setresuid(id, id, id));
}

/*
 * shows: setuid setgid setreuid setregid setresuid setresgid setgroups kill tkill tgkill
 * rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_getfd process_vm_readv process_vm_writev
 * ptrace kcmp setpriority sched_setparam sched_setscheduler sched_setattr sched_setaffinity ioprio_set
 * get_robust_list prlimit64 chroot mount umount2 pivot_root sethostname setdomainname unshare setns
 * clone clone3 open_tree move_mount fsopen fsmount mount_setattr capset prctl: EPERM
 */
CASE(somebody_else)
{
    victim = getpid();
    victim_fd = MUST(syscall(SYS_pidfd_open, victim, 0));
    unsigned int *head = (void *)(room + 64), *data = (void *)(room + 128);
    head[0] = _LINUX_CAPABILITY_VERSION_3;
    data[1] = 1; /* permitted: CHOWN */
    CHILD(pid)
    {
        be_somebody(1000);
        for (size_t i = 0; i < COUNT(calls); i++) {
            errno = 0;
            tap_fails(__LINE__, calls[i].name, calls[i].call(), EPERM, "EPERM");
        }
    }
    EXPECT_EXIT(pid, 0);
}

CASE(own_limits)
{
    CHILD(pid)
    {
        struct rlimit limit = {10, 10};
        MUST(syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit));
        MUST(syscall(SYS_setrlimit, RLIMIT_MEMLOCK, &(struct rlimit){0, 0}));
        be_somebody(1000);
        limit.rlim_max = 11;
        EXPECT_ERRNO(syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit), EPERM);
        EXPECT_ERRNO(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL), EPERM);
        limit.rlim_cur = 12;
        EXPECT_ERRNO(syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit), EINVAL);
        EXPECT_ERRNO(syscall(SYS_setrlimit, 99, &limit), EINVAL);
        EXPECT_ERRNO(syscall(SYS_getrlimit, 99, &limit), EINVAL);
        EXPECT_ERRNO(syscall(SYS_setrlimit, RLIMIT_NOFILE, (void *)8), EFAULT);
        EXPECT_ERRNO(syscall(SYS_getrlimit, RLIMIT_NOFILE, (void *)8), EFAULT);
        EXPECT_ERRNO(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, (void *)8), EFAULT);
        char *page = tap_pages(1);
        EXPECT_ERRNO(syscall(SYS_mlock, page, 4096), EPERM);
        EXPECT_ERRNO(syscall(SYS_mlock2, page, 4096, 0), EPERM);
        EXPECT_ERRNO(syscall(SYS_mlockall, MCL_CURRENT), EPERM);
        EXPECT_ERRNO(syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED,
                             -1, 0),
                     EPERM);
        EXPECT_ERRNO(syscall(SYS_setpriority, PRIO_PROCESS, 0, -5), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(locked_memory_above_the_limit)
{
    CHILD(pid)
    {
        MUST(syscall(SYS_setrlimit, RLIMIT_MEMLOCK, &(struct rlimit){8192, 8192}));
        be_somebody(1000);
        char *pages = tap_pages(4);
        EXPECT_ERRNO(syscall(SYS_mlock, pages, 4 * 4096), ENOMEM);
        EXPECT_ERRNO(syscall(SYS_mlock2, pages, 4 * 4096, 0), ENOMEM);
        EXPECT_ERRNO(syscall(SYS_mlockall, MCL_CURRENT), ENOMEM);
        EXPECT_ERRNO(syscall(SYS_mmap, 0, 4 * 4096, PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0),
                     EAGAIN);
        MUST(syscall(SYS_mlock, pages, 4096));
        EXPECT_ERRNO(syscall(SYS_mremap, pages, 4096, 4 * 4096, MREMAP_MAYMOVE), EAGAIN);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(syscall(SYS_mlock, -8192l, 16384), EINVAL);
    EXPECT_ERRNO(syscall(SYS_munlock, -8192l, 16384), EINVAL);
    char *hole = tap_pages(1);
    munmap(hole, 4096);
    EXPECT_ERRNO(syscall(SYS_munlock, hole, 4096), ENOMEM);
    EXPECT_ERRNO(syscall(SYS_mlock, hole, 4096), ENOMEM);
    EXPECT_ERRNO(syscall(SYS_mlock2, hole, 4096, 0), ENOMEM);
}

/* shows: fork vfork clone clone3 execve: EAGAIN */
CASE(too_many_processes)
{
    CHILD(pid)
    {
        MUST(syscall(SYS_setrlimit, RLIMIT_NPROC, &(struct rlimit){1, 1}));
        MUST(setresgid(4711, 4711, 4711));
        MUST(syscall(SYS_setresuid, 4711, 4711, 4711));
        int status;
        pid_t first = syscall(SYS_fork);
        if (first == 0)
            _exit(0);
        if (first > 0)
            waitpid(first, &status, 0);
        EXPECT(first < 0);
        EXPECT_ERRNO(syscall(SYS_fork), EAGAIN);
        EXPECT_ERRNO(syscall(SYS_vfork), EAGAIN);
        EXPECT_ERRNO(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EAGAIN);
        unsigned long how[8] = {[4] = SIGCHLD};
        EXPECT_ERRNO(syscall(SYS_clone3, how, 64), EAGAIN);
    }
    EXPECT_EXIT(pid, 0);
    /* a change to an id that has too many processes: the next execve is refused */
    CHILD(other)
    {
        MUST(setresgid(4712, 4712, 4712));
        struct gate gate;
        gate_init(&gate);
        pid_t child = fork();
        if (child == 0) {
            MUST(syscall(SYS_setresuid, 4712, 4712, 4712));
            gate_pass(&gate);
            for (;;)
                pause();
        }
        gate_wait(&gate);
        MUST(syscall(SYS_setrlimit, RLIMIT_NPROC, &(struct rlimit){0, 0}));
        MUST(syscall(SYS_setresuid, 4712, 4712, 4712));
        char *words[] = {"true", NULL};
        EXPECT_ERRNO(syscall(SYS_execve, "/proc/self/exe", words, words), EAGAIN);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    EXPECT_EXIT(other, 0);
}

/* shows: tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo: EAGAIN */
CASE(too_many_queued_signals)
{
    CHILD(pid)
    {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN + 1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        MUST(syscall(SYS_setrlimit, RLIMIT_SIGPENDING, &(struct rlimit){0, 0}));
        MUST(syscall(SYS_setresuid, 4713, 4713, 4713));
        int me = getpid();
        EXPECT_ERRNO(syscall(SYS_tkill, me, SIGRTMIN + 1), EAGAIN);
        EXPECT_ERRNO(syscall(SYS_tgkill, me, me, SIGRTMIN + 1), EAGAIN);
        EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, me, SIGRTMIN + 1, info), EAGAIN);
        EXPECT_ERRNO(syscall(SYS_rt_tgsigqueueinfo, me, me, SIGRTMIN + 1, info), EAGAIN);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(append_only_places)
{
    /* seals stand in for the flags of ext4 that make a file immutable */
    int fd = MUST(memfd_create("m", MFD_ALLOW_SEALING));
    MUST(ftruncate(fd, 4096));
    MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK));
    EXPECT_ERRNO(syscall(SYS_write, fd, room, 1), EPERM);
    EXPECT_ERRNO(syscall(SYS_ftruncate, fd, 10), EPERM);
    snprintf(room, sizeof room, "/proc/self/fd/%d", fd);
    EXPECT_ERRNO(syscall(SYS_truncate, room, 10), EPERM);
    int from = MUST(memfd_create("n", 0));
    MUST(write(from, "text", 4));
    lseek(from, 0, SEEK_SET);
    EXPECT_ERRNO(syscall(SYS_copy_file_range, from, NULL, fd, NULL, 4, 0), EPERM);
    EXPECT_ERRNO(syscall(SYS_fallocate, fd, 0, 4096, 10), EPERM);
    EXPECT_ERRNO(syscall(SYS_mmap, 0, 4096, PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
}
