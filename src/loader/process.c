/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a plan to a running process: credentials, working directory, program, address space, and
 * then, in one step that cannot sleep, the task. Linux's rules of execve(2) decide the
 * capabilities, as they do under runc and crun: root gets what it may inherit or is not bounded,
 * others keep the ambient ones.
 */
#include <errno.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/kernel/seccomp.h"

static int step_error(struct error *err, int result, const char *what, const char *where)
{
    return error_set(err, -result, "%s \"%s\": %s", what, where, errno_text(-result));
}

/* ---- credentials and limits
 * ------------------------------------------------------------------------------- */

int process_spec_caps(const struct loader *loader, const struct oci_process *process,
                      struct process_caps *out, struct error *err)
{
    const struct oci_capabilities *caps = process->capabilities;
    *out = (struct process_caps){0};
    if (!caps)
        return 0;
    if (oci_capability_mask(caps->permitted.items, caps->permitted.count, &out->permitted, err) ||
        oci_capability_mask(caps->inheritable.items, caps->inheritable.count, &out->inheritable,
                            err) ||
        oci_capability_mask(caps->effective.items, caps->effective.count, &out->effective, err) ||
        oci_capability_mask(caps->bounding.items, caps->bounding.count, &out->bounding, err) ||
        oci_capability_mask(caps->ambient.items, caps->ambient.count, &out->ambient, err))
        return -1;
    return 0;
}

int process_spec_limits(const struct oci_process *process, struct limits *out, struct error *err)
{
    limits_init(out);
    for (size_t i = 0; i < process->rlimits.count; i++) {
        const struct oci_rlimit *limit = &process->rlimits.items[i];
        int nr = oci_rlimit_nr(limit->type ? limit->type : "");
        if (nr < 0 || nr >= RLIMIT_COUNT)
            return error_set(err, EINVAL, "unknown rlimit \"%s\"", limit->type ? limit->type : "");
        out->v[nr] = (struct limit){.soft = limit->soft, .hard = limit->hard};
    }
    return 0;
}

static void apply_caps(const struct process_plan *plan, struct cred *cred)
{
    u64 allowed = CAP_ALL;
    if (!plan->container->loader->config.keeps_net_raw)
        allowed &= ~((u64)1 << CAP_NET_RAW);
    const struct process_caps *caps = &plan->caps;
    cred->cap_bounding = caps->bounding & allowed;
    cred->cap_inheritable = caps->inheritable & allowed;
    cred->cap_ambient = caps->ambient & caps->permitted & caps->inheritable & allowed;
    cred->cap_permitted = plan->uid == 0 ? (caps->inheritable | caps->bounding) & allowed
                                         : cred->cap_ambient;
    cred->cap_effective = cred->cap_permitted;
}

static int make_cred(const struct process_plan *plan, struct arena *arena, struct cred **out)
{
    AUTO_PUT struct cred *cred = NULL;
    int err = cred_create_root(arena, &cred);
    if (err)
        return err;
    cred->uid = cred->euid = cred->suid = cred->fsuid = plan->uid;
    cred->gid = cred->egid = cred->sgid = cred->fsgid = plan->gid;
    cred->no_new_privs = plan->no_new_privs;
    apply_caps(plan, cred);
    err = cred_set_groups(cred, plan->groups, (u32)plan->group_count);
    if (!err)
        *out = MOVE(cred);
    return err;
}

/* ---- working directory
 * --------------------------------------------------------------------------------------- */

/* As root: chdir comes before the change of user, as runc does it. */
SLEEPS static int find_cwd(const struct process_plan *plan, struct task *by, struct path *out,
                           struct error *err)
{
    const char *cwd = plan->cwd && *plan->cwd ? plan->cwd : "/";
    if (cwd[0] != '/')
        return step_error(err, -EINVAL, "working directory", cwd);
    int result = path_walk(by, NULL, cwd, WALK_FOLLOW | WALK_DIRECTORY, out);
    if (result == -ENOENT && plan->makes_cwd) {
        result = vfs_mkdir_all(by, cwd, 0755);
        if (!result)
            result = path_walk(by, NULL, cwd, WALK_FOLLOW | WALK_DIRECTORY, out);
    }
    return result ? step_error(err, result, "working directory", cwd) : 0;
}

