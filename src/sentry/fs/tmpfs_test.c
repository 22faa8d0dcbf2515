/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs(5) through vfs: names, links, renames, quotas, holes, seals, attributes, listings. */
#include "sentry/fs/tmpfs/tmpfs.h"

#include "sentry/fs/testing.h"
#include "sentry/fs/memfd.h"

/* ---- names and links ------------------------------------------------------------------------ */

SLEEPS_ROOT static void names(struct task *task, struct world *world)
{
    char out[512];
    write_text(task, "/b", "1");
    write_text(task, "/a", "2");
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/c", 0777), 0);
    CU_ASSERT_STRING_EQUAL(names_at(task, "/", out), "b a c ");
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/a", 0777), -EEXIST);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/a/x", 0777), -ENOTDIR);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/c", 0), -EISDIR);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/a", LINUX_AT_REMOVEDIR), -ENOTDIR);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/nothing", 0), -ENOENT);
    write_text(task, "/c/x", "3");
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/c", LINUX_AT_REMOVEDIR), -ENOTEMPTY);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/c/x", 0), 0);
    CU_ASSERT_EQUAL(inode_at(task, "/")->link_count, 3);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/c", LINUX_AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(inode_at(task, "/")->link_count, 2);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/", LINUX_AT_REMOVEDIR), -EBUSY);
    CU_ASSERT_EQUAL(inode_at(task, "/a")->mode, LINUX_S_IFREG | 0644); /* 0666 less the umask */
}

static void test_names_come_and_go(void)
{
    world_test(names);
}

SLEEPS_ROOT static void links(struct task *task, struct world *world)
{
    write_text(task, "/one", "text");
    AUTO_PATH struct path one = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/one", 0, &one), 0);
    CU_ASSERT_EQUAL(vfs_link(task, &one, NULL, "/two"), 0);
    CU_ASSERT_EQUAL(vfs_link(task, &one, NULL, "/two"), -EEXIST);
    CU_ASSERT_EQUAL(one.dentry->inode->link_count, 2);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/one", 0), 0);
    CU_ASSERT_EQUAL(one.dentry->inode->link_count, 1);
    CU_ASSERT(has_text(task, "/two", "text"));
    AUTO_PUT struct file *file = must_open(task, "/two", LINUX_O_RDWR);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/two", 0), 0);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, "more", 4), 4);
    char bytes[8] = {0};
    CU_ASSERT_EQUAL(file_pread_kernel(task, file, bytes, 8, 0), 4);
    CU_ASSERT_STRING_EQUAL(bytes, "more");
    CU_ASSERT_EQUAL(vfs_link(task, &file->path, NULL, "/three"), -ENOENT);
    AUTO_PATH struct path dir = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/", 0, &dir), 0);
    CU_ASSERT_EQUAL(vfs_link(task, &dir, NULL, "/dir"), -EPERM);
}

static void test_a_file_lives_while_it_has_a_name_or_is_open(void)
{
    world_test(links);
}

SLEEPS_ROOT static void renames(struct task *task, struct world *world)
{
    char out[512];
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/d", 0777), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/d/e", 0777), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/f", 0777), 0);
    write_text(task, "/x", "x");
    write_text(task, "/y", "y");
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/x", NULL, "/y", LINUX_RENAME_NOREPLACE), -EEXIST);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/x", NULL, "/y", LINUX_RENAME_EXCHANGE), 0);
    CU_ASSERT(has_text(task, "/x", "y"));
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/x", NULL, "/d/moved", 0), 0);
    CU_ASSERT_EQUAL(walk_error(task, "/x", 0), -ENOENT);
    CU_ASSERT(has_text(task, "/d/moved", "y"));
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/d", NULL, "/d/e/loop", 0), -EINVAL);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/f", NULL, "/d", 0), -ENOTEMPTY);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/f", NULL, "/y", 0), -ENOTDIR);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/y", NULL, "/f", 0), -EISDIR);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/d/e", NULL, "/f", 0), 0);
    CU_ASSERT_EQUAL(inode_at(task, "/d")->link_count, 2);
    CU_ASSERT_STRING_EQUAL(names_at(task, "/d", out), "moved ");
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/f", NULL, "/y", LINUX_RENAME_EXCHANGE), 0);
    CU_ASSERT(inode_is_dir(inode_at(task, "/y")));
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/nothing", NULL, "/y", 0), -ENOENT);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/d/..", NULL, "/y", 0), -EBUSY);
    CU_ASSERT_EQUAL(vfs_rename(task, NULL, "/d", NULL, "/y", 7), -EINVAL);
}

