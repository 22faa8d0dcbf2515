/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags before the command. The names and defaults are gVisor's; a row without a member is
 * accepted, so that callers need not know which sandbox they talk to, and does nothing.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GLOBAL(name, type, m, initially, usage) \
    FLAG_ROW(name, type, struct config, m, initially, usage)

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
    FLAG_NOTHING("allow-packet-socket-write", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("allow-rootfs-tar-annotation", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("allow-suid", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("app-huge-pages", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("buffer-pooling", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("cgroupfs", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("character-device-policy", FLAG_IGNORED),
    FLAG_NOTHING("control-rpc-stop-timeout", FLAG_IGNORED),
    FLAG_NOTHING("coverage-fd", FLAG_IGNORED),
    FLAG_NOTHING("coverage-report", FLAG_IGNORED),
    FLAG_NOTHING("dcache", FLAG_IGNORED),
    FLAG_NOTHING("debug-to-user-log", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("directfs", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("enable-core-tags", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("EXPERIMENTAL-xdp", FLAG_IGNORED),
    FLAG_NOTHING("EXPERIMENTAL-xdp-need-wakeup", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("final-metrics-log", FLAG_IGNORED),
    FLAG_NOTHING("fsgofer-host-uds", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("fuse", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("gofer-network-namespace", FLAG_IGNORED),
    FLAG_NOTHING("gso", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("gvisor-gro", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("gvisor-marker-file", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("host-settings", FLAG_IGNORED),
    FLAG_NOTHING("iouring", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("kvm-use-cpu-nums", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("lisafs", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("log-packets", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("mount-cgroup-v2", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("net-disconnect-ok", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("network-processors-per-channel", FLAG_IGNORED),
    FLAG_NOTHING("num-network-channels", FLAG_IGNORED),
    FLAG_NOTHING("nvproxy", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("nvproxy-allowed-driver-capabilities", FLAG_IGNORED),
    FLAG_NOTHING("nvproxy-docker", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("nvproxy-driver-version", FLAG_IGNORED),
    FLAG_NOTHING("override-procs", FLAG_IGNORED),
    FLAG_NOTHING("panic-log", FLAG_IGNORED),
    FLAG_NOTHING("panic-log-fd", FLAG_IGNORED),
    FLAG_NOTHING("panic-signal", FLAG_IGNORED),
    FLAG_NOTHING("pause-external-networking", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("pcap-log", FLAG_IGNORED),
    FLAG_NOTHING("profile-block", FLAG_IGNORED),
    FLAG_NOTHING("profile-cpu", FLAG_IGNORED),
    FLAG_NOTHING("profile-gc-interval", FLAG_IGNORED),
    FLAG_NOTHING("profile-heap", FLAG_IGNORED),
    FLAG_NOTHING("profile-mutex", FLAG_IGNORED),
    FLAG_NOTHING("profiling-metrics", FLAG_IGNORED),
    FLAG_NOTHING("profiling-metrics-log", FLAG_IGNORED),
    FLAG_NOTHING("profiling-metrics-rate-us", FLAG_IGNORED),
    FLAG_NOTHING("qdisc", FLAG_IGNORED),
    FLAG_NOTHING("qdisc-tbf-burst", FLAG_IGNORED),
    FLAG_NOTHING("qdisc-tbf-rate", FLAG_IGNORED),
    FLAG_NOTHING("rdmaproxy", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("ref-leak-mode", FLAG_IGNORED),
    FLAG_NOTHING("reproduce-nat", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("reproduce-nftables", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("rx-checksum-offload", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("save-restore-netstack", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("shared-root", FLAG_IGNORED),
    FLAG_NOTHING("sidecar-release-enforcement-policy", FLAG_IGNORED),
    FLAG_NOTHING("software-gso", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("strace-event", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("systrap-disable-syscall-patching", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("TESTONLY-afs-syscall-panic", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("TESTONLY-allow-run-as-current-user-without-chroot", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("TESTONLY-test-name-env", FLAG_IGNORED),
    FLAG_NOTHING("tpuproxy", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("trace", FLAG_IGNORED),
    FLAG_NOTHING("traceback", FLAG_IGNORED),
    FLAG_NOTHING("tx-checksum-offload", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("vfs2", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("watchdog-action", FLAG_IGNORED),
    FLAG_END,
};

void config_init(struct config *config)
{
    *config = (struct config){0};
    flags_init(global_flags, config);
    const char *run = getenv("XDG_RUNTIME_DIR");
    char *root = NULL;
    if (run && *run && asprintf(&root, "%s/runsc", run) >= 0)
        config->root = root;
    else
        config->root = "/var/run/runsc";
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

int config_check(const struct config *config, struct error *err)
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
