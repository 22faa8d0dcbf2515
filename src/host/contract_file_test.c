/* SPDX-License-Identifier: Apache-2.0 */
/* What both hosts promise of files and of submitted operations; see contract_env.h. */
#include "host/contract_env.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct host_file *env_make_file(struct env *env, const char *name, const char *text)
{
    struct host_file *file = NULL;
    int err = host_open_at(env->dir, name, O_RDWR | O_CREAT | O_EXCL, 0644, &file);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL(host_pwrite(file, text, strlen(text), 0), (i64)strlen(text));
    return file;
}

static int open_and_put(struct env *env, const char *name, int flags)
{
    struct host_file *file;
    int err = host_open_at(env->dir, name, flags, 0600, &file);
    if (!err)
        host_file_put(file);
    return err;
}

static struct host_file *open_good(struct env *env, const char *name, int flags)
{
    struct host_file *file = NULL;
    int err = host_open_at(env->dir, name, flags, 0600, &file);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return file;
}

/* ---- files ---- */

static void what_was_written_is_read_back(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "hello");
    char out[16] = "";
    CU_ASSERT_EQUAL(host_pread(file, out, sizeof out, 0), 5);
    CU_ASSERT_EQUAL(memcmp(out, "hello", 5), 0);
    CU_ASSERT_EQUAL(host_pread(file, out, sizeof out, 5), 0);
    CU_ASSERT_EQUAL(host_pread(file, out, 2, 3), 2);
    CU_ASSERT_EQUAL(memcmp(out, "lo", 2), 0);
    CU_ASSERT_EQUAL(host_pwrite(file, "x", 1, 10000), 1);
    CU_ASSERT_EQUAL(host_pread(file, out, 4, 8000), 4); /* a hole reads as zero */
    CU_ASSERT_EQUAL(memcmp(out, "\0\0\0\0", 4), 0);
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_stat(file, &stat), 0);
    CU_ASSERT_EQUAL(stat.size, 10001);
    CU_ASSERT_EQUAL(stat.mode, S_IFREG | 0644);
    CU_ASSERT_EQUAL(stat.link_count, 1);
    CU_ASSERT_EQUAL(host_sync(file), 0);
    CU_ASSERT_EQUAL(host_pread(file, out, 1, INT64_MAX), -EINVAL);
    host_file_put(file);
}

static void names_that_are_not_one_component_are_refused(struct env *env)
{
    char longest[257];
    memset(longest, 'n', 256);
    longest[256] = '\0';
    struct host_stat stat;
    CU_ASSERT_EQUAL(open_and_put(env, "..", O_RDONLY), -EINVAL);
    CU_ASSERT_EQUAL(open_and_put(env, ".", O_RDONLY), -EINVAL);
    CU_ASSERT_EQUAL(open_and_put(env, "", O_RDONLY), -EINVAL);
    CU_ASSERT_EQUAL(open_and_put(env, "a/b", O_RDONLY | O_CREAT), -EINVAL);
    CU_ASSERT_EQUAL(open_and_put(env, longest, O_RDONLY | O_CREAT), -ENAMETOOLONG);
    CU_ASSERT_EQUAL(host_mkdir_at(env->dir, "..", 0700), -EINVAL);
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "../etc", &stat), -EINVAL);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "a", env->dir, "..", 0), -EINVAL);
    longest[255] = '\0';
    CU_ASSERT_EQUAL(open_and_put(env, longest, O_RDWR | O_CREAT), 0);
    CU_ASSERT_EQUAL(host_unlink_at(env->dir, longest, 0), 0);
}

static void a_symlink_is_never_followed(struct env *env)
{
    host_file_put(env_make_file(env, "target", "t"));
    CU_ASSERT_EQUAL(host_symlink_at(env->dir, "link", "target"), 0);
    CU_ASSERT_EQUAL(open_and_put(env, "link", O_RDONLY), -ELOOP);
    struct host_file *link = open_good(env, "link", O_PATH);
    char out[16];
    CU_ASSERT_EQUAL(host_readlink(link, out, sizeof out), 6);
    CU_ASSERT_EQUAL(memcmp(out, "target", 6), 0);
    CU_ASSERT_EQUAL(host_readlink(link, out, 3), 3);
    CU_ASSERT_EQUAL(host_readlink(env->dir, out, 3), -EINVAL);
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_stat(link, &stat), 0);
    CU_ASSERT_TRUE(S_ISLNK(stat.mode));
    CU_ASSERT_EQUAL(stat.size, 6);
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "link", &stat), 0);
    CU_ASSERT_TRUE(S_ISLNK(stat.mode));
    CU_ASSERT_EQUAL(host_symlink_at(env->dir, "empty", ""), -ENOENT);
    host_file_put(link);
}

