/* SPDX-License-Identifier: Apache-2.0 */
/* Overlay over two lower tmpfs layers: what shows, what is copied up, what stays below untouched.
 */
#include "sentry/fs/overlay/overlay.h"

#include "sentry/fs/testing.h"

/* "/low1" lies over "/low2"; "/up" takes changes; "/o" shows them. */
SLEEPS static void layers_mount(struct task *task, bool has_upper)
{
    struct path lowers[2] = {{0}}, upper = {0};
    CU_ASSERT_EQUAL_FATAL(path_walk(task, NULL, "/low1", 0, &lowers[0]), 0);
    CU_ASSERT_EQUAL_FATAL(path_walk(task, NULL, "/low2", 0, &lowers[1]), 0);
    CU_ASSERT_EQUAL_FATAL(path_walk(task, NULL, "/up", 0, &upper), 0);
    AUTO_PUT struct super *super = NULL;
    CU_ASSERT_EQUAL_FATAL(overlay_create(task, has_upper ? &upper : NULL, lowers, 2, &super), 0);
    AUTO_PATH struct path at = {0};
    CU_ASSERT_EQUAL_FATAL(path_walk(task, NULL, "/o", 0, &at), 0);
    CU_ASSERT_EQUAL_FATAL(mount_attach(task, super, super->root, &at, 0, "overlay", NULL), 0);
    path_put(&lowers[0]);
    path_put(&lowers[1]);
    path_put(&upper);
}

SLEEPS static void layers_make(struct task *task)
{
    static const char *const dirs[] = {"/low1",      "/low2",         "/up",
                                       "/o",         "/low1/both",    "/low2/both",
                                       "/low2/deep", "/low2/deep/er", "/low1/cover"};
    for (u32 i = 0; i < ARRAY_COUNT(dirs); i++)
        CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, dirs[i], 0755), 0);
    write_text(task, "/low1/a", "a1");
    write_text(task, "/low2/a", "a2");
    write_text(task, "/low2/b", "b2");
    write_text(task, "/low1/both/one", "1");
    write_text(task, "/low2/both/two", "2");
    write_text(task, "/low2/both/one", "hidden");
    write_text(task, "/low2/deep/er/file", "deep");
    write_text(task, "/low2/cover", "a file below a directory");
    CU_ASSERT_EQUAL(vfs_symlink(task, "a", NULL, "/low2/link"), 0);
    CU_ASSERT_EQUAL(vfs_mknod(task, NULL, "/low1/gone", LINUX_S_IFCHR, 0), 0);
    write_text(task, "/low2/gone", "whited out");
}

SLEEPS_ROOT static void shows(struct task *task, struct world *world)
{
    char out[512];
    layers_make(task);
    layers_mount(task, true);
    CU_ASSERT(has_text(task, "/o/a", "a1"));
    CU_ASSERT(has_text(task, "/o/b", "b2"));
    CU_ASSERT(has_text(task, "/o/both/one", "1"));
    CU_ASSERT(has_text(task, "/o/both/two", "2"));
    CU_ASSERT(has_text(task, "/o/link", "a1"));
    CU_ASSERT_EQUAL(walk_error(task, "/o/gone", 0), -ENOENT);
    CU_ASSERT(inode_is_dir(inode_at(task, "/o/cover")));
    CU_ASSERT_STRING_EQUAL(names_at(task, "/o", out), "both cover a deep b link ");
    CU_ASSERT_STRING_EQUAL(names_at(task, "/o/both", out), "one two ");
    CU_ASSERT_STRING_EQUAL(names_at(task, "/o/cover", out), "");
    CU_ASSERT_STRING_EQUAL(names_at(task, "/up", out), ""); /* looking changes nothing */
}

static void test_layers_show_through_each_other(void)
{
    world_test(shows);
}

