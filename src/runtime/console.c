/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's terminal. With a console socket it is a new pseudo terminal and the socket's
 * reader owns the master. Without one the container has the caller's terminal itself and sets it as
 * it likes, so whatever it did to it is undone when the command ends, however it ends: by exit, by
 * a fault or by a signal.
 */
#include "runtime/console.h"

#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static int master_send(int socket, int master)
{
    static char name[] = "pty-master";
    struct iovec iov = {.iov_base = name, .iov_len = sizeof name - 1};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof master);
    memcpy(CMSG_DATA(head), &master, sizeof master);
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

/* A long path is reached through its directory's descriptor. */
static int socket_connect(const char *path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int dir = -1, failed = -1;
    if (strlen(path) < sizeof address.sun_path) {
        memcpy(address.sun_path, path, strlen(path) + 1);
        failed = 0;
    } else {
        const char *slash = strrchr(path, '/');
        char parent[4096];
        size_t size = slash ? (size_t)(slash - path) : 0;
        if (slash && size < sizeof parent) {
            memcpy(parent, path, size);
            parent[size] = 0;
            dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
            int used = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d%s",
                                dir, slash);
            failed = dir < 0 || used >= (int)sizeof address.sun_path ? -1 : 0;
        }
        if (failed && dir >= 0)
            errno = ENAMETOOLONG;
    }
    int fd = failed ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        error_errno(err, "connecting to console socket %s", path);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    if (dir >= 0)
        close(dir);
    return fd;
}

int console_create(const char *socket_path, u16 rows, u16 columns, int *replica, struct error *err)
{
    int socket = socket_connect(socket_path, err);
    if (socket < 0)
        return -1;
    int result = -1, slave = -1;
    int master = posix_openpt(O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        error_errno(err, "cannot make a terminal");
        goto close_all;
    }
    /* O_NONBLOCK: the sandbox never waits for whoever sits before the terminal. */
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) {
        error_errno(err, "cannot open the new terminal");
        goto close_all;
    }
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    if (rows > 0 && columns > 0)
        (void)ioctl(slave, TIOCSWINSZ, &size);
    if (master_send(socket, master) < 0) {
        error_errno(err, "cannot send the terminal to console socket %s", socket_path);
        goto close_all;
    }
    *replica = slave;
    result = 0;
close_all:
    if (slave >= 0 && result < 0)
        close(slave);
    if (master >= 0)
        close(master);
    close(socket);
    return result;
}

void stdio_borrow(int fds[3], bool is_ours[3])
{
    for (int i = 0; i < 3; i++) {
        int own = host_linux_own_terminal(i);
        is_ours[i] = own >= 0;
        fds[i] = own >= 0 ? own : i;
    }
}

void stdio_return(int fds[3], bool is_ours[3])
{
    for (int i = 0; i < 3; i++) {
        if (is_ours[i])
            close(fds[i]);
        is_ours[i] = false;
    }
}

int console_lead_session(int console)
{
    static const int wanted[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        sigaddset(&set, wanted[i]);
    if (ioctl(console, TIOCSCTTY, 0) < 0)
        return -1;
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- the caller's terminal ---- */

/* One a process: signal handlers can reach nothing else. */
static struct terminal {
    int fd; /* a copy of our own */
    struct termios settings;
    bool is_saved;
} the_terminal;

void terminal_restore_now(void)
{
    if (!the_terminal.is_saved)
        return;
    /* A background process would be stopped by SIGTTOU for this. */
    sigset_t out, before;
    sigemptyset(&out);
    sigaddset(&out, SIGTTOU);
    sigprocmask(SIG_BLOCK, &out, &before);
    (void)tcsetattr(the_terminal.fd, TCSANOW, &the_terminal.settings);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void on_fatal(int signo)
{
    int saved = errno;
    terminal_restore_now();
    errno = saved;
    signal(signo, SIG_DFL);
    raise(signo);
}

struct terminal *terminal_save(int fd)
{
    static bool is_registered;
    if (the_terminal.is_saved)
        return &the_terminal;
    the_terminal.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (the_terminal.fd < 0)
        return NULL;
    if (tcgetattr(the_terminal.fd, &the_terminal.settings) < 0) {
        close(the_terminal.fd);
        return NULL;
    }
    the_terminal.is_saved = true;
    if (!is_registered) {
        is_registered = true;
        atexit(terminal_restore_now);
        static const int fatal[] = {SIGHUP, SIGINT,  SIGQUIT, SIGTERM, SIGSEGV,
                                    SIGBUS, SIGABRT, SIGILL,  SIGFPE};
        struct sigaction action = {.sa_handler = on_fatal};
        for (size_t i = 0; i < ARRAY_COUNT(fatal); i++)
            (void)sigaction(fatal[i], &action, NULL);
    }
    return &the_terminal;
}

void terminal_restore(struct terminal *terminal)
{
    if (!terminal || !terminal->is_saved)
        return;
    terminal_restore_now();
    terminal->is_saved = false;
    close(terminal->fd);
}
