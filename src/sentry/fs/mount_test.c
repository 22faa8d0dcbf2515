/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts: attaching, binding, moving, propagation, namespaces, unmounting, pivot_root. */
#include "sentry/fs/mount.h"

#include "sentry/fs/testing.h"
#include "sentry/kernel/namespaces.h"

SLEEPS static void make_dirs(struct task *task, const char *const *paths)
{
    for (; *paths; paths++)
        CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, *paths, 0755), 0);
}

SLEEPS static int mount_tmpfs(struct task *task, const char *at)
{
    return vfs_mount(task, "t", at, "tmpfs", 0, NULL);
}

/* ---- one mount ------------------------------------------------------------------------------ */

SLEEPS_ROOT static void basics(struct task *task, struct world *world)
{
    char text[256];
    make_dirs(task, (const char *const[]){"/m", "/other", NULL});
    write_text(task, "/m/hidden", "");
    CU_ASSERT_EQUAL(vfs_mount(task, "t", "/m", "nofs", 0, NULL), -ENODEV);
    CU_ASSERT_EQUAL(vfs_mount(task, "t", "/nothing", "tmpfs", 0, NULL), -ENOENT);
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/m"), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/m/hidden", 0), -ENOENT);
    write_text(task, "/m/seen", "1");
    CU_ASSERT_STRING_EQUAL(text_at(task, "/m/seen", text), "/m/seen");
    CU_ASSERT_STRING_EQUAL(text_at(task, "/m/..", text), "/");
    CU_ASSERT_EQUAL(walk_error(task, "/m/seen", WALK_NO_XDEV), -EXDEV);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/m", LINUX_AT_REMOVEDIR), -EBUSY);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/m", NULL, "/n", 0), -EBUSY);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/m/seen", NULL, "/seen", 0), -EXDEV);
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/m"), 0); /* over it */
    CU_ASSERT_EQUAL(walk_error(task, "/m/seen", 0), -ENOENT);
    CU_ASSERT_EQUAL(vfs_umount(task, "/m", 0), 0);
    CU_ASSERT(has_text(task, "/m/seen", "1"));
    AUTO_PUT struct file *file = must_open(task, "/m/seen", LINUX_O_RDONLY);
    CU_ASSERT_EQUAL(vfs_umount(task, "/m", 0), -EBUSY);
    CU_ASSERT_EQUAL(vfs_umount(task, "/m", LINUX_MNT_DETACH), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/m/hidden", 0), 0);
    char byte = 0;
    CU_ASSERT_EQUAL(file_pread_kernel(task, file, &byte, 1, 0), 1); /* lives on for who holds it */
    CU_ASSERT_EQUAL(vfs_umount(task, "/other", 0), -EINVAL);
    CU_ASSERT_EQUAL(vfs_umount(task, "/", 0), -EINVAL);
}

static void test_a_mount_covers_and_uncovers(void)
{
    world_test(basics);
}

SLEEPS_ROOT static void flags(struct task *task, struct world *world)
{
    make_dirs(task, (const char *const[]){"/m", "/b", NULL});
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/m"), 0);
    write_text(task, "/m/f", "1");
    CU_ASSERT_EQUAL(vfs_mount(task, "/m", "/b", NULL, LINUX_MS_BIND, NULL), 0);
    CU_ASSERT_EQUAL(
        vfs_mount(task, NULL, "/b", NULL, LINUX_MS_REMOUNT | LINUX_MS_BIND | LINUX_MS_RDONLY, NULL),
        0);
    CU_ASSERT_EQUAL(open_error(task, "/b/f", LINUX_O_WRONLY), -EROFS);
    CU_ASSERT_EQUAL(open_error(task, "/b/g", LINUX_O_CREAT | LINUX_O_WRONLY), -EROFS);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/b/f", 0), -EROFS);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/b/d", 0777), -EROFS);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/b/f", 0777), -EEXIST);
    CU_ASSERT_EQUAL(open_error(task, "/m/f", LINUX_O_WRONLY), 0);
    AUTO_PUT struct file *file = must_open(task, "/m/f", LINUX_O_WRONLY);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/m", NULL, LINUX_MS_REMOUNT | LINUX_MS_RDONLY, NULL),
                    -EBUSY);
    REF_CLEAR(file);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/m", NULL, LINUX_MS_REMOUNT | LINUX_MS_RDONLY, NULL), 0);
    CU_ASSERT_EQUAL(open_error(task, "/m/f", LINUX_O_WRONLY), -EROFS);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/m/f", NULL, LINUX_MS_REMOUNT, NULL), -EINVAL);
}

static void test_flags_of_mounts_and_of_supers(void)
{
    world_test(flags);
}

