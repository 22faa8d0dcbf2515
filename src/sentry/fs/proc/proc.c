/* SPDX-License-Identifier: Apache-2.0 */
/* The machinery of generated file systems: inodes from nodes, texts, directories. See proc.h. */
#include "sentry/fs/proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fields.h"
#include "base/hash.h"
#include "base/state.h"
#include "sentry/kernel/cred.h"

#define PROC_MAGIC 0x9fa0u
#define SYSFS_MAGIC 0x62656572u
#define TEXT_SIZE_MAX ((size_t)16 << 20)

/* ---- inodes --------------------------------------------------------------------------------- */

static const struct field proc_inode_fields[] = {
    FIELD_STRUCT(struct proc_inode, inode, inode_base_fields),
    FIELD_NONE(struct proc_inode, node, "found by path"),
    FIELD_REF(struct proc_inode, pid, struct pid),
    FIELD(struct proc_inode, key),
    FIELD_STRING(struct proc_inode, path),
    FIELD_END,
};
FIELDS_COMPLETE(struct proc_inode, proc_inode_fields);

static struct proc_inode *proc_of(struct inode *inode)
{
    return container_of(inode, struct proc_inode, inode);
}

struct pid *proc_dir_pid(const struct file *file)
{
    struct inode *inode = file->path.dentry ? file->path.dentry->inode : NULL;
    if (!inode || inode->object.kind != &proc_inode_kind)
        return NULL;
    return proc_of(inode)->node == &proc_pid_dir ? proc_of(inode)->pid : NULL;
}

static void proc_inode_destroy(struct object *object)
{
    struct proc_inode *inode = container_of(object, struct proc_inode, inode.object);
    REF_CLEAR(inode->pid);
    arena_free_string(object->arena, inode->path);
    inode_fini(&inode->inode);
}

static const struct inode_ops proc_inode_ops, proc_magic_ops;
static const struct proc_node *node_by_path(const char *path);

static int proc_inode_loaded(struct object *object, struct state_reader *reader)
{
    struct proc_inode *inode = container_of(object, struct proc_inode, inode.object);
    inode->node = inode->path ? node_by_path(inode->path) : NULL;
    if (!inode->node)
        return -EINVAL;
    int err = inode_loaded(object, reader);
    inode->inode.ops = inode->node->follow ? &proc_magic_ops : &proc_inode_ops;
    return err;
}

const struct kind proc_inode_kind = {.name = "proc_inode",
                                     .size = sizeof(struct proc_inode),
                                     .fields = proc_inode_fields,
                                     .destroy = proc_inode_destroy,
                                     .loaded = proc_inode_loaded,
                                     .ops = &proc_inode_ops};

static const struct proc_node *find_in(const struct proc_node *table, const char *name, size_t size)
{
    for (; table && table->name; table++)
        if (strncmp(table->name, name, size) == 0 && table->name[size] == 0)
            return table;
    return NULL;
}

/* Nodes that `find` gives stand for many names: their paths are written "*fd" and so on. */
static const struct {
    const char *name;
    const struct proc_node *node;
} stars[] = {{"*pid", &proc_pid_dir},    {"*task", &proc_task_dir},
             {"*fd", &proc_fd_link},     {"*fdinfo", &proc_fdinfo_file},
             {"proc", &proc_root},       {"sys", &sys_root},
             {"*cpu", &sys_cpu_dir},     {"cgroup", &cgroup_root},
             {"*control", &cgroup_file}, {"*control_rw", &cgroup_writable}};

static const struct proc_node *node_by_path(const char *path)
{
    const struct proc_node *node = NULL;
    size_t size = strcspn(path, "/");
    for (size_t i = 0; i < ARRAY_COUNT(stars); i++)
        if (strlen(stars[i].name) == size && strncmp(stars[i].name, path, size) == 0)
            node = stars[i].node;
    path += size;
    while (node && *path == '/') {
        path++;
        size = strcspn(path, "/");
        const struct proc_node *child = find_in(node->table, path, size);
        node = child;
        path += size;
    }
    return node;
}

static const char *star_of(const struct proc_node *node)
{
    for (size_t i = 0; i < ARRAY_COUNT(stars); i++)
        if (stars[i].node == node)
            return stars[i].name;
    return NULL;
}

static u32 proc_uid(const struct proc_inode *inode, bool is_group)
{
    const struct task *target = inode->pid ? inode->pid->task : NULL;
    if (!target || !target->group || !target->group->is_dumpable)
        return 0;
    return is_group ? target->cred->egid : target->cred->euid;
}

