/* SPDX-License-Identifier: Apache-2.0 */
/* Completion queues of io_setup(2). Operations themselves run in syscalls/aio.c, in their
 * submitter. */
#include "sentry/fs/aio.h"

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/fields.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

static void aio_destroy(struct object *object)
{
    buf_fini(&container_of(object, struct aio, object)->events);
}

static const struct field aio_fields[] = {
    FIELD_NONE(struct aio, object, "the walker's own header"),
    FIELD_BUF(struct aio, events),
    FIELD_NONE(struct aio, running, "nothing runs while the sandbox is quiet"),
    FIELD(struct aio, events_max),
    FIELD(struct aio, is_dead),
    FIELD_NONE(struct aio, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct aio, aio_fields);

const struct kind aio_kind = {
    .name = "aio", .size = sizeof(struct aio), .fields = aio_fields, .destroy = aio_destroy};

/* Only to be mapped, and that as any file of tmpfs. */
const struct file_ops aio_ops = {.is_seekable = false};

struct aio *aio_of(const struct file *file)
{
    return file->ops == &aio_ops ? container_of(file->private_object, struct aio, object) : NULL;
}

int aio_create_file(struct task *task, u32 events_max, struct file **out)
{
    struct kernel *kernel = task->kernel;
    AUTO_PUT struct inode *inode = NULL;
    AUTO_PUT struct aio *aio = object_create(kernel->arena, &aio_kind);
    if (!aio)
        return -ENOMEM;
    buf_init(&aio->events, kernel->arena, 0);
    aio->events_max = events_max;
    int err = tmpfs_inode_create(kernel->vfs->shmfs, LINUX_S_IFREG | 0600, task->cred->fsuid,
                                 task->cred->fsgid, &inode);
    if (err)
        return err;
    inode->link_count = 0;
    inode->size = inode->mapping.size = PAGE_SIZE;
    struct file *file;
    err = file_create_on_inode(kernel, inode, "/[aio] (deleted)", LINUX_O_RDWR, &file);
    if (err)
        return err;
    file->ops = &aio_ops;
    file->private_object = &MOVE(aio)->object;
    *out = file;
    return 0;
}

static u64 event_count(const struct aio *aio)
{
    return aio->events.size / sizeof(struct linux_io_event);
}

int aio_begin(struct aio *aio)
{
    if (aio->is_dead)
        return -EINVAL;
    if (event_count(aio) + aio->running >= aio->events_max)
        return -EAGAIN;
    u8 *room;
    int err = buf_reserve(&aio->events, (aio->running + 1u) * sizeof(struct linux_io_event), &room);
    if (!err)
        aio->running++;
    return err;
}

void aio_complete(struct aio *aio, const struct linux_io_event *event)
{
    ASSERT(aio->running > 0);
    aio->running--;
    int err = buf_append(&aio->events, event, sizeof *event);
    ASSERT(err == 0); /* reserved by aio_begin; taking events only makes room */
    wake_up_all(&aio->changed);
}

void aio_kill(struct aio *aio)
{
    aio->is_dead = true;
    wake_up_all(&aio->changed);
}

int aio_wait(struct task *task, struct aio *aio, u64 min, u64 deadline_ns)
{
    while (event_count(aio) < min) {
        if (aio->is_dead)
            return -EINVAL;
        int err = sleep_on(&aio->changed, task, deadline_ns);
        if (err)
            return err;
    }
    return 0;
}

bool aio_take(struct aio *aio, struct linux_io_event *out)
{
    if (buf_is_empty(&aio->events))
        return false;
    __builtin_memcpy(out, buf_bytes(&aio->events), sizeof *out);
    buf_consume(&aio->events, sizeof *out);
    return true;
}
