/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pid is only a name, and names are reused: so whoever found a pid in a record opens a pidfd
 * first, then looks whether the start time is still the recorded one, and from then on uses the
 * pidfd alone.
 */
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Fields 3 (state) and 22 (starttime) of proc(5) stat; the name before them may hold anything. */
i64 process_start(pid_t pid)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return 0;
    text[size] = 0;
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    at += 2;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (!at)
            return 0;
        at++;
    }
    return strtoll(at, NULL, 10);
}

bool process_is_alive(pid_t pid, i64 start)
{
    i64 now = process_start(pid);
    return now != 0 && (start == 0 || now == start);
}

int process_open(pid_t pid, i64 start)
{
    if (pid <= 0)
        return -1;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0 && process_is_alive(pid, start))
        return pidfd;
    if (pidfd >= 0)
        close(pidfd);
    return -1;
}

int process_signal(int pidfd, int signo)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

bool process_wait_gone(int pidfd, int timeout_ms)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    for (;;) {
        int count = poll(&ended, 1, timeout_ms);
        if (count >= 0 || errno != EINTR)
            return count > 0;
    }
}

bool process_reap(int pidfd, int *wait_status)
{
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return false;
    if (info.si_code == CLD_EXITED)
        *wait_status = (info.si_status & 0xff) << 8;
    else
        *wait_status = info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
    return true;
}

/* A device, a fifo or a link is written to and not replaced. */
static int pid_write_there(const char *path, const char *text, struct error *err)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_errno(err, "cannot write the pid file %s", path);
    int result = write(fd, text, strlen(text)) < 0
                     ? error_errno(err, "cannot write the pid file %s", path)
                     : 0;
    close(fd);
    return result;
}

int pid_file_write(const char *path, pid_t pid, struct error *err)
{
    char temporary[4096], text[24];
    struct stat status;
    const char *slash = strrchr(path, '/');
    int dir_size = slash ? (int)(slash + 1 - path) : 0;
    snprintf(temporary, sizeof temporary, "%.*s.%s.%d", dir_size, path, slash ? slash + 1 : path,
             (int)getpid());
    int size = snprintf(text, sizeof text, "%d", (int)pid);
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return pid_write_there(path, text, err);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, "cannot write the pid file %s", path);
    bool is_written = write(fd, text, (size_t)size) == size;
    if (close(fd) < 0 || !is_written || rename(temporary, path) < 0) {
        error_errno(err, "cannot write the pid file %s", path);
        (void)unlink(temporary);
        return -1;
    }
    return 0;
}