static void test_renames_replace_exchange_or_refuse(void)
{
    world_test(renames);
}

/* ---- listings ------------------------------------------------------------------------------- */

struct one_emit {
    struct dir_emit emit;
    char name[32];
    u32 count, max;
};
static bool emit_some(struct dir_emit *emit, const char *name, size_t size, u64 ino, u8 type,
                      u64 next)
{
    struct one_emit *one = emit->owner;
    if (one->count == one->max)
        return false;
    one->count++;
    memcpy(one->name, name, size);
    one->name[size] = 0;
    return true;
}

/* While a listing goes on, names before and behind its place come and go: each is seen at most
 * once. */
SLEEPS_ROOT static void listing(struct task *task, struct world *world)
{
    char name[16];
    for (u32 i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "/f%u", i);
        write_text(task, name, "");
    }
    AUTO_PUT struct file *file = must_open(task, "/", LINUX_O_RDONLY);
    struct one_emit one = {.max = 5};
    one.emit = (struct dir_emit){.emit = emit_some, .owner = &one};
    CU_ASSERT_EQUAL(file_readdir(task, file, &one.emit), 0); /* . .. f0 f1 f2 */
    CU_ASSERT_STRING_EQUAL(one.name, "f2");
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/f1", 0), 0);
    CU_ASSERT_EQUAL(vfs_unlink(task, NULL, "/f3", 0), 0);
    write_text(task, "/new", "");
    one.count = 0;
    one.max = 1;
    CU_ASSERT_EQUAL(file_readdir(task, file, &one.emit), 0);
    CU_ASSERT_STRING_EQUAL(one.name, "f4");
    one.count = 0;
    one.max = 100;
    CU_ASSERT_EQUAL(file_readdir(task, file, &one.emit), 0);
    CU_ASSERT_EQUAL(one.count, 6); /* f5..f9 and new */
    CU_ASSERT_STRING_EQUAL(one.name, "new");
    CU_ASSERT_EQUAL(file_seek(task, file, 0, LINUX_SEEK_SET), 0);
    one.count = 0;
    CU_ASSERT_EQUAL(file_readdir(task, file, &one.emit), 0);
    CU_ASSERT_EQUAL(one.count, 11);
}

static void test_a_place_in_a_listing_stays_valid(void)
{
    world_test(listing);
}

/* ---- content -------------------------------------------------------------------------------- */

SLEEPS_ROOT static void holes(struct task *task, struct world *world)
{
    AUTO_PUT struct file *file = must_open(task, "/f", LINUX_O_CREAT | LINUX_O_RDWR);
    CU_ASSERT_EQUAL(file_truncate(task, file, 100 * PAGE_SIZE), 0);
    CU_ASSERT_EQUAL(file->inode->blocks, 0);
    CU_ASSERT_EQUAL(file_seek(task, file, 10 * PAGE_SIZE, LINUX_SEEK_SET), (i64)(10 * PAGE_SIZE));
    CU_ASSERT_EQUAL(file_write_kernel(task, file, "x", 1), 1);
    CU_ASSERT_EQUAL(file->inode->blocks, 8);
    CU_ASSERT_EQUAL(file_seek(task, file, 0, LINUX_SEEK_DATA), (i64)(10 * PAGE_SIZE));
    CU_ASSERT_EQUAL(file_seek(task, file, 10 * PAGE_SIZE, LINUX_SEEK_HOLE), (i64)(11 * PAGE_SIZE));
    CU_ASSERT_EQUAL(file_seek(task, file, 11 * PAGE_SIZE, LINUX_SEEK_DATA), -ENXIO);
    CU_ASSERT_EQUAL(file_seek(task, file, 0, LINUX_SEEK_END), (i64)(100 * PAGE_SIZE));
    char byte = 'y';
    CU_ASSERT_EQUAL(file_pread_kernel(task, file, &byte, 1, 50 * PAGE_SIZE), 1);
    CU_ASSERT_EQUAL(byte, 0);
    i32 punch = (i32)(LINUX_FALLOC_PUNCH_HOLE | LINUX_FALLOC_KEEP_SIZE);
    CU_ASSERT_EQUAL(file_allocate(task, file, punch, 0, 20 * PAGE_SIZE), 0);
    CU_ASSERT_EQUAL(file->inode->blocks, 0);
    CU_ASSERT_EQUAL(file_allocate(task, file, 0, 99 * PAGE_SIZE, 2 * PAGE_SIZE), 0);
    CU_ASSERT_EQUAL(file->inode->size, 101 * PAGE_SIZE);
    CU_ASSERT_EQUAL(file->inode->blocks, 16);
    CU_ASSERT_EQUAL(file_truncate(task, file, 0), 0);
    CU_ASSERT_EQUAL(file->inode->blocks, 0);
}

