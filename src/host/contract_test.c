/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both hosts promise. Each test is written once against `struct env` and runs on the real
 * host, in a fresh directory under /tmp, and on the simulated one. A test leaves nothing open: the
 * ends of the two environments look.
 */
#include "host/contract_env.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <sys/ioctl.h>

/* ---- helpers ---- */

static struct host_file *make_file(struct env *env, const char *name, const char *text)
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
    struct host_file *file = make_file(env, "f", "hello");
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
    host_file_put(make_file(env, "target", "t"));
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
    host_file_put(make_file(env, "f", "data"));
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
    host_file_put(make_file(env, "a", "aa"));
    host_file_put(make_file(env, "b", "bbb"));
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
    struct host_file *file = make_file(env, "a", "x");
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
    struct host_file *file = make_file(env, "f", "0123456789");
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
    host_file_put(make_file(env, "f", "0123456789"));
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
        host_file_put(make_file(env, name, ""));
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
    struct host_file *file = make_file(env, "f", "");
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
    struct host_file *file = make_file(env, "f", "abc");
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
    struct host_file *file = make_file(env, "f", "0123456789");
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
    struct host_file *file = make_file(env, "f", "x");
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
    host_file_put(make_file(env, "f", "abc"));
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
    struct host_file *file = make_file(env, "f", "");
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

/* ---- streams ---- */

struct ends {
    struct host_stream *a, *b;
};

static struct ends make_pair(struct env *env, int type)
{
    struct ends ends = {NULL, NULL};
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(env->host, type, &ends.a, &ends.b), 0);
    return ends;
}

static i64 read_text(struct host_stream *stream, char *out, size_t size)
{
    memset(out, 0, size);
    return host_stream_read(stream, out, size - 1, NULL, NULL);
}

static i64 write_text(struct host_stream *stream, const char *text)
{
    return host_stream_write(stream, text, strlen(text), NULL, 0);
}

static void a_pair_carries_bytes_both_ways(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(write_text(ends.a, "one"), 3);
    CU_ASSERT_EQUAL(write_text(ends.a, "two"), 3);
    CU_ASSERT_EQUAL(write_text(ends.b, "back"), 4);
    CU_ASSERT_EQUAL(read_text(ends.b, out, 5), 4);
    CU_ASSERT_STRING_EQUAL(out, "onet");
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 2);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 4);
    CU_ASSERT_STRING_EQUAL(out, "back");
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void what_was_sent_before_the_end_is_read_first(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "last"), 4);
    host_stream_put(ends.a);
    CU_ASSERT_EQUAL(host_stream_poll(ends.b), HOST_READABLE | HOST_WRITABLE | HOST_HANGUP);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 4);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 0);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 0);
    CU_ASSERT_EQUAL(write_text(ends.b, "x"), -EPIPE);
    host_stream_put(ends.b);
}

static void a_peer_that_went_without_reading_is_a_reset(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "unread"), 6);
    CU_ASSERT_EQUAL(write_text(ends.b, "still"), 5);
    host_stream_put(ends.b);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 5);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), -ECONNRESET);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 0);
    host_stream_put(ends.a);
}

