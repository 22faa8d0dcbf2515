/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated names: entries of directories, links, listings, extended attributes. */
#include "host/sim/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define XATTR_LIST_SIZE_MAX 65536

/* May an entry be made at PLACE? Whether its name is free comes first, as in Linux. */
static int place_judge_new(const struct sim_host *sim, const struct sim_place *place)
{
    if (place->node)
        return -EEXIST;
    if (place->dir->directory->is_removed)
        return -ENOENT;
    return sim_may(sim, place->dir, 3) ? 0 : -EACCES;
}

/* May the entry at PLACE be taken away? In a sticky directory only by an owner. */
static int place_judge_old(const struct sim_host *sim, const struct sim_place *place)
{
    if (!place->node)
        return -ENOENT;
    if (!sim_may(sim, place->dir, 3))
        return -EACCES;
    bool is_sticky = place->dir->mode & S_ISVTX;
    if (is_sticky && !sim_is_owner(sim, place->node) && !sim_is_owner(sim, place->dir))
        return -EPERM;
    return 0;
}

static struct sim_node *node_make(struct sim_host *sim, const struct sim_place *place, u32 mode)
{
    struct sim_node *dir = place->dir;
    struct sim_node *node = sim_node_create(sim, dir->domain, mode);
    node->uid = sim->config.uid;
    node->gid = sim->config.gid;
    if (dir->mode & S_ISGID) {
        node->gid = dir->gid;
        if (S_ISDIR(mode))
            node->mode |= S_ISGID;
    }
    sim_entry_add(sim, dir, place->name, node);
    return node;
}

static int mkdir_at(struct host_file *dir, const char *name, u32 mode)
{
    struct sim_place place;
    int err = sim_place_at(dir, name, SIM_CALL_mkdir, &place);
    if (!err)
        err = place_judge_new(sim_of_file(dir), &place);
    if (!err)
        node_make(sim_of_file(dir), &place, S_IFDIR | (mode & 01777));
    return err;
}

static int mknod_at(struct host_file *dir, const char *name, u32 mode, u32 major, u32 minor)
{
    struct sim_host *sim = sim_of_file(dir);
    struct sim_place place;
    int err = sim_place_at(dir, name, SIM_CALL_mknod, &place);
    if (!err)
        err = place_judge_new(sim, &place);
    if (err)
        return err;
    u32 type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
    if (type == S_IFDIR || type == S_IFLNK)
        return type == S_IFDIR ? -EPERM : -EINVAL;
    if ((type == S_IFCHR || type == S_IFBLK) && sim->config.uid != 0)
        return -EPERM;
    struct sim_node *node = node_make(sim, &place, type | (mode & 07777));
    if (type == S_IFCHR || type == S_IFBLK) {
        node->rdev_major = major;
        node->rdev_minor = minor;
    }
    return 0;
}

static int symlink_at(struct host_file *dir, const char *name, const char *target)
{
    struct sim_host *sim = sim_of_file(dir);
    struct sim_place place;
    int err = sim_place_at(dir, name, SIM_CALL_symlink, &place);
    if (!err)
        err = place_judge_new(sim, &place);
    if (!err)
        node_make(sim, &place, S_IFLNK | 0777)->target = sim_text(sim, target);
    return err;
}

static int link_at(struct host_file *file, struct host_file *dir, const char *name)
{
    struct sim_host *sim = sim_of_file(dir);
    struct sim_desc *desc = sim_desc_of(file);
    struct sim_place place;
    int err = sim_place_at(dir, name, SIM_CALL_link, &place);
    if (!err)
        err = place_judge_new(sim, &place);
    if (err)
        return err;
    if (desc->type != SIM_DESC_FILE || desc->node->domain != place.dir->domain)
        return -EXDEV; /* as Linux with project quotas */
    if (sim_is_directory(desc->node))
        return -EPERM;
    if (desc->node->link_count == 0)
        return -ENOENT;
    sim_entry_add(sim, place.dir, place.name, desc->node);
    return 0;
}

