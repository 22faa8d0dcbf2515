/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fcntl(2) locks of processes and of descriptions, and flock(2). The owner of a POSIX lock is the
 * descriptor table, as in Linux; of the others the description. Owners are weak: their end takes
 * their locks away. A list is ordered by start; locks of one owner never overlap within one class.
 */
#include "sentry/fs/locks.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/fields.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

enum lock_class { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK };

struct file_lock {
    struct object object;
    struct list link;
    u32 class_; /* enum lock_class */
    i32 type;   /* F_RDLCK, F_WRLCK */
    u64 start, end;
    struct object *owner; /* weak */
    i32 pid;
};

struct lock_list {
    struct object object;
    struct list locks; /* struct file_lock.link, owned */
    struct wait_queue changed;
};

static const struct field file_lock_fields[] = {
    FIELD_NONE(struct file_lock, object, "the walker's own header"),
    FIELD_NONE(struct file_lock, link, "the inode's list"),
    FIELD(struct file_lock, class_),
    FIELD(struct file_lock, type),
    FIELD(struct file_lock, start),
    FIELD(struct file_lock, end),
    FIELD_WEAK_ANY(struct file_lock, owner),
    FIELD(struct file_lock, pid),
    FIELD_END,
};
FIELDS_COMPLETE(struct file_lock, file_lock_fields);

const struct kind file_lock_kind = {
    .name = "file_lock", .size = sizeof(struct file_lock), .fields = file_lock_fields};

