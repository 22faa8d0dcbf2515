/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A case is a function that states what Linux does. The main program (tap.c) runs each case in a
 * child of its own under an alarm and prints TAP; a case that hangs or crashes fails alone.
 *
 *     CASE(close_frees_the_number)
 *     {
 *         int fd = MUST(open("/dev/null", O_RDONLY));
 *         EXPECT_EQ(close(fd), 0);
 *         EXPECT_ERRNO(close(fd), EBADF);
 *     }
 *
 * EXPECT_* note a difference and go on; MUST and REQUIRE end the case. Details are printed before
 * the result line they belong to, as "# line N: ...". What passes prints nothing but its result.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct tap_case {
    const char *name;
    void (*run)(void);
    long line;
    long timeout_s; /* 0 is the default */
};

/* The linker gathers the rows of a program's cases; tap.c orders them by line. */
#define CASE_TIMEOUT(name_, timeout_)                                                             \
    static void case_##name_(void);                                                               \
    static const struct tap_case row_##name_ __attribute__((used, section("tap_cases"))) = {      \
        #name_, case_##name_, __LINE__, timeout_};                                                \
    static void case_##name_(void)
#define CASE(name_) CASE_TIMEOUT(name_, 0)

#define EXPECT(claim_) tap_claim(__LINE__, #claim_, (claim_) ? 1 : 0)
#define EXPECT_EQ(got_, want_) tap_equal(__LINE__, #got_, (long)(got_), (long)(want_))
#define EXPECT_STR(got_, want_) tap_string(__LINE__, #got_, got_, want_)
#define EXPECT_MEM(got_, want_, size_) tap_memory(__LINE__, #got_, got_, want_, size_)
/* The call fails with this errno; errno is cleared first. */
#define EXPECT_ERRNO(call_, errno_)                                                               \
    tap_fails(__LINE__, #call_, (errno = 0, (long)(call_)), errno_, #errno_)
#define EXPECT_OK(call_) tap_succeeds(__LINE__, #call_, (errno = 0, (long)(call_)))
/* The value of a call that has to succeed, else the case ends here. */
#define MUST(call_) tap_must(__LINE__, #call_, (errno = 0, (long)(call_)))
#define REQUIRE(claim_) tap_require(__LINE__, #claim_, (claim_) ? 1 : 0)
/* End the case as skipped; only before it had an effect, with a reason that is always the same. */
#define SKIP(reason_) tap_skip(reason_)
#define SKIP_IF(claim_, reason_)                                                                  \
    do {                                                                                          \
        if (claim_)                                                                               \
            tap_skip(reason_);                                                                    \
    } while (0)
/* A line of the case's output, compared between native and sandboxed runs. */
void tap_show(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The block runs in a child that dies with its parent; falling out of it exits with 0, or 1 if an
 * expectation in it failed. The parent goes on behind the block with the child's pid in pid_.
 */
#define CHILD(pid_)                                                                               \
    pid_t pid_ = tap_fork(__LINE__);                                                              \
    for (; pid_ == 0; tap_child_end())
/* Reap pid_ and compare how it ended. */
#define EXPECT_EXIT(pid_, code_) tap_ended(__LINE__, pid_, 0, code_)
#define EXPECT_KILLED(pid_, signal_) tap_ended(__LINE__, pid_, 1, signal_)

int tap_claim(long line, const char *text, int holds);
int tap_equal(long line, const char *text, long got, long want);
int tap_string(long line, const char *text, const char *got, const char *want);
int tap_memory(long line, const char *text, const void *got, const void *want, size_t size);
int tap_fails(long line, const char *text, long got, int want, const char *want_name);
int tap_succeeds(long line, const char *text, long got);
long tap_must(long line, const char *text, long got);
void tap_require(long line, const char *text, int holds);
_Noreturn void tap_skip(const char *reason);
pid_t tap_fork(long line);
_Noreturn void tap_child_end(void);
int tap_ended(long line, pid_t pid, int by_signal, int want);

/* An empty directory in /tmp that is the current one and is removed after the case. */
const char *tap_tmpdir(void);

/* Wait until the thread (of this or another process) sleeps; a short pause where it cannot tell. */
void tap_until_asleep(pid_t tid);
void tap_sleep_ms(long ms);
long tap_now_ms(void);

/* A turnstile between processes: wait returns once for each pass. */
struct gate {
    int fds[2];
};
void gate_init(struct gate *gate);
void gate_pass(const struct gate *gate);
void gate_wait(const struct gate *gate);

/* Whole small file into text (NUL-ended); the size or -1. */
long tap_read_file(const char *path, char *text, size_t size_max);
/* Create or replace a file with this text. */
void tap_write_file(const char *path, const char *text);
/* Install a handler with these flags and an empty mask. */
void tap_handle(int signal, void (*handler)(int), int flags);
/* A handler that does nothing. */
void tap_ignore(int signal);
/* CALL is interrupted by a handler without SA_RESTART, the signal coming until it was. */
#define INTERRUPTED(call_)                                                                        \
    do {                                                                                          \
        struct itimerval soon = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};               \
        tap_handle(SIGALRM, tap_ignore, 0);                                                       \
        MUST(setitimer(ITIMER_REAL, &soon, NULL));                                                \
        EXPECT_ERRNO(call_, EINTR);                                                               \
        MUST(setitimer(ITIMER_REAL, &never, NULL));                                               \
    } while (0)
void tap_handle_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags);
/* Private anonymous read-write memory of so many pages. */
char *tap_pages(size_t count);
