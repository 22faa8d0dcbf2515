/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups(7), version 1. A container's mount has its own group as its root, as in a cgroup
 * namespace of its own; so /proc/PID/cgroup says "/" there. Groups are the loader's to make: there
 * is no mkdir. A node's key says which group and which file, the root's which controllers.
 */
#include "sentry/fs/cgroup/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/options.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/vfs.h"

/* Root: controllers above, group below. File: the same with the file's index between them. */
#define KEY_GROUP(key) ((u32)(key))
#define KEY_CONTROLLERS(key) ((u32)((key) >> 48))
#define KEY_FILE(key) ((u32)((key) >> 32) & 0xffff)

static bool has_file(u64 key, const struct control_file_info *info)
{
    return info->controller == CONTROL_COUNT || KEY_CONTROLLERS(key) & 1u << info->controller;
}

/* ---- files ---------------------------------------------------------------------------------- */

SLEEPS static int show_file(struct proc_ask *ask, struct buf *out)
{
    struct kernel *kernel = ask->asker->kernel;
    struct control_group *group = control_group_by_nr(kernel, KEY_GROUP(ask->key));
    if (!group)
        return -ENODEV;
    int err = control_file_show(kernel, group, KEY_FILE(ask->key), ask->asker->ns->pid_ns, out);
    bool has_end = out->size > 0 && buf_bytes(out)[out->size - 1] == '\n';
    return err || has_end || out->size == 0 ? err : buf_append(out, "\n", 1);
}

SLEEPS static i64 write_file(struct proc_ask *ask, char *text, size_t size)
{
    struct kernel *kernel = ask->asker->kernel;
    struct control_group *group = control_group_by_nr(kernel, KEY_GROUP(ask->key));
    if (!group)
        return -ENODEV;
    size_t end = size;
    while (end > 0 && strchr(" \t\n", text[end - 1]))
        text[--end] = 0;
    int err = control_file_store(kernel, group, KEY_FILE(ask->key), ask->asker->ns->pid_ns,
                                 text + strspn(text, " \t\n"));
    return err ? err : (i64)size;
}

const struct proc_node cgroup_file = {.name = "*control", .mode = PROC_FILE, .show = show_file};
const struct proc_node cgroup_writable = {
    .name = "*control_rw", .mode = LINUX_S_IFREG | 0644, .show = show_file, .write = write_file};

/* ---- the root ------------------------------------------------------------------------------- */

SLEEPS static const struct proc_node *find_file(struct proc_ask *ask, const char *name, u64 *key)
{
    struct control_file_info info;
    for (u32 i = 0; control_file_at(i, &info); i++) {
        if (strcmp(info.name, name) != 0 || !has_file(ask->key, &info))
            continue;
        *key = ask->key | (u64)i << 32;
        return info.is_writable ? &cgroup_writable : &cgroup_file;
    }
    return NULL;
}

static bool next_file(struct proc_ask *ask, u64 *key, char name[PROC_NAME_MAX], u8 *type)
{
    struct control_file_info info;
    for (; *key <= UINT32_MAX && control_file_at((u32)*key, &info); ++*key) {
        if (!has_file(ask->key, &info))
            continue;
        snprintf(name, PROC_NAME_MAX, "%s", info.name);
        *type = LINUX_DT_REG;
        return true;
    }
    return false;
}

const struct proc_node cgroup_root = {
    .name = "cgroup", .mode = PROC_DIR, .find = find_file, .next = next_file};

/* ---- mounting ------------------------------------------------------------------------------- */

/* "pids,cpu" as /proc/mounts has it: the super's to free. */
static char *options_text(struct kernel *kernel, u32 controllers)
{
    AUTO_BUF struct buf text;
    int err = 0;
    buf_init(&text, kernel->arena, 0);
    for (u32 i = 0; i < CONTROL_COUNT && !err; i++)
        if (controllers & 1u << i)
            err = buf_printf(&text, "%s%s", text.size ? "," : "", control_controller_name(i));
    return err || !buf_text(&text) ? NULL : arena_strdup(kernel->arena, buf_text(&text));
}

int cgroup_fs_create(struct task *task, u32 controllers, const char *id, struct super **out)
{
    struct kernel *kernel = task->kernel;
    const struct control_group *group = control_group_of(kernel, id);
    AUTO_PUT struct super *super = NULL;
    if (!group)
        return -ENOMEM;
    int err = proc_tree_mount(task, "cgroup", CGROUP_MAGIC, &cgroup_root,
                              (u64)controllers << 48 | group->nr, 0, &super);
    if (err)
        return err;
    super->options = options_text(kernel, controllers);
    if (!super->options)
        return -ENOMEM;
    *out = MOVE(super);
    return 0;
}

int cgroup_mount(struct task *task, const char *source, u32 flags, const char *options,
                 struct super **out)
{
    struct option_reader reader;
    u32 controllers = 0;
    int more;
    option_reader_init(&reader, options);
    while ((more = option_next(&reader)) > 0) {
        u32 found = control_controller_find(reader.key);
        if (found == CONTROL_COUNT && strcmp(reader.key, "all") != 0)
            return -EINVAL;
        controllers |= found == CONTROL_COUNT ? CONTROL_ALL : 1u << found;
    }
    if (more < 0)
        return more;
    return cgroup_fs_create(task, controllers ? controllers : CONTROL_ALL,
                            task->group ? task->group->container_id : NULL, out);
}

u32 cgroup_mounted(struct kernel *kernel)
{
    const struct super *super;
    u32 controllers = 0;
    list_for_each (super, &kernel->vfs->supers, link)
        if (strcmp(super->type_name, "cgroup") == 0 && super->root)
            controllers |= KEY_CONTROLLERS(
                container_of(super->root->inode, struct proc_inode, inode)->key);
    return controllers;
}
