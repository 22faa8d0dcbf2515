/* SPDX-License-Identifier: Apache-2.0 */
/* The base of all sockets, their descriptions, and what rides on messages. */
#include "sentry/net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/fields.h"

#define BUFFER_SIZE_DEFAULT 212992u

const struct field socket_base_fields[] = {
    FIELD_NONE(struct socket, object, "the walker's own header"),
    FIELD_NONE(struct socket, ops, "from the kind"),
    FIELD_NONE(struct socket, kernel, "the kernel that loads it"),
    FIELD(struct socket, domain),
    FIELD(struct socket, type),
    FIELD(struct socket, protocol),
    FIELD(struct socket, is_shut_read),
    FIELD(struct socket, is_shut_write),
    FIELD(struct socket, passes_cred),
    FIELD(struct socket, reuses_address),
    FIELD(struct socket, reuses_port),
    FIELD(struct socket, keeps_alive),
    FIELD(struct socket, broadcasts),
    FIELD(struct socket, is_oob_inline),
    FIELD(struct socket, priority),
    FIELD(struct socket, mark),
    FIELD(struct socket, error),
    FIELD(struct socket, send_size_max),
    FIELD(struct socket, receive_size_max),
    FIELD(struct socket, send_timeout_ns),
    FIELD(struct socket, receive_timeout_ns),
    FIELD(struct socket, receive_low),
    FIELD(struct socket, linger_on),
    FIELD(struct socket, linger_seconds),
    FIELD_NONE(struct socket, changed, "a sleeper starts its system call again"),
    FIELD(struct socket, ino),
    FIELD_END,
};
FIELDS_COMPLETE(struct socket, socket_base_fields);

void socket_init(struct socket *socket, struct kernel *kernel, i32 domain, i32 type, i32 protocol)
{
    socket->ops = socket->object.kind->ops;
    socket->kernel = kernel;
    socket->domain = domain;
    socket->type = type;
    socket->protocol = protocol;
    socket->send_size_max = BUFFER_SIZE_DEFAULT;
    socket->receive_size_max = BUFFER_SIZE_DEFAULT;
    socket->receive_low = 1;
}

SLEEPS int socket_wait(struct task *task, struct wait_queue *queue, u64 timeout_ns)
{
    u64 deadline_ns = timeout_ns ? task_deadline(task, timeout_ns) : NO_DEADLINE;
    task->progress.never_restarts |= timeout_ns != 0; /* signal(7) */
    int err = sleep_on(queue, task, deadline_ns);
    return err == -ETIMEDOUT ? -EAGAIN : err;
}

/* ---- scm ------------------------------------------------------------------------------------ */

static const struct field scm_fields[] = {
    FIELD_NONE(struct scm, object, "the walker's own header"),
    FIELD(struct scm, file_count),
    FIELD_REFS(struct scm, files, struct file, file_count),
    FIELD(struct scm, has_cred),
    FIELD_BYTES(struct scm, cred),
    FIELD_END,
};
FIELDS_COMPLETE(struct scm, scm_fields);

static void scm_destroy(struct object *object)
{
    struct scm *scm = container_of(object, struct scm, object);
    for (u32 i = 0; i < scm->file_count; i++)
        REF_PUT(scm->files[i]);
    arena_free(object->arena, scm->files, scm->file_count * sizeof *scm->files);
}

const struct kind scm_kind = {
    .name = "scm", .size = sizeof(struct scm), .fields = scm_fields, .destroy = scm_destroy};

int scm_create(struct arena *arena, u32 file_count, struct scm **out)
{
    AUTO_PUT struct scm *scm = object_create(arena, &scm_kind);
    if (!scm)
        return -ENOMEM;
    if (file_count > 0) {
        scm->files = arena_alloc_array(arena, file_count, sizeof *scm->files);
        if (!scm->files)
            return -ENOMEM;
        scm->file_count = file_count;
    }
    *out = MOVE(scm);
    return 0;
}

/* ---- descriptions --------------------------------------------------------------------------- */

static struct socket *socket_of(const struct file *file)
{
    return container_of(file->private_object, struct socket, object);
}

struct socket *socket_of_file(const struct file *file)
{
    return file->ops == &socket_file_ops ? socket_of(file) : NULL;
}

SLEEPS static i64 socket_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct socket *socket = socket_of(file);
    struct socket_message message = {.uio = uio};
    i64 got = socket->ops->receive(task, socket, &message, !(file->flags & O_NONBLOCK));
    REF_CLEAR(message.scm); /* read(2) has nowhere to put descriptors: they are closed */
    return got;
}

SLEEPS static i64 socket_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct socket *socket = socket_of(file);
    struct socket_message message = {.uio = uio};
    i64 moved = socket->ops->send(task, socket, &message, !(file->flags & O_NONBLOCK));
    if (moved == -EPIPE && socket->type == LINUX_SOCK_STREAM) {
        struct linux_siginfo info;
        signal_info_user(&info, LINUX_SIGPIPE, LINUX_SI_USER, task, task->group);
        (void)!signal_send_task(task, &info);
    }
    return moved;
}

static u32 socket_poll(struct file *file, struct poll_table *table)
{
    struct socket *socket = socket_of(file);
    poll_add(table, file, &socket->changed);
    return socket->ops->poll(socket);
}

SLEEPS static i64 socket_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    struct socket *socket = socket_of(file);
    return socket->ops->ioctl ? socket->ops->ioctl(task, socket, request, arg) : -ENOTTY;
}

static const struct file_ops_name ops_names[] = {
    {"socket", &socket_file_ops, .private_of = "struct socket"}};

void socket_file_ops_add(struct kernel *kernel, struct file_ops_table *table)
{
    *table = (struct file_ops_table){.rows = ops_names, .count = ARRAY_COUNT(ops_names)};
    file_ops_add(kernel, table);
}

static void socket_release(struct file *file)
{
    struct socket *socket = socket_of(file);
    socket->ops->release(socket);
}

const struct file_ops socket_file_ops = {
    .read = socket_read,
    .write = socket_write,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
    .release = socket_release,
};

int socket_file_create(struct socket *socket, u32 flags, struct file **out)
{
    struct file *file;
    int err = file_create_anon(socket->kernel, "socket:", &socket_file_ops, &socket->object,
                               O_RDWR | (flags & O_NONBLOCK), LINUX_S_IFSOCK | 0777, &file);
    if (err)
        return err;
    socket->ino = file->inode->ino;
    *out = file;
    return 0;
}
