/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader's own files share. */
#pragma once
#include "loader/loader.h"
#include "sentry/exec/exec.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/control_group.h"

struct state_metadata;
struct strace;

/* ---- containers
 * ------------------------------------------------------------------------------------ */

enum container_phase {
    CONTAINER_PHASE_CREATING,
    CONTAINER_PHASE_STARTING,
    CONTAINER_PHASE_STARTED,
    CONTAINER_PHASE_FAILED
};

/* The registry holds one reference, every sleeping call another: a destroyed container may have
 * readers. */
struct container {
    struct object object;
    struct list link; /* loader->containers, in order of creation */
    struct loader *loader;
    char *id;
    enum container_phase phase;
    bool is_destroyed;           /* out of the registry, or on its way */
    struct oci_spec *spec;       /* owned; NULL: a subcontainer that was not started */
    struct container_args *args; /* owned: descriptors that wait for the start; NULL afterwards */
    int tty;                     /* of CreateSubcontainer; -1: none */
    struct thread_group *init;   /* counted; NULL before the start */
    struct pid_ns *pid_ns;       /* counted */
    struct mount_ns *mounts;     /* counted */
    struct nsproxy *ns;          /* counted: what exec'd processes get */
    struct super **gofers; /* counted: of the root and of bind mounts, for restore; arena array */
    u32 gofer_count;
    u32 stdio_numbers[3];       /* of "host:[N]": which description is which; 0: none */
    struct waiter gofer_waiter; /* of the root's connection: its end is the container's */
    u64 past_cpu_ns;            /* of exec'd processes that have ended */
    struct wait_queue changed;  /* phase, init's end is told by kernel->task_ended */
};

/* A process that exec started and nobody has waited for. */
struct exec_entry {
    struct list link;
    char *container_id;
    u32 pid;
    struct thread_group *group; /* counted */
};

/* Of a call that others may wait for. */
struct attempts {
    u64 count;          /* that have ended */
    struct error error; /* of the last one; text empty: it succeeded */
};

struct loader {
    struct kernel *kernel;
    struct loader_config config; /* texts are the loader's own */
    enum loader_state state;
    struct list containers;
    u32 container_count;
    struct list execs;         /* struct exec_entry.link */
    struct wait_queue changed; /* state; a checkpoint has ended */
    u32 stdio_next;            /* the number in "host:[N]" */
    bool is_starting;          /* StartRoot or a restore runs */
    struct attempts checkpoints, fs_saves;
    char *network_config;      /* arena string, or NULL */
    struct fs_image *fs_image; /* owned; NULL: containers begin with fresh file systems */
    /* restore: taken by Restore, used when the last container has come */
    struct restore_args restore;
    u32 restore_want; /* containers of the image */
    struct error restore_error;
    struct loader_savings savings; /* what the image that was restored says */
    struct list observers;         /* struct loader_observer.link */
    struct strace *strace;         /* NULL: off */
    u64 *strace_wanted;            /* arena memory, or NULL */
};

struct container *container_by_id(struct loader *loader, const char *id); /* lent, or NULL */
MUST_CHECK struct container *container_lookup(struct loader *loader,
                                              const char *id); /* a reference, or NULL */
/* Registers ID with one lent reference in *OUT. -EEXIST, -ENOMEM. */
MUST_CHECK int container_new(struct loader *loader, const char *id, struct container **out);
/* Out of the registry; the last reference frees. */
void container_remove(struct container *container);
bool container_has_ended(const struct container *container);
/* From now on the end of the root's gofer kills the container's processes. */
void container_watch_gofer(struct container *container);
static inline bool container_is_root(const struct container *container)
{
    return container->loader->containers.next == &container->link;
}
bool thread_group_has_ended(const struct thread_group *group);
/* Is TASK the leader of a process of container ID (NULL: of any)? For walks over kernel->tasks:
 *     list_for_each(task, &kernel->tasks, kernel_link) if (task_leads(task, id)) ...
 * which must not sleep. */
bool task_leads(const struct task *task, const char *id);
int not_found(const char *id, struct error *err);

/* ---- host descriptors
 * -------------------------------------------------------------------------------- */

void loader_close_fd(struct loader *loader, int *fd);
/* A deep copy of ARGS (spec and descriptors move); NULL without memory, and then all are closed and
 * freed. */
