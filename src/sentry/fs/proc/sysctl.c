/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/sys and /proc/PID/net: fixed texts but for what a row says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/fs/proc/proc.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/cred.h"

#define RW_FILE (LINUX_S_IFREG | 0644)

#define FIXED(function, text)                                         \
    SLEEPS static int function(struct proc_ask *ask, struct buf *out) \
    {                                                                 \
        return buf_append_text(out, text);                            \
    }

FIXED(show_ostype, "Linux\n")
FIXED(show_uts_version, "#1 SMP Sun Jan 10 15:06:54 PST 2016\n")
FIXED(show_pid_max, "65536\n")
FIXED(show_cap_last, "40\n")
FIXED(show_overflow, "65534\n")
FIXED(show_ngroups, "65536\n")
FIXED(show_threads_max, "65536\n")
FIXED(show_zero, "0\n")
FIXED(show_one, "1\n")
FIXED(show_two, "2\n")
FIXED(show_msgmax, "8192\n")
FIXED(show_msgmnb, "16384\n")
FIXED(show_msgmni, "32000\n")
FIXED(show_sem, "32000\t1024000000\t500\t32000\n")
FIXED(show_shmall, "18446744073692774399\n")
FIXED(show_shmmni, "4096\n")
FIXED(show_core_pattern, "core\n")
FIXED(show_entropy, "256\n")
FIXED(show_file_max, "9223372036854775807\n")
FIXED(show_file_nr, "0\t0\t9223372036854775807\n")
FIXED(show_nr_open, "1048576\n")
FIXED(show_max_map_count, "65530\n")
FIXED(show_mmap_min, "65536\n")
FIXED(show_swappiness, "60\n")
FIXED(show_inotify, "8192\n")
FIXED(show_somaxconn, "4096\n")
FIXED(show_mem_default, "212992\n")
FIXED(show_port_range, "32768\t60999\n")

SLEEPS static int show_osrelease(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "%s\n", ask->asker->kernel->config.release);
}

SLEEPS static int show_hostname(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "%s\n", ask->asker->ns->uts_ns->hostname);
}

SLEEPS static i64 write_hostname(struct proc_ask *ask, char *text, size_t size)
{
    if (!task_has_capability(ask->asker, CAP_SYS_ADMIN))
        return -EPERM;
    text[strcspn(text, "\n")] = 0;
    if (strlen(text) >= UTS_NAME_SIZE)
        return -EINVAL;
    uts_ns_set_hostname(ask->asker->ns->uts_ns, text);
    return (i64)size;
}

SLEEPS static int show_domainname(struct proc_ask *ask, struct buf *out)
{
    const char *name = ask->asker->ns->uts_ns->domainname;
    return buf_printf(out, "%s\n", name[0] ? name : "(none)");
}

SLEEPS static int show_pipe_max(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "%llu\n", (unsigned long long)ask->asker->kernel->vfs->pipe_size_max);
}

SLEEPS static int show_aslr(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, ask->asker->kernel->config.has_aslr ? "2\n" : "0\n");
}

static int put_uuid(struct buf *out, u8 bytes[16])
{
    bytes[6] = (u8)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (u8)((bytes[8] & 0x3f) | 0x80);
    int err = 0;
    for (int i = 0; i < 16 && !err; i++)
        err = buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    return err ? err : buf_append_text(out, "\n");
}

SLEEPS static int show_uuid(struct proc_ask *ask, struct buf *out)
{
    u8 bytes[16];
    kernel_entropy(ask->asker->kernel, bytes, sizeof bytes);
    return put_uuid(out, bytes);
}

SLEEPS static int show_boot_id(struct proc_ask *ask, struct buf *out)
{
    u8 bytes[16];
    u64 seed = ask->asker->kernel->config.seed;
    for (size_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (u8)(seed >> 56);
    }
    return put_uuid(out, bytes);
}

/* Accepted as root and without effect: programs set them at start. */
SLEEPS static i64 write_ignored(struct proc_ask *ask, char *text, size_t size)
{
    return (i64)size;
}

static const struct proc_node random_table[] = {
    {.name = "boot_id", .mode = PROC_FILE, .show = show_boot_id},
    {.name = "entropy_avail", .mode = PROC_FILE, .show = show_entropy},
    {.name = "uuid", .mode = PROC_FILE, .show = show_uuid},
    PROC_END,
};
static const struct proc_node yama_table[] = {
    {.name = "ptrace_scope", .mode = RW_FILE, .show = show_one}, PROC_END};
