/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues: messages by priority, then age. Whoever sends into an empty queue that
 * nobody waits at tells the process that asked for it, once.
 */
#include "sentry/fs/mqueue.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "base/fields.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/poll.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/pid.h"

struct mqueue_message {
    struct object object;
    struct list link;
    u32 priority;
    struct buf bytes;
};

struct mqueue {
    struct object object;
    struct list messages; /* struct mqueue_message.link, owned, the next to be received first */
    u64 message_count, byte_count;
    u64 messages_max, message_size;
    struct pid *notify_pid; /* counted: whom to tell, or NULL */
    i32 notify_signo;       /* 0: in no way, but nobody else may ask */
    u64 notify_value;
    u32 receivers_waiting;
    struct wait_queue readers, writers;
};

/* ---- kinds --------------------------------------------------------------------------------- */

static void message_destroy(struct object *object)
{
    buf_fini(&container_of(object, struct mqueue_message, object)->bytes);
}

static const struct field mqueue_message_fields[] = {
    FIELD_NONE(struct mqueue_message, object, "the walker's own header"),
    FIELD_NONE(struct mqueue_message, link, "the queue's list"),
    FIELD(struct mqueue_message, priority),
    FIELD_BUF(struct mqueue_message, bytes),
    FIELD_END,
};
FIELDS_COMPLETE(struct mqueue_message, mqueue_message_fields);

const struct kind mqueue_message_kind = {.name = "mqueue_message",
                                         .size = sizeof(struct mqueue_message),
                                         .fields = mqueue_message_fields,
                                         .destroy = message_destroy};

static void mqueue_destroy(struct object *object)
{
    struct mqueue *queue = container_of(object, struct mqueue, object);
    struct mqueue_message *message, *next;
    list_for_each_safe (message, next, &queue->messages, link) {
        list_remove(&message->link);
        REF_PUT(message);
    }
    REF_CLEAR(queue->notify_pid);
}

