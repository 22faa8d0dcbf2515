/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver containerManager: ProcfsDump, what /proc would say of each process, as seen from the
 * root PID namespace. Arguments and environment are read from the programs' memory, which may
 * sleep: they come first, and a process that has gone by then is left out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/sort.h"
#include "controller/internal.h"
#include "sentry/fs/cgroup/cgroup.h"
#include "sentry/fs/file.h"
#include "sentry/fs/proc/look.h"

#define AREA_MAX ((u64)128 << 10)

struct dump {
    struct rpc_call *call;
    struct json_writer *w;
    struct task *leader; /* counted */
    struct buf args, env, text;
};

/* ---- pieces --------------------------------------------------------------------------------- */

/* Strings that each end with a NUL. */
static void put_strings(struct json_writer *w, const char *name, const struct buf *area)
{
    json_name(w, name);
    json_begin_array(w);
    const char *at = (const char *)buf_bytes(area);
    for (size_t left = area->size; left > 0;) {
        size_t size = strnlen(at, left);
        json_put_string_size(w, at, size);
        size = MIN(size + 1, left);
        at += size;
        left -= size;
    }
    json_end_array(w);
}

static void put_number(struct json_writer *w, const char *name, u64 value)
{
    json_name(w, name);
    json_put_u64(w, value);
}

static void put_path(struct dump *dump, const char *name, const struct path *path)
{
    const struct fs_context *fs = dump->leader->fs;
    buf_clear(&dump->text);
    json_name(dump->w, name);
    if (!path || !path->dentry || path_text(path, fs ? &fs->root : NULL, &dump->text))
        json_put_string(dump->w, "");
    else
        json_put_string_size(dump->w, (const char *)buf_bytes(&dump->text), dump->text.size);
}

