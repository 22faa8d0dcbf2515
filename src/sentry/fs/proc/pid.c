/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of processes and threads, and their smaller files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/process.h"
#include "sentry/fs/nsfs.h"
#include "sentry/fs/proc/look.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/cred.h"

/* ---- strings in the program's own memory ---------------------------------------------------- */

#define AREA_MAX ((u64)2 << 20)

SLEEPS static int put_area(struct proc_ask *ask, u64 start, u64 end, struct buf *out)
{
    return process_read_area(ask->target->mm, &ask->asker->fiber, start, end, AREA_MAX, out);
}

SLEEPS static int show_cmdline(struct proc_ask *ask, struct buf *out)
{
    const struct mm *mm = ask->target->mm;
    return mm ? put_area(ask, mm->arg_start, mm->arg_end, out) : 0;
}

SLEEPS static int show_environ(struct proc_ask *ask, struct buf *out)
{
    const struct mm *mm = ask->target->mm;
    return mm ? put_area(ask, mm->env_start, mm->env_end, out) : 0;
}

SLEEPS static int show_auxv(struct proc_ask *ask, struct buf *out)
{
    const struct mm *mm = ask->target->mm;
    return mm ? buf_append(out, mm->auxv, mm->auxv_size) : 0;
}

SLEEPS static int show_comm(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "%s\n", ask->target->comm);
}

SLEEPS static i64 write_comm(struct proc_ask *ask, char *text, size_t size)
{
    if (ask->asker->group != ask->target->group)
        return -EINVAL;
    size_t length = strcspn(text, "\n");
    length = MIN(length, (size_t)COMM_SIZE - 1);
    memset(ask->target->comm, 0, COMM_SIZE);
    memcpy(ask->target->comm, text, length);
    return (i64)size;
}

SLEEPS static int show_statm(struct proc_ask *ask, struct buf *out)
{
    const struct mm *mm = ask->target->mm;
    u64 text = mm ? (mm->code_end - mm->code_start + PAGE_SIZE - 1) >> PAGE_SHIFT : 0;
    return buf_printf(out, "%llu %llu 0 %llu 0 %llu 0\n",
                      (unsigned long long)(mm ? mm->virtual_size >> PAGE_SHIFT : 0),
                      (unsigned long long)(mm ? mm->resident_count : 0), (unsigned long long)text,
                      (unsigned long long)(mm ? mm->data_size >> PAGE_SHIFT : 0));
}

static int put_limit(struct buf *out, u64 value)
{
    return value == RLIM_INFINITY_ ? buf_printf(out, "%-20s ", "unlimited")
                                   : buf_printf(out, "%-20llu ", (unsigned long long)value);
}

SLEEPS static int show_limits(struct proc_ask *ask, struct buf *out)
{
    static const struct {
        const char *name, *unit;
    } rows[RLIMIT_COUNT] = {{"Max cpu time", "seconds"},     {"Max file size", "bytes"},
                            {"Max data size", "bytes"},      {"Max stack size", "bytes"},
                            {"Max core file size", "bytes"}, {"Max resident set", "bytes"},
                            {"Max processes", "processes"},  {"Max open files", "files"},
                            {"Max locked memory", "bytes"},  {"Max address space", "bytes"},
                            {"Max file locks", "locks"},     {"Max pending signals", "signals"},
                            {"Max msgqueue size", "bytes"},  {"Max nice priority", ""},
                            {"Max realtime priority", ""},   {"Max realtime timeout", "us"}};
    int err = buf_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit",
                         "Units");
    for (u32 i = 0; i < RLIMIT_COUNT && !err; i++) {
        err = buf_printf(out, "%-25s ", rows[i].name);
        if (!err)
            err = put_limit(out, ask->target->group->limits.v[i].soft);
        if (!err)
            err = put_limit(out, ask->target->group->limits.v[i].hard);
        if (!err)
            err = rows[i].unit[0] ? buf_printf(out, "%-10s\n", rows[i].unit)
                                  : buf_append_text(out, "\n");
    }
    return err;
}

SLEEPS static int show_zero(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, "0\n");
}

SLEEPS static int show_oom_adj(struct proc_ask *ask, struct buf *out)
{
    return buf_printf(out, "%d\n", ask->target->group->oom_score_adj);
}

