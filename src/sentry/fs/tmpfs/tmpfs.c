/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs's super: options of tmpfs(5), quotas, statfs. Without size= half of the sandbox's memory is
 * the limit. */
#include "sentry/fs/tmpfs/tmpfs.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/mount.h"
#include "base/fields.h"
#include "sentry/fs/options.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

static const struct field tmpfs_fields[] = {
    FIELD_NONE(struct tmpfs, object, "the walker's own header"),
    FIELD(struct tmpfs, pages_max),
    FIELD(struct tmpfs, pages_used),
    FIELD(struct tmpfs, inodes_max),
    FIELD(struct tmpfs, inodes_used),
    FIELD(struct tmpfs, root_mode),
    FIELD(struct tmpfs, root_uid),
    FIELD(struct tmpfs, root_gid),
    FIELD_END,
};
FIELDS_COMPLETE(struct tmpfs, tmpfs_fields);

const struct kind tmpfs_kind = {
    .name = "tmpfs", .size = sizeof(struct tmpfs), .fields = tmpfs_fields};

static struct tmpfs *tmpfs_of_super(const struct super *super)
{
    return container_of(super->private_object, struct tmpfs, object);
}

/* ---- options -------------------------------------------------------------------------------- */

static u64 memory_pages(const struct kernel *kernel)
{
    u64 pages = kernel->config.memory_max / PAGE_SIZE;
    return pages ? pages : (u64)1 << 20;
}

/* "64m", "50%", "0": bytes; 0 is no limit. */
MUST_CHECK static int parse_size(struct kernel *kernel, const char *value, u64 *pages)
{
    size_t size = strlen(value);
    u64 number;
    if (size > 1 && value[size - 1] == '%') {
        if (!option_number(value, size - 1, 10, &number) || number > 100)
            return -EINVAL;
        *pages = memory_pages(kernel) * number / 100;
        return 0;
    }
    if (!option_size(value, &number) || number > (u64)INT64_MAX)
        return -EINVAL;
    *pages = (number + PAGE_SIZE - 1) / PAGE_SIZE;
    return 0;
}

MUST_CHECK static int parse_one(struct kernel *kernel, struct tmpfs *fs, const char *key,
                                const char *value)
{
    static const char *const ignored[] = {"huge",    "mpol", "noswap", "inode32",
                                          "inode64", "rw",   "ro",     "nr_subdirs"};
    for (u32 i = 0; i < ARRAY_COUNT(ignored); i++)
        if (strcmp(key, ignored[i]) == 0)
            return 0;
    if (!value)
        return -EINVAL;
    u64 number = 0;
    if (strcmp(key, "size") == 0)
        return parse_size(kernel, value, &fs->pages_max);
    if (strcmp(key, "nr_blocks") == 0)
        return option_size(value, &fs->pages_max) ? 0 : -EINVAL;
    if (strcmp(key, "nr_inodes") == 0)
        return option_size(value, &fs->inodes_max) ? 0 : -EINVAL;
    bool is_octal = strcmp(key, "mode") == 0;
    if (!option_number(value, strlen(value), is_octal ? 8 : 10, &number) || number > UINT32_MAX)
        return -EINVAL;
    if (is_octal)
        fs->root_mode = (u32)number & 07777;
    else if (strcmp(key, "uid") == 0)
        fs->root_uid = (u32)number;
    else if (strcmp(key, "gid") == 0)
        fs->root_gid = (u32)number;
    else
        return -EINVAL;
    return 0;
}

int tmpfs_parse_options(struct kernel *kernel, struct tmpfs *fs, const char *options)
{
    struct option_reader reader;
    option_reader_init(&reader, options);
    int more;
    while ((more = option_next(&reader)) > 0) {
        int err = parse_one(kernel, fs, reader.key, reader.value);
        if (err)
            return err;
    }
    return more;
}

int tmpfs_judge_options(struct kernel *kernel, const char *options)
{
    struct tmpfs ignored = {0};
    return tmpfs_parse_options(kernel, &ignored, options);
}

/* ---- making one ----------------------------------------------------------------------------- */