static void packets_keep_their_bounds(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_SEQPACKET);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "first"), 5);
    CU_ASSERT_EQUAL(write_text(ends.a, "second"), 6);
    CU_ASSERT_EQUAL(read_text(ends.b, out, 4), 3); /* the rest of a packet is lost */
    CU_ASSERT_STRING_EQUAL(out, "fir");
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 6);
    CU_ASSERT_STRING_EQUAL(out, "second");
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), -EAGAIN);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void a_full_stream_refuses_until_it_is_read(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    static char block[65536];
    i64 count;
    u64 sent = 0;
    while ((count = host_stream_write(ends.a, block, sizeof block, NULL, 0)) > 0)
        sent += (u64)count;
    CU_ASSERT_EQUAL(count, -EAGAIN);
    CU_ASSERT_TRUE(sent > 100000 && sent < 10000000);
    CU_ASSERT_EQUAL(host_stream_poll(ends.a), 0);
    u64 got = 0;
    while ((count = host_stream_read(ends.b, block, sizeof block, NULL, NULL)) > 0)
        got += (u64)count;
    CU_ASSERT_EQUAL(got, sent);
    CU_ASSERT_EQUAL(host_stream_poll(ends.a), HOST_WRITABLE);
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    CU_ASSERT_EQUAL(read_text(ends.b, block, 8), 1);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void each_direction_is_shut_by_itself(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    host_stream_shutdown(ends.a, SHUT_WR);
    CU_ASSERT_EQUAL(write_text(ends.a, "y"), -EPIPE);
    CU_ASSERT_EQUAL(host_stream_poll(ends.b), HOST_READABLE | HOST_WRITABLE);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 1);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 0);
    CU_ASSERT_EQUAL(write_text(ends.b, "z"), 1);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 1);
    host_stream_shutdown(ends.a, SHUT_RD);
    CU_ASSERT_EQUAL(write_text(ends.b, "z"), -EPIPE);
    CU_ASSERT_EQUAL(read_text(ends.a, out, sizeof out), 0);
    CU_ASSERT_TRUE(host_stream_poll(ends.b) & HOST_HANGUP);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void descriptors_travel_with_the_first_byte(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct host_file *file = make_file(env, "f", "via");
    int sent[2] = {host_file_fd(file), host_file_fd(file)};
    CU_ASSERT_EQUAL(write_text(ends.a, "before"), 6);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "with", 4, sent, 2), 4);
    CU_ASSERT_EQUAL(write_text(ends.a, "after"), 5);
    host_file_put(file); /* what is under way lives on */

    char out[32];
    int fds[HOST_FDS_MAX];
    u32 count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, 4, fds, &count), 4);
    CU_ASSERT_EQUAL(count, 0);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, 4, fds, &count), 4); /* "re" and "wi" */
    CU_ASSERT_EQUAL_FATAL(count, 2);
    file = host_file_from_fd(env->host, fds[0]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(host_pread(file, out, sizeof out, 0), 3);
    host_file_put(file);
    host_close_fds(env->host, fds + 1, 1);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count), 7);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(write_text(ends.a, "before"), 6);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "with", 4, sent + 1, 0), 4);
    int own = host_stream_fd(ends.a);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "more", 4, &own, 1), 4);
    CU_ASSERT_EQUAL(write_text(ends.a, "after"), 5);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count),
                    14); /* ends behind "more" */
    CU_ASSERT_EQUAL(count, 1);
    host_close_fds(env->host, fds, count);
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, NULL, NULL), 5);
    count = HOST_FDS_MAX;
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count), -EAGAIN);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "", 0, sent, 1), -EINVAL);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "x", 1, (int[]){9999}, 1), -EBADF);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void descriptors_that_nobody_wants_are_closed(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct host_file *file = make_file(env, "f", "x");
    int sent[3] = {host_file_fd(file), host_file_fd(file), host_file_fd(file)};
    u32 before = env->count_fds(env);
    char out[8];
    int fds[2];
    u32 count = 2;
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "x", 1, sent, 3), 1);
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, fds, &count), -EMFILE);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(env->count_fds(env), before);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "y", 1, sent, 3), 1);
    CU_ASSERT_EQUAL(host_stream_read(ends.b, out, sizeof out, NULL, NULL), 1);
    CU_ASSERT_EQUAL(env->count_fds(env), before);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "z", 1, sent, 3), 1); /* and never read */
    /* A stream in its own message, too. */
    int own = host_stream_fd(ends.b);
    CU_ASSERT_EQUAL(host_stream_write(ends.a, "w", 1, &own, 1), 1);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
    CU_ASSERT_EQUAL(env->count_fds(env), before - 2);
    host_file_put(file);
}

static void a_pipe_has_one_direction(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_pipe(env, fds), 0);
    struct host_stream *reader = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *writer = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(reader && writer);
    char out[8];
    CU_ASSERT_EQUAL(read_text(reader, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(host_stream_poll(reader), 0);
    CU_ASSERT_EQUAL(host_stream_poll(writer), HOST_WRITABLE);
    CU_ASSERT_EQUAL(read_text(writer, out, sizeof out), -EBADF);
    CU_ASSERT_EQUAL(write_text(reader, "x"), -EBADF);
    CU_ASSERT_EQUAL(host_stream_write(writer, "x", 1, fds, 1), -ENOTSOCK);
    CU_ASSERT_EQUAL(write_text(writer, "abc"), 3);
    CU_ASSERT_EQUAL(host_stream_poll(reader), HOST_READABLE);
    host_stream_put(writer);
    CU_ASSERT_EQUAL(host_stream_poll(reader), HOST_READABLE | HOST_HANGUP);
    CU_ASSERT_EQUAL(read_text(reader, out, sizeof out), 3);
    CU_ASSERT_EQUAL(read_text(reader, out, sizeof out), 0);
    host_stream_put(reader);
}

static void a_pipe_without_reader_is_an_error_and_no_signal(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_pipe(env, fds), 0);
    struct host_stream *reader = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *writer = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(reader && writer);
    host_stream_put(reader);
    CU_ASSERT_EQUAL(host_stream_poll(writer), HOST_WRITABLE | HOST_HANGUP);
    CU_ASSERT_EQUAL(write_text(writer, "x"), -EPIPE);
    host_stream_put(writer);
}

