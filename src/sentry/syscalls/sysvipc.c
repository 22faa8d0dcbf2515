/* SPDX-License-Identifier: Apache-2.0 */
/* System V IPC: shmget(2), semop(2), msgop(2) and their relatives. What they do is kernel/ipc's. */
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/ipc/ipc.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

static u32 pid_in(const struct task *task, const struct pid *pid)
{
    return pid ? pid_nr_in(pid, task->pid->ns) : 0;
}

/* A number of the root namespace as the caller sees that process, if it still lives. */
static i32 root_pid_in(const struct task *task, u32 nr)
{
    const struct pid *pid = pid_find(task->kernel->root_pid_ns, nr);
    return (i32)pid_in(task, pid);
}

/* ---- shared memory --------------------------------------------------------------------------------------- */

SLEEPS i64 sys_shmget(struct task *task, const struct sysargs *args)
{
    return shm_get(task, arg_i32(args, 0), arg_u64(args, 1), arg_u32(args, 2));
}

SLEEPS i64 sys_shmat(struct task *task, const struct sysargs *args)
{
    return shm_attach(task, arg_i32(args, 0), arg_u64(args, 1), arg_u32(args, 2));
}

SLEEPS i64 sys_shmdt(struct task *task, const struct sysargs *args)
{
    return shm_detach(task, arg_u64(args, 0));
}

SLEEPS static i64 shm_status(struct task *task, struct shm_segment *segment, u32 command, uaddr at)
{
    int err = command == LINUX_SHM_STAT_ANY ? 0 : ipc_permission(task, &segment->ipc, 4);
    if (err)
        return err;
    struct linux_shmid_ds out = {.size = segment->size,
                                 .atime = segment->atime,
                                 .dtime = segment->dtime,
                                 .ctime = segment->ipc.ctime,
                                 .cpid = (i32)pid_in(task, segment->creator),
                                 .lpid = (i32)pid_in(task, segment->last),
                                 .nattch = shm_attach_count(segment)};
    ipc_show(task, &segment->ipc, &out.perm);
    i32 id = segment->ipc.id;
    err = copy_to_user(task, at, &out, sizeof out);
    return err ? err : command == LINUX_IPC_STAT ? 0 : id;
}

SLEEPS static i64 shm_info(struct task *task, u32 command, uaddr at)
{
    u64 count, pages, resident;
    u32 index_max;
    shm_totals(task, &count, &pages, &resident, &index_max);
    const struct linux_shminfo limits = {
        SHM_SIZE_MAX, 1, SHM_COUNT_MAX, SHM_COUNT_MAX, SHM_SIZE_MAX >> PAGE_SHIFT, {0}};
    const struct linux_shm_info info = {
        .used_ids = (i32)count, .total = pages, .resident = resident};
    int err = command == LINUX_IPC_INFO ? copy_to_user(task, at, &limits, sizeof limits)
                                        : copy_to_user(task, at, &info, sizeof info);
    return err ? err : (i64)index_max;
}

SLEEPS static i64 shm_change(struct task *task, i32 id, u32 command, uaddr at)
{
    struct linux_shmid_ds in;
    struct shm_segment *segment;
    int err = command == LINUX_IPC_SET ? copy_from_user(task, &in, at, sizeof in) : 0;
    if (!err)
        err = shm_find(task, id, false, &segment);
    if (!err && command != LINUX_SHM_LOCK && command != LINUX_SHM_UNLOCK)
        err = ipc_owner(task, &segment->ipc);
    if (err)
        return err;
    if (command == LINUX_IPC_SET) {
        u32 dest = segment->ipc.mode & LINUX_SHM_DEST;
        err = ipc_set(task, &segment->ipc, &in.perm);
        segment->ipc.mode |= dest;
        return err;
    }
    if (command == LINUX_IPC_RMID)
        shm_remove(task, segment);
    return 0;
}

SLEEPS i64 sys_shmctl(struct task *task, const struct sysargs *args)
{
    i32 id = arg_i32(args, 0);
    u32 command = arg_u32(args, 1);
    uaddr at = arg_uaddr(args, 2);
    struct shm_segment *segment;
    if (id < 0 || (i32)command < 0)
        return -EINVAL;
    switch (command) {
    case LINUX_IPC_INFO:
    case LINUX_SHM_INFO:
        return shm_info(task, command, at);
    case LINUX_IPC_STAT:
    case LINUX_SHM_STAT:
    case LINUX_SHM_STAT_ANY: {
        int err = shm_find(task, id, command != LINUX_IPC_STAT, &segment);
        return err ? err : shm_status(task, segment, command, at);
    }
    case LINUX_IPC_SET:
    case LINUX_IPC_RMID:
    case LINUX_SHM_LOCK:
    case LINUX_SHM_UNLOCK:
        return shm_change(task, id, command, at);
    default:
        return -EINVAL;
    }
}

