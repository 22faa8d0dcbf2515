/* SPDX-License-Identifier: Apache-2.0 */
/* User and group ids, supplementary groups, capabilities, prctl. */
#include "tap.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Raw calls: glibc spreads id changes over threads and we want the call itself. */
static long caps_get(struct __user_cap_data_struct *data)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capget, &header, data);
}

static int has_effective(int cap)
{
    struct __user_cap_data_struct data[2];
    MUST(caps_get(data));
    return data[cap / 32].effective >> cap % 32 & 1;
}

static void expect_uids(long line, uid_t real, uid_t effective, uid_t saved)
{
    uid_t r, e, s;
    MUST(getresuid(&r, &e, &s));
    tap_equal(line, "real uid", r, real);
    tap_equal(line, "effective uid", e, effective);
    tap_equal(line, "saved uid", s, saved);
}

#define EXPECT_UIDS(r_, e_, s_) expect_uids(__LINE__, r_, e_, s_)

CASE(root_at_the_start)
{
    EXPECT_UIDS(0, 0, 0);
    EXPECT_EQ(getgid(), 0);
    EXPECT_EQ(getegid(), 0);
    EXPECT_EQ(syscall(SYS_getuid), 0);
    EXPECT_EQ(syscall(SYS_geteuid), 0);
}

CASE(setuid_of_root_is_final)
{
    EXPECT_EQ(setuid(1000), 0);
    EXPECT_UIDS(1000, 1000, 1000);
    EXPECT_ERRNO(setuid(0), EPERM);
    EXPECT_ERRNO(seteuid(0), EPERM);
    EXPECT_EQ(setuid(1000), 0);
}

CASE(seteuid_can_come_back)
{
    EXPECT_EQ(seteuid(1000), 0);
    EXPECT_UIDS(0, 1000, 0);
    EXPECT_EQ(has_effective(CAP_CHOWN), 0);
    EXPECT_ERRNO(setuid(2000), EPERM);
    EXPECT_EQ(seteuid(0), 0);
    EXPECT_EQ(has_effective(CAP_CHOWN), 1);
}

CASE(setreuid_rules)
{
    EXPECT_EQ(setreuid(1000, 2000), 0);
    EXPECT_UIDS(1000, 2000, 2000);
    EXPECT_EQ(setreuid(2000, 1000), 0);
    EXPECT_UIDS(2000, 1000, 1000);
    EXPECT_ERRNO(setreuid(3000, -1), EPERM);
    EXPECT_ERRNO(setreuid(-1, 3000), EPERM);
    EXPECT_EQ(setreuid(-1, -1), 0);
}

CASE(setresuid_rules)
{
    EXPECT_EQ(setresuid(1, 2, 3), 0);
    EXPECT_UIDS(1, 2, 3);
    EXPECT_EQ(setresuid(3, 1, 2), 0);
    EXPECT_UIDS(3, 1, 2);
    EXPECT_ERRNO(setresuid(4, -1, -1), EPERM);
    EXPECT_EQ(setresuid(-1, 3, -1), 0);
    EXPECT_UIDS(3, 3, 2);
    EXPECT_ERRNO(syscall(SYS_getresuid, 8, 8, 8), EFAULT);
}

CASE(group_ids)
{
    gid_t r, e, s;
    EXPECT_EQ(setresgid(10, 20, 30), 0);
    EXPECT_EQ(getresgid(&r, &e, &s), 0);
    EXPECT_EQ(r * 10000 + e * 100 + s, 102030);
    EXPECT_EQ(setregid(40, 50), 0);
    EXPECT_EQ(getresgid(&r, &e, &s), 0);
    EXPECT_EQ(r * 10000 + e * 100 + s, 405050);
    EXPECT_EQ(setgid(60), 0);
    EXPECT_EQ(getresgid(&r, &e, &s), 0);
    EXPECT_EQ(r * 10000 + e * 100 + s, 606060);
    MUST(setuid(1000));
    EXPECT_ERRNO(setgid(70), EPERM);
    EXPECT_ERRNO(setresgid(70, -1, -1), EPERM);
    EXPECT_EQ(setegid(60), 0);
}

CASE(file_system_ids)
{
    EXPECT_EQ(setfsuid(1000), 0);
    EXPECT_EQ(setfsuid(-1), 1000);
    tap_tmpdir();
    struct stat st;
    tap_write_file("file", "");
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_uid, 1000);
    EXPECT_EQ(setfsuid(0), 1000);
    EXPECT_EQ(setfsgid(77), 0);
    EXPECT_EQ(setfsgid(0), 77);
    EXPECT_EQ(seteuid(5), 0);
    EXPECT_EQ(setfsuid(-1), 5);
}

