/* SPDX-License-Identifier: Apache-2.0 */
/* The top of /proc: proc(5)'s files about the system, and the processes by number. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/fs/mount.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/control_group.h"

#define HZ 100u
#define KIB(frames) ((unsigned long long)(frames) << (PAGE_SHIFT - 10))

static u32 cpu_count(const struct kernel *kernel)
{
    return sched_cpu_count(kernel->sched);
}

SLEEPS static int show_uptime(struct proc_ask *ask, struct buf *out)
{
    struct kernel *kernel = ask->asker->kernel;
    u64 up = kernel_monotonic_ns(kernel) - kernel->boot_monotonic_ns;
    return buf_printf(out, "%llu.%02llu %llu.%02llu\n", (unsigned long long)(up / NS_PER_S),
                      (unsigned long long)(up / (10 * NS_PER_MS) % 100), 0ull, 0ull);
}

SLEEPS static int show_loadavg(struct proc_ask *ask, struct buf *out)
{
    struct kernel *kernel = ask->asker->kernel;
    u32 running = 0, all = 0;
    struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link) {
        if (task->is_kernel)
            continue;
        all++;
        running += task->fiber.state != FIBER_BLOCKED;
    }
    return buf_printf(out, "0.00 0.00 0.00 %u/%u %u\n", running, all, kernel->root_pid_ns->last_nr);
}

SLEEPS static int show_version(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "Linux version %s #1 SMP Sun Jan 10 15:06:54 PST 2016\n",
                      ask->asker->kernel->config.release);
}

SLEEPS static int show_cmdline(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "BOOT_IMAGE=/vmlinuz-%s quiet\n", ask->asker->kernel->config.release);
}

SLEEPS static int show_meminfo(struct proc_ask *ask, struct buf *out)
{
    const struct memory *memory = ask->asker->kernel->memory;
    u64 used = 0;
    for (int i = 0; i < FRAME_USE_COUNT; i++)
        used += memory->used[i];
    u64 total = memory->frames_max;
    u64 cached = memory->used[FRAME_CACHE] + memory->used[FRAME_TMPFS];
    u64 available = MIN(total, total - used + memory->used[FRAME_CACHE]);
    return buf_printf(out,
                      "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu "
                      "kB\nBuffers:               0 kB\n"
                      "Cached:         %8llu kB\nSwapCached:            0 kB\nActive:         "
                      "%8llu kB\nInactive:       %8llu kB\n"
                      "Active(anon):   %8llu kB\nInactive(anon):        0 kB\nActive(file):        "
                      "  0 kB\nInactive(file): %8llu kB\n"
                      "Unevictable:           0 kB\nMlocked:               0 kB\nSwapTotal:        "
                      "     0 kB\nSwapFree:              0 kB\n"
                      "Dirty:                 0 kB\nWriteback:             0 kB\nAnonPages:      "
                      "%8llu kB\nMapped:         %8llu kB\n"
                      "Shmem:          %8llu kB\n",
                      KIB(total), KIB(total - used), KIB(available), KIB(cached),
                      KIB(memory->used[FRAME_ANON]), KIB(memory->used[FRAME_CACHE]),
                      KIB(memory->used[FRAME_ANON]), KIB(memory->used[FRAME_CACHE]),
                      KIB(memory->used[FRAME_ANON]), KIB(memory->used[FRAME_CACHE]),
                      KIB(memory->used[FRAME_TMPFS]));
}

SLEEPS static int show_cpuinfo(struct proc_ask *ask, struct buf *out)
{
    int err = 0;
    for (u32 i = 0; i < cpu_count(ask->asker->kernel) && !err; i++)
        err = buf_printf(
            out,
            "processor\t: %u\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel "
            "name\t: unknown\n"
            "stepping\t: unknown\ncpu MHz\t\t: 2000.000\ncache size\t: 8192 KB\nphysical id\t: "
            "0\nsiblings\t: %u\n"
            "core id\t\t: %u\ncpu cores\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: "
            "13\nwp\t\t: yes\n"
            "flags\t\t: fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm pni ssse3 cx16 sse4_1 "
            "sse4_2 popcnt xsave avx\n"
            "bogomips\t: 4000.00\nclflush size\t: 64\ncache_alignment\t: 64\n"
            "address sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n",
            i, cpu_count(ask->asker->kernel), i, cpu_count(ask->asker->kernel));
    return err;
}

SLEEPS static int show_stat(struct proc_ask *ask, struct buf *out)
{
    struct kernel *kernel = ask->asker->kernel;
    u64 user = 0, system = 0;
    u32 running = 0;
    struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link) {
        u64 task_user, task_system;
        task_times(task, &task_user, &task_system);
        user += task_user;
        system += task_system;
        running += !task->is_kernel && task->fiber.state != FIBER_BLOCKED;
    }
    const u64 tick = NS_PER_S / HZ;
    u64 up = (kernel_monotonic_ns(kernel) - kernel->boot_monotonic_ns) / tick * cpu_count(kernel);
    u64 busy = (user + system) / tick;
    u64 idle = up > busy ? up - busy : 0;
    int err = buf_printf(out, "cpu  %llu 0 %llu %llu 0 0 0 0 0 0\n",
                         (unsigned long long)(user / tick), (unsigned long long)(system / tick),
                         (unsigned long long)idle);
    u32 count = cpu_count(kernel);
    for (u32 i = 0; i < count && !err; i++)
        err = buf_printf(out, "cpu%u %llu 0 %llu %llu 0 0 0 0 0 0\n", i,
                         (unsigned long long)(user / tick / count),
                         (unsigned long long)(system / tick / count),
                         (unsigned long long)(idle / count));
    u64 boot = (kernel_realtime_ns(kernel) -
                (kernel_monotonic_ns(kernel) - kernel->boot_monotonic_ns)) /
               NS_PER_S;
    if (!err)
        err = buf_printf(out,
                         "intr 0\nctxt 0\nbtime %llu\nprocesses %u\nprocs_running "
                         "%u\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
                         (unsigned long long)boot, kernel->root_pid_ns->last_nr, running);
    return err;
}

SLEEPS static int show_filesystems(struct proc_ask *ask, struct buf *out)
{
    static const char *const names[] = {"tmpfs",  "proc",   "cgroup",  "sysfs", "devtmpfs",
                                        "devpts", "mqueue", "overlay", "9p"};
    int err = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names) && !err; i++)
        err = buf_printf(out, "nodev\t%s\n", names[i]);
    return err;
}

SLEEPS static int show_devices(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 "
                                "/dev/ptmx\n136 pts\n\nBlock devices:\n");
}

SLEEPS static int show_cgroups(struct proc_ask *ask, struct buf *out)
{
    int err = buf_append_text(out, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
    for (u32 i = 0; i < CONTROL_COUNT && !err; i++) /* a group is seen as the only one */
        err = buf_printf(out, "%s\t%u\t1\t1\n", control_controller_name(i), i + 1);
    return err;
}

