/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every terminal has: a session that it controls, and job control (credentials of the line are
 * the session's). Ptys and host terminals embed it first.
 *
 * A session holds its terminal and a terminal its session; the end of the session's leader breaks
 * the cycle (kernel/exit). A terminal controls a session only while both point at each other.
 */
#pragma once
#include "abi/termios.h"
#include "sentry/fs/file.h"
#include "sentry/kernel/pid.h"

struct tty {
    struct object object;
    struct session *session; /* counted; see above */
};
extern const struct field tty_base_fields[];

/* The session that TTY controls now, lent, or NULL. */
struct session *tty_session(const struct tty *tty);
bool tty_is_controlling(const struct tty *tty, const struct task *task);
/* At open without O_NOCTTY: a session leader without a terminal gets this one. */
void tty_maybe_control(struct task *task, struct tty *tty);
/* Job control ioctls: TIOCSCTTY TIOCNOTTY TIOCGPGRP TIOCSPGRP TIOCGSID. -ENOIOCTLCMD (-515): not
 * one of them. */
#define TTY_NOT_MINE (-515)
MUST_CHECK SLEEPS i64 tty_job_ioctl(struct task *task, struct tty *tty, u32 request, u64 arg);
/*
 * A background task reads (LINUX_SIGTTIN) or changes or, with TOSTOP, writes (LINUX_SIGTTOU): 0 go
 * on, -EIO, or -ERESTARTSYS after the signal was sent to its process group.
 */
MUST_CHECK int tty_check_background(struct task *task, struct tty *tty, i32 signo);
/* A signal of the terminal (INTR, QUIT, SUSP, WINCH) for the foreground process group. */
void tty_signal_foreground(struct tty *tty, i32 signo);
/* The line is gone: HUP and CONT for the session's leader and foreground. */
void tty_hang_up(struct tty *tty);
/* The terminal behind FILE, lent, or NULL. */
struct tty *tty_of_file(const struct file *file);
/* "tty", "pts/3": for ps; what /proc/PID/stat's tty_nr says in *DEVICE. */
void tty_name(const struct tty *tty, char *out, size_t size, u32 *device);