static const struct proc_node kernel_table[] = {
    {.name = "cap_last_cap", .mode = PROC_FILE, .show = show_cap_last},
    {.name = "core_pattern", .mode = PROC_FILE, .show = show_core_pattern},
    {.name = "domainname", .mode = RW_FILE, .show = show_domainname},
    {.name = "hostname", .mode = RW_FILE, .show = show_hostname, .write = write_hostname},
    {.name = "msgmax", .mode = PROC_FILE, .show = show_msgmax},
    {.name = "msgmnb", .mode = PROC_FILE, .show = show_msgmnb},
    {.name = "msgmni", .mode = PROC_FILE, .show = show_msgmni},
    {.name = "ngroups_max", .mode = PROC_FILE, .show = show_ngroups},
    {.name = "osrelease", .mode = PROC_FILE, .show = show_osrelease},
    {.name = "ostype", .mode = PROC_FILE, .show = show_ostype},
    {.name = "overflowgid", .mode = PROC_FILE, .show = show_overflow},
    {.name = "overflowuid", .mode = PROC_FILE, .show = show_overflow},
    {.name = "pid_max", .mode = PROC_FILE, .show = show_pid_max},
    {.name = "random", .mode = PROC_DIR, .table = random_table},
    {.name = "randomize_va_space", .mode = PROC_FILE, .show = show_aslr},
    {.name = "sem", .mode = PROC_FILE, .show = show_sem},
    {.name = "shmall", .mode = PROC_FILE, .show = show_shmall},
    {.name = "shmmax", .mode = PROC_FILE, .show = show_shmall},
    {.name = "shmmni", .mode = PROC_FILE, .show = show_shmmni},
    {.name = "threads-max", .mode = PROC_FILE, .show = show_threads_max},
    {.name = "version", .mode = PROC_FILE, .show = show_uts_version},
    {.name = "yama", .mode = PROC_DIR, .table = yama_table},
    PROC_END,
};
static const struct proc_node inotify_table[] = {
    {.name = "max_queued_events", .mode = PROC_FILE, .show = show_inotify},
    {.name = "max_user_instances", .mode = PROC_FILE, .show = show_inotify},
    {.name = "max_user_watches", .mode = PROC_FILE, .show = show_inotify},
    PROC_END,
};
static const struct proc_node fs_table[] = {
    {.name = "file-max", .mode = PROC_FILE, .show = show_file_max},
    {.name = "file-nr", .mode = PROC_FILE, .show = show_file_nr},
    {.name = "inotify", .mode = PROC_DIR, .table = inotify_table},
    {.name = "nr_open", .mode = PROC_FILE, .show = show_nr_open},
    {.name = "pipe-max-size", .mode = PROC_FILE, .show = show_pipe_max},
    {.name = "protected_hardlinks", .mode = PROC_FILE, .show = show_zero},
    {.name = "protected_symlinks", .mode = PROC_FILE, .show = show_zero},
    PROC_END,
};
static const struct proc_node vm_table[] = {
    {.name = "max_map_count", .mode = PROC_FILE, .show = show_max_map_count},
    {.name = "mmap_min_addr", .mode = PROC_FILE, .show = show_mmap_min},
    {.name = "overcommit_memory", .mode = RW_FILE, .show = show_zero, .write = write_ignored},
    {.name = "swappiness", .mode = RW_FILE, .show = show_swappiness, .write = write_ignored},
    PROC_END,
};
static const struct proc_node core_table[] = {
    {.name = "rmem_default", .mode = PROC_FILE, .show = show_mem_default},
    {.name = "rmem_max", .mode = PROC_FILE, .show = show_mem_default},
    {.name = "somaxconn", .mode = PROC_FILE, .show = show_somaxconn},
    {.name = "wmem_default", .mode = PROC_FILE, .show = show_mem_default},
    {.name = "wmem_max", .mode = PROC_FILE, .show = show_mem_default},
    PROC_END,
};
static const struct proc_node ipv4_table[] = {
    {.name = "ip_forward", .mode = PROC_FILE, .show = show_zero},
    {.name = "ip_local_port_range", .mode = PROC_FILE, .show = show_port_range},
    {.name = "tcp_fin_timeout", .mode = PROC_FILE, .show = show_two},
    PROC_END,
};
static const struct proc_node net_sys_table[] = {
    {.name = "core", .mode = PROC_DIR, .table = core_table},
    {.name = "ipv4", .mode = PROC_DIR, .table = ipv4_table},
    PROC_END,
};
const struct proc_node proc_sys_table[] = {
    {.name = "fs", .mode = PROC_DIR, .table = fs_table},
    {.name = "kernel", .mode = PROC_DIR, .table = kernel_table},
    {.name = "net", .mode = PROC_DIR, .table = net_sys_table},
    {.name = "vm", .mode = PROC_DIR, .table = vm_table},
    PROC_END,
};

/* ---- /proc/PID/net: texts of a room above ---------------------------------------------------- */

SLEEPS static int show_net(struct proc_ask *ask, struct buf *out)
{
    const struct task *task = ask->target ? ask->target : ask->asker;
    const struct net_hooks *hooks = task->kernel->net_hooks;
    return hooks ? hooks->show(task, ask->inode->node->name, out) : 0;
}

#define NET_FILE(file)                                    \
    {                                                     \
        .name = file, .mode = PROC_FILE, .show = show_net \
    }

const struct proc_node proc_net_table[] = {
    NET_FILE("arp"),     NET_FILE("dev"),        NET_FILE("if_inet6"),
    NET_FILE("igmp"),    NET_FILE("ipv6_route"), NET_FILE("netlink"),
    NET_FILE("netstat"), NET_FILE("packet"),     NET_FILE("protocols"),
    NET_FILE("raw"),     NET_FILE("raw6"),       NET_FILE("route"),
    NET_FILE("snmp"),    NET_FILE("sockstat"),   NET_FILE("sockstat6"),
    NET_FILE("tcp"),     NET_FILE("tcp6"),       NET_FILE("udp"),
    NET_FILE("udp6"),    NET_FILE("unix"),       PROC_END,
};