static const struct field mqueue_fields[] = {
    FIELD_NONE(struct mqueue, object, "the walker's own header"),
    FIELD_LIST(struct mqueue, messages, struct mqueue_message, link, true),
    FIELD(struct mqueue, message_count),
    FIELD(struct mqueue, byte_count),
    FIELD(struct mqueue, messages_max),
    FIELD(struct mqueue, message_size),
    FIELD_REF(struct mqueue, notify_pid, struct pid),
    FIELD(struct mqueue, notify_signo),
    FIELD(struct mqueue, notify_value),
    FIELD_NONE(struct mqueue, receivers_waiting, "a sleeper starts its system call again"),
    FIELD_NONE(struct mqueue, readers, "a sleeper starts its system call again"),
    FIELD_NONE(struct mqueue, writers, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct mqueue, mqueue_fields);

const struct kind mqueue_kind = {.name = "mqueue",
                                 .size = sizeof(struct mqueue),
                                 .fields = mqueue_fields,
                                 .destroy = mqueue_destroy};

static struct mqueue *mqueue_of(const struct file *file)
{
    return container_of(file->private_object, struct mqueue, object);
}

bool file_is_mqueue(const struct file *file)
{
    return file->ops == &mqueue_ops;
}

/* ---- sending and receiving ----------------------------------------------------------------- */

static void tell(struct mqueue *queue, const struct task *sender)
{
    struct pid *pid = MOVE(queue->notify_pid);
    if (pid->task && queue->notify_signo) {
        struct linux_siginfo info;
        signal_info_user(&info, queue->notify_signo, LINUX_SI_MESGQ, sender, pid->task->group);
        info.sender.value = queue->notify_value;
        (void)!signal_send_group(pid->task->group, &info);
    }
    REF_PUT(pid);
}

/* Behind all of its priority. */
static void insert(struct mqueue *queue, struct mqueue_message *message)
{
    struct list *at = queue->messages.prev;
    while (at != &queue->messages &&
           list_entry(at, struct mqueue_message, link)->priority < message->priority)
        at = at->prev;
    list_add_tail(at->next, &message->link);
    queue->message_count++;
    queue->byte_count += message->bytes.size;
}

int mqueue_send(struct task *task, struct file *file, const void *bytes, u64 size, u32 priority,
                u64 deadline_ns)
{
    struct mqueue *queue = mqueue_of(file);
    if (size > queue->message_size)
        return -EMSGSIZE;
    struct arena *arena = task->kernel->arena;
    AUTO_PUT struct mqueue_message *message = object_create(arena, &mqueue_message_kind);
    if (!message)
        return -ENOMEM;
    message->priority = priority;
    buf_init(&message->bytes, arena, 0);
    int err = buf_append(&message->bytes, bytes, size);
    while (!err && queue->message_count >= queue->messages_max) {
        if (file->flags & LINUX_O_NONBLOCK)
            return -EAGAIN;
        err = sleep_on(&queue->writers, task, deadline_ns);
    }
    if (err)
        return err;
    bool was_empty = queue->message_count == 0;
    insert(queue, MOVE(message));
    if (was_empty && queue->notify_pid && queue->receivers_waiting == 0)
        tell(queue, task);
    wake_up(&queue->readers, POLL_IN | POLL_RDNORM);
    return 0;
}

i64 mqueue_receive(struct task *task, struct file *file, void *out, u64 size, u32 *priority,
                   u64 deadline_ns)
{
    struct mqueue *queue = mqueue_of(file);
    if (size < queue->message_size)
        return -EMSGSIZE;
    while (queue->message_count == 0) {
        if (file->flags & LINUX_O_NONBLOCK)
            return -EAGAIN;
        queue->receivers_waiting++;
        int err = sleep_on(&queue->readers, task, deadline_ns);
        queue->receivers_waiting--;
        if (err)
            return err;
    }
    struct mqueue_message *message = list_first(&queue->messages, struct mqueue_message, link);
    list_remove(&message->link);
    i64 taken = (i64)message->bytes.size;
    if (taken > 0)
        memcpy(out, buf_bytes(&message->bytes), message->bytes.size);
    *priority = message->priority;
    queue->message_count--;
    queue->byte_count -= message->bytes.size;
    REF_PUT(message);
    wake_up(&queue->writers, POLL_OUT | POLL_WRNORM);
    return taken;
}

void mqueue_attributes(const struct file *file, struct linux_mq_attr *out)
{
    const struct mqueue *queue = mqueue_of(file);
    *out = (struct linux_mq_attr){.flags = file->flags & LINUX_O_NONBLOCK,
                                  .messages_max = (i64)queue->messages_max,
                                  .message_size = (i64)queue->message_size,
                                  .messages = (i64)queue->message_count};
}

int mqueue_notify(struct task *task, struct file *file, i32 signo, u64 value)
{
    struct mqueue *queue = mqueue_of(file);
    if (queue->notify_pid)
        return -EBUSY;
    queue->notify_pid = REF_GET(task->group->leader->pid);
    queue->notify_signo = signo;
    queue->notify_value = value;
    return 0;
}

void mqueue_notify_end(struct task *task, struct file *file)
{
    struct mqueue *queue = mqueue_of(file);
    if (queue->notify_pid && task->group && queue->notify_pid == task->group->leader->pid)
        REF_CLEAR(queue->notify_pid);
}

/* ---- the file ------------------------------------------------------------------------------ */

/* What `cat /dev/mqueue/NAME` shows. */
SLEEPS static i64 mqueue_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    const struct mqueue *queue = mqueue_of(file);
    const struct pid *pid = queue->notify_pid;
    AUTO_BUF struct buf text;
    buf_init(&text, task->kernel->arena, 0);
    int err = buf_printf(&text, "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6u\n",
                         (unsigned long long)queue->byte_count, pid && !queue->notify_signo ? 1 : 0,
                         pid ? queue->notify_signo : 0, pid ? pid->nrs[0] : 0);
    if (err)
        return err;
    return offset < text.size ? uio_put(uio, buf_bytes(&text) + offset, text.size - offset) : 0;
}