CASE(supplementary_groups)
{
    gid_t groups[4] = {300, 100, 200, 100};
    gid_t back[8] = {0};
    EXPECT_EQ(setgroups(3, groups), 0);
    EXPECT_EQ(getgroups(0, NULL), 3);
    EXPECT_EQ(getgroups(8, back), 3);
    EXPECT_EQ(back[0], 100); /* kept in order */
    EXPECT_EQ(back[1], 200);
    EXPECT_EQ(back[2], 300);
    EXPECT_ERRNO(getgroups(2, back), EINVAL);
    EXPECT_ERRNO(getgroups(-1, back), EINVAL);
    EXPECT_ERRNO(syscall(SYS_setgroups, 65537, groups), EINVAL);
    EXPECT_ERRNO(syscall(SYS_setgroups, 3, (void *)8), EFAULT);
    EXPECT_EQ(setgroups(0, NULL), 0);
    EXPECT_EQ(getgroups(8, back), 0);
    MUST(setuid(1000));
    EXPECT_ERRNO(setgroups(0, NULL), EPERM);
}

CASE(supplementary_groups_give_access)
{
    tap_tmpdir();
    tap_write_file("file", "x");
    MUST(chown("file", 0, 4000));
    MUST(chmod("file", 0640));
    CHILD(pid)
    {
        MUST(setgroups(1, (gid_t[]){4000}));
        MUST(setgid(1000));
        MUST(setuid(1000));
        EXPECT_OK(open("file", O_RDONLY));
        EXPECT_ERRNO(open("file", O_WRONLY), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(group_class_decides_before_others)
{
    tap_tmpdir();
    tap_write_file("file", "x");
    MUST(chown("file", 2000, 1000));
    MUST(chmod("file", 0604));
    CHILD(pid)
    {
        MUST(setgid(1000));
        MUST(setuid(1000));
        EXPECT_ERRNO(open("file", O_RDONLY), EACCES);
    }
    EXPECT_EXIT(pid, 0);
    CHILD(owner)
    {
        MUST(chmod("file", 0066));
        MUST(setgid(1000));
        MUST(setuid(2000));
        EXPECT_ERRNO(open("file", O_RDONLY), EACCES);
    }
    EXPECT_EXIT(owner, 0);
}

CASE(capability_sets)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    EXPECT_EQ(syscall(SYS_capget, &header, data), 0);
    EXPECT(data[0].effective & 1u << CAP_CHOWN);
    data[0].effective &= ~(1u << CAP_CHOWN);
    EXPECT_EQ(syscall(SYS_capset, &header, data), 0);
    tap_tmpdir();
    tap_write_file("file", "");
    EXPECT_ERRNO(chown("file", 5, 5), EPERM);
    data[0].effective |= 1u << CAP_CHOWN;
    EXPECT_EQ(syscall(SYS_capset, &header, data), 0);
    EXPECT_EQ(chown("file", 5, 5), 0);
    data[0].permitted &= ~(1u << CAP_CHOWN);
    EXPECT_ERRNO(syscall(SYS_capset, &header, data), EPERM);
    data[0].effective &= ~(1u << CAP_CHOWN);
    EXPECT_EQ(syscall(SYS_capset, &header, data), 0);
    data[0].permitted |= 1u << CAP_CHOWN;
    EXPECT_ERRNO(syscall(SYS_capset, &header, data), EPERM);
}

CASE(capability_versions)
{
    struct __user_cap_header_struct header = {0x12345, 0};
    struct __user_cap_data_struct data[2];
    EXPECT_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
    EXPECT_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
    header.version = 0;
    EXPECT_EQ(syscall(SYS_capget, &header, NULL), 0);
    header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_1, 0};
    EXPECT_EQ(syscall(SYS_capget, &header, data), 0);
    header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0x3fffff};
    EXPECT_ERRNO(syscall(SYS_capget, &header, data), ESRCH);
    header.pid = -1;
    EXPECT_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
    header.pid = getppid();
    EXPECT_EQ(syscall(SYS_capget, &header, data), 0);
    EXPECT_ERRNO(syscall(SYS_capset, &header, data), EPERM);
}