static int unlink_at(struct host_file *dir, const char *name, int flags)
{
    struct sim_host *sim = sim_of_file(dir);
    struct sim_place place;
    int err = sim_place_at(dir, name, SIM_CALL_unlink, &place);
    if (!err)
        err = place_judge_old(sim, &place);
    if (err)
        return err;
    bool wants_directory = flags & AT_REMOVEDIR;
    if (sim_is_directory(place.node) != wants_directory)
        return wants_directory ? -ENOTDIR : -EISDIR;
    if (wants_directory && place.node->directory->by_cookie.count > 0)
        return -ENOTEMPTY;
    sim_entry_remove(sim, place.dir, sim_entry_find(place.dir, place.name));
    return 0;
}

/* ---- renaming ---- */

static int rename_judge(const struct sim_host *sim, const struct sim_place *from,
                        const struct sim_place *to, u32 flags)
{
    int err = place_judge_old(sim, from);
    if (err)
        return err;
    if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
        flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    if (from->dir->domain != to->dir->domain || from->node->domain != to->dir->domain)
        return -EXDEV;
    if (sim_is_directory(from->node) && sim_is_below(to->dir, from->node))
        return -EINVAL;
    if (flags & RENAME_NOREPLACE && to->node)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE) {
        err = place_judge_old(sim, to);
        if (!err && sim_is_directory(to->node) && sim_is_below(from->dir, to->node))
            err = -EINVAL;
        return err;
    }
    if (!to->node)
        return place_judge_new(sim, to);
    err = place_judge_old(sim, to);
    if (err || from->node == to->node)
        return err;
    if (sim_is_directory(from->node) != sim_is_directory(to->node))
        return sim_is_directory(to->node) ? -EISDIR : -ENOTDIR;
    if (sim_is_directory(to->node) && to->node->directory->by_cookie.count > 0)
        return -ENOTEMPTY;
    return 0;
}

static void exchange(struct sim_host *sim, const struct sim_place *a, const struct sim_place *b)
{
    /* By a name that no one can have, for it has a slash. */
    sim_entry_move(sim, a->dir, sim_entry_find(a->dir, a->name), a->dir, "/");
    sim_entry_move(sim, b->dir, sim_entry_find(b->dir, b->name), a->dir, a->name);
    sim_entry_move(sim, a->dir, sim_entry_find(a->dir, "/"), b->dir, b->name);
}

static int rename_at(struct host_file *from_dir, const char *from_name, struct host_file *to_dir,
                     const char *to_name, u32 flags)
{
    struct sim_host *sim = sim_of_file(from_dir);
    struct sim_place from, to;
    int err = sim_place_at(from_dir, from_name, SIM_CALL_rename, &from);
    if (err)
        return err;
    struct sim_desc *desc = sim_desc_of(to_dir);
    if (desc->type != SIM_DESC_FILE || !sim_is_directory(desc->node))
        return -ENOTDIR;
    struct sim_entry *entry = sim_entry_find(desc->node, to_name);
    to = (struct sim_place){.dir = desc->node, .node = entry ? entry->node : NULL};
    strcpy(to.name, to_name); /* judged by host.c */
    err = rename_judge(sim, &from, &to, flags);
    if (err || from.node == to.node)
        return err;
    if (flags & RENAME_EXCHANGE) {
        exchange(sim, &from, &to);
        return 0;
    }
    if (to.node)
        sim_entry_remove(sim, to.dir, entry);
    sim_entry_move(sim, from.dir, sim_entry_find(from.dir, from.name), to.dir, to.name);
    return 0;
}

/* ---- looking ---- */

static int stat_at(struct host_file *dir, const char *name, struct host_stat *out)
{
    struct sim_place place;
    int err = sim_place_at(dir, name, SIM_CALL_stat, &place);
    if (!err && !place.node)
        err = -ENOENT;
    if (!err)
        sim_node_stat(place.node, out);
    return err;
}

static i64 read_link(struct host_file *file, char *out, size_t size)
{
    struct sim_desc *desc = sim_desc_of(file);
    int err = sim_call(sim_of_file(file), SIM_CALL_readlink, desc->label, NULL);
    if (err)
        return err;
    if (desc->type != SIM_DESC_FILE || !sim_is_symlink(desc->node))
        return -EINVAL;
    size_t length = MIN(strlen(desc->node->target), size);
    memcpy(out, desc->node->target, length);
    return (i64)length;
}

