/* SPDX-License-Identifier: Apache-2.0 */
/* Moving messages: sendto(2), sendmsg(2), recvfrom(2), recvmsg(2), the mmsg pair, and control
 * messages (cmsg(3)). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sentry/kernel/cred.h"
#include "sentry/net/socket.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

#define CONTROL_SIZE_MAX ((u64)10 << 10)
#define MMSG_COUNT_MAX 1024u

static int socket_get(struct task *task, i32 fd, struct file **file, struct socket **socket)
{
    *file = fd_get(task, fd);
    if (!*file || (*file)->is_path)
        return -EBADF;
    *socket = socket_of_file(*file);
    return *socket ? 0 : -ENOTSOCK;
}

static u64 cmsg_align(u64 size)
{
    return ALIGN_UP(size, (u64)8);
}

/* ---- control messages in -------------------------------------------------------------------- */

static int cred_check(const struct task *task, const struct linux_ucred *given)
{
    const struct cred *cred = task->cred;
    bool pid_ok = (u32)given->pid == task->group->pid || task_has_capability(task, CAP_SYS_ADMIN);
    bool uid_ok = given->uid == cred->uid || given->uid == cred->euid || given->uid == cred->suid ||
                  cred_has_cap(task->cred, CAP_SETUID);
    bool gid_ok = given->gid == cred->gid || given->gid == cred->egid || given->gid == cred->sgid ||
                  cred_has_cap(task->cred, CAP_SETGID);
    return pid_ok && uid_ok && gid_ok ? 0 : -EPERM;
}

/* The files of an SCM_RIGHTS message into SCM, after those it has. */
static int scm_add_files(struct task *task, struct scm **scm, const i32 *fds, u32 count)
{
    u32 before = *scm ? (*scm)->file_count : 0;
    if (count + before > SCM_FDS_MAX)
        return -EINVAL;
    AUTO_PUT struct scm *bigger = NULL;
    int err = scm_create(task->kernel->arena, before + count, &bigger);
    if (err)
        return err;
    for (u32 i = 0; i < count; i++) {
        struct file *file = fd_get(task, fds[i]);
        if (!file)
            return -EBADF;
        bigger->files[before + i] = file;
    }
    for (u32 i = 0; i < before; i++)
        bigger->files[i] = REF_GET((*scm)->files[i]);
    if (*scm) {
        bigger->has_cred = (*scm)->has_cred;
        bigger->cred = (*scm)->cred;
    }
    REF_PUT(*scm);
    *scm = MOVE(bigger);
    return 0;
}

static int scm_add_cred(struct task *task, struct scm **scm, const struct linux_ucred *cred)
{
    int err = cred_check(task, cred);
    if (!err && !*scm)
        err = scm_create(task->kernel->arena, 0, scm);
    if (err)
        return err;
    (*scm)->has_cred = true;
    (*scm)->cred = *cred;
    return 0;
}

/* One that the family itself judges. */
static int control_keep(const struct linux_cmsghdr *head, const u8 *data, u64 size,
                        struct socket_message *message)
{
    if (message->control_count == SOCKET_CONTROLS_MAX)
        return -ENOBUFS;
    struct socket_control *control = &message->controls[message->control_count++];
    control->level = head->level;
    control->type = head->type;
    control->size = (u32)size;
    memcpy(control->data, data, MIN(size, SOCKET_CONTROL_SIZE_MAX));
    return 0;
}

static int control_one(struct task *task, const struct linux_cmsghdr *head, const u8 *data,
                       u64 size, struct socket_message *message)
{
    struct scm **scm = &message->scm;
    if (head->level != LINUX_SOL_SOCKET)
        return control_keep(head, data, size, message);
    switch (head->type) {
    case LINUX_SCM_RIGHTS: {
        i32 fds[SCM_FDS_MAX];
        u64 count = size / sizeof fds[0];
        if (count > SCM_FDS_MAX)
            return -EINVAL;
        memcpy(fds, data, count * sizeof fds[0]);
        return count ? scm_add_files(task, scm, fds, (u32)count) : 0;
    }
    case LINUX_SCM_CREDENTIALS: {
        struct linux_ucred cred;
        if (size != sizeof cred)
            return -EINVAL;
        memcpy(&cred, data, sizeof cred);
        return scm_add_cred(task, scm, &cred);
    }
    default:
        return -EINVAL;
    }
}