static int proc_inode_create(struct super *super, const struct proc_node *node, const char *path,
                             struct pid *pid, u64 key, struct proc_inode **out)
{
    struct proc_inode *inode = object_create(super->object.arena, &proc_inode_kind);
    char *copy = inode ? arena_strdup(super->object.arena, path) : NULL;
    if (!inode)
        return -ENOMEM;
    inode_init(&inode->inode, super, node->follow ? &proc_magic_ops : &proc_inode_ops, node->mode,
               0, 0);
    inode->path = copy;
    if (!copy) {
        object_put(&inode->inode.object);
        return -ENOMEM;
    }
    inode->node = node;
    inode->pid = REF_GET(pid);
    inode->key = key;
    inode->inode.uid = proc_uid(inode, false);
    inode->inode.gid = proc_uid(inode, true);
    inode->inode.link_count = (node->mode & LINUX_S_IFMT) == LINUX_S_IFDIR ? 2 : 1;
    u64 seed = key ^ (pid ? (u64)pid->object.id << 20 : 0);
    inode->inode.ino = hash_text(path, seed) & 0xffffffffu;
    *out = inode;
    return 0;
}

static struct proc_ask ask_of(struct task *asker, struct proc_inode *inode)
{
    struct task *target = inode->pid ? inode->pid->task : NULL;
    return (struct proc_ask){.asker = asker, .target = target, .inode = inode, .key = inode->key};
}

bool proc_may_look(const struct task *asker, const struct task *target)
{
    const struct cred *a = asker->cred, *t = target->cred;
    if (asker->group == target->group || task_has_capability(asker, CAP_SYS_PTRACE))
        return true;
    return a->fsuid == t->uid && a->fsuid == t->euid && a->fsuid == t->suid && a->fsgid == t->gid &&
           a->fsgid == t->egid && a->fsgid == t->sgid && target->group &&
           target->group->is_dumpable;
}

/* The process that INODE speaks of is still there (or it speaks of none). */
static int check_target(const struct proc_ask *ask)
{
    if (!ask->inode->pid)
        return 0;
    if (!ask->target)
        return -ESRCH;
    return ask->inode->node->is_private && !proc_may_look(ask->asker, ask->target) ? -EACCES : 0;
}

/* ---- directories ---------------------------------------------------------------------------- */

