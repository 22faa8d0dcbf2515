/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process for each way to wait, all at once. Each has a helper that ends its wait LATER seconds
 * after the start; between them the sandbox is checkpointed and restored
 * (tests/checkpoint_test.py). Prints "ready" when all wait, then one line a process: its name and
 * "ok", or what went wrong. Nobody may notice the break.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <math.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LATER_MS 2500

static const char *name;

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            printf("%s: line %d: %s, errno %d\n", name, __LINE__, #condition, errno); \
            fflush(stdout);                                                           \
            _exit(1);                                                                 \
        }                                                                             \
    } while (0)

static void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

/* In a child: true, later. */
static pid_t helper_pid;
static bool helper(void)
{
    helper_pid = fork();
    CHECK(helper_pid >= 0);
    if (helper_pid == 0) {
        sleep_ms(LATER_MS);
        return true;
    }
    return false;
}

static void pipe_read(void)
{
    int ends[2];
    char byte = 0;
    CHECK(pipe(ends) == 0);
    if (helper()) {
        CHECK(write(ends[1], "x", 1) == 1);
        _exit(0);
    }
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
}

static void pipe_write(void)
{
    int ends[2];
    enum { SIZE = 300000 };
    static unsigned char bytes[SIZE];
    CHECK(pipe(ends) == 0);
    if (helper()) {
        size_t got = 0;
        ssize_t n;
        close(ends[1]);
        while ((n = read(ends[0], bytes, sizeof bytes)) > 0)
            for (ssize_t i = 0; i < n; i++, got++)
                if (bytes[i] != got % 251)
                    _exit(1);
        _exit(got == SIZE ? 0 : 2);
    }
    close(ends[0]);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i % 251);
    CHECK(write(ends[1], bytes, SIZE) == SIZE);
    close(ends[1]);
}

static void futex_wait(void)
{
    int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(word != MAP_FAILED);
    if (helper()) {
        *word = 1;
        CHECK(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
        _exit(0);
    }
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0)
        CHECK(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 || errno == EAGAIN);
}

static void poll_pipe(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    if (helper()) {
        CHECK(write(ends[1], "x", 1) == 1);
        _exit(0);
    }
    struct pollfd fd = {.fd = ends[0], .events = POLLIN};
    CHECK(poll(&fd, 1, 60000) == 1 && fd.revents == POLLIN);
}

static void poll_times_out(void)
{
    struct pollfd fd = {.fd = -1};
    CHECK(poll(&fd, 1, LATER_MS) == 0);
}

static void select_pipe(void)
{
    int ends[2];
    fd_set set;
    CHECK(pipe(ends) == 0);
    if (helper()) {
        CHECK(write(ends[1], "x", 1) == 1);
        _exit(0);
    }
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    CHECK(select(ends[0] + 1, &set, NULL, NULL, NULL) == 1 && FD_ISSET(ends[0], &set));
}

static void epoll_edge(void)
{
    int ends[2], queue = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x1234567890abcdefull};
    CHECK(queue >= 0 && pipe(ends) == 0 && epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event) == 0);
    if (helper()) {
        CHECK(write(ends[1], "x", 1) == 1);
        _exit(0);
    }
    memset(&event, 0, sizeof event);
    CHECK(epoll_wait(queue, &event, 1, -1) == 1 && event.events == EPOLLIN &&
          event.data.u64 == 0x1234567890abcdefull);
    CHECK(epoll_wait(queue, &event, 1, 0) == 0);
}

static void nanosleeps(void)
{
    struct timespec time = {LATER_MS / 1000, LATER_MS % 1000 * 1000000};
    CHECK(nanosleep(&time, NULL) == 0);
}

static void clock_goes_on(void)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 1000; i++) {
        sleep_ms(LATER_MS / 1000);
        clock_gettime(CLOCK_MONOTONIC, &after);
        double passed = (double)(after.tv_sec - before.tv_sec) +
                        1e-9 * (double)(after.tv_nsec - before.tv_nsec);
        CHECK(passed >= 0 && passed < 60);
        before = after;
    }
}

static void waits_for_child(void)
{
    int status;
    if (helper())
        _exit(7);
    CHECK(waitpid(helper_pid, &status, 0) == helper_pid && WIFEXITED(status) &&
          WEXITSTATUS(status) == 7);
    helper_pid = 0;
}

