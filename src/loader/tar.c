/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree in memory as a tar archive (ustar, GNU long names): the upper layer of a container's root
 * is what the container has changed. Whiteouts are character devices 0:0 as in the layer itself; a
 * directory that hides what is below has a pax header with its attribute; so have other extended
 * attributes and the parts of seconds of a time. The second name of a file is a link to the first.
 * Breadth first, so that nothing recurses and a folder stands before what is in it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "abi/fcntl.h"
#include "loader/internal.h"
#include "sentry/fs/mount.h"
#include "sentry/fs/overlay/overlay.h"

#define BLOCK 512u
#define PIECE_SIZE ((u64)64 << 10)
#define NODES_MAX 1000000u
#define PATH_SIZE_MAX 4096u
#define NAMES_SIZE_MAX ((size_t)64 << 10) /* of one inode's attributes */

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
        magic[8], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

struct node {
    struct list link;
    struct dentry *dentry; /* counted */
    char *path;            /* arena string: "./a/b" */
};

struct tar {
    struct task *by;
    struct host_file *out;
    u64 written;         /* bytes so far */
    struct list waiting; /* folders to be read */
    u32 count;
    u8 *piece;
    struct map first_names; /* inode number -> arena string, of files with several names */
};

SLEEPS static int put_bytes(struct tar *tar, const void *bytes, u64 size)
{
    tar->written += size;
    return loader_write_all(tar->by, tar->out, bytes, size);
}

/* ---- entries -------------------------------------------------------------------------------- */

/* Octal, or GNU's base 256 for what does not fit. */
static void put_number(char *out, u32 size, u64 value)
{
    if (value < (u64)1 << (size - 1) * 3) {
        char text[24];
        snprintf(text, sizeof text, "%0*llo", (int)size - 1, (unsigned long long)value);
        memcpy(out, text, size);
        return;
    }
    for (u32 i = size; i > 0; i--, value >>= 8)
        out[i - 1] = (char)(u8)value;
    out[0] = (char)0x80;
}

SLEEPS static int put_header(struct tar *tar, struct header *header)
{
    u32 sum = 0;
    memcpy(header->magic, "ustar\00000", sizeof header->magic);
    memset(header->checksum, ' ', sizeof header->checksum);
    for (u32 i = 0; i < BLOCK; i++)
        sum += ((const u8 *)header)[i];
    snprintf(header->checksum, sizeof header->checksum, "%06o", sum);
    return put_bytes(tar, header, sizeof *header);
}

SLEEPS static int put_padding(struct tar *tar, u64 size)
{
    static const u8 zeros[BLOCK];
    return size % BLOCK ? put_bytes(tar, zeros, BLOCK - size % BLOCK) : 0;
}

/* An entry of its own that holds TEXT for the next one. */
SLEEPS static int put_extra(struct tar *tar, char type, const char *text, u64 size)
{
    struct header header = {.name = "././@LongLink", .type = type};
    put_number(header.mode, sizeof header.mode, 0);
    put_number(header.size, sizeof header.size, size);
    int err = put_header(tar, &header);
    if (!err)
        err = put_bytes(tar, text, size);
    return err ? err : put_padding(tar, size);
}

SLEEPS static int put_text(struct tar *tar, char out[100], char type, const char *text)
{
    size_t size = strlen(text);
    memcpy(out, text, MIN(size, (size_t)100));
    return size > 100 ? put_extra(tar, type, text, size + 1) : 0;
}

SLEEPS static int put_content(struct tar *tar, struct dentry *dentry, u64 size)
{
    AUTO_PUT struct file *file = NULL;
    u64 offset = 0;
    int err = dentry_open(tar->by, dentry, LINUX_O_RDONLY, &file);
    while (!err && offset < size) {
        u64 step = MIN(size - offset, PIECE_SIZE);
        i64 got = file_pread_kernel(tar->by, file, tar->piece, step, offset);
        if (got < 0)
            return (int)got;
        memset(tar->piece + got, 0,
               step - (u64)got); /* it shrank meanwhile: the size is promised */
        err = put_bytes(tar, tar->piece, step);
        offset += step;
    }
    return err ? err : put_padding(tar, size);
}