/* ---- semaphores -------------------------------------------------------------------------------------------- */

SLEEPS i64 sys_semget(struct task *task, const struct sysargs *args)
{
    i32 count = arg_i32(args, 1);
    return count < 0 ? -EINVAL : sem_get(task, arg_i32(args, 0), (u32)count, arg_u32(args, 2));
}

SLEEPS static i64 operate(struct task *task, const struct sysargs *args, u64 deadline_ns)
{
    u32 count = arg_u32(args, 2);
    struct linux_sembuf few[16], *ops = few;
    if (count < 1 || arg_i32(args, 0) < 0)
        return -EINVAL;
    if (count > SEM_OPS_MAX)
        return -E2BIG;
    if (count > ARRAY_COUNT(few))
        ops = arena_alloc_array(task->kernel->arena, count, sizeof *ops);
    if (!ops)
        return -ENOMEM;
    int err = copy_from_user(task, ops, arg_uaddr(args, 1), count * sizeof *ops);
    if (!err)
        err = sem_operate(task, arg_i32(args, 0), ops, count, deadline_ns);
    if (ops != few)
        arena_free(task->kernel->arena, ops, count * sizeof *ops);
    return err == -ERESTARTSYS ? task_never_restarts(task) : err;
}

SLEEPS i64 sys_semop(struct task *task, const struct sysargs *args)
{
    return operate(task, args, NO_DEADLINE);
}

SLEEPS i64 sys_semtimedop(struct task *task, const struct sysargs *args)
{
    u64 ns;
    int err = timespec_from_user(task, arg_uaddr(args, 3), &ns);
    return err ? err : operate(task, args, task_deadline(task, ns));
}

SLEEPS static i64 sem_status(struct task *task, i32 id, u32 command, uaddr at)
{
    struct sem_set *set;
    int err = sem_find(task, id, command != LINUX_IPC_STAT, &set);
    if (!err && command != LINUX_SEM_STAT_ANY)
        err = ipc_permission(task, &set->ipc, 4);
    if (err)
        return err;
    struct linux_semid_ds out = {.otime = set->otime, .ctime = set->ipc.ctime, .count = set->count};
    ipc_show(task, &set->ipc, &out.perm);
    i32 found = set->ipc.id;
    err = copy_to_user(task, at, &out, sizeof out);
    return err ? err : command == LINUX_IPC_STAT ? 0 : found;
}

SLEEPS static i64 sem_info(struct task *task, u32 command, uaddr at)
{
    u64 sets, sems;
    u32 index_max;
    sem_totals(task, &sets, &sems, &index_max);
    struct linux_seminfo out = {.semmap = 1024000000,
                                .semmni = SEM_SETS_MAX,
                                .semmns = 1024000000,
                                .semmnu = 1024000000,
                                .semmsl = SEM_COUNT_MAX,
                                .semopm = SEM_OPS_MAX,
                                .semume = SEM_OPS_MAX,
                                .semusz = 20,
                                .semvmx = SEM_VALUE_MAX,
                                .semaem = SEM_VALUE_MAX};
    if (command == LINUX_SEM_INFO) {
        out.semusz = (i32)sets;
        out.semaem = (i32)sems;
    }
    int err = copy_to_user(task, at, &out, sizeof out);
    return err ? err : (i64)index_max;
}

static i64 sem_read_one(const struct task *task, const struct sem_set *set, i32 index, u32 command)
{
    if (index < 0 || (u32)index >= set->count)
        return -EINVAL;
    const struct sem *sem = &set->sems[index];
    switch (command) {
    case LINUX_GETVAL:
        return sem->value;
    case LINUX_GETPID:
        return root_pid_in(task, sem->last_pid);
    case LINUX_GETNCNT:
        return sem->waits_more;
    default:
        return sem->waits_zero;
    }
}

static i64 sem_write_one(struct task *task, struct sem_set *set, i32 index, i32 value)
{
    if (index < 0 || (u32)index >= set->count)
        return -EINVAL;
    if (value < 0 || value > SEM_VALUE_MAX)
        return -ERANGE;
    sem_value_set(task, set, (u32)index, (u16)value);
    return 0;
}