static void waitids(void)
{
    siginfo_t info = {0};
    if (helper())
        raise(SIGKILL);
    CHECK(waitid(P_PID, (id_t)helper_pid, &info, WEXITED) == 0 && info.si_code == CLD_KILLED &&
          info.si_status == SIGKILL && info.si_pid == helper_pid);
    helper_pid = 0;
}

static void vfork_like_pidfd(void)
{
    if (helper())
        _exit(0);
    int fd = (int)syscall(SYS_pidfd_open, helper_pid, 0);
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    CHECK(fd >= 0 && poll(&poller, 1, -1) == 1);
}

static void flocks(void)
{
    int fd = open("/tmp/flock", O_CREAT | O_RDWR, 0600), ends[2];
    char byte;
    CHECK(fd >= 0 && pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int other = open("/tmp/flock", O_RDWR);
        CHECK(flock(other, LOCK_EX) == 0 && write(ends[1], "x", 1) == 1);
        sleep_ms(LATER_MS);
        _exit(0);
    }
    CHECK(read(ends[0], &byte, 1) == 1 && flock(fd, LOCK_EX) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void record_locks(void)
{
    int fd = open("/tmp/record", O_CREAT | O_RDWR, 0600), ends[2];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
    char byte;
    CHECK(fd >= 0 && pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(fcntl(fd, F_SETLK, &lock) == 0 && write(ends[1], "x", 1) == 1);
        sleep_ms(LATER_MS);
        _exit(0);
    }
    CHECK(read(ends[0], &byte, 1) == 1 && fcntl(fd, F_SETLKW, &lock) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void tty_read(void)
{
    char text[16] = {0};
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const char *path = ptsname(master);
    int replica = path ? open(path, O_RDWR | O_NOCTTY) : -1;
    CHECK(replica >= 0 && write(master, "ab", 2) == 2); /* the first half of a line */
    if (helper()) {
        CHECK(write(master, "c\n", 2) == 2);
        _exit(0);
    }
    CHECK(read(replica, text, sizeof text) == 4 && strcmp(text, "abc\n") == 0);
}

static void timerfds(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec when = {.it_value = {LATER_MS / 1000, LATER_MS % 1000 * 1000000}};
    uint64_t count = 0;
    CHECK(fd >= 0 && timerfd_settime(fd, 0, &when, NULL) == 0);
    CHECK(read(fd, &count, sizeof count) == sizeof count && count == 1);
}

static void signalfds(void)
{
    sigset_t set;
    struct signalfd_siginfo info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, 0);
    pid_t parent = getpid();
    CHECK(fd >= 0);
    if (helper()) {
        union sigval value = {.sival_int = 4711};
        CHECK(sigqueue(parent, SIGUSR1, value) == 0);
        _exit(0);
    }
    CHECK(read(fd, &info, sizeof info) == sizeof info && info.ssi_int == 4711 &&
          (pid_t)info.ssi_pid == helper_pid);
}

static void eventfds(void)
{
    int fd = eventfd(0, 0);
    uint64_t count = 0;
    CHECK(fd >= 0);
    if (helper()) {
        count = 5;
        CHECK(write(fd, &count, sizeof count) == sizeof count);
        _exit(0);
    }
    CHECK(read(fd, &count, sizeof count) == sizeof count && count == 5);
}

static void inotifies(void)
{
    char bytes[512];
    CHECK(mkdir("/tmp/watched", 0700) == 0);
    int fd = inotify_init1(0);
    CHECK(fd >= 0 && inotify_add_watch(fd, "/tmp/watched", IN_CREATE) >= 0);
    if (helper()) {
        CHECK(close(open("/tmp/watched/new", O_CREAT | O_WRONLY, 0600)) == 0);
        _exit(0);
    }
    ssize_t size = read(fd, bytes, sizeof bytes);
    const struct inotify_event *event = (const void *)bytes;
    CHECK(size > (ssize_t)sizeof *event && event->mask == IN_CREATE &&
          strcmp(event->name, "new") == 0);
}

static void mqueues(void)
{
    struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
    char text[16] = {0};
    unsigned priority;
    mqd_t queue = mq_open("/waits", O_CREAT | O_RDWR, 0600, &attr);
    CHECK(queue != (mqd_t)-1);
    if (helper()) {
        CHECK(mq_send(queue, "hello", 6, 9) == 0);
        _exit(0);
    }
    CHECK(mq_receive(queue, text, sizeof text, &priority) == 6 && priority == 9 &&
          strcmp(text, "hello") == 0);
}

static void messages(void)
{
    struct {
        long type;
        char text[8];
    } message = {.type = 3};
    int id = msgget(IPC_PRIVATE, 0600);
    CHECK(id >= 0);
    if (helper()) {
        strcpy(message.text, "msg");
        CHECK(msgsnd(id, &message, sizeof message.text, 0) == 0);
        _exit(0);
    }
    CHECK(msgrcv(id, &message, sizeof message.text, 3, 0) == sizeof message.text &&
          strcmp(message.text, "msg") == 0);
}

static void semaphores(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf up = {.sem_op = 2}, down = {.sem_op = -2};
    CHECK(id >= 0);
    if (helper()) {
        CHECK(semop(id, &up, 1) == 0);
        _exit(0);
    }
    CHECK(semop(id, &down, 1) == 0 && semctl(id, 0, GETVAL) == 0);
}

static struct sockaddr_un unix_name(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    return address;
}

static void unix_accept(void)
{
    struct sockaddr_un address = unix_name("/tmp/accept");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte = 0;
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    if (helper()) {
        int other = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(connect(other, (struct sockaddr *)&address, sizeof address) == 0 &&
              write(other, "u", 1) == 1);
        _exit(0);
    }
    int got = accept(fd, NULL, NULL);
    CHECK(got >= 0 && read(got, &byte, 1) == 1 && byte == 'u');
}

static void unix_receive(void)
{
    int ends[2], inner[2];
    char bytes[8] = {0}, control[64];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && pipe(inner) == 0);
    struct iovec vec = {bytes, sizeof bytes};
    struct msghdr message = {
        .msg_iov = &vec, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (helper()) {
        message.msg_controllen = CMSG_SPACE(sizeof(int));
        vec.iov_len = 3;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        *head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(head), &inner[1], sizeof(int));
        CHECK(sendmsg(ends[1], &message, 0) == 3);
        _exit(0);
    }
    CHECK(recvmsg(ends[0], &message, 0) == 3);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    CHECK(head && head->cmsg_type == SCM_RIGHTS);
    int fd;
    memcpy(&fd, CMSG_DATA(head), sizeof fd);
    CHECK(write(fd, "y", 1) == 1 && read(inner[0], bytes, 1) == 1 && bytes[0] == 'y');
}

/* Descriptors that are on their way when the image is made. */
static void unix_in_flight(void)
{
    int ends[2], inner[2];
    char byte = 'q', control[CMSG_SPACE(sizeof(int))] = {0};
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && pipe(inner) == 0);
    struct iovec vec = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &vec, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &inner[1], sizeof(int));
    CHECK(sendmsg(ends[1], &message, 0) == 1);
    close(inner[1]);
    sleep_ms(LATER_MS);
    CHECK(recvmsg(ends[0], &message, 0) == 1 && byte == 'q');
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    CHECK(write(fd, "z", 1) == 1 && read(inner[0], &byte, 1) == 1 && byte == 'z');
}