struct dirent64 {
    u64 inode;
    i64 next;
    u16 size;
    u8 type;
    char name[];
};

/* Append one record if it fits; its size or 0. */
static size_t dirent_put(u8 *out, size_t room, const struct sim_node *node, u64 cookie,
                         const char *name)
{
    size_t size = ALIGN_UP(offsetof(struct dirent64, name) + strlen(name) + 1, (size_t)8);
    if (size > room)
        return 0;
    memset(out, 0, size);
    struct dirent64 head = {.inode = node->inode,
                            .next = (i64)cookie,
                            .size = (u16)size,
                            .type = (u8)(node->mode >> 12 & 15)};
    memcpy(out, &head, offsetof(struct dirent64, name));
    strcpy((char *)out + offsetof(struct dirent64, name), name);
    return size;
}

/* The description's offset is the cookie of the entry last returned. */
i64 sim_read_dir(struct sim_desc *desc, void *out, size_t size)
{
    if (desc->type != SIM_DESC_FILE || !sim_is_directory(desc->node))
        return -ENOTDIR;
    if (desc->flags & O_PATH)
        return -EBADF;
    struct sim_directory *directory = desc->node->directory;
    if (directory->is_removed)
        return -ENOENT;
    u8 *to = out;
    size_t done = 0;
    for (;;) {
        u64 cookie = desc->offset + 1;
        const struct sim_node *node = cookie == 1 ? desc->node : directory->parent;
        const char *name = cookie == 1 ? "." : "..";
        if (cookie > 2) {
            struct sim_entry *entry = map_ceiling(&directory->by_cookie, cookie, &cookie);
            if (!entry)
                return (i64)done;
            node = entry->node;
            name = entry->name;
        }
        size_t put = dirent_put(to + done, size - done, node, cookie, name);
        if (put == 0)
            return done ? (i64)done : -EINVAL;
        done += put;
        desc->offset = cookie;
    }
}

static i64 read_dir(struct host_file *dir, void *out, size_t size)
{
    struct sim_desc *desc = sim_desc_of(dir);
    int err = sim_call(sim_of_file(dir), SIM_CALL_read_dir, desc->label, NULL);
    return err ? err : sim_read_dir(desc, out, size);
}

static int seek_dir(struct host_file *dir, u64 cookie)
{
    struct sim_desc *desc = sim_desc_of(dir);
    int err = sim_call(sim_of_file(dir), SIM_CALL_seek_dir, desc->label, NULL);
    if (!err && desc->flags & O_PATH)
        err = -EBADF;
    if (!err)
        desc->offset = cookie;
    return err;
}

/* ---- extended attributes ---- */

void sim_xattr_delete(struct sim_host *sim, struct sim_xattr *xattr)
{
    list_remove(&xattr->link);
    sim_delete(sim, xattr->name, strlen(xattr->name) + 1);
    sim_delete(sim, xattr->value, xattr->size);
    sim_delete(sim, xattr, sizeof *xattr);
}

/* Count the call; the node whose attributes are meant, if NAME (may be NULL) is one that it can
 * have. */
static int xattr_begin(struct host_file *file, enum sim_call call, const char *name,
                       struct sim_node **out)
{
    static const char *const spaces[] = {"user.", "trusted.", "security.", "system."};
    struct sim_host *sim = sim_of_file(file);
    struct sim_desc *desc = sim_desc_of(file);
    int err = sim_call(sim, call, desc->label, NULL);
    if (err)
        return err;
    if (desc->type != SIM_DESC_FILE)
        return -EOPNOTSUPP;
    *out = desc->node;
    bool is_known = !name;
    for (size_t i = 0; name && i < ARRAY_COUNT(spaces); i++)
        is_known |= strncmp(name, spaces[i], strlen(spaces[i])) == 0;
    if (!is_known)
        return -EOPNOTSUPP;
    bool is_plain = sim_is_regular(desc->node) || sim_is_directory(desc->node);
    if (name && strncmp(name, "user.", 5) == 0 && !is_plain)
        return call == SIM_CALL_get_xattr ? -ENODATA : -EPERM;
    if (name && strncmp(name, "trusted.", 8) == 0 && sim->config.uid != 0)
        return call == SIM_CALL_get_xattr ? -ENODATA : -EPERM;
    return 0;
}

