/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V IPC (sysvipc(7)): three tables of named objects in an IPC namespace. Every object begins
 * with a struct ipc_object; an id is its index and a sequence number, so that an old id finds
 * nothing.
 */
#pragma once
#include "abi/ipc.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/object.h"
#include "sentry/kernel/task.h"

#define SHM_COUNT_MAX 4096u
#define SHM_SIZE_MAX ((u64)INT64_MAX - PAGE_SIZE)
#define SEM_SETS_MAX 32000u
#define SEM_COUNT_MAX 32000u /* in one set */
#define SEM_OPS_MAX 500u
#define SEM_VALUE_MAX 32767
#define MSG_QUEUES_MAX 32000u
#define MSG_SIZE_MAX 8192u
#define MSG_QUEUE_BYTES 16384u
#define IPC_INDEX_BITS 15u

struct ipc_object {
    struct object object;
    i32 key;
    i32 id;
    u32 uid, gid, cuid, cgid; /* the kernel's ids */
    u32 mode;                 /* nine bits */
    i64 ctime;                /* seconds */
    bool is_removed;          /* out of its table; sleepers find out by it */
};
extern const struct field ipc_object_fields[];

/* The objects of one kind in one namespace; kind ipc_table_kind. */
struct ipc_table {
    struct object object;
    struct map by_index; /* index -> struct ipc_object, counted */
    u32 sequence;
};
extern const struct kind ipc_table_kind;

/* *SLOT's table, made at first use. */
MUST_CHECK int ipc_table_get(struct kernel *kernel, struct object **slot, struct ipc_table **out);
struct ipc_object *ipc_find_key(const struct ipc_table *table, i32 key); /* lent */
/* The object with ID or, BY_INDEX, at the place ID (MSG_STAT and its kin); lent, NULL: none. */
struct ipc_object *ipc_find(const struct ipc_table *table, i32 id, bool by_index);
/* The highest index in use, 0 when there is none: what IPC_INFO answers. */
u32 ipc_index_max(const struct ipc_table *table);
/* OBJECT (its reference is taken) gets owner, mode and an id. -ENOSPC: COUNT_MAX are there; then it
 * is put. */
MUST_CHECK int ipc_insert(struct ipc_table *table, struct ipc_object *object, struct task *task,
                          i32 key, u32 flags, u32 count_max);
void ipc_remove(struct ipc_table *table, struct ipc_object *object);
/* ipc(2)'s rule: WANT is 4 (read) and 2 (write). 0 or -EACCES. */
MUST_CHECK int ipc_permission(const struct task *task, const struct ipc_object *object, u32 want);
/* May TASK remove or change it? 0 or -EPERM. */
MUST_CHECK int ipc_owner(const struct task *task, const struct ipc_object *object);
void ipc_show(const struct task *task, const struct ipc_object *object, struct linux_ipc_perm *out);
/* IPC_SET: 0 or -EINVAL (an id without a place). */
MUST_CHECK int ipc_set(const struct task *task, struct ipc_object *object,
                       const struct linux_ipc_perm *perm);
i64 ipc_now(struct kernel *kernel);

/* ---- shared memory ------------------------------------------------------------------------------------- */

struct shm_segment {
    struct ipc_object ipc;
    struct shared_memory *memory; /* counted */
    u64 size;                     /* bytes, as asked */
    i64 atime, dtime;
    struct pid *creator, *last; /* counted or NULL */
};
extern const struct kind shm_segment_kind;
MUST_CHECK int shm_get(struct task *task, i32 key, u64 size, u32 flags);
MUST_CHECK SLEEPS i64 shm_attach(struct task *task, i32 id, u64 address, u32 flags);
MUST_CHECK SLEEPS int shm_detach(struct task *task, u64 address);
/* By id, or by index if BY_INDEX; -EINVAL. LENT. */
MUST_CHECK int shm_find(struct task *task, i32 id, bool by_index, struct shm_segment **out);
u64 shm_attach_count(const struct shm_segment *segment);
void shm_remove(struct task *task, struct shm_segment *segment);
/* Segments in use and their pages. */
void shm_totals(struct task *task, u64 *count, u64 *pages, u64 *resident, u32 *index_max);

/* ---- semaphores ------------------------------------------------------------------------------------------ */

struct sem {
    u16 value;
    u16 waits_more, waits_zero; /* who sleeps for it */
    u32 last_pid;               /* in the root namespace */
};
/* What a process's end gives back. */
struct sem_undo {
    struct object object;
    struct list link;           /* set->undos */
    struct thread_group *group; /* weak: gone before the group is */
    i16 *changes;               /* one a semaphore */
    u32 count;
};
extern const struct kind sem_undo_kind;
struct sem_set {
    struct ipc_object ipc;
    struct sem *sems;
    u32 count;
    i64 otime;
    struct list undos; /* counted */
    struct wait_queue changed;
};
extern const struct kind sem_set_kind;
MUST_CHECK int sem_get(struct task *task, i32 key, u32 count, u32 flags);
MUST_CHECK int sem_find(struct task *task, i32 id, bool by_index, struct sem_set **out);
/* All or nothing. DEADLINE is sched's. -EAGAIN, -EFBIG, -ERANGE, -EIDRM, -ERESTARTSYS … */
MUST_CHECK SLEEPS int sem_operate(struct task *task, i32 id, const struct linux_sembuf *ops,
                                  u32 count, u64 deadline_ns);
void sem_remove(struct task *task, struct sem_set *set);
/* One value or all were set: undo entries for them are void. */
void sem_value_set(struct task *task, struct sem_set *set, u32 index, u16 value);
void sem_totals(struct task *task, u64 *sets, u64 *sems, u32 *index_max);
/* TASK ends or leaves its namespace: if it is the last of its process there, what SEM_UNDO promised
 * is given back. */
void sem_undo_leave(struct task *task);
/* Whose undo list TASK's is: its process, lent, or NULL while that holds none. */
const struct thread_group *sem_undo_holder(const struct task *task);

/* ---- messages ---------------------------------------------------------------------------------------------- */

struct msg {
    struct object object;
    struct list link; /* queue->messages */
    i64 type;
    struct buf text;
};
extern const struct kind msg_kind;
struct msg_queue {
    struct ipc_object ipc;
    struct list messages; /* counted, oldest first */
    u64 count, bytes, bytes_max;
    i64 stime, rtime;
    u32 sender_pid, receiver_pid; /* in the root namespace */
    struct wait_queue readable, writable;
};
extern const struct kind msg_queue_kind;
MUST_CHECK int msg_get(struct task *task, i32 key, u32 flags);
MUST_CHECK int msg_find(struct task *task, i32 id, bool by_index, struct msg_queue **out);
/* Takes MSG in any case. */
MUST_CHECK SLEEPS int msg_send(struct task *task, i32 id, struct msg *msg, u32 flags);
/* A reference to the message, taken out of the queue (unless MSG_COPY). */
MUST_CHECK SLEEPS int msg_receive(struct task *task, i32 id, i64 type, u64 size, u32 flags,
                                  struct msg **out);
MUST_CHECK int msg_create(struct kernel *kernel, i64 type, struct msg **out);
void msg_remove(struct task *task, struct msg_queue *queue);
void msg_totals(struct task *task, u64 *queues, u64 *messages, u64 *bytes, u32 *index_max);
