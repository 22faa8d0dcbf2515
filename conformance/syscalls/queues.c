/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of System V objects and POSIX message queues. */
#include "tap.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

static char room[8300];

static void be_somebody(void)
{
    MUST(syscall(SYS_setgroups, 0, NULL));
    MUST(setresgid(1000, 1000, 1000));
    MUST(setresuid(1000, 1000, 1000));
}

CASE(semaphores)
{
    int id = MUST(semget(IPC_PRIVATE, 2, 0600));
    struct sembuf up = {0, 1, 0}, down = {0, -1, IPC_NOWAIT}, wait = {0, -1, 0};
    struct sembuf far = {9, 1, 0}, much = {0, 32767, 0}, many[2] = {{0, 1, 0}, {0, 1, 0}};
    struct timespec soon = {0, 1000}, odd = {0, -1};
    EXPECT_ERRNO(syscall(SYS_semop, id, &down, 1), EAGAIN);
    EXPECT_ERRNO(syscall(SYS_semtimedop, id, &wait, 1, &soon), EAGAIN);
    EXPECT_ERRNO(syscall(SYS_semtimedop, id, &wait, 1, &odd), EINVAL);
    EXPECT_ERRNO(syscall(SYS_semop, id, &up, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_semop, 0x7ffffff0, &up, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_semop, id, many, 100000), E2BIG);
    EXPECT_ERRNO(syscall(SYS_semtimedop, id, many, 100000, NULL), E2BIG);
    EXPECT_ERRNO(syscall(SYS_semop, id, (void *)8, 1), EFAULT);
    EXPECT_ERRNO(syscall(SYS_semtimedop, id, &wait, 1, (void *)8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_semop, id, &far, 1), EFBIG);
    EXPECT_ERRNO(syscall(SYS_semtimedop, id, &far, 1, NULL), EFBIG);
    EXPECT_OK(syscall(SYS_semop, id, &up, 1));
    EXPECT_ERRNO(syscall(SYS_semop, id, &much, 1), ERANGE);
    EXPECT_ERRNO(syscall(SYS_semtimedop, id, &much, 1, NULL), ERANGE);
    EXPECT_ERRNO(semctl(id, 0, SETVAL, 32768), ERANGE);
    EXPECT_ERRNO(semctl(id, 0, SETVAL, -1), ERANGE);
    EXPECT_ERRNO(semctl(id, 7, GETVAL), EINVAL);
    EXPECT_ERRNO(semctl(id, 0, IPC_STAT, (void *)8), EFAULT);
    EXPECT_ERRNO(semctl(id, 0, GETALL, (void *)8), EFAULT);
    EXPECT_ERRNO(semctl(id, 0, 99, 0), EINVAL);
    EXPECT_ERRNO(semget(IPC_PRIVATE, 0, 0600), EINVAL);
    MUST(semctl(id, 0, SETVAL, 0));
    INTERRUPTED(syscall(SYS_semop, id, &wait, 1));
    INTERRUPTED(syscall(SYS_semtimedop, id, &wait, 1, NULL));
    CHILD(pid)
    {
        be_somebody();
        EXPECT_ERRNO(syscall(SYS_semop, id, &up, 1), EACCES);
        EXPECT_ERRNO(syscall(SYS_semtimedop, id, &up, 1, NULL), EACCES);
        EXPECT_ERRNO(semctl(id, 0, GETVAL), EACCES);
        EXPECT_ERRNO(semctl(id, 0, IPC_RMID), EPERM);
    }
    EXPECT_EXIT(pid, 0);
    CHILD(sleeper)
    {
        EXPECT_ERRNO(syscall(SYS_semop, id, &wait, 1), EIDRM);
    }
    CHILD(timed)
    {
        EXPECT_ERRNO(syscall(SYS_semtimedop, id, &wait, 1, &(struct timespec){100, 0}), EIDRM);
    }
    tap_until_asleep(sleeper);
    tap_until_asleep(timed);
    MUST(semctl(id, 0, IPC_RMID));
    EXPECT_EXIT(sleeper, 0);
    EXPECT_EXIT(timed, 0);
    EXPECT_ERRNO(semctl(id, 0, GETVAL), EINVAL);
}

