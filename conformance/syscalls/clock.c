/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, sleeps, interval timers, POSIX timers, alarm. Times are compared loosely only. */
#include "tap.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

static volatile sig_atomic_t signal_count;
static siginfo_t last_info;

static void on_signal(int signal)
{
    signal_count++;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
    last_info = *info;
    signal_count++;
}

static long ns_of(struct timespec t)
{
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

static long now(clockid_t clock)
{
    struct timespec t;
    EXPECT_EQ(clock_gettime(clock, &t), 0);
    EXPECT(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    return ns_of(t);
}

/* Use the processor until this clock has moved so far; on a busy machine that takes a while. */
static void burn(clockid_t clock, long ns)
{
    struct timespec t;
    long give_up_ms = tap_now_ms() + 6000;
    clock_gettime(clock, &t);
    for (long end = ns_of(t) + ns; ns_of(t) < end && tap_now_ms() < give_up_ms;)
        clock_gettime(clock, &t);
}

CASE(clocks_go_forward)
{
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
                          CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                          CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        long before = now(clocks[i]);
        burn(clocks[i], 1);
        EXPECT(now(clocks[i]) > before);
    }
}

CASE(vdso_agrees_with_the_call)
{
    for (int i = 0; i < 20; i++) {
        struct timespec call;
        long before = now(CLOCK_MONOTONIC);
        EXPECT_EQ(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &call), 0);
        long after = now(CLOCK_MONOTONIC);
        EXPECT(before <= ns_of(call) && ns_of(call) <= after);
    }
    struct timeval tv, tv_call;
    EXPECT_EQ(gettimeofday(&tv, NULL), 0);
    EXPECT_EQ(syscall(SYS_gettimeofday, &tv_call, NULL), 0);
    EXPECT(tv_call.tv_sec - tv.tv_sec <= 2);
    time_t stored = 0;
    time_t value = syscall(SYS_time, &stored);
    EXPECT_EQ(stored, value);
    EXPECT(value - tv.tv_sec <= 2 && value - tv.tv_sec >= -1); /* time(2) is a coarse clock */
}

CASE(never_backwards)
{
    long last = now(CLOCK_MONOTONIC);
    int backwards = 0;
    for (int i = 0; i < 20000; i++) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        backwards += ns_of(t) < last;
        last = ns_of(t);
    }
    EXPECT_EQ(backwards, 0);
}

CASE(clock_errors)
{
    struct timespec t;
    EXPECT_ERRNO(syscall(SYS_clock_gettime, 99, &t), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);
    EXPECT_EQ(clock_getres(CLOCK_MONOTONIC, &t), 0);
    EXPECT_EQ(ns_of(t), 1);
    EXPECT_EQ(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL), 0);
    EXPECT_ERRNO(clock_getres(99, &t), EINVAL);
    EXPECT_ERRNO(clock_settime(CLOCK_MONOTONIC, &t), EINVAL);
    CHILD(pid)
    {
        MUST(setuid(1000));
        t = (struct timespec){1000000000, 0};
        EXPECT_ERRNO(clock_settime(CLOCK_REALTIME, &t), EPERM);
        struct timeval tv = {1000000000, 0};
        EXPECT_ERRNO(settimeofday(&tv, NULL), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(cpu_clock_of_a_process)
{
    clockid_t clock;
    EXPECT_EQ(clock_getcpuclockid(getpid(), &clock), 0);
    burn(clock, 1);
    EXPECT(now(clock) > 0);
    long process = now(CLOCK_PROCESS_CPUTIME_ID);
    tap_sleep_ms(50);
    EXPECT(now(CLOCK_PROCESS_CPUTIME_ID) - process < 45000000);
}

CASE(nanosleep_lasts)
{
    struct timespec span = {0, 30000000};
    long before = now(CLOCK_MONOTONIC);
    EXPECT_EQ(nanosleep(&span, NULL), 0);
    EXPECT(now(CLOCK_MONOTONIC) - before >= 30000000);
    span.tv_nsec = 1000000000;
    EXPECT_ERRNO(nanosleep(&span, NULL), EINVAL);
    span = (struct timespec){-1, 0};
    EXPECT_ERRNO(nanosleep(&span, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_nanosleep, 8, NULL), EFAULT);
    span = (struct timespec){0, 0};
    EXPECT_EQ(nanosleep(&span, NULL), 0);
}

CASE(clock_nanosleep_absolute)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL), 0);
    long target = ns_of(when) + 30000000;
    when = (struct timespec){target / 1000000000, target % 1000000000};
    EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL), 0);
    EXPECT(now(CLOCK_MONOTONIC) >= target);
    EXPECT_EQ(clock_nanosleep(99, 0, &when, NULL), EINVAL);
    EXPECT_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &when, NULL), EINVAL);
    struct timespec span = {0, 1000000};
    EXPECT_EQ(clock_nanosleep(CLOCK_REALTIME, 0, &span, NULL), 0);
    EXPECT_EQ(clock_nanosleep(CLOCK_BOOTTIME, 0, &span, NULL), 0);
}

