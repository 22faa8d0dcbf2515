/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devpts: one instance a mount. Its root lists the open ptys and "ptmx". Also what the nodes
 * /dev/tty and /dev/ptmx open. A pty's inode shows the owner and mode that the pty keeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/host_std.h"
#include "sentry/fs/tty/pty.h"

#define DEVPTS_MAGIC 0x1cd1u
#define PTMX_INO 2u
#define SLAVE_INO 3u
#define SLAVE_MAJOR 136u
#define RDEV(major, minor) ((minor & 0xffu) | (major) << 8)

struct devpts_inode {
    struct inode inode;
    struct pty *pty; /* counted; NULL for the root, ptmx and the host's terminals */
    u32 is_ptmx;
    u32 is_host;
};

static const struct field devpts_inode_fields[] = {
    FIELD_STRUCT(struct devpts_inode, inode, inode_base_fields),
    FIELD_REF(struct devpts_inode, pty, struct pty),
    FIELD(struct devpts_inode, is_ptmx),
    FIELD(struct devpts_inode, is_host),
    FIELD_END,
};
FIELDS_COMPLETE(struct devpts_inode, devpts_inode_fields);

static const struct field devpts_fields[] = {
    FIELD_NONE(struct devpts, object, "the walker's own header"),
    FIELD_NONE(struct devpts, kernel, "the kernel that loads it"),
    FIELD_MAP(struct devpts, ptys, struct pty),
    FIELD_LIST(struct devpts, terminals, struct host_std_file, devpts_link, false),
    FIELD(struct devpts, uid),
    FIELD(struct devpts, gid),
    FIELD(struct devpts, mode),
    FIELD(struct devpts, ptmx_mode),
    FIELD(struct devpts, has_gid),
    FIELD(struct devpts, has_uid),
    FIELD_END,
};
FIELDS_COMPLETE(struct devpts, devpts_fields);

static void devpts_destroy(struct object *object)
{
    struct devpts *devpts = container_of(object, struct devpts, object);
    struct pty *pty;
    map_for_each (&devpts->ptys, number, pty) {
        pty->devpts = NULL;
        object_put(&pty->tty.object);
    }
    map_fini(&devpts->ptys);
}

static int devpts_loaded(struct object *object, struct state_reader *reader)
{
    container_of(object, struct devpts, object)->kernel = state_reader_kernel(reader);
    return 0;
}

const struct kind devpts_kind = {.name = "devpts",
                                 .size = sizeof(struct devpts),
                                 .fields = devpts_fields,
                                 .destroy = devpts_destroy,
                                 .loaded = devpts_loaded};

static void devpts_inode_destroy(struct object *object)
{
    struct devpts_inode *inode = container_of(object, struct devpts_inode, inode.object);
    if (inode->pty)
        object_put(&inode->pty->tty.object);
    inode_fini(&inode->inode);
}

static const struct inode_ops devpts_root_ops, devpts_node_ops;

/* Both kinds of inodes find their operations by what they are. */
static int devpts_inode_loaded(struct object *object, struct state_reader *reader)
{
    struct devpts_inode *inode = container_of(object, struct devpts_inode, inode.object);
    int err = inode_loaded(object, reader);
    inode->inode.ops = inode_is_dir(&inode->inode) ? &devpts_root_ops : &devpts_node_ops;
    return err;
}

const struct kind devpts_inode_kind = {.name = "devpts_inode",
                                       .size = sizeof(struct devpts_inode),
                                       .fields = devpts_inode_fields,
                                       .destroy = devpts_inode_destroy,
                                       .loaded = devpts_inode_loaded,
                                       .ops = &devpts_node_ops};

static struct devpts *devpts_of(const struct super *super)
{
    return container_of(super->private_object, struct devpts, object);
}

static struct devpts_inode *node_of(struct inode *inode)
{
    return container_of(inode, struct devpts_inode, inode);
}

static int node_create(struct super *super, const struct inode_ops *ops, u32 mode, u32 uid, u32 gid,
                       struct pty *pty, struct devpts_inode **out)
{
    struct devpts_inode *inode = object_create(super->object.arena, &devpts_inode_kind);
    if (!inode)
        return -ENOMEM;
    inode_init(&inode->inode, super, ops, mode, uid, gid);
    if (pty) {
        object_get_(&pty->tty.object);
        inode->pty = pty;
    }
    *out = inode;
    return 0;
}