SLEEPS static i64 write_oom_adj(struct proc_ask *ask, char *text, size_t size)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || (*end && *end != '\n') || value < -1000 || value > 1000)
        return -EINVAL;
    if (value < ask->target->group->oom_score_adj &&
        !task_has_capability(ask->asker, CAP_SYS_RESOURCE))
        return -EACCES;
    ask->target->group->oom_score_adj = (i32)value;
    return (i64)size;
}

SLEEPS static int show_io(struct proc_ask *ask, struct buf *out)
{
    return buf_append_text(out, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: "
                                "0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
}

SLEEPS static int show_cgroup(struct proc_ask *ask, struct buf *out)
{
    int err = 0;
    for (u32 i = CONTROL_COUNT; i > 0 && !err; i--) /* as in a namespace of its own */
        err = buf_printf(out, "%u:%s:/\n", i, control_controller_name(i - 1));
    return err;
}

SLEEPS static int show_children(struct proc_ask *ask, struct buf *out)
{
    const struct thread_group *child;
    int err = 0;
    list_for_each (child, &ask->target->group->children, sibling_link)
        if (!err)
            err = buf_printf(out, "%u ", thread_group_pid_in(child, ask->asker->ns->pid_ns));
    return err;
}

/* ---- user namespaces ------------------------------------------------------------------------ */

/* user_namespaces(7): the second column is what the reader's namespace calls the ids, or, if the
 * reader is in the namespace itself, what its parent calls them. */
static int put_id_map(struct buf *out, const struct proc_ask *ask, bool of_groups)
{
    const struct user_ns *ns = ask->target->cred->user_ns, *reader = ask->asker->cred->user_ns;
    if (!ns || !ns->parent)
        return buf_printf(out, "%10u %10u %10u\n", 0u, 0u, UINT32_MAX);
    if (reader == ns)
        reader = ns->parent;
    const struct id_map *map = of_groups ? &ns->gids : &ns->uids;
    int err = 0;
    for (u32 i = 0; i < map->count && !err; i++) {
        const struct id_extent *e = &map->extents[i];
        u32 outside = of_groups ? user_ns_gid_out(reader, e->kernel_first)
                                : user_ns_uid_out(reader, e->kernel_first);
        err = buf_printf(out, "%10u %10u %10u\n", e->first, outside, e->count);
    }
    return err;
}

/* A number at *TEXT and the blanks before it. */
static bool take_number(char **text, u32 *out)
{
    while (**text == ' ' || **text == '\t')
        ++*text;
    if (**text < '0' || **text > '9')
        return false;
    char *end;
    unsigned long value = strtoul(*text, &end, 10);
    *text = end;
    *out = (u32)value;
    return value <= UINT32_MAX;
}

/* Three numbers a line. -EINVAL for anything else, and for more lines than a map may have. */
static int take_extents(char *text, struct id_extent *extents, u32 *count)
{
    for (*count = 0; *text; ++*count) {
        if (*count == ID_MAP_COUNT_MAX)
            return -EINVAL;
        struct id_extent *e = &extents[*count];
        if (!take_number(&text, &e->first) || !take_number(&text, &e->kernel_first) ||
            !take_number(&text, &e->count))
            return -EINVAL;
        while (*text == ' ' || *text == '\t')
            text++;
        if (*text && *text++ != '\n')
            return -EINVAL;
    }
    return 0;
}

static i64 write_map(struct proc_ask *ask, char *text, size_t size, bool is_gids)
{
    struct user_ns *ns = ask->target->cred->user_ns;
    struct arena *arena = ask->target->kernel->arena;
    if (!ns || !ns->parent)
        return -EPERM;
    struct id_extent *extents = arena_alloc_array(arena, ID_MAP_COUNT_MAX, sizeof *extents);
    if (!extents)
        return -ENOMEM;
    u32 count;
    int err = take_extents(text, extents, &count);
    if (!err)
        err = user_ns_set_map(ns, is_gids, extents, count, ask->asker);
    arena_free(arena, extents, ID_MAP_COUNT_MAX * sizeof *extents);
    return err ? err : (i64)size;
}

SLEEPS static i64 write_uid_map(struct proc_ask *ask, char *text, size_t size)
{
    return write_map(ask, text, size, false);
}

SLEEPS static i64 write_gid_map(struct proc_ask *ask, char *text, size_t size)
{
    return write_map(ask, text, size, true);
}

SLEEPS static i64 write_setgroups(struct proc_ask *ask, char *text, size_t size)
{
    struct user_ns *ns = ask->target->cred->user_ns;
    bool denies = strncmp(text, "deny", 4) == 0;
    size_t word = denies ? 4 : 5;
    if ((!denies && strncmp(text, "allow", 5) != 0) || (text[word] && text[word] != '\n'))
        return -EINVAL;
    if (!ns || !ns->parent || !task_has_capability_in(ask->asker, ns, CAP_SYS_ADMIN))
        return -EPERM;
    if (denies ? ns->gids.count > 0 && !ns->is_setgroups_denied : ns->is_setgroups_denied)
        return -EPERM;
    ns->is_setgroups_denied = denies;
    return (i64)size;
}

SLEEPS static int show_uid_map(struct proc_ask *ask, struct buf *out)
{
    return put_id_map(out, ask, false);
}

SLEEPS static int show_gid_map(struct proc_ask *ask, struct buf *out)
{
    return put_id_map(out, ask, true);
}

SLEEPS static int show_setgroups(struct proc_ask *ask, struct buf *out)
{
    const struct user_ns *ns = ask->target->cred->user_ns;
    return buf_append_text(out, ns && ns->is_setgroups_denied ? "deny\n" : "allow\n");
}

/* ---- links ---------------------------------------------------------------------------------- */

static int give_path(const struct path *from, struct path *out)
{
    if (!from || !from->dentry)
        return -ENOENT;
    path_get(from);
    *out = *from;
    return 0;
}

static const struct path *exe_of(const struct proc_ask *ask)
{
    const struct mm *mm = ask->target->mm;
    return mm && mm->exe ? &container_of(mm->exe, struct file, object)->path : NULL;
}

static int put_path(const struct proc_ask *ask, const struct path *path, struct buf *out)
{
    if (!path || !path->dentry)
        return -ENOENT;
    return path_text(path, ask->asker->fs ? &ask->asker->fs->root : NULL, out);
}

SLEEPS static int link_exe(struct proc_ask *ask, struct buf *out)
{
    return put_path(ask, exe_of(ask), out);
}
SLEEPS static int follow_exe(struct proc_ask *ask, struct path *out)
{
    return give_path(exe_of(ask), out);
}
SLEEPS static int link_cwd(struct proc_ask *ask, struct buf *out)
{
    return put_path(ask, ask->target->fs ? &ask->target->fs->cwd : NULL, out);
}
SLEEPS static int follow_cwd(struct proc_ask *ask, struct path *out)
{
    return give_path(ask->target->fs ? &ask->target->fs->cwd : NULL, out);
}
SLEEPS static int link_root(struct proc_ask *ask, struct buf *out)
{
    return put_path(ask, ask->target->fs ? &ask->target->fs->root : NULL, out);
}
SLEEPS static int follow_root(struct proc_ask *ask, struct path *out)
{
    return give_path(ask->target->fs ? &ask->target->fs->root : NULL, out);
}

static int put_ns(struct buf *out, const char *name, u64 inode_nr)
{
    return buf_printf(out, "%s:[%llu]", name, (unsigned long long)inode_nr);
}
SLEEPS static int link_ns_pid(struct proc_ask *ask, struct buf *out)
{
    return put_ns(out, "pid", ask->target->pid->ns->inode_nr);
}
SLEEPS static int link_ns_uts(struct proc_ask *ask, struct buf *out)
{
    return put_ns(out, "uts", ask->target->ns->uts_ns->inode_nr);
}
SLEEPS static int link_ns_ipc(struct proc_ask *ask, struct buf *out)
{
    return put_ns(out, "ipc", ask->target->ns->ipc_ns->inode_nr);
}
SLEEPS static int link_ns_user(struct proc_ask *ask, struct buf *out)
{
    const struct user_ns *ns = ask->target->cred->user_ns ? ask->target->cred->user_ns
                                                          : ask->target->kernel->root_user_ns;
    return put_ns(out, "user", ns->inode_nr);
}
SLEEPS static int link_ns_mnt(struct proc_ask *ask, struct buf *out)
{
    const struct mount_ns *ns = task_mount_ns(ask->target);
    return put_ns(out, "mnt", 4026531840u + (ns ? ns->object.id : 0));
}
SLEEPS static int link_ns_net(struct proc_ask *ask, struct buf *out)
{
    u64 nr = 0;
    const struct net_hooks *hooks = ask->target->kernel->net_hooks;
    if (!hooks)
        return -ENOENT;
    hooks->ns_of(ask->target, &nr);
    return put_ns(out, "net", nr);
}
SLEEPS static int follow_ns_net(struct proc_ask *ask, struct path *out)
{
    u64 nr = 0;
    const struct net_hooks *hooks = ask->target->kernel->net_hooks;
    if (!hooks)
        return -ENOENT;
    struct object *ns = hooks->ns_of(ask->target, &nr);
    return nsfs_path(ask->target->kernel, ns, LINUX_CLONE_NEWNET, "net", nr, out);
}

SLEEPS static int follow_ns_pid(struct proc_ask *ask, struct path *out)
{
    struct pid_ns *ns = ask->target->pid->ns;
    return nsfs_path(ask->target->kernel, &ns->object, LINUX_CLONE_NEWPID, "pid", ns->inode_nr,
                     out);
}
SLEEPS static int link_ns_pid_children(struct proc_ask *ask, struct buf *out)
{
    return put_ns(out, "pid", ask->target->ns->pid_ns->inode_nr);
}
SLEEPS static int follow_ns_pid_children(struct proc_ask *ask, struct path *out)
{
    struct pid_ns *ns = ask->target->ns->pid_ns;
    return nsfs_path(ask->target->kernel, &ns->object, LINUX_CLONE_NEWPID, "pid", ns->inode_nr,
                     out);
}
SLEEPS static int follow_ns_uts(struct proc_ask *ask, struct path *out)
{
    struct uts_ns *ns = ask->target->ns->uts_ns;
    return nsfs_path(ask->target->kernel, &ns->object, LINUX_CLONE_NEWUTS, "uts", ns->inode_nr,
                     out);
}
SLEEPS static int follow_ns_ipc(struct proc_ask *ask, struct path *out)
{
    struct ipc_ns *ns = ask->target->ns->ipc_ns;
    return nsfs_path(ask->target->kernel, &ns->object, LINUX_CLONE_NEWIPC, "ipc", ns->inode_nr,
                     out);
}
SLEEPS static int follow_ns_user(struct proc_ask *ask, struct path *out)
{
    struct kernel *kernel = ask->target->kernel;
    struct user_ns *ns = ask->target->cred->user_ns ? ask->target->cred->user_ns
                                                    : kernel->root_user_ns;
    return nsfs_path(kernel, &ns->object, LINUX_CLONE_NEWUSER, "user", ns->inode_nr, out);
}
SLEEPS static int follow_ns_mnt(struct proc_ask *ask, struct path *out)
{
    struct mount_ns *ns = task_mount_ns(ask->target);
    if (!ns)
        return -ENOENT;
    return nsfs_path(ask->target->kernel, &ns->object, LINUX_CLONE_NEWNS, "mnt",
                     4026531840u + ns->object.id, out);
}

static const struct proc_node ns_table[] = {
    {.name = "ipc", .mode = PROC_LINK, .link = link_ns_ipc, .follow = follow_ns_ipc},
    {.name = "mnt", .mode = PROC_LINK, .link = link_ns_mnt, .follow = follow_ns_mnt},
    {.name = "net", .mode = PROC_LINK, .link = link_ns_net, .follow = follow_ns_net},
    {.name = "pid", .mode = PROC_LINK, .link = link_ns_pid, .follow = follow_ns_pid},
    {.name = "pid_for_children",
     .mode = PROC_LINK,
     .link = link_ns_pid_children,
     .follow = follow_ns_pid_children},
    {.name = "user", .mode = PROC_LINK, .link = link_ns_user, .follow = follow_ns_user},
    {.name = "uts", .mode = PROC_LINK, .link = link_ns_uts, .follow = follow_ns_uts},
    PROC_END,
};

/* ---- /proc/PID/mem -------------------------------------------------------------------------- */

struct proc_mem {
    struct object object;
    struct mm *mm; /* counted: of the time of opening */
};
static const struct field proc_mem_fields[] = {
    FIELD_NONE(struct proc_mem, object, "the walker's own header"),
    FIELD_REF(struct proc_mem, mm, struct mm),
    FIELD_END,
};
FIELDS_COMPLETE(struct proc_mem, proc_mem_fields);
static void proc_mem_destroy(struct object *object)
{
    REF_CLEAR(container_of(object, struct proc_mem, object)->mm);
}
const struct kind proc_mem_kind = {.name = "proc_mem",
                                   .size = sizeof(struct proc_mem),
                                   .fields = proc_mem_fields,
                                   .destroy = proc_mem_destroy};

SLEEPS static i64 mem_move(struct task *task, struct file *file, struct uio *uio, u64 offset,
                           bool is_write)
{
    struct proc_mem *mem = container_of(file->private_object, struct proc_mem, object);
    i64 moved = 0;
    while (uio->remaining > 0) {
        u8 bounce[1024];
        u64 step = MIN(uio->remaining, (u64)sizeof bounce);
        i64 got = is_write ? uio_take(uio, bounce, step) : (i64)step;
        if (got > 0)
            got = mm_copy_force(mem->mm, &task->fiber, bounce, uaddr_make(offset), (u64)got,
                                is_write);
        if (got > 0 && !is_write)
            got = uio_put(uio, bounce, (u64)got);
        if (got <= 0)
            return moved > 0 ? moved : got == -EFAULT ? -EIO : got;
        moved += got;
        offset += (u64)got;
    }
    return moved;
}
SLEEPS static i64 mem_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    return mem_move(task, file, uio, offset, false);
}
SLEEPS static i64 mem_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    return mem_move(task, file, uio, offset, true);
}
SLEEPS static i64 mem_seek(struct task *task, struct file *file, i64 offset, i32 whence)
{
    i64 to = whence == SEEK_SET ? offset : whence == SEEK_CUR ? (i64)file->offset + offset : -1;
    if (whence != SEEK_SET && whence != SEEK_CUR)
        return -EINVAL;
    file->offset = (u64)to;
    return to;
}
const struct file_ops proc_mem_ops = {
    .read = mem_read, .write = mem_write, .seek = mem_seek, .is_seekable = true};

