/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The global flags, as the host side uses them. cli/global_flags.c fills this in; strings are lent
 * from the command line. Flags that change nothing here (links' offloads, profiles of Go, …) have
 * no member.
 */
#pragma once
#include "base/base.h"

#define PICKET_VERSION "picket-0.1.0"

#define FLAG_LIST_MAX 64u
/* The values of a flag that may come many times. */
struct flag_list {
    const char *items[FLAG_LIST_MAX];
    u32 count;
};

struct config {
    const char *root;       /* records and control sockets */
    const char *log;        /* the runtime's error file; "" none */
    i64 log_fd;             /* the same by descriptor; -1 none */
    const char *log_format; /* text, json */
    bool is_debug;
    const char *debug_log; /* file or directory name with %COMMAND% and so on; "" none */
    const char *debug_log_format;
    i64 debug_log_fd;
    const char *debug_command; /* "" all; "a,b" only; "!a,b" all but */
    bool also_log_to_stderr;

    bool has_strace;
    const char *strace_syscalls;
    u64 strace_log_size;

    const char *platform; /* "" or systrap: the best one there is */
    const char *platform_device;
    const char *network; /* sandbox, host, none */
    bool keeps_net_raw;

    const char *overlay2;           /* none, or MOUNT:MEDIUM */
    bool overlay;                   /* the older flag: all:memory */
    const char *file_access;        /* exclusive, shared */
    const char *file_access_mounts; /* shared, exclusive */
    const char *host_uds;           /* none, open, create, all */
    const char *host_fifo;          /* none, open */
    i64 fd_limit;

    bool is_rootless;
    bool ignores_cgroups;
    bool has_systemd_cgroup;
    const char *cgroup_manager; /* "", cgroupfs, systemd, disabled */
    bool cpu_num_from_quota;
    const char *pod_init_config; /* file with a trace session for new sandboxes; "" none */
    bool has_oci_seccomp;        /* linux.seccomp is applied inside */
    bool has_profile;
    bool allows_flag_override;
    const char *restore_spec_validation; /* enforce, warning, ignore */
    const char *metric_server;
    bool has_fsgofer_uds;    /* an older flag: host-uds=open */
    struct flag_list absent; /* names of flags that ask for what is not there */
    bool has_no_filter;      /* --debug-no-filter: the sandbox without its seccomp filter */
};

/* "picket" binary of this process, opened: for starting it again under whatever root. */
#define SELF_EXE "/proc/self/exe"
