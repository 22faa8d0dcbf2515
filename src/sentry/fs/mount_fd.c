/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts by descriptor. A file system is configured in a context, made, mounted nowhere, and moved
 * to its place. Surprising: a tree that nobody attached is dissolved when its descriptor goes.
 */
#include "sentry/fs/mount_fd.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/mount.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

#define OPTIONS_SIZE_MAX 4096u

struct fs_config {
    struct object object;
    char *type;          /* a row of fs/types.c */
    char *source;        /* or NULL */
    struct buf options;  /* "a=b,c" */
    u32 flags;           /* MS_RDONLY … of the super */
    struct super *super; /* counted, once made */
};

static void fs_config_destroy(struct object *object)
{
    struct fs_config *config = container_of(object, struct fs_config, object);
    arena_free_string(object->arena, config->type);
    arena_free_string(object->arena, config->source);
    buf_fini(&config->options);
    REF_CLEAR(config->super);
}

static const struct field fs_config_fields[] = {
    FIELD_NONE(struct fs_config, object, "the walker's own header"),
    FIELD_STRING(struct fs_config, type),
    FIELD_STRING(struct fs_config, source),
    FIELD_BUF(struct fs_config, options),
    FIELD(struct fs_config, flags),
    FIELD_REF(struct fs_config, super, struct super),
    FIELD_END,
};
FIELDS_COMPLETE(struct fs_config, fs_config_fields);

const struct kind fs_config_kind = {.name = "fs_config",
                                    .size = sizeof(struct fs_config),
                                    .fields = fs_config_fields,
                                    .destroy = fs_config_destroy};

/* There are never messages to read. */
SLEEPS static i64 fs_config_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    return -ENODATA;
}

const struct file_ops fs_config_ops = {.read = fs_config_read};

static struct fs_config *config_of(const struct file *file)
{
    return container_of(file->private_object, struct fs_config, object);
}

bool file_is_fs_config(const struct file *file)
{
    return file->ops == &fs_config_ops;
}

int fs_config_create(struct kernel *kernel, const char *type_name, struct file **out)
{
    const struct fs_type *type = fs_type_find(type_name);
    if (!type || !type->mount || !type->may_users_mount)
        return -ENODEV;
    AUTO_PUT struct fs_config *config = object_create(kernel->arena, &fs_config_kind);
    if (!config)
        return -ENOMEM;
    buf_init(&config->options, kernel->arena, OPTIONS_SIZE_MAX);
    config->type = arena_strdup(kernel->arena, type_name);
    if (!config->type)
        return -ENOMEM;
    return file_create_anon(kernel, "anon_inode:[fscontext]", &fs_config_ops, &MOVE(config)->object,
                            LINUX_O_RDWR, 0600, out);
}

/* ---- options ------------------------------------------------------------------------------- */

MUST_CHECK static int set_source(struct fs_config *config, const char *value)
{
    if (config->source)
        return -EINVAL;
    config->source = arena_strdup(config->object.arena, value);
    return config->source ? 0 : -ENOMEM;
}

/* A comma in a value would begin another option. */
MUST_CHECK static int append_value(struct buf *options, const char *value)
{
    int err = buf_append_text(options, "=");
    for (; *value && !err; value++) {
        if (*value == ',')
            err = buf_append_text(options, "\\");
        if (!err)
            err = buf_append(options, value, 1);
    }
    return err;
}

MUST_CHECK static int append_option(struct buf *options, const char *key, const char *value)
{
    size_t before = options->size;
    int err = before > 0 ? buf_append_text(options, ",") : 0;
    if (!err)
        err = buf_append_text(options, key);
    if (!err && value)
        err = append_value(options, value);
    if (err)
        options->size = before;
    return err == -ENOMEM && options->size + strlen(key) > OPTIONS_SIZE_MAX / 2 ? -EINVAL : err;
}

int fs_config_set(struct file *file, const char *key, const char *value)
{
    struct fs_config *config = config_of(file);
    if (value && strcmp(key, "source") == 0)
        return set_source(config, value);
    if (!value && (strcmp(key, "ro") == 0 || strcmp(key, "rw") == 0)) {
        config->flags = key[1] == 'o' ? LINUX_MS_RDONLY : 0;
        return 0;
    }
    if (!key[0] || strpbrk(key, ",="))
        return -EINVAL;
    AUTO_BUF struct buf alone;
    buf_init(&alone, file->object.arena, OPTIONS_SIZE_MAX);
    int err = append_option(&alone, key, value);
    const char *text = err ? NULL : buf_text(&alone);
    if (!text)
        return err ? err : -ENOMEM;
    const struct fs_type *type = fs_type_find(config->type);
    if (type->judge_options)
        err = type->judge_options(file->inode->super->kernel, text);
    return err ? err : append_option(&config->options, key, value);
}

