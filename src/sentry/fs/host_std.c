/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's stdio: reads and writes go to the host's description, whose offset is shared with the
 * processes outside, so texts of both never overwrite each other. Bytes pass through the sentry's
 * own memory. A terminal keeps its line discipline on the host; job control is ours.
 */
#include "sentry/fs/host_std.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/tty/pty.h"

#define BOUNCE_SIZE 16384u

static const struct field host_std_fields[] = {
    FIELD_STRUCT(struct host_std_file, tty, tty_base_fields),
    FIELD_NONE(struct host_std_file, kernel, "the kernel that loads it"),
    FIELD_NONE(struct host_std_file, stream, "the restoring side gives its own"),
    FIELD_NONE(struct host_std_file, file, "the restoring side gives its own"),
    FIELD(struct host_std_file, mode),
    FIELD(struct host_std_file, is_tty),
    FIELD_NONE(struct host_std_file, is_dead, "derived"),
    FIELD_BYTES(struct host_std_file, name),
    FIELD_REF(struct host_std_file, devpts, struct devpts),
    FIELD_NONE(struct host_std_file, devpts_link, "its devpts's list"),
    FIELD(struct host_std_file, number),
    FIELD(struct host_std_file, uid),
    FIELD(struct host_std_file, gid),
    FIELD_NONE(struct host_std_file, watch, "of the stream"),
    FIELD_NONE(struct host_std_file, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct host_std_file, host_std_fields);

static void host_std_disconnect(struct host_std_file *std)
{
    if (std->stream) {
        host_stream_watch(std->stream, NULL);
        host_stream_put(MOVE(std->stream));
    }
    host_file_put(MOVE(std->file));
}

static void host_std_destroy(struct object *object)
{
    struct host_std_file *std = container_of(object, struct host_std_file, tty.object);
    host_std_disconnect(std);
    if (std->devpts)
        devpts_forget(std);
    REF_CLEAR(std->tty.session);
}

static int host_std_loaded(struct object *object, struct state_reader *reader)
{
    struct host_std_file *std = container_of(object, struct host_std_file, tty.object);
    std->kernel = state_reader_kernel(reader);
    std->is_dead = true;
    return 0;
}

const struct kind host_std_kind = {.name = "host_std",
                                   .size = sizeof(struct host_std_file),
                                   .fields = host_std_fields,
                                   .destroy = host_std_destroy,
                                   .loaded = host_std_loaded};

static struct host_std_file *std_of(const struct file *file)
{
    return container_of(file->private_object, struct host_std_file, tty.object);
}

static void std_ready(struct host_watch *watch, u32 ready)
{
    struct host_std_file *std = watch->owner;
    u32 events = 0;
    if (ready & HOST_READABLE)
        events |= POLL_IN | POLL_RDNORM;
    if (ready & HOST_WRITABLE)
        events |= POLL_OUT | POLL_WRNORM;
    if (ready & HOST_HANGUP)
        events |= POLL_HUP | POLL_IN;
    wake_up(&std->changed, events);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

SLEEPS static i64 file_op(struct task *task, struct host_std_file *std, enum host_op_type type,
                          void *bytes, u64 size)
{
    struct host_op op;
    memset(&op, 0, sizeof op);
    op.type = type;
    op.file = std->file;
    op.iov_count = 1;
    op.iov[0] = (struct host_iovec){bytes, size};
    return fiber_host_op(&task->fiber, &op);
}

/* Some bytes from the host: a count, 0 at the end, -EAGAIN, -errno. */
SLEEPS static i64 read_some(struct task *task, struct host_std_file *std, void *bytes, u64 size)
{
    if (std->is_dead)
        return 0;
    if (std->file)
        return file_op(task, std, HOST_OP_READ, bytes, size);
    return host_stream_read(std->stream, bytes, size, NULL, NULL);
}

SLEEPS static i64 write_some(struct task *task, struct host_std_file *std, void *bytes, u64 size)
{
    if (std->is_dead)
        return -EIO;
    if (std->file)
        return file_op(task, std, HOST_OP_WRITE, bytes, size);
    return host_stream_write(std->stream, bytes, size, NULL, 0);
}

SLEEPS static i64 std_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct host_std_file *std = std_of(file);
    u64 size = MIN(uio->remaining, (u64)BOUNCE_SIZE);
    void *bounce = arena_alloc(task->kernel->arena, BOUNCE_SIZE);
    if (!bounce)
        return -ENOMEM;
    i64 got;
    for (;;) {
        got = std->is_tty ? tty_check_background(task, &std->tty, LINUX_SIGTTIN) : 0;
        if (!got)
            got = read_some(task, std, bounce, size);
        if (got != -EAGAIN || (file->flags & O_NONBLOCK))
            break;
        int err = sleep_on(&std->changed, task, NO_DEADLINE);
        if (err) {
            got = err;
            break;
        }
    }
    if (got > 0)
        got = uio_put(uio, bounce, (u64)got);
    arena_free(task->kernel->arena, bounce, BOUNCE_SIZE);
    return got;
}

/* All of what the program gave, in steps; a step that was begun is finished first. */
SLEEPS static i64 write_steps(struct task *task, struct file *file, struct uio *uio, u8 *bounce)
{
    struct host_std_file *std = std_of(file);
    u64 moved = task->progress.bytes;
    uio_skip(uio, moved);
    while (uio->remaining > 0) {
        i64 taken = uio_take(uio, bounce, MIN(uio->remaining, (u64)BOUNCE_SIZE));
        if (taken <= 0)
            return moved > 0 ? (i64)moved : taken;
        for (i64 done = 0; done < taken;) {
            i64 put = write_some(task, std, bounce + done, (u64)(taken - done));
            if (put > 0) {
                done += put;
                moved += (u64)put;
                continue;
            }
            if (put == 0 || put != -EAGAIN || (file->flags & O_NONBLOCK)) {
                uio_revert(uio, (u64)(taken - done));
                return moved > 0 ? (i64)moved : put;
            }
            if (sleep_on(&std->changed, task, NO_DEADLINE)) {
                uio_revert(uio, (u64)(taken - done));
                return task_interrupted(task, moved);
            }
        }
    }
    return (i64)moved;
}

SLEEPS static i64 std_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    u8 *bounce = arena_alloc(task->kernel->arena, BOUNCE_SIZE);
    if (!bounce)
        return -ENOMEM;
    i64 moved = write_steps(task, file, uio, bounce);
    arena_free(task->kernel->arena, bounce, BOUNCE_SIZE);
    if (moved == -EPIPE) {
        struct linux_siginfo info;
        signal_info_user(&info, LINUX_SIGPIPE, LINUX_SI_USER, task, task->group);
        (void)!signal_send_task(task, &info);
    }
    return moved;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static u32 std_poll(struct file *file, struct poll_table *table)
{
    struct host_std_file *std = std_of(file);
    if (table && table->add)
        (void)!table->add(table, file, &std->changed);
    if (std->is_dead)
        return POLL_IN | POLL_OUT | POLL_HUP;
    if (!std->stream)
        return POLL_IN | POLL_RDNORM | POLL_OUT | POLL_WRNORM;
    u32 host = host_stream_poll(std->stream), ready = 0;
    if (host & HOST_READABLE)
        ready |= POLL_IN | POLL_RDNORM;
    if (host & HOST_WRITABLE)
        ready |= POLL_OUT | POLL_WRNORM;
    if (host & HOST_HANGUP)
        ready |= POLL_HUP;
    return ready;
}

SLEEPS static i64 terminal_ioctl(struct task *task, struct host_std_file *std, u32 request, u64 arg)
{
    struct linux_termios termios;
    struct linux_winsize size;
    int err;
    switch (request) {
    case LINUX_TCGETS:
        err = host_stream_ioctl(std->stream, request, &termios);
        return err ? err : copy_to_user(task, uaddr_make(arg), &termios, sizeof termios);
    case LINUX_TCSETS:
    case LINUX_TCSETSW:
    case LINUX_TCSETSF:
        err = tty_check_background(task, &std->tty, LINUX_SIGTTOU);
        if (!err)
            err = copy_from_user(task, &termios, uaddr_make(arg), sizeof termios);
        return err ? err : host_stream_ioctl(std->stream, request, &termios);
    case LINUX_TIOCGWINSZ:
        err = host_stream_ioctl(std->stream, request, &size);
        return err ? err : copy_to_user(task, uaddr_make(arg), &size, sizeof size);
    case LINUX_TIOCSWINSZ:
        err = copy_from_user(task, &size, uaddr_make(arg), sizeof size);
        return err ? err : host_stream_ioctl(std->stream, request, &size);
    default:
        return -ENOTTY;
    }
}

SLEEPS static i64 std_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    struct host_std_file *std = std_of(file);
    if (!std->is_tty || std->is_dead || !std->stream)
        return -ENOTTY;
    i64 result = tty_job_ioctl(task, &std->tty, request, arg);
    return result == TTY_NOT_MINE ? terminal_ioctl(task, std, request, arg) : result;
}

