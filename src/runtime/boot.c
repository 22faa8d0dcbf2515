/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the command line to sandbox_main: flags, spec, empty root, nobody. The seccomp filter comes
 * last, from sandbox_main by boot_confine, because making the platform needs calls that the filter
 * refuses.
 */
#include "runtime/boot.h"

#include "runtime/boot_flags.h"
#include "runtime/config.h"
#include "runtime/console.h"
#include "runtime/filter.h"
#include "runtime/jail.h"
#include "runtime/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the flags say and sandbox_options has in another form. */
struct boot_flags {
    struct boot_fds stdio, gofers, filestores, control, passed, fs_image;
    const char *confs; /* LOWER:UPPER,… as numbers of enum gofer_lower and gofer_upper */
    const char *passed_guests;
    const char *network;
    const char *spec_policy;
    u64 cpu_count, control_uid, strace_size_max;
    int spec_fd;
    bool is_jailed, is_attached;
    bool leads_session; /* of the console's */
};

static int flags_read(struct boot_flags *flags, struct sandbox_options *options, int argc,
                      char **argv, struct error *err)
{
    const struct boot_flag rows[] = {
        {"bundle", BOOT_TEXT, &options->bundle},
        {"spec-fd", BOOT_FD, &flags->spec_fd},
        {"platform", BOOT_TEXT, &options->platform},
        {"platform-fd", BOOT_FD, &options->platform_fd},
        {"platform-else", BOOT_TEXT, &options->platform_else},
        {"cpu-num", BOOT_U64, &flags->cpu_count},
        {"total-memory", BOOT_U64, &options->memory_total},
        {"overlay2", BOOT_TEXT, &options->overlay},
        {"stdio-fds", BOOT_FDS, &flags->stdio},
        {"console-fd", BOOT_FD, &options->console_fd},
        {"console-session", BOOT_BOOL, &flags->leads_session},
        {"gofer-mount-confs", BOOT_TEXT, &flags->confs},
        {"io-fds", BOOT_FDS, &flags->gofers},
        {"gofer-filestore-fds", BOOT_FDS, &flags->filestores},
        {"pass-fds", BOOT_FDS, &flags->passed},
        {"pass-guests", BOOT_TEXT, &flags->passed_guests},
        {"exec-fd", BOOT_FD, &options->exec_fd},
        {"fs-restore-fds", BOOT_FDS, &flags->fs_image},
        {"controller-fds", BOOT_FDS, &flags->control},
        {"control-uid", BOOT_U64, &flags->control_uid},
        {"startup-fd", BOOT_FD, &options->ready_fd},
        {"status-fd", BOOT_FD, &options->status_fd},
        {"debug-log-fd", BOOT_FD, &options->log_fd},
        {"debug-log-format", BOOT_TEXT, &options->log_format},
        {"user-log-fd", BOOT_FD, &options->user_log_fd},
        {"debug", BOOT_BOOL, &options->is_debug},
        {"strace", BOOT_BOOL, &options->has_strace},
        {"strace-syscalls", BOOT_TEXT, &options->strace_syscalls},
        {"strace-log-size", BOOT_U64, &flags->strace_size_max},
        {"network", BOOT_TEXT, &flags->network},
        {"restore-spec-validation", BOOT_TEXT, &flags->spec_policy},
        {"net-raw", BOOT_BOOL, &options->keeps_net_raw},
        {"root-shared", BOOT_BOOL, &options->is_root_shared},
        {"mounts-shared", BOOT_BOOL, &options->are_mounts_shared},
        {"oci-seccomp", BOOT_BOOL, &options->has_oci_seccomp},
        {"profile", BOOT_BOOL, &options->has_profile},
        {"host-sockets", BOOT_BOOL, &options->has_host_sockets},
        {"rootless", BOOT_BOOL, &options->is_rootless},
        {"filter", BOOT_BOOL, &options->has_filter},
        {"jail", BOOT_BOOL, &flags->is_jailed},
        {"attached", BOOT_BOOL, &flags->is_attached},
    };
    return boot_flags_parse(rows, ARRAY_COUNT(rows), argc, argv, &options->container_id, err);
}

/* "1:2,1:0" */
static int confs_read(const char *text, struct sandbox_options *options, struct error *err)
{
    while (*text) {
        unsigned lower, upper;
        int used = 0;
        if (options->conf_count == BOOT_MOUNTS_MAX ||
            sscanf(text, "%1u:%1u%n", &lower, &upper, &used) != 2 || lower > GOFER_LOWER_EROFS ||
            upper > GOFER_UPPER_ANON)
            return error_set(err, EINVAL, "inner flag gofer-mount-confs has a bad value");
        options->confs[options->conf_count++] = (struct gofer_mount_conf){.lower = (u8)lower,
                                                                          .upper = (u8)upper};
        text += used;
        if (*text == ',')
            text++;
    }
    return 0;
}

static int passed_read(const struct boot_flags *flags, struct sandbox_options *options,
                       struct error *err)
{
    struct boot_fds guests; /* not descriptors here, but the same form */
    if (!boot_fds_parse(flags->passed_guests, &guests) || guests.count != flags->passed.count ||
        guests.count > BOOT_PASSED_MAX)
        return error_set(err, EINVAL, "inner flag pass-guests does not match pass-fds");
    for (u32 i = 0; i < guests.count; i++)
        options->passed[i] = (struct passed_fd){.host = flags->passed.fds[i],
                                                .guest = guests.fds[i]};
    options->passed_count = guests.count;
    return 0;
}

