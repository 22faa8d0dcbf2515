/* SPDX-License-Identifier: Apache-2.0 */
/* The strict reader of `picket boot` and `picket gofer` command lines. */
#include "runtime/boot_flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX ((size_t)64 << 20)

static bool number_parse(const char *text, u64 max, u64 *out, const char **end)
{
    if (*text < '0' || *text > '9')
        return false;
    char *stop;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0 && *out <= max;
}

bool boot_fds_parse(const char *text, struct boot_fds *out)
{
    out->count = 0;
    while (*text) {
        u64 fd;
        if (out->count == BOOT_FDS_MAX || !number_parse(text, INT32_MAX, &fd, &text))
            return false;
        out->fds[out->count++] = (int)fd;
        if (*text && *text++ != ',')
            return false;
    }
    return true;
}

static bool flag_set(const struct boot_flag *flag, const char *text)
{
    u64 number;
    const char *end;
    switch (flag->type) {
    case BOOT_TEXT:
        *(const char **)flag->value = text;
        return true;
    case BOOT_FD:
        if (!number_parse(text, INT32_MAX, &number, &end) || *end)
            return false;
        *(int *)flag->value = (int)number;
        return true;
    case BOOT_FDS:
        return boot_fds_parse(text, flag->value);
    case BOOT_U64:
        if (!number_parse(text, UINT64_MAX, &number, &end) || *end)
            return false;
        *(u64 *)flag->value = number;
        return true;
    case BOOT_BOOL:
        *(bool *)flag->value = strcmp(text, "true") == 0;
        return *(bool *)flag->value || strcmp(text, "false") == 0;
    }
    return false;
}

int boot_flags_parse(const struct boot_flag *flags, u32 count, int argc, char **argv,
                     const char **id, struct error *err)
{
    for (int i = 1; i + 1 < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        u32 at = 0;
        if (strncmp(argv[i], "--", 2) != 0 || !equals)
            return error_set(err, EINVAL, "inner flag %s is not --name=value", argv[i]);
        size_t size = (size_t)(equals - argv[i] - 2);
        while (at < count &&
               (strlen(flags[at].name) != size || strncmp(flags[at].name, argv[i] + 2, size) != 0))
            at++;
        if (at == count || !flag_set(&flags[at], equals + 1))
            return error_set(err, EINVAL, "inner flag %s is unknown or has a bad value", argv[i]);
    }
    if (argc < 2)
        return error_set(err, EINVAL, "inner command without a container id");
    *id = argv[argc - 1];
    return 0;
}

int boot_read_all(int fd, char **out, size_t *size, struct error *err)
{
    struct stat stat;
    if (fstat(fd, &stat) < 0 || stat.st_size < 0 || (size_t)stat.st_size > READ_MAX) {
        close(fd);
        return error_set(err, EFBIG, "cannot read what the runtime passed: too large");
    }
    char *text = malloc((size_t)stat.st_size + 1);
    size_t at = 0;
    while (text && at < (size_t)stat.st_size) {
        ssize_t got = pread(fd, text + at, (size_t)stat.st_size - at, (off_t)at);
        if (got <= 0)
            break;
        at += (size_t)got;
    }
    close(fd);
    if (!text || at < (size_t)stat.st_size) {
        free(text);
        return error_set(err, EIO, "cannot read what the runtime passed");
    }
    text[at] = 0;
    *out = text;
    *size = at;
    return 0;
}