static void tcp_accept(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4711)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte = 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
          listen(fd, 4) == 0);
    if (helper()) {
        int other = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(other, (struct sockaddr *)&address, sizeof address) == 0 &&
              write(other, "t", 1) == 1);
        _exit(0);
    }
    int got = accept(fd, NULL, NULL);
    CHECK(got >= 0 && read(got, &byte, 1) == 1 && byte == 't');
}

static void tcp_receive(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4712)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    char bytes[8] = {0};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    int server = accept(fd, NULL, NULL);
    CHECK(server >= 0 && write(client, "ab", 2) == 2);
    if (helper()) {
        CHECK(write(client, "cd", 2) == 2);
        _exit(0);
    }
    CHECK(recv(server, bytes, 4, MSG_WAITALL) == 4 && strcmp(bytes, "abcd") == 0);
}

/* Half of what is wanted is there before the break. */
static void unix_receive_all(void)
{
    int ends[2];
    char bytes[8] = {0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && write(ends[1], "ab", 2) == 2);
    if (helper()) {
        CHECK(write(ends[1], "cd", 2) == 2);
        _exit(0);
    }
    CHECK(recv(ends[0], bytes, 4, MSG_WAITALL) == 4 && strcmp(bytes, "abcd") == 0);
}

static void udp_receive(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4713)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char bytes[8] = {0};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    if (helper()) {
        int other = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(sendto(other, "udp", 3, 0, (struct sockaddr *)&address, sizeof address) == 3);
        _exit(0);
    }
    CHECK(recv(fd, bytes, sizeof bytes, 0) == 3 && strcmp(bytes, "udp") == 0);
}