CASE(keys_of_others)
{
    key_t key = 0x50494b00 + getpid() % 256;
    int sem = MUST(semget(key, 1, IPC_CREAT | 0600));
    int queue = MUST(msgget(key, IPC_CREAT | 0600));
    int memory = MUST(shmget(key, 4096, IPC_CREAT | 0600));
    EXPECT_ERRNO(semget(key, 1, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    EXPECT_ERRNO(msgget(key, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    EXPECT_ERRNO(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    EXPECT_ERRNO(semget(key, 2, 0), EINVAL);
    EXPECT_ERRNO(shmget(key, 8192, 0), EINVAL);
    CHILD(pid)
    {
        be_somebody();
        EXPECT_ERRNO(semget(key, 1, 0600), EACCES);
        EXPECT_ERRNO(msgget(key, 0600), EACCES);
        EXPECT_ERRNO(shmget(key, 4096, 0600), EACCES);
        EXPECT_ERRNO(syscall(SYS_shmat, memory, NULL, 0), EACCES);
        EXPECT_ERRNO(shmctl(memory, IPC_STAT, (void *)room), EACCES);
        EXPECT_ERRNO(shmctl(memory, IPC_RMID, NULL), EPERM);
        EXPECT_ERRNO(msgctl(queue, IPC_STAT, (void *)room), EACCES);
        EXPECT_ERRNO(msgctl(queue, IPC_RMID, NULL), EPERM);
        EXPECT_ERRNO(msgsnd(queue, "typetypetext", 4, 0), EACCES);
        EXPECT_ERRNO(msgrcv(queue, room, 4, 0, 0), EACCES);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(shmctl(memory, IPC_STAT, (void *)8), EFAULT);
    EXPECT_ERRNO(msgctl(queue, IPC_STAT, (void *)8), EFAULT);
    MUST(semctl(sem, 0, IPC_RMID));
    MUST(msgctl(queue, IPC_RMID, NULL));
    MUST(shmctl(memory, IPC_RMID, NULL));
    EXPECT_ERRNO(semget(key, 1, 0), ENOENT);
    EXPECT_ERRNO(msgget(key, 0), ENOENT);
    EXPECT_ERRNO(shmget(key, 4096, 0), ENOENT);
}

CASE(messages)
{
    int id = MUST(msgget(IPC_PRIVATE, 0600));
    struct {
        long type;
        char text[8];
    } message = {1, "text"}, odd = {0, "text"};
    EXPECT_ERRNO(msgsnd(id, &odd, 4, 0), EINVAL);
    EXPECT_ERRNO(msgsnd(id, &message, 100000, 0), EINVAL);
    EXPECT_ERRNO(msgsnd(id, (void *)8, 4, 0), EFAULT);
    EXPECT_ERRNO(msgsnd(0x7ffffff0, &message, 4, 0), EINVAL);
    EXPECT_ERRNO(msgrcv(id, &message, -1, 0, 0), EINVAL);
    EXPECT_ERRNO(msgrcv(0x7ffffff0, &message, 4, 0, 0), EINVAL);
    EXPECT_ERRNO(msgrcv(id, &message, 4, 0, IPC_NOWAIT), ENOMSG);
    INTERRUPTED(msgrcv(id, &message, 4, 0, 0));
    MUST(msgsnd(id, &message, 8, 0));
    EXPECT_ERRNO(msgrcv(id, &message, 4, 0, 0), E2BIG);
    EXPECT_ERRNO(msgrcv(id, (void *)8, 8, 0, 0), EFAULT);
    while (msgsnd(id, room[0] ? room : (room[0] = 1, room), 8000, IPC_NOWAIT) == 0)
        ;
    EXPECT_ERRNO(msgsnd(id, room, 8000, IPC_NOWAIT), EAGAIN);
    INTERRUPTED(msgsnd(id, room, 8000, 0));
    CHILD(sender)
    {
        EXPECT_ERRNO(msgsnd(id, room, 8000, 0), EIDRM);
    }
    CHILD(receiver)
    {
        EXPECT_ERRNO(msgrcv(id, room, 8000, 77, 0), EIDRM);
    }
    tap_until_asleep(sender);
    tap_until_asleep(receiver);
    MUST(msgctl(id, IPC_RMID, NULL));
    EXPECT_EXIT(sender, 0);
    EXPECT_EXIT(receiver, 0);
    EXPECT_ERRNO(msgctl(id, IPC_STAT, (void *)room), EINVAL);
}

CASE(memory)
{
    int id = MUST(shmget(IPC_PRIVATE, 4096, 0600));
    EXPECT_ERRNO(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
    EXPECT_ERRNO(syscall(SYS_shmat, 0x7ffffff0, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_shmat, id, 0x10001, 0), EINVAL);
    EXPECT_ERRNO(shmdt(tap_pages(1)), EINVAL);
    EXPECT_ERRNO(shmctl(id, 99, NULL), EINVAL);
    void *at = shmat(id, NULL, 0);
    EXPECT(at != (void *)-1);
    MUST(shmctl(id, IPC_RMID, NULL)); /* goes with its last map */
    struct shmid_ds info;
    EXPECT_OK(shmctl(id, IPC_STAT, &info));
    EXPECT(info.shm_perm.mode & SHM_DEST);
    MUST(shmdt(at));
    EXPECT_ERRNO(shmctl(id, IPC_STAT, &info), EINVAL);
}

CASE(posix_queues)
{
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8}, odd = {.mq_maxmsg = 0, .mq_msgsize = 8};
    struct timespec past = {1, 0}, bad = {0, 1000000000};
    static char long_name[300];
    char name[40];
    memset(long_name, 'n', 299);
    snprintf(name, sizeof name, "picket%d", getpid());
    EXPECT_ERRNO(syscall(SYS_mq_open, long_name, O_CREAT | O_RDWR, 0600, NULL), ENAMETOOLONG);
    EXPECT_ERRNO(syscall(SYS_mq_open, (void *)8, O_RDWR, 0600, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, (void *)8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, &odd), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mq_open, name, O_RDWR, 0, NULL), ENOENT);
    EXPECT_ERRNO(syscall(SYS_mq_open, "a/b", O_CREAT | O_RDWR, 0600, NULL), EACCES);
    EXPECT_ERRNO(syscall(SYS_mq_unlink, long_name), ENAMETOOLONG);
    EXPECT_ERRNO(syscall(SYS_mq_unlink, name), ENOENT);
    int fd = MUST(syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, &attr));
    EXPECT_ERRNO(syscall(SYS_mq_open, name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL), EEXIST);
    EXPECT_ERRNO(syscall(SYS_mq_timedreceive, fd, room, 4, NULL, NULL), EMSGSIZE);
    EXPECT_ERRNO(syscall(SYS_mq_timedreceive, fd, room, 8, NULL, &past), ETIMEDOUT);
    EXPECT_ERRNO(syscall(SYS_mq_timedreceive, fd, room, 8, NULL, &bad), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mq_timedreceive, fd, room, 8, NULL, (void *)8), EFAULT);
    INTERRUPTED(syscall(SYS_mq_timedreceive, fd, room, 8, NULL, NULL));
    EXPECT_ERRNO(syscall(SYS_mq_timedsend, fd, room, 9, 0, NULL), EMSGSIZE);
    EXPECT_ERRNO(syscall(SYS_mq_timedsend, fd, room, 8, 40000, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_mq_timedsend, fd, (void *)8, 8, 0, NULL), EFAULT);
    MUST(syscall(SYS_mq_timedsend, fd, room, 8, 0, NULL));
    EXPECT_ERRNO(syscall(SYS_mq_timedsend, fd, room, 8, 0, &past), ETIMEDOUT);
    EXPECT_ERRNO(syscall(SYS_mq_timedsend, fd, room, 8, 0, &bad), EINVAL);
    INTERRUPTED(syscall(SYS_mq_timedsend, fd, room, 8, 0, NULL));
    EXPECT_ERRNO(syscall(SYS_mq_getsetattr, fd, (void *)8, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_mq_getsetattr, fd, NULL, (void *)8), EFAULT);
    attr.mq_flags = 1;
    EXPECT_ERRNO(syscall(SYS_mq_getsetattr, fd, &attr, NULL), EINVAL);
    struct sigevent event = {.sigev_notify = 77};
    EXPECT_ERRNO(syscall(SYS_mq_notify, fd, &event), EINVAL);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 99;
    EXPECT_ERRNO(syscall(SYS_mq_notify, fd, &event), EINVAL);
    event.sigev_signo = SIGUSR1;
    MUST(syscall(SYS_mq_notify, fd, &event));
    EXPECT_ERRNO(syscall(SYS_mq_notify, fd, &event), EBUSY);
    CHILD(pid)
    {
        be_somebody();
        EXPECT_ERRNO(syscall(SYS_mq_open, name, O_RDWR, 0, NULL), EACCES);
        EXPECT_ERRNO(syscall(SYS_mq_unlink, name), EPERM);
    }
    EXPECT_EXIT(pid, 0);
    MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
    EXPECT_ERRNO(syscall(SYS_mq_timedsend, fd, room, 8, 0, NULL), EAGAIN);
    MUST(syscall(SYS_mq_timedreceive, fd, room, 8, NULL, NULL));
    EXPECT_ERRNO(syscall(SYS_mq_timedreceive, fd, room, 8, NULL, NULL), EAGAIN);
    MUST(syscall(SYS_mq_unlink, name));
    int file = MUST(open("/dev/null", O_RDWR));
    EXPECT_ERRNO(syscall(SYS_mq_timedsend, file, room, 8, 0, NULL), EBADF);
    EXPECT_ERRNO(syscall(SYS_mq_timedreceive, file, room, 8, NULL, NULL), EBADF);
}
