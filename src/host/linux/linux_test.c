/* SPDX-License-Identifier: Apache-2.0 */
/* What only the real host has: threads, wake-ups, shared descriptions, limits of the process. */
#include "host/contract_env.h"
#include "host/linux/linux.h"

#include <CUnit/CUnit.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- the environment of the contract tests ---- */

static u32 count_fds(struct env *env)
{
    u32 count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static int make_pipe(struct env *env, int fds[2])
{
    return pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
}

static int make_terminal(struct env *env, int fds[2])
{
    return openpty(&fds[1], &fds[0], NULL, NULL, NULL) < 0 ? -errno : 0;
}

static int make_listener(struct env *env, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", env->path, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4) < 0)
        return -errno;
    return fd;
}

static void env_fini(struct env *env)
{
    host_file_put(env->dir);
    host_put(env->host);
    CU_ASSERT_EQUAL(count_fds(env), env->fds_before);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", env->path);
    CU_ASSERT_EQUAL(system(command), 0);
}

void env_linux_init(struct env *env)
{
    *env = (struct env){
        .make_pipe = make_pipe,
        .make_terminal = make_terminal,
        .make_listener = make_listener,
        .count_fds = count_fds,
        .fini = env_fini,
        .path = "/tmp/picket-host-XXXXXX",
    };
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(env->path));
    env->fds_before = count_fds(env);
    env->host = host_linux_create();
    CU_ASSERT_PTR_NOT_NULL_FATAL(env->host);
    CU_ASSERT_EQUAL_FATAL(
        host_open_path(env->host, env->path, O_RDONLY | O_DIRECTORY, 0, &env->dir), 0);
}

/* ---- waiting and telling ---- */

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

struct counter {
    struct host_interrupt interrupt;
    _Atomic u32 count;
};

static void counter_interrupt(struct host_interrupt *self)
{
    struct counter *counter = container_of(self, struct counter, interrupt);
    atomic_fetch_add(&counter->count, 1);
}

static bool soon(_Atomic u32 *count, u32 at_least)
{
    for (int ms = 0; ms < 2000; ms++) {
        if (atomic_load(count) >= at_least)
            return true;
        sleep_ms(1);
    }
    return false;
}

static void nothing(struct host_watch *watch, u32 ready)
{
    ++*(u32 *)watch->owner;
}

static void a_busy_cpu_is_interrupted(void)
{
    struct env env;
    env_linux_init(&env);
    struct counter counter = {.interrupt = {.interrupt = counter_interrupt}};
    CU_ASSERT_EQUAL(host_poller_start(env.host, &counter.interrupt), 0);
    struct host_stream *a, *b;
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(env.host, SOCK_STREAM, &a, &b), 0);
    u32 told = 0;
    struct host_watch watch = {.notify = nothing, .owner = &told};
    host_stream_watch(b, &watch);
    CU_ASSERT_TRUE(soon(&counter.count, 1)); /* writable */
    CU_ASSERT_EQUAL(host_reap(env.host), 1);
    for (u32 i = 0; i < 5; i++) {
        sleep_ms(i * 3); /* the poller is in another state each time */
        u32 before = atomic_load(&counter.count);
        CU_ASSERT_EQUAL(host_stream_write(a, "x", 1, NULL, 0), 1);
        CU_ASSERT_TRUE(soon(&counter.count, before + 1));
        CU_ASSERT_EQUAL(host_reap(env.host), 1);
    }
    CU_ASSERT_EQUAL(told, 6);
    host_stream_put(a);
    host_stream_put(b);
    env.fini(&env);
}

static void a_deadline_interrupts_once(void)
{
    struct env env;
    env_linux_init(&env);
    struct counter counter = {.interrupt = {.interrupt = counter_interrupt}};
    CU_ASSERT_EQUAL(host_poller_start(env.host, &counter.interrupt), 0);
    for (u32 i = 0; i < 3; i++) {
        sleep_ms(i * 5);
        u64 start = host_monotonic_ns(env.host);
        host_poller_set_deadline(env.host, start + 3 * NS_PER_MS);
        CU_ASSERT_TRUE(soon(&counter.count, i + 1));
        CU_ASSERT_TRUE(host_monotonic_ns(env.host) >= start + 3 * NS_PER_MS);
    }
    sleep_ms(20);
    CU_ASSERT_EQUAL(atomic_load(&counter.count), 3);
    env.fini(&env);
}