static u32 mqueue_poll(struct file *file, struct poll_table *table)
{
    struct mqueue *queue = mqueue_of(file);
    poll_add(table, file, &queue->readers);
    poll_add(table, file, &queue->writers);
    u32 ready = queue->message_count > 0 ? POLL_IN | POLL_RDNORM : 0;
    return queue->message_count < queue->messages_max ? ready | POLL_OUT | POLL_WRNORM : ready;
}

SLEEPS static int mqueue_flush(struct task *task, struct file *file)
{
    mqueue_notify_end(task, file);
    return 0;
}

const struct file_ops mqueue_ops = {
    .read = mqueue_read,
    .poll = mqueue_poll,
    .flush = mqueue_flush,
    .is_seekable = true,
};

MUST_CHECK static int queue_create(struct inode *inode, u64 messages_max, u64 message_size)
{
    struct mqueue *queue = object_create(inode->object.arena, &mqueue_kind);
    if (!queue)
        return -ENOMEM;
    list_init(&queue->messages);
    queue->messages_max = messages_max;
    queue->message_size = message_size;
    inode->fifo = &queue->object;
    inode->size = inode->mapping.size = 80; /* of the text above */
    return 0;
}

int mqueue_open_inode(struct task *task, struct inode *inode, struct file *file)
{
    int err = inode->fifo ? 0 : queue_create(inode, MQUEUE_MESSAGES_DEFAULT, MQUEUE_SIZE_DEFAULT);
    if (err)
        return err;
    object_get_(inode->fifo);
    file->private_object = inode->fifo;
    file->ops = &mqueue_ops;
    return 0;
}

/* ---- names --------------------------------------------------------------------------------- */

/* The file system of TASK's IPC namespace; lent. Made at first use. */
MUST_CHECK static int mqueue_super(struct task *task, struct super **out)
{
    struct ipc_ns *ipc = task->ns ? task->ns->ipc_ns : task->kernel->root_ipc_ns;
    if (!ipc->mqueue) {
        struct super *super;
        int err = tmpfs_create_plain(task->kernel, "mqueue", LINUX_MQUEUE_MAGIC, 0, 01777, &super);
        if (err)
            return err;
        ipc->mqueue = &super->object;
    }
    *out = container_of(ipc->mqueue, struct super, object);
    return 0;
}

int mqueue_mount(struct task *task, const char *source, u32 flags, const char *options,
                 struct super **out)
{
    struct super *super;
    int err = mqueue_super(task, &super);
    if (!err)
        *out = REF_GET(super);
    return err;
}

static int judge_name(const char *name)
{
    if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EACCES;
    if (!name[0])
        return -EINVAL;
    return strlen(name) > NAME_SIZE_MAX ? -ENAMETOOLONG : 0;
}

static int judge_attr(const struct task *task, const struct linux_mq_attr *attr)
{
    bool is_free = task_has_capability(task, CAP_SYS_RESOURCE);
    i64 messages_max = is_free ? MQUEUE_MESSAGES_MAX : MQUEUE_MESSAGES_DEFAULT;
    i64 size_max = is_free ? MQUEUE_SIZE_MAX : MQUEUE_SIZE_DEFAULT;
    if (attr->messages_max <= 0 || attr->message_size <= 0)
        return -EINVAL;
    return attr->messages_max > messages_max || attr->message_size > size_max ? -EINVAL : 0;
}

