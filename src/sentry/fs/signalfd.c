/* SPDX-License-Identifier: Apache-2.0 */
/* signalfd(2): pending signals of whoever reads, as records. Surprising: the reader's signals, not
 * the maker's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fields.h"
#include "sentry/fs/poll.h"

struct signalfd {
    struct object object;
    u64 set;
    struct task *task; /* counted: the maker, for those who poll without saying who they are */
};

/* struct signalfd_siginfo */
struct linux_signalfd_siginfo {
    u32 signo;
    i32 error_number, code;
    u32 pid, uid;
    i32 fd;
    u32 tid, band, overrun, trapno;
    i32 status, value_int;
    u64 value_ptr, utime, stime, address;
    u16 address_lsb, pad0;
    i32 syscall;
    u64 call_address;
    u32 arch;
    u8 pad[28];
};
_Static_assert(sizeof(struct linux_signalfd_siginfo) == 128, "signalfd_siginfo");

static const struct field signalfd_fields[] = {
    FIELD_NONE(struct signalfd, object, "the walker's own header"),
    FIELD(struct signalfd, set),
    FIELD_REF(struct signalfd, task, struct task),
    FIELD_END,
};
FIELDS_COMPLETE(struct signalfd, signalfd_fields);

static void signalfd_destroy(struct object *object)
{
    REF_CLEAR(container_of(object, struct signalfd, object)->task);
}

const struct kind signalfd_kind = {.name = "signalfd",
                                   .size = sizeof(struct signalfd),
                                   .fields = signalfd_fields,
                                   .destroy = signalfd_destroy};

static struct signalfd *signalfd_of(const struct file *file)
{
    return container_of(file->private_object, struct signalfd, object);
}

static void signalfd_record(const struct linux_siginfo *info, struct linux_signalfd_siginfo *out)
{
    memset(out, 0, sizeof *out);
    out->signo = (u32)info->signo;
    out->error_number = info->error_number;
    out->code = info->code;
    if (info->code == LINUX_SI_TIMER) {
        out->tid = (u32)info->timer.id;
        out->overrun = (u32)info->timer.overrun;
        out->value_ptr = info->timer.value;
        out->value_int = (i32)(u32)info->timer.value;
        return;
    }
    switch (info->signo) {
    case LINUX_SIGSEGV:
    case LINUX_SIGBUS:
    case LINUX_SIGILL:
    case LINUX_SIGFPE:
        if (info->code > 0)
            out->address = info->fault.address;
        break;
    default:
        break;
    }
    out->pid = (u32)info->sender.pid;
    out->uid = info->sender.uid;
    if (info->signo == LINUX_SIGCHLD && info->code > 0) {
        out->status = info->sender.child.status;
        out->utime = (u64)info->sender.child.utime;
        out->stime = (u64)info->sender.child.stime;
    } else {
        out->value_ptr = info->sender.value;
        out->value_int = (i32)(u32)info->sender.value;
    }
}

SLEEPS static i64 signalfd_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct signalfd *signalfd = signalfd_of(file);
    if (uio->remaining < sizeof(struct linux_signalfd_siginfo))
        return -EINVAL;
    i64 total = 0;
    while (uio->remaining >= sizeof(struct linux_signalfd_siginfo)) {
        struct linux_siginfo info;
        if (!signal_take(task, signalfd->set, &info)) {
            if (total > 0)
                break;
            if (file->flags & O_NONBLOCK)
                return -EAGAIN;
            int err = sleep_on(signal_wait_queue(task), task, NO_DEADLINE);
            if (err)
                return err;
            continue;
        }
        struct linux_signalfd_siginfo record;
        signalfd_record(&info, &record);
        i64 moved = uio_put(uio, &record, sizeof record);
        if (moved < 0)
            return total > 0 ? total : moved;
        total += (i64)sizeof record;
    }
    return total;
}

static u32 signalfd_poll(struct file *file, struct poll_table *table)
{
    struct signalfd *signalfd = signalfd_of(file);
    struct task *task = table && table->task ? table->task : signalfd->task;
    poll_add(table, file, signal_wait_queue(task));
    return signal_pending_set(task) & signalfd->set ? POLL_IN | POLL_RDNORM : 0;
}

static int signalfd_show_info(struct file *file, struct buf *out)
{
    return buf_printf(out, "sigmask:\t%016llx\n", (unsigned long long)signalfd_of(file)->set);
}

const struct file_ops signalfd_ops = {
    .read = signalfd_read,
    .poll = signalfd_poll,
    .show_info = signalfd_show_info,
};

static u64 settable(u64 set)
{
    return set & ~(SIGNAL_BIT(LINUX_SIGKILL) | SIGNAL_BIT(LINUX_SIGSTOP));
}

int signalfd_set(struct file *file, u64 set)
{
    if (file->ops != &signalfd_ops)
        return -EINVAL;
    signalfd_of(file)->set = settable(set);
    return 0;
}

int signalfd_create(struct task *task, u64 set, u32 flags, struct file **out)
{
    struct signalfd *signalfd = object_create(task->kernel->arena, &signalfd_kind);
    if (!signalfd)
        return -ENOMEM;
    signalfd->set = settable(set);
    signalfd->task = REF_GET(task);
    return file_create_anon(task->kernel, "anon_inode:[signalfd]", &signalfd_ops, &signalfd->object,
                            O_RDWR | (flags & O_NONBLOCK), 0600, out);
}
