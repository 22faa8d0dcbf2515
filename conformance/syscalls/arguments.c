/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments that no kernel takes: memory that is not there, numbers out of range, nobody's pid. */
#include "tap.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define BAD ((void *)8)
#define NOBODY 0x3ffffff0 /* no process has this number */

static char room[8192];
static const unsigned long none[32];

CASE(bad_memory_of_clocks)
{
    EXPECT_ERRNO(syscall(SYS_gettimeofday, BAD, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_gettimeofday, NULL, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_time, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_clock_getres, CLOCK_MONOTONIC, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, none, NULL), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, none, NULL), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, NULL, room), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_nanosleep, BAD, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_nanosleep, &(struct timespec){0, 1000000000}, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_nanosleep, &(struct timespec){-1, 0}, NULL), EINVAL);
    int timer;
    MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer));
    EXPECT_ERRNO(syscall(SYS_timer_settime, timer, 0, BAD, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_timer_gettime, timer, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_timer_settime, timer, 0, NULL, NULL), EINVAL);
    int fd = MUST(syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0));
    EXPECT_ERRNO(syscall(SYS_timerfd_gettime, fd, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_timerfd_gettime, 0, room), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getitimer, 0, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_times, BAD), EFAULT);
}

CASE(bad_memory_of_identity)
{
    gid_t group = 5;
    MUST(syscall(SYS_setgroups, 1, &group));
    EXPECT_ERRNO(syscall(SYS_getgroups, 8, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getgroups, -1, room), EINVAL);
    EXPECT_ERRNO(syscall(SYS_setgroups, 1, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_setgroups, 100000, room), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getresuid, BAD, room, room), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getresgid, room, BAD, room), EFAULT);
    unsigned int head[2] = {_LINUX_CAPABILITY_VERSION_3, 0}, odd[2] = {0x12345678, 0};
    EXPECT_ERRNO(syscall(SYS_capget, BAD, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_capget, head, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_capset, BAD, room), EFAULT);
    EXPECT_ERRNO(syscall(SYS_capset, head, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_capset, odd, room), EINVAL);
    EXPECT_EQ(odd[0], _LINUX_CAPABILITY_VERSION_3);
    EXPECT_ERRNO(syscall(SYS_setuid, -1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_setgid, -1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sethostname, BAD, 4), EFAULT);
    EXPECT_ERRNO(syscall(SYS_sethostname, "name", 65), EINVAL);
    EXPECT_ERRNO(syscall(SYS_setdomainname, BAD, 4), EFAULT);
    EXPECT_ERRNO(syscall(SYS_setdomainname, "name", -1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_uname, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_sysinfo, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getrusage, 0, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_fstat, 0, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_fstatfs, 0, BAD), EFAULT);
    /* all ones leaves an id as it is, in a user namespace with few ids others are unknown */
    CHILD(pid)
    {
        MUST(syscall(SYS_unshare, CLONE_NEWUSER));
        EXPECT_ERRNO(syscall(SYS_setuid, 7), EINVAL);
        EXPECT_ERRNO(syscall(SYS_setgid, 7), EINVAL);
        EXPECT_ERRNO(syscall(SYS_setreuid, 7, 7), EINVAL);
        EXPECT_ERRNO(syscall(SYS_setregid, 7, 7), EINVAL);
        EXPECT_ERRNO(syscall(SYS_setresuid, 7, 7, 7), EINVAL);
        EXPECT_ERRNO(syscall(SYS_setresgid, 7, 7, 7), EINVAL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(bad_memory_of_signals)
{
    EXPECT_ERRNO(syscall(SYS_rt_sigpending, BAD, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_rt_sigpending, room, 9), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigtimedwait, BAD, NULL, NULL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_rt_sigtimedwait, none, NULL, BAD, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_rt_sigtimedwait, none, NULL, none, 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigsuspend, none, 4), EINVAL);
    int info[32] = {0, 0, -1};
    EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, getpid(), 99, info), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, NOBODY, 10, info), ESRCH);
    EXPECT_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), 99, info), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), -1, 10, info), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), NOBODY, 10, info), ESRCH);
    int fd = MUST(syscall(SYS_eventfd2, 0, 0));
    EXPECT_ERRNO(syscall(SYS_signalfd, fd, none, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_signalfd, -1, none, 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_poll, BAD, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_ppoll, BAD, 1, NULL, NULL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_ppoll, room, 0, BAD, NULL, 8), EFAULT);
}

static char alternate[65536];

static void on_alternate(int signal)
{
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    EXPECT_ERRNO(syscall(SYS_sigaltstack, &stack, NULL), EPERM);
}

