/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the host, told by pid and start time, waited for by pidfd and never by polling. */
#pragma once
#include "base/base.h"
#include "base/error.h"

#include <sys/types.h>

/* Ticks since boot at which PID started; 0 when there is no such process, or only its zombie. */
i64 process_start(pid_t pid);
/* Is PID there, alive, and (START not 0) the same that had this start time? */
bool process_is_alive(pid_t pid, i64 start);
/*
 * A descriptor of that very process, or -1 when it is gone. It becomes readable when the process
 * has ended.
 */
int process_open(pid_t pid, i64 start);
/* Send SIGNO to the process behind PIDFD; 0 or -errno. */
int process_signal(int pidfd, int signo);
/* Wait until it has ended, at most TIMEOUT_MS (-1: for ever). True: it has. */
bool process_wait_gone(int pidfd, int timeout_ms);
/* A child's wait status as of waitpid; false when it is not our child or has not ended. */
bool process_reap(int pidfd, int *wait_status);
/* A decimal number into a file without newline; the file appears as a whole. */
MUST_CHECK int pid_file_write(const char *path, pid_t pid, struct error *err);