/* ---- the program ---------------------------------------------------------------------------- */

static int add_strings(struct exec_text *text, char *const *strings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int err = exec_text_add(text, strings[i]);
        if (err)
            return err;
    }
    return 0;
}

/* A complete address space for PATH; BY wears the process's root, cwd and credentials. */
SLEEPS static int build_image(const struct process_plan *plan, struct task *by, const char *path,
                              char *const *envv, size_t envc, struct exec_image *image,
                              char comm[COMM_SIZE])
{
    struct exec_request request = {.path = path, .walk_flags = WALK_FOLLOW, .name = path};
    AUTO_EXEC_PROGRAM struct exec_program program = {0};
    exec_text_init(&request.argv, by->kernel->arena);
    exec_text_init(&request.envp, by->kernel->arena);
    int err = add_strings(&request.argv, plan->argv, plan->argc);
    if (!err)
        err = add_strings(&request.envp, envv, envc);
    if (err) {
        exec_text_fini(&request.argv);
        exec_text_fini(&request.envp);
        return err;
    }
    err = exec_open(by, &request, &program);
    if (err)
        return err;
    const struct exec_params params = {.cred = by->cred, .limits = plan->limits};
    memcpy(comm, program.comm, COMM_SIZE);
    return exec_build(by, &program, &params, image);
}

SLEEPS static int load_program(const struct process_plan *plan, struct task *by,
                               struct exec_image *image, char comm[COMM_SIZE], struct error *err)
{
    AUTO_POOL struct pool pool;
    char **envv;
    size_t envc;
    const char *path;
    pool_init(&pool, by->kernel->arena);
    const char *name = plan->filename && *plan->filename ? plan->filename
                       : plan->argc                      ? plan->argv[0]
                                                         : "";
    if (process_environment(by, &pool, plan->envv, plan->envc, plan->uid, &envv, &envc, err) ||
        process_find_program(by, &pool, name, envv, envc, &path, err))
        return -1;
    int result = build_image(plan, by, path, envv, envc, image, comm);
    return result ? step_error(err, result, "failed to load", path) : 0;
}

/* ---- the task ------------------------------------------------------------------------------- */

/* The terminal at descriptor 0 becomes the controlling one of the new session. */
static void take_terminal(struct task *task)
{
    struct file *file = task->fds->capacity > 0 ? task->fds->files[0] : NULL;
    struct tty *tty = file ? tty_of_file(file) : NULL;
    if (tty)
        tty_maybe_control(task, tty);
}

/* Nothing sleeps here: the task appears complete or not at all. */
static int make_task(struct process_plan *plan, struct exec_image *image, const char *comm,
                     struct fs_context *fs, struct cred *cred, struct task **out)
{
    struct container *container = plan->container;
    struct kernel *kernel = container->loader->kernel;
    char *id = arena_strdup(kernel->arena, container->id);
    if (!id)
        return -ENOMEM;
    struct task_parts parts = {.mm = MOVE(image->mm),
                               .fds = MOVE(plan->fds),
                               .fs = REF_GET(fs),
                               .ns = REF_GET(container->ns),
                               .cred = REF_GET(cred)};
    struct task *task;
    int err = task_create_init(kernel, container->pid_ns, &parts, plan->limits, comm, &task);
    if (err) {
        arena_free_string(kernel->arena, id);
        return err;
    }
    exec_image_start(image, &task->context.regs);
    arena_free_string(kernel->arena, task->group->container_id);
    task->group->container_id = id;
    task->group->has_execed = true;
    task->group->is_dumpable = true;
    task->group->oom_score_adj = (i32)plan->oom_score_adj;
    if (plan->is_tty)
        take_terminal(task);
    *out = task;
    return 0;
}

