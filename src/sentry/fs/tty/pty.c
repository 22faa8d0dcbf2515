/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends of a pseudo terminal (pty(7), ioctl_tty(2)). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/tty/pty.h"

#define PACKET_FLUSHREAD 1u
#define PACKET_FLUSHWRITE 2u

static const struct field pty_fields[] = {
    FIELD_STRUCT(struct pty, tty, tty_base_fields),
    FIELD_NONE(struct pty, kernel, "the kernel that loads it"),
    FIELD_WEAK(struct pty, devpts, struct devpts),
    FIELD(struct pty, number),
    FIELD(struct pty, is_locked),
    FIELD(struct pty, is_master_open),
    FIELD(struct pty, was_slave_open),
    FIELD(struct pty, slave_count),
    FIELD(struct pty, is_packet),
    FIELD(struct pty, packet_events),
    FIELD(struct pty, is_stopped),
    FIELD(struct pty, is_literal),
    FIELD_BYTES(struct pty, termios),
    FIELD_BYTES(struct pty, size),
    FIELD_BUF(struct pty, input),
    FIELD_BUF(struct pty, line),
    FIELD_BUF(struct pty, line_sizes),
    FIELD_BUF(struct pty, output),
    FIELD(struct pty, column),
    FIELD(struct pty, line_column),
    FIELD(struct pty, uid),
    FIELD(struct pty, gid),
    FIELD(struct pty, mode),
    FIELD(struct pty, ctime_ns),
    FIELD(struct pty, mtime_ns),
    FIELD_NONE(struct pty, master_changed, "a sleeper starts its system call again"),
    FIELD_NONE(struct pty, slave_changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct pty, pty_fields);

static void pty_destroy(struct object *object)
{
    struct pty *pty = container_of(object, struct pty, tty.object);
    buf_fini(&pty->input);
    buf_fini(&pty->line);
    buf_fini(&pty->line_sizes);
    buf_fini(&pty->output);
    REF_CLEAR(pty->tty.session);
}

static int pty_loaded(struct object *object, struct state_reader *reader)
{
    container_of(object, struct pty, tty.object)->kernel = state_reader_kernel(reader);
    return 0;
}

const struct kind pty_kind = {.name = "pty",
                              .size = sizeof(struct pty),
                              .fields = pty_fields,
                              .destroy = pty_destroy,
                              .loaded = pty_loaded};

int pty_new(struct kernel *kernel, struct pty **out)
{
    struct pty *pty = object_create(kernel->arena, &pty_kind);
    if (!pty)
        return -ENOMEM;
    pty->kernel = kernel;
    pty->is_locked = true;
    buf_init(&pty->input, kernel->arena, 0);
    buf_init(&pty->line, kernel->arena, 0);
    buf_init(&pty->line_sizes, kernel->arena, 0);
    buf_init(&pty->output, kernel->arena, 0);
    ldisc_init(pty);
    *out = pty;
    return 0;
}

static struct pty *pty_of(const struct file *file)
{
    return container_of(file->private_object, struct pty, tty.object);
}

static void wake_master(struct pty *pty)
{
    wake_up(&pty->master_changed, POLL_IN | POLL_RDNORM | POLL_OUT | POLL_WRNORM);
}

static void wake_slave(struct pty *pty)
{
    wake_up(&pty->slave_changed, POLL_IN | POLL_RDNORM | POLL_OUT | POLL_WRNORM);
}

/* ---- the master's side ---------------------------------------------------------------------- */

SLEEPS static i64 master_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct pty *pty = pty_of(file);
    while (buf_is_empty(&pty->output) && !(pty->is_packet && pty->packet_events)) {
        if (pty->was_slave_open && pty->slave_count == 0)
            return -EIO;
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        int err = sleep_on(&pty->master_changed, task, NO_DEADLINE);
        if (err)
            return err;
    }
    i64 prefix = 0;
    if (pty->is_packet) {
        prefix = uio_put(uio, &pty->packet_events, 1);
        if (prefix <= 0)
            return prefix;
        if (pty->packet_events) {
            pty->packet_events = 0;
            return prefix;
        }
    }
    u64 size = MIN(uio->remaining, (u64)pty->output.size);
    i64 moved = size ? uio_put(uio, buf_bytes(&pty->output), size) : 0;
    if (moved < 0)
        return prefix ? prefix : moved;
    buf_consume(&pty->output, (size_t)moved);
    wake_slave(pty);
    return moved + prefix;
}

