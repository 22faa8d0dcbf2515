/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces and mounts, as far as a container's root may use them. */
#include "tap.h"

#include <fcntl.h>
#include <linux/reboot.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

CASE(host_name_is_private)
{
    struct utsname before, after;
    MUST(uname(&before));
    CHILD(pid)
    {
        SKIP_IF(unshare(CLONE_NEWUTS) < 0, "no new namespaces");
        MUST(sethostname("inner", 5));
        struct utsname inner;
        MUST(uname(&inner));
        EXPECT_STR(inner.nodename, "inner");
        MUST(setdomainname("domain", 6));
        char text[32] = {0};
        EXPECT_EQ(tap_read_file("/proc/sys/kernel/hostname", text, sizeof text), 6);
        EXPECT_STR(text, "inner\n");
    }
    EXPECT_EXIT(pid, 0);
    MUST(uname(&after));
    EXPECT_STR(after.nodename, before.nodename);
}

CASE(first_process_of_a_pid_namespace)
{
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWPID));
        pid_t inner = MUST(fork());
        if (inner == 0) {
            EXPECT_EQ(getpid(), 1);
            EXPECT_EQ(getppid(), 0);
            CHILD(second)
            {
                EXPECT_EQ(getpid(), 2);
                EXPECT_EQ(getppid(), 1);
            }
            EXPECT_EXIT(second, 0);
            tap_child_end();
        }
        EXPECT(inner > 2);
        EXPECT_EXIT(inner, 0);
        EXPECT_EQ(fork(), -1); /* its first process has gone, so the namespace is dead */
        EXPECT_EQ(errno, ENOMEM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(first_process_ignores_fatal_signals_from_inside)
{
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWPID));
        pid_t inner = MUST(fork());
        if (inner == 0) {
            kill(getpid(), SIGTERM);
            kill(getpid(), SIGKILL);
            _exit(5);
        }
        EXPECT_EXIT(inner, 5);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(end_of_the_first_process_kills_the_rest)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        close(fds[0]);
        MUST(unshare(CLONE_NEWPID));
        pid_t inner = MUST(fork());
        if (inner == 0) {
            if (fork() == 0) {
                for (;;)
                    pause();
            }
            _exit(0);
        }
        EXPECT_EXIT(inner, 0);
    }
    close(fds[1]);
    char byte;
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(read(fds[0], &byte, 1), 0);
}

/* Only ever asked where no machine would hear it: by processes of a PID namespace of their own. */
static void reboot_inside(unsigned command, int with_child, int signal_wanted)
{
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWPID));
        pid_t inner = MUST(fork());
        if (inner == 0) {
            if (getpid() != 1 || getppid() != 0)
                _exit(9);
            if (!with_child || fork() == 0)
                syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, "");
            else
                for (;;)
                    pause();
            _exit(8);
        }
        int status;
        EXPECT_EQ(waitpid(inner, &status, 0), inner);
        EXPECT(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), signal_wanted);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(reboot_ends_a_pid_namespace)
{
    reboot_inside(LINUX_REBOOT_CMD_RESTART, 0, SIGHUP);
    reboot_inside(LINUX_REBOOT_CMD_RESTART2, 1, SIGHUP);
    reboot_inside(LINUX_REBOOT_CMD_HALT, 1, SIGINT);
    reboot_inside(LINUX_REBOOT_CMD_POWER_OFF, 0, SIGINT);
}

