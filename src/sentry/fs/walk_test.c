/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: every rule of path_resolution(7) that programs rely on, and openat2(2)'s. */
#include "sentry/fs/walk.h"

#include "sentry/fs/testing.h"

SLEEPS static void make_tree(struct task *task)
{
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/a", 0755), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/a/b", 0755), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/a/b/c", 0755), 0);
    write_text(task, "/a/file", "text");
    CU_ASSERT_EQUAL(vfs_symlink(task, "a/b", NULL, "/dir_link"), 0);
    CU_ASSERT_EQUAL(vfs_symlink(task, "/a/file", NULL, "/file_link"), 0);
    CU_ASSERT_EQUAL(vfs_symlink(task, "nowhere", NULL, "/broken"), 0);
    CU_ASSERT_EQUAL(vfs_symlink(task, "loop", NULL, "/loop"), 0);
}

static const struct walk_case {
    const char *path;
    u32 flags;
    int err;
    const char *text; /* of what is found */
} cases[] = {
    {"/", 0, 0, "/"},
    {"//", 0, 0, "/"},
    {"/..", 0, 0, "/"},
    {"/../../a", 0, 0, "/a"},
    {"/a/./b//c/", 0, 0, "/a/b/c"},
    {"/a/b/../b/c/..", 0, 0, "/a/b"},
    {"/a/file", 0, 0, "/a/file"},
    {"/a/file/", 0, -ENOTDIR, NULL},
    {"/a/file/.", 0, -ENOTDIR, NULL},
    {"/a/file/..", 0, -ENOTDIR, NULL},
    {"/a/missing", 0, -ENOENT, NULL},
    {"/a/missing/x", 0, -ENOENT, NULL},
    {"", 0, -ENOENT, NULL},
    {"/dir_link", 0, 0, "/dir_link"},
    {"/dir_link", WALK_FOLLOW, 0, "/a/b"},
    {"/dir_link/", 0, 0, "/a/b"},
    {"/dir_link/c", 0, 0, "/a/b/c"},
    {"/dir_link/..", 0, 0, "/a"},
    {"/file_link", WALK_FOLLOW, 0, "/a/file"},
    {"/file_link/", 0, -ENOTDIR, NULL},
    {"/broken", 0, 0, "/broken"},
    {"/broken", WALK_FOLLOW, -ENOENT, NULL},
    {"/broken/", 0, -ENOENT, NULL},
    {"/loop", 0, 0, "/loop"},
    {"/loop", WALK_FOLLOW, -ELOOP, NULL},
    {"/loop/x", 0, -ELOOP, NULL},
    {"/a", WALK_DIRECTORY, 0, "/a"},
    {"/a/file", WALK_DIRECTORY, -ENOTDIR, NULL},
    {"/dir_link", WALK_FOLLOW | WALK_NO_SYMLINKS, -ELOOP, NULL},
    {"/dir_link/c", WALK_NO_SYMLINKS, -ELOOP, NULL},
    {"/dir_link", WALK_NO_SYMLINKS, 0, "/dir_link"},
    {"/a", WALK_BENEATH, -EXDEV, NULL},
    {"a/b/../..", WALK_BENEATH, 0, "/"},
    {"a/../..", WALK_BENEATH, -EXDEV, NULL},
    {"file_link", WALK_BENEATH | WALK_FOLLOW, -EXDEV, NULL},
    {"dir_link/c", WALK_BENEATH, 0, "/a/b/c"},
};

SLEEPS static void check_case(struct task *task, const struct walk_case *c)
{
    AUTO_PATH struct path found = {0};
    int err = path_walk(task, NULL, c->path, c->flags, &found);
    if (err != c->err)
        printf("\n  path \"%s\" flags %u: %d, not %d", c->path, c->flags, err, c->err);
    CU_ASSERT_EQUAL(err, c->err);
    if (err || !c->text)
        return;
    AUTO_BUF struct buf text;
    buf_init(&text, task->kernel->arena, 0);
    CU_ASSERT_EQUAL(path_text(&found, &task->fs->root, &text), 0);
    CU_ASSERT_STRING_EQUAL(buf_text(&text), c->text);
}

SLEEPS_ROOT static void walk_cases(struct task *task, struct world *world)
{
    make_tree(task);
    for (u32 i = 0; i < ARRAY_COUNT(cases); i++)
        check_case(task, &cases[i]);
}

static void test_paths_lead_where_linux_says(void)
{
    world_test(walk_cases);
}

SLEEPS_ROOT static void long_names(struct task *task, struct world *world)
{
    char path[600];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[256] = 0;
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, path, 0755), 0);
    path[256] = 'x';
    path[257] = 0;
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, path, 0755), -ENAMETOOLONG);
    CU_ASSERT_EQUAL(walk_error(task, path, 0), -ENAMETOOLONG);
}

static void test_a_name_has_at_most_255_bytes(void)
{
    world_test(long_names);
}

