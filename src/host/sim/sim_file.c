/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated files: opening, content, attributes, and the effect of submitted operations. */
#include "host/sim/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FS_TYPE 0xef53 /* ext4's magic: what most containers see */

/* ---- wrapping and opening ---- */

static struct host_file *file_wrap(struct sim_host *sim, int fd, struct sim_desc *desc)
{
    struct sim_file *file = sim_new(sim, sizeof *file);
    file->file.host = &sim->host;
    file->file.refs = 1;
    file->fd = fd;
    file->owner = sim->slots[fd].owner = sim->owner;
    file->desc = desc;
    sim_desc_get(desc);
    list_add_tail(&sim->files, &file->link);
    return &file->file;
}

/* FD is taken in any case. */
struct host_file *sim_file_from_fd(struct host *host, int fd)
{
    struct sim_host *sim = sim_of(host);
    struct sim_desc *desc = sim_fd_find(sim, fd);
    if (!desc)
        return NULL;
    if (sim_call(sim, SIM_CALL_wrap, desc->label, NULL)) {
        sim_fd_put(sim, fd);
        return NULL;
    }
    return file_wrap(sim, fd, desc);
}

static void file_unwrap(struct sim_host *sim, struct sim_file *file)
{
    list_remove(&file->link);
    sim_desc_put(sim, file->desc);
    sim_delete(sim, file, sizeof *file);
}

void sim_file_destroy(struct host_file *base)
{
    struct sim_host *sim = sim_of_file(base);
    struct sim_file *file = container_of(base, struct sim_file, file);
    sim_fd_put(sim, file->fd);
    file_unwrap(sim, file);
}

static int file_fd(const struct host_file *file)
{
    return container_of(file, const struct sim_file, file)->fd;
}

static int file_release(struct host_file *base)
{
    struct sim_file *file = container_of(base, struct sim_file, file);
    int fd = file->fd;
    file_unwrap(sim_of_file(base), file);
    return fd;
}

static u32 rights_of(int flags)
{
    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        return 4;
    case O_WRONLY:
        return 2;
    default:
        return 6;
    }
}

int sim_node_open(struct sim_host *sim, struct sim_node *node, const char *label,
                  const struct sim_opening *how, struct sim_desc **out)
{
    int flags = how->flags;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if ((flags & O_DIRECTORY) && !sim_is_directory(node))
        return -ENOTDIR;
    if (!(flags & O_PATH)) {
        if (sim_is_symlink(node))
            return -ELOOP;
        if (sim_is_directory(node) && writes)
            return -EISDIR;
        if (!sim_is_directory(node) && !sim_is_regular(node))
            return -ENXIO; /* no devices behind the simulated host, and no reader at its pipes */
        if (!how->is_engine && !sim_may(sim, node, rights_of(flags)))
            return -EACCES;
        if (flags & O_TRUNC && writes && node->size > 0) {
            sim_data_truncate(sim, node, 0);
            sim_touch(sim, node);
        }
    }
    struct sim_desc *desc = sim_desc_create(sim, SIM_DESC_FILE, label);
    desc->node = node;
    desc->flags = flags;
    sim_node_hold(node);
    *out = desc;
    return 0;
}

/* The node for O_CREAT where there is none. */
static int place_create(struct sim_host *sim, const struct sim_place *place,
                        const struct sim_opening *how, struct sim_node **out)
{
    struct sim_node *dir = place->dir;
    if (!sim_is_directory(dir))
        return -ENOTDIR;
    if (dir->directory->is_removed)
        return -ENOENT;
    if (!how->is_engine && !sim_may(sim, dir, 3))
        return -EACCES;
    struct sim_node *node = sim_node_create(sim, dir->domain, S_IFREG | (how->mode & 07777));
    node->uid = how->is_engine ? 0 : sim->config.uid;
    node->gid = dir->mode & S_ISGID ? dir->gid : how->is_engine ? 0 : sim->config.gid;
    sim_entry_add(sim, dir, place->name, node);
    *out = node;
    return 0;
}

