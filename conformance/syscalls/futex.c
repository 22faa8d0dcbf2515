/* SPDX-License-Identifier: Apache-2.0 */
/* futex(2): waits, wakes, requeues, wake-op, bitsets, priority inheritance, keys, timeouts. */
#include "tap.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout,
                  uint32_t *other, uint32_t value3)
{
    return syscall(SYS_futex, word, op, value, timeout, other, value3);
}

/* As futex with the fourth argument as a count. */
static long futex_count(uint32_t *word, int op, uint32_t value, long count, uint32_t *other,
                        uint32_t value3)
{
    return syscall(SYS_futex, word, op, value, count, other, value3);
}

static uint32_t *shared_words(void)
{
    return (uint32_t *)MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                                 -1, 0));
}

/* A child that waits on the word and exits with 0 when it was woken. */
static pid_t start_waiter(uint32_t *word, uint32_t value)
{
    CHILD(pid)
    {
        EXPECT_EQ(futex(word, FUTEX_WAIT, value, NULL, NULL, 0), 0);
    }
    tap_until_asleep(pid);
    return pid;
}

CASE(wait_compares_first)
{
    uint32_t word = 5;
    EXPECT_ERRNO(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
    EXPECT_ERRNO(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 4, NULL, NULL, 0), EAGAIN);
}

