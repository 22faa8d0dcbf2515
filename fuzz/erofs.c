/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as an EROFS image: mounted, walked and read. The checksum of the superblock is not among
 * what is judged, so every byte counts. Nothing is left of it, and a walk of a few hundred files
 * comes to an end.
 */
#include "fuzz/world.h"

#include <fcntl.h>

#include "abi/fcntl.h"

#include "sentry/fs/erofs/erofs.h"
#include "sentry/fs/file.h"
#include "sentry/fs/mount.h"

#define FILES_MAX 200u
#define NAMES_MAX 16u
#define DEPTH_MAX 6u

static struct fuzz_world world;
static u32 file_count;

struct names {
    char names[NAMES_MAX][256];
    u32 count;
};

static bool take_name(struct dir_emit *emit, const char *name, size_t size, u64 ino, u8 type,
                      u64 next)
{
    struct names *names = emit->owner;
    fuzz_must(size > 0 && size < 256 && !memchr(name, '/', size), "a name is a name");
    if (names->count == NAMES_MAX)
        return false;
    memcpy(names->names[names->count], name, size);
    names->names[names->count++][size] = 0;
    return true;
}

SLEEPS static void read_file(struct task *task, struct file *file)
{
    static u8 piece[8192];
    const u64 size = file->inode->size;
    const u64 places[] = {0, 4090, size / 2, size > sizeof piece ? size - sizeof piece : size};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++)
        (void)!file_pread_kernel(task, file, piece, sizeof piece, places[i]);
}

SLEEPS static void visit(struct task *task, const char *path, u32 depth)
{
    static char text[4096];
    struct path found = {0};
    struct file *file;
    if (file_count++ >= FILES_MAX || path_walk(task, NULL, path, 0, &found))
        return;
    (void)!vfs_getattr(task, found.dentry->inode);
    (void)!vfs_listxattr(task, &found, text, sizeof text);
    (void)!vfs_getxattr(task, &found, "user.a", text, sizeof text);
    (void)!vfs_readlink(task, &found, text, sizeof text);
    path_put(&found);
    if (vfs_open(task, NULL, path, LINUX_O_RDONLY | LINUX_O_NONBLOCK, 0, 0, &file))
        return;
    if (!inode_is_dir(file->inode)) {
        read_file(task, file);
        object_put(&file->object);
        return;
    }
    struct names *names = calloc(1, sizeof *names);
    struct dir_emit emit = {.emit = take_name, .owner = names};
    (void)!file_readdir(task, file, &emit);
    object_put(&file->object);
    for (u32 i = 0; i < names->count && depth < DEPTH_MAX; i++) {
        char below[2048];
        if (snprintf(below, sizeof below, "%s/%s", path, names->names[i]) < (int)sizeof below)
            visit(task, below, depth + 1);
    }
    free(names);
}

SLEEPS static void visit_all(struct task *task)
{
    file_count = 0;
    visit(task, "/", 0);
}

SLEEPS static void body(struct task *task, struct fuzz_world *at_world, struct fuzz_input input)
{
    struct host_file *image;
    struct super *super;
    if (sim_put_file(at_world->host, "/image", input.bytes, input.size, 0644) ||
        host_open_path(at_world->host, "/image", O_RDONLY, 0, &image))
        abort();
    if (erofs_create(task, image, &super))
        return;
    fuzz_with_root(task, super, visit_all);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    if (!world.host)
        fuzz_world_make(&world);
    fuzz_world_run_clean(&world, body, bytes, size);
    return 0;
}
