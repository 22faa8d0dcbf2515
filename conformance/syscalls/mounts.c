/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the calls on mounts, namespaces, keys, limits of System V objects, and of programs that are
 * no programs. */
#include "tap.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BAD ((void *)8)
static char room[4096];

static void own_mounts(void)
{
    tap_tmpdir();
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mkdir("mnt", 0777));
    MUST(symlink("loop", "loop"));
    tap_write_file("file", "text");
}

CASE(mount_and_umount)
{
    own_mounts();
    static char long_name[300], long_path[5000];
    memset(long_name, 'n', 299);
    memset(long_path, '/', 4999);
    EXPECT_ERRNO(mount("none", "mnt", BAD, 0, NULL), EFAULT);
    EXPECT_ERRNO(mount("none", BAD, "tmpfs", 0, NULL), EFAULT);
    EXPECT_ERRNO(mount("none", "loop/x", "tmpfs", 0, NULL), ELOOP);
    EXPECT_ERRNO(mount("none", long_name, "tmpfs", 0, NULL), ENAMETOOLONG);
    EXPECT_ERRNO(mount("none", "none", "tmpfs", 0, NULL), ENOENT);
    EXPECT_ERRNO(mount("none", "file", "tmpfs", 0, NULL), ENOTDIR);
    EXPECT_ERRNO(mount("none", "mnt", "nosuchtype", 0, NULL), ENODEV);
    EXPECT_ERRNO(mount("none", "mnt", "tmpfs", MS_REMOUNT, NULL), EINVAL);
    EXPECT_ERRNO(mount("none", "mnt", NULL, MS_MOVE, NULL), ENOENT);
    EXPECT_ERRNO(umount2("mnt", 0), EINVAL);
    EXPECT_ERRNO(umount2("mnt", 0x100), EINVAL);
    EXPECT_ERRNO(umount2(BAD, 0), EFAULT);
    EXPECT_ERRNO(umount2("none", 0), ENOENT);
    EXPECT_ERRNO(umount2(long_name, 0), ENAMETOOLONG);
    EXPECT_ERRNO(umount2(long_path, 0), ENAMETOOLONG);
    MUST(mount("none", "mnt", "tmpfs", 0, NULL));
    EXPECT_ERRNO(umount2("mnt", MNT_EXPIRE | MNT_FORCE), EINVAL);
    int fd = MUST(open("mnt/file", O_RDWR | O_CREAT, 0600));
    EXPECT_ERRNO(umount2("mnt", 0), EBUSY);
    EXPECT_ERRNO(mount(NULL, "mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
    close(fd);
    EXPECT_OK(umount2("mnt", 0));
    EXPECT_ERRNO(syscall(SYS_pivot_root, "file", "mnt"), ENOTDIR);
    MUST(mkdir("other", 0700));
    MUST(mount("none", "mnt", "tmpfs", 0, NULL));
    MUST(mount("none", "other", "tmpfs", 0, NULL));
    EXPECT_ERRNO(syscall(SYS_pivot_root, "mnt", "other"), EINVAL);
    MUST(umount2("mnt", 0));
    MUST(umount2("other", 0));
}

CASE(mounts_by_descriptor)
{
    own_mounts();
    int context = MUST(syscall(SYS_fsopen, "tmpfs", 0));
    EXPECT_ERRNO(syscall(SYS_fsopen, BAD, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_fsopen, "nosuchtype", 0), ENODEV);
    EXPECT_ERRNO(syscall(SYS_fsopen, "tmpfs", 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fsconfig, context, 99, NULL, NULL, 0), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_fsconfig, context, 1, NULL, "value", 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fsconfig, context, 1, BAD, "value", 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_fsconfig, context, 1, "nosuchoption", "value", 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_fsmount, context, 0, 0), EINVAL);
    MUST(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
    EXPECT_ERRNO(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0), EBUSY);
    EXPECT_ERRNO(syscall(SYS_fsmount, context, 4, 0), EINVAL);
    int mount_fd = MUST(syscall(SYS_fsmount, context, 0, 0));
    EXPECT_ERRNO(syscall(SYS_move_mount, mount_fd, BAD, AT_FDCWD, "mnt", 4), EFAULT);
    EXPECT_ERRNO(syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, "none", 4), ENOENT);
    EXPECT_ERRNO(syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, "mnt", 0x1000), EINVAL);
    MUST(syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, "mnt", 4));
    MUST(mkdir("mnt/below", 0700));
    EXPECT_ERRNO(syscall(SYS_move_mount, AT_FDCWD, "mnt", AT_FDCWD, "mnt/below", 0), ELOOP);
    EXPECT_ERRNO(syscall(SYS_open_tree, AT_FDCWD, BAD, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_open_tree, AT_FDCWD, "none", 0), ENOENT);
    EXPECT_ERRNO(syscall(SYS_open_tree, AT_FDCWD, "file/x", 0), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_open_tree, AT_FDCWD, "mnt", 0x10), EINVAL);
    unsigned long attr[5] = {1, 0, 0, 0, 1};
    EXPECT_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "none", 0, attr, 32), ENOENT);
    EXPECT_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "mnt", 0, attr, 40), E2BIG);
    EXPECT_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "mnt", 0, attr, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "mnt", 0x10, attr, 32), EINVAL);
    attr[0] = 1ul << 40;
    EXPECT_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "mnt", 0, attr, 32), EINVAL);
    MUST(umount2("mnt", MNT_DETACH));
}