static void a_pipe_fills_up(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_pipe(env, fds), 0);
    struct host_stream *reader = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *writer = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(reader && writer);
    static char block[100000];
    i64 count;
    u64 sent = 0;
    while ((count = host_stream_write(writer, block, sizeof block, NULL, 0)) > 0)
        sent += (u64)count;
    CU_ASSERT_EQUAL(count, -EAGAIN);
    CU_ASSERT_EQUAL(sent, 65536);
    CU_ASSERT_EQUAL(host_stream_poll(writer), 0);
    CU_ASSERT_EQUAL(host_stream_read(reader, block, sizeof block, NULL, NULL), 65536);
    CU_ASSERT_EQUAL(host_stream_poll(writer), HOST_WRITABLE);
    host_stream_put(reader);
    host_stream_put(writer);
}

static void only_a_terminal_answers_terminal_calls(struct env *env)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(env->make_terminal(env, fds), 0);
    struct host_stream *terminal = host_stream_from_fd(env->host, fds[0]);
    struct host_stream *other = host_stream_from_fd(env->host, fds[1]);
    CU_ASSERT_TRUE_FATAL(terminal && other);
    u8 termios[64] = {0};
    u16 window[4] = {30, 100, 0, 0};
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TIOCSWINSZ, window), 0);
    memset(window, 0, sizeof window);
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TIOCGWINSZ, window), 0);
    CU_ASSERT_EQUAL(window[0], 30);
    CU_ASSERT_EQUAL(window[1], 100);
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TCGETS, termios), 0);
    CU_ASSERT_EQUAL(termios[0], 0x00); /* ICRNL and IXON: 0x500 */
    CU_ASSERT_EQUAL(termios[1], 0x05);
    termios[12] &= (u8)~0x0a; /* no ICANON, no ECHO */
    termios[4] = termios[5] = 0;
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TCSETS, termios), 0);
    u8 again[64] = {0};
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, TCGETS, again), 0);
    CU_ASSERT_EQUAL(memcmp(again, termios, 36), 0);
    CU_ASSERT_EQUAL(host_stream_ioctl(terminal, 0x5412 /* TIOCSTI */, termios), -ENOTTY);
    char out[16];
    CU_ASSERT_EQUAL(read_text(terminal, out, sizeof out), -EAGAIN);
    CU_ASSERT_EQUAL(write_text(other, "typed"), 5);
    CU_ASSERT_EQUAL(read_text(terminal, out, sizeof out), 5);
    CU_ASSERT_EQUAL(write_text(terminal, "shown"), 5);
    CU_ASSERT_EQUAL(read_text(other, out, sizeof out), 5);
    CU_ASSERT_STRING_EQUAL(out, "shown");
    host_stream_put(terminal);
    host_stream_put(other);
    struct ends ends = make_pair(env, SOCK_STREAM);
    CU_ASSERT_EQUAL(host_stream_ioctl(ends.a, TCGETS, termios), -ENOTTY);
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_stream_stat(ends.a, &stat), 0);
    CU_ASSERT_TRUE(S_ISSOCK(stat.mode));
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

/* ---- watching ---- */

struct seen {
    struct host_watch watch;
    u32 ready;
    u32 count;
};

static void seen_notify(struct host_watch *watch, u32 ready)
{
    struct seen *seen = watch->owner;
    seen->ready |= ready;
    seen->count++;
}

static void seen_init(struct seen *seen)
{
    *seen = (struct seen){.watch = {.notify = seen_notify, .owner = seen}};
}

/* Reap for a little while; what was told since the last call. */
static u32 seen_take(struct env *env, struct seen *seen)
{
    for (int turns = 0; turns < 4; turns++) {
        host_wait(env->host, host_monotonic_ns(env->host) + NS_PER_MS);
        host_reap(env->host);
    }
    u32 ready = seen->ready;
    seen->ready = 0;
    return ready;
}

