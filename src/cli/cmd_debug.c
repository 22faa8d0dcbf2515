/* SPDX-License-Identifier: Apache-2.0 */
/* debug ID: looks into a sandbox, a flag a look; all that are given, in a fixed order. */
#include "base/buf.h"
#include "cli/commands.h"
#include "runtime/control.h"
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The root container of the sandbox whose process has PID. */
static int find_by_pid(struct runtime *runtime, i64 pid, struct record **out, struct error *err)
{
    struct full_id *ids;
    u32 count;
    int result = -1;
    if (state_dir_list(runtime->dir, &ids, &count, err) < 0)
        return -1;
    error_set(err, ENOENT, "container with PID %lld not found", (long long)pid);
    for (u32 i = 0; i < count && result < 0; i++) {
        struct error unused;
        if (container_load(runtime, &ids[i], false, out, &unused) < 0)
            continue;
        if ((*out)->sandbox->pid == pid && record_is_root(*out))
            result = 0;
        else
            record_free(MOVE(*out));
    }
    free(ids);
    return result;
}

static void report_action(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
}

static int send_signal(const struct record *record, i64 signo, struct error *err)
{
    int pidfd = process_open((pid_t)record->sandbox->pid, record->sandbox->pid_start);
    int failed = pidfd < 0 ? -ESRCH : process_signal(pidfd, (int)signo);
    if (pidfd >= 0)
        close(pidfd);
    printf("Sending signal %lld to process: %lld\n", (long long)signo,
           (long long)record->sandbox->pid);
    return failed ? error_set(err, -failed, "failed to send signal %lld to process %lld",
                              (long long)signo, (long long)record->sandbox->pid)
                  : 0;
}

static int print_stacks(struct record *record, struct error *err)
{
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    const char *text;
    printf("Retrieving sandbox stacks\n");
    if (control_call(record, "debug.Stacks", NULL, NULL, 0, &answer, err) < 0 ||
        urpc_answer_string(&answer, &text, err) < 0)
        return error_prefix(err, "retrieving stacks");
    printf("     *** Stack dump ***\n%s\n", text);
    return 0;
}

static int level_name(const char *text, const char **out, struct error *err)
{
    static const char *const names[] = {"warning", "info", "debug"};
    for (int i = 0; i < 3; i++) {
        char digit[2] = {(char)('0' + i), 0};
        if (strcmp(text, names[i]) == 0 || strcmp(text, digit) == 0) {
            *out = names[i];
            return 0;
        }
    }
    return error_set(err, EINVAL, "invalid log level \"%s\"", text);
}

/* "a,b" as a JSON list. */
static void put_names(struct json_writer *writer, const char *list)
{
    json_begin_array(writer);
    while (*list) {
        size_t size = strcspn(list, ",");
        json_put_string_size(writer, list, size);
        list += size + (list[size] == ',');
    }
    json_end_array(writer);
}

static int change_logging(struct record *record, const struct debug_options *options,
                          struct error *err)
{
    const char *level = "info";
    if (*options->log_level && level_name(options->log_level, &level, err) < 0)
        return -1;
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer w;
    json_writer_init(&w, &buf);
    json_begin_object(&w);
    json_name(&w, "SetLevel");
    json_put_bool(&w, *options->log_level);
    json_name(&w, "Level");
    json_put_string(&w, level);
    json_name(&w, "SetLogPackets");
    json_put_bool(&w, *options->log_packets);
    json_name(&w, "LogPackets");
    json_put_bool(&w, strcmp(options->log_packets, "true") == 0);
    json_name(&w, "SetStrace");
    json_put_bool(&w, *options->strace);
    json_name(&w, "EnableStrace");
    bool is_off = strcmp(options->strace, "off") == 0, is_all = strcmp(options->strace, "all") == 0;
    json_put_bool(&w, *options->strace && !is_off);
    json_name(&w, "StraceAllowlist");
    put_names(&w, is_off || is_all ? "" : options->strace);
    json_end_object(&w);
    if (*options->strace)
        report_action(is_off ? "Disabling strace" : "Enabling strace");
    if (*options->log_level)
        printf("Setting log level to %s\n", level);
    if (*options->log_packets)
        printf("Setting packet logging to %s\n", options->log_packets);
    return control_call(record, "Logging.Change", buf_text(&buf), NULL, 0, NULL, err);
}

static int print_processes(struct record *record, struct error *err)
{
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (control_call(record, "containerManager.Processes", "\"\"", NULL, 0, &answer, err) < 0)
        return error_prefix(err, "retrieving processes");
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    writer.indent = "  ";
    json_put_raw(&writer, answer.result);
    puts(buf_text(&buf));
    return 0;
}

