/* SPDX-License-Identifier: Apache-2.0 */
/* The mount interface of descriptors: fsopen, fsconfig, fsmount, open_tree, move_mount. */
#include "tap.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

extern int mount(const char *, const char *, const char *, unsigned long, const void *);
extern int umount2(const char *, int);

static void own_mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0)
        SKIP("no new namespaces");
    MUST(mount("none", "/", NULL, 1 << 14 | 1 << 18, NULL)); /* MS_REC | MS_PRIVATE */
    tap_tmpdir();
    MUST(mkdir("mnt", 0755));
}

static long configure(int fd, unsigned command, const char *key, const void *value, int aux)
{
    return syscall(SYS_fsconfig, fd, command, key, value, aux);
}

/* A detached tmpfs. */
static int detached(void)
{
    int fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fd < 0 && errno == ENOSYS)
        SKIP("no fsopen");
    REQUIRE(fd >= 0);
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(configure(fd, FSCONFIG_SET_STRING, "size", "1m", 0), 0);
    EXPECT_EQ(configure(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
    return (int)MUST(syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0));
}

CASE(new_file_system_is_attached)
{
    own_mounts();
    int tree = detached();
    EXPECT_OK(openat(tree, "early", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(syscall(SYS_move_mount, tree, "", AT_FDCWD, "mnt", MOVE_MOUNT_F_EMPTY_PATH), 0);
    EXPECT_EQ(access("mnt/early", F_OK), 0);
    EXPECT_EQ(umount2("mnt", 0) < 0 ? errno : 0, EBUSY); /* a descriptor is still open there */
    EXPECT_EQ(umount2("mnt", 2), 0);
    EXPECT_ERRNO(access("mnt/early", F_OK), ENOENT);
}

CASE(tree_is_cloned)
{
    own_mounts();
    tap_write_file("file", "x");
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    SKIP_IF(tree < 0 && errno == ENOSYS, "no open_tree");
    REQUIRE(tree >= 0);
    EXPECT_EQ(syscall(SYS_move_mount, tree, "", AT_FDCWD, "mnt", MOVE_MOUNT_F_EMPTY_PATH), 0);
    EXPECT_EQ(access("mnt/file", F_OK), 0);
    EXPECT_EQ(umount2("mnt", 2), 0);
}

CASE(mount_is_moved)
{
    own_mounts();
    MUST(mkdir("other", 0755));
    MUST(mount("none", "mnt", "tmpfs", 0, NULL));
    tap_write_file("mnt/file", "x");
    EXPECT_EQ(syscall(SYS_move_mount, AT_FDCWD, "mnt", AT_FDCWD, "other", 0), 0);
    EXPECT_EQ(access("other/file", F_OK), 0);
    EXPECT_ERRNO(access("mnt/file", F_OK), ENOENT);
    EXPECT_EQ(umount2("other", 0), 0);
}

CASE(errors)
{
    own_mounts();
    int fd = (int)syscall(SYS_fsopen, "tmpfs", 0);
    SKIP_IF(fd < 0 && errno == ENOSYS, "no fsopen");
    EXPECT_ERRNO(syscall(SYS_fsopen, "nosuchfs", 0), ENODEV);
    EXPECT_ERRNO(syscall(SYS_fsopen, "tmpfs", 99), EINVAL);
    EXPECT_ERRNO(configure(fd, 99, NULL, NULL, 0), EOPNOTSUPP);
    EXPECT_ERRNO(configure(fd, FSCONFIG_SET_STRING, NULL, "x", 0), EINVAL);
    EXPECT_ERRNO(configure(fd, FSCONFIG_SET_STRING, "nonsense", "x", 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fsmount, fd, 0, 0), EINVAL); /* not created yet */
    EXPECT_ERRNO(syscall(SYS_fsmount, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fsmount, -1, 0, 0), EBADF);
    EXPECT_ERRNO(syscall(SYS_move_mount, AT_FDCWD, "mnt", AT_FDCWD, ".", 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_move_mount, AT_FDCWD, "mnt", AT_FDCWD, ".", 1 << 20), EINVAL);
    EXPECT_ERRNO(syscall(SYS_open_tree, AT_FDCWD, ".", 1 << 20), EINVAL);
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(syscall(SYS_fsopen, "tmpfs", 0), EPERM);
        EXPECT_ERRNO(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(mount_setattr_makes_read_only)
{
    own_mounts();
    MUST(mount("none", "mnt", "tmpfs", 0, NULL));
    tap_write_file("mnt/file", "x");
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    EXPECT_EQ(syscall(442, AT_FDCWD, "mnt", 0, &attr, sizeof attr), 0);
    EXPECT_ERRNO(open("mnt/file", O_WRONLY), EROFS);
    attr = (struct mount_attr){.attr_clr = MOUNT_ATTR_RDONLY};
    EXPECT_EQ(syscall(442, AT_FDCWD, "mnt", 0, &attr, sizeof attr), 0);
    EXPECT_OK(open("mnt/file", O_WRONLY));
    attr = (struct mount_attr){.attr_set = 1ull << 40};
    EXPECT_ERRNO(syscall(442, AT_FDCWD, "mnt", 0, &attr, sizeof attr), EINVAL);
    EXPECT_ERRNO(syscall(442, AT_FDCWD, "mnt", 0, &attr, 8), EINVAL);
}