SLEEPS_ROOT static void binds(struct task *task, struct world *world)
{
    char text[256];
    make_dirs(task, (const char *const[]){"/a", "/a/b", "/c", NULL});
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/a/b"), 0);
    write_text(task, "/a/b/f", "1");
    write_text(task, "/file", "2");
    write_text(task, "/place", "");
    CU_ASSERT_EQUAL(vfs_mount(task, "/a", "/c", NULL, LINUX_MS_BIND, NULL), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/c/b/f", 0), -ENOENT); /* without MS_REC */
    CU_ASSERT_EQUAL(vfs_umount(task, "/c", 0), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, "/a", "/c", NULL, LINUX_MS_BIND | LINUX_MS_REC, NULL), 0);
    CU_ASSERT(has_text(task, "/c/b/f", "1"));
    CU_ASSERT_STRING_EQUAL(text_at(task, "/c/b/f", text), "/c/b/f");
    CU_ASSERT_EQUAL(vfs_umount(task, "/c", 0), -EBUSY);
    CU_ASSERT_EQUAL(vfs_umount(task, "/c", LINUX_MNT_DETACH), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, "/file", "/place", NULL, LINUX_MS_BIND, NULL), 0);
    CU_ASSERT(has_text(task, "/place", "2"));
    CU_ASSERT_EQUAL(vfs_mount(task, "/file", "/c", NULL, LINUX_MS_BIND, NULL), -ENOTDIR);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/a/b", NULL, LINUX_MS_UNBINDABLE, NULL), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, "/a/b", "/c", NULL, LINUX_MS_BIND, NULL), -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, "/a/b", "/c", NULL, LINUX_MS_MOVE, NULL), 0);
    CU_ASSERT(has_text(task, "/c/f", "1"));
    CU_ASSERT_EQUAL(walk_error(task, "/a/b/f", 0), -ENOENT);
    make_dirs(task, (const char *const[]){"/c/d", NULL});
    CU_ASSERT_EQUAL(vfs_mount(task, "/c", "/c/d", NULL, LINUX_MS_MOVE, NULL), -ELOOP);
}

static void test_binding_and_moving(void)
{
    world_test(binds);
}

/* ---- propagation ---------------------------------------------------------------------------- */

SLEEPS_ROOT static void propagation(struct task *task, struct world *world)
{
    make_dirs(task, (const char *const[]){"/s", "/peer", "/slave", "/private", NULL});
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/s"), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/s", NULL, LINUX_MS_SHARED, NULL), 0);
    make_dirs(task, (const char *const[]){"/s/x", "/s/y", NULL});
    CU_ASSERT_EQUAL(vfs_mount(task, "/s", "/peer", NULL, LINUX_MS_BIND, NULL), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, "/s", "/slave", NULL, LINUX_MS_BIND, NULL), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/slave", NULL, LINUX_MS_SLAVE, NULL), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, "/s", "/private", NULL, LINUX_MS_BIND, NULL), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/private", NULL, LINUX_MS_PRIVATE, NULL), 0);
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/s/x"), 0);
    write_text(task, "/s/x/f", "1");
    CU_ASSERT(has_text(task, "/peer/x/f", "1"));
    CU_ASSERT(has_text(task, "/slave/x/f", "1"));
    CU_ASSERT_EQUAL(walk_error(task, "/private/x/f", 0), -ENOENT);
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/slave/y"), 0); /* stays where it is */
    write_text(task, "/slave/y/f", "2");
    CU_ASSERT_EQUAL(walk_error(task, "/s/y/f", 0), -ENOENT);
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/peer/y"), 0);
    write_text(task, "/peer/y/g", "3");
    CU_ASSERT(has_text(task, "/s/y/g", "3"));
    CU_ASSERT_EQUAL(vfs_umount(task, "/s/x", 0), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/peer/x/f", 0), -ENOENT);
    CU_ASSERT_EQUAL(walk_error(task, "/slave/x/f", 0), -ENOENT);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/s", NULL, LINUX_MS_SHARED | LINUX_MS_PRIVATE, NULL),
                    -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/s/x", NULL, LINUX_MS_SHARED, NULL),
                    -EINVAL); /* no mount */
}

static void test_peers_and_slaves_see_mounts(void)
{
    world_test(propagation);
}

/* ---- namespaces ----------------------------------------------------------------------------- */

SLEEPS_ROOT static void namespaces(struct task *task, struct world *world)
{
    make_dirs(task, (const char *const[]){"/m", "/n", NULL});
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/m"), 0);
    write_text(task, "/m/f", "1");
    AUTO_PUT struct mount_ns *copy = NULL;
    CU_ASSERT_EQUAL_FATAL(mount_ns_fork(task, world->ns, &copy), 0);
    CU_ASSERT_EQUAL(copy->mount_count, world->ns->mount_count);
    struct fs_context *old = task->fs, *fs;
    CU_ASSERT_EQUAL_FATAL(fs_context_fork(old, &fs), 0);
    mount_ns_enter(world->ns, copy, fs);
    task->fs = fs;
    CU_ASSERT_PTR_EQUAL(task_mount_ns(task), copy);
    CU_ASSERT(has_text(task, "/m/f", "1"));
    CU_ASSERT_EQUAL(vfs_umount(task, "/m", 0), 0);
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/n"), 0);
    write_text(task, "/n/g", "2");
    CU_ASSERT_EQUAL(walk_error(task, "/m/f", 0), -ENOENT);
    task->fs = old;
    CU_ASSERT(has_text(task, "/m/f", "1"));
    CU_ASSERT_EQUAL(walk_error(task, "/n/g", 0), -ENOENT);
    REF_PUT(fs);
}

