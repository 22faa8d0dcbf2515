/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: name, words, one line of help, flags. The flags of each stand here, all in
 * one place. */
#include "cli/commands.h"

#include "cli/cli.h"

#include <string.h>

#define ROW(s, name, type, m, initially, usage) FLAG_ROW(name, type, struct s, m, initially, usage)

#define CREATE_FLAGS(s, prefix)                                                                   \
    ROW(s, "bundle", FLAG_STRING, prefix bundle, "",                                              \
        "folder of config.json; the working directory if empty"),                                 \
        ROW(s, "b", FLAG_STRING, prefix bundle, NULL, NULL),                                      \
        ROW(s, "console-socket", FLAG_STRING, prefix console_socket, "",                          \
            "unix socket that gets the terminal's master"),                                       \
        ROW(s, "pid-file", FLAG_STRING, prefix pid_file, "", "file that gets the sandbox's pid"), \
        ROW(s, "user-log", FLAG_STRING, prefix user_log, "",                                      \
            "file for what the container's user should know"),                                    \
        ROW(s, "pass-fd", FLAG_LIST, prefix pass_fds, NULL,                                       \
            "M:N, the host's descriptor M as the container's N"),                                 \
        ROW(s, "exec-fd", FLAG_INT, prefix exec_fd, "-1", "descriptor of the program to run"),    \
        FLAG_NOTHING("no-pivot", FLAG_IGNORED_BOOL),                                              \
        FLAG_NOTHING("no-new-keyring", FLAG_IGNORED_BOOL),                                        \
        ROW(s, "preserve-fds", FLAG_INT, prefix preserved_fds, "0",                               \
            "so many descriptors from 3 on are the container's too"),                             \
        ROW(s, "fs-restore-image-path", FLAG_STRING, prefix fs_image_path, "",                    \
            "folder of an image of fscheckpoint, to begin with"),                                 \
        FLAG_NOTHING("fs-restore-direct", FLAG_IGNORED_BOOL)

