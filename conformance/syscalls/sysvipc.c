/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory, semaphores and message queues. */
#include "tap.h"

#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

/* A name space of our own, so that nothing is left behind whatever happens. */
static void own_namespace(void)
{
    if (unshare(CLONE_NEWIPC) < 0)
        SKIP("no new IPC namespace");
}

CASE(shm_is_shared)
{
    own_namespace();
    int id = MUST(shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600));
    char *p = (char *)MUST(shmat(id, NULL, 0));
    EXPECT_EQ(p[9999], 0);
    CHILD(pid)
    {
        p[0] = 'c';
        char *q = (char *)MUST(shmat(id, NULL, 0));
        EXPECT(q != p);
        EXPECT_EQ(q[0], 'c');
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(p[0], 'c');
    EXPECT_EQ(shmdt(p), 0);
    EXPECT_ERRNO(shmdt(p), EINVAL);
    EXPECT_EQ(shmctl(id, IPC_RMID, NULL), 0);
    EXPECT_ERRNO(shmat(id, NULL, 0), EINVAL);
}

CASE(shm_status)
{
    own_namespace();
    struct shmid_ds ds;
    int id = MUST(shmget(4711, 10000, IPC_CREAT | 0640));
    EXPECT_EQ(shmctl(id, IPC_STAT, &ds), 0);
    EXPECT_EQ(ds.shm_segsz, 10000);
    EXPECT_EQ(ds.shm_nattch, 0);
    EXPECT_EQ(ds.shm_cpid, getpid());
    EXPECT_EQ(ds.shm_perm.mode & 0777, 0640);
    char *p = (char *)MUST(shmat(id, NULL, SHM_RDONLY));
    EXPECT_EQ(shmctl(id, IPC_STAT, &ds), 0);
    EXPECT_EQ(ds.shm_nattch, 1);
    EXPECT_EQ(ds.shm_lpid, getpid());
    EXPECT_EQ(shmctl(id, IPC_RMID, NULL), 0);
    EXPECT_EQ(shmctl(id, IPC_STAT, &ds), 0); /* lives until the last one lets go */
    EXPECT_EQ(ds.shm_perm.mode & SHM_DEST, SHM_DEST);
    EXPECT_EQ(shmdt(p), 0);
    EXPECT_ERRNO(shmctl(id, IPC_STAT, &ds), EINVAL);
}

