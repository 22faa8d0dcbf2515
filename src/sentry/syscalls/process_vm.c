/* SPDX-License-Identifier: Apache-2.0 */
/* process_vm_readv(2), process_vm_writev(2), process_madvise(2), membarrier(2): what one thread
 * does to others' memory.
 */
#include "abi/errno.h"
#include "sentry/fs/pidfd.h"
#include "sentry/memory/uio.h"
#include "sentry/syscalls/syscalls.h"

#define CHUNK_SIZE PAGE_SIZE
#define CHUNK_COUNT 8u /* of a buffer that lies in the arena */

/* ---- process_vm_readv, process_vm_writev ---------------------------------------------------- */

struct transfer {
    struct task *task;
    struct mm *remote;
    bool is_write;                /* local to remote */
    struct uio_segment *segments; /* local ones, then remote ones */
    struct uio local, other;
    u8 *chunk;
};

/* ptrace(2), "Ptrace access mode checking", ATTACH with real ids. */
static bool may_access(const struct task *task, const struct task *target)
{
    const struct cred *a = task->cred, *b = target->cred;
    if (task->group == target->group || task_has_capability(task, CAP_SYS_PTRACE))
        return true;
    return a->uid == b->uid && a->uid == b->euid && a->uid == b->suid && a->gid == b->gid &&
           a->gid == b->egid && a->gid == b->sgid && (b->cap_permitted & ~a->cap_permitted) == 0;
}

SLEEPS static int find_remote(struct task *task, u32 pid, struct mm **out)
{
    struct task *target = task_find(task->group->pid_ns, pid);
    if (!target || !target->mm)
        return -ESRCH;
    if (!may_access(task, target))
        return -EPERM;
    *out = REF_GET(target->mm);
    return 0;
}

/* COUNT iovecs at FROM into SEGMENTS. 0, -EFAULT, -EINVAL (a sum over SSIZE_MAX). */
SLEEPS static int copy_segments(struct task *task, uaddr from, u64 count,
                                struct uio_segment *segments)
{
    u64 total = 0;
    if (count == 0)
        return 0;
    int err = copy_from_user(task, segments, from, count * sizeof *segments);
    for (u64 i = 0; !err && i < count; i++)
        if (__builtin_add_overflow(total, segments[i].size, &total) || total > INT64_MAX)
            err = -EINVAL;
    return err;
}

/* Move until one side ends or is bad. Bytes or -EFAULT. */
SLEEPS static i64 transfer_run(struct transfer *transfer)
{
    struct uio *from = transfer->is_write ? &transfer->local : &transfer->other;
    struct uio *to = transfer->is_write ? &transfer->other : &transfer->local;
    i64 done = 0;
    for (;;) {
        u64 size = MIN(MIN(from->remaining, to->remaining), CHUNK_COUNT * CHUNK_SIZE);
        if (size == 0)
            return done;
        i64 taken = uio_take(from, transfer->chunk, size);
        if (taken <= 0)
            return done ? done : taken;
        i64 put = uio_put(to, transfer->chunk, (u64)taken);
        if (put <= 0)
            return done ? done : put;
        done += put;
        if (put < taken || (u64)taken < size)
            return done;
        fiber_relax(&transfer->task->fiber);
    }
}

SLEEPS static i64 transfer_begin(struct transfer *transfer, const struct sysargs *args)
{
    struct task *task = transfer->task;
    u64 local_count = arg_u64(args, 2), remote_count = arg_u64(args, 4);
    struct uio_segment *remote = transfer->segments + local_count;
    int err = copy_segments(task, arg_uaddr(args, 1), local_count, transfer->segments);
    if (!err)
        err = copy_segments(task, arg_uaddr(args, 3), remote_count, remote);
    if (err)
        return err;
    uio_init_user(&transfer->local, task->mm, &task->fiber, transfer->segments, (u32)local_count);
    uio_init_user(&transfer->other, transfer->remote, &task->fiber, remote, (u32)remote_count);
    i64 moved = transfer_run(transfer);
    mm_commit(transfer->remote);
    return moved;
}

SLEEPS static i64 process_vm(struct task *task, const struct sysargs *args, bool is_write)
{
    u64 local_count = arg_u64(args, 2), remote_count = arg_u64(args, 4);
    struct arena *arena = task->kernel->arena;
    if (arg_u64(args, 5) != 0 || local_count > UIO_SEGMENTS_MAX || remote_count > UIO_SEGMENTS_MAX)
        return -EINVAL;
    if (local_count == 0 || remote_count == 0)
        return 0;
    AUTO_PUT struct mm *remote = NULL;
    int err = find_remote(task, arg_u32(args, 0), &remote);
    if (err)
        return err;
    struct transfer transfer = {.task = task, .remote = remote, .is_write = is_write};
    u64 segments_size = (local_count + remote_count) * sizeof *transfer.segments;
    transfer.segments = arena_alloc(arena, segments_size);
    transfer.chunk = arena_alloc(arena, CHUNK_COUNT * CHUNK_SIZE);
    i64 result = -ENOMEM;
    if (transfer.segments && transfer.chunk)
        result = transfer_begin(&transfer, args);
    arena_free(arena, transfer.segments, segments_size);
    arena_free(arena, transfer.chunk, CHUNK_COUNT * CHUNK_SIZE);
    return result;
}