static const struct flag no_flags[] = {FLAG_END};
static const struct flag create_flags[] = {CREATE_FLAGS(create_options, ), FLAG_END};
static const struct flag run_flags[] = {
    CREATE_FLAGS(create_options, ),
    ROW(create_options, "detach", FLAG_BOOL, is_detached, "false", "return once it runs"),
    ROW(create_options, "d", FLAG_BOOL, is_detached, NULL, NULL),
    ROW(create_options, "keep", FLAG_BOOL, keeps, "false",
        "leave the stopped container, for delete"),
    FLAG_END,
};
static const struct flag restore_flags[] = {
    CREATE_FLAGS(restore_options, create.),
    ROW(restore_options, "detach", FLAG_BOOL, create.is_detached, "false", "return once it runs"),
    ROW(restore_options, "image-path", FLAG_STRING, image_path, "", "folder of the image"),
    ROW(restore_options, "direct", FLAG_BOOL, is_direct, "false",
        "read pages past the host's cache"),
    ROW(restore_options, "background", FLAG_BOOL, is_background, "false",
        "let pages come after the call"),
    FLAG_NOTHING("work-path", FLAG_IGNORED),
    FLAG_NOTHING("no-subreaper", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("ext-unix-sk", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("tcp-established", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("shell-job", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("file-locks", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("manage-cgroups-mode", FLAG_IGNORED),
    FLAG_END,
};
static const struct flag exec_flags[] = {
    ROW(exec_command_options, "cwd", FLAG_STRING, cwd, "", "working directory"),
    ROW(exec_command_options, "env", FLAG_LIST, env, NULL, "NAME=VALUE, may come often"),
    ROW(exec_command_options, "e", FLAG_LIST, env, NULL, NULL),
    ROW(exec_command_options, "user", FLAG_STRING, user, "", "UID[:GID]"),
    ROW(exec_command_options, "u", FLAG_STRING, user, NULL, NULL),
    ROW(exec_command_options, "additional-gids", FLAG_LIST, gids, NULL,
        "further group, may come often"),
    ROW(exec_command_options, "cap", FLAG_LIST, caps, NULL, "further capability, may come often"),
    ROW(exec_command_options, "c", FLAG_LIST, caps, NULL, NULL),
    ROW(exec_command_options, "detach", FLAG_BOOL, is_detached, "false", "return once it runs"),
    ROW(exec_command_options, "d", FLAG_BOOL, is_detached, NULL, NULL),
    ROW(exec_command_options, "tty", FLAG_BOOL, has_tty, "false", "it has a terminal"),
    ROW(exec_command_options, "t", FLAG_BOOL, has_tty, NULL, NULL),
    ROW(exec_command_options, "no-new-privs", FLAG_BOOL, no_new_privs, "false", "set no_new_privs"),
    ROW(exec_command_options, "process", FLAG_STRING, process, "",
        "file with an OCI process object"),
    ROW(exec_command_options, "p", FLAG_STRING, process, NULL, NULL),
    ROW(exec_command_options, "pid-file", FLAG_STRING, pid_file, "",
        "file for the pid that stands for it on the host"),
    ROW(exec_command_options, "internal-pid-file", FLAG_STRING, internal_pid_file, "",
        "file for its pid in the container"),
    ROW(exec_command_options, "console-socket", FLAG_STRING, console_socket, "",
        "unix socket that gets the terminal's master"),
    ROW(exec_command_options, "pass-fd", FLAG_LIST, pass_fds, NULL,
        "M:N, the host's descriptor M as its N"),
    ROW(exec_command_options, "exec-fd", FLAG_INT, exec_fd, "-1",
        "descriptor of the program to run"),
    ROW(exec_command_options, "preserve-fds", FLAG_INT, preserved_fds, "0",
        "so many descriptors from 3 on are its too"),
    FLAG_NOTHING("no-subreaper", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("apparmor", FLAG_IGNORED),
    FLAG_NOTHING("process-label", FLAG_IGNORED),
    FLAG_NOTHING("cgroup", FLAG_IGNORED),
    FLAG_NOTHING("ignore-paused", FLAG_IGNORED_BOOL),
    FLAG_END,
};
static const struct flag kill_flags[] = {
    ROW(kill_options, "all", FLAG_BOOL, is_all, "false", "to all processes of the container"),
    ROW(kill_options, "a", FLAG_BOOL, is_all, NULL, NULL),
    ROW(kill_options, "pid", FLAG_INT, pid, "0", "to this process of the container"),
    ROW(kill_options, "pgid", FLAG_INT, pgid, "0", "to this process group of the container"),
    FLAG_END,
};
static const struct flag delete_flags[] = {
    ROW(force_options, "force", FLAG_BOOL, is_forced, "false", "also when it runs"),
    ROW(force_options, "f", FLAG_BOOL, is_forced, NULL, NULL),
    FLAG_END,
};
static const struct flag list_flags[] = {
    ROW(list_options, "quiet", FLAG_BOOL, is_quiet, "false", "ids alone"),
    ROW(list_options, "q", FLAG_BOOL, is_quiet, NULL, NULL),
    ROW(list_options, "format", FLAG_STRING, format, "text", "text or json"),
    ROW(list_options, "f", FLAG_STRING, format, NULL, NULL),
    ROW(list_options, "sandbox", FLAG_BOOL, is_sandbox, "false", "sandboxes alone"),
    FLAG_END,
};
static const struct flag ps_flags[] = {
    ROW(ps_options, "format", FLAG_STRING, format, "table", "table or json"),
    ROW(ps_options, "f", FLAG_STRING, format, NULL, NULL),
    FLAG_END,
};
static const struct flag events_flags[] = {
    ROW(events_options, "interval", FLAG_STRING, interval, "5",
        "seconds, or a duration, between samples"),
    ROW(events_options, "stats", FLAG_BOOL, is_once, "false", "one sample"),
    FLAG_END,
};
static const struct flag wait_flags[] = {
    ROW(wait_options, "pid", FLAG_INT, pid, "-1", "a process of the container"),
    ROW(wait_options, "rootpid", FLAG_INT, root_pid, "-1", "a process as the sandbox numbers it"),
    ROW(wait_options, "checkpoint", FLAG_BOOL, is_checkpoint, "false", "the next checkpoint"),
    ROW(wait_options, "restore", FLAG_BOOL, is_restore, "false", "the end of the restore"),
    ROW(wait_options, "fscheckpoint", FLAG_BOOL, is_fs_checkpoint, "false",
        "the next checkpoint of file systems"),
    ROW(wait_options, "fsrestore", FLAG_BOOL, is_fs_restore, "false",
        "until the container has its file systems"),
    FLAG_END,
};
static const struct flag port_forward_flags[] = {
    ROW(port_forward_options, "stream", FLAG_STRING, stream, "",
        "forward one connection, to the unix socket here"),
    FLAG_END,
};
static const struct flag fscheckpoint_flags[] = {
    ROW(fscheckpoint_options, "image-path", FLAG_STRING, image_path, "", "folder for the image"),
    ROW(fscheckpoint_options, "leave-running", FLAG_BOOL, leaves_running, "false",
        "go on after it"),
    ROW(fscheckpoint_options, "direct", FLAG_BOOL, is_direct, "false",
        "write pages past the host's cache"),
    ROW(fscheckpoint_options, "path", FLAG_LIST, paths, NULL,
        "[NAME:]PATH of a mount to save, or all-tmpfs; may come often; else the roots"),
    FLAG_END,
};
static const struct flag checkpoint_flags[] = {
    ROW(checkpoint_options, "image-path", FLAG_STRING, image_path, "", "folder for the image"),
    ROW(checkpoint_options, "leave-running", FLAG_BOOL, leaves_running, "false", "go on after it"),
    ROW(checkpoint_options, "compression", FLAG_STRING, compression, "flate-best-speed",
        "none or flate-best-speed"),
    ROW(checkpoint_options, "exclude-committed-zero-pages", FLAG_BOOL, excludes_zero, "false",
        "leave pages of zeros out"),
    ROW(checkpoint_options, "direct", FLAG_BOOL, is_direct, "false",
        "write pages past the host's cache"),
    FLAG_NOTHING("work-path", FLAG_IGNORED),
    FLAG_NOTHING("parent-path", FLAG_IGNORED),
    FLAG_NOTHING("tcp-established", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("ext-unix-sk", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("shell-job", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("file-locks", FLAG_IGNORED_BOOL),
    FLAG_NOTHING("manage-cgroups-mode", FLAG_IGNORED),
    FLAG_NOTHING("page-server", FLAG_IGNORED),
    FLAG_NOTHING("empty-ns", FLAG_IGNORED),
    FLAG_ABSENT_ROW("save-restore-exec-argv", FLAG_ABSENT, struct checkpoint_options, absent, "",
                    "nothing is run in the container before and after"),
    FLAG_NOTHING("save-restore-exec-timeout", FLAG_IGNORED),
    FLAG_END,
};
static const struct flag spec_flags[] = {
    ROW(spec_options, "bundle", FLAG_STRING, bundle, ".", "folder for config.json"),
    ROW(spec_options, "b", FLAG_STRING, bundle, NULL, NULL),
    ROW(spec_options, "cwd", FLAG_STRING, cwd, "/", "working directory"),
    ROW(spec_options, "netns", FLAG_STRING, netns, "", "network namespace to join"),
    FLAG_END,
};
static const struct flag do_flags[] = {
    ROW(do_options, "root", FLAG_STRING, root, "/", "the root file system"),
    ROW(do_options, "cwd", FLAG_STRING, cwd, ".", "working directory"),
    FLAG_ABSENT_ROW("ip", FLAG_ABSENT, struct do_options, absent, "192.168.10.2",
                    "the network inside is a loopback"),
    ROW(do_options, "quiet", FLAG_BOOL, is_quiet, "false", "no notes"),
    ROW(do_options, "force-overlay", FLAG_BOOL, has_overlay, "true", "changes stay in memory"),
    FLAG_ABSENT_ROW("uid-map", FLAG_ABSENT, struct do_options, absent, "",
                    "users inside are those of the host"),
    FLAG_ABSENT_ROW("gid-map", FLAG_ABSENT, struct do_options, absent, "",
                    "users inside are those of the host"),
    ROW(do_options, "erofs", FLAG_STRING, image, "", "an EROFS image as the root file system"),
    ROW(do_options, "volume", FLAG_LIST, volumes, NULL, "SRC[:DST], may come often"),
    FLAG_END,
};
static const struct flag usage_flags[] = {
    ROW(usage_options, "full", FLAG_BOOL, is_full, "false", "by category"),
    ROW(usage_options, "fd", FLAG_BOOL, is_fd, "false", "from the sandbox's usage file"),
    FLAG_END,
};
static const struct flag debug_flags[] = {
    ROW(debug_options, "pid", FLAG_INT, pid, "0", "the sandbox's pid in place of an id"),
    ROW(debug_options, "stacks", FLAG_BOOL, has_stacks, "false", "stacks of all tasks"),
    ROW(debug_options, "signal", FLAG_INT, signo, "-1", "signal for the sandbox's process"),
    ROW(debug_options, "strace", FLAG_STRING, strace, "", "off, all, or a list of calls"),
    ROW(debug_options, "log-level", FLAG_STRING, log_level, "", "warning (0), info (1), debug (2)"),
    ROW(debug_options, "log-packets", FLAG_STRING, log_packets, "", "true or false"),
    ROW(debug_options, "ps", FLAG_BOOL, has_ps, "false", "all processes"),
    ROW(debug_options, "mount", FLAG_STRING, mount, "", "FSTYPE:SOURCE:DESTINATION"),
    ROW(debug_options, "profile-cpu", FLAG_STRING, profile_cpu, "", "file"),
    ROW(debug_options, "profile-heap", FLAG_STRING, profile_heap, "", "file"),
    ROW(debug_options, "profile-block", FLAG_STRING, profile_block, "", "file"),
    ROW(debug_options, "profile-mutex", FLAG_STRING, profile_mutex, "", "file"),
    ROW(debug_options, "trace", FLAG_STRING, trace, "", "file"),
    ROW(debug_options, "duration", FLAG_DURATION, duration, "1h", "of profiles"),
    ROW(debug_options, "delay", FLAG_DURATION, delay, "1h", "before a heap profile"),
    FLAG_END,
};
static const struct flag read_flags[] = {
    ROW(read_options, "offset", FLAG_INT, offset, "0", "of the first byte"),
    ROW(read_options, "size", FLAG_INT, size, "0", "bytes at most; 0: all"),
    FLAG_END,
};
static const struct flag statefile_flags[] = {
    ROW(statefile_options, "get", FLAG_STRING, get, "", "print the value of this key"),
    ROW(statefile_options, "list", FLAG_BOOL, is_list, "false", "print the keys"),
    FLAG_ABSENT_ROW("key", FLAG_ABSENT, struct statefile_options, absent, "",
                    "images are not signed"),
    FLAG_END,
};
static const struct flag export_flags[] = {
    ROW(export_options, "exporter-prefix", FLAG_STRING, prefix, "runsc_", "before each name"),
    ROW(export_options, "sandbox-metrics-filter", FLAG_STRING, filter, "",
        "regular expression of names"),
    FLAG_END,
};
static const struct flag metric_server_flags[] = {
    ROW(metric_server_options, "exporter-prefix", FLAG_STRING, prefix, "runsc_",
        "before each name"),
    ROW(metric_server_options, "pid-file", FLAG_STRING, pid_file, "", "file for its pid"),
    ROW(metric_server_options, "allow-unknown-root", FLAG_BOOL, allows_unknown_root, "false",
        "health checks may name another root"),
    FLAG_ABSENT_ROW("allow-profiling", FLAG_ABSENT_BOOL, struct metric_server_options, absent,
                    "false", "the server has no profiles to serve"),
    FLAG_END,
};
static const struct flag update_flags[] = {
    ROW(update_options, "resources", FLAG_STRING, resources, "",
        "file with JSON of limits, - for standard input"),
    ROW(update_options, "r", FLAG_STRING, resources, NULL, NULL),
    ROW(update_options, "blkio-weight", FLAG_STRING, values[UPDATE_BLKIO_WEIGHT], "",
        "block IO weight"),
    ROW(update_options, "cpu-period", FLAG_STRING, values[UPDATE_CPU_PERIOD], "", "microseconds"),
    ROW(update_options, "cpu-quota", FLAG_STRING, values[UPDATE_CPU_QUOTA], "",
        "microseconds a period"),
    ROW(update_options, "cpu-share", FLAG_STRING, values[UPDATE_CPU_SHARES], "", "relative weight"),
    ROW(update_options, "cpuset-cpus", FLAG_STRING, values[UPDATE_CPUSET_CPUS], "", "list"),
    ROW(update_options, "cpuset-mems", FLAG_STRING, values[UPDATE_CPUSET_MEMS], "", "list"),
    ROW(update_options, "memory", FLAG_STRING, values[UPDATE_MEMORY], "", "bytes"),
    ROW(update_options, "memory-reservation", FLAG_STRING, values[UPDATE_MEMORY_RESERVATION], "",
        "bytes"),
    ROW(update_options, "memory-swap", FLAG_STRING, values[UPDATE_MEMORY_SWAP], "",
        "bytes, memory included"),
    ROW(update_options, "pids-limit", FLAG_STRING, values[UPDATE_PIDS], "", "processes"),
    ROW(update_options, "cpu-burst", FLAG_STRING, values[UPDATE_CPU_BURST], "", "microseconds"),
    ROW(update_options, "cpu-idle", FLAG_STRING, values[UPDATE_CPU_IDLE], "",
        "1: only when nothing else runs"),
    ROW(update_options, "cpu-rt-period", FLAG_STRING, values[UPDATE_CPU_RT_PERIOD], "",
        "microseconds"),
    ROW(update_options, "cpu-rt-runtime", FLAG_STRING, values[UPDATE_CPU_RT_RUNTIME], "",
        "microseconds a period"),
    FLAG_END,
};
static const struct flag help_flags[] = {
    ROW(help_options, "format", FLAG_STRING, format, "table",
        "of help syscalls: table, csv or json"),
    ROW(help_options, "filename", FLAG_STRING, file, "", "write there"),
    FLAG_NOTHING("os", FLAG_IGNORED),
    FLAG_NOTHING("arch", FLAG_IGNORED),
    FLAG_END,
};

#define COMMAND(name, words, synopsis, flags, options)             \
    {                                                              \
#name, words, synopsis, flags, sizeof(options), cmd_##name \
    }
/* A name with a dash. */
#define COMMAND_AS(name, function, words, synopsis, flags, options)   \
    {                                                                 \
        name, words, synopsis, flags, sizeof(options), cmd_##function \
    }
struct nothing {
    u8 unused;
};

const struct command commands[] = {
    COMMAND(checkpoint, "ID", "save a container's state to an image", checkpoint_flags,
            struct checkpoint_options),
    COMMAND(create, "ID", "make a container that start can start", create_flags,
            struct create_options),
    COMMAND(debug, "ID", "look into a sandbox", debug_flags, struct debug_options),
    COMMAND(delete, "ID...", "delete containers that have stopped", delete_flags,
            struct force_options),
    COMMAND(do, "CMD...", "run a command on this machine's files, in a sandbox", do_flags,
            struct do_options),
    COMMAND(events, "ID", "print usage and limits of a container", events_flags,
            struct events_options),
    COMMAND(exec, "ID CMD...", "run a further process in a container", exec_flags,
            struct exec_command_options),
    COMMAND_AS("export-metrics", export_metrics, "ID", "print a sandbox's metrics", export_flags,
               struct export_options),
    COMMAND(features, "", "print what this runtime can do", no_flags, struct nothing),
    COMMAND(flags, "[COMMAND]", "print flags", no_flags, struct nothing),
    COMMAND(fscheckpoint, "ID", "save what containers wrote to memory, without processes",
            fscheckpoint_flags, struct fscheckpoint_options),
    COMMAND(help, "[COMMAND]", "print help", help_flags, struct help_options),
    COMMAND(kill, "ID [SIGNAL]", "send a signal to a container", kill_flags, struct kill_options),
    COMMAND(list, "", "list containers", list_flags, struct list_options),
    COMMAND_AS("metric-metadata", metric_metadata, "", "print what metrics there are", no_flags,
               struct nothing),
    COMMAND_AS("metric-server", metric_server, "", "serve the metrics of all sandboxes by HTTP",
               metric_server_flags, struct metric_server_options),
    COMMAND(pause, "ID", "stop all tasks of a container for a while", no_flags, struct nothing),
    COMMAND(platform, "probe", "print what platforms there are here, and what programs see of each",
            no_flags, struct nothing),
    COMMAND_AS("port-forward", port_forward, "ID [LOCAL:]REMOTE",
               "forward a local port to one of a container", port_forward_flags,
               struct port_forward_options),
    COMMAND(ps, "ID", "print a container's processes", ps_flags, struct ps_options),
    COMMAND(read, "ID PATH", "print a file of a container", read_flags, struct read_options),
    COMMAND_AS("read-control", read_control, "ID CONTROLLER CGROUP NAME",
               "print a control file of the sandbox", no_flags, struct nothing),
    COMMAND(restore, "ID", "make a container from an image", restore_flags, struct restore_options),
    COMMAND(resume, "ID", "let a paused container go on", no_flags, struct nothing),
    COMMAND(run, "ID", "create and start a container", run_flags, struct create_options),
    COMMAND(spec, "[-- ARGS...]", "write an example of config.json", spec_flags,
            struct spec_options),
    COMMAND(start, "ID", "start a container that create made", no_flags, struct nothing),
    COMMAND(state, "ID", "print a container's state", no_flags, struct nothing),
    COMMAND(statefile, "FILE", "print what an image says of itself", statefile_flags,
            struct statefile_options),
    COMMAND(tar, "rootfs-upper [-file FILE] ID", "what a container has changed, as an archive",
            no_flags, struct nothing),
    COMMAND(trace, "create|delete|list|procfs ID, metadata, collect SOCKET",
            "trace sessions: tell others what tasks do", no_flags, struct nothing),
    COMMAND(update, "ID", "change a container's limits", update_flags, struct update_options),
    COMMAND(usage, "ID", "print a sandbox's memory by use", usage_flags, struct usage_options),
    COMMAND(wait, "ID", "wait for a container's end", wait_flags, struct wait_options),
    COMMAND_AS("write-control", write_control, "ID CONTROLLER CGROUP NAME VALUE",
               "change a control file of the sandbox", no_flags, struct nothing),
    {.name = NULL},
};

const struct command *command_find(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}
