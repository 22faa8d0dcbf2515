/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals: the line discipline, window sizes, signals from keys, hangup. */
#include "tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

static volatile sig_atomic_t signal_count;
static volatile sig_atomic_t last_signal;

static void on_signal(int signal)
{
    last_signal = signal;
    signal_count++;
}

struct pty {
    int master;
    int slave;
    char path[32];
};

static void pty_open(struct pty *pty)
{
    int zero = 0;
    int number = -1;
    pty->master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    MUST(ioctl(pty->master, TIOCSPTLCK, &zero));
    MUST(ioctl(pty->master, TIOCGPTN, &number));
    snprintf(pty->path, sizeof pty->path, "/dev/pts/%d", number);
    pty->slave = MUST(open(pty->path, O_RDWR | O_NOCTTY));
}

/* Clear and set local flags of the slave at once. */
static void set_local(const struct pty *pty, tcflag_t clear, tcflag_t set)
{
    struct termios t;
    MUST(tcgetattr(pty->slave, &t));
    t.c_lflag = (t.c_lflag & ~clear) | set;
    MUST(tcsetattr(pty->slave, TCSANOW, &t));
}

/*
 * What arrives on a descriptor as text: waits long for the size that is expected, then shortly for
 * more than that.
 */
static const char *arrives(int fd, size_t expected)
{
    static char text[5000];
    size_t size = 0;
    struct pollfd p = {fd, POLLIN, 0};
    while (size < sizeof text - 1 && poll(&p, 1, size < expected ? 5000 : 20) == 1 &&
           p.revents & POLLIN) {
        ssize_t count = read(fd, text + size, sizeof text - 1 - size);
        if (count <= 0)
            break;
        size += (size_t)count;
    }
    text[size] = '\0';
    return text;
}

#define EXPECT_ARRIVES(fd_, want_) EXPECT_STR(arrives(fd_, strlen(want_)), want_)

static int is_readable(int fd, int wait_ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, wait_ms) == 1 && p.revents & POLLIN;
}

static void type_text(const struct pty *pty, const char *text)
{
    EXPECT_EQ(write(pty->master, text, strlen(text)), strlen(text));
}

CASE(pair_is_made)
{
    struct pty pty;
    pty_open(&pty);
    struct stat st;
    EXPECT_EQ(fstat(pty.slave, &st), 0);
    EXPECT_EQ(st.st_mode & S_IFMT, S_IFCHR);
    EXPECT_EQ(major(st.st_rdev), 136);
    EXPECT_EQ(isatty(pty.slave), 1);
    EXPECT_EQ(isatty(pty.master), 1);
    EXPECT_STR(ttyname(pty.slave), pty.path);
    EXPECT_STR(ptsname(pty.master), pty.path);
}

CASE(slave_is_locked_at_first)
{
    int number = -1;
    int one = 1;
    int locked = -1;
    char path[32];
    int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    MUST(ioctl(master, TIOCGPTN, &number));
    snprintf(path, sizeof path, "/dev/pts/%d", number);
    EXPECT_ERRNO(open(path, O_RDWR | O_NOCTTY), EIO);
    EXPECT_EQ(ioctl(master, TIOCGPTLCK, &locked), 0);
    EXPECT_EQ(locked, 1);
    EXPECT_EQ(unlockpt(master), 0);
    EXPECT_OK(open(path, O_RDWR | O_NOCTTY));
    EXPECT_EQ(ioctl(master, TIOCSPTLCK, &one), 0);
    EXPECT_ERRNO(open(path, O_RDWR | O_NOCTTY), EIO);
}

