/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as scenarios write them. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "sim/program.h"

static const struct {
    const char *name;
    i64 value;
} constants[] = {
#define C(name) {#name, name},
#include "sim/constants.def"
#undef C
};

static const struct {
    const char *name;
    i64 factor;
} units[] = {{"K", 1 << 10},    {"M", 1 << 20},    {"G", 1 << 30}, {"ns", 1},
             {"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_S}};

int sim_errno(const char *name)
{
    for (int code = 1; code < 134; code++)
        if (strcmp(errno_name(code), name) == 0)
            return code;
    return 0;
}

static bool named(const char *text, size_t size, i64 *out)
{
    char name[64];
    if (size >= sizeof name)
        return false;
    memcpy(name, text, size);
    name[size] = 0;
    for (size_t i = 0; i < ARRAY_COUNT(constants); i++) {
        if (strcmp(constants[i].name, name) == 0) {
            *out = constants[i].value;
            return true;
        }
    }
    int code = name[0] == 'E' ? sim_errno(name) : 0;
    *out = -code;
    return code != 0;
}

static bool plain(const char *text, size_t size, i64 *out)
{
    char number[64];
    if (size == 0 || size >= sizeof number || !(isdigit((u8)text[0]) || text[0] == '-'))
        return false;
    memcpy(number, text, size);
    number[size] = 0;
    char *end;
    errno = 0;
    *out = number[0] == '-' ? strtoll(number, &end, 0) : (i64)strtoull(number, &end, 0);
    if (errno || end == number)
        return false;
    if (*end == 0)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(units); i++)
        if (strcmp(units[i].name, end) == 0)
            return !__builtin_mul_overflow(*out, units[i].factor, out);
    return false;
}

bool sim_number(const char *text, size_t size, i64 *out)
{
    *out = 0;
    const char *end = text + size;
    while (text < end) {
        const char *bar = memchr(text, '|', (size_t)(end - text));
        size_t step = bar ? (size_t)(bar - text) : (size_t)(end - text);
        i64 one;
        if (!plain(text, step, &one) && !named(text, step, &one))
            return false;
        *out |= one;
        if (!bar)
            return true;
        text = bar + 1;
    }
    return false;
}
