/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's side of the gofer connection, with a hostile gofer: the input is a row of answers,
 * each behind two bytes of length; sizes, types and tags are made right, so that bodies are
 * reached. A mount made of it is walked, listed, read and changed; nothing is left of it.
 */
#include "fuzz/world.h"

#include <fcntl.h>
#include <errno.h>
#include <sys/socket.h>

#include "abi/fcntl.h"
#include "sentry/fs/file.h"
#include "sentry/fs/mount.h"
#include "wire/gofer/gofer_wire.h"

static struct fuzz_world world;
static struct host_stream *gofer; /* the hostile end */
static const u8 *at, *end;

static void put_u32(u8 *bytes, u32 value)
{
    memcpy(bytes, &value, sizeof value);
}

/* An answer to what has come; false: nothing has come, or the input is at its end. */
static bool answer_one(void)
{
    static u8 message[GOFER_MESSAGE_MAX];
    struct gofer_header asked;
    i64 got = host_stream_read(gofer, message, sizeof message, NULL, NULL);
    if (got == -EAGAIN)
        return false;
    if (got <= 0 || end - at < 2)
        return host_stream_put(MOVE(gofer)), false;
    fuzz_must(gofer_get_header(message, (size_t)got, &asked) == 0, "a request has a head");
    if (asked.type == GOFER_CLOSE)
        return true;
    bool is_error = at[1] & 0x80, has_fd = at[1] & 0x40;
    size_t part = MIN((size_t)(at[0] | (at[1] & 7) << 8), (size_t)(end - at - 2));
    at += 2;
    memcpy(message + GOFER_HEADER_SIZE, at, part);
    at += part;
    u16 flags = GOFER_REPLY | (is_error ? GOFER_ERROR : 0) | (has_fd ? GOFER_FD : 0);
    put_u32(message, (u32)(GOFER_HEADER_SIZE + part));
    memcpy(message + 6, &flags, sizeof flags);
    int fd = has_fd ? sim_open(world.host, "/donated", O_RDWR, 0) : -1;
    (void)!host_stream_write(gofer, message, GOFER_HEADER_SIZE + part, &fd, fd >= 0);
    if (fd >= 0)
        sim_fd_close(world.host, fd);
    return true;
}

struct names {
    char first[256];
};

static bool take_name(struct dir_emit *emit, const char *name, size_t size, u64 ino, u8 type,
                      u64 next)
{
    struct names *names = emit->owner;
    fuzz_must(size > 0 && size < 256 && !memchr(name, '/', size), "a name is a name");
    if (!names->first[0]) {
        memcpy(names->first, name, size);
        names->first[size] = 0;
    }
    return true;
}

SLEEPS static void use_file(struct task *task, const char *path, u32 flags)
{
    static u8 bytes[10000];
    struct file *file;
    /* A gofer may say that it is a fifo: nobody comes to its other end. */
    if (vfs_open(task, NULL, path, flags | LINUX_O_NONBLOCK, 0644, 0, &file))
        return;
    struct names names = {0};
    struct dir_emit emit = {.emit = take_name, .owner = &names};
    if (inode_is_dir(file->inode)) {
        (void)!file_readdir(task, file, &emit);
    } else {
        (void)!file_pread_kernel(task, file, bytes, sizeof bytes, 0);
        (void)!file_write_kernel(task, file, bytes, 5000);
    }
    object_put(&file->object);
    if (names.first[0] && strcmp(names.first, ".") && strcmp(names.first, "..")) {
        char below[512];
        snprintf(below, sizeof below, "/%s", names.first);
        struct path found = {0};
        if (!path_walk(task, NULL, below, WALK_FOLLOW, &found))
            path_put(&found);
    }
}

SLEEPS static void use_mount(struct task *task)
{
    static char text[4096];
    struct path found = {0};
    struct linux_statfs statfs;
    use_file(task, "/", LINUX_O_RDONLY);
    use_file(task, "/a", LINUX_O_RDWR);
    use_file(task, "/d/e/f", LINUX_O_RDONLY);
    use_file(task, "/new", LINUX_O_RDWR | LINUX_O_CREAT);
    (void)!vfs_mkdir_all(task, "/x/y", 0755);
    if (path_walk(task, NULL, "/link", 0, &found))
        return;
    (void)!vfs_readlink(task, &found, text, sizeof text);
    (void)!vfs_getxattr(task, &found, "user.a", text, sizeof text);
    (void)!vfs_listxattr(task, &found, text, sizeof text);
    (void)!vfs_setxattr(task, &found, "user.a", "b", 1, 0);
    (void)!vfs_truncate(task, &found, 100);
    (void)!vfs_statfs(task, &found, &statfs);
    path_put(&found);
}

SLEEPS static void body(struct task *task, struct fuzz_world *at_world, struct fuzz_input input)
{
    struct super *super;
    int fds[2];
    if (sim_put_file(at_world->host, "/donated", "content", 7, 0644) ||
        sim_pair(at_world->host, SOCK_SEQPACKET, fds))
        abort();
    gofer = sim_engine_stream(at_world->host, fds[1]);
    struct host_stream *stream = host_stream_from_fd(at_world->host, fds[0]);
    if (gofer_fs_create(task, stream, false, input.size & 1, &super))
        return;
    fuzz_with_root(task, super, use_mount);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    if (!world.host)
        fuzz_world_make(&world);
    at = bytes;
    end = bytes + size;
    u64 before = world.sentry.arena->object_count;
    struct fuzz_job job = {.world = &world, .body = body, .input = {bytes, size}};
    struct task *task;
    if (task_create_kernel(world.kernel, "fuzz", fuzz_job_main, &job, &task) || task_start(task))
        abort();
    object_put(&task->object);
    fuzz_rest(&world);
    while (gofer && answer_one())
        fuzz_rest(&world);
    if (gofer)
        host_stream_put(MOVE(gofer));
    fuzz_settle(&world);
    fuzz_must(job.has_ended, "the input was served to its end");
    fuzz_must(world.sentry.arena->object_count == before, "every object is gone");
    return 0;
}