/* N symlinks in a row, the last to a directory. */
SLEEPS_ROOT static void link_chain(struct task *task, struct world *world)
{
    char name[16], target[16] = "/";
    for (u32 i = 0; i < 41; i++) {
        snprintf(name, sizeof name, "/l%u", i);
        CU_ASSERT_EQUAL(vfs_symlink(task, target, NULL, name), 0);
        memcpy(target, name, sizeof target);
    }
    CU_ASSERT_EQUAL(walk_error(task, "/l39", WALK_FOLLOW), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/l40", WALK_FOLLOW), -ELOOP);
}

static void test_forty_symlinks_and_no_more(void)
{
    world_test(link_chain);
}

SLEEPS_ROOT static void in_root(struct task *task, struct world *world)
{
    make_tree(task);
    AUTO_PATH struct path start = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/a", 0, &start), 0);
    AUTO_PATH struct path found = {0};
    CU_ASSERT_EQUAL(path_walk(task, &start, "/../../file", WALK_IN_ROOT, &found), 0);
    CU_ASSERT_EQUAL(vfs_symlink(task, "/b/c", NULL, "/a/abs"), 0);
    AUTO_PATH struct path scoped = {0};
    CU_ASSERT_EQUAL(path_walk(task, &start, "abs", WALK_IN_ROOT | WALK_FOLLOW, &scoped), 0);
    CU_ASSERT_STRING_EQUAL(scoped.dentry->name, "c");
}

static void test_in_root_takes_the_start_for_the_root(void)
{
    world_test(in_root);
}

SLEEPS_ROOT static void searching(struct task *task, struct world *world)
{
    make_tree(task);
    struct cred *old = task->cred, *user;
    CU_ASSERT_EQUAL_FATAL(cred_copy(old, &user), 0);
    user->uid = user->euid = user->suid = user->fsuid = 1000;
    user->gid = user->egid = user->sgid = user->fsgid = 1000;
    user->cap_effective = user->cap_permitted = 0;
    AUTO_PATH struct path b = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/a/b", 0, &b), 0);
    const struct attr attr = {.mask = ATTR_MODE, .mode = 0644};
    CU_ASSERT_EQUAL(vfs_setattr(task, &b, &attr), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/a/b/c", 0), 0);
    task->cred = user;
    CU_ASSERT_EQUAL(walk_error(task, "/a/b/c", 0), -EACCES);
    CU_ASSERT_EQUAL(walk_error(task, "/a/b", 0), 0);
    CU_ASSERT_EQUAL(open_error(task, "/a/new", LINUX_O_CREAT | LINUX_O_WRONLY), -EACCES);
    CU_ASSERT_EQUAL(open_error(task, "/a/file", LINUX_O_WRONLY), -EACCES);
    CU_ASSERT_EQUAL(open_error(task, "/a/file", LINUX_O_RDONLY), 0);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/a/file", 0), -EACCES);
    CU_ASSERT_EQUAL(vfs_setattr(task, &b, &attr), -EPERM);
    task->cred = old;
    REF_PUT(user);
}

static void test_searching_asks_for_execute_permission(void)
{
    world_test(searching);
}

/* A chain far deeper than a fiber's stack could recurse. */
SLEEPS_ROOT static void deep(struct task *task, struct world *world)
{
    for (u32 i = 0; i < 5000; i++) {
        CU_ASSERT_EQUAL_FATAL(vfs_mkdir(task, NULL, "d", 0755), 0);
        AUTO_PATH struct path next = {0};
        CU_ASSERT_EQUAL_FATAL(path_walk(task, NULL, "d", 0, &next), 0);
        path_put(&task->fs->cwd);
        task->fs->cwd = next;
        next = (struct path){0};
    }
    AUTO_BUF struct buf text;
    buf_init(&text, task->kernel->arena, 0);
    CU_ASSERT_EQUAL(path_text(&task->fs->cwd, &task->fs->root, &text), 0);
    CU_ASSERT_EQUAL(text.size, 10000);
    path_put(&task->fs->cwd);
    task->fs->cwd = task->fs->root;
    path_get(&task->fs->cwd);
}

static void test_five_thousand_directories_deep_and_gone_again(void)
{
    world_test(deep);
}

SLEEPS_ROOT static void bounded(struct task *task, struct world *world)
{
    struct vfs *vfs = task->kernel->vfs;
    vfs->dentry_cache_max = 10;
    char name[16];
    for (u32 i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "/f%u", i);
        write_text(task, name, name);
    }
    CU_ASSERT(vfs->dentry_cache_count <= 10);
    CU_ASSERT(has_text(task, "/f0", "/f0"));
    CU_ASSERT_EQUAL(walk_error(task, "/none", 0), -ENOENT);
    write_text(task, "/none", "now");
    CU_ASSERT(has_text(task, "/none", "now"));
    vfs_drop_cache(task->kernel);
    CU_ASSERT_EQUAL(vfs->dentry_cache_count, 0);
    CU_ASSERT(has_text(task, "/f99", "/f99"));
}

static void test_the_cache_has_a_bound_and_forgets_nothing_that_matters(void)
{
    world_test(bounded);
}

void walk_suite(void);
void walk_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/walk", NULL, NULL);
    CU_ADD_TEST(suite, test_paths_lead_where_linux_says);
    CU_ADD_TEST(suite, test_a_name_has_at_most_255_bytes);
    CU_ADD_TEST(suite, test_forty_symlinks_and_no_more);
    CU_ADD_TEST(suite, test_in_root_takes_the_start_for_the_root);
    CU_ADD_TEST(suite, test_searching_asks_for_execute_permission);
    CU_ADD_TEST(suite, test_five_thousand_directories_deep_and_gone_again);
    CU_ADD_TEST(suite, test_the_cache_has_a_bound_and_forgets_nothing_that_matters);
}