/* ---- masters -------------------------------------------------------------------------------- */

/* The terminal of the host with this number, or NULL. */
static struct host_std_file *find_terminal(const struct devpts *devpts, u32 number)
{
    struct host_std_file *std;
    list_for_each (std, &devpts->terminals, devpts_link)
        if (std->number == number)
            return std;
    return NULL;
}

/* The lowest free number, or PTY_NUMBER_MAX. */
static u32 free_number(const struct devpts *devpts)
{
    u32 number = 0;
    while (number < PTY_NUMBER_MAX &&
           (map_find(&devpts->ptys, number) || find_terminal(devpts, number)))
        number++;
    return number;
}

int devpts_open_master(struct task *task, struct devpts *devpts, struct file *file)
{
    u32 number = free_number(devpts);
    if (number == PTY_NUMBER_MAX)
        return -ENOSPC;
    struct pty *pty;
    int err = pty_new(task->kernel, &pty);
    if (err)
        return err;
    err = map_add(&devpts->ptys, number, pty);
    if (err) {
        object_put(&pty->tty.object);
        return err;
    }
    object_get_(&pty->tty.object); /* one for the table, one for the file */
    pty->devpts = devpts;
    pty->number = number;
    pty->uid = devpts->has_uid ? devpts->uid : task->cred->fsuid;
    pty->gid = devpts->has_gid ? devpts->gid : task->cred->fsgid;
    pty->mode = LINUX_S_IFCHR | devpts->mode;
    pty->ctime_ns = pty->mtime_ns = (i64)kernel_realtime_ns(task->kernel);
    pty->is_master_open = true;
    file->private_object = &pty->tty.object;
    file->ops = &pty_master_ops;
    return 0;
}

void devpts_remove(struct devpts *devpts, u32 number)
{
    struct pty *pty = map_remove(&devpts->ptys, number);
    if (!pty)
        return;
    pty->devpts = NULL;
    object_put(&pty->tty.object);
}

/* The root of DEVPTS as FILE's mount shows it; false: FILE is of something else. */
static bool root_of(const struct file *file, const struct devpts *devpts, struct path *out)
{
    if (!file->path.mount || file->inode->super->ops != &devpts_super_ops ||
        devpts_of(file->inode->super) != devpts)
        return false;
    *out = (struct path){file->path.mount, file->inode->super->root};
    path_get(out);
    return true;
}

SLEEPS int devpts_open_peer(struct task *task, const struct file *master, struct pty *pty,
                            u32 flags, struct file **out)
{
    AUTO_PATH struct path path = {0};
    if (!root_of(master, pty->devpts, &path)) {
        AUTO_PUT struct file *dir = NULL;
        int err = vfs_open(task, NULL, "/dev/pts", O_RDONLY | O_DIRECTORY, 0, WALK_FOLLOW, &dir);
        if (err || !root_of(dir, pty->devpts, &path))
            return -ENODEV;
    }
    char name[16];
    struct dentry *dentry;
    snprintf(name, sizeof name, "%u", pty->number);
    int err = dentry_lookup(task, path.dentry, name, &dentry);
    if (err)
        return err;
    REF_PUT(path.dentry);
    path.dentry = dentry;
    return dentry_is_negative(dentry) ? -ENOENT : vfs_open_path(task, &path, flags, out);
}

/* ---- the host's terminals ------------------------------------------------------------------- */

SLEEPS int devpts_adopt(struct task *task, struct host_std_file *std, struct file **out)
{
    AUTO_PUT struct file *root = NULL;
    int err = vfs_open(task, NULL, "/dev/pts", O_RDONLY | O_DIRECTORY, 0, WALK_FOLLOW, &root);
    if (err)
        return err;
    if (root->inode->super->ops != &devpts_super_ops)
        return -ENODEV;
    struct devpts *devpts = devpts_of(root->inode->super);
    std->number = free_number(devpts);
    if (std->number == PTY_NUMBER_MAX)
        return -ENOSPC;
    std->devpts = &REF_GET(devpts)->object;
    std->uid = devpts->has_uid ? devpts->uid : task->cred->fsuid;
    std->gid = devpts->has_gid ? devpts->gid : task->cred->fsgid;
    std->mode = LINUX_S_IFCHR | devpts->mode;
    list_add_tail(&devpts->terminals, &std->devpts_link);
    char path[32];
    snprintf(path, sizeof path, "/dev/pts/%u", std->number);
    err = vfs_open(task, NULL, path, O_RDWR | O_NOCTTY, 0, WALK_FOLLOW, out);
    if (err)
        devpts_forget(std);
    return err;
}