/* shows: unshare clone clone3: ENOSPC */
CASE(deep_user_namespaces)
{
    CHILD(pid)
    {
        int depth = 0;
        while (depth < 40 && syscall(SYS_unshare, CLONE_NEWUSER) == 0) {
            tap_write_file("/proc/self/uid_map", "0 0 1");
            tap_write_file("/proc/self/setgroups", "deny");
            tap_write_file("/proc/self/gid_map", "0 0 1");
            depth++;
        }
        EXPECT(depth >= 31 && depth <= 33);
        EXPECT_ERRNO(syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWUTS), ENOSPC);
        EXPECT_ERRNO(syscall(SYS_unshare, CLONE_NEWUSER), ENOSPC);
        EXPECT_ERRNO(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), ENOSPC);
        unsigned long how[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
        EXPECT_ERRNO(syscall(SYS_clone3, how, 64), ENOSPC);
    }
    EXPECT_EXIT(pid, 0);
}

static void make_program(const char *path, unsigned short type, unsigned short machine)
{
    Elf64_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
                       .e_type = type,
                       .e_machine = machine,
                       .e_version = 1,
                       .e_phoff = 64,
                       .e_ehsize = 64,
                       .e_phentsize = 56,
                       .e_phnum = 2};
    Elf64_Phdr rows[2] = {{.p_type = PT_INTERP, .p_offset = 176, .p_filesz = 9},
                          {.p_type = PT_LOAD, .p_flags = 5, .p_filesz = 200, .p_memsz = 200}};
    int fd = MUST(open(path, O_WRONLY | O_CREAT, 0755));
    MUST(write(fd, &head, sizeof head));
    MUST(write(fd, rows, sizeof rows));
    MUST(write(fd, "./loader\0 padding padding", 24));
    close(fd);
}

CASE(broken_programs)
{
    tap_tmpdir();
    make_program("prog", ET_DYN, EM_X86_64);
    char *words[] = {"prog", NULL};
    EXPECT_ERRNO(execve("prog", words, words), ENOENT); /* its interpreter */
    tap_write_file("loader", "no program at all, and no library: it is just text of some length. 01234");
    MUST(chmod("loader", 0755));
    EXPECT_ERRNO(execve("prog", words, words), ELIBBAD);
    MUST(unlink("loader"));
    MUST(mkdir("loader", 0755));
    EXPECT_ERRNO(execve("prog", words, words), EACCES);
    make_program("strange", ET_DYN, EM_SPARC);
    EXPECT_ERRNO(execve("strange", words, words), ENOEXEC);
}

CASE(namespace_of_an_unknown_owner)
{
    CHILD(pid)
    {
        MUST(syscall(SYS_unshare, CLONE_NEWUSER));
        EXPECT_ERRNO(syscall(SYS_unshare, CLONE_NEWUSER), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(keys)
{
    long key = syscall(SYS_add_key, "user", "picket", "text", 4, -2 /* process keyring */);
    SKIP_IF(key < 0 && errno == ENOSYS, "no keys");
    EXPECT_ERRNO(syscall(SYS_keyctl, 999, 0, 0, 0, 0), EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, 0x7ffffff0, 0, 0, 0), ENOKEY);
    EXPECT_ERRNO(syscall(SYS_keyctl, 1 /* JOIN_SESSION */, BAD, 0, 0, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_keyctl, 6 /* DESCRIBE */, 0x7ffffff0, room, 100, 0), ENOKEY);
}
