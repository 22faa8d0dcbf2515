/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox process: `picket boot FLAGS ID`, an internal command. boot.c reads flags and
 * descriptors, moves the process into its empty root, gives up user, capabilities and the right to
 * gain any, and calls sandbox_main. That one makes host, platform, kernel, loader and controller,
 * closes the last door with boot_confine, tells the runtime that it is ready, and runs until the
 * root container has ended.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "loader/loader.h"

#define BOOT_PASSED_MAX 128u
#define BOOT_MOUNTS_MAX 256u

enum boot_network { BOOT_NETWORK_SANDBOX, BOOT_NETWORK_HOST, BOOT_NETWORK_NONE };

/* Everything a sandbox needs. Descriptors are -1 when absent; all are the callee's to take. */
struct sandbox_options {
    const char *container_id; /* the root container's, which is the sandbox's */
    const char *bundle;
    const char
        *spec_text; /* the root container's config.json, with what the runtime resolved in it */
    size_t spec_size;
    const char *version; /* runsc_version of images */

    /* the machine */
    const char *platform;      /* "ptrace", "kvm", "script" */
    int platform_fd;           /* the opened device of kvm */
    const char *platform_else; /* if that one cannot be made; "": there is no other choice */
    u32 cpu_count;             /* logical cpus, at least 1 */
    u64 memory_total;          /* bytes that /proc/meminfo shows; 0: unknown */
    const char *overlay; /* "none" or "MOUNT:MEDIUM" as --overlay2 had it; confs below are decided
                            already */

    /* the root container: see struct container_args */
    int stdio[3];   /* the terminal's replica three times when console_fd is set */
    int console_fd; /* the same replica: controlling terminal of the first process */
    int signal_fd;  /* signals of that terminal, if the sandbox leads its session:
                       console_signals_start */
    struct gofer_mount_conf
        confs[BOOT_MOUNTS_MAX]; /* the root's, then each bind mount's in spec order */
    u32 conf_count;
    int gofers[BOOT_MOUNTS_MAX]; /* SOCK_SEQPACKET, wire/gofer */
    u32 gofer_count;
    int filestores[BOOT_MOUNTS_MAX];
    u32 filestore_count;
    struct passed_fd passed[BOOT_PASSED_MAX];
    u32 passed_count;
    int exec_fd;
    int fs_image[FS_SAVE_FILES]; /* the first -1: none */

    /* control */
    int control_fds[2]; /* listening stream sockets: the path's, the abstract name's */
    u32 control_uid;    /* whose connections to serve besides root's: the abstract name has no file
                           mode */
    int ready_fd;       /* pipe: see boot_ready, boot_failed */
    int status_fd;      /* pipe: 4 bytes, the root container's wait status, when it has ended */

    /* what the operator sees */
    int log_fd;             /* --debug-log's file; lines as runtime/log.h formats them */
    const char *log_format; /* text, json, json-k8s */
    int user_log_fd;        /* json-k8s lines of unimplemented calls */
    bool is_debug;
    bool has_strace;
    const char *strace_syscalls; /* "" all, or a comma list */
    u32 strace_size_max;         /* bytes shown of each blob */

    enum boot_network network;
    bool keeps_net_raw;
    bool is_root_shared;
    bool are_mounts_shared;
    enum spec_policy spec_policy; /* of a restore */
    bool has_oci_seccomp;         /* linux.seccomp is applied inside */
    bool has_profile;
    bool has_host_sockets; /* the gofer would connect */
    bool is_rootless;
    bool has_filter; /* false with --debug-no-filter: boot_confine does nothing */
};

/*
 * Runs the sandbox; returns the exit status of its process: the root container's exit code, 128 + n
 * when signal n killed it. On failure before boot_ready: boot_failed has been called, and any
 * value.
 */
int sandbox_main(const struct sandbox_options *options);

/*
 * Install the seccomp filter on all threads, once everything is open and started that needs calls
 * which the filter forbids. Last step before guest code may run. -1: the sandbox must not go on.
 */
MUST_CHECK int boot_confine(const struct sandbox_options *options, const char *platform,
                            struct error *err);
/* The control socket is being served: the runtime goes on. */
void boot_ready(const struct sandbox_options *options);
/* The runtime prints this and undoes everything. */
void boot_failed(const struct sandbox_options *options, const struct error *err);
/* The root container has ended with this wait status (before sandbox_main returns). */
void boot_status(const struct sandbox_options *options, u32 wait_status);
/* 128 + signal, or the exit code. */
int boot_exit_code(u32 wait_status);

/* The command: ARGV[0] is "boot". Does not return on success but through exit. */
int boot_command(int argc, char **argv);