void devpts_forget(struct host_std_file *std)
{
    list_remove(&std->devpts_link);
    object_put(MOVE(std->devpts));
}

static int open_terminal(struct devpts *devpts, u32 number, struct file *file)
{
    struct host_std_file *std = find_terminal(devpts, number);
    if (!std)
        return -EIO;
    object_get_(&std->tty.object);
    file->private_object = &std->tty.object;
    file->ops = &host_std_ops;
    return 0;
}

/* ---- inodes --------------------------------------------------------------------------------- */

static bool number_from_name(const char *name, u32 *number)
{
    if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1]))
        return false;
    char *end;
    unsigned long value = strtoul(name, &end, 10);
    *number = (u32)value;
    return *end == 0 && value < PTY_NUMBER_MAX;
}

SLEEPS static int devpts_lookup(struct task *task, struct inode *dir, const char *name,
                                struct inode **out)
{
    struct devpts *devpts = devpts_of(dir->super);
    struct devpts_inode *inode;
    u32 number;
    if (strcmp(name, "ptmx") == 0) {
        int err = node_create(dir->super, &devpts_node_ops, LINUX_S_IFCHR | devpts->ptmx_mode,
                              devpts->uid, devpts->gid, NULL, &inode);
        if (err)
            return err;
        inode->is_ptmx = true;
        inode->inode.ino = PTMX_INO;
        inode->inode.rdev = RDEV(5u, 2u);
        *out = &inode->inode;
        return 0;
    }
    if (!number_from_name(name, &number))
        return -ENOENT;
    struct pty *pty = map_find(&devpts->ptys, number);
    const struct host_std_file *std = find_terminal(devpts, number);
    if (!pty && !std)
        return -ENOENT;
    int err = pty ? node_create(dir->super, &devpts_node_ops, pty->mode, pty->uid, pty->gid, pty,
                                &inode)
                  : node_create(dir->super, &devpts_node_ops, std->mode, std->uid, std->gid, NULL,
                                &inode);
    if (err)
        return err;
    inode->is_host = !pty;
    inode->inode.ino = SLAVE_INO + number;
    inode->inode.rdev = RDEV(SLAVE_MAJOR + number / 256, number % 256);
    i64 now_ns = (i64)kernel_realtime_ns(task->kernel);
    inode->inode.ctime_ns = pty ? pty->ctime_ns : now_ns;
    inode->inode.mtime_ns = inode->inode.atime_ns = pty ? pty->mtime_ns : now_ns;
    inode->inode.link_count = 1;
    *out = &inode->inode;
    return 0;
}

static u32 node_number(const struct devpts_inode *inode)
{
    return (u32)(inode->inode.ino - SLAVE_INO);
}

SLEEPS static bool devpts_revalidate(struct task *task, struct inode *dir, struct dentry *dentry)
{
    if (!dentry->inode)
        return false; /* a pty may have come */
    struct devpts_inode *inode = node_of(dentry->inode);
    if (inode->is_host)
        return find_terminal(devpts_of(dir->super), node_number(inode)) != NULL;
    return inode->is_ptmx || (inode->pty && inode->pty->is_master_open);
}

SLEEPS static int devpts_setattr(struct task *task, struct inode *base, const struct attr *attr)
{
    struct pty *pty = node_of(base)->pty;
    if (attr->mask & ATTR_MODE)
        base->mode = (base->mode & LINUX_S_IFMT) | (attr->mode & 07777u);
    if (attr->mask & ATTR_UID)
        base->uid = attr->uid;
    if (attr->mask & ATTR_GID)
        base->gid = attr->gid;
    if (attr->mask & ATTR_ATIME)
        base->atime_ns = attr->atime_ns;
    if (attr->mask & ATTR_MTIME)
        base->mtime_ns = attr->mtime_ns;
    inode_touch(base, ATTR_CTIME);
    struct host_std_file *std = node_of(base)->is_host ? find_terminal(devpts_of(base->super),
                                                                       node_number(node_of(base)))
                                                       : NULL;
    if (std) {
        std->mode = base->mode;
        std->uid = base->uid;
        std->gid = base->gid;
    }
    if (pty) {
        pty->mode = base->mode;
        pty->uid = base->uid;
        pty->gid = base->gid;
        pty->ctime_ns = base->ctime_ns;
    }
    return 0;
}

