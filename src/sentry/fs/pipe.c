/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes and fifos (pipe(7), fifo(7)). A ring of slots of one page each, as Linux counts: a write of
 * at most a page lands in one slot or is added to the last one whole, and that is what makes it
 * atomic. The lock is held while bytes go to or come from the program, whose memory may have to be
 * fetched first.
 */
#include "sentry/fs/pipe.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/poll.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

#define SLOTS_DEFAULT 16u
#define SLOTS_LIMIT (1u << 19)

struct pipe_slot {
    u8 *bytes; /* a page of the arena */
    u32 offset, size;
    bool is_packet; /* O_DIRECT: read(2) takes it alone, and the rest of it is lost */
};

struct pipe {
    struct object object;
    struct pipe_slot *slots; /* ring of slot_max, a power of two */
    u32 slot_max, head, count;
    u64 bytes;
    u8 *spare; /* a free page, so that a busy pipe does not allocate */
    u32 reader_count, writer_count;
    u64 reader_opens, writer_opens; /* fifo(7): openers wait for these to move */
    bool is_anonymous;              /* of pipe(2): opening an end again never waits */
    struct sleep_lock lock;
    struct wait_queue readers, writers;
};

static void pipe_destroy(struct object *object);
static int pipe_save_more(const struct object *object, struct state_writer *writer);
static int pipe_load_more(struct object *object, struct state_reader *reader);