SLEEPS static i64 master_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct pty *pty = pty_of(file);
    u64 moved = task->progress.bytes;
    uio_skip(uio, moved);
    while (uio->remaining > 0) {
        if (pty->was_slave_open && pty->slave_count == 0 && !tty_session(&pty->tty))
            break; /* nobody will ever read it: swallowed, as on a line that hangs */
        if (!ldisc_has_room(pty)) {
            if (file->flags & O_NONBLOCK)
                return moved > 0 ? (i64)moved : -EAGAIN;
            if (sleep_on(&pty->master_changed, task, NO_DEADLINE))
                return task_interrupted(task, moved);
            continue;
        }
        u8 bounce[256];
        i64 got = uio_take(uio, bounce, MIN(uio->remaining, (u64)sizeof bounce));
        if (got <= 0)
            return moved > 0 ? (i64)moved : got;
        size_t taken = ldisc_input(pty, bounce, (size_t)got);
        uio_revert(uio, (u64)got - taken);
        moved += taken;
        wake_slave(pty);
        wake_master(pty); /* echo */
    }
    return (i64)(moved + uio->remaining);
}

static u32 master_poll(struct file *file, struct poll_table *table)
{
    struct pty *pty = pty_of(file);
    if (table)
        (void)!table->add(table, file, &pty->master_changed);
    u32 ready = ldisc_has_room(pty) ? POLL_OUT | POLL_WRNORM : 0;
    if (!buf_is_empty(&pty->output))
        ready |= POLL_IN | POLL_RDNORM;
    if (pty->is_packet && pty->packet_events)
        ready |= POLL_IN | POLL_RDNORM | POLL_PRI;
    if (pty->was_slave_open && pty->slave_count == 0)
        ready |= POLL_HUP;
    return ready;
}

static void master_release(struct file *file)
{
    struct pty *pty = pty_of(file);
    pty->is_master_open = false;
    tty_hang_up(&pty->tty);
    wake_up(&pty->slave_changed, POLL_IN | POLL_OUT | POLL_HUP | POLL_ERR);
    if (pty->devpts)
        devpts_remove(pty->devpts, pty->number);
}

/* ---- the slave's side ----------------------------------------------------------------------- */

/* Raw mode: enough for VMIN and VTIME? *DEADLINE_NS is when to stop waiting. */
static bool raw_is_ready(struct task *task, const struct pty *pty, size_t have, u64 *deadline_ns)
{
    u8 min = pty->termios.cc[LINUX_VMIN], time = pty->termios.cc[LINUX_VTIME];
    u64 time_ns = (u64)time * 100 * NS_PER_MS;
    *deadline_ns = NO_DEADLINE;
    if (min == 0) {
        if (have > 0 || time == 0)
            return true;
        *deadline_ns = task_deadline(task, time_ns);
        return false;
    }
    if (have >= min)
        return true;
    if (time > 0 && have > 0)
        *deadline_ns = sched_now_ns(task->kernel->sched) + time_ns;
    return false;
}

/* Until there is something: 1; 0 for the end; -errno. */
SLEEPS static int slave_wait(struct task *task, struct file *file, u64 wanted)
{
    struct pty *pty = pty_of(file);
    for (;;) {
        int err = tty_check_background(task, &pty->tty, LINUX_SIGTTIN);
        if (err)
            return err;
        bool is_eof;
        size_t have = ldisc_readable(pty, &is_eof);
        bool is_canonical = pty->termios.lflag & LINUX_ICANON;
        u64 deadline_ns = NO_DEADLINE;
        if (is_eof || (is_canonical && have > 0))
            return 1;
        if (!pty->is_master_open)
            return have > 0;
        if (!is_canonical && (raw_is_ready(task, pty, have, &deadline_ns) || have >= wanted))
            return have > 0;
        if (file->flags & O_NONBLOCK)
            return have > 0 ? 1 : -EAGAIN;
        err = sleep_on(&pty->slave_changed, task, deadline_ns);
        if (err == -ETIMEDOUT)
            return ldisc_readable(pty, &is_eof) > 0;
        if (err)
            return err;
    }
}

SLEEPS static i64 slave_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct pty *pty = pty_of(file);
    if (uio->remaining == 0)
        return 0;
    int ready = slave_wait(task, file, uio->remaining);
    if (ready <= 0)
        return ready;
    bool is_eof;
    size_t have = ldisc_readable(pty, &is_eof);
    u64 size = MIN((u64)have, uio->remaining);
    i64 moved = size ? uio_put(uio, buf_bytes(&pty->input), size) : 0;
    if (moved < 0)
        return moved;
    ldisc_consumed(pty, (size_t)moved);
    wake_master(pty);
    return moved;
}

