/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new user and mount namespace in which the caller's own user is root, and no other user exists.
 * From then on the code that root would run works unchanged.
 */
#include "runtime/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <sys/syscall.h>

static int file_put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t put = write(fd, text, strlen(text));
    int saved = errno;
    close(fd);
    errno = saved;
    return put < 0 ? -1 : 0;
}

static bool may_administer(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    return syscall(SYS_capget, &header, data) == 0 && data[0].effective >> CAP_SYS_ADMIN & 1;
}

int rootless_enter(struct error *err)
{
    if (may_administer())
        return 0;
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return error_errno(err, "cannot make a user namespace for --rootless");
    char map[64];
    (void)file_put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    if (file_put("/proc/self/uid_map", map) < 0)
        return error_errno(err, "cannot map user %u for --rootless", (unsigned)uid);
    snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
    if (file_put("/proc/self/gid_map", map) < 0)
        return error_errno(err, "cannot map group %u for --rootless", (unsigned)gid);
    return 0;
}
