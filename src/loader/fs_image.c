/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems alone, without the processes: what containers have written to memory goes into
 * archives, one behind the other, and a manifest (JSON, for all that its file is called .pb) says
 * which bytes are whose. A container that starts later finds it all again, by its name and the
 * mount's path. The two files for pages stay empty: content stands in the archives.
 */
#include <errno.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/fs/overlay/overlay.h"

#define MANIFEST_SIZE_MAX ((u64)4 << 20)
#define EVERY_TMPFS "all-tmpfs"

/* ---- the manifest --------------------------------------------------------------------------- */

struct fs_resource {
    char *container, *path;
};
static const struct wire_field resource_fields[] = {
    WIRE_FIELD(struct fs_resource, container, "ContainerName", &wire_string),
    WIRE_FIELD(struct fs_resource, path, "Path", &wire_string),
    WIRE_END,
};
static const struct wire_type resource_type = WIRE_TYPE_STRUCT(struct fs_resource, resource_fields,
                                                               "checkpoint.ResourceID");
struct fs_archive {
    struct fs_resource id;
    u64 start, end; /* bytes of the archives' file */
};
static const struct wire_field archive_fields[] = {
    WIRE_FIELD(struct fs_archive, id, "ResourceID", &resource_type),
    WIRE_FIELD(struct fs_archive, start, "TarStart", &wire_uint64),
    WIRE_FIELD(struct fs_archive, end, "TarEnd", &wire_uint64),
    WIRE_END,
};
static const struct wire_type archive_type = WIRE_TYPE_STRUCT(struct fs_archive, archive_fields,
                                                              "fscheckpoint.Tmpfs");
struct fs_manifest {
    u64 version;
    char *runsc_version;
    u64 page_size;
    char *endian;
    WIRE_LIST(struct json_text) memory_files; /* content elsewhere: none of ours */
    WIRE_LIST(struct fs_archive) archives;
};
static const struct wire_field manifest_fields[] = {
    WIRE_FIELD(struct fs_manifest, version, "Version", &wire_uint64),
    WIRE_FIELD(struct fs_manifest, runsc_version, "RunscVersion", &wire_string),
    WIRE_FIELD(struct fs_manifest, page_size, "PageSize", &wire_uint64),
    WIRE_FIELD(struct fs_manifest, endian, "Endian", &wire_string),
    WIRE_FIELD(struct fs_manifest, memory_files, "MemoryFiles",
               WIRE_LIST_OF(&wire_raw, "[]fscheckpoint.MemoryFile")),
    WIRE_FIELD(struct fs_manifest, archives, "Tmpfs",
               WIRE_LIST_OF(&archive_type, "[]fscheckpoint.Tmpfs")),
    WIRE_END,
};
static const struct wire_type manifest_type = WIRE_TYPE_STRUCT(struct fs_manifest, manifest_fields,
                                                               "fscheckpoint.Manifest");

/* ---- saving --------------------------------------------------------------------------------- */

struct target {
    struct fs_archive archive;
    struct dentry *root; /* counted */
};
struct saving {
    struct loader *loader;
    struct task *by;
    const struct fs_save_args *args;
    struct host_file *files[FS_SAVE_FILES];
    struct target *targets; /* the pool's */
    size_t count, room;
    struct pool pool;
    struct error *err;
};

/* The tree in memory that a mount shows: an overlay's upper layer or all of a tmpfs; NULL: none. */
static struct dentry *tree_in_memory(const struct mount *mount)
{
    struct dentry *root = mount->root;
    if (root != mount->super->root)
        return NULL;
    if (root->inode->object.kind == &overlay_inode_kind)
        root = overlay_of(root->inode)->upper;
    return root && strcmp(root->inode->super->type_name, "tmpfs") == 0 ? root : NULL;
}

