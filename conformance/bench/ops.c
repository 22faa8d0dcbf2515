/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times single operations and prints "op ns" lines, the median over batches of the mean of a batch.
 *
 *     ops [--batches N] [--batch-ms M] [op]...       (none named: all)
 *     ops --turns N [op]...                          exactly so many turns, nothing printed
 *
 * A batch is as many turns as fit into its time, found by doubling. An operation that cannot be set
 * up (no network, say) prints "op -".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES_MAX = 101, FAULT_PAGES = 256 };

struct op {
    const char *name;
    int (*set_up)(void); /* 0 or -1 */
    void (*run)(long turns);
    void (*tear_down)(void);
    long units; /* operations in one turn */
};

static int fds[4] = {-1, -1, -1, -1};
static pid_t partner;
static char block[4096];
static char path[64];
static char self[512];
static uint32_t *word;
static char *region;
static volatile sig_atomic_t signal_count;

static long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000l + now.tv_nsec;
}

static void end(void)
{
    if (partner > 0) {
        kill(partner, SIGKILL);
        waitpid(partner, NULL, 0);
    }
    partner = 0;
    for (int i = 0; i < 4; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
    if (path[0])
        unlink(path);
    path[0] = '\0';
}

static int set_up_nothing(void)
{
    return 0;
}

static void run_getpid(long turns)
{
    while (turns-- > 0)
        syscall(SYS_getpid);
}

static void run_clock_gettime(long turns)
{
    struct timespec now;
    while (turns-- > 0)
        clock_gettime(CLOCK_MONOTONIC, &now);
}

static int set_up_zero(void)
{
    fds[0] = open("/dev/zero", O_RDONLY);
    return fds[0] < 0 ? -1 : 0;
}

static void run_read_zero(long turns)
{
    while (turns-- > 0)
        read(fds[0], block, 1);
}

static int set_up_file(void)
{
    snprintf(path, sizeof path, "/tmp/ops.%d", (int)getpid());
    fds[0] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    return fds[0] < 0 || write(fds[0], block, sizeof block) != sizeof block ? -1 : 0;
}

static void run_stat(long turns)
{
    struct stat st;
    while (turns-- > 0)
        stat(path, &st);
}

static void run_open_close(long turns)
{
    while (turns-- > 0)
        close(open(path, O_RDONLY));
}

static void run_create_unlink(long turns)
{
    while (turns-- > 0) {
        close(open(path, O_RDWR | O_CREAT, 0644));
        unlink(path);
    }
}

static void run_pread_4k(long turns)
{
    while (turns-- > 0)
        pread(fds[0], block, sizeof block, 0);
}

static void run_pwrite_4k(long turns)
{
    while (turns-- > 0)
        pwrite(fds[0], block, sizeof block, 0);
}

static int set_up_epoll(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    fds[0] = epoll_create1(0);
    fds[1] = eventfd(1, 0);
    return epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &event);
}

static void run_epoll_wait_rdy(long turns)
{
    struct epoll_event event;
    while (turns-- > 0)
        epoll_wait(fds[0], &event, 1, 0);
}

static void run_mmap_munmap(long turns)
{
    while (turns-- > 0) {
        void *start = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(start, 65536);
    }
}

static int set_up_fault(void)
{
    region = mmap(NULL, FAULT_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                  0);
    if (region == MAP_FAILED)
        return -1;
    madvise(region, FAULT_PAGES * 4096, MADV_NOHUGEPAGE);
    return 0;
}

static void run_anon_fault(long turns)
{
    while (turns-- > 0) {
        madvise(region, FAULT_PAGES * 4096, MADV_DONTNEED);
        for (long i = 0; i < FAULT_PAGES; i++)
            region[i * 4096] = 1;
    }
}

static void end_fault(void)
{
    munmap(region, FAULT_PAGES * 4096);
}

static void on_signal(int signal)
{
    (void)signal;
    signal_count++;
}

static int set_up_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    return sigaction(SIGUSR1, &action, NULL);
}

static void run_signal_raise(long turns)
{
    pid_t pid = getpid();
    while (turns-- > 0)
        kill(pid, SIGUSR1);
}

/* A child that sends every byte back. */
static int start_echo(int in, int out)
{
    partner = fork();
    if (partner != 0)
        return partner < 0 ? -1 : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char byte;
    while (read(in, &byte, 1) == 1)
        write(out, &byte, 1);
    _exit(0);
}

static int set_up_pipes(void)
{
    if (pipe(fds) < 0 || pipe(fds + 2) < 0)
        return -1;
    return start_echo(fds[0], fds[3]);
}

static void run_pipe_pingpong(long turns)
{
    while (turns-- > 0) {
        write(fds[1], block, 1);
        read(fds[2], block, 1);
    }
}

static int set_up_unix(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -1;
    return start_echo(fds[1], fds[1]);
}

static int set_up_tcp(void)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    fds[2] = socket(AF_INET, SOCK_STREAM, 0);
    if (fds[0] < 0 || fds[2] < 0 || bind(fds[2], (void *)&address, size) < 0 ||
        listen(fds[2], 1) < 0 || getsockname(fds[2], (void *)&address, &size) < 0 ||
        connect(fds[0], (void *)&address, size) < 0)
        return -1;
    fds[1] = accept(fds[2], NULL, NULL);
    setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return start_echo(fds[1], fds[1]);
}

static void run_socket_pingpong(long turns)
{
    while (turns-- > 0) {
        write(fds[0], block, 1);
        read(fds[0], block, 1);
    }
}

