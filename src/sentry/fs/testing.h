/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For this room's tests: a kernel on the sim host with a tmpfs as root, and kernel tasks that run a
 * test's functions as fibers. A test that leaves anything alive fails when its arena is destroyed.
 */
#pragma once
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "host/sim/sim.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

#define WORLD_FRAMES 16384
#define WORLD_STEPS_MAX 1000000

struct world {
    struct host *host;
    struct arena *arena;
    struct machine_memory memfile;
    struct kernel *kernel;
    struct super *root_super;
    struct mount_ns *ns;
    struct fs_context *fs;
};

/* One fiber of a test. BODY may sleep. */
struct actor {
    struct world *world;
    void (*body)(struct task *task, struct world *world);
    bool has_ended;
};

SLEEPS_ROOT static void world_actor_main(struct task *task, void *arg)
{
    struct actor *actor = arg;
    struct world *world = actor->world;
    if (!world->ns) {
        CU_ASSERT_FATAL(tmpfs_create(task, "mode=755", &world->root_super) == 0);
        CU_ASSERT_FATAL(mount_ns_create(task->kernel, world->root_super, 0, &world->ns) == 0);
        struct path root = {world->ns->root, world->ns->root->root};
        CU_ASSERT_FATAL(fs_context_create(task->kernel, &root, &root, &world->fs) == 0);
        world->fs->umask = 022;
    }
    REF_PUT(task->fs);
    task->fs = REF_GET(world->fs);
    CU_ASSERT_FATAL(fd_table_create(task->kernel, &task->fds) == 0);
    actor->body(task, world);
    REF_CLEAR(task->fds);
    REF_CLEAR(task->fs);
    actor->has_ended = true;
}

static inline void world_begin(struct world *world, u64 seed)
{
    const struct sim_config sim = {.seed = seed};
    const struct kernel_config config = {.seed = seed, .memory_max = (u64)WORLD_FRAMES * PAGE_SIZE};
    *world = (struct world){0};
    world->host = host_sim_create(&sim);
    world->arena = host_arena_create(world->host, 0);
    CU_ASSERT_FATAL(machine_memory_create("test", WORLD_FRAMES, &world->memfile) == 0);
    CU_ASSERT_FATAL(kernel_create(world->arena, world->host, NULL, &world->memfile, 1, NULL,
                                  &config, &world->kernel) == 0);
    CU_ASSERT_FATAL(vfs_create(world->kernel) == 0);
}

/* Runs ACTORS until all are quiet; tells whether each must have ended. */
static inline void world_run(struct world *world, struct actor *actors, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct task *task;
        actors[i].world = world;
        CU_ASSERT_FATAL(
            task_create_kernel(world->kernel, "test", world_actor_main, &actors[i], &task) == 0);
        CU_ASSERT_FATAL(task_start(task) == 0);
        REF_PUT(task);
    }
    CU_ASSERT(sched_run_until_quiet(world->kernel->sched, WORLD_STEPS_MAX));
}

static inline void world_end(struct world *world)
{
    REF_CLEAR(world->fs);
    REF_CLEAR(world->ns);
    REF_CLEAR(world->root_super);
    vfs_destroy(world->kernel);
    kernel_destroy(world->kernel);
    machine_memory_destroy(&world->memfile);
    host_arena_destroy(world->host, world->arena);
    host_put(world->host);
}

/* The usual test: one fiber. */
static inline void world_test(void (*body)(struct task *task, struct world *world))
{
    struct world world;
    struct actor actor = {.body = body};
    world_begin(&world, 1);
    world_run(&world, &actor, 1);
    CU_ASSERT(actor.has_ended);
    world_end(&world);
}

/* ---- short forms ---------------------------------------------------------------------------- */

UNUSED SLEEPS static struct file *must_open(struct task *task, const char *path, u32 flags)
{
    struct file *file = NULL;
    int err = vfs_open(task, NULL, path, flags, 0666, 0, &file);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return file;
}

UNUSED SLEEPS static int open_error(struct task *task, const char *path, u32 flags)
{
    AUTO_PUT struct file *file = NULL;
    return vfs_open(task, NULL, path, flags, 0666, 0, &file);
}

UNUSED SLEEPS static void write_text(struct task *task, const char *path, const char *text)
{
    AUTO_PUT struct file *file = must_open(task, path,
                                           LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_TRUNC);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, text, strlen(text)), (i64)strlen(text));
}

/* The file's content, at most 4095 bytes, equals TEXT. */
UNUSED SLEEPS static bool has_text(struct task *task, const char *path, const char *text)
{
    char bytes[4096] = {0};
    AUTO_PUT struct file *file = NULL;
    if (vfs_open(task, NULL, path, LINUX_O_RDONLY, 0, 0, &file))
        return false;
    i64 size = file_pread_kernel(task, file, bytes, sizeof bytes - 1, 0);
    return size == (i64)strlen(text) && strcmp(bytes, text) == 0;
}

UNUSED SLEEPS static int walk_error(struct task *task, const char *path, u32 flags)
{
    AUTO_PATH struct path found = {0};
    return path_walk(task, NULL, path, flags, &found);
}

/* The inode at PATH without following a last symlink; lent: something else must keep it. */
UNUSED SLEEPS static struct inode *inode_at(struct task *task, const char *path)
{
    AUTO_PATH struct path found = {0};
    int err = path_walk(task, NULL, path, 0, &found);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return found.dentry->inode;
}

/* PATH as text from the root, into OUT of 256 bytes. */
UNUSED SLEEPS static const char *text_at(struct task *task, const char *path, char *out)
{
    AUTO_PATH struct path found = {0};
    AUTO_BUF struct buf text;
    buf_init(&text, task->kernel->arena, 0);
    out[0] = 0;
    if (path_walk(task, NULL, path, WALK_FOLLOW, &found) ||
        path_text(&found, &task->fs->root, &text))
        return "?";
    u64 size = MIN(text.size, (size_t)255);
    memcpy(out, buf_bytes(&text), size);
    out[size] = 0;
    return out;
}

/* Names of a directory in order, each followed by a space; dots left out. OUT has 512 bytes. */
struct world_names {
    struct dir_emit emit;
    char *out;
};
static inline bool world_emit(struct dir_emit *emit, const char *name, size_t name_size, u64 ino,
                              u8 type, u64 next)
{
    struct world_names *names = emit->owner;
    if (name[0] == '.' && (name_size == 1 || (name_size == 2 && name[1] == '.')))
        return true;
    strncat(names->out, name, name_size);
    strcat(names->out, " ");
    return true;
}
UNUSED SLEEPS static const char *names_at(struct task *task, const char *path, char *out)
{
    AUTO_PUT struct file *file = must_open(task, path, LINUX_O_RDONLY | LINUX_O_DIRECTORY);
    struct world_names names = {.out = out};
    names.emit = (struct dir_emit){.emit = world_emit, .owner = &names};
    out[0] = 0;
    CU_ASSERT_EQUAL(file_readdir(task, file, &names.emit), 0);
    return out;
}
