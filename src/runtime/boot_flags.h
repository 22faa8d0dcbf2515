/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags of the inner commands: only "--name=value", then one word, the container's id. They come
 * from our own runtime, so any mistake ends the process.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"

enum boot_flag_type { BOOT_TEXT, BOOT_FD, BOOT_FDS, BOOT_U64, BOOT_BOOL };

#define BOOT_FDS_MAX 256u
struct boot_fds {
    int fds[BOOT_FDS_MAX];
    u32 count;
};

struct boot_flag {
    const char *name;
    enum boot_flag_type type;
    void *value; /* const char *, int (-1), struct boot_fds, u64, bool */
};

/* ARGV[1..]; *ID is lent from argv. */
MUST_CHECK int boot_flags_parse(const struct boot_flag *flags, u32 count, int argc, char **argv,
                                const char **id, struct error *err);
/* "3,4,5" */
MUST_CHECK bool boot_fds_parse(const char *text, struct boot_fds *out);
/* The whole content of FD (closed), with a terminator behind it. */
MUST_CHECK int boot_read_all(int fd, char **out, size_t *size, struct error *err);