int sim_place_open(struct sim_host *sim, const struct sim_place *place,
                   const struct sim_opening *how, struct sim_desc **out)
{
    struct sim_node *node = place->node;
    struct sim_opening opening = *how;
    bool creates = how->flags & O_CREAT;
    if (node && creates && how->flags & O_EXCL)
        return -EEXIST;
    if (node && creates && sim_is_directory(node))
        return -EISDIR;
    if (!node && !creates)
        return -ENOENT;
    if (!node) {
        int err = place_create(sim, place, how, &node);
        if (err)
            return err;
        opening.is_engine = true; /* open(2): the mode of a new file is for later openings */
    }
    char label[SIM_PATH_SIZE];
    sim_path_of(place->dir, place->name, label);
    return sim_node_open(sim, node, label, &opening, out);
}

/* A wrapper for a description that was just opened; takes it. */
static int desc_wrap(struct sim_host *sim, struct sim_desc *desc, struct host_file **out)
{
    int fd = sim_fd_install(sim, desc);
    if (fd < 0)
        return fd;
    *out = file_wrap(sim, fd, desc);
    return 0;
}

static int open_path(struct host *host, const char *path, int flags, u32 mode,
                     struct host_file **out)
{
    struct sim_host *sim = sim_of(host);
    int err = sim_call(sim, SIM_CALL_open, path, NULL);
    struct sim_place place;
    struct sim_desc *desc = NULL;
    bool follows = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    if (!err)
        err = sim_find(sim, path, SIM_FIND_RIGHTS | (follows ? SIM_FIND_FOLLOW : 0), &place);
    if (!err)
        err = sim_place_open(sim, &place, &(struct sim_opening){flags, mode, false}, &desc);
    return err ? err : desc_wrap(sim, desc, out);
}

/* The entry NAME of DIR, whose node may be NULL; counts CALL. */
int sim_place_at(struct host_file *dir, const char *name, enum sim_call call, struct sim_place *out)
{
    struct sim_host *sim = sim_of_file(dir);
    struct sim_desc *desc = sim_desc_of(dir);
    if (desc->type != SIM_DESC_FILE || !sim_is_directory(desc->node))
        return -ENOTDIR;
    char path[SIM_PATH_SIZE];
    sim_path_of(desc->node, name, path);
    int err = sim_call(sim, call, path, NULL);
    if (err)
        return err;
    if (!sim_may(sim, desc->node, 1))
        return -EACCES;
    struct sim_entry *entry = sim_entry_find(desc->node, name);
    out->dir = desc->node;
    out->node = entry ? entry->node : NULL;
    strcpy(out->name, name); /* judged by host.c */
    return 0;
}

static int open_at(struct host_file *dir, const char *name, int flags, u32 mode,
                   struct host_file **out)
{
    struct sim_host *sim = sim_of_file(dir);
    struct sim_place place;
    struct sim_desc *desc = NULL;
    int err = sim_place_at(dir, name, SIM_CALL_open, &place);
    if (!err)
        err = sim_place_open(sim, &place, &(struct sim_opening){flags, mode, false}, &desc);
    return err ? err : desc_wrap(sim, desc, out);
}

static int reopen(struct host_file *file, int flags, struct host_file **out)
{
    struct sim_host *sim = sim_of_file(file);
    struct sim_desc *desc = sim_desc_of(file);
    struct sim_desc *fresh = NULL;
    int err = sim_call(sim, SIM_CALL_reopen, desc->label, NULL);
    if (!err && desc->type != SIM_DESC_FILE)
        err = -ENXIO;
    if (!err)
        err = sim_node_open(sim, desc->node, desc->label, &(struct sim_opening){.flags = flags},
                            &fresh);
    return err ? err : desc_wrap(sim, fresh, out);
}

/* ---- content ---- */

/* May DESC be read (4) or written (2)? */
static int content_judge(const struct sim_desc *desc, u32 right)
{
    if (desc->type != SIM_DESC_FILE)
        return -EOPNOTSUPP; /* a stream is for the stream calls */
    if (desc->flags & O_PATH || !(rights_of(desc->flags) & right))
        return -EBADF;
    return sim_is_directory(desc->node) ? -EISDIR : 0;
}

static i64 read_some(struct sim_desc *desc, void *out, size_t size, u64 offset)
{
    return sim_data_read(desc->node, out, size, offset);
}

