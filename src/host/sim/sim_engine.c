/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's own hand in the simulated outside: files by path, damage, descriptors. No rights, no
 * faults, no counting. */
#include "host/sim/internal.h"

#include "base/sort.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

/* ---- files ---- */

/* The node at PATH, which must exist. */
static int find_node(struct sim_host *sim, const char *path, struct sim_node **out)
{
    struct sim_place place;
    int err = sim_find(sim, path, 0, &place);
    if (err)
        return err;
    if (!place.node)
        return -ENOENT;
    *out = place.node;
    return 0;
}

static int find_regular(struct sim_host *sim, const char *path, struct sim_node **out)
{
    int err = find_node(sim, path, out);
    if (err)
        return err;
    if (sim_is_directory(*out))
        return -EISDIR;
    return sim_is_regular(*out) ? 0 : -EINVAL;
}

/* A new node of MODE at PATH, or the one that is there if it is of the same type. */
static int put_node(struct host *host, const char *path, u32 mode, struct sim_node **out)
{
    struct sim_host *sim = sim_of(host);
    struct sim_place place;
    int err = sim_find(sim, path, SIM_FIND_CREATE, &place);
    if (err)
        return err;
    if (place.node && (place.node->mode & S_IFMT) != (mode & S_IFMT))
        return -EEXIST;
    if (place.node) {
        place.node->mode = mode;
        *out = place.node;
        return 0;
    }
    if (!sim_is_directory(place.dir))
        return -ENOTDIR;
    *out = sim_node_create(sim, place.dir->domain, mode);
    sim_entry_add(sim, place.dir, place.name, *out);
    return 0;
}

int sim_put_file(struct host *host, const char *path, const void *bytes, size_t size, u32 mode)
{
    struct sim_host *sim = sim_of(host);
    struct sim_node *node;
    int err = put_node(host, path, S_IFREG | (mode & 07777), &node);
    if (err)
        return err;
    sim_data_truncate(sim, node, 0);
    i64 count = sim_data_write(sim, node, bytes, size, 0);
    if (count < 0)
        return (int)count;
    return (size_t)count == size ? 0 : -ENOSPC;
}

int sim_put_directory(struct host *host, const char *path, u32 mode)
{
    struct sim_node *node;
    return put_node(host, path, S_IFDIR | (mode & 07777), &node);
}

int sim_put_symlink(struct host *host, const char *path, const char *target)
{
    struct sim_host *sim = sim_of(host);
    size_t size = strlen(target);
    if (size == 0 || size > 4095)
        return size ? -ENAMETOOLONG : -ENOENT;
    struct sim_node *node;
    int err = put_node(host, path, S_IFLNK | 0777, &node);
    if (err)
        return err;
    if (node->target)
        sim_delete(sim, node->target, strlen(node->target) + 1);
    node->target = sim_text(sim, target);
    return 0;
}

int sim_put_node(struct host *host, const char *path, u32 mode, u32 major, u32 minor)
{
    struct sim_node *node;
    if (S_ISDIR(mode) || S_ISLNK(mode))
        return -EINVAL;
    int err = put_node(host, path, mode, &node);
    if (err)
        return err;
    node->rdev_major = major;
    node->rdev_minor = minor;
    return 0;
}

int sim_set_owner(struct host *host, const char *path, u32 uid, u32 gid)
{
    struct sim_node *node;
    int err = find_node(sim_of(host), path, &node);
    if (err)
        return err;
    node->uid = uid;
    node->gid = gid;
    return 0;
}

int sim_get_file(struct host *host, const char *path, struct buf *out)
{
    struct sim_node *node;
    int err = find_regular(sim_of(host), path, &node);
    u64 offset = 0;
    while (!err && offset < node->size) {
        u8 *room;
        size_t part = (size_t)MIN(node->size - offset, SIM_CHUNK_SIZE * 16);
        err = buf_reserve(out, part, &room);
        if (err)
            break;
        i64 count = sim_data_read(node, room, part, offset);
        ASSERT(count == (i64)part);
        buf_grow(out, part);
        offset += part;
    }
    return err;
}

int sim_get_symlink(struct host *host, const char *path, struct buf *out)
{
    struct sim_node *node;
    int err = find_node(sim_of(host), path, &node);
    if (err)
        return err;
    return node->target ? buf_append_text(out, node->target) : -EINVAL;
}

int sim_get_stat(struct host *host, const char *path, struct host_stat *out)
{
    struct sim_node *node;
    int err = find_node(sim_of(host), path, &node);
    if (!err)
        sim_node_stat(node, out);
    return err;
}

/* Empty DIR and what is below it: always down into the first directory, so no stack is needed. */
static void remove_below(struct sim_host *sim, struct sim_node *dir)
{
    struct sim_node *at = dir;
    for (;;) {
        u64 cookie;
        struct sim_entry *entry = map_ceiling(&at->directory->by_cookie, 0, &cookie);
        if (!entry && at == dir)
            return;
        if (!entry) {
            struct sim_node *parent = at->directory->parent;
            sim_entry_remove(sim, parent, sim_entry_find(parent, at->directory->name));
            at = parent;
        } else if (sim_is_directory(entry->node)) {
            at = entry->node;
        } else {
            sim_entry_remove(sim, at, entry);
        }
    }
}

