/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp filters: verdicts, inheritance, threads. */
#include "tap.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t signal_count;
static siginfo_t last_info;

static void on_info(int signal, siginfo_t *info, void *context)
{
    last_info = *info;
    signal_count++;
}

/* One number gets the verdict, all others pass. */
static long filter(int nr, uint32_t verdict, unsigned flags)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, verdict),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

CASE(errno_verdict)
{
    EXPECT_EQ(filter(SYS_getppid, SECCOMP_RET_ERRNO | 77, 0), 0);
    EXPECT_ERRNO(syscall(SYS_getppid), 77);
    EXPECT(getpid() > 0);
    EXPECT_EQ(prctl(PR_GET_SECCOMP), 2);
    char text[4096];
    EXPECT(tap_read_file("/proc/self/status", text, sizeof text) > 0);
    EXPECT(strstr(text, "\nSeccomp:\t2\n") != NULL);
}

CASE(trap_verdict)
{
    tap_handle_info(SIGSYS, on_info, 0);
    EXPECT_EQ(filter(SYS_getppid, SECCOMP_RET_TRAP | 5, 0), 0);
    syscall(SYS_getppid);
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_code, 1); /* SYS_SECCOMP */
    EXPECT_EQ(last_info.si_syscall, SYS_getppid);
    EXPECT_EQ(last_info.si_errno, 5);
    EXPECT_EQ(last_info.si_arch, AUDIT_ARCH_X86_64);
}

CASE(kill_verdicts)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(thread)
    {
        MUST(filter(SYS_getppid, SECCOMP_RET_KILL_THREAD, 0));
        syscall(SYS_getppid);
    }
    EXPECT_KILLED(thread, SIGSYS);
    CHILD(process)
    {
        MUST(filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0));
        syscall(SYS_getppid);
    }
    EXPECT_KILLED(process, SIGSYS);
}

CASE(strictest_of_several)
{
    EXPECT_EQ(filter(SYS_getppid, SECCOMP_RET_ERRNO | 1, 0), 0);
    EXPECT_EQ(filter(SYS_getppid, SECCOMP_RET_ERRNO | 2, 0), 0);
    EXPECT_ERRNO(syscall(SYS_getppid), 2); /* the last one of equal strength */
    EXPECT_EQ(filter(SYS_getppid, SECCOMP_RET_ALLOW, 0), 0);
    EXPECT_ERRNO(syscall(SYS_getppid), 2);
}

CASE(inherited_over_fork_and_exec)
{
    EXPECT_EQ(filter(SYS_chroot, SECCOMP_RET_ERRNO | EXDEV, 0), 0);
    CHILD(pid)
    {
        EXPECT_ERRNO(chroot("/"), EXDEV);
        execl("/bin/sh", "sh", "-c", "grep -q '^Seccomp:.2$' /proc/self/status", NULL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(needs_no_new_privs_or_privilege)
{
    struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &code};
    MUST(setuid(1000));
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EACCES);
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    EXPECT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
}

CASE(bad_programs)
{
    struct sock_filter no_return = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    struct sock_filter outside[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64),
                                    BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {1, &no_return};
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EINVAL);
    program = (struct sock_fprog){2, outside};
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EINVAL);
    program = (struct sock_fprog){0, outside};
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EINVAL);
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (void *)8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_seccomp, 99, 0, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 20, &program), EINVAL);
}

CASE(arguments_are_seen)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 55, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {6, code};
    EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    EXPECT_ERRNO(dup(55), ENOTTY);
    EXPECT_ERRNO(dup(56), EBADF);
}