CASE(capabilities_over_setuid)
{
    struct __user_cap_data_struct data[2];
    EXPECT_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
    EXPECT_EQ(prctl(PR_GET_KEEPCAPS), 1);
    MUST(setuid(1000));
    EXPECT_EQ(caps_get(data), 0);
    EXPECT_EQ(data[0].effective, 0);
    EXPECT(data[0].permitted & 1u << CAP_CHOWN);
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(capabilities_dropped_by_setuid)
{
    struct __user_cap_data_struct data[2];
    MUST(setuid(1000));
    EXPECT_EQ(caps_get(data), 0);
    EXPECT_EQ(data[0].effective, 0);
    EXPECT_EQ(data[0].permitted, 0);
}

CASE(bounding_set)
{
    EXPECT_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0), 1);
    EXPECT_EQ(prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0), 0);
    EXPECT_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0), 0);
    EXPECT_EQ(has_effective(CAP_CHOWN), 1);
    EXPECT_ERRNO(prctl(PR_CAPBSET_READ, 200, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(prctl(PR_CAPBSET_DROP, 200, 0, 0, 0), EINVAL);
    CHILD(pid)
    {
        execl("/bin/sh", "sh", "-c", "test -n \"$(grep '^CapEff:.*e$' /proc/self/status)\"", NULL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(ambient_set)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    EXPECT_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
    MUST(syscall(SYS_capget, &header, data));
    data[0].inheritable |= 1u << CAP_CHOWN;
    EXPECT_EQ(syscall(SYS_capset, &header, data), 0);
    EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), 0);
    EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 1);
    EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0), 0);
    EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
    EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
    EXPECT_ERRNO(prctl(PR_CAP_AMBIENT, 99, 0, 0, 0), EINVAL);
}

CASE(exec_gives_root_its_capabilities)
{
    CHILD(pid)
    {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2];
        MUST(syscall(SYS_capget, &header, data));
        data[0].effective = 0;
        data[1].effective = 0;
        MUST(syscall(SYS_capset, &header, data));
        execl("/bin/sh", "sh", "-c",
              "test $(grep CapEff /proc/self/status | cut -f2) = "
              "$(grep CapBnd /proc/self/status | cut -f2)", NULL);
    }
    EXPECT_EXIT(pid, 0);
    CHILD(user)
    {
        MUST(setuid(1000));
        execl("/bin/sh", "sh", "-c", "grep -q 'CapEff:.0000000000000000' /proc/self/status", NULL);
    }
    EXPECT_EXIT(user, 0);
}

CASE(securebits)
{
    EXPECT_EQ(prctl(PR_GET_SECUREBITS), 0);
    EXPECT_EQ(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS), 0);
    EXPECT_EQ(prctl(PR_GET_SECUREBITS), SECBIT_KEEP_CAPS);
    EXPECT_ERRNO(prctl(PR_SET_SECUREBITS, 1 << 30), EPERM);
    MUST(setuid(1000));
    EXPECT_ERRNO(prctl(PR_SET_SECUREBITS, 0), EPERM);
}

CASE(prctl_name)
{
    char name[17] = {0};
    EXPECT_EQ(prctl(PR_SET_NAME, "a_name_longer_than_fifteen"), 0);
    EXPECT_EQ(prctl(PR_GET_NAME, name), 0);
    EXPECT_STR(name, "a_name_longer_t");
    EXPECT_ERRNO(prctl(PR_SET_NAME, 8), EFAULT);
    EXPECT_ERRNO(prctl(PR_GET_NAME, 8), EFAULT);
}

CASE(prctl_simple_values)
{
    int value = -1;
    EXPECT_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
    EXPECT_EQ(prctl(PR_GET_PDEATHSIG, &value), 0);
    EXPECT_EQ(value, SIGUSR1);
    EXPECT_ERRNO(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
    EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
    EXPECT_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
    EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
    EXPECT_ERRNO(prctl(PR_SET_DUMPABLE, 9), EINVAL);
    EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    EXPECT_EQ(prctl(PR_GET_CHILD_SUBREAPER, &value), 0);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    EXPECT_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
    EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    EXPECT_EQ(prctl(PR_GET_SECCOMP), 0);
    EXPECT_ERRNO(prctl(123456), EINVAL);
}

CASE(dumpable_falls_with_ids)
{
    EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
    MUST(seteuid(1000));
    EXPECT(prctl(PR_GET_DUMPABLE) != 1);
}

CASE(umask_values)
{
    EXPECT_EQ(umask(0777) & ~0777u, 0);
    EXPECT_EQ(umask(01777), 0777);
    EXPECT_EQ(umask(022), 0777);
}