SLEEPS static int show_swaps(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
}

SLEEPS static int show_nothing(struct proc_ask *ask, struct buf *out)
{
    return 0;
}

/* ---- links ---------------------------------------------------------------------------------- */

SLEEPS static int link_self(struct proc_ask *ask, struct buf *out)
{
    u32 pid = ask->asker->group ? thread_group_pid_in(ask->asker->group, ask->asker->ns->pid_ns)
                                : 0;
    return pid ? buf_printf(out, "%u", pid) : -ENOENT;
}

SLEEPS static int link_thread_self(struct proc_ask *ask, struct buf *out)
{
    u32 pid = ask->asker->group ? thread_group_pid_in(ask->asker->group, ask->asker->ns->pid_ns)
                                : 0;
    return pid ? buf_printf(out, "%u/task/%u", pid, task_tid_in(ask->asker, ask->asker->ns->pid_ns))
               : -ENOENT;
}

SLEEPS static int link_mounts(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, "self/mounts");
}

SLEEPS static int link_net(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, "self/net");
}

/* ---- mounts of a process -------------------------------------------------------------------- */

static int put_mount_flags(struct buf *out, u32 flags)
{
    static const struct {
        u32 flag;
        const char *name;
    } names[] = {
        {2, ",nosuid"}, {4, ",nodev"}, {8, ",noexec"}, {1024, ",noatime"}, {2048, ",nodiratime"}};
    int err = buf_append_text(out, flags & 1 ? "ro" : "rw");
    for (size_t i = 0; i < ARRAY_COUNT(names) && !err; i++)
        if (flags & names[i].flag)
            err = buf_append_text(out, names[i].name);
    if (!err && !(flags & 1024))
        err = buf_append_text(out, ",relatime");
    return err;
}