SLEEPS static i64 std_seek(struct task *task, struct file *file, i64 offset, i32 whence)
{
    struct host_std_file *std = std_of(file);
    if (!std->file)
        return -ESPIPE;
    struct host_op op;
    memset(&op, 0, sizeof op);
    op.type = HOST_OP_SEEK;
    op.file = std->file;
    op.offset = (u64)offset;
    op.flags = (u32)whence;
    return fiber_host_op(&task->fiber, &op);
}

const struct file_ops host_std_ops = {
    .read = std_read,
    .write = std_write,
    .seek = std_seek,
    .poll = std_poll,
    .ioctl = std_ioctl,
};

static void std_connect(struct host_std_file *std, const struct host_std *from)
{
    std->stream = from->stream;
    std->file = from->file;
    std->mode = from->mode;
    std->is_tty = from->is_tty;
    std->is_dead = !from->stream && !from->file;
    if (!std->stream)
        return;
    std->watch = (struct host_watch){.notify = std_ready, .owner = std};
    host_stream_watch(std->stream, &std->watch);
}

SLEEPS int host_std_open(struct task *task, const struct host_std *from, struct file **out)
{
    ASSERT(!from->stream != !from->file);
    struct host_std_file *std = object_create(task->kernel->arena, &host_std_kind);
    if (!std) {
        host_stream_put(from->stream);
        host_file_put(from->file);
        return -ENOMEM;
    }
    std->kernel = task->kernel;
    strncpy(std->name, from->name ? from->name : "host:", sizeof std->name - 1);
    std_connect(std, from);
    if (std->is_tty && devpts_adopt(task, std, out) == 0) {
        object_put(&std->tty.object);
        return 0;
    }
    return file_create_anon(task->kernel, std->name, &host_std_ops, &std->tty.object,
                            from->flags & (u32)(O_ACCMODE | O_APPEND), from->mode, out);
}

SLEEPS int host_std_replace(struct task *task, struct file *file, const struct host_std *from)
{
    if (file->ops != &host_std_ops) {
        host_stream_put(from->stream);
        host_file_put(from->file);
        return -EINVAL;
    }
    struct host_std_file *std = std_of(file);
    host_std_disconnect(std);
    std_connect(std, from);
    wake_up_all(&std->changed);
    return 0;
}