static bool is_wanted(const struct saving *saving, const char *name, const char *path, bool *used)
{
    bool is_found = saving->args->path_count == 0 && strcmp(path, "/") == 0;
    for (u32 i = 0; i < saving->args->path_count; i++) {
        const struct fs_path *want = &saving->args->paths[i];
        bool is_every = strcmp(want->path, EVERY_TMPFS) == 0;
        if ((*want->container && strcmp(want->container, name) != 0) ||
            (!is_every && strcmp(want->path, path) != 0))
            continue;
        is_found = used[i] = true;
    }
    return is_found;
}

static int add_target(struct saving *saving, const char *name, const char *path,
                      struct dentry *root)
{
    struct target *targets = pool_grow_array(&saving->pool, saving->targets, saving->count,
                                             &saving->room, sizeof *targets);
    if (!targets)
        return -ENOMEM;
    saving->targets = targets;
    struct target *target = &saving->targets[saving->count];
    *target = (struct target){
        .archive.id = {(char *)(uintptr_t)name, pool_strdup(&saving->pool, path)}};
    if (!target->archive.id.path)
        return -ENOMEM;
    target->root = REF_GET(root);
    saving->count++;
    return 0;
}

static int gather_container(struct saving *saving, struct container *container, bool *used)
{
    const char *name = container_name(container, &saving->pool);
    const struct path root = {container->mounts->root, container->mounts->root->root};
    int err = name ? 0 : -ENOMEM;
    for (struct mount *mount = mount_next(container->mounts, NULL); mount && !err;
         mount = mount_next(container->mounts, mount)) {
        AUTO_BUF struct buf text;
        struct dentry *tree = tree_in_memory(mount);
        const struct path path = {mount, mount->root};
        buf_init(&text, saving->loader->kernel->arena, 0);
        if (!tree)
            continue;
        err = path_text(&path, &root, &text);
        if (!err && !buf_text(&text))
            err = -ENOMEM;
        if (!err && is_wanted(saving, name, buf_text(&text), used))
            err = add_target(saving, name, buf_text(&text), tree);
    }
    return err;
}

/* Nothing sleeps here: what is found is held. */
static int gather(struct saving *saving)
{
    struct container *container;
    const struct fs_save_args *args = saving->args;
    bool *used = pool_alloc_array(&saving->pool, args->path_count, sizeof *used);
    int err = used ? 0 : -ENOMEM;
    list_for_each (container, &saving->loader->containers, link)
        if (!err && container->mounts && container->phase == CONTAINER_PHASE_STARTED &&
            !container_has_ended(container))
            err = gather_container(saving, container, used);
    if (err)
        return error_set(saving->err, -err, "saving file systems: %s", errno_text(-err));
    for (u32 i = 0; i < args->path_count; i++)
        if (!used[i])
            return error_set(saving->err, ENOENT, "no checkpointable filesystem at \"%s%s%s\"",
                             args->paths[i].container, *args->paths[i].container ? ":" : "",
                             args->paths[i].path);
    if (saving->count == 0)
        return error_set(saving->err, ENOENT, "no checkpointable filesystems");
    return 0;
}

SLEEPS static int write_manifest(struct saving *saving)
{
    struct fs_manifest manifest = {
        .runsc_version = (char *)(uintptr_t)saving->loader->config.version,
        .page_size = PAGE_SIZE,
        .endian = "little"};
    manifest.archives.items = pool_alloc_array(&saving->pool, saving->count,
                                               sizeof *manifest.archives.items);
    if (!manifest.archives.items)
        return -ENOMEM;
    for (size_t i = 0; i < saving->count; i++)
        manifest.archives.items[i] = saving->targets[i].archive;
    manifest.archives.count = saving->count;
    const char *text = wire_encode_text(&manifest_type, &manifest, &saving->pool);
    return text ? loader_write_all(saving->by, saving->files[0], text, strlen(text)) : -ENOMEM;
}