CASE(clock_nanosleep_interrupted)
{
    CHILD(pid)
    {
        tap_handle(SIGUSR1, on_signal, SA_RESTART);
        struct timespec span = {100, 0};
        struct timespec left = {0, 0};
        EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &span, &left), EINTR);
        EXPECT(left.tv_sec >= 85 && left.tv_sec <= 99);
    }
    tap_until_asleep(pid);
    kill(pid, SIGUSR1);
    EXPECT_EXIT(pid, 0);
}

CASE(alarm_forms)
{
    tap_handle(SIGALRM, on_signal, 0);
    EXPECT_EQ(alarm(100), 0);
    EXPECT(alarm(50) >= 99);
    unsigned left = alarm(0);
    EXPECT(left == 50 || left == 49);
    EXPECT_EQ(alarm(0), 0);
    EXPECT_EQ(signal_count, 0);
}

CASE(real_interval_timer)
{
    tap_handle(SIGALRM, on_signal, SA_RESTART);
    struct itimerval timer = {{0, 10000}, {0, 10000}};
    struct itimerval old;
    long start = tap_now_ms();
    EXPECT_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
    while (signal_count < 3 && tap_now_ms() - start < 5000)
        pause();
    EXPECT(signal_count >= 3);
    EXPECT(tap_now_ms() - start >= 29);
    EXPECT_EQ(getitimer(ITIMER_REAL, &old), 0);
    EXPECT_EQ(old.it_interval.tv_usec, 10000);
    timer = (struct itimerval){{0, 0}, {0, 0}};
    EXPECT_EQ(setitimer(ITIMER_REAL, &timer, &old), 0);
    EXPECT_EQ(old.it_interval.tv_usec, 10000);
    EXPECT_EQ(getitimer(ITIMER_REAL, &old), 0);
    EXPECT_EQ(old.it_value.tv_usec, 0);
}

CASE(cpu_interval_timers)
{
    tap_handle(SIGVTALRM, on_signal, 0);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    EXPECT_EQ(setitimer(ITIMER_VIRTUAL, &timer, NULL), 0);
    volatile unsigned long turns = 0;
    long start = tap_now_ms();
    while (signal_count == 0 && tap_now_ms() - start < 8000)
        for (int i = 0; i < 100000; i++)
            turns++;
    EXPECT_EQ(signal_count, 1);
    tap_handle(SIGPROF, on_signal, 0);
    EXPECT_EQ(setitimer(ITIMER_PROF, &timer, NULL), 0);
    start = tap_now_ms();
    while (signal_count == 1 && tap_now_ms() - start < 8000)
        for (int i = 0; i < 100000; i++)
            turns++;
    EXPECT_EQ(signal_count, 2);
}

CASE(interval_timer_errors)
{
    struct itimerval timer = {{0, 0}, {0, 1000000}};
    EXPECT_ERRNO(setitimer(99, &timer, NULL), EINVAL);
    EXPECT_ERRNO(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
    EXPECT_ERRNO(getitimer(99, &timer), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getitimer, ITIMER_REAL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_setitimer, ITIMER_REAL, 8, NULL), EFAULT);
}

CASE(posix_timer_signal)
{
    tap_handle_info(SIGUSR1, on_info, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1,
                             .sigev_value.sival_int = 4711};
    timer_t timer;
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec spec = {{0, 0}, {0, 10000000}};
    EXPECT_EQ(timer_settime(timer, 0, &spec, NULL), 0);
    long start = tap_now_ms();
    while (signal_count == 0 && tap_now_ms() - start < 5000)
        tap_sleep_ms(1);
    EXPECT_EQ(signal_count, 1);
    EXPECT_EQ(last_info.si_code, SI_TIMER);
    EXPECT_EQ(last_info.si_value.sival_int, 4711);
    EXPECT_EQ(last_info.si_overrun, 0);
    EXPECT_EQ(timer_gettime(timer, &spec), 0);
    EXPECT_EQ(ns_of(spec.it_value), 0);
    EXPECT_EQ(timer_delete(timer), 0);
}