SLEEPS static int open_mem(struct proc_ask *ask, struct file *file)
{
    if (!ask->target->mm)
        return -EIO;
    struct proc_mem *mem = object_create(ask->asker->kernel->arena, &proc_mem_kind);
    if (!mem)
        return -ENOMEM;
    mem->mm = REF_GET(ask->target->mm);
    file->private_object = &mem->object;
    file->ops = &proc_mem_ops;
    return 0;
}

/* ---- the tables ----------------------------------------------------------------------------- */

#define COMMON_ROWS                                                                             \
    {.name = "auxv", .mode = LINUX_S_IFREG | 0400, .show = show_auxv, .is_private = true},      \
        {.name = "cgroup", .mode = PROC_FILE, .show = show_cgroup},                             \
        {.name = "cmdline", .mode = PROC_FILE, .show = show_cmdline},                           \
        {.name = "comm", .mode = LINUX_S_IFREG | 0644, .show = show_comm, .write = write_comm}, \
        {.name = "cwd",                                                                         \
         .mode = PROC_LINK,                                                                     \
         .link = link_cwd,                                                                      \
         .follow = follow_cwd,                                                                  \
         .is_private = true},                                                                   \
        {.name = "environ",                                                                     \
         .mode = LINUX_S_IFREG | 0400,                                                          \
         .show = show_environ,                                                                  \
         .is_private = true},                                                                   \
        {.name = "exe",                                                                         \
         .mode = PROC_LINK,                                                                     \
         .link = link_exe,                                                                      \
         .follow = follow_exe,                                                                  \
         .is_private = true},                                                                   \
        {.name = "gid_map",                                                                     \
         .mode = LINUX_S_IFREG | 0644,                                                          \
         .show = show_gid_map,                                                                  \
         .write = write_gid_map},                                                               \
        {.name = "io", .mode = LINUX_S_IFREG | 0400, .show = show_io, .is_private = true},      \
        {.name = "limits", .mode = PROC_FILE, .show = show_limits},                             \
        {.name = "maps", .mode = PROC_FILE, .show = proc_show_maps, .is_private = true},        \
        {.name = "mem", .mode = LINUX_S_IFREG | 0600, .open = open_mem, .is_private = true},    \
        {.name = "mountinfo", .mode = PROC_FILE, .show = proc_show_mountinfo},                  \
        {.name = "mounts", .mode = PROC_FILE, .show = proc_show_mounts},                        \
        {.name = "net", .mode = PROC_DIR, .table = proc_net_table},                             \
        {.name = "ns", .mode = PROC_DIR, .table = ns_table},                                    \
        {.name = "oom_score", .mode = PROC_FILE, .show = show_zero},                            \
        {.name = "oom_score_adj",                                                               \
         .mode = LINUX_S_IFREG | 0644,                                                          \
         .show = show_oom_adj,                                                                  \
         .write = write_oom_adj},                                                               \
        {.name = "root",                                                                        \
         .mode = PROC_LINK,                                                                     \
         .link = link_root,                                                                     \
         .follow = follow_root,                                                                 \
         .is_private = true},                                                                   \
        {.name = "setgroups",                                                                   \
         .mode = LINUX_S_IFREG | 0644,                                                          \
         .show = show_setgroups,                                                                \
         .write = write_setgroups},                                                             \
        {.name = "smaps", .mode = PROC_FILE, .show = proc_show_smaps, .is_private = true},      \
        {.name = "stat", .mode = PROC_FILE, .show = proc_show_stat},                            \
        {.name = "statm", .mode = PROC_FILE, .show = show_statm},                               \
        {.name = "status", .mode = PROC_FILE, .show = proc_show_status},                        \
    {                                                                                           \
        .name = "uid_map", .mode = LINUX_S_IFREG | 0644, .show = show_uid_map,                  \
        .write = write_uid_map                                                                  \
    }