static void test_files_have_holes(void)
{
    world_test(holes);
}

SLEEPS_ROOT static void quota(struct task *task, struct world *world)
{
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/m", 0777), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, "t", "/m", "tmpfs", 0, "size=8k,nr_inodes=4,mode=700,uid=7"),
                    0);
    CU_ASSERT_EQUAL(inode_at(task, "/m")->mode, LINUX_S_IFDIR | 0700);
    CU_ASSERT_EQUAL(inode_at(task, "/m")->uid, 7);
    AUTO_PUT struct file *file = must_open(task, "/m/f", LINUX_O_CREAT | LINUX_O_RDWR);
    static char bytes[3 * 4096];
    CU_ASSERT_EQUAL(file_write_kernel(task, file, bytes, sizeof bytes), 8192);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, bytes, 1), -ENOSPC);
    CU_ASSERT_EQUAL(file_allocate(task, file, 0, 8192, 1), -ENOSPC);
    struct linux_statfs statfs;
    CU_ASSERT_EQUAL(vfs_statfs(task, &file->path, &statfs), 0);
    CU_ASSERT(statfs.blocks == 2 && statfs.bfree == 0 && statfs.files == 4 && statfs.ffree == 2);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/m/a", 0777), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/m/b", 0777), 0);
    CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, "/m/c", 0777), -ENOSPC);
    CU_ASSERT_EQUAL(file_truncate(task, file, 4096), 0);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, bytes, 0), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/m", NULL, LINUX_MS_REMOUNT, "size=4k"), 0);
    CU_ASSERT_EQUAL(vfs_mount(task, NULL, "/m", NULL, LINUX_MS_REMOUNT, "nr_inodes=2"), -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, "t", "/m", "tmpfs", 0, "size=x"), -EINVAL);
    CU_ASSERT_EQUAL(vfs_mount(task, "t", "/m", "tmpfs", 0, "what=x"), -EINVAL);
    CU_ASSERT_EQUAL(vfs_umount(task, "/m", 0), -EBUSY);
    REF_CLEAR(file);
    CU_ASSERT_EQUAL(vfs_umount(task, "/m", 0), 0);
}

static void test_options_limit_pages_and_inodes(void)
{
    world_test(quota);
}

SLEEPS_ROOT static void seals(struct task *task, struct world *world)
{
    AUTO_PUT struct file *file = NULL;
    CU_ASSERT_EQUAL_FATAL(memfd_create_file(task, "m", LINUX_MFD_ALLOW_SEALING, &file), 0);
    CU_ASSERT_STRING_EQUAL(file->path.dentry->name, "/memfd:m (deleted)");
    CU_ASSERT_EQUAL(file_write_kernel(task, file, "12345", 5), 5);
    CU_ASSERT_EQUAL(memfd_add_seals(task, file, LINUX_F_SEAL_GROW), 0);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, "6", 1), -EPERM);
    CU_ASSERT_EQUAL(file_truncate(task, file, 6), -EPERM);
    CU_ASSERT_EQUAL(file_truncate(task, file, 4), 0);
    CU_ASSERT_EQUAL(memfd_add_seals(task, file, LINUX_F_SEAL_SHRINK), 0);
    CU_ASSERT_EQUAL(file_truncate(task, file, 3), -EPERM);
    CU_ASSERT_EQUAL(file_seek(task, file, 0, LINUX_SEEK_SET), 0);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, "x", 1), 1);
    CU_ASSERT_EQUAL(memfd_add_seals(task, file, LINUX_F_SEAL_WRITE | LINUX_F_SEAL_SEAL), 0);
    CU_ASSERT_EQUAL(file_write_kernel(task, file, "x", 1), -EPERM);
    CU_ASSERT_EQUAL(memfd_add_seals(task, file, LINUX_F_SEAL_WRITE), -EPERM);
    AUTO_PUT struct file *plain = must_open(task, "/f", LINUX_O_CREAT | LINUX_O_RDWR);
    CU_ASSERT_EQUAL(memfd_get_seals(plain), -EINVAL);
}