static void a_watch_is_told_of_now_and_of_each_change(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct seen seen;
    seen_init(&seen);
    char out[16];
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    host_stream_watch(ends.b, &seen.watch);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_READABLE | HOST_WRITABLE);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0); /* an edge is told once */
    CU_ASSERT_EQUAL(write_text(ends.a, "y"), 1);
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_READABLE);
    CU_ASSERT_EQUAL(read_text(ends.b, out, sizeof out), 2);
    host_stream_watch(ends.b, NULL);
    CU_ASSERT_EQUAL(write_text(ends.a, "z"), 1);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0);
    host_stream_watch(ends.b, &seen.watch); /* and tells of now again */
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_READABLE);
    host_stream_put(ends.a);
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_HANGUP);
    host_stream_put(ends.b);
}

static void a_watch_ends_with_its_stream(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct seen seen;
    seen_init(&seen);
    CU_ASSERT_EQUAL(write_text(ends.a, "x"), 1);
    host_stream_watch(ends.b, &seen.watch);
    host_stream_put(ends.b);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0);
    host_stream_put(ends.a);
}

static void a_writer_is_told_of_room(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct seen seen;
    seen_init(&seen);
    host_stream_watch(ends.a, &seen.watch);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_WRITABLE);
    static char block[65536];
    while (host_stream_write(ends.a, block, sizeof block, NULL, 0) > 0)
        continue;
    (void)seen_take(env, &seen);
    while (host_stream_read(ends.b, block, sizeof block, NULL, NULL) > 0)
        continue;
    CU_ASSERT_TRUE(seen_take(env, &seen) & HOST_WRITABLE);
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

/* A watch that, when told, ends another's. */
struct ender {
    struct host_watch watch;
    struct host_stream *other;
    struct host_stream *told;
};

static void ender_notify(struct host_watch *watch, u32 ready)
{
    struct ender *ender = watch->owner;
    CU_ASSERT_PTR_NOT_NULL(ender->other);
    host_stream_watch(ender->other, NULL);
}

static void a_watch_may_be_ended_while_others_are_told(struct env *env)
{
    struct ends ends = make_pair(env, SOCK_STREAM);
    struct ender a = {.watch = {.notify = ender_notify, .owner = &a}, .other = ends.b};
    struct ender b = {.watch = {.notify = ender_notify, .owner = &b}, .other = ends.a};
    host_stream_watch(ends.a, &a.watch);
    host_stream_watch(ends.b, &b.watch);
    u32 told = 0;
    for (int turns = 0; turns < 4; turns++) {
        host_wait(env->host, host_monotonic_ns(env->host) + NS_PER_MS);
        told += host_reap(env->host);
    }
    CU_ASSERT_EQUAL(told, 1); /* whoever came first ended the other */
    host_stream_put(ends.a);
    host_stream_put(ends.b);
}

static void a_listener_gives_connections(struct env *env)
{
    int fd = env->make_listener(env, "sock");
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    struct host_listener *listener = host_listener_from_fd(env->host, fd);
    CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
    struct seen seen;
    seen_init(&seen);
    host_listener_watch(listener, &seen.watch);
    struct host_stream *server = NULL;
    struct host_stream *client = NULL;
    CU_ASSERT_EQUAL(host_listener_accept(listener, &server), -EAGAIN);
    CU_ASSERT_EQUAL(seen_take(env, &seen), 0);
    CU_ASSERT_EQUAL_FATAL(host_connect_at(env->dir, "sock", SOCK_STREAM, &client), 0);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_READABLE);
    CU_ASSERT_EQUAL(write_text(client, "early"), 5);
    CU_ASSERT_EQUAL_FATAL(host_listener_accept(listener, &server), 0);
    char out[8];
    CU_ASSERT_EQUAL(read_text(server, out, sizeof out), 5);
    host_stream_put(client);
    host_stream_put(server);
    CU_ASSERT_EQUAL_FATAL(host_connect_at(env->dir, "sock", SOCK_STREAM, &client), 0);
    host_listener_put(listener); /* with one waiting: the client sees the end */
    i64 got = read_text(client, out, sizeof out);
    CU_ASSERT_TRUE(got == 0 || got == -ECONNRESET);
    host_stream_put(client);
    CU_ASSERT_EQUAL(host_connect_at(env->dir, "sock", SOCK_STREAM, &client), -ECONNREFUSED);
    CU_ASSERT_EQUAL(host_connect_at(env->dir, "none", SOCK_STREAM, &client), -ENOENT);
    host_file_put(make_file(env, "plain", ""));
    CU_ASSERT_EQUAL(host_connect_at(env->dir, "plain", SOCK_STREAM, &client), -ECONNREFUSED);
}