static int options_fill(const struct boot_flags *flags, struct sandbox_options *options,
                        struct error *err)
{
    if (flags->gofers.count > BOOT_MOUNTS_MAX || flags->filestores.count > BOOT_MOUNTS_MAX ||
        flags->spec_fd < 0 || (flags->stdio.count != 0 && flags->stdio.count != 3) ||
        flags->control.count > 2 ||
        (flags->fs_image.count != 0 && flags->fs_image.count != FS_SAVE_FILES))
        return error_set(err, EINVAL, "inner flags carry a wrong number of descriptors");
    for (u32 i = 0; i < flags->stdio.count; i++)
        options->stdio[i] = flags->stdio.fds[i];
    for (u32 i = 0; i < flags->fs_image.count; i++)
        options->fs_image[i] = flags->fs_image.fds[i];
    for (u32 i = 0; i < flags->control.count; i++)
        options->control_fds[i] = flags->control.fds[i];
    memcpy(options->gofers, flags->gofers.fds, flags->gofers.count * sizeof(int));
    options->gofer_count = flags->gofers.count;
    memcpy(options->filestores, flags->filestores.fds, flags->filestores.count * sizeof(int));
    options->filestore_count = flags->filestores.count;
    options->cpu_count = (u32)MIN(MAX(flags->cpu_count, 1u), 256u);
    options->control_uid = (u32)flags->control_uid;
    options->strace_size_max = (u32)MIN(flags->strace_size_max, 65536u);
    options->network = strcmp(flags->network, "host") == 0   ? BOOT_NETWORK_HOST
                       : strcmp(flags->network, "none") == 0 ? BOOT_NETWORK_NONE
                                                             : BOOT_NETWORK_SANDBOX;
    options->spec_policy = strcmp(flags->spec_policy, "ignore") == 0    ? SPEC_POLICY_IGNORE
                           : strcmp(flags->spec_policy, "warning") == 0 ? SPEC_POLICY_WARN
                                                                        : SPEC_POLICY_ENFORCE;
    if (confs_read(flags->confs, options, err) < 0 || passed_read(flags, options, err) < 0)
        return -1;
    char *text;
    if (boot_read_all(flags->spec_fd, &text, &options->spec_size, err) < 0)
        return -1;
    options->spec_text = text;
    return 0;
}

static int give_up(const struct boot_flags *flags, struct sandbox_options *options,
                   struct error *err)
{
    (void)jail_fd_limit();
    if (flags->leads_session && options->console_fd >= 0)
        options->signal_fd = console_lead_session(options->console_fd);
    if (flags->is_jailed && (jail_root(false, err) < 0 || jail_root_seal(false, err) < 0))
        return -1;
    if (jail_user(NOBODY, NOBODY, 0, options->is_rootless || getuid() != 0, err) < 0)
        return -1;
    if (flags->is_attached)
        jail_die_with_parent();
    return 0;
}

int boot_command(int argc, char **argv)
{
    static struct sandbox_options options;
    static struct boot_flags flags = {.confs = "",
                                      .passed_guests = "",
                                      .network = "none",
                                      .spec_policy = "enforce",
                                      .cpu_count = 1,
                                      .spec_fd = -1,
                                      .strace_size_max = 1024};
    options = (struct sandbox_options){.bundle = "",
                                       .version = PICKET_VERSION,
                                       .platform = "ptrace",
                                       .platform_fd = -1,
                                       .platform_else = "",
                                       .overlay = "none",
                                       .stdio = {-1, -1, -1},
                                       .console_fd = -1,
                                       .signal_fd = -1,
                                       .exec_fd = -1,
                                       .fs_image = {-1, -1, -1, -1},
                                       .control_fds = {-1, -1},
                                       .ready_fd = -1,
                                       .status_fd = -1,
                                       .log_fd = -1,
                                       .log_format = "text",
                                       .user_log_fd = -1,
                                       .strace_syscalls = "",
                                       .has_filter = true};
    struct error err;
    if (flags_read(&flags, &options, argc, argv, &err) < 0 ||
        options_fill(&flags, &options, &err) < 0)
        goto fail;
    jail_prepare("picket-sandbox");
    if (give_up(&flags, &options, &err) < 0)
        goto fail;
    exit(sandbox_main(&options));
fail:
    boot_failed(&options, &err);
    return 128;
}

int boot_confine(const struct sandbox_options *options, const char *platform, struct error *err)
{
    if (!options->has_filter)
        return 0;
    struct filter_list lists[] = {filter_base(), filter_sandbox(), filter_platform(platform)};
    return filter_install(lists, ARRAY_COUNT(lists), err);
}

void boot_ready(const struct sandbox_options *options)
{
    if (options->ready_fd < 0)
        return;
    startup_ready(options->ready_fd);
    close(options->ready_fd);
}

void boot_failed(const struct sandbox_options *options, const struct error *err)
{
    if (options->ready_fd < 0) {
        fprintf(stderr, "%s\n", err->text);
        return;
    }
    startup_fail(options->ready_fd, err->text);
}

void boot_status(const struct sandbox_options *options, u32 wait_status)
{
    if (options->status_fd >= 0)
        (void)!write(options->status_fd, &wait_status, sizeof wait_status);
}

int boot_exit_code(u32 wait_status)
{
    u32 signo = wait_status & 0x7f; /* wait(2)'s encoding */
    return signo ? 128 + (int)signo : (int)(wait_status >> 8 & 0xff);
}