MUST_CHECK struct container_args *args_take(struct loader *loader, struct container_args *args);
/* Closes what is left; NULL is fine. */
void args_free(struct loader *loader, struct container_args *args);
/* Close and forget everything ARGS holds (not its arrays). */
void args_close(struct loader *loader, struct container_args *args);
/* A description over the host descriptor FD, taken; INDEX: which of stdin, stdout, stderr (3:
 * another). Its name is "host:[loader->stdio_next]". */
MUST_CHECK SLEEPS int stdio_open(struct loader *loader, struct task *by, int fd, u32 index,
                                 struct file **out);
/* For a restored description: the restoring side's descriptor, taken. */
MUST_CHECK SLEEPS int stdio_replace(struct loader *loader, struct task *by, int fd, u32 index,
                                    struct file *file);
/* The number in a description's name; 0: not one of the host's. */
u32 stdio_number(const struct file *file);

/* ---- acting inside a container
 * -------------------------------------------------------------------------- */

/* BY's own members while it acts with a container's root, credentials and descriptors. */
struct view {
    struct task *by;
    struct fs_context *fs;
    struct cred *cred;
    struct fd_table *fds;
};
/* FS, CRED, FDS: lent; NULL leaves BY's own. */
void view_enter(struct view *view, struct task *by, struct fs_context *fs, struct cred *cred,
                struct fd_table *fds);
void view_leave(struct view *view);
/* Root and cwd at the root of NS. */
MUST_CHECK int view_root(struct kernel *kernel, struct mount_ns *ns, struct fs_context **out);

/* A fiber that wears a container's root and all capabilities. */
struct inside {
    struct container *container; /* counted */
    struct fs_context *fs;
    struct cred *cred;
    struct view view;
};
/* files.c. On failure nothing is worn. */
MUST_CHECK int inside_enter(struct inside *inside, struct loader *loader, struct task *by,
                            const char *id, struct error *err);
void inside_leave(struct inside *inside);

/* ---- mounts --------------------------------------------------------------------------------- */

/* What mount(8) options say. */
struct mount_options {
    u64 flags;       /* MS_* of the mount */
    u32 propagation; /* MS_PRIVATE, MS_SLAVE or 0 */
    bool is_recursive;
    char *data; /* the rest, comma-separated; arena string or NULL */
};
MUST_CHECK int mount_options_parse(struct arena *arena, char *const *options, size_t count,
                                   struct mount_options *out);
/* For restore: SUPER speaks to the container's next gofer. 0 or -ENOMEM. */
MUST_CHECK int container_add_gofer(struct container *container, struct super *super);
/* The whole mount tree of CONTAINER by its spec and ARGS: container->mounts. */
MUST_CHECK SLEEPS int mounts_create(struct container *container, struct task *by,
                                    struct container_args *args, struct error *err);
/* Nodes of linux.devices, links and masks, when all mounts are there; BY acts in the container. */
MUST_CHECK SLEEPS int devices_create(struct task *by, const struct oci_spec *spec,
                                     struct error *err);
MUST_CHECK SLEEPS int masks_create(struct task *by, const struct oci_spec *spec, struct error *err);

/* ---- processes ------------------------------------------------------------------------------ */

struct process_caps {
    u64 permitted, inheritable, effective, bounding, ambient;
};
/* All that a first or an exec'd process is made of. Everything is lent but FDS. */
struct process_plan {
    struct container *container;
    const char *filename; /* NULL or "": argv[0] by PATH */
    char *const *argv;
    char *const *envv;
    size_t argc, envc;
    const char *cwd;
    bool makes_cwd; /* create it if it is missing */
    u32 umask;
    u32 uid, gid;
    const u32 *groups;
    size_t group_count;
    struct process_caps caps;
    bool no_new_privs;
    struct fd_table *fds; /* taken; FD 0 is the terminal if is_tty */
    bool is_tty;
    const struct limits *limits;
    i64 oom_score_adj;
    struct bpf_instruction *filter; /* process_launch's own: linux.seccomp as a program */
    u32 filter_count;
};
/* Makes the process and starts it; *OUT is a reference to its group. ERR says which step failed. */
MUST_CHECK SLEEPS int process_launch(struct process_plan *plan, struct task *by,
                                     struct thread_group **out, struct error *err);
MUST_CHECK int process_spec_caps(const struct loader *loader, const struct oci_process *process,
                                 struct process_caps *out, struct error *err);
MUST_CHECK int process_spec_limits(const struct oci_process *process, struct limits *out,
                                   struct error *err);
/* The environment, with HOME if it was missing (from /etc/passwd, else "/"); pool memory. BY acts
 * in the container. */