/* All values, out or in. The set may be gone after each copy. */
SLEEPS static i64 sem_move_all(struct task *task, struct sem_set *set, u32 command, uaddr at)
{
    struct arena *arena = task->kernel->arena;
    u32 count = set->count;
    i32 id = set->ipc.id;
    u16 *values = arena_alloc_array(arena, count, sizeof *values);
    if (!values)
        return -ENOMEM;
    int err;
    if (command == LINUX_GETALL) {
        for (u32 i = 0; i < count; i++)
            values[i] = set->sems[i].value;
        err = copy_to_user(task, at, values, count * sizeof *values);
    } else {
        err = copy_from_user(task, values, at, count * sizeof *values);
        for (u32 i = 0; i < count && !err; i++)
            err = values[i] > SEM_VALUE_MAX ? -ERANGE : 0;
        if (!err)
            err = sem_find(task, id, false, &set) ? -EIDRM : 0;
        for (u32 i = 0; i < count && !err; i++)
            sem_value_set(task, set, i, values[i]);
    }
    arena_free(arena, values, count * sizeof *values);
    return err;
}

SLEEPS static i64 sem_owner_call(struct task *task, i32 id, u32 command, uaddr at)
{
    struct linux_semid_ds in;
    struct sem_set *set;
    int err = command == LINUX_IPC_SET ? copy_from_user(task, &in, at, sizeof in) : 0;
    if (!err)
        err = sem_find(task, id, false, &set);
    if (!err)
        err = ipc_owner(task, &set->ipc);
    if (err)
        return err;
    if (command == LINUX_IPC_SET)
        return ipc_set(task, &set->ipc, &in.perm);
    sem_remove(task, set);
    return 0;
}

SLEEPS static i64 sem_value_call(struct task *task, const struct sysargs *args, u32 command)
{
    struct sem_set *set;
    bool writes = command == LINUX_SETVAL || command == LINUX_SETALL;
    int err = sem_find(task, arg_i32(args, 0), false, &set);
    if (!err)
        err = ipc_permission(task, &set->ipc, writes ? 2 : 4);
    if (err)
        return err;
    if (command == LINUX_SETVAL)
        return sem_write_one(task, set, arg_i32(args, 1), arg_i32(args, 3));
    if (command == LINUX_GETALL || command == LINUX_SETALL)
        return sem_move_all(task, set, command, arg_uaddr(args, 3));
    return sem_read_one(task, set, arg_i32(args, 1), command);
}

SLEEPS i64 sys_semctl(struct task *task, const struct sysargs *args)
{
    i32 id = arg_i32(args, 0);
    u32 command = arg_u32(args, 2);
    uaddr at = arg_uaddr(args, 3);
    if (id < 0)
        return -EINVAL;
    switch (command) {
    case LINUX_IPC_INFO:
    case LINUX_SEM_INFO:
        return sem_info(task, command, at);
    case LINUX_IPC_STAT:
    case LINUX_SEM_STAT:
    case LINUX_SEM_STAT_ANY:
        return sem_status(task, id, command, at);
    case LINUX_IPC_SET:
    case LINUX_IPC_RMID:
        return sem_owner_call(task, id, command, at);
    case LINUX_GETVAL:
    case LINUX_GETPID:
    case LINUX_GETNCNT:
    case LINUX_GETZCNT:
    case LINUX_GETALL:
    case LINUX_SETVAL:
    case LINUX_SETALL:
        return sem_value_call(task, args, command);
    default:
        return -EINVAL;
    }
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

SLEEPS i64 sys_msgget(struct task *task, const struct sysargs *args)
{
    return msg_get(task, arg_i32(args, 0), arg_u32(args, 1));
}

SLEEPS static int msg_from_user(struct task *task, uaddr at, u64 size, struct msg **out)
{
    i64 type;
    int err = copy_from_user(task, &type, at, sizeof type);
    if (!err && type < 1)
        err = -EINVAL;
    AUTO_PUT struct msg *msg = NULL;
    if (!err)
        err = msg_create(task->kernel, type, &msg);
    u8 *room = NULL;
    if (!err && size > 0)
        err = buf_reserve(&msg->text, size, &room);
    if (!err && size > 0)
        err = copy_from_user(task, room, uaddr_add(at, sizeof type), size);
    if (err)
        return err;
    buf_grow(&msg->text, size);
    *out = MOVE(msg);
    return 0;
}

SLEEPS i64 sys_msgsnd(struct task *task, const struct sysargs *args)
{
    u64 size = arg_u64(args, 2);
    struct msg *msg;
    if (arg_i32(args, 0) < 0 || size > MSG_SIZE_MAX)
        return -EINVAL;
    int err = msg_from_user(task, arg_uaddr(args, 1), size, &msg);
    if (!err)
        err = msg_send(task, arg_i32(args, 0), msg, arg_u32(args, 3));
    return err == -ERESTARTSYS ? task_never_restarts(task) : err;
}

SLEEPS i64 sys_msgrcv(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 4);
    u64 size = arg_u64(args, 2);
    uaddr at = arg_uaddr(args, 1);
    if (arg_i32(args, 0) < 0 || (i64)size < 0)
        return -EINVAL;
    if (flags & LINUX_MSG_COPY && (flags & LINUX_MSG_EXCEPT || !(flags & LINUX_IPC_NOWAIT)))
        return -EINVAL;
    AUTO_PUT struct msg *msg = NULL;
    int err = msg_receive(task, arg_i32(args, 0), arg_i64(args, 3), size, flags, &msg);
    if (err)
        return err == -ERESTARTSYS ? task_never_restarts(task) : err;
    u64 count = MIN(size, (u64)msg->text.size);
    err = copy_to_user(task, at, &msg->type, sizeof msg->type);
    if (!err && count > 0)
        err = copy_to_user(task, uaddr_add(at, sizeof msg->type), buf_bytes(&msg->text), count);
    return err ? err : (i64)count;
}

