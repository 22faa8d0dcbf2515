/* SPDX-License-Identifier: Apache-2.0 */
/* The thread library on top of futexes, signals and clone: waits with deadlines, cancellation. */
#include "tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t signal_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile int flag;

static void on_signal(int signal)
{
    signal_count++;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

static long join(pthread_t thread)
{
    void *result = NULL;
    EXPECT_EQ(pthread_join(thread, &result), 0);
    return (long)result;
}

static struct timespec in_ms(clockid_t clock, long ms)
{
    struct timespec when;
    clock_gettime(clock, &when);
    when.tv_nsec += ms * 1000000;
    when.tv_sec += when.tv_nsec / 1000000000;
    when.tv_nsec %= 1000000000;
    return when;
}

CASE(condition_with_deadline)
{
    struct timespec when = in_ms(CLOCK_REALTIME, 30);
    pthread_mutex_lock(&mutex);
    EXPECT_EQ(pthread_cond_timedwait(&condition, &mutex, &when), ETIMEDOUT);
    when = in_ms(CLOCK_MONOTONIC, 30);
    EXPECT_EQ(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &when), ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
}

static void *set_flag(void *arg)
{
    pthread_mutex_lock(&mutex);
    flag = 1;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

CASE(condition_signalled_before_the_deadline)
{
    struct timespec when = in_ms(CLOCK_REALTIME, 9000);
    pthread_mutex_lock(&mutex);
    pthread_t thread = start(set_flag, NULL);
    int result = 0;
    while (!flag && result == 0)
        result = pthread_cond_timedwait(&condition, &mutex, &when);
    EXPECT_EQ(result, 0);
    pthread_mutex_unlock(&mutex);
    join(thread);
}

static void *try_lock(void *arg)
{
    struct timespec when = in_ms(CLOCK_REALTIME, 20);
    if (pthread_mutex_trylock(arg) != EBUSY)
        return (void *)1;
    return (void *)(long)pthread_mutex_timedlock(arg, &when);
}

CASE(mutex_kinds)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t own;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&own, &attr);
    EXPECT_EQ(pthread_mutex_lock(&own), 0);
    EXPECT_EQ(pthread_mutex_lock(&own), EDEADLK);
    EXPECT_EQ(join(start(try_lock, &own)), ETIMEDOUT);
    EXPECT_EQ(pthread_mutex_unlock(&own), 0);
    EXPECT_EQ(pthread_mutex_unlock(&own), EPERM);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&own, &attr);
    EXPECT_EQ(pthread_mutex_lock(&own), 0);
    EXPECT_EQ(pthread_mutex_lock(&own), 0);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_t inheriting;
    EXPECT_EQ(pthread_mutex_init(&inheriting, &attr), 0);
    EXPECT_EQ(pthread_mutex_lock(&inheriting), 0);
    EXPECT_EQ(join(start(try_lock, &inheriting)), ETIMEDOUT);
    EXPECT_EQ(pthread_mutex_unlock(&inheriting), 0);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long protected_value;

static void *use_rwlock(void *arg)
{
    long bad = 0;
    for (int i = 0; i < 200; i++) {
        if (i % 4 == (long)arg % 4) {
            pthread_rwlock_wrlock(&rwlock);
            protected_value++;
            pthread_rwlock_unlock(&rwlock);
        } else {
            pthread_rwlock_rdlock(&rwlock);
            bad += protected_value < 0;
            pthread_rwlock_unlock(&rwlock);
        }
    }
    return (void *)bad;
}

CASE(readers_and_writers)
{
    pthread_t threads[6];
    for (long i = 0; i < 6; i++)
        threads[i] = start(use_rwlock, (void *)i);
    for (int i = 0; i < 6; i++)
        EXPECT_EQ(join(threads[i]), 0);
    EXPECT_EQ(protected_value, 300);
    EXPECT_EQ(pthread_rwlock_rdlock(&rwlock), 0);
    EXPECT_EQ(pthread_rwlock_trywrlock(&rwlock), EBUSY);
}

static pthread_barrier_t barrier;

static void *meet(void *arg)
{
    long serial = 0;
    for (int i = 0; i < 20; i++)
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    return (void *)serial;
}

CASE(barrier_meets)
{
    pthread_t threads[4];
    pthread_barrier_init(&barrier, NULL, 4);
    long serial = 0;
    for (int i = 0; i < 4; i++)
        threads[i] = start(meet, NULL);
    for (int i = 0; i < 4; i++)
        serial += join(threads[i]);
    EXPECT_EQ(serial, 20);
}

static sem_t semaphore;

static void *post_later(void *arg)
{
    tap_sleep_ms(10);
    sem_post(&semaphore);
    return NULL;
}

CASE(semaphores)
{
    struct timespec when = in_ms(CLOCK_REALTIME, 20);
    sem_init(&semaphore, 0, 1);
    EXPECT_EQ(sem_wait(&semaphore), 0);
    EXPECT_ERRNO(sem_trywait(&semaphore), EAGAIN);
    EXPECT_ERRNO(sem_timedwait(&semaphore, &when), ETIMEDOUT);
    pthread_t thread = start(post_later, NULL);
    EXPECT_EQ(sem_wait(&semaphore), 0);
    join(thread);
}

CASE(semaphores_between_processes)
{
    sem_t *shared = (sem_t *)MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    sem_init(shared, 1, 0);
    CHILD(pid)
    {
        EXPECT_EQ(sem_wait(shared), 0);
        EXPECT_EQ(sem_wait(shared), 0);
    }
    EXPECT_EQ(sem_post(shared), 0);
    tap_until_asleep(pid);
    EXPECT_EQ(sem_post(shared), 0);
    EXPECT_EXIT(pid, 0);
    char name[64];
    snprintf(name, sizeof name, "/conformance.%d", (int)getpid());
    sem_t *named = sem_open(name, O_CREAT | O_EXCL, 0600, 2);
    EXPECT(named != SEM_FAILED);
    EXPECT_EQ(sem_wait(named), 0);
    EXPECT_EQ(sem_unlink(name), 0);
}

