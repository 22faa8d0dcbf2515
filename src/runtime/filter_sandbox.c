/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host calls of a running sandbox: no execve, no open, no new sockets but pairs, no process but
 * threads. Files come as descriptors from the gofer; the rest is memory, waiting, and moving bytes.
 */
#include "runtime/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static const struct filter_rule sandbox_rules[] = {
    ALLOW(accept4),
    ALLOW_MASK(clone, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM),
    ALLOW(dup),
    ALLOW(dup3),
    ALLOW(epoll_create1),
    ALLOW(epoll_ctl),
    ALLOW(epoll_pwait),
    ALLOW(epoll_pwait2),
    ALLOW(epoll_wait),
    ALLOW(eventfd2),
    ALLOW(fallocate),
    ALLOW_IF(fcntl, 1, F_ADD_SEALS),
    ALLOW_IF(fcntl, 1, F_DUPFD_CLOEXEC),
    ALLOW_IF(fcntl, 1, F_GETFD),
    ALLOW_IF(fcntl, 1, F_GETFL),
    ALLOW_IF(fcntl, 1, F_SETFD),
    ALLOW_IF(fcntl, 1, F_SETFL),
    ALLOW(fdatasync),
    ALLOW(fsync),
    ALLOW(ftruncate),
    ALLOW(getcpu),
    ALLOW(getdents64),
    ALLOW(getrusage),
    ALLOW(getsockname),
    ALLOW_IF(getsockopt, 1, SOL_SOCKET),
    ALLOW_IF(ioctl, 1, FIONREAD),
    ALLOW_IF(ioctl, 1, TCGETS),
    ALLOW_IF(ioctl, 1, TCSETS),
    ALLOW_IF(ioctl, 1, TCSETSF),
    ALLOW_IF(ioctl, 1, TCSETSW),
    ALLOW_IF(ioctl, 1, TIOCGWINSZ),
    ALLOW_IF(ioctl, 1, TIOCSWINSZ),
    ALLOW(membarrier),
    ALLOW(memfd_create),
    ALLOW(mincore),
    ALLOW(mlock),
    ALLOW(munlock),
    ALLOW(pipe2),
    ALLOW(pread64),
    ALLOW(preadv),
    ALLOW(preadv2),
    ALLOW(pwrite64),
    ALLOW(pwritev),
    ALLOW(pwritev2),
    ALLOW(readv),
    ALLOW(recvmmsg),
    ALLOW(rt_sigpending),
    ALLOW(rt_sigsuspend),
    ALLOW(rt_sigtimedwait),
    ALLOW_IF(sched_setaffinity, 0, 0),
    ALLOW(sendmmsg),
    ALLOW(shutdown),
    ALLOW_IF(socketpair, 0, AF_UNIX),
    ALLOW(sync_file_range),
    ALLOW(timer_create),
    ALLOW(timer_delete),
    ALLOW(timer_settime),
    ALLOW(timerfd_create),
    ALLOW(timerfd_settime),
    ALLOW_IF(utimensat, 1, 0), /* futimens: a descriptor, no name */
    /* Of a file's attributes only the gofer may change these. */
    REFUSE(fchmod, EPERM),
    REFUSE(fchmodat, EPERM),
    REFUSE(fchmodat2, EPERM),
    REFUSE(fchown, EPERM),
    REFUSE(fchownat, EPERM),
    /* Libraries look for files of the host now and then. */
    REFUSE(access, ENOENT),
    REFUSE(open, ENOENT),
    REFUSE(openat, ENOENT),
    REFUSE(readlink, ENOENT),
};

struct filter_list filter_sandbox(void)
{
    return FILTER_LIST(sandbox_rules);
}

static const struct filter_rule ptrace_rules[] = {
    ALLOW(ptrace),
    ALLOW(wait4),
    ALLOW(waitid),
    ALLOW_IF(kill, 1, SIGKILL),
    ALLOW(rt_tgsigqueueinfo),
    ALLOW_IF(prctl, 0, PR_SET_PDEATHSIG),
};

#define KVM_IOCTL 0xae00u
static const struct filter_rule kvm_rules[] = {
    ALLOW_MASK(ioctl, 1, 0xff00, KVM_IOCTL),
};

struct filter_list filter_platform(const char *name)
{
    if (strcmp(name, "ptrace") == 0)
        return FILTER_LIST(ptrace_rules);
    if (strcmp(name, "kvm") == 0)
        return FILTER_LIST(kvm_rules);
    return (struct filter_list){NULL, 0};
}
