/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals: a new one whose master goes to --console-socket, and the caller's own, left as it was
 * found. */
#pragma once
#include "base/base.h"
#include "base/error.h"

/*
 * A new terminal: its master is sent to the unix socket SOCKET_PATH, *REPLICA is the caller's. SIZE
 * 0: as it comes.
 */
MUST_CHECK int console_create(const char *socket_path, u16 rows, u16 columns, int *replica,
                              struct error *err);

/*
 * Descriptors 0, 1 and 2 of the caller as a sandbox may have them: a terminal is opened anew,
 * without waiting and shared with nobody; the rest are the caller's own.
 */
void stdio_borrow(int fds[3], bool is_ours[3]);
void stdio_return(int fds[3], bool is_ours[3]);

/*
 * Lead the session of terminal CONSOLE; before privileges are given up and before threads. The
 * descriptor of its signals (they are blocked from now on), or -1 when the terminal will not have
 * it.
 */
int console_lead_session(int console);

/* Settings of the terminal behind FD, to be put back on every way out. */
struct terminal;
/* NULL when FD is no terminal. */
struct terminal *terminal_save(int fd);
/* Restores and frees; NULL is fine. From a signal handler use terminal_restore_now. */
void terminal_restore(struct terminal *terminal);
/* Also done at exit() and when a fatal signal ends the process, from terminal_save on. */
void terminal_restore_now(void);