static const struct field pipe_fields[] = {
    FIELD_NONE(struct pipe, object, "the walker's own header"),
    FIELD_NONE(struct pipe, slots, "pipe_save_more"),
    FIELD_NONE(struct pipe, slot_max, "pipe_save_more"),
    FIELD_NONE(struct pipe, head, "pipe_load_more begins at 0"),
    FIELD_NONE(struct pipe, count, "pipe_save_more"),
    FIELD_NONE(struct pipe, bytes, "derived"),
    FIELD_NONE(struct pipe, spare, "only room"),
    FIELD(struct pipe, reader_count),
    FIELD(struct pipe, writer_count),
    FIELD(struct pipe, reader_opens),
    FIELD(struct pipe, writer_opens),
    FIELD(struct pipe, is_anonymous),
    FIELD_NONE(struct pipe, lock, "nobody holds it while the sandbox is quiet"),
    FIELD_NONE(struct pipe, readers, "a sleeper starts its system call again"),
    FIELD_NONE(struct pipe, writers, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct pipe, pipe_fields);

const struct kind pipe_kind = {.name = "pipe",
                               .size = sizeof(struct pipe),
                               .fields = pipe_fields,
                               .destroy = pipe_destroy,
                               .save_more = pipe_save_more,
                               .load_more = pipe_load_more,
                               .discard = pipe_destroy};

/* ---- slots ---------------------------------------------------------------------------------- */

static struct pipe_slot *slot_at(const struct pipe *pipe, u32 index)
{
    return &pipe->slots[(pipe->head + index) & (pipe->slot_max - 1)];
}

MUST_CHECK static u8 *page_take(struct pipe *pipe)
{
    if (pipe->spare)
        return MOVE(pipe->spare);
    return arena_alloc(pipe->object.arena, PAGE_SIZE);
}

static void page_give(struct pipe *pipe, u8 *page)
{
    if (!pipe->spare)
        pipe->spare = page;
    else
        arena_free(pipe->object.arena, page, PAGE_SIZE);
}

static void slot_drop_first(struct pipe *pipe)
{
    struct pipe_slot *slot = slot_at(pipe, 0);
    pipe->bytes -= slot->size;
    page_give(pipe, slot->bytes);
    *slot = (struct pipe_slot){0};
    pipe->head = (pipe->head + 1) & (pipe->slot_max - 1);
    pipe->count--;
}

/* Takes PAGE, of which SIZE bytes at the start count. */
static void slot_add(struct pipe *pipe, u8 *page, u32 size, bool is_packet)
{
    ASSERT(pipe->count < pipe->slot_max);
    *slot_at(pipe,
             pipe->count) = (struct pipe_slot){.bytes = page, .size = size, .is_packet = is_packet};
    pipe->count++;
    pipe->bytes += size;
}

static void pipe_destroy(struct object *object)
{
    struct pipe *pipe = container_of(object, struct pipe, object);
    while (pipe->count > 0)
        slot_drop_first(pipe);
    arena_free(object->arena, pipe->spare, PAGE_SIZE);
    arena_free(object->arena, pipe->slots, pipe->slot_max * sizeof(struct pipe_slot));
}

static int pipe_save_more(const struct object *object, struct state_writer *writer)
{
    const struct pipe *pipe = container_of(object, const struct pipe, object);
    int err = state_write_u64(writer, pipe->slot_max);
    if (!err)
        err = state_write_u64(writer, pipe->count);
    for (u32 i = 0; i < pipe->count && !err; i++) {
        const struct pipe_slot *slot = slot_at(pipe, i);
        err = state_write_u64(writer, (u64)slot->size << 1 | slot->is_packet);
        if (!err)
            err = state_write(writer, slot->bytes + slot->offset, slot->size);
    }
    return err;
}

MUST_CHECK static int load_slot(struct pipe *pipe, struct state_reader *reader)
{
    u64 word;
    int err = state_read_u64(reader, &word);
    if (err)
        return err;
    if (word >> 1 > PAGE_SIZE)
        return -EINVAL;
    u8 *page = page_take(pipe);
    if (!page)
        return -ENOMEM;
    slot_add(pipe, page, (u32)(word >> 1), word & 1);
    return state_read(reader, page, word >> 1);
}

static int pipe_load_more(struct object *object, struct state_reader *reader)
{
    struct pipe *pipe = container_of(object, struct pipe, object);
    u64 slot_max, count;
    int err = state_read_u64(reader, &slot_max);
    if (!err)
        err = state_read_u64(reader, &count);
    if (err)
        return err;
    if (!is_power_of_two(slot_max) || slot_max > SLOTS_LIMIT || count > slot_max)
        return -EINVAL;
    pipe->slots = arena_alloc_array(object->arena, slot_max, sizeof(struct pipe_slot));
    if (!pipe->slots)
        return -ENOMEM;
    pipe->slot_max = (u32)slot_max;
    for (u64 i = 0; i < count && !err; i++)
        err = load_slot(pipe, reader);
    return err;
}

MUST_CHECK static int pipe_create_object(struct arena *arena, struct pipe **out)
{
    struct pipe *pipe = object_create(arena, &pipe_kind);
    if (!pipe)
        return -ENOMEM;
    pipe->slots = arena_alloc_array(arena, SLOTS_DEFAULT, sizeof(struct pipe_slot));
    if (!pipe->slots) {
        REF_PUT(pipe);
        return -ENOMEM;
    }
    pipe->slot_max = SLOTS_DEFAULT;
    *out = pipe;
    return 0;
}

/* ---- waiting -------------------------------------------------------------------------------- */

void pipe_lock(struct task *task, struct pipe *pipe)
{
    sleep_lock(&pipe->lock, &task->fiber);
}

void pipe_unlock(struct task *task, struct pipe *pipe)
{
    sleep_unlock(&pipe->lock, &task->fiber);
}

bool pipe_has_room(const struct pipe *pipe)
{
    return pipe->count < pipe->slot_max;
}

u64 pipe_room(const struct pipe *pipe)
{
    return (u64)(pipe->slot_max - pipe->count) * PAGE_SIZE;
}

static void wake_readers(struct pipe *pipe)
{
    wake_up(&pipe->readers, POLL_IN | POLL_RDNORM);
}

static void wake_writers(struct pipe *pipe)
{
    wake_up(&pipe->writers, POLL_OUT | POLL_WRNORM);
}

static void signal_pipe(struct task *task)
{
    if (task->is_kernel)
        return;
    struct linux_siginfo info;
    signal_info_kernel(&info, LINUX_SIGPIPE);
    (void)!signal_send_task(task, &info);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Move what is there: bytes or -errno. The lock is held. */
SLEEPS static i64 read_slots(struct pipe *pipe, struct uio *uio)
{
    u64 done = 0;
    while (pipe->count > 0 && uio->remaining > 0) {
        struct pipe_slot *slot = slot_at(pipe, 0);
        u64 size = MIN(slot->size, uio->remaining);
        i64 moved = uio_put(uio, slot->bytes + slot->offset, size);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        slot->offset += (u32)moved;
        slot->size -= (u32)moved;
        pipe->bytes -= (u64)moved;
        bool is_packet = slot->is_packet;
        if (slot->size == 0 || is_packet)
            slot_drop_first(pipe);
        if ((u64)moved < size || is_packet)
            break;
    }
    return (i64)done;
}

SLEEPS static i64 pipe_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct pipe *pipe = pipe_of(file);
    if (uio->remaining == 0)
        return 0;
    for (;;) {
        pipe_lock(task, pipe);
        bool was_full = !pipe_has_room(pipe);
        bool has_data = pipe->count > 0;
        i64 result = has_data ? read_slots(pipe, uio) : 0;
        pipe_unlock(task, pipe);
        if (was_full && pipe_has_room(pipe))
            wake_writers(pipe);
        if (has_data || pipe->writer_count == 0)
            return result;
        if (file->flags & LINUX_O_NONBLOCK)
            return -EAGAIN;
        int err = sleep_on(&pipe->readers, task, NO_DEADLINE);
        if (err)
            return err;
    }
}

/* ---- writing -------------------------------------------------------------------------------- */

/* SIZE bytes or none: what stops at bad memory is not written, as on Linux. */
SLEEPS static i64 take_whole(struct uio *uio, u8 *to, u64 size)
{
    i64 moved = uio_take(uio, to, size);
    if (moved >= 0 && (u64)moved < size) {
        uio_revert(uio, (u64)moved);
        return -EFAULT;
    }
    return moved;
}

/* The odd part of a write goes behind what the last slot holds, if it fits there whole. Bytes or
 * -errno. */
SLEEPS static i64 write_merge(struct pipe *pipe, struct uio *uio)
{
    u64 odd = uio->remaining & (PAGE_SIZE - 1);
    if (odd == 0 || pipe->count == 0)
        return 0;
    struct pipe_slot *last = slot_at(pipe, pipe->count - 1);
    if (last->is_packet || last->offset + last->size + odd > PAGE_SIZE)
        return 0;
    i64 moved = take_whole(uio, last->bytes + last->offset + last->size, odd);
    if (moved > 0) {
        last->size += (u32)moved;
        pipe->bytes += (u64)moved;
    }
    return moved;
}

SLEEPS static i64 write_slot(struct pipe *pipe, struct uio *uio, bool is_packet)
{
    u8 *page = page_take(pipe);
    if (!page)
        return -ENOMEM;
    i64 moved = take_whole(uio, page, MIN(uio->remaining, PAGE_SIZE));
    if (moved < 0)
        page_give(pipe, page);
    else
        slot_add(pipe, page, (u32)moved, is_packet);
    return moved;
}

/* Fill free slots: bytes, or -errno if none. The lock is held. */
SLEEPS static i64 write_slots(struct pipe *pipe, struct uio *uio, bool is_packet, bool may_merge)
{
    u64 done = 0;
    i64 moved = may_merge && !is_packet ? write_merge(pipe, uio) : 0;
    while (moved >= 0) {
        done += (u64)moved;
        if (uio->remaining == 0 || !pipe_has_room(pipe))
            return (i64)done;
        moved = write_slot(pipe, uio, is_packet);
    }
    return done ? (i64)done : moved;
}

/* Everything of UIO or until the end of the program's patience; what was moved before is in DONE.
 */
SLEEPS static i64 write_all(struct task *task, struct file *file, struct uio *uio, u64 done)
{
    struct pipe *pipe = pipe_of(file);
    bool may_merge = done == 0;
    for (;;) {
        if (pipe->reader_count == 0) {
            signal_pipe(task);
            return done ? (i64)done : -EPIPE;
        }
        pipe_lock(task, pipe);
        i64 moved = write_slots(pipe, uio, (file->flags & LINUX_O_DIRECT) != 0, may_merge);
        bool is_stuck = !pipe_has_room(pipe);
        pipe_unlock(task, pipe);
        may_merge = false;
        if (moved > 0)
            wake_readers(pipe);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        if (uio->remaining == 0)
            return (i64)done;
        if (!is_stuck) /* cut by bad memory */
            return (i64)done;
        if (file->flags & LINUX_O_NONBLOCK)
            return done ? (i64)done : -EAGAIN;
        if (pipe_has_room(pipe))
            continue;
        int err = sleep_on(&pipe->writers, task, NO_DEADLINE);
        if (err)
            return task_interrupted(task, done);
    }
}

SLEEPS static i64 pipe_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    u64 done = MIN(task->progress.bytes, uio->remaining);
    uio_skip(uio, done);
    if (uio->remaining == 0)
        return (i64)done;
    return write_all(task, file, uio, done);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static u32 pipe_poll(struct file *file, struct poll_table *table)
{
    struct pipe *pipe = pipe_of(file);
    u32 ready = 0;
    if (file_may_read(file)) {
        poll_add(table, file, &pipe->readers);
        if (pipe->count > 0)
            ready |= POLL_IN | POLL_RDNORM;
        if (pipe->writer_count == 0 && file->private_words[0] != pipe->writer_opens)
            ready |= POLL_HUP;
    }
    if (file_may_write(file)) {
        poll_add(table, file, &pipe->writers);
        if (pipe_has_room(pipe))
            ready |= POLL_OUT | POLL_WRNORM;
        if (pipe->reader_count == 0)
            ready |= POLL_ERR;
    }
    return ready;
}

SLEEPS static i64 pipe_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    if (request != LINUX_FIONREAD)
        return -ENOTTY;
    i32 bytes = (i32)pipe_of(file)->bytes;
    return copy_to_user(task, uaddr_make(arg), &bytes, sizeof bytes);
}