static void note_clean_up(void *arg)
{
    flag++;
}

static void *wait_for_ever(void *arg)
{
    pthread_cleanup_push(note_clean_up, NULL);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

static void *spin_for_ever(void *arg)
{
    int old;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    pthread_cleanup_push(note_clean_up, NULL);
    for (;;)
        ;
    pthread_cleanup_pop(0);
    return NULL;
}

CASE(cancellation)
{
    pthread_t thread = start(wait_for_ever, NULL);
    tap_sleep_ms(10);
    EXPECT_EQ(pthread_cancel(thread), 0);
    EXPECT_EQ(join(thread), (long)PTHREAD_CANCELED);
    EXPECT_EQ(flag, 1);
    thread = start(spin_for_ever, NULL);
    tap_sleep_ms(10);
    EXPECT_EQ(pthread_cancel(thread), 0);
    EXPECT_EQ(join(thread), (long)PTHREAD_CANCELED);
    EXPECT_EQ(flag, 2);
}

static void *wait_for_signal(void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    int got = 0;
    sigwait(&set, &got);
    return (void *)(long)got;
}

CASE(signals_to_a_thread)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_t thread = start(wait_for_signal, NULL);
    EXPECT_EQ(pthread_kill(thread, 0), 0);
    EXPECT_EQ(pthread_kill(thread, SIGUSR2), 0);
    EXPECT_EQ(join(thread), SIGUSR2);
    thread = start(wait_for_signal, NULL);
    kill(getpid(), SIGUSR2);
    EXPECT_EQ(join(thread), SIGUSR2);
}

static void *get_ids(void *arg)
{
    gate_wait(arg);
    uid_t r, e, s;
    syscall(SYS_getresuid, &r, &e, &s);
    return (void *)(long)(r == 1000 && e == 1000 && s == 1000);
}

CASE(ids_change_in_all_threads)
{
    struct gate go;
    gate_init(&go);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start(get_ids, &go);
    tap_sleep_ms(5);
    EXPECT_EQ(setuid(1000), 0); /* the library interrupts each thread for it */
    for (int i = 0; i < 3; i++)
        gate_pass(&go);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(join(threads[i]), 1);
}

static void *get_stack(void *arg)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;
    char here;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return (void *)1;
    pthread_attr_getstack(&attr, &low, &size);
    return (void *)(long)(&here > (char *)low && &here < (char *)low + size ? 0 : 2);
}

CASE(stacks)
{
    EXPECT_EQ((long)get_stack(NULL), 0); /* of the first thread, found through /proc/self/maps */
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    EXPECT_EQ(pthread_attr_setstacksize(&attr, 1 << 20), 0);
    EXPECT_EQ(pthread_create(&thread, &attr, get_stack, NULL), 0);
    EXPECT_EQ(join(thread), 0);
    EXPECT_EQ(pthread_attr_setstack(&attr, tap_pages(32), 32 * 4096), 0);
    EXPECT_EQ(pthread_create(&thread, &attr, get_stack, NULL), 0);
    EXPECT_EQ(join(thread), 0);
}

static void on_timer(union sigval value)
{
    pthread_mutex_lock(&mutex);
    flag = value.sival_int;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
}

CASE(timer_on_a_new_thread)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 77};
    event.sigev_notify_function = on_timer;
    timer_t timer;
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec spec = {{0, 0}, {0, 10000000}};
    MUST(timer_settime(timer, 0, &spec, NULL));
    pthread_mutex_lock(&mutex);
    while (flag == 0)
        pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
    EXPECT_EQ(flag, 77);
    EXPECT_EQ(timer_delete(timer), 0);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void destroy_value(void *value)
{
    __atomic_fetch_add((int *)value, 1, __ATOMIC_SEQ_CST);
}

static void make_key(void)
{
    pthread_key_create(&key, destroy_value);
    flag++;
}

static void *use_key(void *arg)
{
    pthread_once(&once, make_key);
    pthread_setspecific(key, arg);
    return pthread_getspecific(key) == arg ? NULL : (void *)1;
}

CASE(keys_and_once)
{
    int destroyed = 0;
    pthread_t threads[5];
    for (int i = 0; i < 5; i++)
        threads[i] = start(use_key, &destroyed);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(join(threads[i]), 0);
    EXPECT_EQ(destroyed, 5);
    EXPECT_EQ(flag, 1);
}

static void *interrupted_read(void *arg)
{
    char byte;
    long result = read(*(int *)arg, &byte, 1);
    return (void *)(result < 0 ? (long)errno : 0);
}

CASE(interrupted_call_of_one_thread)
{
    int fds[2];
    MUST(pipe(fds));
    tap_handle(SIGUSR1, on_signal, 0);
    pthread_t thread = start(interrupted_read, &fds[0]);
    void *result = NULL;
    while (pthread_tryjoin_np(thread, &result) == EBUSY) {
        pthread_kill(thread, SIGUSR1); /* a first one may come before the read */
        tap_sleep_ms(10);
    }
    EXPECT_EQ((long)result, EINTR);
    EXPECT(signal_count > 0);
}

static void *exit_process(void *arg)
{
    exit(9);
    return NULL;
}

CASE(exit_from_a_thread_runs_handlers)
{
    CHILD(pid)
    {
        start(exit_process, NULL);
        for (;;)
            pause();
    }
    EXPECT_EXIT(pid, 9);
}