SLEEPS_ROOT static void copies(struct task *task, struct world *world)
{
    layers_make(task);
    layers_mount(task, true);
    u64 ino = inode_at(task, "/o/deep/er/file")->ino;
    AUTO_PATH struct path file = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/low2/deep/er/file", 0, &file), 0);
    const struct attr old = {.mask = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_MTIME,
                             .mode = 0640,
                             .uid = 5,
                             .gid = 6,
                             .mtime_ns = 77};
    CU_ASSERT_EQUAL(vfs_setattr(task, &file, &old), 0);
    CU_ASSERT_EQUAL(vfs_setxattr(task, &file, "user.x", "kept", 4, 0), 0);
    AUTO_PUT struct file *append = must_open(task, "/o/deep/er/file",
                                             LINUX_O_WRONLY | LINUX_O_APPEND);
    CU_ASSERT_EQUAL(inode_at(task, "/up/deep/er/file")->mtime_ns, 77); /* opened, not yet written */
    CU_ASSERT_EQUAL(file_write_kernel(task, append, "+", 1), 1);
    CU_ASSERT(has_text(task, "/o/deep/er/file", "deep+"));
    CU_ASSERT(has_text(task, "/up/deep/er/file", "deep+"));
    CU_ASSERT(has_text(task, "/low2/deep/er/file", "deep"));
    AUTO_PATH struct path copy = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/o/deep/er/file", 0, &copy), 0);
    CU_ASSERT_EQUAL(vfs_getattr(task, copy.dentry->inode), 0);
    const struct inode *inode = copy.dentry->inode;
    CU_ASSERT(inode->uid == 5 && inode->gid == 6 && inode->mode == (LINUX_S_IFREG | 0640) &&
              inode->size == 5);
    CU_ASSERT_EQUAL(inode->ino, ino);
    char out[64];
    CU_ASSERT_EQUAL(vfs_getxattr(task, &copy, "user.x", out, 64), 4);
    CU_ASSERT_EQUAL(vfs_listxattr(task, &copy, out, 64), 7); /* none of the overlay's own */
    vfs_drop_cache(task->kernel);
    CU_ASSERT_EQUAL(inode_at(task, "/o/deep/er/file")->ino, ino);
    path_put(&copy);
}

static void test_a_change_copies_up_with_all_that_belongs_to_it(void)
{
    world_test(copies);
}

SLEEPS_ROOT static void removes(struct task *task, struct world *world)
{
    char out[512];
    layers_make(task);
    layers_mount(task, true);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/o/b", 0), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/o/b", 0), -ENOENT);
    CU_ASSERT(overlay_is_whiteout(inode_at(task, "/up/b")));
    CU_ASSERT(has_text(task, "/low2/b", "b2"));
    write_text(task, "/o/b", "again");
    CU_ASSERT(has_text(task, "/up/b", "again"));
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/o/both", LINUX_AT_REMOVEDIR), -ENOTEMPTY);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/o/both/one", 0), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/o/both/one", 0), -ENOENT); /* nor the one below it */
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/o/both/two", 0), 0);
    CU_ASSERT_STRING_EQUAL(names_at(task, "/o/both", out), "");
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/o/both", LINUX_AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/o/both", 0755), 0);
    CU_ASSERT_STRING_EQUAL(names_at(task, "/o/both", out), ""); /* opaque */
    vfs_drop_cache(task->kernel);
    CU_ASSERT_EQUAL(walk_error(task, "/o/both/two", 0), -ENOENT);
    write_text(task, "/o/new", "n");
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/o/new", 0), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/up/new", 0), -ENOENT); /* nothing below: no whiteout */
}

static void test_what_is_removed_stays_away(void)
{
    world_test(removes);
}

SLEEPS_ROOT static void renames(struct task *task, struct world *world)
{
    layers_make(task);
    layers_mount(task, true);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/o/deep", NULL, "/o/moved", 0), -EXDEV);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/o/a", NULL, "/o/both/a", 0), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/o/a", 0), -ENOENT);
    CU_ASSERT(has_text(task, "/o/both/a", "a1"));
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/o/fresh", 0755), 0);
    write_text(task, "/o/fresh/f", "f");
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/o/fresh", NULL, "/o/deep/fresh", 0), 0);
    CU_ASSERT(has_text(task, "/o/deep/fresh/f", "f"));
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/o/b", NULL, "/o/deep/fresh/f", LINUX_RENAME_EXCHANGE),
                    0);
    CU_ASSERT(has_text(task, "/o/b", "f"));
    CU_ASSERT(has_text(task, "/o/deep/fresh/f", "b2"));
    AUTO_PATH struct path link = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/o/both/two", 0, &link), 0);
    CU_ASSERT_EQUAL(vfs_link(task, &link, NULL, "/o/hard"), 0);
    write_text(task, "/o/hard", "changed");
    CU_ASSERT(has_text(task, "/o/both/two", "changed"));
    CU_ASSERT(has_text(task, "/low2/both/two", "2"));
    CU_ASSERT_EQUAL(inode_at(task, "/o/hard")->link_count, 2);
    /* A name that a rename replaces may hide one below. */
    write_text(task, "/o/tmp", "t");
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/o/tmp", NULL, "/o/deep/er/file", 0), 0);
    CU_ASSERT(has_text(task, "/o/deep/er/file", "t"));
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/o/deep/er/file", NULL, "/o/tmp", 0), 0);
    vfs_drop_cache(task->kernel);
    CU_ASSERT_EQUAL(walk_error(task, "/o/deep/er/file", 0), -ENOENT);
}