static void pipe_release(struct file *file)
{
    struct pipe *pipe = pipe_of(file);
    if (file_may_read(file) && --pipe->reader_count == 0)
        wake_up(&pipe->writers, POLL_OUT | POLL_WRNORM | POLL_ERR | POLL_HUP);
    if (file_may_write(file) && --pipe->writer_count == 0)
        wake_up(&pipe->readers, POLL_IN | POLL_RDNORM | POLL_ERR | POLL_HUP);
    if (pipe->reader_count == 0 && pipe->writer_count == 0 && file->inode->fifo == &pipe->object)
        object_put(MOVE(file->inode->fifo)); /* what nobody has open holds nothing */
}

const struct file_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .ioctl = pipe_ioctl,
    .poll = pipe_poll,
    .release = pipe_release,
};

struct pipe *pipe_of(const struct file *file)
{
    if (file->ops != &pipe_ops)
        return NULL;
    return container_of(file->private_object, struct pipe, object);
}

u64 pipe_capacity(const struct pipe *pipe)
{
    return (u64)pipe->slot_max * PAGE_SIZE;
}

u64 pipe_bytes(const struct pipe *pipe)
{
    return pipe->bytes;
}

static i64 resize(struct pipe *pipe, u32 slots)
{
    if (pipe->count > slots)
        return -EBUSY;
    struct arena *arena = pipe->object.arena;
    struct pipe_slot *next = arena_alloc_array(arena, slots, sizeof *next);
    if (!next)
        return -ENOMEM;
    bool was_full = !pipe_has_room(pipe);
    for (u32 i = 0; i < pipe->count; i++)
        next[i] = *slot_at(pipe, i);
    arena_free(arena, pipe->slots, pipe->slot_max * sizeof *next);
    pipe->slots = next;
    pipe->slot_max = slots;
    pipe->head = 0;
    if (was_full && pipe_has_room(pipe))
        wake_writers(pipe);
    return (i64)pipe_capacity(pipe);
}