SLEEPS static int control_from_user(struct task *task, const struct linux_msghdr *user,
                                    struct socket_message *message)
{
    u64 size = user->control_size;
    if (size == 0 || user->control == 0)
        return 0;
    if (size > CONTROL_SIZE_MAX)
        return -ENOBUFS;
    struct arena *arena = task->kernel->arena;
    u8 *control = arena_alloc(arena, size);
    if (!control)
        return -ENOMEM;
    int err = copy_from_user(task, control, uaddr_make(user->control), size);
    for (u64 at = 0; !err && at + sizeof(struct linux_cmsghdr) <= size;) {
        struct linux_cmsghdr head;
        memcpy(&head, control + at, sizeof head);
        if (head.size < sizeof head || head.size > size - at)
            err = -EINVAL;
        else
            err = control_one(task, &head, control + at + sizeof head, head.size - sizeof head,
                              message);
        at += cmsg_align(head.size);
    }
    arena_free(arena, control, size);
    return err;
}

/* ---- control messages out ------------------------------------------------------------------- */

struct control_out {
    struct task *task;
    u64 at; /* user address */
    u64 left;
    u64 used;
    bool is_cut;
};

/* One message; the data is cut to what fits. How many bytes of DATA went. */
SLEEPS static int control_put(struct control_out *out, i32 level, i32 type, const void *data,
                              u64 size)
{
    struct linux_cmsghdr head = {.size = sizeof head + size, .level = level, .type = type};
    if (out->left < sizeof head) {
        out->is_cut = true;
        return 0;
    }
    if (head.size > out->left) {
        out->is_cut = true;
        head.size = out->left;
    }
    int err = copy_to_user(out->task, uaddr_make(out->at), &head, sizeof head);
    if (!err)
        err = copy_to_user(out->task, uaddr_make(out->at + sizeof head), data,
                           head.size - sizeof head);
    if (err)
        return err;
    u64 step = MIN(cmsg_align(head.size), out->left);
    out->at += step;
    out->left -= step;
    out->used += step;
    return 0;
}

/* SCM_RIGHTS: as many descriptors as there is room for; the rest is closed (MSG_CTRUNC). */
SLEEPS static int control_put_files(struct control_out *out, struct scm *scm, u32 flags)
{
    u64 room = out->left > sizeof(struct linux_cmsghdr)
                   ? (out->left - sizeof(struct linux_cmsghdr)) / sizeof(i32)
                   : 0;
    u32 count = (u32)MIN((u64)scm->file_count, room);
    if (count < scm->file_count)
        out->is_cut = true;
    if (count == 0)
        return 0;
    AUTO_FD_SLOTS struct fd_slots slots = {0};
    int err = fd_slots_reserve(out->task, count, 0, &slots);
    if (err) {
        out->is_cut = true;
        return 0;
    }
    bool was_cut = out->is_cut;
    err = control_put(out, LINUX_SOL_SOCKET, LINUX_SCM_RIGHTS, slots.fds,
                      count * sizeof slots.fds[0]);
    if (err)
        return err;
    out->is_cut = was_cut;
    u32 install_flags = flags & LINUX_MSG_CMSG_CLOEXEC ? (u32)O_CLOEXEC : 0;
    for (u32 i = 0; i < count; i++)
        fd_slots_install(&slots, i, REF_GET(scm->files[i]), install_flags);
    return 0;
}

SLEEPS static int control_to_user(struct task *task, struct linux_msghdr *user,
                                  struct socket *socket, struct socket_message *message)
{
    struct control_out out = {
        .task = task, .at = user->control, .left = user->control ? user->control_size : 0};
    int err = 0;
    struct scm *scm = message->scm;
    for (u32 i = 0; i < message->control_count && !err; i++) {
        const struct socket_control *control = &message->controls[i];
        err = control_put(&out, control->level, control->type, control->data, control->size);
    }
    if (!err && scm && scm->has_cred && socket->passes_cred)
        err = control_put(&out, LINUX_SOL_SOCKET, LINUX_SCM_CREDENTIALS, &scm->cred,
                          sizeof scm->cred);
    if (!err && scm && scm->file_count > 0)
        err = control_put_files(&out, scm, message->flags);
    if (out.is_cut)
        message->out_flags |= LINUX_MSG_CTRUNC;
    user->control_size = out.used;
    return err;
}

/* ---- sending -------------------------------------------------------------------------------- */

