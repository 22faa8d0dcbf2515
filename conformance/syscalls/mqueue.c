/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX message queues. */
#include "tap.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

static volatile sig_atomic_t signal_count;
static siginfo_t last_info;

static void on_info(int signal, siginfo_t *info, void *context)
{
    last_info = *info;
    signal_count++;
}

static mqd_t queue_of(long messages, long size, int flags)
{
    if (unshare(CLONE_NEWIPC) < 0)
        SKIP("no new IPC namespace");
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = size};
    mqd_t queue = mq_open("/queue", O_RDWR | O_CREAT | O_EXCL | flags, 0600, &attr);
    if (queue < 0 && errno == ENOSYS)
        SKIP("no message queues");
    return (mqd_t)MUST(queue);
}

CASE(priorities)
{
    mqd_t queue = queue_of(8, 32, 0);
    char text[32] = {0};
    unsigned priority = 99;
    EXPECT_EQ(mq_send(queue, "low", 3, 1), 0);
    EXPECT_EQ(mq_send(queue, "high", 4, 5), 0);
    EXPECT_EQ(mq_send(queue, "high2", 5, 5), 0);
    EXPECT_EQ(mq_receive(queue, text, 32, &priority), 4);
    EXPECT_EQ(priority, 5);
    EXPECT_EQ(mq_receive(queue, text, 32, &priority), 5);
    EXPECT_EQ(mq_receive(queue, text, 32, &priority), 3);
    EXPECT_EQ(priority, 1);
}

CASE(attributes_and_limits)
{
    mqd_t queue = queue_of(2, 16, O_NONBLOCK);
    struct mq_attr attr, old;
    char text[16];
    EXPECT_EQ(mq_getattr(queue, &attr), 0);
    EXPECT_EQ(attr.mq_maxmsg, 2);
    EXPECT_EQ(attr.mq_msgsize, 16);
    EXPECT_EQ(attr.mq_flags, O_NONBLOCK);
    EXPECT_ERRNO(mq_receive(queue, text, 16, NULL), EAGAIN);
    EXPECT_ERRNO(mq_receive(queue, text, 15, NULL), EMSGSIZE);
    EXPECT_ERRNO(mq_send(queue, text, 17, 0), EMSGSIZE);
    EXPECT_ERRNO(mq_send(queue, text, 1, 32768), EINVAL);
    EXPECT_EQ(mq_send(queue, text, 1, 0), 0);
    EXPECT_EQ(mq_send(queue, text, 1, 0), 0);
    EXPECT_ERRNO(mq_send(queue, text, 1, 0), EAGAIN);
    EXPECT_EQ(mq_getattr(queue, &attr), 0);
    EXPECT_EQ(attr.mq_curmsgs, 2);
    attr.mq_flags = 0;
    EXPECT_EQ(mq_setattr(queue, &attr, &old), 0);
    EXPECT_EQ(old.mq_flags, O_NONBLOCK);
    struct timespec past = {1, 0};
    EXPECT_ERRNO(mq_timedsend(queue, text, 1, 0, &past), ETIMEDOUT);
}

CASE(names)
{
    queue_of(2, 16, 0);
    EXPECT_ERRNO(mq_open("/queue", O_RDWR | O_CREAT | O_EXCL, 0600, NULL), EEXIST);
    EXPECT_OK(mq_open("/queue", O_RDONLY));
    EXPECT_ERRNO(mq_open("/missing", O_RDONLY), ENOENT);
    EXPECT_EQ(mq_unlink("/queue"), 0);
    EXPECT_ERRNO(mq_unlink("/queue"), ENOENT);
    EXPECT_ERRNO(mq_open("/queue", O_RDONLY), ENOENT);
}

CASE(waits_and_polls)
{
    mqd_t queue = queue_of(2, 16, 0);
    struct pollfd p = {queue, POLLIN | POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLOUT);
    CHILD(pid)
    {
        char text[16];
        EXPECT_EQ(mq_receive(queue, text, 16, NULL), 5);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(mq_send(queue, "hello", 5, 0), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(notification)
{
    mqd_t queue = queue_of(2, 16, 0);
    tap_handle_info(SIGUSR1, on_info, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    EXPECT_EQ(mq_notify(queue, &event), 0);
    EXPECT_ERRNO(mq_notify(queue, &event), EBUSY);
    EXPECT_EQ(mq_send(queue, "x", 1, 0), 0);
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_code, SI_MESGQ);
    EXPECT_EQ(last_info.si_pid, getpid());
    EXPECT_EQ(mq_send(queue, "x", 1, 0), 0);
    EXPECT_EQ(signal_count, 1); /* once only */
    EXPECT_EQ(mq_notify(queue, NULL), 0);
}