static volatile sig_atomic_t got_signal;
static void on_signal(int signo)
{
    got_signal = signo;
}

static void sigsuspends(void)
{
    sigset_t set, none;
    pid_t parent = getpid();
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR2, on_signal);
    if (helper()) {
        CHECK(kill(parent, SIGUSR2) == 0);
        _exit(0);
    }
    CHECK(sigsuspend(&none) == -1 && errno == EINTR && got_signal == SIGUSR2);
    sigprocmask(SIG_BLOCK, NULL, &set);
    CHECK(sigismember(&set, SIGUSR2));
}

static void sigwaits(void)
{
    sigset_t set;
    siginfo_t info;
    pid_t parent = getpid();
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (helper()) {
        union sigval value = {.sival_int = 12};
        CHECK(sigqueue(parent, SIGRTMIN + 3, value) == 0);
        _exit(0);
    }
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 3 && info.si_value.sival_int == 12);
}

/* Queued before the break and taken after it. */
static void pending_signals(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 4);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 3; i++)
        CHECK(sigqueue(getpid(), SIGRTMIN + 4, (union sigval){.sival_int = i}) == 0);
    sleep_ms(LATER_MS);
    for (int i = 0; i < 3; i++)
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 4 && info.si_value.sival_int == i);
}

static void interval_timer(void)
{
    struct itimerval when = {.it_value = {LATER_MS / 1000, LATER_MS % 1000 * 1000}};
    signal(SIGALRM, on_signal);
    CHECK(setitimer(ITIMER_REAL, &when, NULL) == 0);
    CHECK(pause() == -1 && got_signal == SIGALRM);
}

static void fifo_opens(void)
{
    char byte = 0;
    CHECK(mkfifo("/tmp/fifo", 0600) == 0);
    if (helper()) {
        int other = open("/tmp/fifo", O_WRONLY);
        CHECK(other >= 0 && write(other, "f", 1) == 1);
        _exit(0);
    }
    int fd = open("/tmp/fifo", O_RDONLY);
    CHECK(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'f');
}

static void files(void)
{
    char bytes[64] = {0};
    int fd = open("/tmp/file", O_CREAT | O_RDWR, 0640),
        gone = open("/tmp/gone", O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0 && gone >= 0 && unlink("/tmp/gone") == 0);
    CHECK(write(fd, "0123456789", 10) == 10 && lseek(fd, 4, SEEK_SET) == 4);
    CHECK(write(gone, "unlinked", 8) == 8);
    sleep_ms(LATER_MS);
    CHECK(read(fd, bytes, 64) == 6 && strcmp(bytes, "456789") == 0);
    memset(bytes, 0, sizeof bytes);
    CHECK(pread(gone, bytes, 64, 0) == 8 && strcmp(bytes, "unlinked") == 0);
    struct stat stat;
    CHECK(fstat(gone, &stat) == 0 && stat.st_nlink == 0 && fstat(fd, &stat) == 0 &&
          (stat.st_mode & 0777) == 0640);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turns;
static __thread int own = 5;
static void *thread_main(void *argument)
{
    own = (int)(intptr_t)argument;
    sleep_ms(LATER_MS);
    pthread_mutex_lock(&mutex);
    turns += own;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    return argument;
}
static void threads(void)
{
    pthread_t ids[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&ids[i], NULL, thread_main, (void *)(intptr_t)(i + 1)) == 0);
    pthread_mutex_lock(&mutex);
    while (turns != 6)
        pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 3; i++) {
        void *result;
        CHECK(pthread_join(ids[i], &result) == 0 && (int)(intptr_t)result == i + 1);
    }
    CHECK(own == 5);
}