SLEEPS static i64 slave_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct pty *pty = pty_of(file);
    u64 moved = task->progress.bytes;
    uio_skip(uio, moved);
    while (uio->remaining > 0) {
        int err = pty->termios.lflag & LINUX_TOSTOP
                      ? tty_check_background(task, &pty->tty, LINUX_SIGTTOU)
                      : 0;
        if (!pty->is_master_open)
            err = -EIO;
        if (err)
            return moved > 0 ? (i64)moved : err;
        u8 bounce[512];
        i64 got = uio_take(uio, bounce, MIN(uio->remaining, (u64)sizeof bounce));
        if (got <= 0)
            return moved > 0 ? (i64)moved : got;
        size_t taken = ldisc_output(pty, bounce, (size_t)got);
        uio_revert(uio, (u64)got - taken);
        moved += taken;
        if (taken > 0) {
            wake_master(pty);
            continue;
        }
        if (file->flags & O_NONBLOCK)
            return moved > 0 ? (i64)moved : -EAGAIN;
        if (sleep_on(&pty->slave_changed, task, NO_DEADLINE))
            return task_interrupted(task, moved);
    }
    return (i64)moved;
}

static u32 slave_poll(struct file *file, struct poll_table *table)
{
    struct pty *pty = pty_of(file);
    if (table)
        (void)!table->add(table, file, &pty->slave_changed);
    if (!pty->is_master_open)
        return POLL_IN | POLL_RDNORM | POLL_OUT | POLL_HUP;
    bool is_eof;
    u32 ready = ldisc_readable(pty, &is_eof) > 0 || is_eof ? POLL_IN | POLL_RDNORM : 0;
    if (pty->output.size + 2 <= PTY_OUTPUT_MAX && !pty->is_stopped)
        ready |= POLL_OUT | POLL_WRNORM;
    return ready;
}

static void slave_release(struct file *file)
{
    struct pty *pty = pty_of(file);
    ASSERT(pty->slave_count > 0);
    if (--pty->slave_count == 0)
        wake_up(&pty->master_changed, POLL_IN | POLL_HUP);
}

int pty_open_slave(struct task *task, struct pty *pty, struct file *file)
{
    if (!pty->is_master_open || pty->is_locked)
        return -EIO;
    object_get_(&pty->tty.object);
    file->private_object = &pty->tty.object;
    file->ops = &pty_slave_ops;
    pty->slave_count++;
    pty->was_slave_open = true;
    if (!(file->flags & O_NOCTTY) && file_may_read(file))
        tty_maybe_control(task, &pty->tty);
    return 0;
}

/* ---- ioctls --------------------------------------------------------------------------------- */

/* Where no devpts is in sight. */
SLEEPS static int open_nameless_peer(struct task *task, struct pty *pty, u32 flags,
                                     struct file **out)
{
    struct file *slave;
    int err = file_create_anon(task->kernel, "pts:", &pty_slave_ops, NULL, flags,
                               LINUX_S_IFCHR | 0620, &slave);
    if (err)
        return err;
    err = pty_open_slave(task, pty, slave);
    if (err) {
        slave->ops = &path_file_ops; /* it never was a slave */
        object_put(&slave->object);
        return err;
    }
    slave->flags &= ~(u32)O_NOCTTY;
    *out = slave;
    return 0;
}

SLEEPS static int set_termios(struct task *task, struct file *file, struct pty *pty, u32 request,
                              u64 arg)
{
    struct linux_termios termios;
    int err = file->ops == &pty_slave_ops ? tty_check_background(task, &pty->tty, LINUX_SIGTTOU)
                                          : 0;
    if (!err)
        err = copy_from_user(task, &termios, uaddr_make(arg), sizeof termios);
    if (err)
        return err;
    if (request == LINUX_TCSETSF)
        ldisc_flush_input(pty);
    ldisc_set_termios(pty, &termios);
    wake_slave(pty);
    wake_master(pty);
    return 0;
}

SLEEPS static int set_size(struct task *task, struct pty *pty, u64 arg)
{
    struct linux_winsize size;
    int err = copy_from_user(task, &size, uaddr_make(arg), sizeof size);
    if (err)
        return err;
    if (memcmp(&size, &pty->size, sizeof size) == 0)
        return 0;
    pty->size = size;
    tty_signal_foreground(&pty->tty, LINUX_SIGWINCH);
    return 0;
}