SLEEPS static int devpts_open_node(struct task *task, struct inode *base, struct file *file)
{
    struct devpts_inode *inode = node_of(base);
    if (inode->is_ptmx)
        return devpts_open_master(task, devpts_of(base->super), file);
    if (inode->is_host)
        return open_terminal(devpts_of(base->super), node_number(inode), file);
    return pty_open_slave(task, inode->pty, file);
}

/* The first number >= *NUMBER that is in use; false: none. */
static bool next_number(const struct devpts *devpts, u64 *number)
{
    u64 next = UINT64_MAX, found;
    if (map_ceiling(&devpts->ptys, *number, &found))
        next = found;
    const struct host_std_file *std;
    list_for_each (std, &devpts->terminals, devpts_link)
        if (std->number >= *number)
            next = MIN(next, (u64)std->number);
    *number = next;
    return next != UINT64_MAX;
}

SLEEPS static int devpts_readdir(struct task *task, struct file *file, struct dir_emit *emit)
{
    struct devpts *devpts = devpts_of(file->inode->super);
    static const struct {
        const char *name;
        u64 ino;
        u8 type;
    } fixed[] = {{".", 1, LINUX_DT_DIR}, {"..", 1, LINUX_DT_DIR}, {"ptmx", PTMX_INO, LINUX_DT_CHR}};
    while (file->offset < ARRAY_COUNT(fixed)) {
        u64 at = file->offset;
        if (!emit->emit(emit, fixed[at].name, strlen(fixed[at].name), fixed[at].ino, fixed[at].type,
                        at + 1))
            return 0;
        file->offset = at + 1;
    }
    for (;;) {
        u64 number = file->offset - ARRAY_COUNT(fixed);
        if (!next_number(devpts, &number))
            return 0;
        char name[16];
        int size = snprintf(name, sizeof name, "%u", (u32)number);
        u64 next = number + 1 + ARRAY_COUNT(fixed);
        if (!emit->emit(emit, name, (size_t)size, SLAVE_INO + number, LINUX_DT_CHR, next))
            return 0;
        file->offset = next;
    }
}

const struct file_ops devpts_dir_ops = {.readdir = devpts_readdir, .is_seekable = true};

SLEEPS static int devpts_open_root(struct task *task, struct inode *inode, struct file *file)
{
    file->ops = &devpts_dir_ops;
    return 0;
}

static const struct inode_ops devpts_root_ops = {
    .lookup = devpts_lookup,
    .open = devpts_open_root,
    .setattr = devpts_setattr,
    .revalidate = devpts_revalidate,
};
static const struct inode_ops devpts_node_ops = {
    .open = devpts_open_node,
    .setattr = devpts_setattr,
};

/* ---- mounting ------------------------------------------------------------------------------- */

static int take_option(struct devpts *devpts, const char *option)
{
    static const struct {
        const char *name;
        int base;
    } known[] = {{"uid=", 10}, {"gid=", 10}, {"mode=", 8}, {"ptmxmode=", 8}, {"max=", 10}};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        size_t size = strlen(known[i].name);
        if (strncmp(option, known[i].name, size) != 0)
            continue;
        char *end;
        u32 value = (u32)strtoul(option + size, &end, known[i].base);
        if (*end || end == option + size)
            return -EINVAL;
        u32 *const targets[] = {&devpts->uid, &devpts->gid, &devpts->mode, &devpts->ptmx_mode,
                                NULL};
        if (targets[i])
            *targets[i] = i >= 2 ? value & 0777u : value;
        devpts->has_uid |= i == 0;
        devpts->has_gid |= i == 1;
        return 0;
    }
    return strcmp(option, "newinstance") == 0 || option[0] == 0 ? 0 : -EINVAL;
}

static int take_options(struct devpts *devpts, const char *options)
{
    char one[64];
    while (options && *options) {
        size_t size = strcspn(options, ",");
        if (size >= sizeof one)
            return -EINVAL;
        memcpy(one, options, size);
        one[size] = 0;
        int err = take_option(devpts, one);
        if (err)
            return err;
        options += size + (options[size] == ',');
    }
    return 0;
}

const struct super_ops devpts_super_ops = {0};

