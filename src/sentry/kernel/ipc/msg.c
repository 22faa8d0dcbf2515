/* SPDX-License-Identifier: Apache-2.0 */
/* Message queues (msgop(2)). */
#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/ipc/ipc.h"

static const struct field msg_fields[] = {
    FIELD_NONE(struct msg, object, "the walker's own header"),
    FIELD_NONE(struct msg, link, "its queue's list"),
    FIELD(struct msg, type),
    FIELD_BUF(struct msg, text),
    FIELD_END,
};
FIELDS_COMPLETE(struct msg, msg_fields);

static void msg_destroy(struct object *object)
{
    buf_fini(&container_of(object, struct msg, object)->text);
}

const struct kind msg_kind = {
    .name = "msg", .size = sizeof(struct msg), .fields = msg_fields, .destroy = msg_destroy};

static const struct field msg_queue_fields[] = {
    FIELD_STRUCT(struct msg_queue, ipc, ipc_object_fields),
    FIELD_LIST(struct msg_queue, messages, struct msg, link, true),
    FIELD(struct msg_queue, count),
    FIELD(struct msg_queue, bytes),
    FIELD(struct msg_queue, bytes_max),
    FIELD(struct msg_queue, stime),
    FIELD(struct msg_queue, rtime),
    FIELD(struct msg_queue, sender_pid),
    FIELD(struct msg_queue, receiver_pid),
    FIELD_NONE(struct msg_queue, readable, "a sleeper starts its system call again"),
    FIELD_NONE(struct msg_queue, writable, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct msg_queue, msg_queue_fields);

static void msg_queue_destroy(struct object *object)
{
    struct msg_queue *queue = container_of(object, struct msg_queue, ipc.object);
    while (queue->messages.next && !list_is_empty(&queue->messages)) {
        struct msg *msg = list_first(&queue->messages, struct msg, link);
        list_remove(&msg->link);
        REF_PUT(msg);
    }
}

/* The counts are made from the messages, so that no image can make them disagree. */
static int msg_queue_loaded(struct object *object, struct state_reader *reader)
{
    struct msg_queue *queue = container_of(object, struct msg_queue, ipc.object);
    const struct msg *msg;
    queue->count = queue->bytes = 0;
    list_for_each (msg, &queue->messages, link) {
        queue->count++;
        queue->bytes += msg->text.size;
    }
    return 0;
}

const struct kind msg_queue_kind = {.name = "msg_queue",
                                    .size = sizeof(struct msg_queue),
                                    .fields = msg_queue_fields,
                                    .destroy = msg_queue_destroy,
                                    .loaded = msg_queue_loaded};

static struct msg_queue *queue_of(struct ipc_object *object)
{
    return object ? container_of(object, struct msg_queue, ipc) : NULL;
}

int msg_create(struct kernel *kernel, i64 type, struct msg **out)
{
    struct msg *msg = object_create(kernel->arena, &msg_kind);
    if (!msg)
        return -ENOMEM;
    msg->type = type;
    buf_init(&msg->text, kernel->arena, MSG_SIZE_MAX);
    *out = msg;
    return 0;
}

int msg_get(struct task *task, i32 key, u32 flags)
{
    struct ipc_table *table;
    int err = ipc_table_get(task->kernel, &task->ns->ipc_ns->msg, &table);
    if (err)
        return err;
    struct msg_queue *queue = queue_of(ipc_find_key(table, key));
    if (queue) {
        if (flags & LINUX_IPC_CREAT && flags & LINUX_IPC_EXCL)
            return -EEXIST;
        err = ipc_permission(task, &queue->ipc, (flags & 0777) >> 6);
        return err ? err : queue->ipc.id;
    }
    if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
        return -ENOENT;
    queue = object_create(task->kernel->arena, &msg_queue_kind);
    if (!queue)
        return -ENOMEM;
    list_init(&queue->messages);
    queue->bytes_max = MSG_QUEUE_BYTES;
    return ipc_insert(table, &queue->ipc, task, key, flags, MSG_QUEUES_MAX);
}

int msg_find(struct task *task, i32 id, bool by_index, struct msg_queue **out)
{
    struct ipc_table *table;
    int err = ipc_table_get(task->kernel, &task->ns->ipc_ns->msg, &table);
    if (err)
        return err;
    struct ipc_object *found = ipc_find(table, id, by_index);
    if (!found)
        return -EINVAL;
    *out = queue_of(found);
    return 0;
}

void msg_remove(struct task *task, struct msg_queue *queue)
{
    struct ipc_table *table = container_of(task->ns->ipc_ns->msg, struct ipc_table, object);
    object_get_(&queue->ipc.object);
    ipc_remove(table, &queue->ipc);
    wake_up_all(&queue->readable);
    wake_up_all(&queue->writable);
    object_put(&queue->ipc.object);
}

static bool has_room(const struct msg_queue *queue, u64 size)
{
    return queue->bytes + size <= queue->bytes_max && queue->count + 1 <= queue->bytes_max;
}

SLEEPS int msg_send(struct task *task, i32 id, struct msg *taken, u32 flags)
{
    AUTO_PUT struct msg *msg = taken;
    struct msg_queue *found;
    int err = msg_find(task, id, false, &found);
    if (!err)
        err = ipc_permission(task, &found->ipc, 2);
    if (err)
        return err;
    object_get_(&found->ipc.object);
    AUTO_PUT struct msg_queue *queue = found;
    while (!has_room(queue, msg->text.size)) {
        if (flags & LINUX_IPC_NOWAIT)
            return -EAGAIN;
        err = sleep_on(&queue->writable, task, NO_DEADLINE);
        if (queue->ipc.is_removed)
            return -EIDRM;
        if (err)
            return err;
    }
    queue->count++;
    queue->bytes += msg->text.size;
    queue->stime = ipc_now(task->kernel);
    queue->sender_pid = task->group->leader->root_tid;
    list_add_tail(&queue->messages, &msg->link);
    msg = NULL;
    wake_up_all(&queue->readable);
    return 0;
}

static bool is_wanted(const struct msg *msg, i64 type, u32 flags)
{
    if (type == 0)
        return true;
    if (type < 0)
        return msg->type <= -type;
    return flags & LINUX_MSG_EXCEPT ? msg->type != type : msg->type == type;
}

/* msgop(2): the first that fits; of several types up to -TYPE the lowest one. */
static struct msg *choose(const struct msg_queue *queue, i64 type, u32 flags)
{
    struct msg *msg, *best = NULL;
    i64 index = 0;
    list_for_each (msg, &queue->messages, link) {
        if (flags & LINUX_MSG_COPY) {
            if (index++ == type)
                return msg;
            continue;
        }
        if (!is_wanted(msg, type, flags) || (best && msg->type >= best->type))
            continue;
        best = msg;
        if (type >= 0)
            return best;
    }
    return best;
}

static void take_out(struct task *task, struct msg_queue *queue, struct msg *msg)
{
    list_remove(&msg->link);
    queue->count--;
    queue->bytes -= msg->text.size;
    queue->rtime = ipc_now(task->kernel);
    queue->receiver_pid = task->group->leader->root_tid;
    wake_up_all(&queue->writable);
}

SLEEPS int msg_receive(struct task *task, i32 id, i64 type, u64 size, u32 flags, struct msg **out)
{
    struct msg_queue *found;
    if (type == INT64_MIN)
        type = -INT64_MAX;
    int err = msg_find(task, id, false, &found);
    if (!err)
        err = ipc_permission(task, &found->ipc, 4);
    if (err)
        return err;
    object_get_(&found->ipc.object);
    AUTO_PUT struct msg_queue *queue = found;
    for (;;) {
        struct msg *msg = choose(queue, type, flags);
        if (msg && msg->text.size > size && !(flags & LINUX_MSG_NOERROR))
            return -E2BIG;
        if (msg && flags & LINUX_MSG_COPY)
            object_get_(&msg->object);
        else if (msg)
            take_out(task, queue, msg); /* the list's reference goes to the caller */
        if (msg) {
            *out = msg;
            return 0;
        }
        if (flags & (LINUX_IPC_NOWAIT | LINUX_MSG_COPY))
            return -ENOMSG;
        err = sleep_on(&queue->readable, task, NO_DEADLINE);
        if (queue->ipc.is_removed)
            return -EIDRM;
        if (err)
            return err;
    }
}

void msg_totals(struct task *task, u64 *queues, u64 *messages, u64 *bytes, u32 *index_max)
{
    struct ipc_table *table;
    struct ipc_object *entry;
    *queues = *messages = *bytes = *index_max = 0;
    if (ipc_table_get(task->kernel, &task->ns->ipc_ns->msg, &table))
        return;
    *index_max = ipc_index_max(table);
    map_for_each (&table->by_index, index, entry) {
        ++*queues;
        *messages += queue_of(entry)->count;
        *bytes += queue_of(entry)->bytes;
    }
}