SLEEPS static i64 send_message(struct task *task, struct file *file, struct socket *socket,
                               struct socket_message *message)
{
    i64 moved = socket->ops->send(task, socket, message, !(file->flags & O_NONBLOCK));
    if (moved == -EPIPE && !(message->flags & LINUX_MSG_NOSIGNAL) &&
        socket->type == LINUX_SOCK_STREAM) {
        struct linux_siginfo info;
        signal_info_user(&info, LINUX_SIGPIPE, LINUX_SI_USER, task, task->group);
        (void)!signal_send_task(task, &info);
    }
    return moved;
}

SLEEPS static int message_name(struct task *task, struct socket_message *message, u64 at, u32 size)
{
    if (at == 0 || size == 0)
        return 0;
    if (size > SOCKADDR_SIZE_MAX)
        return -EINVAL;
    message->name_size = size;
    return copy_from_user(task, message->name, uaddr_make(at), size);
}

/* The segments of USER's iovec in arena memory of *COUNT elements. */
SLEEPS static int segments_from_user(struct task *task, const struct linux_msghdr *user,
                                     struct uio_segment **out)
{
    if (user->iov_count > UIO_SEGMENTS_MAX)
        return -EMSGSIZE;
    struct uio_segment *segments = arena_alloc(task->kernel->arena,
                                               (user->iov_count + 1) * sizeof *segments);
    if (!segments)
        return -ENOMEM;
    int err = user->iov_count ? copy_from_user(task, segments, uaddr_make(user->iov),
                                               user->iov_count * sizeof *segments)
                              : 0;
    u64 total = 0;
    for (u64 i = 0; i < user->iov_count && !err; i++)
        if ((i64)segments[i].size < 0 || __builtin_add_overflow(total, segments[i].size, &total) ||
            (i64)total < 0)
            err = -EINVAL;
    if (err)
        arena_free(task->kernel->arena, segments, (user->iov_count + 1) * sizeof *segments);
    else
        *out = segments;
    return err;
}

SLEEPS static i64 send_user_message(struct task *task, struct file *file, struct socket *socket,
                                    const struct linux_msghdr *user, u32 flags)
{
    struct socket_message message = {.flags = flags};
    struct uio_segment *segments;
    int err = segments_from_user(task, user, &segments);
    if (err)
        return err;
    struct uio uio;
    uio_init_user(&uio, task->mm, &task->fiber, segments, (u32)user->iov_count);
    message.uio = &uio;
    i64 result = message_name(task, &message, user->name, user->name_size);
    if (!result)
        result = control_from_user(task, user, &message);
    if (!result)
        result = send_message(task, file, socket, &message);
    REF_CLEAR(message.scm);
    arena_free(task->kernel->arena, segments, (user->iov_count + 1) * sizeof *segments);
    return result;
}

SLEEPS i64 sys_sendmsg(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    struct linux_msghdr user;
    if (!err)
        err = copy_from_user(task, &user, arg_uaddr(args, 1), sizeof user);
    return err ? err : send_user_message(task, file, socket, &user, arg_u32(args, 2));
}

SLEEPS i64 sys_sendto(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    struct socket_message message = {.flags = arg_u32(args, 3)};
    err = message_name(task, &message, arg_u64(args, 4), arg_u32(args, 5));
    if (err)
        return err;
    struct uio_segment segment = {arg_u64(args, 1), MIN(arg_u64(args, 2), (u64)0x7ffff000)};
    struct uio uio;
    uio_init_user(&uio, task->mm, &task->fiber, &segment, 1);
    message.uio = &uio;
    return send_message(task, file, socket, &message);
}

/* ---- receiving ------------------------------------------------------------------------------ */

SLEEPS static i64 receive_user_message(struct task *task, struct file *file, struct socket *socket,
                                       uaddr user_at, u32 flags)
{
    struct linux_msghdr user;
    int err = copy_from_user(task, &user, user_at, sizeof user);
    struct uio_segment *segments = NULL;
    if (!err)
        err = segments_from_user(task, &user, &segments);
    if (err)
        return err;
    u64 count = user.iov_count;
    struct uio uio;
    uio_init_user(&uio, task->mm, &task->fiber, segments, (u32)count);
    struct socket_message message = {.uio = &uio, .flags = flags};
    i64 moved = socket->ops->receive(task, socket, &message, !(file->flags & O_NONBLOCK));
    arena_free(task->kernel->arena, segments, (count + 1) * sizeof *segments);
    if (moved >= 0)
        err = control_to_user(task, &user, socket, &message);
    REF_CLEAR(message.scm);
    if (moved < 0 || err)
        return moved < 0 ? moved : err;
    if (user.name && (i32)user.name_size < 0)
        return -EINVAL;
    if (user.name) {
        u32 copied = MIN(message.name_size, user.name_size);
        err = copied ? copy_to_user(task, uaddr_make(user.name), message.name, copied) : 0;
        user.name_size = message.name_size;
    }
    user.flags = (i32)(message.out_flags | (flags & LINUX_MSG_CMSG_CLOEXEC));
    if (!err)
        err = copy_to_user(task, user_at, &user, sizeof user);
    return err ? err : moved;
}

