/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the command line to a gofer at work: flags, empty root, capabilities, filter, ready, loop.
 * The runtime has opened what is served (where it may, as detached copies of the mounts, so that
 * ".." ends there).
 */
#include "runtime/gofer_boot.h"

#include "gofer/gofer_serve.h"
#include "runtime/boot_flags.h"
#include "runtime/filter.h"
#include "runtime/jail.h"
#include "runtime/spawn.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIT(cap) ((u64)1 << (cap))
#define GOFER_CAPS                                                                         \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | \
     BIT(CAP_FSETID) | BIT(CAP_MKNOD))
/* Descriptors of the process's own, besides fids'. */
#define FDS_RESERVED 64u
#define FID_MAX 65536u

struct gofer_flags {
    struct boot_fds sockets;
    struct boot_fds roots;
    const char *modes; /* one letter a mount: r read-only, w writable */
    bool has_sockets;
    bool has_devices;
    bool is_jailed;
    bool is_attached;
    bool is_rootless;
    bool has_filter;
    int startup;
    const char *id;
};

static int flags_read(struct gofer_flags *flags, int argc, char **argv, struct error *err)
{
    *flags = (struct gofer_flags){.modes = "", .startup = -1, .has_filter = true};
    const struct boot_flag rows[] = {
        {"io-fds", BOOT_FDS, &flags->sockets},
        {"root-fds", BOOT_FDS, &flags->roots},
        {"modes", BOOT_TEXT, &flags->modes},
        {"host-sockets", BOOT_BOOL, &flags->has_sockets},
        {"host-devices", BOOT_BOOL, &flags->has_devices},
        {"jail", BOOT_BOOL, &flags->is_jailed},
        {"attached", BOOT_BOOL, &flags->is_attached},
        {"rootless", BOOT_BOOL, &flags->is_rootless},
        {"filter", BOOT_BOOL, &flags->has_filter},
        {"startup-fd", BOOT_FD, &flags->startup},
    };
    if (boot_flags_parse(rows, ARRAY_COUNT(rows), argc, argv, &flags->id, err) < 0)
        return -1;
    if (flags->sockets.count == 0 || flags->sockets.count != flags->roots.count ||
        strlen(flags->modes) != flags->sockets.count)
        return error_set(err, EINVAL, "gofer: as many sockets as roots are needed");
    return 0;
}

/* Leave everything that serving files does not need. */
static int confine(const struct gofer_flags *flags, struct host **host, struct error *err)
{
    if (flags->is_jailed && jail_root(true, err) < 0)
        return -1;
    *host = host_linux_create(); /* opens /proc/self/fd */
    if (!*host)
        return error_set(err, ENOMEM, "gofer: out of memory");
    if (flags->is_jailed && jail_root_seal(true, err) < 0)
        return -1;
    if (jail_user(getuid(), getgid(), GOFER_CAPS, flags->is_rootless, err) < 0)
        return -1;
    if (flags->is_attached)
        jail_die_with_parent();
    if (!flags->has_filter)
        return 0;
    struct filter_list lists[] = {filter_base(), filter_gofer(), filter_gofer_sockets()};
    return filter_install(lists, flags->has_sockets ? 3 : 2, err);
}

static int serve(const struct gofer_flags *flags, struct error *err)
{
    static struct gofer_mount mounts[BOOT_FDS_MAX];
    u64 fds = jail_fd_limit();
    u64 fids = fds > 2 * FDS_RESERVED ? (fds - FDS_RESERVED) / 2 / flags->sockets.count : 16;
    for (u32 i = 0; i < flags->sockets.count; i++) {
        mounts[i] = (struct gofer_mount){
            .socket = flags->sockets.fds[i],
            .root = flags->roots.fds[i],
            .options = {.is_readonly = flags->modes[i] == 'r',
                        .has_sockets = flags->has_sockets,
                        .has_devices = flags->has_devices,
                        .fid_max = (u32)MIN(MAX(fids, 16u), FID_MAX)},
        };
    }
    struct host *host;
    if (confine(flags, &host, err) < 0)
        return -1;
    startup_ready(flags->startup);
    close(flags->startup);
    return gofer_serve(host, mounts, flags->sockets.count, err);
}

int gofer_command(int argc, char **argv)
{
    struct gofer_flags flags;
    struct error err;
    jail_prepare("picket-gofer");
    umask(0); /* modes are the sentry's decision */
    if (flags_read(&flags, argc, argv, &err) == 0 && serve(&flags, &err) == 0)
        return 0;
    if (flags.startup >= 0)
        startup_fail(flags.startup, err.text);
    else
        fprintf(stderr, "%s\n", err.text);
    return 128;
}
