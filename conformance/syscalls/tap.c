/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the cases of one program and prints TAP. The surprising fact: it asks as little as possible
 * of the kernel under test (fork, wait4, alarm, write), so that a young kernel can use it; with
 * --no-fork not even that.
 */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { TIMEOUT_S = 10, EXIT_FAILED = 1, EXIT_SKIPPED = 77, CASES_MAX = 512 };

extern const struct tap_case __start_tap_cases[];
extern const struct tap_case __stop_tap_cases[];

struct run {
    const char *family;
    const struct tap_case *current;
    int index;
    pid_t case_pid;
    int failure_count;
    int in_child; /* in a process that a case made */
    int no_fork;
    jmp_buf leave;
};

static struct run run;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void put(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t count = write(STDOUT_FILENO, text, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            _exit(3);
        text += count;
        size -= (size_t)count;
    }
}

static void say(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size >= (int)sizeof text)
        size = sizeof text - 1;
    put(text, (size_t)size);
}

void tap_show(const char *format, ...)
{
    char text[960];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("# show: %s\n", text);
}

static void leave(int status)
{
    if (run.no_fork && !run.in_child)
        longjmp(run.leave, status + 1);
    _exit(status);
}

static const char *errno_name(int number)
{
    const char *name = strerrorname_np(number);
    return name ? name : "?";
}

int tap_claim(long line, const char *text, int holds)
{
    if (holds)
        return 1;
    int saved = errno;
    say("# line %ld: expected %s (errno %s)\n", line, text, errno_name(saved));
    run.failure_count++;
    return 0;
}

int tap_equal(long line, const char *text, long got, long want)
{
    if (got == want)
        return 1;
    int saved = errno;
    say("# line %ld: %s: expected %ld (%#lx) got %ld (%#lx)%s%s\n", line, text, want, want, got,
        got, got == -1 ? " errno " : "", got == -1 ? errno_name(saved) : "");
    run.failure_count++;
    return 0;
}

int tap_string(long line, const char *text, const char *got, const char *want)
{
    if (got && strcmp(got, want) == 0)
        return 1;
    say("# line %ld: %s: expected \"%s\" got \"%s\"\n", line, text, want, got ? got : "(null)");
    run.failure_count++;
    return 0;
}

int tap_memory(long line, const char *text, const void *got, const void *want, size_t size)
{
    const unsigned char *left = got;
    const unsigned char *right = want;
    for (size_t i = 0; i < size; i++) {
        if (left[i] == right[i])
            continue;
        say("# line %ld: %s: at byte %zu expected %#x got %#x\n", line, text, i, right[i],
            left[i]);
        run.failure_count++;
        return 0;
    }
    return 1;
}

int tap_fails(long line, const char *text, long got, int want, const char *want_name)
{
    int saved = errno;
    if (got == -1 && saved == want)
        return 1;
    if (got == -1)
        say("# line %ld: %s: expected %s got %s\n", line, text, want_name, errno_name(saved));
    else
        say("# line %ld: %s: expected %s got %ld\n", line, text, want_name, got);
    run.failure_count++;
    return 0;
}

int tap_succeeds(long line, const char *text, long got)
{
    if (got != -1)
        return 1;
    say("# line %ld: %s: expected success got %s\n", line, text, errno_name(errno));
    run.failure_count++;
    return 0;
}

long tap_must(long line, const char *text, long got)
{
    if (got != -1)
        return got;
    say("# line %ld: %s: has to succeed, got %s\n", line, text, errno_name(errno));
    run.failure_count++;
    leave(EXIT_FAILED);
    return -1;
}

void tap_require(long line, const char *text, int holds)
{
    if (!tap_claim(line, text, holds))
        leave(EXIT_FAILED);
}

static void say_result(int number, const char *suffix)
{
    int is_bad = suffix[0] == '!';
    say("%s %d - %s/%s%s\n", is_bad ? "not ok" : "ok", number, run.family, run.current->name,
        is_bad ? suffix + 1 : suffix);
}

_Noreturn void tap_skip(const char *reason)
{
    char suffix[200];
    snprintf(suffix, sizeof suffix, " # SKIP %s", reason);
    say_result(run.index, suffix);
    leave(EXIT_SKIPPED);
    __builtin_unreachable();
}