/* A namespace of a less privileged owner: what it got is locked, what it makes is its own. */
SLEEPS_ROOT static void less_privileged(struct task *task, struct world *world)
{
    make_dirs(task, (const char *const[]){"/ro", "/place", NULL});
    CU_ASSERT_EQUAL(vfs_mount(task, "t", "/ro", "tmpfs", LINUX_MS_RDONLY, NULL), 0);
    AUTO_PUT struct user_ns *user_ns = NULL;
    AUTO_PUT struct mount_ns *copy = NULL;
    CU_ASSERT_EQUAL_FATAL(
        user_ns_create(task->kernel, task->kernel->root_user_ns, task->cred, &user_ns), 0);
    CU_ASSERT_EQUAL_FATAL(mount_ns_fork(task, world->ns, &copy), 0);
    mount_ns_set_owner(copy, world->ns, user_ns);
    struct fs_context *old = task->fs, *fs;
    CU_ASSERT_EQUAL_FATAL(fs_context_fork(old, &fs), 0);
    mount_ns_enter(world->ns, copy, fs);
    task->fs = fs;
    CU_ASSERT_EQUAL(vfs_umount(task, "/ro", LINUX_MNT_DETACH), -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/ro", NULL, LINUX_MS_REMOUNT | LINUX_MS_BIND, NULL),
                    -EPERM);
    CU_ASSERT_EQUAL(vfs_mount(task, "/", "/place", NULL, LINUX_MS_BIND, NULL), -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, "/ro", "/place", NULL, LINUX_MS_MOVE, NULL), -EINVAL);
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/place"), 0);
    CU_ASSERT_EQUAL(vfs_umount(task, "/place", 0), 0);
    task->fs = old;
    CU_ASSERT_EQUAL(vfs_umount(task, "/ro", 0), 0);
    REF_PUT(fs);
}

static void test_what_a_less_privileged_namespace_got_is_locked(void)
{
    world_test(less_privileged);
}

static void test_a_forked_namespace_goes_its_own_way(void)
{
    world_test(namespaces);
}

SLEEPS_ROOT static void pivots(struct task *task, struct world *world)
{
    char text[256];
    make_dirs(task, (const char *const[]){"/new", NULL});
    write_text(task, "/old_file", "old");
    CU_ASSERT_EQUAL(vfs_pivot_root(task, "/new", "/new"), -EBUSY); /* no mount of its own */
    CU_ASSERT_EQUAL(mount_tmpfs(task, "/new"), 0);
    make_dirs(task, (const char *const[]){"/new/put", NULL});
    write_text(task, "/new/file", "new");
    CU_ASSERT_EQUAL(vfs_pivot_root(task, "/new", "/"), -EBUSY);
    CU_ASSERT_EQUAL(vfs_pivot_root(task, "/new/put", "/new/put"), -EINVAL);
    CU_ASSERT_EQUAL(vfs_pivot_root(task, "/new", "/new/put"), 0);
    /* A kernel task is not moved along: it goes by itself. */
    path_put(&task->fs->root);
    path_put(&task->fs->cwd);
    task->fs->root = task->fs->cwd = (struct path){world->ns->root, world->ns->root->root};
    path_get(&task->fs->root);
    path_get(&task->fs->cwd);
    CU_ASSERT(has_text(task, "/file", "new"));
    CU_ASSERT(has_text(task, "/put/old_file", "old"));
    CU_ASSERT_STRING_EQUAL(text_at(task, "/put/old_file", text), "/put/old_file");
    CU_ASSERT_EQUAL(vfs_umount(task, "/put", LINUX_MNT_DETACH), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/put/old_file", 0), -ENOENT);
    CU_ASSERT_EQUAL(world->ns->mount_count, 1);
}

static void test_pivot_root_swaps_and_lets_go(void)
{
    world_test(pivots);
}

void mount_suite(void);
void mount_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/mount", NULL, NULL);
    CU_ADD_TEST(suite, test_a_mount_covers_and_uncovers);
    CU_ADD_TEST(suite, test_flags_of_mounts_and_of_supers);
    CU_ADD_TEST(suite, test_binding_and_moving);
    CU_ADD_TEST(suite, test_peers_and_slaves_see_mounts);
    CU_ADD_TEST(suite, test_a_forked_namespace_goes_its_own_way);
    CU_ADD_TEST(suite, test_what_a_less_privileged_namespace_got_is_locked);
    CU_ADD_TEST(suite, test_pivot_root_swaps_and_lets_go);
}
