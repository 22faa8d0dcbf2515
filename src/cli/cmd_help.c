/* SPDX-License-Identifier: Apache-2.0 */
/* help, flags, features: what there is. */
#include "base/buf.h"
#include "cli/commands.h"
#include "runtime/hooks.h"
#include "sentry/syscalls/syscalls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_commands(void)
{
    puts("Usage: picket [flags] COMMAND [flags] [arguments]\n\nCommands:");
    for (const struct command *command = commands; command->name; command++)
        printf("  %-12s %s\n", command->name, command->synopsis);
    puts("\nFurther topics: help platforms, help syscalls.\nGlobal flags: picket flags; a "
         "command's: picket help COMMAND.");
}

static void print_platforms(void)
{
#define PLATFORM(name) puts(#name);
#include "platform/platforms.def"
#undef PLATFORM
}

static void print_syscalls(FILE *out, const char *format)
{
    static const char *const supports[] = {[SUPPORT_NONE] = "Unimplemented",
                                           [SUPPORT_FULL] = "Full Support",
                                           [SUPPORT_PARTIAL] = "Partial Support",
                                           [SUPPORT_REFUSED] = "Unimplemented"};
    bool is_json = strcmp(format, "json") == 0, is_csv = strcmp(format, "csv") == 0,
         is_first = true;
    if (is_json)
        fputs("{\"linux\":{\"amd64\":{\"os\":\"linux\",\"arch\":\"amd64\",\"syscalls\":{", out);
    else
        fputs(is_csv ? "OS,Arch,Num,Name,Support\n"
                     : "OS: linux\nArch: amd64\n\nNUM     NAME                      SUPPORT\n",
              out);
    for (u64 nr = 0; nr < SYSCALL_COUNT; nr++) {
        const struct syscall_row *row = syscall_find(nr);
        if (!row || !row->name)
            continue;
        const char *support = supports[row->support];
        if (is_json)
            fprintf(out, "%s\"%llu\":{\"name\":\"%s\",\"num\":%llu,\"support\":\"%s\"}",
                    is_first ? "" : ",", (unsigned long long)nr, row->name, (unsigned long long)nr,
                    support);
        else if (is_csv)
            fprintf(out, "linux,amd64,%llu,%s,%s\n", (unsigned long long)nr, row->name, support);
        else
            fprintf(out, "%-8llu%-26s%s\n", (unsigned long long)nr, row->name, support);
        is_first = false;
    }
    if (is_json)
        fputs("}}}}\n", out);
}

static int help_syscalls(struct cli *cli, int argc, char **argv)
{
    struct help_options options = {0};
    struct error err;
    int used;
    const struct flag *flags = command_find("help")->flags;
    flags_init(flags, &options);
    if (flags_parse(flags, &options, argc, argv, &used, &err) != 0)
        return cli_fail(cli, &err);
    FILE *out = *options.file ? fopen(options.file, "we") : stdout;
    if (!out) {
        error_errno(&err, "open %s", options.file);
        return cli_fail(cli, &err);
    }
    print_syscalls(out, options.format);
    if (out != stdout)
        fclose(out);
    return 0;
}

int cmd_help(struct cli *cli, const void *options, int argc, char **argv)
{
    if (argc == 0) {
        print_commands();
        return 0;
    }
    if (strcmp(argv[0], "platforms") == 0) {
        print_platforms();
        return 0;
    }
    if (strcmp(argv[0], "syscalls") == 0)
        return help_syscalls(cli, argc - 1, argv + 1);
    const struct command *command = command_find(argv[0]);
    if (!command) {
        struct error err;
        error_set(&err, 0, "unknown help topic \"%s\"", argv[0]);
        return cli_fail(cli, &err);
    }
    printf("%s %s - %s\n", command->name, command->words, command->synopsis);
    flags_print(command->flags, stdout);
    return 0;
}

int cmd_flags(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct command *command = argc > 0 ? command_find(argv[0]) : NULL;
    if (argc > 0 && !command) {
        struct error err;
        error_set(&err, 0, "unknown command \"%s\"", argv[0]);
        return cli_fail(cli, &err);
    }
    flags_print(command ? command->flags : global_flags, stdout);
    return 0;
}

static void put_list(struct json_writer *writer, const char *name, const char *const *items,
                     size_t count)
{
    json_name(writer, name);
    json_begin_array(writer);
    for (size_t i = 0; i < count; i++)
        json_put_string(writer, items[i]);
    json_end_array(writer);
}

static void put_flag(struct json_writer *writer, const char *name, bool is_there)
{
    json_name(writer, name);
    json_begin_object(writer);
    json_name(writer, "enabled");
    json_put_bool(writer, is_there);
    json_end_object(writer);
}

static void put_linux(struct json_writer *writer)
{
    static const char *const namespaces[] = {"cgroup", "ipc",  "mount", "network",
                                             "pid",    "user", "uts"};
    const char *names[64];
    size_t count = 0;
    while (count < ARRAY_COUNT(names) && oci_capability_name((int)count)) {
        names[count] = oci_capability_name((int)count);
        count++;
    }
    json_name(writer, "linux");
    json_begin_object(writer);
    put_list(writer, "namespaces", namespaces, ARRAY_COUNT(namespaces));
    put_list(writer, "capabilities", names, count);
    json_name(writer, "cgroup");
    json_begin_object(writer);
    static const char *const managers[] = {"v1", "v2", "systemd"};
    for (size_t i = 0; i < ARRAY_COUNT(managers); i++) {
        json_name(writer, managers[i]);
        json_put_bool(writer, true);
    }
    json_end_object(writer);
    put_flag(writer, "apparmor", false);
    put_flag(writer, "selinux", false);
    put_flag(writer, "seccomp", true);
    json_end_object(writer);
}

int cmd_features(struct cli *cli, const void *options, int argc, char **argv)
{
    static const char *const hooks[] = {"prestart",       "createRuntime", "createContainer",
                                        "startContainer", "poststart",     "poststop"};
    static const char *const mount_options[] = {
        "bind",   "rbind", "ro",      "rw",      "nosuid",   "suid",  "nodev", "dev",
        "noexec", "exec",  "noatime", "private", "rprivate", "slave", "rslave"};
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    writer.indent = "    ";
    json_begin_object(&writer);
    json_name(&writer, "ociVersionMin");
    json_put_string(&writer, "1.0.0");
    json_name(&writer, "ociVersionMax");
    json_put_string(&writer, OCI_VERSION);
    put_list(&writer, "hooks", hooks, ARRAY_COUNT(hooks));
    put_list(&writer, "mountOptions", mount_options, ARRAY_COUNT(mount_options));
    put_linux(&writer);
    json_end_object(&writer);
    puts(buf_text(&buf));
    return 0;
}
