/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's mount tree: the root (a gofer's, or a tmpfs, with a tmpfs over it where the runtime
 * said so), then the mounts every container has (/dev, /dev/pts, /proc, /sys), then those of the
 * spec in its order. The surprising fact: a read-only root whose mount points are missing gets a
 * layer of its own above it, and becomes read-only when everything is mounted.
 */
#include <errno.h>
#include <string.h>

#include "abi/fcntl.h"
#include "abi/mount.h"
#include "loader/internal.h"
#include "sentry/fs/cgroup/cgroup.h"
#include "sentry/fs/erofs/erofs.h"
#include "sentry/fs/mount.h"

#define POINT_MODE 0755u

/* What the steps hand on. */
struct building {
    struct container *container;
    struct task *by;
    struct container_args *args;
    const struct oci_spec *spec;
    struct error *err;
    struct mount_ns *ns;   /* counted */
    struct fs_context *fs; /* counted: root and cwd of ns */
    u32 gofer_next;        /* the next unused of args->gofers */
    u32 conf_next;         /* the next bind mount's of args->confs */
    bool is_told;          /* *err says already why */
};

static int step_error(struct building *building, int err, const char *what, const char *where)
{
    if (building->is_told)
        return error_prefix(building->err, "%s \"%s\"", what, where);
    return error_set(building->err, -err, "%s \"%s\": %s", what, where, errno_text(-err));
}

/* ---- gofers and layers
 * ---------------------------------------------------------------------------------- */

SLEEPS static int gofer_super(struct building *building, bool is_readonly, bool is_shared,
                              struct super **out)
{
    struct container_args *args = building->args;
    if (building->gofer_next >= args->gofer_count)
        return -EBADF;
    int *fd = &args->gofers[building->gofer_next++];
    struct host_stream *stream = host_stream_from_fd(building->by->kernel->host, *fd);
    if (!stream)
        return -ENOMEM;
    *fd = -1; /* the stream's */
    AUTO_PUT struct super *super = NULL;
    int err = gofer_fs_create(building->by, stream, is_readonly, is_shared, &super);
    if (!err)
        err = container_add_gofer(building->container, super);
    if (!err)
        *out = MOVE(super);
    return err;
}

/* The next descriptor is an image. */
SLEEPS static int image_super(struct building *building, struct super **out)
{
    struct container_args *args = building->args;
    if (building->gofer_next >= args->gofer_count)
        return -EBADF;
    int *fd = &args->gofers[building->gofer_next++];
    struct host_file *file = host_file_from_fd(building->by->kernel->host, *fd);
    if (!file)
        return -ENOMEM;
    *fd = -1; /* the file's */
    AUTO_PUT struct super *super = NULL;
    int err = erofs_create(building->by, file, &super);
    if (!err)
        err = container_add_gofer(building->container, super);
    if (!err)
        *out = MOVE(super);
    return err;
}

/* A fresh tmpfs that will be at DESTINATION; with an image of file systems, as that says. */
SLEEPS static int memory_super(struct building *building, const char *destination,
                               const char *options, struct super **out)
{
    AUTO_PUT struct super *super = NULL;
    int err = tmpfs_create(building->by, options, &super);
    if (!err &&
        fs_image_fill(building->container, building->by, destination, super, building->err)) {
        building->is_told = true;
        return -EIO;
    }
    if (!err)
        *out = MOVE(super);
    return err;
}

/* A writable tmpfs over LOWER, for DESTINATION. */
SLEEPS static int add_upper(struct building *building, struct super *lower, const char *destination,
                            const char *size, struct super **out)
{
    struct kernel *kernel = building->by->kernel;
    AUTO_PUT struct super *upper = NULL;
    AUTO_PUT struct mount *upper_mount = NULL;
    AUTO_PUT struct mount *lower_mount = NULL;
    AUTO_BUF struct buf options;
    buf_init(&options, kernel->arena, 0);
    int err = size && *size ? buf_printf(&options, "size=%s", size) : 0;
    const char *text = err || buf_is_empty(&options) ? NULL : buf_text(&options);
    if (!err)
        err = memory_super(building, destination, text, &upper);
    if (!err)
        err = mount_create(kernel, upper, upper->root, 0, NULL, &upper_mount);
    if (!err)
        err = mount_create(kernel, lower, lower->root, LINUX_MS_RDONLY, NULL, &lower_mount);
    if (err)
        return err;
    const struct path upper_path = {upper_mount, upper->root};
    const struct path lower_path = {lower_mount, lower->root};
    return overlay_create(building->by, &upper_path, &lower_path, 1, out);
}

