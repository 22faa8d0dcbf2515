/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags before the command. The names and defaults are gVisor's. A row without a member is
 * accepted, so that callers need not know which sandbox they talk to, and does nothing: it tunes
 * what is not here, or says what is so anyway. Who asks for something and does not get it is told
 * (ABSENT), once, where a sandbox is made.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GLOBAL(name, type, m, initially, usage) \
    FLAG_ROW(name, type, struct config, m, initially, usage)

#define ABSENT(name, type, defaults, reason) \
    FLAG_ABSENT_ROW(name, type, struct config, absent, defaults, reason)

const struct flag global_flags[] = {
    GLOBAL("root", FLAG_STRING, root, NULL, "folder of container records and control sockets"),
    GLOBAL("log", FLAG_STRING, log, "", "file for this command's errors, as JSON objects"),
    GLOBAL("log-format", FLAG_STRING, log_format, "text",
           "accepted; the error file is always JSON"),
    GLOBAL("log-fd", FLAG_INT, log_fd, "-1", "as log, by descriptor"),
    GLOBAL("debug", FLAG_BOOL, is_debug, "false", "debug lines in the debug log"),
    GLOBAL("debug-log", FLAG_STRING, debug_log, "",
           "file or folder/ of debug logs, with %TIMESTAMP% %COMMAND% %ID%"),
    GLOBAL("debug-log-format", FLAG_STRING, debug_log_format, "text", "text, json or json-k8s"),
    GLOBAL("debug-log-fd", FLAG_INT, debug_log_fd, "-1", "as debug-log, by descriptor"),
    GLOBAL("debug-command", FLAG_STRING, debug_command, "",
           "only the debug logs of these commands, or with ! all but these"),
    GLOBAL("alsologtostderr", FLAG_BOOL, also_log_to_stderr, "false",
           "errors of the debug log on standard error too"),
    GLOBAL("strace", FLAG_BOOL, has_strace, "false", "log system calls in the debug log"),
    GLOBAL("strace-syscalls", FLAG_STRING, strace_syscalls, "",
           "comma list of calls to log; all if empty"),
    GLOBAL("strace-log-size", FLAG_UINT, strace_log_size, "1024", "bytes shown of each blob"),
    GLOBAL("platform", FLAG_STRING, platform, "",
           "ptrace, kvm or script; the best one there is if empty"),
    GLOBAL("platform_device_path", FLAG_STRING, platform_device, "", "the platform's device"),
    GLOBAL("network", FLAG_STRING, network, "sandbox",
           "sandbox, host or none; only loopback inside"),
    GLOBAL("net-raw", FLAG_BOOL, keeps_net_raw, "false", "let containers keep CAP_NET_RAW"),
    GLOBAL("overlay2", FLAG_STRING, overlay2, "root:self",
           "none, or {root|all}:{memory|self|dir=/PATH}"),
    GLOBAL("overlay", FLAG_BOOL, overlay, "false", "as overlay2=all:memory"),
    GLOBAL("file-access", FLAG_STRING, file_access, "exclusive",
           "exclusive or shared: who else changes the root"),
    GLOBAL("file-access-mounts", FLAG_STRING, file_access_mounts, "shared",
           "the same for bind mounts"),
    GLOBAL("host-uds", FLAG_STRING, host_uds, "none",
           "none, open, create or all: sockets of the host"),
    GLOBAL("fsgofer-host-uds", FLAG_BOOL, has_fsgofer_uds, "false", "as host-uds=open"),
    GLOBAL("host-fifo", FLAG_STRING, host_fifo, "none", "none or open: fifos of the host"),
    GLOBAL("fdlimit", FLAG_INT, fd_limit, "-1", "limit of descriptors of sandbox and gofer"),
    GLOBAL("rootless", FLAG_BOOL, is_rootless, "false",
           "run without privileges, in a user namespace"),
    GLOBAL("ignore-cgroups", FLAG_BOOL, ignores_cgroups, "false", "no cgroups on the host"),
    GLOBAL("systemd-cgroup", FLAG_BOOL, has_systemd_cgroup, "false",
           "cgroupsPath is SLICE:PREFIX:NAME"),
    GLOBAL("cgroup-manager", FLAG_STRING, cgroup_manager, "",
           "cgroupfs, systemd or disabled, as crun has it"),
    GLOBAL("cpu-num-from-quota", FLAG_BOOL, cpu_num_from_quota, "false",
           "as many cpus as the quota amounts to"),
    GLOBAL("pod-init-config", FLAG_STRING, pod_init_config, "",
           "file with a trace session that each new sandbox begins with"),
    GLOBAL("oci-seccomp", FLAG_BOOL, has_oci_seccomp, "false",
           "apply the spec's linux.seccomp inside"),
    GLOBAL("profile", FLAG_BOOL, has_profile, "false", "serve profiling calls"),
    GLOBAL("allow-flag-override", FLAG_BOOL, allows_flag_override, "false",
           "let annotations set any flag"),
    GLOBAL("restore-spec-validation", FLAG_STRING, restore_spec_validation, "enforce",
           "enforce, warning or ignore"),
    GLOBAL("metric-server", FLAG_STRING, metric_server, "", "accepted"),
    GLOBAL("debug-no-filter", FLAG_BOOL, has_no_filter, "false",
           "for developers: sandbox and gofer without seccomp filters"),
    FLAG_NOTHING("allow-connected-on-save", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("allow-live-tcp-migration", FLAG_IGNORED_BOOL),
    ABSENT("allow-packet-socket-write", FLAG_ABSENT_BOOL, "false", "there are no packet sockets"),
    ABSENT("allow-rootfs-tar-annotation", FLAG_ABSENT_BOOL, "false",
           "picket tar and create --fs-restore-image-path keep and bring back a root"),
    FLAG_NOTHING("allow-suid", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("app-huge-pages", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("buffer-pooling", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("cgroupfs", FLAG_IGNORED_BOOL),
    ABSENT("character-device-policy", FLAG_ABSENT, "emulated-only",
           "character devices are always the sandbox's own"),
    FLAG_NOTHING("control-rpc-stop-timeout", FLAG_IGNORED),
    FLAG_NOTHING("coverage-fd", FLAG_IGNORED),
    FLAG_NOTHING("coverage-report", FLAG_IGNORED),
    FLAG_NOTHING("dcache", FLAG_IGNORED),
    ABSENT("debug-to-user-log", FLAG_ABSENT_BOOL, "false", "debug lines go to --debug-log"),
    FLAG_NOTHING("directfs", FLAG_IGNORED_BOOL),
    ABSENT("enable-core-tags", FLAG_ABSENT_BOOL, "false", "cores are not scheduled by sandbox"),
    ABSENT("EXPERIMENTAL-xdp", FLAG_ABSENT, "off", "no packets leave the sandbox"),
    FLAG_NOTHING("EXPERIMENTAL-xdp-need-wakeup", FLAG_IGNORED_BOOL),
    ABSENT("final-metrics-log", FLAG_ABSENT, "", "see picket export-metrics and metric-server"),
    FLAG_NOTHING("fuse", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("gofer-network-namespace", FLAG_IGNORED),
    FLAG_NOTHING("gso", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("gvisor-gro", FLAG_IGNORED_BOOL),
    ABSENT("gvisor-marker-file", FLAG_ABSENT_BOOL, "false", "the file is not made"),
    ABSENT("host-settings", FLAG_ABSENT, "check,ignore", "settings of the host are never changed"),
    ABSENT("iouring", FLAG_ABSENT_BOOL, "false", "there is no io_uring inside"),
    FLAG_NOTHING("kvm-use-cpu-nums", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("lisafs", FLAG_IGNORED_BOOL),
    ABSENT("log-packets", FLAG_ABSENT_BOOL, "false", "no packets leave the sandbox"),
    ABSENT("mount-cgroup-v2", FLAG_ABSENT_BOOL, "false", "cgroups inside are of version 1"),
    FLAG_NOTHING("net-disconnect-ok", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("network-processors-per-channel", FLAG_IGNORED),
    FLAG_NOTHING("num-network-channels", FLAG_IGNORED),
    ABSENT("nvproxy", FLAG_ABSENT_BOOL, "false", "no devices of the host are passed on"),
    FLAG_NOTHING("nvproxy-allowed-driver-capabilities", FLAG_IGNORED),
    FLAG_NOTHING("nvproxy-docker", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("nvproxy-driver-version", FLAG_IGNORED),
    ABSENT("override-procs", FLAG_ABSENT, "", "the number of threads follows the number of cpus"),
    ABSENT("panic-log", FLAG_ABSENT, "", "what a sandbox dies of stands in its --debug-log"),
    ABSENT("panic-log-fd", FLAG_ABSENT, "-1", "what a sandbox dies of stands in its --debug-log"),
    ABSENT("panic-signal", FLAG_ABSENT, "-1", "what a sandbox dies of stands in its --debug-log"),
    ABSENT("pause-external-networking", FLAG_ABSENT_BOOL, "false", "no packets leave the sandbox"),
    ABSENT("pcap-log", FLAG_ABSENT, "", "no packets leave the sandbox"),
    ABSENT("profile-block", FLAG_ABSENT, "", "use picket debug --profile-block FILE ID"),
    ABSENT("profile-cpu", FLAG_ABSENT, "", "use picket debug --profile-cpu FILE ID"),
    FLAG_NOTHING("profile-gc-interval", FLAG_IGNORED),
    ABSENT("profile-heap", FLAG_ABSENT, "", "use picket debug --profile-heap FILE ID"),
    ABSENT("profile-mutex", FLAG_ABSENT, "", "use picket debug --profile-mutex FILE ID"),
    ABSENT("profiling-metrics", FLAG_ABSENT, "", "see picket export-metrics and metric-server"),
    ABSENT("profiling-metrics-log", FLAG_ABSENT, "", "see picket export-metrics and metric-server"),
    FLAG_NOTHING("profiling-metrics-rate-us", FLAG_IGNORED),
    FLAG_NOTHING("qdisc", FLAG_IGNORED),
    FLAG_NOTHING("qdisc-tbf-burst", FLAG_IGNORED),
    FLAG_NOTHING("qdisc-tbf-rate", FLAG_IGNORED),
    ABSENT("rdmaproxy", FLAG_ABSENT_BOOL, "false", "no devices of the host are passed on"),
    FLAG_NOTHING("ref-leak-mode", FLAG_IGNORED),
    ABSENT("reproduce-nat", FLAG_ABSENT_BOOL, "false", "no packets leave the sandbox"),
    ABSENT("reproduce-nftables", FLAG_ABSENT_BOOL, "false", "no packets leave the sandbox"),
    FLAG_NOTHING("rx-checksum-offload", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("save-restore-netstack", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("shared-root", FLAG_IGNORED),
    FLAG_NOTHING("sidecar-release-enforcement-policy", FLAG_IGNORED),
    FLAG_NOTHING("software-gso", FLAG_IGNORED_BOOL),
    ABSENT("strace-event", FLAG_ABSENT_BOOL, "false",
           "calls are logged in --debug-log, or told by a trace session"),
    FLAG_NOTHING("systrap-disable-syscall-patching", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("TESTONLY-afs-syscall-panic", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("TESTONLY-allow-run-as-current-user-without-chroot", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("TESTONLY-test-name-env", FLAG_IGNORED),
    ABSENT("tpuproxy", FLAG_ABSENT_BOOL, "false", "no devices of the host are passed on"),
    ABSENT("trace", FLAG_ABSENT, "", "use picket debug --trace FILE ID"),
    FLAG_NOTHING("traceback", FLAG_IGNORED),
    FLAG_NOTHING("tx-checksum-offload", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("vfs2", FLAG_IGNORED_BOOL),
    ABSENT("watchdog-action", FLAG_ABSENT, "log", "no watchdog stops a sandbox"),
    FLAG_END,
};

/* Lives as long as the process. */
static const char *default_root(void)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    char *root = NULL;
    return run && *run && asprintf(&root, "%s/runsc", run) >= 0 ? root : "/var/run/runsc";
}

void config_init(struct config *config)
{
    *config = (struct config){0};
    flags_init(global_flags, config);
    config->root = default_root();
}

static int check_word(const char *flag, const char *value, const char *const *words, size_t count,
                      struct error *err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(value, words[i]) == 0)
            return 0;
    return error_set(err, EINVAL, "invalid value \"%s\" for flag -%s", value, flag);
}

static bool overlay_is_good(const char *text)
{
    const char *medium = strchr(text, ':');
    if (strcmp(text, "none") == 0)
        return true;
    size_t size = medium ? (size_t)(medium - text) : 0;
    if (!medium || !((size == 4 && strncmp(text, "root", 4) == 0) ||
                     (size == 3 && strncmp(text, "all", 3) == 0)))
        return false;
    medium++;
    size = strcspn(medium, ",");
    if (medium[size] && strncmp(medium + size, ",size=", 6) != 0)
        return false;
    return (size == 6 && strncmp(medium, "memory", 6) == 0) ||
           (size == 4 && strncmp(medium, "self", 4) == 0) || strncmp(medium, "dir=/", 5) == 0;
}

int config_check(struct config *config, struct error *err)
{
    static const char *const networks[] = {"sandbox", "host", "none", "plugin"};
    static const char *const accesses[] = {"exclusive", "shared"};
    static const char *const sockets[] = {"none", "open", "create", "all"};
    static const char *const fifos[] = {"none", "open"};
    static const char *const managers[] = {"", "cgroupfs", "systemd", "disabled"};
    static const char *const validations[] = {"enforce", "warning", "ignore"};
    static const char *const platform_names[] = {"", "systrap", "ptrace", "kvm", "script"};
    static const char *const formats[] = {"text", "json", "json-k8s"};
    if (check_word("log-format", config->log_format, formats, ARRAY_COUNT(formats), err) < 0 ||
        check_word("debug-log-format", config->debug_log_format, formats, ARRAY_COUNT(formats),
                   err) < 0 ||
        check_word("network", config->network, networks, ARRAY_COUNT(networks), err) < 0 ||
        check_word("file-access", config->file_access, accesses, ARRAY_COUNT(accesses), err) < 0 ||
        check_word("file-access-mounts", config->file_access_mounts, accesses,
                   ARRAY_COUNT(accesses), err) < 0 ||
        check_word("host-uds", config->host_uds, sockets, ARRAY_COUNT(sockets), err) < 0 ||
        check_word("host-fifo", config->host_fifo, fifos, ARRAY_COUNT(fifos), err) < 0 ||
        check_word("cgroup-manager", config->cgroup_manager, managers, ARRAY_COUNT(managers), err) <
            0 ||
        check_word("restore-spec-validation", config->restore_spec_validation, validations,
                   ARRAY_COUNT(validations), err) < 0 ||
        check_word("platform", config->platform, platform_names, ARRAY_COUNT(platform_names), err) <
            0)
        return -1;
    if (!*config->root)
        config->root = default_root();
    if (config->has_fsgofer_uds && strcmp(config->host_uds, "none") == 0)
        config->host_uds = "open";
    if (!overlay_is_good(config->overlay2))
        return error_set(err, EINVAL, "expected format is --overlay2={mount}:{medium}, got \"%s\"",
                         config->overlay2);
    if (config->overlay && strcmp(config->overlay2, "root:self") != 0)
        return error_set(err, EINVAL,
                         "overlay flag has been replaced with overlay2 flag, do not give both");
    if (strcmp(config->file_access, "shared") == 0 &&
        (config->overlay || strcmp(config->overlay2, "root:self") != 0) &&
        strcmp(config->overlay2, "none") != 0)
        return error_set(err, EINVAL,
                         "overlay flag is incompatible with shared file access for rootfs");
    return 0;
}

/* Flags that an annotation may set without --allow-flag-override. */
static bool override_is_open(const char *name, const char *value)
{
    static const char *const names[] = {"debug",
                                        "debug-to-user-log",
                                        "strace",
                                        "strace-syscalls",
                                        "strace-log-size",
                                        "host-uds",
                                        "net-disconnect-ok",
                                        "reproduce-nftables",
                                        "debug-command",
                                        "mount-cgroup-v2",
                                        "qdisc",
                                        "qdisc-tbf-rate",
                                        "qdisc-tbf-burst",
                                        "pause-external-networking",
                                        "allow-connected-on-save"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    if (strcmp(name, "oci-seccomp") == 0)
        return strcmp(value, "true") == 0;
    return strcmp(name, "overlay2") == 0 && !strstr(value, "dir=");
}

int config_override(struct config *config, const struct oci_spec *spec, struct error *err)
{
    static const char prefix[] = "dev.gvisor.flag.";
    for (size_t i = 0; i < spec->annotations.count; i++) {
        const char *name = spec->annotations.items[i].name;
        const char *value = spec->annotations.items[i].value;
        if (strncmp(name, prefix, sizeof prefix - 1) != 0)
            continue;
        name += sizeof prefix - 1;
        const struct flag *flag = flags_find(global_flags, name);
        if (!flag)
            return error_set(err, ENOENT, "flag \"%s\" not found. Cannot set it to \"%s\"", name,
                             value);
        if (!config->allows_flag_override && !override_is_open(name, value))
            return error_set(err, EPERM,
                             "flag override disabled, use --allow-flag-override to enable it");
        if (flags_set(flag, config, value ? value : "", err) < 0)
            return error_prefix(err, "annotation %s%s", prefix, name);
    }
    return config_check(config, err);
}