CASE(peer_by_ioctl)
{
    int zero = 0;
    int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    MUST(ioctl(master, TIOCSPTLCK, &zero));
    int slave = MUST(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
    EXPECT_EQ(isatty(slave), 1);
    EXPECT_EQ(write(slave, "x", 1), 1);
    EXPECT_ARRIVES(master, "x");
    char path[32], link[64] = {0};
    int number = -1;
    EXPECT_EQ(ioctl(master, TIOCGPTN, &number), 0);
    snprintf(path, sizeof path, "/dev/pts/%d", number);
    EXPECT_STR(ttyname(slave), path);
    char fd_path[64];
    snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", slave);
    EXPECT(readlink(fd_path, link, sizeof link - 1) > 0);
    EXPECT_STR(link, path);
    struct stat by_fd, by_path;
    EXPECT_EQ(fstat(slave, &by_fd), 0);
    EXPECT_EQ(stat(path, &by_path), 0);
    EXPECT_EQ(by_fd.st_ino, by_path.st_ino);
    EXPECT_EQ(by_fd.st_dev, by_path.st_dev);
    EXPECT_EQ(by_fd.st_rdev, makedev(136, number));
    EXPECT_EQ(fcntl(slave, F_GETFL) & O_NOCTTY, 0);
}

CASE(opening_without_taking_control)
{
    struct pty pty;
    pty_open(&pty);
    CHILD(pid)
    {
        MUST(setsid());
        int slave = MUST(open(pty.path, O_RDWR | O_NOCTTY));
        EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
        EXPECT_ERRNO(tcgetpgrp(slave), ENOTTY);
        MUST(ioctl(pty.master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
        EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
        MUST(open(pty.path, O_RDWR)); /* this takes it */
        EXPECT_OK(open("/dev/tty", O_RDWR));
        EXPECT_EQ(tcgetpgrp(slave), getpid());
    }
    EXPECT_EXIT(pid, 0);
}

CASE(foreground_may_be_a_process_or_be_gone)
{
    struct pty pty;
    pty_open(&pty);
    CHILD(pid)
    {
        MUST(setsid());
        MUST(ioctl(pty.slave, TIOCSCTTY, 0));
        struct gate go;
        gate_init(&go);
        CHILD(member)
        {
            gate_wait(&go); /* leads no group */
        }
        EXPECT_EQ(tcsetpgrp(pty.slave, member), 0);
        EXPECT_EQ(tcgetpgrp(pty.slave), member);
        gate_pass(&go);
        EXPECT_EXIT(member, 0);
        EXPECT_EQ(tcgetpgrp(pty.slave), member); /* even now */
        EXPECT_ERRNO(tcsetpgrp(pty.slave, 0x3fffff), ENOTTY); /* in the background, orphaned */
        signal(SIGTTOU, SIG_IGN);
        EXPECT_ERRNO(tcsetpgrp(pty.slave, 0x3fffff), ESRCH);
        EXPECT_ERRNO(tcsetpgrp(pty.slave, member), ESRCH);
        EXPECT_EQ(tcsetpgrp(pty.slave, getpgrp()), 0);
        EXPECT_EQ(setpgid(0, 0), -1); /* a session leader */
        EXPECT_EQ(tcgetpgrp(pty.slave), getpgrp());
    }
    EXPECT_EXIT(pid, 0);
}

CASE(default_settings)
{
    struct pty pty;
    pty_open(&pty);
    struct termios t;
    EXPECT_EQ(tcgetattr(pty.slave, &t), 0);
    EXPECT_EQ(t.c_iflag, ICRNL | IXON);
    EXPECT_EQ(t.c_oflag, OPOST | ONLCR);
    EXPECT_EQ(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
    EXPECT_EQ(t.c_cflag & (CSIZE | CREAD), CS8 | CREAD);
    EXPECT_EQ(t.c_cc[VINTR], 3);
    EXPECT_EQ(t.c_cc[VEOF], 4);
    EXPECT_EQ(t.c_cc[VERASE], 127);
    EXPECT_EQ(t.c_cc[VKILL], 21);
    EXPECT_EQ(t.c_cc[VSUSP], 26);
    EXPECT_EQ(t.c_cc[VQUIT], 28);
    EXPECT_EQ(t.c_cc[VMIN], 1);
    EXPECT_EQ(t.c_cc[VTIME], 0);
    EXPECT_EQ(cfgetospeed(&t), B38400);
}

CASE(canonical_input_waits_for_the_line)
{
    struct pty pty;
    pty_open(&pty);
    type_text(&pty, "abc");
    EXPECT(!is_readable(pty.slave, 30));
    type_text(&pty, "def\r");
    char text[16] = {0};
    EXPECT_EQ(read(pty.slave, text, sizeof text), 7);
    EXPECT_STR(text, "abcdef\n");
    EXPECT_ARRIVES(pty.master, "abcdef\r\n");
}

CASE(canonical_reads_one_line_at_a_time)
{
    struct pty pty;
    pty_open(&pty);
    type_text(&pty, "one\ntwo\n");
    char text[16] = {0};
    EXPECT(is_readable(pty.slave, 2000));
    EXPECT_EQ(read(pty.slave, text, 2), 2);
    EXPECT_EQ(read(pty.slave, text, sizeof text), 2);
    EXPECT_EQ(read(pty.slave, text, sizeof text), 4);
    EXPECT_MEM(text, "two\n", 4);
}

CASE(erase_and_kill)
{
    struct pty pty;
    pty_open(&pty);
    set_local(&pty, ECHO, 0);
    type_text(&pty, "abx\x7f" "c\n");
    char text[16] = {0};
    EXPECT_EQ(read(pty.slave, text, sizeof text), 4);
    EXPECT_STR(text, "abc\n");
    type_text(&pty, "wrong\x15right\n");
    memset(text, 0, sizeof text);
    EXPECT_EQ(read(pty.slave, text, sizeof text), 6);
    EXPECT_STR(text, "right\n");
    type_text(&pty, "two words\x17x\n");
    memset(text, 0, sizeof text);
    EXPECT_EQ(read(pty.slave, text, sizeof text), 6);
    EXPECT_STR(text, "two x\n");
    type_text(&pty, "\x7f\x7fz\n");
    memset(text, 0, sizeof text);
    EXPECT_EQ(read(pty.slave, text, sizeof text), 2);
    EXPECT_STR(text, "z\n");
}

CASE(echo_of_editing)
{
    struct pty pty;
    pty_open(&pty);
    type_text(&pty, "ab\x7f");
    EXPECT_ARRIVES(pty.master, "ab\b \b");
    type_text(&pty, "\x01");
    EXPECT_ARRIVES(pty.master, "^A");
    type_text(&pty, "\x15");
    EXPECT_ARRIVES(pty.master, "\b \b\b \b\b \b");
    type_text(&pty, "\n");
    EXPECT_ARRIVES(pty.master, "\r\n");
}

CASE(literal_next)
{
    struct pty pty;
    pty_open(&pty);
    set_local(&pty, ECHO, 0);
    type_text(&pty, "a\x16\x03z\n");
    char text[16] = {0};
    EXPECT_EQ(read(pty.slave, text, sizeof text), 4);
    EXPECT_STR(text, "a\x03z\n");
}

CASE(end_of_file_character)
{
    struct pty pty;
    pty_open(&pty);
    set_local(&pty, ECHO, 0);
    type_text(&pty, "ab\x04");
    char text[16] = {0};
    EXPECT_EQ(read(pty.slave, text, sizeof text), 2);
    type_text(&pty, "\x04");
    EXPECT_EQ(read(pty.slave, text, sizeof text), 0);
    type_text(&pty, "cd\n");
    EXPECT_EQ(read(pty.slave, text, sizeof text), 3);
}

CASE(raw_input_comes_at_once)
{
    struct pty pty;
    pty_open(&pty);
    struct termios t;
    MUST(tcgetattr(pty.slave, &t));
    cfmakeraw(&t);
    EXPECT_EQ(tcsetattr(pty.slave, TCSANOW, &t), 0);
    type_text(&pty, "a\r\x03\x7f");
    char text[16] = {0};
    EXPECT(is_readable(pty.slave, 2000));
    EXPECT_EQ(read(pty.slave, text, sizeof text), 4);
    EXPECT_STR(text, "a\r\x03\x7f");
    EXPECT(!is_readable(pty.master, 20));
    EXPECT_EQ(write(pty.slave, "x\ny", 3), 3);
    EXPECT_ARRIVES(pty.master, "x\ny");
}

CASE(raw_minimum_and_time)
{
    struct pty pty;
    pty_open(&pty);
    struct termios t;
    MUST(tcgetattr(pty.slave, &t));
    cfmakeraw(&t);
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 0;
    MUST(tcsetattr(pty.slave, TCSANOW, &t));
    char text[16];
    EXPECT_EQ(read(pty.slave, text, sizeof text), 0);
    t.c_cc[VTIME] = 1;
    MUST(tcsetattr(pty.slave, TCSANOW, &t));
    long before = tap_now_ms();
    EXPECT_EQ(read(pty.slave, text, sizeof text), 0);
    EXPECT(tap_now_ms() - before >= 90);
    t.c_cc[VMIN] = 3;
    t.c_cc[VTIME] = 0;
    MUST(tcsetattr(pty.slave, TCSANOW, &t));
    type_text(&pty, "ab");
    CHILD(pid)
    {
        tap_until_asleep(getppid());
        type_text(&pty, "c");
    }
    EXPECT_EQ(read(pty.slave, text, sizeof text), 3);
    EXPECT_EXIT(pid, 0);
}

CASE(mode_switch_keeps_pending_input)
{
    struct pty pty;
    pty_open(&pty);
    set_local(&pty, ECHO, 0);
    type_text(&pty, "half a line");
    EXPECT(!is_readable(pty.slave, 20));
    set_local(&pty, ICANON, 0);
    EXPECT(is_readable(pty.slave, 1000));
    char text[32] = {0};
    EXPECT_EQ(read(pty.slave, text, sizeof text), 11);
    EXPECT_STR(text, "half a line");
}

CASE(output_processing)
{
    struct pty pty;
    pty_open(&pty);
    EXPECT_EQ(write(pty.slave, "a\nb\tc", 5), 5);
    EXPECT_ARRIVES(pty.master, "a\r\nb\tc");
    struct termios t;
    MUST(tcgetattr(pty.slave, &t));
    t.c_oflag &= ~(tcflag_t)OPOST;
    MUST(tcsetattr(pty.slave, TCSANOW, &t));
    EXPECT_EQ(write(pty.slave, "a\nb", 3), 3);
    EXPECT_ARRIVES(pty.master, "a\nb");
}

CASE(input_mapping)
{
    struct pty pty;
    pty_open(&pty);
    struct termios t;
    MUST(tcgetattr(pty.slave, &t));
    t.c_lflag &= ~(tcflag_t)ECHO;
    t.c_iflag = IGNCR;
    MUST(tcsetattr(pty.slave, TCSANOW, &t));
    type_text(&pty, "a\rb\n");
    char text[16] = {0};
    EXPECT_EQ(read(pty.slave, text, sizeof text), 3);
    EXPECT_STR(text, "ab\n");
    t.c_iflag = INLCR | ISTRIP;
    t.c_lflag &= ~(tcflag_t)ICANON;
    MUST(tcsetattr(pty.slave, TCSANOW, &t));
    type_text(&pty, "\xe1\n");
    memset(text, 0, sizeof text);
    EXPECT(is_readable(pty.slave, 1000));
    EXPECT_EQ(read(pty.slave, text, sizeof text), 2);
    EXPECT_STR(text, "a\r");
}

CASE(flush_drops)
{
    struct pty pty;
    pty_open(&pty);
    set_local(&pty, ECHO, 0);
    type_text(&pty, "line\n");
    EXPECT(is_readable(pty.slave, 1000));
    EXPECT_EQ(tcflush(pty.slave, TCIFLUSH), 0);
    EXPECT(!is_readable(pty.slave, 20));
    EXPECT_ERRNO(tcflush(pty.slave, 99), EINVAL);
    type_text(&pty, "again\n");
    EXPECT(is_readable(pty.slave, 1000));
    struct termios t;
    MUST(tcgetattr(pty.slave, &t));
    EXPECT_EQ(tcsetattr(pty.slave, TCSAFLUSH, &t), 0);
    EXPECT(!is_readable(pty.slave, 20));
    EXPECT_EQ(tcdrain(pty.slave), 0);
}

CASE(window_size)
{
    struct pty pty;
    pty_open(&pty);
    struct winsize size = {9, 9, 9, 9};
    EXPECT_EQ(ioctl(pty.slave, TIOCGWINSZ, &size), 0);
    EXPECT_EQ(size.ws_row, 0);
    EXPECT_EQ(size.ws_col, 0);
    size = (struct winsize){25, 80, 0, 0};
    EXPECT_EQ(ioctl(pty.master, TIOCSWINSZ, &size), 0);
    memset(&size, 0, sizeof size);
    EXPECT_EQ(ioctl(pty.slave, TIOCGWINSZ, &size), 0);
    EXPECT_EQ(size.ws_row, 25);
    EXPECT_EQ(size.ws_col, 80);
}

CASE(bytes_waiting)
{
    struct pty pty;
    pty_open(&pty);
    set_local(&pty, ECHO, 0);
    int count = -1;
    type_text(&pty, "abc\n");
    EXPECT(is_readable(pty.slave, 1000));
    EXPECT_EQ(ioctl(pty.slave, FIONREAD, &count), 0);
    EXPECT_EQ(count, 4);
    EXPECT_EQ(ioctl(pty.slave, TIOCOUTQ, &count), 0);
}

CASE(master_sees_the_hangup)
{
    struct pty pty;
    pty_open(&pty);
    EXPECT_EQ(write(pty.slave, "last", 4), 4);
    close(pty.slave);
    char text[8] = {0};
    EXPECT_EQ(read(pty.master, text, 8), 4);
    EXPECT_ERRNO(read(pty.master, text, 8), EIO);
    struct pollfd p = {pty.master, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents & POLLHUP, POLLHUP);
    pty.slave = MUST(open(pty.path, O_RDWR | O_NOCTTY));
    EXPECT_EQ(write(pty.slave, "back", 4), 4);
    EXPECT_EQ(read(pty.master, text, 8), 4);
}

CASE(slave_sees_the_hangup)
{
    struct pty pty;
    pty_open(&pty);
    close(pty.master);
    char text[8];
    EXPECT_EQ(read(pty.slave, text, 8), 0);
    EXPECT_ERRNO(write(pty.slave, "x", 1), EIO);
    struct pollfd p = {pty.slave, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents & POLLHUP, POLLHUP);
    EXPECT_ERRNO(open(pty.path, O_RDWR | O_NOCTTY), ENOENT);
}

CASE(nonblocking_reads)
{
    struct pty pty;
    pty_open(&pty);
    char byte;
    MUST(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
    MUST(fcntl(pty.master, F_SETFL, O_NONBLOCK));
    EXPECT_ERRNO(read(pty.slave, &byte, 1), EAGAIN);
    EXPECT_ERRNO(read(pty.master, &byte, 1), EAGAIN);
}

CASE(long_line_is_cut)
{
    struct pty pty;
    pty_open(&pty);
    set_local(&pty, ECHO, 0);
    static char line[5001];
    memset(line, 'x', 5000);
    line[5000] = '\n';
    MUST(fcntl(pty.master, F_SETFL, O_NONBLOCK));
    size_t sent = 0;
    for (int i = 0; i < 100 && sent < sizeof line; i++) {
        ssize_t count = write(pty.master, line + sent, sizeof line - sent);
        sent += count > 0 ? (size_t)count : 0;
        tap_sleep_ms(1);
    }
    EXPECT_EQ(sent, sizeof line);
    static char text[6000];
    EXPECT(is_readable(pty.slave, 1000));
    EXPECT_EQ(read(pty.slave, text, sizeof text), 4096);
    EXPECT_EQ(text[4094], 'x');
    EXPECT_EQ(text[4095], '\n');
}

/* A child that leads a session on the terminal; the block is its program. */
#define ON_TERMINAL(pid_, pty_)                                                                   \
    CHILD(pid_)                                                                                   \
    for (int once_ = (take_terminal(pty_), 1); once_; once_ = 0)

static void take_terminal(const struct pty *pty)
{
    MUST(setsid());
    MUST(ioctl(pty->slave, TIOCSCTTY, 0));
}

CASE(controlling_terminal)
{
    struct pty pty;
    pty_open(&pty);
    ON_TERMINAL(pid, &pty)
    {
        EXPECT_EQ(tcgetpgrp(pty.slave), getpid());
        EXPECT_EQ(tcgetsid(pty.slave), getpid());
        int fd = MUST(open("/dev/tty", O_RDWR));
        EXPECT_EQ(write(fd, "t", 1), 1);
        signal(SIGHUP, SIG_IGN); /* a leader who gives the terminal up hangs up its group */
        EXPECT_EQ(ioctl(fd, TIOCNOTTY), 0);
        EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    }
    EXPECT_ARRIVES(pty.master, "t");
    EXPECT_EXIT(pid, 0);
}

CASE(controlling_terminal_by_open)
{
    struct pty pty;
    pty_open(&pty);
    CHILD(pid)
    {
        MUST(setsid());
        int fd = MUST(open(pty.path, O_RDWR));
        EXPECT_EQ(tcgetsid(fd), getpid());
        EXPECT_OK(open("/dev/tty", O_RDWR));
    }
    EXPECT_EXIT(pid, 0);
    CHILD(other)
    {
        EXPECT_ERRNO(ioctl(pty.slave, TIOCSCTTY, 0), EPERM);
        MUST(setsid());
        EXPECT_ERRNO(tcgetpgrp(pty.slave), ENOTTY);
    }
    EXPECT_EXIT(other, 0);
}

CASE(interrupt_quit_and_suspend_keys)
{
    struct pty pty;
    pty_open(&pty);
    struct gate ready;
    gate_init(&ready);
    struct {
        const char *key;
        int signal;
    } keys[] = {{"\x03", SIGINT}, {"\x1c", SIGQUIT}, {"\x1a", SIGTSTP}};
    for (int i = 0; i < 3; i++) {
        ON_TERMINAL(pid, &pty)
        {
            tap_handle(keys[i].signal, on_signal, 0);
            gate_pass(&ready);
            char byte;
            EXPECT_ERRNO(read(pty.slave, &byte, 1), EINTR);
            EXPECT_EQ(last_signal, keys[i].signal);
        }
        gate_wait(&ready);
        tap_until_asleep(pid);
        type_text(&pty, keys[i].key);
        EXPECT_EXIT(pid, 0);
    }
    EXPECT_ARRIVES(pty.master, "^C^\\^Z");
}

CASE(signal_key_flushes_input)
{
    struct pty pty;
    pty_open(&pty);
    struct gate ready;
    gate_init(&ready);
    ON_TERMINAL(pid, &pty)
    {
        tap_handle(SIGINT, on_signal, SA_RESTART);
        gate_pass(&ready);
        char text[16] = {0};
        EXPECT_EQ(read(pty.slave, text, 16), 3);
        EXPECT_STR(text, "ok\n");
    }
    gate_wait(&ready);
    tap_until_asleep(pid);
    type_text(&pty, "lost");
    type_text(&pty, "\x03");
    type_text(&pty, "ok\n");
    EXPECT_EXIT(pid, 0);
}

CASE(window_change_signals_the_foreground)
{
    struct pty pty;
    pty_open(&pty);
    struct gate ready;
    gate_init(&ready);
    ON_TERMINAL(pid, &pty)
    {
        tap_handle(SIGWINCH, on_signal, 0);
        gate_pass(&ready);
        while (signal_count == 0)
            usleep(1000);
    }
    gate_wait(&ready);
    struct winsize size = {30, 100, 0, 0};
    EXPECT_EQ(ioctl(pty.master, TIOCSWINSZ, &size), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(hangup_signals_the_leader)
{
    struct pty pty;
    pty_open(&pty);
    struct gate ready;
    gate_init(&ready);
    ON_TERMINAL(pid, &pty)
    {
        close(pty.master);
        tap_handle(SIGHUP, on_signal, 0);
        gate_pass(&ready);
        while (signal_count == 0)
            usleep(1000);
        char byte;
        EXPECT_EQ(read(pty.slave, &byte, 1), 0);
    }
    close(pty.slave);
    gate_wait(&ready);
    close(pty.master);
    EXPECT_EXIT(pid, 0);
}

CASE(background_reader_stops)
{
    struct pty pty;
    pty_open(&pty);
    ON_TERMINAL(pid, &pty)
    {
        CHILD(background)
        {
            MUST(setpgid(0, 0));
            char byte;
            read(pty.slave, &byte, 1);
        }
        int status = 0;
        EXPECT_EQ(waitpid(background, &status, WUNTRACED), background);
        EXPECT(WIFSTOPPED(status));
        EXPECT_EQ(WSTOPSIG(status), SIGTTIN);
        kill(background, SIGKILL);
        EXPECT_KILLED(background, SIGKILL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(background_reader_without_the_signal)
{
    struct pty pty;
    pty_open(&pty);
    ON_TERMINAL(pid, &pty)
    {
        CHILD(background)
        {
            MUST(setpgid(0, 0));
            signal(SIGTTIN, SIG_IGN);
            char byte;
            EXPECT_ERRNO(read(pty.slave, &byte, 1), EIO);
        }
        EXPECT_EXIT(background, 0);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(background_writer)
{
    struct pty pty;
    pty_open(&pty);
    ON_TERMINAL(pid, &pty)
    {
        CHILD(allowed)
        {
            MUST(setpgid(0, 0));
            EXPECT_EQ(write(pty.slave, "w", 1), 1);
        }
        EXPECT_EXIT(allowed, 0);
        set_local(&pty, 0, TOSTOP);
        CHILD(stopped)
        {
            MUST(setpgid(0, 0));
            write(pty.slave, "w", 1);
        }
        int status = 0;
        EXPECT_EQ(waitpid(stopped, &status, WUNTRACED), stopped);
        EXPECT_EQ(WSTOPSIG(status), SIGTTOU);
        kill(stopped, SIGKILL);
        EXPECT_KILLED(stopped, SIGKILL);
        CHILD(ignoring)
        {
            MUST(setpgid(0, 0));
            signal(SIGTTOU, SIG_IGN);
            EXPECT_EQ(write(pty.slave, "i", 1), 1);
        }
        EXPECT_EXIT(ignoring, 0);
    }
    EXPECT_ARRIVES(pty.master, "wi");
    EXPECT_EXIT(pid, 0);
}

CASE(background_settings_change_stops)
{
    struct pty pty;
    pty_open(&pty);
    ON_TERMINAL(pid, &pty)
    {
        CHILD(background)
        {
            MUST(setpgid(0, 0));
            struct termios t;
            tcgetattr(pty.slave, &t);
            tcsetattr(pty.slave, TCSANOW, &t);
        }
        int status = 0;
        EXPECT_EQ(waitpid(background, &status, WUNTRACED), background);
        EXPECT_EQ(WSTOPSIG(status), SIGTTOU);
        kill(background, SIGKILL);
        EXPECT_KILLED(background, SIGKILL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(foreground_group_changes)
{
    struct pty pty;
    pty_open(&pty);
    ON_TERMINAL(pid, &pty)
    {
        struct gate go;
        gate_init(&go);
        CHILD(job)
        {
            MUST(setpgid(0, 0));
            gate_wait(&go);
            EXPECT_EQ(tcgetpgrp(pty.slave), getpid());
            char byte = 0;
            EXPECT_EQ(read(pty.slave, &byte, 1), 1);
            EXPECT_EQ(byte, 'f');
        }
        setpgid(job, job);
        EXPECT_EQ(tcsetpgrp(pty.slave, job), 0);
        gate_pass(&go);
        EXPECT_EXIT(job, 0);
        EXPECT_ERRNO(tcsetpgrp(pty.slave, getpid()), ENOTTY); /* orphaned and in the background */
        signal(SIGTTOU, SIG_IGN);
        EXPECT_ERRNO(tcsetpgrp(pty.slave, -1), EINVAL);
        EXPECT_ERRNO(tcsetpgrp(pty.slave, getppid()), EPERM);
        EXPECT_EQ(tcsetpgrp(pty.slave, getpid()), 0);
    }
    type_text(&pty, "f\n");
    EXPECT_EXIT(pid, 0);
}

CASE(session_end_hangs_up_the_foreground)
{
    struct pty pty;
    pty_open(&pty);
    int fds[2];
    MUST(pipe(fds));
    ON_TERMINAL(pid, &pty)
    {
        struct gate ready;
        gate_init(&ready);
        if (fork() == 0) {
            tap_handle(SIGHUP, on_signal, 0);
            gate_pass(&ready);
            while (signal_count == 0)
                usleep(1000);
            write(fds[1], "h", 1);
            _exit(0);
        }
        gate_wait(&ready);
    }
    EXPECT_EXIT(pid, 0);
    char byte = 0;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'h');
}

CASE(packet_mode)
{
    struct pty pty;
    pty_open(&pty);
    int on = 1;
    EXPECT_EQ(ioctl(pty.master, TIOCPKT, &on), 0);
    EXPECT_EQ(write(pty.slave, "data", 4), 4);
    char text[16] = {0};
    EXPECT(is_readable(pty.master, 1000));
    EXPECT_EQ(read(pty.master, text, sizeof text), 5);
    EXPECT_EQ(text[0], 0);
    EXPECT_MEM(text + 1, "data", 4);
    EXPECT_EQ(tcflush(pty.slave, TCIFLUSH), 0);
    EXPECT_EQ(read(pty.master, text, sizeof text), 1);
    EXPECT_EQ(text[0] & TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHREAD);
}
