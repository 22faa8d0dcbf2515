/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signals are blocked in every thread and read from a signalfd, which the poller watches like
 * any stream: no handler runs, and a signal is one more thing that a fiber deals with.
 */
#include "runtime/console_signals.h"

#include "host/host.h"
#include "sentry/kernel/kernel.h"
#include "sentry/sched/sched.h"

#include <errno.h>

/* signalfd(2)'s struct signalfd_siginfo; the headers that define it do not go together with
 * fs/file.h. */
struct signal_info {
    u32 signo;
    u8 rest[124];
};

struct console_signals {
    struct loader *loader;
    const char *container_id;
    struct host_stream *stream;
    struct host_watch watch;
    struct wait_queue ready;
    u32 readiness;
    struct task *task;
};

static void signals_notify(struct host_watch *watch, u32 ready)
{
    struct console_signals *signals = watch->owner;
    signals->readiness |= ready;
    wake_up_all(&signals->ready);
}

SLEEPS static void signals_serve(struct console_signals *signals, struct task *task)
{
    for (;;) {
        struct signal_info info;
        i64 got = host_stream_read(signals->stream, &info, sizeof info, NULL, NULL);
        if (got == (i64)sizeof info) {
            struct signal_args args = {.container_id = signals->container_id,
                                       .signo = (i32)info.signo,
                                       .mode = SIGNAL_FOREGROUND};
            struct error unused;
            (void)!loader_signal(signals->loader, task, &args,
                                 &unused); /* nobody there: nobody to tell */
            continue;
        }
        if (got != -EAGAIN)
            return;
        if (signals->readiness == 0)
            fiber_sleep_on_hard(&task->fiber, &signals->ready);
        signals->readiness = 0;
    }
}

SLEEPS_ROOT static void signals_main(struct task *task, void *arg)
{
    struct console_signals *signals = arg;
    host_stream_watch(signals->stream, &signals->watch);
    signals_serve(signals, task);
    host_stream_watch(signals->stream, NULL);
}

int console_signals_start(struct loader *loader, const char *container_id, int fd)
{
    static struct console_signals signals; /* one a process, as long as it lives */
    struct kernel *kernel = loader_kernel(loader);
    signals = (struct console_signals){.loader = loader, .container_id = container_id};
    signals.stream = host_stream_from_fd(kernel->host, fd);
    if (!signals.stream)
        return -ENOMEM;
    signals.watch.notify = signals_notify;
    signals.watch.owner = &signals;
    wait_queue_init(&signals.ready);
    int err = task_create_kernel(kernel, "console", signals_main, &signals, &signals.task);
    return err ? err : task_start(signals.task);
}