static void put_descriptors(struct dump *dump)
{
    const struct fd_table *fds = dump->leader->fds;
    struct json_writer *w = dump->w;
    json_name(w, "fdlist");
    json_begin_array(w);
    for (u32 fd = 0; fds && fd < fds->capacity; fd++) {
        const struct file *file = fds->files[fd];
        if (!file)
            continue;
        json_begin_object(w);
        put_number(w, "number", fd);
        put_path(dump, "path", &file->path);
        put_number(w, "mode", file->inode ? file->inode->mode & 0xffff : 0);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_limits(struct dump *dump)
{
    struct json_writer *w = dump->w;
    const struct limit *limit = &dump->leader->group->limits.v[RLIMIT_NOFILE_];
    json_name(w, "limits");
    json_begin_object(w);
    json_name(w, "RLIMIT_NOFILE");
    json_begin_object(w);
    put_number(w, "cur", limit->soft);
    put_number(w, "max", limit->hard);
    json_end_object(w);
    json_end_object(w);
}

static void put_text(struct json_writer *w, const char *name, const char *text)
{
    json_name(w, name);
    json_put_string(w, text);
}

/* Where it is in each hierarchy that is mounted; left out when there is none. */
static void put_groups(struct dump *dump)
{
    struct json_writer *w = dump->w;
    struct kernel *kernel = dump->call->kernel;
    u32 mounted = cgroup_mounted(kernel);
    const struct control_group *group = control_group_of(kernel, dump->leader->group->container_id);
    if (!mounted || !group)
        return;
    json_name(w, "cgroup");
    json_begin_array(w);
    for (u32 i = CONTROL_COUNT; i > 0; i--) {
        char number[16];
        if (!(mounted & 1u << (i - 1)))
            continue;
        snprintf(number, sizeof number, "%u", i);
        json_begin_object(w);
        put_text(w, "hierarchy_id", number);
        put_text(w, "controllers", control_controller_name(i - 1));
        put_text(w, "path", group->path);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_ids(struct json_writer *w, const char *name, u32 real, u32 effective, u32 saved)
{
    json_name(w, name);
    json_begin_object(w);
    put_number(w, "real", real);
    put_number(w, "effective", effective);
    put_number(w, "saved", saved);
    json_end_object(w);
}

static void put_status(struct dump *dump)
{
    struct json_writer *w = dump->w;
    const struct task *leader = dump->leader;
    const struct cred *cred = leader->cred;
    struct process_look look;
    process_look(leader, leader->kernel->root_pid_ns, &look);
    json_name(w, "status");
    json_begin_object(w);
    json_name(w, "comm");
    json_put_string_size(w, leader->comm, strnlen(leader->comm, COMM_SIZE));
    put_number(w, "pid", look.tid);
    put_number(w, "ppid", look.ppid);
    put_ids(w, "uid", cred->uid, cred->euid, cred->suid);
    put_ids(w, "gid", cred->gid, cred->egid, cred->sgid);
    put_number(w, "vm_size", look.virtual_kib);
    put_number(w, "vm_rss", look.resident_kib);
    json_end_object(w);
    json_name(w, "stat");
    json_begin_object(w);
    put_number(w, "pgid", look.pgid);
    put_number(w, "sid", look.sid);
    json_end_object(w);
}

/* ---- maps ----------------------------------------------------------------------------------- */

static void put_permission(struct json_writer *w, const char *name, bool is_set)
{
    json_name(w, name);
    json_put_bool(w, is_set);
}

static void put_vma(struct dump *dump, const struct vma *vma)
{
    struct json_writer *w = dump->w;
    const struct file *file = vma->file && vma->file->kind == &file_kind
                                  ? container_of(vma->file, struct file, object)
                                  : NULL;
    const struct inode *inode = file ? file->inode : NULL;
    u32 dev = inode && inode->super ? inode->super->dev : 0;
    json_begin_object(w);
    json_name(w, "address");
    json_begin_object(w);
    put_number(w, "Start", vma->start);
    put_number(w, "End", vma->end);
    json_end_object(w);
    json_name(w, "permissions");
    json_begin_object(w);
    put_permission(w, "Read", vma->prot & LINUX_PROT_READ);
    put_permission(w, "Write", vma->prot & LINUX_PROT_WRITE);
    put_permission(w, "Execute", vma->prot & LINUX_PROT_EXEC);
    json_end_object(w);
    json_name(w, "private");
    json_put_string(w, vma->flags & VMA_SHARED ? "s" : "p");
    put_number(w, "offset", vma->mapping ? vma->offset : 0);
    if (dev >> 8 & 0xfff)
        put_number(w, "deviceMajor", dev >> 8 & 0xfff);
    if (dev & 0xff)
        put_number(w, "deviceMinor", dev & 0xff);
    if (inode)
        put_number(w, "inode", inode->ino);
    if (file && file->path.dentry) {
        put_path(dump, "pathname", &file->path);
    } else if (vma->name[0]) {
        json_name(w, "pathname");
        json_put_string(w, vma->name);
    }
    json_end_object(w);
}

static void put_maps(struct dump *dump)
{
    const struct mm *mm = dump->leader->mm;
    json_name(dump->w, "maps");
    json_begin_array(dump->w);
    for (struct vma *vma = mm ? mm_find_vma_after(mm, 0) : NULL; vma;
         vma = mm_find_vma_after(mm, vma->end))
        put_vma(dump, vma);
    json_end_array(dump->w);
}

/* ---- processes ------------------------------------------------------------------------------ */

static void put_process(struct dump *dump)
{
    struct json_writer *w = dump->w;
    struct task *leader = dump->leader;
    struct kernel *kernel = leader->kernel;
    u64 now = kernel_monotonic_ns(kernel), age = now - MIN(leader->start_ns, now);
    const struct file *exe = leader->mm->exe ? container_of(leader->mm->exe, struct file, object)
                                             : NULL;
    json_begin_object(w);
    put_path(dump, "exe", exe ? &exe->path : NULL);
    put_strings(w, "args", &dump->args);
    put_strings(w, "env", &dump->env);
    put_path(dump, "cwd", leader->fs ? &leader->fs->cwd : NULL);
    put_descriptors(dump);
    put_number(w, "clone_ts", kernel_realtime_ns(kernel) - age);
    put_path(dump, "root", leader->fs ? &leader->fs->root : NULL);
    put_limits(dump);
    put_groups(dump);
    put_status(dump);
    put_maps(dump);
    json_end_object(w);
}

/* 0, also for a process that has gone; -ENOMEM. */
SLEEPS static int dump_process(struct dump *dump)
{
    const struct task *leader = dump->leader;
    const struct mm *mm = leader->mm;
    struct fiber *fiber = &dump->call->task->fiber;
    if (leader->phase >= PHASE_EXIT || !mm)
        return 0;
    buf_clear(&dump->args);
    buf_clear(&dump->env);
    int err = process_read_area(leader->mm, fiber, mm->arg_start, mm->arg_end, AREA_MAX,
                                &dump->args);
    mm = leader->mm;
    if (!err && mm)
        err = process_read_area(leader->mm, fiber, mm->env_start, mm->env_end, AREA_MAX,
                                &dump->env);
    if (!err && leader->phase < PHASE_EXIT && leader->mm)
        put_process(dump);
    return err;
}

static int compare(const void *a, const void *b, void *arg)
{
    const u32 *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* Pids of all processes in the root namespace, sorted. */
static u32 *list_pids(struct rpc_call *call, u32 *count)
{
    struct kernel *kernel = call->kernel;
    u32 *pids = pool_alloc_array(call->pool, kernel->task_count + 1, sizeof *pids);
    const struct task *task;
    *count = 0;
    if (!pids)
        return NULL;
    list_for_each (task, &kernel->tasks, kernel_link)
        if (task->group && task->group->leader == task && *count <= kernel->task_count)
            pids[(*count)++] = thread_group_pid_in(task->group, kernel->root_pid_ns);
    sort_stable(pids, *count, sizeof *pids, compare, NULL);
    return pids;
}

SLEEPS static int dump_all(struct dump *dump, const u32 *pids, u32 count)
{
    int err = 0;
    json_begin_array(dump->w);
    for (u32 i = 0; i < count && !err; i++) {
        struct kernel *kernel = dump->call->kernel;
        struct thread_group *group = thread_group_find(kernel->root_pid_ns, pids[i]);
        if (!group || !group->leader)
            continue;
        dump->leader = REF_GET(group->leader);
        err = dump_process(dump);
        REF_CLEAR(dump->leader);
    }
    json_end_array(dump->w);
    return err;
}

SLEEPS int container_procfs_dump(struct rpc_call *call, const void *arg)
{
    struct dump dump = {.call = call, .w = call->result};
    u32 count;
    const u32 *pids = list_pids(call, &count);
    if (!pids)
        return error_set(call->err, ENOMEM, "out of memory");
    buf_init(&dump.args, call->kernel->arena, 0);
    buf_init(&dump.env, call->kernel->arena, 0);
    buf_init(&dump.text, call->kernel->arena, 0);
    int err = dump_all(&dump, pids, count);
    buf_fini(&dump.args);
    buf_fini(&dump.env);
    buf_fini(&dump.text);
    return err ? error_set(call->err, -err, "out of memory") : 0;
}