SLEEPS static i64 msg_status(struct task *task, i32 id, u32 command, uaddr at)
{
    struct msg_queue *queue;
    int err = msg_find(task, id, command != LINUX_IPC_STAT, &queue);
    if (!err && command != LINUX_MSG_STAT_ANY)
        err = ipc_permission(task, &queue->ipc, 4);
    if (err)
        return err;
    struct linux_msqid_ds out = {.stime = queue->stime,
                                 .rtime = queue->rtime,
                                 .ctime = queue->ipc.ctime,
                                 .cbytes = queue->bytes,
                                 .count = queue->count,
                                 .qbytes = queue->bytes_max,
                                 .lspid = root_pid_in(task, queue->sender_pid),
                                 .lrpid = root_pid_in(task, queue->receiver_pid)};
    ipc_show(task, &queue->ipc, &out.perm);
    i32 found = queue->ipc.id;
    err = copy_to_user(task, at, &out, sizeof out);
    return err ? err : command == LINUX_IPC_STAT ? 0 : found;
}

SLEEPS static i64 msg_info(struct task *task, u32 command, uaddr at)
{
    u64 queues, messages, bytes;
    u32 index_max;
    msg_totals(task, &queues, &messages, &bytes, &index_max);
    struct linux_msginfo out = {.msgmax = MSG_SIZE_MAX,
                                .msgmnb = MSG_QUEUE_BYTES,
                                .msgmni = MSG_QUEUES_MAX,
                                .msgssz = 16,
                                .msgpool = MSG_QUEUES_MAX * MSG_QUEUE_BYTES / 1024,
                                .msgmap = MSG_QUEUE_BYTES,
                                .msgtql = MSG_QUEUE_BYTES,
                                .msgseg = 0xffff};
    if (command == LINUX_MSG_INFO) {
        out.msgpool = (i32)queues;
        out.msgmap = (i32)messages;
        out.msgtql = (i32)bytes;
    }
    int err = copy_to_user(task, at, &out, sizeof out);
    return err ? err : (i64)index_max;
}

SLEEPS static i64 msg_owner_call(struct task *task, i32 id, u32 command, uaddr at)
{
    struct linux_msqid_ds in;
    struct msg_queue *queue;
    int err = command == LINUX_IPC_SET ? copy_from_user(task, &in, at, sizeof in) : 0;
    if (!err)
        err = msg_find(task, id, false, &queue);
    if (!err)
        err = ipc_owner(task, &queue->ipc);
    if (err)
        return err;
    if (command == LINUX_IPC_RMID) {
        msg_remove(task, queue);
        return 0;
    }
    if (in.qbytes > MSG_QUEUE_BYTES &&
        !task_has_capability_in(task, task->ns->ipc_ns->user_ns, CAP_SYS_RESOURCE))
        return -EPERM;
    err = ipc_set(task, &queue->ipc, &in.perm);
    if (err)
        return err;
    queue->bytes_max = in.qbytes;
    wake_up_all(&queue->writable);
    return 0;
}

SLEEPS i64 sys_msgctl(struct task *task, const struct sysargs *args)
{
    i32 id = arg_i32(args, 0);
    u32 command = arg_u32(args, 1);
    uaddr at = arg_uaddr(args, 2);
    if (id < 0 || (i32)command < 0)
        return -EINVAL;
    switch (command) {
    case LINUX_IPC_INFO:
    case LINUX_MSG_INFO:
        return msg_info(task, command, at);
    case LINUX_IPC_STAT:
    case LINUX_MSG_STAT:
    case LINUX_MSG_STAT_ANY:
        return msg_status(task, id, command, at);
    case LINUX_IPC_SET:
    case LINUX_IPC_RMID:
        return msg_owner_call(task, id, command, at);
    default:
        return -EINVAL;
    }
}