/* Blanks and the like as octal, as in proc(5). */
static int put_escaped(struct buf *out, const char *text)
{
    int err = 0;
    for (; *text && !err; text++) {
        if (strchr(" \t\n\\", *text))
            err = buf_printf(out, "\\%03o", (unsigned)(u8)*text);
        else
            err = buf_append(out, text, 1);
    }
    return err;
}

/* Where MOUNT hangs, as TARGET sees it; -ENOENT if it is out of its sight. */
static int put_mount_point(struct buf *out, const struct mount *mount, const struct task *target)
{
    struct buf text;
    buf_init(&text, out->arena, 0);
    struct path path = {(struct mount *)(uintptr_t)mount, mount->root};
    int err = path_text(&path, &target->fs->root, &text);
    char *name = err ? NULL : buf_text(&text);
    if (!err && !name)
        err = -ENOMEM;
    if (!err && name[0] == '(')
        err = -ENOENT;
    if (!err)
        err = put_escaped(out, name);
    buf_fini(&text);
    return err;
}

static int put_super_options(struct buf *out, const struct mount *mount)
{
    int err = buf_append_text(out, mount->super->flags & 1 ? "ro" : "rw");
    if (!err && mount->super->options && mount->super->options[0])
        err = buf_printf(out, ",%s", mount->super->options);
    return err;
}

SLEEPS int proc_show_mounts(struct proc_ask *ask, struct buf *out)
{
    const struct mount_ns *ns = ask->target ? task_mount_ns(ask->target) : NULL;
    int err = 0;
    for (struct mount *mount = ns ? mount_next(ns, NULL) : NULL; mount && !err;
         mount = mount_next(ns, mount)) {
        size_t before = out->size;
        err = put_escaped(out, mount->source ? mount->source : "none");
        if (!err)
            err = buf_append_text(out, " ");
        int seen = err ? err : put_mount_point(out, mount, ask->target);
        if (seen == -ENOENT) {
            out->size = before;
            continue;
        }
        err = seen;
        if (!err)
            err = buf_printf(out, " %s ", mount->super->type_name);
        if (!err)
            err = put_mount_flags(out, mount->flags | (mount->super->flags & 1));
        if (!err && mount->super->options && mount->super->options[0])
            err = buf_printf(out, ",%s", mount->super->options);
        if (!err)
            err = buf_append_text(out, " 0 0\n");
    }
    return err;
}

static int put_root_in_super(struct buf *out, const struct mount *mount)
{
    if (mount->root == mount->super->root)
        return buf_append_text(out, "/");
    struct buf text;
    buf_init(&text, out->arena, 0);
    int err = buf_append_text(&text, "");
    /* A dentry's way up to its super's root. */
    const struct dentry *chain[64];
    u32 depth = 0;
    for (const struct dentry *d = mount->root; d && d->parent && depth < ARRAY_COUNT(chain);
         d = d->parent)
        chain[depth++] = d;
    while (depth > 0 && !err)
        err = buf_printf(&text, "/%s", chain[--depth]->name);
    char *name = err ? NULL : buf_text(&text);
    if (!err)
        err = name ? put_escaped(out, name) : -ENOMEM;
    buf_fini(&text);
    return err;
}

