/* SPDX-License-Identifier: Apache-2.0 */
/* What each command's flags are read into. */
#pragma once
#include "cli/cli.h"

struct restore_options {
    struct create_options create;
    const char *image_path;
    bool is_direct;
    bool is_background;
};
struct exec_command_options {
    const char *cwd;
    const char *user;
    struct flag_list env, gids, caps, pass_fds;
    bool is_detached;
    bool has_tty;
    bool no_new_privs;
    const char *process;
    const char *pid_file, *internal_pid_file, *console_socket;
    i64 preserved_fds;
    i64 exec_fd;
};
struct kill_options {
    bool is_all;
    i64 pid, pgid;
};
struct force_options {
    bool is_forced;
};
struct list_options {
    bool is_quiet, is_sandbox;
    const char *format;
};
struct ps_options {
    const char *format;
};
struct events_options {
    const char *interval;
    bool is_once;
};
struct wait_options {
    i64 pid, root_pid;
    bool is_checkpoint, is_restore, is_fs_checkpoint, is_fs_restore;
};
struct fscheckpoint_options {
    const char *image_path;
    bool leaves_running, is_direct;
    struct flag_list paths;
};
struct port_forward_options {
    const char *stream;
};
struct checkpoint_options {
    const char *image_path;
    const char *compression;
    bool leaves_running, excludes_zero, is_direct;
    struct flag_list absent;
};
struct spec_options {
    const char *bundle, *cwd, *netns;
};
struct do_options {
    const char *root, *cwd;
    const char *image; /* EROFS, in place of root; "" none */
    bool is_quiet, has_overlay;
    struct flag_list volumes, absent;
};
struct usage_options {
    bool is_full, is_fd;
};
struct debug_options {
    i64 pid, signo;
    bool has_stacks, has_ps;
    const char *strace, *log_level, *log_packets, *mount;
    const char *profile_cpu, *profile_heap, *profile_block, *profile_mutex, *trace;
    i64 duration, delay;
};
struct read_options {
    i64 offset, size;
};
struct statefile_options {
    const char *get;
    bool is_list;
    struct flag_list absent;
};
struct export_options {
    const char *prefix, *filter;
};
struct metric_server_options {
    const char *prefix, *pid_file;
    bool allows_unknown_root;
    struct flag_list absent;
};
enum update_value {
    UPDATE_BLKIO_WEIGHT,
    UPDATE_CPU_BURST,
    UPDATE_CPU_IDLE,
    UPDATE_CPU_PERIOD,
    UPDATE_CPU_QUOTA,
    UPDATE_CPU_SHARES,
    UPDATE_CPU_RT_PERIOD,
    UPDATE_CPU_RT_RUNTIME,
    UPDATE_CPUSET_CPUS,
    UPDATE_CPUSET_MEMS,
    UPDATE_MEMORY,
    UPDATE_MEMORY_RESERVATION,
    UPDATE_MEMORY_SWAP,
    UPDATE_PIDS,
    UPDATE_COUNT,
};
struct update_options {
    const char *resources;
    const char *values[UPDATE_COUNT];
};
struct help_options {
    const char *format, *file;
};
