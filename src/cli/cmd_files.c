/* SPDX-License-Identifier: Apache-2.0 */
/* read ID PATH: a file of the container. tar rootfs-upper ID: what it has changed. statefile FILE:
 * an image's head. */
#include "cli/commands.h"
#include "runtime/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cmd_read(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct read_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    int out = STDOUT_FILENO;
    if (argc != 2)
        return cli_usage(cli);
    if (cli_container(cli, argv[0], false, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    char *arg = pool_printf(
        &record->pool, "{\"container_id\":%s,\"path\":%s,\"offset\":%lld,\"size\":%lld}",
        control_string(&record->pool, record->id), control_string(&record->pool, argv[1]),
        (long long)options->offset, (long long)options->size);
    return control_call(record, "Fs.Read", arg, &out, 1, NULL, &err) < 0 ? cli_fail(cli, &err) : 0;
}

struct tar_options {
    const char *file;
};
static const struct flag tar_flags[] = {
    FLAG_ROW("file", FLAG_STRING, struct tar_options, file, "", "the archive; standard output"),
    FLAG_END,
};

static int tar_upper(struct cli *cli, const char *id, int out, struct error *err)
{
    struct runtime runtime;
    AUTO_RECORD struct record *record = NULL;
    if (cli_container(cli, id, false, &runtime, &record, err) < 0)
        return -1;
    runtime_close(&runtime);
    char *arg = pool_printf(&record->pool, "{\"ContainerID\":%s}",
                            control_string(&record->pool, record->id));
    return control_call(record, "Fs.TarRootfsUpperLayer", arg, &out, 1, NULL, err);
}

int cmd_tar(struct cli *cli, const void *given, int argc, char **argv)
{
    struct tar_options options;
    struct error err;
    int used = 0, out = STDOUT_FILENO;
    if (argc < 2 || strcmp(argv[0], "rootfs-upper") != 0)
        return cli_usage(cli);
    flags_init(tar_flags, &options);
    if (flags_parse(tar_flags, &options, argc - 1, argv + 1, &used, &err) != 0 ||
        argc - 1 - used != 1)
        return cli_usage(cli);
    if (*options.file)
        out = open(options.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int result = out < 0 ? error_errno(&err, "open %s", options.file)
                         : tar_upper(cli, argv[1 + used], out, &err);
    if (out > STDERR_FILENO)
        close(out);
    return result < 0 ? cli_fail(cli, &err) : 0;
}

/* ---- images --------------------------------------------------------------------------------- */

#define HEAD_SIZE 16u
#define METADATA_MAX ((size_t)16 << 20)

static int read_metadata(const char *path, char **out, size_t *size, struct error *err)
{
    u8 head[HEAD_SIZE];
    FILE *file = fopen(path, "re");
    if (!file)
        return error_errno(err, "open %s", path);
    int result = 0;
    *out = NULL;
    *size = 0;
    if (fread(head, 1, sizeof head, file) != sizeof head || memcmp(head, "gVisorSF", 8) != 0)
        result = error_set(err, EINVAL, "bad magic header");
    for (u32 i = 8; i < HEAD_SIZE && !result; i++)
        *size = *size << 8 | head[i];
    if (!result && *size > METADATA_MAX)
        result = error_set(err, EINVAL, "metadata length invalid, maximum size is %zu",
                           METADATA_MAX);
    if (!result) {
        *out = malloc(*size + 1);
        if (!*out)
            abort();
        if (fread(*out, 1, *size, file) != *size)
            result = error_set(err, EIO, "unexpected EOF");
        (*out)[*size] = 0;
    }
    fclose(file);
    return result;
}

int cmd_statefile(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct statefile_options *options = given;
    struct error err;
    AUTO_POOL struct pool pool = {0};
    struct json_text metadata, name, value;
    char *text = NULL;
    size_t size = 0;
    if (argc != 1)
        return cli_usage(cli);
    pool_init(&pool, NULL);
    int result = read_metadata(argv[0], &text, &size, &err);
    if (!result)
        result = json_parse(text, size, METADATA_MAX, &metadata, &err);
    if (!result && json_type(metadata) != JSON_OBJECT)
        result = error_set(&err, EINVAL, "metadata is no object");
    if (!result && *options->get) {
        const char *found = json_string(json_member(metadata, options->get), &pool, NULL);
        if (found)
            printf("%s\n", found);
        else
            result = error_set(&err, ENOENT, "key %s: not found", options->get);
    } else if (!result) {
        struct json_iter iter;
        json_iter_init(&iter, metadata);
        while (json_iter_next(&iter, &name, &value))
            printf("%s\n", json_string(name, &pool, NULL));
    }
    free(text);
    return result < 0 ? cli_fail(cli, &err) : 0;
}