CASE(posix_timer_overrun)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec spec = {{0, 5000000}, {0, 5000000}};
    EXPECT_EQ(timer_settime(timer, 0, &spec, NULL), 0);
    tap_sleep_ms(60);
    siginfo_t info;
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
    EXPECT(info.si_overrun >= 8);
    EXPECT_EQ(timer_getoverrun(timer), info.si_overrun);
    EXPECT_EQ(timer_delete(timer), 0);
}

CASE(posix_timer_without_signal)
{
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t timer;
    MUST(timer_create(CLOCK_REALTIME, &event, &timer));
    struct itimerspec spec = {{1, 0}, {100, 0}};
    struct itimerspec old;
    EXPECT_EQ(timer_settime(timer, 0, &spec, NULL), 0);
    EXPECT_EQ(timer_gettime(timer, &old), 0);
    EXPECT(old.it_value.tv_sec >= 90 && old.it_value.tv_sec <= 100);
    EXPECT_EQ(old.it_interval.tv_sec, 1);
    spec = (struct itimerspec){{0, 0}, {0, 0}};
    EXPECT_EQ(timer_settime(timer, 0, &spec, &old), 0);
    EXPECT_EQ(old.it_interval.tv_sec, 1);
}

CASE(posix_timer_on_a_thread)
{
    tap_handle_info(SIGUSR2, on_info, 0);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    int timer = -1;
    EXPECT_EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer), 0);
    struct itimerspec spec = {{0, 0}, {0, 1}};
    EXPECT_EQ(syscall(SYS_timer_settime, timer, 0, &spec, NULL), 0);
    long start = tap_now_ms();
    while (signal_count == 0 && tap_now_ms() - start < 5000)
        tap_sleep_ms(1);
    EXPECT_EQ(signal_count, 1);
    event._sigev_un._tid = 1 << 22;
    EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer), EINVAL);
}

CASE(posix_timer_errors)
{
    int timer = -1;
    struct itimerspec spec = {{0, 0}, {0, 1000000000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
    EXPECT_ERRNO(syscall(SYS_timer_create, 99, NULL, &timer), EINVAL);
    EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer), EINVAL);
    EXPECT_ERRNO(syscall(SYS_timer_delete, 12345), EINVAL);
    EXPECT_ERRNO(syscall(SYS_timer_settime, 12345, 0, &spec, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_timer_gettime, 12345, &spec), EINVAL);
    EXPECT_ERRNO(syscall(SYS_timer_getoverrun, 12345), EINVAL);
    EXPECT_EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer), 0);
    EXPECT_ERRNO(syscall(SYS_timer_settime, timer, 0, &spec, NULL), EINVAL);
    EXPECT_EQ(syscall(SYS_timer_delete, timer), 0);
    EXPECT_ERRNO(syscall(SYS_timer_delete, timer), EINVAL);
}

CASE(posix_timers_do_not_cross_exec_or_fork)
{
    tap_handle(SIGUSR1, on_signal, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    int timer = -1;
    MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    CHILD(pid)
    {
        struct itimerspec spec;
        EXPECT_ERRNO(syscall(SYS_timer_gettime, timer, &spec), EINVAL);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(times_and_usage_grow)
{
    struct tms t;
    struct rusage usage;
    burn(CLOCK_PROCESS_CPUTIME_ID, 30000000);
    EXPECT(times(&t) != -1);
    EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    EXPECT(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
               usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec > 10000);
    EXPECT(usage.ru_maxrss > 0);
    EXPECT_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    EXPECT_ERRNO(getrusage(99, &usage), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getrusage, RUSAGE_SELF, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_times, 8), EFAULT);
    EXPECT(clock() > 0);
}

CASE(cpu_time_limit)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(pid)
    {
        struct rlimit limit = {1, 2};
        MUST(setrlimit(RLIMIT_CPU, &limit));
        for (;;)
            ;
    }
    EXPECT_KILLED(pid, SIGXCPU);
}
