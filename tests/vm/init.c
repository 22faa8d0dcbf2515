/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of the emulated test machine: mounts what Linux programs expect, loads kvm, runs the
 * words of /vm/command (separated by NUL) and ends the machine with that command's status. Unknown
 * words NAME=VALUE of the kernel's command line are its environment: kvm_amd=npt=0 are options of
 * kvm-amd.ko.
 *
 * Output leaves through QEMU's debug console, an I/O port, and the status through isa-debug-exit,
 * which ends QEMU with 2 * status + 1; neither needs a driver. Statuses from 119 on are ours: see
 * STATUS_*.
 *
 * Surprising: a root that is the initial ramfs cannot be left by pivot_root(2), so it is mounted
 * once more over itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_OUTPUT 0xe9
#define PORT_STATUS 0x501
#define COMMAND_WORDS_MAX 1000

enum {
    STATUS_LARGE = 119,      /* the command's own status was this or more */
    STATUS_NO_KVM = 120,     /* kvm=must and there is no /dev/kvm */
    STATUS_NO_COMMAND = 121, /* /vm/command cannot be read or run */
    STATUS_KILLED = 123,     /* the command died of a signal */
};

static void put(const char *data, size_t size)
{
    __asm__ volatile("rep outsb" : "+S"(data), "+c"(size) : "d"(PORT_OUTPUT) : "memory");
}

static void say(const char *what, const char *why)
{
    char line[512];
    int size = snprintf(line, sizeof line, "init: %s: %s\n", what, why);
    put(line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
}

static _Noreturn void finish(int status)
{
    outb((unsigned char)status, PORT_STATUS);
    reboot(RB_AUTOBOOT); /* a machine without isa-debug-exit */
    for (;;)
        pause();
}

static void mount_at(const char *type, const char *path, const char *options)
{
    mkdir(path, 0755);
    if (mount(type, path, type, 0, options) < 0)
        say(path, strerror(errno));
}

/* Mount the root over itself, so that it has a parent and behaves as the root of an installed
 * machine does. */
static void root_mount(void)
{
    mkdir("/vm/root", 0755);
    if (mount("/", "/vm/root", NULL, MS_BIND, NULL) < 0 || chdir("/vm/root") < 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        say("root", strerror(errno));
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        say(path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void files_mount(void)
{
    root_mount();
    mount_at("devtmpfs", "/dev", "mode=0755");
    mount_at("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666");
    mount_at("tmpfs", "/dev/shm", "mode=1777");
    mount_at("mqueue", "/dev/mqueue", "");
    mount_at("proc", "/proc", "");
    mount_at("sysfs", "/sys", "");
    mount_at("cgroup2", "/sys/fs/cgroup", "");
    mount_at("tmpfs", "/run", "mode=0755");
    mount_at("tmpfs", "/tmp", "mode=1777");
    write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory +pids");
    (void)!symlink("/proc/self/fd", "/dev/fd");
    (void)!symlink("/proc/self/fd/0", "/dev/stdin");
    (void)!symlink("/proc/self/fd/1", "/dev/stdout");
    (void)!symlink("/proc/self/fd/2", "/dev/stderr");
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        say("loopback", strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void module_load(const char *name, const char *options)
{
    char path[128];
    snprintf(path, sizeof path, "/vm/modules/%s.ko", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* the caller decides by /dev/kvm */
    if (syscall(SYS_finit_module, fd, options ? options : "", 0) < 0)
        say(path, strerror(errno));
    close(fd);
}

static void kvm_load(void)
{
    const char *wish = getenv("kvm");
    if (wish && strcmp(wish, "none") == 0)
        return;
    module_load("irqbypass", NULL);
    module_load("kvm", NULL);
    module_load("kvm-amd", getenv("kvm_amd"));
    if (access("/dev/kvm", R_OK | W_OK) < 0) {
        say("/dev/kvm", strerror(errno));
        if (wish && strcmp(wish, "must") == 0)
            finish(STATUS_NO_KVM);
    }
}

/* The words of /vm/command in a static buffer. */
static char **command_read(void)
{
    static char text[65536], *words[COMMAND_WORDS_MAX + 1];
    int fd = open("/vm/command", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (size <= 0) {
        say("/vm/command", size < 0 ? strerror(errno) : "empty");
        finish(STATUS_NO_COMMAND);
    }
    close(fd);
    int count = 0;
    for (char *word = text; word < text + size && count < COMMAND_WORDS_MAX;
         word += strlen(word) + 1)
        words[count++] = word;
    return words;
}

static pid_t command_start(char **words, int output)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(STATUS_NO_COMMAND);
    close(null);
    iopl(0); /* else cli, sti and ports would be allowed to programs */
    setsid();
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    setenv("LANG", "C.UTF-8", 1);
    execvp(words[0], words);
    dprintf(1, "init: %s: %s\n", words[0], strerror(errno));
    _exit(STATUS_NO_COMMAND);
}

/* Hand on what stands in PIPE until it is empty; false at its end. */
static bool output_pass(int pipe)
{
    static char buffer[65536];
    ssize_t size;
    while ((size = read(pipe, buffer, sizeof buffer)) > 0)
        put(buffer, (size_t)size);
    return size < 0;
}

/* The wait status of CHILD, once it and its output are done; reaps everything else that ends. */
static int command_wait(pid_t child, int pipe, int signals)
{
    struct pollfd fds[] = {{.fd = pipe, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        struct signalfd_siginfo info;
        int status;
        pid_t ended;
        poll(fds, 2, -1);
        if (fds[0].revents && !output_pass(pipe))
            fds[0].fd = -1;
        if (!fds[1].revents)
            continue;
        (void)!read(signals, &info, sizeof info);
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
            if (ended != child)
                continue;
            output_pass(pipe);
            return status;
        }
    }
}

int main(void)
{
    int output[2];
    sigset_t child_ends;
    if (iopl(3) < 0)
        for (;;)
            pause();
    files_mount();
    loopback_up();
    kvm_load();
    char **words = command_read();
    sigemptyset(&child_ends);
    sigaddset(&child_ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ends, NULL);
    int signals = signalfd(-1, &child_ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || pipe2(output, O_CLOEXEC) < 0)
        finish(STATUS_NO_COMMAND);
    pid_t child = command_start(words, output[1]);
    if (child < 0)
        finish(STATUS_NO_COMMAND);
    close(output[1]);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    int status = command_wait(child, output[0], signals);
    if (WIFSIGNALED(status)) {
        say("the command died", strsignal(WTERMSIG(status)));
        finish(STATUS_KILLED);
    }
    finish(WEXITSTATUS(status) < STATUS_LARGE ? WEXITSTATUS(status) : STATUS_LARGE);
}