static void opening_says_what_is_wrong(struct env *env)
{
    host_file_put(env_make_file(env, "f", "data"));
    CU_ASSERT_EQUAL(host_mkdir_at(env->dir, "d", 0755), 0);
    CU_ASSERT_EQUAL(open_and_put(env, "none", O_RDONLY), -ENOENT);
    CU_ASSERT_EQUAL(open_and_put(env, "f", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    CU_ASSERT_EQUAL(open_and_put(env, "f", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    CU_ASSERT_EQUAL(open_and_put(env, "d", O_RDWR), -EISDIR);
    CU_ASSERT_EQUAL(open_and_put(env, "d", O_RDONLY | O_CREAT), -EISDIR);
    struct host_file *file = open_good(env, "f", O_RDONLY);
    struct host_file *out;
    CU_ASSERT_EQUAL(host_open_at(file, "x", O_RDONLY, 0, &out), -ENOTDIR);
    CU_ASSERT_EQUAL(host_pwrite(file, "x", 1, 0), -EBADF);
    host_file_put(file);
    file = open_good(env, "f", O_PATH);
    char byte;
    CU_ASSERT_EQUAL(host_pread(file, &byte, 1, 0), -EBADF);
    host_file_put(file);
    file = open_good(env, "f", O_RDWR | O_TRUNC);
    CU_ASSERT_EQUAL(host_pread(file, &byte, 1, 0), 0);
    host_file_put(file);
}

static void directories_come_and_go(struct env *env)
{
    CU_ASSERT_EQUAL(host_mkdir_at(env->dir, "d", 0750), 0);
    CU_ASSERT_EQUAL(host_mkdir_at(env->dir, "d", 0750), -EEXIST);
    struct host_file *dir = open_good(env, "d", O_RDONLY | O_DIRECTORY);
    struct host_file *file = NULL;
    CU_ASSERT_EQUAL_FATAL(host_open_at(dir, "f", O_RDWR | O_CREAT, 0600, &file), 0);
    host_file_put(file);
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "d", &stat), 0);
    CU_ASSERT_EQUAL(stat.mode, S_IFDIR | 0750);
    CU_ASSERT_EQUAL(stat.link_count, 2);
    CU_ASSERT_EQUAL(host_unlink_at(env->dir, "d", 0), -EISDIR);
    CU_ASSERT_EQUAL(host_unlink_at(env->dir, "d", AT_REMOVEDIR), -ENOTEMPTY);
    CU_ASSERT_EQUAL(host_unlink_at(dir, "f", AT_REMOVEDIR), -ENOTDIR);
    CU_ASSERT_EQUAL(host_unlink_at(dir, "f", 0), 0);
    CU_ASSERT_EQUAL(host_unlink_at(dir, "f", 0), -ENOENT);
    CU_ASSERT_EQUAL(host_unlink_at(env->dir, "d", AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(host_open_at(dir, "f", O_RDWR | O_CREAT, 0600, &file),
                    -ENOENT); /* it is gone */
    CU_ASSERT_EQUAL(host_mkdir_at(dir, "x", 0700), -ENOENT);
    host_file_put(dir);
}

static void renaming_moves_replaces_and_exchanges(struct env *env)
{
    host_file_put(env_make_file(env, "a", "aa"));
    host_file_put(env_make_file(env, "b", "bbb"));
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "a", env->dir, "b", RENAME_NOREPLACE), -EEXIST);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "a", env->dir, "b", RENAME_EXCHANGE), 0);
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "a", &stat), 0);
    CU_ASSERT_EQUAL(stat.size, 3);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "a", env->dir, "b", 0), 0);
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "a", &stat), -ENOENT);
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "b", &stat), 0);
    CU_ASSERT_EQUAL(stat.size, 3);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "none", env->dir, "c", 0), -ENOENT);
    CU_ASSERT_EQUAL(host_mkdir_at(env->dir, "d", 0700), 0);
    struct host_file *dir = open_good(env, "d", O_RDONLY | O_DIRECTORY);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "d", dir, "inside", 0), -EINVAL);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "b", env->dir, "d", 0), -EISDIR);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "d", env->dir, "b", 0), -ENOTDIR);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "b", dir, "moved", 0), 0);
    CU_ASSERT_EQUAL(host_mkdir_at(env->dir, "e", 0700), 0);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "e", env->dir, "d", 0), -ENOTEMPTY);
    CU_ASSERT_EQUAL(host_unlink_at(dir, "moved", 0), 0);
    CU_ASSERT_EQUAL(host_rename_at(env->dir, "e", env->dir, "d", 0), 0);
    host_file_put(dir);
}

