/* SPDX-License-Identifier: Apache-2.0 */
/* /sys: one socket, one core a cpu, one memory node; the rest are empty directories that programs
 * look for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/fs/proc/proc.h"

SLEEPS static int show_cpu_range(struct proc_ask *ask, struct buf *out)
{
    u32 count = sched_cpu_count(ask->asker->kernel->sched);
    return count > 1 ? buf_printf(out, "0-%u\n", count - 1) : buf_append_text(out, "0\n");
}

static const struct proc_node cpu_table[] = {
    {.name = "online", .mode = PROC_FILE, .show = show_cpu_range},
    {.name = "possible", .mode = PROC_FILE, .show = show_cpu_range},
    {.name = "present", .mode = PROC_FILE, .show = show_cpu_range},
    PROC_END,
};

SLEEPS static int show_cpu_number(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "%u\n", (u32)ask->key);
}

SLEEPS static int show_package(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, "0\n");
}

static const struct proc_node topology_table[] = {
    {.name = "core_cpus_list", .mode = PROC_FILE, .show = show_cpu_number},
    {.name = "core_id", .mode = PROC_FILE, .show = show_cpu_number},
    {.name = "core_siblings_list", .mode = PROC_FILE, .show = show_cpu_range},
    {.name = "package_cpus_list", .mode = PROC_FILE, .show = show_cpu_range},
    {.name = "physical_package_id", .mode = PROC_FILE, .show = show_package},
    {.name = "thread_siblings_list", .mode = PROC_FILE, .show = show_cpu_number},
    PROC_END,
};
static const struct proc_node one_cpu_table[] = {
    {.name = "topology", .mode = PROC_DIR, .table = topology_table}, PROC_END};
const struct proc_node sys_cpu_dir = {.name = "*cpu", .mode = PROC_DIR, .table = one_cpu_table};

SLEEPS static const struct proc_node *find_cpu(struct proc_ask *ask, const char *name, u64 *key)
{
    char *end;
    if (strncmp(name, "cpu", 3) != 0 || name[3] < '0' || name[3] > '9' ||
        (name[3] == '0' && name[4]))
        return NULL;
    *key = strtoul(name + 3, &end, 10);
    return *end == 0 && *key < sched_cpu_count(ask->asker->kernel->sched) ? &sys_cpu_dir : NULL;
}

static bool next_cpu(struct proc_ask *ask, u64 *key, char name[PROC_NAME_MAX], u8 *type)
{
    if (*key >= sched_cpu_count(ask->asker->kernel->sched))
        return false;
    snprintf(name, 24, "cpu%u", (u32)*key);
    *type = LINUX_DT_DIR;
    return true;
}

static const struct proc_node system_table[] = {
    {.name = "cpu", .mode = PROC_DIR, .table = cpu_table, .find = find_cpu, .next = next_cpu},
    PROC_END};
static const struct proc_node devices_table[] = {
    {.name = "system", .mode = PROC_DIR, .table = system_table}, PROC_END};
static const struct proc_node empty_table[] = {PROC_END};
static const struct proc_node class_table[] = {
    {.name = "net", .mode = PROC_DIR, .table = empty_table},
    {.name = "power_supply", .mode = PROC_DIR, .table = empty_table},
    PROC_END,
};
static const struct proc_node dev_table[] = {
    {.name = "block", .mode = PROC_DIR, .table = empty_table},
    {.name = "char", .mode = PROC_DIR, .table = empty_table},
    PROC_END,
};
static const struct proc_node fs_table[] = {
    {.name = "cgroup", .mode = PROC_DIR, .table = empty_table}, PROC_END};
static const struct proc_node root_table[] = {
    {.name = "block", .mode = PROC_DIR, .table = empty_table},
    {.name = "bus", .mode = PROC_DIR, .table = empty_table},
    {.name = "class", .mode = PROC_DIR, .table = class_table},
    {.name = "dev", .mode = PROC_DIR, .table = dev_table},
    {.name = "devices", .mode = PROC_DIR, .table = devices_table},
    {.name = "firmware", .mode = PROC_DIR, .table = empty_table},
    {.name = "fs", .mode = PROC_DIR, .table = fs_table},
    {.name = "kernel", .mode = PROC_DIR, .table = empty_table},
    {.name = "module", .mode = PROC_DIR, .table = empty_table},
    {.name = "power", .mode = PROC_DIR, .table = empty_table},
    PROC_END,
};
const struct proc_node sys_root = {.name = "sys", .mode = PROC_DIR, .table = root_table};
