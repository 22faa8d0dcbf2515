/* SPDX-License-Identifier: Apache-2.0 */
/* restore ID: as run, but the program goes on from an image. A container that create made is taken
 * as it is. */
#include "cli/commands.h"
#include "runtime/boot.h"
#include "runtime/console.h"
#include "runtime/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The image's files: one, or three. */
static int image_open(const struct restore_options *options, int *fds, u32 *count,
                      struct error *err)
{
    static const char *const names[] = {"checkpoint.img", "pages_meta.img", "pages.img"};
    char path[4200];
    for (*count = 0; *count < 3; ++*count) {
        snprintf(path, sizeof path, "%s/%s", options->image_path, names[*count]);
        int direct = *count == 2 && options->is_direct ? O_DIRECT : 0;
        fds[*count] = open(path, O_RDONLY | O_CLOEXEC | direct);
        if (fds[*count] < 0)
            break;
    }
    if (*count == 1 || *count == 3) /* one alone holds the pages too */
        return 0;
    error_errno(err, "opening restore image file \"%s\"", path);
    for (u32 i = 0; i < *count; i++)
        close(fds[i]);
    return -1;
}

static int create_if_new(struct cli *cli, struct runtime *runtime,
                         const struct restore_options *options, const char *id,
                         struct record **record, struct child *child, bool *has_terminal,
                         struct error *err)
{
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    struct full_id full;
    struct create_args args;
    char *bundle = NULL;
    if (state_dir_find(runtime->dir, id, &full, err) == 0)
        return container_load(runtime, &full, true, record, err);
    if (err->code != ENOENT)
        return -1;
    int result = cli_bundle(cli, id, options->create.bundle, &bundle, &spec, err);
    if (result == 0)
        result = create_args_fill(&options->create, id, bundle, spec, &args, err);
    if (result == 0) {
        args.is_restored = true;
        args.is_attached = !options->create.is_detached;
        *has_terminal = spec->process->terminal;
        result = container_create(runtime, &args, record, child, err);
    }
    free(bundle);
    return result;
}

static int restore(struct cli *cli, struct runtime *runtime, const struct restore_options *options,
                   const char *id, int *exit_code, struct error *err)
{
    AUTO_RECORD struct record *record = NULL;
    struct child child = {-1, -1, -1};
    struct full_id full;
    int fds[3];
    u32 count, status = 0;
    bool has_terminal = false;
    if (image_open(options, fds, &count, err) < 0)
        return -1;
    forward_block();
    int result = create_if_new(cli, runtime, options, id, &record, &child, &has_terminal, err);
    struct forwarder forwarder = {.fd = -1};
    struct terminal *terminal = has_terminal && !*options->create.console_socket ? terminal_save(0)
                                                                                 : NULL;
    if (result == 0) {
        record_full_id(record, &full);
        forward_begin(&forwarder, record, 0, has_terminal);
        result = container_restore(runtime, &full, fds, count, options->is_background, err);
        bool is_new = child.sandbox >= 0;
        struct error unused;
        if (result < 0 && is_new)
            (void)!container_delete(runtime, &full, true, &unused);
        else if (result == 0 && !options->create.is_detached)
            result = container_wait(record, is_new ? &child : NULL, &forwarder.extra, &status, err);
        forward_end(&forwarder);
    }
    for (u32 i = 0; i < count; i++)
        close(fds[i]);
    terminal_restore(terminal);
    child_close(&child);
    *exit_code = boot_exit_code(status);
    return result;
}

int cmd_restore(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct restore_options *options = given;
    struct runtime runtime;
    struct error err;
    int exit_code = 0;
    if (argc != 1)
        return cli_usage(cli);
    int result;
    if (cli->config.is_rootless) {
        result = error_set(&err, 0, "Rootless mode not supported with \"restore\"");
    } else if (!*options->image_path) {
        result = error_set(&err, 0, "image-path flag must be provided");
    } else {
        result = runtime_open(&cli->config, true, &runtime, &err);
        if (result == 0) {
            result = restore(cli, &runtime, options, argv[0], &exit_code, &err);
            runtime_close(&runtime);
        }
    }
    return result < 0 ? cli_fail(cli, &err) : exit_code;
}