pid_t tap_fork(long line)
{
    pid_t pid = (pid_t)tap_must(line, "fork()", fork());
    if (pid == 0) {
        run.in_child = 1;
        run.failure_count = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

_Noreturn void tap_child_end(void)
{
    _exit(run.failure_count ? EXIT_FAILED : 0);
}

int tap_ended(long line, pid_t pid, int by_signal, int want)
{
    int status = 0;
    pid_t got;
    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    if (got != pid)
        return tap_equal(line, "waitpid", got, pid);
    if (by_signal ? WIFSIGNALED(status) && WTERMSIG(status) == want
                  : WIFEXITED(status) && WEXITSTATUS(status) == want)
        return 1;
    say("# line %ld: child: expected %s %d got wait status %#x\n", line,
        by_signal ? "death by signal" : "exit code", want, (unsigned)status);
    run.failure_count++;
    return 0;
}

static void name_tmpdir(char *path, size_t size, pid_t pid)
{
    const char *place = getenv("TAP_DIRECTORY"); /* conformance/run --mount */
    snprintf(path, size, "%s/conformance.%d", place ? place : "/tmp", (int)pid);
}

const char *tap_tmpdir(void)
{
    static char path[64];
    name_tmpdir(path, sizeof path, run.case_pid);
    tap_must(__LINE__, "mkdir of the case's directory", mkdir(path, 0777));
    tap_must(__LINE__, "chdir to the case's directory", chdir(path));
    tap_must(__LINE__, "chmod of the case's directory", chmod(".", 0777));
    umask(022);
    return path;
}

static void remove_tree(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return;
    int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return;
    DIR *stream = fdopendir(dir);
    struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(dir, entry->d_name);
    }
    if (stream)
        closedir(stream);
    unlinkat(parent, name, AT_REMOVEDIR);
}

static void clean_up(void)
{
    char path[64];
    name_tmpdir(path, sizeof path, run.case_pid);
    struct stat st;
    if (lstat(path, &st) < 0)
        return;
    if (run.no_fork && chdir("/") < 0)
        return;
    remove_tree(AT_FDCWD, path);
}

void tap_sleep_ms(long ms)
{
    struct timespec span = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&span, &span) < 0 && errno == EINTR)
        ;
}

long tap_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int is_asleep(pid_t tid)
{
    char path[64];
    char text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    if (tap_read_file(path, text, sizeof text) <= 0)
        return -1;
    const char *end = strrchr(text, ')');
    return end && strchr("SDTtZX", end[2]) != NULL;
}

void tap_until_asleep(pid_t tid)
{
    int saved = errno;
    int seen = 0;
    for (int i = 0; i < 2000 && seen < 3; i++) {
        int asleep = is_asleep(tid);
        if (asleep < 0) {
            tap_sleep_ms(50);
            break;
        }
        seen = asleep ? seen + 1 : 0;
        tap_sleep_ms(1);
    }
    errno = saved;
}

void gate_init(struct gate *gate)
{
    tap_must(__LINE__, "pipe of a gate", pipe(gate->fds));
}

void gate_pass(const struct gate *gate)
{
    ssize_t count = write(gate->fds[1], "g", 1);
    tap_require(__LINE__, "a byte through the gate", count == 1);
}

void gate_wait(const struct gate *gate)
{
    char byte;
    ssize_t count;
    do {
        count = read(gate->fds[0], &byte, 1);
    } while (count < 0 && errno == EINTR);
    tap_require(__LINE__, "a byte from the gate", count == 1);
}

long tap_read_file(const char *path, char *text, size_t size_max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t size = 0;
    while (size < size_max - 1) {
        ssize_t count = read(fd, text + size, size_max - 1 - size);
        if (count <= 0)
            break;
        size += (size_t)count;
    }
    text[size] = '\0';
    close(fd);
    return (long)size;
}

void tap_write_file(const char *path, const char *text)
{
    int fd = (int)tap_must(__LINE__, path, open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    size_t size = strlen(text);
    tap_require(__LINE__, "the whole text written", write(fd, text, size) == (ssize_t)size);
    close(fd);
}

void tap_ignore(int signal)
{
}

void tap_handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    tap_must(__LINE__, "sigaction", sigaction(signal, &action, NULL));
}