SLEEPS static int save(struct saving *saving)
{
    u64 size = 0;
    int err = 0;
    if (gather(saving))
        return -1;
    for (size_t i = 0; i < saving->count && !err; i++) {
        struct target *target = &saving->targets[i];
        target->archive.start = size;
        err = tar_write(saving->by, saving->files[1], target->root, &size);
        target->archive.end = size;
    }
    if (!err)
        err = write_manifest(saving);
    return err ? error_set(saving->err, -err, "saving file systems: %s", errno_text(-err)) : 0;
}

static int open_files(struct saving *saving, int *fds)
{
    for (u32 i = 0; i < FS_SAVE_FILES; i++) {
        saving->files[i] = host_file_from_fd(saving->loader->kernel->host, fds[i]);
        if (!saving->files[i])
            return error_set(saving->err, ENOMEM, "saving file systems: out of memory");
        fds[i] = -1;
    }
    return 0;
}

int loader_fs_save(struct loader *loader, struct task *by, const struct fs_save_args *args,
                   struct error *err)
{
    struct fs_save_args own = *args;
    struct saving saving = {.loader = loader, .by = by, .args = args, .err = err};
    pool_init(&saving.pool, loader->kernel->arena);
    int result = checkpoint_check_state(loader, err);
    bool is_attempt = result == 0;
    if (!result)
        result = open_files(&saving, own.fds);
    if (!result) {
        checkpoint_freeze(loader, by);
        result = save(&saving);
        checkpoint_thaw(loader, result == 0 && args->exits);
    }
    if (is_attempt)
        attempts_add(loader, &loader->fs_saves, result, err);
    for (size_t i = 0; i < saving.count; i++)
        REF_PUT(saving.targets[i].root);
    for (u32 i = 0; i < FS_SAVE_FILES; i++) {
        host_file_put(saving.files[i]);
        loader_close_fd(loader, &own.fds[i]);
    }
    pool_fini(&saving.pool);
    return result;
}

int loader_wait_fs_save(struct loader *loader, struct task *by, struct error *err)
{
    return attempts_wait(loader, by, &loader->fs_saves, err);
}

/* ---- filling -------------------------------------------------------------------------------- */

struct fs_image {
    struct pool pool;
    struct host_file *manifest_file, *archives; /* the first until it has been read */
    struct fs_manifest manifest;
};

void fs_image_free(struct loader *loader)
{
    struct fs_image *image = MOVE(loader->fs_image);
    if (!image)
        return;
    host_file_put(image->manifest_file);
    host_file_put(image->archives);
    pool_fini(&image->pool);
    arena_free(loader->kernel->arena, image, sizeof *image);
}

int loader_set_fs_image(struct loader *loader, const int fds[FS_SAVE_FILES], struct error *err)
{
    struct host_file *files[FS_SAVE_FILES] = {NULL};
    struct fs_image *image = arena_alloc(loader->kernel->arena, sizeof *image);
    bool is_whole = image != NULL;
    for (u32 i = 0; i < FS_SAVE_FILES; i++) {
        int fd = fds[i];
        files[i] = i < 2 ? host_file_from_fd(loader->kernel->host, fd) : NULL;
        is_whole = is_whole && (files[i] || i >= 2);
        if (!files[i])
            loader_close_fd(loader, &fd);
    }
    if (!is_whole) {
        host_file_put(files[0]);
        host_file_put(files[1]);
        arena_free(loader->kernel->arena, image, sizeof *image);
        return error_set(err, ENOMEM, "no memory for the image of file systems");
    }
    *image = (struct fs_image){.manifest_file = files[0], .archives = files[1]};
    pool_init(&image->pool, loader->kernel->arena);
    fs_image_free(loader);
    loader->fs_image = image;
    return 0;
}