static i64 write_some(struct sim_host *sim, struct sim_desc *desc, const void *bytes, size_t size,
                      u64 offset)
{
    if (desc->flags & O_APPEND)
        offset = desc->node->size; /* pwrite(2): Linux appends whatever the offset */
    if (sim->config.uid != 0)
        desc->node->mode &= ~(u32)(S_ISUID | S_ISGID);
    return sim_data_write(sim, desc->node, bytes, size, offset);
}

/* How much of SIZE the plan lets through. */
static size_t struck_size(struct sim_host *sim, const struct sim_strike *strike, size_t size)
{
    if (strike->torn)
        return (size_t)rand_below(&sim->inner, size + 1);
    return strike->short_size ? MIN(size, strike->short_size) : size;
}

static i64 torn_error(const struct sim_strike *strike)
{
    return strike->error ? -strike->error : -EIO;
}

static i64 file_pread(struct host_file *file, void *out, size_t size, u64 offset)
{
    struct sim_host *sim = sim_of_file(file);
    struct sim_desc *desc = sim_desc_of(file);
    struct sim_strike strike;
    int err = sim_call(sim, SIM_CALL_read, desc->label, &strike);
    if (!err)
        err = content_judge(desc, 4);
    if (err)
        return err;
    return strike.error ? -strike.error
                        : read_some(desc, out, struck_size(sim, &strike, size), offset);
}

static i64 file_pwrite(struct host_file *file, const void *bytes, size_t size, u64 offset)
{
    struct sim_host *sim = sim_of_file(file);
    struct sim_desc *desc = sim_desc_of(file);
    struct sim_strike strike;
    int err = sim_call(sim, SIM_CALL_write, desc->label, &strike);
    if (!err)
        err = content_judge(desc, 2);
    if (err)
        return err;
    if (strike.error && !strike.torn)
        return -strike.error;
    i64 count = write_some(sim, desc, bytes, struck_size(sim, &strike, size), offset);
    return strike.torn ? torn_error(&strike) : count;
}

static int file_sync(struct host_file *file)
{
    struct sim_desc *desc = sim_desc_of(file);
    int err = sim_call(sim_of_file(file), SIM_CALL_sync, desc->label, NULL);
    if (!err && desc->type != SIM_DESC_FILE)
        err = -EINVAL;
    if (!err && desc->flags & O_PATH)
        err = -EBADF;
    return err;
}

/* ---- attributes ---- */

static int stat_desc(const struct sim_desc *desc, struct host_stat *out)
{
    if (desc->type == SIM_DESC_FILE) {
        sim_node_stat(desc->node, out);
        return 0;
    }
    u32 type = S_IFSOCK | 0777;
    if (desc->type == SIM_DESC_STREAM && desc->end.is_pipe)
        type = S_IFIFO | 0600;
    else if (desc->type == SIM_DESC_STREAM && desc->end.is_terminal)
        type = S_IFCHR | 0620;
    *out = (struct host_stat){
        .device = 8, .inode = desc->id, .mode = type, .link_count = 1, .block_size = 4096};
    if (S_ISCHR(type))
        out->rdev_major = 136;
    return 0;
}

int sim_desc_stat(struct sim_host *sim, const struct sim_desc *desc, struct host_stat *out)
{
    int err = sim_call(sim, SIM_CALL_stat, desc->label, NULL);
    return err ? err : stat_desc(desc, out);
}

static int file_stat(struct host_file *file, struct host_stat *out)
{
    return sim_desc_stat(sim_of_file(file), sim_desc_of(file), out);
}

