/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated tree: nodes, entries, paths, rights, limits of space. Directories list their
 * entries in order of creation, whose number is also the cookie, so a listing never depends on a
 * hash.
 */
#include "host/sim/internal.h"

#include "base/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define SYMLINKS_MAX 40
#define NAME_SIZE_MAX 255
#define DEVICE 0x2a
#define COOKIE_FIRST 3 /* "." and ".." come before */

/* ---- nodes ---- */

bool sim_is_regular(const struct sim_node *node)
{
    return S_ISREG(node->mode);
}

bool sim_is_symlink(const struct sim_node *node)
{
    return S_ISLNK(node->mode);
}

void sim_touch(struct sim_host *sim, struct sim_node *node)
{
    node->mtime_ns = node->ctime_ns = sim_now_realtime(sim);
}

struct sim_node *sim_node_create(struct sim_host *sim, struct sim_domain *domain, u32 mode)
{
    struct sim_node *node = sim_new(sim, sizeof *node);
    node->inode = ++sim->inode_last;
    node->mode = mode;
    node->domain = domain;
    node->atime_ns = node->mtime_ns = node->ctime_ns = node->btime_ns = sim_now_realtime(sim);
    list_init(&node->xattrs);
    map_init(&node->chunks, sim->memory);
    if (S_ISDIR(mode)) {
        node->directory = sim_new(sim, sizeof *node->directory);
        node->directory->cookie_last = COOKIE_FIRST - 1;
        map_init(&node->directory->by_cookie, sim->memory);
        map_init(&node->directory->by_hash, sim->memory);
    }
    list_add_tail(&sim->nodes, &node->link);
    return node;
}

static void entry_delete(struct sim_host *sim, struct sim_entry *entry)
{
    sim_delete(sim, entry->name, strlen(entry->name) + 1);
    sim_delete(sim, entry, sizeof *entry);
}

static void node_delete(struct sim_host *sim, struct sim_node *node)
{
    sim_data_truncate(sim, node, 0);
    map_fini(&node->chunks);
    struct sim_xattr *xattr, *next;
    list_for_each_safe (xattr, next, &node->xattrs, link)
        sim_xattr_delete(sim, xattr);
    if (node->target)
        sim_delete(sim, node->target, strlen(node->target) + 1);
    if (node->directory) {
        struct sim_entry *entry;
        map_for_each (&node->directory->by_cookie, cookie, entry)
            entry_delete(sim, entry);
        map_fini(&node->directory->by_cookie);
        map_fini(&node->directory->by_hash);
        sim_delete(sim, node->directory, sizeof *node->directory);
    }
    struct sim_domain *domain;
    list_for_each (domain, &sim->domains, link)
        if (domain->root == node)
            domain->root = NULL;
    list_remove(&node->link);
    sim_delete(sim, node, sizeof *node);
}

void sim_node_hold(struct sim_node *node)
{
    node->open_count++;
}

static void node_check(struct sim_host *sim, struct sim_node *node)
{
    if (node->link_count == 0 && node->open_count == 0)
        node_delete(sim, node);
}

void sim_node_drop(struct sim_host *sim, struct sim_node *node)
{
    ASSERT(node->open_count > 0);
    node->open_count--;
    node_check(sim, node);
}

/* ---- entries ---- */

struct sim_entry *sim_entry_find(const struct sim_node *dir, const char *name)
{
    struct sim_entry *entry = map_find(&dir->directory->by_hash, hash_text(name, 0));
    while (entry && strcmp(entry->name, name) != 0)
        entry = entry->next_same;
    return entry;
}

void sim_entry_add(struct sim_host *sim, struct sim_node *dir, const char *name,
                   struct sim_node *node)
{
    struct sim_directory *directory = dir->directory;
    struct sim_entry *entry = sim_new(sim, sizeof *entry);
    entry->name = sim_text(sim, name);
    entry->node = node;
    entry->cookie = ++directory->cookie_last;
    int err = map_add(&directory->by_cookie, entry->cookie, entry);
    ASSERT(err == 0);
    u64 hash = hash_text(name, 0);
    entry->next_same = map_replace(&directory->by_hash, hash, entry);
    if (!entry->next_same) {
        err = map_add(&directory->by_hash, hash, entry);
        ASSERT(err == 0);
    }
    if (node->directory) {
        node->directory->parent = dir;
        node->directory->name = entry->name;
        node->link_count = MAX(node->link_count,
                               2u); /* a moved one keeps what its own entries gave it */
        dir->link_count++;
    } else {
        node->link_count++;
    }
    sim_touch(sim, dir);
    node->ctime_ns = sim_now_realtime(sim);
}

