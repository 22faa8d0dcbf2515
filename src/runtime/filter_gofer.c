/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host calls of a gofer: files below descriptors it holds, and messages on sockets it was given.
 * New sockets only where --host-uds lets it connect.
 */
#include "runtime/filter.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466

static const struct filter_rule gofer_rules[] = {
    ALLOW_IF(fcntl, 1, F_DUPFD_CLOEXEC),
    ALLOW_IF(fcntl, 1, F_GETFD),
    ALLOW_IF(fcntl, 1, F_GETFL),
    ALLOW_IF(fcntl, 1, F_SETFD),
    ALLOW_IF(fcntl, 1, F_SETFL),
    ALLOW(fchmod),
    ALLOW(fchmodat),
    ALLOW(fchmodat2),
    ALLOW(fchown),
    ALLOW(fchownat),
    ALLOW(fgetxattr),
    ALLOW(flistxattr),
    ALLOW(fremovexattr),
    ALLOW(fsetxattr),
    ALLOW(fsync),
    ALLOW(ftruncate),
    ALLOW(getdents64),
    ALLOW(getxattrat),
    ALLOW(linkat),
    ALLOW(listxattrat),
    ALLOW(mkdirat),
    ALLOW(mknodat),
    ALLOW(openat),
    ALLOW(readlinkat),
    ALLOW(removexattrat),
    ALLOW(renameat), /* what the C library makes of renameat2 without flags */
    ALLOW(renameat2),
    ALLOW(setxattrat),
    ALLOW(symlinkat),
    ALLOW(unlinkat),
    ALLOW(utimensat),
};

struct filter_list filter_gofer(void)
{
    return FILTER_LIST(gofer_rules);
}

static const struct filter_rule socket_rules[] = {
    ALLOW_IF(socket, 0, AF_UNIX),
    ALLOW(connect),
};

struct filter_list filter_gofer_sockets(void)
{
    return FILTER_LIST(socket_rules);
}