/* Registers, memory and floating point of a program that never waits. */
static void computes(void)
{
    struct timespec start, now;
    uint64_t state = 88172645463325252ull, steps = 0;
    double sum = 0, check = 0;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 100000; i++, steps++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sum += 1.0 / (double)(steps + 1);
        }
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
             LATER_MS);
    uint64_t again = 88172645463325252ull;
    for (uint64_t i = 0; i < steps; i++) {
        again ^= again << 13;
        again ^= again >> 7;
        again ^= again << 17;
        check += 1.0 / (double)(i + 1);
    }
    CHECK(state == again && fabs(sum - check) < 1e-12 * check + 1e-300);
}

static void stopped_and_continued(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(3);
    }
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    sleep_ms(LATER_MS);
    CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
}

static void zombies(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(42);
    sleep_ms(LATER_MS);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 42);
}

static void mappings(void)
{
    enum { SIZE = 8 << 20 };
    unsigned char *own_memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(own_memory != MAP_FAILED && shared != MAP_FAILED);
    for (size_t i = 0; i < SIZE; i += 4096 * 3)
        own_memory[i] = (unsigned char)(i >> 12);
    CHECK(mprotect(own_memory + 4096, 4096, PROT_NONE) == 0);
    if (helper()) {
        *shared = 0xfeed;
        _exit(0);
    }
    int status;
    CHECK(waitpid(helper_pid, &status, 0) == helper_pid && *shared == 0xfeed);
    helper_pid = 0;
    for (size_t i = 0; i < SIZE; i += 4096)
        if (i != 4096)
            CHECK(own_memory[i] == (i % (4096 * 3) ? 0 : (unsigned char)(i >> 12)));
}

#define WAIT(function)      \
    {                       \
#function, function \
    }
static const struct {
    const char *name;
    void (*run)(void);
} waits[] = {
    WAIT(pipe_read),
    WAIT(pipe_write),
    WAIT(futex_wait),
    WAIT(poll_pipe),
    WAIT(poll_times_out),
    WAIT(select_pipe),
    WAIT(epoll_edge),
    WAIT(nanosleeps),
    WAIT(clock_goes_on),
    WAIT(waits_for_child),
    WAIT(waitids),
    WAIT(vfork_like_pidfd),
    WAIT(flocks),
    WAIT(record_locks),
    WAIT(tty_read),
    WAIT(timerfds),
    WAIT(signalfds),
    WAIT(eventfds),
    WAIT(inotifies),
    WAIT(mqueues),
    WAIT(messages),
    WAIT(semaphores),
    WAIT(unix_accept),
    WAIT(unix_receive),
    WAIT(unix_in_flight),
    WAIT(tcp_accept),
    WAIT(tcp_receive),
    WAIT(udp_receive),
    WAIT(unix_receive_all),
    WAIT(sigsuspends),
    WAIT(sigwaits),
    WAIT(pending_signals),
    WAIT(interval_timer),
    WAIT(fifo_opens),
    WAIT(files),
    WAIT(threads),
    WAIT(computes),
    WAIT(stopped_and_continued),
    WAIT(zombies),
    WAIT(mappings),
};
#define WAIT_COUNT (sizeof waits / sizeof waits[0])

static bool is_chosen(const char *what, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], what) == 0)
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    pid_t pids[WAIT_COUNT] = {0};
    int failed = 0;
    for (size_t i = 0; i < WAIT_COUNT; i++) {
        if (!is_chosen(waits[i].name, argc, argv))
            continue;
        pids[i] = fork();
        if (pids[i] == 0) {
            name = waits[i].name;
            waits[i].run();
            int status = 0;
            if (helper_pid > 0 && (waitpid(helper_pid, &status, 0) != helper_pid || status != 0)) {
                printf("%s: its helper ended with status %x\n", name, (unsigned)status);
                fflush(stdout);
                _exit(1);
            }
            _exit(0);
        }
    }
    sleep_ms(LATER_MS / 3);
    printf("ready\n");
    fflush(stdout);
    for (size_t i = 0; i < WAIT_COUNT; i++) {
        int status = 0;
        if (pids[i] == 0)
            continue;
        if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
            failed++;
        printf("%s %s\n", waits[i].name, status == 0 ? "ok" : "failed");
    }
    printf("end %d\n", failed);
    return failed != 0;
}