SLEEPS i64 sys_recvmsg(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    return err ? err
               : receive_user_message(task, file, socket, arg_uaddr(args, 1), arg_u32(args, 2));
}

SLEEPS i64 sys_recvfrom(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    struct uio_segment segment = {arg_u64(args, 1), MIN(arg_u64(args, 2), (u64)0x7ffff000)};
    struct uio uio;
    uio_init_user(&uio, task->mm, &task->fiber, &segment, 1);
    struct socket_message message = {.uio = &uio, .flags = arg_u32(args, 3)};
    i64 moved = socket->ops->receive(task, socket, &message, !(file->flags & O_NONBLOCK));
    REF_CLEAR(message.scm);
    if (moved < 0 || arg_u64(args, 4) == 0)
        return moved;
    i32 room;
    err = copy_from_user(task, &room, arg_uaddr(args, 5), sizeof room);
    if (!err && room < 0)
        err = -EINVAL;
    if (!err) {
        u32 copied = MIN(message.name_size, (u32)room);
        err = copied ? copy_to_user(task, arg_uaddr(args, 4), message.name, copied) : 0;
    }
    if (!err)
        err = copy_to_user(task, arg_uaddr(args, 5), &message.name_size, sizeof message.name_size);
    return err ? err : moved;
}

/* ---- several at once ------------------------------------------------------------------------ */

SLEEPS i64 sys_sendmmsg(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    u32 count = MIN(arg_u32(args, 2), MMSG_COUNT_MAX);
    for (u32 i = 0; i < count; i++) {
        struct linux_mmsghdr user;
        uaddr at = uaddr_add(arg_uaddr(args, 1), i * sizeof user);
        i64 result = copy_from_user(task, &user, at, sizeof user);
        if (!result)
            result = send_user_message(task, file, socket, &user.message, arg_u32(args, 3));
        if (result >= 0) {
            u32 size = (u32)result;
            result = copy_to_user(task, uaddr_add(at, offsetof(struct linux_mmsghdr, size)), &size,
                                  sizeof size);
        }
        if (result < 0)
            return i > 0 ? (i64)i : result;
    }
    return count;
}

/* When recvmmsg(2) takes no further message; its timeout is looked at after each one only. */
SLEEPS static int receive_deadline(struct task *task, uaddr at, u64 *deadline_ns)
{
    u64 ns;
    int err = timespec_from_user(task, at, &ns);
    if (err)
        return err;
    if (ns == NO_DEADLINE ||
        __builtin_add_overflow(kernel_monotonic_ns(task->kernel), ns, deadline_ns))
        *deadline_ns = NO_DEADLINE;
    return 0;
}

SLEEPS i64 sys_recvmmsg(struct task *task, const struct sysargs *args)
{
    u64 deadline_ns;
    int err = receive_deadline(task, arg_uaddr(args, 4), &deadline_ns);
    if (err)
        return err;
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    u32 count = MIN(arg_u32(args, 2), MMSG_COUNT_MAX);
    u32 flags = arg_u32(args, 3);
    for (u32 i = 0; i < count; i++) {
        uaddr at = uaddr_add(arg_uaddr(args, 1), i * sizeof(struct linux_mmsghdr));
        i64 result = receive_user_message(task, file, socket, at, flags & ~LINUX_MSG_WAITFORONE);
        if (result >= 0) {
            u32 size = (u32)result;
            result = copy_to_user(task, uaddr_add(at, offsetof(struct linux_mmsghdr, size)), &size,
                                  sizeof size);
        }
        if (result < 0)
            return i > 0 ? (i64)i : result;
        if (flags & LINUX_MSG_WAITFORONE)
            flags |= LINUX_MSG_DONTWAIT;
        if (kernel_monotonic_ns(task->kernel) >= deadline_ns)
            return i + 1;
    }
    return count;
}