static int judge_manifest(const struct fs_image *image, const struct loader *loader,
                          struct error *err)
{
    const struct fs_manifest *manifest = &image->manifest;
    const char *version = manifest->runsc_version ? manifest->runsc_version : "";
    if (manifest->version != 0)
        return error_set(err, EINVAL, "unsupported filesystem checkpoint version: %llu",
                         (unsigned long long)manifest->version);
    if (strcmp(version, loader->config.version) != 0)
        return error_set(err, EINVAL,
                         "filesystem checkpoint runsc version \"%s\" does not match current runsc "
                         "version \"%s\"",
                         version, loader->config.version);
    if (manifest->page_size != PAGE_SIZE || !manifest->endian ||
        strcmp(manifest->endian, "little") != 0)
        return error_set(err, EINVAL, "filesystem checkpoint of another kind of machine");
    if (manifest->memory_files.count > 0)
        return error_set(err, ENOSYS, "filesystem checkpoint with content in a pages file");
    return 0;
}

/* Two containers may start at once: then it is read twice. */
SLEEPS static int read_manifest(struct loader *loader, struct task *by, struct error *err)
{
    struct fs_image *image = loader->fs_image;
    struct host_file *file = image->manifest_file;
    struct host_stat stat;
    struct json_text value;
    host_file_get(file);
    int result = host_stat(file, &stat);
    if (!result && stat.size > MANIFEST_SIZE_MAX)
        result = -EFBIG;
    char *text = result ? NULL : pool_alloc(&image->pool, stat.size + 1);
    if (!result)
        result = text ? loader_read_all(by, file, 0, text, stat.size) : -ENOMEM;
    host_file_put(file);
    if (result)
        return error_set(err, -result, "failed to read manifest: %s", errno_text(-result));
    if (json_parse(text, stat.size, 0, &value, err) ||
        wire_decode(&manifest_type, value, &image->pool, &image->manifest, err))
        return error_prefix(err, "failed to read manifest");
    if (judge_manifest(image, loader, err))
        return -1;
    host_file_put(MOVE(image->manifest_file));
    return 0;
}

static const struct fs_archive *find_archive(const struct fs_image *image, const char *container,
                                             const char *path)
{
    for (size_t i = 0; i < image->manifest.archives.count; i++) {
        const struct fs_archive *archive = &image->manifest.archives.items[i];
        if (archive->id.container && strcmp(archive->id.container, container) == 0 &&
            archive->id.path && strcmp(archive->id.path, path) == 0)
            return archive;
    }
    return NULL;
}

int fs_image_fill(struct container *container, struct task *by, const char *path,
                  struct super *super, struct error *err)
{
    struct loader *loader = container->loader;
    AUTO_POOL struct pool pool;
    pool_init(&pool, loader->kernel->arena);
    if (!loader->fs_image)
        return 0;
    if (loader->fs_image->manifest_file && read_manifest(loader, by, err))
        return -1;
    const char *name = container_name(container, &pool);
    if (!name)
        return error_set(err, ENOMEM, "out of memory");
    const struct fs_archive *archive = find_archive(loader->fs_image, name, path);
    int result = archive
                     ? tar_read(by, loader->fs_image->archives, archive->start, archive->end, super)
                     : 0;
    return result ? error_set(err, -result, "restoring the file system \"%s\" of \"%s\": %s", path,
                              name, errno_text(-result))
                  : 0;
}

int loader_wait_fs_restore(struct loader *loader, struct task *by, const char *id,
                           struct error *err)
{
    struct container *container = container_lookup(loader, id);
    if (!container)
        return not_found(id, err);
    int result = 0;
    while (!result && !container->is_destroyed && container->phase < CONTAINER_PHASE_STARTED)
        if (sleep_on(&container->changed, by, NO_DEADLINE))
            result = error_set(err, EINTR, "interrupted");
    if (!result && container->is_destroyed)
        result = not_found(id, err);
    else if (!result && container->phase == CONTAINER_PHASE_FAILED)
        result = error_set(err, EIO, "container \"%s\" has not started", id);
    object_put(&container->object);
    return result;
}