SLEEPS static int proc_lookup(struct task *task, struct inode *dir_inode, const char *name,
                              struct inode **out)
{
    struct proc_inode *dir = proc_of(dir_inode);
    struct proc_ask ask = ask_of(task, dir);
    if (dir->pid && !ask.target)
        return -ENOENT;
    u64 key = 0;
    struct pid *pid = dir->pid;
    const struct proc_node *node = find_in(dir->node->table, name, strlen(name));
    bool is_found = node != NULL;
    if (!node && dir->node->find)
        node = dir->node->find(&ask, name, &key);
    if (!node)
        return -ENOENT;
    if (!is_found && (node == &proc_pid_dir || node == &proc_task_dir)) {
        pid = pid_find(task->ns->pid_ns, (u32)key);
        if (!pid)
            return -ENOENT;
    }
    char path[PATH_SIZE_MAX];
    if (!is_found)
        snprintf(path, sizeof path, "%s", star_of(node));
    else if (snprintf(path, sizeof path, "%s/%s", dir->path, node->name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    struct proc_inode *inode;
    int err = proc_inode_create(dir_inode->super, node, path, pid, is_found ? dir->key : key,
                                &inode);
    if (!err)
        *out = &inode->inode;
    return err;
}

SLEEPS static bool proc_revalidate(struct task *task, struct inode *dir_inode,
                                   struct dentry *dentry)
{
    if (!dentry->inode)
        return false;
    struct proc_inode *inode = proc_of(dentry->inode), *dir = proc_of(dir_inode);
    if (inode->pid && !inode->pid->task)
        return false;
    if (find_in(dir->node->table, dentry->name, strlen(dentry->name)))
        return true;
    struct proc_ask ask = ask_of(task, dir);
    u64 key;
    return dir->node->find && dir->node->find(&ask, dentry->name, &key) == inode->node;
}

#define DYNAMIC_BASE 0x1000u

SLEEPS static int emit_table(struct file *file, struct dir_emit *emit,
                             const struct proc_node *table)
{
    u64 count = 0;
    while (table && table[count].name)
        count++;
    while (file->offset - 2 < count) {
        const struct proc_node *node = &table[file->offset - 2];
        u8 type = (u8)((node->mode & LINUX_S_IFMT) >> 12);
        u64 ino = hash_text(node->name, file->inode->ino) & 0xffffffffu;
        if (!emit->emit(emit, node->name, strlen(node->name), ino, type, file->offset + 1))
            return 1;
        file->offset++;
    }
    return 0;
}

SLEEPS static int proc_readdir(struct task *task, struct file *file, struct dir_emit *emit)
{
    struct proc_inode *dir = proc_of(file->inode);
    struct proc_ask ask = ask_of(task, dir);
    int err = check_target(&ask);
    if (err)
        return err;
    while (file->offset < 2) {
        const char *dots = file->offset == 0 ? "." : "..";
        if (!emit->emit(emit, dots, strlen(dots), file->inode->ino, LINUX_DT_DIR, file->offset + 1))
            return 0;
        file->offset++;
    }
    if (file->offset < DYNAMIC_BASE && emit_table(file, emit, dir->node->table))
        return 0;
    if (!dir->node->next)
        return 0;
    if (file->offset < DYNAMIC_BASE)
        file->offset = DYNAMIC_BASE;
    for (;;) {
        u64 key = file->offset - DYNAMIC_BASE;
        char name[PROC_NAME_MAX];
        u8 type;
        if (!dir->node->next(&ask, &key, name, &type))
            return 0;
        u64 next = key + 1 + DYNAMIC_BASE;
        if (!emit->emit(emit, name, strlen(name), hash_text(name, file->inode->ino) & 0xffffffffu,
                        type, next))
            return 0;
        file->offset = next;
    }
}

/* ---- texts ---------------------------------------------------------------------------------- */

struct proc_text {
    struct object object;
    struct buf text;
    bool is_made;
};

static const struct field proc_text_fields[] = {
    FIELD_NONE(struct proc_text, object, "the walker's own header"),
    FIELD_BUF(struct proc_text, text),
    FIELD(struct proc_text, is_made),
    FIELD_END,
};
FIELDS_COMPLETE(struct proc_text, proc_text_fields);

static void proc_text_destroy(struct object *object)
{
    buf_fini(&container_of(object, struct proc_text, object)->text);
}

const struct kind proc_text_kind = {.name = "proc_text",
                                    .size = sizeof(struct proc_text),
                                    .fields = proc_text_fields,
                                    .destroy = proc_text_destroy};

SLEEPS static int text_make(struct task *task, struct file *file, struct proc_text *text)
{
    struct proc_inode *inode = proc_of(file->inode);
    struct proc_ask ask = ask_of(task, inode);
    int err = check_target(&ask);
    if (err)
        return err;
    struct buf fresh;
    buf_init(&fresh, task->kernel->arena, TEXT_SIZE_MAX);
    err = inode->node->show ? inode->node->show(&ask, &fresh) : 0;
    if (err) {
        buf_fini(&fresh);
        return err;
    }
    buf_fini(&text->text);
    text->text = fresh;
    text->is_made = true;
    return 0;
}

SLEEPS static i64 proc_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct proc_text *text = container_of(file->private_object, struct proc_text, object);
    if (offset == 0 || !text->is_made) {
        int err = text_make(task, file, text);
        if (err)
            return err;
    }
    if (offset >= text->text.size)
        return 0;
    return uio_put(uio, buf_bytes(&text->text) + offset,
                   MIN(uio->remaining, text->text.size - offset));
}

SLEEPS static i64 proc_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct proc_inode *inode = proc_of(file->inode);
    struct proc_ask ask = ask_of(task, inode);
    int err = check_target(&ask);
    if (err)
        return err;
    if (!inode->node->write)
        return -EINVAL;
    char text[4096];
    i64 got = uio_take(uio, text, MIN(uio->remaining, (u64)sizeof text - 1));
    if (got < 0)
        return got;
    text[got] = 0;
    return inode->node->write(&ask, text, (size_t)got);
}

const struct file_ops proc_dir_ops = {.readdir = proc_readdir, .is_seekable = true};
const struct file_ops proc_text_ops = {.read = proc_read, .write = proc_write, .is_seekable = true};

SLEEPS static int proc_open(struct task *task, struct inode *base, struct file *file)
{
    struct proc_inode *inode = proc_of(base);
    struct proc_ask ask = ask_of(task, inode);
    int err = check_target(&ask);
    if (err)
        return err;
    if (inode->node->open)
        return inode->node->open(&ask, file);
    if ((base->mode & LINUX_S_IFMT) == LINUX_S_IFDIR) {
        file->ops = &proc_dir_ops;
        return 0;
    }
    struct proc_text *text = object_create(task->kernel->arena, &proc_text_kind);
    if (!text)
        return -ENOMEM;
    buf_init(&text->text, task->kernel->arena, TEXT_SIZE_MAX);
    file->private_object = &text->object;
    file->ops = &proc_text_ops;
    return 0;
}

