/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command lines of the two inner processes. What a flag means is in boot.c and gofer_boot.c;
 * descriptors are named by the number they will have there.
 */
#include "base/buf.h"
#include "loader/loader.h"
#include "runtime/cgroup.h"
#include "runtime/container.h"
#include "runtime/log.h"
#include "runtime/mounts.h"
#include "runtime/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define NAMESPACES_BASE (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID)
#define CPUS_MAX 64u

static bool is_word(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* "3,4,5" of descriptors as the child will number them. */
static char *fds_arg(struct spawn *spawn, const int *fds, u32 count)
{
    char *text = pool_strdup(spawn->pool, "");
    for (u32 i = 0; i < count; i++)
        text = pool_printf(spawn->pool, "%s%s%d", text, i ? "," : "", spawn_fd(spawn, fds[i]));
    return text;
}

/* The debug log of COMMAND, or -1: it is also where failed assertions go. */
static int debug_log_add(struct runtime *runtime, struct spawn *spawn, const char *command,
                         const char *id)
{
    int log = debug_log_open(runtime->config, command, id);
    if (log >= 0)
        spawn->stdio[2] = log;
    return log;
}

static void cgroups_add(struct spawn *spawn, const struct cgroup *cgroup)
{
    if (cgroup)
        spawn->cgroup_count = cgroup_open_procs(cgroup, spawn->cgroups, SPAWN_CGROUPS_MAX);
}

static void cgroups_close(struct spawn *spawn)
{
    for (u32 i = 0; i < spawn->cgroup_count; i++)
        close(spawn->cgroups[i]);
}

/* ---- the gofer ---- */

/* The mounts of a plan that a gofer serves, and its ends of their sockets. */
struct served {
    int sockets[MOUNTS_MAX], roots[MOUNTS_MAX];
    char modes[MOUNTS_MAX + 1];
    u32 count;
};

static void all_close(const int *fds, u32 count)
{
    for (u32 i = 0; i < count; i++)
        close(fds[i]);
}

/* OURS: one descriptor a mount for the sandbox, a socket or the image itself. */
static int served_make(const struct mount_plan *plan, int *ours, struct served *out,
                       struct error *err)
{
    out->count = 0;
    for (u32 i = 0; i < plan->count; i++) {
        int pair[2] = {-1, -1};
        bool is_image = plan->lowers[i] == GOFER_LOWER_EROFS;
        if (is_image)
            pair[0] = fcntl(plan->roots[i], F_DUPFD_CLOEXEC, 3);
        if (is_image ? pair[0] < 0
                     : socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
            error_errno(err, "cannot make a gofer's socket");
            all_close(ours, i);
            all_close(out->sockets, out->count);
            return -1;
        }
        ours[i] = pair[0];
        if (is_image)
            continue;
        out->sockets[out->count] = pair[1];
        out->roots[out->count] = plan->roots[i];
        out->modes[out->count++] = plan->modes[i];
    }
    out->modes[out->count] = 0;
    return 0;
}

int gofer_spawn(struct runtime *runtime, const char *id, const struct mount_plan *plan,
                bool is_attached, const int *go, int startup, const struct cgroup *cgroup,
                int *sockets, struct spawned *out, struct error *err)
{
    const struct config *config = runtime->config;
    struct served served;
    if (served_make(plan, sockets, &served, err) < 0)
        return -1;
    *out = (struct spawned){.pidfd = -1};
    if (served.count == 0)
        return 0;
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    struct spawn *spawn = pool_alloc(&pool, sizeof *spawn);
    spawn_init(spawn, &pool, "runsc-gofer", "gofer");
    spawn->namespaces = NAMESPACES_BASE | CLONE_NEWNET;
    spawn->is_attached = is_attached;
    if (go)
        memcpy(spawn->go, go, sizeof spawn->go);
    int log = debug_log_add(runtime, spawn, "gofer", id);
    spawn_arg(spawn, "--io-fds=%s", fds_arg(spawn, served.sockets, served.count));
    spawn_arg(spawn, "--root-fds=%s", fds_arg(spawn, served.roots, served.count));
    spawn_arg(spawn, "--modes=%s", served.modes);
    bool has_sockets = is_word(config->host_uds, "open") || is_word(config->host_uds, "all");
    spawn_arg(spawn, "--host-sockets=%s", has_sockets ? "true" : "false");
    spawn_arg(spawn, "--host-devices=%s", is_word(config->host_fifo, "open") ? "true" : "false");
    spawn_arg(spawn, "--attached=%s", is_attached ? "true" : "false");
    spawn_arg(spawn, "--rootless=%s", config->is_rootless || getuid() != 0 ? "true" : "false");
    spawn_arg(spawn, "--filter=%s", config->has_no_filter ? "false" : "true");
    if (startup >= 0) {
        spawn->startup = startup;
        spawn_arg(spawn, "--startup-fd=%d", spawn_fd(spawn, startup));
    }
    spawn_arg(spawn, "%s", id);
    cgroups_add(spawn, cgroup);
    int failed = spawn_start(spawn, &out->pid, &out->pidfd, err);
    cgroups_close(spawn);
    all_close(served.sockets, served.count);
    if (failed)
        all_close(sockets, plan->count);
    if (log >= 0)
        close(log);
    return failed;
}

/* ---- the sandbox ---- */

static int spec_memfd(const struct oci_spec *spec, struct error *err)
{
    char *text = oci_spec_encode(spec, NULL);
    int fd = text ? memfd_create("spec", MFD_CLOEXEC) : -1;
    size_t size = text ? strlen(text) : 0;
    if (fd >= 0 && write(fd, text, size) == (ssize_t)size)
        return fd;
    error_errno(err, "cannot hand over the spec");
    if (fd >= 0)
        close(fd);
    return -1;
}

static const char *const platforms[] = {
#define PLATFORM(name) #name,
#include "platform/platforms.def"
#undef PLATFORM
};

static bool has_platform(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(platforms); i++)
        if (strcmp(platforms[i], name) == 0)
            return true;
    return false;
}