CASE(shm_keys)
{
    own_namespace();
    int id = MUST(shmget(4711, 4096, IPC_CREAT | 0600));
    EXPECT_EQ(shmget(4711, 0, 0), id);
    EXPECT_EQ(shmget(4711, 4096, IPC_CREAT | 0600), id);
    EXPECT_ERRNO(shmget(4711, 4096, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    EXPECT_ERRNO(shmget(4711, 8192, 0), EINVAL);
    EXPECT_ERRNO(shmget(4712, 4096, 0), ENOENT);
    EXPECT_ERRNO(shmget(IPC_PRIVATE, 0, IPC_CREAT), EINVAL);
    EXPECT_ERRNO(shmat(-1, NULL, 0), EINVAL);
    EXPECT_ERRNO(shmat(id, (void *)1, 0), EINVAL);
    EXPECT_EQ(shmctl(id, IPC_RMID, NULL), 0);
    EXPECT_ERRNO(shmget(4711, 4096, 0), ENOENT);
}

CASE(shm_at_an_address)
{
    own_namespace();
    int id = MUST(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
    char *p = tap_pages(3);
    EXPECT_ERRNO(shmat(id, p, 0), EINVAL);
    EXPECT(shmat(id, p + 100, SHM_RND | SHM_REMAP) == p);
    p[0] = 's';
    EXPECT_EQ(munmap(p + 4096, 8192), 0);
    EXPECT_EQ(shmdt(p), 0);
}

CASE(shm_permission)
{
    own_namespace();
    int id = MUST(shmget(4711, 4096, IPC_CREAT | 0600));
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(shmget(4711, 4096, 0600), EACCES);
        EXPECT_ERRNO(shmat(id, NULL, 0), EACCES);
        EXPECT_ERRNO(shmctl(id, IPC_RMID, NULL), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

static int change(int id, unsigned short index, short by, short flags)
{
    struct sembuf op = {index, by, flags};
    return semop(id, &op, 1);
}

CASE(sem_values)
{
    own_namespace();
    int id = MUST(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
    EXPECT_EQ(semctl(id, 0, GETVAL), 0);
    EXPECT_EQ(semctl(id, 1, SETVAL, (union semun){.val = 5}), 0);
    EXPECT_EQ(semctl(id, 1, GETVAL), 5);
    unsigned short values[3] = {1, 2, 3};
    EXPECT_EQ(semctl(id, 0, SETALL, (union semun){.array = values}), 0);
    memset(values, 0, sizeof values);
    EXPECT_EQ(semctl(id, 0, GETALL, (union semun){.array = values}), 0);
    EXPECT_EQ(values[2], 3);
    EXPECT_EQ(change(id, 2, -2, 0), 0);
    EXPECT_EQ(semctl(id, 2, GETVAL), 1);
    EXPECT_EQ(semctl(id, 2, GETPID), getpid());
    EXPECT_ERRNO(change(id, 2, -2, IPC_NOWAIT), EAGAIN);
    EXPECT_ERRNO(change(id, 9, 1, 0), EFBIG);
    EXPECT_ERRNO(semctl(id, 9, GETVAL), EINVAL);
    EXPECT_ERRNO(semctl(id, 0, SETVAL, (union semun){.val = 40000}), ERANGE);
    EXPECT_EQ(semctl(id, 0, IPC_RMID), 0);
    EXPECT_ERRNO(semctl(id, 0, GETVAL), EINVAL);
}

CASE(sem_operations_are_all_or_nothing)
{
    own_namespace();
    int id = MUST(semget(IPC_PRIVATE, 2, IPC_CREAT | 0600));
    struct sembuf ops[2] = {{0, 1, 0}, {1, -1, IPC_NOWAIT}};
    EXPECT_ERRNO(semop(id, ops, 2), EAGAIN);
    EXPECT_EQ(semctl(id, 0, GETVAL), 0);
    EXPECT_ERRNO(semop(id, ops, 0), EINVAL);
    EXPECT_ERRNO(semop(id, (void *)8, 1), EFAULT);
    EXPECT_ERRNO(semop(-1, ops, 1), EINVAL);
    static struct sembuf many[501];
    EXPECT_ERRNO(semop(id, many, 501), E2BIG);
}

CASE(sem_waits)
{
    own_namespace();
    int id = MUST(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    CHILD(pid)
    {
        EXPECT_EQ(change(id, 0, -2, 0), 0);
        EXPECT_EQ(change(id, 0, 0, 0), 0); /* for zero */
    }
    tap_until_asleep(pid);
    EXPECT_EQ(semctl(id, 0, GETNCNT), 1);
    EXPECT_EQ(change(id, 0, 1, 0), 0);
    EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
    EXPECT_EQ(change(id, 0, 1, 0), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(sem_removal_wakes)
{
    own_namespace();
    int id = MUST(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    CHILD(pid)
    {
        EXPECT_ERRNO(change(id, 0, -1, 0), EIDRM);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(semctl(id, 0, IPC_RMID), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(sem_timeout_and_interrupt)
{
    own_namespace();
    int id = MUST(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    struct sembuf op = {0, -1, 0};
    struct timespec span = {0, 20000000};
    EXPECT_ERRNO(semtimedop(id, &op, 1, &span), EAGAIN);
    span.tv_nsec = -1;
    EXPECT_ERRNO(semtimedop(id, &op, 1, &span), EINVAL);
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        EXPECT_ERRNO(change(id, 0, -1, 0), EINTR);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(sem_undo_at_exit)
{
    own_namespace();
    int id = MUST(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    EXPECT_EQ(change(id, 0, 1, 0), 0);
    CHILD(pid)
    {
        EXPECT_EQ(change(id, 0, -1, SEM_UNDO), 0);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(semctl(id, 0, GETVAL), 1);
}

CASE(sem_keys)
{
    own_namespace();
    int id = MUST(semget(99, 2, IPC_CREAT | 0600));
    EXPECT_EQ(semget(99, 0, 0), id);
    EXPECT_ERRNO(semget(99, 3, 0), EINVAL);
    EXPECT_ERRNO(semget(99, 2, IPC_CREAT | IPC_EXCL), EEXIST);
    EXPECT_ERRNO(semget(98, 1, 0), ENOENT);
    EXPECT_ERRNO(semget(IPC_PRIVATE, -1, IPC_CREAT), EINVAL);
    EXPECT_ERRNO(semget(IPC_PRIVATE, 0, IPC_CREAT), EINVAL);
    struct semid_ds ds;
    EXPECT_EQ(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}), 0);
    EXPECT_EQ(ds.sem_nsems, 2);
}

struct message {
    long type;
    char text[100];
};

static int post(int id, long type, const char *text, int flags)
{
    struct message message = {.type = type};
    strcpy(message.text, text);
    return msgsnd(id, &message, strlen(text), flags);
}

CASE(msg_types)
{
    own_namespace();
    int id = MUST(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    struct message got = {0};
    EXPECT_EQ(post(id, 3, "three", 0), 0);
    EXPECT_EQ(post(id, 1, "one", 0), 0);
    EXPECT_EQ(post(id, 2, "two", 0), 0);
    EXPECT_EQ(msgrcv(id, &got, 100, 2, 0), 3);
    EXPECT_STR(got.text, "two");
    EXPECT_EQ(got.type, 2);
    memset(&got, 0, sizeof got);
    EXPECT_EQ(msgrcv(id, &got, 100, -3, 0), 3);
    EXPECT_STR(got.text, "one");
    EXPECT_EQ(msgrcv(id, &got, 100, 3, MSG_EXCEPT | IPC_NOWAIT) < 0 ? errno : 0, ENOMSG);
    memset(&got, 0, sizeof got);
    EXPECT_ERRNO(msgrcv(id, &got, 2, 0, 0), E2BIG);
    EXPECT_EQ(msgrcv(id, &got, 2, 0, MSG_NOERROR), 2);
    EXPECT_STR(got.text, "th");
    EXPECT_ERRNO(msgrcv(id, &got, 100, 0, IPC_NOWAIT), ENOMSG);
}

CASE(msg_limits_and_errors)
{
    own_namespace();
    int id = MUST(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    EXPECT_ERRNO(post(id, 0, "x", 0), EINVAL);
    EXPECT_ERRNO(post(-1, 1, "x", 0), EINVAL);
    static struct {
        long type;
        char text[9000];
    } big = {.type = 1};
    EXPECT_ERRNO(msgsnd(id, &big, 8193, 0), EINVAL);
    EXPECT_EQ(msgsnd(id, &big, 8192, 0), 0);
    EXPECT_EQ(msgsnd(id, &big, 8192, 0), 0);
    EXPECT_ERRNO(msgsnd(id, &big, 1, IPC_NOWAIT), EAGAIN);
    struct msqid_ds ds;
    EXPECT_EQ(msgctl(id, IPC_STAT, &ds), 0);
    EXPECT_EQ(ds.msg_qnum, 2);
    EXPECT_EQ(ds.msg_cbytes, 16384);
    EXPECT_EQ(ds.msg_qbytes, 16384);
    EXPECT_EQ(msgctl(id, IPC_RMID, NULL), 0);
    EXPECT_ERRNO(msgctl(id, IPC_STAT, &ds), EINVAL);
}

CASE(msg_waits_and_removal_wakes)
{
    own_namespace();
    int id = MUST(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    CHILD(pid)
    {
        struct message got = {0};
        EXPECT_EQ(msgrcv(id, &got, 100, 0, 0), 5);
        EXPECT_ERRNO(msgrcv(id, &got, 100, 0, 0), EIDRM);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(post(id, 1, "hello", 0), 0);
    tap_sleep_ms(10);
    tap_until_asleep(pid);
    EXPECT_EQ(msgctl(id, IPC_RMID, NULL), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(namespaces_are_apart)
{
    own_namespace();
    MUST(msgget(77, IPC_CREAT | 0600));
    CHILD(pid)
    {
        MUST(unshare(CLONE_NEWIPC));
        EXPECT_ERRNO(msgget(77, 0), ENOENT);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_OK(msgget(77, 0));
}