SLEEPS static const struct proc_node *find_fd_in(struct proc_ask *ask, const char *name, u64 *key)
{
    return proc_fd_dir.find(ask, name, key);
}
SLEEPS static const struct proc_node *find_fdinfo_in(struct proc_ask *ask, const char *name,
                                                     u64 *key)
{
    return proc_fdinfo_dir.find(ask, name, key);
}
static bool next_fd_in(struct proc_ask *ask, u64 *key, char name[PROC_NAME_MAX], u8 *type)
{
    return proc_fd_dir.next(ask, key, name, type);
}

SLEEPS static const struct proc_node *find_task(struct proc_ask *ask, const char *name, u64 *key)
{
    if (name[0] < '1' || name[0] > '9' || strlen(name) > 9)
        return NULL;
    char *end;
    *key = strtoul(name, &end, 10);
    const struct task *task = *end ? NULL : task_find(ask->asker->ns->pid_ns, (u32)*key);
    return task && task->group == ask->target->group ? &proc_task_dir : NULL;
}

static bool next_task(struct proc_ask *ask, u64 *key, char name[PROC_NAME_MAX], u8 *type)
{
    /* In order of their numbers, so that a listing can go on after threads came and went. */
    const struct task *task, *best = NULL;
    u32 best_nr = 0;
    list_for_each (task, &ask->target->group->tasks, group_link) {
        u32 nr = task_tid_in(task, ask->asker->ns->pid_ns);
        if (nr >= *key && nr && (!best || nr < best_nr)) {
            best = task;
            best_nr = nr;
        }
    }
    if (!best)
        return false;
    *key = best_nr;
    *type = LINUX_DT_DIR;
    snprintf(name, 24, "%u", best_nr);
    return true;
}

