/* SPDX-License-Identifier: Apache-2.0 */
/* What an argument of a system call is, for strace, fuzzing grammar and documentation. */
#pragma once

/* KIND(name): ARG_name. */
#define ARG_KINDS(KIND)                                                                           \
    KIND(NONE)                                                                                    \
    KIND(INT)                                                                                     \
    KIND(UINT)                                                                                    \
    KIND(LONG)                                                                                    \
    KIND(HEX) KIND(OCT) KIND(FD) KIND(DIRFD) KIND(PATH) KIND(STR) KIND(PTR) KIND(BUF_IN)          \
        KIND(BUF_OUT) KIND(SIZE) KIND(OFFSET) KIND(IOV_IN) KIND(IOV_OUT) KIND(FLAGS)              \
            KIND(OPEN_FLAGS) KIND(MODE) KIND(PROT) KIND(MAP_FLAGS) KIND(CLONE_FLAGS) KIND(SIGNAL) \
                KIND(SIGSET) KIND(PID) KIND(UID) KIND(GID) KIND(TIMESPEC) KIND(TIMEVAL)           \
                    KIND(STRINGS) KIND(SOCKADDR) KIND(STATUS) KIND(FDS) KIND(WHENCE) KIND(CLOCK)  \
                        KIND(IOCTL) KIND(FCNTL) KIND(FUTEX_OP) KIND(STAT) KIND(POLLFDS)           \
                            KIND(EPOLL) KIND(RESOURCE) KIND(MSGHDR)

#define ARG_KIND_ENUM(name) ARG_##name,
enum arg_kind { ARG_KINDS(ARG_KIND_ENUM) ARG_KIND_COUNT };
#undef ARG_KIND_ENUM