/* The platform to use and, for kvm, its device opened in *DEVICE. *IS_ANY: nobody asked for it. */
static const char *platform_choose(const struct config *config, int *device, bool *is_any)
{
    const char *wanted = config->platform ? config->platform : "";
    *is_any = !*wanted || is_word(wanted, "systrap");
    *device = -1;
    if ((*is_any || is_word(wanted, "kvm")) && has_platform("kvm")) {
        const char *path = config->platform_device && *config->platform_device
                               ? config->platform_device
                               : "/dev/kvm";
        *device = open(path, O_RDWR | O_CLOEXEC);
        if (*device >= 0)
            return "kvm";
    }
    return *is_any ? "ptrace" : wanted;
}

static u32 cpu_count(const struct config *config, const struct oci_spec *spec)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    u32 count = sched_getaffinity(0, sizeof set, &set) == 0 ? (u32)CPU_COUNT(&set) : 1;
    const struct oci_limits *limits = &spec->on_linux->limits;
    if (config->cpu_num_from_quota && limits->has_cpu_quota && limits->cpu_quota > 0) {
        i64 period = limits->has_cpu_period && limits->cpu_period > 0 ? (i64)limits->cpu_period
                                                                      : 100000;
        i64 wanted = (limits->cpu_quota + period - 1) / period;
        count = (u32)MIN((i64)count, MAX(wanted, 2));
    }
    return MIN(MAX(count, 1u), CPUS_MAX);
}

static u64 memory_total(const struct oci_spec *spec)
{
    struct sysinfo info;
    u64 total = sysinfo(&info) == 0 ? (u64)info.totalram * info.mem_unit : 0;
    const struct oci_limits *limits = &spec->on_linux->limits;
    if (limits->has_memory && limits->memory > 0)
        total = total ? MIN(total, (u64)limits->memory) : (u64)limits->memory;
    return total;
}