/* What one conf describes: *OUT is its topmost file system. */
SLEEPS static int conf_super(struct building *building, const struct gofer_mount_conf *conf,
                             const char *destination, bool is_readonly, bool is_shared,
                             struct super **out)
{
    AUTO_PUT struct super *lower = NULL;
    bool has_upper = conf->upper != GOFER_UPPER_NONE;
    int err = -EOPNOTSUPP;
    if (conf->lower == GOFER_LOWER_LISAFS)
        err = gofer_super(building, is_readonly || has_upper, is_shared && !has_upper, &lower);
    else if (conf->lower == GOFER_LOWER_EROFS)
        err = image_super(building, &lower);
    else if (conf->lower == GOFER_LOWER_NONE)
        err = memory_super(building, destination, NULL, &lower);
    if (err)
        return err;
    if (!has_upper || conf->lower == GOFER_LOWER_NONE) {
        *out = MOVE(lower);
        return 0;
    }
    return add_upper(building, lower, destination, conf->size, out);
}

/* ---- the root
 * -------------------------------------------------------------------------------------------- */

SLEEPS static int enter_root(struct building *building, struct super *super)
{
    struct kernel *kernel = building->by->kernel;
    REF_CLEAR(building->fs);
    REF_CLEAR(building->ns);
    int err = mount_ns_create(kernel, super, 0, &building->ns);
    if (!err)
        err = view_root(kernel, building->ns, &building->fs);
    if (!err)
        building->by->fs = building->fs;
    return err;
}

SLEEPS static bool is_missing(struct task *by, const char *path)
{
    AUTO_PATH struct path found = {0};
    return path_walk(by, NULL, path, WALK_FOLLOW, &found) != 0;
}

SLEEPS static bool lacks_points(struct building *building)
{
    static const char *const always[] = {"/dev", "/proc", "/sys"};
    for (size_t i = 0; i < ARRAY_COUNT(always); i++)
        if (is_missing(building->by, always[i]))
            return true;
    for (size_t i = 0; i < building->spec->mounts.count; i++)
        if (is_missing(building->by, building->spec->mounts.items[i].destination))
            return true;
    return false;
}

SLEEPS static int root_create(struct building *building)
{
    const struct loader_config *config = &building->container->loader->config;
    static const struct gofer_mount_conf plain = {.lower = GOFER_LOWER_LISAFS};
    static const struct gofer_mount_conf nothing = {.lower = GOFER_LOWER_NONE};
    const struct gofer_mount_conf *conf = building->args->gofer_count ? &plain : &nothing;
    if (building->args->conf_count > 0)
        conf = &building->args->confs[0];
    building->conf_next = 1;
    bool is_readonly = building->spec->root->readonly;
    AUTO_PUT struct super *super = NULL;
    int err = conf_super(building, conf, "/", is_readonly, config->is_root_shared, &super);
    if (!err)
        err = enter_root(building, super);
    if (!err && is_readonly && conf->upper == GOFER_UPPER_NONE && lacks_points(building)) {
        AUTO_PUT struct super *layered = NULL;
        err = add_upper(building, super, "/", NULL, &layered);
        if (!err)
            err = enter_root(building, layered);
    }
    return err ? step_error(building, err, "mounting the root", building->spec->root->path) : 0;
}

/* ---- mount points
 * ---------------------------------------------------------------------------------------- */

/* Make an empty file at PATH and the directories above it. */
SLEEPS static int make_file(struct task *by, const char *path)
{
    struct arena *arena = by->kernel->arena;
    const char *slash = strrchr(path, '/');
    char *dir = slash && slash > path ? arena_strndup(arena, path, (size_t)(slash - path)) : NULL;
    int err = dir ? vfs_mkdir_all(by, dir, POINT_MODE) : 0;
    arena_free_string(arena, dir);
    if (err)
        return err;
    AUTO_PUT struct file *file = NULL;
    return vfs_open(by, NULL, path, LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_CLOEXEC, 0644,
                    WALK_FOLLOW, &file);
}