static void test_seals_hold(void)
{
    world_test(seals);
}

/* ---- attributes ----------------------------------------------------------------------------- */

SLEEPS_ROOT static void xattrs(struct task *task, struct world *world)
{
    write_text(task, "/f", "");
    AUTO_PATH struct path f = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/f", 0, &f), 0);
    char out[64];
    CU_ASSERT_EQUAL(vfs_setxattr(task, &f, "user.a", "value", 5, 0), 0);
    CU_ASSERT_EQUAL(vfs_setxattr(task, &f, "user.a", "v", 1, LINUX_XATTR_CREATE), -EEXIST);
    CU_ASSERT_EQUAL(vfs_setxattr(task, &f, "user.b", "v", 1, LINUX_XATTR_REPLACE), -ENODATA);
    CU_ASSERT_EQUAL(vfs_setxattr(task, &f, "trusted.t", "v", 1, 0), 0);
    CU_ASSERT_EQUAL(vfs_setxattr(task, &f, "nobody.x", "v", 1, 0), -EOPNOTSUPP);
    CU_ASSERT_EQUAL(vfs_getxattr(task, &f, "user.a", out, 0), 5);
    CU_ASSERT_EQUAL(vfs_getxattr(task, &f, "user.a", out, 2), -ERANGE);
    CU_ASSERT_EQUAL(vfs_getxattr(task, &f, "user.none", out, 64), -ENODATA);
    CU_ASSERT_EQUAL(vfs_listxattr(task, &f, out, 64), 17);
    CU_ASSERT_EQUAL(memcmp(out, "user.a\0trusted.t", 17), 0);
    CU_ASSERT_EQUAL(vfs_removexattr(task, &f, "user.a"), 0);
    CU_ASSERT_EQUAL(vfs_removexattr(task, &f, "user.a"), -ENODATA);
    CU_ASSERT_EQUAL(vfs_symlink(task, "x", NULL, "/l"), 0);
    AUTO_PATH struct path l = {0};
    CU_ASSERT_EQUAL(path_walk(task, NULL, "/l", 0, &l), 0);
    CU_ASSERT_EQUAL(vfs_setxattr(task, &l, "user.a", "v", 1, 0), -EPERM);
}

static void test_extended_attributes_by_name_space(void)
{
    world_test(xattrs);
}

/* ---- without memory ------------------------------------------------------------------------- */