i64 pipe_set_capacity(struct task *task, struct pipe *pipe, u64 size)
{
    if (size > (u64)INT32_MAX + 1)
        return -EINVAL;
    u64 slots = MAX((size + PAGE_SIZE - 1) / PAGE_SIZE, (u64)1);
    while (!is_power_of_two(slots))
        slots += slots & -slots;
    u64 bytes_max = task->kernel->vfs->pipe_size_max;
    if (slots > pipe->slot_max && slots * PAGE_SIZE > bytes_max &&
        !task_has_capability(task, CAP_SYS_RESOURCE))
        return -EPERM;
    if (slots > SLOTS_LIMIT)
        return -EINVAL;
    pipe_lock(task, pipe);
    i64 result = resize(pipe, (u32)slots);
    pipe_unlock(task, pipe);
    return result;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int pipe_file(struct kernel *kernel, struct pipe *pipe, struct inode *inode, u32 flags,
                     struct file **out)
{
    int err = file_create_on_inode(kernel, inode, "pipe:", flags, out);
    if (err)
        return err;
    (*out)->ops = &pipe_ops;
    (*out)->private_object = &REF_GET(pipe)->object;
    if (file_may_read(*out))
        pipe->reader_count++;
    else
        pipe->writer_count++;
    return 0;
}

int pipe_create(struct kernel *kernel, u32 flags, struct file **reader, struct file **writer)
{
    AUTO_PUT struct pipe *pipe = NULL;
    AUTO_PUT struct inode *inode = NULL;
    int err = pipe_create_object(kernel->arena, &pipe);
    if (!err)
        err = inode_create_anon(kernel->vfs->pipefs, LINUX_S_IFIFO | 0600, &inode);
    if (err)
        return err;
    inode->fifo = &REF_GET(pipe)->object; /* /proc/PID/fd/N opens it again */
    pipe->writer_opens = 1;
    pipe->is_anonymous = true;
    AUTO_PUT struct file *read_end = NULL;
    err = pipe_file(kernel, pipe, inode, LINUX_O_RDONLY | (flags & LINUX_O_NONBLOCK), &read_end);
    if (err)
        return err;
    err = pipe_file(kernel, pipe, inode,
                    LINUX_O_WRONLY | (flags & (LINUX_O_NONBLOCK | LINUX_O_DIRECT)), writer);
    if (err)
        return err;
    *reader = MOVE(read_end);
    return 0;
}

/* fifo(7): the first opener of one side waits for one of the other. COUNT moves when it comes. */
SLEEPS static int wait_for_other(struct task *task, struct wait_queue *queue, const u64 *opens)
{
    u64 seen = *opens;
    while (*opens == seen) {
        int err = sleep_on(queue, task, NO_DEADLINE);
        if (err)
            return err;
    }
    return 0;
}

SLEEPS static int open_reader(struct task *task, struct pipe *pipe, struct file *file)
{
    pipe->reader_opens++;
    pipe->reader_count++;
    wake_writers(pipe);
    if (pipe->writer_count > 0 || pipe->is_anonymous)
        return 0;
    if (file->flags & LINUX_O_NONBLOCK) {
        file->private_words[0] = pipe->writer_opens; /* no hang-up before the first writer */
        return 0;
    }
    int err = wait_for_other(task, &pipe->readers, &pipe->writer_opens);
    if (err && --pipe->reader_count == 0)
        wake_writers(pipe);
    return err;
}

SLEEPS static int open_writer(struct task *task, struct pipe *pipe, struct file *file)
{
    bool may_wait = !pipe->is_anonymous;
    if (may_wait && (file->flags & LINUX_O_NONBLOCK) && pipe->reader_count == 0)
        return -ENXIO;
    pipe->writer_opens++;
    pipe->writer_count++;
    wake_readers(pipe);
    if (pipe->reader_count > 0 || !may_wait)
        return 0;
    int err = wait_for_other(task, &pipe->writers, &pipe->reader_opens);
    if (err && --pipe->writer_count == 0)
        wake_readers(pipe);
    return err;
}

static void open_both(struct pipe *pipe)
{
    pipe->reader_opens++;
    pipe->writer_opens++;
    pipe->reader_count++;
    pipe->writer_count++;
    wake_readers(pipe);
    wake_writers(pipe);
}

int fifo_open(struct task *task, struct inode *inode, struct file *file)
{
    if (!inode->fifo) {
        struct pipe *fresh;
        int err = pipe_create_object(inode->object.arena, &fresh);
        if (err)
            return err;
        inode->fifo = &fresh->object;
    }
    AUTO_PUT struct pipe *pipe = REF_GET(container_of(inode->fifo, struct pipe, object));
    int err = 0;
    if (file_may_read(file) && file_may_write(file))
        open_both(pipe);
    else
        err = file_may_read(file) ? open_reader(task, pipe, file) : open_writer(task, pipe, file);
    if (err) {
        if (pipe->reader_count == 0 && pipe->writer_count == 0 && inode->fifo == &pipe->object)
            object_put(MOVE(inode->fifo));
        return err;
    }
    file->ops = &pipe_ops;
    file->private_object = &MOVE(pipe)->object;
    return 0;
}

/* ---- for splice.c --------------------------------------------------------------------------- */

int pipe_wait_data(struct task *task, struct pipe *pipe, bool may_block, bool *is_end)
{
    *is_end = false;
    while (pipe->count == 0) {
        if (pipe->writer_count == 0) {
            *is_end = true;
            return 0;
        }
        if (!may_block)
            return -EAGAIN;
        int err = sleep_on(&pipe->readers, task, NO_DEADLINE);
        if (err)
            return err;
    }
    return 0;
}

int pipe_wait_room(struct task *task, struct pipe *pipe, bool may_block)
{
    for (;;) {
        if (pipe->reader_count == 0) {
            signal_pipe(task);
            return -EPIPE;
        }
        if (pipe_has_room(pipe))
            return 0;
        if (!may_block)
            return -EAGAIN;
        int err = sleep_on(&pipe->writers, task, NO_DEADLINE);
        if (err)
            return err;
    }
}

u64 pipe_peek(const struct pipe *pipe, u64 skip, const u8 **bytes)
{
    for (u32 i = 0; i < pipe->count; i++) {
        const struct pipe_slot *slot = slot_at(pipe, i);
        if (skip < slot->size) {
            *bytes = slot->bytes + slot->offset + skip;
            return slot->size - skip;
        }
        skip -= slot->size;
    }
    return 0;
}

void pipe_consume(struct pipe *pipe, u64 size)
{
    bool was_full = !pipe_has_room(pipe);
    while (size > 0) {
        struct pipe_slot *slot = slot_at(pipe, 0);
        ASSERT(pipe->count > 0);
        u64 step = MIN(size, slot->size);
        slot->offset += (u32)step;
        slot->size -= (u32)step;
        pipe->bytes -= step;
        size -= step;
        if (slot->size == 0)
            slot_drop_first(pipe);
    }
    if (was_full && pipe_has_room(pipe))
        wake_writers(pipe);
}

int pipe_append(struct pipe *pipe, const void *bytes, u64 size)
{
    ASSERT(size > 0 && size <= PAGE_SIZE);
    u8 *page = page_take(pipe);
    if (!page)
        return -ENOMEM;
    memcpy(page, bytes, size);
    slot_add(pipe, page, (u32)size, false);
    wake_readers(pipe);
    return 0;
}