static int add_filter(const struct process_plan *plan, struct task *task)
{
    struct seccomp_filter *filter;
    if (plan->filter_count == 0)
        return 0;
    int result = seccomp_filter_create(task, plan->filter, plan->filter_count, &filter);
    return result ? result : (int)seccomp_install(task, filter, 0);
}

static int launch(struct process_plan *plan, struct exec_image *image, const char *comm,
                  struct fs_context *fs, struct cred *cred, struct thread_group **out,
                  struct error *err)
{
    struct task *task;
    int result = make_task(plan, image, comm, fs, cred, &task);
    if (result)
        return step_error(err, result, "cannot make process", comm);
    *out = REF_GET(task->group);
    result = add_filter(plan, task);
    if (!result)
        result = task_start(task);
    if (result) {
        REF_CLEAR(*out);
        task_discard(task);
        return step_error(err, result, "cannot start process", comm);
    }
    REF_PUT(task);
    return 0;
}

/* FS has the container's root as its cwd: moves it to the process's and loads its program. */
SLEEPS static int prepare(const struct process_plan *plan, struct task *by, struct fs_context *fs,
                          struct cred *cred, struct exec_image *image, char comm[COMM_SIZE],
                          struct error *err)
{
    struct view view;
    AUTO_PATH struct path cwd = {0};
    view_enter(&view, by, fs, NULL, NULL);
    int result = find_cwd(plan, by, &cwd, err);
    if (!result) {
        struct path old = fs->cwd;
        fs->cwd = cwd;
        cwd = old;
        by->cred = cred;
        result = load_program(plan, by, image, comm, err);
    }
    view_leave(&view);
    return result;
}

SLEEPS static int start_planned(struct process_plan *plan, struct task *by,
                                struct thread_group **out, struct error *err)
{
    struct kernel *kernel = plan->container->loader->kernel;
    AUTO_PUT struct fs_context *fs = NULL;
    AUTO_PUT struct cred *cred = NULL;
    AUTO_EXEC_IMAGE struct exec_image image = {0};
    char comm[COMM_SIZE] = "";
    int result = view_root(kernel, plan->container->mounts, &fs);
    if (!result)
        result = make_cred(plan, kernel->arena, &cred);
    if (result)
        return step_error(err, result, "cannot make process", plan->argc ? plan->argv[0] : "");
    if (prepare(plan, by, fs, cred, &image, comm, err))
        return -1;
    fs->umask = plan->umask & 0777;
    return launch(plan, &image, comm, fs, cred, out, err);
}

/* The program of the container's linux.seccomp, if that has an effect: arena memory of
 * SECCOMP_PROGRAM_MAX. */
static int make_filter(struct process_plan *plan, struct error *err)
{
    const struct loader *loader = plan->container->loader;
    const struct oci_spec *spec = plan->container->spec;
    plan->filter = NULL;
    plan->filter_count = 0;
    if (!loader->config.seccomp_compile || !spec ||
        json_type(spec->on_linux->seccomp) == JSON_ABSENT)
        return 0;
    plan->filter = arena_alloc_array(loader->kernel->arena, SECCOMP_PROGRAM_MAX,
                                     sizeof *plan->filter);
    if (!plan->filter)
        return error_set(err, ENOMEM, "out of memory");
    return loader->config.seccomp_compile(spec, plan->filter, SECCOMP_PROGRAM_MAX,
                                          &plan->filter_count, err);
}

int process_launch(struct process_plan *plan, struct task *by, struct thread_group **out,
                   struct error *err)
{
    struct arena *arena = plan->container->loader->kernel->arena;
    int result = make_filter(plan, err);
    if (!result)
        result = start_planned(plan, by, out, err);
    arena_free(arena, plan->filter, SECCOMP_PROGRAM_MAX * sizeof *plan->filter);
    REF_CLEAR(plan->fds);
    return result;
}