/* A new file with its queue, or the one that somebody was quicker to make. */
SLEEPS static int make_queue(struct task *task, struct super *super, const char *name, u32 mode,
                             const struct linux_mq_attr *attr, struct dentry **out)
{
    struct dentry *root = super->root;
    const struct linux_mq_attr plain = {.messages_max = MQUEUE_MESSAGES_DEFAULT,
                                        .message_size = MQUEUE_SIZE_DEFAULT};
    int err = attr ? judge_attr(task, attr) : 0;
    if (!err)
        err = inode_permission(task, root->inode, 3);
    if (!err && tmpfs_inode_of(root->inode)->entries.count >= MQUEUES_MAX &&
        !task_has_capability(task, CAP_SYS_RESOURCE))
        err = -ENOSPC;
    if (err)
        return err;
    const struct dir_make_args args = {.what = DIR_MAKE_FILE,
                                       .mode = mode & 0777u & ~task->fs->umask};
    err = dir_make(task, root, name, &args, out);
    if (err)
        return err == -EEXIST ? 0 : err;
    if (!attr)
        attr = &plain;
    err = queue_create((*out)->inode, (u64)attr->messages_max, (u64)attr->message_size);
    if (err)
        (void)!dir_remove(task, root, name, 0, NULL);
    return err;
}

static int judge_access(struct task *task, const struct inode *inode, u32 flags)
{
    static const u32 wants[] = {4, 2, 6};
    u32 access = flags & LINUX_O_ACCMODE;
    if (access == LINUX_O_ACCMODE)
        return -EINVAL;
    return inode_permission(task, inode, wants[access]);
}

/* The description and what it needs of the namespace's file system, which has no mount. */
SLEEPS static int open_dentry(struct task *task, struct dentry *dentry, const char *name, u32 flags,
                              struct file **out)
{
    AUTO_PUT struct file *file = NULL;
    u32 kept = flags & (LINUX_O_ACCMODE | LINUX_O_NONBLOCK);
    char shown[NAME_SIZE_MAX + 2] = "/";
    memcpy(shown + 1, name, strlen(name) + 1);
    int err = file_create_on_inode(task->kernel, dentry->inode, shown, kept, &file);
    if (!err)
        err = mqueue_open_inode(task, dentry->inode, file);
    if (!err)
        *out = MOVE(file);
    return err;
}

int mqueue_open(struct task *task, const char *name, u32 flags, u32 mode,
                const struct linux_mq_attr *attr, struct file **out)
{
    int err = judge_name(name);
    struct super *lent;
    if (!err)
        err = mqueue_super(task, &lent);
    if (err)
        return err;
    AUTO_PUT struct super *super = REF_GET(lent);
    AUTO_PUT struct dentry *dentry = NULL;
    err = dentry_lookup(task, super->root, name, &dentry);
    if (err)
        return err;
    bool is_there = !dentry_is_negative(dentry);
    if (!is_there && !(flags & LINUX_O_CREAT))
        return -ENOENT;
    if (is_there && (flags & LINUX_O_CREAT) && (flags & LINUX_O_EXCL))
        return -EEXIST;
    if (is_there) {
        err = judge_access(task, dentry->inode, flags);
    } else {
        REF_CLEAR(dentry);
        err = make_queue(task, super, name, mode, attr, &dentry);
    }
    return err ? err : open_dentry(task, dentry, name, flags, out);
}

static int judge_unlink(struct task *task, struct dentry *dir, struct dentry *dentry, u32 flags)
{
    int err = inode_permission(task, dir->inode, 3);
    u32 uid = task->cred->fsuid;
    bool is_mine = uid == dentry->inode->uid || uid == dir->inode->uid;
    return err || is_mine || task_has_capability(task, CAP_FOWNER) ? err : -EPERM;
}

int mqueue_unlink(struct task *task, const char *name)
{
    int err = judge_name(name);
    struct super *lent;
    if (!err)
        err = mqueue_super(task, &lent);
    if (err)
        return err;
    AUTO_PUT struct super *super = REF_GET(lent);
    return dir_remove(task, super->root, name, 0, judge_unlink);
}