static int attr_judge(const struct sim_host *sim, const struct sim_desc *desc,
                      const struct host_set_attr *attr)
{
    const struct sim_node *node = desc->node;
    bool may_write = sim_may(sim, node, 2);
    if (attr->mask & HOST_ATTR_SIZE) {
        if (sim_is_directory(node))
            return -EISDIR;
        if (!sim_is_regular(node) || attr->size > INT64_MAX)
            return -EINVAL;
        bool is_writable = !(desc->flags & O_PATH) && (rights_of(desc->flags) & 2);
        if (!is_writable && !(desc->flags & O_PATH))
            return -EINVAL;
        if (!is_writable && !may_write)
            return -EACCES;
    }
    if (attr->mask & (HOST_ATTR_UID | HOST_ATTR_GID) && sim->config.uid != 0) {
        bool changes = (attr->mask & HOST_ATTR_UID && attr->uid != node->uid) ||
                       (attr->mask & HOST_ATTR_GID && attr->gid != node->gid &&
                        attr->gid != sim->config.gid);
        if (changes || !sim_is_owner(sim, node))
            return -EPERM;
    }
    if (attr->mask & (HOST_ATTR_MODE | HOST_ATTR_ATIME | HOST_ATTR_MTIME) &&
        !sim_is_owner(sim, node))
        return -EPERM;
    if (attr->mask & HOST_ATTR_MODE && sim_is_symlink(node))
        return -EOPNOTSUPP;
    if (attr->mask & (HOST_ATTR_ATIME_NOW | HOST_ATTR_MTIME_NOW) && !sim_is_owner(sim, node) &&
        !may_write)
        return -EACCES;
    return 0;
}

static int set_attr(struct sim_host *sim, struct sim_desc *desc, const struct host_set_attr *attr)
{
    if (desc->type != SIM_DESC_FILE)
        return -EINVAL;
    int err = attr_judge(sim, desc, attr);
    if (err)
        return err;
    struct sim_node *node = desc->node;
    i64 now = sim_now_realtime(sim);
    if (attr->mask & HOST_ATTR_SIZE) {
        sim_data_truncate(sim, node, attr->size);
        node->mtime_ns = now;
    }
    if (attr->mask & HOST_ATTR_UID)
        node->uid = attr->uid;
    if (attr->mask & HOST_ATTR_GID)
        node->gid = attr->gid;
    if (attr->mask & (HOST_ATTR_UID | HOST_ATTR_GID) && !sim_is_directory(node))
        node->mode &= ~(u32)(S_ISUID | (node->mode & S_IXGRP ? S_ISGID : 0));
    if (attr->mask & HOST_ATTR_MODE)
        node->mode = (node->mode & S_IFMT) | attr->mode;
    if (attr->mask & (HOST_ATTR_ATIME | HOST_ATTR_ATIME_NOW))
        node->atime_ns = attr->mask & HOST_ATTR_ATIME ? attr->atime_ns : now;
    if (attr->mask & (HOST_ATTR_MTIME | HOST_ATTR_MTIME_NOW))
        node->mtime_ns = attr->mask & HOST_ATTR_MTIME ? attr->mtime_ns : now;
    node->ctime_ns = now;
    return 0;
}

int sim_file_set_attr(struct host_file *file, const struct host_set_attr *attr)
{
    struct sim_desc *desc = sim_desc_of(file);
    int err = sim_call(sim_of_file(file), SIM_CALL_set_attr, desc->label, NULL);
    return err ? err : set_attr(sim_of_file(file), desc, attr);
}

static int file_statfs(struct host_file *file, struct host_statfs *out)
{
    struct sim_host *sim = sim_of_file(file);
    struct sim_desc *desc = sim_desc_of(file);
    int err = sim_call(sim, SIM_CALL_statfs, desc->label, NULL);
    if (err)
        return err;
    const struct sim_domain *domain = desc->type == SIM_DESC_FILE ? desc->node->domain
                                                                  : sim->root->domain;
    u64 size = domain->size_max;
    u64 left = size - MIN(domain->used, size);
    for (; domain; domain = domain->outer) {
        size = MIN(size, domain->size_max);
        left = MIN(left, domain->size_max - MIN(domain->used, domain->size_max));
    }
    *out = (struct host_statfs){
        .type = FS_TYPE,
        .block_size = SIM_CHUNK_SIZE,
        .blocks = size / SIM_CHUNK_SIZE,
        .blocks_free = left / SIM_CHUNK_SIZE,
        .blocks_available = left / SIM_CHUNK_SIZE,
        .files = 1 << 20,
        .files_free = 1 << 19,
        .name_max = 255,
    };
    return 0;
}

/* ---- submitted operations ---- */