i64 sys_process_vm_readv(struct task *task, const struct sysargs *args)
{
    return process_vm(task, args, false);
}

i64 sys_process_vm_writev(struct task *task, const struct sysargs *args)
{
    return process_vm(task, args, true);
}

/* ---- process_madvise ------------------------------------------------------------------------- */

/* What may be advised about another's memory: it loses nothing by it. */
static bool is_advice_for_others(i32 advice)
{
    return advice == LINUX_MADV_COLD || advice == LINUX_MADV_PAGEOUT ||
           advice == LINUX_MADV_WILLNEED || advice == LINUX_MADV_COLLAPSE;
}

SLEEPS static i64 advise_segments(struct task *task, struct mm *mm,
                                  const struct uio_segment *segments, u64 count, i32 advice)
{
    i64 done = 0;
    for (u64 i = 0; i < count; i++) {
        int err = mm_advise(mm, &task->fiber, segments[i].base, segments[i].size, advice);
        if (err)
            return done ? done : err;
        done += (i64)segments[i].size;
    }
    return done;
}

i64 sys_process_madvise(struct task *task, const struct sysargs *args)
{
    u64 count = arg_u64(args, 2);
    i32 advice = arg_i32(args, 3);
    if (arg_u32(args, 4) || count > UIO_SEGMENTS_MAX)
        return -EINVAL;
    size_t size = MAX(count, 1u) * sizeof(struct uio_segment);
    struct uio_segment *segments = arena_alloc(task->kernel->arena, size);
    if (!segments)
        return -ENOMEM;
    i64 result = copy_segments(task, arg_uaddr(args, 1), count, segments);
    AUTO_PUT struct file *file = result ? NULL : fd_get(task, arg_fd(args, 0));
    const struct pid *pid = file ? pidfd_pid(file) : NULL;
    struct task *target = pid ? pid->task : NULL;
    AUTO_PUT struct mm *mm = target ? REF_GET(target->mm) : NULL;
    if (!result && !pid)
        result = -EBADF;
    else if (!result && !mm)
        result = -ESRCH;
    else if (!result && !may_access(task, target))
        result = -EPERM;
    else if (!result && mm != task->mm && !is_advice_for_others(advice))
        result = -EINVAL;
    else if (!result && mm != task->mm && !task_has_capability(task, CAP_SYS_NICE))
        result = -EPERM;
    else if (!result)
        result = advise_segments(task, mm, segments, count, advice);
    arena_free(task->kernel->arena, segments, size);
    return result;
}

/* ---- membarrier ----------------------------------------------------------------------------- */

#define BARRIERS_REGISTERED                                                                     \
    (LINUX_MEMBARRIER_REGISTER_GLOBAL_EXPEDITED | LINUX_MEMBARRIER_REGISTER_PRIVATE_EXPEDITED | \
     LINUX_MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)
#define BARRIERS                                                   \
    (LINUX_MEMBARRIER_GLOBAL | LINUX_MEMBARRIER_GLOBAL_EXPEDITED | \
     LINUX_MEMBARRIER_PRIVATE_EXPEDITED | LINUX_MEMBARRIER_PRIVATE_EXPEDITED_SYNC_CORE)

/* A cpu that left application code since the call began has passed a full barrier, and a
 * serializing one. */
i64 sys_membarrier(struct task *task, const struct sysargs *args)
{
    u32 command = arg_u32(args, 0);
    struct mm *mm = task->mm;
    if (arg_u32(args, 1) != 0)
        return -EINVAL;
    if (command == LINUX_MEMBARRIER_QUERY)
        return BARRIERS | BARRIERS_REGISTERED;
    if (!is_power_of_two(command) || !(command & (BARRIERS | BARRIERS_REGISTERED)))
        return -EINVAL;
    if (command & BARRIERS_REGISTERED) {
        mm->barriers |= command;
        return 0;
    }
    bool is_private = command & (LINUX_MEMBARRIER_PRIVATE_EXPEDITED |
                                 LINUX_MEMBARRIER_PRIVATE_EXPEDITED_SYNC_CORE);
    if (is_private && !(mm->barriers & (command << 1))) /* the bit of its registration */
        return -EPERM;
    sched_kick_all(task->kernel->sched, &task->fiber);
    return 0;
}