CASE(alternate_stack_in_use)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    MUST(syscall(SYS_sigaltstack, &stack, NULL));
    tap_handle(SIGUSR1, on_alternate, SA_ONSTACK);
    raise(SIGUSR1);
}

CASE(nobody)
{
    int number = MUST(syscall(SYS_pidfd_open, getpid(), 0));
    CHILD(child)
    {
    }
    int dead = MUST(syscall(SYS_pidfd_open, child, 0));
    EXPECT_EXIT(child, 0);
    struct iovec iov = {room, 1};
    EXPECT_ERRNO(syscall(SYS_pidfd_getfd, dead, 0, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_setns, dead, CLONE_NEWUTS), ESRCH);
    EXPECT_ERRNO(syscall(SYS_setpriority, PRIO_PROCESS, NOBODY, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_setpriority, 9, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sched_getparam, NOBODY, room), ESRCH);
    EXPECT_ERRNO(syscall(SYS_sched_setscheduler, NOBODY, SCHED_OTHER, none), ESRCH);
    EXPECT_ERRNO(syscall(SYS_sched_setaffinity, NOBODY, 8, "1234567"), ESRCH);
    EXPECT_ERRNO(syscall(SYS_sched_setaffinity, 0, 8, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_sched_rr_get_interval, 0, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_sched_rr_get_interval, -1, room), EINVAL);
    EXPECT_ERRNO(syscall(SYS_ioprio_set, 1, NOBODY, 0x4004), ESRCH);
    EXPECT_ERRNO(syscall(SYS_process_vm_writev, NOBODY, &iov, 1, &iov, 1, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_process_vm_writev, getpid(), &iov, 1, &iov, 1, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_process_vm_writev, getpid(), &iov, 1, BAD, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_kcmp, getpid(), getpid(), KCMP_EPOLL_TFD, number, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_get_robust_list, 0, BAD, room), EFAULT);
    unsigned int attr[14] = {48};
    EXPECT_ERRNO(syscall(SYS_sched_setattr, NOBODY, attr, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_sched_setattr, 0, attr, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
    attr[0] = 5000;
    EXPECT_ERRNO(syscall(SYS_sched_setattr, 0, attr, 0), E2BIG);
    EXPECT_ERRNO(syscall(SYS_sched_getattr, NOBODY, attr, 56, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_sched_getattr, 0, attr, 5, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sched_getattr, 0, attr, 5000, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_prlimit64, NOBODY, 0, NULL, room), ESRCH);
}

CASE(maps)
{
    char *pages = tap_pages(4);
    MUST(mprotect(pages, 4096, PROT_READ));
    MUST(mlock(pages + 4096, 4096));
    EXPECT_ERRNO(syscall(SYS_msync, pages + 4096, 4096, MS_INVALIDATE | MS_ASYNC), EBUSY);
    EXPECT_ERRNO(syscall(SYS_madvise, pages + 8192, 4096, MADV_REMOVE), EINVAL);
    int fd = MUST(memfd_create("m", 0));
    MUST(ftruncate(fd, 8192));
    char *shared = (char *)MUST(syscall(SYS_mmap, 0, 8192, PROT_READ, MAP_SHARED, fd, 0));
    EXPECT_OK(syscall(SYS_madvise, shared, 4096, MADV_REMOVE));
    int readable = MUST(open("/proc/self/exe", O_RDONLY));
    char *file = (char *)MUST(syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, readable, 0));
    EXPECT_ERRNO(syscall(SYS_madvise, file, 4096, MADV_REMOVE), EACCES);
    EXPECT_ERRNO(syscall(SYS_madvise, pages, 4096, 99), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mprotect, file, 4096, PROT_WRITE), EACCES);
    EXPECT_ERRNO(syscall(SYS_pkey_mprotect, file, 4096, PROT_WRITE, -1), EACCES);
    munmap(pages + 12288, 4096);
    EXPECT_ERRNO(syscall(SYS_pkey_mprotect, pages + 8192, 8192, PROT_READ, -1), ENOMEM);
    EXPECT_ERRNO(syscall(SYS_pkey_mprotect, pages + 1, 4096, PROT_READ, -1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mbind, pages, 4096, 2, BAD, 64, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_mbind, pages, 4096, 99, none, 64, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mbind, pages + 1, 4096, 0, NULL, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_set_mempolicy, 2, BAD, 64), EFAULT);
    EXPECT_ERRNO(syscall(SYS_get_mempolicy, BAD, NULL, 0, 0, 0), EFAULT);
    struct iovec hole = {pages + 12288, 4096};
    int self = MUST(syscall(SYS_pidfd_open, getpid(), 0));
    EXPECT_ERRNO(syscall(SYS_process_madvise, self, &hole, 1, MADV_COLD, 0), ENOMEM);
    EXPECT_ERRNO(syscall(462 /* mseal */, pages + 1, 4096, 0), EINVAL);
    EXPECT_ERRNO(syscall(462, pages, 4096, 1), EINVAL);
    EXPECT_ERRNO(syscall(462, pages + 12288, 4096, 0), ENOMEM);
    CHILD(pid)
    {
        MUST(setresuid(1000, 1000, 1000));
        struct iovec iov = {pages, 4096};
        MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
        CHILD(other)
        {
            pause();
        }
        int fd = MUST(syscall(SYS_pidfd_open, other, 0));
        EXPECT_ERRNO(syscall(SYS_process_madvise, fd, &iov, 1, MADV_COLD, 0), EPERM);
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
    }
    EXPECT_EXIT(pid, 0);
}
/* shows: mseal: EINVAL ENOMEM */