CASE(reboot_of_a_pid_namespace_judges)
{
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWPID));
        pid_t inner = MUST(fork());
        if (inner == 0) {
            if (getpid() != 1 || getppid() != 0)
                _exit(9);
            EXPECT_ERRNO(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, 7, NULL),
                         EINVAL);
            EXPECT_ERRNO(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2A,
                                 LINUX_REBOOT_CMD_CAD_OFF, NULL),
                         EINVAL);
            EXPECT_ERRNO(
                syscall(SYS_reboot, 1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, NULL),
                EINVAL);
            EXPECT_ERRNO(
                syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, 1, LINUX_REBOOT_CMD_RESTART, NULL),
                EINVAL);
            tap_child_end();
        }
        EXPECT_EXIT(inner, 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(tmpfs_in_a_mount_namespace)
{
    tap_tmpdir();
    MUST(mkdir("mnt", 0755));
    CHILD(pid)
    {
        SKIP_IF(unshare(CLONE_NEWNS) < 0, "no new namespaces");
        MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
        MUST(mount("tmpfs", "mnt", "tmpfs", 0, "size=1m,mode=0700"));
        struct stat st;
        EXPECT_EQ(stat("mnt", &st), 0);
        EXPECT_EQ(st.st_mode, S_IFDIR | 0700);
        tap_write_file("mnt/file", "x");
        EXPECT_ERRNO(rmdir("mnt"), EBUSY);
        EXPECT_ERRNO(rename("mnt/file", "file"), EXDEV);
        int fd = MUST(open("mnt/file", O_WRONLY));
        static char block[1 << 16];
        ssize_t count;
        while ((count = write(fd, block, sizeof block)) > 0)
            ;
        EXPECT_EQ(errno, ENOSPC);
        EXPECT_ERRNO(umount2("mnt", 0), EBUSY);
        close(fd);
        EXPECT_EQ(mount(NULL, "mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
        EXPECT_ERRNO(open("mnt/file", O_WRONLY), EROFS);
        EXPECT_ERRNO(mkdir("mnt/dir", 0755), EROFS);
        EXPECT_ERRNO(unlink("mnt/file"), EROFS);
        EXPECT_EQ(umount2("mnt", 0), 0);
        EXPECT_ERRNO(umount2("mnt", 0), EINVAL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(bind_mount)
{
    tap_tmpdir();
    MUST(mkdir("from", 0755));
    MUST(mkdir("to", 0755));
    tap_write_file("from/file", "x");
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWNS));
        MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
        MUST(mount("from", "to", NULL, MS_BIND, NULL));
        EXPECT_EQ(access("to/file", F_OK), 0);
        tap_write_file("to/other", "y");
        EXPECT_EQ(access("from/other", F_OK), 0);
        EXPECT_ERRNO(link("from/file", "to/link"), EXDEV);
        MUST(mount(NULL, "to", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
        EXPECT_ERRNO(open("to/new", O_RDWR | O_CREAT, 0644), EROFS);
        EXPECT_OK(open("from/new", O_RDWR | O_CREAT, 0644));
        EXPECT_EQ(umount2("to", MNT_DETACH), 0);
        EXPECT_ERRNO(access("to/file", F_OK), ENOENT);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(access("to/file", F_OK), ENOENT);
}

CASE(mount_errors)
{
    tap_tmpdir();
    tap_write_file("file", "");
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWNS));
        EXPECT_ERRNO(mount("none", "missing", "tmpfs", 0, NULL), ENOENT);
        EXPECT_ERRNO(mount("none", "file", "tmpfs", 0, NULL), ENOTDIR);
        EXPECT_ERRNO(mount("none", ".", "nosuchfs", 0, NULL), ENODEV);
        EXPECT_ERRNO(mount("missing", ".", NULL, MS_BIND, NULL), ENOENT);
        EXPECT_ERRNO(mount("none", ".", "tmpfs", 0, "nonsense=1"), EINVAL);
        EXPECT_ERRNO(umount2("missing", 0), ENOENT);
        EXPECT_ERRNO(umount2(".", 0), EINVAL);
        EXPECT_ERRNO(umount2(".", 0x100), EINVAL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(pivot_root_swaps)
{
    tap_tmpdir();
    MUST(mkdir("new", 0755));
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWNS));
        MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
        MUST(mount("tmpfs", "new", "tmpfs", 0, NULL));
        MUST(mkdir("new/old", 0755));
        tap_write_file("new/marker", "");
        MUST(chdir("new"));
        EXPECT_EQ(syscall(SYS_pivot_root, ".", "old"), 0);
        MUST(chdir("/"));
        EXPECT_EQ(access("/marker", F_OK), 0);
        EXPECT_EQ(access("/old/proc", F_OK), 0);
        EXPECT_EQ(umount2("/old", MNT_DETACH), 0);
        EXPECT_ERRNO(access("/old/proc", F_OK), ENOENT);
        EXPECT_ERRNO(syscall(SYS_pivot_root, "/", "/old"), EBUSY);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(network_namespace_is_empty)
{
    CHILD(pid)
    {
        SKIP_IF(unshare(CLONE_NEWNET) < 0, "no new namespaces");
        char text[4096] = {0};
        EXPECT(tap_read_file("/proc/self/net/dev", text, sizeof text) > 0);
        EXPECT(strstr(text, "lo:") != NULL);
        EXPECT(strstr(text, "eth0:") == NULL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(abstract_names_are_the_network_namespace_s)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, "\0picket-ns", 10);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 10;
    int a = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    MUST(bind(a, (struct sockaddr *)&name, size));
    MUST(listen(a, 1));
    int before = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHILD(pid)
    {
        SKIP_IF(unshare(CLONE_NEWNET) < 0, "no new namespaces");
        char text[8192] = {0};
        int b = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        int c = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_ERRNO(connect(b, (struct sockaddr *)&name, size), ECONNREFUSED);
        EXPECT_EQ(bind(b, (struct sockaddr *)&name, size), 0); /* the same name, another's */
        EXPECT_ERRNO(bind(c, (struct sockaddr *)&name, size), EADDRINUSE);
        EXPECT_ERRNO(connect(c, (struct sockaddr *)&name, size), ECONNREFUSED); /* listens not yet */
        EXPECT_EQ(connect(before, (struct sockaddr *)&name, size), 0); /* a socket stays where it was made */
        EXPECT(tap_read_file("/proc/net/unix", text, sizeof text) > 0);
        char *first = strstr(text, "@picket-ns");
        EXPECT(first && !strstr(first + 1, "@picket-ns"));
    }
    EXPECT_EXIT(pid, 0);
    close(a);
    close(before);
}

CASE(user_namespace_maps)
{
    CHILD(pid)
    {
        MUST(setgid(2000));
        MUST(setuid(1000));
        MUST(prctl(PR_SET_DUMPABLE, 1)); /* else its files in /proc belong to root */
        if (unshare(CLONE_NEWUSER) < 0)
            _exit(errno == EPERM || errno == ENOSPC ? 0 : 1);
        EXPECT_EQ(getuid(), 65534);
        int fd = MUST(open("/proc/self/setgroups", O_WRONLY));
        EXPECT_EQ(write(fd, "deny", 4), 4);
        fd = MUST(open("/proc/self/uid_map", O_WRONLY));
        EXPECT_EQ(write(fd, "0 1000 1", 8), 8);
        fd = MUST(open("/proc/self/uid_map", O_WRONLY));
        EXPECT_ERRNO(write(fd, "0 1000 1", 8), EPERM); /* once is enough */
        fd = MUST(open("/proc/self/gid_map", O_WRONLY));
        EXPECT_EQ(write(fd, "0 2000 1", 8), 8);
        EXPECT_EQ(getuid(), 0);
        EXPECT_EQ(getgid(), 0);
        char text[64] = {0};
        EXPECT(tap_read_file("/proc/self/uid_map", text, sizeof text) > 0);
        EXPECT_STR(text, "         0       1000          1\n");
        EXPECT_EQ(unshare(CLONE_NEWUTS), 0);
        EXPECT_EQ(sethostname("x", 1), 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(setns_by_descriptor)
{
    int own = MUST(open("/proc/self/ns/uts", O_RDONLY));
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWUTS));
        MUST(sethostname("inner", 5));
        EXPECT_EQ(setns(own, CLONE_NEWUTS), 0);
        struct utsname name;
        MUST(uname(&name));
        EXPECT(strcmp(name.nodename, "inner") != 0);
        EXPECT_ERRNO(setns(own, CLONE_NEWPID), EINVAL);
        int null = MUST(open("/dev/null", O_RDONLY));
        EXPECT_ERRNO(setns(null, 0), EINVAL);
        EXPECT_ERRNO(setns(-1, 0), EBADF);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(unshare_errors)
{
    EXPECT_ERRNO(unshare(1), EINVAL);
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(unshare(CLONE_NEWUTS), EPERM);
        EXPECT_ERRNO(unshare(CLONE_NEWNS), EPERM);
        EXPECT_EQ(unshare(CLONE_FILES | CLONE_FS), 0);
    }
    EXPECT_EXIT(pid, 0);
}
