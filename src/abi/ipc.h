/* SPDX-License-Identifier: Apache-2.0 */
/* System V IPC as x86-64 Linux lays it out: shmctl(2), semctl(2), msgctl(2). */
#pragma once
#include "base/base.h"

#define LINUX_IPC_PRIVATE 0
#define LINUX_IPC_CREAT 01000u
#define LINUX_IPC_EXCL 02000u
#define LINUX_IPC_NOWAIT 04000u
#define LINUX_IPC_RMID 0
#define LINUX_IPC_SET 1
#define LINUX_IPC_STAT 2
#define LINUX_IPC_INFO 3
#define LINUX_MSG_STAT 11
#define LINUX_MSG_INFO 12
#define LINUX_MSG_STAT_ANY 13
#define LINUX_SHM_LOCK 11
#define LINUX_SHM_UNLOCK 12
#define LINUX_SHM_STAT 13
#define LINUX_SHM_INFO 14
#define LINUX_SHM_STAT_ANY 15
#define LINUX_GETPID 11
#define LINUX_GETVAL 12
#define LINUX_GETALL 13
#define LINUX_GETNCNT 14
#define LINUX_GETZCNT 15
#define LINUX_SETVAL 16
#define LINUX_SETALL 17
#define LINUX_SEM_STAT 18
#define LINUX_SEM_INFO 19
#define LINUX_SEM_STAT_ANY 20
#define LINUX_SEM_UNDO 0x1000
#define LINUX_SHM_RDONLY 010000u
#define LINUX_SHM_RND 020000u
#define LINUX_SHM_REMAP 040000u
#define LINUX_SHM_EXEC 0100000u
#define LINUX_SHM_DEST 01000u /* in the mode of a status: removed, still attached */
#define LINUX_SHM_HUGETLB 04000u
#define LINUX_MSG_NOERROR 010000u
#define LINUX_MSG_EXCEPT 020000u
#define LINUX_MSG_COPY 040000u

struct linux_ipc_perm {
    i32 key;
    u32 uid, gid, cuid, cgid, mode;
    u16 seq, pad0;
    u32 pad1;
    u64 unused[2];
};
_Static_assert(sizeof(struct linux_ipc_perm) == 48, "struct ipc64_perm");
struct linux_shmid_ds {
    struct linux_ipc_perm perm;
    u64 size;
    i64 atime, dtime, ctime;
    i32 cpid, lpid;
    u64 nattch, unused[2];
};
_Static_assert(sizeof(struct linux_shmid_ds) == 112, "struct shmid64_ds");
struct linux_shminfo {
    u64 shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};
struct linux_shm_info {
    i32 used_ids, pad;
    u64 total, resident, swapped, swap_attempts, swap_successes;
};
struct linux_semid_ds {
    struct linux_ipc_perm perm;
    i64 otime;
    u64 unused1;
    i64 ctime;
    u64 unused2, count, unused[2];
};
_Static_assert(sizeof(struct linux_semid_ds) == 104, "struct semid64_ds");
struct linux_seminfo {
    i32 semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem;
};
struct linux_sembuf {
    u16 index;
    i16 change;
    i16 flags;
};
struct linux_msqid_ds {
    struct linux_ipc_perm perm;
    i64 stime, rtime, ctime;
    u64 cbytes, count, qbytes;
    i32 lspid, lrpid;
    u64 unused[2];
};
_Static_assert(sizeof(struct linux_msqid_ds) == 120, "struct msqid64_ds");
struct linux_msginfo {
    i32 msgpool, msgmap, msgmax, msgmnb, msgmni, msgssz, msgtql;
    u16 msgseg, pad;
};
