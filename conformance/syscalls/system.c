/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, uname, sysinfo, scheduling, randomness, and numbers that are no system call. */
#include "tap.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/personality.h>
#include <time.h>

CASE(limits_get_and_set)
{
    struct rlimit limit = {0, 0};
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT(limit.rlim_cur > 0 && limit.rlim_cur <= limit.rlim_max);
    limit.rlim_cur = 20;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, 20);
    limit.rlim_cur = limit.rlim_max + 1;
    EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
    EXPECT_ERRNO(getrlimit(99, &limit), EINVAL);
    EXPECT_ERRNO(setrlimit(99, &limit), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getrlimit, RLIMIT_NOFILE, 8), EFAULT);
}

CASE(limits_hard_cannot_be_raised)
{
    struct rlimit limit = {10, 20};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHILD(pid)
    {
        MUST(setuid(1000));
        limit = (struct rlimit){20, 20};
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        limit = (struct rlimit){10, 21};
        EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
        limit = (struct rlimit){10, 15};
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(limits_of_another_process)
{
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    struct rlimit old;
    struct rlimit limit = {11, 22};
    EXPECT_EQ(prlimit(pid, RLIMIT_NOFILE, &limit, &old), 0);
    EXPECT_EQ(prlimit(pid, RLIMIT_NOFILE, NULL, &old), 0);
    EXPECT_EQ(old.rlim_cur, 11);
    EXPECT_EQ(old.rlim_max, 22);
    EXPECT_ERRNO(prlimit(0x3fffff, RLIMIT_NOFILE, NULL, &old), ESRCH);
    EXPECT_EQ(prlimit(0, RLIMIT_NOFILE, NULL, &old), 0);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(limits_are_inherited)
{
    struct rlimit limit = {17, 18};
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    CHILD(pid)
    {
        execl("/bin/sh", "sh", "-c", "exit $(ulimit -n)", NULL);
    }
    EXPECT_EXIT(pid, 17);
}

CASE(process_count_limit)
{
    CHILD(pid)
    {
        struct rlimit limit = {2, 2};
        MUST(setrlimit(RLIMIT_NPROC, &limit));
        MUST(setuid(54322));
        pid_t first = fork();
        if (first == 0) {
            for (;;)
                pause();
        }
        EXPECT(first > 0);
        pid_t second = fork();
        if (second == 0)
            _exit(0);
        EXPECT_EQ(second, -1);
        EXPECT_EQ(errno, EAGAIN);
        kill(first, SIGKILL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(uname_fields)
{
    struct utsname name;
    EXPECT_EQ(uname(&name), 0);
    EXPECT_STR(name.sysname, "Linux");
    EXPECT_STR(name.machine, "x86_64");
    int major = 0, minor = 0;
    EXPECT_EQ(sscanf(name.release, "%d.%d", &major, &minor), 2);
    EXPECT(major >= 4);
    EXPECT(name.version[0] == '#');
    EXPECT(strlen(name.nodename) > 0);
    EXPECT_ERRNO(syscall(SYS_uname, 8), EFAULT);
}

CASE(sysinfo_fields)
{
    struct sysinfo info;
    EXPECT_EQ(sysinfo(&info), 0);
    EXPECT(info.totalram > 0);
    EXPECT(info.freeram <= info.totalram);
    EXPECT(info.procs >= 1);
    EXPECT(info.uptime >= 0);
    EXPECT(info.mem_unit >= 1);
    EXPECT_ERRNO(syscall(SYS_sysinfo, 8), EFAULT);
}

CASE(getcpu_in_range)
{
    unsigned cpu = 9999, node = 9999;
    EXPECT_EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
    EXPECT(cpu < (unsigned)get_nprocs_conf());
    EXPECT_EQ(node, 0);
    EXPECT_EQ(syscall(SYS_getcpu, NULL, NULL, NULL), 0);
    EXPECT_ERRNO(syscall(SYS_getcpu, 8, NULL, NULL), EFAULT);
}

CASE(scheduling_policy)
{
    struct sched_param param = {0};
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    EXPECT_EQ(sched_getparam(0, &param), 0);
    EXPECT_EQ(param.sched_priority, 0);
    EXPECT_EQ(sched_setscheduler(0, SCHED_BATCH, &param), 0);
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    EXPECT_EQ(sched_setscheduler(0, SCHED_OTHER, &param), 0);
    param.sched_priority = 5;
    EXPECT_ERRNO(sched_setscheduler(0, SCHED_OTHER, &param), EINVAL);
    EXPECT_ERRNO(sched_setscheduler(0, 99, &param), EINVAL);
    EXPECT_ERRNO(sched_getscheduler(0x3fffff), ESRCH);
    EXPECT_ERRNO(sched_getscheduler(-1), EINVAL);
    EXPECT_ERRNO(sched_getparam(0, NULL), EINVAL);
    EXPECT_ERRNO(sched_setparam(0, &param), EINVAL);
    param.sched_priority = 0;
    EXPECT_EQ(sched_setparam(0, &param), 0);
    EXPECT_ERRNO(sched_setparam(0x3fffff, &param), ESRCH);
    struct timespec slice = {-1, -1};
    EXPECT_EQ(sched_rr_get_interval(0, &slice), 0);
    EXPECT(slice.tv_sec == 0 && slice.tv_nsec >= 0);
    EXPECT_ERRNO(sched_rr_get_interval(0x3fffff, &slice), ESRCH);
    EXPECT_EQ(sched_yield(), 0);
}

CASE(scheduling_priorities)
{
    EXPECT_EQ(sched_get_priority_max(SCHED_FIFO), 99);
    EXPECT_EQ(sched_get_priority_min(SCHED_RR), 1);
    EXPECT_EQ(sched_get_priority_max(SCHED_OTHER), 0);
    EXPECT_ERRNO(sched_get_priority_max(99), EINVAL);
    EXPECT_ERRNO(sched_get_priority_min(99), EINVAL);
}

CASE(affinity)
{
    cpu_set_t set;
    EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    EXPECT(CPU_COUNT(&set) >= 1);
    EXPECT(CPU_COUNT(&set) <= sysconf(_SC_NPROCESSORS_CONF));
    EXPECT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    CPU_ZERO(&set);
    EXPECT_ERRNO(sched_setaffinity(0, sizeof set, &set), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sched_getaffinity, 0x3fffff, sizeof set, &set), ESRCH);
    EXPECT_ERRNO(syscall(SYS_sched_getaffinity, 0, sizeof set, 8), EFAULT);
}

CASE(nice_values)
{
    MUST(setpriority(PRIO_PROCESS, 0, 0)); /* whatever the run itself was given */
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 0);
    EXPECT_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 5);
    EXPECT_EQ(setpriority(PRIO_PROCESS, 0, 100), 0);
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 19);
    EXPECT_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 1); /* the raw value is 20 - nice */
    EXPECT_ERRNO(getpriority(99, 0), EINVAL);
    EXPECT_ERRNO(getpriority(PRIO_PROCESS, 0x3fffff), ESRCH);
    CHILD(pid)
    {
        struct rlimit limit = {0, 0};
        MUST(setrlimit(RLIMIT_NICE, &limit));
        MUST(setuid(1000));
        EXPECT_ERRNO(setpriority(PRIO_PROCESS, 0, 10), EACCES);
        EXPECT_EQ(setpriority(PRIO_PROCESS, 0, 19), 0);
        EXPECT_ERRNO(setpriority(PRIO_PROCESS, getppid(), 19), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(sched_attributes)
{
    struct {
        uint32_t size;
        uint32_t policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
        uint32_t util[2];
    } attr = {0};
    MUST(setpriority(PRIO_PROCESS, 0, 0));
    EXPECT_EQ(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0), 0);
    EXPECT_EQ(attr.policy, SCHED_OTHER);
    EXPECT_EQ(attr.nice, 0);
    EXPECT_ERRNO(syscall(SYS_sched_getattr, 0, &attr, 8, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 1), EINVAL);
}

CASE(getrandom_forms)
{
    unsigned char a[64] = {0}, b[64] = {0};
    EXPECT_EQ(getrandom(a, 64, 0), 64);
    EXPECT_EQ(getrandom(b, 64, GRND_NONBLOCK), 64);
    EXPECT(memcmp(a, b, 64) != 0);
    EXPECT_EQ(getrandom(a, 64, GRND_RANDOM), 64);
    EXPECT_EQ(getrandom(a, 0, 0), 0);
    EXPECT_ERRNO(getrandom(a, 64, 0x100), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getrandom, 8, 64, 0), EFAULT);
    static char big[1 << 16];
    EXPECT_EQ(getrandom(big, sizeof big, 0), sizeof big);
}

CASE(unknown_numbers)
{
    EXPECT_ERRNO(syscall(9999), ENOSYS);
    EXPECT_ERRNO(syscall(400), ENOSYS);
    EXPECT_ERRNO(syscall(423), ENOSYS);
    EXPECT_ERRNO(syscall(-1), ENOSYS);
    EXPECT_ERRNO(syscall(SYS_tuxcall), ENOSYS);
    EXPECT_ERRNO(syscall(SYS_security), ENOSYS);
    EXPECT_ERRNO(syscall(SYS_afs_syscall), ENOSYS);
    EXPECT_ERRNO(syscall(SYS_vserver), ENOSYS);
    EXPECT_ERRNO(syscall(SYS_putpmsg), ENOSYS);
    EXPECT_ERRNO(syscall(SYS_create_module), ENOSYS);
}

CASE(upper_half_of_the_number)
{
    long result;
    /* The kernel looks at the whole of rax; only the sign-extended low half is a number. */
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(0x100000000l + SYS_getpid)
                     : "rcx", "r11", "memory");
    EXPECT(result == getpid() || result == -ENOSYS);
}

CASE(registers_over_a_call)
{
    long rcx, r11, rbx = 0x1111, rdi = 0x2222, r8_out;
    __asm__ volatile("mov $0x3333, %%r8\n\t"
                     "syscall\n\t"
                     "mov %%rcx, %0\n\t"
                     "mov %%r11, %1\n\t"
                     "mov %%r8, %2\n\t"
                     : "=&r"(rcx), "=&r"(r11), "=&r"(r8_out), "+b"(rbx), "+D"(rdi)
                     : "a"(SYS_getpid)
                     : "rcx", "r11", "r8", "memory");
    EXPECT(rcx != 0); /* the return address */
    EXPECT_EQ(r11 & 0x202, 0x202); /* the flags */
    EXPECT_EQ(rbx, 0x1111);
    EXPECT_EQ(rdi, 0x2222);
    EXPECT_EQ(r8_out, 0x3333);
}

CASE(arch_prctl_bases)
{
    unsigned long fs = 0;
    EXPECT_EQ(syscall(SYS_arch_prctl, 0x1003, &fs), 0); /* ARCH_GET_FS */
    unsigned long self;
    __asm__("mov %%fs:0, %0" : "=r"(self));
    EXPECT_EQ(fs, self);
    EXPECT_ERRNO(syscall(SYS_arch_prctl, 0x1002, 0x8000000000000000), EPERM);
    EXPECT_ERRNO(syscall(SYS_arch_prctl, 0x1003, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_arch_prctl, 99, 0), EINVAL);
}

CASE(personality_value)
{
    EXPECT_EQ(personality(0xffffffff), 0);
    EXPECT_EQ(personality(ADDR_NO_RANDOMIZE), 0);
    EXPECT_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
    CHILD(pid)
    {
        EXPECT_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(host_and_domain_name)
{
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(sethostname("x", 1), EPERM);
        EXPECT_ERRNO(setdomainname("x", 1), EPERM);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(sethostname("x", (size_t)-1), EINVAL);
    char long_name[100] = {0};
    EXPECT_ERRNO(sethostname(long_name, 65), EINVAL);
}

CASE(privileged_calls_refuse_a_user)
{
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL), EPERM);
        EXPECT_ERRNO(syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL), EPERM);
        EXPECT_ERRNO(syscall(SYS_umount2, "/", 0), EPERM);
        EXPECT_ERRNO(syscall(SYS_swapon, "/x", 0), EPERM);
        EXPECT_ERRNO(syscall(SYS_pivot_root, "/", "/"), EPERM);
        EXPECT_ERRNO(syscall(SYS_acct, NULL), EPERM);
        EXPECT_ERRNO(syscall(SYS_vhangup), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}