struct waiter {
    struct host *host;
    u64 deadline_ns;
    _Atomic u32 waits; /* how many waits have ended */
    _Atomic u32 stop;
    pthread_t thread;
};

static void *waiter_run(void *arg)
{
    struct waiter *waiter = arg;
    while (!atomic_load(&waiter->stop)) {
        host_wait(waiter->host, waiter->deadline_ns);
        atomic_fetch_add(&waiter->waits, 1);
    }
    return NULL;
}

static void one_wait_is_ended_by_each_call(void)
{
    struct env env;
    env_linux_init(&env);
    struct counter counter = {.interrupt = {.interrupt = counter_interrupt}};
    CU_ASSERT_EQUAL(host_poller_start(env.host, &counter.interrupt), 0);
    struct waiter waiters[3] = {0};
    for (int i = 0; i < 3; i++) {
        waiters[i].host = env.host;
        waiters[i].deadline_ns = NO_DEADLINE;
        pthread_create(&waiters[i].thread, NULL, waiter_run, &waiters[i]);
    }
    sleep_ms(20);
    for (u32 i = 0; i < 30; i++) {
        host_wait_end(env.host);
        sleep_ms(i % 3);
    }
    for (int ms = 0; ms < 2000; ms++) {
        u32 all = 0;
        for (int i = 0; i < 3; i++)
            all += atomic_load(&waiters[i].waits);
        if (all >= 30)
            break;
        sleep_ms(1);
    }
    u32 all = 0;
    for (int i = 0; i < 3; i++)
        all += atomic_load(&waiters[i].waits);
    CU_ASSERT_TRUE(all >=
                   28); /* two calls in a row may end one wait when nobody waits between them */
    for (int i = 0; i < 3; i++)
        atomic_store(&waiters[i].stop, 1);
    for (int ended = 0; ended < 6; ended++) {
        host_wait_end(env.host);
        sleep_ms(1);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(waiters[i].thread, NULL);
    CU_ASSERT_EQUAL(atomic_load(&counter.count), 0); /* nobody was busy */
    env.fini(&env);
}

static void a_wait_that_was_ended_before_it_began_ends_at_once(void)
{
    struct env env;
    env_linux_init(&env);
    u64 start = host_monotonic_ns(env.host);
    host_wait_end(env.host);
    host_wait(env.host, start + 5 * NS_PER_S);
    CU_ASSERT_TRUE(host_monotonic_ns(env.host) < start + NS_PER_S);
    start = host_monotonic_ns(env.host);
    host_wait(env.host, start + 10 * NS_PER_MS);
    CU_ASSERT_TRUE(host_monotonic_ns(env.host) >= start + 9 * NS_PER_MS);
    env.fini(&env);
}

static void an_earlier_deadline_shortens_a_wait(void)
{
    struct env env;
    env_linux_init(&env);
    struct waiter waiter = {.host = env.host, .deadline_ns = NO_DEADLINE};
    pthread_create(&waiter.thread, NULL, waiter_run, &waiter);
    sleep_ms(10);
    host_poller_set_deadline(env.host, host_monotonic_ns(env.host) + 2 * NS_PER_MS);
    CU_ASSERT_TRUE(soon(&waiter.waits, 1));
    atomic_store(&waiter.stop, 1);
    host_wait_end(env.host);
    pthread_join(waiter.thread, NULL);
    env.fini(&env);
}

static void no_event_is_lost_between_cpus_and_the_poller(void)
{
    /* A byte at a time through a pair, echoed by a "cpu" that idles or spins: each must arrive. */
    struct env env;
    env_linux_init(&env);
    struct counter counter = {.interrupt = {.interrupt = counter_interrupt}};
    CU_ASSERT_EQUAL(host_poller_start(env.host, &counter.interrupt), 0);
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct host_stream *stream = host_stream_from_fd(env.host, fds[0]);
    u32 told = 0;
    struct host_watch watch = {.notify = nothing, .owner = &told};
    host_stream_watch(stream, &watch);
    for (u32 round = 0; round < 300; round++) {
        char byte = (char)round;
        CU_ASSERT_EQUAL(write(fds[1], &byte, 1), 1);
        u64 give_up = host_monotonic_ns(env.host) + 2 * NS_PER_S;
        i64 got;
        while ((got = host_stream_read(stream, &byte, 1, NULL, NULL)) == -EAGAIN)
            CU_ASSERT_TRUE_FATAL(host_monotonic_ns(env.host) < give_up);
        CU_ASSERT_EQUAL(got, 1);
        u32 before = told;
        while (told == before && host_monotonic_ns(env.host) < give_up) {
            if (round % 2)
                host_wait(env.host, give_up);
            host_reap(env.host);
        }
        CU_ASSERT_TRUE_FATAL(told > before);
    }
    host_stream_put(stream);
    close(fds[1]);
    env.fini(&env);
}

/* ---- submitted operations ---- */

static void op_done(struct host_op *op)
{
    ++*(u32 *)op->owner;
}

static void many_operations_all_complete(void)
{
    struct env env;
    env_linux_init(&env);
    enum { COUNT = 64 };
    struct host_file *file = NULL;
    CU_ASSERT_EQUAL_FATAL(host_open_at(env.dir, "f", O_RDWR | O_CREAT, 0600, &file), 0);
    struct host_op *ops = calloc(COUNT, sizeof *ops);
    u8 *big = calloc(1, 1 << 20);
    u32 done = 0, submitted = 0;
    for (u32 i = 0; i < COUNT; i++) {
        ops[i] = (struct host_op){
            .type = HOST_OP_SYNC, .file = file, .done = op_done, .owner = &done};
        if (i % 4 == 1) {
            ops[i].type = HOST_OP_PWRITE;
            ops[i].offset = (u64)i << 20;
            ops[i].iov_count = 1;
            ops[i].iov[0] = (struct host_iovec){big, 1 << 20};
        }
        submitted += !host_submit(env.host, &ops[i]);
    }
    CU_ASSERT_TRUE(submitted > 0);
    u64 give_up = host_monotonic_ns(env.host) + 60 * NS_PER_S;
    while (done < submitted && host_monotonic_ns(env.host) < give_up) {
        host_wait(env.host, give_up);
        host_reap(env.host);
    }
    CU_ASSERT_EQUAL(done, submitted);
    for (u32 i = 0; i < COUNT; i++)
        CU_ASSERT_EQUAL(ops[i].result, i % 4 == 1 ? 1 << 20 : 0);
    free(ops);
    free(big);
    host_file_put(file);
    env.fini(&env);
}

static void stopping_ends_an_operation_that_waits_for_a_device(void)
{
    struct env env;
    env_linux_init(&env);
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    struct host_file *file = host_file_from_fd(env.host, fds[0]);
    char byte;
    u32 done = 0;
    struct host_op op = {.type = HOST_OP_READ,
                         .file = file,
                         .iov_count = 1,
                         .iov = {{&byte, 1}},
                         .done = op_done,
                         .owner = &done};
    CU_ASSERT_FALSE(host_submit(env.host, &op));
    CU_ASSERT_EQUAL(host_pending_count(env.host), 1);
    host_poller_stop(env.host);
    CU_ASSERT_EQUAL(host_reap(env.host), 1);
    CU_ASSERT_EQUAL(op.result, -EINTR);
    CU_ASSERT_EQUAL(done, 1);
    op.result = 0; /* and the pool begins anew */
    CU_ASSERT_FALSE(host_submit(env.host, &op));
    CU_ASSERT_EQUAL(write(fds[1], "x", 1), 1);
    while (done < 2) {
        host_wait(env.host, NO_DEADLINE);
        host_reap(env.host);
    }
    CU_ASSERT_EQUAL(op.result, 1);
    close(fds[1]);
    host_file_put(file);
    env.fini(&env);
}

static void a_remote_file_is_closed_by_a_worker(void)
{
    struct env env;
    env_linux_init(&env);
    u32 before = count_fds(&env);
    for (int i = 0; i < 20; i++) {
        struct host_file *file = env_make_file(&env, "f", "x");
        container_of(file, struct linux_file, file)->kind = FILE_REMOTE; /* as if on nfs */
        host_file_put(file);
        CU_ASSERT_EQUAL(host_unlink_at(env.dir, "f", 0), 0);
    }
    host_poller_stop(env.host); /* waits for what is queued */
    CU_ASSERT_EQUAL(count_fds(&env), before);
    env.fini(&env);
}

static void a_big_read_comes_whole_from_a_worker(void)
{
    struct env env;
    env_linux_init(&env);
    struct host_file *file = env_make_file(&env, "f", "");
    enum { SIZE = 3 << 20 };
    u8 *bytes = malloc(SIZE), *back = calloc(1, SIZE);
    for (u32 i = 0; i < SIZE; i++)
        bytes[i] = (u8)(i * 7 + (i >> 11));
    CU_ASSERT_EQUAL(host_pwrite(file, bytes, SIZE, 0), SIZE);
    u32 done = 0;
    struct host_op op = {
        .type = HOST_OP_PREAD,
        .file = file,
        .iov_count = 3,
        .iov = {{back, 1000}, {back + 1000, 2 << 20}, {back + 1000 + (2 << 20), SIZE}},
        .done = op_done,
        .owner = &done};
    op.iov[2].size = SIZE - 1000 - (2 << 20);
    CU_ASSERT_FALSE(host_submit(env.host, &op));
    while (done == 0) {
        host_wait(env.host, NO_DEADLINE);
        host_reap(env.host);
    }
    CU_ASSERT_EQUAL(op.result, SIZE);
    CU_ASSERT_EQUAL(memcmp(bytes, back, SIZE), 0);
    free(bytes);
    free(back);
    host_file_put(file);
    env.fini(&env);
}

/* ---- descriptors of others ---- */

static void a_shared_description_is_not_made_nonblocking(void)
{
    struct env env;
    env_linux_init(&env);
    int pipe_fds[2], terminal, master;
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    CU_ASSERT_EQUAL_FATAL(openpty(&master, &terminal, NULL, NULL, NULL), 0);
    int sources[] = {pipe_fds[0], terminal, master};
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        struct host_stream *stream = host_stream_from_fd(env.host, dup(sources[i]));
        CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
        u32 told = 0;
        struct host_watch watch = {.notify = nothing, .owner = &told};
        host_stream_watch(stream, &watch);
        char byte;
        CU_ASSERT_EQUAL(host_stream_read(stream, &byte, 1, NULL, NULL),
                        -EAGAIN); /* and does not wait */
        CU_ASSERT_FALSE(fcntl(sources[i], F_GETFL) & O_NONBLOCK);
        host_stream_put(stream);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(terminal);
    close(master);
    env.fini(&env);
}

static void a_terminal_of_our_own_is_never_waited_for(void)
{
    struct env env;
    env_linux_init(&env);
    int master, shared;
    CU_ASSERT_EQUAL_FATAL(openpty(&master, &shared, NULL, NULL, NULL), 0);
    CU_ASSERT_EQUAL(host_linux_own_terminal(master), -ENOTTY);
    CU_ASSERT_EQUAL(host_linux_own_terminal(host_file_fd(env.dir)), -ENOTTY);
    int own = host_linux_own_terminal(shared);
    CU_ASSERT_TRUE_FATAL(own >= 0);
    CU_ASSERT_FALSE(fcntl(shared, F_GETFL) & O_NONBLOCK);
    struct host_stream *stream = host_stream_from_fd(env.host, own);
    char lines[1000];
    memset(lines, '\n', sizeof lines); /* two bytes each, where one was said to fit */
    i64 count = 0;
    u64 total = 0;
    while (count >= 0 && total < 10000000) {
        count = host_stream_write(stream, lines, sizeof lines, NULL, 0);
        total += count > 0 ? (u64)count : 0;
    }
    CU_ASSERT_EQUAL(count, -EAGAIN);
    CU_ASSERT_TRUE(total > 1000);
    struct pollfd readable = {.fd = master, .events = POLLIN};
    while (poll(&readable, 1, 50) == 1)
        CU_ASSERT_TRUE(read(master, lines, sizeof lines) > 0);
    CU_ASSERT_TRUE(host_stream_poll(stream) & HOST_WRITABLE);
    host_stream_put(stream);
    close(master);
    close(shared);
    env.fini(&env);
}

static void devices_without_poll_are_always_ready(void)
{
    struct env env;
    env_linux_init(&env);
    struct host_stream *null = host_stream_from_fd(env.host, open("/dev/null", O_RDWR | O_CLOEXEC));
    struct host_stream *zero = host_stream_from_fd(env.host, open("/dev/zero", O_RDWR | O_CLOEXEC));
    u32 told = 0;
    struct host_watch watch = {.notify = nothing, .owner = &told};
    host_stream_watch(null, &watch);
    CU_ASSERT_EQUAL(host_reap(env.host), 1);
    CU_ASSERT_EQUAL(told, 1);
    CU_ASSERT_EQUAL(host_stream_poll(null), HOST_READABLE | HOST_WRITABLE);
    char out[4] = "abc";
    CU_ASSERT_EQUAL(host_stream_write(null, out, 3, NULL, 0), 3);
    CU_ASSERT_EQUAL(host_stream_read(null, out, 3, NULL, NULL), 0);
    CU_ASSERT_EQUAL(host_stream_read(zero, out, 3, NULL, NULL), 3);
    CU_ASSERT_EQUAL(out[0], 0);
    host_stream_put(null);
    host_stream_put(zero);
    env.fini(&env);
}

static void descriptors_that_do_not_fit_the_process_are_all_closed(void)
{
    struct env env;
    env_linux_init(&env);
    struct host_stream *a, *b;
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(env.host, SOCK_STREAM, &a, &b), 0);
    int sent[20];
    for (size_t i = 0; i < ARRAY_COUNT(sent); i++)
        sent[i] = host_stream_fd(a);
    CU_ASSERT_EQUAL(host_stream_write(a, "x", 1, sent, ARRAY_COUNT(sent)), 1);
    int next = dup(0);
    close(next);
    struct rlimit old, cut;
    getrlimit(RLIMIT_NOFILE, &old);
    cut = (struct rlimit){.rlim_cur = (rlim_t)next + 5, .rlim_max = old.rlim_max};
    u32 before = count_fds(&env);
    setrlimit(RLIMIT_NOFILE, &cut);
    int fds[HOST_FDS_MAX];
    u32 count = HOST_FDS_MAX;
    char byte;
    CU_ASSERT_EQUAL(host_stream_read(b, &byte, 1, fds, &count), -EMFILE);
    CU_ASSERT_EQUAL(count, 0);
    setrlimit(RLIMIT_NOFILE, &old);
    CU_ASSERT_EQUAL(count_fds(&env), before);
    host_stream_put(a);
    host_stream_put(b);
    env.fini(&env);
}