static char type_of(const struct inode *inode)
{
    switch (inode->mode & LINUX_S_IFMT) {
    case LINUX_S_IFREG:
        return '0';
    case LINUX_S_IFLNK:
        return '2';
    case LINUX_S_IFCHR:
        return '3';
    case LINUX_S_IFBLK:
        return '4';
    case LINUX_S_IFDIR:
        return '5';
    case LINUX_S_IFIFO:
        return '6';
    default:
        return 0; /* a socket is nothing without who bound it */
    }
}

/* ---- pax headers: what has no place in a header ------------------------------------------------ */

#define OPAQUE "trusted.overlay.opaque"

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static int add_record(struct buf *out, const char *prefix, const char *key, const void *value,
                      size_t size)
{
    size_t rest = strlen(prefix) + strlen(key) + size + 3, length = rest + 1;
    char number[24];
    while ((size_t)snprintf(number, sizeof number, "%zu", length) + rest != length)
        length++;
    int err = buf_printf(out, "%s %s%s=", number, prefix, key);
    if (!err && size)
        err = buf_append(out, value, size);
    return err ? err : buf_append(out, "\n", 1);
}

SLEEPS static int add_attribute(struct tar *tar, struct inode *inode, const char *name,
                                struct buf *out)
{
    struct arena *arena = tar->by->kernel->arena;
    i64 size = inode->ops->getxattr(tar->by, inode, name, NULL, 0);
    if (size < 0)
        return size == -ENODATA ? 0 : (int)size;
    void *value = arena_alloc(arena, (size_t)size + 1);
    if (!value)
        return -ENOMEM;
    i64 got = inode->ops->getxattr(tar->by, inode, name, value, (size_t)size);
    int err = got < 0 ? (int)got : add_record(out, "SCHILY.xattr.", name, value, (size_t)got);
    arena_free(arena, value, (size_t)size + 1);
    return err;
}

SLEEPS static int add_attributes(struct tar *tar, struct inode *inode, struct buf *out)
{
    struct arena *arena = tar->by->kernel->arena;
    i64 size = inode->ops->listxattr && inode->ops->getxattr
                   ? inode->ops->listxattr(tar->by, inode, NULL, 0)
                   : 0;
    if (size <= 0)
        return size == -EOPNOTSUPP || size == -EPERM ? 0 : (int)size;
    size = MIN(size, (i64)NAMES_SIZE_MAX);
    char *names = arena_alloc(arena, (size_t)size + 1);
    if (!names)
        return -ENOMEM;
    i64 got = inode->ops->listxattr(tar->by, inode, names, (size_t)size);
    int err = got < 0 ? (int)got : 0;
    for (const char *at = names; !err && at < names + got; at += strlen(at) + 1)
        err = strcmp(at, OPAQUE) == 0 ? 0 : add_attribute(tar, inode, at, out);
    arena_free(arena, names, (size_t)size + 1);
    return err;
}

static int add_time(const struct inode *inode, struct buf *out)
{
    char text[40];
    u64 ns = (u64)MAX(inode->mtime_ns, (i64)0);
    int size = snprintf(text, sizeof text, "%llu.%09llu", (unsigned long long)(ns / NS_PER_S),
                        (unsigned long long)(ns % NS_PER_S));
    return ns % NS_PER_S ? add_record(out, "", "mtime", text, (size_t)size) : 0;
}

SLEEPS static bool is_opaque(struct tar *tar, struct inode *inode)
{
    char value[8];
    return inode_is_dir(inode) && inode->ops->getxattr &&
           inode->ops->getxattr(tar->by, inode, OPAQUE, value, sizeof value) > 0;
}

SLEEPS static int put_pax(struct tar *tar, struct inode *inode)
{
    AUTO_BUF struct buf text;
    buf_init(&text, tar->by->kernel->arena, 0);
    int err = is_opaque(tar, inode) ? add_record(&text, "SCHILY.xattr.", OPAQUE, "y", 1) : 0;
    if (!err)
        err = add_time(inode, &text);
    if (!err)
        err = add_attributes(tar, inode, &text);
    if (err || text.size == 0)
        return err;
    return put_extra(tar, 'x', (const char *)buf_bytes(&text), text.size);
}

