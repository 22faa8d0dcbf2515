/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's containers over one struct kernel: from OCI spec and descriptors to running tasks,
 * exec, wait, signals, pause, checkpoint, restore. The controller calls it from fibers of kernel
 * tasks (BY); boot calls it once at the start. spec/lifecycle.yaml says which call is allowed when
 * and what the others are told; the texts in ERR are the wire's.
 *
 * Every function that fails changes nothing but what its comment says. Descriptors in arguments are
 * host descriptors and are taken in any case. A sleep that the client's death interrupts ends with
 * -1 and ERR's code EINTR.
 */
#pragma once
#include "base/error.h"
#include "oci/oci.h"
#include "sentry/fs/file.h"
#include "sentry/kernel/task.h"

struct bpf_instruction;
struct loader;
struct container;

#define CONTAINER_ID_MAX 1024
#define CONTAINERS_MAX 4096u

enum loader_state {
    LOADER_CREATED,
    LOADER_STARTED,
    LOADER_RESTORING_UNSTARTED, /* Restore accepted; subcontainers are still to come */
    LOADER_RESTORING_STARTED,   /* the image is being read */
    LOADER_RESTORED,            /* from here on as STARTED */
    LOADER_RESTORE_FAILED,
};
/* The words that errors print: "created", "started", "restoringUnstarted", …; static. */
const char *loader_state_name(enum loader_state state);

/* What ContainerRuntimeState answers. */
enum container_state {
    CONTAINER_INVALID,
    CONTAINER_CREATING,
    CONTAINER_RUNNING,
    CONTAINER_STOPPED
};

enum gofer_lower { GOFER_LOWER_NONE, GOFER_LOWER_LISAFS, GOFER_LOWER_EROFS };
enum gofer_upper { GOFER_UPPER_NONE, GOFER_UPPER_MEMORY, GOFER_UPPER_SELF, GOFER_UPPER_ANON };
/* How one mount is served; the root's comes first, then one for each bind mount in the spec's
 * order. */
struct gofer_mount_conf {
    u8 lower;
    u8 upper;
    char *size; /* tmpfs size option of the upper layer, or NULL */
};

/* A host descriptor that appears as FD GUEST in the first process (--pass-fd). */
struct passed_fd {
    int host;
    i32 guest;
};

/* What a container starts with. Arrays are lent; descriptors (-1: none) are taken. */
struct container_args {
    struct oci_spec *spec; /* taken */
    struct gofer_mount_conf *confs;
    u32 conf_count;
    int stdio[3]; /* all -1: /dev/null; a terminal may be all three */
    int *gofers;  /* one for each conf with a lower LISAFS (a stream) or EROFS (an image) */
    u32 gofer_count;
    int *filestores; /* one for each upper SELF or ANON */
    u32 filestore_count;
    int dev_gofer;
    struct passed_fd *passed;
    u32 passed_count;
    int exec_fd; /* the program itself */
};

/* --restore-spec-validation: what becomes of a spec that is not the saved container's. */
enum spec_policy { SPEC_POLICY_ENFORCE, SPEC_POLICY_WARN, SPEC_POLICY_IGNORE };

struct loader_config {
    const char *sandbox_id; /* the root container's id */
    const char *version;    /* runsc_version of images */
    bool has_host_network;  /* affects errors only in this release */
    bool has_no_network;    /* --network=none: PortForward is refused */
    bool keeps_net_raw;     /* --net-raw: else CAP_NET_RAW is taken from every container */
    bool has_overlay; /* --overlay2 not none: a conf without an upper stays as it is all the same */
    bool is_root_shared;    /* --file-access=shared */
    bool are_mounts_shared; /* --file-access-mounts=shared (the default) */
    /* Turns linux.seccomp into a program of at most MAX instructions (*COUNT 0: none); must not
     * sleep. NULL: it has no effect (--oci-seccomp=false). */
    int (*seccomp_compile)(const struct oci_spec *spec, struct bpf_instruction *code, u32 max,
                           u32 *count, struct error *err);
    enum spec_policy spec_policy;
    u64 epoch_ns; /* realtime when the sandbox was made, for `timestamp` */
};

/* KERNEL, with vfs, net, syscalls set, outlives the loader. ARGS: the root container's. */
MUST_CHECK int loader_create(struct kernel *kernel, const struct loader_config *config,
                             struct container_args *args, struct loader **out, struct error *err);
/* All application tasks have ended. */
void loader_destroy(struct loader *loader);
struct kernel *loader_kernel(struct loader *loader);
const struct loader_config *loader_config(const struct loader *loader);
enum loader_state loader_state(const struct loader *loader);

/* What a restore spared: the time that the image's sandbox had used; zero without one. */
struct loader_savings {
    u64 cpu_ns, wall_ns;
};
struct loader_savings loader_savings(const struct loader *loader);

