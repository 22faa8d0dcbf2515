/* SPDX-License-Identifier: Apache-2.0 */
/* What programs look up below /sys, and leftovers of old interfaces. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <time.h>

static char text[4096];

CASE(file_system)
{
    struct statfs st;
    EXPECT_EQ(statfs("/sys", &st), 0);
    EXPECT_EQ(st.f_type, 0x62656572);
    struct stat s;
    EXPECT_EQ(stat("/sys", &s), 0);
    EXPECT_EQ(s.st_mode, S_IFDIR | 0555);
    EXPECT_EQ(stat("/sys/fs/cgroup", &s), 0);
    EXPECT_EQ(stat("/sys/class/net", &s), 0);
    EXPECT_EQ(stat("/sys/devices/system/cpu", &s), 0);
}

CASE(processors)
{
    EXPECT(tap_read_file("/sys/devices/system/cpu/online", text, sizeof text) >= 2);
    EXPECT_EQ(text[0], '0');
    EXPECT(tap_read_file("/sys/devices/system/cpu/possible", text, sizeof text) >= 2);
    EXPECT(tap_read_file("/sys/devices/system/cpu/present", text, sizeof text) >= 2);
    struct stat st;
    EXPECT_EQ(stat("/sys/devices/system/cpu/cpu0", &st), 0);
    EXPECT(get_nprocs() >= 1);
    EXPECT(get_nprocs() <= get_nprocs_conf());
}

CASE(nothing_can_be_made)
{
    long result = mkdir("/sys/new", 0755);
    EXPECT_EQ(result, -1);
    EXPECT(errno == EPERM || errno == EACCES || errno == EROFS);
    result = open("/sys/new", O_RDWR | O_CREAT, 0644);
    EXPECT_EQ(result, -1);
    EXPECT(errno == EPERM || errno == EACCES || errno == EROFS || errno == ENOENT);
}

CASE(vsyscall_page)
{
    /* Emulated where it exists at all; then it agrees with the call. */
    static char maps[65536];
    EXPECT(tap_read_file("/proc/self/maps", maps, sizeof maps) > 0);
    SKIP_IF(!strstr(maps, "[vsyscall]"), "no vsyscall page");
    time_t (*old_time)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400;
    time_t value = old_time(NULL);
    EXPECT(value - time(NULL) <= 1 && time(NULL) - value <= 1);
}

CASE(x32_numbers_are_refused)
{
    EXPECT_ERRNO(syscall(0x40000000 + SYS_getpid), ENOSYS);
    EXPECT_ERRNO(syscall(0x40000000 + 520), ENOSYS);
}