/* The name under which INODE already stands in the archive, or NULL: then PATH is that from now on.
 */
static int first_name(struct tar *tar, const struct inode *inode, const char *path,
                      const char **out)
{
    struct arena *arena = tar->by->kernel->arena;
    *out = NULL;
    if (inode_is_dir(inode) || inode->link_count < 2)
        return 0;
    *out = map_find(&tar->first_names, inode->ino);
    if (*out)
        return 0;
    char *copy = arena_strdup(arena, path);
    int err = copy ? map_add(&tar->first_names, inode->ino, copy) : -ENOMEM;
    if (err)
        arena_free_string(arena, copy);
    return err;
}

static void forget_names(struct tar *tar)
{
    char *path;
    map_for_each (&tar->first_names, ino, path) {
        map_remove(&tar->first_names, ino);
        arena_free_string(tar->by->kernel->arena, path);
    }
    map_fini(&tar->first_names);
}

SLEEPS static int put_link(struct tar *tar, struct header *header, struct inode *inode)
{
    char target[PATH_SIZE_MAX + 1];
    i64 size = inode->ops->readlink ? inode->ops->readlink(tar->by, inode, target, PATH_SIZE_MAX)
                                    : -EINVAL;
    if (size < 0)
        return (int)size;
    target[size] = 0;
    return put_text(tar, header->link, 'K', target);
}

SLEEPS static int put_entry(struct tar *tar, const struct node *node)
{
    struct inode *inode = node->dentry->inode;
    struct header header = {.type = type_of(inode)};
    u64 size = inode_is_regular(inode) ? inode->size : 0;
    if (!header.type)
        return 0;
    const char *first;
    int err = first_name(tar, inode, node->path, &first);
    if (!err && !first)
        err = put_pax(tar, inode);
    if (!err)
        err = put_text(tar, header.name, 'L', node->path);
    if (first) {
        header.type = '1';
        size = 0;
        err = err ? err : put_text(tar, header.link, 'K', first);
    } else if (!err && inode_is_symlink(inode))
        err = put_link(tar, &header, inode);
    put_number(header.mode, sizeof header.mode, inode->mode & 07777);
    put_number(header.uid, sizeof header.uid, inode->uid);
    put_number(header.gid, sizeof header.gid, inode->gid);
    put_number(header.size, sizeof header.size, size);
    put_number(header.mtime, sizeof header.mtime, (u64)MAX(inode->mtime_ns, (i64)0) / NS_PER_S);
    put_number(header.major, sizeof header.major, inode->rdev >> 8 & 0xfff);
    put_number(header.minor, sizeof header.minor,
               (inode->rdev & 0xff) | (inode->rdev >> 12 & 0xfff00));
    if (!err)
        err = put_header(tar, &header);
    return err || size == 0 ? err : put_content(tar, node->dentry, size);
}

/* ---- the walk ------------------------------------------------------------------------------- */

static void node_free(struct tar *tar, struct node *node)
{
    struct arena *arena = tar->by->kernel->arena;
    REF_CLEAR(node->dentry);
    arena_free_string(arena, node->path);
    arena_free(arena, node, sizeof *node);
}

/* Takes DENTRY. */
static int node_add(struct tar *tar, struct dentry *dentry, const char *parent, const char *name,
                    struct node **out)
{
    struct arena *arena = tar->by->kernel->arena;
    AUTO_BUF struct buf path;
    buf_init(&path, arena, PATH_SIZE_MAX);
    bool is_dir = inode_is_dir(dentry->inode);
    struct node *node = arena_alloc(arena, sizeof *node);
    int err = buf_printf(&path, "%s%s%s", parent, name, is_dir ? "/" : "");
    const char *text = err ? NULL : buf_text(&path);
    char *copy = text ? arena_strdup(arena, text) : NULL;
    if (!node || !copy || tar->count++ == NODES_MAX) {
        arena_free_string(arena, copy);
        arena_free(arena, node, sizeof *node);
        REF_PUT(dentry);
        return -ENOMEM;
    }
    *node = (struct node){.dentry = dentry, .path = copy};
    *out = node;
    return 0;
}

struct names {
    struct dir_emit emit;
    struct buf text; /* each with its terminator */
    bool failed;
};

