/* SPDX-License-Identifier: Apache-2.0 */
/* Names and numbers of signals as `kill` takes them: TERM, sigterm, 15; not 0 and no real-time
 * signal. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {
    [1] = "HUP",   [2] = "INT",     [3] = "QUIT",  [4] = "ILL",     [5] = "TRAP",  [6] = "ABRT",
    [7] = "BUS",   [8] = "FPE",     [9] = "KILL",  [10] = "USR1",   [11] = "SEGV", [12] = "USR2",
    [13] = "PIPE", [14] = "ALRM",   [15] = "TERM", [16] = "STKFLT", [17] = "CHLD", [18] = "CONT",
    [19] = "STOP", [20] = "TSTP",   [21] = "TTIN", [22] = "TTOU",   [23] = "URG",  [24] = "XCPU",
    [25] = "XFSZ", [26] = "VTALRM", [27] = "PROF", [28] = "WINCH",  [29] = "IO",   [30] = "PWR",
    [31] = "SYS",
};

int signal_parse(const char *text)
{
    i64 number;
    if (int_parse(text, &number))
        return number >= 1 && number <= 31 ? (int)number : -1;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    static const struct {
        const char *name;
        int signo;
    } others[] = {{"IOT", 6}, {"CLD", 17}, {"POLL", 29}, {"UNUSED", 31}};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (strcasecmp(text, others[i].name) == 0)
            return others[i].signo;
    for (int signo = 1; signo < (int)ARRAY_COUNT(names); signo++)
        if (strcasecmp(text, names[signo]) == 0)
            return signo;
    return -1;
}