static void received_descriptors_are_closed_on_exec(void)
{
    struct env env;
    env_linux_init(&env);
    struct host_stream *a, *b;
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(env.host, SOCK_STREAM, &a, &b), 0);
    int null = open("/dev/null", O_RDONLY);
    CU_ASSERT_EQUAL(host_stream_write(a, "x", 1, &null, 1), 1);
    close(null);
    int got;
    u32 count = 1;
    char byte;
    CU_ASSERT_EQUAL(host_stream_read(b, &byte, 1, &got, &count), 1);
    CU_ASSERT_EQUAL_FATAL(count, 1);
    CU_ASSERT_TRUE(fcntl(got, F_GETFD) & FD_CLOEXEC);
    host_close_fds(env.host, &got, 1);
    host_stream_put(a);
    host_stream_put(b);
    env.fini(&env);
}

void linux_suite(void)
{
    CU_pSuite suite = CU_add_suite("host/linux", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(a_busy_cpu_is_interrupted);
    ADD(a_deadline_interrupts_once);
    ADD(one_wait_is_ended_by_each_call);
    ADD(a_wait_that_was_ended_before_it_began_ends_at_once);
    ADD(an_earlier_deadline_shortens_a_wait);
    ADD(no_event_is_lost_between_cpus_and_the_poller);
    ADD(many_operations_all_complete);
    ADD(stopping_ends_an_operation_that_waits_for_a_device);
    ADD(a_remote_file_is_closed_by_a_worker);
    ADD(a_big_read_comes_whole_from_a_worker);
    ADD(a_shared_description_is_not_made_nonblocking);
    ADD(a_terminal_of_our_own_is_never_waited_for);
    ADD(devices_without_poll_are_always_ready);
    ADD(descriptors_that_do_not_fit_the_process_are_all_closed);
    ADD(received_descriptors_are_closed_on_exec);
#undef ADD
}