/* The place PATH names, made if it is missing. */
SLEEPS static int find_point(struct task *by, const char *path, bool is_dir, struct path *out)
{
    int err = path_walk(by, NULL, path, WALK_FOLLOW, out);
    if (err != -ENOENT)
        return err;
    err = is_dir ? vfs_mkdir_all(by, path, POINT_MODE) : make_file(by, path);
    return err ? err : path_walk(by, NULL, path, WALK_FOLLOW, out);
}

SLEEPS static int attach(struct building *building, struct super *super, const char *destination,
                         u32 flags, const char *source)
{
    AUTO_PATH struct path point = {0};
    AUTO_PUT struct mount *mount = NULL;
    int err = find_point(building->by, destination, inode_is_dir(super->root->inode), &point);
    if (!err)
        err = mount_attach(building->by, super, super->root, &point, flags, source, &mount);
    return err;
}

/* ---- one mount
 * --------------------------------------------------------------------------------------------- */

SLEEPS static int type_mount(const struct fs_type *type, struct task *by, const char *source,
                             u32 flags, const char *data, struct super **out)
{
    return type->mount(by, source, flags, data, out);
}

SLEEPS static int mount_plain(struct building *building, const char *type_name, const char *source,
                              const char *destination, const struct mount_options *options)
{
    AUTO_PUT struct super *super = NULL;
    const struct fs_type *type = fs_type_find(type_name);
    if (!type || !type->mount) {
        log_warn(building->by->kernel->log, "loader",
                 "mount %s is left out: no file system type '%s'", destination, type_name);
        return 0;
    }
    bool is_filled = building->container->loader->fs_image && strcmp(type_name, "tmpfs") == 0;
    int err = is_filled ? memory_super(building, destination, options->data, &super)
                        : type_mount(type, building->by, source, (u32)options->flags, options->data,
                                     &super);
    if (!err)
        err = attach(building, super, destination, (u32)options->flags, source);
    return err;
}

/* Bind mounts come through the gofer; a conf says how. */
SLEEPS static int mount_bind(struct building *building, const struct oci_mount *mount,
                             const struct mount_options *options)
{
    static const struct gofer_mount_conf plain = {.lower = GOFER_LOWER_LISAFS};
    const struct gofer_mount_conf *conf = &plain;
    if (building->conf_next < building->args->conf_count)
        conf = &building->args->confs[building->conf_next];
    building->conf_next++;
    bool is_shared = building->container->loader->config.are_mounts_shared;
    AUTO_PUT struct super *super = NULL;
    int err = conf_super(building, conf, mount->destination, options->flags & LINUX_MS_RDONLY,
                         is_shared, &super);
    if (!err)
        err = attach(building, super, mount->destination, (u32)options->flags, mount->source);
    return err;
}

/* A small read-only tree with a folder for each controller, where the container's own group is. */
SLEEPS static int mount_groups(struct building *building, const struct oci_mount *mount,
                               const struct mount_options *options)
{
    struct kernel *kernel = building->by->kernel;
    AUTO_PUT struct super *tree = NULL;
    AUTO_PATH struct path point = {0};
    AUTO_PUT struct mount *root = NULL;
    u32 flags = (u32)options->flags;
    int err = tmpfs_create(building->by, "mode=755", &tree);
    if (!err)
        err = find_point(building->by, mount->destination, true, &point);
    if (!err)
        err = mount_attach(building->by, tree, tree->root, &point, flags & ~LINUX_MS_RDONLY,
                           mount->source, &root);
    for (u32 i = 0; i < CONTROL_COUNT && !err; i++) {
        AUTO_PUT struct super *super = NULL;
        AUTO_BUF struct buf path;
        buf_init(&path, kernel->arena, 0);
        err = buf_printf(&path, "%s/%s", mount->destination, control_controller_name(i));
        if (!err && !buf_text(&path))
            err = -ENOMEM;
        if (!err)
            err = cgroup_fs_create(building->by, 1u << i, building->container->id, &super);
        if (!err)
            err = attach(building, super, buf_text(&path), flags, "cgroup");
    }
    if (!err)
        root->flags |= flags & LINUX_MS_RDONLY;
    return err;
}

/* Different names of one thing; whatever is asked for at /dev is the sentry's own. */
static const char *type_of(const struct oci_mount *mount)
{
    const char *type = mount->type && *mount->type ? mount->type : "none";
    if (strcmp(mount->destination, "/dev") == 0 &&
        (strcmp(type, "tmpfs") == 0 || strcmp(type, "devtmpfs") == 0))
        return "dev";
    return strcmp(type, "sys") == 0 ? "sysfs" : type;
}