static void test_renames_and_links_happen_above(void)
{
    world_test(renames);
}

SLEEPS_ROOT static void readonly(struct task *task, struct world *world)
{
    layers_make(task);
    layers_mount(task, false);
    CU_ASSERT(has_text(task, "/o/a", "a1"));
    CU_ASSERT_EQUAL(open_error(task, "/o/a", LINUX_O_WRONLY), -EROFS);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/o/d", 0755), -EROFS);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/o/a", 0), -EROFS);
}

static void test_without_an_upper_layer_nothing_changes(void)
{
    world_test(readonly);
}

/* By mount(2), over an overlay: what is copied up comes through both. */
SLEEPS_ROOT static void stacked(struct task *task, struct world *world)
{
    layers_make(task);
    layers_mount(task, true);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/up2", 0755), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/work", 0755), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/p", 0755), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, "o", "/p", "overlay", 0, "lowerdir=/o,upperdir=/up2"), -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, "o", "/p", "overlay", 0, "upperdir=/up2,workdir=/work"),
                    -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, "o", "/p", "overlay", 0, "lowerdir=/none"), -ENOENT);
    CU_ASSERT_EQUAL(
        vfs_mount(task, "o", "/p", "overlay", 0, "lowerdir=/o,upperdir=/o/both,workdir=/o"),
        -EINVAL);
    CU_ASSERT_EQUAL(
        vfs_mount(task, "o", "/p", "overlay", 0, "lowerdir=/o:/low2,upperdir=/up2,workdir=/work"),
        0);
    CU_ASSERT(has_text(task, "/p/deep/er/file", "deep"));
    AUTO_PUT struct file *file = must_open(task, "/p/deep/er/file",
                                           LINUX_O_WRONLY | LINUX_O_APPEND);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, "er", 2), 2);
    CU_ASSERT(has_text(task, "/p/deep/er/file", "deeper"));
    CU_ASSERT(has_text(task, "/up2/deep/er/file", "deeper"));
    CU_ASSERT(has_text(task, "/o/deep/er/file", "deep"));
    /* A hole stays a hole. */
    AUTO_PUT struct file *sparse = must_open(task, "/low2/sparse", LINUX_O_CREAT | LINUX_O_RDWR);
    CU_ASSERT_EQUAL(file_truncate(task, sparse, 10 << 20), 0);
    CU_ASSERT_EQUAL(open_error(task, "/p/sparse", LINUX_O_RDWR), 0);
    CU_ASSERT_EQUAL(inode_at(task, "/up2/sparse")->size, 10 << 20);
    CU_ASSERT_EQUAL(inode_at(task, "/up2/sparse")->blocks, 0);
}

static void test_overlays_are_mounted_and_stacked(void)
{
    world_test(stacked);
}

void overlay_suite(void);
void overlay_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/overlay", NULL, NULL);
    CU_ADD_TEST(suite, test_layers_show_through_each_other);
    CU_ADD_TEST(suite, test_a_change_copies_up_with_all_that_belongs_to_it);
    CU_ADD_TEST(suite, test_what_is_removed_stays_away);
    CU_ADD_TEST(suite, test_renames_and_links_happen_above);
    CU_ADD_TEST(suite, test_overlays_are_mounted_and_stacked);
    CU_ADD_TEST(suite, test_without_an_upper_layer_nothing_changes);
}