/* Move through the vectors at *OFFSET; a count or, if nothing was moved, an error. */
static i64 move_vectors(struct sim_host *sim, struct host_op *op, bool is_read, u64 *offset,
                        size_t size_max)
{
    struct sim_desc *desc = sim_desc_of(op->file);
    i64 moved = 0;
    for (u32 i = 0; i < op->iov_count && size_max > 0; i++) {
        size_t size = MIN(op->iov[i].size, size_max);
        i64 count = is_read ? read_some(desc, op->iov[i].base, size, *offset)
                            : write_some(sim, desc, op->iov[i].base, size, *offset);
        if (count < 0)
            return moved ? moved : count;
        *offset = !is_read && desc->flags & O_APPEND ? desc->node->size : *offset + (u64)count;
        moved += count;
        size_max -= (size_t)count;
        if ((size_t)count < size)
            break;
    }
    return moved;
}

static i64 run_transfer(struct sim_host *sim, struct host_op *op, const struct sim_strike *strike)
{
    struct sim_desc *desc = sim_desc_of(op->file);
    bool is_read = op->type == HOST_OP_PREAD || op->type == HOST_OP_READ;
    bool is_at = op->type == HOST_OP_PREAD || op->type == HOST_OP_PWRITE;
    int err = content_judge(desc, is_read ? 4 : 2);
    if (err)
        return err;
    size_t size = 0;
    for (u32 i = 0; i < op->iov_count; i++)
        size += op->iov[i].size;
    u64 offset = is_at ? op->offset : desc->offset;
    i64 count = move_vectors(sim, op, is_read, &offset, struck_size(sim, strike, size));
    if (!is_at)
        desc->offset = offset;
    return strike->torn && !is_read ? torn_error(strike) : count;
}

static i64 run_seek(struct host_op *op)
{
    struct sim_desc *desc = sim_desc_of(op->file);
    if (desc->type != SIM_DESC_FILE)
        return -ESPIPE;
    if (desc->flags & O_PATH)
        return -EBADF;
    i64 at;
    switch (op->flags) {
    case SEEK_SET:
        at = (i64)op->offset;
        break;
    case SEEK_CUR:
        if (__builtin_add_overflow((i64)desc->offset, (i64)op->offset, &at))
            return -EOVERFLOW;
        break;
    case SEEK_END:
        if (__builtin_add_overflow((i64)desc->node->size, (i64)op->offset, &at))
            return -EOVERFLOW;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        at = sim_data_seek(desc->node, op->offset, op->flags == SEEK_DATA);
        if (at < 0)
            return at;
        break;
    default:
        return -EINVAL;
    }
    if (at < 0)
        return -EINVAL;
    desc->offset = (u64)at;
    return at;
}

i64 sim_op_run(struct sim_host *sim, struct host_op *op, const struct sim_strike *strike)
{
    struct sim_desc *desc = sim_desc_of(op->file);
    if (strike->error && !strike->torn)
        return -strike->error;
    switch (op->type) {
    case HOST_OP_PREAD:
    case HOST_OP_PWRITE:
    case HOST_OP_READ:
    case HOST_OP_WRITE:
        return run_transfer(sim, op, strike);
    case HOST_OP_SYNC:
        return desc->type != SIM_DESC_FILE ? -EINVAL : desc->flags & O_PATH ? -EBADF : 0;
    case HOST_OP_STAT:
        return stat_desc(desc, &op->stat);
    case HOST_OP_SET_ATTR:
        return set_attr(sim, desc, &op->attr);
    case HOST_OP_ALLOCATE: {
        int err = content_judge(desc, 2);
        return err ? err : sim_data_allocate(sim, desc->node, op->flags, op->offset, op->length);
    }
    case HOST_OP_SEEK:
        return run_seek(op);
    case HOST_OP_READ_DIR:
        return sim_read_dir(desc, op->iov[0].base, op->iov[0].size);
    case HOST_OP_CONNECT:
        break;
    }
    return -EOPNOTSUPP;
}

void sim_file_ops_set(struct host_ops *ops)
{
    ops->file_from_fd = sim_file_from_fd;
    ops->file_destroy = sim_file_destroy;
    ops->file_fd = file_fd;
    ops->file_release = file_release;
    ops->open_path = open_path;
    ops->open_at = open_at;
    ops->reopen = reopen;
    ops->stat = file_stat;
    ops->set_attr = sim_file_set_attr;
    ops->statfs = file_statfs;
    ops->pread = file_pread;
    ops->pwrite = file_pwrite;
    ops->sync = file_sync;
}