static int flush_queues(struct pty *pty, u64 which, bool is_master)
{
    if (which > 2)
        return -EINVAL;
    bool flushes_input = which != 1, flushes_output = which != 0;
    if (is_master ? flushes_output : flushes_input) /* the slave's input is the master's output */
        ldisc_flush_input(pty);
    if (is_master ? flushes_input : flushes_output)
        buf_clear(&pty->output);
    if (!is_master && pty->is_packet)
        pty->packet_events |= (flushes_input ? PACKET_FLUSHREAD : 0) |
                              (flushes_output ? PACKET_FLUSHWRITE : 0);
    wake_master(pty);
    wake_slave(pty);
    return 0;
}

SLEEPS static i64 common_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    struct pty *pty = pty_of(file);
    bool is_master = file->ops == &pty_master_ops;
    bool is_eof;
    i32 number;
    switch (request) {
    case LINUX_TCGETS:
        return copy_to_user(task, uaddr_make(arg), &pty->termios, sizeof pty->termios);
    case LINUX_TCSETS:
    case LINUX_TCSETSW:
    case LINUX_TCSETSF:
        return set_termios(task, file, pty, request, arg);
    case LINUX_TIOCGWINSZ:
        return copy_to_user(task, uaddr_make(arg), &pty->size, sizeof pty->size);
    case LINUX_TIOCSWINSZ:
        return set_size(task, pty, arg);
    case LINUX_TCFLSH:
        return flush_queues(pty, arg, is_master);
    case LINUX_TCSBRK:
    case LINUX_TCSBRKP:
        return 0;
    case LINUX_TCXONC:
        pty->is_stopped = arg == 0 ? true : arg == 1 ? false : pty->is_stopped;
        wake_slave(pty);
        return arg > 3 ? -EINVAL : 0;
    case LINUX_FIONREAD:
        number = is_master ? (i32)pty->output.size : (i32)ldisc_readable(pty, &is_eof);
        return copy_to_user(task, uaddr_make(arg), &number, sizeof number);
    case LINUX_TIOCOUTQ:
        number = is_master ? 0 : (i32)pty->output.size;
        return copy_to_user(task, uaddr_make(arg), &number, sizeof number);
    case LINUX_TIOCGETD:
        number = 0;
        return copy_to_user(task, uaddr_make(arg), &number, sizeof number);
    default: {
        i64 result = tty_job_ioctl(task, &pty->tty, request, arg);
        return result == TTY_NOT_MINE ? -ENOTTY : result;
    }
    }
}

SLEEPS static i64 master_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    struct pty *pty = pty_of(file);
    i32 number = 0;
    int err;
    switch (request) {
    case LINUX_TIOCGPTN:
        return copy_to_user(task, uaddr_make(arg), &pty->number, sizeof pty->number);
    case LINUX_TIOCSPTLCK:
        err = copy_from_user(task, &number, uaddr_make(arg), sizeof number);
        if (!err)
            pty->is_locked = number != 0;
        return err;
    case LINUX_TIOCGPTLCK:
        number = pty->is_locked;
        return copy_to_user(task, uaddr_make(arg), &number, sizeof number);
    case LINUX_TIOCPKT:
        err = copy_from_user(task, &number, uaddr_make(arg), sizeof number);
        if (!err) {
            pty->is_packet = number != 0;
            pty->packet_events = 0;
        }
        return err;
    case LINUX_TIOCGPKT:
        number = pty->is_packet;
        return copy_to_user(task, uaddr_make(arg), &number, sizeof number);
    case LINUX_TIOCGPTPEER: {
        struct file *slave;
        bool was_locked = pty->is_locked;
        pty->is_locked = false;
        err = devpts_open_peer(task, file, pty, (u32)arg & ~(u32)O_CLOEXEC, &slave);
        if (err)
            err = open_nameless_peer(task, pty, (u32)arg & ~(u32)O_CLOEXEC, &slave);
        pty->is_locked = was_locked;
        return err ? err : fd_install(task, slave, (u32)arg);
    }
    default:
        return common_ioctl(task, file, request, arg);
    }
}

const struct file_ops pty_master_ops = {
    .read = master_read,
    .write = master_write,
    .poll = master_poll,
    .ioctl = master_ioctl,
    .release = master_release,
};

const struct file_ops pty_slave_ops = {
    .read = slave_read,
    .write = slave_write,
    .poll = slave_poll,
    .ioctl = common_ioctl,
    .release = slave_release,
};