SLEEPS static int mount_one(struct building *building, const struct oci_mount *mount)
{
    struct arena *arena = building->by->kernel->arena;
    struct mount_options options;
    int err = mount_options_parse(arena, mount->options.items, mount->options.count, &options);
    if (!err && oci_mount_is_bind(mount))
        err = mount_bind(building, mount, &options);
    else if (!err && strcmp(type_of(mount), "cgroup") == 0)
        err = mount_groups(building, mount, &options);
    else if (!err)
        err = mount_plain(building, type_of(mount), mount->source, mount->destination, &options);
    arena_free_string(arena, options.data);
    return err ? step_error(building, err, "mounting", mount->destination) : 0;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static bool has_mount(const struct oci_spec *spec, const char *destination)
{
    for (size_t i = 0; i < spec->mounts.count; i++)
        if (strcmp(spec->mounts.items[i].destination, destination) == 0)
            return true;
    return false;
}

#define PTS_OPTIONS "gid=5,mode=620,ptmxmode=666"

/* What every container has, asked for or not, in the order in which one may lie on another. */
SLEEPS static int mount_always(struct building *building)
{
    static const struct {
        const char *destination, *type;
        u32 flags;
        const char *data;
    } always[] = {
        {"/proc", "proc", LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC, NULL},
        {"/sys", "sysfs", LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC,
         NULL},
        {"/dev", "dev", LINUX_MS_NOSUID | LINUX_MS_NOEXEC, NULL},
        {"/dev/pts", "devpts", LINUX_MS_NOSUID | LINUX_MS_NOEXEC, PTS_OPTIONS},
    };
    for (size_t i = 0; i < ARRAY_COUNT(always); i++) {
        if (has_mount(building->spec, always[i].destination))
            continue;
        if (strcmp(always[i].destination, "/dev/pts") == 0 && has_mount(building->spec, "/dev"))
            continue; /* would be hidden by it */
        const struct mount_options options = {.flags = always[i].flags,
                                              .data = (char *)(uintptr_t)always[i].data};
        int err = mount_plain(building, always[i].type, always[i].type, always[i].destination,
                              &options);
        if (err)
            return step_error(building, err, "mounting", always[i].destination);
    }
    return 0;
}

/* After a /dev of the sentry's own, in place of a bind mount, terminals belong below it. */
SLEEPS static int mount_terminals(struct building *building, size_t index)
{
    const struct oci_mount *mount = &building->spec->mounts.items[index];
    if (strcmp(mount->destination, "/dev") != 0 || strcmp(type_of(mount), "dev") != 0 ||
        has_mount(building->spec, "/dev/pts"))
        return 0;
    const struct mount_options options = {.flags = LINUX_MS_NOSUID | LINUX_MS_NOEXEC,
                                          .data = (char *)(uintptr_t)PTS_OPTIONS};
    int err = mount_plain(building, "devpts", "devpts", "/dev/pts", &options);
    return err ? step_error(building, err, "mounting", "/dev/pts") : 0;
}

SLEEPS static int mount_all(struct building *building)
{
    if (root_create(building) || mount_always(building))
        return -1;
    for (size_t i = 0; i < building->spec->mounts.count; i++)
        if (mount_one(building, &building->spec->mounts.items[i]) || mount_terminals(building, i))
            return -1;
    if (devices_create(building->by, building->spec, building->err) ||
        masks_create(building->by, building->spec, building->err))
        return -1;
    if (building->spec->root->readonly)
        building->ns->root->flags |= LINUX_MS_RDONLY;
    return 0;
}

int mounts_create(struct container *container, struct task *by, struct container_args *args,
                  struct error *err)
{
    struct building building = {
        .container = container, .by = by, .args = args, .spec = container->spec, .err = err};
    struct view view;
    AUTO_PUT struct cred *root = NULL;
    int result = cred_create_root(by->kernel->arena, &root);
    if (result)
        return error_set(err, -result, "mounting: %s", errno_text(-result));
    view_enter(&view, by, NULL, root, NULL);
    result = mount_all(&building);
    view_leave(&view);
    REF_CLEAR(building.fs);
    if (result == 0)
        container->mounts = MOVE(building.ns);
    REF_CLEAR(building.ns);
    return result;
}