MUST_CHECK SLEEPS int process_environment(struct task *by, struct pool *pool, char *const *envv,
                                          size_t envc, u32 uid, char ***out, size_t *count,
                                          struct error *err);
/* NAME by the PATH of ENVV: pool memory. */
MUST_CHECK SLEEPS int process_find_program(struct task *by, struct pool *pool, const char *name,
                                           char *const *envv, size_t envc, const char **out,
                                           struct error *err);

/* Start a registered container with its args: CREATING -> STARTED, or FAILED with ERR. */
MUST_CHECK SLEEPS int container_run(struct container *container, struct task *by,
                                    struct error *err);

/* ---- images --------------------------------------------------------------------------------- */

/* What an image says of one container: an entry of the metadata "picket_containers". */
struct image_container {
    char *name, *id;
    char *marked; /* not in the image: what its processes are called while ids are exchanged */
    u32 init;     /* its first process in the root PID namespace; 0: had ended … */
    u32 group;    /* the number of its control group, 0: none; what that holds: */
    struct control_limits limits;
    char *cpus, *mems;
    u32 status; /* … with this wait status; then there are no gofers and no stdio */
    WIRE_LIST(u32)
    gofers; /* device numbers of the file systems behind gofers, in the order of their descriptors
             */
    WIRE_LIST(u32) stdio; /* see container.stdio_numbers */
};
struct image_containers {
    WIRE_LIST(struct image_container) list;
};
extern const struct wire_type image_containers_type;
/* "io.kubernetes.cri.container-name", or "__no_name_N" by the order of creation; pool memory. */
char *container_name(struct container *container, struct pool *pool);
/* A host file read from its start, for state_load and state_read_metadata. */
struct image_file;
struct state_input;
MUST_CHECK int image_file_open(struct loader *loader, struct task *by, int *fd,
                               struct image_file **out);
struct state_input *image_file_input(struct image_file *file); /* from the start again */
SLEEPS i64 image_file_size(struct image_file *file);           /* bytes, or -errno */
void image_file_close(struct image_file *file);
/* Frees FILE and gives its descriptor back. */
void image_file_release(struct image_file *file, int *fd);

/* checkpoint.c: every task rests at its boundary, killed ones too, until the thaw. */
SLEEPS void checkpoint_freeze(struct loader *loader, struct task *by);
/* ENDS: nothing goes on; all processes end with status 0. */
void checkpoint_thaw(struct loader *loader, bool ends);
MUST_CHECK int checkpoint_check_state(struct loader *loader, struct error *err);
/* One more attempt has ended, with ERR if RESULT is not 0. */
void attempts_add(struct loader *loader, struct attempts *attempts, int result,
                  const struct error *err);
/* Until the next attempt has ended: 0, or -1 with its error. */
MUST_CHECK SLEEPS int attempts_wait(struct loader *loader, struct task *by,
                                    struct attempts *attempts, struct error *err);

/* ---- file systems alone --------------------------------------------------------------------- */

/* tar.c: the tree below ROOT to OUT (lent), as an archive. *SIZE grows by its bytes. 0 or -errno.
 */
MUST_CHECK SLEEPS int tar_write(struct task *by, struct host_file *out, struct dentry *root,
                                u64 *size);
/* untar.c: the archive in the bytes START to END of FILE becomes what is in SUPER, a fresh file
 * system. 0 or -errno: -EBADMSG for what is no archive. */
MUST_CHECK SLEEPS int tar_read(struct task *by, struct host_file *file, u64 start, u64 end,
                               struct super *super);
/* fs_image.c: fill SUPER with what the image has for PATH of CONTAINER; nothing without an image or
 * a word about it there. */
MUST_CHECK SLEEPS int fs_image_fill(struct container *container, struct task *by, const char *path,
                                    struct super *super, struct error *err);
void fs_image_free(struct loader *loader);

/* ---- restore -------------------------------------------------------------------------------- */

/* All containers of the image are registered: read it. loader->state says how it went. */
MUST_CHECK SLEEPS int restore_run(struct loader *loader, struct task *by, struct error *err);
/* Each container's spec against the one of that name in the image FILE, before anything else of it
 * is read. An image without specs is from a sandbox that had none. */
MUST_CHECK SLEEPS int restore_judge_specs(struct loader *loader, struct image_file *file,
                                          struct error *err);
/* One more container, with ARGS (taken). */
MUST_CHECK SLEEPS int restore_subcontainer(struct loader *loader, struct task *by, const char *id,
                                           struct container_args *args, struct error *err);