static void a_link_is_another_name_of_the_same_file(struct env *env)
{
    struct host_file *file = env_make_file(env, "a", "x");
    CU_ASSERT_EQUAL(host_link_at(file, env->dir, "b"), 0);
    CU_ASSERT_EQUAL(host_link_at(file, env->dir, "b"), -EEXIST);
    struct host_stat a, b;
    CU_ASSERT_EQUAL(host_stat(file, &a), 0);
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "b", &b), 0);
    CU_ASSERT_EQUAL(a.inode, b.inode);
    CU_ASSERT_EQUAL(b.link_count, 2);
    CU_ASSERT_EQUAL(host_unlink_at(env->dir, "a", 0), 0);
    CU_ASSERT_EQUAL(host_unlink_at(env->dir, "b", 0), 0);
    char byte;
    CU_ASSERT_EQUAL(host_pread(file, &byte, 1, 0), 1); /* open, so it lives */
    CU_ASSERT_EQUAL(host_stat(file, &a), 0);
    CU_ASSERT_EQUAL(a.link_count, 0);
    host_file_put(file);
}

static void attributes_are_set_and_seen(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "0123456789");
    struct host_stat stat;
    struct host_set_attr attr = {.mask = HOST_ATTR_MODE | HOST_ATTR_SIZE | HOST_ATTR_ATIME |
                                         HOST_ATTR_MTIME | HOST_ATTR_UID | HOST_ATTR_GID,
                                 .mode = 04711,
                                 .uid = 12,
                                 .gid = 34,
                                 .size = 4,
                                 .atime_ns = -1500000000,
                                 .mtime_ns = 1234567890123456789};
    CU_ASSERT_EQUAL(host_set_attr(file, &attr), 0);
    CU_ASSERT_EQUAL(host_stat(file, &stat), 0);
    CU_ASSERT_EQUAL(stat.mode, S_IFREG | 04711);
    CU_ASSERT_EQUAL(stat.size, 4);
    CU_ASSERT_EQUAL(stat.uid, 12);
    CU_ASSERT_EQUAL(stat.gid, 34);
    CU_ASSERT_EQUAL(stat.mtime_ns, 1234567890123456789);
    CU_ASSERT_EQUAL(stat.atime_ns, -1500000000);
    attr = (struct host_set_attr){.mask = HOST_ATTR_UID, .uid = 13};
    CU_ASSERT_EQUAL(host_set_attr(file, &attr), 0);
    CU_ASSERT_EQUAL(host_stat(file, &stat), 0);
    CU_ASSERT_EQUAL(stat.mode, S_IFREG | 0711); /* chown(2) takes set-id bits away */
    attr = (struct host_set_attr){.mask = HOST_ATTR_ATIME_NOW | HOST_ATTR_MTIME_NOW};
    CU_ASSERT_EQUAL(host_set_attr(file, &attr), 0);
    CU_ASSERT_EQUAL(host_stat(file, &stat), 0);
    i64 now = (i64)host_realtime_ns(env->host);
    CU_ASSERT_TRUE(stat.mtime_ns <= now && stat.mtime_ns > now - (i64)(10 * NS_PER_S));
    attr = (struct host_set_attr){.mask = 1u << 20};
    CU_ASSERT_EQUAL(host_set_attr(file, &attr), -EINVAL);
    attr = (struct host_set_attr){.mask = HOST_ATTR_ATIME | HOST_ATTR_ATIME_NOW};
    CU_ASSERT_EQUAL(host_set_attr(file, &attr), -EINVAL);
    host_file_put(file);
}