static bool emit_name(struct dir_emit *emit, const char *name, size_t size, u64 ino, u8 type,
                      u64 next)
{
    struct names *names = emit->owner;
    bool is_dots = (size == 1 && name[0] == '.') || (size == 2 && memcmp(name, "..", 2) == 0);
    if (!is_dots && (buf_append(&names->text, name, size) || buf_append(&names->text, "", 1)))
        names->failed = true;
    return !names->failed;
}

SLEEPS static int read_names(struct tar *tar, struct dentry *dir, struct names *names)
{
    AUTO_PUT struct file *file = NULL;
    int err = dentry_open(tar->by, dir, LINUX_O_RDONLY | LINUX_O_DIRECTORY, &file);
    names->emit = (struct dir_emit){.emit = emit_name, .owner = names};
    if (!err)
        err = file_readdir(tar->by, file, &names->emit);
    return err ? err : names->failed ? -ENOMEM : 0;
}

SLEEPS static int put_child(struct tar *tar, const struct node *dir, const char *name)
{
    struct dentry *dentry;
    struct node *node;
    int err = dentry_lookup(tar->by, dir->dentry, name, &dentry);
    if (err)
        return err == -ENOENT ? 0 : err; /* it went meanwhile */
    if (dentry_is_negative(dentry)) {
        REF_PUT(dentry);
        return 0;
    }
    err = node_add(tar, dentry, dir->path, name, &node);
    if (err)
        return err;
    err = put_entry(tar, node);
    if (!err && inode_is_dir(node->dentry->inode))
        list_add_tail(&tar->waiting, &node->link);
    else
        node_free(tar, node);
    return err;
}

SLEEPS static int put_folder(struct tar *tar, const struct node *dir)
{
    struct names names = {.failed = false};
    buf_init(&names.text, tar->by->kernel->arena, 0);
    int err = read_names(tar, dir->dentry, &names);
    const char *at = (const char *)buf_bytes(&names.text);
    const char *end = at + names.text.size;
    for (; !err && at < end; at += strlen(at) + 1)
        err = tar->by->fiber.is_interrupted ? -EINTR : put_child(tar, dir, at);
    buf_fini(&names.text);
    return err;
}

SLEEPS static int put_tree(struct tar *tar, struct dentry *root)
{
    static const u8 end[2 * BLOCK];
    struct node *node;
    list_init(&tar->waiting);
    tar->piece = arena_alloc(tar->by->kernel->arena, PIECE_SIZE);
    if (!tar->piece)
        return -ENOMEM;
    int err = node_add(tar, REF_GET(root), ".", "", &node);
    if (!err) {
        list_add_tail(&tar->waiting, &node->link);
        err = put_entry(tar, node);
    }
    while (!list_is_empty(&tar->waiting)) {
        node = list_first(&tar->waiting, struct node, link);
        list_remove(&node->link);
        if (!err)
            err = put_folder(tar, node);
        node_free(tar, node);
    }
    arena_free(tar->by->kernel->arena, tar->piece, PIECE_SIZE);
    return err ? err : put_bytes(tar, end, sizeof end);
}

int tar_write(struct task *by, struct host_file *out, struct dentry *root, u64 *size)
{
    struct tar tar = {.by = by, .out = out};
    map_init(&tar.first_names, by->kernel->arena);
    int err = put_tree(&tar, root);
    forget_names(&tar);
    *size += tar.written;
    return err;
}

int loader_tar_upper(struct loader *loader, struct task *by, const char *id, struct host_file *out,
                     struct error *err)
{
    struct inside inside;
    u64 size = 0;
    if (inside_enter(&inside, loader, by, id, err))
        return -1;
    struct inode *root = inside.container->mounts->root->root->inode;
    struct dentry *upper = root->object.kind == &overlay_inode_kind ? overlay_of(root)->upper
                                                                    : NULL;
    int result = upper ? tar_write(by, out, upper, &size) : -ENODEV;
    inside_leave(&inside);
    if (result == -ENODEV)
        return error_set(err, ENODEV, "rootfs is not an overlayfs");
    return result ? error_set(err, -result, "writing the archive: %s", errno_text(-result)) : 0;
}