static const struct field lock_list_fields[] = {
    FIELD_NONE(struct lock_list, object, "the walker's own header"),
    FIELD_LIST(struct lock_list, locks, struct file_lock, link, true),
    FIELD_NONE(struct lock_list, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct lock_list, lock_list_fields);

static void lock_drop(struct file_lock *lock)
{
    list_remove(&lock->link);
    REF_PUT(lock);
}

static void lock_list_destroy(struct object *object)
{
    struct lock_list *list = container_of(object, struct lock_list, object);
    struct file_lock *lock, *next;
    list_for_each_safe (lock, next, &list->locks, link)
        lock_drop(lock);
}

const struct kind lock_list_kind = {.name = "lock_list",
                                    .size = sizeof(struct lock_list),
                                    .fields = lock_list_fields,
                                    .destroy = lock_list_destroy};

/* Who waits for a POSIX lock of whom; on the waiter's stack, in vfs->lock_waiters. */
struct lock_waiter {
    struct list link;
    const struct object *owner;
    const struct object *blocker;
};

MUST_CHECK static int lock_list_of(struct inode *inode, struct lock_list **out)
{
    if (!inode->locks) {
        inode->locks = object_create(inode->object.arena, &lock_list_kind);
        if (!inode->locks)
            return -ENOMEM;
        list_init(&inode->locks->locks);
    }
    *out = inode->locks;
    return 0;
}

/* ---- conflicts ------------------------------------------------------------------------------ */

static bool lock_conflicts(const struct file_lock *lock, const struct file_lock *wanted)
{
    bool is_flock = lock->class_ == LOCK_FLOCK;
    if (is_flock != (wanted->class_ == LOCK_FLOCK))
        return false;
    if (lock->owner == wanted->owner && lock->class_ == wanted->class_)
        return false;
    if (lock->type != LINUX_F_WRLCK && wanted->type != LINUX_F_WRLCK)
        return false;
    return lock->start < wanted->end && wanted->start < lock->end;
}

static const struct file_lock *find_conflict(const struct lock_list *list,
                                             const struct file_lock *wanted)
{
    const struct file_lock *lock;
    list_for_each (lock, &list->locks, link)
        if (lock_conflicts(lock, wanted))
            return lock;
    return NULL;
}

/* Would OWNER, waiting for BLOCKER, wait for itself? */
static bool is_deadlock(const struct vfs *vfs, const struct object *owner,
                        const struct object *blocker)
{
    u32 steps_left = 64; /* as Linux: long chains are not looked at */
    while (steps_left-- > 0) {
        if (blocker == owner)
            return true;
        const struct lock_waiter *waiter, *found = NULL;
        list_for_each (waiter, &vfs->lock_waiters, link)
            if (waiter->owner == blocker)
                found = waiter;
        if (!found)
            return false;
        blocker = found->blocker;
    }
    return false;
}

SLEEPS static int wait_for(struct task *task, struct lock_list *list,
                           const struct file_lock *wanted)
{
    struct vfs *vfs = task->kernel->vfs;
    for (;;) {
        const struct file_lock *conflict = find_conflict(list, wanted);
        if (!conflict)
            return 0;
        bool is_posix = wanted->class_ == LOCK_POSIX && conflict->class_ == LOCK_POSIX;
        if (is_posix && is_deadlock(vfs, wanted->owner, conflict->owner))
            return -EDEADLK;
        struct lock_waiter waiter = {.owner = wanted->owner, .blocker = conflict->owner};
        if (is_posix)
            list_add_tail(&vfs->lock_waiters, &waiter.link);
        int err = sleep_on(&list->changed, task, NO_DEADLINE);
        list_remove(&waiter.link);
        if (err)
            return err;
    }
}

/* ---- changing ------------------------------------------------------------------------------- */

static bool is_own(const struct file_lock *lock, const struct file_lock *wanted)
{
    return lock->owner == wanted->owner && lock->class_ == wanted->class_;
}

static void insert_ordered(struct lock_list *list, struct file_lock *lock)
{
    struct file_lock *other;
    list_for_each (other, &list->locks, link)
        if (other->start > lock->start)
            break;
    list_add_tail(&other->link, &lock->link);
}

/* Take WANTED's range out of the owner's locks. SPARE serves for a second half; it is cleared when
 * used. */
static void cut_out(struct lock_list *list, const struct file_lock *wanted,
                    struct file_lock **spare)
{
    struct file_lock *lock, *next;
    list_for_each_safe (lock, next, &list->locks, link) {
        if (!is_own(lock, wanted) || lock->start >= wanted->end || wanted->start >= lock->end)
            continue;
        bool has_left = lock->start<wanted->start, has_right = lock->end> wanted->end;
        if (has_left && has_right) {
            struct file_lock *right = MOVE(*spare);
            right->type = lock->type;
            right->start = wanted->end;
            right->end = lock->end;
            lock->end = wanted->start;
            insert_ordered(list, right);
        } else if (has_left) {
            lock->end = wanted->start;
        } else if (has_right) {
            lock->start = wanted->end;
            list_remove(&lock->link);
            insert_ordered(list, lock);
        } else {
            lock_drop(lock);
        }
    }
}

/* Neighbours of the same type become one. */
static void merge_into(struct lock_list *list, struct file_lock *fresh)
{
    struct file_lock *lock, *next;
    list_for_each_safe (lock, next, &list->locks, link) {
        if (!is_own(lock, fresh) || lock->type != fresh->type)
            continue;
        if (lock->end == fresh->start)
            fresh->start = lock->start;
        else if (lock->start == fresh->end)
            fresh->end = lock->end;
        else
            continue;
        lock_drop(lock);
    }
    insert_ordered(list, fresh);
}

MUST_CHECK static struct file_lock *lock_create(struct lock_list *list,
                                                const struct file_lock *like)
{
    struct file_lock *lock = object_create(list->object.arena, &file_lock_kind);
    if (!lock)
        return NULL;
    lock->class_ = like->class_;
    lock->type = like->type;
    lock->start = like->start;
    lock->end = like->end;
    lock->owner = like->owner;
    lock->pid = like->pid;
    return lock;
}

MUST_CHECK static int lock_apply(struct lock_list *list, const struct file_lock *wanted)
{
    bool is_unlock = wanted->type == LINUX_F_UNLCK;
    struct file_lock *spare = lock_create(list, wanted);
    struct file_lock *fresh = is_unlock ? NULL : lock_create(list, wanted);
    if (!spare || (!is_unlock && !fresh)) {
        REF_PUT(spare);
        REF_PUT(fresh);
        return -ENOMEM;
    }
    cut_out(list, wanted, &spare);
    if (fresh)
        merge_into(list, fresh);
    REF_PUT(spare);
    wake_up_all(&list->changed);
    return 0;
}

/* ---- fcntl ---------------------------------------------------------------------------------- */

static struct file_lock lock_wanted(struct task *task, struct file *file,
                                    const struct lock_request *request)
{
    return (struct file_lock){
        .class_ = request->is_ofd ? LOCK_OFD : LOCK_POSIX,
        .type = request->type,
        .start = request->start,
        .end = request->end,
        .owner = request->is_ofd ? &file->object : &task->fds->object,
        .pid = request->is_ofd || !task->group ? -1 : (i32)task->group->pid,
    };
}

int lock_set(struct task *task, struct file *file, const struct lock_request *request, bool wait)
{
    if (request->type == LINUX_F_RDLCK && !file_may_read(file))
        return -EBADF;
    if (request->type == LINUX_F_WRLCK && !file_may_write(file))
        return -EBADF;
    struct lock_list *list;
    int err = lock_list_of(file->inode, &list);
    if (err)
        return err;
    const struct file_lock wanted = lock_wanted(task, file, request);
    if (request->type != LINUX_F_UNLCK && find_conflict(list, &wanted)) {
        err = wait ? wait_for(task, list, &wanted) : -EAGAIN;
        if (err)
            return err;
    }
    return lock_apply(list, &wanted);
}

void lock_test(struct task *task, struct file *file, struct lock_request *request, i32 *pid)
{
    const struct file_lock wanted = lock_wanted(task, file, request);
    const struct file_lock *conflict = file->inode->locks
                                           ? find_conflict(file->inode->locks, &wanted)
                                           : NULL;
    if (!conflict) {
        request->type = LINUX_F_UNLCK;
        return;
    }
    request->type = conflict->type;
    request->start = conflict->start;
    request->end = conflict->end;
    *pid = conflict->pid;
}

/* ---- flock ---------------------------------------------------------------------------------- */

static struct file_lock *find_own(const struct lock_list *list, const struct file_lock *like)
{
    struct file_lock *lock;
    list_for_each (lock, &list->locks, link)
        if (is_own(lock, like))
            return lock;
    return NULL;
}

/* A change of type first gives the lock up: somebody else may get it in between (flock(2)). */
int lock_flock(struct task *task, struct file *file, i32 type, bool wait)
{
    struct lock_list *list;
    int err = lock_list_of(file->inode, &list);
    if (err)
        return err;
    const struct file_lock wanted = {.class_ = LOCK_FLOCK,
                                     .type = type,
                                     .end = UINT64_MAX,
                                     .owner = &file->object,
                                     .pid = task->group ? (i32)task->group->pid : -1};
    struct file_lock *own = find_own(list, &wanted);
    if (own && own->type == type)
        return 0;
    if (own) {
        lock_drop(own);
        wake_up_all(&list->changed);
    }
    if (type == LINUX_F_UNLCK)
        return 0;
    if (find_conflict(list, &wanted)) {
        err = wait ? wait_for(task, list, &wanted) : -EAGAIN;
        if (err)
            return err;
    }
    return lock_apply(list, &wanted);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void release_owner(struct inode *inode, const struct object *owner, bool is_posix)
{
    struct lock_list *list = inode->locks;
    if (!list)
        return;
    bool has_changed = false;
    struct file_lock *lock, *next;
    list_for_each_safe (lock, next, &list->locks, link) {
        if (lock->owner != owner || (lock->class_ == LOCK_POSIX) != is_posix)
            continue;
        lock_drop(lock);
        has_changed = true;
    }
    if (has_changed)
        wake_up_all(&list->changed);
}

void locks_release_table(struct inode *inode, const struct fd_table *table)
{
    release_owner(inode, &table->object, true);
}

void locks_release_file(struct inode *inode, const struct file *file)
{
    release_owner(inode, &file->object, false);
}

int locks_show(const struct inode *inode, u32 *index, struct buf *out)
{
    static const char *const classes[] = {"POSIX ", "OFDLCK", "FLOCK "};
    if (!inode->locks)
        return 0;
    u32 dev = inode->super ? inode->super->dev : 0;
    const struct file_lock *lock;
    list_for_each (lock, &inode->locks->locks, link) {
        int err = buf_printf(out, "%u: %s ADVISORY  %s %d %02x:%02x:%llu %llu ", ++*index,
                             classes[lock->class_], lock->type == LINUX_F_WRLCK ? "WRITE" : "READ ",
                             lock->pid, linux_major(dev), linux_minor(dev),
                             (unsigned long long)inode->ino, (unsigned long long)lock->start);
        if (!err && lock->end == UINT64_MAX)
            err = buf_append_text(out, "EOF\n");
        else if (!err)
            err = buf_printf(out, "%llu\n", (unsigned long long)(lock->end - 1));
        if (err)
            return err;
    }
    return 0;
}