void tap_handle_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    tap_must(__LINE__, "sigaction", sigaction(signal, &action, NULL));
}

char *tap_pages(size_t count)
{
    void *start = mmap(NULL, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
    tap_must(__LINE__, "mmap", (long)start);
    return start;
}

static volatile sig_atomic_t is_late;

static void on_alarm(int signal)
{
    (void)signal;
    is_late = 1;
}

/* Reap the case and whatever it left to us; *status is the case's. */
static void reap_case(pid_t pid, long timeout_s, int *status)
{
    is_late = 0;
    alarm((unsigned)timeout_s);
    while (waitpid(pid, status, 0) < 0) {
        if (errno != EINTR || !is_late)
            break;
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        alarm(2);
    }
    alarm(0);
    if (kill(-pid, SIGKILL) == 0 || errno == EPERM)
        tap_sleep_ms(1);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static int run_in_child(void)
{
    pid_t pid = fork();
    if (pid < 0) {
        say("# fork: %s\n", errno_name(errno));
        return EXIT_FAILED;
    }
    if (pid == 0) {
        run.case_pid = getpid();
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGALRM, SIG_DFL);
        run.current->run();
        _exit(run.failure_count ? EXIT_FAILED : 0);
    }
    int status = 0;
    run.case_pid = pid;
    reap_case(pid, run.current->timeout_s ? run.current->timeout_s : TIMEOUT_S, &status);
    if (is_late)
        say("# timeout\n");
    else if (WIFSIGNALED(status))
        say("# killed by signal %d\n", WTERMSIG(status));
    else if (WIFEXITED(status) && WEXITSTATUS(status) > 1 && WEXITSTATUS(status) != EXIT_SKIPPED)
        say("# exit status %d\n", WEXITSTATUS(status));
    return WIFEXITED(status) && !is_late ? WEXITSTATUS(status) : EXIT_FAILED;
}

static int run_here(void)
{
    run.case_pid = getpid();
    run.failure_count = 0;
    int status = setjmp(run.leave);
    if (status)
        return status - 1;
    run.current->run();
    return run.failure_count ? EXIT_FAILED : 0;
}

static int is_wanted(const struct tap_case *row, char **globs, int count)
{
    char full[128];
    snprintf(full, sizeof full, "%s/%s", run.family, row->name);
    for (int i = 0; i < count; i++) {
        if (fnmatch(globs[i], row->name, 0) == 0 || fnmatch(globs[i], full, 0) == 0)
            return 1;
    }
    return count == 0;
}

static int by_line(const void *left, const void *right)
{
    const struct tap_case *const *a = left;
    const struct tap_case *const *b = right;
    return (*a)->line < (*b)->line ? -1 : (*a)->line > (*b)->line;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    run.family = slash ? slash + 1 : argv[0];
    int list = 0;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--list") == 0)
            list = 1;
        else if (strcmp(argv[first], "--no-fork") == 0)
            run.no_fork = 1;
        else {
            say("usage: %s [--list] [--no-fork] [case or glob]...\n", run.family);
            return 2;
        }
    }

    static const struct tap_case *wanted[CASES_MAX];
    int count = 0;
    for (const struct tap_case *row = __start_tap_cases; row < __stop_tap_cases; row++) {
        if (is_wanted(row, argv + first, argc - first) && count < CASES_MAX)
            wanted[count++] = row;
    }
    qsort(wanted, (size_t)count, sizeof wanted[0], by_line);

    if (!list)
        say("TAP version 13\n1..%d\n", count);
    if (!run.no_fork) {
        tap_handle(SIGALRM, on_alarm, 0);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    int is_bad = 0;
    for (int i = 0; i < count; i++) {
        run.current = wanted[i];
        run.index = i + 1;
        if (list) {
            say("%s/%s\n", run.family, wanted[i]->name);
            continue;
        }
        int status = run.no_fork ? run_here() : run_in_child();
        clean_up();
        if (status != EXIT_SKIPPED)
            say_result(i + 1, status ? "!" : "");
        is_bad |= status != 0 && status != EXIT_SKIPPED;
    }
    return is_bad;
}