SLEEPS static int op_mkdir(struct task *task)
{
    return vfs_mkdir(task, NULL, "/d", 0777);
}
SLEEPS static int op_create(struct task *task)
{
    AUTO_PUT struct file *file = NULL;
    int err = vfs_open(task, NULL, "/d/f", LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_RDWR, 0666, 0,
                       &file);
    if (err == -EEXIST) /* it was made, but memory for the description was missing: as on Linux */
        err = vfs_unlink(task, NULL, "/d/f", 0) ? -EEXIST : op_create(task);
    return err;
}
SLEEPS static int op_write(struct task *task)
{
    AUTO_PUT struct file *file = NULL;
    int err = vfs_open(task, NULL, "/d/f", LINUX_O_RDWR, 0, 0, &file);
    i64 moved = err ? 0 : file_write_kernel(task, file, "text", 4);
    return err ? err : moved < 0 ? (int)moved : 0;
}
SLEEPS static int op_symlink(struct task *task)
{
    return vfs_symlink(task, "f", NULL, "/d/s");
}
SLEEPS static int op_link(struct task *task)
{
    AUTO_PATH struct path f = {0};
    int err = path_walk(task, NULL, "/d/s", WALK_FOLLOW, &f);
    return err ? err : vfs_link(task, &f, NULL, "/d/g");
}
SLEEPS static int op_rename(struct task *task)
{
    return vfs_rename(task, NULL, "/d/g", NULL, "/g", 0);
}
SLEEPS static int op_exchange(struct task *task)
{
    return vfs_rename(task, NULL, "/d", NULL, "/g", LINUX_RENAME_EXCHANGE);
}
SLEEPS static int op_xattr(struct task *task)
{
    AUTO_PATH struct path g = {0};
    int err = path_walk(task, NULL, "/g", 0, &g);
    return err ? err : vfs_setxattr(task, &g, "user.x", "v", 1, LINUX_XATTR_CREATE);
}
SLEEPS static int op_memfd(struct task *task)
{
    AUTO_PUT struct file *file = NULL;
    return memfd_create_file(task, "m", 0, &file);
}
SLEEPS static int op_pipe(struct task *task)
{
    AUTO_PUT struct file *reader = NULL;
    AUTO_PUT struct file *writer = NULL;
    int err = pipe_create(task->kernel, 0, &reader, &writer);
    i64 moved = err ? 0 : file_write_kernel(task, writer, "x", 1);
    return err ? err : moved < 0 ? (int)moved : 0;
}
SLEEPS static int op_mount(struct task *task)
{
    return vfs_mount(task, "t", "/g", "tmpfs", 0, "size=1m");
}
SLEEPS static int op_bind(struct task *task)
{
    return vfs_mount(task, "/", "/g", NULL, LINUX_MS_BIND | LINUX_MS_REC, NULL);
}
SLEEPS static int op_fork_mounts(struct task *task)
{
    AUTO_PUT struct mount_ns *ns = NULL;
    return mount_ns_fork(task, task->fs->root.mount->ns, &ns);
}
SLEEPS static int op_dev(struct task *task)
{
    return vfs_mount(task, "d", "/g", "dev", 0, NULL);
}
SLEEPS static int op_fds(struct task *task)
{
    AUTO_PUT struct fd_table *table = NULL;
    return fd_table_fork(task->fds, &table);
}

/* Each operation with its first allocation refused, its second, …: -ENOMEM and no effect, until it
 * succeeds. */
SLEEPS_ROOT static void without_memory(struct task *task, struct world *world)
{
    int (*const ops[])(struct task *) = {
        op_mkdir, op_create, op_write, op_symlink, op_link,        op_rename, op_exchange, op_xattr,
        op_memfd, op_pipe,   op_mount, op_bind,    op_fork_mounts, op_dev,    op_fds};
    u32 refusals = 0;
    for (u32 i = 0; i < ARRAY_COUNT(ops); i++) {
        int err = -ENOMEM;
        for (u64 nth = 1; err; nth++) {
            vfs_drop_cache(task->kernel); /* so that each try needs the same */
            const struct sim_fault fault = {.id = "memory",
                                            .at = "alloc",
                                            .nth = nth,
                                            .times = 1,
                                            .error = ENOMEM,
                                            .is_armed = true};
            CU_ASSERT_EQUAL_FATAL(sim_fault_add(world->host, &fault), 0);
            err = ops[i](task);
            sim_fault_remove_all(world->host);
            if (err && err != -ENOMEM)
                printf("\n  operation %u, allocation %llu: %d", i, (unsigned long long)nth, err);
            CU_ASSERT_FATAL(err == 0 || err == -ENOMEM);
            refusals += err != 0;
        }
    }
    CU_ASSERT(refusals > 50);
}

static void test_a_refused_allocation_changes_nothing(void)
{
    world_test(without_memory);
}

void tmpfs_suite(void);
void tmpfs_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/tmpfs", NULL, NULL);
    CU_ADD_TEST(suite, test_names_come_and_go);
    CU_ADD_TEST(suite, test_a_file_lives_while_it_has_a_name_or_is_open);
    CU_ADD_TEST(suite, test_renames_replace_exchange_or_refuse);
    CU_ADD_TEST(suite, test_a_place_in_a_listing_stays_valid);
    CU_ADD_TEST(suite, test_files_have_holes);
    CU_ADD_TEST(suite, test_options_limit_pages_and_inodes);
    CU_ADD_TEST(suite, test_seals_hold);
    CU_ADD_TEST(suite, test_extended_attributes_by_name_space);
    CU_ADD_TEST(suite, test_a_refused_allocation_changes_nothing);
}
