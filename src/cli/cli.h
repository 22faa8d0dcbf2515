/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: global flags, then a command with flags of its own. A command is one file
 * cmd_NAME.c with one row in commands.c; it parses words, calls runtime/, prints, and returns the
 * exit status.
 */
#pragma once
#include "base/error.h"
#include "cli/flags.h"
#include "runtime/config.h"
#include "runtime/container.h"

/* The runtime's own failures; a program's status is below. */
#define EXIT_FAILED 128
#define EXIT_UNKNOWN_GLOBAL_FLAG 2

struct cli {
    struct config config;
    const struct command *command;
};

struct command {
    const char *name;
    const char *words;    /* behind the name in a usage line */
    const char *synopsis; /* one line; NULL: an inner command, not listed */
    const struct flag *flags;
    size_t options_size;
    int (*run)(struct cli *cli, const void *options, int argc, char **argv);
};
/* Ends with a row without name. */
extern const struct command commands[];
const struct command *command_find(const char *name);

extern const struct flag global_flags[];
/* Defaults, those that depend on the environment included. */
void config_init(struct config *config);
/* Values that cannot be; older flags become what they stand for. */
MUST_CHECK int config_check(struct config *config, struct error *err);
/* dev.gvisor.flag.NAME annotations change a copy of the flags. */
MUST_CHECK int config_override(struct config *config, const struct oci_spec *spec,
                               struct error *err);

/* The program. */
int cli_main(int argc, char **argv);
/* Print ERR on standard error and in the error file; EXIT_FAILED. */
int cli_fail(const struct cli *cli, const struct error *err);
/* The command was used wrongly: its usage line. */
int cli_usage(const struct cli *cli);
/* Opened for a command that works on existing containers, which ID (maybe short) names; closes on
 * failure. */
MUST_CHECK int cli_container(struct cli *cli, const char *id, bool has_check,
                             struct runtime *runtime, struct record **record, struct error *err);
/* Where a sandbox is made: lines about flags that ask for what is not there. */
void cli_warn(const struct config *config);
/*
 * For a new container ID: read, parse, check and resolve GIVEN/config.json; *BUNDLE is the folder's
 * absolute path (free it). Applies annotations' flags.
 */
MUST_CHECK int cli_bundle(struct cli *cli, const char *id, const char *given, char **bundle,
                          struct oci_spec **spec, struct error *err);
/* The whole file at PATH ("-": standard input), terminated; free with free. */
MUST_CHECK int cli_read_file(const char *path, char **out, size_t *size, struct error *err);
/* "M:N" or "N", perhaps several with commas, into pairs; and the PRESERVED descriptors from 3 on,
 * under their own numbers. */
MUST_CHECK int cli_pass_fds(const struct flag_list *list, i64 preserved, int *hosts, int *guests,
                            u32 *count, struct error *err);
/* Name or number of a signal; -1. */
int signal_parse(const char *text);

/* Go's tabwriter: cells at least MINIMUM wide, three blanks between; the last one is not padded.
 * ROWS of COLUMNS. */
void table_print(const char *const *cells, u32 rows, u32 columns, u32 minimum);

/* Common to create, run and restore. */
struct create_options {
    const char *bundle;
    const char *console_socket;
    const char *pid_file;
    const char *user_log;
    const char *fs_image_path;
    bool is_detached;
    bool keeps;
    struct flag_list pass_fds;
    i64 preserved_fds;
    i64 exec_fd;
};
/* Fills in what create needs; SPEC and BUNDLE are cli_bundle's. */
MUST_CHECK int create_args_fill(const struct create_options *options, const char *id,
                                const char *bundle, struct oci_spec *spec, struct create_args *out,
                                struct error *err);
/* run and do: create, start, and unless detached wait and delete. The exit status. */
int cli_run(struct cli *cli, struct runtime *runtime, const struct create_args *args);

#define COMMAND(name) int cmd_##name(struct cli *cli, const void *options, int argc, char **argv)
COMMAND(checkpoint);
COMMAND(fscheckpoint);
COMMAND(create);
COMMAND(debug);
COMMAND(delete);
COMMAND(do);
COMMAND(events);
COMMAND(exec);
COMMAND(export_metrics);
COMMAND(features);
COMMAND(flags);
COMMAND(help);
COMMAND(kill);
COMMAND(list);
COMMAND(metric_metadata);
COMMAND(metric_server);
COMMAND(pause);
COMMAND(platform);
COMMAND(port_forward);
COMMAND(ps);
COMMAND(read);
COMMAND(read_control);
COMMAND(restore);
COMMAND(resume);
COMMAND(run);
COMMAND(spec);
COMMAND(start);
COMMAND(state);
COMMAND(statefile);
COMMAND(tar);
COMMAND(trace);
COMMAND(update);
COMMAND(usage);
COMMAND(wait);
COMMAND(write_control);
#undef COMMAND
