/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/fd and fdinfo: open descriptors as links to what they show. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/fs/proc/proc.h"

/* The file at descriptor KEY of the target, lent, or NULL. */
static struct file *file_of(const struct proc_ask *ask)
{
    const struct fd_table *fds = ask->target ? ask->target->fds : NULL;
    return fds && ask->key < fds->capacity ? fds->files[ask->key] : NULL;
}

static bool key_from_name(const struct proc_ask *ask, const char *name, u64 *key)
{
    if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1]) || strlen(name) > 9)
        return false;
    char *end;
    *key = strtoul(name, &end, 10);
    struct proc_ask there = {.target = ask->target, .key = *key};
    return *end == 0 && file_of(&there);
}

static bool next_fd(struct proc_ask *ask, u64 *key, char name[PROC_NAME_MAX], u8 *type)
{
    const struct fd_table *fds = ask->target ? ask->target->fds : NULL;
    for (u64 fd = *key; fds && fd < fds->capacity; fd++) {
        if (!fds->files[fd])
            continue;
        *key = fd;
        *type = LINUX_DT_LNK;
        snprintf(name, 24, "%llu", (unsigned long long)fd);
        return true;
    }
    return false;
}

SLEEPS static int link_fd(struct proc_ask *ask, struct buf *out)
{
    struct file *file = file_of(ask);
    return file ? path_text(&file->path, ask->asker->fs ? &ask->asker->fs->root : NULL, out)
                : -ENOENT;
}

SLEEPS static int follow_fd(struct proc_ask *ask, struct path *out)
{
    struct file *file = file_of(ask);
    if (!file)
        return -ENOENT;
    path_get(&file->path);
    *out = file->path;
    return 0;
}

/* The link's permission says how the descriptor was opened (proc_pid_fd(5)). */
static void attr_fd(const struct proc_ask *ask, struct inode *inode)
{
    const struct file *file = file_of(ask);
    u32 access = file ? file->flags & O_ACCMODE : O_RDWR;
    u32 read = access != O_WRONLY ? 0500 : 0, write = access != O_RDONLY ? 0300 : 0;
    inode->mode = LINUX_S_IFLNK | read | write;
}

const struct proc_node proc_fd_link = {.name = "*fdlink",
                                       .mode = LINUX_S_IFLNK | 0700,
                                       .link = link_fd,
                                       .follow = follow_fd,
                                       .attr = attr_fd,
                                       .is_private = true};

SLEEPS static const struct proc_node *find_fd(struct proc_ask *ask, const char *name, u64 *key)
{
    return key_from_name(ask, name, key) ? &proc_fd_link : NULL;
}

const struct proc_node proc_fd_dir = {.name = "fd",
                                      .mode = LINUX_S_IFDIR | 0500,
                                      .find = find_fd,
                                      .next = next_fd,
                                      .is_private = true};

SLEEPS static int show_fdinfo(struct proc_ask *ask, struct buf *out)
{
    struct file *file = file_of(ask);
    if (!file)
        return -ENOENT;
    bool is_cloexec = ask->target->fds->cloexec[ask->key / 64] >> (ask->key % 64) & 1;
    u32 flags = file->flags | (is_cloexec ? (u32)O_CLOEXEC : 0);
    int err = buf_printf(out, "pos:\t%llu\nflags:\t0%o\nmnt_id:\t%u\nino:\t%llu\n",
                         (unsigned long long)file->offset, flags,
                         file->path.mount ? file->path.mount->id : 0,
                         (unsigned long long)(file->inode ? file->inode->ino : 0));
    return err || !file->ops->show_info ? err : file->ops->show_info(file, out);
}

const struct proc_node proc_fdinfo_file = {
    .name = "*fdinfofile", .mode = LINUX_S_IFREG | 0400, .show = show_fdinfo, .is_private = true};

SLEEPS static const struct proc_node *find_fdinfo(struct proc_ask *ask, const char *name, u64 *key)
{
    return key_from_name(ask, name, key) ? &proc_fdinfo_file : NULL;
}

const struct proc_node proc_fdinfo_dir = {.name = "fdinfo",
                                          .mode = LINUX_S_IFDIR | 0500,
                                          .find = find_fdinfo,
                                          .next = next_fd,
                                          .is_private = true};
