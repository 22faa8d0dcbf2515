/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: raw clone with CLONE_THREAD, tid words, robust lists, pthreads, exit_group. */
#include "tap.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THREAD_FLAGS                                                                              \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define STACK_SIZE 65536

static volatile sig_atomic_t signal_count;
static volatile pid_t signal_tid;

static void on_signal(int signal)
{
    signal_tid = (pid_t)syscall(SYS_gettid);
    signal_count++;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

static void *join(pthread_t thread)
{
    void *result = NULL;
    EXPECT_EQ(pthread_join(thread, &result), 0);
    return result;
}

static int raw_thread(void *arg)
{
    int *words = arg;
    words[0] = (int)syscall(SYS_getpid);
    words[1] = (int)syscall(SYS_gettid);
    syscall(SYS_exit, 0);
    return 0;
}

static void wait_word_zero(int *word)
{
    int value;
    while ((value = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != 0)
        syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

CASE(raw_clone_shares_the_process)
{
    char *stack = tap_pages(STACK_SIZE / 4096);
    static int words[4];
    words[2] = 1;
    words[3] = 0;
    int tid = clone(raw_thread, stack + STACK_SIZE,
                    THREAD_FLAGS | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID, words, &words[3],
                    NULL, &words[2]);
    REQUIRE(tid > 0);
    wait_word_zero(&words[2]);
    EXPECT_EQ(words[0], getpid());
    EXPECT_EQ(words[1], tid);
    EXPECT_EQ(words[3], tid);
    EXPECT(tid != getpid());
    EXPECT_ERRNO(waitpid(tid, NULL, WNOHANG), ECHILD);
}

CASE(set_tid_address_returns_the_tid)
{
    static int word = 5;
    EXPECT_EQ(syscall(SYS_set_tid_address, &word), syscall(SYS_gettid));
    EXPECT_EQ(syscall(SYS_set_tid_address, NULL), syscall(SYS_gettid));
}

static void *get_ids(void *arg)
{
    pid_t *ids = arg;
    ids[0] = getpid();
    ids[1] = (pid_t)syscall(SYS_gettid);
    ids[2] = getppid();
    return arg;
}

CASE(ids_seen_in_a_thread)
{
    pid_t ids[3];
    EXPECT(join(start(get_ids, ids)) == ids);
    EXPECT_EQ(ids[0], getpid());
    EXPECT(ids[1] != getpid());
    EXPECT_EQ(ids[2], getppid());
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *count_up(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

CASE(mutex_keeps_a_counter)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = start(count_up, NULL);
    for (int i = 0; i < 8; i++)
        join(threads[i]);
    EXPECT_EQ(counter, 16000);
}

static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turn;

static void *take_turns(void *arg)
{
    int own = (int)(long)arg;
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 2 != own)
            pthread_cond_wait(&condition, &mutex);
        turn++;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

CASE(condition_passes_the_turn)
{
    pthread_t other = start(take_turns, (void *)1);
    take_turns((void *)0);
    join(other);
    EXPECT_EQ(turn, 200);
}

static __thread int own_value = 7;

static void *change_own_value(void *arg)
{
    long seen = own_value;
    own_value = 9;
    return (void *)seen;
}

CASE(thread_local_storage)
{
    own_value = 8;
    EXPECT_EQ((long)join(start(change_own_value, NULL)), 7);
    EXPECT_EQ(own_value, 8);
}

static void *do_nothing(void *arg)
{
    return arg;
}

CASE(create_and_join_many)
{
    for (long i = 0; i < 100; i++)
        EXPECT_EQ((long)join(start(do_nothing, (void *)i)), i);
}

static sem_t semaphore;

static void *wait_for_semaphore(void *arg)
{
    sem_wait(&semaphore);
    return NULL;
}

CASE(many_at_once)
{
    sem_init(&semaphore, 0, 0);
    pthread_t threads[50];
    for (int i = 0; i < 50; i++)
        threads[i] = start(wait_for_semaphore, NULL);
    char text[4096];
    REQUIRE(tap_read_file("/proc/self/status", text, sizeof text) > 0);
    const char *at = strstr(text, "\nThreads:\t");
    EXPECT(at && atoi(at + 10) == 51);
    for (int i = 0; i < 50; i++)
        sem_post(&semaphore);
    for (int i = 0; i < 50; i++)
        join(threads[i]);
}

static void *open_and_chdir(void *arg)
{
    if (chdir("/proc") < 0)
        return NULL;
    return (void *)(long)open("/dev/null", O_RDONLY);
}

CASE(descriptors_and_directory_are_shared)
{
    long fd = (long)join(start(open_and_chdir, NULL));
    EXPECT(fd > 2);
    EXPECT_EQ(fcntl((int)fd, F_GETFD), 0);
    char path[64];
    EXPECT_STR(getcwd(path, sizeof path), "/proc");
}

static void *unshare_files(void *arg)
{
    if (syscall(SYS_unshare, CLONE_FILES | CLONE_FS) < 0)
        return (void *)1;
    close(*(int *)arg);
    return chdir("/dev") < 0 ? (void *)2 : NULL;
}

CASE(unshare_of_files_and_fs)
{
    MUST(chdir("/"));
    int fd = MUST(open("/dev/null", O_RDONLY));
    EXPECT_EQ((long)join(start(unshare_files, &fd)), 0);
    EXPECT_EQ(fcntl(fd, F_GETFD), 0);
    char path[64];
    EXPECT_STR(getcwd(path, sizeof path), "/");
}

static void *pause_forever(void *arg)
{
    for (;;)
        pause();
    return NULL;
}

CASE(exit_group_ends_all)
{
    CHILD(pid)
    {
        for (int i = 0; i < 4; i++)
            start(pause_forever, NULL);
        syscall(SYS_exit_group, 12);
    }
    EXPECT_EXIT(pid, 12);
}

static void *exit_group_from_here(void *arg)
{
    syscall(SYS_exit_group, 13);
    return NULL;
}

CASE(exit_group_from_a_thread)
{
    CHILD(pid)
    {
        start(exit_group_from_here, NULL);
        pause_forever(NULL);
    }
    EXPECT_EXIT(pid, 13);
}

static void *exit_later(void *arg)
{
    tap_until_asleep(getpid());
    _exit(14);
    return NULL;
}

CASE(the_leader_may_leave_first)
{
    CHILD(pid)
    {
        start(exit_later, NULL);
        syscall(SYS_exit, 3);
    }
    EXPECT_EXIT(pid, 14);
}

static void *exit_thread(void *arg)
{
    syscall(SYS_exit, 5);
    return NULL;
}

CASE(the_last_thread_gives_the_leaders_code)
{
    CHILD(pid)
    {
        pthread_t thread = start(exit_thread, NULL);
        pthread_join(thread, NULL);
        syscall(SYS_exit, 3);
    }
    EXPECT_EXIT(pid, 3);
}

static void *fault(void *arg)
{
    *(volatile int *)8 = 1;
    return NULL;
}

CASE(a_fatal_signal_ends_all)
{
    CHILD(pid)
    {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        start(pause_forever, NULL);
        start(fault, NULL);
        pause_forever(NULL);
    }
    EXPECT_KILLED(pid, SIGSEGV);
}

static volatile pid_t waiting_tid;

static void *wait_for_signal(void *arg)
{
    waiting_tid = (pid_t)syscall(SYS_gettid);
    while (signal_count == 0)
        usleep(1000);
    return NULL;
}

CASE(tgkill_hits_the_thread)
{
    tap_handle(SIGUSR1, on_signal, 0);
    pthread_t thread = start(wait_for_signal, NULL);
    while (waiting_tid == 0)
        usleep(1000);
    EXPECT_EQ(syscall(SYS_tgkill, getpid(), waiting_tid, SIGUSR1), 0);
    join(thread);
    EXPECT_EQ(signal_tid, waiting_tid);
    EXPECT_ERRNO(syscall(SYS_tgkill, getpid(), -1, SIGUSR1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_tgkill, getpid(), 0x3fffff, SIGUSR1), ESRCH);
    EXPECT_ERRNO(syscall(SYS_tgkill, getppid(), getpid(), 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_tkill, 0x3fffff, SIGUSR1), ESRCH);
    EXPECT_ERRNO(syscall(SYS_tkill, 0, SIGUSR1), EINVAL);
}

CASE(process_signal_finds_the_open_thread)
{
    tap_handle(SIGUSR1, on_signal, 0);
    pthread_t thread = start(wait_for_signal, NULL);
    while (waiting_tid == 0)
        usleep(1000);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    kill(getpid(), SIGUSR1);
    join(thread);
    EXPECT_EQ(signal_tid, waiting_tid);
}

static void *get_mask(void *arg)
{
    pthread_sigmask(SIG_BLOCK, NULL, arg);
    return NULL;
}

CASE(mask_is_inherited_and_private)
{
    sigset_t set, seen, own;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    join(start(get_mask, &seen));
    EXPECT_EQ(sigismember(&seen, SIGUSR2), 1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &own);
    EXPECT_EQ(sigismember(&own, SIGUSR2), 0);
}

CASE(robust_list_registration)
{
    struct robust_list_head *head = NULL;
    size_t size = 0;
    struct robust_list_head own = {{&own.list}, 0, NULL};
    EXPECT_EQ(syscall(SYS_set_robust_list, &own, sizeof own), 0);
    EXPECT_EQ(syscall(SYS_get_robust_list, 0, &head, &size), 0);
    EXPECT(head == &own);
    EXPECT_EQ(size, sizeof own);
    EXPECT_ERRNO(syscall(SYS_set_robust_list, &own, 5), EINVAL);
    EXPECT_ERRNO(syscall(SYS_get_robust_list, 0x3fffff, &head, &size), ESRCH);
}

static pthread_mutex_t *robust;

static void *die_with_the_mutex(void *arg)
{
    pthread_mutex_lock(robust);
    syscall(SYS_exit, 0);
    return NULL;
}

CASE(robust_mutex_of_a_dead_thread)
{
    robust = (pthread_mutex_t *)tap_pages(1);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    REQUIRE(pthread_mutex_init(robust, &attr) == 0);
    start(die_with_the_mutex, NULL);
    tap_sleep_ms(5);
    int got;
    while ((got = pthread_mutex_trylock(robust)) == EBUSY || got == 0) {
        if (got == 0)
            pthread_mutex_unlock(robust);
        tap_sleep_ms(1);
    }
    EXPECT_EQ(got, EOWNERDEAD);
    EXPECT_EQ(pthread_mutex_consistent(robust), 0);
    EXPECT_EQ(pthread_mutex_unlock(robust), 0);
}

CASE(robust_mutex_of_a_dead_process)
{
    robust = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    REQUIRE(pthread_mutex_init(robust, &attr) == 0);
    struct gate gate;
    gate_init(&gate);
    CHILD(pid)
    {
        pthread_mutex_lock(robust);
        gate_pass(&gate);
        for (;;)
            pause();
    }
    gate_wait(&gate);
    CHILD(waiter)
    {
        EXPECT_EQ(pthread_mutex_lock(robust), EOWNERDEAD);
    }
    tap_until_asleep(waiter);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
    EXPECT_EXIT(waiter, 0);
}

static void *set_name(void *arg)
{
    prctl(PR_SET_NAME, "worker");
    tap_read_file("/proc/thread-self/comm", arg, 32);
    return NULL;
}

CASE(names_are_per_thread)
{
    char name[32] = {0};
    char own[32] = {0};
    prctl(PR_SET_NAME, "leader");
    join(start(set_name, name));
    EXPECT_STR(name, "worker\n");
    prctl(PR_GET_NAME, own);
    EXPECT_STR(own, "leader");
}

static void *fork_from_here(void *arg)
{
    pid_t pid = fork();
    if (pid == 0) {
        char text[4096];
        tap_read_file("/proc/self/status", text, sizeof text);
        const char *at = strstr(text, "\nThreads:\t");
        _exit(at ? atoi(at + 10) : 99);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return (void *)(long)WEXITSTATUS(status);
}

CASE(fork_keeps_one_thread)
{
    start(pause_forever, NULL);
    EXPECT_EQ((long)join(start(fork_from_here, NULL)), 1);
}

static void *wait_for_child(void *arg)
{
    int status = 0;
    waitpid(*(pid_t *)arg, &status, 0);
    return (void *)(long)status;
}

CASE(any_thread_may_reap)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(21);
    EXPECT_EQ((long)join(start(wait_for_child, &pid)), 21 << 8);
}

CASE(membarrier_and_rseq)
{
    long supported = syscall(SYS_membarrier, 0, 0, 0);
    SKIP_IF(supported < 0, "no membarrier");
    EXPECT(supported & 1);
    EXPECT_EQ(syscall(SYS_membarrier, 1, 0, 0), 0);
    EXPECT_ERRNO(syscall(SYS_membarrier, 8, 0, 0), EPERM); /* PRIVATE_EXPEDITED, not registered */
    EXPECT_EQ(syscall(SYS_membarrier, 16, 0, 0), 0);
    EXPECT_EQ(syscall(SYS_membarrier, 8, 0, 0), 0);
    EXPECT_ERRNO(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL);
}