static struct sim_xattr *xattr_find(const struct sim_node *node, const char *name)
{
    struct sim_xattr *xattr;
    list_for_each (xattr, &node->xattrs, link)
        if (strcmp(xattr->name, name) == 0)
            return xattr;
    return NULL;
}

static i64 get_xattr(struct host_file *file, const char *name, void *out, size_t size)
{
    struct sim_node *node;
    int err = xattr_begin(file, SIM_CALL_get_xattr, name, &node);
    if (err)
        return err;
    struct sim_xattr *xattr = xattr_find(node, name);
    if (!xattr)
        return -ENODATA;
    if (size == 0)
        return (i64)xattr->size;
    if (size < xattr->size)
        return -ERANGE;
    memcpy(out, xattr->value, xattr->size);
    return (i64)xattr->size;
}

static int set_xattr(struct host_file *file, const char *name, const void *value, size_t size,
                     int flags)
{
    struct sim_host *sim = sim_of_file(file);
    struct sim_node *node;
    int err = xattr_begin(file, SIM_CALL_set_xattr, name, &node);
    if (err)
        return err;
    if (flags & ~3)
        return -EINVAL;
    struct sim_xattr *old = xattr_find(node, name);
    if (old && flags & 1) /* XATTR_CREATE */
        return -EEXIST;
    if (!old && flags & 2) /* XATTR_REPLACE */
        return -ENODATA;
    if (old)
        sim_xattr_delete(sim, old);
    struct sim_xattr *xattr = sim_new(sim, sizeof *xattr);
    xattr->name = sim_text(sim, name);
    xattr->value = sim_new(sim, size);
    xattr->size = size;
    if (size > 0)
        memcpy(xattr->value, value, size);
    list_add_tail(&node->xattrs, &xattr->link);
    node->ctime_ns = sim_now_realtime(sim);
    return 0;
}

static i64 list_xattr(struct host_file *file, char *out, size_t size)
{
    struct sim_node *node;
    int err = xattr_begin(file, SIM_CALL_list_xattr, NULL, &node);
    if (err)
        return err;
    size_t need = 0;
    struct sim_xattr *xattr;
    list_for_each (xattr, &node->xattrs, link) {
        size_t length = strlen(xattr->name) + 1;
        if (size > 0 && need + length > size)
            return -ERANGE;
        if (size > 0)
            memcpy(out + need, xattr->name, length);
        need += length;
    }
    return need > XATTR_LIST_SIZE_MAX ? -E2BIG : (i64)need;
}

static int remove_xattr(struct host_file *file, const char *name)
{
    struct sim_host *sim = sim_of_file(file);
    struct sim_node *node;
    int err = xattr_begin(file, SIM_CALL_remove_xattr, name, &node);
    if (err)
        return err;
    struct sim_xattr *xattr = xattr_find(node, name);
    if (!xattr)
        return -ENODATA;
    sim_xattr_delete(sim, xattr);
    node->ctime_ns = sim_now_realtime(sim);
    return 0;
}

void sim_names_ops_set(struct host_ops *ops)
{
    ops->stat_at = stat_at;
    ops->mkdir_at = mkdir_at;
    ops->mknod_at = mknod_at;
    ops->symlink_at = symlink_at;
    ops->link_at = link_at;
    ops->unlink_at = unlink_at;
    ops->rename_at = rename_at;
    ops->readlink = read_link;
    ops->read_dir = read_dir;
    ops->seek_dir = seek_dir;
    ops->get_xattr = get_xattr;
    ops->set_xattr = set_xattr;
    ops->list_xattr = list_xattr;
    ops->remove_xattr = remove_xattr;
}