static int put_mountinfo(struct buf *out, const struct mount *mount, const struct task *target)
{
    u32 dev = mount->super->dev;
    int err = buf_printf(out, "%u %u %u:%u ", mount->id,
                         mount->parent ? mount->parent->id : mount->parent_id, dev >> 8 & 0xfff,
                         (dev & 0xff) | (dev >> 12 & 0xfff00));
    if (!err)
        err = put_root_in_super(out, mount);
    if (!err)
        err = buf_append_text(out, " ");
    if (!err)
        err = put_mount_point(out, mount, target);
    if (!err)
        err = buf_append_text(out, " ");
    if (!err)
        err = put_mount_flags(out, mount->flags);
    if (!err && mount->peer_group)
        err = buf_printf(out, " shared:%u", mount->peer_group);
    if (!err && mount->master_group)
        err = buf_printf(out, " master:%u", mount->master_group);
    if (!err)
        err = buf_printf(out, " - %s ", mount->super->type_name);
    if (!err)
        err = put_escaped(out, mount->source ? mount->source : "none");
    if (!err)
        err = buf_append_text(out, " ");
    if (!err)
        err = put_super_options(out, mount);
    return err ? err : buf_append_text(out, "\n");
}

SLEEPS int proc_show_mountinfo(struct proc_ask *ask, struct buf *out)
{
    const struct mount_ns *ns = ask->target ? task_mount_ns(ask->target) : NULL;
    for (struct mount *mount = ns ? mount_next(ns, NULL) : NULL; mount;
         mount = mount_next(ns, mount)) {
        size_t before = out->size;
        int err = put_mountinfo(out, mount, ask->target);
        if (err == -ENOENT)
            out->size = before;
        else if (err)
            return err;
    }
    return 0;
}

/* ---- the processes -------------------------------------------------------------------------- */

SLEEPS static const struct proc_node *find_pid(struct proc_ask *ask, const char *name, u64 *key)
{
    if (name[0] < '1' || name[0] > '9' || strlen(name) > 9)
        return NULL;
    char *end;
    *key = strtoul(name, &end, 10);
    /* A thread's number leads to its process too, though it is not listed (proc(5)). */
    return *end == 0 && task_find(ask->asker->ns->pid_ns, (u32)*key) ? &proc_pid_dir : NULL;
}

static bool next_pid(struct proc_ask *ask, u64 *key, char name[PROC_NAME_MAX], u8 *type)
{
    u32 nr;
    if (!pid_ns_next_group(ask->asker->ns->pid_ns, (u32)*key, &nr))
        return false;
    *key = nr;
    *type = LINUX_DT_DIR;
    snprintf(name, 24, "%u", nr);
    return true;
}

static const struct proc_node root_table[] = {
    {.name = "cgroups", .mode = PROC_FILE, .show = show_cgroups},
    {.name = "cmdline", .mode = PROC_FILE, .show = show_cmdline},
    {.name = "cpuinfo", .mode = PROC_FILE, .show = show_cpuinfo},
    {.name = "devices", .mode = PROC_FILE, .show = show_devices},
    {.name = "filesystems", .mode = PROC_FILE, .show = show_filesystems},
    {.name = "loadavg", .mode = PROC_FILE, .show = show_loadavg},
    {.name = "meminfo", .mode = PROC_FILE, .show = show_meminfo},
    {.name = "modules", .mode = PROC_FILE, .show = show_nothing},
    {.name = "mounts", .mode = PROC_LINK, .link = link_mounts},
    {.name = "net", .mode = PROC_LINK, .link = link_net},
    {.name = "partitions", .mode = PROC_FILE, .show = show_nothing},
    {.name = "self", .mode = PROC_LINK, .link = link_self},
    {.name = "stat", .mode = PROC_FILE, .show = show_stat},
    {.name = "swaps", .mode = PROC_FILE, .show = show_swaps},
    {.name = "sys", .mode = PROC_DIR, .table = proc_sys_table},
    {.name = "thread-self", .mode = PROC_LINK, .link = link_thread_self},
    {.name = "uptime", .mode = PROC_FILE, .show = show_uptime},
    {.name = "version", .mode = PROC_FILE, .show = show_version},
    PROC_END,
};
const struct proc_node proc_root = {
    .name = "proc", .mode = PROC_DIR, .table = root_table, .find = find_pid, .next = next_pid};