static void a_file_may_be_a_stream_that_is_always_ready(struct env *env)
{
    struct host_file *file = make_file(env, "f", "abc");
    struct host_stream *stream = host_stream_from_fd(env->host, host_file_release(file));
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    struct seen seen;
    seen_init(&seen);
    host_stream_watch(stream, &seen.watch);
    CU_ASSERT_EQUAL(seen_take(env, &seen), HOST_READABLE | HOST_WRITABLE);
    char out[8];
    CU_ASSERT_EQUAL(read_text(stream, out, 3), 2);
    CU_ASSERT_EQUAL(write_text(stream, "X"), 1);
    CU_ASSERT_EQUAL(read_text(stream, out, sizeof out), 0);
    host_stream_put(stream);
}

/* ---- clock, entropy, arenas ---- */

static void time_goes_forward(struct env *env)
{
    u64 before = host_monotonic_ns(env->host);
    u64 real = host_realtime_ns(env->host);
    host_clock_advance(env->host, before + 5);
    CU_ASSERT_TRUE(host_monotonic_ns(env->host) >= before);
    CU_ASSERT_TRUE(host_realtime_ns(env->host) >= real);
    CU_ASSERT_EQUAL(host_next_completion_ns(env->host), NO_DEADLINE);
}

static void entropy_fills_what_it_is_given(struct env *env)
{
    u8 a[64] = {0}, b[64] = {0};
    CU_ASSERT_EQUAL(host_entropy(env->host, a, sizeof a), 0);
    CU_ASSERT_EQUAL(host_entropy(env->host, b, sizeof b), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    CU_ASSERT_EQUAL(host_choose(env->host, "test", 1), 0);
    CU_ASSERT_TRUE(host_choose(env->host, "test", 3) < 3);
}

static void an_arena_has_a_limit(struct env *env)
{
    struct arena *arena = host_arena_create(env->host, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
    u8 *a = arena_alloc(arena, 600);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_EQUAL(a[599], 0);
    CU_ASSERT_PTR_NULL(arena_alloc(arena, 401));
    void *b = arena_alloc(arena, 400);
    CU_ASSERT_PTR_NOT_NULL(b);
    CU_ASSERT_EQUAL(arena->bytes_live, 1000);
    arena_free(arena, a, 600);
    arena_free(arena, b, 400);
    CU_ASSERT_EQUAL(arena->allocations, 3);
    CU_ASSERT_PTR_NULL(arena_alloc(arena, SIZE_MAX));
    host_arena_destroy(env->host, arena);
}

/* ---- both ---- */

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
    T(holes_are_found)                                   \
    T(a_pair_carries_bytes_both_ways)                    \
    T(what_was_sent_before_the_end_is_read_first)        \
    T(a_peer_that_went_without_reading_is_a_reset)       \
    T(packets_keep_their_bounds)                         \
    T(a_full_stream_refuses_until_it_is_read)            \
    T(each_direction_is_shut_by_itself)                  \
    T(descriptors_travel_with_the_first_byte)            \
    T(descriptors_that_nobody_wants_are_closed)          \
    T(a_pipe_has_one_direction)                          \
    T(a_pipe_without_reader_is_an_error_and_no_signal)   \
    T(a_pipe_fills_up)                                   \
    T(only_a_terminal_answers_terminal_calls)            \
    T(a_watch_is_told_of_now_and_of_each_change)         \
    T(a_watch_ends_with_its_stream)                      \
    T(a_writer_is_told_of_room)                          \
    T(a_watch_may_be_ended_while_others_are_told)        \
    T(a_listener_gives_connections)                      \
    T(a_file_may_be_a_stream_that_is_always_ready)       \
    T(time_goes_forward)                                 \
    T(entropy_fills_what_it_is_given)                    \
    T(an_arena_has_a_limit)

#define RUN_ON_BOTH(test)             \
    static void test##_on_linux(void) \
    {                                 \
        struct env env;               \
        env_linux_init(&env);         \
        test(&env);                   \
        env.fini(&env);               \
    }                                 \
    static void test##_on_sim(void)   \
    {                                 \
        struct env env;               \
        env_sim_init(&env);           \
        test(&env);                   \
        env.fini(&env);               \
    }
TESTS(RUN_ON_BOTH)

void contract_suite(void)
{
    CU_pSuite linux_suite = CU_add_suite("host contract on linux", NULL, NULL);
    CU_pSuite sim_suite = CU_add_suite("host contract on sim", NULL, NULL);
#define ADD(test)                                     \
    CU_add_test(linux_suite, #test, test##_on_linux); \
    CU_add_test(sim_suite, #test, test##_on_sim);
    TESTS(ADD)
#undef ADD
}