int sim_remove(struct host *host, const char *path)
{
    struct sim_host *sim = sim_of(host);
    struct sim_place place;
    int err = sim_find(sim, path, 0, &place);
    if (err)
        return err;
    if (!place.node)
        return -ENOENT;
    if (sim_is_directory(place.node))
        remove_below(sim, place.node);
    if (place.node == sim->root)
        return 0;
    struct sim_node *dir = place.dir == place.node ? place.node->directory->parent : place.dir;
    const char *name = place.dir == place.node ? place.node->directory->name : place.name;
    sim_entry_remove(sim, dir, sim_entry_find(dir, name));
    return 0;
}

static int compare_entries(const void *a, const void *b, void *arg)
{
    const struct sim_entry *const *left = a;
    const struct sim_entry *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

struct walk {
    struct sim_host *sim;
    void (*each)(void *arg, const char *path, const struct host_stat *stat);
    void *arg;
};

/* PATH has room for SIM_PATH_SIZE bytes; what would be longer is left out. */
static void walk_node(const struct walk *walk, const struct sim_node *node, char *path)
{
    struct host_stat stat;
    sim_node_stat(node, &stat);
    walk->each(walk->arg, *path ? path : "/", &stat);
    if (!sim_is_directory(node))
        return;
    size_t count = node->directory->by_cookie.count;
    struct sim_entry **entries = sim_new(walk->sim, count * sizeof *entries);
    size_t at = 0;
    struct sim_entry *entry;
    map_for_each (&node->directory->by_cookie, cookie, entry)
        entries[at++] = entry;
    sort_stable(entries, count, sizeof *entries, compare_entries, NULL);
    size_t size = strlen(path);
    for (at = 0; at < count; at++) {
        size_t name_size = strlen(entries[at]->name);
        if (size + 1 + name_size >= SIM_PATH_SIZE)
            continue;
        path[size] = '/';
        memcpy(path + size + 1, entries[at]->name, name_size + 1);
        walk_node(walk, entries[at]->node, path);
        path[size] = '\0';
    }
    sim_delete(walk->sim, entries, count * sizeof *entries);
}

int sim_walk(struct host *host, const char *path,
             void (*each)(void *arg, const char *path, const struct host_stat *stat), void *arg)
{
    struct sim_host *sim = sim_of(host);
    struct sim_node *node;
    int err = find_node(sim, path, &node);
    if (err)
        return err;
    char text[SIM_PATH_SIZE];
    size_t size = strlen(path);
    if (size >= sizeof text)
        return -ENAMETOOLONG;
    memcpy(text, path, size + 1);
    while (size > 0 && text[size - 1] == '/')
        text[--size] = '\0';
    struct walk walk = {sim, each, arg};
    walk_node(&walk, node, text);
    return 0;
}

int sim_space_limit(struct host *host, const char *path, u64 bytes_max)
{
    struct sim_node *node;
    int err = find_node(sim_of(host), path, &node);
    if (err)
        return err;
    if (!sim_is_directory(node))
        return -ENOTDIR;
    sim_domain_set(sim_of(host), node, bytes_max);
    return 0;
}

i64 sim_space_used(struct host *host, const char *path)
{
    struct sim_node *node;
    int err = find_node(sim_of(host), path, &node);
    return err ? err : (i64)node->domain->used;
}

int sim_damage_bytes(struct host *host, const char *path, u64 offset, const void *bytes,
                     size_t size)
{
    struct sim_node *node;
    int err = find_regular(sim_of(host), path, &node);
    if (err)
        return err;
    if (offset > node->size || size > node->size - offset)
        return -EINVAL;
    i64 count = sim_data_write(sim_of(host), node, bytes, size, offset);
    return count < 0 ? (int)count : 0;
}

int sim_damage_bit(struct host *host, const char *path, u64 bit)
{
    struct sim_node *node;
    int err = find_regular(sim_of(host), path, &node);
    if (err)
        return err;
    u8 byte;
    if (sim_data_read(node, &byte, 1, bit / 8) != 1)
        return -EINVAL;
    byte ^= (u8)(1u << (bit % 8));
    return sim_damage_bytes(host, path, bit / 8, &byte, 1);
}

int sim_damage_truncate(struct host *host, const char *path, u64 size)
{
    struct sim_node *node;
    int err = find_regular(sim_of(host), path, &node);
    if (err)
        return err;
    if (size > node->size)
        return -EINVAL;
    sim_data_truncate(sim_of(host), node, size);
    return 0;
}

/* ---- descriptors ---- */

int sim_open(struct host *host, const char *path, int flags, u32 mode)
{
    struct sim_host *sim = sim_of(host);
    struct sim_place place;
    u32 find = (flags & O_NOFOLLOW ? 0 : SIM_FIND_FOLLOW) | (flags & O_CREAT ? SIM_FIND_CREATE : 0);
    const struct sim_opening how = {flags, mode, .is_engine = true};
    int err = sim_find(sim, path, find, &place);
    struct sim_desc *desc = NULL;
    if (!err)
        err = sim_place_open(sim, &place, &how, &desc);
    return err ? err : sim_fd_install(sim, desc);
}

int sim_dup(struct host *host, int fd)
{
    struct sim_desc *desc = sim_fd_find(sim_of(host), fd);
    if (!desc)
        return -EBADF;
    sim_desc_get(desc);
    return sim_fd_install(sim_of(host), desc);
}

bool sim_fd_is_open(struct host *host, int fd)
{
    return sim_fd_find(sim_of(host), fd) != NULL;
}

void sim_fd_close(struct host *host, int fd)
{
    sim_fd_put(sim_of(host), fd);
}

/* Numbers for both ends; takes both. */
static int install_both(struct sim_host *sim, struct sim_desc *a, struct sim_desc *b, int fds[2])
{
    fds[0] = sim_fd_install(sim, a);
    fds[1] = sim_fd_install(sim, b);
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    if (fds[0] >= 0)
        sim_fd_put(sim, fds[0]);
    if (fds[1] >= 0)
        sim_fd_put(sim, fds[1]);
    return -EMFILE;
}

int sim_pair(struct host *host, int type, int fds[2])
{
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET)
        return -EINVAL;
    struct sim_desc *a, *b;
    sim_ends_create(sim_of(host), type, &a, &b);
    return install_both(sim_of(host), a, b, fds);
}