static void a_path_descriptor_can_do_what_needs_no_content(struct env *env)
{
    host_file_put(env_make_file(env, "f", "0123456789"));
    struct host_file *path = open_good(env, "f", O_PATH);
    struct host_set_attr attr = {.mask = HOST_ATTR_MODE | HOST_ATTR_SIZE | HOST_ATTR_MTIME,
                                 .mode = 0640,
                                 .size = 3,
                                 .mtime_ns = 5};
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_set_attr(path, &attr), 0);
    CU_ASSERT_EQUAL(host_stat(path, &stat), 0);
    CU_ASSERT_EQUAL(stat.mode, S_IFREG | 0640);
    CU_ASSERT_EQUAL(stat.size, 3);
    CU_ASSERT_EQUAL(stat.mtime_ns, 5);
    CU_ASSERT_EQUAL(host_set_xattr(path, "user.k", "v", 1, 0), 0);
    char value[4];
    CU_ASSERT_EQUAL(host_get_xattr(path, "user.k", value, sizeof value), 1);
    CU_ASSERT_EQUAL(host_link_at(path, env->dir, "other"), 0);
    struct host_file *reader = NULL;
    CU_ASSERT_EQUAL_FATAL(host_reopen(path, O_RDONLY, &reader), 0);
    char out[8];
    CU_ASSERT_EQUAL(host_pread(reader, out, sizeof out, 0), 3);
    CU_ASSERT_EQUAL(host_reopen(path, O_RDONLY | O_DIRECTORY, &reader), -ENOTDIR);
    host_file_put(reader);
    host_file_put(path);
}

static void special_files_are_made(struct env *env)
{
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_mknod_at(env->dir, "pipe", S_IFIFO | 0600, 0, 0), 0);
    CU_ASSERT_EQUAL(host_stat_at(env->dir, "pipe", &stat), 0);
    CU_ASSERT_EQUAL(stat.mode, S_IFIFO | 0600);
    CU_ASSERT_EQUAL(host_mknod_at(env->dir, "pipe", S_IFIFO | 0600, 0, 0), -EEXIST);
    CU_ASSERT_EQUAL(host_mknod_at(env->dir, "plain", S_IFREG | 0600, 0, 0), 0);
    CU_ASSERT_EQUAL(host_mknod_at(env->dir, "dir", S_IFDIR | 0600, 0, 0), -EPERM);
    CU_ASSERT_EQUAL(host_unlink_at(env->dir, "pipe", 0), 0);
}

/* Reads DIR in buffers of SIZE and marks the names it sees, each a single digit. */
static u32 list_digits(struct host_file *dir, size_t size, u32 *others)
{
    u8 bytes[1024];
    u32 seen = 0;
    *others = 0;
    for (;;) {
        i64 got = host_read_dir(dir, bytes, size);
        CU_ASSERT_TRUE_FATAL(got >= 0);
        if (got == 0)
            return seen;
        for (i64 at = 0; at < got;) {
            u16 length;
            memcpy(&length, bytes + at + 16, sizeof length);
            const char *name = (const char *)bytes + at + 19;
            if (name[0] >= '0' && name[0] <= '9')
                seen |= 1u << (name[0] - '0');
            else
                ++*others;
            at += length;
        }
    }
}