/* The network namespace of a running container's first process: lent. NULL with *ERR. */
struct net_ns *loader_container_net(struct loader *loader, const char *id, struct error *err);

/* The arguments of the network as last set, JSON: kept for whoever asks. Lent, NULL: never set. */
MUST_CHECK int loader_set_network_config(struct loader *loader, const char *text);
const char *loader_network_config(const struct loader *loader);

/* Told when a restore has replaced the kernel: control servers register their receivers anew. */
struct loader_observer {
    struct list link;
    void (*renewed)(struct loader_observer *observer);
};
void loader_observe(struct loader *loader, struct loader_observer *observer);

/* ---- containers --------------------------------------------------------------------------------
 */

/* StartRoot: waits until the first task has been started. */
MUST_CHECK SLEEPS int loader_start_root(struct loader *loader, struct task *by, const char *id,
                                        struct error *err);
/* CreateSubcontainer: TTY (-1: none) waits for the start. */
MUST_CHECK int loader_create_subcontainer(struct loader *loader, const char *id, int tty,
                                          struct error *err);
/* StartSubcontainer; during a restore it is RestoreSubcontainer. ARGS' stdio are ignored with a
 * TTY. */
MUST_CHECK SLEEPS int loader_start_subcontainer(struct loader *loader, struct task *by,
                                                const char *id, struct container_args *args,
                                                struct error *err);
/* DestroySubcontainer: kills all, waits for all, forgets all. */
MUST_CHECK SLEEPS int loader_destroy_subcontainer(struct loader *loader, struct task *by,
                                                  const char *id, struct error *err);
enum container_state loader_container_state(struct loader *loader, const char *id);
/* How many are known, the root container included. */
u32 loader_container_count(const struct loader *loader);
/* The i-th, in order of creation, or NULL; lent. */
const char *loader_container_id(struct loader *loader, u32 index);
const struct oci_spec *loader_container_spec(struct loader *loader, const char *id);
/* Is ID known and running? Writes the error of those who want an init process: not found, not
 * started, has stopped. */
MUST_CHECK int loader_container_check_running(struct loader *loader, const char *id,
                                              struct error *err);
/* Sleeps until the root container's first task has ended (or a failed restore): what boot waits
 * for. */
MUST_CHECK SLEEPS int loader_wait_root(struct loader *loader, struct task *by, u32 *status);

/* ---- processes
 * ----------------------------------------------------------------------------------- */

struct exec_args {
    const char *container_id;
    const char *filename; /* "" or NULL: argv[0] by PATH */
    char **argv, **envv;
    u32 argc, envc;
    const char *cwd;
    u32 uid, gid;
    const u32 *extra_gids;
    u32 extra_gid_count;
    bool no_new_privs;
    bool has_caps;
    u64 permitted, inheritable, effective, bounding, ambient;
    bool is_tty;
    const i32 *guest_fds; /* where the descriptors go; NULL: 0, 1, 2 in order */
    const int *fds;       /* taken */
    u32 fd_count;
    int exec_fd; /* the program itself, or -1; taken */
};
MUST_CHECK SLEEPS int loader_exec(struct loader *loader, struct task *by,
                                  const struct exec_args *args, u32 *pid, struct error *err);
/* Wait statuses. */
MUST_CHECK SLEEPS int loader_wait(struct loader *loader, struct task *by, const char *id,
                                  u32 *status, struct error *err);
MUST_CHECK SLEEPS int loader_wait_pid(struct loader *loader, struct task *by, const char *id,
                                      i32 pid, u32 *status, struct error *err);

enum signal_mode { SIGNAL_PROCESS, SIGNAL_ALL, SIGNAL_FOREGROUND, SIGNAL_GROUP };
struct signal_args {
    const char *container_id;
    i32 signo;
    i32 pid;
    i32 pgid;
    u32 mode; /* unjudged */
};
MUST_CHECK SLEEPS int loader_signal(struct loader *loader, struct task *by,
                                    const struct signal_args *args, struct error *err);

/* One row of ps. Lists are the pool's. */
struct process_row {
    u32 uid, pid, ppid, pgid;
    u32 *threads;
    u32 thread_count;
    i32 cpu_percent;
    char *tty;
    char *start_time;
    u64 system_ns;
    char *command;
    struct thread_group *group; /* lent until the next sleep */
};
/* ID "": all. Sorted by pid. Pids are those of the container's own PID namespace (of the root one
 * for all). */
MUST_CHECK int loader_processes(struct loader *loader, const char *id, struct pool *pool,
                                struct process_row **rows, u32 *count, struct error *err);
/* CPU nanoseconds of all processes that a container has and had. */
u64 loader_container_cpu_ns(struct loader *loader, const char *id);
u32 loader_container_process_count(struct loader *loader, const char *id);

/* ---- the sandbox as a whole
 * ------------------------------------------------------------------------ */