CASE(polls_of_epoll)
{
    int fd = MUST(epoll_create1(0)), other = MUST(epoll_create1(0)), pipes[2];
    struct epoll_event event = {.events = EPOLLIN}, wake = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    MUST(pipe(pipes));
    MUST(epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event));
    EXPECT_ERRNO(epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event), EEXIST);
    EXPECT_ERRNO(epoll_ctl(fd, EPOLL_CTL_MOD, pipes[1], &event), ENOENT);
    EXPECT_ERRNO(epoll_ctl(fd, EPOLL_CTL_DEL, pipes[1], &event), ENOENT);
    EXPECT_ERRNO(epoll_ctl(fd, EPOLL_CTL_ADD, fd, &event), EINVAL);
    EXPECT_ERRNO(epoll_ctl(fd, 99, pipes[1], &event), EINVAL);
    EXPECT_ERRNO(epoll_ctl(fd, EPOLL_CTL_MOD, pipes[0], &wake), EINVAL);
    EXPECT_ERRNO(epoll_ctl(fd, EPOLL_CTL_ADD, pipes[1], BAD), EFAULT);
    tap_tmpdir();
    EXPECT_ERRNO(epoll_ctl(fd, EPOLL_CTL_ADD, MUST(open(".", O_RDONLY)), &event), EPERM);
    MUST(epoll_ctl(fd, EPOLL_CTL_ADD, other, &event));
    EXPECT_ERRNO(epoll_ctl(other, EPOLL_CTL_ADD, fd, &event), ELOOP);
    MUST(write(pipes[1], "x", 1));
    EXPECT_ERRNO(syscall(SYS_epoll_wait, fd, BAD, 1, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_epoll_pwait, fd, BAD, 1, 0, NULL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_epoll_pwait, fd, room, 0, 0, NULL, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_epoll_pwait2, fd, BAD, 1, none, NULL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_epoll_pwait2, fd, room, 1, BAD, NULL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_epoll_pwait2, fd, room, 0, NULL, NULL, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_kcmp, getpid(), getpid(), KCMP_EPOLL_TFD, pipes[1],
                         ((unsigned int[3]){fd, pipes[1], 0})),
                 ENOENT);
}

CASE(waits_and_programs)
{
    EXPECT_ERRNO(syscall(SYS_waitid, 9, 0, NULL, WEXITED, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_wait4, -1, NULL, 0x100, NULL), EINVAL);
    CHILD(pid)
    {
        pause();
    }
    int fd = MUST(syscall(SYS_pidfd_open, pid, O_NONBLOCK));
    EXPECT_ERRNO(syscall(SYS_waitid, 3, fd, NULL, WEXITED, NULL), EAGAIN);
    kill(pid, SIGKILL);
    EXPECT_ERRNO(syscall(SYS_waitid, P_PID, pid, BAD, WEXITED, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_waitid, P_PID, pid, NULL, WEXITED, NULL), ECHILD);
    char **many = (char **)tap_pages(1000);
    static char word[131000];
    memset(word, 'w', sizeof word - 1);
    for (int i = 0; i < 100; i++)
        many[i] = word;
    EXPECT_ERRNO(syscall(SYS_execveat, AT_FDCWD, "/proc/self/exe", many, none, 0), E2BIG);
    EXPECT_ERRNO(syscall(SYS_execve, "/proc/self/exe", BAD, none), EFAULT);
    unsigned long how[11] = {0, 0, 0, 0, SIGCHLD, 0, 0, 0, (unsigned long)&(int){1}, 1};
    EXPECT_ERRNO(syscall(SYS_clone3, how, 80), EEXIST);
    EXPECT_ERRNO(syscall(SYS_clone3, how, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clone3, how, 5000), E2BIG);
    EXPECT_ERRNO(syscall(SYS_clone3, BAD, 64), EFAULT);
}