MUST_CHECK static int make_super(struct kernel *kernel, const char *type_name, u32 magic, u32 flags,
                                 const struct tmpfs *settings, const char *options,
                                 struct super **out)
{
    AUTO_PUT struct super *super = NULL;
    int err = super_create(kernel, type_name, magic, flags, &super);
    if (err)
        return err;
    struct tmpfs *fs = object_create(kernel->arena, &tmpfs_kind);
    if (!fs)
        return -ENOMEM;
    super->private_object = &fs->object;
    fs->pages_max = settings->pages_max;
    fs->inodes_max = settings->inodes_max;
    fs->root_mode = settings->root_mode;
    fs->root_uid = settings->root_uid;
    fs->root_gid = settings->root_gid;
    if (options && options[0]) {
        super->options = arena_strdup(kernel->arena, options);
        if (!super->options)
            return -ENOMEM;
    }
    AUTO_PUT struct inode *root = NULL;
    err = tmpfs_inode_create(super, LINUX_S_IFDIR | fs->root_mode, fs->root_uid, fs->root_gid,
                             &root);
    if (err)
        return err;
    err = dentry_create_root(super, root, &super->root);
    if (err)
        return err;
    *out = MOVE(super);
    return 0;
}

int tmpfs_create_plain(struct kernel *kernel, const char *type_name, u32 magic, u32 flags, u32 mode,
                       struct super **out)
{
    const struct tmpfs settings = {.root_mode = mode};
    return make_super(kernel, type_name, magic, flags, &settings, NULL, out);
}

int tmpfs_mount(struct task *task, const char *source, u32 flags, const char *options,
                struct super **out)
{
    struct kernel *kernel = task->kernel;
    struct tmpfs settings = {
        .root_mode = 01777, .root_uid = task->cred->fsuid, .root_gid = task->cred->fsgid};
    settings.pages_max = settings.inodes_max = memory_pages(kernel) / 2;
    int err = tmpfs_parse_options(kernel, &settings, options);
    if (err)
        return err;
    return make_super(kernel, "tmpfs", LINUX_TMPFS_MAGIC, flags, &settings, options, out);
}

int tmpfs_create(struct task *task, const char *options, struct super **out)
{
    return tmpfs_mount(task, "tmpfs", 0, options, out);
}

/* ---- operations ----------------------------------------------------------------------------- */

SLEEPS static int tmpfs_statfs(struct task *task, struct super *super, struct linux_statfs *out)
{
    const struct tmpfs *fs = tmpfs_of_super(super);
    if (fs->pages_max) {
        out->blocks = fs->pages_max;
        out->bfree = out->bavail = fs->pages_max - MIN(fs->pages_max, fs->pages_used);
    }
    if (fs->inodes_max) {
        out->files = fs->inodes_max;
        out->ffree = fs->inodes_max - MIN(fs->inodes_max, fs->inodes_used);
    }
    return 0;
}

/* Limits may change, but not below what is used; a limit does not come where none was (tmpfs(5)).
 */
SLEEPS static int tmpfs_remount(struct task *task, struct super *super, u32 flags,
                                const char *options)
{
    struct tmpfs *fs = tmpfs_of_super(super);
    struct tmpfs next = {.pages_max = fs->pages_max, .inodes_max = fs->inodes_max};
    int err = tmpfs_parse_options(task->kernel, &next, options);
    if (err)
        return err;
    if (next.pages_max && next.pages_max < fs->pages_used)
        return -EINVAL;
    if (next.inodes_max && next.inodes_max < fs->inodes_used)
        return -EINVAL;
    if ((!fs->pages_max && next.pages_max) || (!fs->inodes_max && next.inodes_max))
        return -EINVAL;
    if (options && options[0]) {
        char *copy = arena_strdup(super->object.arena, options);
        if (!copy)
            return -ENOMEM;
        arena_free_string(super->object.arena, super->options);
        super->options = copy;
    }
    fs->pages_max = next.pages_max;
    fs->inodes_max = next.inodes_max;
    return 0;
}

const struct super_ops tmpfs_super_ops = {.statfs = tmpfs_statfs, .remount = tmpfs_remount};