static void args_machine(struct runtime *runtime, struct spawn *spawn, const struct oci_spec *spec,
                         int *device)
{
    const struct config *config = runtime->config;
    bool is_any;
    spawn_arg(spawn, "--platform=%s", platform_choose(config, device, &is_any));
    if (*device >= 0)
        spawn_arg(spawn, "--platform-fd=%d", spawn_fd(spawn, *device));
    if (*device >= 0 && is_any)
        spawn_arg(spawn, "--platform-else=ptrace");
    spawn_arg(spawn, "--cpu-num=%u", cpu_count(config, spec));
    spawn_arg(spawn, "--total-memory=%llu", (unsigned long long)memory_total(spec));
    spawn_arg(spawn, "--overlay2=%s",
              config->overlay    ? "all:memory"
              : config->overlay2 ? config->overlay2
                                 : "none");
    spawn_arg(spawn, "--network=%s", config->network ? config->network : "none");
    spawn_arg(spawn, "--net-raw=%s", config->keeps_net_raw ? "true" : "false");
    spawn_arg(spawn, "--root-shared=%s", is_word(config->file_access, "shared") ? "true" : "false");
    spawn_arg(spawn, "--mounts-shared=%s",
              is_word(config->file_access_mounts, "exclusive") ? "false" : "true");
    spawn_arg(spawn, "--host-sockets=%s",
              is_word(config->host_uds, "open") || is_word(config->host_uds, "all") ? "true"
                                                                                    : "false");
    spawn_arg(spawn, "--restore-spec-validation=%s",
              config->restore_spec_validation ? config->restore_spec_validation : "enforce");
    spawn_arg(spawn, "--oci-seccomp=%s", config->has_oci_seccomp ? "true" : "false");
    spawn_arg(spawn, "--profile=%s", config->has_profile ? "true" : "false");
    spawn_arg(spawn, "--rootless=%s", config->is_rootless || getuid() != 0 ? "true" : "false");
    spawn_arg(spawn, "--filter=%s", config->has_no_filter ? "false" : "true");
    spawn_arg(spawn, "--debug=%s", config->is_debug ? "true" : "false");
    if (config->has_strace) {
        spawn_arg(spawn, "--strace=true");
        spawn_arg(spawn, "--strace-syscalls=%s",
                  config->strace_syscalls ? config->strace_syscalls : "");
        spawn_arg(spawn, "--strace-log-size=%llu", (unsigned long long)config->strace_log_size);
    }
}

static void args_container(struct spawn *spawn, const struct sandbox_spawn *wanted)
{
    struct pool *pool = spawn->pool;
    const struct create_args *args = wanted->args;
    spawn_arg(spawn, "--stdio-fds=%s", fds_arg(spawn, wanted->stdio, 3));
    if (wanted->console >= 0)
        spawn_arg(spawn, "--console-fd=%d", spawn_fd(spawn, wanted->console));
    if (wanted->console >= 0 && *args->console_socket)
        spawn_arg(spawn, "--console-session=true");
    char *confs = pool_strdup(pool, "");
    for (u32 i = 0; i < wanted->plan->count; i++)
        confs = pool_printf(pool, "%s%s%u:%u", confs, i ? "," : "", wanted->plan->lowers[i],
                            wanted->plan->uppers[i]);
    spawn_arg(spawn, "--gofer-mount-confs=%s", confs);
    spawn_arg(spawn, "--io-fds=%s", fds_arg(spawn, wanted->gofers, wanted->plan->count));
    if (args->pass_count > 0) {
        spawn_arg(spawn, "--pass-fds=%s", fds_arg(spawn, args->pass_hosts, args->pass_count));
        char *guests = pool_strdup(pool, "");
        for (u32 i = 0; i < args->pass_count; i++)
            guests = pool_printf(pool, "%s%s%d", guests, i ? "," : "", args->pass_guests[i]);
        spawn_arg(spawn, "--pass-guests=%s", guests);
    }
    if (wanted->fs_image[0] >= 0)
        spawn_arg(spawn, "--fs-restore-fds=%s", fds_arg(spawn, wanted->fs_image, FS_IMAGE_FILES));
    if (args->exec_fd >= 0)
        spawn_arg(spawn, "--exec-fd=%d", spawn_fd(spawn, args->exec_fd));
}