CASE(rules_of_seccomp)
{
    static struct {
        unsigned short code;
        unsigned char jt, jf;
        unsigned int k;
    } rules[4096];
    struct {
        unsigned short count;
        void *rules;
    } program = {4096, rules};
    for (int i = 0; i < 4096; i++)
        rules[i].code = 6, rules[i].k = SECCOMP_RET_ALLOW;
    CHILD(pid)
    {
        MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        int count = 0; /* 32768 instructions in all, and a few for each program */
        while (count < 10 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
            count++;
        EXPECT(count >= 1 && count < 10);
        EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), ENOMEM);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(syscall(SYS_seccomp, 99, 0, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(unsigned int){0x12340000}),
                 EOPNOTSUPP);
}

CASE(words_of_futexes)
{
    static unsigned int word = 1, second = 1;
    struct timespec soon = {0, 1000}, odd = {0, 1000000000};
    struct {
        unsigned long value, address;
        unsigned int flags, more;
    } waiter = {1, (unsigned long)&word, 2 /* 32 bits */, 0}, pair[2];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    EXPECT_ERRNO(syscall(449, &waiter, 1, 0, &now, CLOCK_MONOTONIC), ETIMEDOUT);
    EXPECT_ERRNO(syscall(449, &waiter, 0, 0, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(449, &waiter, 1, 1, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(449, BAD, 1, 0, NULL, 0), EFAULT);
    waiter.value = 2;
    EXPECT_ERRNO(syscall(449, &waiter, 1, 0, NULL, 0), EAGAIN);
    SKIP_IF(syscall(454, &word, 1, 1, 2) < 0 && errno == ENOSYS, "no futex_wake");
    EXPECT_ERRNO(syscall(454, BAD, 1, 1, 0x40), EINVAL);
    EXPECT_ERRNO(syscall(454, (void *)4096, 1, 1, 2), EFAULT);
    EXPECT_ERRNO(syscall(455, &word, 2, 1, 2, NULL, 0), EAGAIN);
    EXPECT_ERRNO(syscall(455, &word, 1, 1, 0x40, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(455, &word, 1, 0, 2, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(455, (void *)4096, 1, 1, 2, NULL, 0), EFAULT);
    EXPECT_ERRNO(syscall(455, &word, 1, 1, 2, &now, CLOCK_MONOTONIC), ETIMEDOUT);
    EXPECT_ERRNO(syscall(455, &word, 1, 1, 2, &odd, CLOCK_MONOTONIC), EINVAL);
    pair[0].value = 2, pair[0].address = (unsigned long)&word, pair[0].flags = 2, pair[0].more = 0;
    pair[1] = pair[0];
    pair[1].address = (unsigned long)&second;
    EXPECT_ERRNO(syscall(456, pair, 0, 1, 1), EAGAIN);
    EXPECT_ERRNO(syscall(456, pair, 1, 1, 1), EINVAL);
    EXPECT_ERRNO(syscall(456, BAD, 0, 1, 1), EFAULT);
    (void)soon;
}
/* shows: futex_waitv: ETIMEDOUT EINVAL EFAULT EAGAIN */
/* shows: futex_wake: EINVAL EFAULT */
/* shows: futex_wait: EINVAL EFAULT EAGAIN ETIMEDOUT */
/* shows: futex_requeue: EAGAIN EINVAL EFAULT */

CASE(asynchronous_input)
{
    unsigned long context = 0;
    struct {
        unsigned long data, key;
        unsigned short opcode, priority;
        unsigned int fd;
        unsigned long buffer, size, offset, more[2];
    } block = {.fd = 777, .opcode = 0, .buffer = (unsigned long)room, .size = 1}, *list = &block;
    EXPECT_ERRNO(syscall(SYS_io_setup, 1, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_io_setup, 0, &context), EINVAL);
    EXPECT_ERRNO(syscall(SYS_io_setup, 0x7fffffff, &context), EINVAL);
    EXPECT_ERRNO(syscall(SYS_io_setup, 100000, &context), EAGAIN);
    MUST(syscall(SYS_io_setup, 4, &context));
    EXPECT_ERRNO(syscall(SYS_io_submit, context, 1, &list), EBADF);
    EXPECT_ERRNO(syscall(SYS_io_submit, context, 1, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_io_submit, context, -1l, &list), EINVAL);
    EXPECT_ERRNO(syscall(SYS_io_getevents, context, 0, 1, room, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_io_getevents, context, 2, 1, room, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_io_cancel, context, BAD, room), EFAULT);
    EXPECT_ERRNO(syscall(SYS_io_cancel, context, &block, room), EINVAL);
    MUST(syscall(SYS_io_destroy, context));
    EXPECT_ERRNO(syscall(SYS_io_destroy, context), EINVAL);
}

CASE(machine_clock)
{
    struct timex timex = {0};
    EXPECT(syscall(SYS_adjtimex, &timex) >= 0);
    EXPECT_EQ(timex.tick, 10000);
    EXPECT(timex.time.tv_sec > 1600000000);
    EXPECT(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &timex) >= 0);
    EXPECT_ERRNO(syscall(SYS_adjtimex, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_clock_adjtime, CLOCK_REALTIME, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_clock_adjtime, 99, &timex), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &timex), EOPNOTSUPP);
    CHILD(pid)
    {
        MUST(setresuid(1000, 1000, 1000));
        timex.modes = ADJ_TICK;
        EXPECT_ERRNO(syscall(SYS_adjtimex, &timex), EPERM);
        EXPECT_ERRNO(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &timex), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(kernel_log)
{
    EXPECT_ERRNO(syscall(SYS_syslog, 99, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_syslog, 3, NULL, 10), EINVAL);
    EXPECT_ERRNO(syscall(SYS_syslog, 3, room, -1), EINVAL);
    CHILD(pid)
    {
        MUST(setresuid(1000, 1000, 1000));
        EXPECT_ERRNO(syscall(SYS_syslog, 5, NULL, 0), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(locks)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0600)), reader = MUST(open("file", O_RDONLY));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    struct flock second = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
    EXPECT_ERRNO(fcntl(reader, F_SETLK, &lock), EBADF);
    EXPECT_ERRNO(fcntl(fd, F_SETLK, BAD), EFAULT);
    MUST(fcntl(fd, F_SETLK, &lock));
    struct gate gate, back;
    gate_init(&gate);
    gate_init(&back);
    CHILD(pid)
    {
        EXPECT_ERRNO(fcntl(fd, F_SETLK, &lock), EAGAIN);
        MUST(fcntl(fd, F_SETLK, &second));
        gate_pass(&gate);
        EXPECT_OK(fcntl(fd, F_SETLKW, &lock));
    }
    gate_wait(&gate);
    tap_until_asleep(pid);
    EXPECT_ERRNO(fcntl(fd, F_SETLKW, &second), EDEADLK);
    lock.l_type = F_UNLCK;
    MUST(fcntl(fd, F_SETLK, &lock));
    EXPECT_EXIT(pid, 0);
    int pipes[2];
    MUST(pipe(pipes));
    MUST(fcntl(pipes[1], F_SETPIPE_SZ, 16384));
    MUST(write(pipes[1], room, 8192));
    MUST(write(pipes[1], room, 4096));
    EXPECT_ERRNO(fcntl(pipes[1], F_SETPIPE_SZ, 4096), EBUSY);
}

CASE(long_working_directory)
{
    tap_tmpdir();
    static char name[201], text[5000];
    memset(name, 'd', 200);
    for (int i = 0; i < 25; i++) {
        MUST(mkdir(name, 0700));
        MUST(chdir(name));
    }
    EXPECT_ERRNO(syscall(SYS_getcwd, text, sizeof text), ENAMETOOLONG);
    for (int i = 0; i < 25; i++) {
        MUST(chdir(".."));
        MUST(rmdir(name));
    }
}

CASE(limits_of_names)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    EXPECT_ERRNO(syscall(SYS_write, udp, room, 1), EDESTADDRREQ);
    (void)name;
    tap_tmpdir();
    static char word[300];
    memset(word, 'n', 299);
    int fd = MUST(syscall(SYS_inotify_init1, 0));
    EXPECT_ERRNO(syscall(SYS_inotify_add_watch, fd, word, 2), ENAMETOOLONG);
    EXPECT_ERRNO(syscall(SYS_inotify_add_watch, fd, BAD, 2), EFAULT);
    MUST(mkdir("shut", 0700));
    CHILD(pid)
    {
        MUST(setresuid(1000, 1000, 1000));
        EXPECT_ERRNO(syscall(SYS_inotify_add_watch, fd, "shut", 2), EACCES);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(syscall(SYS_arch_prctl, 0x1003, BAD), EFAULT);
    EXPECT_ERRNO(syscall(SYS_prctl, PR_GET_NAME, BAD, 0, 0, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getcpu, BAD, NULL, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getrandom, BAD, 8, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_memfd_create, BAD, 0), EFAULT);
}