static void a_directory_lists_each_entry_once(struct env *env)
{
    for (char name[2] = "0"; name[0] <= '9'; name[0]++)
        host_file_put(env_make_file(env, name, ""));
    struct host_file *dir = open_good(env, "0", O_PATH);
    host_file_put(dir);
    u32 others;
    CU_ASSERT_EQUAL(list_digits(env->dir, 1024, &others), 0x3ff);
    CU_ASSERT_EQUAL(others, 2); /* . and .. */
    u8 small[8];
    CU_ASSERT_EQUAL(host_seek_dir(env->dir, 0), 0);
    CU_ASSERT_EQUAL(host_read_dir(env->dir, small, sizeof small), -EINVAL);
    CU_ASSERT_EQUAL(list_digits(env->dir, 64, &others), 0x3ff);
    CU_ASSERT_EQUAL(others, 2);
    /* From an entry's cookie on: the rest. */
    u8 bytes[1024];
    CU_ASSERT_EQUAL(host_seek_dir(env->dir, 0), 0);
    i64 got = host_read_dir(env->dir, bytes, 64);
    CU_ASSERT_TRUE_FATAL(got > 0);
    u64 cookie;
    memcpy(&cookie, bytes + 8, sizeof cookie);
    CU_ASSERT_EQUAL(host_seek_dir(env->dir, cookie), 0);
    i64 rest = 0;
    u32 records = 0;
    while ((rest = host_read_dir(env->dir, bytes, sizeof bytes)) > 0)
        for (i64 at = 0; at < rest; at += bytes[at + 16] | bytes[at + 17] << 8)
            records++;
    CU_ASSERT_EQUAL(records, 11);
}

static void extended_attributes_are_kept(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "");
    char value[16];
    CU_ASSERT_EQUAL(host_get_xattr(file, "user.a", value, sizeof value), -ENODATA);
    CU_ASSERT_EQUAL(host_set_xattr(file, "user.a", "one", 3, 0), 0);
    CU_ASSERT_EQUAL(host_set_xattr(file, "user.a", "x", 1, 1 /* XATTR_CREATE */), -EEXIST);
    CU_ASSERT_EQUAL(host_set_xattr(file, "user.b", "x", 1, 2 /* XATTR_REPLACE */), -ENODATA);
    CU_ASSERT_EQUAL(host_get_xattr(file, "user.a", value, 0), 3);
    CU_ASSERT_EQUAL(host_get_xattr(file, "user.a", value, 2), -ERANGE);
    CU_ASSERT_EQUAL(host_get_xattr(file, "user.a", value, sizeof value), 3);
    CU_ASSERT_EQUAL(memcmp(value, "one", 3), 0);
    CU_ASSERT_EQUAL(host_list_xattr(file, value, 0), 7);
    CU_ASSERT_EQUAL(host_list_xattr(file, value, 3), -ERANGE);
    CU_ASSERT_EQUAL(host_list_xattr(file, value, sizeof value), 7);
    CU_ASSERT_EQUAL(memcmp(value, "user.a", 7), 0);
    CU_ASSERT_EQUAL(host_remove_xattr(file, "user.a"), 0);
    CU_ASSERT_EQUAL(host_remove_xattr(file, "user.a"), -ENODATA);
    CU_ASSERT_EQUAL(host_get_xattr(file, "nonsense", value, sizeof value), -EOPNOTSUPP);
    CU_ASSERT_EQUAL(host_get_xattr(file, "", value, sizeof value), -ERANGE);
    host_file_put(file);
}

static void a_file_system_has_figures(struct env *env)
{
    struct host_statfs figures;
    CU_ASSERT_EQUAL(host_statfs(env->dir, &figures), 0);
    CU_ASSERT_TRUE(figures.block_size > 0 && figures.blocks > 0);
    CU_ASSERT_TRUE(figures.blocks_free <= figures.blocks);
    CU_ASSERT_EQUAL(figures.name_max, 255);
}

static void a_released_descriptor_is_still_open(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "abc");
    int fd = host_file_release(file);
    file = host_file_from_fd(env->host, fd);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(host_file_fd(file), fd);
    host_file_get(file);
    host_file_put(file);
    char out[4];
    CU_ASSERT_EQUAL(host_pread(file, out, sizeof out, 0), 3);
    host_file_put(file);
}

/* ---- submitted operations ---- */

static void op_done(struct host_op *op)
{
    *(bool *)op->owner = true;
}