SLEEPS static i64 proc_readlink(struct task *task, struct inode *base, char *out, size_t size)
{
    struct proc_inode *inode = proc_of(base);
    struct proc_ask ask = ask_of(task, inode);
    int err = check_target(&ask);
    if (err)
        return err == -ESRCH ? -ENOENT : err;
    if (!inode->node->link)
        return -EINVAL;
    struct buf text;
    buf_init(&text, task->kernel->arena, PATH_SIZE_MAX * 2);
    err = inode->node->link(&ask, &text);
    i64 length = err ? err : (i64)MIN(size, text.size);
    if (!err)
        memcpy(out, buf_bytes(&text), (size_t)length);
    buf_fini(&text);
    return length;
}

SLEEPS static int proc_follow(struct task *task, struct inode *base, struct path *out)
{
    struct proc_inode *inode = proc_of(base);
    struct proc_ask ask = ask_of(task, inode);
    int err = check_target(&ask);
    if (err)
        return err == -ESRCH ? -ENOENT : err;
    return inode->node->follow(&ask, out);
}

SLEEPS static int proc_getattr(struct task *task, struct inode *base)
{
    struct proc_inode *inode = proc_of(base);
    base->uid = proc_uid(inode, false);
    base->gid = proc_uid(inode, true);
    base->atime_ns = base->mtime_ns = base->ctime_ns = (i64)kernel_realtime_ns(task->kernel);
    struct proc_ask ask = ask_of(task, inode);
    if (inode->node->attr)
        inode->node->attr(&ask, base);
    return 0;
}

/* Linux finds before it asks whether the tree can grow: a new name here is one that does not exist.
 */
SLEEPS static int proc_create(struct task *task, struct inode *dir, const char *name, u32 mode,
                              struct inode **out)
{
    return -ENOENT;
}
SLEEPS static int proc_mknod(struct task *task, struct inode *dir, const char *name, u32 mode,
                             u32 rdev, struct inode **out)
{
    return -ENOENT;
}
SLEEPS static int proc_symlink(struct task *task, struct inode *dir, const char *name,
                               const char *target, struct inode **out)
{
    return -ENOENT;
}

SLEEPS static int proc_setattr(struct task *task, struct inode *base, const struct attr *attr)
{
    return attr->mask & ~(u32)(ATTR_SIZE | ATTR_ATIME | ATTR_MTIME | ATTR_CTIME) ? -EPERM : 0;
}

static const struct inode_ops proc_inode_ops = {
    .lookup = proc_lookup,
    .create = proc_create,
    .mkdir = proc_create,
    .mknod = proc_mknod,
    .symlink = proc_symlink,
    .open = proc_open,
    .readlink = proc_readlink,
    .getattr = proc_getattr,
    .setattr = proc_setattr,
    .revalidate = proc_revalidate,
};
static const struct inode_ops proc_magic_ops = {
    .readlink = proc_readlink,
    .follow = proc_follow,
    .getattr = proc_getattr,
    .setattr = proc_setattr,
};

/* ---- mounting ------------------------------------------------------------------------------- */

const struct super_ops proc_super_ops = {0};

int proc_tree_mount(struct task *task, const char *type, u32 magic, const struct proc_node *root,
                    u64 key, u32 flags, struct super **out)
{
    AUTO_PUT struct super *super = NULL;
    int err = super_create(task->kernel, type, magic, flags, &super);
    if (err)
        return err;
    super->ops = &proc_super_ops;
    struct proc_inode *inode;
    err = proc_inode_create(super, root, star_of(root), NULL, key, &inode);
    if (err)
        return err;
    inode->inode.ino = 1;
    err = dentry_create_root(super, &inode->inode, &super->root);
    object_put(&inode->inode.object);
    if (!err)
        *out = MOVE(super);
    return err;
}

SLEEPS int proc_mount(struct task *task, const char *source, u32 flags, const char *options,
                      struct super **out)
{
    return proc_tree_mount(task, "proc", PROC_MAGIC, &proc_root, 0, flags, out);
}

SLEEPS int sysfs_mount(struct task *task, const char *source, u32 flags, const char *options,
                       struct super **out)
{
    return proc_tree_mount(task, "sysfs", SYSFS_MAGIC, &sys_root, 0, flags, out);
}