int sim_pipe(struct host *host, int fds[2])
{
    struct sim_desc *a, *b;
    sim_ends_create(sim_of(host), SOCK_STREAM, &a, &b);
    a->end.is_pipe = b->end.is_pipe = true;
    a->end.may_write = b->end.may_read = false;
    a->end.capacity = SIM_PIPE_CAPACITY;
    return install_both(sim_of(host), a, b, fds);
}

int sim_terminal(struct host *host, int fds[2])
{
    /* struct termios of Linux as a new pty has it: cooked, echoing, 38400 baud. */
    static const u8 usual[36] = {0x00, 0x05, 0,    0,    0x05, 0,    0,   0, 0xbf,
                                 0,    0,    0,    0x3b, 0x8a, 0,    0,   0, /* flags, line */
                                 0x03, 0x1c, 0x7f, 0x15, 0x04, 0,    1,   0, 0x11,
                                 0x13, 0x1a, 0,    0x12, 0x0f, 0x17, 0x16};
    static const u8 window[8] = {24, 0, 80, 0};
    struct sim_desc *a, *b;
    sim_ends_create(sim_of(host), SOCK_STREAM, &a, &b);
    a->end.is_terminal = true;
    memcpy(a->end.termios, usual, sizeof usual);
    memcpy(a->end.window, window, sizeof window);
    return install_both(sim_of(host), a, b, fds);
}

int sim_listen(struct host *host, const char *path)
{
    struct sim_host *sim = sim_of(host);
    struct sim_node *node = NULL;
    if (path) {
        struct sim_place place;
        int err = sim_find(sim, path, SIM_FIND_CREATE, &place);
        if (!err && place.node)
            err = -EADDRINUSE;
        if (!err)
            err = put_node(host, path, S_IFSOCK | 0777, &node);
        if (err)
            return err;
        sim_node_hold(node);
    }
    struct sim_desc *desc = sim_desc_create(sim, SIM_DESC_LISTENER, path ? path : "listener");
    desc->node = node;
    if (node)
        node->listener = desc;
    return sim_fd_install(sim, desc);
}

int sim_connect(struct host *host, int listen_fd)
{
    struct sim_host *sim = sim_of(host);
    struct sim_desc *listener = sim_fd_find(sim, listen_fd);
    if (!listener || listener->type != SIM_DESC_LISTENER)
        return listener ? -ENOTSOCK : -EBADF;
    struct sim_desc *client;
    int err = sim_listener_connect(sim, listener, &client);
    return err ? err : sim_fd_install(sim, client);
}

void sim_label(struct host *host, int fd, const char *label)
{
    struct sim_host *sim = sim_of(host);
    struct sim_desc *desc = sim_fd_find(sim, fd);
    ASSERT(desc != NULL);
    sim_delete(sim, desc->label, strlen(desc->label) + 1);
    desc->label = sim_text(sim, label);
}

struct host_stream *sim_engine_stream(struct host *host, int fd)
{
    struct sim_desc *desc = sim_fd_find(sim_of(host), fd);
    ASSERT(desc != NULL && desc->type != SIM_DESC_LISTENER);
    return &sim_stream_wrap(sim_of(host), fd, true)->stream;
}

void sim_fragment(struct host *host, int fd, u32 piece_max)
{
    struct sim_desc *desc = sim_fd_find(sim_of(host), fd);
    ASSERT(desc != NULL && desc->type == SIM_DESC_STREAM);
    desc->end.piece_max = piece_max;
}

void sim_capacity(struct host *host, int fd, u32 size)
{
    struct sim_desc *desc = sim_fd_find(sim_of(host), fd);
    ASSERT(desc != NULL && desc->type == SIM_DESC_STREAM);
    desc->end.capacity = size ? size : SIM_STREAM_CAPACITY;
}
