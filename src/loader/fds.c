/* SPDX-License-Identifier: Apache-2.0 */
/* Host descriptors on their way into a container: who holds them, and how stdio is opened. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "abi/fcntl.h"
#include "abi/stat.h"
#include "loader/internal.h"
#include "sentry/fs/host_std.h"

void loader_close_fd(struct loader *loader, int *fd)
{
    if (*fd >= 0)
        host_close_fds(loader->kernel->host, fd, 1);
    *fd = -1;
}

static void close_all(struct loader *loader, int *fds, u32 count)
{
    for (u32 i = 0; i < count; i++)
        loader_close_fd(loader, &fds[i]);
}

void args_close(struct loader *loader, struct container_args *args)
{
    close_all(loader, args->stdio, 3);
    close_all(loader, args->gofers, args->gofer_count);
    close_all(loader, args->filestores, args->filestore_count);
    loader_close_fd(loader, &args->dev_gofer);
    loader_close_fd(loader, &args->exec_fd);
    for (u32 i = 0; i < args->passed_count; i++)
        loader_close_fd(loader, &args->passed[i].host);
    oci_spec_free(MOVE(args->spec));
}

/* A container's args with their arrays behind one pool. */
struct held_args {
    struct container_args args;
    struct pool pool;
};

static bool copy_array(struct pool *pool, void **array, u32 count, size_t size)
{
    void *copy = pool_alloc_array(pool, count, size);
    if (copy && count)
        memcpy(copy, *array, count * size);
    *array = copy;
    return copy != NULL;
}

static bool copy_arrays(struct pool *pool, struct container_args *args)
{
    bool is_copied =
        copy_array(pool, (void **)&args->confs, args->conf_count, sizeof *args->confs) &&
        copy_array(pool, (void **)&args->gofers, args->gofer_count, sizeof *args->gofers) &&
        copy_array(pool, (void **)&args->filestores, args->filestore_count,
                   sizeof *args->filestores) &&
        copy_array(pool, (void **)&args->passed, args->passed_count, sizeof *args->passed);
    for (u32 i = 0; is_copied && i < args->conf_count; i++) {
        if (!args->confs[i].size)
            continue;
        args->confs[i].size = pool_strdup(pool, args->confs[i].size);
        is_copied = args->confs[i].size != NULL;
    }
    return is_copied;
}

struct container_args *args_take(struct loader *loader, struct container_args *args)
{
    struct held_args *held = arena_alloc(loader->kernel->arena, sizeof *held);
    if (held) {
        held->args = *args;
        pool_init(&held->pool, loader->kernel->arena);
        if (copy_arrays(&held->pool, &held->args))
            return &held->args;
        pool_fini(&held->pool);
        arena_free(loader->kernel->arena, held, sizeof *held);
    }
    args_close(loader, args);
    return NULL;
}

void args_free(struct loader *loader, struct container_args *args)
{
    if (!args)
        return;
    struct held_args *held = container_of(args, struct held_args, args);
    args_close(loader, args);
    pool_fini(&held->pool);
    arena_free(loader->kernel->arena, held, sizeof *held);
}

/* ---- stdio ---------------------------------------------------------------------------------- */

/* Majors of terminals (Linux's devices.txt): virtual, alternate, UNIX98 slaves. */
static bool is_terminal(const struct host_stat *stat)
{
    u32 major = stat->rdev_major;
    return (stat->mode & LINUX_S_IFMT) == LINUX_S_IFCHR &&
           (major == 4 || major == 5 || (major >= 136 && major <= 143));
}

/* Nobody tells the access mode of a descriptor here: pipes and files go by their place. */
static u32 stdio_flags(const struct host_stat *stat, u32 index)
{
    u32 type = stat->mode & LINUX_S_IFMT;
    if ((type != LINUX_S_IFIFO && type != LINUX_S_IFREG) || index > 2)
        return LINUX_O_RDWR;
    return index == 0 ? LINUX_O_RDONLY : LINUX_O_WRONLY;
}

/* Wrap FD (taken) as what it is. */
static int stdio_wrap(struct loader *loader, int fd, u32 index, struct host_std *std)
{
    struct host *host = loader->kernel->host;
    struct host_stat stat;
    struct host_file *file = host_file_from_fd(host, fd);
    if (!file) {
        host_close_fds(host, &fd, 1);
        return -EBADF;
    }
    int err = host_stat(file, &stat);
    if (err) {
        host_file_put(file);
        return err;
    }
    u32 type = stat.mode & LINUX_S_IFMT;
    *std = (struct host_std){
        .mode = stat.mode, .flags = stdio_flags(&stat, index), .is_tty = is_terminal(&stat)};
    if (type != LINUX_S_IFIFO && type != LINUX_S_IFSOCK && !std->is_tty) {
        std->file = file;
        return 0;
    }
    fd = host_file_release(file);
    std->stream = host_stream_from_fd(host, fd);
    return std->stream ? 0 : -ENOMEM;
}

int stdio_open(struct loader *loader, struct task *by, int fd, u32 index, struct file **out)
{
    struct host_std std;
    char name[32];
    int err = stdio_wrap(loader, fd, index, &std);
    if (err)
        return err;
    snprintf(name, sizeof name, "host:[%u]", ++loader->stdio_next);
    std.name = name;
    return host_std_open(by, &std, out);
}

int stdio_replace(struct loader *loader, struct task *by, int fd, u32 index, struct file *file)
{
    struct host_std std;
    int err = stdio_wrap(loader, fd, index, &std);
    if (err)
        return err;
    char name[32];
    snprintf(name, sizeof name, "host:[%u]", ++loader->stdio_next);
    std.name = name;
    return host_std_replace(by, file, &std);
}

u32 stdio_number(const struct file *file)
{
    if (file->ops != &host_std_ops)
        return 0;
    const struct host_std_file *std = container_of(file->private_object, struct host_std_file,
                                                   tty.object);
    if (strncmp(std->name, "host:[", 6) != 0)
        return 0;
    u32 number = 0;
    for (const char *at = std->name + 6; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (u32)(*at - '0');
    return number;
}
