/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals are blocked and read from a signalfd, so there is no handler and no race with the wait.
 * Those that tell of faults of this very process are left alone, as are SIGCHLD and SIGPIPE.
 */
#include "runtime/forward.h"

#include "runtime/control.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int forwarded[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGUSR1, SIGUSR2,   SIGALRM, SIGTERM,
                                SIGCONT, SIGTSTP, SIGWINCH, SIGIO,   SIGVTALRM, SIGPROF, SIGPWR};

static void set_fill(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_COUNT(forwarded); i++)
        sigaddset(set, forwarded[i]);
}

static void forward_ready(void *arg)
{
    struct forwarder *forwarder = arg;
    struct signalfd_siginfo info;
    if (read(forwarder->fd, &info, sizeof info) != sizeof info)
        return;
    /* Not running yet or not any more: nothing to tell. */
    struct error unused;
    (void)!control_signal(forwarder->record, (i32)info.ssi_signo, forwarder->pid,
                          forwarder->is_foreground ? CONTROL_FOREGROUND : CONTROL_PROCESS, 0,
                          &unused);
}

void forward_block(void)
{
    sigset_t set;
    set_fill(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

void forward_begin(struct forwarder *forwarder, const struct record *record, i32 pid,
                   bool is_foreground)
{
    sigset_t set;
    set_fill(&set);
    forward_block();
    *forwarder = (struct forwarder){.record = record, .pid = pid, .is_foreground = is_foreground};
    forwarder->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    forwarder->extra = (struct wait_extra){
        .fd = forwarder->fd, .ready = forward_ready, .arg = forwarder};
}

/* What came and was not passed on is dropped: the command is about to end by itself. */
void forward_end(struct forwarder *forwarder)
{
    if (forwarder->fd >= 0)
        close(forwarder->fd);
    forwarder->fd = -1;
    forwarder->extra.fd = -1;
}

void signals_ignore_pipe(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
}

void signals_die_of_pipe(void)
{
    (void)signal(SIGPIPE, SIG_DFL);
    (void)raise(SIGPIPE);
}
