/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From words to a command and from errors to one line. Inner commands (boot, gofer) are told apart
 * before any flag is read: they have a reader of their own.
 */
#include "cli/cli.h"

#include "runtime/boot.h"
#include "runtime/gofer_boot.h"
#include "runtime/log.h"
#include "runtime/mounts.h"
#include "runtime/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX ((size_t)8 << 20)

/* One line whatever is in it: what a terminal would obey is shown as Go shows it. */
static void print_line(FILE *out, const char *text)
{
    const u8 *at = (const u8 *)text, *end = at + strlen(text);
    while (at < end) {
        u32 rune;
        size_t size = json_utf8_decode(at, (size_t)(end - at), &rune);
        bool is_broken = size == 1 && *at >= 0x80;
        if (*at == '\n')
            fputs("\\n", out);
        else if (is_broken || rune < 0x20 || (rune >= 0x7f && rune < 0xa0))
            fprintf(out, "\\x%02x", is_broken ? *at : rune);
        else
            fwrite(at, 1, size, out);
        at += size;
    }
    fputc('\n', out);
}

int cli_fail(const struct cli *cli, const struct error *err)
{
    print_line(stderr, err->text);
    runtime_log_error(&cli->config, err->text);
    return EXIT_FAILED;
}

int cli_usage(const struct cli *cli)
{
    struct error err;
    error_set(&err, EINVAL, "usage: picket %s [flags] %s", cli->command->name, cli->command->words);
    return cli_fail(cli, &err);
}

/* ---- what commands share ---- */

int cli_container(struct cli *cli, const char *id, bool has_check, struct runtime *runtime,
                  struct record **record, struct error *err)
{
    if (runtime_open(&cli->config, false, runtime, err) < 0)
        return -1;
    if (container_find(runtime, id, has_check, record, err) == 0)
        return 0;
    runtime_close(runtime);
    return -1;
}

int cli_read_file(const char *path, char **out, size_t *size, struct error *err)
{
    int fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open %s", path);
    char *text = malloc(4096);
    size_t used = 0, capacity = 4096;
    ssize_t got = 1;
    while (text && got > 0) {
        if (capacity - used < 2)
            text = realloc(text, capacity *= 2);
        if (!text || used > FILE_SIZE_MAX)
            break;
        got = read(fd, text + used, capacity - used - 1);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            used += (size_t)got;
    }
    int failed = got < 0 ? error_errno(err, "read %s", path) : 0;
    close(fd);
    if (!text || used > FILE_SIZE_MAX)
        failed = error_set(err, EFBIG, "read %s: file too large", path);
    if (failed) {
        free(text);
        return -1;
    }
    text[used] = 0;
    *out = text;
    *size = used;
    return 0;
}

void cli_warn(const struct config *config)
{
    flags_warn(global_flags, config);
    if (strstr(config->overlay2, ":dir="))
        fprintf(stderr,
                "warning: flag -overlay2=%s keeps what is written in memory, not in a folder\n",
                config->overlay2);
}

static void report_unknown(void *arg, const char *path)
{
    const struct cli *cli = arg;
    if (cli->config.is_debug)
        fprintf(stderr, "warning: config.json has unknown member %s\n", path);
}

int cli_bundle(struct cli *cli, const char *id, const char *given, char **bundle,
               struct oci_spec **spec, struct error *err)
{
    char path[PATH_MAX + 16];
    if (!container_id_is_valid(id))
        return error_set(err, EINVAL, "invalid container id: %s", id);
    if (!realpath(*given ? given : ".", path))
        return error_errno(err, "cannot use bundle \"%s\"", given);
    char *whole = strdup(path), *text;
    size_t size;
    snprintf(path, sizeof path, "%s/config.json", whole);
    if (cli_read_file(path, &text, &size, err) < 0) {
        free(whole);
        return error_prefix(err, "reading spec");
    }
    int result = oci_spec_parse(text, size, spec, err);
    if (result < 0) {
        error_prefix(err, "reading spec: %s", path);
    } else if (oci_spec_validate(*spec, err) < 0 || spec_resolve(*spec, whole, err) < 0 ||
               config_override(&cli->config, *spec, err) < 0) {
        oci_spec_free(MOVE(*spec));
        result = -1;
    } else {
        oci_spec_unknown_members(text, size, report_unknown, cli);
        cli_warn(&cli->config);
    }
    free(text);
    if (result < 0)
        free(whole);
    else
        *bundle = whole;
    return result;
}

/* Descriptors of our own close at an exec, so what stays open there is the caller's. */
static int preserve_fds(i64 preserved, int *hosts, int *guests, u32 *count, struct error *err)
{
    if (preserved < 0 || preserved > PASS_FDS_MAX)
        return error_set(err, EINVAL, "invalid value \"%lld\" for flag -preserve-fds",
                         (long long)preserved);
    for (int fd = 3; fd < 3 + (int)preserved; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC))
            return error_set(err, EBADF, "cannot preserve descriptor %d: it is not open", fd);
        hosts[*count] = fd;
        guests[(*count)++] = fd;
    }
    return 0;
}