SLEEPS int devpts_mount(struct task *task, const char *source, u32 flags, const char *options,
                        struct super **out)
{
    AUTO_PUT struct devpts *devpts = object_create(task->kernel->arena, &devpts_kind);
    if (!devpts)
        return -ENOMEM;
    devpts->kernel = task->kernel;
    devpts->mode = 0600;
    map_init(&devpts->ptys, task->kernel->arena);
    list_init(&devpts->terminals);
    int err = take_options(devpts, options);
    AUTO_PUT struct super *super = NULL;
    if (!err)
        err = super_create(task->kernel, "devpts", DEVPTS_MAGIC, flags, &super);
    if (err)
        return err;
    super->ops = &devpts_super_ops;
    super->private_object = &REF_GET(devpts)->object;
    struct devpts_inode *root;
    err = node_create(super, &devpts_root_ops, LINUX_S_IFDIR | 0755, 0, 0, NULL, &root);
    if (err)
        return err;
    root->inode.ino = 1;
    root->inode.link_count = 2;
    err = dentry_create_root(super, &root->inode, &super->root);
    object_put(&root->inode.object);
    if (err)
        return err;
    /* The first instance is what a /dev/ptmx node outside of any devpts opens. */
    if (!task->kernel->vfs->ptys)
        task->kernel->vfs->ptys = &REF_GET(devpts)->object;
    *out = MOVE(super);
    return 0;
}

/* ---- device nodes --------------------------------------------------------------------------- */

SLEEPS int tty_open_ptmx(struct task *task, struct file *file)
{
    struct object *first = task->kernel->vfs->ptys;
    return first ? devpts_open_master(task, container_of(first, struct devpts, object), file)
                 : -ENODEV;
}

SLEEPS int tty_open_current(struct task *task, struct file *file)
{
    struct session *session = task->group && task->group->pgrp ? task->group->pgrp->session : NULL;
    struct object *object = session ? session->tty : NULL;
    if (!object)
        return -ENXIO;
    if (object->kind == &pty_kind) {
        struct pty *pty = container_of(object, struct pty, tty.object);
        bool was_locked = pty->is_locked;
        pty->is_locked = false;
        int err = pty_open_slave(task, pty, file);
        pty->is_locked = was_locked;
        return err;
    }
    ASSERT(object->kind == &host_std_kind);
    object_get_(object);
    file->private_object = object;
    file->ops = &host_std_ops;
    return 0;
}

struct tty *tty_of_file(const struct file *file)
{
    if (file->ops == &pty_slave_ops || file->ops == &pty_master_ops)
        return container_of(file->private_object, struct tty, object);
    if (file->ops == &host_std_ops &&
        container_of(file->private_object, struct host_std_file, tty.object)->is_tty)
        return container_of(file->private_object, struct tty, object);
    return NULL;
}

void tty_name(const struct tty *tty, char *out, size_t size, u32 *device)
{
    u32 number = 0;
    if (tty->object.kind == &pty_kind)
        number = container_of(tty, struct pty, tty)->number;
    else
        number = container_of(tty, struct host_std_file, tty)->number;
    snprintf(out, size, "pts/%u", number);
    *device = RDEV(SLAVE_MAJOR + number / 256, number % 256);
}

SLEEPS int pty_create(struct task *task, struct file **master, struct file **slave)
{
    struct object *first = task->kernel->vfs->ptys;
    if (!first)
        return -ENODEV;
    struct file *a, *b;
    int err = file_create_anon(task->kernel, "ptmx:", &pty_master_ops, NULL, O_RDWR | O_NOCTTY,
                               LINUX_S_IFCHR | 0666, &a);
    if (err)
        return err;
    err = devpts_open_master(task, container_of(first, struct devpts, object), a);
    if (err)
        goto undo_master;
    struct pty *pty = container_of(a->private_object, struct pty, tty.object);
    pty->is_locked = false;
    err = file_create_anon(task->kernel, "pts:", &pty_slave_ops, NULL, O_RDWR | O_NOCTTY,
                           LINUX_S_IFCHR | 0620, &b);
    if (err)
        goto undo_master;
    err = pty_open_slave(task, pty, b);
    if (err)
        goto undo_slave;
    *master = a;
    *slave = b;
    return 0;
undo_slave:
    b->ops = &path_file_ops;
    object_put(&b->object);
undo_master:
    if (!a->private_object)
        a->ops = &path_file_ops;
    object_put(&a->object);
    return err;
}