CASE(errors)
{
    uint32_t words[2] = {0, 0};
    uint32_t *odd = (uint32_t *)((char *)words + 1);
    EXPECT_ERRNO(futex(odd, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
    EXPECT_ERRNO(futex(odd, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
    EXPECT_ERRNO(futex((uint32_t *)8, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
    EXPECT_ERRNO(futex((uint32_t *)0xffff800000000000, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
    EXPECT_ERRNO(futex(words, 99, 0, NULL, NULL, 0), ENOSYS);
    struct timespec bad = {0, 1000000000};
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 0, (void *)8, NULL, 0), EFAULT);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
    EXPECT_EQ(futex(words, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

CASE(relative_timeout)
{
    uint32_t word = 0;
    struct timespec span = {0, 30000000};
    long before = tap_now_ms();
    EXPECT_ERRNO(futex(&word, FUTEX_WAIT, 0, &span, NULL, 0), ETIMEDOUT);
    EXPECT(tap_now_ms() - before >= 29);
}

CASE(absolute_timeout)
{
    uint32_t word = 0;
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_nsec += 20000000;
    if (when.tv_nsec >= 1000000000)
        when = (struct timespec){when.tv_sec + 1, when.tv_nsec - 1000000000};
    EXPECT_ERRNO(futex(&word, FUTEX_WAIT_BITSET, 0, &when, NULL, ~0u), ETIMEDOUT);
    clock_gettime(CLOCK_REALTIME, &when);
    EXPECT_ERRNO(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &when, NULL, ~0u),
                 ETIMEDOUT);
}

CASE(wake_counts)
{
    uint32_t *word = shared_words();
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = start_waiter(word, 0);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 2, NULL, NULL, 0), 2);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
    for (int i = 0; i < 3; i++)
        EXPECT_EXIT(pids[i], 0);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
}

CASE(wake_is_in_order_of_waiting)
{
    uint32_t *word = shared_words();
    pid_t first = start_waiter(word, 0);
    pid_t second = start_waiter(word, 0);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    EXPECT_EXIT(first, 0);
    EXPECT_EQ(waitpid(second, NULL, WNOHANG), 0);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    EXPECT_EXIT(second, 0);
}

CASE(private_flag_separates_processes)
{
    uint32_t *word = shared_words();
    CHILD(pid)
    {
        struct timespec span = {0, 100000000};
        EXPECT_ERRNO(futex(word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &span, NULL, 0), ETIMEDOUT);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(key_is_the_file_and_not_the_address)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    MUST(ftruncate(fd, 8192));
    uint32_t *a = (uint32_t *)MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    uint32_t *b = (uint32_t *)MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    pid_t pid = start_waiter(a + 1024, 0);
    EXPECT_EQ(futex(b, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
    EXPECT_EQ(futex(b + 1024, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(forked_private_memory_is_not_shared)
{
    uint32_t *word = (uint32_t *)tap_pages(1);
    word[0] = 0;
    CHILD(pid)
    {
        struct timespec span = {0, 100000000};
        EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, &span, NULL, 0), ETIMEDOUT);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(bitsets_select)
{
    uint32_t *word = shared_words();
    CHILD(pid)
    {
        EXPECT_EQ(futex(word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 2), 0);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 1), 0);
    EXPECT_ERRNO(futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 0), EINVAL);
    EXPECT_EQ(futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 6), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(requeue)
{
    uint32_t *words = shared_words();
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = start_waiter(words, 0);
    EXPECT_EQ(futex_count(words, FUTEX_REQUEUE, 1, 1, words + 1, 0), 2);
    EXPECT_EXIT(pids[0], 0);
    EXPECT_EQ(futex(words + 1, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
    EXPECT_EXIT(pids[1], 0);
    EXPECT_EQ(futex(words, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
    EXPECT_EXIT(pids[2], 0);
}

CASE(compare_and_requeue)
{
    uint32_t *words = shared_words();
    pid_t pid = start_waiter(words, 0);
    EXPECT_ERRNO(futex_count(words, FUTEX_CMP_REQUEUE, 0, 10, words + 1, 77), EAGAIN);
    EXPECT_EQ(futex_count(words, FUTEX_CMP_REQUEUE, 0, 10, words + 1, 0), 1);
    EXPECT_EQ(futex(words, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
    EXPECT_EQ(futex(words + 1, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(futex_count(words, FUTEX_CMP_REQUEUE, 0xffffffff, 10, words + 1, 0), EINVAL);
}

CASE(wake_op)
{
    uint32_t *words = shared_words();
    words[1] = 5;
    pid_t first = start_waiter(words, 0);
    pid_t second = start_waiter(words + 1, 5);
    uint32_t op = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5);
    EXPECT_EQ(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, op), 2);
    EXPECT_EQ(words[1], 8);
    EXPECT_EXIT(first, 0);
    EXPECT_EXIT(second, 0);
    op = FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_LT, 2);
    EXPECT_EQ(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, op), 0);
    EXPECT_EQ(words[1], 1);
    op = FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_GE, 0);
    EXPECT_EQ(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, op), 0);
    EXPECT_EQ(words[1], 7);
    op = FUTEX_OP(FUTEX_OP_ANDN, 2, FUTEX_OP_CMP_NE, 0);
    EXPECT_EQ(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, op), 0);
    EXPECT_EQ(words[1], 5);
    op = FUTEX_OP((FUTEX_OP_XOR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_GT, 0);
    EXPECT_EQ(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, op), 0);
    EXPECT_EQ(words[1], 21);
    op = 0x7u << 28;
    EXPECT_ERRNO(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, op), ENOSYS);
}

CASE(interrupted_wait)
{
    uint32_t *word = shared_words();
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, 0);
        EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(restarted_wait)
{
    uint32_t *word = shared_words();
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        EXPECT_EQ(futex(word, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
        EXPECT_EQ(signal_count, 1);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    tap_sleep_ms(10);
    tap_until_asleep(pid);
    EXPECT_EQ(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(pi_lock_uncontended)
{
    uint32_t word = 0;
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    EXPECT_EQ(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
    EXPECT_EQ(word, tid);
    EXPECT_ERRNO(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
    EXPECT_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
    EXPECT_EQ(word, 0);
    EXPECT_EQ(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), 0);
    EXPECT_EQ(word, tid);
    word = 0x3ffffff;
    EXPECT_ERRNO(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
    word = 1;
    EXPECT_ERRNO(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
}

CASE(pi_lock_contended)
{
    uint32_t *word = shared_words();
    EXPECT_EQ(futex(word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
    CHILD(pid)
    {
        uint32_t tid = (uint32_t)syscall(SYS_gettid);
        EXPECT_EQ(futex(word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
        EXPECT_EQ(*word & FUTEX_TID_MASK, tid);
        EXPECT_EQ(futex(word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(*word & FUTEX_WAITERS, FUTEX_WAITERS);
    EXPECT_EQ(futex(word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(pi_lock_timeout)
{
    uint32_t *word = shared_words();
    EXPECT_EQ(futex(word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
    CHILD(pid)
    {
        struct timespec when;
        clock_gettime(CLOCK_REALTIME, &when);
        EXPECT_ERRNO(futex(word, FUTEX_LOCK_PI, 0, &when, NULL, 0), ETIMEDOUT);
        EXPECT_ERRNO(futex(word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EAGAIN);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(waitv)
{
    struct {
        uint64_t value;
        uint64_t address;
        uint32_t flags;
        uint32_t reserved;
    } waiters[2] = {{0}, {0}};
    uint32_t *words = shared_words();
    SKIP_IF(syscall(449, waiters, 0, 0, NULL, 0) < 0 && errno == ENOSYS, "no futex_waitv");
    for (int i = 0; i < 2; i++) {
        waiters[i].address = (uint64_t)(uintptr_t)(words + i);
        waiters[i].flags = 2; /* FUTEX_32 */
    }
    CHILD(pid)
    {
        EXPECT_EQ(syscall(449, waiters, 2, 0, NULL, 0), 1);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(futex(words + 1, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    EXPECT_EXIT(pid, 0);
    waiters[1].value = 5;
    EXPECT_ERRNO(syscall(449, waiters, 2, 0, NULL, 0), EAGAIN);
    EXPECT_ERRNO(syscall(449, waiters, 0, 0, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(449, waiters, 2, 1, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(449, waiters, 129, 0, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(449, NULL, 2, 0, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(449, 8, 2, 0, NULL, 0), EFAULT);
    struct timespec past = {0, 1}, bad = {-1, 0};
    waiters[1].value = 0;
    EXPECT_ERRNO(syscall(449, waiters, 2, 0, &past, CLOCK_MONOTONIC), ETIMEDOUT);
    EXPECT_ERRNO(syscall(449, waiters, 2, 0, &past, 99), EINVAL);
    EXPECT_ERRNO(syscall(449, waiters, 2, 0, &bad, CLOCK_REALTIME), EINVAL);
    waiters[1].flags = 1;
    EXPECT_ERRNO(syscall(449, waiters, 2, 0, NULL, 0), EINVAL);
    waiters[1].flags = 2;
    waiters[1].reserved = 1;
    EXPECT_ERRNO(syscall(449, waiters, 2, 0, NULL, 0), EINVAL);
    waiters[1].reserved = 0;
    waiters[1].value = 1ull << 32;
    EXPECT_ERRNO(syscall(449, waiters, 2, 0, NULL, 0), EINVAL);
}

CASE(wait_in_memory_that_goes_away)
{
    uint32_t *word = shared_words();
    CHILD(pid)
    {
        struct timespec span = {0, 50000000};
        EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, &span, NULL, 0), ETIMEDOUT);
    }
    tap_until_asleep(pid);
    MUST(munmap(word, 4096));
    EXPECT_EXIT(pid, 0);
    EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
}