static long futex(uint32_t *address, int op, uint32_t value)
{
    return syscall(SYS_futex, address, op, value, NULL, NULL, 0);
}

static void pass(uint32_t to)
{
    __atomic_store_n(word, to, __ATOMIC_SEQ_CST);
    futex(word, FUTEX_WAKE, 1);
}

static void wait_while(uint32_t value)
{
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
        futex(word, FUTEX_WAIT, value);
}

static int set_up_futex(void)
{
    word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED)
        return -1;
    *word = 0;
    partner = fork();
    if (partner != 0)
        return partner < 0 ? -1 : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        wait_while(0);
        pass(0);
    }
}

static void run_futex_pingpong(long turns)
{
    while (turns-- > 0) {
        pass(1);
        wait_while(1);
    }
}

static void *do_nothing(void *arg)
{
    return arg;
}

static void run_thread_create(long turns)
{
    while (turns-- > 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, do_nothing, NULL) == 0)
            pthread_join(thread, NULL);
    }
}

static void run_fork_wait(long turns)
{
    while (turns-- > 0) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
}

static int set_up_exec(void)
{
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    return size <= 0 ? -1 : 0;
}

static void run_exec_wait(long turns)
{
    char *argv[] = {self, "--exit", NULL};
    char *envp[] = {NULL};
    while (turns-- > 0) {
        pid_t pid = fork();
        if (pid == 0) {
            execve(self, argv, envp);
            _exit(127);
        }
        waitpid(pid, NULL, 0);
    }
}

static volatile uint64_t sink;

static void run_xorshift(long turns)
{
    uint64_t x = 88172645463325252ull;
    while (turns-- > 0) {
        for (int i = 0; i < 1000; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
    }
    sink = x;
}

static const struct op ops[] = {
    {"getpid", set_up_nothing, run_getpid, end, 1},
    {"clock_gettime", set_up_nothing, run_clock_gettime, end, 1},
    {"read_zero_1b", set_up_zero, run_read_zero, end, 1},
    {"stat", set_up_file, run_stat, end, 1},
    {"open_close", set_up_file, run_open_close, end, 1},
    {"create_unlink", set_up_file, run_create_unlink, end, 1},
    {"pread_4k", set_up_file, run_pread_4k, end, 1},
    {"pwrite_4k", set_up_file, run_pwrite_4k, end, 1},
    {"epoll_wait_rdy", set_up_epoll, run_epoll_wait_rdy, end, 1},
    {"mmap_munmap", set_up_nothing, run_mmap_munmap, end, 1},
    {"anon_fault", set_up_fault, run_anon_fault, end_fault, FAULT_PAGES},
    {"signal_raise", set_up_signal, run_signal_raise, end, 1},
    {"pipe_pingpong", set_up_pipes, run_pipe_pingpong, end, 1},
    {"unix_pingpong", set_up_unix, run_socket_pingpong, end, 1},
    {"futex_pingpong", set_up_futex, run_futex_pingpong, end, 1},
    {"thread_create", set_up_nothing, run_thread_create, end, 1},
    {"fork_wait", set_up_nothing, run_fork_wait, end, 1},
    {"exec_wait", set_up_exec, run_exec_wait, end, 1},
    {"cpu_1k_xorshift", set_up_nothing, run_xorshift, end, 1},
    {"tcp_pingpong", set_up_tcp, run_socket_pingpong, end, 1},
};

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double measure(const struct op *op, int batches, long batch_ns)
{
    long turns = 1;
    long start = now_ns();
    op->run(1);
    long spent = now_ns() - start;
    while (spent < batch_ns / 4 && turns < 1l << 40) {
        turns *= 2;
        start = now_ns();
        op->run(turns);
        spent = now_ns() - start;
    }
    if (spent < batch_ns)
        turns = (long)((double)turns * (double)batch_ns / (double)(spent ? spent : 1)) + 1;

    double means[BATCHES_MAX];
    for (int i = 0; i < batches; i++) {
        start = now_ns();
        op->run(turns);
        means[i] = (double)(now_ns() - start) / (double)turns / (double)op->units;
    }
    qsort(means, (size_t)batches, sizeof means[0], by_value);
    return means[batches / 2];
}

static int is_wanted(const char *name, char **names, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return 1;
    }
    return count == 0;
}

int main(int argc, char **argv)
{
    int batches = 7;
    long batch_ms = 10;
    long exact = 0;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--exit") == 0)
            return 0;
        if (strcmp(argv[first], "--batches") == 0 && first + 1 < argc)
            batches = atoi(argv[++first]);
        else if (strcmp(argv[first], "--batch-ms") == 0 && first + 1 < argc)
            batch_ms = atol(argv[++first]);
        else if (strcmp(argv[first], "--turns") == 0 && first + 1 < argc)
            exact = atol(argv[++first]);
        else {
            fprintf(stderr, "usage: ops [--batches N] [--batch-ms M] [--turns N] [op]...\n");
            return 2;
        }
    }
    if (batches < 1 || batches > BATCHES_MAX || batch_ms < 1)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (!is_wanted(ops[i].name, argv + first, argc - first))
            continue;
        if (ops[i].set_up() < 0)
            printf("%s -\n", ops[i].name);
        else if (exact > 0)
            ops[i].run(exact);
        else
            printf("%s %.1f\n", ops[i].name, measure(&ops[i], batches, batch_ms * 1000000));
        ops[i].tear_down();
    }
    return 0;
}
