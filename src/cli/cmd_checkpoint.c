/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint ID, fscheckpoint ID: the files are made here, the sandbox writes them. With
 * compression everything is in one file; without, pages have two of their own. The empty
 * inventory.img is for podman, which looks for it before restore.
 */
#include "cli/commands.h"
#include "runtime/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_STATE "checkpoint.img"
#define IMAGE_PAGES_META "pages_meta.img"
#define IMAGE_PAGES "pages.img"
#define IMAGE_INVENTORY "inventory.img"

static int make_path(const char *path)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at)
            continue;
        char kept = *at;
        *at = 0;
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return -1;
        *at = kept;
        if (!kept)
            return 0;
    }
}

/* Those that were made here, for an image that came to nothing. */
static void files_unlink(const char *dir, const char *const *names, u32 count)
{
    char path[4200];
    for (u32 i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
}

/* New files NAMES in DIR; all or none. */
static int files_make(const char *dir, const char *const *names, u32 count, bool is_direct,
                      int *fds, struct error *err)
{
    char path[4200];
    u32 made = 0;
    for (; made < count; made++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[made]);
        int direct = is_direct && strcmp(names[made], IMAGE_PAGES) == 0 ? O_DIRECT : 0;
        fds[made] = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | direct, 0644);
        if (fds[made] < 0)
            break;
    }
    if (made == count)
        return 0;
    error_errno(err, "creating checkpoint %s file \"%s\"", made == 0 ? "state" : "pages", path);
    files_unlink(dir, names, made);
    while (made > 0)
        close(fds[--made]);
    return -1;
}

static int checkpoint(const struct record *record, const struct checkpoint_options *options,
                      struct error *err)
{
    static const char *const names[] = {IMAGE_STATE, IMAGE_PAGES_META, IMAGE_PAGES};
    int fds[3] = {-1, -1, -1};
    bool is_plain = strcmp(options->compression, "none") == 0;
    u32 count = is_plain ? 3 : 1;
    if (make_path(options->image_path) < 0)
        return error_errno(err, "making directories at path provided: %s", options->image_path);
    if (files_make(options->image_path, names, count, options->is_direct, fds, err) < 0)
        return -1;
    char arg[512];
    snprintf(arg, sizeof arg,
             "{\"key\":null,\"metadata\":{\"compression\":\"%s\"},\"MemoryFileSaveOpts\":{"
             "\"ExcludeCommittedZeroPages\":%s},"
             "\"have_pages_file\":%s,\"Resume\":%s}",
             options->compression, options->excludes_zero ? "true" : "false",
             is_plain ? "true" : "false", options->leaves_running ? "true" : "false");
    int result = control_call(record, "containerManager.Checkpoint", arg, fds, count, NULL, err);
    for (u32 i = 0; i < count; i++)
        close(fds[i]);
    if (result < 0) {
        files_unlink(options->image_path, names, count);
        return error_prefix(err, "checkpoint failed");
    }
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", options->image_path, IMAGE_INVENTORY);
    int inventory = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (inventory >= 0)
        close(inventory);
    return 0;
}

/* The one container of the words, in a state that can be saved, for an image at IMAGE_PATH. */
static int container_to_save(struct cli *cli, const char *id, const char *image_path,
                             struct record **record, struct error *err)
{
    static const char *const states[] = {STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, NULL};
    struct runtime runtime;
    if (!*image_path)
        return error_set(err, 0, "image-path flag must be provided");
    if (cli_container(cli, id, true, &runtime, record, err) < 0)
        return -1;
    runtime_close(&runtime);
    return container_want_status(*record, "checkpoint", states, err);
}

int cmd_checkpoint(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct checkpoint_options *options = given;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    if (argc != 1)
        return cli_usage(cli);
    if (*options->image_path && strcmp(options->compression, "none") != 0 &&
        strcmp(options->compression, "flate-best-speed") != 0) {
        error_set(&err, 0, "invalid compression level: %s", options->compression);
        return cli_fail(cli, &err);
    }
    if (container_to_save(cli, argv[0], options->image_path, &record, &err) < 0 ||
        checkpoint(record, options, &err) < 0)
        return cli_fail(cli, &err);
    return 0;
}

/* ---- file systems alone --------------------------------------------------------------------- */

static char *paths_text(struct pool *pool, const struct flag_list *paths)
{
    char *text = pool_strdup(pool, "");
    for (u32 i = 0; i < paths->count; i++)
        text = pool_printf(pool, "%s%s%s", text, i ? "," : "",
                           control_string(pool, paths->items[i]));
    return text;
}

static int fscheckpoint(struct record *record, const struct fscheckpoint_options *options,
                        struct error *err)
{
    static const char *const names[] = {"fscheckpoint.pb", "multitar.img", IMAGE_PAGES_META,
                                        IMAGE_PAGES};
    int fds[ARRAY_COUNT(names)];
    if (make_path(options->image_path) < 0)
        return error_errno(err, "making directories at path provided: %s", options->image_path);
    if (files_make(options->image_path, names, ARRAY_COUNT(names), options->is_direct, fds, err) <
        0)
        return -1;
    char *arg = pool_printf(&record->pool,
                            "{\"paths\":[%s],\"exit_after_saving\":%s,"
                            "\"use_checkpoint_gofer\":false}",
                            paths_text(&record->pool, &options->paths),
                            options->leaves_running ? "false" : "true");
    int result = control_call(record, "containerManager.FSSave", arg, fds, ARRAY_COUNT(fds), NULL,
                              err);
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        close(fds[i]);
    if (result < 0) {
        files_unlink(options->image_path, names, ARRAY_COUNT(names));
        return error_prefix(err, "fscheckpoint failed");
    }
    return 0;
}

int cmd_fscheckpoint(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct fscheckpoint_options *options = given;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    if (argc != 1)
        return cli_usage(cli);
    if (container_to_save(cli, argv[0], options->image_path, &record, &err) < 0 ||
        fscheckpoint(record, options, &err) < 0)
        return cli_fail(cli, &err);
    return 0;
}