/* Submit OP and wait for its end. */
static i64 run_op(struct env *env, struct host_op *op)
{
    bool is_done = false;
    op->done = op_done;
    op->owner = &is_done;
    if (host_submit(env->host, op)) {
        CU_ASSERT_FALSE(is_done);
        return op->result;
    }
    for (int turns = 0; turns < 10000 && !is_done; turns++) {
        host_wait(env->host, host_monotonic_ns(env->host) + NS_PER_MS);
        host_reap(env->host);
    }
    CU_ASSERT_TRUE_FATAL(is_done);
    return op->result;
}

static void submitted_operations_do_what_they_say(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "0123456789");
    char a[4] = "", b[4] = "";
    struct host_op op = {
        .type = HOST_OP_PREAD, .file = file, .offset = 2, .iov_count = 2, .iov = {{a, 3}, {b, 4}}};
    CU_ASSERT_EQUAL(run_op(env, &op), 7);
    CU_ASSERT_EQUAL(memcmp(a, "234", 3), 0);
    CU_ASSERT_EQUAL(memcmp(b, "5678", 4), 0);
    op = (struct host_op){.type = HOST_OP_PWRITE,
                          .file = file,
                          .offset = 10,
                          .iov_count = 2,
                          .iov = {{a, 3}, {b, 2}}};
    CU_ASSERT_EQUAL(run_op(env, &op), 5);
    op = (struct host_op){.type = HOST_OP_STAT, .file = file};
    CU_ASSERT_EQUAL(run_op(env, &op), 0);
    CU_ASSERT_EQUAL(op.stat.size, 15);
    op = (struct host_op){.type = HOST_OP_SEEK, .file = file, .offset = 12, .flags = SEEK_SET};
    CU_ASSERT_EQUAL(run_op(env, &op), 12);
    op = (struct host_op){.type = HOST_OP_READ, .file = file, .iov_count = 1, .iov = {{a, 4}}};
    CU_ASSERT_EQUAL(run_op(env, &op), 3);
    CU_ASSERT_EQUAL(memcmp(a, "456", 3), 0);
    op = (struct host_op){.type = HOST_OP_WRITE, .file = file, .iov_count = 1, .iov = {{a, 4}}};
    CU_ASSERT_EQUAL(run_op(env, &op), 4);
    op = (struct host_op){.type = HOST_OP_SEEK, .file = file, .offset = 0, .flags = SEEK_CUR};
    CU_ASSERT_EQUAL(run_op(env, &op), 19);
    op = (struct host_op){
        .type = HOST_OP_SET_ATTR, .file = file, .attr = {.mask = HOST_ATTR_SIZE, .size = 1}};
    CU_ASSERT_EQUAL(run_op(env, &op), 0);
    op = (struct host_op){.type = HOST_OP_ALLOCATE, .file = file, .offset = 0, .length = 8192};
    CU_ASSERT_EQUAL(run_op(env, &op), 0);
    op = (struct host_op){.type = HOST_OP_SYNC, .file = file};
    CU_ASSERT_EQUAL(run_op(env, &op), 0);
    op = (struct host_op){.type = HOST_OP_STAT, .file = file};
    CU_ASSERT_EQUAL(run_op(env, &op), 0);
    CU_ASSERT_EQUAL(op.stat.size, 8192);
    u8 entries[256];
    op = (struct host_op){.type = HOST_OP_READ_DIR,
                          .file = env->dir,
                          .iov_count = 1,
                          .iov = {{entries, sizeof entries}}};
    CU_ASSERT_TRUE(run_op(env, &op) > 0);
    CU_ASSERT_EQUAL(host_pending_count(env->host), 0);
    host_file_put(file);
}