/* FSTYPE:SOURCE:DESTINATION; the source is an image on the host. */
static int mount_image(struct record *record, const char *text, struct error *err)
{
    struct pool *pool = &record->pool;
    char *type = pool_strdup(pool, text);
    char *source = strchr(type, ':');
    char *destination = source ? strchr(source + 1, ':') : NULL;
    if (!destination)
        return error_set(err, EINVAL, "invalid mount \"%s\", expected FSTYPE:SOURCE:DESTINATION",
                         text);
    *source++ = 0;
    *destination++ = 0;
    int image = open(source, O_RDONLY | O_CLOEXEC);
    if (image < 0)
        return error_errno(err, "open %s", source);
    char *arg = pool_printf(pool,
                            "{\"ContainerID\":%s,\"Source\":%s,\"Destination\":%s,\"FsType\":%s}",
                            control_string(pool, record->id), control_string(pool, source),
                            control_string(pool, destination), control_string(pool, type));
    int result = control_call(record, "containerManager.Mount", arg, &image, 1, NULL, err);
    close(image);
    if (result == 0)
        printf("Mounted %s at %s\n", source, destination);
    return result;
}

/* Each profile blocks for its time, so each has a process of its own. */
static int run_profiles(struct record *record, const struct debug_options *options,
                        struct error *err)
{
    const struct {
        const char *file, *method, *format;
        i64 ns;
    } profiles[] = {
        {options->profile_cpu, "Profile.CPU", "{\"duration\":%lld}", options->duration},
        {options->profile_heap, "Profile.Heap", "{\"delay\":%lld}", options->delay},
        {options->profile_block, "Profile.Block", "{\"duration\":%lld}", options->duration},
        {options->profile_mutex, "Profile.Mutex", "{\"duration\":%lld}", options->duration},
        {options->trace, "Profile.Trace", "{\"duration\":%lld}", options->duration}};
    pid_t children[ARRAY_COUNT(profiles)] = {0};
    int result = 0;
    fflush(NULL);
    for (size_t i = 0; i < ARRAY_COUNT(profiles) && result == 0; i++) {
        if (!*profiles[i].file)
            continue;
        int file = open(profiles[i].file, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0644);
        if (file < 0) {
            result = error_errno(err, "open %s", profiles[i].file);
            break;
        }
        children[i] = fork();
        if (children[i] == 0) {
            struct error own;
            char *arg = pool_printf(&record->pool, profiles[i].format, (long long)profiles[i].ns);
            if (control_call(record, profiles[i].method, arg, &file, 1, NULL, &own) == 0)
                _exit(0);
            fprintf(stderr, "%s: %s\n", profiles[i].method, own.text);
            _exit(1);
        }
        close(file);
    }
    for (size_t i = 0; i < ARRAY_COUNT(profiles); i++) {
        int status = 0;
        if (children[i] > 0 && waitpid(children[i], &status, 0) >= 0 && status != 0 && result == 0)
            result = error_set(err, EIO, "%s failed", profiles[i].method);
    }
    return result;
}

static int look(struct record *record, const struct debug_options *options, struct error *err)
{
    if (!sandbox_is_alive(record))
        return error_set(err, ESRCH, "sandbox is not running");
    printf("Found sandbox \"%s\", PID: %lld\n", record->sandbox->id,
           (long long)record->sandbox->pid);
    if (options->signo > 0 && send_signal(record, options->signo, err) < 0)
        return -1;
    if (options->has_stacks && print_stacks(record, err) < 0)
        return -1;
    if ((*options->strace || *options->log_level || *options->log_packets) &&
        change_logging(record, options, err) < 0)
        return -1;
    if (options->has_ps && print_processes(record, err) < 0)
        return -1;
    if (*options->mount && mount_image(record, options->mount, err) < 0)
        return -1;
    return run_profiles(record, options, err);
}

int cmd_debug(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct debug_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    if (options->pid == 0 ? argc != 1 : argc != 0)
        return cli_usage(cli);
    if (runtime_open(&cli->config, false, &runtime, &err) < 0)
        return cli_fail(cli, &err);
    int result = options->pid == 0 ? container_find(&runtime, argv[0], false, &record, &err)
                                   : find_by_pid(&runtime, options->pid, &record, &err);
    runtime_close(&runtime);
    if (result == 0)
        result = look(record, options, &err);
    return result < 0 ? cli_fail(cli, &err) : 0;
}