int cli_pass_fds(const struct flag_list *list, i64 preserved, int *hosts, int *guests, u32 *count,
                 struct error *err)
{
    *count = 0;
    if (preserve_fds(preserved, hosts, guests, count, err) < 0)
        return -1;
    for (u32 i = 0; i < list->count; i++) {
        const char *at = list->items[i];
        while (*at) {
            int host, guest, used = 0, more = 0;
            if (sscanf(at, "%d%n", &host, &used) != 1 || host < 0)
                return error_set(err, EINVAL, "invalid value \"%s\" for flag -pass-fd",
                                 list->items[i]);
            guest = host;
            at += used;
            if (*at == ':' && sscanf(at + 1, "%d%n", &guest, &more) == 1 && guest >= 0)
                at += more + 1;
            if ((*at && *at != ',') || *count == PASS_FDS_MAX)
                return error_set(err, EINVAL, "invalid value \"%s\" for flag -pass-fd",
                                 list->items[i]);
            if (fcntl(host, F_GETFD) < 0)
                return error_set(err, EBADF, "cannot pass descriptor %d: it is not open", host);
            hosts[*count] = host;
            guests[(*count)++] = guest;
            at += *at == ',';
        }
    }
    return 0;
}

void table_print(const char *const *cells, u32 rows, u32 columns, u32 minimum)
{
    for (u32 row = 0; row < rows; row++) {
        for (u32 column = 0; column < columns; column++) {
            size_t width = minimum;
            for (u32 i = 0; i < rows; i++)
                width = MAX(width, strlen(cells[i * columns + column]) + 3);
            const char *cell = cells[row * columns + column];
            if (column + 1 < columns)
                printf("%-*s", (int)width, cell);
            else
                printf("%s\n", cell);
        }
    }
}

/* ---- the program ---- */

/* A standard descriptor that is missing would be some file opened later. */
static void stdio_fill(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", O_RDWR);
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    struct error err;
    int used = 0;
    void *options = calloc(1, cli->command->options_size + 1);
    if (!options)
        abort();
    flags_init(cli->command->flags, options);
    int parsed = flags_parse(cli->command->flags, options, argc, argv, &used, &err);
    int status = EXIT_FAILED;
    if (parsed == 1) {
        printf("%s %s - %s\n", cli->command->name, cli->command->words, cli->command->synopsis);
        flags_print(cli->command->flags, stdout);
        status = 0;
    } else if (parsed < 0) {
        status = cli_fail(cli, &err);
    } else {
        flags_warn(cli->command->flags, options);
        status = cli->command->run(cli, options, argc - used, argv + used);
    }
    free(options);
    return status;
}

static void print_version(void)
{
    printf("runsc version %s\nspec: %s\n", PICKET_VERSION, OCI_VERSION);
}

/* The error file must be one that can be written, before anything is done that it could tell of. */
static int check_log(const struct config *config, struct error *err)
{
    if (*config->log) {
        int fd = open(config->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
            return error_errno(err, "error opening log file \"%s\"", config->log);
        close(fd);
    } else if (config->log_fd >= 0 && fcntl((int)config->log_fd, F_GETFD) < 0) {
        return error_errno(err, "error opening log file descriptor %lld",
                           (long long)config->log_fd);
    }
    return 0;
}

/* What was printed has to arrive; who has closed the pipe ends us as it ends others. */
static int finish(const struct cli *cli, int status)
{
    struct error err;
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || status != 0)
        return status;
    /* An earlier write may have failed, whose reason is not known any more. */
    struct pollfd out = {.fd = 1, .events = POLLOUT};
    if (errno == EPIPE || (errno == 0 && poll(&out, 1, 0) == 1 && (out.revents & POLLERR)))
        signals_die_of_pipe();
    if (errno == 0)
        errno = EIO;
    error_errno(&err, "write standard output");
    return cli_fail(cli, &err);
}

static int run_words(struct cli *cli, int argc, char **argv)
{
    struct error err;
    int used = 0;
    stdio_fill();
    signals_ignore_pipe();
    config_init(&cli->config);
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-version") == 0)) {
        print_version();
        return 0;
    }
    int parsed = flags_parse(global_flags, &cli->config, argc - 1, argv + 1, &used, &err);
    cli->command = command_find("help");
    if (parsed == 1)
        return cli->command->run(cli, NULL, 0, NULL);
    if (parsed < 0) {
        /* "--version" may stand behind other flags. */
        if (err.code == ENOENT &&
            strcmp(err.text, "flag provided but not defined: -version") == 0) {
            print_version();
            return 0;
        }
        cli_fail(cli, &err);
        return err.code == ENOENT ? EXIT_UNKNOWN_GLOBAL_FLAG : EXIT_FAILED;
    }
    if (used + 1 >= argc) {
        error_set(&err, EINVAL, "no command given; picket help lists them");
        return cli_fail(cli, &err);
    }
    cli->command = command_find(argv[used + 1]);
    if (!cli->command) {
        error_set(&err, EINVAL, "unknown command \"%s\"; picket help lists them", argv[used + 1]);
        return cli_fail(cli, &err);
    }
    if (config_check(&cli->config, &err) < 0 || check_log(&cli->config, &err) < 0)
        return cli_fail(cli, &err);
    return run_command(cli, argc - used - 2, argv + used + 2);
}

int cli_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "boot") == 0)
        return boot_command(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "gofer") == 0)
        return gofer_command(argc - 1, argv + 1);
    static struct cli cli;
    return finish(&cli, run_words(&cli, argc, argv));
}
