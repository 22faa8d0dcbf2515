/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The empty root is a tmpfs mounted over /proc, the one directory that is sure to exist, and then
 * made the root by pivot_root(2); the host's tree is detached, so no name and no ".." leads back to
 * it. What a process needs of the host it has as descriptors.
 *
 * /proc/self/fd is the gofer's way to open what it holds as O_PATH. It gets a clone of just that
 * directory:
 * ".." ends at a mount's root, while an open /proc/self/fd of the host's own proc would lead to all
 * of it.
 */
#include "runtime/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/coverage.h"

/* glibc's sys/mount.h and linux/mount.h do not go together. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data);
int umount2(const char *target, int flags);
#define UMOUNT_DETACH 2
/* What spawn.h hands over at most. */
#define FDS_INHERITED_MAX 1100

static int fds_clone(void)
{
    return (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd",
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

/* The clone of /proc/self/fd, TREE, into the new root, which is the working directory. */
static int fds_attach(int tree)
{
    if (mkdir("proc", 0555) < 0 || mkdir("proc/self", 0555) < 0 || mkdir("proc/self/fd", 0555) < 0)
        return -1;
    return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, "proc/self/fd",
                        MOVE_MOUNT_F_EMPTY_PATH);
}

int jail_root(bool has_fds, struct error *err)
{
    coverage_write(); /* behind the new root its files are out of reach, and nobody complains */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_errno(err, "cannot make mounts private");
    int tree = has_fds ? fds_clone() : -1;
    if (has_fds && tree < 0)
        return error_errno(err, "cannot clone /proc/self/fd");
    int failed = mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                       "size=65536,mode=0555");
    if (failed || chdir("/proc") < 0) {
        error_errno(err, "cannot mount an empty root");
        goto close_tree;
    }
    failed = has_fds ? fds_attach(tree) : 0;
    if (failed) {
        error_errno(err, "cannot attach /proc/self/fd");
        goto close_tree;
    }
    failed = (int)syscall(SYS_pivot_root, ".", ".");
    if (failed || umount2(".", UMOUNT_DETACH) < 0 || chdir("/") < 0) {
        error_errno(err, "cannot leave the host's root");
        failed = -1;
    }
close_tree:
    if (tree >= 0)
        close(tree);
    return failed ? -1 : 0;
}

int jail_root_seal(bool has_fds, struct error *err)
{
    if (has_fds && umount2("/proc/self/fd", UMOUNT_DETACH) < 0)
        return error_errno(err, "cannot detach /proc/self/fd");
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount(NULL, "/", NULL, flags, NULL) < 0)
        return error_errno(err, "cannot make the empty root read-only");
    return 0;
}

/* ---- user and capabilities ---- */

static int caps_set(u64 caps)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (u32)caps, .permitted = (u32)caps},
        {.effective = (u32)(caps >> 32), .permitted = (u32)(caps >> 32)},
    };
    return (int)syscall(SYS_capset, &header, data);
}

static u64 caps_permitted(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &header, data) < 0)
        return 0;
    return data[0].permitted | (u64)data[1].permitted << 32;
}

/* Without CAP_SETPCAP the bounding set stays; no_new_privs makes it harmless. */
static void bounding_drop(u64 caps)
{
    for (u32 cap = 0; cap < 64; cap++)
        if (!(caps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno == EINVAL)
            break; /* past the last one */
}

int jail_user(u32 uid, u32 gid, u64 caps, bool is_rootless, struct error *err)
{
    u64 kept = caps & caps_permitted();
    bounding_drop(caps);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (!is_rootless) {
        if (setgroups(0, NULL) < 0 && errno != EPERM)
            return error_errno(err, "cannot give up groups");
        if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
            return error_errno(err, "cannot become user %u", uid);
    }
    if (caps_set(uid == 0 || is_rootless ? kept : 0) < 0)
        return error_errno(err, "cannot give up capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(err, "cannot set no_new_privs");
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    return 0;
}

u64 jail_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    struct rlimit more = {.rlim_cur = MAX(limit.rlim_max, (rlim_t)1048576),
                          .rlim_max = MAX(limit.rlim_max, (rlim_t)1048576)};
    if (limit.rlim_max < 1048576 && setrlimit(RLIMIT_NOFILE, &more) == 0)
        return more.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

void jail_die_with_parent(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void jail_prepare(const char *name)
{
    if (syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) < 0)
        for (int fd = 3; fd < FDS_INHERITED_MAX; fd++)
            (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE};
    for (size_t i = 0; i < ARRAY_COUNT(ignored); i++)
        signal(ignored[i], SIG_IGN);
    time_t now = time(NULL);
    struct tm unused;
    tzset();
    (void)localtime_r(&now, &unused);
    (void)prctl(PR_SET_NAME, name);
}