/* Unhook ENTRY and free it; its node keeps its counts. */
static void entry_unhook(struct sim_host *sim, struct sim_node *dir, struct sim_entry *entry)
{
    struct sim_directory *directory = dir->directory;
    u64 hash = hash_text(entry->name, 0);
    struct sim_entry *first = map_find(&directory->by_hash, hash);
    if (first == entry && entry->next_same) {
        (void)map_replace(&directory->by_hash, hash, entry->next_same);
    } else if (first == entry) {
        (void)map_remove(&directory->by_hash, hash);
    } else {
        while (first->next_same != entry)
            first = first->next_same;
        first->next_same = entry->next_same;
    }
    (void)map_remove(&directory->by_cookie, entry->cookie);
    entry_delete(sim, entry);
    sim_touch(sim, dir);
}

void sim_entry_remove(struct sim_host *sim, struct sim_node *dir, struct sim_entry *entry)
{
    struct sim_node *node = entry->node;
    entry_unhook(sim, dir, entry);
    node->ctime_ns = sim_now_realtime(sim);
    if (node->directory) {
        ASSERT(dir->link_count > 2);
        dir->link_count--;
        node->directory->name = NULL;
        node->directory->is_removed = true;
        node->link_count = 0;
    } else {
        ASSERT(node->link_count > 0);
        node->link_count--;
    }
    node_check(sim, node);
}

/* Move ENTRY of FROM to the free NAME in TO. */
void sim_entry_move(struct sim_host *sim, struct sim_node *from, struct sim_entry *entry,
                    struct sim_node *to, const char *name)
{
    struct sim_node *node = entry->node;
    entry_unhook(sim, from, entry);
    if (node->directory)
        from->link_count--;
    else
        node->link_count--;
    sim_entry_add(sim, to, name, node);
}

/* ---- rights ---- */

bool sim_may(const struct sim_host *sim, const struct sim_node *node, u32 rights)
{
    if (sim->config.uid == 0)
        return true;
    u32 granted = node->mode & 7;
    if (sim->config.uid == node->uid)
        granted = node->mode >> 6 & 7;
    else if (sim->config.gid == node->gid)
        granted = node->mode >> 3 & 7;
    return (granted & rights) == rights;
}

bool sim_is_owner(const struct sim_host *sim, const struct sim_node *node)
{
    return sim->config.uid == 0 || sim->config.uid == node->uid;
}

/* ---- paths ---- */

void sim_path_of(const struct sim_node *dir, const char *name, char out[SIM_PATH_SIZE])
{
    /* From the end to the front; what is too long loses its beginning. */
    char text[SIM_PATH_SIZE];
    size_t at = sizeof text - 1;
    text[at] = '\0';
    if (name && strcmp(name, ".") == 0)
        name = NULL;
    for (;;) {
        if (name) {
            size_t size = strlen(name);
            if (size + 1 > at)
                break;
            at -= size;
            memcpy(text + at, name, size);
            text[--at] = '/';
        }
        if (!dir->directory->name)
            break;
        name = dir->directory->name;
        dir = dir->directory->parent;
    }
    if (text[at] == '\0')
        text[--at] = '/';
    memcpy(out, text + at, sizeof text - at);
}

/* Take the next component off *REST: its size, 0 at the end, or -ENAMETOOLONG. */
static int component_next(const char **rest, char name[NAME_SIZE_MAX + 1])
{
    while (**rest == '/')
        (*rest)++;
    size_t size = strcspn(*rest, "/");
    if (size > NAME_SIZE_MAX)
        return -ENAMETOOLONG;
    memcpy(name, *rest, size);
    name[size] = '\0';
    *rest += size;
    while (**rest == '/')
        (*rest)++;
    return (int)size;
}

static struct sim_node *make_directory(struct sim_host *sim, struct sim_node *dir, const char *name)
{
    struct sim_node *node = sim_node_create(sim, dir->domain, S_IFDIR | 0755);
    sim_entry_add(sim, dir, name, node);
    return node;
}