static const char *options_text(struct fs_config *config)
{
    return config->options.size > 0 ? buf_text(&config->options) : "";
}

int fs_config_make(struct task *task, struct file *file)
{
    struct fs_config *config = config_of(file);
    if (config->super)
        return -EBUSY;
    const char *options = options_text(config);
    if (!options)
        return -ENOMEM;
    const struct fs_type *type = fs_type_find(config->type);
    struct super *super = NULL;
    int err = type->mount(task, config->source ? config->source : "none", config->flags, options,
                          &super);
    if (err)
        return err;
    if (config->super) { /* another thread was quicker */
        REF_PUT(super);
        return -EBUSY;
    }
    config->super = super;
    buf_clear(&config->options);
    return 0;
}

int fs_config_remake(struct task *task, struct file *file)
{
    struct fs_config *config = config_of(file);
    if (!config->super)
        return -EINVAL;
    const char *options = options_text(config);
    if (!options)
        return -ENOMEM;
    AUTO_PUT struct super *super = REF_GET(config->super);
    if (!super->ops || !super->ops->remount)
        return 0;
    return super->ops->remount(task, super, config->flags, options);
}

/* ---- detached trees ------------------------------------------------------------------------ */

/* Attached meanwhile, or it falls apart. */
static void tree_release(struct file *file)
{
    struct mount *mount = file->path.mount;
    if (!mount->ns && !mount->parent)
        mount_cut_tree(mount);
}

const struct file_ops tree_file_ops = {.release = tree_release};

/* Takes MOUNT. */
MUST_CHECK static int tree_file(struct mount *mount, struct file **out)
{
    const struct path path = {mount, mount->root};
    struct file *file;
    int err = file_create(mount->super->kernel, &path, mount->root->inode, LINUX_O_PATH, &file);
    if (err) {
        mount_cut_tree(mount);
        REF_PUT(mount);
        return err;
    }
    file->is_path = true;
    file->ops = &tree_file_ops;
    REF_PUT(mount);
    *out = file;
    return 0;
}

int fs_config_mount(struct file *file, u32 flags, struct file **out)
{
    struct fs_config *config = config_of(file);
    struct super *super = config->super;
    if (!super)
        return -EINVAL;
    struct mount *mount;
    int err = mount_create(super->kernel, super, super->root, flags,
                           config->source ? config->source : "none", &mount);
    return err ? err : tree_file(mount, out);
}

int mount_clone_file(const struct path *path, bool is_recursive, struct file **out)
{
    if (!path->mount || path->mount->is_unbindable)
        return -EINVAL;
    struct mount *copy;
    int err = mount_copy_tree(path->mount, path->dentry, is_recursive, false, &copy);
    return err ? err : tree_file(copy, out);
}

static bool is_below_mount(const struct mount *mount, const struct mount *ancestor)
{
    while (mount && mount != ancestor)
        mount = mount->parent;
    return mount != NULL;
}

int mount_move_path(struct task *task, const struct path *from, const struct path *to)
{
    struct mount *mount = from->mount;
    if (!mount || from->dentry != mount->root || !to->mount || !to->mount->ns)
        return -EINVAL;
    bool is_detached = !mount->ns && !mount->parent;
    if (!is_detached && (!mount->parent || mount->parent->peer_group != 0 || mount->is_locked))
        return -EINVAL;
    if (to->mount->ns != task_mount_ns(task) || (!is_detached && mount->ns != to->mount->ns))
        return -EINVAL;
    if (inode_is_dir(from->dentry->inode) != inode_is_dir(to->dentry->inode))
        return -ENOTDIR;
    if (to->dentry->is_unlinked)
        return -ENOENT;
    if (is_below_mount(to->mount, mount))
        return -ELOOP;
    if (is_detached)
        return mount_graft_propagated(mount, to);
    mount_unhook(mount);
    mount_hook(mount, to);
    return 0;
}

int mount_change_flags(const struct path *path, u32 set, u32 clear, u32 propagation,
                       bool is_recursive)
{
    struct mount *root = path->mount;
    if (!root || path->dentry != root->root)
        return -EINVAL;
    for (struct mount *m = root; m; m = is_recursive ? mount_tree_next(root, m) : NULL)
        if (m->locked_flags & clear & ~set)
            return -EPERM;
    for (struct mount *m = root; m; m = is_recursive ? mount_tree_next(root, m) : NULL) {
        m->flags = (m->flags & ~clear) | set;
        if (propagation)
            mount_set_propagation(m, propagation);
    }
    return 0;
}