MUST_CHECK SLEEPS int loader_pause(struct loader *loader, struct task *by, struct error *err);
MUST_CHECK SLEEPS int loader_resume(struct loader *loader, struct task *by, struct error *err);

/* mount(2) and umount2(2) by root in a running container; the target is made if it is missing. FD
 * (-1: none; taken) is what the type "gofer" speaks to. */
struct mount_args {
    const char *container_id; /* NULL or "": the root container */
    const char *source, *target, *type, *data;
    u64 flags; /* MS_*, unjudged */
    int fd;
};
MUST_CHECK SLEEPS int loader_mount(struct loader *loader, struct task *by,
                                   const struct mount_args *args, struct error *err);
MUST_CHECK SLEEPS int loader_umount(struct loader *loader, struct task *by, const char *id,
                                    const char *target, u32 flags, struct error *err);

/* Mount the EROFS image FD (taken in any case), which is called SOURCE, in a running container. */
MUST_CHECK SLEEPS int loader_mount_image(struct loader *loader, struct task *by, const char *id,
                                         int fd, const char *source, const char *destination,
                                         struct error *err);
struct read_args {
    const char *container_id; /* NULL or "": the root container */
    const char *path;
    u64 offset, size;
};
/* A regular file's bytes, at most SIZE from OFFSET, are written to OUT (lent). */
MUST_CHECK SLEEPS int loader_read_file(struct loader *loader, struct task *by,
                                       const struct read_args *args, struct host_file *out,
                                       struct error *err);

/* The upper layer of a running container's root to OUT (lent), as a tar archive. */
MUST_CHECK SLEEPS int loader_tar_upper(struct loader *loader, struct task *by, const char *id,
                                       struct host_file *out, struct error *err);
/* All SIZE bytes to OUT's own place. 0 or -errno. */
MUST_CHECK SLEEPS int loader_write_all(struct task *by, struct host_file *out, const void *bytes,
                                       u64 size);
/* All SIZE bytes from OFFSET of FILE. 0 or -errno: -ENODATA where it ends too early. */
MUST_CHECK SLEEPS int loader_read_all(struct task *by, struct host_file *file, u64 offset,
                                      void *out, u64 size);

/* Log the system calls of WANTED (bitmap by number; NULL: all) from now on, or none any more. 0 or
 * -ENOMEM. */
MUST_CHECK int loader_set_strace(struct loader *loader, bool is_on, u32 size_max,
                                 const u64 *wanted);

struct checkpoint_args {
    int state_fd, pages_meta_fd, pages_fd; /* the last two: both or -1; taken */
    const struct wire_list *metadata;      /* WIRE_MAP(char *) of the client, or NULL */
    bool resumes; /* else everything ends with status 0, also when saving failed */
    bool is_compressed;
};
MUST_CHECK SLEEPS int loader_checkpoint(struct loader *loader, struct task *by,
                                        const struct checkpoint_args *args, struct error *err);
/* The next attempt's end; its error if it failed. */
MUST_CHECK SLEEPS int loader_wait_checkpoint(struct loader *loader, struct task *by,
                                             struct error *err);

/* A file system of a container: the mount at PATH. */
struct fs_path {
    const char *container; /* its name; "": of every container */
    const char *path;      /* "all-tmpfs": every one that can be saved */
};
#define FS_SAVE_FILES 4 /* manifest, archives, and two that stay empty here */
struct fs_save_args {
    int fds[FS_SAVE_FILES]; /* taken */
    const struct fs_path *paths;
    u32 path_count; /* 0: the roots */
    bool exits;     /* afterwards everything ends with status 0 */
};
/* FSSave: what containers have written to file systems in memory, and nothing else. */
MUST_CHECK SLEEPS int loader_fs_save(struct loader *loader, struct task *by,
                                     const struct fs_save_args *args, struct error *err);
MUST_CHECK SLEEPS int loader_wait_fs_save(struct loader *loader, struct task *by,
                                          struct error *err);
/* Containers that start from now on find their file systems as FDS (taken, in any case) say. */
MUST_CHECK int loader_set_fs_image(struct loader *loader, const int fds[FS_SAVE_FILES],
                                   struct error *err);
/* Until container ID has its file systems, and has started or failed. */
MUST_CHECK SLEEPS int loader_wait_fs_restore(struct loader *loader, struct task *by, const char *id,
                                             struct error *err);

struct restore_args {
    int state_fd, pages_meta_fd, pages_fd, device_fd; /* -1: none; taken */
    bool is_background;
};
/* With one container in the image it restores before it returns, else the last RestoreSubcontainer
 * does. */
MUST_CHECK SLEEPS int loader_restore(struct loader *loader, struct task *by,
                                     const struct restore_args *args, struct error *err);
MUST_CHECK SLEEPS int loader_wait_restore(struct loader *loader, struct task *by,
                                          struct error *err);