int sim_find(struct sim_host *sim, const char *path, u32 flags, struct sim_place *out)
{
    char text[SIM_PATH_SIZE];
    const char *rest = path;
    u32 links = 0;
    struct sim_node *at = sim->root; /* where the simulated process stands, too */
    if (*path == '\0')
        return -ENOENT;
    for (;;) {
        char name[NAME_SIZE_MAX + 1];
        int size = component_next(&rest, name);
        if (size < 0)
            return size;
        if (size == 0) {
            *out = (struct sim_place){.dir = at, .node = at, .name = "."};
            return 0;
        }
        if (!at->directory)
            return -ENOTDIR;
        if (flags & SIM_FIND_RIGHTS && !sim_may(sim, at, 1))
            return -EACCES;
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            at = at->directory->parent;
            continue;
        }
        struct sim_entry *entry = sim_entry_find(at, name);
        struct sim_node *node = entry ? entry->node : NULL;
        bool is_last = *rest == '\0';
        if (node && sim_is_symlink(node) && (!is_last || flags & SIM_FIND_FOLLOW)) {
            size_t target_size = strlen(node->target);
            size_t rest_size = strlen(rest) + 1;
            if (++links > SYMLINKS_MAX)
                return -ELOOP;
            if (target_size + 1 + rest_size > sizeof text)
                return -ENAMETOOLONG;
            memmove(text + target_size + 1, rest, rest_size);
            memcpy(text, node->target, target_size);
            text[target_size] = is_last ? '\0' : '/';
            if (text[0] == '/')
                at = sim->root;
            rest = text;
            continue;
        }
        if (is_last) {
            *out = (struct sim_place){.dir = at, .node = node};
            memcpy(out->name, name, sizeof name);
            return 0;
        }
        if (!node && !(flags & SIM_FIND_CREATE))
            return -ENOENT;
        at = node ? node : make_directory(sim, at, name);
    }
}

void sim_node_stat(const struct sim_node *node, struct host_stat *out)
{
    u64 size = node->size;
    if (node->target)
        size = strlen(node->target);
    else if (node->directory)
        size = SIM_CHUNK_SIZE;
    *out = (struct host_stat){
        .device = DEVICE,
        .inode = node->inode,
        .mode = node->mode,
        .link_count = node->link_count,
        .uid = node->uid,
        .gid = node->gid,
        .rdev_major = node->rdev_major,
        .rdev_minor = node->rdev_minor,
        .size = size,
        .blocks = node->chunks.count * (SIM_CHUNK_SIZE / 512),
        .block_size = (u32)SIM_CHUNK_SIZE,
        .atime_ns = node->atime_ns,
        .mtime_ns = node->mtime_ns,
        .ctime_ns = node->ctime_ns,
        .btime_ns = node->btime_ns,
    };
}

/* ---- limits of space ---- */

static struct sim_domain *domain_create(struct sim_host *sim, struct sim_domain *outer,
                                        struct sim_node *root, u64 size_max)
{
    struct sim_domain *domain = sim_new(sim, sizeof *domain);
    domain->outer = outer;
    domain->root = root;
    domain->size_max = size_max;
    list_add_tail(&sim->domains, &domain->link);
    return domain;
}

bool sim_is_below(const struct sim_node *node, const struct sim_node *dir)
{
    while (node != dir && node->directory->parent != node && node->directory->name)
        node = node->directory->parent;
    return node == dir;
}

static void domain_take(struct sim_domain *domain, struct sim_node *node)
{
    if (node->domain != domain->outer)
        return;
    node->domain = domain;
    domain->used += node->chunks.count * SIM_CHUNK_SIZE;
}

void sim_domain_set(struct sim_host *sim, struct sim_node *dir, u64 size_max)
{
    struct sim_domain *outer = dir->domain;
    if (outer->root == dir) {
        outer->size_max = size_max;
        return;
    }
    struct sim_domain *domain = domain_create(sim, outer, dir, size_max);
    struct sim_domain *inner;
    list_for_each (inner, &sim->domains, link) {
        if (inner == domain || inner->outer != outer || !inner->root ||
            !sim_is_below(inner->root, dir))
            continue;
        inner->outer = domain;
        domain->used += inner->used;
    }
    struct sim_node *node;
    list_for_each (node, &sim->nodes, link) {
        if (!node->directory || !sim_is_below(node, dir))
            continue;
        domain_take(domain, node);
        struct sim_entry *entry;
        map_for_each (&node->directory->by_cookie, cookie, entry)
            if (!entry->node->directory)
                domain_take(domain, entry->node);
    }
}

/* ---- the whole ---- */

void sim_tree_init(struct sim_host *sim)
{
    sim->inode_last = 1;
    struct sim_domain *domain = domain_create(sim, NULL, NULL, sim->config.disk_size);
    sim->root = sim_node_create(sim, domain, S_IFDIR | 0755);
    sim->root->directory->parent = sim->root;
    sim->root->link_count = 2;
    domain->root = sim->root;
}

void sim_tree_fini(struct sim_host *sim)
{
    struct sim_node *node, *next;
    list_for_each_safe (node, next, &sim->nodes, link)
        node_delete(sim, node);
    struct sim_domain *domain, *domain_next;
    list_for_each_safe (domain, domain_next, &sim->domains, link) {
        ASSERT(domain->used == 0);
        list_remove(&domain->link);
        sim_delete(sim, domain, sizeof *domain);
    }
}