static void operations_that_make_no_sense_are_refused_at_once(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "x");
    struct host_op op = {
        .type = HOST_OP_PREAD, .file = file, .iov_count = HOST_IOV_MAX + 1, .done = op_done};
    CU_ASSERT_TRUE(host_submit(env->host, &op));
    CU_ASSERT_EQUAL(op.result, -EINVAL);
    op = (struct host_op){.type = HOST_OP_ALLOCATE, .file = file, .done = op_done};
    CU_ASSERT_TRUE(host_submit(env->host, &op));
    CU_ASSERT_EQUAL(op.result, -EINVAL);
    op = (struct host_op){
        .type = HOST_OP_PREAD, .file = file, .offset = UINT64_MAX, .done = op_done};
    CU_ASSERT_TRUE(host_submit(env->host, &op));
    CU_ASSERT_EQUAL(op.result, -EINVAL);
    op = (struct host_op){.type = HOST_OP_CONNECT, .file = file, .done = op_done};
    CU_ASSERT_TRUE(host_submit(env->host, &op));
    CU_ASSERT_EQUAL(op.result, -EOPNOTSUPP);
    op = (struct host_op){.type = HOST_OP_SEEK, .file = file, .flags = 77};
    CU_ASSERT_EQUAL(run_op(env, &op), -EINVAL);
    op = (struct host_op){.type = HOST_OP_ALLOCATE, .file = file, .flags = 0x80, .length = 1};
    CU_ASSERT_EQUAL(run_op(env, &op), -EOPNOTSUPP);
    host_file_put(file);
}

static void an_append_only_opening_appends(struct env *env)
{
    host_file_put(env_make_file(env, "f", "abc"));
    struct host_file *file = open_good(env, "f", O_RDWR | O_APPEND);
    CU_ASSERT_EQUAL(host_pwrite(file, "d", 1, 0), 1);
    struct host_op op = {
        .type = HOST_OP_WRITE, .file = file, .iov_count = 2, .iov = {{"e", 1}, {"f", 1}}};
    CU_ASSERT_EQUAL(run_op(env, &op), 2);
    char out[8] = "";
    CU_ASSERT_EQUAL(host_pread(file, out, sizeof out, 0), 6);
    CU_ASSERT_STRING_EQUAL(out, "abcdef");
    host_file_put(file);
}

static void holes_are_found(struct env *env)
{
    struct host_file *file = env_make_file(env, "f", "");
    char block[4096];
    memset(block, 'x', sizeof block);
    CU_ASSERT_EQUAL(host_pwrite(file, block, sizeof block, 65536), 4096);
    struct host_op op = {
        .type = HOST_OP_SEEK, .file = file, .offset = 0, .flags = 3 /* SEEK_DATA */};
    CU_ASSERT_EQUAL(run_op(env, &op), 65536);
    op = (struct host_op){
        .type = HOST_OP_SEEK, .file = file, .offset = 65536, .flags = 4 /* SEEK_HOLE */};
    CU_ASSERT_EQUAL(run_op(env, &op), 65536 + 4096);
    op = (struct host_op){.type = HOST_OP_SEEK, .file = file, .offset = 0, .flags = 4};
    CU_ASSERT_EQUAL(run_op(env, &op), 0);
    op = (struct host_op){.type = HOST_OP_SEEK, .file = file, .offset = 1 << 20, .flags = 3};
    CU_ASSERT_EQUAL(run_op(env, &op), -ENXIO);
    op = (struct host_op){
        .type = HOST_OP_ALLOCATE, .file = file, .offset = 65536, .length = 4096, .flags = 3};
    CU_ASSERT_EQUAL(run_op(env, &op), 0); /* punch */
    CU_ASSERT_EQUAL(host_pread(file, block, 1, 65536), 1);
    CU_ASSERT_EQUAL(block[0], 0);
    host_file_put(file);
}

#define TESTS(T)                                         \
    T(what_was_written_is_read_back)                     \
    T(names_that_are_not_one_component_are_refused)      \
    T(a_symlink_is_never_followed)                       \
    T(opening_says_what_is_wrong)                        \
    T(directories_come_and_go)                           \
    T(renaming_moves_replaces_and_exchanges)             \
    T(a_link_is_another_name_of_the_same_file)           \
    T(attributes_are_set_and_seen)                       \
    T(a_path_descriptor_can_do_what_needs_no_content)    \
    T(special_files_are_made)                            \
    T(a_directory_lists_each_entry_once)                 \
    T(extended_attributes_are_kept)                      \
    T(a_file_system_has_figures)                         \
    T(a_released_descriptor_is_still_open)               \
    T(submitted_operations_do_what_they_say)             \
    T(operations_that_make_no_sense_are_refused_at_once) \
    T(an_append_only_opening_appends)                    \
    T(holes_are_found)
ENV_TESTS(TESTS)

void contract_file_suite(void)
{
    ENV_ADD(TESTS, "files");
}