static void args_control(struct spawn *spawn, const struct sandbox_spawn *wanted)
{
    u32 count = wanted->control[1] >= 0 ? 2 : 1;
    spawn_arg(spawn, "--controller-fds=%s", fds_arg(spawn, wanted->control, count));
    spawn_arg(spawn, "--control-uid=%u", (unsigned)getuid());
    spawn->startup = wanted->startup;
    spawn_arg(spawn, "--startup-fd=%d", spawn_fd(spawn, wanted->startup));
    if (wanted->status >= 0)
        spawn_arg(spawn, "--status-fd=%d", spawn_fd(spawn, wanted->status));
    if (wanted->user_log >= 0)
        spawn_arg(spawn, "--user-log-fd=%d", spawn_fd(spawn, wanted->user_log));
    spawn_arg(spawn, "--attached=%s", wanted->args->is_attached ? "true" : "false");
}

/* The spec's network namespace, opened, or -1 for a new one. */
static int netns_open(const struct oci_spec *spec)
{
    const struct oci_namespace *network = oci_namespace_find(spec, "network");
    return network && network->path && *network->path ? open(network->path, O_RDONLY | O_CLOEXEC)
                                                      : -1;
}

int sandbox_spawn(struct runtime *runtime, const struct sandbox_spawn *wanted, struct spawned *out,
                  struct error *err)
{
    const struct create_args *args = wanted->args;
    int spec = spec_memfd(args->spec, err);
    if (spec < 0)
        return -1;
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    struct spawn *spawn = pool_alloc(&pool, sizeof *spawn);
    spawn_init(spawn, &pool, "runsc-sandbox", "boot");
    spawn->is_attached = args->is_attached;
    memcpy(spawn->go, wanted->go, sizeof spawn->go);
    spawn->namespaces = NAMESPACES_BASE;
    bool has_host_network = is_word(runtime->config->network, "host");
    spawn->netns = has_host_network || runtime->config->is_rootless ? -1 : netns_open(args->spec);
    if (!has_host_network && spawn->netns < 0)
        spawn->namespaces |= CLONE_NEWNET;
    /* Failed assertions are for the operator: the container's own standard error is as good a place
     * as any, unless it is a terminal, which must not be kept busy for the sandbox's sake. */
    if (wanted->console < 0)
        spawn->stdio[2] = wanted->stdio[2];
    int device, log = debug_log_add(runtime, spawn, "boot", args->id);
    if (log >= 0) {
        spawn_arg(spawn, "--debug-log-fd=%d", spawn_fd(spawn, log));
        spawn_arg(spawn, "--debug-log-format=%s",
                  runtime->config->debug_log_format ? runtime->config->debug_log_format : "text");
    }
    spawn_arg(spawn, "--bundle=%s", args->bundle);
    spawn_arg(spawn, "--spec-fd=%d", spawn_fd(spawn, spec));
    args_machine(runtime, spawn, args->spec, &device);
    args_container(spawn, wanted);
    args_control(spawn, wanted);
    spawn_arg(spawn, "%s", args->id);
    cgroups_add(spawn, wanted->cgroup);
    int failed = spawn_start(spawn, &out->pid, &out->pidfd, err);
    cgroups_close(spawn);
    const int done[] = {spec, log, device, spawn->netns};
    for (size_t i = 0; i < ARRAY_COUNT(done); i++)
        if (done[i] >= 0)
            close(done[i]);
    return failed;
}
