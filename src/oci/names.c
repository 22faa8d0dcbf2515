/* SPDX-License-Identifier: Apache-2.0 */
/* Names of capabilities (capabilities(7)) and limits (getrlimit(2)). */
#include "oci/oci.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const capability_names[] = {"CAP_CHOWN",
                                               "CAP_DAC_OVERRIDE",
                                               "CAP_DAC_READ_SEARCH",
                                               "CAP_FOWNER",
                                               "CAP_FSETID",
                                               "CAP_KILL",
                                               "CAP_SETGID",
                                               "CAP_SETUID",
                                               "CAP_SETPCAP",
                                               "CAP_LINUX_IMMUTABLE",
                                               "CAP_NET_BIND_SERVICE",
                                               "CAP_NET_BROADCAST",
                                               "CAP_NET_ADMIN",
                                               "CAP_NET_RAW",
                                               "CAP_IPC_LOCK",
                                               "CAP_IPC_OWNER",
                                               "CAP_SYS_MODULE",
                                               "CAP_SYS_RAWIO",
                                               "CAP_SYS_CHROOT",
                                               "CAP_SYS_PTRACE",
                                               "CAP_SYS_PACCT",
                                               "CAP_SYS_ADMIN",
                                               "CAP_SYS_BOOT",
                                               "CAP_SYS_NICE",
                                               "CAP_SYS_RESOURCE",
                                               "CAP_SYS_TIME",
                                               "CAP_SYS_TTY_CONFIG",
                                               "CAP_MKNOD",
                                               "CAP_LEASE",
                                               "CAP_AUDIT_WRITE",
                                               "CAP_AUDIT_CONTROL",
                                               "CAP_SETFCAP",
                                               "CAP_MAC_OVERRIDE",
                                               "CAP_MAC_ADMIN",
                                               "CAP_SYSLOG",
                                               "CAP_WAKE_ALARM",
                                               "CAP_BLOCK_SUSPEND",
                                               "CAP_AUDIT_READ",
                                               "CAP_PERFMON",
                                               "CAP_BPF",
                                               "CAP_CHECKPOINT_RESTORE"};

static const char *const rlimit_names[] = {
    "RLIMIT_CPU",      "RLIMIT_FSIZE", "RLIMIT_DATA",   "RLIMIT_STACK",
    "RLIMIT_CORE",     "RLIMIT_RSS",   "RLIMIT_NPROC",  "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",  "RLIMIT_AS",    "RLIMIT_LOCKS",  "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE", "RLIMIT_NICE",  "RLIMIT_RTPRIO", "RLIMIT_RTTIME"};

int oci_capability_nr(const char *name)
{
    if (strncasecmp(name, "CAP_", 4) == 0)
        name += 4;
    for (size_t i = 0; i < ARRAY_COUNT(capability_names); i++)
        if (strcasecmp(capability_names[i] + 4, name) == 0)
            return (int)i;
    return -1;
}

const char *oci_capability_name(int nr)
{
    return nr >= 0 && (size_t)nr < ARRAY_COUNT(capability_names) ? capability_names[nr] : NULL;
}

int oci_capability_mask(char *const *names, size_t count, u64 *mask, struct error *err)
{
    u64 bits = 0;
    for (size_t i = 0; i < count; i++) {
        int nr = names[i] ? oci_capability_nr(names[i]) : -1;
        if (nr < 0)
            return error_set(err, EINVAL, "capability \"%s\" is not known",
                             names[i] ? names[i] : "");
        bits |= (u64)1 << nr;
    }
    *mask = bits;
    return 0;
}

int oci_rlimit_nr(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(rlimit_names); i++)
        if (strcmp(rlimit_names[i], name) == 0)
            return (int)i;
    return -1;
}