#define FD_ROWS                                                                 \
    {.name = "fd",                                                              \
     .mode = LINUX_S_IFDIR | 0500,                                              \
     .find = find_fd_in,                                                        \
     .next = next_fd_in,                                                        \
     .is_private = true},                                                       \
    {                                                                           \
        .name = "fdinfo", .mode = LINUX_S_IFDIR | 0500, .find = find_fdinfo_in, \
        .next = next_fd_in, .is_private = true                                  \
    }

const struct proc_node proc_task_table[] = {
    COMMON_ROWS, FD_ROWS, {.name = "children", .mode = PROC_FILE, .show = show_children}, PROC_END};
const struct proc_node proc_task_dir = {
    .name = "*task", .mode = PROC_DIR, .table = proc_task_table};

static void attr_tasks(const struct proc_ask *ask, struct inode *inode)
{
    inode->link_count = 2 +
                        (ask->target && ask->target->group ? ask->target->group->task_count : 0);
}

const struct proc_node proc_pid_table[] = {
    COMMON_ROWS,
    FD_ROWS,
    {.name = "task", .mode = PROC_DIR, .find = find_task, .next = next_task, .attr = attr_tasks},
    PROC_END};
const struct proc_node proc_pid_dir = {.name = "*pid", .mode = PROC_DIR, .table = proc_pid_table};
const struct proc_node proc_ns_dir = {.name = "ns", .mode = PROC_DIR, .table = ns_table};
