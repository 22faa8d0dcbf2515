/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount(2) of type overlay: lowerdir=A:B, upperdir=, workdir=. The upper layer must be able to hold
 * files without a name and trusted attributes, which here is tmpfs; a file that is copied up then
 * needs no workdir, but programs must name one, as on Linux.
 */
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/options.h"
#include "sentry/fs/overlay/overlay.h"

struct overlay_options {
    char lowers[OPTION_VALUE_SIZE], upper[OPTION_VALUE_SIZE], work[OPTION_VALUE_SIZE];
};

static int take_option(struct overlay_options *options, const char *key, const char *value)
{
    static const char *const ignored[] = {"userxattr", "index",    "redirect_dir", "metacopy",
                                          "xino",      "volatile", "nfs_export",   "uuid",
                                          "ro",        "rw"};
    for (u32 i = 0; i < ARRAY_COUNT(ignored); i++)
        if (strcmp(key, ignored[i]) == 0)
            return value && (strcmp(value, "on") == 0) && i < 4 && i > 0 ? -EINVAL : 0;
    char *to = strcmp(key, "lowerdir") == 0   ? options->lowers
               : strcmp(key, "upperdir") == 0 ? options->upper
               : strcmp(key, "workdir") == 0  ? options->work
                                              : NULL;
    if (!to || !value || !value[0])
        return -EINVAL;
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

static int read_options(const char *text, struct overlay_options *options,
                        struct option_reader *reader)
{
    option_reader_init(reader, text);
    int more;
    while ((more = option_next(reader)) > 0) {
        int err = take_option(options, reader->key, reader->value);
        if (err)
            return err;
    }
    bool is_whole = options->lowers[0] && !options->upper[0] == !options->work[0];
    return more ? more : is_whole ? 0 : -EINVAL;
}

/* The next of "A:B\:C:D" into OUT; false at the end. */
static bool next_lower(const char **rest, char *out)
{
    const char *at = *rest;
    if (!*at)
        return false;
    while (*at && *at != ':') {
        if (at[0] == '\\' && at[1])
            at++;
        *out++ = *at++;
    }
    *out = 0;
    *rest = *at ? at + 1 : at;
    return true;
}

struct layer_paths {
    struct path upper;
    struct path *lowers; /* of OVERLAY_LOWER_MAX */
    u32 count;
};

SLEEPS static int find_lowers(struct task *task, const char *text, char *one,
                              struct layer_paths *paths)
{
    while (next_lower(&text, one)) {
        if (paths->count == OVERLAY_LOWER_MAX)
            return -EINVAL;
        int err = path_walk(task, NULL, one, WALK_FOLLOW | WALK_DIRECTORY,
                            &paths->lowers[paths->count]);
        if (err)
            return err;
        paths->count++;
    }
    return 0;
}

SLEEPS static int find_layers(struct task *task, struct overlay_options *options, char *one,
                              struct layer_paths *paths)
{
    int err = find_lowers(task, options->lowers, one, paths);
    if (err || !options->upper[0])
        return err;
    err = path_walk(task, NULL, options->upper, WALK_FOLLOW | WALK_DIRECTORY, &paths->upper);
    if (err)
        return err;
    const struct inode *inode = paths->upper.dentry->inode;
    if (!inode->ops->tmpfile || !inode->ops->setxattr || inode->ops == &overlay_inode_ops)
        return -EINVAL;
    AUTO_PATH struct path work = {0};
    err = path_walk(task, NULL, options->work, WALK_FOLLOW | WALK_DIRECTORY, &work);
    return !err && work.dentry->super != paths->upper.dentry->super ? -EINVAL : err;
}

struct mount_room {
    struct overlay_options options;
    struct option_reader reader;
    char one[OPTION_VALUE_SIZE];
    struct path lowers[OVERLAY_LOWER_MAX];
};

int overlay_mount(struct task *task, const char *source, u32 flags, const char *options,
                  struct super **out)
{
    struct arena *arena = task->kernel->arena;
    struct mount_room *room = arena_alloc(arena, sizeof *room);
    if (!room)
        return -ENOMEM;
    struct layer_paths paths = {.lowers = room->lowers};
    int err = read_options(options, &room->options, &room->reader);
    if (!err)
        err = find_layers(task, &room->options, room->one, &paths);
    if (!err)
        err = overlay_create(task, paths.upper.dentry ? &paths.upper : NULL, paths.lowers,
                             paths.count, out);
    if (!err && options)
        (*out)->options = arena_strdup(arena, options); /* for /proc/mounts; NULL shows none */
    path_put(&paths.upper);
    for (u32 i = 0; i < paths.count; i++)
        path_put(&paths.lowers[i]);
    arena_free(arena, room, sizeof *room);
    return err;
}
