/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as pairs and as text, and what CLONE_FS shares: root, working directory, umask. */
#include "sentry/fs/path.h"

#include <string.h>

#include "abi/errno.h"
#include "base/buf.h"
#include "base/fields.h"
#include "sentry/fs/vfs.h"

const struct field path_fields[] = {
    FIELD_REF(struct path, mount, struct mount),
    FIELD_REF(struct path, dentry, struct dentry),
    FIELD_END,
};
FIELDS_COMPLETE(struct path, path_fields);

void path_get(const struct path *path)
{
    (void)REF_GET(path->mount);
    (void)REF_GET(path->dentry);
}

void path_put(struct path *path)
{
    struct dentry *dentry = MOVE(path->dentry);
    struct mount *mount = MOVE(path->mount);
    REF_PUT(dentry);
    REF_PUT(mount); /* last: it keeps the super alive */
}

/* ---- text ----------------------------------------------------------------------------------- */

/* One step towards ROOT: the name passed, or NULL at the end. */
static const char *path_text_step(struct path *at, const struct path *root)
{
    while (at->mount && at->dentry == at->mount->root && at->mount->parent &&
           !path_is_equal(at, root))
        *at = (struct path){at->mount->parent, at->mount->point};
    if (path_is_equal(at, root) || !at->dentry->parent)
        return NULL;
    if (at->mount && at->dentry == at->mount->root)
        return NULL;
    const char *name = at->dentry->name;
    at->dentry = at->dentry->parent;
    return name;
}

/* A detached mount, another namespace, or above ROOT. */
static bool path_text_is_reachable(const struct path *end, const struct path *root)
{
    return path_is_equal(end, root);
}

int path_text(const struct path *path, const struct path *root, struct buf *out)
{
    static const char deleted[] = " (deleted)", unreachable[] = "(unreachable)";
    if (!path->mount)
        return buf_append_text(out, path->dentry->name);
    struct path at = *path;
    size_t size = 0;
    for (const char *name; (name = path_text_step(&at, root)) != NULL;)
        size += 1 + strlen(name);
    if (size == 0)
        size = 1; /* "/" */
    size_t prefix = path_text_is_reachable(&at, root) ? 0 : sizeof unreachable - 1;
    size_t suffix = path->dentry->is_unlinked ? sizeof deleted - 1 : 0;
    u8 *text;
    int err = buf_reserve(out, prefix + size + suffix, &text);
    if (err)
        return err;
    memcpy(text, unreachable, prefix);
    memcpy(text + prefix + size, deleted, suffix);
    text[prefix] = '/';
    u8 *end = text + prefix + size;
    at = *path;
    for (const char *name; (name = path_text_step(&at, root)) != NULL;) {
        size_t name_size = strlen(name);
        end -= name_size + 1;
        *end = '/';
        memcpy(end + 1, name, name_size);
    }
    buf_grow(out, prefix + size + suffix);
    return 0;
}

/* ---- root, cwd, umask ----------------------------------------------------------------------- */

static void fs_context_destroy(struct object *object)
{
    struct fs_context *fs = container_of(object, struct fs_context, object);
    path_put(&fs->root);
    path_put(&fs->cwd);
}

static const struct field fs_context_fields[] = {
    FIELD_NONE(struct fs_context, object, "the walker's own header"),
    FIELD_STRUCT(struct fs_context, root, path_fields),
    FIELD_STRUCT(struct fs_context, cwd, path_fields),
    FIELD(struct fs_context, umask),
    FIELD_END,
};
FIELDS_COMPLETE(struct fs_context, fs_context_fields);

const struct kind fs_context_kind = {.name = "fs_context",
                                     .size = sizeof(struct fs_context),
                                     .fields = fs_context_fields,
                                     .destroy = fs_context_destroy};

int fs_context_create(struct kernel *kernel, const struct path *root, const struct path *cwd,
                      struct fs_context **out)
{
    struct fs_context *fs = object_create(kernel->arena, &fs_context_kind);
    if (!fs)
        return -ENOMEM;
    path_get(root);
    path_get(cwd);
    fs->root = *root;
    fs->cwd = *cwd;
    fs->umask = 022;
    *out = fs;
    return 0;
}

int fs_context_fork(const struct fs_context *from, struct fs_context **out)
{
    struct fs_context *fs = object_create(from->object.arena, &fs_context_kind);
    if (!fs)
        return -ENOMEM;
    path_get(&from->root);
    path_get(&from->cwd);
    fs->root = from->root;
    fs->cwd = from->cwd;
    fs->umask = from->umask;
    *out = fs;
    return 0;
}
